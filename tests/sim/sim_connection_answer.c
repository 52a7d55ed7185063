/* SPDX-License-Identifier: Apache-2.0
 *
 * What arrives at the clients of a script: each frame must have been earned.
 */
#include "tests/sim/sim_connection.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

struct script_sent *script_sent_of(struct script *script, const struct xd_batch_header *batch)
{
    for (uint32_t i = 0; i < script->sent_count; i++) {
        struct script_sent *sent = &script->sent[i];
        if (sent->header.batch_xxh3 == batch->batch_xxh3 &&
            sent->header.partition == batch->partition &&
            sent->header.producer_id == batch->producer_id &&
            sent->header.first_sequence == batch->first_sequence &&
            sent->header.last_sequence == batch->last_sequence &&
            sent->header.record_count == batch->record_count)
            return sent;
    }
    return NULL;
}

/* ---- replies --------------------------------------------------------------------------------- */

static void take_open(struct script *script, uint32_t number, const uint8_t *body, size_t bytes)
{
    struct xd_open_view view;
    const char *field = "";
    int status = xd_open_reply_decode(body, bytes, &view, &field);
    XD_ASSERT(status == 0);
    if (number == SCRIPT_NO_CHANNEL)
        return;
    struct script_channel *channel = &script->channels[number];
    XD_ASSERT(view.fixed.producer_id == channel->target.producer_id);
    XD_ASSERT(view.fixed.facility == channel->target.facility);
    if (view.fixed.producer_epoch < channel->target.producer_epoch)
        return; /* another connection has heard of a newer one before */
    XD_ASSERT(view.fixed.channel_epoch >= channel->target.channel_epoch);
    channel->target.producer_epoch = view.fixed.producer_epoch;
    channel->target.channel_epoch = view.fixed.channel_epoch;
    channel->sequence = view.fixed.last_sequence;
    memset(channel->previous, 0, sizeof channel->previous);
    for (uint32_t i = 0; i < view.fixed.chain_count; i++) {
        uint32_t bucket = view.chains[i].partition - channel->target.partition;
        XD_ASSERT(bucket < WORLD_WIDTH && view.chains[i].last_sequence <= channel->sequence);
        channel->previous[bucket] = view.chains[i].last_sequence;
    }
}

/* Batches are whole, dense, of the partition, and such that were sent. The first may begin before
 * where the reader asked, and holds that offset. `wanted` as in script_pending. */
static void take_read(struct script *script, int status, uint64_t wanted, const uint8_t *body,
                      size_t bytes)
{
    struct xd_read_reply reply;
    const uint8_t *batches;
    const char *field = "";
    if (status < 0 && bytes == 0)
        return;
    int decoded = xd_read_reply_decode(body, bytes, &reply, &batches, &field);
    XD_ASSERT(decoded == 0);
    XD_ASSERT(status == 0 || reply.batches_bytes == 0);
    XD_ASSERT(wanted == 0 || reply.start_offset == wanted - 1);
    uint64_t offset = 0;
    for (uint32_t at = 0; at < reply.batches_bytes;) {
        const struct xd_batch_header *batch = (const void *)(batches + at);
        XD_ASSERT(xd_batch_check_stored(batch, reply.batches_bytes - at, &field) == 0);
        XD_ASSERT(xd_batch_check_hash(batch) == 0);
        XD_ASSERT(batch->partition == reply.partition && (at == 0 || batch->base_offset == offset));
        XD_ASSERT(batch->partition == WORLD_WIDTH || script_sent_of(script, batch) != NULL);
        offset = batch->base_offset + batch->record_count;
        XD_ASSERT(at > 0 ||
                  (batch->base_offset <= reply.start_offset && reply.start_offset < offset));
        at += xd_batch_stride(batch);
    }
    XD_ASSERT(reply.batches_bytes == 0 || offset == reply.next_offset);
    XD_ASSERT(reply.first_offset <= reply.end_offset);
}

/* The request that the reply answers; taken out. NULL when none is known. */
static bool take_pending(struct script_connection *connection, uint16_t op, uint64_t correlation,
                         struct script_pending *ret_pending)
{
    for (uint32_t i = 0; i < connection->pending_count; i++) {
        struct script_pending *pending = &connection->pending[i];
        if (pending->correlation != correlation || pending->op != op)
            continue;
        *ret_pending = *pending;
        connection->pending_count--;
        memmove(pending, pending + 1, (connection->pending_count - i) * sizeof *pending);
        return true;
    }
    return false;
}

/* Whether nothing but the end may follow the reply. */
static bool ends(uint16_t op, int status)
{
    return status == XD_HELLO_REQUIRED ||
           (op == XD_OP_HELLO && status < 0 && status != XD_FORMAT_UNKNOWN);
}

