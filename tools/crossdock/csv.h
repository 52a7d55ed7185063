/* SPDX-License-Identifier: Apache-2.0
 *
 * Cells of a CSV row (RFC 4180): commas between them; a cell with a comma, quote or newline stands
 * between quotes, and a quote in it twice. Pure functions over memory.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_CSV_H
#define CROSSDOCK_TOOLS_CROSSDOCK_CSV_H

/* The next cell of the row at *at, cut out and unquoted in place; *at moves behind it and is NULL
 * behind the last. NULL at the end, or with *ret_wrong when the row is not well-formed. */
char *csv_cell(char **at, const char **ret_wrong);

#endif
