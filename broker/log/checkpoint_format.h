/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoint files: the fold's state at one block, and what this replica knows besides.
 *
 *   0      header, one page
 *   4096   fold state, padded with zeros to 4 KiB: the same on every replica
 *   ...    local part, padded with zeros to 4 KiB: segment catalog and index entries
 *
 * Two files, checkpoint.0 and checkpoint.1, hold the even and the odd generations. The body is
 * durable before the header is written, the header before a meta slot names it; a checkpoint that
 * no meta slot names does not exist. Checkpoints are rewritten whole
 * (docs/decisions/0001-whole-checkpoints.md).
 *
 * Bytes only: writing is checkpoint.c's, loading checkpoint_load.c's. Must not look into the state.
 */
#ifndef CROSSDOCK_LOG_CHECKPOINT_FORMAT_H
#define CROSSDOCK_LOG_CHECKPOINT_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define CHECKPOINT_MAGIC 0x31434458u /* "XDC1" */
#define CHECKPOINT_VERSION 1u
#define CHECKPOINT_FOLD_VERSION 1u /* of the state: raised when a fold changes its meaning */
#define CHECKPOINT_HEADER_BYTES 4096u
#define CHECKPOINT_FILES 2u

struct checkpoint_header {
    uint64_t xxh3;           /*   0 of bytes 8..4095, seed 0; meta repeats it */
    uint32_t magic;          /*   8 CHECKPOINT_MAGIC */
    uint16_t version;        /*  12 */
    uint16_t fold_version;   /*  14 */
    uint32_t shard;          /*  16 */
    uint32_t reserved0;      /*  20 zero */
    uint8_t log_uuid[16];    /*  24 of the data folder */
    uint64_t generation;     /*  40 from 1; file checkpoint.(generation % 2) */
    uint64_t epoch;          /*  48 of the broker run that wrote it */
    uint64_t position;       /*  56 log position behind the last folded block: the scan's start */
    uint64_t index;          /*  64 of the last folded block, 0 = none */
    uint64_t term;           /*  72 of the last folded block */
    uint64_t chain;          /*  80 chain value after it */
    uint64_t block_sequence; /*  88 of the block just before position, local ones included */
    uint64_t state_bytes;    /*  96 fold state */
    uint64_t state_xxh3;     /* 104 of those bytes, seed 0 */
    uint64_t local_bytes;    /* 112 local part */
    uint64_t local_xxh3;     /* 120 of those bytes, seed 0 */
    uint64_t segment_bytes;  /* 128 of the log: positions depend on it */
    int64_t created_time_us; /* 136 informative */
    uint8_t reserved1[3952]; /* 144 zero */
};
static_assert(sizeof(struct checkpoint_header) == CHECKPOINT_HEADER_BYTES, "checkpoint header");
static_assert(offsetof(struct checkpoint_header, generation) == 40, "checkpoint header layout");
static_assert(offsetof(struct checkpoint_header, reserved1) == 144, "checkpoint header layout");

/* "checkpoint.0" or "checkpoint.1"; ret_name of ENV_NAME_BYTES_MAX. */
void checkpoint_name(uint64_t generation, char *ret_name);

/* Place of the local part in the body, counted from the body's start: state_bytes rounded up. The
 * body starts at CHECKPOINT_HEADER_BYTES in the file. */
uint64_t checkpoint_local_at(uint64_t state_bytes);
/* Bytes of the whole body, a multiple of 4096. */
uint64_t checkpoint_body_bytes(uint64_t state_bytes, uint64_t local_bytes);

/* Sets magic, version, fold_version, both body hashes and the header's own. Sizes and everything
 * else must be set; `body` is laid out as above, and padding in it is zeroed here. */
void checkpoint_seal(struct checkpoint_header *header, uint8_t *body);

/* 0, XD_CHECKPOINT_CORRUPT, XD_FORMAT_UNKNOWN (valid hash, newer version or fold version),
 * XD_LOG_FOREIGN (other uuid or shard); *ret_why is static text. */
int checkpoint_check_header(const struct checkpoint_header *header, const uint8_t log_uuid[16],
                            uint32_t shard, const char **ret_why);
/* Body of a checked header: 0 or XD_CHECKPOINT_CORRUPT. */
int checkpoint_check_body(const struct checkpoint_header *header, const uint8_t *body,
                          const char **ret_why);

#endif
