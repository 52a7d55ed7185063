/* SPDX-License-Identifier: Apache-2.0
 *
 * Quarantine: copies of log bytes that are damaged or cut, kept for people in quarantine/.
 *
 *   quarantine/cut-<segment>-<at>-e<epoch>.bin       bytes of a torn tail
 *   quarantine/corrupt-<segment>-<at>-e<epoch>.bin   bytes that were durable and are damaged
 *   the same with .txt                               what they are, written last
 *
 * Normal path: quarantine_open, quarantine_write for each piece (whole pages), quarantine_finish;
 * after each of the last two the owner waits for events and hands them to quarantine_done until it
 * answers 1. A copy is complete when its .txt is there. Names follow from segment, place and
 * epoch, so repeating a copy after a crash overwrites the same two files with the same bytes.
 * Failure path: the first error is returned and closes the files; what was written stays. A short
 * write goes on with its rest; LOG_STALLS_MAX of them in a row without progress are an error.
 *
 * Never deletes anything. Must not decide what is damaged.
 */
#ifndef CROSSDOCK_LOG_QUARANTINE_H
#define CROSSDOCK_LOG_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/env.h"

#define QUARANTINE_FOLDER "quarantine"
#define QUARANTINE_TEXT_BYTES 4096u

enum quarantine_kind { QUARANTINE_CUT, QUARANTINE_CORRUPT, QUARANTINE_KIND_COUNT };

/* What is copied. */
struct quarantine_range {
    uint64_t segment_no;       /* */
    uint64_t at;               /* place in the segment, multiple of 4096 */
    uint64_t bytes;            /* multiple of 4096 */
    uint64_t epoch;            /* of the log's current run */
    uint64_t first_index;      /* first index in the range, 0 = unknown */
    uint64_t last_index;       /* last one, 0 = unknown */
    const char *reason;        /* one sentence, static */
    uint32_t slot;             /* wal file it lay in */
    enum quarantine_kind kind; /* */
};

struct quarantine {
    struct env *env;
    uint64_t token;                /* of every operation started here */
    uint64_t at;                   /* bytes of the copy that are written */
    const uint8_t *data;           /* rest of the piece being written */
    uint32_t data_bytes;           /* its size */
    uint32_t text_bytes;           /* of `text` */
    uint32_t text_at;              /* bytes of `text` that are written */
    env_file file;                 /* copy, then text; -1 = none */
    uint8_t step;                  /* enum quarantine_step of quarantine.c */
    uint8_t stalls;                /* writes in a row that brought nothing */
    char name[ENV_NAME_BYTES_MAX]; /* of the copy, for `why` texts */
    char text_name[ENV_NAME_BYTES_MAX];
    char text[QUARANTINE_TEXT_BYTES]; /* content of the .txt */
};

/* Makes the folder and opens the copy. Metadata only, blocking. `token` is given to every
 * operation. 0 or -errno. */
int quarantine_open(struct quarantine *quarantine, struct env *env,
                    const struct quarantine_range *range, uint64_t token);
/* Starts writing a piece behind the earlier ones; `data` (4 KiB aligned, whole pages) belongs to
 * the env until quarantine_done answers 1. */
void quarantine_write(struct quarantine *quarantine, const uint8_t *data, uint32_t bytes);
/* Starts flushing the copy, then writes and flushes the text. */
void quarantine_finish(struct quarantine *quarantine);
/* An event with the token. 1: the piece is written, or the copy is complete and closed. 0: more
 * events follow. -errno: failed and closed. */
int quarantine_done(struct quarantine *quarantine, const struct env_event *event);
/* Closes an unfinished copy; no operation may be outstanding. Accepts a zeroed or closed one. */
void quarantine_close(struct quarantine *quarantine);

#endif
