/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoints: when they are due, what a restart from one gives, and what a failure leaves.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

/* Appends and takes checkpoints until `generation` is current. */
static void run_to_generation(struct run *run, uint64_t generation)
{
    for (uint32_t i = 0; run->log->checkpoint.generation < generation; i++) {
        run_append_wait(run, i % RUN_PARTITIONS, 100000);
        cr_assert(run_turn_within(run, 2000000));
        cr_assert_lt(i, 10000);
    }
}

static void opened(struct run *run, uint64_t seed)
{
    run_begin(run, seed);
    run->options.checkpoint_every_bytes = 2u << 20;
    cr_assert_eq(run_open(run), 0, "%s", run->why);
}

/* Batches that a restart folds when it starts from no checkpoint: removes both. */
static struct run_fold fold_of_whole_log(struct run *run)
{
    struct meta slots[META_SLOTS];
    struct run_fold fold;

    /* Without checkpoint: meta as if none had ever been written. */
    cr_assert_eq(sim_disk_peek(run->sim, "meta", 0, slots, sizeof(slots)), sizeof(slots));
    for (uint32_t i = 0; i < META_SLOTS; i++) {
        slots[i].checkpoint_generation = 0;
        slots[i].checkpoint_xxh3 = 0;
        meta_seal(&slots[i]);
    }
    cr_assert_eq(sim_disk_patch(run->sim, "meta", 0, slots, sizeof(slots)), 0);
    cr_assert_eq(run_open(run), 0, "%s", run->why);
    cr_assert_eq(run->log->checkpoint.generation, 0);
    fold = run->fold;
    run_check(run);
    return fold;
}

/* The state after a restart from a checkpoint equals the fold of the whole log. */
Test(log_checkpoint, restart_equals_the_fold_of_the_whole_log)
{
    struct run run;

    opened(&run, 1);
    run_to_generation(&run, 3);
    run_fill(&run, 1u << 20, 50000);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_geq(run.log->checkpoint.generation, 3);
    cr_assert_lt(run.log->recover.checkpoint.position, run.log->append.position);
    struct run_fold from_checkpoint = run.fold;
    run_check(&run);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    struct run_fold whole = fold_of_whole_log(&run);
    cr_assert_eq(memcmp(&whole, &from_checkpoint, sizeof(whole)), 0);
    run_close(&run);
    run_end(&run);
}

/* Due after checkpoint_every_bytes of log, not while one is written, not without anything new. */
Test(log_checkpoint, is_due_by_bytes_of_log)
{
    struct run run;
    uint64_t bytes_max;

    opened(&run, 1);
    run.checkpoints = false;
    cr_assert_not(log_checkpoint_due(run.log));
    run_fill(&run, 1900000, 100000);
    cr_assert_not(log_checkpoint_due(run.log));
    run_fill(&run, 300000, 100000);
    cr_assert(log_checkpoint_due(run.log));
    uint8_t *memory = log_checkpoint_begin(run.log, &bytes_max);
    cr_assert_eq(bytes_max, run.options.checkpoint_bytes_max);
    cr_assert_not(log_checkpoint_due(run.log));
    memcpy(memory, &run.fold, sizeof(run.fold));
    log_checkpoint_commit(run.log, sizeof(run.fold));
    cr_assert_not(log_checkpoint_due(run.log));
    run_idle(&run, 50000000);
    cr_assert_eq(run.news[LOG_NEWS_CHECKPOINT], 1);
    cr_assert_eq(run.last_news[LOG_NEWS_CHECKPOINT].b, run.fold.index);
    cr_assert_not(log_checkpoint_due(run.log));
    run_close(&run);
    run_end(&run);
}

