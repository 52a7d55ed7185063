/* SPDX-License-Identifier: Apache-2.0
 *
 * One run: mischief for a number of turns, then healing, then judgement.
 *
 * Normal path: a new world and a facility; turns with sources and a reader acting, the process
 * dying now and then, the disk and the network failing at this seed's rates; then no more faults,
 * until every batch has its outcome; then the log is compared with what was sent, and the fold
 * state with that after a stop, after a crash, and from the older checkpoint.
 */
#include "tests/sim/sim_run.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAL_TURNS 400000u
#define STARTS_MAX 60u /* starts in a row that faults may end */

void run_init(struct run *run)
{
    struct sim_options world;
    memset(run, 0, sizeof *run);
    sim_options_init(&world, 0);
    sim_broker_open(&run->broker, &world);
    sim_broker_open(&run->copy, &world);
    for (uint32_t i = 0; i < RUN_SOURCES; i++) {
        wire_client_init(&run->sources[i].wire, run->broker.sim);
        wire_client_init(&run->sources[i].stale, run->broker.sim);
    }
    wire_client_init(&run->reader.wire, run->broker.sim);
}

void run_deinit(struct run *run)
{
    for (uint32_t i = 0; i < RUN_SOURCES; i++) {
        wire_client_deinit(&run->sources[i].wire);
        wire_client_deinit(&run->sources[i].stale);
        for (uint32_t l = 0; l < RUN_LANES; l++)
            free(run->sources[i].lanes[l].sent);
    }
    for (uint32_t i = 0; i < RUN_PARTITIONS; i++)
        free(run->reader.seen[i].hash);
    wire_client_deinit(&run->reader.wire);
    sim_broker_close(&run->broker);
    sim_broker_close(&run->copy);
}

/* Which faults this seed has: a random subset, at random rates. */
static void draw_rates(struct run *run)
{
    struct sim_rates *rates = &run->rates;
    const struct {
        uint32_t *rate;
        uint32_t max;
    } rows[] = {
        {&rates->write_error, 300},    {&rates->sync_error, 400},  {&rates->read_error, 400},
        {&rates->write_short, 2000},   {&rates->read_short, 2000}, {&rates->spike, 1500},
        {&rates->net_fragment, 16384}, {&rates->net_reset, 300},   {&rates->net_stall, 60},
        {&rates->crash_point, 400},    {&run->crash_rate, 600},
    };
    memset(rates, 0, sizeof *rates);
    run->crash_rate = 0;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (run_chance(run, 32768))
            *rows[i].rate = 1 + run_below(run, rows[i].max);
    run->large = run_chance(run, 32768);
    rates->buggify_enabled = run_chance(run, 32768) ? 32768 : 0;
    rates->buggify_fires = 1 + run_below(run, 6000);
}

/* Budgets of this seed: often tight, so that waiting for room is normal. */
static void draw_options(struct run *run)
{
    struct shard_options *options = &run->broker.options;
    if (run_chance(run, 32768))
        return;
    options->acks_max = 2u << run_below(run, 10);
    options->waiters_max = 1 + run_below(run, 8);
    options->connection_bytes = run_chance(run, 32768) ? 1u << (12 + run_below(run, 7)) : 4u << 20;
    options->stall_ms = 1 + run_below(run, 10);
    options->log.undurable_bytes_max = 2u << 20;
    options->net.out_chunk_count = 4u << run_below(run, 6);
    options->net.out_chunks_per_conn = 1 + run_below(run, 16);
    options->net.large_count = 1 + run_below(run, 3);
}

static void run_reset(struct run *run, uint64_t seed)
{
    struct sim_options world;
    source_cut(&run->sources[0]);
    for (uint32_t i = 0; i < RUN_SOURCES; i++)
        source_cut(&run->sources[i]);
    reader_cut(run);
    run->seed = seed;
    prng_seed(&run->prng, seed ^ 0x5eed);
    draw_rates(run);
    sim_options_init(&world, seed);
    world.rates.buggify_enabled = run->rates.buggify_enabled;
    world.spike_ns = 60000000;
    world.stall_ns = 200000000;
    sim_broker_reset(&run->broker, &world);
    draw_options(run);
    run->serving = run->healing = false;
    run->failure[0] = '\0';
    for (uint32_t i = 0; i < RUN_SOURCES; i++)
        source_reset(run, &run->sources[i], i);
    run->reader.wire.correlation = 0;
    memset(run->reader.topics, 0, sizeof run->reader.topics);
    for (uint32_t i = 0; i < RUN_PARTITIONS; i++)
        if (run->reader.seen[i].hash != NULL)
            memset(run->reader.seen[i].hash, 0, run->reader.seen[i].max * sizeof(uint64_t));
}

