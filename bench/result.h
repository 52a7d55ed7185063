/* SPDX-License-Identifier: Apache-2.0
 *
 * The outcome of one measurement, for people as lines and for programs as one JSON object, with
 * everything that a figure needs to be repeated: machine, commit, options.
 * Must not measure.
 */
#ifndef CROSSDOCK_BENCH_RESULT_H
#define CROSSDOCK_BENCH_RESULT_H

#include "bench/arguments.h"
#include "bench/histogram.h"

#include <stdint.h>
#include <stdio.h>

/* A number that only one command has. */
struct result_count {
    const char *name; /* "storm_cut" */
    uint64_t count;   /* */
};

struct result {
    const char *command;            /* "produce" */
    const struct argument *table;   /* its options, with the values used */
    uint32_t table_count;           /* */
    const char *broker;             /* reply of verb status, JSON; NULL = no broker took part */
    const char *library;            /* release of the client library, or NULL */
    const char *latency_of;         /* what the times are, "ack" */
    const struct latency *latency;  /* NULL = none */
    uint64_t elapsed_ns;            /* of the measured part */
    uint64_t records;               /* in it; 0 = not counted by record */
    uint64_t batches;               /* in it; 0 = not counted by batch */
    uint64_t bytes;                 /* in it: of records, or of what was received */
    uint64_t failed;                /* refused records, of the whole run */
    uint64_t waited;                /* open loop: units sent later than due */
    uint64_t client_cpu_ns;         /* of this process in the measured part */
    uint64_t client_user_ns;        /* outside the kernel */
    uint64_t broker_cpu_ns;         /* of the broker, 0 = not known */
    uint64_t broker_resident_bytes; /* at the end, 0 = not known */

    const struct result_count *counts; /* of the command itself */
    uint32_t count_count;              /* */
};

void result_print(const struct result *result, FILE *out);
void result_print_json(const struct result *result, FILE *out);

/* A line about how far it is, for standard error. `records` since the last one. */
void result_progress(const char *command, uint64_t second, uint64_t records, uint64_t elapsed_ns);

/* Commit that the bench was built from. Static text. */
const char *bench_commit(void);

#endif
