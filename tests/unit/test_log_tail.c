/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory tail: placement, eviction, look-up.
 */
#include "broker/base/prng.h"
#include "broker/log/tail.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdlib.h>

#define TAIL_BYTES (4u << 20)
#define PAGE XD_BLOCK_ALIGN

static struct tail make_tail(void)
{
    struct tail tail;
    uint8_t *memory = aligned_alloc(PAGE, TAIL_BYTES);
    struct tail_block *blocks = calloc(tail_blocks_max(TAIL_BYTES), sizeof(*blocks));

    cr_assert(memory && blocks);
    tail_init(&tail, memory, TAIL_BYTES, blocks);
    return tail;
}

static void free_tail(struct tail *tail)
{
    free(tail->memory);
    free(tail->blocks);
}

/* Places and pushes a block; its address, or UINT64_MAX when there is no room. */
static uint64_t put(struct tail *tail, uint32_t bytes, uint64_t position)
{
    struct tail_block *block;
    uint64_t address;

    if (tail_place(tail, bytes, bytes, &address) == 0)
        return UINT64_MAX;
    block = tail_push(tail, address, bytes);
    block->position = position;
    block->state = TAIL_WRITTEN;
    return address;
}

/* Blocks lie one behind the other, and none wraps around the region's end. */
Test(log_tail, places_blocks_contiguously_and_skips_the_end)
{
    struct tail tail = make_tail();

    cr_assert_eq(put(&tail, 3 * PAGE, 1), 0);
    cr_assert_eq(put(&tail, PAGE, 2), 3 * PAGE);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_neq(put(&tail, XD_BLOCK_BYTES_MAX, 3 + i), UINT64_MAX);
    /* Less than 1 MiB is left at the end; released blocks make room at the start. */
    tail_release(&tail, 3);
    cr_assert_eq(put(&tail, XD_BLOCK_BYTES_MAX, 9), TAIL_BYTES);
    free_tail(&tail);
}

/* What is asked for at most is given when it is there, else what is there down to the need. */
Test(log_tail, gives_what_is_left_between_need_and_want)
{
    struct tail tail = make_tail();
    uint64_t address;

    cr_assert_eq(tail_place(&tail, PAGE, XD_BLOCK_BYTES_MAX, &address), XD_BLOCK_BYTES_MAX);
    for (uint32_t i = 0; i < 3; i++)
        put(&tail, XD_BLOCK_BYTES_MAX, 1 + i);
    put(&tail, XD_BLOCK_BYTES_MAX - 5 * PAGE, 8);
    cr_assert_eq(tail_place(&tail, PAGE, XD_BLOCK_BYTES_MAX, &address), 5 * PAGE);
    cr_assert_eq(tail_place(&tail, 6 * PAGE, XD_BLOCK_BYTES_MAX, &address), 0);
    free_tail(&tail);
}

/* Blocks that are not released stay, whatever is asked for. */
Test(log_tail, never_evicts_an_unreleased_block)
{
    struct tail tail = make_tail();
    uint64_t address;

    for (uint32_t i = 0; i < 4; i++)
        cr_assert_neq(put(&tail, XD_BLOCK_BYTES_MAX, i + 1), UINT64_MAX);
    cr_assert_eq(tail_place(&tail, PAGE, PAGE, &address), 0);
    cr_assert_not_null(tail_find(&tail, 1));
    tail_release(&tail, 1);
    cr_assert_eq(tail_place(&tail, PAGE, PAGE, &address), PAGE);
    cr_assert_null(tail_find(&tail, 1));
    cr_assert_not_null(tail_find(&tail, 2));
    free_tail(&tail);
}

/* Memory that the env still writes from is never given out, whatever was released: the process
 * ends first. */
Test(log_tail, evicting_a_block_that_is_being_written_aborts, .signal = SIGABRT)
{
    struct tail tail = make_tail();

    for (uint32_t i = 0; i < 4; i++)
        cr_assert_neq(put(&tail, XD_BLOCK_BYTES_MAX, i + 1), UINT64_MAX);
    tail_at(&tail, 0)->state = TAIL_WRITING;
    tail_release(&tail, 1);
    (void)put(&tail, PAGE, 9);
}

/* A block is found by its position as long as it is in memory. */
Test(log_tail, finds_blocks_by_position)
{
    struct tail tail = make_tail();

    for (uint64_t i = 0; i < 100; i++)
        put(&tail, PAGE, 1000 + 10 * i);
    for (uint64_t i = 0; i < 100; i++)
        cr_assert_eq(tail_find(&tail, 1000 + 10 * i)->position, 1000 + 10 * i);
    cr_assert_null(tail_find(&tail, 999));
    cr_assert_null(tail_find(&tail, 1005));
    cr_assert_null(tail_find(&tail, 2000));
    free_tail(&tail);
}

/* Over random use the memory of blocks in the ring never overlaps, and contents survive. */
Test(log_tail, keeps_the_bytes_of_every_block_it_still_knows)
{
    struct tail tail = make_tail();
    struct prng prng;
    uint64_t position = 1;

    prng_seed(&prng, 7);
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t bytes =
            (uint32_t)(1 + prng_below(&prng, prng_chance(&prng, 6000) ? 256 : 8)) * PAGE;
        uint64_t address = put(&tail, bytes, position);

        if (address == UINT64_MAX) {
            uint64_t unreleased = tail.ring.head - tail.released;
            tail_release(&tail, tail.released + 1 + prng_below(&prng, unreleased));
            continue;
        }
        cr_assert_leq((address & (TAIL_BYTES - 1)) + bytes, TAIL_BYTES);
        *(uint64_t *)(void *)tail_memory(&tail, address) = position;
        *(uint64_t *)(void *)(tail_memory(&tail, address) + bytes - 8) = position;
        position++;
        for (uint64_t c = tail.ring.tail; c < tail.ring.head && step % 64 == 0; c++) {
            const struct tail_block *block = tail_at(&tail, c);
            const uint8_t *memory = tail_memory(&tail, block->address);

            cr_assert_eq(*(const uint64_t *)(const void *)memory, block->position);
            cr_assert_eq(*(const uint64_t *)(const void *)(memory + block->block_bytes - 8),
                         block->position);
        }
    }
    free_tail(&tail);
}
