/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery from folders in good order, and from those that are not ours to recover. What bad blocks
 * mean is tested in test_log_verdict.c, what ends a recovery in test_log_finish.c.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/log_recovery.h"

static struct recovery run;

/* Two segments with 60 data blocks, a SEAL and a final MARK; everything known to be durable. */
static void make_log(struct image *image)
{
    image_segment(image, 0, 1);
    image_segment(image, 1, 2);
    for (uint32_t i = 0; i < 40; i++) {
        image_data(image, 200 + i * 1500);
        image->durable = image->point.index - 1;
    }
    image_local(image, BLOCK_SEAL);
    for (uint32_t i = 0; i < 20; i++)
        image_data(image, XD_BATCH_BYTES_MAX / 20);
    image->durable = image->point.index - 1;
    image_local(image, BLOCK_MARK);
}

/* Gives every block of the log in sequence and goes on behind the last one, in a new epoch. */
Test(log_recover, gives_every_block)
{
    struct sim *sim = recovery_world(1);
    struct image image;
    recovery_image(sim, &image);
    make_log(&image);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.blocks, 62);
    cr_assert_eq(run.locals, 2);
    cr_assert_eq(run.last_index, 60);
    const struct recover *recover = &run.recover;
    cr_assert_eq(recover->point.position, image.point.position);
    cr_assert_eq(recover->point.index, 61);
    cr_assert_eq(recover->point.sequence, 63);
    cr_assert_eq(recover->point.chain, image.point.chain);
    cr_assert_eq(recover->point.epoch, IMAGE_EPOCH + 1);
    cr_assert_eq(recover->meta.epoch, IMAGE_EPOCH + 1);
    cr_assert_eq(recover->meta.durable_index, 60);
    cr_assert_eq(recover->news_count, 0, "a clean start is no news");
    cr_assert_eq(recover_percent(recover), 100);
    sim_close(sim);
}

/* The table tells of each segment which indexes and times it holds and what may be done with it. */
Test(log_recover, fills_the_segment_table)
{
    struct sim *sim = recovery_world(2);
    struct image image;
    recovery_image(sim, &image);
    make_log(&image);
    image_segment(&image, 3, 3);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.table.slot_count, 4);
    cr_assert_eq(run.slots[0].state, SEGMENT_FULL);
    cr_assert_eq(run.slots[0].first_index, 1);
    cr_assert_eq(run.slots[0].last_index, 40);
    cr_assert_eq(run.slots[0].first_time_us, 5000);
    cr_assert_eq(run.slots[1].state, SEGMENT_ACTIVE);
    cr_assert_eq(run.slots[1].first_index, 41);
    cr_assert_eq(run.slots[1].last_index, 60);
    cr_assert_eq(run.slots[1].last_time_us, 5000 + 59 * 4);
    cr_assert_eq(run.slots[1].used_bytes, image.point.position % IMAGE_SEGMENT_BYTES);
    cr_assert_eq(run.slots[2].state, SEGMENT_FREE);
    cr_assert_eq(run.slots[2].file, -1, "there is no such file");
    cr_assert_eq(run.slots[3].state, SEGMENT_READY);
    cr_assert_eq(run.table.next_no, 4);
    cr_assert_eq(run.table.active, 1);
    cr_assert_eq(run.recover.active, 1);
    sim_close(sim);
}

/* Recovering twice gives the same log; only the epoch moves. */
Test(log_recover, can_be_repeated)
{
    struct sim *sim = recovery_world(3);
    struct image image;
    recovery_image(sim, &image);
    make_log(&image);
    recovery_image_end(sim, &image);
    uint64_t hash = recovery_hash(sim, "wal.");
    for (uint64_t i = 1; i <= 5; i++) {
        cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
        recovery_end(sim);
        cr_assert_eq(run.blocks, 62);
        cr_assert_eq(run.recover.point.position, image.point.position);
        cr_assert_eq(run.recover.point.sequence, image.point.sequence);
        cr_assert_eq(run.recover.point.epoch, IMAGE_EPOCH + i);
        cr_assert_eq(recovery_hash(sim, "wal."), hash, "recovery writes to no wal file");
        cr_assert_eq(recovery_files(sim, "quarantine"), 0);
    }
    sim_close(sim);
}

/* Blocks of several epochs follow each other; each epoch starts where meta said. */
Test(log_recover, reads_across_epochs)
{
    struct sim *sim = recovery_world(4);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        for (uint32_t i = 0; i < 3; i++)
            image_data(&image, 5000);
        image_raise_epoch(&image);
    }
    image_data(&image, 300);
    recovery_image_end(sim, &image);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.blocks, 10);
    cr_assert_eq(run.recover.point.epoch, IMAGE_EPOCH + 4);
    sim_close(sim);
}

