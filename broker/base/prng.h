/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeded pseudo-random numbers: the same seed gives the same numbers on every machine. They drive
 * simulation, fault choices and jitter. The generator is xoshiro256**, its state filled by
 * splitmix64, as the authors of both advise.
 *
 * Must not be used for secrets: the state follows from four outputs. Must not seed itself.
 */
#ifndef CROSSDOCK_BROKER_BASE_PRNG_H
#define CROSSDOCK_BROKER_BASE_PRNG_H

#include "wire/xassert.h"

#include <stdbool.h>
#include <stdint.h>

/* Step of the splitmix64 counter: 2^64 divided by the golden ratio, odd. */
#define PRNG_GOLDEN 0x9e3779b97f4a7c15u

struct prng {
    uint64_t s[4]; /* generator state, not all zero */
};

/* The finalizer of splitmix64: a bijection of 64 bits in which each input bit changes about half
 * of the output bits. */
static inline uint64_t prng_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline void prng_seed(struct prng *prng, uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        seed += PRNG_GOLDEN;
        prng->s[i] = prng_mix(seed);
    }
}

static inline uint64_t prng_rotate(uint64_t x, unsigned bits)
{
    return (x << bits) | (x >> (64 - bits));
}

/* The next number, uniform over all 64-bit values. */
static inline uint64_t prng_next(struct prng *prng)
{
    uint64_t *s = prng->s;
    uint64_t result = prng_rotate(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    XD_ASSERT((s[0] | s[1] | s[2] | s[3]) != 0);
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = prng_rotate(s[3], 45);
    return result;
}

/* Uniform over 0..n-1, n > 0, without bias: the lowest 2^64 mod n numbers are drawn again. A draw
 * is used with probability above 1/2. */
static inline uint64_t prng_below(struct prng *prng, uint64_t n)
{
    uint64_t reject_below;
    uint64_t x;

    XD_ASSERT(n > 0);
    reject_below = (0 - n) % n;
    do {
        x = prng_next(prng);
    } while (x < reject_below);
    return x % n;
}

/* True `per_65536` times out of 65536 on average; 0 is never, 65536 always. Draws one number. */
static inline bool prng_chance(struct prng *prng, uint32_t per_65536)
{
    XD_ASSERT(per_65536 <= 65536);
    return (prng_next(prng) >> 48) < per_65536;
}

#endif
