/* SPDX-License-Identifier: Apache-2.0
 *
 * The sequence of recovery. What is decided elsewhere: what a block must continue (point.c), what a
 * bad one means (verdict.c), which files are the log (folder.c), which meta and which checkpoint
 * count (meta_load.c, checkpoint_load.c), what ends recovery (finish.c).
 *
 * Nothing is written here; a start that stops leaves the folder as it was, but for copies in
 * quarantine/.
 */
#include "broker/log/recover.h"

#include "broker/log/blocking.h"
#include "broker/log/checkpoint_load.h"
#include "broker/log/finish.h"
#include "broker/log/folder.h"
#include "broker/log/local.h"
#include "broker/log/meta_load.h"
#include "broker/log/page.h"
#include "wire/checksum.h"
#include "wire/status.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The block at the point, and what is wrong with it. */
struct found {
    const struct block_header *block; /* whole block, or its first page when the header is bad */
    const char *wrong;                /* static text; NULL = it is good */
    uint32_t at;                      /* byte in the block where it went wrong */
    uint32_t bytes;                   /* block_bytes under a valid header, else one page */
};

void recover_news(struct recover *recover, enum log_news_kind kind, uint64_t a, uint64_t b,
                  uint64_t c)
{
    XD_ASSERT(kind < LOG_NEWS_COUNT && recover->news_count <= RECOVER_NEWS_MAX);
    if (recover->news_count == RECOVER_NEWS_MAX) {
        recover->news_dropped++;
        return;
    }
    recover->news[recover->news_count++] = (struct log_news){.a = a, .b = b, .c = c, .kind = kind};
}

/* ---- open ------------------------------------------------------------------------------------ */

static int open_meta(struct recover *recover, const struct folder *folder, char *why)
{
    const struct recover_options *options = &recover->options;
    const struct meta_expected expected = {.segment_bytes = options->segment_bytes,
                                           .shard = options->shard,
                                           .shard_count = options->shard_count};
    struct meta_loaded loaded;
    int status = meta_load(options->env, folder, &expected, options->scan_memory, &loaded, why);
    if (status < 0)
        return status;
    recover->meta = loaded.meta;
    recover->meta_file = loaded.file;
    recover->created = loaded.created;
    if (loaded.other_damaged) /* finish.c writes this slot first, then the other */
        recover_news(recover, LOG_NEWS_META_SLOT_DAMAGED, loaded.other_number,
                     recover->meta.generation, 0);
    return 0;
}

static int open_checkpoint(struct recover *recover, char *why)
{
    const struct recover_options *options = &recover->options;
    XD_ASSERT(recover->meta.segment_bytes == options->segment_bytes); /* meta_load */
    XD_ASSERT(recover->meta.shard == options->shard);
    recover->point = point_first(recover->meta.segment_bytes);
    if (recover->meta.checkpoint_generation == 0)
        return 0;
    struct checkpoint_loaded loaded;
    int status = checkpoint_load(options->env, &recover->meta, options->checkpoint_memory,
                                 options->checkpoint_bytes, options->scan_memory, &loaded, why);
    if (status < 0)
        return status;
    if (loaded.fallback)
        recover_news(recover, LOG_NEWS_CHECKPOINT_FALLBACK, recover->meta.checkpoint_generation, 0,
                     0);
    /* After a fallback meta names the good one, so that the next generation overwrites the bad. */
    recover->meta.checkpoint_generation = loaded.header.generation;
    recover->meta.checkpoint_xxh3 = loaded.header.xxh3;
    recover->checkpoint = loaded.header;
    recover->checkpoint_other_position = loaded.other_position;
    recover->checkpoint_other_generation = loaded.other_generation;
    recover->state = options->checkpoint_memory;
    recover->local = options->checkpoint_memory + checkpoint_local_at(loaded.header.state_bytes);
    recover->point = point_of_checkpoint(&loaded.header);
    return 0;
}

/* Position behind the last segment that seems to hold blocks, for the percentage. */
static int estimate_end(struct recover *recover)
{
    const struct segment_table *table = recover->options.table;
    uint64_t last_no = segment_no_of(table, recover->point.position);
    for (uint32_t slot = 0; slot < table->slot_count; slot++) {
        const struct segment *segment = &table->slots[slot];
        if (segment->segment_no <= last_no)
            continue;
        uint64_t epoch;
        int found = folder_first_block(recover->options.env, segment, &recover->meta,
                                       recover->options.scan_memory, &epoch);
        if (found < 0)
            return found;
        if (found > 0)
            last_no = segment->segment_no;
    }
    XD_ASSERT(last_no >= segment_no_of(table, recover->point.position));
    recover->scan_from = recover->point.position;
    recover->scan_to = (last_no + 1) * table->segment_bytes;
    return 0;
}

