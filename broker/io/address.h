/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses of the env's network calls as text and as the kernel wants them:
 * "127.0.0.1:7700", "[::1]:7700", "unix:/run/crossdock.sock". No names are resolved: a broker must
 * not wait for a name server. Must not open sockets.
 */
#ifndef CROSSDOCK_BROKER_IO_ADDRESS_H
#define CROSSDOCK_BROKER_IO_ADDRESS_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "broker/io/env.h"

struct address {
    union {
        struct sockaddr any; /* family */
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
        struct sockaddr_un un;
    } socket;
    socklen_t bytes; /* used part of `socket` */
};

/* 0, or -EINVAL when the text is none of the three forms. The port may be 0. */
int address_parse(const char *text, struct address *ret_address);

/* Text of an address as above; a socket without a path is "unix:". ret_text has
 * ENV_ADDRESS_BYTES_MAX bytes. */
void address_text(const struct address *address, char *ret_text);

/* The address without its port, as env_net_origin() tells it. */
void address_origin(const struct address *address, struct env_origin *ret_origin);

#endif
