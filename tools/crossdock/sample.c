/* SPDX-License-Identifier: Apache-2.0
 *
 * Differences of samples; see sample.h.
 */
#include "tools/crossdock/sample.h"

#include "tools/common/json_out.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Member of the data, and the counters of the broker that it is the rate of. */
static const struct {
    const char *member;
    const char *counter;
} rates[] = {
    {"records_in_per_second", "records_appended"},
    {"bytes_in_per_second", "bytes_appended"},
    {"batches_in_per_second", "batches_appended"},
    {"bytes_out_per_second", "read_bytes"},
    {"reads_per_second", "reads_tail"},
    {"reads_from_disk_per_second", "reads_disk"},
    {"syncs_per_second", "syncs"},
    {"duplicate_batches_per_second", "duplicates_recognised"},
    {"throttled_per_second", "throttled"},
};

/* Levels as they are now. */
static const char *const levels[] = {
    "uptime_seconds", "connections_open", "readers_waiting", "acks_waiting",    "undurable_bytes",
    "staged_bytes",   "log_kept_bytes",   "disk_free_bytes", "disk_size_bytes", "sync_ns_max",
    "io_errors",      "partitions",       "channels",
};

#define COUNT(table) (sizeof(table) / sizeof(table)[0])

void sample_deinit(struct sample *sample)
{
    json_decref(sample->metrics);
    json_decref(sample->shards);
    json_decref(sample->partitions);
    json_decref(sample->channels);
    *sample = (struct sample){0};
}

static uint64_t number_of(const json_t *object, const char *member)
{
    json_int_t number = json_integer_value(json_object_get(object, member));
    return number > 0 ? (uint64_t)number : 0;
}

static uint64_t grown(uint64_t before, uint64_t now)
{
    return now >= before ? now - before : now;
}

/* Per second, rounded. */
static uint64_t rate(uint64_t count, int64_t elapsed_us)
{
    double per_second = (double)count * 1e6 / (double)elapsed_us;
    return (uint64_t)(per_second + 0.5);
}

static uint64_t counted(const json_t *before, const json_t *now, const char *counter)
{
    return grown(number_of(before, counter), number_of(now, counter));
}

static void put(json_t *data, const char *member, uint64_t number)
{
    json_object_set_new(data, member, json_integer((json_int_t)number));
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Rows of a list: what they are known by, what they count, what is shown of them. */
struct list {
    const char *key;      /* member that tells rows apart */
    const char *count;    /* member that only grows */
    const char *shown[3]; /* NULL ends them */
};

static const struct list partition_list = {
    "partition", "end_offset", {"partition", "topic", "facility"}};
static const struct list channel_list = {"number", "records", {"source", "channel", "facility"}};

static json_t *key_text(const json_t *row, const struct list *list)
{
    return json_sprintf("%" JSON_INTEGER_FORMAT,
                        json_integer_value(json_object_get(row, list->key)));
}

/* Former counts by key. */
static json_t *counts_of(const json_t *rows, const struct list *list)
{
    size_t index;
    json_t *row, *counts = json_object();
    json_array_foreach((json_t *)(uintptr_t)rows, index, row)
    {
        json_t *key = key_text(row, list);
        json_object_set(counts, json_string_value(key), json_object_get(row, list->count));
        json_decref(key);
    }
    return counts;
}

/* Puts the row where it belongs among the busiest, of which the array holds SAMPLE_ROWS_MAX. */
static void offer(json_t *busiest, json_t *row, const struct list *list, uint64_t per_second)
{
    size_t at = 0;
    while (at < json_array_size(busiest) &&
           number_of(json_array_get(busiest, at), "records_per_second") >= per_second)
        at++;
    if (at == SAMPLE_ROWS_MAX)
        return;
    json_t *shown = json_object();
    for (size_t i = 0; i < COUNT(list->shown); i++)
        json_object_set(shown, list->shown[i], json_object_get(row, list->shown[i]));
    put(shown, "records_per_second", per_second);
    json_array_insert_new(busiest, at, shown);
    if (json_array_size(busiest) > SAMPLE_ROWS_MAX)
        json_array_remove(busiest, SAMPLE_ROWS_MAX);
}

static json_t *busiest_of(const json_t *before, const json_t *now, const struct list *list,
                          int64_t elapsed_us)
{
    size_t index;
    json_t *row, *busiest = json_array(), *counts = counts_of(before, list);
    json_array_foreach((json_t *)(uintptr_t)now, index, row)
    {
        json_t *key = key_text(row, list);
        uint64_t had = number_of(counts, json_string_value(key));
        uint64_t per_second = rate(grown(had, number_of(row, list->count)), elapsed_us);
        json_decref(key);
        if (per_second > 0)
            offer(busiest, row, list, per_second);
    }
    json_decref(counts);
    return busiest;
}

/* ---- both ------------------------------------------------------------------------------------ */

static const char *state_name(uint64_t state)
{
    static const char *const names[] = {"running", "throttling", "read_only", "fenced", "draining"};
    return state < COUNT(names) ? names[state] : "unknown";
}

/* Rates, the mean and levels: of the broker or of one shard. */
static void put_numbers(json_t *data, const json_t *before, const json_t *now, int64_t elapsed_us)
{
    json_object_set_new(data, "state", json_string(state_name(number_of(now, "state"))));
    for (size_t i = 0; i < COUNT(rates); i++)
        put(data, rates[i].member, rate(counted(before, now, rates[i].counter), elapsed_us));
    uint64_t syncs = counted(before, now, "syncs");
    uint64_t sync_ns = counted(before, now, "sync_ns_total");
    put(data, "sync_us_mean", syncs > 0 ? sync_ns / syncs / 1000 : 0);
    for (size_t i = 0; i < COUNT(levels); i++)
        put(data, levels[i], number_of(now, levels[i]));
}

static json_t *shards_of(const struct sample *before, const struct sample *now, int64_t elapsed_us)
{
    json_t *shards = json_array();
    for (size_t i = 0; i < json_array_size(now->shards); i++) {
        json_t *row = json_pack("{s:I}", "shard", (json_int_t)i);
        put_numbers(row, json_array_get(before->shards, i), json_array_get(now->shards, i),
                    elapsed_us);
        json_array_append_new(shards, row);
    }
    return shards;
}

json_t *sample_compare(const struct sample *before, const struct sample *now)
{
    char text[JSON_TIME_BYTES];
    json_t *data = json_object();
    int64_t elapsed_us = now->at_us > before->at_us ? now->at_us - before->at_us : 1;
    time_format(now->wall_us, text);
    json_object_set_new(data, "time", json_string(text));
    put(data, "interval_ms", (uint64_t)(elapsed_us / 1000));
    put_numbers(data, before->metrics, now->metrics, elapsed_us);
    json_object_set_new(
        data, "busiest_partitions",
        busiest_of(before->partitions, now->partitions, &partition_list, elapsed_us));
    json_object_set_new(data, "busiest_channels",
                        busiest_of(before->channels, now->channels, &channel_list, elapsed_us));
    json_object_set_new(data, "shards", shards_of(before, now, elapsed_us));
    return data;
}
