/* SPDX-License-Identifier: Apache-2.0
 *
 * All numbers of a shard at one moment, and their text for whoever collects them.
 *
 * Normal path: the shard's thread takes a sample of itself; another thread writes the samples of
 * all shards as one text. Two forms are written, which differ in how a family is declared:
 * OpenMetrics 1.0, and the older text format 0.0.4 for collectors that do not ask for OpenMetrics.
 * Both carry base units: nanoseconds become seconds with nine exact decimals, "_ns" becomes
 * "_seconds"; a counter's sample ends in _total. Each sample is labelled with its shard.
 *
 * Failure path: a text that does not fit its memory is a bug; metrics_text_bytes_max() says what is
 * enough.
 */
#ifndef CROSSDOCK_ADMIN_METRICS_H
#define CROSSDOCK_ADMIN_METRICS_H

#include <stdint.h>

#include "broker/admin/admin.h"
#include "broker/base/arena.h"
#include "broker/base/counters.h"

enum metrics_gauge {
#define X(name, unit, value, text) METRICS_GAUGE_##name,
#include "broker/admin/gauges.def"
#undef X
    METRICS_GAUGE_COUNT
};

struct metrics_sample {
    struct counters counters;                       /* */
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

#endif
