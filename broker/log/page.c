/* SPDX-License-Identifier: Apache-2.0
 *
 * Seal and check of header pages. A page is judged in this sequence: magic (a zero page is told
 * apart from a damaged one, for people), hash, version: a version counts only under a valid hash,
 * so a flipped bit never looks like a newer release.
 */
#include "broker/log/page.h"

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

#define PAGE_HASHED_FROM 8u

void page_seal(void *page, uint32_t magic, uint16_t version)
{
    XD_ASSERT(((uintptr_t)page & 7u) == 0);
    struct page_head *head = page;
    head->magic = magic;
    head->version = version;
    head->xxh3 = xd_xxh3((const uint8_t *)page + PAGE_HASHED_FROM, PAGE_BYTES - PAGE_HASHED_FROM);
}

int page_check(const void *page, uint32_t magic, uint16_t version, int damaged,
               const char **ret_why)
{
    XD_ASSERT(((uintptr_t)page & 7u) == 0);
    XD_ASSERT(damaged < 0 && damaged != XD_FORMAT_UNKNOWN);
    const struct page_head *head = page;
    if (head->magic != magic) {
        *ret_why = xd_bytes_zero(page, PAGE_BYTES) ? "the page is empty" : "wrong magic";
        return damaged;
    }
    if (head->xxh3 !=
        xd_xxh3((const uint8_t *)page + PAGE_HASHED_FROM, PAGE_BYTES - PAGE_HASHED_FROM)) {
        *ret_why = "the page's checksum does not match";
        return damaged;
    }
    if (head->version > version) {
        *ret_why = "written by a newer release";
        return XD_FORMAT_UNKNOWN;
    }
    if (head->version == 0) {
        *ret_why = "version 0";
        return damaged;
    }
    return 0;
}
