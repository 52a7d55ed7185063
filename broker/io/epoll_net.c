/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections of the epoll env: accept, receive, send, close.
 *
 * Normal path: a listener that has something is accepted from, one connection per event; a
 * connection that has something and an armed receive stands in the list of those due, and one
 * receive into a free buffer is one event; a send is tried at once and goes on when the kernel says
 * that there is room again; close ends what is outstanding and the descriptor at once.
 *
 * Failure paths: a full table refuses the connection; no free buffer ends the receive with
 * -ENOBUFS; a call on a handle that is not open is answered with -EBADF. Shutdown: descriptors are
 * closed without events.
 *
 * A slot is reused only after its CLOSE event. What the kernel has told about a descriptor is noted
 * before anything can close one (see epoll_turn.c), so no news can meet a connection that it does
 * not belong to.
 */
#include "broker/io/epoll_env.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONN_WATCHED ((uint32_t)EPOLLIN | (uint32_t)EPOLLRDHUP | (uint32_t)EPOLLET)

/* Connections that were gone before they were accepted, as a bound for one call. */
#define ABORTED_MAX 64u

void epoll_net_init(struct env_epoll *epoll)
{
    XD_ASSERT(epoll->conns && epoll->connections_max > 0);
    for (uint32_t i = 0; i < epoll->connections_max; i++) {
        epoll->conns[i].fd = -1;
        epoll->conns[i].next_free = i + 1 < epoll->connections_max ? i + 1 : OP_NONE;
    }
    epoll->conn_free = 0;
    list_init(&epoll->due);
}

void epoll_net_close_all(struct env_epoll *epoll)
{
    for (uint32_t i = 0; epoll->conns && i < epoll->connections_max; i++) {
        if (epoll->conns[i].fd >= 0)
            (void)close(epoll->conns[i].fd); /* The peer learns of it either way. */
    }
}

/* --- handles ---------------------------------------------------------------------------------- */

static bool conn_is_open(const struct env_epoll *epoll, env_conn conn)
{
    return conn >= 0 && (uint32_t)conn < epoll->connections_max && epoll->conns[conn].in_use;
}

static uint32_t conn_op_index(const struct env_epoll *epoll, env_conn conn,
                              enum epoll_conn_op which)
{
    return epoll->ops.pool_count + EPOLL_FIXED_CONN + (uint32_t)conn * EPOLL_CONN_OPS +
           (uint32_t)which;
}

static struct op *conn_op(const struct env_epoll *epoll, env_conn conn, enum epoll_conn_op which)
{
    return &epoll->ops.table[conn_op_index(epoll, conn, which)];
}

static struct op *accept_op(const struct env_epoll *epoll, uint32_t listener)
{
    return &epoll->ops.table[epoll->ops.pool_count + EPOLL_FIXED_ACCEPT + listener];
}

/* Answers a call on a handle that is not open. */
static void answer_closed(struct env_epoll *epoll, enum env_op kind, uint64_t token)
{
    op_ready(&epoll->ops, op_take(&epoll->ops, kind, -1, token), -EBADF);
}

/* --- listen and accept ------------------------------------------------------------------------ */

int epoll_net_listen(struct env *env, const char *address, env_listener *ret_listener,
                     char *ret_address)
{
    struct env_epoll *epoll = epoll_of(env);
    env_listener listener = -1;
    int status = host_net_listen(env, address, &listener, ret_address);
    if (status < 0)
        return status;
    int fd = epoll->host.listeners[listener].fd;
    /* An edge is told once: accepting until there is no more must not block. */
    status = fcntl(fd, F_SETFL, O_NONBLOCK) != 0 ? -errno : 0;
    if (status == 0)
        status = epoll_watch_add(epoll, fd, EPOLL_WATCH_LISTENER, (uint32_t)listener);
    if (status < 0) {
        host_listener_close(&epoll->host, listener);
        return status;
    }
    *ret_listener = listener;
    return 0;
}

void epoll_net_accept(struct env *env, env_listener listener, uint64_t token)
{
    struct env_epoll *epoll = epoll_of(env);
    if (!host_listener_is_open(&epoll->host, listener)) {
        answer_closed(epoll, ENV_OP_ACCEPT, token);
        return;
    }
    uint32_t index = epoll->ops.pool_count + EPOLL_FIXED_ACCEPT + (uint32_t)listener;
    (void)op_start(&epoll->ops, index, ENV_OP_ACCEPT, listener, token);
}

