/* SPDX-License-Identifier: Apache-2.0
 *
 * Preparing segments: what is on disk before a segment is READY, and what happens without space.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

static void opened(struct run *run, uint64_t seed)
{
    run_begin(run, seed);
    cr_assert_eq(run_open(run), 0, "%s", run->why);
}

static uint64_t ready(struct run *run)
{
    struct log_stats stats;

    log_stats(run->log, &stats);
    return stats.segments_ready;
}

/* After opening, an active segment and segments_ready_min READY ones are there, all durable: size,
 * name and header survive a crash that keeps only what was synced. */
Test(log_prepare, has_segments_ready_before_the_first_append)
{
    struct run run;

    run_begin(&run, 1);
    run.options.segments_ready_min = 3;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(ready(&run), 3);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    for (uint32_t slot = 0; slot < 4; slot++) {
        struct segment_header header;
        char name[ENV_NAME_BYTES_MAX];
        const char *why;

        segment_name(slot, name);
        cr_assert_eq(sim_disk_durable_bytes(run.sim, name), SEGMENT_BYTES_MIN);
        cr_assert_eq(sim_disk_peek(run.sim, name, 0, &header, sizeof(header)), sizeof(header));
        cr_assert_eq(segment_header_check(&header, header.log_uuid, 0, &why), 0);
        cr_assert_eq(header.segment_no, slot + 1);
    }
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(ready(&run), 3);
    run_close(&run);
    run_end(&run);
}

/* Every byte of a new file is written once before the header: reserving alone is not enough. */
Test(log_prepare, writes_zeros_over_the_whole_file)
{
    struct run run;

    opened(&run, 1);
    /* two segments: 4 x 1 MiB of zeros, a header each; meta twice when the folder is made */
    cr_assert_geq(sim_op_count(run.sim, SIM_OP_WRITE), 2 * (4 + 1) + 2);
    cr_assert_geq(sim_op_count(run.sim, SIM_OP_SYNC), 2);
    run_close(&run);
    run_end(&run);
}

/* A file whose zeros a crash interrupted has its size already; all of it is written again. */
Test(log_prepare, starts_zeros_again_after_a_crash)
{
    struct run run;

    run_begin(&run, 1);
    sim_inject(run.sim, SIM_OP_WRITE, "wal.00", 3, -EIO); /* stops in the middle of the zeros */
    cr_assert_eq(run_open(&run), -EIO);
    run_crash(&run, SIM_CRASH_KEEP_ALL);
    cr_assert_eq(sim_disk_durable_bytes(run.sim, "wal.00"), SEGMENT_BYTES_MIN);
    uint64_t writes = sim_op_count(run.sim, SIM_OP_WRITE);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_geq(sim_op_count(run.sim, SIM_OP_WRITE), writes + 2 * (4 + 1));
    run_close(&run);
    run_end(&run);
}

/* While the log runs, the next segment is prepared with at most two writes in flight. */
Test(log_prepare, refills_in_the_background)
{
    struct run run;

    opened(&run, 1);
    for (uint32_t i = 0; i < 5; i++)
        run_append_wait(&run, 0, 900000);
    run_settle(&run);
    cr_assert_eq(run.news[LOG_NEWS_SEGMENT_ROLLED], 1);
    cr_assert_leq(run.log->outstanding, 3);
    run_idle(&run, 100000000);
    cr_assert_eq(ready(&run), 1);
    run_close(&run);
    run_end(&run);
}

/* Zeros and header go on after short writes. */
Test(log_prepare, finishes_short_writes)
{
    struct run run;

    run_begin(&run, 1);
    for (uint32_t i = 1; i <= 8; i++)
        sim_inject(run.sim, SIM_OP_WRITE, "wal.", 1 + i % 3, (int32_t)(i * 100000));
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 6u << 20, 100000);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Slots of dropped segments are used again as they are; the number of files is bounded by
 * retention. */
Test(log_prepare, recycles_slots)
{
    struct run run;
    struct log_stats stats;

    run_begin(&run, 1);
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 200u << 20, 200000);
    run_idle(&run, 3000000000ull);
    log_stats(run.log, &stats);
    cr_assert_leq(stats.disk_bytes, 11ull * SEGMENT_BYTES_MIN);
    cr_assert_gt(stats.active_segment_no, 40);
    cr_assert_gt(run.counters.v[COUNTER_segments_recycled], 35);
    cr_assert_leq(sim_op_count(run.sim, SIM_OP_FILE_RESERVE), 11 + 1, "files and meta");
    run_check(&run);
    run_close(&run);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Without space for another file the log is read-only once the READY segments are used up, goes on
 * serving, and takes batches again when there is space. */
