/* SPDX-License-Identifier: Apache-2.0
 *
 * Routing: the golden vectors, the fallback chain, buckets, and the spread of a real pick list.
 */
#include "wire/route.h"

#include "tests/support/fenced.h"
#include "tests/support/prng.h"
#include "wire/checksum.h"
#include "wire/key64.h"
#include "wire/limits.h"
#include "wire/record.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Sets the field of one `name=text` word; the text becomes its key64, or its hash for the key. */
static void set_field(struct xd_route_fields *fields, const char *word, size_t bytes)
{
    static const struct {
        const char *name;
        size_t offset;
    } rows[] = {
        {"sku", offsetof(struct xd_route_fields, sku)},
        {"location_from", offsetof(struct xd_route_fields, location_from)},
        {"location_to", offsetof(struct xd_route_fields, location_to)},
        {"document", offsetof(struct xd_route_fields, document)},
        {"hu_from", offsetof(struct xd_route_fields, hu_from)},
        {"hu_to", offsetof(struct xd_route_fields, hu_to)},
        {"business_key", offsetof(struct xd_route_fields, business_key)},
    };
    const char *equals = memchr(word, '=', bytes);
    cr_assert(equals, "%.*s", (int)bytes, word);
    size_t name_bytes = (size_t)(equals - word);
    size_t text_bytes = bytes - name_bytes - 1;
    bool hashed = strncmp(word, "business_key", name_bytes) == 0;
    uint64_t key = hashed ? xd_xxh3(equals + 1, text_bytes) : xd_key64(equals + 1, text_bytes);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (strlen(rows[i].name) == name_bytes && memcmp(rows[i].name, word, name_bytes) == 0) {
            memcpy((char *)fields + rows[i].offset, &key, sizeof(key));
            return;
        }
    }
    cr_assert_fail("no field %.*s", (int)bytes, word);
}

/* Every line `route strategy field=text ... = key` of the document holds. */
Test(route, equals_the_golden_vectors)
{
    struct fenced fenced;
    unsigned lines[XD_STRATEGY_COUNT] = {0};
    cr_assert(fenced_open(&fenced, PROTOCOL_MD));
    for (const char *line = fenced_next(&fenced, "route"); line;
         line = fenced_next(&fenced, "route")) {
        size_t word_bytes = strcspn(line, " ");
        int strategy = xd_strategy_find(line, (uint32_t)word_bytes);
        cr_assert_geq(strategy, 0, "%s", line);
        struct xd_route_fields fields = {0};
        const char *word = line + word_bytes + 1;
        while (*word != '=') {
            word_bytes = strcspn(word, " ");
            set_field(&fields, word, word_bytes);
            word += word_bytes + 1;
        }
        unsigned expected;
        cr_assert_eq(sscanf(word, "= %8x", &expected), 1, "%s", line);
        cr_expect_eq(xd_route_key((enum xd_strategy)strategy, &fields), expected, "%s", line);
        lines[strategy]++;
    }
    for (int i = 0; i < XD_STRATEGY_COUNT; i++)
        cr_expect_geq(lines[i], 2u, "%s has no vectors", xd_strategy_name((enum xd_strategy)i));
}

