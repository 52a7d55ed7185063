/* SPDX-License-Identifier: Apache-2.0
 *
 * The running log as its user sees it: log.h's calls spread over the parts of this folder, the way
 * of every event to its part, the fence, news and figures. Opening and closing are log_open.c's.
 */
#include "broker/log/log.h"

#include "broker/log/log_state.h"
#include "broker/log/read.h"

#include <string.h>

/* ---- operations ------------------------------------------------------------------------------ */

void log_write(struct log *log, env_file file, const void *data, uint32_t bytes, uint64_t at,
               uint32_t flags, uint64_t token)
{
    XD_ASSERT(file >= 0 && bytes > 0 && bytes % XD_BLOCK_ALIGN == 0 && at % XD_BLOCK_ALIGN == 0);
    log->outstanding++;
    env_file_write(log->env, file, data, bytes, at, flags, token);
}

void log_sync_file(struct log *log, env_file file, uint64_t token)
{
    XD_ASSERT(file >= 0);
    log->outstanding++;
    env_file_sync(log->env, file, token);
}

void log_read_file(struct log *log, env_file file, void *data, uint32_t bytes, uint64_t at,
                   uint64_t token)
{
    XD_ASSERT(file >= 0 && bytes > 0 && bytes % XD_BLOCK_ALIGN == 0 && at % XD_BLOCK_ALIGN == 0);
    log->outstanding++;
    env_file_read(log->env, file, data, bytes, at, token);
}

void log_fence(struct log *log, int status, enum env_op op, uint64_t position)
{
    XD_ASSERT(status < 0);
    counters_add(log->counters, COUNTER_io_errors, 1);
    if (log->fenced)
        return;
    log->fenced = status;
    counters_add(log->counters, COUNTER_fences, 1);
    log_news_add(log, LOG_NEWS_FENCED, (uint64_t) - (int64_t)status, (uint64_t)op, position);
}

void log_done(struct log *log, const struct env_event *event)
{
    enum log_token kind = (enum log_token)env_token_kind(event->token);

    XD_ASSERT(env_token_owner(event->token) == ENV_OWNER_LOG);
    if (kind == LOG_TOKEN_QUARANTINE) {
        extent_quarantine_done(log, event); /* counts its own operations */
        return;
    }
    XD_ASSERT(log->outstanding > 0);
    log->outstanding--;
    switch (kind) { /* GCOVR_EXCL_BR_LINE the default is an assertion */
    case LOG_TOKEN_BLOCK_WRITE:
        flush_write_done(log, event);
        break;
    case LOG_TOKEN_BLOCK_SYNC:
        flush_sync_done(log, event);
        break;
    case LOG_TOKEN_PREPARE_WRITE:
        prepare_write_done(log, event);
        break;
    case LOG_TOKEN_PREPARE_SYNC:
        prepare_sync_done(log, event);
        break;
    case LOG_TOKEN_PREPARE_HEADER:
        prepare_header_done(log, event);
        break;
    case LOG_TOKEN_CHECKPOINT_WRITE:
        checkpoint_write_done(log, event);
        break;
    case LOG_TOKEN_CHECKPOINT_SYNC:
        checkpoint_sync_done(log, event);
        break;
    case LOG_TOKEN_CHECKPOINT_HEADER:
        checkpoint_header_done(log, event);
        break;
    case LOG_TOKEN_META:
        meta_file_done(log, event);
        break;
    case LOG_TOKEN_READ:
        extent_read_done(log, event);
        break;
    case LOG_TOKEN_QUARANTINE:
    case LOG_TOKEN_SELFTEST:
    default:
        XD_ASSERT(!"an event of the log's has a known kind");
    }
}

/* ---- the turn -------------------------------------------------------------------------------- */

int log_reserve(struct log *log, uint32_t bytes, uint8_t **ret_memory)
{
    XD_ASSERT(log->phase != LOG_OPENED);
    return append_reserve(log, bytes, ret_memory);
}

