/* SPDX-License-Identifier: Apache-2.0
 *
 * Normal path of a case: facts before it runs (bit_rule_begin), demands afterwards: each damaged
 * area that means something must have been told by the start and by `log verify`.
 */
#include "tests/crash/bit_rule.h"

#include "broker/log/segment.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct bit_map *map_of(const struct bit_judge *judge)
{
    return &judge->damage->base->map;
}

static const char *name_of(const struct bit_judge *judge, uint32_t file)
{
    return map_of(judge)->files[file].disk->name;
}

bool bit_line(const struct bit_judge *judge, const char *event, const char *text)
{
    const struct sim_broker *broker = &judge->broker;
    uint64_t first = judge->first_line;
    if (broker->line_count - first > SIM_BROKER_LINES)
        first = broker->line_count - SIM_BROKER_LINES;
    for (uint64_t i = first; i < broker->line_count; i++) {
        const struct shard_line *line = &broker->lines[i % SIM_BROKER_LINES];
        if (strcmp(line->event, event) == 0 && strstr(line->text, text) != NULL)
            return true;
    }
    return false;
}

/* Whether an area of the class in the file has changed; BIT_CLASS_COUNT = of any class but free. */
static bool is_hit(const struct bit_judge *judge, uint32_t file, enum bit_class class)
{
    const struct bit_map *map = map_of(judge);
    for (uint32_t i = 0; i < map->area_count; i++)
        if (judge->damage->hit[i] && map->areas[i].file == file &&
            (map->areas[i].class == class ||
             (class == BIT_CLASS_COUNT && map->areas[i].class != BIT_FREE)))
            return true;
    return false;
}

/* ---- meta ------------------------------------------------------------------------------------ */

/* A slot as it is now. False when it is not valid there. */
static bool read_slot(const struct bit_judge *judge, uint32_t slot, struct meta *ret_meta)
{
    const struct sim_snapshot_file *row =
        bit_damage_file(judge->damage, bit_map_file(map_of(judge), "meta"));
    if (row == NULL)
        return false;
    image_read(&row->image, (uint64_t)slot * META_SLOT_BYTES, ret_meta, sizeof *ret_meta);
    return bit_page_valid(ret_meta, META_MAGIC) && ret_meta->generation % META_SLOTS == slot;
}

/* The slot that counts now. False: none is valid. */
static bool effective_meta(const struct bit_judge *judge, struct meta *ret_meta)
{
    struct meta slots[META_SLOTS];
    bool valid[META_SLOTS];
    for (uint32_t i = 0; i < META_SLOTS; i++)
        valid[i] = read_slot(judge, i, &slots[i]);
    if (!valid[0] && !valid[1])
        return false;
    uint32_t best = !valid[0] || (valid[1] && slots[1].generation > slots[0].generation);
    *ret_meta = slots[best];
    return true;
}

/* Index that the usable checkpoint reaches to: below it nothing is read by a start. */
static uint64_t checkpoint_index(const struct bit_judge *judge, const struct meta *meta)
{
    const struct bit_map *map = map_of(judge);
    struct checkpoint_header header;
    for (uint64_t i = 0; i < CHECKPOINT_FILES && meta->checkpoint_generation > 0; i++) {
        char name[ENV_NAME_BYTES_MAX];
        checkpoint_name(meta->checkpoint_generation + i, name);
        uint32_t file = bit_map_file(map, name);
        if (file == BIT_NONE || is_hit(judge, file, BIT_CLASS_COUNT))
            continue;
        image_read(&map->files[file].disk->image, 0, &header, sizeof header);
        return header.index;
    }
    return 0;
}

/* ---- facts ----------------------------------------------------------------------------------- */

/* Whether a wal file with live blocks still says, itself or by its first block, what it is. */
static bool is_known(const struct bit_judge *judge, uint32_t file)
{
    const struct bit_map *map = map_of(judge);
    const struct sim_snapshot_file *row = bit_damage_file(judge->damage, file);
    struct segment_header header;
    if (row == NULL)
        return false;
    if (!is_hit(judge, file, BIT_SEGMENT_HEADER))
        return true;
    image_read(&row->image, 0, &header, sizeof header);
    if (bit_page_valid(&header, SEGMENT_MAGIC))
        return header.segment_no == map->files[file].segment_no &&
               memcmp(header.log_uuid, map->slots[0].log_uuid, sizeof header.log_uuid) == 0;
    for (uint32_t i = 0; i < map->area_count; i++)
        if (map->areas[i].file == file && map->areas[i].at == BIT_PAGE && judge->damage->hit[i])
            return false;
    return row->bytes >= map->segment_bytes;
}