Test(log_prepare, is_read_only_when_the_disk_is_nearly_full)
{
    struct run run;
    int status = 0;

    run_begin(&run, 1);
    run.options.disk_low_bytes = 1ull << 40; /* more than the disk has after two segments */
    cr_assert_eq(run_open(&run), -ENOSPC, "%s", run.why);
    run_crash(&run, SIM_CRASH_KEEP_NONE);

    run.options.disk_low_bytes = (16ull << 30) - (9u << 20); /* two segments fit */
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    for (uint32_t i = 0; i < 100 && status == 0; i++) {
        status = run_append(&run, 0, 200000);
        cr_assert(run_turn_within(&run, 50000000));
    }
    cr_assert_eq(status, XD_READ_ONLY);
    run_settle(&run);
    run_check(&run);
    run.log->options.disk_low_bytes = 1u << 20; /* what freeing space does */
    run_idle(&run, 3000000000ull);
    cr_assert_eq(run_append(&run, 0, 200000), 0);
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* A lack of space, of quota or of file handles while a file is made is no failure of the log: it
 * waits a second and tries again. */
Test(log_prepare, tries_again_after_a_lack_of_space)
{
    static const struct {
        enum sim_op op;   /* */
        const char *name; /* of the file, NULL = any */
        uint64_t nth;     /* */
        int status;       /* */
    } rows[] = {
        {SIM_OP_FILE_OPEN, "wal.02", 1, -EMFILE}, {SIM_OP_FILE_RESERVE, NULL, 1, -EDQUOT},
        {SIM_OP_FILE_RESERVE, NULL, 1, -ENOSPC},  {SIM_OP_WRITE, "wal.02", 1, -ENOSPC},
        {SIM_OP_WRITE, "wal.02", 5, -EDQUOT},     {SIM_OP_SYNC, "wal.02", 1, -ENOSPC},
    };

    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run run;

        opened(&run, 1);
        sim_inject(run.sim, rows[i].op, rows[i].name, rows[i].nth, rows[i].status);
        for (uint32_t n = 0; n < 5; n++)
            run_append_wait(&run, 0, 900000); /* into the second segment */
        run_settle(&run);
        run_idle(&run, 500000000);
        cr_assert_eq(sim_inject_pending(run.sim), 0);
        cr_assert_eq(ready(&run), 0);
        cr_assert_eq(log_fenced(run.log), 0);
        run_idle(&run, 2000000000);
        cr_assert_eq(ready(&run), 1);
        run_close(&run);
        run_end(&run);
    }
}

/* Any other error is the device's: the log is fenced, at start it does not start. */
Test(log_prepare, fences_on_eio)
{
    struct run run;

    opened(&run, 1);
    sim_inject(run.sim, SIM_OP_WRITE, "wal.02", 2, -EIO);
    for (uint32_t n = 0; n < 5; n++)
        run_append_wait(&run, 0, 900000);
    run_settle(&run);
    run_idle(&run, 100000000);
    cr_assert_eq(log_fenced(run.log), -EIO);
    run_close(&run);
    run_end(&run);

    run_begin(&run, 1);
    sim_inject(run.sim, SIM_OP_WRITE, "wal.", 3, -EIO);
    cr_assert_eq(run_open(&run), -EIO);
    cr_assert(strstr(run.why, "cannot be prepared") != NULL, "%s", run.why);
    run_end(&run);
}

/* A crash at any operation while segments are made leaves a folder that opens. */
Test(log_prepare, survives_a_crash_at_every_operation)
{
    for (uint64_t nth = 2; nth < 60; nth++) { /* the first one takes memory */
        struct run run;

        run_begin(&run, nth);
        sim_plan_crash_op(run.sim, nth);
        int status = run_open(&run);
        bool died = sim_dead(run.sim);
        cr_assert(died || status == 0, "%s", run.why);
        sim_plan_crash_op(run.sim, 0);
        run_crash(&run, SIM_CRASH_ANY);
        cr_assert_eq(run_open(&run), 0, "operation %lu: %s", (unsigned long)nth, run.why);
        run_fill(&run, 6u << 20, 300000);
        run_check(&run);
        run_close(&run);
        run_end(&run);
        if (!died)
            return;
    }
    cr_assert_fail("start-up takes more operations than this test tries");
}

