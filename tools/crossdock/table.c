/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables; see table.h. Widths are measured in one pass over the rows, then the rows are printed.
 */
#include "tools/crossdock/table.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 24u
#define CELL_BYTES 256u
#define BOLD "\033[1m"
#define PLAIN "\033[0m"

struct column {
    char name[48]; /* member of a row */
    int width;     /* characters of its widest cell */
    bool numeric;  /* all cells are numbers: aligned to the right */
};

struct columns {
    struct column columns[COLUMNS_MAX];
    unsigned count;
};

/* Text of a value that is not an object or array with members. */
static void cell_text(const json_t *value, char *ret_text)
{
    ret_text[0] = '\0';
    if (json_is_string(value))
        snprintf(ret_text, CELL_BYTES, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(ret_text, CELL_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_boolean(value))
        snprintf(ret_text, CELL_BYTES, "%s", json_is_true(value) ? "yes" : "no");
    else if (json_is_real(value))
        snprintf(ret_text, CELL_BYTES, "%g", json_real_value(value));
    else if (json_is_array(value) || json_is_object(value))
        snprintf(ret_text, CELL_BYTES, "%zu",
                 json_is_array(value) ? json_array_size(value) : json_object_size(value));
}

/* A time loses its microseconds in tables. */
static void shorten_time(char *text)
{
    if (strlen(text) == 27 && text[10] == 'T' && text[19] == '.' && text[26] == 'Z')
        memcpy(text + 19, "Z", 2);
}

static void add_columns(struct columns *columns, const char *names)
{
    while (*names != '\0' && columns->count < COLUMNS_MAX) {
        size_t bytes = strcspn(names, ",");
        struct column *column = &columns->columns[columns->count++];
        *column = (struct column){.numeric = true};
        bytes = bytes < sizeof column->name ? bytes : sizeof column->name - 1;
        memcpy(column->name, names, bytes);
        column->width = (int)bytes;
        names += strcspn(names, ",");
        names += *names == ',';
    }
}

static void print_tsv_text(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\t')
            fputs("\\t", stdout);
        else if (*text == '\n')
            fputs("\\n", stdout);
        else if (*text == '\\')
            fputs("\\\\", stdout);
        else
            putchar(*text);
    }
}

/* Control characters of a cell would move the terminal's cursor. */
static void print_cell(const char *text, int width, bool right)
{
    int pad = width - (int)strlen(text);
    for (int i = 0; right && i < pad; i++)
        putchar(' ');
    for (; *text != '\0'; text++)
        putchar(iscntrl((unsigned char)*text) ? '?' : *text);
    for (int i = 0; !right && i < pad; i++)
        putchar(' ');
}

static void print_head(const struct tool *tool, const struct columns *columns)
{
    char text[48];
    for (unsigned i = 0; i < columns->count; i++) {
        const struct column *column = &columns->columns[i];
        if (tool->output == OUTPUT_TSV) {
            printf("%s%s", i > 0 ? "\t" : "", column->name);
            continue;
        }
        for (size_t k = 0; k < sizeof text; k++)
            text[k] = (char)toupper((unsigned char)column->name[k]);
        printf("%s%s", i > 0 ? "  " : "", tool->color ? BOLD : "");
        print_cell(text, i + 1 < columns->count || column->numeric ? column->width : 0,
                   column->numeric);
        fputs(tool->color ? PLAIN : "", stdout);
    }
    putchar('\n');
}

static void print_row(const struct tool *tool, const struct columns *columns, const json_t *row)
{
    char text[CELL_BYTES];
    for (unsigned i = 0; i < columns->count; i++) {
        const struct column *column = &columns->columns[i];
        cell_text(json_object_get(row, column->name), text);
        if (tool->output == OUTPUT_TSV) {
            fputs(i > 0 ? "\t" : "", stdout);
            print_tsv_text(text);
            continue;
        }
        shorten_time(text);
        fputs(i > 0 ? "  " : "", stdout);
        print_cell(text, i + 1 < columns->count || column->numeric ? column->width : 0,
                   column->numeric);
    }
    putchar('\n');
}

