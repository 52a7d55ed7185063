/* SPDX-License-Identifier: Apache-2.0
 *
 * Which numbers of a channel the log holds.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_GAPS_H
#define CROSSDOCK_TOOLS_CROSSDOCK_GAPS_H

#include "tools/crossdock/ranges.h"
#include "tools/crossdock/shards.h"
#include "tools/crossdock/tool.h"

/* Adds the numbers of a channel's present epoch that can be read; none when there is no such
 * channel. Reads every partition that it has sent to. 0 or a status with tool->detail. */
int gaps_collect(struct tool *tool, const struct channel_name *name, struct ranges *ranges);

#endif
