/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated drive whose power can be cut; see power_drive.h.
 */
#include "tests/crash/power_drive.h"

#include "wire/xassert.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define WRITE_BYTES_MAX (1u << 20)
#define REQUEST_BYTES (WRITE_BYTES_MAX + CACHE_PAGE_BYTES) /* a write and its headers */
#define CACHE_PAGES 8192u                                  /* 32 MiB behind a flush */
#define IMAGE_NODE 2u                                      /* FUSE_ROOT_ID is the folder */
#define VALID_SECONDS 3600u                                /* what we say never changes */
#define ORPHAN_MS 20000 /* how long a drive without its owner waits for the unmount */

enum command_kind { COMMAND_CUT, COMMAND_ARM, COMMAND_RESTORE };

struct command {
    uint64_t random;        /* CUT, ARM */
    enum command_kind kind; /* */
    enum drive_event event; /* ARM */
    uint32_t count;         /* ARM */
};

/* The drive's own side. */
struct server {
    struct drive_shared *shared;
    struct cache cache;
    uint8_t *request;     /* REQUEST_BYTES */
    struct command armed; /* count 0 = not armed */
    int fuse_fd;
    int control_fd; /* -1 when the owner is gone */
};

/* ---- power ----------------------------------------------------------------------------------- */

static void power_off(struct server *server, uint64_t random)
{
    if (!atomic_load(&server->shared->powered))
        return;
    cache_cut(&server->cache, random, &server->shared->loss);
    server->armed.count = 0;
    atomic_store(&server->shared->powered, false);
}

/* True when the armed cut is due with this event. */
static bool is_due(struct server *server, enum drive_event event)
{
    struct command *armed = &server->armed;
    return armed->count > 0 && armed->event == event && --armed->count == 0;
}

/* False when the owner is gone. */
static bool obey(struct server *server)
{
    struct command command;
    ssize_t bytes = recv(server->control_fd, &command, sizeof command, 0);
    if (bytes <= 0)
        return false;
    XD_ASSERT(bytes == sizeof command);
    if (command.kind == COMMAND_CUT)
        power_off(server, command.random);
    else if (command.kind == COMMAND_ARM)
        server->armed = command;
    else
        atomic_store(&server->shared->powered, true);
    if (command.kind == COMMAND_RESTORE)
        server->armed.count = 0;
    return send(server->control_fd, &command, sizeof command, MSG_NOSIGNAL) == sizeof command;
}

/* ---- FUSE ------------------------------------------------------------------------------------ */

/* An answer; error is 0 or -errno. When the file system is going away nobody waits for it. */
static void answer(struct server *server, const struct fuse_in_header *in, int error,
                   const void *data, size_t bytes)
{
    struct fuse_out_header out = {.len = (uint32_t)(sizeof out + bytes), .error = error};
    uint8_t small[256];
    out.unique = in->unique;
    if (bytes <= sizeof small - sizeof out) {
        memcpy(small, &out, sizeof out);
        if (bytes > 0)
            memcpy(small + sizeof out, data, bytes);
        (void)!write(server->fuse_fd, small, sizeof out + bytes);
        return;
    }
    const struct iovec parts[] = {{&out, sizeof out}, {(void *)(uintptr_t)data, bytes}};
    (void)!writev(server->fuse_fd, parts, 2);
}

static struct fuse_attr attributes(const struct server *server, uint64_t node)
{
    struct fuse_attr attr = {.ino = node, .nlink = 1, .blksize = CACHE_PAGE_BYTES};
    attr.mode = node == IMAGE_NODE ? S_IFREG | 0600 : S_IFDIR | 0700;
    attr.size = node == IMAGE_NODE ? server->cache.bytes : 0;
    return attr;
}

static void answer_init(struct server *server, const struct fuse_in_header *in,
                        const struct fuse_init_in *init)
{
    struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = 31};
    out.flags = init->flags & (FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_ASYNC_READ);
    out.max_readahead = init->max_readahead;
    out.max_write = WRITE_BYTES_MAX;
    out.max_pages = WRITE_BYTES_MAX / CACHE_PAGE_BYTES;
    out.max_background = 32;
    out.congestion_threshold = 32;
    answer(server, in, 0, &out, sizeof out);
}

static void answer_lookup(struct server *server, const struct fuse_in_header *in, const char *name)
{
    struct fuse_entry_out out = {.nodeid = IMAGE_NODE, .entry_valid = VALID_SECONDS};
    if (in->nodeid != FUSE_ROOT_ID || strcmp(name, DRIVE_IMAGE) != 0) {
        answer(server, in, -ENOENT, NULL, 0);
        return;
    }
    out.attr_valid = VALID_SECONDS;
    out.attr = attributes(server, IMAGE_NODE);
    answer(server, in, 0, &out, sizeof out);
}

