/* SPDX-License-Identifier: Apache-2.0
 *
 * Which meta a start begins with: a slot of the file, one made up, or none at all.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "broker/log/meta_load.h"
#include "broker/log/page.h"
#include "tests/support/env_bent.h"
#include "tests/support/log_recovery.h"

static struct meta_loaded loaded;
static char why[XD_DETAIL_BYTES_MAX];

/* A folder with one block and meta of generations 21 and 22. */
static struct sim *make(uint64_t seed)
{
    struct sim *sim = recovery_world(seed);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_data(&image, 6000);
    recovery_image_end(sim, &image);
    return sim;
}

/* What a start would load; the folder is listed as it is. */
static int load_in(struct env *env, const struct meta_expected *expected)
{
    struct folder folder;
    cr_assert_eq(folder_list(env, &folder, why), 0);
    memset(&loaded, 0x77, sizeof(loaded));
    return meta_load(env, &folder, expected, env_mem_alloc(env, META_SLOTS * META_SLOT_BYTES),
                     &loaded, why);
}

static const struct meta_expected fitting = {
    .segment_bytes = IMAGE_SEGMENT_BYTES, .shard = IMAGE_SHARD, .shard_count = IMAGE_SHARD_COUNT};

static int load(struct sim *sim)
{
    return load_in(env_sim_process(sim, NULL), &fitting);
}

/* It stopped with a reason and gave nothing. */
static void expect_refused(int status, int expected, const char *text)
{
    cr_assert_eq(status, expected, "%s", why);
    cr_assert_not_null(strstr(why, text), "%s", why);
    cr_assert_eq(loaded.file, 0x77777777, "outputs stay as they were");
}

/* The newer of two whole slots, with the file open for the log. */
Test(log_meta_load, takes_the_newer_slot)
{
    struct sim *sim = make(1);
    cr_assert_eq(load(sim), 0, "%s", why);
    cr_assert_eq(loaded.meta.generation, 22);
    cr_assert_geq(loaded.file, 0);
    cr_assert_not(loaded.created);
    cr_assert_not(loaded.other_damaged);
    sim_close(sim);
}

/* A damaged slot leaves the other one, and is told by its number. */
Test(log_meta_load, tells_of_a_damaged_slot)
{
    for (uint32_t slot = 0; slot < META_SLOTS; slot++) {
        struct sim *sim = make(2);
        sim_disk_flip(sim, "meta", slot * META_SLOT_BYTES + 70, 3);
        cr_assert_eq(load(sim), 0, "%s", why);
        cr_assert_eq(loaded.meta.generation, 22 - (slot == 0));
        cr_assert(loaded.other_damaged);
        cr_assert_eq(loaded.other_number, slot);
        sim_close(sim);
    }
}

/* A new folder gets an identity of its own; so does one whose meta was not written to its end. */
Test(log_meta_load, makes_one_up_for_an_empty_folder)
{
    uint8_t first[16];
    struct sim *sim = recovery_world(3);
    cr_assert_eq(load(sim), 0, "%s", why);
    cr_assert(loaded.created);
    cr_assert_eq(loaded.file, -1);
    cr_assert_eq(loaded.meta.generation, 0);
    cr_assert_eq(loaded.meta.shard, IMAGE_SHARD);
    cr_assert_eq(loaded.meta.segment_bytes, IMAGE_SEGMENT_BYTES);
    memcpy(first, loaded.meta.log_uuid, sizeof(first));
    sim_crash(sim, SIM_CRASH_KEEP_NONE);

    struct env *env = env_sim_process(sim, NULL);
    env_file file;
    cr_assert_eq(env_file_open(env, FOLDER_META, ENV_OPEN_CREATE, &file), 0);
    env_file_close(env, file);
    cr_assert_eq(load_in(env, &fitting), 0, "%s", why);
    cr_assert(loaded.created);
    cr_assert_geq(loaded.file, 0, "the file that is there is used");
    cr_assert_arr_neq(loaded.meta.log_uuid, first, sizeof(first));
    sim_close(sim);
}

