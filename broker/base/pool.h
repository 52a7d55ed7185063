/* SPDX-License-Identifier: Apache-2.0
 *
 * Pool of equal-sized elements over the caller's memory; acquire and release are O(1).
 *
 * Normal path: pool_bytes says how much memory to hand to pool_init; pool_acquire gives an element
 * with undefined contents, pool_release takes it back. An element is known by its index for as
 * long as it is out, and by (index, generation) beyond that: the generation of a slot rises at
 * each release, so a completion or token that comes late finds NULL instead of the next owner.
 *
 * Failure path: an exhausted pool gives NULL. Releasing an element twice, or a pointer that is not
 * the start of one, is a bug and aborts. Under AddressSanitizer free elements are poisoned, so any
 * use after release is reported.
 * Teardown: pool_deinit, also on a zeroed pool and with elements still out.
 *
 * Layout of the memory: all elements, then one slot of 8 bytes each. Must not allocate; used by
 * one thread.
 */
#ifndef CROSSDOCK_BROKER_BASE_POOL_H
#define CROSSDOCK_BROKER_BASE_POOL_H

#include <stddef.h>
#include <stdint.h>

/* Elements lie this many bytes apart or a multiple. An element type with a stricter alignment has a
 * size that is a multiple of it, so it is enough to hand in memory aligned that strictly. */
#define POOL_ALIGN 16u

/* Bounds of one pool; the free list needs two values beyond the indexes. */
#define POOL_ELEMENTS_MAX 0x80000000u
#define POOL_ELEMENT_BYTES_MAX 0x40000000u

struct pool_slot {
    uint32_t next_free;  /* index of the next free slot, or a mark: last free one, in use */
    uint32_t generation; /* from 1, one more at each release, never 0 */
};

struct pool {
    uint8_t *elements;       /* first element; NULL in a zeroed pool */
    struct pool_slot *slots; /* one per element */
    size_t element_bytes;    /* as asked for */
    size_t stride_bytes;     /* from one element to the next */
    uint32_t element_count;  /* elements in all */
    uint32_t free_count;     /* of these not acquired */
    uint32_t free_first;     /* slot that the next acquire takes, or the mark for none */
};

/* Memory that a pool of `element_count` elements of `element_bytes` needs. */
size_t pool_bytes(size_t element_bytes, uint32_t element_count);

/* Takes `memory` of at least pool_bytes() bytes, aligned to POOL_ALIGN or the element's stricter
 * need, until pool_deinit. Elements come out in rising index sequence at first. */
void pool_init(struct pool *pool, void *memory, size_t memory_bytes, size_t element_bytes,
               uint32_t element_count);

/* Gives the memory back to the caller, unpoisoned, and zeroes the pool. */
void pool_deinit(struct pool *pool);

/* An element, the most recently released one first, or NULL when all are out. */
void *pool_acquire(struct pool *pool);

/* Takes back an element that pool_acquire gave. */
void pool_release(struct pool *pool, void *element);

/* Index 0..element_count-1 of an element of this pool. */
uint32_t pool_index(const struct pool *pool, const void *element);

/* Present generation of the slot `index`. */
uint32_t pool_generation(const struct pool *pool, uint32_t index);

/* The element at `index` when it is out, else NULL. Serves to walk all elements that are out. */
void *pool_at(const struct pool *pool, uint32_t index);

/* The element at `index` when it is out and still of that generation, else NULL. For tokens that
 * the pool's user made; `index` must be below element_count. */
void *pool_find(const struct pool *pool, uint32_t index, uint32_t generation);

/* Elements that can be acquired. */
static inline uint32_t pool_free_count(const struct pool *pool)
{
    return pool->free_count;
}

/* Asserts all invariants, O(n). */
void pool_check(const struct pool *pool);

#endif
