/* SPDX-License-Identifier: Apache-2.0
 *
 * What happens to a broker from outside: rates of a bad device and a bad network, a clock that
 * jumps, a process that pauses or dies at a bad moment, a disk that fills up.
 *
 * Each fault draws from its own stream. Everything here ends with mischief_end: rates are zero then
 * and there is space again; jumps of the clock stay.
 */
#include "tests/sim/sim_run.h"

#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

#define DISK_BYTES (16ull << 30)
#define JOIN_TURNS_MAX 12u
#define SECOND_US 1000000ll
#define HOUR_US (3600 * SECOND_US)
#define JUMPED_US_MAX (240 * HOUR_US) /* the clock stays within this of the truth */

/* ---- rates and options ----------------------------------------------------------------------- */

static void set_rates(struct run *run)
{
    const uint32_t *rates = run->plan.rates;
    uint32_t buggify = rates[FAULT_ROLL] > rates[FAULT_BUGGIFY] ? FAULT_ROLL : FAULT_BUGGIFY;
    run->rates = (struct sim_rates){.write_error = rates[FAULT_WRITE_ERROR],
                                    .read_error = rates[FAULT_READ_ERROR],
                                    .sync_error = rates[FAULT_SYNC_ERROR],
                                    .write_short = rates[FAULT_WRITE_SHORT],
                                    .read_short = rates[FAULT_READ_SHORT],
                                    .spike = rates[FAULT_SPIKE],
                                    .read_flip = rates[FAULT_ROT_READ],
                                    .read_misdirect = rates[FAULT_ROT_READ],
                                    .net_fragment = rates[FAULT_FRAGMENT],
                                    .net_reset = rates[FAULT_RESET],
                                    .net_stall = rates[FAULT_STALL],
                                    .crash_point = rates[FAULT_CRASH_POINT],
                                    .buggify_fires = rates[buggify]};
}

/* Budgets of this run. */
static void set_tight(struct run *run, struct shard_options *options)
{
    struct prng *prng = &run->streams[FAULT_TIGHT];
    options->acks_max = 2u << prng_below(prng, 10);
    options->waiters_max = 1 + (uint32_t)prng_below(prng, 8);
    options->connection_bytes =
        prng_chance(prng, 32768) ? 1u << (12 + prng_below(prng, 7)) : 4u << 20;
    options->stall_ms = 1 + (uint32_t)prng_below(prng, 10);
    options->log.undurable_bytes_max = 2u << 20;
    options->net.out_chunk_count = 4u << prng_below(prng, 6);
    options->net.out_chunks_per_conn = 1 + (uint32_t)prng_below(prng, 16);
    options->net.large_count = 1 + (uint32_t)prng_below(prng, 3);
    options->net.strangers_max = 1 + (uint32_t)prng_below(prng, 6);
    options->net.address_max = 16 + (uint32_t)prng_below(prng, 8);
}

void mischief_begin(struct run *run)
{
    struct shard_options *options = &run->broker.options;
    set_rates(run);
    if (plan_has(&run->plan, FAULT_TIGHT))
        set_tight(run, options);
    if (plan_has(&run->plan, FAULT_CROWD))
        crowd_begin(run, options);
    if (plan_has(&run->plan, FAULT_ROLL))
        options->log.segments_ready_min = 1 + (uint32_t)run_fault_below(run, FAULT_ROLL, 3);
    if (plan_has(&run->plan, FAULT_RETENTION_SIZE))
        options->log.retention_bytes =
            options->log.segment_bytes * (4 + run_fault_below(run, FAULT_RETENTION_SIZE, 3));
    if (plan_has(&run->plan, FAULT_RETENTION_TIME)) {
        static const int64_t times_us[] = {SECOND_US / 10, SECOND_US, 20 * SECOND_US, HOUR_US,
                                           24 * HOUR_US};
        options->log.retention_us = times_us[run_fault_below(run, FAULT_RETENTION_TIME, 5)];
    }
}

/* ---- clock and process ----------------------------------------------------------------------- */

static void jump(struct run *run)
{
    static const int64_t reaches_us[] = {2 * SECOND_US, HOUR_US, 72 * HOUR_US};
    int64_t reach_us = reaches_us[run_fault_below(run, FAULT_CLOCK, 3)];
    int64_t by_us = (int64_t)run_fault_below(run, FAULT_CLOCK, 2 * (uint64_t)reach_us) - reach_us;
    int64_t sum_us = run->jumped_us + by_us;
    if (sum_us > JUMPED_US_MAX || sum_us < -JUMPED_US_MAX)
        by_us = -run->jumped_us;
    sim_wall_jump(run->broker.sim, by_us);
    run->jumped_us += by_us;
    RUN_TELL(run, "the clock jumps by %lld us\n", (long long)by_us);
    run_count(run, by_us < 0 ? TOTAL_JUMPS_BACK : TOTAL_JUMPS_AHEAD, 1);
}

static void pause(struct run *run)
{
    uint64_t ns = 1000000000 + run_fault_below(run, FAULT_PAUSE, 29000000000u);
    RUN_TELL(run, "the process pauses for %llu ns\n", (unsigned long long)ns);
    sim_pause(run->broker.sim, ns);
    run_count(run, TOTAL_PAUSES, 1);
}

