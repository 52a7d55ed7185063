/* SPDX-License-Identifier: Apache-2.0
 *
 * One env as several: the shards of a broker in one simulated process, each with an env of its own
 * over the same world.
 *
 * Normal path: split_init over the process's env; each shard is opened on split_env(); the test
 * then takes rounds: split_round waits on the env below until something is due and says which
 * shards have a reason to turn, and each of these takes its turn, in a sequence drawn from the
 * seed. The env_wait of such a turn does not wait: it gives what the round has brought. Any other
 * one, of a shard that opens or recovers, waits for that shard's events.
 *
 * Every shard's files lie in a folder of its own (names get a prefix), listeners of the same
 * address get a port each (split_address says which), a bell makes its shard due. Tokens carry the
 * shard in their topmost bits while they are below.
 *
 * Failure path: a process that dies takes all shards with it, as in the world. Receive buffers are
 * one pool: give it enough for all. Must not be used for real threads.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_ENV_SPLIT_H
#define CROSSDOCK_TESTS_SUPPORT_ENV_SPLIT_H

#include "broker/base/prng.h"
#include "broker/io/env.h"

#include <stdbool.h>
#include <stdint.h>

#define SPLIT_SHARDS_MAX 4u

struct split;

/* One shard's end. */
struct split_end {
    struct env env;           /* first: the seam */
    struct split *split;      /* */
    uint32_t shard;           /* */
    bool sealed;              /* mem_seal() was called */
    bool turning;             /* named by the newest round, has not waited since */
    bool rung;                /* its bell, since the last round that named it */
    struct env_event *events; /* a queue that grows */
    uint32_t event_head;      /* next to give */
    uint32_t event_count;     /* behind the last */
    uint32_t event_room;      /* elements of events */
};

struct split {
    struct env *below; /* borrowed */
    uint32_t count;    /* shards */
    struct prng prng;  /* sequence of turns */
    struct split_end ends[SPLIT_SHARDS_MAX];
};

/* The number of shards is 1..SPLIT_SHARDS_MAX. Frees nothing that a former use holds: split_deinit.
 */
void split_init(struct split *split, struct env *below, uint32_t count, uint64_t seed);
void split_deinit(struct split *split);
struct env *split_env(struct split *split, uint32_t shard);

/* Waits until an event, a bell or the earliest of `deadlines` (one for each shard) is there. Writes
 * the shards that are due into `ret_shards`, in the sequence of their turns; returns their count,
 * or the status of the env below. */
int split_round(struct split *split, const uint64_t *deadlines, uint32_t *ret_shards);

/* What a client connects to, to get to that shard: the address with the shard added to its port.
 * `ret_address` has ENV_ADDRESS_BYTES_MAX. */
void split_address(const char *address, uint32_t shard, char *ret_address);

#endif
