/* SPDX-License-Identifier: Apache-2.0
 *
 * The client handle inside the library: what its parts share, and the step that drives them.
 *
 * One turn: what has come is received and given to its owner, the connection's state moves on, what
 * waits is sent. Blocking calls repeat: turn, look whether they are done, wait. The parts
 * (producer, reader, admin, catalog) never wait and never receive by themselves.
 */
#ifndef CROSSDOCK_CLIENT_CLIENT_H
#define CROSSDOCK_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include <crossdock/client.h>

#include "client/catalog.h"
#include "client/connection.h"
#include "client/list.h"
#include "client/options.h"
#include "client/transport.h"

#define XD_ERROR_BYTES 768u

/* One call of xdock_admin_call on its way. */
struct xd_admin_state {
    char *reply;   /* XD_ADMIN_REPLY_BYTES_MAX and a terminator */
    int status;    /* of the reply */
    bool asked;    /* a request is on its way */
    bool answered; /* reply and status are valid */
};

struct xdock_client {
    struct xd_transport *transport;
    struct xdock_options options; /* copy */
    struct xd_connection connection;
    struct xd_catalog catalog;
    struct xd_link producers; /* open ones, by their link */
    struct xd_link readers;   /* open ones */
    struct xd_admin_state admin;
    struct xdock_client_stats stats; /* bytes and connects are the connection's */
    int fatal;                       /* status that finished the client, 0 = none */
    char error[XD_ERROR_BYTES];      /* detail of the last failure */
};

/* A turn that is not asked to send open batches leaves them to grow. */
enum xd_turn { XD_TURN_FULL_BATCHES, XD_TURN_ALL_BATCHES };

/* As xdock_client_open over a transport of the caller, which passes to the client in any case. */
int xd_client_open_over(const xdock_options_t *options, struct xd_transport *transport,
                        uint32_t timeout_ms, xdock_client_t **ret_client, char *error,
                        size_t error_bytes);

/* 0 when the caller may use the handle: XD_FORKED, XD_WRONG_THREAD, or what finished the client. */
int xd_client_enter(xdock_client_t *client);
/* Notes the detail of a failure and passes its status on. Either text may be NULL. */
int xd_client_fail(xdock_client_t *client, int status, const char *what, const char *detail);

/* Does what can be done now. 1 = something happened, 0 = nothing did. */
int xd_client_turn(xdock_client_t *client, enum xd_turn turn);
/* Ends the connection and tells its owners; the next attempt follows a pause. */
void xd_client_break(xdock_client_t *client, int status, const char *text);
/* Waits until something may happen, at most until deadline_ns. */
void xd_client_wait(xdock_client_t *client, uint64_t deadline_ns);
/* Time by which a turn is needed even without an event, XD_WAIT_FOREVER: none. */
uint64_t xd_client_deadline_ns(const xdock_client_t *client);

uint64_t xd_client_now_ns(const xdock_client_t *client);
/* End of a call that begins now. */
uint64_t xd_client_end_ns(const xdock_client_t *client, uint32_t timeout_ms);
/* One round of a blocking call: a turn, and when it brought nothing new, a wait. 0 = look and come
 * again; XD_DEADLINE_EXCEEDED (with the connection's trouble as detail) when the time was over
 * before the turn, which is done all the same, so look once more; or what finished the client. */
int xd_client_round(xdock_client_t *client, uint64_t end_ns);

/* Fetches the catalog anew and waits for it. 0 or the status of the answer or deadline. */
int xd_client_catalog(xdock_client_t *client, uint64_t end_ns);

/* ---- what admin.c gives to the turn ---------------------------------------------------------- */
struct xd_reply_head;
void xd_admin_reply(xdock_client_t *client, const struct xd_reply_head *head, struct xd_text detail,
                    const uint8_t *body, size_t body_bytes);
void xd_admin_lost(xdock_client_t *client);

#endif
