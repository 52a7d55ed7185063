/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON data as a table, as tab-separated values, or as names. Must not fetch anything.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_TABLE_H
#define CROSSDOCK_TOOLS_CROSSDOCK_TABLE_H

#include <jansson.h>

#include "tools/crossdock/report.h"

/* Prints data in one of the forms that are not JSON. Rows become a table with a heading; one
 * object becomes lines of member and value, nested members joined by dots. Tab, newline and
 * backslash in TSV are \t, \n and \\. */
void table_print(struct tool *tool, const struct report_view *view, json_t *data);

#endif
