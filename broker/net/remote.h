/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections of other shards, on the side of the shard whose facilities they are about. Each has a
 * slot of the table behind those of sockets, and is a connection as in conn.h in all but its ends:
 * lent frames stand in the place of received bytes, a lent send in the place of the socket.
 *
 * Normal path: remote_open takes a slot; remote_frame puts a lent frame behind the others, and the
 * connection stands in `ready` with those of sockets; conn_frame_done puts the frame into
 * `returned`. conns_flush puts what is queued into `outputs`, remote_output_next gives it away as
 * the send in flight, remote_sent ends it. A slot goes
 *     FREE -> OPEN -> CLOSING -> ENDED -> FREE,  with DRAINING before CLOSING for an orderly end;
 * CLOSING lasts as long as a send is in flight.
 *
 * Failure paths: the connection has ended at its home: remote_gone, which is conn_abort. A frame
 * that comes for one that is gone goes into `returned` at once. Whatever happens, a lent frame
 * comes out of `returned` once, and memory that a send reads stays until remote_sent.
 *
 * Nothing here is late: time-outs are the home's. Must not write to what is lent.
 */
#ifndef CROSSDOCK_BROKER_NET_REMOTE_H
#define CROSSDOCK_BROKER_NET_REMOTE_H

#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/list.h"
#include "broker/net/net.h"

struct conn;
struct conns;

/* What all of them share. */
struct remotes {
    struct list *frames;  /* per remote slot: struct net_lent not read, oldest first */
    struct list free;     /* FREE slots */
    struct list returned; /* struct net_lent to be given back to their homes */
    struct list outputs;  /* have a send that has not been given away, by send_node */
    uint32_t count;       /* slots from OPEN to CLOSING */
};

uint64_t remotes_bytes_needed(uint32_t remote_max);
/* -ENOMEM when the arena is too small. */
int remotes_init(struct remotes *remotes, struct arena *arena, uint32_t remote_max);

/* A connection in a free slot, or NULL. */
struct conn *remote_open(struct conns *conns);
/* Takes a lent frame; NULL stands for a connection that is no more. */
void remote_frame(struct conns *conns, struct conn *conn, struct net_lent *lent);
/* The payload of its first frame, as assemble->iovecs; returns their count. */
uint32_t remote_pieces(struct conns *conns, const struct conn *conn);
/* Gives its first frame back. */
void remote_consume(struct conns *conns, struct conn *conn);
/* Gives all its frames back. */
void remote_drop(struct conns *conns, struct conn *conn);
/* The connection whose send is given away now, or NULL; its outbox has the pieces. */
struct conn *remote_output_next(struct conns *conns);
/* The send that was given away has ended. */
void remote_sent(struct conns *conns, struct conn *conn);
/* The connection has ended at its home. */
void remote_gone(struct conns *conns, struct conn *conn);

/* Asserts all invariants of one connection. */
void remote_check(const struct conns *conns, const struct conn *conn);

#endif
