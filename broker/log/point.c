/* SPDX-License-Identifier: Apache-2.0
 *
 * The rule of continuation: block_sequence, index, chain, epoch and term all follow from the block
 * before. Each catches what the others cannot: the chain missing or swapped data, the sequence
 * missing local blocks, the epoch whole blocks that an earlier recovery has cut off. A block's
 * durable_index lies below its own index, so only meta and later blocks can tell that a block
 * was durable.
 */
#include "broker/log/point.h"

#include "broker/log/segment.h"
#include "wire/xassert.h"

#include <string.h>

static_assert(RECOVER_FIRST_AT == SEGMENT_HEADER_BYTES, "blocks begin behind the header");

/* A position at the very start of a segment means its first block. */
static uint64_t skip_header(uint64_t position, uint64_t segment_bytes)
{
    return position % segment_bytes == 0 ? position + RECOVER_FIRST_AT : position;
}

struct recover_point point_first(uint64_t segment_bytes)
{
    XD_ASSERT(segment_bytes >= SEGMENT_BYTES_MIN);
    return (struct recover_point){
        .position = segment_bytes + RECOVER_FIRST_AT, .sequence = 1, .index = 1};
}

struct recover_point point_of_checkpoint(const struct checkpoint_header *checkpoint)
{
    XD_ASSERT(checkpoint->generation > 0);
    return (struct recover_point){
        .position = skip_header(checkpoint->position, checkpoint->segment_bytes),
        .sequence = checkpoint->block_sequence + 1,
        .index = checkpoint->index + 1,
        .chain = checkpoint->chain,
        .epoch = 0, /* the run that wrote it may have folded blocks of earlier runs */
        .term = checkpoint->term};
}

const char *point_check(const struct recover_point *point, const struct meta *meta,
                        const struct block_header *block, uint64_t sequence)
{
    XD_ASSERT(sequence == point->sequence || sequence == point->sequence + 1);
    if (block->block_sequence != sequence)
        return "the block sequence does not continue";
    if (block->prev_chain != point->chain)
        return "the chain does not continue";
    if (block->index != (block_is_local(block) ? point->index - 1 : point->index))
        return "the index does not continue";
    if (block->epoch < point->epoch)
        return "the epoch falls";
    if (sequence >= meta->epoch_sequence ? block->epoch != meta->epoch
                                         : block->epoch >= meta->epoch)
        return "the epoch is not the one that meta gives";
    if (block->term < point->term)
        return "the term falls";
    if (block->durable_index >= point->index)
        return "it claims to have known more than came before it";
    return NULL;
}

void point_advance(struct recover_point *point, const struct block_header *block, uint64_t position,
                   uint64_t segment_bytes)
{
    XD_ASSERT(block->prev_chain == point->chain);
    XD_ASSERT(block->epoch >= point->epoch);
    point->sequence = block->block_sequence + 1;
    point->index = block->index + 1;
    point->chain = block->chain;
    point->epoch = block->epoch;
    point->term = block->term;
    if (block->type == BLOCK_SEAL)
        point->position = (position / segment_bytes + 1) * segment_bytes;
    else
        point->position = position + block->block_bytes;
    point->position = skip_header(point->position, segment_bytes);
}

struct block_identity point_identity(const struct meta *meta, uint64_t segment_no, uint64_t epoch)
{
    struct block_identity identity = {.segment_no = segment_no,
                                      .segment_bytes = meta->segment_bytes,
                                      .epoch = epoch,
                                      .shard = meta->shard};
    memcpy(identity.log_uuid, meta->log_uuid, sizeof(identity.log_uuid));
    return identity;
}
