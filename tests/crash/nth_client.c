/* SPDX-License-Identifier: Apache-2.0
 *
 * Source and reader of the scenario; see nth_client.h.
 */
#include "tests/crash/nth_client.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SKU "SKU-4711"
#define WIDTH 3u            /* partitions of topic "stock", see sim_broker.c */
#define ROUNDS_MAX 64u      /* of sending again what was refused */
#define ROUND_TURNS 8u      /* when something was refused */
#define BURST 3u            /* batches without an outcome */
#define PAYLOAD_BYTES 3000u /* every sector of a block means something */
#define READ_BYTES 65536u   /* */
#define AHEAD_TURNS 2000u
#define AHEAD_NS 5000u     /* a write that was started does not end in a turn */
#define POLL_WAIT_MS 2000u /* */

void nth_client_init(struct nth_client *client, struct sim_broker *broker)
{
    memset(client, 0, sizeof *client);
    client->broker = broker;
    wire_client_init(&client->source, broker->sim);
    wire_client_init(&client->reader, broker->sim);
}

void nth_client_deinit(struct nth_client *client)
{
    wire_client_deinit(&client->source);
    wire_client_deinit(&client->reader);
}

/* The world knows nothing of former connections. */
static void forget(struct wire_client *wire)
{
    wire->id = -1;
    wire->ended = false;
    wire->out_bytes = 0;
    wire->in_bytes = 0;
    wire->in_taken = 0;
}

void nth_client_begin(struct nth_client *client)
{
    forget(&client->source);
    forget(&client->reader);
    client->opened = client->source_on = client->reader_on = false;
    client->acked = client->sent = client->unanswered = client->end_offset = client->poll = 0;
    client->status = 0;
    client->why[0] = '\0';
}

void nth_leave(struct nth_client *client)
{
    wire_client_leave(&client->source, true);
    wire_client_leave(&client->reader, true);
    client->source_on = client->reader_on = false;
    client->poll = 0;
}

enum nth_end nth_turn(struct nth_client *client)
{
    client->status = sim_broker_turn(client->broker, NTH_TURN_NS);
    wire_client_pump(&client->source);
    wire_client_pump(&client->reader);
    return client->status < 0 ? NTH_DOWN : NTH_DONE;
}

static enum nth_end wrong(struct nth_client *client, const char *what, uint64_t is,
                          uint64_t should_be)
{
    snprintf(client->why, sizeof client->why, "%s: %" PRIu64 ", not %" PRIu64, what, is, should_be);
    return NTH_WRONG;
}

/* ---- answers --------------------------------------------------------------------------------- */

/* What was acknowledged stands where its sequence says; what was refused may be sent again. */
static enum nth_end take_ack(struct nth_client *client, const struct xd_ack *ack)
{
    enum xd_class class = xd_status_class(ack->status);
    if (client->unanswered < ack->record_count)
        return wrong(client, "records answered", ack->record_count, client->unanswered);
    client->unanswered -= ack->record_count;
    if (ack->status < 0) {
        if (class == XD_CLASS_RETRY || class == XD_CLASS_BACKOFF || class == XD_CLASS_UNKNOWN)
            return NTH_DONE;
        snprintf(client->why, sizeof client->why, "sequence %" PRIu64 " was answered with %s",
                 ack->first_sequence, xd_status_name(ack->status));
        return NTH_WRONG;
    }
    if (ack->durability != XD_DURABILITY_FSYNC)
        return wrong(client, "level", ack->durability, XD_DURABILITY_FSYNC);
    if (ack->base_offset != ack->first_sequence - 1)
        return wrong(client, "offset acknowledged", ack->base_offset, ack->first_sequence - 1);
    if (ack->last_sequence > client->acked)
        client->acked = ack->last_sequence;
    return NTH_DONE;
}

static enum nth_end take_acks(struct nth_client *client, const struct wire_frame *frame)
{
    struct xd_ack_view view;
    const char *field = "";
    enum nth_end end = NTH_DONE;
    int status = xd_ack_decode(frame->payload, frame->head.length, &view, &field);
    XD_ASSERT(status == 0);
    for (uint32_t i = 0; i < view.fixed.ack_count && end == NTH_DONE; i++)
        end = take_ack(client, &view.acks[i]);
    return end;
}

/* Turns until the reply to `correlation` is there: the frame, valid until the next call. */
static enum nth_end await(struct nth_client *client, struct wire_client *wire, uint64_t correlation,
                          struct wire_frame *ret_frame)
{
    uint64_t end_ns = sim_now_ns(client->broker->sim) + NTH_ANSWER_NS;
    enum nth_end end = NTH_DONE;
    do {
        while (end == NTH_DONE && wire_client_next(wire, ret_frame)) {
            if (ret_frame->head.op == XD_OP_ACK)
                end = take_acks(client, ret_frame);
            else if (ret_frame->head.op != XD_OP_GOAWAY &&
                     ret_frame->head.correlation == correlation)
                return NTH_DONE;
        }
        if (end != NTH_DONE)
            return end;
        if (wire->ended)
            return NTH_LOST;
        end = nth_turn(client);
    } while (end == NTH_DONE && sim_now_ns(client->broker->sim) < end_ns);
    return end == NTH_DONE ? NTH_SLOW : end;
}

