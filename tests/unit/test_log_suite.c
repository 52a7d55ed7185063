/* SPDX-License-Identifier: Apache-2.0
 *
 * What the log promises, on every engine: in the simulator, and on io_uring and epoll in a real
 * folder.
 */
#include "tests/support/log_run_disk.h"
#include "tests/support/log_suite.h"

#include <criterion/criterion.h>

#define SIM_CASE(name)                                                                             \
    Test(log_suite_sim, name)                                                                      \
    {                                                                                              \
        struct run run;                                                                            \
        run_begin(&run, 1);                                                                        \
        log_suite_##name(&run);                                                                    \
        run_end(&run);                                                                             \
    }
#define URING_CASE(name)                                                                           \
    Test(log_suite_uring, name, .timeout = 60)                                                     \
    {                                                                                              \
        struct run run;                                                                            \
        run_begin_uring(&run);                                                                     \
        log_suite_##name(&run);                                                                    \
        run_end(&run);                                                                             \
    }
#define EPOLL_CASE(name)                                                                           \
    Test(log_suite_epoll, name, .timeout = 60)                                                     \
    {                                                                                              \
        struct run run;                                                                            \
        run_begin_epoll(&run);                                                                     \
        log_suite_##name(&run);                                                                    \
        run_end(&run);                                                                             \
    }

LOG_SUITE_CASES(SIM_CASE)
LOG_SUITE_CASES(URING_CASE)
LOG_SUITE_CASES(EPOLL_CASE)