/* ---- the process ----------------------------------------------------------------------------- */

static void run_crash(struct run *run)
{
    sim_broker_crash(&run->broker, SIM_CRASH_ANY);
    for (uint32_t i = 0; i < RUN_SOURCES; i++)
        source_cut(&run->sources[i]);
    reader_cut(run);
    run->serving = false;
    run->totals[TOTAL_CRASHES]++;
}

/* Starts, and again when a fault ends the start. */
static void run_start(struct run *run)
{
    for (uint32_t i = 0; i < STARTS_MAX; i++) {
        if (i == STARTS_MAX / 2) /* enough */
            memset(sim_rates(run->broker.sim), 0, sizeof run->rates);
        int status = sim_broker_start(&run->broker);
        if (status == 0) {
            *sim_rates(run->broker.sim) = run->healing ? (struct sim_rates){0} : run->rates;
            run->serving = true;
            return;
        }
        run->totals[TOTAL_STARTS_FAILED]++;
        bool faulty = sim_dead(run->broker.sim) || status == -EIO || status == -ESHUTDOWN;
        if (!faulty)
            return RUN_FAIL(run, "start: %s: %s", xd_status_name(status), run->broker.why);
        run_crash(run);
    }
    RUN_FAIL(run, "the broker does not start any more");
}

/* One turn of everything. */
static void run_turn(struct run *run)
{
    int status = sim_broker_turn(&run->broker, 1 + run_below(run, 2000000));
    for (uint32_t i = 0; i < RUN_SOURCES && status >= 0; i++)
        source_act(run, &run->sources[i]);
    if (status >= 0)
        reader_act(run);
    bool dies = status < 0 || (!run->healing && run_chance(run, run->crash_rate));
    if (!dies || run_failed(run))
        return;
    if (status < 0 && status != -ESHUTDOWN)
        run->totals[TOTAL_FENCES]++;
    run_crash(run);
    run_start(run);
}

/* ---- phases ---------------------------------------------------------------------------------- */

/* The facility of every second source, before any fault. */
static void run_add_facility(struct run *run)
{
    struct wire_client wire;
    struct wire_frame frame;
    wire_client_init(&wire, run->broker.sim);
    XD_ASSERT(wire_client_connect(&wire, run->broker.address) == 0);
    wire_client_hello(&wire);
    uint64_t correlation = wire_client_admin(&wire, "facility add", "{\"name\":\"DC01\"}");
    for (uint32_t i = 0; i < 1000; i++) {
        wire_client_pump(&wire);
        while (wire_client_next(&wire, &frame)) {
            if (frame.head.correlation == correlation) {
                wire_client_deinit(&wire);
                return;
            }
        }
        XD_ASSERT(sim_broker_turn(&run->broker, 1000000) >= 0);
    }
    RUN_FAIL(run, "facility add is not answered");
    wire_client_deinit(&wire);
}

static bool all_settled(const struct run *run)
{
    bool settled = true;
    for (uint32_t i = 0; i < RUN_SOURCES; i++)
        settled = settled && source_settled(&run->sources[i]);
    return settled;
}

static void run_heal(struct run *run)
{
    run->healing = true;
    memset(sim_rates(run->broker.sim), 0, sizeof run->rates);
    for (uint32_t i = 0; i < HEAL_TURNS && !run_failed(run); i++) {
        if (all_settled(run))
            return;
        run_turn(run);
    }
    for (uint32_t i = 0; i < RUN_SOURCES; i++)
        for (uint32_t l = 0; l < RUN_LANES; l++)
            if (run->sources[i].lanes[l].settled < run->sources[i].lanes[l].sent_count)
                RUN_FAIL(run, "%s partition %u never settles", run->sources[i].name,
                         run->sources[i].lanes[l].partition);
    RUN_FAIL(run, "the sources do not come to rest");
}

