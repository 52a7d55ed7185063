/* SPDX-License-Identifier: Apache-2.0
 *
 * A load of equal batches on a log over any env: what the shard does with a batch between its
 * check and its acknowledgement, and nothing else.
 *
 * Normal path: append_load_open makes a log in an empty folder; each append_load_turn copies
 * batches in until the window is full, kicks the log, waits for events, folds what became durable
 * and gives back how long each of these batches took. Checkpoints are taken when due, so that
 * segments are recycled as in a broker.
 * Failure path: a status of the log, with its text. Must not read a clock but through the env.
 */
#ifndef CROSSDOCK_BENCH_DISK_APPEND_H
#define CROSSDOCK_BENCH_DISK_APPEND_H

#include "broker/base/arena.h"
#include "broker/base/counters.h"
#include "broker/log/log.h"

#include <stdbool.h>
#include <stdint.h>

/* Batches of one turn's result, and the largest window. */
#define APPEND_LOAD_BATCHES_MAX 4096u

struct append_load_options {
    struct log_options log; /* */
    uint32_t batch_bytes;   /* header and body, multiple of 8 */
    uint32_t inflight;      /* batches that are not durable, 1..APPEND_LOAD_BATCHES_MAX */
};

struct append_load {
    struct env *env;          /* the caller's */
    struct log *log;          /* */
    uint8_t *batch;           /* sealed once, copied in every time */
    uint64_t *started_ns;     /* ring of APPEND_LOAD_BATCHES_MAX, by batch number */
    struct arena arena;       /* of the log */
    struct counters counters; /* */
    uint64_t appended;        /* batches */
    uint64_t durable;         /* */
    uint32_t batch_bytes;     /* */
    uint32_t inflight;        /* */
};

void append_load_options_init(struct append_load_options *options);

/* The memory is the env's. 0 or a status; `ret_why` (XD_DETAIL_BYTES_MAX) explains. */
int append_load_open(struct append_load *load, struct env *env,
                     const struct append_load_options *options, char *ret_why);

/* Appends when `append_more`. Waits at most until `until_ns`. Returns how many batches became
 * durable and fills as many times in ns (APPEND_LOAD_BATCHES_MAX have room), or a status. */
int append_load_turn(struct append_load *load, bool append_more, uint64_t until_ns,
                     uint64_t *ret_times_ns);

/* Writes what is staged and closes the files. */
int append_load_close(struct append_load *load);

#endif
