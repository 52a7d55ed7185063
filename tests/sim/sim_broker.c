/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts, turns and ends the simulated broker. With one shard this is the shard itself; several
 * share the process through env_split.h.
 */
#include "tests/sim/sim_broker.h"

#include "broker/shard/state.h"
#include "wire/route.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a ring between shards: far more than the few clients of a run can have under way, and few
 * enough that a start need not clear megabytes. A ring that is full aborts. */
#define RING_MESSAGES 2048u
#define STOP_NS 60000000000ull
#define JOIN_NS 20000000000ull
#define HOPS_MAX 2u        /* rounds of a turn behind the first, when bells were rung in it */
#define STOP_ROUNDS_MAX 4u /* between the stop of one shard and that of the next */
/* Few and small, so that the memory that a start touches stays small; and a frame needs many. */
#define PROCESS_BUFFERS 64u
#define PROCESS_BUFFER_BYTES 16384u

static const struct shard_topic topics[] = {{"stock", XD_STRATEGY_SKU, 3},
                                            {"order", XD_STRATEGY_ORDER, 1}};
static const char *const addresses[] = {"127.0.0.1:7700"};

/* The smallest broker there can be, so that many seeds run in a second. */
static void small_options(struct shard_options *options)
{
    shard_options_init(options);
    options->log.segment_bytes = 4u << 20;
    options->log.tail_bytes = 16u << 20;
    options->log.index_bytes = 256u << 10;
    options->log.checkpoint_every_bytes = 8u << 20;
    options->log.disk_low_bytes = 16u << 20;
    options->log.clock_steady_ns = 10000000;
    options->log.undurable_bytes_max = 4u << 20;
    options->log.segments_ready_min = 1;
    options->log.read_cache_extents = 3;
    options->log.sync = LOG_SYNC_FDATASYNC;
    options->log.shard_count = 1;
    options->net.connections_max = 24;
    options->net.out_chunk_count = 40;
    options->net.recv_buffers_max = PROCESS_BUFFERS;
    options->net.large_count = 3;
    options->net.spill_count = 2;
    options->sessions = (struct session_options){.channels_max = 32, .chains_max = 96};
    options->facilities_max = 8;
    options->partitions_max = 64;
    options->acks_max = 512;
    options->waiters_max = 512;
    options->connection_bytes = 512u << 10;
    options->topics = topics;
    options->topic_count = sizeof topics / sizeof topics[0];
    options->addresses = addresses;
    options->address_count = 1;
}

void sim_broker_open(struct sim_broker *broker, const struct sim_options *world)
{
    memset(broker, 0, sizeof *broker);
    broker->sim = sim_open(world);
    small_options(&broker->options);
}

static void forget_process(struct sim_broker *broker)
{
    split_deinit(&broker->split);
    broker->env = NULL;
    memset(broker->shards, 0, sizeof broker->shards);
}

void sim_broker_reset(struct sim_broker *broker, const struct sim_options *world)
{
    struct sim *sim = broker->sim;
    void *links = broker->links;
    forget_process(broker);
    sim_reset(sim, world);
    memset(broker, 0, sizeof *broker);
    broker->sim = sim;
    broker->links = links;
    small_options(&broker->options);
}

void sim_broker_close(struct sim_broker *broker)
{
    forget_process(broker);
    free(broker->links);
    sim_close(broker->sim);
}

/* ---- start ----------------------------------------------------------------------------------- */

static struct env *env_of(struct sim_broker *broker, uint32_t shard)
{
    return sim_broker_shards(broker) > 1 ? split_env(&broker->split, shard) : broker->env;
}

static void start_split(struct sim_broker *broker)
{
    uint32_t count = sim_broker_shards(broker);
    uint64_t bytes = (links_bytes_needed(count, RING_MESSAGES) + 63) / 64 * 64;
    XD_ASSERT(RING_MESSAGES <= shard_messages_max(&broker->options));
    split_init(&broker->split, broker->env, count, env_rand64(broker->env));
    if (broker->links == NULL)
        broker->links = aligned_alloc(64, links_bytes_needed(SPLIT_SHARDS_MAX, RING_MESSAGES));
    XD_ASSERT(broker->links != NULL);
    broker->options.links = links_init(broker->links, bytes, count, RING_MESSAGES);
}

