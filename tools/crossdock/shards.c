/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls to all shards; see shards.h.
 */
#include "tools/crossdock/shards.h"

#include "tools/crossdock/merge.h"
#include "tools/crossdock/session.h"
#include "tools/crossdock/suggest.h"

#include <crossdock/status.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int shards_count(struct tool *tool, uint32_t *ret_count)
{
    json_t *reply;
    if (tool->shards == 0) {
        int status = session_call(tool, "status", NULL, &reply);
        if (status < 0)
            return status;
        json_int_t count = json_integer_value(json_object_get(reply, "shards"));
        tool->shards = count > 1 ? (uint32_t)count : 1;
        json_decref(reply);
    }
    *ret_count = tool->shards;
    return 0;
}

/* Puts the shard in front of the detail of a failure. */
static void name_shard(struct tool *tool, int status, uint32_t shard)
{
    char detail[DETAIL_BYTES];
    memcpy(detail, tool->detail, sizeof detail);
    snprintf(tool->detail, sizeof tool->detail, "shard %u: %.1000s", shard,
             detail[0] != '\0' ? detail : xdock_status_text(status));
}

static int call_one(struct tool *tool, const char *verb, const char *rows, const json_t *arguments,
                    uint32_t shard, json_t **ret_reply)
{
    json_t *wanted = arguments != NULL ? json_copy((json_t *)(uintptr_t)arguments) : NULL;
    if (tool->shards > 1) {
        wanted = wanted != NULL ? wanted : json_object();
        json_object_set_new(wanted, "shard", json_integer(shard));
    }
    int status = rows != NULL ? session_call_all(tool, verb, rows, wanted, ret_reply)
                              : session_call(tool, verb, wanted, ret_reply);
    if (status < 0 && tool->shards > 1)
        name_shard(tool, status, shard);
    return status;
}

int shards_call(struct tool *tool, const char *verb, const char *rows, json_t *arguments,
                json_t **ret_replies)
{
    uint32_t count = 0;
    json_t *reply, *replies = json_array();
    int status = shards_count(tool, &count);
    for (uint32_t i = 0; status == 0 && i < count; i++) {
        status = call_one(tool, verb, rows, arguments, i, &reply);
        if (status == 0)
            json_array_append_new(replies, reply);
    }
    json_decref(arguments);
    if (status < 0)
        json_decref(replies);
    else
        *ret_replies = replies;
    return status;
}

int shards_list(struct tool *tool, const char *verb, const char *rows, const char *key,
                json_t *arguments, json_t **ret_rows)
{
    json_t *replies;
    int status = shards_call(tool, verb, rows, arguments, &replies);
    if (status < 0)
        return status;
    *ret_rows = merge_rows(replies, rows, key);
    json_decref(replies);
    return *ret_rows != NULL ? 0 : -ENOMEM;
}

/* ---- channels -------------------------------------------------------------------------------- */

/* Channels of a source that could be meant. */
struct found {
    uint32_t count;       /* that fit */
    uint32_t shard;       /* of the last one that fits */
    const char *name;     /* of it; borrowed from the replies */
    const char *facility; /* that it feeds, "" = global; borrowed from the replies */
    bool known;           /* the source has channels */
    bool named;           /* one of them has the name */
    struct suggest of;    /* names of its channels */
};

static void look(struct found *found, const json_t *reply, uint32_t shard,
                 const struct channel_name *wanted)
{
    size_t index;
    json_t *row;
    json_array_foreach(json_object_get(reply, "channels"), index, row)
    {
        const char *name = json_string_value(json_object_get(row, "channel"));
        const char *facility = json_string_value(json_object_get(row, "facility"));
        if (name == NULL || facility == NULL)
            continue;
        found->known = true;
        suggest_offer(&found->of, name, strlen(name));
        if (wanted->channel != NULL && strcmp(wanted->channel, name) != 0)
            continue;
        found->named = true;
        if (wanted->facility != NULL && strcmp(wanted->facility, facility) != 0)
            continue;
        found->count++;
        found->shard = shard;
        found->name = name;
        found->facility = facility;
    }
}

/* Tells why it is not exactly one. */
static int refuse(struct tool *tool, const struct found *found, const struct channel_name *wanted)
{
    char *detail = tool->detail;
    if (found->count > 1) {
        snprintf(detail, sizeof tool->detail,
                 "%s: source '%.64s' has %u channels%s; name one, 'source list' shows them",
                 wanted->channel == NULL ? "channel" : "facility", wanted->source, found->count,
                 wanted->channel == NULL ? "" : " of that name");
        return XDOCK_FIELD_INVALID;
    }
    if (found->named) {
        snprintf(detail, sizeof tool->detail,
                 "facility: no such channel of source '%.64s' feeds '%.64s'", wanted->source,
                 wanted->facility);
        return XDOCK_NOT_FOUND;
    }
    if (!found->known) {
        snprintf(detail, sizeof tool->detail, "source '%.64s' is not known", wanted->source);
        return XDOCK_NOT_FOUND;
    }
    snprintf(detail, sizeof tool->detail, "source '%.64s' has no channel '%.64s'", wanted->source,
             wanted->channel);
    suggest_append(&found->of, detail, sizeof tool->detail);
    return XDOCK_NOT_FOUND;
}

static json_t *channel_arguments(const struct channel_name *wanted)
{
    json_t *arguments = json_object();
    argument_text(arguments, "source", wanted->source);
    argument_text(arguments, "channel", wanted->channel);
    argument_text(arguments, "facility", wanted->facility);
    return arguments;
}

/* Of several shards: which one has it is asked first. */
static int find_among(struct tool *tool, const struct channel_name *wanted, json_t **ret_reply)
{
    const struct channel_name any = {.source = wanted->source};
    struct found found = {0};
    json_t *replies;
    int status = shards_call(tool, "source list", "channels", channel_arguments(&any), &replies);
    if (status < 0)
        return status;
    suggest_init(&found.of, wanted->channel != NULL ? wanted->channel : wanted->source);
    for (uint32_t i = 0; i < json_array_size(replies); i++)
        look(&found, json_array_get(replies, i), i, wanted);
    if (found.count != 1) {
        status = refuse(tool, &found, wanted);
    } else {
        const struct channel_name one = {wanted->source, found.name, found.facility};
        json_t *arguments = channel_arguments(&one);
        status = call_one(tool, "source show", "chains", arguments, found.shard, ret_reply);
        json_decref(arguments);
    }
    json_decref(replies);
    return status;
}

int shards_find_channel(struct tool *tool, const struct channel_name *wanted, json_t **ret_reply)
{
    uint32_t count;
    int status = shards_count(tool, &count);
    if (status < 0)
        return status;
    if (count > 1)
        return find_among(tool, wanted, ret_reply);
    return session_call_all(tool, "source show", "chains", channel_arguments(wanted), ret_reply);
}

/* ---- totals ---------------------------------------------------------------------------------- */

int shards_add_totals(struct tool *tool, const char *kind, const char *name, json_t *objects)
{
    uint32_t count;
    json_t *partitions, *arguments = NULL;
    int status = shards_count(tool, &count);
    if (status < 0 || count == 1)
        return status;
    if (name != NULL) {
        arguments = json_object();
        argument_text(arguments, kind, name);
    }
    status = shards_list(tool, "partition list", "partitions", "partition", arguments, &partitions);
    if (status < 0)
        return status;
    merge_totals(objects, kind, partitions);
    json_decref(partitions);
    return 0;
}
