/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads, writes and syncs of the epoll env.
 *
 * Normal path: an operation becomes a job of the pool, is shown to its threads by the next wait,
 * and answered with what the kernel reported, short counts included. Failure path: an invalid
 * handle is answered with an event. Shutdown: env_epoll_close() has the pool do all jobs.
 *
 * Must not interpret contents, and must not retry a failed write or sync: the log decides.
 */
#include "broker/io/epoll_env.h"

#include <errno.h>

static void job_start(struct env_epoll *epoll, enum env_op kind, env_file file, uint64_t token,
                      struct file_job job)
{
    if (!host_file_is_open(&epoll->host, file)) {
        op_ready(&epoll->ops, op_take(&epoll->ops, kind, -1, token), -EBADF);
        return;
    }
    struct op *op = op_take(&epoll->ops, kind, file, token);
    struct file_job *slot = &epoll->jobs[op - epoll->ops.table];
    epoll->host.files[file].outstanding++;
    job.fd = epoll->host.files[file].fd;
    *slot = job;
    file_pool_add(&epoll->pool, slot);
}

void epoll_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                      uint64_t position, uint32_t flags, uint64_t token)
{
    struct env_epoll *epoll = epoll_of(env);
    host_file_assert_aligned(&epoll->host, file, data, bytes, position);
    bool dsync = flags & ENV_WRITE_DSYNC;
    /* A job has one pointer for both directions; a write only reads through it. */
    job_start(epoll, ENV_OP_WRITE, file, token,
              (struct file_job){.kind = dsync ? FILE_JOB_WRITE_DSYNC : FILE_JOB_WRITE,
                                .data = (void *)(uintptr_t)data,
                                .bytes = bytes,
                                .position = position});
}

void epoll_file_read(struct env *env, env_file file, void *data, uint32_t bytes, uint64_t position,
                     uint64_t token)
{
    struct env_epoll *epoll = epoll_of(env);
    host_file_assert_aligned(&epoll->host, file, data, bytes, position);
    job_start(epoll, ENV_OP_READ, file, token,
              (struct file_job){
                  .kind = FILE_JOB_READ, .data = data, .bytes = bytes, .position = position});
}

void epoll_file_sync(struct env *env, env_file file, uint64_t token)
{
    job_start(epoll_of(env), ENV_OP_SYNC, file, token, (struct file_job){.kind = FILE_JOB_SYNC});
}

void epoll_file_finish(struct env_epoll *epoll, const struct file_job *job,
                       struct env_event *ret_event)
{
    struct op *op = &epoll->ops.table[job - epoll->jobs];
    XD_ASSERT(op->state == OP_STARTED);
    host_file_done(&epoll->host, op->handle);
    op_finish(&epoll->ops, op, job->result, false, ret_event);
}
