/* SPDX-License-Identifier: Apache-2.0
 *
 * Life of a connection and what goes out. What comes in is in connection_receive.c.
 *
 * Normal path: advance starts an attempt, the transport connects, HELLO goes out, its reply makes
 * the connection READY; then requests and shipments are sent as far as the transport takes them.
 * Failure paths: whatever goes wrong ends in xd_connection_lose: the transport is closed, requests
 * and output are forgotten, and a jittered pause that doubles from reconnect_min to reconnect_max
 * runs. Owners of requests learn it from the negative return value and start theirs again.
 */
#include "client/connection.h"

#include "client/memory.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* HELLO and PING are the connection's own requests. */
#define REQUEST_BYTES_MAX 256u

int xd_connection_init(struct xd_connection *connection)
{
    XD_ASSERT(connection->transport != NULL);
    XD_ASSERT(connection->client_name != NULL && connection->client_version != NULL);
    connection->out = xd_memory_acquire(XD_OUT_BYTES);
    connection->in = xd_memory_acquire(XD_IN_BYTES);
    return connection->out != NULL && connection->in != NULL ? 0 : -ENOMEM;
}

void xd_connection_deinit(struct xd_connection *connection)
{
    xd_memory_release(connection->out);
    xd_memory_release(connection->in);
    connection->out = NULL;
    connection->in = NULL;
}

/* Half to all of the pause that the number of failed attempts stands for. */
static uint64_t pause_ns(struct xd_connection *connection)
{
    uint64_t pause = connection->reconnect_min_ns;
    for (uint32_t i = 0; i < connection->attempts && pause < connection->reconnect_max_ns; i++)
        pause *= 2;
    if (pause > connection->reconnect_max_ns)
        pause = connection->reconnect_max_ns;
    uint64_t random = connection->transport->ops->random64(connection->transport);
    return pause / 2 + random % (pause / 2 + 1);
}