void epoll_net_accept_stop(struct env *env, env_listener listener)
{
    struct env_epoll *epoll = epoll_of(env);
    XD_ASSERT(listener >= 0 && (uint32_t)listener < HOST_LISTENERS_MAX);
    struct op *op = accept_op(epoll, (uint32_t)listener);
    if (op->state == OP_STARTED)
        op_ready(&epoll->ops, op, -ECANCELED);
}

bool epoll_accept_due(const struct env_epoll *epoll)
{
    for (uint32_t i = 0; epoll->listeners_due >> i; i++) {
        if (epoll->listeners_due >> i & 1 && accept_op(epoll, i)->state == OP_STARTED)
            return true;
    }
    return false;
}

/* The next connection's descriptor, or -errno; -EAGAIN: none is left. */
static int accept_one(int listener_fd)
{
    for (uint32_t i = 0; i < ABORTED_MAX; i++) {
        int fd = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0)
            return fd;
        if (errno != ECONNABORTED && errno != EINTR)
            return -errno;
    }
    return -ECONNABORTED; /* The caller of net_accept() starts again. */
}

/* Gives an accepted descriptor a slot; the slot, or -errno with the descriptor closed. */
static int slot_take(struct env_epoll *epoll, int fd)
{
    if (epoll->conn_free == OP_NONE) {
        (void)close(fd); /* Refused: the table is full. */
        return -EMFILE;
    }
    uint32_t slot = epoll->conn_free;
    struct epoll_conn *conn = &epoll->conns[slot];
    XD_ASSERT(!conn->in_use && conn->fd < 0 && !list_linked(&conn->due));
    int status = epoll_watch_add(epoll, fd, EPOLL_WATCH_CONN, slot);
    if (status < 0) {
        (void)close(fd); /* Refused: the kernel cannot watch it. */
        return status;
    }
    epoll->conn_free = conn->next_free;
    *conn = (struct epoll_conn){.fd = fd, .next_free = OP_NONE, .in_use = true};
    return (int)slot;
}

bool epoll_accept_next(struct env_epoll *epoll, struct env_event *ret_event)
{
    uint32_t listener = 0;
    while (!(epoll->listeners_due >> listener & 1) ||
           accept_op(epoll, listener)->state != OP_STARTED)
        listener++;
    XD_ASSERT(listener < HOST_LISTENERS_MAX);
    int fd = accept_one(epoll->host.listeners[listener].fd);
    if (fd == -EAGAIN) {
        epoll->listeners_due &= ~(1u << listener);
        return false;
    }
    /* Whatever else fails leaves the connection in the kernel's queue: the accept ends, and the
     * caller decides when to try again. */
    int result = fd < 0 ? fd : slot_take(epoll, fd);
    op_finish(&epoll->ops, accept_op(epoll, listener), result, fd >= 0, ret_event);
    return true;
}

/* --- receive ---------------------------------------------------------------------------------- */

/* In the list when and only when a receive is armed and may find something. */
static void due_update(struct env_epoll *epoll, env_conn conn)
{
    struct epoll_conn *slot = &epoll->conns[conn];
    bool is_due = slot->readable && conn_op(epoll, conn, EPOLL_CONN_RECV)->state == OP_STARTED;
    if (is_due && !list_linked(&slot->due))
        list_push_back(&epoll->due, &slot->due);
    else if (!is_due && list_linked(&slot->due))
        list_remove(&slot->due);
}

void epoll_net_recv(struct env *env, env_conn conn, uint64_t token)
{
    struct env_epoll *epoll = epoll_of(env);
    if (!conn_is_open(epoll, conn)) {
        answer_closed(epoll, ENV_OP_RECV, token);
        return;
    }
    XD_ASSERT(!epoll->conns[conn].closing);
    (void)op_start(&epoll->ops, conn_op_index(epoll, conn, EPOLL_CONN_RECV), ENV_OP_RECV, conn,
                   token);
    due_update(epoll, conn);
}

