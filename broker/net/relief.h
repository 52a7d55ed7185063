/* SPDX-License-Identifier: Apache-2.0
 *
 * Receive memory when it runs low. All connections share the lent buffers, and one that holds a
 * partial frame, or a frame that has to wait, keeps its buffers from the others.
 *
 * Normal path: relief_turn at the end of each turn finds enough buffers free and does nothing but
 * start receives that had ended for want of one.
 * Failure paths, by rising need. Fewer than a quarter free: connections that wait stop receiving;
 * partial frames, then waiting ones, are copied into spill chunks and their buffers given back.
 * None free: a connection is closed, unless frames that only have to be read will bring buffers
 * back. So at any time either a buffer is free, or the user has frames to read, or a peer that does
 * not read runs into its send time-out, or another shard has frames to give back: nothing waits for
 * ever. Frames lent to other shards cannot be copied and are not counted on.
 *
 * Must not touch connections that are about to be read.
 */
#ifndef CROSSDOCK_BROKER_NET_RELIEF_H
#define CROSSDOCK_BROKER_NET_RELIEF_H

#include "broker/net/conn.h"

/* Call after conns_flush, with no frame out. */
void relief_turn(struct conns *conns);

#endif
