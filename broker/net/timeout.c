/* SPDX-License-Identifier: Apache-2.0
 *
 * Deadlines of connections; see timeout.h.
 */
#include "broker/net/timeout.h"

#include "wire/xassert.h"

#include <errno.h>

#define NS_PER_MS 1000000ull

static bool due(uint64_t since_ns, uint32_t timeout_ms, uint64_t now_ns)
{
    return now_ns >= since_ns + timeout_ms * NS_PER_MS;
}

static void expire_partial(struct conns *conns, uint64_t now_ns)
{
    struct list *list = &conns->places[CONN_PLACE_PARTIAL];
    struct list_node *node;

    while ((node = list_first(list)) != NULL) {
        struct conn *conn = conn_of_place(node);
        XD_ASSERT(conn->state == CONN_OPEN && conn->place == CONN_PLACE_PARTIAL);
        if (!due(conn->partial_ns, conns->options.frame_timeout_ms, now_ns))
            return;
        if (conn->recv == CONN_RECV_STARVED)
            conn_place_set(conns, conn, CONN_PLACE_PARTIAL); /* Not the peer's fault: time anew. */
        else
            conn_abort(conns, conn, NET_CLOSE_FRAME_SLOW, -ETIMEDOUT);
    }
}

static void expire_hello(struct conns *conns, uint64_t now_ns)
{
    struct list_node *node;

    while ((node = list_first(&conns->hello)) != NULL) {
        struct conn *conn = LIST_ELEMENT(node, struct conn, hello_node);
        XD_ASSERT(conn->state == CONN_OPEN);
        if (!due(conn->hello_ns, conns->options.hello_timeout_ms, now_ns))
            return;
        if (conn_frame_waits(conn) || conn->recv == CONN_RECV_STARVED) {
            /* It has spoken, or could not be heard; the broker is behind. */
            list_remove(node);
            conn->hello_ns = now_ns;
            list_push_back(&conns->hello, node);
        } else {
            conn_abort(conns, conn, NET_CLOSE_HELLO_SLOW, -ETIMEDOUT);
        }
    }
}

void timeout_expire(struct conns *conns, uint64_t now_ns)
{
    struct list_node *node;

    expire_partial(conns, now_ns);
    expire_hello(conns, now_ns);
    while ((node = list_first(&conns->sending)) != NULL) {
        struct conn *conn = LIST_ELEMENT(node, struct conn, send_node);
        XD_ASSERT(outbox_flying(&conn->outbox));
        if (!due(conn->send_ns, conns->options.send_timeout_ms, now_ns))
            return;
        conn_abort(conns, conn, NET_CLOSE_SEND_SLOW, -ETIMEDOUT);
    }
}

static uint64_t earlier(uint64_t deadline_ns, uint64_t since_ns, uint32_t timeout_ms)
{
    uint64_t other_ns = since_ns + timeout_ms * NS_PER_MS;
    return deadline_ns < other_ns ? deadline_ns : other_ns;
}

uint64_t timeout_next_ns(const struct conns *conns)
{
    const struct net_options *options = &conns->options;
    struct list_node *partial = list_first(&conns->places[CONN_PLACE_PARTIAL]);
    struct list_node *hello = list_first(&conns->hello);
    struct list_node *sending = list_first(&conns->sending);
    uint64_t ns = UINT64_MAX;

    if (partial != NULL)
        ns = earlier(ns, conn_of_place(partial)->partial_ns, options->frame_timeout_ms);
    if (hello != NULL)
        ns = earlier(ns, LIST_ELEMENT(hello, struct conn, hello_node)->hello_ns,
                     options->hello_timeout_ms);
    if (sending != NULL)
        ns = earlier(ns, LIST_ELEMENT(sending, struct conn, send_node)->send_ns,
                     options->send_timeout_ms);
    return ns;
}
