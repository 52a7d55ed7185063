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
};

/* Reads and checks both files, `bodies` too when that is true. 0 or -ENOMEM. */
int state_read(const struct data_folder *folder, bool bodies,
               struct checkpoint_state ret_states[CHECKPOINT_FILES]);
void state_free(struct checkpoint_state states[CHECKPOINT_FILES]);
/* Number of the segment that recovery begins with, 0 = unknown. */
uint64_t state_scan_no(const struct data_folder *folder,
                       const struct checkpoint_state states[CHECKPOINT_FILES]);

#endif
