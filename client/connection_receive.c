/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes in on a connection: bytes to frames, frames to their owners.
 *
 * Normal path: bytes are received behind those that are there; a whole frame is handed out in
 * place, moved down by up to seven bytes first where it does not lie on an 8-byte boundary (texts
 * in ACK frames have any length). A reply with a sink is copied there as far as it has come, and
 * the rest is received into the sink.
 * Failure paths: an end, an error, a header that cannot be, a reply that nobody asked for: the
 * connection is lost. Frames are bounded by XD_FRAME_BYTES_DEFAULT_MAX, so one always fits.
 */
#include "client/connection.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int broken(struct xd_connection *connection, uint64_t now_ns, const char *what,
                  const char *field)
{
    char text[XD_CONNECTION_TEXT_BYTES];
    snprintf(text, sizeof(text), "%s: field %s is wrong; the broker does not speak this protocol",
             what, field);
    return xd_connection_lose(connection, now_ns, XD_FRAME_MALFORMED, text);
}

/* Receives up to `bytes` bytes: how many, 0 = nothing is there, negative = lost. */
static int64_t receive_bytes(struct xd_connection *connection, uint64_t now_ns, void *buffer,
                             size_t bytes)
{
    XD_ASSERT(bytes > 0);
    if (connection->in_drained)
        return 0;
    int64_t received = connection->transport->ops->recv(connection->transport, buffer, bytes);
    if (received > 0) {
        connection->bytes_received += (uint64_t)received;
        connection->heard_ns = now_ns;
        connection->pinged = false;
        connection->in_drained = (uint64_t)received < bytes;
        return received;
    }
    if (received == -EAGAIN) {
        connection->in_drained = true;
        return 0;
    }
    char text[XD_CONNECTION_TEXT_BYTES];
    snprintf(text, sizeof(text), "receive: %s",
             received == 0 ? "the broker closed the connection" : xd_status_text((int)received));
    return xd_connection_lose(connection, now_ns, XD_CONNECTION_LOST, text);
}

/* The entry that a reply answers, or NULL. */
static struct xd_pending *pending_find(struct xd_connection *connection,
                                       const struct xd_frame *head)
{
    uint64_t index = head->correlation & UINT32_MAX;
    if (index >= XD_PENDING_MAX)
        return NULL;
    struct xd_pending *pending = &connection->pending[index];
    bool match = pending->op == head->op && pending->generation == head->correlation >> 32;
    return match ? pending : NULL;
}

static void pending_release(struct xd_connection *connection, struct xd_pending *pending)
{
    XD_ASSERT(pending->op != 0 && connection->pending_count > 0);
    pending->op = 0;
    connection->pending_count--;
}

/* ---- greeting -------------------------------------------------------------------------------- */

static int hello_refused(struct xd_connection *connection, uint64_t now_ns,
                         const struct xd_reply_head *head, const struct xd_text *detail)
{
    char text[XD_CONNECTION_TEXT_BYTES];
    snprintf(text, sizeof(text), "HELLO: %s (%.*s)", xd_status_text(head->status),
             (int)detail->bytes, detail->data != NULL ? detail->data : "");
    return xd_connection_lose(connection, now_ns, head->status, text);
}

/* 1 = READY. */
static int take_hello(struct xd_connection *connection, uint64_t now_ns,
                      const struct xd_arrival *arrival)
{
    struct xd_reply_head head;
    struct xd_text detail;
    const uint8_t *body;
    size_t body_bytes;
    struct xd_hello_reply hello;
    const char *field = "head";
    if (xd_reply_decode(arrival->payload, arrival->head.length, &head, &detail, &body,
                        &body_bytes) < 0)
        return broken(connection, now_ns, "HELLO", field);
    if (head.status < 0)
        return hello_refused(connection, now_ns, &head, &detail);
    if (xd_hello_reply_decode(body, body_bytes, &hello, &field) < 0)
        return broken(connection, now_ns, "HELLO", field);
    if (hello.version == 0)
        return xd_connection_lose(connection, now_ns, XD_VERSION_UNSUPPORTED,
                                  "HELLO: no protocol version in common");
    if (connection->greeted_before &&
        memcmp(hello.cluster_id, connection->hello.cluster_id, sizeof(hello.cluster_id)) != 0)
        return xd_connection_lose(connection, now_ns, XD_LOG_FOREIGN,
                                  "HELLO: another broker answers at this address: its data folder "
                                  "is not the one that this client began with");
    connection->hello = hello;
    connection->greeted_before = true;
    connection->state = XD_CONNECTION_READY;
    connection->attempts = 0;
    connection->connects++;
    return 1;
}

