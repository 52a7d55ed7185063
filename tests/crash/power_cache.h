/* SPDX-License-Identifier: Apache-2.0
 *
 * The write cache of a simulated drive: what a drive has taken is readable at once, and survives a
 * loss of power for certain only when a flush came behind it.
 *
 * Normal path: cache_init, cache_write, cache_read and cache_flush as the drive is asked to.
 * Failure path: cache_cut is the loss of power: of the writes behind the last flush some are kept,
 * page by page, in any sequence; the others have never been. Which ones, the number decides.
 * A page of 4 KiB is never torn: file systems do not survive that either, so drives with such
 * sectors promise it. (Blocks of the log are torn at 512 bytes by the crash images.)
 * Must not know who writes, and must not do any I/O.
 */
#ifndef CROSSDOCK_TESTS_CRASH_POWER_CACHE_H
#define CROSSDOCK_TESTS_CRASH_POWER_CACHE_H

#include <stdint.h>

#define CACHE_PAGE_BYTES 4096u

/* A page behind the last flush. */
struct cache_page {
    uint64_t at;    /* byte of the medium, a multiple of the page */
    uint32_t write; /* number of the write that it came with, from the last flush on */
};

struct cache {
    uint8_t *current;         /* what reads are served from */
    uint8_t *medium;          /* what a loss of power leaves */
    uint64_t bytes;           /* of either, a multiple of the page */
    struct cache_page *pages; /* writes behind the last flush, oldest first */
    uint8_t *copies;          /* their contents, one page each */
    uint32_t page_count;      /* of pages in use */
    uint32_t page_max;        /* rooms; when they are full the cache is written back by itself */
    uint32_t write_count;     /* since the last flush */
};

/* What a loss of power did. */
struct cache_loss {
    uint32_t writes; /* behind the last flush */
    uint32_t pages;  /* of these writes */
    uint32_t kept;   /* of these pages */
};

/* A medium of zeros. -ENOMEM. */
int cache_init(struct cache *cache, uint64_t bytes, uint32_t page_max);
void cache_deinit(struct cache *cache);
/* Whole pages inside the medium. */
void cache_write(struct cache *cache, uint64_t at, const void *data, uint32_t bytes);
/* Any bytes inside the medium. */
const uint8_t *cache_read(const struct cache *cache, uint64_t at, uint32_t bytes);
void cache_flush(struct cache *cache);
void cache_cut(struct cache *cache, uint64_t random, struct cache_loss *ret_loss);

#endif