static void find_lost(struct bit_judge *judge)
{
    const struct bit_map *map = map_of(judge);
    judge->lost_no = 0;
    for (uint32_t i = 0; i < map->file_count; i++)
        if (map->files[i].first_block != BIT_NONE && !is_known(judge, i) &&
            map->files[i].segment_no > judge->lost_no)
            judge->lost_no = map->files[i].segment_no;
}

/* The lowest damaged block that nobody knows to have been durable. */
static void find_gap(struct bit_judge *judge)
{
    const struct bit_map *map = map_of(judge);
    struct meta meta;
    judge->gap_from = UINT64_MAX;
    if (!effective_meta(judge, &meta))
        return;
    uint64_t floor = meta.durable_index;
    uint64_t folded = checkpoint_index(judge, &meta);
    for (uint32_t i = 0; i < map->block_count; i++)
        if (!judge->block_hit[i] && map->blocks[i].epoch == meta.epoch &&
            map->files[map->blocks[i].file].segment_no > judge->lost_no &&
            map->blocks[i].durable_index > floor)
            floor = map->blocks[i].durable_index;
    floor = folded > floor ? folded : floor;
    for (uint32_t i = 0; i < map->block_count; i++) {
        const struct bit_block *block = &map->blocks[i];
        if (judge->block_hit[i] && !block->local && block->index > floor &&
            block->index < judge->gap_from)
            judge->gap_from = block->index;
    }
}

void bit_rule_begin(struct bit_judge *judge)
{
    for (uint32_t i = 0; i < map_of(judge)->block_count; i++)
        judge->block_hit[i] = bit_damage_block(judge->damage, i);
    find_lost(judge);
    find_gap(judge);
}

/* ---- what verify must have named ------------------------------------------------------------- */

/* A line about the file, at a place below `end`; `finding`: not only a note. */
static const struct bit_found *named(const struct bit_judge *judge, const char *name, uint64_t end,
                                     bool finding)
{
    const struct bit_found *last = NULL;
    for (uint32_t i = 0; i < judge->verify.count; i++) {
        const struct bit_found *found = &judge->verify.found[i];
        if (strcmp(found->file, name) == 0 && found->at < end && (found->finding || !finding))
            last = found;
    }
    return last;
}

/* A damaged range begins with a line; it ends with the next block that is whole. */
static bool block_named(const struct bit_judge *judge, uint32_t number)
{
    const struct bit_map *map = map_of(judge);
    const struct bit_block *block = &map->blocks[number];
    const struct bit_found *found =
        named(judge, name_of(judge, block->file), block->at + block->bytes, !block->local);
    if (found == NULL)
        return false;
    for (uint32_t i = 0; i < number; i++)
        if (map->blocks[i].file == block->file && map->blocks[i].at > found->at &&
            !judge->block_hit[i] && !map->blocks[i].local)
            return false;
    return true;
}

/* ---- demands --------------------------------------------------------------------------------- */

static bool demand(struct bit_judge *judge, bool met, const char *what, uint32_t file, uint64_t at)
{
    char place[ENV_NAME_BYTES_MAX + 32];
    (void)snprintf(place, sizeof place, "%s at %" PRIu64, name_of(judge, file), at);
    return met || bit_broken(judge, "silent", what, place);
}

/* *ret_silent: nobody has to say anything. */
static bool demand_block(struct bit_judge *judge, const struct bit_area *area, bool *ret_silent)
{
    const struct bit_map *map = map_of(judge);
    const struct bit_block *block = &map->blocks[area->block];
    *ret_silent = true;
    if (map->files[block->file].segment_no <= judge->lost_no || block->index >= judge->gap_from)
        return true;
    if (block->local && (area->block + 1 == map->block_count ||
                         map->blocks[area->block + 1].index >= judge->gap_from))
        return true; /* the newest one: without it the log ends as it would without a rest */
    *ret_silent = false;
    return judge->verify.refused || demand(judge, block_named(judge, area->block),
                                           "verify does not name a block", area->file, block->at);
}

