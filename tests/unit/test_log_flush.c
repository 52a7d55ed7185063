/* SPDX-License-Identifier: Apache-2.0
 *
 * Group commit: when writes start, what is durable when, and that a failure ends it.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

static void opened(struct run *run, uint64_t seed, enum log_sync sync)
{
    run_begin(run, seed);
    run->checkpoints = false;
    run->options.sync = sync;
    cr_assert_eq(run_open(run), 0, "%s", run->why);
    run_idle(run, 200000000); /* segments are prepared, the disk is quiet */
}

/* One wait for events, without kick. */
static void events_only(struct run *run, uint64_t wait_ns)
{
    struct env_event events[64];
    int n = env_wait(run->env, events, 64, env_now_mono_ns(run->env) + wait_ns);

    for (int i = 0; i < n; i++)
        log_done(run->log, &events[i]);
}

/* A completed write is not durable: only a flush started after it makes it so. */
Test(log_flush, is_not_durable_before_its_flush)
{
    struct run run;

    opened(&run, 1, LOG_SYNC_FDATASYNC);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    log_kick(run.log);
    while (log_written_index(run.log) == 0)
        events_only(&run, 1000000);
    uint64_t syncs = sim_op_count(run.sim, SIM_OP_SYNC);
    events_only(&run, 500000000);
    cr_assert_eq(log_durable_index(run.log), 0);
    run_drain(&run);
    cr_assert_eq(run.fold.batches, 0);
    log_kick(run.log);
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_SYNC), syncs + 1);
    events_only(&run, 500000000);
    cr_assert_eq(log_durable_index(run.log), 1);
    run_close(&run);
    run_end(&run);
}

/* A write that completes while a flush is running waits for the next flush. */
Test(log_flush, covers_only_what_was_written_before_it)
{
    struct run run;

    opened(&run, 1, LOG_SYNC_FDATASYNC);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    log_kick(run.log);
    while (log_written_index(run.log) < 1)
        events_only(&run, 1000000);
    sim_rates(run.sim)->spike = 65536; /* this flush takes half a second */
    log_kick(run.log);
    sim_rates(run.sim)->spike = 0;
    cr_assert_eq(run_append(&run, 0, 500), 0);
    log_kick(run.log);
    while (log_written_index(run.log) < 2)
        events_only(&run, 1000000);
    uint64_t syncs = sim_op_count(run.sim, SIM_OP_SYNC);
    log_kick(run.log);
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_SYNC), syncs, "one flush at a time");
    while (log_durable_index(run.log) < 1)
        events_only(&run, 100000000);
    cr_assert_eq(log_durable_index(run.log), 1);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.fold.batches, 1);
    run_close(&run);
    run_end(&run);
}

/* With fewer than two writes in flight a block is written at once; then it must be worth it. */
Test(log_flush, writes_at_once_when_idle_and_groups_when_busy)
{
    struct run run;

    opened(&run, 1, LOG_SYNC_DSYNC);
    uint64_t writes = sim_op_count(run.sim, SIM_OP_WRITE);
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(run_append(&run, 0, 500), 0);
        log_kick(run.log);
    }
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_WRITE), writes + 2);
    cr_assert_eq(run_append(&run, 0, 250000), 0);
    log_kick(run.log);
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_WRITE), writes + 2);
    cr_assert_eq(run_append(&run, 0, 12000), 0); /* now write_group_bytes are pending */
    log_kick(run.log);
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_WRITE), writes + 3);
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* Never more writes in flight than allowed, however much is pending. */
Test(log_flush, keeps_to_the_depth)
{
    struct run run;

    run_begin(&run, 1);
    run.checkpoints = false;
    run.options.writes_inflight_max = 3;
    run.options.segments_ready_min = 3;
    run.options.sync = LOG_SYNC_DSYNC;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_eq(run_append(&run, 0, 1000000), 0);
        log_kick(run.log);
        cr_assert_eq(run.log->append.writes_inflight, i < 3 ? i + 1 : 3);
    }
    run_settle(&run);
    cr_assert_eq(log_durable_index(run.log), 8);
    run_close(&run);
    run_end(&run);
}

