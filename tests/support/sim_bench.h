/* SPDX-License-Identifier: Apache-2.0
 *
 * A world with one process and one open file, for tests of the simulated disk. Failures are
 * Criterion assertions.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SIM_BENCH_H
#define CROSSDOCK_TESTS_SUPPORT_SIM_BENCH_H

#include "tests/support/env_sim.h"

#include <criterion/criterion.h>
#include <string.h>

#define PAGE 4096u
#define SECTOR 512u /* what the device writes whole or not at all */
#define SEEDS 200u  /* for tests about chance: each outcome comes up many times */

/* A world with one process and one open file of known contents. */
struct bench {
    struct sim *sim;
    struct env *env;
    uint8_t *pages; /* 64 pages of the process, page i filled with i + 1 */
    env_file file;  /* "data" */
};

static inline void bench_open(struct bench *bench, uint64_t seed)
{
    struct sim_options options;

    sim_options_init(&options, seed);
    bench->sim = sim_open(&options);
    bench->env = env_sim_process(bench->sim, NULL);
    bench->pages = env_mem_alloc(bench->env, 64 * PAGE);
    for (uint32_t i = 0; i < 64; i++)
        memset(bench->pages + i * PAGE, (int)i + 1, PAGE);
    cr_assert_eq(env_file_open(bench->env, "data", ENV_OPEN_CREATE, &bench->file), 0);
    cr_assert_eq(env_dir_sync(bench->env, ""), 0);
}

static inline void bench_close(struct bench *bench)
{
    sim_close(bench->sim);
}

/* Waits for one event and returns its result. */
static inline int32_t await(struct bench *bench, uint64_t token)
{
    struct env_event event;

    cr_assert_eq(env_wait(bench->env, &event, 1, UINT64_MAX), 1);
    cr_assert_eq(event.token, token);
    return event.result;
}

static inline int32_t write_pages(struct bench *bench, uint32_t first, uint32_t count, uint64_t at,
                                  uint32_t flags)
{
    env_file_write(bench->env, bench->file, bench->pages + first * PAGE, count * PAGE, at * PAGE,
                   flags, 1);
    return await(bench, 1);
}

static inline int32_t sync_file(struct bench *bench)
{
    env_file_sync(bench->env, bench->file, 2);
    return await(bench, 2);
}

/* First byte of a page as the process reads it; 0xffff when the file ends before. */
static inline unsigned page_read(struct bench *bench, uint64_t page)
{
    uint8_t *buffer = bench->pages + 63 * PAGE;

    env_file_read(bench->env, bench->file, buffer, PAGE, page * PAGE, 3);
    return await(bench, 3) == (int32_t)PAGE ? buffer[0] : 0xffff;
}

/* The byte at a place of the durable file "data"; 0xffff when it ends before. */
static inline unsigned durable_at(struct bench *bench, uint64_t position)
{
    uint8_t byte;

    return sim_disk_peek(bench->sim, "data", position, &byte, 1) == 1 ? byte : 0xffff;
}

/* Pages 0..count-1 durable as zeros with their size, as a prepared segment is. */
static inline void prepare(struct bench *bench, uint32_t count)
{
    cr_assert_eq(env_file_reserve(bench->env, bench->file, count * PAGE), 0);
    cr_assert_eq(sync_file(bench), 0);
}

#endif
