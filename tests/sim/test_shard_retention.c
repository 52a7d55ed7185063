/* SPDX-License-Identifier: Apache-2.0
 *
 * Retention against a whole shard: what is dropped, how a reader is told, and what the wall clock
 * has to do with it.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SKU "SKU-4711"
#define DAY_US 86400000000ll
#define SEGMENTS_KEPT 4u

/* A broker whose segments are full as soon as the next one is ready, and which checkpoints all the
 * time: retention has something to do after a few batches. */
static struct shard_kit *rolling(uint64_t seed, uint32_t segments, int64_t retention_us)
{
    struct sim_options world;
    sim_options_init(&world, seed);
    world.rates.buggify_enabled = 65536;
    world.rates.buggify_fires = 65536;
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.log.retention_bytes = segments * kit->broker.options.log.segment_bytes;
    kit->broker.options.log.retention_us = retention_us;
    kit->broker.options.log.clock_steady_ns = 3000000000ull;
    shard_kit_start(kit);
    return kit;
}

/* Batches of three records, 20 ms apart. */
static void produce(struct shard_kit *kit, struct kit_client *client, struct kit_channel *channel,
                    uint32_t batches)
{
    for (uint32_t i = 0; i < batches; i++) {
        cr_assert_eq(shard_kit_produce(kit, client, channel, SKU, 3).status, 0);
        shard_kit_pass(kit, 20);
    }
}

/* One READ by offset; its status, the bounds it tells, and its first batch. */
static int read_at(struct shard_kit *kit, struct kit_client *client, uint32_t partition,
                   uint64_t offset, struct xd_read_reply *ret_reply,
                   const struct xd_batch_header **ret_batch)
{
    const uint8_t *batches;
    const char *field = "";
    uint64_t correlation = wire_client_read(&client->wire, partition, XD_SEEK_OFFSET, offset, 1, 0);
    int status = shard_kit_await(kit, client, correlation);
    cr_assert_eq(
        xd_read_reply_decode(kit->reply.body, kit->reply.body_bytes, ret_reply, &batches, &field),
        0, "%s: %s", xd_status_name(status), field);
    *ret_batch = (const void *)batches;
    return status;
}

/* Below the first offset kept everything is gone, with that offset named; from there on everything
 * is there, and the count of segments is what was asked for. The same after a restart. */
Test(shard_retention, names_the_oldest_offset_to_who_asks_for_less, .timeout = 120)
{
    struct xd_read_reply reply;
    const struct xd_batch_header *batch;
    uint64_t hash, floor = 0;
    struct kit_channel channel;
    struct shard_kit *kit = rolling(3, SEGMENTS_KEPT, 0);
    struct kit_client *client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    uint32_t partition = channel.target.partition;
    produce(kit, client, &channel, 40);
    cr_assert_gt(kit->broker.drops_by_size, 3);
    cr_assert_eq(kit->broker.drops_wrong, 0);
    for (uint32_t round = 0; round < 2; round++) {
        cr_assert_eq(read_at(kit, client, partition, 0, &reply, &batch), XD_OFFSET_GONE);
        floor = reply.first_offset;
        cr_assert(floor > 0 && floor < 120 && reply.end_offset == 120);
        cr_assert_not_null(strstr(kit->reply.detail, "kept: "), "%s", kit->reply.detail);
        cr_assert_eq(read_at(kit, client, partition, floor - 1, &reply, &batch), XD_OFFSET_GONE);
        cr_assert_eq(reply.first_offset, floor);
        cr_assert_eq(read_at(kit, client, partition, floor, &reply, &batch), 0);
        cr_assert_eq(batch->base_offset, floor);
        cr_assert_eq(shard_kit_read_all(kit, client, partition, &hash), 120 - floor);
        shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
        client = shard_kit_connect(kit, 0);
    }
    shard_kit_close(kit);
}

/* A segment that was dropped and used again after the last checkpoint is missing for the next
 * start, which says so and does not call it age. */
Test(shard_retention, says_what_a_start_finds_missing, .timeout = 120)
{
    bool missing = false;
    for (uint64_t seed = 1; seed <= 60 && !missing; seed++) {
        struct kit_channel channel;
        struct shard_kit *kit = rolling(seed, SEGMENTS_KEPT, 0);
        sim_rates(kit->broker.sim)->buggify_fires = 30000;
        for (uint32_t round = 0; round < 6 && !missing; round++) {
            struct kit_client *client = shard_kit_connect(kit, 0);
            shard_kit_channel(kit, client, "a", SKU, &channel);
            for (uint64_t i = 0; i < 12 + seed % 5; i++)
                cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 3).status, 0);
            shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
            const struct shard_line *line = sim_broker_line(&kit->broker, "log_segment_dropped");
            missing = line != NULL && strstr(line->text, "reason=missing") != NULL;
            cr_assert(!missing || line->warning);
            cr_assert_eq(kit->broker.drops_by_age, 0, "seed %llu", (unsigned long long)seed);
        }
        shard_kit_close(kit);
    }
    cr_assert(missing, "no start has found a segment missing");
}

/* Two days back and two days ahead, again and again, also while the broker is down: append times in
 * a partition never fall, and a READ by time finds what it should. */
