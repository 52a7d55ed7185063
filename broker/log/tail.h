/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory tail: the newest blocks of the log, in one region, with a ring of descriptors.
 *
 * Normal path: tail_place finds contiguous memory for the block that is being filled, tail_push
 * gives it a descriptor once its size is final, tail_release says up to which block everything is
 * durable and given to the fold; released blocks stay readable until their memory is needed.
 * A block never wraps: what is left at the end of the region is skipped. Memory is named by an
 * ever-growing address, so "oldest" and "newest" need no special cases.
 *
 * Failure path: tail_place gives 0 when the blocks that may go are not enough; the caller
 * throttles. Must not know segments, files or what a block holds.
 */
#ifndef CROSSDOCK_LOG_TAIL_H
#define CROSSDOCK_LOG_TAIL_H

#include "broker/base/ring.h"
#include "wire/limits.h"

#include <stdint.h>

enum tail_state {
    TAIL_CLOSED,  /* sealed, its write has not been started */
    TAIL_WRITING, /* its memory belongs to the env */
    TAIL_WRITTEN, /* its write has completed */
    TAIL_STATE_COUNT
};

struct tail_block {
    uint64_t index;         /* log index; local blocks repeat the last one */
    uint64_t position;      /* log position */
    uint64_t address;       /* of its memory, see tail_memory() */
    uint64_t started_ns;    /* monotonic time when its write was started */
    uint32_t block_bytes;   /* multiple of 4096 */
    uint32_t written_bytes; /* of them known to be written, multiple of 4096 */
    uint32_t slot;          /* segment slot that it is written to */
    uint16_t type;          /* enum block_type */
    uint8_t state;          /* enum tail_state */
    uint8_t stalls;         /* completions in a row that wrote nothing */
};

struct tail {
    uint8_t *memory;           /* the region, 4 KiB aligned */
    uint64_t bytes;            /* its size, power of two */
    struct tail_block *blocks; /* descriptors, one per 4 KiB of the region */
    struct ring ring;          /* of descriptors; a counter names a block for good */
    uint64_t head;             /* address where the next block may start */
    uint64_t released;         /* counter below which blocks may be evicted */
};

/* Descriptors that a tail of `bytes` needs. */
uint32_t tail_blocks_max(uint64_t bytes);

/* `memory` of `bytes` (power of two, >= 2 x XD_BLOCK_BYTES_MAX) and `blocks` of tail_blocks_max()
 * stay the tail's. */
void tail_init(struct tail *tail, uint8_t *memory, uint64_t bytes, struct tail_block *blocks);

/* Finds memory for the next block: at least `need` and at most `want` contiguous bytes, both
 * multiples of 4096. Returns what it found and *ret_address, or 0. Released blocks are evicted as
 * far as necessary. The memory stays the caller's until the next tail_place or tail_push. */
uint32_t tail_place(struct tail *tail, uint32_t need, uint32_t want, uint64_t *ret_address);

/* Gives the block at `address` (of the last tail_place) its descriptor. The caller fills in what
 * is not given here; the counter of the block is tail->ring.head - 1. */
struct tail_block *tail_push(struct tail *tail, uint64_t address, uint32_t block_bytes);

/* Blocks with counters below `counter` may be evicted from now on. */
void tail_release(struct tail *tail, uint64_t counter);

/* The block with that counter, which must not be evicted yet. */
struct tail_block *tail_at(const struct tail *tail, uint64_t counter);

/* The block at a log position, or NULL when it is not in memory (any more). */
struct tail_block *tail_find(const struct tail *tail, uint64_t position);

/* Where the bytes at an address are. */
static inline uint8_t *tail_memory(const struct tail *tail, uint64_t address)
{
    return tail->memory + (address & (tail->bytes - 1));
}

#endif
