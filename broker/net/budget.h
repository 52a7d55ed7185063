/* SPDX-License-Identifier: Apache-2.0
 *
 * How much of the memory for received bytes is left, as one of three states. All of it was taken at
 * start, so nothing here can make the process grow; what can happen is that some connections hold
 * so much that the others are not heard.
 *
 *   NORMAL     everybody is read from
 *   THROTTLED  who sends large frames gets no further than the end of one: its window closes
 *   REFUSING   also, new connections are closed at once, but for unix sockets
 *
 * What is looked at is what relief.h has left over: as long as it keeps a quarter of the buffers
 * free, the state is NORMAL. A state ends at a higher mark than it begins, so that it does not
 * change with each buffer:
 *
 *   free of all        THROTTLED below   until   REFUSING below   until
 *   receive buffers          1/8          1/4         1/16          1/8
 *   spill chunks              -            -          1/8           1/4
 *
 * REFUSING needs both below their marks, because chunks give buffers back. Must not look at single
 * connections.
 */
#ifndef CROSSDOCK_BROKER_NET_BUDGET_H
#define CROSSDOCK_BROKER_NET_BUDGET_H

#include <stdint.h>

#include "broker/net/net.h"

struct budget_share {
    uint32_t free;  /* units that are free */
    uint32_t count; /* units in all, at least 1 */
};

/* The state that follows from the present one. */
enum net_memory budget_next(enum net_memory state, const struct budget_share *receive,
                            const struct budget_share *spill);

#endif
