/* SPDX-License-Identifier: Apache-2.0
 *
 * The module's face: listeners, events, and the calls of net.h in terms of connections.
 *
 * Normal path and shutdown are described in net.h; what a connection goes through in conn.h, its
 * input in assemble.h, its output in output.h, scarce receive memory in relief.h. The calls about
 * other shards are in shards.c.
 * Failure paths here: an event whose connection is no more is dropped, with its buffer; an accept
 * that failed is started again after a pause, because its cause (descriptors, memory) may last.
 */
#include "broker/net/net.h"

#include "broker/net/net_state.h"
#include "broker/net/relief.h"
#include "broker/net/timeout.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

/* Pause before a failed accept is started again, in nanoseconds. */
#define ACCEPT_PAUSE_NS 100000000ull

/* Largest output chunk, in bytes; bigger output goes through large buffers. */
#define OUT_CHUNK_BYTES_MAX (1024u * 1024u)

/* Lent frames and relays at a time. */
#define CROSSING_MAX (1024u * 1024u)

/* Time-outs above a day are mistakes. */
#define TIMEOUT_MS_MAX (24u * 3600u * 1000u)

/* ---- start ----------------------------------------------------------------------------------- */

void net_options_init(struct net_options *options)
{
    *options = (struct net_options){
        .connections_max = 1024,
        .address_max = 4096,
        .strangers_max = 64,
        .frame_bytes_max = XD_FRAME_BYTES_DEFAULT_MAX,
        .out_chunk_bytes = 16 * 1024,
        .out_chunk_count = 1024,
        .out_chunks_per_conn = 16,
        .large_count = 16,
        .spill_count = 16,
        .recv_buffers_max = 4096,
        .frame_timeout_ms = 10000,
        .hello_timeout_ms = 5000,
        .send_timeout_ms = 30000,
    };
}

static bool within(uint32_t value, uint32_t min, uint32_t max)
{
    return value >= min && value <= max;
}

static bool options_valid(const struct net_options *options)
{
    return within(options->connections_max, 1, 65535) &&
           within(options->unix_reserve, 0, options->connections_max - 1) &&
           within(options->address_max, 0, 65535) && within(options->strangers_max, 0, 65535) &&
           within(options->frame_bytes_max, 1, XD_FRAME_BYTES_HARD_MAX) &&
           within(options->out_chunk_bytes, OUT_ALIGN, OUT_CHUNK_BYTES_MAX) &&
           options->out_chunk_bytes % OUT_ALIGN == 0 &&
           within(options->out_chunk_count, 1, 65536) &&
           within(options->out_chunks_per_conn, 1, 65536) &&
           within(options->large_count, 1, 1024) && within(options->spill_count, 1, 1024) &&
           within(options->recv_buffers_max, 1, ENV_BUFFER_NONE) &&
           within(options->frame_timeout_ms, 1, TIMEOUT_MS_MAX) &&
           within(options->hello_timeout_ms, 1, TIMEOUT_MS_MAX) &&
           within(options->send_timeout_ms, 1, TIMEOUT_MS_MAX) &&
           within(options->remote_max, 0, 65535 - options->connections_max) &&
           within(options->lents_max, 0, CROSSING_MAX) &&
           within(options->relays_max, 0, CROSSING_MAX);
}

uint64_t net_bytes_needed(const struct net_options *options)
{
    if (!options_valid(options))
        return 0; /* net_init says -EINVAL. */
    return conns_bytes_needed(options) + sizeof(struct net) + options->frame_bytes_max +
           2 * (uint64_t)POOL_ALIGN;
}

int net_init(struct env *env, struct arena *arena, struct counters *counters,
             const struct net_options *options, struct net **ret_net)
{
    XD_ASSERT(env != NULL && counters != NULL);
    if (!options_valid(options))
        return -EINVAL;
    arena_budget(arena, "net");
    struct net *net = arena_alloc(arena, sizeof(*net), POOL_ALIGN);
    uint8_t *scratch = arena_alloc(arena, options->frame_bytes_max, POOL_ALIGN);
    if (net == NULL || scratch == NULL)
        return -ENOMEM;
    *net = (struct net){.scratch = scratch};
    int status = conns_init(&net->conns, env, arena, counters, options);
    if (status < 0)
        return status;
    *ret_net = net;
    return 0;
}