/* The same for a reply whose body is wanted. */
static enum nth_end await_body(struct nth_client *client, struct wire_client *wire,
                               uint64_t correlation, const uint8_t **ret_body, size_t *ret_bytes)
{
    struct wire_frame frame;
    struct xd_reply_head head;
    struct xd_text detail;
    enum nth_end end = await(client, wire, correlation, &frame);
    if (end != NTH_DONE)
        return end;
    int status =
        xd_reply_decode(frame.payload, frame.head.length, &head, &detail, ret_body, ret_bytes);
    XD_ASSERT(status == 0);
    client->status = head.status;
    return head.status < 0 ? NTH_REFUSED : NTH_DONE;
}

/* ---- the source ------------------------------------------------------------------------------ */

static enum nth_end connect_one(struct nth_client *client, struct wire_client *wire)
{
    const uint8_t *body;
    size_t bytes;
    if (wire_client_connect(wire, client->broker->address) < 0)
        return NTH_LOST;
    return await_body(client, wire, wire_client_hello(wire), &body, &bytes);
}

/* The channel is opened once; later it is the same holder that comes back. */
static enum nth_end open_channel(struct nth_client *client)
{
    struct xd_open open = {.flags = XD_OPEN_NO_MEMORY};
    struct xd_open_view view;
    const char *field = "";
    const uint8_t *body;
    size_t bytes;
    if (client->opened)
        open = (struct xd_open){.producer_epoch = client->target.producer_epoch,
                                .acked_sequence = client->acked,
                                .assigned_sequence = client->sent};
    uint64_t correlation = wire_client_open(&client->source, &open, "wms", "a", "");
    enum nth_end end = await_body(client, &client->source, correlation, &body, &bytes);
    /* What was promised must never be missing, and nobody else has opened the channel. */
    if (end == NTH_REFUSED && xd_status_class(client->status) != XD_CLASS_BACKOFF &&
        xd_status_class(client->status) != XD_CLASS_UNKNOWN) {
        snprintf(client->why, sizeof client->why, "the open was answered with %s",
                 xd_status_name(client->status));
        return NTH_WRONG;
    }
    if (end != NTH_DONE)
        return end;
    int status = xd_open_reply_decode(body, bytes, &view, &field);
    XD_ASSERT(status == 0);
    client->target = (struct batch_target){
        .producer_id = view.fixed.producer_id,
        .producer_epoch = view.fixed.producer_epoch,
        .channel_epoch = view.fixed.channel_epoch,
        .facility = view.fixed.facility,
        .partition = xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, SKU), WIDTH),
        .strategy = XD_STRATEGY_SKU};
    client->opened = true;
    client->source_on = true;
    client->unanswered = 0;
    return NTH_DONE;
}

enum nth_end nth_attach(struct nth_client *client)
{
    enum nth_end end = NTH_DONE;
    if (!client->source_on) {
        end = connect_one(client, &client->source);
        if (end == NTH_DONE)
            end = open_channel(client);
    }
    if (end == NTH_DONE && !client->reader_on) {
        end = connect_one(client, &client->reader);
        client->reader_on = end == NTH_DONE;
    }
    return end;
}

static void send_batch(struct nth_client *client, uint64_t first)
{
    static struct batch_build build; /* too large for a stack */
    uint8_t payload[PAYLOAD_BYTES];
    const struct xd_batch_header *batch = &build.header;
    memset(payload, 'p', sizeof payload);
    batch_begin(&build, &client->target, first - 1);
    for (uint32_t i = 0; i < NTH_RECORDS; i++)
        batch_add(&build, first + i, SKU, payload, sizeof payload);
    batch_end(&build);
    wire_client_produce(&client->source, &batch, 1, XD_DURABILITY_FSYNC);
    client->unanswered += NTH_RECORDS;
    if (first + NTH_RECORDS - 1 > client->sent)
        client->sent = first + NTH_RECORDS - 1;
}

enum nth_end nth_produce(struct nth_client *client, uint64_t to)
{
    struct wire_frame frame;
    uint64_t end_ns = sim_now_ns(client->broker->sim) + NTH_ANSWER_NS;
    enum nth_end end = NTH_DONE;
    XD_ASSERT(client->source_on && to % NTH_RECORDS == 0);
    for (uint32_t round = 0; round < ROUNDS_MAX && client->acked < to; round++) {
        for (uint32_t i = 0; i < BURST && client->acked + i * NTH_RECORDS < to; i++)
            send_batch(client, client->acked + i * NTH_RECORDS + 1);
        while (client->unanswered > 0) {
            while (end == NTH_DONE && wire_client_next(&client->source, &frame))
                end = frame.head.op == XD_OP_ACK ? take_acks(client, &frame) : NTH_DONE;
            if (end == NTH_DONE && client->unanswered > 0 && client->source.ended)
                end = NTH_LOST;
            if (end == NTH_DONE && client->unanswered > 0)
                end = nth_turn(client);
            if (end != NTH_DONE)
                return end;
            if (sim_now_ns(client->broker->sim) > end_ns)
                return NTH_SLOW;
        }
        for (uint32_t turn = 0; turn < ROUND_TURNS && client->acked < client->sent; turn++) {
            end = nth_turn(client);
            if (end != NTH_DONE)
                return end;
        }
    }
    return client->acked < to ? NTH_REFUSED : NTH_DONE;
}

