/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery over an engine that breaks, brings events of nobody, or reads wrongly: whatever lies in
 * the folder, what comes of it is the same or nothing.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "tests/support/env_bent.h"
#include "tests/support/log_recovery.h"

static struct recovery run;

/* Folders that recovery reads in different ways. */
enum folder_kind {
    FOLDER_TORN,         /* two checkpoints, a damaged file header, a torn tail */
    FOLDER_FALLBACK,     /* the named checkpoint is damaged */
    FOLDER_LOCAL_LOST,   /* a MARK is unreadable */
    FOLDER_CORRUPT,      /* a durable block is */
    FOLDER_SEGMENT_GONE, /* in front of one that holds blocks */
    FOLDER_LARGE,        /* blocks that lie in two reads each, the last one torn */
    FOLDER_KIND_COUNT
};

static struct sim *make_folder(enum folder_kind kind)
{
    struct sim *sim = recovery_world(50 + kind);
    struct image image;
    recovery_image(sim, &image);
    image_segment(&image, 0, 1);
    image_segment(&image, 1, 2);
    for (uint32_t i = 1; i <= 6; i++) {
        image_data(&image, 5000);
        image.durable = kind == FOLDER_SEGMENT_GONE ? 0 : i;
        if (i == 2)
            (void)image_checkpoint(&image, 4, 5000, 100);
        if (i == 4) {
            image.meta.checkpoint_xxh3 = image_checkpoint(&image, 5, 5000, 100);
            image.meta.checkpoint_generation = 5;
        }
    }
    image_local(&image, BLOCK_MARK);
    image_data(&image, 5000);
    image_local(&image, BLOCK_SEAL);
    if (kind == FOLDER_SEGMENT_GONE) {
        image_segment(&image, 2, 3);
        image.point.position = 3 * IMAGE_SEGMENT_BYTES + RECOVER_FIRST_AT;
    }
    uint64_t last = image_data(&image, 9000);
    for (uint32_t i = 0; i < 4 && kind == FOLDER_LARGE; i++)
        last = image_data(&image, 700000);
    recovery_image_end(sim, &image);
    switch (kind) {
    case FOLDER_TORN:
        recovery_zero(sim, "wal.00", 0, 4096);
        recovery_zero(sim, "wal.01", last % IMAGE_SEGMENT_BYTES + 8192, 4096);
        break;
    case FOLDER_FALLBACK:
        sim_disk_flip(sim, "checkpoint.1", 4096 + 17, 3);
        break;
    case FOLDER_LOCAL_LOST:
        recovery_zero(sim, "wal.00", 4096 + 6 * 8192, 4096);
        break;
    case FOLDER_CORRUPT:
        recovery_zero(sim, "wal.00", 4096 + 4 * 8192, 4096);
        break;
    case FOLDER_SEGMENT_GONE:
        recovery_zero(sim, "wal.01", 0, 8192);
        break;
    case FOLDER_LARGE:
        recovery_zero(sim, "wal.01", last % IMAGE_SEGMENT_BYTES + 400000, 4096);
        break;
    case FOLDER_KIND_COUNT:
    default:
        cr_assert_fail("there is no such folder");
    }
    return sim;
}

/* What recovery makes of each. News are told once: a run that broke behind its first meta write has
 * settled what they tell of. */
static void expect_folder(enum folder_kind kind, bool first)
{
    static const struct {
        int status;        /* */
        uint64_t blocks;   /* given, behind the checkpoint */
        uint32_t cut;      /* tails cut */
        uint32_t fallback; /* checkpoints passed over */
        uint32_t lost;     /* local blocks lost */
        const char *why;   /* a part of it */
    } expected[FOLDER_KIND_COUNT] = {
        [FOLDER_TORN] = {0, 5, 1, 0, 0, ""},
        [FOLDER_FALLBACK] = {0, 8, 0, 1, 0, ""},
        [FOLDER_LOCAL_LOST] = {0, 5, 0, 0, 1, ""},
        [FOLDER_CORRUPT] = {XD_LOG_CORRUPT, 0, 0, 0, 0, "copied to quarantine/"},
        [FOLDER_SEGMENT_GONE] = {XD_LOG_CORRUPT, 5, 0, 0, 0, "segment 2 is missing"},
        [FOLDER_LARGE] = {0, 9, 1, 0, 0, ""},
    };
    cr_assert_eq(run.status, expected[kind].status, "folder %d: %s", kind, run.why);
    cr_assert_eq(run.blocks, expected[kind].blocks, "folder %d: %lu", kind,
                 (unsigned long)run.blocks);
    cr_assert_not_null(strstr(run.why, expected[kind].why), "%s", run.why);
    if (!first)
        return;
    cr_assert_eq(recovery_news(&run, LOG_NEWS_TAIL_CUT) != NULL, expected[kind].cut);
    cr_assert_eq(recovery_news(&run, LOG_NEWS_CHECKPOINT_FALLBACK) != NULL,
                 expected[kind].fallback);
    cr_assert_eq(recovery_news(&run, LOG_NEWS_LOCAL_BLOCK_LOST) != NULL, expected[kind].lost);
}

