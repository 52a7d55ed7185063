/* SPDX-License-Identifier: Apache-2.0
 *
 * CATALOG, PRODUCER_OPEN and PRODUCER_CLOSE against a whole shard: who holds a channel, over
 * connections, crashes and restarts.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/route.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SKU "SKU-4711"

static int open_channel(struct shard_kit *kit, struct kit_client *client,
                        const struct xd_open *open, const char *channel, const char *facility,
                        struct xd_open_view *ret_view)
{
    const char *field = "";
    uint64_t correlation = wire_client_open(&client->wire, open, "wms", channel, facility);
    int status = shard_kit_await(kit, client, correlation);
    if (status >= 0)
        cr_assert_eq(xd_open_reply_decode(kit->reply.body, kit->reply.body_bytes, ret_view, &field),
                     0);
    return status;
}

/* A new folder has the start-up topics; a facility that is added gets their partitions. */
Test(shard_on_session, catalog_shows_topics_facilities_and_placements)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct xd_catalog_view view;
    const char *field = "";
    uint64_t correlation = wire_client_admin(&client->wire, "facility add", "{\"name\":\"DC07\"}");
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0, "%s", kit->reply.detail);
    uint64_t epoch = kit->reply.head.catalog_epoch;
    correlation = wire_client_send(&client->wire, XD_OP_CATALOG, NULL, 0);
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    cr_assert_eq(xd_catalog_reply_decode(kit->reply.body, kit->reply.body_bytes, &view, &field), 0);
    cr_assert_eq(view.fixed.epoch, epoch);
    cr_assert_eq(view.fixed.topic_count, 2);
    cr_assert_eq(view.fixed.facility_count, 1);
    cr_assert_eq(view.fixed.placement_count, 4);
    cr_assert_eq(memcmp(view.topics[0].name, "stock", 5), 0);
    cr_assert_eq(view.topics[0].strategy, XD_STRATEGY_SKU);
    cr_assert_eq(memcmp(view.facilities[0].name, "DC07", 4), 0);
    cr_assert_eq(view.placements[1].topic, 2, "in rising partition");
    cr_assert_eq(view.placements[1].partition_base, 3);
    cr_assert_eq(view.placements[2].partition_base, 4);
    cr_assert_eq(view.placements[2].width, 3);
    cr_assert_eq(view.fixed.partition_total, 8);
    cr_assert_eq(view.placements[3].partition_base, 7);
    shard_kit_close(kit);
}

/* A second open from elsewhere fences the first holder; its batches are refused from then on. */
Test(shard_on_session, a_new_open_fences_the_former_holder)
{
    static struct batch_build build;
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *first = shard_kit_connect(kit, 0);
    struct kit_client *second = shard_kit_connect(kit, 1);
    struct kit_channel old, new;
    shard_kit_channel(kit, first, "a", SKU, &old);
    cr_assert_eq(shard_kit_produce(kit, first, &old, SKU, 2).status, 0);
    shard_kit_channel(kit, second, "a", SKU, &new);
    cr_assert_eq(new.target.producer_epoch, old.target.producer_epoch + 1);
    cr_assert_eq(new.sequence, 2);
    shard_kit_batch(&old, SKU, 1, &build);
    shard_kit_send(first, &build, XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, first, 2);
    cr_assert_eq(shard_kit_last_ack(first)->status, XD_FENCED);
    cr_assert_eq(shard_kit_produce(kit, second, &new, SKU, 1).status, 0);
    shard_kit_close(kit);
}

/* After a lost connection the same epoch attaches; what is sent again is a duplicate. */
Test(shard_on_session, attaches_after_a_lost_connection)
{
    static struct batch_build build;
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    struct xd_open_view view;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    shard_kit_batch(&channel, SKU, 3, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, client, 1);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 0);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC); /* not attached yet */
    shard_kit_await_acks(kit, client, 1);
    cr_assert_eq(shard_kit_last_ack(client)->status, XD_PRODUCER_UNKNOWN);
    struct xd_open open = {.producer_epoch = channel.target.producer_epoch,
                           .acked_sequence = 3,
                           .assigned_sequence = 3};
    cr_assert_eq(open_channel(kit, client, &open, "a", "", &view), 0, "%s", kit->reply.detail);
    cr_assert_eq(view.fixed.producer_epoch, channel.target.producer_epoch);
    cr_assert_eq(view.fixed.last_sequence, 3);
    cr_assert_eq(view.fixed.chain_count, 1);
    cr_assert_eq(view.chains[0].last_offset, 2);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, client, 2);
    cr_assert_eq(shard_kit_last_ack(client)->status, XD_DUPLICATE);
    cr_assert_eq(shard_kit_last_ack(client)->base_offset, 0);
    open.producer_epoch++;
    cr_assert_eq(open_channel(kit, client, &open, "a", "", &view), XD_FENCED);
    shard_kit_close(kit);
}

