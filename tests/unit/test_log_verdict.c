/* SPDX-License-Identifier: Apache-2.0
 *
 * What the first bad block means, shown by whole recoveries of damaged folders.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/log_recovery.h"

#define DATA_BYTES 6000u                /* a block of two pages */
#define BLOCKS 10u                      /* data blocks of the image, indexes 1..10 */
#define AT(n) (4096u + ((n)-1) * 8192u) /* place of block n in segment 1 */

static struct recovery run;

/* Ten blocks of two pages in segment 1. Blocks know all before `durable` to be durable, from block
 * `from` on; meta knows `meta_durable`. */
static struct sim *make(uint64_t seed, uint64_t durable, uint64_t from, uint64_t meta_durable)
{
    struct sim *sim = recovery_world(seed);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    for (uint32_t i = 1; i <= BLOCKS; i++) {
        image.durable = i >= from ? durable : 0;
        image_data(&image, DATA_BYTES);
    }
    image.meta.durable_index = meta_durable;
    recovery_image_end(sim, &image);
    return sim;
}

static void expect_stop(struct sim *sim, const char *text)
{
    recovery_expect_stop(sim, &run, text);
}

/* The same, naming index `index` as the first that is lost. */
static void expect_corrupt(struct sim *sim, uint64_t index)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "indexes %lu..", (unsigned long)index);
    expect_stop(sim, text);
}

/* Recovery must succeed with a log that ends before `index`; `bytes` went to quarantine. */
static void expect_cut(struct sim *sim, uint64_t index, uint64_t bytes)
{
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.recover.point.index, index);
    const struct log_news *news = recovery_news(&run, LOG_NEWS_TAIL_CUT);
    cr_assert_eq(news != NULL, bytes > 0);
    if (news != NULL) {
        cr_assert_eq(news->a, bytes);
        cr_assert_eq(news->b, index);
    }
    recovery_end(sim);
    cr_assert_eq(recovery_files(sim, "quarantine/cut-"), bytes > 0 ? 2 : 0);
}

/* The last block torn at any sector: what is left is whole, and the torn bytes are kept. */
Test(log_verdict, torn_last_block_is_cut)
{
    struct sim *sim = make(1, 9, 10, 5);
    struct sim *copy = recovery_world(2);
    for (uint32_t kept = 0; kept <= 8192; kept += 512) {
        sim_disk_copy(copy, sim);
        recovery_zero(copy, "wal.00", AT(10) + kept, 8192 - kept);
        /* The payload ends in sector 12: what is torn off behind it is zero anyway. */
        bool whole = kept >= 6144;
        expect_cut(copy, whole ? 11 : 10, whole || kept == 0 ? 0 : 8192);
    }
    sim_close(copy);
    sim_close(sim);
}

/* The copy in quarantine has exactly the bytes that were cut. */
Test(log_verdict, cut_bytes_are_kept)
{
    struct sim *sim = make(3, 9, 10, 5);
    recovery_zero(sim, "wal.00", AT(10) + 1024, 512);
    uint8_t wal[8192], copy[8192];
    sim_disk_peek(sim, "wal.00", AT(10), wal, sizeof(wal));
    expect_cut(sim, 10, 8192);
    cr_assert_eq(sim_disk_peek(sim, "quarantine/cut-1-77824-e5.bin", 0, copy, sizeof(copy)), 8192);
    cr_assert_arr_eq(wal, copy, sizeof(wal));
    sim_close(sim);
}

/* Of eight blocks in flight the third is lost while the last is whole: none was acknowledged. */
Test(log_verdict, whole_successor_alone_proves_nothing)
{
    struct sim *sim = make(4, 2, 3, 2);
    recovery_zero(sim, "wal.00", AT(5), 8192);
    expect_cut(sim, 5, 6 * 8192);
    sim_close(sim);
}

/* The same, but a later block says that the lost one was durable: never cut. */
Test(log_verdict, later_durable_index_proves_corruption)
{
    struct sim *sim = make(5, 5, 9, 2);
    recovery_zero(sim, "wal.00", AT(5), 8192);
    expect_corrupt(sim, 5);
    cr_assert_eq(recovery_files(sim, "quarantine/corrupt-1-"), 2);
    cr_assert_not_null(strstr(run.why, "indexes 5..5 "), "%s", run.why);
    sim_close(sim);
    sim = make(6, 4, 9, 2);
    recovery_zero(sim, "wal.00", AT(5), 8192);
    expect_cut(sim, 5, 6 * 8192);
    sim_close(sim);
}

