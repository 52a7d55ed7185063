/* SPDX-License-Identifier: Apache-2.0
 *
 * Workloads: what a log does while its disk is traced. Each starts from a disk at rest that an
 * earlier, untraced life of the log has left, and draws everything else from its seed.
 *
 * Processes run in the simulator, where a seed gives the same trace again, or on a ring, where the
 * kernel decides which operation ends when.
 *
 * A workload must run without a failure; only crashes of it are judged.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_WORK_H
#define CROSSDOCK_TESTS_CRASH_CRASH_WORK_H

#include "tests/crash/crash_court.h"
#include "tests/crash/crash_log.h"
#include "tests/crash/crash_ring.h"
#include "tests/support/env_trace.h"
#include "tests/support/sim_snapshot.h"

#include <stdbool.h>
#include <stdint.h>

#define CRASH_TRACES_MAX 8u

struct crash_work {
    struct crash_ring *ring;   /* that the processes run on, NULL = the simulator; borrowed */
    struct sim *sim;           /* world of the traced processes, if they are simulated */
    struct crash_court *court; /* its pool holds `start`; also finds a crash image to recover */
    struct crash_log log;      /* of the running process */
    struct crash_line line;    /* what it appends */
    struct crash_line begin;   /* the line when the trace starts: all of it must survive */
    struct env_trace trace;    /* */
    struct sim_snapshot start; /* the disk then */
    struct prng prng;          /* of the script */
    uint64_t seed;             /* */
    uint32_t write_short;      /* rate of short writes while traced, per 65536 */
    uint64_t starts;           /* of traced processes */
    uint64_t rolls;            /* segments rolled while traced */
    uint64_t drops;            /* segments dropped while traced */
    uint64_t checkpoints;      /* finished while traced */
    uint64_t fences;           /* logs that a failed operation has fenced */
    uint64_t cuts;             /* traced starts that cut a tail */
    char failure[CRASH_FAILURE_BYTES]; /* of the script itself */
};

/* Rows of the table of workloads. */
uint32_t crash_work_count(void);
const char *crash_work_name(uint32_t kind);
/* Traces made per seed of the program, at most CRASH_TRACES_MAX. */
uint32_t crash_work_traces(uint32_t kind);

/* `ring` is NULL for the simulator. */
void crash_work_init(struct crash_work *work, struct crash_court *court, struct crash_ring *ring);
void crash_work_deinit(struct crash_work *work);
/* Runs workload `kind`; trace, start, begin and log.options are for reading then. */
bool crash_work_run(struct crash_work *work, uint32_t kind, uint64_t seed);

#endif