/* An open that was answered is durable: the next one after a power cut has a higher epoch. */
Test(shard_on_session, epochs_survive_a_power_cut)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct xd_open_view view;
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    for (uint32_t i = 1; i <= 8; i++) {
        struct kit_client *client = shard_kit_connect(kit, 0);
        cr_assert_eq(open_channel(kit, client, &open, "a", "", &view), 0);
        cr_assert_eq(view.fixed.producer_epoch, i);
        shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    }
    shard_kit_close(kit);
}

/* What a client remembers is compared: records missing here, or a source restored from a backup. */
Test(shard_on_session, differing_memories_are_fatal_and_said_so)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    struct xd_open_view view;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    shard_kit_produce(kit, client, &channel, SKU, 5);
    struct xd_open open = {.acked_sequence = 6, .assigned_sequence = 6};
    cr_assert_eq(open_channel(kit, client, &open, "a", "", &view), XD_ACKED_MISSING);
    const struct shard_line *line = sim_broker_line(&kit->broker, "acknowledged_records_missing");
    cr_assert(line != NULL && line->warning);
    cr_assert(strstr(line->text, " channel=a acked_sequence=6 ") != NULL, "%s", line->text);
    cr_assert_eq(shard_counters(kit->broker.shard)->v[COUNTER_acked_missing], 1);
    open = (struct xd_open){.acked_sequence = 4, .assigned_sequence = 4};
    cr_assert_eq(open_channel(kit, client, &open, "a", "", &view), XD_SEQUENCE_REGRESSED);
    cr_assert(sim_broker_line(&kit->broker, "source_regressed") != NULL);
    open.channel_epoch = 2;
    cr_assert_eq(open_channel(kit, client, &open, "a", "", &view), 0);
    cr_assert_eq(view.fixed.channel_epoch, 2);
    cr_assert_eq(view.fixed.last_sequence, 0);
    cr_assert_eq(open_channel(kit, client, &open, "a", "NOWHERE", &view), XD_FACILITY_UNKNOWN);
    cr_assert(strstr(kit->reply.detail, "NOWHERE") != NULL);
    shard_kit_close(kit);
}

/* A close is answered when everything sent before it is durable; afterwards the channel is
 * nobody's. */
Test(shard_on_session, close_waits_for_what_was_sent)
{
    static struct batch_build build;
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    shard_kit_batch(&channel, SKU, 4, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    struct xd_close close = {.producer_id = channel.target.producer_id,
                             .producer_epoch = channel.target.producer_epoch};
    uint64_t correlation =
        wire_client_send(&client->wire, XD_OP_PRODUCER_CLOSE, &close, sizeof close);
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    cr_assert_eq(client->ack_count, 1); /* came first */
    correlation = wire_client_send(&client->wire, XD_OP_PRODUCER_CLOSE, &close, sizeof close);
    cr_assert_eq(shard_kit_await(kit, client, correlation), XD_PRODUCER_UNKNOWN);
    cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1).status, XD_PRODUCER_UNKNOWN);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 0);
    uint64_t hash;
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 4);
    shard_kit_close(kit);
}

/* Two opens of one channel in the same turn: the later one holds it, the earlier one is told. */
Test(shard_on_session, an_overtaken_open_is_fenced)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *first = shard_kit_connect(kit, 0);
    struct kit_client *second = shard_kit_connect(kit, 1);
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    uint32_t overtaken = 0;
    for (uint32_t i = 0; i < 20; i++) {
        uint64_t a = wire_client_open(&first->wire, &open, "wms", "a", "");
        uint64_t b = wire_client_open(&second->wire, &open, "wms", "a", "");
        int one = shard_kit_await(kit, first, a);
        int other = shard_kit_await(kit, second, b);
        cr_assert(one == 0 || one == XD_FENCED);
        cr_assert(other == 0 || other == XD_FENCED);
        cr_assert(one == 0 || other == 0);
        overtaken += one != other;
    }
    cr_assert_gt(overtaken, 0);
    shard_kit_close(kit);
}

