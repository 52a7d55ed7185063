/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk replayed from a trace: what is safe from any crash at a point of the trace, and what is
 * not yet. From the second a crash chooses; crash_disk_image makes the disk of one choice.
 *
 * What is safe:
 * - a DSYNC write once its event has come; another write once a sync of its file has succeeded
 *   that was started after the write's event;
 * - a size likewise, a name once its folder has been synced;
 * - after a failed sync or write nothing can be said of the writes it covered until they were read
 *   back and a later sync has succeeded.
 * Everything else may be there whole, in part, or not at all, each write by itself; changes of
 * names and sizes are kept as a prefix of their sequence, as journals do. Two writes to one place
 * count in the sequence of their start.
 *
 * Failure paths: none; a row that does not fit the state is an assertion. Must not know what the
 * bytes mean.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_DISK_H
#define CROSSDOCK_TESTS_CRASH_CRASH_DISK_H

#include "tests/support/env_trace.h"
#include "tests/support/sim_snapshot.h"

#include <stdbool.h>
#include <stdint.h>

#define CRASH_INODES_MAX 256u
#define CRASH_NAMES_MAX 128u
#define CRASH_WRITES_MAX 512u  /* not safe at one moment */
#define CRASH_CHANGES_MAX 512u /* likewise */
#define CRASH_NOT_DONE UINT32_MAX

struct crash_inode {
    struct sim_image safe; /* contents that no crash takes */
    uint64_t hash;         /* of them */
    uint64_t bytes;        /* size that the process sees */
    uint64_t safe_bytes;   /* size that no crash takes */
    bool folder;           /* */
};

struct crash_name {
    char text[SIM_NAME_ROOM];
    uint32_t inode;
};

struct crash_names {
    struct crash_name rows[CRASH_NAMES_MAX];
    uint32_t count;
};

/* A write that is not safe yet, or lies over one that is not. */
struct crash_write {
    struct sim_piece *pieces; /* its data, page by page */
    uint32_t piece_count;     /* */
    uint32_t inode;           /* */
    uint64_t position;        /* in the file */
    uint32_t bytes;           /* */
    uint32_t row;             /* that started it */
    uint32_t done_row;        /* that ended it, or CRASH_NOT_DONE */
    uint64_t reread_bytes;    /* read back since a failure */
    bool dsync;               /* safe with its event */
    bool doubtful;            /* a failure was reported; no sync helps until it was read back */
    bool safe;                /* */
};

/* A change of a size or of names that is not safe yet, or comes behind one that is not. */
struct crash_change {
    char from[SIM_NAME_ROOM]; /* name that goes, "" = none */
    char to[SIM_NAME_ROOM];   /* name that comes, "" = none */
    uint64_t bytes;           /* new size; 0 = a change of names */
    uint32_t inode;           /* */
    uint32_t write;           /* row of the write that extended the file, or CRASH_NOT_DONE */
    uint32_t done_row;        /* when it was made, or CRASH_NOT_DONE */
    bool safe;                /* */
};

struct crash_disk {
    const struct env_trace *trace; /* */
    struct sim_pages *pages;       /* pool */
    struct crash_inode inodes[CRASH_INODES_MAX];
    uint32_t inode_count;                           /* */
    struct crash_names newest;                      /* as the process sees them */
    struct crash_names safe;                        /* that no crash takes */
    struct crash_write writes[CRASH_WRITES_MAX];    /* by start */
    uint32_t write_count;                           /* */
    struct crash_change changes[CRASH_CHANGES_MAX]; /* by sequence */
    uint32_t change_count;                          /* */
    uint32_t *opened;                               /* inode by number of an opened file */
    uint32_t opened_room;                           /* allocated */
    uint32_t next_row;                              /* of the trace: the point */
};

/* What becomes of one write in a crash. */
enum crash_fate_kind {
    CRASH_FATE_LOST,
    CRASH_FATE_WHOLE,
    CRASH_FATE_PREFIX, /* grains below `first` are stored */
    CRASH_FATE_SUFFIX, /* grains from `first` on */
    CRASH_FATE_HOLE,   /* all but `count` grains from `first` on */
    CRASH_FATE_ISLAND, /* only `count` grains from `first` on */
    CRASH_FATE_SOME,   /* each by chance */
    CRASH_FATE_COUNT
};

struct crash_fate {
    uint64_t seed;  /* of chance and garbage */
    uint32_t grain; /* 512 or 4096: what is stored whole or not at all */
    uint32_t first; /* grain */
    uint32_t count; /* grains */
    uint8_t kind;   /* enum crash_fate_kind */
    bool garbage;   /* the sector at the tear holds random bytes */
};

/* One choice of a crash. */
struct crash_plan {
    struct crash_fate fates[CRASH_WRITES_MAX]; /* by write; those of safe ones do not count */
    uint32_t changes_kept;                     /* of those not safe, from the oldest on */
};

/* The state before the first row of `trace`; `start` is the disk then. */
void crash_disk_init(struct crash_disk *disk, const struct env_trace *trace,
                     const struct sim_snapshot *start);
void crash_disk_deinit(struct crash_disk *disk);
/* Takes the next row in. */
void crash_disk_step(struct crash_disk *disk);

/* Writes whose fate a crash decides, as indexes of writes[]; those that would change nothing are
 * left out. Room for CRASH_WRITES_MAX. */
uint32_t crash_disk_window(const struct crash_disk *disk, uint32_t *ret_writes);
/* Changes that are not safe. */
uint32_t crash_disk_changes(const struct crash_disk *disk);
/* Grains of a write. */
uint32_t crash_disk_grains(const struct crash_write *write, uint32_t grain);
/* The disk that the crash leaves, into `ret`, and the hash of names, sizes and contents. */
uint64_t crash_disk_image(const struct crash_disk *disk, const struct crash_plan *plan,
                          struct sim_snapshot *ret);

#endif
