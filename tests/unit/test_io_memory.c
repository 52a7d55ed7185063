/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory regions: alignment, budget, and that small pieces share.
 */
#include "broker/io/memory.h"

#include <string.h>
#include <sys/resource.h>

#include <criterion/criterion.h>

#define MIB ((size_t)1024 * 1024)

/* Pieces of every size are aligned as promised, zero, and do not overlap. */
Test(io_memory, pieces_are_aligned_and_apart)
{
    static uint8_t *pieces[2000];
    static size_t sizes[2000];
    struct memory memory;
    memory_init(&memory, 0);
    for (size_t i = 0; i < 2000; i++) {
        sizes[i] = 1 + i * 37 % 9000;
        pieces[i] = memory_alloc(&memory, sizes[i]);
        cr_assert_not_null(pieces[i]);
        cr_assert_eq((uintptr_t)pieces[i] % (sizes[i] >= 4096 ? 4096 : 64), 0);
        for (size_t k = 0; k < sizes[i]; k++)
            cr_assert_eq(pieces[i][k], 0);
        memset(pieces[i], (int)(i % 250) + 1, sizes[i]);
    }
    for (size_t i = 0; i < 2000; i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            cr_assert_eq(pieces[i][k], i % 250 + 1);
    }
    cr_assert_lt(memory.bytes, 32 * MIB, "small pieces share regions");
    memory_free_all(&memory);
    cr_assert_eq(memory.bytes, 0);
}

/* From 2 MiB on a piece starts where a huge page can. */
Test(io_memory, large_pieces_start_on_huge_pages)
{
    struct memory memory;
    memory_init(&memory, 0);
    for (size_t bytes = 2 * MIB; bytes <= 18 * MIB; bytes += 3 * MIB + 4096) {
        uint8_t *piece = memory_alloc(&memory, bytes);
        cr_assert_not_null(piece);
        cr_assert_eq((uintptr_t)piece % (2 * MIB), 0);
        piece[bytes - 1] = 1;
    }
    memory_free_all(&memory);
}

/* The budget is kept to the byte that is mapped; a refusal changes nothing. */
Test(io_memory, budget_is_kept)
{
    struct memory memory;
    memory_init(&memory, 4 * MIB);
    cr_assert_not_null(memory_alloc(&memory, 3 * MIB));
    cr_assert_null(memory_alloc(&memory, 2 * MIB));
    cr_assert_eq(memory.bytes, 3 * MIB);
    cr_assert_not_null(memory_alloc(&memory, 100));
    cr_assert_eq(memory.bytes, 4 * MIB);
    cr_assert_null(memory_alloc(&memory, MIB));
    cr_assert_not_null(memory_alloc(&memory, 100), "the small region has room");
    memory_free_all(&memory);
    cr_assert_not_null(memory_alloc(&memory, 4 * MIB), "the budget survives");
    memory_free_all(&memory);
}

/* When the kernel has no more the answer is NULL. */
Test(io_memory, refusal_of_the_kernel_is_null)
{
    struct memory memory;
    memory_init(&memory, 0);
    cr_assert_null(memory_alloc(&memory, (size_t)1 << 60));
    cr_assert_eq(memory.count, 0);
    cr_assert_eq(memory.bytes, 0);
}

/* All pages are there before the memory is used. */
Test(io_memory, pages_are_touched_at_start)
{
    struct memory memory;
    struct rusage before;
    struct rusage after;
    memory_init(&memory, 0);
    uint8_t *piece = memory_alloc(&memory, 16 * MIB);
    cr_assert_not_null(piece);
    cr_assert_eq(getrusage(RUSAGE_SELF, &before), 0);
    for (size_t i = 0; i < 16 * MIB; i += 4096)
        piece[i] = 1;
    cr_assert_eq(getrusage(RUSAGE_SELF, &after), 0);
    cr_assert_lt(after.ru_minflt - before.ru_minflt, 64, "of 4096 pages");
    memory_free_all(&memory);
}
