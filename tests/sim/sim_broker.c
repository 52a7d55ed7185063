/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts and ends the simulated broker.
 */
#include "tests/sim/sim_broker.h"

#include "wire/checksum.h"
#include "wire/route.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_NS 60000000000ull

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
    options->log.undurable_bytes_max = 4u << 20;
    options->log.segments_ready_min = 1;
    options->log.read_cache_extents = 4;
    options->log.sync = LOG_SYNC_FDATASYNC;
    options->log.shard_count = 1;
    options->net.connections_max = 24;
    options->net.out_chunk_count = 128;
    options->net.large_count = 3;
    options->net.spill_count = 2;
    options->sessions = (struct session_options){.channels_max = 32, .chains_max = 96};
    options->facilities_max = 8;
    options->partitions_max = 64;
    options->acks_max = 2048;
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

void sim_broker_reset(struct sim_broker *broker, const struct sim_options *world)
{
    struct sim *sim = broker->sim;
    sim_reset(sim, world);
    memset(broker, 0, sizeof *broker);
    broker->sim = sim;
    small_options(&broker->options);
}

void sim_broker_close(struct sim_broker *broker)
{
    sim_close(broker->sim);
}

static void take_lines(struct sim_broker *broker)
{
    struct shard_line line;
    while (!broker->leave_lines && shard_line_next(broker->shard, &line)) {
        broker->lines[broker->line_count++ % SIM_BROKER_LINES] = line;
        broker->tail_cuts += strcmp(line.event, "log_tail_cut") == 0;
        broker->checkpoints += strcmp(line.event, "log_checkpoint") == 0;
        broker->fallbacks += strcmp(line.event, "log_checkpoint_fallback") == 0;
        if (broker->print_lines)
            fprintf(stderr, "%s %s\n", line.event, line.text);
    }
}

int sim_broker_start(struct sim_broker *broker)
{
    XD_ASSERT(broker->env == NULL);
    char bound[1][ENV_ADDRESS_BYTES_MAX];
    uint64_t bytes = shard_bytes_needed(&broker->options);
    broker->why[0] = '\0';
    broker->env = env_sim_process(broker->sim, NULL);
    void *memory = env_mem_alloc(broker->env, bytes);
    if (memory == NULL)
        return -ENOMEM;
    int status =
        shard_open(broker->env, memory, bytes, &broker->options, &broker->shard, broker->why);
    if (status < 0)
        return status;
    do {
        status = shard_recover_step(broker->shard, broker->why);
    } while (status == 1);
    if (status < 0)
        return status;
    status = shard_listen(broker->shard, bound, broker->why);
    take_lines(broker);
    if (status < 0)
        return status;
    if (sim_dead(broker->sim))
        return -ESHUTDOWN;
    memcpy(broker->address, bound[0], sizeof broker->address);
    broker->starts++;
    return 0;
}

int sim_broker_turn(struct sim_broker *broker, uint64_t ns)
{
    struct env_event foreign[4];
    uint32_t foreign_count = 0;
    uint64_t until_ns = env_now_mono_ns(broker->env) + ns;
    if (sim_dead(broker->sim))
        return -ESHUTDOWN;
    int status = shard_turn(broker->shard, until_ns, foreign, 4, &foreign_count);
    XD_ASSERT(foreign_count == 0);
    take_lines(broker);
    return sim_dead(broker->sim) ? -ESHUTDOWN : status;
}

enum sim_crash_menu sim_broker_crash(struct sim_broker *broker, enum sim_crash_menu menu)
{
    enum sim_crash_menu used = sim_crash(broker->sim, menu);
    broker->env = NULL;
    broker->shard = NULL;
    return used;
}

int sim_broker_stop(struct sim_broker *broker)
{
    uint64_t end_ns = env_now_mono_ns(broker->env) + STOP_NS;
    shard_stop(broker->shard);
    while (!shard_stopped(broker->shard)) {
        uint64_t now_ns = env_now_mono_ns(broker->env);
        if (now_ns >= end_ns)
            return -ETIMEDOUT;
        int status = sim_broker_turn(broker, end_ns - now_ns);
        if (status < 0)
            return status;
    }
    shard_close(broker->shard);
    sim_broker_crash(broker, SIM_CRASH_KEEP_NONE);
    return 0;
}

const struct shard_line *sim_broker_line(const struct sim_broker *broker, const char *event)
{
    uint64_t kept = broker->line_count < SIM_BROKER_LINES ? broker->line_count : SIM_BROKER_LINES;
    for (uint64_t i = 1; i <= kept; i++) {
        const struct shard_line *line = &broker->lines[(broker->line_count - i) % SIM_BROKER_LINES];
        if (strcmp(line->event, event) == 0)
            return line;
    }
    return NULL;
}

uint64_t sim_broker_state_hash(struct sim_broker *broker)
{
    uint64_t bytes_max = shard_state_bytes_max(broker->shard);
    uint8_t *out = malloc(bytes_max);
    XD_ASSERT(out != NULL);
    uint64_t bytes = shard_state_save(broker->shard, out, bytes_max);
    XD_ASSERT(bytes > 0);
    uint64_t hash = xd_xxh3(out, bytes);
    free(out);
    return hash;
}
