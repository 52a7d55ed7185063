/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk; see walk.h. Three states: between two segments, inside one, behind the end.
 */
#include "tools/inspect/walk.h"

#include "broker/log/page.h"
#include "broker/log/verdict.h"
#include "wire/bytes.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES (8u * 1024u * 1024u)

static void fill(struct walk_item *item, enum walk_kind kind, const struct wal_file *file,
                 uint64_t at, const char *text)
{
    *item =
        (struct walk_item){.kind = kind, .file = file, .at = at, .partition = WALK_NO_PARTITION};
    snprintf(item->text, sizeof item->text, "%s", text);
}

static bool has_segment(const struct data_folder *folder, uint64_t segment_no)
{
    for (uint32_t i = 0; i < folder->file_count; i++)
        if (folder->files[i].status == 0 && folder->files[i].header->segment_no == segment_no)
            return true;
    return false;
}

/* Whether a file claims the same segment and the same epoch as the one before it. */
static bool is_twin(const struct data_folder *folder, uint32_t at)
{
    const struct wal_file *file = &folder->files[at];
    return at > 0 && file[0].status == 0 && file[-1].status == 0 &&
           file[0].header->segment_no == file[-1].header->segment_no &&
           file[0].header->epoch == file[-1].header->epoch;
}

int walk_init(struct walk *walk, const struct data_folder *folder, struct state_range range)
{
    *walk = (struct walk){.folder = folder, .meta = data_folder_meta(folder), .range = range};
    walk->window = aligned_alloc(PAGE_BYTES, WINDOW_BYTES);
    walk->offsets = calloc(XD_PARTITIONS_MAX, sizeof *walk->offsets);
    if (walk->window == NULL || walk->offsets == NULL)
        return -ENOMEM;
    if (range.scan_no != 0 && !has_segment(folder, range.scan_no)) {
        walk->pending = true;
        fill(&walk->next_item, WALK_FINDING, NULL, 0, "");
        snprintf(walk->next_item.text, sizeof walk->next_item.text,
                 "segment %" PRIu64 ", where the next start begins to read, is missing",
                 range.scan_no);
    }
    for (uint32_t i = 0; i < folder->file_count; i++) {
        if (!is_twin(folder, i))
            continue;
        walk->pending = true;
        fill(&walk->next_item, WALK_FINDING, &folder->files[i], 0,
             "another wal file holds the same segment: the next start is refused");
    }
    return 0;
}

