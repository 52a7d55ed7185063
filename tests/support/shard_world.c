/* SPDX-License-Identifier: Apache-2.0
 *
 * The part of a world that no engine changes: a shard's life, and clients that await answers.
 */
#include "tests/support/shard_world.h"

#include "wire/checksum.h"
#include "wire/route.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <sanitizer/asan_interface.h>
#include <stdlib.h>
#include <string.h>

static const struct shard_topic topics[] = {{"stock", XD_STRATEGY_SKU, WORLD_WIDTH},
                                            {"order", XD_STRATEGY_ORDER, 1}};

static struct world the_world;

struct world *world_begin_on(const struct world_engine *engine)
{
    struct world *world = &the_world;
    cr_assert_null(world->engine);
    memset(world, 0, sizeof *world);
    world->engine = engine;
    struct shard_options *options = &world->options;
    shard_options_init(options);
    options->log.segment_bytes = 4u << 20;
    options->log.tail_bytes = 16u << 20;
    options->log.index_bytes = 256u << 10;
    options->log.checkpoint_every_bytes = 8u << 20;
    options->log.disk_low_bytes = 16u << 20;
    options->log.undurable_bytes_max = 4u << 20;
    options->log.segments_ready_min = 1;
    options->log.read_cache_extents = 4;
    options->log.sync = LOG_SYNC_FDATASYNC;
    options->log.shard_count = 1;
    options->net.connections_max = 8;
    options->net.out_chunk_count = 128;
    options->net.large_count = 4;
    options->net.spill_count = 2;
    options->sessions = (struct session_options){.channels_max = 8, .chains_max = 32};
    options->facilities_max = 8;
    options->partitions_max = 64;
    options->acks_max = 2048;
    options->waiters_max = 64;
    options->connection_bytes = 4u << 20;
    options->topics = topics;
    options->topic_count = sizeof topics / sizeof topics[0];
    options->addresses = &engine->address;
    options->address_count = 1;
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        wire_client_init(&world->clients[i].wire, NULL);
    return world;
}

void world_end(struct world *world)
{
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        world_leave(world, &world->clients[i], true);
    if (world->env != NULL)
        world_kill(world);
    world->engine->end(world);
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        wire_client_deinit(&world->clients[i].wire);
    world->engine = NULL;
}

/* ---- the shard's life ------------------------------------------------------------------------ */

static uint32_t shard_count(const struct world *world)
{
    return world->options.log.shard_count;
}

static void take_lines(struct world *world, uint32_t i)
{
    struct shard_line line;
    while (shard_line_next(world->shards[i], &line))
        world->tail_cuts += strcmp(line.event, "log_tail_cut") == 0;
}

static void turn_one(struct world *world, uint32_t i, uint64_t until_ns)
{
    int status = shard_turn(world->shards[i], until_ns);
    cr_assert_geq(status, 0, "shard %u: %s %s", i, xd_status_name(status),
                  shard_trouble(world->shards[i]));
    take_lines(world, i);
}

/* Those that have a reason to take a turn do. */
static void turn_all(struct world *world, uint64_t until_ns)
{
    uint64_t deadlines[SPLIT_SHARDS_MAX];
    uint32_t due[SPLIT_SHARDS_MAX];
    for (uint32_t i = 0; i < shard_count(world); i++) {
        deadlines[i] =
            shard_stopped(world->shards[i]) ? UINT64_MAX : shard_deadline_ns(world->shards[i]);
        deadlines[i] = deadlines[i] < until_ns ? deadlines[i] : until_ns;
    }
    int count = split_round(&world->split, deadlines, due);
    cr_assert_geq(count, 0, "%s", xd_status_name(count));
    for (int i = 0; i < count; i++)
        if (!shard_stopped(world->shards[due[i]]))
            turn_one(world, due[i], until_ns);
}

static void turn(struct world *world, uint64_t ns)
{
    uint64_t until_ns = env_now_mono_ns(world->env) + ns;
    if (shard_count(world) == 1)
        turn_one(world, 0, until_ns);
    else
        turn_all(world, until_ns);
}

