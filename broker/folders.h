/* SPDX-License-Identifier: Apache-2.0
 *
 * The data folder as a whole: one shard's files, or a folder for each of several shards. How many
 * there are is decided when it is new and never changes.
 *
 * Failure paths: XD_OPTION_INVALID when the folder has another number of shards than the options,
 * XD_LOG_CORRUPT when it lacks one of them; -errno. `why` (CONFIG_WHY_BYTES) says what to do. Must
 * not write anything but folders, and not even those where it refuses.
 */
#ifndef CROSSDOCK_BROKER_FOLDERS_H
#define CROSSDOCK_BROKER_FOLDERS_H

#include <stdint.h>

/* Checks what is there, and makes the folders of several shards where they are new. A single
 * shard's folder is made by its engine. */
int folders_prepare(const char *data, uint32_t shard_count, char *why);

#endif