static int open_shard(struct sim_broker *broker, uint32_t i)
{
    struct shard_options options = broker->options;
    struct env *env = env_of(broker, i);
    options.log.shard = i;
    options.net.recv_buffers_max *= options.log.shard_count; /* they are one pool */
    uint64_t bytes = shard_bytes_needed(&options);
    void *memory = env_mem_alloc(env, bytes);
    if (memory == NULL)
        return -ENOMEM;
    int status = shard_open(env, memory, bytes, &options, &broker->shards[i], broker->why);
    while (status == 0 && (status = shard_recover_step(broker->shards[i], broker->why)) == 1)
        status = 0;
    return status;
}

/* One after the other, from any of them on; each tells what it has as soon as it can. */
static int open_shards(struct sim_broker *broker)
{
    uint32_t count = sim_broker_shards(broker);
    uint32_t first = count > 1 ? (uint32_t)prng_below(&broker->split.prng, count) : 0;
    int status = 0;
    for (uint32_t i = 0; i < count && status == 0; i++) {
        uint32_t shard = (first + i) % count;
        status = open_shard(broker, shard);
        if (status == 0 && count > 1)
            status = shard_join(broker->shards[shard], broker->why);
        broker->deadlines[shard] = 0;
    }
    return status;
}

static bool all_joined(const struct sim_broker *broker)
{
    for (uint32_t i = 0; i < sim_broker_shards(broker); i++)
        if (!shard_joined(broker->shards[i]))
            return false;
    return true;
}

static int take_round(struct sim_broker *broker, uint64_t until_ns);

static int join_shards(struct sim_broker *broker)
{
    uint64_t end_ns = env_now_mono_ns(broker->env) + JOIN_NS;
    while (!all_joined(broker)) {
        if (broker->join_turns > 0 && --broker->join_turns == 0) {
            broker->totals.join_deaths++;
            sim_kill(broker->sim);
        }
        int status = take_round(broker, end_ns);
        for (uint32_t i = 0; i < sim_broker_shards(broker) && status < 0; i++)
            if (shard_trouble(broker->shards[i])[0] != '\0')
                snprintf(broker->why, sizeof broker->why, "%s", shard_trouble(broker->shards[i]));
        if (status < 0)
            return status;
        if (env_now_mono_ns(broker->env) >= end_ns) {
            snprintf(broker->why, sizeof broker->why, "the shards do not join");
            return -ETIMEDOUT;
        }
    }
    broker->totals.behind += broker->starts > 0 && sim_broker_entries(broker) > broker->entries;
    return 0;
}

static int listen_all(struct sim_broker *broker)
{
    int status = 0;
    for (uint32_t i = 0; i < sim_broker_shards(broker); i++) {
        if (status == 0)
            status = shard_listen(broker->shards[i], &broker->addresses[i], broker->why);
        broker->deadlines[i] = 0;
        sim_broker_take_lines(broker, i);
    }
    memcpy(broker->address, broker->addresses[0], sizeof broker->address);
    return status;
}

int sim_broker_go_on(struct sim_broker *broker)
{
    int status = sim_broker_shards(broker) > 1 ? join_shards(broker) : 0;
    if (status == 0)
        status = listen_all(broker);
    broker->join_turns = 0;
    if (status < 0)
        return status;
    if (sim_dead(broker->sim))
        return -ESHUTDOWN;
    broker->starts++;
    return 0;
}

int sim_broker_start(struct sim_broker *broker)
{
    XD_ASSERT(broker->env == NULL);
    uint32_t count = sim_broker_shards(broker);
    struct env_sim_options process;
    env_sim_options_init(&process);
    process.buffer_count = PROCESS_BUFFERS * count;
    process.buffer_bytes = PROCESS_BUFFER_BYTES;
    /* The same in all, so that the next process finds its memory mapped. */
    process.mem_bytes_max -= (uint64_t)process.buffer_count * process.buffer_bytes;
    broker->buffers = process.buffer_count;
    broker->entries = UINT64_MAX;
    broker->why[0] = '\0';
    broker->corrupt = 0;
    broker->wall_max_us = INT64_MIN;
    broker->env = env_sim_process(broker->sim, &process);
    if (count > 1)
        start_split(broker);
    int status = open_shards(broker);
    if (status < 0)
        return status;
    if (count > 1)
        broker->entries = sim_broker_entries(broker);
    return sim_broker_go_on(broker);
}

/* ---- turns ----------------------------------------------------------------------------------- */

