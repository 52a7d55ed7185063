/* SPDX-License-Identifier: Apache-2.0
 *
 * Maps; see map.h. The only file of this program that knows inih.
 */
#include "tools/crossdock/map.h"

#include "tools/crossdock/fields.h"
#include "tools/crossdock/suggest.h"

#include <crossdock/status.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const sections[] = {"rename", "constants", "columns"};

/* One file on its way through inih. */
struct reading {
    FILE *file;      /* */
    struct map *map; /* */
    char *why;       /* MAP_WHY_BYTES */
    unsigned line;   /* of what was read last, from 1 */
    int status;      /* of the first mistake, 0 = none */
};

static int refuse(struct reading *reading, const char *key, const char *text)
{
    if (reading->status != 0)
        return 1;
    snprintf(reading->why, MAP_WHY_BYTES, "%.255s:%u: %.128s%s%.255s", reading->map->path,
             reading->line, key, key[0] != '\0' ? ": " : "", text);
    reading->status = XDOCK_OPTION_INVALID;
    return 1;
}

/* fgets for inih; ends early after a mistake. */
static char *read_line(char *line, int bytes, void *stream)
{
    struct reading *reading = stream;
    if (reading->status != 0 || fgets(line, bytes, reading->file) == NULL)
        return NULL;
    reading->line++;
    if (strchr(line, '\n') == NULL && !feof(reading->file)) {
        char text[64];
        snprintf(text, sizeof text, "the line is longer than %d bytes", bytes - 2);
        refuse(reading, "", text);
        return NULL;
    }
    return line;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* A field of a record that can be set; else the mistake is told. */
static bool is_field(struct reading *reading, const char *key, const char *name)
{
    struct fields fields = {0};
    char text[FIELDS_WHY_BYTES + MAP_NAME_BYTES + 4];
    bool known = fields_name_check(&fields, name) == 0;
    if (known && fields_can_set(name))
        return true;
    snprintf(text, sizeof text, "'%.63s' %s", name,
             known ? "is given by the broker and cannot be set" : fields.why);
    refuse(reading, key, text);
    return false;
}

/* Whether a field has two origins: a column or name of theirs, and a constant, or two of one. */
static bool is_taken(struct reading *reading, const char *key, const char *name)
{
    const struct map *map = reading->map;
    char text[128];
    unsigned line = 0;
    for (unsigned i = 0; i < map->rename_count; i++)
        line = strcmp(map->renames[i].ours, name) == 0 ? map->renames[i].line : line;
    for (unsigned i = 0; i < map->constant_count; i++)
        line = strcmp(map->constants[i].name, name) == 0 ? map->constants[i].line : line;
    for (unsigned i = 0; i < map->column_count; i++)
        line = strcmp(map->columns[i].name, name) == 0 ? map->columns[i].line : line;
    if (line == 0)
        return false;
    snprintf(text, sizeof text, "'%.63s' is set in line %u already", name, line);
    refuse(reading, key, text);
    return true;
}

static int take_rename(struct reading *reading, const char *key, const char *value)
{
    struct map *map = reading->map;
    bool passed_over = strcmp(value, "-") == 0;
    if (strlen(key) >= MAP_NAME_BYTES)
        return refuse(reading, key, "a name has at most 63 bytes");
    for (unsigned i = 0; i < map->rename_count; i++)
        if (strcmp(map->renames[i].theirs, key) == 0)
            return refuse(reading, key, "stands in [rename] twice");
    if (!passed_over && (!is_field(reading, key, value) || is_taken(reading, key, value)))
        return 1;
    if (map->rename_count == MAP_ROWS_MAX)
        return refuse(reading, key, "is one more than the 64 rows that [rename] may have");
    struct map_rename *row = &map->renames[map->rename_count++];
    snprintf(row->theirs, sizeof row->theirs, "%s", key);
    snprintf(row->ours, sizeof row->ours, "%s", passed_over ? "" : value);
    row->line = reading->line;
    return 1;
}

/* Whether the field takes that value; else the mistake is told. */
static bool fits(struct reading *reading, const char *key, const char *value)
{
    struct fields fields;
    char why[FIELDS_WHY_BYTES] = "out of memory";
    int status = fields_init(&fields);
    if (status == 0) {
        fields_begin(&fields);
        status = fields_set(&fields, key, value, strlen(value), false);
        snprintf(why, sizeof why, "%s", fields.why);
    }
    xdock_quantity_t quantity;
    if (status == 0 && strcmp(key, "quantity") == 0 &&
        xdock_quantity_parse(value, "", &quantity) < 0) {
        snprintf(why, sizeof why, "'%.60s' is not a decimal", value);
        status = XDOCK_FIELD_INVALID;
    }
    fields_deinit(&fields);
    if (status < 0)
        refuse(reading, key, why);
    return status == 0;
}

static int take_constant(struct reading *reading, const char *key, const char *value)
{
    struct map *map = reading->map;
    if (!is_field(reading, key, key) || is_taken(reading, key, key))
        return 1;
    if (value[0] == '\0' || strlen(value) >= MAP_VALUE_BYTES)
        return refuse(reading, key, "expected a value of 1 to 255 bytes");
    if (!fits(reading, key, value))
        return 1;
    if (map->constant_count == MAP_ROWS_MAX)
        return refuse(reading, key, "is one more than the 64 rows that [constants] may have");
    struct map_constant *row = &map->constants[map->constant_count++];
    snprintf(row->name, sizeof row->name, "%s", key);
    snprintf(row->value, sizeof row->value, "%s", value);
    row->line = reading->line;
    return 1;
}

/* A number of at most five digits at *at, which moves behind it; 0 without. */
static unsigned take_number(const char **at)
{
    unsigned number = 0;
    for (unsigned i = 0; i < 5 && isdigit((unsigned char)**at); i++, (*at)++)
        number = number * 10 + (unsigned)(**at - '0');
    return number;
}

static int take_column(struct reading *reading, const char *key, const char *value)
{
    struct map *map = reading->map;
    const char *at = value;
    unsigned first = take_number(&at);
    bool range = *at == '-';
    at += range;
    unsigned last = range ? take_number(&at) : first;
    if (first == 0 || last < first || last > MAP_COLUMN_MAX || *at != '\0')
        return refuse(reading, key,
                      "expected FIRST-LAST, characters of the line from 1, such as 1-18");
    if (!is_field(reading, key, key) || is_taken(reading, key, key))
        return 1;
    if (map->column_count == MAP_ROWS_MAX)
        return refuse(reading, key, "is one more than the 64 rows that [columns] may have");
    struct map_column *row = &map->columns[map->column_count++];
    *row = (struct map_column){.first = first, .last = last, .line = reading->line};
    snprintf(row->name, sizeof row->name, "%s", key);
    return 1;
}

static int take_row(void *user, const char *section, const char *key, const char *value)
{
    struct reading *reading = user;
    struct suggest suggest;
    char text[160];
    if (reading->status != 0)
        return 1;
    if (strcmp(section, "rename") == 0)
        return take_rename(reading, key, value);
    if (strcmp(section, "constants") == 0)
        return take_constant(reading, key, value);
    if (strcmp(section, "columns") == 0)
        return take_column(reading, key, value);
    suggest_init(&suggest, section);
    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++)
        suggest_offer(&suggest, sections[i], strlen(sections[i]));
    snprintf(text, sizeof text, "stands in %s%.40s%s; expected [rename], [constants] or [columns]",
             section[0] != '\0' ? "[" : "no section", section, section[0] != '\0' ? "]" : "");
    suggest_append(&suggest, text, sizeof text);
    return refuse(reading, key, text);
}

