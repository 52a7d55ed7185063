/* SPDX-License-Identifier: Apache-2.0
 *
 * Partition index over a pool of chunks. See index.h.
 *
 * Chunk n of a partition jumps to chunk n - t, where t is the smallest term when n is written
 * greedily as a sum of terms 2^k - 1 (a skew-binary number). Any monotone search from the newest
 * chunk backward then visits O(log n) chunks. Trimming at the front does not move links: whatever
 * lies below first_number is older than every target, so it is never followed.
 */
#include "broker/log/index.h"

#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

static_assert(XD_BLOCK_ALIGN == 4096 && XD_BLOCK_BYTES_MAX / XD_BLOCK_ALIGN <= 0xfff,
              "a block's size fits below its position");

uint32_t index_chunks_max(uint64_t bytes)
{
    uint64_t count = bytes / sizeof(struct index_chunk);

    return count < INDEX_NONE ? (uint32_t)count : INDEX_NONE - 1;
}

void index_init(struct index *index, struct index_chunk *chunks, uint32_t chunk_count,
                struct index_partition *partitions, uint32_t partition_count)
{
    XD_ASSERT(chunk_count > 0 && chunk_count < INDEX_NONE);
    XD_ASSERT(partition_count > 0);
    *index = (struct index){.chunks = chunks,
                            .partitions = partitions,
                            .chunk_count = chunk_count,
                            .chunk_free = chunk_count,
                            .partition_count = partition_count};
    for (uint32_t i = 0; i < chunk_count; i++)
        chunks[i].next = i + 1 < chunk_count ? i + 1 : INDEX_NONE;
    for (uint32_t i = 0; i < partition_count; i++)
        partitions[i] = (struct index_partition){.oldest = INDEX_NONE, .newest = INDEX_NONE};
}

bool index_room(const struct index *index, uint64_t pending)
{
    uint64_t batches = pending + 1;
    uint64_t partitions = batches < index->partition_count ? batches : index->partition_count;

    XD_ASSERT(index->chunk_free <= index->chunk_count);
    /* Every partition may have to begin a chunk, and all entries fill so many further ones. */
    return index->chunk_free >= partitions + batches / INDEX_CHUNK_ENTRIES;
}

/* The chunk number that chunk `number` jumps to: `number` without the smallest term of its greedy
 * sum of terms 2^k - 1. */
static uint64_t jump_number_of(uint64_t number)
{
    uint64_t rest = number;
    uint64_t term = 1;

    if (number == 0)
        return 0;
    while (term <= number / 2)
        term = 2 * term + 1;
    while (rest > 0) {
        while (term > rest)
            term /= 2;
        rest -= term;
    }
    XD_ASSERT(term > 0 && term <= number);
    return number - term;
}

/* The chunk that a new chunk behind `partition->newest` jumps to. It is reached from the newest one
 * in at most two steps; one that is trimmed already is not needed. */
static uint32_t jump_chunk(const struct index *index, const struct index_partition *partition,
                           uint64_t jump_number)
{
    const struct index_chunk *newest = &index->chunks[partition->newest];

    XD_ASSERT(partition->newest != INDEX_NONE && jump_number <= newest->number);
    if (jump_number == newest->number)
        return partition->newest;
    if (jump_number < partition->first_number)
        return INDEX_NONE;
    return index->chunks[newest->jump].jump;
}

