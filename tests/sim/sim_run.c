/* SPDX-License-Identifier: Apache-2.0
 *
 * One run: mischief for a number of turns, then healing, then judgement.
 *
 * Normal path: a new world and a facility; turns with sources and a reader acting, the process
 * dying now and then, the disk and the network failing at this plan's rates; then no more faults,
 * until every batch has its outcome, or long enough for P12; then sim_judge.c.
 * Failure path: the first thing that is wrong, here or in a client, ends the run.
 */
#include "tests/sim/sim_run.h"

#include "wire/checksum.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HEAL_TURNS 400000u
#define HEAL_NS 11000000000ull /* more than operations may take after the last fault (P12) */
#define STARTS_MAX 60u         /* starts in a row that faults may end */
#define TURN_NS_MAX 2000000u
#define LATE_NS 250000000ull /* longer than anything takes that was started before */

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
        source_reset(run, &run->sources[i], i);
    }
    wire_client_init(&run->reader.wire, run->broker.sim);
    crowd_reset(run);
    history_init(&run->history);
}

void run_deinit(struct run *run)
{
    for (uint32_t i = 0; i < RUN_SOURCES; i++) {
        wire_client_deinit(&run->sources[i].wire);
        wire_client_deinit(&run->sources[i].stale);
        for (uint32_t l = 0; l < RUN_LANES; l++)
            free(run->sources[i].lanes[l].sent);
    }
    history_deinit(&run->history);
    wire_client_deinit(&run->reader.wire);
    sim_broker_close(&run->broker);
    sim_broker_close(&run->copy);
}

/* The first name that is placed on the shard. */
static void facility_on(uint32_t shard, uint32_t shard_count, char name[16])
{
    for (uint32_t i = 1;; i++) {
        uint64_t highest = 0;
        uint32_t chosen = 0;
        snprintf(name, 16, "DC%02u", i);
        for (uint32_t k = 0; k < shard_count; k++) {
            uint64_t hash = xd_xxh3_seeded(name, strlen(name), k);
            chosen = hash > highest ? k : chosen;
            highest = hash > highest ? hash : highest;
        }
        if (chosen == shard)
            return;
    }
}

static void run_place(struct run *run)
{
    uint32_t shards = run->plan.shards;
    run->broker.options.log.shard_count = shards;
    run->facility_count = shards > 1 ? shards : 2;
    for (uint32_t i = 1; i < run->facility_count; i++)
        facility_on(shards > 1 ? i : 0, shards, run->facilities[i]);
}

const char *run_address(struct run *run, uint32_t *ret_shard)
{
    uint32_t shards = run->plan.shards;
    *ret_shard = shards > 1 ? run_below(run, shards) : 0;
    return run->broker.addresses[*ret_shard];
}

void run_cut(struct run *run)
{
    for (uint32_t i = 0; i < RUN_SOURCES; i++)
        source_cut(run, &run->sources[i]);
    reader_cut(run);
    crowd_cut(run);
}

static void run_reset(struct run *run, const struct plan *plan)
{
    struct sim_options world;
    run_cut(run);
    run->plan = *plan;
    plan_stream(plan, FAULT_COUNT, &run->prng);
    for (uint32_t i = 0; i < FAULT_COUNT; i++)
        plan_stream(plan, (enum run_fault)i, &run->streams[i]);
    sim_options_init(&world, plan->seed);
    world.wall_us = RUN_WALL_US;
    world.rates.buggify_enabled = plan_has(plan, FAULT_ROLL)      ? 65536
                                  : plan_has(plan, FAULT_BUGGIFY) ? 32768
                                                                  : 0;
    world.spike_ns = 60000000;
    world.stall_ns = 200000000;
    if (plan_has(plan, FAULT_ROLL) || run_chance(run, 32768)) { /* a device that keeps up */
        world.write = (struct sim_range){2000, 40000};
        world.sync = (struct sim_range){5000, 150000};
    }
    /* Answers within a few turns, and several events in one, as turns are few. */
    world.net = (struct sim_range){2000, 60000};
    world.turn = (struct sim_range){500, run_chance(run, 32768) ? 10000 : 80000};
    sim_broker_reset(&run->broker, &world);
    run_place(run);
    run->serving = run->healing = run->short_of_space = run->read_only = run->damaged = false;
    run->crashed = false;
    run->step = 0;
    run->jumped_us = 0;
    run->failure[0] = '\0';
    rot_reset(run);
    mischief_begin(run);
    for (uint32_t i = 0; i < RUN_SOURCES; i++)
        source_reset(run, &run->sources[i], i);
    run->reader.wire.correlation = 0;
    memset(run->reader.topics, 0, sizeof run->reader.topics);
    memset(run->reader.ends, 0, sizeof run->reader.ends);
    note_begin(run);
}

/* ---- the process ----------------------------------------------------------------------------- */

