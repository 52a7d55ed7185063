/* SPDX-License-Identifier: Apache-2.0
 *
 * A data folder of its own for each test of a production env. It lies below the working folder,
 * which is on a real file system where a build is, and is named by the process, of which Criterion
 * gives each test one. To be used as .init and .fini of a test.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_DATA_FOLDER_H
#define CROSSDOCK_TESTS_SUPPORT_DATA_FOLDER_H

#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* After folder_setup; not made yet. */
static char folder[64];

static inline int folder_remove_entry(const char *path, const struct stat *about, int type,
                                      struct FTW *ftw)
{
    (void)about;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void folder_remove(void)
{
    (void)nftw(folder, folder_remove_entry, 16, FTW_DEPTH | FTW_PHYS); /* May not exist. */
}

static inline void folder_setup(void)
{
    (void)snprintf(folder, sizeof(folder), "crossdock-data-%d", (int)getpid());
    folder_remove();
}

#endif
