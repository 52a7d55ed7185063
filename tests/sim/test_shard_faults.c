/* SPDX-License-Identifier: Apache-2.0
 *
 * One failure at each place in turn: every write, flush, read, send and crash point of a small
 * scenario. Whatever happens, what was acknowledged is there after a power cut, nothing is there
 * twice, and the client gets a definite answer when it asks again.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SKU "SKU-4711"
#define BATCHES 6u
#define RECORDS 2u
#define SCENARIO_NS 3000000000ull

static struct batch_build builds[BATCHES];

/* The batches of the first open of the first channel, which are known beforehand. */
static void scenario_build(void)
{
    struct kit_channel channel = {
        .target = {.producer_id = 1,
                   .producer_epoch = 1,
                   .channel_epoch = 1,
                   .partition = xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, SKU), 3),
                   .strategy = XD_STRATEGY_SKU}};
    for (uint32_t i = 0; i < BATCHES; i++)
        shard_kit_batch(&channel, SKU, RECORDS, &builds[i]);
}

/* Highest sequence acknowledged as durable in what has arrived. */
static uint64_t acked_of(struct kit_client *client, uint64_t acked)
{
    struct wire_frame frame;
    while (wire_client_next(&client->wire, &frame)) {
        struct xd_ack_view view;
        const char *field = "";
        if (frame.head.op != XD_OP_ACK)
            continue;
        cr_assert_eq(xd_ack_decode(frame.payload, frame.head.length, &view, &field), 0);
        for (uint32_t i = 0; i < view.fixed.ack_count; i++)
            if (view.acks[i].status == 0 && view.acks[i].durability == XD_DURABILITY_FSYNC &&
                view.acks[i].last_sequence > acked)
                acked = view.acks[i].last_sequence;
    }
    return acked;
}

/* Starts, connects, sends everything in one go, and turns until all is acknowledged, the broker
 * fails or the connection ends. Returns the highest sequence acknowledged. */
static uint64_t scenario_run(struct shard_kit *kit)
{
    struct kit_client *client = &kit->clients[0];
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    uint64_t acked = 0;
    if (sim_broker_start(&kit->broker) < 0 ||
        wire_client_connect(&client->wire, kit->broker.address) < 0)
        return 0;
    wire_client_hello(&client->wire);
    wire_client_open(&client->wire, &open, "wms", "a", "");
    for (uint32_t i = 0; i < BATCHES; i++)
        shard_kit_send(client, &builds[i], XD_DURABILITY_FSYNC);
    uint64_t end_ns = sim_now_ns(kit->broker.sim) + SCENARIO_NS;
    while (sim_now_ns(kit->broker.sim) < end_ns && acked < BATCHES * RECORDS) {
        bool goes_on = shard_kit_turn(kit);
        acked = acked_of(client, acked);
        if (!goes_on || client->wire.ended)
            break;
    }
    return acked;
}

/* After the fault: a power cut, a start, and the client that asks again. */
static void scenario_judge(struct shard_kit *kit, uint64_t acked, enum sim_crash_menu menu,
                           const char *what, uint64_t n)
{
    uint64_t hash;
    uint32_t partition = builds[0].target.partition;
    sim_inject_clear(kit->broker.sim);
    sim_space_limit(kit->broker.sim, UINT64_MAX);
    shard_kit_restart(kit, menu);
    struct kit_client *client = shard_kit_connect(kit, 0);
    uint64_t records = shard_kit_read_all(kit, client, partition, &hash);
    cr_assert_geq(records, acked, "%s %llu: acknowledged %llu, there are %llu", what,
                  (unsigned long long)n, (unsigned long long)acked, (unsigned long long)records);
    cr_assert_eq(records % RECORDS, 0);

    struct xd_open open = {
        .producer_epoch = 1, .acked_sequence = acked, .assigned_sequence = BATCHES * RECORDS};
    uint64_t correlation = wire_client_open(&client->wire, &open, "wms", "a", "");
    int status = shard_kit_await(kit, client, correlation);
    if (status == XD_ACKED_MISSING && acked == 0) { /* not even the open had become durable */
        open = (struct xd_open){.flags = XD_OPEN_NO_MEMORY};
        correlation = wire_client_open(&client->wire, &open, "wms", "a", "");
        status = shard_kit_await(kit, client, correlation);
    }
    cr_assert_eq(status, 0, "%s %llu: %s", what, (unsigned long long)n, kit->reply.detail);
    for (uint32_t i = 0; i < BATCHES; i++)
        shard_kit_send(client, &builds[i], XD_DURABILITY_FSYNC);
    while (client->ack_count == 0 ||
           shard_kit_last_ack(client)->last_sequence < BATCHES * RECORDS) {
        shard_kit_await_acks(kit, client, client->ack_count + 1);
        cr_assert_geq(shard_kit_last_ack(client)->status, 0, "%s %llu: %s", what,
                      (unsigned long long)n, xd_status_name(shard_kit_last_ack(client)->status));
        uint64_t first = shard_kit_last_ack(client)->first_sequence;
        cr_assert_eq(shard_kit_last_ack(client)->base_offset, first - 1);
    }
    cr_assert_eq(shard_kit_read_all(kit, client, partition, &hash), BATCHES * RECORDS);
}