/* Appending goes on while a checkpoint is written; what comes later is not in it and not lost. */
Test(log_checkpoint, is_written_beside_the_log)
{
    struct run run;

    opened(&run, 2);
    run_fill(&run, 3u << 20, 100000);
    uint64_t generation = run.log->checkpoint.generation;
    run_fill(&run, 2u << 20, 100000);
    while (run.log->checkpoint.step == CHECKPOINT_IDLE)
        run_fill(&run, 100000, 100000);
    while (run.log->checkpoint.step != CHECKPOINT_IDLE) {
        run_append_wait(&run, 0, 1000);
        cr_assert(run_turn_within(&run, 20000));
    }
    cr_assert_gt(run.log->checkpoint.generation, generation);
    run_settle(&run);
    struct run_fold before = run.fold;
    cr_assert_gt(before.index, run.log->checkpoint.index);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(memcmp(&before, &run.fold, sizeof(before)), 0);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* A damaged newest checkpoint: the one before is used, the result is the same, the next one takes
 * the damaged file's place. */
Test(log_checkpoint, falls_back_to_the_other_file)
{
    struct run run;

    opened(&run, 1);
    run_to_generation(&run, 4);
    run.checkpoints = false;
    run_settle(&run);
    run_idle(&run, 100000000); /* one that has begun is finished */
    struct run_fold before = run.fold;
    uint64_t generation = run.log->checkpoint.generation;
    run_close(&run);
    cr_assert_eq(sim_disk_flip(run.sim, generation % 2 ? "checkpoint.1" : "checkpoint.0", 4096, 1),
                 0);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.log->checkpoint.generation, generation - 1);
    cr_assert_eq(run.news[LOG_NEWS_CHECKPOINT_FALLBACK], 1);
    cr_assert_eq(memcmp(&before, &run.fold, sizeof(before)), 0);
    run_check(&run);
    run.checkpoints = true;
    run_to_generation(&run, generation);
    run.checkpoints = false;
    run_close(&run);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.log->checkpoint.generation, generation);
    run_close(&run);
    run_end(&run);
}

/* The same when old segments have been recycled: they wait for both. */
Test(log_checkpoint, can_fall_back_after_segments_were_recycled)
{
    struct run run;

    run_begin(&run, 1);
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    run.options.checkpoint_every_bytes = 20u << 20;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 70u << 20, 100000);
    run_idle(&run, 2000000000ull);
    cr_assert_gt(run.news[LOG_NEWS_SEGMENT_DROPPED], 5);
    struct run_fold before = run.fold;
    uint64_t generation = run.log->checkpoint.generation;
    run_close(&run);
    cr_assert_eq(sim_disk_flip(run.sim, generation % 2 ? "checkpoint.1" : "checkpoint.0", 4097, 1),
                 0);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.log->checkpoint.generation, generation - 1);
    cr_assert_eq(memcmp(&before, &run.fold, sizeof(before)), 0);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Appends until the log throttles for lack of a checkpoint; the log has stayed within the bound. */
static void fill_to_the_bound(struct run *run, uint64_t from)
{
    int status = 0;

    for (uint32_t i = 0; i < 1000 && status == 0; i++) {
        status = run_append(run, i % RUN_PARTITIONS, 100000);
        cr_assert(run_turn_within(run, 2000000));
        if (status == XD_THROTTLED && !strstr(log_throttle_reason(run->log), "checkpoint"))
            status = 0; /* a segment or the window: that goes by */
        cr_assert_leq(run->log->append.position - from, run->options.checkpoint_tail_bytes_max);
    }
    cr_assert_eq(status, XD_THROTTLED);
    cr_assert_geq(run->log->append.position - from,
                  run->options.checkpoint_tail_bytes_max - 2 * XD_BLOCK_BYTES_MAX);
}

/* The log behind the last complete checkpoint is bounded: producers wait while one is written, and
 * one is due in time although checkpoint_every_bytes says later. Its completion frees them. */
