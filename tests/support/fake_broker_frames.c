/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake broker's frames: what comes is cut into them, decoded, and answered from what
 * fake_broker_model.c knows. What no client may send is an assertion.
 */
#include "tests/support/fake_broker.h"

#include <string.h>

#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

/* ---- output ---------------------------------------------------------------------------------- */

static void put_frame(struct fake_broker *broker, uint16_t op, uint8_t flags, uint64_t correlation,
                      const void *body, uint32_t bytes)
{
    if (broker->out_at == broker->out_end)
        broker->out_at = broker->out_end = 0;
    XD_ASSERT(broker->out_end + XD_FRAME_HEADER_BYTES + bytes <= FAKE_OUT_BYTES);
    const struct xd_frame frame = {
        .length = bytes, .op = op, .version = 1, .flags = flags, .correlation = correlation};
    xd_frame_encode(&frame, broker->out + broker->out_end);
    if (bytes > 0)
        memcpy(broker->out + broker->out_end + XD_FRAME_HEADER_BYTES, body, bytes);
    broker->out_end += XD_FRAME_HEADER_BYTES + bytes;
}

static void put_reply(struct fake_broker *broker, const struct xd_frame *request, int status,
                      const char *detail, const void *body, uint32_t bytes)
{
    uint8_t *payload = broker->reply;
    const struct xd_reply_head head = {.status = status,
                                       .retry_after_ms = status < 0 ? 10 : 0,
                                       .log_index = broker->log_index,
                                       .catalog_epoch = broker->catalog_epoch};
    int head_bytes = xd_reply_encode(&head, detail, payload, XD_FRAME_BYTES_DEFAULT_MAX);
    XD_ASSERT(head_bytes > 0 && (uint32_t)head_bytes + bytes <= XD_FRAME_BYTES_DEFAULT_MAX);
    if (bytes > 0)
        memcpy(payload + head_bytes, body, bytes);
    put_frame(broker, request->op, XD_FRAME_REPLY, request->correlation, payload,
              (uint32_t)head_bytes + bytes);
}

void fake_broker_goaway(struct fake_broker *broker)
{
    put_frame(broker, XD_OP_GOAWAY, XD_FRAME_PUSH, 0, NULL, 0);
}

/* One ACK frame per answer, with a text where it is a refusal: frames of odd lengths. */
static void put_ack(struct fake_broker *broker, const struct xd_ack *ack, uint32_t stride)
{
    static const char text[] = "refused";
    struct {
        struct xd_ack_head head;
        struct xd_ack ack;
        char text[8];
    } body = {.head = {.ack_count = 1, .catalog_epoch = broker->catalog_epoch}, .ack = *ack};
    broker->acked_bytes += stride;
    body.head.acked_bytes = broker->acked_bytes;
    uint32_t bytes = sizeof(body.head) + sizeof(body.ack);
    if (ack->status < 0) {
        body.ack.detail_bytes = sizeof(text) - 1;
        memcpy(body.text, text, sizeof(text) - 1);
        bytes += sizeof(text) - 1;
    }
    broker->unanswered -= stride > 0 ? 1 : 0;
    put_frame(broker, XD_OP_ACK, XD_FRAME_PUSH, 0, &body, bytes);
}

