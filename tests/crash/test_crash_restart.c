/* SPDX-License-Identifier: Apache-2.0
 *
 * What a start after a kill does before it changes anything. The killed process may have left in a
 * device's cache what the start reads and believes, so all of it must be flushed first: crash
 * images of such starts have lost a segment that was believed ready, and both meta slots.
 */
#include "tests/crash/crash_log.h"
#include "tests/support/env_sim.h"

#include <criterion/criterion.h>
#include <string.h>

static struct sim *sim;
static struct env_trace trace;
static struct crash_line line;
static struct crash_log log_run;
static struct prng prng;

static void setup(void)
{
    struct sim_options options;

    sim_options_init(&options, 1);
    sim = sim_open(&options);
    prng_seed(&prng, 1);
    crash_log_init(&log_run, &line);
    env_trace_init(&trace, 1u << 26);
}

static void end(void)
{
    crash_log_deinit(&log_run);
    crash_line_deinit(&line);
    env_trace_deinit(&trace);
    sim_close(sim);
}

/* Row of the first write to the file that is opened under `name`. */
static uint32_t first_write(const char *name)
{
    for (uint32_t i = 0; i < trace.row_count; i++) {
        const struct env_trace_row *write = &trace.rows[i];

        for (uint32_t j = 0; write->kind == ENV_TRACE_WRITE && j < i; j++)
            if (trace.rows[j].kind == ENV_TRACE_OPEN && trace.rows[j].file == write->file &&
                strcmp(env_trace_text(&trace, &trace.rows[j]), name) == 0)
                return i;
    }
    cr_assert_fail("%s is not written", name);
    return 0;
}

/* Whether the file has been flushed before `row`. */
static bool flushed_before(uint32_t file, uint32_t row)
{
    for (uint32_t i = 0; i < row; i++)
        if (trace.rows[i].kind == ENV_TRACE_SYNC_DONE && trace.rows[i].file == file &&
            trace.rows[i].result == 0)
            return true;
    return false;
}

/* A log of one active and two ready segments is killed; the next start is traced. */
static void killed_and_started(enum log_sync sync)
{
    log_run.options.sync = sync;
    log_run.options.segments_ready_min = 2;
    cr_assert_eq(crash_log_open(&log_run, env_sim_process(sim, NULL)), 0, "%s", log_run.why);
    cr_assert(crash_log_feed(&log_run, &prng, 3000));
    cr_assert(crash_log_settle(&log_run));
    crash_log_forget(&log_run);
    (void)sim_crash(sim, SIM_CRASH_KEEP_ALL);
    cr_assert_eq(crash_log_open(&log_run, env_trace_process(&trace, env_sim_process(sim, NULL))), 0,
                 "%s", log_run.why);
}

/* Before the epoch is raised every wal file is flushed, ready segments included, and meta itself,
 * one slot of which is about to be overwritten. */
static void flushes_what_it_has_read(enum log_sync sync)
{
    uint32_t files = 0;

    killed_and_started(sync);
    uint32_t raised = first_write("meta");
    for (uint32_t i = 0; i < raised; i++) {
        const struct env_trace_row *row = &trace.rows[i];

        if (row->kind != ENV_TRACE_OPEN)
            continue;
        cr_assert(flushed_before(row->file, raised), "%s is believed and not flushed",
                  env_trace_text(&trace, row));
        files++;
    }
    cr_assert_eq(files, 4, "meta and three segments, not %u", files);
}

Test(crash_restart, flushes_what_it_has_read_with_fdatasync, .init = setup, .fini = end)
{
    flushes_what_it_has_read(LOG_SYNC_FDATASYNC);
}

Test(crash_restart, flushes_what_it_has_read_with_dsync, .init = setup, .fini = end)
{
    flushes_what_it_has_read(LOG_SYNC_DSYNC);
}
