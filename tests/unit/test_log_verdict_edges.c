/* SPDX-License-Identifier: Apache-2.0
 *
 * The edges of what a verdict looks at: ends of segments, the end of the window, the largest block,
 * a successor that is not there when it is read again.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/log_recovery.h"
#include "tests/support/log_run.h"

#define DATA_BYTES 6000u /* a block of two pages */

static struct recovery run;

/* A SEAL in the last page of its segment: behind it the next segment begins with a header, which is
 * not looked at as a block. */
Test(log_verdict_edges, lost_seal_at_the_very_end_is_passed_over)
{
    struct sim *sim = recovery_world(50);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_segment(&image, 1, 2);
    while (image.point.position < 2 * IMAGE_SEGMENT_BYTES - 4096)
        image_data(&image, DATA_BYTES);
    image.durable = image.point.index - 1;
    uint64_t seal = image_local(&image, BLOCK_SEAL);
    cr_assert_eq(seal, 2 * IMAGE_SEGMENT_BYTES - 4096);
    image_data(&image, DATA_BYTES);
    recovery_image_end(sim, &image);
    recovery_zero(sim, "wal.00", seal % IMAGE_SEGMENT_BYTES, 4096);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.recover.point.index, image.point.index);
    cr_assert_eq(recovery_news_a(&run, LOG_NEWS_LOCAL_BLOCK_LOST), seal);
    sim_close(sim);
}

/* The block behind a lost local one is read twice, its header and then all of it. Only when both
 * are whole it proves anything: here the second cannot be read, so the block at the point may have
 * been anything, and durable blocks behind it stop the start. */
Test(log_verdict_edges, successor_must_be_whole_when_it_is_read)
{
    struct sim *sim = recovery_world(51);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_data(&image, 300);
    uint64_t mark = image_local(&image, BLOCK_MARK);
    image_data(&image, 300);
    image.durable = 2;
    image_data(&image, 300);
    recovery_image_end(sim, &image);
    recovery_zero(sim, "wal.00", mark % IMAGE_SEGMENT_BYTES, 4096);
    struct sim *copy = recovery_world(52);
    sim_disk_copy(copy, sim);
    cr_assert_eq(recovery_run(copy, &run), 0, "%s", run.why);
    cr_assert_eq(recovery_news_a(&run, LOG_NEWS_LOCAL_BLOCK_LOST), mark);

    cr_assert_eq(recovery_open(sim, &run), 0, "%s", run.why);
    /* Four for the scan of 4 MiB, one to read the bad block again, one for the successor's header;
     * then the whole successor fails, and again as a page. */
    sim_inject(sim, SIM_OP_READ, "wal.00", 7, -EIO);
    sim_inject(sim, SIM_OP_READ, "wal.00", 8, -EIO);
    cr_assert_eq(recovery_scan(&run), XD_LOG_CORRUPT);
    cr_assert_eq(sim_inject_pending(sim), 0);
    cr_assert_not_null(strstr(run.why, "indexes 2.."), "%s", run.why);
    recover_close(&run.recover);
    sim_close(copy);
    sim_close(sim);
}

/* Segments that were made ready can reach beyond the window: the look ahead ends there. */
Test(log_verdict_edges, looks_no_further_than_the_window)
{
    struct run run_log;

    run_begin(&run_log, 1);
    run_log.options.segments_ready_min = VERDICT_WINDOW_BYTES / SEGMENT_BYTES_MIN + 2;
    cr_assert_eq(run_open(&run_log), 0, "%s", run_log.why);
    run_fill(&run_log, 300000, 60000);
    cr_assert_eq(run_append(&run_log, 0, 60000), 0);
    log_kick(run_log.log);
    run_crash(&run_log, SIM_CRASH_TORN_PAGE);
    uint64_t reads = sim_op_count(run_log.sim, SIM_OP_READ);
    cr_assert_eq(run_open(&run_log), 0, "%s", run_log.why);
    cr_assert_eq(run_log.news[LOG_NEWS_TAIL_CUT], 1);
    cr_assert_lt(sim_op_count(run_log.sim, SIM_OP_READ), reads + 200);
    run_close(&run_log);
    run_end(&run_log);
}

/* A checkpoint says where the log had gone on, although it folds no block: the segment was there.
 */
Test(log_verdict_edges, missing_segment_of_a_checkpoint_is_corruption)
{
    struct sim *sim = recovery_world(53);
    struct image image;
    recovery_image(sim, &image);
    image.point.position = 2 * IMAGE_SEGMENT_BYTES + RECOVER_FIRST_AT;
    image.meta.checkpoint_xxh3 = image_checkpoint(&image, 5, 5000, 100);
    image.meta.checkpoint_generation = 5;
    recovery_image_end(sim, &image);
    recovery_expect_stop(sim, &run, "segment 2 is missing");
    cr_assert_not_null(strstr(run.why, "the log had gone on into it"), "%s", run.why);
    sim_close(sim);
}

/* Of a damaged block of the largest size all is copied, although nothing behind it says where it
 * ended; of a small one as much, because its own word for its size may be what is damaged. */
Test(log_verdict_edges, copies_as_much_as_a_block_can_have)
{
    for (uint32_t large = 0; large < 2; large++) {
        struct sim *sim = recovery_world(54);
        struct image image;
        recovery_image(sim, &image);
        image_segment(&image, 0, 1);
        image_data(&image, 300);
        struct block_header *block = image_open_block(&image, BLOCK_DATA);
        for (uint32_t i = 0; i < (large ? 10 : 1); i++)
            image_add_batch(block, 8, 4 * i, 4, 104000, 0);
        if (large)
            image_add_batch(block, 9, 0, 4, 8000, 0);
        uint64_t last = image_write_block(&image, block);
        image.meta.durable_index = 2;
        recovery_image_end(sim, &image);
        sim_disk_flip(sim, "wal.00", last % IMAGE_SEGMENT_BYTES + 5000, 1);
        recovery_expect_stop(sim, &run, "indexes 2..");
        cr_assert_eq(run.recover.verdict.ranges[0].bytes, XD_BLOCK_BYTES_MAX);
        sim_close(sim);
    }
}
