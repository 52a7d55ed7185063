/* SPDX-License-Identifier: Apache-2.0
 *
 * Retention: what goes when, and never before two checkpoints are past it.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>
#include <errno.h>

static void stats_of(struct run *run, struct log_stats *stats)
{
    log_stats(run->log, stats);
}

/* Kept segments stay within retention_bytes; readers below the new first offset are told so. */
Test(log_retain, drops_the_oldest_by_size)
{
    struct run run;
    struct log_stats stats;
    uint64_t first, end, next;

    run_begin(&run, 1);
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 50u << 20, 60000);
    run_idle(&run, 3000000000ull);
    stats_of(&run, &stats);
    cr_assert_leq(stats.log_bytes, 4ull * SEGMENT_BYTES_MIN);
    cr_assert_eq(stats.active_segment_no - stats.first_segment_no, 3);
    cr_assert_eq(run.news[LOG_NEWS_SEGMENT_DROPPED], stats.first_segment_no - 1);
    cr_assert_eq(run.last_news[LOG_NEWS_SEGMENT_DROPPED].b, RETAIN_BY_SIZE);
    for (uint32_t p = 0; p < RUN_PARTITIONS; p++) {
        log_bounds(run.log, p, &first, &end);
        cr_assert_gt(first, 0);
        cr_assert_eq(run_read(&run, p, first - 1, &next), XD_OFFSET_GONE);
        cr_assert_eq(run_read(&run, p, 0, &next), XD_OFFSET_GONE);
        cr_assert_eq(log_seek_time(run.log, p, 0), first);
    }
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Without a limit nothing goes. */
Test(log_retain, keeps_everything_without_a_limit)
{
    struct run run;
    struct log_stats stats;

    run_begin(&run, 1);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 50u << 20, 60000);
    run_idle(&run, 10000000000ull);
    stats_of(&run, &stats);
    cr_assert_eq(stats.first_segment_no, 1);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* A segment goes when its newest batch is too old, also while nothing is written. */
Test(log_retain, drops_by_age)
{
    struct run run;
    struct log_stats stats;

    run_begin(&run, 1);
    run.options.retention_us = 3600ll * 1000000;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 20u << 20, 60000);
    run_idle(&run, 2000000000ull);
    stats_of(&run, &stats);
    cr_assert_eq(stats.first_segment_no, 1);
    sim_wall_jump(run.sim, 3700ll * 1000000);
    run.time_us += 3700ll * 1000000;
    run_fill(&run, 1u << 20, 60000); /* something for the checkpoints to get past */
    run_idle(&run, 5000000000ull);
    run_fill(&run, 100000, 60000);
    run_idle(&run, 5000000000ull);
    stats_of(&run, &stats);
    cr_assert_eq(stats.first_segment_no, stats.active_segment_no);
    cr_assert_eq(run.last_news[LOG_NEWS_SEGMENT_DROPPED].b, RETAIN_BY_AGE);
    cr_assert_gt(run.fold.ends[0], 0);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* A segment is as old as its newest batch: an old one at its beginning does not take young ones
 * with it. */
Test(log_retain, keeps_a_segment_with_one_young_batch)
{
    const int64_t limit_us = 3600ll * 1000000;
    struct run run;
    struct log_stats stats;

    run_begin(&run, 1);
    run.options.retention_us = limit_us;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    for (uint32_t jump = 0; jump < 3; jump++) {
        run_fill(&run, jump == 0 ? 1u << 20 : 11u << 20, 60000);
        run_idle(&run, 2000000000ull);
        stats_of(&run, &stats);
        cr_assert_eq(stats.first_segment_no, 1);
        cr_assert(jump == 0 || stats.segments_full > 0);
        sim_wall_jump(run.sim, limit_us / 3);
        run.time_us += limit_us / 3;
    }
    run_idle(&run, 2000000000ull);
    stats_of(&run, &stats);
    cr_assert_geq(env_now_wall_us(run.env) - stats.oldest_time_us, limit_us);
    cr_assert_eq(stats.first_segment_no, 1, "its newest batch is younger");
    sim_wall_jump(run.sim, limit_us / 3);
    run_idle(&run, 2000000000ull);
    stats_of(&run, &stats);
    cr_assert_gt(stats.first_segment_no, 1);
    run_close(&run);
    run_end(&run);
}

/* A clock that jumps ahead takes nothing with it until it has run steadily since; one that comes
 * back in time takes nothing at all, and begins anew. */
