/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests add to the broker's random numbers (broker/base/prng.h): a generator as an
 * initializer, 32-bit choices, random bytes. A test prints or fixes its seed, so a failure can be
 * run again. Must not be a second generator.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_PRNG_H
#define CROSSDOCK_TESTS_SUPPORT_PRNG_H

#include "broker/base/prng.h"

#include <stddef.h>
#include <stdint.h>

static inline struct prng prng_seeded(uint64_t seed)
{
    struct prng prng;
    prng_seed(&prng, seed);
    return prng;
}

/* 0..limit-1; limit at least 1. */
static inline uint32_t prng_below32(struct prng *prng, uint32_t limit)
{
    return (uint32_t)prng_below(prng, limit);
}

static inline void prng_fill(struct prng *prng, void *ret_data, size_t bytes)
{
    uint8_t *data = ret_data;
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)prng_next(prng);
}

#endif
