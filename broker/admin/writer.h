/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes JSON straight into the caller's buffer: no tree, no allocation, keys in the sequence of
 * the calls. Inside an object every call names a key; inside an array the key is NULL.
 *
 * The caller bounds its rows, so a buffer that is too small is a bug and aborts. Must not be used
 * for bytes that are not UTF-8.
 */
#ifndef CROSSDOCK_ADMIN_WRITER_H
#define CROSSDOCK_ADMIN_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/request.h"

struct writer {
    char *out;      /* the caller's */
    uint32_t bytes; /* size of it */
    uint32_t used;  /* written so far */
    uint32_t depth; /* objects and arrays that are open */
    bool separate;  /* the next value needs a comma before it */
};

void writer_init(struct writer *writer, char *out, uint32_t out_bytes);
/* Everything is closed; bytes written. */
uint32_t writer_finish(const struct writer *writer);

void writer_object(struct writer *writer, const char *key);
void writer_object_end(struct writer *writer);
void writer_array(struct writer *writer, const char *key);
void writer_array_end(struct writer *writer);

void writer_text(struct writer *writer, const char *key, struct xd_text text);
void writer_string(struct writer *writer, const char *key, const char *text);
void writer_number(struct writer *writer, const char *key, uint64_t number);
void writer_signed(struct writer *writer, const char *key, int64_t number);
void writer_bool(struct writer *writer, const char *key, bool value);
void writer_null(struct writer *writer, const char *key);
/* us since 1970 UTC as "2026-11-24T07:38:55.123456Z"; null for 0, which stands for "never". */
void writer_time(struct writer *writer, const char *key, int64_t us);
/* JSON that is already there. */
void writer_json(struct writer *writer, const char *key, const char *json);

/* Bytes of a time text, terminator included; as much as the compiler can imagine of its numbers. */
#define WRITER_TIME_BYTES 96u
/* ISO 8601 in UTC, years 0000 to 9999; later and earlier times are clamped. */
void writer_time_text(int64_t us, char *ret_text);

#endif
