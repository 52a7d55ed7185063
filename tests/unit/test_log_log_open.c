/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening: options, memory, and what stops a start.
 */
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

/* The defaults are within the ranges and can be sized. */
Test(log_log_open, has_valid_defaults)
{
    struct log_options options;

    log_options_init(&options);
    cr_assert_gt(log_bytes_needed(&options), options.tail_bytes + options.index_bytes);
    cr_assert_lt(log_bytes_needed(&options), 1ull << 30);
}

/* Opening succeeds with exactly log_bytes_needed, wherever the arena stands, and not with a page
 * less. */
Test(log_log_open, needs_exactly_the_memory_it_says)
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

/* Puts option number `i` of the test below just outside its range. */
static void bend(struct log_options *o, uint32_t i)
{
    switch (i) {
    case 0:
        o->segment_bytes += 4096;
        break;
    case 1:
        o->tail_bytes += 4096;
        break;
    case 2:
        o->retention_bytes = 3ull * o->segment_bytes;
        break;
    case 3:
        o->retention_us = -1;
        break;
    case 4:
        o->index_bytes = 1023;
        break;
    case 5:
        o->checkpoint_bytes_max = 0;
        break;
    case 6:
        o->checkpoint_every_bytes = (1ull << 30) + 1;
        break;
    case 7:
        o->undurable_bytes_max = (64ull << 20) + 1;
        break;
    case 8:
        o->partitions_max = 0;
        break;
    case 9:
        o->writes_inflight_max = 17;
        break;
    case 10:
        o->write_group_bytes = 0;
        break;
    case 11:
        o->segments_ready_min = 0;
        break;
    case 12:
        o->read_cache_extents = 1;
        break;
    case 13:
        o->shard = 1;
        break;
    case 14:
        o->checkpoint_tail_bytes_max = (8u << 20) - 1;
        break;
    default:
        o->mark_idle_ms = 0;
    }
}

/* Each option has a range, and the text names the one that is outside. */
Test(log_log_open, refuses_options_outside_their_range)
{
    static const char *const names[] = {"segment_bytes",      "tail_bytes",
                                        "retention_bytes",    "retention_us",
                                        "index_bytes",        "checkpoint_bytes_max",
                                        "checkpoint_every",   "undurable_bytes_max",
                                        "partitions_max",     "writes_inflight_max",
                                        "write_group_bytes",  "segments_ready_min",
                                        "read_cache_extents", "shard",
                                        "checkpoint_tail",    "mark_idle_ms"};

    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct run run;
        struct arena arena;
        struct log *log;
        const uint8_t *state;
        uint64_t state_bytes;
        uint8_t memory[64];

        run_begin(&run, 1);
        struct log_options o = run.options;
        bend(&o, i);
        struct env *env = env_sim_process(run.sim, NULL);
        arena_init(&arena, memory, sizeof(memory));
        cr_assert_eq(log_open(env, &arena, &run.counters, &o, &log, &state, &state_bytes, run.why),
                     XD_OPTION_INVALID);
        cr_assert(strstr(run.why, names[i]) != NULL, "%s: %s", names[i], run.why);
        run_end(&run);
    }
}

/* Options that do not fit what the folder holds stop the start and say what to change. */
Test(log_log_open, refuses_a_folder_that_needs_more)
{
    struct run run;

    run_begin(&run, 1);
    run.options.checkpoint_every_bytes = 1u << 20;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 4u << 20, 9000);
    run_close(&run);
    struct log_options good = run.options;

    run.options.partitions_max = RUN_PARTITIONS - 1;
    cr_assert_eq(run_open(&run), XD_OPTION_INVALID);
    cr_assert(strstr(run.why, "partitions_max") != NULL, "%s", run.why);
    run_crash(&run, SIM_CRASH_KEEP_NONE);

    run.options = good;
    run.options.index_bytes = 4u << 10; /* fewer chunks than partitions */
    cr_assert_eq(run_open(&run), XD_OPTION_INVALID);
    cr_assert(strstr(run.why, "index_bytes") != NULL, "%s", run.why);
    run_crash(&run, SIM_CRASH_KEEP_NONE);

    run.options = good;
    run.options.segment_bytes *= 2;
    cr_assert_eq(run_open(&run), XD_OPTION_INVALID);
    run_crash(&run, SIM_CRASH_KEEP_NONE);

    run.options = good;
    run.options.shard_count = 2;
    cr_assert_eq(run_open(&run), XD_OPTION_INVALID);
    run_crash(&run, SIM_CRASH_KEEP_NONE);

    run.options = good;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Fewer segments to keep than there are: the start succeeds and retention does its work. */
