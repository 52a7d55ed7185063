/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a log: options, memory, recovery, and the first segments. See log.h.
 *
 * Normal path: log_open takes all memory from the arena and lets recover.c find the folder's state,
 * log_recover_next indexes what recovery gives, log_recover_end settles where appending goes on and
 * has segments made. Failure paths: the status and `why` of the part that failed, everything
 * closed.
 */
#include "broker/log/log.h"

#include "broker/log/log_state.h"
#include "broker/log/selftest.h"
#include "wire/status.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Slots beyond what retention keeps: the active one, those being prepared, and what waits for the
 * second of two checkpoints to pass it. */
#define SLOTS_SPARE 6u

static_assert(PREPARE_WRITE_BYTES >= SELFTEST_WRITE_BYTES, "the zeros serve the self-test too");

void log_options_init(struct log_options *options)
{
    *options = (struct log_options){.segment_bytes = 256ull << 20,
                                    .tail_bytes = 256ull << 20,
                                    .index_bytes = 64ull << 20,
                                    .checkpoint_bytes_max = 64ull << 20,
                                    .checkpoint_every_bytes = 256ull << 20,
                                    .checkpoint_tail_bytes_max = 1ull << 30,
                                    .clock_steady_ns = 3600ull * 1000000000u,
                                    .undurable_bytes_max = 64ull << 20,
                                    .disk_low_bytes = 1ull << 30,
                                    .partitions_max = 4096,
                                    .writes_inflight_max = 8,
                                    .write_group_bytes = 256u << 10,
                                    .segments_ready_min = 2,
                                    .read_cache_extents = 64,
                                    .mark_idle_ms = 100,
                                    .shard_count = 1,
                                    .sync = LOG_SYNC_AUTO};
}

