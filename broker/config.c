/* SPDX-License-Identifier: Apache-2.0
 *
 * Sources of configuration; see config.h. The only file that knows inih, which reports no lines
 * itself: our reader counts them, and refuses lines that inih would cut.
 */
#include "broker/config.h"

#include "broker/admin/suggest.h"
#include "broker/config_value.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES_MAX 4096u
#define ENVIRONMENT_PREFIX "CROSSDOCK_"
#define NAME_BYTES_MAX 128u

static const struct config_row rows[] = {
#define OPTION(section, key, kind, unit, value, min, max, step, text)                              \
    {#section "." #key, #section, #key, unit, value, text, min, max, step, CONFIG_##kind},
#include "broker/config.def"
#undef OPTION
};
static_assert(sizeof rows / sizeof rows[0] == OPTION_COUNT, "one row per option");

const struct config_row *config_row(unsigned option)
{
    return option < OPTION_COUNT ? &rows[option] : NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

int64_t config_number(const struct config *config, enum config_option option)
{
    XD_ASSERT(option < OPTION_COUNT && rows[option].kind != CONFIG_TEXT);
    return config->values[option].number;
}

const char *config_text(const struct config *config, enum config_option option)
{
    XD_ASSERT(option < OPTION_COUNT);
    return config->values[option].text;
}

const char *config_origin(const struct config *config, enum config_option option)
{
    XD_ASSERT(option < OPTION_COUNT);
    return config->values[option].origin;
}

bool config_element(const struct config *config, enum config_option option, uint32_t index,
                    char *ret_text, uint32_t bytes)
{
    XD_ASSERT(option < OPTION_COUNT && rows[option].kind == CONFIG_LIST);
    const char *at = config->values[option].text;
    if (index >= config->values[option].number)
        return false;
    for (uint32_t i = 0; i < index; i++)
        at = strchr(at, ',') + 1;
    at += strspn(at, " ");
    size_t length = strcspn(at, ",");
    while (length > 0 && at[length - 1] == ' ')
        length--;
    snprintf(ret_text, bytes, "%.*s", (int)length, at);
    return true;
}

bool config_same(const struct config *a, const struct config *b, enum config_option option)
{
    XD_ASSERT(option < OPTION_COUNT);
    if (rows[option].kind == CONFIG_TEXT || rows[option].kind == CONFIG_LIST)
        return strcmp(a->values[option].text, b->values[option].text) == 0;
    return a->values[option].number == b->values[option].number;
}

/* ---- setting --------------------------------------------------------------------------------- */

static int find_option(struct xd_text name, const char *origin, char *why)
{
    struct suggest suggest;
    char detail[XD_DETAIL_BYTES_MAX] = "";
    for (unsigned i = 0; i < OPTION_COUNT; i++)
        if (strlen(rows[i].name) == name.bytes && memcmp(rows[i].name, name.data, name.bytes) == 0)
            return (int)i;
    suggest_init(&suggest, name);
    for (unsigned i = 0; i < OPTION_COUNT; i++)
        suggest_offer(&suggest, suggest_text(rows[i].name));
    suggest_append(&suggest, detail);
    snprintf(why, CONFIG_WHY_BYTES, "%s: %.*s is not an option%s", origin,
             (int)(name.bytes < NAME_BYTES_MAX ? name.bytes : NAME_BYTES_MAX), name.data, detail);
    return XD_OPTION_UNKNOWN;
}

/* Paths and names come from outside; reports must stay plain text. */
static void set_origin(struct config_value *value, const char *origin)
{
    snprintf(value->origin, sizeof value->origin, "%s", origin);
    for (char *at = value->origin; *at != '\0'; at++)
        if (*at < 0x20 || *at > 0x7e)
            *at = '?';
}

int config_set(struct config *config, struct xd_text name, const char *value, const char *origin,
               char *why)
{
    int64_t number;
    int option = find_option(name, origin, why);
    if (option < 0)
        return option;
    if (config_value_parse(&rows[option], value, &number) < 0) {
        char expected[CONFIG_EXPECT_BYTES];
        config_value_expected(&rows[option], expected);
        snprintf(why, CONFIG_WHY_BYTES, "%s: %s = '%.200s': expected %s", origin, rows[option].name,
                 value, expected);
        return XD_OPTION_INVALID;
    }
    struct config_value *slot = &config->values[option];
    slot->number = number;
    snprintf(slot->text, sizeof slot->text, "%s", value);
    set_origin(slot, origin);
    return 0;
}

void config_defaults(struct config *config)
{
    char why[CONFIG_WHY_BYTES];
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        int status =
            config_set(config, suggest_text(rows[i].name), rows[i].default_text, "default", why);
        XD_ASSERT(status == 0);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

/* One file on its way through inih. */
struct reading {
    FILE *file;
    const char *path;
    struct config *config;
    char *why;                   /* CONFIG_WHY_BYTES */
    uint32_t line;               /* of what was read last, from 1 */
    int status;                  /* of the first mistake, 0 = none */
    uint32_t seen[OPTION_COUNT]; /* line that gave the option, 0 = not yet */
};

static void refuse_line(struct reading *reading, const char *text)
{
    if (reading->status != 0)
        return;
    snprintf(reading->why, CONFIG_WHY_BYTES, "%s:%u: %s", reading->path, reading->line, text);
    reading->status = XD_OPTION_INVALID;
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
        refuse_line(reading, text);
        return NULL;
    }
    return line;
}

static int take_line(void *user, const char *section, const char *key, const char *value)
{
    struct reading *reading = user;
    char name[NAME_BYTES_MAX], origin[CONFIG_ORIGIN_BYTES_MAX];
    if (reading->status != 0)
        return 1;
    snprintf(name, sizeof name, "%s%s%s", section, section[0] != '\0' ? "." : "", key);
    snprintf(origin, sizeof origin, "%.200s:%u", reading->path, reading->line);
    int option = find_option(suggest_text(name), origin, reading->why);
    if (option < 0) {
        reading->status = option;
    } else if (reading->seen[option] != 0) {
        char text[NAME_BYTES_MAX + 64];
        snprintf(text, sizeof text, "%s stands in line %u already", name, reading->seen[option]);
        refuse_line(reading, text);
    } else {
        reading->seen[option] = reading->line;
        reading->status =
            config_set(reading->config, suggest_text(name), value, origin, reading->why);
    }
    return 1;
}

int config_load_file(struct config *config, const char *path, char *why)
{
    struct reading reading = {.path = path, .config = config, .why = why};
    reading.file = fopen(path, "re");
    if (reading.file == NULL) {
        int error = errno;
        snprintf(why, CONFIG_WHY_BYTES, "%s: cannot be read: %s", path, xd_status_text(-error));
        return -error;
    }
    int line = ini_parse_stream(read_line, &reading, take_line, &reading);
    bool failed = ferror(reading.file) != 0;
    fclose(reading.file);
    if (reading.status == 0 && (failed || line < 0))
        refuse_line(&reading, "cannot be read to the end");
    /* inih goes on behind a line that it does not understand: the first mistake counts. */
    if (line > 0 && (reading.status == 0 || (uint32_t)line < reading.line)) {
        reading.status = 0;
        reading.line = (uint32_t)line;
        refuse_line(&reading, "expected [section], key = value, or a comment after #");
    }
    return reading.status;
}

static int wanted(const struct dirent *entry)
{
    size_t bytes = strlen(entry->d_name);
    return bytes > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + bytes - 5, ".conf") == 0;
}

/* Files *.conf of the folder beside the file, in sequence of their names. */
static int load_folder(struct config *config, const char *file, char *why)
{
    char folder[PATH_BYTES_MAX], path[PATH_BYTES_MAX + 256];
    const char *slash = strrchr(file, '/');
    struct dirent **entries;
    int prefix = slash != NULL ? (int)(slash - file + 1) : 0;
    snprintf(folder, sizeof folder, "%.*s" CONFIG_FOLDER, prefix, file);
    int count = scandir(folder, &entries, wanted, alphasort);
    if (count < 0) {
        int error = errno;
        if (error == ENOENT || error == ENOTDIR)
            return 0;
        snprintf(why, CONFIG_WHY_BYTES, "%.900s: %s", folder, xd_status_text(-error));
        return -error;
    }
    int status = 0;
    for (int i = 0; i < count; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        if (status == 0)
            status = config_load_file(config, path, why);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* ---- environment and command line ------------------------------------------------------------ */

/* CROSSDOCK_LOG__TAIL_BYTES=64MiB. Names without "__" are not options. */
static int load_variable(struct config *config, const char *variable, char *why)
{
    char name[NAME_BYTES_MAX], origin[CONFIG_ORIGIN_BYTES_MAX];
    const char *at = variable + sizeof ENVIRONMENT_PREFIX - 1;
    const char *equals = strchr(at, '=');
    const char *middle = strstr(at, "__");
    if (equals == NULL || middle == NULL || middle > equals)
        return 0;
    uint32_t used = 0;
    for (; at < equals && used < sizeof name; at++) {
        if (at == middle) {
            name[used++] = '.';
            at++;
        } else {
            name[used++] = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
        }
    }
    snprintf(origin, sizeof origin, "environment %.*s",
             (int)(equals - variable < 200 ? equals - variable : 200), variable);
    return config_set(config, (struct xd_text){name, used}, equals + 1, origin, why);
}

static int load_environment(struct config *config, char *const *environment, char *why)
{
    for (uint32_t i = 0; environment != NULL && environment[i] != NULL; i++) {
        if (strncmp(environment[i], ENVIRONMENT_PREFIX, sizeof ENVIRONMENT_PREFIX - 1) != 0)
            continue;
        int status = load_variable(config, environment[i], why);
        if (status < 0)
            return status;
    }
    return 0;
}

static int load_set(struct config *config, const char *set, char *why)
{
    const char *equals = strchr(set, '=');
    if (equals == NULL) {
        snprintf(why, CONFIG_WHY_BYTES, "--set %.200s: expected section.key=value", set);
        return XD_OPTION_INVALID;
    }
    return config_set(config, (struct xd_text){set, (uint32_t)(equals - set)}, equals + 1,
                      "command line", why);
}

int config_load(struct config *config, const struct config_sources *sources, char *why)
{
    const char *file = sources->file != NULL ? sources->file : CONFIG_FILE_DEFAULT;
    config_defaults(config);
    int status = config_load_file(config, file, why);
    if (status == -ENOENT && sources->file == NULL)
        status = 0;
    if (status == 0)
        status = load_folder(config, file, why);
    if (status == 0)
        status = load_environment(config, sources->environment, why);
    for (uint32_t i = 0; i < sources->set_count && status == 0; i++)
        status = load_set(config, sources->sets[i], why);
    return status;
}
