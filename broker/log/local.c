/* SPDX-License-Identifier: Apache-2.0
 *
 * Serialising segments and index for a checkpoint. See local.h.
 */
#include "broker/log/local.h"

#include "broker/log/log_state.h"
#include "wire/status.h"

#include <string.h>

uint64_t local_bytes_max(uint32_t chunk_count, uint32_t partitions_max)
{
    return sizeof(struct local_header) +
           (uint64_t)SEGMENT_SLOTS_MAX * sizeof(struct local_segment) +
           index_saved_bytes_max(chunk_count, partitions_max);
}

/* One segment as of the fold's point: what was written behind it is left out. */
static struct local_segment segment_saved(const struct log *log, const struct segment *segment)
{
    const struct append_point *point = &log->append.folded;
    struct local_segment saved = {.segment_no = segment->segment_no,
                                  .first_index = segment->first_index,
                                  .last_index = segment->last_index,
                                  .first_time_us = segment->first_time_us,
                                  .last_time_us = segment->last_time_us,
                                  .used_bytes = segment->used_bytes};

    if (segment->segment_no < segment_no_of(&log->table, point->position))
        return saved;
    saved.used_bytes = segment_at_of(&log->table, point->position);
    if (saved.last_index > point->index)
        saved.last_index = point->index;
    if (saved.first_index > point->index) {
        saved.first_index = 0;
        saved.last_index = 0;
        saved.first_time_us = 0;
        saved.last_time_us = 0;
    }
    return saved;
}

uint64_t local_save(struct log *log, uint8_t *out)
{
    struct local_header header = {.magic = LOCAL_MAGIC};
    uint8_t *to = out + sizeof(header);
    const struct segment *segment = segment_oldest(&log->table);
    uint64_t no = segment->segment_no;
    uint64_t last_no = segment_no_of(&log->table, log->append.folded.position);

    if (no == log->retain.dropping_no)
        no++;
    for (; no <= last_no; no++) {
        struct local_segment saved;

        segment = segment_find(&log->table, no);
        XD_ASSERT(segment);
        XD_ASSERT(segment->state == SEGMENT_FULL || segment->state == SEGMENT_ACTIVE);
        saved = segment_saved(log, segment);
        memcpy(to, &saved, sizeof(saved));
        to += sizeof(saved);
        header.segment_count++;
    }
    header.index_bytes = index_save(&log->index, to);
    to += header.index_bytes;
    memcpy(out, &header, sizeof(header));
    return (uint64_t)(to - out);
}

/* Puts what the checkpoint knows into the slot that holds the segment, if it still does: the oldest
 * ones may have been recycled since. */
static void segment_restore(struct log *log, const struct local_segment *saved)
{
    struct segment *segment = segment_find(&log->table, saved->segment_no);

    if (!segment)
        return;
    segment->first_index = saved->first_index;
    segment->last_index = saved->last_index;
    segment->first_time_us = saved->first_time_us;
    segment->last_time_us = saved->last_time_us;
    segment->used_bytes = saved->used_bytes;
}

/* Log position of the oldest segment on disk: entries below it are of no use. */
static uint64_t kept_from(struct log *log)
{
    const struct segment *oldest = segment_oldest(&log->table);

    return oldest ? oldest->segment_no * log->table.segment_bytes : 0;
}

uint64_t local_first_no(const uint8_t *local, uint64_t bytes)
{
    struct local_header header;
    struct local_segment first;

    if (bytes < sizeof(header) + sizeof(first))
        return 0;
    memcpy(&header, local, sizeof(header));
    memcpy(&first, local + sizeof(header), sizeof(first));
    return header.magic == LOCAL_MAGIC && header.segment_count > 0 ? first.segment_no : 0;
}

int local_restore(struct log *log, const uint8_t *local, uint64_t bytes, uint64_t *ret_first_no)
{
    struct local_header header;
    struct local_segment saved;
    uint64_t first_no = 0;
    uint64_t at = sizeof(header);
    int status;

    if (bytes < sizeof(header))
        return XD_CHECKPOINT_CORRUPT;
    memcpy(&header, local, sizeof(header));
    if (header.magic != LOCAL_MAGIC || header.segment_count == 0 ||
        header.segment_count > (bytes - at) / sizeof(saved))
        return XD_CHECKPOINT_CORRUPT;
    for (uint32_t i = 0; i < header.segment_count; i++) {
        memcpy(&saved, local + at, sizeof(saved));
        if (i == 0)
            first_no = saved.segment_no;
        if (saved.segment_no == 0 || saved.segment_no != first_no + i ||
            saved.used_bytes > log->table.segment_bytes)
            return XD_CHECKPOINT_CORRUPT;
        segment_restore(log, &saved);
        at += sizeof(saved);
    }
    if (header.index_bytes != bytes - at)
        return XD_CHECKPOINT_CORRUPT;
    status = index_load(&log->index, local + at, header.index_bytes, kept_from(log));
    if (status < 0)
        return status;
    *ret_first_no = first_no;
    return 0;
}
