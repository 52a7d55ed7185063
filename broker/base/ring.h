/* SPDX-License-Identifier: Apache-2.0
 *
 * First-in first-out queue of slot indexes, for queues of structs in a fixed array.
 *
 * Normal path: the owner has an array of a power-of-two number of slots beside a `struct ring`.
 * ring_push says which slot to fill, ring_pop which slot to read. `head` and `tail` count pushes
 * and pops since the start and never wrap (2^64 pushes are out of reach), so such a counter also
 * names an element for as long as it is queued: an in-flight request keeps it, ring_index finds it.
 *
 * Failure path: pushing into a full ring, popping an empty one or naming an element that is not
 * queued is a bug and aborts; a caller that can meet a full ring asks ring_free_count first.
 * Must not touch the slots: it holds no pointer to them.
 */
#ifndef CROSSDOCK_BROKER_BASE_RING_H
#define CROSSDOCK_BROKER_BASE_RING_H

#include "wire/xassert.h"

#include <stdint.h>

#define RING_CAPACITY_MAX 0x80000000u

struct ring {
    uint64_t head; /* counter that the next push gets = pushes so far */
    uint64_t tail; /* counter of the oldest queued element = pops so far */
    uint32_t mask; /* capacity - 1; capacity is a power of two */
};

/* `capacity` is the number of slots, a power of two from 1 to RING_CAPACITY_MAX. */
static inline void ring_init(struct ring *ring, uint32_t capacity)
{
    XD_ASSERT(capacity > 0 && capacity <= RING_CAPACITY_MAX);
    XD_ASSERT((capacity & (capacity - 1)) == 0);
    ring->head = 0;
    ring->tail = 0;
    ring->mask = capacity - 1;
}

/* Elements queued. */
static inline uint32_t ring_count(const struct ring *ring)
{
    XD_ASSERT(ring->head - ring->tail <= (uint64_t)ring->mask + 1);
    return (uint32_t)(ring->head - ring->tail);
}

/* Elements that can still be pushed. */
static inline uint32_t ring_free_count(const struct ring *ring)
{
    return ring->mask + 1 - ring_count(ring);
}

/* Slot of the queued element that was pushed as number `counter`. */
static inline uint32_t ring_index(const struct ring *ring, uint64_t counter)
{
    XD_ASSERT(counter >= ring->tail);
    XD_ASSERT(counter < ring->head);
    return (uint32_t)counter & ring->mask;
}

/* Slot of the queued element at `position`, 0 = oldest. */
static inline uint32_t ring_at(const struct ring *ring, uint32_t position)
{
    return ring_index(ring, ring->tail + position);
}

/* Queues one element and gives the slot to fill; its counter is what `head` was. */
static inline uint32_t ring_push(struct ring *ring)
{
    XD_ASSERT(ring_free_count(ring) > 0);
    ring->head++;
    return ring_index(ring, ring->head - 1);
}

/* Takes the oldest element out and gives its slot, which stays readable until a push reuses it. */
static inline uint32_t ring_pop(struct ring *ring)
{
    uint32_t index = ring_at(ring, 0);

    ring->tail++;
    return index;
}

#endif
