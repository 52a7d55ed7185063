/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines from a table; see arguments.h.
 */
#include "bench/arguments.h"

#include "bench/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit byte_units[] = {
    {"", 1}, {"KiB", 1024}, {"MiB", 1024u * 1024u}, {"GiB", 1024u * 1024u * 1024u}, {NULL, 0}};
static const struct unit time_units[] = {{"", 1000000},  {"us", 1},       {"ms", 1000},
                                         {"s", 1000000}, {"m", 60000000}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(enum argument_kind kind)
{
    switch (kind) {
    case ARGUMENT_BYTES:
        return byte_units;
    case ARGUMENT_DURATION:
        return time_units;
    case ARGUMENT_COUNT:
    case ARGUMENT_FLAG:
    case ARGUMENT_CHOICE:
    case ARGUMENT_TEXT:
        break;
    }
    return no_units;
}

static bool parse_number(const struct argument *argument, const char *value)
{
    char *end;
    if (value[0] < '0' || value[0] > '9')
        return false;
    errno = 0;
    uint64_t number = strtoull(value, &end, 10);
    if (errno != 0)
        return false;
    for (const struct unit *unit = units_of(argument->kind); unit->name != NULL; unit++) {
        if (strcmp(unit->name, end) != 0)
            continue;
        if (number > UINT64_MAX / unit->factor)
            return false;
        number *= unit->factor;
        if (number < argument->low || number > argument->high)
            return false;
        *argument->number = number;
        return true;
    }
    return false;
}

int arguments_word(const char *range, uint64_t number, const char **ret_word)
{
    for (; number > 0; number--) {
        const char *bar = strchr(range, '|');
        if (bar == NULL)
            return 0;
        range = bar + 1;
    }
    *ret_word = range;
    return (int)strcspn(range, "|");
}

static bool parse_choice(const struct argument *argument, const char *value)
{
    const char *word;
    int bytes;
    for (uint64_t i = 0; (bytes = arguments_word(argument->range, i, &word)) > 0; i++) {
        if (strlen(value) == (size_t)bytes && memcmp(word, value, (size_t)bytes) == 0) {
            *argument->number = i;
            return true;
        }
    }
    return false;
}

static bool parse_value(const struct argument *argument, const char *value)
{
    switch (argument->kind) {
    case ARGUMENT_COUNT:
    case ARGUMENT_BYTES:
    case ARGUMENT_DURATION:
        return parse_number(argument, value);
    case ARGUMENT_CHOICE:
        return parse_choice(argument, value);
    case ARGUMENT_TEXT:
        *argument->text = value;
        return value[0] != '\0';
    case ARGUMENT_FLAG:
        break;
    }
    return false;
}

static const struct argument *find(const struct argument *table, uint32_t count, const char *word,
                                   size_t bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        BENCH_ASSERT((table[i].kind == ARGUMENT_TEXT) == (table[i].text != NULL));
        if (strlen(table[i].name) == bytes && memcmp(table[i].name, word, bytes) == 0)
            return &table[i];
        if (bytes == 1 && table[i].letter == word[0])
            return &table[i];
    }
    return NULL;
}

int arguments_parse(int argc, char *const *argv, const struct argument *table, uint32_t count,
                    char *ret_why)
{
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            return 1;
        const char *name = word + strspn(word, "-");
        size_t bytes = strcspn(name, "=");
        bool dashes = name - word == 2 || (name - word == 1 && bytes == 1);
        const struct argument *argument = dashes ? find(table, count, name, bytes) : NULL;
        if (argument == NULL) {
            snprintf(ret_why, ARGUMENTS_WHY_BYTES, "no such option: %.64s (see --help)", word);
            return -EINVAL;
        }
        if (argument->kind == ARGUMENT_FLAG && name[bytes] == '\0') {
            *argument->number = 1;
            continue;
        }
        const char *value = name[bytes] == '=' ? name + bytes + 1 : i + 1 < argc ? argv[++i] : "";
        if (!parse_value(argument, value)) {
            snprintf(ret_why, ARGUMENTS_WHY_BYTES, "--%s: '%.64s' is not %s", argument->name, value,
                     argument->range);
            return -EINVAL;
        }
    }
    return 0;
}

void arguments_help(const struct argument *table, uint32_t count, FILE *out)
{
    for (uint32_t i = 0; i < count; i++) {
        char left[64];
        const struct argument *argument = &table[i];
        char letter[8] = "    ";
        if (argument->letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", argument->letter);
        snprintf(left, sizeof left, "%s--%s", letter, argument->name);
        fprintf(out, "  %-22s %s", left, argument->help);
        fprintf(out, argument->kind == ARGUMENT_FLAG ? "\n" : " (%s)\n", argument->range);
    }
}
