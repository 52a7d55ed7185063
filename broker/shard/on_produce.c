/* SPDX-License-Identifier: Apache-2.0
 *
 * PRODUCE: batches from frames into the log.
 *
 * Normal path of a batch: header checked, verdict of its chain, room reserved in the open block,
 * bytes gathered from the receive buffers into that room (the only copy), checksum and records
 * checked there, offset and time stamped, appended, its answer queued. Refusals leave the reserved
 * room unused and become an ack with the field and the next step. No room (memory tail, undurable
 * window, answers): the frame stalls and its connection reads no further, which is the
 * back-pressure that producers feel; after options.stall_ms the batch is refused with the reason
 * instead, at once and ahead of answers that wait for the disk, so that no client waits for ever.
 * What is pipelined behind it in its chain is then out of sequence. Where the frame stands is kept
 * in its connection.
 */
#include "broker/shard/state.h"

#include "broker/base/probes.h"
#include "wire/batch.h"
#include "wire/bytes.h"
#include "wire/frame.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* One batch on its way through. */
struct arrival {
    const struct net_frame *frame;
    struct connection *connection;
    struct xd_batch_header header; /* copy of the client's header */
    uint32_t at;                   /* payload byte where it starts */
    uint32_t stride;               /* bytes to the next batch, credit */
    uint64_t since_ns;             /* when its frame was taken up, or began to wait for room */
    uint8_t durability;            /* enum xd_durability wanted */
};

static void queue_ack(struct shard *shard, const struct arrival *arrival, const struct xd_ack *ack,
                      uint64_t log_index, const char *detail)
{
    struct answer answer = {.kind = ANSWER_ACK,
                            .conn = arrival->frame->conn,
                            .log_index = log_index,
                            .durability = arrival->durability,
                            .bytes = arrival->stride,
                            .ack = *ack};
    answer.ack.producer_id = arrival->header.producer_id;
    answer.ack.partition = arrival->header.partition;
    answer.ack.first_sequence = arrival->header.first_sequence;
    answer.ack.last_sequence = arrival->header.last_sequence;
    answer.ack.record_count = arrival->header.record_count;
    answer.ack.log_index = log_index;
    PROBE_BATCH_VERDICT(answer.conn, answer.ack.producer_id, answer.ack.first_sequence,
                        answer.ack.record_count, answer.ack.status);
    if (ack->status < 0) {
        XD_ASSERT(detail[0] != '\0');
        answer.detail = answers_detail(shard, detail);
        if (xd_status_class(ack->status) == XD_CLASS_BACKOFF)
            answer.ack.retry_after_ms = 100;
    }
    struct connection *connection = arrival->connection;
    XD_ASSERT(arrival->stride % XD_BATCH_ALIGN == 0);
    XD_ASSERT(arrival->stride >= arrival->header.batch_bytes);
    XD_ASSERT(connection->unanswered_bytes == 0 ||
              connection->unanswered_bytes + arrival->stride <= shard->options.connection_bytes);
    connection->unanswered_bytes += arrival->stride;
    answers_wait(shard, &answer);
}

static void count_refusal(struct shard *shard, int status)
{
    enum counter counter = COUNTER_batches_refused_malformed;
    if (status == XD_BATCH_CHECKSUM)
        counter = COUNTER_batches_refused_checksum;
    else if (status == XD_OUT_OF_SEQUENCE)
        counter = COUNTER_chain_out_of_sequence;
    else if (status == XD_OVERLAP)
        counter = COUNTER_chain_overlap;
    else if (status == XD_SEQUENCE_REUSED)
        counter = COUNTER_sequence_reused;
    else if (xd_status_class(status) == XD_CLASS_BACKOFF)
        counter = COUNTER_throttled;
    counters_add(&shard->counters, counter, 1);
}

/* A refusal rests on everything staged so far, because the verdict looked at it. One of class
 * BACKOFF says nothing of what is staged: it rests on nothing and leaves at once, however long the
 * next flush takes. */
static int refuse(struct shard *shard, const struct arrival *arrival, int status,
                  uint64_t resume_sequence, const char *detail)
{
    bool later = xd_status_class(status) == XD_CLASS_BACKOFF;
    struct xd_ack ack = {.status = status, .resume_sequence = later ? 0 : resume_sequence};
    XD_ASSERT(status < 0);
    count_refusal(shard, status);
    queue_ack(shard, arrival, &ack, later ? 0 : log_last_index(shard->log), detail);
    return 0;
}

static int refuse_field(struct shard *shard, const struct arrival *arrival, int status,
                        const char *field)
{
    char detail[XD_DETAIL_BYTES_MAX];
    snprintf(detail, sizeof detail, "batch: field %s is wrong", field);
    return refuse(shard, arrival, status, 0, detail);
}

/* Not now; refused once the frame has waited for options.stall_ms, and then so is every further
 * batch of the frame that finds no room: a frame waits once, not once for each chain in it. */
