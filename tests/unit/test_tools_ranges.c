/* SPDX-License-Identifier: Apache-2.0
 *
 * Ranges: a set of numbers that says which ones are missing, whatever sequence they come in.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <stdbool.h>

#include "tools/crossdock/ranges.h"

static struct ranges ranges;

static void setup(void)
{
    cr_assert_eq(ranges_init(&ranges), 0);
}

static void teardown(void)
{
    ranges_deinit(&ranges);
}

TestSuite(tools_ranges, .init = setup, .fini = teardown);

static void expect_gap(uint32_t index, uint64_t first, uint64_t last)
{
    struct range gap = {0, 0};
    cr_assert_eq(ranges_gap(&ranges, 1, 100, index, &gap), 0);
    cr_expect_eq(gap.first, first);
    cr_expect_eq(gap.last, last);
}

/* Nothing came: everything is one gap. */
Test(tools_ranges, an_empty_set_is_one_gap)
{
    struct range gap;
    expect_gap(0, 1, 100);
    cr_assert_eq(ranges_gap(&ranges, 1, 100, 1, &gap), -ENOENT);
}

/* Neighbours join, from both sides and in between, and a number twice changes nothing. */
Test(tools_ranges, neighbours_join)
{
    ranges_add(&ranges, 10);
    ranges_add(&ranges, 12);
    cr_assert_eq(ranges.count, 2);
    ranges_add(&ranges, 11);
    cr_assert_eq(ranges.count, 1);
    ranges_add(&ranges, 11);
    ranges_add(&ranges, 9);
    ranges_add(&ranges, 13);
    cr_assert_eq(ranges.count, 1);
    expect_gap(0, 1, 8);
    expect_gap(1, 14, 100);
}

/* Bounds that lie inside a range or touch it make no empty gap. */
Test(tools_ranges, bounds_are_inclusive)
{
    struct range gap;
    for (uint64_t number = 1; number <= 100; number++)
        ranges_add(&ranges, number);
    cr_assert_eq(ranges_gap(&ranges, 1, 100, 0, &gap), -ENOENT);
    cr_assert_eq(ranges_gap(&ranges, 50, 60, 0, &gap), -ENOENT);
    cr_assert_eq(ranges_gap(&ranges, 100, 101, 0, &gap), 0);
    cr_expect_eq(gap.first, 101);
    cr_expect_eq(gap.last, 101);
}

/* The largest number there is does not wrap around. */
Test(tools_ranges, the_last_number_does_not_wrap)
{
    struct range gap;
    ranges_add(&ranges, UINT64_MAX);
    cr_assert_eq(ranges_gap(&ranges, UINT64_MAX - 1, UINT64_MAX, 0, &gap), 0);
    cr_expect_eq(gap.last, UINT64_MAX - 1);
    cr_assert_eq(ranges_gap(&ranges, UINT64_MAX - 1, UINT64_MAX, 1, &gap), -ENOENT);
}

/* Against a plain table of what came, for numbers in random sequence. */
Test(tools_ranges, agrees_with_a_table)
{
    enum { NUMBERS = 400 };
    bool came[NUMBERS + 2] = {false};
    uint64_t state = 7;
    for (unsigned i = 0; i < 300; i++) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        uint64_t number = 1 + (state >> 33) % NUMBERS;
        came[number] = true;
        ranges_add(&ranges, number);
    }
    uint32_t index = 0;
    for (uint64_t at = 1; at <= NUMBERS;) {
        struct range gap;
        uint64_t end = at;
        if (came[at]) {
            at++;
            continue;
        }
        while (end < NUMBERS && !came[end + 1])
            end++;
        cr_assert_eq(ranges_gap(&ranges, 1, NUMBERS, index++, &gap), 0);
        cr_assert_eq(gap.first, at);
        cr_assert_eq(gap.last, end);
        at = end + 1;
    }
    struct range gap;
    cr_assert_eq(ranges_gap(&ranges, 1, NUMBERS, index, &gap), -ENOENT);
}

/* More ranges than fit are told, not stored. */
Test(tools_ranges, a_full_set_says_so)
{
    for (uint64_t i = 0; i < RANGES_MAX; i++)
        ranges_add(&ranges, 2 * i + 1);
    cr_assert(!ranges.full);
    ranges_add(&ranges, 2); /* joins two: room again */
    ranges_add(&ranges, 2ull * RANGES_MAX + 1);
    cr_assert(!ranges.full);
    ranges_add(&ranges, 2ull * RANGES_MAX + 3);
    cr_assert(ranges.full);
    cr_assert_eq(ranges.count, RANGES_MAX);
}
