/* SPDX-License-Identifier: Apache-2.0
 *
 * Meta while the log runs: slots in turn, newest content, and what a failure does.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

static void opened(struct run *run)
{
    run_begin(run, 1);
    run->checkpoints = false;
    cr_assert_eq(run_open(run), 0, "%s", run->why);
}

/* The slot on disk with the highest generation. */
static struct meta newest(struct run *run)
{
    struct meta slots[META_SLOTS];
    const char *why;
    int slot;

    cr_assert_eq(sim_disk_peek(run->sim, "meta", 0, slots, sizeof(slots)), sizeof(slots));
    for (uint32_t i = 0; i < META_SLOTS; i++) {
        cr_assert_eq(meta_check(&slots[i], &why), 0);
        cr_assert_eq(slots[i].generation % META_SLOTS, i);
    }
    slot = meta_choose(slots, &why);
    cr_assert_geq(slot, 0);
    return slots[slot];
}

/* The start that makes the first segment says so by a third write, before it returns; later ones
 * write the epoch only. Without that write there is no start. */
Test(log_meta_file, tells_that_the_first_segment_was_made)
{
    struct run run;

    run_begin(&run, 1);
    sim_inject(run.sim, SIM_OP_WRITE, "meta", 3, -EIO);
    cr_assert_eq(run_open(&run), -EIO);
    cr_assert_not_null(strstr(run.why, "meta: writing failed (EIO)"), "%s", run.why);
    log_deinit(run.log);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(newest(&run).generation, 2);
    struct meta begun = newest(&run);
    cr_assert_not(meta_ran(&begun));
    run_end(&run);

    opened(&run);
    for (uint64_t start = 1; start < 4; start++) {
        struct meta meta = newest(&run);

        cr_assert_eq(meta.epoch, start);
        cr_assert_eq(meta.generation, 2 * start + 1);
        cr_assert(meta_ran(&meta));
        run_crash(&run, SIM_CRASH_KEEP_NONE);
        cr_assert_eq(run_open(&run), 0, "%s", run.why);
    }
    run_close(&run);
    run_end(&run);
}

/* A roll writes the durable index, in the slot that was not current. */
Test(log_meta_file, follows_every_roll)
{
    struct run run;

    opened(&run);
    struct meta before = newest(&run);
    run_fill(&run, 3900000, 300000);
    run_fill(&run, 600000, 300000);
    cr_assert_eq(run.news[LOG_NEWS_SEGMENT_ROLLED], 1);
    struct meta after = newest(&run);
    cr_assert_eq(after.generation, before.generation + 1);
    cr_assert_eq(after.epoch, before.epoch);
    cr_assert_gt(after.durable_index, before.durable_index);
    cr_assert_leq(after.durable_index, log_durable_index(run.log));
    run_close(&run);
    run_end(&run);
}

/* A clean stop writes where the log ends, so that the next start misses what is gone below it; a
 * stop without anything new writes nothing. */
Test(log_meta_file, names_the_end_at_a_clean_stop)
{
    struct run run;

    opened(&run);
    for (uint32_t i = 0; i < 10; i++)
        cr_assert_eq(run_append(&run, i % RUN_PARTITIONS, 1000), 0);
    run_settle(&run);
    uint64_t end = log_durable_index(run.log);
    cr_assert_lt(newest(&run).durable_index, end);
    run_close(&run);
    cr_assert_eq(newest(&run).durable_index, end);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    uint64_t generation = newest(&run).generation;
    run_close(&run);
    cr_assert_eq(newest(&run).generation, generation);
    run_end(&run);
}

/* Requests while a write is outstanding lead to one more, with the newest content. */
Test(log_meta_file, writes_the_newest_content_last)
{
    struct run run;

    opened(&run);
    uint64_t generation = run.log->meta.generation;
    for (uint64_t vote = 1; vote <= 5; vote++) {
        run.log->meta.vote = vote;
        meta_file_write(run.log);
    }
    run_idle(&run, 10000000);
    cr_assert_eq(run.log->meta.generation, generation + 2);
    cr_assert_eq(newest(&run).vote, 5);
    run_close(&run);
    run_end(&run);
}

/* A short write is done again as a whole. */
Test(log_meta_file, repeats_short_writes)
{
    struct run run;

    opened(&run);
    sim_inject(run.sim, SIM_OP_WRITE, "meta", 1, 512);
    run.log->meta.vote = 9;
    meta_file_write(run.log);
    run_idle(&run, 10000000);
    cr_assert_eq(log_fenced(run.log), 0);
    cr_assert_eq(newest(&run).vote, 9);
    run_close(&run);
    run_end(&run);
}

/* An error fences the log; the other slot is whole, so it opens again. */
Test(log_meta_file, fences_on_an_error)
{
    struct run run;

    opened(&run);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    run_settle(&run);
    sim_inject(run.sim, SIM_OP_WRITE, "meta", 1, -EIO);
    meta_file_write(run.log);
    run_idle(&run, 10000000);
    cr_assert_eq(log_fenced(run.log), -EIO);
    run_close(&run);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.fold.batches, 1);
    run_close(&run);
    run_end(&run);
}

/* A write that goes short again and again is the device's failure; one that comes whole in time, or
 * at the last try, is none. */
Test(log_meta_file, gives_up_a_write_that_stays_short)
{
    for (uint32_t shorts = 1; shorts <= LOG_STALLS_MAX; shorts++) {
        struct run run;

        opened(&run);
        for (uint32_t i = 1; i <= shorts; i++)
            sim_inject(run.sim, SIM_OP_WRITE, "meta", i, 512);
        run.log->meta.vote = 9;
        meta_file_write(run.log);
        run_idle(&run, 10000000);
        cr_assert_eq(sim_inject_pending(run.sim), 0);
        cr_assert_eq(log_fenced(run.log), shorts < LOG_STALLS_MAX ? 0 : -EIO);
        cr_assert(newest(&run).vote == 9 || shorts == LOG_STALLS_MAX);
        run_close(&run);
        run_end(&run);
    }
}

/* A fenced log writes no meta: what it would say may not be true any more. */
Test(log_meta_file, writes_nothing_once_fenced)
{
    struct run run;

    opened(&run);
    uint64_t generation = newest(&run).generation;
    meta_file_write(run.log); /* under way when the fence comes: it is not repeated */
    sim_inject(run.sim, SIM_OP_WRITE, "meta", 1, 512);
    meta_file_write(run.log);
    log_fence(run.log, -EIO, ENV_OP_SYNC, 0);
    run_idle(&run, 10000000);
    uint64_t writes = sim_op_count(run.sim, SIM_OP_WRITE);
    meta_file_write(run.log);
    run_idle(&run, 10000000);
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_WRITE), writes);
    cr_assert_leq(newest(&run).generation, generation + 1);
    run_close(&run);
    run_end(&run);
}
