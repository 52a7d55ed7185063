/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a recovery: what it writes, in which sequence, and that a crash anywhere in it changes
 * nothing.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "broker/log/finish.h"
#include "tests/support/log_recovery.h"

#define LAST_AT (4096u + 4u * 8192u) /* of the torn block in segment 2 */

static struct recovery run;

/* Two segments; the last of five blocks in the second is torn. Indexes 1..11, 11 is lost. */
static struct sim *make_torn(uint64_t seed)
{
    struct sim *sim = recovery_world(seed);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_segment(&image, 1, 2);
    for (uint32_t i = 0; i < 6; i++)
        image_data(&image, 6000);
    image.durable = 6;
    image_local(&image, BLOCK_SEAL);
    for (uint32_t i = 0; i < 5; i++)
        image_data(&image, 6000);
    recovery_image_end(sim, &image);
    recovery_zero(sim, "wal.01", LAST_AT + 2048, 1024);
    return sim;
}

static void expect_recovered(uint64_t epoch_min)
{
    cr_assert_eq(run.status, 0, "%s", run.why);
    cr_assert_eq(run.blocks, 11);
    cr_assert_eq(run.recover.point.index, 11);
    cr_assert_eq(run.recover.point.position, 2ull * IMAGE_SEGMENT_BYTES + LAST_AT);
    cr_assert_geq(run.recover.point.epoch, epoch_min);
}

/* A crash at every operation of a recovery, and again in the recovery after it, with everything
 * that a crash may leave: the third one finds the same log, and the cut bytes are in quarantine. */
Test(log_finish, crash_at_any_operation_changes_nothing)
{
    struct sim *sim = make_torn(1);
    struct sim *copy = recovery_world(2);
    uint64_t wal = recovery_hash(sim, "wal.");
    uint8_t torn[8192], kept[8192];
    sim_disk_peek(sim, "wal.01", LAST_AT, torn, sizeof(torn));
    uint64_t finished = 0;
    for (uint64_t nth = 1; nth <= 60; nth++) {
        sim_disk_copy(copy, sim);
        sim_plan_crash_op(copy, nth);
        finished += recovery_run(copy, &run) == 0;
        sim_crash(copy, (enum sim_crash_menu)(nth % SIM_CRASH_MENU_COUNT));
        sim_plan_crash_op(copy, 61 - nth);
        (void)recovery_run(copy, &run); /* dies, or not: both are followed by a third */
        sim_crash(copy, (enum sim_crash_menu)(nth / 7 % SIM_CRASH_MENU_COUNT));
        sim_plan_crash_op(copy, 0);
        (void)recovery_run(copy, &run);
        expect_recovered(IMAGE_EPOCH + 1);
        recovery_end(copy);
        cr_assert_eq(recovery_hash(copy, "wal."), wal, "operation %lu", (unsigned long)nth);
        cr_assert_eq(recovery_files(copy, "quarantine/"), 2);
        sim_disk_peek(copy, "quarantine/cut-2-36864-e5.bin", 0, kept, sizeof(kept));
        cr_assert_arr_eq(torn, kept, sizeof(torn));
    }
    cr_assert_gt(finished, 0, "no run was long enough to finish");
    cr_assert_lt(finished, 60, "no run crashed");
    sim_close(copy);
    sim_close(sim);
}

/* Every named place of recovery is reached, and dying there changes nothing. */
Test(log_finish, crash_at_each_named_point_changes_nothing)
{
    static const enum env_crash_point points[] = {
        ENV_CRASH_RECOVERY_SCANNED, ENV_CRASH_RECOVERY_QUARANTINED, ENV_CRASH_META_FIRST_SLOT,
        ENV_CRASH_META_BOTH_SLOTS, ENV_CRASH_RECOVERY_EPOCH_RAISED};
    struct sim *sim = make_torn(3);
    struct sim *copy = recovery_world(4);
    for (uint32_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        for (uint32_t menu = 0; menu < SIM_CRASH_MENU_COUNT; menu++) {
            sim_disk_copy(copy, sim);
            sim_plan_crash(copy, points[i], 1);
            (void)recovery_run(copy, &run);
            cr_assert(sim_dead(copy), "point %u is not reached", i);
            sim_crash(copy, (enum sim_crash_menu)menu);
            bool cut_before = points[i] >= ENV_CRASH_RECOVERY_EPOCH_RAISED ||
                              points[i] == ENV_CRASH_META_FIRST_SLOT ||
                              points[i] == ENV_CRASH_META_BOTH_SLOTS;
            (void)recovery_run(copy, &run);
            expect_recovered(IMAGE_EPOCH + 1);
            cr_assert_eq(recovery_news(&run, LOG_NEWS_TAIL_CUT) == NULL, cut_before);
            recovery_end(copy);
        }
    }
    sim_close(copy);
    sim_close(sim);
}

