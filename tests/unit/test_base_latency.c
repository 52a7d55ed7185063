/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/latency: each value is counted once, in the bucket whose range holds it.
 */
#include <criterion/criterion.h>

#include "broker/base/latency.h"

#include <signal.h>
#include <string.h>

static uint64_t values_of(const struct latency *latency)
{
    uint64_t values = 0;

    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
        values += latency->counts[i];
    return values;
}

/* The bounds are 1, 2 and 5 of every power of ten from 10 us to 10 s. */
Test(base_latency, has_bounds_of_one_two_and_five)
{
    uint64_t power = 10000;

    for (unsigned i = 0; i < LATENCY_BOUNDS; i++) {
        static const uint64_t steps[] = {1, 2, 5};

        cr_assert_eq(latency_bound_ns(i), power * steps[i % 3]);
        if (i % 3 == 2)
            power *= 10;
    }
    cr_assert_eq(latency_bound_ns(0), 10000);
    cr_assert_eq(latency_bound_ns(LATENCY_BOUNDS - 1), 10000000000);
}

/* A value that equals a bound is in its bucket, one more is in the next. */
Test(base_latency, counts_a_bound_into_its_own_bucket)
{
    for (unsigned i = 0; i < LATENCY_BOUNDS; i++) {
        struct latency latency = {0};

        latency_record(&latency, latency_bound_ns(i));
        cr_assert_eq(latency.counts[i], 1);
        latency_record(&latency, latency_bound_ns(i) + 1);
        cr_assert_eq(latency.counts[i + 1], 1);
        cr_assert_eq(values_of(&latency), 2);
        cr_assert_eq(latency.sum_ns, 2 * latency_bound_ns(i) + 1);
    }
}

/* Nothing is lost at the ends: 0 is in the first bucket, hours are in the last. */
Test(base_latency, counts_the_smallest_and_the_largest)
{
    struct latency latency = {0};

    latency_record(&latency, 0);
    latency_record(&latency, 7200000000000);
    cr_assert_eq(latency.counts[0], 1);
    cr_assert_eq(latency.counts[LATENCY_BOUNDS], 1);
    cr_assert_eq(latency.sum_ns, 7200000000000);
}

/* Two sets added are what one would have counted. */
Test(base_latency, adds_up)
{
    struct latency a = {0}, b = {0}, both = {0};

    for (uint64_t i = 0, value = 1; i < 40; i++, value = value * 3 / 2 + 1) {
        latency_record(i % 2 ? &a : &b, value * 100);
        latency_record(&both, value * 100);
    }
    latency_sum(&a, &b);
    cr_assert_eq(memcmp(&a, &both, sizeof a), 0);
    cr_assert_eq(values_of(&a), 40);
}

/* Names end in _duration_ns and differ; texts fit a line of the document. */
Test(base_latency, has_a_name_and_texts_in_every_row)
{
    static const char ending[] = "_duration_ns";

    for (unsigned stage = 0; stage < LATENCY_STAGES; stage++) {
        const struct latency_row *row = latency_row(stage);
        size_t bytes = strlen(row->name);

        cr_assert(bytes > sizeof ending, "%s", row->name);
        cr_assert_str_eq(row->name + bytes - (sizeof ending - 1), ending);
        cr_assert(strlen(row->text) >= 8 && strlen(row->text) <= 96, "%s", row->name);
        cr_assert(strlen(row->look) >= 8 && strlen(row->look) <= 96, "%s", row->name);
        for (unsigned other = 0; other < stage; other++)
            cr_assert_str_neq(row->name, latency_row(other)->name);
    }
    cr_assert_null(latency_row(LATENCY_STAGES));
}

/* A time that was measured backwards is a bug of the caller. */
Test(base_latency, aborts_on_a_negative_time, .signal = SIGABRT)
{
    struct latency latency = {0};

    latency_record(&latency, (uint64_t)0 - 1);
}

/* A quantile is the end of the bucket that holds its value: never below it. */
Test(base_latency, tells_what_values_did_not_exceed)
{
    struct latency latency = {0};

    cr_assert_eq(latency_at_most_ns(&latency, 500000), 0);
    for (unsigned i = 0; i < 98; i++)
        latency_record(&latency, 15000);
    latency_record(&latency, 300000);
    latency_record(&latency, 11000000);
    cr_assert_eq(latency_count(&latency), 100);
    cr_assert_eq(latency_at_most_ns(&latency, 1), 20000);
    cr_assert_eq(latency_at_most_ns(&latency, 980000), 20000);
    cr_assert_eq(latency_at_most_ns(&latency, 990000), 500000);
    cr_assert_eq(latency_at_most_ns(&latency, 1000000), 20000000);
    latency_record(&latency, 10000000001);
    cr_assert_eq(latency_at_most_ns(&latency, 1000000), UINT64_MAX);
    cr_assert_eq(latency_at_most_ns(&latency, 500000), 20000);
}

#define S 1000000000ull

/* A window holds what came in the last one to two minutes, and nothing older. */
Test(base_latency, forgets_what_is_older_than_two_minutes)
{
    static struct latency_window window;
    struct latency now[LATENCY_STAGES] = {0}, recent;
    uint64_t begin = 5000 * S;

    cr_assert_eq(latency_window_ns(&window, begin), 0);
    for (uint64_t s = 0; s <= 600; s++) {
        latency_window_note(&window, now, begin + s * S);
        uint64_t covered = latency_window_ns(&window, begin + s * S);
        latency_window_read(&window, now, LATENCY_commit_duration_ns, &recent);
        cr_assert_eq(latency_count(&recent), covered / S, "one a second, at %llu",
                     (unsigned long long)s);
        cr_assert(covered < 120 * S && (covered >= 60 * S || covered == s * S));
        latency_record(&now[LATENCY_commit_duration_ns], 15000);
    }
    latency_window_read(&window, now, LATENCY_reply_duration_ns, &recent);
    cr_assert_eq(latency_count(&recent), 0);
    cr_assert_eq(recent.sum_ns, 0);
}
