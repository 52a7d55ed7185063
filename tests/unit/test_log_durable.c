/* SPDX-License-Identifier: Apache-2.0
 *
 * From durable to folded: what log_durable_next gives, and when it lets blocks go.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

static void opened(struct run *run, uint64_t seed)
{
    run_begin(run, seed);
    run->checkpoints = false;
    cr_assert_eq(run_open(run), 0, "%s", run->why);
}

/* Waits until everything is durable, without folding. */
static void make_durable(struct run *run)
{
    while (log_durable_index(run->log) != log_last_index(run->log)) {
        struct env_event events[16];

        log_kick(run->log);
        int n = env_wait(run->env, events, 16, env_now_mono_ns(run->env) + 1000000);
        for (int i = 0; i < n; i++)
            log_done(run->log, &events[i]);
    }
}

/* Entries come in the sequence of appending, numbered within their block. */
Test(log_durable, gives_batches_in_sequence_with_their_place)
{
    struct run run;
    struct log_entry entry;

    opened(&run, 1);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(run_append(&run, i, 300), 0);
    log_kick(run.log);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(run_append(&run, i, 300), 0);
    make_durable(&run);
    uint64_t position = 0;
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(log_durable_next(run.log, &entry), 1);
        cr_assert_eq(entry.batch->batch_xxh3, run.batches[i].xxh3);
        cr_assert_eq(entry.log_index, i < 3 ? 1 : 2);
        cr_assert_eq(entry.ordinal, i < 3 ? i : i - 3);
        if (i == 0)
            cr_assert_eq(entry.position, SEGMENT_BYTES_MIN + 4096);
        cr_assert_geq(entry.position, position);
        position = entry.position;
        run_fold_entry(&run, &entry);
    }
    cr_assert_eq(log_durable_next(run.log, &entry), 0);
    run_close(&run);
    run_end(&run);
}

/* A reader sees a batch from the moment the fold was given it, not before. */
Test(log_durable, shows_readers_only_what_was_given)
{
    struct run run;
    struct log_entry entry;
    uint64_t first, end, next;

    opened(&run, 1);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(run_append(&run, 0, 300), 0);
    make_durable(&run);
    cr_assert_eq(log_read(run.log, 0, 0, run.out, RUN_OUT_BYTES, &next), 0);
    cr_assert_eq(log_read(run.log, 0, 1, run.out, RUN_OUT_BYTES, &next), XD_OFFSET_FUTURE);
    cr_assert_eq(log_durable_next(run.log, &entry), 1);
    run_fold_entry(&run, &entry);
    log_bounds(run.log, 0, &first, &end);
    cr_assert_eq(end, 3);
    cr_assert_eq(log_read(run.log, 0, 0, run.out, RUN_OUT_BYTES, &next), 304);
    cr_assert_eq(next, 3);
    run_drain(&run);
    cr_assert_eq(log_read(run.log, 0, 0, run.out, RUN_OUT_BYTES, &next), 608);
    run_close(&run);
    run_end(&run);
}

/* A block stays in memory until its last batch was given, however much comes behind it. */
Test(log_durable, keeps_blocks_until_they_are_given)
{
    struct run run;
    struct log_entry entry;

    opened(&run, 1);
    cr_assert_eq(run_append(&run, 0, 300), 0);
    cr_assert_eq(run_append(&run, 0, 300), 0);
    make_durable(&run);
    cr_assert_eq(log_durable_next(run.log, &entry), 1);
    run_fold_entry(&run, &entry);
    const struct xd_batch_header *batch = entry.batch;
    for (uint32_t i = 0; i < 400 && run_append(&run, 1, 200000) != XD_THROTTLED; i++)
        make_durable(&run);
    cr_assert_eq(batch->batch_xxh3, run.batches[0].xxh3, "the first block was overwritten");
    run_drain(&run);
    run_append_wait(&run, 1, 200000);
    run_settle(&run);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}
