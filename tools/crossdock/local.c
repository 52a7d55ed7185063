/* SPDX-License-Identifier: Apache-2.0
 *
 * Verbs that need no broker: versions, statuses, and programs beside this one.
 */
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/sibling.h"
#include "tools/crossdock/suggest.h"

#include <crossdock/crossdock.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Behind the last errno value of Linux. */
#define ERRNO_END 134

static const struct report_view object_view = {NULL, "", ""};

int run_version(struct tool *tool)
{
    static const struct report_view view = {NULL, "version,library,api", ""};
    char api[32];
    snprintf(api, sizeof api, "%d.%d", XDOCK_API_VERSION_MAJOR, XDOCK_API_VERSION_MINOR);
    return report_data(tool, &view,
                       json_pack("{s:s, s:s, s:s}", "version", CROSSDOCK_VERSION, "library",
                                 xdock_version(), "api", api));
}

/* ---- statuses -------------------------------------------------------------------------------- */

static const char *class_advice(int status_class)
{
    switch ((enum xdock_class)status_class) {
    case XDOCK_CLASS_OK:
        return "success, perhaps with a flag";
    case XDOCK_CLASS_RETRY:
        return "nothing happened: the same request again";
    case XDOCK_CLASS_BACKOFF:
        return "throttled or degraded: wait, then the same request again";
    case XDOCK_CLASS_FENCED:
        return "a newer holder exists: stop this session";
    case XDOCK_CLASS_REJECTED:
        return "the request or record is wrong: correct it; the detail names the field";
    case XDOCK_CLASS_UNKNOWN:
        return "it may or may not be durable: the same sequence again tells";
    case XDOCK_CLASS_FATAL:
        return "the handle is finished: close it";
    }
    return "";
}

static bool is_known(int status)
{
    int known;
    for (unsigned row = 0; xdock_status_row(row, &known) == 0; row++)
        if (known == status)
            return true;
    return status < 0 && status > -ERRNO_END && xdock_status_name(status)[0] == 'E';
}

/* "FENCED", "fenced", "XD_FENCED", "XDOCK_FENCED", "-10065". */
static int status_of(const char *word, int *ret_status)
{
    char name[64];
    char *end;
    size_t bytes = strlen(word);
    long number = strtol(word, &end, 10);
    if (bytes > 0 && *end == '\0' && number >= INT_MIN && number <= INT_MAX) {
        *ret_status = (int)number;
        return is_known((int)number) ? 0 : -ENOENT;
    }
    for (size_t i = 0; i <= bytes && i < sizeof name; i++)
        name[i] = (char)(word[i] >= 'a' && word[i] <= 'z' ? word[i] - 32 : word[i]);
    name[sizeof name - 1] = '\0';
    const char *bare = strncmp(name, "XDOCK_", 6) == 0 ? name + 6
                       : strncmp(name, "XD_", 3) == 0  ? name + 3
                                                       : name;
    if (xdock_status_find(bare, ret_status) == 0)
        return 0;
    for (int i = 1; i < ERRNO_END; i++) {
        const char *known = xdock_status_name(-i);
        if (known[0] == 'E' && strcmp(known, bare) == 0) {
            *ret_status = -i;
            return 0;
        }
    }
    return -ENOENT;
}

int run_error(struct tool *tool)
{
    static const struct report_view view = {NULL, "name,code,class,text,advice", ""};
    const char *word = tool_argument(tool, 0);
    int status;
    if (status_of(word, &status) < 0) {
        struct suggest suggest;
        suggest_init(&suggest, word);
        for (unsigned row = 0; xdock_status_row(row, &status) == 0; row++)
            suggest_offer(&suggest, xdock_status_name(status), strlen(xdock_status_name(status)));
        snprintf(tool->detail, sizeof tool->detail, "there is no status '%s'", word);
        suggest_append(&suggest, tool->detail, sizeof tool->detail);
        return report_failure(tool, XDOCK_NOT_FOUND, "");
    }
    int status_class = xdock_status_class(status);
    return report_data(tool, &view,
                       json_pack("{s:s, s:i, s:s, s:s, s:s}", "name", xdock_status_name(status),
                                 "code", status, "class", xdock_class_name(status_class), "text",
                                 xdock_status_text(status), "advice", class_advice(status_class)));
}

/* ---- programs beside this one ---------------------------------------------------------------- */

/* `program`, a word of ours, the verb's positional arguments. */
static void hand_on(const struct tool *tool, const char *program, const char *word,
                    const char **ret_argv)
{
    unsigned count = 0;
    ret_argv[count++] = program;
    if (word != NULL)
        ret_argv[count++] = word;
    for (unsigned i = 0; i < tool->args.positional_count; i++)
        ret_argv[count++] = tool->args.positionals[i];
    ret_argv[count] = NULL;
}

int run_bench(struct tool *tool)
{
    const char *argv[SIBLING_ARGUMENTS_MAX + 3];
    unsigned count = 0;
    hand_on(tool, "crossdock-bench", NULL, argv);
    while (argv[count] != NULL)
        count++;
    if (tool->output == OUTPUT_JSON) { /* `crossdock -o json bench ...` */
        argv[count++] = "-o";
        argv[count++] = "json";
        argv[count] = NULL;
    }
    if (tool_option(tool, "address") != NULL) /* the library of the other program looks there */
        setenv("CROSSDOCK_ADDRESS", tool_option(tool, "address"), 1);
    return report_failure(tool, sibling_exec(tool, argv), NULL);
}

