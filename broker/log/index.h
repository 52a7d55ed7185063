/* SPDX-License-Identifier: Apache-2.0
 *
 * The partition index: which blocks hold batches of a partition, and from which offset on.
 *
 * One entry of 24 bytes per (partition, block). The entries of a partition lie in chunks of 256
 * bytes from one pool, linked oldest to newest: small, because every partition has one that is
 * partly empty. Each chunk also links to its predecessor and to one far older chunk, chosen as in a
 * skew-binary list, so a look-up from the newest chunk takes O(log n) steps while adding at the end
 * and trimming at the front stay O(1).
 *
 * Normal path: index_add for every batch that became durable, index_find and index_next for
 * readers, index_trim when retention drops a segment, index_save and index_load for checkpoints.
 * Failure path: index_room says beforehand that the budget is used up; the log then throttles.
 *
 * Control batches (no records) and XD_PARTITION_NONE are not indexed. Must not do I/O.
 */
#ifndef CROSSDOCK_LOG_INDEX_H
#define CROSSDOCK_LOG_INDEX_H

#include "wire/batch.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#define INDEX_CHUNK_BYTES 256u
#define INDEX_CHUNK_ENTRIES 9u
#define INDEX_NONE 0xffffffffu

struct index_entry {
    uint64_t base_offset;   /* of the partition's first batch in the block */
    uint64_t place;         /* log position | block_bytes / 4096: positions are multiples of 4096 */
    int64_t append_time_us; /* of that batch */
};

struct index_chunk {
    uint64_t number;      /* of this chunk in its partition, +1 each */
    uint64_t jump_number; /* number of the chunk that `jump` meant */
    uint32_t previous;    /* chunk before, INDEX_NONE in the first ever */
    uint32_t next;        /* chunk behind, or the next free one */
    uint32_t jump;        /* an older chunk; only believed while jump_number is not trimmed */
    uint16_t first;       /* entries below are trimmed */
    uint16_t count;       /* entries used, trimmed ones included */
    struct index_entry entries[INDEX_CHUNK_ENTRIES]; /* in rising sequence */
    uint64_t reserved;                               /* fills the 256 bytes, zero */
};
static_assert(sizeof(struct index_chunk) == INDEX_CHUNK_BYTES, "index chunk size");

struct index_partition {
    uint64_t first_offset; /* first one kept */
    uint64_t end_offset;   /* behind the last durable record */
    uint64_t last_place;   /* of the newest entry; 0 = none was ever added */
    int64_t last_time_us;  /* append time of the newest batch */
    uint64_t first_number; /* number of the oldest chunk kept */
    uint64_t next_number;  /* number that the next chunk gets */
    uint32_t oldest;       /* chunk, INDEX_NONE = no entry */
    uint32_t newest;       /* chunk */
};

struct index {
    struct index_chunk *chunks;         /* the pool */
    struct index_partition *partitions; /* by partition number */
    uint32_t chunk_count;               /* chunks in the pool */
    uint32_t chunk_free;                /* of them free */
    uint32_t free_first;                /* head of the free list, INDEX_NONE = empty */
    uint32_t partition_count;           /* size of the table */
    uint64_t entry_count;               /* entries kept */
};

/* Names an entry; valid until the next index_add or index_trim of its partition. */
struct index_cursor {
    uint32_t chunk;
    uint16_t entry;
};

static inline uint64_t index_position(const struct index_entry *entry)
{
    return entry->place & ~(uint64_t)0xfff;
}
static inline uint32_t index_block_bytes(const struct index_entry *entry)
{
    return (uint32_t)(entry->place & 0xfff) * 4096u;
}

/* Chunks that a budget of `bytes` gives. */
uint32_t index_chunks_max(uint64_t bytes);

/* The arrays stay the index's. */
void index_init(struct index *index, struct index_chunk *chunks, uint32_t chunk_count,
                struct index_partition *partitions, uint32_t partition_count);

/* True when one more batch can be appended while `pending` batches are on their way to index_add,
 * whatever partitions they are of. */
bool index_room(const struct index *index, uint64_t pending);

/* A batch of a block became durable. 0; XD_LOG_CORRUPT when its offset is not the partition's next
 * or its block lies before the newest one; XD_OPTION_INVALID when the partition is not below
 * partition_count; -ENOSPC when the budget is used up (cannot happen after index_room). */
int index_add(struct index *index, const struct xd_batch_header *batch, uint64_t position,
              uint32_t block_bytes);

/* The last entry whose base_offset is <= offset: 0, or -ENOENT. */
int index_find(const struct index *index, uint32_t partition, uint64_t offset,
               struct index_cursor *ret_cursor);
/* Moves on to the next entry of the partition; false behind the last. */
bool index_next(const struct index *index, struct index_cursor *cursor);
static inline const struct index_entry *index_at(const struct index *index,
                                                 struct index_cursor cursor)
{
    return &index->chunks[cursor.chunk].entries[cursor.entry];
}

/* See log_seek_time. */
uint64_t index_seek_time(const struct index *index, uint32_t partition, int64_t time_us);

/* Drops the entries of a partition below a log position and raises its first offset. */
void index_trim(struct index *index, uint32_t partition, uint64_t position);

/* Serialised form, bytes a multiple of 8: per used partition a struct index_saved, then its
 * entries. Load expects a fresh index and trims entries below log position `kept_from`: 0,
 * XD_CHECKPOINT_CORRUPT, XD_OPTION_INVALID (more partitions than the table has), -ENOSPC (more
 * entries than the budget). */
struct index_saved {
    uint32_t partition;    /* */
    uint32_t reserved;     /* zero */
    uint64_t entry_count;  /* struct index_entry that follow */
    uint64_t first_offset; /* */
    uint64_t end_offset;   /* */
    int64_t last_time_us;  /* */
};
static_assert(sizeof(struct index_saved) == 40, "saved index layout");
uint64_t index_saved_bytes(const struct index *index);
/* Largest index_saved_bytes() of any content. */
uint64_t index_saved_bytes_max(uint32_t chunk_count, uint32_t partition_count);
uint64_t index_save(const struct index *index, uint8_t *out);
int index_load(struct index *index, const uint8_t *data, uint64_t bytes, uint64_t kept_from);

#endif
