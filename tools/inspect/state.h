/* SPDX-License-Identifier: Apache-2.0
 *
 * Meta slots and checkpoints of a data folder, checked.
 */
#ifndef CROSSDOCK_TOOLS_INSPECT_STATE_H
#define CROSSDOCK_TOOLS_INSPECT_STATE_H

#include <stdbool.h>

#include "broker/log/checkpoint_format.h"
#include "tools/inspect/folder.h"

/* One checkpoint file. */
struct checkpoint_state {
    struct checkpoint_header *header; /* owned */
    char name[FOLDER_NAME_BYTES];     /* "checkpoint.0" */
    bool there;                       /* the file exists */
    bool named;                       /* the current meta slot names it */
    int status;                       /* 0, or what is wrong with header or body */
    const char *why;                  /* static text for it */
    uint64_t first_no;                /* oldest segment that the body lists, 0 = not read */
};

/* What the next start goes by. */
struct state_range {
    uint64_t scan_no;  /* segment that it begins to read, 0 = unknown */
    uint64_t first_no; /* of those before it, the oldest that the checkpoint lists, 0 = unknown */
};

/* Reads and checks both files, `bodies` too when that is true. 0 or -ENOMEM. */
int state_read(const struct data_folder *folder, bool bodies,
               struct checkpoint_state ret_states[CHECKPOINT_FILES]);
void state_free(struct checkpoint_state states[CHECKPOINT_FILES]);
/* first_no is known when the bodies were read. */
struct state_range state_range_of(const struct data_folder *folder,
                                  const struct checkpoint_state states[CHECKPOINT_FILES]);

#endif