/* Fails the nth operation of a kind, for every n of the scenario. Returns how many there were. */
static uint64_t each_operation(enum sim_op op, int32_t result, const char *what)
{
    uint64_t n;
    scenario_build();
    for (n = 1; n < 5000; n++) {
        struct sim_options world;
        sim_options_init(&world, n);
        struct shard_kit *kit = shard_kit_open_in(&world);
        sim_inject(kit->broker.sim, op, NULL, n, result);
        uint64_t acked = scenario_run(kit);
        bool happened = sim_inject_pending(kit->broker.sim) == 0;
        if (!happened)
            cr_assert_eq(acked, BATCHES * RECORDS, "%s %llu", what, (unsigned long long)n);
        scenario_judge(kit, acked, SIM_CRASH_KEEP_NONE, what, n);
        shard_kit_close(kit);
        if (!happened)
            break;
    }
    return n - 1;
}

Test(shard_faults, each_write_fails, .timeout = 300)
{
    cr_assert_gt(each_operation(SIM_OP_WRITE, -EIO, "write EIO"), 5);
}

Test(shard_faults, each_write_finds_no_space, .timeout = 300)
{
    cr_assert_gt(each_operation(SIM_OP_WRITE, -ENOSPC, "write ENOSPC"), 5);
}

Test(shard_faults, each_write_is_short, .timeout = 300)
{
    cr_assert_gt(each_operation(SIM_OP_WRITE, 512, "write short"), 5);
}

Test(shard_faults, each_write_writes_nothing, .timeout = 300)
{
    cr_assert_gt(each_operation(SIM_OP_WRITE, 0, "write nothing"), 5);
}

Test(shard_faults, each_flush_fails, .timeout = 300)
{
    cr_assert_gt(each_operation(SIM_OP_SYNC, -EIO, "flush EIO"), 3);
}

Test(shard_faults, each_folder_flush_fails, .timeout = 300)
{
    cr_assert_gt(each_operation(SIM_OP_DIR_SYNC, -EIO, "folder flush EIO"), 0);
}

Test(shard_faults, each_file_operation_of_the_start_fails, .timeout = 300)
{
    cr_assert_gt(each_operation(SIM_OP_FILE_OPEN, -EMFILE, "open EMFILE"), 2);
    cr_assert_gt(each_operation(SIM_OP_FILE_RESERVE, -ENOSPC, "reserve ENOSPC"), 1);
    cr_assert_gt(each_operation(SIM_OP_LISTEN, -EADDRINUSE, "listen EADDRINUSE"), 0);
    cr_assert_gt(each_operation(SIM_OP_MEM_ALLOC, -ENOMEM, "memory ENOMEM"), 0);
}

Test(shard_faults, each_network_operation_fails, .timeout = 300)
{
    cr_assert_gt(each_operation(SIM_OP_ACCEPT, -EMFILE, "accept EMFILE"), 0);
    cr_assert_gt(each_operation(SIM_OP_RECV, -ECONNRESET, "recv ECONNRESET"), 0);
    cr_assert_gt(each_operation(SIM_OP_SEND, -ECONNRESET, "send ECONNRESET"), 0);
}

