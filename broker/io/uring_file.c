/* SPDX-License-Identifier: Apache-2.0
 *
 * Files of the io_uring env: the data folder and its lock, handles, reads, writes, syncs.
 *
 * Normal path: open through O_DIRECT below the folder's descriptor; operations go to the ring and
 * are answered with what the kernel reports, short counts included. Failure paths: a file system
 * without O_DIRECT is used through the page cache and named in engine_reason; an invalid handle is
 * answered with an event. Shutdown: operations in flight are awaited by env_uring_close() before
 * the lock goes, so that no write of ours lands after the next process has read the folder.
 *
 * Must not interpret contents, and must not retry a failed write or sync: the log decides.
 */
#include "broker/io/uring_env.h"

#include "wire/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECT_ALIGN 4096u

/* What to do about a folder that cannot be used. */
static const char *folder_hint(int status)
{
    switch (-status) {
    case ENOENT:
        return "make the folder it lies in, or name another one with --data";
    case ENOTDIR:
        return "a part of the path is no folder: name another one with --data";
    case EACCES:
    case EPERM:
        return "give the broker's user the permissions to enter, read and write it";
    case EROFS:
        return "the file system is read-only: mount it writable, or name another folder";
    case ENOSPC:
    case EDQUOT:
        return "make room on its file system";
    default:
        return xd_status_text(status);
    }
}

static int folder_failed(const char *step, const char *folder, int status, char *ret_why)
{
    (void)snprintf(ret_why, ENV_URING_WHY_BYTES, "%s %.300s: %s; %s", step, folder,
                   xd_status_name(status), folder_hint(status));
    return status;
}

/* Takes the lock of the open folder and leaves our process id in it, for people. */
static int lock_take(struct env_uring *uring, const char *folder, char *ret_why)
{
    uring->lock_fd =
        openat(uring->folder_fd, URING_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (uring->lock_fd < 0)
        return folder_failed("lock file of the data folder", folder, -errno, ret_why);
    char text[32] = "";
    if (flock(uring->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return folder_failed("locking the data folder", folder, -errno, ret_why);
        ssize_t bytes = pread(uring->lock_fd, text, sizeof(text) - 1, 0);
        text[bytes > 0 ? strcspn(text, "\n") : 0] = '\0';
        (void)snprintf(ret_why, ENV_URING_WHY_BYTES,
                       "process %s uses the data folder; stop it or name another folder",
                       text[0] ? text : "(unknown)");
        return XD_DATA_LOCKED;
    }
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    XD_ASSERT(length > 0 && (size_t)length < sizeof(text));
    /* The number only helps people; the lock holds without it. */
    if (ftruncate(uring->lock_fd, 0) == 0)
        (void)!pwrite(uring->lock_fd, text, (size_t)length, 0);
    return 0;
}

int uring_folder_open(struct env_uring *uring, const char *folder, char *ret_why)
{
    XD_ASSERT(folder && ret_why);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return folder_failed("making the data folder", folder, -errno, ret_why);
    uring->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (uring->folder_fd < 0)
        return folder_failed("opening the data folder", folder, -errno, ret_why);
    return lock_take(uring, folder, ret_why);
}

void uring_files_close(struct env_uring *uring)
{
    for (uint32_t i = 0; uring->files && i < uring->files_max; i++) {
        if (uring->files[i].fd >= 0)
            (void)close(uring->files[i].fd); /* Durable is what was synced; close adds nothing. */
    }
    if (uring->folder_fd >= 0)
        (void)close(uring->folder_fd); /* Read-only descriptor. */
    if (uring->lock_fd >= 0)
        (void)close(uring->lock_fd); /* Gives the lock back. */
    uring->folder_fd = -1;
    uring->lock_fd = -1;
}

static bool file_is_open(const struct env_uring *uring, env_file file)
{
    return file >= 0 && (uint32_t)file < uring->files_max && uring->files[file].fd >= 0;
}

/* openat with the flags that are an improvement where they are permitted. */
static int open_best(struct env_uring *uring, const char *name, int flags, bool direct)
{
    flags |= O_CLOEXEC | O_NOFOLLOW;
    int extra = O_NOATIME | (direct && !uring->direct_refused ? O_DIRECT : 0);
    int fd = openat(uring->folder_fd, name, flags | extra, 0600);
    if (fd < 0 && errno == EPERM) {
        /* O_NOATIME is for the file's owner only. */
        extra &= ~O_NOATIME;
        fd = openat(uring->folder_fd, name, flags | extra, 0600);
    }
    if (fd < 0 && errno == EINVAL && (extra & O_DIRECT)) {
        /* The kernel creates the file before it finds out: do not insist on O_EXCL again. */
        fd = openat(uring->folder_fd, name, (flags & ~O_EXCL) | (extra & ~O_DIRECT), 0600);
        if (fd >= 0) {
            size_t length = strlen(uring->reason);
            uring->direct_refused = true;
            (void)snprintf(uring->reason + length, sizeof(uring->reason) - length,
                           "; the data folder's file system has no O_DIRECT, files go through the "
                           "page cache: use ext4 or xfs");
        }
    }
    return fd < 0 ? -errno : fd;
}

int uring_file_open(struct env *env, const char *name, uint32_t flags, env_file *ret_file)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(name && ret_file);
    XD_ASSERT(!(flags & ENV_OPEN_EXCLUSIVE) || (flags & ENV_OPEN_CREATE));
    int status = uring_name_check(name);
    if (status < 0)
        return status;
    uint32_t slot = 0;
    while (slot < uring->files_max && uring->files[slot].fd >= 0)
        slot++;
    if (slot == uring->files_max)
        return -EMFILE;

    int mode = flags & ENV_OPEN_READ_ONLY ? O_RDONLY : O_RDWR;
    mode |= flags & ENV_OPEN_CREATE ? O_CREAT : 0;
    mode |= flags & ENV_OPEN_EXCLUSIVE ? O_EXCL : 0;
    bool direct = !(flags & ENV_OPEN_BUFFERED);
    int fd = open_best(uring, name, mode, direct);
    if (fd < 0)
        return fd;
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        (void)close(fd); /* Nothing was written through it. */
        return -EINVAL;
    }
    if (flags & ENV_OPEN_CREATE)
        uring->entry_name[0] = '\0';
    uring->files[slot] = (struct uring_file){.fd = fd, .aligned = direct};
    *ret_file = (env_file)slot;
    return 0;
}

