/* SPDX-License-Identifier: Apache-2.0
 *
 * Which records `read` prints, beyond what its reader selects: order, document, handling unit, lot,
 * source, channel, business key, time of the event. A record has to pass all that were given.
 * Must not print.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_FILTER_H
#define CROSSDOCK_TOOLS_CROSSDOCK_FILTER_H

#include <crossdock/record.h>

#include "tools/crossdock/channels.h"

struct filter {
    const char *order;         /* a sales order's number; NULL here and below = any */
    const char *document;      /* any document's number, orders included */
    const char *handling_unit; /* of either side */
    const char *lot;           /* */
    const char *business_key;  /* */
    const char *source;        /* */
    const char *channel;       /* */
    int64_t event_from_us;     /* INT64_MIN = any */
    int64_t event_to_us;       /* exclusive, INT64_MAX = any */
};

/* From the options of the command line. 0, or XDOCK_OPTION_INVALID with tool->detail. */
int filter_init(struct filter *filter, struct tool *tool);
bool filter_passes(const struct filter *filter, struct channels *channels,
                   const xdock_view_t *view);

#endif
