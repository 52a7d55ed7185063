/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/shard/start.c: memory is counted exactly, recovery goes in bounded steps, start-up topics
 * are made once, and what stops a start is named with its remedy.
 */
#include "broker/shard/state.h"

#include "broker/log/index.h"
#include "tests/support/shard_world.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <string.h>

/* A new process on the world's folder, as far as shard_open. Its status; `why` as given. */
static int open_with(struct world *world, uint64_t memory_bytes, char *why)
{
    why[0] = '\0';
    world->env = world->engine->start(world);
    world->memories[0] = env_mem_alloc(world->env, memory_bytes);
    world->memory_bytes = memory_bytes;
    cr_assert_not_null(world->memories[0]);
    return shard_open(world->env, world->memories[0], memory_bytes, &world->options, &world->shard,
                      why);
}

/* The same up to serving. */
static int start_with(struct world *world, char *why)
{
    char bound[1][ENV_ADDRESS_BYTES_MAX];
    int status = open_with(world, shard_bytes_needed(&world->options), why);
    cr_assert_eq(status, 0, "%s", why);
    while ((status = shard_recover_step(world->shard, why)) == 1)
        continue;
    return status == 0 ? shard_listen(world->shard, bound, why) : status;
}

/* Too little memory is refused with the size that was given, whether nothing fits or not all. */
Test(shard_start, says_that_memory_is_too_little)
{
    char why[XD_DETAIL_BYTES_MAX];
    struct world *world = world_begin_sim();
    uint64_t needed = shard_bytes_needed(&world->options);
    cr_assert_eq(open_with(world, 4096, why), -ENOMEM);
    cr_assert_not_null(strstr(why, "4096"), "%s", why);
    world_kill(world);
    for (uint64_t part = 1; part < 8; part++) {
        cr_assert_eq(open_with(world, needed / 8 * part, why), -ENOMEM, "%u of 8", (unsigned)part);
        cr_assert_neq(why[0], '\0');
        world_kill(world);
    }
    cr_assert_eq(open_with(world, needed, why), 0, "%s", why);
    world_end(world);
}

/* The aim for many partitions, with the default settings: whether it is used or not, a partition
 * takes at most 256 bytes of every shard's tables and checkpoint memory, and the partition index,
 * whose size is an option of its own, has at least two chunks for each of 100,000. */
Test(shard_start, a_partition_takes_at_most_256_bytes)
{
    enum { MANY = 100000, BYTES_MAX = 256 };
    struct shard_options options;
    shard_options_init(&options);
    options.partitions_max = 1;
    uint64_t one = shard_bytes_needed(&options);
    options.partitions_max = MANY;
    uint64_t many = shard_bytes_needed(&options);
    cr_assert_gt(many, one);
    cr_assert_leq((many - one) / (MANY - 1), BYTES_MAX, "%llu bytes",
                  (unsigned long long)((many - one) / (MANY - 1)));
    cr_assert_geq(index_chunks_max(options.log.index_bytes), 2 * MANY);
    cr_assert_leq(MANY, XD_PARTITIONS_MAX);
}

/* Name of the budget that a shard charged last before it gave up. */
static const char *last_budget(const struct shard *shard)
{
    const struct arena_budget *budget = NULL;
    for (uint32_t row = 0; arena_budget_at(&shard->arena, row) != NULL; row++)
        budget = arena_budget_at(&shard->arena, row);
    return budget->name;
}

/* Wherever memory ends, be it in the middle of a table, opening is refused: nothing is taken beyond
 * the end, and no table is left out. */
