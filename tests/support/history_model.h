/* SPDX-License-Identifier: Apache-2.0
 *
 * A model of a broker with its clients that writes histories: everything that may happen does, in
 * random sequence, and nothing that must not. For tests of the judge only.
 *
 * Normal path: model_run fills the history from a seed: sending, answers that are lost or late,
 * resends, crashes that take what was not durable, channels that number anew or change their
 * holder, retention, damage, reads; then faults heal, all is settled and everything is read back.
 * Must not know how it is judged.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_HISTORY_MODEL_H
#define CROSSDOCK_TESTS_SUPPORT_HISTORY_MODEL_H

#include "tests/support/history.h"

#define MODEL_PARTITIONS 3u
#define MODEL_CHANNELS 3u
#define MODEL_OPS_MAX 600u   /* of a run */
#define MODEL_RECORDS_MAX 4u /* of an operation */
#define MODEL_LOG_MAX (MODEL_OPS_MAX * MODEL_RECORDS_MAX)

/* Runs `steps` random steps (at most 2000) and settles. The history is emptied first. False: no
 * memory. */
bool model_run(struct history *history, uint64_t seed, uint32_t steps);

#endif
