/* SPDX-License-Identifier: Apache-2.0
 *
 * Data folders to be damaged: each is what one real shard and its clients have left, with folders
 * of earlier moments of the same life beside it, for blocks that are stale.
 *
 * Normal path: bit_base_make for every kind, bit_base_deinit. Failure path: a life that does not
 * run, or a folder that does not hold what was acknowledged, is told in `failure`.
 */
#ifndef CROSSDOCK_TESTS_CRASH_BIT_BASE_H
#define CROSSDOCK_TESTS_CRASH_BIT_BASE_H

#include "broker/base/prng.h"
#include "tests/crash/bit_map.h"
#include "tests/crash/crash_client.h"
#include "tests/sim/sim_broker.h"

#include <stdbool.h>
#include <stdint.h>

#define BIT_BASES 7u
#define BIT_MOMENTS 3u
#define BIT_FAILURE_BYTES 512u

struct bit_base {
    const char *name;                      /* of its life */
    struct sim_snapshot folder;            /* as it is left */
    struct sim_snapshot then[BIT_MOMENTS]; /* earlier ones */
    uint32_t moments;                      /* of `then` */
    struct bit_map map;                    /* of `folder` */
    struct log_options options;            /* to start it with */
    uint64_t acked[CRASH_LANES];           /* records acknowledged in each partition */
    uint32_t partition;                    /* the first of them */
};

/* What makes them. */
struct bit_maker {
    struct sim_broker broker;        /* */
    struct crash_client client;      /* */
    struct prng prng;                /* of the life */
    struct bit_base *base;           /* being made */
    char failure[BIT_FAILURE_BYTES]; /* "" = none */
};

const char *bit_base_name(uint32_t kind);
void bit_maker_init(struct bit_maker *maker);
void bit_maker_deinit(struct bit_maker *maker);
/* Life number `kind` of BIT_BASES. Pages of its folders belong to the pool of `judged`, in which
 * they will be started. False: see maker->failure. */
bool bit_base_make(struct bit_maker *maker, uint32_t kind, uint64_t seed, struct sim *judged,
                   struct bit_base *base);
void bit_base_deinit(struct bit_base *base);

#endif
