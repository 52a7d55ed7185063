/* SPDX-License-Identifier: Apache-2.0
 *
 * What can fail in the simulator, and how: rows of an operation with a result, places (the n-th
 * operation of a row), and their text on a command line, "write:EIO:17".
 *
 * Normal path: nth_site_parse or places counted by the caller, nth_fault_inject before the process
 * starts, nth_fault_text when it went wrong. Must not know what the broker makes of it.
 */
#ifndef CROSSDOCK_TESTS_CRASH_NTH_FAULT_H
#define CROSSDOCK_TESTS_CRASH_NTH_FAULT_H

#include "tests/support/env_sim.h"

#include <stdbool.h>
#include <stdint.h>

#define NTH_SITES_MAX 2u
#define NTH_LASTING 24u     /* failures in a row of a fault that lasts */
#define NTH_TEXT_BYTES 160u /* of a whole fault */

struct nth_row {
    const char *op_name;     /* "write" */
    const char *result_name; /* "EIO", or a number of bytes */
    enum sim_op op;          /* SIM_OP_COUNT = any: the process dies instead of starting it */
    int32_t result;          /* -errno, or bytes: each write has more */
    const char *files;       /* start of their names, NULL = all */
};

struct nth_site {
    uint32_t row; /* */
    uint64_t n;   /* from 1 over the whole scenario */
};

struct nth_fault {
    struct nth_site sites[NTH_SITES_MAX];
    uint32_t site_count; /* 0 = a run without a fault */
    bool lasts;          /* the operations behind the n-th fail too */
    bool dsync;          /* blocks are made durable by their writes, not by flushes */
    uint64_t seed;       /* of latencies and of the bends of the normal path */
};

uint32_t nth_row_count(void);
const struct nth_row *nth_row(uint32_t row);
/* Whether the operation is one of the network, which must not end the broker. */
bool nth_is_net(enum sim_op op);
bool nth_site_parse(const char *text, struct nth_site *ret_site);
void nth_fault_inject(const struct nth_fault *fault, struct sim *sim);
/* Arguments that run it again. */
void nth_fault_text(const struct nth_fault *fault, char ret_text[NTH_TEXT_BYTES]);

#endif
