/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections of the io_uring env: accept, receive, send, close.
 *
 * Normal path: a multishot accept fills slots of the connection table; a multishot receive lends
 * buffers; a send goes out as one sendmsg with MSG_WAITALL and continues where a short one stopped;
 * close cancels what is outstanding, and when the last operation has had its event the descriptor
 * is closed and CLOSE delivered.
 *
 * Failure paths: a full table refuses the connection; no free buffer ends the receive with
 * -ENOBUFS; a call on a handle that is not open is answered with -EBADF. Shutdown: descriptors are
 * closed after the ring, without events.
 *
 * A slot is reused only after its CLOSE event, and CLOSE comes only when the kernel holds nothing
 * of the connection, so no completion can meet a connection it does not belong to.
 */
#include "broker/io/uring_env.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

void uring_net_init(struct env_uring *uring)
{
    XD_ASSERT(uring->conns && uring->connections_max > 0);
    for (uint32_t i = 0; i < uring->connections_max; i++) {
        uring->conns[i].fd = -1;
        uring->conns[i].next_free = i + 1 < uring->connections_max ? i + 1 : OP_NONE;
    }
    uring->conn_free = 0;
}

void uring_net_close_all(struct env_uring *uring)
{
    for (uint32_t i = 0; uring->conns && i < uring->connections_max; i++) {
        if (uring->conns[i].fd >= 0)
            (void)close(uring->conns[i].fd); /* The peer learns of it either way. */
    }
}

/* --- handles ---------------------------------------------------------------------------------- */

static bool conn_is_open(const struct env_uring *uring, env_conn conn)
{
    return conn >= 0 && (uint32_t)conn < uring->connections_max && uring->conns[conn].in_use;
}

static uint32_t conn_op_index(const struct env_uring *uring, env_conn conn,
                              enum uring_conn_op which)
{
    return uring->ops.pool_count + URING_FIXED_CONN + (uint32_t)conn * URING_CONN_OPS +
           (uint32_t)which;
}

static struct op *conn_op(const struct env_uring *uring, env_conn conn, enum uring_conn_op which)
{
    return &uring->ops.table[conn_op_index(uring, conn, which)];
}

/* Answers a call on a handle that is not open. */
static void answer_closed(struct env_uring *uring, enum env_op kind, uint64_t token)
{
    op_ready(&uring->ops, op_take(&uring->ops, kind, -1, token), -EBADF);
}

/* --- accept ----------------------------------------------------------------------------------- */

void uring_net_accept(struct env *env, env_listener listener, uint64_t token)
{
    struct env_uring *uring = uring_of(env);
    if (!host_listener_is_open(&uring->host, listener)) {
        answer_closed(uring, ENV_OP_ACCEPT, token);
        return;
    }
    uint32_t index = uring->ops.pool_count + URING_FIXED_ACCEPT + (uint32_t)listener;
    struct op *op = op_start(&uring->ops, index, ENV_OP_ACCEPT, listener, token);
    struct io_uring_sqe *sqe = uring_sqe_for(uring, op);
    if (!sqe)
        return;
    io_uring_prep_multishot_accept(sqe, uring->host.listeners[listener].fd, NULL, NULL,
                                   SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, op_user_data(&uring->ops, op));
}

void uring_net_accept_stop(struct env *env, env_listener listener)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(listener >= 0 && (uint32_t)listener < HOST_LISTENERS_MAX);
    uint32_t index = uring->ops.pool_count + URING_FIXED_ACCEPT + (uint32_t)listener;
    uring_cancel(uring, &uring->ops.table[index]);
}

bool uring_accept_done(struct env_uring *uring, struct op *op, int32_t result, bool more,
                       struct env_event *ret_event)
{
    if (result >= 0 && uring->conn_free == OP_NONE) {
        (void)close(result); /* Refused: the table is full. */
        result = -EMFILE;
    } else if (result >= 0) {
        env_conn slot = (env_conn)uring->conn_free;
        struct uring_conn *conn = &uring->conns[slot];
        XD_ASSERT(!conn->in_use && conn->fd < 0);
        uring->conn_free = conn->next_free;
        *conn = (struct uring_conn){.fd = result, .next_free = OP_NONE, .in_use = true};
        result = slot;
    }
    op_finish(&uring->ops, op, result, more, ret_event);
    return true;
}

/* --- receive ---------------------------------------------------------------------------------- */