/* Of the segments that the checkpoint lists, only the oldest may be gone: slots are used again in
 * the sequence of their segments. */
static int check_run(const struct recover *recover, char *why)
{
    struct segment_table *table = recover->options.table;
    if (recover->local == NULL)
        return 0;
    const uint64_t first_no = local_first_no(recover->local, recover->checkpoint.local_bytes);
    if (first_no == 0)
        return 0; /* local_restore() says what is wrong */
    const uint64_t gap = folder_gap(table, first_no, segment_no_of(table, recover->point.position));
    if (gap == 0)
        return 0;
    (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                   "segment %" PRIu64 " is missing: no wal file holds it, but older ones are there "
                   "and the checkpoint lists it; put the file back or restore the folder from a "
                   "copy; nothing was changed",
                   gap);
    return XD_LOG_CORRUPT;
}

static int open_segments(struct recover *recover, struct folder *folder, char *why)
{
    struct segment_table *table = recover->options.table;
    int status = folder_open(recover->options.env, folder, &recover->meta, table,
                             recover->options.scan_memory, why);
    if (status < 0)
        return status;
    XD_ASSERT(table->slot_count <= table->slot_max);
    status = check_run(recover, why);
    if (status < 0)
        return status;
    folder_keep_run(table, segment_no_of(table, recover->point.position));
    for (uint32_t slot = 0; slot < table->slot_count; slot++)
        if (folder_bit(folder->adopted, slot) && table->slots[slot].segment_no != 0)
            recover_news(recover, LOG_NEWS_CORRUPT,
                         table->slots[slot].segment_no * table->segment_bytes, SEGMENT_HEADER_BYTES,
                         (uint64_t) - (int64_t)XD_LOG_CORRUPT);
    status = estimate_end(recover);
    if (status < 0)
        (void)snprintf(why, XD_DETAIL_BYTES_MAX, "reading wal files failed; check the device");
    return status;
}

int recover_open(struct recover *recover, const struct recover_options *options, char *why)
{
    XD_ASSERT(((uintptr_t)options->scan_memory & (PAGE_BYTES - 1u)) == 0);
    XD_ASSERT(((uintptr_t)options->checkpoint_memory & (PAGE_BYTES - 1u)) == 0);
    XD_ASSERT(options->shard < options->shard_count);
    XD_ASSERT(options->segment_bytes >= SEGMENT_BYTES_MIN);
    memset(recover, 0, sizeof(*recover));
    recover->options = *options;
    recover->meta_file = -1;
    recover->active = RECOVER_NO_SLOT;
    options->table->slot_count = 0;
    struct folder folder;
    int status = folder_list(options->env, &folder, why);
    if (status == 0) {
        recover->checkpoints = folder.checkpoints;
        status = open_meta(recover, &folder, why);
    }
    if (status == 0)
        status = open_checkpoint(recover, why);
    if (status == 0)
        status = open_segments(recover, &folder, why);
    if (status < 0)
        return status;
    recover->phase = RECOVER_SCANNING;
    return 0;
}

/* ---- scan ------------------------------------------------------------------------------------ */

static int engine_failed(struct recover *recover, int status, char *why)
{
    XD_ASSERT(status < 0);
    recover->phase = RECOVER_CLOSED;
    (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                   "reading the log at position %" PRIu64 " failed (%s); check the device",
                   recover->point.position, xd_status_name(status));
    return status;
}

/* A block that must not be taken for damage, nor be read. */
static int refuse_block(struct recover *recover, int status, const char *what, const char *next,
                        char *why)
{
    XD_ASSERT(status < 0 && what != NULL && next != NULL);
    recover->phase = RECOVER_CLOSED;
    const uint64_t position = recover->point.position;
    (void)snprintf(why, XD_DETAIL_BYTES_MAX, "segment %" PRIu64 ", position %" PRIu64 ": %s; %s",
                   segment_no_of(recover->options.table, position), position, what, next);
    return status;
}

