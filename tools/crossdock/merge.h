/* SPDX-License-Identifier: Apache-2.0
 *
 * What the shards of a broker answer, made into the answer of one broker.
 *
 * All functions take the replies as an array by shard number, from 0, and give a new tree. With one
 * shard that is its reply as it stands, and in `status` the rows of `shards`. Counts are added,
 * what all shards have is told once, the worst state and the least free space stand for all.
 * Must not ask and must not print.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_MERGE_H
#define CROSSDOCK_TOOLS_CROSSDOCK_MERGE_H

#include <jansson.h>

/* Replies to "status". `shard` is the one whose state is told, `shards` the rows of all. */
json_t *merge_status(const json_t *replies);
/* Replies to "health". With several shards each check tells its `shard`. */
json_t *merge_health(const json_t *replies);
/* Members "metrics" of replies to "metrics", as one object. */
json_t *merge_metrics(const json_t *replies);
/* Lists `rows` of all replies in one, in rising number `key`. */
json_t *merge_rows(const json_t *replies, const char *rows, const char *key);

/* Adds up `records` and `records_bytes` of topics or facilities from the rows of "partition list":
 * `objects` is an array of objects with "name", `kind` the member of a partition that names one. */
void merge_totals(json_t *objects, const char *kind, const json_t *partitions);

#endif
