/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a shard in its thread: open, recover, join, listen, serve, drain, end.
 *
 * Normal path: life_make before the thread, life_run as the thread. It goes from stage to stage as
 * worker.h says, each told to the supervisor. Failure path: a step that fails is kept in the worker
 * with its reason, what is open is closed in the opposite sequence, and the thread waits to be told
 * to give its memory back. Must not touch another shard's.
 */
#ifndef CROSSDOCK_BROKER_LIFE_H
#define CROSSDOCK_BROKER_LIFE_H

#include "broker/worker.h"

struct life;

/* NULL without memory. Both arguments are borrowed for the whole life. */
struct life *life_make(struct worker *worker, const struct worker_common *common);

/* The thread: lives, and frees the life. Returns NULL. */
void *life_run(void *life);

#endif