bool log_disk_low(const struct log *log)
{
    return prepare_disk_low(log);
}

const char *log_throttle_reason(const struct log *log)
{
    return log->append.reason ? log->append.reason : "";
}

uint64_t log_append(struct log *log)
{
    return append_batch(log);
}

/* Whether meta says how far the log is durable. */
static bool end_told(const struct log *log)
{
    return log->meta.durable_index == log->append.durable_index && !log->meta_file.busy;
}

/* At a clean stop meta names the end, so that what is missing below it later counts as damage. */
static void end_tell(struct log *log)
{
    if (log->phase == LOG_CLOSING && !log->fenced && flush_settled(log) && !log->meta_file.busy &&
        !end_told(log))
        meta_file_write(log);
}

void log_kick(struct log *log)
{
    uint64_t now_ns = env_now_mono_ns(log->env);

    XD_ASSERT(log->phase != LOG_OPENED);
    flush_kick(log, now_ns);
    end_tell(log);
    retain_kick(log, now_ns);
    prepare_kick(log, now_ns);
    extent_kick(log);
}

uint64_t log_deadline_ns(const struct log *log)
{
    uint64_t deadline_ns = flush_deadline_ns(log);

    if (retain_deadline_ns(log) < deadline_ns)
        deadline_ns = retain_deadline_ns(log);
    if (prepare_deadline_ns(log) < deadline_ns)
        deadline_ns = prepare_deadline_ns(log);
    return deadline_ns;
}

uint64_t log_last_index(const struct log *log)
{
    const struct append *a = &log->append;

    return a->capacity > 0 && a->batch_count > 0 ? a->index : a->index - 1;
}

uint64_t log_written_index(const struct log *log)
{
    return log->append.written_index;
}

uint64_t log_durable_index(const struct log *log)
{
    return log->append.durable_index;
}

int log_fenced(const struct log *log)
{
    return log->fenced;
}

enum log_sync log_sync_mode(const struct log *log)
{
    return log->sync;
}

int log_durable_next(struct log *log, struct log_entry *ret_entry)
{
    return durable_next(log, ret_entry);
}

bool log_checkpoint_due(const struct log *log)
{
    return checkpoint_due(log);
}

uint8_t *log_checkpoint_begin(struct log *log, uint64_t *ret_bytes_max)
{
    return checkpoint_begin(log, ret_bytes_max);
}

void log_checkpoint_commit(struct log *log, uint64_t bytes)
{
    checkpoint_commit(log, bytes);
}

/* ---- reading --------------------------------------------------------------------------------- */

int log_read(struct log *log, uint32_t partition, uint64_t offset, uint8_t *out, uint32_t out_bytes,
             uint64_t *ret_next)
{
    return read_batches(log, partition, offset, out, out_bytes, ret_next);
}

uint64_t log_reads_finished(const struct log *log)
{
    return log->extents.finished;
}

void log_bounds(const struct log *log, uint32_t partition, uint64_t *ret_first, uint64_t *ret_end)
{
    XD_ASSERT(partition < log->index.partition_count);
    *ret_first = log->index.partitions[partition].first_offset;
    *ret_end = log->index.partitions[partition].end_offset;
}

uint64_t log_seek_time(const struct log *log, uint32_t partition, int64_t time_us)
{
    return index_seek_time(&log->index, partition, time_us);
}

/* ---- inspection ------------------------------------------------------------------------------ */

