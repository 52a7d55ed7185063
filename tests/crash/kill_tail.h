/* SPDX-License-Identifier: Apache-2.0
 *
 * Tears the newest block of a log whose daemon is dead, as a power cut in the middle of its write
 * does: a kill alone leaves whole blocks only, and recovery then has nothing to cut.
 *
 * Normal path: kill_tail_tear after a death at BLOCK_WRITTEN, before which the newest block on disk
 * is not durable for the daemon, so nothing in it is acknowledged at fsync. Failure path: -errno of
 * the file system, -ENOENT when there is no block. Must not be used after any other death.
 */
#ifndef CROSSDOCK_TESTS_CRASH_KILL_TAIL_H
#define CROSSDOCK_TESTS_CRASH_KILL_TAIL_H

#include "tests/support/prng.h"

/* Fills the last sectors of the newest block, at least one of 512 bytes and never the one of its
 * header, with random bytes. */
int kill_tail_tear(const char *folder, struct prng *prng);

#endif
