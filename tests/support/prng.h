/* SPDX-License-Identifier: Apache-2.0
 *
 * Random numbers for tests: SplitMix64, one word of state. A test prints or fixes its seed, so a
 * failure can be run again. Not for anything that has to be unpredictable.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_PRNG_H
#define CROSSDOCK_TESTS_SUPPORT_PRNG_H

#include <stddef.h>
#include <stdint.h>

struct prng {
    uint64_t state; /* any value, the seed at first */
};

static inline uint64_t prng_next(struct prng *prng)
{
    uint64_t z = prng->state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* 0..limit-1; limit at least 1. The bias is below 2^-32 for the small limits of tests. */
static inline uint32_t prng_below(struct prng *prng, uint32_t limit)
{
    return (uint32_t)((prng_next(prng) >> 32) * limit >> 32);
}

static inline void prng_fill(struct prng *prng, void *ret_data, size_t bytes)
{
    uint8_t *data = ret_data;
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)prng_next(prng);
}

#endif
