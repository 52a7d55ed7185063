/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/shard/answers.c: an answer leaves when what it rests on is durable, and gives the credit
 * of its batch back.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "tests/support/json.h"
#include "wire/bytes.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKU "SKU-4711"

static struct batch_build build;

/* Whatever is acknowledged is there after a power cut in the same moment, for every seed. */
Test(shard_answers, acknowledged_records_survive_a_power_cut)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct shard_kit *kit = shard_kit_open(seed);
        uint64_t acked = 0, hash;
        for (uint32_t round = 0; round < 3; round++) {
            struct kit_client *client = shard_kit_connect(kit, 0);
            struct kit_channel channel;
            shard_kit_channel(kit, client, "a", SKU, &channel);
            uint64_t base = channel.sequence;
            cr_assert_geq(base, acked);
            for (uint32_t i = 0; i < 12; i++) {
                shard_kit_batch(&channel, SKU, 2, &build);
                shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
            }
            shard_kit_await_acks(kit, client, 1); /* the rest is on its way */
            const struct xd_ack *ack = shard_kit_last_ack(client);
            cr_assert_eq(ack->status, 0);
            acked = ack->last_sequence;
            shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
            client = shard_kit_connect(kit, 0);
            cr_assert_geq(shard_kit_read_all(kit, client, channel.target.partition, &hash), acked,
                          "seed %llu", (unsigned long long)seed);
        }
        shard_kit_close(kit);
    }
}

/* A weaker level is answered when it is reached, and again when it is durable. */
Test(shard_answers, weaker_levels_are_answered_twice)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (int level = XD_DURABILITY_WRITTEN; level < XD_DURABILITY_COUNT; level++) {
        client->ack_count = 0;
        shard_kit_batch(&channel, SKU, 2, &build);
        shard_kit_send(client, &build, (enum xd_durability)level);
        shard_kit_await_acks(kit, client, 2);
        cr_assert_eq(client->acks[0].durability, level);
        cr_assert_eq(client->acks[1].durability, XD_DURABILITY_FSYNC);
        cr_assert_eq(client->acks[0].base_offset, client->acks[1].base_offset);
        cr_assert_eq(client->acks[0].status, 0);
        shard_kit_pass(kit, 100);
        cr_assert_eq(client->ack_count, 2);
    }
    cr_assert_eq(client->acked_bytes % 8, 0);
    shard_kit_close(kit);
}

/* Several batches in one frame have an outcome each. */
Test(shard_answers, takes_several_batches_in_a_frame)
{
    static struct batch_build builds[20];
    const struct xd_batch_header *batches[20];
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    uint32_t records = 0;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < 16; i++) {
        shard_kit_batch(&channel, SKU, 1 + i % 3, &builds[i]);
        batches[i] = &builds[i].header;
        bytes += builds[i].used + xd_pad8(builds[i].used);
    }
    wire_client_produce(&client->wire, batches, 16, XD_DURABILITY_FSYNC);
    while (records < channel.sequence) {
        shard_kit_await_acks(kit, client, client->ack_count + 1);
        cr_assert_eq(shard_kit_last_ack(client)->status, 0);
        cr_assert_eq(shard_kit_last_ack(client)->base_offset, records);
        records += shard_kit_last_ack(client)->record_count;
    }
    cr_assert_eq(client->acked_bytes, bytes); /* all credit is back */
    shard_kit_close(kit);
}

/* A client that sends beyond its credit is slowed, not refused: everything is appended in sequence.
 */
