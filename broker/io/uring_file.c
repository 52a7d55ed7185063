/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads, writes and syncs of the io_uring env.
 *
 * Normal path: operations go to the ring and are answered with what the kernel reports, short
 * counts included. Failure path: an invalid handle is answered with an event. Shutdown: operations
 * in flight are awaited by env_uring_close() before the folder's lock goes.
 *
 * Must not interpret contents, and must not retry a failed write or sync: the log decides.
 */
#include "broker/io/uring_env.h"

#include <errno.h>

/* Starts an operation on an open file and returns its entry, or answers it through the ready list
 * and returns NULL. */
static struct io_uring_sqe *file_begin(struct env_uring *uring, enum env_op kind, env_file file,
                                       uint64_t token, struct op **ret_op)
{
    if (!host_file_is_open(&uring->host, file)) {
        op_ready(&uring->ops, op_take(&uring->ops, kind, -1, token), -EBADF);
        return NULL;
    }
    struct op *op = op_take(&uring->ops, kind, file, token);
    uring->host.files[file].outstanding++;
    *ret_op = op;
    return uring_sqe_for(uring, op);
}

void uring_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                      uint64_t position, uint32_t flags, uint64_t token)
{
    struct env_uring *uring = uring_of(env);
    host_file_assert_aligned(&uring->host, file, data, bytes, position);
    struct op *op = NULL;
    struct io_uring_sqe *sqe = file_begin(uring, ENV_OP_WRITE, file, token, &op);
    if (!sqe)
        return;
    io_uring_prep_write(sqe, uring->host.files[file].fd, data, bytes, position);
    sqe->rw_flags = flags & ENV_WRITE_DSYNC ? RWF_DSYNC : 0;
    io_uring_sqe_set_data64(sqe, op_user_data(&uring->ops, op));
}

void uring_file_read(struct env *env, env_file file, void *data, uint32_t bytes, uint64_t position,
                     uint64_t token)
{
    struct env_uring *uring = uring_of(env);
    host_file_assert_aligned(&uring->host, file, data, bytes, position);
    struct op *op = NULL;
    struct io_uring_sqe *sqe = file_begin(uring, ENV_OP_READ, file, token, &op);
    if (!sqe)
        return;
    io_uring_prep_read(sqe, uring->host.files[file].fd, data, bytes, position);
    io_uring_sqe_set_data64(sqe, op_user_data(&uring->ops, op));
}

void uring_file_sync(struct env *env, env_file file, uint64_t token)
{
    struct env_uring *uring = uring_of(env);
    struct op *op = NULL;
    struct io_uring_sqe *sqe = file_begin(uring, ENV_OP_SYNC, file, token, &op);
    if (!sqe)
        return;
    io_uring_prep_fsync(sqe, uring->host.files[file].fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data64(sqe, op_user_data(&uring->ops, op));
}
