/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection to the broker: frames out, frames in, and coming back when it is lost.
 *
 *   WAITING -> CONNECTING -> GREETING -> READY -> (lost) WAITING ...
 *
 * Requests are pipelined; a table of correlations leads each reply to its owner. A READ reply is
 * received straight into its owner's memory. Batches go out as one shipment at a time: pieces that
 * point into the outbox, untouched until the shipment is done or the connection is lost.
 * News goes upward as return values. Must not know what a payload means, but for HELLO, PING and
 * GOAWAY.
 */
#ifndef CROSSDOCK_CLIENT_CONNECTION_H
#define CROSSDOCK_CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "client/transport.h"
#include "wire/frame.h"
#include "wire/limits.h"
#include "wire/request.h"

enum xd_connection_state {
    XD_CONNECTION_WAITING,    /* until retry_ns */
    XD_CONNECTION_CONNECTING, /* the transport is at it */
    XD_CONNECTION_GREETING,   /* HELLO is sent */
    XD_CONNECTION_READY
};

/* The broker lets a connection wait for as many READ requests. */
#define XD_PENDING_MAX 256u
#define XD_SHIPMENT_BATCHES_MAX 64u
#define XD_CONNECTION_TEXT_BYTES 640u
/* Requests waiting to be sent: the largest ADMIN request and some room for the others. */
#define XD_OUT_BYTES (XD_ADMIN_REQUEST_BYTES_MAX + 16384u)
/* A whole frame, and room to receive ahead. */
#define XD_IN_BYTES (XD_FRAME_HEADER_BYTES + XD_FRAME_BYTES_DEFAULT_MAX + 65536u)

/* A request without a reply yet. */
struct xd_pending {
    void *owner;         /* NULL = nobody waits for the reply any more */
    uint64_t tag;        /* the owner's */
    uint8_t *sink;       /* memory for the payload, or NULL: the connection's own */
    uint32_t sink_bytes; /* its size */
    uint32_t generation; /* high half of the correlation; an old one does not match */
    uint16_t op;         /* 0 = free */
};

/* A frame that came. Borrowed until the next xd_connection_receive. */
struct xd_arrival {
    struct xd_frame head;   /* decoded header */
    const uint8_t *payload; /* 8-byte aligned; head.length bytes */
    void *owner;            /* of a reply; NULL = nobody, or a push */
    uint64_t tag;           /* the owner's */
};

/* A PRODUCE frame on its way out. */
struct xd_shipment {
    uint8_t head[XD_FRAME_HEADER_BYTES + sizeof(struct xd_produce_head)]; /* first piece */
    struct iovec pieces[1 + XD_SHIPMENT_BATCHES_MAX]; /* head, then whole batches */
    void *slots[XD_SHIPMENT_BATCHES_MAX];             /* outbox slots behind the pieces */
    void *owner;                                      /* whose outbox they are in */
    uint32_t piece_count;                             /* 0 = none */
    uint32_t piece_at;                                /* first piece not wholly sent */
    uint32_t slot_count;                              /* batches */
};

struct xd_connection {
    struct xd_transport *transport; /* owned by the client */
    uint64_t connect_timeout_ns;    /* of one attempt */
    uint64_t reconnect_min_ns;      /* first pause */
    uint64_t reconnect_max_ns;      /* longest pause */
    uint64_t keepalive_ns;          /* silence before a PING */
    const char *client_name;        /* for HELLO, borrowed from the options */
    const char *client_version;     /* for HELLO, static */