/* Turns until a MARK covers everything and no open is staged. */
static void run_rest(struct run *run)
{
    uint64_t end_ns = sim_now_ns(run->broker.sim) + 500000000;
    while (sim_now_ns(run->broker.sim) < end_ns) {
        int status = sim_broker_turn(&run->broker, 50000000);
        if (status < 0)
            return RUN_FAIL(run, "at rest: %s", xd_status_name(status));
    }
}

static void compare_hash(struct run *run, uint64_t hash, const char *when)
{
    if (run_failed(run))
        return;
    if (sim_broker_state_hash(&run->broker) != hash)
        RUN_FAIL(run, "the fold state differs after %s", when);
}

/* The fold from an older checkpoint: the disk is copied, one checkpoint file damaged. When the
 * other one is not whole (a crash while it was written) the start must say so. */
static void judge_fallback(struct run *run, uint64_t hash, const char *name)
{
    struct sim_options world;
    sim_options_init(&world, run->seed);
    sim_broker_reset(&run->copy, &world);
    run->copy.options = run->broker.options;
    sim_disk_copy(run->copy.sim, run->broker.sim);
    if (sim_disk_durable_bytes(run->copy.sim, name) < 4096)
        return; /* made, never written */
    XD_ASSERT(sim_disk_flip(run->copy.sim, name, 100, 3) == 0);
    int status = sim_broker_start(&run->copy);
    if (status == 0) {
        if (sim_broker_state_hash(&run->copy) != hash)
            RUN_FAIL(run, "the fold state differs without %s", name);
        run->totals[TOTAL_FALLBACKS] += run->copy.fallbacks;
    } else if (status != XD_CHECKPOINT_CORRUPT) {
        RUN_FAIL(run, "start without %s: %s: %s", name, xd_status_name(status), run->copy.why);
    }
    sim_broker_crash(&run->copy, SIM_CRASH_KEEP_NONE);
}

static void run_judge(struct run *run)
{
    run_rest(run);
    if (!run_failed(run))
        run_check_log(run);
    if (run_failed(run))
        return;
    run_rest(run);
    uint64_t hash = sim_broker_state_hash(&run->broker);
    run_crash(run);
    run_start(run);
    compare_hash(run, hash, "a crash");
    if (run_failed(run))
        return;
    int status = sim_broker_stop(&run->broker);
    if (status < 0)
        return RUN_FAIL(run, "stop: %s", xd_status_name(status));
    run->totals[TOTAL_STOPS]++;
    char name[ENV_NAME_BYTES_MAX];
    for (uint32_t i = 0; sim_disk_name(run->broker.sim, i, name) == 0; i++)
        if (strncmp(name, "checkpoint", 10) == 0)
            judge_fallback(run, hash, name);
    run_start(run);
    compare_hash(run, hash, "a stop");
}

bool run_seed(struct run *run, uint64_t seed, uint32_t steps, FILE *trace)
{
    run_reset(run, seed);
    sim_trace_to(run->broker.sim, trace);
    run_start(run);
    *sim_rates(run->broker.sim) = (struct sim_rates){0};
    if (!run_failed(run))
        run_add_facility(run);
    *sim_rates(run->broker.sim) = run->rates;
    for (uint32_t i = 0; i < steps && !run_failed(run); i++)
        run_turn(run);
    if (!run_failed(run))
        run_heal(run);
    if (!run_failed(run))
        run_judge(run);
    for (uint32_t i = 0; i < ENV_CRASH_COUNT; i++)
        run->points[i] += sim_crash_point_hits(run->broker.sim, (enum env_crash_point)i);
    for (uint32_t i = 0; i < ENV_BUGGIFY_COUNT; i++)
        run->sites[i] += sim_buggify_fires(run->broker.sim, (enum env_buggify)i);
    run->totals[TOTAL_TAIL_CUTS] += run->broker.tail_cuts;
    run->totals[TOTAL_CHECKPOINTS] += run->broker.checkpoints;
    return !run_failed(run);
}
