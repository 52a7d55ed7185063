/* SPDX-License-Identifier: Apache-2.0
 *
 * The cases of log_suite.h. Sizes are chosen so that all of them take seconds on a real disk.
 */
#include "tests/support/log_suite.h"

#include <string.h>

static void opened(struct run *run)
{
    cr_assert_eq(run_open(run), 0, "%s", run->why);
    cr_assert_str_eq(run->env->engine, run->engine->name);
}

/* Stops as kill -9 does, starts anew, and expects everything that was folded to be there again. */
static void restarted(struct run *run)
{
    struct run_fold before = run->fold;

    run_crash(run, SIM_CRASH_KEEP_ALL);
    opened(run);
    cr_assert_geq(run->fold.batches, before.batches);
    if (run->fold.batches == before.batches)
        cr_assert_eq(run->fold.hash, before.hash);
}

/* ---- appending and durability ---------------------------------------------------------------- */

/* A batch is given to the fold once it is durable, and can be read back as it was appended. */
void log_suite_gives_back_what_was_appended(struct run *run)
{
    opened(run);
    cr_assert_eq(run->news[LOG_NEWS_CREATED], 1);
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(run_append_suppressed(run, i % RUN_PARTITIONS, 200 + i, (uint16_t)(1 + i % 9),
                                           i % 4 == 0 ? 1 : 0),
                     0);
    run_settle(run);
    cr_assert_eq(run->fold.batches, 100);
    run_check(run);
    run_close(run);
}

/* Nothing is durable before it was kicked; then written leads durable, durable leads the fold, and
 * none of them ever goes back. The fold's own checks see the batches in log sequence. */
void log_suite_acknowledges_in_log_sequence(struct run *run)
{
    uint64_t written = 0, durable = 0;

    opened(run);
    cr_assert_eq(run_append(run, 0, 500), 0);
    cr_assert_eq(log_last_index(run->log), 1);
    cr_assert_eq(log_written_index(run->log), 0);
    cr_assert_eq(log_durable_index(run->log), 0);
    for (uint32_t i = 0; i < 600; i++) {
        int status = run_append(run, i % RUN_PARTITIONS, 300 + i * 977 % 30000);

        cr_assert(status == 0 || status == XD_THROTTLED, "%s", xd_status_name(status));
        if (i % 5 == 0)
            cr_assert(run_turn_within(run, i % 3 * 100000));
        cr_assert_geq(log_written_index(run->log), written);
        cr_assert_geq(log_durable_index(run->log), durable);
        written = log_written_index(run->log);
        durable = log_durable_index(run->log);
        cr_assert_leq(durable, written);
        cr_assert_leq(written, log_last_index(run->log));
        cr_assert_leq(run->fold.index, durable);
    }
    run_settle(run);
    cr_assert_eq(run->fold.batches, run->batch_count);
    cr_assert_gt(run->counters.v[COUNTER_syncs], 0);
    run_close(run);
}

/* Every way to durable gives the same log; the self-test chooses one and says which. */
void log_suite_is_durable_with_every_sync_method(struct run *run)
{
    for (int sync = LOG_SYNC_AUTO; sync < LOG_SYNC_COUNT; sync++) {
        run->options.sync = (enum log_sync)sync;
        opened(run);
        cr_assert_neq(log_sync_mode(run->log), LOG_SYNC_AUTO);
        if (sync != LOG_SYNC_AUTO)
            cr_assert_eq(log_sync_mode(run->log), (enum log_sync)sync);
        else
            cr_assert_eq(run->news[LOG_NEWS_SYNC_CHOSEN], 1);
        run_fill(run, 1u << 20, 40000);
        restarted(run);
        run_check(run);
        run_close(run);
    }
}

/* A window that is used up refuses batches with a reason; what becomes durable makes room. */
void log_suite_throttles_and_goes_on(struct run *run)
{
    int status = 0;

    run->options.undurable_bytes_max = 2u << 20;
    opened(run);
    for (uint32_t i = 0; i < 1000 && status == 0; i++)
        status = run_append(run, i % RUN_PARTITIONS, 60000);
    cr_assert_eq(status, XD_THROTTLED);
    cr_assert_str_eq(log_throttle_reason(run->log), "too many bytes are not durable yet");
    run_settle(run);
    cr_assert_eq(run_append(run, 0, 60000), 0);
    run_settle(run);
    run_check(run);
    run_close(run);
}