Test(log_log_open, starts_with_less_retention_than_before)
{
    struct run run;
    struct log_stats stats;

    run_begin(&run, 1);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 80u << 20, 200000);
    run_close(&run);
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 20u << 20, 200000);
    run_idle(&run, 3000000000ull);
    log_stats(run.log, &stats);
    cr_assert_eq(stats.active_segment_no - stats.first_segment_no, 3);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* A segment that the checkpoint lists and that is gone is told at start. */
Test(log_log_open, tells_of_segments_that_are_gone)
{
    struct run run;
    uint8_t zeros[4096] = {0};
    uint64_t first, end;

    run_begin(&run, 1);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 30u << 20, 200000);
    run_idle(&run, 100000000);
    run_close(&run);
    cr_assert_eq(sim_disk_patch(run.sim, "wal.00", 0, zeros, sizeof(zeros)), 0);
    cr_assert_eq(sim_disk_patch(run.sim, "wal.00", 4096, zeros, sizeof(zeros)), 0);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.news[LOG_NEWS_SEGMENT_DROPPED], 1);
    cr_assert_eq(run.last_news[LOG_NEWS_SEGMENT_DROPPED].a, 1);
    cr_assert_eq(run.last_news[LOG_NEWS_SEGMENT_DROPPED].b, RETAIN_MISSING);
    log_bounds(run.log, 0, &first, &end);
    cr_assert_gt(first, 0);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* What recovery finds is counted as well as told. */
Test(log_log_open, counts_what_recovery_finds)
{
    struct run run;

    run_begin(&run, 1);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 1u << 20, 60000);
    cr_assert_eq(run_append(&run, 0, 60000), 0);
    log_kick(run.log);
    run_crash(&run, SIM_CRASH_TORN_PAGE);
    cr_assert_eq(sim_disk_flip(run.sim, "meta", META_SLOT_BYTES + 20, 0), 0);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.news[LOG_NEWS_META_SLOT_DAMAGED], 1);
    cr_assert_eq(run.last_news[LOG_NEWS_META_SLOT_DAMAGED].a, 1);
    cr_assert_eq(run.counters.v[COUNTER_meta_slots_damaged], 1);
    cr_assert_eq(run.news[LOG_NEWS_TAIL_CUT], 1);
    cr_assert_eq(run.counters.v[COUNTER_tail_cuts], 1);
    cr_assert_eq(run.counters.v[COUNTER_tail_cut_bytes], run.last_news[LOG_NEWS_TAIL_CUT].a);
    run_close(&run);
    run_end(&run);
}

/* Removes a file for good. */
static void remove_file(struct run *run, const char *name)
{
    struct env *env = env_sim_process(run->sim, NULL);

    cr_assert_eq(env_file_unlink(env, name), 0, "%s", name);
    cr_assert_eq(env_dir_sync(env, ""), 0);
    run_crash(run, SIM_CRASH_KEEP_NONE);
}

