/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of samples for collectors, in two forms; see metrics.h.
 */
#include "broker/admin/metrics.h"

#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A family's two lines, and one line of a sample, with room to spare. */
#define FAMILY_BYTES_MAX 512u
#define SAMPLE_BYTES_MAX 192u

/* Samples of a latency: its buckets, those that took longer, sum and count. */
#define LATENCY_SAMPLES (LATENCY_BOUNDS + 3u)

/* Bounds of the buckets in seconds. The spelling is part of a time series' name, so both forms have
 * the one that OpenMetrics prescribes. */
static const char *const bound_texts[] = {
    "1e-05", "2e-05", "5e-05", "0.0001", "0.0002", "0.0005", "0.001", "0.002", "0.005", "0.01",
    "0.02",  "0.05",  "0.1",   "0.2",    "0.5",    "1.0",    "2.0",   "5.0",   "10.0"};
static_assert(sizeof bound_texts / sizeof bound_texts[0] == LATENCY_BOUNDS, "a text per bound");

/* What is put together, and from what. */
struct text {
    const struct metrics_build *build;
    const struct metrics_sample *samples;
    uint32_t count;         /* of samples */
    enum metrics_form form; /* */
    char *out;              /* */
    uint64_t bytes;         /* of out */
    uint64_t used;          /* */
};

uint64_t metrics_text_bytes_max(uint32_t shard_count)
{
    uint64_t families = COUNTER_COUNT + LATENCY_STAGES + METRICS_GAUGE_COUNT + 2u;
    uint64_t samples =
        COUNTER_COUNT + LATENCY_STAGES * LATENCY_SAMPLES + METRICS_GAUGE_COUNT + ARENA_BUDGETS_MAX;
    return families * FAMILY_BYTES_MAX + samples * shard_count * SAMPLE_BYTES_MAX +
           2u * SAMPLE_BYTES_MAX;
}

static void text_took(struct text *text, int written)
{
    XD_ASSERT(written >= 0 && (uint64_t)written < text->bytes - text->used);
    text->used += (uint64_t)written;
}

/* OpenMetrics declares a counter or an info without the ending that its samples have. The older
 * form has no info: it is a gauge that is always 1, as is the custom. */
static void put_family(struct text *text, const struct metrics_family *family)
{
    size_t bytes = strlen(family->name);
    const char *type = family->type;
    if (text->form == METRICS_PLAIN)
        type = strcmp(type, "info") == 0 ? "gauge" : type;
    else if (strcmp(type, "counter") == 0)
        bytes -= strlen("_total");
    else if (strcmp(type, "info") == 0)
        bytes -= strlen("_info");
    text_took(text, snprintf(text->out + text->used, text->bytes - text->used,
                             "# TYPE %.*s %s\n# HELP %.*s %s\n", (int)bytes, family->name, type,
                             (int)bytes, family->name, family->text));
}

/* A value behind `ending` and further `labels`, which begin with a comma. */
static void put_value(struct text *text, const struct metrics_family *family, const char *ending,
                      uint32_t shard, const char *labels, uint64_t value, bool ns)
{
    char decimals[16] = "";
    if (ns)
        snprintf(decimals, sizeof decimals, ".%09u", (unsigned)(value % 1000000000u));
    text_took(text, snprintf(text->out + text->used, text->bytes - text->used,
                             "%s%s{shard=\"%u\"%s} %" PRIu64 "%s\n", family->name, ending, shard,
                             labels, ns ? value / 1000000000u : value, decimals));
}

/* Each bucket with all smaller ones, as a collector wants them. */
static void put_latency(struct text *text, const struct metrics_family *family,
                        const struct latency *latency, uint32_t shard)
{
    uint64_t count = 0;
    char labels[24];
    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++) {
        count += latency->counts[i];
        snprintf(labels, sizeof labels, ",le=\"%s\"", i < LATENCY_BOUNDS ? bound_texts[i] : "+Inf");
        put_value(text, family, "_bucket", shard, labels, count, false);
    }
    put_value(text, family, "_sum", shard, "", latency->sum_ns, true);
    put_value(text, family, "_count", shard, "", count, false);
}

static void put_budgets(struct text *text, const struct metrics_family *family,
                        const struct metrics_sample *sample)
{
    char labels[METRICS_NAME_BYTES];
    for (uint32_t row = 0; row < sample->budget_count; row++) {
        int written = snprintf(labels, sizeof labels, ",budget=\"%s\"", sample->budgets[row].name);
        XD_ASSERT(written > 0 && (size_t)written < sizeof labels);
        put_value(text, family, "", sample->shard, labels, sample->budgets[row].bytes, false);
    }
}

static void put_build(struct text *text, const struct metrics_family *family)
{
    text_took(text, snprintf(text->out + text->used, text->bytes - text->used,
                             "%s{version=\"%s\",commit=\"%s\",engine=\"%s\"} 1\n", family->name,
                             text->build->version, text->build->commit, text->build->engine));
}

/* What one sample has of a family. */
static void put_sample(struct text *text, const struct metrics_family *family,
                       const struct metrics_sample *sample)
{
    switch (family->source) { /* GCOVR_EXCL_BR_LINE the build is no shard's */
    case METRICS_SOURCE_COUNTER:
        put_value(text, family, "", sample->shard, "", sample->counters.v[family->id], family->ns);
        return;
    case METRICS_SOURCE_LATENCY:
        put_latency(text, family, &sample->counters.latency[family->id], sample->shard);
        return;
    case METRICS_SOURCE_GAUGE:
        put_value(text, family, "", sample->shard, "", sample->gauges[family->id], family->ns);
        return;
    case METRICS_SOURCE_BUDGETS:
        put_budgets(text, family, sample);
        return;
    case METRICS_SOURCE_BUILD:
    case METRICS_SOURCE_COUNT:
        break;
    }
    XD_ASSERT(false); /* the build is no shard's */
}

uint64_t metrics_text(const struct metrics_build *build, const struct metrics_sample *samples,
                      uint32_t count, enum metrics_form form, char *out, uint64_t out_bytes)
{
    struct metrics_family family;
    struct text text = {.build = build,
                        .samples = samples,
                        .count = count,
                        .form = form,
                        .out = out,
                        .bytes = out_bytes};
    XD_ASSERT(build != NULL && (samples != NULL || count == 0));
    for (unsigned row = 0; metrics_family_at(row, &family); row++) {
        put_family(&text, &family);
        if (family.source == METRICS_SOURCE_BUILD)
            put_build(&text, &family);
        else
            for (uint32_t i = 0; i < count; i++)
                put_sample(&text, &family, &samples[i]);
    }
    if (form == METRICS_OPEN)
        text_took(&text, snprintf(out + text.used, out_bytes - text.used, "# EOF\n"));
    return text.used;
}
