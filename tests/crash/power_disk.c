/* SPDX-License-Identifier: Apache-2.0
 *
 * A file system of the real kernel that loses its power; see power_disk.h.
 */
#include "tests/crash/power_disk.h"

#include "wire/xassert.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Of ext4, xfs and f2fs alike; no header of user space names it. */
#define FS_IOC_SHUTDOWN _IOR('X', 125, uint32_t)
#define SHUTDOWN_NO_LOG_FLUSH 2u
#define ATTACH_TRIES 64 /* somebody else may take the free loop device first */
#define BUSY_MS 10000   /* the kernel lets go of the files of a killed process in that time */
#define BUSY_STEP_MS 2  /* */
#define FSCK_GOOD 1     /* highest exit status of e2fsck with all repaired */
#define WORDS_MAX 12

/* How a kind is made and brought back. */
struct kind_row {
    const char *name;             /* on the command line */
    const char *type;             /* of mount */
    const char *words[WORDS_MAX]; /* mkfs, but for the device */
    uint64_t bytes;               /* of the drive */
    bool check;                   /* e2fsck before it is mounted again */
};

static const struct kind_row kinds[DISK_KIND_COUNT] = {
    [DISK_EXT4] = {"ext4",
                   "ext4",
                   {"mkfs.ext4", "-q", "-F", "-m", "0", "-E",
                    "nodiscard,lazy_itable_init=0,lazy_journal_init=0", NULL},
                   128u << 20,
                   false},
    [DISK_EXT4_NOJOURNAL] = {"ext4-nojournal",
                             "ext4",
                             {"mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-E",
                              "nodiscard,lazy_itable_init=0", NULL},
                             128u << 20,
                             true},
    /* mkfs.xfs refuses anything below 300 MB. */
    [DISK_XFS] = {"xfs", "xfs", {"mkfs.xfs", "-q", "-f", "-K", NULL}, 320u << 20, false},
};

const char *disk_kind_name(enum disk_kind kind)
{
    XD_ASSERT(kind < DISK_KIND_COUNT);
    return kinds[kind].name;
}

enum disk_kind disk_kind_find(const char *name)
{
    unsigned kind = 0;
    while (kind < DISK_KIND_COUNT && strcmp(kinds[kind].name, name) != 0)
        kind++;
    return (enum disk_kind)kind;
}

static int fail(struct disk *disk, int status, const char *what, const char *subject)
{
    snprintf(disk->why, sizeof disk->why, "%s %s: %s", what, subject, strerror(-status));
    return status;
}

/* The machine cannot do this. */
static int missing(struct disk *disk, int status, const char *what)
{
    snprintf(disk->why, sizeof disk->why, "%s: %s: %s", kinds[disk->kind].name, what,
             strerror(-status));
    return DISK_MISSING;
}

/* Runs a program to its end: exit status, or -errno; -ENOENT when there is none. What it says goes
 * to a file in the work folder. */
static int run(const struct disk *disk, const char *const *words)
{
    extern char **environ;
    posix_spawn_file_actions_t actions;
    char said[DISK_PATH_BYTES + sizeof "/tools.log"];
    pid_t pid;
    int status;
    snprintf(said, sizeof said, "%s/tools.log", disk->work);
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0)
        return -error;
    error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, said,
                                                 O_WRONLY | O_CREAT | O_APPEND, 0644);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    if (error == 0)
        error =
            posix_spawnp(&pid, words[0], &actions, NULL, (char *const *)(uintptr_t)words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error != 0)
        return -error;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            return -errno;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -EIO;
}

/* ---- mount namespace ------------------------------------------------------------------------- */

static int enter_namespace(struct disk *disk)
{
    if (unshare(CLONE_NEWNS) < 0)
        return missing(disk, -errno, "a mount namespace needs root");
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0)
        return 0;
    if (errno != EINVAL)
        return missing(disk, -errno, "no private mounts");
    /* A chroot: what is mounted below this bind stays here. */
    if (mount(disk->work, disk->work, NULL, MS_BIND, NULL) < 0)
        return missing(disk, -errno, "no bind mounts");
    disk->bound = true;
    if (mount("none", disk->work, NULL, MS_PRIVATE, NULL) < 0)
        return missing(disk, -errno, "no private bind mounts");
    return 0;
}

