/* SPDX-License-Identifier: Apache-2.0
 *
 * The transport of programs: a non-blocking stream socket, the system's clocks.
 *
 * Normal path: connect starts, poll(2) says when it is done, sendmsg and recv move what fits.
 * Failure paths: every call passes -errno on; the connection above decides. A signal during wait
 * ends the wait early and counts as nothing.
 *
 * Fork and thread are noticed without a system call, because every public function asks: a page
 * that the kernel wipes in a child (MADV_WIPEONFORK, Linux 4.14) holds a mark, and the thread is
 * compared by pthread_self. Where the kernel lacks the wipe, the process number is asked for
 * instead.
 *
 * With memory.c and options_load.c this is the only file of the library that calls the system.
 */
#include "client/transport.h"

#include "client/memory.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FORK_MARK 0x58444f4bu

struct socket_transport {
    struct xd_transport base; /* first member */
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    } address;                    /* where the broker listens */
    socklen_t address_bytes;      /* of the member in use */
    int fd;                       /* -1 = no connection */
    pid_t pid;                    /* of the process that opened */
    pthread_t thread;             /* that opened */
    volatile uint32_t *fork_mark; /* page wiped in a child; NULL when the kernel cannot */
};

static struct socket_transport *self_of(struct xd_transport *transport)
{
    return (struct socket_transport *)(void *)transport;
}

static const struct socket_transport *self_of_const(const struct xd_transport *transport)
{
    return (const struct socket_transport *)(const void *)transport;
}

/* ---- addresses ------------------------------------------------------------------------------- */

/* 1..65535, or 0. */
static uint16_t parse_port(const char *text)
{
    unsigned value = 0;
    if (*text == '\0' || strlen(text) > 5)
        return 0;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        value = value * 10 + (unsigned)(*text - '0');
    }
    return value <= UINT16_MAX ? (uint16_t)value : 0;
}

static int refuse(const char *address, const char *reason, char *why)
{
    snprintf(why, XD_TRANSPORT_TEXT_BYTES, "address '%.64s': %s", address, reason);
    return XD_OPTION_INVALID;
}

static int parse_unix(struct socket_transport *self, const char *address, char *why)
{
    const char *path = address + strlen("unix:");
    size_t bytes = strlen(path);
    if (path[0] != '/')
        return refuse(address, "the path of a unix socket starts with /", why);
    if (bytes >= sizeof(self->address.local.sun_path))
        return refuse(address, "the path of a unix socket has at most 107 bytes", why);
    self->address.local.sun_family = AF_UNIX;
    memcpy(self->address.local.sun_path, path, bytes + 1);
    self->address_bytes = sizeof(self->address.local);
    return 0;
}

static int parse_address(struct socket_transport *self, const char *address, char *why)
{
    if (strncmp(address, "unix:", 5) == 0)
        return parse_unix(self, address, why);
    const char *colon = strrchr(address, ':');
    uint16_t port = colon != NULL ? parse_port(colon + 1) : 0;
    if (port == 0)
        return refuse(address, "expected ip:port, [v6]:port or unix:/path, port 1 to 65535", why);

    char host[INET6_ADDRSTRLEN + 2];
    size_t bytes = (size_t)(colon - address);
    if (bytes == 0 || bytes >= sizeof(host))
        return refuse(address, "the host is not an IP address", why);
    memcpy(host, address, bytes);
    host[bytes] = '\0';
    if (host[0] == '[' && host[bytes - 1] == ']') {
        host[bytes - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &self->address.v6.sin6_addr) != 1)
            return refuse(address, "the host is not an IPv6 address", why);
        self->address.v6.sin6_family = AF_INET6;
        self->address.v6.sin6_port = htons(port);
        self->address_bytes = sizeof(self->address.v6);
        return 0;
    }
    if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
                  &self->address.v4.sin_addr) != 1)
        return refuse(address, "the host is not an IP address (names are not looked up)", why);
    self->address.v4.sin_family = AF_INET;
    self->address.v4.sin_port = htons(port);
    self->address_bytes = sizeof(self->address.v4);
    return 0;
}

/* ---- connection ------------------------------------------------------------------------------ */

static void socket_close(struct xd_transport *transport)
{
    struct socket_transport *self = self_of(transport);
    if (self->fd >= 0)
        close(self->fd);
    self->fd = -1;
}

static int socket_connect(struct xd_transport *transport)
{
    struct socket_transport *self = self_of(transport);
    socket_close(transport);
    int family = self->address.any.sa_family;
    XD_ASSERT(self->address_bytes > 0 && self->fd < 0);
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int on = 1;
    /* Frames leave when they are written: batching is done above, with more knowledge. */
    if (family != AF_UNIX && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0) {
        int status = -errno;
        close(fd);
        return status;
    }
    self->fd = fd;
    if (connect(fd, &self->address.any, self->address_bytes) == 0)
        return 1;
    if (errno == EINPROGRESS || errno == EINTR)
        return 0;
    int status = -errno;
    socket_close(transport);
    /* A unix socket whose queue is full says EAGAIN; for the caller nobody is there yet. */
    return status == -EAGAIN ? -ECONNREFUSED : status;
}

