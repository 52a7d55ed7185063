/* SPDX-License-Identifier: Apache-2.0
 *
 * What admin verbs look at, without a broker: a real log in the simulator, a real catalog and real
 * sessions, changed by the test. Replies are checked to be well-formed JSON and read by path.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_ADMIN_WORLD_H
#define CROSSDOCK_TESTS_SUPPORT_ADMIN_WORLD_H

#include "broker/admin/admin.h"
#include "tests/support/json.h"
#include "tests/support/log_run.h"
#include "tests/support/session_kit.h"
#include "wire/route.h"

#define WORLD_FACILITIES_MAX 8u
#define WORLD_PARTITIONS_MAX 64u
#define WORLD_CHANNELS_MAX 8u

struct admin_world {
    struct run run;
    struct session_kit kit;
    struct catalog catalog;
    struct arena arena;
    void *memory; /* of the arena */
    struct counters counters;
    struct latency_window recent;
    struct admin_view view;
    struct admin_result result; /* of the last call */
    char detail[XD_DETAIL_BYTES_MAX];
    char out[XD_ADMIN_REPLY_BYTES_MAX];
    char value[JSON_VALUE_BYTES];
};

/* In memory of its own, because it is large. */
static inline struct admin_world *world_begin(void)
{
    struct admin_world *world = calloc(1, sizeof *world);
    uint64_t bytes = catalog_bytes_needed(WORLD_FACILITIES_MAX, WORLD_PARTITIONS_MAX);
    cr_assert_not_null(world);
    run_begin(&world->run, 1);
    world->run.options.partitions_max = WORLD_PARTITIONS_MAX;
    cr_assert_eq(run_open(&world->run), 0, "%s", world->run.why);
    kit_begin(&world->kit, WORLD_CHANNELS_MAX, 64, 1);
    world->memory = malloc(bytes);
    cr_assert_not_null(world->memory);
    arena_init(&world->arena, world->memory, bytes);
    arena_budget(&world->arena, "catalog");
    cr_assert_eq(
        catalog_init(&world->catalog, &world->arena, WORLD_FACILITIES_MAX, WORLD_PARTITIONS_MAX),
        0);
    world->view = (struct admin_view){.env = world->run.env,
                                      .log = world->run.log,
                                      .catalog = &world->catalog,
                                      .sessions = &world->kit.sessions,
                                      .counters = &world->counters,
                                      .recent = &world->recent,
                                      .arena = &world->arena,
                                      .config_json = "{\"log.tail_bytes\":{\"value\":1}}",
                                      .version = "1.2.3",
                                      .commit = "abc",
                                      .shard_count = 1,
                                      .cluster_id = (const uint8_t *)"0123456789abcdef",
                                      .started_mono_ns = env_now_mono_ns(world->run.env)};
    return world;
}

static inline void world_end(struct admin_world *world)
{
    run_end(&world->run);
    kit_end(&world->kit);
    free(world->memory);
    free(world);
}

/* Runs a verb; `json` may be NULL. A reply must be well formed. */
static inline int world_run(struct admin_world *world, const char *verb, const char *json)
{
    struct xd_admin_request request = {.verb = text_of(verb)};
    if (json != NULL)
        request.json = text_of(json);
    memset(&world->result, 0xee, sizeof world->result);
    int status = admin_run(&world->view, &request, world->out, sizeof world->out, &world->result,
                           world->detail);
    if (status < 0)
        cr_assert_neq(world->detail[0], '\0', "%s refuses without a word", verb);
    else if (!world->result.append)
        cr_assert(json_well_formed(world->out, world->result.json_bytes), "%.*s",
                  (int)world->result.json_bytes, world->out);
    return status;
}

/* The value at `path` of the last reply. */
static inline const char *world_get(struct admin_world *world, const char *path)
{
    return json_at(world->out, world->result.json_bytes, path, world->value);
}

/* Takes the entry of the last call in, as the shard does, and renders its reply. */
static inline void world_take(struct admin_world *world)
{
    const char *why = "";
    cr_assert(world->result.append);
    cr_assert_eq(catalog_take(&world->catalog, &world->result.entry,
                              log_durable_index(world->run.log), &why),
                 0, "%s", why);
    world->result.json_bytes =
        admin_render_entry(&world->view, &world->result.entry, world->out, sizeof world->out);
}

static inline void world_topic(struct admin_world *world, const char *name, uint32_t strategy,
                               uint32_t width)
{
    const char *why = "";
    struct control_config entry;
    cr_assert_eq(catalog_plan_topic(&world->catalog, text_of(name), strategy, width, &entry), 1);
    cr_assert_eq(catalog_take(&world->catalog, &entry, log_durable_index(world->run.log), &why), 0);
}

static inline void world_facility(struct admin_world *world, const char *name)
{
    const char *why = "";
    struct control_config entry;
    cr_assert_eq(catalog_plan_facility(&world->catalog, text_of(name), &entry), 1);
    cr_assert_eq(catalog_take(&world->catalog, &entry, log_durable_index(world->run.log), &why), 0);
}

/* Folds a durable batch of `records` into the catalog. */
static inline void world_records(struct admin_world *world, uint32_t partition, uint16_t records,
                                 int64_t append_time_us)
{
    const char *why = "";
    struct xd_batch_header batch = {.partition = partition,
                                    .base_offset = world->catalog.partitions[partition].durable,
                                    .record_count = records,
                                    .batch_bytes = 100,
                                    .append_time_us = append_time_us};
    cr_assert_eq(catalog_apply(&world->catalog, &batch, &why), 0, "%s", why);
}

#define world_is(world, path, expected) cr_assert_str_eq(world_get((world), (path)), (expected))

#endif
