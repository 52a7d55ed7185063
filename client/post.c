/* SPDX-License-Identifier: Apache-2.0
 *
 * Records into the outbox: xdock_post, xdock_send, xdock_post_encoded, xdock_encode, and the route
 * of a record.
 *
 * Normal path: the record is checked, its topic's route found (nearly always that of the last
 * record), its key hashed to a partition, and it is encoded straight behind the others of that
 * partition's open batch: one copy. The clock is read only where the record names no time or no id,
 * where a linger runs, or to wait. A full batch is closed and gives the connection a turn.
 * Failure paths: a wrong field is named before anything is changed. No free slot: the connection is
 * driven until one is free or the time is over; when all slots hold outcomes that the program has
 * not taken, waiting cannot help and the status comes at once. An unknown topic makes the catalog
 * be fetched once.
 */
#include "client/producer.h"

#include "client/record.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Less than this is left in a batch: it is full. */
#define RECORD_BYTES_MIN 64u

/* End of a call that mostly does not wait: the clock is read when it first does. */
struct lazy_end {
    uint32_t timeout_ms; /* that the program gave */
    uint64_t ns;         /* 0 = not read yet */
};

static uint64_t end_ns_of(const struct xdock_producer *producer, struct lazy_end *end)
{
    if (end->ns == 0)
        end->ns = xd_client_end_ns(producer->client, end->timeout_ms);
    return end->ns;
}

static int field_failed(struct xdock_producer *producer, int status, const char *field)
{
    return xd_client_fail(producer->client, status, "record: field", field);
}

/* ---- routes ---------------------------------------------------------------------------------- */

static const struct xd_route *find_route(struct xdock_producer *producer, const char *topic)
{
    const struct xd_route *last = producer->last_route;
    if (last != NULL && strcmp(last->name, topic) == 0)
        return last;
    xd_producer_sync_routes(producer);
    for (uint32_t i = producer->route_count; i > 0; i--) { /* the newest placement wins */
        const struct xd_route *route = &producer->routes[i - 1];
        if (strcmp(route->name, topic) == 0) {
            producer->last_route = route;
            return route;
        }
    }
    return NULL;
}

/* The route of a topic; an unknown one makes the catalog be fetched within the time. */
static int get_route(struct xdock_producer *producer, const char *topic, struct lazy_end *end,
                     const struct xd_route **ret_route)
{
    if (topic == NULL || *topic == '\0')
        return field_failed(producer, XD_FIELD_INVALID, "topic");
    const struct xd_route *route = find_route(producer, topic);
    if (route == NULL) {
        int status = xd_client_catalog(producer->client, end_ns_of(producer, end));
        if (status == XD_WRONG_THREAD || producer->finished < 0)
            return producer->finished < 0 ? producer->finished : status;
        route = find_route(producer, topic);
    }
    if (route == NULL) {
        char text[128];
        snprintf(text, sizeof(text), "topic '%.64s' is not in the catalog", topic);
        return xd_client_fail(producer->client, XD_TOPIC_UNKNOWN, text,
                              "create it with `crossdock topic create`");
    }
    *ret_route = route;
    return 0;
}

/* Checks the record and finds its topic's route; the build then has its route key. */
static int prepare(struct xdock_producer *producer, const xdock_record_t *record,
                   struct lazy_end *end, struct xd_record_build *ret_build,
                   const struct xd_route **ret_route)
{
    const char *field = "";
    int status = xd_record_prepare(record, ret_build, &field);
    if (status < 0)
        return field_failed(producer, status, field);
    status = get_route(producer, record->topic, end, ret_route);
    if (status < 0)
        return status;
    ret_build->core.route_key = xd_record_route_key((*ret_route)->strategy, ret_build);
    return 0;
}

static struct xd_chain *chain_of(struct xdock_producer *producer, const struct xd_route *route,
                                 uint32_t route_key)
{
    XD_ASSERT(route->width > 0);
    uint32_t index = route->first_chain + xd_route_bucket(route_key, route->width);
    XD_ASSERT(index < producer->outbox.chain_count);
    return &producer->outbox.chains[index];
}

