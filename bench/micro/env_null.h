/* SPDX-License-Identifier: Apache-2.0
 *
 * An env without a world: the clock is real, files remember only their first bytes (what the log
 * reads back when it makes a folder), and everything that is started has ended by the next wait.
 * So a measurement over it shows the log's own time and no device's.
 *
 * Has no network: those operations are not there and must not be called. One thread.
 */
#ifndef CROSSDOCK_BENCH_MICRO_ENV_NULL_H
#define CROSSDOCK_BENCH_MICRO_ENV_NULL_H

#include "broker/io/env.h"

/* The caller closes it. NULL when there is no memory. */
struct env *env_null_open(void);
/* Frees it and the memory of env_mem_alloc. Accepts NULL. */
void env_null_close(struct env *env);

#endif
