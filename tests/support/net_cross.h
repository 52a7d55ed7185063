/* SPDX-License-Identifier: Apache-2.0
 *
 * Two modules of broker/net that lend frames to each other and relay each other's output: the
 * messages that cross, a queue for them with one writer and one reader, and what each side does
 * with them. For tests that are about what crosses; a broker routes by what a frame says.
 *
 * Normal path, per turn of one side: cross_take handles what the other sent; cross_lend sends the
 * frame that is out; cross_closed says that a connection ended; after net_flush cross_give sends
 * outputs, then frames to be returned, then relays that are done.
 * Failure path: a message for a connection that has ended is answered as net.h says. A full queue
 * is a bug: what crosses is bounded by what may be lent. Uses XD_ASSERT only, so that it serves in
 * programs without a test framework.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_NET_CROSS_H
#define CROSSDOCK_TESTS_SUPPORT_NET_CROSS_H

#include "broker/net/net.h"
#include "wire/xassert.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define CROSS_RING_MESSAGES 4096u /* a power of two */
#define CROSS_SLOTS_MAX 64u

enum cross_kind {
    CROSS_OPEN,   /* home to owner: a connection's first frame will follow */
    CROSS_FRAME,  /* home to owner: lent */
    CROSS_RETURN, /* owner to home: lent */
    CROSS_OUTPUT, /* owner to home: pieces, count, remote */
    CROSS_SENT,   /* home to owner: remote */
    CROSS_GONE,   /* home to owner: the connection has ended */
    CROSS_CLOSE,  /* owner to home: the connection is to end */
};

struct cross_message {
    enum cross_kind kind;
    net_id home;                /* the connection at its home */
    net_id remote;              /* ... at its owner */
    struct net_lent *lent;      /* RETURN, FRAME */
    const struct iovec *pieces; /* OUTPUT */
    uint32_t count;             /* OUTPUT: of pieces */
};

struct cross_ring {
    _Atomic uint32_t pushed; /* by the writer */
    _Atomic uint32_t popped; /* by the reader */
    struct cross_message messages[CROSS_RING_MESSAGES];
};

/* One module and its way to the other. */
struct cross {
    struct net *net;
    struct cross_ring *in;               /* this side reads */
    struct cross_ring *out;              /* this side writes */
    bool opened[CROSS_SLOTS_MAX + 1];    /* as home, by slot: the owner knows of the connection */
    net_id homes[CROSS_SLOTS_MAX + 1];   /* as owner, by home's slot: the home's id */
    net_id remotes[CROSS_SLOTS_MAX + 1]; /* as owner, by home's slot: own id, 0 = none */
    net_id home_of[CROSS_SLOTS_MAX + 1]; /* as owner, by own slot: the home's id */
    uint32_t refused;                    /* connections that found no slot here */
};

static inline void cross_push(struct cross_ring *ring, const struct cross_message *message)
{
    uint32_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);

    XD_ASSERT(pushed - atomic_load_explicit(&ring->popped, memory_order_acquire) <
              CROSS_RING_MESSAGES);
    ring->messages[pushed % CROSS_RING_MESSAGES] = *message;
    atomic_store_explicit(&ring->pushed, pushed + 1, memory_order_release);
}

static inline bool cross_pop(struct cross_ring *ring, struct cross_message *ret_message)
{
    uint32_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);

    if (popped == atomic_load_explicit(&ring->pushed, memory_order_acquire))
        return false;
    *ret_message = ring->messages[popped % CROSS_RING_MESSAGES];
    atomic_store_explicit(&ring->popped, popped + 1, memory_order_release);
    return true;
}

/* Own id of the other side's connection, 0 = it has none. */
static inline net_id cross_remote(const struct cross *cross, net_id home)
{
    uint32_t slot = net_slot(home);

    XD_ASSERT(slot <= CROSS_SLOTS_MAX);
    return cross->homes[slot] == home ? cross->remotes[slot] : 0;
}

