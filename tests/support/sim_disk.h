/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated disk: files with a newest and a durable state, folders with newest and durable
 * names, and what a crash makes of the difference.
 *
 * Normal path: a write is copied when it is started (in flight), becomes part of the newest image
 * when it finishes, and of the durable one when a sync that was started afterwards finishes. Every
 * write not yet durable stays in a list of its file, in the sequence of finishing; a crash goes
 * through these lists. Names work the same way with a list of operations per disk and dir_sync.
 * Failure paths: a failed sync loses the writes it covered; a crash keeps what its menu says, by
 * sectors of 512 B where it tears.
 *
 * Sources: sim_disk.c files, sim_names.c names, sim_crash.c crashes and copies, sim_inspect.c the
 * calls that tests make. Must not know time, tokens or the env; randomness is handed in.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SIM_DISK_H
#define CROSSDOCK_TESTS_SUPPORT_SIM_DISK_H

#include "broker/base/list.h"
#include "broker/base/prng.h"
#include "broker/io/env.h"
#include "tests/support/env_sim.h"
#include "tests/support/sim_pages.h"
#include "wire/xassert.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define SIM_NAME_ROOM ENV_NAME_BYTES_MAX /* with the NUL */
#define SIM_FOLDERS_MAX 64u              /* a set of folders is one word */

/* Copies a text that fits into `room` bytes, which the caller has made sure of. */
static inline void text_copy(char *to, size_t room, const char *from)
{
    size_t bytes = strlen(from) + 1;

    XD_ASSERT(bytes <= room);
    memcpy(to, from, bytes);
}

struct sim_inode {
    struct list_node node;    /* in the disk's list, by age */
    struct sim_image newest;  /* what reads see */
    struct sim_image durable; /* what no crash can take */
    struct list in_flight;    /* struct sim_write, by start */
    struct list unsynced;     /* struct sim_write, finished, by finishing */
    uint64_t newest_bytes;    /* size */
    uint64_t durable_bytes;   /* size */
    uint32_t id;              /* number in creation sequence, for the trace */
    uint32_t holders;         /* names, name operations, handles and operations that point here */
    uint32_t folder;          /* number in 1..SIM_FOLDERS_MAX-1 of a folder; 0 = a file */
};

/* One write that no sync has covered yet. */
struct sim_write {
    struct list_node node; /* in in_flight or unsynced of its inode, or in the disk's free list */
    struct sim_inode *inode;
    struct sim_piece *pieces; /* the data, page by page without gap */
    uint32_t piece_count;     /* in use */
    uint32_t piece_capacity;  /* allocated */
    uint64_t position;        /* in file */
    uint64_t sequence;        /* of starting while in flight, then of finishing; disk-wide */
    uint32_t bytes;
    bool patched; /* carries newer bytes that are durable: no noise may replace them */
};

struct sim_name {
    char text[SIM_NAME_ROOM]; /* "meta-0", "quarantine/x" */
    struct sim_inode *inode;  /* held */
};

/* Names in strcmp sequence. */
struct sim_names {
    struct sim_name *entries;
    uint32_t count;
    uint32_t capacity;
};

/* A change of names that no dir_sync has covered: `from` goes away if given, `to` is set to the
 * inode if given. */
struct sim_name_op {
    char from[SIM_NAME_ROOM]; /* "" = none */
    char to[SIM_NAME_ROOM];   /* "" = none */
    struct sim_inode *inode;  /* held */
    uint64_t folders;         /* set of folder numbers touched */
};

struct sim_disk {
    struct sim_pages pages;
    struct list inodes;       /* all, by age */
    struct list free_inodes;  /* memory kept */
    struct list free_writes;  /* memory kept */
    struct sim_names newest;  /* what the process sees */
    struct sim_names durable; /* what no crash can take */
    struct sim_name_op *ops;  /* not covered by dir_sync, oldest first */
    uint32_t op_count;
    uint32_t op_capacity;
    uint32_t folder_count;   /* numbers given to folders, the data folder's 0 included */
    uint32_t inode_next;     /* id of the next one */
    uint64_t sequence;       /* last given to a write */
    uint64_t capacity_bytes; /* of the disk */
    uint64_t used_bytes;     /* sizes of all files in whole pages */
    uint64_t limit_bytes;    /* of sim_space_limit, still left; UINT64_MAX = no limit */
    uint64_t unsynced_bytes; /* in all writes in flight or unsynced */
};

