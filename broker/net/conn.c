/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections; see conn.h for states and lists.
 *
 * conn_place_update is the one function that decides in which list a connection stands after its
 * input changed; conn_recv_update the one that starts and stops receiving; conn_abort the one way
 * to CLOSING. Everything else calls them.
 */
#include "broker/net/conn.h"

#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

static uint64_t conn_token(const struct conn *conn, enum conn_token kind)
{
    return env_token(ENV_OWNER_NET, (uint8_t)kind, conn->id);
}

/* ---- place, receive, end --------------------------------------------------------------------- */

static void unlink_if(struct list_node *node)
{
    if (list_linked(node))
        list_remove(node);
}

void conn_place_set(struct conns *conns, struct conn *conn, enum conn_place place)
{
    XD_ASSERT(conn->state != CONN_FREE);
    unlink_if(&conn->place_node);
    XD_ASSERT(place == CONN_PLACE_NONE || conn->state == CONN_OPEN);
    XD_ASSERT(place <= CONN_PLACE_PARTIAL || conn->inbox.head_known);
    conn->place = place;
    conn->turn_frames = 0;
    conn->turn_bytes = 0;
    if (place == CONN_PLACE_PARTIAL)
        conn->partial_ns = env_now_mono_ns(conns->env);
    if (place != CONN_PLACE_NONE)
        list_push_back(&conns->places[place], &conn->place_node);
}

/* Whether so much is unread or lent that it must shrink before more is taken. A partial first frame
 * is never full: it has to become whole. */
static bool input_full(const struct conns *conns, const struct conn *conn)
{
    uint32_t halve = conn->recv == CONN_RECV_IDLE ? 2 : 1;
    const struct inbox *inbox = &conn->inbox;

    if (!conn_frame_waits(conn))
        return false;
    return conns->pressed || inbox->bytes + conn->away_bytes > CONN_HELD_BYTES_MAX / halve ||
           inbox->lent_count + inbox->kept_count > conns->held_buffers_max / halve;
}

/* Whether it stops between two frames, because memory is scarce and it sends long ones. A frame
 * that has begun has to become whole. */
static bool input_held(const struct conns *conns, const struct conn *conn)
{
    return conns->memory != NET_MEMORY_NORMAL && conn->bulk && conn->inbox.bytes == 0 &&
           conn->state == CONN_OPEN;
}

static void hold_end(struct conn *conn)
{
    XD_ASSERT(conn->recv == CONN_RECV_HELD);
    list_remove(&conn->starved_node);
    conn->recv = CONN_RECV_IDLE;
}

void conn_recv_update(struct conns *conns, struct conn *conn)
{
    bool alive = !conn->remote && (conn->state == CONN_OPEN || conn->state == CONN_DRAINING);
    bool open = alive && !conn->ended_by_peer;
    bool held = open && input_held(conns, conn);
    bool wanted = open && !held && !input_full(conns, conn);

    XD_ASSERT((conn->recv == CONN_RECV_STARVED || conn->recv == CONN_RECV_HELD) ==
              list_linked(&conn->starved_node));
    if (conn->recv == CONN_RECV_HELD && !held)
        hold_end(conn);
    if (held && conn->recv == CONN_RECV_IDLE) {
        conn->recv = CONN_RECV_HELD;
        list_push_back(&conns->held, &conn->starved_node);
    } else if (wanted && conn->recv == CONN_RECV_IDLE) {
        conn->recv = CONN_RECV_ARMED;
        env_net_recv(conns->env, conn->handle, conn_token(conn, CONN_TOKEN_RECV));
    } else if (!wanted && alive && conn->recv == CONN_RECV_ARMED) {
        conn->recv = CONN_RECV_STOPPING;
        env_net_recv_stop(conns->env, conn->handle);
    }
}

static void news_add(struct conns *conns, struct conn *conn, uint8_t news)
{
    XD_ASSERT((conn->news & news) == 0);
    conn->news |= news;
    if (!list_linked(&conn->news_node))
        list_push_back(&conns->news, &conn->news_node);
}

