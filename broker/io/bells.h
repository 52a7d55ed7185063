/* SPDX-License-Identifier: Apache-2.0
 *
 * Bells: how the threads of a broker wake each other. One bell for each, an eventfd that counts its
 * rings; to ring one takes a system call and no lock, and to be rung twice is to be rung once.
 *
 * Made before the threads and closed behind them. An env is given its bell and answers it with an
 * event; a thread without an env waits for its own. Must not carry anything but "look".
 */
#ifndef CROSSDOCK_BROKER_IO_BELLS_H
#define CROSSDOCK_BROKER_IO_BELLS_H

#include <stdbool.h>
#include <stdint.h>

/* One for each of 64 shards, and one for who supervises them. */
#define BELLS_MAX 65u

struct bells {
    uint32_t count;     /* bells in use */
    int fds[BELLS_MAX]; /* eventfds, non-blocking */
};

/* 0 or -errno; then nothing is open. `count` is 1..BELLS_MAX. */
int bells_open(struct bells *bells, uint32_t count);
void bells_close(struct bells *bells); /* a zeroed one too */

/* From any thread. */
void bells_ring(const struct bells *bells, uint32_t bell);
/* Descriptor that is readable while the bell has been rung; for poll(). */
int bells_fd(const struct bells *bells, uint32_t bell);
/* True, and the rings are forgotten, when it has been rung. */
bool bells_take(const struct bells *bells, uint32_t bell);
/* Waits for a ring and forgets it. */
void bells_wait(const struct bells *bells, uint32_t bell);

#endif
