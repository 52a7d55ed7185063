/* SPDX-License-Identifier: Apache-2.0
 *
 * One file into a topic; see transfer.h.
 */
#include "tools/crossdock/transfer.h"

#include "tools/crossdock/digest.h"

#include <crossdock/status.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- options --------------------------------------------------------------------------------- */

static int load_map(struct transfer_options *options, const char *path, struct map *map)
{
    struct tool *tool = options->tool;
    char why[MAP_WHY_BYTES];
    int status = map_load(map, path, why);
    if (status < 0 && why[0] == '\0')
        snprintf(why, sizeof why, "%.500s: %s", path, xdock_status_text(status));
    if (status < 0)
        snprintf(tool->detail, sizeof tool->detail, "--map: %s", why);
    options->map = map;
    return status;
}

/* What goes together, and what does not. 0, or a status with the detail. */
static int check_options(const struct transfer_options *options)
{
    struct tool *tool = options->tool;
    bool fixed = options->format != NULL && strcmp(options->format, "fixed") == 0;
    bool columns = options->map != NULL && options->map->column_count > 0;
    const char *wrong = NULL;
    if (options->source == NULL)
        wrong = "'produce' needs --source, and --file or --follow";
    else if (options->channel != NULL && !options->field_sequence)
        wrong = "--channel needs --sequence field: the lines of two files have the same numbers";
    else if (fixed && !columns)
        wrong = "--format fixed needs a --map with [columns]";
    else if (columns && !fixed)
        wrong = "a --map with [columns] needs --format fixed";
    else if (fixed && options->map->rename_count > 0)
        wrong = "columns of fixed width have no names: a --map has [columns] or [rename]";
    if (wrong != NULL) {
        snprintf(tool->detail, sizeof tool->detail, "%s", wrong);
        return XDOCK_OPTION_INVALID;
    }
    if (options->channel != NULL && strlen(options->channel) >= IMPORT_NAME_BYTES) {
        snprintf(tool->detail, sizeof tool->detail, "--channel: longer than 64 characters");
        return XDOCK_NAME_INVALID;
    }
    return 0;
}

int transfer_options_init(struct transfer_options *options, struct tool *tool, struct map *map)
{
    const char *facility = tool_option(tool, "facility"), *sequence = tool_option(tool, "sequence");
    const char *path = tool_option(tool, "map");
    *options = (struct transfer_options){.tool = tool,
                                         .topic = tool_argument(tool, 0),
                                         .source = tool_option(tool, "source"),
                                         .channel = tool_option(tool, "channel"),
                                         .facility = facility != NULL ? facility : "",
                                         .format = tool_option(tool, "format"),
                                         .field_sequence =
                                             sequence != NULL && strcmp(sequence, "field") == 0,
                                         .all_or_nothing = tool_flag(tool, "all-or-nothing"),
                                         .dry_run = tool_flag(tool, "dry-run")};
    int status = path != NULL ? load_map(options, path, map) : 0;
    return status < 0 ? status : check_options(options);
}

static enum input_format format_of(const struct transfer_options *options, const char *path)
{
    size_t bytes = strlen(path);
    if (options->format == NULL)
        return bytes > 4 && strcmp(path + bytes - 4, ".csv") == 0 ? INPUT_CSV : INPUT_JSONL;
    if (strcmp(options->format, "fixed") == 0)
        return INPUT_FIXED;
    return strcmp(options->format, "csv") == 0 ? INPUT_CSV : INPUT_JSONL;
}

/* ---- passes over the file -------------------------------------------------------------------- */

/* Reads every line; sends the good ones when `send`. 0 or a status that ends the run. */
static int read_lines(struct import *import, struct input *input, bool send)
{
    int status;
    while ((status = input_next(input)) != 0) {
        struct import_channel *channel = NULL;
        if (tool_interrupted())
            return -EINTR;
        if (status < 0 && status != XDOCK_FIELD_INVALID)
            return status;
        import->lines++;
        progress_show(&import->progress, input->bytes);
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
    return 0;
}

static int pass(struct import *import, struct input *input, bool send)
{
    import->lines = 0;
    import->last_sequence = 0;
    progress_begin(&import->progress, import->tool->progress, import->path,
                   (uint64_t)input->about.st_size);
    int status = read_lines(import, input, send);
    progress_end(&import->progress);
    return status;
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

int transfer_run(struct transfer *transfer, FILE *rejects)
{
    struct import *import = &transfer->import;
    struct input *input = &transfer->input;
    bool all = transfer->options->all_or_nothing;
    int status = 0;
    import->rejects = rejects;
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

json_t *transfer_data(const struct transfer *transfer)
{
    const struct import *import = &transfer->import;
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

/* ---- life cycle ------------------------------------------------------------------------------ */

/* The digest that names the file's channels. The place in the file is kept. */
static int digest_input(struct import *import, struct input *input)
{
    off_t at = ftello(input->file);
    rewind(input->file);
    int status = digest_file(import->topic, input->file, import->content);
    if (status == 0 && fseeko(input->file, at, SEEK_SET) < 0)
        status = -errno;
    return status;
}

int transfer_open(struct transfer *transfer, const struct transfer_options *options,
                  const char *path)
{
    struct tool *tool = options->tool;
    struct import *import = &transfer->import;
    struct input *input = &transfer->input;
    transfer->options = options;
    *import = (struct import){.tool = tool,
                              .topic = options->topic,
                              .source = options->source,
                              .channel = options->channel,
                              .facility = options->facility,
                              .path = path,
                              .field_sequence = options->field_sequence,
                              .dry_run = options->dry_run,
                              .errors = json_array()};
    int status = input_open(input, path, format_of(options, path), options->map);
    if (status == XDOCK_FIELD_INVALID) {
        snprintf(tool->detail, sizeof tool->detail, "%.500s:1: %s: %s", path, input->fields.wrong,
                 input->fields.why);
        return status;
    }
    if (status == 0 && import->channel == NULL)
        status = digest_input(import, input);
    if (status < 0)
        snprintf(tool->detail, sizeof tool->detail, "%.900s: %s", path, xdock_status_name(status));
    return status;
}

void transfer_close(struct transfer *transfer)
{
    struct import *import = &transfer->import;
    json_decref(import->errors);
    ranges_deinit(&import->present);
    input_close(&transfer->input);
    *import = (struct import){0};
}
