/* SPDX-License-Identifier: Apache-2.0
 *
 * Bells; see bells.h.
 */
#include "broker/io/bells.h"

#include "wire/xassert.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int bells_open(struct bells *bells, uint32_t count)
{
    XD_ASSERT(count >= 1 && count <= BELLS_MAX);
    bells->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fd < 0) {
            int error = errno;
            bells_close(bells);
            return -error;
        }
        bells->fds[bells->count++] = fd;
    }
    return 0;
}

void bells_close(struct bells *bells)
{
    for (uint32_t i = 0; i < bells->count; i++)
        (void)close(bells->fds[i]); /* Holds nothing. */
    bells->count = 0;
}

int bells_fd(const struct bells *bells, uint32_t bell)
{
    XD_ASSERT(bell < bells->count);
    return bells->fds[bell];
}

void bells_ring(const struct bells *bells, uint32_t bell)
{
    const uint64_t one = 1;
    ssize_t bytes = write(bells_fd(bells, bell), &one, sizeof(one));
    /* EAGAIN: 2^64 rings that nobody has heard, which is rung enough. */
    XD_ASSERT(bytes == (ssize_t)sizeof(one) || errno == EAGAIN);
}

bool bells_take(const struct bells *bells, uint32_t bell)
{
    uint64_t rings;
    return read(bells_fd(bells, bell), &rings, sizeof(rings)) == (ssize_t)sizeof(rings);
}

void bells_wait(const struct bells *bells, uint32_t bell)
{
    struct pollfd fd = {.fd = bells_fd(bells, bell), .events = POLLIN};
    while (!bells_take(bells, bell))
        (void)poll(&fd, 1, -1); /* EINTR: looks again */
}
