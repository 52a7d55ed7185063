/* SPDX-License-Identifier: Apache-2.0
 *
 * Drives one log: appends made-up batches, runs turns, folds what becomes durable, takes
 * checkpoints of that fold, reads back and compares with a plain model in memory. On which engine
 * it runs is log_run_engine.h's.
 *
 * Normal path: run_begin (a simulated world) or run_begin_on, run_open, any mix of run_append,
 * run_turn, run_read, run_crash + run_open, then run_end. The fold is a hash over every batch in
 * log sequence and the end offset of each partition, so two logs with the same history have the
 * same fold.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_LOG_RUN_H
#define CROSSDOCK_TESTS_SUPPORT_LOG_RUN_H

#include "broker/base/prng.h"
#include "tests/support/log_run_engine.h"
#include "wire/checksum.h"
#include "wire/limits.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static inline void run_fold_entry(struct run *run, const struct log_entry *entry)
{
    const struct xd_batch_header *batch = entry->batch;
    uint64_t input[4] = {run->fold.hash, batch->partition, batch->base_offset, batch->batch_xxh3};

    cr_assert_lt(batch->partition, RUN_PARTITIONS);
    cr_assert_eq(batch->base_offset, run->fold.ends[batch->partition]);
    cr_assert_geq(entry->log_index, run->fold.index);
    run->fold.hash = xd_xxh3(input, sizeof(input));
    run->fold.batches++;
    run->fold.index = entry->log_index;
    run->fold.ends[batch->partition] += batch->record_count;
}

static inline void run_news(struct run *run)
{
    struct log_news news;

    while (log_news_next(run->log, &news)) {
        run->news[news.kind]++;
        run->last_news[news.kind] = news;
    }
}

/* A fresh process over the disk up to the end of recovery; the status of the first step that fails.
 * The model is cut back to what the log still has. */
static inline int run_open(struct run *run)
{
    const uint8_t *state;
    uint64_t state_bytes;
    struct log_entry entry;
    uint64_t bytes = log_bytes_needed(&run->options);
    void *memory;
    int status;

    run->env = run->engine->start(run);
    run->log = NULL;
    run->time_us = run->time_us ? run->time_us : env_now_wall_us(run->env);
    memory = env_mem_alloc(run->env, bytes);
    cr_assert_not_null(memory);
    arena_init(&run->arena, memory, bytes);
    memset(&run->counters, 0, sizeof(run->counters));
    memset(run->news, 0, sizeof(run->news));
    memset(&run->fold, 0, sizeof(run->fold));
    status = log_open(run->env, &run->arena, &run->counters, &run->options, &run->log, &state,
                      &state_bytes, run->why);
    if (status < 0)
        return status;
    if (state) {
        cr_assert_eq(state_bytes, sizeof(run->fold));
        memcpy(&run->fold, state, sizeof(run->fold));
    }
    while ((status = log_recover_next(run->log, &entry, run->why)) > 0)
        run_fold_entry(run, &entry);
    if (status == 0)
        status = log_recover_end(run->log, run->why);
    if (status < 0)
        return status;
    run_news(run);
    cr_assert_geq(run->fold.batches, run->durable_promised, "durable batches are gone");
    cr_assert_leq(run->fold.batches, run->batch_count, "batches that nobody sent");
    run->batch_count = run->fold.batches;
    run->durable_promised = run->batch_count;
    memcpy(run->next, run->fold.ends, sizeof(run->next));
    return 0;
}

/* Notes a batch in the model. */
static inline struct run_batch *run_note(struct run *run)
{
    if (run->batch_count == run->batch_max) {
        run->batch_max = run->batch_max ? 2 * run->batch_max : 1024;
        run->batches = realloc(run->batches, run->batch_max * sizeof(*run->batches));
        cr_assert_not_null(run->batches);
    }
    return &run->batches[run->batch_count++];
}

/* Appends one batch of `batch_bytes` with `records`, `suppressed` of them marked; 0 or the status
 * of log_reserve. */
