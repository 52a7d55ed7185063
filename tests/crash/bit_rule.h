/* SPDX-License-Identifier: Apache-2.0
 *
 * What damage means, and what a case must have come to. Only the map, the damaged bytes and the
 * disk format are asked; see bit_judge.h for the rules.
 */
#ifndef CROSSDOCK_TESTS_CRASH_BIT_RULE_H
#define CROSSDOCK_TESTS_CRASH_BIT_RULE_H

#include "tests/crash/bit_judge.h"

#include <stdbool.h>

/* Says which blocks are damaged, which segments are lost, and from where on a cut is allowed. */
void bit_rule_begin(struct bit_judge *judge);
/* When everything has run: whether the damage was told. Fills in the outcome. */
bool bit_rule_end(struct bit_judge *judge);

/* When the folder that a stopped shard has left was verified: whether damage to the log still
 * stands, and nothing else is left. */
bool bit_rule_after(struct bit_judge *judge);

/* Whether the shard has said a line of that event with `text` in it. */
bool bit_line(const struct bit_judge *judge, const char *event, const char *text);
/* Notes a broken rule, the first one. Always false. */
bool bit_broken(struct bit_judge *judge, const char *rule, const char *what, const char *detail);

#endif
