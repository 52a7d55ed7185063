/* SPDX-License-Identifier: Apache-2.0
 *
 * One catalog for all shards. Shard 0 decides and writes first; what is durable there is brought to
 * each of the others, one entry at a time, which writes the same entry into its own log and tells
 * how far it is when that is durable. So a shard is never ahead of shard 0, and each rebuilds its
 * catalog from its own log alone.
 *
 * At the start all tell what they have, and nobody serves before all have the same (joined). A
 * shard that has what shard 0 never had proves that folders were mixed up or restored from
 * different days: the start stops. With one shard nothing is to be done.
 */
#include "broker/shard/peers.h"

#include "broker/shard/state.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

static void tell_extent(struct shard *shard)
{
    struct catalog_extent extent = catalog_extent(&shard->catalog);
    struct link_message message = {.kind = PEERS_EXTENT,
                                   .conn = extent.topic_count,
                                   .remote = extent.facility_count,
                                   .number = extent.partition_count};
    XD_ASSERT(shard->options.log.shard != 0);
    link_post(&shard->peers.end, 0, &message);
}

void spread_join(struct shard *shard)
{
    if (shard->options.log.shard != 0) {
        tell_extent(shard);
        return;
    }
    if (shard->peers.count == 1)
        shard->peers.joined = true;
}

/* ---- shard 0 --------------------------------------------------------------------------------- */

void spread_take_extent(struct shard *shard, uint32_t from, const struct link_message *message)
{
    struct peer *peer = &shard->peers.table[from];
    XD_ASSERT(shard->options.log.shard == 0 && peer->told == peer->asked);
    peer->extent = (struct catalog_extent){.topic_count = message->conn,
                                           .facility_count = message->remote,
                                           .partition_count = message->number};
    peer->told = true;
    peer->asked = false;
}

/* Brings a peer the next entry that it lacks. True when it lacks none. */
static bool bring(struct shard *shard, uint32_t to)
{
    struct peer *peer = &shard->peers.table[to];
    if (!peer->told || peer->asked)
        return false;
    int status = catalog_entry_after(&shard->catalog, &peer->extent, &peer->entry);
    if (status < 0) {
        shard->peers.status = status;
        shard->peers.why = "a shard has topics or facilities that shard 0 never had: the folders "
                           "are of different brokers, or were restored from different days";
    } else if (status == 1) {
        peer->asked = true;
        link_post(&shard->peers.end, to,
                  &(struct link_message){.kind = PEERS_ENTRY, .data = &peer->entry});
    }
    return status == 0;
}

/* What a crash could still take away is not brought to anybody. */
static void bring_all(struct shard *shard)
{
    struct peers *peers = &shard->peers;
    bool equal = true;
    if (!shard_catalog_settled(shard) || peers->status < 0)
        return;
    for (uint32_t i = 1; i < peers->count; i++)
        equal = bring(shard, i) && equal;
    if (!equal || peers->joined)
        return;
    peers->joined = true;
    for (uint32_t i = 1; i < peers->count; i++)
        link_post(&peers->end, i,
                  &(struct link_message){.kind = PEERS_JOINED, .data = shard->cluster_id});
}

bool spread_reached(const struct shard *shard, uint64_t epoch)
{
    const struct peers *peers = &shard->peers;
    for (uint32_t i = 1; i < peers->count; i++) {
        const struct catalog_extent *extent = &peers->table[i].extent;
        if (extent->topic_count + (uint64_t)extent->facility_count < epoch)
            return false;
    }
    return true;
}

/* ---- the others ------------------------------------------------------------------------------ */

/* The entry is taken in when it is appended, as shard 0 does. */
void spread_append(struct shard *shard)
{
    struct peers *peers = &shard->peers;
    const char *why = "";
    if (peers->config == NULL || shard->stage >= STAGE_STOPPING)
        return;
    XD_ASSERT(shard->options.log.shard != 0 && peers->config_index == 0);
    int status = fold_append_control(shard, CONTROL_CONFIG, peers->config, sizeof *peers->config,
                                     &peers->config_index);
    if (status < 0) {
        peers->config_index = 0;
        return; /* no room, or fenced: later, or in the next life */
    }
    status = catalog_take(&shard->catalog, peers->config, peers->config_index, &why);
    if (status < 0) {
        peers->status = status;
        peers->why = why;
    }
    peers->config = NULL;
}

void spread_take_entry(struct shard *shard, const struct link_message *message)
{
    XD_ASSERT(shard->options.log.shard != 0 && shard->peers.config == NULL);
    XD_ASSERT(shard->peers.config_index == 0);
    shard->peers.config = message->data;
}

void spread_take_joined(struct shard *shard, const struct link_message *message)
{
    XD_ASSERT(shard->options.log.shard != 0 && !shard->peers.joined);
    memcpy(shard->cluster_id, message->data, sizeof shard->cluster_id);
    shard->peers.joined = true;
}

void spread_turn(struct shard *shard)
{
    struct peers *peers = &shard->peers;
    if (peers->count == 1 || shard->stage >= STAGE_STOPPING)
        return;
    if (shard->options.log.shard == 0) {
        bring_all(shard);
        return;
    }
    if (peers->config_index != 0 && peers->config_index <= log_durable_index(shard->log)) {
        peers->config_index = 0;
        tell_extent(shard);
    }
}
