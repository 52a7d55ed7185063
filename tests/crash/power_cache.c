/* SPDX-License-Identifier: Apache-2.0
 *
 * The write cache of a simulated drive; see power_cache.h.
 */
#include "tests/crash/power_cache.h"

#include "tests/support/prng.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

/* How a loss of power treats the cache. */
enum keep {
    KEEP_NONE,   /* nothing behind the last flush */
    KEEP_ALL,    /* the cache was written back in time */
    KEEP_PREFIX, /* everything before some page, as a drive does that writes back in sequence */
    KEEP_HALF,   /* any */
    KEEP_FEW,    /* one page in eight */
    KEEP_MOST,   /* all but one page in eight */
    KEEP_WRITES, /* whole writes, any of them */
    KEEP_COUNT
};

/* Memory that costs nothing until it is touched. */
static void *map(uint64_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(void *memory, uint64_t bytes)
{
    if (memory != NULL)
        (void)munmap(memory, bytes); /* Of a mapping of ours it cannot fail. */
}

int cache_init(struct cache *cache, uint64_t bytes, uint32_t page_max)
{
    XD_ASSERT(bytes > 0 && bytes % CACHE_PAGE_BYTES == 0 && page_max > 0);
    *cache = (struct cache){.bytes = bytes, .page_max = page_max};
    cache->current = map(bytes);
    cache->medium = map(bytes);
    cache->pages = map(page_max * sizeof *cache->pages);
    cache->copies = map((uint64_t)page_max * CACHE_PAGE_BYTES);
    if (cache->current != NULL && cache->medium != NULL && cache->pages != NULL &&
        cache->copies != NULL)
        return 0;
    cache_deinit(cache);
    return -ENOMEM;
}

void cache_deinit(struct cache *cache)
{
    unmap(cache->current, cache->bytes);
    unmap(cache->medium, cache->bytes);
    unmap(cache->pages, cache->page_max * sizeof *cache->pages);
    unmap(cache->copies, (uint64_t)cache->page_max * CACHE_PAGE_BYTES);
    memset(cache, 0, sizeof *cache);
}

static uint8_t *copy_of(const struct cache *cache, uint32_t page)
{
    return cache->copies + (uint64_t)page * CACHE_PAGE_BYTES;
}

static void keep_page(struct cache *cache, uint32_t page)
{
    memcpy(cache->medium + cache->pages[page].at, copy_of(cache, page), CACHE_PAGE_BYTES);
}

void cache_write(struct cache *cache, uint64_t at, const void *data, uint32_t bytes)
{
    XD_ASSERT(at % CACHE_PAGE_BYTES == 0 && bytes % CACHE_PAGE_BYTES == 0);
    XD_ASSERT(at <= cache->bytes && bytes <= cache->bytes - at);
    memcpy(cache->current + at, data, bytes);
    for (uint32_t done = 0; done < bytes; done += CACHE_PAGE_BYTES) {
        /* A drive may write back whenever it likes. */
        if (cache->page_count == cache->page_max)
            cache_flush(cache);
        cache->pages[cache->page_count] =
            (struct cache_page){.at = at + done, .write = cache->write_count};
        memcpy(copy_of(cache, cache->page_count), (const uint8_t *)data + done, CACHE_PAGE_BYTES);
        cache->page_count++;
    }
    cache->write_count++;
}

const uint8_t *cache_read(const struct cache *cache, uint64_t at, uint32_t bytes)
{
    XD_ASSERT(at <= cache->bytes && bytes <= cache->bytes - at);
    return cache->current + at;
}

void cache_flush(struct cache *cache)
{
    for (uint32_t i = 0; i < cache->page_count; i++)
        keep_page(cache, i);
    cache->page_count = 0;
    cache->write_count = 0;
}

/* True when the page is kept. `draw` is of the page, but for KEEP_WRITES of its write. */
static bool is_kept(enum keep keep, uint64_t draw, uint32_t index, uint32_t prefix)
{
    switch (keep) {
    case KEEP_NONE:
        return false;
    case KEEP_ALL:
        return true;
    case KEEP_PREFIX:
        return index < prefix;
    case KEEP_HALF:
    case KEEP_WRITES:
        return (draw & 1) != 0;
    case KEEP_FEW:
        return (draw & 7) == 0;
    case KEEP_MOST:
        return (draw & 7) != 0;
    case KEEP_COUNT:
        break;
    }
    XD_ASSERT(false);
    return false;
}

void cache_cut(struct cache *cache, uint64_t random, struct cache_loss *ret_loss)
{
    struct prng prng = prng_seeded(random);
    enum keep keep = (enum keep)prng_below32(&prng, KEEP_COUNT);
    uint32_t prefix = prng_below32(&prng, cache->page_count + 1u);
    struct cache_loss loss = {.writes = cache->write_count, .pages = cache->page_count};
    uint64_t draw = 0;
    for (uint32_t i = 0; i < cache->page_count; i++) {
        bool same_write = i > 0 && cache->pages[i].write == cache->pages[i - 1].write;
        if (keep != KEEP_WRITES || !same_write)
            draw = prng_next(&prng);
        if (is_kept(keep, draw, i, prefix)) {
            keep_page(cache, i);
            loss.kept++;
        }
    }
    /* Behind the loss the medium is all there is. */
    for (uint32_t i = 0; i < cache->page_count; i++) {
        uint64_t at = cache->pages[i].at;
        memcpy(cache->current + at, cache->medium + at, CACHE_PAGE_BYTES);
    }
    cache->page_count = 0;
    cache->write_count = 0;
    *ret_loss = loss;
}
