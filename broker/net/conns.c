/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of connections: its memory, the way from an id to a slot, and what must hold between
 * all of them; see conn.h.
 *
 * Slots of sockets come first, those of other shards' connections behind them.
 */
#include "broker/net/conn.h"

#include "wire/xassert.h"

#include <errno.h>

/* Chunks that hold `spill_count` frames of the largest size; one more each, because a frame may
 * begin inside a chunk. */
static uint32_t spill_chunks(const struct net_options *options)
{
    uint32_t frame = options->frame_bytes_max + XD_FRAME_HEADER_BYTES;
    return options->spill_count * ((frame + SPILL_CHUNK_BYTES - 1) / SPILL_CHUNK_BYTES + 1);
}

static struct output_sizes output_sizes(const struct net_options *options)
{
    return (struct output_sizes){
        .chunk_bytes = options->out_chunk_bytes,
        .chunk_count = options->out_chunk_count,
        .chunks_per_conn = options->out_chunks_per_conn,
        .large_bytes = options->frame_bytes_max + XD_FRAME_HEADER_BYTES,
        .large_count = options->large_count,
        .relay_count = options->relays_max,
    };
}

static uint32_t slot_count(const struct net_options *options)
{
    return options->connections_max + options->remote_max;
}

uint64_t conns_bytes_needed(const struct net_options *options)
{
    struct output_sizes sizes = output_sizes(options);
    uint32_t chunks = spill_chunks(options);
    return assemble_bytes_needed(options->recv_buffers_max, chunks) +
           lend_bytes_needed(options->lents_max, options->recv_buffers_max + chunks) +
           remotes_bytes_needed(options->remote_max) + output_bytes_needed(&sizes) +
           origins_bytes_needed(options->connections_max) +
           slot_count(options) * sizeof(struct conn) + POOL_ALIGN;
}

/* What one connection may have of something that all share. */
static uint32_t share_of_one(uint32_t count)
{
    return count < 64 ? 4 : count / 16;
}

/* Lent frames may take half of the receive buffers and of the spill memory, so that a shard that
 * does not come to read them leaves the others' connections the rest. */
static int lends_init(struct conns *conns, struct arena *arena)
{
    uint32_t share = share_of_one(conns->options.lents_max);
    const struct lend_limits limits = {
        .frames_max = conns->options.lents_max,
        .conn_frames_max = share < UINT16_MAX ? (uint16_t)share : UINT16_MAX,
        .buffers_max = conns->buffer_count / 2,
        .chunks_max = conns->assemble.chunks.element_count / 2,
        .conn_bytes_max = CONN_HELD_BYTES_MAX,
        .conn_buffers_max = conns->held_buffers_max,
    };

    XD_ASSERT(conns->held_buffers_max > 0 && conns->assemble.iovec_count > 0);
    return lend_init(&conns->lend, arena, conns->assemble.iovec_count, &limits);
}

static void slots_init(struct conns *conns)
{
    for (uint32_t i = 0; i < conns->slot_count; i++) {
        struct conn *conn = &conns->table[i];
        bool remote = i >= conns->options.connections_max;
        *conn = (struct conn){.id = 1u << 16 | (i + 1), .remote = remote};
        outbox_init(&conn->outbox);
        list_push_back(conns_free_list(conns, remote), &conn->place_node);
    }
}

int conns_init(struct conns *conns, struct env *env, struct arena *arena, struct counters *counters,
               const struct net_options *options)
{
    struct output_sizes sizes = output_sizes(options);
    uint32_t buffers = env_buffers_free(env);

    if (buffers == 0 || buffers > options->recv_buffers_max)
        return -EINVAL;
    *conns = (struct conns){
        .env = env, .counters = counters, .options = *options, .slot_count = slot_count(options)};
    conns->table = arena_alloc(arena, slot_count(options) * sizeof(struct conn), POOL_ALIGN);
    int status = assemble_init(&conns->assemble, env, arena, options->recv_buffers_max,
                               spill_chunks(options));
    if (status == 0)
        status = output_init(&conns->output, arena, &sizes);
    if (status == 0)
        status = remotes_init(&conns->remotes, arena, options->remote_max);
    /* Nobody outside knows the clock of the start to the nanosecond. */
    if (status == 0)
        status = origins_init(&conns->origins, arena, options, env_now_mono_ns(env));
    if (status < 0 || conns->table == NULL)
        return -ENOMEM;

    conns->free_count = options->connections_max;
    conns->buffer_count = buffers;
    conns->buffers_low = buffers < 4 ? 1 : buffers / 4;
    conns->held_buffers_max = share_of_one(buffers);
    status = lends_init(conns, arena);
    if (status < 0)
        return status;
    for (unsigned place = 0; place < CONN_PLACE_COUNT; place++)
        list_init(&conns->places[place]);
    list_init(&conns->hello);
    list_init(&conns->sending);
    list_init(&conns->flush);
    list_init(&conns->starved);
    list_init(&conns->held);
    list_init(&conns->news);
    slots_init(conns);
    return 0;
}

struct conn *conn_find(const struct conns *conns, uint64_t id)
{
    uint64_t slot = id & 0xffff;

    if (slot == 0 || slot > conns->slot_count)
        return NULL;
    struct conn *conn = &conns->table[slot - 1];
    return conn->id == id && conn->state != CONN_FREE ? conn : NULL;
}

void conns_check(const struct conns *conns)
{
    uint32_t count = 0;
    uint32_t remote_count = 0;
    uint32_t lent = 0;
    uint32_t free_count = 0;

    for (uint32_t i = 0; i < conns->slot_count; i++) {
        const struct conn *conn = &conns->table[i];
        bool live = conn->state == CONN_OPEN || conn->state == CONN_DRAINING;
        XD_ASSERT(conn->remote == (i >= conns->options.connections_max));
        if (conn->remote) {
            remote_count += live || conn->state == CONN_CLOSING;
            remote_check(conns, conn);
        } else {
            count += live || conn->state == CONN_CLOSING;
            lent += conn->inbox.lent_count;
            free_count += conn->state == CONN_FREE;
            inbox_check(&conn->inbox);
            XD_ASSERT(list_linked(&conn->send_node) == (live && outbox_flying(&conn->outbox)));
        }
        XD_ASSERT((conn->id & 0xffff) == i + 1 && conn->id >> 16 != 0);
        XD_ASSERT(list_linked(&conn->news_node) == (conn->news != 0));
        XD_ASSERT(list_linked(&conn->starved_node) ==
                  (conn->recv == CONN_RECV_STARVED || conn->recv == CONN_RECV_HELD));
        XD_ASSERT(live || (conn->inbox.first == NULL && conn->place == CONN_PLACE_NONE));
        XD_ASSERT(list_linked(&conn->place_node) ==
                  (conn->place != CONN_PLACE_NONE || conn->state == CONN_FREE));
    }
    XD_ASSERT(count == conns->count);
    XD_ASSERT(free_count == conns->free_count);
    XD_ASSERT(remote_count == conns->remotes.count);
    lend_check(&conns->lend, &conns->assemble, lent);
    list_check(&conns->remotes.returned);
    for (unsigned place = 0; place < CONN_PLACE_COUNT; place++)
        list_check(&conns->places[place]);
}
