/* SPDX-License-Identifier: Apache-2.0
 *
 * Admin: one call for every verb of the broker ("topic create", "status"). Arguments and replies
 * are JSON texts; docs/CLI.md lists the verbs.
 */
#ifndef CROSSDOCK_ADMIN_H
#define CROSSDOCK_ADMIN_H

#include <crossdock/base.h>
#include <crossdock/client.h>

XDOCK_BEGIN_DECLS

/* `json` may be NULL (no arguments). On success *ret_reply is the reply, zero-terminated, borrowed
 * until the next call on the client. A refusal is a status with its detail in
 * xdock_client_error(). */
XDOCK_EXPORT int xdock_admin_call(xdock_client_t *client, const char *verb, const char *json,
                                  uint32_t timeout_ms, const char **ret_reply);

XDOCK_END_DECLS

#endif
