/* SPDX-License-Identifier: Apache-2.0
 *
 * Which segment each wal file holds, and which files are the log.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "broker/log/folder.h"
#include "tests/support/env_bent.h"
#include "tests/support/log_recovery.h"

static struct recovery run;

/* Segments 1..count, one data block each, in slots count-1..0; sealed but for the last. */
static void make_segments(struct image *image, uint32_t count)
{
    for (uint32_t i = 1; i <= count; i++) {
        image_segment(image, count - i, i);
        image_data(image, 6000);
        image->durable = i;
        image_local(image, i < count ? BLOCK_SEAL : BLOCK_MARK);
    }
}

/* Only names that the log would write count as its files. */
Test(log_folder, lists_wal_files_by_their_exact_names)
{
    static const char *const names[] = {"wal.00", "wal.03",     "wal.3",  "wal.0x", "wal.003",
                                        "wal.-1", "wal.999999", "walrus", "wal."};
    struct sim *sim = recovery_world(1);
    struct env *env = env_sim_process(sim, NULL);
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        env_file file;
        cr_assert_eq(env_file_open(env, names[i], ENV_OPEN_CREATE, &file), 0);
        env_file_close(env, file);
    }
    struct folder folder;
    char why[XD_DETAIL_BYTES_MAX];
    cr_assert_eq(folder_list(env, &folder, why), 0);
    cr_assert_eq(folder.slot_count, 4);
    cr_assert(folder_bit(folder.present, 0));
    cr_assert_not(folder_bit(folder.present, 1));
    cr_assert(folder_bit(folder.present, 3));
    cr_assert_not(folder.meta);
    cr_assert_not(folder.checkpoints);
    sim_close(sim);
}

/* Slots hold segments in any sequence. */
Test(log_folder, finds_segments_by_their_headers)
{
    struct sim *sim = recovery_world(2);
    struct image image;
    recovery_image(sim, &image);
    make_segments(&image, 5);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.blocks, 10);
    for (uint32_t i = 0; i < 5; i++)
        cr_assert_eq(run.slots[i].segment_no, 5 - i);
    cr_assert_eq(run.recover.active, 0);
    sim_close(sim);
}

/* A damaged header does not hide its segment: the first block says which it is, and it is told. */
Test(log_folder, adopts_a_segment_with_a_damaged_header)
{
    struct sim *sim = recovery_world(3);
    struct image image;
    recovery_image(sim, &image);
    make_segments(&image, 3);
    recovery_image_end(sim, &image);
    for (uint32_t slot = 0; slot < 3; slot++) {
        char name[ENV_NAME_BYTES_MAX];
        segment_name(slot, name);
        sim_disk_flip(sim, name, 100, 3);
        cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
        cr_assert_eq(run.blocks, 6);
        cr_assert_eq(run.recover.news_count, slot + 1);
        cr_assert_eq(run.recover.news[slot].kind, LOG_NEWS_CORRUPT);
        cr_assert_eq(run.recover.news[slot].b, SEGMENT_HEADER_BYTES);
        recovery_end(sim);
    }
    sim_close(sim);
}

/* A file whose preparation a crash ended, whole or not, is a free slot. */
Test(log_folder, unfinished_files_are_free_slots)
{
    struct sim *sim = recovery_world(4);
    struct image image;
    recovery_image(sim, &image);
    make_segments(&image, 2);
    env_file file;
    cr_assert_eq(env_file_open(image.env, "wal.02", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_file_open(image.env, "wal.03", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_file_reserve(image.env, file, IMAGE_SEGMENT_BYTES), 0);
    cr_assert_eq(blocking_sync(image.env, file), 0);
    cr_assert_eq(env_dir_sync(image.env, ""), 0);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.slots[2].state, SEGMENT_FREE);
    cr_assert_eq(run.slots[2].zeroed, 0);
    cr_assert_geq(run.slots[2].file, 0);
    cr_assert_eq(run.slots[3].state, SEGMENT_FREE);
    cr_assert_eq(run.table.next_no, 3);
    sim_close(sim);
}

/* A file that is shorter than its segment is no place to append to: prepared ones are freed, the
 * one that the log ends in stops the start. */
Test(log_folder, does_not_append_to_a_short_file)
{
    struct sim *sim = recovery_world(8);
    struct image image;
    recovery_image(sim, &image);
    make_segments(&image, 2);
    env_file file;
    cr_assert_eq(env_file_open(image.env, "wal.05", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_file_reserve(image.env, file, IMAGE_SEGMENT_BYTES / 2), 0);
    cr_assert_eq(env_dir_sync(image.env, ""), 0);
    image.files[5] = file;
    image_segment(&image, 5, 3);
    image_segment(&image, 4, 4);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.slots[5].state, SEGMENT_FREE);
    cr_assert_eq(run.slots[4].state, SEGMENT_FREE);
    cr_assert_eq(run.table.next_no, 3);
    recovery_end(sim);

    recovery_image(sim, &image);
    image.meta = run.recover.meta;
    image.point = run.recover.point;
    image.files[5] = -1;
    cr_assert_eq(env_file_open(image.env, "wal.05", 0, &image.files[5]), 0);
    image_segment(&image, 5, 3);
    cr_assert_eq(env_file_open(image.env, "wal.00", 0, &image.files[0]), 0);
    image.numbers[0] = 2;
    image_local(&image, BLOCK_SEAL);
    image_data(&image, 6000);
    image_end(&image);
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(recovery_run(sim, &run), XD_LOG_CORRUPT);
    cr_assert_not_null(strstr(run.why, "wal.05"), "%s", run.why);
    cr_assert_not_null(strstr(run.why, "shorter"), "%s", run.why);
    sim_close(sim);
}

/* Prepared segments behind a number that is missing are freed: numbers stay without gaps. */
Test(log_folder, frees_prepared_segments_behind_a_gap)
{
    struct sim *sim = recovery_world(5);
    struct image image;
    recovery_image(sim, &image);
    make_segments(&image, 2);
    image_segment(&image, 4, 3);
    image_segment(&image, 5, 5);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.slots[4].state, SEGMENT_READY);
    cr_assert_eq(run.slots[5].state, SEGMENT_FREE);
    cr_assert_eq(run.slots[5].segment_no, 0);
    cr_assert_eq(run.table.next_no, 4);
    sim_close(sim);
}

