/* SPDX-License-Identifier: Apache-2.0
 *
 * What every byte of a data folder is: the folder is cut into areas, and the live log into blocks
 * and batches. The map is made of a folder that is whole, so that damage done to it afterwards can
 * be named without asking the code under test.
 *
 * Normal path: bit_map_make over a snapshot; bit_map_deinit. Failure path: a folder with a
 * torn meta slot or checkpoint has no map; everything else that the format does not know aborts.
 */
#ifndef CROSSDOCK_TESTS_CRASH_BIT_MAP_H
#define CROSSDOCK_TESTS_CRASH_BIT_MAP_H

#include "broker/log/checkpoint_format.h"
#include "broker/log/meta.h"
#include "tests/support/sim_snapshot.h"

#include <stdbool.h>
#include <stdint.h>

#define BIT_PAGE 4096u
#define BIT_NONE UINT32_MAX
#define BIT_FILES_MAX 24u

enum bit_class {
    BIT_SEGMENT_HEADER,
    BIT_BLOCK_HEADER,
    BIT_BATCH_HEADER, /* with its suppression bitmap */
    BIT_RECORD,
    BIT_PADDING, /* between the batches of a block, and behind them */
    BIT_SEAL,
    BIT_MARK,
    BIT_FREE, /* of wal files and checkpoints: behind what counts */
    BIT_CHECKPOINT_HEADER,
    BIT_CHECKPOINT_STATE, /* and local part, each with the padding behind it */
    BIT_META,
    BIT_QUARANTINE_COPY,
    BIT_QUARANTINE_TEXT,
    BIT_CLASS_COUNT
};

enum bit_kind_of_file { BIT_FILE_WAL, BIT_FILE_CHECKPOINT, BIT_FILE_META, BIT_FILE_QUARANTINE };

struct bit_file {
    const struct sim_snapshot_file *disk; /* the whole one; borrowed */
    enum bit_kind_of_file kind;           /* */
    uint64_t segment_no;                  /* wal: as its header says, 0 = none */
    uint32_t first_block;                 /* wal: of its live ones, BIT_NONE = none is live */
    uint32_t block_count;                 /* live ones */
};

/* A live block. */
struct bit_block {
    uint64_t at;            /* place in its file */
    uint64_t index;         /* log index; a local block repeats the last */
    uint64_t durable_index; /* what it knew */
    uint64_t epoch;         /* */
    uint32_t file;          /* */
    uint32_t bytes;         /* */
    bool local;             /* SEAL or MARK */
};

/* A batch of records in a live block. */
struct bit_batch {
    uint64_t offset;    /* of its first record */
    uint64_t at;        /* place in the file */
    uint32_t block;     /* */
    uint32_t bytes;     /* as it is served: header, body, bitmap, padding to 8 */
    uint32_t partition; /* */
    uint32_t records;   /* */
};

/* Bytes of one class that stand together. */
struct bit_area {
    uint64_t at;          /* place in the file */
    uint64_t bytes;       /* */
    uint32_t file;        /* */
    uint32_t block;       /* BIT_NONE = of none */
    enum bit_class class; /* */
};

struct bit_map {
    struct bit_file files[BIT_FILES_MAX]; /* by name */
    uint32_t file_count;                  /* */
    struct bit_block *blocks;             /* in the sequence of the log */
    uint32_t block_count;                 /* */
    struct bit_batch *batches;            /* in the sequence of the log */
    uint32_t batch_count;                 /* */
    struct bit_area *areas;               /* by file, then place: every byte lies in one */
    uint32_t area_count;                  /* */
    struct meta slots[META_SLOTS];        /* */
    uint32_t newest;                      /* slot that counts */
    uint64_t segment_bytes;               /* */
};

const char *bit_class_name(enum bit_class class);
/* False when the folder is not whole; there is no map then. */
bool bit_map_make(struct bit_map *map, const struct sim_snapshot *folder);
void bit_map_deinit(struct bit_map *map);

/* Index of the file of that name, or BIT_NONE. */
uint32_t bit_map_file(const struct bit_map *map, const char *name);
/* Whether a page begins with its own XXH3 and the magic given: what the format calls valid. */
bool bit_page_valid(const void *page, uint32_t magic);
/* The checkpoint file that meta names, or BIT_NONE. */
uint32_t bit_map_named(const struct bit_map *map);

#endif
