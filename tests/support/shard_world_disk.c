/* SPDX-License-Identifier: Apache-2.0
 *
 * The production engines of shard_world.h: a real folder below the working folder, real sockets in
 * the test's own process and thread. A killed process is engine_close in the middle of things: it
 * waits for operations in flight and drops their events without flushing anything.
 */
#include "tests/support/shard_world.h"

#include "broker/io/engine.h"
#include "wire/status.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Each test has its own process, so one folder per process is one per test. */
static char folder[64];

static int remove_one(const char *path, const struct stat *about, int type, struct FTW *ftw)
{
    (void)about;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* ---- the process ----------------------------------------------------------------------------- */

/* Zeroed while no process runs. */
static struct engine running;

static void disk_end(struct world *world)
{
    (void)world;
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS); /* may not exist */
}

static struct env *disk_start(struct world *world, enum engine_choice choice)
{
    struct engine_options options;
    char why[ENGINE_WHY_BYTES] = "";
    engine_options_init(&options);
    options.choice = choice;
    options.env.folder = folder;
    options.env.buffer_count = 16;
    options.env.connections_max = world->options.net.connections_max;
    int status = engine_open(&options, &running, why);
    if (choice == ENGINE_IO_URING && (status == -EPERM || status == -ENOSYS || status == -EACCES)) {
        disk_end(world);
        cr_skip_test("io_uring is not available: %s", why);
    }
    cr_assert_eq(status, 0, "%d: %s", status, why);
    return running.env;
}

static struct env *uring_start(struct world *world)
{
    return disk_start(world, ENGINE_IO_URING);
}

static struct env *epoll_start(struct world *world)
{
    return disk_start(world, ENGINE_EPOLL);
}

static void disk_stop(struct world *world)
{
    XD_ASSERT(world->env == running.env);
    engine_close(&running);
}

/* ---- clients: plain non-blocking sockets ----------------------------------------------------- */

static int connect_to(const char *address)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in inet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bool is_local = strncmp(address, "unix:", 5) == 0;
    unsigned port = 0;
    if (is_local)
        (void)snprintf(local.sun_path, sizeof local.sun_path, "%s", address + 5);
    else if (sscanf(address, "127.0.0.1:%u", &port) != 1)
        return -EINVAL;
    inet.sin_port = htons((uint16_t)port);
    int fd = socket(is_local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int status = is_local ? connect(fd, (const void *)&local, sizeof local)
                          : connect(fd, (const void *)&inet, sizeof inet);
    if (status < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        status = -errno;
        close(fd);
        return status;
    }
    return fd;
}

static int disk_connect(struct world *world, struct wire_client *wire)
{
    int fd = connect_to(world->address);
    if (fd < 0)
        return fd;
    wire->id = fd;
    return 0;
}

static void disk_pump(struct wire_client *wire)
{
    while (wire->out_bytes > 0 && !wire->ended) {
        ssize_t sent = send(wire->id, wire->out, wire->out_bytes, MSG_NOSIGNAL);
        if (sent <= 0)
            break; /* no room, or its end, which the receiving side learns too */
        wire->out_bytes -= (uint32_t)sent;
        memmove(wire->out, wire->out + sent, wire->out_bytes);
    }
    while (wire->in_bytes < WIRE_CLIENT_IN_BYTES && !wire->ended) {
        ssize_t got =
            recv(wire->id, wire->in + wire->in_bytes, WIRE_CLIENT_IN_BYTES - wire->in_bytes, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        wire->ended = got <= 0;
        wire->in_bytes += got > 0 ? (uint32_t)got : 0;
    }
}

static void disk_leave(struct wire_client *wire, bool reset)
{
    struct linger off = {.l_onoff = 1, .l_linger = 0};
    if (reset) /* RST instead of FIN; a unix socket has no such thing */
        (void)setsockopt(wire->id, SOL_SOCKET, SO_LINGER, &off, sizeof off);
    close(wire->id);
}

static struct world *world_begin_disk(struct world_engine *engine, const char *address)
{
    env_file file;
    engine->address = address;
    (void)snprintf(folder, sizeof folder, "crossdock-shard-%d", (int)getpid());
    disk_end(NULL);
    struct world *world = world_begin_on(engine);
    world->env = engine->start(world);
    int status = env_file_open(world->env, "direct", ENV_OPEN_CREATE, &file);
    if (status == -EINVAL || status == -EOPNOTSUPP) {
        world_end(world);
        cr_skip_test("O_DIRECT is refused by the file system of the working folder");
    }
    cr_assert_eq(status, 0, "%s", xd_status_name(status));
    env_file_close(world->env, file);
    cr_assert_eq(env_file_unlink(world->env, "direct"), 0);
    world_kill(world);
    return world;
}

struct world *world_begin_uring(const char *address)
{
    static struct world_engine engine = {.name = "io_uring",
                                         .start = uring_start,
                                         .stop = disk_stop,
                                         .connect = disk_connect,
                                         .pump = disk_pump,
                                         .leave = disk_leave,
                                         .end = disk_end};
    return world_begin_disk(&engine, address);
}

struct world *world_begin_epoll(const char *address)
{
    static struct world_engine engine = {.name = "epoll",
                                         .start = epoll_start,
                                         .stop = disk_stop,
                                         .connect = disk_connect,
                                         .pump = disk_pump,
                                         .leave = disk_leave,
                                         .end = disk_end};
    return world_begin_disk(&engine, address);
}
