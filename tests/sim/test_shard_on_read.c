/* SPDX-License-Identifier: Apache-2.0
 *
 * READ against a whole shard: every seek, long polls, limits, and the same bytes from memory and
 * from disk.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#define SKU "SKU-4711"

/* One READ; its status, and the reply where it has one. */
static int read_at(struct shard_kit *kit, struct kit_client *client, const struct xd_read *read,
                   struct xd_read_reply *ret_reply, const struct xd_batch_header **ret_first)
{
    const uint8_t *batches;
    const char *field = "";
    uint64_t correlation =
        wire_client_read(&client->wire, read->partition, (enum xd_seek)read->seek, read->position,
                         read->bytes_max, read->wait_ms);
    int status = shard_kit_await(kit, client, correlation);
    if (status >= 0 || status == XD_OFFSET_FUTURE || status == XD_OFFSET_GONE)
        cr_assert_eq(xd_read_reply_decode(kit->reply.body, kit->reply.body_bytes, ret_reply,
                                          &batches, &field),
                     0, "%s", field);
    *ret_first = status == 0 ? (const void *)batches : NULL;
    return status;
}

/* Ten batches of three records in one partition, 10 ms apart. */
static struct shard_kit *with_batches(struct kit_client **ret_client, struct kit_channel *channel)
{
    struct shard_kit *kit = shard_kit_open(1);
    *ret_client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, *ret_client, "a", SKU, channel);
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert_eq(shard_kit_produce(kit, *ret_client, channel, SKU, 3).status, 0);
        shard_kit_pass(kit, 10);
    }
    return kit;
}

/* From the beginning, the end, and any offset; the first batch holds the offset asked for. */
Test(shard_on_read, seeks_by_offset_begin_and_end)
{
    struct kit_client *client;
    struct kit_channel channel;
    struct xd_read_reply reply;
    const struct xd_batch_header *first;
    struct shard_kit *kit = with_batches(&client, &channel);
    struct xd_read read = {
        .partition = channel.target.partition, .seek = XD_SEEK_BEGIN, .bytes_max = 1u << 20};
    cr_assert_eq(read_at(kit, client, &read, &reply, &first), 0);
    cr_assert(reply.start_offset == 0 && reply.next_offset == 30 && reply.first_offset == 0 &&
              reply.end_offset == 30);
    read.seek = XD_SEEK_END;
    cr_assert_eq(read_at(kit, client, &read, &reply, &first), XD_END);
    cr_assert(reply.start_offset == 30 && reply.next_offset == 30 && reply.batches_bytes == 0);
    read.seek = XD_SEEK_OFFSET;
    for (read.position = 0; read.position < 30; read.position++) {
        cr_assert_eq(read_at(kit, client, &read, &reply, &first), 0);
        cr_assert_eq(reply.start_offset, read.position);
        cr_assert_eq(first->base_offset, read.position / 3 * 3);
        cr_assert_eq(reply.next_offset, 30);
    }
    cr_assert_eq(read_at(kit, client, &read, &reply, &first), XD_END);
    read.position = 31;
    cr_assert_eq(read_at(kit, client, &read, &reply, &first), XD_OFFSET_FUTURE);
    cr_assert_eq(reply.end_offset, 30);
    shard_kit_close(kit);
}

/* By time: the first batch appended at or after it, for times before, inside and behind. */
Test(shard_on_read, seeks_by_append_time)
{
    struct kit_client *client;
    struct kit_channel channel;
    struct xd_read_reply reply;
    const struct xd_batch_header *first;
    int64_t times[10];
    struct shard_kit *kit = with_batches(&client, &channel);
    struct xd_read read = {
        .partition = channel.target.partition, .seek = XD_SEEK_OFFSET, .bytes_max = 1};
    for (uint32_t i = 0; i < 10; i++) {
        read.position = 3ull * i;
        cr_assert_eq(read_at(kit, client, &read, &reply, &first), 0);
        times[i] = first->append_time_us;
        cr_assert(i == 0 || times[i] > times[i - 1]);
    }
    read.seek = XD_SEEK_TIME;
    for (uint32_t i = 0; i < 10; i++) {
        for (int64_t delta = -1; delta <= 1; delta++) {
            uint32_t want = i + (delta > 0 ? 1 : 0);
            read.position = (uint64_t)(times[i] + delta);
            int status = read_at(kit, client, &read, &reply, &first);
            cr_assert_eq(status, want == 10 ? XD_END : 0);
            cr_assert_eq(reply.start_offset, 3ull * want, "batch %u%+d: %llu", i, (int)delta,
                         (unsigned long long)reply.start_offset);
        }
    }
    shard_kit_close(kit);
}

