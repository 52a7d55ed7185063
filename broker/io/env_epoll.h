/* SPDX-License-Identifier: Apache-2.0
 *
 * The second production implementation of env.h: epoll for sockets, a few threads for files. For
 * kernels and containers that refuse io_uring; Linux 4.7 is enough.
 *
 * Life cycle: env_epoll_options_init(), set what differs, env_epoll_open(), allocate through
 * env_mem_alloc(), env_mem_seal(), then turns of env_wait(), env_epoll_close(). Open and every call
 * on the env belong to one thread; the threads for files never call anything of it.
 *
 * Behaviour beyond env.h is that of env_uring.h: a connection without a slot, handles that are not
 * open, bell.
 */
#ifndef CROSSDOCK_BROKER_IO_ENV_EPOLL_H
#define CROSSDOCK_BROKER_IO_ENV_EPOLL_H

#include <stdint.h>

#include "broker/io/bells.h"
#include "broker/io/env.h"

/* Room for the text that explains a failed open, terminator included. */
#define ENV_EPOLL_WHY_BYTES 512u

#define ENV_EPOLL_FILE_THREADS_MAX 8u

/* Sizes are allocated at open; there is no growth later. Ranges and meanings are those of struct
 * env_uring_options, if nothing else is said. */
struct env_epoll_options {
    const char *folder;        /* data folder, borrowed during open. No default */
    const char *reason;        /* why this engine and not io_uring, for engine_reason; copied.
                                  Default "asked for" */
    uint32_t file_threads;     /* file operations that are with the kernel at once; more wait their
                                  turn. 1..8, default 2 */
    uint32_t buffer_count;     /* receive buffers, default 128 */
    uint32_t buffer_bytes;     /* bytes of one, default 64 KiB */
    uint32_t connections_max;  /* open connections at once, default 1024 */
    uint32_t files_max;        /* open files at once, default 256 */
    uint32_t file_ops_max;     /* file operations started and not answered at once, default 1024 */
    uint64_t memory_bytes_max; /* budget as in env_uring.h, in bytes; stacks of threads are not in
                                  it. Default 0 = no limit */
    const struct bells *bells; /* borrowed; default NULL: nobody rings */
    uint32_t bell;             /* of this env */
    bool shared;               /* other envs may listen on the same TCP ports; default false */
};

void env_epoll_options_init(struct env_epoll_options *options);

/* Opens the env and locks the data folder. Blocking.
 *
 * Failures, all explained with a remedy in ret_why (ENV_EPOLL_WHY_BYTES):
 *   XD_OPTION_INVALID  an option outside its range
 *   XD_DATA_LOCKED     another process uses the folder
 *   other -errno       from the folder's file system, or for want of memory, descriptors, threads
 */
int env_epoll_open(const struct env_epoll_options *options, struct env **ret_env, char *ret_why);

/* As env_uring_stop(). */
void env_epoll_stop(struct env *env);
/* Waits for all file operations that were started, closes everything, frees the memory of
 * env_mem_alloc() and unlocks the folder. Events not yet delivered are lost. Accepts NULL.
 * Blocking. */
void env_epoll_close(struct env *env);

#endif