/* ---- room ------------------------------------------------------------------------------------ */

/* Drives the connection until `slots` slots are free. */
static int await_room(struct xdock_producer *producer, uint32_t slots, struct lazy_end *end)
{
    struct xd_outbox *outbox = &producer->outbox;
    XD_ASSERT(slots > 0 && slots <= outbox->slot_count);
    while (outbox->free_count < slots) {
        if (outbox->kept_count == 0 && outbox->open_count == 0 &&
            producer->client->connection.shipment.slot_count == 0)
            return xd_client_fail(producer->client, XD_BUFFER_FULL, "buffer",
                                  "it holds outcomes only: take them with xdock_acks, or set "
                                  "producer.acks = failures");
        int status = xd_client_round(producer->client, end_ns_of(producer, end));
        if (producer->finished < 0)
            return producer->finished;
        if (status == XD_DEADLINE_EXCEEDED && outbox->free_count < slots)
            return xd_client_fail(producer->client, XD_BUFFER_FULL, "buffer",
                                  "no acknowledgement made room before the deadline");
        if (status < 0 && status != XD_DEADLINE_EXCEEDED)
            return status;
    }
    return 0;
}

/* An open slot with at least `bytes` of room, as far as a slot can have it. */
static int open_slot(struct xdock_producer *producer, struct xd_chain *chain, struct lazy_end *end)
{
    while (chain->open == NULL) {
        uint64_t now_ns = producer->linger_ns > 0 ? xd_client_now_ns(producer->client) : 0;
        if (xd_chain_open(&producer->outbox, chain, now_ns))
            return 0;
        int status = await_room(producer, 1, end);
        if (status < 0)
            return status;
    }
    return 0;
}

/* A batch that has no room for another record is closed: true. */
static bool close_full(struct xdock_producer *producer, struct xd_chain *chain)
{
    struct xd_outbox *outbox = &producer->outbox;
    const struct xd_slot *slot = chain->open;
    XD_ASSERT(slot != NULL && slot->bytes <= outbox->batch_bytes_max);
    if (outbox->batch_bytes_max - slot->bytes >= RECORD_BYTES_MIN &&
        slot->count < outbox->entries_max)
        return false;
    xd_chain_close(outbox, chain);
    return true;
}

/* ---- one record ------------------------------------------------------------------------------ */

/* Number of the record: its own, or the next one. */
static int get_sequence(struct xdock_producer *producer, const struct xd_chain *chain,
                        uint64_t wanted, uint64_t *ret_sequence)
{
    if (wanted == 0) {
        uint64_t last = producer->given_sequence > producer->assigned_sequence
                            ? producer->given_sequence
                            : producer->assigned_sequence;
        *ret_sequence = last + 1;
        return 0;
    }
    if (wanted > producer->given_sequence && wanted > chain->last_posted && wanted < UINT64_MAX) {
        *ret_sequence = wanted;
        return 0;
    }
    char text[200];
    snprintf(text, sizeof(text),
             "sequence %llu does not rise: %llu was given last, partition %u holds up to %llu",
             (unsigned long long)wanted, (unsigned long long)producer->given_sequence,
             chain->partition, (unsigned long long)chain->last_posted);
    return field_failed(producer, XD_FIELD_INVALID, text);
}

/* Fills in what the record left open and what the producer knows. */
static void complete(struct xdock_producer *producer, struct xd_record_build *build)
{
    struct xd_transport *transport = producer->client->transport;
    struct xd_record_core *core = &build->core;
    uint64_t id[2];
    memcpy(id, core->event_id, sizeof(id));
    int64_t now_us = core->event_time_us;
    if (core->event_time_us == 0 || (id[0] | id[1]) == 0)
        now_us = transport->ops->wall_us(transport);
    if (core->event_time_us == 0)
        core->event_time_us = now_us;
    if ((id[0] | id[1]) == 0)
        xd_event_id(core->event_id, now_us, &producer->random_state);
    XD_ASSERT(producer->identity.producer_id > 0);
    core->channel = (uint32_t)producer->identity.producer_id;
    core->facility = producer->identity.facility;
    core->channel_epoch = producer->identity.channel_epoch;
}

