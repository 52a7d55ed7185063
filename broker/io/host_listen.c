/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets, and who is at the other end of an accepted one.
 *
 * Normal path: parse, socket, options that accepted sockets inherit, bind, listen, tell the bound
 * address. Failure paths: -EINVAL for a malformed address, -EMFILE without a free slot, else what
 * the kernel said. A socket file that nobody answers on is a leftover and replaced; one that is
 * answered, or a file that is no socket, is never touched. Shutdown removes our socket file.
 */
#include "broker/io/host.h"

#include "broker/io/address.h"
#include "broker/io/listen.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096

/* Mode of a socket file: owner and group may connect. */
#define SOCKET_FILE_MODE 0660

/* Removes a socket file without a listener; 0 when the path is free now. */
static int stale_remove(const struct address *address)
{
    const char *path = address->socket.un.sun_path;
    struct stat about;
    if (lstat(path, &about) != 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(about.st_mode))
        return -EADDRINUSE;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* Only a refused connection proves that nobody listens; a full backlog says EAGAIN. */
    bool stale = connect(fd, &address->socket.any, address->bytes) != 0 && errno == ECONNREFUSED;
    (void)close(fd); /* Was only a question. */
    if (!stale)
        return -EADDRINUSE;
    return unlink(path) != 0 ? -errno : 0;
}

static int tcp_options(int fd, bool shared)
{
    int on = 1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return -errno;
    if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        return -errno;
    /* Accepted sockets inherit it: answers leave at once, the broker merges them itself. */
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0 ? -errno : 0;
}

static int bind_and_listen(int fd, const struct address *address, bool shared)
{
    bool is_unix = address->socket.any.sa_family == AF_UNIX;
    int status = is_unix ? stale_remove(address) : tcp_options(fd, shared);
    if (status < 0)
        return status;
    if (bind(fd, &address->socket.any, address->bytes) != 0)
        return -errno;
    /* Nobody can connect before listen(), so there is no moment with a wider mode. */
    if (is_unix && chmod(address->socket.un.sun_path, SOCKET_FILE_MODE) != 0)
        return -errno;
    return listen(fd, LISTEN_BACKLOG) != 0 ? -errno : 0;
}

int listen_open(const char *address, bool shared, int *ret_fd, char *ret_address)
{
    XD_ASSERT(address && ret_fd && ret_address);
    struct address wanted;
    struct address bound = {.bytes = sizeof(bound.socket)};
    int status = address_parse(address, &wanted);
    if (status < 0)
        return status;
    int fd = socket(wanted.socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    status = bind_and_listen(fd, &wanted, shared);
    if (status == 0 && getsockname(fd, &bound.socket.any, &bound.bytes) != 0)
        status = -errno;
    if (status < 0) {
        (void)close(fd); /* Never listened. */
        return status;
    }
    address_text(&bound, ret_address);
    *ret_fd = fd;
    return 0;
}

int listen_probe(const char *address)
{
    struct address wanted;
    int status = address_parse(address, &wanted);
    if (status < 0 || wanted.socket.any.sa_family == AF_UNIX)
        return status;
    int fd = socket(wanted.socket.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    status = tcp_options(fd, false);
    if (status == 0 && bind(fd, &wanted.socket.any, wanted.bytes) != 0)
        status = -errno;
    (void)close(fd); /* Was only a question. */
    return status;
}

int host_net_listen(struct env *env, const char *address, env_listener *ret_listener,
                    char *ret_address)
{
    struct host *host = host_of(env);
    XD_ASSERT(address && ret_listener && ret_address);
    uint32_t slot = 0;
    while (slot < HOST_LISTENERS_MAX && host->listeners[slot].fd >= 0)
        slot++;
    if (slot == HOST_LISTENERS_MAX)
        return -EMFILE;
    struct host_listener *listener = &host->listeners[slot];
    int fd;
    int status = listen_open(address, host->shared, &fd, ret_address);
    if (status < 0)
        return status;
    struct address wanted;
    status = address_parse(address, &wanted);
    XD_ASSERT(status == 0);
    listener->fd = fd;
    listener->path[0] = '\0';
    if (wanted.socket.any.sa_family == AF_UNIX)
        memcpy(listener->path, wanted.socket.un.sun_path, sizeof(listener->path));
    *ret_listener = (env_listener)slot;
    return 0;
}

bool host_listener_is_open(const struct host *host, env_listener listener)
{
    return listener >= 0 && (uint32_t)listener < HOST_LISTENERS_MAX &&
           host->listeners[listener].fd >= 0;
}

void host_listener_close(struct host *host, env_listener listener)
{
    XD_ASSERT(host_listener_is_open(host, listener));
    struct host_listener *slot = &host->listeners[listener];
    if (slot->path[0] != '\0')
        (void)unlink(slot->path); /* A leftover is recognised by the next start. */
    (void)close(slot->fd);
    slot->fd = -1;
}

void host_listeners_close(struct host *host)
{
    for (uint32_t i = 0; i < HOST_LISTENERS_MAX; i++) {
        if (host->listeners[i].fd >= 0)
            host_listener_close(host, (env_listener)i);
    }
}

void host_peer_text(int fd, char *ret_address)
{
    XD_ASSERT(ret_address);
    struct address peer = {.bytes = sizeof(peer.socket)};
    if (fd < 0 || getpeername(fd, &peer.socket.any, &peer.bytes) != 0) {
        (void)snprintf(ret_address, ENV_ADDRESS_BYTES_MAX, "(disconnected)");
        return;
    }
    struct ucred who;
    socklen_t bytes = sizeof(who);
    if (peer.socket.any.sa_family == AF_UNIX &&
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0) {
        /* Clients do not bind a name; who they are says more. */
        (void)snprintf(ret_address, ENV_ADDRESS_BYTES_MAX, "unix:pid=%d,uid=%u", (int)who.pid,
                       (unsigned)who.uid);
        return;
    }
    address_text(&peer, ret_address);
}

void host_peer_origin(int fd, struct env_origin *ret_origin)
{
    XD_ASSERT(ret_origin);
    struct address peer = {.bytes = sizeof(peer.socket)};
    struct env_origin origin = {.family = ENV_FAMILY_NONE};
    if (fd >= 0 && getpeername(fd, &peer.socket.any, &peer.bytes) == 0)
        address_origin(&peer, &origin);
    *ret_origin = origin;
}
