/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/shard/shard.c: which frames reach a handler, and peers that misbehave. HELLO
 * comes first; a peer that breaks a rule is closed and costs nobody else anything.
 */
#include "broker/shard/state.h"

#include "broker/base/prng.h"
#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
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

/* A flood of small frames does not hold up the log: a turn takes so many and no more, and every one
 * is answered in the turns that follow. */
Test(shard_shard, takes_a_bounded_number_of_frames_in_a_turn)
{
    enum { EACH = 2000 };
    struct sim_options world;
    uint32_t replies[KIT_CLIENTS];
    uint64_t most = 0;
    sim_options_init(&world, 1);
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.net.out_chunk_count = 128;
    kit->broker.options.net.out_chunks_per_conn = 32;
    shard_kit_start(kit);
    for (uint32_t i = 0; i < KIT_CLIENTS; i++)
        shard_kit_connect(kit, i);
    for (uint32_t i = 0; i < KIT_CLIENTS; i++) {
        struct kit_client *client = &kit->clients[i];
        replies[i] = client->reply_count;
        for (uint32_t k = 0; k < EACH; k++)
            wire_client_send(&client->wire, XD_OP_PING, NULL, 0);
        wire_client_pump(&client->wire);
    }
    sim_pause(kit->broker.sim, 100000000); /* it has all arrived when the process comes to run */
    const struct counters *counters = shard_counters(kit->broker.shard);
    uint64_t begun = counters->v[COUNTER_frames_received];
    for (uint32_t turns = 0; counters->v[COUNTER_frames_received] < begun + KIT_CLIENTS * EACH;) {
        uint64_t before = counters->v[COUNTER_frames_received];
        cr_assert(shard_kit_turn(kit));
        cr_assert_lt(turns++, 1000);
        uint64_t taken = counters->v[COUNTER_frames_received] - before;
        most = taken > most ? taken : most;
    }
    cr_assert_eq(most, SHARD_FRAMES_MAX);
    for (uint32_t i = 0; i < KIT_CLIENTS; i++)
        shard_kit_await_replies(kit, &kit->clients[i], replies[i] + EACH);
    shard_kit_close(kit);
}

/* Requests that are refused at once, of a client that does not read, are refused when it reads:
 * each of them once, in their sequence. */
Test(shard_shard, a_client_that_does_not_read_is_refused_later)
{
    enum { ROUNDS = 400, KINDS = 6 };
    struct sim_options world;
    sim_options_init(&world, 1);
    world.window_bytes = 4096;
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.net.out_chunk_count = 1;
    kit->broker.options.net.out_chunks_per_conn = 1;
    shard_kit_start(kit);
    struct kit_client *deaf = shard_kit_connect(kit, 0);
    const struct xd_open open = {.producer_epoch = 9};
    const struct xd_close close = {.producer_id = 77};
    for (uint32_t kind = 0; kind < KINDS; kind++) {
        static const int statuses[KINDS] = {XD_OP_UNKNOWN,       XD_ACKED_MISSING,
                                            XD_PRODUCER_UNKNOWN, XD_PARTITION_UNKNOWN,
                                            XD_NOT_FOUND,        0};
        uint64_t sent[ROUNDS];
        uint64_t missing = shard_counters(kit->broker.shard)->v[COUNTER_acked_missing];
        sim_client_partition(kit->broker.sim, deaf->wire.id, false, true);
        for (uint32_t i = 0; i < ROUNDS; i++) {
            if (kind == 0)
                sent[i] = wire_client_send(&deaf->wire, 0x7777, NULL, 0);
            else if (kind == 1)
                sent[i] = wire_client_open(&deaf->wire, &open, "wms", "a", "");
            else if (kind == 2)
                sent[i] = wire_client_send(&deaf->wire, XD_OP_PRODUCER_CLOSE, &close, sizeof close);
            else if (kind == 3)
                sent[i] = wire_client_read(&deaf->wire, 60, XD_SEEK_BEGIN, 0, 100, 0);
            else if (kind == 4)
                sent[i] = wire_client_admin(&deaf->wire, "facility ad", "");
            else
                sent[i] = wire_client_send(&deaf->wire, XD_OP_PING, NULL, 0);
        }
        shard_kit_pass(kit, 300);
        sim_client_partition(kit->broker.sim, deaf->wire.id, false, false);
        uint32_t replies = deaf->reply_count;
        for (uint32_t i = 0; i < ROUNDS; i++) {
            cr_assert_eq(shard_kit_await(kit, deaf, sent[i]), statuses[kind], "kind %u: %s", kind,
                         xd_status_name(kit->reply.head.status));
            cr_assert_eq(deaf->reply_count, replies + i + 1);
        }
        missing = shard_counters(kit->broker.shard)->v[COUNTER_acked_missing] - missing;
        cr_assert_eq(missing, kind == 1 ? ROUNDS : 0); /* each is reported once */
    }
    shard_kit_close(kit);
}