/* ---- loop device ----------------------------------------------------------------------------- */

/* A free loop device: its descriptor, or -errno. */
static int loop_next(struct disk *disk, int control_fd)
{
    int number = ioctl(control_fd, LOOP_CTL_GET_FREE);
    if (number < 0)
        return -errno;
    snprintf(disk->device, sizeof disk->device, "/dev/loop%d", number);
    int fd = open(disk->device, O_RDWR | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Attaches the drive's image. Returns a descriptor that keeps the device until it is mounted, or
 * -errno. */
static int loop_attach(struct disk *disk)
{
    struct loop_config config = {.block_size = CACHE_PAGE_BYTES};
    char image[DISK_PATH_BYTES + sizeof DRIVE_IMAGE];
    int status = -EBUSY, loop_fd = -1;
    snprintf(image, sizeof image, "%s/%s", disk->drive_path, DRIVE_IMAGE);
    int image_fd = open(image, O_RDWR | O_CLOEXEC);
    int control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (image_fd < 0 || control_fd < 0)
        status = -errno;
    config.fd = (uint32_t)image_fd;
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    for (int i = 0; i < ATTACH_TRIES && status == -EBUSY && image_fd >= 0; i++) {
        loop_fd = loop_next(disk, control_fd);
        if (loop_fd < 0) {
            status = loop_fd;
            break;
        }
        status = ioctl(loop_fd, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
        if (status < 0)
            (void)close(loop_fd); /* It belongs to somebody else. */
    }
    if (image_fd >= 0)
        (void)close(image_fd); /* The device holds it. */
    if (control_fd >= 0)
        (void)close(control_fd);
    if (status == 0)
        return loop_fd;
    disk->device[0] = '\0';
    return status;
}

/* ---- mounting -------------------------------------------------------------------------------- */

static int mount_device(struct disk *disk)
{
    const struct kind_row *row = &kinds[disk->kind];
    if (mount(disk->device, disk->path, row->type, MS_NOATIME | MS_NOSUID | MS_NODEV, NULL) < 0)
        return -errno;
    disk->mounted = true;
    return 0;
}

/* As mount, but waits while a killed process still has files open. */
static int unmount(struct disk *disk)
{
    const struct timespec step = {0, BUSY_STEP_MS * 1000000};
    for (int waited_ms = 0; umount2(disk->path, 0) < 0; waited_ms += BUSY_STEP_MS) {
        if (errno != EBUSY || waited_ms >= BUSY_MS)
            return fail(disk, -errno, "cannot unmount", disk->path);
        (void)nanosleep(&step, NULL);
    }
    disk->mounted = false;
    return 0;
}

/* The ioctl must be there, or a cut would only stop the drive. Asked on a file system that is then
 * mounted anew. */
static int shutdown_file_system(struct disk *disk)
{
    uint32_t flags = SHUTDOWN_NO_LOG_FLUSH;
    int fd = open(disk->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = fd < 0 || ioctl(fd, FS_IOC_SHUTDOWN, &flags) < 0 ? -errno : 0;
    if (fd >= 0)
        (void)close(fd);
    return status;
}

/* mkfs on the attached device. */
static int make_file_system(struct disk *disk)
{
    const struct kind_row *row = &kinds[disk->kind];
    const char *words[WORDS_MAX + 1] = {NULL};
    unsigned count = 0;
    for (; row->words[count] != NULL; count++)
        words[count] = row->words[count];
    words[count] = disk->device;
    int status = run(disk, words);
    if (status == -ENOENT)
        return missing(disk, status, row->words[0]);
    return status == 0 ? 0 : fail(disk, status < 0 ? status : -EIO, row->words[0], disk->device);
}

/* Drive, device, file system; the namespace is entered. */
static int open_parts(struct disk *disk)
{
    if (mkdir(disk->path, 0700) < 0 || mkdir(disk->drive_path, 0700) < 0)
        return fail(disk, -errno, "cannot make folders in", disk->work);
    int status = drive_mount(&disk->drive, disk->drive_path);
    if (status < 0)
        return missing(disk, status, "no FUSE mounts");
    int loop_fd = loop_attach(disk);
    if (loop_fd < 0)
        return missing(disk, loop_fd, "no loop device");
    status = make_file_system(disk);
    if (status == 0 && (status = mount_device(disk)) < 0)
        status = missing(disk, status, "the kernel does not mount it");
    (void)close(loop_fd); /* The mount holds the device. */
    if (status != 0)
        return status;
    status = shutdown_file_system(disk);
    if (status < 0)
        return missing(disk, status, "no FS_IOC_SHUTDOWN");
    return disk_mount_again(disk);
}

int disk_open(struct disk *disk, enum disk_kind kind, const char *work)
{
    XD_ASSERT(kind < DISK_KIND_COUNT && work[0] == '/');
    *disk = (struct disk){.kind = kind};
    disk->drive.control_fd = -1;
    disk->drive.fuse_fd = -1;
    if (strlen(work) + sizeof "/drive" > DISK_PATH_BYTES)
        return fail(disk, -ENAMETOOLONG, "work folder", work);
    memcpy(disk->work, work, strlen(work) + 1);
    snprintf(disk->path, sizeof disk->path, "%.240s/disk", work);
    snprintf(disk->drive_path, sizeof disk->drive_path, "%.240s/drive", work);
    int status = drive_start(&disk->drive, kinds[kind].bytes);
    if (status < 0)
        status = missing(disk, status, "no /dev/fuse");
    if (status == 0)
        status = enter_namespace(disk);
    if (status == 0)
        status = open_parts(disk);
    if (status != 0)
        disk_close(disk);
    return status;
}

int disk_cut(struct disk *disk, uint64_t random)
{
    int status = drive_cut(&disk->drive, random);
    return status < 0 ? fail(disk, status, "the drive has died", "") : 0;
}

int disk_shut(struct disk *disk)
{
    XD_ASSERT(disk->mounted && !drive_is_powered(&disk->drive));
    int status = shutdown_file_system(disk);
    /* The file system may have shut itself down at its first error. */
    return status < 0 && status != -EIO ? fail(disk, status, "FS_IOC_SHUTDOWN", disk->path) : 0;
}

int disk_mount_again(struct disk *disk)
{
    const char *const check[] = {"e2fsck", "-fy", disk->device, NULL};
    int status = unmount(disk);
    if (status < 0)
        return status;
    status = drive_restore(&disk->drive);
    if (status < 0)
        return fail(disk, status, "the drive has died", "");
    /* A new device: nothing of the old one's caches is left. */
    int loop_fd = loop_attach(disk);
    if (loop_fd < 0)
        return fail(disk, loop_fd, "loop device for", disk->drive_path);
    if (kinds[disk->kind].check && (status = run(disk, check)) > FSCK_GOOD)
        status = fail(disk, -EIO, "e2fsck could not repair", disk->device);
    if (status >= 0 && (status = mount_device(disk)) < 0)
        status = fail(disk, status, "cannot mount again", disk->device);
    (void)close(loop_fd); /* The mount holds the device. */
    return status < 0 ? status : 0;
}

void disk_close(struct disk *disk)
{
    /* What a failure or a cut has left in the caches must not keep the drive waiting. */
    if (disk->mounted && umount2(disk->path, 0) < 0)
        (void)umount2(disk->path, MNT_DETACH);
    drive_stop(&disk->drive);
    (void)rmdir(disk->path);
    (void)rmdir(disk->drive_path);
    if (disk->bound)
        (void)umount2(disk->work, MNT_DETACH);
    disk->mounted = false;
    disk->bound = false;
}
