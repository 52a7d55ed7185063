/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of handles: taken when a handle is opened, given back when it is closed, never in between.
 * Large areas are only reserved: the kernel gives pages when they are first touched, so limits may
 * be generous. Must not be called on a path that moves records.
 */
#ifndef CROSSDOCK_CLIENT_MEMORY_H
#define CROSSDOCK_CLIENT_MEMORY_H

#include <stddef.h>

#define XD_CACHE_LINE_BYTES 64u

/* Zeroed memory on a cache line, or NULL. `bytes` may be 0. The caller owns it. */
void *xd_memory_acquire(size_t bytes);
/* The same for count elements; NULL also when the product does not fit. */
void *xd_memory_acquire_array(size_t count, size_t element_bytes);
/* Accepts NULL. */
void xd_memory_release(void *memory);

#endif
