/* SPDX-License-Identifier: Apache-2.0
 *
 * A map: how the fields of somebody else's file become those of a record. Grammar: docs/RECORDS.md.
 *
 *   [rename]     ARTNR = sku          their name = ours; - passes a field over
 *   [constants]  type = PICK_CONFIRMED
 *   [columns]    sku = 1-18           fixed width: first and last character of a line, from 1
 *
 * Normal path: map_load once, then lookups. Failure path: the first thing that is wrong, with file,
 * line, key and what is expected. Must not read files of records.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_MAP_H
#define CROSSDOCK_TOOLS_CROSSDOCK_MAP_H

#include <stdbool.h>
#include <stddef.h>

/* Rows of each section. */
#define MAP_ROWS_MAX 64u
/* Last character that a column may have. */
#define MAP_COLUMN_MAX 65535u
#define MAP_NAME_BYTES 64u
#define MAP_VALUE_BYTES 256u
#define MAP_WHY_BYTES 768u

struct map_rename {
    char theirs[MAP_NAME_BYTES]; /* */
    char ours[MAP_NAME_BYTES];   /* "" = passed over */
    unsigned line;               /* of the map */
};

struct map_constant {
    char name[MAP_NAME_BYTES];   /* a field of a record */
    char value[MAP_VALUE_BYTES]; /* */
    unsigned line;               /* of the map */
};

struct map_column {
    char name[MAP_NAME_BYTES]; /* a field of a record */
    unsigned first;            /* character, from 1 */
    unsigned last;             /* inclusive */
    unsigned line;             /* of the map */
};

struct map {
    const char *path;                            /* borrowed, for messages */
    unsigned rename_count;                       /* of `renames` */
    unsigned constant_count;                     /* of `constants` */
    unsigned column_count;                       /* of `columns` */
    struct map_rename renames[MAP_ROWS_MAX];     /* in the sequence of the file */
    struct map_constant constants[MAP_ROWS_MAX]; /* in the sequence of the file */
    struct map_column columns[MAP_ROWS_MAX];     /* in the sequence of the file */
};

/* Reads the file. 0; -errno; or XDOCK_OPTION_INVALID with the sentence in `why` (MAP_WHY_BYTES),
 * which is empty for -errno. */
int map_load(struct map *map, const char *path, char *why);

/* Our name of a field: another one, the same, or NULL when it is passed over. `map` may be NULL. */
const char *map_name(const struct map *map, const char *theirs);
/* The constant of that field, NULL when the map sets none. `map` may be NULL. */
const struct map_constant *map_constant_of(const struct map *map, const char *name);

/* Cuts column `column` out of a line, blanks around it away, into `ret_text` (bytes + 1 long at
 * least). Characters are those of UTF-8; in a line that is no UTF-8 they are bytes. Returns its
 * bytes, 0 when the line is shorter. */
size_t map_cut(const struct map_column *column, const char *line, size_t bytes, bool utf8,
               char *ret_text);

#endif
