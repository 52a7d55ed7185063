/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments: preallocated, zero-written files that the log overwrites in place and recycles.
 *
 * A slot is a file (wal.00, wal.01, ...) that is never renamed; which segment it holds is written
 * in its header. segment_no only grows and is never reused. A segment's header is durable before
 * the segment becomes READY, so a roll costs no flush.
 *
 *   FREE -> PREPARING -> READY -> ACTIVE -> FULL -> (retention) FREE
 *
 * This module holds the table and the header's bytes; it must not start I/O.
 */
#ifndef CROSSDOCK_LOG_SEGMENT_H
#define CROSSDOCK_LOG_SEGMENT_H

#include <assert.h>
#include <stdint.h>

#include "broker/io/env.h"

#define SEGMENT_MAGIC 0x31534458u /* "XDS1" */
#define SEGMENT_VERSION 1u
#define SEGMENT_HEADER_BYTES 4096u
#define SEGMENT_KIND_WAL 1u
#define SEGMENT_SLOTS_MAX 4096u
#define SEGMENT_BYTES_MIN (4u * 1024u * 1024u)
#define SEGMENT_BYTES_MAX (1024u * 1024u * 1024u)

struct segment_header {
    uint64_t header_xxh3;    /*  0 of bytes 8..4095, seed 0 */
    uint32_t magic;          /*  8 */
    uint16_t version;        /* 12 */
    uint16_t kind;           /* 14 SEGMENT_KIND_WAL */
    uint32_t shard;          /* 16 */
    uint32_t align_bytes;    /* 20 4096 */
    uint64_t segment_no;     /* 24 from 1 */
    uint64_t segment_bytes;  /* 32 */
    uint64_t epoch;          /* 40 when prepared */
    uint8_t log_uuid[16];    /* 48 */
    int64_t created_time_us; /* 64 */
    uint8_t reserved[4024];  /* 72 zero */
};
static_assert(sizeof(struct segment_header) == SEGMENT_HEADER_BYTES, "segment header size");

void segment_header_seal(struct segment_header *header);
/* 0, XD_LOG_CORRUPT, XD_FORMAT_UNKNOWN (valid hash, newer version), XD_LOG_FOREIGN (other shard or
 * uuid); *ret_why is static text. */
int segment_header_check(const struct segment_header *header, const uint8_t log_uuid[16],
                         uint32_t shard, const char **ret_why);

enum segment_state {
    SEGMENT_FREE,      /* slot holds nothing that is needed */
    SEGMENT_PREPARING, /* zeros or header are being written */
    SEGMENT_READY,     /* header durable, no block yet */
    SEGMENT_ACTIVE,    /* the log appends here */
    SEGMENT_FULL,      /* sealed, kept for readers and recovery */
    SEGMENT_STATE_COUNT
};

struct segment {
    uint64_t segment_no;   /* 0 while FREE */
    uint64_t freed_no;     /* FREE: number of the segment it held, 0 = none is known; slots are used
                              again in this sequence, so that a gap below it proves a loss */
    uint64_t first_index;  /* of its first block with an index, 0 = none yet */
    uint64_t last_index;   /* of its last one */
    int64_t first_time_us; /* append time of its first batch, 0 = none */
    int64_t last_time_us;  /* the highest of its batches */
    uint64_t used_bytes;   /* up to and with the last block */
    env_file file;         /* open handle, -1 when not open */
    uint16_t slot;         /* number in the file name */
    uint8_t state;         /* enum segment_state */
    uint8_t zeroed;        /* 1: every byte has been written once */
    uint32_t epoch;        /* low 32 bits of the epoch it was prepared in, for people */
};

struct segment_table {
    struct segment *slots;  /* slot_count entries, index = slot number */
    uint32_t slot_count;    /* files that exist */
    uint32_t slot_max;      /* files that may exist */
    uint64_t segment_bytes; /* of every segment */
    uint64_t next_no;       /* next number to give out */
    uint32_t active;        /* slot that the log appends to */
};

/* "wal.07"; ret_name of ENV_NAME_BYTES_MAX. */
void segment_name(uint32_t slot, char *ret_name);
/* The slot that holds segment `segment_no`, or NULL. */
struct segment *segment_find(struct segment_table *table, uint64_t segment_no);
/* The FULL or ACTIVE segment with the lowest number, or NULL. */
struct segment *segment_oldest(struct segment_table *table);
/* The READY segment with the lowest number, or NULL. */
struct segment *segment_ready(struct segment_table *table);
/* Makes the slot FREE. The number that it held stays known: it says whose turn it is in prepare.c.
 */
void segment_free(struct segment *segment);
uint32_t segment_count(const struct segment_table *table, enum segment_state state);

/* Log positions: segment_no x segment_bytes + place. */
static inline uint64_t segment_no_of(const struct segment_table *table, uint64_t position)
{
    return position / table->segment_bytes;
}
static inline uint64_t segment_at_of(const struct segment_table *table, uint64_t position)
{
    return position % table->segment_bytes;
}

#endif
