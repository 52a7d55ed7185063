/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of log_run.h on the production engines, in a real folder below the working folder, which is
 * on a real file system where a build is. The folder goes with the run.
 *
 * Where the kernel keeps io_uring away or the file system O_DIRECT, the test is skipped with the
 * reason.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_LOG_RUN_DISK_H
#define CROSSDOCK_TESTS_SUPPORT_LOG_RUN_DISK_H

#include "tests/support/log_run.h"

/* An empty folder; one run at a time per process. */
void run_begin_uring(struct run *run);
void run_begin_epoll(struct run *run);

#endif