/* Drops what was received and not read. */
static void input_drop(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(conn->place == CONN_PLACE_NONE);
    if (conn->remote)
        remote_drop(conns, conn);
    else
        inbox_drop(&conns->assemble, &conn->inbox);
}

/* Starts the end of an aborted connection, which is over when nothing can arrive for it any more.
 */
static void end_start(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(conn->state == CONN_CLOSING && conn->news != 0);
    if (!conn->remote)
        env_net_close(conns->env, conn->handle, conn_token(conn, CONN_TOKEN_CLOSE));
    else if (!outbox_flying(&conn->outbox))
        conn_ended(conns, conn);
}

/* OPEN or DRAINING -> CLOSING. The reason of an end that has begun stays. No frame of it is out. */
void conn_abort(struct conns *conns, struct conn *conn, enum net_close_reason reason, int32_t cause)
{
    bool not_given = conn->remote && list_linked(&conn->send_node);

    XD_ASSERT(conn->state == CONN_OPEN || conn->state == CONN_DRAINING);
    XD_ASSERT(cause <= 0);
    if (conn->state == CONN_OPEN) {
        conn->reason = reason;
        conn->cause = cause;
    }
    conn_place_set(conns, conn, CONN_PLACE_NONE);
    unlink_if(&conn->hello_node);
    unlink_if(&conn->send_node);
    unlink_if(&conn->flush_node);
    unlink_if(&conn->starved_node);
    if (conn->recv == CONN_RECV_STARVED || conn->recv == CONN_RECV_HELD)
        conn->recv = CONN_RECV_IDLE;
    input_drop(conns, conn);
    if (not_given)
        outbox_sent(&conns->output, &conn->outbox);
    /* What a send still reads is released when its event comes, before CLOSE. */
    if (!outbox_flying(&conn->outbox))
        outbox_drop(&conns->output, &conn->outbox);
    conn->state = CONN_CLOSING;
    news_add(conns, conn, CONN_NEWS_CLOSED);
    end_start(conns, conn);
}

void conn_drain(struct conns *conns, struct conn *conn, enum net_close_reason reason,
                bool keep_input)
{
    XD_ASSERT(conn->state == CONN_OPEN);
    conn->state = CONN_DRAINING;
    conn->reason = reason;
    conn_place_set(conns, conn, CONN_PLACE_NONE);
    unlink_if(&conn->hello_node);
    if (!keep_input)
        input_drop(conns, conn);
    /* Receiving goes on, into nothing: a peer that still writes would not come to read. */
    conn_recv_update(conns, conn);
    conn_touch(conns, conn);
}

/* An OPEN connection whose peer has finished has no whole frame any more. It stays as long as
 * frames of it are lent: their answers have not come yet. */
static void ended_by_peer(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(conn->ended_by_peer && conn->state == CONN_OPEN);
    if (conn->away_count == 0) {
        conn_drain(conns, conn, NET_CLOSE_PEER, false);
        return;
    }
    conn_place_set(conns, conn, CONN_PLACE_NONE);
    input_drop(conns, conn); /* of a frame that will not become whole */
}

