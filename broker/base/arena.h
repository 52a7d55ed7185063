/* SPDX-License-Identifier: Apache-2.0
 *
 * Bump allocator over one region of memory: everything a shard needs is carved out of it at start.
 *
 * Normal path: arena_init over the region, then per module arena_budget with its name and any
 * number of arena_alloc, at last arena_seal. The budgets say afterwards who took how much; they
 * add up to arena_used. Nothing is given back singly; the region goes as a whole, with its owner.
 *
 * Failure path: an allocation that does not fit gives NULL and changes nothing, so the caller can
 * name the limit that is set too high. An allocation after the seal is a bug and aborts.
 * Must not grow, and must not touch the region's bytes: they are as the caller handed them in.
 */
#ifndef CROSSDOCK_BROKER_BASE_ARENA_H
#define CROSSDOCK_BROKER_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Different budget names in one arena: modules of a shard with room to spare. */
#define ARENA_BUDGETS_MAX 32u

struct arena_budget {
    const char *name; /* static text, "sessions" */
    size_t bytes;     /* allocated under this name, alignment gaps included */
};

struct arena {
    uint8_t *memory;       /* start of the region, the caller's */
    size_t bytes;          /* size of the region */
    size_t used;           /* bytes allocated from the start, alignment gaps included */
    uint32_t budget;       /* row of `budgets` that allocations are charged to */
    uint32_t budget_count; /* rows in use, at least 1 */
    bool sealed;           /* no allocation any more */
    struct arena_budget budgets[ARENA_BUDGETS_MAX]; /* in the sequence of their first naming */
};

/* Starts with the whole region free and the budget "other". */
void arena_init(struct arena *arena, void *memory, size_t bytes);

/* Charges the allocations that follow to `name`, static text; a name may come up again. */
void arena_budget(struct arena *arena, const char *name);

/* `bytes` > 0 of the region at a multiple of `align`, a power of two; NULL when they do not fit.
 * The memory is borrowed from the region. */
void *arena_alloc(struct arena *arena, size_t bytes, size_t align);

/* Ends allocation for good. Sealing twice is allowed. */
void arena_seal(struct arena *arena);

/* Bytes allocated, alignment gaps included. */
size_t arena_used(const struct arena *arena);

/* Budget number `row` from 0, or NULL behind the last. Lives as long as the arena. */
const struct arena_budget *arena_budget_at(const struct arena *arena, uint32_t row);

#endif