Test(shard_answers, slows_a_client_over_its_credit)
{
    static uint8_t payload[30000];
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channels[4];
    uint64_t hash, bytes = 0;
    for (uint32_t c = 0; c < 4; c++) {
        char name[8] = {'c', (char)('0' + c), 0};
        shard_kit_channel(kit, client, name, SKU, &channels[c]);
    }
    for (uint32_t i = 0; i < 60; i++) { /* 15 per chain, 1.8 MB against 512 KiB of credit */
        struct kit_channel *channel = &channels[i % 4];
        batch_begin(&build, &channel->target, channel->previous);
        batch_add(&build, ++channel->sequence, SKU, payload, sizeof payload);
        batch_end(&build);
        channel->previous = channel->sequence;
        shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
        bytes += build.used + xd_pad8(build.used);
    }
    while (client->acked_bytes < bytes) {
        shard_kit_await_acks(kit, client, client->ack_count + 1);
        cr_assert_eq(shard_kit_last_ack(client)->status, 0, "%s",
                     xd_status_name(shard_kit_last_ack(client)->status));
    }
    cr_assert_eq(client->acked_bytes, bytes);
    cr_assert_eq(shard_kit_read_all(kit, client, channels[0].target.partition, &hash), 60);
    shard_kit_close(kit);
}

/* Credit that ends inside a frame stops that frame where it stands; it goes on there, not at its
 * beginning. */
Test(shard_answers, credit_may_end_inside_a_frame)
{
    static struct batch_build builds[16];
    const struct xd_batch_header *batches[16];
    struct sim_options world;
    sim_options_init(&world, 1);
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.connection_bytes = 1000;
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    uint64_t hash, records = 0;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < 16; i++) {
        shard_kit_batch(&channel, SKU, 2, &builds[i]);
        batches[i] = &builds[i].header;
    }
    wire_client_produce(&client->wire, batches, 16, XD_DURABILITY_FSYNC);
    while (records < 32) {
        shard_kit_await_acks(kit, client, client->ack_count + 1);
        cr_assert_eq(shard_kit_last_ack(client)->status, 0);
        records += shard_kit_last_ack(client)->record_count;
    }
    cr_assert_gt(client->ack_count, 4); /* it took several rounds */
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 32);
    shard_kit_close(kit);
}

/* Answers that wait for a peer that does not read are dropped with it, and nobody else waits. */
Test(shard_answers, answers_of_a_peer_that_is_gone_are_dropped)
{
    struct sim_options world;
    sim_options_init(&world, 1);
    world.window_bytes = 4096;
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.net.out_chunk_count = 2;
    kit->broker.options.net.out_chunks_per_conn = 1;
    kit->broker.options.acks_max = 64;
    shard_kit_start(kit);
    struct kit_client *good = shard_kit_connect(kit, 0);
    struct kit_channel mine;
    shard_kit_channel(kit, good, "good", SKU, &mine);
    for (uint32_t round = 0; round < 6; round++) {
        struct kit_client *deaf = shard_kit_connect(kit, 1);
        struct kit_channel channel;
        shard_kit_channel(kit, deaf, "deaf", SKU, &channel);
        sim_client_partition(kit->broker.sim, deaf->wire.id, false, true);
        for (uint32_t i = 0; i < 200; i++) {
            shard_kit_batch(&channel, SKU, 1, &build);
            if (i % 2 == 0)
                channel.previous--; /* every second one is refused, with a text */
            shard_kit_send(deaf, &build, XD_DURABILITY_FSYNC);
        }
        for (uint32_t i = 0; i < 60; i++)
            cr_assert(shard_kit_turn(kit));
        wire_client_leave(&deaf->wire, true);
        cr_assert_eq(shard_kit_produce(kit, good, &mine, SKU, 1).status, 0, "round %u", round);
    }
    shard_kit_close(kit);
}

/* A refusal goes without its text when too many texts wait, never without its outcome; later ones
 * have theirs again. */
