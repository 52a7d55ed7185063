/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/shard/peers.c, route.c and spread.c: a broker of several shards is one broker to its
 * clients, whichever shard they are connected to.
 */
#include "tests/support/shard_world.h"

#include "broker/produce/session.h"
#include "wire/checksum.h"
#include "wire/route.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* A name that goes to that shard, the `nth` of its kind. */
static void facility_of(uint32_t shard, uint32_t shard_count, uint32_t nth, char name[16])
{
    for (uint32_t i = 0;; i++) {
        snprintf(name, 16, "DC%03u", i);
        uint64_t highest = 0;
        uint32_t chosen = 0;
        for (uint32_t k = 0; k < shard_count; k++) {
            uint64_t hash = xd_xxh3_seeded(name, strlen(name), k);
            chosen = hash > highest ? k : chosen;
            highest = hash > highest ? hash : highest;
        }
        if (chosen == shard && nth-- == 0)
            return;
    }
}

static void add(struct world *world, struct world_client *client, const char *name)
{
    char json[64];
    snprintf(json, sizeof json, "{\"name\":\"%s\"}", name);
    uint64_t correlation = wire_client_admin(&client->wire, "facility add", json);
    cr_assert_eq(world_await(world, client, correlation), 0, "%s", world->reply.detail);
}

/* Opens channel `name` of a facility; its target is the partition of `sku` in topic "stock". */
static void open_at(struct world *world, struct world_client *client, const char *facility,
                    const char *name, const char *sku, struct world_channel *ret_channel)
{
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    struct xd_open_view view;
    struct xd_catalog_view catalog;
    const char *field = "";
    uint64_t correlation = wire_client_open(&client->wire, &open, "wms", name, facility);
    cr_assert_eq(world_await(world, client, correlation), 0, "%s", world->reply.detail);
    cr_assert_eq(xd_open_reply_decode(world->reply.body, world->reply.body_bytes, &view, &field),
                 0);
    *ret_channel = (struct world_channel){.target = {.producer_id = view.fixed.producer_id,
                                                     .producer_epoch = view.fixed.producer_epoch,
                                                     .channel_epoch = view.fixed.channel_epoch,
                                                     .facility = view.fixed.facility,
                                                     .strategy = XD_STRATEGY_SKU},
                                          .sequence = view.fixed.last_sequence};
    correlation = wire_client_send(&client->wire, XD_OP_CATALOG, NULL, 0);
    cr_assert_eq(world_await(world, client, correlation), 0);
    cr_assert_eq(
        xd_catalog_reply_decode(world->reply.body, world->reply.body_bytes, &catalog, &field), 0);
    for (uint32_t i = 0; i < catalog.fixed.placement_count; i++) {
        const struct xd_catalog_placement *placement = &catalog.placements[i];
        if (placement->topic == 1 && placement->facility == ret_channel->target.facility)
            ret_channel->target.partition =
                placement->partition_base +
                xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, sku), placement->width);
    }
}

static void stall_nothing(struct world *world)
{
    for (uint32_t i = 0; i < world->options.log.shard_count; i++)
        cr_assert_eq(shard_counters(world->shards[i])->v[COUNTER_throttled], 0);
}

/* ---- one broker ------------------------------------------------------------------------------ */

static void is_one_broker(uint32_t shard_count)
{
    struct world *world = world_begin_sim_shards(shard_count);
    uint64_t cluster_id[2] = {0};
    world_start(world);
    for (uint32_t i = 0; i < shard_count; i++) {
        struct xd_hello_reply hello;
        const char *field = "";
        struct world_client *client = world_connect_to(world, 0, i);
        cr_assert_eq(
            xd_hello_reply_decode(world->reply.body, world->reply.body_bytes, &hello, &field), 0);
        if (i > 0)
            cr_assert_arr_eq(hello.cluster_id, cluster_id, sizeof cluster_id);
        memcpy(cluster_id, hello.cluster_id, sizeof cluster_id);
        for (uint32_t of = 0; of < shard_count; of++) {
            char name[16], sku[16];
            struct world_channel channel;
            struct batch_build build;
            facility_of(of, shard_count, 0, name);
            snprintf(sku, sizeof sku, "SKU-%u", i);
            add(world, client, name);
            open_at(world, client, name, sku, sku, &channel);
            cr_assert_eq(session_shard(channel.target.producer_id), of);
            for (uint64_t batch = 0; batch < 3; batch++) {
                world_batch(&channel, sku, 4, 900, &build);
                struct xd_ack ack = world_outcome(world, client, &build);
                cr_assert_eq(ack.status, 0);
                cr_assert_eq(ack.producer_id, channel.target.producer_id);
                cr_assert_eq(ack.durability, XD_DURABILITY_FSYNC);
            }
            /* The same batch again is a duplicate, wherever it comes from. */
            cr_assert_eq(world_outcome(world, client, &build).status, XD_DUPLICATE);
        }
    }
    stall_nothing(world);
    world_end(world);
}

