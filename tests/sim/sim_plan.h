/* SPDX-License-Identifier: Apache-2.0
 *
 * What a seed will do to its world: a profile, the faults drawn from it, their rates, the steps.
 *
 * Each fault has a random stream of its own, so that a run with fewer faults allowed is the same
 * run without them: what `--faults` and the shrinking of a failing seed rely on. Must not touch a
 * world.
 */
#ifndef CROSSDOCK_TESTS_SIM_SIM_PLAN_H
#define CROSSDOCK_TESTS_SIM_SIM_PLAN_H

#include "broker/base/prng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum run_fault {
#define FAULT(name, text, share, max, what) FAULT_##name,
#include "tests/sim/sim_fault.def"
#undef FAULT
    FAULT_COUNT
};

#define FAULT_BIT(fault) (1ull << (fault))
#define FAULTS_ALL (FAULT_BIT(FAULT_COUNT) - 1u)
#define FAULTS_TEXT_BYTES 512u
#define FAULT_RARE 4u /* share of 64 up to which a fault may not come up in a hundred seeds */
#define SHARDS_BIT 0x8000000000000000ull /* beside a set of faults: there are several shards */
_Static_assert(FAULT_COUNT < 63, "faults and SHARDS_BIT are one word");

enum run_profile {
    PROFILE_SWARM, /* a seed draws one of the others */
    PROFILE_NONE,  /* no faults: clients only misbehave */
    PROFILE_CRASH_IN_RECOVERY,
    PROFILE_CRASH_IN_CHECKPOINT,
    PROFILE_DISK_FULL_EDGE,
    PROFILE_DUPLICATE_STORM,
    PROFILE_RETENTION,
    PROFILE_SILENT_DAMAGE,
    PROFILE_CLOCK,
    PROFILE_CROWD,
    PROFILE_COUNT
};

struct plan {
    uint64_t seed;               /* */
    enum run_profile profile;    /* never SWARM */
    uint64_t faults;             /* set of FAULT_BIT, those in force */
    uint32_t steps;              /* turns before healing */
    uint32_t shards;             /* of the broker: 1, 2 or 4 */
    uint32_t rates[FAULT_COUNT]; /* 0 = not in force; units as in sim_fault.def */
};

/* What a plan may hold. */
struct plan_limits {
    enum run_profile profile; /* PROFILE_SWARM: the seed draws it */
    uint64_t faults;          /* those outside this set are left out */
    uint32_t steps;           /* 0 = the seed draws them */
    uint32_t shards;          /* 0 = the seed draws them */
};

/* Draws the plan of a seed. */
void plan_draw(struct plan *plan, const struct plan_limits *limits, uint64_t seed);
/* A random stream of the fault, or of the whole run with FAULT_COUNT. */
void plan_stream(const struct plan *plan, enum run_fault fault, struct prng *ret_prng);

static inline bool plan_has(const struct plan *plan, enum run_fault fault)
{
    return plan->rates[fault] > 0;
}

#define DRAWN_SEEDS 300u  /* from so many on, a hundred seeds have drawn several shards */
#define SWARM_SEEDS 1000u /* from so many on, swarm has given each profile its hundred seeds */
/* Faults that so many seeds within the limits, at least a hundred, are sure to have, and
 * SHARDS_BIT. */
uint64_t plan_often(const struct plan_limits *limits, uint64_t seeds);
const char *profile_name(enum run_profile profile);
/* False when there is none of that name. */
bool profile_find(const char *name, enum run_profile *ret_profile);

const char *fault_name(enum run_fault fault);
/* "crash,rot"; "none" for the empty set. ret_text of FAULTS_TEXT_BYTES. */
void faults_write(uint64_t faults, char *ret_text);
/* The inverse; "all" is known too. False when a name is not known. */
bool faults_read(const char *text, uint64_t *ret_faults);

#endif
