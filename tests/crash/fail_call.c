/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes one call of the daemon fail: the n-th allocation, mapping or step of setting up an engine.
 * It is linked with everything of crossdockd, and the linker sends those calls here (--wrap), so
 * nothing of the daemon is built in another way and the shipped one holds no trace of this.
 *
 * Normal path: FAIL_AT=FUNCTION:N:ERRNO names the call, from 1, and the number of the error; "0"
 * instead of N is every call. When it comes, a line on standard error says so, and the caller gets
 * what the function gives on that error. A close that fails has closed, as the kernel's does.
 * Failure path: a FAIL_AT that cannot be read ends the process by an assertion; a test must not
 * run without its fault. Must not allocate.
 */
#include "wire/xassert.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/types.h>
#include <unistd.h>

/* Of liburing, which is only passed through. */
struct io_uring;
struct io_uring_params;
struct io_uring_probe;
struct io_uring_buf_reg;

#define FAIL_VARIABLE "FAIL_AT"
#define FAIL_NAME_BYTES 64u

/* Error of this call, 0 = it goes through. */
static int fails(const char *function, uint32_t *calls)
{
    const char *text = getenv(FAIL_VARIABLE);
    char name[FAIL_NAME_BYTES], words[FAIL_NAME_BYTES + 32];
    unsigned n;
    int error;
    if (text == NULL)
        return 0;
    int fields = sscanf(text, "%63[^:]:%u:%d", name, &n, &error);
    XD_ASSERT(fields == 3 && error > 0);
    if (strcmp(name, function) != 0 || (++*calls != n && n != 0))
        return 0;
    int bytes = snprintf(words, sizeof words, "failed at %s:%u\n", function, *calls);
    XD_ASSERT(bytes > 0 && bytes < (int)sizeof words);
    ssize_t written = write(STDERR_FILENO, words, (size_t)bytes);
    XD_ASSERT(written == bytes);
    return error;
}

/* A function that answers -errno, as liburing's do. */
#define WRAP_STATUS(function, parameters, arguments)                                               \
    int __wrap_##function parameters;                                                              \
    int __real_##function parameters;                                                              \
    int __wrap_##function parameters                                                               \
    {                                                                                              \
        static uint32_t calls;                                                                     \
        int error = fails(#function, &calls);                                                      \
        return error != 0 ? -error : __real_##function arguments;                                  \
    }

/* A function that answers `bad` and sets errno. */
#define WRAP_ERRNO(type, bad, function, parameters, arguments)                                     \
    type __wrap_##function parameters;                                                             \
    type __real_##function parameters;                                                             \
    type __wrap_##function parameters                                                              \
    {                                                                                              \
        static uint32_t calls;                                                                     \
        int error = fails(#function, &calls);                                                      \
        if (error == 0)                                                                            \
            return __real_##function arguments;                                                    \
        errno = error;                                                                             \
        return bad;                                                                                \
    }

WRAP_ERRNO(void *, NULL, malloc, (size_t bytes), (bytes))
WRAP_ERRNO(void *, NULL, calloc, (size_t count, size_t bytes), (count, bytes))
WRAP_ERRNO(void *, MAP_FAILED, mmap64,
           (void *start, size_t bytes, int protection, int flags, int fd, off_t position),
           (start, bytes, protection, flags, fd, position))
WRAP_ERRNO(ssize_t, -1, getrandom, (void *data, size_t bytes, unsigned flags), (data, bytes, flags))

WRAP_ERRNO(int, -1, epoll_create1, (int flags), (flags))
WRAP_ERRNO(int, -1, epoll_ctl, (int set, int what, int fd, struct epoll_event *watch),
           (set, what, fd, watch))
WRAP_ERRNO(int, -1, eventfd, (unsigned count, int flags), (count, flags))

WRAP_STATUS(io_uring_queue_init_params,
            (unsigned entries, struct io_uring *ring, struct io_uring_params *params),
            (entries, ring, params))
WRAP_STATUS(io_uring_register_probe,
            (struct io_uring * ring, struct io_uring_probe *probe, unsigned count),
            (ring, probe, count))
WRAP_STATUS(io_uring_register_iowq_max_workers, (struct io_uring * ring, unsigned *counts),
            (ring, counts))
WRAP_STATUS(io_uring_register_ring_fd, (struct io_uring * ring), (ring))
WRAP_STATUS(io_uring_register_buf_ring,
            (struct io_uring * ring, struct io_uring_buf_reg *registration, unsigned flags),
            (ring, registration, flags))
WRAP_STATUS(io_uring_register,
            (unsigned fd, unsigned operation, const void *argument, unsigned count),
            (fd, operation, argument, count))

/* Answers the error itself. */
int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument);
int __real_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument)
{
    static uint32_t calls;
    int error = fails("pthread_create", &calls);
    return error != 0 ? error : __real_pthread_create(ret_thread, attributes, run, argument);
}

int __wrap_close(int fd);
int __real_close(int fd);
int __wrap_close(int fd)
{
    static uint32_t calls;
    int error = fails("close", &calls);
    int status = __real_close(fd);
    if (error == 0)
        return status;
    errno = error;
    return -1;
}
