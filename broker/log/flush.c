/* SPDX-License-Identifier: Apache-2.0
 *
 * Group commit: when blocks are written, what is flushed, what is durable. See flush.h.
 */
#include "broker/log/flush.h"

#include "broker/base/probes.h"
#include "broker/log/log_state.h"

#include <errno.h>

/* With this many undurable blocks, writes wait for write_group_bytes even if few are in flight ...
 */
#define WINDOW_HALF (APPEND_WINDOW_BLOCKS / 2u)
/* ... and with this many only full blocks are written, so that a slow flush does not use the window
 * up with small ones. */
#define WINDOW_NARROW (APPEND_WINDOW_BLOCKS * 3u / 4u)

/* ---- writing --------------------------------------------------------------------------------- */

/* Starts the write of what is left of a block. */
static void block_write(struct log *log, uint64_t counter)
{
    struct tail_block *block = tail_at(&log->tail, counter);
    const uint8_t *memory = tail_memory(&log->tail, block->address);
    uint64_t at = segment_at_of(&log->table, block->position);
    uint32_t flags = log->sync == LOG_SYNC_DSYNC ? ENV_WRITE_DSYNC : 0;

    XD_ASSERT(block->written_bytes < block->block_bytes);
    XD_ASSERT(counter >= log->append.written && counter < log->append.submitted);
    XD_ASSERT(log->table.slots[block->slot].segment_no ==
              segment_no_of(&log->table, block->position));
    block->state = TAIL_WRITING;
    log_write(log, log->table.slots[block->slot].file, memory + block->written_bytes,
              block->block_bytes - block->written_bytes, at + block->written_bytes, flags,
              log_token(LOG_TOKEN_BLOCK_WRITE, counter));
}

static void block_submit(struct log *log)
{
    struct append *a = &log->append;
    struct tail_block *block = tail_at(&log->tail, a->submitted);

    XD_ASSERT(a->writes_inflight < log->options.writes_inflight_max);
    XD_ASSERT(block->state == TAIL_CLOSED && block->written_bytes == 0);
    XD_ASSERT(a->unsubmitted_bytes >= block->block_bytes);
    block->started_ns = env_now_mono_ns(log->env);
    a->unsubmitted_bytes -= block->block_bytes;
    a->writes_inflight++;
    block_write(log, a->submitted++);
    env_crash_point(log->env, ENV_CRASH_BLOCK_SUBMITTED);
}

/* The rule of flush.h: is the open block worth a write now? */
static bool block_worth_writing(struct log *log)
{
    struct append *a = &log->append;
    uint64_t window = append_undurable_blocks(log);
    uint64_t pending = a->unsubmitted_bytes + a->used_bytes;

    XD_ASSERT(a->batch_count > 0);
    if (a->capacity == 0)
        return false;
    if (a->writes_inflight >= log->options.writes_inflight_max)
        return false;
    if (log->phase == LOG_CLOSING || env_buggify(log->env, ENV_BUGGIFY_BLOCK_CLOSE_EARLY))
        return true;
    if (window >= WINDOW_NARROW)
        return false;
    if (a->writes_inflight < 2 && window < WINDOW_HALF)
        return true;
    return pending >= log->options.write_group_bytes;
}

/* Makes a MARK when data came to rest without one. */
static void mark_kick(struct log *log, uint64_t now_ns)
{
    struct append *a = &log->append;

    if (!a->mark_wanted || a->capacity > 0 || append_undurable_blocks(log) > 0)
        return;
    if (log->phase != LOG_CLOSING && now_ns < flush_deadline_ns(log))
        return;
    XD_ASSERT(a->undurable_bytes == 0 && a->unsubmitted_bytes == 0);
    a->last_write_ns = now_ns; /* if there is no room: again after as long a wait */
    (void)append_mark(log);    /* without room for it nothing is lost but time */
}

/* One flush at a time, over the completed writes of one segment. */
static void sync_kick(struct log *log)
{
    struct append *a = &log->append;
    uint64_t to = a->durable;
    uint32_t slot;

    if (log->sync != LOG_SYNC_FDATASYNC || a->syncing || a->written == a->durable)
        return;
    slot = tail_at(&log->tail, to)->slot;
    while (to < a->written && tail_at(&log->tail, to)->slot == slot)
        to++;
    XD_ASSERT(to > a->durable && to <= a->written);
    a->syncing = true;
    a->sync_started_ns = env_now_mono_ns(log->env);
    log_sync_file(log, log->table.slots[slot].file, log_token(LOG_TOKEN_BLOCK_SYNC, to));
}

void flush_kick(struct log *log, uint64_t now_ns)
{
    struct append *a = &log->append;

    append_check(log);
    if (log->fenced)
        return;
    a->reserved = 0;
    if (a->batch_count == 0 || block_worth_writing(log))
        append_close(log);
    mark_kick(log, now_ns);
    while (a->submitted < log->tail.ring.head &&
           a->writes_inflight < log->options.writes_inflight_max)
        block_submit(log);
    sync_kick(log);
    counters_set(log->counters, COUNTER_undurable_bytes, a->undurable_bytes);
    counters_set(log->counters, COUNTER_staged_bytes,
                 a->undurable_bytes + (a->capacity > 0 ? a->used_bytes : 0));
}

uint64_t flush_deadline_ns(const struct log *log)
{
    const struct append *a = &log->append;

    if (log->fenced || !a->mark_wanted || a->capacity > 0 || append_undurable_blocks(log) > 0)
        return UINT64_MAX;
    return a->last_write_ns + (uint64_t)log->options.mark_idle_ms * 1000000u;
}

