/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON text; see writer.h.
 */
#include "broker/admin/writer.h"

#include "broker/admin/suggest.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DAY_US 86400000000ll
/* 0000-01-01T00:00:00Z and the last microsecond of 9999, in us since 1970. */
#define TIME_US_MIN (-719528ll * DAY_US)
#define TIME_US_MAX (2932897ll * DAY_US - 1)

void writer_init(struct writer *writer, char *out, uint32_t out_bytes)
{
    *writer = (struct writer){.out = out, .bytes = out_bytes};
}

uint32_t writer_finish(const struct writer *writer)
{
    XD_ASSERT(writer->depth == 0);
    return writer->used;
}

static void put(struct writer *writer, const char *data, uint32_t bytes)
{
    XD_ASSERT(bytes <= writer->bytes - writer->used);
    memcpy(writer->out + writer->used, data, bytes);
    writer->used += bytes;
}

/* A character of a string. UTF-8 passes as it is. */
static void put_escaped(struct writer *writer, char c)
{
    char escape[8];
    unsigned char byte = (unsigned char)c;
    if (c == '"' || c == '\\') {
        snprintf(escape, sizeof escape, "\\%c", c);
        put(writer, escape, 2);
    } else if (byte < 0x20 || byte == 0x7f) {
        snprintf(escape, sizeof escape, "\\u%04x", byte);
        put(writer, escape, 6);
    } else {
        put(writer, &c, 1);
    }
}

static void put_string(struct writer *writer, struct xd_text text)
{
    put(writer, "\"", 1);
    for (uint32_t i = 0; i < text.bytes; i++)
        put_escaped(writer, text.data[i]);
    put(writer, "\"", 1);
}

/* What stands before a value. */
static void begin(struct writer *writer, const char *key)
{
    if (writer->separate)
        put(writer, ",", 1);
    if (key != NULL) {
        put_string(writer, suggest_text(key));
        put(writer, ":", 1);
    }
    writer->separate = true;
}

static void open_level(struct writer *writer, const char *key, const char *bracket)
{
    begin(writer, key);
    put(writer, bracket, 1);
    writer->depth++;
    writer->separate = false;
}

static void close_level(struct writer *writer, const char *bracket)
{
    XD_ASSERT(writer->depth > 0);
    put(writer, bracket, 1);
    writer->depth--;
    writer->separate = true;
}

void writer_object(struct writer *writer, const char *key)
{
    open_level(writer, key, "{");
}

void writer_object_end(struct writer *writer)
{
    close_level(writer, "}");
}

void writer_array(struct writer *writer, const char *key)
{
    open_level(writer, key, "[");
}

void writer_array_end(struct writer *writer)
{
    close_level(writer, "]");
}

void writer_text(struct writer *writer, const char *key, struct xd_text text)
{
    begin(writer, key);
    put_string(writer, text);
}

void writer_string(struct writer *writer, const char *key, const char *text)
{
    writer_text(writer, key, suggest_text(text));
}

void writer_json(struct writer *writer, const char *key, const char *json)
{
    struct xd_text text = suggest_text(json);
    begin(writer, key);
    put(writer, text.data, text.bytes);
}

void writer_number(struct writer *writer, const char *key, uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    writer_json(writer, key, text);
}

void writer_signed(struct writer *writer, const char *key, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    writer_json(writer, key, text);
}

void writer_bool(struct writer *writer, const char *key, bool value)
{
    writer_json(writer, key, value ? "true" : "false");
}

void writer_null(struct writer *writer, const char *key)
{
    writer_json(writer, key, "null");
}

void writer_time(struct writer *writer, const char *key, int64_t us)
{
    char text[WRITER_TIME_BYTES];
    if (us == 0) {
        writer_null(writer, key);
        return;
    }
    writer_time_text(us, text);
    writer_string(writer, key, text);
}

/* Days since 1970 into the civil calendar: years are counted from March, in eras of 400 years, so
 * that the leap day is the last of its year. The C library's version reads the time zone. */
static void civil_of(int64_t days, int32_t *ret_year, int32_t *ret_month, int32_t *ret_day)
{
    int64_t from_march_0000 = days + 719468;
    int64_t era = (from_march_0000 >= 0 ? from_march_0000 : from_march_0000 - 146096) / 146097;
    int64_t day = from_march_0000 - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t day_of_year = day - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    *ret_day = (int32_t)(day_of_year - (153 * month + 2) / 5 + 1);
    *ret_month = (int32_t)(month < 10 ? month + 3 : month - 9);
    *ret_year = (int32_t)(year + era * 400 + (*ret_month <= 2));
}

void writer_time_text(int64_t us, char *ret_text)
{
    int32_t year, month, day;
    int64_t clamped = us < TIME_US_MIN ? TIME_US_MIN : us > TIME_US_MAX ? TIME_US_MAX : us;
    int64_t days = clamped >= 0 ? clamped / DAY_US : -((DAY_US - 1 - clamped) / DAY_US);
    int64_t rest = clamped - days * DAY_US;
    XD_ASSERT(rest >= 0 && rest < DAY_US);
    civil_of(days, &year, &month, &day);
    snprintf(ret_text, WRITER_TIME_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", year, month, day,
             (int)(rest / 3600000000ll), (int)(rest / 60000000ll % 60),
             (int)(rest / 1000000ll % 60), (int)(rest % 1000000ll));
}
