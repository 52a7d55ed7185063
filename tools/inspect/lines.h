/* SPDX-License-Identifier: Apache-2.0
 *
 * One line of the inspector's output: JSON, or a word and name=value pairs.
 */
#ifndef CROSSDOCK_TOOLS_INSPECT_LINES_H
#define CROSSDOCK_TOOLS_INSPECT_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/common/json_out.h"

struct line {
    bool json;           /* */
    struct json_out out; /* */
};

/* `kind` is the first word, in JSON the member "kind". Printed on standard output. */
void line_begin(struct line *line, bool json, const char *kind, unsigned indent);
void line_number(struct line *line, const char *name, uint64_t number);
void line_text(struct line *line, const char *name, const char *text);
void line_bytes(struct line *line, const char *name, const void *data, size_t bytes);
void line_time(struct line *line, const char *name, int64_t us);
void line_uuid(struct line *line, const char *name, const uint8_t uuid[16]);
void line_end(struct line *line);

#endif
