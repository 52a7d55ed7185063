/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include "client/outbox.h"
#include "wire/status.h"

static const struct xd_identity identity = {
    .producer_id = 5, .producer_epoch = 2, .facility = 1, .channel_epoch = 1};

static void make(struct xd_outbox *outbox)
{
    cr_assert_eq(xd_outbox_init(outbox, 4096, 65536, false), 0);
    cr_assert_eq(xd_chain_add(outbox, 40, 2), 0);
    outbox->keep_successes = true;
}

/* One batch of one 64-byte record, closed. */
static struct xd_slot *put(struct xd_outbox *outbox, struct xd_chain *chain, uint64_t sequence)
{
    cr_assert(xd_chain_open(outbox, chain, 0));
    struct xd_slot *slot = chain->open;
    memset((uint8_t *)slot->header + slot->bytes, (int)sequence, 64);
    xd_chain_wrote(outbox, chain, 64, sequence, sequence, 1000);
    xd_chain_close(outbox, chain);
    return slot;
}

static void send(struct xd_outbox *outbox, struct xd_chain *chain)
{
    while (chain->unsent != NULL) {
        struct xd_slot *slot = chain->unsent;
        xd_slot_seal(outbox, &identity, slot);
        xd_chain_sent(chain, slot, 1);
    }
}

static void answer_again(struct xd_outbox *outbox, struct xd_chain *chain, struct xd_slot *slot)
{
    slot->sent = false;
    chain->out_count--;
    xd_chain_halt(outbox, chain, 0);
}

/* Each batch names the last sequence of the one before it, the first what the broker holds. */
Test(chain, links_batches_to_their_predecessors)
{
    struct xd_outbox outbox;
    make(&outbox);
    struct xd_chain *chain = xd_chain_find(&outbox, 41);
    chain->held = 7;
    struct xd_slot *first = put(&outbox, chain, 8);
    struct xd_slot *second = put(&outbox, chain, 12);
    send(&outbox, chain);
    cr_assert_eq(first->header->previous_sequence, 7);
    cr_assert_eq(second->header->previous_sequence, 8);
    cr_assert_eq(second->header->partition, 41);
    cr_assert_eq(xd_batch_check_hash(first->header), 0);
    const char *field = "";
    cr_assert_eq(xd_batch_check_header(second->header, second->bytes, &field), 0, "%s", field);
    xd_outbox_check(&outbox);
    xd_outbox_deinit(&outbox);
}

/* After a lost connection the same bytes go out again. */
Test(chain, resends_the_same_bytes)
{
    struct xd_outbox outbox;
    make(&outbox);
    struct xd_chain *chain = xd_chain_find(&outbox, 40);
    struct xd_slot *slots[3];
    uint64_t hashes[3];
    for (uint64_t i = 0; i < 3; i++)
        slots[i] = put(&outbox, chain, i + 1);
    send(&outbox, chain);
    for (int i = 0; i < 3; i++)
        hashes[i] = slots[i]->header->batch_xxh3;
    xd_outbox_lost(&outbox);
    cr_assert_eq(chain->out_count, 0);
    cr_assert_eq(chain->unsent, slots[0]);
    cr_assert(xd_link_used(&chain->waiting));
    send(&outbox, chain);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(slots[i]->header->batch_xxh3, hashes[i]);
    xd_outbox_deinit(&outbox);
}

/* When the batch in between is refused for good, only what stands behind it is linked anew. */
Test(chain, changes_only_batches_behind_a_refused_one)
{
    struct xd_outbox outbox;
    make(&outbox);
    struct xd_chain *chain = xd_chain_find(&outbox, 40);
    struct xd_slot *slots[4];
    for (uint64_t i = 0; i < 4; i++)
        slots[i] = put(&outbox, chain, i + 1);
    send(&outbox, chain);
    uint64_t first = slots[0]->header->batch_xxh3;
    uint64_t third = slots[2]->header->batch_xxh3;
    uint64_t fourth = slots[3]->header->batch_xxh3;
    xd_slot_settle(&outbox, slots[1], XD_RECORD_MALFORMED, 0, 0, 0);
    xd_slot_finish(&outbox, slots[1]);
    xd_chain_halt(&outbox, chain, 0);
    answer_again(&outbox, chain, slots[0]);
    answer_again(&outbox, chain, slots[2]);
    answer_again(&outbox, chain, slots[3]);
    cr_assert_eq(xd_chain_resume(chain), 0);
    cr_assert_eq(slots[0]->header->batch_xxh3, first);
    cr_assert_neq(slots[2]->header->batch_xxh3, third);
    cr_assert_eq(slots[2]->header->previous_sequence, 1);
    cr_assert_eq(slots[3]->header->batch_xxh3, fourth, "its predecessor has not changed");
    cr_assert_eq(xd_batch_check_hash(slots[2]->header), 0);
    xd_outbox_deinit(&outbox);
}