Test(shard_start, refuses_memory_that_ends_in_any_table)
{
    static const char *const order[] = {"shard",   "catalog", "sessions",
                                        "answers", "readers", "net"};
    char why[XD_DETAIL_BYTES_MAX];
    struct world *world = world_begin_sim();
    uint64_t needed = shard_bytes_needed(&world->options);
    uint32_t reached = 0;
    world->env = world->engine->start(world);
    world->memories[0] = env_mem_alloc(world->env, needed);
    world->memory_bytes = needed;
    cr_assert_not_null(world->memories[0]);
    for (uint64_t bytes = 64; strcmp(order[reached], "net") != 0; bytes += 64) {
        struct shard *shard = NULL;
        ASAN_UNPOISON_MEMORY_REGION(world->memories[0], needed);
        cr_assert_lt(bytes, needed);
        cr_assert_eq(
            shard_open(world->env, world->memories[0], bytes, &world->options, &shard, why),
            -ENOMEM);
        if (shard == NULL) {
            cr_assert_eq(reached, 0);
            continue;
        }
        cr_assert_leq(arena_used(&shard->arena), bytes);
        reached += strcmp(last_budget(shard), order[reached]) != 0;
        cr_assert_str_eq(last_budget(shard), order[reached]);
    }
    world_end(world);
}

/* Topics of the options are made in a new folder, and never again. */
Test(shard_start, makes_start_up_topics_once)
{
    static const struct shard_topic others[] = {{"stock", XD_STRATEGY_SKU, 7},
                                                {"count", XD_STRATEGY_LOCATION, 2},
                                                {"late", XD_STRATEGY_KEY, 1}};
    struct world *world = world_begin_sim();
    for (uint32_t life = 0; life < 3; life++) {
        world_start(world);
        const struct catalog *catalog = &world->shard->catalog;
        cr_assert_eq(catalog->topic_count, 2);
        cr_assert_eq(catalog->topics[0].width, WORLD_WIDTH);
        cr_assert_eq(catalog->partition_count, WORLD_WIDTH + 1);
        world_pass(world, 20); /* they are durable */
        if (life == 0)
            world_kill(world);
        else
            world_stop(world);
        world->options.topics = others;
        world->options.topic_count = 3;
    }
    world_end(world);
}

/* A topic that the options name twice is made once; named again with other properties it stops the
 * start. */
Test(shard_start, makes_a_topic_once_that_is_named_twice)
{
    static const struct shard_topic twice[] = {{"stock", XD_STRATEGY_SKU, 3},
                                               {"stock", XD_STRATEGY_SKU, 3},
                                               {"stock", XD_STRATEGY_SKU, 4}};
    char why[XD_DETAIL_BYTES_MAX];
    struct world *world = world_begin_sim();
    world->options.topics = twice;
    world->options.topic_count = 3;
    cr_assert_eq(start_with(world, why), XD_EXISTS);
    cr_assert_not_null(strstr(why, "'stock'"), "%s", why);
    world_kill(world);
    world->options.topic_count = 2;
    world_start(world);
    cr_assert_eq(world->shard->catalog.topic_count, 1);
    cr_assert_eq(world->shard->catalog.partition_count, 3);
    world_end(world);
}

/* A topic that finds no room is named. */
Test(shard_start, names_the_topic_that_does_not_fit)
{
    char why[XD_DETAIL_BYTES_MAX];
    struct world *world = world_begin_sim();
    world->options.partitions_max = WORLD_WIDTH;
    cr_assert_eq(start_with(world, why), XD_CATALOG_FULL);
    cr_assert_not_null(strstr(why, "'order'"), "%s", why);
    world_end(world);
}

/* An address that cannot be bound is named; the folder is good for the next start. */
Test(shard_start, names_the_address_that_cannot_be_bound)
{
    static const char *const addresses[] = {"warehouse"};
    char why[XD_DETAIL_BYTES_MAX];
    struct world *world = world_begin_sim();
    const char *const *good = world->options.addresses;
    world->options.addresses = addresses;
    cr_assert_lt(start_with(world, why), 0);
    cr_assert_not_null(strstr(why, "warehouse"), "%s", why);
    world_kill(world);
    world->options.addresses = good;
    world_start(world);
    world_end(world);
}

