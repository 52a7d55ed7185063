/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints in the background, one write at a time. See checkpoint.h; the local part is made and
 * read in local.c.
 */
#include "broker/log/checkpoint.h"

#include "broker/log/local.h"
#include "broker/base/probes.h"
#include "broker/log/log_state.h"

#include <errno.h>
#include <string.h>

uint64_t checkpoint_body_bytes_max(const struct log_options *options, uint32_t chunk_count)
{
    return checkpoint_body_bytes(options->checkpoint_bytes_max,
                                 local_bytes_max(chunk_count, options->partitions_max));
}

/* The tail begins at `position`. A segment's end may be left unused for as much as a block. */
static void tail_start(struct log *log, uint64_t position)
{
    struct checkpoint *c = &log->checkpoint;

    XD_ASSERT(position >= c->tail_from && position <= log->append.folded.position);
    c->tail_from = position;
    c->tail_end = position + log->options.checkpoint_tail_bytes_max - XD_BLOCK_BYTES_MAX;
}

void checkpoint_init(struct log *log, const struct recover *recover)
{
    struct checkpoint *c = &log->checkpoint;

    c->generation = recover->checkpoint.generation;
    c->index = recover->checkpoint.index;
    c->position = recover->checkpoint.position;
    c->other_position = recover->checkpoint_other_position;
    c->tried_position = c->position;
    if (c->generation == 0)
        c->tried_position = log->table.segment_bytes + SEGMENT_HEADER_BYTES; /* segment 1 */
    tail_start(log, c->tried_position);
    XD_ASSERT((c->generation == 0) == (c->position == 0));
    XD_ASSERT(c->index < log->append.index && c->step == CHECKPOINT_IDLE);
}

uint64_t checkpoint_floor(const struct log *log)
{
    const struct checkpoint *c = &log->checkpoint;

    return c->other_position < c->position ? c->other_position : c->position;
}

const char *checkpoint_tail_reason(const struct log *log)
{
    const struct checkpoint *c = &log->checkpoint;

    XD_ASSERT(log->append.position >= c->tail_from && c->tail_end > c->tail_from);
    if (c->failed == 0)
        return "too much log since the last checkpoint; wait for the next one";
    return "too much log since the last checkpoint: the disk has no room for the next one; "
           "make room";
}

bool checkpoint_due(const struct log *log)
{
    const struct checkpoint *c = &log->checkpoint;
    uint64_t here = log->append.folded.position;
    uint64_t blocked_at = log->retain.blocked_at;

    if (log->fenced || log->phase != LOG_RUNNING || c->step != CHECKPOINT_IDLE)
        return false;
    if (here == c->tail_from || env_now_mono_ns(log->env) < c->not_before_ns)
        return false;
    XD_ASSERT(here > c->tail_from && here >= c->tried_position);
    if (here - c->tail_from >= log->options.checkpoint_tail_bytes_max / 4 * 3)
        return true; /* also when the newest one was given up and nothing could be appended since */
    if (here == c->tried_position)
        return false;
    if (here - c->tried_position >= log->options.checkpoint_every_bytes)
        return true;
    if (blocked_at != 0 && here >= blocked_at && checkpoint_floor(log) < blocked_at)
        return true;
    return env_buggify(log->env, ENV_BUGGIFY_CHECKPOINT_EARLY);
}

uint8_t *checkpoint_begin(struct log *log, uint64_t *ret_bytes_max)
{
    struct checkpoint *c = &log->checkpoint;

    XD_ASSERT(c->step == CHECKPOINT_IDLE && log->phase == LOG_RUNNING);
    c->step = CHECKPOINT_FILLING;
    *ret_bytes_max = log->options.checkpoint_bytes_max;
    return c->body;
}

/* The file that the checkpoint being written goes to. */
static env_file file_of(const struct checkpoint *c)
{
    XD_ASSERT(c->header->generation == c->generation + 1); /* never the current one's file */
    XD_ASSERT(c->files[c->header->generation % CHECKPOINT_FILES] >= 0);
    return c->files[c->header->generation % CHECKPOINT_FILES];
}

