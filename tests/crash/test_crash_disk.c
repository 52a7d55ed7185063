/* SPDX-License-Identifier: Apache-2.0
 *
 * The replayed disk takes nothing for safe that a real one may lose, and nothing for lost that it
 * must keep. Each test traces a few operations and asks which crash images there are.
 */
#include "tests/crash/crash_disk.h"

#include "tests/crash/crash_choice.h"
#include "tests/support/sim_world.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define PAGE 4096u
#define SEED 7u

/* One test's world. */
static struct sim *sim;
static struct env *env;
static struct env_trace trace;
static struct sim_snapshot start; /* an empty disk */
static struct sim_snapshot image; /* the newest one made */
static struct crash_disk disk;
static struct crash_plan plan;
static uint8_t *pages; /* page i is filled with i + 1 */

static void setup(void)
{
    struct sim_options options;

    sim_options_init(&options, 1);
    sim = sim_open(&options);
    sim_snapshot_init(&start, sim);
    sim_snapshot_init(&image, sim);
    env_trace_init(&trace, 1u << 24);
    env = env_trace_process(&trace, env_sim_process(sim, NULL));
    pages = env_mem_alloc(env, 8 * PAGE);
    for (uint32_t i = 0; i < 8; i++)
        memset(pages + i * PAGE, (int)i + 1, PAGE);
}

static void end(void)
{
    sim_snapshot_clear(&image);
    sim_snapshot_deinit(&image);
    sim_snapshot_deinit(&start);
    crash_disk_deinit(&disk);
    env_trace_deinit(&trace);
    sim_close(sim);
}

static int32_t await(void)
{
    struct env_event event;

    cr_assert_eq(env_wait(env, &event, 1, UINT64_MAX), 1);
    return event.result;
}

