/* SPDX-License-Identifier: Apache-2.0
 *
 * What a shard promises its clients, as cases that every engine runs: the simulator, and io_uring
 * and epoll with real files and sockets. No case injects a fault or looks at the engine; those that
 * do stay with the simulator.
 *
 * A case gets a world that was begun and not started; the caller ends it. SHARD_SUITE_CASES(X)
 * names all of them, so that a test program instantiates them for its engines.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SHARD_SUITE_H
#define CROSSDOCK_TESTS_SUPPORT_SHARD_SUITE_H

#include "tests/support/shard_world.h"

/* clang-format off */
#define SHARD_SUITE_CASES(X)                                                                       \
    X(acknowledges_and_serves_a_batch)                                                             \
    X(answers_each_row_of_the_chain_table)                                                         \
    X(answers_twice_at_a_weaker_durability)                                                        \
    X(takes_frames_of_many_large_batches)                                                          \
    X(fences_the_former_holder)                                                                    \
    X(resumes_a_channel_after_a_kill)                                                              \
    X(keeps_what_it_acknowledged_through_kills)                                                    \
    X(seeks_by_offset_and_by_time)                                                                 \
    X(wakes_a_long_poll_and_ends_it)                                                               \
    X(changes_the_catalog_by_verbs)                                                                \
    X(closes_a_peer_that_breaks_a_rule)                                                            \
    X(forgets_a_frame_that_was_cut)                                                                \
    X(stops_in_order_and_starts_again)
/* clang-format on */

#define SHARD_SUITE_DECLARE(name) void shard_suite_##name(struct world *world);
SHARD_SUITE_CASES(SHARD_SUITE_DECLARE)
#undef SHARD_SUITE_DECLARE

#endif
