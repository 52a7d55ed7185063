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
    uint32_t count;    /* that fit */
    uint32_t shard;    /* of the last one that fits */
    const char *name;  /* of it; borrowed from the replies */
    bool known;        /* the source has channels */
    struct suggest of; /* names of its channels */
};

static void look(struct found *found, const json_t *reply, uint32_t shard, const char *channel)
{
    size_t index;
    json_t *row;
    json_array_foreach(json_object_get(reply, "channels"), index, row)
    {
        const char *name = json_string_value(json_object_get(row, "channel"));
        if (name == NULL)
            continue;
        found->known = true;
        suggest_offer(&found->of, name, strlen(name));
        if (channel != NULL && strcmp(channel, name) != 0)
            continue;
        found->count++;
        found->shard = shard;
        found->name = name;
    }
}

/* Tells why it is not exactly one. */
static int refuse(struct tool *tool, const struct found *found, const char *source,
                  const char *channel)
{
    if (found->count > 1) {
        snprintf(tool->detail, sizeof tool->detail,
                 "channel: source '%.64s' has %u channels%s%.64s; %s'source list' shows them",
                 source, found->count, channel != NULL ? " of the name " : "",
                 channel != NULL ? channel : "", channel != NULL ? "" : "name one, ");
        return XDOCK_FIELD_INVALID;
    }
    if (!found->known) {
        snprintf(tool->detail, sizeof tool->detail, "source '%.64s' is not known", source);
        return XDOCK_NOT_FOUND;
    }
    snprintf(tool->detail, sizeof tool->detail, "source '%.64s' has no channel '%.64s'", source,
             channel);
    suggest_append(&found->of, tool->detail, sizeof tool->detail);
    return XDOCK_NOT_FOUND;
}

static json_t *channel_arguments(const char *source, const char *channel)
{
    json_t *arguments = json_object();
    argument_text(arguments, "source", source);
    argument_text(arguments, "channel", channel);
    return arguments;
}

/* Of several shards: which one has it is asked first. */
static int find_among(struct tool *tool, const char *source, const char *channel,
                      json_t **ret_reply)
{
    struct found found = {0};
    json_t *replies;
    int status =
        shards_call(tool, "source list", "channels", channel_arguments(source, NULL), &replies);
    if (status < 0)
        return status;
    suggest_init(&found.of, channel != NULL ? channel : source);
    for (uint32_t i = 0; i < json_array_size(replies); i++)
        look(&found, json_array_get(replies, i), i, channel);
    if (found.count != 1) {
        status = refuse(tool, &found, source, channel);
    } else {
        json_t *arguments = channel_arguments(source, found.name);
        status = call_one(tool, "source show", "chains", arguments, found.shard, ret_reply);
        json_decref(arguments);
    }
    json_decref(replies);
    return status;
}

int shards_find_channel(struct tool *tool, const char *source, const char *channel,
                        json_t **ret_reply)
{
    uint32_t count;
    int status = shards_count(tool, &count);
    if (status < 0)
        return status;
    if (count > 1)
        return find_among(tool, source, channel, ret_reply);
    return session_call_all(tool, "source show", "chains", channel_arguments(source, channel),
                            ret_reply);
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
