/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/shard/lines.c: what an operator should hear comes out as one line per event, with its
 * values; lines that nobody took are counted, not queued without end.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Asserts that a line of the event was said, with that text in it. */
static void expect(const struct shard_kit *kit, const char *event, bool warning, const char *text)
{
    const struct shard_line *line = sim_broker_line(&kit->broker, event);
    cr_assert_not_null(line, "no line %s", event);
    cr_assert_eq(line->warning, warning, "%s", event);
    cr_assert_not_null(strstr(line->text, text), "%s: '%s'", event, line->text);
}

/* A new folder, a peer closed for a reason, a torn tail, a storage failure. */
Test(shard_lines, tell_what_happened)
{
    static struct batch_build build;
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    expect(kit, "log_created", false, "");
    wire_client_send(&client->wire, XD_OP_PRODUCE, "", 0);
    cr_assert(shard_kit_await_end(kit, client));
    shard_kit_pass(kit, 5);
    expect(kit, "connection_closed", false, "slot=1 reason=");

    client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", "SKU-1", &channel);
    uint64_t cuts = 0;
    for (uint32_t i = 0; i < 60 && cuts == kit->broker.tail_cuts; i++) {
        cuts = kit->broker.tail_cuts;
        shard_kit_batch(&channel, "SKU-1", 20, &build);
        shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
        wire_client_pump(&client->wire);
        cr_assert(shard_kit_turn(kit));
        shard_kit_restart(kit, SIM_CRASH_TORN_SECTOR);
        client = shard_kit_connect(kit, 0);
        shard_kit_channel(kit, client, "a", "SKU-1", &channel);
    }
    expect(kit, "log_tail_cut", true, "bytes=");

    sim_crash(kit->broker.sim, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(sim_disk_flip(kit->broker.sim, "meta", 20, 0), 0);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    expect(kit, "log_meta_slot_damaged", true, "file=meta slot=0 kept_generation=");
    client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", "SKU-1", &channel);

    sim_inject(kit->broker.sim, SIM_OP_SYNC, NULL, 1, -EIO);
    shard_kit_batch(&channel, "SKU-1", 1, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    uint32_t turns = 0;
    while (shard_kit_turn(kit) && turns++ < 1000)
        ;
    cr_assert_lt(kit->status, 0);
    expect(kit, "log_fenced", true, "error=EIO");
    cr_assert_eq(client->ack_count, 0);
    shard_kit_close(kit);
}

/* Connects without a word and is forgotten. */
static void knock(struct shard_kit *kit, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        cr_assert_geq(sim_client_connect(kit->broker.sim, "127.0.0.1:7700"), 0);
    shard_kit_pass(kit, 100);
}

static uint32_t lines_of(const struct shard_kit *kit, const char *event)
{
    uint32_t count = 0;
    for (uint64_t i = 0; i < kit->broker.line_count && i < SIM_BROKER_LINES; i++)
        count += strcmp(kit->broker.lines[i].event, event) == 0;
    return count;
}

/* Refusals of one kind are told at once and then at most every ten seconds, with their number. */
Test(shard_lines, count_refusals_of_ten_seconds)
{
    struct sim_options world;
    sim_options_init(&world, 1);
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.net.strangers_max = 1;
    shard_kit_start(kit);
    knock(kit, 1);
    cr_assert_eq(lines_of(kit, "connection_refused"), 0);
    knock(kit, 1);
    expect(kit, "connection_refused", true, "reason=address_strangers_max count=1");
    knock(kit, 3);
    cr_assert_eq(lines_of(kit, "connection_refused"), 1);
    shard_kit_pass(kit, 10000);
    knock(kit, 2);
    expect(kit, "connection_refused", true, "reason=address_strangers_max count=4");
    cr_assert_eq(lines_of(kit, "connection_refused"), 2);
    shard_kit_close(kit);
}

/* Scarce memory is told when it begins and, ten seconds later at the earliest, when it ends. */
Test(shard_lines, tell_when_memory_is_scarce)
{
    enum { SENDERS = 3, BYTES = 1020000, STEP = 10000 };
    static uint8_t data[XD_FRAME_HEADER_BYTES + BYTES];
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *clients[SENDERS];
    const struct xd_frame head = {.length = 1024 * 1024, .op = XD_OP_PRODUCE, .version = 1};
    xd_frame_encode(&head, data);
    for (uint32_t i = 0; i < SENDERS; i++)
        clients[i] = shard_kit_connect(kit, i);
    for (uint32_t at = 0; at < BYTES && lines_of(kit, "memory_state") == 0; at += STEP)
        for (uint32_t i = 0; i < SENDERS; i++) {
            (void)sim_client_send(kit->broker.sim, clients[i]->wire.id, data + at, STEP);
            shard_kit_pass(kit, 5);
        }
    expect(kit, "memory_state", true, "state=throttled");
    shard_kit_pass(kit, 20000);
    expect(kit, "memory_state", false, "state=normal");
    cr_assert_eq(lines_of(kit, "memory_state"), 2);
    shard_kit_close(kit);
}

/* When nobody takes lines, the newest are lost and their number is told once. */
Test(shard_lines, counts_lines_that_were_lost)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct shard_line line;
    uint32_t lines = 0;
    uint64_t lost = 0;
    kit->broker.leave_lines = true;
    for (uint32_t i = 0; i < 400; i++) {
        struct kit_client *client = shard_kit_connect(kit, 0);
        wire_client_send(&client->wire, XD_OP_PRODUCE, "", 0);
        cr_assert(shard_kit_await_end(kit, client));
    }
    shard_kit_pass(kit, 5);
    while (shard_line_next(kit->broker.shard, &line)) {
        cr_assert_eq(lost, 0, "the count comes last");
        if (strcmp(line.event, "lines_lost") == 0)
            cr_assert_eq(sscanf(line.text, "count=%lu", &lost), 1);
        else
            lines++;
    }
    cr_assert_eq(lines + lost, 400);
    cr_assert_gt(lost, 0);
    shard_kit_close(kit);
}

/* The way of flushing that the self-test has chosen, with what it measured: writes that flush
 * themselves where these are faster than a write and a flush, else the two of them. */
Test(shard_lines, tell_the_way_of_flushing_that_was_chosen)
{
    for (uint32_t way = LOG_SYNC_DSYNC; way < LOG_SYNC_COUNT; way++) {
        struct sim_options world;
        unsigned long dsync_us, fdatasync_us;
        char name[16];
        sim_options_init(&world, way);
        bool dsync = way == LOG_SYNC_DSYNC; /* to go round once is half as long */
        world.turn = dsync ? (struct sim_range){100000, 100000} : (struct sim_range){500, 500};
        world.write = (struct sim_range){10000, 12000};
        world.sync = (struct sim_range){10000, 12000};
        struct shard_kit *kit = shard_kit_open_in(&world);
        kit->broker.options.log.sync = LOG_SYNC_AUTO;
        shard_kit_start(kit);
        const struct shard_line *line = sim_broker_line(&kit->broker, "log_sync_chosen");
        cr_assert(line != NULL && !line->warning);
        cr_assert_eq(sscanf(line->text, "sync=%15s dsync_us=%lu fdatasync_us=%lu", name, &dsync_us,
                            &fdatasync_us),
                     3, "%s", line->text);
        cr_assert_str_eq(name, dsync ? "dsync" : "fdatasync", "%s", line->text);
        cr_assert_eq(dsync_us * 10 <= fdatasync_us * 9, dsync, "%s", line->text);
        shard_kit_close(kit);
    }
}
