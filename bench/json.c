/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON output; see json.h.
 */
#include "bench/json.h"

#include "bench/check.h"

#include <inttypes.h>

static void put_string(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            fprintf(out, "\\%c", byte);
        else if (byte < 0x20)
            fprintf(out, "\\u%04x", byte);
        else
            putc(byte, out);
    }
    putc('"', out);
}

static void begin(struct json *json, const char *key)
{
    if (json->separate)
        putc(',', json->out);
    if (key != NULL) {
        put_string(json->out, key);
        putc(':', json->out);
    }
    json->separate = true;
}

void json_object(struct json *json, const char *key)
{
    BENCH_ASSERT(key != NULL || !json->separate);
    begin(json, key);
    putc('{', json->out);
    json->separate = false;
}

void json_object_end(struct json *json)
{
    putc('}', json->out);
    json->separate = true;
}

void json_string(struct json *json, const char *key, const char *text)
{
    begin(json, key);
    put_string(json->out, text);
}

void json_integer(struct json *json, const char *key, uint64_t number)
{
    begin(json, key);
    fprintf(json->out, "%" PRIu64, number);
}

void json_decimal(struct json *json, const char *key, double number)
{
    begin(json, key);
    fprintf(json->out, "%.3f", number);
}

void json_verbatim(struct json *json, const char *key, const char *text)
{
    begin(json, key);
    fputs(text, json->out);
}