    enum xd_connection_state state;
    uint64_t retry_ns;           /* WAITING: next attempt */
    uint64_t attempt_ends_ns;    /* CONNECTING, GREETING: given up then */
    uint64_t heard_ns;           /* last time that bytes came */
    uint32_t attempts;           /* since the last greeting */
    uint64_t pinged_ns;          /* when the PING went out */
    bool pinged;                 /* a PING is out, nothing has come since */
    bool drains;                 /* GOAWAY came: nothing new is sent */
    bool out_blocked;            /* the transport took less than there was */
    bool in_drained;             /* the last receive emptied the transport */
    bool greeted_before;         /* hello is of this or an earlier connection */
    struct xd_hello_reply hello; /* limits of the broker */
    uint64_t produce_bytes;      /* sent on this connection, in batch strides */
    uint64_t settled_bytes;      /* of these answered, as the broker says */

    struct xd_pending pending[XD_PENDING_MAX];
    uint32_t pending_count; /* used entries */
    uint32_t generation;    /* of the newest entry */

    uint8_t *out;     /* XD_OUT_BYTES of encoded requests */
    uint32_t out_at;  /* sent up to here */
    uint32_t out_end; /* filled up to here */
    struct xd_shipment shipment;

    uint8_t *in;                     /* XD_IN_BYTES received */
    uint32_t in_at;                  /* first byte not handed out */
    uint32_t in_end;                 /* filled up to here */
    struct xd_frame sink_head;       /* frame whose payload goes to a sink */
    struct xd_pending *sink_pending; /* its entry, or NULL: no sink is being filled */
    uint32_t sink_at;                /* bytes of it that are there */

    uint64_t connects; /* greetings */
    uint64_t bytes_sent;
    uint64_t bytes_received;
    int status;                          /* of the last loss, for who waits for the connection */
    char text[XD_CONNECTION_TEXT_BYTES]; /* its detail */
};

/* Takes the transport and the settings that were filled in before, and gets its buffers. 0 or
 * -ENOMEM; then deinit still may be called. */
int xd_connection_init(struct xd_connection *connection);
void xd_connection_deinit(struct xd_connection *connection);

/* Moves the state on: starts attempts, notices their end, sends PING. To be called when what has
 * come was received, and before something is sent. 0, or negative = has just been lost (status and
 * text are set, the pause runs). `connects` rises when the connection becomes READY. */
int xd_connection_advance(struct xd_connection *connection, uint64_t now_ns);
/* Sends what waits: 1 = all of it is out, 0 = the transport is full, negative = lost. A shipment
 * that is done has piece_count 0; its slots stay listed. */
int xd_connection_send(struct xd_connection *connection, uint64_t now_ns);
/* The next frame: 1 = *ret_arrival, 0 = nothing is there, negative = lost. */
int xd_connection_receive(struct xd_connection *connection, uint64_t now_ns,
                          struct xd_arrival *ret_arrival);
/* Ends a connection whose peer or use is wrong; the next attempt follows a pause. `text` says why.
 * Returns `status`. */
int xd_connection_lose(struct xd_connection *connection, uint64_t now_ns, int status,
                       const char *text);

/* Queues a request: 0, or -EAGAIN when it must be tried again later (not READY, table or buffer
 * full). With a sink the reply's payload goes there. */
int xd_connection_request(struct xd_connection *connection, uint16_t op, const void *body,
                          uint32_t body_bytes, void *owner, uint64_t tag, uint8_t *sink,
                          uint32_t sink_bytes);
/* Replies to this owner are dropped from now on, and its sinks are not touched any more; the second
 * form means one of its requests. */
void xd_connection_forget(struct xd_connection *connection, const void *owner);
void xd_connection_forget_tag(struct xd_connection *connection, const void *owner, uint64_t tag);

/* Time by which xd_connection_advance wants to be called, XD_WAIT_FOREVER: none. */
uint64_t xd_connection_deadline(const struct xd_connection *connection);
/* POLLIN and POLLOUT as needed. */
short xd_connection_events(const struct xd_connection *connection);
/* Largest payload of a frame to the broker. */
uint32_t xd_connection_frame_bytes_max(const struct xd_connection *connection);

static inline bool xd_connection_ready(const struct xd_connection *connection)
{
    return connection->state == XD_CONNECTION_READY;
}

#endif
