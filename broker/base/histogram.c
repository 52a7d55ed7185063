/* SPDX-License-Identifier: Apache-2.0
 *
 * Log-linear histogram; see histogram.h. A bucket index is made of the octave and the top 5 bits
 * below the leading one:
 *
 *   value < 32:  index = value                                       width 1
 *   else:        shift = (number of the leading bit) - 5
 *                index = shift * 32 + (value >> shift)               width 2^shift
 *
 * where value >> shift is 32..63, so octaves follow each other without gap from index 32 on.
 */
#include "broker/base/histogram.h"

#include "wire/xassert.h"

#include <assert.h>
#include <string.h>

#define SUB_COUNT (1u << HISTOGRAM_SUB_BITS)

static_assert(HISTOGRAM_BUCKETS == (63u - HISTOGRAM_SUB_BITS) * SUB_COUNT + 2u * SUB_COUNT,
              "the largest value has the last bucket");

static uint32_t bucket_of(uint64_t value)
{
    uint32_t shift;

    if (value < SUB_COUNT)
        return (uint32_t)value;
    shift = 63u - (uint32_t)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return shift * SUB_COUNT + (uint32_t)(value >> shift);
}

/* Largest value of a bucket. */
static uint64_t bucket_last(uint32_t index)
{
    uint32_t shift = index < SUB_COUNT ? 0 : index / SUB_COUNT - 1;
    uint64_t first = (uint64_t)(index - shift * SUB_COUNT) << shift;

    return first + ((uint64_t)1 << shift) - 1;
}

void histogram_reset(struct histogram *histogram)
{
    memset(histogram, 0, sizeof(*histogram));
}

void histogram_record(struct histogram *histogram, uint64_t value)
{
    uint32_t index = bucket_of(value);

    XD_ASSERT(index < HISTOGRAM_BUCKETS);
    histogram->buckets[index]++;
    histogram->count++;
    if (value > histogram->max)
        histogram->max = value;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    XD_ASSERT(into != from);
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
    into->count += from->count;
    if (from->max > into->max)
        into->max = from->max;
}

uint64_t histogram_quantile(const struct histogram *histogram, uint32_t per_million)
{
    uint64_t seen = 0;
    uint64_t rank;
    uint32_t i;

    XD_ASSERT(per_million <= 1000000);
    if (histogram->count == 0)
        return 0;
    /* ceil(count * per_million / 1000000), split so that no product overflows. */
    rank = histogram->count / 1000000 * per_million +
           (histogram->count % 1000000 * per_million + 999999) / 1000000;
    if (rank == 0)
        rank = 1;
    for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen >= rank)
            break;
    }
    XD_ASSERT(i < HISTOGRAM_BUCKETS); /* the buckets add up to count */
    return bucket_last(i) < histogram->max ? bucket_last(i) : histogram->max;
}
