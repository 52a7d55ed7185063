/* SPDX-License-Identifier: Apache-2.0
 *
 * The local part of a checkpoint: which segments there are and which blocks hold which partition.
 * It differs between replicas, so it stands outside the fold state and its hash.
 *
 * Little-endian: struct local_header, segment_count x struct local_segment by rising number,
 * then the index (index_save). Bytes that come back from disk are checked although a hash covers
 * them.
 */
#ifndef CROSSDOCK_LOG_LOCAL_H
#define CROSSDOCK_LOG_LOCAL_H

#include <assert.h>
#include <stdint.h>

struct log;

#define LOCAL_MAGIC 0x314c4458u /* "XDL1" */

struct local_header {
    uint32_t magic;         /* 0 LOCAL_MAGIC */
    uint32_t segment_count; /* 4 */
    uint64_t index_bytes;   /* 8 behind the segments */
};
static_assert(sizeof(struct local_header) == 16, "local part layout");

struct local_segment {
    uint64_t segment_no;   /*  0 */
    uint64_t first_index;  /*  8 as in struct segment, as far as the checkpoint's position */
    uint64_t last_index;   /* 16 */
    int64_t first_time_us; /* 24 */
    int64_t last_time_us;  /* 32 */
    uint64_t used_bytes;   /* 40 */
};
static_assert(sizeof(struct local_segment) == 48, "local part layout");

/* Largest local part of any content. */
uint64_t local_bytes_max(uint32_t chunk_count, uint32_t partitions_max);

/* Writes the local part as of append.folded; returns its bytes. */
uint64_t local_save(struct log *log, uint8_t *out);

/* The oldest segment listed; 0 when there is none. */
uint64_t local_first_no(const uint8_t *local, uint64_t bytes);

/* Restores segments and index, after the table has its slots. *ret_first_no is the oldest segment
 * listed. 0, XD_CHECKPOINT_CORRUPT, XD_OPTION_INVALID (partitions_max too small), -ENOSPC
 * (index_bytes too small). */
int local_restore(struct log *log, const uint8_t *local, uint64_t bytes, uint64_t *ret_first_no);

#endif
