/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/verbs_partition.c: offsets of partitions, filtered and in pages.
 */
#include "tests/support/admin_world.h"

static struct admin_world *filled(void)
{
    struct admin_world *world = world_begin();
    world_topic(world, "a", XD_STRATEGY_SKU, 2); /* global: 0, 1 */
    world_topic(world, "b", XD_STRATEGY_SKU, 3); /* global: 2, 3, 4 */
    world_facility(world, "DC07");               /* a: 5, 6; b: 7, 8, 9 */
    return world;
}

/* A row says whose partition it is, its offsets and when its newest record was appended. */
Test(admin_verbs_partition, describes_each_partition)
{
    struct admin_world *world = filled();
    world_records(world, 8, 7, 1795505935123456);
    cr_assert_eq(world_run(world, "partition list", NULL), 0);
    world_is(world, "partitions.#", "10");
    world_is(world, "next", "null");
    world_is(world, "partitions.8",
             "{\"partition\":8,\"topic\":\"b\",\"facility\":\"DC07\",\"bucket\":1,"
             "\"first_offset\":0,\"end_offset\":7,\"records_bytes\":100,"
             "\"last_append_time\":\"2026-11-24T07:38:55.123456Z\"}");
    world_is(world, "partitions.0.facility", "\"\"");
    world_is(world, "partitions.0.last_append_time", "null");
    world_end(world);
}

/* The first offset is what the log still keeps, after retention has dropped segments. */
Test(admin_verbs_partition, tells_what_retention_has_left)
{
    struct run *run;
    struct admin_world *world = filled();
    uint64_t first = 0, end;
    run = &world->run;
    run_close(run);
    run->options.retention_bytes = 4ull * run->options.segment_bytes;
    cr_assert_eq(run_open(run), 0, "%s", run->why);
    world->view.env = run->env;
    world->view.log = run->log;
    for (uint32_t i = 0; i < 20000 && first == 0; i++) {
        run_append_wait(run, 0, 256 * 1024);
        log_bounds(run->log, 0, &first, &end);
    }
    cr_assert_gt(first, 0);
    run_settle(run);
    log_bounds(run->log, 0, &first, &end);
    world->catalog.partitions[0].durable = end;
    char expected[24];
    snprintf(expected, sizeof expected, "%llu", (unsigned long long)first);
    cr_assert_eq(world_run(world, "partition list", "{\"limit\":1}"), 0);
    world_is(world, "partitions.0.first_offset", expected);
    world_end(world);
}

/* Filters by topic and facility; the empty name is the global facility. */
Test(admin_verbs_partition, filters_by_topic_and_facility)
{
    struct admin_world *world = filled();
    cr_assert_eq(world_run(world, "partition list", "{\"topic\":\"b\"}"), 0);
    world_is(world, "partitions.#", "6");
    cr_assert_eq(world_run(world, "partition list", "{\"facility\":\"DC07\"}"), 0);
    world_is(world, "partitions.#", "5");
    world_is(world, "partitions.0.partition", "5");
    cr_assert_eq(world_run(world, "partition list", "{\"facility\":\"\",\"topic\":\"a\"}"), 0);
    world_is(world, "partitions.#", "2");
    world_is(world, "partitions.1.partition", "1");
    cr_assert_eq(world_run(world, "partition list", "{\"topic\":\"c\"}"), XD_NOT_FOUND);
    cr_assert_eq(world_run(world, "partition list", "{\"facility\":\"DC08\"}"), XD_NOT_FOUND);
    cr_assert_str_eq(world->detail, "facility 'DC08' is not known; did you mean 'DC07'?");
    world_end(world);
}

/* Pages of a filtered list, joined, are the whole list: none lost, none twice, for every size. */
Test(admin_verbs_partition, gives_pages_that_join_to_the_whole)
{
    struct admin_world *world = filled();
    static const unsigned expected[] = {2, 3, 4, 7, 8, 9};
    for (unsigned limit = 1; limit <= 7; limit++) {
        unsigned seen = 0;
        char next[32] = "0";
        while (strcmp(next, "null") != 0) {
            char json[96], path[32], number[16];
            snprintf(json, sizeof json, "{\"topic\":\"b\",\"limit\":%u,\"from\":%s}", limit, next);
            cr_assert_eq(world_run(world, "partition list", json), 0);
            unsigned rows = (unsigned)strtoul(world_get(world, "partitions.#"), NULL, 10);
            cr_assert(rows >= 1 && rows <= limit);
            for (unsigned i = 0; i < rows; i++) {
                snprintf(path, sizeof path, "partitions.%u.partition", i);
                cr_assert_lt(seen, 6);
                snprintf(number, sizeof number, "%u", expected[seen++]);
                world_is(world, path, number);
            }
            snprintf(next, sizeof next, "%.30s", world_get(world, "next"));
        }
        cr_assert_eq(seen, 6, "limit %u", limit);
    }
    world_end(world);
}

/* A shard lists what it owns. */
Test(admin_verbs_partition, lists_partitions_of_its_own_facilities_only)
{
    struct admin_world *world = world_begin();
    catalog_set_shards(&world->catalog, 2);
    world->view.shard_count = 2;
    world_topic(world, "stock", XD_STRATEGY_SKU, 2);
    world_facility(world, "DC07");
    uint32_t owner = catalog_shard(&world->catalog, 1);
    world->view.shard = owner;
    cr_assert_eq(world_run(world, "partition list", "{\"facility\":\"DC07\"}"), 0);
    world_is(world, "partitions.0.partition", "2");
    world->view.shard = 1 - owner;
    cr_assert_eq(world_run(world, "partition list", "{\"facility\":\"DC07\"}"), 0);
    world_is(world, "partitions", "[]");
    world->view.shard = 0;
    cr_assert_eq(world_run(world, "partition list", "{\"facility\":\"\"}"), 0);
    world_is(world, "partitions.1.partition", "1");
    world_end(world);
}