void uring_file_close(struct env *env, env_file file)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(file_is_open(uring, file));
    XD_ASSERT(uring->files[file].outstanding == 0);
    (void)close(uring->files[file].fd); /* Errors of writes were reported to the writes. */
    uring->files[file].fd = -1;
}

int uring_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(ret_bytes);
    if (!file_is_open(uring, file))
        return -EBADF;
    struct stat about;
    if (fstat(uring->files[file].fd, &about) != 0)
        return -errno;
    *ret_bytes = (uint64_t)about.st_size;
    return 0;
}

int uring_file_reserve(struct env *env, env_file file, uint64_t bytes)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(bytes > 0 && bytes <= INT64_MAX);
    if (!file_is_open(uring, file))
        return -EBADF;
    int fd = uring->files[file].fd;
    /* A file system that cannot reserve gets the size alone: the caller's zeros reserve the rest.
     */
    if (fallocate(fd, 0, 0, (off_t)bytes) != 0 && errno != EOPNOTSUPP)
        return -errno;
    return ftruncate(fd, (off_t)bytes) != 0 ? -errno : 0;
}

/* Starts an operation on an open file and returns its entry, or answers it through the ready list
 * and returns NULL. */
static struct io_uring_sqe *file_begin(struct env_uring *uring, enum env_op kind, env_file file,
                                       uint64_t token, struct uring_op **ret_op)
{
    if (!file_is_open(uring, file)) {
        uring_op_ready(&uring->ops, uring_op_take(&uring->ops, kind, -1, token), -EBADF);
        return NULL;
    }
    struct uring_op *op = uring_op_take(&uring->ops, kind, file, token);
    uring->files[file].outstanding++;
    *ret_op = op;
    return uring_sqe_for(uring, op);
}

/* What O_DIRECT demands, asserted also where the file system does not: a mistake must show in tests
 * on tmpfs too. */
static void alignment_assert(const struct env_uring *uring, env_file file, const void *data,
                             uint32_t bytes, uint64_t position)
{
    if (!file_is_open(uring, file) || !uring->files[file].aligned)
        return;
    XD_ASSERT((uintptr_t)data % DIRECT_ALIGN == 0);
    XD_ASSERT(bytes % DIRECT_ALIGN == 0);
    XD_ASSERT(position % DIRECT_ALIGN == 0);
}

void uring_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                      uint64_t position, uint32_t flags, uint64_t token)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(data && bytes > 0);
    alignment_assert(uring, file, data, bytes, position);
    struct uring_op *op = NULL;
    struct io_uring_sqe *sqe = file_begin(uring, ENV_OP_WRITE, file, token, &op);
    if (!sqe)
        return;
    io_uring_prep_write(sqe, uring->files[file].fd, data, bytes, position);
    sqe->rw_flags = flags & ENV_WRITE_DSYNC ? RWF_DSYNC : 0;
    io_uring_sqe_set_data64(sqe, uring_op_user_data(&uring->ops, op));
}

void uring_file_read(struct env *env, env_file file, void *data, uint32_t bytes, uint64_t position,
                     uint64_t token)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(data && bytes > 0);
    alignment_assert(uring, file, data, bytes, position);
    struct uring_op *op = NULL;
    struct io_uring_sqe *sqe = file_begin(uring, ENV_OP_READ, file, token, &op);
    if (!sqe)
        return;
    io_uring_prep_read(sqe, uring->files[file].fd, data, bytes, position);
    io_uring_sqe_set_data64(sqe, uring_op_user_data(&uring->ops, op));
}

void uring_file_sync(struct env *env, env_file file, uint64_t token)
{
    struct env_uring *uring = uring_of(env);
    struct uring_op *op = NULL;
    struct io_uring_sqe *sqe = file_begin(uring, ENV_OP_SYNC, file, token, &op);
    if (!sqe)
        return;
    io_uring_prep_fsync(sqe, uring->files[file].fd, IORING_FSYNC_DATASYNC);
    io_uring_sqe_set_data64(sqe, uring_op_user_data(&uring->ops, op));
}

void uring_file_done(struct env_uring *uring, const struct uring_op *op)
{
    if (op->handle < 0)
        return;
    struct uring_file *file = &uring->files[op->handle];
    XD_ASSERT(file->fd >= 0);
    XD_ASSERT(file->outstanding > 0);
    file->outstanding--;
}
