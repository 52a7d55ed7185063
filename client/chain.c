/* SPDX-License-Identifier: Apache-2.0
 *
 * Chains of the outbox: filling, closing, sealing, halting and going on.
 *
 * Normal path: records are written into the open slot; it is closed, sealed with the last sequence
 * of the batch before it, sent, and finished by its answer.
 * Failure paths: a refusal halts the chain. When its answers are in, the broker's last sequence is
 * compared with what is kept: batches up to it are sent again as they are and come back as
 * duplicates, later ones follow; where a batch in between was refused for good, the next one gets
 * the predecessor that the broker has, and a new checksum. A last sequence inside a kept batch, or
 * below what was acknowledged, is nothing that resending can mend.
 *
 * Only a batch that the broker cannot hold is ever changed: its predecessor was refused, so it was
 * refused too.
 */
#include "client/outbox.h"

#include "wire/compress.h"
#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <assert.h>
#include <string.h>

static_assert(XD_TOPICS_MAX * XD_PARTITION_WIDTH_MAX < UINT16_MAX, "chain_of holds any index");

int xd_chain_add(struct xd_outbox *outbox, uint32_t base, uint32_t width)
{
    XD_ASSERT(width >= 1 && width <= XD_PARTITION_WIDTH_MAX);
    if (outbox->chains_max - outbox->chain_count < width || base > XD_PARTITIONS_MAX - width)
        return XD_CATALOG_FULL;
    uint32_t first = outbox->chain_count;
    for (uint32_t i = 0; i < width; i++) {
        struct xd_chain *chain = &outbox->chains[first + i];
        xd_link_init(&chain->waiting);
        xd_link_init(&chain->kept);
        chain->partition = base + i;
        outbox->chain_of[base + i] = (uint16_t)(first + i + 1);
    }
    outbox->chain_count += width;
    return (int)first;
}

struct xd_chain *xd_chain_find(struct xd_outbox *outbox, uint32_t partition)
{
    uint32_t number = partition < XD_PARTITIONS_MAX ? outbox->chain_of[partition] : 0;
    XD_ASSERT(number <= outbox->chain_count);
    return number > 0 ? &outbox->chains[number - 1] : NULL;
}

bool xd_chain_open(struct xd_outbox *outbox, struct xd_chain *chain, uint64_t now_ns)
{
    XD_ASSERT(chain->open == NULL);
    struct xd_slot *slot = outbox->free;
    if (slot == NULL)
        return false;
    outbox->free = slot->next;
    outbox->free_count--;
    slot->next = NULL;
    slot->chain = chain;
    slot->bytes = XD_BATCH_HEADER_BYTES;
    slot->count = 0;
    slot->left = 0;
    slot->opened_ns = now_ns;
    slot->sent_ns = 0;
    slot->sealed = slot->sent = slot->kept = slot->is_settled = slot->awaited = false;
    memset(slot->header, 0, XD_BATCH_HEADER_BYTES);
    xd_link_push_back(&outbox->open, &slot->link);
    outbox->open_count++;
    chain->open = slot;
    if (!xd_link_used(&chain->waiting))
        xd_link_push_back(&outbox->waiting, &chain->waiting);
    return true;
}

void xd_chain_undo_open(struct xd_outbox *outbox, struct xd_chain *chain)
{
    struct xd_slot *slot = chain->open;
    if (slot == NULL || slot->count > 0)
        return;
    chain->open = NULL;
    outbox->open_count--;
    xd_link_remove(&slot->link);
    slot->chain = NULL;
    slot->next = outbox->free;
    outbox->free = slot;
    outbox->free_count++;
    if (!xd_link_used(&chain->kept))
        xd_link_remove(&chain->waiting);
}

