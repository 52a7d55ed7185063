/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV cells; see csv.h.
 */
#include "tools/crossdock/csv.h"

#include <string.h>

/* Behind the opening quote. */
static char *quoted_cell(char **at, const char **ret_wrong)
{
    char *cell = *at, *to = *at;
    for (char *from = *at;; from++) {
        if (*from == '\0') {
            *ret_wrong = "a quote is not closed";
            return NULL;
        }
        if (*from != '"') {
            *to++ = *from;
            continue;
        }
        if (from[1] == '"') {
            *to++ = '"';
            from++;
            continue;
        }
        if (from[1] != ',' && from[1] != '\0') {
            *ret_wrong = "text stands behind the closing quote";
            return NULL;
        }
        *at = from[1] == ',' ? from + 2 : NULL;
        *to = '\0';
        return cell;
    }
}

char *csv_cell(char **at, const char **ret_wrong)
{
    char *cell = *at;
    if (cell == NULL)
        return NULL;
    if (*cell == '"') {
        (*at)++;
        return quoted_cell(at, ret_wrong);
    }
    size_t bytes = strcspn(cell, ",");
    if (memchr(cell, '"', bytes) != NULL) {
        *ret_wrong = "a quote stands inside a cell that does not begin with one";
        return NULL;
    }
    *at = cell[bytes] == ',' ? cell + bytes + 1 : NULL;
    cell[bytes] = '\0';
    return cell;
}
