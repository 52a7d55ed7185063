/* SPDX-License-Identifier: Apache-2.0
 *
 * The monotonic clock of the program around the shards, which have theirs from env.h.
 */
#ifndef CROSSDOCK_BROKER_CLOCK_H
#define CROSSDOCK_BROKER_CLOCK_H

#include "wire/xassert.h"

#include <stdint.h>
#include <time.h>

/* Nanoseconds since some moment before the start. Any thread. */
static inline uint64_t clock_mono_ns(void)
{
    struct timespec time;
    int status = clock_gettime(CLOCK_MONOTONIC, &time);

    XD_ASSERT(status == 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

#endif
