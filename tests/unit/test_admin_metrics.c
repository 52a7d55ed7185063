/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/metrics.c: the numbers of a moment as JSON, by verb "metrics".
 */
#include "broker/admin/metrics.h"
#include "tests/support/admin_world.h"

/* Every counter is in the reply under its own name, with its whole value. */
Test(admin_metrics, gives_every_counter)
{
    struct admin_world *world = world_begin();
    for (unsigned id = 0; id < COUNTER_COUNT; id++)
        world->counters.v[id] = 9007199254740993ull + id;
    cr_assert_eq(world_run(world, "metrics", NULL), 0);
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        char path[96], expected[24];
        snprintf(path, sizeof path, "metrics.%s", counters_row(id)->name);
        snprintf(expected, sizeof expected, "%llu", 9007199254740993ull + id);
        world_is(world, path, expected);
    }
    world_end(world);
}

/* Levels are read off the tables when asked. */
Test(admin_metrics, reads_levels_when_asked)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "metrics", NULL), 0);
    world_is(world, "metrics.topics", "0");
    world_topic(world, "stock", XD_STRATEGY_SKU, 4);
    kit_open_durable(&world->kit, "a");
    world->view.readers_waiting = 5;
    world->view.connections_limit = 9;
    world->view.ack_oldest_ns = 3000000001;
    world->view.state = ADMIN_STATE_FENCED;
    cr_assert_eq(world_run(world, "metrics", NULL), 0);
    world_is(world, "metrics.topics", "1");
    world_is(world, "metrics.partitions", "4");
    world_is(world, "metrics.partitions_limit", "64");
    world_is(world, "metrics.channels", "1");
    world_is(world, "metrics.readers_waiting", "5");
    world_is(world, "metrics.state", "3");
    world_is(world, "metrics.connections_limit", "9");
    world_is(world, "metrics.acks_oldest_ns", "3000000001");
    world_is(world, "metrics.disk_full_seconds", "31536000");
    cr_assert_gt(strtoull(world_get(world, "memory_budget_bytes.catalog"), NULL, 10), 1000);
    world_end(world);
}

/* No counter and no level share a name: a reply would have the key twice. */
Test(admin_metrics, has_no_name_twice)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "metrics", NULL), 0);
    world->out[world->result.json_bytes] = '\0';
    for (unsigned id = 0; id < COUNTER_COUNT; id++) {
        char key[96];
        snprintf(key, sizeof key, "\"%s\":", counters_row(id)->name);
        const char *first = strstr(world->out, key);
        cr_assert_not_null(first);
        cr_assert_null(strstr(first + 1, key), "%s", key);
    }
    world_end(world);
}

/* Latencies as JSON: by the table's names, in nanoseconds, with what took longer in `count` only.
 */
Test(admin_metrics, gives_every_latency)
{
    struct admin_world *world = world_begin();
    counters_time(&world->counters, LATENCY_commit_duration_ns, 10000);
    counters_time(&world->counters, LATENCY_commit_duration_ns, 1500000);
    counters_time(&world->counters, LATENCY_commit_duration_ns, 11000000001);
    cr_assert_eq(world_run(world, "metrics", NULL), 0);
    world_is(world, "latency.commit_duration_ns.count", "3");
    world_is(world, "latency.commit_duration_ns.sum_ns", "11001510001");
    world_is(world, "latency.commit_duration_ns.buckets.0.at_most_ns", "10000");
    world_is(world, "latency.commit_duration_ns.buckets.0.count", "1");
    world_is(world, "latency.commit_duration_ns.buckets.18.at_most_ns", "10000000000");
    world_is(world, "latency.commit_duration_ns.buckets.18.count", "2");
    for (unsigned stage = 0; stage < LATENCY_STAGES; stage++) {
        char path[96];
        snprintf(path, sizeof path, "latency.%s.count", latency_row(stage)->name);
        cr_assert_str_neq(world_get(world, path), "", "%s", path);
    }
    world_end(world);
}