static int wait_for_room(struct shard *shard, struct arrival *arrival, int status,
                         const char *reason)
{
    struct connection *connection = arrival->connection;
    XD_ASSERT(xd_status_class(status) == XD_CLASS_BACKOFF);
    XD_ASSERT(connection->stalled_since_ns <= shard->now_ns);
    if (connection->stalled_since_ns == 0)
        connection->stalled_since_ns = shard->now_ns;
    if (shard->now_ns - connection->stalled_since_ns < shard->options.stall_ms * 1000000ull)
        return -EAGAIN;
    return refuse(shard, arrival, status, 0, reason);
}

/* ---- verdicts ------------------------------------------------------------------------------ */

/* Who sends, and where to: before the chain is asked. 0 or a status with its detail. */
static int check_route(struct shard *shard, const struct arrival *arrival, const char **ret_detail)
{
    const struct xd_batch_header *header = &arrival->header;
    const struct partition *partition = catalog_partition(&shard->catalog, header->partition);
    const struct channel *channel = session_channel(&shard->sessions, header->producer_id);
    XD_ASSERT(partition == NULL || partition->durable <= partition->appended);
    if (channel == NULL) {
        *ret_detail = "producer_id: no such channel; open a producer first";
        return XD_PRODUCER_UNKNOWN;
    }
    if (*shard_holder(shard, channel) != arrival->frame->conn) {
        *ret_detail = "producer_id: the channel is open elsewhere or not at all; open it again";
        return header->producer_epoch < channel->producer_epoch ? XD_FENCED : XD_PRODUCER_UNKNOWN;
    }
    if (partition == NULL) {
        *ret_detail = "partition: no such partition; fetch the catalog again";
        return XD_PARTITION_UNKNOWN;
    }
    if (partition->facility != channel->facility) {
        *ret_detail = "partition: it belongs to another facility than the channel feeds";
        return XD_PARTITION_WRONG;
    }
    return 0;
}

static int answer_verdict(struct shard *shard, const struct arrival *arrival,
                          const struct session_verdict *verdict)
{
    if (verdict->status < 0)
        return refuse(shard, arrival, verdict->status, verdict->resume_sequence,
                      xd_status_text(verdict->status));
    XD_ASSERT(verdict->status == XD_DUPLICATE);
    XD_ASSERT(arrival->header.last_sequence <= verdict->resume_sequence);
    counters_add(&shard->counters, COUNTER_duplicates_recognised, 1);
    counters_add(&shard->counters, COUNTER_duplicates_undurable,
                 verdict->log_index > log_durable_index(shard->log));
    struct xd_ack ack = {.status = XD_DUPLICATE, .base_offset = verdict->base_offset};
    queue_ack(shard, arrival, &ack, verdict->log_index, "");
    return 0;
}

/* The whole batch, in the memory that it will be written from. 0 or a status with its detail. */
static int check_body(struct shard *shard, const struct xd_batch_header *batch, char *detail)
{
    const uint8_t *body;
    const char *field = "";
    uint32_t record = 0;
    int status = xd_batch_check_hash(batch);
    if (status < 0) {
        snprintf(detail, XD_DETAIL_BYTES_MAX, "batch_xxh3: damaged on the way; send it again");
        return status;
    }
    status = xd_batch_body(batch, shard->scratch, XD_BATCH_RAW_BYTES_MAX, &body);
    if (status < 0) {
        snprintf(detail, XD_DETAIL_BYTES_MAX, "body: %s", xd_status_text(status));
        return status;
    }
    status = catalog_check_records(&shard->catalog, batch, body, batch->raw_bytes, &record, &field);
    if (status < 0)
        snprintf(detail, XD_DETAIL_BYTES_MAX, "record %u of the batch: field %s is wrong", record,
                 field);
    return status;
}

/* ---- append -------------------------------------------------------------------------------- */

static void append(struct shard *shard, const struct arrival *arrival,
                   struct xd_batch_header *batch)
{
    struct partition *partition = catalog_partition(&shard->catalog, batch->partition);
    XD_ASSERT(partition != NULL && partition->durable <= partition->appended);
    XD_ASSERT(batch->producer_id == arrival->header.producer_id);
    batch->base_offset = partition->appended;
    batch->append_time_us =
        shard->now_us > partition->append_time_us ? shard->now_us : partition->append_time_us;
    uint64_t index = log_append(shard->log);
    session_append(&shard->sessions, batch, index);
    answers_stamp(shard, index, arrival->since_ns);
    partition->appended += batch->record_count;
    partition->append_time_us = batch->append_time_us;

    counters_add(&shard->counters, COUNTER_batches_appended, 1);
    counters_add(&shard->counters, COUNTER_records_appended, batch->record_count);
    counters_add(&shard->counters, COUNTER_bytes_appended, batch->batch_bytes);
    PROBE_BATCH_STAGED(index, batch->partition, batch->base_offset, batch->record_count,
                       batch->batch_bytes);
    struct xd_ack ack = {.status = 0, .base_offset = batch->base_offset};
    queue_ack(shard, arrival, &ack, index, "");
}

