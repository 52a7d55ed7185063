/* SPDX-License-Identifier: Apache-2.0
 *
 * Slots of the outbox: memory, life, outcomes. Chains are in chain.c.
 *
 * Normal path: a slot is taken from the free list for a chain, filled, closed, sent, answered; its
 * outcomes are taken one by one, and it goes back on top of the free list.
 * Failure path: abandon gives every record that has none an outcome and keeps nothing; slots whose
 * outcomes are left, or into which a shipment points, become free when that ends.
 */
#include "client/outbox.h"

#include "client/memory.h"
#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

/* The smallest record is its core. */
#define RECORD_BYTES_MIN 64u
#define SLOTS_MIN 4u

static int get_memory(struct xd_outbox *outbox, bool compressed)
{
    outbox->memory = xd_memory_acquire_array(outbox->slot_count, outbox->slot_bytes);
    outbox->slots = xd_memory_acquire_array(outbox->slot_count, sizeof(struct xd_slot));
    outbox->entries = xd_memory_acquire_array((size_t)outbox->slot_count * outbox->entries_max,
                                              sizeof(struct xd_entry));
    outbox->chains = xd_memory_acquire_array(outbox->chains_max, sizeof(struct xd_chain));
    outbox->chain_of = xd_memory_acquire_array(XD_PARTITIONS_MAX, sizeof(*outbox->chain_of));
    if (outbox->memory == NULL || outbox->slots == NULL || outbox->entries == NULL ||
        outbox->chains == NULL || outbox->chain_of == NULL)
        return -ENOMEM;
    int status =
        xd_outcomes_init(&outbox->outcomes, (uint64_t)outbox->slot_count * outbox->entries_max);
    if (status < 0 || !compressed)
        return status;
    outbox->scratch = xd_memory_acquire(outbox->slot_bytes);
    return outbox->scratch != NULL ? 0 : -ENOMEM;
}

int xd_outbox_init(struct xd_outbox *outbox, uint32_t batch_bytes, uint64_t buffer_bytes,
                   bool compressed)
{
    XD_ASSERT(batch_bytes > XD_BATCH_HEADER_BYTES + RECORD_BYTES_MIN);
    XD_ASSERT(batch_bytes <= XD_BATCH_BYTES_MAX);
    memset(outbox, 0, sizeof(*outbox));
    xd_link_init(&outbox->waiting);
    xd_link_init(&outbox->open);
    xd_link_init(&outbox->settled);
    outbox->batch_bytes_max = batch_bytes & ~7u;
    outbox->slot_bytes = (batch_bytes + 63u) & ~63u;
    outbox->entries_max = (batch_bytes - XD_BATCH_HEADER_BYTES) / RECORD_BYTES_MIN;
    if (outbox->entries_max > XD_BATCH_RECORDS_MAX)
        outbox->entries_max = XD_BATCH_RECORDS_MAX;
    uint64_t count = buffer_bytes / outbox->slot_bytes;
    count = count < SLOTS_MIN ? SLOTS_MIN : count;
    outbox->slot_count = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    /* Partitions of one facility: every topic in its full width. */
    outbox->chains_max = XD_TOPICS_MAX * XD_PARTITION_WIDTH_MAX;
    int status = get_memory(outbox, compressed);
    if (status < 0)
        return status;

    for (uint32_t i = outbox->slot_count; i > 0; i--) {
        struct xd_slot *slot = &outbox->slots[i - 1];
        xd_link_init(&slot->link);
        xd_link_init(&slot->settled);
        slot->header = (struct xd_batch_header *)(void *)(outbox->memory +
                                                          (size_t)(i - 1) * outbox->slot_bytes);
        slot->entries = outbox->entries + (size_t)(i - 1) * outbox->entries_max;
        slot->next = outbox->free;
        outbox->free = slot;
    }
    outbox->free_count = outbox->slot_count;
    XD_ASSERT(outbox->free_count >= SLOTS_MIN && outbox->entries_max > 0);
    return 0;
}

