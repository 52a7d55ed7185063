/* SPDX-License-Identifier: Apache-2.0
 *
 * A folder of the real disk and the production env over it (io_uring, O_DIRECT), so that workloads
 * can be traced on the kernel's own sequence of completions. The folder's contents go to and come
 * from snapshots of the simulator, which is where the crashes are judged.
 *
 * Normal path: crash_ring_init, crash_ring_check, then for each process crash_ring_start and
 * crash_ring_stop; crash_ring_take and crash_ring_put in between; crash_ring_deinit removes the
 * folder. Failure path: where the kernel gives no ring, or the file system no O_DIRECT,
 * crash_ring_check says so in `why`.
 *
 * A stop lets what is in flight reach the file and flushes nothing, as the death of a process does.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_RING_H
#define CROSSDOCK_TESTS_CRASH_CRASH_RING_H

#include "broker/io/env_uring.h"
#include "tests/support/sim_snapshot.h"

#include <stdint.h>

#define CRASH_RING_PATH_BYTES 256u

struct crash_ring {
    struct env *env;                    /* of the running process, NULL = none */
    char folder[CRASH_RING_PATH_BYTES]; /* below the working folder, removed at the end */
    char why[ENV_URING_WHY_BYTES];      /* of the newest failure */
};

void crash_ring_init(struct crash_ring *ring);
void crash_ring_deinit(struct crash_ring *ring);
/* Whether a process can be had here at all: 0, or -errno and `why`. */
int crash_ring_check(struct crash_ring *ring);

/* Starts a process over the folder: `env`. 0, or -errno and `why`. */
int crash_ring_start(struct crash_ring *ring);
/* Ends the process, if one runs. */
void crash_ring_stop(struct crash_ring *ring);

/* An empty folder. */
void crash_ring_clear(struct crash_ring *ring);
/* Replaces the snapshot by what is in the folder; no process may run. 0, or -errno and `why`. */
int crash_ring_take(struct crash_ring *ring, struct sim_snapshot *ret_snapshot);
/* Replaces what is in the folder by the snapshot; no process may run. 0, or -errno and `why`. */
int crash_ring_put(struct crash_ring *ring, const struct sim_snapshot *snapshot);
/* Leaves a snapshot in another folder, for a person to look at. 0 or -errno. */
int crash_ring_leave(const struct sim_snapshot *snapshot, const char *folder);

#endif
