/* SPDX-License-Identifier: Apache-2.0
 *
 * Nearest word by edit distance with swaps (optimal string alignment); see suggest.h.
 */
#include "broker/admin/suggest.h"

#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

#define ROW (SUGGEST_BYTES_MAX + 1u)

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The distance, or `bound` when it is not below. Three rows of the usual table are enough: a swap
 * looks two rows back. Values never fall from two rows to the next. */
static uint32_t distance_of(struct xd_text a, struct xd_text b, uint32_t bound)
{
    uint32_t rows[3][ROW];
    uint32_t before_least = 0; /* of the row before */
    XD_ASSERT(a.bytes <= SUGGEST_BYTES_MAX && b.bytes <= SUGGEST_BYTES_MAX);
    for (uint32_t j = 0; j <= b.bytes; j++)
        rows[0][j] = j;
    for (uint32_t i = 1; i <= a.bytes; i++) {
        uint32_t *now = rows[i % 3];
        const uint32_t *before = rows[(i + 2) % 3];
        const uint32_t *before2 = rows[(i + 1) % 3];
        uint32_t now_least = i;
        now[0] = i;
        for (uint32_t j = 1; j <= b.bytes; j++) {
            uint32_t differs = a.data[i - 1] != b.data[j - 1];
            now[j] = least(least(before[j] + 1, now[j - 1] + 1), before[j - 1] + differs);
            if (i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1])
                now[j] = least(now[j], before2[j - 2] + 1);
            now_least = least(now_least, now[j]);
        }
        if (now_least >= bound && before_least >= bound)
            return bound;
        before_least = now_least;
    }
    return least(rows[a.bytes % 3][b.bytes], bound);
}

void suggest_init(struct suggest *suggest, struct xd_text word)
{
    *suggest = (struct suggest){.word = word, .distance = 2 + word.bytes / 3};
}

void suggest_offer(struct suggest *suggest, struct xd_text candidate)
{
    if (suggest->word.bytes > SUGGEST_BYTES_MAX || candidate.bytes > SUGGEST_BYTES_MAX)
        return;
    uint32_t longer = suggest->word.bytes > candidate.bytes ? suggest->word.bytes - candidate.bytes
                                                            : candidate.bytes - suggest->word.bytes;
    if (longer >= suggest->distance)
        return;
    uint32_t distance = distance_of(suggest->word, candidate, suggest->distance);
    if (distance < suggest->distance) {
        suggest->distance = distance;
        suggest->best = candidate;
    }
}

struct xd_text suggest_best(const struct suggest *suggest)
{
    return suggest->best;
}

void suggest_append(const struct suggest *suggest, char *detail)
{
    struct xd_text best = suggest_best(suggest);
    size_t used = strnlen(detail, XD_DETAIL_BYTES_MAX);
    XD_ASSERT(used < XD_DETAIL_BYTES_MAX);
    if (best.bytes > 0)
        snprintf(detail + used, XD_DETAIL_BYTES_MAX - used, "; did you mean '%.*s'?",
                 (int)best.bytes, best.data);
}

struct xd_text suggest_text(const char *text)
{
    return (struct xd_text){text, (uint32_t)strlen(text)};
}