void xd_outbox_deinit(struct xd_outbox *outbox)
{
    xd_memory_release(outbox->memory);
    xd_memory_release(outbox->slots);
    xd_memory_release(outbox->entries);
    xd_memory_release(outbox->chains);
    xd_memory_release(outbox->chain_of);
    xd_memory_release(outbox->scratch);
    xd_outcomes_deinit(&outbox->outcomes);
    memset(outbox, 0, sizeof(*outbox));
}

/* Back to the free list when nobody needs it. */
static void release_unused(struct xd_outbox *outbox, struct xd_slot *slot)
{
    if (slot->kept || slot->shipped || slot->left > 0 || !slot->is_settled)
        return;
    XD_ASSERT(!xd_link_used(&slot->link) && !xd_link_used(&slot->settled));
    slot->is_settled = false;
    slot->chain = NULL;
    slot->next = outbox->free;
    outbox->free = slot;
    outbox->free_count++;
    XD_ASSERT(outbox->free_count <= outbox->slot_count);
}

void xd_slot_settle(struct xd_outbox *outbox, struct xd_slot *slot, int32_t status,
                    uint64_t base_offset, uint64_t log_index, uint8_t durability)
{
    if (slot->is_settled)
        return;
    XD_ASSERT(slot->count > 0 && outbox->pending_records >= slot->count);
    XD_ASSERT(slot->chain != NULL && slot->left == 0);
    XD_ASSERT(status >= 0 || base_offset == 0);
    outbox->pending_records -= slot->count;
    slot->is_settled = true;
    slot->run = (struct xd_outcome_run){.base_offset = base_offset,
                                        .log_index = log_index,
                                        .count = slot->count,
                                        .partition = slot->chain->partition,
                                        .status = status,
                                        .durability = durability};
    if (!outbox->keep_successes && !slot->awaited && status == 0)
        return;
    /* Behind outcomes that found no room nothing may overtake. */
    if (!slot->awaited && outbox->settled_count == 0 &&
        xd_outcomes_push(&outbox->outcomes, &slot->run, slot->entries))
        return;
    slot->left = slot->count;
    outbox->settled_count += slot->awaited ? 0 : 1;
    xd_link_push_back(&outbox->settled, &slot->settled);
}

void xd_slot_finish(struct xd_outbox *outbox, struct xd_slot *slot)
{
    XD_ASSERT(slot->kept && slot->is_settled);
    XD_ASSERT(outbox->kept_count > 0);
    struct xd_chain *chain = slot->chain;
    if (slot->sent) {
        XD_ASSERT(chain->out_count > 0);
        chain->out_count--;
    }
    if (chain->unsent == slot) {
        struct xd_link *next = xd_link_next(&chain->kept, &slot->link);
        chain->unsent = next != NULL ? XD_LINK_ELEMENT(next, struct xd_slot, link) : NULL;
    }
    xd_link_remove(&slot->link);
    slot->sent = false;
    slot->kept = false;
    outbox->kept_count--;
    release_unused(outbox, slot);
}

xdock_ack_t xd_slot_take(struct xd_outbox *outbox, struct xd_slot *slot, uint32_t index)
{
    XD_ASSERT(slot->is_settled && index < slot->count);
    XD_ASSERT(slot->entries[index].sequence != 0 && slot->left > 0);
    xdock_ack_t ack = xd_outcome_ack(&slot->run, &slot->entries[index], index);
    slot->entries[index].sequence = 0;
    slot->left--;
    if (slot->left == 0) {
        XD_ASSERT(slot->awaited || outbox->settled_count > 0);
        outbox->settled_count -= slot->awaited ? 0 : 1;
        xd_link_remove(&slot->settled);
        release_unused(outbox, slot);
    }
    return ack;
}

