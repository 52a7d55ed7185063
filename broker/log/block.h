/* SPDX-License-Identifier: Apache-2.0
 *
 * Commit blocks: what one group commit writes. A 128-byte header, whole batches behind it, zeros up
 * to the next 4 KiB. Byte table and validity rule: README.md of this folder.
 *
 * What each part protects against:
 *   header_xxh3  a torn or rotten header; its seed (uuid, segment, epoch) makes the old bytes of a
 *                recycled slot invalid
 *   position     a misdirected write or read
 *   chain_xxh3   a missing, swapped or altered block: it runs over the previous chain value and
 * over every batch header, each of which holds the hash of its own body durable_index  tells a torn
 * tail from corruption during recovery
 *
 * Pure functions over memory. Must not know files.
 */
#ifndef CROSSDOCK_LOG_BLOCK_H
#define CROSSDOCK_LOG_BLOCK_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/batch.h"
#include "wire/limits.h"

#define BLOCK_MAGIC 0x314b4458u /* "XDK1" */
#define BLOCK_VERSION 1u
#define BLOCK_HEADER_BYTES 128u

enum block_type {
    BLOCK_DATA = 1,       /* batches */
    BLOCK_BARRIER = 2,    /* reserved for replication */
    BLOCK_CHANGE = 3,     /* reserved for replication */
    BLOCK_CHECKPOINT = 4, /* reserved: state hash comparison */
    BLOCK_SEAL = 128,     /* local: go on in the next segment */
    BLOCK_MARK = 129      /* local: data before it is durable */
};

struct block_header {
    uint64_t header_xxh3;    /*   0 of bytes 8..127, seed block_seed() */
    uint32_t magic;          /*   8 BLOCK_MAGIC */
    uint16_t version;        /*  12 BLOCK_VERSION */
    uint16_t type;           /*  14 enum block_type; unknown = stop */
    uint64_t epoch;          /*  16 raised at every open and every log cut */
    uint64_t block_sequence; /*  24 +1 for each block of this shard, local ones included */
    uint64_t durable_index;  /*  32 highest index known durable when this block was closed */
    uint64_t term;           /*  40 1 with one replica */
    uint64_t index;      /*  48 +1 for each block that is not local; local ones repeat the last */
    uint64_t prev_chain; /*  56 chain of the previous block; local blocks leave it as it is */
    uint64_t chain;      /*  64 see block_chain() */
    uint32_t payload_bytes; /*  72 batches with bitmaps and their padding to 8 */
    uint32_t block_bytes;   /*  76 header + payload + zero padding, multiple of 4096 */
    uint32_t batch_count;   /*  80 */
    uint32_t record_count;  /*  84 */
    int64_t write_time_us;  /*  88 informative */
    uint64_t position;    /*  96 log position: segment_no x segment_bytes + place in the segment */
    uint32_t shard;       /* 104 */
    uint32_t flags;       /* 108 zero */
    uint8_t reserved[16]; /* 112 zero */
};
static_assert(sizeof(struct block_header) == BLOCK_HEADER_BYTES, "block header size");
static_assert(offsetof(struct block_header, position) == 96, "block header layout");

/* What identifies the log and segment that a block belongs to. */
struct block_identity {
    uint8_t log_uuid[16];   /* of the data folder */
    uint64_t segment_no;    /* */
    uint64_t segment_bytes; /* */
    uint64_t epoch;         /* of the block (from its header when reading) */
    uint32_t shard;         /* */
};

/* Seed of header_xxh3: XXH3 over uuid, segment_no, epoch. */
uint64_t block_seed(const struct block_identity *identity);

/* Chain value over prev_chain, term, index, type, payload_bytes, batch_count, record_count, and
 * every batch header and suppression bitmap of the payload at `block + 1`. The payload's structure
 * must have been walked (block_check_payload) or be our own. */
uint64_t block_chain(const struct block_header *block);

/* Sets magic, version, position, sizes' padding (zeroes up to block_bytes), chain and header hash.
 * type, epoch, block_sequence, durable_index, term, index, prev_chain, payload_bytes, counts and
 * write_time_us must be set; block_bytes is computed; memory up to it must be writable. */
void block_seal(struct block_header *block, const struct block_identity *identity,
                uint64_t position);

/* Header alone: hash, magic, version, shard, position, sizes within limits and inside the segment,
 * reserved zero. Returns 0, or XD_LOG_CORRUPT; XD_FORMAT_UNKNOWN for a newer version or an unknown
 * type under a valid hash; *ret_why is static text. */
int block_check_header(const struct block_header *block, const struct block_identity *identity,
                       uint64_t position, const char **ret_why);

/* Payload of a block whose header is valid and whose block_bytes are in memory: batch structure,
 * counts, padding zero, chain, and (hashes = 1) every batch hash. *ret_at is the byte in the block
 * where it went wrong. */
int block_check_payload(const struct block_header *block, int hashes, uint32_t *ret_at,
                        const char **ret_why);

/* Walks batches: *cursor starts at 0; returns the next batch or NULL behind the last. The payload
 * must have been checked. */
const struct xd_batch_header *block_next_batch(const struct block_header *block, uint32_t *cursor);

#endif
