/* SPDX-License-Identifier: Apache-2.0
 *
 * Loads the checkpoint that meta names, or the other one when that is damaged.
 * Blocking, recovery only. Must not look into the state.
 */
#ifndef CROSSDOCK_LOG_CHECKPOINT_LOAD_H
#define CROSSDOCK_LOG_CHECKPOINT_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/env.h"
#include "broker/log/checkpoint_format.h"
#include "broker/log/meta.h"

struct checkpoint_loaded {
    struct checkpoint_header header; /* of the one in memory */
    uint64_t other_position;         /* position of the other file's checkpoint, 0 = none valid */
    uint64_t other_generation;       /* its generation, 0 = none valid */
    bool fallback;                   /* the one that meta names was damaged */
};

/* meta names a checkpoint (generation > 0). `memory` of `memory_bytes` takes the body,
 * `scan_memory` is SCAN_BYTES of scratch; both 4 KiB aligned. 0, XD_CHECKPOINT_CORRUPT,
 * XD_LOG_FOREIGN, XD_FORMAT_UNKNOWN, XD_OPTION_INVALID (memory too small) or -errno of the engine.
 */
int checkpoint_load(struct env *env, const struct meta *meta, uint8_t *memory,
                    uint64_t memory_bytes, uint8_t *scan_memory,
                    struct checkpoint_loaded *ret_loaded, char *why);

#endif
