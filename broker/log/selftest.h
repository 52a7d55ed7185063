/* SPDX-License-Identifier: Apache-2.0
 *
 * Start-up self-test of the device: which way to durable is faster, RWF_DSYNC on each write or
 * plain writes and fdatasync. That depends on queue count, interrupt placement and cache of the
 * device, so it is measured: writes of 64 KiB of zeros over a segment that is READY, each followed
 * by being durable, both ways in turn, for at most 200 ms.
 *
 * DSYNC wins when it takes at most 9/10 of the time: within 15 % the two are a tie, and the flush
 * shares its cost among all writes in flight.
 * Failure path: the first error is returned; the device is not fit for a log.
 */
#ifndef CROSSDOCK_LOG_SELFTEST_H
#define CROSSDOCK_LOG_SELFTEST_H

#include "broker/io/env.h"
#include "broker/log/log.h"

#include <stdint.h>

#define SELFTEST_NS 200000000ull
#define SELFTEST_ROUNDS_MAX 101u
#define SELFTEST_WRITE_BYTES (64u * 1024u)

struct selftest_result {
    enum log_sync chosen;  /* LOG_SYNC_DSYNC or LOG_SYNC_FDATASYNC */
    uint64_t dsync_ns;     /* median */
    uint64_t fdatasync_ns; /* median, write and flush */
    uint32_t rounds;       /* of each */
};

/* Overwrites [at, at + SELFTEST_WRITE_BYTES) of the file with `zeros`. `token` must be the only one
 * in use. Blocking. 0 or -errno. */
int selftest_run(struct env *env, env_file file, uint64_t at, const uint8_t *zeros, uint64_t token,
                 struct selftest_result *ret_result);

#endif
