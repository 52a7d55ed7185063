/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-linear histogram of times in nanoseconds: 64 equal buckets per octave, so a quantile is at
 * most 1/64 above the true value and never below it. Fixed 30 KiB, integers only.
 *
 * Must not allocate. One thread.
 */
#ifndef CROSSDOCK_BENCH_HISTOGRAM_H
#define CROSSDOCK_BENCH_HISTOGRAM_H

#include <stdint.h>

#define LATENCY_SUB_BITS 6u /* log2 of buckets per octave */
#define LATENCY_BUCKETS ((64u - LATENCY_SUB_BITS + 1u) << LATENCY_SUB_BITS)

struct latency {
    uint64_t count;                    /* samples */
    uint64_t max_ns;                   /* largest sample, exact; 0 when there is none */
    uint64_t buckets[LATENCY_BUCKETS]; /* samples per bucket, in rising sequence */
};

/* Counts `samples` times the value. A zeroed histogram is empty. */
void latency_add(struct latency *latency, uint64_t value_ns, uint64_t samples);

/* The value that `per_million` of a million samples do not exceed (500000 = median); 0 when empty,
 * and never above the maximum. */
uint64_t latency_quantile_ns(const struct latency *latency, uint32_t per_million);

#endif
