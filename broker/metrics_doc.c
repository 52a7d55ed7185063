/* SPDX-License-Identifier: Apache-2.0
 *
 * The page of the manual about metrics; see metrics_doc.h.
 */
#include "broker/metrics_doc.h"

#include "broker/admin/metrics.h"

#include <stdbool.h>
#include <string.h>

/* A table of the page: the families of one source, or of one type in it. */
struct section {
    const char *title;
    const char *text; /* paragraph before the table */
    enum metrics_source source;
    const char *type; /* NULL = all of the source */
};

static const struct section sections[] = {
    {"Counters", "They only rise, and begin at 0 with each start: look at `rate()` of them.",
     METRICS_SOURCE_COUNTER, "counter"},
    {"Latency",
     "Histograms with buckets of 1, 2 and 5 from 10 us to 10 s: `_bucket`, `_sum`, `_count`. Each "
     "stage is timed once per block, per load or per turn, never per record, so a quantile is one "
     "of blocks. Blocks hold more records the busier the broker is.",
     METRICS_SOURCE_LATENCY, NULL},
    {"Levels that are counted",
     "Present values. A name with `_max` is the largest value since the start.",
     METRICS_SOURCE_COUNTER, "gauge"},
    {"Levels that are looked up", "Present values, read off the broker's tables when asked.",
     METRICS_SOURCE_GAUGE, NULL},
    {"What runs", "", METRICS_SOURCE_BUDGETS, NULL},
};

static void print_row(FILE *out, const struct metrics_family *family)
{
    fprintf(out, "| `%s` | %s | %s | %s | %s |\n", family->name, family->type, family->unit,
            family->text, family->look);
}

static bool belongs(const struct section *section, const struct metrics_family *family)
{
    enum metrics_source source = family->source;
    if (source == METRICS_SOURCE_BUILD)
        source = METRICS_SOURCE_BUDGETS; /* two single rows share a table */
    return source == section->source &&
           (section->type == NULL || strcmp(section->type, family->type) == 0);
}

static void print_section(FILE *out, const struct section *section)
{
    struct metrics_family family;
    fprintf(out, "\n## %s\n\n%s%s", section->title, section->text,
            section->text[0] != '\0' ? "\n\n" : "");
    fputs("| name | type | unit | what it says | when to look |\n|---|---|---|---|---|\n", out);
    for (unsigned row = 0; metrics_family_at(row, &family); row++)
        if (belongs(section, &family))
            print_row(out, &family);
}

void metrics_doc_print(FILE *out)
{
    fputs(
        "<!-- SPDX-License-Identifier: Apache-2.0 -->\n"
        "# Metrics\n\n"
        "Printed by `crossdockd --print-metrics-doc` from `broker/base/counters.def`, "
        "`broker/base/latency.def` and `broker/admin/gauges.def`; a test compares the two.\n\n"
        "Served at `/metrics` of the listener that option `metrics.listen` names "
        "([CONFIGURATION.md](CONFIGURATION.md)). "
        "The text is OpenMetrics 1.0 for collectors that ask for it, and the older format 0.0.4 "
        "for all others; names are the same. Units are base units. Each sample has the label "
        "`shard`; no label ever holds an article, order, source or topic, so the number of series "
        "is known: it grows with shards only. Verb `metrics` ([ADMIN.md](ADMIN.md)) gives the "
        "same numbers of one shard as JSON, under the names of the tables: without "
        "`crossdock_` and the `_total` that is added here, and in nanoseconds (`_ns`) where this "
        "page says seconds.\n\n"
        "Alert rules made of them are in `tools/packaging/alerts.yml`: [ALERTS.md](ALERTS.md).\n\n"
        "## Questions and answers\n\n"
        "| question | expression |\n|---|---|\n"
        "| records a second | `sum(rate(crossdock_records_appended_total[1m]))` |\n"
        "| what producers wait, p99 | `histogram_quantile(0.99, sum by (le) "
        "(rate(crossdock_produce_duration_seconds_bucket[5m])))` |\n"
        "| the disk's part of it, p99 | `histogram_quantile(0.99, sum by (le) "
        "(rate(crossdock_block_sync_duration_seconds_bucket[5m])))` |\n"
        "| bytes per sync | `rate(crossdock_block_bytes_written_total[5m]) / "
        "rate(crossdock_syncs_total[5m])` |\n"
        "| blocks per sync | `rate(crossdock_blocks_written_total[5m]) / "
        "rate(crossdock_syncs_total[5m])` |\n"
        "| batches per block | `rate(crossdock_batches_appended_total[5m]) / "
        "rate(crossdock_blocks_written_total[5m])` |\n"
        "| share of duplicates | `sum(rate(crossdock_duplicates_recognised_total[15m])) / "
        "sum(rate(crossdock_batches_appended_total[15m]))` |\n"
        "| share of reads from disk | `rate(crossdock_read_bytes_disk_total[5m]) / "
        "rate(crossdock_read_bytes_total[5m])` |\n"
        "| time that the disk lasts | `min(crossdock_disk_full_seconds)` |\n",
        out);
    for (unsigned i = 0; i < sizeof sections / sizeof sections[0]; i++)
        print_section(out, &sections[i]);
}
