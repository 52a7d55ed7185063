/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "client/outcomes.h"

#define RUN_MAX 100u

static bool push(struct xd_outcomes *outcomes, uint32_t count, uint64_t first)
{
    struct xd_entry entries[RUN_MAX];
    for (uint32_t i = 0; i < count; i++)
        entries[i] = (struct xd_entry){.user = first + i + 1000, .sequence = first + i};
    const struct xd_outcome_run run = {.base_offset = first, .count = count, .partition = 3};
    return xd_outcomes_push(outcomes, &run, entries);
}

/* What goes in comes out in sequence over many turns of the ring, in pieces of any size. */
Test(outcomes, come_out_as_they_went_in)
{
    struct xd_outcomes outcomes;
    cr_assert_eq(xd_outcomes_init(&outcomes, 1), 0);
    uint64_t in = 1;
    uint64_t out = 1;
    for (uint32_t turn = 0; turn < 5000; turn++) {
        uint32_t count = turn * 7 % RUN_MAX + 1;
        if (push(&outcomes, count, in))
            in += count;
        xdock_ack_t acks[64];
        size_t taken = xd_outcomes_take(&outcomes, acks, turn * 3 % 64);
        for (size_t i = 0; i < taken; i++, out++) {
            cr_assert_eq(acks[i].sequence, out);
            cr_assert_eq(acks[i].user, out + 1000);
            cr_assert_eq(acks[i].offset, out);
            cr_assert_eq(acks[i].partition, 3);
        }
    }
    cr_assert_gt(in, 100000);
    xd_outcomes_deinit(&outcomes);
}

/* Without room nothing is taken, and the ring stays as it was. */
Test(outcomes, take_a_batch_whole_or_not_at_all)
{
    struct xd_outcomes outcomes;
    cr_assert_eq(xd_outcomes_init(&outcomes, 1), 0);
    uint64_t in = 1;
    while (push(&outcomes, RUN_MAX, in))
        in += RUN_MAX;
    cr_assert_eq(in - 1, 1000, "1024 entries hold ten runs of 100");
    xdock_ack_t ack;
    cr_assert(push(&outcomes, 24, in));
    cr_assert_not(push(&outcomes, 1, in));
    cr_assert_eq(xd_outcomes_take(&outcomes, &ack, 1), 1);
    cr_assert_eq(ack.sequence, 1);
    cr_assert(push(&outcomes, 1, in));
    xd_outcomes_deinit(&outcomes);
}
