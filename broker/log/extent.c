/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads, verifies and judges extents. See extent.h.
 */
#include "broker/log/extent.h"

#include "broker/log/log_state.h"
#include "wire/status.h"

#include <errno.h>
#include <string.h>

/* ---- corrupt ranges -------------------------------------------------------------------------- */

static bool range_known(const struct extents *x, uint64_t position)
{
    for (uint32_t i = 0; i < x->range_count; i++)
        if (position >= x->ranges[i].position &&
            position < x->ranges[i].position + x->ranges[i].bytes)
            return true;
    return false;
}

void extent_range_corrupt(struct log *log, uint64_t position, uint64_t bytes, int status)
{
    struct extents *x = &log->extents;

    XD_ASSERT(status < 0 && bytes > 0);
    if (range_known(x, position))
        return;
    if (x->range_count < EXTENT_RANGES_MAX)
        x->ranges[x->range_count++] = (struct extent_range){.position = position, .bytes = bytes};
    counters_add(log->counters, COUNTER_blocks_corrupt, 1);
    log_news_add(log, LOG_NEWS_CORRUPT, position, bytes, (uint64_t) - (int64_t)status);
}

/* ---- loading --------------------------------------------------------------------------------- */

static void load(struct log *log, uint32_t number)
{
    struct extent *extent = &log->extents.extents[number];
    struct segment *segment =
        segment_find(&log->table, segment_no_of(&log->table, extent->position));

    XD_ASSERT(segment && segment->file >= 0); /* the index names kept segments only */
    XD_ASSERT(extent->got < extent->bytes && extent->bytes <= EXTENT_BYTES);
    log_read_file(log, segment->file, extent->memory + extent->got, extent->bytes - extent->got,
                  segment_at_of(&log->table, extent->position) + extent->got,
                  log_token(LOG_TOKEN_READ, number));
}

/* Bytes worth reading from a block on: up to 1 MiB, the end of the segment's blocks, or the end of
 * what is durable. */
static uint32_t load_bytes(struct log *log, const struct index_entry *entry)
{
    uint64_t position = index_position(entry);
    uint64_t no = segment_no_of(&log->table, position);
    const struct segment *segment = segment_find(&log->table, no);
    uint64_t end = no * log->table.segment_bytes + (segment ? segment->used_bytes : 0);
    uint64_t bytes = index_block_bytes(entry);

    if (end > durable_position(log))
        end = durable_position(log);
    if (end > position && end - position > bytes)
        bytes = end - position;
    return bytes < EXTENT_BYTES ? (uint32_t)bytes : EXTENT_BYTES;
}

/* The extent to load into: a free one, else the valid one not used for longest; NULL when all are
 * taken. */
static struct extent *victim(struct extents *x)
{
    struct extent *best = NULL;

    for (uint32_t i = 0; i < x->count; i++) {
        struct extent *extent = &x->extents[i];

        if (extent->state == EXTENT_FREE)
            return extent;
        if (extent->state == EXTENT_VALID && (!best || extent->used < best->used))
            best = extent;
    }
    return best;
}

static void load_start(struct log *log, const struct index_entry *entry)
{
    struct extents *x = &log->extents;
    struct extent *extent = victim(x);

    if (x->inflight >= EXTENT_INFLIGHT_MAX || !extent)
        return;
    extent->position = index_position(entry);
    extent->bytes = load_bytes(log, entry);
    extent->wanted = index_block_bytes(entry);
    extent->got = 0;
    extent->attempts = 0;
    extent->state = EXTENT_LOADING;
    XD_ASSERT(x->inflight < EXTENT_INFLIGHT_MAX && extent->wanted <= extent->bytes);
    x->inflight++;
    load(log, (uint32_t)(extent - x->extents));
}

int extent_block(struct log *log, const struct index_entry *entry,
                 const struct block_header **ret_block, bool *ret_from_disk)
{
    struct extents *x = &log->extents;
    uint64_t position = index_position(entry);
    const struct tail_block *block = tail_find(&log->tail, position);

    if (block && !env_buggify(log->env, ENV_BUGGIFY_READ_FROM_DISK)) {
        *ret_block =
            (const struct block_header *)(const void *)tail_memory(&log->tail, block->address);
        return 0;
    }
    if (range_known(x, position))
        return XD_RANGE_QUARANTINED;
    for (uint32_t i = 0; i < x->count; i++) {
        struct extent *extent = &x->extents[i];
        uint64_t bytes = index_block_bytes(entry);

        if (extent->state == EXTENT_FREE || position < extent->position ||
            position + bytes > extent->position + extent->bytes)
            continue;
        if (extent->state == EXTENT_LOADING)
            return -EAGAIN;
        if (extent->state == EXTENT_BAD)
            return XD_RANGE_QUARANTINED;
        extent->used = ++x->stamp;
        *ret_block = (const struct block_header *)(const void *)(extent->memory +
                                                                 (position - extent->position));
        *ret_from_disk = true;
        return 0;
    }
    load_start(log, entry);
    return -EAGAIN;
}

/* Bytes of whole valid blocks from the extent's start on. */
static uint32_t verified_bytes(struct log *log, const struct extent *extent)
{
    struct block_identity identity = {.segment_no = segment_no_of(&log->table, extent->position),
                                      .segment_bytes = log->table.segment_bytes,
                                      .shard = log->options.shard};
    uint32_t at = 0;

    memcpy(identity.log_uuid, log->meta.log_uuid, sizeof(identity.log_uuid));
    while (extent->got - at >= XD_BLOCK_ALIGN) {
        const struct block_header *block =
            (const struct block_header *)(const void *)(extent->memory + at);
        const char *why;
        uint32_t wrong_at;

        identity.epoch = block->epoch;
        if (block_check_header(block, &identity, extent->position + at, &why) < 0 ||
            block->block_bytes > extent->got - at ||
            block_check_payload(block, 1, &wrong_at, &why) < 0)
            break;
        at += block->block_bytes;
    }
    return at;
}

