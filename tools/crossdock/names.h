/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that exist now: topics, facilities and sources of the broker, profiles of the client's
 * configuration file. For did-you-mean and for completion.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_NAMES_H
#define CROSSDOCK_TOOLS_CROSSDOCK_NAMES_H

#include <jansson.h>

#include "tools/crossdock/tool.h"

enum names_kind { NAMES_TOPIC, NAMES_FACILITY, NAMES_SOURCE, NAMES_PROFILE, NAMES_COUNT };

/* Array of names in the broker's or the file's sequence, each once; the caller owns it. 0, or a
 * status with tool->detail. */
int names_fetch(struct tool *tool, enum names_kind kind, json_t **ret_names);
/* Appends the name that is nearest to `wanted` to tool->detail. Leaves it alone when there is none,
 * when one stands there already, and when the broker cannot be asked. */
void names_suggest(struct tool *tool, enum names_kind kind, const char *wanted);

#endif
