/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels by their registry number: records carry only that, people want source and channel by
 * name. Asks the broker for its list when a number first comes up that it does not know.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_CHANNELS_H
#define CROSSDOCK_TOOLS_CROSSDOCK_CHANNELS_H

#include <jansson.h>
#include <stdint.h>

#include "tools/crossdock/tool.h"

struct channels {
    struct tool *tool; /* */
    json_t *rows;      /* number as text -> row of "source list", or null; NULL = not asked */
};

/* Names of a channel, "" when the broker does not list it; borrowed until the next call. */
const char *channels_source(struct channels *channels, uint64_t number);
const char *channels_name(struct channels *channels, uint64_t number);
void channels_deinit(struct channels *channels);

#endif
