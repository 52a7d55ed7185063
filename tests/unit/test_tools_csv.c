/* SPDX-License-Identifier: Apache-2.0
 *
 * CSV cells come out as they went in, and a row that is not RFC 4180 is refused.
 */
#include <criterion/criterion.h>

#include <stdio.h>

#include "tools/crossdock/csv.h"

/* Cells with commas, quotes, newlines, and none. */
Test(tools_csv, cells_are_cut_and_unquoted)
{
    char row[] = "a,,\"b,c\",\"say \"\"x\"\"\",\"two\nlines\",";
    static const char *const cells[] = {"a", "", "b,c", "say \"x\"", "two\nlines", ""};
    char *at = row, *cell;
    const char *wrong = NULL;
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++) {
        cell = csv_cell(&at, &wrong);
        cr_assert_not_null(cell);
        cr_expect_str_eq(cell, cells[i]);
    }
    cr_assert_null(csv_cell(&at, &wrong));
    cr_assert_null(wrong);
}

/* Quotes that do not belong where they stand. */
Test(tools_csv, a_row_with_stray_quotes_is_refused)
{
    static const char *const rows[] = {"\"open", "\"a\"b", "a\"b"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char row[16];
        char *at = row;
        const char *wrong = NULL;
        snprintf(row, sizeof row, "%s", rows[i]);
        cr_expect_null(csv_cell(&at, &wrong));
        cr_expect_not_null(wrong, "%s", rows[i]);
    }
}
