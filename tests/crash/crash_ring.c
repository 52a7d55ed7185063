/* SPDX-License-Identifier: Apache-2.0
 *
 * The folder of a traced ring, and its way from and to snapshots; see crash_ring.h.
 */
#include "tests/crash/crash_ring.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_NAME "lock" /* the env's own, which no log can name */
#define OPEN_FILES 16    /* that nftw may hold */

static int failed(struct crash_ring *ring, const char *what, int error)
{
    (void)snprintf(ring->why, sizeof(ring->why), "%s in %.200s: %s", what, ring->folder,
                   xd_status_text(-error));
    return -error;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *ftw)
{
    (void)about;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void folder_remove(const char *folder)
{
    (void)nftw(folder, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS); /* may not exist */
}

void crash_ring_init(struct crash_ring *ring)
{
    memset(ring, 0, sizeof(*ring));
    (void)snprintf(ring->folder, sizeof(ring->folder), "crash-ring-%d", (int)getpid());
}

void crash_ring_deinit(struct crash_ring *ring)
{
    crash_ring_stop(ring);
    folder_remove(ring->folder);
}

void crash_ring_clear(struct crash_ring *ring)
{
    XD_ASSERT(ring->env == NULL);
    folder_remove(ring->folder);
    (void)mkdir(ring->folder, 0700); /* a start that finds none says so */
}

/* ---- processes ------------------------------------------------------------------------------- */

int crash_ring_start(struct crash_ring *ring)
{
    struct env_uring_options options;
    int status;

    XD_ASSERT(ring->env == NULL);
    env_uring_options_init(&options);
    options.folder = ring->folder;
    options.buffer_count = 1;
    options.connections_max = 1;
    ring->why[0] = '\0';
    status = env_uring_open(&options, &ring->env, ring->why);
    if (status < 0)
        ring->env = NULL;
    return status;
}

void crash_ring_stop(struct crash_ring *ring)
{
    env_uring_close(ring->env);
    ring->env = NULL;
}

/* Whether files of the folder can be opened with O_DIRECT. */
static int direct_check(struct crash_ring *ring)
{
    char path[CRASH_RING_PATH_BYTES + 16];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/direct", ring->folder);
    fd = open(path, O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(ring, "no O_DIRECT", errno);
    (void)close(fd); /* empty */
    return 0;
}

int crash_ring_check(struct crash_ring *ring)
{
    int status;

    crash_ring_clear(ring);
    status = crash_ring_start(ring);
    crash_ring_stop(ring);
    return status < 0 ? status : direct_check(ring);
}

/* ---- from the folder ------------------------------------------------------------------------- */

static int take_file(int fd, struct sim_snapshot *snapshot, const char *name, uint64_t bytes)
{
    struct sim_snapshot_file *file = sim_snapshot_add(snapshot, name, bytes, false);
    uint8_t page[SIM_PAGE_BYTES];

    for (uint64_t at = 0; at < bytes;) {
        ssize_t got = pread(fd, page, sizeof(page), (off_t)at);

        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        if (!bytes_zero(page, (size_t)got))
            image_write(snapshot->pages, &file->image, at, page, (size_t)got);
        at += (uint64_t)got;
        if (at < bytes && at % SIM_PAGE_BYTES != 0)
            return -EIO; /* a page comes whole, but for the last one */
    }
    return 0;
}

static int take_folder(struct sim_snapshot *snapshot, int folder, const char *prefix);

/* One entry of a folder. */
static int take_entry(struct sim_snapshot *snapshot, int folder, const char *prefix,
                      const char *entry)
{
    char name[SIM_NAME_ROOM];
    struct stat about;
    int status;
    int fd = openat(folder, entry, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 || fstat(fd, &about) < 0) {
        status = -errno;
    } else if (snprintf(name, sizeof(name), "%s%s", prefix, entry) >= (int)sizeof(name)) {
        status = -ENAMETOOLONG;
    } else if (S_ISDIR(about.st_mode)) {
        (void)sim_snapshot_add(snapshot, name, 0, true);
        (void)snprintf(name, sizeof(name), "%.60s/", entry);
        status = prefix[0] == '\0' ? take_folder(snapshot, fd, name) : -ENOTDIR;
    } else {
        status = take_file(fd, snapshot, name, (uint64_t)about.st_size);
    }
    if (fd >= 0)
        (void)close(fd); /* only read */
    return status;
}

static int take_folder(struct sim_snapshot *snapshot, int folder, const char *prefix)
{
    struct dirent **entries;
    int status = 0;
    int count = scandirat(folder, ".", &entries, NULL, alphasort);

    if (count < 0)
        return -errno;
    for (int i = 0; i < count; i++) {
        const char *entry = entries[i]->d_name;
        bool ours = strcmp(entry, ".") != 0 && strcmp(entry, "..") != 0 &&
                    (prefix[0] != '\0' || strcmp(entry, LOCK_NAME) != 0);

        if (ours && status == 0)
            status = take_entry(snapshot, folder, prefix, entry);
        free(entries[i]);
    }
    free(entries);
    return status;
}

int crash_ring_take(struct crash_ring *ring, struct sim_snapshot *ret_snapshot)
{
    int folder = open(ring->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status;

    XD_ASSERT(ring->env == NULL);
    if (folder < 0)
        return failed(ring, "reading", errno);
    sim_snapshot_clear(ret_snapshot);
    status = take_folder(ret_snapshot, folder, "");
    (void)close(folder); /* only read */
    return status < 0 ? failed(ring, "reading", -status) : 0;
}

/* ---- to the folder --------------------------------------------------------------------------- */

static int put_file(const struct sim_snapshot_file *file, int fd)
{
    for (uint32_t i = 0; i < file->image.end; i++) {
        const struct sim_page *page = file->image.pages[i];
        uint64_t at = (uint64_t)i * SIM_PAGE_BYTES;
        uint64_t bytes = file->bytes > at ? file->bytes - at : 0;

        bytes = bytes < SIM_PAGE_BYTES ? bytes : SIM_PAGE_BYTES;
        if (page == NULL || bytes == 0)
            continue;
        if (pwrite(fd, page->bytes, bytes, (off_t)at) != (ssize_t)bytes)
            return -EIO;
    }
    return ftruncate(fd, (off_t)file->bytes) < 0 ? -errno : 0;
}

int crash_ring_leave(const struct sim_snapshot *snapshot, const char *folder)
{
    int status = 0;

    folder_remove(folder);
    if (mkdir(folder, 0700) < 0)
        return -errno;
    for (uint32_t i = 0; i < snapshot->count && status == 0; i++) {
        const struct sim_snapshot_file *file = &snapshot->files[i];
        char path[CRASH_RING_PATH_BYTES + SIM_NAME_ROOM];
        int fd;

        (void)snprintf(path, sizeof(path), "%.200s/%s", folder, file->name);
        if (file->folder) {
            status = mkdir(path, 0700) < 0 ? -errno : 0;
            continue;
        }
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
            return -errno;
        status = put_file(file, fd);
        if (close(fd) < 0 && status == 0)
            status = -errno;
    }
    return status;
}

int crash_ring_put(struct crash_ring *ring, const struct sim_snapshot *snapshot)
{
    int status;

    XD_ASSERT(ring->env == NULL);
    status = crash_ring_leave(snapshot, ring->folder);
    return status < 0 ? failed(ring, "writing", -status) : 0;
}
