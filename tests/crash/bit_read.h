/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads every partition of a shard that has started on a damaged folder, and compares each batch
 * with the whole folder.
 */
#ifndef CROSSDOCK_TESTS_CRASH_BIT_READ_H
#define CROSSDOCK_TESTS_CRASH_BIT_READ_H

#include "tests/crash/bit_judge.h"

#include <stdbool.h>

/* False when a rule is broken. */
bool bit_read_all(struct bit_judge *judge);

#endif
