/* SPDX-License-Identifier: Apache-2.0
 *
 * States of the memory for received bytes; see budget.h for the marks.
 */
#include "broker/net/budget.h"

#include "wire/xassert.h"

#include <stdbool.h>

/* Whether less is free than so many sixteenths. Where that is less than one, whether none is. */
static bool below(const struct budget_share *share, uint32_t sixteenths)
{
    uint32_t mark = (uint32_t)((uint64_t)share->count * sixteenths / 16);

    XD_ASSERT(share->count > 0 && share->free <= share->count);
    return share->free < (mark > 0 ? mark : 1);
}

enum net_memory budget_next(enum net_memory state, const struct budget_share *receive,
                            const struct budget_share *spill)
{
    bool refusing = state == NET_MEMORY_REFUSING;

    XD_ASSERT(state < NET_MEMORY_COUNT);
    if (below(receive, refusing ? 2 : 1) && below(spill, refusing ? 4 : 2))
        return NET_MEMORY_REFUSING;
    if (below(receive, state == NET_MEMORY_NORMAL ? 2 : 4))
        return NET_MEMORY_THROTTLED;
    return NET_MEMORY_NORMAL;
}