/* The catalog is told when it is durable, never before. */
Test(shard_on_session, catalog_waits_until_it_is_durable)
{
    struct sim_options world;
    struct xd_catalog_view view;
    struct wire_frame frame;
    const char *field = "";
    sim_options_init(&world, 2);
    world.spike_ns = 5000000000;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    struct kit_client *admin = shard_kit_connect(kit, 0);
    struct kit_client *client = shard_kit_connect(kit, 1);
    sim_rates(kit->broker.sim)->spike = 65536;
    wire_client_admin(&admin->wire, "facility add", "{\"name\":\"DC07\"}");
    wire_client_pump(&admin->wire);
    shard_kit_pass(kit, 100);
    uint64_t correlation = wire_client_send(&client->wire, XD_OP_CATALOG, NULL, 0);
    wire_client_pump(&client->wire);
    shard_kit_pass(kit, 1000);
    cr_assert_not(wire_client_next(&client->wire, &frame));
    sim_rates(kit->broker.sim)->spike = 0;
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    cr_assert_eq(xd_catalog_reply_decode(kit->reply.body, kit->reply.body_bytes, &view, &field), 0);
    cr_assert_eq(view.fixed.facility_count, 1);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 1);
    correlation = wire_client_send(&client->wire, XD_OP_CATALOG, NULL, 0);
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    cr_assert_eq(xd_catalog_reply_decode(kit->reply.body, kit->reply.body_bytes, &view, &field), 0);
    cr_assert_eq(view.fixed.facility_count, 1);
    shard_kit_close(kit);
}

#define WIDTH XD_PARTITION_WIDTH_MAX
#define CHAINS (XD_TOPICS_MAX * WIDTH)

/* A broker whose global facility has as many partitions as a facility can have; half of its topics
 * are there from the start. */
static struct shard_kit *with_all_partitions(void)
{
    static char names[XD_TOPICS_MAX][16];
    static struct shard_topic topics[XD_TOPICS_MAX];
    struct sim_options world;
    sim_options_init(&world, 1);
    struct shard_kit *kit = shard_kit_open_in(&world);
    for (uint32_t i = 0; i < XD_TOPICS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "topic-%u", i);
        topics[i] = (struct shard_topic){names[i], XD_STRATEGY_SKU, WIDTH};
    }
    kit->broker.options.topics = topics;
    kit->broker.options.topic_count = XD_TOPICS_MAX / 2;
    kit->broker.options.partitions_max = CHAINS;
    kit->broker.options.sessions.chains_max = CHAINS;
    kit->broker.options.log.index_bytes = 64u << 20;
    kit->broker.options.net.large_count = 3; /* one more than a connection may have */
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    for (uint32_t i = XD_TOPICS_MAX / 2; i < XD_TOPICS_MAX; i++) {
        char json[80];
        snprintf(json, sizeof json, "{\"name\":\"%s\",\"strategy\":\"sku\",\"width\":%u}", names[i],
                 WIDTH);
        cr_assert_eq(
            shard_kit_await(kit, client, wire_client_admin(&client->wire, "topic create", json)), 0,
            "%s", kit->reply.detail);
    }
    return kit;
}

/* One record into every partition, the highest partition first. */
static void produce_everywhere(struct shard_kit *kit, struct kit_client *client,
                               struct kit_channel *channel)
{
    static struct batch_build builds[WIDTH];
    const struct xd_batch_header *batches[WIDTH];
    char skus[WIDTH][16] = {0};
    for (uint32_t n = 0, found = 0; found < WIDTH; n++) {
        char sku[16];
        snprintf(sku, sizeof sku, "SKU-%u", n);
        char *place = skus[xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, sku), WIDTH)];
        found += place[0] == '\0';
        memcpy(place, sku, sizeof sku);
    }
    for (uint32_t partition = CHAINS; partition > 0; partition -= WIDTH) {
        for (uint32_t i = 0; i < WIDTH; i++) {
            channel->target.partition = partition - 1 - i;
            channel->previous = 0;
            shard_kit_batch(channel, skus[(partition - 1 - i) % WIDTH], 1, &builds[i]);
            batches[i] = &builds[i].header;
        }
        client->ack_count = 0;
        wire_client_produce(&client->wire, batches, WIDTH, XD_DURABILITY_FSYNC);
        shard_kit_await_acks(kit, client, WIDTH);
        for (uint32_t i = 0; i < WIDTH; i++)
            cr_assert_eq(client->acks[i].status, 0, "%s", xd_status_name(client->acks[i].status));
    }
}