void log_stats(struct log *log, struct log_stats *ret_stats)
{
    struct segment_table *table = &log->table;
    const struct segment *oldest = segment_oldest(table);
    struct log_stats stats = {.segments_full = segment_count(table, SEGMENT_FULL),
                              .segments_ready = segment_count(table, SEGMENT_READY),
                              .segments_preparing = segment_count(table, SEGMENT_PREPARING),
                              .index_entries = log->index.entry_count,
                              .index_entries_max =
                                  (uint64_t)log->index.chunk_count * INDEX_CHUNK_ENTRIES,
                              .checkpoint_index = log->checkpoint.index,
                              .checkpoint_generation = log->checkpoint.generation,
                              .epoch = log->append.epoch,
                              .disk_free_bytes = log->prepare.disk_free_bytes,
                              .disk_total_bytes = log->prepare.disk_total_bytes,
                              .disk_full_seconds = forecast_seconds(&log->prepare.disk_falls),
                              .disk_bytes = table->slot_count * table->segment_bytes};

    XD_ASSERT(log->phase != LOG_OPENED && oldest);
    stats.first_segment_no = oldest->segment_no;
    stats.active_segment_no = table->slots[table->active].segment_no;
    stats.oldest_time_us = oldest->first_time_us;
    for (uint32_t i = 0; i < table->slot_count; i++)
        if (table->slots[i].state == SEGMENT_FULL || table->slots[i].state == SEGMENT_ACTIVE)
            stats.log_bytes += table->slots[i].used_bytes;
    stats.tail_first_index = log->append.index;
    if (ring_count(&log->tail.ring) > 0)
        stats.tail_first_index = tail_at(&log->tail, log->tail.ring.tail)->index;
    *ret_stats = stats;
}

static const char *const news_names[] = {
    [LOG_NEWS_CREATED] = "log_created",
    [LOG_NEWS_TAIL_CUT] = "log_tail_cut",
    [LOG_NEWS_LOCAL_BLOCK_LOST] = "log_local_block_lost",
    [LOG_NEWS_CORRUPT] = "log_corrupt",
    [LOG_NEWS_CHECKPOINT_FALLBACK] = "log_checkpoint_fallback",
    [LOG_NEWS_META_SLOT_DAMAGED] = "log_meta_slot_damaged",
    [LOG_NEWS_SEGMENT_ROLLED] = "log_segment_rolled",
    [LOG_NEWS_SEGMENT_DROPPED] = "log_segment_dropped",
    [LOG_NEWS_CLOCK_JUMPED] = "log_clock_jumped",
    [LOG_NEWS_CHECKPOINT] = "log_checkpoint",
    [LOG_NEWS_SYNC_CHOSEN] = "log_sync_chosen",
    [LOG_NEWS_NOT_READY] = "log_not_ready",
    [LOG_NEWS_FENCED] = "log_fenced",
};
static_assert(sizeof(news_names) / sizeof(news_names[0]) == LOG_NEWS_COUNT, "a name per kind");

const char *log_news_name(enum log_news_kind kind)
{
    XD_ASSERT(kind < LOG_NEWS_COUNT);
    return news_names[kind];
}

void log_news_add(struct log *log, enum log_news_kind kind, uint64_t a, uint64_t b, uint64_t c)
{
    struct ring *ring = &log->news_ring;

    XD_ASSERT(kind < LOG_NEWS_COUNT);
    if (ring_free_count(ring) == 0)
        (void)ring_pop(ring);
    log->news[ring_push(ring)] = (struct log_news){.a = a, .b = b, .c = c, .kind = kind};
}

bool log_news_next(struct log *log, struct log_news *ret_news)
{
    if (ring_count(&log->news_ring) == 0)
        return false;
    *ret_news = log->news[ring_pop(&log->news_ring)];
    return true;
}

/* ---- stop ------------------------------------------------------------------------------------ */

void log_close_begin(struct log *log)
{
    XD_ASSERT(log->phase != LOG_OPENED);
    log->phase = LOG_CLOSING;
    log_kick(log);
}

bool log_closed(const struct log *log)
{
    if (log->phase != LOG_CLOSING || log->outstanding > 0 || log->extents.quarantine_busy)
        return false;
    return log->fenced || (flush_settled(log) && end_told(log));
}