/* A short answer and an error that does not come back change nothing. */
Test(log_recover, survives_short_and_failing_reads)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct sim *sim = recovery_world(seed);
        struct image image;
        recovery_image(sim, &image);
        make_log(&image);
        recovery_image_end(sim, &image);
        sim_inject(sim, SIM_OP_READ, "wal.", 3 + seed, -EIO);
        sim_rates(sim)->read_short = 20000;
        cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
        cr_assert_eq(run.blocks, 62);
        sim_close(sim);
    }
}

/* An empty folder becomes a log; what a crash leaves of that is still an empty folder. */
Test(log_recover, makes_a_new_log)
{
    for (uint64_t nth = 0; nth < 30; nth++) {
        struct sim *sim = recovery_world(100 + nth);
        sim_plan_crash_op(sim, nth);
        int status = recovery_run(sim, &run);
        cr_assert(status == 0 || nth > 0, "%s", run.why);
        sim_crash(sim, SIM_CRASH_ANY);
        sim_plan_crash_op(sim, 0);
        uint64_t epoch = status == 0 ? 1 : 0;
        cr_assert_eq(recovery_run(sim, &run), 0, "operation %lu: %s", (unsigned long)nth, run.why);
        cr_assert_eq(run.recover.created, recovery_news(&run, LOG_NEWS_CREATED) != NULL);
        if (epoch == 1)
            cr_assert_not(run.recover.created);
        cr_assert_geq(run.recover.point.epoch, epoch + 1);
        cr_assert_eq(run.recover.point.position, IMAGE_SEGMENT_BYTES + RECOVER_FIRST_AT);
        cr_assert_eq(run.recover.point.index, 1);
        cr_assert_eq(run.recover.active, RECOVER_NO_SLOT);
        cr_assert_eq(run.table.next_no, 1);
        recovery_end(sim);
        cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
        cr_assert_not(run.recover.created);
        sim_close(sim);
    }
}

/* Opens with a folder whose first byte of `name` at `at` was replaced by what `bend` leaves. */
static int open_bent(void (*bend)(struct image *image))
{
    struct sim *sim = recovery_world(5);
    struct image image;
    recovery_image(sim, &image);
    make_log(&image);
    bend(&image);
    image_end(&image);
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
    uint64_t hash = sim_disk_hash(sim);
    int status = recovery_run(sim, &run);
    recovery_end(sim);
    if (status < 0)
        cr_assert_eq(sim_disk_hash(sim), hash, "a start that stops changes nothing");
    cr_assert_gt(strlen(run.why), status < 0 ? 20 : 0, "no reason given: %s", run.why);
    sim_close(sim);
    return status;
}

static void bend_shard(struct image *image)
{
    image->meta.shard = 0;
    image_meta(image);
}

static void bend_shard_count(struct image *image)
{
    image->meta.shard_count = 8;
    image_meta(image);
}

static void bend_segment_bytes(struct image *image)
{
    image->meta.segment_bytes *= 2;
    image->meta.epoch_position = image->meta.segment_bytes + 4096;
    image_meta(image);
}

static void bend_segment_uuid(struct image *image)
{
    image_meta(image);
    image->meta.log_uuid[3] ^= 1;
    image_segment(image, 4, 3);
}

static void bend_no_meta(struct image *image)
{
    (void)image;
}

/* A folder of other options, another shard or mixed files is refused with the fitting status. */
Test(log_recover, refuses_folders_that_do_not_fit)
{
    cr_assert_eq(open_bent(bend_shard), XD_LOG_FOREIGN);
    cr_assert_eq(open_bent(bend_shard_count), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(run.why, "8 shards"));
    cr_assert_eq(open_bent(bend_segment_bytes), XD_OPTION_INVALID);
    cr_assert_eq(open_bent(bend_segment_uuid), XD_LOG_FOREIGN);
    cr_assert_not_null(strstr(run.why, "wal.04"));
    cr_assert_eq(open_bent(bend_no_meta), XD_LOG_CORRUPT);
}

/* Raises the version in a header page of a file. */
static void bump_version(struct sim *sim, const char *name, uint64_t at)
{
    static _Alignas(8) uint8_t page[4096];
    cr_assert_eq(sim_disk_peek(sim, name, at, page, sizeof(page)), (int64_t)sizeof(page));
    page[12]++;
    uint64_t hash = xd_xxh3(page + 8, sizeof(page) - 8);
    memcpy(page, &hash, sizeof(hash));
    cr_assert_eq(sim_disk_patch(sim, name, at, page, sizeof(page)), 0);
}

