/* SPDX-License-Identifier: Apache-2.0
 *
 * Damage to bytes at rest: a bit turned, a page of zeros, a page that belongs elsewhere. What was
 * there is kept, because a broker that refuses to start must have changed nothing: with the bytes
 * put back it starts and has everything.
 *
 * The budget is the published fault model of one replica: in the log only blocks that both meta
 * slots cover, or one that a later block says was durable (damage to newer ones looks like a torn
 * tail), of the meta file one slot, never beside damage in the log, and of one segment either its
 * header or its blocks. While the process runs only blocks are damaged: nothing writes there any
 * more.
 */
#include "tests/sim/sim_run.h"

#include "broker/log/block.h"
#include "broker/log/meta.h"
#include "broker/log/point.h"
#include "broker/log/segment.h"
#include "wire/xassert.h"

#include <string.h>

#define PAGE 4096u
#define PLACES_MAX 256u

/* What the pages of a file are. */
enum rot_class { ROT_BLOCK, ROT_HEADER, ROT_META, ROT_CHECKPOINT, ROT_NOWHERE };

/* Pages that may be damaged. */
struct places {
    struct {
        char name[ENV_NAME_BYTES_MAX];
        uint64_t at;
        bool proven;
    } list[PLACES_MAX];
    uint32_t count;
};

/* What is known to be durable. */
struct durable {
    struct meta meta; /* the slot read first */
    uint64_t covered; /* log position up to which both slots cover it; 0 = one is not whole */
    uint64_t index;   /* highest index of the running epoch that a block of it says was */
};

static uint32_t shard_of(const struct run *run, const char *name)
{
    uint32_t shard;
    (void)sim_broker_file(&run->broker, name, &shard);
    return shard;
}

static enum rot_class class_of(const struct run *run, const char *path, uint64_t at)
{
    uint32_t shard;
    const char *name = sim_broker_file(&run->broker, path, &shard);
    if (strncmp(name, "wal.", 4) == 0)
        return at == 0 ? ROT_HEADER : ROT_BLOCK;
    if (strcmp(name, "meta") == 0)
        return ROT_META;
    return strncmp(name, "checkpoint", 10) == 0 ? ROT_CHECKPOINT : ROT_NOWHERE;
}

/* Whether the damage is still there; it is forgotten when something was written over it. */
static bool rot_live(struct run *run, struct rot *rot)
{
    uint8_t now[PAGE];
    if (rot->name[0] == '\0')
        return false;
    if (sim_disk_peek(run->broker.sim, rot->name, rot->at, now, PAGE) == PAGE &&
        memcmp(now, rot->after, PAGE) == 0)
        return true;
    rot->name[0] = '\0';
    return false;
}

uint32_t rot_count(struct run *run)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < RUN_ROTS; i++)
        count += rot_live(run, &run->rots[i]);
    return count;
}

bool rot_proven(struct run *run)
{
    bool proven = false;
    for (uint32_t i = 0; i < RUN_ROTS; i++)
        proven |= rot_live(run, &run->rots[i]) && run->rots[i].proven;
    return proven;
}

void rot_reset(struct run *run)
{
    for (uint32_t i = 0; i < RUN_ROTS; i++)
        run->rots[i].name[0] = '\0';
}

void rot_repair(struct run *run)
{
    XD_ASSERT(run->broker.env == NULL);
    for (uint32_t i = 0; i < RUN_ROTS; i++) {
        struct rot *rot = &run->rots[i];
        if (!rot_live(run, rot))
            continue;
        int status = sim_disk_patch(run->broker.sim, rot->name, rot->at, rot->before, PAGE);
        XD_ASSERT(status == 0);
        RUN_TELL(run, "repair of %s at %llu\n", rot->name, (unsigned long long)rot->at);
        rot->name[0] = '\0';
        run_count(run, TOTAL_REPAIRED, 1);
    }
}

/* ---- the budget ------------------------------------------------------------------------------ */

