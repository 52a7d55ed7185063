/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/budget.h: states of the memory for received bytes begin and end at their marks.
 */
#include "broker/net/budget.h"

#include <criterion/criterion.h>

static enum net_memory next_of(enum net_memory state, uint32_t receive_free, uint32_t spill_free)
{
    const struct budget_share receive = {receive_free, 256};
    const struct budget_share spill = {spill_free, 4096};

    return budget_next(state, &receive, &spill);
}

/* Senders are throttled below an eighth of the buffers, until a quarter is free. */
Test(net_budget, throttles_below_an_eighth_until_a_quarter)
{
    cr_assert_eq(next_of(NET_MEMORY_NORMAL, 256, 4096), NET_MEMORY_NORMAL);
    cr_assert_eq(next_of(NET_MEMORY_NORMAL, 32, 4096), NET_MEMORY_NORMAL);
    cr_assert_eq(next_of(NET_MEMORY_NORMAL, 31, 4096), NET_MEMORY_THROTTLED);
    cr_assert_eq(next_of(NET_MEMORY_THROTTLED, 63, 4096), NET_MEMORY_THROTTLED);
    cr_assert_eq(next_of(NET_MEMORY_THROTTLED, 64, 4096), NET_MEMORY_NORMAL);
}

/* Connections are refused when buffers and chunks are both short, until one of them is not. */
Test(net_budget, refuses_when_both_kinds_are_short)
{
    cr_assert_eq(next_of(NET_MEMORY_THROTTLED, 0, 512), NET_MEMORY_THROTTLED);
    cr_assert_eq(next_of(NET_MEMORY_THROTTLED, 16, 0), NET_MEMORY_THROTTLED);
    cr_assert_eq(next_of(NET_MEMORY_THROTTLED, 15, 511), NET_MEMORY_REFUSING);
    cr_assert_eq(next_of(NET_MEMORY_NORMAL, 15, 511), NET_MEMORY_REFUSING);
    cr_assert_eq(next_of(NET_MEMORY_REFUSING, 31, 1023), NET_MEMORY_REFUSING);
    cr_assert_eq(next_of(NET_MEMORY_REFUSING, 32, 1023), NET_MEMORY_THROTTLED);
    cr_assert_eq(next_of(NET_MEMORY_REFUSING, 31, 1024), NET_MEMORY_THROTTLED);
    cr_assert_eq(next_of(NET_MEMORY_REFUSING, 64, 0), NET_MEMORY_NORMAL);
}

/* Spill memory alone is no need: nothing has to be copied while buffers are free. */
Test(net_budget, is_normal_while_buffers_are_free)
{
    cr_assert_eq(next_of(NET_MEMORY_NORMAL, 256, 0), NET_MEMORY_NORMAL);
}

/* Of few units the mark is that none is left. */
Test(net_budget, counts_single_units)
{
    const struct budget_share none = {0, 1}, one = {1, 1};

    cr_assert_eq(budget_next(NET_MEMORY_NORMAL, &one, &one), NET_MEMORY_NORMAL);
    cr_assert_eq(budget_next(NET_MEMORY_NORMAL, &none, &one), NET_MEMORY_THROTTLED);
    cr_assert_eq(budget_next(NET_MEMORY_NORMAL, &none, &none), NET_MEMORY_REFUSING);
    cr_assert_eq(budget_next(NET_MEMORY_REFUSING, &one, &none), NET_MEMORY_NORMAL);
}