/* Whatever completes first, only the contiguous prefix is written or durable. */
static void prefix(enum log_sync sync)
{
    struct run run;

    opened(&run, 5, sync);
    sim_rates(run.sim)->spike = 65536; /* the first write takes half a second */
    cr_assert_eq(run_append(&run, 0, 500), 0);
    log_kick(run.log);
    sim_rates(run.sim)->spike = 0;
    for (uint32_t i = 0; i < 6; i++) {
        cr_assert_eq(run_append(&run, 0, 300000), 0);
        log_kick(run.log);
    }
    for (uint32_t i = 0; i < 50; i++)
        cr_assert(run_turn_within(&run, 2000000));
    cr_assert_eq(run.counters.v[COUNTER_blocks_written], 6, "all but the first");
    cr_assert_eq(log_written_index(run.log), 0);
    cr_assert_eq(log_durable_index(run.log), 0);
    cr_assert_eq(run.fold.batches, 0);
    run_settle(&run);
    cr_assert_eq(log_durable_index(run.log), 7);
    run_close(&run);
    run_end(&run);
}

Test(log_flush, gives_the_contiguous_prefix_with_fdatasync)
{
    prefix(LOG_SYNC_FDATASYNC);
}

Test(log_flush, gives_the_contiguous_prefix_with_dsync)
{
    prefix(LOG_SYNC_DSYNC);
}

/* A short write goes on with what is left, in whole pages. */
Test(log_flush, finishes_short_writes)
{
    struct run run;

    opened(&run, 1, LOG_SYNC_DSYNC);
    const int32_t results[] = {4096, 8192, 512, 5000, 0, 16384};
    for (uint32_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
        sim_inject(run.sim, SIM_OP_WRITE, "wal.", 1, results[i]);
        cr_assert_eq(run_append(&run, 0, 60000), 0);
        run_settle(&run);
        cr_assert_eq(log_durable_index(run.log), i + 1);
    }
    cr_assert_eq(log_fenced(run.log), 0);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.fold.batches, sizeof(results) / sizeof(results[0]));
    run_close(&run);
    run_end(&run);
}

/* A write that makes no progress again and again is an error. */
Test(log_flush, fences_when_a_write_stalls)
{
    struct run run;

    opened(&run, 1, LOG_SYNC_FDATASYNC);
    for (uint32_t i = 1; i <= 3; i++)
        sim_inject(run.sim, SIM_OP_WRITE, "wal.", i, 0);
    cr_assert_eq(run_append(&run, 0, 60000), 0);
    run_settle(&run);
    cr_assert_eq(log_fenced(run.log), -EIO);
    run_close(&run);
    run_end(&run);
}

/* After a failed flush the log is fenced for good: nothing becomes durable, no flush is tried. */
Test(log_flush, never_retries_a_failed_flush)
{
    struct run run;
    uint8_t *memory;

    opened(&run, 1, LOG_SYNC_FDATASYNC);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    run_settle(&run);
    sim_inject(run.sim, SIM_OP_SYNC, "wal.", 1, -EIO);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    run_settle(&run);
    cr_assert_eq(log_fenced(run.log), -EIO);
    uint64_t syncs = sim_op_count(run.sim, SIM_OP_SYNC);
    uint64_t writes = sim_op_count(run.sim, SIM_OP_WRITE);
    run_idle(&run, 3000000000ull);
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_SYNC), syncs);
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_WRITE), writes);
    cr_assert_eq(log_durable_index(run.log), 1);
    cr_assert_eq(log_reserve(run.log, 500, &memory), XD_STORAGE_FENCED);
    cr_assert_eq(run.news[LOG_NEWS_FENCED], 1);
    cr_assert_eq(run.last_news[LOG_NEWS_FENCED].a, EIO);
    cr_assert_eq(run.last_news[LOG_NEWS_FENCED].b, ENV_OP_SYNC);
    cr_assert_eq(run.counters.v[COUNTER_fences], 1);
    run_close(&run);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.fold.batches, 1);
    run_close(&run);
    run_end(&run);
}

/* The n-th write or flush of the log fails, for every n of a workload with rolls: the log fences,
 * and all that was durable is there after a restart. */
