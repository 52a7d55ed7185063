/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers of the conformance suite for envs on the real network: plain non-blocking sockets on
 * loopback, whose descriptors are the peers' ids. The kit's context is not used.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_CONFORMANCE_SOCKETS_H
#define CROSSDOCK_TESTS_SUPPORT_CONFORMANCE_SOCKETS_H

#include "tests/support/env_conformance.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int tcp_connect(void *context, const char *address)
{
    (void)context;
    unsigned port = 0;
    if (sscanf(address, "127.0.0.1:%u", &port) != 1)
        return -EINVAL;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const void *)&to, sizeof(to)) != 0) {
        int status = -errno;
        close(fd);
        return status;
    }
    return fcntl(fd, F_SETFL, O_NONBLOCK) == 0 ? fd : -errno;
}

static inline int64_t peer_send(void *context, int peer, const void *data, size_t bytes)
{
    (void)context;
    ssize_t done = send(peer, data, bytes, MSG_NOSIGNAL);
    return done < 0 ? -errno : done;
}

static inline int64_t peer_recv(void *context, int peer, void *data, size_t bytes)
{
    (void)context;
    ssize_t done = recv(peer, data, bytes, 0);
    return done < 0 ? -errno : done;
}

static inline void peer_finish(void *context, int peer)
{
    (void)context;
    cr_assert_eq(shutdown(peer, SHUT_WR), 0);
}

/* Disconnecting with linger 0 sends RST and keeps the descriptor for peer_free. */
static inline void peer_reset(void *context, int peer)
{
    (void)context;
    struct linger off = {.l_onoff = 1, .l_linger = 0};
    cr_assert_eq(setsockopt(peer, SOL_SOCKET, SO_LINGER, &off, sizeof(off)), 0);
    struct sockaddr none = {.sa_family = AF_UNSPEC};
    cr_assert_eq(connect(peer, &none, sizeof(none)), 0);
}

static inline void peer_free(void *context, int peer)
{
    (void)context;
    close(peer);
}

#endif
