/* SPDX-License-Identifier: Apache-2.0
 *
 * Recovery: from the bytes of a data folder to a log that can be appended to.
 *
 * Normal path:
 *   recover_open   lists the folder, chooses a meta slot, opens every wal file, loads the newest
 *                  usable checkpoint
 *   (the caller restores index and catalog from the checkpoint's local part)
 *   recover_next   gives every whole block behind the checkpoint, in sequence, fully checked
 *   recover_end    quarantines and cuts a torn tail, flushes what was read back, raises the epoch
 * Failure paths: a block that was durable and is not whole any more stops recovery with
 *   XD_LOG_CORRUPT after its bytes have been copied to quarantine/; nothing is ever cut then. A
 * newer version stops with XD_FORMAT_UNKNOWN. Every step may be repeated after a crash. An empty
 * folder is recovered like any other: recover_open makes up a meta, recover_next gives nothing,
 * recover_end writes the meta. Segments are made by the caller in either case.
 *
 * Blocking; to be called while no other operation is outstanding on the env: completions that are
 * not its own are dropped. Must not fold, index or keep anything of the payload.
 */
#ifndef CROSSDOCK_LOG_RECOVER_H
#define CROSSDOCK_LOG_RECOVER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/env.h"
#include "broker/log/block.h"
#include "broker/log/checkpoint_format.h"
#include "broker/log/log.h"
#include "broker/log/meta.h"
#include "broker/log/point.h"
#include "broker/log/scan.h"
#include "broker/log/segment.h"
#include "broker/log/verdict.h"

#define RECOVER_NO_SLOT UINT32_MAX
#define RECOVER_NEWS_MAX 16u

struct recover_options {
    struct env *env;             /* */
    struct segment_table *table; /* slots points at slot_max entries, slot_max <=
                                    SEGMENT_SLOTS_MAX; the rest is filled in here */
    uint8_t *scan_memory;        /* SCAN_BYTES, 4 KiB aligned; free again after recover_end */
    uint8_t *checkpoint_memory;  /* 4 KiB aligned; body of the checkpoint; kept by the caller */
    uint64_t checkpoint_bytes;   /* size of that, multiple of 4096 */
    uint64_t segment_bytes;      /* as configured */
    uint32_t shard;              /* */
    uint32_t shard_count;        /* */
};

enum recover_phase {
    RECOVER_CLOSED,   /* before recover_open, after a failure */
    RECOVER_SCANNING, /* recover_next */
    RECOVER_SCANNED,  /* recover_next gave 0 */
    RECOVER_DONE      /* recover_end gave 0 */
};

/* In the caller's memory; fields are for reading. */
struct recover {
    struct recover_options options;
    struct meta meta;                     /* the chosen slot; after recover_end what is on disk */
    struct checkpoint_header checkpoint;  /* the loaded one; generation 0 = none */
    const uint8_t *state;                 /* fold state in checkpoint_memory, NULL = none */
    const uint8_t *local;                 /* local part in checkpoint_memory, NULL = none */
    uint64_t checkpoint_other_position;   /* position of the other valid checkpoint, 0 = none:
                                             segments from min(both) on must be kept */
    uint64_t checkpoint_other_generation; /* its generation, 0 = none */
    env_file meta_file;                   /* open for DSYNC writes, handed on to the caller; -1 */
    uint32_t active;                      /* after recover_end: slot that holds point.position, or
                                             RECOVER_NO_SLOT: that segment must be made first */
    bool created;                         /* the folder was empty */
    bool checkpoints;                     /* the folder holds checkpoint files, named or not */
    uint8_t phase;                        /* enum recover_phase */

    /* After recover_end the point is where appending goes on: position, index, sequence and chain
     * of the next block, epoch and term it must carry. */
    struct recover_point point;

    /* For the caller's news, oldest first. More than RECOVER_NEWS_MAX are counted only. */
    struct log_news news[RECOVER_NEWS_MAX];
    uint32_t news_count;
    uint32_t news_dropped;

    /* the scan's own */
    struct scan scan;       /* read-ahead over the segment being scanned */
    uint64_t read_again;    /* log position of the last block that was read twice, 0 = none */
    bool scan_open;         /* the scan covers the segment of point.position */
    uint64_t scan_from;     /* log position where it started */
    uint64_t scan_to;       /* estimate of where it ends, for the percentage */
    struct verdict verdict; /* on the last bad block */
};

/* One whole block. */
struct recover_block {
    const struct block_header *block; /* batches behind it; borrowed until the next call */
    uint64_t position;                /* log position */
    bool local;                       /* SEAL or MARK: repeats the last index, holds nothing */
};

/* 0, or: -errno of the folder; XD_LOG_CORRUPT; XD_LOG_FOREIGN (files of another log or shard);
 * XD_OPTION_INVALID (segment_bytes, shard_count or memory do not fit the folder);
 * XD_FORMAT_UNKNOWN; XD_CHECKPOINT_CORRUPT. `why` (XD_DETAIL_BYTES_MAX) says what, where and the
 * next step. On failure call recover_close. */
int recover_open(struct recover *recover, const struct recover_options *options, char *why);

/* 1 and a block; 0 at the end of the log; or a status as above. Updates first_index, last_index,
 * times and used_bytes of the block's segment in the table (first_* only while they are 0, so a
 * catalog restored before is kept). */
int recover_next(struct recover *recover, struct recover_block *ret_block, char *why);

/* After recover_next gave 0. Sets every slot's state: FULL before the point, ACTIVE at it, READY
 * behind it, FREE else; table->next_no is the next number to give out. */
int recover_end(struct recover *recover, char *why);

/* 0..100 */
uint32_t recover_percent(const struct recover *recover);

/* After a failure: waits for reads that are still running and closes every file. Accepts a zeroed
 * object. Not after a successful recover_end: the files are the caller's then. */
void recover_close(struct recover *recover);

#endif