void run_crash(struct run *run)
{
    sim_broker_crash(&run->broker, SIM_CRASH_ANY);
    note_mark(run, HISTORY_CRASH);
    run_cut(run);
    run->serving = false;
    run->crashed = true;
    run_count(run, TOTAL_CRASHES, 1);
}

/* Whether a start may end like this, and what is to be done before the next one: space comes back,
 * damage is repaired. A refusal must name what is wrong with which file. */
static bool start_may_fail(struct run *run, int status)
{
    const char *why = run->broker.why;
    if (mischief_space(run, status)) {
        run_count(run, TOTAL_STARTS_FULL, 1);
        return true;
    }
    run_count(run, TOTAL_STARTS_FAILED, 1);
    if (sim_dead(run->broker.sim) || status == -EIO || status == -ESHUTDOWN)
        return true;
    bool misread = sim_silent_count(run->broker.sim) > run->silent_before;
    bool foreign = status == XD_LOG_FOREIGN && misread; /* it was given the file of another shard */
    if ((status != XD_LOG_CORRUPT && status != XD_CHECKPOINT_CORRUPT && !foreign) ||
        (rot_count(run) == 0 && !misread))
        return false;
    if (strstr(why, "wal.") == NULL && strstr(why, "meta") == NULL &&
        strstr(why, "checkpoint") == NULL && strstr(why, "segment") == NULL)
        RUN_FAIL(run, "a start is refused without saying what is damaged: %s", why);
    run_count(run, TOTAL_REFUSED, 1);
    return true;
}

void run_start(struct run *run)
{
    for (uint32_t i = 0; i < STARTS_MAX && !run_failed(run); i++) {
        if (i == STARTS_MAX / 2) /* enough */
            mischief_end(run);
        mischief_start(run);
        int status = sim_broker_start(&run->broker);
        if (status == -ETIMEDOUT && mischief_space(run, status)) { /* then it goes on by itself */
            run_count(run, TOTAL_JOINS_FULL, 1);
            status = sim_broker_go_on(&run->broker);
        }
        if (status == 0) {
            mischief_started(run);
            check_started(run);
            run->serving = true;
            run_count(run, TOTAL_JOINS, run->crashed && run->plan.shards > 1);
            run->crashed = false;
            note_mark(run, HISTORY_RESTART);
            if (run->healing)
                note_mark(run, HISTORY_HEALED);
            return;
        }
        bool refused =
            status == XD_LOG_CORRUPT || status == XD_CHECKPOINT_CORRUPT || status == XD_LOG_FOREIGN;
        RUN_TELL(run, "start: %s: %s\n", xd_status_name(status), run->broker.why);
        if (!start_may_fail(run, status))
            return RUN_FAIL(run, "start: %s: %s", xd_status_name(status), run->broker.why);
        run_crash(run);
        if (refused)
            rot_repair(run);
    }
    RUN_FAIL(run, "the broker does not start any more");
}

/* An orderly end while clients send. False: a fault came between, and the process has to die. */
static bool run_stop(struct run *run)
{
    RUN_TELL(run, "stop\n");
    int status = sim_broker_stop(&run->broker);
    if (status == -ETIMEDOUT)
        RUN_FAIL(run, "the broker does not stop");
    if (status < 0)
        return false;
    note_mark(run, HISTORY_STOP);
    run_cut(run);
    run->serving = false;
    run_count(run, TOTAL_STOPS_LOADED, 1);
    return true;
}

/* Whether the process dies or is stopped behind a turn with that status; it has ended then. */
static bool run_ends(struct run *run, int status)
{
    bool dies = run_fault(run, FAULT_CRASH) || status < 0;
    if (!dies && sim_broker_spreading(&run->broker) && run_fault(run, FAULT_SPREAD_CRASH)) {
        run_count(run, TOTAL_SPREAD_CRASHES, 1);
        dies = true;
    }
    bool stops = !dies && run_fault(run, FAULT_STOP);
    if (run_failed(run) || (!dies && !stops))
        return false;
    if (status < 0 && status != -ESHUTDOWN && !run->short_of_space)
        run_count(run, TOTAL_FENCES, 1);
    if (!stops || !run_stop(run))
        run_crash(run);
    return true;
}

/* One turn of everything, at most that long. */
static void run_turn(struct run *run, uint32_t ns_max)
{
    RUN_TELL(run, "turn %u%s\n", run->step, run->healing ? ", healing" : "");
    mischief_turn(run);
    int status = sim_broker_turn(&run->broker, 1 + run_below(run, ns_max));
    for (uint32_t i = 0; i < RUN_SOURCES && status >= 0; i++)
        source_act(run, &run->sources[i]);
    if (status >= 0)
        reader_act(run);
    if (status >= 0)
        crowd_act(run);
    if (run->broker.drops_wrong > 0)
        RUN_FAIL(run, "retention has dropped a segment too early");
    if (run_ends(run, status))
        run_start(run);
}

