/* SPDX-License-Identifier: Apache-2.0
 *
 * Assertions of the bench, always compiled in: what we control is asserted, what comes from the
 * command line, the broker or the machine is checked and reported.
 * Must not be used for anything that an operator can cause.
 */
#ifndef CROSSDOCK_BENCH_CHECK_H
#define CROSSDOCK_BENCH_CHECK_H

#include <stdio.h>
#include <stdlib.h>

/* Says where and ends the process. */
static inline void bench_check_failed(const char *text, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, text);
    abort();
}

#define BENCH_ASSERT(condition)                                                                    \
    ((condition) ? (void)0 : bench_check_failed(#condition, __FILE__, __LINE__))

#endif
