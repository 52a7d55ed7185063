/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated disk: what a sync covers, which errors lose what, what tests can do to it. Storage
 * tests rest on these rules, so each rule has a test that a kinder disk would fail.
 */
#include "tests/support/sim_bench.h"

#include "broker/base/prng.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

/* ---- syncs ----------------------------------------------------------------------------------- */

/* What was never synced is gone after a crash that keeps nothing; what was synced is there. */
Test(support_sim_disk, sync_is_what_makes_a_write_durable)
{
    struct bench bench;

    bench_open(&bench, 1);
    cr_assert_eq(write_pages(&bench, 0, 2, 0, 0), 2 * PAGE);
    cr_assert_eq(durable_at(&bench, 0), 0xffff, "written, not durable");
    cr_assert_eq(sync_file(&bench), 0);
    cr_assert_eq(durable_at(&bench, PAGE), 2);
    cr_assert_eq(write_pages(&bench, 5, 1, 0, 0), PAGE);
    cr_assert_eq(page_read(&bench, 0), 6, "reads see the newest data");
    sim_crash(bench.sim, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(durable_at(&bench, 0), 1);
    cr_assert_eq(durable_at(&bench, PAGE), 2);
    bench_close(&bench);
}

/* A sync that was started before the event of a write had been delivered does not cover it, even
 * when it finishes later. */
Test(support_sim_disk, sync_covers_only_writes_delivered_before_its_start)
{
    uint32_t late = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bench bench;
        struct env_event event;
        bool write_first;

        bench_open(&bench, seed);
        prepare(&bench, 4);
        cr_assert_eq(write_pages(&bench, 0, 1, 0, 0), PAGE);
        env_file_write(bench.env, bench.file, bench.pages + PAGE, PAGE, PAGE, 0, 1);
        env_file_sync(bench.env, bench.file, 2);
        cr_assert_eq(env_wait(bench.env, &event, 1, UINT64_MAX), 1);
        write_first = event.token == 1;
        late += write_first;
        cr_assert_eq(env_wait(bench.env, &event, 1, UINT64_MAX), 1);
        cr_assert_eq(durable_at(&bench, 0), 1, "delivered before the start");
        cr_assert_eq(durable_at(&bench, PAGE), 0, "delivered after the start");
        sim_crash(bench.sim, SIM_CRASH_KEEP_NONE);
        cr_assert_eq(durable_at(&bench, PAGE), 0);
        bench_close(&bench);
    }
    cr_assert(late > SEEDS / 10 && late < SEEDS, "%u: both sequences must occur", late);
}

/* A size that was reserved after the start of a sync is not covered by it. */
Test(support_sim_disk, sync_covers_only_a_size_reserved_before_its_start)
{
    struct bench bench;

    bench_open(&bench, 2);
    cr_assert_eq(env_file_reserve(bench.env, bench.file, 2 * PAGE), 0);
    env_file_sync(bench.env, bench.file, 2);
    cr_assert_eq(env_file_reserve(bench.env, bench.file, 9 * PAGE), 0);
    cr_assert_eq(await(&bench, 2), 0);
    cr_assert_eq(sim_disk_durable_bytes(bench.sim, "data"), 2 * PAGE);
    bench_close(&bench);
}

/* A part of a page written anew without sync leaves the durable rest and the durable part alone. */
Test(support_sim_disk, part_of_a_page_is_durable_on_its_own)
{
    struct bench bench;

    bench_open(&bench, 4);
    cr_assert_eq(write_pages(&bench, 0, 1, 0, ENV_WRITE_DSYNC), PAGE);
    env_file_close(bench.env, bench.file);
    cr_assert_eq(env_file_open(bench.env, "data", ENV_OPEN_BUFFERED, &bench.file), 0);
    env_file_write(bench.env, bench.file, bench.pages + PAGE, 100, 1000, 0, 1);
    cr_assert_eq(await(&bench, 1), 100);
    env_file_read(bench.env, bench.file, bench.pages + 8 * PAGE, PAGE, 0, 1);
    cr_assert_eq(await(&bench, 1), PAGE);
    for (uint32_t i = 0; i < PAGE; i++) {
        cr_assert_eq(bench.pages[8 * PAGE + i], i >= 1000 && i < 1100 ? 2 : 1);
        cr_assert_eq(durable_at(&bench, i), 1);
    }
    cr_assert_eq(sync_file(&bench), 0);
    for (uint32_t i = 0; i < PAGE; i++)
        cr_assert_eq(durable_at(&bench, i), i >= 1000 && i < 1100 ? 2 : 1);
    bench_close(&bench);
}

