/* SPDX-License-Identifier: Apache-2.0
 *
 * Injections, planned crashes and buggify sites of one world.
 */
#include "tests/support/sim_faults.h"

#include "wire/xassert.h"

#include <string.h>

void faults_reset(struct sim_faults *faults, const struct sim_rates *rates, uint64_t seed)
{
    *faults = (struct sim_faults){.rates = *rates, .silent_left = UINT64_MAX};
    prng_seed(&faults->prng, seed);
    for (uint32_t i = 0; i < ENV_BUGGIFY_COUNT; i++)
        faults->site_live[i] = prng_chance(&faults->prng, rates->buggify_enabled);
}

bool faults_crash_op(struct sim_faults *faults, enum sim_op op)
{
    XD_ASSERT(op < SIM_OP_COUNT);
    faults->op_counts[op]++;
    return faults->plan_ops > 0 && --faults->plan_ops == 0;
}

bool faults_inject(struct sim_faults *faults, enum sim_op op, const char *name, int32_t *ret_result)
{
    bool found = false;

    for (uint32_t i = 0; i < faults->injection_count;) {
        struct sim_injection *injection = &faults->injections[i];
        size_t prefix = strlen(injection->name_prefix);

        if (injection->op != op ||
            (prefix > 0 && (name == NULL || strncmp(name, injection->name_prefix, prefix) != 0)) ||
            --injection->remaining > 0) {
            i++;
            continue;
        }
        *ret_result = injection->result;
        *injection = faults->injections[--faults->injection_count];
        found = true;
    }
    return found;
}

bool faults_crash_point(struct sim_faults *faults, enum env_crash_point point)
{
    XD_ASSERT(point < ENV_CRASH_COUNT);
    faults->point_hits[point]++;
    if (faults->plan_hits > 0 && faults->plan_point == point && --faults->plan_hits == 0)
        return true;
    return faults->rates.crash_point > 0 && prng_chance(&faults->prng, faults->rates.crash_point);
}

bool faults_buggify(struct sim_faults *faults, enum env_buggify site)
{
    bool fires;

    XD_ASSERT(site < ENV_BUGGIFY_COUNT);
    faults->site_hits[site]++;
    fires = faults->site_live[site] && prng_chance(&faults->prng, faults->rates.buggify_fires);
    if (fires)
        faults->site_fires[site]++;
    return fires;
}
