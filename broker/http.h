/* SPDX-License-Identifier: Apache-2.0
 *
 * The listener for whoever watches the broker: pages over HTTP, and nothing else. libmicrohttpd
 * does the protocol; it runs in the supervisor's thread, never in a shard's.
 *
 * Normal path: http_open binds; the supervisor waits for http_fd() in its poll, at most
 * http_timeout_ms(), and calls http_run(); http_close. Where a page needs what the shards know,
 * `watch` is asked. Failure paths: -errno of the address; a request that is not GET or HEAD, or for
 * no page, is answered 405 or 404; slow and many clients are bounded here.
 * All calls but http_open accept NULL: nobody listens. Must not change anything in the broker.
 */
#ifndef CROSSDOCK_BROKER_HTTP_H
#define CROSSDOCK_BROKER_HTTP_H

#include "broker/watch.h"

#include <stdint.h>

#define HTTP_CONNECTIONS_MAX 32u
/* A client that is silent for longer is closed. */
#define HTTP_TIMEOUT_SECONDS 10u

struct http;

/* `address` as for clients; `ret_address` (ENV_ADDRESS_BYTES_MAX) is the bound one. 0 or -errno. */
int http_open(const char *address, struct watch *watch, struct http **ret_http, char *ret_address);
void http_close(struct http *http);
/* Descriptor that becomes readable when there is something to do, -1 for NULL. */
int http_fd(const struct http *http);
/* How long the supervisor may wait, at most max_ms. */
int http_timeout_ms(struct http *http, int max_ms);
void http_run(struct http *http);

#endif
