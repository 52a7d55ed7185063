/* SPDX-License-Identifier: Apache-2.0
 *
 * Extents: a small cache of log bytes that left the memory tail.
 *
 * Normal path: a block that is not in the tail is read with O_DIRECT, and with it what follows, up
 * to 1 MiB; every whole block in it is verified once when it arrives, hashes included. At most two
 * reads are in flight, so that readers do not take the disk from the log. The extent that was not
 * used for longest makes room.
 *
 * Failure path: a wanted block that does not verify is read once more, alone; then it is corrupt:
 * its range is remembered, its bytes go to quarantine/, whoever needs it gets XD_RANGE_QUARANTINED,
 * everybody else goes on. It is never served. Only blocks that the index names are judged, so only
 * durable ones; damage behind them in the same extent just ends it.
 */
#ifndef CROSSDOCK_LOG_EXTENT_H
#define CROSSDOCK_LOG_EXTENT_H

#include "broker/io/env.h"
#include "broker/log/block.h"
#include "broker/log/index.h"
#include "broker/log/quarantine.h"

#include <stdbool.h>
#include <stdint.h>

struct log;

/* Size of one, of the reads, and the most that are in flight. */
#define EXTENT_BYTES (1024u * 1024u)
#define EXTENT_INFLIGHT_MAX 2u
/* Corrupt blocks that are remembered; further ones are refused too, but read again each time. */
#define EXTENT_RANGES_MAX 64u
/* Reads before a block is called corrupt: the second excludes a fault on the way from the disk. */
#define EXTENT_ATTEMPTS 2u

enum extent_state {
    EXTENT_FREE,
    EXTENT_LOADING, /* its memory belongs to the env */
    EXTENT_VALID,   /* `bytes` of it are verified blocks */
    EXTENT_BAD      /* its first block is corrupt and waits for, or is in, quarantine */
};

struct extent {
    uint8_t *memory;   /* EXTENT_BYTES, 4 KiB aligned */
    uint64_t position; /* log position of its first block */
    uint64_t used;     /* stamp of the last use */
    uint32_t bytes;    /* LOADING: asked for; VALID: verified; BAD: of the corrupt block */
    uint32_t got;      /* LOADING: bytes that have arrived */
    uint32_t wanted;   /* size of the first block, as the index knows it */
    uint8_t state;     /* enum extent_state */
    uint8_t attempts;  /* reads that did not give the first block */
};

struct extent_range {
    uint64_t position; /* log position of a corrupt block */
    uint64_t bytes;    /* */
};

struct extents {
    struct extent *extents; /* the cache */
    uint32_t count;         /* */
    uint32_t inflight;      /* extents LOADING */
    uint32_t range_count;   /* */
    uint64_t stamp;         /* rises with every use */
    uint64_t finished;      /* reads finished, see log_reads_finished */
    struct extent_range ranges[EXTENT_RANGES_MAX];
    struct quarantine quarantine; /* one copy at a time */
    uint32_t quarantine_extent;   /* that it copies from */
    bool quarantine_busy;         /* a copy is under way */
    bool quarantine_finishing;    /* its bytes are written, flush and text are not */
};

/* The verified block of an index entry: 0 and *ret_block, borrowed until the next call on the log;
 * -EAGAIN: a read is under way; XD_RANGE_QUARANTINED. *ret_from_disk turns true when the bytes do
 * not come from the tail. */
int extent_block(struct log *log, const struct index_entry *entry,
                 const struct block_header **ret_block, bool *ret_from_disk);
void extent_read_done(struct log *log, const struct env_event *event);

/* Remembers and reports a corrupt range. */
void extent_range_corrupt(struct log *log, uint64_t position, uint64_t bytes, int status);
/* Starts the next copy to quarantine. */
void extent_kick(struct log *log);
void extent_quarantine_done(struct log *log, const struct env_event *event);

/* Whether an operation on the segment is outstanding; if none is, forgets its extents and ranges.
 */
bool extent_busy_or_forget(struct log *log, uint64_t segment_no);

#endif