int xd_connection_lose(struct xd_connection *connection, uint64_t now_ns, int status,
                       const char *text)
{
    XD_ASSERT(status < 0);
    connection->transport->ops->close(connection->transport);
    connection->retry_ns = now_ns + pause_ns(connection);
    if (connection->attempts < 64)
        connection->attempts++;
    connection->state = XD_CONNECTION_WAITING;
    for (uint32_t i = 0; i < XD_PENDING_MAX; i++)
        connection->pending[i].op = 0;
    connection->pending_count = 0;
    connection->out_at = connection->out_end = 0;
    connection->in_at = connection->in_end = 0;
    connection->shipment.piece_count = 0;
    connection->sink_pending = NULL;
    connection->sink_at = 0;
    connection->pinged = false;
    connection->drains = false;
    connection->out_blocked = false;
    connection->produce_bytes = 0;
    connection->settled_bytes = 0;
    connection->status = status;
    snprintf(connection->text, sizeof(connection->text), "%s", text);
    return status;
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct xd_pending *pending_acquire(struct xd_connection *connection)
{
    for (uint32_t i = 0; i < XD_PENDING_MAX; i++) {
        if (connection->pending[i].op == 0)
            return &connection->pending[i];
    }
    return NULL;
}

/* Queues without asking for the state. */
static int queue(struct xd_connection *connection, uint16_t op, const void *body,
                 uint32_t body_bytes, const struct xd_pending *request)
{
    uint32_t frame_bytes = XD_FRAME_HEADER_BYTES + body_bytes;
    XD_ASSERT(frame_bytes <= XD_OUT_BYTES);
    if (connection->out_at > 0 && XD_OUT_BYTES - connection->out_end < frame_bytes) {
        memmove(connection->out, connection->out + connection->out_at,
                connection->out_end - connection->out_at);
        connection->out_end -= connection->out_at;
        connection->out_at = 0;
    }
    if (XD_OUT_BYTES - connection->out_end < frame_bytes)
        return -EAGAIN;
    struct xd_pending *pending = pending_acquire(connection);
    if (pending == NULL)
        return -EAGAIN;

    *pending = *request;
    pending->op = op;
    pending->generation = ++connection->generation;
    connection->pending_count++;
    uint64_t index = (uint64_t)(pending - connection->pending);
    const struct xd_frame frame = {.length = body_bytes,
                                   .op = op,
                                   .version = 1,
                                   .correlation = (uint64_t)pending->generation << 32 | index};
    uint8_t *at = connection->out + connection->out_end;
    xd_frame_encode(&frame, at);
    if (body_bytes > 0)
        memcpy(at + XD_FRAME_HEADER_BYTES, body, body_bytes);
    connection->out_end += frame_bytes;
    return 0;
}

int xd_connection_request(struct xd_connection *connection, uint16_t op, const void *body,
                          uint32_t body_bytes, void *owner, uint64_t tag, uint8_t *sink,
                          uint32_t sink_bytes)
{
    XD_ASSERT(owner != NULL);
    if (!xd_connection_ready(connection) || connection->drains)
        return -EAGAIN;
    const struct xd_pending request = {
        .owner = owner, .tag = tag, .sink = sink, .sink_bytes = sink_bytes};
    return queue(connection, op, body, body_bytes, &request);
}

static void forget(struct xd_pending *pending)
{
    pending->owner = NULL;
    pending->sink = NULL;
}

void xd_connection_forget(struct xd_connection *connection, const void *owner)
{
    for (uint32_t i = 0; i < XD_PENDING_MAX; i++) {
        struct xd_pending *pending = &connection->pending[i];
        if (pending->op != 0 && pending->owner == owner)
            forget(pending);
    }
}

void xd_connection_forget_tag(struct xd_connection *connection, const void *owner, uint64_t tag)
{
    for (uint32_t i = 0; i < XD_PENDING_MAX; i++) {
        struct xd_pending *pending = &connection->pending[i];
        if (pending->op != 0 && pending->owner == owner && pending->tag == tag)
            forget(pending);
    }
}

/* ---- states ---------------------------------------------------------------------------------- */

static int greet(struct xd_connection *connection)
{
    uint8_t body[REQUEST_BYTES_MAX];
    const struct xd_hello_request hello = {
        .fixed = {.version_min = XD_PROTOCOL_VERSION_MIN, .version_max = XD_PROTOCOL_VERSION_MAX},
        .client_name = {connection->client_name, (uint32_t)strlen(connection->client_name)},
        .client_version = {connection->client_version,
                           (uint32_t)strlen(connection->client_version)}};
    int bytes = xd_hello_encode(&hello, body, sizeof(body));
    XD_ASSERT(bytes > 0);
    const struct xd_pending request = {.owner = connection};
    int status = queue(connection, XD_OP_HELLO, body, (uint32_t)bytes, &request);
    XD_ASSERT(status == 0); /* nothing else waits on a new connection */
    connection->state = XD_CONNECTION_GREETING;
    return 0;
}

/* What the transport said about an attempt. */
static int attempt_result(struct xd_connection *connection, uint64_t now_ns, int result)
{
    if (result == 0) {
        connection->state = XD_CONNECTION_CONNECTING;
        return 0;
    }
    if (result > 0)
        return greet(connection);
    char text[XD_CONNECTION_TEXT_BYTES];
    snprintf(text, sizeof(text), "connect: %s; is the broker running at the address?",
             xd_status_text(result));
    return xd_connection_lose(connection, now_ns, XD_UNREACHABLE, text);
}

/* True while the broker has something to answer. */
static bool owed(const struct xd_connection *connection)
{
    return connection->pending_count > 0 || connection->produce_bytes != connection->settled_bytes;
}

/* Silence of a broker that owes an answer: asked first, then given up. */
static int listen_for_life(struct xd_connection *connection, uint64_t now_ns)
{
    if (!owed(connection))
        connection->heard_ns = now_ns;
    if (now_ns - connection->heard_ns < connection->keepalive_ns)
        return 0;
    if (connection->pinged) {
        if (now_ns - connection->pinged_ns < connection->keepalive_ns)
            return 0;
        return xd_connection_lose(connection, now_ns, XD_CONNECTION_LOST,
                                  "the broker owes answers and has been silent for too long");
    }
    const struct xd_pending request = {.owner = connection};
    if (queue(connection, XD_OP_PING, NULL, 0, &request) == 0) {
        connection->pinged = true;
        connection->pinged_ns = now_ns;
    }
    return 0;
}

int xd_connection_advance(struct xd_connection *connection, uint64_t now_ns)
{
    const struct xd_transport_ops *ops = connection->transport->ops;
    switch (connection->state) {
    case XD_CONNECTION_WAITING:
        if (now_ns < connection->retry_ns)
            return 0;
        connection->attempt_ends_ns = now_ns + connection->connect_timeout_ns;
        connection->heard_ns = now_ns;
        return attempt_result(connection, now_ns, ops->connect(connection->transport));
    case XD_CONNECTION_CONNECTING:
        if (now_ns >= connection->attempt_ends_ns)
            return xd_connection_lose(connection, now_ns, XD_UNREACHABLE,
                                      "connect: no answer within connect.timeout");
        return attempt_result(connection, now_ns, ops->connect_check(connection->transport));
    case XD_CONNECTION_GREETING:
        if (now_ns >= connection->attempt_ends_ns)
            return xd_connection_lose(connection, now_ns, XD_UNREACHABLE,
                                      "HELLO: no reply within connect.timeout");
        return 0;
    case XD_CONNECTION_READY:
        return listen_for_life(connection, now_ns);
    }
    return 0;
}

uint64_t xd_connection_deadline(const struct xd_connection *connection)
{
    switch (connection->state) {
    case XD_CONNECTION_WAITING:
        return connection->retry_ns;
    case XD_CONNECTION_CONNECTING:
    case XD_CONNECTION_GREETING:
        return connection->attempt_ends_ns;
    case XD_CONNECTION_READY:
        break;
    }
    if (!owed(connection))
        return XD_WAIT_FOREVER;
    return (connection->pinged ? connection->pinged_ns : connection->heard_ns) +
           connection->keepalive_ns;
}

short xd_connection_events(const struct xd_connection *connection)
{
    if (connection->state == XD_CONNECTION_WAITING)
        return 0;
    if (connection->state == XD_CONNECTION_CONNECTING)
        return POLLOUT;
    bool output = connection->out_end > connection->out_at || connection->shipment.piece_count > 0;
    return output ? POLLIN | POLLOUT : POLLIN;
}

uint32_t xd_connection_frame_bytes_max(const struct xd_connection *connection)
{
    uint32_t max = connection->hello.frame_bytes_max;
    return max < XD_FRAME_BYTES_DEFAULT_MAX ? max : XD_FRAME_BYTES_DEFAULT_MAX;
}

/* ---- output ---------------------------------------------------------------------------------- */

static int send_failed(struct xd_connection *connection, uint64_t now_ns, int64_t error)
{
    if (error == -EAGAIN) {
        connection->out_blocked = true;
        return 0;
    }
    char text[XD_CONNECTION_TEXT_BYTES];
    snprintf(text, sizeof(text), "send: %s", xd_status_text((int)error));
    return xd_connection_lose(connection, now_ns, XD_CONNECTION_LOST, text);
}

/* Takes `bytes` sent bytes off the front of the shipment. */
static void shipment_sent(struct xd_shipment *shipment, uint64_t bytes)
{
    while (bytes > 0) {
        XD_ASSERT(shipment->piece_at < shipment->piece_count);
        struct iovec *piece = &shipment->pieces[shipment->piece_at];
        if (bytes < piece->iov_len) {
            piece->iov_base = (uint8_t *)piece->iov_base + bytes;
            piece->iov_len -= bytes;
            return;
        }
        bytes -= piece->iov_len;
        shipment->piece_at++;
    }
    if (shipment->piece_at == shipment->piece_count)
        shipment->piece_count = 0;
}

static int send_shipment(struct xd_connection *connection, uint64_t now_ns)
{
    struct xd_shipment *shipment = &connection->shipment;
    struct xd_transport *transport = connection->transport;
    while (shipment->piece_count > 0) {
        int64_t sent = transport->ops->send(transport, &shipment->pieces[shipment->piece_at],
                                            (int)(shipment->piece_count - shipment->piece_at));
        if (sent < 0)
            return send_failed(connection, now_ns, sent);
        connection->bytes_sent += (uint64_t)sent;
        shipment_sent(shipment, (uint64_t)sent);
    }
    return 1;
}

static int send_requests(struct xd_connection *connection, uint64_t now_ns)
{
    struct xd_transport *transport = connection->transport;
    while (connection->out_at < connection->out_end) {
        const struct iovec piece = {.iov_base = connection->out + connection->out_at,
                                    .iov_len = connection->out_end - connection->out_at};
        int64_t sent = transport->ops->send(transport, &piece, 1);
        if (sent < 0)
            return send_failed(connection, now_ns, sent);
        connection->bytes_sent += (uint64_t)sent;
        connection->out_at += (uint32_t)sent;
    }
    connection->out_at = connection->out_end = 0;
    return 1;
}

int xd_connection_send(struct xd_connection *connection, uint64_t now_ns)
{
    if (connection->state != XD_CONNECTION_GREETING && connection->state != XD_CONNECTION_READY)
        return 0;
    connection->out_blocked = false;
    /* A frame that was begun goes first: pieces of two frames must not mix. */
    bool requests_begun = connection->out_at > 0;
    int status =
        requests_begun ? send_requests(connection, now_ns) : send_shipment(connection, now_ns);
    if (status <= 0)
        return status;
    status = requests_begun ? send_shipment(connection, now_ns) : send_requests(connection, now_ns);
    return status;
}
