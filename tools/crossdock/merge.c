/* SPDX-License-Identifier: Apache-2.0
 *
 * One broker out of its shards; see merge.h.
 */
#include "tools/crossdock/merge.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(table) (sizeof(table) / sizeof(table)[0])
/* Numbers of all shards as text: "0, 1, 2". */
#define NUMBERS_BYTES 512u

/* How a number of all shards becomes one. */
enum rule { RULE_ADD, RULE_MOST, RULE_LEAST };

/* Metrics that are not added up; those whose name ends in _max are the largest, too. */
static const struct {
    const char *name;
    enum rule rule;
} metric_rules[] = {
    {"state", RULE_MOST},
    {"memory_state", RULE_MOST},
    {"uptime_seconds", RULE_LEAST},
    {"topics", RULE_MOST},
    {"facilities", RULE_MOST},
    {"partitions", RULE_MOST},
    {"partitions_limit", RULE_MOST},
    {"acks_oldest_ns", RULE_MOST},
    {"disk_free_bytes", RULE_LEAST},
    {"disk_size_bytes", RULE_LEAST},
    {"disk_full_seconds", RULE_LEAST},
};

/* Of a log, what means something over several of them: positions and methods do not. */
static const struct {
    const char *name;
    enum rule rule;
} log_rules[] = {
    {"log_bytes", RULE_ADD},         {"disk_bytes", RULE_ADD},         {"segments_full", RULE_ADD},
    {"segments_ready", RULE_ADD},    {"segments_preparing", RULE_ADD}, {"index_entries", RULE_ADD},
    {"index_entries_max", RULE_ADD},
};

static const char *const counts[] = {"connections", "readers_waiting", "acks_waiting", "channels"};

static json_t *at(const json_t *replies, size_t shard)
{
    return json_array_get(replies, shard);
}

static json_int_t number_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static json_int_t combine(enum rule rule, json_int_t a, json_int_t b)
{
    if (rule == RULE_ADD)
        return a + b;
    return (rule == RULE_MOST) == (a > b) ? a : b;
}

/* Takes a number of every reply into `target`; a reply without it does not count. */
static void take(json_t *target, const json_t *replies, const char *name, enum rule rule)
{
    json_t *sum = NULL;
    for (size_t i = 0; i < json_array_size(replies); i++) {
        json_t *value = json_object_get(at(replies, i), name);
        if (!json_is_integer(value))
            continue;
        if (sum == NULL)
            sum = json_integer(json_integer_value(value));
        else
            json_integer_set(sum,
                             combine(rule, json_integer_value(sum), json_integer_value(value)));
    }
    if (sum != NULL)
        json_object_set_new(target, name, sum);
}

/* Member `name` of every reply, as an array by shard. */
static json_t *members(const json_t *replies, const char *name)
{
    json_t *all = json_array();
    for (size_t i = 0; i < json_array_size(replies); i++) {
        json_t *value = json_object_get(at(replies, i), name);
        json_array_append_new(all, value != NULL ? json_incref(value) : json_object());
    }
    return all;
}

/* ---- status ---------------------------------------------------------------------------------- */

/* The worse, the higher; a word of a later release is taken for the worst. */
static size_t badness(const json_t *status)
{
    static const char *const states[] = {"running", "throttling", "read_only", "fenced",
                                         "draining"};
    const char *state = json_string_value(json_object_get(status, "state"));
    size_t rank = 0;
    while (rank < COUNT(states) && (state == NULL || strcmp(states[rank], state) != 0))
        rank++;
    return rank;
}

static size_t worst_of(const json_t *replies)
{
    size_t worst = 0;
    for (size_t i = 1; i < json_array_size(replies); i++)
        worst = badness(at(replies, i)) > badness(at(replies, worst)) ? i : worst;
    return worst;
}

/* The shard whose file system has least room. */
static const json_t *fullest_of(const json_t *logs)
{
    size_t fullest = 0;
    for (size_t i = 1; i < json_array_size(logs); i++)
        fullest = number_of(at(logs, i), "disk_free_bytes") <
                          number_of(at(logs, fullest), "disk_free_bytes")
                      ? i
                      : fullest;
    return at(logs, fullest);
}

static json_t *oldest_of(const json_t *logs)
{
    json_t *oldest = NULL;
    for (size_t i = 0; i < json_array_size(logs); i++) {
        json_t *time = json_object_get(at(logs, i), "oldest_append_time");
        if (json_is_string(time) &&
            (oldest == NULL || strcmp(json_string_value(time), json_string_value(oldest)) < 0))
            oldest = time;
    }
    return oldest != NULL ? json_incref(oldest) : json_null();
}

