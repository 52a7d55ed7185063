/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/metrics.c: the same numbers as JSON and as OpenMetrics text.
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
    world->view.state = ADMIN_STATE_FENCED;
    cr_assert_eq(world_run(world, "metrics", NULL), 0);
    world_is(world, "metrics.topics", "1");
    world_is(world, "metrics.partitions", "4");
    world_is(world, "metrics.partitions_limit", "64");
    world_is(world, "metrics.channels", "1");
    world_is(world, "metrics.readers_waiting", "5");
    world_is(world, "metrics.state", "3");
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

/* Text of two shards: the world's, and the same again as number 3 with one counter more. */
static const char *collected(struct admin_world *world, enum metrics_form form)
{
    static char out[1 << 20];
    static const struct metrics_build build = {"1.2.3", "abc", "simulator"};
    struct metrics_sample samples[2];
    metrics_sample_take(&world->view, &samples[0]);
    samples[1] = samples[0];
    samples[1].shard = 3;
    samples[1].counters.v[COUNTER_batches_appended]++;
    cr_assert_lt(metrics_text_bytes_max(2), sizeof out);
    uint64_t bytes = metrics_text(&build, samples, 2, form, out, metrics_text_bytes_max(2));
    cr_assert_lt(bytes, sizeof out);
    out[bytes] = '\0';
    return out;
}

static void fill(struct admin_world *world)
{
    world->counters.v[COUNTER_sync_ns_total] = 1500000001;
    world->counters.v[COUNTER_sync_ns_max] = 7;
    world->counters.v[COUNTER_batches_appended] = 42;
    world->counters.v[COUNTER_connections_open] = 3;
}

/* Counters end in _total, nanoseconds are seconds with nine decimals, the text ends in # EOF. */
Test(admin_metrics, writes_open_metrics_in_base_units)
{
    struct admin_world *world = world_begin();
    fill(world);
    const char *text = collected(world, METRICS_OPEN);
    cr_assert_not_null(strstr(text, "# TYPE crossdock_batches_appended counter\n"));
    cr_assert_not_null(strstr(text, "\ncrossdock_batches_appended_total{shard=\"0\"} 42\n"
                                    "crossdock_batches_appended_total{shard=\"3\"} 43\n"));
    cr_assert_not_null(strstr(text, "# TYPE crossdock_sync_seconds counter\n"));
    cr_assert_not_null(strstr(text, "\ncrossdock_sync_seconds_total{shard=\"0\"} 1.500000001\n"));
    cr_assert_not_null(strstr(text, "\ncrossdock_sync_seconds_max{shard=\"3\"} 0.000000007\n"));
    cr_assert_not_null(strstr(text, "\ncrossdock_connections_open{shard=\"0\"} 3\n"));
    cr_assert_not_null(strstr(text, "# TYPE crossdock_build info\n"));
    cr_assert_not_null(strstr(text, "crossdock_build_info{version=\"1.2.3\",commit=\"abc\","));
    cr_assert_not_null(
        strstr(text, "crossdock_memory_budget_bytes{shard=\"3\",budget=\"catalog\"} "));
    cr_assert_str_eq(text + strlen(text) - 6, "# EOF\n");
    cr_assert_null(strstr(text, "_ns"));
    world_end(world);
}

/* The older form declares counters by the name of their samples and has no end mark. */
Test(admin_metrics, writes_the_older_form_for_those_who_do_not_ask)
{
    struct admin_world *world = world_begin();
    fill(world);
    const char *text = collected(world, METRICS_PLAIN);
    cr_assert_not_null(strstr(text, "# TYPE crossdock_batches_appended_total counter\n"
                                    "# HELP crossdock_batches_appended_total "));
    cr_assert_not_null(strstr(text, "\ncrossdock_batches_appended_total{shard=\"0\"} 42\n"));
    cr_assert_not_null(strstr(text, "# TYPE crossdock_build_info gauge\n"));
    cr_assert_null(strstr(text, "# EOF"));
    world_end(world);
}

/* Each family is declared once, before its samples, and each line has one of three shapes. */
Test(admin_metrics, declares_each_family_once_before_its_samples)
{
    struct admin_world *world = world_begin();
    for (int form = METRICS_OPEN; form <= METRICS_PLAIN; form++) {
        char *line = (char *)(uintptr_t)collected(world, (enum metrics_form)form);
        char family[128] = "";
        unsigned families = 0;
        while (*line != '\0') {
            char *end = strchr(line, '\n');
            cr_assert_not_null(end);
            *end = '\0';
            if (strncmp(line, "# TYPE ", 7) == 0) {
                char declared[160];
                snprintf(family, sizeof family, "%.*s", (int)strcspn(line + 7, " "), line + 7);
                snprintf(declared, sizeof declared, "\n# TYPE %s ", family);
                cr_assert_null(strstr(end + 1, declared), "%s", family);
                families++;
            } else if (line[0] != '#') {
                cr_assert_eq(strncmp(line, family, strlen(family)), 0, "%s outside %s", line,
                             family);
            } else {
                cr_assert(strncmp(line, "# HELP ", 7) == 0 || strcmp(line, "# EOF") == 0, "%s",
                          line);
            }
            line = end + 1;
        }
        cr_assert_gt(families, COUNTER_COUNT);
    }
    world_end(world);
}
