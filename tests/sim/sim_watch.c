/* SPDX-License-Identifier: Apache-2.0
 *
 * What the simulated broker shows: the lines of its shards, what they count and hold, and which
 * file belongs to whom. Where the public face of a shard does not tell, it looks into its tables.
 */
#include "tests/sim/sim_broker.h"

#include "broker/log/block.h"
#include "broker/log/segment.h"
#include "broker/net/net_state.h"
#include "broker/shard/state.h"
#include "wire/checksum.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- files ----------------------------------------------------------------------------------- */

const char *sim_broker_file(const struct sim_broker *broker, const char *name, uint32_t *ret_shard)
{
    *ret_shard = 0;
    if (sim_broker_shards(broker) == 1)
        return name;
    XD_ASSERT(name[0] == 's' && name[1] >= '0' && name[1] <= '9');
    XD_ASSERT(name[2] == '/' || name[2] == '.');
    *ret_shard = (uint32_t)(name[1] - '0');
    return name + 3;
}

void sim_broker_name(const struct sim_broker *broker, uint32_t shard, const char *name,
                     char *ret_name)
{
    int written = sim_broker_shards(broker) == 1
                      ? snprintf(ret_name, ENV_NAME_BYTES_MAX, "%s", name)
                      : snprintf(ret_name, ENV_NAME_BYTES_MAX, "s%u/%s", shard, name);
    XD_ASSERT(shard < sim_broker_shards(broker));
    XD_ASSERT(written > 0 && written < (int)ENV_NAME_BYTES_MAX);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* A number of the status verb. */
static uint64_t status_number(struct shard *shard, const char *name)
{
    static char json[XD_ADMIN_REPLY_BYTES_MAX + 1];
    char key[64];
    json[shard_status_json(shard, json, sizeof json - 1)] = '\0';
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = strstr(json, key);
    XD_ASSERT(at != NULL);
    return strtoull(at + strlen(key), NULL, 10);
}

/* Append time of the newest batch of a segment, as it still lies on disk; 0 when it does not. */
static int64_t newest_append_us(struct sim_broker *broker, uint32_t shard, uint64_t segment_no)
{
    static _Alignas(8) uint8_t memory[XD_BLOCK_BYTES_MAX];
    struct block_header *block = (struct block_header *)(void *)memory;
    struct segment_header header;
    char name[ENV_NAME_BYTES_MAX];
    int64_t newest_us = 0;
    for (uint32_t i = 0; sim_disk_name(broker->sim, i, name) == 0; i++) {
        uint32_t owner;
        if (strncmp(sim_broker_file(broker, name, &owner), "wal.", 4) != 0 || owner != shard ||
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
static void take_drop(struct sim_broker *broker, uint32_t shard, const struct shard_line *line)
{
    uint64_t dropped = strtoull(line->text + strlen("segment="), NULL, 10);
    uint64_t kept_max = broker->options.log.retention_bytes / broker->options.log.segment_bytes;
    XD_ASSERT(dropped > 0);
    if (strstr(line->text, "reason=size") != NULL) {
        uint64_t active = status_number(broker->shards[shard], "segment_active");
        broker->drops_by_size++;
        broker->drops_wrong += kept_max == 0 || active - dropped < kept_max;
    } else if (strstr(line->text, "reason=age") != NULL) {
        broker->drops_by_age++;
        int64_t newest_us = newest_append_us(broker, shard, dropped);
        broker->drops_wrong += broker->options.log.retention_us == 0 ||
                               newest_us >= broker->wall_max_us - broker->options.log.retention_us;
    }
}

void sim_broker_take_lines(struct sim_broker *broker, uint32_t shard)
{
    struct shard_line line;
    int64_t wall_us = env_now_wall_us(broker->env);
    broker->wall_max_us = wall_us > broker->wall_max_us ? wall_us : broker->wall_max_us;
    while (!broker->leave_lines && shard_line_next(broker->shards[shard], &line)) {
        broker->lines[broker->line_count++ % SIM_BROKER_LINES] = line;
        broker->tail_cuts += strcmp(line.event, "log_tail_cut") == 0;
        broker->checkpoints += strcmp(line.event, "log_checkpoint") == 0;
        broker->fallbacks += strcmp(line.event, "log_checkpoint_fallback") == 0;
        broker->rolls += strcmp(line.event, "log_segment_rolled") == 0;
        broker->corrupt += strcmp(line.event, "log_corrupt") == 0;
        if (strcmp(line.event, "log_segment_dropped") == 0)
            take_drop(broker, shard, &line);
        if (broker->print != NULL)
            fprintf(broker->print, "line %u %s %s\n", shard, line.event, line.text);
    }
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

/* ---- state ----------------------------------------------------------------------------------- */

static uint64_t shard_hash(struct shard *shard, uint64_t seed)
{
    uint64_t bytes_max = shard_state_bytes_max(shard);
    uint8_t *out = malloc(bytes_max);
    XD_ASSERT(out != NULL);
    uint64_t bytes = shard_state_save(shard, out, bytes_max);
    XD_ASSERT(bytes > 0);
    uint64_t hash = xd_xxh3_seeded(out, bytes, seed);
    free(out);
    return hash;
}

uint64_t sim_broker_state_hash(struct sim_broker *broker)
{
    uint64_t hash = 0;
    for (uint32_t i = 0; i < sim_broker_shards(broker); i++)
        hash = shard_hash(broker->shards[i], hash);
    return hash;
}

static uint64_t entries_of(const struct shard *shard)
{
    struct catalog_extent extent = catalog_extent(&shard->catalog);
    return extent.topic_count + (uint64_t)extent.facility_count;
}

uint64_t sim_broker_entries(const struct sim_broker *broker)
{
    uint64_t entries = 0;
    for (uint32_t i = 1; i < sim_broker_shards(broker); i++)
        entries += entries_of(broker->shards[i]);
    return entries;
}

bool sim_broker_one_catalog(const struct sim_broker *broker)
{
    bool equal = true;
    for (uint32_t i = 1; i < sim_broker_shards(broker); i++)
        equal = equal && entries_of(broker->shards[i]) == entries_of(broker->shard);
    return equal;
}

bool sim_broker_spreading(const struct sim_broker *broker)
{
    bool spreading = false;
    for (uint32_t i = 1; i < sim_broker_shards(broker); i++)
        spreading |= broker->shard->peers.table[i].asked;
    return spreading;
}

bool sim_broker_cut_lent(const struct sim_broker *broker)
{
    bool cut = false;
    for (uint32_t i = 0; i < sim_broker_shards(broker); i++) {
        const struct conns *conns = &broker->shards[i]->net->conns;
        for (uint32_t slot = 0; slot < conns->slot_count && lend_count(&conns->lend) > 0; slot++)
            cut |= conns->table[slot].away_count > 0 && conns->table[slot].state != CONN_OPEN;
    }
    return cut;
}

static const char *shard_held(struct shard *shard)
{
    const struct conns *conns = &shard->net->conns;
    const struct output *output = &conns->output;
    if (conns->count > 0 || conns->remotes.count > 0)
        return "connections are open";
    if (lend_count(&conns->lend) > 0 || shard->peers.outputs > 0)
        return "frames or outputs are lent";
    if (output_relay_count(output) > 0 ||
        pool_free_count(&output->chunks) < output->chunks.element_count ||
        pool_free_count(&output->larges) < output->larges.element_count)
        return "output is queued";
    if (pool_free_count(&shard->answers) < shard->answers.element_count)
        return "answers wait";
    if (shard->waiters_count > 0)
        return "readers wait";
    return NULL;
}

const char *sim_broker_held(const struct sim_broker *broker)
{
    const char *held = NULL;
    for (uint32_t i = 0; i < sim_broker_shards(broker) && held == NULL; i++)
        held = shard_held(broker->shards[i]);
    if (held == NULL && env_buffers_free(broker->env) < broker->buffers)
        held = "receive buffers are lent";
    return held;
}

void sim_broker_sum_up(struct sim_broker *broker)
{
    struct sim_broker_totals *totals = &broker->totals;
    if (sim_broker_shards(broker) == 1 || broker->env == NULL || broker->entries == UINT64_MAX)
        return; /* nothing came to be shared */
    for (uint32_t i = 0; i < sim_broker_shards(broker); i++) {
        const struct counters *counters = shard_counters(broker->shards[i]);
        totals->forwarded += counters->v[COUNTER_frames_lent];
        totals->relayed += counters->v[COUNTER_outputs_relayed];
    }
    totals->brought += sim_broker_entries(broker) - broker->entries;
}
