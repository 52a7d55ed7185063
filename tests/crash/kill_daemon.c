/* SPDX-License-Identifier: Apache-2.0
 *
 * Starting and watching the daemon that kills itself; see kill_daemon.h.
 */
#include "tests/crash/kill_daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define LOCK_WAITS 200u /* of LOCK_WAIT_US */
#define LOCK_WAIT_US 10000u

static int environment_failed(struct kill_daemon *daemon, int error)
{
    snprintf(daemon->broker.process.why, sizeof daemon->broker.process.why, "environment: %s",
             strerror(error));
    return -error;
}

int kill_daemon_plan(struct kill_daemon *daemon, enum env_crash_point point, uint32_t hit)
{
    snprintf(daemon->place, sizeof daemon->place, "%s:%u", kill_point_name(point), hit);
    return setenv(KILL_VARIABLE, daemon->place, 1) < 0 ? environment_failed(daemon, errno) : 0;
}

int kill_daemon_plan_nothing(struct kill_daemon *daemon)
{
    snprintf(daemon->place, sizeof daemon->place, "RANDOM");
    return unsetenv(KILL_VARIABLE) < 0 ? environment_failed(daemon, errno) : 0;
}

long kill_daemon_log_bytes(const struct kill_daemon *daemon)
{
    struct stat stat_now;
    return stat(daemon->broker.process.log, &stat_now) == 0 ? (long)stat_now.st_size : 0;
}

bool kill_daemon_said_last_words(const struct kill_daemon *daemon, long from)
{
    char line[512], words[sizeof KILL_LAST_WORDS + KILL_TEXT_BYTES + 1];
    bool found = false;
    FILE *file = fopen(daemon->broker.process.log, "re");
    if (file == NULL)
        return false;
    snprintf(words, sizeof words, "%s%s\n", KILL_LAST_WORDS, daemon->place);
    if (fseek(file, from, SEEK_SET) == 0) {
        while (!found && fgets(line, sizeof line, file) != NULL)
            found = strcmp(line, words) == 0;
    }
    fclose(file);
    return found;
}

bool kill_daemon_is_dead(const struct kill_daemon *daemon)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)daemon->broker.process.pid, &info, WEXITED | WNOHANG | WNOWAIT) ==
               0 &&
           info.si_pid == daemon->broker.process.pid;
}

int kill_daemon_start(struct kill_daemon *daemon, const char *sync, uint32_t timeout_ms)
{
    long from = kill_daemon_log_bytes(daemon);
    int status;
    for (uint32_t i = 0;; i++) {
        status = power_broker_start(&daemon->broker, sync, timeout_ms);
        /* The kernel unlocks the folder of a killed daemon a moment after its end is seen. */
        if (status != -ECHILD || i == LOCK_WAITS || kill_daemon_said_last_words(daemon, from) ||
            strstr(daemon->broker.process.why, "DATA_LOCKED") == NULL)
            break;
        process_sleep_us(LOCK_WAIT_US);
    }
    if (status == -ECHILD && kill_daemon_said_last_words(daemon, from))
        return 0;
    return status < 0 ? status : 1;
}
