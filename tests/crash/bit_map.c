/* SPDX-License-Identifier: Apache-2.0
 *
 * Making the map: files, then the chain of live blocks over the wal files, then areas.
 */
#include "tests/crash/bit_map.h"

#include "broker/log/block.h"
#include "broker/log/point.h"
#include "broker/log/segment.h"
#include "wire/checksum.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

#define BLOCKS_MAX 1024u
#define BATCHES_MAX 2048u
#define AREAS_MAX 8192u

const char *bit_class_name(enum bit_class class)
{
    static const char *const names[BIT_CLASS_COUNT] = {"segment header",
                                                       "block header",
                                                       "batch header",
                                                       "record",
                                                       "padding",
                                                       "seal",
                                                       "mark",
                                                       "free rest",
                                                       "checkpoint header",
                                                       "checkpoint state",
                                                       "meta slot",
                                                       "quarantined copy",
                                                       "description"};
    XD_ASSERT(class < BIT_CLASS_COUNT);
    return names[class];
}

bool bit_page_valid(const void *page, uint32_t magic)
{
    uint64_t hash;
    uint32_t found;
    memcpy(&hash, page, sizeof hash);
    memcpy(&found, (const uint8_t *)page + 8, sizeof found);
    return found == magic && hash == xd_xxh3((const uint8_t *)page + 8, BIT_PAGE - 8);
}

uint32_t bit_map_file(const struct bit_map *map, const char *name)
{
    for (uint32_t i = 0; i < map->file_count; i++)
        if (strcmp(map->files[i].disk->name, name) == 0)
            return i;
    return BIT_NONE;
}

uint32_t bit_map_named(const struct bit_map *map)
{
    uint64_t generation = map->slots[map->newest].checkpoint_generation;
    char name[ENV_NAME_BYTES_MAX];
    if (generation == 0)
        return BIT_NONE;
    checkpoint_name(generation, name);
    return bit_map_file(map, name);
}

/* ---- files ----------------------------------------------------------------------------------- */

static enum bit_kind_of_file kind_of(const char *name)
{
    if (strncmp(name, "wal.", 4) == 0)
        return BIT_FILE_WAL;
    if (strncmp(name, "checkpoint.", 11) == 0)
        return BIT_FILE_CHECKPOINT;
    return strcmp(name, "meta") == 0 ? BIT_FILE_META : BIT_FILE_QUARANTINE;
}

static void find_files(struct bit_map *map, const struct sim_snapshot *folder)
{
    for (uint32_t i = 0; i < folder->count; i++) {
        const struct sim_snapshot_file *disk = &folder->files[i];
        struct segment_header header;
        if (disk->folder)
            continue;
        XD_ASSERT(map->file_count < BIT_FILES_MAX);
        struct bit_file *file = &map->files[map->file_count++];
        *file =
            (struct bit_file){.disk = disk, .kind = kind_of(disk->name), .first_block = BIT_NONE};
        if (file->kind == BIT_FILE_WAL) {
            image_read(&disk->image, 0, &header, sizeof header);
            if (bit_page_valid(&header, SEGMENT_MAGIC))
                file->segment_no = header.segment_no;
        } else if (file->kind == BIT_FILE_META) {
            image_read(&disk->image, 0, map->slots, sizeof map->slots);
        }
    }
    map->newest = map->slots[1].generation > map->slots[0].generation;
    map->segment_bytes = map->slots[0].segment_bytes;
}

/* Whether a checkpoint file holds what its header says. */
static bool checkpoint_whole(const struct bit_file *file)
{
    struct checkpoint_header header;
    image_read(&file->disk->image, 0, &header, sizeof header);
    if (!bit_page_valid(&header, CHECKPOINT_MAGIC))
        return false;
    uint64_t bytes = checkpoint_body_bytes(header.state_bytes, header.local_bytes);
    uint64_t local_at = checkpoint_local_at(header.state_bytes);
    uint8_t *body = malloc(bytes);
    XD_ASSERT(body != NULL);
    image_read(&file->disk->image, BIT_PAGE, body, bytes);
    bool whole = xd_xxh3(body, header.state_bytes) == header.state_xxh3 &&
                 xd_xxh3(body + local_at, header.local_bytes) == header.local_xxh3;
    free(body);
    return whole;
}

/* A crash may have torn a meta slot or a checkpoint: such a folder is damaged already. */
static bool is_whole(const struct bit_map *map)
{
    bool whole = true;
    for (uint32_t i = 0; i < META_SLOTS; i++)
        whole = whole && bit_page_valid(&map->slots[i], META_MAGIC);
    for (uint32_t i = 0; i < map->file_count; i++)
        whole = whole &&
                (map->files[i].kind != BIT_FILE_CHECKPOINT || checkpoint_whole(&map->files[i]));
    return whole;
}

