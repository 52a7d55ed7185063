/* SPDX-License-Identifier: Apache-2.0
 *
 * Waiting for many connections of the client library, at a cost that does not rise with their
 * number as poll's does: with 1,024 of them poll would be most of what a load program does.
 *
 * Normal path: watch_set after each turn of a client, watch_wait, watch_is_ready. A descriptor is
 * told to the kernel when it, or what is waited for, has changed. Failure path: -errno of epoll.
 */
#ifndef CROSSDOCK_BENCH_WATCH_H
#define CROSSDOCK_BENCH_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/command.h"

#include <crossdock/crossdock.h>

#define WATCH_MAX COMMAND_CONNECTIONS_MAX

struct watch {
    int epoll_fd; /* */
    struct watched {
        uint64_t connects; /* the client's connections when its descriptor was told */
        int fd;            /* told to the kernel, -1 = none */
        uint32_t events;   /* EPOLLIN, EPOLLOUT */
        bool ready;        /* at the last wait */
    } of[WATCH_MAX];
};

/* 0 or -errno. */
int watch_open(struct watch *watch);
void watch_close(struct watch *watch);

/* Client `number`, below WATCH_MAX, has had a turn. 0 or -errno. */
int watch_set(struct watch *watch, uint32_t number, const xdock_client_t *client);
/* Waits until one of them has an event, at most that long. 0 or -errno. */
int watch_wait(struct watch *watch, uint64_t wait_ns);
/* Whether the last wait found an event of it. Taken once. */
bool watch_is_ready(struct watch *watch, uint32_t number);

#endif