void xd_chain_wrote(struct xd_outbox *outbox, struct xd_chain *chain, uint32_t bytes, uint64_t user,
                    uint64_t sequence, int64_t event_time_us)
{
    struct xd_slot *slot = chain->open;
    struct xd_batch_header *header = slot->header;
    XD_ASSERT(slot->bytes + bytes <= outbox->batch_bytes_max);
    XD_ASSERT(slot->count < outbox->entries_max && sequence > chain->last_posted);
    if (slot->count == 0) {
        header->first_sequence = sequence;
        header->first_event_time_us = event_time_us;
        header->last_event_time_us = event_time_us;
    }
    if (event_time_us < header->first_event_time_us)
        header->first_event_time_us = event_time_us;
    if (event_time_us > header->last_event_time_us)
        header->last_event_time_us = event_time_us;
    header->last_sequence = sequence;
    slot->entries[slot->count++] = (struct xd_entry){.user = user, .sequence = sequence};
    slot->bytes += bytes;
    chain->last_posted = sequence;
    outbox->pending_records++;
}

void xd_chain_close(struct xd_outbox *outbox, struct xd_chain *chain)
{
    struct xd_slot *slot = chain->open;
    if (slot == NULL)
        return;
    chain->open = NULL;
    outbox->open_count--;
    xd_link_remove(&slot->link);
    XD_ASSERT(slot->count > 0);
    xd_link_push_back(&chain->kept, &slot->link);
    slot->kept = true;
    outbox->kept_count++;
    if (chain->unsent == NULL && !chain->halted)
        chain->unsent = slot;
}

/* Smaller body, if the codec makes it so. */
static void compress(struct xd_outbox *outbox, struct xd_slot *slot)
{
    uint8_t *body = (uint8_t *)slot->header + XD_BATCH_HEADER_BYTES;
    uint32_t raw_bytes = slot->bytes - XD_BATCH_HEADER_BYTES;
    int bytes = xd_compress(body, raw_bytes, outbox->scratch, raw_bytes);
    if (bytes <= 0)
        return;
    memcpy(body, outbox->scratch, (size_t)bytes);
    memset(body + bytes, 0, (8u - ((unsigned)bytes & 7u)) & 7u);
    slot->header->codec = XD_CODEC_LZ4;
    slot->bytes = XD_BATCH_HEADER_BYTES + (uint32_t)bytes;
}

/* Last sequence before this slot; below its first, whatever the broker says. */
static uint64_t previous_of(uint64_t before, const struct xd_slot *slot)
{
    uint64_t first = slot->header->first_sequence;
    XD_ASSERT(first > 0);
    return before < first ? before : first - 1;
}

void xd_slot_seal(struct xd_outbox *outbox, const struct xd_identity *identity,
                  struct xd_slot *slot)
{
    if (slot->sealed)
        return;
    struct xd_chain *chain = slot->chain;
    struct xd_batch_header *header = slot->header;
    uint64_t before = chain->held;
    if (slot->link.prev != &chain->kept)
        before = XD_LINK_ELEMENT(slot->link.prev, struct xd_slot, link)->header->last_sequence;
    header->format = XD_FORMAT_RECORDS;
    header->partition = chain->partition;
    header->producer_id = identity->producer_id;
    header->producer_epoch = identity->producer_epoch;
    header->channel_epoch = identity->channel_epoch;
    header->record_count = (uint16_t)slot->count;
    header->previous_sequence = previous_of(before, slot);
    header->raw_bytes = slot->bytes - XD_BATCH_HEADER_BYTES;
    if (outbox->scratch != NULL)
        compress(outbox, slot);
    xd_batch_seal(header, slot->bytes);
    slot->sealed = true;
}

void xd_chain_sent(struct xd_chain *chain, struct xd_slot *slot, uint64_t now_ns)
{
    XD_ASSERT(slot == chain->unsent && slot->sealed);
    XD_ASSERT(!slot->sent && !chain->halted);
    slot->sent = true;
    if (slot->sent_ns == 0)
        slot->sent_ns = now_ns;
    chain->out_count++;
    struct xd_link *next = xd_link_next(&chain->kept, &slot->link);
    chain->unsent = next != NULL ? XD_LINK_ELEMENT(next, struct xd_slot, link) : NULL;
    if (chain->unsent == NULL && chain->open == NULL)
        xd_link_remove(&chain->waiting);
}

void xd_chain_halt(struct xd_outbox *outbox, struct xd_chain *chain, uint64_t retry_ns)
{
    if (!chain->halted) {
        chain->halted = true;
        chain->resume_known = false;
        chain->retry_ns = retry_ns;
        chain->unsent = NULL;
    }
    if (retry_ns > chain->retry_ns)
        chain->retry_ns = retry_ns;
    if (!xd_link_used(&chain->waiting))
        xd_link_push_back(&outbox->waiting, &chain->waiting);
}