/* Beside anything of a log, a meta that is missing, damaged in both slots or unreadable stops the
 * start, and the text says which of these it is. */
Test(log_meta_load, makes_nothing_up_beside_a_log)
{
    struct sim *sim = make(4);
    struct env *env = env_sim_process(sim, NULL);
    cr_assert_eq(env_file_unlink(env, FOLDER_META), 0);
    expect_refused(load_in(env, &fitting), XD_LOG_CORRUPT, "the file is missing");
    sim_close(sim);

    sim = make(5);
    sim_disk_flip(sim, "meta", 70, 3);
    sim_disk_flip(sim, "meta", META_SLOT_BYTES + 70, 3);
    expect_refused(load(sim), XD_LOG_CORRUPT, "checksum");
    sim_close(sim);

    sim = make(6);
    for (uint32_t i = 1; i <= 3; i++) /* both slots at once, then each alone */
        sim_inject(sim, SIM_OP_READ, "meta", i, -EIO);
    expect_refused(load(sim), XD_LOG_CORRUPT, "it cannot be read");
    sim_close(sim);
}

/* A checkpoint alone is a log too: its wal files may have been lost. */
Test(log_meta_load, makes_nothing_up_beside_a_checkpoint)
{
    struct sim *sim = recovery_world(7);
    struct env *env = env_sim_process(sim, NULL);
    env_file file;
    cr_assert_eq(env_file_open(env, "checkpoint.1", ENV_OPEN_CREATE, &file), 0);
    expect_refused(load_in(env, &fitting), XD_LOG_CORRUPT, "holds a log");
    sim_close(sim);
}

/* Another shard's folder, another count of shards, another segment size: each is named. */
Test(log_meta_load, refuses_a_folder_made_for_something_else)
{
    static const struct {
        struct meta_expected expected; /* */
        int status;                    /* */
        const char *text;              /* */
    } rows[] = {
        {{IMAGE_SEGMENT_BYTES, 0, IMAGE_SHARD_COUNT}, XD_LOG_FOREIGN, "belongs to shard 1, not 0"},
        {{IMAGE_SEGMENT_BYTES, IMAGE_SHARD, 4}, XD_OPTION_INVALID, "2 shards, the options say 4"},
        {{2 * IMAGE_SEGMENT_BYTES, IMAGE_SHARD, IMAGE_SHARD_COUNT},
         XD_OPTION_INVALID,
         "segment_bytes"},
    };
    struct sim *sim = make(8);
    struct env *env = env_sim_process(sim, NULL);
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_refused(load_in(env, &rows[i].expected), rows[i].status, rows[i].text);
    sim_close(sim);
}

/* A newer release's meta is left alone; so is a file that cannot be opened or read. */
Test(log_meta_load, refuses_what_it_cannot_judge)
{
    static struct meta slots[META_SLOTS];
    struct sim *sim = make(9);
    sim_inject(sim, SIM_OP_FILE_OPEN, FOLDER_META, 1, -EACCES);
    expect_refused(load(sim), -EACCES, "check the file's permissions");
    sim_crash(sim, SIM_CRASH_KEEP_NONE);

    struct env *env = env_bend(env_sim_process(sim, NULL));
    bent.wait_breaks = 1;
    expect_refused(load_in(env, &fitting), -EBADF, "reading failed");
    sim_crash(sim, SIM_CRASH_KEEP_NONE);

    sim_disk_peek(sim, "meta", 0, slots, sizeof(slots));
    page_seal(&slots[0], META_MAGIC, META_VERSION + 1);
    sim_disk_patch(sim, "meta", 0, slots, sizeof(slots));
    expect_refused(load(sim), XD_FORMAT_UNKNOWN, "start the release that wrote it");
    sim_close(sim);
}
