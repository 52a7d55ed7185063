/* SPDX-License-Identifier: Apache-2.0
 *
 * An answer that any client can check: the frame itself, with the flag of a reply. For whatever
 * stands over broker/net in tests; uses no test framework.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_NET_ANSWER_H
#define CROSSDOCK_TESTS_SUPPORT_NET_ANSWER_H

#include "broker/net/net.h"
#include "wire/frame.h"

#include <stdbool.h>
#include <stdint.h>

/* Answers one frame with its own payload, in a large buffer when it is longer than a chunk; false
 * when there is no room for the answer. */
static inline bool net_answer(struct net *net, uint32_t chunk_bytes, const struct net_frame *frame)
{
    uint32_t bytes = XD_FRAME_HEADER_BYTES + frame->head.length;
    bool large = bytes > chunk_bytes;
    uint8_t *room = large ? net_large_acquire(net) : net_out_reserve(net, frame->conn, bytes);
    struct xd_frame head = frame->head;

    if (room == NULL)
        return false;
    head.flags = XD_FRAME_REPLY;
    xd_frame_encode(&head, room);
    net_frame_copy(frame, 0, room + XD_FRAME_HEADER_BYTES, head.length);
    if (large)
        net_large_send(net, frame->conn, room, bytes);
    else
        net_out_commit(net, frame->conn, bytes);
    return true;
}

#endif
