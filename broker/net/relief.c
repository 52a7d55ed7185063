/* SPDX-License-Identifier: Apache-2.0
 *
 * Who gives receive memory back, in which sequence; see relief.h.
 */
#include "broker/net/relief.h"

#include "broker/net/budget.h"
#include "wire/xassert.h"

#include <errno.h>

/* Spills one list, oldest first, until enough buffers are free or no more than `keep` chunks. */
static void spill_place(struct conns *conns, enum conn_place place, uint32_t keep)
{
    struct list *list = &conns->places[place];

    for (struct list_node *node = list_first(list); node != NULL; node = list_next(list, node)) {
        if (env_buffers_free(conns->env) >= conns->buffers_low)
            return;
        XD_ASSERT(conn_of_place(node)->place == place);
        if (!inbox_spill(&conns->assemble, &conn_of_place(node)->inbox, keep))
            return;
    }
}

static void recv_update_place(struct conns *conns, enum conn_place place)
{
    struct list *list = &conns->places[place];

    for (struct list_node *node = list_first(list); node != NULL; node = list_next(list, node)) {
        XD_ASSERT(conn_of_place(node)->place == place);
        conn_recv_update(conns, conn_of_place(node));
    }
}

/* Whether buffers will come back without anybody's loss: they are in events on their way, or their
 * frames only have to be read. Frames of other shards' connections bring none, and those that are
 * lent to other shards may be away for long. */
static bool buffers_will_return(const struct conns *conns)
{
    const struct list *ready = &conns->places[CONN_PLACE_READY];
    const struct list *stalled = &conns->places[CONN_PLACE_STALLED];

    XD_ASSERT(conns->assemble.lent_count <= conns->buffer_count);
    if (conns->assemble.lent_count < conns->buffer_count)
        return true;
    for (struct list_node *node = list_first(ready); node != NULL; node = list_next(ready, node)) {
        if (!conn_of_place(node)->remote)
            return true;
    }
    for (struct list_node *node = list_first(stalled); node != NULL;
         node = list_next(stalled, node)) {
        if (inbox_buffers(&conn_of_place(node)->inbox) > 0)
            return true;
    }
    return false;
}

/* Whether its end would give memory back, buffers or spill chunks, now and not only when lent
 * frames are back. */
static bool end_helps(const struct conn *conn)
{
    const struct piece *piece = conn->inbox.first;

    XD_ASSERT(conn->place == CONN_PLACE_PARTIAL && piece != NULL);
    while (piece != NULL && piece->users > 0)
        piece = piece->next;
    return piece != NULL;
}

/* Who has to go: a peer that does not read its answers and holds buffers, before the oldest partial
 * frame. NULL when there is neither. */
static struct conn *victim(const struct conns *conns)
{
    const struct list *blocked = &conns->places[CONN_PLACE_BLOCKED];
    const struct list *partial = &conns->places[CONN_PLACE_PARTIAL];

    for (struct list_node *node = list_first(blocked); node != NULL;
         node = list_next(blocked, node)) {
        if (inbox_buffers(&conn_of_place(node)->inbox) > 0)
            return conn_of_place(node);
    }
    for (struct list_node *node = list_first(partial); node != NULL;
         node = list_next(partial, node)) {
        if (end_helps(conn_of_place(node)))
            return conn_of_place(node);
    }
    return NULL;
}

/* Partial frames may use all spill memory. Frames that wait for their turn may use half of it: they
 * go on by themselves, and would take the means of becoming whole from the others. */
static void buffers_recover(struct conns *conns)
{
    uint32_t half = conns->assemble.chunks.element_count / 2;
    struct conn *conn;

    spill_place(conns, CONN_PLACE_PARTIAL, 0);
    spill_place(conns, CONN_PLACE_BLOCKED, half);
    spill_place(conns, CONN_PLACE_STALLED, half);
    /* Each round closes one connection, so there are at most as many as those. */
    while (!buffers_will_return(conns) && (conn = victim(conns)) != NULL) {
        conn_abort(conns, conn, NET_CLOSE_SHED, -ENOBUFS);
        spill_place(conns, CONN_PLACE_PARTIAL, 0);
    }
}

/* The state that what is free now makes of the present one. */
static void memory_update(struct conns *conns)
{
    const struct budget_share receive = {env_buffers_free(conns->env), conns->buffer_count};
    const struct budget_share spill = {pool_free_count(&conns->assemble.chunks),
                                       conns->assemble.chunks.element_count};
    enum net_memory memory = budget_next(conns->memory, &receive, &spill);

    if (memory > conns->memory)
        counters_add(
            conns->counters,
            memory == NET_MEMORY_REFUSING ? COUNTER_memory_refusals : COUNTER_memory_throttles, 1);
    conns->memory = memory;
}

/* Who was held is heard again. */
static void held_release(struct conns *conns)
{
    struct list_node *node;

    XD_ASSERT(conns->memory == NET_MEMORY_NORMAL);
    while ((node = list_first(&conns->held)) != NULL) {
        struct conn *conn = LIST_ELEMENT(node, struct conn, starved_node);
        XD_ASSERT(conn->recv == CONN_RECV_HELD);
        conn_recv_update(conns, conn);
    }
}

void relief_turn(struct conns *conns)
{
    conns->pressed = env_buffers_free(conns->env) < conns->buffers_low;
    recv_update_place(conns, CONN_PLACE_READY);
    if (conns->pressed) {
        recv_update_place(conns, CONN_PLACE_STALLED);
        recv_update_place(conns, CONN_PLACE_BLOCKED);
        buffers_recover(conns);
    }
    memory_update(conns);
    if (conns->memory == NET_MEMORY_NORMAL)
        held_release(conns);
    /* No more than there are buffers, so that a turn of many starved ones ends. */
    for (uint32_t free = env_buffers_free(conns->env); free > 0; free--) {
        struct list_node *node = list_pop_front(&conns->starved);
        if (node == NULL)
            break;
        struct conn *conn = LIST_ELEMENT(node, struct conn, starved_node);
        XD_ASSERT(conn->recv == CONN_RECV_STARVED);
        conn->recv = CONN_RECV_IDLE;
        conn_recv_update(conns, conn);
    }
}
