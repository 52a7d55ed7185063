/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading shipments: which batches leave now.
 *
 * Normal path: the chains with something to send are gone through in turn, one batch of each at a
 * time, until the frame is full, the connection's credit is used up, or every chain has its window
 * full. With no linger an open batch leaves whenever its chain has room in its window; so batches
 * are small while the broker keeps up, and grow by themselves under load.
 * Failure path: a halted chain whose answers are in and whose pause is over goes on here; when it
 * cannot, the producer is finished.
 */
#include "client/producer.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

/* What one shipment may still take. */
struct load {
    struct xdock_producer *producer;
    struct xd_shipment *shipment;
    uint64_t now_ns;
    uint64_t credit_bytes; /* of the connection */
    uint32_t frame_bytes;  /* left in the frame */
    uint32_t window;       /* batches that a chain may have out */
    bool all_open;         /* open batches may leave whatever their age */
};

static bool expired(const struct load *load, const struct xd_slot *slot)
{
    uint64_t linger_ns = load->producer->linger_ns;
    XD_ASSERT(slot->count > 0 && !slot->kept);
    XD_ASSERT(linger_ns == 0 || load->now_ns >= slot->opened_ns);
    return linger_ns > 0 ? load->now_ns - slot->opened_ns >= linger_ns : load->all_open;
}

/* A halted chain: true when it may send again. */
static bool chain_goes_on(struct load *load, struct xd_chain *chain)
{
    if (!chain->halted)
        return true;
    if (chain->out_count > 0 || load->now_ns < chain->retry_ns)
        return false;
    uint64_t resume = chain->resume;
    uint64_t held = chain->held;
    int status = xd_chain_resume(chain);
    if (status == 0)
        return true;
    char text[256];
    snprintf(
        text, sizeof(text),
        "partition %u: the broker holds this channel up to sequence %llu, acknowledged was %llu"
        "; stop, keep the source's records and call an operator",
        chain->partition, (unsigned long long)resume, (unsigned long long)held);
    xd_producer_finish(load->producer, status, text);
    return false;
}

/* The next batch of a chain, or NULL: nothing of it may leave now. */
static struct xd_slot *next_slot(struct load *load, struct xd_chain *chain)
{
    struct xd_outbox *outbox = &load->producer->outbox;
    if (chain->out_count >= load->window)
        return NULL;
    if (chain->unsent == NULL) {
        if (chain->open == NULL || !expired(load, chain->open))
            return NULL;
        xd_chain_close(outbox, chain);
    }
    struct xd_slot *slot = chain->unsent;
    XD_ASSERT(slot != NULL && slot->kept);
    XD_ASSERT(slot->chain == chain && !slot->sent);
    xd_slot_seal(outbox, &load->producer->identity, slot);
    uint32_t stride = xd_batch_stride(slot->header);
    return stride <= load->frame_bytes && stride <= load->credit_bytes ? slot : NULL;
}

static void add_slot(struct load *load, struct xd_slot *slot)
{
    struct xd_shipment *shipment = load->shipment;
    xdock_client_stats_t *stats = &load->producer->client->stats;
    uint32_t stride = xd_batch_stride(slot->header);
    XD_ASSERT(!slot->shipped && shipment->slot_count < XD_SHIPMENT_BATCHES_MAX);
    XD_ASSERT(stride <= load->frame_bytes && stride <= load->credit_bytes);
    stats->batches_sent++;
    stats->batches_resent += slot->sent_ns != 0 ? 1 : 0;
    slot->shipped = true;
    xd_chain_sent(slot->chain, slot, load->now_ns);
    shipment->slots[shipment->slot_count++] = slot;
    shipment->pieces[shipment->slot_count] =
        (struct iovec){.iov_base = slot->header, .iov_len = stride};
    load->frame_bytes -= stride;
    load->credit_bytes -= stride;
}

/* One batch of each chain. True: some left. */
static bool load_once(struct load *load)
{
    struct xd_outbox *outbox = &load->producer->outbox;
    uint32_t before = load->shipment->slot_count;
    struct xd_link *link = xd_link_first(&outbox->waiting);
    while (link != NULL && load->shipment->slot_count < XD_SHIPMENT_BATCHES_MAX) {
        struct xd_chain *chain = XD_LINK_ELEMENT(link, struct xd_chain, waiting);
        link = xd_link_next(&outbox->waiting, link); /* the chain may leave the ring */
        if (!chain_goes_on(load, chain)) {
            if (load->producer->state == XD_PRODUCER_FINISHED)
                return false;
            continue;
        }
        struct xd_slot *slot = next_slot(load, chain);
        if (slot == NULL)
            continue;
        add_slot(load, slot);
        if (xd_link_used(&chain->waiting)) {
            xd_link_remove(&chain->waiting);
            xd_link_push_back(&outbox->waiting, &chain->waiting);
        }
    }
    return load->shipment->slot_count > before;
}