/* The first option outside its range, or NULL. */
static const char *options_wrong(const struct log_options *o)
{
    if (o->segment_bytes < SEGMENT_BYTES_MIN || o->segment_bytes > SEGMENT_BYTES_MAX ||
        o->segment_bytes % (1u << 20) != 0)
        return "segment_bytes";
    if (o->tail_bytes < 16ull << 20 || o->tail_bytes > 8ull << 30 ||
        (o->tail_bytes & (o->tail_bytes - 1)) != 0)
        return "tail_bytes";
    if (o->retention_bytes > 0 && o->retention_bytes < 4 * o->segment_bytes)
        return "retention_bytes";
    if (o->retention_us < 0)
        return "retention_us";
    if (index_chunks_max(o->index_bytes) == 0)
        return "index_bytes";
    if (o->checkpoint_bytes_max < XD_BLOCK_ALIGN || o->checkpoint_bytes_max > 64ull << 30)
        return "checkpoint_bytes_max";
    if (o->checkpoint_every_bytes == 0 || o->checkpoint_every_bytes > 1ull << 30)
        return "checkpoint_every_bytes";
    if (o->checkpoint_tail_bytes_max < CHECKPOINT_TAIL_BYTES_MIN ||
        o->checkpoint_tail_bytes_max > 1ull << 30)
        return "checkpoint_tail_bytes_max";
    if (o->undurable_bytes_max < 2u * XD_BLOCK_BYTES_MAX || o->undurable_bytes_max > 64ull << 20)
        return "undurable_bytes_max";
    if (o->partitions_max == 0 || o->partitions_max > XD_PARTITIONS_MAX)
        return "partitions_max";
    if (o->writes_inflight_max == 0 || o->writes_inflight_max > 16)
        return "writes_inflight_max";
    if (o->write_group_bytes == 0 || o->write_group_bytes > XD_BLOCK_BYTES_MAX)
        return "write_group_bytes";
    if (o->segments_ready_min == 0 || o->segments_ready_min > 64)
        return "segments_ready_min";
    if (o->read_cache_extents < EXTENT_INFLIGHT_MAX || o->read_cache_extents > 65536)
        return "read_cache_extents";
    if (o->shard_count == 0 || o->shard >= o->shard_count)
        return "shard";
    if (o->mark_idle_ms == 0 || (unsigned)o->sync >= LOG_SYNC_COUNT)
        return o->mark_idle_ms == 0 ? "mark_idle_ms" : "sync";
    return NULL;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Files that the log may make: what retention keeps and SLOTS_SPARE. There may be more already,
 * made under other options. */
static uint32_t slot_limit(const struct log_options *options)
{
    uint64_t count = options->retention_bytes / options->segment_bytes +
                     options->segments_ready_min + SLOTS_SPARE;

    if (options->retention_bytes == 0 || count > SEGMENT_SLOTS_MAX)
        return SEGMENT_SLOTS_MAX;
    return (uint32_t)count;
}

/* Takes memory from an arena, or only adds up what it would take. */
struct carver {
    struct arena *arena; /* NULL = add up */
    uint64_t bytes;      /* taken so far, with the gaps */
    bool failed;         /* the arena was too small */
};

static void *carve(struct carver *carver, uint64_t bytes)
{
    uint64_t rounded = (bytes + XD_BLOCK_ALIGN - 1) & ~(uint64_t)(XD_BLOCK_ALIGN - 1);
    void *memory = NULL;

    carver->bytes += rounded;
    if (carver->arena && !carver->failed) {
        memory = arena_alloc(carver->arena, rounded, XD_BLOCK_ALIGN);
        carver->failed = memory == NULL;
    }
    return memory;
}

/* Everything that a log takes; the pointers are valid unless carver->failed or only adding up. */
struct memory {
    struct log *log;
    uint8_t *tail;
    struct tail_block *blocks;
    struct segment *slots;
    struct index_chunk *chunks;
    struct index_partition *partitions;
    struct extent *extents;
    uint8_t *extent_memory;
    uint8_t *checkpoint_body;
    struct checkpoint_header *checkpoint_header;
    struct meta *meta_page;
    struct segment_header *segment_header;
    uint8_t *zeros;
};

static struct memory memory_carve(struct carver *carver, const struct log_options *o)
{
    uint32_t chunk_count = index_chunks_max(o->index_bytes);
    uint64_t body = checkpoint_body_bytes_max(o, chunk_count);

    return (struct memory){
        .log = carve(carver, sizeof(struct log)),
        .tail = carve(carver, o->tail_bytes),
        .blocks = carve(carver, tail_blocks_max(o->tail_bytes) * sizeof(struct tail_block)),
        .slots = carve(carver, SEGMENT_SLOTS_MAX * sizeof(struct segment)),
        .chunks = carve(carver, chunk_count * sizeof(struct index_chunk)),
        .partitions = carve(carver, o->partitions_max * sizeof(struct index_partition)),
        .extents = carve(carver, o->read_cache_extents * sizeof(struct extent)),
        .extent_memory = carve(carver, (uint64_t)o->read_cache_extents * EXTENT_BYTES),
        .checkpoint_body = carve(carver, body),
        .checkpoint_header = carve(carver, CHECKPOINT_HEADER_BYTES),
        .meta_page = carve(carver, META_SLOT_BYTES),
        .segment_header = carve(carver, SEGMENT_HEADER_BYTES),
        .zeros = carve(carver, PREPARE_WRITE_BYTES),
    };
}

uint64_t log_bytes_needed(const struct log_options *options)
{
    struct carver carver = {.arena = NULL};

    XD_ASSERT(options_wrong(options) == NULL);
    (void)memory_carve(&carver, options);
    return carver.bytes + XD_BLOCK_ALIGN; /* the arena may stand at any byte */
}

static void log_init(const struct memory *m, struct env *env, struct counters *counters,
                     const struct log_options *options)
{
    struct log *log = m->log;

    XD_ASSERT(log && m->tail && m->checkpoint_body && m->zeros);
    XD_ASSERT((uintptr_t)m->tail % XD_BLOCK_ALIGN == 0);
    memset(log, 0, sizeof(*log));
    memset(m->zeros, 0, PREPARE_WRITE_BYTES);
    log->env = env;
    log->counters = counters;
    log->options = *options;
    log->sync = options->sync;
    log->table = (struct segment_table){
        .slots = m->slots, .slot_max = SEGMENT_SLOTS_MAX, .segment_bytes = options->segment_bytes};
    memset(m->slots, 0, SEGMENT_SLOTS_MAX * sizeof(struct segment));
    tail_init(&log->tail, m->tail, options->tail_bytes, m->blocks);
    index_init(&log->index, m->chunks, index_chunks_max(options->index_bytes), m->partitions,
               options->partitions_max);
    extents_init(&log->extents, m->extents, options->read_cache_extents, m->extent_memory);
    log->checkpoint.body = m->checkpoint_body;
    log->checkpoint.body_bytes_max =
        checkpoint_body_bytes_max(options, index_chunks_max(options->index_bytes));
    log->checkpoint.header = m->checkpoint_header;
    log->checkpoint.files[0] = -1;
    log->checkpoint.files[1] = -1;
    log->meta_file.page = m->meta_page;
    log->meta_file.file = -1;
    log->prepare.header = m->segment_header;
    log->prepare.zeros = m->zeros;
    log->prepare.ready_target = options->segments_ready_min;
    log->prepare.slot_limit = slot_limit(options);
    ring_init(&log->news_ring, LOG_NEWS_RING);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Restores what the checkpoint says about segments and partitions. */
static int local_part_restore(struct log *log, char *why)
{
    const struct checkpoint_header *header = &log->recover.checkpoint;
    int status;

    if (header->generation == 0)
        return 0;
    status = local_restore(log, log->recover.local, header->local_bytes, &log->local_first_no);
    if (status == XD_CHECKPOINT_CORRUPT)
        (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                       "checkpoint.%u: its segment list or index does not decode",
                       (unsigned)(header->generation % CHECKPOINT_FILES));
    else if (status == XD_OPTION_INVALID)
        (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                       "the log holds partitions beyond partitions_max %u; raise it",
                       log->options.partitions_max);
    else if (status == -ENOSPC)
        (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                       "index_bytes %llu is too small for what the log keeps; raise it",
                       (unsigned long long)log->options.index_bytes);
    return status == -ENOSPC ? XD_OPTION_INVALID : status;
}

int log_open(struct env *env, struct arena *arena, struct counters *counters,
             const struct log_options *options, struct log **ret_log, const uint8_t **ret_state,
             uint64_t *ret_state_bytes, char *why)
{
    const char *wrong = options_wrong(options);
    struct carver carver = {.arena = arena};
    struct memory memory;
    struct log *log;
    int status;

    if (wrong) {
        (void)snprintf(why, XD_DETAIL_BYTES_MAX, "log option %s is outside its range", wrong);
        return XD_OPTION_INVALID;
    }
    memory = memory_carve(&carver, options);
    if (carver.failed) {
        (void)snprintf(why, XD_DETAIL_BYTES_MAX, "the log needs %llu bytes of memory",
                       (unsigned long long)log_bytes_needed(options));
        return -ENOMEM;
    }
    log_init(&memory, env, counters, options);
    log = memory.log;
    /* The tail is not in use before the log runs, so recovery reads into it. */
    static_assert(SCAN_BYTES <= 16u << 20, "the smallest tail holds the scan's buffers");
    status = recover_open(&log->recover,
                          &(struct recover_options){
                              .env = env,
                              .table = &log->table,
                              .scan_memory = memory.tail,
                              .checkpoint_memory = memory.checkpoint_body,
                              .checkpoint_bytes = log->checkpoint.body_bytes_max,
                              .segment_bytes = options->segment_bytes,
                              .shard = options->shard,
                              .shard_count = options->shard_count,
                          },
                          why);
    if (status == 0)
        status = local_part_restore(log, why);
    if (status < 0) {
        recover_close(&log->recover);
        return status;
    }
    *ret_log = log;
    *ret_state = log->recover.state;
    *ret_state_bytes = log->recover.state ? log->recover.checkpoint.state_bytes : 0;
    return 0;
}

/* Names the batch that could not be indexed. */
static int index_failed(const struct log *log, const struct xd_batch_header *batch, int status,
                        char *why)
{
    const struct recover_block *at = &log->recovered;

    if (status == XD_LOG_CORRUPT)
        (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                       "block at position %llu: offset %llu of partition %u is not the next one",
                       (unsigned long long)at->position, (unsigned long long)batch->base_offset,
                       batch->partition);
    else
        (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                       "block at position %llu, partition %u: %s is too small for what the log "
                       "holds; raise it",
                       (unsigned long long)at->position, batch->partition,
                       status == -ENOSPC ? "index_bytes" : "partitions_max");
    return status == -ENOSPC ? XD_OPTION_INVALID : status;
}

int log_recover_next(struct log *log, struct log_entry *ret_entry, char *why)
{
    XD_ASSERT(log->phase == LOG_OPENED);
    for (;;) {
        const struct xd_batch_header *batch = NULL;
        int status;

        if (log->recovered.block && !log->recovered.local)
            batch = block_next_batch(log->recovered.block, &log->recovered_cursor);
        if (!batch) {
            log->recovered.block = NULL;
            log->recovered_cursor = 0;
            log->recovered_ordinal = 0;
            status = recover_next(&log->recover, &log->recovered, why);
            if (status <= 0)
                return status;
            continue;
        }
        status = index_add(&log->index, batch, log->recovered.position,
                           log->recovered.block->block_bytes);
        if (status < 0)
            return index_failed(log, batch, status, why);
        *ret_entry = (struct log_entry){.batch = batch,
                                        .log_index = log->recovered.block->index,
                                        .position = log->recovered.position,
                                        .ordinal = log->recovered_ordinal++};
        return 1;
    }
}

/* ---- from recovered to running --------------------------------------------------------------- */

/* Segments that the checkpoint does not list were dropped before it. A FREE file may have been left
 * half zeroed by a crash, so none is believed to be. */
static void slots_settle(struct log *log)
{
    for (uint32_t i = 0; i < log->table.slot_count; i++) {
        struct segment *segment = &log->table.slots[i];

        if (segment->state == SEGMENT_FREE)
            segment->zeroed = 0;
        if (segment->state == SEGMENT_FULL && segment->segment_no < log->local_first_no)
            segment_free(segment);
    }
}

/* Trims what the checkpoint's index says about segments that are not there any more: they were
 * recycled after it, or their files were lost, so it is said. */
static void index_settle(struct log *log)
{
    const struct segment *oldest = segment_oldest(&log->table);
    uint64_t position = oldest->segment_no * log->table.segment_bytes;

    for (uint64_t no = log->local_first_no; no > 0 && no < oldest->segment_no; no++)
        log_news_add(log, LOG_NEWS_SEGMENT_DROPPED, no, RETAIN_MISSING, 0);
    for (uint32_t i = 0; i < log->index.partition_count; i++)
        index_trim(&log->index, i, position);
    counters_set(log->counters, COUNTER_log_first_position, position);
}

/* Makes segments READY, and the first of them active when the point's segment is missing. */
static int segments_prepare(struct log *log, char *why)
{
    bool missing = log->recover.active == RECOVER_NO_SLOT;
    struct segment *first;
    int status = prepare_wait(log, log->options.segments_ready_min + missing);

    if (status < 0 || (missing && status == 0)) {
        (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                       "a segment of %llu bytes cannot be prepared: %s; free space or lower "
                       "segment_bytes or disk_low_bytes",
                       (unsigned long long)log->options.segment_bytes,
                       status < 0 ? xd_status_text(status) : "the disk is nearly full");
        return status < 0 ? status : -ENOSPC;
    }
    log->table.active = log->recover.active;
    if (missing) {
        first = segment_ready(&log->table);
        XD_ASSERT(first->segment_no == segment_no_of(&log->table, log->append.position));
        first->state = SEGMENT_ACTIVE;
        log->table.active = first->slot;
        prepare_wake(log);
        status = meta_file_write_now(log); /* the first segment was made: see meta_ran() */
    }
    if (status < 0)
        (void)snprintf(why, XD_DETAIL_BYTES_MAX, "meta: writing failed (%s); check the device",
                       xd_status_name(status));
    return status < 0 ? status : 0;
}

/* Chooses the sync method, by measuring over a READY segment when asked to. */
static int sync_choose(struct log *log, char *why)
{
    struct segment *scratch = segment_ready(&log->table);
    struct selftest_result result;
    int status;

    log->sync = log->options.sync;
    if (log->sync != LOG_SYNC_AUTO)
        return 0;
    log->sync = LOG_SYNC_FDATASYNC;
    if (!scratch)
        return 0; /* no room to measure in: the method that shares its cost */
    status = selftest_run(log->env, scratch->file, SEGMENT_HEADER_BYTES, log->prepare.zeros,
                          log_token(LOG_TOKEN_SELFTEST, 0), &result);
    if (status < 0) {
        (void)snprintf(why, XD_DETAIL_BYTES_MAX, "wal.%02u: the self-test cannot write: %s",
                       scratch->slot, xd_status_text(status));
        return status;
    }
    log->sync = result.chosen;
    log_news_add(log, LOG_NEWS_SYNC_CHOSEN, (uint64_t)result.chosen, result.dsync_ns / 1000,
                 result.fdatasync_ns / 1000);
    return 0;
}

/* Passes on what recovery found, and counts it. */
static void recover_news_take(struct log *log)
{
    struct recover *recover = &log->recover;

    for (uint32_t i = 0; i < recover->news_count; i++) {
        const struct log_news *news = &recover->news[i];

        log_news_add(log, news->kind, news->a, news->b, news->c);
        counters_add(log->counters, COUNTER_tail_cuts, news->kind == LOG_NEWS_TAIL_CUT);
        counters_add(log->counters, COUNTER_tail_cut_bytes,
                     news->kind == LOG_NEWS_TAIL_CUT ? news->a : 0);
        counters_add(log->counters, COUNTER_meta_slots_damaged,
                     news->kind == LOG_NEWS_META_SLOT_DAMAGED);
    }
    recover->news_count = 0;
}

int log_recover_end(struct log *log, char *why)
{
    struct recover *recover = &log->recover;
    int status;

    XD_ASSERT(log->phase == LOG_OPENED && log->recovered.block == NULL);
    status = recover_end(recover, why);
    recover_news_take(log);
    if (status < 0) {
        recover_close(recover);
        return status;
    }
    log->meta = recover->meta;
    log->meta_file.file = recover->meta_file;
    log->meta_file.durable_checkpoint = recover->meta.checkpoint_generation;
    append_init(log, &recover->point);
    checkpoint_init(log, recover);
    slots_settle(log);
    status = segments_prepare(log, why);
    if (status == 0) {
        index_settle(log);
        status = sync_choose(log, why);
    }
    if (status < 0) {
        log_deinit(log);
        return status;
    }
    log->phase = LOG_RUNNING;
    return 0;
}

uint32_t log_recover_percent(const struct log *log)
{
    return log->phase == LOG_OPENED ? recover_percent(&log->recover) : 100;
}

void log_uuid(const struct log *log, uint8_t ret_uuid[16])
{
    memcpy(ret_uuid, log->recover.meta.log_uuid, 16);
}

static void file_close(struct log *log, env_file *file)
{
    if (*file >= 0)
        env_file_close(log->env, *file);
    *file = -1;
}

void log_deinit(struct log *log)
{
    if (!log)
        return;
    if (log->recover.phase != RECOVER_DONE) {
        recover_close(&log->recover);
        return;
    }
    XD_ASSERT(log->phase == LOG_OPENED || log_closed(log)); /* start failed, or a proper end */
    for (uint32_t i = 0; i < log->table.slot_count; i++)
        file_close(log, &log->table.slots[i].file);
    file_close(log, &log->meta_file.file);
    for (uint32_t i = 0; i < CHECKPOINT_FILES; i++)
        file_close(log, &log->checkpoint.files[i]);
}
