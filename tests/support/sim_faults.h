/* SPDX-License-Identifier: Apache-2.0
 *
 * Which operation fails, where the process dies, which buggify sites fire.
 *
 * Normal path: each operation is counted by faults_begin, which says whether an injection gives its
 * result or a planned crash stops the process here. Rates are drawn by the callers, from streams of
 * their own, so that adding one kind of fault does not move another.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SIM_FAULTS_H
#define CROSSDOCK_TESTS_SUPPORT_SIM_FAULTS_H

#include "broker/base/prng.h"
#include "tests/support/env_sim.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_PREFIX_ROOM ENV_NAME_BYTES_MAX /* with the NUL */

struct sim_injection {
    char name_prefix[SIM_PREFIX_ROOM]; /* "" = any */
    uint64_t remaining;                /* matching operations until it happens; 1 = the next */
    int32_t result;                    /* of that operation */
    enum sim_op op;
};

struct sim_faults {
    struct sim_rates rates;
    struct prng prng; /* for crash points and buggify */
    struct sim_injection injections[SIM_INJECTIONS_MAX];
    uint32_t injection_count;
    enum env_crash_point plan_point;        /* meaningful with plan_hits > 0 */
    uint32_t plan_hits;                     /* hits until death; 0 = no plan */
    uint64_t plan_ops;                      /* operations until death; 0 = no plan */
    uint64_t op_counts[SIM_OP_COUNT];       /* started */
    uint64_t point_hits[ENV_CRASH_COUNT];   /* reached */
    uint64_t site_hits[ENV_BUGGIFY_COUNT];  /* asked */
    uint64_t site_fires[ENV_BUGGIFY_COUNT]; /* answered true */
    bool site_live[ENV_BUGGIFY_COUNT];      /* may answer true in this world */
    uint64_t silent_count;                  /* silent faults so far */
    uint64_t silent_left;                   /* that may still happen */
    uint64_t flip_position;                 /* byte that a read gives wrongly, once */
    uint32_t flip_inode;                    /* id of its file, 0 = no plan */
};

void faults_reset(struct sim_faults *faults, const struct sim_rates *rates, uint64_t seed);

/* Counts an operation. True when the process dies here instead of starting it. */
bool faults_crash_op(struct sim_faults *faults, enum sim_op op);
/* True when an injection gives the result of this operation on the file (NULL = on none). */
bool faults_inject(struct sim_faults *faults, enum sim_op op, const char *name,
                   int32_t *ret_result);
/* Counts a hit. True when the process dies here. */
bool faults_crash_point(struct sim_faults *faults, enum env_crash_point point);
bool faults_buggify(struct sim_faults *faults, enum env_buggify site);

#endif
