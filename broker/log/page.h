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

/* A write that makes no progress this often in a row is an error. A short write is no failure of
 * the device, so it is tried again; three times nothing is one. */
#define LOG_STALLS_MAX 3u

/* The first 16 bytes of every header page. */
struct page_head {
    uint64_t xxh3;    /*  0 of bytes 8..4095, seed 0 */
    uint32_t magic;   /*  8 which page it is */
    uint16_t version; /* 12 from 1 */
    uint16_t own;     /* 14 the page's own */
};
static_assert(sizeof(struct page_head) == 16, "page head");

/* Sets magic, version and hash; all other bytes of the page are final. */
void page_seal(void *page, uint32_t magic, uint16_t version);
/* 0; `damaged`, the caller's status for a page that is zero, torn, rotten or some other one; or
 * XD_FORMAT_UNKNOWN: whole, but written by a newer release. *ret_why is static text unless 0. */
int page_check(const void *page, uint32_t magic, uint16_t version, int damaged,
               const char **ret_why);

/* `bytes` rounded up to whole pages. */
static inline uint64_t page_round(uint64_t bytes)
{
    return (bytes + PAGE_BYTES - 1u) & ~(uint64_t)(PAGE_BYTES - 1u);
}

#endif
