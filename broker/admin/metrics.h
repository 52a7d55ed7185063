/* SPDX-License-Identifier: Apache-2.0
 *
 * All numbers of a shard at one moment, and their text for whoever collects them.
 *
 * Normal path: the shard's thread takes a sample of itself; another thread writes the samples of
 * all shards as one text. Two forms are written, which differ in how a family is declared:
 * OpenMetrics 1.0, and the older text format 0.0.4 for collectors that do not ask for OpenMetrics.
 * Both carry base units: nanoseconds become seconds with nine exact decimals, "_ns" becomes
 * "_seconds"; a counter's sample ends in _total; a latency is a histogram. Each sample is labelled
 * with its shard, and none with anything of a warehouse: their number is known.
 *
 * Failure path: a text that does not fit its memory is a bug; metrics_text_bytes_max() says what is
 * enough.
 */
#ifndef CROSSDOCK_ADMIN_METRICS_H
#define CROSSDOCK_ADMIN_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/admin/admin.h"
#include "broker/base/arena.h"
#include "broker/base/counters.h"

#define METRICS_NAME_BYTES 96u

enum metrics_gauge {
#define X(name, unit, value, text, look) METRICS_GAUGE_##name,
#include "broker/admin/gauges.def"
#undef X
    METRICS_GAUGE_COUNT
};

struct metrics_sample {
    struct counters counters;                       /* latencies included */
    uint64_t gauges[METRICS_GAUGE_COUNT];           /* by enum metrics_gauge, in the row's unit */
    struct arena_budget budgets[ARENA_BUDGETS_MAX]; /* memory taken at start */
    uint32_t budget_count;                          /* rows in use */
    uint32_t shard;                                 /* number of the shard */
};

/* What is the same for all shards. */
struct metrics_build {
    const char *version; /* release */
    const char *commit;  /* of the build */
    const char *engine;  /* what stands behind the env: "io_uring" */
};

enum metrics_form { METRICS_OPEN, METRICS_PLAIN };

/* A text of `shard_count` samples is no longer than this, in bytes. */
uint64_t metrics_text_bytes_max(uint32_t shard_count);

void metrics_sample_take(const struct admin_view *view, struct metrics_sample *ret_sample);
/* Writes the text, not terminated; `out_bytes` of metrics_text_bytes_max() are enough. Returns
 * bytes. */
uint64_t metrics_text(const struct metrics_build *build, const struct metrics_sample *samples,
                      uint32_t count, enum metrics_form form, char *out, uint64_t out_bytes);

/* ---- what there is --------------------------------------------------------------------------- */

/* Where the values of a family are. */
enum metrics_source {
    METRICS_SOURCE_COUNTER, /* row of counters.def */
    METRICS_SOURCE_LATENCY, /* row of latency.def */
    METRICS_SOURCE_GAUGE,   /* row of gauges.def */
    METRICS_SOURCE_BUDGETS, /* one value per module */
    METRICS_SOURCE_BUILD,   /* struct metrics_build */
    METRICS_SOURCE_COUNT
};

/* One family of the text. */
struct metrics_family {
    char name[METRICS_NAME_BYTES]; /* as asked for: "crossdock_sync_seconds_total" */
    const char *type;              /* "counter", "gauge", "histogram", "info" */
    const char *unit;              /* base unit, "seconds"; "" = none */
    const char *text;              /* one line for people */
    const char *look;              /* what makes an operator look at it */
    enum metrics_source source;    /* */
    uint32_t id;                   /* row of its table */
    bool ns;                       /* values are nanoseconds */
};

/* Family number `row` from 0, in the sequence of the text. False behind the last. */
bool metrics_family_at(unsigned row, struct metrics_family *ret_family);

#endif