/* The start must name a segment as missing and change nothing. */
static void expect_missing(struct run *run, uint64_t segment_no)
{
    char text[64];
    uint64_t hash = sim_disk_hash(run->sim);

    (void)snprintf(text, sizeof(text), "segment %lu is missing", (unsigned long)segment_no);
    cr_assert_eq(run_open(run), XD_LOG_CORRUPT, "segment %lu: %s", (unsigned long)segment_no,
                 run->log ? "started" : run->why);
    cr_assert_not_null(strstr(run->why, text), "%s", run->why);
    cr_assert_not_null(strstr(run->why, "put the file back"), "%s", run->why);
    run_crash(run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(sim_disk_hash(run->sim), hash);
}

/* A killed log whose active file is gone does not start as if nothing had been in it, whether meta
 * or a checkpoint knows of durable blocks or not; with the file back it is whole. */
Test(log_log_open, refuses_a_log_without_its_active_file)
{
    for (uint32_t rolls = 0; rolls < 3; rolls++) {
        struct run run;
        struct sim *copy;
        struct sim_options world;
        char name[ENV_NAME_BYTES_MAX];

        run_begin(&run, 1 + rolls);
        cr_assert_eq(run_open(&run), 0, "%s", run.why);
        run_fill(&run, rolls * SEGMENT_BYTES_MIN + 300000, 50000);
        uint64_t no = run.log->table.slots[run.log->table.active].segment_no;
        segment_name(run.log->table.slots[run.log->table.active].slot, name);
        cr_assert_eq(no, rolls + 1);
        run_crash(&run, SIM_CRASH_KEEP_NONE);
        sim_options_init(&world, 9);
        copy = sim_open(&world);
        sim_disk_copy(copy, run.sim);
        remove_file(&run, name);
        expect_missing(&run, no);
        expect_missing(&run, no);
        sim_close(run.sim);
        run.sim = copy;
        cr_assert_eq(run_open(&run), 0, "%s", run.why);
        run_check(&run);
        run_close(&run);
        run_end(&run);
    }
}

/* The same when every wal file is gone, and when the epoch was raised several times since. */
Test(log_log_open, refuses_a_log_without_any_wal_file)
{
    for (uint32_t starts = 1; starts < 4; starts++) {
        struct run run;

        run_begin(&run, starts);
        for (uint32_t i = 0; i < starts; i++) {
            cr_assert_eq(run_open(&run), 0, "%s", run.why);
            run_crash(&run, SIM_CRASH_KEEP_NONE);
        }
        remove_file(&run, "wal.01");
        remove_file(&run, "wal.00");
        expect_missing(&run, 1);
        run_end(&run);
    }
}

/* The active file's header and first block rotten at once: a file of that number was there. */
Test(log_log_open, refuses_an_active_file_that_is_not_recognised)
{
    struct run run;
    uint8_t zeros[8192] = {0};

    run_begin(&run, 1);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 300000, 50000);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(sim_disk_patch(run.sim, "wal.00", 0, zeros, sizeof(zeros)), 0);
    expect_missing(&run, 1);
    run_end(&run);
}

/* A folder whose making was cut short at any operation, with all that a crash may leave of it, is
 * no log with something missing: the next start completes it. */
Test(log_log_open, completes_a_folder_that_was_half_made)
{
    uint64_t finished = 0;

    for (uint64_t nth = 2; nth <= 59; nth++) { /* the first operation takes the test's memory */
        struct run run;

        run_begin(&run, nth);
        sim_plan_crash_op(run.sim, nth);
        finished += run_open(&run) == 0 && !sim_dead(run.sim);
        run_crash(&run, (enum sim_crash_menu)(nth % SIM_CRASH_MENU_COUNT));
        sim_plan_crash_op(run.sim, 61 - nth);
        (void)run_open(&run); /* dies, or not: both are followed by a third */
        run_crash(&run, (enum sim_crash_menu)(nth / 7 % SIM_CRASH_MENU_COUNT));
        sim_plan_crash_op(run.sim, 0);
        cr_assert_eq(run_open(&run), 0, "operation %lu: %s", (unsigned long)nth, run.why);
        run_fill(&run, 300000, 50000);
        run_check(&run);
        run_close(&run);
        run_end(&run);
    }
    cr_assert_gt(finished, 0, "no run was long enough to finish");
    cr_assert_lt(finished, 58, "no run crashed");
}

/* The uuid is made once and stays; the epoch rises with every start. */
Test(log_log_open, keeps_its_identity)
{
    struct run run;
    uint8_t uuid[2][16];
    struct log_stats stats;

    run_begin(&run, 1);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert_eq(run_open(&run), 0, "%s", run.why);
        cr_assert_eq(log_recover_percent(run.log), 100);
        log_uuid(run.log, uuid[i]);
        log_stats(run.log, &stats);
        cr_assert_eq(stats.epoch, i + 1);
        run_close(&run);
    }
    cr_assert_eq(memcmp(uuid[0], uuid[1], 16), 0);
    run_end(&run);
}

/* Deinit accepts what never was and what failed half-way. */
Test(log_log_open, can_be_thrown_away_at_any_time)
{
    struct run run;

    log_deinit(NULL);
    run_begin(&run, 1);
    sim_inject(run.sim, SIM_OP_SYNC, "wal.", 1, -EIO);
    cr_assert_eq(run_open(&run), -EIO);
    log_deinit(run.log);
    run_crash(&run, SIM_CRASH_ANY);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_close(&run);
    run_end(&run);
}