Test(log_checkpoint, bounds_the_tail_that_a_restart_reads)
{
    struct run run;
    uint64_t bytes_max;

    run_begin(&run, 1);
    run.checkpoints = false;
    run.options.checkpoint_every_bytes = 1u << 30;
    run.options.checkpoint_tail_bytes_max = 8u << 20;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    uint64_t from = run.log->append.position;
    run_fill(&run, 5u << 20, 100000);
    cr_assert_not(log_checkpoint_due(run.log));
    run_fill(&run, 1u << 20, 100000);
    cr_assert(log_checkpoint_due(run.log));
    fill_to_the_bound(&run, from);
    run_settle(&run);
    cr_assert_eq(run_append(&run, 0, 500000), XD_THROTTLED);
    cr_assert_str_eq(log_throttle_reason(run.log),
                     "too much log since the last checkpoint; wait for the next one");
    run_settle(&run);
    uint8_t *memory = log_checkpoint_begin(run.log, &bytes_max);
    memcpy(memory, &run.fold, sizeof(run.fold));
    log_checkpoint_commit(run.log, sizeof(run.fold));
    uint64_t position = run.log->append.position;
    cr_assert_eq(run_append(&run, 0, 500000), XD_THROTTLED, "begun is not complete");
    while (run.log->checkpoint.step != CHECKPOINT_IDLE)
        cr_assert(run_turn_within(&run, 20000));
    cr_assert_eq(run_append(&run, 0, 500000), 0);
    fill_to_the_bound(&run, position);
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* When checkpoints cannot be written, the reason says so; it is tried again without any new log,
 * and the first that succeeds frees the producers. */
Test(log_checkpoint, failing_ones_are_named_in_the_reason)
{
    struct run run;

    run_begin(&run, 1);
    run.options.checkpoint_tail_bytes_max = 8u << 20;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    for (uint32_t nth = 1; nth <= SIM_INJECTIONS_MAX; nth++)
        sim_inject(run.sim, SIM_OP_WRITE, "checkpoint.", nth, -ENOSPC);
    fill_to_the_bound(&run, run.log->append.position);
    for (uint32_t i = 0; i < 3; i++) {
        run_idle(&run, 2000000000ull);
        cr_assert_eq(run_append(&run, 0, 1000000), XD_THROTTLED);
        cr_assert_str_eq(log_throttle_reason(run.log),
                         "too much log since the last checkpoint: the disk has no room for the "
                         "next one; make room");
    }
    cr_assert_eq(log_fenced(run.log), 0);
    cr_assert_leq(sim_inject_pending(run.sim), SIM_INJECTIONS_MAX - 4, "it is not tried again");
    sim_inject_clear(run.sim);
    run_idle(&run, 3000000000ull);
    cr_assert_eq(run.log->checkpoint.generation, 1);
    cr_assert_eq(run_append(&run, 0, 1000000), 0);
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* A start that finds more than the bound takes no batch before a checkpoint is complete. */
Test(log_checkpoint, comes_first_after_a_start_with_too_long_a_tail)
{
    struct run run;

    run_begin(&run, 1);
    run.checkpoints = false;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 20u << 20, 100000);
    run_close(&run);
    run.checkpoints = true;
    run.options.checkpoint_every_bytes = 1u << 30;
    run.options.checkpoint_tail_bytes_max = 8u << 20;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run_append(&run, 0, 1000), XD_THROTTLED);
    run_append_wait(&run, 0, 1000);
    cr_assert_eq(run.log->checkpoint.generation, 1);
    run_settle(&run);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Without space, quota or a file handle a checkpoint is given up and another one taken later; the
 * log goes on. */
Test(log_checkpoint, is_given_up_without_space)
{
    static const struct {
        enum sim_op op; /* */
        int status;     /* */
    } rows[] = {{SIM_OP_FILE_OPEN, -EMFILE},
                {SIM_OP_WRITE, -ENOSPC},
                {SIM_OP_WRITE, -EDQUOT},
                {SIM_OP_SYNC, -ENOSPC}};

    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run run;

        opened(&run, 1);
        sim_inject(run.sim, rows[i].op, "checkpoint.", 1, rows[i].status);
        run_fill(&run, 4u << 20, 100000);
        cr_assert_eq(sim_inject_pending(run.sim), 0);
        cr_assert_eq(log_fenced(run.log), 0);
        run_idle(&run, 1100000000);
        run_to_generation(&run, 1);
        run_crash(&run, SIM_CRASH_KEEP_NONE);
        cr_assert_eq(run_open(&run), 0, "%s", run.why);
        run_check(&run);
        run_close(&run);
        run_end(&run);
    }
}

