/* SPDX-License-Identifier: Apache-2.0
 *
 * What a peer may take its time for: the first frame, a frame that has begun, a send.
 *
 * Each of the three has one time-out for all connections, so the list of those concerned is in the
 * sequence of their deadlines and only its front has to be looked at.
 * Failure path: a connection that is late is closed. One that waits for the broker (no receive
 * buffer, a frame not read yet) is not late: its time begins anew. Must not read the clock.
 */
#ifndef CROSSDOCK_BROKER_NET_TIMEOUT_H
#define CROSSDOCK_BROKER_NET_TIMEOUT_H

#include <stdint.h>

#include "broker/net/conn.h"

/* Closes what is late at the monotonic time `now_ns`. No frame may be out. */
void timeout_expire(struct conns *conns, uint64_t now_ns);

/* When the next one will be late, UINT64_MAX = none. */
uint64_t timeout_next_ns(const struct conns *conns);

#endif