static void open_shard(struct world *world, uint32_t i)
{
    char why[XD_DETAIL_BYTES_MAX] = "";
    struct env *env = shard_count(world) > 1 ? split_env(&world->split, i) : world->env;
    struct shard_options options = world->options;
    options.log.shard = i;
    world->memories[i] = env_mem_alloc(env, world->memory_bytes);
    cr_assert_not_null(world->memories[i]);
    int status =
        shard_open(env, world->memories[i], world->memory_bytes, &options, &world->shards[i], why);
    cr_assert_eq(status, 0, "%s: %s", xd_status_name(status), why);
    while ((status = shard_recover_step(world->shards[i], why)) == 1)
        continue;
    cr_assert_eq(status, 0, "%s: %s", xd_status_name(status), why);
    status = shard_join(world->shards[i], why);
    cr_assert_eq(status, 0, "%s: %s", xd_status_name(status), why);
    take_lines(world, i);
}

static bool all_joined(const struct world *world)
{
    for (uint32_t i = 0; i < shard_count(world); i++)
        if (!shard_joined(world->shards[i]))
            return false;
    return true;
}

static void split_start(struct world *world)
{
    uint32_t messages = shard_messages_max(&world->options);
    uint64_t bytes = (links_bytes_needed(shard_count(world), messages) + 63) / 64 * 64;
    split_init(&world->split, world->env, shard_count(world), 1);
    world->links = aligned_alloc(64, bytes);
    cr_assert_not_null(world->links);
    world->options.links = links_init(world->links, bytes, shard_count(world), messages);
}

void world_start(struct world *world)
{
    char why[XD_DETAIL_BYTES_MAX] = "";
    cr_assert_null(world->env);
    world->env = world->engine->start(world);
    world->memory_bytes = shard_bytes_needed(&world->options);
    if (shard_count(world) > 1)
        split_start(world);
    for (uint32_t i = 0; i < shard_count(world); i++)
        open_shard(world, i);
    world->shard = world->shards[0];
    uint64_t end_ns = env_now_mono_ns(world->env) + WORLD_PATIENCE_NS;
    while (!all_joined(world)) {
        cr_assert_lt(env_now_mono_ns(world->env), end_ns, "the shards do not join");
        turn(world, WORLD_TURN_NS);
    }
    for (uint32_t i = 0; i < shard_count(world); i++) {
        int status = shard_listen(world->shards[i], &world->addresses[i], why);
        cr_assert_eq(status, 0, "%s: %s", xd_status_name(status), why);
    }
    memcpy(world->address, world->addresses[0], sizeof world->address);
}

void world_turn(struct world *world, uint64_t ns)
{
    turn(world, ns);
    for (uint32_t i = 0; i < WORLD_CLIENTS; i++)
        if (world->clients[i].wire.id >= 0)
            world->engine->pump(&world->clients[i].wire);
}

void world_pass(struct world *world, uint32_t ms)
{
    uint64_t end_ns = env_now_mono_ns(world->env) + ms * 1000000ull;
    while (env_now_mono_ns(world->env) < end_ns)
        world_turn(world, WORLD_TURN_NS);
}

static bool all_stopped(const struct world *world)
{
    for (uint32_t i = 0; i < shard_count(world); i++)
        if (!shard_stopped(world->shards[i]))
            return false;
    return true;
}

void world_stop(struct world *world)
{
    uint64_t end_ns = env_now_mono_ns(world->env) + WORLD_PATIENCE_NS;
    for (uint32_t i = 0; i < shard_count(world); i++)
        shard_stop(world->shards[i]);
    while (!all_stopped(world)) {
        cr_assert_lt(env_now_mono_ns(world->env), end_ns, "the shards do not stop");
        world_turn(world, WORLD_TURN_NS);
    }
    world_pass(world, 5); /* the last bytes arrive */
    for (uint32_t i = 0; i < shard_count(world); i++)
        shard_close(world->shards[i]);
    world_kill(world);
}

void world_kill(struct world *world)
{
    /* Pools that are not taken down leave their marks of AddressSanitizer on pages that the next
     * process may be given. Without it this does nothing. */
    for (uint32_t i = 0; i < shard_count(world); i++) {
        if (world->memories[i] != NULL)
            ASAN_UNPOISON_MEMORY_REGION(world->memories[i], world->memory_bytes);
        world->memories[i] = NULL;
        world->shards[i] = NULL;
    }
    world->engine->stop(world);
    split_deinit(&world->split);
    free(world->links);
    world->links = NULL;
    world->env = NULL;
    world->shard = NULL;
}

