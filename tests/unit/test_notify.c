/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/notify.c: datagrams to whoever listens, and silence when nobody does.
 */
#include "broker/notify.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A socket that listens at `address`. */
static int listen_at(const char *address)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t bytes = strlen(address);
    memcpy(at.sun_path, address, bytes);
    if (address[0] == '@')
        at.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at,
                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes)),
                 0);
    return fd;
}

static void expect_datagram(int fd, const char *expected)
{
    char text[256] = "";
    ssize_t bytes = recv(fd, text, sizeof text - 1, 0);
    cr_assert_eq(bytes, (ssize_t)strlen(expected));
    cr_assert_str_eq(text, expected);
}

/* Both forms of an address work: a path, and an abstract name. */
Test(notify, sends_to_paths_and_abstract_names)
{
    char path[64], name[64];
    snprintf(path, sizeof path, "/tmp/xd_notify_%d", (int)getpid());
    snprintf(name, sizeof name, "@xd_notify_%d", (int)getpid());
    const char *addresses[] = {path, name};
    for (int i = 0; i < 2; i++) {
        struct notify notify;
        int fd = listen_at(addresses[i]);
        cr_assert_eq(notify_open(&notify, addresses[i]), 0);
        notify_send(&notify, "READY=1\nSTATUS=serving");
        notify_send(&notify, "WATCHDOG=1");
        expect_datagram(fd, "READY=1\nSTATUS=serving");
        expect_datagram(fd, "WATCHDOG=1");
        notify_close(&notify);
        close(fd);
    }
    unlink(path);
}

/* Without a service manager, and with a wrong address, all calls are allowed and do nothing. */
Test(notify, does_nothing_when_nobody_listens)
{
    struct notify notify;
    static const char *const wrong[] = {"", "relative", "@", "/"};
    cr_assert_eq(notify_open(&notify, NULL), 0);
    cr_assert_eq(notify.fd, -1);
    notify_send(&notify, "READY=1");
    notify_close(&notify);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_eq(notify_open(&notify, wrong[i]), -EINVAL, "%s", wrong[i]);
        notify_send(&notify, "READY=1");
        notify_close(&notify);
    }
    char longer[200];
    memset(longer, '/', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    cr_assert_eq(notify_open(&notify, longer), -EINVAL);
    cr_assert_eq(notify_open(&notify, "/nowhere/at/all"), -ENOENT);
    cr_assert_eq(notify.fd, -1);
}

/* A listener that goes away or does not read costs nothing but the datagram. */
Test(notify, never_blocks_and_never_signals)
{
    char name[64];
    struct notify notify;
    snprintf(name, sizeof name, "@xd_notify_full_%d", (int)getpid());
    int fd = listen_at(name);
    cr_assert_eq(notify_open(&notify, name), 0);
    for (int i = 0; i < 10000; i++)
        notify_send(&notify, "WATCHDOG=1");
    close(fd);
    notify_send(&notify, "WATCHDOG=1");
    notify_close(&notify);
}

/* The interval is half of what is demanded; wrong texts and other processes demand nothing. */
Test(notify, reads_the_watchdog_interval)
{
    cr_assert_eq(notify_watchdog_ns("30000000", NULL, 7), 15000000000ull);
    cr_assert_eq(notify_watchdog_ns("30000000", "7", 7), 15000000000ull);
    cr_assert_eq(notify_watchdog_ns("30000000", "8", 7), 0);
    cr_assert_eq(notify_watchdog_ns("30000000", "x", 7), 0);
    cr_assert_eq(notify_watchdog_ns(NULL, NULL, 7), 0);
    cr_assert_eq(notify_watchdog_ns("", NULL, 7), 0);
    cr_assert_eq(notify_watchdog_ns("-5", NULL, 7), 0);
    cr_assert_eq(notify_watchdog_ns("5s", NULL, 7), 0);
    cr_assert_eq(notify_watchdog_ns("18446744073709551615", NULL, 7), 0);
    cr_assert_eq(notify_watchdog_ns("0", NULL, 7), 0);
}
