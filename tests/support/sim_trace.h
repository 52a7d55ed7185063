/* SPDX-License-Identifier: Apache-2.0
 *
 * Trace of a simulation: a rolling hash over every row, the newest rows kept for a dump, and text
 * on demand.
 *
 * A row holds only numbers that follow from the seed: virtual time, what happened, three arguments
 * and a hash of data that enters the world. Pointers must never enter it.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SIM_TRACE_H
#define CROSSDOCK_TESTS_SUPPORT_SIM_TRACE_H

#include <stdint.h>
#include <stdio.h>

#define SIM_TRACE_ROWS 256u /* kept for sim_trace_dump */

/* What a row tells: X(name, first, second, third argument; "" = none). */
#define SIM_TRACE_KINDS(X)                                                                         \
    X(PROCESS, "number", "memory", "conns_max")                                                    \
    X(CRASH, "menu", "unsynced", "files")                                                          \
    X(DEAD, "cause", "which", "hits")                                                              \
    X(START, "op", "object", "position")                                                           \
    X(EVENT, "op", "token", "result")                                                              \
    X(CALL, "op", "object", "result")                                                              \
    X(SILENT, "fault", "file", "position")                                                         \
    X(WAIT, "events", "limit", "")                                                                 \
    X(RANDOM, "value", "", "")                                                                     \
    X(CRASH_POINT, "point", "hits", "")                                                            \
    X(BUGGIFY, "site", "fires", "")                                                                \
    X(CLIENT, "call", "client", "result")                                                          \
    X(ARRIVE, "conn", "direction", "bytes")

enum sim_trace_kind {
#define X(name, a, b, c) SIM_TRACE_##name,
    SIM_TRACE_KINDS(X)
#undef X
        SIM_TRACE_KIND_COUNT
};

struct sim_trace_row {
    uint64_t now_ns;
    uint64_t kind;      /* enum sim_trace_kind */
    uint64_t a, b, c;   /* by kind */
    uint64_t data_hash; /* of bytes written or sent, or 0 */
};

struct sim_trace {
    uint64_t hash;                             /* over all rows */
    uint64_t count;                            /* rows so far */
    FILE *file;                                /* text goes here; NULL = nowhere */
    struct sim_trace_row rows[SIM_TRACE_ROWS]; /* the newest, at count modulo SIM_TRACE_ROWS */
};

/* Starts over; `file` stays. */
void trace_reset(struct sim_trace *trace, uint64_t seed);
void trace_add(struct sim_trace *trace, uint64_t now_ns, enum sim_trace_kind kind, uint64_t a,
               uint64_t b, uint64_t c, uint64_t data_hash);
void trace_dump(const struct sim_trace *trace, FILE *file);

#endif
