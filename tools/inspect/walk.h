/* SPDX-License-Identifier: Apache-2.0
 *
 * The walk over a log: every block of every kept segment, in sequence, each fully checked.
 *
 * Normal path: walk_init, walk_next until WALK_END. A block that is damaged is told and walked over
 * where the log can be found again behind it. The end of the log is told apart from damage by the
 * rule of broker/log/verdict.h: what was known to be durable must be there.
 * Must not print and must not write.
 */
#ifndef CROSSDOCK_TOOLS_INSPECT_WALK_H
#define CROSSDOCK_TOOLS_INSPECT_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/log/block.h"
#include "broker/log/point.h"
#include "tools/inspect/folder.h"
#include "tools/inspect/state.h"

#define WALK_TEXT_BYTES 256u
#define WALK_NO_PARTITION UINT32_MAX

enum walk_kind {
    WALK_END,
    WALK_SEGMENT, /* a segment begins */
    WALK_BLOCK,   /* a whole block, `block` */
    WALK_NOTE,    /* something that recovery handles without loss */
    WALK_FINDING  /* damage */
};

struct walk_item {
    enum walk_kind kind;              /* */
    const struct wal_file *file;      /* NULL: of no one file */
    uint64_t at;                      /* place in the file */
    const struct block_header *block; /* WALK_BLOCK: borrowed until the next call */
    uint64_t index;                   /* finding: log index, 0 = unknown */
    uint32_t partition;               /* finding: WALK_NO_PARTITION = unknown or none */
    char text[WALK_TEXT_BYTES];       /* note and finding */
};

struct walk {
    const struct data_folder *folder; /* */
    const struct meta *meta;          /* */
    struct state_range range;         /* what the next start goes by */
    uint32_t next_file;               /* */
    const struct wal_file *file;      /* being walked, NULL = between two */
    uint64_t at;                      /* next place in it */
    uint64_t last_no;                 /* number of the segment before */
    bool started;                     /* `point` is known */
    bool ended;                       /* the end of the log has been met */
    struct recover_point point;       /* what the next block must continue */
    uint8_t *window;                  /* bytes of the file at `window_at` */
    uint64_t window_at;               /* */
    uint64_t window_bytes;            /* */
    uint64_t *offsets;                /* next offset of each partition + 1, 0 = not seen */
    uint64_t blocks;                  /* counts of what was whole */
    uint64_t batches;                 /* */
    uint64_t records;                 /* */
    uint64_t bytes;                   /* */
    uint32_t segments;                /* segments with blocks */
    bool pending;                     /* `next_item` is to be given first */
    struct walk_item next_item;       /* */
};

/* 0 or -ENOMEM. */
int walk_init(struct walk *walk, const struct data_folder *folder, struct state_range range);
void walk_deinit(struct walk *walk);
/* Fills *ret_item; its kind is returned. */
enum walk_kind walk_next(struct walk *walk, struct walk_item *ret_item);

#endif