/* bytes_max cuts between batches and gives one at least. */
Test(shard_on_read, cuts_between_batches)
{
    struct kit_client *client;
    struct kit_channel channel;
    struct xd_read_reply reply;
    const struct xd_batch_header *first;
    struct shard_kit *kit = with_batches(&client, &channel);
    struct xd_read read = {
        .partition = channel.target.partition, .seek = XD_SEEK_BEGIN, .bytes_max = 1};
    cr_assert_eq(read_at(kit, client, &read, &reply, &first), 0);
    uint32_t stride = reply.batches_bytes;
    cr_assert_eq(reply.next_offset, 3);
    for (uint32_t count = 1; count <= 10; count++) {
        read.bytes_max = count * stride + stride / 2;
        cr_assert_eq(read_at(kit, client, &read, &reply, &first), 0);
        cr_assert_eq(reply.next_offset, 3ull * count);
    }
    shard_kit_close(kit);
}

/* A long poll at the end is answered when data becomes durable, or when its time is over. */
Test(shard_on_read, long_polls_wait_for_data)
{
    struct kit_client *client;
    struct kit_channel channel;
    struct xd_read_reply reply;
    const struct xd_batch_header *first;
    struct shard_kit *kit = with_batches(&client, &channel);
    struct kit_client *reader = shard_kit_connect(kit, 1);
    uint64_t start_ns = sim_now_ns(kit->broker.sim);
    struct xd_read read = {.partition = channel.target.partition,
                           .seek = XD_SEEK_END,
                           .bytes_max = 1u << 20,
                           .wait_ms = 700};
    cr_assert_eq(read_at(kit, reader, &read, &reply, &first), XD_END);
    uint64_t waited_ms = (sim_now_ns(kit->broker.sim) - start_ns) / 1000000;
    cr_assert(waited_ms >= 700 && waited_ms < 720, "%llu ms", (unsigned long long)waited_ms);

    uint64_t correlation =
        wire_client_read(&reader->wire, channel.target.partition, XD_SEEK_END, 0, 1u << 20, 30000);
    shard_kit_pass(kit, 50);
    start_ns = sim_now_ns(kit->broker.sim);
    cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 2).status, 0);
    cr_assert_eq(shard_kit_await(kit, reader, correlation), 0);
    cr_assert_lt(sim_now_ns(kit->broker.sim) - start_ns, 50000000);
    shard_kit_close(kit);
}

/* A long poll whose client is gone is forgotten; too many at once are refused. */
Test(shard_on_read, bounds_waiting_requests)
{
    struct kit_client *client;
    struct kit_channel channel;
    struct shard_kit *kit = with_batches(&client, &channel);
    uint32_t refused = 0;
    for (uint32_t round = 0; round < 5; round++) {
        struct kit_client *reader = shard_kit_connect(kit, 1);
        for (uint32_t i = 0; i < 256; i++)
            wire_client_read(&reader->wire, channel.target.partition, XD_SEEK_END, 0, 100, 30000);
        uint64_t last =
            wire_client_read(&reader->wire, channel.target.partition, XD_SEEK_END, 0, 100, 30000);
        refused += shard_kit_await(kit, reader, last) == XD_THROTTLED;
        wire_client_leave(&reader->wire, round % 2 == 0);
        shard_kit_pass(kit, 5);
    }
    cr_assert_eq(refused, 5);
    cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 2).status, 0);
    shard_kit_close(kit);
}

/* Requests that make no sense are refused with the field. */
Test(shard_on_read, refuses_wrong_requests)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct xd_read_reply reply;
    const struct xd_batch_header *first;
    struct xd_read read = {.partition = 4, .bytes_max = 100};
    cr_assert_eq(read_at(kit, client, &read, &reply, &first), XD_PARTITION_UNKNOWN);
    read = (struct xd_read){.seek = XD_SEEK_COUNT, .bytes_max = 100};
    cr_assert_eq(read_at(kit, client, &read, &reply, &first), XD_FIELD_INVALID);
    read = (struct xd_read){.bytes_max = 100, .wait_ms = XD_READ_WAIT_MS_MAX + 1};
    cr_assert_eq(read_at(kit, client, &read, &reply, &first), XD_FIELD_INVALID);
    read = (struct xd_read){.bytes_max = 100}; /* an empty partition */
    cr_assert_eq(read_at(kit, client, &read, &reply, &first), XD_END);
    shard_kit_close(kit);
}

