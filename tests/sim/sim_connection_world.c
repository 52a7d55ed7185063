/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes and runs the world of the connection scripts.
 */
#include "tests/sim/sim_connection_world.h"

#include "tests/support/batch_kit.h"
#include "tests/support/wire_client.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TURN_NS 1000000ull
#define BUFFERS 16u
#define BUFFER_BYTES 4096u
#define PATIENCE_TURNS 1000u          /* for anything while the disk is made */
#define FILLER_PAYLOAD_BYTES 48000u   /* of one batch */
#define LOG_ROOM_BYTES (160u * 1024u) /* left in the first segment for a script */

static const struct shard_topic topics[] = {{"stock", XD_STRATEGY_SKU, WORLD_WIDTH},
                                            {"filler", XD_STRATEGY_SKU, 1}};
static const char *const addresses[] = {"127.0.0.1:7700"};

static void small_options(struct shard_options *options)
{
    shard_options_init(options);
    options->log.segment_bytes = 4u << 20;
    options->log.tail_bytes = 16u << 20;
    options->log.index_bytes = 64u << 10;
    options->log.checkpoint_every_bytes = 512u << 10;
    options->log.disk_low_bytes = 1u << 20;
    options->log.undurable_bytes_max = 2u << 20;
    options->log.segments_ready_min = 1;
    options->log.read_cache_extents = 3;
    options->log.sync = LOG_SYNC_FDATASYNC;
    options->log.shard_count = 1;
    options->net.connections_max = WORLD_CONNECTIONS_MAX;
    options->net.out_chunk_count = 12;
    options->net.out_chunks_per_conn = 2;
    options->net.recv_buffers_max = BUFFERS;
    options->net.large_count = 3;
    options->net.spill_count = 1;
    options->sessions = (struct session_options){.channels_max = WORLD_CHANNELS_MAX,
                                                 .chains_max = WORLD_CHAINS_MAX};
    options->facilities_max = 3;
    options->partitions_max = 16;
    options->acks_max = 32;
    options->waiters_max = 4; /* as many as the judge asks for at once */
    options->connection_bytes = 64u << 10;
    options->topics = topics;
    options->topic_count = sizeof topics / sizeof topics[0];
    options->addresses = addresses;
    options->address_count = 1;
}

static void world_options(struct sim_options *options)
{
    sim_options_init(options, 1);
    options->window_bytes = 16u << 10;
    options->disk_bytes = WORLD_DISK_BYTES;
}

/* ---- a process ------------------------------------------------------------------------------- */

static void start(struct connection_world *world)
{
    char why[XD_DETAIL_BYTES_MAX] = "";
    char bound[1][ENV_ADDRESS_BYTES_MAX];
    uint64_t bytes = shard_bytes_needed(&world->options);
    struct env_sim_options process;
    env_sim_options_init(&process);
    process.buffer_count = BUFFERS;
    process.buffer_bytes = BUFFER_BYTES;
    process.conns_max = WORLD_CONNECTIONS_MAX * 2;
    world->env = env_sim_process(world->sim, &process);
    void *memory = env_mem_alloc(world->env, bytes);
    XD_ASSERT(memory != NULL);
    int status = shard_open(world->env, memory, bytes, &world->options, &world->shard, why);
    XD_ASSERT(status == 0);
    while ((status = shard_recover_step(world->shard, why)) == 1)
        continue;
    XD_ASSERT(status == 0);
    status = shard_listen(world->shard, bound, why);
    XD_ASSERT(status == 0);
    env_mem_seal(world->env);
    memcpy(world->address, bound[0], sizeof world->address);
    world->before = (struct counters){{0}};
    world->turns = 0;
}

/* Counts how connections end; a peer's own end is not reported. */
static void take_line(struct connection_world *world, const struct shard_line *line)
{
    XD_ASSERT(line->event != NULL && strnlen(line->text, sizeof line->text) < sizeof line->text);
    const char *reason = strstr(line->text, "reason=");
    world->refused += strcmp(line->event, "connection_refused") == 0;
    if (strcmp(line->event, "connection_closed") != 0)
        return;
    XD_ASSERT(reason != NULL);
    for (unsigned i = 0; i < NET_CLOSE_REASON_COUNT; i++)
        world->closes[i] += strcmp(reason + strlen("reason="),
                                   net_close_reason_name((enum net_close_reason)i)) == 0;
}

void connection_world_turn(struct connection_world *world, uint64_t ns)
{
    struct shard_line line;
    int status = shard_turn(world->shard, env_now_mono_ns(world->env) + ns);
    XD_ASSERT(status >= 0);
    while (shard_line_next(world->shard, &line))
        take_line(world, &line);
    world->turns++;
}

void connection_world_check(struct connection_world *world)
{
    const struct counters *now = shard_counters(world->shard);
    for (unsigned i = 0; i < COUNTER_COUNT; i++)
        if (counters_row(i)->kind != COUNTER_KIND_GAUGE)
            XD_ASSERT(now->v[i] >= world->before.v[i]);
    world->before = *now;
    XD_ASSERT(now->v[COUNTER_connections_open] <= WORLD_CONNECTIONS_MAX);
    XD_ASSERT(now->v[COUNTER_undurable_bytes] <=
              world->options.log.undurable_bytes_max + XD_BLOCK_BYTES_MAX);
    XD_ASSERT(now->v[COUNTER_staged_bytes] <= world->options.log.tail_bytes);
    XD_ASSERT(env_buffers_free(world->env) <= BUFFERS);
}