/* A log that comes to rest writes one MARK, and nothing more while it rests. */
void log_suite_covers_data_at_rest_with_a_mark(struct run *run)
{
    run->options.mark_idle_ms = 20;
    opened(run);
    run_fill(run, 100000, 10000);
    run_idle(run, 80000000);
    cr_assert_eq(run->counters.v[COUNTER_marks_written], 1);
    run_idle(run, 60000000);
    cr_assert_eq(run->counters.v[COUNTER_marks_written], 1);
    run_close(run);
}

/* ---- restarts -------------------------------------------------------------------------------- */

/* After a clean stop everything is there, nothing is cut, the identity stays, the epoch rises. */
void log_suite_survives_a_clean_restart(struct run *run)
{
    uint8_t uuid[2][16];
    struct log_stats stats;

    for (uint32_t i = 0; i < 3; i++) {
        struct run_fold before = run->fold;

        opened(run);
        if (i > 0)
            cr_assert_eq(memcmp(&before, &run->fold, sizeof(before)), 0);
        cr_assert_eq(run->news[LOG_NEWS_TAIL_CUT], 0);
        log_uuid(run->log, uuid[i > 0]);
        cr_assert_eq(memcmp(uuid[0], uuid[i > 0], 16), 0);
        log_stats(run->log, &stats);
        cr_assert_eq(stats.epoch, i + 1);
        run_check(run);
        for (uint32_t n = 0; n < 100; n++)
            cr_assert_eq(run_append(run, n % RUN_PARTITIONS, 1000), 0);
        run_close(run);
        cr_assert_eq(run->fold.batches, 100 * (i + 1));
    }
}

/* A process that ends in the middle of writing: all that was durable is there, what follows it is
 * whole or gone, and appending goes on behind it. */
void log_suite_recovers_after_a_stop_without_flush(struct run *run)
{
    opened(run);
    for (uint32_t round = 0; round < 12; round++) {
        uint64_t durable;

        run_fill(run, 200000, 20000);
        durable = run->fold.batches;
        for (uint32_t i = 0; i < 20; i++)
            cr_assert_eq(run_append(run, i % RUN_PARTITIONS, 30000), 0);
        for (uint32_t turn = 0; turn < round % 4; turn++)
            cr_assert(run_turn_within(run, 50000));
        run_crash(run, SIM_CRASH_ANY);
        opened(run);
        cr_assert_geq(run->fold.batches, durable);
        run_check(run);
    }
    run_close(run);
}

/* Every segment ends with a SEAL, the log goes on in the next one, and a restart reads all. */
void log_suite_rolls_over_segments(struct run *run)
{
    struct log_stats stats;

    opened(run);
    for (uint32_t i = 0; i < 500; i++)
        run_append_wait(run, i % RUN_PARTITIONS, 200 + i * 7919 % 60000);
    run_settle(run);
    log_stats(run->log, &stats);
    cr_assert_geq(stats.active_segment_no, 4);
    cr_assert_eq(run->counters.v[COUNTER_segments_rolled], stats.active_segment_no - 1);
    run->checkpoints = false;
    restarted(run);
    run_check(run);
    run_close(run);
}

/* The oldest segments go by size, their files are used again, and what they held is gone for
 * readers, also after a restart. */
