/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/ring.h: elements leave in the sequence in which they came, each in one slot.
 */
#include <criterion/criterion.h>

#include "broker/base/prng.h"
#include "broker/base/ring.h"

#include <signal.h>

/* Random pushes and pops of numbered elements come out by number; `start` is the counter that the
 * ring begins at. */
static void churn(uint32_t capacity, uint64_t start, uint64_t seed)
{
    uint64_t slots[64];
    struct prng prng;
    struct ring ring;
    uint64_t pushed = start, popped = start;

    prng_seed(&prng, seed);
    ring_init(&ring, capacity);
    ring.head = ring.tail = start;
    for (uint32_t op = 0; op < 100000; op++) {
        if (prng_chance(&prng, 32768) && ring_free_count(&ring) > 0) {
            slots[ring_push(&ring)] = pushed++;
        } else if (ring_count(&ring) > 0) {
            cr_assert_eq(slots[ring_pop(&ring)], popped++);
        }
        cr_assert_eq(ring_count(&ring), pushed - popped);
        cr_assert_eq(ring_count(&ring) + ring_free_count(&ring), capacity);
        if (ring_count(&ring) > 0) {
            uint32_t position = (uint32_t)prng_below(&prng, ring_count(&ring));

            cr_assert_eq(slots[ring_at(&ring, position)], popped + position);
            cr_assert_eq(slots[ring_index(&ring, popped + position)], popped + position);
        }
    }
    cr_assert_gt(popped, start + 20000);
}

/* First in, first out, for all small capacities. */
Test(base_ring, gives_elements_in_the_sequence_of_pushes)
{
    for (uint32_t capacity = 1; capacity <= 64; capacity *= 2)
        churn(capacity, 0, capacity);
}

/* Slots stay right where the counters outgrow 32 bits. */
Test(base_ring, passes_the_32_bit_boundary_of_its_counters)
{
    churn(16, UINT32_MAX - 10000, 7);
}

/* A full ring uses each slot once. */
Test(base_ring, uses_every_slot_when_full)
{
    bool seen[8] = {false};
    struct ring ring;

    ring_init(&ring, 8);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t index = ring_push(&ring);

        cr_assert_lt(index, 8);
        cr_assert(!seen[index]);
        seen[index] = true;
    }
    cr_assert_eq(ring_free_count(&ring), 0);
}

/* A full ring takes nothing more. */
Test(base_ring, aborts_when_a_full_ring_is_pushed, .signal = SIGABRT)
{
    struct ring ring;

    ring_init(&ring, 1);
    ring_push(&ring);
    ring_push(&ring);
}

/* An empty ring gives nothing. */
Test(base_ring, aborts_when_an_empty_ring_is_popped, .signal = SIGABRT)
{
    struct ring ring;

    ring_init(&ring, 4);
    ring_pop(&ring);
}

/* The counter of an element that has left names nothing. */
Test(base_ring, aborts_on_the_counter_of_a_popped_element, .signal = SIGABRT)
{
    struct ring ring;

    ring_init(&ring, 4);
    ring_push(&ring);
    ring_push(&ring);
    ring_pop(&ring);
    ring_index(&ring, 0);
}

/* The counter of an element that has not come yet names nothing. */
Test(base_ring, aborts_on_the_counter_of_a_later_element, .signal = SIGABRT)
{
    struct ring ring;

    ring_init(&ring, 4);
    ring_push(&ring);
    ring_index(&ring, 1);
}

/* Masking needs a power of two. */
Test(base_ring, aborts_on_a_capacity_that_is_no_power_of_two, .signal = SIGABRT)
{
    struct ring ring;

    ring_init(&ring, 12);
}
