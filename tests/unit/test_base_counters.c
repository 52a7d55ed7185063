/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/counters: the table keeps the rules of naming that metrics and documents rest on, and
 * sets combine by kind.
 */
#include <criterion/criterion.h>

#include "broker/base/counters.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t text_bytes = strlen(text), end_bytes = strlen(end);

    return text_bytes >= end_bytes && strcmp(text + text_bytes - end_bytes, end) == 0;
}

static bool holds(const char *name, const char *part)
{
    return strstr(name, part) != NULL;
}

/* Names are lower case words joined by single underscores, and no two are equal. */
Test(base_counters, has_a_unique_name_in_every_row)
{
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        const char *name = counters_row(id)->name;

        cr_assert(islower((unsigned char)name[0]), "%s", name);
        for (const char *c = name; *c; c++)
            cr_assert(islower((unsigned char)*c) || isdigit((unsigned char)*c) || *c == '_', "%s",
                      name);
        cr_assert(!holds(name, "__") && !ends_with(name, "_"), "%s", name);
        for (unsigned other = 0; other < id; other++)
            cr_assert_str_neq(name, counters_row(other)->name);
    }
}

/* _max is exactly the kind MAX, _ns exactly the unit ns, bytes in the name exactly the unit bytes
 * or a log position. */
Test(base_counters, has_names_that_agree_with_unit_and_kind)
{
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        const struct counter_row *row = counters_row(id);
        bool ns = holds(row->name, "_ns_") || ends_with(row->name, "_ns");
        bool bytes = holds(row->name, "bytes") || ends_with(row->name, "_position");

        cr_assert_eq(ends_with(row->name, "_max"), row->kind == COUNTER_KIND_MAX, "%s", row->name);
        cr_assert_eq(ns, strcmp(row->unit, "ns") == 0, "%s", row->name);
        cr_assert_eq(bytes, strcmp(row->unit, "bytes") == 0, "%s", row->name);
        cr_assert(ends_with(row->unit, "s"), "%s", row->name);
    }
}

/* A text is one phrase for people that fits a line of the document. */
Test(base_counters, has_a_text_in_every_row)
{
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        const struct counter_row *row = counters_row(id);
        size_t bytes = strlen(row->text);

        cr_assert(bytes >= 8 && bytes <= 96, "%s", row->name);
        cr_assert(!ends_with(row->text, ".") && !ends_with(row->text, " "), "%s", row->name);
        bytes = strlen(row->look);
        cr_assert(bytes >= 8 && bytes <= 96, "%s", row->name);
        cr_assert(!ends_with(row->look, ".") && !ends_with(row->look, " "), "%s", row->name);
    }
}

/* The constant of a metric leads to the row of that name; behind the last there is none. */
Test(base_counters, finds_rows_by_constant)
{
    cr_assert_str_eq(counters_row(COUNTER_sync_ns_max)->name, "sync_ns_max");
    cr_assert_str_eq(counters_row(COUNTER_sync_ns_max)->unit, "ns");
    cr_assert_eq(counters_row(COUNTER_sync_ns_max)->kind, COUNTER_KIND_MAX);
    cr_assert_eq(counters_row(COUNTER_staged_bytes)->kind, COUNTER_KIND_GAUGE);
    cr_assert_null(counters_row(COUNTER_COUNT));
    cr_assert_null(counters_row(UINT32_MAX));
}

/* COUNTER adds up, GAUGE is replaced, MAX keeps the largest. */
Test(base_counters, changes_a_value_by_its_kind)
{
    struct counters counters = {0};

    counters_add(&counters, COUNTER_syncs, 2);
    counters_add(&counters, COUNTER_syncs, 3);
    counters_set(&counters, COUNTER_staged_bytes, 100);
    counters_set(&counters, COUNTER_staged_bytes, 40);
    counters_max(&counters, COUNTER_sync_ns_max, 9);
    counters_max(&counters, COUNTER_sync_ns_max, 7);
    cr_assert_eq(counters.v[COUNTER_syncs], 5);
    cr_assert_eq(counters.v[COUNTER_staged_bytes], 40);
    cr_assert_eq(counters.v[COUNTER_sync_ns_max], 9);
}

/* Of two sets, every row but MAX is added; MAX rows keep the larger from either side. */
Test(base_counters, combines_two_sets_by_kind)
{
    struct counters into = {0}, from = {0};

    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        into.v[id] = 100 + id;
        from.v[id] = id % 2 ? 1000 : 1;
    }
    counters_sum(&into, &from);
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        uint64_t a = 100 + id, b = id % 2 ? 1000 : 1;
        uint64_t expected = a + b;

        if (counters_row(id)->kind == COUNTER_KIND_MAX)
            expected = a > b ? a : b;
        cr_assert_eq(into.v[id], expected, "%s", counters_row(id)->name);
        cr_assert_eq(from.v[id], b);
    }
}

/* Latencies add up as well, stage by stage. */
Test(base_counters, combines_latencies)
{
    struct counters into = {0}, from = {0};

    for (unsigned stage = 0; stage < LATENCY_STAGES; stage++) {
        counters_time(&into, (enum latency_stage)stage, 15000);
        counters_time(&from, (enum latency_stage)stage, 15000 + stage);
    }
    counters_sum(&into, &from);
    for (unsigned stage = 0; stage < LATENCY_STAGES; stage++) {
        cr_assert_eq(into.latency[stage].counts[1], 2);
        cr_assert_eq(into.latency[stage].sum_ns, 30000 + stage);
    }
}

/* A number behind the table is no counter. */
Test(base_counters, aborts_on_a_counter_behind_the_table, .signal = SIGABRT)
{
    struct counters counters = {0};

    counters_add(&counters, COUNTER_COUNT, 1);
}
