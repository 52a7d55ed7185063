/* SPDX-License-Identifier: Apache-2.0
 *
 * Datagrams to the service manager; see notify.h.
 */
#include "broker/notify.h"

#include "wire/xassert.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int notify_open(struct notify *notify, const char *address)
{
    struct sockaddr_un peer = {.sun_family = AF_UNIX};
    notify->fd = -1;
    if (address == NULL)
        return 0;
    size_t bytes = strlen(address);
    if ((address[0] != '/' && address[0] != '@') || bytes < 2 || bytes >= sizeof peer.sun_path)
        return -EINVAL;
    memcpy(peer.sun_path, address, bytes);
    if (address[0] == '@')
        peer.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&peer,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes)) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    notify->fd = fd;
    return 0;
}

void notify_send(const struct notify *notify, const char *text)
{
    /* A lost datagram is made good by the next one. */
    if (notify->fd >= 0)
        (void)send(notify->fd, text, strlen(text), MSG_NOSIGNAL);
}

void notify_close(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    notify->fd = -1;
}

/* A whole positive number. */
static bool parse(const char *text, uint64_t *ret_number)
{
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *ret_number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0';
}

uint64_t notify_watchdog_ns(const char *watchdog_us, const char *watchdog_pid, uint64_t pid)
{
    uint64_t us, wanted_pid;
    if (!parse(watchdog_us, &us) || us > UINT64_MAX / 1000)
        return 0;
    if (watchdog_pid != NULL && (!parse(watchdog_pid, &wanted_pid) || wanted_pid != pid))
        return 0;
    XD_ASSERT(pid != 0);
    return us * 1000 / 2;
}
