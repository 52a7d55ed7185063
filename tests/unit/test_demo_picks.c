/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/demo/picks.h: what a list of order lines becomes, and which lists are refused.
 */
#include <criterion/criterion.h>

#include "tools/demo/picks.h"

#include <crossdock/status.h>

#include <stdlib.h>
#include <string.h>

#define HEADER ",DATE,OrderNumber,SKU,PCS,ReferenceID,Location,Alley_Number,Coord\n"

/* Reads a text as if it were a file. */
static int read_text(const char *text, struct picks *ret_picks, char *why)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    cr_assert_not_null(file);
    int status = picks_read(file, ret_picks, why);
    fclose(file);
    return status;
}

static void assert_refused(const char *text, const char *expected)
{
    struct picks picks = {.count = 77};
    char why[PICKS_WHY_BYTES] = "";
    cr_assert_eq(read_text(text, &picks, why), XDOCK_FIELD_INVALID, "%s", why);
    cr_assert_str_eq(why, expected);
    cr_assert_eq(picks.count, 77);
}

/* Every field of a line arrives, commas inside quotes do not count, the line itself is kept. */
Test(demo_picks, reads_fields_by_the_names_of_the_header)
{
    struct picks picks;
    char why[PICKS_WHY_BYTES] = "";
    cr_assert_eq(read_text("\"x\",PCS,SKU,\"Coord\",Location,DATE,OrderNumber\r\n"
                           "0,12,399573,\"[19.5, 21.0]\",A1119504,12/11/2018,3780678\r\n",
                           &picks, why),
                 0, "%s", why);
    cr_assert_eq(picks.count, 1);
    const struct pick *pick = &picks.rows[0];
    cr_assert_str_eq(pick->sku, "399573");
    cr_assert_str_eq(pick->location, "A1119504");
    cr_assert_str_eq(pick->order, "3780678");
    cr_assert_str_eq(pick->business_key, "3780678/1");
    cr_assert_eq(pick->pieces, 12);
    cr_assert_eq(pick->posting_date, 20181211);
    cr_assert_str_eq(pick->line, "0,12,399573,\"[19.5, 21.0]\",A1119504,12/11/2018,3780678");
    picks_free(&picks);
}

/* Days come in their sequence, picks of a day in that of the file, lines of an order are numbered.
 */
Test(demo_picks, sorts_by_day_and_numbers_lines_of_orders)
{
    struct picks picks;
    char why[PICKS_WHY_BYTES] = "";
    cr_assert_eq(read_text(HEADER "0,1/2/2019,7,B,1,B,L1,A,x\n"
                                  "1,1/1/2019,5,A,1,A,L2,A,x\n"
                                  "2,1/2/2019,7,A,1,A,L2,A,x\n"
                                  "3,1/1/2019,6,C,1,C,L3,A,x\n",
                           &picks, why),
                 0, "%s", why);
    static const char *const keys[] = {"5/1", "6/1", "7/1", "7/2"};
    static const uint32_t skus[] = {0, 2, 1, 0};
    cr_assert_eq(picks.count, 4);
    cr_assert_eq(picks.sku_count, 3);
    cr_assert_eq(picks.order_count, 3);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_str_eq(picks.rows[i].business_key, keys[i]);
        cr_assert_eq(picks.rows[i].sku_index, skus[i]);
    }
    picks_free(&picks);
}

static void assert_times_rise(const struct picks *picks)
{
    const int64_t day_us = 86400ll * 1000000, hour_us = 3600ll * 1000000;
    for (uint32_t i = 0; i < picks->count; i++) {
        int64_t of_day_us = picks->rows[i].event_time_us % day_us;
        cr_assert_geq(of_day_us, 6 * hour_us);
        cr_assert_lt(of_day_us, 22 * hour_us);
        if (i > 0)
            cr_assert_gt(picks->rows[i].event_time_us, picks->rows[i - 1].event_time_us);
    }
}

