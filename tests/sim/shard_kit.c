/* SPDX-License-Identifier: Apache-2.0
 *
 * The scripted clients: waiting for answers, sorting pushes from replies.
 */
#include "tests/sim/shard_kit.h"

#include "wire/checksum.h"
#include "wire/route.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define TURN_NS 1000000ull

struct shard_kit *shard_kit_open_in(const struct sim_options *world)
{
    struct shard_kit *kit = calloc(1, sizeof *kit);
    cr_assert_not_null(kit);
    sim_broker_open(&kit->broker, world);
    for (uint32_t i = 0; i < KIT_CLIENTS; i++)
        wire_client_init(&kit->clients[i].wire, kit->broker.sim);
    return kit;
}

struct shard_kit *shard_kit_open(uint64_t seed)
{
    struct sim_options world;
    sim_options_init(&world, seed);
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    return kit;
}

void shard_kit_close(struct shard_kit *kit)
{
    for (uint32_t i = 0; i < KIT_CLIENTS; i++)
        wire_client_deinit(&kit->clients[i].wire);
    sim_broker_close(&kit->broker);
    free(kit);
}

void shard_kit_start(struct shard_kit *kit)
{
    int status = sim_broker_start(&kit->broker);
    cr_assert_eq(status, 0, "start: %s: %s", xd_status_name(status), kit->broker.why);
}

void shard_kit_restart(struct shard_kit *kit, enum sim_crash_menu menu)
{
    sim_broker_crash(&kit->broker, menu);
    for (uint32_t i = 0; i < KIT_CLIENTS; i++) {
        wire_client_leave(&kit->clients[i].wire, true);
        kit->clients[i].ack_count = 0;
        kit->clients[i].acked_bytes = 0;
        kit->clients[i].goaway = false;
    }
    shard_kit_start(kit);
}

bool shard_kit_turn(struct shard_kit *kit)
{
    kit->status = sim_broker_turn(&kit->broker, TURN_NS);
    for (uint32_t i = 0; i < KIT_CLIENTS; i++)
        wire_client_pump(&kit->clients[i].wire);
    return kit->status >= 0;
}

void shard_kit_pass(struct shard_kit *kit, uint64_t ms)
{
    uint64_t end_ns = sim_now_ns(kit->broker.sim) + ms * 1000000;
    while (sim_now_ns(kit->broker.sim) < end_ns)
        cr_assert(shard_kit_turn(kit), "%s", xd_status_name(kit->status));
}

struct kit_client *shard_kit_connect_silent(struct shard_kit *kit, uint32_t i)
{
    struct kit_client *client = &kit->clients[i];
    client->ack_count = 0;
    client->reply_count = 0;
    client->acked_bytes = 0;
    cr_assert_eq(wire_client_connect(&client->wire, kit->broker.address), 0);
    return client;
}

struct kit_client *shard_kit_connect(struct shard_kit *kit, uint32_t i)
{
    struct kit_client *client = shard_kit_connect_silent(kit, i);
    uint64_t correlation = wire_client_hello(&client->wire);
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    return client;
}

static void take_acks(struct kit_client *client, const struct wire_frame *frame)
{
    struct xd_ack_view view;
    const char *field = "";
    cr_assert_eq(frame->head.flags, XD_FRAME_PUSH);
    cr_assert_eq(frame->head.correlation, 0);
    cr_assert_eq(xd_ack_decode(frame->payload, frame->head.length, &view, &field), 0, "%s", field);
    for (uint32_t i = 0; i < view.fixed.ack_count; i++) {
        cr_assert(client->ack_count < KIT_ACKS);
        client->acks[client->ack_count++] = view.acks[i];
    }
    cr_assert_geq(view.fixed.acked_bytes, client->acked_bytes);
    client->acked_bytes = view.fixed.acked_bytes;
}