bool flush_settled(const struct log *log)
{
    const struct append *a = &log->append;

    return a->capacity == 0 && append_undurable_blocks(log) == 0 &&
           !(a->mark_wanted && append_mark_possible(log));
}

/* ---- completions ----------------------------------------------------------------------------- */

/* What a block took, now that it is durable. */
static void block_time(struct log *log, const struct tail_block *block, uint64_t counter,
                       uint64_t now_ns)
{
    uint64_t began_ns = log->append.block_began_ns[counter % APPEND_WINDOW_BLOCKS];

    XD_ASSERT(block->started_ns <= now_ns);
    counters_time(log->counters, LATENCY_block_sync_duration_ns, now_ns - block->started_ns);
    PROBE_BLOCK_DURABLE(block->index, block->position, block->block_bytes,
                        now_ns - block->started_ns);
    if (block->type != BLOCK_DATA)
        return;
    XD_ASSERT(began_ns <= block->started_ns);
    counters_time(log->counters, LATENCY_commit_duration_ns, now_ns - began_ns);
}

/* Everything below `to` is on stable storage. */
static void durable_advance(struct log *log, uint64_t to, uint64_t now_ns)
{
    struct append *a = &log->append;

    XD_ASSERT(to >= a->durable && to <= a->written);
    if (to == a->durable)
        return;
    while (a->durable < to) {
        const struct tail_block *block = tail_at(&log->tail, a->durable);

        XD_ASSERT(block->state == TAIL_WRITTEN && block->index >= a->durable_index);
        XD_ASSERT(a->undurable_bytes >= block->block_bytes);
        block_time(log, block, a->durable, now_ns);
        a->undurable_bytes -= block->block_bytes;
        a->durable_index = block->index;
        a->durable++;
    }
    append_check(log);
    env_crash_point(log->env, ENV_CRASH_BLOCK_DURABLE);
}

static void written_advance(struct log *log, uint64_t now_ns)
{
    struct append *a = &log->append;

    while (a->written < a->submitted && tail_at(&log->tail, a->written)->state == TAIL_WRITTEN) {
        XD_ASSERT(tail_at(&log->tail, a->written)->index >= a->written_index);
        a->written_index = tail_at(&log->tail, a->written)->index;
        a->written++;
    }
    if (log->sync == LOG_SYNC_DSYNC)
        durable_advance(log, a->written, now_ns);
}

void flush_write_done(struct log *log, const struct env_event *event)
{
    struct append *a = &log->append;
    uint64_t counter = env_token_value(event->token);
    struct tail_block *block = tail_at(&log->tail, counter);
    uint64_t now_ns = env_now_mono_ns(log->env);
    uint32_t pages;

    XD_ASSERT(block->state == TAIL_WRITING && counter >= a->written);
    XD_ASSERT(counter < a->submitted && a->writes_inflight > 0);
    if (event->result < 0) {
        log_fence(log, event->result, ENV_OP_WRITE, block->position);
        return;
    }
    XD_ASSERT((uint32_t)event->result <= block->block_bytes - block->written_bytes);
    pages = log_whole_pages(event->result);
    block->written_bytes += pages;
    block->stalls = pages > 0 ? 0 : (uint8_t)(block->stalls + 1);
    if (block->written_bytes < block->block_bytes) {
        if (block->stalls >= LOG_STALLS_MAX)
            log_fence(log, -EIO, ENV_OP_WRITE, block->position);
        else if (!log->fenced)
            block_write(log, counter);
        return;
    }
    block->state = TAIL_WRITTEN;
    a->writes_inflight--;
    counters_add(log->counters, COUNTER_blocks_written, 1);
    counters_add(log->counters, COUNTER_block_bytes_written, block->block_bytes);
    counters_add(log->counters, COUNTER_write_ns_total, now_ns - block->started_ns);
    PROBE_BLOCK_WRITTEN(block->index, block->position, block->block_bytes,
                        now_ns - block->started_ns);
    env_crash_point(log->env, ENV_CRASH_BLOCK_WRITTEN);
    if (log->fenced)
        return;
    if (log->sync == LOG_SYNC_DSYNC) {
        counters_add(log->counters, COUNTER_syncs, 1);
        counters_add(log->counters, COUNTER_sync_ns_total, now_ns - block->started_ns);
        counters_max(log->counters, COUNTER_sync_ns_max, now_ns - block->started_ns);
    }
    written_advance(log, now_ns);
}

void flush_sync_done(struct log *log, const struct env_event *event)
{
    struct append *a = &log->append;
    uint64_t now_ns = env_now_mono_ns(log->env);
    uint64_t took_ns = now_ns - a->sync_started_ns;

    XD_ASSERT(a->syncing && env_token_value(event->token) > a->durable);
    a->syncing = false;
    if (event->result < 0) {
        log_fence(log, event->result, ENV_OP_SYNC, tail_at(&log->tail, a->durable)->position);
        return;
    }
    counters_add(log->counters, COUNTER_syncs, 1);
    counters_add(log->counters, COUNTER_sync_ns_total, took_ns);
    counters_max(log->counters, COUNTER_sync_ns_max, took_ns);
    XD_ASSERT(env_token_value(event->token) <= a->written);
    if (!log->fenced)
        durable_advance(log, env_token_value(event->token), now_ns);
}