static inline int run_append_suppressed(struct run *run, uint32_t partition, uint32_t batch_bytes,
                                        uint16_t records, uint32_t suppressed)
{
    struct xd_batch_header *batch;
    struct run_batch *noted;
    uint8_t *memory;
    int status = log_reserve(run->log, batch_bytes, &memory);

    if (status < 0)
        return status;
    batch = (struct xd_batch_header *)(void *)memory;
    memset(memory, (int)(run->batch_count & 0x7f), batch_bytes);
    memset(batch, 0, sizeof(*batch));
    batch->partition = partition;
    batch->producer_id = 1;
    batch->producer_epoch = 1;
    batch->record_count = records;
    batch->first_sequence = run->next[partition] + 1;
    batch->last_sequence = run->next[partition] + records;
    batch->previous_sequence = run->next[partition];
    batch->first_event_time_us = 1;
    batch->last_event_time_us = 1;
    batch->raw_bytes = batch_bytes - XD_BATCH_HEADER_BYTES;
    xd_batch_seal(batch, batch_bytes);
    batch->base_offset = run->next[partition];
    batch->append_time_us = run->time_us++;
    batch->suppressed_count = suppressed;
    memset(memory + batch_bytes, 0xa5, xd_batch_bitmap_bytes(batch));
    noted = run_note(run);
    *noted = (struct run_batch){.base_offset = batch->base_offset,
                                .xxh3 = batch->batch_xxh3,
                                .records = records,
                                .partition = partition,
                                .suppressed = suppressed,
                                .append_time_us = batch->append_time_us};
    run->next[partition] += records;
    noted->index = log_append(run->log);
    return 0;
}

static inline int run_append(struct run *run, uint32_t partition, uint32_t batch_bytes)
{
    return run_append_suppressed(run, partition, batch_bytes, 3, 0);
}

static inline void run_drain(struct run *run)
{
    struct log_entry entry;

    while (log_durable_next(run->log, &entry)) {
        const struct run_batch *noted = &run->batches[run->fold.batches];

        cr_assert_lt(run->fold.batches, run->batch_count);
        cr_assert_eq(entry.log_index, noted->index);
        cr_assert_eq(entry.batch->batch_xxh3, noted->xxh3);
        cr_assert_leq(entry.log_index, log_durable_index(run->log));
        run_fold_entry(run, &entry);
    }
    run->durable_promised = run->fold.batches;
}

static inline void run_checkpoint(struct run *run)
{
    uint64_t bytes_max;
    uint8_t *memory;

    if (!log_checkpoint_due(run->log))
        return;
    memory = log_checkpoint_begin(run->log, &bytes_max);
    cr_assert_geq(bytes_max, sizeof(run->fold));
    memcpy(memory, &run->fold, sizeof(run->fold));
    log_checkpoint_commit(run->log, sizeof(run->fold));
}

/* Kick, wait for at most `wait_ns`, hand on events, fold, checkpoint. False when the process has
 * died by itself. */
static inline bool run_turn_within(struct run *run, uint64_t wait_ns)
{
    struct env_event events[64];
    uint64_t deadline_ns;
    uint64_t now_ns;
    int n;

    log_kick(run->log);
    deadline_ns = log_deadline_ns(run->log);
    now_ns = env_now_mono_ns(run->env);
    if (now_ns + wait_ns < deadline_ns)
        deadline_ns = now_ns + wait_ns;
    n = env_wait(run->env, events, 64, deadline_ns);
    if (n < 0)
        return false;
    for (int i = 0; i < n; i++)
        log_done(run->log, &events[i]);
    if (run_dead(run))
        return false;
    run_drain(run);
    if (run->checkpoints)
        run_checkpoint(run);
    run_news(run);
    return !run_dead(run);
}

static inline bool run_turn(struct run *run)
{
    return run_turn_within(run, 1000000000ull);
}

/* Turns until everything appended is durable or the log is fenced. */
static inline void run_settle(struct run *run)
{
    for (uint32_t i = 0; i < 100000; i++) {
        if (log_fenced(run->log) || log_durable_index(run->log) == log_last_index(run->log))
            return;
        if (!run_turn(run))
            return;
    }
    cr_assert_fail("the log does not come to rest");
}

/* Lets time pass, with as many turns as the log asks for. */
static inline void run_idle(struct run *run, uint64_t ns)
{
    uint64_t until_ns = env_now_mono_ns(run->env) + ns;

    while (env_now_mono_ns(run->env) < until_ns)
        if (!run_turn_within(run, until_ns - env_now_mono_ns(run->env)))
            return;
}

/* Appends, running turns as long as the log throttles. */
static inline void run_append_wait(struct run *run, uint32_t partition, uint32_t batch_bytes)
{
    for (uint32_t i = 0; i < 100000; i++) {
        int status = run_append(run, partition, batch_bytes);

        if (status == 0)
            return;
        cr_assert_eq(status, XD_THROTTLED, "%s", xd_status_name(status));
        cr_assert(run_turn_within(run, 10000000));
    }
    cr_assert_fail("throttled for ever: %s", log_throttle_reason(run->log));
}