/* Appends so many opens of one channel and makes them durable. */
static void append_opens(struct world *world, uint32_t count, const char *name)
{
    struct shard *shard = world->shard;
    for (uint32_t i = 0; i < count; i++) {
        struct xd_open_request request = {.fixed = {.flags = XD_OPEN_NO_MEMORY},
                                          .source = {"wms", 3},
                                          .channel = {name, (uint32_t)strlen(name)}};
        struct control_session entry;
        char detail[XD_DETAIL_BYTES_MAX];
        const char *why = "";
        uint64_t index;
        int status;
        cr_assert_eq(session_plan_open(&shard->sessions, &request, 0, &entry, detail), 1, "%s",
                     detail);
        while ((status = fold_append_control(shard, CONTROL_SESSION, &entry, sizeof entry,
                                             &index)) == XD_THROTTLED)
            world_turn(world, WORLD_TURN_NS);
        cr_assert_eq(status, 0);
        cr_assert_eq(session_take(&shard->sessions, &entry, &why), 0, "%s", why);
    }
    while (log_durable_index(shard->log) < log_last_index(shard->log))
        world_turn(world, WORLD_TURN_NS);
}

/* A topic that the log does not take is named with the reason; with room on the disk the same start
 * makes all of them. */
Test(shard_start, names_the_topic_that_the_log_does_not_take)
{
    char why[XD_DETAIL_BYTES_MAX];
    struct world *world = world_begin_sim();
    uint64_t capacity = 16ull << 30;
    uint32_t topic_count = world->options.topic_count;
    world->options.topic_count = 0;
    world_start(world);
    sim_disk_capacity(world->sim, sim_disk_used(world->sim));
    while (!log_disk_low(world->shard->log))
        append_opens(world, 1, "a");
    world_kill(world);
    world->options.topic_count = topic_count;
    cr_assert_eq(start_with(world, why), XD_READ_ONLY, "%s", why);
    cr_assert_not_null(strstr(why, "'stock'"), "%s", why);
    cr_assert_not_null(strstr(why, xd_status_text(XD_READ_ONLY)), "%s", why);
    world_kill(world);
    sim_disk_capacity(world->sim, capacity);
    world_start(world);
    cr_assert_eq(world->shard->catalog.topic_count, topic_count);
    world_end(world);
}

/* A long tail is folded in steps, so that its owner can tell how far it is; all of it is there. */
Test(shard_start, recovers_in_steps)
{
    enum { OPENS = 10000 };
    char why[XD_DETAIL_BYTES_MAX];
    struct world *world = world_begin_sim();
    uint32_t steps = 0, percent = 0;
    int status;
    world_start(world);
    append_opens(world, OPENS, "a");
    world_kill(world);
    cr_assert_eq(open_with(world, shard_bytes_needed(&world->options), why), 0, "%s", why);
    while ((status = shard_recover_step(world->shard, why)) == 1) {
        uint32_t now = shard_recover_percent(world->shard);
        cr_assert(now >= percent && now <= 100);
        percent = now;
        steps++;
    }
    cr_assert_eq(status, 0, "%s", why);
    cr_assert_geq(steps, 2);
    cr_assert(percent > 0);
    cr_assert_eq(shard_recover_percent(world->shard), 100);
    cr_assert_eq(session_channel(&world->shard->sessions, 1)->producer_epoch, OPENS);
    world_end(world);
}

/* Limits below what the folder holds stop the start and name the limit. */
Test(shard_start, names_the_limit_that_the_folder_exceeds)
{
    char why[XD_DETAIL_BYTES_MAX];
    struct world *world = world_begin_sim();
    world_start(world);
    append_opens(world, 1, "a");
    append_opens(world, 1, "b");
    world_kill(world);
    world->options.sessions.channels_max = 1;
    cr_assert_lt(start_with(world, why), 0);
    cr_assert_not_null(strstr(why, "produce.channels_max"), "%s", why);
    world_kill(world);
    world->options.sessions.channels_max = 2;
    world_start(world);
    world_end(world);
}