void uring_net_recv(struct env *env, env_conn conn, uint64_t token)
{
    struct env_uring *uring = uring_of(env);
    if (!conn_is_open(uring, conn)) {
        answer_closed(uring, ENV_OP_RECV, token);
        return;
    }
    XD_ASSERT(!uring->conns[conn].closing);
    struct op *op = op_start(&uring->ops, conn_op_index(uring, conn, URING_CONN_RECV), ENV_OP_RECV,
                             conn, token);
    /* Buffers that came back in this turn count, even if the entry is submitted early. */
    uring_buffers_publish(&uring->buffers);
    struct io_uring_sqe *sqe = uring_sqe_for(uring, op);
    if (!sqe)
        return;
    io_uring_prep_recv_multishot(sqe, uring->conns[conn].fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUFFER_GROUP;
    io_uring_sqe_set_data64(sqe, op_user_data(&uring->ops, op));
}

void uring_net_recv_stop(struct env *env, env_conn conn)
{
    struct env_uring *uring = uring_of(env);
    if (conn_is_open(uring, conn))
        uring_cancel(uring, conn_op(uring, conn, URING_CONN_RECV));
}

bool uring_recv_done(struct env_uring *uring, struct op *op, int32_t result, uint32_t flags,
                     struct env_event *ret_event)
{
    const uint8_t *data = NULL;
    uint16_t buffer = ENV_BUFFER_NONE;
    if (flags & IORING_CQE_F_BUFFER) {
        uint32_t id = flags >> IORING_CQE_BUFFER_SHIFT;
        if (result > 0) {
            data = uring_buffers_lend(&uring->buffers, id, (uint32_t)result);
            buffer = (uint16_t)id;
        } else {
            uring_buffers_skip(&uring->buffers, id);
        }
    }
    XD_ASSERT(result <= 0 || data);
    int32_t conn = op->handle;
    bool more = flags & IORING_CQE_F_MORE;
    op_finish(&uring->ops, op, result, more, ret_event);
    ret_event->data = data;
    ret_event->buffer = buffer;
    if (!more)
        uring_conn_settle(uring, conn, ENV_OP_RECV);
    return true;
}

void uring_buffer_release(struct env *env, uint16_t buffer)
{
    uring_buffers_release(&uring_of(env)->buffers, buffer);
}

uint32_t uring_buffers_free(struct env *env)
{
    const struct uring_buffers *buffers = &uring_of(env)->buffers;
    return buffers->count - buffers->lent_count;
}

/* --- send ------------------------------------------------------------------------------------- */

/* Queues what is left of a send. */
static void send_submit(struct env_uring *uring, struct uring_conn *conn, struct op *op)
{
    struct io_uring_sqe *sqe = uring_sqe_for(uring, op);
    if (!sqe)
        return;
    io_uring_prep_sendmsg(sqe, conn->fd, send_next(&conn->send), MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_data64(sqe, op_user_data(&uring->ops, op));
}

void uring_net_send(struct env *env, env_conn conn, const struct iovec *pieces,
                    uint32_t piece_count, uint64_t token)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(pieces && piece_count > 0);
    if (!conn_is_open(uring, conn)) {
        answer_closed(uring, ENV_OP_SEND, token);
        return;
    }
    struct uring_conn *slot = &uring->conns[conn];
    XD_ASSERT(!slot->closing);
    struct op *op = op_start(&uring->ops, conn_op_index(uring, conn, URING_CONN_SEND), ENV_OP_SEND,
                             conn, token);
    send_start(&slot->send, pieces, piece_count);
    send_submit(uring, slot, op);
}

bool uring_send_done(struct env_uring *uring, struct op *op, int32_t result,
                     struct env_event *ret_event)
{
    int32_t conn = op->handle;
    struct uring_conn *slot = &uring->conns[conn];
    /* With MSG_WAITALL a short count means a lost connection or a cancelled send, and older kernels
     * also stop short for other reasons: going on tells which. */
    if (result > 0) {
        if (!send_advance(&slot->send, (uint32_t)result) && !slot->closing) {
            send_submit(uring, slot, op);
            return false;
        }
        result = (int32_t)slot->send.sent;
    }
    op_finish(&uring->ops, op, result, false, ret_event);
    uring_conn_settle(uring, conn, ENV_OP_SEND);
    return true;
}

/* --- close ------------------------------------------------------------------------------------ */

void uring_net_close(struct env *env, env_conn conn, uint64_t token)
{
    struct env_uring *uring = uring_of(env);
    if (!conn_is_open(uring, conn)) {
        answer_closed(uring, ENV_OP_CLOSE, token);
        return;
    }
    XD_ASSERT(!uring->conns[conn].closing);
    uring->conns[conn].closing = true;
    (void)op_start(&uring->ops, conn_op_index(uring, conn, URING_CONN_CLOSE), ENV_OP_CLOSE, conn,
                   token);
    uring_cancel(uring, conn_op(uring, conn, URING_CONN_RECV));
    uring_cancel(uring, conn_op(uring, conn, URING_CONN_SEND));
    uring_conn_settle(uring, conn, ENV_OP_COUNT);
}

void uring_conn_settle(struct env_uring *uring, int32_t conn, enum env_op finished)
{
    XD_ASSERT(conn_is_open(uring, conn));
    struct uring_conn *slot = &uring->conns[conn];
    if (finished == ENV_OP_CLOSE) {
        XD_ASSERT(slot->fd < 0);
        slot->in_use = false;
        slot->next_free = uring->conn_free;
        uring->conn_free = (uint32_t)conn;
        return;
    }
    if (!slot->closing || conn_op(uring, conn, URING_CONN_RECV)->state != OP_FREE ||
        conn_op(uring, conn, URING_CONN_SEND)->state != OP_FREE)
        return;
    (void)close(slot->fd); /* Nothing to be done about an error; the peer is gone either way. */
    slot->fd = -1;
    op_ready(&uring->ops, conn_op(uring, conn, URING_CONN_CLOSE), 0);
}

void uring_net_peer(struct env *env, env_conn conn, char *ret_address)
{
    struct env_uring *uring = uring_of(env);
    host_peer_text(conn_is_open(uring, conn) ? uring->conns[conn].fd : -1, ret_address);
}

void uring_net_origin(struct env *env, env_conn conn, struct env_origin *ret_origin)
{
    struct env_uring *uring = uring_of(env);
    host_peer_origin(conn_is_open(uring, conn) ? uring->conns[conn].fd : -1, ret_origin);
}
