/* SPDX-License-Identifier: Apache-2.0
 *
 * What a shard promises its clients, on every engine: in the simulator, and on io_uring and epoll
 * with files in a real folder, over loopback and over a local socket.
 */
#include "tests/support/shard_suite.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#define SIM_CASE(name)                                                                             \
    Test(shard_suite_sim, name)                                                                    \
    {                                                                                              \
        struct world *world = world_begin_sim();                                                   \
        shard_suite_##name(world);                                                                 \
        world_end(world);                                                                          \
    }
#define URING_CASE(name)                                                                           \
    Test(shard_suite_uring, name, .timeout = 60)                                                   \
    {                                                                                              \
        struct world *world = world_begin_uring("127.0.0.1:0");                                    \
        shard_suite_##name(world);                                                                 \
        world_end(world);                                                                          \
    }
#define URING_LOCAL_CASE(name)                                                                     \
    Test(shard_suite_uring_local, name, .timeout = 60)                                             \
    {                                                                                              \
        char address[64];                                                                          \
        (void)snprintf(address, sizeof address, "unix:/tmp/crossdock-%d.sock", (int)getpid());     \
        struct world *world = world_begin_uring(address);                                          \
        shard_suite_##name(world);                                                                 \
        world_end(world);                                                                          \
        (void)unlink(address + 5);                                                                 \
    }
#define EPOLL_CASE(name)                                                                           \
    Test(shard_suite_epoll, name, .timeout = 60)                                                   \
    {                                                                                              \
        struct world *world = world_begin_epoll("127.0.0.1:0");                                    \
        shard_suite_##name(world);                                                                 \
        world_end(world);                                                                          \
    }
#define EPOLL_LOCAL_CASE(name)                                                                     \
    Test(shard_suite_epoll_local, name, .timeout = 60)                                             \
    {                                                                                              \
        char address[64];                                                                          \
        (void)snprintf(address, sizeof address, "unix:/tmp/crossdock-%d.sock", (int)getpid());     \
        struct world *world = world_begin_epoll(address);                                          \
        shard_suite_##name(world);                                                                 \
        world_end(world);                                                                          \
        (void)unlink(address + 5);                                                                 \
    }

SHARD_SUITE_CASES(SIM_CASE)
SHARD_SUITE_CASES(URING_CASE)
SHARD_SUITE_CASES(URING_LOCAL_CASE)
SHARD_SUITE_CASES(EPOLL_CASE)
SHARD_SUITE_CASES(EPOLL_LOCAL_CASE)
