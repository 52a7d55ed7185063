/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring itself: set-up with the best flags that the kernel takes, the allow-list of operations,
 * and submission entries. Knows nothing of files, connections or tokens.
 *
 * Life cycle: uring_ring_open() makes a disabled ring, the caller registers its receive buffers,
 * uring_ring_enable() locks the allow-list and starts it. From then on the kernel refuses every
 * opcode, submission flag and registration that the engine does not use.
 *
 * Must be used by the thread that enabled it.
 */
#ifndef CROSSDOCK_BROKER_IO_URING_RING_H
#define CROSSDOCK_BROKER_IO_URING_RING_H

#include <stdbool.h>
#include <stdint.h>

#include <liburing.h>

/* Ways to run completions, best first. Each falls back to the next one when the kernel refuses. */
enum uring_mode {
    URING_MODE_DEFER = 0, /* SINGLE_ISSUER|DEFER_TASKRUN, Linux 6.1: only when the thread waits */
    URING_MODE_COOP = 1,  /* COOP_TASKRUN, Linux 5.19: at the thread's next system call */
    URING_MODE_PLAIN = 2, /* the kernel interrupts the thread */
    URING_MODE_COUNT
};

struct uring_ring {
    struct io_uring ring; /* liburing's state, valid while `is_open` */
    enum uring_mode mode; /* the mode that the kernel accepted */
    bool is_open;         /* there is something for uring_ring_close() to do */
};

/* Name of a mode for people. Static memory. */
const char *uring_mode_name(enum uring_mode mode);

/* Opens a disabled ring with `entries` submission entries (power of two, 8..32768), four times as
 * many completion entries, and the first mode from `best` on that the kernel accepts. On failure
 * -errno with a hint in ret_why (PROBE_WHY_BYTES) and a closed ring. Blocking. */
int uring_ring_open(struct uring_ring *ring, uint32_t entries, enum uring_mode best, char *ret_why);

/* Locks the allow-list and starts the ring; afterwards only this thread may use it. */
int uring_ring_enable(struct uring_ring *ring, char *ret_why);

/* Accepts a half-open or closed ring. */
void uring_ring_close(struct uring_ring *ring);

/* A submission entry. When the queue is full it is handed to the kernel first; NULL when even that
 * made no room (the kernel is out of memory). */
struct io_uring_sqe *uring_ring_sqe(struct uring_ring *ring);

#endif