static void body_write(struct log *log)
{
    struct checkpoint *c = &log->checkpoint;
    uint64_t left = c->body_bytes - c->at;
    uint32_t bytes = left < CHECKPOINT_WRITE_BYTES ? (uint32_t)left : CHECKPOINT_WRITE_BYTES;

    XD_ASSERT(bytes > 0 && bytes % XD_BLOCK_ALIGN == 0);
    XD_ASSERT(c->at + bytes <= c->body_bytes_max);
    log_write(log, file_of(c), c->body + c->at, bytes, CHECKPOINT_HEADER_BYTES + c->at, 0,
              log_token(LOG_TOKEN_CHECKPOINT_WRITE, bytes));
}

static void header_write(struct log *log)
{
    struct checkpoint *c = &log->checkpoint;

    XD_ASSERT(c->step == CHECKPOINT_HEADER && c->at == c->body_bytes);
    log_write(log, file_of(c), c->header, CHECKPOINT_HEADER_BYTES, 0, ENV_WRITE_DSYNC,
              log_token(LOG_TOKEN_CHECKPOINT_HEADER, 0));
}

/* Without space (log_lacks_space) the log goes on without this checkpoint; any other error is the
 * device's. Status 0 only stops it. */
static void give_up(struct log *log, int status, enum env_op op)
{
    struct checkpoint *c = &log->checkpoint;

    XD_ASSERT(status <= 0 && c->step >= CHECKPOINT_FILLING && c->step <= CHECKPOINT_HEADER);
    c->step = CHECKPOINT_IDLE;
    c->not_before_ns = env_now_mono_ns(log->env) + CHECKPOINT_RETRY_NS;
    c->failed = status;
    if (log_lacks_space(status))
        counters_add(log->counters, COUNTER_io_errors, 1);
    else if (status < 0)
        log_fence(log, status, op, 0);
}

/* Opens the file that will be overwritten, the first time. A file whose name may not be durable
 * does not stay open: the next attempt begins with the folder again. */
static int file_open(struct log *log, uint64_t generation)
{
    env_file *file = &log->checkpoint.files[generation % CHECKPOINT_FILES];
    char name[ENV_NAME_BYTES_MAX];
    int status;

    if (*file >= 0)
        return 0;
    checkpoint_name(generation, name);
    status = env_file_open(log->env, name, ENV_OPEN_CREATE, file);
    if (status < 0)
        return status;
    status = env_dir_sync(log->env, "");
    if (status < 0) {
        env_file_close(log->env, *file);
        *file = -1;
    }
    return status;
}

void checkpoint_commit(struct log *log, uint64_t bytes)
{
    struct checkpoint *c = &log->checkpoint;
    const struct append_point *point = &log->append.folded;
    uint64_t local_at = checkpoint_local_at(bytes);
    uint64_t local_bytes;
    int status;

    XD_ASSERT(c->step == CHECKPOINT_FILLING && bytes <= log->options.checkpoint_bytes_max);
    XD_ASSERT(point->index <= log->append.durable_index && point->position > c->tail_from);
    local_bytes = local_save(log, c->body + local_at);
    c->body_bytes = checkpoint_body_bytes(bytes, local_bytes);
    XD_ASSERT(c->body_bytes <= c->body_bytes_max);
    memset(c->header, 0, sizeof(*c->header));
    c->header->shard = log->options.shard;
    memcpy(c->header->log_uuid, log->meta.log_uuid, sizeof(c->header->log_uuid));
    c->header->generation = c->generation + 1;
    c->header->epoch = log->append.epoch;
    c->header->position = point->position;
    c->header->index = point->index;
    c->header->term = log->append.term;
    c->header->chain = point->chain;
    c->header->block_sequence = point->sequence;
    c->header->state_bytes = bytes;
    c->header->local_bytes = local_bytes;
    c->header->segment_bytes = log->table.segment_bytes;
    c->header->created_time_us = env_now_wall_us(log->env);
    checkpoint_seal(c->header, c->body);
    c->tried_position = point->position;
    c->at = 0;
    c->stalls = 0;
    status = file_open(log, c->header->generation);
    if (status < 0) {
        give_up(log, status, ENV_OP_WRITE);
        return;
    }
    c->step = CHECKPOINT_BODY;
    body_write(log);
}

