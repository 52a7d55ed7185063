/* SPDX-License-Identifier: Apache-2.0
 *
 * Parsing and writing of option values; see config_value.h.
 */
#include "broker/config_value.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* A suffix and what it multiplies by; larger ones first. */
struct unit {
    const char *name;
    int64_t factor;
};
static const struct unit byte_units[] = {
    {"TiB", 1ll << 40}, {"GiB", 1ll << 30}, {"MiB", 1ll << 20}, {"KiB", 1ll << 10}, {"", 1}};
static const struct unit time_units[] = {{"d", 86400000000ll}, {"h", 3600000000ll},
                                         {"m", 60000000ll},    {"s", 1000000ll},
                                         {"ms", 1000ll},       {"us", 1ll}};
static const struct unit plain_units[] = {{"", 1}};

struct units {
    const struct unit *rows;
    uint32_t count;
};

static struct units units_of(enum config_kind kind)
{
    if (kind == CONFIG_BYTES)
        return (struct units){byte_units, sizeof byte_units / sizeof byte_units[0]};
    if (kind == CONFIG_TIME)
        return (struct units){time_units, sizeof time_units / sizeof time_units[0]};
    return (struct units){plain_units, 1};
}

/* Digits with an optional sign; *ret_end is what follows. False without a digit or on overflow. */
static bool read_digits(const char *text, int64_t *ret_number, const char **ret_end)
{
    bool negative = text[0] == '-';
    const char *at = negative ? text + 1 : text;
    int64_t number = 0;
    if (*at < '0' || *at > '9')
        return false;
    for (; *at >= '0' && *at <= '9'; at++)
        if (__builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, *at - '0', &number))
            return false;
    *ret_number = negative ? -number : number;
    *ret_end = at;
    return true;
}

static bool parse_quantity(const struct config_row *row, const char *text, int64_t *ret_number)
{
    int64_t number;
    const char *suffix;
    if (!read_digits(text, &number, &suffix))
        return false;
    if (suffix[0] == ' ' && suffix[1] != '\0')
        suffix++;
    struct units units = units_of(row->kind);
    for (uint32_t i = 0; i < units.count; i++)
        if (strcmp(units.rows[i].name, suffix) == 0)
            return !__builtin_mul_overflow(number, units.rows[i].factor, ret_number);
    /* Zero needs no unit. */
    *ret_number = 0;
    return number == 0 && suffix[0] == '\0';
}

static bool parse_flag(const char *text, int64_t *ret_number)
{
    static const char *const words[2][4] = {{"no", "false", "off", "0"},
                                            {"yes", "true", "on", "1"}};
    for (uint32_t value = 0; value < 2; value++)
        for (uint32_t i = 0; i < 4; i++)
            if (strcmp(words[value][i], text) == 0) {
                *ret_number = value;
                return true;
            }
    return false;
}

/* Word number `number` of a text of words; its length, 0 when there is none. */
static uint32_t word_at(const char *words, int64_t number, const char **ret_word)
{
    const char *at = words;
    for (int64_t i = 0; i < number && *at != '\0'; i++) {
        at += strcspn(at, " ");
        at += *at == ' ';
    }
    *ret_word = at;
    return (uint32_t)strcspn(at, " ");
}

static bool parse_choice(const struct config_row *row, const char *text, int64_t *ret_number)
{
    const char *word;
    for (int64_t i = row->min; i <= row->max; i++) {
        uint32_t bytes = word_at(row->unit, i, &word);
        if (bytes == strlen(text) && memcmp(word, text, bytes) == 0) {
            *ret_number = i;
            return true;
        }
    }
    return false;
}

static int64_t count_elements(const char *text)
{
    int64_t count = text[0] != '\0';
    for (const char *at = text; *at != '\0'; at++)
        count += *at == ',';
    return count;
}

static bool printable(const char *text)
{
    for (const char *at = text; *at != '\0'; at++)
        if (*at < 0x20 || *at > 0x7e)
            return false;
    return true;
}

/* Whether a line of a file would give the text back: blanks around a value go, and a semicolon in
 * front or behind a blank begins a comment. */
static bool fits_line(const char *text)
{
    size_t bytes = strlen(text);
    if (bytes == 0)
        return true;
    return text[0] != ' ' && text[bytes - 1] != ' ' && text[0] != ';' && strstr(text, " ;") == NULL;
}

