/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing the meta file while the log runs: at every roll and clean stop, so that its durable_index
 * is never far behind, and when a checkpoint becomes current.
 *
 * Normal path: change log->meta, call meta_file_write; the newest content is written with DSYNC
 * into the slot that is not current, one write at a time. meta_file_durable tells what has arrived.
 * Failure path: an error fences the log. Recovery's own writes are recover.c's.
 */
#ifndef CROSSDOCK_LOG_META_FILE_H
#define CROSSDOCK_LOG_META_FILE_H

#include "broker/io/env.h"
#include "broker/log/meta.h"

#include <stdbool.h>
#include <stdint.h>

struct log;

struct meta_file {
    struct meta *page;           /* 4 KiB aligned, belongs to the env while busy */
    uint64_t durable_checkpoint; /* checkpoint generation named by the newest durable slot */
    env_file file;               /* -1 = not open */
    bool busy;                   /* a write is outstanding */
    bool wanted;                 /* log->meta changed since it was started */
    uint8_t stalls;              /* short writes in a row */
};

/* Writes log->meta, now or behind the write that is outstanding. */
void meta_file_write(struct log *log);
/* Start-up: writes log->meta, its durable_index as it is there, and waits. 0 or -errno. Blocking;
 * no operation may be outstanding. */
int meta_file_write_now(struct log *log);
void meta_file_done(struct log *log, const struct env_event *event);

#endif
