/* SPDX-License-Identifier: Apache-2.0
 *
 * How a shard comes to serve: options, memory, log, recovery, start-up topics, addresses.
 *
 * Normal path: shard_open carves all memory and opens the log, whose checkpoint is loaded;
 * shard_recover_step folds the tail behind it, a bounded number of entries at a time, and seals the
 * memory at the end; shard_listen appends the start-up topics to a new log and binds the addresses.
 * Failure paths: every step answers a status and says in `why` what, where and what to do. After a
 * failed open or recovery the shard is only good for shard_close; after a failed shard_listen its
 * start-up topics may be on their way, so the env is closed instead. Must not handle events: turns
 * begin behind shard_listen.
 */
#include "broker/shard/shard.h"

#include "broker/shard/state.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Frames that one shard may have lent to the others at a time; bytes are bounded by net. */
#define LENTS_MAX 4096u

/* Entries folded per step, so that progress can be told. */
#define RECOVER_ENTRIES 4096

void shard_options_init(struct shard_options *options)
{
    memset(options, 0, sizeof *options);
    log_options_init(&options->log);
    net_options_init(&options->net);
    options->sessions = (struct session_options){.channels_max = 4096, .chains_max = 8192};
    options->facilities_max = 1024;
    options->partitions_max = 16384;
    options->acks_max = 65536;
    options->waiters_max = 4096;
    options->connection_bytes = 8u * 1024 * 1024;
    options->stall_ms = 2000;
    options->default_durability = XD_DURABILITY_FSYNC;
    options->version = "";
    options->commit = "";
    options->config_json = "{}";
}

/* What the modules are given follows from the shard's own limits. */
static struct shard_options derived(const struct shard_options *options)
{
    struct shard_options all = *options;
    all.log.partitions_max = options->partitions_max;
    all.log.checkpoint_bytes_max = fold_bytes_max(options);
    all.sessions.shard = options->log.shard;
    all.net.shard = options->log.shard;
    if (options->log.shard_count > 1) {
        all.net.remote_max = options->net.connections_max;
        all.net.lents_max = LENTS_MAX;
        all.net.relays_max = options->net.connections_max * (options->log.shard_count - 1);
    }
    return all;
}

uint64_t shard_bytes_needed(const struct shard_options *options)
{
    struct shard_options all = derived(options);
    return sizeof(struct shard) + log_bytes_needed(&all.log) + net_bytes_needed(&all.net) +
           catalog_bytes_needed(all.facilities_max, all.partitions_max) +
           session_bytes_needed(&all.sessions) + answers_bytes_needed(&all) +
           readers_bytes_needed(&all) + peers_bytes_needed(&all) +
           SHARD_EVENTS_MAX * sizeof(struct env_event) +
           XD_BATCH_RAW_BYTES_MAX + XD_ADMIN_REPLY_BYTES_MAX +
           SHARD_LINES * sizeof(struct shard_line) + 16 * 4096;
}

/* ---- open ---------------------------------------------------------------------------------- */

static int init_tables(struct shard *shard)
{
    struct arena *arena = &shard->arena;
    arena_budget(arena, "shard");
    shard->events = arena_alloc(arena, SHARD_EVENTS_MAX * sizeof(struct env_event), 64);
    shard->scratch = arena_alloc(arena, XD_BATCH_RAW_BYTES_MAX, 4096);
    shard->json = arena_alloc(arena, XD_ADMIN_REPLY_BYTES_MAX, 4096);
    shard->lines = arena_alloc(arena, SHARD_LINES * sizeof(struct shard_line), 64);
    if (shard->events == NULL || shard->scratch == NULL || shard->json == NULL ||
        shard->lines == NULL)
        return -ENOMEM;
    ring_init(&shard->lines_ring, SHARD_LINES);
    int status = catalog_init(&shard->catalog, arena, shard->options.facilities_max,
                              shard->options.partitions_max);
    catalog_set_shards(&shard->catalog, shard->options.log.shard_count);
    if (status == 0)
        status =
            session_init(&shard->sessions, arena, &shard->options.sessions, env_rand64(shard->env));
    if (status == 0)
        status = answers_init(shard);
    if (status == 0)
        status = readers_init(shard);
    if (status == 0)
        status = peers_init(shard);
    if (status == 0)
        status = net_init(shard->env, arena, &shard->counters, &shard->options.net, &shard->net);
    return status;
}

