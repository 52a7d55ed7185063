/* SPDX-License-Identifier: Apache-2.0
 *
 * Routing: from the fields of a record to its route key.
 *
 * Normal path: the strategy's own fields are hashed as u64 little-endian, one or two of them; the
 * high half is the route key. Where one of them is absent, the first field present of the chain
 * sku, location, handling unit, document is hashed alone, and with none of them the key is 0.
 * There is no failure path. Must not depend on anything but its arguments: a client of any release
 * and the broker have to agree on every record.
 */
#include "wire/route.h"

#include "wire/checksum.h"
#include "wire/record.h"
#include "wire/xassert.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char *const strategy_names[] = {
    [XD_STRATEGY_SKU] = "sku",
    [XD_STRATEGY_SKU_LOCATION] = "sku+location",
    [XD_STRATEGY_LOCATION] = "location",
    [XD_STRATEGY_ORDER] = "order",
    [XD_STRATEGY_HU] = "hu",
    [XD_STRATEGY_KEY] = "key",
};
static_assert(sizeof(strategy_names) / sizeof(strategy_names[0]) == XD_STRATEGY_COUNT,
              "every strategy has a name");

static struct xd_route_fields fields_of(const struct xd_record_core *core,
                                        const struct xd_stock *stock,
                                        const struct xd_document *document, const struct xd_hu *hu)
{
    struct xd_route_fields fields = {.business_key = core->business_key};
    if (stock) {
        fields.sku = stock->sku;
        fields.location_from = stock->location_from;
        fields.location_to = stock->location_to;
    }
    if (document)
        fields.document = document->document;
    if (hu) {
        fields.hu_from = hu->hu_from;
        fields.hu_to = hu->hu_to;
    }
    return fields;
}

struct xd_route_fields xd_route_fields_of(const struct xd_record *record)
{
    XD_ASSERT(record->core);
    return fields_of(record->core, record->stock, record->document, record->hu);
}

/* The high half of the hash over one or two fields. Hosts are little-endian, so the words in memory
 * are the bytes to hash. */
static uint32_t words_key(const uint64_t *words, size_t count)
{
    XD_ASSERT(count >= 1);
    return (uint32_t)(xd_xxh3(words, count * sizeof(*words)) >> 32);
}

static uint64_t location_of(const struct xd_route_fields *fields)
{
    return fields->location_from ? fields->location_from : fields->location_to;
}

static uint64_t hu_of(const struct xd_route_fields *fields)
{
    return fields->hu_to ? fields->hu_to : fields->hu_from;
}

/* The key of a record that lacks a field of its strategy. */
static uint32_t fallback_key(const struct xd_route_fields *fields)
{
    const uint64_t chain[] = {fields->sku, location_of(fields), hu_of(fields), fields->document};
    for (size_t i = 0; i < sizeof(chain) / sizeof(chain[0]); i++) {
        if (chain[i])
            return words_key(&chain[i], 1);
    }
    return 0;
}

uint32_t xd_route_key(enum xd_strategy strategy, const struct xd_route_fields *fields)
{
    XD_ASSERT(strategy < XD_STRATEGY_COUNT);
    XD_ASSERT(fields);
    uint64_t own = 0;
    switch (strategy) { /* GCOVR_EXCL_BR_LINE the assertion above leaves the six strategies */
    case XD_STRATEGY_SKU_LOCATION: {
        const uint64_t pair[2] = {fields->sku, location_of(fields)};
        return pair[0] && pair[1] ? words_key(pair, 2) : fallback_key(fields);
    }
    case XD_STRATEGY_SKU:
        own = fields->sku;
        break;
    case XD_STRATEGY_LOCATION:
        own = location_of(fields);
        break;
    case XD_STRATEGY_ORDER:
        own = fields->document;
        break;
    case XD_STRATEGY_HU:
        own = hu_of(fields);
        break;
    case XD_STRATEGY_KEY:
        own = fields->business_key;
        break;
    case XD_STRATEGY_COUNT:
        break;
    }
    return own ? words_key(&own, 1) : fallback_key(fields);
}

/* The field of a strategy that looks at one, which most of its records have; else 0. */
static uint64_t only_field(enum xd_strategy strategy, const struct xd_record_core *core)
{
    if (strategy == XD_STRATEGY_SKU) {
        const struct xd_stock *stock = xd_record_group(core, XD_GROUP_STOCK);
        return stock ? stock->sku : 0;
    }
    if (strategy == XD_STRATEGY_ORDER) {
        const struct xd_document *document = xd_record_group(core, XD_GROUP_DOCUMENT);
        return document ? document->document : 0;
    }
    return strategy == XD_STRATEGY_KEY ? core->business_key : 0;
}

uint32_t xd_route_key_of(enum xd_strategy strategy, const struct xd_record_core *core)
{
    uint64_t own = only_field(strategy, core);
    if (own)
        return words_key(&own, 1);
    struct xd_route_fields fields =
        fields_of(core, xd_record_group(core, XD_GROUP_STOCK),
                  xd_record_group(core, XD_GROUP_DOCUMENT), xd_record_group(core, XD_GROUP_HU));
    return xd_route_key(strategy, &fields);
}

const char *xd_strategy_name(enum xd_strategy strategy)
{
    XD_ASSERT(strategy < XD_STRATEGY_COUNT);
    return strategy_names[strategy];
}

int xd_strategy_find(const char *name, uint32_t bytes)
{
    XD_ASSERT(name || bytes == 0);
    for (int i = 0; i < XD_STRATEGY_COUNT; i++) {
        const char *candidate = strategy_names[i];
        if (strlen(candidate) == bytes && memcmp(candidate, name, bytes) == 0)
            return i;
    }
    return -ENOENT;
}