/* Frame header and produce head in front of what was loaded. */
static void write_head(struct load *load)
{
    struct xdock_producer *producer = load->producer;
    struct xd_shipment *shipment = load->shipment;
    uint32_t bytes = sizeof(struct xd_produce_head);
    XD_ASSERT(shipment->slot_count > 0);
    for (uint32_t i = 1; i <= shipment->slot_count; i++)
        bytes += (uint32_t)shipment->pieces[i].iov_len;
    producer->client->connection.produce_bytes += bytes - sizeof(struct xd_produce_head);
    const struct xd_frame frame = {.length = bytes, .op = XD_OP_PRODUCE, .version = 1};
    const struct xd_produce_head head = {
        .batch_count = shipment->slot_count,
        .durability = producer->durability,
        .low = xd_outbox_low(&producer->outbox, producer->given_sequence + 1)};
    xd_frame_encode(&frame, shipment->head);
    memcpy(shipment->head + XD_FRAME_HEADER_BYTES, &head, sizeof(head));
    shipment->pieces[0] =
        (struct iovec){.iov_base = shipment->head, .iov_len = sizeof(shipment->head)};
    shipment->piece_count = shipment->slot_count + 1;
    shipment->piece_at = 0;
    shipment->owner = producer;
}

bool xd_producer_load(struct xdock_producer *producer, enum xd_turn turn, uint64_t now_ns)
{
    if (producer->state != XD_PRODUCER_ATTACHED || xd_link_first(&producer->outbox.waiting) == NULL)
        return false;
    const struct xd_connection *connection = &producer->client->connection;
    const struct xd_hello_reply *hello = &connection->hello;
    XD_ASSERT(connection->shipment.slot_count == 0);
    XD_ASSERT(connection->settled_bytes <= connection->produce_bytes);
    uint64_t out_bytes = connection->produce_bytes - connection->settled_bytes;
    uint64_t credit = hello->connection_bytes > out_bytes ? hello->connection_bytes - out_bytes : 0;
    if (out_bytes == 0 && credit < XD_BATCH_BYTES_MAX)
        credit = XD_BATCH_BYTES_MAX; /* one batch may always be out */
    struct load load = {.producer = producer,
                        .shipment = &producer->client->connection.shipment,
                        .now_ns = now_ns,
                        .credit_bytes = credit,
                        .frame_bytes = xd_connection_frame_bytes_max(connection) -
                                       (uint32_t)sizeof(struct xd_produce_head),
                        .window = producer->inflight_max < hello->inflight_batches
                                      ? producer->inflight_max
                                      : hello->inflight_batches,
                        .all_open = turn == XD_TURN_ALL_BATCHES};
    XD_ASSERT(load.frame_bytes <= XD_FRAME_BYTES_HARD_MAX);
    while (load_once(&load))
        continue;
    if (load.shipment->slot_count == 0)
        return false;
    write_head(&load);
    return true;
}

void xd_producer_landed(struct xdock_producer *producer, struct xd_slot *slot)
{
    xd_slot_landed(&producer->outbox, slot);
}

uint64_t xd_producer_deadline(const struct xdock_producer *producer)
{
    if (producer->state == XD_PRODUCER_OPENING || producer->state == XD_PRODUCER_DETACHED)
        return producer->asked ? XD_WAIT_FOREVER : producer->retry_ns;
    if (producer->state != XD_PRODUCER_ATTACHED)
        return XD_WAIT_FOREVER;
    const struct xd_outbox *outbox = &producer->outbox;
    uint64_t deadline = XD_WAIT_FOREVER;
    struct xd_link *oldest = xd_link_first(&outbox->open);
    if (oldest != NULL && producer->linger_ns > 0)
        deadline = XD_LINK_ELEMENT(oldest, struct xd_slot, link)->opened_ns + producer->linger_ns;
    for (struct xd_link *link = xd_link_first(&outbox->waiting); link != NULL;
         link = xd_link_next(&outbox->waiting, link)) {
        const struct xd_chain *chain = XD_LINK_ELEMENT(link, struct xd_chain, waiting);
        if (chain->halted && chain->out_count == 0 && chain->retry_ns < deadline)
            deadline = chain->retry_ns;
    }
    return deadline;
}
