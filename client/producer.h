/* SPDX-License-Identifier: Apache-2.0
 *
 * The producer handle inside the library. producer.c opens, attaches and closes; post.c takes
 * records in; load.c fills shipments; acks.c draws the consequences of answers.
 *
 *   OPENING -> ATTACHED -> (connection lost) DETACHED -> ATTACHED ...
 *   any of them -> FINISHED, with the status that every later call gets
 */
#ifndef CROSSDOCK_CLIENT_PRODUCER_H
#define CROSSDOCK_CLIENT_PRODUCER_H

#include <stdbool.h>
#include <stdint.h>

#include <crossdock/producer.h>

#include "client/client.h"
#include "client/outbox.h"
#include "wire/limits.h"
#include "wire/request.h"
#include "wire/route.h"

enum xd_producer_state {
    XD_PRODUCER_OPENING,  /* PRODUCER_OPEN is to be sent or answered */
    XD_PRODUCER_ATTACHED, /* batches may leave */
    XD_PRODUCER_DETACHED, /* to be attached again on the next connection */
    XD_PRODUCER_FINISHED
};

/* One topic as this producer's facility sees it. */
struct xd_route {
    char name[XD_NAME_BYTES_MAX + 1]; /* zero-terminated */
    uint32_t topic;                   /* registry number */
    uint32_t partition_base;          /* first partition */
    uint32_t width;                   /* partitions */
    uint32_t first_chain;             /* index in the outbox */
    enum xd_strategy strategy;
};

struct xdock_producer {
    struct xd_link link; /* in client.producers */
    xdock_client_t *client;
    struct xd_outbox outbox;
    struct xd_identity identity; /* valid from the first ATTACHED on */
    enum xd_producer_state state;
    int finished; /* FINISHED: its status */
    char source[XD_NAME_BYTES_MAX + 1];
    char channel[XD_NAME_BYTES_MAX + 1];  /* "" = named after the facility */
    char facility[XD_NAME_BYTES_MAX + 1]; /* "" = global */

    struct xd_open first_open; /* what the program said at its open */
    bool new_epoch;            /* the next open asks for the epoch behind the one learnt */
    bool opened_again;         /* the open was repeated behind a newer catalog */
    bool asked;                /* PRODUCER_OPEN is on its way */
    bool close_asked;          /* PRODUCER_CLOSE is on its way */
    bool close_answered;
    uint64_t retry_ns;          /* no PRODUCER_OPEN before */
    uint64_t acked_sequence;    /* highest acknowledged at level fsync in this session */
    uint64_t assigned_sequence; /* highest ever assigned, as far as is known */
    uint64_t given_sequence;    /* highest given to a record in this session */
    uint64_t durable_sequence;  /* highest durable one of the channel */

    struct xd_route *routes; /* XD_TOPICS_MAX; one per topic in use */
    uint32_t route_count;
    uint32_t catalog_fetches;          /* of the catalog that the routes were made from */
    const struct xd_route *last_route; /* of the last record: most come in rows of one topic */
    uint64_t random_state;             /* of event ids */
    uint64_t linger_ns;
    uint32_t inflight_max; /* option; the broker's limit holds too */
    uint8_t durability;    /* enum xd_durability */
};

/* ---- for the turn (drive.c) ------------------------------------------------------------------ */
void xd_producer_lost(struct xdock_producer *producer);
/* Sends an open or attach that is due. */
void xd_producer_ask(struct xdock_producer *producer, uint64_t now_ns);
/* Reply to it: NULL, or the field that cannot be. */
const char *xd_producer_opened(struct xdock_producer *producer, const struct xd_reply_head *head,
                               struct xd_text detail, const uint8_t *body, size_t body_bytes);
void xd_producer_closed(struct xdock_producer *producer);
/* Fills the connection's empty shipment; false: nothing may leave now. */
bool xd_producer_load(struct xdock_producer *producer, enum xd_turn turn, uint64_t now_ns);
/* `slot` is not part of a shipment any more. */
void xd_producer_landed(struct xdock_producer *producer, struct xd_slot *slot);
/* Time by which a batch or an open wants to leave. */
uint64_t xd_producer_deadline(const struct xdock_producer *producer);
/* Takes an ACK payload: NULL, or the field that cannot be. */
const char *xd_acks_take(xdock_client_t *client, const uint8_t *payload, size_t bytes);

/* ---- among the producer's files -------------------------------------------------------------- */
/* 0 when the producer may be used, else what is in the way. */
int xd_producer_enter(struct xdock_producer *producer);
/* Ends the producer: every record without outcome gets one. */
void xd_producer_finish(struct xdock_producer *producer, int status, const char *text);
/* Makes routes for topics that the catalog has got since. */
void xd_producer_sync_routes(struct xdock_producer *producer);
/* Closes all open batches. */
void xd_producer_close_batches(struct xdock_producer *producer);

#endif
