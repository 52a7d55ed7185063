/* SPDX-License-Identifier: Apache-2.0
 *
 * One log in a simulated process, and the line of batches that it was given: appending, turns,
 * recovery, and the comparison of whatever the log gives back with the line.
 *
 * Normal path: crash_log_open over an env, crash_log_append and crash_log_turn, crash_log_stop or
 * the end of the process. With a trace, marks tell the reader what was appended and what had become
 * durable. Failure paths: statuses of the log; a batch that is not the line's next one, or a start
 * that loses one, is told in `failure`, and everything after it is void.
 *
 * The state in checkpoints is the fold: how many batches of the line, a hash over them, and the end
 * of each partition. So a log that starts from a checkpoint is compared to its first batch too.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_LOG_H
#define CROSSDOCK_TESTS_CRASH_CRASH_LOG_H

#include "broker/base/prng.h"
#include "broker/log/log.h"
#include "tests/support/env_trace.h"
#include "wire/limits.h"

#include <stdbool.h>
#include <stdint.h>

#define CRASH_PARTITIONS 4u
#define CRASH_FAILURE_BYTES 1024u

/* Kinds of marks in a trace. */
enum crash_mark {
    CRASH_MARK_APPEND, /* value: number of the batch in crash_line.all; it ends the line */
    CRASH_MARK_ACK,    /* value: so many batches of the line were durable */
    CRASH_MARK_CUT,    /* value: a start came to serving with so many batches of the line */
    CRASH_MARK_CLOSED, /* a clean stop came to its end */
};

/* A batch as it was appended. */
struct crash_batch {
    uint64_t content; /* hash of all bytes stored */
    uint64_t chain;   /* hash of the line up to and with it, at the time of appending */
    uint64_t index;   /* of its block */
};

/* The sequence of batches that a log should hold. */
struct crash_line {
    struct crash_batch *all; /* every batch ever appended, also those that a start has cut */
    uint64_t all_count;      /* */
    uint64_t all_room;       /* allocated */
    uint32_t *ids;           /* the line: numbers in `all` */
    uint64_t count;          /* of the line */
    uint64_t room;           /* allocated */
};

void crash_line_deinit(struct crash_line *line);
/* Puts batch `id` at the end. */
void crash_line_push(struct crash_line *line, uint32_t id);
/* The same line again, sharing nothing. */
void crash_line_copy(struct crash_line *to, const struct crash_line *from);

#define CRASH_BLOCKS 64u

/* A block that a start has read. */
struct crash_block {
    uint64_t index;    /* */
    uint64_t position; /* in the log */
    uint32_t bytes;    /* */
};

/* What a user of the log folds its batches to. */
struct crash_fold {
    uint64_t hash;
    uint64_t batches;
    uint64_t index;
    uint64_t ends[CRASH_PARTITIONS];
};

struct crash_log {
    struct env *env;          /* of the process; NULL = none */
    struct env_trace *trace;  /* for marks, NULL = none */
    struct log *log;          /* NULL = not open */
    struct arena arena;       /* over memory */
    uint8_t *memory;          /* kept between processes, and not cleared between them */
    uint64_t memory_bytes;    /* allocated */
    struct counters counters; /* of this process */
    struct log_options options;
    struct crash_line *line;                 /* what was appended; borrowed */
    struct crash_fold fold;                  /* of what was given: durable */
    struct crash_fold staged;                /* of what was appended */
    uint64_t floor;                          /* batches that a start must find */
    uint64_t news[LOG_NEWS_COUNT];           /* by kind, of this process */
    struct crash_block blocks[CRASH_BLOCKS]; /* read by the start, number n at n % CRASH_BLOCKS */
    uint64_t block_count;                    /* */
    uint64_t durable_seen;                   /* highest durable_index that one of them carries */
    char why[XD_DETAIL_BYTES_MAX];           /* of a start that was refused */
    char failure[CRASH_FAILURE_BYTES];       /* "" = none */
};

/* The smallest log there can be. */
void crash_log_options(struct log_options *options);
void crash_log_init(struct crash_log *log, struct crash_line *line);
void crash_log_deinit(struct crash_log *log);

/* Recovers. 0, or the status of the step that failed. The line is cut back to what was there; fewer
 * than `floor` batches is a failure. */
int crash_log_open(struct crash_log *log, struct env *env);
/* One batch of `bytes`; 0 or the status of log_reserve. */
int crash_log_append(struct crash_log *log, struct prng *prng, uint32_t bytes);
/* Kick, wait for at most `wait_ns`, hand on events, fold, checkpoint. False when the process has
 * died or the log is fenced. */
bool crash_log_turn(struct crash_log *log, uint64_t wait_ns);
/* Appends, with turns as long as the log throttles. False as above. */
bool crash_log_feed(struct crash_log *log, struct prng *prng, uint32_t bytes);
/* Turns until everything appended is durable. False as above. */
bool crash_log_settle(struct crash_log *log);
/* Stops in order. False when it does not come to an end. */
bool crash_log_stop(struct crash_log *log);
/* Reads every partition and compares its end. False and `failure` when it is not what it was. */
bool crash_log_read_back(struct crash_log *log);
/* The process is gone. */
void crash_log_forget(struct crash_log *log);

#endif
