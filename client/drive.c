/* SPDX-License-Identifier: Apache-2.0
 *
 * The turn: receive, move on, send; and the round that blocking calls repeat.
 *
 * Normal path: frames that have come go to their owners; a new greeting lets producers attach and
 * readers ask again; then requests and batches go out until the transport is full or nothing is
 * left. Sending may free nothing, receiving may free a lot, so both repeat while they bring
 * something, at most ROUNDS_MAX times: a turn ends even when the broker is faster than we are.
 * Failure path: a lost connection is told to all owners once; they keep what they need and go on
 * when the next greeting comes.
 */
#include "client/client.h"

#include "client/producer.h"
#include "client/reader.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>

#define ROUNDS_MAX 64
/* A shard that is behind the one that named an epoch is there in milliseconds, or its disk hangs.
 */
#define CATALOG_RETRY_NS 100000000u

/* ---- what comes ------------------------------------------------------------------------------ */

static void lost(xdock_client_t *client)
{
    const struct xd_connection *connection = &client->connection;
    XD_ASSERT(!xd_connection_ready(connection));
    XD_ASSERT(connection->shipment.piece_count == 0);
    if (connection->status == XD_VERSION_UNSUPPORTED || connection->status == XD_LOG_FOREIGN)
        client->fatal = xd_client_fail(client, connection->status, NULL, connection->text);
    xd_catalog_lost(&client->catalog);
    xd_admin_lost(client);
    for (struct xd_link *link = xd_link_first(&client->producers); link != NULL;
         link = xd_link_next(&client->producers, link))
        xd_producer_lost(XD_LINK_ELEMENT(link, struct xdock_producer, link));
    for (struct xd_link *link = xd_link_first(&client->readers); link != NULL;
         link = xd_link_next(&client->readers, link))
        xd_reader_lost(XD_LINK_ELEMENT(link, struct xdock_reader, link));
}

/* Slots of a shipment that is out, or lost, belong to the outbox alone again. */
static void shipment_landed(xdock_client_t *client)
{
    struct xd_shipment *shipment = &client->connection.shipment;
    XD_ASSERT(shipment->piece_count == 0);
    XD_ASSERT(shipment->slot_count <= XD_SHIPMENT_BATCHES_MAX);
    for (uint32_t i = 0; i < shipment->slot_count; i++)
        xd_producer_landed(shipment->owner, shipment->slots[i]);
    shipment->slot_count = 0;
}

void xd_client_break(xdock_client_t *client, int status, const char *text)
{
    (void)xd_connection_lose(&client->connection, xd_client_now_ns(client), status, text);
    shipment_landed(client);
    lost(client);
}

/* A frame that does not decode: the stream cannot be trusted any more. */
static void break_off(xdock_client_t *client, const char *what, const char *field)
{
    char text[XD_CONNECTION_TEXT_BYTES];
    snprintf(text, sizeof(text), "%s: field %s is wrong", what, field);
    xd_client_break(client, XD_FRAME_MALFORMED, text);
}

static void take_catalog(xdock_client_t *client, const struct xd_reply_head *head,
                         const uint8_t *body, size_t bytes)
{
    struct xd_catalog *catalog = &client->catalog;
    const char *field = "";
    int taken = 0;
    XD_ASSERT(catalog->asked);
    catalog->asked = false;
    catalog->status = head->status;
    if (head->status == XD_FIELD_INVALID && catalog->has.topics > 0) {
        xd_catalog_forget(catalog); /* the folder was put back to an older state */
        catalog->wanted = true;
        return;
    }
    if (head->status >= 0)
        taken = xd_catalog_take(catalog, body, bytes, &field);
    if (taken == 1) {
        catalog->wanted = true;
        return;
    }
    if (taken < 0) {
        catalog->status = taken;
        break_off(client, "CATALOG", field);
    }
    catalog->fetches++;
    if (catalog->view.fixed.epoch < catalog->epoch_heard)
        catalog->retry_ns = xd_client_now_ns(client) + CATALOG_RETRY_NS;
}

