/* SPDX-License-Identifier: Apache-2.0
 *
 * The conformance suite of broker/io/env.h: every rule of that header as a test that runs on every
 * implementation, so that what passes in the simulator also holds on the kernel.
 *
 * Normal path: a test program fills a struct conformance_kit for its implementation and makes one
 * Criterion test per row of ENV_CONFORMANCE_CASES:
 *
 *     #define CASE(name) Test(io_env_uring, name) { conformance_##name(kit()); }
 *     ENV_CONFORMANCE_CASES(CASE)
 *
 * Failure path: Criterion assertions. Must not know any implementation.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_ENV_CONFORMANCE_H
#define CROSSDOCK_TESTS_SUPPORT_ENV_CONFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "broker/io/env.h"

/* What one case wants from the env it runs on. */
struct conformance_need {
    uint32_t buffer_count;    /* receive buffers, power of two */
    uint32_t buffer_bytes;    /* of each, multiple of 4096 */
    uint32_t connections_max; /* size of the connection table */
};

/* An implementation under test, and clients for its network. Peers are small numbers; their calls
 * never block, and what they do becomes visible while the env waits. */
struct conformance_kit {
    void *context;       /* the kit's own */
    const char *address; /* to listen on, "127.0.0.1:0" */
    bool bells;          /* env_bell works; the env's own bell is number 0 */
    struct env *(*env_open)(void *context, const struct conformance_need *need);
    void (*env_close)(void *context, struct env *env);
    /* An id, or -ECONNREFUSED. */
    int (*peer_connect)(void *context, const char *address);
    /* Bytes taken, -EAGAIN when it takes none now, or a connection error. */
    int64_t (*peer_send)(void *context, int peer, const void *data, size_t bytes);
    /* Bytes, 0 at the end, -EAGAIN when there are none now, or a connection error. */
    int64_t (*peer_recv)(void *context, int peer, void *data, size_t bytes);
    void (*peer_finish)(void *context, int peer); /* ends its sending direction */
    void (*peer_reset)(void *context, int peer);  /* RST; the id is still to be freed */
    void (*peer_free)(void *context, int peer);   /* closes when still open */
};

/* CASE(name): the behaviour is the first comment of conformance_<name>(). */
#define ENV_CONFORMANCE_CASES(CASE)                                                                \
    CASE(monotonic_clock_never_goes_back)                                                          \
    CASE(random_numbers_differ)                                                                    \
    CASE(memory_is_zeroed_and_aligned)                                                             \
    CASE(wait_returns_at_the_deadline)                                                             \
    CASE(wait_without_deadline_does_not_wait)                                                      \
    CASE(wait_gives_no_more_events_than_asked)                                                     \
    CASE(written_bytes_are_read_back)                                                              \
    CASE(operations_in_flight_all_answer)                                                          \
    CASE(read_at_the_end_is_short)                                                                 \
    CASE(invalid_file_answers_with_an_event)                                                       \
    CASE(read_only_file_refuses_writes)                                                            \
    CASE(open_respects_its_flags)                                                                  \
    CASE(names_cannot_leave_the_folder)                                                            \
    CASE(reserved_space_reads_as_zero)                                                             \
    CASE(rename_replaces_and_unlink_removes)                                                       \
    CASE(folder_entries_come_in_name_sequence)                                                     \
    CASE(disk_space_is_reported)                                                                   \
    CASE(listener_refuses_malformed_addresses)                                                     \
    CASE(bytes_travel_both_ways)                                                                   \
    CASE(origin_is_the_address_without_port)                                                       \
    CASE(accept_stays_armed)                                                                       \
    CASE(accept_stop_ends_it)                                                                      \
    CASE(full_table_refuses_a_connection)                                                          \
    CASE(peer_that_finishes_is_received_as_zero)                                                   \
    CASE(peer_that_resets_ends_receive_and_send)                                                   \
    CASE(lent_buffers_end_the_receive)                                                             \
    CASE(lent_bytes_stay_until_released)                                                           \
    CASE(receive_stop_ends_it_and_loses_nothing)                                                   \
    CASE(many_pieces_arrive_in_sequence)                                                           \
    CASE(send_larger_than_any_window_completes)                                                    \
    CASE(close_with_operations_outstanding)                                                        \
    CASE(close_comes_last_and_once)                                                                \
    CASE(handles_are_used_again_without_confusion)                                                 \
    CASE(invalid_connection_answers_with_an_event)                                                 \
    CASE(bell_arrives_as_an_event)

#define ENV_CONFORMANCE_DECLARE(name) void conformance_##name(const struct conformance_kit *kit);
ENV_CONFORMANCE_CASES(ENV_CONFORMANCE_DECLARE)
#undef ENV_CONFORMANCE_DECLARE

#endif