/* A bad block at or below what meta or any block knew to be durable is corruption. */
Test(log_verdict, block_below_the_floor_is_never_cut)
{
    struct sim *copy = recovery_world(7);
    struct sim *sim = make(8, 0, 11, 10);
    for (uint32_t n = 1; n <= BLOCKS; n++) {
        sim_disk_copy(copy, sim);
        sim_disk_flip(copy, "wal.00", AT(n) + 3000, 2);
        expect_corrupt(copy, n);
    }
    sim_close(sim);
    sim = make(9, 7, 8, 3);
    sim_disk_flip(sim, "wal.00", AT(8), 2);
    sim_disk_copy(copy, sim);
    expect_cut(copy, 8, 3 * 8192);
    sim_disk_flip(sim, "wal.00", AT(7), 2);
    expect_corrupt(sim, 7);
    sim_close(sim);
    sim_close(copy);
}

/* A log that is shorter than what was durable is corrupt although no bad byte is left. */
Test(log_verdict, missing_end_is_corruption)
{
    struct sim *sim = make(10, 0, 11, 10);
    recovery_zero(sim, "wal.00", AT(9), 2 * 8192);
    expect_corrupt(sim, 9);
    cr_assert_not_null(strstr(run.why, "indexes 9..10 "), "%s", run.why);
    sim_close(sim);
}

/* A flip in any field of the newest, unacknowledged block cuts it, and says so. */
Test(log_verdict, every_damaged_header_is_noticed)
{
    struct sim *sim = make(11, 9, 10, 9);
    struct sim *copy = recovery_world(12);
    for (uint32_t byte = 0; byte < BLOCK_HEADER_BYTES + XD_BATCH_HEADER_BYTES; byte++) {
        sim_disk_copy(copy, sim);
        sim_disk_flip(copy, "wal.00", AT(10) + byte, byte % 8);
        cr_assert_eq(recovery_run(copy, &run), 0, "%s", run.why);
        cr_assert_eq(run.recover.point.index, 10, "byte %u", byte);
        cr_assert_not_null(recovery_news(&run, LOG_NEWS_TAIL_CUT), "byte %u", byte);
        recovery_end(copy);
        /* Cut once: the next start finds a clean end. */
        cr_assert_eq(recovery_run(copy, &run), 0, "%s", run.why);
        cr_assert_eq(run.recover.news_count, 0, "byte %u", byte);
        recovery_end(copy);
    }
    sim_close(copy);
    sim_close(sim);
}

/* An unreadable MARK in the middle loses nothing, is reported, and the log goes on behind it. */
Test(log_verdict, lost_mark_is_passed_over)
{
    struct sim *sim = recovery_world(13);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_data(&image, DATA_BYTES);
    image.durable = 1;
    uint64_t mark = image_local(&image, BLOCK_MARK);
    image_data(&image, DATA_BYTES);
    image_data(&image, 700000);
    image.durable = 3;
    recovery_image_end(sim, &image);
    sim_disk_flip(sim, "wal.00", mark % IMAGE_SEGMENT_BYTES + 40, 1);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
        cr_assert_eq(run.blocks, 3);
        cr_assert_eq(run.recover.point.sequence, 5);
        cr_assert_eq(run.recover.point.index, 4);
        cr_assert_eq(recovery_news_a(&run, LOG_NEWS_LOCAL_BLOCK_LOST), mark);
        recovery_end(sim);
    }
    sim_close(sim);
}

/* An unreadable SEAL is passed over into the next segment. */
Test(log_verdict, lost_seal_is_passed_over)
{
    struct sim *sim = recovery_world(14);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_segment(&image, 1, 2);
    image_data(&image, DATA_BYTES);
    image.durable = 1;
    uint64_t seal = image_local(&image, BLOCK_SEAL);
    image_data(&image, DATA_BYTES);
    image.durable = 2;
    image_local(&image, BLOCK_MARK);
    recovery_image_end(sim, &image);
    recovery_zero(sim, "wal.00", seal % IMAGE_SEGMENT_BYTES, 4096);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.blocks, 3);
    cr_assert_eq(run.recover.point.index, 3);
    cr_assert_eq(run.recover.point.position, image.point.position);
    cr_assert_eq(recovery_news_a(&run, LOG_NEWS_LOCAL_BLOCK_LOST), seal);
    sim_close(sim);
}

/* A lost data block of one page is not taken for a local one: the chain does not go on behind it.
 */
Test(log_verdict, lost_data_is_no_local_block)
{
    struct sim *sim = recovery_world(15);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_data(&image, 300);
    uint64_t lost = image_data(&image, 300);
    image_data(&image, 300);
    image.durable = 3;
    image_local(&image, BLOCK_MARK);
    recovery_image_end(sim, &image);
    recovery_zero(sim, "wal.00", lost % IMAGE_SEGMENT_BYTES, 4096);
    expect_corrupt(sim, 2);
    sim_close(sim);
}