int map_load(struct map *map, const char *path, char *why)
{
    *map = (struct map){.path = path};
    struct reading reading = {.map = map, .why = why};
    why[0] = '\0';
    reading.file = fopen(path, "re");
    if (reading.file == NULL)
        return -errno;
    int line = ini_parse_stream(read_line, &reading, take_row, &reading);
    int failed = ferror(reading.file) ? -EIO : 0;
    fclose(reading.file);
    /* inih goes on behind a line that it does not understand: the first mistake counts. */
    if (line > 0 && (reading.status == 0 || (unsigned)line < reading.line)) {
        reading.status = 0;
        reading.line = (unsigned)line;
        refuse(&reading, "", "expected [section], key = value, or a comment after #");
    }
    return reading.status < 0 ? reading.status : failed;
}

/* ---- lookups --------------------------------------------------------------------------------- */

const char *map_name(const struct map *map, const char *theirs)
{
    for (unsigned i = 0; map != NULL && i < map->rename_count; i++)
        if (strcmp(map->renames[i].theirs, theirs) == 0)
            return map->renames[i].ours[0] != '\0' ? map->renames[i].ours : NULL;
    return theirs;
}

const struct map_constant *map_constant_of(const struct map *map, const char *name)
{
    for (unsigned i = 0; map != NULL && i < map->constant_count; i++)
        if (strcmp(map->constants[i].name, name) == 0)
            return &map->constants[i];
    return NULL;
}

size_t map_cut(const struct map_column *column, const char *line, size_t bytes, bool utf8,
               char *ret_text)
{
    size_t begin = bytes, end = bytes, at = 0;
    unsigned character = 0;
    while (at < bytes && character <= column->last) {
        if (!utf8 || ((unsigned char)line[at] & 0xc0) != 0x80) {
            character++;
            begin = character == column->first ? at : begin;
            end = character == column->last + 1 ? at : end;
        }
        at++;
    }
    while (begin < end && (line[begin] == ' ' || line[begin] == '\t'))
        begin++;
    while (end > begin && (line[end - 1] == ' ' || line[end - 1] == '\t'))
        end--;
    memcpy(ret_text, line + begin, end - begin);
    ret_text[end - begin] = '\0';
    return end - begin;
}