static void fail_each(enum sim_op op, int error, enum log_sync sync)
{
    bool reached = true;

    for (uint64_t nth = 1; reached; nth += 1 + nth / 16) {
        struct run run;

        opened(&run, nth, sync);
        sim_inject(run.sim, op, "wal.", nth, error);
        for (uint32_t i = 0; i < 60 && !log_fenced(run.log); i++) {
            int status = run_append(&run, i % RUN_PARTITIONS, 150000);
            cr_assert(status == 0 || status == XD_THROTTLED || status == XD_READ_ONLY, "%s",
                      xd_status_name(status));
            cr_assert(run_turn_within(&run, 2000000));
        }
        run_settle(&run);
        reached = sim_inject_pending(run.sim) == 0;
        if (reached && error != -ENOSPC)
            cr_assert_eq(log_fenced(run.log), error);
        uint64_t durable = run.fold.batches;
        run_close(&run);
        sim_inject_clear(run.sim);
        cr_assert_eq(run_open(&run), 0, "%s", run.why);
        cr_assert_geq(run.fold.batches, durable);
        run_check(&run);
        run_close(&run);
        run_end(&run);
        cr_assert_lt(nth, 5000);
    }
}

Test(log_flush, survives_eio_at_each_write, .timeout = 100)
{
    fail_each(SIM_OP_WRITE, -EIO, LOG_SYNC_FDATASYNC);
}

Test(log_flush, survives_eio_at_each_dsync_write, .timeout = 100)
{
    fail_each(SIM_OP_WRITE, -EIO, LOG_SYNC_DSYNC);
}

Test(log_flush, survives_enospc_at_each_write, .timeout = 100)
{
    fail_each(SIM_OP_WRITE, -ENOSPC, LOG_SYNC_FDATASYNC);
}

Test(log_flush, survives_eio_at_each_flush, .timeout = 100)
{
    fail_each(SIM_OP_SYNC, -EIO, LOG_SYNC_FDATASYNC);
}

/* No space on a block's own write fences too: it was preallocated, so the device has changed. */
Test(log_flush, fences_on_enospc_of_a_block)
{
    struct run run;

    opened(&run, 1, LOG_SYNC_DSYNC);
    sim_inject(run.sim, SIM_OP_WRITE, "wal.", 1, -ENOSPC);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    run_settle(&run);
    cr_assert_eq(log_fenced(run.log), -ENOSPC);
    run_close(&run);
    run_end(&run);
}

/* Data at rest gets one MARK after mark_idle_ms, and no second one. */
Test(log_flush, marks_data_at_rest_once)
{
    struct run run;

    opened(&run, 1, LOG_SYNC_FDATASYNC);
    cr_assert_eq(run.counters.v[COUNTER_marks_written], 0);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    run_settle(&run);
    run_idle(&run, 90000000);
    cr_assert_eq(run.counters.v[COUNTER_marks_written], 0);
    run_idle(&run, 30000000);
    cr_assert_eq(run.counters.v[COUNTER_marks_written], 1);
    run_idle(&run, 5000000000ull);
    cr_assert_eq(run.counters.v[COUNTER_marks_written], 1);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    cr_assert_eq(run.batches[1].index, 2, "a MARK takes no index");
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* With a MARK on disk, a rotten newest block is corruption; it is not cut as a torn tail. */
Test(log_flush, makes_rot_of_the_newest_block_loud)
{
    struct run run;

    opened(&run, 1, LOG_SYNC_FDATASYNC);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    run_settle(&run);
    run_close(&run);
    cr_assert_eq(sim_disk_flip(run.sim, "wal.00", 4096 + 300, 3), 0);
    cr_assert_eq(run_open(&run), XD_LOG_CORRUPT);
    run_end(&run);
}

/* Closing writes what is staged, also when the group rule would wait, and ends with a MARK. */
Test(log_flush, closes_with_everything_durable)
{
    struct run run;

    opened(&run, 1, LOG_SYNC_FDATASYNC);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(run_append(&run, 0, 500), 0);
        log_kick(run.log);
    }
    run_close(&run);
    cr_assert_eq(run.fold.batches, 4);
    cr_assert_eq(run.counters.v[COUNTER_marks_written], 1);
    run_end(&run);
}

/* While flushes are slow, small appends of every turn gather in few blocks: the window of 64 is not
 * used up by them. */