/* The engine breaks at any wait: recovery ends at once with its status and says where, changes no
 * wal file, and the next one finds what it would have found. Only where the verdict had fallen
 * before, that is what is told, with the copy that could not be made. */
Test(log_recover_engine, ends_with_an_engine_that_breaks_at_any_wait)
{
    for (int kind = 0; kind < FOLDER_KIND_COUNT; kind++) {
        struct sim *sim = make_folder((enum folder_kind)kind);
        struct sim *copy = recovery_world(60);
        const uint64_t hash = recovery_hash(sim, "wal.");
        bool broke = true;
        uint64_t nth = 1;
        for (; broke; nth++) {
            sim_disk_copy(copy, sim);
            struct env *env = env_bend(env_sim_process(copy, NULL));
            bent.wait_breaks = nth;
            (void)recovery_run_in(env, &run);
            broke = bent_broke();
            if (!broke)
                expect_folder((enum folder_kind)kind, true);
            else if (run.status == XD_LOG_CORRUPT)
                cr_assert_not_null(strstr(run.why, " failed: "), "%s", run.why);
            else
                cr_assert_eq(run.status, -EBADF, "folder %d, wait %lu", kind, (unsigned long)nth);
            cr_assert(!broke || strlen(run.why) > 20, "folder %d, wait %lu", kind,
                      (unsigned long)nth);
            sim_crash(copy, SIM_CRASH_ANY);
            cr_assert_eq(recovery_hash(copy, "wal."), hash);
            (void)recovery_run(copy, &run);
            expect_folder((enum folder_kind)kind, false);
            recovery_end(copy);
        }
        cr_assert_gt(nth, 10, "folder %d: %lu waits", kind, (unsigned long)nth);
        sim_close(copy);
        sim_close(sim);
    }
}

/* An event that somebody else has left behind changes nothing, at whatever wait it comes. */
Test(log_recover_engine, passes_over_strange_events)
{
    for (int kind = 0; kind < FOLDER_KIND_COUNT; kind++) {
        struct sim *sim = make_folder((enum folder_kind)kind);
        struct sim *copy = recovery_world(61);
        bool came = true;
        for (uint64_t nth = 1; came; nth++) {
            sim_disk_copy(copy, sim);
            struct env *env = env_bend(env_sim_process(copy, NULL));
            bent.stray_at = nth;
            bent.stray_token = env_token(ENV_OWNER_NET, 1, 1);
            (void)recovery_run_in(env, &run);
            came = bent.stray_token == 0;
            expect_folder((enum folder_kind)kind, true);
            recovery_end(copy);
        }
        sim_close(copy);
        sim_close(sim);
    }
}

/* A block that reads differently twice is given one more chance, not one for each difference: what
 * stays wrong is judged. */
Test(log_recover_engine, reads_a_bad_block_again_only_once)
{
    struct sim *sim = make_folder(FOLDER_CORRUPT);
    const uint64_t at = 4096 + 4 * 8192;
    sim_read_flip(sim, "wal.00", at + 5000);
    uint64_t reads = sim_op_count(sim, SIM_OP_READ);
    (void)recovery_run(sim, &run);
    expect_folder(FOLDER_CORRUPT, true);
    cr_assert_lt(sim_op_count(sim, SIM_OP_READ), reads + 60);
    sim_close(sim);
}
