/* SPDX-License-Identifier: Apache-2.0
 *
 * The open block: reserving, filling, closing, and the roll to the next segment. See append.h.
 *
 * A block's place in the log is decided when it is opened: its capacity is what the segment has
 * left, less 4 KiB for the SEAL. A batch that does not fit closes the block; a segment without room
 * for the batch is sealed and the next READY one becomes active, which is durable already, so a
 * roll starts no I/O of its own but the meta write.
 */
#include "broker/log/append.h"

#include "broker/base/probes.h"
#include "broker/log/log_state.h"
#include "wire/status.h"

#include <string.h>

#define BITMAP_BYTES_MAX ((XD_BATCH_RECORDS_MAX + 7u) / 8u)

static_assert(BLOCK_HEADER_BYTES % XD_BATCH_ALIGN == 0, "batches are aligned");

void append_init(struct log *log, const struct recover_point *point)
{
    XD_ASSERT(point->position % XD_BLOCK_ALIGN == 0);
    XD_ASSERT(point->index > 0 && point->sequence > 0);
    XD_ASSERT(log->phase == LOG_OPENED && log->tail.ring.head == 0);
    log->append = (struct append){.position = point->position,
                                  .index = point->index,
                                  .sequence = point->sequence,
                                  .chain = point->chain,
                                  .epoch = point->epoch,
                                  .term = point->term,
                                  .written_index = point->index - 1,
                                  .durable_index = point->index - 1,
                                  .folded = {.position = point->position,
                                             .index = point->index - 1,
                                             .sequence = point->sequence - 1,
                                             .chain = point->chain}};
    append_check(log);
}

void append_check(const struct log *log)
{
    const struct append *a = &log->append;

    XD_ASSERT(a->given <= a->durable && a->durable <= a->written);
    XD_ASSERT(a->written <= a->submitted && a->submitted <= log->tail.ring.head);
    XD_ASSERT(a->folded.index <= a->durable_index && a->durable_index <= a->written_index);
    XD_ASSERT(a->written_index < a->index && a->folded.position <= a->position);
    XD_ASSERT(a->unsubmitted_bytes <= a->undurable_bytes);
    XD_ASSERT(a->writes_inflight <= a->submitted - a->written);
}

static uint32_t round_up(uint32_t bytes, uint32_t align)
{
    return (bytes + align - 1) & ~(align - 1);
}

static struct segment *active_segment(struct log *log)
{
    struct segment *segment = &log->table.slots[log->table.active];

    XD_ASSERT(segment->state == SEGMENT_ACTIVE);
    XD_ASSERT(segment->segment_no == segment_no_of(&log->table, log->append.position));
    return segment;
}

uint64_t append_undurable_blocks(const struct log *log)
{
    XD_ASSERT(log->append.durable <= log->tail.ring.head);
    return log->tail.ring.head - log->append.durable;
}

/* Bytes of the open block so far. */
static uint32_t open_bytes(const struct log *log)
{
    return log->append.capacity > 0 ? log->append.used_bytes : 0;
}

/* ---- closing --------------------------------------------------------------------------------- */

/* Seals the block at `address` and gives it to the tail as the newest closed one. The header's
 * sizes and counts are set. */
static void block_finish(struct log *log, uint64_t address, enum block_type type)
{
    struct append *a = &log->append;
    struct segment *segment = active_segment(log);
    struct block_header *block = (struct block_header *)(void *)tail_memory(&log->tail, address);
    struct block_identity identity = {.segment_no = segment->segment_no,
                                      .segment_bytes = log->table.segment_bytes,
                                      .epoch = a->epoch,
                                      .shard = log->options.shard};
    struct tail_block *closed;
    bool local = type == BLOCK_SEAL || type == BLOCK_MARK;

    XD_ASSERT(!log->fenced && append_undurable_blocks(log) < APPEND_WINDOW_BLOCKS);
    memcpy(identity.log_uuid, log->meta.log_uuid, sizeof(identity.log_uuid));
    block->type = (uint16_t)type;
    block->epoch = a->epoch;
    block->block_sequence = a->sequence;
    block->durable_index = a->durable_index;
    block->term = a->term;
    block->index = local ? a->index - 1 : a->index;
    block->prev_chain = a->chain;
    block->write_time_us = env_now_wall_us(log->env);
    block_seal(block, &identity, a->position);
    XD_ASSERT(segment_at_of(&log->table, a->position) + block->block_bytes <=
              log->table.segment_bytes);

    closed = tail_push(&log->tail, address, block->block_bytes);
    closed->index = block->index;
    closed->position = a->position;
    closed->slot = segment->slot;
    closed->type = block->type;
    a->block_began_ns[(log->tail.ring.head - 1) % APPEND_WINDOW_BLOCKS] = a->began_ns;
    segment->used_bytes = segment_at_of(&log->table, a->position) + block->block_bytes;
    if (!local) {
        segment->first_index = segment->first_index ? segment->first_index : a->index;
        segment->last_index = a->index;
        a->chain = block->chain;
        a->index++;
    }
    a->sequence++;
    a->position += block->block_bytes;
    a->undurable_bytes += block->block_bytes;
    a->unsubmitted_bytes += block->block_bytes;
    a->last_write_ns = env_now_mono_ns(log->env);
    a->mark_wanted = local ? a->mark_wanted && type != BLOCK_MARK : true;
    counters_add(log->counters, COUNTER_block_payload_bytes, block->payload_bytes);
    counters_add(log->counters, COUNTER_marks_written, type == BLOCK_MARK);
    counters_set(log->counters, COUNTER_log_end_position, a->position);
    append_check(log);
}

