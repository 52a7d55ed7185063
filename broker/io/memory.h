/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory behind env_mem_alloc(): taken from the kernel, zeroed and touched at start, within a
 * budget, given back as a whole. Small pieces share 1 MiB regions; large ones get their own region,
 * in huge pages where the kernel has them. Must not be used after start-up (the caller's seal).
 */
#ifndef CROSSDOCK_BROKER_IO_MEMORY_H
#define CROSSDOCK_BROKER_IO_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Regions at most: one per large allocation, one per MiB of small ones. */
#define MEMORY_REGIONS_MAX 512u

struct memory_region {
    uint8_t *start; /* page aligned */
    size_t bytes;   /* mapped */
};

struct memory {
    uint64_t bytes_max; /* budget, 0 = no limit */
    uint64_t bytes;     /* mapped so far */
    uint8_t *small;     /* rest of the newest region for small pieces */
    size_t small_bytes; /* what is left there */
    uint32_t count;     /* regions in use */
    struct memory_region regions[MEMORY_REGIONS_MAX];
};

void memory_init(struct memory *memory, uint64_t bytes_max);

/* Zeroed, touched; aligned to 4096 when bytes >= 4096, else to 64. NULL when the kernel or the
 * budget has no more. */
void *memory_alloc(struct memory *memory, size_t bytes);

void memory_free_all(struct memory *memory);

#endif
