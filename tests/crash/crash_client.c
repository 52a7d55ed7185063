/* SPDX-License-Identifier: Apache-2.0
 *
 * The source: requests, batches, answers.
 */
#include "tests/crash/crash_client.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (CRASH_SENT_MAX * 4096u)
#define TURN_NS 300000ull
#define TURNS_MAX 100000u

static bool fail(struct crash_client *client, const char *what, int64_t number)
{
    if (client->failure[0] == '\0')
        (void)snprintf(client->failure, sizeof(client->failure), "%s (%" PRId64 ")", what, number);
    return false;
}

/* ---- life ------------------------------------------------------------------------------------ */

void crash_client_init(struct crash_client *client, struct sim_broker *broker)
{
    memset(client, 0, sizeof(*client));
    client->broker = broker;
    client->bytes = aligned_alloc(8, BYTES_MAX);
    XD_ASSERT(client->bytes != NULL);
    wire_client_init(&client->wire, broker->sim);
}

void crash_client_deinit(struct crash_client *client)
{
    wire_client_deinit(&client->wire);
    free(client->bytes);
}

void crash_client_reset(struct crash_client *client)
{
    wire_client_leave(&client->wire, true);
    client->producer_epoch = 0;
    client->sequence = 0;
    memset(client->previous, 0, sizeof(client->previous));
    memset(client->records, 0, sizeof(client->records));
    memset(client->durable, 0, sizeof(client->durable));
    client->sent_count = 0;
    client->bytes_used = 0;
    client->failure[0] = '\0';
}

