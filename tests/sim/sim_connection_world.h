/* SPDX-License-Identifier: Apache-2.0
 *
 * The world of the connection scripts: the smallest shard that serves, on the same prepared disk
 * each time, so that a script begins within a fraction of a millisecond.
 *
 * Normal path: connection_world_open makes the disk once: topic "stock", facility DC1, the channels
 * that scripts use, and a log that ends close to the end of its first segment, because a start
 * reads the rest of a segment. connection_world_begin starts a shard on it, connection_world_turn
 * runs it, connection_world_end takes it away; everything that a script did to the disk is gone
 * then.
 *
 * There are no faults but those a script asks for: a turn that fails is an assertion.
 */
#ifndef CROSSDOCK_TESTS_SIM_SIM_CONNECTION_WORLD_H
#define CROSSDOCK_TESTS_SIM_SIM_CONNECTION_WORLD_H

#include "broker/base/counters.h"
#include "broker/shard/shard.h"
#include "tests/support/env_sim.h"
#include "tests/support/sim_snapshot.h"

#include <stdbool.h>
#include <stdint.h>

#define WORLD_DISK_BYTES (24ull << 20)
#define WORLD_CONNECTIONS_MAX 4u /* places: one that comes again may find its old one taken */
#define WORLD_CHANNELS_MAX 6u    /* of the shard */
#define WORLD_CHAINS_MAX 6u      /* of the shard */
#define WORLD_WIDTH 2u           /* partitions of "stock" in a facility */
#define WORLD_PARTITIONS                                                                           \
    6u /* of the prepared disk: "stock" 0 and 1, DC1 3 and 4; 2 and 5 are of                       \
        * "filler" */

struct connection_world {
    struct sim *sim;
    struct env *env;                         /* NULL = no shard runs */
    struct shard *shard;                     /* of the running process */
    struct shard_options options;            /* of every start */
    struct sim_snapshot disk;                /* what a start begins with */
    char address[ENV_ADDRESS_BYTES_MAX];     /* bound */
    struct counters before;                  /* as of the newest check */
    uint64_t turns;                          /* of the running shard */
    uint64_t closes[NET_CLOSE_REASON_COUNT]; /* lines of closed connections, over all runs */
    uint64_t refused; /* lines of connections that found no place, over all runs */
};

/* Takes memory and makes the disk; once per process, never given back. */
void connection_world_open(struct connection_world *world);
/* A new shard on the prepared disk. The same each time. */
void connection_world_begin(struct connection_world *world);
/* The shard and what it wrote are gone. */
void connection_world_end(struct connection_world *world);
/* One turn of at most `ns`. */
void connection_world_turn(struct connection_world *world, uint64_t ns);
/* What must hold between any two turns: counters only rise, levels are within their budgets. */
void connection_world_check(struct connection_world *world);
/* Whether everything that connections took has come back: places, receive buffers, answers, reads
 * that wait, bytes that are not durable. */
bool connection_world_idle(struct connection_world *world);

#endif
