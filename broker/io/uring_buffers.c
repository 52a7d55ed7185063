/* SPDX-License-Identifier: Apache-2.0
 *
 * Receive buffers.
 *
 * Normal path: the kernel takes a buffer from the free ring, a completion names it, it is lent,
 * released, published again. Failure path: none at run time; a buffer released twice or never lent
 * is asserted. Shutdown: the ring that knows the buffers is closed first.
 *
 * Under AddressSanitizer a buffer that is not lent is poisoned, and of a lent one only the received
 * bytes are readable, so a view that outlives its release is found at the first touch.
 */
#include "broker/io/uring_buffers.h"

#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
static void poison(const uint8_t *start, size_t bytes)
{
    __asan_poison_memory_region(start, bytes);
}
static void unpoison(const uint8_t *start, size_t bytes)
{
    __asan_unpoison_memory_region(start, bytes);
}
#else
static void poison(const uint8_t *start, size_t bytes)
{
    (void)start;
    (void)bytes;
}
static void unpoison(const uint8_t *start, size_t bytes)
{
    (void)start;
    (void)bytes;
}
#endif

static uint8_t *buffer_at(const struct uring_buffers *buffers, uint32_t id)
{
    XD_ASSERT(id < buffers->count);
    return buffers->memory + (size_t)id * buffers->bytes;
}

static void buffer_add(struct uring_buffers *buffers, uint32_t id)
{
    uint8_t *start = buffer_at(buffers, id);
    poison(start, buffers->bytes);
    io_uring_buf_ring_add(buffers->free_ring, start, buffers->bytes, (unsigned short)id,
                          io_uring_buf_ring_mask(buffers->count), (int)buffers->unpublished);
    buffers->unpublished++;
    XD_ASSERT(buffers->unpublished <= buffers->count);
}

int uring_buffers_open(struct uring_buffers *buffers, struct memory *memory, uint32_t count,
                       uint32_t bytes)
{
    XD_ASSERT(count > 0 && (count & (count - 1)) == 0);
    /* At least a page, because the kernel wants the free ring page aligned. */
    size_t ring_bytes = count * sizeof(struct io_uring_buf);
    ring_bytes = ring_bytes < 4096 ? 4096 : ring_bytes;
    *buffers = (struct uring_buffers){.count = count, .bytes = bytes};
    buffers->free_ring = memory_alloc(memory, ring_bytes);
    buffers->lent = memory_alloc(memory, count);
    buffers->memory = memory_alloc(memory, (size_t)count * bytes);
    return buffers->free_ring && buffers->lent && buffers->memory ? 0 : -ENOMEM;
}

int uring_buffers_register(struct uring_buffers *buffers, struct uring_ring *ring)
{
    XD_ASSERT(buffers->memory && buffers->unpublished == 0);
    struct io_uring_buf_reg registration = {
        .ring_addr = (uint64_t)(uintptr_t)buffers->free_ring,
        .ring_entries = buffers->count,
        .bgid = URING_BUFFER_GROUP,
    };
    int status = io_uring_register_buf_ring(&ring->ring, &registration, 0);
    if (status < 0)
        return status;
    for (uint32_t id = 0; id < buffers->count; id++)
        buffer_add(buffers, id);
    uring_buffers_publish(buffers);
    return 0;
}

void uring_buffers_close(struct uring_buffers *buffers)
{
    if (buffers->memory)
        unpoison(buffers->memory, (size_t)buffers->count * buffers->bytes);
    *buffers = (struct uring_buffers){0};
}

const uint8_t *uring_buffers_lend(struct uring_buffers *buffers, uint32_t id, uint32_t bytes)
{
    const uint8_t *start = buffer_at(buffers, id);
    XD_ASSERT(!buffers->lent[id]);
    XD_ASSERT(bytes <= buffers->bytes);
    unpoison(start, bytes);
    buffers->lent[id] = 1;
    buffers->lent_count++;
    return start;
}

void uring_buffers_skip(struct uring_buffers *buffers, uint32_t id)
{
    XD_ASSERT(id < buffers->count && !buffers->lent[id]);
    buffer_add(buffers, id);
}

void uring_buffers_release(struct uring_buffers *buffers, uint32_t id)
{
    XD_ASSERT(id < buffers->count && buffers->lent[id]);
    buffers->lent[id] = 0;
    buffers->lent_count--;
    buffer_add(buffers, id);
}

void uring_buffers_publish(struct uring_buffers *buffers)
{
    if (buffers->unpublished == 0)
        return;
    /* Store-release of the tail, paired with the kernel's acquire when it picks a buffer. */
    io_uring_buf_ring_advance(buffers->free_ring, (int)buffers->unpublished);
    buffers->unpublished = 0;
}