void walk_deinit(struct walk *walk)
{
    free(walk->window);
    free(walk->offsets);
    walk->window = NULL;
    walk->offsets = NULL;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* The bytes at `at` of a file, NULL when they cannot be read. */
static const uint8_t *bytes_at(struct walk *walk, const struct wal_file *file, uint64_t at,
                               uint64_t bytes)
{
    XD_ASSERT(bytes <= WINDOW_BYTES);
    bool inside = walk->window_bytes > 0 && walk->file == file && at >= walk->window_at &&
                  at + bytes <= walk->window_at + walk->window_bytes;
    if (!inside) {
        walk->window_bytes = 0;
        if (data_folder_read(walk->folder, file->name, walk->window, WINDOW_BYTES, at) < 0 &&
            data_folder_read(walk->folder, file->name, walk->window, bytes, at) < 0)
            return NULL;
        walk->window_at = at;
        /* A window of another file, taken to look ahead, is not kept. */
        walk->window_bytes = walk->file == file ? WINDOW_BYTES : 0;
    }
    return walk->window + (inside ? at - walk->window_at : 0);
}

/* The header at a place, NULL when there is no valid one. */
static const struct block_header *header_at(struct walk *walk, const struct wal_file *file,
                                            uint64_t at, int *ret_status)
{
    const char *why = "";
    const struct meta *meta = walk->meta;
    if (at + PAGE_BYTES > meta->segment_bytes)
        return NULL;
    const struct block_header *block = (const void *)bytes_at(walk, file, at, PAGE_BYTES);
    if (block == NULL)
        return NULL;
    struct block_identity identity = point_identity(meta, file->header->segment_no, block->epoch);
    *ret_status = block_check_header(block, &identity,
                                     file->header->segment_no * meta->segment_bytes + at, &why);
    return *ret_status == 0 ? block : NULL;
}

/* ---- where the log goes on ------------------------------------------------------------------- */

/* Whether a block belongs to this log behind the point: its epoch is the one that meta gives to
 * its sequence. Leftovers of a tail that was cut fail this. */
static bool belongs(const struct walk *walk, const struct block_header *block)
{
    const struct meta *meta = walk->meta;
    if (block->block_sequence <= walk->point.sequence || block->epoch < walk->point.epoch)
        return false;
    return block->block_sequence >= meta->epoch_sequence ? block->epoch == meta->epoch
                                                         : block->epoch < meta->epoch;
}

/* What lies behind a damaged place. */
struct ahead {
    bool found;                /* there is a block of this log */
    uint32_t file;             /* index of its file */
    uint64_t at;               /* its place there */
    struct block_header block; /* its header */
    bool proof;                /* it, or a later one, knew the damaged place to be durable */
};

/* Looks at one place. Returns true when nothing more can be learnt. */
static bool look_at(struct walk *walk, uint32_t file, uint64_t place, struct ahead *ahead)
{
    int status;
    const struct block_header *block = header_at(walk, &walk->folder->files[file], place, &status);
    if (block == NULL || !belongs(walk, block))
        return false;
    if (!ahead->found) {
        ahead->found = true;
        ahead->file = file;
        ahead->at = place;
        ahead->block = *block;
    }
    /* With several writes in flight the next blocks may have been closed before this one was
     * durable; later ones tell. */
    ahead->proof = ahead->proof || block->durable_index >= walk->point.index;
    return ahead->proof;
}

/* The first block of this log behind walk->at, in this file or a later one, and whether any of the
 * blocks within the write window behind it is a proof. */
static void look_ahead(struct walk *walk, struct ahead *ret_ahead)
{
    uint32_t first = walk->next_file - 1;
    uint64_t behind_found = 0;
    *ret_ahead = (struct ahead){.found = false};
    for (uint32_t i = first; i < walk->folder->file_count; i++) {
        uint64_t place = i == first ? walk->at + PAGE_BYTES : RECOVER_FIRST_AT;
        walk->file = &walk->folder->files[i];
        walk->window_bytes = 0;
        for (; place + PAGE_BYTES <= walk->meta->segment_bytes; place += PAGE_BYTES) {
            if (look_at(walk, i, place, ret_ahead))
                return;
            behind_found += ret_ahead->found ? PAGE_BYTES : 0;
            if (behind_found > VERDICT_WINDOW_BYTES)
                return;
        }
    }
}

static void set_point(struct walk *walk, const struct block_header *block)
{
    walk->point =
        (struct recover_point){.position = block->position,
                               .sequence = block->block_sequence,
                               .index = block_is_local(block) ? block->index + 1 : block->index,
                               .chain = block->prev_chain,
                               .epoch = block->epoch,
                               .term = block->term};
    walk->started = true;
}

/* Whether meta says that the next block, which is not there, had been durable. */
static bool meta_proof(const struct walk *walk)
{
    return walk->point.index <= walk->meta->durable_index ||
           walk->point.sequence < walk->meta->epoch_sequence;
}

/* Whether the block at walk->at was known to be durable, by meta or by a later block. */
static bool was_durable(struct walk *walk)
{
    const struct wal_file *file = walk->file;
    struct ahead ahead;
    look_ahead(walk, &ahead);
    walk->file = file;
    walk->window_bytes = 0;
    return meta_proof(walk) || ahead.proof;
}

/* No whole block continues the log at walk->at. Decides what that means and where to go on. */
static void lost(struct walk *walk, const char *why, struct walk_item *item)
{
    const struct wal_file *file = walk->file;
    struct ahead ahead;
    uint64_t at = walk->at;
    look_ahead(walk, &ahead);
    bool local = ahead.found && ahead.block.block_sequence == walk->point.sequence + 1 &&
                 ahead.block.prev_chain == walk->point.chain;
    bool durable = meta_proof(walk) || ahead.proof;
    walk->file = file;
    walk->window_bytes = 0;
    if (local) {
        fill(item, WALK_NOTE, file, at,
             "a local block (seal or mark) is unreadable; the log goes on behind it");
    } else if (!durable || walk->folder->in_use) {
        walk->ended = true;
        fill(item, WALK_NOTE, file, at,
             walk->folder->in_use ? "the log ends here at this moment: a broker is writing it"
                                  : "blocks behind the end were never acknowledged; the next start "
                                    "cuts them");
        if (!walk->folder->in_use && at > RECOVER_FIRST_AT &&
            file->bytes < walk->meta->segment_bytes)
            fill(item, WALK_FINDING, file, at,
                 "the file is shorter than a segment: the log cannot go on in it");
        else if (!ahead.found)
            item->kind = WALK_END; /* the usual, clean end */
        return;
    } else {
        fill(item, WALK_FINDING, file, at, "");
        item->index = walk->point.index;
        uint64_t last = walk->meta->durable_index;
        if (ahead.found)
            last = block_is_local(&ahead.block) ? ahead.block.index : ahead.block.index - 1;
        snprintf(item->text, sizeof item->text,
                 "durable blocks are damaged or missing, index %" PRIu64 " to %" PRIu64 ": %s",
                 walk->point.index, last >= walk->point.index ? last : walk->point.index, why);
    }
    if (!ahead.found) {
        walk->ended = true;
        return;
    }
    set_point(walk, &ahead.block);
    memset(walk->offsets, 0, XD_PARTITIONS_MAX * sizeof *walk->offsets);
    walk->next_file = ahead.file + 1;
    walk->file = &walk->folder->files[ahead.file];
    walk->window_bytes = 0;
    walk->at = ahead.at;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Partition of the batch that byte `at` of a block lies in. */
static uint32_t partition_at(const struct block_header *block, uint32_t at)
{
    uint64_t place = BLOCK_HEADER_BYTES, end = BLOCK_HEADER_BYTES + (uint64_t)block->payload_bytes;
    while (place + XD_BATCH_HEADER_BYTES <= end) {
        const struct xd_batch_header *batch = (const void *)((const uint8_t *)block + place);
        uint64_t next = place + xd_batch_stride(batch);
        if (batch->magic != XD_BATCH_MAGIC || batch->batch_bytes < XD_BATCH_HEADER_BYTES)
            break;
        if (at < next)
            return batch->partition;
        place = next;
    }
    return WALK_NO_PARTITION;
}

/* Offsets of a partition must follow each other without a hole. */
static void check_offsets(struct walk *walk, const struct block_header *block)
{
    const struct xd_batch_header *batch;
    uint32_t cursor = 0;
    while ((batch = block_next_batch(block, &cursor)) != NULL) {
        walk->batches++;
        if (batch->partition >= XD_PARTITIONS_MAX)
            continue;
        uint64_t *next = &walk->offsets[batch->partition];
        uint64_t wanted = *next - 1;
        if (*next != 0 && batch->base_offset != wanted && !walk->pending) {
            fill(&walk->next_item, WALK_FINDING, walk->file, walk->at, "");
            snprintf(walk->next_item.text, sizeof walk->next_item.text,
                     "offsets do not continue: %" PRIu64 " instead of %" PRIu64, batch->base_offset,
                     wanted);
            walk->next_item.index = block->index;
            walk->next_item.partition = batch->partition;
            walk->pending = true;
        }
        *next = batch->base_offset + batch->record_count + 1;
    }
}

/* A block whose header continues the log. */
static void take_block(struct walk *walk, const struct block_header *header, struct walk_item *item)
{
    const char *why = "";
    uint32_t bad_at = 0;
    struct block_header copy = *header;
    const struct block_header *block =
        (const void *)bytes_at(walk, walk->file, walk->at, copy.block_bytes);
    int status = block != NULL ? block_check_payload(block, 1, &bad_at, &why) : -EIO;
    if (status == 0) {
        fill(item, WALK_BLOCK, walk->file, walk->at, "");
        item->block = block;
        walk->blocks++;
        walk->records += block->record_count;
        walk->bytes += block->block_bytes;
        check_offsets(walk, block);
    } else {
        uint32_t partition = block != NULL ? partition_at(block, bad_at) : WALK_NO_PARTITION;
        if (!was_durable(walk)) { /* a torn tail whose first page is whole */
            lost(walk, why, item);
            item->kind = item->kind == WALK_END ? WALK_NOTE : item->kind;
            return;
        }
        fill(item, WALK_FINDING, walk->file, walk->at + bad_at, "");
        snprintf(item->text, sizeof item->text,
                 "a block of %" PRIu32 " bytes at %" PRIu64 " is damaged inside: %s",
                 copy.block_bytes, walk->at, status == -EIO ? "it cannot be read" : why);
        item->index = copy.index;
        item->partition = partition;
        memset(walk->offsets, 0, XD_PARTITIONS_MAX * sizeof *walk->offsets);
    }
    point_advance(&walk->point, &copy,
                  walk->file->header->segment_no * walk->meta->segment_bytes + walk->at,
                  walk->meta->segment_bytes);
    uint64_t no = walk->point.position / walk->meta->segment_bytes;
    walk->at = walk->point.position % walk->meta->segment_bytes;
    if (no != walk->file->header->segment_no)
        walk->file = NULL; /* goes on in the next segment */
}

static void inside_segment(struct walk *walk, struct walk_item *item)
{
    int status = XD_LOG_CORRUPT;
    const struct block_header *block = header_at(walk, walk->file, walk->at, &status);
    const char *why = "no valid block header";
    if (block != NULL && !walk->started)
        set_point(walk, block);
    if (block != NULL)
        why = point_check(&walk->point, walk->meta, block, walk->point.sequence);
    if (block != NULL && why == NULL) {
        take_block(walk, block, item);
    } else if (block != NULL && block->epoch > walk->meta->epoch &&
               block->prev_chain == walk->point.chain) {
        fill(item, WALK_FINDING, walk->file, walk->at,
             "the log is newer than meta: restore the meta file that belongs to it");
        item->index = walk->point.index;
        walk->ended = true;
    } else if (status == XD_FORMAT_UNKNOWN) {
        fill(item, WALK_FINDING, walk->file, walk->at, "a newer release wrote this block");
        item->index = walk->point.index;
        walk->ended = true;
    } else {
        if (!walk->started) /* an empty log, or its first block is lost */
            walk->point = point_first(walk->meta->segment_bytes);
        lost(walk, why, item);
    }
}

/* ---- segments -------------------------------------------------------------------------------- */

/* The first number without a file behind files[at], below the segment that recovery begins with; 0
 * = none. */
static uint64_t gap_behind(const struct walk *walk, uint32_t at)
{
    const struct data_folder *folder = walk->folder;
    for (uint32_t i = at; i + 1 < folder->file_count; i++) {
        uint64_t no = folder->files[i].header->segment_no;
        uint64_t next = folder->files[i + 1].header->segment_no;
        if (no >= walk->range.scan_no)
            return 0;
        if (next > no + 1)
            return no + 1;
    }
    return 0;
}

static void begin_segment(struct walk *walk, struct walk_item *item)
{
    const struct wal_file *file = &walk->folder->files[walk->next_file++];
    if (file->status != 0) {
        bool empty = xd_bytes_zero(file->header, sizeof *file->header) != 0;
        /* A damaged header is a free file for the next start; another log's or release's stops it.
         */
        fill(item, file->status == XD_LOG_CORRUPT ? WALK_NOTE : WALK_FINDING, file, 0,
             empty ? "being prepared, holds nothing yet" : file->why);
        return;
    }
    uint64_t no = file->header->segment_no;
    uint64_t gap = gap_behind(walk, walk->next_file - 1);
    if (gap == no + 1 && walk->range.first_no != 0 && no >= walk->range.first_no) {
        fill(item, WALK_FINDING, file, 0, "");
        snprintf(item->text, sizeof item->text,
                 "segment %" PRIu64 ", behind this one, is missing: the next start is refused",
                 gap);
        return;
    }
    if (gap != 0) {
        fill(item, WALK_NOTE, file, 0, "older than a segment that is gone");
        return;
    }
    if (walk->started && no != walk->point.position / walk->meta->segment_bytes) {
        if (walk->last_no != 0 && no == walk->last_no) {
            fill(item, WALK_NOTE, file, 0,
                 is_twin(walk->folder, walk->next_file - 1)
                     ? "another wal file holds the same segment"
                     : "an older file of a segment that was prepared again");
            return;
        }
        fill(item, WALK_FINDING, file, 0, "");
        snprintf(item->text, sizeof item->text, "segment %" PRIu64 " is missing",
                 walk->point.position / walk->meta->segment_bytes);
        item->index = walk->point.index;
        walk->started = false;
        walk->next_file--; /* goes on with this one */
        return;
    }
    walk->last_no = no;
    walk->file = file;
    walk->at = RECOVER_FIRST_AT;
    walk->window_bytes = 0;
    walk->segments++;
    fill(item, WALK_SEGMENT, file, 0, "");
    if (!file->adopted)
        return;
    walk->pending = true;
    walk->next_item = *item;
    fill(item, WALK_FINDING, file, 0, "");
    snprintf(item->text, sizeof item->text,
             "segment header: %s; its first block says that it is segment %" PRIu64, file->why, no);
}

/* No file is left, and the log goes on. */
static void behind_last(struct walk *walk, struct walk_item *item)
{
    walk->ended = true;
    if (walk->folder->in_use)
        return;
    if (walk->started && meta_proof(walk)) {
        fill(item, WALK_FINDING, NULL, 0, "the log ends before what was known to be durable");
        item->index = walk->point.index;
    }
}

enum walk_kind walk_next(struct walk *walk, struct walk_item *ret_item)
{
    if (walk->pending) {
        walk->pending = false;
        *ret_item = walk->next_item;
        return ret_item->kind;
    }
    fill(ret_item, WALK_END, NULL, 0, "");
    if (walk->ended)
        return WALK_END;
    if (walk->file != NULL)
        inside_segment(walk, ret_item);
    else if (walk->next_file < walk->folder->file_count)
        begin_segment(walk, ret_item);
    else
        behind_last(walk, ret_item);
    return ret_item->kind;
}
