/* SPDX-License-Identifier: Apache-2.0
 *
 * What each crash menu of the simulated disk leaves. A kinder disk would fail these tests: each
 * menu must show its damage, not only survive it.
 */
#include "tests/support/sim_bench.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

/* ---- crash menus ----------------------------------------------------------------------------- */

/* Which sectors of the durable file hold `value` (bit per sector), and none holds anything else. */
static uint64_t sectors_with(struct bench *bench, uint32_t count, unsigned value, unsigned other)
{
    uint64_t set = 0;

    for (uint32_t i = 0; i < count; i++) {
        unsigned first = durable_at(bench, i * SECTOR);

        cr_assert(first == value || first == other, "sector %u: %u", i, first);
        cr_assert_eq(durable_at(bench, (i + 1) * SECTOR - 1), first, "sectors are never split");
        if (first == value)
            set |= 1ull << i;
    }
    return set;
}

static bool is_prefix(uint64_t set)
{
    return (set & (set + 1)) == 0;
}

/* One write of 4 pages over zeros, un-synced, then the crash; the sectors that made it. */
static uint64_t crash_one_write(uint64_t seed, enum sim_crash_menu menu, bool delivered)
{
    struct bench bench;
    uint64_t set;

    bench_open(&bench, seed);
    prepare(&bench, 4);
    for (uint32_t i = 0; i < 4; i++)
        memset(bench.pages + i * PAGE, 7, PAGE);
    env_file_write(bench.env, bench.file, bench.pages, 4 * PAGE, 0, 0, 1);
    if (delivered)
        cr_assert_eq(await(&bench, 1), 4 * PAGE);
    cr_assert_eq(sim_crash(bench.sim, menu), menu);
    set = sectors_with(&bench, 32, 7, 0);
    bench_close(&bench);
    return set;
}

/* KEEP_ALL keeps writes in flight too, KEEP_NONE none, KEEP_SUBSET whole ones by chance. */
Test(support_sim_disk, whole_menus_keep_writes_whole)
{
    uint32_t kept = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        bool delivered = seed % 2 == 0;
        uint64_t set = crash_one_write(seed, SIM_CRASH_KEEP_SUBSET, delivered);

        cr_assert_eq(crash_one_write(seed, SIM_CRASH_KEEP_ALL, delivered), 0xffffffff);
        cr_assert_eq(crash_one_write(seed, SIM_CRASH_KEEP_NONE, delivered), 0);
        cr_assert(set == 0 || set == 0xffffffff);
        kept += set != 0;
    }
    cr_assert(kept > SEEDS / 4 && kept < SEEDS * 3 / 4, "%u kept", kept);
}

/* TORN_SECTOR tears the newest write at any sector, as a prefix or with holes, never whole. */
Test(support_sim_disk, torn_sector_menu_tears_at_512_bytes)
{
    uint32_t inside_page = 0;
    uint32_t holes = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t set = crash_one_write(seed, SIM_CRASH_TORN_SECTOR, true);

        cr_assert_neq(set, 0xffffffff);
        holes += !is_prefix(set);
        for (uint32_t page = 0; page < 4; page++)
            inside_page += (set >> page * 8 & 0xff) != 0 && (set >> page * 8 & 0xff) != 0xff;
    }
    cr_assert_gt(inside_page, SEEDS / 4);
    cr_assert_gt(holes, SEEDS / 4);
    cr_assert_lt(holes, SEEDS * 3 / 4);
}

/* TORN_PAGE tears only between pages of 4 KiB. */
Test(support_sim_disk, torn_page_menu_tears_at_4_kib)
{
    uint32_t seen = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        uint64_t set = crash_one_write(seed, SIM_CRASH_TORN_PAGE, true);

        cr_assert_neq(set, 0xffffffff);
        for (uint32_t page = 0; page < 4; page++)
            cr_assert((set >> page * 8 & 0xff) == 0 || (set >> page * 8 & 0xff) == 0xff);
        seen += set != 0;
    }
    cr_assert_gt(seen, SEEDS / 4);
}

