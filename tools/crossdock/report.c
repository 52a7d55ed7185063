/* SPDX-License-Identifier: Apache-2.0
 *
 * Envelopes and failures; tables are table.c's. See report.h.
 */
#include "tools/crossdock/report.h"

#include "tools/crossdock/table.h"

#include <crossdock/status.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Status, exit status, what to do next. */
static const struct {
    int status;
    int exit;
    const char *hint;
} rows[] = {
    {XDOCK_OPTION_UNKNOWN, EXIT_USAGE, "see `crossdock help`"},
    {XDOCK_OPTION_INVALID, EXIT_USAGE, "see `crossdock help`"},
    {XDOCK_FIELD_INVALID, EXIT_USAGE, ""},
    {XDOCK_NAME_INVALID, EXIT_USAGE,
     "names are 1 to 64 characters of [A-Za-z0-9._-] and begin with a letter or digit"},
    {XDOCK_SETTING_UNSUPPORTED, EXIT_USAGE, ""},
    {XDOCK_NOT_FOUND, EXIT_NOT_FOUND, ""},
    {XDOCK_TOPIC_UNKNOWN, EXIT_NOT_FOUND, "`crossdock topic list` shows the topics there are"},
    {XDOCK_FACILITY_UNKNOWN, EXIT_NOT_FOUND,
     "`crossdock facility list` shows the facilities, `crossdock facility add NAME` adds one"},
    {XDOCK_PARTITION_UNKNOWN, EXIT_NOT_FOUND, ""},
    {-ENOENT, EXIT_NOT_FOUND, ""},
    {-EACCES, EXIT_DENIED, ""},
    {-EPERM, EXIT_DENIED, ""},
    {XDOCK_UNREACHABLE, EXIT_UNREACHABLE,
     "is crossdockd running there? -s ADDR or $CROSSDOCK_ADDRESS names another address"},
    {XDOCK_DEADLINE_EXCEEDED, EXIT_UNREACHABLE, "--timeout waits longer"},
    {XDOCK_CONNECTION_LOST, EXIT_UNREACHABLE, "run the command again"},
    {XDOCK_SHUTTING_DOWN, EXIT_UNREACHABLE, "run the command again when the broker is back"},
    {XDOCK_CONNECTION_LIMIT, EXIT_UNREACHABLE, "raise net.connections_max of the broker"},
    {XDOCK_FENCED, EXIT_FAILED, "another program uses this source and channel; stop one of them"},
    {XDOCK_DATA_LOCKED, EXIT_FAILED, "stop the broker, or read along with --force-read"},
    {-EINTR, EXIT_INTERRUPTED, ""},
};

int report_exit(int status)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status)
            return rows[i].exit;
    return status < 0 ? EXIT_FAILED : EXIT_OK;
}

const char *report_hint(int status)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status)
            return rows[i].hint;
    return "";
}

static bool is_json(const struct tool *tool)
{
    return tool->output == OUTPUT_JSON || tool->output == OUTPUT_JSONL;
}

static const char *command_of(const struct tool *tool)
{
    if (tool->args.verb != NULL)
        return tool->args.verb->name;
    return tool->args.family != NULL ? tool->args.family : "";
}

static json_t *error_object(struct tool *tool, int status, const char *hint)
{
    const char *text = tool->detail[0] != '\0' ? tool->detail : xdock_status_text(status);
    return json_pack("{s:i, s:s, s:s, s:s, s:s}", "code", status, "name", xdock_status_name(status),
                     "class", xdock_class_name(xdock_status_class(status)), "text", text, "hint",
                     hint != NULL ? hint : report_hint(status));
}

/* Prints an envelope and frees it. */
static void print_envelope(struct tool *tool, json_t *envelope)
{
    bool stream =
        tool->stream || (tool->args.verb != NULL && (tool->args.verb->flags & VERB_STREAM) != 0);
    size_t flags = tool->output == OUTPUT_JSON && !stream ? JSON_INDENT(2) : JSON_COMPACT;
    json_dumpf(envelope, stdout, flags);
    putchar('\n');
    json_decref(envelope);
}

static void talk(struct tool *tool, int status, const char *hint)
{
    hint = hint != NULL ? hint : report_hint(status);
    fprintf(stderr, "crossdock: %s%s%s (%s)\n", command_of(tool), command_of(tool)[0] ? ": " : "",
            tool->detail[0] != '\0' ? tool->detail : xdock_status_text(status),
            xdock_status_name(status));
    if (hint[0] != '\0')
        fprintf(stderr, "  %s\n", hint);
}

int report_failure(struct tool *tool, int status, const char *hint)
{
    fflush(stdout);
    talk(tool, status, hint);
    if (is_json(tool) && tool->output_given)
        print_envelope(tool, json_pack("{s:s, s:b, s:o}", "command", command_of(tool), "ok", 0,
                                       "error", error_object(tool, status, hint)));
    return report_exit(status);
}

/* Rows one a line, for -o jsonl. Frees nothing. */
static void print_lines(const struct report_view *view, json_t *data)
{
    json_t *list = view->rows != NULL ? json_object_get(data, view->rows) : NULL;
    size_t index;
    json_t *row;
    if (list == NULL) {
        json_dumpf(data, stdout, JSON_COMPACT);
        putchar('\n');
        return;
    }
    json_array_foreach(list, index, row)
    {
        json_dumpf(row, stdout, JSON_COMPACT);
        putchar('\n');
    }
}

int report_data(struct tool *tool, const struct report_view *view, json_t *data)
{
    if (data == NULL)
        return report_failure(tool, -ENOMEM, NULL);
    if (tool->output == OUTPUT_JSON)
        print_envelope(
            tool, json_pack("{s:s, s:b, s:O}", "command", command_of(tool), "ok", 1, "data", data));
    else if (tool->output == OUTPUT_JSONL)
        print_lines(view, data);
    else
        table_print(tool, view, data);
    json_decref(data);
    return EXIT_OK;
}

int report_partly(struct tool *tool, const struct report_view *view, json_t *data, int status,
                  const char *hint)
{
    if (data == NULL)
        return report_failure(tool, -ENOMEM, NULL);
    if (is_json(tool)) {
        talk(tool, status, hint);
        print_envelope(tool, json_pack("{s:s, s:b, s:O, s:o}", "command", command_of(tool), "ok", 0,
                                       "data", data, "error", error_object(tool, status, hint)));
    } else {
        table_print(tool, view, data);
        fflush(stdout);
        talk(tool, status, hint);
    }
    json_decref(data);
    return report_exit(status);
}

/* ---- texts ----------------------------------------------------------------------------------- */

void report_text_begin(struct tool *tool)
{
    if (!is_json(tool) || !tool->output_given)
        return;
    FILE *stream = open_memstream(&tool->text, &tool->text_bytes);
    if (stream == NULL)
        return; /* the text is printed as it stands */
    tool->text_stream = stdout;
    stdout = stream; /* may be assigned to in the GNU C library */
}

int report_text_drop(struct tool *tool)
{
    if (tool->text_stream == NULL)
        return EXIT_OK;
    fclose(stdout);
    stdout = tool->text_stream;
    tool->text_stream = NULL;
    free(tool->text);
    tool->text = NULL;
    return EXIT_OK;
}

int report_text_end(struct tool *tool)
{
    static const struct report_view view = {NULL, "text", ""};
    if (tool->text_stream == NULL)
        return EXIT_OK;
    fflush(stdout);
    json_t *data = json_pack("{s:s}", "text", tool->text);
    report_text_drop(tool);
    return report_data(tool, &view, data);
}