/* ---- life ------------------------------------------------------------------------------------ */
void sim_disk_init(struct sim_disk *disk, uint64_t capacity_bytes);
/* Empty again, memory kept. Operations and handles must be gone or never come back. */
void sim_disk_reset(struct sim_disk *disk, uint64_t capacity_bytes);
void sim_disk_deinit(struct sim_disk *disk);

/* ---- files ----------------------------------------------------------------------------------- */
struct sim_inode *inode_new(struct sim_disk *disk, bool folder);
struct sim_inode *inode_hold(struct sim_inode *inode);
void inode_drop(struct sim_disk *disk, struct sim_inode *inode); /* the last one frees it */

/* Bytes of a write that the disk has room for: all, fewer, or 0. Takes them from the limit. */
uint32_t disk_room(struct sim_disk *disk, const struct sim_inode *inode, uint64_t position,
                   uint32_t bytes);
/* Size at least `bytes`; -ENOSPC. */
int disk_reserve(struct sim_disk *disk, struct sim_inode *inode, uint64_t bytes);

/* Copies the data; the write is in flight. */
struct sim_write *disk_write_start(struct sim_disk *disk, struct sim_inode *inode, const void *data,
                                   uint32_t bytes, uint64_t position);
/* Whether all of its data is zeros. */
bool disk_write_zeros(const struct sim_write *write);
/* The first `bytes` of it become visible, the rest never was. durable: also proof against crashes.
 */
void disk_write_finish(struct sim_disk *disk, struct sim_write *write, uint32_t bytes,
                       bool durable);
/* Bytes read: less at the end of the file. */
uint32_t disk_read(const struct sim_inode *inode, void *data, uint32_t bytes, uint64_t position);
/* Everything finished up to `sequence`, and a size of up to `size_bytes`, becomes durable. */
void disk_sync(struct sim_disk *disk, struct sim_inode *inode, uint64_t sequence,
               uint64_t size_bytes);
/* The same writes are lost but for random sectors; `shows` = reads still find them. */
void disk_sync_fail(struct sim_disk *disk, struct sim_inode *inode, uint64_t sequence, bool shows,
                    struct prng *prng);

/* Sets the newest size without looking for room. */
void inode_resize(struct sim_disk *disk, struct sim_inode *inode, uint64_t bytes);
/* Puts a copy of a write, also one of another disk, into a list of `inode`. */
void write_copy(struct sim_disk *disk, struct sim_inode *inode, struct list *list,
                const struct sim_write *write);
/* Lets a write in flight go to another place, at a page start, perhaps of another file. */
void write_move(struct sim_write *write, struct sim_inode *inode, uint64_t position);
/* Drops a write from its list, wherever it is. */
void write_forget(struct sim_disk *disk, struct sim_write *write);
/* Stores the write's bytes first..end (offsets into it) into an image of its file. */
void write_store(struct sim_disk *disk, struct sim_image *image, const struct sim_write *write,
                 uint32_t first, uint32_t end);

/* ---- names ----------------------------------------------------------------------------------- */
int disk_open(struct sim_disk *disk, const char *name, uint32_t flags, struct sim_inode **ret);
int disk_rename(struct sim_disk *disk, const char *from, const char *to);
int disk_unlink(struct sim_disk *disk, const char *name);
int disk_dir_make(struct sim_disk *disk, const char *name);
int disk_dir_entry(const struct sim_disk *disk, const char *name, uint32_t index, char *ret_name);
int disk_dir_sync(struct sim_disk *disk, const char *name);
/* The inode of a name, not held, or NULL. */
struct sim_inode *names_find(const struct sim_names *names, const char *text);
/* Sets or adds a name. */
void names_set(struct sim_disk *disk, struct sim_names *names, const char *text,
               struct sim_inode *inode);
/* Lets a copy of an operation of another disk wait in this one, for `inode`. */
void name_op_copy(struct sim_disk *disk, const struct sim_name_op *op, struct sim_inode *inode);
/* Makes the first `count` waiting operations durable and forgets the others. */
void disk_names_crash(struct sim_disk *disk, uint32_t count);
void disk_names_clear(struct sim_disk *disk);

/* ---- crash ----------------------------------------------------------------------------------- */
/* No operation may finish any more. `menu` is not ANY. */
void disk_crash(struct sim_disk *disk, enum sim_crash_menu menu, struct prng *prng);
/* Stores each sector of the write into the durable image, or not, by chance. */
void write_tear(struct sim_disk *disk, const struct sim_write *write, uint32_t grain_bytes,
                struct prng *prng);
void disk_copy(struct sim_disk *to, const struct sim_disk *from);

#endif
