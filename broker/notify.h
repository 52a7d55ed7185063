/* SPDX-License-Identifier: Apache-2.0
 *
 * Tells the service manager how the process is: READY, STATUS, STOPPING, WATCHDOG. The protocol is
 * a text datagram to the socket that the environment names, so no library is needed.
 *
 * Normal path: notify_open, notify_send at every change, notify_close. Without a service manager
 * all calls do nothing. Failure path: a datagram that cannot be sent is lost; the manager's own
 * time-outs are the remedy. Must not block.
 */
#ifndef CROSSDOCK_BROKER_NOTIFY_H
#define CROSSDOCK_BROKER_NOTIFY_H

#include <stdint.h>

struct notify {
    int fd; /* connected socket, -1 = nobody listens */
};

/* `address` as in $NOTIFY_SOCKET: a path, or an abstract name after '@'; NULL = nobody. 0 or
 * -errno; then too the other calls are allowed. */
int notify_open(struct notify *notify, const char *address);
/* "READY=1\nSTATUS=..." */
void notify_send(const struct notify *notify, const char *text);
void notify_close(struct notify *notify);

/* How often WATCHDOG=1 must be sent, in ns: half of $WATCHDOG_USEC. 0 = not wanted: the texts are
 * NULL, wrong, or meant for another process. `pid` is ours. */
uint64_t notify_watchdog_ns(const char *watchdog_us, const char *watchdog_pid, uint64_t pid);

#endif