/* A number of the verb "status" by its key. */
static uint64_t status_number(struct connection_world *world, const char *key)
{
    static char json[XD_ADMIN_REPLY_BYTES_MAX + 1];
    json[shard_status_json(world->shard, json, sizeof json - 1)] = '\0';
    const char *at = strstr(json, key);
    XD_ASSERT(at != NULL);
    return strtoull(at + strlen(key), NULL, 10);
}

bool connection_world_idle(struct connection_world *world)
{
    const struct counters *counters = shard_counters(world->shard);
    return counters->v[COUNTER_connections_open] == 0 &&
           counters->v[COUNTER_undurable_bytes] == 0 && env_buffers_free(world->env) == BUFFERS &&
           status_number(world, "\"acks_waiting\":") == 0 &&
           status_number(world, "\"readers_waiting\":") == 0;
}

/* ---- the prepared disk ----------------------------------------------------------------------- */

/* Turns until a frame of that op has come; its payload is copied to `body` behind the reply head.
 */
static void await(struct connection_world *world, struct wire_client *client, uint16_t op,
                  void *body, uint32_t body_bytes)
{
    struct wire_frame frame;
    for (uint32_t i = 0; i < PATIENCE_TURNS; i++) {
        wire_client_pump(client);
        while (wire_client_next(client, &frame)) {
            uint32_t head_bytes = op == XD_OP_ACK ? 0 : (uint32_t)sizeof(struct xd_reply_head);
            if (frame.head.op != op)
                continue;
            XD_ASSERT(frame.head.length >= head_bytes + body_bytes);
            memcpy(body, frame.payload + head_bytes, body_bytes);
            return;
        }
        connection_world_turn(world, TURN_NS);
    }
    XD_ASSERT(false);
}

static struct xd_open_reply open_channel(struct connection_world *world, struct wire_client *client,
                                         const char *name, const char *facility)
{
    struct xd_open_reply reply;
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    wire_client_open(client, &open, "wms", name, facility);
    await(world, client, XD_OP_PRODUCER_OPEN, &reply, sizeof reply);
    return reply;
}

/* Leaves LOG_ROOM_BYTES of the first segment. */
static void fill(struct connection_world *world, struct wire_client *client,
                 const struct xd_open_reply *open)
{
    static struct batch_build build;
    static uint8_t payload[FILLER_PAYLOAD_BYTES];
    const struct counters *counters = shard_counters(world->shard);
    const struct batch_target target = {.producer_id = open->producer_id,
                                        .producer_epoch = open->producer_epoch,
                                        .channel_epoch = open->channel_epoch,
                                        .partition = WORLD_WIDTH,
                                        .strategy = XD_STRATEGY_SKU};
    for (uint64_t sequence = 1; counters->v[COUNTER_log_end_position] + LOG_ROOM_BYTES <
                                world->options.log.segment_bytes * 2;
         sequence++) {
        struct {
            struct xd_ack_head head;
            struct xd_ack ack;
        } ack;
        batch_begin(&build, &target, sequence - 1);
        batch_add(&build, sequence, "SKU", payload, sizeof payload);
        batch_end(&build);
        const struct xd_batch_header *batch = &build.header;
        wire_client_produce(client, &batch, 1, XD_DURABILITY_FSYNC);
        await(world, client, XD_OP_ACK, &ack, sizeof ack);
        XD_ASSERT(ack.ack.status == 0);
    }
}

static void make_disk(struct connection_world *world)
{
    static const char *const names[] = {"c0", "c1", "c2", "c3"};
    struct wire_client client;
    struct xd_hello_reply hello;
    start(world);
    wire_client_init(&client, world->sim);
    int status = wire_client_connect(&client, world->address);
    XD_ASSERT(status == 0);
    wire_client_hello(&client);
    await(world, &client, XD_OP_HELLO, &hello, sizeof hello);
    wire_client_admin(&client, "facility add", "{\"name\":\"DC1\"}");
    await(world, &client, XD_OP_ADMIN, &hello, 0);
    struct xd_open_reply filler = open_channel(world, &client, "filler", "");
    for (uint32_t i = 0; i < 4; i++)
        (void)open_channel(world, &client, names[i], i == 3 ? "DC1" : "");
    fill(world, &client, &filler);
    shard_stop(world->shard);
    for (uint32_t i = 0; i < PATIENCE_TURNS && !shard_stopped(world->shard); i++) {
        wire_client_pump(&client);
        connection_world_turn(world, TURN_NS);
    }
    XD_ASSERT(shard_stopped(world->shard));
    shard_close(world->shard);
    wire_client_deinit(&client);
    (void)sim_crash(world->sim, SIM_CRASH_KEEP_NONE);
    sim_snapshot_take(&world->disk, world->sim);
}

void connection_world_open(struct connection_world *world)
{
    struct sim_options options;
    memset(world, 0, sizeof *world);
    world_options(&options);
    small_options(&world->options);
    world->sim = sim_open(&options);
    sim_snapshot_init(&world->disk, world->sim);
    make_disk(world);
    world->env = NULL;
}

void connection_world_begin(struct connection_world *world)
{
    struct sim_options options;
    XD_ASSERT(world->env == NULL);
    world_options(&options);
    sim_reset(world->sim, &options);
    sim_snapshot_put(&world->disk, world->sim);
    start(world);
}

void connection_world_end(struct connection_world *world)
{
    XD_ASSERT(world->env != NULL);
    (void)sim_crash(world->sim, SIM_CRASH_KEEP_NONE);
    world->env = NULL;
    world->shard = NULL;
}