Test(shard_answers, refusals_over_the_number_of_texts_go_without_one)
{
    enum { REFUSED = 300 };
    struct sim_options world;
    uint32_t with_text = 0;
    uint64_t bytes = 0, hash;
    sim_options_init(&world, 1);
    world.spike_ns = 5000000000;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    sim_rates(kit->broker.sim)->spike = 65536; /* nothing is answered now */
    shard_kit_batch(&channel, SKU, 1, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    bytes += build.used + xd_pad8(build.used);
    struct kit_channel behind = channel;
    for (uint32_t i = 0; i < REFUSED; i++) {
        behind.previous = behind.sequence = channel.sequence + 7; /* leaves a gap */
        shard_kit_batch(&behind, SKU, 1, &build);
        shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
        bytes += build.used + xd_pad8(build.used);
    }
    shard_kit_pass(kit, 1000);
    cr_assert_eq(client->ack_count, 0);
    sim_rates(kit->broker.sim)->spike = 0;
    shard_kit_await_acks(kit, client, 1 + REFUSED);
    cr_assert_eq(client->acks[0].status, 0);
    for (uint32_t i = 1; i <= REFUSED; i++) {
        cr_assert_eq(client->acks[i].status, XD_OUT_OF_SEQUENCE);
        cr_assert_eq(client->acks[i].resume_sequence, 1);
        cr_assert_eq(client->acks[i].detail_bytes > 0, i <= 256, "%u", i);
        with_text += client->acks[i].detail_bytes > 0;
    }
    cr_assert_eq(with_text, 256);
    cr_assert_eq(client->acked_bytes, bytes);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, client, 2 + REFUSED);
    cr_assert_gt(shard_kit_last_ack(client)->detail_bytes, 0);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 1);
    shard_kit_close(kit);
}

/* Outcomes of two numberings of a channel are not merged into one run, although their offsets
 * follow each other: sequences would fall in it. */
Test(shard_answers, outcomes_of_two_numberings_are_not_merged)
{
    struct sim_options world;
    sim_options_init(&world, 1);
    world.sync = (struct sim_range){50000000, 50000000};
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY, .channel_epoch = 2};
    shard_kit_channel(kit, client, "a", SKU, &channel);
    shard_kit_batch(&channel, SKU, 5, &build);
    shard_kit_send(client, &build, XD_DURABILITY_WRITTEN);
    wire_client_open(&client->wire, &open, "wms", "a", "");
    channel.target.producer_epoch++; /* as the answer will say */
    channel.target.channel_epoch++;
    channel.sequence = channel.previous = 0;
    shard_kit_batch(&channel, SKU, 3, &build);
    shard_kit_send(client, &build, XD_DURABILITY_WRITTEN);
    shard_kit_await_acks(kit, client, 4);
    const struct {
        uint64_t first, last, offset;
        uint8_t durability;
    } rows[] = {{1, 5, 0, XD_DURABILITY_WRITTEN},
                {1, 3, 5, XD_DURABILITY_WRITTEN},
                {1, 5, 0, XD_DURABILITY_FSYNC},
                {1, 3, 5, XD_DURABILITY_FSYNC}};
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(client->acks[i].status, 0, "%u", i);
        cr_assert_eq(client->acks[i].first_sequence, rows[i].first, "%u", i);
        cr_assert_eq(client->acks[i].last_sequence, rows[i].last, "%u", i);
        cr_assert_eq(client->acks[i].base_offset, rows[i].offset, "%u", i);
        cr_assert_eq(client->acks[i].durability, rows[i].durability, "%u", i);
    }
    shard_kit_close(kit);
}

static uint64_t times_of(const struct latency *latency)
{
    uint64_t times = 0;
    for (unsigned i = 0; i <= LATENCY_BOUNDS; i++)
        times += latency->counts[i];
    return times;
}

/* A number of the reply of verb "metrics". */
static uint64_t metric(struct shard_kit *kit, struct kit_client *client, const char *path)
{
    char value[JSON_VALUE_BYTES];
    uint64_t correlation = wire_client_admin(&client->wire, "metrics", "");
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    json_at((const char *)kit->reply.body, kit->reply.body_bytes, path, value);
    cr_assert_str_neq(value, "", "%s", path);
    return strtoull(value, NULL, 10);
}

/* The way of a batch is timed once per block, from its frame to its answer; while the disk hangs,
 * the age of the oldest answer tells. */
