/* SPDX-License-Identifier: Apache-2.0
 *
 * Starts and ends the simulated broker.
 */
#include "tests/sim/sim_broker.h"

#include "broker/log/block.h"
#include "broker/log/segment.h"
#include "wire/checksum.h"
#include "wire/route.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STOP_NS 60000000000ull
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

/* A number of the status verb. */
static uint64_t status_number(struct sim_broker *broker, const char *name)
{
    static char json[XD_ADMIN_REPLY_BYTES_MAX + 1];
    char key[64];
    json[shard_status_json(broker->shard, json, sizeof json - 1)] = '\0';
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(json, key);
    XD_ASSERT(at != NULL);
    return strtoull(at + strlen(key), NULL, 10);
}

/* Append time of the newest batch of a segment, as it still lies on disk; 0 when it does not. */
static int64_t newest_append_us(struct sim_broker *broker, uint64_t segment_no)
{
    static _Alignas(8) uint8_t memory[XD_BLOCK_BYTES_MAX];
    struct block_header *block = (struct block_header *)(void *)memory;
    struct segment_header header;
    char name[ENV_NAME_BYTES_MAX];
    int64_t newest_us = 0;
    for (uint32_t i = 0; sim_disk_name(broker->sim, i, name) == 0; i++) {
        if (strncmp(name, "wal.", 4) != 0 ||
            sim_disk_peek(broker->sim, name, 0, &header, sizeof header) < (int64_t)sizeof header ||
            header.segment_no != segment_no)
            continue;
        for (uint64_t at = SEGMENT_HEADER_BYTES; at < header.segment_bytes;
             at += block->block_bytes) {
            uint32_t cursor = 0, wrong_at;
            const struct xd_batch_header *batch;
            const char *why;
            (void)sim_disk_peek(broker->sim, name, at, memory, sizeof memory);
            if (block->magic != BLOCK_MAGIC ||
                block->position != segment_no * header.segment_bytes + at ||
                block->block_bytes == 0 || block->block_bytes > sizeof memory ||
                block_check_payload(block, 0, &wrong_at, &why) < 0)
                break;
            while ((batch = block_next_batch(block, &cursor)) != NULL)
                newest_us = batch->append_time_us > newest_us ? batch->append_time_us : newest_us;
        }
    }
    return newest_us;
}

/* Retention has dropped a segment: by size only when the segments from it to the active one were
 * more than allowed, by age only when its newest batch was old. */
static void take_drop(struct sim_broker *broker, const struct shard_line *line)
{
    uint64_t dropped = strtoull(line->text + strlen("segment="), NULL, 10);
    uint64_t kept_max = broker->options.log.retention_bytes / broker->options.log.segment_bytes;
    XD_ASSERT(dropped > 0);
    if (strstr(line->text, "reason=size") != NULL) {
        uint64_t active = status_number(broker, "segment_active");
        broker->drops_by_size++;
        broker->drops_wrong += kept_max == 0 || active - dropped < kept_max;
    } else if (strstr(line->text, "reason=age") != NULL) {
        broker->drops_by_age++;
        int64_t newest_us = newest_append_us(broker, dropped);
        broker->drops_wrong += broker->options.log.retention_us == 0 ||
                               newest_us >= broker->wall_max_us - broker->options.log.retention_us;
    }
}

static void take_lines(struct sim_broker *broker)
{
    struct shard_line line;
    int64_t wall_us = env_now_wall_us(broker->env);
    broker->wall_max_us = wall_us > broker->wall_max_us ? wall_us : broker->wall_max_us;
    while (!broker->leave_lines && shard_line_next(broker->shard, &line)) {
        broker->lines[broker->line_count++ % SIM_BROKER_LINES] = line;
        broker->tail_cuts += strcmp(line.event, "log_tail_cut") == 0;
        broker->checkpoints += strcmp(line.event, "log_checkpoint") == 0;
        broker->fallbacks += strcmp(line.event, "log_checkpoint_fallback") == 0;
        broker->rolls += strcmp(line.event, "log_segment_rolled") == 0;
        broker->corrupt += strcmp(line.event, "log_corrupt") == 0;
        if (strcmp(line.event, "log_segment_dropped") == 0)
            take_drop(broker, &line);
        if (broker->print != NULL)
            fprintf(broker->print, "line %s %s\n", line.event, line.text);
    }
}

int sim_broker_start(struct sim_broker *broker)
{
    XD_ASSERT(broker->env == NULL);
    char bound[1][ENV_ADDRESS_BYTES_MAX];
    uint64_t bytes = shard_bytes_needed(&broker->options);
    struct env_sim_options process;
    env_sim_options_init(&process);
    process.buffer_count = PROCESS_BUFFERS;
    process.buffer_bytes = PROCESS_BUFFER_BYTES;
    broker->why[0] = '\0';
    broker->corrupt = 0;
    broker->wall_max_us = INT64_MIN;
    broker->env = env_sim_process(broker->sim, &process);
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
