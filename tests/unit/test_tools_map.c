/* SPDX-License-Identifier: Apache-2.0
 *
 * A map says what a foreign file's fields are called here, and a wrong one says where it is wrong.
 */
#include <criterion/criterion.h>

#include <crossdock/status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/crossdock/map.h"

/* The map of that text. 0 or a status, with the sentence in `why`. */
static int load(struct map *map, const char *text, char *why)
{
    char path[] = "/tmp/crossdock-map-XXXXXX";
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int status = map_load(map, path, why);
    unlink(path);
    return status;
}

/* Names are renamed, passed over, or stay. */
Test(tools_map, names_become_ours)
{
    struct map map;
    char why[MAP_WHY_BYTES];
    cr_assert_eq(load(&map, "# x\n[rename]\nARTNR = sku\nArt Bem = - ; no use\n", why), 0);
    cr_assert_str_eq(map_name(&map, "ARTNR"), "sku");
    cr_assert_null(map_name(&map, "Art Bem"));
    cr_assert_str_eq(map_name(&map, "lot"), "lot");
    cr_assert_str_eq(map_name(NULL, "lot"), "lot");
}

/* A constant knows its line, for the message when a file has the field as well. */
Test(tools_map, constants_are_found_by_field)
{
    struct map map;
    char why[MAP_WHY_BYTES];
    cr_assert_eq(load(&map, "[constants]\n\ntype = PICK_CONFIRMED\nfacility=DC07\n", why), 0);
    cr_assert_str_eq(map_constant_of(&map, "type")->value, "PICK_CONFIRMED");
    cr_assert_eq(map_constant_of(&map, "type")->line, 3);
    cr_assert_null(map_constant_of(&map, "sku"));
    cr_assert_null(map_constant_of(NULL, "type"));
}

static const char *cut(const struct map_column *column, const char *line, bool utf8)
{
    static char text[256];
    size_t bytes = map_cut(column, line, strlen(line), utf8, text);
    cr_assert_eq(bytes, strlen(text));
    return text;
}

/* Blanks go, a short line has no such column, a long one more than that. */
Test(tools_map, columns_are_cut_by_character)
{
    struct map map;
    char why[MAP_WHY_BYTES];
    cr_assert_eq(load(&map, "[columns]\nsku = 1-5\nlot = 6-9\nreason = 10\n", why), 0);
    cr_assert_eq(map.column_count, 3);
    cr_assert_str_eq(cut(&map.columns[0], "AB   L 1 7", true), "AB");
    cr_assert_str_eq(cut(&map.columns[1], "AB   L 1 7", true), "L 1");
    cr_assert_str_eq(cut(&map.columns[2], "AB   L 1 7xyz", true), "7");
    cr_assert_str_eq(cut(&map.columns[1], "AB   L", true), "L");
    cr_assert_str_eq(cut(&map.columns[1], "AB", true), "");
    cr_assert_str_eq(cut(&map.columns[0], "", true), "");
    cr_assert_str_eq(cut(&map.columns[1], "K\xc3\xa4se L-9 7", true), "L-9");
    cr_assert_str_eq(cut(&map.columns[1], "K\xe4se L-9 7", false), "L-9");
}

static void assert_wrong(const char *text, const char *expected)
{
    struct map map;
    char why[MAP_WHY_BYTES];
    cr_assert_eq(load(&map, text, why), XDOCK_OPTION_INVALID, "%s", text);
    cr_assert_not_null(strstr(why, expected), "%s\ngave: %s\nnot: %s", text, why, expected);
}

/* Every mistake has line, key and what is expected. */
Test(tools_map, mistakes_are_told_with_line_and_key)
{
    assert_wrong("[rename]\n\nA = skuu\n",
                 ":3: A: 'skuu' is no field of a record; did you mean 'sku'?");
    assert_wrong("[rename]\nA = offset\n", ":2: A: 'offset' is given by the broker");
    assert_wrong("[rename]\nA = sku\nB = sku\n", ":3: B: 'sku' is set in line 2 already");
    assert_wrong("[rename]\nA = sku\nA = lot\n", ":3: A: stands in [rename] twice");
    assert_wrong("[rename]\nA = sku\n[constants]\nsku = X\n", ":4: sku: 'sku' is set in line 2");
    assert_wrong("[constants]\ntype = PICKED\n", ":2: type: 'PICKED' is not an event");
    assert_wrong("[constants]\nquantity = many\n", ":2: quantity: 'many' is not a decimal");
    assert_wrong("[constants]\nlot =\n", ":2: lot: expected a value");
    assert_wrong("[renam]\nA = sku\n", "expected [rename], [constants] or [columns]; did you mean");
    assert_wrong("A = sku\n", ":1: A: stands in no section");
    assert_wrong("[rename]\nA\n", ":2: expected [section], key = value");
}

/* Columns are first-last from 1. */
Test(tools_map, columns_that_are_no_range_are_refused)
{
    static const char *const wrong[] = {"0-3", "3-1", "x", "1-", "-3", "1-70000", "1 - 3", "1-3,5"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "[columns]\nsku = %s\n", wrong[i]);
        assert_wrong(text, ":2: sku: expected FIRST-LAST");
    }
}

/* A line that inih would cut is refused, not half taken. */
Test(tools_map, a_line_that_is_too_long_is_refused)
{
    char text[400] = "[constants]\nlot = ";
    memset(text + strlen(text), 'x', 300);
    assert_wrong(text, ":2: the line is longer than 198 bytes");
}

/* A file that is not there is the kernel's status, without a sentence. */
Test(tools_map, a_missing_file_is_its_status)
{
    struct map map;
    char why[MAP_WHY_BYTES] = "x";
    cr_assert_lt(map_load(&map, "/nowhere/at.all", why), 0);
    cr_assert_str_empty(why);
}
