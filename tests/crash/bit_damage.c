/* SPDX-License-Identifier: Apache-2.0
 *
 * Doing damage. A folder is copied by sharing its pages, so only what is changed costs anything.
 */
#include "tests/crash/bit_damage.h"

#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HITS_MAX 8192u
#define FREE_REACH 65536u /* a free rest is long; most damage goes to where it begins */
#define UNIT_MAX (1u << 20)

/* Bytes of a damaged place. */
struct span {
    uint64_t at;
    uint32_t bytes;
};

const char *bit_kind_name(enum bit_kind kind)
{
    static const char *const names[BIT_KIND_COUNT] = {
        "flip",       "flips",   "zeroed",  "garbage",   "stale",  "other place",
        "other file", "foreign", "swapped", "truncated", "missing"};
    XD_ASSERT(kind < BIT_KIND_COUNT);
    return names[kind];
}

void bit_damage_init(struct bit_damage *damage, struct sim *judged)
{
    memset(damage, 0, sizeof *damage);
    sim_snapshot_init(&damage->folder, judged);
    damage->hit = calloc(HITS_MAX, sizeof *damage->hit);
    XD_ASSERT(damage->hit != NULL);
}

void bit_damage_deinit(struct bit_damage *damage)
{
    sim_snapshot_deinit(&damage->folder);
    free(damage->hit);
}

/* ---- the damaged folder ---------------------------------------------------------------------- */

static struct sim_snapshot_file *row_of(struct sim_snapshot *folder, const char *name)
{
    for (uint32_t i = 0; i < folder->count; i++)
        if (strcmp(folder->files[i].name, name) == 0)
            return &folder->files[i];
    return NULL;
}

static void copy_folder(struct bit_damage *damage, const char *without)
{
    const struct sim_snapshot *from = &damage->base->folder;
    sim_snapshot_clear(&damage->folder);
    for (uint32_t i = 0; i < from->count; i++) {
        const struct sim_snapshot_file *row = &from->files[i];
        if (without != NULL && strcmp(row->name, without) == 0)
            continue;
        struct sim_snapshot_file *to =
            sim_snapshot_add(&damage->folder, row->name, row->bytes, row->folder);
        image_share_all(damage->folder.pages, &to->image, &row->image);
    }
}

/* A file that is there. */
static struct sim_snapshot_file *row_there(struct bit_damage *damage, uint32_t file)
{
    struct sim_snapshot_file *row =
        row_of(&damage->folder, damage->base->map.files[file].disk->name);
    XD_ASSERT(row != NULL);
    return row;
}

static struct sim_snapshot_file *target(struct bit_damage *damage)
{
    return row_there(damage, damage->base->map.areas[damage->area].file);
}

/* A byte of an area, mostly one that is not far behind its beginning. */
static uint64_t place_in(const struct bit_area *area, struct prng *prng)
{
    uint64_t reach = area->bytes;
    if (area->class == BIT_FREE && reach > FREE_REACH && prng_below(prng, 4) != 0)
        reach = FREE_REACH;
    return area->at + prng_below(prng, reach);
}

/* A sector, a page, or the whole block around a byte of the area. */
static struct span span_in(const struct bit_damage *damage, struct prng *prng, bool blocks)
{
    const struct bit_map *map = &damage->base->map;
    const struct bit_area *area = &map->areas[damage->area];
    uint64_t end = map->files[area->file].disk->bytes;
    uint64_t byte = place_in(area, prng);
    uint32_t unit = prng_below(prng, 2) == 0 ? SIM_SECTOR_BYTES : BIT_PAGE;
    if (blocks && area->block != BIT_NONE && prng_below(prng, 3) == 0)
        return (struct span){map->blocks[area->block].at, map->blocks[area->block].bytes};
    uint64_t at = byte / unit * unit;
    return (struct span){at, at + unit > end ? (uint32_t)(end - at) : unit};
}

