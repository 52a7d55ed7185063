/* SPDX-License-Identifier: Apache-2.0
 *
 * How a shard stops: what is in flight is answered, the log is closed without a torn tail, and
 * neither clients nor a disk can keep it from coming to its end.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <errno.h>

#define SKU "SKU-4711"

/* A stop in order answers what is in flight, says GOAWAY, and leaves a log without a torn tail. */
Test(shard_stop, stops_in_order)
{
    static struct batch_build build;
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    uint64_t hash;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < 8; i++) {
        shard_kit_batch(&channel, SKU, 1, &build);
        shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    }
    wire_client_pump(&client->wire);
    for (uint32_t i = 0; i < 4; i++) /* taken, not all durable */
        cr_assert(shard_kit_turn(kit));
    uint32_t turns = 0;
    shard_stop(kit->broker.shard);
    while (!shard_stopped(kit->broker.shard) && turns++ < 20000)
        cr_assert(shard_kit_turn(kit));
    cr_assert(shard_stopped(kit->broker.shard));
    for (uint32_t i = 0; i < 5; i++) /* the last bytes arrive */
        (void)shard_kit_turn(kit);
    shard_kit_drain(kit, client);
    cr_assert(client->goaway);
    cr_assert(client->wire.ended);
    uint64_t acked = 0;
    for (uint32_t i = 0; i < client->ack_count; i++)
        acked += client->acks[i].record_count;
    shard_close(kit->broker.shard);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(kit->broker.tail_cuts, 0);
    client = shard_kit_connect(kit, 0);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), acked);
    cr_assert(acked > 0);
    shard_kit_close(kit);
}

/* Clients that neither read nor answer do not keep a stop from ending. */
Test(shard_stop, stops_in_spite_of_dead_clients)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    shard_kit_produce(kit, client, &channel, SKU, 20);
    for (uint32_t i = 0; i < 200; i++)
        wire_client_read(&client->wire, channel.target.partition, XD_SEEK_BEGIN, 0, 1u << 20, 0);
    wire_client_pump(&client->wire);
    sim_client_partition(kit->broker.sim, client->wire.id, false, true);
    for (uint32_t i = 0; i < 20; i++)
        cr_assert_geq(sim_broker_turn(&kit->broker, 1000000), 0);
    cr_assert_eq(sim_broker_stop(&kit->broker), 0);
    shard_kit_close(kit);
}

/* Turns until the shard has stopped, whatever they return. Simulated ms that it took. */
static uint64_t turn_until_stopped(struct shard_kit *kit)
{
    uint64_t start_ns = sim_now_ns(kit->broker.sim);
    while (!shard_stopped(kit->broker.shard)) {
        (void)shard_kit_turn(kit);
        cr_assert_lt(sim_now_ns(kit->broker.sim) - start_ns, KIT_WAIT_NS);
    }
    return (sim_now_ns(kit->broker.sim) - start_ns) / 1000000;
}

/* A stop does not wait for ever for a disk that does not come to an end: connections get 5 s, then
 * they are closed without an answer. What the disk makes durable after all is there. */
Test(shard_stop, a_stop_closes_connections_before_a_slow_disk_is_done)
{
    static struct batch_build build;
    struct sim_options world;
    struct kit_channel channel;
    uint64_t hash;
    sim_options_init(&world, 1);
    world.spike_ns = 20000000000;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    sim_rates(kit->broker.sim)->spike = 65536;
    shard_kit_batch(&channel, SKU, 1, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_pass(kit, 10);
    uint64_t start_ns = sim_now_ns(kit->broker.sim);
    shard_stop(kit->broker.shard);
    shard_stop(kit->broker.shard); /* again: changes nothing */
    cr_assert(shard_kit_await_end(kit, client));
    uint64_t ended_ms = (sim_now_ns(kit->broker.sim) - start_ns) / 1000000;
    cr_assert(ended_ms >= 5000 && ended_ms < 5100, "%llu ms", (unsigned long long)ended_ms);
    cr_assert(client->goaway && client->ack_count == 0);
    cr_assert_not(shard_stopped(kit->broker.shard));
    sim_rates(kit->broker.sim)->spike = 0;
    (void)turn_until_stopped(kit);
    shard_close(kit->broker.shard);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(kit->broker.tail_cuts, 0);
    client = shard_kit_connect(kit, 0);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 1);
    shard_kit_close(kit);
}

/* A disk that fails during the stop: nothing is acknowledged, the connections are closed at once,
 * and the stop comes to its end. */
Test(shard_stop, a_stop_ends_when_the_disk_fails_meanwhile)
{
    static struct batch_build build;
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    sim_inject(kit->broker.sim, SIM_OP_SYNC, NULL, 1, -EIO);
    shard_kit_batch(&channel, SKU, 1, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    wire_client_pump(&client->wire);
    while (shard_counters(kit->broker.shard)->v[COUNTER_batches_appended] == 0)
        cr_assert(shard_kit_turn(kit));
    shard_stop(kit->broker.shard);
    cr_assert_lt(turn_until_stopped(kit), 1000);
    cr_assert_lt(kit->status, 0);
    cr_assert_eq(sim_inject_pending(kit->broker.sim), 0);
    for (uint32_t i = 0; i < 5; i++) /* the last bytes arrive */
        (void)shard_kit_turn(kit);
    shard_kit_drain(kit, client);
    cr_assert(client->wire.ended && client->ack_count == 0);
    shard_close(kit->broker.shard);
    shard_close(NULL); /* of a shard that never came to be */
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1).status, 0);
    shard_kit_close(kit);
}

/* Answers that are due and that a client does not take hold a stop up for its 5 s and no longer. */
Test(shard_stop, a_stop_gives_up_answers_that_nobody_takes)
{
    static struct batch_build build;
    struct sim_options world;
    struct kit_channel channel;
    sim_options_init(&world, 1);
    world.window_bytes = 1024;
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.net.out_chunk_count = 1;
    kit->broker.options.net.out_chunks_per_conn = 1;
    shard_kit_start(kit);
    struct kit_client *deaf = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, deaf, "a", SKU, &channel);
    sim_client_partition(kit->broker.sim, deaf->wire.id, false, true);
    struct kit_channel behind = channel;
    for (uint32_t i = 0; i < 200; i++) {
        behind.previous = behind.sequence = 7; /* leaves a gap: refused with a text */
        shard_kit_batch(&behind, SKU, 1, &build);
        shard_kit_send(deaf, &build, XD_DURABILITY_FSYNC);
    }
    shard_kit_pass(kit, 200);
    shard_stop(kit->broker.shard);
    uint64_t took_ms = turn_until_stopped(kit);
    cr_assert_geq(took_ms, 5000);
    shard_close(kit->broker.shard);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(kit->broker.tail_cuts, 0);
    shard_kit_close(kit);
}
