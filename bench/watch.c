/* SPDX-License-Identifier: Apache-2.0
 *
 * Many connections on one epoll descriptor; see watch.h.
 */
#include "bench/watch.h"

#include "bench/check.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* Events taken at once; the others wait for the next call. */
#define EVENTS_MAX 256

int watch_open(struct watch *watch)
{
    memset(watch, 0, sizeof *watch);
    for (uint32_t i = 0; i < WATCH_MAX; i++)
        watch->of[i].fd = -1;
    watch->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return watch->epoll_fd < 0 ? -errno : 0;
}

void watch_close(struct watch *watch)
{
    if (watch->epoll_fd >= 0)
        (void)close(watch->epoll_fd);
    watch->epoll_fd = -1;
}

/* The kernel has forgotten a descriptor that was closed, also when its number came again. */
static int tell(const struct watch *watch, int fd, uint32_t events, uint32_t number)
{
    struct epoll_event event = {.events = events, .data.u32 = number};
    int status = epoll_ctl(watch->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    if (status < 0 && errno == ENOENT)
        status = epoll_ctl(watch->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    return status < 0 ? -errno : 0;
}

int watch_set(struct watch *watch, uint32_t number, const xdock_client_t *client)
{
    BENCH_ASSERT(number < WATCH_MAX);
    struct watched *watched = &watch->of[number];
    xdock_client_stats_t stats;
    short wanted = xdock_client_events(client);
    int fd = xdock_client_fd(client);
    uint32_t events =
        (wanted & POLLIN ? (uint32_t)EPOLLIN : 0) | (wanted & POLLOUT ? (uint32_t)EPOLLOUT : 0);
    xdock_client_stats(client, &stats);
    if (fd == watched->fd && events == watched->events && stats.connects == watched->connects)
        return 0;
    watched->fd = fd;
    watched->events = events;
    watched->connects = stats.connects;
    return fd < 0 ? 0 : tell(watch, fd, events, number);
}

int watch_wait(struct watch *watch, uint64_t wait_ns)
{
    struct epoll_event events[EVENTS_MAX];
    const struct timespec wait = {.tv_sec = (time_t)(wait_ns / 1000000000u),
                                  .tv_nsec = (long)(wait_ns % 1000000000u)};
    int count = epoll_pwait2(watch->epoll_fd, events, EVENTS_MAX, &wait, NULL);
    if (count < 0)
        return errno == EINTR ? 0 : -errno;
    for (int i = 0; i < count; i++)
        watch->of[events[i].data.u32].ready = true;
    return 0;
}

bool watch_is_ready(struct watch *watch, uint32_t number)
{
    BENCH_ASSERT(number < WATCH_MAX);
    bool ready = watch->of[number].ready;
    watch->of[number].ready = false;
    return ready;
}
