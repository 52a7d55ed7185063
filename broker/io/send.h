/* SPDX-License-Identifier: Apache-2.0
 *
 * How far a send has come: which pieces one call to the kernel gets, and where to go on when it
 * took only a part of them. Pure arithmetic. Must not touch sockets, and must not change the
 * pieces, which belong to the caller.
 */
#ifndef CROSSDOCK_BROKER_IO_SEND_H
#define CROSSDOCK_BROKER_IO_SEND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

/* A send in flight. Its address must not change while the kernel has `header`. */
struct send {
    const struct iovec *pieces; /* the caller's, until the SEND event */
    uint32_t piece_count;       /* all of them */
    uint32_t piece_index;       /* first piece that is not sent completely */
    uint64_t piece_sent;        /* bytes of that piece already sent */
    uint32_t bytes;             /* all bytes, 1..INT32_MAX */
    uint32_t sent;              /* bytes already sent */
    struct iovec rest;          /* what is left of a piece that went out partly */
    struct msghdr header;       /* for the call in flight */
};

/* Starts a send of at least one byte and at most INT32_MAX (asserted). */
void send_start(struct send *send, const struct iovec *pieces, uint32_t piece_count);

/* The header of the next call: the rest of a piece that went out partly, else whole pieces. There
 * must be bytes left. Valid until the next call of this module on the send. */
const struct msghdr *send_next(struct send *send);

/* The kernel took so many bytes of the last header. True when everything is sent. */
bool send_advance(struct send *send, uint32_t bytes);

#endif