/* Of two files with one number the one of the later epoch is the segment; two of one epoch cannot
 * both be ours. */
Test(log_folder, later_epoch_wins_between_twins)
{
    struct sim *sim = recovery_world(6);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 1, 1);
    image_data(&image, 6000);
    image_segment_in(&image, 2, 2, IMAGE_EPOCH - 1);
    image_segment_in(&image, 0, 3, IMAGE_EPOCH - 1);
    image_segment_in(&image, 3, 2, IMAGE_EPOCH);
    image_segment_in(&image, 4, 3, IMAGE_EPOCH);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.slots[0].state, SEGMENT_FREE);
    cr_assert_eq(run.slots[2].state, SEGMENT_FREE);
    cr_assert_eq(run.slots[3].segment_no, 2);
    cr_assert_eq(run.slots[4].segment_no, 3);
    recovery_end(sim);

    recovery_image(sim, &image);
    image_segment(&image, 6, 3);
    image_end(&image);
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(recovery_run(sim, &run), XD_LOG_CORRUPT);
    cr_assert_not_null(strstr(run.why, "wal.06"), "%s", run.why);
    sim_close(sim);
}

/* What retention has left below a gap is no part of the log. */
Test(log_folder, keeps_the_run_below_the_scan)
{
    static struct segment slots[6];
    struct segment_table table = {.slots = slots, .slot_count = 6, .slot_max = 6};
    const uint64_t numbers[6] = {9, 4, 7, 8, 5, 10};
    for (uint32_t i = 0; i < 6; i++)
        slots[i] = (struct segment){.segment_no = numbers[i], .state = SEGMENT_FULL};
    folder_keep_run(&table, 9);
    for (uint32_t i = 0; i < 6; i++)
        cr_assert_eq(slots[i].state, numbers[i] < 7 ? SEGMENT_FREE : SEGMENT_FULL);
    cr_assert_eq(slots[1].segment_no, 0);
}

/* More files than the options allow slots stops the start before anything is forgotten. */
Test(log_folder, refuses_more_files_than_slots)
{
    struct sim *sim = recovery_world(7);
    struct image image;
    recovery_image(sim, &image);
    make_segments(&image, 2);
    env_file file;
    cr_assert_eq(env_file_open(image.env, "wal.08", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_dir_sync(image.env, ""), 0);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(run.why, "wal.08"), "%s", run.why);
    sim_close(sim);
}

/* Names come in the sequence of their bytes, so "wal.100" before "wal.99": every slot is counted.
 */
Test(log_folder, counts_slots_in_any_sequence_of_names)
{
    static const char *const names[] = {"wal.100", "wal.99", "wal.101", "wal.07"};
    struct sim *sim = recovery_world(9);
    struct env *env = env_sim_process(sim, NULL);
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        env_file file;
        cr_assert_eq(env_file_open(env, names[i], ENV_OPEN_CREATE, &file), 0);
        env_file_close(env, file);
    }
    struct folder folder;
    char why[XD_DETAIL_BYTES_MAX];
    cr_assert_eq(folder_list(env, &folder, why), 0);
    cr_assert_eq(folder.slot_count, 102);
    cr_assert(folder_bit(folder.present, 99));
    sim_close(sim);
}

/* A folder that does not end, or cannot be listed, is not searched for ever or taken for empty. */
Test(log_folder, refuses_a_folder_that_cannot_be_listed)
{
    struct sim *sim = recovery_world(10);
    struct env *env = env_bend(env_sim_process(sim, NULL));
    struct folder folder;
    char why[XD_DETAIL_BYTES_MAX];
    bent.entries_endless = true;
    cr_assert_eq(folder_list(env, &folder, why), XD_LOG_FOREIGN);
    cr_assert_not_null(strstr(why, "more than 65536 entries"), "%s", why);
    bent.entries_endless = false;
    sim_kill(sim);
    cr_assert_eq(folder_list(env, &folder, why), -ESHUTDOWN);
    cr_assert_not_null(strstr(why, "cannot be listed"), "%s", why);
    sim_close(sim);
}