static inline void cross_open(struct cross *cross, net_id home)
{
    net_id id = 0;

    if (net_remote_open(cross->net, &id) < 0) {
        cross->refused++;
        cross_push(cross->out, &(struct cross_message){.kind = CROSS_CLOSE, .home = home});
    } else {
        XD_ASSERT(net_slot(id) <= CROSS_SLOTS_MAX);
        cross->home_of[net_slot(id)] = home;
    }
    cross->homes[net_slot(home)] = home;
    cross->remotes[net_slot(home)] = id;
}

static inline void cross_handle(struct cross *cross, const struct cross_message *message)
{
    switch (message->kind) {
    case CROSS_OPEN:
        cross_open(cross, message->home);
        break;
    case CROSS_FRAME:
        net_remote_frame(cross->net, cross_remote(cross, message->home), message->lent);
        break;
    case CROSS_RETURN:
        net_lent_return(cross->net, message->lent);
        break;
    case CROSS_OUTPUT:
        if (!net_relay(cross->net, message->home, message->pieces, message->count, message->remote))
            cross_push(cross->out,
                       &(struct cross_message){.kind = CROSS_SENT, .remote = message->remote});
        break;
    case CROSS_SENT:
        net_remote_sent(cross->net, message->remote);
        break;
    case CROSS_GONE:
        net_remote_gone(cross->net, cross_remote(cross, message->home));
        break;
    case CROSS_CLOSE:
        net_close(cross->net, message->home);
        break;
    }
}

/* At most `max` messages of the other side; returns how many there were. No frame is out. */
static inline uint32_t cross_take(struct cross *cross, uint32_t max)
{
    struct cross_message message;
    uint32_t count = 0;

    while (count < max && cross_pop(cross->in, &message)) {
        cross_handle(cross, &message);
        count++;
    }
    return count;
}

/* Sends the frame that is out; when too much is lent it is stalled, and false. */
static inline bool cross_lend(struct cross *cross, net_id conn)
{
    struct net_lent *lent = net_frame_lend(cross->net);

    if (lent == NULL) {
        net_frame_stall(cross->net);
        return false;
    }
    XD_ASSERT(net_slot(conn) <= CROSS_SLOTS_MAX);
    if (!cross->opened[net_slot(conn)]) {
        cross->opened[net_slot(conn)] = true;
        cross_push(cross->out, &(struct cross_message){.kind = CROSS_OPEN, .home = conn});
    }
    cross_push(cross->out,
               &(struct cross_message){.kind = CROSS_FRAME, .home = conn, .lent = lent});
    return true;
}

/* To be called for NET_NEWS_CLOSED, of own connections and of the other side's. */
static inline void cross_closed(struct cross *cross, net_id id, uint32_t connections_max)
{
    uint32_t slot = net_slot(id);

    if (slot > connections_max) {
        cross_push(cross->out,
                   &(struct cross_message){.kind = CROSS_CLOSE, .home = cross->home_of[slot]});
    } else if (cross->opened[slot]) {
        cross->opened[slot] = false;
        cross_push(cross->out, &(struct cross_message){.kind = CROSS_GONE, .home = id});
    }
}

/* After net_flush. */
static inline void cross_give(struct cross *cross)
{
    struct cross_message message = {.kind = CROSS_OUTPUT};
    struct net_lent *lent;
    uint64_t cookie;

    while (net_remote_output_next(cross->net, &message.remote, &message.pieces, &message.count)) {
        message.home = cross->home_of[net_slot(message.remote)];
        cross_push(cross->out, &message);
    }
    while (net_remote_done_next(cross->net, &lent))
        cross_push(cross->out, &(struct cross_message){.kind = CROSS_RETURN, .lent = lent});
    while (net_relay_next(cross->net, &cookie))
        cross_push(cross->out,
                   &(struct cross_message){.kind = CROSS_SENT, .remote = (net_id)cookie});
}

#endif
