/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages between shards; see peers.h.
 *
 * What bounds them, from one shard to one other: its lent frames and those of the other that it
 * gives back; an end for each connection that has lent a frame since the other last looked; an
 * output, an answer to one and a close for each connection, and a close for each frame that found
 * no room; and a handful for catalog and stop. So a ring of peers_messages_max() is never full.
 */
#include "broker/shard/peers.h"

#include "broker/shard/state.h"
#include "wire/frame.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

/* Extents, entries, joined, drained: one of each at a time. */
#define MESSAGES_EXTRA 16u

static uint64_t slots_of(const struct shard_options *options)
{
    return options->net.connections_max + 1u;
}

uint64_t peers_bytes_needed(const struct shard_options *options)
{
    uint64_t count = options->log.shard_count;
    if (count == 1)
        return 0;
    return count * (sizeof(struct peer) + slots_of(options) * (sizeof(net_id) + sizeof(uint64_t))) +
           (2 * count + 1) * 64;
}

uint32_t peers_messages_max(const struct shard_options *options)
{
    return 4 * options->net.lents_max + 3 * options->net.connections_max + MESSAGES_EXTRA;
}

int peers_init(struct shard *shard)
{
    const struct shard_options *options = &shard->options;
    struct peers *peers = &shard->peers;
    uint64_t slots = slots_of(options);
    peers->count = options->log.shard_count;
    if (peers->count == 1)
        return 0;
    arena_budget(&shard->arena, "peers");
    peers->table = arena_alloc(&shard->arena, peers->count * sizeof(struct peer), 64);
    if (peers->table == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < peers->count; i++) {
        struct peer *peer = &peers->table[i];
        *peer = (struct peer){.remotes = arena_alloc(&shard->arena, slots * sizeof(net_id), 64),
                              .acked = arena_alloc(&shard->arena, slots * sizeof(uint64_t), 64)};
        if (peer->remotes == NULL || peer->acked == NULL)
            return -ENOMEM;
        memset(peer->remotes, 0, slots * sizeof(net_id));
        memset(peer->acked, 0, slots * sizeof(uint64_t));
    }
    link_open(options->links, options->log.shard, &peers->end);
    XD_ASSERT(peers->end.shard_count == peers->count);
    return 0;
}

static void post(struct shard *shard, uint32_t to, const struct link_message *message)
{
    XD_ASSERT(to != shard->options.log.shard && to < shard->peers.count);
    link_post(&shard->peers.end, to, message);
}

/* ---- at the connection's home ---------------------------------------------------------------- */

int peers_forward(struct shard *shard, uint32_t to)
{
    struct net_lent *lent = net_frame_lend(shard->net);
    if (lent == NULL)
        return -EAGAIN;
    struct connection *connection = shard_connection(shard, lent->conn);
    XD_ASSERT(connection != NULL && connection->home == shard->options.log.shard);
    connection->known_to |= UINT64_C(1) << to;
    post(shard, to, &(struct link_message){.kind = PEERS_FRAME, .data = lent});
    return PEERS_FORWARDED;
}

void peers_begin(struct shard *shard, struct connection *connection)
{
    connection->home = shard->options.log.shard;
    for (uint32_t i = 0; i < shard->peers.count && shard->peers.count > 1; i++)
        shard->peers.table[i].acked[net_slot(connection->id)] = 0;
}

/* Credit counts per connection, and several shards may give it back: each tells its own sum, and
 * the client is told the sum of all. */
static void add_up_credit(struct connection *connection, uint64_t *told, const struct iovec *piece)
{
    uint8_t *bytes = piece->iov_base;
    size_t at = 0;
    while (at < piece->iov_len) {
        struct xd_frame frame;
        int head =
            xd_frame_decode(bytes + at, piece->iov_len - at, XD_FRAME_BYTES_HARD_MAX, &frame);
        XD_ASSERT(head == (int)XD_FRAME_HEADER_BYTES);
        XD_ASSERT(frame.length <= piece->iov_len - at - XD_FRAME_HEADER_BYTES);
        if (frame.op == XD_OP_ACK) {
            struct xd_ack_head *ack =
                (struct xd_ack_head *)(void *)(bytes + at + XD_FRAME_HEADER_BYTES);
            XD_ASSERT(ack->acked_bytes >= *told);
            connection->acked_bytes += ack->acked_bytes - *told;
            *told = ack->acked_bytes;
            ack->acked_bytes = connection->acked_bytes;
        }
        at += XD_FRAME_HEADER_BYTES + frame.length;
    }
    XD_ASSERT(at == piece->iov_len);
}

static void take_output(struct shard *shard, uint32_t from, const struct link_message *message)
{
    struct connection *connection = shard_connection(shard, message->conn);
    const struct iovec *pieces = message->data;
    uint64_t cookie = (uint64_t)from << 32 | message->remote;
    XD_ASSERT(message->count > 0 && message->count <= NET_RELAY_PIECES_MAX);
    if (connection != NULL && net_alive(shard->net, message->conn)) {
        uint64_t *told = &shard->peers.table[from].acked[net_slot(message->conn)];
        for (uint32_t i = 0; i < message->count; i++)
            add_up_credit(connection, told, &pieces[i]);
        if (net_relay(shard->net, message->conn, pieces, message->count, cookie))
            return;
    }
    post(shard, from, &(struct link_message){.kind = PEERS_SENT, .remote = message->remote});
}

/* ---- at the owner ---------------------------------------------------------------------------- */