static void answer_attributes(struct server *server, const struct fuse_in_header *in)
{
    struct fuse_attr_out out = {.attr_valid = VALID_SECONDS};
    out.attr = attributes(server, in->nodeid);
    answer(server, in, 0, &out, sizeof out);
}

static void answer_open(struct server *server, const struct fuse_in_header *in)
{
    /* Direct: the page cache of the kernel would be one more cache, and one without a loss. */
    struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO};
    answer(server, in, 0, &out, sizeof out);
}

static void answer_read(struct server *server, const struct fuse_in_header *in,
                        const struct fuse_read_in *read)
{
    uint64_t bytes = server->cache.bytes;
    uint32_t take = read->size;
    if (!atomic_load(&server->shared->powered)) {
        answer(server, in, -EIO, NULL, 0);
        return;
    }
    if (read->offset > bytes || take > bytes - read->offset)
        take = read->offset > bytes ? 0 : (uint32_t)(bytes - read->offset);
    answer(server, in, 0, cache_read(&server->cache, take ? read->offset : 0, take), take);
}

static void answer_write(struct server *server, const struct fuse_in_header *in,
                         const struct fuse_write_in *write)
{
    uint64_t bytes = server->cache.bytes;
    struct fuse_write_out out = {.size = write->size};
    bool fits = write->size % CACHE_PAGE_BYTES == 0 && write->offset % CACHE_PAGE_BYTES == 0 &&
                write->offset <= bytes && write->size <= bytes - write->offset;
    if (!atomic_load(&server->shared->powered) || !fits) {
        answer(server, in, fits ? -EIO : -EINVAL, NULL, 0);
        return;
    }
    cache_write(&server->cache, write->offset, write + 1, write->size);
    atomic_fetch_add(&server->shared->writes, 1);
    if (is_due(server, DRIVE_WRITE)) {
        power_off(server, server->armed.random);
        answer(server, in, -EIO, NULL, 0);
        return;
    }
    answer(server, in, 0, &out, sizeof out);
}

static void answer_flush(struct server *server, const struct fuse_in_header *in)
{
    if (is_due(server, DRIVE_FLUSH))
        power_off(server, server->armed.random);
    if (!atomic_load(&server->shared->powered)) {
        answer(server, in, -EIO, NULL, 0);
        return;
    }
    cache_flush(&server->cache);
    atomic_fetch_add(&server->shared->flushes, 1);
    answer(server, in, 0, NULL, 0);
}

static void serve(struct server *server, const struct fuse_in_header *in)
{
    const void *body = in + 1;
    switch (in->opcode) {
    case FUSE_INIT:
        answer_init(server, in, body);
        break;
    case FUSE_LOOKUP:
        answer_lookup(server, in, body);
        break;
    case FUSE_GETATTR:
        answer_attributes(server, in);
        break;
    case FUSE_OPEN:
        answer_open(server, in);
        break;
    case FUSE_READ:
        answer_read(server, in, body);
        break;
    case FUSE_WRITE:
        answer_write(server, in, body);
        break;
    case FUSE_FSYNC:
        answer_flush(server, in);
        break;
    case FUSE_RELEASE:
    case FUSE_DESTROY:
        answer(server, in, 0, NULL, 0);
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        break; /* These have no answer. */
    default:
        answer(server, in, -ENOSYS, NULL, 0);
        break;
    }
}

/* Serves what is there. False when the file system is gone. */
static bool serve_all(struct server *server)
{
    for (;;) {
        ssize_t bytes = read(server->fuse_fd, server->request, REQUEST_BYTES);
        if (bytes < 0 && errno == EAGAIN)
            return true;
        if (bytes < 0 && errno == ENODEV)
            return false;
        if (bytes < (ssize_t)sizeof(struct fuse_in_header))
            continue; /* It was interrupted, or taken back. */
        serve(server, (const void *)server->request);
    }
}

/* The life of the drive's process. */
static void run_server(struct server *server)
{
    struct pollfd fds[2] = {{.fd = server->fuse_fd, .events = POLLIN},
                            {.fd = server->control_fd, .events = POLLIN}};
    /* The first command comes when the file system is mounted; before, there is nothing to poll. */
    if (!obey(server))
        return;
    for (;;) {
        int ready = poll(fds, 2, fds[1].fd < 0 ? ORPHAN_MS : -1);
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return;
        if (ready < 0)
            continue;
        if (fds[1].revents != 0 && !obey(server))
            fds[1].fd = -1;
        if (fds[0].revents != 0 && !serve_all(server))
            return;
    }
}