void run_rest(struct run *run, uint64_t ms)
{
    uint64_t end_ns = sim_now_ns(run->broker.sim) + ms * 1000000;
    while (!run_failed(run) && sim_now_ns(run->broker.sim) < end_ns) {
        int status = sim_broker_turn(&run->broker, 50000000);
        if (status < 0)
            return RUN_FAIL(run, "at rest: %s", xd_status_name(status));
    }
}

/* ---- phases ---------------------------------------------------------------------------------- */

/* A facility of sources, before any fault. */
static void run_add_facility(struct run *run, const char *name)
{
    struct wire_client *wire = &run->reader.wire;
    struct wire_frame frame;
    char json[64];
    XD_ASSERT(wire_client_connect(wire, run_address(run, &run->reader.home)) == 0);
    wire_client_hello(wire);
    snprintf(json, sizeof json, "{\"name\":\"%s\"}", name);
    uint64_t correlation = wire_client_admin(wire, "facility add", json);
    for (uint32_t i = 0; i < 1000; i++) {
        wire_client_pump(wire);
        while (wire_client_next(wire, &frame)) {
            if (frame.head.correlation == correlation) {
                reader_cut(run);
                return;
            }
        }
        XD_ASSERT(sim_broker_turn(&run->broker, 1000000) >= 0);
    }
    RUN_FAIL(run, "facility add is not answered");
}

static bool all_settled(const struct run *run)
{
    bool settled = true;
    for (uint32_t i = 0; i < RUN_SOURCES; i++)
        settled = settled && source_settled(&run->sources[i]);
    return settled;
}

/* Until every batch has its outcome, and what was started before has ended, well or badly. False:
 * that takes too long. */
static bool run_heal(struct run *run)
{
    mischief_end(run);
    note_mark(run, HISTORY_HEALED);
    uint64_t start_ns = sim_now_ns(run->broker.sim);
    for (uint32_t i = 0; i < HEAL_TURNS && sim_now_ns(run->broker.sim) < start_ns + HEAL_NS; i++) {
        bool settled = all_settled(run);
        if (run_failed(run) || (settled && sim_now_ns(run->broker.sim) >= start_ns + LATE_NS))
            return true;
        run_turn(run, settled ? (uint32_t)LATE_NS : TURN_NS_MAX);
    }
    return false;
}

/* What the world and the broker have counted themselves. */
static void run_sum_up(struct run *run)
{
    struct sim_broker *broker = &run->broker;
    const struct sim_broker_totals *totals = &broker->totals;
    sim_broker_sum_up(broker);
    for (uint32_t i = 0; i < ENV_CRASH_COUNT; i++)
        run->points[i] += sim_crash_point_hits(broker->sim, (enum env_crash_point)i);
    for (uint32_t i = 0; i < ENV_BUGGIFY_COUNT; i++)
        run->sites[i] += sim_buggify_fires(broker->sim, (enum env_buggify)i);
    run_count(run, TOTAL_TAIL_CUTS, broker->tail_cuts);
    run_count(run, TOTAL_CHECKPOINTS, broker->checkpoints);
    run_count(run, TOTAL_ROLLS, broker->rolls);
    run_count(run, TOTAL_DROPS_BY_SIZE, broker->drops_by_size);
    run_count(run, TOTAL_DROPS_BY_AGE, broker->drops_by_age);
    run_count(run, TOTAL_ROT_READS, sim_silent_count(broker->sim));
    run_count(run, TOTAL_FORWARDED, totals->forwarded);
    run_count(run, TOTAL_RELAYED, totals->relayed);
    run_count(run, TOTAL_CUT_LENT, totals->cut_lent);
    run_count(run, TOTAL_BELLS, totals->bells);
    run_count(run, TOTAL_BROUGHT, totals->brought);
    run_count(run, TOTAL_BEHIND, totals->behind);
    run_count(run, TOTAL_JOIN_DEATHS, totals->join_deaths);
}

bool run_plan(struct run *run, const struct plan *plan, FILE *trace)
{
    run_reset(run, plan);
    sim_trace_to(run->broker.sim, trace);
    run->trace = run->broker.print = trace;
    run_start(run);
    *sim_rates(run->broker.sim) = (struct sim_rates){0};
    for (uint32_t i = 1; i < run->facility_count && !run_failed(run); i++)
        run_add_facility(run, run->facilities[i]);
    *sim_rates(run->broker.sim) = run->rates;
    note_mark(run, HISTORY_FAULTS);
    for (; run->step < plan->steps && !run_failed(run); run->step++)
        run_turn(run, TURN_NS_MAX);
    if (!run_failed(run)) {
        bool settled = run_heal(run);
        if (!run_failed(run))
            judge(run, settled);
    }
    run_sum_up(run);
    return !run_failed(run);
}
