/* SPDX-License-Identifier: Apache-2.0
 *
 * Extents: a small cache of log bytes that left the memory tail.
 *
 * Normal path: a block that is not in the tail is read with O_DIRECT, and with it what follows: up
 * to the last block that somebody waits for, or 1 MiB where the log is read on from what was loaded
 * before. Every whole block is verified once when it arrives, hashes included; the part of a block
 * that came last is carried over into the load that goes on there, so that nothing is read twice.
 * At most two reads are in flight, so that readers do not take the disk from the log; sweep.c says
 * who is next. A reader that got what was loaded for it has its next block loaded ahead, as long as
 * nobody waits. Room is made by the extent that was not used for longest, one that lies ahead of
 * the load last of all, since the reader comes there; never by one whose readers have not come yet.
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
#include "broker/log/sweep.h"

#include <stdbool.h>
#include <stdint.h>

struct log;

/* Size of one, and of the largest reads. */
#define EXTENT_BYTES (1024u * 1024u)
/* Extents this far in front of a load are given up last. Readers pass 64 MiB in less than 0.1 s. */
#define EXTENT_AHEAD_BYTES (64ull << 20)
/* Smallest read where there is more: from this size on the reference device gives its full rate. */
#define EXTENT_READ_BYTES_MIN (256u * 1024u)
/* Reads in flight. */
#define EXTENT_INFLIGHT_MAX 2u
/* Corrupt blocks that are remembered, the newest; the others are refused too, but read again. */
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
    uint8_t *memory;        /* EXTENT_BYTES, 4 KiB aligned */
    uint64_t position;      /* log position of its first block */
    uint64_t used;          /* stamp of the last use */
    uint64_t reader_offset; /* of the read that it was loaded for */
    uint64_t started_ns;    /* when its load was begun, monotonic */
    uint32_t reader;        /* partition of that read; EXTENT_NO_READER once it has come */
    uint32_t bytes;         /* LOADING: to be reached; VALID: verified; BAD: of the corrupt block */
    uint32_t got;      /* bytes that are there; VALID: those behind `bytes` are part of a block */
    uint32_t wanted;   /* size of the first block, as the index knows it */
    uint32_t expected; /* waits that are over by it and have not been taken: it stays for them */
    uint8_t state;     /* enum extent_state */
    uint8_t attempts;  /* reads that did not give the first block */
};

#define EXTENT_NO_READER UINT32_MAX
/* extent_block: the block lies in the memory tail. */
#define EXTENT_IN_TAIL UINT32_MAX

struct extent_range {
    uint64_t position; /* log position of a corrupt block */
    uint64_t bytes;    /* */
};

struct extents {
    struct extent *extents;                /* the cache */
    uint32_t count;                        /* */
    uint32_t inflight;                     /* extents LOADING */
    uint32_t loading[EXTENT_INFLIGHT_MAX]; /* their numbers, `inflight` of them */
    uint32_t range_count;                  /* ranges in use */
    uint32_t range_next;                   /* the one that is replaced next when all are in use */
    uint64_t stamp;                        /* rises with every use */
    uint64_t finished;                     /* reads finished, see log_reads_finished */
    struct sweep sweep;                    /* who waits */
    struct extent_range ranges[EXTENT_RANGES_MAX];
    struct quarantine quarantine; /* one copy at a time */
    uint32_t quarantine_extent;   /* that it copies from */
    bool quarantine_busy;         /* a copy is under way */
    bool quarantine_finishing;    /* its bytes are written, flush and text are not */
};

void extents_init(struct extents *extents, struct extent *memory, uint32_t count, uint8_t *bytes);

/* The verified block of an index entry: 0 and *ret_block, borrowed until the next call on the log,
 * and the number of its extent or EXTENT_IN_TAIL; -EAGAIN: it is not in memory;
 * XD_RANGE_QUARANTINED. */
int extent_block(struct log *log, const struct index_entry *entry,
                 const struct block_header **ret_block, uint32_t *ret_extent);
/* Loads the block for the read of `partition` that is or will be at `offset`, if the disk is free
 * and nobody waits for it; else nothing happens. */
void extent_want(struct log *log, const struct index_entry *entry, uint32_t partition,
                 uint64_t offset);
/* Whether the extent was loaded for this read, which may have begun before its blocks. True once:
 * the read then has its next block loaded ahead. */
bool extent_claim(struct log *log, uint32_t extent, uint32_t partition, uint64_t offset);
/* The read that claimed the extent goes on inside it at `offset`. */
void extent_leave(struct log *log, uint32_t extent, uint32_t partition, uint64_t offset);
/* Whether a load that is under way begins at or before a block and ends behind its begin. When it
 * does not hold the whole block, the next load goes on from what it brought. */
bool extent_coming(const struct extents *extents, uint64_t position);
/* Begins loads for those who wait, as many as may be in flight. */
void extent_turn(struct log *log);
void extent_read_done(struct log *log, const struct env_event *event);

/* Remembers and reports a corrupt range. */
void extent_range_corrupt(struct log *log, uint64_t position, uint64_t bytes, int status);
/* Once per turn: begins loads, starts the next copy to quarantine. */
void extent_kick(struct log *log);
void extent_quarantine_done(struct log *log, const struct env_event *event);

/* Ends the waits for blocks of a segment whose index entries are gone. Whether an operation on it
 * is outstanding; if none is, forgets its extents and ranges. */
bool extent_busy_or_forget(struct log *log, uint64_t segment_no);

#endif