/* Names lead to their strategies and back; nothing else is a name. */
Test(route, finds_strategies_by_name)
{
    static const char *const others[] = {"",    "s",    "sk",          "skus",
                                         "SKU", "sku+", "sku+locatio", "hub"};
    for (int i = 0; i < XD_STRATEGY_COUNT; i++) {
        const char *name = xd_strategy_name((enum xd_strategy)i);
        cr_expect_eq(xd_strategy_find(name, (uint32_t)strlen(name)), i, "%s", name);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_expect_eq(xd_strategy_find(others[i], (uint32_t)strlen(others[i])), -ENOENT, "%s",
                     others[i]);
}

/* A record without its strategy's field routes as the first field present of the chain would. */
Test(route, falls_back_along_the_chain)
{
    const uint64_t sku = 11, location = 12, hu = 13, document = 14, business_key = 15;
    const uint32_t keys[] = {
        xd_route_key(XD_STRATEGY_SKU, &(struct xd_route_fields){.sku = sku}),
        xd_route_key(XD_STRATEGY_LOCATION, &(struct xd_route_fields){.location_to = location}),
        xd_route_key(XD_STRATEGY_HU, &(struct xd_route_fields){.hu_from = hu}),
        xd_route_key(XD_STRATEGY_ORDER, &(struct xd_route_fields){.document = document}),
    };
    struct xd_route_fields fields = {
        .sku = sku, .location_from = location, .hu_to = hu, .document = document};
    uint64_t *const chain[] = {&fields.sku, &fields.location_from, &fields.hu_to, &fields.document};
    for (size_t cut = 0; cut < 4; cut++) {
        cr_expect_eq(xd_route_key(XD_STRATEGY_KEY, &fields), keys[cut], "after %zu", cut);
        *chain[cut] = 0;
    }
    cr_expect_eq(xd_route_key(XD_STRATEGY_KEY, &fields), 0u);
    fields.business_key = business_key;
    cr_expect_neq(xd_route_key(XD_STRATEGY_KEY, &fields), 0u);
    cr_expect_eq(xd_route_key(XD_STRATEGY_SKU, &fields), 0u,
                 "the business key is not in the chain");
}

/* With both fields present the pair decides; each of them alone changes the key. */
Test(route, hashes_sku_and_location_together)
{
    struct xd_route_fields fields = {.sku = 1, .location_from = 2, .location_to = 3};
    uint32_t pair = xd_route_key(XD_STRATEGY_SKU_LOCATION, &fields);
    fields.location_to = 4; /* looked at only when location_from is absent */
    cr_expect_eq(xd_route_key(XD_STRATEGY_SKU_LOCATION, &fields), pair);
    fields.location_from = 5;
    cr_expect_neq(xd_route_key(XD_STRATEGY_SKU_LOCATION, &fields), pair);
    fields = (struct xd_route_fields){.sku = 6, .location_from = 2};
    cr_expect_neq(xd_route_key(XD_STRATEGY_SKU_LOCATION, &fields), pair);
    fields = (struct xd_route_fields){.sku = 2, .location_from = 1};
    cr_expect_neq(xd_route_key(XD_STRATEGY_SKU_LOCATION, &fields), pair, "the sequence counts");
}

/* The fields come from their groups; absent groups give 0. */
Test(route, collects_the_fields_of_a_record)
{
    const struct xd_record_core core = {.business_key = 1};
    const struct xd_stock stock = {.sku = 2, .lot = 99, .location_from = 3, .location_to = 4};
    const struct xd_document document = {.document = 5, .reference = 98};
    const struct xd_hu hu = {.hu_from = 6, .hu_to = 7};
    struct xd_record record = {.core = &core};
    struct xd_route_fields bare = xd_route_fields_of(&record);
    cr_expect_eq(bare.business_key, 1u);
    cr_expect_eq(bare.sku | bare.location_from | bare.location_to | bare.document | bare.hu_from |
                     bare.hu_to,
                 0u);
    record.stock = &stock;
    record.document = &document;
    record.hu = &hu;
    struct xd_route_fields full = xd_route_fields_of(&record);
    cr_expect_eq(full.sku, 2u);
    cr_expect_eq(full.location_from, 3u);
    cr_expect_eq(full.location_to, 4u);
    cr_expect_eq(full.document, 5u);
    cr_expect_eq(full.hu_from, 6u);
    cr_expect_eq(full.hu_to, 7u);
    cr_expect_eq(full.business_key, 1u);
}

/* Buckets stay inside the width, rise with the key, and split nested: a bucket of 2n lies inside
 * one of n. */
Test(route, maps_keys_to_buckets_of_any_width)
{
    struct prng prng = prng_seeded(3);
    for (uint32_t width = 1; width <= XD_PARTITION_WIDTH_MAX; width++) {
        cr_expect_eq(xd_route_bucket(0, width), 0u);
        cr_expect_eq(xd_route_bucket(UINT32_MAX, width), width - 1);
        for (int i = 0; i < 200; i++) {
            uint32_t key = (uint32_t)prng_next(&prng);
            cr_assert_lt(xd_route_bucket(key, width), width);
            cr_assert_eq(xd_route_bucket(key, 2 * width) / 2, xd_route_bucket(key, width));
        }
    }
}

/* Evenly many keys per bucket: 64,000 article numbers in a row over 64 buckets, five sigma. */
Test(route, spreads_article_numbers_evenly)
{
    enum { KEYS = 64000, WIDTH = 64 };
    unsigned counts[WIDTH] = {0};
    for (unsigned i = 0; i < KEYS; i++) {
        char text[16];
        int bytes = snprintf(text, sizeof(text), "ART-%05u", i);
        struct xd_route_fields fields = {.sku = xd_key64(text, (size_t)bytes)};
        counts[xd_route_bucket(xd_route_key(XD_STRATEGY_SKU, &fields), WIDTH)]++;
    }
    for (unsigned i = 0; i < WIDTH; i++) {
        cr_expect_gt(counts[i], 1000u - 5 * 32, "bucket %u holds %u", i, counts[i]);
        cr_expect_lt(counts[i], 1000u + 5 * 32, "bucket %u holds %u", i, counts[i]);
    }
}

/* Route keys of the SKU column of a pick list (",DATE,OrderNumber,SKU,..."). Returns their count.
 */
static size_t read_picks(const char *path, uint32_t *ret_keys, size_t keys_max)
{
    FILE *file = fopen(path, "r");
    cr_assert(file, "cannot open %s", path);
    char line[512];
    size_t count = 0;
    cr_assert(fgets(line, sizeof(line), file), "%s is empty", path);
    while (count < keys_max && fgets(line, sizeof(line), file)) {
        const char *sku = line;
        for (int comma = 0; comma < 3 && sku; comma++) {
            sku = strchr(sku, ',');
            sku = sku ? sku + 1 : NULL;
        }
        cr_assert(sku, "line %zu has no SKU", count + 2);
        struct xd_route_fields fields = {.sku = xd_key64(sku, strcspn(sku, ","))};
        ret_keys[count++] = xd_route_key(XD_STRATEGY_SKU, &fields);
    }
    fclose(file);
    return count;
}

/* Real picks by SKU load the busiest partition as a fair hash does. The bounds are the 5th and the
 * 95th percentile over 4,000 seeded hashes of the same keys: the top SKU alone carries 8.6 % of the
 * lines, so no hash comes near 1. CROSSDOCK_PICKS names the list of 5,000 lines, 1,050 SKUs. */
Test(route, spreads_a_real_pick_list_like_a_fair_hash)
{
    static const struct {
        uint32_t width;
        double low;  /* lines of the busiest partition / mean, 5th percentile */
        double high; /* 95th percentile */
    } rows[] = {{8, 1.35, 1.95}, {16, 1.93, 2.85}, {32, 3.20, 4.52}, {64, 5.82, 7.37}};
    static uint32_t keys[6000];
    const char *path = getenv("CROSSDOCK_PICKS");
    if (!path)
        cr_skip_test("CROSSDOCK_PICKS is not set");
    size_t count = read_picks(path, keys, sizeof(keys) / sizeof(keys[0]));
    cr_assert_eq(count, 5000u);
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        unsigned counts[XD_PARTITION_WIDTH_MAX] = {0};
        unsigned busiest = 0;
        for (size_t i = 0; i < count; i++) {
            unsigned lines = ++counts[xd_route_bucket(keys[i], rows[row].width)];
            busiest = lines > busiest ? lines : busiest;
        }
        double ratio = busiest * (double)rows[row].width / (double)count;
        cr_expect_geq(ratio, rows[row].low, "%u partitions: %.2f", rows[row].width, ratio);
        cr_expect_leq(ratio, rows[row].high, "%u partitions: %.2f", rows[row].width, ratio);
    }
}