/* Whether a whole header at the point is the running log's and not a leftover below it. */
static bool is_current(const struct recover *recover, const struct block_header *block)
{
    return block->epoch >= recover->point.epoch &&
           block->block_sequence == recover->point.sequence &&
           (block->block_sequence < recover->meta.epoch_sequence ||
            block->epoch >= recover->meta.epoch);
}

/* Reads and checks the block at the point. 0 and *ret_found, good or bad, or a status that stops.
 */
static int find_block(struct recover *recover, struct found *ret_found, char *why)
{
    const struct recover_point *point = &recover->point;
    const uint64_t segment_no = segment_no_of(recover->options.table, point->position);
    const uint64_t at = segment_at_of(recover->options.table, point->position);
    const uint8_t *data;
    XD_ASSERT(recover->scan_open && at >= RECOVER_FIRST_AT);
    int status = scan_need(&recover->scan, at, PAGE_BYTES, &data);
    if (status < 0)
        return engine_failed(recover, status, why);
    const struct block_header *block = (const struct block_header *)(const void *)data;
    struct found found = {.block = block, .bytes = PAGE_BYTES};
    struct block_identity identity = point_identity(&recover->meta, segment_no, block->epoch);
    status = block_check_header(block, &identity, point->position, &found.wrong);
    if (status == XD_FORMAT_UNKNOWN && is_current(recover, block))
        return refuse_block(recover, status, found.wrong, "start the release that wrote it", why);
    if (status == 0) {
        if (block->epoch > recover->meta.epoch && block->prev_chain == point->chain)
            return refuse_block(recover, XD_LOG_CORRUPT, "the log is newer than meta",
                                "restore the meta file that belongs to it", why);
        found.wrong = point_check(point, &recover->meta, block, point->sequence);
    }
    if (found.wrong == NULL) {
        found.bytes = block->block_bytes;
        status = scan_need(&recover->scan, at, found.bytes, &data);
        if (status < 0)
            return engine_failed(recover, status, why);
        found.block = (const struct block_header *)(const void *)data;
        status = block_check_payload(found.block, 1, &found.at, &found.wrong);
        if (status == XD_FORMAT_UNKNOWN)
            return refuse_block(recover, status, found.wrong, "start the release that wrote it",
                                why);
        if (status == 0)
            found.wrong = NULL;
    }
    *ret_found = found;
    return 0;
}

/* Index range and times of the segment. */
static void note_block(const struct recover *recover, struct segment *segment,
                       const struct block_header *block)
{
    /* The block has passed every check: what is wrong here is wrong in us. */
    XD_ASSERT(block->position == recover->point.position);
    XD_ASSERT(block_is_local(block) || block->index == recover->point.index);
    segment->used_bytes =
        segment_at_of(recover->options.table, recover->point.position) + block->block_bytes;
    if (block_is_local(block))
        return;
    if (segment->first_index == 0)
        segment->first_index = block->index;
    segment->last_index = block->index;
    const struct xd_batch_header *batch;
    uint32_t cursor = 0;
    while ((batch = block_next_batch(block, &cursor)) != NULL) {
        if (segment->first_time_us == 0)
            segment->first_time_us = batch->append_time_us;
        if (batch->append_time_us > segment->last_time_us)
            segment->last_time_us = batch->append_time_us;
    }
}

static void take_block(struct recover *recover, struct segment *segment,
                       const struct block_header *block, struct recover_block *ret_block)
{
    const uint64_t position = recover->point.position;
    *ret_block = (struct recover_block){
        .block = block, .position = position, .local = block_is_local(block)};
    note_block(recover, segment, block);
    point_advance(&recover->point, block, position, recover->meta.segment_bytes);
    XD_ASSERT(recover->point.position > position);
    if (segment_no_of(recover->options.table, recover->point.position) != segment->segment_no)
        recover->scan_open = false;
}

/* Reads the bad block once more. Tells unreadable from wrong, because the scan shows both as wrong
 * bytes; and a wrong read from a wrong block: 1 when other bytes come now, once per block, so that
 * what is whole on disk is neither cut nor called corrupt. */
static int explain(struct recover *recover, const struct segment *segment, struct found *found)
{
    uint64_t seen = xd_xxh3(found->block, found->bytes);
    uint32_t bad;
    int error;
    int status = blocking_read_pages(
        recover->options.env, segment->file, recover->options.scan_memory, found->bytes,
        segment_at_of(recover->options.table, recover->point.position), &bad, &error);
    if (status == 0 && bad > 0)
        found->wrong = "it cannot be read";
    if (status < 0 || recover->read_again == recover->point.position ||
        xd_xxh3(recover->options.scan_memory, found->bytes) == seen)
        return status;
    recover->read_again = recover->point.position;
    return 1;
}

