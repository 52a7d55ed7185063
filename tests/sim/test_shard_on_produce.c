/* SPDX-License-Identifier: Apache-2.0
 *
 * PRODUCE against a whole shard: what is acknowledged is durable, exactly once, at the offset
 * named; what is refused leaves no trace and names its reason.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/bytes.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SKU "SKU-4711"

static struct batch_build build;

/* Sends what is in `build`; the outcome. */
static struct xd_ack outcome(struct shard_kit *kit, struct kit_client *client)
{
    uint32_t before = client->ack_count;
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, client, before + 1);
    return *shard_kit_last_ack(client);
}

/* Builds a batch of one record with any numbers. */
static void build_as(const struct kit_channel *channel, uint64_t previous, uint64_t first,
                     uint64_t last)
{
    batch_begin(&build, &channel->target, previous);
    for (uint64_t i = first; i <= last; i++)
        batch_add(&build, i, SKU, "payload", 7);
    batch_end(&build);
}

/* A batch is appended, acknowledged with its offset, and read back as it was sent. */
Test(shard_on_produce, acknowledges_and_serves_a_batch)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    uint64_t hash;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    struct xd_ack ack = shard_kit_produce(kit, client, &channel, SKU, 5);
    cr_assert_eq(ack.status, 0);
    cr_assert_eq(ack.base_offset, 0);
    cr_assert_eq(ack.record_count, 5);
    cr_assert_eq(ack.durability, XD_DURABILITY_FSYNC);
    cr_assert(ack.log_index > 0);
    ack = shard_kit_produce(kit, client, &channel, SKU, 3);
    cr_assert_eq(ack.status, 0);
    cr_assert_eq(ack.base_offset, 5);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 8);
    shard_kit_close(kit);
}

/* Refusals of the chain, in the words of the table; the chain goes on where it stood. */
Test(shard_on_produce, refuses_what_does_not_continue_the_chain)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    uint64_t hash;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    shard_kit_produce(kit, client, &channel, SKU, 10);
    const struct {
        uint64_t previous, first, last;
        int status;
        uint64_t resume;
    } rows[] = {
        {0, 1, 10, XD_DUPLICATE, 0},         {0, 1, 9, XD_SEQUENCE_REUSED, 10},
        {9, 10, 12, XD_OVERLAP, 10},         {11, 12, 13, XD_OUT_OF_SEQUENCE, 10},
        {0, 11, 12, XD_OUT_OF_SEQUENCE, 10},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        build_as(&channel, rows[i].previous, rows[i].first, rows[i].last);
        struct xd_ack ack = outcome(kit, client);
        cr_assert_eq(ack.status, rows[i].status, "row %zu: %s", i, xd_status_name(ack.status));
        cr_assert_eq(ack.resume_sequence, rows[i].resume, "row %zu", i);
        cr_assert_eq(ack.first_sequence, rows[i].first, "row %zu", i);
    }
    cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1).base_offset, 10);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 11);
    shard_kit_close(kit);
}

/* A refused batch is not overtaken by those pipelined behind it. */
Test(shard_on_produce, batches_behind_a_refused_one_are_refused_too)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    uint64_t hash;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < 4; i++) {
        shard_kit_batch(&channel, SKU, 1, &build);
        build.bytes[build.used - 1] ^= i == 1;
        shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    }
    shard_kit_await_acks(kit, client, 4);
    cr_assert_eq(client->acks[0].status, 0);
    cr_assert_eq(client->acks[1].status, XD_BATCH_CHECKSUM);
    cr_assert_eq(client->acks[2].status, XD_OUT_OF_SEQUENCE);
    cr_assert_eq(client->acks[3].status, XD_OUT_OF_SEQUENCE);
    cr_assert_eq(client->acks[3].resume_sequence, 1);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 1);
    shard_kit_close(kit);
}

/* A channel of one facility cannot write into another. */
Test(shard_on_produce, keeps_a_channel_in_its_facility)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    uint64_t correlation = wire_client_admin(&client->wire, "facility add", "{\"name\":\"DC07\"}");
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    channel.target.partition += 4; /* the same bucket of DC07 */
    channel.target.facility = 1;
    build_as(&channel, 0, 1, 1);
    cr_assert_eq(outcome(kit, client).status, XD_PARTITION_WRONG);
    shard_kit_close(kit);
}

