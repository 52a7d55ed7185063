/* SPDX-License-Identifier: Apache-2.0
 *
 * The log of one shard: takes batches, makes them durable in groups, gives them back.
 *
 * Normal path:
 *   log_open          reads meta and checkpoint, or makes a new folder
 *   log_recover_next  gives every entry behind the checkpoint, for the fold; then 0
 *   log_recover_end   cuts a torn tail, raises the epoch, makes segments ready
 *   each turn: log_reserve + log_append for what arrived; log_done for the log's events; log_kick;
 *              log_durable_next gives every entry that became durable, for the same fold
 * Failure paths: any write or flush error fences the log (log_fenced() != 0): nothing further
 *   becomes durable, log_reserve refuses; the owner throws the shard away and opens it again.
 *   Corruption found while opening stops the open; found while reading it quarantines the range.
 * Shutdown: log_close_begin, keep handling events until log_closed().
 *
 * The log must not know what a record means, read a clock but through env, or print; what an
 * operator should hear comes out of log_news_next().
 */
#ifndef CROSSDOCK_LOG_LOG_H
#define CROSSDOCK_LOG_LOG_H

#include "broker/base/arena.h"
#include "broker/base/counters.h"
#include "broker/base/list.h"
#include "broker/io/env.h"
#include "wire/batch.h"

#include <stdbool.h>
#include <stdint.h>

enum log_sync {
    LOG_SYNC_AUTO = 0,      /* 200 ms self-test at start chooses */
    LOG_SYNC_DSYNC = 1,     /* each write carries RWF_DSYNC */
    LOG_SYNC_FDATASYNC = 2, /* plain writes, one pipelined fdatasync over the written prefix */
    LOG_SYNC_COUNT
};

struct log_options {
    uint64_t segment_bytes;        /* 4 MiB..1 GiB, multiple of 1 MiB; must match the folder's */
    uint64_t tail_bytes;           /* memory tail, 16 MiB..8 GiB, power of two */
    uint64_t retention_bytes;      /* keep at most this much, >= 4 segments; 0 = no limit by size */
    int64_t retention_us;          /* drop segments whose newest batch is older; 0 = no limit */
    uint64_t clock_steady_ns;      /* age decides once the wall clock has run steadily for this
                                      long; default 1 h */
    uint64_t index_bytes;          /* budget of the partition index; full = producers throttled */
    uint64_t checkpoint_bytes_max; /* budget of the serialised fold state */
    uint64_t checkpoint_every_bytes; /* log bytes between checkpoints, <= 1 GiB */
    /* Log since the last complete checkpoint, beyond which producers are throttled: a restart reads
     * that much again, at about 2 GB/s, so the default of 1 GiB is half a second. 8 MiB..1 GiB. */
    uint64_t checkpoint_tail_bytes_max;
    uint64_t undurable_bytes_max; /* appended, not yet durable: <= 64 MiB */
    uint64_t disk_low_bytes;      /* refuse producers below this free space */
    uint32_t partitions_max;      /* size of the index table */
    uint32_t writes_inflight_max; /* 1..16, default 8 */
    uint32_t write_group_bytes;   /* with >= 2 writes in flight, wait for this much; 256 KiB */
    uint32_t segments_ready_min;  /* prepared ahead, default 2 */
    uint32_t read_cache_extents;  /* 1 MiB each, default 64 */
    uint32_t mark_idle_ms;        /* MARK after this long without a write, default 100 */
    uint32_t shard;               /* */
    uint32_t shard_count;         /* */
    enum log_sync sync;           /* */
};
void log_options_init(struct log_options *options); /* the defaults above */

/* One batch of the log, as the fold sees it. */
struct log_entry {
    const struct xd_batch_header *batch; /* borrowed until the next call on the log */
    uint64_t log_index;                  /* index of its block */
    uint64_t position;                   /* log position of its block */
    uint32_t ordinal;                    /* number of the batch in its block, from 0 */
};