/* Links a fresh chunk behind the newest one of a partition; -ENOSPC when the pool is empty. */
static int chunk_add(struct index *index, struct index_partition *partition)
{
    uint32_t at = index->free_first;
    struct index_chunk *chunk;

    XD_ASSERT((partition->newest == INDEX_NONE) == (partition->oldest == INDEX_NONE));
    XD_ASSERT((index->chunk_free == 0) == (at == INDEX_NONE));
    if (at == INDEX_NONE)
        return -ENOSPC;
    XD_ASSERT(at < index->chunk_count && index->chunk_free > 0);
    chunk = &index->chunks[at];
    index->free_first = chunk->next;
    index->chunk_free--;
    chunk->number = partition->next_number++;
    chunk->jump_number = jump_number_of(chunk->number);
    chunk->previous = partition->newest;
    chunk->next = INDEX_NONE;
    chunk->jump = INDEX_NONE;
    chunk->first = 0;
    chunk->count = 0;
    chunk->reserved = 0;
    if (partition->newest == INDEX_NONE) {
        partition->oldest = at;
        partition->first_number = chunk->number;
    } else {
        chunk->jump = jump_chunk(index, partition, chunk->jump_number);
        XD_ASSERT(chunk->jump == INDEX_NONE ||
                  index->chunks[chunk->jump].number == chunk->jump_number);
        index->chunks[partition->newest].next = at;
    }
    partition->newest = at;
    return 0;
}

static int entry_add(struct index *index, struct index_partition *partition,
                     const struct index_entry *entry)
{
    struct index_chunk *chunk;
    int status;

    if (partition->newest == INDEX_NONE ||
        index->chunks[partition->newest].count == INDEX_CHUNK_ENTRIES) {
        status = chunk_add(index, partition);
        if (status < 0)
            return status;
    }
    chunk = &index->chunks[partition->newest];
    XD_ASSERT(chunk->count < INDEX_CHUNK_ENTRIES && chunk->first <= chunk->count);
    XD_ASSERT(entry->place > partition->last_place); /* positions rise along a partition */
    chunk->entries[chunk->count++] = *entry;
    partition->last_place = entry->place;
    index->entry_count++;
    return 0;
}

int index_add(struct index *index, const struct xd_batch_header *batch, uint64_t position,
              uint32_t block_bytes)
{
    struct index_partition *partition;
    struct index_entry entry = {.base_offset = batch->base_offset,
                                .place = position | block_bytes / XD_BLOCK_ALIGN,
                                .append_time_us = batch->append_time_us};
    int status;

    XD_ASSERT(position % XD_BLOCK_ALIGN == 0 && block_bytes % XD_BLOCK_ALIGN == 0);
    XD_ASSERT(block_bytes > 0 && block_bytes <= XD_BLOCK_BYTES_MAX);
    if (batch->record_count == 0 || batch->partition == XD_PARTITION_NONE)
        return 0;
    if (batch->partition >= index->partition_count)
        return XD_OPTION_INVALID;
    partition = &index->partitions[batch->partition];
    if (batch->base_offset != partition->end_offset || entry.place < partition->last_place)
        return XD_LOG_CORRUPT;
    XD_ASSERT(partition->first_offset <= partition->end_offset);
    if (partition->last_place != entry.place) {
        status = entry_add(index, partition, &entry);
        if (status < 0)
            return status;
    }
    partition->end_offset += batch->record_count;
    partition->last_time_us = batch->append_time_us;
    return 0;
}

/* What a search compares: entries strictly before the wanted place give true. */
static bool is_at_or_before(const struct index_entry *entry, bool by_time, uint64_t offset,
                            int64_t time_us)
{
    return by_time ? entry->append_time_us < time_us : entry->base_offset <= offset;
}

/* The last entry for which is_at_or_before() holds. */
static int search(const struct index *index, const struct index_partition *partition, bool by_time,
                  uint64_t offset, int64_t time_us, struct index_cursor *ret_cursor)
{
    uint32_t at = partition->newest;
    const struct index_chunk *chunk;
    uint16_t low;
    uint16_t high;

    while (at != INDEX_NONE) {
        chunk = &index->chunks[at];
        if (is_at_or_before(&chunk->entries[chunk->first], by_time, offset, time_us))
            break;
        if (at == partition->oldest)
            return -ENOENT;
        at = chunk->previous;
        if (chunk->jump != INDEX_NONE && chunk->jump_number >= partition->first_number) {
            const struct index_chunk *far = &index->chunks[chunk->jump];

            if (!is_at_or_before(&far->entries[far->first], by_time, offset, time_us))
                at = chunk->jump;
        }
    }
    if (at == INDEX_NONE)
        return -ENOENT;
    XD_ASSERT(chunk->number >= partition->first_number && chunk->first < chunk->count);
    low = chunk->first;
    high = chunk->count;
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);

        if (is_at_or_before(&chunk->entries[middle], by_time, offset, time_us))
            low = middle;
        else
            high = middle;
    }
    XD_ASSERT(low >= chunk->first && high <= chunk->count);
    *ret_cursor = (struct index_cursor){.chunk = at, .entry = low};
    return 0;
}