static int turn_shard(struct sim_broker *broker, uint32_t i, uint64_t until_ns)
{
    int status = shard_turn(broker->shards[i], until_ns);
    sim_broker_take_lines(broker, i);
    return status;
}

/* As a thread that waits: it has said that it sleeps, and knows nothing but its deadline. */
static void fall_asleep(struct sim_broker *broker, uint32_t i)
{
    struct shard *shard = broker->shards[i];
    XD_ASSERT(!shard_stopped(shard) || shard->peers.outputs == 0); /* its memory may go */
    broker->deadlines[i] = shard_stopped(shard) ? UINT64_MAX : shard_deadline_ns(shard);
    if (!link_sleep(&shard->peers.end))
        broker->deadlines[i] = 0;
}

/* Waits until a shard has a reason to turn, or until then; those that have one do. Returns how many
 * have, or the status of the first that fails. */
static int take_round(struct sim_broker *broker, uint64_t until_ns)
{
    uint32_t due[SPLIT_SHARDS_MAX];
    sim_wake_at(broker->sim, until_ns);
    for (uint32_t i = 0; i < sim_broker_shards(broker); i++)
        broker->totals.bells += broker->split.ends[i].rung;
    int count = split_round(&broker->split, broker->deadlines, due);
    sim_wake_at(broker->sim, UINT64_MAX);
    int status = count;
    for (int i = 0; i < count && status >= 0; i++) {
        struct shard *shard = broker->shards[due[i]];
        broker->totals.cut_lent += sim_broker_cut_lent(broker);
        if (shard_stopped(shard))
            continue;
        status = turn_shard(broker, due[i], UINT64_MAX);
        fall_asleep(broker, due[i]);
    }
    return status < 0 ? status : count;
}

static bool bell_rung(const struct sim_broker *broker)
{
    bool rung = false;
    for (uint32_t i = 0; i < sim_broker_shards(broker); i++)
        rung |= broker->split.ends[i].rung;
    return rung;
}

int sim_broker_turn(struct sim_broker *broker, uint64_t ns)
{
    uint64_t until_ns = env_now_mono_ns(broker->env) + ns;
    int status;
    if (sim_dead(broker->sim))
        return -ESHUTDOWN;
    if (sim_broker_shards(broker) == 1) {
        status = turn_shard(broker, 0, until_ns);
    } else {
        status = take_round(broker, until_ns);
        for (uint32_t i = 0; i < HOPS_MAX && status >= 0 && bell_rung(broker); i++)
            status = take_round(broker, until_ns);
    }
    return sim_dead(broker->sim) ? -ESHUTDOWN : status;
}

/* ---- end ------------------------------------------------------------------------------------- */

enum sim_crash_menu sim_broker_crash(struct sim_broker *broker, enum sim_crash_menu menu)
{
    sim_broker_sum_up(broker);
    enum sim_crash_menu used = sim_crash(broker->sim, menu);
    forget_process(broker);
    return used;
}

/* Each is told at another moment. */
static int stop_all(struct sim_broker *broker, uint64_t end_ns)
{
    int status = 0;
    for (uint32_t i = 0; i < sim_broker_shards(broker); i++) {
        uint64_t rounds = i > 0 ? prng_below(&broker->split.prng, STOP_ROUNDS_MAX) : 0;
        for (; rounds > 0 && status >= 0; rounds--)
            status = take_round(broker, end_ns);
        if (status < 0)
            return status;
        shard_stop(broker->shards[i]);
        broker->deadlines[i] = 0;
    }
    return 0;
}

static bool all_stopped(const struct sim_broker *broker)
{
    for (uint32_t i = 0; i < sim_broker_shards(broker); i++)
        if (!shard_stopped(broker->shards[i]))
            return false;
    return true;
}

int sim_broker_stop(struct sim_broker *broker)
{
    uint64_t end_ns = env_now_mono_ns(broker->env) + STOP_NS;
    int status = stop_all(broker, end_ns);
    while (status >= 0 && !all_stopped(broker)) {
        uint64_t now_ns = env_now_mono_ns(broker->env);
        if (now_ns >= end_ns)
            return -ETIMEDOUT;
        status = sim_broker_turn(broker, end_ns - now_ns);
    }
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < sim_broker_shards(broker); i++)
        shard_close(broker->shards[i]);
    sim_broker_crash(broker, SIM_CRASH_KEEP_NONE);
    return 0;
}
