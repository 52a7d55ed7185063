/* SPDX-License-Identifier: Apache-2.0
 *
 * Names in the data folder: check, rename, unlink, folders, listing, sync, space.
 *
 * Normal path: one system call below the folder's descriptor; all of it blocks, none of it belongs
 * into a busy turn. Failure path: -errno as the kernel gave it, -EINVAL for a name that could leave
 * the folder. Must not follow symbolic links out of the folder and must not allocate: listing keeps
 * one name and finds the next larger one.
 */
#include "broker/io/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Reads of a folder until its end, as a bound: 16 KiB hold at least 50 entries of 300 bytes. */
#define ENTRY_READS_MAX 20000u

static bool part_is_bad(const char *part, size_t bytes)
{
    return bytes == 0 || (bytes == 1 && part[0] == '.') ||
           (bytes == 2 && part[0] == '.' && part[1] == '.');
}

int host_name_check(const char *name)
{
    XD_ASSERT(name);
    size_t bytes = strnlen(name, ENV_NAME_BYTES_MAX);
    if (bytes == ENV_NAME_BYTES_MAX || strcmp(name, HOST_LOCK_NAME) == 0)
        return -EINVAL;
    const char *slash = memchr(name, '/', bytes);
    if (!slash)
        return part_is_bad(name, bytes) ? -EINVAL : 0;
    size_t first = (size_t)(slash - name);
    size_t second = bytes - first - 1;
    if (part_is_bad(name, first) || part_is_bad(slash + 1, second))
        return -EINVAL;
    return memchr(slash + 1, '/', second) ? -EINVAL : 0;
}

int host_file_rename(struct env *env, const char *from, const char *to)
{
    struct host *host = host_of(env);
    int status = host_name_check(from);
    status = status < 0 ? status : host_name_check(to);
    if (status < 0)
        return status;
    host->entry_name[0] = '\0';
    return renameat(host->folder_fd, from, host->folder_fd, to) != 0 ? -errno : 0;
}

int host_file_unlink(struct env *env, const char *name)
{
    struct host *host = host_of(env);
    int status = host_name_check(name);
    if (status < 0)
        return status;
    host->entry_name[0] = '\0';
    return unlinkat(host->folder_fd, name, 0) != 0 ? -errno : 0;
}

int host_dir_make(struct env *env, const char *name)
{
    struct host *host = host_of(env);
    int status = host_name_check(name);
    if (status < 0)
        return status;
    host->entry_name[0] = '\0';
    if (mkdirat(host->folder_fd, name, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    struct stat about;
    if (fstatat(host->folder_fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    return S_ISDIR(about.st_mode) ? 0 : -ENOTDIR;
}

/* Descriptor of a folder, "" = the data folder itself. The caller closes it. */
static int folder_open(struct host *host, const char *name)
{
    int status = name[0] == '\0' ? 0 : host_name_check(name);
    if (status < 0)
        return status;
    int fd = openat(host->folder_fd, name[0] == '\0' ? "." : name,
                    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

/* An entry that this env's callers can see: they could not name the others anyway. */
static bool entry_counts(const char *name, bool top)
{
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    if (top && strcmp(name, HOST_LOCK_NAME) == 0)
        return false;
    return strnlen(name, ENV_NAME_BYTES_MAX) < ENV_NAME_BYTES_MAX;
}

/* Smallest name behind `after` ("" = any) into ret_name; -ENOENT when there is none. */
static int entry_behind(struct host *host, int fd, bool top, const char *after, char *ret_name)
{
    char best[ENV_NAME_BYTES_MAX] = "";
    if (lseek(fd, 0, SEEK_SET) != 0)
        return -errno;
    for (uint32_t reads = 0; reads < ENTRY_READS_MAX; reads++) {
        ssize_t bytes = getdents64(fd, host->entries, sizeof(host->entries));
        if (bytes < 0)
            return -errno;
        if (bytes == 0) {
            if (best[0] == '\0')
                return -ENOENT;
            memcpy(ret_name, best, sizeof(best));
            return 0;
        }
        for (size_t at = 0; at < (size_t)bytes;) {
            /* The kernel aligns records to 8 bytes; `entries` is aligned for them. */
            const struct dirent64 *entry = (const void *)(host->entries + at);
            at += entry->d_reclen;
            if (!entry_counts(entry->d_name, top) || strcmp(entry->d_name, after) <= 0)
                continue;
            if (best[0] == '\0' || strcmp(entry->d_name, best) < 0)
                memcpy(best, entry->d_name, strlen(entry->d_name) + 1);
        }
    }
    return -EFBIG;
}

int host_dir_entry(struct env *env, const char *name, uint32_t index, char *ret_name)
{
    struct host *host = host_of(env);
    XD_ASSERT(name && ret_name);
    int fd = folder_open(host, name);
    if (fd < 0)
        return fd;
    bool goes_on = host->entry_name[0] != '\0' && strcmp(host->entry_folder, name) == 0 &&
                   host->entry_index < index;
    char found[ENV_NAME_BYTES_MAX] = "";
    uint32_t next = 0;
    if (goes_on) {
        memcpy(found, host->entry_name, sizeof(found));
        next = host->entry_index + 1;
    }
    int status = 0;
    for (; next <= index && status == 0; next++)
        status = entry_behind(host, fd, name[0] == '\0', found, found);
    (void)close(fd); /* Read-only descriptor. */
    if (status < 0)
        return status;
    memcpy(host->entry_folder, name, strlen(name) + 1);
    memcpy(host->entry_name, found, sizeof(found));
    host->entry_index = index;
    memcpy(ret_name, found, sizeof(found));
    return 0;
}

int host_dir_sync(struct env *env, const char *name)
{
    struct host *host = host_of(env);
    XD_ASSERT(name);
    int fd = folder_open(host, name);
    if (fd < 0)
        return fd;
    int status = fsync(fd) != 0 ? -errno : 0;
    (void)close(fd); /* What counts is what fsync said. */
    return status;
}

int host_disk_free(struct env *env, uint64_t *ret_free_bytes, uint64_t *ret_total_bytes)
{
    struct host *host = host_of(env);
    XD_ASSERT(ret_free_bytes && ret_total_bytes);
    struct statvfs about;
    if (fstatvfs(host->folder_fd, &about) != 0)
        return -errno;
    /* f_bavail: what this process may still use, without root's reserve. */
    *ret_free_bytes = (uint64_t)about.f_bavail * about.f_frsize;
    *ret_total_bytes = (uint64_t)about.f_blocks * about.f_frsize;
    return 0;
}