/* Both meta slots hold the new epoch before recovery says it is done, and where it starts. */
Test(log_finish, both_slots_hold_the_new_epoch)
{
    static struct meta slots[META_SLOTS];
    struct sim *sim = make_torn(5);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    recovery_end(sim);
    sim_disk_peek(sim, "meta", 0, slots, sizeof(slots));
    for (uint32_t i = 0; i < META_SLOTS; i++) {
        const char *why;
        cr_assert_eq(meta_check(&slots[i], &why), 0, "%s", why);
        cr_assert_eq(slots[i].generation % META_SLOTS, i);
        cr_assert_eq(slots[i].epoch, IMAGE_EPOCH + 1);
        cr_assert_eq(slots[i].epoch_first_index, 11);
        cr_assert_eq(slots[i].epoch_position, 2ull * IMAGE_SEGMENT_BYTES + LAST_AT);
        cr_assert_eq(slots[i].epoch_sequence, 12);
        cr_assert_eq(slots[i].epoch_chain, run.recover.point.chain);
        cr_assert_eq(slots[i].durable_index, 10);
    }
    sim_close(sim);
}

/* A damaged meta slot beside a whole one is told, and whole again after the start. */
Test(log_finish, damaged_meta_slot_is_told_and_written_anew)
{
    static struct meta slots[META_SLOTS];
    for (uint32_t slot = 0; slot < META_SLOTS; slot++) {
        struct sim *sim = make_torn(7 + slot);
        cr_assert_eq(sim_disk_flip(sim, "meta", slot * META_SLOT_BYTES + 300, 3), 0);
        cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
        const struct log_news *news = recovery_news(&run, LOG_NEWS_META_SLOT_DAMAGED);
        cr_assert_not_null(news, "slot %u", slot);
        cr_assert_eq(news->a, slot);
        cr_assert_eq(news->b % META_SLOTS, 1 - slot);
        recovery_end(sim);
        sim_disk_peek(sim, "meta", 0, slots, sizeof(slots));
        for (uint32_t i = 0; i < META_SLOTS; i++) {
            const char *why;
            cr_assert_eq(meta_check(&slots[i], &why), 0, "slot %u: %s", i, why);
        }
        cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
        cr_assert_null(recovery_news(&run, LOG_NEWS_META_SLOT_DAMAGED));
        sim_close(sim);
    }
}

/* What was read back is flushed before the epoch says that it is there: a block and the header of a
 * ready segment that only sat in the device's cache when the broker was killed survive the power
 * cut after recovery. */
Test(log_finish, flushes_what_it_has_read)
{
    struct sim *sim = recovery_world(6);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_segment(&image, 1, 9);
    image_data(&image, 6000);
    image_meta(&image);
    struct block_header *block = image_open_block(&image, BLOCK_DATA);
    image_add_batch(block, 7, 4, 4, 6000, 0);
    struct block_identity identity = point_identity(&image.meta, 1, IMAGE_EPOCH);
    block_seal(block, &identity, image.point.position);
    env_file_write(image.env, image.files[0], block, block->block_bytes,
                   image.point.position % IMAGE_SEGMENT_BYTES, 0, 1);
    struct env_event event;
    cr_assert_eq(blocking_wait(image.env, &event), 0);
    struct segment_header *header = (struct segment_header *)(void *)image.memory;
    *header = (struct segment_header){.shard = IMAGE_SHARD,
                                      .segment_no = 2,
                                      .segment_bytes = IMAGE_SEGMENT_BYTES,
                                      .epoch = IMAGE_EPOCH};
    memcpy(header->log_uuid, image.meta.log_uuid, sizeof(header->log_uuid));
    segment_header_seal(header);
    env_file_write(image.env, image.files[1], header, sizeof(*header), 0, 0, 1);
    cr_assert_eq(blocking_wait(image.env, &event), 0);
    uint64_t syncs = sim_op_count(sim, SIM_OP_SYNC);
    cr_assert_gt(sim_disk_unsynced_bytes(sim), 0);
    sim_crash(sim, SIM_CRASH_KEEP_ALL);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.recover.point.index, 3);
    cr_assert_eq(sim_op_count(sim, SIM_OP_SYNC), syncs + 3, "both segments and meta");
    recovery_end(sim);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.recover.point.index, 3);
    cr_assert_eq(run.slots[1].state, SEGMENT_READY);
    cr_assert_eq(run.slots[1].segment_no, 2);
    sim_close(sim);
}

