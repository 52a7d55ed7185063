/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/transport.h"
#include "wire/status.h"

/* Addresses of all forms; what is none is refused with a reason. */
Test(transport_socket, parses_addresses)
{
    const struct {
        const char *text;
        int status;
    } rows[] = {
        {"127.0.0.1:7700", 0},
        {"localhost:1", 0},
        {"[::1]:65535", 0},
        {"unix:/run/crossdock.sock", 0},
        {"127.0.0.1", XD_OPTION_INVALID},
        {"127.0.0.1:", XD_OPTION_INVALID},
        {"127.0.0.1:0", XD_OPTION_INVALID},
        {"127.0.0.1:65536", XD_OPTION_INVALID},
        {"127.0.0.1:77x", XD_OPTION_INVALID},
        {":7700", XD_OPTION_INVALID},
        {"broker.example:7700", XD_OPTION_INVALID},
        {"[::1]", XD_OPTION_INVALID},
        {"[::g]:1", XD_OPTION_INVALID},
        {"unix:relative", XD_OPTION_INVALID},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct xd_transport *transport = NULL;
        char why[XD_TRANSPORT_TEXT_BYTES] = "";
        cr_assert_eq(xd_transport_socket(rows[i].text, &transport, why), rows[i].status, "%s",
                     rows[i].text);
        if (rows[i].status == 0)
            transport->ops->free(transport);
        else
            cr_assert_not_null(strstr(why, rows[i].text));
    }
}

/* A listener on a free port; its address as text. */
static int listen_local(char address[64])
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof(name);
    cr_assert_eq(bind(fd, (struct sockaddr *)&name, sizeof(name)), 0);
    cr_assert_eq(listen(fd, 4), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&name, &bytes), 0);
    snprintf(address, 64, "127.0.0.1:%u", ntohs(name.sin_port));
    return fd;
}

static int connect_wait(struct xd_transport *transport)
{
    int status = transport->ops->connect(transport);
    while (status == 0) {
        (void)transport->ops->wait(transport, POLLOUT,
                                   transport->ops->now_ns(transport) + 1000000000ull);
        status = transport->ops->connect_check(transport);
    }
    return status;
}

/* Bytes go both ways, an empty socket says so, and the peer's end is an end. */
Test(transport_socket, moves_bytes_without_blocking)
{
    char address[64];
    char why[XD_TRANSPORT_TEXT_BYTES];
    char buffer[16];
    int listener = listen_local(address);
    struct xd_transport *transport = NULL;
    cr_assert_eq(xd_transport_socket(address, &transport, why), 0);
    cr_assert_eq(transport->ops->fd(transport), -1);
    cr_assert_eq(connect_wait(transport), 1);
    int peer = accept(listener, NULL, NULL);
    const struct iovec pieces[2] = {{.iov_base = (char[]){"ab"}, .iov_len = 2},
                                    {.iov_base = (char[]){"cde"}, .iov_len = 3}};
    cr_assert_eq(transport->ops->send(transport, pieces, 2), 5);
    cr_assert_eq(recv(peer, buffer, sizeof(buffer), 0), 5);
    cr_assert_eq(memcmp(buffer, "abcde", 5), 0);
    cr_assert_eq(transport->ops->recv(transport, buffer, sizeof(buffer)), -EAGAIN);
    uint64_t now_ns = transport->ops->now_ns(transport);
    cr_assert_eq(transport->ops->wait(transport, POLLIN, now_ns + 20000000), 0);
    cr_assert_geq(transport->ops->now_ns(transport) - now_ns, 20000000);
    cr_assert_eq(send(peer, "xyz", 3, 0), 3);
    cr_assert_eq(transport->ops->wait(transport, POLLIN, now_ns + 5000000000ull), POLLIN);
    cr_assert_eq(transport->ops->recv(transport, buffer, sizeof(buffer)), 3);
    close(peer);
    (void)transport->ops->wait(transport, POLLIN, now_ns + 5000000000ull);
    cr_assert_eq(transport->ops->recv(transport, buffer, sizeof(buffer)), 0);
    transport->ops->close(transport);
    cr_assert_eq(transport->ops->fd(transport), -1);
    transport->ops->free(transport);
    close(listener);
}

/* Nobody listens: refused, and a missing unix socket is not found. */
Test(transport_socket, passes_errors_of_connect_on)
{
    char address[64];
    char why[XD_TRANSPORT_TEXT_BYTES];
    close(listen_local(address));
    struct xd_transport *transport = NULL;
    cr_assert_eq(xd_transport_socket(address, &transport, why), 0);
    cr_assert_eq(connect_wait(transport), -ECONNREFUSED);
    transport->ops->free(transport);
    cr_assert_eq(xd_transport_socket("unix:/nonexistent/socket", &transport, why), 0);
    cr_assert_eq(connect_wait(transport), -ENOENT);
    transport->ops->free(transport);
}

static void *check_in_thread(void *argument)
{
    struct xd_transport *transport = argument;
    return transport->ops->check(transport) == XD_WRONG_THREAD ? argument : NULL;
}

/* A child process and another thread are noticed; the opener stays the opener. */
Test(transport_socket, notices_fork_and_thread)
{
    char why[XD_TRANSPORT_TEXT_BYTES];
    struct xd_transport *transport = NULL;
    cr_assert_eq(xd_transport_socket("127.0.0.1:7700", &transport, why), 0);
    cr_assert_eq(transport->ops->check(transport), 0);
    pid_t child = fork();
    if (child == 0)
        _exit(transport->ops->check(transport) == XD_FORKED ? 0 : 1);
    int exit_status = 1;
    cr_assert_eq(waitpid(child, &exit_status, 0), child);
    cr_assert_eq(exit_status, 0);
    pthread_t thread;
    void *result = NULL;
    cr_assert_eq(pthread_create(&thread, NULL, check_in_thread, transport), 0);
    cr_assert_eq(pthread_join(thread, &result), 0);
    cr_assert_eq(result, transport);
    cr_assert_eq(transport->ops->check(transport), 0);
    cr_assert_neq(transport->ops->random64(transport), transport->ops->random64(transport));
    transport->ops->free(transport);
}