void append_close(struct log *log)
{
    struct append *a = &log->append;
    struct block_header *block;

    XD_ASSERT(a->used_bytes <= a->capacity || a->capacity == 0);
    if (a->capacity > 0 && a->batch_count > 0) {
        XD_ASSERT(a->used_bytes > BLOCK_HEADER_BYTES && a->pending_batches >= a->batch_count);
        block = (struct block_header *)(void *)tail_memory(&log->tail, a->address);
        memset(block, 0, sizeof(*block));
        block->payload_bytes = a->used_bytes - BLOCK_HEADER_BYTES;
        block->batch_count = a->batch_count;
        block->record_count = a->record_count;
        block_finish(log, a->address, BLOCK_DATA);
    }
    a->capacity = 0;
    a->reserved = 0;
}

/* Makes an empty local block; false when the tail has no room for it. */
static bool local_block(struct log *log, enum block_type type)
{
    uint64_t address;
    uint8_t *memory;

    XD_ASSERT(log->append.capacity == 0 && log->append.reserved == 0);
    if (tail_place(&log->tail, XD_BLOCK_ALIGN, XD_BLOCK_ALIGN, &address) == 0)
        return false;
    memory = tail_memory(&log->tail, address);
    memset(memory, 0, sizeof(struct block_header));
    block_finish(log, address, type);
    return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Bytes that blocks may still take of the active segment, SEAL kept free. */
static uint64_t segment_room(const struct log *log)
{
    uint64_t at = segment_at_of(&log->table, log->append.position);

    XD_ASSERT(at >= SEGMENT_HEADER_BYTES && at + XD_BLOCK_ALIGN <= log->table.segment_bytes);
    return log->table.segment_bytes - at - XD_BLOCK_ALIGN;
}

static int throttle(struct log *log, const char *reason)
{
    XD_ASSERT(reason != NULL);
    log->append.reason = reason;
    return XD_THROTTLED;
}

/* Seals the active segment and goes on in the next one. */
static int segment_roll(struct log *log)
{
    struct append *a = &log->append;
    struct segment *full = active_segment(log);
    struct segment *next = segment_ready(&log->table);

    if (!next) {
        if (!log->prepare.starved)
            log_news_add(log, LOG_NEWS_NOT_READY, 0, 0, 0);
        log->prepare.starved = true;
        return throttle(log, "no segment is ready to be written; wait for the next one");
    }
    XD_ASSERT(next->segment_no == full->segment_no + 1 && next->file >= 0);
    XD_ASSERT(next->state == SEGMENT_READY && next->zeroed);
    if (!local_block(log, BLOCK_SEAL))
        return throttle(log, "the memory tail is full of batches that are not durable yet");
    full->state = SEGMENT_FULL;
    next->state = SEGMENT_ACTIVE;
    log->table.active = next->slot;
    a->position = next->segment_no * log->table.segment_bytes + SEGMENT_HEADER_BYTES;
    env_crash_point(log->env, ENV_CRASH_SEGMENT_ROLL);
    counters_add(log->counters, COUNTER_segments_rolled, 1);
    log_news_add(log, LOG_NEWS_SEGMENT_ROLLED, next->segment_no, 0, 0);
    PROBE_SEGMENT_ROLLED(next->segment_no, a->position);
    meta_file_write(log);
    prepare_wake(log);
    retain_wake(log);
    return 0;
}

/* Only while all that is undurable lies in the active segment, so that recovery's look ahead
 * reaches as far as with full ones; and no segment without a batch, because retention goes by their
 * times. */
static bool roll_early(struct log *log)
{
    const struct segment *active = active_segment(log);

    return segment_no_of(&log->table, durable_position(log)) == active->segment_no &&
           active->first_time_us != 0 && segment_ready(&log->table) != NULL &&
           env_buggify(log->env, ENV_BUGGIFY_SEGMENT_ROLL_EARLY);
}

/* Opens a block that takes at least `need` bytes of batches. */
static int block_open(struct log *log, uint32_t need)
{
    struct append *a = &log->append;
    uint32_t least = round_up(BLOCK_HEADER_BYTES + need, XD_BLOCK_ALIGN);
    uint32_t most = XD_BLOCK_BYTES_MAX;
    int status;

    XD_ASSERT(a->capacity == 0 && least <= XD_BLOCK_BYTES_MAX);
    /* This block, perhaps after a SEAL. */
    if (append_undurable_blocks(log) + 2 > APPEND_WINDOW_BLOCKS)
        return throttle(log, "too many blocks are not durable yet");
    if (append_undurable_blocks(log) > 0 && env_buggify(log->env, ENV_BUGGIFY_TAIL_SMALL))
        return throttle(log, "the memory tail is full of batches that are not durable yet");
    if (segment_room(log) < least || roll_early(log)) {
        status = segment_roll(log);
        if (status < 0)
            return status;
    }
    if (segment_room(log) < most)
        most = (uint32_t)segment_room(log);
    XD_ASSERT(most >= least);
    a->capacity = tail_place(&log->tail, least, most, &a->address);
    if (a->capacity == 0)
        return throttle(log, "the memory tail is full of batches that are not durable yet");
    XD_ASSERT(a->capacity >= least && a->capacity <= most);
    a->used_bytes = BLOCK_HEADER_BYTES;
    a->batch_count = 0;
    a->record_count = 0;
    return 0;
}

int append_reserve(struct log *log, uint32_t bytes, uint8_t **ret_memory)
{
    struct append *a = &log->append;
    uint32_t need = round_up(bytes + BITMAP_BYTES_MAX, XD_BATCH_ALIGN);
    int status;

    XD_ASSERT(bytes >= XD_BATCH_HEADER_BYTES && bytes <= XD_BATCH_BYTES_MAX);
    a->reserved = 0;
    if (log->fenced)
        return XD_STORAGE_FENCED;
    if (log->phase == LOG_CLOSING)
        return XD_SHUTTING_DOWN;
    if (prepare_disk_low(log))
        return XD_READ_ONLY;
    if (!index_room(&log->index, a->pending_batches))
        return throttle(log, "the partition index is full; raise index_bytes or keep less");
    if (a->position + open_bytes(log) + need > log->checkpoint.tail_end)
        return throttle(log, checkpoint_tail_reason(log));
    if (a->undurable_bytes + open_bytes(log) + need > log->options.undurable_bytes_max)
        return throttle(log, "too many bytes are not durable yet");
    if (a->capacity > 0 && a->capacity - a->used_bytes < need)
        append_close(log);
    if (a->capacity == 0) {
        status = block_open(log, need);
        if (status < 0)
            return status;
    }
    XD_ASSERT(a->used_bytes + need <= a->capacity);
    a->reserved = need;
    *ret_memory = tail_memory(&log->tail, a->address) + a->used_bytes;
    return 0;
}

uint64_t append_batch(struct log *log)
{
    struct append *a = &log->append;
    uint8_t *memory = tail_memory(&log->tail, a->address) + a->used_bytes;
    const struct xd_batch_header *batch = (const struct xd_batch_header *)(const void *)memory;
    struct segment *segment = active_segment(log);
    uint32_t stored = batch->batch_bytes + xd_batch_bitmap_bytes(batch);
    uint32_t stride = xd_batch_stride(batch);
    const char *field;

    XD_ASSERT(a->reserved > 0 && a->capacity > 0);
    XD_ASSERT(batch->magic == XD_BATCH_MAGIC && stride <= a->reserved);
    XD_ASSERT(batch->partition < log->options.partitions_max ||
              batch->partition == XD_PARTITION_NONE);
    /* The whole rule that the block will be checked by when it is read back. */
    XD_DEBUG_ASSERT(xd_batch_check_stored(batch, a->reserved, &field) == 0);
    XD_DEBUG_ASSERT(xd_batch_check_hash(batch) == 0);
    memset(memory + stored, 0, stride - stored);
    a->reserved = 0;
    a->used_bytes += stride;
    if (a->batch_count++ == 0)
        a->began_ns = env_now_mono_ns(log->env);
    a->record_count += batch->record_count;
    a->pending_batches++;
    if (segment->first_time_us == 0)
        segment->first_time_us = batch->append_time_us;
    if (batch->append_time_us > segment->last_time_us)
        segment->last_time_us = batch->append_time_us;
    return a->index;
}

/* ---- for flush.c ----------------------------------------------------------------------------- */

bool append_mark(struct log *log)
{
    XD_ASSERT(log->append.capacity == 0 && append_undurable_blocks(log) == 0);
    if (segment_room(log) < XD_BLOCK_ALIGN && segment_roll(log) < 0)
        return false;
    return local_block(log, BLOCK_MARK);
}

bool append_mark_possible(const struct log *log)
{
    return segment_room(log) >= XD_BLOCK_ALIGN || segment_count(&log->table, SEGMENT_READY) > 0;
}