/* With DSYNC the event of a write means that its bytes are durable, and only its own. */
Test(support_sim_disk, dsync_makes_its_own_bytes_durable)
{
    struct bench bench;

    bench_open(&bench, 3);
    prepare(&bench, 4);
    cr_assert_eq(write_pages(&bench, 0, 1, 0, 0), PAGE);
    cr_assert_eq(write_pages(&bench, 1, 1, 1, ENV_WRITE_DSYNC), PAGE);
    sim_crash(bench.sim, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(durable_at(&bench, 0), 0);
    cr_assert_eq(durable_at(&bench, PAGE), 2);
    bench_close(&bench);
}

/* An older write without sync cannot come back over a newer durable one. */
Test(support_sim_disk, older_write_does_not_return_over_a_durable_one)
{
    for (int menu = 0; menu < SIM_CRASH_MENU_COUNT; menu++) {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            struct bench bench;

            bench_open(&bench, seed);
            prepare(&bench, 4);
            cr_assert_eq(write_pages(&bench, 0, 3, 0, 0), 3 * PAGE);
            cr_assert_eq(write_pages(&bench, 9, 1, 1, ENV_WRITE_DSYNC), PAGE);
            sim_crash(bench.sim, (enum sim_crash_menu)menu);
            for (uint32_t at = PAGE; at < 2 * PAGE; at += SECTOR)
                cr_assert_eq(durable_at(&bench, at), 10, "menu %d", menu);
            bench_close(&bench);
        }
    }
}

/* A failed sync loses the data: reads show the old bytes, and the next sync succeeds. */
Test(support_sim_disk, failed_sync_loses_data_and_the_next_one_succeeds)
{
    uint32_t lost = 0;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bench bench;

        bench_open(&bench, seed);
        prepare(&bench, 8);
        cr_assert_eq(write_pages(&bench, 0, 8, 0, 0), 8 * PAGE);
        sim_inject(bench.sim, SIM_OP_SYNC, "data", 1, -EIO);
        cr_assert_eq(sync_file(&bench), -EIO);
        cr_assert_eq(sync_file(&bench), 0, "the kernel forgets the error");
        for (uint32_t page = 0; page < 8; page++) {
            unsigned byte = page_read(&bench, page);

            cr_assert(byte == 0 || byte == page + 1);
            cr_assert_eq(durable_at(&bench, page * PAGE), byte, "reads show the device");
            lost += byte == 0;
        }
        bench_close(&bench);
    }
    cr_assert_gt(lost, SEEDS, "%u pages lost", lost);
}

