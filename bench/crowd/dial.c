/* SPDX-License-Identifier: Apache-2.0
 *
 * Sockets of a crowd; see dial.h.
 */
#include "bench/crowd/dial.h"

#include "bench/check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#define UNIX_PREFIX "unix:"
#define SMALL_BYTES 4096

static int parse_unix(struct dial *dial, const char *path)
{
    struct sockaddr_un *address = (struct sockaddr_un *)&dial->address;
    if (strlen(path) >= sizeof address->sun_path)
        return -EINVAL;
    address->sun_family = AF_UNIX;
    memcpy(address->sun_path, path, strlen(path) + 1);
    dial->address_bytes = sizeof *address;
    return 0;
}

static int parse_ip(struct dial *dial, const char *text)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[128];
    const char *colon = strrchr(text, ':');
    size_t bytes = colon != NULL ? (size_t)(colon - text) : 0;
    if (bytes == 0 || bytes >= sizeof host)
        return -EINVAL;
    bool brackets = text[0] == '[' && text[bytes - 1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(brackets ? bytes - 2 : bytes), text + brackets);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0)
        return -EINVAL;
    memcpy(&dial->address, found->ai_addr, found->ai_addrlen);
    dial->address_bytes = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static bool on_loopback(const struct dial *dial)
{
    const struct sockaddr_in *address = (const struct sockaddr_in *)&dial->address;
    return dial->address.ss_family == AF_INET &&
           ntohl(address->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

int dial_init(struct dial *dial, const char *address, uint32_t sources, char *ret_why)
{
    size_t prefix = strlen(UNIX_PREFIX);
    BENCH_ASSERT(sources <= DIAL_SOURCES_MAX);
    *dial = (struct dial){.sources = sources};
    bool is_unix = strncmp(address, UNIX_PREFIX, prefix) == 0;
    int status = is_unix ? parse_unix(dial, address + prefix) : parse_ip(dial, address);
    if (status < 0) {
        snprintf(ret_why, DIAL_WHY_BYTES, "%.128s is not an address: ip:port or unix:/path",
                 address);
    } else if (sources > 0 && !on_loopback(dial)) {
        snprintf(ret_why, DIAL_WHY_BYTES, "--addresses is for a broker at 127.x.x.x");
        status = -EINVAL;
    }
    return status;
}

static int bind_source(struct dial *dial, int fd)
{
    const int on = 1;
    const struct sockaddr_in source = {.sin_family = AF_INET,
                                       .sin_addr.s_addr =
                                           htonl(INADDR_LOOPBACK + dial->next++ % dial->sources)};
    /* The port is chosen when the other end is known, so each source has all of them. */
    if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) < 0 ||
        bind(fd, (const struct sockaddr *)&source, sizeof source) < 0)
        return -errno;
    return 0;
}

int dial_start(struct dial *dial, bool small, int *ret_fd)
{
    const int on = 1;
    const int small_bytes = SMALL_BYTES;
    int fd = socket(dial->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int status = dial->sources > 0 ? bind_source(dial, fd) : 0;
    if (status == 0 && dial->address.ss_family != AF_UNIX &&
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) < 0)
        status = -errno;
    if (status == 0 && small &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small_bytes, sizeof small_bytes) < 0)
        status = -errno;
    if (status == 0 &&
        connect(fd, (const struct sockaddr *)&dial->address, dial->address_bytes) < 0 &&
        errno != EINPROGRESS)
        status = -errno;
    if (status < 0) {
        close(fd);
        return status;
    }
    *ret_fd = fd;
    return 0;
}

int dial_allow(uint32_t descriptors, char *ret_why)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -errno;
    if (limit.rlim_cur >= descriptors)
        return 0;
    rlim_t hard = limit.rlim_max;
    limit.rlim_cur = descriptors;
    limit.rlim_max = hard < descriptors ? descriptors : hard; /* only root may go beyond it */
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0) {
        int status = -errno;
        snprintf(ret_why, DIAL_WHY_BYTES, "%u descriptors are needed, %llu allowed: ulimit -Hn %u",
                 descriptors, (unsigned long long)hard, descriptors);
        return status;
    }
    return 0;
}