/* The daemon's sentence, in the form that is asked for. */
int run_config_check(struct tool *tool)
{
    static const struct report_view view = {NULL, "text", ""};
    const char *argv[SIBLING_ARGUMENTS_MAX + 3];
    char *text;
    hand_on(tool, "crossdockd", "--check-config", argv);
    int status = sibling_read(tool, argv, true, &text);
    if (status < 0)
        return report_failure(tool, status, NULL);
    size_t bytes = strlen(text);
    while (bytes > 0 && text[bytes - 1] == '\n')
        text[--bytes] = '\0';
    if (status == 0) {
        status = report_data(tool, &view, json_pack("{s:s}", "text", text));
    } else {
        static const char who[] = "crossdockd: ";
        bool named = strncmp(text, who, sizeof who - 1) == 0;
        snprintf(tool->detail, sizeof tool->detail, "%s", named ? text + sizeof who - 1 : text);
        status = report_failure(tool, XDOCK_OPTION_INVALID,
                                "`crossdock config explain OPTION` tells what is expected");
    }
    free(text);
    return status;
}

/* The inspector takes the verb's own options and the form of the output. */
static int inspect(struct tool *tool, const char *verb)
{
    static const char *const forms[] = {"table", "wide", "json", "jsonl", "tsv", "name"};
    const char *argv[SIBLING_ARGUMENTS_MAX + 1];
    char joined[ARGS_OPTIONS_MAX][128];
    unsigned count = 0;
    argv[count++] = "crossdock-inspect";
    argv[count++] = verb;
    argv[count++] = tool_argument(tool, 0);
    argv[count++] = "-o";
    argv[count++] = forms[tool->output];
    for (unsigned i = 0; i < tool->args.option_count; i++) {
        const struct args_option *option = &tool->args.options[i];
        if (option->row->verb != tool->args.verb->id)
            continue;
        snprintf(joined[i], sizeof joined[i], "--%s%s%s", option->row->name,
                 option->value != NULL ? "=" : "", option->value != NULL ? option->value : "");
        argv[count++] = joined[i];
    }
    argv[count] = NULL;
    return report_failure(tool, sibling_exec(tool, argv), NULL);
}

int run_log_dump(struct tool *tool)
{
    return inspect(tool, "dump");
}

int run_log_verify(struct tool *tool)
{
    return inspect(tool, "verify");
}

/* ---- config explain -------------------------------------------------------------------------- */

/* Column `index` of a markdown table row, without blanks and back quotes around it. */
static void table_cell(const char *line, size_t line_bytes, unsigned index, char *ret_text,
                       size_t text_bytes)
{
    const char *end = line + line_bytes, *at = line;
    ret_text[0] = '\0';
    for (unsigned i = 0; i <= index && at != NULL; i++)
        at = memchr(at, '|', (size_t)(end - at)) != NULL
                 ? (const char *)memchr(at, '|', (size_t)(end - at)) + 1
                 : NULL;
    const char *stop = at != NULL ? memchr(at, '|', (size_t)(end - at)) : NULL;
    if (stop == NULL)
        return;
    while (at < stop && (*at == ' ' || *at == '`'))
        at++;
    while (stop > at && (stop[-1] == ' ' || stop[-1] == '`'))
        stop--;
    snprintf(ret_text, text_bytes, "%.*s", (int)(stop - at), at);
}

/* The option's row in the manual page of the configuration; nearest names go into `suggest`. */
static json_t *find_row(const char *page, const char *wanted, struct suggest *suggest)
{
    char section[64] = "", key[96], name[192], cells[3][1024];
    for (const char *line = page; *line != '\0';) {
        size_t bytes = strcspn(line, "\n");
        if (strncmp(line, "## [", 4) == 0)
            snprintf(section, sizeof section, "%.*s", (int)strcspn(line + 4, "]"), line + 4);
        if (section[0] != '\0' && strncmp(line, "| `", 3) == 0) {
            table_cell(line, bytes, 0, key, sizeof key);
            snprintf(name, sizeof name, "%s.%s", section, key);
            suggest_offer(suggest, name, strlen(name));
            for (unsigned i = 0; i < 3; i++)
                table_cell(line, bytes, i + 1, cells[i], sizeof cells[i]);
            if (strcmp(name, wanted) == 0)
                return json_pack("{s:s, s:s, s:s, s:s}", "option", name, "text", cells[2],
                                 "default", cells[0], "expected", cells[1]);
        }
        line += bytes;
        line += *line == '\n';
    }
    return NULL;
}

int run_config_explain(struct tool *tool)
{
    static const char *const argv[] = {"crossdockd", "--print-config-doc", NULL};
    const char *wanted = tool_argument(tool, 0);
    struct suggest suggest;
    char *page;
    int status = sibling_read(tool, argv, false, &page);
    if (status < 0)
        return report_failure(tool, status, NULL);
    suggest_init(&suggest, wanted);
    json_t *row = find_row(page, wanted, &suggest);
    free(page);
    if (row != NULL)
        return report_data(tool, &object_view, row);
    snprintf(tool->detail, sizeof tool->detail, "the broker has no option '%s'", wanted);
    suggest_append(&suggest, tool->detail, sizeof tool->detail);
    return report_failure(tool, XDOCK_NOT_FOUND, "docs/CONFIGURATION.md lists them");
}