/* The volume runs dry at any byte. */
Test(shard_faults, space_runs_out_at_any_byte, .timeout = 300)
{
    scenario_build();
    for (uint64_t limit = 0; limit < 24u << 20; limit += 331u * 1024) {
        struct sim_options world;
        sim_options_init(&world, limit);
        struct shard_kit *kit = shard_kit_open_in(&world);
        sim_space_limit(kit->broker.sim, limit);
        uint64_t acked = scenario_run(kit);
        scenario_judge(kit, acked, SIM_CRASH_KEEP_SUBSET, "space", limit);
        shard_kit_close(kit);
    }
}

/* The process dies instead of starting its nth operation; the disk keeps any menu of it. */
Test(shard_faults, dies_at_each_operation, .timeout = 300)
{
    scenario_build();
    for (uint64_t n = 1;; n++) {
        struct sim_options world;
        sim_options_init(&world, n);
        struct shard_kit *kit = shard_kit_open_in(&world);
        sim_plan_crash_op(kit->broker.sim, n);
        uint64_t acked = scenario_run(kit);
        bool died = sim_dead(kit->broker.sim);
        sim_plan_crash_op(kit->broker.sim, 0);
        scenario_judge(kit, acked, SIM_CRASH_ANY, "death at operation", n);
        shard_kit_close(kit);
        if (!died) {
            cr_assert_gt(n, 30);
            break;
        }
    }
}

/* The process dies at each named point that the scenario reaches, the first three times. */
Test(shard_faults, dies_at_each_crash_point, .timeout = 300)
{
    uint32_t reached = 0;
    scenario_build();
    for (uint32_t point = 0; point < ENV_CRASH_COUNT; point++) {
        for (uint32_t nth = 1; nth <= 3; nth++) {
            for (int menu = 0; menu < SIM_CRASH_MENU_COUNT; menu++) {
                struct sim_options world;
                sim_options_init(&world, point * 100 + nth);
                world.rates.buggify_enabled = 65536;
                world.rates.buggify_fires = 10000;
                struct shard_kit *kit = shard_kit_open_in(&world);
                sim_plan_crash(kit->broker.sim, (enum env_crash_point)point, nth);
                uint64_t acked = scenario_run(kit);
                reached += sim_dead(kit->broker.sim) && nth == 1 && menu == 0;
                sim_plan_crash(kit->broker.sim, (enum env_crash_point)point, 0);
                scenario_judge(kit, acked, (enum sim_crash_menu)menu, "crash point", point);
                shard_kit_close(kit);
            }
        }
    }
    cr_assert_geq(reached, 7, "only %u points", reached);
}

/* The wall clock jumps: append times never fall, and nothing waits for it. */
Test(shard_faults, clock_jumps_change_nothing_but_times)
{
    static const int64_t jumps_us[] = {-3600000000ll, 86400000000ll, -7200000000ll, 1000000};
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    int64_t newest_us = 0;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < 12; i++) {
        struct xd_read_reply reply;
        const uint8_t *batches;
        const char *field = "";
        sim_wall_jump(kit->broker.sim, jumps_us[i % 4]);
        struct xd_ack ack = shard_kit_produce(kit, client, &channel, SKU, 1);
        cr_assert_eq(ack.status, 0);
        uint64_t correlation = wire_client_read(&client->wire, channel.target.partition,
                                                XD_SEEK_OFFSET, ack.base_offset, 1, 0);
        cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
        cr_assert_eq(
            xd_read_reply_decode(kit->reply.body, kit->reply.body_bytes, &reply, &batches, &field),
            0);
        const struct xd_batch_header *batch = (const void *)batches;
        cr_assert_geq(batch->append_time_us, newest_us);
        newest_us = batch->append_time_us;
        if (i % 4 == 3) {
            shard_kit_restart(kit, SIM_CRASH_KEEP_ALL);
            client = shard_kit_connect(kit, 0);
            shard_kit_channel(kit, client, "a", SKU, &channel);
        }
    }
    shard_kit_close(kit);
}