int index_find(const struct index *index, uint32_t partition, uint64_t offset,
               struct index_cursor *ret_cursor)
{
    XD_ASSERT(partition < index->partition_count);
    return search(index, &index->partitions[partition], false, offset, 0, ret_cursor);
}

bool index_next(const struct index *index, struct index_cursor *cursor)
{
    const struct index_chunk *chunk = &index->chunks[cursor->chunk];

    XD_ASSERT(cursor->entry >= chunk->first && cursor->entry < chunk->count);
    if (cursor->entry + 1 < chunk->count) {
        cursor->entry++;
        return true;
    }
    if (chunk->next == INDEX_NONE)
        return false;
    XD_ASSERT(index->chunks[chunk->next].number == chunk->number + 1);
    cursor->chunk = chunk->next;
    cursor->entry = index->chunks[chunk->next].first;
    return true;
}

uint64_t index_seek_time(const struct index *index, uint32_t partition, int64_t time_us)
{
    const struct index_partition *p = &index->partitions[partition];
    struct index_cursor cursor;

    XD_ASSERT(partition < index->partition_count && p->first_offset <= p->end_offset);
    if (p->oldest == INDEX_NONE || p->last_time_us < time_us)
        return p->end_offset;
    if (search(index, p, true, 0, time_us, &cursor) < 0)
        return p->first_offset;
    return index_at(index, cursor)->base_offset;
}

static void chunk_free_oldest(struct index *index, struct index_partition *partition)
{
    uint32_t at = partition->oldest;
    struct index_chunk *chunk = &index->chunks[at];

    XD_ASSERT(chunk->first == chunk->count);
    XD_ASSERT(chunk->number == partition->first_number);
    partition->oldest = chunk->next;
    partition->first_number = chunk->number + 1;
    if (partition->oldest == INDEX_NONE)
        partition->newest = INDEX_NONE;
    chunk->next = index->free_first;
    index->free_first = at;
    index->chunk_free++;
    XD_ASSERT(index->chunk_free <= index->chunk_count);
}

void index_trim(struct index *index, uint32_t partition, uint64_t position)
{
    struct index_partition *p = &index->partitions[partition];
    const uint64_t first_offset = p->first_offset; /* only rises */

    XD_ASSERT(partition < index->partition_count);
    while (p->oldest != INDEX_NONE) {
        struct index_chunk *chunk = &index->chunks[p->oldest];

        while (chunk->first < chunk->count &&
               index_position(&chunk->entries[chunk->first]) < position) {
            XD_ASSERT(index->entry_count > 0);
            chunk->first++;
            index->entry_count--;
        }
        if (chunk->first < chunk->count) {
            XD_ASSERT(chunk->entries[chunk->first].base_offset >= first_offset);
            p->first_offset = chunk->entries[chunk->first].base_offset;
            return;
        }
        chunk_free_oldest(index, p);
        p->first_offset = p->end_offset;
    }
}

static uint64_t partition_entries(const struct index *index, const struct index_partition *p)
{
    uint64_t count = 0;

    XD_ASSERT(p->next_number >= p->first_number);
    for (uint32_t at = p->oldest; at != INDEX_NONE; at = index->chunks[at].next)
        count += (uint64_t)index->chunks[at].count - index->chunks[at].first;
    return count;
}

