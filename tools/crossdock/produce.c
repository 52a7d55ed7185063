/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock produce`: a file into a topic.
 *
 * Normal path: open the file, name its channels by its content, send line by line, wait for the
 * outcomes, report. --all-or-nothing reads the file twice: nothing is sent unless every line is
 * good. --dry-run reads it once and asks the broker what it has.
 * Failure paths: wrong lines are told and counted; a status of the broker ends the run, and the
 * report says what was sent until then.
 */
#include "tools/crossdock/digest.h"
#include "tools/crossdock/import.h"
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/session.h"

#include <crossdock/status.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PROGRESS_LINES 65536u

static const struct report_view view = {
    NULL, "topic,source,file,lines,appended,already,rejected,dry_run", ""};

static enum input_format format_of(const struct tool *tool, const char *path)
{
    const char *word = tool_option(tool, "format");
    size_t bytes = strlen(path);
    if (word == NULL)
        return bytes > 4 && strcmp(path + bytes - 4, ".csv") == 0 ? INPUT_CSV : INPUT_JSONL;
    return strcmp(word, "csv") == 0 ? INPUT_CSV : INPUT_JSONL;
}

static void progress(const struct import *import, bool last)
{
    if (!import->tool->progress || import->lines < PROGRESS_LINES)
        return;
    if (last)
        fprintf(stderr, "\r\033[K");
    else if (import->lines % PROGRESS_LINES == 0)
        fprintf(stderr, "\r%s: %" PRIu64 " lines", import->path, import->lines);
}

/* ---- passes over the file -------------------------------------------------------------------- */

/* Reads every line; sends the good ones when `send`. 0 or a status that ends the run. */
static int pass(struct import *import, struct input *input, bool send)
{
    int status;
    import->lines = 0;
    import->last_sequence = 0;
    while ((status = input_next(input)) != 0) {
        struct import_channel *channel = NULL;
        if (tool_interrupted())
            return -EINTR;
        if (status < 0 && status != XDOCK_FIELD_INVALID)
            return status;
        import->lines++;
        progress(import, false);
        if (status == 1)
            status = import_place(import, input, &channel);
        if (status == XDOCK_FIELD_INVALID) {
            import_reject(import, input, status);
            continue;
        }
        if (status == 0)
            status =
                send ? import_send(import, input, channel) : import_count(import, input, channel);
        if (status < 0)
            return status;
    }
    progress(import, true);
    return 0;
}

/* A dry run, and the first of two passes of --all-or-nothing: opens and sends nothing. */
static int check_all(struct import *import, struct input *input)
{
    bool dry_run = import->dry_run;
    import->dry_run = true;
    int status = pass(import, input, false);
    if (status == 0)
        status = import_ask(import);
    import->dry_run = dry_run;
    if (status < 0 || import->rejected > 0 || dry_run)
        return status;
    import->channel_count = 0;
    return input_rewind(input);
}

static int run_passes(struct import *import, struct input *input)
{
    bool all = tool_flag(import->tool, "all-or-nothing");
    int status = 0;
    if (all || import->dry_run)
        status = check_all(import, input);
    if (all && import->rejected > 0)
        for (uint32_t i = 0; i < import->channel_count; i++)
            import->channels[i].appended = 0;
    if (status < 0 || import->dry_run || (all && import->rejected > 0))
        return status;
    status = pass(import, input, true);
    int finished = import_finish(import);
    if (status == 0 && finished == 0 && input_changed(input)) {
        snprintf(import->tool->detail, sizeof import->tool->detail,
                 "%.900s changed while it was read, so its channel has the name of what it was",
                 import->path);
        return -ESTALE;
    }
    return status < 0 ? status : finished;
}

/* ---- report ---------------------------------------------------------------------------------- */

static json_t *data_of(const struct import *import)
{
    uint64_t appended = 0, already = 0;
    json_t *channels = json_array();
    for (uint32_t i = 0; i < import->channel_count; i++) {
        const struct import_channel *channel = &import->channels[i];
        if (channel->unknown)
            continue;
        appended += channel->appended;
        already += channel->already;
        json_array_append_new(channels, json_pack("{s:s, s:s, s:I, s:I, s:I}", "channel",
                                                  channel->name, "facility", channel->facility,
                                                  "records", (json_int_t)channel->records,
                                                  "appended", (json_int_t)channel->appended,
                                                  "already", (json_int_t)channel->already));
    }
    json_t *data =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:O}", "topic", import->topic, "source",
                  import->source, "file", import->path, "lines", (json_int_t)import->lines,
                  "appended", (json_int_t)appended, "already", (json_int_t)already, "rejected",
                  (json_int_t)import->rejected, "channels", channels, "errors", import->errors);
    if (import->dry_run)
        json_object_set_new(data, "dry_run", json_true());
    return data;
}

static int report(struct import *import, int status)
{
    struct tool *tool = import->tool;
    json_t *data = data_of(import);
    bool all = tool_flag(tool, "all-or-nothing");
    json_int_t appended = json_integer_value(json_object_get(data, "appended"));
    if (status < 0)
        return report_partly(tool, &view, data, status, NULL);
    if (import->rejected > 0) {
        snprintf(tool->detail, sizeof tool->detail,
                 all ? "%" PRIu64 " of %" PRIu64 " lines are wrong: nothing was sent"
                     : "%" PRIu64 " of %" PRIu64 " lines were not sent",
                 import->rejected, import->lines);
        int exit_status = report_partly(
            tool, &view, data, XDOCK_RECORD_MALFORMED,
            all ? "correct them and run the command again"
                : "correct them in a file of their own (--rejects makes one) and send that");
        return exit_status;
    }
    if (import->lines > 0 && appended == 0)
        fprintf(stderr,
                "crossdock: the broker had every record of %s already; nothing was "
                "appended\n",
                import->path);
    return report_data(tool, &view, data);
}

/* ---- verb ------------------------------------------------------------------------------------ */

static int prepare(struct import *import, struct input *input)
{
    struct tool *tool = import->tool;
    const char *rejects = tool_option(tool, "rejects");
    if (import->source == NULL || import->path == NULL) {
        snprintf(tool->detail, sizeof tool->detail, "'produce' needs --source and --file");
        return XDOCK_OPTION_INVALID;
    }
    if (import->channel != NULL && !import->field_sequence) {
        snprintf(tool->detail, sizeof tool->detail,
                 "--channel needs --sequence field: the lines of two files have the same numbers");
        return XDOCK_OPTION_INVALID;
    }
    if (import->channel != NULL && strlen(import->channel) >= IMPORT_NAME_BYTES) {
        snprintf(tool->detail, sizeof tool->detail, "--channel: longer than 64 characters");
        return XDOCK_NAME_INVALID;
    }
    int status = input_open(input, import->path, format_of(tool, import->path));
    if (status == XDOCK_FIELD_INVALID) {
        snprintf(tool->detail, sizeof tool->detail, "%s:1: %s: %s", import->path,
                 input->fields.wrong, input->fields.why);
        return status;
    }
    if (status == 0 && import->channel == NULL) {
        off_t at = ftello(input->file);
        rewind(input->file);
        status = digest_file(import->topic, input->file, import->content);
        if (status == 0 && fseeko(input->file, at, SEEK_SET) < 0)
            status = -errno;
    }
    if (status < 0) {
        snprintf(tool->detail, sizeof tool->detail, "%s: %s", import->path,
                 xdock_status_name(status));
        return status;
    }
    if (rejects != NULL && (import->rejects = fopen(rejects, "we")) == NULL) {
        snprintf(tool->detail, sizeof tool->detail, "%s: %s", rejects, strerror(errno));
        return -errno;
    }
    return 0;
}

int run_produce(struct tool *tool)
{
    static struct input input;
    static struct import import;
    const char *facility = tool_option(tool, "facility"), *sequence = tool_option(tool, "sequence");
    import = (struct import){.tool = tool,
                             .topic = tool_argument(tool, 0),
                             .source = tool_option(tool, "source"),
                             .channel = tool_option(tool, "channel"),
                             .facility = facility != NULL ? facility : "",
                             .path = tool_option(tool, "file"),
                             .field_sequence = sequence != NULL && strcmp(sequence, "field") == 0,
                             .dry_run = tool_flag(tool, "dry-run"),
                             .errors = json_array()};
    int status = prepare(&import, &input);
    int exit_status;
    if (status < 0) {
        exit_status = report_failure(tool, status, NULL);
    } else {
        status = run_passes(&import, &input);
        exit_status = report(&import, status);
    }
    if (import.rejects != NULL && fclose(import.rejects) != 0)
        fprintf(stderr, "crossdock: %s: %s\n", tool_option(tool, "rejects"), strerror(errno));
    json_decref(import.errors);
    ranges_deinit(&import.present);
    input_close(&input);
    return exit_status;
}