/* When a client that does not read holds all output memory, what others ask for waits, a greeting
 * as well, and is answered when there is room; nobody is refused or closed for it. */
Test(shard_shard, others_wait_for_output_memory)
{
    enum { PINGS = 400 };
    struct sim_options world;
    sim_options_init(&world, 1);
    world.window_bytes = 4096;
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.net.out_chunk_count = 1;
    kit->broker.options.net.out_chunks_per_conn = 1;
    shard_kit_start(kit);
    struct kit_client *deaf = shard_kit_connect(kit, 0);
    struct kit_client *reader = shard_kit_connect(kit, 1);
    struct kit_client *fresh = shard_kit_connect_silent(kit, 2);
    uint32_t replies = deaf->reply_count, before = reader->reply_count;
    sim_client_partition(kit->broker.sim, deaf->wire.id, false, true);
    for (uint32_t i = 0; i < PINGS; i++)
        wire_client_send(&deaf->wire, XD_OP_PING, NULL, 0);
    shard_kit_pass(kit, 100);
    uint64_t greeting = wire_client_hello(&fresh->wire);
    uint64_t reading = wire_client_read(&reader->wire, 0, XD_SEEK_BEGIN, 0, 100, 0);
    shard_kit_pass(kit, 500);
    shard_kit_drain(kit, fresh);
    shard_kit_drain(kit, reader);
    cr_assert(fresh->reply_count == 0 && reader->reply_count == before);
    sim_client_partition(kit->broker.sim, deaf->wire.id, false, false);
    cr_assert_eq(shard_kit_await(kit, fresh, greeting), 0);
    cr_assert_eq(shard_kit_await(kit, reader, reading), XD_END);
    shard_kit_await_replies(kit, deaf, replies + PINGS);
    shard_kit_close(kit);
}

/* An engine that cannot wait any more ends the turn with its status, and nothing is answered. */
Test(shard_shard, reports_an_engine_that_is_broken)
{
    static struct batch_build build;
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    shard_kit_batch(&channel, SKU, 1, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    wire_client_pump(&client->wire);
    sim_kill(kit->broker.sim);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(shard_turn(kit->broker.shard, UINT64_MAX), -ESHUTDOWN);
    shard_kit_drain(kit, client);
    cr_assert_eq(client->ack_count, 0);
    shard_kit_close(kit);
}

/* The fold state can be had when it stands on durable ground, not while a change of the catalog is
 * on its way: a crash could take that away. */
Test(shard_shard, gives_no_state_while_the_catalog_is_not_durable)
{
    struct sim_options world;
    sim_options_init(&world, 1);
    world.spike_ns = 2000000000;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    shard_kit_pass(kit, 100);
    struct shard *shard = kit->broker.shard;
    uint64_t bytes_max = shard_state_bytes_max(shard);
    uint8_t *out = malloc(bytes_max);
    cr_assert_not_null(out);
    uint64_t before = shard_state_save(shard, out, bytes_max);
    cr_assert_gt(before, 0);
    sim_rates(kit->broker.sim)->spike = 65536;
    uint64_t correlation = wire_client_admin(&client->wire, "facility add", "{\"name\":\"DC07\"}");
    shard_kit_pass(kit, 100);
    cr_assert_eq(shard_state_save(shard, out, bytes_max), 0);
    sim_rates(kit->broker.sim)->spike = 0;
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    cr_assert_gt(shard_state_save(shard, out, bytes_max), before);
    free(out);
    shard_kit_close(kit);
}
