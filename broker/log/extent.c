/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads, verifies and judges extents. See extent.h.
 */
#include "broker/log/extent.h"

#include "broker/log/log_state.h"
#include "wire/status.h"

#include <errno.h>
#include <string.h>

void extents_init(struct extents *extents, struct extent *memory, uint32_t count, uint8_t *bytes)
{
    XD_ASSERT(count >= EXTENT_INFLIGHT_MAX && (uintptr_t)bytes % XD_BLOCK_ALIGN == 0);
    *extents = (struct extents){.extents = memory, .count = count};
    for (uint32_t i = 0; i < count; i++)
        memory[i] = (struct extent){.memory = bytes + (uint64_t)i * EXTENT_BYTES};
    sweep_init(&extents->sweep);
}

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
    else
        x->ranges[x->range_next++ % EXTENT_RANGES_MAX] =
            (struct extent_range){.position = position, .bytes = bytes};
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

/* The extent whose blocks end where a block begins: reading goes on from it. NULL when none does.
 */
static const struct extent *extent_before(const struct extents *x, uint64_t position)
{
    for (uint32_t i = 0; i < x->count; i++) {
        const struct extent *extent = &x->extents[i];

        if ((extent->state == EXTENT_VALID || extent->state == EXTENT_LOADING) &&
            extent->position + extent->bytes == position)
            return extent;
    }
    return NULL;
}

/* Bytes to read from a block on, so that log position `end` is reached: at least the block, at most
 * 1 MiB, not beyond the segment's blocks or what is durable, and not what another extent holds. */
static uint32_t load_bytes(struct log *log, uint64_t position, uint32_t wanted, uint64_t end)
{
    const struct extents *x = &log->extents;
    uint64_t no = segment_no_of(&log->table, position);
    const struct segment *segment = segment_find(&log->table, no);
    uint64_t limit = no * log->table.segment_bytes + (segment ? segment->used_bytes : 0);

    if (limit > durable_position(log))
        limit = durable_position(log);
    if (limit > position + EXTENT_BYTES)
        limit = position + EXTENT_BYTES;
    for (uint32_t i = 0; i < x->count; i++)
        if (x->extents[i].state != EXTENT_FREE && x->extents[i].position > position &&
            x->extents[i].position < limit)
            limit = x->extents[i].position;
    if (end > limit)
        end = limit;
    return end > position + wanted ? (uint32_t)(end - position) : wanted;
}

/* Whether `extent` is the better one to give up than `than` for a load at `position`. */
static bool is_better_victim(const struct extent *extent, const struct extent *than,
                             uint64_t position)
{
    bool ahead = extent->position > position && extent->position - position <= EXTENT_AHEAD_BYTES;
    bool than_ahead = than->position > position && than->position - position <= EXTENT_AHEAD_BYTES;

    return ahead == than_ahead ? extent->used < than->used : than_ahead;
}

/* The extent to load into; NULL when all are taken. */
static struct extent *victim(struct extents *x, uint64_t position)
{
    struct extent *best = NULL;

    for (uint32_t i = 0; i < x->count; i++) {
        struct extent *extent = &x->extents[i];

        if (extent->state == EXTENT_FREE)
            return extent;
        if (extent->state == EXTENT_VALID && extent->expected == 0 &&
            (!best || is_better_victim(extent, best, position)))
            best = extent;
    }
    return best;
}

/* Begins a load for a read of `partition` at `offset`. False: no extent can be given up now. */
static bool load_start(struct log *log, uint64_t position, uint32_t wanted, uint64_t end,
                       uint32_t partition, uint64_t offset)
{
    struct extents *x = &log->extents;
    const struct extent *before = extent_before(x, position);
    struct extent *extent = victim(x, position);
    uint32_t carried = 0;

    XD_ASSERT(x->inflight < EXTENT_INFLIGHT_MAX && wanted > 0 && wanted <= EXTENT_BYTES);
    if (!extent)
        return false;
    if (before)
        end = position + EXTENT_BYTES;
    else if (end < position + EXTENT_READ_BYTES_MIN)
        end = position + EXTENT_READ_BYTES_MIN;
    /* A whole block among these bytes was not accepted: it is read anew. */
    if (before && before->state == EXTENT_VALID && before->got - before->bytes < wanted) {
        carried = before->got - before->bytes;
        memmove(extent->memory, before->memory + before->bytes, carried);
    }
    *extent = (struct extent){.memory = extent->memory,
                              .position = position,
                              .bytes = load_bytes(log, position, wanted, end),
                              .got = carried,
                              .wanted = wanted,
                              .reader = partition,
                              .reader_offset = offset,
                              .started_ns = env_now_mono_ns(log->env),
                              .state = EXTENT_LOADING};
    x->loading[x->inflight++] = (uint32_t)(extent - x->extents);
    x->sweep.loads++;
    load(log, (uint32_t)(extent - x->extents));
    return true;
}