/* ---- the chain of blocks --------------------------------------------------------------------- */

static uint32_t file_of_segment(const struct bit_map *map, uint64_t segment_no)
{
    for (uint32_t i = 0; i < map->file_count; i++)
        if (map->files[i].segment_no == segment_no && segment_no != 0)
            return i;
    return BIT_NONE;
}

/* Lowest number from which on every one up to the newest has a file: what retention has kept. */
static uint64_t first_segment(const struct bit_map *map)
{
    uint64_t no = 0;
    for (uint32_t i = 0; i < map->file_count; i++)
        no = map->files[i].segment_no > no ? map->files[i].segment_no : no;
    while (no > 1 && file_of_segment(map, no - 1) != BIT_NONE)
        no--;
    return no;
}

/* Whether a whole block stands at the point and continues it. The first one begins the chain. */
static bool continues(const struct bit_map *map, const struct recover_point *point, bool first,
                      uint32_t file, const struct block_header *block)
{
    const struct meta *meta = &map->slots[map->newest];
    const char *why;
    uint32_t wrong_at;
    if (block->magic != BLOCK_MAGIC || block->epoch > meta->epoch)
        return false;
    struct block_identity identity =
        point_identity(meta, map->files[file].segment_no, block->epoch);
    if (block_check_header(block, &identity, point->position, &why) < 0 ||
        block_check_payload(block, 1, &wrong_at, &why) < 0)
        return false;
    if (!first && (block->block_sequence != point->sequence || block->prev_chain != point->chain))
        return false;
    return block->block_sequence < meta->epoch_sequence ? block->epoch < meta->epoch
                                                        : block->epoch == meta->epoch;
}

static void add_batches(struct bit_map *map, const struct block_header *block, uint64_t at)
{
    const struct xd_batch_header *batch;
    uint32_t cursor = 0;
    while ((batch = block_next_batch(block, &cursor)) != NULL) {
        if (batch->control_kind != 0 || (batch->flags & XD_BATCH_CONTROL) != 0)
            continue;
        XD_ASSERT(map->batch_count < BATCHES_MAX);
        map->batches[map->batch_count++] = (struct bit_batch){
            .offset = batch->base_offset,
            .at = at + (uint64_t)((const uint8_t *)batch - (const uint8_t *)block),
            .block = map->block_count,
            .bytes = xd_batch_stride(batch),
            .partition = batch->partition,
            .records = batch->record_count};
    }
}

static void find_blocks(struct bit_map *map)
{
    uint8_t *memory = aligned_alloc(BIT_PAGE, XD_BLOCK_BYTES_MAX);
    const struct block_header *block = (const void *)memory;
    struct recover_point point = {.position =
                                      first_segment(map) * map->segment_bytes + RECOVER_FIRST_AT};
    XD_ASSERT(memory != NULL);
    for (;;) {
        uint32_t file = file_of_segment(map, point.position / map->segment_bytes);
        uint64_t at = point.position % map->segment_bytes;
        if (file == BIT_NONE)
            break;
        image_read(&map->files[file].disk->image, at, memory, XD_BLOCK_BYTES_MAX);
        if (!continues(map, &point, map->block_count == 0, file, block))
            break;
        if (map->files[file].first_block == BIT_NONE)
            map->files[file].first_block = map->block_count;
        map->files[file].block_count++;
        add_batches(map, block, at);
        XD_ASSERT(map->block_count < BLOCKS_MAX);
        map->blocks[map->block_count++] = (struct bit_block){.at = at,
                                                             .index = block->index,
                                                             .durable_index = block->durable_index,
                                                             .epoch = block->epoch,
                                                             .file = file,
                                                             .bytes = block->block_bytes,
                                                             .local = block_is_local(block)};
        point.chain = block->prev_chain;
        point.epoch = 0;
        point_advance(&point, block, point.position, map->segment_bytes);
    }
    free(memory);
    XD_ASSERT(map->block_count > 0);
}

/* ---- areas ----------------------------------------------------------------------------------- */

static void add_area(struct bit_map *map, uint32_t file, uint32_t block, enum bit_class class,
                     uint64_t at, uint64_t end)
{
    if (at >= end)
        return;
    XD_ASSERT(map->area_count < AREAS_MAX);
    map->areas[map->area_count++] = (struct bit_area){
        .at = at, .bytes = end - at, .file = file, .block = block, .class = class};
}

