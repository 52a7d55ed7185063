/* SPDX-License-Identifier: Apache-2.0
 *
 * The cases of shard_suite.h. Each begins with the behaviour that it holds to.
 */
#include "tests/support/shard_suite.h"

#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define SKU "SKU-4711"

static const struct xd_open no_memory = {.flags = XD_OPEN_NO_MEMORY};

static struct batch_build build;

/* A started shard, client 0 connected, channel "a" open. */
static struct world_client *begin(struct world *world, struct world_channel *ret_channel)
{
    world_start(world);
    struct world_client *client = world_connect(world, 0);
    cr_assert_eq(world_open(world, client, &no_memory, "a", SKU, ret_channel), 0, "%s",
                 world->reply.detail);
    return client;
}

/* Produces the channel's next batch; it must be appended. */
static struct xd_ack produce(struct world *world, struct world_client *client,
                             struct world_channel *channel, uint32_t records)
{
    world_batch(channel, SKU, records, 20, &build);
    struct xd_ack ack = world_outcome(world, client, &build);
    cr_assert_eq(ack.status, 0, "%s", xd_status_name(ack.status));
    return ack;
}

/* A batch is acknowledged as durable at its offset, and is read back as it was sent. */
void shard_suite_acknowledges_and_serves_a_batch(struct world *world)
{
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    uint64_t hash;
    struct xd_ack ack = produce(world, client, &channel, 5);
    cr_assert_eq(ack.base_offset, 0);
    cr_assert_eq(ack.record_count, 5);
    cr_assert_eq(ack.durability, XD_DURABILITY_FSYNC);
    cr_assert_gt(ack.log_index, 0);
    cr_assert_eq(produce(world, client, &channel, 3).base_offset, 5);
    cr_assert_eq(world_read_all(world, client, channel.target.partition, &hash), 8);
}

/* Duplicate, reuse, overlap and gap get the answers of the table; the chain goes on unharmed. */
void shard_suite_answers_each_row_of_the_chain_table(struct world *world)
{
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    uint64_t hash;
    const struct {
        uint64_t previous, first;
        uint32_t records;
        int status;
        uint64_t resume;
    } rows[] = {{0, 1, 10, XD_DUPLICATE, 0},
                {0, 1, 9, XD_SEQUENCE_REUSED, 10},
                {9, 10, 3, XD_OVERLAP, 10},
                {11, 12, 2, XD_OUT_OF_SEQUENCE, 10}};
    produce(world, client, &channel, 10);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct world_channel other = channel;
        other.previous = rows[i].previous;
        other.sequence = rows[i].first - 1;
        world_batch(&other, SKU, rows[i].records, 20, &build);
        struct xd_ack ack = world_outcome(world, client, &build);
        cr_assert_eq(ack.status, rows[i].status, "row %zu: %s", i, xd_status_name(ack.status));
        cr_assert_eq(ack.resume_sequence, rows[i].resume, "row %zu", i);
        cr_assert_eq(ack.base_offset, 0);
    }
    cr_assert_eq(produce(world, client, &channel, 1).base_offset, 10);
    cr_assert_eq(world_read_all(world, client, channel.target.partition, &hash), 11);
}

/* An answer comes when the level asked for is reached, and a second one when it is durable. */
void shard_suite_answers_twice_at_a_weaker_durability(struct world *world)
{
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    for (uint32_t level = XD_DURABILITY_WRITTEN; level < XD_DURABILITY_COUNT; level++) {
        client->ack_count = 0;
        world_batch(&channel, SKU, 2, 20, &build);
        world_send(client, &build, (enum xd_durability)level);
        world_await_acks(world, client, 2);
        cr_assert_eq(client->acks[0].durability, level);
        cr_assert_eq(client->acks[1].durability, XD_DURABILITY_FSYNC);
        for (uint32_t i = 0; i < 2; i++) {
            cr_assert_eq(client->acks[i].status, 0);
            cr_assert_eq(client->acks[i].last_sequence, channel.sequence);
        }
    }
}

