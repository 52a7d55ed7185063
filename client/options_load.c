/* SPDX-License-Identifier: Apache-2.0
 *
 * Options from a file and from the environment.
 *
 * Normal path: the file's section [client], then its section [profile NAME], then the variables
 * CROSSDOCK_<NAME>; later wins. The file is read twice, once per section, line by line.
 * Failure paths: a file that was named and cannot be opened gives -errno; one that was only looked
 * for may be missing. A line that cannot be read, an unknown name or an unfit value stops the load
 * with file and line number; what stood before it has been taken over.
 *
 *   # comment                      ; comment
 *   [client]
 *   address = 10.1.2.3:7700
 *   [profile night]
 *   producer.codec = lz4
 */
#include "client/options.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES_MAX 4096u
#define LINE_BYTES_MAX 1024u
#define LINES_MAX 100000u

/* A file being read for one section. */
struct source {
    const char *path;    /* for messages */
    const char *section; /* wanted, without brackets */
    unsigned line;       /* number of the present one, from 1 */
    bool inside;         /* in the wanted section */
    bool found;          /* the wanted section was there */
};

/* Cuts blanks at both ends, in place. */
static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    size_t bytes = strlen(text);
    while (bytes > 0 && strchr(" \t\r\n", text[bytes - 1]) != NULL)
        text[--bytes] = '\0';
    return text;
}

static int line_failed(struct xdock_options *options, const struct source *source, int status,
                       const char *reason)
{
    char text[XD_OPTION_ERROR_BYTES];
    snprintf(text, sizeof(text), "%.200s:%u: %.250s", source->path, source->line, reason);
    memcpy(options->error, text, sizeof(text));
    return status;
}

static int take_line(struct xdock_options *options, struct source *source, char *line)
{
    char *text = trim(line);
    if (*text == '\0' || *text == '#' || *text == ';')
        return 0;
    size_t bytes = strlen(text);
    if (*text == '[') {
        if (text[bytes - 1] != ']')
            return line_failed(options, source, XD_OPTION_INVALID, "a section ends with ]");
        text[bytes - 1] = '\0';
        source->inside = strcmp(trim(text + 1), source->section) == 0;
        source->found = source->found || source->inside;
        return 0;
    }
    if (!source->inside)
        return 0;
    char *equals = strchr(text, '=');
    if (equals == NULL)
        return line_failed(options, source, XD_OPTION_INVALID, "expected name = value");
    *equals = '\0';
    int status = xdock_options_set(options, trim(text), trim(equals + 1));
    return status < 0 ? line_failed(options, source, status, options->error) : 0;
}

static int take_section(struct xdock_options *options, FILE *file, struct source *source)
{
    char line[LINE_BYTES_MAX];
    rewind(file);
    for (source->line = 1; source->line <= LINES_MAX; source->line++) {
        if (fgets(line, sizeof(line), file) == NULL)
            return ferror(file) ? -EIO : 0;
        if (strlen(line) == sizeof(line) - 1)
            return line_failed(options, source, XD_OPTION_INVALID, "the line is too long");
        int status = take_line(options, source, line);
        if (status < 0)
            return status;
    }
    return line_failed(options, source, XD_OPTION_INVALID, "the file has too many lines");
}

static int take_file(struct xdock_options *options, FILE *file, const char *path,
                     const char *profile)
{
    struct source source = {.path = path, .section = "client"};
    int status = take_section(options, file, &source);
    if (status < 0 || profile == NULL)
        return status;
    char section[LINE_BYTES_MAX];
    snprintf(section, sizeof(section), "profile %s", profile);
    source = (struct source){.path = path, .section = section};
    status = take_section(options, file, &source);
    if (status == 0 && !source.found) {
        snprintf(options->error, sizeof(options->error), "%.200s: there is no section [%.200s]",
                 path, section);
        return XD_OPTION_INVALID;
    }
    return status;
}

/* Opens the first of the usual files that exists; NULL when there is none. */
static FILE *usual_file(char *ret_path)
{
    const char *named = getenv("CROSSDOCK_CLIENT_CONFIG");
    if (named != NULL) {
        snprintf(ret_path, PATH_BYTES_MAX, "%s", named);
        return fopen(ret_path, "re");
    }
    const char *home = getenv("HOME");
    if (home != NULL) {
        snprintf(ret_path, PATH_BYTES_MAX, "%s/.config/crossdock/client.conf", home);
        FILE *file = fopen(ret_path, "re");
        if (file != NULL)
            return file;
    }
    snprintf(ret_path, PATH_BYTES_MAX, "/etc/crossdock/client.conf");
    return fopen(ret_path, "re");
}

static int take_environment(struct xdock_options *options)
{
    for (int i = 0; i < XD_OPTION_COUNT; i++) {
        const char *name = xd_option_name((enum xd_option)i);
        char variable[XD_OPTION_TEXT_BYTES];
        snprintf(variable, sizeof(variable), "CROSSDOCK_%s", name);
        for (char *at = variable; *at != '\0'; at++) {
            if (*at == '.')
                *at = '_';
            else if (*at >= 'a' && *at <= 'z')
                *at = (char)(*at - 'a' + 'A');
        }
        const char *value = getenv(variable);
        if (value == NULL)
            continue;
        int status = xd_option_set(options, (enum xd_option)i, value);
        if (status < 0) {
            char reason[XD_OPTION_ERROR_BYTES];
            snprintf(reason, sizeof(reason), "%.200s: %.300s", variable, options->error);
            memcpy(options->error, reason, sizeof(reason));
            return status;
        }
    }
    return 0;
}

int xdock_options_load(xdock_options_t *options, const char *path, const char *profile)
{
    XD_ASSERT(options != NULL);
    char usual[PATH_BYTES_MAX];
    FILE *file = path != NULL ? fopen(path, "re") : usual_file(usual);
    if (file == NULL && (path != NULL || profile != NULL)) {
        int status = path != NULL ? -errno : -ENOENT;
        snprintf(options->error, sizeof(options->error), "%.300s: %s",
                 path != NULL ? path : "no configuration file for the profile",
                 xd_status_text(status));
        return status;
    }
    if (file != NULL) {
        int status = take_file(options, file, path != NULL ? path : usual, profile);
        fclose(file);
        if (status < 0)
            return status;
    }
    return take_environment(options);
}
