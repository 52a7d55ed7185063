/* SPDX-License-Identifier: Apache-2.0
 *
 * One JSON object, written straight to a stream. Failures are the stream's: its owner looks at
 * ferror at the end. Must not know what the members mean.
 */
#ifndef CROSSDOCK_BENCH_JSON_H
#define CROSSDOCK_BENCH_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct json {
    FILE *out;
    bool separate; /* a comma stands before the next member */
};

/* `key` NULL: the outermost object. */
void json_object(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_string(struct json *json, const char *key, const char *text);
void json_integer(struct json *json, const char *key, uint64_t number);
void json_decimal(struct json *json, const char *key, double number); /* three places */
/* A text that is JSON already. */
void json_verbatim(struct json *json, const char *key, const char *text);

#endif
