/* SPDX-License-Identifier: Apache-2.0
 *
 * What the daemon that kills itself and the test that asks it to must agree on: the names of the
 * crash points, the variable that names one, and the last words.
 *
 * The variable is KILL_AT=POINT:N, the N-th hit (from 1) of one life. Without it the daemon lives.
 * It does not start with CROSSDOCK_, because such a name would have to be an option of the broker.
 */
#ifndef CROSSDOCK_TESTS_CRASH_KILL_POINT_H
#define CROSSDOCK_TESTS_CRASH_KILL_POINT_H

#include "broker/io/env.h"

#define KILL_VARIABLE "KILL_AT"
#define KILL_HIT_MAX 1000000u
#define KILL_TEXT_BYTES 64u              /* of "POINT:N" */
#define KILL_LAST_WORDS "killed at hit " /* of POINT:N; a line of its own on standard error */

/* "BLOCK_WRITTEN" */
const char *kill_point_name(enum env_crash_point point);
/* Reads POINT:N; false when the text is none. */
bool kill_point_parse(const char *text, enum env_crash_point *ret_point, uint32_t *ret_hit);

#endif