static bool demand_segment(struct bit_judge *judge, const struct bit_area *area, bool *ret_silent)
{
    const struct bit_file *file = &map_of(judge)->files[area->file];
    char position[64], segment[64];
    *ret_silent = file->first_block == BIT_NONE;
    if (*ret_silent)
        return true;
    (void)snprintf(position, sizeof position, "position=%" PRIu64 " ",
                   file->segment_no * map_of(judge)->segment_bytes);
    (void)snprintf(segment, sizeof segment, "segment=%" PRIu64 " reason=missing", file->segment_no);
    bool told = judge->started < 0 || bit_line(judge, "log_corrupt", position) ||
                bit_line(judge, "log_segment_dropped", segment);
    return demand(judge, told, "no line tells of a segment header", area->file, 0) &&
           demand(judge,
                  judge->verify.findings > 0 || named(judge, file->disk->name, 1, false) != NULL ||
                      judge->lost_no >= file->segment_no,
                  "verify does not name a segment header", area->file, 0);
}

static bool demand_checkpoint(struct bit_judge *judge, const struct bit_area *area,
                              bool *ret_silent)
{
    const struct bit_map *map = map_of(judge);
    const struct sim_snapshot_file *row = bit_damage_file(judge->damage, area->file);
    struct checkpoint_header header;
    struct meta meta;
    bool current = area->file == bit_map_named(map);
    *ret_silent = true;
    if (!effective_meta(judge, &meta) ||
        meta.generation != map->slots[map->newest].generation) /* it may name another now */
        return true;
    if (!current && row == NULL)
        return true;
    if (!current) { /* a whole one of another time is no damage */
        image_read(&row->image, 0, &header, sizeof header);
        if (bit_page_valid(&header, CHECKPOINT_MAGIC) && judge->damage->kind == BIT_STALE)
            return true;
    }
    *ret_silent = false;
    return demand(judge, named(judge, name_of(judge, area->file), BIT_PAGE, current) != NULL,
                  "verify does not name a checkpoint", area->file, area->at) &&
           demand(judge,
                  !current || judge->started < 0 || bit_line(judge, "log_checkpoint_fallback", ""),
                  "no line tells of the current checkpoint", area->file, area->at);
}

static bool demand_meta(struct bit_judge *judge, const struct bit_area *area, bool *ret_silent)
{
    uint32_t slot = area->at >= META_SLOT_BYTES;
    struct meta meta;
    *ret_silent = read_slot(judge, slot, &meta);
    if (*ret_silent) /* a whole one of another time */
        return true;
    return demand(judge,
                  judge->started < 0 || bit_line(judge, "log_meta_slot_damaged", "file=meta"),
                  "no line tells of a meta slot", area->file, area->at) &&
           demand(judge, named(judge, "meta", (slot + 1) * META_SLOT_BYTES, false) != NULL,
                  "verify does not name a meta slot", area->file, area->at);
}