static void take_reply(xdock_client_t *client, const struct xd_arrival *arrival)
{
    struct xd_reply_head head;
    struct xd_text detail;
    const uint8_t *body;
    size_t bytes;
    XD_ASSERT(arrival->owner != NULL && arrival->payload != NULL);
    if (xd_reply_decode(arrival->payload, arrival->head.length, &head, &detail, &body, &bytes) <
        0) {
        break_off(client, "reply", "head");
        return;
    }
    xd_catalog_heard(&client->catalog, head.catalog_epoch);
    const char *field = NULL;
    switch (arrival->head.op) {
    case XD_OP_CATALOG:
        take_catalog(client, &head, body, bytes);
        break;
    case XD_OP_PRODUCER_OPEN:
        field = xd_producer_opened(arrival->owner, &head, detail, body, bytes);
        break;
    case XD_OP_PRODUCER_CLOSE:
        xd_producer_closed(arrival->owner);
        break;
    case XD_OP_READ:
        field = xd_reader_reply(arrival->owner, arrival->tag, &head, detail, body, bytes);
        break;
    case XD_OP_ADMIN:
        xd_admin_reply(client, &head, detail, body, bytes);
        break;
    default:
        field = "op";
        break;
    }
    if (field != NULL)
        break_off(client, "reply", field);
}

static void take_arrival(xdock_client_t *client, const struct xd_arrival *arrival)
{
    if (!(arrival->head.flags & XD_FRAME_PUSH)) {
        take_reply(client, arrival);
        return;
    }
    const char *field = "op";
    if (arrival->head.op == XD_OP_ACK)
        field = xd_acks_take(client, arrival->payload, arrival->head.length);
    if (field != NULL)
        break_off(client, "ACK", field);
}

/* Returns the number of frames. */
static int receive_all(xdock_client_t *client)
{
    struct xd_arrival arrival;
    int count = 0;
    int status;
    while ((status = xd_connection_receive(&client->connection, xd_client_now_ns(client),
                                           &arrival)) == 1) {
        take_arrival(client, &arrival);
        count++;
    }
    if (status < 0)
        lost(client);
    return count + (status < 0 ? 1 : 0);
}

/* ---- what goes ------------------------------------------------------------------------------- */

static void ask_catalog(xdock_client_t *client, uint64_t now_ns)
{
    struct xd_catalog *catalog = &client->catalog;
    if (!catalog->wanted || catalog->asked || now_ns < catalog->retry_ns)
        return;
    if (xd_connection_request(&client->connection, XD_OP_CATALOG, &catalog->has,
                              sizeof(catalog->has), client, 0, NULL, 0) < 0)
        return;
    catalog->asked = true;
    catalog->wanted = false;
}

static void ask_all(xdock_client_t *client, uint64_t now_ns)
{
    ask_catalog(client, now_ns);
    for (struct xd_link *link = xd_link_first(&client->producers); link != NULL;
         link = xd_link_next(&client->producers, link))
        xd_producer_ask(XD_LINK_ELEMENT(link, struct xdock_producer, link), now_ns);
    for (struct xd_link *link = xd_link_first(&client->readers); link != NULL;
         link = xd_link_next(&client->readers, link))
        xd_reader_ask(XD_LINK_ELEMENT(link, struct xdock_reader, link), now_ns);
}

/* The next shipment, from the producers in turn. False: there is nothing to send. */
static bool load_shipment(xdock_client_t *client, enum xd_turn turn, uint64_t now_ns)
{
    struct xd_connection *connection = &client->connection;
    XD_ASSERT(connection->shipment.piece_count == 0 && connection->shipment.slot_count == 0);
    if (!xd_connection_ready(connection) || connection->drains)
        return false;
    struct xd_link *first = xd_link_first(&client->producers);
    for (struct xd_link *link = first; link != NULL;
         link = xd_link_next(&client->producers, link)) {
        struct xdock_producer *producer = XD_LINK_ELEMENT(link, struct xdock_producer, link);
        if (!xd_producer_load(producer, turn, now_ns))
            continue;
        /* Behind the others, so that all of them come to send. */
        xd_link_remove(link);
        xd_link_push_back(&client->producers, link);
        XD_ASSERT(connection->shipment.owner == producer && connection->shipment.piece_count > 0);
        return true;
    }
    return false;
}