static json_t *merge_logs(const json_t *replies)
{
    json_t *logs = members(replies, "log"), *merged = json_object();
    const json_t *fullest = fullest_of(logs);
    for (size_t i = 0; i < COUNT(log_rules); i++)
        take(merged, logs, log_rules[i].name, log_rules[i].rule);
    json_object_set(merged, "disk_free_bytes", json_object_get(fullest, "disk_free_bytes"));
    json_object_set(merged, "disk_size_bytes", json_object_get(fullest, "disk_size_bytes"));
    json_object_set_new(merged, "oldest_append_time", oldest_of(logs));
    json_decref(logs);
    return merged;
}

static json_t *merge_memory(const json_t *replies)
{
    const char *name;
    json_t *value, *memory = members(replies, "memory"), *merged = json_object();
    json_t *budgets = members(memory, "budgets_bytes"), *sums = json_object();
    take(merged, memory, "used_bytes", RULE_ADD);
    take(merged, memory, "limit_bytes", RULE_ADD);
    json_object_foreach(at(budgets, 0), name, value)
    {
        take(sums, budgets, name, RULE_ADD);
    }
    json_object_set_new(merged, "budgets_bytes", sums);
    json_decref(budgets);
    json_decref(memory);
    return merged;
}

/* What no value of any shard exceeded; null, which is "longer than any bound", exceeds all. */
static void take_bound(json_t *target, const json_t *stages, const char *name)
{
    take(target, stages, name, RULE_MOST);
    for (size_t i = 0; i < json_array_size(stages); i++)
        if (json_is_null(json_object_get(at(stages, i), name)))
            json_object_set_new(target, name, json_null());
}

static json_t *merge_latency(const json_t *replies)
{
    static const char *const bounds[] = {"p50_us", "p99_us", "max_us"};
    const char *name;
    json_t *value, *all = members(replies, "latency"), *merged = json_object();
    take(merged, all, "seconds", RULE_LEAST);
    json_object_foreach(at(all, 0), name, value)
    {
        if (!json_is_object(value))
            continue;
        json_t *stages = members(all, name), *stage = json_object();
        take(stage, stages, "count", RULE_ADD);
        for (size_t i = 0; i < COUNT(bounds); i++)
            take_bound(stage, stages, bounds[i]);
        json_object_set_new(merged, name, stage);
        json_decref(stages);
    }
    json_decref(all);
    return merged;
}

static bool has_text(const json_t *list, const char *text)
{
    size_t index;
    json_t *one;
    json_array_foreach((json_t *)(uintptr_t)list, index, one)
    {
        if (strcmp(json_string_value(one), text) == 0)
            return true;
    }
    return false;
}

/* "shard 2: TEXT", "shards 0, 1: TEXT": each text once, with all shards that say it. */
static void add_step(json_t *steps, const json_t *replies, size_t first, const char *text)
{
    char numbers[NUMBERS_BYTES] = "";
    size_t used = 0, saying = 0;
    for (size_t i = 0; i < json_array_size(replies); i++) {
        if (!has_text(json_object_get(at(replies, i), "next_steps"), text))
            continue;
        if (i < first)
            return; /* told before */
        int bytes =
            snprintf(numbers + used, sizeof numbers - used, "%s%zu", saying > 0 ? ", " : "", i);
        used = used + (size_t)bytes < sizeof numbers ? used + (size_t)bytes : used;
        saying++;
    }
    json_array_append_new(steps,
                          json_sprintf("shard%s %s: %s", saying > 1 ? "s" : "", numbers, text));
}

static json_t *merge_steps(const json_t *replies)
{
    json_t *steps = json_array(), *step;
    size_t index;
    for (size_t i = 0; i < json_array_size(replies); i++)
        json_array_foreach(json_object_get(at(replies, i), "next_steps"), index, step)
            add_step(steps, replies, i, json_string_value(step));
    return steps;
}

static json_t *shard_rows(const json_t *replies)
{
    static const char *const told[] = {"state",    "connections", "readers_waiting", "acks_waiting",
                                       "channels", "log",         "latency"};
    json_t *rows = json_array();
    for (size_t i = 0; i < json_array_size(replies); i++) {
        json_t *reply = at(replies, i), *memory = json_object_get(reply, "memory");
        json_t *row = json_pack("{s:I}", "shard", (json_int_t)i), *taken = json_object();
        for (size_t k = 0; k < COUNT(told); k++)
            json_object_set(row, told[k], json_object_get(reply, told[k]));
        json_object_set(taken, "used_bytes", json_object_get(memory, "used_bytes"));
        json_object_set(taken, "limit_bytes", json_object_get(memory, "limit_bytes"));
        json_object_set_new(row, "memory", taken);
        json_array_append_new(rows, row);
    }
    return rows;
}