void fake_broker_release_acks(struct fake_broker *broker)
{
    for (uint32_t i = 0; i < broker->ack_count; i++)
        put_ack(broker, &broker->acks[i], broker->ack_strides[i]);
    broker->ack_count = 0;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static void on_hello(struct fake_broker *broker, const struct xd_frame *frame,
                     const uint8_t *payload)
{
    struct xd_hello_request request;
    const char *field = "";
    XD_ASSERT(xd_hello_decode(payload, frame->length, &request, &field) == 0);
    broker->greetings++;
    put_reply(broker, frame, broker->hello_status, "", &broker->hello,
              broker->hello_status < 0 ? 0 : sizeof(broker->hello));
}

static uint32_t placement_base(const struct fake_broker *broker, uint32_t topic, uint32_t facility)
{
    XD_ASSERT(broker->width <= FAKE_WIDE_MAX);
    if (broker->width == FAKE_WIDTH)
        return fake_partition_base(topic, facility);
    XD_ASSERT(broker->topic_count == 1);
    return FAKE_WIDE_BASE + facility * broker->width;
}

/* What is behind the client's copy, at most catalog_rows_max rows of it. */
static void on_catalog(struct fake_broker *broker, const struct xd_frame *frame,
                       const uint8_t *payload)
{
    struct {
        struct xd_catalog_reply fixed;
        uint8_t rows[1024];
    } body = {.fixed = {.epoch = broker->catalog_epoch,
                        .topic_total = broker->topic_count,
                        .facility_total = 2,
                        .partition_total =
                            placement_base(broker, broker->topic_count, 2) + broker->width}};
    static const char *const topics[] = {"stock", "order"};
    static const char *const facilities[] = {"DC07", "DC08"};
    struct xd_catalog_request has;
    const char *field = "";
    uint32_t at = 0, left = broker->catalog_rows_max;
    int status = xd_catalog_decode(payload, frame->length, &has, &field);
    XD_ASSERT(status == 0);
    broker->catalog_has = has;
    if (broker->catalog_status < 0 && has.partitions > 0) {
        broker->catalogs++;
        put_reply(broker, frame, broker->catalog_status, "", NULL, 0);
        return;
    }
    for (uint32_t i = has.topics; i < broker->topic_count && left > 0; i++, left--) {
        struct xd_catalog_topic row = {.topic = i + 1,
                                       .strategy = i == 0 ? 0 : 3,
                                       .width = (uint8_t)broker->width,
                                       .name_bytes = 5};
        memcpy(row.name, topics[i], 5);
        memcpy(body.rows + at, &row, sizeof(row));
        at += sizeof(row);
        body.fixed.topic_count++;
    }
    for (uint32_t i = has.facilities; i < 2 && left > 0; i++, left--) {
        struct xd_catalog_facility row = {.facility = i + 1, .name_bytes = 4};
        memcpy(row.name, facilities[i], 4);
        memcpy(body.rows + at, &row, sizeof(row));
        at += sizeof(row);
        body.fixed.facility_count++;
    }
    for (uint32_t i = 0; i < broker->topic_count * 3 && left > 0; i++) {
        const struct xd_catalog_placement row = {.topic = i / 3 + 1,
                                                 .facility = i % 3,
                                                 .partition_base =
                                                     placement_base(broker, i / 3 + 1, i % 3),
                                                 .width = broker->width};
        if (row.partition_base < has.partitions)
            continue;
        memcpy(body.rows + at, &row, sizeof(row));
        at += sizeof(row);
        body.fixed.placement_count++;
        left--;
    }
    broker->catalogs++;
    put_reply(broker, frame, 0, "", &body, (uint32_t)sizeof(body.fixed) + at);
}

static void on_open(struct fake_broker *broker, const struct xd_frame *frame,
                    const uint8_t *payload)
{
    struct xd_open_request request;
    const char *field = "";
    struct {
        struct xd_open_reply fixed;
        struct xd_open_chain chains[FAKE_CHAINS_MAX];
    } body;
    XD_ASSERT(xd_open_decode(payload, frame->length, &request, &field) == 0);
    broker->opens++;
    int status = 0;
    if (broker->open_refusals > 0) {
        broker->open_refusals--;
        status = broker->open_status;
    } else {
        status = fake_model_open(broker, &request, &body.fixed, body.chains);
    }
    uint32_t bytes =
        status < 0
            ? 0
            : (uint32_t)(sizeof(body.fixed) + body.fixed.chain_count * sizeof(body.chains[0]));
    put_reply(broker, frame, status, status < 0 ? "open refused" : "", &body, bytes);
}

static void on_produce(struct fake_broker *broker, const struct xd_frame *frame,
                       const uint8_t *payload)
{
    struct xd_produce_head head;
    const char *field = "";
    XD_ASSERT(xd_produce_decode(payload, frame->length, &head, &field) == 0);
    broker->produces++;
    broker->low = head.low;
    const uint8_t *at = payload + sizeof(head);
    for (uint32_t i = 0; i < head.batch_count; i++) {
        const struct xd_batch_header *batch = (const struct xd_batch_header *)(const void *)at;
        uint32_t stride = (batch->batch_bytes + 7u) & ~7u;
        at += stride;
        broker->batches++;
        struct xd_ack ack;
        fake_model_batch(broker, batch, &ack);
        broker->unanswered++;
        if (broker->unanswered > broker->unanswered_max)
            broker->unanswered_max = broker->unanswered;
        if (broker->lose_acks)
            continue;
        if (head.durability != XD_DURABILITY_FSYNC && ack.status == 0) {
            struct xd_ack early = ack;
            early.durability = head.durability;
            put_ack(broker, &early, 0);
        }
        XD_ASSERT(broker->ack_count < FAKE_ACKS_MAX);
        broker->acks[broker->ack_count] = ack;
        broker->ack_strides[broker->ack_count++] = stride;
        if (!broker->hold_acks && !(broker->hold_final && ack.status == 0))
            fake_broker_release_acks(broker);
    }
}

static bool answer_read(struct fake_broker *broker, const struct xd_frame *frame,
                        const struct xd_read *read, bool now)
{
    uint8_t *body = broker->body;
    struct xd_read_reply reply = {.partition = read->partition,
                                  .first_offset = broker->first_offset,
                                  .end_offset = broker->ends[read->partition],
                                  .start_offset = read->position};
    if (read->seek == XD_SEEK_BEGIN)
        reply.start_offset = broker->first_offset;
    if (read->seek == XD_SEEK_END)
        reply.start_offset = reply.end_offset;
    reply.next_offset = reply.start_offset;
    int status = broker->read_skip == 0 ? broker->read_status : 0;
    if (broker->read_skip > 0)
        broker->read_skip--;
    else
        broker->read_status = 0;
    if (status == 0 && reply.start_offset < broker->first_offset)
        status = XD_OFFSET_GONE;
    uint32_t bytes = 0;
    if (status == 0)
        bytes = fake_model_read(broker, read->partition, reply.start_offset,
                                read->bytes_max < broker->read_bytes_max ? read->bytes_max
                                                                         : broker->read_bytes_max,
                                body + sizeof(reply), &reply.next_offset);
    if (status == 0 && bytes == 0 && !now)
        return false;
    reply.batches_bytes = bytes;
    memcpy(body, &reply, sizeof(reply));
    put_reply(broker, frame,
              status < 0  ? status
              : bytes > 0 ? 0
                          : XD_END,
              status < 0 ? "read refused" : "", body,
              status < 0 && status != XD_OFFSET_GONE ? 0 : (uint32_t)sizeof(reply) + bytes);
    return true;
}

static void on_read(struct fake_broker *broker, const struct xd_frame *frame,
                    const uint8_t *payload)
{
    struct xd_read read;
    const char *field = "";
    XD_ASSERT(xd_read_decode(payload, frame->length, &read, &field) == 0);
    XD_ASSERT(read.partition < FAKE_PARTITIONS);
    broker->reads++;
    if (answer_read(broker, frame, &read, read.wait_ms == 0))
        return;
    for (uint32_t i = 0; i < FAKE_WAITERS_MAX; i++) {
        if (broker->waiters[i].used)
            continue;
        broker->waiters[i] = (struct fake_waiter){
            .correlation = frame->correlation,
            .position = read.seek == XD_SEEK_OFFSET ? read.position : broker->ends[read.partition],
            .deadline_ns = broker->now_ns + read.wait_ms * 1000000ull,
            .partition = read.partition,
            .used = true};
        if (++broker->waits > broker->waits_max)
            broker->waits_max = broker->waits;
        return;
    }
    XD_ASSERT(!"more waiting READs than a broker allows");
}

void fake_frames_serve(struct fake_broker *broker)
{
    for (uint32_t i = 0; i < FAKE_WAITERS_MAX; i++) {
        struct fake_waiter *waiter = &broker->waiters[i];
        if (!waiter->used)
            continue;
        const struct xd_frame frame = {.op = XD_OP_READ, .correlation = waiter->correlation};
        const struct xd_read read = {.partition = waiter->partition,
                                     .position = waiter->position,
                                     .bytes_max = XD_FRAME_BYTES_DEFAULT_MAX / 2};
        if (!answer_read(broker, &frame, &read, broker->now_ns >= waiter->deadline_ns))
            continue;
        waiter->used = false;
        broker->waits--;
    }
}

static void on_admin(struct fake_broker *broker, const struct xd_frame *frame,
                     const uint8_t *payload)
{
    struct xd_admin_request request;
    const char *field = "";
    XD_ASSERT(xd_admin_decode(payload, frame->length, &request, &field) == 0);
    put_reply(broker, frame, broker->admin_status, broker->admin_status < 0 ? "verb refused" : "",
              request.json.data != NULL ? request.json.data : "{}",
              broker->admin_status < 0    ? 0
              : request.json.data != NULL ? request.json.bytes
                                          : 2);
}

/* Nothing is taken from the channel any more until it is opened again. */
static void on_close(struct fake_broker *broker, const struct xd_frame *frame,
                     const uint8_t *payload)
{
    struct xd_close request;
    const char *field = "";
    XD_ASSERT(xd_close_decode(payload, frame->length, &request, &field) == 0);
    XD_ASSERT(request.producer_id >= 1 && request.producer_id <= FAKE_CHANNELS_MAX);
    broker->channels[request.producer_id - 1].held = false;
    broker->closes++;
    put_reply(broker, frame, 0, "", NULL, 0);
}

static void on_frame(struct fake_broker *broker, const struct xd_frame *frame,
                     const uint8_t *payload)
{
    switch (frame->op) {
    case XD_OP_HELLO:
        on_hello(broker, frame, payload);
        break;
    case XD_OP_PING:
        broker->pings++;
        put_reply(broker, frame, 0, "", NULL, 0);
        break;
    case XD_OP_CATALOG:
        on_catalog(broker, frame, payload);
        break;
    case XD_OP_PRODUCER_OPEN:
        on_open(broker, frame, payload);
        break;
    case XD_OP_PRODUCE:
        on_produce(broker, frame, payload);
        break;
    case XD_OP_PRODUCER_CLOSE:
        on_close(broker, frame, payload);
        break;
    case XD_OP_READ:
        on_read(broker, frame, payload);
        break;
    case XD_OP_ADMIN:
        on_admin(broker, frame, payload);
        break;
    default:
        XD_ASSERT(!"an op that a client does not send");
    }
}

void fake_frames_take(struct fake_broker *broker)
{
    uint8_t *payload = broker->payload;
    uint32_t at = 0;
    struct xd_frame frame;
    while (broker->in_at - at >= XD_FRAME_HEADER_BYTES) {
        int status = xd_frame_decode(broker->in + at, broker->in_at - at,
                                     XD_FRAME_BYTES_DEFAULT_MAX, &frame);
        XD_ASSERT(status > 0);
        if (broker->in_at - at < XD_FRAME_HEADER_BYTES + frame.length)
            break;
        memcpy(payload, broker->in + at + XD_FRAME_HEADER_BYTES, frame.length);
        at += XD_FRAME_HEADER_BYTES + frame.length;
        if (!broker->mute)
            on_frame(broker, &frame, payload);
    }
    memmove(broker->in, broker->in + at, broker->in_at - at);
    broker->in_at -= at;
}