/* Encodes behind the others of the chain's batch, opening batches as needed. */
static int encode_into(struct xdock_producer *producer, struct xd_chain *chain,
                       const struct xd_record_build *build, uint64_t user, struct lazy_end *end,
                       bool *ret_closed)
{
    struct xd_outbox *outbox = &producer->outbox;
    for (;;) {
        int status = open_slot(producer, chain, end);
        if (status < 0)
            return status;
        struct xd_slot *slot = chain->open;
        XD_ASSERT(slot->bytes <= outbox->batch_bytes_max);
        const char *field = "payload";
        int bytes = xd_record_encode(build, (uint8_t *)slot->header + slot->bytes,
                                     outbox->batch_bytes_max - slot->bytes, &field);
        if (bytes >= 0) {
            xd_chain_wrote(outbox, chain, (uint32_t)bytes, user, build->core.source_sequence,
                           build->core.event_time_us);
            return 0;
        }
        if (bytes == -ENOBUFS && slot->count > 0) {
            xd_chain_close(outbox, chain);
            *ret_closed = true;
            continue;
        }
        xd_chain_undo_open(outbox, chain);
        if (bytes == -ENOBUFS)
            return field_failed(producer, XD_RECORD_TOO_LARGE,
                                "payload: larger than producer.batch_bytes allows");
        return field_failed(producer, bytes, field);
    }
}

/* Queues one record. *ret_slot, if wanted, is the slot that has it as its last. */
static int post(struct xdock_producer *producer, const xdock_record_t *record, uint64_t user,
                struct lazy_end *end, struct xd_slot **ret_slot)
{
    struct xd_record_build build;
    const struct xd_route *route;
    int status = prepare(producer, record, end, &build, &route);
    if (status < 0)
        return status;
    struct xd_chain *chain = chain_of(producer, route, build.core.route_key);
    status = get_sequence(producer, chain, record->sequence, &build.core.source_sequence);
    if (status < 0)
        return status;
    complete(producer, &build);
    bool closed = false;
    status = encode_into(producer, chain, &build, user, end, &closed);
    if (status < 0)
        return status;
    XD_ASSERT(build.core.source_sequence > producer->given_sequence);
    producer->given_sequence = build.core.source_sequence;
    if (producer->given_sequence > producer->assigned_sequence)
        producer->assigned_sequence = producer->given_sequence;
    if (ret_slot != NULL)
        *ret_slot = chain->open;
    closed = close_full(producer, chain) || closed;
    if (closed && ret_slot == NULL)
        (void)xd_client_turn(producer->client, XD_TURN_FULL_BATCHES); /* full batches leave */
    return 0;
}

/* A linger that ends while the program does nothing but post. */
static void check_linger(struct xdock_producer *producer)
{
    struct xd_link *oldest = xd_link_first(&producer->outbox.open);
    if (producer->linger_ns == 0 || oldest == NULL)
        return;
    const struct xd_slot *slot = XD_LINK_ELEMENT(oldest, struct xd_slot, link);
    if (xd_client_now_ns(producer->client) - slot->opened_ns >= producer->linger_ns)
        (void)xd_client_turn(producer->client, XD_TURN_FULL_BATCHES); /* what is due leaves */
}

int xdock_post(xdock_producer_t *producer, const xdock_record_t *record, uint64_t user,
               uint32_t timeout_ms)
{
    XD_ASSERT(record != NULL);
    int status = xd_producer_enter(producer);
    if (status < 0)
        return status;
    struct lazy_end end = {.timeout_ms = timeout_ms};
    status = post(producer, record, user, &end, NULL);
    check_linger(producer);
    return status;
}

