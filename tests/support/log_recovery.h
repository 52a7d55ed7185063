/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs one recovery in a simulated world and keeps what came out of it.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_LOG_RECOVERY_H
#define CROSSDOCK_TESTS_SUPPORT_LOG_RECOVERY_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "broker/log/recover.h"
#include "tests/support/env_sim.h"
#include "tests/support/log_image.h"
#include "wire/status.h"

#define RECOVERY_CHECKPOINT_BYTES (64u * 1024u)
#define RECOVERY_SLOT_MAX 8u

/* A world without faults. */
static inline struct sim *recovery_world(uint64_t seed)
{
    struct sim_options options;
    sim_options_init(&options, seed);
    return sim_open(&options);
}

/* Starts a process in which an image can be made. */
static inline void recovery_image(struct sim *sim, struct image *image)
{
    image_begin(image, env_sim_process(sim, NULL));
}

/* Closes the image; its process ends, and only what is durable stays. */
static inline void recovery_image_end(struct sim *sim, struct image *image)
{
    image_meta(image);
    image_end(image);
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
}

/* One run. */
struct recovery {
    int status;          /* the first failure, or 0 */
    uint64_t blocks;     /* given, local ones included */
    uint64_t locals;     /* of them */
    uint64_t last_index; /* of the last block given */
    struct segment slots[RECOVERY_SLOT_MAX];
    struct segment_table table;
    struct recover recover;
    char why[XD_DETAIL_BYTES_MAX];
};

/* Opens in a process that has started; the memory lives until it ends. */
static inline int recovery_open_in(struct env *env, struct recovery *run)
{
    memset(run, 0, sizeof(*run));
    run->table = (struct segment_table){.slots = run->slots, .slot_max = RECOVERY_SLOT_MAX};
    struct recover_options options = {.env = env,
                                      .table = &run->table,
                                      .scan_memory = env_mem_alloc(env, SCAN_BYTES),
                                      .checkpoint_memory =
                                          env_mem_alloc(env, RECOVERY_CHECKPOINT_BYTES),
                                      .checkpoint_bytes = RECOVERY_CHECKPOINT_BYTES,
                                      .segment_bytes = IMAGE_SEGMENT_BYTES,
                                      .shard = IMAGE_SHARD,
                                      .shard_count = IMAGE_SHARD_COUNT};
    run->status = recover_open(&run->recover, &options, run->why);
    return run->status;
}

static inline int recovery_open(struct sim *sim, struct recovery *run)
{
    return recovery_open_in(env_sim_process(sim, NULL), run);
}

static inline int recovery_scan(struct recovery *run)
{
    struct recover_block block;
    uint64_t expected = run->recover.point.index;
    int status;
    while ((status = recover_next(&run->recover, &block, run->why)) > 0) {
        run->blocks++;
        run->locals += block.local;
        cr_assert_eq(block.block->index, block.local ? expected - 1 : expected);
        cr_assert_eq(block.block->position, block.position);
        run->last_index = block.block->index;
        expected = run->last_index + 1;
    }
    run->status = status;
    return status;
}

/* A whole recovery. The process stays until recovery_end. */
static inline int recovery_run_in(struct env *env, struct recovery *run)
{
    if (recovery_open_in(env, run) == 0 && recovery_scan(run) == 0)
        run->status = recover_end(&run->recover, run->why);
    if (run->status < 0)
        recover_close(&run->recover);
    return run->status;
}

static inline int recovery_run(struct sim *sim, struct recovery *run)
{
    return recovery_run_in(env_sim_process(sim, NULL), run);
}

static inline void recovery_end(struct sim *sim)
{
    sim_crash(sim, SIM_CRASH_KEEP_NONE);
}

/* The first news of a kind, or NULL. */
static inline const struct log_news *recovery_news(const struct recovery *run,
                                                   enum log_news_kind kind)
{
    for (uint32_t i = 0; i < run->recover.news_count; i++)
        if (run->recover.news[i].kind == kind)
            return &run->recover.news[i];
    return NULL;
}

/* `a` of the first news of a kind, UINT64_MAX when there is none. */
static inline uint64_t recovery_news_a(const struct recovery *run, enum log_news_kind kind)
{
    const struct log_news *news = recovery_news(run, kind);
    return news != NULL ? news->a : UINT64_MAX;
}

/* Hash over the durable files whose name starts with `prefix`. */
static inline uint64_t recovery_hash(const struct sim *sim, const char *prefix)
{
    static uint8_t data[IMAGE_SEGMENT_BYTES];
    char name[ENV_NAME_BYTES_MAX + 1];
    uint64_t hash = 0;
    for (uint32_t i = 0; sim_disk_name(sim, i, name) == 0; i++) {
        if (strncmp(name, prefix, strlen(prefix)) != 0)
            continue;
        int64_t bytes = sim_disk_peek(sim, name, 0, data, sizeof(data));
        cr_assert_geq(bytes, 0);
        hash = xd_xxh3_seeded(name, strlen(name), hash);
        hash = xd_xxh3_seeded(data, (size_t)bytes, hash);
    }
    return hash;
}

/* Durable files whose name starts with `prefix`. */
static inline uint32_t recovery_files(const struct sim *sim, const char *prefix)
{
    char name[ENV_NAME_BYTES_MAX + 1];
    uint32_t count = 0;
    for (uint32_t i = 0; sim_disk_name(sim, i, name) == 0; i++)
        count += strncmp(name, prefix, strlen(prefix)) == 0;
    return count;
}

/* Recovery must stop, change nothing but quarantine/, and say `text`. */
static inline void recovery_expect_stop(struct sim *sim, struct recovery *run, const char *text)
{
    uint64_t wal = recovery_hash(sim, "wal."), meta = recovery_hash(sim, "meta");
    cr_assert_eq(recovery_run(sim, run), XD_LOG_CORRUPT);
    cr_assert_not_null(strstr(run->why, text), "%s", run->why);
    const struct log_news *news = recovery_news(run, LOG_NEWS_CORRUPT);
    cr_assert_not_null(news);
    cr_assert_eq(news->a, run->recover.point.position);
    recovery_end(sim);
    cr_assert_eq(recovery_hash(sim, "wal."), wal, "nothing is cut");
    cr_assert_eq(recovery_hash(sim, "meta"), meta, "no epoch is raised");
}

/* Overwrites durable bytes at a log position of slot `slot` with zeros. */
static inline void recovery_zero(struct sim *sim, const char *name, uint64_t at, size_t bytes)
{
    static const uint8_t zeros[XD_BLOCK_BYTES_MAX];
    cr_assert_leq(bytes, sizeof(zeros));
    cr_assert_eq(sim_disk_patch(sim, name, at, zeros, bytes), 0);
}

#endif
