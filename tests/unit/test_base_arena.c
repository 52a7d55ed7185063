/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/arena.h: pieces do not overlap, are aligned, and are accounted for to the byte.
 */
#include <criterion/criterion.h>

#include "broker/base/arena.h"
#include "broker/base/prng.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static _Alignas(4096) uint8_t region[1u << 20];

static size_t budgets_sum(const struct arena *arena)
{
    const struct arena_budget *budget;
    size_t sum = 0;

    for (uint32_t row = 0; (budget = arena_budget_at(arena, row)) != NULL; row++)
        sum += budget->bytes;
    return sum;
}

/* Random sizes and alignments until the region is full: each piece is aligned, lies behind the
 * one before and inside the region, and the budgets add up. */
Test(base_arena, gives_aligned_pieces_that_do_not_overlap)
{
    static const char *const names[] = {"sessions", "partitions", "staging"};
    struct arena arena;
    struct prng prng;
    uint8_t *end = region + 1;
    uint32_t pieces = 0;

    prng_seed(&prng, 1);
    arena_init(&arena, region + 1, sizeof(region) - 1);
    for (;;) {
        size_t bytes = 1 + prng_below(&prng, 2000);
        size_t align = (size_t)1 << prng_below(&prng, 13);
        uint8_t *piece;

        arena_budget(&arena, names[prng_below(&prng, 3)]);
        piece = arena_alloc(&arena, bytes, align);
        if (piece == NULL)
            break;
        cr_assert_eq((uintptr_t)piece % align, 0);
        cr_assert(piece >= end);
        cr_assert((size_t)(piece - end) < align);
        end = piece + bytes;
        cr_assert(end <= region + sizeof(region));
        cr_assert_eq(arena_used(&arena), (size_t)(end - region - 1));
        cr_assert_eq(budgets_sum(&arena), arena_used(&arena));
        pieces++;
    }
    cr_assert_gt(pieces, 300);
}

/* The last byte can be had, and one more cannot. */
Test(base_arena, gives_the_region_to_its_last_byte)
{
    struct arena arena;

    arena_init(&arena, region, 100);
    cr_assert_eq(arena_alloc(&arena, 60, 1), region);
    cr_assert_null(arena_alloc(&arena, 41, 1));
    cr_assert_eq(arena_alloc(&arena, 40, 1), region + 60);
    cr_assert_null(arena_alloc(&arena, 1, 1));
}

/* A request that does not fit, be it for its size, its alignment or a size near 2^64, changes
 * nothing. */
Test(base_arena, changes_nothing_when_a_request_does_not_fit)
{
    struct arena arena;

    arena_init(&arena, region, 100);
    cr_assert_not_null(arena_alloc(&arena, 1, 1));
    cr_assert_null(arena_alloc(&arena, 100, 1));
    cr_assert_null(arena_alloc(&arena, 1, 4096));
    cr_assert_null(arena_alloc(&arena, SIZE_MAX, 8));
    cr_assert_null(arena_alloc(&arena, SIZE_MAX - 7, 16));
    cr_assert_eq(arena_used(&arena), 1);
    cr_assert_eq(budgets_sum(&arena), 1);
    cr_assert_eq(arena_alloc(&arena, 99, 1), region + 1);
}

/* The region's bytes are not touched. */
Test(base_arena, leaves_the_bytes_of_the_region_alone)
{
    struct arena arena;
    uint8_t *piece;

    memset(region, 0x5a, 4096);
    arena_init(&arena, region, 4096);
    piece = arena_alloc(&arena, 4096, 64);
    for (size_t i = 0; i < 4096; i++)
        cr_assert_eq(piece[i], 0x5a);
}

/* A name that comes up again is the same budget; what was allocated before any name is "other". */
Test(base_arena, charges_the_budget_named_last)
{
    struct arena arena;
    char again[] = "log";

    arena_init(&arena, region, 1000);
    arena_alloc(&arena, 1, 1);
    arena_budget(&arena, "log");
    arena_alloc(&arena, 10, 1);
    arena_budget(&arena, "net");
    arena_alloc(&arena, 100, 1);
    arena_budget(&arena, again);
    arena_alloc(&arena, 20, 1);

    cr_assert_str_eq(arena_budget_at(&arena, 0)->name, "other");
    cr_assert_eq(arena_budget_at(&arena, 0)->bytes, 1);
    cr_assert_str_eq(arena_budget_at(&arena, 1)->name, "log");
    cr_assert_eq(arena_budget_at(&arena, 1)->bytes, 30);
    cr_assert_str_eq(arena_budget_at(&arena, 2)->name, "net");
    cr_assert_eq(arena_budget_at(&arena, 2)->bytes, 100);
    cr_assert_null(arena_budget_at(&arena, 3));
}

/* Once sealed, a shard allocates no more. */
Test(base_arena, aborts_on_an_allocation_after_the_seal, .signal = SIGABRT)
{
    struct arena arena;

    arena_init(&arena, region, 100);
    arena_seal(&arena);
    arena_seal(&arena);
    arena_alloc(&arena, 1, 1);
}

/* The table of budgets is as large as its constant says, and no larger. */
Test(base_arena, aborts_on_one_budget_too_many, .signal = SIGABRT)
{
    static char names[ARENA_BUDGETS_MAX][12];
    struct arena arena;

    arena_init(&arena, region, 100);
    for (uint32_t i = 0; i < ARENA_BUDGETS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "%u", i);
        /* "other" has taken one row, so only the last name is too many. */
        cr_assert_eq(arena_budget_at(&arena, i + 1), NULL);
        arena_budget(&arena, names[i]);
        cr_assert_str_eq(arena_budget_at(&arena, i + 1)->name, names[i]);
    }
}

/* An alignment is a power of two. */
Test(base_arena, aborts_on_an_alignment_that_is_no_power_of_two, .signal = SIGABRT)
{
    struct arena arena;

    arena_init(&arena, region, 100);
    arena_alloc(&arena, 8, 12);
}
