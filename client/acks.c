/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers to batches, and what the program takes of them.
 *
 * Normal path: a success covers one or more batches of a chain in sequence. Its records get their
 * offsets; at level fsync the batches are dropped and make room in the window, at a weaker level
 * they are kept until the second answer.
 * Failure paths: by class. RETRY, BACKOFF and UNKNOWN halt the chain and keep the batch; REJECTED
 * is the outcome of its records, and the chain goes on without them; FENCED and FATAL end the
 * producer. Answers to batches that were pipelined behind a refused one say OUT_OF_SEQUENCE:
 * expected, and the end of the halt. An answer to a batch that is not out breaks the connection:
 * resending makes every outcome definite, guessing does not.
 */
#include "client/producer.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000ull
#define PAUSE_NS 100000000ull     /* BACKOFF without a delay, UNKNOWN */
#define PAUSE_FIRST_NS 5000000ull /* second RETRY in a row; doubles */
#define PAUSE_MAX_NS 2000000000ull

static uint64_t max_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* ---- successes ------------------------------------------------------------------------------- */

static void count_success(struct xdock_producer *producer, const struct xd_slot *slot,
                          int32_t status, uint64_t now_ns)
{
    xdock_client_stats_t *stats = &producer->client->stats;
    XD_ASSERT(status >= 0);
    if (slot->is_settled)
        return;
    XD_ASSERT(now_ns >= slot->sent_ns);
    stats->records_acked += slot->count;
    stats->duplicates += status == XD_DUPLICATE ? slot->count : 0;
    if (slot->sent_ns != 0)
        stats->ack_ns_max = max_of(stats->ack_ns_max, now_ns - slot->sent_ns);
}

/* The answer does not end inside a batch, and counts its records. */
static bool covers_whole(struct xd_chain *chain, struct xd_slot *slot, const struct xd_ack *ack)
{
    XD_ASSERT(slot != NULL && slot->chain == chain);
    uint64_t count = 0;
    for (; slot != NULL; slot = xd_chain_sent_next(chain, slot)) {
        XD_ASSERT(slot->sent);
        count += slot->count;
        if (slot->header->last_sequence == ack->last_sequence)
            return count == ack->record_count;
    }
    return false;
}

