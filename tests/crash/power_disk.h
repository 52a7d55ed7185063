/* SPDX-License-Identifier: Apache-2.0
 *
 * A file system of the real kernel that loses its power: simulated drive, loop device, mkfs, mount.
 *
 * Normal path: disk_open makes and mounts it; disk_cut takes the power away, disk_off_ends puts the
 * file system out of use, disk_mount_again brings it back as after the machine's next start;
 * disk_close. What FS_IOC_SHUTDOWN alone does not show: on Linux a direct write that was answered
 * lies in the image of a loop device, flushed or not. Here it lies in the drive's cache, so an
 * acknowledgement before the flush is lost for certain. FS_IOC_SHUTDOWN ("no log flush") then only
 * makes the kernel let go at once: it writes nothing more and answers EIO, journal included, and
 * what it still writes at unmounting, ext4 without journal does, meets a drive without power.
 *
 * Everything is mounted in a mount namespace of this process. Where "/" is no mount point (in a
 * chroot), the work folder is bound to itself and made private, which needs the same privileges.
 * The loop device frees itself when nothing uses it any more. So nothing is left behind, however
 * the process ends; but in a chroot of a machine whose mounts propagate, a killed process leaves
 * the work folder bound to itself.
 * Failure path: DISK_MISSING when the machine cannot do it (`why` names what it lacks), -errno
 * with a sentence in `why` for all else.
 * Must not know the broker.
 */
#ifndef CROSSDOCK_TESTS_CRASH_POWER_DISK_H
#define CROSSDOCK_TESTS_CRASH_POWER_DISK_H

#include "tests/crash/power_drive.h"

#define DISK_PATH_BYTES 256u
#define DISK_MISSING 1

enum disk_kind { DISK_EXT4, DISK_EXT4_NOJOURNAL, DISK_XFS, DISK_KIND_COUNT };

struct disk {
    struct drive drive;               /* below it all */
    enum disk_kind kind;              /* */
    bool bound;                       /* the work folder is bound to itself */
    bool mounted;                     /* the file system, on `path` */
    char work[DISK_PATH_BYTES];       /* the work folder */
    char path[DISK_PATH_BYTES];       /* where the file system is mounted, below work */
    char drive_path[DISK_PATH_BYTES]; /* where the drive is, below work */
    char device[32];                  /* "/dev/loop0", "" = not attached */
    char why[640];                    /* about the last failure */
};

/* "ext4", "ext4-nojournal", "xfs". */
const char *disk_kind_name(enum disk_kind kind);
/* DISK_KIND_COUNT when there is none of that name. */
enum disk_kind disk_kind_find(const char *name);

/* A new file system, mounted below the existing folder `work` (absolute). Starts processes and
 * changes the mount namespace of the caller: call it before anything else runs in it. */
int disk_open(struct disk *disk, enum disk_kind kind, const char *work);
/* The power goes, unless the drive has cut itself. */
int disk_cut(struct disk *disk, uint64_t random);
/* Behind a cut: every call on the file system fails from now on. */
int disk_shut(struct disk *disk);
/* Behind disk_shut, when nobody has a file open any more: power is back, the file system is
 * repaired as its kind needs (journal, or e2fsck) and mounted. -EBUSY when somebody had. */
int disk_mount_again(struct disk *disk);
/* Unmounts, frees the device, ends the drive. Accepts a disk that disk_open has failed on. */
void disk_close(struct disk *disk);

#endif
