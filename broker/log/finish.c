/* SPDX-License-Identifier: Apache-2.0
 *
 * Ending a recovery. The sequence makes every step repeatable:
 *
 *   1. copy the torn tail to quarantine/   (the bytes are still in place: repeat = same copy)
 *   2. flush every segment that was read, and meta   (what was read back after a kill may sit in a
 *      device's cache only: blocks, headers of ready segments, the slot that is not overwritten)
 *   3. raise the epoch, first one meta slot, then the other
 *
 * The cut itself is step 3: from then on blocks of the old epoch behind the point are no log any
 * more. A crash before it finds the same tail again, a crash after it a clean end.
 */
#include "broker/log/finish.h"

#include "broker/log/blocking.h"
#include "broker/log/folder.h"
#include "broker/log/page.h"
#include "broker/log/quarantine.h"
#include "wire/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define META_FILE_BYTES ((uint64_t)META_SLOTS * META_SLOT_BYTES)

/* ---- quarantine ------------------------------------------------------------------------------ */

/* Waits until a step of the copy is done. */
static int wait_copy(struct env *env, struct quarantine *quarantine)
{
    for (;;) {
        struct env_event event;
        int status = blocking_wait(env, &event);
        if (status < 0) {
            quarantine_close(quarantine);
            return status;
        }
        if (event.token != quarantine->token)
            continue;
        status = quarantine_done(quarantine, &event);
        if (status != 0)
            return status;
    }
}

/* Copies one range. 0 or -errno; the name of the copy is in *quarantine. */
static int copy_range(struct recover *recover, const struct verdict_range *bytes,
                      struct quarantine_range *range, struct quarantine *quarantine)
{
    struct env *env = recover->options.env;
    const struct segment *segment = segment_find(recover->options.table, bytes->segment_no);
    XD_ASSERT(segment != NULL);
    range->segment_no = bytes->segment_no;
    range->at = bytes->at;
    range->bytes = bytes->bytes;
    range->slot = segment->slot;
    int status =
        quarantine_open(quarantine, env, range, env_token(ENV_OWNER_LOG, BLOCKING_QUARANTINE, 0));
    if (status < 0)
        return status;
    uint8_t *memory = recover->options.scan_memory;
    for (uint64_t at = 0; at < bytes->bytes;) {
        uint64_t left = bytes->bytes - at;
        uint32_t piece = left < SCAN_READ_BYTES ? (uint32_t)left : SCAN_READ_BYTES;
        uint32_t bad;
        int error;
        status =
            blocking_read_pages(env, segment->file, memory, piece, bytes->at + at, &bad, &error);
        if (status < 0) {
            quarantine_close(quarantine);
            return status;
        }
        quarantine_write(quarantine, memory, piece);
        status = wait_copy(env, quarantine);
        if (status < 0)
            return status;
        at += piece;
    }
    quarantine_finish(quarantine);
    status = wait_copy(env, quarantine);
    return status < 0 ? status : 0;
}

/* There is nothing to copy. How far the missing segment reached is told as far as it is known. */
static int missing_segment(const struct recover *recover, char *why)
{
    const struct verdict *verdict = &recover->verdict;
    const uint64_t first = recover->point.index;
    char range[64];
    XD_ASSERT(verdict->missing_no >=
              segment_no_of(recover->options.table, recover->point.position));
    if (verdict->last_index >= first)
        (void)snprintf(range, sizeof(range), "indexes %" PRIu64 "..%" PRIu64 " were durable", first,
                       verdict->last_index);
    else
        (void)snprintf(range, sizeof(range), "indexes from %" PRIu64 " on may have been durable",
                       first);
    (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                   "segment %" PRIu64 " is missing: no wal file holds it, but %s: %s; put the file "
                   "back or restore the folder from a copy; nothing was changed",
                   verdict->missing_no, range, verdict->reason);
    return XD_LOG_CORRUPT;
}

