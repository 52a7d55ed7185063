/* SPDX-License-Identifier: Apache-2.0
 *
 * Records out of a file; see input.h. CSV cells are cut in csv.c.
 */
#include "tools/crossdock/input.h"

#include "tools/common/json_out.h"
#include "tools/crossdock/csv.h"
#include "tools/crossdock/suggest.h"

#include <crossdock/status.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Standard input as a file that can be read twice. */
static FILE *copy_of(FILE *from)
{
    char buffer[16 * 1024];
    size_t bytes;
    FILE *file = tmpfile();
    while (file != NULL && (bytes = fread(buffer, 1, sizeof buffer, from)) > 0) {
        if (fwrite(buffer, 1, bytes, file) != bytes) {
            fclose(file);
            return NULL;
        }
    }
    if (file != NULL)
        rewind(file);
    return file;
}

/* Reads one record's raw text: a line, or in CSV as many as its quotes enclose. 1; 0 at the end;
 * XDOCK_FIELD_INVALID when it is too long, and it has been passed over; -EIO. */
static int read_raw(struct input *input)
{
    bool quoted = false, too_long = false, any = false;
    size_t used = 0;
    int c;
    input->line = input->lines + 1;
    while ((c = getc_unlocked(input->file)) != EOF) {
        any = true;
        input->bytes++;
        if (c == '\n')
            input->lines++;
        if (c == '\n' && !quoted)
            break;
        if (c == '"' && input->format == INPUT_CSV)
            quoted = !quoted;
        if (used < INPUT_LINE_BYTES_MAX)
            input->raw[used++] = (char)c;
        else
            too_long = true;
    }
    if (c == EOF && ferror(input->file))
        return -EIO;
    if (c == EOF && any)
        input->lines++;
    while (used > 0 && input->raw[used - 1] == '\r')
        used--;
    input->raw[used] = '\0';
    input->raw_bytes = used;
    if (!any)
        return 0;
    if (too_long || strlen(input->raw) != used) {
        fields_begin(&input->fields);
        return fields_wrong(&input->fields, "",
                            too_long ? "the line is longer than 2 MiB" : "the line holds a zero");
    }
    return 1;
}

/* ---- maps ------------------------------------------------------------------------------------ */

/* A field that the map sets must not come from the file as well. */
static int not_constant(struct input *input, const char *name)
{
    struct fields *fields = &input->fields;
    const struct map_constant *constant = map_constant_of(input->map, name);
    if (constant == NULL)
        return 0;
    snprintf(fields->why, sizeof fields->why,
             "is a constant of the map (%.100s:%u), so the file must not have it", input->map->path,
             constant->line);
    return fields_wrong(fields, name, fields->why);
}