void epoll_net_recv_stop(struct env *env, env_conn conn)
{
    struct env_epoll *epoll = epoll_of(env);
    if (!conn_is_open(epoll, conn))
        return;
    struct op *op = conn_op(epoll, conn, EPOLL_CONN_RECV);
    if (op->state == OP_STARTED)
        op_ready(&epoll->ops, op, -ECANCELED);
    due_update(epoll, conn);
}

/* Without a free buffer: what a receive would find. -ENOBUFS when there are bytes, 0 at the end,
 * or the error; -EAGAIN when there is nothing. */
static int32_t recv_nothing(const struct epoll_conn *conn)
{
    uint8_t byte;
    ssize_t bytes = recv(conn->fd, &byte, 1, MSG_PEEK);
    if (bytes < 0)
        return -errno;
    return bytes > 0 ? -ENOBUFS : 0;
}

/* One receive into a buffer. Bytes with the buffer lent, 0 at the end, or -errno. */
static int32_t recv_buffer(struct env_epoll *epoll, struct epoll_conn *conn,
                           struct env_event *ret_lent)
{
    uint8_t *start;
    uint32_t id = epoll_buffers_take(&epoll->buffers, &start);
    ssize_t bytes = recv(conn->fd, start, epoll->buffers.bytes, 0);
    if (bytes <= 0) {
        int32_t result = bytes < 0 ? -errno : 0;
        epoll_buffers_put(&epoll->buffers, id);
        return result;
    }
    epoll_buffers_lend(&epoll->buffers, id, (uint32_t)bytes);
    /* A short count was all there is; what comes later is told anew. The end is told only once. */
    conn->readable = (uint32_t)bytes == epoll->buffers.bytes || conn->ended;
    ret_lent->data = start;
    ret_lent->buffer = (uint16_t)id;
    return (int32_t)bytes;
}

bool epoll_recv_next(struct env_epoll *epoll, struct env_event *ret_event)
{
    struct epoll_conn *conn = LIST_ELEMENT(list_first(&epoll->due), struct epoll_conn, due);
    env_conn handle = (env_conn)(conn - epoll->conns);
    struct op *op = conn_op(epoll, handle, EPOLL_CONN_RECV);
    XD_ASSERT(op->state == OP_STARTED && conn->readable && conn->fd >= 0);
    struct env_event lent = {.buffer = ENV_BUFFER_NONE};
    int32_t result =
        epoll->buffers.free_count > 0 ? recv_buffer(epoll, conn, &lent) : recv_nothing(conn);
    if (result == -EAGAIN || result == -EINTR) {
        conn->readable = result == -EINTR;
        due_update(epoll, handle);
        return false;
    }
    op_finish(&epoll->ops, op, result, result > 0, ret_event);
    ret_event->data = lent.data;
    ret_event->buffer = lent.buffer;
    /* To the end of the list: the others have waited longer. */
    list_remove(&conn->due);
    due_update(epoll, handle);
    return true;
}

void epoll_buffer_release(struct env *env, uint16_t buffer)
{
    epoll_buffers_release(&epoll_of(env)->buffers, buffer);
}

uint32_t epoll_buffers_free(struct env *env)
{
    return epoll_of(env)->buffers.free_count;
}

/* --- send ------------------------------------------------------------------------------------- */

/* From now on the kernel tells when there is room. Telling it costs a wake-up per piece that a unix
 * socket's peer takes, so only connections that once had no room pay for it. 0 or -errno. */
static int out_watch(struct env_epoll *epoll, struct epoll_conn *conn)
{
    if (conn->watches_out)
        return 0;
    uint64_t slot = (uint64_t)(conn - epoll->conns);
    struct epoll_event watch = {.events = CONN_WATCHED | EPOLLOUT,
                                .data.u64 = (uint64_t)EPOLL_WATCH_CONN << 32 | slot};
    /* Room that there is by now is told at the next wait. */
    if (epoll_ctl(epoll->epoll_fd, EPOLL_CTL_MOD, conn->fd, &watch) != 0)
        return -errno;
    conn->watches_out = true;
    return 0;
}

