/* SPDX-License-Identifier: Apache-2.0
 *
 * Client: one connection to one broker, driven by its user. It has no thread: blocking calls drive
 * the socket themselves, and an event loop drives it with fd, events, deadline and step. A lost
 * connection is opened again with jittered back-off; unacknowledged batches are then sent again
 * with their old sequences, so every outcome becomes definite.
 */
#ifndef CROSSDOCK_CLIENT_H
#define CROSSDOCK_CLIENT_H

#include <crossdock/base.h>
#include <crossdock/options.h>

XDOCK_BEGIN_DECLS

/* Opens a client and waits for the broker's greeting. `options` may be NULL (defaults) and is
 * copied. On success the caller owns *ret_client. With timeout_ms 0 the connection comes up in
 * later steps. Failures (nothing is left behind): -ENOMEM; XDOCK_UNREACHABLE (at once: nobody
 * listens), XDOCK_DEADLINE_EXCEEDED (no answer); XDOCK_VERSION_UNSUPPORTED; XDOCK_OPTION_INVALID.
 * `error`, if not NULL, gets the detail, cut to error_bytes with a terminator. */
XDOCK_EXPORT int xdock_client_open(const xdock_options_t *options, uint32_t timeout_ms,
                                   xdock_client_t **ret_client, char *error, size_t error_bytes);

/* Flushes producers for at most timeout_ms, closes all of the client's producers and readers, frees
 * everything and clears the caller's pointer. Returns 0, or the number of records whose outcome is
 * not known (they may or may not be durable). Never hangs. Accepts a pointer to NULL. */
XDOCK_EXPORT int xdock_client_close(xdock_client_t **client, uint32_t timeout_ms);

/* For event loops: the descriptor (-1 while not connected), the poll(2) events it waits for, and
 * milliseconds until step must be called even without an event (XDOCK_FOREVER: none). */
XDOCK_EXPORT int xdock_client_fd(const xdock_client_t *client);
XDOCK_EXPORT short xdock_client_events(const xdock_client_t *client);
XDOCK_EXPORT uint32_t xdock_client_deadline(const xdock_client_t *client);

/* Does all work that is possible, waiting up to timeout_ms for the first of it. Returns 1 when
 * something happened, 0 when not, or a FATAL status. */
XDOCK_EXPORT int xdock_client_step(xdock_client_t *client, uint32_t timeout_ms);

/* Detail of the last failure on this client or its producers and readers: what, where, what to do
 * next. Borrowed until the next call. Never NULL. */
XDOCK_EXPORT const char *xdock_client_error(const xdock_client_t *client);

/* What the connection has seen. */
typedef struct xdock_client_stats {
    uint64_t connects;       /* connections that were greeted */
    uint64_t bytes_sent;     /* */
    uint64_t bytes_received; /* */
    uint64_t batches_sent;   /* resends included */
    uint64_t batches_resent; /* */
    uint64_t records_acked;  /* */
    uint64_t duplicates;     /* records that the broker recognised as sent before */
    uint64_t refused;        /* records refused for good */
    uint64_t ack_ns_max;     /* longest time from first send to acknowledgement */
} xdock_client_stats_t;
XDOCK_EXPORT void xdock_client_stats(const xdock_client_t *client, xdock_client_stats_t *ret_stats);

/* Release of the library ("0.1.0"). Static memory. */
XDOCK_EXPORT const char *xdock_version(void);

XDOCK_END_DECLS

#endif
