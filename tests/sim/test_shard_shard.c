/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/shard/shard.c: which frames reach a handler, peers that misbehave, and the stop. HELLO
 * comes first; a peer that breaks a rule is closed and costs nobody else anything.
 */
#include "broker/shard/shard.h"

#include "broker/base/prng.h"
#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <string.h>

#define SKU "SKU-4711"

/* HELLO's reply names versions, limits and the data folder. */
Test(shard_shard, tells_limits_and_identity)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct xd_hello_reply reply, again;
    const char *field = "";
    cr_assert_eq(xd_hello_reply_decode(kit->reply.body, kit->reply.body_bytes, &reply, &field), 0);
    cr_assert_eq(reply.version, 1);
    cr_assert_eq(reply.batch_bytes_max, XD_BATCH_BYTES_MAX);
    cr_assert_eq(reply.frame_bytes_max, kit->broker.options.net.frame_bytes_max);
    cr_assert_eq(reply.inflight_batches, XD_INFLIGHT_BATCHES_MAX);
    cr_assert_eq(reply.connection_bytes, kit->broker.options.connection_bytes);
    cr_assert_eq(reply.default_durability, XD_DURABILITY_FSYNC);
    cr_assert(reply.cluster_id[0] != 0 || reply.cluster_id[1] != 0);
    cr_assert(reply.server_time_us > 0);
    cr_assert_eq(shard_kit_await(kit, client, wire_client_send(&client->wire, XD_OP_PING, NULL, 0)),
                 0);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    shard_kit_connect(kit, 0);
    cr_assert_eq(xd_hello_reply_decode(kit->reply.body, kit->reply.body_bytes, &again, &field), 0);
    cr_assert_eq(memcmp(again.cluster_id, reply.cluster_id, 16), 0);
    shard_kit_close(kit);
}

/* Any other first frame is answered with HELLO_REQUIRED, then the connection ends. */
Test(shard_shard, must_come_first)
{
    struct shard_kit *kit = shard_kit_open(1);
    for (unsigned row = 0; xd_op_at(row) != NULL; row++) {
        const struct xd_op_row *op = xd_op_at(row);
        struct kit_client *client = shard_kit_connect_silent(kit, 0);
        if (op->before_hello || op->direction == XD_DIRECTION_PUSH)
            continue;
        uint64_t correlation = wire_client_send(&client->wire, op->op, "", 0);
        cr_assert_eq(shard_kit_await(kit, client, correlation), XD_HELLO_REQUIRED, "%s", op->name);
        cr_assert(shard_kit_await_end(kit, client), "%s", op->name);
    }
    shard_kit_close(kit);
}

/* A client of another protocol version is told the range that is spoken here. */
Test(shard_shard, tells_the_range_to_another_version)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect_silent(kit, 0);
    struct xd_hello_request request = {.fixed = {.version_min = 7, .version_max = 9}};
    struct xd_hello_reply reply;
    const char *field = "";
    uint8_t payload[64];
    int bytes = xd_hello_encode(&request, payload, sizeof payload);
    uint64_t correlation = wire_client_send(&client->wire, XD_OP_HELLO, payload, (uint32_t)bytes);
    cr_assert_eq(shard_kit_await(kit, client, correlation), XD_VERSION_UNSUPPORTED);
    cr_assert_eq(xd_hello_reply_decode(kit->reply.body, kit->reply.body_bytes, &reply, &field), 0,
                 "%s", field);
    cr_assert_eq(reply.version, 0);
    cr_assert_eq(reply.version_min, XD_PROTOCOL_VERSION_MIN);
    cr_assert_eq(reply.version_max, XD_PROTOCOL_VERSION_MAX);
    cr_assert(shard_kit_await_end(kit, client));
    shard_kit_close(kit);
}

/* A HELLO that does not decode ends the connection with the field named. */
Test(shard_shard, refuses_a_malformed_greeting)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect_silent(kit, 0);
    uint64_t correlation = wire_client_send(&client->wire, XD_OP_HELLO, "abc", 3);
    cr_assert_eq(shard_kit_await(kit, client, correlation), XD_FRAME_MALFORMED);
    cr_assert(strlen(kit->reply.detail) > 0);
    cr_assert(shard_kit_await_end(kit, client));
    shard_kit_close(kit);
}

/* Unknown operations and newer layouts are refused one by one; the connection goes on. */
Test(shard_shard, refuses_what_it_does_not_know_and_goes_on)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    uint64_t correlation = wire_client_send(&client->wire, 0x7777, "x", 1);
    cr_assert_eq(shard_kit_await(kit, client, correlation), XD_OP_UNKNOWN);
    uint8_t head[XD_FRAME_HEADER_BYTES];
    struct xd_frame frame = {.op = XD_OP_PING, .version = 2, .correlation = 99};
    xd_frame_encode(&frame, head);
    wire_client_send_raw(&client->wire, head, sizeof head);
    cr_assert_eq(shard_kit_await(kit, client, 99), XD_FORMAT_UNKNOWN);
    correlation = wire_client_hello(&client->wire); /* again: harmless */
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    correlation = wire_client_send(&client->wire, XD_OP_PING, NULL, 0);
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    shard_kit_close(kit);
}