static bool demand_area(struct bit_judge *judge, const struct bit_area *area, bool *ret_silent)
{
    switch (area->class) {
    case BIT_BLOCK_HEADER:
    case BIT_BATCH_HEADER:
    case BIT_RECORD:
    case BIT_PADDING:
    case BIT_SEAL:
    case BIT_MARK:
        return demand_block(judge, area, ret_silent);
    case BIT_SEGMENT_HEADER:
        return demand_segment(judge, area, ret_silent);
    case BIT_CHECKPOINT_HEADER:
    case BIT_CHECKPOINT_STATE:
        return demand_checkpoint(judge, area, ret_silent);
    case BIT_META:
        return demand_meta(judge, area, ret_silent);
    case BIT_FREE:
    case BIT_QUARANTINE_COPY:
    case BIT_QUARANTINE_TEXT:
    case BIT_CLASS_COUNT:
    default:
        *ret_silent = true;
        return true;
    }
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* Whether the file's bytes or its size have changed where that can matter. */
static bool is_changed(const struct bit_judge *judge, uint32_t file)
{
    const struct sim_snapshot_file *row = bit_damage_file(judge->damage, file);
    return row == NULL || row->bytes != map_of(judge)->files[file].disk->bytes ||
           is_hit(judge, file, BIT_CLASS_COUNT);
}

/* A refused start must name a damaged file, by its name, segment or generation, and no position
 * outside what is damaged. */
static bool check_refusal(struct bit_judge *judge)
{
    const struct bit_map *map = map_of(judge);
    const char *why = judge->broker.why;
    const char *position = strstr(why, ", position ");
    /* Of two files that say to be one segment, either may be the wrong one. */
    bool good = strstr(why, "another wal file holds the same segment") != NULL;
    for (uint32_t i = 0; i < map->file_count; i++) {
        char segment[48];
        if (!is_changed(judge, i) || map->files[i].kind == BIT_FILE_QUARANTINE)
            continue;
        (void)snprintf(segment, sizeof segment, "segment %" PRIu64, map->files[i].segment_no);
        good |= strstr(why, name_of(judge, i)) != NULL ||
                (map->files[i].segment_no != 0 && strstr(why, segment) != NULL) ||
                (map->files[i].kind == BIT_FILE_CHECKPOINT && strstr(why, "generation") != NULL) ||
                map->files[i].kind == BIT_FILE_META; /* another log's, or none: any file is wrong */
    }
    if (!good)
        return bit_broken(judge, "alarm", "refused without a damaged file being named", why);
    if (judge->verify.findings == 0)
        return bit_broken(judge, "silent", "refused, and verify finds nothing", why);
    if (position == NULL || judge->started != XD_LOG_CORRUPT || strstr(why, "meta") != NULL)
        return true;
    uint64_t at = strtoull(position + strlen(", position "), NULL, 10);
    for (uint32_t i = 0; i < map->block_count; i++) {
        const struct bit_block *block = &map->blocks[i];
        uint64_t from = map->files[block->file].segment_no * map->segment_bytes + block->at;
        if (judge->block_hit[i] && at >= from && at < from + block->bytes)
            return true;
    }
    return bit_broken(judge, "alarm", "refused with a position that is not damaged", why);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Whether the start has told anything but what the whole folder makes it tell. */
static bool told_at_start(const struct bit_judge *judge)
{
    static const char *const events[] = {"log_checkpoint_fallback", "log_meta_slot_damaged",
                                         "log_local_block_lost"};
    for (uint32_t i = 0; i < sizeof events / sizeof events[0]; i++)
        if (bit_line(judge, events[i], ""))
            return true;
    if (bit_line(judge, "log_segment_dropped", "reason=missing"))
        return true;
    for (uint64_t i = judge->first_line; i < judge->serving_line; i++)
        if (strcmp(judge->broker.lines[i % SIM_BROKER_LINES].event, "log_corrupt") == 0)
            return true;
    return judge->started < 0;
}

bool bit_rule_end(struct bit_judge *judge)
{
    const struct bit_map *map = map_of(judge);
    bool silent = true, nothing = true;
    for (uint32_t i = 0; i < map->area_count; i++) {
        bool quiet = true;
        if (!judge->damage->hit[i])
            continue;
        if (!demand_area(judge, &map->areas[i], &quiet))
            return false;
        silent = silent && quiet;
        nothing = nothing &&
                  (map->areas[i].class == BIT_FREE || map->areas[i].class == BIT_QUARANTINE_COPY ||
                   map->areas[i].class == BIT_QUARANTINE_TEXT);
    }
    if (judge->started < 0 && !check_refusal(judge))
        return false;
    if (nothing && judge->lost_no == 0 && judge->started == 0 && judge->verify.findings > 0)
        return bit_broken(judge, "alarm", "verify calls a good folder damaged",
                          judge->verify.found[0].text);
    judge->outcome = BIT_HARMLESS;
    if (judge->started == 0 && judge->gap_from != UINT64_MAX)
        judge->outcome = BIT_GAP;
    else if (told_at_start(judge))
        judge->outcome = BIT_AT_START;
    else if (judge->quarantined > 0)
        judge->outcome = BIT_AT_READ;
    else if (!silent)
        judge->outcome = BIT_BY_VERIFY;
    return true;
}

bool bit_rule_after(struct bit_judge *judge)
{
    const struct bit_map *map = map_of(judge);
    bool log_hit = judge->lost_no > 0;
    for (uint32_t i = 0; i < map->area_count; i++) {
        const struct bit_area *area = &map->areas[i];
        if (!judge->damage->hit[i] || map->files[area->file].kind != BIT_FILE_WAL ||
            area->class == BIT_FREE)
            continue;
        log_hit = true;
        if (area->block == BIT_NONE || map->blocks[area->block].local ||
            map->files[area->file].segment_no <= judge->lost_no ||
            map->blocks[area->block].index >= judge->gap_from)
            continue;
        if (!demand(judge, block_named(judge, area->block), "a run has hidden a damaged block",
                    area->file, area->at))
            return false;
    }
    if (!log_hit && judge->verify.findings > 0)
        return bit_broken(judge, "alarm", "verify calls a mended folder damaged",
                          judge->verify.found[0].text);
    return true;
}
