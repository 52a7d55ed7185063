/* SPDX-License-Identifier: Apache-2.0
 *
 * Ranges; see ranges.h.
 */
#include "tools/crossdock/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ranges_init(struct ranges *ranges)
{
    *ranges = (struct ranges){.ranges = malloc(RANGES_MAX * sizeof(struct range))};
    return ranges->ranges != NULL ? 0 : -ENOMEM;
}

void ranges_deinit(struct ranges *ranges)
{
    free(ranges->ranges);
    *ranges = (struct ranges){0};
}

/* Index of the first range that ends at `number` or behind it. */
static uint32_t place_of(const struct ranges *ranges, uint64_t number)
{
    uint32_t low = 0, high = ranges->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ranges->ranges[middle].last < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void ranges_add(struct ranges *ranges, uint64_t number)
{
    uint32_t at = place_of(ranges, number);
    struct range *next = &ranges->ranges[at];
    bool has_next = at < ranges->count;
    if (has_next && next->first <= number)
        return; /* it is there */
    bool joins_before = at > 0 && next[-1].last + 1 == number;
    bool joins_next = has_next && number + 1 == next->first;
    if (joins_before && joins_next) {
        next[-1].last = next->last;
        memmove(next, next + 1, (ranges->count - at - 1) * sizeof *next);
        ranges->count--;
    } else if (joins_before) {
        next[-1].last = number;
    } else if (joins_next) {
        next->first = number;
    } else if (ranges->count == RANGES_MAX) {
        ranges->full = true;
    } else {
        memmove(next + 1, next, (ranges->count - at) * sizeof *next);
        *next = (struct range){number, number};
        ranges->count++;
    }
}

bool ranges_has(const struct ranges *ranges, uint64_t number)
{
    uint32_t at = place_of(ranges, number);
    return at < ranges->count && ranges->ranges[at].first <= number;
}

int ranges_gap(const struct ranges *ranges, uint64_t first, uint64_t last, uint32_t index,
               struct range *ret_gap)
{
    uint64_t begin = first;
    for (uint32_t i = place_of(ranges, first); begin <= last; i++) {
        bool inside = i < ranges->count && ranges->ranges[i].first <= last;
        uint64_t end = inside ? ranges->ranges[i].first - 1 : last;
        if (begin <= end && (!inside || ranges->ranges[i].first > begin) && index-- == 0) {
            *ret_gap = (struct range){begin, end};
            return 0;
        }
        if (!inside || ranges->ranges[i].last == UINT64_MAX)
            break;
        begin = ranges->ranges[i].last + 1;
    }
    return -ENOENT;
}
