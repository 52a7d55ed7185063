/* SPDX-License-Identifier: Apache-2.0
 *
 * Segment headers and the table of slots. The table is small (one row per file, at most 4096) and
 * looked at when a segment rolls, is dropped or recovered, never per batch, so every search is a
 * plain pass over it.
 */
#include "broker/log/segment.h"

#include "broker/log/page.h"
#include "wire/bytes.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

void segment_header_seal(struct segment_header *header)
{
    XD_ASSERT(header->segment_no > 0);
    XD_ASSERT(header->segment_bytes >= SEGMENT_BYTES_MIN);
    header->kind = SEGMENT_KIND_WAL;
    header->align_bytes = PAGE_BYTES;
    memset(header->reserved, 0, sizeof(header->reserved));
    page_seal(header, SEGMENT_MAGIC, SEGMENT_VERSION);
}

/* Fields that only a wrong writer gets wrong, as the hash is valid. */
static const char *check_fields(const struct segment_header *header)
{
    if (header->segment_no == 0)
        return "segment number 0";
    if (header->segment_bytes < SEGMENT_BYTES_MIN || header->segment_bytes > SEGMENT_BYTES_MAX ||
        header->segment_bytes % PAGE_BYTES != 0)
        return "segment_bytes outside its range";
    if (header->segment_no > UINT64_MAX / SEGMENT_BYTES_MAX - 1u)
        return "segment number beyond every log position";
    if (header->align_bytes != PAGE_BYTES)
        return "alignment is not 4096";
    if (!xd_bytes_zero(header->reserved, sizeof(header->reserved)))
        return "reserved bytes are not zero";
    return NULL;
}

int segment_header_check(const struct segment_header *header, const uint8_t log_uuid[16],
                         uint32_t shard, const char **ret_why)
{
    XD_ASSERT(header != NULL);
    XD_ASSERT(ret_why != NULL);
    int status = page_check(header, SEGMENT_MAGIC, SEGMENT_VERSION, XD_LOG_CORRUPT, ret_why);
    if (status < 0)
        return status;
    if (header->kind != SEGMENT_KIND_WAL) {
        *ret_why = "not a log segment";
        return XD_FORMAT_UNKNOWN;
    }
    if (memcmp(header->log_uuid, log_uuid, sizeof(header->log_uuid)) != 0) {
        *ret_why = "belongs to another log";
        return XD_LOG_FOREIGN;
    }
    if (header->shard != shard) {
        *ret_why = "belongs to another shard";
        return XD_LOG_FOREIGN;
    }
    const char *wrong = check_fields(header);
    if (wrong != NULL) {
        *ret_why = wrong;
        return XD_LOG_CORRUPT;
    }
    return 0;
}

void segment_name(uint32_t slot, char *ret_name)
{
    XD_ASSERT(slot < SEGMENT_SLOTS_MAX);
    (void)snprintf(ret_name, ENV_NAME_BYTES_MAX, "wal.%02u", slot); /* always fits */
}

struct segment *segment_find(struct segment_table *table, uint64_t segment_no)
{
    XD_ASSERT(segment_no > 0);
    for (uint32_t i = 0; i < table->slot_count; i++)
        if (table->slots[i].segment_no == segment_no)
            return &table->slots[i];
    return NULL;
}

/* The segment with the lowest number among those in one of two states. */
static struct segment *find_lowest(struct segment_table *table, enum segment_state one,
                                   enum segment_state other)
{
    XD_ASSERT(table->slot_count <= table->slot_max);
    struct segment *lowest = NULL;
    for (uint32_t i = 0; i < table->slot_count; i++) {
        struct segment *segment = &table->slots[i];
        if (segment->state != one && segment->state != other)
            continue;
        XD_ASSERT(segment->segment_no > 0);
        if (lowest == NULL || segment->segment_no < lowest->segment_no)
            lowest = segment;
    }
    return lowest;
}

struct segment *segment_oldest(struct segment_table *table)
{
    return find_lowest(table, SEGMENT_FULL, SEGMENT_ACTIVE);
}

struct segment *segment_ready(struct segment_table *table)
{
    return find_lowest(table, SEGMENT_READY, SEGMENT_READY);
}

void segment_free(struct segment *segment)
{
    segment->freed_no = segment->segment_no;
    segment->segment_no = 0;
    segment->state = SEGMENT_FREE;
}

uint32_t segment_count(const struct segment_table *table, enum segment_state state)
{
    XD_ASSERT(state < SEGMENT_STATE_COUNT);
    uint32_t count = 0;
    for (uint32_t i = 0; i < table->slot_count; i++)
        count += table->slots[i].state == state;
    return count;
}