/* What a newer release has written is left alone, wherever it stands. */
Test(log_recover, stops_at_a_newer_release)
{
    struct sim *sim = recovery_world(6);
    struct image image;
    recovery_image(sim, &image);
    make_log(&image);
    recovery_image_end(sim, &image);
    struct sim *copy = recovery_world(7);

    sim_disk_copy(copy, sim);
    bump_version(copy, "meta", 0);
    bump_version(copy, "meta", 4096);
    cr_assert_eq(recovery_run(copy, &run), XD_FORMAT_UNKNOWN);
    recovery_end(copy);

    sim_disk_copy(copy, sim);
    bump_version(copy, "wal.01", 0);
    cr_assert_eq(recovery_run(copy, &run), XD_FORMAT_UNKNOWN);
    recovery_end(copy);

    sim_close(copy);
    sim_close(sim);
}

enum newer { NEWER_LAST, NEWER_IN_OLD_EPOCH, NEWER_BEHIND_A_TORN_ONE, NEWER_BATCH, NEWER_COUNT };

/* Four blocks, an epoch, two blocks; one of them is as a newer release would have written it. */
static int open_with_newer_block(enum newer which)
{
    struct sim *sim = recovery_world(20 + which);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    for (uint32_t i = 1; i <= 6; i++) {
        struct block_header *block = image_open_block(&image, BLOCK_DATA);
        image_add_batch(block, 7, i, 1, 200, 0);
        if (which == NEWER_BATCH && i == 6)
            ((struct xd_batch_header *)(void *)(block + 1))->format = XD_FORMAT_COUNT;
        uint64_t at = image_write_block(&image, block) % IMAGE_SEGMENT_BYTES;
        bool newer = (which == NEWER_LAST && i == 6) || (which == NEWER_IN_OLD_EPOCH && i == 3) ||
                     (which == NEWER_BEHIND_A_TORN_ONE && i == 6);
        struct block_identity identity = point_identity(&image.meta, 1, block->epoch);
        block->version += newer;
        image_rehash(block, &identity);
        if (which == NEWER_BEHIND_A_TORN_ONE && i == 5)
            memset(block, 0, 4096);
        cr_assert_eq(blocking_write(image.env, image.files[0], block, 4096, at), 0);
        if (i == 4)
            image_raise_epoch(&image);
    }
    recovery_image_end(sim, &image);
    uint64_t hash = sim_disk_hash(sim);
    int status = recovery_run(sim, &run);
    recovery_end(sim);
    cr_assert_eq(sim_disk_hash(sim), hash, "nothing may be changed");
    sim_close(sim);
    return status;
}

/* A block or batch of a newer release is neither damage nor a torn tail, wherever it lies. */
Test(log_recover, stops_at_a_newer_block)
{
    for (uint32_t i = 0; i < NEWER_COUNT; i++)
        cr_assert_eq(open_with_newer_block((enum newer)i), XD_FORMAT_UNKNOWN, "%u: %s", i, run.why);
}

/* A meta that is older than the log must not cut the log. */
Test(log_recover, refuses_a_log_newer_than_meta)
{
    struct sim *sim = recovery_world(8);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_data(&image, 300);
    struct meta old = image.meta;
    image_raise_epoch(&image);
    image_data(&image, 300);
    image.meta = old;
    recovery_image_end(sim, &image);
    uint64_t hash = sim_disk_hash(sim);
    cr_assert_eq(recovery_run(sim, &run), XD_LOG_CORRUPT);
    cr_assert_not_null(strstr(run.why, "newer than meta"), "%s", run.why);
    recovery_end(sim);
    cr_assert_eq(sim_disk_hash(sim), hash);
    sim_close(sim);
}

/* The percentage never leaves 0..100, also when the log turns out to be longer than it seemed at
 * the start, and says nothing before a scan and 100 behind it. */