/* Frames that only a broker sends, and headers that break a rule, end the connection. */
Test(shard_shard, closes_on_frames_that_break_the_rules)
{
    struct shard_kit *kit = shard_kit_open(1);
    const struct xd_frame bad[] = {
        {.op = XD_OP_PING, .version = 1, .flags = XD_FRAME_REPLY},
        {.op = XD_OP_ACK, .version = 1},
        {.op = XD_OP_GOAWAY, .version = 1, .flags = XD_FRAME_PUSH},
        {.op = XD_OP_PING, .version = 1, .length = XD_FRAME_BYTES_HARD_MAX}, /* over the limit */
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint8_t head[XD_FRAME_HEADER_BYTES];
        struct kit_client *client = shard_kit_connect(kit, 0);
        xd_frame_encode(&bad[i], head);
        wire_client_send_raw(&client->wire, head, sizeof head);
        cr_assert(shard_kit_await_end(kit, client), "row %zu", i);
    }
    for (int i = 0; i < 2; i++) { /* op 0, version 0 */
        uint8_t head[XD_FRAME_HEADER_BYTES] = {0};
        struct kit_client *client = shard_kit_connect(kit, 0);
        head[i == 0 ? 6 : 4] = 1;
        wire_client_send_raw(&client->wire, head, sizeof head);
        cr_assert(shard_kit_await_end(kit, client), "row %d", i);
    }
    shard_kit_close(kit);
}

/* Before HELLO only small frames are taken. */
Test(shard_shard, limits_frames_before_it)
{
    struct shard_kit *kit = shard_kit_open(1);
    uint8_t head[XD_FRAME_HEADER_BYTES];
    struct xd_frame frame = {
        .op = XD_OP_HELLO, .version = 1, .length = XD_FRAME_BYTES_PREAUTH_MAX + 1};
    struct kit_client *client = shard_kit_connect_silent(kit, 0);
    xd_frame_encode(&frame, head);
    wire_client_send_raw(&client->wire, head, sizeof head);
    cr_assert(shard_kit_await_end(kit, client));
    shard_kit_close(kit);
}

/* One that says nothing, and one that never ends a frame, are closed after their time. */
Test(shard_shard, closes_slow_peers)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *silent = shard_kit_connect_silent(kit, 0);
    struct kit_client *loris = shard_kit_connect(kit, 1);
    struct kit_client *busy = shard_kit_connect(kit, 2);
    uint64_t start_ns = sim_now_ns(kit->broker.sim);
    uint8_t head[XD_FRAME_HEADER_BYTES];
    struct xd_frame frame = {.op = XD_OP_PING, .version = 1, .length = 1000};
    xd_frame_encode(&frame, head);
    wire_client_send_raw(&loris->wire, head, sizeof head);
    for (uint32_t i = 0; i < 100 && !loris->wire.ended; i++) { /* a byte every 300 ms */
        wire_client_send_raw(&loris->wire, "", 1);
        uint64_t correlation = wire_client_send(&busy->wire, XD_OP_PING, NULL, 0);
        cr_assert_eq(shard_kit_await(kit, busy, correlation), 0);
        shard_kit_pass(kit, 300);
    }
    cr_assert(loris->wire.ended && silent->wire.ended);
    uint64_t took_ms = (sim_now_ns(kit->broker.sim) - start_ns) / 1000000;
    cr_assert(took_ms >= kit->broker.options.net.frame_timeout_ms &&
                  took_ms < kit->broker.options.net.frame_timeout_ms + 2000,
              "%llu ms", (unsigned long long)took_ms);
    cr_assert_not(busy->wire.ended);
    shard_kit_close(kit);
}

/* Random bytes, before and after HELLO, in frames and without: the broker serves others as before.
 */
Test(shard_shard, survives_random_bytes)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *good = shard_kit_connect(kit, 3);
    struct kit_channel channel;
    struct prng prng;
    prng_seed(&prng, 5);
    shard_kit_channel(kit, good, "a", SKU, &channel);
    for (uint32_t round = 0; round < 400; round++) {
        uint8_t bytes[600];
        uint32_t count = 1 + (uint32_t)prng_below(&prng, sizeof bytes);
        struct kit_client *bad =
            round % 2 == 0 ? shard_kit_connect_silent(kit, 0) : shard_kit_connect(kit, 0);
        for (uint32_t i = 0; i < count; i++)
            bytes[i] = (uint8_t)(prng_below(&prng, 3) == 0 ? prng_next(&prng) : 0);
        if (prng_below(&prng, 4) == 0) {
            wire_client_send_raw(&bad->wire, bytes, count);
        } else {
            const struct xd_op_row *op = xd_op_at((unsigned)prng_below(&prng, 10));
            wire_client_send(&bad->wire, op->op, bytes, count);
        }
        shard_kit_pass(kit, 2);
        wire_client_leave(&bad->wire, prng_below(&prng, 2) == 0);
        if (round % 20 == 0)
            cr_assert_eq(shard_kit_produce(kit, good, &channel, SKU, 1).status, 0);
    }
    uint64_t hash;
    cr_assert_eq(shard_kit_read_all(kit, good, channel.target.partition, &hash), 20);
    shard_kit_close(kit);
}

/* A stop in order answers what is in flight, says GOAWAY, and leaves a log without a torn tail. */
Test(shard_shard, stops_in_order)
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
Test(shard_shard, stops_in_spite_of_dead_clients)
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
