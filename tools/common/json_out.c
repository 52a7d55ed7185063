/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON lines; see json_out.h.
 */
#include "tools/common/json_out.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

static void put_escaped(FILE *stream, unsigned char c)
{
    static const char *const short_forms[] = {
        ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n", ['\f'] = "\\f", ['\r'] = "\\r"};
    if (c == '"' || c == '\\') {
        putc('\\', stream);
        putc(c, stream);
    } else if (c < sizeof short_forms / sizeof short_forms[0] && short_forms[c] != NULL) {
        fputs(short_forms[c], stream);
    } else if (c < 0x20 || c == 0x7f) {
        fprintf(stream, "\\u%04x", c);
    } else {
        putc(c, stream);
    }
}

/* Bytes of the UTF-8 character at `data`, 0 when there is none. */
static size_t utf8_bytes(const unsigned char *data, size_t bytes)
{
    static const struct {
        unsigned char mask, head; /* of the first byte */
        uint32_t least;           /* smallest code point of that length */
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
    for (size_t length = 1; length <= 4; length++) {
        if ((data[0] & forms[length - 1].mask) != forms[length - 1].head)
            continue;
        if (length > bytes)
            return 0;
        uint32_t code = data[0] & (unsigned char)~forms[length - 1].mask;
        for (size_t i = 1; i < length; i++) {
            if ((data[i] & 0xc0) != 0x80)
                return 0;
            code = code << 6 | (data[i] & 0x3fu);
        }
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        return code < forms[length - 1].least || code > 0x10ffff || surrogate ? 0 : length;
    }
    return 0;
}

bool text_is_utf8(const void *data, size_t bytes)
{
    const unsigned char *at = data;
    while (bytes > 0) {
        size_t length = utf8_bytes(at, bytes);
        if (length == 0)
            return false;
        at += length;
        bytes -= length;
    }
    return true;
}

static void put_string(FILE *stream, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    putc('"', stream);
    while (bytes > 0) {
        size_t length = utf8_bytes(at, bytes);
        if (length == 0) {
            fputs("\xef\xbf\xbd", stream);
            length = 1;
        } else if (length == 1) {
            put_escaped(stream, *at);
        } else {
            fwrite(at, 1, length, stream);
        }
        at += length;
        bytes -= length;
    }
    putc('"', stream);
}

/* What stands before a value. */
static void begin(struct json_out *out, const char *key)
{
    if (out->separate)
        putc(',', out->stream);
    if (key != NULL) {
        put_string(out->stream, key, strlen(key));
        putc(':', out->stream);
    }
    out->separate = true;
}

void json_begin(struct json_out *out, FILE *stream)
{
    *out = (struct json_out){.stream = stream};
    putc('{', stream);
}

void json_end(struct json_out *out)
{
    fputs("}\n", out->stream);
}

void json_text(struct json_out *out, const char *key, const char *text)
{
    json_bytes(out, key, text, strlen(text));
}

void json_bytes(struct json_out *out, const char *key, const void *data, size_t bytes)
{
    begin(out, key);
    put_string(out->stream, data, bytes);
}

void json_base64(struct json_out *out, const char *key, const void *data, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = data;
    begin(out, key);
    putc('"', out->stream);
    for (size_t i = 0; i < bytes; i += 3) {
        size_t left = bytes - i;
        uint32_t group = (uint32_t)at[i] << 16;
        group |= left > 1 ? (uint32_t)at[i + 1] << 8 : 0;
        group |= left > 2 ? at[i + 2] : 0;
        putc(digits[group >> 18], out->stream);
        putc(digits[group >> 12 & 63], out->stream);
        putc(left > 1 ? digits[group >> 6 & 63] : '=', out->stream);
        putc(left > 2 ? digits[group & 63] : '=', out->stream);
    }
    putc('"', out->stream);
}

void json_number(struct json_out *out, const char *key, uint64_t number)
{
    begin(out, key);
    fprintf(out->stream, "%" PRIu64, number);
}

void json_signed(struct json_out *out, const char *key, int64_t number)
{
    begin(out, key);
    fprintf(out->stream, "%" PRId64, number);
}

void json_bool(struct json_out *out, const char *key, bool value)
{
    begin(out, key);
    fputs(value ? "true" : "false", out->stream);
}

void json_time(struct json_out *out, const char *key, int64_t us)
{
    char text[JSON_TIME_BYTES];
    time_format(us, text);
    json_text(out, key, text);
}

void json_uuid(struct json_out *out, const char *key, const uint8_t uuid[16])
{
    char text[JSON_UUID_BYTES];
    uuid_format(uuid, text);
    json_text(out, key, text);
}

void json_open(struct json_out *out, const char *key, char bracket)
{
    begin(out, key);
    putc(bracket, out->stream);
    out->separate = false;
}

void json_close(struct json_out *out, char bracket)
{
    putc(bracket, out->stream);
    out->separate = true;
}

void time_format(int64_t us, char *ret_text)
{
    int64_t part = us % 1000000;
    int64_t rest = part < 0 ? part + 1000000 : part;
    time_t seconds = (time_t)((us - rest) / 1000000);
    struct tm civil;
    char text[32];
    if (gmtime_r(&seconds, &civil) == NULL || strftime(text, sizeof text, "%FT%T", &civil) == 0) {
        snprintf(ret_text, JSON_TIME_BYTES, "%" PRId64 "us", us);
        return;
    }
    snprintf(ret_text, JSON_TIME_BYTES, "%s.%06dZ", text, (int)rest);
}

void uuid_format(const uint8_t uuid[16], char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *ret_text++ = '-';
        *ret_text++ = digits[uuid[i] >> 4];
        *ret_text++ = digits[uuid[i] & 15];
    }
    *ret_text = '\0';
}