Test(shard_retention, append_times_do_not_fall_when_the_clock_jumps_by_days)
{
    static const int64_t jumps_us[] = {-2 * DAY_US, 2 * DAY_US, 2 * DAY_US, -2 * DAY_US};
    struct xd_read_reply reply;
    const struct xd_batch_header *batch;
    struct kit_channel channel;
    int64_t newest_us = 0;
    struct shard_kit *kit = shard_kit_open(5);
    struct kit_client *client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    uint32_t partition = channel.target.partition;
    for (uint32_t i = 0; i < 16; i++) {
        sim_wall_jump(kit->broker.sim, jumps_us[i % 4]);
        if (i % 3 == 2) {
            shard_kit_restart(kit, SIM_CRASH_KEEP_ALL);
            client = shard_kit_connect(kit, 0);
            shard_kit_channel(kit, client, "a", SKU, &channel);
        }
        struct xd_ack ack = shard_kit_produce(kit, client, &channel, SKU, 2);
        cr_assert_eq(ack.status, 0);
        cr_assert_eq(read_at(kit, client, partition, ack.base_offset, &reply, &batch), 0);
        cr_assert_geq(batch->append_time_us, newest_us, "batch %u", i);
        newest_us = batch->append_time_us;
    }
    uint64_t correlation = wire_client_read(&client->wire, partition, XD_SEEK_TIME,
                                            (uint64_t)newest_us + 1, 1u << 20, 0);
    cr_assert_eq(shard_kit_await(kit, client, correlation), XD_END);
    shard_kit_close(kit);
}

/* Age is wall clock minus the newest append time of a segment. A clock that falls back keeps
 * everything; one that jumps ahead of the limit and stays there drops every full segment, and never
 * the active one, so the newest batch stays whatever the clock says. */
Test(shard_retention, by_time_goes_by_the_wall_clock, .timeout = 120)
{
    struct xd_read_reply reply;
    const struct xd_batch_header *batch;
    uint64_t hash;
    struct kit_channel channel;
    struct shard_kit *kit = rolling(7, 0, DAY_US);
    struct kit_client *client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    uint32_t partition = channel.target.partition;
    produce(kit, client, &channel, 20);
    sim_wall_jump(kit->broker.sim, -2 * DAY_US);
    produce(kit, client, &channel, 5);
    shard_kit_pass(kit, 5000);
    cr_assert_eq(kit->broker.drops_by_age, 0);
    cr_assert_eq(shard_kit_read_all(kit, client, partition, &hash), 75);

    sim_wall_jump(kit->broker.sim, 2 * DAY_US + DAY_US / 2); /* half a day ahead of the truth */
    shard_kit_pass(kit, 5000);
    cr_assert_eq(kit->broker.drops_by_age, 0);
    sim_wall_jump(kit->broker.sim, DAY_US);
    produce(kit, client, &channel, 1);
    shard_kit_pass(kit, 1500);
    cr_assert_eq(kit->broker.drops_by_age, 0);
    const struct shard_line *line = sim_broker_line(&kit->broker, "log_clock_jumped");
    cr_assert(line != NULL && line->warning && strstr(line->text, "seconds=86400 ") != NULL);
    shard_kit_pass(kit, 10000);
    cr_assert_gt(kit->broker.drops_by_age, 2);
    cr_assert_eq(read_at(kit, client, partition, 0, &reply, &batch), XD_OFFSET_GONE);
    cr_assert_eq(read_at(kit, client, partition, 75, &reply, &batch), 0);
    cr_assert_eq(shard_kit_read_all(kit, client, partition, &hash), 78 - reply.first_offset);
    shard_kit_close(kit);
}

/* The newest append time of a segment is the highest, not that of its last batch: behind a clock
 * that fell back between two starts another partition goes on with lower times. A start that reads
 * both back must not think that the segment is older than it is. */
Test(shard_retention, by_time_goes_by_the_highest_time_after_a_start_too, .timeout = 120)
{
    struct kit_channel first, other;
    uint64_t hash;
    struct shard_kit *kit = rolling(7, 0, DAY_US);
    sim_rates(kit->broker.sim)->buggify_fires = 0; /* all goes into one segment */
    struct kit_client *client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, &first);
    cr_assert_eq(shard_kit_produce(kit, client, &first, SKU, 3).status, 0);
    sim_wall_jump(kit->broker.sim, -2 * DAY_US);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 0);
    char sku[16] = SKU;
    for (uint32_t i = 0; i == 0 || other.target.partition == first.target.partition; i++) {
        snprintf(sku, sizeof sku, "SKU-%u", i);
        shard_kit_channel(kit, client, "b", sku, &other);
    }
    cr_assert_eq(shard_kit_produce(kit, client, &other, sku, 3).status, 0);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "b", sku, &other);

    sim_wall_jump(kit->broker.sim, DAY_US + DAY_US / 2); /* the first batch is still ahead */
    sim_rates(kit->broker.sim)->buggify_fires = 65536;
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(shard_kit_produce(kit, client, &other, sku, 3).status, 0);
        shard_kit_pass(kit, 2000);
    }
    cr_assert_gt(kit->broker.rolls, 1);
    cr_assert_eq(kit->broker.drops_by_age, 0);
    cr_assert_eq(shard_kit_read_all(kit, client, first.target.partition, &hash), 3);
    shard_kit_close(kit);
}
