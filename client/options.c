/* SPDX-License-Identifier: Apache-2.0
 *
 * Options by name: the table, parsing of values, and the public calls on a set. Files and the
 * environment are in options_load.c.
 *
 * Normal path: a name finds its row, the row's type parses the text, the value is compared with the
 * row's range and kept with its text.
 * Failure paths: an unknown name is XD_OPTION_UNKNOWN, an unfit value XD_OPTION_INVALID; the set is
 * unchanged but for its error text, which says what was expected. Relations between options are
 * judged where they are used.
 */
#include "client/options.h"

#include "client/memory.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* One row of options.def. */
struct option_row {
    const char *name;         /* "producer.batch_bytes" */
    const char *range;        /* for people; of a CHOICE its words */
    const char *default_text; /* parses without failure */
    const char *text;         /* one sentence */
    enum xd_option_type type;
    uint64_t low;  /* lowest value, in the unit of the type */
    uint64_t high; /* highest value */
};

#define TYPE_TEXT XD_OPTION_TEXT
#define TYPE_SIZE XD_OPTION_SIZE
#define TYPE_DURATION XD_OPTION_DURATION
#define TYPE_COUNT XD_OPTION_COUNT_TYPE
#define TYPE_CHOICE XD_OPTION_CHOICE
static const struct option_row rows[XD_OPTION_COUNT] = {
#define X(id, name, type, low, high, range, default_text, text)                                    \
    {name, range, default_text, text, TYPE_##type, low, high},
#include "client/options.def"
#undef X
};

/* A unit behind a number and what it multiplies by. */
struct unit {
    const char *name;
    uint64_t factor;
};
static const struct unit size_units[] = {
    {"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", 1024 * 1024 * 1024}};
static const struct unit duration_units[] = {
    {"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}};

static const char *type_name(enum xd_option_type type)
{
    static const char *const names[] = {"text", "size", "duration", "count", "choice"};
    XD_ASSERT((size_t)type < sizeof(names) / sizeof(names[0]));
    return names[type];
}

int xd_option_find(const char *name, size_t bytes)
{
    for (int i = 0; i < XD_OPTION_COUNT; i++) {
        if (strlen(rows[i].name) == bytes && memcmp(rows[i].name, name, bytes) == 0)
            return i;
    }
    return -1;
}

const char *xd_option_name(enum xd_option option)
{
    XD_ASSERT(option < XD_OPTION_COUNT);
    return rows[option].name;
}

/* Digits, then a unit of the table. False: neither. */
static bool parse_number(const char *value, const struct unit *units, size_t unit_count,
                         uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *at = value;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
            return false;
    }
    if (at == value)
        return false;
    for (size_t i = 0; i < unit_count; i++) {
        if (strcmp(at, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].factor, ret_number);
    }
    return false;
}

/* Number of the word in "none|lz4". False: it is none of them. */
static bool parse_choice(const char *words, const char *value, uint64_t *ret_number)
{
    size_t bytes = strlen(value);
    uint64_t number = 0;
    for (const char *at = words;; number++) {
        const char *end = strchr(at, '|');
        size_t word_bytes = end != NULL ? (size_t)(end - at) : strlen(at);
        if (bytes == word_bytes && memcmp(at, value, bytes) == 0) {
            *ret_number = number;
            return true;
        }
        if (end == NULL)
            return false;
        at = end + 1;
    }
}

static bool parse_value(const struct option_row *row, const char *value, uint64_t *ret_number)
{
    static const struct unit bare[] = {{"", 1}};
    switch (row->type) {
    case XD_OPTION_TEXT:
        *ret_number = strlen(value);
        return true;
    case XD_OPTION_SIZE:
        return parse_number(value, size_units, sizeof(size_units) / sizeof(size_units[0]),
                            ret_number);
    case XD_OPTION_DURATION:
        if (strcmp(value, "0") == 0) {
            *ret_number = 0;
            return true;
        }
        return parse_number(value, duration_units,
                            sizeof(duration_units) / sizeof(duration_units[0]), ret_number);
    case XD_OPTION_COUNT_TYPE:
        return parse_number(value, bare, 1, ret_number);
    case XD_OPTION_CHOICE:
        return parse_choice(row->range, value, ret_number);
    }
    return false;
}

static bool printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < 0x20 || *text > 0x7e)
            return false;
    }
    return true;
}

int xd_option_set(struct xdock_options *options, enum xd_option option, const char *value)
{
    XD_ASSERT(option < XD_OPTION_COUNT);
    XD_ASSERT(value != NULL);
    const struct option_row *row = &rows[option];
    uint64_t number = 0;
    size_t bytes = strlen(value);
    if (bytes >= XD_OPTION_TEXT_BYTES || !printable(value) || !parse_value(row, value, &number) ||
        number < row->low || number > row->high) {
        snprintf(options->error, sizeof(options->error),
                 "%s: '%.64s' is not a %s within %s (default %s)", row->name, value,
                 type_name(row->type), row->range, row->default_text);
        return XD_OPTION_INVALID;
    }
    options->numbers[option] = number;
    memcpy(options->texts[option], value, bytes + 1);
    return 0;
}

void xd_options_defaults(struct xdock_options *options)
{
    memset(options, 0, sizeof(*options));
    for (int i = 0; i < XD_OPTION_COUNT; i++) {
        int status = xd_option_set(options, (enum xd_option)i, rows[i].default_text);
        XD_ASSERT(status == 0);
    }
}

/* ---- public ---------------------------------------------------------------------------------- */

int xdock_options_init(xdock_options_t **ret_options)
{
    XD_ASSERT(ret_options != NULL);
    struct xdock_options *options = xd_memory_acquire(sizeof(*options));
    if (options == NULL)
        return -ENOMEM;
    xd_options_defaults(options);
    *ret_options = options;
    return 0;
}

int xdock_options_set(xdock_options_t *options, const char *name, const char *value)
{
    XD_ASSERT(options != NULL && name != NULL && value != NULL);
    int option = xd_option_find(name, strlen(name));
    if (option < 0) {
        snprintf(options->error, sizeof(options->error), "no option is named '%.64s'", name);
        return XD_OPTION_UNKNOWN;
    }
    return xd_option_set(options, (enum xd_option)option, value);
}

const char *xdock_options_get(xdock_options_t *options, const char *name)
{
    XD_ASSERT(options != NULL && name != NULL);
    int option = xd_option_find(name, strlen(name));
    return option < 0 ? NULL : options->texts[option];
}

const char *xdock_options_error(const xdock_options_t *options)
{
    XD_ASSERT(options != NULL);
    return options->error;
}

int xdock_options_row(unsigned row, xdock_option_row_t *ret_row)
{
    XD_ASSERT(ret_row != NULL);
    if (row >= XD_OPTION_COUNT)
        return -ENOENT;
    *ret_row = (xdock_option_row_t){.name = rows[row].name,
                                    .type = type_name(rows[row].type),
                                    .range = rows[row].range,
                                    .default_text = rows[row].default_text,
                                    .text = rows[row].text};
    return 0;
}

void xdock_options_free(xdock_options_t **options)
{
    if (options == NULL)
        return;
    xd_memory_release(*options);
    *options = NULL;
}
