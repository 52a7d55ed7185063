/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-linear histogram; see histogram.h.
 */
#include "bench/histogram.h"

#include "bench/check.h"

#define SUB_BUCKETS (1u << LATENCY_SUB_BITS)

/* Values below 2 * SUB_BUCKETS have a bucket each; above, the highest LATENCY_SUB_BITS + 1 bits
 * choose it. */
static uint32_t bucket_of(uint64_t value)
{
    if (value < SUB_BUCKETS)
        return (uint32_t)value;
    uint32_t octave = 63u - (uint32_t)__builtin_clzll(value) - LATENCY_SUB_BITS;
    uint32_t bucket = (octave << LATENCY_SUB_BITS) + (uint32_t)(value >> octave);
    BENCH_ASSERT(bucket < LATENCY_BUCKETS);
    return bucket;
}

/* Largest value of a bucket. */
static uint64_t bucket_end(uint32_t bucket)
{
    if (bucket < 2u * SUB_BUCKETS)
        return bucket;
    uint32_t octave = (bucket >> LATENCY_SUB_BITS) - 1u;
    uint64_t head = SUB_BUCKETS + (bucket & (SUB_BUCKETS - 1u));
    return (head << octave) + ((1ull << octave) - 1u);
}

void latency_add(struct latency *latency, uint64_t value_ns, uint64_t samples)
{
    latency->buckets[bucket_of(value_ns)] += samples;
    latency->count += samples;
    if (samples > 0 && value_ns > latency->max_ns)
        latency->max_ns = value_ns;
}

uint64_t latency_quantile_ns(const struct latency *latency, uint32_t per_million)
{
    BENCH_ASSERT(per_million <= 1000000u);
    if (latency->count == 0)
        return 0;
    /* The rank rounds up: the median of three samples is the second. */
    uint64_t whole = latency->count / 1000000u * per_million;
    uint64_t part = latency->count % 1000000u * per_million;
    uint64_t rank = whole + (part + 999999u) / 1000000u;
    uint64_t below = 0;
    for (uint32_t i = 0; i < LATENCY_BUCKETS; i++) {
        below += latency->buckets[i];
        if (below >= rank && below > 0)
            return bucket_end(i) < latency->max_ns ? bucket_end(i) : latency->max_ns;
    }
    return latency->max_ns;
}
