/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernel did while a trace was made on a ring, and whether the trace tells all of it.
 *
 * Normal path: crash_kernel_count for each trace; crash_kernel_check behind the last process, with
 * the folder as it was left: the trace replayed to its end, everything kept, must be that folder
 * byte for byte. Failure path: the name of the first file that differs. Must not judge crashes.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_KERNEL_H
#define CROSSDOCK_TESTS_CRASH_CRASH_KERNEL_H

#include "tests/crash/crash_ring.h"
#include "tests/support/env_trace.h"
#include "tests/support/sim_snapshot.h"

#include <stdbool.h>
#include <stdint.h>

/* Sums over traces. */
struct crash_kernel {
    uint64_t durable_writes; /* DSYNC */
    uint64_t syncs;          /* */
    uint64_t overlaps;       /* writes started while another was in flight */
    uint64_t overtakings;    /* writes that ended before one that was started earlier */
    uint64_t checked;        /* traces that told everything */
};

void crash_kernel_count(struct crash_kernel *kernel, const struct env_trace *trace);
/* Compares the folder with what the trace makes of `start`. `spare` lends its memory and is empty
 * afterwards. False and `ring->why` when they differ. */
bool crash_kernel_check(struct crash_kernel *kernel, struct crash_ring *ring,
                        const struct env_trace *trace, const struct sim_snapshot *start,
                        struct sim_snapshot *spare);

#endif
