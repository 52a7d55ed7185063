/* SPDX-License-Identifier: Apache-2.0
 *
 * Clearing costs by what was touched, not by what was handed out: the kernel says which pages are
 * there. Small pages, so that only those are filled that a process has used: a broker with small
 * options touches some 6 MiB in a hundred places.
 */
#include "tests/support/sim_memory.h"

#include "tests/support/sim_net.h"
#include "tests/support/sim_pages.h"
#include "wire/xassert.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#define CLEAR_PAGES 1024u       /* looked at together */
#define CLEAR_TOUCHED_MAX 16384u /* pages; beyond it giving them back is cheaper than filling */

void memory_map(struct sim_memory *memory, uint64_t bytes)
{
    XD_ASSERT(memory->used == 0 && bytes % SIM_PAGE_BYTES == 0);
    if (memory->bytes == bytes)
        return;
    memory_unmap(memory);
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    XD_ASSERT(start != MAP_FAILED);
    (void)madvise(start, bytes, MADV_NOHUGEPAGE); /* a hint; without it more is filled */
    *memory = (struct sim_memory){.start = start, .bytes = bytes};
}

void memory_unmap(struct sim_memory *memory)
{
    if (memory->start != NULL)
        (void)munmap(memory->start, memory->bytes); /* our own mapping */
    *memory = (struct sim_memory){.start = NULL};
}

void *memory_take(struct sim_memory *memory, uint64_t bytes)
{
    uint64_t align = bytes >= SIM_PAGE_BYTES ? SIM_PAGE_BYTES : 64;
    uint64_t start = (memory->used + align - 1) / align * align;

    if (bytes == 0 || start > memory->bytes || bytes > memory->bytes - start)
        return NULL;
    memory->used = start + bytes;
    return memory->start + start;
}

static void give_back(uint8_t *at, uint64_t pages)
{
    int status = madvise(at, pages * SIM_PAGE_BYTES, MADV_DONTNEED);

    XD_ASSERT(status == 0);
}

/* Fills the pages of the chunk at `at` that are there and gives the others back, because they may
 * have been swapped out. Returns how many were there. */
static uint64_t chunk_clear(uint8_t *at, uint64_t pages)
{
    unsigned char there[CLEAR_PAGES];
    uint64_t count = 0;

    XD_ASSERT(pages <= CLEAR_PAGES);
    int status = mincore(at, pages * SIM_PAGE_BYTES, there);
    XD_ASSERT(status == 0);
    for (uint64_t i = 0; i < pages;) {
        uint64_t end = i + 1;
        bool touched = (there[i] & 1) != 0;

        while (end < pages && ((there[end] & 1) != 0) == touched)
            end++;
        if (touched)
            memset(at + i * SIM_PAGE_BYTES, 0, (end - i) * SIM_PAGE_BYTES);
        else
            give_back(at + i * SIM_PAGE_BYTES, end - i);
        count += touched ? end - i : 0;
        i = end;
    }
    return count;
}

void memory_clear(struct sim_memory *memory)
{
    uint64_t pages = (memory->used + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES;
    uint64_t touched = 0;

    if (pages > 0)
        buffer_unpoison(memory->start, memory->used); /* pools have poisoned parts of it */
    for (uint64_t page = 0; page < pages && touched <= CLEAR_TOUCHED_MAX;) {
        uint64_t chunk = pages - page < CLEAR_PAGES ? pages - page : CLEAR_PAGES;

        touched += chunk_clear(memory->start + page * SIM_PAGE_BYTES, chunk);
        page += chunk;
    }
    if (touched > CLEAR_TOUCHED_MAX)
        give_back(memory->start, pages);
    memory->used = 0;
}
