/* SPDX-License-Identifier: Apache-2.0
 *
 * The conformance suite's kit for the simulator: each env is the process of a world of its own, and
 * the peers are the world's clients. The kit's context is a struct kit_world.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_CONFORMANCE_SIM_H
#define CROSSDOCK_TESTS_SUPPORT_CONFORMANCE_SIM_H

#include "tests/support/env_conformance.h"
#include "tests/support/env_sim.h"

#include <stdint.h>

struct kit_world {
    struct sim *sim; /* open while the env is */
    uint64_t seed;   /* of it */
};

static inline struct env *kit_env_open(void *context, const struct conformance_need *need)
{
    struct kit_world *world = context;
    struct sim_options options;
    struct env_sim_options process;

    sim_options_init(&options, world->seed);
    env_sim_options_init(&process);
    process.buffer_count = need->buffer_count;
    process.buffer_bytes = need->buffer_bytes;
    process.conns_max = need->connections_max;
    world->sim = sim_open(&options);
    return env_sim_process(world->sim, &process);
}

static inline void kit_env_close(void *context, struct env *env)
{
    struct kit_world *world = context;

    (void)env; /* lives in the world */
    sim_close(world->sim);
    world->sim = NULL;
}

static inline int kit_peer_connect(void *context, const char *address)
{
    return sim_client_connect(((struct kit_world *)context)->sim, address);
}

static inline int64_t kit_peer_send(void *context, int peer, const void *data, size_t bytes)
{
    return sim_client_send(((struct kit_world *)context)->sim, peer, data, bytes);
}

static inline int64_t kit_peer_recv(void *context, int peer, void *data, size_t bytes)
{
    return sim_client_recv(((struct kit_world *)context)->sim, peer, data, bytes);
}

static inline void kit_peer_finish(void *context, int peer)
{
    sim_client_close(((struct kit_world *)context)->sim, peer);
}

static inline void kit_peer_reset(void *context, int peer)
{
    sim_client_reset(((struct kit_world *)context)->sim, peer);
}

static inline void kit_peer_free(void *context, int peer)
{
    sim_client_free(((struct kit_world *)context)->sim, peer);
}

#endif
