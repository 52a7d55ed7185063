/* SPDX-License-Identifier: Apache-2.0
 *
 * Latency by stage; see latency.h.
 */
#include "broker/base/latency.h"

#include "wire/xassert.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define US 1000ull
#define MS 1000000ull
#define S 1000000000ull
#define MARK_NS (60 * S)

static const uint64_t bounds_ns[] = {
    10 * US, 20 * US, 50 * US,  100 * US, 200 * US, 500 * US, 1 * MS, 2 * MS, 5 * MS, 10 * MS,
    20 * MS, 50 * MS, 100 * MS, 200 * MS, 500 * MS, 1 * S,    2 * S,  5 * S,  10 * S};
static_assert(sizeof bounds_ns / sizeof bounds_ns[0] == LATENCY_BOUNDS, "all bounds");

static const struct latency_row rows[] = {
#define X(name, text, look) {#name, text, look},
#include "broker/base/latency.def"
#undef X
};
static_assert(sizeof rows / sizeof rows[0] == LATENCY_STAGES, "one row per stage");

const struct latency_row *latency_row(unsigned stage)
{
    return stage < LATENCY_STAGES ? &rows[stage] : NULL;
}

uint64_t latency_bound_ns(unsigned bucket)
{
    XD_ASSERT(bucket < LATENCY_BOUNDS);
    return bounds_ns[bucket];
}

/* The buckets are looked through from the smallest: most values are in the first few. */
void latency_record(struct latency *latency, uint64_t value_ns)
{
    unsigned bucket = 0;

    XD_ASSERT(value_ns <= INT64_MAX); /* else the clock of its start was ahead of that of its end */
    while (bucket < LATENCY_BOUNDS && value_ns > bounds_ns[bucket])
        bucket++;
    latency->counts[bucket]++;
    latency->sum_ns += value_ns;
}

void latency_sum(struct latency *into, const struct latency *from)
{
    XD_ASSERT(into != from);
    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
        into->counts[i] += from->counts[i];
    into->sum_ns += from->sum_ns;
}

uint64_t latency_count(const struct latency *latency)
{
    uint64_t count = 0;

    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
        count += latency->counts[i];
    return count;
}

uint64_t latency_at_most_ns(const struct latency *latency, uint32_t per_million)
{
    uint64_t count = latency_count(latency), seen = 0;
    unsigned bucket = 0;

    XD_ASSERT(per_million > 0 && per_million <= 1000000);
    if (count == 0)
        return 0;
    /* ceil(count * per_million / 1000000), split so that no product overflows. */
    uint64_t rank =
        count / 1000000 * per_million + (count % 1000000 * per_million + 999999) / 1000000;
    while (bucket < LATENCY_BOUNDS && (seen += latency->counts[bucket]) < rank)
        bucket++;
    return bucket < LATENCY_BOUNDS ? bounds_ns[bucket] : UINT64_MAX;
}

/* ---- the last minute ------------------------------------------------------------------------- */

static void mark(struct latency_window *window, uint32_t number, const struct latency *all,
                 uint64_t now_ns)
{
    memcpy(window->marks[number], all, sizeof window->marks[number]);
    window->marked_ns[number] = now_ns;
}

void latency_window_note(struct latency_window *window, const struct latency *all, uint64_t now_ns)
{
    uint32_t newer = 1 - window->older;

    XD_ASSERT(window->older <= 1 && now_ns >= window->marked_ns[newer]);
    if (window->marked_ns[newer] == 0) {
        mark(window, 0, all, now_ns);
        mark(window, 1, all, now_ns);
    } else if (now_ns >= window->marked_ns[newer] + MARK_NS) {
        mark(window, window->older, all, now_ns);
        window->older = newer;
    }
}

void latency_window_read(const struct latency_window *window, const struct latency *all,
                         enum latency_stage stage, struct latency *ret_recent)
{
    const struct latency *from = &window->marks[window->older][stage];
    const struct latency *to = &all[stage];

    XD_ASSERT(stage < LATENCY_STAGES && to->sum_ns >= from->sum_ns);
    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
        ret_recent->counts[i] = to->counts[i] - from->counts[i];
    ret_recent->sum_ns = to->sum_ns - from->sum_ns;
}

uint64_t latency_window_ns(const struct latency_window *window, uint64_t now_ns)
{
    uint64_t from_ns = window->marked_ns[window->older];

    XD_ASSERT(now_ns >= from_ns);
    return from_ns == 0 ? 0 : now_ns - from_ns;
}