/* The same bytes come from the memory tail, from disk beside it, and after a restart. */
Test(shard_on_read, gives_the_same_bytes_from_memory_and_disk)
{
    struct sim_options world;
    uint64_t hash[3] = {0};
    sim_options_init(&world, 9);
    world.rates.buggify_enabled = 65536;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < 300; i++)
        cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1 + i % 20).status, 0);
    shard_kit_read_all(kit, client, channel.target.partition, &hash[0]);
    uint64_t before = sim_buggify_fires(kit->broker.sim, ENV_BUGGIFY_READ_FROM_DISK);
    sim_rates(kit->broker.sim)->buggify_fires = 40000;
    shard_kit_read_all(kit, client, channel.target.partition, &hash[1]);
    cr_assert_gt(sim_buggify_fires(kit->broker.sim, ENV_BUGGIFY_READ_FROM_DISK), before);
    sim_rates(kit->broker.sim)->buggify_fires = 0;
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 0);
    uint64_t reads = sim_op_count(kit->broker.sim, SIM_OP_READ);
    shard_kit_read_all(kit, client, channel.target.partition, &hash[2]);
    cr_assert_gt(sim_op_count(kit->broker.sim, SIM_OP_READ), reads);
    cr_assert_eq(hash[0], hash[1]);
    cr_assert_eq(hash[0], hash[2]);
    shard_kit_close(kit);
}

/* Everybody who waits for a block that the device refuses to give is told so by name; the same
 * connections read on behind it. */
Test(shard_on_read, tells_every_reader_of_a_block_that_cannot_be_read)
{
    struct kit_client *clients[3];
    struct kit_channel channel;
    struct xd_read_reply reply;
    const struct xd_batch_header *first;
    uint64_t correlations[3];
    struct shard_kit *kit = with_batches(&clients[0], &channel);
    struct xd_read read = {
        .partition = channel.target.partition, .seek = XD_SEEK_OFFSET, .bytes_max = 1u << 20};
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    for (uint32_t i = 0; i < 3; i++)
        clients[i] = shard_kit_connect(kit, i);
    sim_inject(kit->broker.sim, SIM_OP_READ, "wal.", 1, -EIO);
    sim_inject(kit->broker.sim, SIM_OP_READ, "wal.", 2, -EIO);
    for (uint32_t i = 0; i < 3; i++)
        correlations[i] =
            wire_client_read(&clients[i]->wire, read.partition, XD_SEEK_BEGIN, 0, 1u << 20, 0);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(shard_kit_await(kit, clients[i], correlations[i]), XD_RANGE_QUARANTINED);
    cr_assert_eq(sim_inject_pending(kit->broker.sim), 0);
    read.position = 3; /* each batch has a block of its own */
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert_eq(read_at(kit, clients[i], &read, &reply, &first), 0);
        cr_assert(first->base_offset == 3 && reply.next_offset == 30);
    }
    shard_kit_close(kit);
}

/* Simulated time of 20 reads from the beginning. */
static uint64_t read_often_ns(struct shard_kit *kit, struct kit_client *client, uint32_t partition)
{
    struct xd_read_reply reply;
    const struct xd_batch_header *first;
    struct xd_read read = {.partition = partition, .seek = XD_SEEK_BEGIN, .bytes_max = 1u << 20};
    uint64_t start_ns = sim_now_ns(kit->broker.sim);
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(read_at(kit, client, &read, &reply, &first), 0);
        cr_assert_gt(reply.batches_bytes, WIRE_CLIENT_IN_BYTES / 20);
    }
    return sim_now_ns(kit->broker.sim) - start_ns;
}

/* A client that asks for much and takes nothing keeps its share of buffers and no more: others read
 * on as fast as without it, and it gets its answers when it takes them. */