/* ---- clients --------------------------------------------------------------------------------- */

struct world_client *world_connect(struct world *world, uint32_t i)
{
    struct world_client *client = &world->clients[i];
    world_leave(world, client, true);
    client->ack_count = client->reply_count = 0;
    client->acked_bytes = 0;
    client->goaway = false;
    cr_assert_eq(world->engine->connect(world, &client->wire), 0);
    client->wire.ended = false;
    uint64_t correlation = wire_client_hello(&client->wire);
    cr_assert_eq(world_await(world, client, correlation), 0, "%s", world->reply.detail);
    return client;
}

struct world_client *world_connect_to(struct world *world, uint32_t i, uint32_t shard)
{
    cr_assert_lt(shard, shard_count(world));
    memcpy(world->address, world->addresses[shard], sizeof world->address);
    return world_connect(world, i);
}

void world_leave(struct world *world, struct world_client *client, bool reset)
{
    struct wire_client *wire = &client->wire;
    if (wire->id >= 0)
        world->engine->leave(wire, reset);
    wire->id = -1;
    wire->ended = true;
    wire->out_bytes = wire->in_bytes = wire->in_taken = 0;
}

static void take_acks(struct world_client *client, const struct wire_frame *frame)
{
    struct xd_ack_view view;
    const char *field = "";
    cr_assert_eq(xd_ack_decode(frame->payload, frame->head.length, &view, &field), 0, "%s", field);
    client->acked_bytes = view.fixed.acked_bytes;
    for (uint32_t i = 0; i < view.fixed.ack_count; i++) {
        cr_assert_lt(client->ack_count, WORLD_ACKS);
        client->acks[client->ack_count++] = view.acks[i];
    }
}

static void take_reply(struct world *world, const struct wire_frame *frame)
{
    struct world_reply *reply = &world->reply;
    struct xd_text detail;
    const uint8_t *body;
    size_t body_bytes;
    cr_assert_eq(xd_reply_decode(frame->payload, frame->head.length, &reply->head, &detail, &body,
                                 &body_bytes),
                 0);
    memcpy(reply->detail, detail.bytes > 0 ? detail.data : "", detail.bytes);
    reply->detail[detail.bytes] = '\0';
    memcpy(reply->body, body, body_bytes);
    reply->body_bytes = (uint32_t)body_bytes;
}

/* Takes what has arrived. True when the reply to `correlation` was there. */
static bool take_frames(struct world *world, struct world_client *client, uint64_t correlation)
{
    struct wire_frame frame;
    while (wire_client_next(&client->wire, &frame)) {
        if (frame.head.op == XD_OP_ACK) {
            take_acks(client, &frame);
        } else if (frame.head.op == XD_OP_GOAWAY) {
            client->goaway = true;
        } else {
            cr_assert_eq(frame.head.flags, XD_FRAME_REPLY);
            take_reply(world, &frame);
            client->reply_count++;
            if (frame.head.correlation == correlation)
                return true;
        }
    }
    return false;
}

uint32_t world_take(struct world *world, struct world_client *client)
{
    world->engine->pump(&client->wire);
    (void)take_frames(world, client, 0);
    return client->reply_count;
}

/* One turn towards something; fails when it took too long. */
static void turn_towards(struct world *world, uint64_t start_ns, const char *what)
{
    cr_assert_lt(env_now_mono_ns(world->env) - start_ns, WORLD_PATIENCE_NS, "no %s", what);
    world_turn(world, WORLD_TURN_NS);
}

int world_await(struct world *world, struct world_client *client, uint64_t correlation)
{
    uint64_t start_ns = env_now_mono_ns(world->env);
    world->engine->pump(&client->wire);
    while (!take_frames(world, client, correlation)) {
        cr_assert_not(client->wire.ended, "the broker closed the connection");
        turn_towards(world, start_ns, "reply");
    }
    return world->reply.head.status;
}

void world_await_acks(struct world *world, struct world_client *client, uint32_t count)
{
    uint64_t start_ns = env_now_mono_ns(world->env);
    world->engine->pump(&client->wire);
    for (;;) {
        take_frames(world, client, 0);
        if (client->ack_count >= count)
            return;
        cr_assert_not(client->wire.ended, "the broker closed the connection");
        turn_towards(world, start_ns, "ack");
    }
}