Test(log_retain, does_not_believe_a_clock_that_jumps)
{
    const int64_t day_us = 86400ll * 1000000;
    struct run run;
    struct log_stats stats;

    run_begin(&run, 1);
    run.options.retention_us = day_us;
    run.options.clock_steady_ns = 60000000000ull;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 12u << 20, 60000);
    run_idle(&run, 70000000000ull);
    sim_wall_jump(run.sim, 2 * day_us);
    run_idle(&run, 50000000000ull);
    stats_of(&run, &stats);
    cr_assert_gt(stats.segments_full, 0);
    cr_assert_eq(stats.first_segment_no, 1);
    cr_assert_eq(run.news[LOG_NEWS_CLOCK_JUMPED], 1);
    sim_wall_jump(run.sim, -2 * day_us);
    run_idle(&run, 70000000000ull);
    stats_of(&run, &stats);
    cr_assert_eq(stats.first_segment_no, 1);
    sim_wall_jump(run.sim, 2 * day_us);
    run_idle(&run, 50000000000ull);
    stats_of(&run, &stats);
    cr_assert_eq(stats.first_segment_no, 1);
    run_idle(&run, 20000000000ull);
    stats_of(&run, &stats);
    cr_assert_gt(stats.first_segment_no, 1, "old by a clock that has been steady");
    cr_assert_eq(run.news[LOG_NEWS_CLOCK_JUMPED], 3);
    run_close(&run);
    run_end(&run);
}

/* As long as no second checkpoint is past a segment, it stays, whatever the limit says. */
Test(log_retain, waits_for_both_checkpoints)
{
    struct run run;
    struct log_stats stats;

    run_begin(&run, 1);
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    run.checkpoints = false;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 24u << 20, 60000);
    run_idle(&run, 3000000000ull);
    stats_of(&run, &stats);
    cr_assert_eq(stats.first_segment_no, 1);
    cr_assert(log_checkpoint_due(run.log), "a segment that should go makes a checkpoint due");
    run_checkpoint(&run);
    run_idle(&run, 3000000000ull);
    stats_of(&run, &stats);
    cr_assert_eq(stats.checkpoint_generation, 1);
    cr_assert_eq(stats.first_segment_no, 1, "one checkpoint is not enough");
    run_fill(&run, 100000, 60000);
    cr_assert(log_checkpoint_due(run.log));
    run_checkpoint(&run);
    run_idle(&run, 3000000000ull);
    stats_of(&run, &stats);
    cr_assert_eq(stats.checkpoint_generation, 2);
    cr_assert_gt(stats.first_segment_no, 1);
    run_close(&run);
    run_end(&run);
}

/* A segment stays while a read from its file is under way: the file may be written again as soon as
 * it is dropped. */
Test(log_retain, waits_for_a_read_under_way)
{
    struct sim_options world;
    struct run run;
    struct log_stats stats;
    uint64_t next;

    sim_options_init(&world, 1);
    world.spike_ns = 30000000000ull;
    run_begin_in(&run, &world);
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    run.checkpoints = false;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 24u << 20, 60000);
    run_checkpoint(&run);
    run_idle(&run, 3000000000ull);
    run_fill(&run, 100000, 60000);
    sim_rates(run.sim)->spike = 65536;
    cr_assert_eq(log_read(run.log, 0, 0, run.out, RUN_OUT_BYTES, &next), -EAGAIN);
    sim_rates(run.sim)->spike = 0;
    run_checkpoint(&run);
    run_idle(&run, 3000000000ull);
    stats_of(&run, &stats);
    cr_assert_eq(stats.checkpoint_generation, 2);
    cr_assert_eq(stats.first_segment_no, 1);
    run_idle(&run, 30000000000ull);
    stats_of(&run, &stats);
    cr_assert_gt(stats.first_segment_no, 1);
    run_close(&run);
    run_end(&run);
}

/* What was dropped before a restart stays dropped, or comes back whole and goes again; in between
 * everything kept can be read. */
Test(log_retain, survives_restarts)
{
    struct run run;
    struct log_stats stats;

    run_begin(&run, 5);
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    for (uint32_t round = 0; round < 8; round++) {
        run_fill(&run, 11u << 20, 60000);
        run_idle(&run, 10000000ull * round);
        run_crash(&run, SIM_CRASH_ANY);
        cr_assert_eq(run_open(&run), 0, "%s", run.why);
        run_check(&run);
        run_idle(&run, 2000000000ull);
        run_check(&run);
    }
    stats_of(&run, &stats);
    cr_assert_gt(stats.first_segment_no, 5);
    run_close(&run);
    run_end(&run);
}

/* A dropped segment whose slot was not used again does not come back: the checkpoint says what
 * there is. */
Test(log_retain, does_not_bring_dropped_segments_back)
{
    struct run run;
    struct log_stats before, after;

    run_begin(&run, 1);
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 50u << 20, 60000);
    run_idle(&run, 3000000000ull);
    run_fill(&run, 3u << 20, 60000);
    run.checkpoints = false;
    run_idle(&run, 100000000);
    uint64_t bytes_max;
    uint8_t *memory = log_checkpoint_begin(run.log, &bytes_max);
    memcpy(memory, &run.fold, sizeof(run.fold));
    log_checkpoint_commit(run.log, sizeof(run.fold));
    run_idle(&run, 3000000000ull);
    stats_of(&run, &before);
    cr_assert_gt(segment_count(&run.log->table, SEGMENT_FREE), 0);
    run_close(&run);
    run.options.retention_bytes = 0;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    stats_of(&run, &after);
    cr_assert_eq(after.first_segment_no, before.first_segment_no);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* A checkpoint taken while a segment is on its way out lists neither the segment nor, after a
 * restart, what the index still said about it. */