/* What an operator should hear about, oldest first. */
enum log_news_kind {
    LOG_NEWS_CREATED,          /* a new log was made in an empty folder */
    LOG_NEWS_TAIL_CUT,         /* a: bytes, b: first index lost to the cut (never acknowledged) */
    LOG_NEWS_LOCAL_BLOCK_LOST, /* a: position; a SEAL or MARK was unreadable, nothing is missing */
    LOG_NEWS_CORRUPT,          /* a: position, b: bytes, c: status; quarantined */
    LOG_NEWS_CHECKPOINT_FALLBACK, /* a: generation that was bad */
    LOG_NEWS_META_SLOT_DAMAGED,   /* a: slot of the meta file, written anew by this start,
                                     b: generation of the other one, which counts */
    LOG_NEWS_SEGMENT_ROLLED,      /* a: segment number now active */
    LOG_NEWS_SEGMENT_DROPPED,     /* a: segment number, b: 1 by size, 2 by age, 3 gone at start */
    LOG_NEWS_CLOCK_JUMPED,        /* a: seconds, b: 1 = back, c: seconds without a drop by age */
    LOG_NEWS_CHECKPOINT,          /* a: generation, b: index, c: bytes */
    LOG_NEWS_SYNC_CHOSEN,         /* a: enum log_sync, b: DSYNC us, c: fdatasync us (median) */
    LOG_NEWS_NOT_READY,           /* a: segments ready; producers wait for a prepared segment */
    LOG_NEWS_FENCED,              /* a: -status, b: enum env_op that failed, c: position */
    LOG_NEWS_COUNT
};
struct log_news {
    uint64_t a, b, c; /* by kind */
    enum log_news_kind kind;
};

struct log; /* lives in the arena; log_bytes_needed() sizes it */

/* Memory that a log with these options takes from the arena, in bytes. */
uint64_t log_bytes_needed(const struct log_options *options);

/* ---- start ----------------------------------------------------------------------------------- */
/* 0 and *ret_log; *ret_state (of *ret_state_bytes, borrowed until log_recover_end) is the fold
 * state of the newest usable checkpoint, NULL when there is none: the fold starts empty then.
 * Blocking. Errors: -errno of the folder, XD_LOG_CORRUPT, XD_LOG_FOREIGN, XD_FORMAT_UNKNOWN,
 * XD_CHECKPOINT_CORRUPT, XD_OPTION_INVALID (an option is outside its range, segment_bytes or shard
 * count differ from the folder's, partitions_max or index_bytes are less than it needs), -ENOMEM.
 * `why` (XD_DETAIL_BYTES_MAX) then says what, where and what to do. */
int log_open(struct env *env, struct arena *arena, struct counters *counters,
             const struct log_options *options, struct log **ret_log, const uint8_t **ret_state,
             uint64_t *ret_state_bytes, char *why);
/* 1 and the next entry, 0 at the end of the log, or a status as above. Blocking. */
int log_recover_next(struct log *log, struct log_entry *ret_entry, char *why);
/* After log_recover_next gave 0. Blocking. The log can be appended to when this returns 0. */
int log_recover_end(struct log *log, char *why);
/* Share of the tail scanned so far, 0..100. */
uint32_t log_recover_percent(const struct log *log);
/* Identity of the data folder. */
void log_uuid(const struct log *log, uint8_t ret_uuid[16]);

/* ---- append ---------------------------------------------------------------------------------- */
/* Room for one batch of `bytes` (<= XD_BATCH_BYTES_MAX) and its bitmap in the open block. 0 and
 * *ret_memory (8-byte aligned); XD_THROTTLED (tail, undurable window, index, ready segments or
 * the log since the last checkpoint exhausted), XD_READ_ONLY (disk nearly full), XD_STORAGE_FENCED,
 * XD_SHUTTING_DOWN. A second call replaces the first; not appending before log_kick gives the room
 * back. */
int log_reserve(struct log *log, uint32_t bytes, uint8_t **ret_memory);
/* True while log_reserve says XD_READ_ONLY: the disk is nearly full and no segment is ready. */
bool log_disk_low(const struct log *log);
/* Why the last log_reserve said XD_THROTTLED: static text for the client's detail. */
const char *log_throttle_reason(const struct log *log);
/* Puts the batch that now lies in the reserved memory into the open block. All fields of its header
 * are final, base_offset and append_time_us included. Returns the index its block will have. */
uint64_t log_append(struct log *log);
/* Once per turn, after all appends: closes and writes blocks by the group-commit rule, starts the
 * flush, keeps segments ready, moves a checkpoint on. */
void log_kick(struct log *log);
/* An event of ENV_OWNER_LOG. */
void log_done(struct log *log, const struct env_event *event);
/* When log_kick must be called again even without events (MARK, retention). */
uint64_t log_deadline_ns(const struct log *log);

uint64_t log_last_index(const struct log *log);    /* of the newest block, open or closed */
uint64_t log_written_index(const struct log *log); /* contiguous prefix handed to the device */
uint64_t log_durable_index(const struct log *log); /* contiguous prefix on stable storage */
int log_fenced(const struct log *log);             /* 0, or the status that fenced it */
enum log_sync log_sync_mode(const struct log *log);

