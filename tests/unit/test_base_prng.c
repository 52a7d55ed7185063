/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/prng.h: the published algorithms, the same on every machine. All seeds are fixed, so
 * the statistical checks give the same answer in each run.
 */
#include <criterion/criterion.h>

#include "broker/base/prng.h"

#include <signal.h>

/* Golden numbers of splitmix64 from seed 1234567, one of them per state word. */
Test(base_prng, seeds_with_splitmix64)
{
    static const uint64_t expected[4] = {6457827717110365317u, 3203168211198807973u,
                                         9817491932198370423u, 4593380528125082431u};
    struct prng prng;

    prng_seed(&prng, 1234567);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(prng.s[i], expected[i]);
}

/* Golden numbers of xoshiro256** from the state 1, 2, 3, 4. */
Test(base_prng, draws_with_xoshiro256)
{
    static const uint64_t expected[10] = {11520u,
                                          0u,
                                          1509978240u,
                                          1215971899390074240u,
                                          1216172134540287360u,
                                          607988272756665600u,
                                          16172922978634559625u,
                                          8476171486693032832u,
                                          10595114339597558777u,
                                          2904607092377533576u};
    struct prng prng = {.s = {1, 2, 3, 4}};

    for (unsigned i = 0; i < 10; i++)
        cr_assert_eq(prng_next(&prng), expected[i]);
}

/* One seed is one sequence; two seeds are two. */
Test(base_prng, repeats_a_seed_and_tells_seeds_apart)
{
    struct prng a, b, c;
    uint32_t equal = 0;

    prng_seed(&a, 0);
    prng_seed(&b, 0);
    prng_seed(&c, 1);
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t x = prng_next(&a);

        cr_assert_eq(x, prng_next(&b));
        equal += x == prng_next(&c);
    }
    cr_assert_eq(equal, 0);
}

/* A draw below n reaches each value below n, evenly: no count is off by five standard deviations
 * (10 values, 100,000 draws: 10,000 +- 475). */
Test(base_prng, draws_evenly_below_n)
{
    uint32_t counts[10] = {0};
    struct prng prng;

    prng_seed(&prng, 3);
    for (uint32_t i = 0; i < 100000; i++) {
        uint64_t x = prng_below(&prng, 10);

        cr_assert_lt(x, 10);
        counts[x]++;
    }
    for (uint32_t i = 0; i < 10; i++)
        cr_assert(counts[i] > 9525 && counts[i] < 10475);
}

/* For n = 3 * 2^62 plain division would draw the lowest third twice as often as the others. */
Test(base_prng, draws_without_bias_below_a_huge_n)
{
    const uint64_t third = (uint64_t)1 << 62;
    uint32_t counts[3] = {0};
    struct prng prng;

    prng_seed(&prng, 4);
    for (uint32_t i = 0; i < 30000; i++) {
        uint64_t x = prng_below(&prng, 3 * third);

        cr_assert_lt(x, 3 * third);
        counts[x / third]++;
    }
    for (uint32_t i = 0; i < 3; i++)
        cr_assert(counts[i] > 9592 && counts[i] < 10408); /* five standard deviations */
}

/* Below 1 there is only 0. */
Test(base_prng, draws_zero_below_one)
{
    struct prng prng;

    prng_seed(&prng, 5);
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(prng_below(&prng, 1), 0);
}

/* Chance 0 never happens, 65536 always, a quarter about every fourth time. */
Test(base_prng, keeps_the_chance_it_is_given)
{
    struct prng prng;
    uint32_t hits = 0;

    prng_seed(&prng, 6);
    for (uint32_t i = 0; i < 100000; i++) {
        cr_assert(!prng_chance(&prng, 0));
        cr_assert(prng_chance(&prng, 65536));
        hits += prng_chance(&prng, 16384);
    }
    cr_assert(hits > 24315 && hits < 25685); /* five standard deviations of 137 */
}

/* The mixer is a bijection in which a flipped input bit flips about half of the output. */
Test(base_prng, mixes_every_input_bit)
{
    struct prng prng;

    prng_seed(&prng, 7);
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint32_t flipped = 0;

        for (uint32_t i = 0; i < 1000; i++) {
            uint64_t x = prng_next(&prng);
            uint64_t change = prng_mix(x) ^ prng_mix(x ^ ((uint64_t)1 << bit));

            flipped += (uint32_t)__builtin_popcountll(change);
        }
        cr_assert(flipped > 30000 && flipped < 34000);
    }
}

/* Nothing lies below 0. */
Test(base_prng, aborts_on_a_draw_below_zero, .signal = SIGABRT)
{
    struct prng prng;

    prng_seed(&prng, 8);
    prng_below(&prng, 0);
}

/* The all-zero state would give zeros for ever. */
Test(base_prng, aborts_without_a_seed, .signal = SIGABRT)
{
    struct prng prng = {0};

    prng_next(&prng);
}