void crash_client_copy(struct crash_client *to, const struct crash_client *from,
                       uint32_t sent_count)
{
    crash_client_reset(to);
    XD_ASSERT(sent_count <= from->sent_count);
    to->producer_id = from->producer_id;
    to->producer_epoch = from->producer_epoch;
    to->facility = from->facility;
    to->channel_epoch = from->channel_epoch;
    to->sent_count = sent_count;
    memcpy(to->sent, from->sent, sent_count * sizeof(struct crash_sent));
    memcpy(to->bytes, from->bytes, from->bytes_used);
    to->bytes_used = from->bytes_used;
    for (uint32_t i = 0; i < sent_count; i++) {
        to->sent[i].acked = false;
        to->sequence = to->sent[i].last;
        to->records[to->sent[i].lane] += to->sent[i].last - to->sent[i].first + 1;
        to->previous[to->sent[i].lane] = to->sent[i].last;
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

/* A success settles every batch that it covers. */
static bool take_success(struct crash_client *client, const struct xd_ack *ack)
{
    uint32_t lane = ack->partition - client->partition;
    uint64_t offset = ack->base_offset;
    uint32_t covered = 0;

    for (uint32_t i = 0; i < client->sent_count; i++) {
        struct crash_sent *sent = &client->sent[i];

        if (sent->lane != lane || sent->first < ack->first_sequence ||
            sent->last > ack->last_sequence)
            continue;
        if (sent->offset != offset)
            return fail(client, "a batch was acknowledged at another offset, batch", i);
        sent->acked = true;
        sent->duplicate = ack->status == XD_DUPLICATE;
        offset += sent->last - sent->first + 1;
        covered++;
    }
    if (covered == 0 || covered > client->outstanding)
        return fail(client, "a success that nobody waits for, sequence",
                    (int64_t)ack->first_sequence);
    client->outstanding -= covered;
    return true;
}

static bool take_acks(struct crash_client *client, const struct wire_frame *frame)
{
    struct xd_ack_view view;
    const char *field = "";

    if (xd_ack_decode(frame->payload, frame->head.length, &view, &field) < 0)
        return fail(client, "acks do not decode", 0);
    for (uint32_t i = 0; i < view.fixed.ack_count; i++) {
        const struct xd_ack *ack = &view.acks[i];

        if (ack->status < 0)
            return fail(client, xd_status_name(ack->status), (int64_t)ack->first_sequence);
        if (!take_success(client, ack))
            return false;
    }
    return true;
}

/* First partition of topic "stock" for all facilities. */
static bool take_catalog(struct crash_client *client, const uint8_t *body, size_t bytes)
{
    struct xd_catalog_view view;
    const char *field = "";

    if (xd_catalog_reply_decode(body, bytes, &view, &field) < 0)
        return fail(client, "the catalog does not decode", 0);
    for (uint32_t i = 0; i < view.fixed.placement_count; i++) {
        if (view.placements[i].topic == 1 && view.placements[i].facility == 0) {
            client->partition = view.placements[i].partition_base;
            return view.placements[i].width == CRASH_LANES || fail(client, "another width", 0);
        }
    }
    return fail(client, "topic stock is not there", 0);
}

static bool take_open(struct crash_client *client, const uint8_t *body, size_t bytes)
{
    struct xd_open_view view;
    const char *field = "";

    if (xd_open_reply_decode(body, bytes, &view, &field) < 0)
        return fail(client, "the reply to the open does not decode", 0);
    if (client->producer_epoch != 0 && view.fixed.producer_epoch != client->producer_epoch)
        return fail(client, "the channel has another epoch", view.fixed.producer_epoch);
    client->producer_id = view.fixed.producer_id;
    client->producer_epoch = view.fixed.producer_epoch;
    client->channel_epoch = view.fixed.channel_epoch;
    client->facility = view.fixed.facility;
    memset(client->durable, 0, sizeof(client->durable));
    for (uint32_t i = 0; i < view.fixed.chain_count; i++) {
        uint32_t lane = view.chains[i].partition - client->partition;

        if (lane >= CRASH_LANES)
            return fail(client, "a chain in a partition never written", lane);
        client->durable[lane] = view.chains[i].last_sequence;
    }
    return true;
}

/* Batches of the partition being read, in the sequence of their offsets. */
static bool take_read(struct crash_client *client, const uint8_t *body, size_t bytes)
{
    struct xd_read_reply reply;
    const uint8_t *batches;
    const char *field = "";

    if (xd_read_reply_decode(body, bytes, &reply, &batches, &field) < 0)
        return fail(client, "the reply to a read does not decode", 0);
    for (uint32_t at = 0; at < reply.batches_bytes;) {
        const struct xd_batch_header *batch = (const void *)(batches + at);
        const struct xd_batch_header *expected = NULL;

        for (uint32_t i = 0; i < client->sent_count; i++)
            if (client->sent[i].lane == client->read_lane &&
                client->sent[i].offset == client->read_offset)
                expected = (const void *)(client->bytes + client->sent[i].bytes_at);
        if (expected == NULL || batch->base_offset != client->read_offset ||
            batch->batch_xxh3 != expected->batch_xxh3 || xd_batch_check_hash(batch) != 0)
            return fail(client, "a read gives another batch than was sent, at offset",
                        (int64_t)client->read_offset);
        client->read_offset += batch->record_count;
        at += xd_batch_stride(batch);
    }
    return true;
}

static bool take_frame(struct crash_client *client, const struct wire_frame *frame)
{
    struct xd_reply_head head;
    struct xd_text detail;
    const uint8_t *body;
    size_t bytes;

    if (frame->head.op == XD_OP_ACK)
        return take_acks(client, frame);
    if (frame->head.op == XD_OP_GOAWAY)
        return true;
    if (xd_reply_decode(frame->payload, frame->head.length, &head, &detail, &body, &bytes) < 0)
        return fail(client, "a reply does not decode", frame->head.op);
    client->reply++;
    client->reply_status = head.status;
    if (head.status < 0)
        return fail(client, xd_status_name(head.status), frame->head.op);
    if (frame->head.op == XD_OP_CATALOG)
        return take_catalog(client, body, bytes);
    if (frame->head.op == XD_OP_READ)
        return take_read(client, body, bytes);
    return frame->head.op != XD_OP_PRODUCER_OPEN || take_open(client, body, bytes);
}

bool crash_client_turn(struct crash_client *client)
{
    struct wire_frame frame;
    int status;

    (void)wire_client_pump(&client->wire); /* whether bytes moved does not matter */
    status = sim_broker_turn(client->broker, TURN_NS);
    (void)wire_client_pump(&client->wire);
    while (client->failure[0] == '\0' && wire_client_next(&client->wire, &frame))
        (void)take_frame(client, &frame); /* `failure` says it */
    if (status < 0)
        return fail(client, xd_status_name(status), 0);
    if (client->wire.ended)
        return fail(client, "the broker has closed the connection", 0);
    return client->failure[0] == '\0';
}

bool crash_client_settle(struct crash_client *client)
{
    for (uint32_t i = 0; i < TURNS_MAX && client->outstanding > 0; i++)
        if (!crash_client_turn(client))
            return false;
    return client->outstanding == 0 || fail(client, "no answer to batches", client->outstanding);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Waits for one more reply. */
static bool await_reply(struct crash_client *client)
{
    uint32_t before = client->reply;

    for (uint32_t i = 0; i < TURNS_MAX && client->reply == before; i++)
        if (!crash_client_turn(client))
            return false;
    return client->reply > before || fail(client, "no reply", 0);
}

bool crash_client_open(struct crash_client *client, uint64_t acked)
{
    struct xd_open open = {.flags = client->producer_epoch == 0 ? XD_OPEN_NO_MEMORY : 0,
                           .acked_sequence = acked,
                           .assigned_sequence = client->sequence,
                           .producer_epoch = client->producer_epoch};

    client->outstanding = 0;
    client->reply = 0;
    if (wire_client_connect(&client->wire, client->broker->address) < 0)
        return fail(client, "no connection", 0);
    (void)wire_client_hello(&client->wire);
    if (!await_reply(client))
        return false;
    (void)wire_client_send(&client->wire, XD_OP_CATALOG, NULL, 0);
    if (!await_reply(client))
        return false;
    (void)wire_client_open(&client->wire, &open, "wms", "crash", "");
    return await_reply(client);
}

/* A SKU that goes to the lane. */
static void lane_sku(uint32_t lane, char *ret_sku, size_t bytes)
{
    for (uint32_t i = 0;; i++) {
        (void)snprintf(ret_sku, bytes, "SKU-%u", i);
        if (xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, ret_sku), CRASH_LANES) == lane)
            return;
    }
}

void crash_client_produce(struct crash_client *client, uint32_t lane, uint32_t records)
{
    static struct batch_build build;
    struct batch_target target = {.producer_id = client->producer_id,
                                  .producer_epoch = client->producer_epoch,
                                  .channel_epoch = client->channel_epoch,
                                  .facility = client->facility,
                                  .partition = client->partition + lane,
                                  .strategy = XD_STRATEGY_SKU};
    struct crash_sent *sent = &client->sent[client->sent_count];
    uint32_t bytes;
    char sku[32];

    XD_ASSERT(client->sent_count < CRASH_SENT_MAX && lane < CRASH_LANES && records > 0);
    lane_sku(lane, sku, sizeof(sku));
    batch_begin(&build, &target, client->previous[lane]);
    *sent = (struct crash_sent){.lane = lane,
                                .bytes_at = client->bytes_used,
                                .first = client->sequence + 1,
                                .last = client->sequence + records,
                                .offset = client->records[lane]};
    for (uint32_t i = 0; i < records; i++)
        batch_add(&build, ++client->sequence, sku, "pick", 4);
    bytes = (batch_end(&build) + 7) / 8 * 8;
    XD_ASSERT(client->bytes_used + bytes <= BYTES_MAX);
    memcpy(client->bytes + client->bytes_used, build.bytes, bytes);
    client->bytes_used += bytes;
    client->previous[lane] = client->sequence;
    client->records[lane] += records;
    crash_client_resend(client, client->sent_count++);
}

void crash_client_resend(struct crash_client *client, uint32_t i)
{
    const struct xd_batch_header *batch = (const void *)(client->bytes + client->sent[i].bytes_at);

    wire_client_produce(&client->wire, &batch, 1, XD_DURABILITY_FSYNC);
    client->outstanding++;
}

bool crash_client_read_all(struct crash_client *client)
{
    for (uint32_t lane = 0; lane < CRASH_LANES; lane++) {
        client->read_lane = lane;
        client->read_offset = 0;
        do {
            (void)wire_client_read(&client->wire, client->partition + lane, XD_SEEK_OFFSET,
                                   client->read_offset, 1u << 20, 0);
            if (!await_reply(client))
                return false;
        } while (client->reply_status != XD_END);
        if (client->read_offset != client->records[lane])
            return fail(client, "a partition ends at another offset", (int64_t)client->read_offset);
    }
    return true;
}
