/* SPDX-License-Identifier: Apache-2.0
 *
 * A data folder; see folder.h.
 */
#include "tools/inspect/folder.h"

#include "broker/log/block.h"
#include "broker/log/page.h"
#include "broker/log/point.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The broker holds an exclusive lock of this file while it runs. */
#define LOCK_NAME "lock"

static int failed(struct data_folder *folder, const char *name, int status)
{
    snprintf(folder->why, sizeof folder->why, "%s: %s", name, xd_status_name(status));
    return status;
}

/* Takes the lock for a moment: long enough to know whether somebody has it. */
static bool in_use(int folder_fd)
{
    int fd = openat(folder_fd, LOCK_NAME, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool used = flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
    close(fd);
    return used;
}

int data_folder_read(const struct data_folder *folder, const char *name, void *data, uint64_t bytes,
                     uint64_t at)
{
    uint64_t used = 0;
    int fd = openat(folder->fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (used < bytes) {
        ssize_t got = pread(fd, (uint8_t *)data + used, bytes - used, (off_t)(at + used));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int status = -errno;
            close(fd);
            return status;
        }
        if (got == 0)
            break;
        used += (uint64_t)got;
    }
    memset((uint8_t *)data + used, 0, bytes - used);
    close(fd);
    return 0;
}

static int read_meta(struct data_folder *folder)
{
    const char *why = "";
    folder->slots = calloc(META_SLOTS, sizeof *folder->slots);
    if (folder->slots == NULL)
        return failed(folder, "meta", -ENOMEM);
    int status =
        data_folder_read(folder, "meta", folder->slots, META_SLOTS * sizeof *folder->slots, 0);
    if (status < 0)
        return failed(folder, "meta", status);
    for (unsigned i = 0; i < META_SLOTS; i++) {
        folder->slot_why[i] = "";
        folder->slot_status[i] = meta_check(&folder->slots[i], &folder->slot_why[i]);
        if (folder->slot_status[i] == 0 && folder->slots[i].generation % META_SLOTS != i) {
            folder->slot_status[i] = XD_LOG_CORRUPT;
            folder->slot_why[i] = "the page belongs into the other slot";
        }
    }
    folder->current = meta_choose(folder->slots, &why);
    if (folder->current < 0)
        snprintf(folder->why, sizeof folder->why, "meta: %s", why);
    return folder->current < 0 ? folder->current : 0;
}

static int read_file_header(struct data_folder *folder, struct wal_file *file)
{
    struct stat about;
    const struct meta *meta = data_folder_meta(folder);
    file->header = calloc(1, sizeof *file->header);
    if (file->header == NULL || fstatat(folder->fd, file->name, &about, 0) < 0)
        return failed(folder, file->name, file->header == NULL ? -ENOMEM : -errno);
    file->bytes = (uint64_t)about.st_size;
    file->why = "";
    file->status = data_folder_read(folder, file->name, file->header, sizeof *file->header, 0);
    if (file->status < 0)
        file->why = "the header cannot be read";
    else
        file->status = segment_header_check(file->header, meta->log_uuid, meta->shard, &file->why);
    return 0;
}

static bool is_held(const struct data_folder *folder, uint64_t segment_no)
{
    for (uint32_t i = 0; i < folder->file_count; i++)
        if (folder->files[i].status == 0 && folder->files[i].header->segment_no == segment_no)
            return true;
    return false;
}

/* As the broker does: a whole first block beside a damaged header says which segment the file is,
 * when no other file is that one. */
static void adopt(struct data_folder *folder, struct wal_file *file)
{
    const struct meta *meta = data_folder_meta(folder);
    const char *unused = "";
    struct block_header block;
    if (file->status != XD_LOG_CORRUPT ||
        data_folder_read(folder, file->name, &block, sizeof block, RECOVER_FIRST_AT) < 0)
        return;
    uint64_t segment_no = block.position / meta->segment_bytes;
    struct block_identity identity = point_identity(meta, segment_no, block.epoch);
    if (segment_no == 0 || block.position % meta->segment_bytes != RECOVER_FIRST_AT ||
        block_check_header(&block, &identity, block.position, &unused) < 0 ||
        is_held(folder, segment_no))
        return;
    *file->header = (struct segment_header){.segment_no = segment_no,
                                            .segment_bytes = meta->segment_bytes,
                                            .epoch = block.epoch,
                                            .shard = meta->shard};
    file->status = 0;
    file->adopted = true;
}

static uint64_t file_number(const struct wal_file *file)
{
    return file->status == 0 ? file->header->segment_no : 0;
}

/* Of two files with one number the one prepared in the later epoch is the segment: it comes first.
 */
static int compare_files(const void *a, const void *b)
{
    const struct wal_file *left = a, *right = b;
    if (file_number(left) != file_number(right))
        return file_number(left) < file_number(right) ? -1 : 1;
    if (file_number(left) != 0 && left->header->epoch != right->header->epoch)
        return left->header->epoch > right->header->epoch ? -1 : 1;
    return strcmp(left->name, right->name);
}

static int read_files(struct data_folder *folder)
{
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *entry;
    int status = 0;
    if (dir == NULL)
        return failed(folder, ".", -errno);
    folder->files = calloc(SEGMENT_SLOTS_MAX, sizeof *folder->files);
    if (folder->files == NULL)
        status = failed(folder, ".", -ENOMEM);
    while (status == 0 && (entry = readdir(dir)) != NULL) {
        size_t bytes = strlen(entry->d_name);
        if (strncmp(entry->d_name, "wal.", 4) != 0 || bytes >= FOLDER_NAME_BYTES ||
            strspn(entry->d_name + 4, "0123456789") != bytes - 4)
            continue;
        if (folder->file_count == SEGMENT_SLOTS_MAX) {
            status = failed(folder, "more wal files than a log can have", XD_LOG_CORRUPT);
            break;
        }
        struct wal_file *file = &folder->files[folder->file_count++];
        memcpy(file->name, entry->d_name, bytes + 1);
        status = read_file_header(folder, file);
    }
    closedir(dir);
    for (uint32_t i = 0; status == 0 && i < folder->file_count; i++)
        adopt(folder, &folder->files[i]);
    if (status == 0)
        qsort(folder->files, folder->file_count, sizeof *folder->files, compare_files);
    return status;
}

int data_folder_open(struct data_folder *folder, const char *path, bool force)
{
    *folder = (struct data_folder){.current = -1};
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder->fd < 0)
        return failed(folder, path, -errno);
    folder->in_use = in_use(folder->fd);
    if (folder->in_use && !force) {
        snprintf(folder->why, sizeof folder->why,
                 "%.300s: a broker is using this folder; stop it, or read along with --force-read",
                 path);
        return XD_DATA_LOCKED;
    }
    int status = read_meta(folder);
    return status < 0 ? status : read_files(folder);
}

void data_folder_close(struct data_folder *folder)
{
    for (uint32_t i = 0; i < folder->file_count; i++)
        free(folder->files[i].header);
    free(folder->files);
    free(folder->slots);
    if (folder->fd >= 0)
        close(folder->fd);
    *folder = (struct data_folder){.fd = -1};
}

const struct meta *data_folder_meta(const struct data_folder *folder)
{
    XD_ASSERT(folder->current >= 0 && folder->current < (int)META_SLOTS);
    return &folder->slots[folder->current];
}
