/* SPDX-License-Identifier: Apache-2.0
 *
 * Metrics: plain integers that one shard counts into, and the tables that describe them.
 *
 * Normal path: code adds, sets or raises a row of its shard's set; whoever reports copies the sets,
 * combines them with counters_sum and writes them out by the rows of counters.def and latency.def.
 * A constant keeps the metric's spelling (COUNTER_syncs), so one search finds a metric in code, in
 * documents and on dashboards.
 *
 * Must not hold labels with warehouse identifiers, and is not shared between threads.
 */
#ifndef CROSSDOCK_BROKER_BASE_COUNTERS_H
#define CROSSDOCK_BROKER_BASE_COUNTERS_H

#include "broker/base/latency.h"
#include "wire/xassert.h"

#include <stdint.h>

enum counter {
#define X(name, unit, kind, text, look) COUNTER_##name,
#include "broker/base/counters.def"
#undef X
    COUNTER_COUNT
};

/* How a value changes and how sets are combined; see counters.def. */
enum counter_kind {
    COUNTER_KIND_COUNTER,
    COUNTER_KIND_GAUGE,
    COUNTER_KIND_MAX,
};

struct counter_row {
    const char *name;       /* "frames_received" */
    const char *unit;       /* "frames", "bytes", "ns" */
    const char *text;       /* one line for people */
    const char *look;       /* what makes an operator look at it */
    enum counter_kind kind; /* COUNTER_KIND_* */
};

/* Zeroed memory is a set at its start. */
struct counters {
    uint64_t v[COUNTER_COUNT];              /* by enum counter, in the row's unit */
    struct latency latency[LATENCY_STAGES]; /* by enum latency_stage */
};

/* Description of counter `id`, or NULL from COUNTER_COUNT on. Static memory. O(1). */
const struct counter_row *counters_row(unsigned id);

/* Combines two sets into one, by kind. */
void counters_sum(struct counters *into, const struct counters *from);

/* Raises a COUNTER row. */
static inline void counters_add(struct counters *counters, enum counter id, uint64_t n)
{
    XD_ASSERT(id < COUNTER_COUNT);
    XD_DEBUG_ASSERT(counters_row(id)->kind == COUNTER_KIND_COUNTER);
    counters->v[id] += n;
}

/* Sets a GAUGE row. */
static inline void counters_set(struct counters *counters, enum counter id, uint64_t value)
{
    XD_ASSERT(id < COUNTER_COUNT);
    XD_DEBUG_ASSERT(counters_row(id)->kind == COUNTER_KIND_GAUGE);
    counters->v[id] = value;
}

/* Offers a value to a MAX row. */
static inline void counters_max(struct counters *counters, enum counter id, uint64_t value)
{
    XD_ASSERT(id < COUNTER_COUNT);
    XD_DEBUG_ASSERT(counters_row(id)->kind == COUNTER_KIND_MAX);
    if (value > counters->v[id])
        counters->v[id] = value;
}

/* Counts what one run of a stage took. */
static inline void counters_time(struct counters *counters, enum latency_stage stage,
                                 uint64_t value_ns)
{
    XD_ASSERT(stage < LATENCY_STAGES);
    latency_record(&counters->latency[stage], value_ns);
}

#endif