static int socket_connect_check(struct xd_transport *transport)
{
    struct socket_transport *self = self_of(transport);
    XD_ASSERT(self->fd >= 0);
    struct pollfd poller = {.fd = self->fd, .events = POLLOUT};
    int ready = poll(&poller, 1, 0);
    if (ready < 0)
        return errno == EINTR ? 0 : -errno;
    if (ready == 0)
        return 0;
    int error = 0;
    socklen_t bytes = sizeof(error);
    if (getsockopt(self->fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0)
        return -errno;
    return error == 0 ? 1 : -error;
}

static int64_t socket_send(struct xd_transport *transport, const struct iovec *pieces,
                           int piece_count)
{
    struct socket_transport *self = self_of(transport);
    XD_ASSERT(piece_count > 0 && piece_count <= IOV_MAX);
    XD_ASSERT(self->fd >= 0);
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces,
                             .msg_iovlen = (size_t)piece_count};
    ssize_t sent;
    do
        sent = sendmsg(self->fd, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent >= 0 ? sent : -errno;
}

static int64_t socket_recv(struct xd_transport *transport, void *buffer, size_t bytes)
{
    struct socket_transport *self = self_of(transport);
    XD_ASSERT(bytes > 0);
    XD_ASSERT(self->fd >= 0);
    ssize_t received;
    do
        received = recv(self->fd, buffer, bytes, 0);
    while (received < 0 && errno == EINTR);
    return received >= 0 ? received : -errno;
}

/* ---- time and randomness --------------------------------------------------------------------- */

static uint64_t socket_now_ns(struct xd_transport *transport)
{
    (void)transport; /* the clock is the system's */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static int64_t socket_wall_us(struct xd_transport *transport)
{
    (void)transport; /* the clock is the system's */
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static short socket_wait(struct xd_transport *transport, short events, uint64_t deadline_ns)
{
    struct socket_transport *self = self_of(transport);
    uint64_t now = socket_now_ns(transport);
    struct timespec left = {0, 0};
    if (deadline_ns > now) {
        uint64_t ns = deadline_ns - now;
        left.tv_sec = (time_t)(ns / 1000000000ull);
        left.tv_nsec = (long)(ns % 1000000000ull);
    }
    struct pollfd poller = {.fd = self->fd, .events = events};
    int ready =
        ppoll(&poller, self->fd >= 0 ? 1 : 0, deadline_ns == XD_WAIT_FOREVER ? NULL : &left, NULL);
    return ready > 0 ? poller.revents : 0;
}

static uint64_t socket_random64(struct xd_transport *transport)
{
    uint64_t value;
    if (getrandom(&value, sizeof(value), GRND_NONBLOCK) == (ssize_t)sizeof(value))
        return value;
    /* Early in the boot of a machine: back-off and identifiers need variety, not secrecy. */
    return socket_now_ns(transport) * 0x9e3779b97f4a7c15ull ^
           (uint64_t)socket_wall_us(transport) << 20 ^ (uint64_t)(unsigned)getpid();
}

/* ---- who is calling -------------------------------------------------------------------------- */

static int socket_check(const struct xd_transport *transport)
{
    const struct socket_transport *self = self_of_const(transport);
    if (self->fork_mark != NULL ? *self->fork_mark != FORK_MARK : getpid() != self->pid)
        return XD_FORKED;
    return pthread_equal(self->thread, pthread_self()) ? 0 : XD_WRONG_THREAD;
}

static int socket_fd(const struct xd_transport *transport)
{
    return self_of_const(transport)->fd;
}

static void *fork_page(void)
{
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, bytes, MADV_WIPEONFORK) == 0)
        return page;
    munmap(page, bytes);
    return NULL;
}

static void socket_free(struct xd_transport *transport)
{
    struct socket_transport *self = self_of(transport);
    /* In a child this closes the child's copy of the descriptor; the parent's lives on. */
    socket_close(transport);
    if (self->fork_mark != NULL)
        munmap((void *)(uintptr_t)self->fork_mark, (size_t)sysconf(_SC_PAGESIZE));
    xd_memory_release(self);
}

static const struct xd_transport_ops socket_ops = {
    .connect = socket_connect,
    .connect_check = socket_connect_check,
    .send = socket_send,
    .recv = socket_recv,
    .wait = socket_wait,
    .close = socket_close,
    .fd = socket_fd,
    .now_ns = socket_now_ns,
    .wall_us = socket_wall_us,
    .random64 = socket_random64,
    .check = socket_check,
    .free = socket_free,
};

int xd_transport_socket(const char *address, struct xd_transport **ret_transport, char *why)
{
    XD_ASSERT(address != NULL && ret_transport != NULL);
    struct socket_transport *self = xd_memory_acquire(sizeof(*self));
    if (self == NULL)
        return -ENOMEM;
    self->base.ops = &socket_ops;
    self->fd = -1;
    self->pid = getpid();
    self->thread = pthread_self();
    int status = parse_address(self, address, why);
    if (status < 0) {
        socket_free(&self->base);
        return status;
    }
    self->fork_mark = fork_page();
    if (self->fork_mark != NULL)
        *self->fork_mark = FORK_MARK;
    *ret_transport = &self->base;
    return 0;
}
