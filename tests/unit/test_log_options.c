/* SPDX-License-Identifier: Apache-2.0
 *
 * The options of a log: defaults, ranges, and the memory that they need.
 */
#include "broker/log/index.h"
#include "tests/support/log_run.h"

#include <criterion/criterion.h>
#include <stddef.h>

/* The defaults are within the ranges and can be sized. */
Test(log_options, has_valid_defaults)
{
    struct log_options options;

    log_options_init(&options);
    cr_assert_gt(log_bytes_needed(&options), options.tail_bytes + options.index_bytes);
    cr_assert_lt(log_bytes_needed(&options), 1ull << 30);
}

/* Opening succeeds with exactly log_bytes_needed, wherever the arena stands, and not with a page
 * less. */
Test(log_options, needs_exactly_the_memory_it_says)
{
    for (uint32_t offset = 0; offset <= 4095; offset += 4095) {
        struct run run;
        struct counters counters = {0};
        struct log *log;
        const uint8_t *state;
        uint64_t state_bytes;

        run_begin(&run, 1);
        uint64_t bytes = log_bytes_needed(&run.options);
        struct env *env = env_sim_process(run.sim, NULL);
        uint8_t *memory = env_mem_alloc(env, bytes + offset);
        struct arena arena;

        arena_init(&arena, memory + offset, bytes - 4096);
        cr_assert_eq(
            log_open(env, &arena, &counters, &run.options, &log, &state, &state_bytes, run.why),
            offset == 0 ? 0 : -ENOMEM);
        arena_init(&arena, memory + offset, bytes - 8192);
        cr_assert_eq(
            log_open(env, &arena, &counters, &run.options, &log, &state, &state_bytes, run.why),
            -ENOMEM);
        arena_init(&arena, memory + offset, bytes);
        cr_assert_eq(
            log_open(env, &arena, &counters, &run.options, &log, &state, &state_bytes, run.why), 0);
        cr_assert_null(state);
        cr_assert_geq(arena_used(&arena) + 4096, bytes);
        log_deinit(log);
        run_end(&run);
    }
}

#define OPTION(name)                                                                               \
    offsetof(struct log_options, name), sizeof(((struct log_options *)NULL)->name), #name

/* Opens a log of which one option is bent, with hardly any memory. */
static int open_bent(struct run *run, size_t at, size_t bytes, uint64_t value)
{
    struct log_options options = run->options;
    struct arena arena;
    struct log *log;
    const uint8_t *state;
    uint64_t state_bytes;
    uint8_t memory[64];

    memcpy((uint8_t *)&options + at, &value, bytes);
    arena_init(&arena, memory, sizeof(memory));
    return log_open(run->env, &arena, &run->counters, &options, &log, &state, &state_bytes,
                    run->why);
}

/* Each option has a range, and the text names the one that is outside. The bounds themselves are
 * inside: what fails then is the memory. */
Test(log_options, refuses_options_outside_their_range)
{
    static const struct {
        size_t at;        /* of the option */
        size_t bytes;     /* */
        const char *name; /* */
        uint64_t bad;     /* just outside */
        uint64_t good;    /* the bound */
    } rows[] = {
        {OPTION(segment_bytes), SEGMENT_BYTES_MIN - (1u << 20), SEGMENT_BYTES_MIN},
        {OPTION(segment_bytes), SEGMENT_BYTES_MAX + (1u << 20), SEGMENT_BYTES_MAX},
        {OPTION(segment_bytes), SEGMENT_BYTES_MIN + 4096, SEGMENT_BYTES_MIN + (1u << 20)},
        {OPTION(tail_bytes), 8u << 20, 16u << 20},
        {OPTION(tail_bytes), 16ull << 30, 8ull << 30},
        {OPTION(tail_bytes), (16u << 20) + 4096, 32u << 20},
        {OPTION(retention_bytes), 4ull * SEGMENT_BYTES_MIN - 1, 4ull * SEGMENT_BYTES_MIN},
        {OPTION(retention_us), UINT64_MAX, 0},
        {OPTION(index_bytes), INDEX_CHUNK_BYTES - 1, 4096},
        {OPTION(checkpoint_bytes_max), 4095, 4096},
        {OPTION(checkpoint_bytes_max), (64ull << 30) + 1, 64ull << 30},
        {OPTION(checkpoint_every_bytes), 0, 1},
        {OPTION(checkpoint_every_bytes), (1u << 30) + 1, 1u << 30},
        {OPTION(checkpoint_tail_bytes_max), CHECKPOINT_TAIL_BYTES_MIN - 1,
         CHECKPOINT_TAIL_BYTES_MIN},
        {OPTION(checkpoint_tail_bytes_max), (1u << 30) + 1, 1u << 30},
        {OPTION(undurable_bytes_max), 2 * XD_BLOCK_BYTES_MAX - 1, 2 * XD_BLOCK_BYTES_MAX},
        {OPTION(undurable_bytes_max), (64u << 20) + 1, 64u << 20},
        {OPTION(partitions_max), 0, 1},
        {OPTION(partitions_max), XD_PARTITIONS_MAX + 1, XD_PARTITIONS_MAX},
        {OPTION(writes_inflight_max), 0, 1},
        {OPTION(writes_inflight_max), 17, 16},
        {OPTION(write_group_bytes), 0, 1},
        {OPTION(write_group_bytes), XD_BLOCK_BYTES_MAX + 1, XD_BLOCK_BYTES_MAX},
        {OPTION(segments_ready_min), 0, 1},
        {OPTION(segments_ready_min), 65, 64},
        {OPTION(read_cache_extents), EXTENT_INFLIGHT_MAX - 1, EXTENT_INFLIGHT_MAX},
        {OPTION(read_cache_extents), 65537, 65536},
        {OPTION(shard_count), 0, 1},
        {OPTION(shard), 1, 0},
        {OPTION(mark_idle_ms), 0, 1},
        {OPTION(sync), LOG_SYNC_COUNT, LOG_SYNC_COUNT - 1},
    };
    struct run run;

    run_begin(&run, 1);
    run.env = env_sim_process(run.sim, NULL);
    for (uint32_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_assert_eq(open_bent(&run, rows[i].at, rows[i].bytes, rows[i].bad), XD_OPTION_INVALID,
                     "%s %lu", rows[i].name, (unsigned long)rows[i].bad);
        cr_assert(strncmp(run.why, "log option shard", 16) == 0 ||
                      strstr(run.why, rows[i].name) != NULL,
                  "%s: %s", rows[i].name, run.why);
        cr_assert_eq(open_bent(&run, rows[i].at, rows[i].bytes, rows[i].good), -ENOMEM,
                     "%s %lu: %s", rows[i].name, (unsigned long)rows[i].good, run.why);
    }
    run_end(&run);
}

/* Retention of more segments than there can be files keeps as many as there can be. */
Test(log_options, keeps_to_the_files_there_can_be)
{
    struct run run;

    run_begin(&run, 1);
    run.options.retention_bytes = 2ull * SEGMENT_SLOTS_MAX * SEGMENT_BYTES_MIN;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.log->prepare.slot_limit, SEGMENT_SLOTS_MAX);
    run_close(&run);
    run_end(&run);
}