__attribute__((noreturn)) static void run_child(struct drive *drive, int control_fd, uint64_t bytes)
{
    struct server server = {
        .shared = drive->shared, .fuse_fd = drive->fuse_fd, .control_fd = control_fd};
    /* An interrupt from the terminal reaches the owner; its unmounts still need the drive. */
    (void)setsid();
    (void)signal(SIGTERM, SIG_IGN);
    if (chdir("/") < 0 || cache_init(&server.cache, bytes, CACHE_PAGES) < 0)
        _exit(1);
    server.request =
        mmap(NULL, REQUEST_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (server.request == MAP_FAILED)
        _exit(1);
    run_server(&server);
    _exit(0);
}

/* ---- the owner's side ------------------------------------------------------------------------ */

int drive_start(struct drive *drive, uint64_t bytes)
{
    int controls[2] = {-1, -1};
    *drive = (struct drive){.control_fd = -1, .fuse_fd = -1};
    drive->fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (drive->fuse_fd < 0)
        return -errno;
    drive->shared = mmap(NULL, sizeof *drive->shared, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (drive->shared == MAP_FAILED ||
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, controls) < 0) {
        int status = -errno;
        drive->shared = drive->shared == MAP_FAILED ? NULL : drive->shared;
        drive_stop(drive);
        return status;
    }
    atomic_store(&drive->shared->powered, true);
    drive->control_fd = controls[0];
    drive->pid = fork();
    if (drive->pid == 0) {
        (void)close(controls[0]); /* The owner's end: without it the drive sees the owner die. */
        run_child(drive, controls[1], bytes);
    }
    int status = drive->pid < 0 ? -errno : 0;
    (void)close(controls[1]); /* The drive's end. */
    if (status < 0) {
        drive->pid = 0;
        drive_stop(drive);
    }
    return status;
}

static int command(struct drive *drive, const struct command *command)
{
    struct command answer;
    XD_ASSERT(drive->pid > 0);
    if (send(drive->control_fd, command, sizeof *command, MSG_NOSIGNAL) != sizeof *command)
        return -EPIPE;
    ssize_t bytes;
    do
        bytes = recv(drive->control_fd, &answer, sizeof answer, 0);
    while (bytes < 0 && errno == EINTR);
    return bytes == sizeof answer ? 0 : -EPIPE;
}

int drive_cut(struct drive *drive, uint64_t random)
{
    return command(drive, &(struct command){.kind = COMMAND_CUT, .random = random});
}

int drive_arm(struct drive *drive, enum drive_event event, uint32_t count, uint64_t random)
{
    XD_ASSERT(count > 0);
    return command(
        drive,
        &(struct command){.kind = COMMAND_ARM, .event = event, .count = count, .random = random});
}

int drive_restore(struct drive *drive)
{
    return command(drive, &(struct command){.kind = COMMAND_RESTORE});
}

int drive_mount(struct drive *drive, const char *folder)
{
    char options[96];
    XD_ASSERT(drive->pid > 0 && !drive->mounted);
    if (strlen(folder) >= sizeof drive->folder)
        return -ENAMETOOLONG;
    snprintf(options, sizeof options, "fd=%d,rootmode=40700,user_id=0,group_id=0", drive->fuse_fd);
    if (mount("crossdock-drive", folder, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
        return -errno;
    memcpy(drive->folder, folder, strlen(folder) + 1);
    drive->mounted = true;
    /* From now on the drive alone holds the connection: should it die, nobody waits for ever. */
    (void)close(drive->fuse_fd);
    drive->fuse_fd = -1;
    return drive_restore(drive);
}

bool drive_is_powered(const struct drive *drive)
{
    return atomic_load(&drive->shared->powered);
}

void drive_stop(struct drive *drive)
{
    if (drive->mounted)
        (void)umount2(drive->folder, MNT_DETACH); /* The namespace takes it along at the latest. */
    if (drive->fuse_fd >= 0)
        (void)close(drive->fuse_fd);
    if (drive->control_fd >= 0)
        (void)close(drive->control_fd);
    if (drive->pid > 0) {
        if (!drive->mounted)
            (void)kill(drive->pid, SIGKILL); /* It serves nobody. */
        (void)waitpid(drive->pid, NULL, 0);
    }
    if (drive->shared != NULL)
        (void)munmap(drive->shared, sizeof *drive->shared);
    *drive = (struct drive){.control_fd = -1, .fuse_fd = -1};
}
