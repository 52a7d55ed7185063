/* SPDX-License-Identifier: Apache-2.0
 *
 * Which checkpoint counts, and where the scan goes on behind it.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "broker/log/checkpoint_load.h"
#include "tests/support/env_bent.h"
#include "tests/support/log_recovery.h"

#define STATE_BYTES 5000u
#define LOCAL_BYTES 100u

static struct recovery run;

static uint64_t write_checkpoint(struct image *image, uint64_t generation)
{
    return image_checkpoint(image, generation, STATE_BYTES, LOCAL_BYTES);
}

/* Blocks 1..9 with checkpoints of generations 4 and 5 behind blocks 3 and 6; meta names 5. With
 * `next`, generation 6 behind block 8 was written too, but not named. */
static struct sim *make(uint64_t seed, bool next)
{
    struct sim *sim = recovery_world(seed);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    for (uint32_t i = 1; i <= 9; i++) {
        image_data(&image, 6000);
        image.durable = i;
        if (i == 3)
            (void)write_checkpoint(&image, 4);
        if (i == 6) {
            image.meta.checkpoint_xxh3 = write_checkpoint(&image, 5);
            image.meta.checkpoint_generation = 5;
        }
        if (i == 8 && next)
            (void)write_checkpoint(&image, 6);
    }
    image_local(&image, BLOCK_MARK);
    recovery_image_end(sim, &image);
    return sim;
}

static void expect_loaded(uint64_t generation, uint64_t blocks, bool fallback)
{
    cr_assert_eq(run.status, 0, "%s", run.why);
    cr_assert_eq(run.recover.checkpoint.generation, generation);
    cr_assert_eq(run.recover.meta.checkpoint_generation, generation);
    cr_assert_eq(run.recover.meta.checkpoint_xxh3, run.recover.checkpoint.xxh3);
    cr_assert_eq(run.recover.state[STATE_BYTES - 1], generation);
    cr_assert_eq(run.recover.state[STATE_BYTES], 0);
    cr_assert_eq(run.recover.local[0], generation);
    cr_assert_eq(run.recover.local[LOCAL_BYTES - 1], generation);
    cr_assert_eq(run.blocks, blocks);
    cr_assert_eq(run.recover.point.index, 10);
    cr_assert_eq(recovery_news(&run, LOG_NEWS_CHECKPOINT_FALLBACK) != NULL, fallback);
}

/* The scan starts behind the last folded block, and the older checkpoint holds its segments. */
Test(log_checkpoint_load, named_checkpoint_is_loaded)
{
    struct sim *sim = make(1, false);
    (void)recovery_run(sim, &run);
    expect_loaded(5, 4, false);
    cr_assert_eq(run.recover.checkpoint_other_generation, 4);
    cr_assert_eq(run.recover.checkpoint_other_position, IMAGE_SEGMENT_BYTES + 4096 + 3 * 8192);
    sim_close(sim);
}

/* Any damage to the named one, in header or body, falls back to the other and names that in meta:
 * the next one written overwrites the damaged file. */
Test(log_checkpoint_load, damaged_checkpoint_falls_back)
{
    static const uint64_t places[] = {
        0, 40, 4095, 4096, 4096 + STATE_BYTES - 1, 4096 + 8192, 4096 + 8192 + LOCAL_BYTES - 1};
    struct sim *sim = make(2, false);
    struct sim *copy = recovery_world(3);
    for (uint32_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        sim_disk_copy(copy, sim);
        sim_disk_flip(copy, "checkpoint.1", places[i], 5);
        (void)recovery_run(copy, &run);
        expect_loaded(4, 7, true);
        cr_assert_eq(recovery_news_a(&run, LOG_NEWS_CHECKPOINT_FALLBACK), 5);
        recovery_end(copy);
        (void)recovery_run(copy, &run);
        expect_loaded(4, 7, false);
        recovery_end(copy);
    }
    sim_close(copy);
    sim_close(sim);
}

/* A read error of the named one falls back as well. */
Test(log_checkpoint_load, unreadable_checkpoint_falls_back)
{
    struct sim *sim = make(4, false);
    for (uint32_t i = 1; i <= 2; i++) /* the header page: once as a whole, once alone */
        sim_inject(sim, SIM_OP_READ, "checkpoint.1", i, -EIO);
    (void)recovery_run(sim, &run);
    expect_loaded(4, 7, true);
    sim_close(sim);
}

/* The first checkpoint, when there is no other yet: one that cannot be read is not called damaged,
 * and the next start takes it. */