void world_await_end(struct world *world, struct world_client *client)
{
    uint64_t start_ns = env_now_mono_ns(world->env);
    world->engine->pump(&client->wire);
    while (!client->wire.ended)
        turn_towards(world, start_ns, "end of the connection");
    take_frames(world, client, 0);
}

/* ---- requests -------------------------------------------------------------------------------- */

int world_open(struct world *world, struct world_client *client, const struct xd_open *open,
               const char *name, const char *sku, struct world_channel *ret_channel)
{
    struct xd_open_view view;
    const char *field = "";
    uint64_t correlation = wire_client_open(&client->wire, open, "wms", name, "");
    int status = world_await(world, client, correlation);
    if (status < 0)
        return status;
    cr_assert_eq(xd_open_reply_decode(world->reply.body, world->reply.body_bytes, &view, &field), 0,
                 "%s", field);
    uint32_t partition = xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, sku), WORLD_WIDTH);
    *ret_channel = (struct world_channel){.target = {.producer_id = view.fixed.producer_id,
                                                     .producer_epoch = view.fixed.producer_epoch,
                                                     .channel_epoch = view.fixed.channel_epoch,
                                                     .facility = view.fixed.facility,
                                                     .partition = partition,
                                                     .strategy = XD_STRATEGY_SKU},
                                          .sequence = view.fixed.last_sequence};
    for (uint32_t i = 0; i < view.fixed.chain_count; i++)
        if (view.chains[i].partition == partition)
            ret_channel->previous = view.chains[i].last_sequence;
    return status;
}

void world_batch(struct world_channel *channel, const char *sku, uint32_t records,
                 uint32_t payload_bytes, struct batch_build *ret_build)
{
    uint8_t payload[8192];
    cr_assert_leq(payload_bytes, sizeof payload);
    batch_begin(ret_build, &channel->target, channel->previous);
    for (uint32_t i = 0; i < records; i++) {
        channel->sequence++;
        for (uint32_t at = 0; at < payload_bytes; at++)
            payload[at] = (uint8_t)(channel->sequence * 31 + at);
        batch_add(ret_build, channel->sequence, sku, payload, payload_bytes);
    }
    batch_end(ret_build);
    channel->previous = channel->sequence;
}

void world_send(struct world_client *client, const struct batch_build *build,
                enum xd_durability durability)
{
    const struct xd_batch_header *batch = &build->header;
    wire_client_produce(&client->wire, &batch, 1, durability);
}

struct xd_ack world_outcome(struct world *world, struct world_client *client,
                            const struct batch_build *build)
{
    uint32_t before = client->ack_count;
    world_send(client, build, XD_DURABILITY_FSYNC);
    world_await_acks(world, client, before + 1);
    return client->acks[before];
}

uint64_t world_read_all(struct world *world, struct world_client *client, uint32_t partition,
                        uint64_t *ret_hash)
{
    struct xd_read_reply reply = {0};
    const uint8_t *batches;
    const char *field = "";
    uint64_t records = 0, hash = 0;
    enum xd_seek seek = XD_SEEK_BEGIN;
    for (;;) {
        uint64_t correlation = wire_client_read(&client->wire, partition, seek, reply.next_offset,
                                                XD_BATCH_BYTES_MAX, 0);
        int status = world_await(world, client, correlation);
        cr_assert_geq(status, 0, "%s", world->reply.detail);
        cr_assert_eq(xd_read_reply_decode(world->reply.body, world->reply.body_bytes, &reply,
                                          &batches, &field),
                     0, "%s", field);
        if (status == XD_END)
            break;
        for (uint32_t at = 0; at < reply.batches_bytes;) {
            const struct xd_batch_header *batch = (const void *)(batches + at);
            cr_assert_eq(xd_batch_check_stored(batch, reply.batches_bytes - at, &field), 0, "%s",
                         field);
            cr_assert_eq(xd_batch_check_hash(batch), 0);
            cr_assert_eq(batch->base_offset, records);
            hash = xd_xxh3_seeded(batch, xd_batch_stride(batch), hash);
            records += batch->record_count;
            at += xd_batch_stride(batch);
        }
        cr_assert_eq(reply.next_offset, records);
        seek = XD_SEEK_OFFSET;
    }
    *ret_hash = hash;
    return records;
}