/* The crash points of rolling and preparing, each hit once: nothing durable is lost. */
Test(log_prepare, survives_a_crash_at_its_points)
{
    const enum env_crash_point points[] = {ENV_CRASH_SEGMENT_PREPARED, ENV_CRASH_SEGMENT_ROLL};

    for (uint32_t i = 0; i < 2; i++)
        for (uint32_t nth = 1; nth < 4; nth++) {
            struct run run;

            opened(&run, nth);
            sim_plan_crash(run.sim, points[i], nth);
            for (uint32_t n = 0; n < 400 && !sim_dead(run.sim); n++) {
                (void)run_append(&run, 0, 200000);
                (void)run_turn_within(&run, 3000000);
            }
            cr_assert(sim_dead(run.sim));
            run_crash(&run, SIM_CRASH_ANY);
            cr_assert_eq(run_open(&run), 0, "%s", run.why);
            run_fill(&run, 6u << 20, 300000);
            run_check(&run);
            run_close(&run);
            run_end(&run);
        }
}

/* Zeros that bring nothing forward again and again, and a header that stays short, are the device's
 * failure; a header that comes whole in time is none. */
Test(log_prepare, gives_up_writes_that_stay_short)
{
    static const struct {
        uint64_t first; /* write to the new file that goes short: zeros are 1..4, then the header */
        uint32_t shorts; /* so many in a row; of zeros more, as two are in flight */
        int fenced;      /* */
    } rows[] = {{1, 8, -EIO}, {5, LOG_STALLS_MAX, -EIO}, {5, LOG_STALLS_MAX - 1, 0}};

    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct run run;

        opened(&run, 1);
        for (uint32_t n = 0; n < rows[i].shorts; n++)
            sim_inject(run.sim, SIM_OP_WRITE, "wal.02", rows[i].first + n, 512);
        for (uint32_t n = 0; n < 5; n++)
            run_append_wait(&run, 0, 900000);
        run_settle(&run);
        run_idle(&run, 100000000);
        cr_assert(rows[i].first == 1 || sim_inject_pending(run.sim) == 0, "row %u", i);
        cr_assert_eq(log_fenced(run.log), rows[i].fenced, "row %u", i);
        cr_assert_eq(ready(&run), rows[i].fenced ? 0 : 1, "row %u", i);
        run_close(&run);
        run_end(&run);
    }
}

/* A fence while the header is under way: it is not written again when it comes back short. */
Test(log_prepare, writes_no_header_once_fenced)
{
    struct run run;

    opened(&run, 1);
    sim_inject(run.sim, SIM_OP_WRITE, "wal.02", 5, 512);
    for (uint32_t n = 0; n < 5; n++)
        run_append_wait(&run, 0, 900000);
    for (uint32_t n = 0; run.log->prepare.step != PREPARE_HEADER; n++) {
        cr_assert(run_turn_within(&run, 20000));
        cr_assert_lt(n, 10000);
    }
    uint64_t writes = sim_op_count(run.sim, SIM_OP_WRITE);
    log_fence(run.log, -EIO, ENV_OP_SYNC, 0);
    run_idle(&run, 100000000);
    cr_assert_eq(sim_inject_pending(run.sim), 0);
    cr_assert_eq(sim_op_count(run.sim, SIM_OP_WRITE), writes);
    cr_assert_eq(run.log->prepare.step, PREPARE_IDLE);
    cr_assert_eq(ready(&run), 0);
    run_close(&run);
    run_end(&run);
}

static uint64_t disk_full_seconds(struct run *run)
{
    struct log_stats stats;

    log_stats(run->log, &stats);
    return stats.disk_full_seconds;
}

/* While others fill the disk at a steady rate, the log foresees when producers will wait: when
 * disk_low_bytes are left, not when nothing is. */
Test(log_prepare, foresees_when_the_disk_is_full)
{
    struct run run;
    uint64_t capacity = 100ull << 30;

    run_begin(&run, 1);
    run.options.disk_low_bytes = 10ull << 30;
    sim_disk_capacity(run.sim, capacity);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(disk_full_seconds(&run), FORECAST_SECONDS_MAX);
    for (uint32_t minute = 0; minute < 30; minute++) {
        run_append_wait(&run, 0, 500);
        run_settle(&run);
        run_idle(&run, 60000000000ull);
        sim_disk_capacity(run.sim, capacity -= 1ull << 30);
    }
    run_idle(&run, 2000000000ull);
    uint64_t left = (capacity - (10ull << 30) - sim_disk_used(run.sim)) >> 30; /* minutes */
    uint64_t foreseen = disk_full_seconds(&run);
    cr_assert(foreseen > (left - 2) * 60 && foreseen < (left + 3) * 60, "%llu s, %llu min",
              (unsigned long long)foreseen, (unsigned long long)left);
    run_close(&run);
    run_end(&run);
}