Test(log_checkpoint_load, unreadable_first_checkpoint_is_no_damage)
{
    struct sim *sim = make(4, false);
    struct env *env = env_sim_process(sim, NULL);
    cr_assert_eq(env_file_unlink(env, "checkpoint.0"), 0);
    cr_assert_eq(env_dir_sync(env, ""), 0);
    sim_crash(sim, SIM_CRASH_KEEP_ALL);
    for (uint32_t i = 1; i <= 2; i++)
        sim_inject(sim, SIM_OP_READ, "checkpoint.1", i, -EIO);
    cr_assert_eq(recovery_run(sim, &run), -EIO, "%s", run.why);
    cr_assert_not_null(strstr(run.why, "the header cannot be read"), "%s", run.why);
    cr_assert_not_null(strstr(run.why, "check the device"), "%s", run.why);
    recovery_end(sim);
    cr_assert_eq(recovery_run(sim, &run), 0, "%s", run.why);
    recovery_end(sim);
    cr_assert_eq(env_file_unlink(env_sim_process(sim, NULL), "checkpoint.1"), 0);
    sim_crash(sim, SIM_CRASH_KEEP_ALL);
    cr_assert_eq(recovery_run(sim, &run), XD_CHECKPOINT_CORRUPT, "%s", run.why);
    sim_close(sim);
}

/* A generation that was whole before meta named it does as the other one. */
Test(log_checkpoint_load, unnamed_next_generation_does_too)
{
    struct sim *sim = make(5, true);
    struct sim *copy = recovery_world(6);
    sim_disk_copy(copy, sim);
    (void)recovery_run(copy, &run);
    expect_loaded(5, 4, false);
    recovery_end(copy);
    sim_disk_copy(copy, sim);
    sim_disk_flip(copy, "checkpoint.1", 4096, 0);
    (void)recovery_run(copy, &run);
    expect_loaded(6, 2, true);
    sim_close(copy);
    sim_close(sim);
}

/* A whole checkpoint that meta does not name is not taken for the named one. */
Test(log_checkpoint_load, hash_in_meta_must_match)
{
    struct sim *sim = make(7, false);
    struct image image;
    recovery_image(sim, &image);
    image.point.index = 2;
    (void)write_checkpoint(&image, 5);
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
    (void)recovery_run(sim, &run);
    expect_loaded(4, 7, true);
    sim_close(sim);
}

/* Without a whole checkpoint the start stops and says what is wrong with each. */
Test(log_checkpoint_load, two_damaged_checkpoints_stop)
{
    struct sim *sim = make(8, false);
    sim_disk_flip(sim, "checkpoint.1", 4096 + 10, 0);
    sim_disk_flip(sim, "checkpoint.0", 10, 0);
    uint64_t hash = sim_disk_hash(sim);
    cr_assert_eq(recovery_run(sim, &run), XD_CHECKPOINT_CORRUPT);
    cr_assert_not_null(strstr(run.why, "generation 5"), "%s", run.why);
    cr_assert_not_null(strstr(run.why, "fold state"), "%s", run.why);
    recovery_end(sim);
    cr_assert_eq(sim_disk_hash(sim), hash);
    sim_close(sim);
}

/* Bends a field of checkpoint.1 under a valid hash, and meta with it. */
static void bend(struct sim *sim, uint32_t at, uint8_t value)
{
    static struct checkpoint_header header;
    static struct meta slots[META_SLOTS];
    sim_disk_peek(sim, "checkpoint.1", 0, &header, sizeof(header));
    ((uint8_t *)&header)[at] = value;
    header.xxh3 = xd_xxh3((uint8_t *)&header + 8, sizeof(header) - 8);
    sim_disk_patch(sim, "checkpoint.1", 0, &header, sizeof(header));
    sim_disk_peek(sim, "meta", 0, slots, sizeof(slots));
    for (uint32_t i = 0; i < META_SLOTS; i++) {
        slots[i].checkpoint_xxh3 = header.xxh3;
        meta_seal(&slots[i]);
    }
    sim_disk_patch(sim, "meta", 0, slots, sizeof(slots));
}

/* A newer release's or another log's checkpoint in the named place is no damage: no fallback. */
Test(log_checkpoint_load, newer_or_foreign_checkpoint_stops)
{
    struct sim *sim = make(9, false);
    struct sim *copy = recovery_world(10);
    sim_disk_copy(copy, sim);
    bend(copy, offsetof(struct checkpoint_header, version), CHECKPOINT_VERSION + 1);
    cr_assert_eq(recovery_run(copy, &run), XD_FORMAT_UNKNOWN);
    recovery_end(copy);
    sim_disk_copy(copy, sim);
    bend(copy, offsetof(struct checkpoint_header, fold_version), CHECKPOINT_FOLD_VERSION + 1);
    cr_assert_eq(recovery_run(copy, &run), XD_FORMAT_UNKNOWN);
    recovery_end(copy);
    sim_disk_copy(copy, sim);
    bend(copy, offsetof(struct checkpoint_header, log_uuid), 1);
    cr_assert_eq(recovery_run(copy, &run), XD_LOG_FOREIGN);
    recovery_end(copy);
    sim_disk_copy(copy, sim);
    bend(copy, offsetof(struct checkpoint_header, state_bytes) + 2, 1);
    cr_assert_eq(recovery_run(copy, &run), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(run.why, "checkpoint_bytes_max"), "%s", run.why);
    sim_close(copy);
    sim_close(sim);
}

/* A checkpoint of another segment size, or of a run that meta has not seen, cannot be this log's.
 */
