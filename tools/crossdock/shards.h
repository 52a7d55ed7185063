/* SPDX-License-Identifier: Apache-2.0
 *
 * The shards of a broker: asks all of them, so that verbs see one broker.
 *
 * Normal path: the broker is asked once how many shards it has, then each by argument "shard". With
 * one shard that argument is left out, and the reply is the broker's.
 * Failure path: the first shard that does not answer, or refuses, ends the call; tool->detail names
 * it. Must not print.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_SHARDS_H
#define CROSSDOCK_TOOLS_CROSSDOCK_SHARDS_H

#include <jansson.h>

#include "tools/crossdock/tool.h"

/* How many shards the broker has. 0, or a status with tool->detail. */
int shards_count(struct tool *tool, uint32_t *ret_count);

/* A verb of every shard: an array of the replies, by shard number, owned by the caller. `rows`:
 * the list that comes in pages, NULL = a reply has no pages. Takes `arguments` over (NULL = none).
 */
int shards_call(struct tool *tool, const char *verb, const char *rows, json_t *arguments,
                json_t **ret_replies);
/* The same for a list: the rows of all shards in rising number `key`. */
int shards_list(struct tool *tool, const char *verb, const char *rows, const char *key,
                json_t *arguments, json_t **ret_rows);

/* What a channel is called. */
struct channel_name {
    const char *source;   /* */
    const char *channel;  /* NULL = the only one of the source */
    const char *facility; /* that it feeds, "" = the global one, NULL = the only one of the name */
};

/* Verb "source show" of the shard that has the channel. 0, XDOCK_NOT_FOUND, XDOCK_FIELD_INVALID
 * when several could be meant, or another status. */
int shards_find_channel(struct tool *tool, const struct channel_name *wanted, json_t **ret_reply);

/* Objects of "topic list" or "facility list", with the records of all shards in place of those of
 * the one that answered. `kind`: "topic" or "facility"; `name` NULL: several may be in `objects`.
 */
int shards_add_totals(struct tool *tool, const char *kind, const char *name, json_t *objects);

#endif
