/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/verbs_broker.c: status, health, log, configuration and the table of verbs.
 */
#include "tests/support/admin_world.h"

/* Status tells version, engine, state, uptime, durability, log and memory. */
Test(admin_verbs_broker, tells_the_status)
{
    struct admin_world *world = world_begin();
    world_topic(world, "stock", XD_STRATEGY_SKU, 4);
    world->view.connections = 3;
    world->view.shard = 2;
    world->view.default_durability = XD_DURABILITY_WRITTEN;
    cr_assert_eq(run_append(&world->run, 0, 200), 0);
    run_settle(&world->run);
    run_idle(&world->run, 7500000000ull);
    cr_assert_eq(world_run(world, "status", NULL), 0);
    world_is(world, "version", "\"1.2.3\"");
    world_is(world, "commit", "\"abc\"");
    world_is(world, "engine", "\"simulator\"");
    world_is(world, "state", "\"running\"");
    world_is(world, "uptime_seconds", "7");
    world_is(world, "shard", "2");
    world_is(world, "default_durability", "\"written\"");
    world_is(world, "connections", "3");
    world_is(world, "topics", "1");
    world_is(world, "partitions", "4");
    world_is(world, "log.sync", "\"fdatasync\"");
    char index[24];
    snprintf(index, sizeof index, "%llu", (unsigned long long)log_durable_index(world->run.log));
    world_is(world, "log.durable_index", index);
    world_is(world, "next_steps.#", "0");
    cr_assert_eq(strlen(world_get(world, "cluster_id")), 34);
    cr_assert_gt(strtoull(world_get(world, "memory.budgets_bytes.catalog"), NULL, 10), 1000);
    world_end(world);
}

/* Status tells the latencies of the last minute, in whole us; what is over 10 s has no number. */
Test(admin_verbs_broker, tells_the_latencies_of_the_last_minute)
{
    struct admin_world *world = world_begin();
    uint64_t now_ns = env_now_mono_ns(world->run.env);
    counters_time(&world->counters, LATENCY_commit_duration_ns, 9000000000); /* before it */
    latency_window_note(&world->recent, world->counters.latency, now_ns);
    for (unsigned i = 0; i < 99; i++)
        counters_time(&world->counters, LATENCY_commit_duration_ns, 300000);
    counters_time(&world->counters, LATENCY_commit_duration_ns, 11000000000);
    run_idle(&world->run, 7500000000);
    cr_assert_eq(world_run(world, "status", NULL), 0);
    world_is(world, "latency.seconds", "7");
    world_is(world, "latency.commit.count", "100");
    world_is(world, "latency.commit.p50_us", "500");
    world_is(world, "latency.commit.p99_us", "500");
    world_is(world, "latency.commit.max_us", "null");
    world_is(world, "latency.disk_read.count", "0");
    world_is(world, "latency.disk_read.max_us", "0");
    world_end(world);
}

/* Every state that is not plain running says what to do. */
Test(admin_verbs_broker, gives_a_next_step_for_every_trouble)
{
    struct admin_world *world = world_begin();
    for (unsigned state = 0; state < ADMIN_STATE_COUNT; state++) {
        world->view.state = (enum admin_state)state;
        cr_assert_eq(world_run(world, "status", NULL), 0);
        world_is(world, "next_steps.#", state == ADMIN_STATE_RUNNING ? "0" : "1");
    }
    world_end(world);
}

/* Memory that is scarce is a next step of its own; only when connections are refused it is illness.
 */
Test(admin_verbs_broker, names_a_step_when_memory_is_scarce)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "status", NULL), 0);
    world_is(world, "next_steps.#", "0");
    world->view.memory_state = ADMIN_MEMORY_THROTTLED;
    cr_assert_eq(world_run(world, "status", NULL), 0);
    world_is(world, "next_steps.#", "1");
    cr_assert_not_null(strstr(world_get(world, "next_steps.0"), "net.receive_buffers"));
    cr_assert_eq(world_run(world, "health", NULL), 0);
    world_is(world, "ok", "true");
    world->view.memory_state = ADMIN_MEMORY_REFUSING;
    cr_assert_eq(world_run(world, "status", NULL), 0);
    cr_assert_not_null(strstr(world_get(world, "next_steps.0"), "refused"));
    world_end(world);
}

