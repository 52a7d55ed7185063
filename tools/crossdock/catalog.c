/* SPDX-License-Identifier: Apache-2.0
 *
 * Verbs that ask the broker one thing and show its answer: status, health, topics, facilities,
 * sources, configuration. The broker's reply is the data as it stands.
 */
#include "tools/crossdock/names.h"
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/session.h"

#include <crossdock/status.h>
#include <stdio.h>

static const struct report_view topic_view = {"topics", "name,strategy,width,records",
                                              "number,partitions,records_bytes"};
static const struct report_view facility_view = {"facilities", "name,partitions,records",
                                                 "number,records_bytes"};
static const struct report_view source_view = {
    "channels", "source,channel,facility,last_sequence,records,missing,last_append_time",
    "number,channel_epoch,producer_epoch,first_sequence,low_sequence"};
static const struct report_view object_view = {NULL, "", ""};

/* Calls and shows. `rows` is the member that holds the pages, NULL: one reply. */
static int call_and_show(struct tool *tool, const char *verb, const struct report_view *view,
                         json_t *arguments)
{
    json_t *reply;
    int status = view->rows != NULL ? session_call_all(tool, verb, view->rows, arguments, &reply)
                                    : session_call(tool, verb, arguments, &reply);
    return status < 0 ? report_failure(tool, status, NULL) : report_data(tool, view, reply);
}

static json_t *named(const struct tool *tool)
{
    json_t *arguments = json_object();
    argument_text(arguments, "name", tool_argument(tool, 0));
    if (tool_flag(tool, "dry-run"))
        json_object_set_new(arguments, "dry_run", json_true());
    return arguments;
}

int run_status(struct tool *tool)
{
    static const struct report_view view = {
        NULL,
        "state,version,engine,uptime_seconds,default_durability,connections,readers_waiting,"
        "acks_waiting,topics,facilities,partitions,channels",
        ""};
    json_t *reply;
    int status = session_call(tool, "status", NULL, &reply);
    if (status < 0)
        return report_failure(tool, status, NULL);
    size_t index;
    json_t *step;
    json_array_foreach(json_object_get(reply, "next_steps"), index, step)
        fprintf(stderr, "crossdock: %s\n", json_string_value(step));
    return report_data(tool, &view, reply);
}

int run_health(struct tool *tool)
{
    static const struct report_view view = {"checks", "check,ok,text", ""};
    json_t *reply;
    int status = session_call(tool, "health", NULL, &reply);
    if (status < 0)
        return report_failure(tool, status, NULL);
    bool ok = json_is_true(json_object_get(reply, "ok"));
    status = report_data(tool, &view, reply);
    return status == EXIT_OK && !ok ? EXIT_CRITICAL : status;
}

int run_topic_list(struct tool *tool)
{
    return call_and_show(tool, "topic list", &topic_view, NULL);
}

int run_topic_show(struct tool *tool)
{
    struct report_view view = {NULL, "name,number,strategy,width,partitions,records,records_bytes",
                               ""};
    return call_and_show(tool, "topic show", &view, named(tool));
}

int run_topic_create(struct tool *tool)
{
    struct report_view view = {NULL, "name,number,strategy,width,partitions,dry_run", ""};
    json_t *arguments = named(tool);
    argument_text(arguments, "strategy", tool_option(tool, "strategy"));
    int status = argument_number(tool, arguments, "width", tool_option(tool, "width"));
    if (status < 0) {
        json_decref(arguments);
        return report_failure(tool, status, NULL);
    }
    return call_and_show(tool, "topic create", &view, arguments);
}

int run_facility_list(struct tool *tool)
{
    return call_and_show(tool, "facility list", &facility_view, NULL);
}

int run_facility_show(struct tool *tool)
{
    struct report_view view = {NULL, "name,number,partitions,records,records_bytes", ""};
    return call_and_show(tool, "facility show", &view, named(tool));
}

int run_facility_add(struct tool *tool)
{
    struct report_view view = {NULL, "name,number,partitions,dry_run", ""};
    return call_and_show(tool, "facility add", &view, named(tool));
}

int run_source_list(struct tool *tool)
{
    json_t *arguments = json_object();
    argument_text(arguments, "source", tool_option(tool, "source"));
    return call_and_show(tool, "source list", &source_view, arguments);
}

int run_source_show(struct tool *tool)
{
    static const struct report_view chains = {
        "chains", "partition,topic,bucket,last_sequence,last_offset", ""};
    json_t *arguments = json_object();
    argument_text(arguments, "source", tool_argument(tool, 0));
    argument_text(arguments, "channel", tool_argument(tool, 1));
    json_t *reply;
    int status = session_call_all(tool, "source show", "chains", arguments, &reply);
    if (status == XDOCK_NOT_FOUND)
        names_suggest(tool, NAMES_SOURCE, tool_argument(tool, 0));
    if (status < 0)
        return report_failure(tool, status, NULL);
    if (tool->output == OUTPUT_TABLE) {
        json_t *head = json_copy(reply);
        json_object_del(head, "chains");
        report_data(tool, &object_view, head);
        putchar('\n');
    }
    return report_data(tool, &chains, reply);
}

/* ---- configuration --------------------------------------------------------------------------- */

int run_config_show(struct tool *tool)
{
    static const struct report_view view = {"options", "option,text,origin", "value"};
    json_t *reply;
    int status = session_call(tool, "config show", NULL, &reply);
    if (status < 0)
        return report_failure(tool, status, NULL);
    if (tool->output == OUTPUT_JSON)
        return report_data(tool, &object_view, reply);
    json_t *rows = json_array();
    const char *name;
    json_t *option;
    json_object_foreach(json_object_get(reply, "options"), name, option)
    {
        json_t *row = json_copy(option);
        json_object_set_new(row, "option", json_string(name));
        json_array_append_new(rows, row);
    }
    json_decref(reply);
    return report_data(tool, &view, json_pack("{s:o}", "options", rows));
}
