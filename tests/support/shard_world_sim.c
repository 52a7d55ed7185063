/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulator as the engine of shard_world.h: a world without faults, and power cuts that keep
 * nothing that was not synced.
 */
#include "tests/support/shard_world.h"

#include <criterion/criterion.h>

static struct env *sim_start(struct world *world)
{
    struct env_sim_options options;
    env_sim_options_init(&options);
    options.mem_bytes_max *= world->options.log.shard_count;
    options.buffer_count *= world->options.log.shard_count;
    return env_sim_process(world->sim, &options);
}

static void sim_stop(struct world *world)
{
    (void)sim_crash(world->sim, SIM_CRASH_KEEP_NONE);
}

static int sim_connect(struct world *world, struct wire_client *wire)
{
    wire->sim = world->sim;
    return wire_client_connect(wire, world->address);
}

static void sim_pump(struct wire_client *wire)
{
    (void)wire_client_pump(wire);
}

static void sim_leave(struct wire_client *wire, bool reset)
{
    wire_client_leave(wire, reset);
}

static void sim_end(struct world *world)
{
    sim_close(world->sim);
}

static const struct world_engine engine = {.name = "simulator",
                                           .address = "127.0.0.1:7700",
                                           .start = sim_start,
                                           .stop = sim_stop,
                                           .connect = sim_connect,
                                           .pump = sim_pump,
                                           .leave = sim_leave,
                                           .end = sim_end};

struct world *world_begin_sim(void)
{
    return world_begin_sim_shards(1);
}

struct world *world_begin_sim_shards(uint32_t shard_count)
{
    struct sim_options options;
    sim_options_init(&options, 1);
    struct world *world = world_begin_on(&engine);
    world->options.log.shard_count = shard_count;
    world->sim = sim_open(&options);
    return world;
}