/* Every shard has the catalog and the name of the broker, and leads to every facility. */
Test(shard_peers, two_shards_are_one_broker)
{
    is_one_broker(2);
}

Test(shard_peers, four_shards_are_one_broker)
{
    is_one_broker(4);
}

/* What was acknowledged is there after a crash, and reads the same through every shard. */
Test(shard_peers, what_was_acknowledged_survives_on_every_shard)
{
    struct world *world = world_begin_sim_shards(3);
    struct world_channel channels[3];
    uint64_t hashes[3];
    world_start(world);
    struct world_client *client = world_connect_to(world, 0, 1);
    for (uint32_t of = 0; of < 3; of++) {
        char name[16];
        struct batch_build build;
        facility_of(of, 3, 0, name);
        add(world, client, name);
        open_at(world, client, name, name, "SKU-1", &channels[of]);
        for (uint32_t i = 0; i < 10; i++) {
            world_batch(&channels[of], "SKU-1", 3, 700, &build);
            cr_assert_eq(world_outcome(world, client, &build).status, 0);
        }
        cr_assert_eq(world_read_all(world, client, channels[of].target.partition, &hashes[of]), 30);
    }
    for (uint32_t life = 0; life < 3; life++) {
        if (life == 1)
            world_stop(world);
        else
            world_kill(world);
        world_start(world);
        for (uint32_t home = 0; home < 3; home++) {
            client = world_connect_to(world, home, home);
            for (uint32_t of = 0; of < 3; of++) {
                uint64_t hash;
                uint32_t partition = channels[of].target.partition;
                cr_assert_eq(world_read_all(world, client, partition, &hash), 30);
                cr_assert_eq(hash, hashes[of]);
            }
        }
    }
    world_end(world);
}

/* Credit counts per connection: what several shards give back is told as one sum. */
Test(shard_peers, credit_of_a_connection_is_one_sum)
{
    struct world *world = world_begin_sim_shards(2);
    struct world_channel channels[2];
    struct batch_build build;
    uint64_t sent = 0;
    world_start(world);
    struct world_client *client = world_connect_to(world, 0, 0);
    for (uint32_t of = 0; of < 2; of++) {
        char name[16];
        facility_of(of, 2, 0, name);
        add(world, client, name);
        open_at(world, client, name, name, "SKU-1", &channels[of]);
    }
    for (uint32_t i = 0; i < 40; i++) {
        world_batch(&channels[i % 2], "SKU-1", 1 + i % 5, 100 * i, &build);
        cr_assert_eq(world_outcome(world, client, &build).status, 0);
        sent += xd_batch_stride(&build.header);
        cr_assert_eq(client->acked_bytes, sent, "after batch %u", i);
    }
    /* A connection that takes the place of another one starts at nothing. */
    client = world_connect_to(world, 0, 0);
    char name[16];
    facility_of(1, 2, 0, name);
    open_at(world, client, name, name, "SKU-1", &channels[1]);
    channels[1].previous = channels[1].sequence;
    world_batch(&channels[1], "SKU-1", 1, 10, &build);
    cr_assert_eq(world_outcome(world, client, &build).status, 0);
    cr_assert_eq(client->acked_bytes, xd_batch_stride(&build.header));
    world_end(world);
}

