/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock log verify` over a simulated folder: the folder is laid out in the file system, the
 * command of tools/inspect runs in this process, and its lines are kept.
 *
 * Normal path: bit_verify_init makes a folder in memory where there is one, bit_verify for any
 * folder: only pages that differ from the one before are written. Failure path: a file system that
 * does not do what is asked aborts.
 */
#ifndef CROSSDOCK_TESTS_CRASH_BIT_VERIFY_H
#define CROSSDOCK_TESTS_CRASH_BIT_VERIFY_H

#include "tests/support/sim_snapshot.h"

#include <stdbool.h>
#include <stdint.h>

#define BIT_FOUND_MAX 64u
#define BIT_FOUND_TEXT 320u

/* One line. */
struct bit_found {
    char file[SIM_NAME_ROOM];  /* "" = none named */
    uint64_t at;               /* place in it */
    bool finding;              /* else a note */
    char text[BIT_FOUND_TEXT]; /* the line, cut */
};

struct bit_verify {
    int folder;                            /* where it is laid out */
    char path[64];                         /* likewise */
    struct sim_snapshot laid_out;          /* what is there */
    struct bit_found found[BIT_FOUND_MAX]; /* of the newest run */
    uint32_t count;                        /* */
    uint32_t findings;                     /* of them */
    bool refused;                          /* the folder could not be opened: one finding */
};

/* Pages of the folders belong to the pool of `judged`. */
void bit_verify_init(struct bit_verify *verify, struct sim *judged);
void bit_verify_deinit(struct bit_verify *verify);
/* Removes what is laid out; also from a signal handler, when the program ends there. */
void bit_verify_remove(const struct bit_verify *verify);
void bit_verify(struct bit_verify *verify, const struct sim_snapshot *folder);

#endif