static void cut_block(struct bit_map *map, uint32_t number)
{
    static _Alignas(8) uint8_t memory[XD_BLOCK_BYTES_MAX];
    const struct bit_block *row = &map->blocks[number];
    const struct block_header *block = (const void *)memory;
    const struct xd_batch_header *batch;
    uint32_t cursor = 0;
    image_read(&map->files[row->file].disk->image, row->at, memory, row->bytes);
    if (row->local) {
        add_area(map, row->file, number, block->type == BLOCK_SEAL ? BIT_SEAL : BIT_MARK, row->at,
                 row->at + row->bytes);
        return;
    }
    add_area(map, row->file, number, BIT_BLOCK_HEADER, row->at, row->at + BLOCK_HEADER_BYTES);
    while ((batch = block_next_batch(block, &cursor)) != NULL) {
        uint64_t at = row->at + (uint64_t)((const uint8_t *)batch - memory);
        uint64_t body_end = at + batch->batch_bytes;
        uint64_t used_end =
            body_end + (batch->suppressed_count > 0 ? xd_batch_bitmap_bytes(batch) : 0);
        add_area(map, row->file, number, BIT_BATCH_HEADER, at, at + XD_BATCH_HEADER_BYTES);
        add_area(map, row->file, number, BIT_RECORD, at + XD_BATCH_HEADER_BYTES, body_end);
        add_area(map, row->file, number, BIT_BATCH_HEADER, body_end, used_end);
        add_area(map, row->file, number, BIT_PADDING, used_end, at + xd_batch_stride(batch));
    }
    add_area(map, row->file, number, BIT_PADDING,
             row->at + BLOCK_HEADER_BYTES + block->payload_bytes, row->at + row->bytes);
}

static void cut_file(struct bit_map *map, uint32_t number)
{
    const struct bit_file *file = &map->files[number];
    uint64_t end = file->disk->bytes;
    uint64_t at = BIT_PAGE;
    struct checkpoint_header header;
    switch (file->kind) {
    case BIT_FILE_WAL:
        add_area(map, number, BIT_NONE, BIT_SEGMENT_HEADER, 0, end < BIT_PAGE ? end : BIT_PAGE);
        for (uint32_t i = 0; i < file->block_count; i++) {
            cut_block(map, file->first_block + i);
            at = map->blocks[file->first_block + i].at + map->blocks[file->first_block + i].bytes;
        }
        add_area(map, number, BIT_NONE, BIT_FREE, at, end);
        break;
    case BIT_FILE_CHECKPOINT:
        image_read(&file->disk->image, 0, &header, sizeof header);
        at += checkpoint_body_bytes(header.state_bytes, header.local_bytes);
        XD_ASSERT(at <= end);
        add_area(map, number, BIT_NONE, BIT_CHECKPOINT_HEADER, 0, BIT_PAGE);
        add_area(map, number, BIT_NONE, BIT_CHECKPOINT_STATE, BIT_PAGE, at);
        add_area(map, number, BIT_NONE, BIT_FREE, at, end);
        break;
    case BIT_FILE_META:
        add_area(map, number, BIT_NONE, BIT_META, 0, META_SLOT_BYTES);
        add_area(map, number, BIT_NONE, BIT_META, META_SLOT_BYTES, end);
        break;
    case BIT_FILE_QUARANTINE:
    default:
        add_area(map, number, BIT_NONE,
                 strstr(file->disk->name, ".txt") != NULL ? BIT_QUARANTINE_TEXT
                                                          : BIT_QUARANTINE_COPY,
                 0, end);
        break;
    }
}

bool bit_map_make(struct bit_map *map, const struct sim_snapshot *folder)
{
    memset(map, 0, sizeof *map);
    map->blocks = calloc(BLOCKS_MAX, sizeof *map->blocks);
    map->batches = calloc(BATCHES_MAX, sizeof *map->batches);
    map->areas = calloc(AREAS_MAX, sizeof *map->areas);
    XD_ASSERT(map->blocks != NULL && map->batches != NULL && map->areas != NULL);
    find_files(map, folder);
    if (!is_whole(map)) {
        bit_map_deinit(map);
        return false;
    }
    find_blocks(map);
    for (uint32_t i = 0; i < map->file_count; i++)
        cut_file(map, i);
    return true;
}

void bit_map_deinit(struct bit_map *map)
{
    free(map->blocks);
    free(map->batches);
    free(map->areas);
    memset(map, 0, sizeof *map);
}
