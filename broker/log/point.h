/* SPDX-License-Identifier: Apache-2.0
 *
 * The point that recovery has reached: what the next block must continue, and the rule for it.
 * Pure functions over memory.
 */
#ifndef CROSSDOCK_LOG_POINT_H
#define CROSSDOCK_LOG_POINT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/log/block.h"
#include "broker/log/checkpoint_format.h"
#include "broker/log/meta.h"

/* Place of a segment's first block: behind the segment's header. */
#define RECOVER_FIRST_AT 4096u

struct recover_point {
    uint64_t position; /* log position of the next block */
    uint64_t sequence; /* its block_sequence */
    uint64_t index;    /* its index, unless it is local */
    uint64_t chain;    /* chain value of the blocks so far */
    uint64_t epoch;    /* of the last block; blocks never fall below it */
    uint64_t term;     /* of the last block */
};

static inline bool block_is_local(const struct block_header *block)
{
    return block->type == BLOCK_SEAL || block->type == BLOCK_MARK;
}

/* Before the first block of a new log. */
struct recover_point point_first(uint64_t segment_bytes);
/* Behind a checkpoint's last block. The header must have been checked. */
struct recover_point point_of_checkpoint(const struct checkpoint_header *checkpoint);
/* NULL when a block whose header is valid continues the point with block_sequence `sequence` (the
 * point's, or one more when a local block in between is lost); else what is wrong, static text. */
const char *point_check(const struct recover_point *point, const struct meta *meta,
                        const struct block_header *block, uint64_t sequence);
/* Moves behind a block at `position` that continues it. Behind a SEAL, and behind a block that
 * fills its segment, that is the next segment's first block. */
void point_advance(struct recover_point *point, const struct block_header *block, uint64_t position,
                   uint64_t segment_bytes);

/* Identity to check a block of this log against: its own epoch, read from its header. */
struct block_identity point_identity(const struct meta *meta, uint64_t segment_no, uint64_t epoch);

#endif