/* A broker that serves is well; throttling is load, not illness. */
Test(admin_verbs_broker, is_well_while_it_serves)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "health", NULL), 0);
    world_is(world, "ok", "true");
    world_is(world, "checks.#", "6");
    world->view.state = ADMIN_STATE_THROTTLING;
    cr_assert_eq(world_run(world, "health", NULL), 0);
    world_is(world, "ok", "true");
    world_end(world);
}

/* The check named is the only one that is not well, and so the whole is not. */
static void expect_ill(struct admin_world *world, const char *check)
{
    unsigned ill = 0;
    cr_assert_eq(world_run(world, "health", NULL), 0);
    world_is(world, "ok", "false");
    for (unsigned i = 0; i < 6; i++) {
        char path[32], name[32];
        snprintf(path, sizeof path, "checks.%u.check", i);
        snprintf(name, sizeof name, "%.30s", world_get(world, path));
        snprintf(path, sizeof path, "checks.%u.ok", i);
        if (strcmp(world_get(world, path), "false") == 0) {
            char quoted[32];
            snprintf(quoted, sizeof quoted, "\"%s\"", check);
            cr_assert_str_eq(name, quoted);
            ill++;
        }
    }
    cr_assert_eq(ill, 1);
}

/* Little disk, a state that does not serve, and failed storage each make it ill. */
Test(admin_verbs_broker, is_ill_for_each_reason)
{
    struct admin_world *world = world_begin();
    world->view.disk_low_bytes = UINT64_MAX;
    expect_ill(world, "disk");
    world->view.disk_low_bytes = 0;
    world->view.state = ADMIN_STATE_DRAINING;
    expect_ill(world, "state");
    world->view.state = ADMIN_STATE_RUNNING;
    world->view.memory_state = ADMIN_MEMORY_REFUSING;
    expect_ill(world, "memory");
    world->view.memory_state = ADMIN_MEMORY_NORMAL;
    sim_rates(world->run.sim)->write_error = 65536;
    cr_assert_eq(run_append(&world->run, 0, 200), 0);
    run_settle(&world->run);
    cr_assert_neq(log_fenced(world->run.log), 0);
    expect_ill(world, "storage");
    world_end(world);
}

/* The configuration is passed through as it is. */
Test(admin_verbs_broker, passes_the_configuration_on)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "config show", NULL), 0);
    cr_assert_eq(world->result.json_bytes,
                 strlen("{\"options\":{\"log.tail_bytes\":{\"value\":1}}}"));
    world_is(world, "options.[log.tail_bytes].value", "1");
    world_end(world);
}

/* Log numbers agree with the log's own. */
Test(admin_verbs_broker, gives_the_numbers_of_the_log)
{
    struct admin_world *world = world_begin();
    struct log_stats stats;
    char expected[24];
    for (uint32_t i = 0; i < 40; i++)
        run_append_wait(&world->run, 0, 256 * 1024);
    run_settle(&world->run);
    run_idle(&world->run, 1000000000ull);
    log_stats(world->run.log, &stats);
    cr_assert_geq(stats.segments_full, 1);
    cr_assert_eq(world_run(world, "log stats", NULL), 0);
    snprintf(expected, sizeof expected, "%llu", (unsigned long long)stats.segments_full);
    world_is(world, "segments_full", expected);
    snprintf(expected, sizeof expected, "%llu", (unsigned long long)stats.log_bytes);
    world_is(world, "log_bytes", expected);
    cr_assert_eq(world_get(world, "oldest_append_time")[0], '"');
    world_end(world);
}

/* The table lists all verbs with all arguments. */
Test(admin_verbs_broker, lists_all_verbs)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "verbs", NULL), 0);
    const struct admin_verb_row *verb;
    unsigned count = 0;
    for (; (verb = admin_verb_at(count)) != NULL; count++) {
        char path[64], expected[64];
        unsigned arguments = 0;
        while (admin_argument_at(count, arguments) != NULL)
            arguments++;
        snprintf(path, sizeof path, "verbs.%u.verb", count);
        snprintf(expected, sizeof expected, "\"%s\"", verb->name);
        world_is(world, path, expected);
        snprintf(path, sizeof path, "verbs.%u.arguments.#", count);
        snprintf(expected, sizeof expected, "%u", arguments);
        world_is(world, path, expected);
    }
    snprintf(world->detail, sizeof world->detail, "%u", count);
    world_is(world, "verbs.#", world->detail);
    world_end(world);
}