/* A file whose size cannot be known is not used. */
Test(log_folder, refuses_a_file_without_a_size)
{
    struct sim *sim = recovery_world(11);
    struct image image;
    recovery_image(sim, &image);
    make_segments(&image, 2);
    recovery_image_end(sim, &image);
    struct env *env = env_bend(env_sim_process(sim, NULL));
    bent.bytes_status = -EIO;
    cr_assert_eq(recovery_run_in(env, &run), -EIO);
    cr_assert_not_null(strstr(run.why, "wal.00"), "%s", run.why);
    cr_assert_not_null(strstr(run.why, "check the file system"), "%s", run.why);
    sim_close(sim);
}

/* A whole header with another segment size than meta's belongs to another time of this folder. */
Test(log_folder, refuses_a_file_of_another_segment_size)
{
    static struct segment_header header;
    struct sim *sim = recovery_world(12);
    struct image image;
    recovery_image(sim, &image);
    make_segments(&image, 2);
    recovery_image_end(sim, &image);
    sim_disk_peek(sim, "wal.01", 0, &header, sizeof(header));
    header.segment_bytes = 2 * IMAGE_SEGMENT_BYTES;
    segment_header_seal(&header);
    sim_disk_patch(sim, "wal.01", 0, &header, sizeof(header));
    cr_assert_eq(recovery_run(sim, &run), XD_LOG_CORRUPT);
    cr_assert_not_null(strstr(run.why, "wal.01: its segment_bytes differ"), "%s", run.why);
    sim_close(sim);
}

/* Whichever of two twins comes first, the one of the earlier epoch is free, and its place is told
 * to nobody. */
Test(log_folder, earlier_epoch_loses_wherever_it_lies)
{
    for (uint32_t slot = 2; slot <= 6; slot += 4) {
        struct sim *sim = recovery_world(13);
        struct image image;
        recovery_image(sim, &image);
        make_segments(&image, 1);
        image_segment_in(&image, slot, 2, IMAGE_EPOCH - 2);
        image_segment_in(&image, 4, 2, IMAGE_EPOCH);
        recovery_image_end(sim, &image);
        cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
        cr_assert_eq(run.slots[slot].state, SEGMENT_FREE);
        cr_assert_eq(run.slots[slot].segment_no, 0);
        cr_assert_eq(run.slots[4].state, SEGMENT_READY);
        sim_close(sim);
    }
}

/* What a first block says in a file without a header counts only if it can be true: a block of this
 * place, of an epoch that has been, and of a segment that no other file holds. */
Test(log_folder, adopts_no_segment_on_a_block_that_cannot_be_its_first)
{
    static const struct {
        uint64_t position; /* that the block says */
        uint64_t epoch;    /* */
    } rows[] = {
        {RECOVER_FIRST_AT, IMAGE_EPOCH},
        {3 * IMAGE_SEGMENT_BYTES + RECOVER_FIRST_AT, IMAGE_EPOCH + 1},
        {3 * IMAGE_SEGMENT_BYTES + RECOVER_FIRST_AT + 8192, IMAGE_EPOCH},
        {2 * IMAGE_SEGMENT_BYTES + RECOVER_FIRST_AT, IMAGE_EPOCH},
        {3 * IMAGE_SEGMENT_BYTES + RECOVER_FIRST_AT, IMAGE_EPOCH},
    };
    const uint32_t rows_max = sizeof(rows) / sizeof(rows[0]);
    for (uint32_t i = 0; i < rows_max; i++) {
        struct sim *sim = recovery_world(14);
        struct image image;
        recovery_image(sim, &image);
        make_segments(&image, 2);
        image_segment(&image, 5, 3);
        struct block_header *block = image_open_block(&image, BLOCK_MARK);
        block->epoch = rows[i].epoch;
        uint64_t segment_no = rows[i].position / IMAGE_SEGMENT_BYTES;
        struct block_identity identity = point_identity(&image.meta, segment_no, rows[i].epoch);
        block_seal(block, &identity, rows[i].position);
        cr_assert_eq(blocking_write(image.env, image.files[5], block, 4096, RECOVER_FIRST_AT), 0);
        recovery_image_end(sim, &image);
        recovery_zero(sim, "wal.05", 0, SEGMENT_HEADER_BYTES);
        cr_assert_eq(recovery_run(sim, &run), 0, "row %u: %s", i, run.why);
        bool adopted = i == rows_max - 1;
        cr_assert_eq(run.slots[5].segment_no, adopted ? 3 : 0, "row %u", i);
        cr_assert_eq(recovery_news(&run, LOG_NEWS_CORRUPT) != NULL, adopted, "row %u", i);
        sim_close(sim);
    }
}
