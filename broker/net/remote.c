/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections of other shards; see remote.h.
 *
 * `inbox` of such a connection holds no bytes: its `head` is that of the first lent frame, so that
 * whoever hands frames out finds it where it always is.
 */
#include "broker/net/remote.h"

#include "broker/net/conn.h"
#include "wire/xassert.h"

#include <errno.h>

uint64_t remotes_bytes_needed(uint32_t remote_max)
{
    return remote_max > 0 ? remote_max * sizeof(struct list) + POOL_ALIGN : 0;
}

int remotes_init(struct remotes *remotes, struct arena *arena, uint32_t remote_max)
{
    *remotes = (struct remotes){0};
    list_init(&remotes->free);
    list_init(&remotes->returned);
    list_init(&remotes->outputs);
    if (remote_max == 0)
        return 0;
    remotes->frames = arena_alloc(arena, remote_max * sizeof(struct list), POOL_ALIGN);
    if (remotes->frames == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < remote_max; i++)
        list_init(&remotes->frames[i]);
    return 0;
}

static struct net_lent *lent_of(struct list_node *node)
{
    return LIST_ELEMENT(node, struct net_lent, node);
}

static struct list *frames_of(const struct conns *conns, const struct conn *conn)
{
    uint32_t index = (conn->id & 0xffff) - conns->options.connections_max - 1;

    XD_ASSERT(conn->remote);
    XD_ASSERT(index < conns->options.remote_max);
    return &conns->remotes.frames[index];
}

/* Shows the header of the first frame, if there is one. */
static void head_update(struct conns *conns, struct conn *conn)
{
    struct list_node *node = list_first(frames_of(conns, conn));

    conn->inbox.head_known = node != NULL;
    if (node != NULL)
        conn->inbox.head = lent_of(node)->head;
}

struct conn *remote_open(struct conns *conns)
{
    struct list_node *node = list_pop_front(&conns->remotes.free);

    if (node == NULL) {
        counters_add(conns->counters, COUNTER_connections_remote_shed, 1);
        return NULL;
    }
    struct conn *conn = conn_of_place(node);
    XD_ASSERT(conn->state == CONN_FREE && conn->remote);
    XD_ASSERT(list_empty(frames_of(conns, conn)) && outbox_empty(&conn->outbox));
    conn->state = CONN_OPEN;
    conn->length_max = conns->options.frame_bytes_max;
    conns->remotes.count++;
    counters_set(conns->counters, COUNTER_connections_remote, conns->remotes.count);
    return conn;
}

void remote_frame(struct conns *conns, struct conn *conn, struct net_lent *lent)
{
    XD_ASSERT(lent->piece_count <= conns->assemble.iovec_count);
    XD_ASSERT(lent->head.length <= conns->options.frame_bytes_max);
    if (conn == NULL || conn->state != CONN_OPEN) {
        list_push_back(&conns->remotes.returned, &lent->node);
        return;
    }
    list_push_back(frames_of(conns, conn), &lent->node);
    if (conn->place == CONN_PLACE_NONE) {
        head_update(conns, conn);
        conn_place_set(conns, conn, CONN_PLACE_READY);
    }
    XD_ASSERT(conn_frame_waits(conn));
}

uint32_t remote_pieces(struct conns *conns, const struct conn *conn)
{
    const struct net_lent *lent = lent_of(list_first(frames_of(conns, conn)));
    const struct net_lent_piece *piece = &lent->first;

    XD_ASSERT(lent->piece_count <= conns->assemble.iovec_count);
    for (uint32_t i = 0; i < lent->piece_count; i++, piece = piece->next) {
        XD_ASSERT(piece->bytes > 0);
        /* iovec has no const; readers get it as const struct iovec and must not write. */
        conns->assemble.iovecs[i] =
            (struct iovec){.iov_base = (uint8_t *)(uintptr_t)piece->data, .iov_len = piece->bytes};
    }
    return lent->piece_count;
}

void remote_consume(struct conns *conns, struct conn *conn)
{
    struct list_node *node = list_pop_front(frames_of(conns, conn));

    XD_ASSERT(node != NULL && conn->state == CONN_OPEN);
    list_push_back(&conns->remotes.returned, node);
    head_update(conns, conn);
    if (!conn->inbox.head_known)
        conn_place_set(conns, conn, CONN_PLACE_NONE);
    XD_ASSERT(conn_frame_waits(conn) == conn->inbox.head_known);
}

void remote_drop(struct conns *conns, struct conn *conn)
{
    struct list *frames = frames_of(conns, conn);
    struct list_node *node;

    XD_ASSERT(conn->place == CONN_PLACE_NONE);
    while ((node = list_pop_front(frames)) != NULL)
        list_push_back(&conns->remotes.returned, node);
    conn->inbox.head_known = false;
}

struct conn *remote_output_next(struct conns *conns)
{
    struct list_node *node = list_pop_front(&conns->remotes.outputs);

    if (node == NULL)
        return NULL;
    struct conn *conn = LIST_ELEMENT(node, struct conn, send_node);
    XD_ASSERT(conn->remote && outbox_flying(&conn->outbox));
    XD_ASSERT(conn->state == CONN_OPEN || conn->state == CONN_DRAINING);
    return conn;
}

void remote_sent(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(conn->remote && outbox_flying(&conn->outbox));
    XD_ASSERT(!list_linked(&conn->send_node)); /* a failure here: it was never given away */
    outbox_sent(&conns->output, &conn->outbox);
    if (conn->state == CONN_CLOSING) {
        outbox_drop(&conns->output, &conn->outbox);
        conn_ended(conns, conn);
        return;
    }
    conn_sent_whole(conns, conn);
}

void remote_gone(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(conn->remote);
    XD_ASSERT(conn->state != CONN_FREE);
    if (conn->state == CONN_OPEN || conn->state == CONN_DRAINING)
        conn_abort(conns, conn, NET_CLOSE_PEER, 0);
}

void remote_check(const struct conns *conns, const struct conn *conn)
{
    const struct list *frames = frames_of(conns, conn);
    bool live = conn->state == CONN_OPEN || conn->state == CONN_DRAINING;

    list_check(frames);
    XD_ASSERT(conn->inbox.first == NULL && conn->inbox.bytes == 0);
    XD_ASSERT(conn->inbox.kept_count == 0 && conn->away_count == 0);
    XD_ASSERT(conn->inbox.head_known == !list_empty(frames));
    XD_ASSERT(conn->state != CONN_OPEN || conn_frame_waits(conn) == !list_empty(frames));
    XD_ASSERT(live || list_empty(frames));
    XD_ASSERT(conn->recv == CONN_RECV_IDLE && !list_linked(&conn->hello_node));
    XD_ASSERT(!list_linked(&conn->send_node) || (live && outbox_flying(&conn->outbox)));
    XD_ASSERT(conn->state != CONN_CLOSING || outbox_flying(&conn->outbox));
}
