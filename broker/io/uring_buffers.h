/* SPDX-License-Identifier: Apache-2.0
 *
 * Receive buffers that the kernel picks from: a ring of free ones shared with it, and a note of
 * which are lent to the broker. Given-back buffers are collected and shown to the kernel at once
 * with one store. Must not be asked for memory after start-up.
 */
#ifndef CROSSDOCK_BROKER_IO_URING_BUFFERS_H
#define CROSSDOCK_BROKER_IO_URING_BUFFERS_H

#include <stdint.h>

#include "broker/io/memory.h"
#include "broker/io/uring_ring.h"

/* The one buffer group of the ring. */
#define URING_BUFFER_GROUP 0

struct uring_buffers {
    struct io_uring_buf_ring *free_ring; /* shared with the kernel */
    uint8_t *memory;                     /* count * bytes, buffer i at i * bytes */
    uint8_t *lent;                       /* per buffer: 1 = lent to the broker */
    uint32_t count;                      /* power of two */
    uint32_t bytes;                      /* of one buffer */
    uint32_t lent_count;                 /* buffers with lent = 1 */
    uint32_t unpublished;                /* given back, not yet shown to the kernel */
};

/* Allocates from `memory`. 0 or -ENOMEM. */
int uring_buffers_open(struct uring_buffers *buffers, struct memory *memory, uint32_t count,
                       uint32_t bytes);

/* Shows the buffers to a ring, which must not be enabled yet. 0 or what the kernel answers. */
int uring_buffers_register(struct uring_buffers *buffers, struct uring_ring *ring);

/* Before the memory is freed. Accepts a zeroed object. */
void uring_buffers_close(struct uring_buffers *buffers);

/* A completion named this buffer: lends it and returns its first byte. */
const uint8_t *uring_buffers_lend(struct uring_buffers *buffers, uint32_t id, uint32_t bytes);

/* A completion named this buffer but there is nothing in it. */
void uring_buffers_skip(struct uring_buffers *buffers, uint32_t id);

/* Takes a lent buffer back. */
void uring_buffers_release(struct uring_buffers *buffers, uint32_t id);

/* Shows everything that was given back to the kernel. */
void uring_buffers_publish(struct uring_buffers *buffers);

#endif
