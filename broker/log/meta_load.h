/* SPDX-License-Identifier: Apache-2.0
 *
 * The meta that a start begins with: the slot of the folder's meta file that counts, or one made up
 * for an empty folder. Blocking, recovery only. Must not write.
 */
#ifndef CROSSDOCK_LOG_META_LOAD_H
#define CROSSDOCK_LOG_META_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/env.h"
#include "broker/log/folder.h"
#include "broker/log/meta.h"

/* What the options say; the folder must have been made for the same. */
struct meta_expected {
    uint64_t segment_bytes; /* */
    uint32_t shard;         /* */
    uint32_t shard_count;   /* */
};

struct meta_loaded {
    struct meta meta;      /* the chosen slot; generation 0 when made up */
    env_file file;         /* open for writing, the caller's; -1 = there is no meta file */
    bool created;          /* the folder was empty: this meta is new, with an identity of its own */
    bool other_damaged;    /* the other slot is damaged */
    uint32_t other_number; /* that slot's number */
};

/* `scratch` takes META_SLOTS * META_SLOT_BYTES, 4 KiB aligned. 0, XD_LOG_CORRUPT (no whole slot
 * beside a log), XD_LOG_FOREIGN (another shard's), XD_FORMAT_UNKNOWN, XD_OPTION_INVALID (shard
 * count or segment size do not fit the folder) or -errno. The file is closed on failure. */
int meta_load(struct env *env, const struct folder *folder, const struct meta_expected *expected,
              uint8_t *scratch, struct meta_loaded *ret_loaded, char *why);

#endif