/* A generated day looks like a real one: few SKUs make much of it, most orders have one line. */
Test(demo_picks, generates_a_day_of_the_shape_of_a_real_list)
{
    struct picks picks;
    char why[PICKS_WHY_BYTES] = "";
    uint32_t single_pieces = 0, top = 0;
    cr_assert_eq(picks_generate(42, 5000, &picks, why), 0, "%s", why);
    cr_assert_eq(picks.count, 5000);
    cr_assert(picks.sku_count > 700 && picks.sku_count <= 1050, "%u SKUs", picks.sku_count);
    cr_assert(picks.order_count > 3000 && picks.order_count < 4200, "%u orders", picks.order_count);
    uint32_t *lines = calloc(picks.sku_count, sizeof *lines);
    for (uint32_t i = 0; i < picks.count; i++) {
        uint32_t count = ++lines[picks.rows[i].sku_index];
        top = count > top ? count : top;
        single_pieces += picks.rows[i].pieces == 1;
    }
    cr_assert(top > 300 && top < 700, "%u lines of one SKU", top);
    cr_assert(single_pieces > 4600 && single_pieces < 4950, "%u single pieces", single_pieces);
    assert_times_rise(&picks);
    free(lines);
    picks_free(&picks);
}

/* The same seed gives the same day, another seed another one. */
Test(demo_picks, repeats_a_day_from_its_seed)
{
    struct picks one, same, other;
    char why[PICKS_WHY_BYTES] = "";
    cr_assert_eq(picks_generate(7, 300, &one, why), 0);
    cr_assert_eq(picks_generate(7, 300, &same, why), 0);
    cr_assert_eq(picks_generate(8, 300, &other, why), 0);
    cr_assert_eq(memcmp(one.rows, same.rows, 300 * sizeof one.rows[0]), 0);
    cr_assert_neq(memcmp(one.rows, other.rows, 300 * sizeof one.rows[0]), 0);
    picks_free(&one);
    picks_free(&same);
    picks_free(&other);
}

/* What cannot be a pick is refused with its line; nothing is half taken. */
Test(demo_picks, refuses_what_is_no_pick)
{
    char line[400];
    assert_refused("DATE,SKU\n", "line 1: no column OrderNumber");
    assert_refused(HEADER, "line 1: there are no picks in the list");
    assert_refused(HEADER "0,1/2/2019,7,B\n", "line 2: too few fields");
    assert_refused(HEADER "0,2/30/2019,7,B,1,B,L1,A,x\n", "line 2: DATE is not month/day/year");
    assert_refused(HEADER "0,2019-01-02,7,B,1,B,L1,A,x\n", "line 2: DATE is not month/day/year");
    assert_refused(HEADER "0,1/2/2019,7,B,0,B,L1,A,x\n",
                   "line 2: PCS is not a number from 1 to 1000000");
    assert_refused(HEADER "0,1/2/2019,7,,1,B,L1,A,x\n",
                   "line 2: OrderNumber, SKU or Location is empty or too long");
    memset(line, 'x', sizeof line);
    memcpy(line, HEADER, sizeof HEADER - 1);
    line[sizeof line - 1] = '\0';
    assert_refused(line, "line 2: the line is too long");
}

/* The real list, where it is at hand: all lines, times rising, every order line numbered. */
Test(demo_picks, reads_a_real_list)
{
    const char *path = getenv("CROSSDOCK_PICKS");
    struct picks picks;
    char why[PICKS_WHY_BYTES] = "";
    if (path == NULL)
        cr_skip_test("CROSSDOCK_PICKS names no list");
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    cr_assert_eq(picks_read(file, &picks, why), 0, "%s", why);
    fclose(file);
    cr_assert_gt(picks.count, 0);
    cr_assert_leq(picks.order_count, picks.count);
    assert_times_rise(&picks);
    picks_free(&picks);
}
