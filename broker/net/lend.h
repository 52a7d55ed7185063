/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames that are lent to another shard, on the side of the shard that lends: which bytes have to
 * stay where they lie, how much may be lent at a time.
 *
 * Normal path: lend_frame notes which pieces the payload of the first frame lies in, each of which
 * then has one user more; the inbox steps over the frame as always (inbox_consume), and pieces with
 * users stay. lend_return takes the users away; a piece that has neither users nor unread bytes
 * goes back. A lent frame belongs to the module, not to its connection: that may end, and its slot
 * be used again, before the frame is back.
 *
 * Failure paths: too much is lent already: NULL. One frame alone may always be lent, however many
 * buffers it lies in; otherwise a frame over a limit would wait for ever.
 *
 * The borrower is another thread, which got the frame through a queue with release and acquire and
 * only reads its header and pieces; so nothing in them is written while they are lent. Must not
 * decide where a frame goes.
 */
#ifndef CROSSDOCK_BROKER_NET_LEND_H
#define CROSSDOCK_BROKER_NET_LEND_H

#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/pool.h"
#include "broker/net/assemble.h"
#include "broker/net/net.h"

struct conn;

struct lend_limits {
    uint32_t frames_max;       /* lent frames, 0 = nothing is ever lent */
    uint32_t buffers_max;      /* receive buffers that lent frames lie in */
    uint32_t chunks_max;       /* spill chunks that lent frames lie in */
    uint16_t conn_frames_max;  /* lent frames of one connection */
    uint32_t conn_bytes_max;   /* bytes lent of one connection */
    uint32_t conn_buffers_max; /* receive buffers kept by lent frames of one connection */
};

struct lend {
    struct lend_limits limits;
    struct pool frames;    /* struct net_lent; zeroed when nothing is ever lent */
    struct pool pieces;    /* struct net_lent_piece, behind the first one of a frame */
    uint32_t buffer_count; /* receive buffers that lent frames lie in */
    uint32_t chunk_count;  /* spill chunks that lent frames lie in */
};

/* Bytes of arena; `pieces_max` is how many pieces an assemble has (assemble->iovec_count). */
uint64_t lend_bytes_needed(uint32_t frames_max, uint32_t pieces_max);
/* -ENOMEM when the arena is too small. */
int lend_init(struct lend *lend, struct arena *arena, uint32_t pieces_max,
              const struct lend_limits *limits);

/* Lends the payload of the first frame of the connection, which must be whole, or NULL when too
 * much is lent. Its inbox has not stepped over the frame yet. */
struct net_lent *lend_frame(struct lend *lend, struct assemble *assemble, struct conn *conn);
/* Takes it back. `conn` is the one it was lent from, NULL when that is no more. */
void lend_return(struct lend *lend, struct assemble *assemble, struct conn *conn,
                 struct net_lent *lent);

/* Frames lent and not returned. */
static inline uint32_t lend_count(const struct lend *lend)
{
    return lend->frames.element_count - pool_free_count(&lend->frames);
}

/* Asserts all invariants between lent frames and pieces, O(n). `unread_count` is the number of lent
 * buffers in inboxes. */
void lend_check(const struct lend *lend, const struct assemble *assemble, uint32_t unread_count);

#endif
