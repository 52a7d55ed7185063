/* SPDX-License-Identifier: Apache-2.0
 *
 * The log as a whole under faults and crashes: what its user sees over appends, restarts and
 * shutdown. What needs no fault is in test_log_suite.c, for every engine.
 */
#include "tests/support/log_suite.h"

#include <criterion/criterion.h>

/* Ends a process that the simulator killed, or a log that fenced itself, and opens again until that
 * works: recovery may be killed too. */
static void reopen(struct run *run, enum sim_crash_menu menu)
{
    for (uint32_t i = 0; i < 100; i++) {
        run_crash(run, menu);
        int status = run_open(run);
        if (status == 0 && !sim_dead(run->sim))
            return;
        cr_assert(sim_dead(run->sim), "%s: %s", xd_status_name(status), run->why);
    }
    cr_assert_fail("recovery is killed for ever");
}

/* What happened over all seeds of a test: one that is too tame proves nothing. */
struct totals {
    uint64_t reopens;
    uint64_t cuts;
    uint64_t rolls;
    uint64_t drops;
    uint64_t checkpoints;
    uint64_t disk_reads;
    uint64_t tail_reads;
    uint64_t fences;
    uint64_t batches;
};

/* Adds what this process did, before it ends. */
static void add_totals(struct totals *totals, const struct run *run)
{
    totals->rolls += run->counters.v[COUNTER_segments_rolled];
    totals->drops += run->news[LOG_NEWS_SEGMENT_DROPPED];
    totals->checkpoints += run->counters.v[COUNTER_checkpoints_written];
    totals->disk_reads += run->counters.v[COUNTER_reads_disk];
    totals->tail_reads += run->counters.v[COUNTER_reads_tail];
    totals->fences += run->counters.v[COUNTER_fences];
}

/* Seeded appends, reads, crashes and restarts against the model: nothing durable is ever missing,
 * nothing appears that was not sent, reads give what was appended. */
static void model(uint64_t seed, struct totals *totals)
{
    struct run run;
    struct prng prng;
    struct sim_options world;

    prng_seed(&prng, seed);
    sim_options_init(&world, seed);
    world.rates.write_short = prng_chance(&prng, 30000) ? 2000 : 0;
    world.rates.read_short = prng_chance(&prng, 30000) ? 2000 : 0;
    world.rates.spike = prng_chance(&prng, 10000) ? 200 : 0;
    world.rates.buggify_enabled = prng_chance(&prng, 40000) ? 30000 : 0;
    world.rates.buggify_fires = 4000;
    world.rates.crash_point = prng_chance(&prng, 30000) ? 20 : 0;
    world.rates.write_error = prng_chance(&prng, 16000) ? 300 : 0;
    world.rates.sync_error = prng_chance(&prng, 16000) ? 300 : 0;
    run_begin_in(&run, &world);
    log_model_options(&run, &prng);
    struct sim_rates *rates = sim_rates(run.sim);
    struct sim_rates running = *rates;
    struct sim_rates recovering = {.crash_point = running.crash_point};
    *rates = (struct sim_rates){0};
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    *rates = running;
    for (uint32_t step = 0; step < 300; step++) {
        if (log_model_step(&run, &prng))
            continue;
        *rates = recovering;
        add_totals(totals, &run);
        reopen(&run, SIM_CRASH_ANY);
        totals->reopens++;
        totals->cuts += run.news[LOG_NEWS_TAIL_CUT];
        *rates = running;
    }
    *rates = (struct sim_rates){0};
    add_totals(totals, &run);
    totals->batches += run.batch_count;
    reopen(&run, SIM_CRASH_ANY);
    run_check(&run);
    run_close(&run);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_check(&run);
    run_end(&run);
}

static void model_seeds(uint64_t from, uint64_t to)
{
    struct totals totals = {0};

    for (uint64_t seed = from; seed < to; seed++)
        model(seed, &totals);
    cr_assert_gt(totals.reopens, 200);
    cr_assert_gt(totals.cuts, 20);
    cr_assert_gt(totals.rolls, 300);
    cr_assert_gt(totals.drops, 20);
    cr_assert_gt(totals.checkpoints, 300);
    cr_assert_gt(totals.disk_reads, 300);
    cr_assert_gt(totals.tail_reads, 300);
    cr_assert_gt(totals.fences, 3);
    cr_assert_gt(totals.batches, 20000);
}