/* A segment's worth of undurable blocks behind a torn one is cut across the segment's end. */
Test(log_verdict, looks_ahead_into_the_next_segment)
{
    for (uint32_t durable = 1; durable <= 2; durable++) {
        struct sim *sim = recovery_world(16);
        struct image image;
        recovery_image(sim, &image);
        image_segment(&image, 0, 1);
        image_segment(&image, 1, 2);
        image_data(&image, DATA_BYTES);
        uint64_t lost = image_data(&image, DATA_BYTES);
        image_local(&image, BLOCK_SEAL);
        image.durable = durable;
        image_data(&image, DATA_BYTES);
        recovery_image_end(sim, &image);
        recovery_zero(sim, "wal.00", lost % IMAGE_SEGMENT_BYTES + 4096, 4096);
        if (durable == 2) {
            expect_corrupt(sim, 2);
        } else {
            cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
            cr_assert_eq(run.recover.point.index, 2);
            cr_assert_eq(recovery_news_a(&run, LOG_NEWS_TAIL_CUT), 8192 + 4096 + 8192);
            cr_assert_eq(run.slots[1].state, SEGMENT_READY, "segment 2 is empty again");
            recovery_end(sim);
            cr_assert_eq(recovery_files(sim, "quarantine/cut-"), 4, "one copy per segment");
        }
        sim_close(sim);
    }
}

/* Whole blocks that an earlier recovery cut off stay dead, also behind new ones. */
Test(log_verdict, leftovers_of_older_epochs_are_dead)
{
    struct sim *sim = make(17, 2, 3, 2);
    recovery_zero(sim, "wal.00", AT(5), 8192);
    expect_cut(sim, 5, 6 * 8192);
    struct image image;
    recovery_image(sim, &image);
    image.meta = run.recover.meta;
    image.point = run.recover.point;
    image.next_offset = 16;
    cr_assert_eq(env_file_open(image.env, "wal.00", 0, &image.files[0]), 0);
    image.numbers[0] = 1;
    image_data(&image, DATA_BYTES); /* block 5 again, blocks 6..10 are leftovers */
    image_end(&image);
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.recover.point.index, 6);
    cr_assert_eq(run.recover.news_count, 0, "a clean end");
    sim_close(sim);
}

/* An epoch is in meta before a block has it: a block of a later one says that meta is an old copy,
 * which must not decide what is cut. */
Test(log_verdict, a_block_of_a_later_epoch_stops_the_start)
{
    struct sim *sim = recovery_world(19);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_data(&image, DATA_BYTES);
    uint64_t lost = image_data(&image, DATA_BYTES);
    image.point.epoch++;
    image_data(&image, DATA_BYTES);
    recovery_image_end(sim, &image);
    recovery_zero(sim, "wal.00", lost % IMAGE_SEGMENT_BYTES, 4096);
    cr_assert_eq(recovery_run(sim, &run), XD_LOG_CORRUPT);
    cr_assert(strstr(run.why, "newer than meta") != NULL, "%s", run.why);
    recovery_end(sim);
    sim_close(sim);
}

