/* SPDX-License-Identifier: Apache-2.0
 *
 * All numbers at once, as JSON and as OpenMetrics text: the shard's counters, and levels that are
 * read off its tables on demand (gauges.def).
 *
 * OpenMetrics wants base units: nanoseconds become seconds with nine exact decimals, "_ns" becomes
 * "_seconds". A counter's sample ends in _total. JSON keeps names and units of the tables.
 */
#include "broker/admin/verbs.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum gauge {
#define X(name, unit, value, text) GAUGE_##name,
#include "broker/admin/gauges.def"
#undef X
    GAUGE_COUNT
};

struct gauge_row {
    const char *name; /* "log_kept_bytes" */
    const char *unit; /* "bytes" */
    const char *text; /* one line */
};
static const struct gauge_row gauge_rows[] = {
#define X(name, unit, value, text) {#name, unit, text},
#include "broker/admin/gauges.def"
#undef X
};
static_assert(sizeof gauge_rows / sizeof gauge_rows[0] == GAUGE_COUNT, "one row per gauge");

static uint64_t uptime_seconds(const struct admin_view *view)
{
    uint64_t now_ns = env_now_mono_ns(view->env);
    XD_ASSERT(now_ns >= view->started_mono_ns);
    return (now_ns - view->started_mono_ns) / 1000000000u;
}

static void gauges_read(const struct admin_view *view, uint64_t values[GAUGE_COUNT])
{
    struct log_stats all, *stats = &all;
    log_stats(view->log, stats);
#define X(name, unit, value, text) values[GAUGE_##name] = (uint64_t)(value);
#include "broker/admin/gauges.def"
#undef X
}

int verb_metrics(struct call *call)
{
    const struct admin_view *view = call->view;
    const struct arena_budget *budget;
    uint64_t gauges[GAUGE_COUNT];
    gauges_read(view, gauges);
    writer_object(call->out, NULL);
    writer_object(call->out, "metrics");
    for (unsigned id = 0; id < COUNTER_COUNT; id++)
        writer_number(call->out, counters_row(id)->name, view->counters->v[id]);
    for (unsigned id = 0; id < GAUGE_COUNT; id++)
        writer_number(call->out, gauge_rows[id].name, gauges[id]);
    writer_object_end(call->out);
    writer_object(call->out, "memory_budget_bytes");
    for (uint32_t row = 0; (budget = arena_budget_at(view->arena, row)) != NULL; row++)
        writer_number(call->out, budget->name, budget->bytes);
    writer_object_end(call->out);
    writer_object_end(call->out);
    return 0;
}

/* ---- OpenMetrics ----------------------------------------------------------------------------- */

/* Text that is being put together; sized by the table, so it fits. */
struct text {
    char *out;
    uint32_t bytes; /* of out */
    uint32_t used;  /* without the terminator */
};

static void text_took(struct text *text, int written)
{
    XD_ASSERT(written >= 0 && (uint32_t)written < text->bytes - text->used);
    text->used += (uint32_t)written;
}

#define METRIC_NAME_BYTES 96u

/* "sync_ns_total" -> "sync_seconds"; "batches_appended" stays. */
static void metric_name(const char *name, bool ns, bool counter, char *ret_name)
{
    const char *at = ns ? strstr(name, "_ns") : NULL;
    if (at == NULL) {
        snprintf(ret_name, METRIC_NAME_BYTES, "%s", name);
    } else {
        snprintf(ret_name, METRIC_NAME_BYTES, "%.*s_seconds%s", (int)(at - name), name, at + 3);
    }
    size_t bytes = strlen(ret_name);
    if (counter && bytes > 6 && strcmp(ret_name + bytes - 6, "_total") == 0)
        ret_name[bytes - 6] = '\0';
}

static void put_metric(struct text *text, const char *name, const char *help, bool ns, bool counter,
                       uint64_t value)
{
    char metric[METRIC_NAME_BYTES];
    metric_name(name, ns, counter, metric);
    text_took(text, snprintf(text->out + text->used, text->bytes - text->used,
                             "# TYPE crossdock_%s %s\n# HELP crossdock_%s %s\ncrossdock_%s%s ",
                             metric, counter ? "counter" : "gauge", metric, help, metric,
                             counter ? "_total" : ""));
    if (ns)
        text_took(text, snprintf(text->out + text->used, text->bytes - text->used,
                                 "%" PRIu64 ".%09" PRIu64 "\n", value / 1000000000u,
                                 value % 1000000000u));
    else
        text_took(text, snprintf(text->out + text->used, text->bytes - text->used, "%" PRIu64 "\n",
                                 value));
}

static void put_build_and_memory(struct text *text, const struct admin_view *view)
{
    const struct arena_budget *budget;
    text_took(text, snprintf(text->out + text->used, text->bytes - text->used,
                             "# TYPE crossdock_build info\n# HELP crossdock_build what runs\n"
                             "crossdock_build_info{version=\"%s\",commit=\"%s\",engine=\"%s\"} 1\n"
                             "# TYPE crossdock_memory_budget_bytes gauge\n"
                             "# HELP crossdock_memory_budget_bytes memory taken at start\n",
                             view->version, view->commit, view->env->engine));
    for (uint32_t row = 0; (budget = arena_budget_at(view->arena, row)) != NULL; row++)
        text_took(text, snprintf(text->out + text->used, text->bytes - text->used,
                                 "crossdock_memory_budget_bytes{budget=\"%s\"} %zu\n", budget->name,
                                 budget->bytes));
}

uint32_t admin_metrics_text(const struct admin_view *view, char *out, uint32_t out_bytes)
{
    struct text text = {.out = out, .bytes = out_bytes};
    uint64_t gauges[GAUGE_COUNT];
    gauges_read(view, gauges);
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        const struct counter_row *row = counters_row(id);
        put_metric(&text, row->name, row->text, strcmp(row->unit, "ns") == 0,
                   row->kind == COUNTER_KIND_COUNTER, view->counters->v[id]);
    }
    for (unsigned id = 0; id < GAUGE_COUNT; id++)
        put_metric(&text, gauge_rows[id].name, gauge_rows[id].text, false, false, gauges[id]);
    put_build_and_memory(&text, view);
    text_took(&text, snprintf(text.out + text.used, text.bytes - text.used, "# EOF\n"));
    return text.used;
}
