/* SPDX-License-Identifier: Apache-2.0
 *
 * Routing: which partition a record belongs to. The same function runs in the client, which
 * chooses, and in the broker, which checks.
 *
 *   route_key = high half of XXH3-64 over the strategy's key fields (u64 little-endian each)
 *   partition = base[topic, facility] + (route_key * width >> 32)
 *
 * A record that lacks a field of its strategy (sku+location has two) falls back to the first of
 * sku -> location -> handling unit -> document that it has, hashed alone; with none of them the key
 * is 0. Golden vectors: docs/PROTOCOL.md.
 */
#ifndef CROSSDOCK_WIRE_ROUTE_H
#define CROSSDOCK_WIRE_ROUTE_H

#include <stdint.h>

enum xd_strategy {
    XD_STRATEGY_SKU = 0,          /* default for stock */
    XD_STRATEGY_SKU_LOCATION = 1, /* sku and location_from (or location_to when that is 0) */
    XD_STRATEGY_LOCATION = 2,     /* counts, material handling */
    XD_STRATEGY_ORDER = 3,        /* document */
    XD_STRATEGY_HU = 4,           /* handling unit: hu_to, else hu_from */
    XD_STRATEGY_KEY = 5,          /* business key */
    XD_STRATEGY_COUNT
};

/* The fields that strategies look at; 0 = absent. */
struct xd_route_fields {
    uint64_t sku;
    uint64_t location_from;
    uint64_t location_to;
    uint64_t document;
    uint64_t hu_from;
    uint64_t hu_to;
    uint64_t business_key;
};

struct xd_record;
struct xd_record_core;

/* Collects the fields of a decoded record. */
struct xd_route_fields xd_route_fields_of(const struct xd_record *record);

/* The route key of a record under a strategy. */
uint32_t xd_route_key(enum xd_strategy strategy, const struct xd_route_fields *fields);
/* The same of a checked record. */
uint32_t xd_route_key_of(enum xd_strategy strategy, const struct xd_record_core *core);

/* Bucket inside a placement of `width` partitions (1..XD_PARTITION_WIDTH_MAX). */
static inline uint32_t xd_route_bucket(uint32_t route_key, uint32_t width)
{
    return (uint32_t)(((uint64_t)route_key * width) >> 32);
}

/* "sku", "sku+location", "location", "order", "hu", "key". Static memory. */
const char *xd_strategy_name(enum xd_strategy strategy);
/* The strategy of a name, or -ENOENT. */
int xd_strategy_find(const char *name, uint32_t bytes);

#endif
