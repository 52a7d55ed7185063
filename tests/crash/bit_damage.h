/* SPDX-License-Identifier: Apache-2.0
 *
 * Damage to a data folder at rest, and which of its areas it changed.
 *
 * Normal path: bit_damage_make gives a damaged folder beside the whole one, with pages shared;
 * bit_damage_clear. Failure path: false when this kind cannot be done to that class here, or would
 * change nothing; draw again.
 */
#ifndef CROSSDOCK_TESTS_CRASH_BIT_DAMAGE_H
#define CROSSDOCK_TESTS_CRASH_BIT_DAMAGE_H

#include "broker/base/prng.h"
#include "tests/crash/bit_base.h"

#include <stdbool.h>
#include <stdint.h>

enum bit_kind {
    BIT_FLIP,       /* one bit */
    BIT_FLIPS,      /* two to eight of them, mostly close together */
    BIT_ZERO,       /* 512 bytes or a page of zeros */
    BIT_GARBAGE,    /* random bytes, likewise */
    BIT_STALE,      /* what stood in the place before: a sector, a page, a block, the file */
    BIT_MOVED,      /* bytes of another place of the file */
    BIT_MOVED_FILE, /* bytes of another file of the folder */
    BIT_FOREIGN,    /* bytes of another log: a sector, a page, the file */
    BIT_SWAPPED,    /* two files have each other's name */
    BIT_TRUNCATED,  /* the file ends early */
    BIT_MISSING,    /* the file is gone */
    BIT_KIND_COUNT
};

struct bit_damage {
    struct sim_snapshot folder;   /* damaged */
    enum bit_kind kind;           /* */
    enum bit_class class;         /* of the area it was aimed at */
    const struct bit_base *base;  /* the whole folder */
    uint32_t area;                /* aimed at */
    uint32_t home[BIT_FILES_MAX]; /* per file of the map: row of `folder` that has its contents
                                     now, BIT_NONE = none */
    uint32_t swapped[2];          /* BIT_SWAPPED: files of the map */
    bool *hit;                    /* per area of the map: bytes of it are others now */
    char text[256];               /* what was done */
};

const char *bit_kind_name(enum bit_kind kind);
void bit_damage_init(struct bit_damage *damage, struct sim *judged);
void bit_damage_deinit(struct bit_damage *damage);

bool bit_damage_make(struct bit_damage *damage, const struct bit_base *base,
                     const struct bit_base *foreign, enum bit_kind kind, enum bit_class class,
                     struct prng *prng);

/* No damage: the folder as it is. */
void bit_damage_none(struct bit_damage *damage, const struct bit_base *base);

/* The row of the damaged folder that has the file's contents, or NULL. */
const struct sim_snapshot_file *bit_damage_file(const struct bit_damage *damage, uint32_t file);
/* Whether bytes at..end of two images differ. */
bool bit_images_differ(const struct sim_image *a, const struct sim_image *b, uint64_t at,
                       uint64_t end);
/* Whether an area of the block has changed. */
bool bit_damage_block(const struct bit_damage *damage, uint32_t block);

#endif
