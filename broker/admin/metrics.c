/* SPDX-License-Identifier: Apache-2.0
 *
 * All numbers at once; see metrics.h. As JSON, by verb "metrics", they have the names and units of
 * the tables: the shard's counters and latencies, and levels that are read off its tables when
 * asked (gauges.def).
 */
#include "broker/admin/metrics.h"

#include "broker/admin/verbs.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

struct gauge_row {
    const char *name; /* "log_kept_bytes" */
    const char *unit; /* "bytes" */
    const char *text; /* one line */
    const char *look; /* what makes an operator look at it */
};
static const struct gauge_row gauge_rows[] = {
#define X(name, unit, value, text, look) {#name, unit, text, look},
#include "broker/admin/gauges.def"
#undef X
};
static_assert(sizeof gauge_rows / sizeof gauge_rows[0] == METRICS_GAUGE_COUNT, "a row per gauge");

/* ---- sample ---------------------------------------------------------------------------------- */

static uint64_t uptime_seconds(const struct admin_view *view)
{
    uint64_t now_ns = env_now_mono_ns(view->env);
    XD_ASSERT(now_ns >= view->started_mono_ns);
    return (now_ns - view->started_mono_ns) / 1000000000u;
}

void metrics_sample_take(const struct admin_view *view, struct metrics_sample *ret_sample)
{
    const struct arena_budget *budget;
    struct log_stats all, *stats = &all;
    log_stats(view->log, stats);
    ret_sample->counters = *view->counters;
#define X(name, unit, value, text, look)                                                           \
    ret_sample->gauges[METRICS_GAUGE_##name] = (uint64_t)(value);
#include "broker/admin/gauges.def"
#undef X
    ret_sample->budget_count = 0;
    while ((budget = arena_budget_at(view->arena, ret_sample->budget_count)) != NULL)
        ret_sample->budgets[ret_sample->budget_count++] = *budget;
    ret_sample->shard = view->shard;
    XD_ASSERT(ret_sample->budget_count <= ARENA_BUDGETS_MAX);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void write_latency(struct writer *out, const char *name, const struct latency *latency)
{
    uint64_t count = 0;
    writer_object(out, name);
    writer_array(out, "buckets");
    for (unsigned i = 0; i < LATENCY_BOUNDS; i++) {
        count += latency->counts[i];
        writer_object(out, NULL);
        writer_number(out, "at_most_ns", latency_bound_ns(i));
        writer_number(out, "count", count);
        writer_object_end(out);
    }
    writer_array_end(out);
    writer_number(out, "count", count + latency->counts[LATENCY_BOUNDS]);
    writer_number(out, "sum_ns", latency->sum_ns);
    writer_object_end(out);
}

int verb_metrics(struct call *call)
{
    struct metrics_sample sample;
    metrics_sample_take(call->view, &sample);
    writer_object(call->out, NULL);
    writer_object(call->out, "metrics");
    for (unsigned id = 0; id < COUNTER_COUNT; id++)
        writer_number(call->out, counters_row(id)->name, sample.counters.v[id]);
    for (unsigned id = 0; id < METRICS_GAUGE_COUNT; id++)
        writer_number(call->out, gauge_rows[id].name, sample.gauges[id]);
    writer_object_end(call->out);
    writer_object(call->out, "latency");
    for (unsigned stage = 0; stage < LATENCY_STAGES; stage++)
        write_latency(call->out, latency_row(stage)->name, &sample.counters.latency[stage]);
    writer_object_end(call->out);
    writer_object(call->out, "memory_budget_bytes");
    for (uint32_t row = 0; row < sample.budget_count; row++)
        writer_number(call->out, sample.budgets[row].name, sample.budgets[row].bytes);
    writer_object_end(call->out);
    writer_object_end(call->out);
    return 0;
}

/* ---- families -------------------------------------------------------------------------------- */

/* "sync_ns_total" -> "crossdock_sync_seconds_total", "syncs" -> "crossdock_syncs_total". */
static void family_name(struct metrics_family *family, const char *name)
{
    const char *at = family->ns ? strstr(name, "_ns") : NULL;
    size_t bytes = at != NULL ? (size_t)(at - name) : strlen(name);
    bool counter = strcmp(family->type, "counter") == 0;
    const char *rest = at != NULL ? at + 3 : "";
    bool total = counter && strcmp(rest, "_total") != 0;
    int written = snprintf(family->name, sizeof family->name, "crossdock_%.*s%s%s%s", (int)bytes,
                           name, at != NULL ? "_seconds" : "", rest, total ? "_total" : "");
    XD_ASSERT(written > 0 && (size_t)written < sizeof family->name);
}

static void describe(struct metrics_family *family, const char *name, const char *type,
                     const char *unit, const char *text, const char *look)
{
    family->ns = strcmp(unit, "ns") == 0;
    family->type = type;
    family->unit = family->ns ? "seconds" : unit;
    family->text = text;
    family->look = look;
    family_name(family, name);
}

/* Number of families that a source has. */
static unsigned source_rows(enum metrics_source source)
{
    static const unsigned rows[] = {COUNTER_COUNT, LATENCY_STAGES, METRICS_GAUGE_COUNT, 1, 1};
    static_assert(sizeof rows / sizeof rows[0] == METRICS_SOURCE_COUNT, "one number per source");
    return rows[source];
}

bool metrics_family_at(unsigned row, struct metrics_family *ret_family)
{
    enum metrics_source source = METRICS_SOURCE_COUNTER;
    while (source < METRICS_SOURCE_COUNT && row >= source_rows(source))
        row -= source_rows(source++);
    *ret_family = (struct metrics_family){.source = source, .id = row};
    switch (source) {
    case METRICS_SOURCE_COUNTER: {
        const struct counter_row *counter = counters_row(row);
        describe(ret_family, counter->name,
                 counter->kind == COUNTER_KIND_COUNTER ? "counter" : "gauge", counter->unit,
                 counter->text, counter->look);
        return true;
    }
    case METRICS_SOURCE_LATENCY: {
        const struct latency_row *latency = latency_row(row);
        describe(ret_family, latency->name, "histogram", "ns", latency->text, latency->look);
        return true;
    }
    case METRICS_SOURCE_GAUGE: {
        const struct gauge_row *gauge = &gauge_rows[row];
        describe(ret_family, gauge->name, "gauge", gauge->unit, gauge->text, gauge->look);
        return true;
    }
    case METRICS_SOURCE_BUDGETS:
        describe(ret_family, "memory_budget_bytes", "gauge", "bytes",
                 "memory taken at start, by module: label `budget`",
                 "after a change of options: who takes what");
        return true;
    case METRICS_SOURCE_BUILD:
        describe(ret_family, "build_info", "info", "",
                 "what runs: labels `version`, `commit`, `engine`",
                 "after an upgrade; an engine other than io_uring costs throughput");
        return true;
    case METRICS_SOURCE_COUNT:
        break;
    }
    return false;
}
