/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/histogram.h: quantiles of sorted values, never too low and less than 1/32 too high.
 */
#include <criterion/criterion.h>

#include "broker/base/histogram.h"
#include "broker/base/prng.h"

#include <signal.h>
#include <stdlib.h>

#define VALUES 20000u

static const uint32_t quantiles[] = {0,      1,      10000,  250000, 500000, 900000,
                                     990000, 999000, 999900, 999999, 1000000};
#define QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* The definition: the smallest value that at least per_million of a million do not exceed. */
static uint64_t true_quantile(const uint64_t *sorted, uint32_t count, uint32_t per_million)
{
    uint64_t rank = ((uint64_t)count * per_million + 999999) / 1000000;

    return sorted[rank == 0 ? 0 : rank - 1];
}

static void check_quantiles(const struct histogram *histogram, uint64_t *values, uint32_t count)
{
    qsort(values, count, sizeof(values[0]), compare_u64);
    for (uint32_t i = 0; i < QUANTILES; i++) {
        uint64_t is = histogram_quantile(histogram, quantiles[i]);
        uint64_t should = true_quantile(values, count, quantiles[i]);

        cr_assert(is >= should);
        cr_assert(is - should <= should / 32);
    }
    cr_assert_eq(histogram_quantile(histogram, 1000000), values[count - 1]);
    cr_assert_eq(histogram->count, count);
}

/* Values of every magnitude, in ranges from one octave to all of them. */
Test(base_histogram, keeps_the_error_of_quantiles_below_a_32nd)
{
    static struct histogram histogram;
    static uint64_t values[VALUES];
    struct prng prng;

    prng_seed(&prng, 1);
    for (uint32_t bits_max = 1; bits_max <= 64; bits_max++)
        for (uint32_t spread = 1; spread <= bits_max; spread *= 4) {
            uint32_t count = 1 + (uint32_t)prng_below(&prng, VALUES / 16);

            histogram_reset(&histogram);
            for (uint32_t i = 0; i < count; i++) {
                uint32_t bits = bits_max - (uint32_t)prng_below(&prng, spread);

                values[i] = prng_next(&prng) >> (64 - bits);
                histogram_record(&histogram, values[i]);
            }
            check_quantiles(&histogram, values, count);
        }
}

/* Each boundary of a bucket, alone beside the largest value: the quantile is the value itself or
 * less than a 32nd above it. */
Test(base_histogram, places_the_ends_of_every_octave)
{
    static struct histogram histogram;

    for (uint32_t bit = 0; bit < 64; bit++)
        for (int64_t step = -1; step <= 1; step++) {
            uint64_t value = ((uint64_t)1 << bit) + (uint64_t)step;
            uint64_t median;

            histogram_reset(&histogram);
            histogram_record(&histogram, value);
            histogram_record(&histogram, UINT64_MAX);
            median = histogram_quantile(&histogram, 500000);
            cr_assert(median >= value && median - value <= value / 32);
            cr_assert_eq(histogram_quantile(&histogram, 1000000), UINT64_MAX);
        }
}

/* Below 64 every value has its own bucket. */
Test(base_histogram, is_exact_below_64)
{
    struct histogram histogram = {0};

    for (uint64_t value = 0; value < 64; value++)
        histogram_record(&histogram, value);
    for (uint32_t i = 1; i <= 64; i++)
        cr_assert_eq(histogram_quantile(&histogram, i * 15625), i - 1);
}

/* A quantile is not above the largest value, though its bucket ends there. */
Test(base_histogram, does_not_exceed_the_largest_value)
{
    struct histogram histogram = {0};

    histogram_record(&histogram, 1000000);
    cr_assert_eq(histogram_quantile(&histogram, 500000), 1000000);
}

/* Merging is the same as recording everything in one. */
Test(base_histogram, merges_as_if_recorded_together)
{
    static struct histogram parts[3], merged, whole;
    struct prng prng;

    prng_seed(&prng, 2);
    for (uint32_t i = 0; i < VALUES; i++) {
        uint64_t value = prng_next(&prng) >> prng_below(&prng, 64);

        histogram_record(&parts[prng_below(&prng, 3)], value);
        histogram_record(&whole, value);
    }
    for (uint32_t i = 0; i < 3; i++)
        histogram_merge(&merged, &parts[i]);
    cr_assert_arr_eq(&merged, &whole, sizeof(whole));
}

/* Counts far beyond what a product with a million would hold still give the exact rank: of 2^61
 * values half are 1 and half are 3. */
Test(base_histogram, ranks_exactly_at_huge_counts)
{
    static struct histogram histogram, copy;

    histogram_record(&histogram, 1);
    histogram_record(&histogram, 3);
    for (uint32_t i = 0; i < 60; i++) {
        copy = histogram;
        histogram_merge(&histogram, &copy);
    }
    cr_assert_eq(histogram.count, (uint64_t)1 << 61);
    cr_assert_eq(histogram_quantile(&histogram, 500000), 1);
    cr_assert_eq(histogram_quantile(&histogram, 500001), 3);
    cr_assert_eq(histogram_quantile(&histogram, 1000000), 3);
}

/* Nothing recorded, or everything reset, is 0 at each quantile. */
Test(base_histogram, is_zero_when_empty)
{
    struct histogram histogram = {0};

    histogram_record(&histogram, 12345);
    histogram_reset(&histogram);
    for (uint32_t i = 0; i < QUANTILES; i++)
        cr_assert_eq(histogram_quantile(&histogram, quantiles[i]), 0);
    cr_assert_eq(histogram.max, 0);
}

/* There is no quantile above the maximum. */
Test(base_histogram, aborts_on_more_than_a_million_of_a_million, .signal = SIGABRT)
{
    struct histogram histogram = {0};

    histogram_quantile(&histogram, 1000001);
}