static void accept_start(struct net *net, uint32_t index)
{
    struct listener *listener = &net->listeners[index];

    XD_ASSERT(!listener->armed && !net->closing);
    listener->armed = true;
    listener->retry_ns = UINT64_MAX;
    env_net_accept(net->conns.env, listener->handle,
                   env_token(ENV_OWNER_NET, CONN_TOKEN_ACCEPT, index));
}

int net_listen(struct net *net, const char *address, char *ret_address)
{
    env_listener handle;

    XD_ASSERT(!net->closing);
    if (net->listener_count == LISTENERS_MAX)
        return -ENOSPC;
    int status = env_net_listen(net->conns.env, address, &handle, ret_address);
    if (status < 0)
        return status;
    net->listeners[net->listener_count] = (struct listener){.handle = handle};
    accept_start(net, net->listener_count++);
    return 0;
}

/* ---- events ---------------------------------------------------------------------------------- */

static void count_refusal(struct net *net, enum net_refusal refusal)
{
    static const enum counter counters[NET_REFUSAL_COUNT] = {
        [NET_REFUSED_FULL] = COUNTER_connections_shed,
        [NET_REFUSED_ADDRESS] = COUNTER_connections_refused_address,
        [NET_REFUSED_HELLO] = COUNTER_connections_refused_hello,
        [NET_REFUSED_MEMORY] = COUNTER_connections_refused_memory,
    };

    XD_ASSERT(refusal > NET_TAKEN && refusal < NET_REFUSAL_COUNT);
    net->refused_counts[refusal]++;
    counters_add(net->conns.counters, counters[refusal], 1);
}

/* A connection that gets no slot is closed at once. */
static void refuse(struct net *net, env_conn handle)
{
    net->refusing_count++;
    env_net_close(net->conns.env, handle,
                  env_token(ENV_OWNER_NET, CONN_TOKEN_REFUSE, (uint64_t)handle));
}

static void accepted(struct net *net, const struct env_event *event)
{
    uint64_t index = env_token_value(event->token);

    XD_ASSERT(index < net->listener_count && net->listeners[index].armed);
    struct listener *listener = &net->listeners[index];
    /* -EMFILE: the env had no place for it and has closed it. */
    enum net_refusal refusal = event->result == -EMFILE ? NET_REFUSED_FULL : NET_TAKEN;
    if (event->result >= 0) {
        refusal = net->closing ? NET_REFUSED_FULL : conn_open(&net->conns, event->result);
        if (refusal != NET_TAKEN)
            refuse(net, event->result);
    }
    if (refusal != NET_TAKEN)
        count_refusal(net, refusal);
    if (event->more)
        return;
    listener->armed = false;
    if (net->closing)
        return;
    if (event->result >= 0)
        accept_start(net, (uint32_t)index);
    else
        listener->retry_ns = env_now_mono_ns(net->conns.env) + ACCEPT_PAUSE_NS;
}

void net_done(struct net *net, const struct env_event *event)
{
    struct conns *conns = &net->conns;
    uint8_t kind = env_token_kind(event->token);

    XD_ASSERT(env_token_owner(event->token) == ENV_OWNER_NET);
    XD_ASSERT(net->out == NULL);
    if (kind == CONN_TOKEN_ACCEPT) {
        accepted(net, event);
        return;
    }
    if (kind == CONN_TOKEN_REFUSE) {
        XD_ASSERT(net->refusing_count > 0);
        net->refusing_count--;
        return;
    }
    struct conn *conn = conn_find(conns, env_token_value(event->token));
    if (conn == NULL) {
        /* An env that keeps its contract sends nothing behind CLOSE. */
        if (event->buffer != ENV_BUFFER_NONE)
            env_buffer_release(conns->env, event->buffer);
        return;
    }
    if (kind == CONN_TOKEN_RECV)
        conn_received(conns, conn, event);
    else if (kind == CONN_TOKEN_SEND)
        conn_sent(conns, conn, event->result);
    else if (kind == CONN_TOKEN_CLOSE)
        conn_ended(conns, conn);
}