json_t *merge_status(const json_t *replies)
{
    /* Members keep the sequence of the first reply. */
    json_t *merged = json_copy(at(replies, 0));
    json_object_set_new(merged, "shards", shard_rows(replies));
    if (json_array_size(replies) == 1)
        return merged;
    size_t worst = worst_of(replies);
    json_object_set(merged, "state", json_object_get(at(replies, worst), "state"));
    json_object_set_new(merged, "shard", json_integer((json_int_t)worst));
    take(merged, replies, "uptime_seconds", RULE_LEAST);
    for (size_t i = 0; i < COUNT(counts); i++)
        take(merged, replies, counts[i], RULE_ADD);
    json_object_set_new(merged, "log", merge_logs(replies));
    json_object_set_new(merged, "memory", merge_memory(replies));
    if (json_object_get(merged, "latency") != NULL)
        json_object_set_new(merged, "latency", merge_latency(replies));
    json_object_set_new(merged, "next_steps", merge_steps(replies));
    return merged;
}

/* ---- health and metrics ---------------------------------------------------------------------- */

static json_t *named_check(const json_t *check, size_t shard)
{
    const char *name;
    json_t *value, *row = json_pack("{s:I}", "shard", (json_int_t)shard);
    json_object_foreach((json_t *)(uintptr_t)check, name, value)
    {
        json_object_set(row, name, value);
    }
    return row;
}

json_t *merge_health(const json_t *replies)
{
    size_t index;
    json_t *check, *checks = json_array();
    bool ok = true;
    if (json_array_size(replies) == 1) {
        json_decref(checks);
        return json_incref(at(replies, 0));
    }
    for (size_t i = 0; i < json_array_size(replies); i++) {
        ok = ok && json_is_true(json_object_get(at(replies, i), "ok"));
        json_array_foreach(json_object_get(at(replies, i), "checks"), index, check)
        {
            json_array_append_new(checks, named_check(check, i));
        }
    }
    return json_pack("{s:o, s:b}", "checks", checks, "ok", ok);
}

static enum rule rule_of(const char *metric)
{
    size_t bytes = strlen(metric);
    for (size_t i = 0; i < COUNT(metric_rules); i++)
        if (strcmp(metric_rules[i].name, metric) == 0)
            return metric_rules[i].rule;
    return bytes > 4 && strcmp(metric + bytes - 4, "_max") == 0 ? RULE_MOST : RULE_ADD;
}

json_t *merge_metrics(const json_t *replies)
{
    const char *name;
    json_t *value, *merged = json_object(), *all = members(replies, "metrics");
    json_object_foreach(at(all, 0), name, value)
    {
        take(merged, all, name, rule_of(name));
    }
    json_decref(all);
    return merged;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* A row and its number, for sorting. */
struct numbered {
    json_int_t number; /* */
    json_t *row;       /* borrowed */
};

static int by_number(const void *a, const void *b)
{
    const struct numbered *left = a, *right = b;
    return (left->number > right->number) - (left->number < right->number);
}

json_t *merge_rows(const json_t *replies, const char *rows, const char *key)
{
    size_t index, count = 0, used = 0;
    json_t *row, *merged = json_array();
    for (size_t i = 0; i < json_array_size(replies); i++)
        count += json_array_size(json_object_get(at(replies, i), rows));
    struct numbered *all = calloc(count + 1, sizeof *all);
    for (size_t i = 0; all != NULL && i < json_array_size(replies); i++)
        json_array_foreach(json_object_get(at(replies, i), rows), index, row) all[used++] =
            (struct numbered){number_of(row, key), row};
    if (all != NULL)
        qsort(all, used, sizeof *all, by_number);
    for (size_t i = 0; i < used; i++)
        json_array_append(merged, all[i].row);
    bool whole = all != NULL;
    free(all);
    if (whole)
        return merged;
    json_decref(merged);
    return NULL;
}

/* Sums by name of the object. */
static void add_to(json_t *sums, const char *name, const char *member, json_int_t number)
{
    json_t *sum = json_object_get(sums, name);
    if (sum == NULL) {
        sum = json_pack("{s:i, s:i}", "records", 0, "records_bytes", 0);
        json_object_set_new(sums, name, sum);
    }
    json_t *value = json_object_get(sum, member);
    json_integer_set(value, json_integer_value(value) + number);
}

void merge_totals(json_t *objects, const char *kind, const json_t *partitions)
{
    size_t index;
    json_t *row, *sums = json_object();
    json_array_foreach((json_t *)(uintptr_t)partitions, index, row)
    {
        const char *name = json_string_value(json_object_get(row, kind));
        if (name == NULL)
            continue;
        add_to(sums, name, "records", number_of(row, "end_offset"));
        add_to(sums, name, "records_bytes", number_of(row, "records_bytes"));
    }
    json_array_foreach(objects, index, row)
    {
        const char *name = json_string_value(json_object_get(row, "name"));
        json_t *sum = name != NULL ? json_object_get(sums, name) : NULL;
        if (sum != NULL)
            json_object_update_existing(row, sum);
    }
    json_decref(sums);
}
