/* SPDX-License-Identifier: Apache-2.0
 *
 * Group commit without timers.
 *
 * When to write: with fewer than two writes in flight at once, so that an idle log answers fast;
 * else once write_group_bytes are pending, up to writes_inflight_max in flight, so that a busy one
 * writes large blocks. The fuller the window of undurable blocks, the more a block must hold, so
 * that a slow flush does not use the window up with small ones. Nothing waits for a clock. When
 * durable: with LOG_SYNC_DSYNC a completed write is; with LOG_SYNC_FDATASYNC one flush at a time
 * covers the writes of one segment that had completed before it was started. Either way only the
 * contiguous prefix counts, whatever completes first.
 * A log that comes to rest writes a MARK after mark_idle_ms.
 *
 * Failure path: the first failed write or flush fences the log (log_fence); from then on nothing
 * becomes durable. A flush is never tried again: what it covered may be gone although the next one
 * would succeed. A short write goes on with its rest.
 */
#ifndef CROSSDOCK_LOG_FLUSH_H
#define CROSSDOCK_LOG_FLUSH_H

#include "broker/io/env.h"

#include <stdbool.h>
#include <stdint.h>

struct log;

/* Closes the open block and starts writes by the rule above, starts a flush, makes a MARK. */
void flush_kick(struct log *log, uint64_t now_ns);
void flush_write_done(struct log *log, const struct env_event *event);
void flush_sync_done(struct log *log, const struct env_event *event);
/* When flush_kick has something to do without an event; UINT64_MAX = never. */
uint64_t flush_deadline_ns(const struct log *log);
/* True when everything appended is durable and a MARK covers it, as far as there is room for one.
 */
bool flush_settled(const struct log *log);

#endif