/* Frames of half a megabyte come in many pieces and lose nothing; 4 MB go in and out again. */
void shard_suite_takes_frames_of_many_large_batches(struct world *world)
{
    enum { BATCHES = 8, FRAMES = 8 };
    static struct batch_build builds[BATCHES];
    const struct xd_batch_header *batches[BATCHES];
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    uint64_t hash;
    for (uint32_t frame = 0; frame < FRAMES; frame++) {
        for (uint32_t i = 0; i < BATCHES; i++) {
            world_batch(&channel, SKU, 7, 8000, &builds[i]);
            batches[i] = &builds[i].header;
        }
        wire_client_produce(&client->wire, batches, BATCHES, XD_DURABILITY_FSYNC);
        while (client->ack_count == 0 ||
               client->acks[client->ack_count - 1].last_sequence < channel.sequence)
            world_await_acks(world, client, client->ack_count + 1);
    }
    for (uint32_t i = 0; i < client->ack_count; i++)
        cr_assert_eq(client->acks[i].status, 0);
    cr_assert_eq(world_read_all(world, client, channel.target.partition, &hash),
                 7 * BATCHES * FRAMES);
}

/* A second open takes the channel over; the first holder is refused, the second goes on. */
void shard_suite_fences_the_former_holder(struct world *world)
{
    struct world_channel old, new;
    struct world_client *first = begin(world, &old);
    struct world_client *second = world_connect(world, 1);
    produce(world, first, &old, 2);
    cr_assert_eq(world_open(world, second, &no_memory, "a", SKU, &new), 0);
    cr_assert_eq(new.target.producer_epoch, old.target.producer_epoch + 1);
    cr_assert_eq(new.previous, 2);
    world_batch(&old, SKU, 1, 20, &build);
    cr_assert_eq(world_outcome(world, first, &build).status, XD_FENCED);
    cr_assert_eq(produce(world, second, &new, 1).base_offset, 2);
}

/* A client whose answer was lost attaches under its epoch and sends the same bytes again: the
 * outcome is definite, with the first offset. */
void shard_suite_resumes_a_channel_after_a_kill(struct world *world)
{
    static struct batch_build again;
    struct world_channel channel, attached;
    struct world_client *client = begin(world, &channel);
    produce(world, client, &channel, 3);
    world_batch(&channel, SKU, 4, 20, &again);
    struct xd_ack ack = world_outcome(world, client, &again);
    world_kill(world);
    world_start(world);
    client = world_connect(world, 0);
    cr_assert_eq(world_outcome(world, client, &again).status, XD_PRODUCER_UNKNOWN);
    struct xd_open open = {.producer_epoch = channel.target.producer_epoch,
                           .acked_sequence = 3,
                           .assigned_sequence = 7};
    cr_assert_eq(world_open(world, client, &open, "a", SKU, &attached), 0, "%s",
                 world->reply.detail);
    cr_assert_eq(attached.previous, 7);
    struct xd_ack second = world_outcome(world, client, &again);
    cr_assert_eq(second.status, XD_DUPLICATE);
    cr_assert_eq(second.base_offset, ack.base_offset);
    open.acked_sequence = open.assigned_sequence = 8; /* more than the broker ever had */
    cr_assert_eq(world_open(world, client, &open, "a", SKU, &attached), XD_ACKED_MISSING);
}

/* Whatever was acknowledged is there after every kill, byte for byte, from memory and from disk. */
void shard_suite_keeps_what_it_acknowledged_through_kills(struct world *world)
{
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    uint64_t records = 0, hash, again;
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 10; i++)
            records += produce(world, client, &channel, 1 + i).record_count;
        cr_assert_eq(world_read_all(world, client, channel.target.partition, &hash), records);
        world_kill(world);
        world_start(world);
        client = world_connect(world, 0);
        cr_assert_eq(world_read_all(world, client, channel.target.partition, &again), records);
        cr_assert_eq(again, hash);
        cr_assert_eq(world_open(world, client, &no_memory, "a", SKU, &channel), 0);
        cr_assert_eq(channel.target.producer_epoch, round + 2);
        cr_assert_eq(channel.sequence, records);
    }
}