Test(shard_answers, times_a_block_from_its_frame_to_its_answer)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    const struct counters *counters = shard_counters(kit->broker.shard);
    const struct latency *produce = &counters->latency[LATENCY_produce_duration_ns];
    const struct latency *reply = &counters->latency[LATENCY_reply_duration_ns];
    const struct latency *commit = &counters->latency[LATENCY_commit_duration_ns];
    cr_assert_eq(times_of(produce), 0, "an open is no batch");
    cr_assert_gt(times_of(reply), 0);
    shard_kit_pass(kit, 200);
    uint64_t replies = times_of(reply), commits = times_of(commit);
    cr_assert_eq(metric(kit, client, "metrics.acks_oldest_ns"), 0);

    sim_rates(kit->broker.sim)->spike = 65536; /* writes take half a second */
    for (uint32_t i = 0; i < 3; i++) {
        shard_kit_batch(&channel, SKU, 2, &build);
        shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    }
    uint64_t sent_ns = sim_now_ns(kit->broker.sim);
    shard_kit_pass(kit, 100);
    cr_assert_eq(client->ack_count, 0);
    uint64_t oldest_ns = metric(kit, client, "metrics.acks_oldest_ns");
    cr_assert_geq(oldest_ns, 90000000);
    cr_assert_leq(oldest_ns, sim_now_ns(kit->broker.sim) - sent_ns);
    while (client->ack_count == 0 || shard_kit_last_ack(client)->last_sequence < 6)
        shard_kit_await_acks(kit, client, client->ack_count + 1);
    uint64_t took_ns = sim_now_ns(kit->broker.sim) - sent_ns;
    uint64_t blocks = times_of(produce);
    cr_assert(blocks >= 1 && blocks <= 3);
    cr_assert_eq(blocks, times_of(commit) - commits);
    cr_assert_geq(produce->sum_ns, blocks * 400000000);
    cr_assert_leq(produce->sum_ns, blocks * took_ns);
    cr_assert_gt(times_of(reply), replies);
    sim_rates(kit->broker.sim)->spike = 0;
    shard_kit_pass(kit, 1000);
    cr_assert_eq(metric(kit, client, "metrics.acks_oldest_ns"), 0);
    shard_kit_close(kit);
}

/* A batch that waits for room in the log is timed from when it began to wait. */
Test(shard_answers, times_a_batch_that_waits_for_room_from_the_start)
{
    struct sim_options world;
    sim_options_init(&world, 1);
    world.rates.buggify_enabled = 65536;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    const struct latency *produce =
        &shard_counters(kit->broker.shard)->latency[LATENCY_produce_duration_ns];
    shard_kit_produce(kit, client, &channel, SKU, 1);
    uint64_t before_ns = produce->sum_ns;
    sim_rates(kit->broker.sim)->buggify_fires = 65536; /* the tail is small ... */
    sim_rates(kit->broker.sim)->spike = 65536;         /* ... while nothing is durable */
    shard_kit_batch(&channel, SKU, 1, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_pass(kit, 20);
    sim_rates(kit->broker.sim)->spike = 0;
    shard_kit_batch(&channel, SKU, 1, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, client, client->ack_count + 1);
    while (shard_kit_last_ack(client)->last_sequence < 3)
        shard_kit_await_acks(kit, client, client->ack_count + 1);
    cr_assert_geq(produce->sum_ns - before_ns, 2 * 350000000ull, "the second waited for the first");
    shard_kit_close(kit);
}

/* What was recovered is not timed, however much it is: nobody waited for it. */
Test(shard_answers, times_nothing_of_what_was_recovered)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < 300; i++) /* a block each, more than are remembered */
        shard_kit_produce(kit, client, &channel, SKU, 1);
    const struct latency *produce =
        &shard_counters(kit->broker.shard)->latency[LATENCY_produce_duration_ns];
    cr_assert_eq(times_of(produce), 300);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    produce = &shard_counters(kit->broker.shard)->latency[LATENCY_produce_duration_ns];
    cr_assert_eq(times_of(produce), 0);
    sim_rates(kit->broker.sim)->spike = 65536; /* writes take half a second */
    shard_kit_batch(&channel, SKU, 1, &build);
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_pass(kit, 100);
    cr_assert_geq(metric(kit, client, "metrics.acks_oldest_ns"), 90000000);
    shard_kit_await_acks(kit, client, 1);
    cr_assert_eq(times_of(produce), 1);
    cr_assert_geq(produce->sum_ns, 400000000);
    cr_assert_lt(produce->sum_ns, 60000000000, "from its frame, not from the start");
    shard_kit_close(kit);
}
