/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "client/outbox.h"
#include "wire/status.h"

static const struct xd_identity identity = {.producer_id = 1, .producer_epoch = 1};

static struct xd_chain *make(struct xd_outbox *outbox)
{
    cr_assert_eq(xd_outbox_init(outbox, 4096, 65536, false), 0);
    cr_assert_eq(xd_chain_add(outbox, 0, 1), 0);
    outbox->keep_successes = true;
    return &outbox->chains[0];
}

static struct xd_slot *put(struct xd_outbox *outbox, struct xd_chain *chain, uint32_t records,
                           uint64_t first)
{
    cr_assert(xd_chain_open(outbox, chain, 0));
    struct xd_slot *slot = chain->open;
    for (uint32_t i = 0; i < records; i++)
        xd_chain_wrote(outbox, chain, 64, first + i, first + i, 0);
    xd_chain_close(outbox, chain);
    xd_slot_seal(outbox, &identity, slot);
    xd_chain_sent(chain, slot, 0);
    return slot;
}

/* A slot goes round: free, open, kept, settled, free; its outcomes come out once. */
Test(outbox, gives_a_slot_back_after_its_final_answer)
{
    struct xd_outbox outbox;
    struct xd_chain *chain = make(&outbox);
    cr_assert_eq(outbox.slot_count, 16);
    struct xd_slot *slot = put(&outbox, chain, 3, 1);
    cr_assert_eq(outbox.pending_records, 3);
    cr_assert_eq(outbox.free_count, 15);
    xd_slot_settle(&outbox, slot, 0, 50, 9, 0);
    cr_assert_eq(outbox.pending_records, 0);
    cr_assert_eq(outbox.free_count, 15, "it is kept until it is durable");
    xd_slot_finish(&outbox, slot);
    cr_assert_eq(outbox.free_count, 16, "its outcomes have a place of their own");
    xdock_ack_t acks[4];
    cr_assert_eq(xd_outbox_take(&outbox, acks, 4), 3);
    cr_assert_eq(acks[2].offset, 52);
    cr_assert_eq(acks[2].user, 3);
    cr_assert_not(xd_outbox_has_outcomes(&outbox));
    xd_outbox_check(&outbox);
    xd_outbox_deinit(&outbox);
}

/* Memory that a shipment points into is not used again before the shipment is done. */
Test(outbox, keeps_a_slot_that_is_being_sent)
{
    struct xd_outbox outbox;
    struct xd_chain *chain = make(&outbox);
    struct xd_slot *slot = put(&outbox, chain, 1, 1);
    slot->shipped = true;
    xd_outbox_abandon(&outbox, XD_FENCED);
    cr_assert_eq(outbox.free_count, 15);
    xd_slot_landed(&outbox, slot);
    cr_assert_eq(outbox.free_count, 16);
    xd_outbox_deinit(&outbox);
}

/* Abandoning gives every record one outcome, open batches included, and keeps those it had. */
Test(outbox, abandons_everything_with_one_outcome_each)
{
    struct xd_outbox outbox;
    struct xd_chain *chain = make(&outbox);
    struct xd_slot *early = put(&outbox, chain, 1, 1);
    xd_slot_settle(&outbox, early, 0, 0, 1, 2);
    put(&outbox, chain, 2, 2);
    cr_assert(xd_chain_open(&outbox, chain, 0));
    xd_chain_wrote(&outbox, chain, 64, 4, 4, 0);
    xd_outbox_abandon(&outbox, XD_FENCED);
    xdock_ack_t acks[8];
    cr_assert_eq(xd_outbox_take(&outbox, acks, 8), 4);
    cr_assert_eq(acks[0].status, 0);
    for (int i = 1; i < 4; i++)
        cr_assert_eq(acks[i].status, XD_FENCED);
    cr_assert_eq(outbox.free_count, 16);
    cr_assert_eq(outbox.kept_count, 0);
    xd_outbox_check(&outbox);
    xd_outbox_deinit(&outbox);
}

/* Outcomes that find no room in the ring stay in their slots, behind them nothing overtakes, and
 * they come out in sequence. */
Test(outbox, keeps_outcomes_in_sequence_when_the_ring_is_full)
{
    struct xd_outbox outbox;
    struct xd_chain *chain = make(&outbox);
    uint64_t sequence = 1;
    uint64_t expected = 1;
    xdock_ack_t ack;
    while (outbox.free_count > 2) {
        struct xd_slot *slot = put(&outbox, chain, 60, sequence);
        sequence += 60;
        xd_slot_settle(&outbox, slot, 0, 0, 1, 0);
        xd_slot_finish(&outbox, slot);
    }
    cr_assert_gt(outbox.settled_count, 5);
    for (int i = 0; i < 200; i++, expected++) {
        cr_assert_eq(xd_outbox_take(&outbox, &ack, 1), 1);
        cr_assert_eq(ack.sequence, expected);
    }
    struct xd_slot *slot = put(&outbox, chain, 60, sequence);
    sequence += 60;
    xd_slot_settle(&outbox, slot, 0, 0, 1, 0);
    xd_slot_finish(&outbox, slot);
    while (xd_outbox_take(&outbox, &ack, 1) == 1) {
        cr_assert_eq(ack.sequence, expected);
        expected++;
    }
    cr_assert_eq(expected, sequence);
    cr_assert_eq(outbox.free_count, outbox.slot_count);
    cr_assert_eq(outbox.settled_count, 0);
    xd_outbox_deinit(&outbox);
}

/* The lowest sequence not sent: in an open batch, behind a window, or in a halted chain. */
Test(outbox, knows_the_lowest_sequence_not_sent)
{
    struct xd_outbox outbox;
    struct xd_chain *chain = make(&outbox);
    cr_assert_eq(xd_outbox_low(&outbox, 77), 77);
    struct xd_slot *slot = put(&outbox, chain, 1, 5);
    cr_assert_eq(xd_outbox_low(&outbox, 77), 77);
    cr_assert(xd_chain_open(&outbox, chain, 0));
    xd_chain_wrote(&outbox, chain, 64, 6, 6, 0);
    cr_assert_eq(xd_outbox_low(&outbox, 77), 6);
    slot->sent = false;
    chain->out_count--;
    xd_chain_halt(&outbox, chain, 0);
    cr_assert_eq(xd_outbox_low(&outbox, 77), 5);
    xd_outbox_deinit(&outbox);
}