/* ---- space ----------------------------------------------------------------------------------- */

static void space_back(struct run *run)
{
    RUN_TELL(run, "there is space\n");
    sim_disk_capacity(run->broker.sim, DISK_BYTES);
    sim_space_limit(run->broker.sim, UINT64_MAX);
    run->short_of_space = false;
}

/* Something else fills the disk: what is left is around the broker's limit, or nothing. */
static void fill_up(struct run *run)
{
    struct sim *sim = run->broker.sim;
    uint64_t room =
        run->broker.options.log.disk_low_bytes + 2 * run->broker.options.log.segment_bytes;
    uint64_t left = run_fault_below(run, FAULT_DISK_FULL, 2) == 0
                        ? 0
                        : run_fault_below(run, FAULT_DISK_FULL, room);
    RUN_TELL(run, "the disk fills up, %llu bytes are left\n", (unsigned long long)left);
    sim_disk_capacity(sim, sim_disk_used(sim) + left);
    run->short_of_space = true;
}

static void run_dry(struct run *run)
{
    uint64_t left = run_fault_below(run, FAULT_DISK_DRY, 1u << 18);
    RUN_TELL(run, "the volume runs dry after %llu bytes\n", (unsigned long long)left);
    sim_space_limit(run->broker.sim, left);
    run->short_of_space = true;
}

bool mischief_space(struct run *run, int status)
{
    /* Several shards: an entry of the catalog has no room. */
    if (!run->short_of_space || (status != -ENOSPC && status != -ETIMEDOUT))
        return false;
    space_back(run);
    return true;
}

/* ---- when ------------------------------------------------------------------------------------ */

void mischief_turn(struct run *run)
{
    if (run_fault(run, FAULT_CLOCK))
        jump(run);
    if (run_fault(run, FAULT_PAUSE))
        pause(run);
    if (run_fault(run, FAULT_DISK_FULL)) {
        if (run->short_of_space)
            space_back(run);
        else
            fill_up(run);
    }
    if (run_fault(run, FAULT_DISK_DRY) && !run->short_of_space)
        run_dry(run);
    if (run_fault(run, FAULT_ROT))
        rot_add(run);
}

/* One of the crash points, or none. */
static void plan_death(struct run *run, enum run_fault fault, const enum env_crash_point *points,
                       uint32_t count)
{
    if (!run_fault(run, fault))
        return;
    enum env_crash_point point = points[run_fault_below(run, fault, count)];
    sim_plan_crash(run->broker.sim, point, 1 + (uint32_t)run_fault_below(run, fault, 2));
}

void mischief_start(struct run *run)
{
    static const enum env_crash_point points[] = {
        ENV_CRASH_RECOVERY_SCANNED, ENV_CRASH_RECOVERY_QUARANTINED,  ENV_CRASH_META_FIRST_SLOT,
        ENV_CRASH_META_BOTH_SLOTS,  ENV_CRASH_RECOVERY_EPOCH_RAISED, ENV_CRASH_SEGMENT_PREPARED};
    for (uint32_t i = 0; i < 4; i++)
        if (run_fault(run, FAULT_ROT))
            rot_add(run);
    plan_death(run, FAULT_RECOVERY_CRASH, points, sizeof points / sizeof points[0]);
    if (run->plan.shards > 1 && run_fault(run, FAULT_SPREAD_CRASH))
        run->broker.join_turns =
            1 + (uint32_t)run_fault_below(run, FAULT_SPREAD_CRASH, JOIN_TURNS_MAX);
    /* One replica survives one wrong read at a time, and none that hides the proof of what is
     * damaged already. */
    bool proven = rot_proven(run);
    run->silent_before = sim_silent_count(run->broker.sim);
    sim_silent_limit(run->broker.sim, proven ? 0 : 1);
    if (proven)
        sim_rates(run->broker.sim)->read_error = 0;
}

void mischief_started(struct run *run)
{
    static const enum env_crash_point points[] = {
        ENV_CRASH_CHECKPOINT_WRITTEN, ENV_CRASH_CHECKPOINT_CURRENT, ENV_CRASH_SEGMENT_ROLL};
    *sim_rates(run->broker.sim) = run->healing ? (struct sim_rates){0} : run->rates;
    sim_silent_limit(run->broker.sim, UINT64_MAX);
    sim_plan_crash(run->broker.sim, points[0], 0);
    plan_death(run, FAULT_CHECKPOINT_CRASH, points, sizeof points / sizeof points[0]);
    run->damaged = !run->healing &&
                   (plan_has(&run->plan, FAULT_READ_ERROR) || plan_has(&run->plan, FAULT_ROT_READ));
}

void mischief_end(struct run *run)
{
    run->healing = true;
    crowd_cut(run);
    run->rates = (struct sim_rates){0};
    *sim_rates(run->broker.sim) = run->rates;
    sim_plan_crash(run->broker.sim, ENV_CRASH_CHECKPOINT_WRITTEN, 0);
    space_back(run);
}
