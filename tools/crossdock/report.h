/* SPDX-License-Identifier: Apache-2.0
 *
 * Data on standard output, talk on standard error.
 *
 * Normal path: one report_data or report_rows for a verb. In JSON that is one envelope:
 *   {"command":"topic list","ok":true,"data":{...}}
 *   {"command":"topic show","ok":false,"error":{"code","name","class","text","hint"}}
 * Failure path: report_failure tells people on standard error, JSON also on standard output, and
 * gives the exit status that belongs to the status. Only this file prints JSON trees and tables.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_REPORT_H
#define CROSSDOCK_TOOLS_CROSSDOCK_REPORT_H

#include <jansson.h>

#include "tools/crossdock/tool.h"

/* How rows become a table. */
struct report_view {
    const char *rows;    /* member of the data that holds the rows; NULL: the data is one object */
    const char *columns; /* "name,width,records": of a table; the first one is the name */
    const char *wide;    /* what -o wide and -o tsv show behind them */
};

/* Prints the data of a verb that went well; takes `data` over. Returns EXIT_OK. */
int report_data(struct tool *tool, const struct report_view *view, json_t *data);
/* The same with a failure beside it: what was done, and what was not. Returns its exit status. */
int report_partly(struct tool *tool, const struct report_view *view, json_t *data, int status,
                  const char *hint);

/* Tells a failure: `status`, tool->detail where that is not empty, and what to do next (NULL =
 * look it up). Returns the exit status. */
int report_failure(struct tool *tool, int status, const char *hint);

/* For verbs whose data is a text, such as help: what is printed between these two is the data, with
 * -o json as {"text":...}. Returns EXIT_OK. */
void report_text_begin(struct tool *tool);
int report_text_end(struct tool *tool);
/* Drops what was collected, if anything: a failure follows. Returns EXIT_OK. */
int report_text_drop(struct tool *tool);

/* Exit status of a status. */
int report_exit(int status);
/* What to do about a status; "" when there is nothing to say. Static memory. */
const char *report_hint(int status);

#endif
