/* SPDX-License-Identifier: Apache-2.0
 *
 * Preparing segments: a READY segment is there before the log needs it, so a roll costs nothing.
 *
 * Normal path, one slot at a time, in the background:
 *   a dropped segment's slot   header                      (every byte has been written before)
 *   a new file                 create, reserve, zeros in writes of 1 MiB, flush, header
 * The header is written with DSYNC; then the slot is READY under the next segment number. Zeros are
 * written because overwriting written bytes needs no journal work at each flush (1.5 to 9 times
 * faster than fallocate alone on the reference machine). Two writes in flight leave the disk to the
 * log's own.
 *
 * Slots are taken up in the sequence in which their segments were dropped, so the numbers on disk
 * never have a hole.
 *
 * Failure path: no space puts the work off for a second; any other error fences the log. Near the
 * end of the disk no file is created; without a READY segment left producers are refused then.
 */
#ifndef CROSSDOCK_LOG_PREPARE_H
#define CROSSDOCK_LOG_PREPARE_H

#include "broker/base/forecast.h"
#include "broker/io/env.h"
#include "broker/log/segment.h"

#include <stdbool.h>
#include <stdint.h>

struct log;

#define PREPARE_WRITE_BYTES (1024u * 1024u)
#define PREPARE_DEPTH 2u
#define PREPARE_CHECK_NS 1000000000ull /* between looks at the disk's free space, and retries */

enum prepare_step { PREPARE_IDLE, PREPARE_ZEROS, PREPARE_FLUSH, PREPARE_HEADER };

struct prepare_write {
    uint64_t at;    /* place in the segment */
    uint32_t bytes; /* left to write */
    bool busy;      /* an operation is outstanding */
};

struct prepare {
    uint8_t *zeros;                /* PREPARE_WRITE_BYTES of zeros, never written to */
    struct segment_header *header; /* page that the env writes from */
    struct prepare_write writes[PREPARE_DEPTH];
    uint64_t zeroed_to;         /* start of the next write of zeros */
    uint64_t not_before_ns;     /* put off until then for lack of space, monotonic */
    uint64_t disk_checked_ns;   /* monotonic, 0 = never */
    uint64_t disk_free_bytes;   /* as of then */
    uint64_t disk_total_bytes;  /* as of then */
    struct forecast disk_falls; /* of the free bytes above disk_low_bytes */
    uint32_t slot;              /* that is being prepared */
    uint32_t ready_target;      /* READY segments to have */
    uint32_t slot_limit;        /* no file is made while there are this many */
    uint8_t step;               /* enum prepare_step */
    bool wanted;                /* segments must be counted again */
    bool starved;               /* told that no segment was ready, until one is */
    bool no_space;              /* the last attempt to make a file found too little space */
    int failed;                 /* first error of the zeros, 0 = none */
    uint8_t stalls;             /* completions in a row that wrote nothing */
};

/* A READY segment was taken or a slot became FREE: looks again at the next kick. */
void prepare_wake(struct log *log);
/* Starts or continues; also looks at the disk's free space once a second. */
void prepare_kick(struct log *log, uint64_t now_ns);
void prepare_write_done(struct log *log, const struct env_event *event);
void prepare_sync_done(struct log *log, const struct env_event *event);
void prepare_header_done(struct log *log, const struct env_event *event);
uint64_t prepare_deadline_ns(const struct log *log);

/* True when producers must wait for disk space. */
bool prepare_disk_low(const struct log *log);
/* Start-up: waits until `count` segments are READY, or as many as the disk has room for. Returns
 * the number of READY segments or -errno. Blocking; the log must be the env's only user. */
int prepare_wait(struct log *log, uint32_t count);

#endif