/* Frames for the connection itself: 1 = became READY, 0 = done, negative = lost. */
static int take_own(struct xd_connection *connection, uint64_t now_ns,
                    const struct xd_arrival *arrival)
{
    if (arrival->head.op == XD_OP_HELLO)
        return take_hello(connection, now_ns, arrival);
    XD_ASSERT(arrival->head.op == XD_OP_PING);
    return 0;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Judges a whole frame: 1 = for the caller, 0 = taken here, negative = lost. */
static int take_frame(struct xd_connection *connection, uint64_t now_ns, struct xd_arrival *arrival)
{
    arrival->owner = NULL;
    arrival->tag = 0;
    if (arrival->head.flags & XD_FRAME_PUSH) {
        if (connection->state != XD_CONNECTION_READY)
            return broken(connection, now_ns, "push before HELLO", "op");
        if (arrival->head.op == XD_OP_GOAWAY) {
            connection->drains = true;
            return 0;
        }
        return 1;
    }
    struct xd_pending *pending = pending_find(connection, &arrival->head);
    if (!(arrival->head.flags & XD_FRAME_REPLY) || pending == NULL)
        return broken(connection, now_ns, "reply that was not asked for", "correlation");
    arrival->owner = pending->owner;
    arrival->tag = pending->tag;
    pending_release(connection, pending);
    if (arrival->owner == connection) {
        int status = take_own(connection, now_ns, arrival);
        return status < 0 ? status : 0;
    }
    return arrival->owner != NULL ? 1 : 0;
}

/* Goes on filling a sink: 1 = its frame is whole, 0 = more must come, negative = lost. Payload of
 * an owner that is gone is received into free room and dropped. */
static int fill_sink(struct xd_connection *connection, uint64_t now_ns,
                     struct xd_arrival *ret_arrival)
{
    struct xd_pending *pending = connection->sink_pending;
    uint32_t length = connection->sink_head.length;
    XD_ASSERT(connection->sink_at <= length);
    while (connection->sink_at < length) {
        XD_ASSERT(connection->in_at == connection->in_end);
        uint32_t left = length - connection->sink_at;
        bool dropped = pending->sink == NULL;
        uint8_t *target = dropped ? connection->in : pending->sink + connection->sink_at;
        int64_t bytes = receive_bytes(connection, now_ns, target,
                                      dropped && left > XD_IN_BYTES ? XD_IN_BYTES : left);
        if (bytes <= 0)
            return (int)bytes;
        connection->sink_at += (uint32_t)bytes;
    }
    connection->sink_pending = NULL;
    *ret_arrival = (struct xd_arrival){.head = connection->sink_head, .payload = pending->sink};
    return 1;
}

/* Begins a sink with what has come of the payload. */
static void begin_sink(struct xd_connection *connection, struct xd_pending *pending,
                       const struct xd_frame *head)
{
    uint32_t there = connection->in_end - connection->in_at - XD_FRAME_HEADER_BYTES;
    uint32_t copied = there < head->length ? there : head->length;
    memcpy(pending->sink, connection->in + connection->in_at + XD_FRAME_HEADER_BYTES, copied);
    connection->in_at += XD_FRAME_HEADER_BYTES + copied;
    connection->sink_head = *head;
    connection->sink_pending = pending;
    connection->sink_at = copied;
}

/* Moves what is there to the start, so that a whole frame fits behind it. */
static void compact(struct xd_connection *connection)
{
    uint32_t bytes = connection->in_end - connection->in_at;
    if (connection->in_at > 0 && bytes > 0)
        memmove(connection->in, connection->in + connection->in_at, bytes);
    connection->in_at = 0;
    connection->in_end = bytes;
}

/* Hands out the whole frame at in_at. */
static void cut_frame(struct xd_connection *connection, const struct xd_frame *head,
                      struct xd_arrival *ret_arrival)
{
    uint32_t at = connection->in_at;
    uint32_t aligned = at & ~7u;
    if (aligned != at)
        memmove(connection->in + aligned, connection->in + at,
                XD_FRAME_HEADER_BYTES + head->length);
    *ret_arrival = (struct xd_arrival){.head = *head,
                                       .payload = connection->in + aligned + XD_FRAME_HEADER_BYTES};
    connection->in_at += XD_FRAME_HEADER_BYTES + head->length;
    XD_ASSERT(connection->in_at <= connection->in_end);
}

/* One frame out of what is there: 1 = *ret_arrival, 0 = more bytes are needed, 2 = a sink has
 * begun, negative = lost. */
static int next_frame(struct xd_connection *connection, uint64_t now_ns,
                      struct xd_arrival *ret_arrival)
{
    struct xd_frame head;
    uint32_t there = connection->in_end - connection->in_at;
    int status = xd_frame_decode(connection->in + connection->in_at, there,
                                 XD_FRAME_BYTES_DEFAULT_MAX, &head);
    if (status < 0)
        return broken(connection, now_ns, "frame header",
                      status == XD_FRAME_TOO_LARGE ? "length" : "op");
    if (status == XD_PARTIAL)
        return 0;
    struct xd_pending *pending =
        head.flags & XD_FRAME_REPLY ? pending_find(connection, &head) : NULL;
    if (pending != NULL && pending->sink != NULL && head.length <= pending->sink_bytes) {
        begin_sink(connection, pending, &head);
        return 2;
    }
    if (there - XD_FRAME_HEADER_BYTES < head.length)
        return 0;
    cut_frame(connection, &head, ret_arrival);
    return 1;
}

/* A whole frame, whoever it is for: 1, 0 = nothing is there, negative = lost. */
static int any_frame(struct xd_connection *connection, uint64_t now_ns,
                     struct xd_arrival *ret_arrival)
{
    for (;;) {
        if (connection->sink_pending != NULL)
            return fill_sink(connection, now_ns, ret_arrival);
        int status = next_frame(connection, now_ns, ret_arrival);
        if (status == 2)
            continue;
        if (status != 0)
            return status;
        if (connection->in_at == connection->in_end ||
            XD_IN_BYTES - connection->in_at < XD_FRAME_HEADER_BYTES + XD_FRAME_BYTES_DEFAULT_MAX)
            compact(connection);
        XD_ASSERT(connection->in_end < XD_IN_BYTES);
        int64_t bytes = receive_bytes(connection, now_ns, connection->in + connection->in_end,
                                      XD_IN_BYTES - connection->in_end);
        if (bytes <= 0)
            return (int)bytes;
        connection->in_end += (uint32_t)bytes;
    }
}

int xd_connection_receive(struct xd_connection *connection, uint64_t now_ns,
                          struct xd_arrival *ret_arrival)
{
    while (connection->state == XD_CONNECTION_GREETING ||
           connection->state == XD_CONNECTION_READY) {
        struct xd_arrival arrival;
        int status = any_frame(connection, now_ns, &arrival);
        if (status <= 0)
            return status;
        status = take_frame(connection, now_ns, &arrival);
        if (status < 0)
            return status;
        if (status == 1) {
            *ret_arrival = arrival;
            return 1;
        }
    }
    return 0;
}
