/* SPDX-License-Identifier: Apache-2.0
 *
 * What the log promises, as cases that every engine runs: the simulator, and io_uring and epoll
 * on a real folder. No case injects a fault; those that do stay with the simulator.
 *
 * A case gets a run that was begun and not opened; the caller ends it. LOG_SUITE_CASES(X) names all
 * of them, so that a test program instantiates them for its engine:
 *
 *     #define ON_SIM(name) Test(log_suite_sim, name) { ... log_suite_##name(&run); ... }
 *     LOG_SUITE_CASES(ON_SIM)
 *
 * Must not look at run->sim.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_LOG_SUITE_H
#define CROSSDOCK_TESTS_SUPPORT_LOG_SUITE_H

#include "tests/support/log_run.h"

/* clang-format off */
#define LOG_SUITE_CASES(X)                                                                         \
    X(gives_back_what_was_appended)                                                                \
    X(acknowledges_in_log_sequence)                                                                \
    X(is_durable_with_every_sync_method)                                                           \
    X(throttles_and_goes_on)                                                                       \
    X(covers_data_at_rest_with_a_mark)                                                             \
    X(survives_a_clean_restart)                                                                    \
    X(recovers_after_a_stop_without_flush)                                                         \
    X(rolls_over_segments)                                                                         \
    X(recycles_what_retention_drops)                                                               \
    X(restarts_from_a_checkpoint)                                                                  \
    X(waits_for_a_checkpoint_at_the_bound)                                                         \
    X(reads_from_memory_and_from_disk)                                                             \
    X(finds_the_place_for_an_offset_and_a_time)                                                    \
    X(refuses_to_start_without_its_active_file)                                                    \
    X(agrees_with_the_model)
/* clang-format on */

#define LOG_SUITE_DECLARE(name) void log_suite_##name(struct run *run);
LOG_SUITE_CASES(LOG_SUITE_DECLARE)
#undef LOG_SUITE_DECLARE

/* Options of a random run, drawn from `prng`. */
void log_model_options(struct run *run, struct prng *prng);
/* One step of a random run against the model. False when the process must be started anew. */
bool log_model_step(struct run *run, struct prng *prng);

#endif
