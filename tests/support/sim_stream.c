/* SPDX-License-Identifier: Apache-2.0
 *
 * The process's end of a connection: receive into lent buffers, send out of the caller's pieces.
 *
 * Buffers that are not lent are poisoned under AddressSanitizer, and the pieces of a send are
 * hashed at its start and compared at its end: use outside the time of ownership is found.
 */
#include "tests/support/sim_world.h"
#include "wire/checksum.h"
#include "wire/xassert.h"

#include <errno.h>

/* ---- receive --------------------------------------------------------------------------------- */

static void recv_end(struct sim *sim, struct sim_conn *conn, int32_t result)
{
    conn->recv_armed = false;
    net_event(sim, ENV_OP_RECV, conn->recv_token, result, false);
}

/* Lends a buffer with `bytes` of what has arrived. */
static void recv_give(struct sim *sim, struct sim_conn *conn, size_t bytes)
{
    struct sim_net *net = &sim->net;
    uint16_t id = net->buffer_ids[--net->buffer_free];
    uint8_t *data = net->buffers + (size_t)id * net->buffer_bytes;
    struct env_event event = {.token = conn->recv_token,
                              .data = data,
                              .result = (int32_t)bytes,
                              .buffer = id,
                              .op = ENV_OP_RECV};

    XD_ASSERT(!net->buffer_lent[id]);
    net->buffer_lent[id] = true;
    buffer_unpoison(data, bytes);
    pipe_take(&conn->pipes[SIM_TO_BROKER], data, bytes);
    conn->recv_armed = !multishot_ends(sim);
    event.more = conn->recv_armed ? 1 : 0;
    sim_trace(sim, SIM_TRACE_EVENT, ENV_OP_RECV, event.token, bytes, xd_xxh3(data, bytes));
    sim_event(sim, &event);
}

/* Gives what has arrived, as far as buffers and the armed receive reach. */
void conn_recv_pump(struct sim *sim, struct sim_conn *conn)
{
    struct sim_pipe *pipe = &conn->pipes[SIM_TO_BROKER];
    uint32_t rate = sim->faults.rates.net_fragment;

    while (conn->recv_armed && pipe_readable(pipe) > 0) {
        size_t bytes = pipe_readable(pipe);

        if (sim->net.buffer_free == 0) {
            recv_end(sim, conn, -ENOBUFS);
            return;
        }
        if (bytes > sim->net.buffer_bytes)
            bytes = sim->net.buffer_bytes;
        if (rate > 0 && prng_chance(&sim->net.prng, rate))
            bytes = 1 + (size_t)prng_below(&sim->net.prng, bytes);
        recv_give(sim, conn, bytes);
    }
    if (conn->recv_armed && pipe->reset_arrived)
        recv_end(sim, conn, -ECONNRESET);
    else if (conn->recv_armed && pipe->end_arrived)
        recv_end(sim, conn, 0);
}

void env_sim_net_recv(struct env *env, env_conn handle, uint64_t token)
{
    struct sim *sim = sim_of(env);
    struct sim_conn *conn = net_conn(sim, handle);
    int32_t injected;

    if (!sim_op_begin(sim, SIM_OP_RECV))
        return;
    if (conn == NULL) {
        net_event(sim, ENV_OP_RECV, token, -EBADF, false);
        return;
    }
    XD_ASSERT(!conn->recv_armed && !conn->closing);
    conn->recv_armed = true;
    conn->recv_token = token;
    conn->recv_generation++;
    if (faults_inject(&sim->faults, SIM_OP_RECV, NULL, &injected)) {
        recv_end(sim, conn, injected);
    } else if (!conn->recv_task) {
        conn->recv_task = true;
        conn_task(sim, conn, SIM_TASK_RECV, sim_draw(&sim->net.prng, &sim->options.turn));
    }
}

void env_sim_net_recv_stop(struct env *env, env_conn handle)
{
    struct sim *sim = sim_of(env);
    struct sim_conn *conn = net_conn(sim, handle);

    if (sim->process.dead || conn == NULL || !conn->recv_armed)
        return;
    conn_task(sim, conn, SIM_TASK_RECV_STOP, sim_draw(&sim->net.prng, &sim->options.turn))
        ->net.generation = conn->recv_generation;
}

void env_sim_buffer_release(struct env *env, uint16_t buffer)
{
    struct sim *sim = sim_of(env);
    struct sim_net *net = &sim->net;

    if (sim->process.dead)
        return;
    XD_ASSERT(buffer < net->buffer_count);
    XD_ASSERT(net->buffer_lent[buffer]);
    net->buffer_lent[buffer] = false;
    net->buffer_ids[net->buffer_free++] = buffer;
    buffer_poison(net->buffers + (size_t)buffer * net->buffer_bytes, net->buffer_bytes);
}

uint32_t env_sim_buffers_free(struct env *env)
{
    return sim_of(env)->net.buffer_free;
}