/* The block at the point is bad, or its segment is missing (NULL). 1: go on, behind a lost local
 * block or with other bytes; 0: the log ends here; else a status. */
static int judge(struct recover *recover, const struct segment *segment, struct found *found,
                 char *why)
{
    const struct recover_options *options = &recover->options;
    int status = scan_end(&recover->scan);
    recover->scan_open = false;
    if (status == 0 && segment != NULL)
        status = explain(recover, segment, found);
    if (status != 0)
        return status < 0 ? engine_failed(recover, status, why) : 1;
    struct verdict_input input = {.env = options->env,
                                  .table = options->table,
                                  .meta = &recover->meta,
                                  .point = &recover->point,
                                  .scan_memory = options->scan_memory,
                                  .checkpoints = recover->checkpoints};
    struct verdict *verdict = &recover->verdict;
    status = verdict_reach(&input, verdict);
    if (status == XD_FORMAT_UNKNOWN)
        return refuse_block(recover, status, "a newer release has written behind this block",
                            "start the release that wrote it", why);
    if (status == XD_LOG_CORRUPT)
        return refuse_block(recover, status, "the log behind it is newer than meta",
                            "restore the meta file that belongs to it", why);
    if (status < 0)
        return engine_failed(recover, status, why);
    switch (verdict->kind) {
    case VERDICT_LOCAL:
        recover_news(recover, LOG_NEWS_LOCAL_BLOCK_LOST, recover->point.position, 0, 0);
        XD_ASSERT(verdict->next_position > recover->point.position);
        recover->point.position = verdict->next_position;
        recover->point.sequence++;
        return 1;
    case VERDICT_CORRUPT:
        recover->phase = RECOVER_CLOSED;
        return finish_corrupt(recover, found->wrong, found->at, why);
    case VERDICT_CLEAN:
    case VERDICT_TORN:
    default:
        recover->phase = RECOVER_SCANNED;
        return 0;
    }
}

/* The scan covers the segment from the point to its end. */
static void open_scan(struct recover *recover, const struct segment *segment)
{
    const struct segment_table *table = recover->options.table;
    XD_ASSERT(!recover->scan_open && recover->scan.busy_count == 0);
    XD_ASSERT(segment->segment_no == segment_no_of(table, recover->point.position));
    scan_begin(&recover->scan, recover->options.env, recover->options.scan_memory, segment->file,
               segment_at_of(table, recover->point.position), table->segment_bytes);
    recover->scan_open = true;
}

int recover_next(struct recover *recover, struct recover_block *ret_block, char *why)
{
    XD_ASSERT(recover->phase == RECOVER_SCANNING);
    for (;;) {
        struct segment_table *table = recover->options.table;
        struct segment *segment =
            segment_find(table, segment_no_of(table, recover->point.position));
        struct found found = {.wrong = "its segment is missing"};
        if (segment != NULL) {
            if (!recover->scan_open) {
                int status = scan_end(&recover->scan);
                if (status < 0)
                    return engine_failed(recover, status, why);
                open_scan(recover, segment);
            }
            int status = find_block(recover, &found, why);
            if (status < 0)
                return status;
            if (found.wrong == NULL) {
                take_block(recover, segment, found.block, ret_block);
                return 1;
            }
        }
        int status = judge(recover, segment, &found, why);
        if (status <= 0)
            return status;
    }
}

uint32_t recover_percent(const struct recover *recover)
{
    if (recover->phase >= RECOVER_SCANNED)
        return 100;
    if (recover->phase == RECOVER_CLOSED || recover->point.position <= recover->scan_from)
        return 0;
    uint64_t done = recover->point.position - recover->scan_from;
    uint64_t all = recover->scan_to - recover->scan_from;
    XD_ASSERT(recover->scan_to > recover->scan_from);
    return done >= all ? 100 : (uint32_t)(done * 100 / all);
}

void recover_close(struct recover *recover)
{
    if (recover->options.env == NULL)
        return;
    (void)scan_end(&recover->scan); /* a broken engine has nothing outstanding either */
    folder_close(recover->options.env, recover->options.table);
    if (recover->meta_file >= 0)
        env_file_close(recover->options.env, recover->meta_file);
    recover->meta_file = -1;
    recover->phase = RECOVER_CLOSED;
}