Test(shard_on_read, a_client_that_takes_nothing_holds_up_nobody)
{
    struct kit_client *client;
    struct kit_channel channel;
    uint64_t last = 0;
    struct sim_options world;
    sim_options_init(&world, 1);
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.net.large_count = 3; /* one more than the share of a connection */
    shard_kit_start(kit);
    client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < 30; i++)
        cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 200).status, 0);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 0);
    uint64_t alone_ns = read_often_ns(kit, client, channel.target.partition);
    struct kit_client *deaf = shard_kit_connect(kit, 1);
    for (uint32_t i = 0; i < 100; i++)
        last =
            wire_client_read(&deaf->wire, channel.target.partition, XD_SEEK_BEGIN, 0, 1u << 20, 0);
    shard_kit_pass(kit, 200);
    uint64_t beside_ns = read_often_ns(kit, client, channel.target.partition);
    cr_assert_lt(beside_ns, alone_ns + alone_ns / 2);
    cr_assert_eq(shard_kit_await(kit, deaf, last), 0);
    shard_kit_close(kit);
}

/* A long poll whose data has come is answered with it, also when the disk takes longer to give it
 * than the poll may last. */
Test(shard_on_read, a_long_poll_that_waits_for_the_disk_does_not_end_without_data)
{
    struct sim_options world;
    struct kit_channel channel;
    struct xd_read_reply reply;
    const uint8_t *batches;
    const char *field = "";
    sim_options_init(&world, 1);
    world.rates.buggify_enabled = 65536;
    world.read = (struct sim_range){2000000000, 2000000000};
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_client *reader = shard_kit_connect(kit, 1);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    uint64_t start_ns = sim_now_ns(kit->broker.sim);
    uint64_t correlation =
        wire_client_read(&reader->wire, channel.target.partition, XD_SEEK_END, 0, 1u << 20, 700);
    shard_kit_pass(kit, 500);
    sim_rates(kit->broker.sim)->buggify_fires = 65536; /* nothing is read from memory */
    cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 2).status, 0);
    cr_assert_eq(shard_kit_await(kit, reader, correlation), 0, "%s",
                 xd_status_name(kit->reply.head.status));
    cr_assert_gt(sim_now_ns(kit->broker.sim) - start_ns, 2000000000);
    cr_assert_eq(
        xd_read_reply_decode(kit->reply.body, kit->reply.body_bytes, &reply, &batches, &field), 0);
    cr_assert(reply.start_offset == 0 && reply.next_offset == 2);
    shard_kit_close(kit);
}

/* A connection that ends takes its own requests along and nobody else's. */
Test(shard_on_read, a_connection_that_ends_takes_only_its_own_requests_along)
{
    struct kit_client *client;
    struct kit_channel channel;
    struct shard_kit *kit = with_batches(&client, &channel);
    struct kit_client *leaving = shard_kit_connect(kit, 1);
    struct kit_client *staying = shard_kit_connect(kit, 2);
    uint32_t replies = staying->reply_count;
    for (uint32_t i = 0; i < 5; i++) {
        wire_client_read(&leaving->wire, channel.target.partition, XD_SEEK_END, 0, 1000, 30000);
        wire_client_read(&staying->wire, channel.target.partition, XD_SEEK_END, 0, 1000, 30000);
    }
    shard_kit_pass(kit, 20);
    wire_client_leave(&leaving->wire, true);
    shard_kit_pass(kit, 20);
    cr_assert_eq(staying->reply_count, replies);
    cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1).status, 0);
    shard_kit_await_replies(kit, staying, replies + 5);
    cr_assert_eq(kit->reply.head.status, 0);
    shard_kit_close(kit);
}

/* The shard's own bound, over all connections: what is over it is refused, with a delay, until one
 * that waits has been answered. */
Test(shard_on_read, bounds_waiting_requests_of_all_connections)
{
    struct sim_options world;
    uint64_t correlations[3];
    sim_options_init(&world, 1);
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.waiters_max = 3;
    shard_kit_start(kit);
    struct kit_client *late = shard_kit_connect(kit, 3);
    for (uint32_t i = 0; i < 3; i++) {
        struct kit_client *reader = shard_kit_connect(kit, i);
        correlations[i] =
            wire_client_read(&reader->wire, 0, XD_SEEK_END, 0, 1000, i == 0 ? 300 : 30000);
    }
    shard_kit_pass(kit, 10);
    uint64_t correlation = wire_client_read(&late->wire, 0, XD_SEEK_END, 0, 1000, 0);
    cr_assert_eq(shard_kit_await(kit, late, correlation), XD_THROTTLED);
    cr_assert_gt(kit->reply.head.retry_after_ms, 0);
    cr_assert_eq(shard_kit_await(kit, &kit->clients[0], correlations[0]), XD_END);
    correlation = wire_client_read(&late->wire, 0, XD_SEEK_END, 0, 1000, 0);
    cr_assert_eq(shard_kit_await(kit, late, correlation), XD_END);
    shard_kit_close(kit);
}