/* An open tells all chains of its channel, in rising partition number, be they as many as there can
 * be; live and after a power cut. */
Test(shard_on_session, an_open_tells_every_chain)
{
    struct shard_kit *kit = with_all_partitions();
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    struct xd_open_view view;
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    shard_kit_channel(kit, client, "a", SKU, &channel);
    produce_everywhere(kit, client, &channel);
    for (uint32_t round = 0; round < 2; round++) {
        cr_assert_eq(open_channel(kit, client, &open, "a", "", &view), 0, "%s", kit->reply.detail);
        cr_assert_eq(view.fixed.chain_count, CHAINS);
        cr_assert_eq(view.fixed.last_sequence, CHAINS);
        for (uint32_t i = 0; i < CHAINS; i++) {
            cr_assert_eq(view.chains[i].partition, i);
            cr_assert_eq(view.chains[i].last_sequence, CHAINS - i);
            cr_assert_eq(view.chains[i].last_offset, 0);
        }
        shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
        client = shard_kit_connect(kit, 0);
    }
    shard_kit_close(kit);
}

/* Replies of that size wait for a large buffer, and come all in the end. A client that does not
 * read what it asked for keeps the buffers from nobody else. */
Test(shard_on_session, many_large_opens_at_once_are_all_answered)
{
    struct shard_kit *kit = with_all_partitions();
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_client *other = shard_kit_connect(kit, 1);
    struct kit_channel channel;
    struct xd_open open = {.acked_sequence = CHAINS, .assigned_sequence = CHAINS};
    uint64_t correlations[8];
    shard_kit_channel(kit, client, "a", SKU, &channel);
    produce_everywhere(kit, client, &channel);
    open.producer_epoch = channel.target.producer_epoch; /* attach: each is answered in full */
    for (uint32_t i = 0; i < 8; i++)
        correlations[i] = wire_client_open(&client->wire, &open, "wms", "a", "");
    sim_client_partition(kit->broker.sim, client->wire.id, false, true);
    shard_kit_pass(kit, 1000);
    uint64_t start_ns = sim_now_ns(kit->broker.sim);
    uint64_t correlation = wire_client_send(&other->wire, XD_OP_CATALOG, NULL, 0);
    cr_assert_eq(shard_kit_await(kit, other, correlation), 0);
    cr_assert_lt(sim_now_ns(kit->broker.sim) - start_ns, 1000000000, "%llu ms",
                 (unsigned long long)(sim_now_ns(kit->broker.sim) - start_ns) / 1000000);
    sim_client_partition(kit->broker.sim, client->wire.id, false, false);
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert_eq(shard_kit_await(kit, client, correlations[i]), 0, "%u", i);
        cr_assert_eq(kit->reply.body_bytes,
                     sizeof(struct xd_open_reply) + CHAINS * sizeof(struct xd_open_chain));
    }
    shard_kit_close(kit);
}

static int close_channel(struct shard_kit *kit, struct kit_client *client, uint64_t producer_id,
                         uint32_t producer_epoch)
{
    struct xd_close close = {.producer_id = producer_id, .producer_epoch = producer_epoch};
    return shard_kit_await(
        kit, client, wire_client_send(&client->wire, XD_OP_PRODUCER_CLOSE, &close, sizeof close));
}

/* A close names a channel and an epoch that its own connection holds. Any other, and one that does
 * not decode, is refused and ends nothing. */
