/* SPDX-License-Identifier: Apache-2.0
 *
 * The running broker: the supervisor of the threads of its shards, from start to stop.
 *
 * Normal path: prepare the data folder, open the listener for metrics, start a worker for each
 * shard; when all are ready have them listen, say "ready", watch until asked to stop, have them
 * drain, say "stopped". Failure paths: what fails before "ready" is reported with a remedy and ends
 * the process. A storage fence or a broken engine of any shard later: all workers drop what they
 * have and are started again on the same folder and addresses, BROKER_REOPENS_MAX times within
 * BROKER_REOPENS_NS, then the process ends. Signals: TERM and INT stop; HUP checks the
 * configuration; USR1 prints the status of each shard as JSON.
 *
 * Belongs to the thread that calls. Must not look into a shard.
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