/* A connection of another shard, at its first frame. */
static net_id remote_begin(struct shard *shard, uint32_t home, net_id home_conn)
{
    net_id id;
    if (net_remote_open(shard->net, &id) < 0)
        return 0;
    struct connection *connection = shard_connection_open(shard, id);
    connection->greeted = true;
    connection->home = home;
    connection->home_conn = home_conn;
    return id;
}

static void take_frame(struct shard *shard, uint32_t from, struct net_lent *lent)
{
    net_id *remote = &shard->peers.table[from].remotes[net_slot(lent->conn)];
    if (*remote == 0)
        *remote = remote_begin(shard, from, lent->conn);
    if (*remote == 0) { /* former connections still send: it has to come again */
        post(shard, from, &(struct link_message){.kind = PEERS_RETURN, .data = lent});
        post(shard, from, &(struct link_message){.kind = PEERS_CLOSE, .conn = lent->conn});
        counters_add(&shard->counters, COUNTER_connections_shed, 1);
        return;
    }
    net_remote_frame(shard->net, *remote, lent);
}

/* The number stays until then, so that no frame behind a close opens the connection anew. */
static void take_gone(struct shard *shard, uint32_t from, net_id home_conn)
{
    net_id *remote = &shard->peers.table[from].remotes[net_slot(home_conn)];
    if (*remote != 0)
        net_remote_gone(shard->net, *remote);
    *remote = 0;
}

void peers_gone(struct shard *shard, const struct connection *connection, bool by_us)
{
    if (connection->home != shard->options.log.shard) {
        if (by_us)
            post(shard, connection->home,
                 &(struct link_message){.kind = PEERS_CLOSE, .conn = connection->home_conn});
        return;
    }
    for (uint32_t i = 0; connection->known_to >> i != 0; i++)
        if (connection->known_to >> i & 1u)
            post(shard, i, &(struct link_message){.kind = PEERS_GONE, .conn = connection->id});
}

/* ---- both ------------------------------------------------------------------------------------ */

static void take_message(struct shard *shard, uint32_t from, const struct link_message *message)
{
    /* What is lent may be read by all and given back by whoever has it. */
    struct net_lent *lent = (struct net_lent *)(uintptr_t)message->data;
    switch ((enum peers_message)message->kind) {
    case PEERS_FRAME:
        take_frame(shard, from, lent);
        return;
    case PEERS_RETURN:
        net_lent_return(shard->net, lent);
        shard->peers.returned = true;
        return;
    case PEERS_OUTPUT:
        take_output(shard, from, message);
        return;
    case PEERS_SENT:
        XD_ASSERT(shard->peers.outputs > 0);
        shard->peers.outputs--;
        net_remote_sent(shard->net, message->remote);
        return;
    case PEERS_GONE:
        take_gone(shard, from, message->conn);
        return;
    case PEERS_CLOSE:
        net_close(shard->net, message->conn);
        return;
    case PEERS_EXTENT:
        spread_take_extent(shard, from, message);
        return;
    case PEERS_ENTRY:
        spread_take_entry(shard, message);
        return;
    case PEERS_JOINED:
        spread_take_joined(shard, message);
        return;
    case PEERS_DRAINED:
        shard->peers.table[from].drained = true;
        return;
    }
    XD_ASSERT(false); /* shards of one program speak one language */
}

void peers_take(struct shard *shard)
{
    struct link_message message;
    uint32_t from;
    shard->peers.returned = false;
    if (shard->peers.count == 1)
        return;
    while (link_take(&shard->peers.end, &from, &message))
        take_message(shard, from, &message);
}

static void ring_bells(struct shard *shard, uint64_t sleepers)
{
    for (uint32_t i = 0; sleepers >> i != 0; i++)
        if (sleepers >> i & 1u)
            env_bell(shard->env, i);
}

void peers_flush(struct shard *shard)
{
    struct net_lent *lent;
    const struct iovec *pieces;
    uint64_t cookie;
    uint32_t count;
    net_id id;
    if (shard->peers.count == 1)
        return;
    while (net_remote_output_next(shard->net, &id, &pieces, &count)) {
        const struct connection *connection = shard_connection(shard, id);
        shard->peers.outputs++;
        post(shard, connection->home,
             &(struct link_message){.kind = PEERS_OUTPUT,
                                    .conn = connection->home_conn,
                                    .remote = id,
                                    .count = (uint16_t)count,
                                    .data = pieces});
    }
    /* Behind the output: a client that has ended its side is closed when its last frame is back. */
    while (net_remote_done_next(shard->net, &lent))
        post(shard, lent->home, &(struct link_message){.kind = PEERS_RETURN, .data = lent});
    while (net_relay_next(shard->net, &cookie))
        post(shard, (uint32_t)(cookie >> 32),
             &(struct link_message){.kind = PEERS_SENT, .remote = (uint32_t)cookie});
    ring_bells(shard, link_publish(&shard->peers.end));
}

bool peers_sleep(struct shard *shard)
{
    return shard->peers.count == 1 || link_sleep(&shard->peers.end);
}

void peers_wake(struct shard *shard)
{
    if (shard->peers.count > 1)
        link_wake(&shard->peers.end);
}

/* ---- stop ------------------------------------------------------------------------------------ */

bool peers_drain(struct shard *shard)
{
    struct peers *peers = &shard->peers;
    if (peers->count == 1)
        return true;
    if (peers->outputs > 0)
        return false;
    for (uint32_t i = 0; i < peers->count && !peers->drained; i++)
        if (i != shard->options.log.shard)
            post(shard, i, &(struct link_message){.kind = PEERS_DRAINED});
    peers->drained = true;
    for (uint32_t i = 0; i < peers->count; i++)
        if (i != shard->options.log.shard && !peers->table[i].drained)
            return false;
    return true;
}
