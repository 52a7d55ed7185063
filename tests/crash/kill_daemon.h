/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon that kills itself at a crash point, as its test sees it: told where to die, started,
 * asked whether it has died and of what.
 *
 * Normal path: kill_daemon_plan or kill_daemon_plan_nothing, kill_daemon_start, then
 * kill_daemon_is_dead until it is, process_kill for its status, and kill_daemon_said_last_words.
 * Failure path: 0 or -errno with a sentence in broker.process.why. Must not know the load.
 */
#ifndef CROSSDOCK_TESTS_CRASH_KILL_DAEMON_H
#define CROSSDOCK_TESTS_CRASH_KILL_DAEMON_H

#include "tests/crash/kill_point.h"
#include "tests/crash/power_broker.h"

#include <stdbool.h>
#include <stdint.h>

struct kill_daemon {
    struct power_broker broker;  /* */
    char place[KILL_TEXT_BYTES]; /* of the newest plan, "POINT:N" or "RANDOM" */
};

/* Tells the next start where to die. */
int kill_daemon_plan(struct kill_daemon *daemon, enum env_crash_point point, uint32_t hit);
/* The next start is not to die by itself. */
int kill_daemon_plan_nothing(struct kill_daemon *daemon);

/* 1 when the daemon serves, 0 when it killed itself before, as it was told to. */
int kill_daemon_start(struct kill_daemon *daemon, const char *sync, uint32_t timeout_ms);
/* Whether the daemon has ended; process_kill still takes its status. */
bool kill_daemon_is_dead(const struct kill_daemon *daemon);

/* Bytes of the daemon's log so far. */
long kill_daemon_log_bytes(const struct kill_daemon *daemon);
/* Whether the log holds the last words for the newest plan behind byte `from`. */
bool kill_daemon_said_last_words(const struct kill_daemon *daemon, long from);

#endif
