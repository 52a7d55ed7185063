/* SPDX-License-Identifier: Apache-2.0
 *
 * The bar's line fits its terminal and tells the truth about how far a run is.
 */
#include <criterion/criterion.h>

#include <string.h>

#include "tools/common/progress.h"

static struct progress bar(uint64_t total)
{
    return (struct progress){.label = "picks.csv", .total = total};
}

/* Label, bar, share, time left at the pace so far. */
Test(tools_progress, a_line_has_share_and_time_left)
{
    struct progress progress = bar(1000);
    char line[PROGRESS_LINE_BYTES];
    progress_line(&progress, 250, 10000, 100, line);
    cr_assert_str_eq(line, "picks.csv [#######-----------------------]  25 %  31 s left");
    progress_line(&progress, 10, 10000, 100, line);
    cr_assert_not_null(strstr(line, "16 min left"));
}

/* What is not known is left out, and more than everything is everything. */
Test(tools_progress, the_ends_are_whole)
{
    struct progress progress = bar(1000);
    char line[PROGRESS_LINE_BYTES];
    progress_line(&progress, 0, 500, 100, line);
    cr_assert_str_eq(line, "picks.csv [------------------------------]   0 %");
    progress_line(&progress, 2000, 500, 100, line);
    cr_assert_str_eq(line, "picks.csv [##############################] 100 %  1 s left");
}

/* A narrow terminal cuts the label and the bar; a line that wraps could not be drawn over. */
Test(tools_progress, no_line_is_wider_than_its_terminal)
{
    struct progress progress = bar(1000);
    char line[PROGRESS_LINE_BYTES];
    progress.label = "/a/very/long/path/to/a/file/that/nobody/would/type/twice/picks-of-today.csv";
    for (unsigned columns = 40; columns < 200; columns++) {
        progress_line(&progress, 1, 1, columns, line);
        cr_assert_leq(strlen(line), columns);
    }
}

/* Colour codes stand around the bar only. */
Test(tools_progress, a_colour_ends_where_the_bar_ends)
{
    struct progress progress = bar(1000);
    char line[PROGRESS_LINE_BYTES];
    progress.color = true;
    progress_line(&progress, 500, 0, 80, line);
    cr_assert_not_null(strstr(line, "picks.csv \033[32m["));
    cr_assert_not_null(strstr(line, "]\033[0m  50 %"));
}
