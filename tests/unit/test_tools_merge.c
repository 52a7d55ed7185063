/* SPDX-License-Identifier: Apache-2.0
 *
 * What shards answer becomes the answer of one broker: sums, the worst, the least, nothing twice.
 */
#include <criterion/criterion.h>

#include "tools/crossdock/merge.h"

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *tree = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(tree, "%s at %d", error.text, error.position);
    return tree;
}

/* Compares as trees; `actual` is freed. */
static void expect(json_t *actual, const char *expected)
{
    json_t *wanted = parse(expected);
    char *text = json_dumps(actual, 0);
    cr_assert(json_equal(actual, wanted), "%s", text);
    free(text);
    json_decref(wanted);
    json_decref(actual);
}

static json_int_t number(const json_t *object, const char *name)
{
    cr_assert(json_is_integer(json_object_get(object, name)), "%s", name);
    return json_integer_value(json_object_get(object, name));
}

static const char *word(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

/* Appends what a shard says to "status". */
static void add_status(json_t *replies, const char *state, const char *step, json_int_t free_bytes,
                       const char *oldest)
{
    json_t *steps = step != NULL ? json_pack("[s]", step) : json_array();
    json_int_t shard = (json_int_t)json_array_size(replies);
    json_array_append_new(
        replies, json_pack("{s:s, s:s, s:I, s:I, s:i, s:I, s:i, s:I, s:{s:I, s:I, s:I, s:i, s:s?}, "
                           "s:{s:i, s:i, s:{s:i, s:I}}, s:o}",
                           "version", "1", "state", state, "uptime_seconds", 90 - shard, "shard",
                           shard, "shards", 3, "connections", 1 + shard, "facilities", 12,
                           "channels", 10 * shard, "log", "durable_index", 100 + shard, "log_bytes",
                           1000 + shard, "disk_free_bytes", free_bytes, "disk_size_bytes", 9000,
                           "oldest_append_time", oldest, "memory", "used_bytes", 5, "limit_bytes",
                           7, "budgets_bytes", "net", 2, "log", 3 + shard, "next_steps", steps));
}

/* One shard is the broker: all members stay, `shards` has its one row. */
Test(tools_merge, one_shard_is_the_broker)
{
    json_t *replies = json_array();
    add_status(replies, "running", NULL, 500, NULL);
    json_t *merged = merge_status(replies), *rows = json_object_get(merged, "shards");
    cr_assert_eq(json_array_size(rows), 1);
    cr_assert_eq(number(json_object_get(merged, "log"), "durable_index"), 100);
    json_object_set(merged, "shards", json_object_get(json_array_get(replies, 0), "shards"));
    cr_assert(json_equal(merged, json_array_get(replies, 0)));
    json_decref(merged);
    json_decref(replies);
}

/* Counts are added, what all have is told once, the state is the worst with its shard, the free
 * space the least, and positions of one log are in the rows alone. */
Test(tools_merge, status_is_added_up_and_the_worst_stands_for_all)
{
    json_t *replies = json_array();
    add_status(replies, "running", NULL, 500, "2026-11-24T06:00:00Z");
    add_status(replies, "read_only", "free space", 40, NULL);
    add_status(replies, "throttling", "wait", 700, "2026-11-23T06:00:00Z");
    json_t *merged = merge_status(replies), *log = json_object_get(merged, "log");
    cr_assert_str_eq(word(merged, "state"), "read_only");
    cr_assert_eq(number(merged, "shard"), 1);
    cr_assert_eq(number(merged, "uptime_seconds"), 88);
    cr_assert_eq(number(merged, "connections"), 6);
    cr_assert_eq(number(merged, "channels"), 30);
    cr_assert_eq(number(merged, "facilities"), 12);
    cr_assert_eq(number(log, "log_bytes"), 3003);
    cr_assert_eq(number(log, "disk_free_bytes"), 40);
    cr_assert_str_eq(word(log, "oldest_append_time"), "2026-11-23T06:00:00Z");
    cr_assert_null(json_object_get(log, "durable_index"));
    json_t *row = json_array_get(json_object_get(merged, "shards"), 2);
    cr_assert_eq(number(row, "shard"), 2);
    cr_assert_str_eq(word(row, "state"), "throttling");
    cr_assert_eq(number(json_object_get(row, "log"), "durable_index"), 102);
    expect(
        json_incref(json_object_get(merged, "memory")),
        "{\"used_bytes\": 15, \"limit_bytes\": 21, \"budgets_bytes\": {\"net\": 6, \"log\": 12}}");
    json_decref(merged);
    json_decref(replies);
}

/* Every state of the broker's table beats those in front of it, and an unknown one all. */
Test(tools_merge, the_worst_state_is_found_wherever_it_is)
{
    static const char *const states[] = {"running", "throttling", "read_only",
                                         "fenced",  "draining",   "of a later release"};
    for (size_t bad = 1; bad < sizeof states / sizeof states[0]; bad++)
        for (size_t at = 0; at < 3; at++) {
            json_t *replies = json_array();
            for (size_t i = 0; i < 3; i++)
                add_status(replies, states[i == at ? bad : bad - 1], NULL, 1, NULL);
            json_t *merged = merge_status(replies);
            cr_assert_str_eq(word(merged, "state"), states[bad]);
            cr_assert_eq(number(merged, "shard"), (json_int_t)at);
            json_decref(merged);
            json_decref(replies);
        }
}

/* Counts of a stage are added; a time is one that no shard exceeded, and longer than any bound,
 * null, exceeds all. */
Test(tools_merge, latency_is_what_no_shard_exceeded)
{
    json_t *replies = json_array(), *reply;
    size_t index;
    static const char *const told[] = {
        "{\"seconds\": 90, \"produce\": {\"count\": 5, \"p50_us\": 30, \"p99_us\": 40, \"max_us\": "
        "50}}",
        "{\"seconds\": 60, \"produce\": {\"count\": 7, \"p50_us\": 20, \"p99_us\": 90, "
        "\"max_us\": null}}",
        "{\"seconds\": 90, \"produce\": {\"count\": 0, \"p50_us\": 0, \"p99_us\": 0, \"max_us\": "
        "0}}"};
    for (int i = 0; i < 3; i++)
        add_status(replies, "running", NULL, 1, NULL);
    json_array_foreach(replies, index, reply)
        json_object_set_new(reply, "latency", parse(told[index]));
    json_t *merged = merge_status(replies);
    json_t *row = json_array_get(json_object_get(merged, "shards"), 1);
    expect(json_incref(json_object_get(row, "latency")), told[1]);
    expect(json_incref(json_object_get(merged, "latency")),
           "{\"seconds\": 60, \"produce\": {\"count\": 12, \"p50_us\": 30, \"p99_us\": 90, "
           "\"max_us\": null}}");
    json_decref(merged);
    json_decref(replies);
}

/* A next step that several shards have is told once, with all of them. */
Test(tools_merge, a_next_step_is_told_once_with_its_shards)
{
    json_t *replies = json_array();
    add_status(replies, "read_only", "free space", 1, NULL);
    add_status(replies, "throttling", "wait", 1, NULL);
    add_status(replies, "read_only", "free space", 1, NULL);
    json_t *merged = merge_status(replies);
    expect(json_incref(json_object_get(merged, "next_steps")),
           "[\"shards 0, 2: free space\", \"shard 1: wait\"]");
    json_decref(merged);
    json_decref(replies);
}

/* One check of one shard that is not well makes the broker not well. */
Test(tools_merge, health_is_the_worst_of_all_and_names_the_shard)
{
    json_t *one = parse("[{\"checks\": [{\"check\": \"disk\", \"ok\": true, \"text\": \"t\"}], "
                        "\"ok\": true}]");
    expect(merge_health(one),
           "{\"checks\": [{\"check\": \"disk\", \"ok\": true, \"text\": \"t\"}], \"ok\": true}");
    json_t *three = json_copy(one);
    json_array_extend(three, one);
    json_array_append_new(three, parse("{\"checks\": [{\"check\": \"disk\", \"ok\": false, "
                                       "\"text\": \"low\"}], \"ok\": false}"));
    expect(
        merge_health(three),
        "{\"checks\": [{\"shard\": 0, \"check\": \"disk\", \"ok\": true, \"text\": \"t\"}, "
        "{\"shard\": 1, \"check\": \"disk\", \"ok\": true, \"text\": \"t\"}, "
        "{\"shard\": 2, \"check\": \"disk\", \"ok\": false, \"text\": \"low\"}], \"ok\": false}");
    json_decref(three);
    json_decref(one);
}

/* Counters and levels are added; largest values, what all have, and free space are not. */
Test(tools_merge, metrics_are_combined_by_kind)
{
    json_t *replies = parse(
        "[{\"metrics\": {\"records_appended\": 5, \"connections_open\": 1, \"sync_ns_max\": 90, "
        "\"loop_ns_max\": 3, \"state\": 0, \"partitions\": 247, \"channels\": 2, "
        "\"disk_free_bytes\": 70, \"disk_full_seconds\": 500, \"acks_oldest_ns\": 8}},"
        " {\"metrics\": {\"records_appended\": 7, \"connections_open\": 2, \"sync_ns_max\": 40, "
        "\"loop_ns_max\": 4, \"state\": 2, \"partitions\": 247, \"channels\": 3, "
        "\"disk_free_bytes\": 60, \"disk_full_seconds\": 900, \"acks_oldest_ns\": 9}}]");
    expect(merge_metrics(replies),
           "{\"records_appended\": 12, \"connections_open\": 3, \"sync_ns_max\": 90, "
           "\"loop_ns_max\": 4, \"state\": 2, \"partitions\": 247, \"channels\": 5, "
           "\"disk_free_bytes\": 60, \"disk_full_seconds\": 500, \"acks_oldest_ns\": 9}");
    json_decref(replies);
}

/* Rows of all shards, each once, in rising number whatever shard they are from. */
Test(tools_merge, rows_are_in_rising_number)
{
    json_t *replies = parse("[{\"l\": [{\"n\": 1}, {\"n\": 9}]}, {\"l\": []}, "
                            "{\"l\": [{\"n\": 0}, {\"n\": 4}, {\"n\": 33554433}]}]");
    expect(merge_rows(replies, "l", "n"),
           "[{\"n\": 0}, {\"n\": 1}, {\"n\": 4}, {\"n\": 9}, {\"n\": 33554433}]");
    json_decref(replies);
}

/* Records of an object are those of its partitions, wherever they lie; what has none of them keeps
 * its numbers, and nothing else is changed. */
Test(tools_merge, totals_are_those_of_all_partitions)
{
    json_t *topics = parse("[{\"name\": \"stock\", \"width\": 2, \"records\": 3, "
                           "\"records_bytes\": 30}, {\"name\": \"hu\", \"records\": 0, "
                           "\"records_bytes\": 0}]");
    json_t *partitions = parse("[{\"topic\": \"stock\", \"end_offset\": 3, \"records_bytes\": 30}, "
                               "{\"topic\": \"stock\", \"end_offset\": 4, \"records_bytes\": 44}, "
                               "{\"topic\": \"order\", \"end_offset\": 9, \"records_bytes\": 90}]");
    merge_totals(topics, "topic", partitions);
    expect(topics, "[{\"name\": \"stock\", \"width\": 2, \"records\": 7, \"records_bytes\": 74}, "
                   "{\"name\": \"hu\", \"records\": 0, \"records_bytes\": 0}]");
    json_decref(partitions);
}
