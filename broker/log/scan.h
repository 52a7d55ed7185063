/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequential read-ahead over one file: 1 MiB O_DIRECT reads, eight in flight, so that recovery runs
 * at the speed of the disk (1.9-2.3 GB/s on the reference machine).
 *
 * Normal path: scan_begin, scan_need for rising places, scan_end. A range that wraps around the
 * ring is made contiguous by copying its second part behind the ring.
 * Failure path: a read that fails is repeated page by page; pages that stay unreadable, and what
 * lies behind the end of the file, read as zeros, which no block check accepts, and are counted.
 *
 * Blocking. Must not know what it reads.
 */
#ifndef CROSSDOCK_LOG_SCAN_H
#define CROSSDOCK_LOG_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/env.h"

#define SCAN_READ_BYTES (1024u * 1024u)
#define SCAN_DEPTH 8u
#define SCAN_CHUNKS (SCAN_DEPTH + 1u) /* one is being looked at while eight are read */
#define SCAN_BYTES ((SCAN_CHUNKS + 1u) * SCAN_READ_BYTES) /* ring and the copy of a wrapped range  \
                                                           */

/* One read of the ring. */
struct scan_chunk {
    uint64_t at;    /* place in the file */
    uint32_t bytes; /* asked for */
    uint32_t got;   /* whole pages read so far */
    bool busy;      /* an operation is outstanding */
    bool error;     /* a read failed or brought nothing: page by page from here */
};

struct scan {
    struct env *env;
    uint8_t *memory;     /* SCAN_BYTES */
    env_file file;       /* */
    uint64_t from;       /* place of the ring's first byte ever: chunk i starts at from + i MiB */
    uint64_t to;         /* end of the range, in the file */
    uint64_t first;      /* number of the oldest chunk still held */
    uint64_t next;       /* number of the next chunk to read */
    uint32_t busy_count; /* operations outstanding */
    uint32_t pages_bad;  /* pages that could not be read */
    int bad_error;       /* -errno of the first of them, 0 = none */
    struct scan_chunk chunks[SCAN_CHUNKS];
};

/* Starts reading [from, to) of the file; both multiples of 4096. */
void scan_begin(struct scan *scan, struct env *env, uint8_t *memory, env_file file, uint64_t from,
                uint64_t to);
/* The `bytes` (1..1 MiB) at `at`, inside the range and not before an earlier call's place. The
 * memory is borrowed until the next call. 0, or -errno when the engine itself is broken. */
int scan_need(struct scan *scan, uint64_t at, uint32_t bytes, const uint8_t **ret_data);
/* Waits for what is still being read. Accepts a zeroed object. 0, or -errno of a broken engine. */
int scan_end(struct scan *scan);

#endif