/* GARBAGE keeps a prefix of the newest write and puts noise into the sector at the tear. */
Test(support_sim_disk, garbage_menu_fills_the_torn_sector_with_noise)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bench bench;
        uint8_t sector[SECTOR];
        uint32_t i = 0;
        uint32_t noise = 0;

        bench_open(&bench, seed);
        prepare(&bench, 4);
        for (uint32_t page = 0; page < 4; page++)
            memset(bench.pages + page * PAGE, 7, PAGE);
        cr_assert_eq(write_pages(&bench, 0, 4, 0, 0), 4 * PAGE);
        sim_crash(bench.sim, SIM_CRASH_GARBAGE);
        while (durable_at(&bench, i * SECTOR) == 7 && durable_at(&bench, i * SECTOR + 1) == 7)
            i++;
        cr_assert_lt(i, 32);
        cr_assert_eq(sim_disk_peek(bench.sim, "data", i * SECTOR, sector, SECTOR), SECTOR);
        for (uint32_t k = 0; k < SECTOR; k++)
            noise += sector[k] != 7 && sector[k] != 0;
        cr_assert_gt(noise, SECTOR / 2);
        for (i++; i < 32; i++)
            cr_assert_eq(durable_at(&bench, i * SECTOR), 0, "nothing behind the tear");
        bench_close(&bench);
    }
}

/* KEEP_PREFIX keeps the writes that finished before a random moment, whole, over all files. */
Test(support_sim_disk, prefix_menu_keeps_what_finished_first)
{
    uint32_t lengths[9] = {0};

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bench bench;
        unsigned order[8];
        uint32_t kept = 0;

        bench_open(&bench, seed);
        prepare(&bench, 8);
        for (uint32_t i = 0; i < 8; i++)
            env_file_write(bench.env, bench.file, bench.pages + i * PAGE, PAGE, i * PAGE, 0, i);
        for (uint32_t i = 0; i < 8; i++) {
            struct env_event event;

            cr_assert_eq(env_wait(bench.env, &event, 1, UINT64_MAX), 1);
            order[i] = (unsigned)event.token;
        }
        sim_crash(bench.sim, SIM_CRASH_KEEP_PREFIX);
        while (kept < 8 && durable_at(&bench, order[kept] * PAGE) == order[kept] + 1)
            kept++;
        for (uint32_t i = kept; i < 8; i++)
            cr_assert_eq(durable_at(&bench, order[i] * PAGE), 0, "behind the moment");
        lengths[kept]++;
        bench_close(&bench);
    }
    for (uint32_t i = 0; i <= 8; i++)
        cr_assert_gt(lengths[i], 0, "length %u never came up", i);
}

/* SIZE_LOST cuts a file at its last synced size although its data had been written. */
Test(support_sim_disk, size_menu_cuts_at_the_synced_size)
{
    struct bench bench;

    bench_open(&bench, 11);
    cr_assert_eq(write_pages(&bench, 0, 1, 0, 0), PAGE);
    cr_assert_eq(sync_file(&bench), 0);
    cr_assert_eq(write_pages(&bench, 4, 3, 0, 0), 3 * PAGE);
    sim_crash(bench.sim, SIM_CRASH_SIZE_LOST);
    cr_assert_eq(sim_disk_durable_bytes(bench.sim, "data"), PAGE);
    cr_assert_eq(durable_at(&bench, 0), 5, "data inside the size is kept");
    /* What was cut off reads as zero when the file grows again. */
    bench.env = env_sim_process(bench.sim, NULL);
    bench.pages = env_mem_alloc(bench.env, 64 * PAGE);
    cr_assert_eq(env_file_open(bench.env, "data", 0, &bench.file), 0);
    prepare(&bench, 3);
    cr_assert_eq(page_read(&bench, 1), 0);
    bench_close(&bench);
}

