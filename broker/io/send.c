/* SPDX-License-Identifier: Apache-2.0
 *
 * Progress of a send.
 *
 * Normal path: one header with all pieces, one step to the end. Failure path: a short count stops
 * inside a piece, which is then sent alone before whole pieces follow. Nothing to shut down.
 */
#include "broker/io/send.h"

#include "wire/xassert.h"

#include <limits.h>

/* Pieces that one sendmsg takes. */
#define PIECES_PER_CALL_MAX ((uint32_t)IOV_MAX)

void send_start(struct send *send, const struct iovec *pieces, uint32_t piece_count)
{
    XD_ASSERT(pieces && piece_count > 0);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < piece_count; i++)
        bytes += pieces[i].iov_len;
    XD_ASSERT(bytes > 0 && bytes <= INT32_MAX);
    *send = (struct send){.pieces = pieces, .piece_count = piece_count, .bytes = (uint32_t)bytes};
    (void)send_advance(send, 0); /* Past empty pieces; there are bytes left. */
}

const struct msghdr *send_next(struct send *send)
{
    XD_ASSERT(send->sent < send->bytes);
    XD_ASSERT(send->piece_index < send->piece_count);
    const struct iovec *piece = &send->pieces[send->piece_index];
    send->header = (struct msghdr){0};
    if (send->piece_sent > 0) {
        send->rest.iov_base = (uint8_t *)piece->iov_base + send->piece_sent;
        send->rest.iov_len = piece->iov_len - send->piece_sent;
        send->header.msg_iov = &send->rest;
        send->header.msg_iovlen = 1;
    } else {
        uint32_t count = send->piece_count - send->piece_index;
        /* msghdr wants a plain pointer; the kernel only reads. */
        send->header.msg_iov = (struct iovec *)piece;
        send->header.msg_iovlen = count < PIECES_PER_CALL_MAX ? count : PIECES_PER_CALL_MAX;
    }
    return &send->header;
}

bool send_advance(struct send *send, uint32_t bytes)
{
    XD_ASSERT(bytes <= send->bytes - send->sent);
    send->sent += bytes;
    uint64_t left = bytes;
    /* Steps over empty pieces as well, so that the next header never starts with one. */
    while (send->piece_index < send->piece_count) {
        uint64_t rest = send->pieces[send->piece_index].iov_len - send->piece_sent;
        if (left < rest) {
            send->piece_sent += left;
            return false;
        }
        left -= rest;
        send->piece_index++;
        send->piece_sent = 0;
    }
    XD_ASSERT(left == 0);
    XD_ASSERT(send->sent == send->bytes);
    return true;
}
