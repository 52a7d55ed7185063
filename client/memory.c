/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place where the library takes memory from the system.
 *
 * calloc gives zeroed memory without touching pages that come fresh from the kernel. It aligns to
 * 16 bytes only, so one line more is taken and the start is moved up to a line; the word before the
 * start keeps where the memory really begins.
 * Failure path: NULL, and the caller undoes its open.
 */
#include "client/memory.h"

#include "wire/xassert.h"

#include <stdint.h>
#include <stdlib.h>

void *xd_memory_acquire(size_t bytes)
{
    if (bytes > SIZE_MAX - XD_CACHE_LINE_BYTES)
        return NULL;
    uint8_t *raw = calloc(1, bytes + XD_CACHE_LINE_BYTES);
    if (raw == NULL)
        return NULL;
    /* calloc aligns to 16 bytes, so moving up to the next line leaves room for the kept word. */
    size_t skip = XD_CACHE_LINE_BYTES - ((uintptr_t)raw & (XD_CACHE_LINE_BYTES - 1u));
    XD_ASSERT(skip >= sizeof(void *));
    void **memory = (void **)(void *)(raw + skip);
    memory[-1] = raw;
    XD_ASSERT(((uintptr_t)memory & (XD_CACHE_LINE_BYTES - 1u)) == 0);
    return memory;
}

void *xd_memory_acquire_array(size_t count, size_t element_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, element_bytes, &bytes))
        return NULL;
    return xd_memory_acquire(bytes);
}

void xd_memory_release(void *memory)
{
    if (memory == NULL)
        return;
    XD_ASSERT(((uintptr_t)memory & (XD_CACHE_LINE_BYTES - 1u)) == 0);
    free(((void **)memory)[-1]);
}
