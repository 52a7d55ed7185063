/* SPDX-License-Identifier: Apache-2.0
 *
 * Hands durable batches to the fold. See durable.h.
 */
#include "broker/log/durable.h"

#include "broker/log/log_state.h"

/* All batches of block `given` were handed out: the fold stands behind it. */
static void block_given(struct log *log, const struct block_header *block)
{
    struct append *a = &log->append;
    uint64_t position = block->position + block->block_bytes;

    if (block->type == BLOCK_SEAL)
        position = (segment_no_of(&log->table, block->position) + 1) * log->table.segment_bytes +
                   SEGMENT_HEADER_BYTES;
    XD_ASSERT(a->ordinal == block->batch_count);
    XD_ASSERT(block->block_sequence == a->folded.sequence + 1);
    XD_ASSERT(block->position == a->folded.position && block->prev_chain == a->folded.chain);
    a->folded = (struct append_point){.position = position,
                                      .index = block->index,
                                      .sequence = block->block_sequence,
                                      .chain = block->chain};
    a->cursor = 0;
    a->ordinal = 0;
    a->given++;
    tail_release(&log->tail, a->given);
    append_check(log);
}

int durable_next(struct log *log, struct log_entry *ret_entry)
{
    struct append *a = &log->append;

    while (a->given < a->durable) {
        const struct tail_block *place = tail_at(&log->tail, a->given);
        const struct block_header *block =
            (const struct block_header *)(const void *)tail_memory(&log->tail, place->address);
        const struct xd_batch_header *batch = NULL;
        int status;

        XD_ASSERT(block->magic == BLOCK_MAGIC && block->position == place->position);
        XD_ASSERT(block->index <= a->durable_index && place->state == TAIL_WRITTEN);
        if (block->type == BLOCK_DATA)
            batch = block_next_batch(block, &a->cursor);
        if (!batch) {
            block_given(log, block);
            continue;
        }
        status = index_add(&log->index, batch, block->position, block->block_bytes);
        XD_ASSERT(status == 0); /* the shard numbers densely, index_room was asked */
        XD_ASSERT(a->pending_batches > 0);
        a->pending_batches--;
        *ret_entry = (struct log_entry){.batch = batch,
                                        .log_index = block->index,
                                        .position = block->position,
                                        .ordinal = a->ordinal++};
        return 1;
    }
    return 0;
}

uint64_t durable_position(const struct log *log)
{
    const struct append *a = &log->append;

    XD_ASSERT(a->durable <= log->tail.ring.head);
    if (a->durable < log->tail.ring.head)
        return tail_at(&log->tail, a->durable)->position;
    return a->position;
}
