/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening: what stops a start, and what a start finds. Options are test_log_options.c's.
 */
#include "broker/log/page.h"
#include "tests/support/env_bent.h"
#include "tests/support/log_recovery.h"
#include "tests/support/log_run.h"

#include <criterion/criterion.h>

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
    run.options.index_bytes = 4 * INDEX_CHUNK_BYTES; /* fewer chunks than partitions */
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

/* The wait of a start at which something happens. */
static uint64_t bent_at;

static struct env *start_breaking(struct run *run)
{
    struct env *env = env_bend(env_sim_process(run->sim, NULL));

    bent.wait_breaks = bent_at;
    return env;
}

static struct env *start_rung(struct run *run)
{
    struct env *env = env_bend(env_sim_process(run->sim, NULL));

    bent.stray_at = bent_at;
    bent.stray_token = env_token(ENV_OWNER_BELL, ENV_OP_BELL, 0);
    return env;
}

/* A new folder, or that of a killed log of which a segment must be made. */
static void make_start(struct run *run, bool killed)
{
    run_begin(run, 5);
    run->options.sync = LOG_SYNC_AUTO;
    run->options.segments_ready_min = 2;
    if (!killed)
        return;
    cr_assert_eq(run_open(run), 0, "%s", run->why);
    run_fill(run, 300000, 50000);
    run_crash(run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(env_file_unlink(run->engine->start(run), "wal.02"), 0);
    run_crash(run, SIM_CRASH_KEEP_ALL);
}

/* Each wait up to the self-test, which has hundreds of the same kind. */
static uint64_t next_wait(uint64_t nth)
{
    return nth + (nth < 40 ? 1 : 41);
}

/* The engine breaks at any wait of a start, of a new folder and of a killed log: the start ends
 * with its status and a reason; the next one finds everything, and the log goes on. */
Test(log_log_open, ends_with_an_engine_that_breaks_at_any_wait)
{
    static struct run_engine engine;

    for (uint32_t killed = 0; killed < 2; killed++) {
        struct run run;
        bool broke = true;

        for (bent_at = 1; broke; bent_at = next_wait(bent_at)) {
            make_start(&run, killed > 0);
            engine = run_engine_sim;
            engine.start = start_breaking;
            run.engine = &engine;
            int status = run_open(&run);
            broke = bent_broke();
            cr_assert_eq(status, broke ? -EBADF : 0, "wait %lu: %s", (unsigned long)bent_at,
                         run.why);
            cr_assert(!broke || strlen(run.why) > 20, "wait %lu", (unsigned long)bent_at);
            run_crash(&run, SIM_CRASH_ANY);
            run.engine = &run_engine_sim;
            cr_assert_eq(run_open(&run), 0, "%s", run.why);
            run_fill(&run, 300000, 50000);
            run_check(&run);
            run_close(&run);
            run_end(&run);
        }
        cr_assert_gt(bent_at, 20, "%lu waits", (unsigned long)bent_at);
    }
}

/* A bell that another thread rings at any wait of a start is no event of the log's. */
Test(log_log_open, passes_over_a_bell_at_any_wait)
{
    static struct run_engine engine;

    for (uint32_t killed = 0; killed < 2; killed++) {
        struct run run;
        bool came = true;

        for (bent_at = 1; came; bent_at = next_wait(bent_at)) {
            make_start(&run, killed > 0);
            engine = run_engine_sim;
            engine.start = start_rung;
            run.engine = &engine;
            cr_assert_eq(run_open(&run), 0, "wait %lu: %s", (unsigned long)bent_at, run.why);
            came = bent.stray_token == 0;
            bent.stray_token = 0;
            run_fill(&run, 300000, 50000);
            run_check(&run);
            run_close(&run);
            run_end(&run);
        }
        cr_assert_gt(bent_at, 20, "%lu waits", (unsigned long)bent_at);
    }
}

/* Without room for a READY segment the method is not measured: there is nothing to measure over. */
Test(log_log_open, does_not_measure_without_a_ready_segment)
{
    struct run run;

    run_begin(&run, 1);
    run.options.sync = LOG_SYNC_AUTO;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 300000, 50000);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(env_file_unlink(run.engine->start(&run), "wal.01"), 0);
    run_crash(&run, SIM_CRASH_KEEP_ALL);
    run.options.disk_low_bytes = 1ull << 40;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    cr_assert_eq(run.news[LOG_NEWS_SYNC_CHOSEN], 0);
    cr_assert_eq(log_sync_mode(run.log), LOG_SYNC_FDATASYNC);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Bends the first byte of the local part of both checkpoints, under valid hashes. */
static void bend_local(struct run *run)
{
    static struct checkpoint_header header;
    static struct meta slots[META_SLOTS];
    static uint8_t local[64 << 10];
    char name[ENV_NAME_BYTES_MAX];

    sim_disk_peek(run->sim, "meta", 0, slots, sizeof(slots));
    const struct meta *newest = &slots[slots[1].generation > slots[0].generation];
    for (uint64_t i = 0; i < CHECKPOINT_FILES; i++) {
        checkpoint_name(i, name);
        sim_disk_peek(run->sim, name, 0, &header, sizeof(header));
        uint64_t at = CHECKPOINT_HEADER_BYTES + checkpoint_local_at(header.state_bytes);
        cr_assert_leq(header.local_bytes, sizeof(local));
        sim_disk_peek(run->sim, name, at, local, header.local_bytes);
        local[0] ^= 1;
        header.local_xxh3 = xd_xxh3(local, header.local_bytes);
        bool named = header.xxh3 == newest->checkpoint_xxh3;
        page_seal(&header, CHECKPOINT_MAGIC, CHECKPOINT_VERSION);
        sim_disk_patch(run->sim, name, at, local, 1);
        sim_disk_patch(run->sim, name, 0, &header, sizeof(header));
        for (uint32_t slot = 0; slot < META_SLOTS && named; slot++) {
            slots[slot].checkpoint_xxh3 = header.xxh3;
            slots[slot].checkpoint_generation = header.generation;
            meta_seal(&slots[slot]);
        }
    }
    sim_disk_patch(run->sim, "meta", 0, slots, sizeof(slots));
}

/* A segment list that does not decode under a valid hash is the writer's fault: it stops the start
 * and changes nothing. */
Test(log_log_open, refuses_a_local_part_that_does_not_decode)
{
    struct run run;

    run_begin(&run, 1);
    run.options.checkpoint_every_bytes = 1u << 20;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 4u << 20, 9000);
    run_close(&run);
    bend_local(&run);
    uint64_t hash = sim_disk_hash(run.sim);
    cr_assert_eq(run_open(&run), XD_CHECKPOINT_CORRUPT);
    cr_assert_not_null(strstr(run.why, "does not decode"), "%s", run.why);
    run_crash(&run, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(sim_disk_hash(run.sim), hash);
    run_end(&run);
}

/* Options that have become too small for what lies behind the checkpoint stop the scan, and the
 * text names them. */
Test(log_log_open, refuses_a_tail_that_needs_more)
{
    struct run run;

    run_begin(&run, 1);
    run.checkpoints = false;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 1u << 20, 9000);
    run_close(&run);
    struct log_options good = run.options;

    run.options.partitions_max = RUN_PARTITIONS - 1;
    cr_assert_eq(run_open(&run), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(run.why, "partition 7: partitions_max"), "%s", run.why);
    run_crash(&run, SIM_CRASH_KEEP_NONE);

    run.options = good;
    run.options.index_bytes = 4 * INDEX_CHUNK_BYTES;
    cr_assert_eq(run_open(&run), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(run.why, "index_bytes is too small"), "%s", run.why);
    run_crash(&run, SIM_CRASH_KEEP_NONE);

    run.options = good;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_check(&run);
    run_close(&run);
    run_end(&run);
}

/* Offsets are dense in whole blocks too: a batch that is not its partition's next one stops the
 * start, which names it. */
Test(log_log_open, refuses_a_gap_in_the_offsets)
{
    struct run run;
    struct image image;

    run_begin(&run, 1);
    recovery_image(run.sim, &image);
    image_segment(&image, 0, 1);
    image_data(&image, 6000);
    image.next_offset += 2;
    image_data(&image, 6000);
    recovery_image_end(run.sim, &image);
    run.options.shard = IMAGE_SHARD;
    run.options.shard_count = IMAGE_SHARD_COUNT;
    cr_assert_eq(run_open(&run), XD_LOG_CORRUPT);
    cr_assert_not_null(strstr(run.why, "offset 6 of partition 7 is not the next one"), "%s",
                       run.why);
    run_end(&run);
}
