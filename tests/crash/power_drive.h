/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated drive whose power can be cut: a process that serves one file, `image`, through FUSE.
 * A loop device over that file is a block device of the real kernel; what its file system writes
 * goes through the write cache of power_cache.h, and only a flush of the kernel makes it safe.
 *
 * Normal path: drive_start, drive_mount, work, drive_cut or drive_arm (the drive then cuts itself
 * at a chosen write or flush), drive_restore when nobody has the image open any more, drive_stop.
 * Failure path: without power every operation is answered EIO. When the process that started it
 * dies, the drive serves until its file system is unmounted and then ends; when the drive dies, the
 * kernel answers EIO to all that wait for it. Nobody hangs on the other.
 *
 * The drive is a process and not a thread because it must not hold the mount namespace, the work
 * folder or a descriptor of those who do I/O through it. drive_start must come before they exist.
 * Must not know what is written.
 */
#ifndef CROSSDOCK_TESTS_CRASH_POWER_DRIVE_H
#define CROSSDOCK_TESTS_CRASH_POWER_DRIVE_H

#include "tests/crash/power_cache.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DRIVE_IMAGE "image" /* the one file */

/* What an armed drive counts. */
enum drive_event {
    DRIVE_WRITE, /* power goes when the write was taken */
    DRIVE_FLUSH  /* power goes instead of the flush */
};

/* Seen by both processes. */
struct drive_shared {
    _Atomic bool powered;     /* */
    _Atomic uint64_t writes;  /* served, also before the last cut */
    _Atomic uint64_t flushes; /* likewise */
    struct cache_loss loss;   /* of the last cut; valid when not powered */
};

struct drive {
    struct drive_shared *shared; /* */
    int control_fd;              /* commands and their answers */
    int fuse_fd;                 /* until drive_mount */
    pid_t pid;                   /* 0 = none */
    bool mounted;                /* on `folder` */
    char folder[256];            /* where it is mounted */
};

/* 0 or -errno: -ENOENT, -ENODEV, -EACCES, -EPERM when the kernel gives no FUSE. */
int drive_start(struct drive *drive, uint64_t bytes);
/* Makes the image appear in an existing folder. */
int drive_mount(struct drive *drive, const char *folder);
/* Power goes now, unless it is gone already. `random` decides what is lost. */
int drive_cut(struct drive *drive, uint64_t random);
/* Power goes by itself with the count-th event from now, counted from 1. Arming again replaces. */
int drive_arm(struct drive *drive, enum drive_event event, uint32_t count, uint64_t random);
/* Power is back; an armed cut is forgotten. */
int drive_restore(struct drive *drive);
bool drive_is_powered(const struct drive *drive);
/* Unmounts and waits for the process. Accepts a drive that was not started. */
void drive_stop(struct drive *drive);

#endif