void net_tick(struct net *net)
{
    uint64_t now_ns = env_now_mono_ns(net->conns.env);

    XD_ASSERT(net->out == NULL);
    timeout_expire(&net->conns, now_ns);
    for (uint32_t i = 0; i < net->listener_count && !net->closing; i++) {
        if (!net->listeners[i].armed && net->listeners[i].retry_ns <= now_ns)
            accept_start(net, i);
    }
}

uint64_t net_deadline_ns(const struct net *net)
{
    uint64_t ns = timeout_next_ns(&net->conns);

    for (uint32_t i = 0; i < net->listener_count && !net->closing; i++) {
        if (!net->listeners[i].armed && net->listeners[i].retry_ns < ns)
            ns = net->listeners[i].retry_ns;
    }
    return ns;
}

/* ---- frames in ------------------------------------------------------------------------------- */

int net_frame_next(struct net *net, struct net_frame *ret_frame)
{
    XD_ASSERT(net->out == NULL);
    struct conn *conn = conn_next(&net->conns);
    if (conn == NULL)
        return 0;
    net->out = conn;
    *ret_frame = (struct net_frame){
        .head = conn->inbox.head,
        .conn = conn->id,
        .piece_count = conn->remote ? remote_pieces(&net->conns, conn)
                                    : inbox_pieces(&net->conns.assemble, &conn->inbox),
        .pieces = net->conns.assemble.iovecs,
    };
    return 1;
}

void net_frame_done(struct net *net)
{
    struct conn *conn = net->out;

    XD_ASSERT(conn != NULL);
    net->out = NULL;
    conn_frame_done(&net->conns, conn);
}

void net_frame_stall(struct net *net)
{
    struct conn *conn = net->out;

    XD_ASSERT(conn != NULL);
    net->out = NULL;
    conn_stall(&net->conns, conn);
}

void net_unstall(struct net *net)
{
    XD_ASSERT(net->out == NULL);
    conns_unstall(&net->conns);
}

void net_frame_copy(const struct net_frame *frame, uint32_t at, void *destination, uint32_t bytes)
{
    uint8_t *to = destination;

    XD_ASSERT(at <= frame->head.length);
    XD_ASSERT(bytes <= frame->head.length - at);
    for (uint32_t i = 0; i < frame->piece_count && bytes > 0; i++) {
        const struct iovec *piece = &frame->pieces[i];
        if (at >= piece->iov_len) {
            at -= (uint32_t)piece->iov_len;
            continue;
        }
        size_t left = piece->iov_len - at;
        uint32_t take = bytes < left ? bytes : (uint32_t)left;
        memcpy(to, (const uint8_t *)piece->iov_base + at, take);
        to += take;
        bytes -= take;
        at = 0;
    }
    XD_ASSERT(bytes == 0);
}

const uint8_t *net_frame_linear(struct net *net, const struct net_frame *frame)
{
    XD_ASSERT(net->out != NULL && net->out->id == frame->conn);
    XD_ASSERT(frame->head.length <= net->conns.options.frame_bytes_max);
    if (frame->piece_count == 1 && (uintptr_t)frame->pieces[0].iov_base % 8 == 0)
        return frame->pieces[0].iov_base;
    net_frame_copy(frame, 0, net->scratch, frame->head.length);
    return net->scratch;
}

void net_admit(struct net *net, net_id id)
{
    struct conn *conn = conn_alive(net, id);
    if (conn != NULL)
        conn_admit(&net->conns, conn);
}

/* ---- frames out ------------------------------------------------------------------------------ */