Test(log_checkpoint_load, checkpoint_that_cannot_be_of_this_log_falls_back)
{
    struct sim *sim = make(11, false);
    struct sim *copy = recovery_world(12);
    sim_disk_copy(copy, sim);
    bend(copy, offsetof(struct checkpoint_header, position) + 2,
         0x80); /* 8 MiB: segment 1 of those */
    bend(copy, offsetof(struct checkpoint_header, segment_bytes) + 2, 0x80);
    (void)recovery_run(copy, &run);
    expect_loaded(4, 7, true);
    recovery_end(copy);
    sim_disk_copy(copy, sim);
    bend(copy, offsetof(struct checkpoint_header, epoch), IMAGE_EPOCH + 1);
    (void)recovery_run(copy, &run);
    expect_loaded(4, 7, true);
    sim_close(copy);
    sim_close(sim);
}

/* A body that cannot be opened or read is passed over like a damaged one; when the other file is
 * damaged too, status and text are of what stood in the way. */
Test(log_checkpoint_load, body_that_cannot_be_read_falls_back)
{
    struct sim *sim = make(13, false);
    struct sim *copy = recovery_world(14);
    for (uint32_t unreadable = 0; unreadable < 2; unreadable++) {
        for (uint32_t damaged = 0; damaged < 2; damaged++) {
            sim_disk_copy(copy, sim);
            if (damaged)
                sim_disk_flip(copy, "checkpoint.0", 10, 0);
            if (!unreadable)
                sim_inject(copy, SIM_OP_FILE_OPEN, "checkpoint.1", 2, -EMFILE);
            for (uint32_t i = 2; i <= 4 && unreadable; i++) /* the whole, again, its first page */
                sim_inject(copy, SIM_OP_READ, "checkpoint.1", i, -EIO);
            (void)recovery_run(copy, &run);
            cr_assert_eq(sim_inject_pending(copy), 0);
            if (!damaged)
                expect_loaded(4, 7, true);
            else
                cr_assert_eq(run.status, unreadable ? -EIO : -EMFILE, "%s", run.why);
            if (damaged)
                cr_assert_not_null(strstr(run.why, unreadable ? "a part of the body cannot be read"
                                                              : "the file cannot be opened"),
                                   "%s", run.why);
            recovery_end(copy);
        }
    }
    sim_close(copy);
    sim_close(sim);
}

#define LARGE_BYTES (3u * SCAN_READ_BYTES + 5000u) /* a state of four reads */

/* A body of several reads comes whole, wherever its parts end; an engine that breaks at any of them
 * ends the load and leaves nothing running. */
Test(log_checkpoint_load, body_of_several_reads_is_whole)
{
    struct sim *sim = recovery_world(15);
    struct image image;
    recovery_image(sim, &image);
    const uint64_t bytes = checkpoint_body_bytes(LARGE_BYTES, LOCAL_BYTES);
    uint8_t *file_bytes = env_mem_alloc(image.env, CHECKPOINT_HEADER_BYTES + bytes);
    struct checkpoint_header *header = (struct checkpoint_header *)(void *)file_bytes;
    for (uint64_t i = 0; i < LARGE_BYTES; i++)
        file_bytes[CHECKPOINT_HEADER_BYTES + i] = (uint8_t)(i * 7 >> 3);
    (void)image_checkpoint(&image, 5, 8, 8);
    memcpy(header, image.memory, sizeof(*header));
    header->state_bytes = LARGE_BYTES;
    header->local_bytes = LOCAL_BYTES;
    checkpoint_seal(header, file_bytes + CHECKPOINT_HEADER_BYTES);
    env_file file;
    cr_assert_eq(env_file_open(image.env, "checkpoint.1", 0, &file), 0);
    cr_assert_eq(
        blocking_write(image.env, file, file_bytes, (uint32_t)(CHECKPOINT_HEADER_BYTES + bytes), 0),
        0);
    env_file_close(image.env, file);
    image.meta.checkpoint_generation = 5;
    image.meta.checkpoint_xxh3 = header->xxh3;

    uint8_t *memory = env_mem_alloc(image.env, bytes);
    uint8_t *scan_memory = env_mem_alloc(image.env, SCAN_BYTES);
    struct env *env = env_bend(image.env);
    struct checkpoint_loaded loaded;
    bool broke = true;
    for (uint64_t nth = 1; broke; nth++) {
        memset(memory, 0, bytes);
        bent.waits = 0;
        bent.wait_breaks = nth;
        int status =
            checkpoint_load(env, &image.meta, memory, bytes, scan_memory, &loaded, run.why);
        broke = bent_broke();
        cr_assert_eq(status, broke ? -EBADF : 0, "%s", run.why);
        bent.wait_breaks = 0;
        struct env_event events[16];
        while (broke && env_wait(env, events, 16, env_now_mono_ns(env) + 1000000000) > 0)
            continue; /* the reads of the broken one */
    }
    cr_assert_eq(loaded.header.generation, 5);
    cr_assert_arr_eq(memory, file_bytes + CHECKPOINT_HEADER_BYTES, bytes);
    sim_close(sim);
}