/* What a broker's last sequence means: an answer that was lost, an earlier holder, or an error. */
Test(chain, judges_the_last_sequence_of_the_broker)
{
    const struct {
        uint64_t held, resume;
        bool confirmed;
        int status;
        uint64_t held_after;
    } rows[] = {
        {0, 0, false, 0, 0},               /* nothing there */
        {0, 20, true, 0, 0},               /* the first batch is, its answer was lost */
        {0, 9, false, 0, 9},               /* an earlier program's */
        {0, 9, true, XD_OVERLAP, 0},       /* impossible in a chain that is ours */
        {5, 4, true, XD_ACKED_MISSING, 5}, /* less than acknowledged */
        {0, 15, false, XD_OVERLAP, 0},     /* inside a batch */
        {0, 35, true, XD_OVERLAP, 0},      /* behind everything */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct xd_outbox outbox;
        make(&outbox);
        struct xd_chain *chain = xd_chain_find(&outbox, 40);
        cr_assert(xd_chain_open(&outbox, chain, 0));
        xd_chain_wrote(&outbox, chain, 64, 0, 10, 0);
        xd_chain_wrote(&outbox, chain, 64, 0, 20, 0);
        xd_chain_close(&outbox, chain);
        struct xd_slot *slot = chain->unsent;
        put(&outbox, chain, 30);
        chain->held = rows[i].held;
        chain->confirmed = rows[i].confirmed;
        send(&outbox, chain);
        xd_chain_halt(&outbox, chain, 0);
        answer_again(&outbox, chain, slot);
        answer_again(&outbox, chain, xd_chain_sent_slot(chain, 30));
        chain->resume = rows[i].resume;
        chain->resume_known = true;
        cr_assert_eq(xd_chain_resume(chain), rows[i].status, "row %zu", i);
        cr_assert_eq(chain->held, rows[i].held_after, "row %zu", i);
        xd_outbox_deinit(&outbox);
    }
}

/* Chains come in widths and are found by partition; there is room for every topic. */
Test(chain, are_found_by_partition)
{
    struct xd_outbox outbox;
    make(&outbox);
    cr_assert_eq(xd_chain_find(&outbox, 41)->partition, 41);
    cr_assert_null(xd_chain_find(&outbox, 42));
    while (outbox.chains_max - outbox.chain_count >= 64)
        cr_assert_geq(xd_chain_add(&outbox, 100 + outbox.chain_count, 64), 0);
    cr_assert_eq(xd_chain_add(&outbox, 30000, 64), XD_CATALOG_FULL);
    for (uint32_t i = 0; i < outbox.chain_count; i++)
        cr_assert_eq(xd_chain_find(&outbox, outbox.chains[i].partition), &outbox.chains[i]);
    xd_outbox_deinit(&outbox);
}

/* Numbers that no broker may give find nothing and get no chain. */
Test(chain, refuses_partitions_beyond_the_catalog)
{
    struct xd_outbox outbox;
    make(&outbox);
    cr_assert_null(xd_chain_find(&outbox, XD_PARTITIONS_MAX));
    cr_assert_null(xd_chain_find(&outbox, XD_PARTITION_NONE));
    cr_assert_eq(xd_chain_add(&outbox, XD_PARTITIONS_MAX - 1, 2), XD_CATALOG_FULL);
    cr_assert_eq(xd_chain_add(&outbox, XD_PARTITION_NONE, 1), XD_CATALOG_FULL);
    cr_assert_eq(xd_chain_add(&outbox, XD_PARTITIONS_MAX - 2, 2), 2);
    cr_assert_eq(xd_chain_find(&outbox, XD_PARTITIONS_MAX - 1), &outbox.chains[3]);
    xd_outbox_deinit(&outbox);
}