/* What every record of the file has, then the rules between fields. */
static int end_record(struct input *input)
{
    struct fields *fields = &input->fields;
    for (unsigned i = 0; input->map != NULL && i < input->map->constant_count; i++) {
        const struct map_constant *constant = &input->map->constants[i];
        int status =
            fields_set(fields, constant->name, constant->value, strlen(constant->value), false);
        if (status < 0)
            return status;
    }
    return fields_end(fields);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static int take_member(struct input *input, unsigned index, const char *theirs, const json_t *value)
{
    struct fields *fields = &input->fields;
    const char *name = map_name(input->map, theirs);
    int constant = name != NULL ? not_constant(input, name) : 0;
    if (name == NULL || constant < 0)
        return constant;
    if (name != theirs && json_object_get(input->object, name) != NULL) {
        snprintf(fields->why, sizeof fields->why, "stands in the line twice, also as '%.60s'",
                 theirs);
        return fields_wrong(fields, name, fields->why);
    }
    if (json_is_null(value))
        return fields_name_check(fields, name);
    if (json_is_string(value))
        return fields_set(fields, name, json_string_value(value), json_string_length(value), false);
    if (json_is_integer(value) && index < INPUT_COLUMNS_MAX) {
        snprintf(input->numbers[index], sizeof input->numbers[index], "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));
        return fields_set(fields, name, input->numbers[index], strlen(input->numbers[index]), true);
    }
    int status = fields_name_check(fields, name);
    if (status < 0)
        return status;
    bool ignored =
        json_is_boolean(value) && (strcmp(name, "redelivered") == 0 || strcmp(name, "replay") == 0);
    return ignored ? 0
                   : fields_wrong(fields, name,
                                  "must be a string or a whole number (a decimal is a string)");
}

static int parse_json(struct input *input)
{
    json_error_t error;
    const char *name;
    json_t *value;
    unsigned index = 0;
    json_decref(input->object);
    input->object = json_loadb(input->raw, input->raw_bytes, JSON_REJECT_DUPLICATES, &error);
    if (input->object == NULL) {
        snprintf(input->fields.why, sizeof input->fields.why, "no JSON at column %d: %.160s",
                 error.column, error.text);
        return fields_wrong(&input->fields, "", input->fields.why);
    }
    if (!json_is_object(input->object))
        return fields_wrong(&input->fields, "", "the line must be one JSON object");
    json_object_foreach(input->object, name, value)
    {
        int status = take_member(input, index++, name, value);
        if (status < 0)
            return status;
    }
    return end_record(input);
}

/* ---- CSV ------------------------------------------------------------------------------------- */

static const char *column_name(const struct input *input, unsigned column)
{
    bool named = column < input->column_count && input->columns[column] != NULL;
    return named ? input->columns[column] : "";
}

static int parse_csv(struct input *input)
{
    struct fields *fields = &input->fields;
    char *at = input->cells, *cell;
    const char *wrong = NULL;
    unsigned count = 0;
    memcpy(input->cells, input->raw, input->raw_bytes + 1);
    while ((cell = csv_cell(&at, &wrong)) != NULL) {
        if (count == input->column_count) {
            snprintf(fields->why, sizeof fields->why, "the line has more than %u cells", count);
            return fields_wrong(fields, "", fields->why);
        }
        const char *name = input->columns[count++];
        int status = name != NULL ? fields_set(fields, name, cell, strlen(cell), false) : 0;
        if (status < 0)
            return status;
    }
    if (wrong != NULL)
        return fields_wrong(fields, column_name(input, count), wrong);
    if (count < input->column_count) {
        snprintf(fields->why, sizeof fields->why, "the line has %u of %u cells", count,
                 input->column_count);
        return fields_wrong(fields, "", fields->why);
    }
    return end_record(input);
}

/* A column without a meaning is perhaps near to one that the map renames. */
static void suggest_rename(struct input *input, const char *theirs)
{
    struct suggest suggest;
    char *why = input->fields.why;
    if (input->map == NULL || strstr(why, "did you mean") != NULL)
        return;
    suggest_init(&suggest, theirs);
    for (unsigned i = 0; i < input->map->rename_count; i++)
        suggest_offer(&suggest, input->map->renames[i].theirs,
                      strlen(input->map->renames[i].theirs));
    suggest_append(&suggest, why, sizeof input->fields.why);
}

/* Our name of the column that theirs stands for. */
static int take_column(struct input *input, const char *theirs)
{
    struct fields *fields = &input->fields;
    const char *name = map_name(input->map, theirs);
    if (input->column_count == INPUT_COLUMNS_MAX)
        return fields_wrong(fields, theirs, "is one column too many");
    for (unsigned i = 0; name != NULL && i < input->column_count; i++)
        if (input->columns[i] != NULL && strcmp(input->columns[i], name) == 0)
            return fields_wrong(fields, name, "stands twice in the header row");
    int status = name != NULL ? fields_name_check(fields, name) : 0;
    if (status < 0)
        suggest_rename(input, theirs);
    if (status == 0 && name != NULL)
        status = not_constant(input, name);
    if (status < 0)
        return status;
    input->theirs[input->column_count] = theirs;
    input->columns[input->column_count++] = name;
    return 0;
}

/* A renamed column that the file does not have is a misspelt one. */
static int check_renames(struct input *input)
{
    for (unsigned i = 0; input->map != NULL && i < input->map->rename_count; i++) {
        const struct map_rename *rename = &input->map->renames[i];
        struct suggest suggest;
        bool found = false;
        suggest_init(&suggest, rename->theirs);
        for (unsigned k = 0; k < input->column_count; k++) {
            found = found || strcmp(input->theirs[k], rename->theirs) == 0;
            suggest_offer(&suggest, input->theirs[k], strlen(input->theirs[k]));
        }
        if (found)
            continue;
        char why[FIELDS_WHY_BYTES];
        snprintf(why, sizeof why, "is renamed by the map (%.80s:%u), and the header row lacks it",
                 input->map->path, rename->line);
        suggest_append(&suggest, why, sizeof why);
        return fields_wrong(&input->fields, rename->theirs, why);
    }
    return 0;
}

/* The names of the columns, from the first line. */
static int read_header(struct input *input)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, as spreadsheets write it */
    char *at, *name;
    const char *wrong = NULL;
    int status = read_raw(input);
    if (status < 0)
        return status;
    input->header = strdup(input->raw);
    input->header_raw = strdup(input->raw);
    if (input->header == NULL || input->header_raw == NULL)
        return -ENOMEM;
    fields_begin(&input->fields);
    at = input->header + (strncmp(input->header, mark, 3) == 0 ? 3 : 0);
    if (status == 0 || *at == '\0')
        return fields_wrong(&input->fields, "", "the header row is missing");
    while ((name = csv_cell(&at, &wrong)) != NULL) {
        status = take_column(input, name);
        if (status < 0)
            return status;
    }
    return wrong != NULL ? fields_wrong(&input->fields, "", wrong) : check_renames(input);
}

/* ---- fixed width ----------------------------------------------------------------------------- */

static int parse_fixed(struct input *input)
{
    bool utf8 = text_is_utf8(input->raw, input->raw_bytes);
    size_t used = 0;
    for (unsigned i = 0; i < input->map->column_count; i++) {
        const struct map_column *column = &input->map->columns[i];
        if (used + input->raw_bytes > INPUT_LINE_BYTES_MAX)
            return fields_wrong(&input->fields, column->name, "the columns hold more than 2 MiB");
        char *cell = input->cells + used;
        size_t bytes = map_cut(column, input->raw, input->raw_bytes, utf8, cell);
        int status = fields_set(&input->fields, column->name, cell, bytes, false);
        if (status < 0)
            return status;
        used += bytes + 1;
    }
    return end_record(input);
}

/* ---- life cycle ------------------------------------------------------------------------------ */

static int open_file(struct input *input, const char *path)
{
    bool standard = strcmp(path, "-") == 0;
    errno = 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    if (file == NULL || fstat(fileno(file), &input->about) < 0)
        return errno != 0 ? -errno : -EIO;
    input->file = file;
    if (S_ISDIR(input->about.st_mode))
        return -EISDIR;
    if (S_ISREG(input->about.st_mode) && !standard)
        return 0;
    input->file = copy_of(file);
    if (!standard)
        fclose(file);
    if (input->file == NULL || fstat(fileno(input->file), &input->about) < 0)
        return errno != 0 ? -errno : -EIO;
    return 0;
}

int input_open(struct input *input, const char *path, enum input_format format,
               const struct map *map)
{
    *input = (struct input){.format = format, .map = map};
    int status = fields_init(&input->fields);
    input->raw = malloc(INPUT_LINE_BYTES_MAX + 1);
    input->cells = malloc(INPUT_LINE_BYTES_MAX + 1);
    if (status < 0 || input->raw == NULL || input->cells == NULL)
        return -ENOMEM;
    status = open_file(input, path);
    if (status < 0)
        return status;
    return format == INPUT_CSV ? read_header(input) : 0;
}

int input_next(struct input *input)
{
    for (;;) {
        int status = read_raw(input);
        if (status <= 0)
            return status;
        bool blank = input->raw[strspn(input->raw, " \t")] == '\0';
        if (blank)
            continue;
        fields_begin(&input->fields);
        if (input->format == INPUT_CSV)
            status = parse_csv(input);
        else if (input->format == INPUT_FIXED)
            status = parse_fixed(input);
        else
            status = parse_json(input);
        return status < 0 ? status : 1;
    }
}

int input_rewind(struct input *input)
{
    if (fseeko(input->file, 0, SEEK_SET) < 0)
        return -errno;
    clearerr(input->file);
    input->lines = 0;
    input->bytes = 0;
    if (input->format == INPUT_CSV) /* the header was good the first time */
        return read_raw(input) < 0 ? -EIO : 0;
    return 0;
}

bool input_changed(const struct input *input)
{
    struct stat now;
    const struct stat *then = &input->about;
    return fstat(fileno(input->file), &now) < 0 || now.st_size != then->st_size ||
           now.st_mtim.tv_sec != then->st_mtim.tv_sec ||
           now.st_mtim.tv_nsec != then->st_mtim.tv_nsec;
}

void input_close(struct input *input)
{
    if (input->file != NULL)
        fclose(input->file);
    json_decref(input->object);
    fields_deinit(&input->fields);
    free(input->raw);
    free(input->cells);
    free(input->header);
    free(input->header_raw);
    *input = (struct input){0};
}