/* A long poll on another shard ends when its data comes, and answers in time when none does. */
Test(shard_peers, a_long_poll_waits_on_another_shard)
{
    struct world *world = world_begin_sim_shards(2);
    struct world_channel channel;
    struct batch_build build;
    struct xd_read_reply reply;
    const uint8_t *batches;
    const char *field = "";
    char name[16];
    world_start(world);
    struct world_client *reader = world_connect_to(world, 0, 0);
    struct world_client *writer = world_connect_to(world, 1, 1);
    facility_of(1, 2, 0, name);
    add(world, reader, name);
    open_at(world, writer, name, name, "SKU-1", &channel);
    uint64_t correlation =
        wire_client_read(&reader->wire, channel.target.partition, XD_SEEK_END, 0, 1u << 20, 200);
    cr_assert_eq(world_await(world, reader, correlation), XD_END);
    correlation =
        wire_client_read(&reader->wire, channel.target.partition, XD_SEEK_END, 0, 1u << 20, 20000);
    world_pass(world, 50);
    world_batch(&channel, "SKU-1", 5, 100, &build);
    cr_assert_eq(world_outcome(world, writer, &build).status, 0);
    cr_assert_eq(world_await(world, reader, correlation), 0);
    cr_assert_eq(
        xd_read_reply_decode(world->reply.body, world->reply.body_bytes, &reply, &batches, &field),
        0);
    cr_assert_eq(reply.next_offset, 5);
    world_end(world);
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* What is wrong is told by the shard that has the connection, as with one shard. */
Test(shard_peers, nonsense_is_refused_where_it_arrives)
{
    struct world *world = world_begin_sim_shards(2);
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    struct xd_close close = {.producer_id = 7ull << SESSION_NUMBER_BITS | 1, .producer_epoch = 1};
    struct world_channel channel = {
        .target = {.producer_id = 1ull << 40, .producer_epoch = 1, .channel_epoch = 1}};
    struct batch_build build;
    world_start(world);
    struct world_client *client = world_connect_to(world, 0, 1);
    uint64_t correlation = wire_client_open(&client->wire, &open, "wms", "a", "NOWHERE");
    cr_assert_eq(world_await(world, client, correlation), XD_FACILITY_UNKNOWN);
    correlation = wire_client_read(&client->wire, 99999, XD_SEEK_BEGIN, 0, 1000, 0);
    cr_assert_eq(world_await(world, client, correlation), XD_PARTITION_UNKNOWN);
    correlation = wire_client_send(&client->wire, XD_OP_PRODUCER_CLOSE, &close, sizeof close);
    cr_assert_eq(world_await(world, client, correlation), XD_PRODUCER_UNKNOWN);
    correlation = wire_client_admin(&client->wire, "status", "{\"shard\":2}");
    cr_assert_eq(world_await(world, client, correlation), XD_FIELD_INVALID);
    world_batch(&channel, "SKU-1", 1, 10, &build);
    cr_assert_eq(world_outcome(world, client, &build).status, XD_PRODUCER_UNKNOWN);
    world_end(world);
}

/* A frame that the owner cannot decode ends the connection at its home, and nothing else. */
Test(shard_peers, a_broken_frame_ends_its_connection_through_the_owner)
{
    struct world *world = world_begin_sim_shards(2);
    struct world_channel channel;
    struct batch_build build;
    char name[16];
    world_start(world);
    struct world_client *client = world_connect_to(world, 0, 0);
    struct world_client *other = world_connect_to(world, 1, 0);
    facility_of(1, 2, 0, name);
    add(world, client, name);
    open_at(world, client, name, "a", "SKU-1", &channel);
    world_batch(&channel, "SKU-1", 2, 10, &build);
    /* Two batches are announced and one is there. */
    uint8_t frame[16384] = {0};
    struct xd_produce_head head = {.batch_count = 2};
    memcpy(frame, &head, sizeof head);
    memcpy(frame + sizeof head, &build, xd_batch_stride(&build.header));
    wire_client_send(&client->wire, XD_OP_PRODUCE, frame,
                     (uint32_t)sizeof head + xd_batch_stride(&build.header));
    world_await_end(world, client);
    uint64_t correlation = wire_client_admin(&other->wire, "status", "{\"shard\":1}");
    cr_assert_eq(world_await(world, other, correlation), 0);
    client = world_connect_to(world, 0, 0);
    open_at(world, client, name, "b", "SKU-1", &channel);
    world_batch(&channel, "SKU-1", 2, 10, &build);
    cr_assert_eq(world_outcome(world, client, &build).status, 0);
    world_end(world);
}

/* ---- ends ------------------------------------------------------------------------------------ */

/* A connection that ends while frames of it are lent and output is on its way leaves nothing
 * behind: thousands of them, and the stop is clean. */
Test(shard_peers, connections_that_end_at_any_moment_leave_nothing)
{
    struct world *world = world_begin_sim_shards(2);
    struct prng prng;
    char name[16];
    prng_seed(&prng, 5);
    world_start(world);
    struct world_client *keeper = world_connect_to(world, 2, 0);
    facility_of(1, 2, 0, name);
    add(world, keeper, name);
    for (uint32_t round = 0; round < 300; round++) {
        struct world_channel channel;
        struct batch_build build;
        uint32_t i = (uint32_t)prng_below(&prng, 2);
        struct world_client *client = world_connect_to(world, i, (uint32_t)prng_below(&prng, 2));
        open_at(world, client, name, "a", "SKU-1", &channel);
        channel.previous = channel.sequence;
        uint32_t batches = (uint32_t)prng_below(&prng, 5);
        for (uint32_t k = 0; k < batches; k++) {
            world_batch(&channel, "SKU-1", 2, 3000, &build);
            world_send(client, &build, XD_DURABILITY_FSYNC);
            wire_client_read(&client->wire, channel.target.partition, XD_SEEK_BEGIN, 0, 1u << 20,
                             (uint32_t)prng_below(&prng, 3) * 1000);
        }
        uint64_t turns = prng_below(&prng, 30);
        for (uint64_t k = 0; k < turns; k++)
            world_turn(world, 100000);
        world_leave(world, client, prng_chance(&prng, 32768));
    }
    struct world_channel channel;
    struct batch_build build;
    open_at(world, keeper, name, "last", "SKU-9", &channel);
    world_batch(&channel, "SKU-9", 2, 3000, &build);
    cr_assert_eq(world_outcome(world, keeper, &build).status, 0);
    world_pass(world, 100);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(shard_counters(world->shards[i])->v[COUNTER_connections_open], i == 0 ? 1 : 0);
    world_stop(world);
    world_end(world);
}

/* A stop answers what is in flight on other shards too, and then ends the connections. */
Test(shard_peers, a_stop_answers_what_is_in_flight_everywhere)
{
    struct world *world = world_begin_sim_shards(2);
    struct world_channel channel;
    struct batch_build build;
    uint32_t records = 0;
    char name[16];
    world_start(world);
    struct world_client *client = world_connect_to(world, 0, 0);
    facility_of(1, 2, 0, name);
    add(world, client, name);
    open_at(world, client, name, "a", "SKU-1", &channel);
    for (uint32_t i = 0; i < 8; i++) {
        world_batch(&channel, "SKU-1", 2, 3000, &build);
        world_send(client, &build, XD_DURABILITY_FSYNC);
    }
    while (shard_counters(world->shards[1])->v[COUNTER_batches_appended] < 8)
        world_turn(world, WORLD_TURN_NS);
    world_stop(world);
    world_take(world, client);
    for (uint32_t i = 0; i < client->ack_count; i++)
        records += client->acks[i].record_count;
    cr_assert_eq(records, 16);
    cr_assert(client->goaway);
    world_end(world);
}

/* ---- catalog --------------------------------------------------------------------------------- */

/* However a crash falls into a change of the catalog, all shards have the same one afterwards, and
 * what was answered is in it. */
Test(shard_peers, a_crash_leaves_one_catalog)
{
    for (uint32_t round = 0; round < 60; round++) {
        struct world *world = world_begin_sim_shards(3);
        uint32_t answered = 0;
        char names[4][16];
        world_start(world);
        struct world_client *client = world_connect_to(world, 0, round % 3);
        for (uint32_t i = 0; i < 4; i++) {
            char json[64];
            facility_of(i % 3, 3, i / 3, names[i]);
            snprintf(json, sizeof json, "{\"name\":\"%s\"}", names[i]);
            wire_client_admin(&client->wire, "facility add", json);
        }
        for (uint32_t turn = 0; turn < round * 2; turn++)
            world_turn(world, 50000);
        answered = world_take(world, client) - 1; /* one to HELLO */
        world_leave(world, client, true);
        world_kill(world);
        world_start(world);
        uint8_t first[4096];
        uint32_t first_bytes = 0;
        for (uint32_t i = 0; i < 3; i++) {
            client = world_connect_to(world, 0, i);
            uint64_t correlation = wire_client_send(&client->wire, XD_OP_CATALOG, NULL, 0);
            cr_assert_eq(world_await(world, client, correlation), 0);
            cr_assert_lt(world->reply.body_bytes, sizeof first);
            if (i == 0) {
                first_bytes = world->reply.body_bytes;
                memcpy(first, world->reply.body, first_bytes);
            }
            cr_assert_eq(world->reply.body_bytes, first_bytes);
            cr_assert_eq(memcmp(first, world->reply.body, first_bytes), 0, "shard %u", i);
        }
        const struct xd_catalog_reply *reply = (const void *)first;
        cr_assert_geq(reply->facility_count, answered);
        world_end(world);
    }
}
