/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of metrics as data, and how two sets become one; see counters.h.
 */
#include "broker/base/counters.h"

#include <assert.h>
#include <stddef.h>

static const struct counter_row rows[] = {
#define X(name, unit, kind, text, look) {#name, unit, text, look, COUNTER_KIND_##kind},
#include "broker/base/counters.def"
#undef X
};

static_assert(sizeof(rows) / sizeof(rows[0]) == COUNTER_COUNT, "one row per counter");

const struct counter_row *counters_row(unsigned id)
{
    return id < COUNTER_COUNT ? &rows[id] : NULL;
}

void counters_sum(struct counters *into, const struct counters *from)
{
    XD_ASSERT(into != from);
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        if (rows[id].kind != COUNTER_KIND_MAX)
            into->v[id] += from->v[id];
        else if (from->v[id] > into->v[id])
            into->v[id] = from->v[id];
    }
    for (unsigned stage = 0; stage < LATENCY_STAGES; stage++)
        latency_sum(&into->latency[stage], &from->latency[stage]);
}
