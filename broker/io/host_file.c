/* SPDX-License-Identifier: Apache-2.0
 *
 * The data folder and its lock, and the table of open files.
 *
 * Normal path: open through O_DIRECT below the folder's descriptor. Failure paths: a file system
 * without O_DIRECT is used through the page cache and named in engine_reason. Shutdown: the engine
 * has waited for its operations before the lock goes, so that no write of ours lands after the next
 * process has read the folder.
 *
 * Must not read or write contents: the engines do.
 */
#include "broker/io/host.h"

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
    (void)snprintf(ret_why, HOST_WHY_BYTES, "%s %.300s: %s; %s", step, folder,
                   xd_status_name(status), folder_hint(status));
    return status;
}

/* Takes the lock of the open folder and leaves our process id in it, for people. */
static int lock_take(struct host *host, const char *folder, char *ret_why)
{
    host->lock_fd =
        openat(host->folder_fd, HOST_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (host->lock_fd < 0)
        return folder_failed("lock file of the data folder", folder, -errno, ret_why);
    char text[32] = "";
    if (flock(host->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            return folder_failed("locking the data folder", folder, -errno, ret_why);
        ssize_t bytes = pread(host->lock_fd, text, sizeof(text) - 1, 0);
        text[bytes > 0 ? strcspn(text, "\n") : 0] = '\0';
        (void)snprintf(ret_why, HOST_WHY_BYTES,
                       "process %s uses the data folder; stop it or name another folder",
                       text[0] ? text : "(unknown)");
        return XD_DATA_LOCKED;
    }
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    XD_ASSERT(length > 0 && (size_t)length < sizeof(text));
    /* The number only helps people; the lock holds without it. */
    if (ftruncate(host->lock_fd, 0) == 0)
        (void)!pwrite(host->lock_fd, text, (size_t)length, 0);
    return 0;
}

int host_folder_open(struct host *host, const char *folder, char *ret_why)
{
    XD_ASSERT(folder && ret_why);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return folder_failed("making the data folder", folder, -errno, ret_why);
    host->folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (host->folder_fd < 0)
        return folder_failed("opening the data folder", folder, -errno, ret_why);
    return lock_take(host, folder, ret_why);
}

void host_files_close(struct host *host)
{
    for (uint32_t i = 0; host->files && i < host->files_max; i++) {
        if (host->files[i].fd >= 0)
            (void)close(host->files[i].fd); /* Durable is what was synced; close adds nothing. */
    }
    if (host->folder_fd >= 0)
        (void)close(host->folder_fd); /* Read-only descriptor. */
    if (host->lock_fd >= 0)
        (void)close(host->lock_fd); /* Gives the lock back. */
    host->folder_fd = -1;
    host->lock_fd = -1;
}

bool host_file_is_open(const struct host *host, env_file file)
{
    return file >= 0 && (uint32_t)file < host->files_max && host->files[file].fd >= 0;
}

/* openat with the flags that are an improvement where they are permitted. */
static int open_best(struct host *host, const char *name, int flags, bool direct)
{
    flags |= O_CLOEXEC | O_NOFOLLOW;
    int extra = O_NOATIME | (direct && !host->direct_refused ? O_DIRECT : 0);
    int fd = openat(host->folder_fd, name, flags | extra, 0600);
    if (fd < 0 && errno == EPERM) {
        /* O_NOATIME is for the file's owner only. */
        extra &= ~O_NOATIME;
        fd = openat(host->folder_fd, name, flags | extra, 0600);
    }
    if (fd < 0 && errno == EINVAL && (extra & O_DIRECT)) {
        /* The kernel creates the file before it finds out: do not insist on O_EXCL again. */
        fd = openat(host->folder_fd, name, (flags & ~O_EXCL) | (extra & ~O_DIRECT), 0600);
        if (fd >= 0) {
            size_t length = strlen(host->reason);
            host->direct_refused = true;
            (void)snprintf(host->reason + length, sizeof(host->reason) - length,
                           "; the data folder's file system has no O_DIRECT, files go through the "
                           "page cache: use ext4 or xfs");
        }
    }
    return fd < 0 ? -errno : fd;
}

int host_file_open(struct env *env, const char *name, uint32_t flags, env_file *ret_file)
{
    struct host *host = host_of(env);
    XD_ASSERT(name && ret_file);
    XD_ASSERT(!(flags & ENV_OPEN_EXCLUSIVE) || (flags & ENV_OPEN_CREATE));
    int status = host_name_check(name);
    if (status < 0)
        return status;
    uint32_t slot = 0;
    while (slot < host->files_max && host->files[slot].fd >= 0)
        slot++;
    if (slot == host->files_max)
        return -EMFILE;

    int mode = flags & ENV_OPEN_READ_ONLY ? O_RDONLY : O_RDWR;
    mode |= flags & ENV_OPEN_CREATE ? O_CREAT : 0;
    mode |= flags & ENV_OPEN_EXCLUSIVE ? O_EXCL : 0;
    bool direct = !(flags & ENV_OPEN_BUFFERED);
    int fd = open_best(host, name, mode, direct);
    if (fd < 0)
        return fd;
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        (void)close(fd); /* Nothing was written through it. */
        return -EINVAL;
    }
    if (flags & ENV_OPEN_CREATE)
        host->entry_name[0] = '\0';
    host->files[slot] = (struct host_file){.fd = fd, .aligned = direct};
    *ret_file = (env_file)slot;
    return 0;
}

void host_file_close(struct env *env, env_file file)
{
    struct host *host = host_of(env);
    XD_ASSERT(host_file_is_open(host, file));
    XD_ASSERT(host->files[file].outstanding == 0);
    (void)close(host->files[file].fd); /* Errors of writes were reported to the writes. */
    host->files[file].fd = -1;
}

int host_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes)
{
    struct host *host = host_of(env);
    XD_ASSERT(ret_bytes);
    if (!host_file_is_open(host, file))
        return -EBADF;
    struct stat about;
    if (fstat(host->files[file].fd, &about) != 0)
        return -errno;
    *ret_bytes = (uint64_t)about.st_size;
    return 0;
}

int host_file_reserve(struct env *env, env_file file, uint64_t bytes)
{
    struct host *host = host_of(env);
    XD_ASSERT(bytes > 0 && bytes <= INT64_MAX);
    if (!host_file_is_open(host, file))
        return -EBADF;
    int fd = host->files[file].fd;
    /* A file system that cannot reserve gets the size alone: the caller's zeros reserve the rest.
     */
    if (fallocate(fd, 0, 0, (off_t)bytes) != 0 && errno != EOPNOTSUPP)
        return -errno;
    return ftruncate(fd, (off_t)bytes) != 0 ? -errno : 0;
}

/* Asserted also where the file system does not demand it: a mistake must show in tests on tmpfs
 * too. */
void host_file_assert_aligned(const struct host *host, env_file file, const void *data,
                              uint32_t bytes, uint64_t position)
{
    XD_ASSERT(data && bytes > 0);
    if (!host_file_is_open(host, file) || !host->files[file].aligned)
        return;
    XD_ASSERT((uintptr_t)data % DIRECT_ALIGN == 0);
    XD_ASSERT(bytes % DIRECT_ALIGN == 0);
    XD_ASSERT(position % DIRECT_ALIGN == 0);
}

void host_file_done(struct host *host, env_file file)
{
    if (file < 0)
        return;
    XD_ASSERT(host_file_is_open(host, file));
    XD_ASSERT(host->files[file].outstanding > 0);
    host->files[file].outstanding--;
}
