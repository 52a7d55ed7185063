/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/pool.h: elements are distinct while out, late tokens find nothing, double release
 * aborts.
 */
#include <criterion/criterion.h>

#include "broker/base/pool.h"
#include "broker/base/prng.h"

#include <sanitizer/asan_interface.h>
#include <signal.h>
#include <string.h>

#define COUNT 24u
#define BYTES 40u /* not a multiple of POOL_ALIGN */

static _Alignas(POOL_ALIGN) uint8_t memory[4096];

static void setup(struct pool *pool)
{
    pool_init(pool, memory, pool_bytes(BYTES, COUNT), BYTES, COUNT);
}

/* The memory asked for is the memory used: not a byte behind it changes. */
Test(base_pool, stays_within_its_memory)
{
    size_t bytes = pool_bytes(BYTES, COUNT);
    struct pool pool;
    void *element;

    cr_assert_lt(bytes, sizeof(memory));
    memset(memory, 0x5a, sizeof(memory));
    setup(&pool);
    while ((element = pool_acquire(&pool)) != NULL)
        memset(element, 0xff, BYTES);
    pool_check(&pool);
    pool_deinit(&pool);
    for (size_t i = bytes; i < sizeof(memory); i++)
        cr_assert_eq(memory[i], 0x5a);
}

/* An exhausted pool gives NULL, and an element again once one is back. */
Test(base_pool, gives_null_when_all_elements_are_out)
{
    struct pool pool;
    void *element = NULL;

    setup(&pool);
    for (uint32_t i = 0; i < COUNT; i++) {
        cr_assert_eq(pool_free_count(&pool), COUNT - i);
        element = pool_acquire(&pool);
        cr_assert_not_null(element);
        cr_assert_eq(pool_index(&pool, element), i);
    }
    cr_assert_null(pool_acquire(&pool));
    pool_release(&pool, element);
    cr_assert_eq(pool_acquire(&pool), element);
    pool_deinit(&pool);
}

/* 100,000 random acquisitions and releases: elements keep what their owner wrote, and tokens find
 * the element exactly as long as it is out. */
Test(base_pool, agrees_with_an_array_over_random_operations)
{
    uint8_t *out[COUNT] = {NULL};
    uint32_t releases[COUNT] = {0};
    uint32_t out_count = 0;
    struct pool pool;
    struct prng prng;

    prng_seed(&prng, 1);
    setup(&pool);
    for (uint32_t op = 0; op < 100000; op++) {
        uint32_t i = (uint32_t)prng_below(&prng, COUNT);

        /* Long stretches that fill and empty the pool. */
        if (prng_chance(&prng, op / 500 % 2 ? 20000 : 45000)) {
            uint8_t *element = pool_acquire(&pool);

            cr_assert_eq(element == NULL, out_count == COUNT);
            if (element == NULL)
                continue;
            i = pool_index(&pool, element);
            cr_assert_null(out[i]);
            cr_assert_eq((uintptr_t)element % POOL_ALIGN, 0);
            memset(element, (int)i, BYTES);
            out[i] = element;
            out_count++;
        } else if (out[i] != NULL) {
            for (uint32_t k = 0; k < BYTES; k++)
                cr_assert_eq(out[i][k], i);
            cr_assert_eq(pool_find(&pool, i, pool_generation(&pool, i)), out[i]);
            pool_release(&pool, out[i]);
            out[i] = NULL;
            out_count--;
            releases[i]++;
        }
        cr_assert_eq(pool_generation(&pool, i), 1 + releases[i]);
        cr_assert_eq(pool_at(&pool, i), out[i]);
        cr_assert_eq(pool_free_count(&pool), COUNT - out_count);
        pool_check(&pool);
    }
    pool_deinit(&pool);
}

/* A token that outlived its element finds neither the free slot nor its next owner. */
Test(base_pool, finds_nothing_for_a_late_token)
{
    struct pool pool;
    uint32_t index, generation;
    void *element;

    setup(&pool);
    element = pool_acquire(&pool);
    index = pool_index(&pool, element);
    generation = pool_generation(&pool, index);
    cr_assert_eq(pool_find(&pool, index, generation), element);
    pool_release(&pool, element);
    cr_assert_null(pool_find(&pool, index, generation));
    cr_assert_null(pool_find(&pool, index, generation + 1));
    cr_assert_eq(pool_acquire(&pool), element);
    cr_assert_null(pool_find(&pool, index, generation));
    cr_assert_eq(pool_find(&pool, index, generation + 1), element);
    pool_deinit(&pool);
}

/* Generation 0 is never in use, so a zeroed token finds nothing, even after 2^32 - 1 releases. */
Test(base_pool, never_uses_generation_zero)
{
    struct pool pool;
    void *element;

    setup(&pool);
    element = pool_acquire(&pool);
    cr_assert_null(pool_find(&pool, 0, 0));
    pool.slots[0].generation = UINT32_MAX;
    pool_release(&pool, element);
    cr_assert_eq(pool_generation(&pool, 0), 1);
    pool_check(&pool);
    pool_deinit(&pool);
}

/* Deinit accepts a zeroed pool and elements that are still out, and leaves the memory usable. */
Test(base_pool, deinit_accepts_any_state)
{
    struct pool pool = {0};

    pool_deinit(&pool);
    setup(&pool);
    cr_assert_not_null(pool_acquire(&pool));
    pool_deinit(&pool);
    memset(memory, 0, sizeof(memory));
    setup(&pool);
    cr_assert_eq(pool_free_count(&pool), COUNT);
    pool_deinit(&pool);
}

#ifdef __SANITIZE_ADDRESS__
/* Under AddressSanitizer a free element is poisoned to its last byte, one that is out is not, and
 * the gap up to the next element always is. */
Test(base_pool, poisons_free_elements)
{
    struct pool pool;
    uint8_t *element;

    setup(&pool);
    element = pool_acquire(&pool);
    cr_assert_null(__asan_region_is_poisoned(element, BYTES));
    cr_assert(__asan_address_is_poisoned(element + BYTES));
    cr_assert(__asan_address_is_poisoned(element + pool.stride_bytes));
    pool_release(&pool, element);
    for (uint32_t i = 0; i < BYTES; i++)
        cr_assert(__asan_address_is_poisoned(element + i));
    pool_deinit(&pool);
    cr_assert_null(__asan_region_is_poisoned(memory, sizeof(memory)));
}
#endif

/* The same element cannot come back twice. */
Test(base_pool, aborts_on_a_double_release, .signal = SIGABRT)
{
    struct pool pool;
    void *element;

    setup(&pool);
    (void)pool_acquire(&pool);
    element = pool_acquire(&pool);
    pool_release(&pool, element);
    pool_release(&pool, element);
}

/* A pointer into the middle of an element is not that element. */
Test(base_pool, aborts_on_a_pointer_into_an_element, .signal = SIGABRT)
{
    struct pool pool;
    uint8_t *element;

    setup(&pool);
    element = pool_acquire(&pool);
    pool_release(&pool, element + 8);
}

/* The first byte behind the elements belongs to none of them. */
Test(base_pool, aborts_on_a_foreign_pointer, .signal = SIGABRT)
{
    struct pool pool;

    setup(&pool);
    pool_index(&pool, memory + pool.stride_bytes * COUNT);
}

/* Memory that is one byte short is refused at start, not found out later. */
Test(base_pool, aborts_on_memory_that_is_too_small, .signal = SIGABRT)
{
    struct pool pool;

    pool_init(&pool, memory, pool_bytes(BYTES, COUNT) - 1, BYTES, COUNT);
}