static bool in_range(const struct config_row *row, int64_t number)
{
    if (number < row->min || number > row->max)
        return false;
    if (row->step == 0)
        return (number & (number - 1)) == 0;
    return number % row->step == 0;
}

int config_value_parse(const struct config_row *row, const char *text, int64_t *ret_number)
{
    int64_t number = 0;
    bool parsed = printable(text) && fits_line(text) && strlen(text) < CONFIG_TEXT_BYTES_MAX;
    switch (row->kind) {
    case CONFIG_NUMBER:
    case CONFIG_BYTES:
    case CONFIG_TIME:
        parsed = parsed && parse_quantity(row, text, &number);
        break;
    case CONFIG_FLAG:
        parsed = parsed && parse_flag(text, &number);
        break;
    case CONFIG_CHOICE:
        parsed = parsed && parse_choice(row, text, &number);
        break;
    case CONFIG_LIST:
        number = count_elements(text);
        break;
    case CONFIG_TEXT:
    case CONFIG_KIND_COUNT:
        break;
    }
    if (!parsed || !in_range(row, number))
        return XD_OPTION_INVALID;
    *ret_number = number;
    return 0;
}

/* ---- text ------------------------------------------------------------------------------------ */

void config_value_text(const struct config_row *row, int64_t number, char *ret_text)
{
    struct units units = units_of(row->kind);
    const char *word;
    XD_ASSERT(row->kind != CONFIG_TEXT && row->kind != CONFIG_LIST);
    if (row->kind == CONFIG_FLAG) {
        snprintf(ret_text, CONFIG_EXPECT_BYTES, "%s", number != 0 ? "yes" : "no");
    } else if (row->kind == CONFIG_CHOICE) {
        uint32_t bytes = word_at(row->unit, number, &word);
        snprintf(ret_text, CONFIG_EXPECT_BYTES, "%.*s", (int)bytes, word);
    } else {
        uint32_t i = 0;
        while (i + 1 < units.count && (number == 0 || number % units.rows[i].factor != 0))
            i++;
        snprintf(ret_text, CONFIG_EXPECT_BYTES, "%" PRId64 "%s", number / units.rows[i].factor,
                 number == 0 ? "" : units.rows[i].name);
    }
}

static const char *shape_text(const struct config_row *row)
{
    return row->step == 0 ? ", a power of two" : "";
}

void config_value_expected(const struct config_row *row, char *ret_text)
{
    static const char *const kinds[] = {[CONFIG_NUMBER] = "a number",
                                        [CONFIG_BYTES] = "a size with KiB, MiB, GiB or TiB",
                                        [CONFIG_TIME] = "a time with us, ms, s, m, h or d"};
    char min[CONFIG_EXPECT_BYTES], max[CONFIG_EXPECT_BYTES], step[CONFIG_EXPECT_BYTES] = "";
    switch (row->kind) {
    case CONFIG_NUMBER:
    case CONFIG_BYTES:
    case CONFIG_TIME:
        config_value_text(row, row->min, min);
        config_value_text(row, row->max, max);
        if (row->step > 1)
            config_value_text(row, row->step, step);
        snprintf(ret_text, CONFIG_EXPECT_BYTES, "%s, %.40s to %.40s%s%s%.40s", kinds[row->kind],
                 min, max, shape_text(row), row->step > 1 ? ", a multiple of " : "", step);
        break;
    case CONFIG_FLAG:
        snprintf(ret_text, CONFIG_EXPECT_BYTES, "yes or no");
        break;
    case CONFIG_CHOICE:
        snprintf(ret_text, CONFIG_EXPECT_BYTES, "one of: %s", row->unit);
        break;
    case CONFIG_LIST:
        snprintf(ret_text, CONFIG_EXPECT_BYTES, "%" PRId64 " to %" PRId64 " elements by commas: %s",
                 row->min, row->max, row->unit);
        break;
    case CONFIG_TEXT:
    case CONFIG_KIND_COUNT:
        snprintf(ret_text, CONFIG_EXPECT_BYTES,
                 "%s, printable ASCII of at most %u bytes without ' ;' and blanks around it",
                 row->unit, CONFIG_TEXT_BYTES_MAX - 1);
        break;
    }
}
