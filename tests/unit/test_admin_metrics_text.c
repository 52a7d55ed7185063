/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/metrics_text.c: the numbers of several shards as text, in both forms.
 */
#include "broker/admin/metrics.h"
#include "tests/support/admin_world.h"

#include <unistd.h>

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
    counters_time(&world->counters, LATENCY_commit_duration_ns, 10000);
    counters_time(&world->counters, LATENCY_commit_duration_ns, 1500000);
    counters_time(&world->counters, LATENCY_commit_duration_ns, 11000000001);
    world->view.ack_oldest_ns = 2500000000;
}

/* Counters end in _total, nanoseconds are seconds with nine decimals, the text ends in # EOF. */
Test(admin_metrics_text, writes_open_metrics_in_base_units)
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
    cr_assert_not_null(strstr(text, "\ncrossdock_acks_oldest_seconds{shard=\"0\"} 2.500000000\n"));
    world_end(world);
}

/* A latency is a histogram: each bucket holds all smaller ones, the last holds all. */
Test(admin_metrics_text, writes_latencies_as_histograms)
{
    struct admin_world *world = world_begin();
    fill(world);
    for (int form = METRICS_OPEN; form <= METRICS_PLAIN; form++) {
        const char *text = collected(world, (enum metrics_form)form);
        const char *at = strstr(text, "# TYPE crossdock_commit_duration_seconds histogram\n");
        cr_assert_not_null(at);
        cr_assert_not_null(
            strstr(at, "\ncrossdock_commit_duration_seconds_bucket{shard=\"0\",le=\"1e-05\"} 1\n"));
        cr_assert_not_null(
            strstr(at, "\ncrossdock_commit_duration_seconds_bucket{shard=\"0\",le=\"0.001\"} 1\n"));
        cr_assert_not_null(
            strstr(at, "\ncrossdock_commit_duration_seconds_bucket{shard=\"0\",le=\"0.002\"} 2\n"));
        cr_assert_not_null(
            strstr(at, "\ncrossdock_commit_duration_seconds_bucket{shard=\"3\",le=\"10.0\"} 2\n"
                       "crossdock_commit_duration_seconds_bucket{shard=\"3\",le=\"+Inf\"} 3\n"
                       "crossdock_commit_duration_seconds_sum{shard=\"3\"} 11.001510001\n"
                       "crossdock_commit_duration_seconds_count{shard=\"3\"} 3\n"));
    }
    world_end(world);
}

/* The bounds that the text spells are those that values are counted by. */
Test(admin_metrics_text, spells_the_bounds_that_values_are_counted_by)
{
    struct admin_world *world = world_begin();
    const char *at = strstr(collected(world, METRICS_OPEN), "crossdock_commit_duration_seconds_b");
    for (unsigned i = 0; i < LATENCY_BOUNDS; i++) {
        at = strstr(at, ",le=\"");
        cr_assert_not_null(at);
        at += 5;
        double seconds = strtod(at, NULL) * 1e9;
        cr_assert_eq((uint64_t)(seconds + 0.5), latency_bound_ns(i), "%.12s", at);
    }
    cr_assert_eq(strncmp(strstr(at, ",le=\""), ",le=\"+Inf\"", 10), 0);
    world_end(world);
}

/* The collector's own tool reads the older form and finds nothing to complain of. */
Test(admin_metrics_text, is_accepted_by_promtool)
{
    struct admin_world *world = world_begin();
    char path[] = "/tmp/xd_metrics_XXXXXX", line[128], said[4096];
    if (system("command -v promtool >/dev/null") != 0)
        cr_skip_test("promtool is not installed");
    fill(world);
    const char *text = collected(world, METRICS_PLAIN);
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    FILE *file = fdopen(fd, "w");
    cr_assert_eq(fputs(text, file) < 0, 0);
    cr_assert_eq(fclose(file), 0);
    snprintf(line, sizeof line, "promtool check metrics < %s 2>&1", path);
    FILE *pipe = popen(line, "r");
    cr_assert_not_null(pipe);
    said[fread(said, 1, sizeof said - 1, pipe)] = '\0';
    int status = pclose(pipe);
    unlink(path);
    cr_assert_str_eq(said, "");
    cr_assert_eq(status, 0);
    world_end(world);
}

/* What is listed is what is written, in the same sequence; behind the last there is nothing. */
Test(admin_metrics_text, lists_the_families_of_the_text)
{
    struct admin_world *world = world_begin();
    const char *at = collected(world, METRICS_PLAIN);
    struct metrics_family family;
    unsigned row = 0;
    for (; metrics_family_at(row, &family); row++) {
        char declared[METRICS_NAME_BYTES + 16];
        snprintf(declared, sizeof declared, "# TYPE %s ", family.name);
        at = strstr(at, "# TYPE ");
        cr_assert_not_null(at, "%s", family.name);
        cr_assert_eq(strncmp(at, declared, strlen(declared)), 0, "%s", declared);
        at++;
        cr_assert(strlen(family.text) >= 8 && strlen(family.text) <= 96, "%s", family.name);
        cr_assert(strlen(family.look) >= 8 && strlen(family.look) <= 96, "%s", family.name);
    }
    cr_assert_null(strstr(at, "# TYPE "));
    cr_assert_not(metrics_family_at(row + 1, &family));
    world_end(world);
}

/* The older form declares counters by the name of their samples and has no end mark. */
Test(admin_metrics_text, writes_the_older_form_for_those_who_do_not_ask)
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
Test(admin_metrics_text, declares_each_family_once_before_its_samples)
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