/* Through the page cache the lost bytes stay readable until the crash takes them. */
Test(support_sim_disk, failed_sync_of_a_buffered_file_shows_what_is_lost)
{
    struct bench bench;
    bool lost = false;

    bench_open(&bench, 7);
    prepare(&bench, 8);
    env_file_close(bench.env, bench.file);
    cr_assert_eq(env_file_open(bench.env, "data", ENV_OPEN_BUFFERED, &bench.file), 0);
    cr_assert_eq(write_pages(&bench, 0, 8, 0, 0), 8 * PAGE);
    sim_inject(bench.sim, SIM_OP_SYNC, NULL, 1, -EIO);
    cr_assert_eq(sync_file(&bench), -EIO);
    cr_assert_eq(sync_file(&bench), 0);
    for (uint32_t page = 0; page < 8; page++) {
        cr_assert_eq(page_read(&bench, page), page + 1);
        for (uint32_t at = 0; at < PAGE; at += SECTOR)
            lost |= durable_at(&bench, page * PAGE + at) == 0;
    }
    cr_assert(lost);
    bench_close(&bench);
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* The write that meets the end of space is short at a sector, then everything is -ENOSPC until
 * there is space again. */
Test(support_sim_disk, space_ends_at_the_byte_asked_for)
{
    struct bench bench;

    bench_open(&bench, 21);
    prepare(&bench, 8);
    sim_space_limit(bench.sim, 2 * PAGE + SECTOR + 100);
    cr_assert_eq(write_pages(&bench, 0, 1, 0, 0), PAGE);
    cr_assert_eq(write_pages(&bench, 1, 2, 1, 0), PAGE + SECTOR);
    cr_assert_eq(write_pages(&bench, 3, 1, 3, 0), -ENOSPC);
    cr_assert_eq(env_file_reserve(bench.env, bench.file, 100 * PAGE), -ENOSPC);
    cr_assert_eq(page_read(&bench, 1), 2);
    cr_assert_eq(page_read(&bench, 2), 3, "the part that fitted");
    cr_assert_eq(page_read(&bench, 3), 0);
    sim_space_limit(bench.sim, UINT64_MAX);
    cr_assert_eq(write_pages(&bench, 3, 1, 3, 0), PAGE);
    bench_close(&bench);
}

/* A disk of fixed capacity refuses to grow files beyond it, and unlinking gives space back. */
Test(support_sim_disk, capacity_limits_all_files_together)
{
    struct sim_options options;
    struct bench bench = {0};
    uint64_t free_bytes;
    uint64_t total_bytes;

    sim_options_init(&options, 22);
    options.disk_bytes = 10 * PAGE;
    bench.sim = sim_open(&options);
    bench.env = env_sim_process(bench.sim, NULL);
    bench.pages = env_mem_alloc(bench.env, 64 * PAGE);
    cr_assert_eq(env_file_open(bench.env, "data", ENV_OPEN_CREATE, &bench.file), 0);
    cr_assert_eq(env_file_reserve(bench.env, bench.file, 11 * PAGE), -ENOSPC);
    cr_assert_eq(env_file_reserve(bench.env, bench.file, 8 * PAGE), 0);
    cr_assert_eq(write_pages(&bench, 0, 4, 7, 0), 3 * PAGE, "one page inside, two beyond");
    cr_assert_eq(env_disk_free(bench.env, &free_bytes, &total_bytes), 0);
    cr_assert_eq(free_bytes, 0);
    cr_assert_eq(total_bytes, 10 * PAGE);
    env_file_close(bench.env, bench.file);
    cr_assert_eq(env_file_unlink(bench.env, "data"), 0);
    cr_assert_eq(env_dir_sync(bench.env, ""), 0);
    cr_assert_eq(env_disk_free(bench.env, &free_bytes, &total_bytes), 0);
    cr_assert_eq(free_bytes, 10 * PAGE);
    bench_close(&bench);
}

/* An injection meets exactly the operation it names: kind, file and number. */
Test(support_sim_disk, injection_meets_the_operation_it_names)
{
    struct bench bench;
    env_file other;

    bench_open(&bench, 23);
    cr_assert_eq(env_file_open(bench.env, "other", ENV_OPEN_CREATE, &other), 0);
    sim_inject(bench.sim, SIM_OP_WRITE, "dat", 2, -EIO);
    sim_inject(bench.sim, SIM_OP_WRITE, "dat", 3, SECTOR);
    sim_inject(bench.sim, SIM_OP_READ, NULL, 1, -EIO);
    sim_inject(bench.sim, SIM_OP_FILE_OPEN, "third", 1, -EMFILE);
    cr_assert_eq(write_pages(&bench, 0, 1, 0, 0), PAGE);
    env_file_write(bench.env, other, bench.pages, PAGE, 0, 0, 1);
    cr_assert_eq(await(&bench, 1), PAGE, "another file does not count");
    cr_assert_eq(write_pages(&bench, 0, 1, 1, 0), -EIO);
    cr_assert_eq(write_pages(&bench, 0, 1, 1, 0), SECTOR, "short");
    cr_assert_eq(page_read(&bench, 0), 0xffff);
    cr_assert_eq(page_read(&bench, 0), 1);
    cr_assert_eq(env_file_open(bench.env, "third", ENV_OPEN_CREATE, &other), -EMFILE);
    cr_assert_eq(env_file_open(bench.env, "third", ENV_OPEN_CREATE, &other), 0);
    cr_assert_eq(sim_inject_pending(bench.sim), 0);
    cr_assert_eq(sim_op_count(bench.sim, SIM_OP_WRITE), 4);
    bench_close(&bench);
}

/* O_DIRECT wants position, length and memory in whole pages. */
Test(support_sim_disk, misaligned_direct_operations_are_refused)
{
    struct bench bench;

    bench_open(&bench, 24);
    prepare(&bench, 4);
    env_file_write(bench.env, bench.file, bench.pages, PAGE, 512, 0, 1);
    cr_assert_eq(await(&bench, 1), -EINVAL);
    env_file_write(bench.env, bench.file, bench.pages, 512, 0, 0, 1);
    cr_assert_eq(await(&bench, 1), -EINVAL);
    env_file_read(bench.env, bench.file, bench.pages + 8, PAGE, 0, 1);
    cr_assert_eq(await(&bench, 1), -EINVAL);
    bench_close(&bench);
}

/* ---- patches and copies ---------------------------------------------------------------------- */

/* A patch and a flip change durable bytes and what the process reads. */
Test(support_sim_disk, patches_are_seen_by_reads_and_by_crashes)
{
    struct bench bench;
    uint8_t patch[3] = {9, 9, 9};

    bench_open(&bench, 33);
    cr_assert_eq(write_pages(&bench, 0, 2, 0, ENV_WRITE_DSYNC), 2 * PAGE);
    cr_assert_eq(sim_disk_patch(bench.sim, "data", PAGE - 1, patch, 3), 0);
    cr_assert_eq(sim_disk_flip(bench.sim, "data", 0, 7), 0);
    cr_assert_eq(page_read(&bench, 0), 0x81);
    cr_assert_eq(page_read(&bench, 1), 9);
    cr_assert_eq(durable_at(&bench, PAGE - 1), 9);
    cr_assert_eq(durable_at(&bench, PAGE + 2), 2);
    cr_assert_eq(sim_disk_flip(bench.sim, "none", 0, 0), -ENOENT);
    bench_close(&bench);
}

/* A copy crashes on its own: the same moment can be tried with every menu, and the source goes on
 * undisturbed. */
Test(support_sim_disk, copies_of_one_moment_crash_independently)
{
    struct bench bench;
    struct sim_options options;
    struct sim *copy;
    uint64_t before;
    uint64_t hashes[SIM_CRASH_MENU_COUNT];

    bench_open(&bench, 41);
    prepare(&bench, 8);
    cr_assert_eq(write_pages(&bench, 0, 4, 0, 0), 4 * PAGE);
    env_file_write(bench.env, bench.file, bench.pages + 8 * PAGE, 4 * PAGE, 4 * PAGE, 0, 1);
    cr_assert_eq(env_file_rename(bench.env, "data", "moved"), 0);
    before = sim_disk_hash(bench.sim);
    sim_options_init(&options, 42);
    copy = sim_open(&options);
    for (int menu = 0; menu < SIM_CRASH_MENU_COUNT; menu++) {
        sim_disk_copy(copy, bench.sim);
        cr_assert_eq(sim_disk_unsynced_bytes(copy), 8 * PAGE);
        cr_assert_eq(sim_disk_hash(copy), before);
        sim_crash(copy, (enum sim_crash_menu)menu);
        hashes[menu] = sim_disk_hash(copy);
        cr_assert_eq(sim_disk_unsynced_bytes(copy), 0);
    }
    cr_assert_eq(hashes[SIM_CRASH_KEEP_NONE], before);
    cr_assert_neq(hashes[SIM_CRASH_KEEP_ALL], before);
    cr_assert_eq(sim_disk_hash(bench.sim), before, "the source is as it was");
    cr_assert_eq(await(&bench, 1), 4 * PAGE);
    sim_crash(bench.sim, SIM_CRASH_KEEP_ALL);
    cr_assert_eq(sim_disk_hash(bench.sim), hashes[SIM_CRASH_KEEP_ALL]);
    sim_close(copy);
    bench_close(&bench);
}

/* ---- against a plain model ------------------------------------------------------------------- */

#define MODEL_BYTES (6 * PAGE)

/* One file as two arrays: what reads see, and what a crash leaves. */
struct model {
    uint8_t newest[MODEL_BYTES];
    uint8_t durable[MODEL_BYTES];
    uint32_t newest_bytes;
    uint32_t durable_bytes;
};

static void model_write(struct bench *bench, struct model *model, struct prng *prng)
{
    uint32_t at = (uint32_t)prng_below(prng, MODEL_BYTES);
    uint32_t bytes = 1 + (uint32_t)prng_below(prng, MODEL_BYTES - at);
    bool dsync = prng_below(prng, 4) == 0;
    uint8_t value = (uint8_t)prng_below(prng, 4);

    memset(bench->pages, value, bytes); /* 0 among them: pages of zeros are not stored */
    env_file_write(bench->env, bench->file, bench->pages, bytes, at, dsync ? ENV_WRITE_DSYNC : 0,
                   1);
    cr_assert_eq(await(bench, 1), (int32_t)bytes);
    memset(model->newest + at, value, bytes);
    if (at + bytes > model->newest_bytes)
        model->newest_bytes = at + bytes;
    if (!dsync)
        return;
    memset(model->durable + at, value, bytes);
    if (at + bytes > model->durable_bytes)
        model->durable_bytes = model->newest_bytes;
}

static void model_compare(struct bench *bench, const struct model *model)
{
    static uint8_t durable[MODEL_BYTES];
    uint8_t *in = bench->pages + 32 * PAGE;

    env_file_read(bench->env, bench->file, in, MODEL_BYTES, 0, 3);
    cr_assert_eq(await(bench, 3), (int32_t)model->newest_bytes);
    cr_assert_arr_eq(in, model->newest, model->newest_bytes);
    cr_assert_eq(sim_disk_durable_bytes(bench->sim, "data"), model->durable_bytes);
    cr_assert_eq(sim_disk_peek(bench->sim, "data", 0, durable, MODEL_BYTES), model->durable_bytes);
    cr_assert_arr_eq(durable, model->durable, model->durable_bytes);
}

/* Writes of any length at any place, syncs and crashes keep both images equal to plain arrays. */
Test(support_sim_disk, images_equal_plain_arrays)
{
    static struct model model;

    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bench bench;
        struct prng prng;

        prng_seed(&prng, seed);
        memset(&model, 0, sizeof(model));
        bench_open(&bench, seed);
        env_file_close(bench.env, bench.file);
        for (uint32_t step = 0; step < 30; step++) {
            uint64_t choice = prng_below(&prng, 10);

            cr_assert_eq(env_file_open(bench.env, "data", ENV_OPEN_BUFFERED, &bench.file), 0);
            if (choice < 7) {
                model_write(&bench, &model, &prng);
            } else if (choice < 9) {
                cr_assert_eq(sync_file(&bench), 0);
                memcpy(model.durable, model.newest, MODEL_BYTES);
                model.durable_bytes = model.newest_bytes;
            }
            model_compare(&bench, &model);
            env_file_close(bench.env, bench.file);
            if (choice < 9)
                continue;
            /* Beyond its size a file that grows again reads as zero. */
            memset(model.durable + model.durable_bytes, 0, MODEL_BYTES - model.durable_bytes);
            memcpy(model.newest, model.durable, MODEL_BYTES);
            model.newest_bytes = model.durable_bytes;
            sim_crash(bench.sim, SIM_CRASH_KEEP_NONE);
            bench.env = env_sim_process(bench.sim, NULL);
            bench.pages = env_mem_alloc(bench.env, 64 * PAGE);
        }
        bench_close(&bench);
    }
}