/* Names the right predecessor in every sealed slot behind what the broker holds. */
static void chain_again(struct xd_chain *chain)
{
    uint64_t before = chain->held;
    for (struct xd_link *link = xd_link_first(&chain->kept); link != NULL;
         link = xd_link_next(&chain->kept, link)) {
        struct xd_slot *slot = XD_LINK_ELEMENT(link, struct xd_slot, link);
        struct xd_batch_header *header = slot->header;
        uint64_t previous = previous_of(before, slot);
        bool in_log = chain->resume_known && header->last_sequence <= chain->resume;
        if (slot->sealed && !in_log && header->previous_sequence != previous) {
            header->previous_sequence = previous;
            xd_batch_seal(header, slot->bytes);
        }
        before = header->last_sequence;
    }
}

/* What the broker's last sequence means for the chain. It is what was acknowledged, or the end of a
 * kept batch whose answer was lost; before the first answer of this session it may also be what an
 * earlier holder of the channel left there. */
static int judge_resume(struct xd_chain *chain)
{
    if (!chain->resume_known || chain->resume == chain->held)
        return 0;
    if (chain->resume < chain->held)
        return XD_ACKED_MISSING;
    const struct xd_link *first = xd_link_first(&chain->kept);
    for (const struct xd_link *link = first; link != NULL;
         link = xd_link_next(&chain->kept, link)) {
        const struct xd_slot *slot = XD_LINK_ELEMENT(link, struct xd_slot, link);
        if (slot->header->last_sequence == chain->resume)
            return 0;
        if (slot->header->first_sequence <= chain->resume)
            continue;
        if (link == first && !chain->confirmed) {
            chain->held = chain->resume;
            return 0;
        }
        break;
    }
    return first != NULL ? XD_OVERLAP : 0;
}

static void go_on(struct xd_chain *chain)
{
    struct xd_link *first = xd_link_first(&chain->kept);
    chain_again(chain);
    chain->halted = false;
    chain->resume_known = false;
    chain->unsent = first != NULL ? XD_LINK_ELEMENT(first, struct xd_slot, link) : NULL;
}

int xd_chain_resume(struct xd_chain *chain)
{
    XD_ASSERT(chain->halted && chain->out_count == 0);
    int status = judge_resume(chain);
    if (status < 0)
        return status;
    go_on(chain);
    if (chain->unsent == NULL && chain->open == NULL)
        xd_link_remove(&chain->waiting);
    return 0;
}

void xd_outbox_lost(struct xd_outbox *outbox)
{
    for (uint32_t i = 0; i < outbox->chain_count; i++) {
        struct xd_chain *chain = &outbox->chains[i];
        for (struct xd_link *link = xd_link_first(&chain->kept); link != NULL;
             link = xd_link_next(&chain->kept, link))
            XD_LINK_ELEMENT(link, struct xd_slot, link)->sent = false;
        chain->out_count = 0;
        chain->halts = 0;
        chain->resume_known = false;
        go_on(chain);
        if (chain->unsent != NULL && !xd_link_used(&chain->waiting))
            xd_link_push_back(&outbox->waiting, &chain->waiting);
    }
}

struct xd_slot *xd_chain_sent_next(struct xd_chain *chain, struct xd_slot *slot)
{
    struct xd_link *link = xd_link_next(&chain->kept, &slot->link);
    for (; link != NULL; link = xd_link_next(&chain->kept, link)) {
        struct xd_slot *next = XD_LINK_ELEMENT(link, struct xd_slot, link);
        if (next->sent)
            return next;
    }
    return NULL;
}

struct xd_slot *xd_chain_sent_slot(struct xd_chain *chain, uint64_t first_sequence)
{
    for (struct xd_link *link = xd_link_first(&chain->kept); link != NULL;
         link = xd_link_next(&chain->kept, link)) {
        struct xd_slot *slot = XD_LINK_ELEMENT(link, struct xd_slot, link);
        if (slot->sent && slot->header->first_sequence == first_sequence)
            return slot;
    }
    return NULL;
}
