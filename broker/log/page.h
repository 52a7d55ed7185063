/* SPDX-License-Identifier: Apache-2.0
 *
 * What the 4 KiB header pages of segment, meta and checkpoint have in common: the hash of bytes
 * 8..4095 in front, then magic and version. Pure functions over memory.
 */
#ifndef CROSSDOCK_LOG_PAGE_H
#define CROSSDOCK_LOG_PAGE_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_BYTES 4096u

/* The first 16 bytes of every header page. */
struct page_head {
    uint64_t xxh3;    /*  0 of bytes 8..4095, seed 0 */
    uint32_t magic;   /*  8 which page it is */
    uint16_t version; /* 12 from 1 */
    uint16_t own;     /* 14 the page's own */
};
static_assert(sizeof(struct page_head) == 16, "page head");

enum page_verdict {
    PAGE_GOOD,
    PAGE_DAMAGED, /* zero, torn, rotten, or some other page */
    PAGE_NEWER    /* whole, but written by a newer release */
};

/* Sets magic, version and hash; all other bytes of the page are final. */
void page_seal(void *page, uint32_t magic, uint16_t version);
/* *ret_why is static text unless the page is good. */
enum page_verdict page_check(const void *page, uint32_t magic, uint16_t version,
                             const char **ret_why);

/* `bytes` rounded up to whole pages. */
static inline uint64_t page_round(uint64_t bytes)
{
    return (bytes + PAGE_BYTES - 1u) & ~(uint64_t)(PAGE_BYTES - 1u);
}

#endif
