/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding and tearing the newest block; see kill_tail.h.
 *
 * Blocks are looked for at every 4 KiB of every segment, not walked: behind a hole, whose block was
 * still in flight, a newer one may stand. Blocks of former epochs behind the end do not count.
 */
#include "tests/crash/kill_tail.h"

#include "broker/log/block.h"
#include "broker/log/segment.h"
#include "wire/xassert.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 600u
#define SECTOR_BYTES 512u
#define PAGE_BYTES 4096u
#define TEAR_BYTES_MAX 65536u

/* The newest block so far. */
struct newest {
    char path[PATH_BYTES]; /* of its segment's file, "" = none found */
    uint64_t at;           /* byte in the file */
    uint64_t epoch;        /* */
    uint64_t position;     /* in the log */
    uint32_t block_bytes;  /* */
};

static void look_at(struct newest *newest, const char *path, uint64_t at,
                    const struct block_header *block)
{
    if (newest->path[0] != '\0' &&
        (block->epoch < newest->epoch ||
         (block->epoch == newest->epoch && block->position < newest->position)))
        return;
    snprintf(newest->path, sizeof newest->path, "%s", path);
    newest->at = at;
    newest->epoch = block->epoch;
    newest->position = block->position;
    newest->block_bytes = block->block_bytes;
}

static int look_through(struct newest *newest, const char *path)
{
    static struct segment_header header; /* a page: too much for a stack */
    struct block_header block;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* A file that is being prepared has no header yet, or an old one. */
    if (pread(fd, &header, sizeof header, 0) == (ssize_t)sizeof header) {
        for (uint64_t at = sizeof header; at < header.segment_bytes; at += PAGE_BYTES) {
            if (pread(fd, &block, sizeof block, (off_t)at) != (ssize_t)sizeof block)
                break;
            if (block.magic == BLOCK_MAGIC && block.block_bytes >= PAGE_BYTES &&
                block.block_bytes <= header.segment_bytes - at &&
                block.position == header.segment_no * header.segment_bytes + at)
                look_at(newest, path, at, &block);
        }
    }
    (void)close(fd); /* It was only read. */
    return 0;
}

static int tear(const struct newest *newest, struct prng *prng)
{
    uint8_t sectors[TEAR_BYTES_MAX];
    uint32_t count_max = newest->block_bytes / SECTOR_BYTES - 1;
    if (count_max > TEAR_BYTES_MAX / SECTOR_BYTES)
        count_max = TEAR_BYTES_MAX / SECTOR_BYTES;
    uint32_t bytes = (1 + prng_below32(prng, count_max)) * SECTOR_BYTES;
    XD_ASSERT(bytes < newest->block_bytes);
    prng_fill(prng, sectors, bytes);
    int fd = open(newest->path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t written = pwrite(fd, sectors, bytes, (off_t)(newest->at + newest->block_bytes - bytes));
    int status = written == (ssize_t)bytes ? 0 : written < 0 ? -errno : -EIO;
    if (status == 0 && fsync(fd) < 0)
        status = -errno;
    if (close(fd) < 0 && status == 0)
        status = -errno;
    return status;
}

int kill_tail_tear(const char *folder, struct prng *prng)
{
    struct newest newest = {.path = ""};
    char path[PATH_BYTES];
    int status = 0;
    struct dirent *entry;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return -errno;
    while (status == 0 && (entry = readdir(dir)) != NULL) {
        if (strncmp(entry->d_name, "wal.", 4) != 0)
            continue;
        int bytes = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        XD_ASSERT(bytes < (int)sizeof path);
        status = look_through(&newest, path);
    }
    (void)closedir(dir); /* It was only read. */
    if (status < 0)
        return status;
    return newest.path[0] == '\0' ? -ENOENT : tear(&newest, prng);
}