/* 0 = answered, appended or refused; -EAGAIN = not now. */
static int take_batch(struct shard *shard, struct arrival *arrival)
{
    struct xd_batch_header *header = &arrival->header;
    const char *text = "";
    int status = xd_batch_check_header(header, header->batch_bytes, &text);
    if (status < 0)
        return refuse_field(shard, arrival, status, text);
    status = check_route(shard, arrival, &text);
    if (status < 0)
        return refuse(shard, arrival, status, 0, text);
    struct session_verdict verdict = session_check(&shard->sessions, header);
    if (verdict.status == XD_THROTTLED)
        return wait_for_room(shard, arrival, XD_THROTTLED,
                             "all chains are in use; raise produce.chains_max");
    if (verdict.status != 0)
        return answer_verdict(shard, arrival, &verdict);

    uint8_t *memory;
    status = log_reserve(shard->log, header->batch_bytes, &memory);
    if (status == XD_THROTTLED)
        return wait_for_room(shard, arrival, status, log_throttle_reason(shard->log));
    if (status < 0)
        return refuse(shard, arrival, status, verdict.resume_sequence, xd_status_text(status));
    XD_ASSERT(((uintptr_t)memory & (XD_BATCH_ALIGN - 1)) == 0);
    struct connection *connection = arrival->connection;
    arrival->since_ns =
        connection->stalled_since_ns != 0 ? connection->stalled_since_ns : shard->now_ns;
    connection->stalled_since_ns = 0;
    net_frame_copy(arrival->frame, arrival->at, memory, header->batch_bytes);
    struct xd_batch_header *batch = (struct xd_batch_header *)(void *)memory;
    XD_ASSERT(memcmp(batch, header, sizeof *header) == 0);
    char detail[XD_DETAIL_BYTES_MAX] = "";
    status = check_body(shard, batch, detail);
    if (status < 0)
        return refuse(shard, arrival, status, verdict.resume_sequence, detail);
    append(shard, arrival, batch);
    return 0;
}

/* ---- frame --------------------------------------------------------------------------------- */

/* Reads the next batch's header. False: the frame's structure is broken. */
static bool arrival_next(struct arrival *arrival, uint32_t at)
{
    const struct net_frame *frame = arrival->frame;
    XD_ASSERT(at <= frame->head.length && at % XD_BATCH_ALIGN == 0);
    uint32_t left = frame->head.length - at;
    if (left < XD_BATCH_HEADER_BYTES)
        return false;
    net_frame_copy(frame, at, &arrival->header, XD_BATCH_HEADER_BYTES);
    const uint8_t *bytes = (const uint8_t *)&arrival->header;
    int batch_bytes = xd_batch_peek(bytes, XD_BATCH_HEADER_BYTES);
    if (batch_bytes < (int)XD_BATCH_HEADER_BYTES || (uint32_t)batch_bytes > left)
        return false;
    uint32_t stride = ((uint32_t)batch_bytes + XD_BATCH_ALIGN - 1) & ~(XD_BATCH_ALIGN - 1);
    if (stride > left)
        return false;
    uint8_t padding[XD_BATCH_ALIGN];
    net_frame_copy(frame, at + (uint32_t)batch_bytes, padding, stride - (uint32_t)batch_bytes);
    arrival->at = at;
    arrival->stride = stride;
    return xd_bytes_zero(padding, stride - (uint32_t)batch_bytes);
}

int on_produce(struct shard *shard, const struct net_frame *frame)
{
    struct connection *connection = shard_connection(shard, frame->conn);
    struct xd_produce_head head;
    const char *field = "";
    XD_ASSERT(connection != NULL && connection->greeted);
    XD_ASSERT((connection->produce_count == 0) == (connection->produce_at == 0));
    if (frame->head.length < sizeof head)
        return -ECONNABORTED;
    uint8_t fixed[sizeof head];
    net_frame_copy(frame, 0, fixed, sizeof fixed);
    if (xd_produce_head_decode(fixed, sizeof fixed, &head, &field) < 0)
        return -ECONNABORTED;

    struct arrival arrival = {
        .frame = frame, .connection = connection, .durability = head.durability};
    uint32_t at = connection->produce_count > 0 ? connection->produce_at : (uint32_t)sizeof head;
    while (connection->produce_count < head.batch_count) {
        if (!arrival_next(&arrival, at))
            return -ECONNABORTED;
        bool over_credit =
            connection->unanswered_bytes > 0 &&
            connection->unanswered_bytes + arrival.stride > shard->options.connection_bytes;
        if (over_credit || !answers_room(shard) || take_batch(shard, &arrival) == -EAGAIN)
            return -EAGAIN;
        at += arrival.stride;
        connection->produce_at = at;
        connection->produce_count++;
    }
    if (at != frame->head.length)
        return -ECONNABORTED;
    struct channel *channel = session_channel(&shard->sessions, arrival.header.producer_id);
    if (channel != NULL && *shard_holder(shard, channel) == frame->conn && head.low > channel->low)
        channel->low = head.low;
    connection->stalled_since_ns = 0;
    connection->produce_at = 0;
    connection->produce_count = 0;
    return 0;
}