Test(log_recover, tells_how_far_it_is)
{
    struct sim *sim = recovery_world(70);
    struct image image;
    recovery_image(sim, &image);
    make_log(&image);
    recovery_image_end(sim, &image);
    for (uint32_t i = 2; i <= 4; i++) /* the second look at wal.01: as a whole and by pages */
        sim_inject(sim, SIM_OP_READ, "wal.01", i, -EIO);
    cr_assert_eq(recovery_open(sim, &run), 0, "%s", run.why);
    cr_assert_eq(sim_inject_pending(sim), 0);
    uint32_t percent = recover_percent(&run.recover);
    cr_assert_eq(percent, 0);
    struct recover_block block;
    while (recover_next(&run.recover, &block, run.why) > 0) {
        cr_assert_geq(recover_percent(&run.recover), percent);
        percent = recover_percent(&run.recover);
        cr_assert_leq(percent, 100);
        cr_assert_eq(percent == 100,
                     block.position >= 2 * IMAGE_SEGMENT_BYTES || block.block->type == BLOCK_SEAL);
    }
    cr_assert_eq(recover_percent(&run.recover), 100);
    recover_close(&run.recover);
    cr_assert_eq(recover_percent(&run.recover), 0);
    sim_close(sim);
}

/* Closing accepts what was never opened, and what is closed. */
Test(log_recover, can_be_closed_at_any_time)
{
    static struct recover never;
    struct sim *sim = recovery_world(71);
    recover_close(&never);
    cr_assert_eq(recovery_open(sim, &run), 0, "%s", run.why);
    recover_close(&run.recover);
    recover_close(&run.recover);
    sim_close(sim);
}

/* A file whose header is damaged and whose segment lies below a gap is free like the others there:
 * nothing of it is told. */
Test(log_recover, tells_of_no_damage_in_what_is_not_the_log)
{
    struct sim *sim = recovery_world(72);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_segment(&image, 1, 3);
    image_data(&image, 6000);
    image.point.position = 3 * IMAGE_SEGMENT_BYTES + RECOVER_FIRST_AT;
    image_data(&image, 6000);
    image.meta.checkpoint_xxh3 = image_checkpoint(&image, 5, 5000, 100);
    image.meta.checkpoint_generation = 5;
    recovery_image_end(sim, &image);
    sim_disk_flip(sim, "wal.00", 100, 3);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    cr_assert_eq(run.slots[0].state, SEGMENT_FREE);
    cr_assert_eq(run.recover.news_count, 0);
    sim_close(sim);
}

/* Blocks that a newer release has left behind the end, as of an older epoch: leftovers like others.
 */
static int open_with_newer_leftover(uint64_t sequence_ahead, uint64_t epoch_ahead)
{
    struct sim *sim = recovery_world(73);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    for (uint32_t i = 0; i < 3; i++)
        image_data(&image, 300);
    struct recover_point end = image.point;
    image_raise_epoch(&image);
    image.point.sequence += sequence_ahead;
    image.point.epoch += epoch_ahead;
    image.point.epoch--;
    struct block_header *block = image_open_block(&image, BLOCK_DATA);
    image_add_batch(block, 7, 12, 1, 200, 0);
    uint64_t at = image_write_block(&image, block) % IMAGE_SEGMENT_BYTES;
    block->version++;
    struct block_identity identity = point_identity(&image.meta, 1, block->epoch);
    image_rehash(block, &identity);
    cr_assert_eq(blocking_write(image.env, image.files[0], block, 4096, at), 0);
    recovery_image_end(sim, &image);
    int status = recovery_run(sim, &run);
    if (status == 0)
        cr_assert_eq(run.recover.point.position, end.position);
    sim_close(sim);
    return status;
}

/* At the end of the log a newer release's block of an epoch before the running one is dead,
 * whatever its sequence; of the running epoch it stops the start although it is not the next. */
Test(log_recover, newer_leftovers_of_older_epochs_are_dead)
{
    cr_assert_eq(open_with_newer_leftover(0, 0), 0, "%s", run.why);
    cr_assert_eq(open_with_newer_leftover(2, 0), 0, "%s", run.why);
    cr_assert_eq(open_with_newer_leftover(0, 1), XD_FORMAT_UNKNOWN);
    cr_assert_eq(open_with_newer_leftover(2, 1), XD_FORMAT_UNKNOWN);
}

/* A block of a later epoch at the end of the log says that meta is an old copy, also when it does
 * not continue what is there: between them the newer meta cut something. */
Test(log_recover, refuses_a_log_newer_than_meta_that_does_not_continue)
{
    struct sim *sim = recovery_world(74);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_data(&image, 300);
    struct meta old = image.meta;
    image_raise_epoch(&image);
    image.point.chain ^= 1;
    image_data(&image, 300);
    image.meta = old;
    recovery_image_end(sim, &image);
    uint64_t hash = sim_disk_hash(sim);
    cr_assert_eq(recovery_run(sim, &run), XD_LOG_CORRUPT);
    cr_assert_not_null(strstr(run.why, "newer than meta"), "%s", run.why);
    recovery_end(sim);
    cr_assert_eq(sim_disk_hash(sim), hash);
    sim_close(sim);
}
