/* SPDX-License-Identifier: Apache-2.0
 *
 * The one that goes before the crowd and asks where the topic's records of the facility belong.
 * Blocking. Must not leave its connection behind.
 */
#ifndef CROSSDOCK_BENCH_CROWD_SCOUT_H
#define CROSSDOCK_BENCH_CROWD_SCOUT_H

#include "bench/crowd/dial.h"
#include "bench/crowd/talk.h"

/* 0, a status of the broker, or -errno; -ENOENT: no such topic, or it has no such facility. */
int scout_place(struct dial *dial, const char *topic, const char *facility,
                struct talk_place *ret_place);

#endif