/* Short writes go on; any error but a lack of space fences, and the log opens again without it. */
Test(log_checkpoint, finishes_short_writes_and_fences_on_eio)
{
    struct run run;

    opened(&run, 1);
    sim_inject(run.sim, SIM_OP_WRITE, "checkpoint.", 1, 4096);
    sim_inject(run.sim, SIM_OP_WRITE, "checkpoint.", 3, 512);
    run_to_generation(&run, 2);
    cr_assert_eq(sim_inject_pending(run.sim), 0);
    sim_inject(run.sim, SIM_OP_SYNC, "checkpoint.", 1, -EIO);
    for (uint32_t i = 0; i < 200 && !log_fenced(run.log); i++) {
        (void)run_append(&run, 0, 100000);
        cr_assert(run_turn_within(&run, 2000000));
    }
    cr_assert_eq(log_fenced(run.log), -EIO);
    run_close(&run);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.log->checkpoint.generation, 2);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* A crash at each of its points, with every way a disk can come out of it. */
Test(log_checkpoint, survives_a_crash_at_its_points, .timeout = 100)
{
    const enum env_crash_point points[] = {ENV_CRASH_CHECKPOINT_WRITTEN,
                                           ENV_CRASH_CHECKPOINT_CURRENT};

    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t nth = 1; nth < 4; nth++)
            for (int menu = 0; menu < SIM_CRASH_MENU_COUNT; menu++) {
                struct run run;

                opened(&run, nth);
                sim_plan_crash(run.sim, points[i], nth);
                for (uint32_t n = 0; n < 1000 && !sim_dead(run.sim); n++) {
                    (void)run_append(&run, n % RUN_PARTITIONS, 100000);
                    (void)run_turn_within(&run, 2000000);
                }
                cr_assert(sim_dead(run.sim));
                run_crash(&run, (enum sim_crash_menu)menu);
                cr_assert_eq(run_open(&run), 0, "%s", run.why);
                cr_assert_geq(run.log->checkpoint.generation, i == 0 ? nth - 1 : nth);
                run_check(&run);
                run_close(&run);
                run_end(&run);
            }
}

/* Sites that bend the path on purpose leave the result alone. */
Test(log_checkpoint, may_be_taken_early)
{
    struct run run;
    struct sim_options world;

    sim_options_init(&world, 1);
    world.rates.buggify_enabled = 65536;
    world.rates.buggify_fires = 20000;
    run_begin_in(&run, &world);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    for (uint32_t i = 0; i < 200; i++) {
        run_append_wait(&run, i % RUN_PARTITIONS, 2000);
        cr_assert(run_turn_within(&run, 1000000));
    }
    run_settle(&run);
    cr_assert_gt(run.log->checkpoint.generation, 2);
    cr_assert_gt(sim_buggify_fires(run.sim, ENV_BUGGIFY_CHECKPOINT_EARLY), 0);
    run_check(&run);
    cr_assert_gt(sim_buggify_fires(run.sim, ENV_BUGGIFY_READ_FROM_DISK), 0);
    cr_assert_gt(sim_buggify_fires(run.sim, ENV_BUGGIFY_TAIL_SMALL), 0);
    cr_assert_gt(sim_buggify_fires(run.sim, ENV_BUGGIFY_BLOCK_CLOSE_EARLY), 0);
    struct run_fold before = run.fold;
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(memcmp(&before, &run.fold, sizeof(before)), 0);
    run_close(&run);
    run_end(&run);
}

/* A folder that could not be flushed leaves the name of a new checkpoint file in doubt; it is
 * flushed again before meta may name what is in the file. */
