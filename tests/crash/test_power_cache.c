/* SPDX-License-Identifier: Apache-2.0
 *
 * The write cache of the simulated drive: reads see every write, a loss of power spares what was
 * flushed, and of the rest it keeps whole pages of what was written, or nothing.
 */
#include "tests/crash/power_cache.h"

#include "tests/support/prng.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <string.h>

#define PAGES 64u
#define BYTES (PAGES * CACHE_PAGE_BYTES)
#define SEEDS 500u

static struct cache cache;

static void open_cache(void)
{
    cr_assert_eq(cache_init(&cache, BYTES, 4 * PAGES), 0);
}

static void close_cache(void)
{
    cache_deinit(&cache);
}

TestSuite(power_cache, .init = open_cache, .fini = close_cache);

static void write_pages(uint32_t page, uint32_t count, uint8_t value)
{
    static uint8_t data[PAGES * CACHE_PAGE_BYTES];
    memset(data, value, count * CACHE_PAGE_BYTES);
    cache_write(&cache, (uint64_t)page * CACHE_PAGE_BYTES, data, count * CACHE_PAGE_BYTES);
}

/* The value that fills a page; a page of several values fails. */
static uint8_t page_value(uint32_t page)
{
    const uint8_t *data = cache_read(&cache, (uint64_t)page * CACHE_PAGE_BYTES, CACHE_PAGE_BYTES);
    for (uint32_t i = 1; i < CACHE_PAGE_BYTES; i++)
        cr_assert_eq(data[i], data[0], "page %u is torn at byte %u", page, i);
    return data[0];
}

Test(power_cache, a_read_sees_the_newest_write)
{
    write_pages(3, 4, 1);
    write_pages(4, 1, 2);
    cr_assert_eq(page_value(3), 1);
    cr_assert_eq(page_value(4), 2);
    cr_assert_eq(page_value(7), 0);
}

Test(power_cache, what_was_flushed_survives_every_loss)
{
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct cache_loss loss;
        write_pages(0, PAGES, (uint8_t)(1 + seed % 200));
        cache_flush(&cache);
        cache_cut(&cache, seed, &loss);
        cr_assert_eq(loss.pages, 0);
        for (uint32_t page = 0; page < PAGES; page++)
            cr_assert_eq(page_value(page), 1 + seed % 200);
    }
}

Test(power_cache, a_page_behind_the_flush_is_one_of_those_that_were_written)
{
    uint32_t lost = 0, kept = 0, reordered = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct cache_loss loss;
        write_pages(0, PAGES, 1);
        cache_flush(&cache);
        write_pages(10, 20, 2);
        write_pages(20, 20, 3);
        cache_cut(&cache, seed, &loss);
        cr_assert_eq(loss.writes, 2);
        cr_assert_eq(loss.pages, 40);
        bool first = false, second = false;
        for (uint32_t page = 0; page < PAGES; page++) {
            uint8_t value = page_value(page);
            bool in_first = page >= 10 && page < 30, in_second = page >= 20 && page < 40;
            cr_assert(value == 1 || (value == 2 && in_first) || (value == 3 && in_second));
            first = first || (value == 2 && page < 20);
            second = second || value == 3;
        }
        lost += loss.kept == 0;
        kept += loss.kept == loss.pages;
        reordered += second && !first;
    }
    /* All that a drive may do comes up. */
    cr_assert_gt(lost, SEEDS / 20);
    cr_assert_gt(kept, SEEDS / 20);
    cr_assert_gt(reordered, SEEDS / 100);
}

Test(power_cache, the_same_number_loses_the_same)
{
    struct cache_loss first, second;
    uint8_t kept[PAGES];
    for (unsigned round = 0; round < 2; round++) {
        write_pages(0, PAGES, 1);
        cache_flush(&cache);
        for (uint32_t page = 0; page < PAGES; page++)
            write_pages(page, 1, 2);
        cache_cut(&cache, 4711, round == 0 ? &first : &second);
        for (uint32_t page = 0; page < PAGES && round == 0; page++)
            kept[page] = page_value(page);
    }
    cr_assert_eq(first.kept, second.kept);
    for (uint32_t page = 0; page < PAGES; page++)
        cr_assert_eq(page_value(page), kept[page]);
}

Test(power_cache, a_full_cache_is_written_back)
{
    struct cache_loss loss;
    for (uint32_t round = 0; round < 5; round++)
        write_pages(0, PAGES, (uint8_t)(round + 1));
    for (uint32_t page = 0; page < PAGES; page++)
        cr_assert_eq(page_value(page), 5);
    cache_cut(&cache, 1, &loss);
    cr_assert_eq(loss.pages, PAGES);
    for (uint32_t page = 0; page < PAGES; page++)
        cr_assert_geq(page_value(page), 4);
}
