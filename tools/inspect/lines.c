/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of output; see lines.h.
 */
#include "tools/inspect/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void line_begin(struct line *line, bool json, const char *kind, unsigned indent)
{
    line->json = json;
    if (json) {
        json_begin(&line->out, stdout);
        json_text(&line->out, "kind", kind);
    } else {
        printf("%*s%s", (int)indent, "", kind);
    }
}

void line_number(struct line *line, const char *name, uint64_t number)
{
    if (line->json)
        json_number(&line->out, name, number);
    else
        printf(" %s=%" PRIu64, name, number);
}

void line_text(struct line *line, const char *name, const char *text)
{
    line_bytes(line, name, text, strlen(text));
}

void line_bytes(struct line *line, const char *name, const void *data, size_t bytes)
{
    const char *at = data;
    if (line->json) {
        json_bytes(&line->out, name, data, bytes);
        return;
    }
    bool plain = bytes > 0;
    for (size_t i = 0; i < bytes; i++)
        plain = plain && at[i] > ' ' && at[i] != '"' && at[i] != 0x7f;
    if (plain) {
        printf(" %s=%.*s", name, (int)bytes, at);
        return;
    }
    struct json_out quoted = {.stream = stdout}; /* quoted as JSON does */
    printf(" %s=", name);
    json_bytes(&quoted, NULL, data, bytes);
}

void line_time(struct line *line, const char *name, int64_t us)
{
    char text[JSON_TIME_BYTES];
    time_format(us, text);
    line_text(line, name, text);
}

void line_uuid(struct line *line, const char *name, const uint8_t uuid[16])
{
    char text[JSON_UUID_BYTES];
    uuid_format(uuid, text);
    line_text(line, name, text);
}

void line_end(struct line *line)
{
    if (line->json)
        json_end(&line->out);
    else
        putchar('\n');
}