void log_suite_recycles_what_retention_drops(struct run *run)
{
    uint64_t first, end, next, kept;
    struct log_stats stats;

    run->options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    run->options.checkpoint_every_bytes = 4u << 20;
    opened(run);
    run_fill(run, 44u << 20, 120000);
    for (uint32_t i = 0; i < 1000; i++) {
        log_stats(run->log, &stats);
        if (stats.active_segment_no - stats.first_segment_no <= 3)
            break;
        run_append_wait(run, 0, 1000);
        run_idle(run, 10000000);
    }
    cr_assert_leq(stats.active_segment_no - stats.first_segment_no, 3);
    cr_assert_gt(run->news[LOG_NEWS_SEGMENT_DROPPED], 5);
    cr_assert_leq(stats.disk_bytes, 12ull * SEGMENT_BYTES_MIN);
    log_bounds(run->log, 1, &first, &end);
    cr_assert_gt(first, 0);
    cr_assert_eq(run_read(run, 1, 0, &next), XD_OFFSET_GONE);
    run_check(run);
    log_bounds(run->log, 1, &first, &end);
    restarted(run);
    run_check(run);
    /* What was dropped after the newest checkpoint is there again, for as long as it takes to drop
     * it again. */
    for (uint32_t i = 0; i < 100; i++) {
        log_bounds(run->log, 1, &kept, &end);
        if (kept >= first)
            break;
        run_idle(run, 10000000);
    }
    cr_assert_geq(kept, first, "what was dropped has come back");
    run_check(run);
    run_close(run);
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

/* A restart begins at the newest checkpoint and folds the rest to the same state. */
void log_suite_restarts_from_a_checkpoint(struct run *run)
{
    struct log_stats stats;

    run->options.checkpoint_every_bytes = 1u << 20;
    opened(run);
    for (uint32_t i = 0; i < 1000; i++) {
        log_stats(run->log, &stats);
        if (stats.checkpoint_generation >= 3)
            break;
        run_append_wait(run, i % RUN_PARTITIONS, 50000);
        cr_assert(run_turn_within(run, 2000000));
    }
    cr_assert_geq(stats.checkpoint_generation, 3);
    run->checkpoints = false;
    run_fill(run, 500000, 50000);
    restarted(run);
    cr_assert_geq(run->log->recover.checkpoint.generation, 3);
    cr_assert_gt(run->log->recover.scan_from, SEGMENT_BYTES_MIN + 1u * SEGMENT_HEADER_BYTES);
    cr_assert_eq(run->news[LOG_NEWS_CHECKPOINT_FALLBACK], 0);
    run_check(run);
    run_close(run);
}

/* Without checkpoints the log takes no more than the bound; the next one that completes frees it.
 */
void log_suite_waits_for_a_checkpoint_at_the_bound(struct run *run)
{
    int status = 0;

    run->options.checkpoint_tail_bytes_max = 8u << 20;
    run->options.checkpoint_every_bytes = 1u << 30;
    run->checkpoints = false;
    opened(run);
    for (uint32_t i = 0; i < 10000; i++) {
        status = run_append(run, i % RUN_PARTITIONS, 100000);
        if (status == XD_THROTTLED && strstr(log_throttle_reason(run->log), "checkpoint"))
            break;
        cr_assert(run_turn_within(run, 1000000));
    }
    cr_assert_eq(status, XD_THROTTLED);
    run_settle(run);
    cr_assert_eq(run_append(run, 0, 100000), XD_THROTTLED);
    run->checkpoints = true;
    run_append_wait(run, 0, 100000);
    cr_assert_eq(run->news[LOG_NEWS_CHECKPOINT], 1);
    run_settle(run);
    run_close(run);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* A log larger than its memory gives back every batch, from both places. */
void log_suite_reads_from_memory_and_from_disk(struct run *run)
{
    opened(run);
    run_fill(run, 22u << 20, 90000);
    run_check(run);
    cr_assert_gt(run->counters.v[COUNTER_reads_disk], 0);
    cr_assert_gt(run->counters.v[COUNTER_reads_tail], 0);
    restarted(run);
    run_check(run);
    run_close(run);
}

/* Offsets inside a batch give the whole batch, the end gives nothing, beyond is refused; a time
 * gives an offset at or before its first record. */
void log_suite_finds_the_place_for_an_offset_and_a_time(struct run *run)
{
    uint64_t first, end, next;

    opened(run);
    run_fill(run, 3u << 20, 20000);
    log_bounds(run->log, 3, &first, &end);
    cr_assert_eq(first, 0);
    for (uint64_t offset = 0; offset < end; offset++) {
        int got = run_read(run, 3, offset, &next);

        cr_assert_gt(got, 0);
        cr_assert_gt(run_compare(run, 3, offset, got, next), 0);
    }
    cr_assert_eq(run_read(run, 3, end, &next), 0);
    cr_assert_eq(run_read(run, 3, end + 1, &next), XD_OFFSET_FUTURE);
    for (uint64_t i = 0; i < run->fold.batches; i++) {
        const struct run_batch *batch = &run->batches[i];
        uint64_t found = log_seek_time(run->log, batch->partition, batch->append_time_us);

        cr_assert_leq(found, batch->base_offset);
    }
    cr_assert_eq(log_seek_time(run->log, 3, INT64_MAX), end);
    run_close(run);
}

/* ---- damage without a fault ------------------------------------------------------------------ */

/* Whoever removes the file that the log was writing to finds the next start stopped and the folder
 * unchanged, although no meta slot and no checkpoint knows of a durable block. */
void log_suite_refuses_to_start_without_its_active_file(struct run *run)
{
    env_file file;

    opened(run);
    run_fill(run, 300000, 30000);
    run_crash(run, SIM_CRASH_KEEP_ALL);
    run->env = run->engine->start(run);
    cr_assert_eq(env_file_rename(run->env, "wal.00", "kept"), 0);
    cr_assert_eq(env_dir_sync(run->env, ""), 0);
    run_crash(run, SIM_CRASH_KEEP_ALL);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(run_open(run), XD_LOG_CORRUPT);
        cr_assert_not_null(strstr(run->why, "segment 1 is missing"), "%s", run->why);
        cr_assert_eq(env_file_open(run->env, "wal.00", 0, &file), -ENOENT);
        run_crash(run, SIM_CRASH_KEEP_ALL);
    }
    run->env = run->engine->start(run);
    cr_assert_eq(env_file_rename(run->env, "kept", "wal.00"), 0);
    cr_assert_eq(env_dir_sync(run->env, ""), 0);
    run_crash(run, SIM_CRASH_KEEP_ALL);
    opened(run);
    run_check(run);
    run_close(run);
}

/* ---- random runs ----------------------------------------------------------------------------- */

static void append_some(struct run *run, struct prng *prng, uint32_t partition)
{
    for (uint64_t n = 1 + prng_below(prng, 12); n > 0; n--) {
        uint64_t body = prng_chance(prng, 3000)    ? prng_below(prng, XD_BATCH_BYTES_MAX - 200)
                        : prng_chance(prng, 20000) ? prng_below(prng, 65536)
                                                   : 8 * (1 + prng_below(prng, 250));
        uint16_t records = (uint16_t)(1 + prng_below(prng, 40));
        uint32_t suppressed = prng_chance(prng, 8000) ? 1 + records / 2 : 0;
        int status =
            run_append_suppressed(run, partition, (uint32_t)(200 + body), records, suppressed);

        cr_assert(status == 0 || status == XD_THROTTLED || status == XD_READ_ONLY ||
                      status == XD_STORAGE_FENCED,
                  "%s", xd_status_name(status));
    }
}

/* A read at a random offset; false when the process has died over it. */
static bool read_some(struct run *run, struct prng *prng, uint32_t partition)
{
    uint64_t first, end, next;

    log_bounds(run->log, partition, &first, &end);
    uint64_t offset = first + prng_below(prng, end - first + 1);
    int got = run_read(run, partition, offset, &next);

    if (got == -ESHUTDOWN)
        return false;
    cr_assert(got >= 0 || got == XD_OFFSET_GONE, "%s", xd_status_name(got));
    if (got > 0) /* an offset inside a batch is answered with the whole batch */
        cr_assert_gt(run_compare(run, partition, offset, got, next), 0);
    return true;
}

bool log_model_step(struct run *run, struct prng *prng)
{
    uint64_t kind = prng_below(prng, 100);
    uint32_t partition = (uint32_t)prng_below(prng, RUN_PARTITIONS);

    if (kind < 45) {
        append_some(run, prng, partition);
    } else if (kind < 88) {
        if (!run_turn_within(run, prng_below(prng, 3000000)))
            return false;
    } else if (kind < 96) {
        if (!read_some(run, prng, partition))
            return false;
    } else if (kind < 98) {
        run_idle(run, prng_below(prng, run->engine->idle_ns_max));
    } else if (kind < 99) {
        return false;
    } else if (!run_dead(run) && !log_fenced(run->log)) {
        run_settle(run);
    }
    return !run_dead(run) && !log_fenced(run->log);
}

void log_model_options(struct run *run, struct prng *prng)
{
    struct log_options *options = &run->options;

    options->sync = prng_chance(prng, 30000) ? LOG_SYNC_DSYNC : LOG_SYNC_FDATASYNC;
    options->writes_inflight_max = (uint32_t)(1 + prng_below(prng, 16));
    options->write_group_bytes = (uint32_t)(4096 + prng_below(prng, 300000));
    options->undurable_bytes_max = (2u << 20) + prng_below(prng, 8u << 20);
    options->checkpoint_every_bytes = (1u << 20) + prng_below(prng, 8u << 20);
    options->retention_bytes = prng_chance(prng, 40000) ? 4ull * options->segment_bytes : 0;
    options->segments_ready_min = (uint32_t)(1 + prng_below(prng, 3));
    options->read_cache_extents = (uint32_t)(2 + prng_below(prng, 4));
}

/* Random appends, reads, rests and stops without warning: nothing durable is ever missing, nothing
 * appears that was not sent, reads give what was appended. */
void log_suite_agrees_with_the_model(struct run *run)
{
    struct prng prng;
    uint32_t stops = 0;

    prng_seed(&prng, 20);
    log_model_options(run, &prng);
    opened(run);
    for (uint32_t step = 0; step < 2400; step++) {
        if (log_model_step(run, &prng))
            continue;
        cr_assert_eq(log_fenced(run->log), 0);
        run_crash(run, SIM_CRASH_ANY);
        log_model_options(run, &prng);
        opened(run);
        stops++;
    }
    cr_assert_gt(stops, 2);
    cr_assert_gt(run->batch_count, 1000);
    run_settle(run);
    run_check(run);
    run_close(run);
    opened(run);
    run_check(run);
    run_close(run);
}