static void put(struct bit_damage *damage, struct span span, const void *data)
{
    image_write(damage->folder.pages, &target(damage)->image, span.at, data, span.bytes);
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static void flip(struct bit_damage *damage, uint32_t area, struct prng *prng)
{
    const struct bit_map *map = &damage->base->map;
    struct sim_snapshot_file *row = row_there(damage, map->areas[area].file);
    uint64_t at = place_in(&map->areas[area], prng);
    uint8_t byte;
    image_read(&row->image, at, &byte, 1);
    byte = (uint8_t)(byte ^ 1u << prng_below(prng, 8));
    image_write(damage->folder.pages, &row->image, at, &byte, 1);
    size_t used = strlen(damage->text);
    (void)snprintf(damage->text + used, sizeof damage->text - used, " %s at %" PRIu64, row->name,
                   at);
}

static void flips(struct bit_damage *damage, struct prng *prng)
{
    const struct bit_map *map = &damage->base->map;
    flip(damage, damage->area, prng);
    for (uint64_t more = 1 + prng_below(prng, 7); more > 0; more--) {
        uint32_t area = damage->area;
        if (prng_below(prng, 2) == 0)
            area = (uint32_t)prng_below(prng, map->area_count);
        else if (prng_below(prng, 2) == 0 && area + 1 < map->area_count)
            area++;
        flip(damage, area, prng);
    }
}

static void overwrite(struct bit_damage *damage, struct prng *prng)
{
    static uint8_t data[BIT_PAGE];
    struct span span = span_in(damage, prng, false);
    for (uint32_t i = 0; i < sizeof data; i++)
        data[i] = damage->kind == BIT_ZERO ? 0 : (uint8_t)prng_next(prng);
    put(damage, span, data);
    (void)snprintf(damage->text, sizeof damage->text, " %s at %" PRIu64 " + %u",
                   target(damage)->name, span.at, span.bytes);
}

/* Bytes of the same place, or the whole file, of another folder. */
static bool from_folder(struct bit_damage *damage, const struct sim_snapshot *other,
                        struct prng *prng)
{
    static uint8_t data[UNIT_MAX];
    struct sim_snapshot_file *row = target(damage);
    const struct sim_snapshot_file *from = NULL;
    for (uint32_t i = 0; i < other->count; i++)
        if (strcmp(other->files[i].name, row->name) == 0)
            from = &other->files[i];
    if (from == NULL)
        return false;
    if (prng_below(prng, 4) == 0) {
        image_share_all(damage->folder.pages, &row->image, &from->image);
        row->bytes = from->bytes;
        (void)snprintf(damage->text, sizeof damage->text, " %s, all of it", row->name);
        return true;
    }
    struct span span = span_in(damage, prng, damage->kind == BIT_STALE);
    image_read(&from->image, span.at, data, span.bytes);
    put(damage, span, data);
    (void)snprintf(damage->text, sizeof damage->text, " %s at %" PRIu64 " + %u", row->name, span.at,
                   span.bytes);
    return true;
}

/* Bytes of another place of the folder. */
static bool from_place(struct bit_damage *damage, struct prng *prng)
{
    static uint8_t data[UNIT_MAX];
    const struct bit_map *map = &damage->base->map;
    const uint32_t file = map->areas[damage->area].file;
    struct span span = span_in(damage, prng, true);
    const struct bit_area *from;
    uint32_t tries = 0;
    do {
        if (++tries > 1000)
            return false;
        from = &map->areas[prng_below(prng, map->area_count)];
    } while ((from->file == file) != (damage->kind == BIT_MOVED));
    uint64_t at = place_in(from, prng) / span.bytes * span.bytes;
    if (from->block != BIT_NONE && prng_below(prng, 2) == 0)
        at = map->blocks[from->block].at;
    else if (damage->kind == BIT_MOVED_FILE && prng_below(prng, 3) == 0)
        at = span.at; /* the right place of the wrong file */
    image_read(&map->files[from->file].disk->image, at, data, span.bytes);
    put(damage, span, data);
    (void)snprintf(damage->text, sizeof damage->text, " %s at %" PRIu64 " + %u from %s at %" PRIu64,
                   target(damage)->name, span.at, span.bytes, map->files[from->file].disk->name,
                   at);
    return true;
}

static bool swap(struct bit_damage *damage, struct prng *prng)
{
    const struct bit_map *map = &damage->base->map;
    uint32_t file = map->areas[damage->area].file;
    uint32_t other = (uint32_t)prng_below(prng, map->file_count);
    if (other == file || map->files[other].kind != map->files[file].kind)
        return false;
    struct sim_snapshot_file *a = row_there(damage, file);
    struct sim_snapshot_file *b = row_there(damage, other);
    struct sim_snapshot_file kept = *a;
    a->image = b->image;
    a->bytes = b->bytes;
    b->image = kept.image;
    b->bytes = kept.bytes;
    damage->swapped[0] = file;
    damage->swapped[1] = other;
    (void)snprintf(damage->text, sizeof damage->text, " %s and %s", a->name, b->name);
    return true;
}

/* At a page: of a page that is there in part, what is there counts as unreadable. */
static void truncate_at(struct bit_damage *damage, struct prng *prng)
{
    struct sim_snapshot_file *row = target(damage);
    uint64_t at = place_in(&damage->base->map.areas[damage->area], prng);
    if (damage->class != BIT_QUARANTINE_TEXT)
        at = at / BIT_PAGE * BIT_PAGE;
    image_cut(damage->folder.pages, &row->image, at);
    row->bytes = at;
    (void)snprintf(damage->text, sizeof damage->text, " %s to %" PRIu64 " bytes", row->name, at);
}

static bool do_damage(struct bit_damage *damage, const struct bit_base *foreign, struct prng *prng)
{
    const struct bit_base *base = damage->base;
    switch (damage->kind) {
    case BIT_FLIP:
        flip(damage, damage->area, prng);
        return true;
    case BIT_FLIPS:
        flips(damage, prng);
        return true;
    case BIT_ZERO:
    case BIT_GARBAGE:
        overwrite(damage, prng);
        return true;
    case BIT_STALE:
        return base->moments > 0 &&
               from_folder(damage, &base->then[prng_below(prng, base->moments)], prng);
    case BIT_MOVED:
    case BIT_MOVED_FILE:
        return from_place(damage, prng);
    case BIT_FOREIGN:
        return from_folder(damage, &foreign->folder, prng);
    case BIT_SWAPPED:
        return swap(damage, prng);
    case BIT_TRUNCATED:
        truncate_at(damage, prng);
        return true;
    case BIT_MISSING:
        (void)snprintf(damage->text, sizeof damage->text, " %s",
                       base->map.files[base->map.areas[damage->area].file].disk->name);
        return true;
    case BIT_KIND_COUNT:
    default:
        return false;
    }
}

/* ---- what it changed ------------------------------------------------------------------------- */

const struct sim_snapshot_file *bit_damage_file(const struct bit_damage *damage, uint32_t file)
{
    XD_ASSERT(file < damage->base->map.file_count);
    uint32_t row = damage->home[file];
    return row == BIT_NONE ? NULL : &damage->folder.files[row];
}

bool bit_damage_block(const struct bit_damage *damage, uint32_t block)
{
    const struct bit_map *map = &damage->base->map;
    for (uint32_t i = 0; i < map->area_count; i++)
        if (damage->hit[i] && map->areas[i].block == block)
            return true;
    return false;
}

bool bit_images_differ(const struct sim_image *a, const struct sim_image *b, uint64_t at,
                       uint64_t end)
{
    uint8_t pages[2][BIT_PAGE];
    while (at < end) {
        uint64_t page = at / BIT_PAGE;
        uint64_t stop = (page + 1) * BIT_PAGE < end ? (page + 1) * BIT_PAGE : end;
        const void *left = page < a->end ? a->pages[page] : NULL;
        const void *right = page < b->end ? b->pages[page] : NULL;
        if (left != right) {
            image_read(a, at, pages[0], stop - at);
            image_read(b, at, pages[1], stop - at);
            if (memcmp(pages[0], pages[1], stop - at) != 0)
                return true;
        }
        at = stop;
    }
    return false;
}

static bool find_hits(struct bit_damage *damage)
{
    const struct bit_map *map = &damage->base->map;
    bool changed = damage->kind == BIT_SWAPPED;
    XD_ASSERT(map->area_count <= HITS_MAX);
    for (uint32_t i = 0; i < map->file_count; i++) {
        struct sim_snapshot_file *row = row_of(&damage->folder, map->files[i].disk->name);
        damage->home[i] = row == NULL ? BIT_NONE : (uint32_t)(row - damage->folder.files);
        changed |= row == NULL || row->bytes != map->files[i].disk->bytes;
    }
    /* A wal file says itself which segment it is: under another name it is still the same. */
    if (damage->kind == BIT_SWAPPED && map->files[damage->swapped[0]].kind == BIT_FILE_WAL) {
        uint32_t kept = damage->home[damage->swapped[0]];
        damage->home[damage->swapped[0]] = damage->home[damage->swapped[1]];
        damage->home[damage->swapped[1]] = kept;
    }
    for (uint32_t i = 0; i < map->area_count; i++) {
        const struct bit_area *area = &map->areas[i];
        const struct sim_snapshot_file *row = bit_damage_file(damage, area->file);
        damage->hit[i] =
            row == NULL || bit_images_differ(&map->files[area->file].disk->image, &row->image,
                                             area->at, area->at + area->bytes);
        changed |= damage->hit[i];
    }
    return changed;
}

void bit_damage_none(struct bit_damage *damage, const struct bit_base *base)
{
    damage->base = base;
    damage->kind = BIT_FLIP;
    damage->class = BIT_FREE;
    damage->text[0] = '\0';
    copy_folder(damage, NULL);
    bool changed = find_hits(damage);
    XD_ASSERT(!changed);
}

/* An area of the class, or BIT_NONE: any, but often one of the newest block that has one, because
 * at the end of the log damage is hardest to tell from a torn tail. */
static uint32_t choose_area(const struct bit_map *map, enum bit_class class, struct prng *prng)
{
    uint32_t count = 0, newest = BIT_NONE, chosen = BIT_NONE;
    for (uint32_t i = 0; i < map->area_count; i++) {
        const struct bit_area *area = &map->areas[i];
        if (area->class != class)
            continue;
        if (prng_below(prng, ++count) == 0)
            chosen = i;
        if (area->block != BIT_NONE &&
            (newest == BIT_NONE || area->block >= map->areas[newest].block))
            newest = i;
    }
    return newest != BIT_NONE && prng_below(prng, 8) == 0 ? newest : chosen;
}

bool bit_damage_make(struct bit_damage *damage, const struct bit_base *base,
                     const struct bit_base *foreign, enum bit_kind kind, enum bit_class class,
                     struct prng *prng)
{
    const struct bit_map *map = &base->map;
    uint32_t area = choose_area(map, class, prng);
    if (area == BIT_NONE)
        return false;
    damage->base = base;
    damage->kind = kind;
    damage->class = class;
    damage->text[0] = '\0';
    damage->area = area;
    copy_folder(damage, kind == BIT_MISSING ? map->files[map->areas[area].file].disk->name : NULL);
    return do_damage(damage, foreign, prng) && find_hits(damage);
}
