/* SPDX-License-Identifier: Apache-2.0
 *
 * Draws plans; names of profiles and faults.
 */
#include "tests/sim/sim_plan.h"

#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

#define F(name) FAULT_BIT(FAULT_##name)
#define RUN_STREAM 31u /* number of the whole run's stream */
#define SHARDS_SALT 0x80000000u
#define CROWD_SALT 0x40000000u
#define CROWD_OF 10u /* one of so many seeds of swarm is a crowd */

static const char *const fault_names[FAULT_COUNT] = {
#define FAULT(name, text, share, max, what) [FAULT_##name] = text,
#include "tests/sim/sim_fault.def"
#undef FAULT
};

static const uint32_t rates_max[FAULT_COUNT] = {
#define FAULT(name, text, share, max, what) [FAULT_##name] = max,
#include "tests/sim/sim_fault.def"
#undef FAULT
};

/* Of 64 seeds. */
static const uint32_t shares[FAULT_COUNT] = {
#define FAULT(name, text, share, max, what) [FAULT_##name] = share,
#include "tests/sim/sim_fault.def"
#undef FAULT
};

struct profile {
    const char *name;
    uint64_t always; /* faults of every seed, at the higher rates */
    uint64_t often;  /* faults of every second seed */
};

static const struct profile profiles[PROFILE_COUNT] = {
    [PROFILE_SWARM] = {"swarm", 0, 0},
    [PROFILE_NONE] = {"none", 0, 0},
    [PROFILE_CRASH_IN_RECOVERY] = {"crash_in_recovery", F(CRASH) | F(RECOVERY_CRASH), F(ROLL)},
    [PROFILE_CRASH_IN_CHECKPOINT] = {"crash_in_checkpoint", F(CHECKPOINT_CRASH) | F(ROLL), 0},
    [PROFILE_DISK_FULL_EDGE] = {"disk_full_edge", F(DISK_FULL) | F(ROLL), F(DISK_DRY)},
    [PROFILE_DUPLICATE_STORM] = {"duplicate_storm", F(STORM) | F(RESEND) | F(RESEND_PENDING),
                                 F(ZOMBIE)},
    [PROFILE_RETENTION] = {"retention", F(ROLL) | F(RETENTION_SIZE), F(RETENTION_TIME)},
    [PROFILE_SILENT_DAMAGE] = {"silent_damage", F(CRASH), F(ROT) | F(ROT_READ) | F(ROLL)},
    [PROFILE_CLOCK] = {"clock", F(CLOCK), F(PAUSE) | F(RETENTION_TIME) | F(ROLL)},
    [PROFILE_CROWD] = {"crowd", F(CROWD), F(PAUSE) | F(STORM)},
};

static uint64_t profile_often(enum run_profile profile, uint64_t seeds)
{
    if (profile == PROFILE_SWARM && seeds >= SWARM_SEEDS)
        return FAULTS_ALL;
    if (profile == PROFILE_NONE)
        return 0;
    uint64_t often = profiles[profile].always | profiles[profile].often;
    for (uint32_t i = 0; i < FAULT_COUNT; i++)
        often |= shares[i] > FAULT_RARE ? FAULT_BIT(i) : 0;
    return often;
}

uint64_t plan_often(const struct plan_limits *limits, uint64_t seeds)
{
    uint64_t often = profile_often(limits->profile, seeds) & limits->faults;
    bool several = limits->shards > 1 || (limits->shards == 0 && seeds >= DRAWN_SEEDS);
    return often | (several ? SHARDS_BIT : 0);
}

const char *profile_name(enum run_profile profile)
{
    XD_ASSERT(profile < PROFILE_COUNT);
    return profiles[profile].name;
}

bool profile_find(const char *name, enum run_profile *ret_profile)
{
    for (uint32_t i = 0; i < PROFILE_COUNT; i++) {
        if (strcmp(name, profiles[i].name) != 0)
            continue;
        *ret_profile = (enum run_profile)i;
        return true;
    }
    return false;
}

/* ---- drawing --------------------------------------------------------------------------------- */

void plan_stream(const struct plan *plan, enum run_fault fault, struct prng *ret_prng)
{
    /* The run's own has its number for good, so that a further fault leaves all seeds as they are
     * but those that have it. */
    uint64_t number = fault == FAULT_COUNT ? RUN_STREAM : fault < RUN_STREAM ? fault : fault + 1u;
    prng_seed(ret_prng, prng_mix(plan->seed * 64 + number));
}

