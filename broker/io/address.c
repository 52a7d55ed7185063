/* SPDX-License-Identifier: Apache-2.0
 *
 * Address texts.
 *
 * Normal path: split at the last ':', let inet_pton judge the host, read the port digit by digit.
 * Failure path: -EINVAL, the output untouched. Must accept exactly what address_text() writes.
 */
#include "broker/io/address.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define UNIX_PREFIX "unix:"
#define UNIX_PREFIX_BYTES (sizeof(UNIX_PREFIX) - 1)

static_assert(UNIX_PREFIX_BYTES + sizeof(((struct sockaddr_un *)0)->sun_path) <
                  ENV_ADDRESS_BYTES_MAX,
              "every address has a text");

/* 1 to 5 digits, at most 65535. */
static int port_parse(const char *text, uint16_t *ret_port)
{
    uint32_t port = 0;
    size_t digits = strlen(text);
    if (digits == 0 || digits > 5)
        return -EINVAL;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (port > UINT16_MAX)
        return -EINVAL;
    *ret_port = htons((uint16_t)port);
    return 0;
}

static int unix_parse(const char *path, struct address *ret_address)
{
    struct address address = {.socket.un.sun_family = AF_UNIX};
    size_t bytes = strlen(path);
    /* An absolute path, terminator included in what the kernel gets. */
    if (path[0] != '/' || bytes >= sizeof(address.socket.un.sun_path))
        return -EINVAL;
    memcpy(address.socket.un.sun_path, path, bytes + 1);
    address.bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes + 1);
    *ret_address = address;
    return 0;
}

static int inet_parse(const char *text, size_t bytes, struct address *ret_address)
{
    char host[INET6_ADDRSTRLEN + 2]; /* with both brackets */
    const char *colon = memrchr(text, ':', bytes);
    if (!colon || (size_t)(colon - text) >= sizeof(host))
        return -EINVAL;
    size_t host_bytes = (size_t)(colon - text);
    memcpy(host, text, host_bytes);
    host[host_bytes] = '\0';
    uint16_t port;
    int status = port_parse(colon + 1, &port);
    if (status < 0)
        return status;

    struct address address = {0};
    if (host_bytes > 2 && host[0] == '[' && host[host_bytes - 1] == ']') {
        host[host_bytes - 1] = '\0';
        address.socket.in6.sin6_family = AF_INET6;
        address.socket.in6.sin6_port = port;
        address.bytes = sizeof(address.socket.in6);
        if (inet_pton(AF_INET6, host + 1, &address.socket.in6.sin6_addr) != 1)
            return -EINVAL;
    } else {
        address.socket.in.sin_family = AF_INET;
        address.socket.in.sin_port = port;
        address.bytes = sizeof(address.socket.in);
        if (inet_pton(AF_INET, host, &address.socket.in.sin_addr) != 1)
            return -EINVAL;
    }
    *ret_address = address;
    return 0;
}

int address_parse(const char *text, struct address *ret_address)
{
    XD_ASSERT(text && ret_address);
    size_t bytes = strnlen(text, ENV_ADDRESS_BYTES_MAX);
    if (bytes == ENV_ADDRESS_BYTES_MAX)
        return -EINVAL;
    if (strncmp(text, UNIX_PREFIX, UNIX_PREFIX_BYTES) == 0)
        return unix_parse(text + UNIX_PREFIX_BYTES, ret_address);
    return inet_parse(text, bytes, ret_address);
}

void address_text(const struct address *address, char *ret_text)
{
    XD_ASSERT(address && ret_text);
    char host[INET6_ADDRSTRLEN] = "";
    switch (address->socket.any.sa_family) {
    case AF_INET:
        /* The buffer is large enough for every address of the family: it cannot fail. */
        (void)inet_ntop(AF_INET, &address->socket.in.sin_addr, host, sizeof(host));
        (void)snprintf(ret_text, ENV_ADDRESS_BYTES_MAX, "%s:%u", host,
                       (unsigned)ntohs(address->socket.in.sin_port));
        return;
    case AF_INET6:
        (void)inet_ntop(AF_INET6, &address->socket.in6.sin6_addr, host, sizeof(host));
        (void)snprintf(ret_text, ENV_ADDRESS_BYTES_MAX, "[%s]:%u", host,
                       (unsigned)ntohs(address->socket.in6.sin6_port));
        return;
    default: {
        /* A peer without a name has a shorter address than the path's position. */
        size_t start = offsetof(struct sockaddr_un, sun_path);
        int bytes = address->bytes > start ? (int)(address->bytes - start) : 0;
        (void)snprintf(ret_text, ENV_ADDRESS_BYTES_MAX, UNIX_PREFIX "%.*s", bytes,
                       address->socket.un.sun_path);
        return;
    }
    }
}

void address_origin(const struct address *address, struct env_origin *ret_origin)
{
    XD_ASSERT(address && ret_origin);
    struct env_origin origin = {.family = ENV_FAMILY_NONE};
    const struct in6_addr *in6 = &address->socket.in6.sin6_addr;
    switch (address->socket.any.sa_family) {
    case AF_INET:
        origin.family = ENV_FAMILY_IPV4;
        memcpy(origin.address, &address->socket.in.sin_addr, sizeof(address->socket.in.sin_addr));
        break;
    case AF_INET6:
        if (IN6_IS_ADDR_V4MAPPED(in6)) {
            origin.family = ENV_FAMILY_IPV4;
            memcpy(origin.address, &in6->s6_addr[12], 4);
        } else {
            origin.family = ENV_FAMILY_IPV6;
            memcpy(origin.address, in6->s6_addr, sizeof(in6->s6_addr));
        }
        break;
    case AF_UNIX:
        origin.family = ENV_FAMILY_UNIX;
        break;
    default:
        break;
    }
    *ret_origin = origin;
}