uint64_t index_saved_bytes(const struct index *index)
{
    uint64_t bytes = index->entry_count * sizeof(struct index_entry);

    for (uint32_t i = 0; i < index->partition_count; i++)
        bytes += index->partitions[i].end_offset > 0 ? sizeof(struct index_saved) : 0;
    return bytes;
}

uint64_t index_saved_bytes_max(uint32_t chunk_count, uint32_t partition_count)
{
    return (uint64_t)chunk_count * INDEX_CHUNK_ENTRIES * sizeof(struct index_entry) +
           (uint64_t)partition_count * sizeof(struct index_saved);
}

uint64_t index_save(const struct index *index, uint8_t *out)
{
    uint8_t *to = out;

    for (uint32_t i = 0; i < index->partition_count; i++) {
        const struct index_partition *p = &index->partitions[i];
        struct index_saved saved = {.partition = i,
                                    .entry_count = partition_entries(index, p),
                                    .first_offset = p->first_offset,
                                    .end_offset = p->end_offset,
                                    .last_time_us = p->last_time_us};

        if (p->end_offset == 0)
            continue;
        memcpy(to, &saved, sizeof(saved));
        to += sizeof(saved);
        for (uint32_t at = p->oldest; at != INDEX_NONE; at = index->chunks[at].next) {
            const struct index_chunk *chunk = &index->chunks[at];
            size_t count = (size_t)(chunk->count - chunk->first);

            memcpy(to, &chunk->entries[chunk->first], count * sizeof(struct index_entry));
            to += count * sizeof(struct index_entry);
        }
    }
    XD_ASSERT((uint64_t)(to - out) == index_saved_bytes(index));
    return (uint64_t)(to - out);
}

/* Entries of one partition, checked to rise. */
static int partition_load(struct index *index, const struct index_saved *saved, const uint8_t *data)
{
    struct index_partition *p = &index->partitions[saved->partition];
    uint64_t place = 0;
    uint64_t offset = saved->first_offset;

    if (p->end_offset > 0 || saved->end_offset == 0 || saved->first_offset > saved->end_offset)
        return XD_CHECKPOINT_CORRUPT;
    if (saved->entry_count == 0 && saved->first_offset != saved->end_offset)
        return XD_CHECKPOINT_CORRUPT;
    for (uint64_t i = 0; i < saved->entry_count; i++) {
        struct index_entry entry;
        int status;

        memcpy(&entry, data + i * sizeof(entry), sizeof(entry));
        if (entry.base_offset < offset || entry.base_offset >= saved->end_offset ||
            entry.place <= place || index_block_bytes(&entry) == 0 ||
            index_block_bytes(&entry) > XD_BLOCK_BYTES_MAX ||
            (i == 0 && entry.base_offset != saved->first_offset))
            return XD_CHECKPOINT_CORRUPT;
        offset = entry.base_offset + 1;
        place = entry.place;
        status = entry_add(index, p, &entry);
        if (status < 0)
            return status;
    }
    p->first_offset = saved->first_offset;
    p->end_offset = saved->end_offset;
    p->last_time_us = saved->last_time_us;
    return 0;
}

int index_load(struct index *index, const uint8_t *data, uint64_t bytes, uint64_t kept_from)
{
    uint64_t at = 0;

    while (at < bytes) {
        struct index_saved saved;
        int status;

        if (bytes - at < sizeof(saved))
            return XD_CHECKPOINT_CORRUPT;
        memcpy(&saved, data + at, sizeof(saved));
        at += sizeof(saved);
        if (saved.reserved != 0 || saved.entry_count > (bytes - at) / sizeof(struct index_entry))
            return XD_CHECKPOINT_CORRUPT;
        if (saved.partition >= index->partition_count)
            return XD_OPTION_INVALID;
        status = partition_load(index, &saved, data + at);
        if (status < 0)
            return status;
        at += saved.entry_count * sizeof(struct index_entry);
        index_trim(index, saved.partition, kept_from);
    }
    return 0;
}