static void print_rows(const struct tool *tool, const struct report_view *view, const json_t *list)
{
    struct columns columns = {.count = 0};
    char text[CELL_BYTES];
    size_t index;
    json_t *row;
    add_columns(&columns, view->columns);
    if (tool->output != OUTPUT_TABLE)
        add_columns(&columns, view->wide);
    json_array_foreach((json_t *)(uintptr_t)list, index, row)
    {
        for (unsigned i = 0; i < columns.count; i++) {
            struct column *column = &columns.columns[i];
            const json_t *value = json_object_get(row, column->name);
            cell_text(value, text);
            shorten_time(text);
            column->width = (int)strlen(text) > column->width ? (int)strlen(text) : column->width;
            column->numeric = column->numeric && (json_is_integer(value) || json_is_null(value));
        }
    }
    print_head(tool, &columns);
    json_array_foreach((json_t *)(uintptr_t)list, index, row) print_row(tool, &columns, row);
}

static void print_names(const struct report_view *view, const json_t *data)
{
    struct columns columns = {.count = 0};
    char text[CELL_BYTES];
    const json_t *list = view->rows != NULL ? json_object_get(data, view->rows) : NULL;
    size_t index;
    json_t *row;
    add_columns(&columns, view->columns);
    if (columns.count == 0)
        return;
    if (list == NULL) {
        cell_text(json_object_get(data, columns.columns[0].name), text);
        puts(text);
        return;
    }
    json_array_foreach((json_t *)(uintptr_t)list, index, row)
    {
        cell_text(json_object_get(row, columns.columns[0].name), text);
        puts(text);
    }
}

static void print_line(const struct tool *tool, const char *name, const char *text)
{
    if (tool->output == OUTPUT_TSV) {
        print_tsv_text(name);
        putchar('\t');
        print_tsv_text(text);
        putchar('\n');
        return;
    }
    printf("%s%-28s%s %s\n", tool->color ? BOLD : "", name, tool->color ? PLAIN : "", text);
}

/* Members of an object, those of objects in it behind a dot. Two levels are all there are. */
static void print_members(const struct tool *tool, const char *prefix, json_t *object,
                          unsigned depth)
{
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        char name[128], text[CELL_BYTES];
        snprintf(name, sizeof name, "%.80s%s%.40s", prefix, prefix[0] != '\0' ? "." : "", key);
        if (json_is_object(value) && depth < 4) {
            print_members(tool, name, value, depth + 1);
        } else if (json_is_array(value) && json_is_string(json_array_get(value, 0))) {
            size_t index;
            json_t *element;
            json_array_foreach(value, index, element)
                print_line(tool, name, json_string_value(element));
        } else {
            cell_text(value, text);
            print_line(tool, name, text);
        }
    }
}

/* One object: the columns that the view names, or all members. */
static void print_object(const struct tool *tool, const struct report_view *view, json_t *data)
{
    struct columns columns = {.count = 0};
    char text[CELL_BYTES];
    if (tool->output == OUTPUT_TABLE)
        add_columns(&columns, view->columns);
    if (columns.count == 0) {
        print_members(tool, "", data, 0);
        return;
    }
    for (unsigned i = 0; i < columns.count; i++) {
        const json_t *value = json_object_get(data, columns.columns[i].name);
        if (value == NULL)
            continue;
        cell_text(value, text);
        print_line(tool, columns.columns[i].name, text);
    }
}

void table_print(struct tool *tool, const struct report_view *view, json_t *data)
{
    json_t *list = view->rows != NULL ? json_object_get(data, view->rows) : NULL;
    if (tool->output == OUTPUT_NAME)
        print_names(view, data);
    else if (list != NULL)
        print_rows(tool, view, list);
    else
        print_object(tool, view, data);
}