/* Takes one frame. True when it was the reply to `correlation`, which is then in kit->reply. */
static bool take_frame(struct shard_kit *kit, struct kit_client *client,
                       const struct wire_frame *frame, uint64_t correlation)
{
    struct xd_text detail;
    const uint8_t *body;
    size_t body_bytes;
    if (frame->head.op == XD_OP_ACK) {
        take_acks(client, frame);
        return false;
    }
    if (frame->head.op == XD_OP_GOAWAY) {
        client->goaway = true;
        return false;
    }
    cr_assert_eq(frame->head.flags, XD_FRAME_REPLY);
    client->reply_count++;
    cr_assert_eq(xd_reply_decode(frame->payload, frame->head.length, &kit->reply.head, &detail,
                                 &body, &body_bytes),
                 0);
    cr_assert(body_bytes <= sizeof kit->reply.body);
    kit->reply.op = frame->head.op;
    if (detail.bytes > 0)
        memcpy(kit->reply.detail, detail.data, detail.bytes);
    kit->reply.detail[detail.bytes] = '\0';
    memcpy(kit->reply.body, body, body_bytes);
    kit->reply.body_bytes = (uint32_t)body_bytes;
    return frame->head.correlation == correlation;
}

int shard_kit_await(struct shard_kit *kit, struct kit_client *client, uint64_t correlation)
{
    uint64_t end_ns = sim_now_ns(kit->broker.sim) + KIT_WAIT_NS;
    wire_client_pump(&client->wire);
    while (sim_now_ns(kit->broker.sim) < end_ns) {
        struct wire_frame frame;
        while (wire_client_next(&client->wire, &frame))
            if (take_frame(kit, client, &frame, correlation))
                return kit->reply.head.status;
        cr_assert_not(client->wire.ended, "the broker closed the connection");
        cr_assert(shard_kit_turn(kit), "%s", xd_status_name(kit->status));
    }
    cr_assert_fail("no reply");
    return 0;
}

void shard_kit_drain(struct shard_kit *kit, struct kit_client *client)
{
    struct wire_frame frame;
    wire_client_pump(&client->wire);
    while (wire_client_next(&client->wire, &frame))
        take_frame(kit, client, &frame, 0);
}

bool shard_kit_await_end(struct shard_kit *kit, struct kit_client *client)
{
    uint64_t end_ns = sim_now_ns(kit->broker.sim) + KIT_WAIT_NS;
    while (sim_now_ns(kit->broker.sim) < end_ns) {
        shard_kit_drain(kit, client);
        if (client->wire.ended)
            return true;
        cr_assert(shard_kit_turn(kit), "%s", xd_status_name(kit->status));
    }
    return false;
}

void shard_kit_await_acks(struct shard_kit *kit, struct kit_client *client, uint32_t count)
{
    uint64_t end_ns = sim_now_ns(kit->broker.sim) + KIT_WAIT_NS;
    while (sim_now_ns(kit->broker.sim) < end_ns) {
        shard_kit_drain(kit, client);
        if (client->ack_count >= count)
            return;
        cr_assert_not(client->wire.ended, "the broker closed the connection");
        cr_assert(shard_kit_turn(kit), "%s", xd_status_name(kit->status));
    }
    cr_assert_fail("only %u acks", client->ack_count);
}

void shard_kit_await_replies(struct shard_kit *kit, struct kit_client *client, uint32_t count)
{
    uint64_t end_ns = sim_now_ns(kit->broker.sim) + KIT_WAIT_NS;
    while (sim_now_ns(kit->broker.sim) < end_ns) {
        shard_kit_drain(kit, client);
        if (client->reply_count >= count)
            return;
        cr_assert_not(client->wire.ended, "the broker closed the connection");
        cr_assert(shard_kit_turn(kit), "%s", xd_status_name(kit->status));
    }
    cr_assert_fail("only %u replies", client->reply_count);
}

const struct xd_ack *shard_kit_last_ack(const struct kit_client *client)
{
    cr_assert(client->ack_count > 0);
    return &client->acks[client->ack_count - 1];
}

/* ---- producing ------------------------------------------------------------------------------- */

/* First partition of topic "stock" for a facility, and its width, from the catalog. */
static void find_stock(struct shard_kit *kit, struct kit_client *client, uint32_t facility,
                       uint32_t *ret_base, uint32_t *ret_width)
{
    struct xd_catalog_view view;
    const char *field = "";
    uint64_t correlation = wire_client_send(&client->wire, XD_OP_CATALOG, NULL, 0);
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    cr_assert_eq(xd_catalog_reply_decode(kit->reply.body, kit->reply.body_bytes, &view, &field), 0,
                 "%s", field);
    for (uint32_t i = 0; i < view.fixed.placement_count; i++) {
        if (view.placements[i].topic == 1 && view.placements[i].facility == facility) {
            *ret_base = view.placements[i].partition_base;
            *ret_width = view.placements[i].width;
            return;
        }
    }
    cr_assert_fail("no placement");
}