int xdock_send(xdock_producer_t *producer, const xdock_record_t *record, xdock_ack_t *ret_ack,
               uint32_t timeout_ms)
{
    XD_ASSERT(record != NULL);
    int status = xd_producer_enter(producer);
    if (status < 0)
        return status;
    struct lazy_end end = {.timeout_ms = timeout_ms};
    uint64_t end_ns = end_ns_of(producer, &end);
    struct xd_slot *slot = NULL;
    status = post(producer, record, 0, &end, &slot);
    if (status < 0)
        return status;
    XD_ASSERT(slot != NULL);
    uint32_t index = slot->count - 1;
    slot->awaited = true;
    if (slot->chain->open == slot)
        xd_chain_close(&producer->outbox, slot->chain);
    while (!slot->is_settled) {
        status = xd_client_round(producer->client, end_ns);
        if (status < 0 && !slot->is_settled)
            return status;
    }
    const xdock_ack_t ack = xd_slot_take(&producer->outbox, slot, index);
    if (ret_ack != NULL)
        *ret_ack = ack;
    return ack.status;
}

int64_t xdock_producer_route(xdock_producer_t *producer, const xdock_record_t *record)
{
    XD_ASSERT(record != NULL);
    int status = xd_producer_enter(producer);
    if (status < 0)
        return status;
    struct xd_record_build build;
    const struct xd_route *route;
    struct lazy_end end = {.timeout_ms = 0};
    status = prepare(producer, record, &end, &build, &route);
    if (status < 0)
        return status;
    return chain_of(producer, route, build.core.route_key)->partition;
}

/* ---- encoded records ------------------------------------------------------------------------- */

int xdock_encode(xdock_producer_t *producer, const xdock_record_t *record, void *buffer,
                 size_t bytes)
{
    XD_ASSERT(record != NULL && (buffer != NULL || bytes == 0));
    XD_ASSERT(((uintptr_t)buffer & 7u) == 0);
    int status = xd_producer_enter(producer);
    if (status < 0)
        return status;
    struct xd_record_build build;
    const struct xd_route *route;
    const char *field = "";
    struct lazy_end end = {.timeout_ms = 0};
    status = prepare(producer, record, &end, &build, &route);
    if (status < 0)
        return status;
    build.core.source_sequence = record->sequence;
    complete(producer, &build);
    status = xd_record_encode(&build, buffer, bytes, &field);
    return status < 0 && status != -ENOBUFS ? field_failed(producer, status, field) : status;
}

/* Size of the record at `at`, checked against what is there; 0 = it cannot be. */
static uint32_t record_stride(const uint8_t *body, size_t at, size_t bytes)
{
    if (bytes - at < sizeof(struct xd_record_core))
        return 0;
    const struct xd_record_core *core = (const struct xd_record_core *)(const void *)(body + at);
    if (core->record_bytes < sizeof(*core) || core->record_bytes > XD_RECORD_BYTES_MAX)
        return 0;
    uint32_t stride = (core->record_bytes + 7u) & ~7u;
    return stride <= bytes - at ? stride : 0;
}

/* Walks the body: all records are whole, go to one partition and fit a batch. *ret_slots are the
 * slots that they take beyond the open one. */
