/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of net.h that is about other shards, in terms of connections: frames lent at their home
 * are lend.h, relays output.h, connections of other shards remote.h.
 *
 * Normal path: see "other shards" in net.h. Failure paths here: what comes for a connection that is
 * no more is given back at once. Nothing is written to what another shard lends.
 */
#include "broker/net/net_state.h"
#include "wire/xassert.h"

#include <assert.h>
#include <errno.h>

static_assert(NET_RELAY_PIECES_MAX == SEND_PIECES_MAX, "a relay is what one send takes");

/* ---- home ------------------------------------------------------------------------------------ */

struct net_lent *net_frame_lend(struct net *net)
{
    XD_ASSERT(net->out != NULL);
    struct net_lent *lent = conn_lend(&net->conns, net->out);
    if (lent == NULL)
        return NULL;
    net->out = NULL;
    lent->home = net->conns.options.shard;
    return lent;
}

void net_lent_return(struct net *net, struct net_lent *lent)
{
    XD_ASSERT(lent != NULL);
    conns_lent_return(&net->conns, lent);
}

bool net_relay(struct net *net, net_id id, const struct iovec *pieces, uint32_t count,
               uint64_t cookie)
{
    struct conn *conn = conn_alive(net, id);

    XD_ASSERT(conn == NULL || !conn->remote);
    if (conn == NULL)
        return false;
    outbox_relay_queue(&net->conns.output, &conn->outbox, pieces, count, cookie);
    counters_add(net->conns.counters, COUNTER_outputs_relayed, 1);
    conn_touch(&net->conns, conn);
    return true;
}

bool net_relay_next(struct net *net, uint64_t *ret_cookie)
{
    XD_ASSERT(ret_cookie != NULL);
    return output_relay_next(&net->conns.output, ret_cookie);
}

/* ---- owner ----------------------------------------------------------------------------------- */

int net_remote_open(struct net *net, net_id *ret_id)
{
    struct conn *conn = remote_open(&net->conns);

    if (conn == NULL)
        return -EMFILE;
    XD_ASSERT(net_slot(conn->id) > net->conns.options.connections_max);
    *ret_id = conn->id;
    return 0;
}

void net_remote_frame(struct net *net, net_id id, struct net_lent *lent)
{
    struct conn *conn = conn_find(&net->conns, id);

    XD_ASSERT(conn == NULL || conn->remote);
    remote_frame(&net->conns, conn, lent);
}

bool net_remote_done_next(struct net *net, struct net_lent **ret_lent)
{
    struct list_node *node = list_pop_front(&net->conns.remotes.returned);

    if (node == NULL)
        return false;
    *ret_lent = LIST_ELEMENT(node, struct net_lent, node);
    return true;
}

bool net_remote_output_next(struct net *net, net_id *ret_id, const struct iovec **ret_pieces,
                            uint32_t *ret_count)
{
    const struct conn *conn = remote_output_next(&net->conns);

    if (conn == NULL)
        return false;
    XD_ASSERT(conn->outbox.piece_count <= NET_RELAY_PIECES_MAX);
    *ret_id = conn->id;
    *ret_pieces = conn->outbox.pieces;
    *ret_count = conn->outbox.piece_count;
    return true;
}

void net_remote_sent(struct net *net, net_id id)
{
    struct conn *conn = conn_find(&net->conns, id);

    /* Its slot waits for this. */
    XD_ASSERT(conn != NULL);
    remote_sent(&net->conns, conn);
}

void net_remote_gone(struct net *net, net_id id)
{
    struct conn *conn = conn_find(&net->conns, id);

    XD_ASSERT(net->out == NULL);
    if (conn != NULL)
        remote_gone(&net->conns, conn);
}