/* One READ of at most a batch; its status and where it began. */
static int read_one(struct world *world, struct world_client *client, uint32_t partition,
                    enum xd_seek seek, uint64_t position, struct xd_read_reply *ret_reply,
                    int64_t *ret_time_us)
{
    const uint8_t *batches;
    const char *field = "";
    uint64_t correlation = wire_client_read(&client->wire, partition, seek, position, 1, 0);
    int status = world_await(world, client, correlation);
    if (status < 0 && status != XD_OFFSET_FUTURE)
        return status;
    cr_assert_eq(xd_read_reply_decode(world->reply.body, world->reply.body_bytes, ret_reply,
                                      &batches, &field),
                 0, "%s", field);
    if (status == 0)
        *ret_time_us = ((const struct xd_batch_header *)(const void *)batches)->append_time_us;
    return status;
}

/* Every seek finds its batch; behind the end there is nothing, and that is said. */
void shard_suite_seeks_by_offset_and_by_time(struct world *world)
{
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    uint32_t partition = channel.target.partition;
    struct xd_read_reply reply;
    int64_t times[5];
    for (uint32_t i = 0; i < 5; i++) {
        produce(world, client, &channel, 3);
        world_pass(world, 3);
    }
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(
            read_one(world, client, partition, XD_SEEK_OFFSET, 3ull * i + 1, &reply, &times[i]), 0);
        cr_assert_eq(reply.start_offset, 3ull * i + 1);
        cr_assert_eq(reply.next_offset, 3ull * i + 3);
    }
    for (uint32_t i = 0; i < 5; i++) {
        int64_t found;
        cr_assert(i == 0 || times[i] > times[i - 1]);
        cr_assert_eq(
            read_one(world, client, partition, XD_SEEK_TIME, (uint64_t)times[i], &reply, &found),
            0);
        cr_assert_eq(reply.start_offset, 3ull * i);
        cr_assert_eq(found, times[i]);
    }
    cr_assert_eq(read_one(world, client, partition, XD_SEEK_END, 0, &reply, times), XD_END);
    cr_assert_eq(reply.start_offset, 15);
    cr_assert_eq(read_one(world, client, partition, XD_SEEK_OFFSET, 16, &reply, times),
                 XD_OFFSET_FUTURE);
    cr_assert_eq(reply.end_offset, 15);
    cr_assert_eq(read_one(world, client, 99, XD_SEEK_BEGIN, 0, &reply, times),
                 XD_PARTITION_UNKNOWN);
}

/* A long poll ends with nothing when its time is over, and at once when data becomes durable. */
void shard_suite_wakes_a_long_poll_and_ends_it(struct world *world)
{
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    struct world_client *reader = world_connect(world, 1);
    uint32_t partition = channel.target.partition;
    uint64_t start_ns = env_now_mono_ns(world->env);
    uint64_t correlation = wire_client_read(&reader->wire, partition, XD_SEEK_END, 0, 1000, 200);
    cr_assert_eq(world_await(world, reader, correlation), XD_END);
    cr_assert_geq(env_now_mono_ns(world->env) - start_ns, 200000000);

    correlation =
        wire_client_read(&reader->wire, partition, XD_SEEK_END, 0, 1000, XD_READ_WAIT_MS_MAX);
    world_pass(world, 5);
    start_ns = env_now_mono_ns(world->env);
    produce(world, client, &channel, 2);
    cr_assert_eq(world_await(world, reader, correlation), 0);
    cr_assert_lt(env_now_mono_ns(world->env) - start_ns, 10000000000ull);
    struct xd_read_reply reply;
    const uint8_t *batches;
    const char *field = "";
    cr_assert_eq(
        xd_read_reply_decode(world->reply.body, world->reply.body_bytes, &reply, &batches, &field),
        0);
    cr_assert_eq(reply.next_offset, 2);
}

/* A verb that changes the catalog is answered when the change is durable, and holds after a kill;
 * a reading verb tells the engine; a wrong one is refused. */
