/* SPDX-License-Identifier: Apache-2.0
 *
 * The seam between the library and the operating system: one stream to one broker, two clocks,
 * randomness, and who is calling. transport_socket.c stands behind it in programs; tests put a
 * scripted broker there, with a clock of their own.
 *
 * Nothing here blocks but `wait`. The library above it must not call the system in any other way.
 */
#ifndef CROSSDOCK_CLIENT_TRANSPORT_H
#define CROSSDOCK_CLIENT_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

struct iovec;
struct xd_transport;

#define XD_WAIT_FOREVER UINT64_MAX

struct xd_transport_ops {
    /* Starts a connection, after closing the former one: 1 = it stands, 0 = under way, or -errno.
     */
    int (*connect)(struct xd_transport *transport);
    /* Asks after one under way: as above. */
    int (*connect_check)(struct xd_transport *transport);
    /* Sends a prefix of the pieces: its bytes, -EAGAIN when nothing fits, or -errno. */
    int64_t (*send)(struct xd_transport *transport, const struct iovec *pieces, int piece_count);
    /* Receives 1..bytes bytes, 0 = the peer has closed, -EAGAIN when nothing is there, or -errno.
     */
    int64_t (*recv)(struct xd_transport *transport, void *buffer, size_t bytes);
    /* Waits for POLLIN and/or POLLOUT (poll(2)) until now_ns() reaches deadline_ns. Returns the
     * events that came, 0 when none did (also after a signal). Without a connection it sleeps. */
    short (*wait)(struct xd_transport *transport, short events, uint64_t deadline_ns);
    /* Ends the connection, if any. */
    void (*close)(struct xd_transport *transport);
    /* Descriptor for event loops, -1 without a connection. */
    int (*fd)(const struct xd_transport *transport);
    /* Monotonic, in nanoseconds, from an arbitrary start above 0. */
    uint64_t (*now_ns)(struct xd_transport *transport);
    /* Microseconds since 1970 UTC. */
    int64_t (*wall_us)(struct xd_transport *transport);
    uint64_t (*random64)(struct xd_transport *transport);
    /* 0, XD_FORKED in a child of the process that opened, XD_WRONG_THREAD in another thread.
     * Called at every public entry, so it must not enter the kernel. */
    int (*check)(const struct xd_transport *transport);
    /* Frees the transport itself; in a child process without touching the parent's connection. */
    void (*free)(struct xd_transport *transport);
};

/* First member of every implementation. */
struct xd_transport {
    const struct xd_transport_ops *ops;
};

#define XD_TRANSPORT_TEXT_BYTES 160u

/* Parses `address` (ip:port, [v6]:port, localhost:port, unix:/path) and makes a transport of
 * sockets; nothing is connected yet. Owner is the caller; ops->free ends it. XD_OPTION_INVALID with
 * a sentence in `why` (XD_TRANSPORT_TEXT_BYTES), or -ENOMEM or -errno of what was not to be had. */
int xd_transport_socket(const char *address, struct xd_transport **ret_transport, char *why);

#endif