void checkpoint_write_done(struct log *log, const struct env_event *event)
{
    struct checkpoint *c = &log->checkpoint;
    uint32_t pages = event->result > 0 ? log_whole_pages(event->result) : 0;

    XD_ASSERT(c->step == CHECKPOINT_BODY);
    c->at += pages;
    XD_ASSERT(c->at <= c->body_bytes);
    c->stalls = pages > 0 ? 0 : (uint8_t)(c->stalls + 1);
    if (event->result < 0 || c->stalls >= LOG_STALLS_MAX) {
        give_up(log, event->result < 0 ? event->result : -EIO, ENV_OP_WRITE);
    } else if (log->fenced || log->phase == LOG_CLOSING) {
        give_up(log, 0, ENV_OP_WRITE);
    } else if (c->at < c->body_bytes) {
        body_write(log);
    } else {
        c->step = CHECKPOINT_FLUSH;
        log_sync_file(log, file_of(c), log_token(LOG_TOKEN_CHECKPOINT_SYNC, 0));
    }
}

void checkpoint_sync_done(struct log *log, const struct env_event *event)
{
    struct checkpoint *c = &log->checkpoint;

    XD_ASSERT(c->step == CHECKPOINT_FLUSH && c->at == c->body_bytes);
    if (event->result < 0 || log->fenced) {
        give_up(log, event->result < 0 ? event->result : 0, ENV_OP_SYNC);
        return;
    }
    c->step = CHECKPOINT_HEADER;
    c->stalls = 0;
    header_write(log);
}

void checkpoint_header_done(struct log *log, const struct env_event *event)
{
    struct checkpoint *c = &log->checkpoint;
    int status = log_page_written(event->result, &c->stalls);

    XD_ASSERT(c->step == CHECKPOINT_HEADER);
    if (status < 0 || log->fenced) {
        give_up(log, status < 0 ? status : 0, ENV_OP_WRITE);
        return;
    }
    if (status > 0) {
        header_write(log);
        return;
    }
    env_crash_point(log->env, ENV_CRASH_CHECKPOINT_WRITTEN);
    c->step = CHECKPOINT_META;
    log->meta.checkpoint_generation = c->header->generation;
    log->meta.checkpoint_xxh3 = c->header->xxh3;
    meta_file_write(log);
}

void checkpoint_meta_done(struct log *log)
{
    struct checkpoint *c = &log->checkpoint;
    uint64_t bytes = CHECKPOINT_HEADER_BYTES + c->body_bytes;

    if (c->step != CHECKPOINT_META || log->meta_file.durable_checkpoint != c->header->generation)
        return;
    XD_ASSERT(c->header->generation == c->generation + 1 && c->header->position >= c->position);
    XD_ASSERT(c->header->position <= log->append.folded.position);
    XD_ASSERT(c->header->index >= c->index && c->header->index <= log->append.durable_index);
    c->step = CHECKPOINT_IDLE;
    c->other_position = c->generation > 0 ? c->position : 0;
    c->generation = c->header->generation;
    c->position = c->header->position;
    c->index = c->header->index;
    tail_start(log, c->position);
    c->failed = 0;
    env_crash_point(log->env, ENV_CRASH_CHECKPOINT_CURRENT);
    counters_add(log->counters, COUNTER_checkpoints_written, 1);
    counters_add(log->counters, COUNTER_checkpoint_bytes, bytes);
    log_news_add(log, LOG_NEWS_CHECKPOINT, c->generation, c->index, bytes);
    PROBE_CHECKPOINT_DONE(c->generation, c->index, bytes);
    retain_wake(log);
}