int shard_open(struct env *env, void *memory, uint64_t memory_bytes,
               const struct shard_options *options, struct shard **ret_shard, char *why)
{
    struct arena arena;
    arena_init(&arena, memory, memory_bytes);
    struct shard *shard = arena_alloc(&arena, sizeof *shard, 64);
    if (shard == NULL) {
        snprintf(why, XD_DETAIL_BYTES_MAX, "memory: %" PRIu64 " bytes are too few", memory_bytes);
        return -ENOMEM;
    }
    memset(shard, 0, sizeof *shard);
    shard->arena = arena;
    shard->env = env;
    shard->options = derived(options);
    *ret_shard = shard;

    int status = init_tables(shard);
    if (status < 0) {
        snprintf(why, XD_DETAIL_BYTES_MAX, "memory: the budgets do not fit %" PRIu64 " bytes",
                 memory_bytes);
        return status;
    }
    const uint8_t *state;
    uint64_t state_bytes;
    status = log_open(env, &shard->arena, &shard->counters, &shard->options.log, &shard->log,
                      &state, &state_bytes, why);
    if (status == 0 && state != NULL)
        status = fold_load(shard, state, state_bytes, why);
    return status;
}

int shard_recover_step(struct shard *shard, char *why)
{
    XD_ASSERT(shard->stage == STAGE_OPENED);
    XD_ASSERT(shard->waiting_count == 0);
    struct log_entry entry;
    for (uint32_t i = 0; i < RECOVER_ENTRIES; i++) {
        int status = log_recover_next(shard->log, &entry, why);
        if (status < 0)
            return status;
        if (status == 1) {
            status = fold_entry(shard, &entry, why);
            if (status < 0)
                return status;
            continue;
        }
        status = log_recover_end(shard->log, why);
        if (status < 0)
            return status;
        arena_seal(&shard->arena);
        shard->ready_ns = env_now_mono_ns(shard->env);
        log_uuid(shard->log, shard->cluster_id);
        shard->stage = STAGE_RECOVERED;
        lines_take_news(shard);
        return 0;
    }
    return 1;
}

uint32_t shard_recover_percent(const struct shard *shard)
{
    return shard->stage == STAGE_OPENED ? log_recover_percent(shard->log) : 100;
}

/* Topics of a new data folder. They become durable with the first block. */
static int make_topics(struct shard *shard, char *why)
{
    XD_ASSERT(shard->options.topic_count <= XD_TOPICS_MAX);
    if (shard->catalog.topic_count > 0)
        return 0;
    for (uint32_t i = 0; i < shard->options.topic_count; i++) {
        const struct shard_topic *topic = &shard->options.topics[i];
        struct xd_text name = {topic->name, (uint32_t)strlen(topic->name)};
        struct control_config entry;
        uint64_t index;
        int status =
            catalog_plan_topic(&shard->catalog, name, topic->strategy, topic->width, &entry);
        if (status == 0)
            continue;
        if (status == 1)
            status = fold_append_control(shard, CONTROL_CONFIG, &entry, sizeof entry, &index);
        const char *reason = "";
        if (status == 0)
            status = catalog_take(&shard->catalog, &entry, index, &reason);
        if (status < 0) {
            snprintf(why, XD_DETAIL_BYTES_MAX, "start-up topic '%s': %s", topic->name,
                     xd_status_text(status));
            return status;
        }
    }
    return 0;
}

uint32_t shard_messages_max(const struct shard_options *options)
{
    struct shard_options all = derived(options);
    return peers_messages_max(&all);
}

int shard_join(struct shard *shard, char *why)
{
    XD_ASSERT(shard->stage == STAGE_RECOVERED);
    shard->now_us = env_now_wall_us(shard->env);
    shard->stage = STAGE_JOINING;
    int status = shard->options.log.shard == 0 ? make_topics(shard, why) : 0;
    spread_join(shard);
    peers_flush(shard);
    return status;
}

bool shard_joined(const struct shard *shard)
{
    return shard->peers.joined;
}

const char *shard_trouble(const struct shard *shard)
{
    return shard->peers.status < 0 ? shard->peers.why : "";
}

int shard_listen(struct shard *shard, char (*ret_addresses)[ENV_ADDRESS_BYTES_MAX], char *why)
{
    int status = shard->stage == STAGE_RECOVERED ? shard_join(shard, why) : 0;
    XD_ASSERT(status < 0 || (shard->stage == STAGE_JOINING && shard->peers.joined));
    for (uint32_t i = 0; i < shard->options.address_count && status == 0; i++) {
        ret_addresses[i][0] = '\0';
        if (shard->options.addresses[i][0] == '\0')
            continue; /* another shard's */
        status = net_listen(shard->net, shard->options.addresses[i], ret_addresses[i]);
        if (status < 0) {
            snprintf(why, XD_DETAIL_BYTES_MAX, "cannot listen on %s: %s",
                     shard->options.addresses[i], xd_status_text(status));
            return status;
        }
    }
    if (status == 0)
        shard->stage = STAGE_SERVING;
    return status;
}