void nth_send_ahead(struct nth_client *client, uint32_t batches)
{
    struct sim *sim = client->broker->sim;
    uint64_t writes = sim_op_count(sim, SIM_OP_WRITE);
    if (!client->source_on)
        return;
    for (uint32_t i = 0; i < batches; i++)
        send_batch(client, client->acked + 1 + (uint64_t)i * NTH_RECORDS);
    for (uint32_t turn = 0; turn < AHEAD_TURNS; turn++) {
        (void)wire_client_pump(&client->source); /* Whether something moved is all the same. */
        if (sim_broker_turn(client->broker, AHEAD_NS) < 0 ||
            sim_op_count(sim, SIM_OP_WRITE) > writes)
            break;
    }
}

/* ---- the reader ------------------------------------------------------------------------------ */

static enum nth_end look_at(struct nth_client *client, const uint8_t *batches,
                            const struct xd_read_reply *reply)
{
    const char *field = "";
    uint64_t offset = reply->start_offset;
    for (uint32_t at = 0; at < reply->batches_bytes;) {
        const struct xd_batch_header *batch = (const void *)(batches + at);
        if (xd_batch_check_stored(batch, reply->batches_bytes - at, &field) != 0 ||
            xd_batch_check_hash(batch) != 0)
            return wrong(client, "damaged batch served at offset", offset, offset);
        if (batch->base_offset != offset)
            return wrong(client, "offset read", batch->base_offset, offset);
        if (batch->first_sequence != offset + 1 || batch->record_count != NTH_RECORDS)
            return wrong(client, "sequence read", batch->first_sequence, offset + 1);
        offset += batch->record_count;
        at += xd_batch_stride(batch);
    }
    if (reply->next_offset != offset)
        return wrong(client, "next offset", reply->next_offset, offset);
    return NTH_DONE;
}

/* At the end of the partition: nothing acknowledged or read before is missing, nothing is there
 * that nobody sent, and only retention takes the oldest. */
static enum nth_end look_at_end(struct nth_client *client, const struct xd_read_reply *reply)
{
    if (reply->next_offset != reply->end_offset)
        return wrong(client, "offset at the end", reply->next_offset, reply->end_offset);
    if (reply->end_offset < client->acked)
        return wrong(client, "records there", reply->end_offset, client->acked);
    if (reply->end_offset < client->end_offset)
        return wrong(client, "records that were read before", reply->end_offset,
                     client->end_offset);
    if (reply->end_offset > client->sent || reply->end_offset % NTH_RECORDS != 0)
        return wrong(client, "records there", reply->end_offset, client->sent);
    if (reply->first_offset > 0 && client->broker->drops_by_size == 0)
        return wrong(client, "oldest offset without a drop", reply->first_offset, 0);
    client->end_offset = reply->end_offset;
    return NTH_DONE;
}

enum nth_end nth_read_all(struct nth_client *client)
{
    struct xd_read_reply reply = {0};
    const char *field = "";
    const uint8_t *body, *batches;
    size_t bytes;
    enum xd_seek seek = XD_SEEK_BEGIN;
    XD_ASSERT(client->reader_on && client->poll == 0);
    for (;;) {
        uint64_t correlation = wire_client_read(&client->reader, client->target.partition, seek,
                                                reply.next_offset, READ_BYTES, 0);
        enum nth_end end = await_body(client, &client->reader, correlation, &body, &bytes);
        if (end != NTH_DONE)
            return end;
        int status = xd_read_reply_decode(body, bytes, &reply, &batches, &field);
        XD_ASSERT(status == 0);
        end = client->status == XD_END ? look_at_end(client, &reply)
                                       : look_at(client, batches, &reply);
        if (end != NTH_DONE || client->status == XD_END)
            return end;
        seek = XD_SEEK_OFFSET;
    }
}

void nth_poll_start(struct nth_client *client)
{
    XD_ASSERT(client->reader_on && client->poll == 0);
    client->poll = wire_client_read(&client->reader, client->target.partition, XD_SEEK_OFFSET,
                                    client->end_offset, READ_BYTES, POLL_WAIT_MS);
}

enum nth_end nth_poll_end(struct nth_client *client)
{
    struct xd_read_reply reply;
    const char *field = "";
    const uint8_t *body, *batches;
    size_t bytes;
    XD_ASSERT(client->poll != 0);
    enum nth_end end = await_body(client, &client->reader, client->poll, &body, &bytes);
    client->poll = 0;
    if (end != NTH_DONE)
        return end;
    int status = xd_read_reply_decode(body, bytes, &reply, &batches, &field);
    XD_ASSERT(status == 0);
    return client->status == XD_END ? NTH_DONE : look_at(client, batches, &reply);
}