/* A connection that breaks inside a frame leaves nothing of that frame; the batch can be sent
 * again. */
Test(shard_on_produce, a_reset_inside_a_frame_leaves_nothing)
{
    for (uint32_t cut = 1; cut < 300; cut += 23) {
        struct shard_kit *kit = shard_kit_open(cut);
        struct kit_client *client = shard_kit_connect(kit, 0);
        struct kit_channel channel;
        uint64_t hash;
        shard_kit_channel(kit, client, "a", SKU, &channel);
        shard_kit_batch(&channel, SKU, 2, &build);
        shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
        cr_assert_lt(cut, client->wire.out_bytes);
        client->wire.out_bytes = cut;
        wire_client_pump(&client->wire);
        shard_kit_pass(kit, 5);
        wire_client_leave(&client->wire, cut % 2 == 0);
        shard_kit_pass(kit, 5);
        client = shard_kit_connect(kit, 1);
        cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 0);
        shard_kit_channel(kit, client, "a", SKU, &channel);
        cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 2).status, 0);
        shard_kit_close(kit);
    }
}

/* A disk that takes 10 s for what the other client has sent, and a memory tail that is full. */
static void stall_disk(struct shard_kit *kit, struct kit_client *other, struct kit_channel *busy)
{
    sim_rates(kit->broker.sim)->spike = 65536;
    shard_kit_batch(busy, SKU, 1, &build);
    shard_kit_send(other, &build, XD_DURABILITY_FSYNC);
    shard_kit_pass(kit, 10);
    sim_rates(kit->broker.sim)->buggify_fires = 65536;
}

static struct shard_kit *with_slow_disk(void)
{
    struct sim_options world;
    sim_options_init(&world, 4);
    world.rates.buggify_enabled = 65536;
    world.spike_ns = 10000000000;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    return kit;
}

/* A batch that finds no room waits, and is refused with the reason after stall_ms, however slow the
 * disk is: the refusal says nothing that rests on the log. Sent again when there is room, it is
 * appended. */
Test(shard_on_produce, refuses_a_batch_that_waited_too_long)
{
    struct shard_kit *kit = with_slow_disk();
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_client *other = shard_kit_connect(kit, 1);
    struct kit_channel channel, busy;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    shard_kit_channel(kit, other, "b", SKU, &busy);
    stall_disk(kit, other, &busy);
    shard_kit_batch(&channel, SKU, 2, &build);
    uint64_t start_ns = sim_now_ns(kit->broker.sim);
    struct xd_ack ack = outcome(kit, client);
    uint64_t waited_ms = (sim_now_ns(kit->broker.sim) - start_ns) / 1000000;
    cr_assert_eq(ack.status, XD_THROTTLED, "%s", xd_status_name(ack.status));
    cr_assert(ack.retry_after_ms > 0 && ack.detail_bytes > 0);
    cr_assert(ack.log_index == 0 && ack.resume_sequence == 0);
    cr_assert_geq(waited_ms, kit->broker.options.stall_ms);
    cr_assert_lt(waited_ms, kit->broker.options.stall_ms + 30, "%llu ms",
                 (unsigned long long)waited_ms);
    shard_kit_drain(kit, other);
    cr_assert_eq(other->ack_count, 0); /* the disk is still at it */
    sim_rates(kit->broker.sim)->buggify_fires = 0;
    sim_rates(kit->broker.sim)->spike = 0;
    cr_assert_eq(outcome(kit, client).status, 0);
    shard_kit_drain(kit, other);
    cr_assert_eq(other->ack_count, 1);
    shard_kit_close(kit);
}

/* The refusal overtakes the answers to earlier batches of its chain; what was pipelined behind it
 * is refused with knowledge of them, and waits for them. Sent again from there on, nothing is lost
 * and nothing is there twice. */
