/* SPDX-License-Identifier: Apache-2.0
 *
 * What the module consists of, for the files that implement net.h: net.c for sockets and frames,
 * news.c for what is told of them, shards.c for what crosses between shards. No other file of the
 * broker may include it.
 */
#ifndef CROSSDOCK_BROKER_NET_NET_STATE_H
#define CROSSDOCK_BROKER_NET_NET_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/env.h"
#include "broker/net/conn.h"
#include "broker/net/net.h"

#define LISTENERS_MAX 8u

struct listener {
    env_listener handle; /* the env's */
    bool armed;          /* an accept is outstanding */
    uint64_t retry_ns;   /* not armed: when to start again, UINT64_MAX = never */
};

struct net {
    struct conns conns;
    struct listener listeners[LISTENERS_MAX];
    uint32_t listener_count;
    uint32_t refusing_count; /* closes of connections without a slot, on their way */
    uint64_t refused_counts[NET_REFUSAL_COUNT]; /* by reason, NET_NEWS_REFUSED not taken yet */
    struct conn *out;                           /* connection whose frame is out, NULL = none */
    uint8_t *scratch;                           /* frame_bytes_max, for net_frame_linear */
    bool closing;                               /* net_close_begin was called */
};

/* The connection when it is OPEN, else NULL. */
static inline struct conn *conn_alive(const struct net *net, net_id id)
{
    struct conn *conn = conn_find(&net->conns, id);
    XD_ASSERT(conn == NULL || conn->id == id);
    return conn != NULL && conn->state == CONN_OPEN ? conn : NULL;
}

#endif
