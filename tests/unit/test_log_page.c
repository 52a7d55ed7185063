/* SPDX-License-Identifier: Apache-2.0
 *
 * Header pages: seal, and the three answers.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "broker/log/page.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/status.h"

#define DAMAGED XD_CHECKPOINT_CORRUPT /* what the caller wants to hear of a damaged page */

static _Alignas(4096) uint8_t page[PAGE_BYTES];

static void make(uint16_t version)
{
    for (uint32_t i = 16; i < PAGE_BYTES; i++)
        page[i] = (uint8_t)(i * 31);
    page_seal(page, 0x1234, version);
}

/* A sealed page is good, and no other page's magic will do. */
Test(log_page, accepts_what_was_sealed)
{
    const char *why;
    make(2);
    cr_assert_eq(page_check(page, 0x1234, 2, DAMAGED, &why), 0);
    cr_assert_eq(page_check(page, 0x1234, 9, DAMAGED, &why), 0);
    cr_assert_eq(page_check(page, 0x1235, 2, DAMAGED, &why), DAMAGED);
}

/* Every flipped bit is damage, never a newer release. */
Test(log_page, finds_every_flipped_bit)
{
    const char *why;
    make(2);
    for (uint32_t bit = 0; bit < PAGE_BYTES * 8; bit++) {
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(page_check(page, 0x1234, 2, DAMAGED, &why), DAMAGED, "bit %u", bit);
        page[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* A whole page of a higher version is newer, not damaged; version 0 was never written. */
Test(log_page, tells_newer_from_damaged)
{
    const char *why;
    make(3);
    cr_assert_eq(page_check(page, 0x1234, 2, DAMAGED, &why), XD_FORMAT_UNKNOWN);
    make(0);
    cr_assert_eq(page_check(page, 0x1234, 2, DAMAGED, &why), DAMAGED);
}

/* People are told whether a page was never written. */
Test(log_page, tells_an_empty_page)
{
    const char *why;
    memset(page, 0, sizeof(page));
    cr_assert_eq(page_check(page, 0x1234, 2, DAMAGED, &why), DAMAGED);
    cr_assert_str_eq(why, "the page is empty");
}

/* A single byte that is not zero is seen wherever it stands. */
Test(log_page, sees_each_byte_that_is_not_zero)
{
    memset(page, 0, sizeof(page));
    cr_assert(xd_bytes_zero(page, 0));
    for (uint32_t i = 0; i < 300; i++) {
        cr_assert(xd_bytes_zero(page, 300));
        page[i] = 1;
        cr_assert_not(xd_bytes_zero(page, 300));
        page[i] = 0;
    }
    cr_assert_eq(page_round(0), 0);
    cr_assert_eq(page_round(1), 4096);
    cr_assert_eq(page_round(4096), 4096);
}
