/* SPDX-License-Identifier: Apache-2.0
 *
 * Verbs that ask the broker one thing and show its answer: status, health, topics, facilities,
 * sources, configuration. The broker's reply is the data as it stands; of several shards, merge.h
 * makes one reply.
 */
#include "tools/crossdock/merge.h"
#include "tools/crossdock/names.h"
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/session.h"
#include "tools/crossdock/shards.h"

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

/* Calls and shows objects of a kind, "topic" or "facility", one or a list of them. */
static int show_objects(struct tool *tool, const char *verb, const char *kind,
                        const struct report_view *view, json_t *arguments)
{
    json_t *reply;
    int status = view->rows != NULL ? session_call_all(tool, verb, view->rows, arguments, &reply)
                                    : session_call(tool, verb, arguments, &reply);
    if (status < 0)
        return report_failure(tool, status, NULL);
    const char *name = view->rows == NULL ? tool_argument(tool, 0) : NULL;
    json_t *objects = view->rows != NULL ? json_incref(json_object_get(reply, view->rows))
                                         : json_pack("[O]", reply);
    if (tool->output != OUTPUT_NAME)
        status = shards_add_totals(tool, kind, name, objects);
    if (status == XDOCK_NOT_FOUND && tool_flag(tool, "dry-run"))
        status = 0; /* what would be made has no partition yet */
    json_decref(objects);
    if (status == 0)
        return report_data(tool, view, reply);
    json_decref(reply);
    return report_failure(tool, status, NULL);
}

static json_t *named(const struct tool *tool)
{
    json_t *arguments = json_object();
    argument_text(arguments, "name", tool_argument(tool, 0));
    if (tool_flag(tool, "dry-run"))
        json_object_set_new(arguments, "dry_run", json_true());
    return arguments;
}

/* Below the table of the whole broker: a line for each shard. */
static void print_shards(struct tool *tool, const json_t *rows)
{
    static const struct report_view view = {
        "shards", "shard,state,connections,channels,log_bytes,disk_free_bytes,used_bytes",
        "durable_index,segments_ready,index_entries,checkpoint_index"};
    size_t index;
    json_t *row, *flat = json_array();
    json_array_foreach((json_t *)(uintptr_t)rows, index, row)
    {
        json_t *line = json_copy(row);
        json_object_update(line, json_object_get(row, "log"));
        json_object_update(line, json_object_get(row, "memory"));
        json_array_append_new(flat, line);
    }
    putchar('\n');
    report_data(tool, &view, json_pack("{s:o}", "shards", flat));
}

int run_status(struct tool *tool)
{
    static const struct report_view view = {
        NULL,
        "state,version,engine,uptime_seconds,default_durability,connections,readers_waiting,"
        "acks_waiting,topics,facilities,partitions,channels",
        ""};
    json_t *replies;
    int status = shards_call(tool, "status", NULL, NULL, &replies);
    if (status < 0)
        return report_failure(tool, status, NULL);
    json_t *reply = merge_status(replies);
    json_decref(replies);
    size_t index;
    json_t *step;
    json_array_foreach(json_object_get(reply, "next_steps"), index, step)
        fprintf(stderr, "crossdock: %s\n", json_string_value(step));
    json_t *rows = json_incref(json_object_get(reply, "shards"));
    status = report_data(tool, &view, reply);
    if (json_array_size(rows) > 1 && (tool->output == OUTPUT_TABLE || tool->output == OUTPUT_WIDE))
        print_shards(tool, rows);
    json_decref(rows);
    return status;
}

int run_health(struct tool *tool)
{
    static const struct report_view one = {"checks", "check,ok,text", ""};
    static const struct report_view several = {"checks", "check,shard,ok,text", ""};
    json_t *replies;
    int status = shards_call(tool, "health", NULL, NULL, &replies);
    if (status < 0)
        return report_failure(tool, status, NULL);
    const struct report_view *view = json_array_size(replies) == 1 ? &one : &several;
    json_t *reply = merge_health(replies);
    json_decref(replies);
    bool ok = json_is_true(json_object_get(reply, "ok"));
    status = report_data(tool, view, reply);
    return status == EXIT_OK && !ok ? EXIT_CRITICAL : status;
}

int run_topic_list(struct tool *tool)
{
    return show_objects(tool, "topic list", "topic", &topic_view, NULL);
}

int run_topic_show(struct tool *tool)
{
    struct report_view view = {NULL, "name,number,strategy,width,partitions,records,records_bytes",
                               ""};
    return show_objects(tool, "topic show", "topic", &view, named(tool));
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
    return show_objects(tool, "topic create", "topic", &view, arguments);
}

int run_facility_list(struct tool *tool)
{
    return show_objects(tool, "facility list", "facility", &facility_view, NULL);
}

int run_facility_show(struct tool *tool)
{
    struct report_view view = {NULL, "name,number,partitions,records,records_bytes", ""};
    return show_objects(tool, "facility show", "facility", &view, named(tool));
}

int run_facility_add(struct tool *tool)
{
    struct report_view view = {NULL, "name,number,partitions,dry_run", ""};
    return show_objects(tool, "facility add", "facility", &view, named(tool));
}

int run_source_list(struct tool *tool)
{
    json_t *arguments = json_object();
    argument_text(arguments, "source", tool_option(tool, "source"));
    json_t *rows;
    int status = shards_list(tool, "source list", "channels", "number", arguments, &rows);
    if (status < 0)
        return report_failure(tool, status, NULL);
    return report_data(tool, &source_view, json_pack("{s:o}", "channels", rows));
}

int run_source_show(struct tool *tool)
{
    static const struct report_view chains = {
        "chains", "partition,topic,bucket,last_sequence,last_offset", ""};
    const struct channel_name wanted = {tool_argument(tool, 0), tool_argument(tool, 1),
                                        tool_option(tool, "facility")};
    json_t *reply;
    int status = shards_find_channel(tool, &wanted, &reply);
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