/* Many reads whose blocks come from disk together: all are answered with what stands there, over
 * few buffers, from few loads. */
Test(shard_on_read, one_load_serves_all_who_wait_for_it)
{
    enum { EACH = 40 };
    struct kit_client *client;
    struct kit_channel channel;
    struct shard_kit *kit = with_batches(&client, &channel);
    uint32_t replies[KIT_CLIENTS];
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    for (uint32_t i = 0; i < KIT_CLIENTS; i++) {
        struct kit_client *reader = shard_kit_connect(kit, i);
        replies[i] = reader->reply_count;
        for (uint32_t k = 0; k < EACH; k++)
            wire_client_read(&reader->wire, channel.target.partition, XD_SEEK_BEGIN, 0, 1u << 20,
                             0);
    }
    for (uint32_t i = 0; i < KIT_CLIENTS; i++) {
        for (uint32_t k = 1; k <= EACH; k++) {
            struct xd_read_reply reply;
            const uint8_t *batches;
            const char *field = "";
            shard_kit_await_replies(kit, &kit->clients[i], replies[i] + k);
            cr_assert_eq(kit->reply.head.status, 0);
            cr_assert_eq(xd_read_reply_decode(kit->reply.body, kit->reply.body_bytes, &reply,
                                              &batches, &field),
                         0, "%s", field);
            cr_assert(reply.start_offset == 0 && reply.next_offset == 30);
        }
        cr_assert_eq(kit->clients[i].reply_count, replies[i] + EACH);
    }
    cr_assert_leq(shard_counters(kit->broker.shard)->v[COUNTER_cache_loads], 4);
    shard_kit_close(kit);
}

/* What has come from the disk while no buffer is free is given when there is one: the block is not
 * read again, and the reader need not ask again. */
Test(shard_on_read, what_came_from_disk_waits_for_a_buffer)
{
    static struct batch_build build;
    static uint8_t payload[30000];
    struct sim_options world;
    struct kit_channel channel;
    sim_options_init(&world, 1);
    world.spike_ns = 500000000;
    world.window_bytes = 4096;
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.net.large_count = 3; /* one more than a connection may have */
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 2);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < 80; i++) { /* more than one extent */
        batch_begin(&build, &channel.target, channel.previous);
        batch_add(&build, ++channel.sequence, SKU, payload, sizeof payload);
        batch_end(&build);
        channel.previous = channel.sequence;
        uint32_t before = client->ack_count;
        shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
        shard_kit_await_acks(kit, client, before + 1);
        cr_assert_eq(shard_kit_last_ack(client)->status, 0);
    }
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 2);
    uint64_t correlation =
        wire_client_read(&client->wire, channel.target.partition, XD_SEEK_BEGIN, 0, 50000, 0);
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0); /* its extent is there now */
    const uint64_t *loads = &shard_counters(kit->broker.shard)->v[COUNTER_cache_loads];
    uint64_t before = *loads;
    uint32_t replies = client->reply_count;
    for (uint32_t i = 0; i < 2; i++)
        shard_kit_connect(kit, i);
    sim_rates(kit->broker.sim)->spike = 65536;
    correlation =
        wire_client_read(&client->wire, channel.target.partition, XD_SEEK_OFFSET, 79, 50000, 0);
    shard_kit_pass(kit, 20);
    for (uint32_t i = 0; i < 2; i++) { /* while it is loaded, all three buffers are taken */
        struct kit_client *deaf = &kit->clients[i];
        sim_client_partition(kit->broker.sim, deaf->wire.id, false, true);
        for (uint32_t k = i; k < 2; k++)
            wire_client_read(&deaf->wire, channel.target.partition, XD_SEEK_BEGIN, 0, 50000, 0);
    }
    shard_kit_pass(kit, 1000);
    shard_kit_drain(kit, client);
    cr_assert_eq(*loads, before + 1);
    cr_assert_eq(client->reply_count, replies);
    sim_client_partition(kit->broker.sim, kit->clients[0].wire.id, false, false);
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    cr_assert_eq(*loads, before + 1);
    shard_kit_close(kit);
}
