/* SPDX-License-Identifier: Apache-2.0
 *
 * Driving one log and comparing what it gives with the line.
 */
#include "tests/crash/crash_log.h"

#include "broker/log/log_state.h"
#include "wire/checksum.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURNS_MAX 200000u
#define READ_BYTES (XD_BATCH_BYTES_MAX + 8192u)

/* ---- the line -------------------------------------------------------------------------------- */

static void *grown(void *memory, uint64_t *room, uint64_t element_bytes)
{
    *room = *room == 0 ? 1024 : 2 * *room;
    memory = realloc(memory, *room * element_bytes);
    XD_ASSERT(memory != NULL);
    return memory;
}

void crash_line_deinit(struct crash_line *line)
{
    free(line->all);
    free(line->ids);
    *line = (struct crash_line){0};
}

void crash_line_push(struct crash_line *line, uint32_t id)
{
    XD_ASSERT(id < line->all_count);
    if (line->count == line->room)
        line->ids = grown(line->ids, &line->room, sizeof(uint32_t));
    line->ids[line->count++] = id;
}

void crash_line_copy(struct crash_line *to, const struct crash_line *from)
{
    *to = *from;
    to->all = NULL;
    to->ids = NULL;
    if (from->all_room > 0) {
        to->all = malloc(from->all_room * sizeof(struct crash_batch));
        XD_ASSERT(to->all != NULL);
        memcpy(to->all, from->all, from->all_count * sizeof(struct crash_batch));
    }
    if (from->room > 0) {
        to->ids = malloc(from->room * sizeof(uint32_t));
        XD_ASSERT(to->ids != NULL);
        memcpy(to->ids, from->ids, from->count * sizeof(uint32_t));
    }
}

static uint32_t line_add(struct crash_line *line, const struct crash_batch *batch)
{
    if (line->all_count == line->all_room)
        line->all = grown(line->all, &line->all_room, sizeof(struct crash_batch));
    line->all[line->all_count] = *batch;
    crash_line_push(line, (uint32_t)line->all_count++);
    return line->ids[line->count - 1];
}

/* ---- the fold -------------------------------------------------------------------------------- */

static void fold_batch(struct crash_fold *fold, const struct xd_batch_header *batch,
                       uint64_t content, uint64_t index)
{
    uint64_t input[2] = {fold->hash, content};

    fold->hash = xd_xxh3(input, sizeof(input));
    fold->batches++;
    fold->index = index;
    fold->ends[batch->partition] = batch->base_offset + batch->record_count;
}

static bool fail(struct crash_log *log, const char *what, uint64_t number)
{
    if (log->failure[0] == '\0')
        (void)snprintf(log->failure, sizeof(log->failure), "%s (%" PRIu64 ")", what, number);
    return false;
}

/* Compares a batch with the line's next one and folds it. */
static bool take_entry(struct crash_log *log, const struct log_entry *entry)
{
    const struct xd_batch_header *batch = entry->batch;
    const struct crash_batch *expected;
    uint64_t content;

    if (log->fold.batches >= log->line->count)
        return fail(log, "a batch that was not appended, number", log->fold.batches);
    expected = &log->line->all[log->line->ids[log->fold.batches]];
    if (batch->partition >= CRASH_PARTITIONS ||
        xd_batch_stride(batch) > XD_BATCH_BYTES_MAX + XD_BATCH_RECORDS_MAX)
        return fail(log, "a batch that was never made, number", log->fold.batches);
    content = xd_xxh3(batch, xd_batch_stride(batch));
    if (content != expected->content)
        return fail(log, "other bytes than were appended in batch", log->fold.batches);
    if (entry->log_index != expected->index)
        return fail(log, "another log index than was promised for batch", log->fold.batches);
    if (batch->base_offset != log->fold.ends[batch->partition])
        return fail(log, "an offset that does not follow in batch", log->fold.batches);
    fold_batch(&log->fold, batch, content, entry->log_index);
    if (log->fold.hash != expected->chain)
        return fail(log, "a history that is not the appended one at batch", log->fold.batches);
    return true;
}

