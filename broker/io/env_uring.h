/* SPDX-License-Identifier: Apache-2.0
 *
 * The first production implementation of env.h: Linux 6.0 or newer, io_uring. Where that is refused
 * there is env_epoll.h; engine.h chooses.
 *
 * Life cycle: env_uring_options_init(), set what differs, env_uring_open(), allocate through
 * env_mem_alloc(), env_mem_seal(), then turns of env_wait(), env_uring_close(). Open and every call
 * on the env belong to one thread. Nothing but this header is for the rest of the broker.
 *
 * Behaviour beyond env.h that callers rely on:
 * - An accept that finds the connection table full is answered -EMFILE with more as it was; the
 *   peer's connection has been closed.
 * - A call on a handle that is not open answers -EBADF in its event.
 */
#ifndef CROSSDOCK_BROKER_IO_ENV_URING_H
#define CROSSDOCK_BROKER_IO_ENV_URING_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/bells.h"
#include "broker/io/env.h"

/* Room for the text that explains a failed open, terminator included. */
#define ENV_URING_WHY_BYTES 512u

#define ENV_URING_ENTRIES_MIN 8u
#define ENV_URING_ENTRIES_MAX 32768u
#define ENV_URING_BUFFERS_MAX 32768u
#define ENV_URING_BUFFER_BYTES_MIN 4096u
#define ENV_URING_BUFFER_BYTES_MAX (1024u * 1024u)
#define ENV_URING_CONNECTIONS_MAX 65536u
#define ENV_URING_FILES_MAX 4096u
#define ENV_URING_FILE_OPS_MAX 16384u

/* Sizes are allocated at open; there is no growth later. */
struct env_uring_options {
    const char *folder;        /* data folder; made with mode 0700 when missing (its parent exists).
                                  Borrowed during open. No default */
    uint32_t entries;          /* submission entries, power of two, 8..32768, default 1024;
                                  completions: four times as many */
    uint32_t buffer_count;     /* receive buffers, power of two, 1..32768, default 128 */
    uint32_t buffer_bytes;     /* bytes of one, multiple of 4096, 4 KiB..1 MiB, default 64 KiB */
    uint32_t connections_max;  /* open connections at once, 1..65536, default 1024 */
    uint32_t files_max;        /* open files at once, 1..4096, default 256 */
    uint32_t file_ops_max;     /* file operations in flight at once, 1..16384, default 1024; the
                                  caller's own bound must keep below it (asserted) */
    uint32_t mode_best;        /* best way to run completions that is tried: 0 = deferred (default),
                                  1 = cooperative, 2 = plain. For tests and troublesome kernels */
    uint64_t memory_bytes_max; /* budget of env_mem_alloc() and the tables of the env itself, in
                                  bytes; 0 = no limit (default) */
    const struct bells *bells; /* borrowed; default NULL: nobody rings */
    uint32_t bell;             /* of this env */
    bool shared;               /* other envs may listen on the same TCP ports; default false */
    bool *ret_refused; /* set by open when it gets as far as the ring: whether the kernel refused
                          it; borrowed. Default NULL: not wanted */
};

void env_uring_options_init(struct env_uring_options *options);

/* Opens the env and locks the data folder. Blocking.
 *
 * Failures, all explained with a remedy in ret_why (ENV_URING_WHY_BYTES):
 *   XD_OPTION_INVALID  an option outside its range
 *   XD_DATA_LOCKED     another process uses the folder
 *   -EPERM, -EACCES, -ENOSYS, -EINVAL, -ENOMEM, -EMFILE  there is no ring to be had here (or the
 *                      folder is not ours: the text says which)
 *   other -errno       from the folder's file system
 */
int env_uring_open(const struct env_uring_options *options, struct env **ret_env, char *ret_why);

/* Waits for writes and reads in flight, closes everything and unlocks the folder; only the memory
 * of env_mem_alloc() and of receive buffers stays, for other threads that were lent some of it.
 * Events not yet delivered are lost. Nothing but close may follow. Blocking. */
void env_uring_stop(struct env *env);
/* The same, when it has not been stopped, and frees the memory. Accepts NULL. */
void env_uring_close(struct env *env);

#endif