static int check_body(struct xdock_producer *producer, const struct xd_route *route,
                      const uint8_t *body, size_t bytes, uint32_t count,
                      struct xd_chain **ret_chain, uint32_t *ret_slots)
{
    struct xd_outbox *outbox = &producer->outbox;
    struct xd_chain *chain = NULL;
    uint32_t fill = 0;
    uint32_t records = 0;
    uint32_t slots = 0;
    size_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t stride = at < bytes ? record_stride(body, at, bytes) : 0;
        if (stride == 0)
            return field_failed(producer, XD_RECORD_MALFORMED, "record_bytes");
        const struct xd_record_core *core =
            (const struct xd_record_core *)(const void *)(body + at);
        struct xd_chain *own = chain_of(producer, route, core->route_key);
        if (chain == NULL) {
            chain = own;
            fill = chain->open != NULL ? chain->open->bytes : outbox->batch_bytes_max;
            records = chain->open != NULL ? chain->open->count : 0;
        }
        if (own != chain)
            return field_failed(producer, XD_PARTITION_WRONG, "route_key");
        if (fill + stride > outbox->batch_bytes_max || records == outbox->entries_max) {
            slots++;
            records = 0;
            fill = XD_BATCH_HEADER_BYTES;
            if (fill + stride > outbox->batch_bytes_max)
                return field_failed(producer, XD_RECORD_TOO_LARGE, "record_bytes");
        }
        fill += stride;
        records++;
        at += stride;
    }
    if (at != bytes || chain == NULL)
        return field_failed(producer, XD_RECORD_MALFORMED, "record_count");
    if (slots > outbox->slot_count)
        return field_failed(producer, XD_BATCH_TOO_LARGE,
                            "body: larger than producer.buffer_bytes");
    *ret_chain = chain;
    *ret_slots = slots;
    return 0;
}

/* Copies the records, which have room, and numbers them. */
static bool copy_body(struct xdock_producer *producer, struct xd_chain *chain, const uint8_t *body,
                      uint32_t count, uint64_t user)
{
    struct xd_outbox *outbox = &producer->outbox;
    uint64_t sequence = producer->assigned_sequence;
    XD_ASSERT(count > 0 && sequence >= producer->given_sequence);
    uint64_t now_ns = producer->linger_ns > 0 ? xd_client_now_ns(producer->client) : 0;
    bool closed = false;
    for (uint32_t i = 0; i < count; i++) {
        const struct xd_record_core *from = (const struct xd_record_core *)(const void *)body;
        uint32_t stride = (from->record_bytes + 7u) & ~7u;
        if (chain->open != NULL && (chain->open->bytes + stride > outbox->batch_bytes_max ||
                                    chain->open->count == outbox->entries_max)) {
            xd_chain_close(outbox, chain);
            closed = true;
        }
        bool opened = chain->open != NULL || xd_chain_open(outbox, chain, now_ns);
        XD_ASSERT(opened); /* check_body has counted the slots */
        uint8_t *to = (uint8_t *)chain->open->header + chain->open->bytes;
        memcpy(to, body, stride);
        struct xd_record_core *core = (struct xd_record_core *)(void *)to;
        core->source_sequence = ++sequence;
        core->channel = (uint32_t)producer->identity.producer_id;
        core->facility = producer->identity.facility;
        core->channel_epoch = producer->identity.channel_epoch;
        xd_chain_wrote(outbox, chain, stride, user + i, sequence, core->event_time_us);
        body += stride;
    }
    producer->given_sequence = sequence;
    producer->assigned_sequence = sequence;
    return close_full(producer, chain) || closed;
}

int xdock_post_encoded(xdock_producer_t *producer, const char *topic, const void *body,
                       size_t bytes, uint32_t count, uint64_t user, uint32_t timeout_ms)
{
    XD_ASSERT(body != NULL && ((uintptr_t)body & 7u) == 0);
    int status = xd_producer_enter(producer);
    if (status < 0)
        return status;
    struct lazy_end end = {.timeout_ms = timeout_ms};
    const struct xd_route *route;
    status = get_route(producer, topic, &end, &route);
    if (status < 0)
        return status;
    struct xd_chain *chain = NULL;
    uint32_t slots = 0;
    for (;;) {
        status = check_body(producer, route, body, bytes, count, &chain, &slots);
        if (status < 0)
            return status;
        if (producer->outbox.free_count >= slots)
            break;
        status = await_room(producer, slots, &end); /* may send the open batch: count again */
        if (status < 0)
            return status;
    }
    if (copy_body(producer, chain, body, count, user))
        (void)xd_client_turn(producer->client, XD_TURN_FULL_BATCHES); /* full batches leave */
    check_linger(producer);
    return 0;
}
