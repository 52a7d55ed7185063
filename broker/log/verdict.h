/* SPDX-License-Identifier: Apache-2.0
 *
 * What the first bad block of a log means: a lost local block, the clean end, a torn tail that may
 * be cut, or corruption that must not be.
 *
 * The rule, for expected index k, with floor = meta's durable_index (blocks before k cannot know of
 * more than themselves, which point.c checks):
 *   LOCAL    the block behind it, or the next segment's first, continues chain and index
 *   CORRUPT  k <= floor; or a header-valid block of the running epoch within the write window has
 *            durable_index >= k; or a segment is missing before one that holds blocks; or the
 *            point's own segment is missing although it was made
 *   TORN     else, when there are bytes of the running epoch
 *   CLEAN    else
 * A whole successor alone proves nothing: with several writes in flight it may have reached the
 * disk when its predecessor did not, and then neither was acknowledged.
 *
 * A missing segment at the point: numbers are prepared in sequence, each header durable before the
 * next file is touched, and the log goes on only in a prepared segment. So a block before the
 * point, a file of a later number, a gap in the file names, a checkpoint or meta's own generation
 * each prove that the segment was there, and what was in it cannot be known. Only a folder that
 * shows none of this is one whose first segment was never made.
 *
 * Blocking, recovery only. Reads; must not write or cut.
 */
#ifndef CROSSDOCK_LOG_VERDICT_H
#define CROSSDOCK_LOG_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/env.h"
#include "broker/log/meta.h"
#include "broker/log/point.h"
#include "broker/log/segment.h"

/* Blocks that are not durable yet lie within this many bytes behind the durable ones. */
#define VERDICT_WINDOW_BYTES (64u * 1024u * 1024u)
/* Segments that a window can touch: the first and last in part. */
#define VERDICT_RANGES_MAX (VERDICT_WINDOW_BYTES / SEGMENT_BYTES_MIN + 2u)

enum verdict_kind { VERDICT_CLEAN, VERDICT_TORN, VERDICT_LOCAL, VERDICT_CORRUPT };

/* Bytes of one segment. */
struct verdict_range {
    uint64_t segment_no; /* */
    uint64_t at;         /* place in the segment */
    uint64_t bytes;      /* */
};

struct verdict {
    enum verdict_kind kind; /* */
    const char *reason;     /* why that kind; static text */
    uint64_t next_position; /* LOCAL: where the log goes on */
    uint64_t floor;         /* highest index known to have been durable */
    uint64_t last_index;    /* TORN, CORRUPT: last index in the ranges, as far as known, else 0 */
    uint64_t missing_no;    /* CORRUPT: number of the missing segment, 0 = none */
    uint32_t range_count;   /* */
    struct verdict_range ranges[VERDICT_RANGES_MAX]; /* TORN, CORRUPT: what to copy */
};

struct verdict_input {
    struct env *env;                   /* */
    struct segment_table *table;       /* */
    const struct meta *meta;           /* */
    const struct recover_point *point; /* the block that is bad or not there */
    uint8_t *scan_memory;              /* SCAN_BYTES, no scan is using it */
    bool checkpoints;                  /* the folder holds checkpoint files, named or not */
};

/* 0 and the verdict; XD_FORMAT_UNKNOWN when a newer release's block lies in the window; -errno when
 * the engine is broken. */
int verdict_reach(const struct verdict_input *input, struct verdict *ret_verdict);

#endif