static void take_reply(struct script *script, struct script_connection *connection,
                       const struct wire_frame *frame)
{
    struct xd_reply_head head;
    struct xd_text detail;
    const uint8_t *body;
    size_t body_bytes;
    struct script_pending pending = {.channel = SCRIPT_NO_CHANNEL};
    int status =
        xd_reply_decode(frame->payload, frame->head.length, &head, &detail, &body, &body_bytes);
    XD_ASSERT(status == 0);
    bool known = take_pending(connection, frame->head.op, frame->head.correlation, &pending);
    XD_ASSERT(known || !connection->orderly || frame->head.op == XD_OP_PRODUCE);
    totals_answer(frame->head.op, head.status);
    XD_ASSERT(head.status >= 0 || detail.bytes > 0);
    XD_ASSERT(connection->greeted || frame->head.op == XD_OP_HELLO || head.status < 0);
    XD_ASSERT(!connection->greeted || head.status != XD_HELLO_REQUIRED);
    if (frame->head.op == XD_OP_HELLO && head.status >= 0)
        connection->greeted = true;
    connection->finished = ends(frame->head.op, head.status);
    if (frame->head.op == XD_OP_PRODUCER_OPEN && head.status >= 0 && known && connection->orderly)
        take_open(script, pending.channel, body, body_bytes);
    else if (frame->head.op == XD_OP_READ)
        take_read(script, head.status, connection->orderly ? pending.offset : 0, body, body_bytes);
}

/* ---- outcomes -------------------------------------------------------------------------------- */

/* What a client learns from a refusal of the chain. */
static void resume(struct script *script, const struct xd_ack *ack)
{
    if (ack->status != XD_OUT_OF_SEQUENCE && ack->status != XD_OVERLAP &&
        ack->status != XD_SEQUENCE_REUSED)
        return;
    for (uint32_t i = 0; i < SCRIPT_CHANNELS; i++) {
        struct script_channel *channel = &script->channels[i];
        uint32_t bucket = ack->partition - channel->target.partition;
        if (channel->target.producer_id != ack->producer_id || bucket >= WORLD_WIDTH)
            continue;
        channel->previous[bucket] = ack->resume_sequence;
        if (channel->sequence < ack->resume_sequence)
            channel->sequence = ack->resume_sequence;
    }
}

/* Whether the outcome may be that of the batch: a success covers a run of them, a refusal one. */
static bool covers(const struct xd_ack *ack, const struct xd_batch_header *batch)
{
    if (batch->producer_id != ack->producer_id || batch->partition != ack->partition)
        return false;
    if (ack->status < 0)
        return batch->first_sequence == ack->first_sequence &&
               batch->last_sequence == ack->last_sequence &&
               batch->record_count == ack->record_count;
    return batch->first_sequence >= ack->first_sequence &&
           batch->last_sequence <= ack->last_sequence;
}

/* The batches that the outcome covers were sent on this connection and wait for theirs. */
static void settle_ack(struct script *script, struct script_connection *connection,
                       const struct xd_ack *ack)
{
    uint32_t records = 0, kept = 0;
    for (uint32_t i = 0; i < connection->unanswered_count; i++) {
        uint16_t number = connection->unanswered[i];
        struct script_sent *sent = &script->sent[number];
        if (records == ack->record_count || !covers(ack, &sent->header)) {
            connection->unanswered[kept++] = number;
            continue;
        }
        records += sent->header.record_count;
        sent->refusals += ack->status < 0 && connection->orderly;
    }
    connection->unanswered_count = kept;
    XD_ASSERT(records == ack->record_count || !connection->orderly);
}

static void take_ack(struct script *script, struct script_connection *connection,
                     const struct xd_ack *ack)
{
    totals_answer(XD_OP_ACK, ack->status);
    XD_ASSERT(ack->durability < XD_DURABILITY_COUNT);
    if (ack->durability != XD_DURABILITY_FSYNC)
        return; /* it will come again */
    settle_ack(script, connection, ack);
    if (ack->status < 0) {
        resume(script, ack);
        return;
    }
    XD_ASSERT(ack->record_count > 0 && ack->first_sequence <= ack->last_sequence);
    if (script->acked_count < SCRIPT_ACKED_MAX)
        script->acked[script->acked_count++] =
            (struct script_acked){.producer_id = ack->producer_id,
                                  .first_sequence = ack->first_sequence,
                                  .last_sequence = ack->last_sequence,
                                  .base_offset = ack->base_offset,
                                  .record_count = ack->record_count,
                                  .partition = ack->partition};
}

static void take_acks(struct script *script, struct script_connection *connection,
                      const struct wire_frame *frame)
{
    struct xd_ack_view view;
    const char *field = "";
    int status = xd_ack_decode(frame->payload, frame->head.length, &view, &field);
    XD_ASSERT(status == 0);
    XD_ASSERT(connection->greeted);
    XD_ASSERT(view.fixed.acked_bytes >= connection->acked_bytes);
    connection->acked_bytes = view.fixed.acked_bytes;
    XD_ASSERT(!connection->orderly || connection->acked_bytes <= connection->produced_bytes);
    for (uint32_t i = 0; i < view.fixed.ack_count; i++)
        take_ack(script, connection, &view.acks[i]);
}

void script_take(struct script *script, struct script_connection *connection)
{
    struct wire_frame frame;
    while (wire_client_next(&connection->wire, &frame)) {
        XD_ASSERT(!connection->finished);
        if (frame.head.flags == XD_FRAME_REPLY) {
            take_reply(script, connection, &frame);
            continue;
        }
        XD_ASSERT(frame.head.flags == XD_FRAME_PUSH && frame.head.correlation == 0);
        XD_ASSERT(frame.head.op == XD_OP_ACK); /* nobody has stopped the broker yet */
        take_acks(script, connection, &frame);
    }
}