Test(shard_on_produce, a_refusal_for_want_of_room_overtakes_earlier_answers)
{
    struct shard_kit *kit = with_slow_disk();
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    static struct batch_build builds[3];
    uint64_t hash;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    sim_rates(kit->broker.sim)->spike = 65536;
    for (uint32_t i = 0; i < 3; i++)
        shard_kit_batch(&channel, SKU, 2, &builds[i]);
    shard_kit_send(client, &builds[0], XD_DURABILITY_FSYNC);
    wire_client_pump(&client->wire);
    shard_kit_pass(kit, 10);
    sim_rates(kit->broker.sim)->buggify_fires = 65536;
    shard_kit_send(client, &builds[1], XD_DURABILITY_FSYNC);
    shard_kit_send(client, &builds[2], XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, client, 3);
    const struct xd_ack *acks = client->acks;
    cr_assert_eq(acks[0].status, XD_THROTTLED, "%s", xd_status_name(acks[0].status));
    cr_assert_eq(acks[0].first_sequence, 3);
    cr_assert_eq(acks[1].status, 0);
    cr_assert_eq(acks[1].first_sequence, 1);
    cr_assert_eq(acks[2].status, XD_OUT_OF_SEQUENCE);
    cr_assert_eq(acks[2].resume_sequence, 2);
    cr_assert_eq(acks[2].log_index, acks[1].log_index);
    sim_rates(kit->broker.sim)->buggify_fires = 0;
    sim_rates(kit->broker.sim)->spike = 0;
    shard_kit_send(client, &builds[1], XD_DURABILITY_FSYNC);
    shard_kit_send(client, &builds[2], XD_DURABILITY_FSYNC);
    while (shard_kit_last_ack(client)->status != 0 || shard_kit_last_ack(client)->last_sequence < 6)
        shard_kit_await_acks(kit, client, client->ack_count + 1); /* one run, or two */
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 6);
    cr_assert_eq(client->acked_bytes, 5ull * (builds[0].used + xd_pad8(builds[0].used)));
    shard_kit_close(kit);
}

/* A batch that is sent again before its first copy is durable is answered when that is, and not
 * before: as a duplicate at the offset of the first one, which is there once. */
Test(shard_on_produce, a_duplicate_waits_for_its_original)
{
    struct shard_kit *kit = with_slow_disk();
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    uint64_t hash;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    sim_rates(kit->broker.sim)->spike = 65536;
    shard_kit_batch(&channel, SKU, 2, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_pass(kit, 10);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_pass(kit, 100);
    shard_kit_drain(kit, client);
    cr_assert_eq(client->ack_count, 0, "the disk has neither of them");
    const struct counters *counters = shard_counters(kit->broker.shard);
    cr_assert_eq(counters->v[COUNTER_duplicates_recognised], 1);
    cr_assert_eq(counters->v[COUNTER_duplicates_undurable], 1);
    shard_kit_await_acks(kit, client, 2);
    cr_assert_eq(client->acks[0].status, 0);
    cr_assert_eq(client->acks[1].status, XD_DUPLICATE);
    cr_assert_eq(client->acks[1].base_offset, client->acks[0].base_offset);
    cr_assert_eq(client->acks[1].log_index, client->acks[0].log_index);
    sim_rates(kit->broker.sim)->spike = 0;
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, client, 3);
    cr_assert_eq(client->acks[2].status, XD_DUPLICATE);
    cr_assert_eq(counters->v[COUNTER_duplicates_recognised], 2);
    cr_assert_eq(counters->v[COUNTER_duplicates_undurable], 1, "the original was durable");
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 2);
    shard_kit_close(kit);
}

/* Append time of the batch at an offset. */
static int64_t append_time(struct shard_kit *kit, struct kit_client *client, uint32_t partition,
                           uint64_t offset)
{
    struct xd_read_reply reply;
    const uint8_t *batches;
    const char *field = "";
    uint64_t correlation =
        wire_client_read(&client->wire, partition, XD_SEEK_OFFSET, offset, XD_BATCH_BYTES_MAX, 0);
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    int status =
        xd_read_reply_decode(kit->reply.body, kit->reply.body_bytes, &reply, &batches, &field);
    cr_assert(status == 0 && reply.batches_bytes > 0, "%s", field);
    return ((const struct xd_batch_header *)(const void *)batches)->append_time_us;
}

/* When the wall clock is set back, append times of a partition stand still until it has caught up,
 * over a restart as well: seeks by time and the next start rely on that they never fall. */
