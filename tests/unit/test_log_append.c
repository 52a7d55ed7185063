/* SPDX-License-Identifier: Apache-2.0
 *
 * The open block: what fits, what is throttled and why, and the roll from segment to segment.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

static void begin(struct run *run, uint64_t seed)
{
    run_begin(run, seed);
    run->checkpoints = false;
}

static void opened(struct run *run)
{
    cr_assert_eq(run_open(run), 0, "%s", run->why);
}

/* All batches of a turn join one block and get its index; the next block gets the next one. */
Test(log_append, gives_the_index_of_the_block)
{
    struct run run;

    begin(&run, 1);
    opened(&run);
    cr_assert_eq(log_last_index(run.log), 0);
    for (uint32_t i = 0; i < 10; i++)
        cr_assert_eq(run_append(&run, 0, 500), 0);
    for (uint32_t i = 0; i < 10; i++)
        cr_assert_eq(run.batches[i].index, 1);
    cr_assert_eq(log_last_index(run.log), 1);
    log_kick(run.log);
    cr_assert_eq(run_append(&run, 0, 500), 0);
    cr_assert_eq(run.batches[10].index, 2);
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* Room that was reserved and not used is given back; the place is aligned for the batch. */
Test(log_append, gives_unused_room_back)
{
    struct run run;
    uint8_t *first, *second;

    begin(&run, 1);
    opened(&run);
    cr_assert_eq(run_append(&run, 0, 501), 0);
    cr_assert_eq(log_reserve(run.log, 5000, &first), 0);
    cr_assert_eq((uintptr_t)first % 8, 0);
    cr_assert_eq(log_reserve(run.log, 700, &second), 0);
    cr_assert_eq(first, second);
    log_kick(run.log);
    run_settle(&run);
    cr_assert_eq(run.fold.batches, 1);
    cr_assert_eq(log_last_index(run.log), 1);
    run_close(&run);
    run_end(&run);
}

/* The largest batch fits a block, also with the largest bitmap; a block holds one of them. */
Test(log_append, takes_the_largest_batch)
{
    struct run run;

    begin(&run, 1);
    opened(&run);
    for (uint32_t i = 0; i < 12; i++) {
        int status;
        while ((status = run_append_suppressed(&run, 0, XD_BATCH_BYTES_MAX, 65535, 1)) != 0) {
            cr_assert_eq(status, XD_THROTTLED);
            cr_assert(run_turn(&run));
        }
        cr_assert_eq(run.batches[i].index, i + 1);
    }
    run_settle(&run);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Every segment ends with a SEAL that fits, batches go on in the next one, and a scan finds all. */
Test(log_append, rolls_over_many_segments)
{
    struct run run;

    begin(&run, 3);
    opened(&run);
    for (uint32_t i = 0; i < 1200; i++) {
        run_append_wait(&run, i % RUN_PARTITIONS, 200 + (i * 7919) % 60000);
        if (i % 7 == 0)
            cr_assert(run_turn_within(&run, 100000));
    }
    run_settle(&run);
    struct log_stats stats;
    log_stats(run.log, &stats);
    cr_assert_geq(stats.active_segment_no, 8);
    cr_assert_eq(run.counters.v[COUNTER_segments_rolled], stats.active_segment_no - 1);
    struct run_fold before = run.fold;
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    opened(&run);
    cr_assert_eq(memcmp(&before, &run.fold, sizeof(before)), 0);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Blocks of every size up to the end of a segment: none crosses it, the SEAL always has its place.
 */
Test(log_append, fills_segments_to_the_last_page)
{
    for (uint32_t bytes = 4096 - 128; bytes <= 12288; bytes += 1024) {
        struct run run;

        begin(&run, bytes);
        opened(&run);
        for (uint64_t no = 1; no < 3;) {
            struct log_stats stats;
            run_append_wait(&run, 0, bytes);
            cr_assert(run_turn_within(&run, 200000));
            log_stats(run.log, &stats);
            no = stats.active_segment_no;
        }
        run_settle(&run);
        uint64_t batches = run.fold.batches;
        run_crash(&run, SIM_CRASH_KEEP_NONE);
        opened(&run);
        cr_assert_eq(run.fold.batches, batches);
        run_close(&run);
        run_end(&run);
    }
}

/* Appends until something is used up. */
static void append_until_refused(struct run *run, uint32_t batch_bytes, int expected)
{
    int status = 0;

    for (uint32_t i = 0; i < 100000 && status == 0; i++)
        status = run_append(run, (uint32_t)(run->batch_count % RUN_PARTITIONS), batch_bytes);
    cr_assert_eq(status, expected, "%s", xd_status_name(status));
}

/* Bytes that are not durable are bounded; the reason says so, and time heals it. */
Test(log_append, throttles_when_too_much_is_not_durable)
{
    struct run run;

    begin(&run, 1);
    run.options.undurable_bytes_max = 3u << 20;
    opened(&run);
    cr_assert_str_eq(log_throttle_reason(run.log), "", "nothing was refused yet");
    append_until_refused(&run, 60000, XD_THROTTLED);
    cr_assert_str_eq(log_throttle_reason(run.log), "too many bytes are not durable yet");
    cr_assert_leq(run.batch_count * 60000, 3u << 20);
    run_settle(&run);
    cr_assert_eq(run_append(&run, 0, 60000), 0);
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* The window that recovery looks ahead through is bounded in blocks, too. */
Test(log_append, throttles_when_too_many_blocks_are_not_durable)
{
    struct run run;

    begin(&run, 1);
    run.options.tail_bytes = 128u << 20;
    run.options.segment_bytes = 128u << 20;
    opened(&run);
    append_until_refused(&run, 1000000, XD_THROTTLED);
    cr_assert_str_eq(log_throttle_reason(run.log), "too many blocks are not durable yet");
    cr_assert_leq(append_undurable_blocks(run.log), APPEND_WINDOW_BLOCKS);
    run_settle(&run);
    cr_assert_eq(run_append(&run, 0, 1000000), 0);
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* Without a prepared segment the log waits for one, tells it once, and goes on by itself. */
Test(log_append, throttles_until_a_segment_is_ready)
{
    struct run run;

    begin(&run, 1);
    opened(&run);
    append_until_refused(&run, 500000, XD_THROTTLED); /* two segments are there */
    cr_assert(strstr(log_throttle_reason(run.log), "no segment is ready") != NULL, "%s",
              log_throttle_reason(run.log));
    cr_assert_eq(run_append(&run, 0, 500000), XD_THROTTLED);
    run_news(&run);
    cr_assert_eq(run.news[LOG_NEWS_NOT_READY], 1);
    run_append_wait(&run, 0, 500000);
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* A tail that is full of batches nobody has folded refuses more; folding makes room. */
Test(log_append, throttles_when_the_tail_is_full)
{
    struct run run;
    int status = 0;

    begin(&run, 1);
    run.options.segment_bytes = 32u << 20;
    run.options.undurable_bytes_max = 64u << 20;
    opened(&run);
    for (uint32_t i = 0; i < 1000 && status == 0; i++) {
        struct env_event events[16];

        status = run_append(&run, 0, 400000);
        log_kick(run.log);
        int n = env_wait(run.env, events, 16, env_now_mono_ns(run.env) + 5000000);
        for (int e = 0; e < n; e++)
            log_done(run.log, &events[e]);
    }
    cr_assert_eq(status, XD_THROTTLED);
    cr_assert(strstr(log_throttle_reason(run.log), "memory tail") != NULL, "%s",
              log_throttle_reason(run.log));
    run_settle(&run);
    run_drain(&run);
    cr_assert_eq(run_append(&run, 0, 400000), 0);
    run_settle(&run);
    run_close(&run);
    run_end(&run);
}

/* When the index budget is used up, producers wait until retention makes room. */
Test(log_append, throttles_when_the_index_is_full)
{
    struct run run;

    begin(&run, 1);
    run.checkpoints = true;
    run.options.index_bytes = 12u << 10;
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    opened(&run);
    for (uint32_t i = 0;; i++) {
        int status = run_append(&run, i % RUN_PARTITIONS, 400);

        if (status == XD_THROTTLED &&
            strstr(log_throttle_reason(run.log), "partition index") != NULL)
            break;
        run_settle(&run);
    }
    run_settle(&run);
    cr_assert_eq(run_append(&run, 0, 400), XD_THROTTLED);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* The bytes between a batch and the next are zero, whatever lay in the memory. */
Test(log_append, zeroes_the_gap_behind_a_batch)
{
    struct run run;

    begin(&run, 1);
    opened(&run);
    for (uint32_t round = 0; round < 300; round++) {
        run_append_wait(&run, 0, 200001 + round % 8);
        cr_assert(
            run_turn(&run)); /* blocks with a byte that is not zero do not verify on reading */
    }
    run_settle(&run);
    struct run_fold before = run.fold;
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    opened(&run);
    cr_assert_eq(memcmp(&before, &run.fold, sizeof(before)), 0);
    run_close(&run);
    run_end(&run);
}

/* A log that is closing takes no more batches. */
Test(log_append, refuses_when_closing)
{
    struct run run;
    uint8_t *memory;

    begin(&run, 1);
    opened(&run);
    log_close_begin(run.log);
    cr_assert_eq(log_reserve(run.log, 500, &memory), XD_SHUTTING_DOWN);
    run_close(&run);
    run_end(&run);
}

/* Fills the active segment until only the page of its SEAL is left. The last batch has the largest
 * bitmap, because a place is kept for one. */
static void fill_to_the_seal(struct run *run)
{
    for (;;) {
        uint64_t at = segment_at_of(&run->log->table, run->log->append.position);
        uint64_t room = SEGMENT_BYTES_MIN - 4096 - at;

        if (room == 0)
            return;
        if (room > 1000000)
            run_append_wait(run, 0, 900000);
        else
            cr_assert_eq(run_append_suppressed(run, 0, (uint32_t)(room - 128 - 8192), 65535, 1), 0);
        run_settle(run);
    }
}

/* Data that comes to rest right before the SEAL gets its MARK in the next segment. */
Test(log_append, marks_in_the_next_segment_when_this_one_is_full)
{
    struct run run;

    begin(&run, 1);
    opened(&run);
    uint64_t rolled = run.counters.v[COUNTER_segments_rolled];
    fill_to_the_seal(&run);
    cr_assert_eq(run.counters.v[COUNTER_segments_rolled], rolled);
    run_idle(&run, 300000000);
    cr_assert_eq(run.counters.v[COUNTER_marks_written], 1);
    cr_assert_eq(run.counters.v[COUNTER_segments_rolled], rolled + 1);
    run_close(&run);
    opened(&run);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Without a READY segment there is no place for that MARK: the log rests without one, closes all
 * the same, and meta names the end. */
Test(log_append, closes_without_a_mark_when_there_is_no_place_for_it)
{
    struct run run;

    begin(&run, 1);
    opened(&run);
    run.log->prepare.slot_limit = 2; /* as when retention waits for a checkpoint */
    fill_to_the_seal(&run);
    run_append_wait(&run, 0, 900000);
    fill_to_the_seal(&run);
    cr_assert_eq(run_append(&run, 0, 900000), XD_THROTTLED);
    uint64_t marks = run.counters.v[COUNTER_marks_written];
    run_idle(&run, 1000000000);
    cr_assert_eq(run.counters.v[COUNTER_marks_written], marks);
    run_close(&run);
    opened(&run);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}
