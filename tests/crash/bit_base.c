/* SPDX-License-Identifier: Apache-2.0
 *
 * The lives. A segment holds at least 4 MiB, so rolling early is asked of the log's own fault
 * switch; everything else is ordinary use.
 */
#include "tests/crash/bit_base.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

#define ATTEMPTS 200u /* seeds tried until a life leaves what it is there for */
#define CHECKPOINT_NEVER (1u << 30)

static bool fail(struct bit_maker *maker, const char *what, const char *detail)
{
    (void)snprintf(maker->failure, sizeof maker->failure, "%.200s: %.200s", what, detail);
    return false;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static bool start(struct bit_maker *maker)
{
    int status = sim_broker_start(&maker->broker);
    if (status < 0)
        return fail(maker, xd_status_name(status), maker->broker.why);
    return true;
}

/* Opens the channel, and sends again what has no answer. */
static bool attach(struct bit_maker *maker)
{
    struct crash_client *client = &maker->client;
    uint64_t acked = 0;
    for (uint32_t i = 0; i < client->sent_count; i++)
        acked = client->sent[i].acked ? client->sent[i].last : acked;
    if (!crash_client_open(client, acked))
        return fail(maker, "open", client->failure);
    for (uint32_t i = 0; i < client->sent_count; i++)
        if (!client->sent[i].acked)
            crash_client_resend(client, i);
    return crash_client_settle(client) || fail(maker, "resend", client->failure);
}

/* So many batches, each in a block of its own when they are settled one by one. */
static bool produce(struct bit_maker *maker, uint32_t batches, bool one_by_one)
{
    struct crash_client *client = &maker->client;
    for (uint32_t i = 0; i < batches; i++) {
        uint32_t records = 1 + (uint32_t)prng_below(&maker->prng, 6);
        if (prng_below(&maker->prng, 6) == 0)
            records = 25 + (uint32_t)prng_below(&maker->prng, 60); /* a block of several pages */
        crash_client_produce(client, (uint32_t)prng_below(&maker->prng, CRASH_LANES), records);
        if (one_by_one && prng_below(&maker->prng, 4) != 0 && !crash_client_settle(client))
            return fail(maker, "produce", client->failure);
    }
    return !one_by_one || crash_client_settle(client) || fail(maker, "produce", client->failure);
}

static bool pass(struct bit_maker *maker, uint64_t ms)
{
    uint64_t end_ns = sim_now_ns(maker->broker.sim) + ms * 1000000;
    while (sim_now_ns(maker->broker.sim) < end_ns)
        if (!crash_client_turn(&maker->client))
            return fail(maker, "rest", maker->client.failure);
    return true;
}

/* Some batches that end up in the next segment. */
static bool roll(struct bit_maker *maker)
{
    uint64_t rolls = maker->broker.rolls;
    for (uint32_t i = 0; i < 20 && maker->broker.rolls == rolls; i++) {
        sim_rates(maker->broker.sim)->buggify_fires = 65536;
        bool good = produce(maker, 1, true);
        sim_rates(maker->broker.sim)->buggify_fires = 0;
        if (!good || !pass(maker, 30))
            return false;
    }
    return maker->broker.rolls > rolls || fail(maker, "roll", "the log stays in its segment");
}

/* Remembers the folder as it is at this moment. */
static void keep(struct bit_maker *maker)
{
    struct bit_base *base = maker->base;
    XD_ASSERT(base->moments < BIT_MOMENTS);
    sim_snapshot_take(&base->then[base->moments++], maker->broker.sim);
}

static bool stop(struct bit_maker *maker)
{
    wire_client_leave(&maker->client.wire, false);
    int status = sim_broker_stop(&maker->broker);
    return status == 0 || fail(maker, "stop", xd_status_name(status));
}

static void crash(struct bit_maker *maker, enum sim_crash_menu menu)
{
    (void)sim_broker_crash(&maker->broker, menu);
    wire_client_leave(&maker->client.wire, true);
    maker->client.outstanding = 0;
}

static bool restart(struct bit_maker *maker, enum sim_crash_menu menu)
{
    crash(maker, menu);
    return start(maker) && attach(maker);
}

/* Batches on their way when the power fails. */
static bool torn(struct bit_maker *maker, enum sim_crash_menu menu)
{
    if (!produce(maker, 6, false))
        return false;
    for (uint64_t turns = 1 + prng_below(&maker->prng, 6); turns > 0; turns--)
        if (!crash_client_turn(&maker->client))
            return fail(maker, "load", maker->client.failure);
    crash(maker, menu);
    return true;
}

/* ---- lives ----------------------------------------------------------------------------------- */

/* One segment, all of it read by the next start. */
static bool live_fresh(struct bit_maker *maker)
{
    if (!start(maker) || !attach(maker) || !produce(maker, 6, true))
        return false;
    keep(maker);
    if (!pass(maker, 300) || !produce(maker, 8, true))
        return false;
    keep(maker);
    return produce(maker, 8, true) && stop(maker);
}

/* Both checkpoints, and a few blocks behind them. */
static bool live_checkpoints(struct bit_maker *maker)
{
    if (!start(maker) || !attach(maker))
        return false;
    for (uint32_t i = 0; i < BIT_MOMENTS; i++) {
        if (!produce(maker, 9, true) || !pass(maker, 1500))
            return false;
        keep(maker);
    }
    return produce(maker, 9, true) && pass(maker, 1500) && produce(maker, 5, true) && stop(maker);
}

/* The same, killed when its newest batches had just been acknowledged. */
static bool live_killed(struct bit_maker *maker)
{
    if (!start(maker) || !attach(maker))
        return false;
    for (uint32_t i = 0; i < BIT_MOMENTS; i++) {
        if (!produce(maker, 8, true) || !pass(maker, 1500))
            return false;
        keep(maker);
    }
    if (!produce(maker, 12, true))
        return false;
    crash(maker, SIM_CRASH_KEEP_ALL);
    return true;
}

/* Two torn tails: one that a start has cut and copied, and one that is still there. */
static bool live_torn(struct bit_maker *maker)
{
    if (!start(maker) || !attach(maker) || !produce(maker, 10, true))
        return false;
    keep(maker);
    if (!torn(maker, SIM_CRASH_TORN_SECTOR))
        return false;
    keep(maker);
    if (!start(maker) || !attach(maker) || !produce(maker, 8, true) || !pass(maker, 1500) ||
        !produce(maker, 8, true) || !pass(maker, 1500))
        return false;
    keep(maker);
    return produce(maker, 4, true) && torn(maker, SIM_CRASH_GARBAGE);
}

/* Several segments, most of them below the checkpoints. */
static bool live_rolled(struct bit_maker *maker)
{
    if (!start(maker) || !attach(maker))
        return false;
    for (uint32_t i = 0; i < BIT_MOMENTS; i++) {
        if (!produce(maker, 6, true) || !roll(maker) || !pass(maker, 1200))
            return false;
        keep(maker);
    }
    return produce(maker, 8, true) && stop(maker);
}

/* Several segments, all read by the next start; killed at rest. */
static bool live_unfolded(struct bit_maker *maker)
{
    if (!start(maker) || !attach(maker))
        return false;
    for (uint32_t i = 0; i < 2; i++) {
        if (!produce(maker, 7, true) || !roll(maker) || !pass(maker, 200))
            return false;
        keep(maker);
    }
    if (!produce(maker, 5, true) || !restart(maker, SIM_CRASH_KEEP_ALL) ||
        !produce(maker, 8, true) || !pass(maker, 300))
        return false;
    crash(maker, SIM_CRASH_KEEP_ALL);
    return true;
}

/* Retention has dropped segments, and their files hold others now. */
static bool live_recycled(struct bit_maker *maker)
{
    if (!start(maker) || !attach(maker))
        return false;
    for (uint32_t i = 0; i < 12; i++) {
        if (!produce(maker, 2, true) || !roll(maker) || !pass(maker, 1200))
            return false;
        if (i % 5 == 0)
            keep(maker);
    }
    return produce(maker, 6, true) && pass(maker, 1500) && produce(maker, 3, true) && stop(maker);
}

static const struct life {
    const char *name;
    bool (*live)(struct bit_maker *maker);
    uint32_t checkpoint_every; /* bytes */
    uint32_t retention;        /* segments, 0 = all are kept */
    uint32_t buggify;          /* chance that a fault switch is live, of 65536 */
    uint32_t wal_files;        /* at least so many with live blocks */
    bool checkpoints;          /* both, or none */
    bool quarantine;           /* a copy that a start has made */
} lives[BIT_BASES] = {
    {"fresh", live_fresh, CHECKPOINT_NEVER, 0, 0, 1, false, false},
    {"checkpoints", live_checkpoints, 8192, 0, 0, 1, true, false},
    {"killed", live_killed, 8192, 0, 0, 1, true, false},
    {"torn", live_torn, 8192, 0, 0, 1, true, true},
    {"rolled", live_rolled, 8192, 0, 65536, 4, true, false},
    {"unfolded", live_unfolded, CHECKPOINT_NEVER, 0, 32768, 3, false, false},
    {"recycled", live_recycled, 8192, 4, 65536, 4, true, false},
};

const char *bit_base_name(uint32_t kind)
{
    XD_ASSERT(kind < BIT_BASES);
    return lives[kind].name;
}

/* ---- making ---------------------------------------------------------------------------------- */

/* Whether the folder is what the life is there for. */
static bool is_wanted(const struct life *life, const struct bit_map *map)
{
    uint32_t wals = 0, checkpoints = 0, copies = 0;
    for (uint32_t i = 0; i < map->file_count; i++) {
        wals += map->files[i].first_block != BIT_NONE;
        checkpoints += map->files[i].kind == BIT_FILE_CHECKPOINT;
        copies += map->files[i].kind == BIT_FILE_QUARANTINE;
    }
    return wals >= life->wal_files && checkpoints == (life->checkpoints ? CHECKPOINT_FILES : 0) &&
           (copies > 0) == life->quarantine;
}

/* Everything acknowledged must be in the map. */
static bool holds_acked(struct bit_maker *maker, struct bit_base *base)
{
    const struct crash_client *client = &maker->client;
    base->partition = client->partition;
    memset(base->acked, 0, sizeof base->acked);
    for (uint32_t i = 0; i < client->sent_count; i++) {
        const struct crash_sent *sent = &client->sent[i];
        if (sent->acked)
            base->acked[sent->lane] = sent->offset + (sent->last - sent->first + 1);
    }
    for (uint32_t lane = 0; lane < CRASH_LANES; lane++) {
        uint64_t end = 0;
        for (uint32_t i = 0; i < base->map.batch_count; i++)
            if (base->map.batches[i].partition == base->partition + lane)
                end = base->map.batches[i].offset + base->map.batches[i].records;
        if (end < base->acked[lane])
            return fail(maker, base->name, "acknowledged records are not in the folder");
    }
    return true;
}

static bool live_once(struct bit_maker *maker, const struct life *life, uint64_t seed)
{
    struct sim_broker *broker = &maker->broker;
    struct sim_options world;
    sim_options_init(&world, seed);
    world.rates.buggify_enabled = life->buggify;
    prng_seed(&maker->prng, prng_mix(seed) + 0xb175);
    if (broker->env != NULL)
        crash(maker, SIM_CRASH_KEEP_NONE);
    sim_broker_reset(broker, &world);
    broker->options.log.checkpoint_every_bytes = life->checkpoint_every;
    broker->options.log.retention_bytes = life->retention * broker->options.log.segment_bytes;
    crash_client_reset(&maker->client);
    maker->failure[0] = '\0';
    maker->base->moments = 0;
    return life->live(maker);
}

bool bit_base_make(struct bit_maker *maker, uint32_t kind, uint64_t seed, struct sim *judged,
                   struct bit_base *base)
{
    const struct life *life = &lives[kind];
    memset(base, 0, sizeof *base);
    base->name = life->name;
    maker->base = base;
    sim_snapshot_init(&base->folder, judged);
    for (uint32_t i = 0; i < BIT_MOMENTS; i++)
        sim_snapshot_init(&base->then[i], judged);
    for (uint32_t i = 0; i < ATTEMPTS; i++) {
        if (!live_once(maker, life, prng_mix(seed * BIT_BASES + kind) + i))
            continue;
        sim_snapshot_take(&base->folder, maker->broker.sim);
        base->options = maker->broker.options.log;
        if (bit_map_make(&base->map, &base->folder)) {
            if (is_wanted(life, &base->map))
                return holds_acked(maker, base);
            bit_map_deinit(&base->map);
        }
        (void)fail(maker, life->name, "the folder is not what the life is there for");
    }
    return false;
}

void bit_base_deinit(struct bit_base *base)
{
    bit_map_deinit(&base->map);
    sim_snapshot_deinit(&base->folder);
    for (uint32_t i = 0; i < BIT_MOMENTS; i++)
        sim_snapshot_deinit(&base->then[i]);
}

void bit_maker_init(struct bit_maker *maker)
{
    struct sim_options world;
    memset(maker, 0, sizeof *maker);
    sim_options_init(&world, 1);
    sim_broker_open(&maker->broker, &world);
    crash_client_init(&maker->client, &maker->broker);
}

void bit_maker_deinit(struct bit_maker *maker)
{
    crash_client_deinit(&maker->client);
    sim_broker_close(&maker->broker);
}