Test(shard_on_produce, append_times_do_not_follow_a_clock_that_is_set_back)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    int64_t times[4];
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < 4; i++) {
        if (i == 1)
            sim_wall_jump(kit->broker.sim, -3600000000ll);
        if (i == 2) {
            shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
            client = shard_kit_connect(kit, 0);
            shard_kit_channel(kit, client, "a", SKU, &channel);
        }
        if (i == 3)
            sim_wall_jump(kit->broker.sim, 7200000000ll);
        cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1).status, 0);
        times[i] = append_time(kit, client, channel.target.partition, i);
    }
    cr_assert(times[1] >= times[0] && times[1] < times[0] + 1000000);
    cr_assert_eq(times[2], times[1], "%lld", (long long)(times[2] - times[1]));
    cr_assert_gt(times[3], times[2] + 3500000000ll);
    shard_kit_close(kit);
}

/* What stands in one frame waits once: when its time is over, every batch of it that still finds no
 * room is refused, one chain as the other. */
Test(shard_on_produce, a_frame_waits_once_for_all_its_batches)
{
    static struct batch_build builds[3];
    const struct xd_batch_header *batches[3];
    struct shard_kit *kit = with_slow_disk();
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_client *other = shard_kit_connect(kit, 1);
    struct kit_channel channels[3], busy;
    for (uint32_t i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "a%u", i);
        shard_kit_channel(kit, client, name, SKU, &channels[i]);
        shard_kit_batch(&channels[i], SKU, 2, &builds[i]);
        batches[i] = &builds[i].header;
    }
    shard_kit_channel(kit, other, "b", SKU, &busy);
    stall_disk(kit, other, &busy);
    uint64_t start_ns = sim_now_ns(kit->broker.sim);
    wire_client_produce(&client->wire, batches, 3, XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, client, 3);
    uint64_t waited_ms = (sim_now_ns(kit->broker.sim) - start_ns) / 1000000;
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(client->acks[i].status, XD_THROTTLED);
    cr_assert_geq(waited_ms, kit->broker.options.stall_ms);
    cr_assert_lt(waited_ms, kit->broker.options.stall_ms + 30, "%llu ms",
                 (unsigned long long)waited_ms);
    shard_kit_close(kit);
}

/* When all chains are in use, a batch that would begin another one waits, and is refused with the
 * limit that is to be raised; existing chains go on. With the limit raised the same batch goes in.
 */
Test(shard_on_produce, a_batch_over_the_limit_of_chains_is_refused_with_its_name)
{
    static const char detail[] = "all chains are in use; raise produce.chains_max";
    struct sim_options world;
    uint64_t hash;
    sim_options_init(&world, 1);
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.sessions.chains_max = 1;
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_client *late = shard_kit_connect(kit, 1);
    struct kit_channel first, second;
    shard_kit_channel(kit, client, "a", SKU, &first);
    shard_kit_channel(kit, late, "b", SKU, &second);
    cr_assert_eq(shard_kit_produce(kit, client, &first, SKU, 2).status, 0);
    struct kit_channel before = second;
    uint64_t start_ns = sim_now_ns(kit->broker.sim);
    struct xd_ack ack = shard_kit_produce(kit, late, &second, SKU, 1);
    uint64_t waited_ms = (sim_now_ns(kit->broker.sim) - start_ns) / 1000000;
    cr_assert_eq(ack.status, XD_THROTTLED, "%s", xd_status_name(ack.status));
    cr_assert_eq(ack.detail_bytes, sizeof detail - 1);
    cr_assert(ack.retry_after_ms > 0 && ack.log_index == 0);
    cr_assert_geq(waited_ms, kit->broker.options.stall_ms);
    cr_assert_eq(shard_counters(kit->broker.shard)->v[COUNTER_throttled], 1);
    cr_assert_eq(shard_kit_produce(kit, client, &first, SKU, 2).base_offset, 2);
    kit->broker.options.sessions.chains_max = 2;
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    late = shard_kit_connect(kit, 1);
    second = before;
    shard_kit_channel(kit, late, "b", SKU, &second);
    cr_assert_eq(shard_kit_produce(kit, late, &second, SKU, 1).base_offset, 4);
    cr_assert_eq(shard_kit_read_all(kit, late, second.target.partition, &hash), 5);
    shard_kit_close(kit);
}