bool net_alive(const struct net *net, net_id id)
{
    return conn_alive(net, id) != NULL;
}

uint8_t *net_out_reserve(struct net *net, net_id id, uint32_t bytes)
{
    struct conn *conn = conn_alive(net, id);
    if (conn == NULL)
        return NULL;
    conn_touch(&net->conns, conn);
    return outbox_reserve(&net->conns.output, &conn->outbox, bytes);
}

void net_out_commit(struct net *net, net_id id, uint32_t bytes)
{
    struct conn *conn = conn_alive(net, id);
    if (conn != NULL)
        outbox_commit(&conn->outbox, bytes);
}

uint32_t net_large_bytes(const struct net *net)
{
    return net->conns.output.sizes.large_bytes;
}

uint8_t *net_large_acquire(struct net *net)
{
    return output_large_acquire(&net->conns.output);
}

void net_large_release(struct net *net, uint8_t *large)
{
    output_large_release(&net->conns.output, large);
}

bool net_large_room(const struct net *net, net_id id)
{
    const struct conn *conn = conn_alive(net, id);
    return conn == NULL || conn->outbox.large_count < LARGE_PER_CONN_MAX;
}

void net_large_send(struct net *net, net_id id, uint8_t *large, uint32_t bytes)
{
    struct conn *conn = conn_alive(net, id);
    if (conn == NULL) {
        output_large_release(&net->conns.output, large);
        return;
    }
    outbox_large_queue(&net->conns.output, &conn->outbox, large, bytes);
    conn_touch(&net->conns, conn);
}

void net_flush(struct net *net)
{
    XD_ASSERT(net->out == NULL);
    conns_flush(&net->conns);
    relief_turn(&net->conns);
}

/* ---- the rest -------------------------------------------------------------------------------- */

void net_close(struct net *net, net_id id)
{
    struct conn *conn = conn_alive(net, id);
    if (conn != NULL)
        conn_drain(&net->conns, conn, NET_CLOSE_BROKER, conn == net->out);
}

void net_peer(struct net *net, net_id id, char *ret_address)
{
    static const char gone[] = "(gone)";
    static const char remote[] = "(another shard)";
    const struct conn *conn = conn_find(&net->conns, id);

    if (conn == NULL || conn->state == CONN_ENDED)
        memcpy(ret_address, gone, sizeof(gone));
    else if (conn->remote)
        memcpy(ret_address, remote, sizeof(remote));
    else
        env_net_peer(net->conns.env, conn->handle, ret_address);
}

enum net_memory net_memory(const struct net *net)
{
    return net->conns.memory;
}

uint32_t net_slot(net_id conn)
{
    XD_ASSERT((conn & 0xffff) != 0);
    return conn & 0xffff;
}

uint32_t net_connections(const struct net *net)
{
    return net->conns.count;
}

void net_close_begin(struct net *net)
{
    struct conns *conns = &net->conns;

    if (net->closing)
        return;
    XD_ASSERT(net->listener_count <= LISTENERS_MAX);
    net->closing = true;
    for (uint32_t i = 0; i < net->listener_count; i++) {
        if (net->listeners[i].armed)
            env_net_accept_stop(conns->env, net->listeners[i].handle);
    }
    for (uint32_t i = 0; i < conns->options.connections_max; i++) {
        if (conns->table[i].state == CONN_OPEN)
            conn_drain(conns, &conns->table[i], NET_CLOSE_BROKER, &conns->table[i] == net->out);
    }
}

bool net_closed(const struct net *net)
{
    if (!net->closing || net->conns.count > 0 || net->refusing_count > 0)
        return false;
    if (lend_count(&net->conns.lend) > 0 || output_relay_count(&net->conns.output) > 0 ||
        net->conns.remotes.count > 0) /* a home may still send what lies here */
        return false;
    for (uint32_t i = 0; i < net->listener_count; i++) {
        if (net->listeners[i].armed)
            return false;
    }
    return true;
}