/* 1 and the next entry of blocks that became durable, in log sequence; 0 when there is none. */
int log_durable_next(struct log *log, struct log_entry *ret_entry);

/* ---- checkpoints ----------------------------------------------------------------------------- */
/* True when a checkpoint is due and none is being written. Call when log_durable_next gave 0: the
 * fold then stands exactly at the last durable block. */
bool log_checkpoint_due(const struct log *log);
/* Memory for the fold state; at most *ret_bytes_max. */
uint8_t *log_checkpoint_begin(struct log *log, uint64_t *ret_bytes_max);
/* `bytes` of state are in that memory. Written in the background. */
void log_checkpoint_commit(struct log *log, uint64_t bytes);

/* ---- read ------------------------------------------------------------------------------------ */
/* Copies whole durable batches of `partition` into `out`, from the one that holds `offset` on,
 * until `out_bytes` are full. Returns bytes, >= one batch when there is any: out_bytes must be at
 * least XD_BATCH_BYTES_MAX + 8192. *ret_next is the offset to go on from. 0: offset is the end of
 * the partition. -EAGAIN: a disk read is under way; call again when log_reads_finished() has
 * changed. Batches without records are not given. XD_OFFSET_GONE, XD_OFFSET_FUTURE,
 * XD_RANGE_QUARANTINED. */
int log_read(struct log *log, uint32_t partition, uint64_t offset, uint8_t *out, uint32_t out_bytes,
             uint64_t *ret_next);
uint64_t log_reads_finished(const struct log *log);

/* A read that waits for the disk: lives with the caller, zeroed when it is new, and must not be
 * moved or given back while it waits. The fields are the log's. */
struct log_wait {
    struct list_node link; /* in one of the lists of the sweep */
    uint64_t position;     /* log position of the block that it waits for */
    uint64_t offset;       /* of the read */
    uint64_t loads;        /* loads begun before it came */
    uint32_t bytes;        /* size of that block */
    uint32_t partition;    /* of the read */
    uint32_t extent;       /* over: number of the extent that holds the block, or none */
    bool waiting;          /* not over yet */
};
/* log_read has just given -EAGAIN for this partition and offset: waits until it can go on. Readers
 * that are close to each other in the log are brought together. */
void log_wait(struct log *log, struct log_wait *wait, uint32_t partition, uint64_t offset);
/* The next wait that is over, or NULL. Its log_read must be the next call on the log: the bytes are
 * kept until here. -EAGAIN is possible again where the bytes are damaged or dropped. */
struct log_wait *log_wait_next(struct log *log);
/* Whether there is one. */
bool log_wait_over(const struct log *log);
/* Waits no longer; nothing happens when it did not. */
void log_wait_cancel(struct log *log, struct log_wait *wait);
/* First offset kept, and the one behind the last durable record. 0, 0 for an unused partition. */
void log_bounds(const struct log *log, uint32_t partition, uint64_t *ret_first, uint64_t *ret_end);
/* An offset at or before the first record of `partition` with append time >= time_us; the caller
 * skips what is earlier. The end when there is none. */
uint64_t log_seek_time(const struct log *log, uint32_t partition, int64_t time_us);

/* ---- inspection ------------------------------------------------------------------------------ */
struct log_stats {
    uint64_t segments_full, segments_ready, segments_preparing; /* counts */
    uint64_t first_segment_no, active_segment_no;
    uint64_t log_bytes;        /* kept, in FULL and ACTIVE segments */
    uint64_t disk_bytes;       /* of all slots */
    uint64_t tail_first_index; /* oldest block still in memory */
    uint64_t index_entries, index_entries_max;
    uint64_t checkpoint_index, checkpoint_generation;
    uint64_t epoch;
    int64_t oldest_time_us; /* append time of the oldest batch kept, 0 = none */
    uint64_t disk_free_bytes, disk_total_bytes;
    uint64_t
        disk_full_seconds; /* until producers wait for space, FORECAST_SECONDS_MAX = not foreseen */
};
void log_stats(struct log *log, struct log_stats *ret_stats);
bool log_news_next(struct log *log, struct log_news *ret_news);
const char *log_news_name(enum log_news_kind kind); /* "log_tail_cut" */

/* ---- stop ------------------------------------------------------------------------------------ */
/* Writes what is staged, a MARK, flushes. Then log_closed() turns true (also after a fence). */
void log_close_begin(struct log *log);
bool log_closed(const struct log *log);
/* Closes files. The memory goes with the arena. Accepts NULL. */
void log_deinit(struct log *log);

#endif
