/* SPDX-License-Identifier: Apache-2.0
 *
 * One operation at a time, waited for: how recovery reads small things and writes meta slots.
 *
 * Only while no other operation is outstanding on the env: events that belong to nothing here are
 * dropped. Short reads and writes are continued, page by page because the files are O_DIRECT. An
 * engine that fails (env_wait) is told apart from an operation that fails by each function's text.
 * Must not be used once the shard takes its turns.
 */
#ifndef CROSSDOCK_LOG_BLOCKING_H
#define CROSSDOCK_LOG_BLOCKING_H

#include <stdint.h>

#include "broker/io/env.h"

/* Tokens of recovery: no other part of the log has operations outstanding then. */
enum blocking_kind { BLOCKING_ONE = 240, BLOCKING_SCAN = 241, BLOCKING_QUARANTINE = 242 };

/* Waits for one event. 0 and *ret_event, or -errno: the engine is broken. */
int blocking_wait(struct env *env, struct env_event *ret_event);

/* Reads whole pages; what lies behind the end of the file reads as zeros. 0 or -errno. */
int blocking_read(struct env *env, env_file file, void *data, uint32_t bytes, uint64_t position);
/* The same, but a page that cannot be read becomes zeros and is counted: *ret_pages_bad, and
 * *ret_error is the first -errno, 0 when all could be read. Returns 0, or -errno of the engine. */
int blocking_read_pages(struct env *env, env_file file, void *data, uint32_t bytes,
                        uint64_t position, uint32_t *ret_pages_bad, int *ret_error);
/* Writes whole pages with DSYNC: they are on stable storage when this returns 0. Else -errno. */
int blocking_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                   uint64_t position);
/* 0 or -errno. */
int blocking_sync(struct env *env, env_file file);

#endif