/* A file of 8 pages of zeros with a durable name and size. */
static env_file file_make(const char *name)
{
    env_file file;

    cr_assert_eq(env_file_open(env, name, ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_file_reserve(env, file, 8 * PAGE), 0);
    env_file_sync(env, file, 1);
    cr_assert_eq(await(), 0);
    cr_assert_eq(env_dir_sync(env, ""), 0);
    return file;
}

static void write_start(env_file file, uint32_t page, uint32_t flags)
{
    env_file_write(env, file, pages + page * PAGE, PAGE, (uint64_t)page * PAGE, flags, 2);
}

static void write_page(env_file file, uint32_t page, uint32_t flags)
{
    write_start(file, page, flags);
    (void)await(); /* a planned failure is part of some tests */
}

/* Takes in the whole trace, from the start. */
static void replay(void)
{
    crash_disk_deinit(&disk);
    crash_disk_init(&disk, &trace, &start);
    while (disk.next_row < trace.row_count)
        crash_disk_step(&disk);
}

/* Makes a choice; the hash of its image. */
static uint64_t choose(uint32_t choice)
{
    (void)crash_choice_make(&disk, SEED, choice, &plan);
    return crash_disk_image(&disk, &plan, &image);
}

static const struct sim_snapshot_file *file_of(const char *name)
{
    for (uint32_t i = 0; i < image.count; i++)
        if (strcmp(image.files[i].name, name) == 0)
            return &image.files[i];
    return NULL;
}

/* First byte of a page in the image. */
static uint8_t byte_at(const char *name, uint64_t position)
{
    const struct sim_snapshot_file *file = file_of(name);
    uint8_t byte;

    cr_assert_not_null(file);
    image_read(&file->image, position, &byte, 1);
    return byte;
}

/* Nothing is safe before its event, a DSYNC write is with it. */
Test(crash_disk, dsync_write_is_safe_with_its_event, .init = setup, .fini = end)
{
    env_file file = file_make("a");
    write_start(file, 0, ENV_WRITE_DSYNC);
    replay();
    (void)choose(0);
    cr_assert_eq(byte_at("a", 0), 0);
    (void)choose(1);
    cr_assert_eq(byte_at("a", 0), 1);
    cr_assert_eq(await(), PAGE);
    replay();
    (void)choose(0);
    cr_assert_eq(byte_at("a", 0), 1);
    cr_assert_eq(crash_choice_whole(&disk), 3, "nothing is at stake");
}

/* A sync covers the writes that had ended when it was started, in its own file, once it has ended.
 */
Test(crash_disk, sync_covers_what_ended_before_it, .init = setup, .fini = end)
{
    env_file a = file_make("a");
    env_file b = file_make("b");
    write_page(a, 0, 0);
    write_page(b, 0, 0);
    write_start(a, 1, 0);
    env_file_sync(env, a, 3);
    replay();
    (void)choose(0);
    cr_assert_eq(byte_at("a", 0), 0, "the sync has not ended");
    (void)await();
    (void)await();
    replay();
    (void)choose(0);
    cr_assert_eq(byte_at("a", 0), 1);
    cr_assert_eq(byte_at("a", PAGE), 0, "still in flight when the sync was started");
    cr_assert_eq(byte_at("b", 0), 0, "another file");
    (void)choose(1);
    cr_assert_eq(byte_at("a", PAGE), 2);
    cr_assert_eq(byte_at("b", 0), 1);
}

/* Every subset of writes not safe is a state, and no two numbers are the same one. */
Test(crash_disk, few_writes_are_enumerated, .init = setup, .fini = end)
{
    env_file file = file_make("a");
    for (uint32_t page = 0; page < 3; page++)
        write_page(file, page, 0);
    replay();
    cr_assert_eq(crash_choice_whole(&disk), 2 + 8);
    for (uint32_t i = 2; i < 10; i++)
        for (uint32_t j = 2; j < i; j++)
            cr_assert_neq(choose(i), choose(j));
    cr_assert_eq(choose(2), choose(0));
    cr_assert_eq(choose(9), choose(1));
}

/* After a failed sync neither it nor a second one makes the writes safe; reading them back and then
 * another sync does. */
Test(crash_disk, failed_sync_leaves_doubt_until_read_back, .init = setup, .fini = end)
{
    env_file file = file_make("a");
    write_page(file, 0, 0);
    env_trace_fail_sync(&trace, 1);
    for (uint32_t i = 0; i < 2; i++) {
        env_file_sync(env, file, 3);
        cr_assert_eq(await(), i == 0 ? -EIO : 0);
        replay();
        (void)choose(0);
        cr_assert_eq(byte_at("a", 0), 0);
    }
    env_file_read(env, file, pages + 7 * PAGE, PAGE, 0, 4);
    cr_assert_eq(await(), PAGE);
    env_file_sync(env, file, 3);
    cr_assert_eq(await(), 0);
    replay();
    (void)choose(0);
    cr_assert_eq(byte_at("a", 0), 1);
}

/* What a killed process had written stays at stake until someone syncs it. */
Test(crash_disk, killed_process_leaves_its_writes_at_stake, .init = setup, .fini = end)
{
    env_file file = file_make("a");
    write_start(file, 0, ENV_WRITE_DSYNC);
    sim_crash(sim, SIM_CRASH_KEEP_ALL);
    env = env_trace_process(&trace, env_sim_process(sim, NULL));
    cr_assert_eq(env_file_open(env, "a", 0, &file), 0);
    replay();
    (void)choose(0);
    cr_assert_eq(byte_at("a", 0), 0);
    env_file_sync(env, file, 3);
    cr_assert_eq(await(), 0);
    replay();
    (void)choose(0);
    cr_assert_eq(byte_at("a", 0), 1);
}

/* Names and sizes that nobody has synced are kept as a prefix of their sequence. */
Test(crash_disk, names_and_sizes_are_lost_from_the_end, .init = setup, .fini = end)
{
    env_file file;
    cr_assert_eq(env_file_open(env, "a", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_file_reserve(env, file, PAGE), 0);
    cr_assert_eq(env_file_rename(env, "a", "b"), 0);
    replay();
    cr_assert_eq(crash_disk_changes(&disk), 3);
    memset(&plan, 0, sizeof(plan));
    for (plan.changes_kept = 0; plan.changes_kept <= 3; plan.changes_kept++) {
        (void)crash_disk_image(&disk, &plan, &image);
        const struct sim_snapshot_file *found = file_of(plan.changes_kept < 3 ? "a" : "b");
        cr_assert_eq(image.count, plan.changes_kept > 0);
        cr_assert_eq(found != NULL, plan.changes_kept > 0);
        cr_assert(found == NULL || found->bytes == (plan.changes_kept < 2 ? 0 : PAGE));
    }
    cr_assert_eq(env_dir_sync(env, ""), 0);
    env_file_sync(env, file, 3);
    cr_assert_eq(await(), 0);
    replay();
    (void)choose(0);
    cr_assert_eq(file_of("b")->bytes, PAGE);
    cr_assert_null(file_of("a"));
}

/* A torn write stores some grains and leaves the others as they were; garbage fills one sector. */
Test(crash_disk, torn_write_stores_grains, .init = setup, .fini = end)
{
    env_file file = file_make("a");
    write_page(file, 2, 0);
    replay();
    memset(&plan, 0, sizeof(plan));
    plan.fates[0] = (struct crash_fate){
        .kind = CRASH_FATE_PREFIX, .grain = SIM_SECTOR_BYTES, .first = 3, .seed = 5};
    (void)crash_disk_image(&disk, &plan, &image);
    for (uint32_t sector = 0; sector < 8; sector++)
        cr_assert_eq(byte_at("a", 2 * PAGE + sector * SIM_SECTOR_BYTES), sector < 3 ? 3 : 0);
    plan.fates[0].kind = CRASH_FATE_HOLE;
    plan.fates[0].count = 2;
    uint64_t hole = crash_disk_image(&disk, &plan, &image);
    for (uint32_t sector = 0; sector < 8; sector++)
        cr_assert_eq(byte_at("a", 2 * PAGE + sector * SIM_SECTOR_BYTES),
                     sector == 3 || sector == 4 ? 0 : 3);
    plan.fates[0].garbage = true;
    cr_assert_neq(crash_disk_image(&disk, &plan, &image), hole);
    cr_assert_eq(byte_at("a", 2 * PAGE + 5 * SIM_SECTOR_BYTES), 3);
}

/* A number always gives the same state; other numbers give others. */
Test(crash_disk, choice_is_the_same_every_time, .init = setup, .fini = end)
{
    env_file file = file_make("a");
    uint64_t hashes[64];
    uint32_t different = 0;
    for (uint32_t page = 0; page < 6; page++)
        write_start(file, page, page % 2 == 0 ? ENV_WRITE_DSYNC : 0);
    replay();
    for (uint32_t i = 0; i < 64; i++)
        hashes[i] = choose(1000 + i);
    replay();
    for (uint32_t i = 64; i-- > 0;) {
        cr_assert_eq(choose(1000 + i), hashes[i]);
        different += i > 0 && hashes[i] != hashes[i - 1];
    }
    cr_assert_gt(different, 50);
}