void extent_turn(struct log *log)
{
    struct extents *x = &log->extents;
    const struct log_wait *wait;
    uint64_t end;

    while (x->inflight < EXTENT_INFLIGHT_MAX && (wait = sweep_pick(log, &end)) != NULL)
        if (!load_start(log, wait->position, wait->bytes, end, wait->partition, wait->offset))
            return;
}

void extent_want(struct log *log, const struct index_entry *entry, uint32_t partition,
                 uint64_t offset)
{
    struct extents *x = &log->extents;
    uint64_t position = index_position(entry);

    if (x->sweep.waiting_count > 0 || x->inflight >= EXTENT_INFLIGHT_MAX ||
        extent_coming(x, position))
        return;
    (void)load_start(log, position, index_block_bytes(entry), 0, partition, offset);
}

bool extent_coming(const struct extents *x, uint64_t position)
{
    for (uint32_t i = 0; i < x->inflight; i++) {
        const struct extent *extent = &x->extents[x->loading[i]];

        XD_ASSERT(extent->state == EXTENT_LOADING);
        if (position >= extent->position && position < extent->position + extent->bytes)
            return true;
    }
    return false;
}

/* ---- giving ---------------------------------------------------------------------------------- */

int extent_block(struct log *log, const struct index_entry *entry,
                 const struct block_header **ret_block, uint32_t *ret_extent)
{
    struct extents *x = &log->extents;
    uint64_t position = index_position(entry);
    uint64_t end = position + index_block_bytes(entry);
    const struct tail_block *block = tail_find(&log->tail, position);

    if (block && !env_buggify(log->env, ENV_BUGGIFY_READ_FROM_DISK)) {
        *ret_block =
            (const struct block_header *)(const void *)tail_memory(&log->tail, block->address);
        *ret_extent = EXTENT_IN_TAIL;
        return 0;
    }
    if (range_known(x, position))
        return XD_RANGE_QUARANTINED;
    for (uint32_t i = 0; i < x->count; i++) {
        struct extent *extent = &x->extents[i];

        if (position < extent->position || end > extent->position + extent->bytes ||
            (extent->state != EXTENT_VALID && extent->state != EXTENT_BAD))
            continue;
        if (extent->state == EXTENT_BAD)
            return XD_RANGE_QUARANTINED;
        extent->used = ++x->stamp;
        *ret_block = (const struct block_header *)(const void *)(extent->memory +
                                                                 (position - extent->position));
        *ret_extent = i;
        return 0;
    }
    return -EAGAIN;
}

bool extent_claim(struct log *log, uint32_t extent, uint32_t partition, uint64_t offset)
{
    struct extent *e;

    if (extent == EXTENT_IN_TAIL)
        return false;
    XD_ASSERT(extent < log->extents.count);
    e = &log->extents.extents[extent];
    if (e->reader != partition || offset > e->reader_offset)
        return false;
    e->reader = EXTENT_NO_READER;
    return true;
}

void extent_leave(struct log *log, uint32_t extent, uint32_t partition, uint64_t offset)
{
    if (extent == EXTENT_IN_TAIL)
        return;
    XD_ASSERT(extent < log->extents.count && partition != EXTENT_NO_READER);
    log->extents.extents[extent].reader = partition;
    log->extents.extents[extent].reader_offset = offset;
}

/* ---- verifying ------------------------------------------------------------------------------- */

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

/* The extent is not LOADING any more. */
static void load_end(struct extents *x, uint32_t number)
{
    uint32_t at = x->loading[0] == number ? 0 : 1;

    XD_ASSERT(x->inflight > 0 && at < x->inflight && x->loading[at] == number);
    x->inflight--;
    x->loading[at] = x->loading[x->inflight];
    x->finished++;
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
    load_end(x, number);
    extent->bytes = extent->wanted;
    extent->state = error < 0 ? EXTENT_FREE : EXTENT_BAD;
    extent_range_corrupt(log, extent->position, extent->wanted, error < 0 ? error : XD_LOG_CORRUPT);
    sweep_failed(log, extent->position, extent->wanted);
    extent_turn(log);
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
    counters_add(log->counters, COUNTER_cache_load_bytes, pages);
    if (extent->got < extent->bytes) {
        load(log, number);
        return;
    }
    valid = verified_bytes(log, extent);
    if (valid < extent->wanted) {
        load_failed(log, number, 0);
        return;
    }
    load_end(x, number);
    extent->bytes = valid;
    extent->used = ++x->stamp;
    extent->state = EXTENT_VALID;
    counters_add(log->counters, COUNTER_cache_loads, 1);
    counters_time(log->counters, LATENCY_disk_read_duration_ns,
                  env_now_mono_ns(log->env) - extent->started_ns);
    sweep_loaded(log, number);
    extent_turn(log);
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

    extent_turn(log);
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

    sweep_failed(log, segment_no * log->table.segment_bytes, log->table.segment_bytes);
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
    x->range_next = 0;
    return false;
}
