/* SPDX-License-Identifier: Apache-2.0
 *
 * Live names, and verb `names` that prints them; see names.h.
 *
 * The verb answers a shell that completes a word, so it waits for a short time only, and when no
 * broker is there it is silent unless a form of output was asked for.
 */
#include "tools/crossdock/names.h"

#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/session.h"
#include "tools/crossdock/shards.h"
#include "tools/crossdock/suggest.h"

#include <crossdock/status.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Somebody waits at the keyboard. */
#define TIMEOUT_MS 500u
#define LINE_BYTES 1024

static const struct {
    const char *word;   /* of the command line */
    const char *verb;   /* of the broker; NULL: of the configuration file */
    const char *rows;   /* member of the reply */
    const char *member; /* of a row */
    const char *key;    /* number of a row, where each shard has rows of its own; else NULL */
} kinds[NAMES_COUNT] = {
    [NAMES_TOPIC] = {"topic", "topic list", "topics", "name", NULL},
    [NAMES_FACILITY] = {"facility", "facility list", "facilities", "name", NULL},
    [NAMES_SOURCE] = {"source", "source list", "channels", "source", "number"},
    [NAMES_PROFILE] = {"profile", NULL, NULL, NULL, NULL},
};

/* The file that the library takes profiles from; see crossdock/options.h. */
static FILE *open_file(void)
{
    char path[PATH_MAX];
    const char *named = getenv("CROSSDOCK_CLIENT_CONFIG"), *home = getenv("HOME");
    FILE *file = NULL;
    if (named != NULL)
        return fopen(named, "re");
    if (home != NULL) {
        snprintf(path, sizeof path, "%s/.config/crossdock/client.conf", home);
        file = fopen(path, "re");
    }
    return file != NULL ? file : fopen("/etc/crossdock/client.conf", "re");
}

static json_t *read_profiles(void)
{
    char line[LINE_BYTES], name[LINE_BYTES];
    json_t *names = json_array();
    FILE *file = open_file();
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        size_t bytes = 0;
        if (sscanf(line, " [profile %1000[^]\n]", name) != 1)
            continue;
        for (bytes = strlen(name); bytes > 0 && name[bytes - 1] == ' '; bytes--)
            continue;
        json_array_append_new(names, json_stringn(name, bytes));
    }
    if (file != NULL)
        fclose(file);
    return names;
}

/* The values of one member of all rows, each once. */
static json_t *pick(const json_t *rows, const char *member)
{
    size_t index;
    json_t *row, *names = json_array(), *seen = json_object();
    json_array_foreach((json_t *)(uintptr_t)rows, index, row)
    {
        json_t *name = json_object_get(row, member);
        if (!json_is_string(name) || json_object_get(seen, json_string_value(name)) != NULL)
            continue;
        json_object_set_new(seen, json_string_value(name), json_true());
        json_array_append(names, name);
    }
    json_decref(seen);
    return names;
}

static int fetch_rows(struct tool *tool, enum names_kind kind, json_t **ret_rows)
{
    json_t *reply;
    const char *verb = kinds[kind].verb, *rows = kinds[kind].rows;
    if (kinds[kind].key != NULL)
        return shards_list(tool, verb, rows, kinds[kind].key, NULL, ret_rows);
    int status = session_call_all(tool, verb, rows, NULL, &reply);
    if (status < 0)
        return status;
    *ret_rows = json_incref(json_object_get(reply, rows));
    json_decref(reply);
    return 0;
}

int names_fetch(struct tool *tool, enum names_kind kind, json_t **ret_names)
{
    json_t *rows;
    if (kinds[kind].verb == NULL) {
        *ret_names = read_profiles();
        return 0;
    }
    int status = fetch_rows(tool, kind, &rows);
    if (status < 0)
        return status;
    *ret_names = pick(rows, kinds[kind].member);
    json_decref(rows);
    return 0;
}

void names_suggest(struct tool *tool, enum names_kind kind, const char *wanted)
{
    char detail[DETAIL_BYTES];
    struct suggest suggest;
    size_t index;
    json_t *name, *names = NULL;
    if (wanted == NULL || strstr(tool->detail, "did you mean") != NULL)
        return;
    memcpy(detail, tool->detail, sizeof detail);
    int status = names_fetch(tool, kind, &names);
    memcpy(tool->detail, detail, sizeof detail); /* a failure to ask is not the news */
    if (status < 0)
        return;
    suggest_init(&suggest, wanted);
    json_array_foreach(names, index, name)
        suggest_offer(&suggest, json_string_value(name), json_string_length(name));
    if (strcmp(suggest.best, wanted) != 0) /* something else of it was not found */
        suggest_append(&suggest, tool->detail, sizeof tool->detail);
    json_decref(names);
}

int run_names(struct tool *tool)
{
    static const struct report_view view = {"names", "name", ""};
    const char *word = tool_argument(tool, 0);
    enum names_kind kind = NAMES_TOPIC;
    size_t index;
    json_t *name, *names = NULL, *rows = json_array();
    while (kind < NAMES_COUNT && strcmp(kinds[kind].word, word) != 0)
        kind++;
    if (kind == NAMES_COUNT) {
        json_decref(rows);
        snprintf(tool->detail, sizeof tool->detail,
                 "'%s' is none of topic, facility, source, profile", word);
        return report_failure(tool, XDOCK_OPTION_INVALID, NULL);
    }
    if (tool_option(tool, "timeout") == NULL)
        tool->timeout_ms = TIMEOUT_MS;
    int status = names_fetch(tool, kind, &names);
    if (status < 0) {
        json_decref(rows);
        return tool->output_given ? report_failure(tool, status, NULL) : report_exit(status);
    }
    json_array_foreach(names, index, name)
        json_array_append_new(rows, json_pack("{s:O}", "name", name));
    json_decref(names);
    if (!tool->output_given)
        tool->output = OUTPUT_NAME;
    return report_data(tool, &view, json_pack("{s:o}", "names", rows));
}
