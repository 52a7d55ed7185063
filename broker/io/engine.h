/* SPDX-License-Identifier: Apache-2.0
 *
 * Which production env it is: io_uring, or epoll where io_uring is refused. What opens a real env
 * and does not care which goes through here.
 *
 * Normal path: engine_open() tries io_uring and is done. Failure path: the kernel or the container
 * refuses it; then the epoll env is opened, whose engine_reason says why and how to allow io_uring.
 * An engine that was asked for by name is the only one tried.
 *
 * Must not be used after start-up but to close.
 */
#ifndef CROSSDOCK_BROKER_IO_ENGINE_H
#define CROSSDOCK_BROKER_IO_ENGINE_H

#include <stdint.h>

#include "broker/io/env.h"
#include "broker/io/env_uring.h"

/* Room for the text that explains a failed open, terminator included. */
#define ENGINE_WHY_BYTES 512u

enum engine_choice {
    ENGINE_AUTO = 0,     /* io_uring, or epoll when it is refused */
    ENGINE_IO_URING = 1, /* that or nothing */
    ENGINE_EPOLL = 2,
};

struct engine_options {
    enum engine_choice choice;    /* default ENGINE_AUTO */
    uint32_t file_threads;        /* of the epoll engine, see env_epoll.h; default 2 */
    struct env_uring_options env; /* sizes, folder and bell for both; `entries` and `mode_best`
                                     are for io_uring alone */
};

/* An open engine, or a zeroed one. */
struct engine {
    struct env *env;          /* NULL = not open */
    enum engine_choice which; /* not AUTO, when open */
};

void engine_options_init(struct engine_options *options);

/* Opens an env and locks the data folder. Blocking. Failures are those of env_uring_open() and
 * env_epoll_open(), explained in ret_why (ENGINE_WHY_BYTES). */
int engine_open(const struct engine_options *options, struct engine *ret_engine, char *ret_why);

/* Stops it as env_uring_stop() does: only memory that was lent to other threads stays. Accepts a
 * zeroed one. */
void engine_stop(struct engine *engine);
/* Closes it as env_uring_close() and env_epoll_close() do and zeroes it. Accepts a zeroed one. */
void engine_close(struct engine *engine);

#endif