/* Old blocks of a recycled slot are no blocks of the segment that it holds now. */
Test(log_verdict, old_bytes_of_a_recycled_slot_are_dead)
{
    struct sim *sim = recovery_world(18);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    for (uint32_t i = 0; i < 30; i++)
        image_data(&image, 300 + i * 3000);
    image.durable = 30;
    image_local(&image, BLOCK_SEAL);
    image_segment(&image, 1, 2);
    image_data(&image, 300);
    image_local(&image, BLOCK_SEAL);
    struct checkpoint_header *header = (struct checkpoint_header *)(void *)image.memory;
    *header = (struct checkpoint_header){.generation = 1,
                                         .shard = IMAGE_SHARD,
                                         .epoch = IMAGE_EPOCH,
                                         .position = image.point.position,
                                         .index = image.point.index - 1,
                                         .term = 1,
                                         .chain = image.point.chain,
                                         .block_sequence = image.point.sequence - 1,
                                         .segment_bytes = IMAGE_SEGMENT_BYTES};
    memcpy(header->log_uuid, image.meta.log_uuid, 16);
    checkpoint_seal(header, image.memory + 4096);
    image.meta.checkpoint_generation = 1;
    image.meta.checkpoint_xxh3 = header->xxh3;
    env_file file;
    cr_assert_eq(env_file_open(image.env, "checkpoint.1", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(blocking_write(image.env, file, header, 4096, 0), 0);
    cr_assert_eq(env_dir_sync(image.env, ""), 0);
    image_segment(&image, 0, 3); /* the slot of segment 1 */
    image_data(&image, 300);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.blocks, 1);
    cr_assert_eq(run.recover.point.index, 33);
    cr_assert_eq(run.recover.news_count, 0);
    sim_close(sim);
}

/* A segment whose file is gone is corruption when anything behind it was durable. */
Test(log_verdict, missing_segment_is_corruption)
{
    struct sim *sim = recovery_world(19);
    struct image image;
    recovery_image(sim, &image);
    for (uint32_t i = 0; i < 3; i++) {
        image_segment(&image, i, i + 1);
        image_data(&image, DATA_BYTES);
        image.durable = i + 1;
        image_local(&image, BLOCK_SEAL);
    }
    cr_assert_eq(env_file_unlink(image.env, "wal.01"), 0);
    cr_assert_eq(env_dir_sync(image.env, ""), 0);
    recovery_image_end(sim, &image);
    expect_stop(sim, "indexes from 2 on");
    cr_assert_not_null(strstr(run.why, "segment 2 is missing"), "%s", run.why);
    sim_close(sim);
}

/* What shows that the first segment was made although nothing tells of a durable block. */
enum proof { PROOF_NONE, PROOF_LATER, PROOF_NAME_GAP, PROOF_CHECKPOINT, PROOF_META, PROOF_COUNT };

/* A folder whose first segment has no file. Each proof alone stops the start, as no one can know
 * what was in it; without any the folder is one that was not made to its end. */
Test(log_verdict, missing_first_segment_needs_no_recorded_index)
{
    static const char *const reasons[PROOF_COUNT] = {
        [PROOF_LATER] = "a later segment was made",
        [PROOF_NAME_GAP] = "higher numbers in their names",
        [PROOF_CHECKPOINT] = "a checkpoint was written",
        [PROOF_META] = "meta says"};
    for (uint32_t proof = 0; proof < PROOF_COUNT; proof++) {
        struct sim *sim = recovery_world(30 + proof);
        struct image image;
        env_file file;
        recovery_image(sim, &image);
        image.meta.generation = META_SLOTS * IMAGE_EPOCH - META_SLOTS;
        image.meta.generation += proof == PROOF_META;
        if (proof == PROOF_LATER)
            image_segment(&image, 0, 2);
        if (proof == PROOF_NAME_GAP)
            cr_assert_eq(env_file_open(image.env, "wal.01", ENV_OPEN_CREATE, &file), 0);
        if (proof == PROOF_CHECKPOINT)
            cr_assert_eq(env_file_open(image.env, "checkpoint.1", ENV_OPEN_CREATE, &file), 0);
        if (proof == PROOF_NONE)
            cr_assert_eq(env_file_open(image.env, "wal.00", ENV_OPEN_CREATE, &file), 0);
        recovery_image_end(sim, &image);
        if (proof != PROOF_NONE) {
            expect_stop(sim, "segment 1 is missing");
            cr_assert_not_null(strstr(run.why, reasons[proof]), "%s", run.why);
        } else {
            cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
            cr_assert_eq(run.recover.active, RECOVER_NO_SLOT);
        }
        sim_close(sim);
    }
}

/* The segment that the log has gone on into was prepared before, so it must be there even when no
 * block of it is known. */
Test(log_verdict, missing_segment_behind_a_seal_is_corruption)
{
    struct sim *sim = recovery_world(40);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_data(&image, DATA_BYTES);
    image.durable = 1;
    image_local(&image, BLOCK_SEAL);
    recovery_image_end(sim, &image);
    expect_stop(sim, "segment 2 is missing");
    cr_assert_not_null(strstr(run.why, "the log had gone on into it"), "%s", run.why);
    sim_close(sim);
}

/* A device that cannot read a durable block any more is corruption, and the text says so. */
Test(log_verdict, unreadable_block_is_named)
{
    struct sim *sim = make(20, 0, 11, 10);
    cr_assert_eq(recovery_open(sim, &run), 0, "%s", run.why);
    sim_rates(sim)->read_error = 65536;
    cr_assert_eq(recovery_scan(&run), XD_LOG_CORRUPT);
    cr_assert_not_null(strstr(run.why, "it cannot be read"), "%s", run.why);
    recover_close(&run.recover);
    sim_close(sim);
}

/* The reason names file, segment, position, block, index range, copy and the next step. */
Test(log_verdict, reason_is_complete)
{
    struct sim *sim = make(21, 0, 11, 10);
    sim_disk_flip(sim, "wal.00", AT(4) + 4000, 2);
    cr_assert_eq(recovery_run(sim, &run), XD_LOG_CORRUPT);
    static const char *const parts[] = {
        "wal.00",   "segment 1",          "position 42", "byte 28672",
        "block 4 ", "a batch's checksum", "indexes 4..", "quarantine/corrupt-1-28672-e5.bin",
        "restore"};
    for (uint32_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        cr_assert_not_null(strstr(run.why, parts[i]), "%s lacks %s", run.why, parts[i]);
    sim_close(sim);
}
