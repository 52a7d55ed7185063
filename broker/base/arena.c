/* SPDX-License-Identifier: Apache-2.0
 *
 * Bump allocator; see arena.h. Arithmetic is on what is left, never on sums of sizes, so that no
 * request can wrap around.
 */
#include "broker/base/arena.h"

#include "wire/xassert.h"

#include <string.h>

void arena_init(struct arena *arena, void *memory, size_t bytes)
{
    XD_ASSERT(memory != NULL);
    XD_ASSERT(bytes > 0);
    *arena = (struct arena){.memory = memory, .bytes = bytes};
    arena_budget(arena, "other");
}

void arena_budget(struct arena *arena, const char *name)
{
    uint32_t row = 0;

    XD_ASSERT(name != NULL);
    XD_ASSERT(!arena->sealed);
    while (row < arena->budget_count && strcmp(arena->budgets[row].name, name) != 0)
        row++;
    if (row == arena->budget_count) {
        XD_ASSERT(row < ARENA_BUDGETS_MAX);
        arena->budgets[row] = (struct arena_budget){.name = name};
        arena->budget_count++;
    }
    arena->budget = row;
}

void *arena_alloc(struct arena *arena, size_t bytes, size_t align)
{
    size_t left = arena->bytes - arena->used;
    size_t gap;
    uint8_t *start;

    XD_ASSERT(!arena->sealed);
    XD_ASSERT(bytes > 0);
    XD_ASSERT(align > 0 && (align & (align - 1)) == 0);

    gap = (0 - ((uintptr_t)arena->memory + arena->used)) & (align - 1);
    if (gap > left || bytes > left - gap)
        return NULL;
    start = arena->memory + arena->used + gap;
    arena->used += gap + bytes;
    arena->budgets[arena->budget].bytes += gap + bytes;
    XD_ASSERT(arena->used <= arena->bytes);
    return start;
}

void arena_seal(struct arena *arena)
{
    arena->sealed = true;
}

size_t arena_used(const struct arena *arena)
{
    return arena->used;
}

const struct arena_budget *arena_budget_at(const struct arena *arena, uint32_t row)
{
    return row < arena->budget_count ? &arena->budgets[row] : NULL;
}
