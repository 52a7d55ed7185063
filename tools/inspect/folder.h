/* SPDX-License-Identifier: Apache-2.0
 *
 * A data folder, read with plain system calls: no ring, no lock of its own for long, nothing is
 * ever written. The format's checks are those of broker/log; only the walk is this program's.
 *
 * Normal path: folder_open, then its segments in rising number. Failure paths: a folder that a
 * broker uses is refused unless that is asked for; files that cannot be read are named.
 */
#ifndef CROSSDOCK_TOOLS_INSPECT_FOLDER_H
#define CROSSDOCK_TOOLS_INSPECT_FOLDER_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/log/checkpoint_format.h"
#include "broker/log/meta.h"
#include "broker/log/segment.h"

#define FOLDER_PATH_BYTES 4200u
#define FOLDER_NAME_BYTES 32u
#define FOLDER_WHY_BYTES 512u

/* One wal file. */
struct wal_file {
    char name[FOLDER_NAME_BYTES];  /* "wal.07" */
    uint64_t bytes;                /* of the file */
    struct segment_header *header; /* its first page */
    int status;                    /* of that page: 0, or what is wrong with it */
    const char *why;               /* static text for it */
    bool adopted;                  /* the page is damaged, its number comes from the first block;
                                      status is 0, `header` made up, `why` is kept */
};

struct data_folder {
    int fd;                           /* the folder */
    bool in_use;                      /* a broker holds its lock */
    struct meta *slots;               /* META_SLOTS of them, as they are on disk */
    int slot_status[META_SLOTS];      /* 0, or what is wrong with them */
    const char *slot_why[META_SLOTS]; /* static text */
    int current;                      /* slot to believe, -1 = none */
    struct wal_file *files;           /* by rising segment number, unreadable ones first */
    uint32_t file_count;              /* */
    char why[FOLDER_WHY_BYTES];       /* of a failure */
};

/* 0; -errno; XD_DATA_LOCKED without `force`; XD_LOG_CORRUPT when no meta slot is valid; then `why`
 * says more. folder_close in any case. */
int data_folder_open(struct data_folder *folder, const char *path, bool force);
void data_folder_close(struct data_folder *folder);

/* Reads `bytes` of a file of the folder at `at`; what lies behind its end reads as zeros. 0 or
 * -errno. */
int data_folder_read(const struct data_folder *folder, const char *name, void *data, uint64_t bytes,
                     uint64_t at);

/* The meta slot to believe. There must be one. */
const struct meta *data_folder_meta(const struct data_folder *folder);

#endif