Test(log_checkpoint, flushes_the_folder_again_after_enospc)
{
    struct run run;

    run_begin(&run, 1);
    run.options.checkpoint_every_bytes = 1u << 20;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    for (uint32_t n = 1; n <= SIM_INJECTIONS_MAX; n++)
        sim_inject(run.sim, SIM_OP_DIR_SYNC, NULL, n, -ENOSPC);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t pending = sim_inject_pending(run.sim);
        run_fill(&run, 1100000, 50000);
        run_idle(&run, 1100000000);
        cr_assert_eq(run.log->checkpoint.generation, 0);
        cr_assert_lt(sim_inject_pending(run.sim), pending, "it is not tried again");
    }
    cr_assert_gt(sim_inject_pending(run.sim), 0);
    sim_inject_clear(run.sim);
    run_idle(&run, 1100000000);
    run_to_generation(&run, 1);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_geq(run.log->checkpoint.generation, 1);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Body or header that stay short again and again are the device's failure. */
Test(log_checkpoint, gives_up_writes_that_stay_short)
{
    for (uint64_t first = 1; first <= 2; first++) { /* the body, the header */
        struct run run;

        opened(&run, 1);
        for (uint32_t i = 0; i < LOG_STALLS_MAX; i++)
            sim_inject(run.sim, SIM_OP_WRITE, "checkpoint.", first + i, 512);
        for (uint32_t i = 0; i < 200 && !log_fenced(run.log); i++) {
            (void)run_append(&run, 0, 100000);
            cr_assert(run_turn_within(&run, 2000000));
        }
        cr_assert_eq(sim_inject_pending(run.sim), 0);
        cr_assert_eq(log_fenced(run.log), -EIO);
        cr_assert_eq(run.log->checkpoint.generation, 0);
        run_close(&run);
        cr_assert_eq(run_open(&run), 0, "%s", run.why);
        run_check(&run);
        run_close(&run);
        run_end(&run);
    }
}

#define LARGE_BYTES (2u * CHECKPOINT_WRITE_BYTES + 70000u) /* a state of three writes */

/* A state of several writes is on disk as it was given, also when they go short. */
Test(log_checkpoint, writes_a_large_state_in_pieces)
{
    struct run run;
    static struct checkpoint_header header;
    const char *why;
    uint64_t bytes_max;

    opened(&run, 1);
    run_close(&run);
    run.options.checkpoint_bytes_max = LARGE_BYTES;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run.checkpoints = false;
    run_fill(&run, 3u << 20, 100000);
    cr_assert(log_checkpoint_due(run.log));
    uint8_t *state = log_checkpoint_begin(run.log, &bytes_max);
    cr_assert_geq(bytes_max, LARGE_BYTES);
    for (uint64_t i = 0; i < LARGE_BYTES; i++)
        state[i] = (uint8_t)(i * 11 >> 2);
    sim_inject(run.sim, SIM_OP_WRITE, "checkpoint.", 2, 8192 + 512);
    log_checkpoint_commit(run.log, LARGE_BYTES);
    run_idle(&run, 100000000);
    cr_assert_eq(run.log->checkpoint.generation, 1);
    cr_assert_eq(sim_disk_peek(run.sim, "checkpoint.1", 0, &header, sizeof(header)),
                 sizeof(header));
    uint64_t bytes = checkpoint_body_bytes(header.state_bytes, header.local_bytes);
    uint8_t *body = malloc(bytes);
    cr_assert_eq(sim_disk_peek(run.sim, "checkpoint.1", CHECKPOINT_HEADER_BYTES, body, bytes),
                 (int64_t)bytes);
    cr_assert_eq(checkpoint_check_body(&header, body, &why), 0);
    for (uint64_t i = 0; i < LARGE_BYTES; i++)
        cr_assert_eq(body[i], (uint8_t)(i * 11 >> 2));
    free(body);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    run_end(&run);
}
