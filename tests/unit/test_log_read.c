/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading by partition and offset: bounds, whole batches, and the same bytes from memory and disk.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

static void opened(struct run *run, uint64_t seed)
{
    run_begin(run, seed);
    run->checkpoints = false;
    cr_assert_eq(run_open(run), 0, "%s", run->why);
}

/* An unused partition is empty at offset 0; what lies behind the end is the future. */
Test(log_read, answers_outside_the_bounds)
{
    struct run run;
    uint64_t first, end, next;

    opened(&run, 1);
    log_bounds(run.log, 3, &first, &end);
    cr_assert(first == 0 && end == 0);
    cr_assert_eq(run_read(&run, 3, 0, &next), 0);
    cr_assert_eq(run_read(&run, 3, 1, &next), XD_OFFSET_FUTURE);
    cr_assert_eq(run_append(&run, 3, 300), 0);
    run_settle(&run);
    cr_assert_eq(run_read(&run, 3, 3, &next), 0);
    cr_assert_eq(run_read(&run, 3, 4, &next), XD_OFFSET_FUTURE);
    run_close(&run);
    run_end(&run);
}

/* An offset inside a batch is answered with the whole batch. */
Test(log_read, gives_the_batch_that_holds_the_offset)
{
    struct run run;
    uint64_t next;

    opened(&run, 1);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(run_append_suppressed(&run, 0, 400, 10, 0), 0);
    run_settle(&run);
    for (uint64_t offset = 0; offset < 40; offset++) {
        int got = run_read(&run, 0, offset, &next);
        const struct xd_batch_header *batch = (const struct xd_batch_header *)(const void *)run.out;
        cr_assert_eq(batch->base_offset, offset / 10 * 10);
        cr_assert_eq(got, (4 - (int)offset / 10) * 400);
        cr_assert_eq(next, 40);
    }
    run_close(&run);
    run_end(&run);
}

/* Whole batches until the memory is full, then on from *ret_next. */
Test(log_read, stops_when_the_memory_is_full)
{
    struct run run;
    uint64_t next = 0;
    uint32_t reads = 0;

    opened(&run, 1);
    for (uint32_t i = 0; i < 10; i++)
        run_append_wait(&run, 0, 300000);
    run_settle(&run);
    for (uint64_t offset = 0; offset < run.fold.ends[0]; offset = next, reads++) {
        int got = run_read(&run, 0, offset, &next);
        cr_assert_eq(run_compare(&run, 0, offset, got, next), reads < 3 ? 3 : 1);
    }
    cr_assert_eq(reads, 4);
    run_close(&run);
    run_end(&run);
}

/* The bytes are the same from the tail and, after a restart, from disk, bitmaps included. */
Test(log_read, gives_the_same_bytes_from_memory_and_disk)
{
    struct run run;
    uint64_t hash[2] = {0, 0};

    opened(&run, 2);
    for (uint32_t i = 0; i < 300; i++) {
        int status = run_append_suppressed(&run, i % 3, 200 + i * 57, (uint16_t)(1 + i % 200),
                                           i % 5 == 0 ? 1 : 0);
        cr_assert_eq(status, 0);
        if (i % 10 == 0)
            cr_assert(run_turn(&run));
    }
    run_settle(&run);
    for (uint32_t round = 0; round < 2; round++) {
        uint64_t disk = run.counters.v[COUNTER_reads_disk];
        for (uint32_t partition = 0; partition < 3; partition++) {
            uint64_t offset = 0, next;
            while (offset < run.fold.ends[partition]) {
                int got = run_read(&run, partition, offset, &next);
                cr_assert_gt(got, 0);
                run_compare(&run, partition, offset, got, next);
                /* how many batches a call gives may differ, their bytes may not */
                for (uint32_t at = 0; at < (uint32_t)got;) {
                    const struct xd_batch_header *batch =
                        (const struct xd_batch_header *)(const void *)(run.out + at);
                    uint64_t input[2] = {hash[round], xd_xxh3(batch, xd_batch_stride(batch))};
                    hash[round] = xd_xxh3(input, sizeof(input));
                    at += xd_batch_stride(batch);
                }
                offset = next;
            }
        }
        if (round == 0) {
            cr_assert_eq(run.counters.v[COUNTER_reads_disk], disk);
            run_close(&run);
            cr_assert_eq(run_open(&run), 0, "%s", run.why);
        } else {
            cr_assert_gt(run.counters.v[COUNTER_reads_disk], 0);
            cr_assert_eq(run.counters.v[COUNTER_reads_tail], 0);
        }
    }
    cr_assert_eq(hash[0], hash[1]);
    run_close(&run);
    run_end(&run);
}

/* Old blocks that left the tail are read from disk while new ones come from memory. */
Test(log_read, goes_on_from_disk_into_memory)
{
    struct run run;
    struct log_stats stats;

    opened(&run, 3);
    run_fill(&run, 40u << 20, 100000);
    log_stats(run.log, &stats);
    cr_assert_gt(stats.tail_first_index, 1);
    run_check(&run);
    cr_assert_gt(run.counters.v[COUNTER_reads_disk], 0);
    cr_assert_gt(run.counters.v[COUNTER_reads_tail], 0);
    run_close(&run);
    run_end(&run);
}

/* Seeking by time gives an offset from which no record of that time or later is missed. */
Test(log_read, seeks_by_append_time)
{
    struct run run;

    opened(&run, 1);
    for (uint32_t i = 0; i < 200; i++) {
        cr_assert_eq(run_append(&run, i % 2, 300), 0);
        if (i % 3 == 0)
            cr_assert(run_turn(&run));
    }
    run_settle(&run);
    for (uint32_t i = 0; i < 200; i++) {
        const struct run_batch *batch = &run.batches[i];
        uint64_t offset = log_seek_time(run.log, batch->partition, batch->append_time_us);
        cr_assert_leq(offset, batch->base_offset);
        cr_assert_geq(offset + 60, batch->base_offset, "a seek lands in the block before at most");
    }
    cr_assert_eq(log_seek_time(run.log, 0, run.time_us), run.fold.ends[0]);
    cr_assert_eq(log_seek_time(run.log, 0, 0), 0);
    run_close(&run);
    run_end(&run);
}