/* ---- start ----------------------------------------------------------------------------------- */

void crash_log_options(struct log_options *options)
{
    log_options_init(options);
    options->segment_bytes = SEGMENT_BYTES_MIN;
    options->tail_bytes = 16u << 20;
    options->index_bytes = 256u << 10;
    options->checkpoint_bytes_max = 4096;
    options->checkpoint_every_bytes = 8u << 20;
    options->disk_low_bytes = 16u << 20;
    options->partitions_max = CRASH_PARTITIONS;
    options->segments_ready_min = 1;
    options->read_cache_extents = EXTENT_INFLIGHT_MAX;
    options->sync = LOG_SYNC_FDATASYNC;
}

void crash_log_init(struct crash_log *log, struct crash_line *line)
{
    memset(log, 0, sizeof(*log));
    log->line = line;
    crash_log_options(&log->options);
}

void crash_log_deinit(struct crash_log *log)
{
    free(log->memory);
    log->memory = NULL;
}

static void memory_get(struct crash_log *log)
{
    uint64_t bytes = (log_bytes_needed(&log->options) + 4095) / 4096 * 4096;

    if (log->memory_bytes < bytes) {
        free(log->memory);
        log->memory = aligned_alloc(4096, bytes);
        XD_ASSERT(log->memory != NULL);
        memset(log->memory, 0x5a, bytes);
        log->memory_bytes = bytes;
    }
    arena_init(&log->arena, log->memory, log->memory_bytes);
}

/* The checkpoint's fold must be one that the line went through. */
static bool take_state(struct crash_log *log, const uint8_t *state, uint64_t bytes)
{
    uint64_t batches;

    if (state == NULL)
        return true;
    if (bytes != sizeof(log->fold))
        return fail(log, "a checkpoint of another size", bytes);
    memcpy(&log->fold, state, sizeof(log->fold));
    batches = log->fold.batches;
    if (batches > log->line->count)
        return fail(log, "a checkpoint ahead of what was appended", batches);
    if (batches > 0 && log->line->all[log->line->ids[batches - 1]].chain != log->fold.hash)
        return fail(log, "a checkpoint of another history, batches", batches);
    return true;
}

/* Notes the block of an entry that a start has given. */
static void take_block(struct crash_log *log)
{
    const struct block_header *block = log->log->recovered.block;
    uint64_t count = log->block_count;

    if (block->durable_index > log->durable_seen)
        log->durable_seen = block->durable_index;
    if (count > 0 && log->blocks[(count - 1) % CRASH_BLOCKS].index == block->index)
        return;
    log->blocks[count % CRASH_BLOCKS] = (struct crash_block){
        .index = block->index, .position = block->position, .bytes = block->block_bytes};
    log->block_count++;
}

static void take_news(struct crash_log *log)
{
    struct log_news news;

    while (log_news_next(log->log, &news))
        log->news[news.kind]++;
}

int crash_log_open(struct crash_log *log, struct env *env)
{
    const uint8_t *state = NULL;
    uint64_t state_bytes = 0;
    struct log_entry entry;
    int status;

    XD_ASSERT(log->log == NULL);
    memory_get(log);
    memset(&log->counters, 0, sizeof(log->counters));
    memset(log->news, 0, sizeof(log->news));
    memset(&log->fold, 0, sizeof(log->fold));
    log->failure[0] = '\0';
    log->why[0] = '\0';
    log->block_count = 0;
    log->durable_seen = 0;
    log->env = env;
    status = log_open(env, &log->arena, &log->counters, &log->options, &log->log, &state,
                      &state_bytes, log->why);
    if (status < 0)
        return status;
    if (!take_state(log, state, state_bytes))
        return XD_LOG_CORRUPT;
    while ((status = log_recover_next(log->log, &entry, log->why)) > 0) {
        if (!take_entry(log, &entry))
            return XD_LOG_CORRUPT;
        take_block(log);
    }
    if (status == 0)
        status = log_recover_end(log->log, log->why);
    if (status < 0)
        return status;
    take_news(log);
    if (log->fold.batches < log->floor) {
        (void)fail(log, "durable batches are missing; there are", log->fold.batches);
        return XD_LOG_CORRUPT;
    }
    log->line->count = log->fold.batches;
    log->floor = log->fold.batches;
    log->staged = log->fold;
    if (log->trace != NULL)
        env_trace_mark(log->trace, CRASH_MARK_CUT, log->fold.batches, 0);
    return 0;
}

