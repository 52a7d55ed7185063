/* SPDX-License-Identifier: Apache-2.0
 *
 * The connection of a run, and admin calls over it. Must not print.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_SESSION_H
#define CROSSDOCK_TOOLS_CROSSDOCK_SESSION_H

#include <jansson.h>

#include "tools/crossdock/tool.h"

/* Connects, unless that was done. 0, or a status with tool->detail. */
int session_open(struct tool *tool);
/* Closes the connection; accepts a tool without one. */
void session_close(struct tool *tool);
/* Notes the client's text on a failure of one of its calls; returns `status`. */
int session_failed(struct tool *tool, int status);

/* Calls a verb of the broker. Takes `arguments` over (NULL = none). 0 and *ret_reply, owned by the
 * caller, or a status with tool->detail. */
int session_call(struct tool *tool, const char *verb, json_t *arguments, json_t **ret_reply);
/* The same for a verb that answers in pages: member `rows` of all of them in one reply, without
 * the broker's member "next". */
int session_call_all(struct tool *tool, const char *verb, const char *rows, json_t *arguments,
                     json_t **ret_reply);

/* Text and number as an argument; a NULL value is left out. */
void argument_text(json_t *arguments, const char *name, const char *value);
/* A decimal number out of an option. 0, or XDOCK_OPTION_INVALID with tool->detail. */
int argument_number(struct tool *tool, json_t *arguments, const char *name, const char *value);

#endif
