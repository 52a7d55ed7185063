/* SPDX-License-Identifier: Apache-2.0
 *
 * Two samples become rates of what happened in between.
 */
#include <criterion/criterion.h>

#include "tools/crossdock/sample.h"

/* A sample at a time with one counter, one partition and one channel. */
static struct sample at(int64_t seconds, int records, int offset)
{
    return (struct sample){
        .at_us = seconds * 1000000,
        .wall_us = 1795521600000000 + seconds * 1000000,
        .metrics = json_pack("{s:i, s:i, s:i, s:i}", "records_appended", records, "syncs",
                             records / 10, "sync_ns_total", records * 1000, "undurable_bytes", 77),
        .partitions = json_pack("[{s:i, s:i, s:s, s:s}]", "partition", 3, "end_offset", offset,
                                "topic", "stock", "facility", "DC07"),
        .channels = json_pack("[{s:i, s:i, s:s, s:s, s:s}]", "number", 9, "records", offset,
                              "source", "WMS", "channel", "c", "facility", "DC07"),
    };
}

static json_int_t member(const json_t *data, const char *name)
{
    cr_assert(json_is_integer(json_object_get(data, name)), "%s", name);
    return json_integer_value(json_object_get(data, name));
}

/* Counters become rates, levels stay, the mean is of the syncs in between. */
Test(tools_sample, counters_become_rates)
{
    struct sample before = at(10, 100, 5), now = at(14, 500, 25);
    json_t *data = sample_compare(&before, &now);
    cr_assert_eq(member(data, "records_in_per_second"), 100);
    cr_assert_eq(member(data, "interval_ms"), 4000);
    cr_assert_eq(member(data, "undurable_bytes"), 77);
    cr_assert_eq(member(data, "syncs_per_second"), 10);
    cr_assert_eq(member(data, "sync_us_mean"), 10);
    cr_assert_str_eq(json_string_value(json_object_get(data, "state")), "running");
    json_t *row = json_array_get(json_object_get(data, "busiest_partitions"), 0);
    cr_assert_eq(member(row, "records_per_second"), 5);
    cr_assert_eq(member(row, "partition"), 3);
    row = json_array_get(json_object_get(data, "busiest_channels"), 0);
    cr_assert_str_eq(json_string_value(json_object_get(row, "source")), "WMS");
    json_decref(data);
    sample_deinit(&before);
    sample_deinit(&now);
}

/* A broker that was started again counts from nothing: no rate is negative or huge. */
Test(tools_sample, a_counter_that_fell_counts_from_nothing)
{
    struct sample before = at(10, 100000, 500), now = at(12, 40, 500);
    json_t *data = sample_compare(&before, &now);
    cr_assert_eq(member(data, "records_in_per_second"), 20);
    cr_assert_eq(json_array_size(json_object_get(data, "busiest_partitions")), 0);
    json_decref(data);
    sample_deinit(&before);
    sample_deinit(&now);
}

/* The ten busiest, in falling rate; a partition that is new counts from its first record. */
Test(tools_sample, rows_are_the_busiest_ones)
{
    struct sample before = at(0, 0, 0), now = at(1, 0, 0);
    for (int i = 0; i < 40; i++)
        json_array_append_new(now.partitions, json_pack("{s:i, s:i}", "partition", 100 + i,
                                                        "end_offset", (i * 7) % 40));
    json_t *data = sample_compare(&before, &now);
    const json_t *rows = json_object_get(data, "busiest_partitions");
    cr_assert_eq(json_array_size(rows), SAMPLE_ROWS_MAX);
    for (size_t i = 0; i < SAMPLE_ROWS_MAX; i++)
        cr_assert_eq(member(json_array_get(rows, i), "records_per_second"), 39 - (json_int_t)i);
    json_decref(data);
    sample_deinit(&before);
    sample_deinit(&now);
}

/* Lists that were too long to ask for leave empty tables. */
Test(tools_sample, missing_lists_are_empty)
{
    struct sample before = {.at_us = 1, .metrics = json_object()};
    struct sample now = {.at_us = 2, .metrics = json_object()};
    json_t *data = sample_compare(&before, &now);
    cr_assert_eq(json_array_size(json_object_get(data, "busiest_channels")), 0);
    json_decref(data);
    sample_deinit(&before);
    sample_deinit(&now);
}

/* Each shard has its own rates beside those of the broker; one that is new counts from nothing. */
Test(tools_sample, shards_have_rates_of_their_own)
{
    struct sample before = at(10, 100, 5), now = at(12, 500, 25);
    before.shards = json_pack("[{s:i}]", "records_appended", 60);
    now.shards = json_pack("[{s:i, s:i}, {s:i, s:i}]", "records_appended", 100, "state", 0,
                           "records_appended", 400, "state", 2);
    json_t *data = sample_compare(&before, &now), *rows = json_object_get(data, "shards");
    cr_assert_eq(json_array_size(rows), 2);
    cr_assert_eq(member(json_array_get(rows, 0), "records_in_per_second"), 20);
    cr_assert_eq(member(json_array_get(rows, 1), "records_in_per_second"), 200);
    cr_assert_eq(member(json_array_get(rows, 1), "shard"), 1);
    cr_assert_str_eq(json_string_value(json_object_get(json_array_get(rows, 1), "state")),
                     "read_only");
    json_decref(data);
    sample_deinit(&before);
    sample_deinit(&now);
}
