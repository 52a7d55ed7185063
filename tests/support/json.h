/* SPDX-License-Identifier: Apache-2.0
 *
 * A strict look at JSON text, independent of the broker's writer: a text is well formed or the test
 * fails, and values are found by path ("log.durable_index", "topics.0.name", "checks.#" for a
 * count). Values come back as they stand there, strings with their quotes.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_JSON_H
#define CROSSDOCK_TESTS_SUPPORT_JSON_H

#include <criterion/criterion.h>
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_VALUE_BYTES 4096u
#define JSON_DEPTH_MAX 16u

static inline const char *json_value_end(const char *at, const char *end, unsigned depth);

static inline const char *json_blank(const char *at, const char *end)
{
    while (at < end && strchr(" \t\n\r", *at) != NULL)
        at++;
    return at;
}

/* Behind the string at `at`; NULL when it is none. */
static inline const char *json_string_end(const char *at, const char *end)
{
    if (at == end || *at++ != '"')
        return NULL;
    while (at < end && *at != '"') {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at == '\\') {
            if (++at == end || strchr("\"\\/bfnrtu", *at) == NULL)
                return NULL;
            if (*at == 'u')
                for (int i = 0; i < 4; i++)
                    if (++at == end || !isxdigit((unsigned char)*at))
                        return NULL;
        }
        at++;
    }
    return at < end ? at + 1 : NULL;
}

static inline const char *json_number_end(const char *at, const char *end)
{
    const char *digits = at += at < end && *at == '-';
    while (at < end && isdigit((unsigned char)*at))
        at++;
    if (at == digits || (*digits == '0' && at > digits + 1))
        return NULL;
    if (at < end && *at == '.') {
        digits = ++at;
        while (at < end && isdigit((unsigned char)*at))
            at++;
        if (at == digits)
            return NULL;
    }
    return at;
}

/* Members or elements up to the closing bracket. */
static inline const char *json_nest_end(const char *at, const char *end, unsigned depth)
{
    bool object = *at == '{';
    char close = object ? '}' : ']';
    at = json_blank(at + 1, end);
    if (at < end && *at == close)
        return at + 1;
    while (at != NULL && at < end) {
        if (object) {
            at = json_string_end(at, end);
            at = at != NULL ? json_blank(at, end) : end;
            if (at == end || *at != ':')
                return NULL;
            at = json_blank(at + 1, end);
        }
        at = json_value_end(at, end, depth + 1);
        at = at != NULL ? json_blank(at, end) : end;
        if (at < end && *at == close)
            return at + 1;
        if (at == end || *at != ',')
            return NULL;
        at = json_blank(at + 1, end);
    }
    return NULL;
}

/* Behind the value at `at`; NULL when it is malformed. */
static inline const char *json_value_end(const char *at, const char *end, unsigned depth)
{
    if (at == end || depth > JSON_DEPTH_MAX)
        return NULL;
    if (*at == '{' || *at == '[')
        return json_nest_end(at, end, depth);
    if (*at == '"')
        return json_string_end(at, end);
    for (unsigned i = 0; i < 3; i++) {
        static const char *const words[] = {"true", "false", "null"};
        size_t bytes = strlen(words[i]);
        if ((size_t)(end - at) >= bytes && memcmp(at, words[i], bytes) == 0)
            return at + bytes;
    }
    return json_number_end(at, end);
}

static inline bool json_well_formed(const char *json, size_t bytes)
{
    const char *end = json + bytes;
    const char *behind = json_value_end(json_blank(json, end), end, 0);
    return behind != NULL && json_blank(behind, end) == end;
}

/* The value of one member or element of the nest at `at`, NULL when it has none. "#" stands for the
 * number of elements, which goes to *ret_count. */
static inline const char *json_step(const char *at, const char *end, const char *key, size_t bytes,
                                    unsigned *ret_count)
{
    bool object = *at == '{';
    char number[16];
    *ret_count = 0;
    for (at = json_blank(at + 1, end); *at != '}' && *at != ']';) {
        const char *name = at;
        bool same;
        if (object) {
            const char *behind = json_string_end(at, end);
            same = (size_t)(behind - name) == bytes + 2 && memcmp(name + 1, key, bytes) == 0;
            at = json_blank(json_blank(behind, end) + 1, end);
        } else {
            snprintf(number, sizeof number, "%u", *ret_count);
            same = strlen(number) == bytes && memcmp(number, key, bytes) == 0;
        }
        if (same)
            return at;
        at = json_blank(json_value_end(at, end, 0), end);
        if (*at == ',')
            at = json_blank(at + 1, end);
        ++*ret_count;
    }
    return NULL;
}

/* The value at `path` as text; "" when it is not there. JSON_VALUE_BYTES at most; the text is valid
 * until the next call with the same buffer. Keys must not contain dots, but for a leading part that
 * is written in brackets: "options.[log.tail_bytes].value". */
static inline const char *json_at(const char *json, size_t bytes, const char *path, char *ret_value)
{
    const char *end = json + bytes;
    const char *at = json_blank(json, end);
    unsigned count;
    cr_assert(json_well_formed(json, bytes), "malformed: %.*s", (int)(bytes < 400 ? bytes : 400),
              json);
    while (*path != '\0') {
        size_t key_bytes = path[0] == '[' ? strcspn(++path, "]") : strcspn(path, ".");
        bool counted = key_bytes == 1 && path[0] == '#';
        ret_value[0] = '\0';
        if (*at != '{' && *at != '[')
            return ret_value;
        const char *found = json_step(at, end, path, key_bytes, &count);
        if (counted) {
            snprintf(ret_value, JSON_VALUE_BYTES, "%u", count);
            return ret_value;
        }
        if (found == NULL)
            return ret_value;
        at = found;
        path += key_bytes;
        path += *path == ']';
        path += *path == '.';
    }
    snprintf(ret_value, JSON_VALUE_BYTES, "%.*s", (int)(json_value_end(at, end, 0) - at), at);
    return ret_value;
}

#endif