/* ---- appending ------------------------------------------------------------------------------- */

/* A batch of random bytes in the memory given. */
static void batch_make(const struct crash_log *log, struct prng *prng, uint8_t *memory,
                       uint32_t bytes)
{
    struct xd_batch_header *batch = (struct xd_batch_header *)(void *)memory;
    uint32_t partition = (uint32_t)prng_below(prng, CRASH_PARTITIONS);
    uint64_t offset = log->staged.ends[partition];

    for (uint32_t i = 0; i < bytes; i += 8) {
        uint64_t word = prng_next(prng);

        memcpy(memory + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
    memset(batch, 0, sizeof(*batch));
    batch->partition = partition;
    batch->producer_id = 1;
    batch->producer_epoch = 1;
    batch->record_count = (uint16_t)(1 + prng_below(prng, 5));
    batch->first_sequence = offset + 1;
    batch->last_sequence = offset + batch->record_count;
    batch->previous_sequence = offset;
    batch->first_event_time_us = 1;
    batch->last_event_time_us = 1;
    batch->raw_bytes = bytes - XD_BATCH_HEADER_BYTES;
    xd_batch_seal(batch, bytes);
    batch->base_offset = offset;
    batch->append_time_us = (int64_t)(1 + log->line->all_count);
}

int crash_log_append(struct crash_log *log, struct prng *prng, uint32_t bytes)
{
    const struct xd_batch_header *batch;
    struct crash_batch noted;
    uint8_t *memory;
    uint32_t id;
    int status = log_reserve(log->log, bytes, &memory);

    if (status < 0)
        return status;
    batch_make(log, prng, memory, bytes);
    batch = (const struct xd_batch_header *)(const void *)memory;
    noted.index = log_append(log->log);
    noted.content = xd_xxh3(batch, xd_batch_stride(batch));
    fold_batch(&log->staged, batch, noted.content, noted.index);
    noted.chain = log->staged.hash;
    id = line_add(log->line, &noted);
    if (log->trace != NULL)
        env_trace_mark(log->trace, CRASH_MARK_APPEND, id, 0);
    return 0;
}

static void drain(struct crash_log *log)
{
    uint64_t before = log->fold.batches;
    struct log_entry entry;

    while (log->failure[0] == '\0' && log_durable_next(log->log, &entry))
        (void)take_entry(log, &entry); /* `failure` says it */
    log->floor = log->fold.batches;
    if (log->trace != NULL && log->fold.batches > before)
        env_trace_mark(log->trace, CRASH_MARK_ACK, log->fold.batches, 0);
}

static void checkpoint(struct crash_log *log)
{
    uint64_t bytes_max;
    uint8_t *memory;

    if (!log_checkpoint_due(log->log))
        return;
    memory = log_checkpoint_begin(log->log, &bytes_max);
    XD_ASSERT(bytes_max >= sizeof(log->fold));
    memcpy(memory, &log->fold, sizeof(log->fold));
    log_checkpoint_commit(log->log, sizeof(log->fold));
}

bool crash_log_turn(struct crash_log *log, uint64_t wait_ns)
{
    struct env_event events[64];
    uint64_t deadline_ns;
    uint64_t until_ns;
    int n;

    log_kick(log->log);
    deadline_ns = log_deadline_ns(log->log);
    until_ns = env_now_mono_ns(log->env) + wait_ns;
    n = env_wait(log->env, events, 64, until_ns < deadline_ns ? until_ns : deadline_ns);
    for (int i = 0; i < n; i++)
        log_done(log->log, &events[i]);
    if (n < 0)
        return false;
    drain(log);
    checkpoint(log);
    take_news(log);
    return log_fenced(log->log) == 0 && log->failure[0] == '\0';
}

bool crash_log_feed(struct crash_log *log, struct prng *prng, uint32_t bytes)
{
    for (uint32_t i = 0; i < TURNS_MAX; i++) {
        int status = crash_log_append(log, prng, bytes);

        if (status == 0)
            return true;
        if (status == XD_STORAGE_FENCED)
            return false;
        if (status != XD_THROTTLED)
            return fail(log, xd_status_name(status), log->fold.batches);
        if (!crash_log_turn(log, 10000000))
            return false;
    }
    return fail(log, log_throttle_reason(log->log), log->fold.batches);
}

bool crash_log_settle(struct crash_log *log)
{
    for (uint32_t i = 0; i < TURNS_MAX; i++) {
        if (log_durable_index(log->log) == log_last_index(log->log))
            return true;
        if (!crash_log_turn(log, 1000000000))
            return false;
    }
    return fail(log, "the log does not come to rest", 0);
}

/* ---- the end --------------------------------------------------------------------------------- */

bool crash_log_stop(struct crash_log *log)
{
    log_close_begin(log->log);
    for (uint32_t i = 0; i < TURNS_MAX && !log_closed(log->log); i++)
        if (!crash_log_turn(log, 1000000000))
            return false;
    if (!log_closed(log->log))
        return fail(log, "the stop does not come to an end", 0);
    log_deinit(log->log);
    log->log = NULL;
    if (log->trace != NULL)
        env_trace_mark(log->trace, CRASH_MARK_CLOSED, 0, 0);
    return true;
}

void crash_log_forget(struct crash_log *log)
{
    log->log = NULL;
    log->env = NULL;
}

/* One read, waiting for the disk. */
static int read_at(struct crash_log *log, uint32_t partition, uint64_t offset, uint8_t *out,
                   uint64_t *ret_next)
{
    int got = log_read(log->log, partition, offset, out, READ_BYTES, ret_next);

    for (uint32_t i = 0; got == -EAGAIN && i < TURNS_MAX; i++) {
        if (!crash_log_turn(log, 1000000000))
            return XD_STORAGE_FENCED;
        got = log_read(log->log, partition, offset, out, READ_BYTES, ret_next);
    }
    return got;
}

/* Compares the batches of one read. Returns the offset behind them. */
static uint64_t read_compare(struct crash_log *log, const uint8_t *out, uint32_t bytes,
                             uint64_t offset)
{
    for (uint32_t at = 0; at < bytes && log->failure[0] == '\0';) {
        const struct xd_batch_header *batch = (const void *)(out + at);

        if (batch->base_offset != offset || xd_batch_check_hash(batch) != 0)
            (void)fail(log, "a read that gives something else at offset", offset);
        offset = batch->base_offset + batch->record_count;
        at += xd_batch_stride(batch);
    }
    return offset;
}

static void read_partition(struct crash_log *log, uint32_t partition, uint8_t *out)
{
    uint64_t offset;
    uint64_t end;

    log_bounds(log->log, partition, &offset, &end);
    if (end != log->fold.ends[partition])
        (void)fail(log, "a partition that ends elsewhere, at", end);
    while (offset < end && log->failure[0] == '\0') {
        uint64_t next = offset;
        int got = read_at(log, partition, offset, out, &next);

        if (got == XD_OFFSET_GONE) { /* retention went on while the read waited */
            log_bounds(log->log, partition, &next, &end);
            if (next <= offset)
                (void)fail(log, "an offset that is gone and not gone", offset);
            offset = next;
            continue;
        }
        if (got <= 0)
            (void)fail(log, xd_status_name(got), offset);
        else if (read_compare(log, out, (uint32_t)got, offset) != next)
            (void)fail(log, "a read that ends elsewhere than it says", next);
        offset = next;
    }
}

bool crash_log_read_back(struct crash_log *log)
{
    uint8_t *out = malloc(READ_BYTES);

    XD_ASSERT(out != NULL);
    for (uint32_t partition = 0; partition < CRASH_PARTITIONS; partition++)
        read_partition(log, partition, out);
    free(out);
    return log->failure[0] == '\0';
}
