/* SPDX-License-Identifier: Apache-2.0
 *
 * What a path given to the inspector means: the files of one shard, or a data folder with a folder
 * for each of several shards, `shard-00` and so on.
 *
 * Normal path: folder_set_open, then the rows. With several shards a row whose folder is missing or
 * cannot be opened has a status, and the others are there all the same.
 * Failure paths: a broker that uses any of the folders, unless that is asked for; a path that is no
 * data folder. Must not print and must not write.
 */
#ifndef CROSSDOCK_TOOLS_INSPECT_SET_H
#define CROSSDOCK_TOOLS_INSPECT_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/inspect/folder.h"

/* Shards that a broker can have. */
#define FOLDER_SET_MAX 64u
/* "shard-00", terminator included. */
#define FOLDER_SET_NAME_BYTES 16u

struct folder_set_row {
    char name[FOLDER_SET_NAME_BYTES]; /* "" where the path is the one folder */
    int status;                       /* 0, or why it cannot be read; folder.why says more */
    struct data_folder folder;        /* closed unless status is 0 */
};

struct folder_set {
    bool several;                /* rows have names */
    uint32_t count;              /* */
    struct folder_set_row *rows; /* by shard number */
    char why[FOLDER_WHY_BYTES];  /* of a failure */
};

/* 0; -errno; XD_DATA_LOCKED without `force`; XD_LOG_CORRUPT when there is one folder and none of
 * its meta slots is valid, or none of several folders can be read. folder_set_close in any case. */
int folder_set_open(struct folder_set *set, const char *path, bool force);
void folder_set_close(struct folder_set *set);

#endif
