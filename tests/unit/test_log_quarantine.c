/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies of damaged bytes.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "broker/log/blocking.h"
#include "broker/log/page.h"
#include "broker/log/quarantine.h"
#include "tests/support/log_recovery.h"

#define TOKEN env_token(ENV_OWNER_LOG, 9, 9)
#define COPY "quarantine/cut-7-8192-e3.bin"
#define TEXT "quarantine/cut-7-8192-e3.txt"

static const struct quarantine_range range = {.segment_no = 7,
                                              .at = 8192,
                                              .bytes = 12288,
                                              .epoch = 3,
                                              .first_index = 40,
                                              .last_index = 42,
                                              .reason = "for the test",
                                              .slot = 2,
                                              .kind = QUARANTINE_CUT};
static struct quarantine quarantine;
static _Alignas(4096) uint8_t bytes[3 * 4096];

static struct env *make_process(struct sim *sim)
{
    struct env *env = env_sim_process(sim, NULL);
    for (uint32_t i = 0; i < 12288; i++)
        bytes[i] = (uint8_t)(i * 13 + i / 4096);
    return env;
}

static int wait_done(struct env *env)
{
    for (;;) {
        struct env_event event;
        int status = blocking_wait(env, &event);
        if (status == 0)
            status = quarantine_done(&quarantine, &event);
        if (status != 0)
            return status;
    }
}

/* The copy in two pieces, then the text. 1, or the first error. */
static int copy(struct env *env)
{
    int status = quarantine_open(&quarantine, env, &range, TOKEN);
    if (status < 0)
        return status;
    quarantine_write(&quarantine, bytes, 8192);
    status = wait_done(env);
    if (status < 0)
        return status;
    quarantine_write(&quarantine, bytes + 8192, 4096);
    status = wait_done(env);
    if (status < 0)
        return status;
    quarantine_finish(&quarantine);
    return wait_done(env);
}

static void check_files(struct sim *sim)
{
    uint8_t data[12288];
    cr_assert_eq(sim_disk_durable_bytes(sim, COPY), 12288);
    cr_assert_eq(sim_disk_peek(sim, COPY, 0, data, sizeof(data)), 12288);
    for (uint32_t i = 0; i < 12288; i++)
        cr_assert_eq(data[i], (uint8_t)(i * 13 + i / 4096));
    int64_t text_bytes = sim_disk_peek(sim, TEXT, 0, data, sizeof(data) - 1);
    cr_assert_gt(text_bytes, 0);
    data[text_bytes] = 0;
    const char *text = (const char *)data;
    cr_assert_not_null(strstr(text, "file=wal.02\nsegment=7\nat=8192\nbytes=12288\nepoch=3\n"));
    cr_assert_not_null(strstr(text, "first_index=40\nlast_index=42\nreason=for the test\n"));
}

/* When it is done, bytes and text survive the loss of everything that was not flushed. */
Test(log_quarantine, copy_is_durable_when_done)
{
    struct sim *sim = recovery_world(1);
    struct env *env = make_process(sim);
    cr_assert_eq(copy(env), 1);
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
    check_files(sim);
    sim_close(sim);
}

/* A crash at any operation leaves no text without its whole copy; doing it again completes it. */
Test(log_quarantine, text_comes_last)
{
    uint32_t complete = 0;
    for (uint64_t nth = 1; nth < 20; nth++) {
        struct sim *sim = recovery_world(nth);
        struct env *env = make_process(sim);
        sim_plan_crash_op(sim, nth);
        int status = copy(env);
        quarantine_close(&quarantine);
        complete += status == 1;
        sim_crash(sim, SIM_CRASH_ANY);
        sim_plan_crash_op(sim, 0);
        if (sim_disk_durable_bytes(sim, TEXT) > 0)
            cr_assert_eq(sim_disk_durable_bytes(sim, COPY), 12288);
        env = make_process(sim);
        cr_assert_eq(copy(env), 1);
        sim_crash(sim, SIM_CRASH_KEEP_NONE);
        check_files(sim);
        sim_close(sim);
    }
    cr_assert_gt(complete, 0);
    cr_assert_lt(complete, 19);
}

/* Short writes are continued. */
Test(log_quarantine, continues_short_writes)
{
    struct sim *sim = recovery_world(2);
    struct env *env = make_process(sim);
    sim_inject(sim, SIM_OP_WRITE, COPY, 1, 4096 + 512);
    sim_inject(sim, SIM_OP_WRITE, TEXT, 1, 100);
    cr_assert_eq(copy(env), 1);
    cr_assert_eq(sim_inject_pending(sim), 0);
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
    check_files(sim);
    sim_close(sim);
}

/* A write that brings nothing whole is tried again, and counted: progress starts the count anew. */
Test(log_quarantine, stalled_writes_are_tried_again)
{
    struct sim *sim = recovery_world(3);
    struct env *env = make_process(sim);
    for (uint32_t i = 1; i < LOG_STALLS_MAX; i++) {
        sim_inject(sim, SIM_OP_WRITE, COPY, i, i == 1 ? 0 : 512);
        sim_inject(sim, SIM_OP_WRITE, TEXT, i, 0);
    }
    sim_inject(sim, SIM_OP_WRITE, COPY, LOG_STALLS_MAX, 4096);
    sim_inject(sim, SIM_OP_WRITE, COPY, LOG_STALLS_MAX + 1, 3584);
    cr_assert_eq(copy(env), 1);
    cr_assert_eq(sim_inject_pending(sim), 0);
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
    check_files(sim);
    sim_close(sim);
}

/* A device that never writes anything is an error, not a loop without end. */
Test(log_quarantine, writes_that_stall_for_ever_are_an_error)
{
    static const char *const names[] = {COPY, TEXT};
    for (uint32_t i = 0; i < 2; i++) {
        struct sim *sim = recovery_world(4);
        struct env *env = make_process(sim);
        for (uint32_t nth = 1; nth <= LOG_STALLS_MAX; nth++)
            sim_inject(sim, SIM_OP_WRITE, names[i], nth, 0);
        cr_assert_eq(copy(env), -EIO);
        cr_assert_eq(sim_inject_pending(sim), 0);
        cr_assert_eq(quarantine.file, -1);
        sim_close(sim);
    }
}

/* Every failing operation is reported and leaves nothing open. */
Test(log_quarantine, reports_each_failure)
{
    static const struct {
        enum sim_op op;
        const char *name;
        uint64_t nth;
        int32_t result;
    } faults[] = {{SIM_OP_DIR_MAKE, NULL, 1, -EIO}, {SIM_OP_FILE_OPEN, COPY, 1, -EMFILE},
                  {SIM_OP_WRITE, COPY, 1, -ENOSPC}, {SIM_OP_WRITE, COPY, 2, -EIO},
                  {SIM_OP_SYNC, COPY, 1, -EIO},     {SIM_OP_FILE_OPEN, TEXT, 1, -EMFILE},
                  {SIM_OP_WRITE, TEXT, 1, -ENOSPC}, {SIM_OP_SYNC, TEXT, 1, -EIO},
                  {SIM_OP_DIR_SYNC, NULL, 2, -EIO}};
    for (uint32_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct sim *sim = recovery_world(i);
        struct env *env = make_process(sim);
        sim_inject(sim, faults[i].op, faults[i].name, faults[i].nth, faults[i].result);
        cr_assert_eq(copy(env), faults[i].result, "fault %u", i);
        cr_assert_eq(quarantine.file, -1);
        sim_close(sim);
    }
}
