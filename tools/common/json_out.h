/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON lines, written straight to a stream: what `read` and `log dump` print for every record. No
 * tree is built, because a line is printed per record.
 *
 * Normal path: json_begin, members, json_end for each line. Failure path: none here; the owner of
 * the stream looks at ferror once, at its end.
 * Must not know what the members mean.
 */
#ifndef CROSSDOCK_TOOLS_COMMON_JSON_OUT_H
#define CROSSDOCK_TOOLS_COMMON_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes of a time as text, terminator included: "2026-11-24T07:53:55.123456Z". */
#define JSON_TIME_BYTES 40u
/* Bytes of a UUID as text, terminator included. */
#define JSON_UUID_BYTES 37u

struct json_out {
    FILE *stream;
    bool separate; /* a comma stands before the next member */
};

void json_begin(struct json_out *out, FILE *stream);
/* Ends the object and the line. */
void json_end(struct json_out *out);

/* `key` NULL: an element of an array. */
void json_text(struct json_out *out, const char *key, const char *text);
/* Bytes that are not UTF-8 become U+FFFD. */
void json_bytes(struct json_out *out, const char *key, const void *data, size_t bytes);
void json_base64(struct json_out *out, const char *key, const void *data, size_t bytes);
void json_number(struct json_out *out, const char *key, uint64_t number);
void json_signed(struct json_out *out, const char *key, int64_t number);
void json_bool(struct json_out *out, const char *key, bool value);
/* ISO 8601 in UTC with microseconds. */
void json_time(struct json_out *out, const char *key, int64_t us);
void json_uuid(struct json_out *out, const char *key, const uint8_t uuid[16]);
/* Opens and closes a level; `bracket` is one of { [ and of } ]. */
void json_open(struct json_out *out, const char *key, char bracket);
void json_close(struct json_out *out, char bracket);

/* 1 when the bytes are UTF-8 as RFC 3629 has it. */
bool text_is_utf8(const void *data, size_t bytes);
/* Writes "2026-11-24T07:53:55.123456Z" (JSON_TIME_BYTES). */
void time_format(int64_t us, char *ret_text);
/* Writes "01234567-89ab-cdef-0123-456789abcdef" (JSON_UUID_BYTES). */
void uuid_format(const uint8_t uuid[16], char *ret_text);

#endif