/* Puts about `bytes` of log on disk, durable and folded. */
static inline void run_fill(struct run *run, uint64_t bytes, uint32_t batch_bytes)
{
    for (uint64_t done = 0; done < bytes; done += batch_bytes)
        run_append_wait(run, (uint32_t)(run->batch_count % RUN_PARTITIONS), batch_bytes);
    run_settle(run);
}

/* Ends the process without closing, as a crash does. */
static inline void run_crash(struct run *run, enum sim_crash_menu menu)
{
    run->engine->stop(run, menu);
    run->log = NULL;
    run->env = NULL;
}

/* Closes properly, then ends the process. */
static inline void run_close(struct run *run)
{
    log_close_begin(run->log);
    for (uint32_t i = 0; i < 100000 && !log_closed(run->log); i++)
        cr_assert(run_turn(run));
    cr_assert(log_closed(run->log));
    run_drain(run);
    run_news(run);
    log_deinit(run->log);
    run_crash(run, SIM_CRASH_KEEP_NONE);
}

/* log_read, waiting for disk reads. */
static inline int run_read(struct run *run, uint32_t partition, uint64_t offset, uint64_t *ret_next)
{
    for (uint32_t i = 0; i < 10000; i++) {
        int got = log_read(run->log, partition, offset, run->out, RUN_OUT_BYTES, ret_next);

        if (got != -EAGAIN)
            return got;
        uint64_t finished = log_reads_finished(run->log);

        while (log_reads_finished(run->log) == finished)
            if (!run_turn(run))
                return -ESHUTDOWN;
    }
    cr_assert_fail("a read never ends");
    return 0;
}

/* The model's batch of a partition that holds `offset`, from batch `from` on; NULL when none. */
static inline const struct run_batch *run_model(const struct run *run, uint32_t partition,
                                                uint64_t offset, uint64_t *from)
{
    for (uint64_t i = *from; i < run->fold.batches; i++) {
        const struct run_batch *batch = &run->batches[i];

        if (batch->partition != partition || batch->base_offset + batch->records <= offset)
            continue;
        *from = i;
        return batch;
    }
    return NULL;
}

/* Compares what a read gave with the model. Returns batches. */
static inline uint32_t run_compare(const struct run *run, uint32_t partition, uint64_t offset,
                                   int got, uint64_t next)
{
    uint32_t at = 0;
    uint32_t count = 0;
    uint64_t from = 0;

    while (at < (uint32_t)got) {
        const struct xd_batch_header *batch =
            (const struct xd_batch_header *)(const void *)(run->out + at);
        const struct run_batch *model = run_model(run, partition, offset, &from);

        cr_assert_not_null(model);
        cr_assert_eq(batch->partition, partition);
        cr_assert_eq(batch->base_offset, model->base_offset);
        cr_assert_eq(batch->record_count, model->records);
        cr_assert_eq(batch->suppressed_count, model->suppressed);
        cr_assert_eq(batch->append_time_us, model->append_time_us);
        cr_assert_eq(batch->batch_xxh3, model->xxh3);
        cr_assert_eq(xd_batch_check_hash(batch), 0);
        for (uint32_t i = 0; i < xd_batch_bitmap_bytes(batch); i++)
            cr_assert_eq(run->out[at + batch->batch_bytes + i], 0xa5);
        at += xd_batch_stride(batch);
        offset = batch->base_offset + batch->record_count;
        count++;
    }
    cr_assert_eq(at, (uint32_t)got);
    cr_assert_eq(offset, next);
    return count;
}

/* Reads a whole partition and compares it with the model. */
static inline void run_check_partition(struct run *run, uint32_t partition)
{
    uint64_t offset;
    uint64_t end;
    uint64_t next;
    int got;

    log_bounds(run->log, partition, &offset, &end);
    cr_assert_eq(end, run->fold.ends[partition]);
    while (offset < end) {
        got = run_read(run, partition, offset, &next);
        if (got == -ESHUTDOWN)
            return;
        if (got == XD_OFFSET_GONE) { /* retention went on while the read waited */
            next = offset;
            log_bounds(run->log, partition, &offset, &end);
            cr_assert_gt(offset, next);
            continue;
        }
        cr_assert_gt(got, 0, "partition %u offset %lu: %s", partition, (unsigned long)offset,
                     xd_status_name(got));
        cr_assert_gt(run_compare(run, partition, offset, got, next), 0);
        offset = next;
    }
    cr_assert_eq(run_read(run, partition, end, &next), 0);
}

static inline void run_check(struct run *run)
{
    for (uint32_t partition = 0; partition < RUN_PARTITIONS; partition++)
        run_check_partition(run, partition);
}

#endif