void shard_suite_changes_the_catalog_by_verbs(struct world *world)
{
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    struct xd_catalog_view view;
    const char *field = "";
    char engine[64];
    uint64_t correlation = wire_client_admin(&client->wire, "facility add", "{\"name\":\"DC07\"}");
    cr_assert_eq(world_await(world, client, correlation), 0, "%s", world->reply.detail);
    uint64_t epoch = world->reply.head.catalog_epoch;
    correlation = wire_client_admin(&client->wire, "facility add", "{\"nom\":\"DC08\"}");
    cr_assert_lt(world_await(world, client, correlation), 0);
    correlation = wire_client_admin(&client->wire, "status", "");
    cr_assert_eq(world_await(world, client, correlation), 0);
    world->reply.body[world->reply.body_bytes] = '\0';
    (void)snprintf(engine, sizeof engine, "\"%s\"", world->engine->name);
    cr_assert_not_null(strstr((const char *)world->reply.body, engine), "%s",
                       (const char *)world->reply.body);
    world_kill(world);
    world_start(world);
    client = world_connect(world, 0);
    correlation = wire_client_send(&client->wire, XD_OP_CATALOG, NULL, 0);
    cr_assert_eq(world_await(world, client, correlation), 0);
    cr_assert_eq(xd_catalog_reply_decode(world->reply.body, world->reply.body_bytes, &view, &field),
                 0, "%s", field);
    cr_assert_eq(view.fixed.epoch, epoch);
    cr_assert_eq(view.fixed.topic_count, 2);
    cr_assert_eq(view.fixed.facility_count, 1);
    cr_assert_eq(view.fixed.placement_count, 4);
}

/* A peer that breaks a rule loses its connection, and nobody else notices. */
void shard_suite_closes_a_peer_that_breaks_a_rule(struct world *world)
{
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    for (uint32_t row = 0; row < 3; row++) {
        struct world_client *bad = world_connect(world, 1);
        uint8_t head[XD_FRAME_HEADER_BYTES] = {0}; /* row 0: op and version 0 */
        struct xd_frame frame = {.op = XD_OP_ACK, .version = 1};
        if (row == 1) /* a push of the broker */
            xd_frame_encode(&frame, head);
        if (row == 2) /* a frame over the limit */
            xd_frame_encode(&(struct xd_frame){.op = XD_OP_PING,
                                               .version = 1,
                                               .length = XD_FRAME_BYTES_HARD_MAX},
                            head);
        wire_client_send_raw(&bad->wire, head, sizeof head);
        world_await_end(world, bad);
        produce(world, client, &channel, 1);
    }
}

/* A connection that breaks inside a frame leaves nothing of that frame. */
void shard_suite_forgets_a_frame_that_was_cut(struct world *world)
{
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    uint64_t hash;
    for (uint32_t round = 0; round < 2; round++) {
        world_batch(&channel, SKU, 2, 2000, &build);
        world_send(client, &build, XD_DURABILITY_FSYNC);
        client->wire.out_bytes -= 100;
        world_pass(world, 20);
        world_leave(world, client, round == 0);
        world_pass(world, 20);
        client = world_connect(world, 0);
        cr_assert_eq(world_read_all(world, client, channel.target.partition, &hash), 0);
        cr_assert_eq(world_open(world, client, &no_memory, "a", SKU, &channel), 0);
        cr_assert_eq(channel.sequence, 0);
    }
    cr_assert_eq(produce(world, client, &channel, 2).base_offset, 0);
}

/* A stop answers what it has taken, says so to the clients, and leaves a log that starts without a
 * cut. */
void shard_suite_stops_in_order_and_starts_again(struct world *world)
{
    struct world_channel channel;
    struct world_client *client = begin(world, &channel);
    uint64_t hash, acked = 0;
    produce(world, client, &channel, 1);
    client->ack_count = 0;
    for (uint32_t i = 0; i < 8; i++) {
        world_batch(&channel, SKU, 1, 20, &build);
        world_send(client, &build, XD_DURABILITY_FSYNC);
    }
    world->engine->pump(&client->wire);
    world_turn(world, WORLD_TURN_NS); /* taken, not all durable */
    world_turn(world, WORLD_TURN_NS);
    world_stop(world);
    world_start(world);
    cr_assert_eq(world->tail_cuts, 0);
    world_await_end(world, client);
    cr_assert(client->goaway);
    for (uint32_t i = 0; i < client->ack_count; i++) {
        cr_assert_eq(client->acks[i].status, 0);
        acked += client->acks[i].record_count;
    }
    client = world_connect(world, 0);
    cr_assert_eq(world_read_all(world, client, channel.target.partition, &hash), 1 + acked);
}
