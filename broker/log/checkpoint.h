/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing checkpoints: the fold's state and the log's own tables at one block boundary.
 *
 * Normal path: checkpoint_due says yes, the shard serialises its state into the memory of
 * checkpoint_begin, checkpoint_commit adds the local part and starts; then in the background body,
 * flush, header with DSYNC, and a meta slot that names it. Only then it is current, and segments
 * that both files are past may be recycled. The file of the older generation is overwritten.
 *
 * The bound: the log behind the last complete checkpoint never grows beyond
 * checkpoint_tail_bytes_max, because append_reserve lets no batch go beyond tail_end: producers
 * wait. One is due before the last quarter of that, so that it usually completes in time.
 *
 * Failure path: no space gives this checkpoint up. The next one is due after as much log again, or
 * in the last quarter of the bound every second until one succeeds; the reason that producers are
 * given names the failure. Any other error fences the log.
 */
#ifndef CROSSDOCK_LOG_CHECKPOINT_H
#define CROSSDOCK_LOG_CHECKPOINT_H

#include "broker/io/env.h"
#include "broker/log/checkpoint_format.h"
#include "wire/limits.h"

#include <stdbool.h>
#include <stdint.h>

struct log;
struct log_options;
struct recover;

#define CHECKPOINT_WRITE_BYTES (1024u * 1024u)
#define CHECKPOINT_RETRY_NS 1000000000ull
/* A quarter of the bound holds the block that is refused and the one that may be lost at a
 * segment's end: whoever is refused by the bound finds a checkpoint due. */
#define CHECKPOINT_TAIL_BYTES_MIN (8ull * XD_BLOCK_BYTES_MAX)

enum checkpoint_step {
    CHECKPOINT_IDLE,
    CHECKPOINT_FILLING, /* the shard writes its state into the memory */
    CHECKPOINT_BODY,
    CHECKPOINT_FLUSH,
    CHECKPOINT_HEADER,
    CHECKPOINT_META /* waiting for the slot that names it */
};

struct checkpoint {
    struct checkpoint_header *header; /* page that the env writes from */
    uint8_t *body;                    /* state and local part, 4 KiB aligned */
    uint64_t body_bytes_max;          /* room there */
    uint64_t body_bytes;              /* of the checkpoint being written */
    uint64_t at;                      /* bytes of the body that are written */
    env_file files[CHECKPOINT_FILES]; /* -1 = not open */
    uint64_t generation;              /* of the current one, 0 = none */
    uint64_t index;                   /* last index in the current one */
    uint64_t position;                /* where a scan from the current one starts */
    uint64_t other_position;          /* the same for the other file; 0 = not usable */
    uint64_t tried_position;          /* of the newest one begun, current or given up */
    uint64_t tail_from;               /* where the tail begins: behind the current one, or the
                                         log's first block */
    uint64_t tail_end;                /* batches may be appended up to here before the next one is
                                         complete */
    uint64_t not_before_ns; /* none is due until then, after one was given up; monotonic */
    int failed;             /* status that the newest one was given up with, 0 = none */
    uint8_t step;           /* enum checkpoint_step */
    uint8_t stalls;         /* completions in a row that wrote nothing */
};

/* Bytes of body memory that a log of this size needs. */
uint64_t checkpoint_body_bytes_max(const struct log_options *options, uint32_t chunk_count);
/* After recovery: where the checkpoints on disk stand. */
void checkpoint_init(struct log *log, const struct recover *recover);

bool checkpoint_due(const struct log *log);
/* Why a batch that would end beyond tail_end must wait: static text. */
const char *checkpoint_tail_reason(const struct log *log);
uint8_t *checkpoint_begin(struct log *log, uint64_t *ret_bytes_max);
void checkpoint_commit(struct log *log, uint64_t bytes);
void checkpoint_write_done(struct log *log, const struct env_event *event);
void checkpoint_sync_done(struct log *log, const struct env_event *event);
void checkpoint_header_done(struct log *log, const struct env_event *event);
/* The meta file reports that a slot became durable. */
void checkpoint_meta_done(struct log *log);

/* Segments below this log position are in every checkpoint that a restart may fall back to. */
uint64_t checkpoint_floor(const struct log *log);

#endif