Test(shard_on_session, refuses_a_close_of_what_is_not_open_here)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_client *other = shard_kit_connect(kit, 1);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    uint64_t id = channel.target.producer_id;
    uint32_t epoch = channel.target.producer_epoch;
    cr_assert_eq(close_channel(kit, client, 0, epoch), XD_PRODUCER_UNKNOWN);
    cr_assert_eq(close_channel(kit, client, 77, epoch), XD_PRODUCER_UNKNOWN);
    cr_assert_eq(close_channel(kit, client, id, epoch + 1), XD_PRODUCER_UNKNOWN);
    cr_assert_eq(close_channel(kit, client, id, epoch - 1), XD_PRODUCER_UNKNOWN);
    cr_assert_eq(close_channel(kit, other, id, epoch), XD_PRODUCER_UNKNOWN);
    cr_assert_eq(
        shard_kit_await(kit, client, wire_client_send(&client->wire, XD_OP_PRODUCER_CLOSE, "x", 1)),
        XD_FRAME_MALFORMED);
    cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1).status, 0);
    cr_assert_eq(close_channel(kit, client, id, epoch), 0);
    shard_kit_close(kit);
}

/* When answers that wait for the disk take all the room there is, a close waits like a batch does;
 * then the answers come in the sequence of what was asked. */
Test(shard_on_session, a_close_waits_for_room)
{
    static struct batch_build build;
    struct sim_options world;
    uint64_t hash;
    sim_options_init(&world, 1);
    world.spike_ns = 5000000000;
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.acks_max = 4;
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    sim_rates(kit->broker.sim)->spike = 65536;
    for (uint32_t i = 0; i < 3; i++) {
        shard_kit_batch(&channel, SKU, 1, &build);
        shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    }
    uint32_t replies = client->reply_count;
    struct xd_close close = {.producer_id = channel.target.producer_id,
                             .producer_epoch = channel.target.producer_epoch};
    uint64_t correlation =
        wire_client_send(&client->wire, XD_OP_PRODUCER_CLOSE, &close, sizeof close);
    shard_kit_pass(kit, 1000);
    shard_kit_drain(kit, client);
    cr_assert(client->ack_count == 0 && client->reply_count == replies);
    sim_rates(kit->broker.sim)->spike = 0;
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    cr_assert_gt(client->ack_count, 0);
    cr_assert_eq(shard_kit_last_ack(client)->status, 0);
    cr_assert_eq(shard_kit_last_ack(client)->last_sequence, 3);
    cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1).status, XD_PRODUCER_UNKNOWN);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 3);
    shard_kit_close(kit);
}

/* Clients that ask for the catalog again and again and do not read it: one of them holds its share
 * of buffers and hinders nobody; two that hold all there are let others wait, not fail; every
 * catalog comes in the end. */
Test(shard_on_session, catalogs_wait_for_a_buffer)
{
    enum { ASKED = 100 };
    struct sim_options world;
    struct xd_catalog_view view;
    const char *field = "";
    uint32_t replies[2];
    uint64_t correlation;
    sim_options_init(&world, 1);
    world.window_bytes = 4096;
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.net.large_count = 3; /* one more than a connection may have */
    shard_kit_start(kit);
    struct kit_client *other = shard_kit_connect(kit, 2);
    for (uint32_t i = 0; i < 2; i++) {
        struct kit_client *deaf = shard_kit_connect(kit, i);
        sim_client_partition(kit->broker.sim, deaf->wire.id, false, true);
        replies[i] = deaf->reply_count;
        for (uint32_t k = 0; k < ASKED; k++)
            wire_client_send(&deaf->wire, XD_OP_CATALOG, NULL, 0);
        shard_kit_pass(kit, 500);
        uint64_t start_ns = sim_now_ns(kit->broker.sim);
        correlation = wire_client_send(&other->wire, XD_OP_CATALOG, NULL, 0);
        if (i == 0) {
            cr_assert_eq(shard_kit_await(kit, other, correlation), 0);
            cr_assert_lt(sim_now_ns(kit->broker.sim) - start_ns, 100000000);
        }
    }
    uint32_t before = other->reply_count;
    shard_kit_pass(kit, 500);
    shard_kit_drain(kit, other);
    cr_assert_eq(other->reply_count, before);
    sim_client_partition(kit->broker.sim, kit->clients[0].wire.id, false, false);
    cr_assert_eq(shard_kit_await(kit, other, correlation), 0);
    sim_client_partition(kit->broker.sim, kit->clients[1].wire.id, false, false);
    for (uint32_t i = 0; i < 2; i++) {
        shard_kit_await_replies(kit, &kit->clients[i], replies[i] + ASKED);
        cr_assert_eq(xd_catalog_reply_decode(kit->reply.body, kit->reply.body_bytes, &view, &field),
                     0);
        cr_assert_eq(view.fixed.topic_count, 2);
    }
    shard_kit_close(kit);
}
