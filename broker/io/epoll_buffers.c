/* SPDX-License-Identifier: Apache-2.0
 *
 * Receive buffers of the epoll env.
 *
 * Normal path: taken, filled, lent, released. Failure path: none at run time; a buffer released
 * twice or never lent is asserted. Nothing to shut down but the marks of AddressSanitizer.
 *
 * Under AddressSanitizer a buffer that is not lent is poisoned, and of a lent one only the received
 * bytes are readable, so a view that outlives its release is found at the first touch.
 */
#include "broker/io/epoll_buffers.h"

#include "wire/xassert.h"

#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <stddef.h>

static uint8_t *buffer_at(const struct epoll_buffers *buffers, uint32_t id)
{
    XD_ASSERT(id < buffers->count);
    return buffers->memory + (size_t)id * buffers->bytes;
}

static void push(struct epoll_buffers *buffers, uint32_t id)
{
    XD_ASSERT(buffers->free_count < buffers->count);
    ASAN_POISON_MEMORY_REGION(buffer_at(buffers, id), buffers->bytes);
    buffers->free[buffers->free_count++] = (uint16_t)id;
}

int epoll_buffers_open(struct epoll_buffers *buffers, struct memory *memory, uint32_t count,
                       uint32_t bytes)
{
    XD_ASSERT(count > 0 && count <= UINT16_MAX && bytes > 0);
    *buffers = (struct epoll_buffers){.count = count, .bytes = bytes};
    buffers->lent = memory_alloc(memory, count);
    buffers->free = memory_alloc(memory, count * sizeof(*buffers->free));
    uint8_t *start = memory_alloc(memory, (size_t)count * bytes);
    if (!buffers->lent || !buffers->free || !start)
        return -ENOMEM;
    buffers->memory = start;
    for (uint32_t id = count; id-- > 0;)
        push(buffers, id);
    return 0;
}

void epoll_buffers_close(struct epoll_buffers *buffers)
{
    if (buffers->memory)
        ASAN_UNPOISON_MEMORY_REGION(buffers->memory, (size_t)buffers->count * buffers->bytes);
    *buffers = (struct epoll_buffers){0};
}

uint32_t epoll_buffers_take(struct epoll_buffers *buffers, uint8_t **ret_start)
{
    XD_ASSERT(buffers->free_count > 0);
    uint32_t id = buffers->free[--buffers->free_count];
    XD_ASSERT(!buffers->lent[id]);
    *ret_start = buffer_at(buffers, id);
    ASAN_UNPOISON_MEMORY_REGION(*ret_start, buffers->bytes);
    return id;
}

void epoll_buffers_lend(struct epoll_buffers *buffers, uint32_t id, uint32_t bytes)
{
    uint8_t *start = buffer_at(buffers, id);
    XD_ASSERT(!buffers->lent[id] && bytes <= buffers->bytes);
    ASAN_POISON_MEMORY_REGION(start, buffers->bytes);
    ASAN_UNPOISON_MEMORY_REGION(start, bytes);
    buffers->lent[id] = 1;
}

void epoll_buffers_put(struct epoll_buffers *buffers, uint32_t id)
{
    XD_ASSERT(id < buffers->count && !buffers->lent[id]);
    push(buffers, id);
}

void epoll_buffers_release(struct epoll_buffers *buffers, uint32_t id)
{
    XD_ASSERT(id < buffers->count && buffers->lent[id]);
    buffers->lent[id] = 0;
    push(buffers, id);
}
