/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/shard/peers.c and spread.c, as threads live through it: a shard that waits sleeps until an
 * event, its own deadline or a bell, and what it is needed for must not wait for a timer. And a
 * stop that loses no answer and leaves nothing lent.
 *
 * The simulated device and network answer within 2 ms, the log's own timers are 100 ms and longer.
 */
#include "tests/sim/shard_kit.h"

#include "broker/shard/state.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SOON_NS 25000000ull

static struct shard_kit *open_shards(uint32_t shard_count)
{
    struct sim_options world;
    sim_options_init(&world, 1);
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.log.shard_count = shard_count;
    shard_kit_start(kit);
    return kit;
}

static struct kit_client *connect_to(struct shard_kit *kit, uint32_t i, uint32_t shard)
{
    memcpy(kit->broker.address, kit->broker.addresses[shard], sizeof kit->broker.address);
    return shard_kit_connect(kit, i);
}

/* All shards of a new folder have one catalog as soon as its entries are durable on each. */
Test(shard_bells, a_join_waits_for_no_timer)
{
    struct shard_kit *kit = open_shards(4);
    uint64_t made_ns = sim_now_ns(kit->broker.sim);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    cr_assert_lt(sim_now_ns(kit->broker.sim) - made_ns, 2 * SOON_NS);
    cr_assert_lt(made_ns - 1000000000, 4 * SOON_NS, "after %llu ns",
                 (unsigned long long)made_ns - 1000000000);
    shard_kit_close(kit);
}

/* A change of the catalog is answered when it is durable on all shards, not at their next timer. */
Test(shard_bells, a_change_of_the_catalog_waits_for_no_timer)
{
    struct shard_kit *kit = open_shards(2);
    for (uint32_t home = 0; home < 2; home++) {
        struct kit_client *client = connect_to(kit, home, home);
        for (uint32_t i = 0; i < 3; i++) {
            char json[64];
            shard_kit_pass(kit, 300); /* the logs are at rest */
            snprintf(json, sizeof json, "{\"name\":\"DC%u%u\"}", home, i);
            uint64_t start_ns = sim_now_ns(kit->broker.sim);
            uint64_t correlation = wire_client_admin(&client->wire, "facility add", json);
            cr_assert_eq(shard_kit_await(kit, client, correlation), 0, "%s", kit->reply.detail);
            cr_assert_lt(sim_now_ns(kit->broker.sim) - start_ns, SOON_NS);
        }
    }
    shard_kit_close(kit);
}

/* A change is answered when it is durable on all shards, not a moment before: another shard may be
 * asked at once. */
Test(shard_bells, an_answered_change_is_durable_on_every_shard)
{
    struct shard_kit *kit = open_shards(4);
    struct kit_client *client = connect_to(kit, 0, 1);
    for (uint32_t i = 0; i < 30; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"name\":\"topic-%u\",\"width\":1}", i);
        uint64_t correlation = wire_client_admin(&client->wire, "topic create", json);
        cr_assert_eq(shard_kit_await(kit, client, correlation), 0, "%s", kit->reply.detail);
        for (uint32_t k = 0; k < 4; k++) {
            const struct shard *shard = kit->broker.shards[k];
            cr_assert_eq(shard->catalog.topic_count, i + 3, "shard %u", k);
            cr_assert(shard_catalog_settled(shard), "shard %u", k);
        }
    }
    shard_kit_close(kit);
}

/* ---- stop ------------------------------------------------------------------------------------ */

/* A shard that has stopped may be taken down: nobody sends from its memory any more. Here the
 * client of another shard does not read, and its own time to drain ends first. */
Test(shard_bells, a_stopped_shard_has_nothing_lent)
{
    struct shard_kit *kit = open_shards(2);
    struct kit_client *client = connect_to(kit, 0, 1);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", "SKU-1", &channel);
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(shard_kit_produce(kit, client, &channel, "SKU-1", 40).status, 0);
    for (uint32_t i = 0; i < 64; i++)
        wire_client_read(&client->wire, channel.target.partition, XD_SEEK_BEGIN, 0, 1u << 20, 0);
    (void)wire_client_pump(&client->wire);
    struct shard *owner = kit->broker.shards[0];
    for (uint32_t i = 0; i < 200; i++)
        cr_assert_geq(sim_broker_turn(&kit->broker, 1000000), 0);
    cr_assert_gt(owner->peers.outputs, 0, "the window is not full");
    shard_stop(owner);
    kit->broker.deadlines[0] = 0;
    uint64_t end_ns = sim_now_ns(kit->broker.sim) + 8000000000;
    while (!shard_stopped(owner) && sim_now_ns(kit->broker.sim) < end_ns)
        cr_assert_geq(sim_broker_turn(&kit->broker, 1000000), 0);
    cr_assert(!shard_stopped(owner) || owner->peers.outputs == 0);
    cr_assert_eq(sim_broker_stop(&kit->broker), 0);
    shard_kit_close(kit);
}

/* What a shard has for a client of another one leaves piece by piece, and the rest of it too before
 * the connection is closed. Here acks wait behind READs that the client takes only during the stop.
 */
Test(shard_bells, a_stop_waits_for_what_is_queued_behind_an_output)
{
    struct shard_kit *kit = open_shards(2);
    struct kit_client *client = connect_to(kit, 0, 1);
    struct kit_channel channel;
    struct batch_build build;
    shard_kit_channel(kit, client, "a", "SKU-1", &channel);
    for (uint32_t i = 0; i < 100; i++)
        cr_assert_eq(shard_kit_produce(kit, client, &channel, "SKU-1", 40).status, 0);
    uint32_t acks = client->ack_count;
    for (uint32_t i = 0; i < 3; i++) {
        shard_kit_batch(&channel, "SKU-1", 40, &build);
        shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    }
    for (uint32_t i = 0; i < 64; i++)
        wire_client_read(&client->wire, channel.target.partition, XD_SEEK_BEGIN, 0, 1u << 20, 0);
    (void)wire_client_pump(&client->wire);
    for (uint32_t i = 0; i < 200; i++)
        cr_assert_geq(sim_broker_turn(&kit->broker, 1000000), 0);
    cr_assert_gt(kit->broker.shards[0]->peers.outputs, 0, "the window is not full");
    for (uint32_t i = 0; i < 2; i++) {
        shard_stop(kit->broker.shards[i]);
        kit->broker.deadlines[i] = 0;
    }
    uint64_t end_ns = sim_now_ns(kit->broker.sim) + 4000000000; /* before the stop gives up */
    while (!client->wire.ended && sim_now_ns(kit->broker.sim) < end_ns) {
        cr_assert(shard_kit_turn(kit));
        shard_kit_drain(kit, client);
    }
    uint32_t records = 0;
    for (uint32_t i = acks; i < client->ack_count; i++)
        records += client->acks[i].record_count;
    cr_assert(client->wire.ended);
    cr_assert_eq(records, 120);
    shard_kit_close(kit);
}
