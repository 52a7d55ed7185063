/* SPDX-License-Identifier: Apache-2.0
 *
 * The fake broker's transport, clock and frames. What it knows is in fake_broker_model.c.
 */
#include "tests/support/fake_broker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

static struct fake_broker *self_of(struct xd_transport *transport)
{
    return (struct fake_broker *)(void *)transport;
}

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

static void on_catalog(struct fake_broker *broker, const struct xd_frame *frame)
{
    struct {
        struct xd_catalog_reply fixed;
        uint8_t rows[1024];
    } body = {.fixed = {.epoch = broker->catalog_epoch,
                        .topic_count = broker->topic_count,
                        .facility_count = 2,
                        .placement_count = broker->topic_count * 3}};
    static const char *const topics[] = {"stock", "order"};
    static const char *const facilities[] = {"DC07", "DC08"};
    uint32_t at = 0;
    for (uint32_t i = 0; i < broker->topic_count; i++) {
        struct xd_catalog_topic row = {.topic = i + 1,
                                       .strategy = i == 0 ? 0 : 3,
                                       .width = (uint8_t)broker->width,
                                       .name_bytes = 5};
        memcpy(row.name, topics[i], 5);
        memcpy(body.rows + at, &row, sizeof(row));
        at += sizeof(row);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct xd_catalog_facility row = {.facility = i + 1, .name_bytes = 4};
        memcpy(row.name, facilities[i], 4);
        memcpy(body.rows + at, &row, sizeof(row));
        at += sizeof(row);
    }
    for (uint32_t i = 0; i < broker->topic_count * 3; i++) {
        const struct xd_catalog_placement row = {.topic = i / 3 + 1,
                                                 .facility = i % 3,
                                                 .partition_base =
                                                     placement_base(broker, i / 3 + 1, i % 3),
                                                 .width = broker->width};
        memcpy(body.rows + at, &row, sizeof(row));
        at += sizeof(row);
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

/* Answers READs that have something now, or whose wait is over. */
static void serve_waiters(struct fake_broker *broker)
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
        on_catalog(broker, frame);
        break;
    case XD_OP_PRODUCER_OPEN:
        on_open(broker, frame, payload);
        break;
    case XD_OP_PRODUCE:
        on_produce(broker, frame, payload);
        break;
    case XD_OP_PRODUCER_CLOSE:
        broker->closes++;
        put_reply(broker, frame, 0, "", NULL, 0);
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

/* Cuts whole frames out of what has come. Payloads are moved to an aligned place. */
static void take_frames(struct fake_broker *broker)
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

/* ---- transport ------------------------------------------------------------------------------- */

void fake_broker_cut(struct fake_broker *broker)
{
    broker->up = false;
    broker->connecting = false;
    broker->in_at = 0;
    broker->out_at = broker->out_end = 0;
    broker->ack_count = 0;
    broker->unanswered = 0;
    broker->acked_bytes = 0;
    for (uint32_t i = 0; i < FAKE_CHANNELS_MAX; i++)
        broker->channels[i].held = false;
    memset(broker->waiters, 0, sizeof(broker->waiters));
    broker->waits = 0;
}

static int fake_connect_check(struct xd_transport *transport)
{
    struct fake_broker *broker = self_of(transport);
    XD_ASSERT(broker->connecting);
    if (broker->connect_status == 1) {
        broker->connecting = false;
        broker->up = true;
        broker->connects++;
    }
    return broker->connect_status;
}

static int fake_connect(struct xd_transport *transport)
{
    struct fake_broker *broker = self_of(transport);
    fake_broker_cut(broker);
    broker->attempts++;
    broker->connecting = true;
    return fake_connect_check(transport);
}

static int64_t fake_send(struct xd_transport *transport, const struct iovec *pieces,
                         int piece_count)
{
    struct fake_broker *broker = self_of(transport);
    if (!broker->up)
        return -EPIPE;
    if (broker->block_send)
        return -EAGAIN;
    uint64_t room = broker->send_bytes_max > 0 ? broker->send_bytes_max : UINT64_MAX;
    uint64_t taken = 0;
    for (int i = 0; i < piece_count && taken < room; i++) {
        uint64_t bytes = pieces[i].iov_len;
        bytes = bytes < room - taken ? bytes : room - taken;
        bytes = bytes < broker->cut_in_bytes ? bytes : broker->cut_in_bytes;
        XD_ASSERT(broker->in_at + bytes <= FAKE_IN_BYTES);
        memcpy(broker->in + broker->in_at, pieces[i].iov_base, bytes);
        broker->in_at += (uint32_t)bytes;
        taken += bytes;
        broker->in_bytes_total += bytes;
        if (broker->cut_in_bytes != FAKE_NEVER)
            broker->cut_in_bytes -= bytes;
        if (broker->cut_in_bytes == 0) {
            take_frames(broker);
            broker->cut_in_bytes = FAKE_NEVER;
            fake_broker_cut(broker);
            return taken > 0 ? (int64_t)taken : -EPIPE;
        }
    }
    take_frames(broker);
    return (int64_t)taken;
}

static int64_t fake_recv(struct xd_transport *transport, void *buffer, size_t bytes)
{
    struct fake_broker *broker = self_of(transport);
    if (!broker->up)
        return 0;
    serve_waiters(broker);
    uint64_t there = broker->out_end - broker->out_at;
    there = there < bytes ? there : bytes;
    if (broker->recv_bytes_max > 0 && there > broker->recv_bytes_max)
        there = broker->recv_bytes_max;
    there = there < broker->cut_out_bytes ? there : broker->cut_out_bytes;
    if (there == 0)
        return -EAGAIN;
    memcpy(buffer, broker->out + broker->out_at, there);
    broker->out_at += (uint32_t)there;
    broker->out_bytes_total += there;
    if (broker->cut_out_bytes != FAKE_NEVER)
        broker->cut_out_bytes -= there;
    if (broker->cut_out_bytes == 0) {
        broker->cut_out_bytes = FAKE_NEVER;
        fake_broker_cut(broker);
    }
    return (int64_t)there;
}

static short fake_wait(struct xd_transport *transport, short events, uint64_t deadline_ns)
{
    struct fake_broker *broker = self_of(transport);
    if (broker->up)
        serve_waiters(broker);
    if (events != 0 && !broker->up && !broker->connecting)
        return POLLHUP;
    if ((events & POLLIN) && broker->out_end > broker->out_at)
        return POLLIN;
    if ((events & POLLOUT) && broker->up && !broker->block_send)
        return POLLOUT;
    for (uint32_t i = 0; i < FAKE_WAITERS_MAX; i++) {
        if (broker->waiters[i].used && broker->waiters[i].deadline_ns < deadline_ns)
            deadline_ns = broker->waiters[i].deadline_ns;
    }
    XD_ASSERT(deadline_ns != XD_WAIT_FOREVER); /* nothing could ever end this wait */
    if (deadline_ns > broker->now_ns) {
        broker->waited_ns += deadline_ns - broker->now_ns;
        broker->wall_us += (int64_t)((deadline_ns - broker->now_ns) / 1000u);
        broker->now_ns = deadline_ns;
    }
    return 0;
}

static void fake_close(struct xd_transport *transport)
{
    fake_broker_cut(self_of(transport));
}

static int fake_fd(const struct xd_transport *transport)
{
    return ((const struct fake_broker *)(const void *)transport)->up ? 3 : -1;
}

/* A little time passes with every look at the clock, so that no loop is endless. */
static uint64_t fake_now_ns(struct xd_transport *transport)
{
    return self_of(transport)->now_ns += 10;
}

static int64_t fake_wall_us(struct xd_transport *transport)
{
    return self_of(transport)->wall_us;
}

static uint64_t fake_random64(struct xd_transport *transport)
{
    struct fake_broker *broker = self_of(transport);
    broker->random = broker->random * 6364136223846793005ull + 1442695040888963407ull;
    return broker->random;
}

static int fake_check(const struct xd_transport *transport)
{
    return ((const struct fake_broker *)(const void *)transport)->check_status;
}

static void fake_free(struct xd_transport *transport)
{
    struct fake_broker *broker = self_of(transport);
    fake_broker_cut(broker);
    broker->freed = true;
}

static const struct xd_transport_ops fake_ops = {
    .connect = fake_connect,
    .connect_check = fake_connect_check,
    .send = fake_send,
    .recv = fake_recv,
    .wait = fake_wait,
    .close = fake_close,
    .fd = fake_fd,
    .now_ns = fake_now_ns,
    .wall_us = fake_wall_us,
    .random64 = fake_random64,
    .check = fake_check,
    .free = fake_free,
};

struct fake_broker *fake_broker_new(void)
{
    struct fake_broker *broker = calloc(1, sizeof(*broker));
    XD_ASSERT(broker != NULL);
    broker->transport.ops = &fake_ops;
    broker->connect_status = 1;
    broker->cut_in_bytes = FAKE_NEVER;
    broker->cut_out_bytes = FAKE_NEVER;
    broker->refuse_resume = FAKE_NEVER;
    broker->open_chains_max = FAKE_CHAINS_MAX;
    broker->catalog_epoch = 1;
    broker->topic_count = 2;
    broker->width = FAKE_WIDTH;
    broker->read_bytes_max = XD_FRAME_BYTES_DEFAULT_MAX;
    broker->now_ns = 1000000000ull;
    broker->wall_us = 1790000000000000;
    broker->random = 42;
    broker->hello = (struct xd_hello_reply){.version = 1,
                                            .version_min = 1,
                                            .version_max = 1,
                                            .frame_bytes_max = XD_FRAME_BYTES_DEFAULT_MAX,
                                            .batch_bytes_max = XD_BATCH_BYTES_MAX,
                                            .inflight_batches = XD_INFLIGHT_BATCHES_MAX,
                                            .connection_bytes = 8u << 20,
                                            .cluster_id = {1, 2}};
    broker->payload = malloc(XD_FRAME_BYTES_DEFAULT_MAX);
    broker->body = malloc(XD_FRAME_BYTES_DEFAULT_MAX);
    broker->reply = malloc(XD_FRAME_BYTES_DEFAULT_MAX);
    broker->raw = malloc(XD_BATCH_RAW_BYTES_MAX);
    broker->in = malloc(FAKE_IN_BYTES);
    broker->out = malloc(FAKE_OUT_BYTES);
    broker->log = calloc(FAKE_BATCHES_MAX, sizeof(*broker->log));
    broker->acks = calloc(FAKE_ACKS_MAX, sizeof(*broker->acks));
    XD_ASSERT(broker->payload != NULL && broker->body != NULL);
    XD_ASSERT(broker->reply != NULL && broker->raw != NULL);
    XD_ASSERT(broker->in != NULL && broker->out != NULL);
    XD_ASSERT(broker->log != NULL && broker->acks != NULL);
    return broker;
}

void fake_broker_free(struct fake_broker *broker)
{
    XD_ASSERT(broker->freed);
    for (uint32_t i = 0; i < broker->batch_count; i++)
        free(broker->log[i].header);
    free(broker->payload);
    free(broker->body);
    free(broker->reply);
    free(broker->raw);
    free(broker->in);
    free(broker->out);
    free(broker->log);
    free(broker->acks);
    free(broker);
}
