/* SPDX-License-Identifier: Apache-2.0
 *
 * Receive buffers of the epoll env: a stack of free ones and a note of which are lent to the
 * broker. The buffer that was given back last is taken first: it may still be in the cache.
 * Must not be asked for memory after start-up.
 */
#ifndef CROSSDOCK_BROKER_IO_EPOLL_BUFFERS_H
#define CROSSDOCK_BROKER_IO_EPOLL_BUFFERS_H

#include <stdint.h>

#include "broker/io/memory.h"

struct epoll_buffers {
    uint8_t *memory;     /* count * bytes, buffer i at i * bytes */
    uint8_t *lent;       /* per buffer: 1 = lent to the broker */
    uint16_t *free;      /* ids of free buffers, a stack of free_count */
    uint32_t count;      /* */
    uint32_t bytes;      /* of one buffer */
    uint32_t free_count; /* buffers that are neither lent nor being filled */
};

/* Allocates from `memory`. 0 or -ENOMEM. */
int epoll_buffers_open(struct epoll_buffers *buffers, struct memory *memory, uint32_t count,
                       uint32_t bytes);

/* Before the memory is freed. Accepts a zeroed object. */
void epoll_buffers_close(struct epoll_buffers *buffers);

/* A free buffer to receive into; there must be one. Its whole memory may be written until
 * epoll_buffers_lend() or epoll_buffers_put(). */
uint32_t epoll_buffers_take(struct epoll_buffers *buffers, uint8_t **ret_start);

/* A taken buffer was filled with so many bytes: it is the broker's until it is released. */
void epoll_buffers_lend(struct epoll_buffers *buffers, uint32_t id, uint32_t bytes);

/* A taken buffer was not needed. */
void epoll_buffers_put(struct epoll_buffers *buffers, uint32_t id);

/* Takes a lent buffer back. */
void epoll_buffers_release(struct epoll_buffers *buffers, uint32_t id);

#endif
