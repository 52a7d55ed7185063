/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-linear histogram of 64-bit values: any range, fixed 15 KiB, integers only.
 *
 * Each octave [2^e, 2^(e+1)) is cut into 32 equal buckets; values below 64 have a bucket each. A
 * quantile is the upper end of its bucket, so it is never below the true value and above it by
 * less than 1/32 of it. Histograms of shards and intervals merge without further error, which
 * averages of percentiles do not.
 *
 * Must not allocate or use floating point. Used by one thread; a copy may be merged elsewhere.
 */
#ifndef CROSSDOCK_BROKER_BASE_HISTOGRAM_H
#define CROSSDOCK_BROKER_BASE_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_SUB_BITS 5u /* log2 of buckets per octave: the precision of 1/32 */
#define HISTOGRAM_BUCKETS ((64u - HISTOGRAM_SUB_BITS + 1u) << HISTOGRAM_SUB_BITS)

struct histogram {
    uint64_t count;                      /* values recorded */
    uint64_t max;                        /* largest value recorded, exact; 0 when none */
    uint64_t buckets[HISTOGRAM_BUCKETS]; /* values per bucket, in rising sequence of value */
};

/* Empties; a zeroed histogram is empty too. */
void histogram_reset(struct histogram *histogram);

/* Counts one value, O(1). */
void histogram_record(struct histogram *histogram, uint64_t value);

/* Adds what `from` holds to `into`. */
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value that `per_million` of a million recorded values do not exceed (500000 = median, 1000000
 * = maximum), within the precision above; 0 when empty. O(buckets). */
uint64_t histogram_quantile(const struct histogram *histogram, uint32_t per_million);

#endif
