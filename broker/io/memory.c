/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory regions.
 *
 * Normal path: a piece is cut from the open small region or gets a region of its own; new regions
 * are touched page by page, so a machine that has not enough memory fails at start and not in the
 * middle of a write. Failure path: NULL, nothing changed. Shutdown: all regions are unmapped.
 */
#include "broker/io/memory.h"

#include "wire/xassert.h"

#include <sys/mman.h>

#define PAGE_BYTES ((size_t)4096)
#define HUGE_BYTES ((size_t)2 * 1024 * 1024)
#define SMALL_REGION_BYTES ((size_t)1024 * 1024)
#define SMALL_PIECE_BYTES_MAX (SMALL_REGION_BYTES / 4)
#define SMALL_ALIGN ((size_t)64) /* a cache line */

static size_t round_up(size_t bytes, size_t align)
{
    return (bytes + align - 1) & ~(align - 1);
}

void memory_init(struct memory *memory, uint64_t bytes_max)
{
    *memory = (struct memory){.bytes_max = bytes_max};
}

/* Maps more than needed and cuts both ends, because huge pages need their own alignment. */
static uint8_t *map_huge(size_t bytes)
{
    uint8_t *start =
        mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    uint8_t *aligned = (uint8_t *)round_up((size_t)start, HUGE_BYTES);
    size_t before = (size_t)(aligned - start);
    size_t after = HUGE_BYTES - before;
    /* Unmapping part of our own mapping can only fail for want of kernel memory; the part then
     * stays mapped, untouched and free of cost. */
    if (before > 0)
        (void)munmap(start, before);
    if (after > 0)
        (void)munmap(aligned + bytes, after);
    /* Advice only: with small pages everything works, a little slower. */
    (void)madvise(aligned, bytes, MADV_HUGEPAGE);
    return aligned;
}

static uint8_t *region_map(struct memory *memory, size_t bytes)
{
    XD_ASSERT(bytes % PAGE_BYTES == 0);
    if (memory->count == MEMORY_REGIONS_MAX)
        return NULL;
    if (memory->bytes_max > 0 && bytes > memory->bytes_max - memory->bytes)
        return NULL;
    uint8_t *start;
    if (bytes >= HUGE_BYTES) {
        start = map_huge(bytes);
    } else {
        start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        start = start == MAP_FAILED ? NULL : start;
    }
    if (!start)
        return NULL;
    for (size_t i = 0; i < bytes; i += PAGE_BYTES)
        *(volatile uint8_t *)(start + i) = 0;
    memory->regions[memory->count++] = (struct memory_region){.start = start, .bytes = bytes};
    memory->bytes += bytes;
    return start;
}

void *memory_alloc(struct memory *memory, size_t bytes)
{
    XD_ASSERT(bytes > 0 && bytes <= SIZE_MAX / 2);
    if (bytes > SMALL_PIECE_BYTES_MAX)
        return region_map(memory, round_up(bytes, PAGE_BYTES));

    /* Pieces of a page and more start on a page: what lies before is skipped. */
    size_t align = bytes >= PAGE_BYTES ? PAGE_BYTES : SMALL_ALIGN;
    size_t skip = round_up((size_t)memory->small, align) - (size_t)memory->small;
    if (!memory->small || skip + bytes > memory->small_bytes) {
        uint8_t *start = region_map(memory, SMALL_REGION_BYTES);
        if (!start)
            return NULL;
        memory->small = start;
        memory->small_bytes = SMALL_REGION_BYTES;
        skip = 0;
    }
    uint8_t *piece = memory->small + skip;
    size_t taken = skip + round_up(bytes, SMALL_ALIGN);
    taken = taken > memory->small_bytes ? memory->small_bytes : taken;
    memory->small += taken;
    memory->small_bytes -= taken;
    XD_ASSERT((size_t)piece % align == 0);
    return piece;
}

void memory_free_all(struct memory *memory)
{
    for (uint32_t i = 0; i < memory->count; i++) {
        int status = munmap(memory->regions[i].start, memory->regions[i].bytes);
        XD_ASSERT(status == 0);
    }
    memory_init(memory, memory->bytes_max);
}
