/* SPDX-License-Identifier: Apache-2.0
 *
 * The histogram of the load generator: quantiles are never below the true value and at most 1/64
 * above it, whatever the range; weights count like repetitions.
 */
#include "bench/histogram.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLES 5000u

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static struct latency *empty(void)
{
    struct latency *latency = calloc(1, sizeof *latency);
    cr_assert_not_null(latency);
    return latency;
}

/* Quantiles of random values over all magnitudes against the sorted values themselves. */
Test(bench_histogram, quantiles_stay_within_their_precision)
{
    static uint64_t values[SAMPLES];
    const uint32_t asked[] = {1, 1000, 250000, 500000, 990000, 999000, 1000000};
    struct latency *latency = empty();
    uint64_t random = 88172645463325252ull;

    for (uint32_t i = 0; i < SAMPLES; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        values[i] = random >> (random % 64);
        latency_add(latency, values[i], 1);
    }
    qsort(values, SAMPLES, sizeof values[0], compare);
    for (uint32_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        uint64_t rank = ((uint64_t)SAMPLES * asked[i] + 999999u) / 1000000u;
        uint64_t truth = values[rank - 1];
        uint64_t got = latency_quantile_ns(latency, asked[i]);
        cr_assert_geq(got, truth, "%u: %lu < %lu", asked[i], got, truth);
        cr_assert_leq(got - truth, truth / 64, "%u: %lu > %lu", asked[i], got, truth);
    }
    free(latency);
}

/* Small values have a bucket each, and the largest values do not leave the table. */
Test(bench_histogram, keeps_the_ends_of_the_range)
{
    for (uint64_t value = 0; value < 128; value++) {
        struct latency *latency = empty();
        latency_add(latency, value, 1);
        cr_assert_eq(latency_quantile_ns(latency, 500000), value);
        free(latency);
    }
    struct latency *latency = empty();
    latency_add(latency, UINT64_MAX, 1);
    cr_assert_eq(latency_quantile_ns(latency, 500000), UINT64_MAX);
    cr_assert_eq(latency->max_ns, UINT64_MAX);
    free(latency);
}

/* 99 of 100 samples are small: the median is small, the 99th percentile too, the maximum is not. */
Test(bench_histogram, counts_weights_as_repetitions)
{
    struct latency *weighted = empty();
    struct latency *single = empty();

    latency_add(weighted, 100, 99);
    latency_add(weighted, 5000, 1);
    latency_add(weighted, 9000, 0);
    for (uint32_t i = 0; i < 99; i++)
        latency_add(single, 100, 1);
    latency_add(single, 5000, 1);
    cr_assert_eq(memcmp(weighted, single, sizeof *weighted), 0);
    cr_assert_eq(latency_quantile_ns(weighted, 990000), 100);
    cr_assert_eq(latency_quantile_ns(weighted, 990001), 5000);
    cr_assert_eq(weighted->max_ns, 5000);
    free(weighted);
    free(single);
}

Test(bench_histogram, gives_zero_when_empty)
{
    struct latency *latency = empty();
    cr_assert_eq(latency_quantile_ns(latency, 500000), 0);
    cr_assert_eq(latency_quantile_ns(latency, 1000000), 0);
    free(latency);
}