Test(log_log, agrees_with_the_model_over_seeds_below_100, .timeout = 300)
{
    model_seeds(0, 100);
}

Test(log_log, agrees_with_the_model_over_seeds_below_200, .timeout = 300)
{
    model_seeds(100, 200);
}

/* The figures say what is there. */
Test(log_log, reports_its_figures)
{
    struct run run;
    struct log_stats stats;

    run_begin(&run, 1);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    log_stats(run.log, &stats);
    cr_assert_eq(stats.segments_ready, 1);
    cr_assert_eq(stats.first_segment_no, 1);
    cr_assert_eq(stats.active_segment_no, 1);
    cr_assert_eq(stats.disk_bytes, 2ull * SEGMENT_BYTES_MIN);
    cr_assert_eq(stats.oldest_time_us, 0);
    cr_assert_eq(stats.epoch, 1);
    int64_t first_time_us = run.time_us;
    run_fill(&run, 6u << 20, 50000);
    log_stats(run.log, &stats);
    cr_assert_eq(stats.segments_full, 1);
    cr_assert_geq(stats.log_bytes, 6u << 20);
    cr_assert_leq(stats.log_bytes, 7u << 20);
    cr_assert_eq(stats.oldest_time_us, first_time_us);
    cr_assert_eq(stats.index_entries, run.log->index.entry_count);
    cr_assert_gt(stats.index_entries_max, stats.index_entries);
    cr_assert_gt(stats.disk_free_bytes, 0);
    cr_assert_gt(stats.disk_total_bytes, stats.disk_free_bytes);
    cr_assert_eq(stats.tail_first_index, 1);
    run_close(&run);
    run_end(&run);
}

/* A clean stop writes to meta how far the log goes. When all of it is gone afterwards, also the
 * MARK that would have told, the next start stops instead of beginning anew. */
Test(log_log, misses_what_was_there_at_a_clean_stop)
{
    static const uint8_t zeros[64 * 1024];
    struct run run;

    run_begin(&run, 1);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_append_wait(&run, 0, 2000);
    run_close(&run);
    cr_assert_eq(sim_disk_patch(run.sim, "wal.00", SEGMENT_HEADER_BYTES, zeros, sizeof(zeros)), 0);
    cr_assert_eq(run_open(&run), XD_LOG_CORRUPT, "%s", run.why);
    run_end(&run);
}

/* Only the newest news are kept when nobody listens, and each kind has a name. */
Test(log_log, keeps_the_newest_news)
{
    struct run run;
    struct log_news news;
    uint64_t count = 0;

    run_begin(&run, 1);
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    for (uint64_t i = 0; i < 3 * LOG_NEWS_RING; i++)
        log_news_add(run.log, LOG_NEWS_SEGMENT_ROLLED, i, 0, 0);
    for (; log_news_next(run.log, &news); count++)
        cr_assert_eq(news.a, 2 * LOG_NEWS_RING + count);
    cr_assert_eq(count, LOG_NEWS_RING);
    for (int kind = 0; kind < LOG_NEWS_COUNT; kind++)
        cr_assert_eq(strncmp(log_news_name((enum log_news_kind)kind), "log_", 4), 0);
    run_close(&run);
    run_end(&run);
}

/* An idle log asks to be called rarely, never at once again and again. */
Test(log_log, does_not_spin_when_idle)
{
    struct run run;
    uint32_t turns = 0;

    run_begin(&run, 1);
    run.options.retention_us = 1000000;
    run.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    cr_assert_eq(run_open(&run), 0, "%s", run.why);
    run_fill(&run, 30u << 20, 100000);
    run_idle(&run, 2000000000);
    uint64_t until_ns = env_now_mono_ns(run.env) + 10000000000ull;
    for (; env_now_mono_ns(run.env) < until_ns; turns++)
        cr_assert(run_turn_within(&run, UINT64_MAX / 2 - env_now_mono_ns(run.env)));
    cr_assert_leq(turns, 30);
    run_close(&run);
    run_end(&run);
}
