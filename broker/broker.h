/* SPDX-License-Identifier: Apache-2.0
 *
 * The running broker: env and shard of one process, from start to stop.
 *
 * Normal path: open the env (which locks the data folder), give the shard its memory, recover,
 * listen, say "ready", turn until asked to stop, drain, say "stopped". Failure paths: what fails
 * before "ready" is reported with a remedy and ends the process. A storage fence or a broken engine
 * later: env and shard are thrown away and opened again on the same folder and addresses,
 * BROKER_REOPENS_MAX times within BROKER_REOPENS_NS, then the process ends. Signals: TERM and INT
 * stop; HUP checks the configuration; USR1 prints the status as JSON.
 *
 * One thread. Must not look into frames or the log.
 */
#ifndef CROSSDOCK_BROKER_BROKER_H
#define CROSSDOCK_BROKER_BROKER_H

#include <stdio.h>

#include "broker/config.h"

#define BROKER_REOPENS_MAX 3u
#define BROKER_REOPENS_NS 60000000000ull

/* Exit codes of crossdockd. */
enum broker_exit {
    BROKER_EXIT_STOPPED = 0, /* as asked */
    BROKER_EXIT_FAILED = 1,  /* storage, engine, memory, addresses */
    BROKER_EXIT_USAGE = 2    /* command line or configuration */
};

/* What is said when there is not even memory for the first struct. */
#define BROKER_NO_MEMORY                                                                           \
    "crossdockd: no memory to start with; raise the memory limit of the service (MemoryMax, "      \
    "ulimit -v)\n"

/* Runs until stopped. `sources` are read again on HUP; all is borrowed. Lines go to `out`. */
enum broker_exit broker_run(const struct config *config, const struct config_sources *sources,
                            FILE *out);

#endif