/* Whether damage here stays survivable beside what is damaged already; each shard is for itself. */
static bool within_budget(struct run *run, const char *name, uint64_t at, bool proven)
{
    enum rot_class class = class_of(run, name, at);
    for (uint32_t i = 0; i < RUN_ROTS; i++) {
        const struct rot *rot = &run->rots[i];
        if (!rot_live(run, &run->rots[i]) || shard_of(run, rot->name) != shard_of(run, name))
            continue;
        enum rot_class other = class_of(run, rot->name, rot->at);
        if (class == ROT_META || other == ROT_META)
            return false;
        bool header = class == ROT_HEADER || other == ROT_HEADER;
        /* What proves it must stay whole. */
        if ((proven || rot->proven) && class != ROT_CHECKPOINT && other != ROT_CHECKPOINT)
            return false;
        if (header && class != ROT_CHECKPOINT && other != ROT_CHECKPOINT)
            return false;
        if (strcmp(rot->name, name) == 0 && rot->at == at)
            return false;
    }
    return true;
}

static void place_add(struct run *run, struct places *places, const char *name, uint64_t at,
                      bool proven)
{
    if (places->count == PLACES_MAX || !within_budget(run, name, at, proven))
        return;
    places->list[places->count].proven = proven;
    snprintf(places->list[places->count].name, ENV_NAME_BYTES_MAX, "%s", name);
    places->list[places->count++].at = at;
}

/* Reads the header of a block at a place of a segment. False: there is none. */
static bool block_at(struct run *run, const struct meta *meta, const char *name,
                     const struct segment_header *segment, uint64_t at, struct block_header *ret)
{
    uint64_t position = segment->segment_no * segment->segment_bytes + at;
    const char *why;
    if (sim_disk_peek(run->broker.sim, name, at, ret, sizeof *ret) != (int64_t)sizeof *ret)
        return false;
    struct block_identity identity = point_identity(meta, segment->segment_no, ret->epoch);
    return block_check_header(ret, &identity, position, &why) == 0;
}

/* Walks the blocks of a segment. Without places: how far they know what is durable; else those that
 * are known to be, as places. */
static void walk_blocks(struct run *run, struct durable *durable, const char *name,
                        struct places *places)
{
    struct segment_header segment;
    struct block_header block;
    if (sim_disk_peek(run->broker.sim, name, 0, &segment, sizeof segment) !=
            (int64_t)sizeof segment ||
        segment.magic != SEGMENT_MAGIC)
        return;
    for (uint64_t at = SEGMENT_HEADER_BYTES;
         at < segment.segment_bytes && block_at(run, &durable->meta, name, &segment, at, &block);
         at += block.block_bytes) {
        bool running = block.epoch == durable->meta.epoch;
        bool covered = block.position < durable->covered;
        if (running && block.durable_index > durable->index)
            durable->index = block.durable_index;
        bool proven = running && !covered && block.type == BLOCK_DATA;
        if (places == NULL || (!covered && (!proven || block.index > durable->index)))
            continue;
        for (uint32_t page = 0; page < block.block_bytes; page += PAGE)
            place_add(run, places, name, at + page, !covered);
    }
}

/* What both slots of a shard cover, and what its blocks say. False: a slot is not whole. */
static bool find_durable(struct run *run, uint32_t shard, struct durable *ret)
{
    struct sim *sim = run->broker.sim;
    struct meta slots[META_SLOTS];
    char name[ENV_NAME_BYTES_MAX];
    const char *why;
    sim_broker_name(&run->broker, shard, "meta", name);
    if (sim_disk_peek(sim, name, 0, slots, sizeof slots) != (int64_t)sizeof slots ||
        meta_check(&slots[0], &why) < 0 || meta_check(&slots[1], &why) < 0 ||
        slots[0].epoch != slots[1].epoch)
        return false;
    *ret = (struct durable){.meta = slots[0], .covered = slots[0].epoch_position};
    for (uint32_t i = 0; sim_disk_name(sim, i, name) == 0; i++)
        if (class_of(run, name, PAGE) == ROT_BLOCK && shard_of(run, name) == shard)
            walk_blocks(run, ret, name, NULL);
    return true;
}

