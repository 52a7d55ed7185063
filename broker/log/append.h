/* SPDX-License-Identifier: Apache-2.0
 *
 * Appending: from a batch to a closed block.
 *
 * Normal path: append_reserve finds room in the open block, or opens one; append_batch takes what
 * the caller put there; append_close seals the block with its hashes, when the next batch does not
 * fit or when flush.c finds it worth writing. A segment without room for a batch ends with a SEAL
 * and the next READY one becomes active.
 *
 * Failure path: append_reserve says what is used up and changes nothing that was appended.
 * Local blocks: SEAL ends a segment, MARK covers data at rest with a durable_index; both are closed
 * as soon as they are made.
 *
 * The struct also holds what flush.c and durable.c know of the closed blocks; each field is written
 * by one of the three.
 */
#ifndef CROSSDOCK_LOG_APPEND_H
#define CROSSDOCK_LOG_APPEND_H

#include <stdbool.h>
#include <stdint.h>

struct log;
struct recover_point;

/* Closed blocks that may be undurable at a time: the window that recovery looks ahead through. */
#define APPEND_WINDOW_BLOCKS 64u

struct append {
    /* the next block to be closed */
    uint64_t position; /* its log position */
    uint64_t index;    /* its index, unless it is local */
    uint64_t sequence; /* its block_sequence */
    uint64_t chain;    /* chain value before it */
    uint64_t epoch;    /* of this run */
    uint64_t term;     /* 1 with one replica */

    /* the open block */
    uint64_t address;      /* in the tail */
    uint32_t capacity;     /* bytes that it may have; 0 = no block is open */
    uint32_t used_bytes;   /* header and batches so far */
    uint32_t batch_count;  /* */
    uint32_t record_count; /* */
    uint32_t reserved;     /* bytes behind used_bytes given out by append_reserve, 0 = none */
    uint64_t began_ns;     /* when its first batch came, monotonic */

    /* closed blocks, by their counters in the tail; flush.c's up to `durable`, then durable.c's */
    uint64_t submitted; /* below: the write was started */
    uint64_t written;   /* below: the write has completed */
    uint64_t durable;   /* below: on stable storage */
    uint64_t given;     /* below: every batch was given to the fold */
    uint32_t cursor;    /* payload bytes given of block `given` */
    uint32_t ordinal;   /* batches given of it */

    uint64_t written_index;     /* of the last block below `written` */
    uint64_t durable_index;     /* of the last block below `durable` */
    uint64_t undurable_bytes;   /* of closed blocks at and above `durable` */
    uint64_t unsubmitted_bytes; /* of closed blocks at and above `submitted` */
    uint64_t pending_batches;   /* appended, not given yet */
    uint32_t writes_inflight;   /* */
    /* DATA blocks: when the first batch came, monotonic, by counter modulo the window */
    uint64_t block_began_ns[APPEND_WINDOW_BLOCKS];
    bool syncing;             /* a flush is running */
    uint64_t sync_started_ns; /* monotonic */
    uint64_t last_write_ns;   /* when the last block was closed, monotonic */
    bool mark_wanted;         /* data was written since the last MARK */
    const char *reason;       /* why append_reserve said XD_THROTTLED; static text */

    /* where the fold stands: behind the last block given completely */
    struct append_point {
        uint64_t position; /* of the next block */
        uint64_t index;    /* of the last one */
        uint64_t sequence; /* of the last one */
        uint64_t chain;    /* after the last one */
    } folded;
};

/* After recovery: `point` is where the log goes on. */
void append_init(struct log *log, const struct recover_point *point);

int append_reserve(struct log *log, uint32_t bytes, uint8_t **ret_memory); /* log_reserve */
uint64_t append_batch(struct log *log);                                    /* log_append */

/* Closes the open block, if there is one with batches; an empty one is given up. */
void append_close(struct log *log);
/* Makes a MARK, in the next segment if this one is full; false when there is no room for it now. No
 * block may be open. */
bool append_mark(struct log *log);
bool append_mark_possible(const struct log *log);
/* Closed blocks that are not durable. */
uint64_t append_undurable_blocks(const struct log *log);
/* Asserts what holds between turns and around every step: how far the log is given, durable,
 * written and submitted, in this sequence, by counters and by indexes. */
void append_check(const struct log *log);

#endif
