/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/suggest.c: the word that was probably meant, and none when nothing is near.
 */
#include "broker/admin/suggest.h"

#include <criterion/criterion.h>
#include <string.h>

static struct xd_text best_of(const char *word, const char *const *known, uint32_t count)
{
    struct suggest suggest;
    suggest_init(&suggest, suggest_text(word));
    for (uint32_t i = 0; i < count; i++)
        suggest_offer(&suggest, suggest_text(known[i]));
    return suggest_best(&suggest);
}

/* One slip of each kind is found: left out, doubled, wrong, swapped. */
Test(admin_suggest, finds_the_word_behind_one_slip)
{
    static const char *const known[] = {"status", "health", "topic list", "topic show"};
    static const char *const slips[] = {"statu", "statuss", "stadus", "sattus", "tatus"};
    for (uint32_t i = 0; i < sizeof slips / sizeof slips[0]; i++) {
        struct xd_text best = best_of(slips[i], known, 4);
        cr_assert(best.bytes == 6 && memcmp(best.data, "status", 6) == 0, "%s", slips[i]);
    }
}

/* Of two that are near the nearer one is named; of two equally near the first. */
Test(admin_suggest, names_the_nearest_word)
{
    static const char *const known[] = {"topic list", "topic show"};
    struct xd_text best = best_of("topic shot", known, 2);
    cr_assert(best.bytes == 10 && memcmp(best.data, "topic show", 10) == 0);
    static const char *const equal[] = {"ab", "ac"};
    best = best_of("ad", equal, 2);
    cr_assert(best.bytes == 2 && memcmp(best.data, "ab", 2) == 0);
}

/* A swap of neighbours counts once: "ba" for "ab" is nearer than two substitutions. */
Test(admin_suggest, counts_a_swap_once)
{
    struct suggest suggest;
    suggest_init(&suggest, suggest_text("retnetion"));
    suggest_offer(&suggest, suggest_text("retention"));
    cr_assert_eq(suggest.distance, 1);
    suggest_init(&suggest, suggest_text("kitten"));
    suggest_offer(&suggest, suggest_text("sitting"));
    cr_assert_eq(suggest.distance, 3);
    suggest_init(&suggest, suggest_text("badcfe"));
    suggest_offer(&suggest, suggest_text("abcdef"));
    cr_assert_eq(suggest.distance, 3, "three swaps, though every letter is elsewhere");
    suggest_init(&suggest, suggest_text(""));
    suggest_offer(&suggest, suggest_text("abc"));
    cr_assert_eq(suggest_best(&suggest).bytes, 0);
}

/* Further away than a third of the word is no suggestion, and the detail stays as it was. */
Test(admin_suggest, is_silent_when_nothing_is_near)
{
    static const char *const known[] = {"status", "health"};
    char detail[XD_DETAIL_BYTES_MAX] = "unknown";
    struct suggest suggest;
    cr_assert_eq(best_of("partition", known, 2).bytes, 0);
    cr_assert_eq(best_of("status", NULL, 0).bytes, 0);
    suggest_init(&suggest, suggest_text("partition"));
    suggest_offer(&suggest, suggest_text("status"));
    suggest_append(&suggest, detail);
    cr_assert_str_eq(detail, "unknown");
}

/* Words beyond the limit are left alone instead of overrunning the table. */
Test(admin_suggest, leaves_long_words_alone)
{
    char word[SUGGEST_BYTES_MAX + 2];
    memset(word, 'a', sizeof word);
    word[SUGGEST_BYTES_MAX + 1] = '\0';
    struct suggest suggest;
    suggest_init(&suggest, suggest_text(word));
    suggest_offer(&suggest, suggest_text("aaa"));
    cr_assert_eq(suggest_best(&suggest).bytes, 0);
    word[SUGGEST_BYTES_MAX] = '\0';
    suggest_init(&suggest, suggest_text(word));
    suggest_offer(&suggest, suggest_text(word));
    cr_assert_eq(suggest_best(&suggest).bytes, SUGGEST_BYTES_MAX);
}

/* A detail that is nearly full is cut, never overrun. */
Test(admin_suggest, cuts_a_detail_that_is_full)
{
    char detail[XD_DETAIL_BYTES_MAX + 1];
    struct suggest suggest;
    memset(detail, 'x', sizeof detail);
    detail[XD_DETAIL_BYTES_MAX - 5] = '\0';
    suggest_init(&suggest, suggest_text("statuz"));
    suggest_offer(&suggest, suggest_text("status"));
    suggest_append(&suggest, detail);
    cr_assert_eq(strlen(detail), XD_DETAIL_BYTES_MAX - 1);
    cr_assert_eq(detail[XD_DETAIL_BYTES_MAX], 'x');
}