static void add_places(struct run *run, uint32_t shard, struct places *places, enum rot_class class)
{
    struct sim *sim = run->broker.sim;
    struct durable durable;
    char name[ENV_NAME_BYTES_MAX];
    bool whole = (class == ROT_BLOCK || class == ROT_META) && find_durable(run, shard, &durable);
    for (uint32_t i = 0; sim_disk_name(sim, i, name) == 0; i++) {
        int64_t bytes = sim_disk_durable_bytes(sim, name);
        enum rot_class of = class_of(run, name, 0);
        if (shard_of(run, name) != shard)
            continue;
        if (class == ROT_BLOCK && whole && of == ROT_HEADER)
            walk_blocks(run, &durable, name, places);
        else if (class == ROT_HEADER && of == ROT_HEADER && bytes >= PAGE)
            place_add(run, places, name, 0, false);
        else if (class == ROT_META && of == ROT_META && whole)
            place_add(run, places, name, PAGE * run_fault_below(run, FAULT_ROT, META_SLOTS), false);
        else if (class == ROT_CHECKPOINT && of == ROT_CHECKPOINT && bytes >= PAGE)
            place_add(run, places, name,
                      PAGE * run_fault_below(run, FAULT_ROT, (uint64_t)bytes / PAGE), false);
    }
}

/* ---- the damage ------------------------------------------------------------------------------ */

static void damage(struct run *run, struct rot *rot)
{
    uint64_t kind = run_fault_below(run, FAULT_ROT, 4);
    memcpy(rot->after, rot->before, PAGE);
    if (kind == 0) {
        memset(rot->after, 0, PAGE);
    } else if (kind == 1) {
        uint64_t other = PAGE * run_fault_below(run, FAULT_ROT, 16);
        if (sim_disk_peek(run->broker.sim, rot->name, other, rot->after, PAGE) != PAGE)
            memset(rot->after, 0xff, PAGE);
    } else {
        /* Mostly where something is: the padding of a block is long. */
        uint64_t reach = run_fault_below(run, FAULT_ROT, 2) == 0 ? 512 : PAGE;
        uint64_t bit = run_fault_below(run, FAULT_ROT, reach * 8);
        rot->after[bit / 8] = (uint8_t)(rot->after[bit / 8] ^ 1u << bit % 8);
    }
}

void rot_add(struct run *run)
{
    static struct places places;
    bool running = run->broker.env != NULL;
    enum rot_class class =
        running ? ROT_BLOCK : (enum rot_class)run_fault_below(run, FAULT_ROT, ROT_NOWHERE);
    uint32_t shards = run->plan.shards;
    uint32_t shard = shards > 1 ? (uint32_t)run_fault_below(run, FAULT_ROT, shards) : 0;
    struct rot *rot = NULL;
    for (uint32_t i = 0; i < RUN_ROTS && rot == NULL; i++)
        if (!rot_live(run, &run->rots[i]))
            rot = &run->rots[i];
    places.count = 0;
    if (rot != NULL)
        add_places(run, shard, &places, class);
    if (places.count == 0)
        return;
    uint64_t chosen = run_fault_below(run, FAULT_ROT, places.count);
    memcpy(rot->name, places.list[chosen].name, sizeof rot->name);
    rot->at = places.list[chosen].at;
    rot->proven = places.list[chosen].proven;
    int64_t bytes = sim_disk_peek(run->broker.sim, rot->name, rot->at, rot->before, PAGE);
    XD_ASSERT(bytes == PAGE);
    damage(run, rot);
    if (memcmp(rot->before, rot->after, PAGE) == 0) {
        rot->name[0] = '\0';
        return;
    }
    XD_ASSERT(sim_disk_patch(run->broker.sim, rot->name, rot->at, rot->after, PAGE) == 0);
    RUN_TELL(run, "damage to %s at %llu\n", rot->name, (unsigned long long)rot->at);
    run_count(run, TOTAL_ROTS, 1);
    run_count(run, TOTAL_ROTS_PROVEN, rot->proven);
}
