/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets of a crowd: many connections to one address, started without waiting.
 *
 * To one address there are some 28,000 ports of one source address, and a broker may limit the
 * connections of an address; on the loopback the crowd may come from several, 127.0.0.1 and up.
 * Must not send or receive.
 */
#ifndef CROSSDOCK_BENCH_CROWD_DIAL_H
#define CROSSDOCK_BENCH_CROWD_DIAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define DIAL_SOURCES_MAX 250u
#define DIAL_WHY_BYTES 256u

struct dial {
    struct sockaddr_storage address; /* of the broker */
    socklen_t address_bytes;         /* */
    uint32_t sources;                /* source addresses used in turn; 0 = the kernel's choice */
    uint32_t next;                   /* of the next connection */
};

/* `address` is "ip:port" or "unix:/path". 0, or -EINVAL explained in `ret_why` (DIAL_WHY_BYTES). */
int dial_init(struct dial *dial, const char *address, uint32_t sources, char *ret_why);

/* Starts a connection; writable, or an error of the socket, is its outcome. `small`: the least
 * receive buffer, for who does not read. 0; -EAGAIN: the listener is behind, later; -errno. */
int dial_start(struct dial *dial, bool small, int *ret_fd);

/* Allows this process as many descriptors. 0, or -errno explained in `ret_why`. */
int dial_allow(uint32_t descriptors, char *ret_why);

#endif