/* Each failing write or flush stops the start with a reason, cuts nothing, and the next start gets
 * through. */
Test(log_finish, failing_operations_stop_the_start)
{
    static const struct {
        enum sim_op op;
        const char *name;
        uint64_t nth;
        int32_t result;
        const char *reason;
    } faults[] = {{SIM_OP_WRITE, "quarantine/", 1, -ENOSPC, "copying the torn tail failed"},
                  {SIM_OP_SYNC, "quarantine/", 1, -EIO, "copying the torn tail failed"},
                  {SIM_OP_SYNC, "wal.01", 1, -EIO, "wal.01: flushing failed"},
                  {SIM_OP_WRITE, "meta", 1, -EIO, "meta: writing failed"},
                  {SIM_OP_WRITE, "meta", 2, -EIO, "meta: writing failed"}};
    for (uint32_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct sim *sim = make_torn(10 + i);
        uint64_t wal = recovery_hash(sim, "wal.");
        sim_inject(sim, faults[i].op, faults[i].name, faults[i].nth, faults[i].result);
        cr_assert_eq(recovery_run(sim, &run), faults[i].result, "fault %u", i);
        cr_assert_not_null(strstr(run.why, faults[i].reason), "%s", run.why);
        recovery_end(sim);
        (void)recovery_run(sim, &run);
        expect_recovered(IMAGE_EPOCH + 1);
        recovery_end(sim);
        cr_assert_eq(recovery_hash(sim, "wal."), wal);
        sim_close(sim);
    }
}

/* A new folder's meta file needs its room before anything is said to be there. */
Test(log_finish, new_folder_without_room_stops_the_start)
{
    struct sim *sim = recovery_world(30);
    sim_inject(sim, SIM_OP_FILE_RESERVE, NULL, 1, -ENOSPC);
    cr_assert_eq(recovery_run(sim, &run), -ENOSPC);
    cr_assert_not_null(strstr(run.why, "meta: writing failed (ENOSPC)"), "%s", run.why);
    recovery_end(sim);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert(run.recover.created);
    sim_close(sim);
}

/* When the copy of corrupt bytes fails too, the start still stops with the corruption. */
Test(log_finish, corruption_is_reported_without_its_copy)
{
    struct sim *sim = make_torn(20);
    sim_disk_flip(sim, "wal.00", 4096 + 5, 1);
    sim_inject(sim, SIM_OP_WRITE, "quarantine/", 1, -ENOSPC);
    cr_assert_eq(recovery_run(sim, &run), XD_LOG_CORRUPT);
    cr_assert_not_null(strstr(run.why, "failed: ENOSPC"), "%s", run.why);
    sim_close(sim);
}

/* News beyond the table are counted, not lost silently. */
Test(log_finish, counts_news_beyond_the_table)
{
    static struct recover recover;
    for (uint32_t i = 0; i < RECOVER_NEWS_MAX + 3; i++)
        recover_news(&recover, LOG_NEWS_LOCAL_BLOCK_LOST, i, 0, 0);
    cr_assert_eq(recover.news_count, RECOVER_NEWS_MAX);
    cr_assert_eq(recover.news_dropped, 3);
    cr_assert_eq(recover.news[RECOVER_NEWS_MAX - 1].a, RECOVER_NEWS_MAX - 1);
}

/* A file that is shorter than its segment and in which the log has not begun to write is no damage:
 * its preparation was cut short, so it is made anew. */
Test(log_finish, short_file_without_a_block_is_made_anew)
{
    struct sim *sim = recovery_world(70);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_data(&image, 6000);
    image.durable = 1;
    image_local(&image, BLOCK_SEAL);
    env_file file;
    cr_assert_eq(env_file_open(image.env, "wal.01", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_file_reserve(image.env, file, IMAGE_SEGMENT_BYTES / 2), 0);
    cr_assert_eq(env_dir_sync(image.env, ""), 0);
    image.files[1] = file;
    image_segment(&image, 1, 2);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.recover.active, RECOVER_NO_SLOT);
    cr_assert_eq(run.slots[1].state, SEGMENT_FREE);
    cr_assert_eq(run.table.next_no, 2);
    sim_close(sim);
}
