/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies batches of a partition out of the tail or out of extents. See read.h. Loading and
 * verifying extents is extent.c's.
 */
#include "broker/log/read.h"

#include "broker/log/extent.h"
#include "broker/log/log_state.h"
#include "wire/status.h"

#include <errno.h>
#include <string.h>

/* A copy under way. */
struct copy {
    uint8_t *out;       /* the caller's memory */
    uint32_t bytes;     /* copied */
    uint32_t from_disk; /* of them out of extents */
    uint32_t bytes_max; /* size of `out` */
    uint32_t partition; /* */
    uint64_t offset;    /* that the next batch must hold */
    uint64_t end;       /* of the partition: what is behind was not given to the fold yet */
    bool full;          /* the next batch does not fit */
};

/* Copies the batches of one verified block. False when the block does not hold what the index says:
 * it is whole, but not the one that was written there last. */
static bool block_copy(struct copy *copy, const struct block_header *block)
{
    const struct xd_batch_header *batch;
    uint32_t cursor = 0;
    bool found = false;

    while (copy->offset < copy->end && (batch = block_next_batch(block, &cursor)) != NULL) {
        uint32_t stride = xd_batch_stride(batch);

        if (batch->partition != copy->partition || batch->record_count == 0 ||
            batch->base_offset + batch->record_count <= copy->offset)
            continue;
        if (batch->base_offset > copy->offset)
            break;
        found = true;
        if (stride > copy->bytes_max - copy->bytes) {
            copy->full = true;
            break;
        }
        memcpy(copy->out + copy->bytes, batch, stride);
        copy->bytes += stride;
        copy->offset = batch->base_offset + batch->record_count;
    }
    return found;
}

/* Copies from block to block until something ends it; the status of what did, 0 at the partition's
 * end or when `out` is full. */
static int blocks_copy(struct log *log, struct copy *copy, struct index_cursor cursor)
{
    bool first = true;
    bool claimed = false; /* the read that its extent was loaded for */

    for (;;) {
        const struct index_entry *entry = index_at(&log->index, cursor);
        const struct block_header *block;
        uint32_t before = copy->bytes;
        uint32_t extent;
        int status = extent_block(log, entry, &block, &extent);

        if (status == -EAGAIN && (first || claimed))
            extent_want(log, entry, copy->partition, copy->offset);
        if (status < 0)
            return status;
        if (first)
            claimed = extent_claim(log, extent, copy->partition, copy->offset);
        first = false;
        if (!block_copy(copy, block)) {
            extent_range_corrupt(log, index_position(entry), index_block_bytes(entry),
                                 XD_LOG_CORRUPT);
            return XD_RANGE_QUARANTINED;
        }
        if (extent != EXTENT_IN_TAIL)
            copy->from_disk += copy->bytes - before;
        if (copy->full && claimed)
            extent_leave(log, extent, copy->partition, copy->offset);
        if (copy->full || !index_next(&log->index, &cursor))
            return 0;
    }
}

int read_batches(struct log *log, uint32_t partition, uint64_t offset, uint8_t *out,
                 uint32_t out_bytes, uint64_t *ret_next)
{
    const struct index_partition *p = &log->index.partitions[partition];
    struct copy copy = {.out = out,
                        .bytes_max = out_bytes,
                        .partition = partition,
                        .offset = offset,
                        .end = p->end_offset};
    struct index_cursor cursor;
    int status;

    XD_ASSERT(partition < log->index.partition_count);
    XD_ASSERT(out_bytes >= XD_BATCH_BYTES_MAX + 8192u && out_bytes <= INT32_MAX);
    if (offset < p->first_offset)
        return XD_OFFSET_GONE;
    if (offset >= p->end_offset)
        return offset == p->end_offset ? 0 : XD_OFFSET_FUTURE;
    status = index_find(&log->index, partition, offset, &cursor);
    XD_ASSERT(status == 0); /* every offset from first_offset to end_offset lies in an entry */
    status = blocks_copy(log, &copy, cursor);
    if (copy.bytes == 0)
        return status;
    counters_add(log->counters, copy.from_disk > 0 ? COUNTER_reads_disk : COUNTER_reads_tail, 1);
    counters_add(log->counters, COUNTER_read_bytes, copy.bytes);
    counters_add(log->counters, COUNTER_read_bytes_disk, copy.from_disk);
    *ret_next = copy.offset;
    return (int)copy.bytes;
}
