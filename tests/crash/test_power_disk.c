/* SPDX-License-Identifier: Apache-2.0
 *
 * The disk of the power cuts on each file system: what was flushed is there after every cut, a
 * direct write that was answered and not flushed is there after some and gone after others, and a
 * file whose name was not made durable may be gone. A disk that lost nothing would prove nothing.
 *
 * A plain program: its mounts and its drive belong to one process. usage: test_power_disk FOLDER FS
 * Exit: 0 good, 1 not, 77 the machine cannot do this.
 */
#include "tests/crash/power_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROUNDS 24u
#define PAGES 64u
#define FILE_BYTES (PAGES * CACHE_PAGE_BYTES)
#define SKIPPED 77

static int complain(const char *what, unsigned round)
{
    fprintf(stderr, "round %u: %s (%s)\n", round, what, strerror(errno));
    return 1;
}

/* A file whose blocks are written and durable, as a prepared segment. */
static int make_file(const struct disk *disk, uint8_t *data)
{
    char path[DISK_PATH_BYTES + 8];
    snprintf(path, sizeof path, "%s/file", disk->path);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int folder_fd = open(disk->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    memset(data, 0, FILE_BYTES);
    bool good = fd >= 0 && folder_fd >= 0 && pwrite(fd, data, FILE_BYTES, 0) == FILE_BYTES &&
                fsync(fd) == 0 && fsync(folder_fd) == 0;
    if (fd >= 0)
        (void)close(fd); /* fsync has said it. */
    if (folder_fd >= 0)
        (void)close(folder_fd);
    return good ? 0 : complain("cannot make the file", 0);
}

/* Half of the pages flushed, the other half only answered. */
static int write_round(const struct disk *disk, uint8_t *data, unsigned round)
{
    char path[DISK_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/file", disk->path);
    int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    memset(data, (int)round, FILE_BYTES);
    bool good = fd >= 0 && pwrite(fd, data, FILE_BYTES / 2, 0) == FILE_BYTES / 2 &&
                fdatasync(fd) == 0 &&
                pwrite(fd, data, FILE_BYTES / 2, FILE_BYTES / 2) == FILE_BYTES / 2;
    if (fd >= 0)
        (void)close(fd);
    snprintf(path, sizeof path, "%s/new%u", disk->path, round);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    good = good && fd >= 0;
    if (fd >= 0)
        (void)close(fd);
    return good ? 0 : complain("cannot write", round);
}

/* Counts the pages behind the flush that are gone; 1 when one before it is. */
static int check_round(const struct disk *disk, uint8_t *data, unsigned round, unsigned *lost)
{
    char path[DISK_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/file", disk->path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && pread(fd, data, FILE_BYTES, 0) == FILE_BYTES;
    if (fd >= 0)
        (void)close(fd);
    if (!good)
        return complain("cannot read what was flushed", round);
    for (unsigned page = 0; page < PAGES; page++) {
        bool gone = data[page * CACHE_PAGE_BYTES] != round;
        if (gone && page < PAGES / 2)
            return complain("a page that was flushed is gone", round);
        *lost += gone;
    }
    return 0;
}

static int run(struct disk *disk, uint8_t *data)
{
    unsigned lost = 0, names_lost = 0;
    char path[DISK_PATH_BYTES + 16];
    int bad = make_file(disk, data);
    for (unsigned round = 1; round <= ROUNDS && bad == 0; round++) {
        bad = write_round(disk, data, round);
        if (bad == 0 &&
            (disk_cut(disk, round) < 0 || disk_shut(disk) < 0 || disk_mount_again(disk) < 0))
            bad = complain(disk->why, round);
        if (bad == 0)
            bad = check_round(disk, data, round, &lost);
        snprintf(path, sizeof path, "%s/new%u", disk->path, round);
        names_lost += bad == 0 && access(path, F_OK) != 0;
    }
    if (bad == 0 && (lost == 0 || lost == ROUNDS * PAGES / 2 || names_lost == 0))
        bad = complain("the disk loses nothing, or everything", ROUNDS);
    printf("%s: %u of %u pages behind a flush are gone, %u of %u new names\n",
           disk_kind_name(disk->kind), lost, ROUNDS * PAGES / 2, names_lost, ROUNDS);
    return bad;
}

int main(int argc, char **argv)
{
    struct disk disk;
    enum disk_kind kind = argc == 3 ? disk_kind_find(argv[2]) : DISK_KIND_COUNT;
    char *work = kind < DISK_KIND_COUNT && (mkdir(argv[1], 0700) == 0 || errno == EEXIST)
                     ? realpath(argv[1], NULL)
                     : NULL;
    if (work == NULL) {
        fputs("test_power_disk FOLDER ext4|ext4-nojournal|xfs\n", stderr);
        return 2;
    }
    int status = disk_open(&disk, kind, work);
    free(work);
    if (status == DISK_MISSING)
        printf("%s\n", disk.why);
    else if (status < 0)
        fprintf(stderr, "%s\n", disk.why);
    if (status != 0)
        return status == DISK_MISSING ? SKIPPED : 1;
    uint8_t *data = aligned_alloc(CACHE_PAGE_BYTES, FILE_BYTES);
    int bad = data != NULL ? run(&disk, data) : 1;
    free(data);
    disk_close(&disk);
    return bad;
}