Test(log_flush, does_not_fill_the_window_with_small_blocks)
{
    struct run run;

    run_begin(&run, 1);
    run.checkpoints = false;
    run.options.segments_ready_min = 4;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_idle(&run, 200000000);
    sim_rates(run.sim)->spike = 65536;
    for (uint32_t i = 0; i < 2000; i++) {
        sim_rates(run.sim)->spike = run.log->append.syncing ? 0 : 65536; /* flushes only */
        cr_assert_eq(run_append(&run, 0, 600), 0, "%s", log_throttle_reason(run.log));
        cr_assert(run_turn_within(&run, 100000));
    }
    sim_rates(run.sim)->spike = 0;
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* While a flush is slow, the blocks written behind it grow, so that they do not use the window up:
 * appending is never refused for their number. */
Test(log_flush, writes_larger_blocks_as_the_window_narrows)
{
    struct run run;
    uint64_t widest = 0;

    run_begin(&run, 1);
    run.checkpoints = false;
    run.options.tail_bytes = 128u << 20;
    run.options.segment_bytes = 128u << 20;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_idle(&run, 200000000);
    for (uint32_t i = 0; i < 800; i++) {
        sim_rates(run.sim)->spike = run.log->append.syncing ? 0 : 65536; /* flushes only */
        cr_assert_eq(run_append(&run, 0, 60000), 0, "%s", log_throttle_reason(run.log));
        cr_assert(run_turn_within(&run, 200000));
        uint64_t blocks = append_undurable_blocks(run.log);
        widest = blocks > widest ? blocks : widest;
    }
    cr_assert_geq(widest, APPEND_WINDOW_BLOCKS * 3 / 4);
    sim_rates(run.sim)->spike = 0;
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* A place that was reserved and not used becomes no block. */
Test(log_flush, writes_nothing_for_a_place_that_was_not_used)
{
    struct run run;
    uint8_t *memory;

    opened(&run, 1, LOG_SYNC_FDATASYNC);
    cr_assert_eq(log_reserve(run.log, 500, &memory), 0);
    log_kick(run.log);
    cr_assert_eq(append_undurable_blocks(run.log), 0);
    cr_assert_eq(log_last_index(run.log), 0);
    run_close(&run);
    cr_assert_eq(run.counters.v[COUNTER_marks_written], 0, "nothing came to rest");
    run_end(&run);
}

static uint64_t times_of(const struct run *run, enum latency_stage stage)
{
    uint64_t times = 0;

    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
        times += run->counters.latency[stage].counts[i];
    return times;
}

/* Each block is timed once, from its write and from its first batch until it was durable: behind a
 * write of half a second all blocks took that long; local blocks hold no batch. */
static void timed(enum log_sync sync)
{
    struct run run;

    opened(&run, 5, sync);
    sim_rates(run.sim)->spike = 65536; /* the first write takes half a second */
    cr_assert_eq(run_append(&run, 0, 500), 0);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    uint64_t began_ns = env_now_mono_ns(run.env);
    log_kick(run.log);
    sim_rates(run.sim)->spike = 0;
    cr_assert_eq(run_append(&run, 0, 300000), 0);
    run_settle(&run);
    uint64_t took_ns = env_now_mono_ns(run.env) - began_ns;
    const struct latency *sync_times = &run.counters.latency[LATENCY_block_sync_duration_ns];
    const struct latency *commit_times = &run.counters.latency[LATENCY_commit_duration_ns];
    cr_assert_eq(times_of(&run, LATENCY_commit_duration_ns), 2);
    cr_assert_eq(times_of(&run, LATENCY_block_sync_duration_ns), 2);
    cr_assert_geq(sync_times->sum_ns, 2 * 400000000ull);
    cr_assert_leq(sync_times->sum_ns, commit_times->sum_ns);
    cr_assert_leq(commit_times->sum_ns, 2 * took_ns);
    run_idle(&run, 500000000);
    cr_assert_eq(run.counters.v[COUNTER_marks_written], 1);
    cr_assert_eq(times_of(&run, LATENCY_block_sync_duration_ns), 3);
    cr_assert_eq(times_of(&run, LATENCY_commit_duration_ns), 2);
    run_close(&run);
    run_end(&run);
}

Test(log_flush, times_each_block_with_fdatasync)
{
    timed(LOG_SYNC_FDATASYNC);
}

Test(log_flush, times_each_block_with_dsync)
{
    timed(LOG_SYNC_DSYNC);
}
