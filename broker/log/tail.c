/* SPDX-License-Identifier: Apache-2.0
 *
 * Staging memory of the log: placement and eviction of blocks. See tail.h.
 *
 * All addresses grow for ever; the place in the region is the address modulo its size. A
 * descriptor per 4 KiB means that memory always runs out before descriptors do.
 */
#include "broker/log/tail.h"

#include "wire/xassert.h"

#include <stddef.h>

uint32_t tail_blocks_max(uint64_t bytes)
{
    XD_ASSERT(bytes / XD_BLOCK_ALIGN <= RING_CAPACITY_MAX);
    return (uint32_t)(bytes / XD_BLOCK_ALIGN);
}

void tail_init(struct tail *tail, uint8_t *memory, uint64_t bytes, struct tail_block *blocks)
{
    XD_ASSERT((bytes & (bytes - 1)) == 0 && bytes >= 2u * XD_BLOCK_BYTES_MAX);
    XD_ASSERT((uintptr_t)memory % XD_BLOCK_ALIGN == 0);
    *tail = (struct tail){.memory = memory, .bytes = bytes, .blocks = blocks};
    ring_init(&tail->ring, tail_blocks_max(bytes));
    XD_ASSERT(tail->released == 0 && tail->head == 0);
}

/* Gives up the oldest block. What the env still writes from must never get here. */
static void evict(struct tail *tail)
{
    const struct tail_block *oldest = &tail->blocks[ring_at(&tail->ring, 0)];

    XD_ASSERT(oldest->state == TAIL_WRITTEN);
    XD_ASSERT(tail->ring.tail < tail->released && tail->released <= tail->ring.head);
    (void)ring_pop(&tail->ring);
}

/* Bytes from `head` on that no descriptor covers. */
static uint64_t free_bytes(const struct tail *tail)
{
    uint64_t oldest = tail->head;

    if (ring_count(&tail->ring) > 0)
        oldest = tail->blocks[ring_at(&tail->ring, 0)].address;
    XD_ASSERT(tail->head - oldest <= tail->bytes);
    return tail->bytes - (tail->head - oldest);
}

uint32_t tail_place(struct tail *tail, uint32_t need, uint32_t want, uint64_t *ret_address)
{
    uint64_t to_end = tail->bytes - (tail->head & (tail->bytes - 1));
    uint64_t skipped = to_end < need ? to_end : 0;
    uint64_t contiguous = skipped > 0 ? tail->bytes : to_end;
    uint64_t found;

    XD_ASSERT(need > 0 && need <= want && want <= XD_BLOCK_BYTES_MAX);
    XD_ASSERT(need % XD_BLOCK_ALIGN == 0 && want % XD_BLOCK_ALIGN == 0);
    if (want < contiguous)
        contiguous = want;
    while (free_bytes(tail) < skipped + contiguous && tail->ring.tail < tail->released)
        evict(tail);
    found = free_bytes(tail);
    if (found < skipped + need)
        return 0;
    found -= skipped;
    *ret_address = tail->head + skipped;
    XD_ASSERT((*ret_address & (tail->bytes - 1)) + need <= tail->bytes); /* it does not wrap */
    return (uint32_t)(found < contiguous ? found : contiguous);
}

struct tail_block *tail_push(struct tail *tail, uint64_t address, uint32_t block_bytes)
{
    struct tail_block *block;

    XD_ASSERT(address >= tail->head && block_bytes > 0 && block_bytes % XD_BLOCK_ALIGN == 0);
    XD_ASSERT(free_bytes(tail) >= address - tail->head + block_bytes);
    XD_ASSERT((address & (tail->bytes - 1)) + block_bytes <= tail->bytes);
    block = &tail->blocks[ring_push(&tail->ring)];
    *block = (struct tail_block){.address = address, .block_bytes = block_bytes};
    tail->head = address + block_bytes;
    return block;
}

void tail_release(struct tail *tail, uint64_t counter)
{
    XD_ASSERT(counter >= tail->released && counter <= tail->ring.head);
    tail->released = counter;
}

struct tail_block *tail_at(const struct tail *tail, uint64_t counter)
{
    return &tail->blocks[ring_index(&tail->ring, counter)];
}

struct tail_block *tail_find(const struct tail *tail, uint64_t position)
{
    uint64_t low = tail->ring.tail;
    uint64_t high = tail->ring.head;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        struct tail_block *block = tail_at(tail, middle);

        if (block->position == position) {
            XD_ASSERT(tail->head - block->address <= tail->bytes); /* its memory is still its own */
            return block;
        }
        if (block->position < position)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