/* ---- send ------------------------------------------------------------------------------------ */

static uint64_t pieces_hash(const struct iovec *pieces, uint32_t count, uint64_t *ret_bytes)
{
    uint64_t hash = 0;

    *ret_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        hash = xd_xxh3_seeded(pieces[i].iov_base, pieces[i].iov_len, hash);
        *ret_bytes += pieces[i].iov_len;
    }
    return hash;
}

static void send_end(struct sim *sim, struct sim_conn *conn, int32_t result)
{
    uint64_t bytes;

    /* Pieces belong to the env until this event. */
    XD_ASSERT(pieces_hash(conn->pieces, conn->piece_count, &bytes) == conn->send_hash);
    conn->send_armed = false;
    conn->pieces = NULL;
    net_event(sim, ENV_OP_SEND, conn->send_token, result, false);
}

/* Ends a send that cannot go on: what has left counts. */
static void send_break(struct sim *sim, struct sim_conn *conn, int32_t status)
{
    send_end(sim, conn, conn->sent > 0 ? (int32_t)conn->sent : status);
}

/* Moves as much as the window takes. */
void conn_send_pump(struct sim *sim, struct sim_conn *conn)
{
    struct sim_pipe *pipe = &conn->pipes[SIM_TO_CLIENT];

    if (conn->pipes[SIM_TO_BROKER].reset_arrived) {
        send_break(sim, conn, -ECONNRESET);
        return;
    }
    while (conn->piece_index < conn->piece_count) {
        const struct iovec *piece = &conn->pieces[conn->piece_index];
        size_t left = piece->iov_len - conn->piece_sent;
        size_t room = pipe_room(pipe);
        size_t part = left < room ? left : room;

        /* On a connection that is broken without the process knowing it the bytes are lost. */
        if (pipe->end_put)
            part = left;
        else if (part > 0)
            pipe_put(sim, conn, SIM_TO_CLIENT, (const uint8_t *)piece->iov_base + conn->piece_sent,
                     part);
        conn->sent += part;
        conn->piece_sent += part;
        if (part < left)
            return;
        conn->piece_index++;
        conn->piece_sent = 0;
    }
    XD_ASSERT(conn->sent == conn->send_bytes);
    send_end(sim, conn, (int32_t)conn->sent);
}

void conn_send_kick(struct sim *sim, struct sim_conn *conn)
{
    if (!conn->send_armed || conn->send_task)
        return;
    conn->send_task = true;
    conn_task(sim, conn, SIM_TASK_SEND, sim_draw(&sim->net.prng, &sim->options.turn));
}

void env_sim_net_send(struct env *env, env_conn handle, const struct iovec *pieces,
                      uint32_t piece_count, uint64_t token)
{
    struct sim *sim = sim_of(env);
    struct sim_conn *conn = net_conn(sim, handle);
    int32_t injected;

    XD_ASSERT(pieces != NULL && piece_count > 0);
    if (!sim_op_begin(sim, SIM_OP_SEND))
        return;
    if (conn == NULL) {
        net_event(sim, ENV_OP_SEND, token, -EBADF, false);
        return;
    }
    XD_ASSERT(!conn->send_armed && !conn->closing);
    conn->send_hash = pieces_hash(pieces, piece_count, &conn->send_bytes);
    XD_ASSERT(conn->send_bytes > 0 && conn->send_bytes <= INT32_MAX);
    conn->send_armed = true;
    conn->send_token = token;
    conn->pieces = pieces;
    conn->piece_count = piece_count;
    conn->piece_index = 0;
    conn->piece_sent = 0;
    conn->sent = 0;
    sim_trace(sim, SIM_TRACE_START, ENV_OP_SEND, (uint64_t)handle, conn->send_bytes,
              conn->send_hash);
    if (faults_inject(&sim->faults, SIM_OP_SEND, NULL, &injected))
        send_end(sim, conn, injected);
    else
        conn_send_kick(sim, conn);
}

/* ---- both ------------------------------------------------------------------------------------ */

void conn_recv_stop(struct sim *sim, struct sim_conn *conn, uint32_t generation)
{
    if (!conn->recv_armed || conn->recv_generation != generation)
        return;
    conn_recv_pump(sim, conn);
    if (conn->recv_armed)
        recv_end(sim, conn, -ECANCELED);
}

void conn_arrived(struct sim *sim, struct sim_conn *conn)
{
    if (conn->send_armed && conn->pipes[SIM_TO_BROKER].reset_arrived)
        send_break(sim, conn, -ECONNRESET);
    /* A RECV task on its way comes first, so that arming answers late as well. */
    if (conn->recv_armed && !conn->recv_task)
        conn_recv_pump(sim, conn);
}

void conn_cancel(struct sim *sim, struct sim_conn *conn)
{
    if (conn->recv_armed)
        recv_end(sim, conn, -ECANCELED);
    if (conn->send_armed)
        send_break(sim, conn, -ECANCELED);
}
