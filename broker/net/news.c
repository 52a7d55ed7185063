/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of net.h that tells its user what has happened to connections, and the names of reasons.
 *
 * Normal path: refusals are counted as they come and told by reason, so a flood of them is one
 * piece of news; accepted and closed connections are told one by one, each keeping its slot until
 * its end has been taken. There is no failure path.
 */
#include "broker/net/net_state.h"
#include "wire/xassert.h"

/* All refusals of one kind are one piece of news. */
static bool refused_next(struct net *net, struct net_news *ret_news)
{
    for (unsigned refusal = NET_TAKEN + 1; refusal < NET_REFUSAL_COUNT; refusal++) {
        uint64_t *count = &net->refused_counts[refusal];
        if (*count == 0)
            continue;
        *ret_news = (struct net_news){.kind = NET_NEWS_REFUSED, .a = refusal, .b = *count};
        *count = 0;
        return true;
    }
    return false;
}

bool net_news_next(struct net *net, struct net_news *ret_news)
{
    struct list_node *node = list_first(&net->conns.news);

    if (refused_next(net, ret_news))
        return true;
    if (node == NULL)
        return false;
    struct conn *conn = LIST_ELEMENT(node, struct conn, news_node);
    if (conn->news & CONN_NEWS_ACCEPTED) {
        conn->news &= (uint8_t)~CONN_NEWS_ACCEPTED;
        *ret_news = (struct net_news){.kind = NET_NEWS_ACCEPTED, .a = conn->id};
    } else {
        XD_ASSERT(conn->news == CONN_NEWS_CLOSED);
        conn->news = 0;
        *ret_news = (struct net_news){.kind = NET_NEWS_CLOSED,
                                      .a = conn->id,
                                      .b = (uint64_t)conn->reason,
                                      .c = (uint64_t)-conn->cause};
    }
    if (conn->news == 0) {
        list_remove(node);
        conn_told(&net->conns, conn);
    }
    return true;
}

const char *net_close_reason_name(enum net_close_reason reason)
{
    static const char *const names[NET_CLOSE_REASON_COUNT] = {
        [NET_CLOSE_PEER] = "peer",
        [NET_CLOSE_ERROR] = "error",
        [NET_CLOSE_MALFORMED] = "malformed",
        [NET_CLOSE_TOO_LARGE] = "too_large",
        [NET_CLOSE_FRAME_SLOW] = "frame_slow",
        [NET_CLOSE_HELLO_SLOW] = "hello_slow",
        [NET_CLOSE_SEND_SLOW] = "send_slow",
        [NET_CLOSE_SHED] = "shed",
        [NET_CLOSE_BROKER] = "broker",
    };

    XD_ASSERT(reason < NET_CLOSE_REASON_COUNT);
    return names[reason];
}

const char *net_refusal_name(enum net_refusal refusal)
{
    static const char *const names[NET_REFUSAL_COUNT] = {
        [NET_TAKEN] = "none",
        [NET_REFUSED_FULL] = "connections_max",
        [NET_REFUSED_ADDRESS] = "address_connections_max",
        [NET_REFUSED_HELLO] = "address_strangers_max",
        [NET_REFUSED_MEMORY] = "memory",
    };

    XD_ASSERT(refusal < NET_REFUSAL_COUNT);
    return names[refusal];
}

const char *net_memory_name(enum net_memory memory)
{
    static const char *const names[NET_MEMORY_COUNT] = {
        [NET_MEMORY_NORMAL] = "normal",
        [NET_MEMORY_THROTTLED] = "throttled",
        [NET_MEMORY_REFUSING] = "refusing",
    };

    XD_ASSERT(memory < NET_MEMORY_COUNT);
    return names[memory];
}
