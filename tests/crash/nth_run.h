/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of the scenario of the N-th failures: a whole broker in the simulator, with a fault.
 *
 * Normal path: nth_run_open once, nth_run for each fault, nth_run_close. The scenario makes a log,
 * sends and reads in four phases with a waiting reader in each, resets the clients behind the first
 * phase, kills the broker in the middle of a write behind the second and stops it in order behind
 * the third; segments roll, checkpoints are taken, retention drops segments and reads come from
 * disk all the time, as the bends of the normal path (buggify) have it. A broker that fails is
 * started again on its folder, as crossdockd does; then, and behind each phase with a failure, the
 * power is cut so that only what was flushed is left. A client that lost its connection comes back.
 * In the end the fault is taken away, the power is cut once more, and everything must be there and
 * go on at once.
 *
 * Failure path: -EBADMSG with a sentence in `why`. Must not draw faults.
 */
#ifndef CROSSDOCK_TESTS_CRASH_NTH_RUN_H
#define CROSSDOCK_TESTS_CRASH_NTH_RUN_H

#include "tests/crash/nth_client.h"
#include "tests/crash/nth_fault.h"

#include <stdint.h>

struct nth_run {
    struct sim_broker broker; /* */
    struct nth_client client; /* of the broker */
    uint64_t retries;         /* attempts that did not come through, in all runs */
    uint64_t downs;           /* times that the broker had to be started again, in all runs */
    uint64_t op_counts[SIM_OP_COUNT + 1]; /* of the newest run, up to the power cut; last: in all */
    uint64_t rolls;                       /* of the newest run */
    uint64_t checkpoints;                 /* */
    uint64_t drops;                       /* segments that retention dropped */
    uint64_t tail_cuts;                   /* */
    uint32_t pending;        /* failures of the fault that the scenario did not come to */
    char why[NTH_WHY_BYTES]; /* */
};

void nth_run_open(struct nth_run *run);
void nth_run_close(struct nth_run *run);
/* 0 or -EBADMSG. */
int nth_run(struct nth_run *run, const struct nth_fault *fault);

#endif
