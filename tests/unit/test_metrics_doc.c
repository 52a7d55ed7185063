/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/metrics_doc.c: the page of the manual is what is printed, and holds what is collected.
 */
#include "broker/metrics_doc.h"

#include "broker/admin/metrics.h"

#include <criterion/criterion.h>
#include <string.h>

#define TEXT_BYTES (64u * 1024u)

/* What is printed. Valid until the next call. */
static const char *printed(void)
{
    static char text[TEXT_BYTES];
    memset(text, 0, sizeof text);
    FILE *file = fmemopen(text, sizeof text - 1, "w");
    cr_assert_not_null(file);
    metrics_doc_print(file);
    cr_assert_eq(ferror(file), 0);
    cr_assert_eq(fclose(file), 0);
    return text;
}

/* The page in the project is what this program prints. */
Test(metrics_doc, agrees_with_the_page_of_the_manual)
{
    static char text[TEXT_BYTES];
    FILE *file = fopen(METRICS_MD, "r");
    cr_assert_not_null(file, "%s", METRICS_MD);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    cr_assert_str_eq(text, printed(), "%s is not what the program prints: print it anew",
                     METRICS_MD);
}

/* Every family has one row, with its type and unit. */
Test(metrics_doc, has_one_row_for_each_family)
{
    const char *text = printed();
    struct metrics_family family;
    unsigned rows = 0;
    for (; metrics_family_at(rows, &family); rows++) {
        char row[256];
        snprintf(row, sizeof row, "\n| `%s` | %s | %s | ", family.name, family.type, family.unit);
        const char *at = strstr(text, row);
        cr_assert_not_null(at, "%s", row);
        cr_assert_null(strstr(at + 1, row), "%s", row);
    }
    cr_assert_gt(rows, COUNTER_COUNT);
}

/* What the questions ask for is there: each name in an expression has a row. */
Test(metrics_doc, asks_for_what_there_is_only)
{
    static const char prefix[] = "crossdock_";
    const char *text = printed();
    const char *end = strstr(text, "\n## Counters");
    unsigned names = 0;
    cr_assert_not_null(end);
    for (const char *at = strstr(text, "## Questions"); (at = strstr(at, prefix)) < end; at++) {
        size_t bytes = strspn(at, "abcdefghijklmnopqrstuvwxyz_");
        if (bytes > 7 && strncmp(at + bytes - 7, "_bucket", 7) == 0)
            bytes -= 7;
        char row[128];
        snprintf(row, sizeof row, "\n| `%.*s` | ", (int)bytes, at);
        cr_assert_not_null(strstr(text, row), "%s", row);
        names++;
    }
    cr_assert_geq(names, 10);
}