/* A name without dir_sync is lost with NAMES_LOST, whatever was synced inside the file. */
Test(support_sim_disk, names_menu_loses_what_dir_sync_did_not_cover)
{
    struct bench bench;
    env_file file;

    bench_open(&bench, 12);
    cr_assert_eq(env_file_open(bench.env, "fresh", ENV_OPEN_CREATE, &file), 0);
    env_file_write(bench.env, file, bench.pages, PAGE, 0, ENV_WRITE_DSYNC, 9);
    cr_assert_eq(await(&bench, 9), PAGE);
    cr_assert_eq(write_pages(&bench, 0, 1, 0, ENV_WRITE_DSYNC), PAGE);
    cr_assert_eq(env_file_rename(bench.env, "data", "renamed"), 0);
    sim_crash(bench.sim, SIM_CRASH_NAMES_LOST);
    cr_assert_eq(sim_disk_durable_bytes(bench.sim, "fresh"), -ENOENT);
    cr_assert_eq(sim_disk_durable_bytes(bench.sim, "renamed"), -ENOENT);
    cr_assert_eq(sim_disk_durable_bytes(bench.sim, "data"), PAGE, "under its old name");
    bench_close(&bench);
}

/* After dir_sync creations, renames over a target and unlinks are all durable. */
Test(support_sim_disk, dir_sync_makes_names_durable)
{
    struct bench bench;
    env_file file;

    bench_open(&bench, 13);
    cr_assert_eq(env_dir_make(bench.env, "sub"), 0);
    cr_assert_eq(env_file_open(bench.env, "a", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_file_open(bench.env, "b", ENV_OPEN_CREATE, &file), 0);
    env_file_write(bench.env, file, bench.pages, PAGE, 0, ENV_WRITE_DSYNC, 9);
    cr_assert_eq(await(&bench, 9), PAGE);
    cr_assert_eq(env_file_rename(bench.env, "b", "a"), 0);
    cr_assert_eq(env_file_unlink(bench.env, "data"), 0);
    cr_assert_eq(env_dir_sync(bench.env, ""), 0);
    cr_assert_eq(env_file_rename(bench.env, "a", "sub/a"), 0);
    sim_crash(bench.sim, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(sim_disk_durable_bytes(bench.sim, "a"), PAGE, "the last rename was not synced");
    cr_assert_eq(sim_disk_durable_bytes(bench.sim, "b"), -ENOENT);
    cr_assert_eq(sim_disk_durable_bytes(bench.sim, "data"), -ENOENT);
    cr_assert_eq(sim_disk_durable_bytes(bench.sim, "sub/a"), -ENOENT);
    bench_close(&bench);
}

/* A rename between folders never shows the file twice or not at all, whichever folder is synced. */
Test(support_sim_disk, rename_between_folders_is_atomic)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct bench bench;
        int64_t old;
        int64_t new;

        bench_open(&bench, seed);
        cr_assert_eq(env_dir_make(bench.env, "sub"), 0);
        cr_assert_eq(env_dir_sync(bench.env, ""), 0);
        cr_assert_eq(env_file_rename(bench.env, "data", "middle"), 0);
        cr_assert_eq(env_file_rename(bench.env, "middle", "sub/new"), 0);
        if (seed % 2 == 0)
            cr_assert_eq(env_dir_sync(bench.env, "sub"), 0);
        sim_crash(bench.sim, seed % 2 == 0 ? SIM_CRASH_KEEP_NONE : SIM_CRASH_TORN_SECTOR);
        old = sim_disk_durable_bytes(bench.sim, "data");
        new = sim_disk_durable_bytes(bench.sim, "sub/new");
        if (seed % 2 == 0)
            cr_assert(old == -ENOENT && new == 0);
        else
            cr_assert_eq(
                (old == 0) + (new == 0) + (sim_disk_durable_bytes(bench.sim, "middle") == 0), 1);
        bench_close(&bench);
    }
}
