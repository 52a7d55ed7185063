/* SPDX-License-Identifier: Apache-2.0
 *
 * The self-test that chooses the way to durable.
 */
#include "broker/log/selftest.h"
#include "tests/support/env_bent.h"
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

#define TOKEN env_token(ENV_OWNER_LOG, 1, 0)

/* One self-test in a world of its own. */
struct measured {
    struct selftest_result result;
    uint64_t took_ns; /* virtual */
    int status;       /* */
};

/* `failing` is the number of the write that answers `result`, 0 = none. The engine breaks at wait
 * number `breaking`, 0 = never. */
static struct measured measure_with(const struct sim_options *world, uint64_t failing,
                                    int32_t result, uint64_t breaking)
{
    struct sim *sim = sim_open(world);
    struct env *env = env_bend(env_sim_process(sim, NULL));
    uint8_t *zeros = env_mem_alloc(env, SELFTEST_WRITE_BYTES);
    struct measured measured = {.status = 0};
    env_file file;

    cr_assert_eq(env_file_open(env, "wal.00", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_file_reserve(env, file, SEGMENT_BYTES_MIN), 0);
    if (failing > 0)
        sim_inject(sim, SIM_OP_WRITE, NULL, failing, result);
    bent.wait_breaks = breaking;
    uint64_t started_ns = sim_now_ns(sim);
    measured.status = selftest_run(env, file, 4096, zeros, TOKEN, &measured.result);
    measured.took_ns = sim_now_ns(sim) - started_ns;
    sim_close(sim);
    return measured;
}

static struct measured measure(const struct sim_options *world)
{
    return measure_with(world, 0, 0, 0);
}

/* When going round twice is what costs, the one operation of DSYNC wins. */
Test(log_selftest, chooses_dsync_when_it_is_faster)
{
    struct sim_options world;

    sim_options_init(&world, 1);
    world.turn = (struct sim_range){100000, 100000};
    world.write = (struct sim_range){10000, 12000};
    world.sync = (struct sim_range){10000, 12000};
    struct measured measured = measure(&world);
    cr_assert_eq(measured.status, 0);
    cr_assert_eq(measured.result.chosen, LOG_SYNC_DSYNC);
    cr_assert_lt(measured.result.dsync_ns, measured.result.fdatasync_ns);
    cr_assert_geq(measured.result.fdatasync_ns, 200000);
    cr_assert_lt(measured.result.fdatasync_ns, 300000);
}

/* When both take about as long, the flush that many writes share. */
Test(log_selftest, chooses_fdatasync_on_a_tie)
{
    struct sim_options world;

    sim_options_init(&world, 1);
    world.write = (struct sim_range){200000, 200000};
    world.sync = (struct sim_range){1000, 2000};
    struct measured measured = measure(&world);
    cr_assert_eq(measured.status, 0);
    cr_assert_eq(measured.result.chosen, LOG_SYNC_FDATASYNC);
}

/* On a slow device it ends after its time, with at least one measurement each; on a fast one after
 * its rounds. */
Test(log_selftest, ends_in_time)
{
    struct sim_options world;

    sim_options_init(&world, 1);
    world.sync = (struct sim_range){30000000, 30000000};
    struct measured slow = measure(&world);
    cr_assert_eq(slow.status, 0);
    cr_assert_eq(slow.result.rounds, 4); /* of about 60 ms */
    cr_assert_lt(slow.took_ns, SELFTEST_NS + 61000000);

    sim_options_init(&world, 1);
    world.sync = (struct sim_range){50000, 100000};
    struct measured fast = measure(&world);
    cr_assert_eq(fast.status, 0);
    cr_assert_eq(fast.result.rounds, SELFTEST_ROUNDS_MAX);
    cr_assert_lt(fast.took_ns, SELFTEST_NS);
}

/* A device that cannot write, or not all of 64 KiB, is told at once; so is a broken engine, at a
 * write and at a flush. */
Test(log_selftest, returns_the_first_error)
{
    struct sim_options world;

    sim_options_init(&world, 1);
    cr_assert_eq(measure_with(&world, 5, -ENOSPC, 0).status, -ENOSPC);
    cr_assert_eq(measure_with(&world, 6, SELFTEST_WRITE_BYTES - 4096, 0).status, -EIO);
    cr_assert_eq(measure_with(&world, 0, 0, 2).status, -EBADF);
    cr_assert_eq(measure_with(&world, 0, 0, 3).status, -EBADF);
}

/* A log opened with LOG_SYNC_AUTO reports what it chose and works with it; what it measured over is
 * an empty segment, so nothing of the log is touched. */
Test(log_selftest, serves_a_log_that_is_opened)
{
    struct run run;

    run_begin(&run, 1);
    run.options.sync = LOG_SYNC_AUTO;
    for (uint32_t round = 0; round < 3; round++) {
        cr_assert_eq(run_open(&run), 0, "%s", run.why);
        cr_assert_eq(run.news[LOG_NEWS_SYNC_CHOSEN], 1);
        cr_assert_eq(run.last_news[LOG_NEWS_SYNC_CHOSEN].a, log_sync_mode(run.log));
        cr_assert_neq(log_sync_mode(run.log), LOG_SYNC_AUTO);
        run_check(&run);
        run_fill(&run, 6u << 20, 100000);
        run_close(&run);
    }
    run_end(&run);
}