int finish_corrupt(struct recover *recover, const char *wrong, uint32_t at, char *why)
{
    const struct verdict *verdict = &recover->verdict;
    const struct segment_table *table = recover->options.table;
    const uint64_t position = recover->point.position;
    const uint64_t segment_no = segment_no_of(table, position);
    XD_ASSERT(verdict->kind == VERDICT_CORRUPT);
    uint64_t bytes = verdict->range_count > 0 ? verdict->ranges[0].bytes : 0;
    recover_news(recover, LOG_NEWS_CORRUPT, position, bytes, (uint64_t) - (int64_t)XD_LOG_CORRUPT);
    if (verdict->missing_no != 0)
        return missing_segment(recover, why);
    struct quarantine quarantine = {.file = -1};
    struct quarantine_range range = {.epoch = recover->meta.epoch,
                                     .first_index = recover->point.index,
                                     .last_index = verdict->last_index,
                                     .reason = wrong,
                                     .kind = QUARANTINE_CORRUPT};
    int copied = copy_range(recover, &verdict->ranges[0], &range, &quarantine);
    char name[ENV_NAME_BYTES_MAX];
    segment_name(range.slot, name);
    (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                   "%s: segment %" PRIu64 ", position %" PRIu64 " (byte %" PRIu64
                   "): block %" PRIu64 " is damaged: %s (at %u); %s; indexes %" PRIu64 "..%" PRIu64
                   " cannot be read; %s %s%s%s; nothing was cut: restore the folder from a copy",
                   name, segment_no, position, segment_at_of(table, position),
                   recover->point.sequence, wrong, at, verdict->reason, recover->point.index,
                   verdict->last_index, copied < 0 ? "copying to" : "copied to", quarantine.name,
                   copied < 0 ? " failed: " : "", copied < 0 ? xd_status_name(copied) : "");
    return XD_LOG_CORRUPT;
}

/* Copies what the new epoch cuts off. */
static int quarantine_tail(struct recover *recover, char *why)
{
    const struct verdict *verdict = &recover->verdict;
    uint64_t bytes = 0;
    struct quarantine quarantine = {.file = -1};
    for (uint32_t i = 0; i < verdict->range_count; i++) {
        struct quarantine_range range = {.epoch = recover->meta.epoch,
                                         .first_index = recover->point.index,
                                         .last_index = verdict->last_index,
                                         .reason = verdict->reason,
                                         .kind = QUARANTINE_CUT};
        int status = copy_range(recover, &verdict->ranges[i], &range, &quarantine);
        if (status < 0) {
            (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                           "%s: copying the torn tail failed (%s); make room and start again, "
                           "nothing was cut",
                           quarantine.name, xd_status_name(status));
            return status;
        }
        bytes += verdict->ranges[i].bytes;
    }
    recover_news(recover, LOG_NEWS_TAIL_CUT, bytes, recover->point.index, 0);
    return 0;
}

/* ---- flush and epoch ------------------------------------------------------------------------- */

/* Segments behind the point count too: what makes one ready is a header, which was read like the
 * blocks. And the folder: a killed process may have made a file and not its name durable. */
static int sync_read(struct recover *recover, char *why)
{
    const struct segment_table *table = recover->options.table;
    const uint64_t first = segment_no_of(table, recover->scan_from);
    int status = env_dir_sync(recover->options.env, "");
    if (status < 0) {
        (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                       "flushing the folder failed (%s); check the device", xd_status_name(status));
        return status;
    }
    for (uint32_t slot = 0; slot < table->slot_count; slot++) {
        const struct segment *segment = &table->slots[slot];
        if (segment->segment_no < first)
            continue;
        status = blocking_sync(recover->options.env, segment->file);
        if (status < 0) {
            char name[ENV_NAME_BYTES_MAX];
            segment_name(slot, name);
            (void)snprintf(why, XD_DETAIL_BYTES_MAX, "%s: flushing failed (%s); check the device",
                           name, xd_status_name(status));
            return status;
        }
    }
    return 0;
}

/* A new folder's meta file: both slots exist, and the file is in the folder for good. */
static int create_meta_file(struct recover *recover)
{
    struct env *env = recover->options.env;
    if (recover->meta_file < 0) {
        env_file file;
        int status = env_file_open(env, FOLDER_META, ENV_OPEN_CREATE, &file);
        if (status < 0)
            return status;
        recover->meta_file = file;
    }
    int status = env_file_reserve(env, recover->meta_file, META_FILE_BYTES);
    return status < 0 ? status : env_dir_sync(env, "");
}