void shard_kit_channel(struct shard_kit *kit, struct kit_client *client, const char *name,
                       const char *sku, struct kit_channel *ret_channel)
{
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    struct xd_open_view view;
    const char *field = "";
    uint32_t base = 0, width = 1;
    find_stock(kit, client, 0, &base, &width);
    uint64_t correlation = wire_client_open(&client->wire, &open, "wms", name, "");
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0, "%s", kit->reply.detail);
    cr_assert_eq(xd_open_reply_decode(kit->reply.body, kit->reply.body_bytes, &view, &field), 0,
                 "%s", field);
    uint32_t bucket = xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, sku), width);
    *ret_channel = (struct kit_channel){.target = {.producer_id = view.fixed.producer_id,
                                                   .producer_epoch = view.fixed.producer_epoch,
                                                   .channel_epoch = view.fixed.channel_epoch,
                                                   .facility = view.fixed.facility,
                                                   .partition = base + bucket,
                                                   .strategy = XD_STRATEGY_SKU},
                                        .sequence = view.fixed.last_sequence};
    for (uint32_t i = 0; i < view.fixed.chain_count; i++)
        if (view.chains[i].partition == base + bucket)
            ret_channel->previous = view.chains[i].last_sequence;
}

void shard_kit_batch(struct kit_channel *channel, const char *sku, uint32_t records,
                     struct batch_build *ret_build)
{
    batch_begin(ret_build, &channel->target, channel->previous);
    for (uint32_t i = 0; i < records; i++)
        batch_add(ret_build, ++channel->sequence, sku, "payload", 7);
    batch_end(ret_build);
    channel->previous = channel->sequence;
}

void shard_kit_send(struct kit_client *client, const struct batch_build *build,
                    enum xd_durability durability)
{
    const struct xd_batch_header *batch = &build->header;
    wire_client_produce(&client->wire, &batch, 1, durability);
}

struct xd_ack shard_kit_produce(struct shard_kit *kit, struct kit_client *client,
                                struct kit_channel *channel, const char *sku, uint32_t records)
{
    static struct batch_build build;
    uint32_t before = client->ack_count;
    shard_kit_batch(channel, sku, records, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, client, before + 1);
    return *shard_kit_last_ack(client);
}

/* ---- reading --------------------------------------------------------------------------------- */

uint64_t shard_kit_read_all(struct shard_kit *kit, struct kit_client *client, uint32_t partition,
                            uint64_t *ret_hash)
{
    struct xd_read_reply reply = {0};
    const uint8_t *batches;
    const char *field = "";
    uint64_t records = 0, hash = 0;
    enum xd_seek seek = XD_SEEK_BEGIN;
    for (;;) {
        uint64_t correlation =
            wire_client_read(&client->wire, partition, seek, reply.next_offset, 1u << 20, 0);
        int status = shard_kit_await(kit, client, correlation);
        cr_assert(status >= 0, "%s", kit->reply.detail);
        cr_assert_eq(
            xd_read_reply_decode(kit->reply.body, kit->reply.body_bytes, &reply, &batches, &field),
            0, "%s", field);
        if (status == XD_END)
            break;
        uint64_t offset = reply.start_offset;
        for (uint32_t at = 0; at < reply.batches_bytes;) {
            const struct xd_batch_header *batch = (const void *)(batches + at);
            cr_assert_eq(xd_batch_check_stored(batch, reply.batches_bytes - at, &field), 0, "%s",
                         field);
            cr_assert_eq(xd_batch_check_hash(batch), 0);
            cr_assert_eq(batch->base_offset, offset);
            hash = xd_xxh3_seeded(batch, xd_batch_stride(batch), hash);
            records += batch->record_count;
            offset += batch->record_count;
            at += xd_batch_stride(batch);
        }
        cr_assert_eq(offset, reply.next_offset);
        seek = XD_SEEK_OFFSET;
    }
    cr_assert_eq(reply.next_offset, reply.end_offset);
    *ret_hash = hash;
    return records;
}