Test(log_retain, finishes_a_drop_that_a_restart_interrupted)
{
    struct run run;
    uint64_t first, end;

    run_begin(&run, 1);
    run.checkpoints = false;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 12u << 20, 60000);
    run.log->retain.dropping_no = 1; /* with thousands of partitions this takes many turns */
    for (uint32_t p = 0; p < RUN_PARTITIONS / 2; p++)
        index_trim(&run.log->index, p, 2ull * SEGMENT_BYTES_MIN);
    uint64_t bytes_max;
    uint8_t *memory = log_checkpoint_begin(run.log, &bytes_max);
    memcpy(memory, &run.fold, sizeof(run.fold));
    log_checkpoint_commit(run.log, sizeof(run.fold));
    while (run.log->checkpoint.step != CHECKPOINT_IDLE) {
        struct env_event events[16];
        int n = env_wait(run.env, events, 16, UINT64_MAX);
        for (int i = 0; i < n; i++)
            log_done(run.log, &events[i]);
    }
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    for (uint32_t p = 0; p < RUN_PARTITIONS; p++) {
        log_bounds(run.log, p, &first, &end);
        cr_assert_gt(first, 0);
    }
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* A crash at every operation around the drop and the re-use of slots: the log opens, nothing kept
 * is missing. */
Test(log_retain, survives_a_crash_at_every_operation, .timeout = 100)
{
    struct run run;
    uint64_t count = 0;

    for (uint64_t nth = 0; nth <= count; nth += 1 + count / 40) {
        run_begin(&run, 9);
        run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
        run.options.checkpoint_every_bytes = 3u << 20;
        cr_assert_eq(run_open(&run), 0, "%s", run.why);
        run_fill(&run, 16u << 20, 200000);
        uint64_t from = sim_op_count(run.sim, SIM_OP_WRITE) + sim_op_count(run.sim, SIM_OP_SYNC) +
                        sim_op_count(run.sim, SIM_OP_FILE_OPEN);
        sim_plan_crash_op(run.sim, nth);
        for (uint32_t i = 0; i < 120 && !sim_dead(run.sim); i++) {
            (void)run_append(&run, i % RUN_PARTITIONS, 200000);
            (void)run_turn_within(&run, 5000000);
        }
        if (nth == 0) { /* counts the operations, no crash */
            cr_assert_gt(run.news[LOG_NEWS_SEGMENT_DROPPED], 1);
            count = sim_op_count(run.sim, SIM_OP_WRITE) + sim_op_count(run.sim, SIM_OP_SYNC) +
                    sim_op_count(run.sim, SIM_OP_FILE_OPEN) - from;
        }
        sim_plan_crash_op(run.sim, 0);
        run_crash(&run, SIM_CRASH_ANY);
        cr_assert_eq(run_open(&run), 0, "operation %lu: %s", (unsigned long)nth, run.why);
        run_check(&run);
        run_close(&run);
        run_end(&run);
    }
    cr_assert_gt(count, 100);
}

/* A segment whose times are not known is kept by age, however long it has been there; its size may
 * take it. */
Test(log_retain, does_not_guess_the_age_of_a_segment)
{
    struct run run;
    struct log_stats stats;

    run_begin(&run, 1);
    run.options.retention_us = 1000000;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 10u << 20, 60000);
    for (uint32_t i = 0; i < run.log->table.slot_count; i++)
        run.log->table.slots[i].last_time_us = 0;
    run_idle(&run, 20000000000ull);
    stats_of(&run, &stats);
    cr_assert_eq(stats.first_segment_no, 1);
    run.log->options.retention_bytes = 1;
    run_fill(&run, 20u << 20, 60000);
    run_idle(&run, 3000000000ull);
    stats_of(&run, &stats);
    cr_assert_gt(stats.first_segment_no, 1);
    run_close(&run);
    run_end(&run);
}

/* Thousands of partitions are trimmed in slices, so that no turn waits for them; turns follow each
 * other at once until the segment is gone. */
Test(log_retain, trims_many_partitions_in_slices)
{
    struct run run;
    uint32_t slices = 0;

    run_begin(&run, 1);
    run.options.partitions_max = 3 * RETAIN_PARTITIONS_PER_TURN + 7;
    run.options.checkpoint_bytes_max = 1u << 20;
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    run.options.index_bytes = 8u << 20;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    for (uint32_t i = 0; run.news[LOG_NEWS_SEGMENT_DROPPED] == 0; i++) {
        uint32_t before = run.log->retain.trim_next;

        cr_assert_lt(i, 20000);
        (void)run_append(&run, i % RUN_PARTITIONS, 60000);
        cr_assert(run_turn_within(&run, 1000000));
        const struct retain *r = &run.log->retain;
        bool going_on = r->dropping_no != 0 && r->trim_next < run.options.partitions_max;
        slices += going_on && r->trim_next != before;
        if (going_on) {
            cr_assert_leq(r->trim_next - before, RETAIN_PARTITIONS_PER_TURN);
            cr_assert_eq(retain_deadline_ns(run.log), 0);
        }
    }
    cr_assert_geq(slices, 3);
    run_settle(&run);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}