/* The input of an OPEN connection changed at its front. */
static inline void conn_place_update(struct conns *conns, struct conn *conn)
{
    int status = inbox_head(&conn->inbox, conn->length_max);
    enum conn_place place = CONN_PLACE_PARTIAL;

    XD_ASSERT(conn->state == CONN_OPEN);
    if (status < 0) {
        counters_add(conns->counters, COUNTER_frames_malformed, 1);
        conn_abort(conns, conn,
                   status == XD_FRAME_TOO_LARGE ? NET_CLOSE_TOO_LARGE : NET_CLOSE_MALFORMED,
                   status);
        return;
    }
    if (status == INBOX_WHOLE)
        place = CONN_PLACE_READY;
    else if (conn->ended_by_peer) {
        ended_by_peer(conns, conn);
        return;
    } else if (conn->inbox.bytes == 0)
        place = CONN_PLACE_NONE;
    if (place != conn->place)
        conn_place_set(conns, conn, place);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Whether there is room for a connection from there, counted with its address. Unix sockets are how
 * people reach a broker whose network is full: they get the reserve, and are not refused for want
 * of memory. */
static enum net_refusal admit(struct conns *conns, const struct env_origin *from,
                              struct origin **ret_origin)
{
    bool local = from->family == ENV_FAMILY_UNIX;

    if (conns->free_count <= (local ? 0 : conns->options.unix_reserve))
        return NET_REFUSED_FULL;
    if (conns->memory == NET_MEMORY_REFUSING && !local)
        return NET_REFUSED_MEMORY;
    return origins_take(&conns->origins, from, ret_origin);
}

enum net_refusal conn_open(struct conns *conns, env_conn handle)
{
    struct env_origin from;
    struct origin *origin;

    env_net_origin(conns->env, handle, &from);
    enum net_refusal refusal = admit(conns, &from, &origin);
    if (refusal != NET_TAKEN)
        return refusal;
    struct conn *conn = conn_of_place(list_pop_front(&conns->places[CONN_PLACE_NONE]));
    conns->free_count--;
    XD_ASSERT(conn->state == CONN_FREE);
    XD_ASSERT(conn->inbox.first == NULL && outbox_empty(&conn->outbox));
    conn->state = CONN_OPEN;
    conn->handle = handle;
    conn->origin = origin;
    conn->stranger = true;
    conn->length_max = XD_FRAME_BYTES_PREAUTH_MAX < conns->options.frame_bytes_max
                           ? XD_FRAME_BYTES_PREAUTH_MAX
                           : conns->options.frame_bytes_max;
    conn->hello_ns = env_now_mono_ns(conns->env);
    list_push_back(&conns->hello, &conn->hello_node);
    conns->count++;
    counters_add(conns->counters, COUNTER_connections_accepted, 1);
    counters_set(conns->counters, COUNTER_connections_open, conns->count);
    news_add(conns, conn, CONN_NEWS_ACCEPTED);
    conn_recv_update(conns, conn);
    return NET_TAKEN;
}

/* ENDED -> FREE with a new generation, so that the old id finds nothing. Freed slots are used last:
 * a generation of 16 bits then comes back only after 65535 uses of every slot. */
static void conn_free(struct conns *conns, struct conn *conn)
{
    uint32_t slot = conn->id & 0xffff;
    uint32_t generation = (conn->id >> 16) + 1;

    XD_ASSERT(conn->state == CONN_ENDED && conn->news == 0);
    *conn = (struct conn){.id = (generation > 0xffff ? 1 : generation) << 16 | slot,
                          .remote = conn->remote};
    outbox_init(&conn->outbox);
    list_push_back(conns_free_list(conns, conn->remote), &conn->place_node);
    conns->free_count += !conn->remote;
}

void conn_ended(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(conn->state == CONN_CLOSING);
    XD_ASSERT(outbox_empty(&conn->outbox) && conn->inbox.first == NULL);
    conn->state = CONN_ENDED;
    origins_release(&conns->origins, conn->origin, conn->stranger);
    conn->origin = NULL;
    uint32_t *count = conn->remote ? &conns->remotes.count : &conns->count;
    XD_ASSERT(*count > 0);
    (*count)--;
    counters_set(conns->counters,
                 conn->remote ? COUNTER_connections_remote : COUNTER_connections_open, *count);
    if (conn->news == 0)
        conn_free(conns, conn);
}

void conn_told(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(conn->news == 0 && !list_linked(&conn->news_node));
    if (conn->state == CONN_ENDED)
        conn_free(conns, conn);
}

void conn_admit(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(conn->state == CONN_OPEN);
    conn->length_max = conns->options.frame_bytes_max;
    unlink_if(&conn->hello_node);
    if (conn->stranger)
        origins_greeted(conn->origin);
    conn->stranger = false;
}

void conn_touch(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(conn->state == CONN_OPEN || conn->state == CONN_DRAINING);
    if (!list_linked(&conn->flush_node))
        list_push_back(&conns->flush, &conn->flush_node);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* A receive ended without bytes. */
static void recv_failed(struct conns *conns, struct conn *conn, int32_t result)
{
    switch (result) {
    case 0:
        conn->ended_by_peer = true;
        if (conn->state == CONN_OPEN && !conn_frame_waits(conn))
            conn_place_update(conns, conn);
        break;
    case -ENOBUFS:
        XD_ASSERT(conn->recv == CONN_RECV_IDLE);
        conn->recv = CONN_RECV_STARVED;
        list_push_back(&conns->starved, &conn->starved_node);
        break;
    case -ECANCELED: /* as asked for, or taken back meanwhile */
        conn_recv_update(conns, conn);
        break;
    default:
        conn_abort(conns, conn, NET_CLOSE_ERROR, result);
        break;
    }
}

void conn_received(struct conns *conns, struct conn *conn, const struct env_event *event)
{
    XD_ASSERT(conn->recv == CONN_RECV_ARMED || conn->recv == CONN_RECV_STOPPING);
    if (!event->more)
        conn->recv = CONN_RECV_IDLE;
    if (event->result > 0) {
        uint32_t bytes = (uint32_t)event->result;
        counters_add(conns->counters, COUNTER_bytes_received, bytes);
        if (conn->state != CONN_OPEN) {
            env_buffer_release(conns->env, event->buffer);
        } else {
            inbox_append(&conns->assemble, &conn->inbox, event->data, bytes, event->buffer);
            if (!conn_frame_waits(conn))
                conn_place_update(conns, conn);
        }
        /* One that is about to be read is not judged before the end of the turn. */
        if (!event->more || conn->place > CONN_PLACE_READY)
            conn_recv_update(conns, conn);
    } else if (conn->state == CONN_OPEN || conn->state == CONN_DRAINING) {
        XD_ASSERT(!event->more);
        recv_failed(conns, conn, event->result);
    }
}

void conn_sent_whole(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(!outbox_flying(&conn->outbox));
    if (conn->place == CONN_PLACE_BLOCKED && !outbox_full(&conns->output, &conn->outbox))
        conn_place_set(conns, conn, CONN_PLACE_READY);
    conn_touch(conns, conn);
}

void conn_sent(struct conns *conns, struct conn *conn, int32_t result)
{
    uint32_t expected = conn->outbox.flying_bytes;

    XD_ASSERT(outbox_flying(&conn->outbox));
    unlink_if(&conn->send_node);
    outbox_sent(&conns->output, &conn->outbox);
    if (result > 0)
        counters_add(conns->counters, COUNTER_bytes_sent, (uint32_t)result);
    if (conn->state == CONN_CLOSING) {
        outbox_drop(&conns->output, &conn->outbox);
        return;
    }
    if (result < 0 || (uint32_t)result < expected) {
        conn_abort(conns, conn, NET_CLOSE_ERROR, result < 0 ? result : -EPIPE);
        return;
    }
    conn_sent_whole(conns, conn);
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Behind the others. What it had beyond its turn counts in the next one; the largest frame is so
 * much as not to be owed for more than 129 turns. */
static void turn_end(struct conns *conns, struct conn *conn)
{
    uint32_t bytes = conn->turn_bytes;

    XD_ASSERT(bytes < CONN_TURN_BYTES + XD_FRAME_BYTES_HARD_MAX + XD_FRAME_HEADER_BYTES);
    conn_place_set(conns, conn, CONN_PLACE_READY);
    conn->turn_bytes = bytes > CONN_TURN_BYTES ? bytes - CONN_TURN_BYTES : 0;
}

struct conn *conn_next(struct conns *conns)
{
    struct list *ready = &conns->places[CONN_PLACE_READY];
    struct list_node *node;

    while ((node = list_first(ready)) != NULL) {
        struct conn *conn = conn_of_place(node);
        XD_ASSERT(conn->state == CONN_OPEN && conn->inbox.head_known);
        if (outbox_full(&conns->output, &conn->outbox)) {
            conn_place_set(conns, conn, CONN_PLACE_BLOCKED);
            conn_recv_update(conns, conn);
        } else if (conn->turn_frames < CONN_TURN_FRAMES && conn->turn_bytes < CONN_TURN_BYTES) {
            conn->turn_frames++;
            conn->turn_bytes += XD_FRAME_HEADER_BYTES + conn->inbox.head.length;
            return conn;
        } else {
            turn_end(conns, conn);
        }
    }
    return NULL;
}

void conn_frame_done(struct conns *conns, struct conn *conn)
{
    if (conn->state != CONN_OPEN) {
        /* It was closed while its frame was out. */
        XD_ASSERT(conn->state == CONN_DRAINING);
        input_drop(conns, conn);
        return;
    }
    XD_ASSERT(conn->place == CONN_PLACE_READY);
    if (conn->remote) {
        remote_consume(conns, conn); /* Its home has counted it. */
        return;
    }
    counters_add(conns->counters, COUNTER_frames_received, 1);
    conn->bulk = conn->inbox.head.length > CONN_BULK_BYTES;
    inbox_consume(&conns->assemble, &conn->inbox);
    conn_place_update(conns, conn);
    if (conn->recv == CONN_RECV_IDLE || conns->memory != NET_MEMORY_NORMAL)
        conn_recv_update(conns, conn);
}

struct net_lent *conn_lend(struct conns *conns, struct conn *conn)
{
    XD_ASSERT(!conn->remote);
    if (conn->state != CONN_OPEN)
        return NULL;
    XD_ASSERT(conn->place == CONN_PLACE_READY);
    struct net_lent *lent = lend_frame(&conns->lend, &conns->assemble, conn);
    if (lent == NULL) {
        counters_add(conns->counters, COUNTER_frames_lend_refused, 1);
        return NULL;
    }
    counters_add(conns->counters, COUNTER_frames_lent, 1);
    conn_frame_done(conns, conn);
    return lent;
}

void conns_lent_return(struct conns *conns, struct net_lent *lent)
{
    struct conn *conn = conn_find(conns, lent->conn);

    XD_ASSERT(conn == NULL || !conn->remote);
    lend_return(&conns->lend, &conns->assemble, conn, lent);
    if (conn == NULL)
        return;
    if (conn->state == CONN_OPEN && conn->ended_by_peer && !conn_frame_waits(conn))
        ended_by_peer(conns, conn);
    if (conn->recv == CONN_RECV_IDLE)
        conn_recv_update(conns, conn);
}

void conn_stall(struct conns *conns, struct conn *conn)
{
    if (conn->state != CONN_OPEN) {
        conn_frame_done(conns, conn);
        return;
    }
    XD_ASSERT(conn->place == CONN_PLACE_READY);
    conn_place_set(conns, conn, CONN_PLACE_STALLED);
    conn_recv_update(conns, conn);
}

void conns_unstall(struct conns *conns)
{
    struct list_node *node;

    while ((node = list_first(&conns->places[CONN_PLACE_STALLED])) != NULL) {
        struct conn *conn = conn_of_place(node);
        XD_ASSERT(conn->state == CONN_OPEN && conn->place == CONN_PLACE_STALLED);
        conn_place_set(conns, conn, CONN_PLACE_READY);
    }
}

/* ---- end of a turn --------------------------------------------------------------------------- */

/* Starts a send when there is something to send, or the end when there is nothing left. */
static void conn_flush(struct conns *conns, struct conn *conn)
{
    struct outbox *outbox = &conn->outbox;

    XD_ASSERT(conn->state == CONN_OPEN || conn->state == CONN_DRAINING);
    if (outbox_flying(outbox))
        return;
    uint32_t pieces = outbox_take(&conns->output, outbox);
    if (pieces > 0) {
        if (conn->remote) {
            list_push_back(&conns->remotes.outputs, &conn->send_node);
            return;
        }
        conn->send_ns = env_now_mono_ns(conns->env);
        list_push_back(&conns->sending, &conn->send_node);
        env_net_send(conns->env, conn->handle, outbox->pieces, pieces,
                     conn_token(conn, CONN_TOKEN_SEND));
    } else if (conn->state == CONN_DRAINING) {
        conn_abort(conns, conn, conn->reason, conn->cause);
    }
}

void conns_flush(struct conns *conns)
{
    struct list_node *node;

    while ((node = list_pop_front(&conns->flush)) != NULL)
        conn_flush(conns, LIST_ELEMENT(node, struct conn, flush_node));
}