static const char *take_success(struct xdock_producer *producer, struct xd_chain *chain,
                                const struct xd_ack *ack, uint64_t now_ns)
{
    struct xd_slot *slot = xd_chain_sent_slot(chain, ack->first_sequence);
    bool final = ack->durability == XD_DURABILITY_FSYNC;
    if (slot == NULL)
        return final ? "first_sequence" : NULL;
    if (!covers_whole(chain, slot, ack))
        return "last_sequence";
    uint64_t offset = ack->base_offset;
    bool more = true;
    while (more) {
        XD_ASSERT(slot != NULL);
        struct xd_slot *next = xd_chain_sent_next(chain, slot);
        more = slot->header->last_sequence != ack->last_sequence;
        count_success(producer, slot, ack->status, now_ns);
        xd_slot_settle(&producer->outbox, slot, ack->status, offset, ack->log_index,
                       ack->durability);
        offset += slot->count;
        if (final)
            xd_slot_finish(&producer->outbox, slot);
        slot = next;
    }
    chain->halts = 0;
    if (!final)
        return NULL;
    XD_ASSERT(chain->held < ack->last_sequence || chain->confirmed);
    chain->confirmed = true;
    chain->held = max_of(chain->held, ack->last_sequence);
    producer->acked_sequence = max_of(producer->acked_sequence, ack->last_sequence);
    producer->durable_sequence = max_of(producer->durable_sequence, ack->last_sequence);
    return NULL;
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void note_refusal(struct xdock_producer *producer, const struct xd_ack *ack,
                         struct xd_text detail)
{
    char what[96];
    char text[XD_DETAIL_BYTES_MAX + 128];
    snprintf(what, sizeof(what), "partition %u, sequences %llu to %llu", ack->partition,
             (unsigned long long)ack->first_sequence, (unsigned long long)ack->last_sequence);
    snprintf(text, sizeof(text), "%s: %.*s", xd_status_name(ack->status), (int)detail.bytes,
             detail.data != NULL ? detail.data : "");
    (void)xd_client_fail(producer->client, ack->status, what, text); /* kept for the program */
}

/* When a refused chain may try again: at once the first time, then ever later. */
static uint64_t pause_of(struct xd_chain *chain, const struct xd_ack *ack)
{
    XD_ASSERT(ack->status < 0);
    enum xd_class class = xd_status_class(ack->status);
    if (class == XD_CLASS_BACKOFF && ack->retry_after_ms > 0)
        return ack->retry_after_ms * NS_PER_MS;
    if (class != XD_CLASS_RETRY)
        return PAUSE_NS;
    uint64_t pause = chain->halts > 0 ? PAUSE_FIRST_NS : 0;
    for (uint32_t i = 1; i < chain->halts && pause < PAUSE_MAX_NS; i++)
        pause *= 2;
    return pause < PAUSE_MAX_NS ? pause : PAUSE_MAX_NS;
}

/* The broker names its last sequence with these. */
static bool names_resume(int32_t status)
{
    return status == XD_OUT_OF_SEQUENCE || status == XD_OVERLAP || status == XD_SEQUENCE_REUSED;
}

/* The batch is kept, and sent again after the halt. */
static void refuse_again(struct xdock_producer *producer, struct xd_chain *chain,
                         struct xd_slot *slot, const struct xd_ack *ack, struct xd_text detail,
                         uint64_t now_ns)
{
    bool follows = chain->halted && ack->status == XD_OUT_OF_SEQUENCE;
    XD_ASSERT(slot->chain == chain && slot->sent);
    if (!follows)
        note_refusal(producer, ack, detail);
    slot->sent = false;
    XD_ASSERT(chain->out_count > 0);
    chain->out_count--;
    uint64_t pause = follows ? 0 : pause_of(chain, ack);
    if (!chain->halted)
        chain->halts++;
    xd_chain_halt(&producer->outbox, chain, now_ns + pause);
}

/* The refusal is the outcome; what is behind it gets another predecessor. */
static void refuse_for_good(struct xdock_producer *producer, struct xd_chain *chain,
                            struct xd_slot *slot, const struct xd_ack *ack, struct xd_text detail,
                            uint64_t now_ns)
{
    XD_ASSERT(slot->chain == chain && slot->sent);
    note_refusal(producer, ack, detail);
    if (!slot->is_settled)
        producer->client->stats.refused += slot->count;
    xd_slot_settle(&producer->outbox, slot, ack->status, 0, ack->log_index, 0);
    xd_slot_finish(&producer->outbox, slot);
    if (ack->status == XD_SEQUENCE_REUSED)
        chain->held = max_of(chain->held, ack->resume_sequence);
    if (xd_link_used(&chain->kept))
        xd_chain_halt(&producer->outbox, chain, now_ns);
}

static const char *take_refusal(struct xdock_producer *producer, struct xd_chain *chain,
                                const struct xd_ack *ack, struct xd_text detail, uint64_t now_ns)
{
    struct xd_slot *slot = xd_chain_sent_slot(chain, ack->first_sequence);
    if (slot == NULL || slot->header->last_sequence != ack->last_sequence)
        return "first_sequence";
    char text[XD_DETAIL_BYTES_MAX + 1];
    switch (xd_status_class(ack->status)) {
    case XD_CLASS_OK:
    case XD_CLASS_RETRY:
    case XD_CLASS_BACKOFF:
    case XD_CLASS_UNKNOWN:
        refuse_again(producer, chain, slot, ack, detail, now_ns);
        break;
    case XD_CLASS_REJECTED:
        refuse_for_good(producer, chain, slot, ack, detail, now_ns);
        break;
    case XD_CLASS_FENCED:
    case XD_CLASS_FATAL:
    case XD_CLASS_COUNT:
        snprintf(text, sizeof(text), "%.*s", (int)detail.bytes,
                 detail.data != NULL ? detail.data : "");
        xd_producer_finish(producer, ack->status, text);
        return NULL;
    }
    if (names_resume(ack->status) && chain->halted) {
        chain->resume = ack->resume_sequence;
        chain->resume_known = true;
    }
    return NULL;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static struct xdock_producer *producer_find(xdock_client_t *client, uint64_t producer_id)
{
    for (struct xd_link *link = xd_link_first(&client->producers); link != NULL;
         link = xd_link_next(&client->producers, link)) {
        struct xdock_producer *producer = XD_LINK_ELEMENT(link, struct xdock_producer, link);
        XD_ASSERT(producer->client == client);
        if (producer->state == XD_PRODUCER_ATTACHED &&
            producer->identity.producer_id == producer_id)
            return producer;
    }
    return NULL;
}

static const char *take_ack(xdock_client_t *client, const struct xd_ack *ack, struct xd_text detail,
                            uint64_t now_ns)
{
    struct xdock_producer *producer = producer_find(client, ack->producer_id);
    if (producer == NULL)
        return NULL; /* closed or finished since */
    struct xd_chain *chain = xd_chain_find(&producer->outbox, ack->partition);
    if (chain == NULL)
        return "partition";
    return ack->status >= 0 ? take_success(producer, chain, ack, now_ns)
                            : take_refusal(producer, chain, ack, detail, now_ns);
}

const char *xd_acks_take(xdock_client_t *client, const uint8_t *payload, size_t bytes)
{
    struct xd_ack_view view;
    const char *field = "";
    if (xd_ack_decode(payload, bytes, &view, &field) < 0)
        return field;
    struct xd_connection *connection = &client->connection;
    XD_ASSERT(connection->settled_bytes <= connection->produce_bytes);
    if (view.fixed.acked_bytes > connection->produce_bytes ||
        view.fixed.acked_bytes < connection->settled_bytes)
        return "acked_bytes";
    connection->settled_bytes = view.fixed.acked_bytes;
    xd_catalog_heard(&client->catalog, view.fixed.catalog_epoch);
    uint64_t now_ns = xd_client_now_ns(client);
    const char *at = view.details;
    for (uint32_t i = 0; i < view.fixed.ack_count; i++) {
        const struct xd_ack *ack = &view.acks[i];
        const struct xd_text detail = {ack->detail_bytes > 0 ? at : NULL, ack->detail_bytes};
        at += ack->detail_bytes > 0 ? ack->detail_bytes : 0;
        field = take_ack(client, ack, detail, now_ns);
        if (field != NULL)
            return field;
    }
    return NULL;
}

/* ---- public ---------------------------------------------------------------------------------- */

int xdock_acks(xdock_producer_t *producer, xdock_ack_t *ret_acks, size_t acks_max,
               uint32_t timeout_ms)
{
    XD_ASSERT(ret_acks != NULL || acks_max == 0);
    int status = xd_producer_enter(producer);
    acks_max = acks_max < INT32_MAX ? acks_max : INT32_MAX;
    if (status == XD_FORKED || status == XD_WRONG_THREAD)
        return status;
    int count = (int)xd_outbox_take(&producer->outbox, ret_acks, acks_max);
    XD_ASSERT(count >= 0 && (size_t)count <= acks_max);
    if (count > 0 || acks_max == 0)
        return count;
    if (status < 0)
        return status;
    uint64_t end_ns = xd_client_end_ns(producer->client, timeout_ms);
    while (producer->outbox.pending_records > 0 && status == 0) {
        status = xd_client_round(producer->client, end_ns);
        count = (int)xd_outbox_take(&producer->outbox, ret_acks, acks_max);
        if (count > 0)
            return count;
    }
    return status == XD_DEADLINE_EXCEEDED ? 0 : status;
}
