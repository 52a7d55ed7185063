/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a data folder: which are there, and which segment each wal file holds.
 *
 * Normal path: folder_list, folder_open (all wal files, headers into the table), folder_keep_run
 * once it is known where the scan starts, folder_settle once it is known where it ended.
 * Failure paths: a wal file whose header is unreadable is probed for a block of a number that is
 * missing; without one it is a free slot. Files of another log, shard or release stop the start.
 *
 * Blocking, recovery only. Must not write.
 */
#ifndef CROSSDOCK_LOG_FOLDER_H
#define CROSSDOCK_LOG_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/env.h"
#include "broker/log/meta.h"
#include "broker/log/segment.h"

#define FOLDER_META "meta"
/* Bytes read from each wal file: its header and its first block's header. */
#define FOLDER_PROBE_BYTES 8192u

struct folder {
    bool meta;                               /* the meta file is there */
    bool checkpoints;                        /* at least one checkpoint file is */
    uint32_t slot_count;                     /* highest slot number + 1 */
    uint8_t present[SEGMENT_SLOTS_MAX / 8u]; /* bit per slot: the file is there */
    uint8_t adopted[SEGMENT_SLOTS_MAX / 8u]; /* bit per slot: header damaged, number taken from
                                                its first block */
};

static inline bool folder_bit(const uint8_t *bits, uint32_t slot)
{
    return ((uint32_t)bits[slot / 8u] >> (slot % 8u) & 1u) != 0;
}

/* 0 or -errno; names that are not the log's are left alone. */
int folder_list(struct env *env, struct folder *ret_folder, char *why);

/* Opens every wal file and fills the table: FULL with a number, or FREE; `zeroed` is 0 for a file
 * shorter than a segment. Of two files with one number the one prepared in the later epoch counts,
 * as numbers are given out again only after an epoch was raised. A slot that has no file has file
 * -1. `scratch` is FOLDER_PROBE_BYTES, 4 KiB aligned. On failure the files are open: folder_close.
 */
int folder_open(struct env *env, struct folder *folder, const struct meta *meta,
                struct segment_table *table, uint8_t *scratch, char *why);
void folder_close(struct env *env, struct segment_table *table);

/* The lowest missing number between the oldest segment from first_no on and scan_no; 0 = none. */
uint64_t folder_gap(struct segment_table *table, uint64_t first_no, uint64_t scan_no);

/* Frees slots whose number lies below a gap under segment `scan_no`: they are older than what the
 * checkpoint lists (folder_gap was asked), so what is left of them is no log. */
void folder_keep_run(struct segment_table *table, uint64_t scan_no);

/* Final states around segment `point_no`, where appending goes on. Returns its slot, or UINT32_MAX
 * when that segment has no file yet; table->active and next_no are set. */
uint32_t folder_settle(struct segment_table *table, uint64_t point_no);

/* 1 when the segment's first block has a valid header, 0 when not, -errno of the engine. *ret_epoch
 * is that block's epoch. */
int folder_first_block(struct env *env, const struct segment *segment, const struct meta *meta,
                       uint8_t *scratch, uint64_t *ret_epoch);

#endif
