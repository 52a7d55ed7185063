/* SPDX-License-Identifier: Apache-2.0
 *
 * Records as `read` prints them: JSON lines, or rows of a table. Members: docs/RECORDS.md.
 * Must not read from the broker but for the names of channels.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_RECORD_OUT_H
#define CROSSDOCK_TOOLS_CROSSDOCK_RECORD_OUT_H

#include <crossdock/reader.h>

#include "tools/crossdock/channels.h"

/* What printing needs to know beside the record. */
struct record_out {
    struct tool *tool;      /* */
    xdock_reader_t *reader; /* for names of facilities */
    const char *topic;      /* */
    struct channels names;  /* of sources and channels */
    uint64_t printed;       /* records so far */
};

void record_print(struct record_out *out, const xdock_view_t *view);
void record_out_deinit(struct record_out *out);

#endif