size_t xd_outbox_take(struct xd_outbox *outbox, xdock_ack_t *ret_acks, size_t acks_max)
{
    size_t count = xd_outcomes_take(&outbox->outcomes, ret_acks, acks_max);
    struct xd_link *link;
    while (count < acks_max && (link = xd_link_first(&outbox->settled)) != NULL) {
        struct xd_slot *slot = XD_LINK_ELEMENT(link, struct xd_slot, settled);
        uint32_t index = slot->run.taken++;
        XD_ASSERT(index < slot->count);
        if (slot->entries[index].sequence != 0) /* else xdock_send has had it */
            ret_acks[count++] = xd_slot_take(outbox, slot, index);
    }
    XD_ASSERT(count <= acks_max);
    return count;
}

bool xd_outbox_has_outcomes(const struct xd_outbox *outbox)
{
    return !xd_outcomes_empty(&outbox->outcomes) || xd_link_first(&outbox->settled) != NULL;
}

void xd_slot_landed(struct xd_outbox *outbox, struct xd_slot *slot)
{
    XD_ASSERT(slot->shipped);
    XD_ASSERT(slot->sealed);
    slot->shipped = false;
    release_unused(outbox, slot);
}

void xd_outbox_abandon(struct xd_outbox *outbox, int32_t status)
{
    XD_ASSERT(status < 0);
    for (uint32_t i = 0; i < outbox->chain_count; i++) {
        struct xd_chain *chain = &outbox->chains[i];
        xd_chain_close(outbox, chain);
        struct xd_link *link;
        while ((link = xd_link_first(&chain->kept)) != NULL) {
            struct xd_slot *slot = XD_LINK_ELEMENT(link, struct xd_slot, link);
            xd_slot_settle(outbox, slot, status, 0, 0, 0);
            xd_slot_finish(outbox, slot);
        }
        xd_link_remove(&chain->waiting);
        chain->unsent = NULL;
        chain->halted = false;
        XD_ASSERT(chain->out_count == 0);
    }
    XD_ASSERT(outbox->pending_records == 0 && outbox->kept_count == 0);
}

uint64_t xd_outbox_low(const struct xd_outbox *outbox, uint64_t none)
{
    uint64_t low = none;
    for (struct xd_link *link = xd_link_first(&outbox->waiting); link != NULL;
         link = xd_link_next(&outbox->waiting, link)) {
        const struct xd_chain *chain = XD_LINK_ELEMENT(link, struct xd_chain, waiting);
        const struct xd_slot *slot = chain->unsent;
        if (chain->halted && xd_link_used(&chain->kept))
            slot = XD_LINK_ELEMENT(xd_link_first(&chain->kept), struct xd_slot, link);
        if (slot == NULL)
            slot = chain->open;
        if (slot != NULL && slot->header->first_sequence < low)
            low = slot->header->first_sequence;
    }
    return low;
}

void xd_outbox_check(const struct xd_outbox *outbox)
{
    uint64_t pending = 0;
    uint32_t used = 0;
    for (uint32_t i = 0; i < outbox->slot_count; i++) {
        const struct xd_slot *slot = &outbox->slots[i];
        if (slot->chain == NULL)
            continue;
        used++;
        pending += slot->is_settled ? 0 : slot->count;
        XD_ASSERT(slot->bytes <= outbox->batch_bytes_max);
        XD_ASSERT(slot->left <= slot->count);
        XD_ASSERT(!slot->sent || slot->sealed);
    }
    XD_ASSERT(used == outbox->slot_count - outbox->free_count);
    XD_ASSERT(pending == outbox->pending_records);
    for (uint32_t i = 0; i < outbox->chain_count; i++) {
        const struct xd_chain *chain = &outbox->chains[i];
        uint32_t out_count = 0;
        uint64_t last = 0;
        for (struct xd_link *link = xd_link_first(&chain->kept); link != NULL;
             link = xd_link_next(&chain->kept, link)) {
            const struct xd_slot *slot = XD_LINK_ELEMENT(link, struct xd_slot, link);
            out_count += slot->sent ? 1 : 0;
            XD_ASSERT(slot->header->first_sequence > last);
            last = slot->header->last_sequence;
        }
        XD_ASSERT(out_count == chain->out_count);
    }
}
