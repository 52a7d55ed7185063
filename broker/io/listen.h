/* SPDX-License-Identifier: Apache-2.0
 *
 * A listening socket, for engines and for whoever listens beside them.
 *
 * Failure paths: -EINVAL for a malformed address, else what the kernel said. A socket file that
 * nobody answers on is a leftover and replaced; one that is answered, or a file that is no socket,
 * is never touched.
 */
#ifndef CROSSDOCK_BROKER_IO_LISTEN_H
#define CROSSDOCK_BROKER_IO_LISTEN_H

#include <stdbool.h>

/* Binds and listens. `shared`: other sockets may listen on the same TCP port, and the kernel
 * spreads connections over them. 0 with an open descriptor and the bound address
 * (ENV_ADDRESS_BYTES_MAX, port 0 resolved), or -errno. */
int listen_open(const char *address, bool shared, int *ret_fd, char *ret_address);

/* Whether a TCP port is free: the kernel lets another process of the same user into a shared one.
 * 0, also for a unix socket, or -errno; -EADDRINUSE when somebody listens there. */
int listen_probe(const char *address);

#endif