/* Whether the seed has the fault, and at which rate. */
static uint32_t draw_rate(const struct plan *plan, enum run_fault fault)
{
    const struct profile *profile = &profiles[plan->profile];
    uint64_t bit = FAULT_BIT(fault);
    uint32_t max = rates_max[fault];
    uint32_t share = shares[fault] * 1024;
    struct prng prng;

    plan_stream(plan, fault, &prng);
    if ((profile->always & bit) != 0)
        share = 65536;
    else if ((profile->often & bit) != 0)
        share = 65536 / 2;
    if (plan->profile == PROFILE_NONE || !prng_chance(&prng, share))
        return 0;
    uint32_t rate = 1 + (uint32_t)prng_below(&prng, max);
    return (profile->always & bit) != 0 && rate < max / 2 ? rate + max / 2 : rate;
}

/* Most runs are short, because most of what they can find depends on a few turns; some are not. It
 * takes a while until retention has something to drop. */
static uint32_t draw_steps(const struct plan *plan)
{
    struct prng prng;

    plan_stream(plan, FAULT_COUNT, &prng);
    uint32_t steps = prng_chance(&prng, 65536 / 100) ? 800 : 30 + (uint32_t)prng_below(&prng, 90);
    return plan->profile == PROFILE_RETENTION ? steps * 3 / 2 : steps;
}

/* One shard most often: several take longer. */
static uint32_t draw_shards(uint64_t seed)
{
    uint64_t drawn = prng_mix(seed ^ SHARDS_SALT) % 12;
    return drawn > 3 ? 1 : drawn > 0 ? 2 : 4;
}

static enum run_profile draw_profile(uint64_t seed)
{
    if (prng_mix(seed ^ CROWD_SALT) % CROWD_OF == 0)
        return PROFILE_CROWD;
    return (enum run_profile)(PROFILE_NONE + prng_mix(seed) % (PROFILE_CROWD - PROFILE_NONE));
}

void plan_draw(struct plan *plan, const struct plan_limits *limits, uint64_t seed)
{
    XD_ASSERT(limits->profile < PROFILE_COUNT && (limits->faults & ~FAULTS_ALL) == 0);
    *plan = (struct plan){.seed = seed, .profile = limits->profile};
    if (limits->profile == PROFILE_SWARM)
        plan->profile = draw_profile(seed);
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        uint32_t rate = draw_rate(plan, (enum run_fault)i);
        if (rate == 0 || (limits->faults & FAULT_BIT(i)) == 0)
            continue;
        plan->rates[i] = rate;
        plan->faults |= FAULT_BIT(i);
    }
    plan->steps = limits->steps != 0 ? limits->steps : draw_steps(plan);
    plan->shards = limits->shards != 0 ? limits->shards : draw_shards(seed);
}

/* ---- names ----------------------------------------------------------------------------------- */

const char *fault_name(enum run_fault fault)
{
    XD_ASSERT(fault < FAULT_COUNT);
    return fault_names[fault];
}

void faults_write(uint64_t faults, char *ret_text)
{
    size_t used = 0;

    XD_ASSERT((faults & ~FAULTS_ALL) == 0);
    ret_text[0] = '\0';
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        if ((faults & FAULT_BIT(i)) == 0)
            continue;
        int written = snprintf(ret_text + used, FAULTS_TEXT_BYTES - used, "%s%s",
                               used > 0 ? "," : "", fault_names[i]);
        XD_ASSERT(written > 0 && (size_t)written < FAULTS_TEXT_BYTES - used);
        used += (size_t)written;
    }
    if (used == 0)
        snprintf(ret_text, FAULTS_TEXT_BYTES, "none");
}

bool faults_read(const char *text, uint64_t *ret_faults)
{
    uint64_t faults = 0;

    if (strcmp(text, "none") == 0 || strcmp(text, "all") == 0) {
        *ret_faults = text[0] == 'a' ? FAULTS_ALL : 0;
        return true;
    }
    while (*text != '\0') {
        size_t bytes = strcspn(text, ",");
        uint32_t i = 0;
        while (i < FAULT_COUNT &&
               (strlen(fault_names[i]) != bytes || memcmp(fault_names[i], text, bytes) != 0))
            i++;
        if (i == FAULT_COUNT)
            return false;
        faults |= FAULT_BIT(i);
        text += bytes + (text[bytes] == ',');
    }
    *ret_faults = faults;
    return true;
}