/* The wanted block was not there: once more, alone, or it is corrupt. `error` is 0 when bytes came.
 */
static void load_failed(struct log *log, uint32_t number, int error)
{
    struct extents *x = &log->extents;
    struct extent *extent = &x->extents[number];

    extent->attempts++;
    if (extent->attempts < EXTENT_ATTEMPTS) {
        extent->bytes = extent->wanted;
        extent->got = 0;
        load(log, number);
        return;
    }
    x->inflight--;
    x->finished++;
    extent->bytes = extent->wanted;
    extent->state = error < 0 ? EXTENT_FREE : EXTENT_BAD;
    extent_range_corrupt(log, extent->position, extent->wanted, error < 0 ? error : XD_LOG_CORRUPT);
}

void extent_read_done(struct log *log, const struct env_event *event)
{
    struct extents *x = &log->extents;
    uint32_t number = (uint32_t)env_token_value(event->token);
    struct extent *extent = &x->extents[number];
    uint32_t pages = event->result > 0 ? log_whole_pages(event->result) : 0;
    uint32_t valid;

    XD_ASSERT(number < x->count && extent->state == EXTENT_LOADING);
    XD_ASSERT(pages <= extent->bytes - extent->got && x->inflight > 0);
    if (event->result < 0 || pages == 0) {
        counters_add(log->counters, COUNTER_io_errors, 1);
        load_failed(log, number, event->result < 0 ? event->result : -EIO);
        return;
    }
    extent->got += pages;
    if (extent->got < extent->bytes) {
        load(log, number);
        return;
    }
    valid = verified_bytes(log, extent);
    if (valid < extent->wanted) {
        load_failed(log, number, 0);
        return;
    }
    x->inflight--;
    x->finished++;
    extent->bytes = valid;
    extent->used = ++x->stamp;
    extent->state = EXTENT_VALID;
}

/* ---- quarantine ------------------------------------------------------------------------------ */

/* The copy is over, well or badly; the extent is free again. */
static void quarantine_end(struct log *log, int status)
{
    struct extents *x = &log->extents;
    struct extent *extent = &x->extents[x->quarantine_extent];

    XD_ASSERT(x->quarantine_extent < x->count && extent->state == EXTENT_BAD);
    if (status < 0)
        counters_add(log->counters, COUNTER_io_errors, 1);
    else
        counters_add(log->counters, COUNTER_bytes_quarantined, extent->bytes);
    extent->state = EXTENT_FREE;
    x->quarantine_busy = false;
    x->finished++;
}

void extent_kick(struct log *log)
{
    struct extents *x = &log->extents;
    struct quarantine_range range = {.epoch = log->append.epoch,
                                     .reason = "a block did not verify when it was read",
                                     .kind = QUARANTINE_CORRUPT};
    struct extent *extent = NULL;
    const struct segment *segment;
    int status;

    if (x->quarantine_busy || log->fenced || log->phase != LOG_RUNNING)
        return;
    for (uint32_t i = 0; i < x->count && !extent; i++)
        if (x->extents[i].state == EXTENT_BAD)
            extent = &x->extents[i];
    if (!extent)
        return;
    range.segment_no = segment_no_of(&log->table, extent->position);
    range.at = segment_at_of(&log->table, extent->position);
    range.bytes = extent->bytes;
    segment = segment_find(&log->table, range.segment_no);
    XD_ASSERT(segment); /* extent_busy_or_forget keeps it */
    range.slot = segment->slot;
    x->quarantine_extent = (uint32_t)(extent - x->extents);
    x->quarantine_finishing = false;
    status = quarantine_open(&x->quarantine, log->env, &range, log_token(LOG_TOKEN_QUARANTINE, 0));
    if (status < 0) {
        quarantine_end(log, status);
        return;
    }
    x->quarantine_busy = true;
    quarantine_write(&x->quarantine, extent->memory, extent->bytes);
}

void extent_quarantine_done(struct log *log, const struct env_event *event)
{
    struct extents *x = &log->extents;
    int status;

    XD_ASSERT(x->quarantine_busy);
    status = quarantine_done(&x->quarantine, event);
    if (status == 0)
        return;
    if (status < 0 || x->quarantine_finishing) {
        quarantine_end(log, status);
        return;
    }
    x->quarantine_finishing = true;
    quarantine_finish(&x->quarantine);
}

bool extent_busy_or_forget(struct log *log, uint64_t segment_no)
{
    struct extents *x = &log->extents;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < x->count; i++)
        if ((x->extents[i].state == EXTENT_LOADING || x->extents[i].state == EXTENT_BAD) &&
            segment_no_of(&log->table, x->extents[i].position) == segment_no)
            return true;
    for (uint32_t i = 0; i < x->count; i++)
        if (x->extents[i].state == EXTENT_VALID &&
            segment_no_of(&log->table, x->extents[i].position) == segment_no)
            x->extents[i].state = EXTENT_FREE;
    for (uint32_t i = 0; i < x->range_count; i++)
        if (segment_no_of(&log->table, x->ranges[i].position) != segment_no)
            x->ranges[kept++] = x->ranges[i];
    x->range_count = kept;
    return false;
}
