/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory behind env_mem_alloc(): taken from the kernel, zeroed and touched at start, within a
 * budget, given back as a whole. Small pieces share 1 MiB regions; large ones get their own region,
 * in huge pages where the kernel has them. Must not be used after start-up (the caller's seal).
 */
#ifndef CROSSDOCK_BROKER_IO_URING_MEMORY_H
#define CROSSDOCK_BROKER_IO_URING_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Regions at most: one per large allocation, one per MiB of small ones. */
#define URING_REGIONS_MAX 512u

struct uring_region {
    uint8_t *start; /* page aligned */
    size_t bytes;   /* mapped */
};

struct uring_memory {
    uint64_t bytes_max; /* budget, 0 = no limit */
    uint64_t bytes;     /* mapped so far */
    uint8_t *small;     /* rest of the newest region for small pieces */
    size_t small_bytes; /* what is left there */
    uint32_t count;     /* regions in use */
    struct uring_region regions[URING_REGIONS_MAX];
};

void uring_memory_init(struct uring_memory *memory, uint64_t bytes_max);

/* Zeroed, touched; aligned to 4096 when bytes >= 4096, else to 64. NULL when the kernel or the
 * budget has no more. */
void *uring_memory_alloc(struct uring_memory *memory, size_t bytes);

void uring_memory_free_all(struct uring_memory *memory);

#endif