static int write_slot(struct recover *recover)
{
    struct meta *meta = &recover->meta;
    meta->generation++;
    meta_seal(meta);
    memcpy(recover->options.scan_memory, meta, sizeof(*meta));
    return blocking_write(recover->options.env, recover->meta_file, recover->options.scan_memory,
                          META_SLOT_BYTES, meta->generation % META_SLOTS * META_SLOT_BYTES);
}

/* From here on only blocks of the new epoch count behind the point. */
static int raise_epoch(struct recover *recover)
{
    struct meta *meta = &recover->meta;
    struct recover_point *point = &recover->point;
    XD_ASSERT(point->epoch <= meta->epoch);
    XD_ASSERT(meta->durable_index < point->index);
    point->term = point->term == 0 ? 1 : point->term;
    meta->epoch++;
    meta->epoch_first_index = point->index;
    meta->epoch_position = point->position;
    meta->epoch_chain = point->chain;
    meta->epoch_sequence = point->sequence;
    meta->term = point->term > meta->term ? point->term : meta->term;
    meta->durable_index = point->index - 1;
    meta->commit_index = meta->durable_index;
    point->epoch = meta->epoch;
    point->term = meta->term;
    /* The slot that stays while the other is overwritten may have been read from a cache, too. */
    int status = recover->created ? 0 : blocking_sync(recover->options.env, recover->meta_file);
    if (status == 0)
        status = write_slot(recover);
    if (status < 0)
        return status;
    env_crash_point(recover->options.env, ENV_CRASH_META_FIRST_SLOT);
    status = write_slot(recover);
    if (status < 0)
        return status;
    env_crash_point(recover->options.env, ENV_CRASH_META_BOTH_SLOTS);
    if (recover->created)
        status = blocking_sync(recover->options.env, recover->meta_file);
    return status;
}

/* The file that appending goes on in must have its full size: the log never extends a file. */
static int check_active(const struct recover *recover, char *why)
{
    struct segment_table *table = recover->options.table;
    const struct segment *segment =
        segment_find(table, segment_no_of(table, recover->point.position));
    if (segment == NULL || segment->zeroed ||
        segment_at_of(table, recover->point.position) == RECOVER_FIRST_AT)
        return 0;
    char name[ENV_NAME_BYTES_MAX];
    segment_name(segment->slot, name);
    (void)snprintf(why, XD_DETAIL_BYTES_MAX,
                   "%s: the file of segment %" PRIu64 " is shorter than %" PRIu64
                   " bytes; restore the folder from a copy",
                   name, segment->segment_no, table->segment_bytes);
    return XD_LOG_CORRUPT;
}

int recover_end(struct recover *recover, char *why)
{
    XD_ASSERT(recover->phase == RECOVER_SCANNED);
    struct env *env = recover->options.env;
    recover->phase = RECOVER_CLOSED;
    env_crash_point(env, ENV_CRASH_RECOVERY_SCANNED);
    int status = check_active(recover, why);
    if (status == 0 && recover->verdict.kind == VERDICT_TORN)
        status = quarantine_tail(recover, why);
    if (status < 0)
        return status;
    env_crash_point(env, ENV_CRASH_RECOVERY_QUARANTINED);
    status = sync_read(recover, why);
    if (status < 0)
        return status;
    if (recover->created)
        status = create_meta_file(recover);
    if (status == 0)
        status = raise_epoch(recover);
    if (status < 0) {
        (void)snprintf(why, XD_DETAIL_BYTES_MAX, "meta: writing failed (%s); check the device",
                       xd_status_name(status));
        return status;
    }
    env_crash_point(env, ENV_CRASH_RECOVERY_EPOCH_RAISED);
    recover->active = folder_settle(recover->options.table,
                                    segment_no_of(recover->options.table, recover->point.position));
    if (recover->created)
        recover_news(recover, LOG_NEWS_CREATED, 0, 0, 0);
    recover->phase = RECOVER_DONE;
    return 0;
}
