/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes to a history of history_model.h, one at a time, each of which must break a certain
 * property. For tests of the judge only.
 *
 * Normal path: spoil_look at a legal history, then spoil_change. Must not know how it is judged.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_HISTORY_SPOIL_H
#define CROSSDOCK_TESTS_SUPPORT_HISTORY_SPOIL_H

#include "broker/base/prng.h"
#include "tests/support/history_check.h"
#include "tests/support/history_model.h"

/* A history that is about to be spoiled. */
struct spoil {
    struct history *history;
    struct prng prng;
    uint64_t floor[MODEL_PARTITIONS];                /* highest one told */
    uint64_t end[MODEL_PARTITIONS];                  /* behind the last record read */
    bool damaged[MODEL_PARTITIONS];                  /* */
    uint32_t log[MODEL_PARTITIONS][MODEL_LOG_MAX];   /* entry of each offset, UINT32_MAX = unread */
    uint32_t ops[MODEL_OPS_MAX * MODEL_RECORDS_MAX]; /* operation of each id of the model */
};

/* Takes the history in, which model_run has made from that seed. */
void spoil_look(struct spoil *spoil, struct history *history, uint64_t seed);
/* Number of changes that there are. */
uint32_t spoil_count(void);
const char *spoil_name(uint32_t change);
/* The property that the change breaks. */
enum history_property spoil_breaks(uint32_t change);
/* Changes the history; false: it does not lend itself to this and is as it was. */
bool spoil_change(struct spoil *spoil, uint32_t change);

#endif