/* Sends as much as there is room for. The answer is ready, or the send goes on later. */
static void send_go_on(struct env_epoll *epoll, env_conn handle)
{
    struct epoll_conn *conn = &epoll->conns[handle];
    struct op *op = conn_op(epoll, handle, EPOLL_CONN_SEND);
    int32_t error = 0;
    XD_ASSERT(op->state == OP_STARTED && conn->fd >= 0);
    while (error == 0) {
        ssize_t bytes = sendmsg(conn->fd, send_next(&conn->send), MSG_NOSIGNAL);
        if (bytes >= 0) {
            if (!send_advance(&conn->send, (uint32_t)bytes))
                continue;
            op_ready(&epoll->ops, op, (int32_t)conn->send.sent);
            return;
        }
        error = errno == EINTR ? 0 : -errno;
    }
    if (error == -EAGAIN)
        error = out_watch(epoll, conn);
    if (error < 0)
        op_ready(&epoll->ops, op, error);
}

void epoll_net_send(struct env *env, env_conn conn, const struct iovec *pieces,
                    uint32_t piece_count, uint64_t token)
{
    struct env_epoll *epoll = epoll_of(env);
    XD_ASSERT(pieces && piece_count > 0);
    if (!conn_is_open(epoll, conn)) {
        answer_closed(epoll, ENV_OP_SEND, token);
        return;
    }
    XD_ASSERT(!epoll->conns[conn].closing);
    (void)op_start(&epoll->ops, conn_op_index(epoll, conn, EPOLL_CONN_SEND), ENV_OP_SEND, conn,
                   token);
    send_start(&epoll->conns[conn].send, pieces, piece_count);
    send_go_on(epoll, conn);
}

/* --- news and close --------------------------------------------------------------------------- */

void epoll_conn_told(struct env_epoll *epoll, uint32_t slot, uint32_t told)
{
    XD_ASSERT(slot < epoll->connections_max);
    struct epoll_conn *conn = &epoll->conns[slot];
    if (!conn->in_use || conn->fd < 0)
        return; /* The kernel still told of what is closed. */
    conn->ended = conn->ended || told & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    conn->readable = conn->readable || conn->ended || told & EPOLLIN;
    due_update(epoll, (env_conn)slot);
    if (told & (EPOLLOUT | EPOLLHUP | EPOLLERR) &&
        conn_op(epoll, (env_conn)slot, EPOLL_CONN_SEND)->state == OP_STARTED)
        send_go_on(epoll, (env_conn)slot);
}

void epoll_net_close(struct env *env, env_conn conn, uint64_t token)
{
    struct env_epoll *epoll = epoll_of(env);
    if (!conn_is_open(epoll, conn)) {
        answer_closed(epoll, ENV_OP_CLOSE, token);
        return;
    }
    struct epoll_conn *slot = &epoll->conns[conn];
    XD_ASSERT(!slot->closing && slot->fd >= 0);
    slot->closing = true;
    epoll_net_recv_stop(env, conn);
    struct op *send = conn_op(epoll, conn, EPOLL_CONN_SEND);
    if (send->state == OP_STARTED)
        op_ready(&epoll->ops, send, slot->send.sent > 0 ? (int32_t)slot->send.sent : -ECANCELED);
    (void)close(slot->fd); /* Nothing to be done about an error; the peer is gone either way. */
    slot->fd = -1;
    struct op *op = op_start(&epoll->ops, conn_op_index(epoll, conn, EPOLL_CONN_CLOSE),
                             ENV_OP_CLOSE, conn, token);
    /* Behind the others in the ready list: CLOSE comes last. */
    op_ready(&epoll->ops, op, 0);
}

void epoll_conn_free(struct env_epoll *epoll, env_conn conn)
{
    XD_ASSERT(conn_is_open(epoll, conn));
    struct epoll_conn *slot = &epoll->conns[conn];
    XD_ASSERT(slot->closing && slot->fd < 0 && !list_linked(&slot->due));
    slot->in_use = false;
    slot->next_free = epoll->conn_free;
    epoll->conn_free = (uint32_t)conn;
}

void epoll_net_peer(struct env *env, env_conn conn, char *ret_address)
{
    struct env_epoll *epoll = epoll_of(env);
    host_peer_text(conn_is_open(epoll, conn) ? epoll->conns[conn].fd : -1, ret_address);
}

void epoll_net_origin(struct env *env, env_conn conn, struct env_origin *ret_origin)
{
    struct env_epoll *epoll = epoll_of(env);
    host_peer_origin(conn_is_open(epoll, conn) ? epoll->conns[conn].fd : -1, ret_origin);
}
