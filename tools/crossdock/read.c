/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock read`: records of a topic on standard output.
 *
 * Normal path: open a reader, print what it gives, stop at --to, at --max, or, without --follow, at
 * the end as the broker last told it. Failure paths: records that retention removed under the
 * reader are told and passed over; a quarantined range is told, the other partitions go on, and the
 * exit status is 1. Filters are applied here and in the library: the broker serves partitions by
 * offset.
 */
#include "tools/common/progress.h"
#include "tools/crossdock/filter.h"
#include "tools/crossdock/names.h"
#include "tools/crossdock/record_out.h"
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/session.h"
#include "tools/crossdock/shards.h"
#include "tools/crossdock/values.h"
#include "tools/crossdock/words.h"

#include <crossdock/crossdock.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* One poll; signals are looked at in between. */
#define STEP_MS 250u

/* Where to stop, in front of it. */
struct bound {
    uint32_t from;    /* enum xdock_from: END, OFFSET or TIME */
    int64_t position; /* offset or time */
};

/* "begin", "end", an offset, a time. */
static int parse_place(struct tool *tool, const char *option, const char *text,
                       struct bound *ret_bound)
{
    uint64_t offset;
    struct bound bound = {.from = XDOCK_FROM_END};
    if (strcmp(text, "begin") == 0 && strcmp(option, "from") == 0) {
        bound.from = XDOCK_FROM_BEGIN;
    } else if (value_number(text, INT64_MAX, &offset) == 0) {
        bound.from = XDOCK_FROM_OFFSET;
        bound.position = (int64_t)offset;
    } else if (value_time_us(text, &bound.position) == 0) {
        bound.from = XDOCK_FROM_TIME;
    } else if (strcmp(text, "end") != 0) {
        snprintf(tool->detail, sizeof tool->detail,
                 "--%s: '%s' is neither %send, an offset, nor a time such as 2026-11-24T06:00Z",
                 option, text, strcmp(option, "from") == 0 ? "begin, " : "");
        return XDOCK_OPTION_INVALID;
    }
    *ret_bound = bound;
    return 0;
}

static int parse_number(struct tool *tool, const char *option, uint64_t most, uint64_t *ret_number)
{
    const char *text = tool_option(tool, option);
    if (text == NULL || value_number(text, most, ret_number) == 0)
        return 0;
    snprintf(tool->detail, sizeof tool->detail, "--%s: '%s' is not a number", option, text);
    return XDOCK_OPTION_INVALID;
}

/* What is to be read, and where it ends. */
struct request {
    xdock_selection_t selection; /* */
    struct bound to;             /* */
    uint64_t max;                /* records */
    struct filter filter;        /* what the reader does not select by itself */
};

static int parse_request(struct tool *tool, struct request *ret_request)
{
    xdock_selection_t *selection = &ret_request->selection;
    const char *from = tool_option(tool, "from"), *to = tool_option(tool, "to");
    const char *type = tool_option(tool, "type");
    struct bound begin;
    uint64_t partition = UINT64_MAX;
    int status = parse_place(tool, "from", from != NULL ? from : "begin", &begin);
    if (status == 0)
        status = parse_place(tool, "to", to != NULL ? to : "end", &ret_request->to);
    if (status == 0)
        status = parse_number(tool, "partition", INT32_MAX, &partition);
    if (status == 0)
        status = parse_number(tool, "max", UINT64_MAX, &ret_request->max);
    if (status == 0)
        status = filter_init(&ret_request->filter, tool);
    if (status < 0)
        return status;
    *selection =
        (xdock_selection_t){.struct_bytes = sizeof *selection,
                            .from = begin.from,
                            .position = begin.position,
                            .topic = tool_argument(tool, 0),
                            .facility = tool_option(tool, "facility"),
                            .sku = tool_option(tool, "sku"),
                            .location = tool_option(tool, "location"),
                            .partition = partition == UINT64_MAX ? -1 : (int32_t)partition};
    if (type != NULL && word_event(type, &selection->type) < 0) {
        snprintf(tool->detail, sizeof tool->detail,
                 "--type: '%s' is no event, such as PICK_CONFIRMED, and no number", type);
        word_event_suggest(type, tool->detail, sizeof tool->detail);
        return XDOCK_OPTION_INVALID;
    }
    return 0;
}

/* An offset counts within a partition, and not every one is that long yet: a partition that ends in
 * front of the offset is read from its end. One that was named by itself is refused instead. */
static int seek_offsets(struct tool *tool, xdock_reader_t *reader,
                        const xdock_selection_t *selection)
{
    json_t *rows, *row, *arguments = json_object();
    size_t index;
    argument_text(arguments, "topic", selection->topic);
    argument_text(arguments, "facility", selection->facility);
    int status = shards_list(tool, "partition list", "partitions", "partition", arguments, &rows);
    if (status < 0)
        return status;
    json_array_foreach(rows, index, row)
    {
        json_int_t partition = json_integer_value(json_object_get(row, "partition"));
        json_int_t end = json_integer_value(json_object_get(row, "end_offset"));
        if (status == 0)
            status = xdock_reader_seek(reader, (int32_t)partition, XDOCK_FROM_OFFSET,
                                       selection->position < end ? selection->position : end);
    }
    json_decref(rows);
    return status < 0 ? session_failed(tool, status) : 0;
}

/* True for records in front of --from: a partition was shorter than that, or the broker began with
 * the block that the time lies in. */
static bool too_early(const xdock_selection_t *selection, const xdock_view_t *view)
{
    if (selection->from == XDOCK_FROM_OFFSET)
        return view->offset < (uint64_t)selection->position;
    return selection->from == XDOCK_FROM_TIME && view->append_time_us < selection->position;
}

static bool beyond(const struct bound *to, const xdock_view_t *view)
{
    if (to->from == XDOCK_FROM_OFFSET)
        return view->offset >= (uint64_t)to->position;
    return to->from == XDOCK_FROM_TIME && view->append_time_us >= to->position;
}

/* True when no partition has a record in front of an offset bound any more. */
static bool all_beyond(const xdock_reader_t *reader, const struct bound *to)
{
    int64_t partition;
    if (to->from != XDOCK_FROM_OFFSET)
        return false;
    for (unsigned i = 0; (partition = xdock_reader_partition(reader, i)) >= 0; i++) {
        uint64_t offset = 0, end = 0;
        int status = xdock_reader_position(reader, (uint32_t)partition, &offset, &end);
        if (status < 0 || (offset < (uint64_t)to->position && offset < end))
            return false;
    }
    return true;
}

/* Prints what the last poll gave. Returns how many records of it lay behind the bound. */
static uint64_t print_available(struct record_out *out, const struct request *request)
{
    const xdock_view_t *view;
    uint64_t behind = 0;
    while (out->printed < request->max && (view = xdock_reader_next(out->reader)) != NULL) {
        if (beyond(&request->to, view))
            behind++;
        else if (!too_early(&request->selection, view) &&
                 filter_passes(&request->filter, &out->names, view))
            record_print(out, view);
    }
    return behind;
}

/* A terminal that gets the records needs no bar beside them. */
static bool shows_progress(const struct tool *tool)
{
    return tool->progress && isatty(STDOUT_FILENO) == 0;
}

/* One poll and what it gives. 1: there is a reason to stop; 0: go on; or a status. */
static int read_step(struct record_out *out, const struct request *request, uint32_t *silent_ms,
                     bool *ret_damaged)
{
    struct tool *tool = out->tool;
    const struct bound *to = &request->to;
    int status = xdock_reader_poll(out->reader, STEP_MS);
    if (status == XDOCK_OFFSET_GONE || status == XDOCK_RANGE_QUARANTINED) {
        fprintf(stderr, "crossdock: read: %s (%s)\n", xdock_client_error(tool->client),
                xdock_status_name(status));
        *ret_damaged = *ret_damaged || status == XDOCK_RANGE_QUARANTINED;
        return 0;
    }
    if (status < 0)
        return tool_interrupted() ? -EINTR : session_failed(tool, status);
    uint64_t behind = print_available(out, request);
    fflush(stdout);
    bool at_end = xdock_reader_at_end(out->reader) == 1;
    if (all_beyond(out->reader, to) || (at_end && !tool_flag(tool, "follow")) ||
        (at_end && behind > 0 && to->from == XDOCK_FROM_TIME))
        return 1;
    *silent_ms = status > 0 || at_end ? 0 : *silent_ms + STEP_MS;
    return *silent_ms >= tool->timeout_ms ? XDOCK_DEADLINE_EXCEEDED : 0;
}

/* Reads until there is a reason to stop. *ret_damaged: a range was quarantined. */
static int read_all(struct record_out *out, const struct request *request, bool *ret_damaged)
{
    uint32_t silent_ms = 0;
    int status = 0;
    struct progress progress;
    progress_begin(&progress, shows_progress(out->tool), out->topic,
                   request->max != UINT64_MAX ? request->max : 0);
    while (status == 0 && out->printed < request->max) {
        status = tool_interrupted() ? -EINTR : read_step(out, request, &silent_ms, ret_damaged);
        progress_show(&progress, out->printed);
    }
    progress_end(&progress);
    return status < 0 ? status : 0;
}

/* What the broker does not know has perhaps a name that is near to it. */
static void open_failed(struct tool *tool, int status)
{
    session_failed(tool, status);
    if (status == XDOCK_TOPIC_UNKNOWN)
        names_suggest(tool, NAMES_TOPIC, tool_argument(tool, 0));
    else if (status == XDOCK_FACILITY_UNKNOWN)
        names_suggest(tool, NAMES_FACILITY, tool_option(tool, "facility"));
}

/* A source that never sent anything is more likely misspelt than silent. With --follow it may come
 * yet. */
static int check_source(struct tool *tool, const struct filter *filter)
{
    json_t *rows, *arguments;
    if (filter->source == NULL || tool_flag(tool, "follow"))
        return 0;
    arguments = json_object();
    argument_text(arguments, "source", filter->source);
    int status = shards_list(tool, "source list", "channels", "number", arguments, &rows);
    if (status < 0)
        return status;
    bool known = json_array_size(rows) > 0;
    json_decref(rows);
    if (known)
        return 0;
    snprintf(tool->detail, sizeof tool->detail, "source '%s' is not known", filter->source);
    names_suggest(tool, NAMES_SOURCE, filter->source);
    return XDOCK_NOT_FOUND;
}

int run_read(struct tool *tool)
{
    struct request request = {.max = UINT64_MAX};
    struct record_out out = {
        .tool = tool, .topic = tool_argument(tool, 0), .names = {.tool = tool}};
    bool damaged = false;
    if (!tool->output_given)
        tool->output = OUTPUT_JSONL;
    int status = parse_request(tool, &request);
    if (status == 0)
        status = session_open(tool);
    if (status == 0) {
        status = xdock_reader_open(tool->client, &request.selection, tool->timeout_ms, &out.reader);
        if (status < 0)
            open_failed(tool, status);
    }
    if (status == 0)
        status = check_source(tool, &request.filter);
    if (status == 0 && request.selection.from == XDOCK_FROM_OFFSET &&
        request.selection.partition < 0)
        status = seek_offsets(tool, out.reader, &request.selection);
    if (status == 0)
        status = read_all(&out, &request, &damaged);
    xdock_reader_close(&out.reader);
    record_out_deinit(&out);
    if (status == -EINTR)
        return EXIT_INTERRUPTED;
    if (status < 0)
        return report_failure(tool, status, NULL);
    if (damaged) {
        snprintf(tool->detail, sizeof tool->detail,
                 "a part of the log is damaged and was left out");
        return report_failure(tool, XDOCK_RANGE_QUARANTINED,
                              "run `crossdock log verify` on the data folder");
    }
    return EXIT_OK;
}