/* Sends until the transport is full or nothing is left. True: something went out. */
static bool send_all(xdock_client_t *client, enum xd_turn turn, uint64_t now_ns)
{
    struct xd_connection *connection = &client->connection;
    uint64_t before = connection->bytes_sent;
    for (int i = 0; i < ROUNDS_MAX; i++) {
        int status = xd_connection_send(connection, now_ns);
        if (connection->shipment.piece_count == 0)
            shipment_landed(client);
        if (status < 0) {
            lost(client);
            return true;
        }
        if (status == 0 || !load_shipment(client, turn, now_ns))
            break;
    }
    return connection->bytes_sent != before;
}

int xd_client_turn(xdock_client_t *client, enum xd_turn turn)
{
    struct xd_connection *connection = &client->connection;
    int happened = 0;
    connection->in_drained = false;
    for (int i = 0; i < ROUNDS_MAX && client->fatal == 0; i++) {
        int received = receive_all(client);
        if (connection->shipment.piece_count == 0)
            shipment_landed(client);
        uint64_t now_ns = xd_client_now_ns(client);
        enum xd_connection_state state = connection->state;
        if (xd_connection_advance(connection, now_ns) < 0) {
            shipment_landed(client);
            lost(client);
        }
        happened |= received > 0 || state != connection->state;
        ask_all(client, now_ns);
        bool sent = send_all(client, turn, now_ns);
        happened |= sent;
        if (connection->in_drained || (received == 0 && !sent))
            break;
    }
    return happened ? 1 : 0;
}

/* ---- waiting --------------------------------------------------------------------------------- */

uint64_t xd_client_deadline_ns(const xdock_client_t *client)
{
    uint64_t deadline = xd_connection_deadline(&client->connection);
    if (!xd_connection_ready(&client->connection))
        return deadline;
    for (struct xd_link *link = xd_link_first(&client->producers); link != NULL;
         link = xd_link_next(&client->producers, link)) {
        uint64_t next = xd_producer_deadline(XD_LINK_ELEMENT(link, struct xdock_producer, link));
        deadline = next < deadline ? next : deadline;
    }
    for (struct xd_link *link = xd_link_first(&client->readers); link != NULL;
         link = xd_link_next(&client->readers, link)) {
        uint64_t next = xd_reader_deadline(XD_LINK_ELEMENT(link, struct xdock_reader, link));
        deadline = next < deadline ? next : deadline;
    }
    return deadline;
}

void xd_client_wait(xdock_client_t *client, uint64_t deadline_ns)
{
    uint64_t own_ns = xd_client_deadline_ns(client);
    XD_ASSERT(client->fatal == 0);
    short events = xd_connection_events(&client->connection);
    (void)client->transport->ops->wait(client->transport, events, /* the turn finds out what came */
                                       own_ns < deadline_ns ? own_ns : deadline_ns);
}

int xd_client_round(xdock_client_t *client, uint64_t end_ns)
{
    bool late = xd_client_now_ns(client) >= end_ns;
    int happened = xd_client_turn(client, XD_TURN_ALL_BATCHES);
    if (client->fatal < 0)
        return client->fatal;
    if (late)
        return xd_client_fail(client, XD_DEADLINE_EXCEEDED, "deadline",
                              xd_connection_ready(&client->connection)
                                  ? "the broker has not answered yet"
                                  : client->connection.text);
    if (!happened)
        xd_client_wait(client, end_ns);
    return 0;
}

int xd_client_catalog(xdock_client_t *client, uint64_t end_ns)
{
    struct xd_catalog *catalog = &client->catalog;
    uint32_t before = catalog->fetches;
    catalog->wanted = true;
    catalog->retry_ns = 0;
    while (catalog->fetches == before) {
        int status = xd_client_round(client, end_ns);
        if (status < 0 && catalog->fetches == before)
            return status;
    }
    return catalog->status;
}
