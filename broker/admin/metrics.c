/* SPDX-License-Identifier: Apache-2.0
 *
 * All numbers at once; see metrics.h, and as JSON by verb "metrics" under the names and units of
 * the tables: the shard's counters, and levels that are read off its tables when asked
 * (gauges.def).
 */
#include "broker/admin/metrics.h"

#include "broker/admin/verbs.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define METRIC_NAME_BYTES 96u
/* A family's two lines, and one line of a sample, with room to spare. */
#define FAMILY_BYTES_MAX 512u
#define SAMPLE_BYTES_MAX 192u

struct gauge_row {
    const char *name; /* "log_kept_bytes" */
    const char *text; /* one line */
};
static const struct gauge_row gauge_rows[] = {
#define X(name, unit, value, text) {#name, text},
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
#define X(name, unit, value, text) ret_sample->gauges[METRICS_GAUGE_##name] = (uint64_t)(value);
#include "broker/admin/gauges.def"
#undef X
    ret_sample->budget_count = 0;
    while ((budget = arena_budget_at(view->arena, ret_sample->budget_count)) != NULL)
        ret_sample->budgets[ret_sample->budget_count++] = *budget;
    ret_sample->shard = view->shard;
    XD_ASSERT(ret_sample->budget_count <= ARENA_BUDGETS_MAX);
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
    writer_object(call->out, "memory_budget_bytes");
    for (uint32_t row = 0; row < sample.budget_count; row++)
        writer_number(call->out, sample.budgets[row].name, sample.budgets[row].bytes);
    writer_object_end(call->out);
    writer_object_end(call->out);
    return 0;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* What is put together, and from what. */
struct text {
    const struct metrics_sample *samples;
    uint32_t count;         /* of samples */
    enum metrics_form form; /* */
    char *out;              /* */
    uint64_t bytes;         /* of out */
    uint64_t used;          /* */
};

uint64_t metrics_text_bytes_max(uint32_t shard_count)
{
    uint64_t families = COUNTER_COUNT + METRICS_GAUGE_COUNT + 2u;
    uint64_t samples = COUNTER_COUNT + METRICS_GAUGE_COUNT + 1u + ARENA_BUDGETS_MAX;
    return families * FAMILY_BYTES_MAX + samples * shard_count * SAMPLE_BYTES_MAX;
}

static void text_took(struct text *text, int written)
{
    XD_ASSERT(written >= 0 && (uint64_t)written < text->bytes - text->used);
    text->used += (uint64_t)written;
}

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

/* The older form declares a counter under the name of its sample. */
static void put_family(struct text *text, const char *metric, const char *type, const char *help)
{
    const char *ending =
        text->form == METRICS_PLAIN && strcmp(type, "counter") == 0 ? "_total" : "";
    text_took(text, snprintf(text->out + text->used, text->bytes - text->used,
                             "# TYPE crossdock_%s%s %s\n# HELP crossdock_%s%s %s\n", metric, ending,
                             type, metric, ending, help));
}

static void put_value(struct text *text, const char *metric, bool ns, bool counter, uint32_t shard,
                      uint64_t value)
{
    const char *ending = counter ? "_total" : "";
    char *at = text->out + text->used;
    uint64_t room = text->bytes - text->used;
    if (ns)
        text_took(text,
                  snprintf(at, room, "crossdock_%s%s{shard=\"%u\"} %" PRIu64 ".%09" PRIu64 "\n",
                           metric, ending, shard, value / 1000000000u, value % 1000000000u));
    else
        text_took(text, snprintf(at, room, "crossdock_%s%s{shard=\"%u\"} %" PRIu64 "\n", metric,
                                 ending, shard, value));
}

static void put_counter(struct text *text, unsigned id)
{
    char metric[METRIC_NAME_BYTES];
    const struct counter_row *row = counters_row(id);
    bool ns = strcmp(row->unit, "ns") == 0, counter = row->kind == COUNTER_KIND_COUNTER;
    metric_name(row->name, ns, counter, metric);
    put_family(text, metric, counter ? "counter" : "gauge", row->text);
    for (uint32_t i = 0; i < text->count; i++)
        put_value(text, metric, ns, counter, text->samples[i].shard,
                  text->samples[i].counters.v[id]);
}

static void put_gauge(struct text *text, unsigned id)
{
    put_family(text, gauge_rows[id].name, "gauge", gauge_rows[id].text);
    for (uint32_t i = 0; i < text->count; i++)
        put_value(text, gauge_rows[id].name, false, false, text->samples[i].shard,
                  text->samples[i].gauges[id]);
}

static void put_budgets(struct text *text)
{
    put_family(text, "memory_budget_bytes", "gauge", "memory taken at start, by module");
    for (uint32_t i = 0; i < text->count; i++) {
        const struct metrics_sample *sample = &text->samples[i];
        for (uint32_t row = 0; row < sample->budget_count; row++)
            text_took(text, snprintf(text->out + text->used, text->bytes - text->used,
                                     "crossdock_memory_budget_bytes{shard=\"%u\",budget=\"%s\"} "
                                     "%zu\n",
                                     sample->shard, sample->budgets[row].name,
                                     sample->budgets[row].bytes));
    }
}

/* The older form has no type for it: a gauge that is always 1, as is the custom. */
static void put_build(struct text *text, const struct metrics_build *build)
{
    bool open = text->form == METRICS_OPEN;
    put_family(text, open ? "build" : "build_info", open ? "info" : "gauge", "what runs");
    text_took(text, snprintf(text->out + text->used, text->bytes - text->used,
                             "crossdock_build_info{version=\"%s\",commit=\"%s\",engine=\"%s\"} 1\n",
                             build->version, build->commit, build->engine));
}

uint64_t metrics_text(const struct metrics_build *build, const struct metrics_sample *samples,
                      uint32_t count, enum metrics_form form, char *out, uint64_t out_bytes)
{
    struct text text = {
        .samples = samples, .count = count, .form = form, .out = out, .bytes = out_bytes};
    for (unsigned id = 0; id < COUNTER_COUNT; id++)
        put_counter(&text, id);
    for (unsigned id = 0; id < METRICS_GAUGE_COUNT; id++)
        put_gauge(&text, id);
    put_budgets(&text);
    put_build(&text, build);
    if (form == METRICS_OPEN)
        text_took(&text, snprintf(out + text.used, out_bytes - text.used, "# EOF\n"));
    return text.used;
}
