/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of numbers as ranges, for numbers that come almost in sequence. Bounded: when there are
 * more ranges than fit, the set says so instead of growing. Pure.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_RANGES_H
#define CROSSDOCK_TOOLS_CROSSDOCK_RANGES_H

#include <stdbool.h>
#include <stdint.h>

/* 1 MiB of them. */
#define RANGES_MAX 65536u

struct range {
    uint64_t first; /* */
    uint64_t last;  /* inclusive */
};

struct ranges {
    struct range *ranges; /* rising, with gaps between them */
    uint32_t count;       /* */
    bool full;            /* a number was left out because there was no room */
};

/* 0 or -ENOMEM. */
int ranges_init(struct ranges *ranges);
void ranges_deinit(struct ranges *ranges);
void ranges_add(struct ranges *ranges, uint64_t number);
bool ranges_has(const struct ranges *ranges, uint64_t number);
/* Gap number `index` from 0 inside [first, last]. 0, or -ENOENT behind the last. */
int ranges_gap(const struct ranges *ranges, uint64_t first, uint64_t last, uint32_t index,
               struct range *ret_gap);

#endif
