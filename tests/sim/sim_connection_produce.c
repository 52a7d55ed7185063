/* SPDX-License-Identifier: Apache-2.0
 *
 * PRODUCE frames: batches that are right, and batches with one thing wrong.
 *
 * Every batch carries a number of its own as payload, so that no two that are not the same have the
 * same hash: what is found in the log is found in `sent`.
 */
#include "tests/sim/sim_connection.h"

#include "wire/bytes.h"
#include "wire/xassert.h"

#include <string.h>

#define LARGE_PAYLOAD_BYTES 20000u
#define PARTITION_UNKNOWN 77u
#define TRAIN_BATCHES 20u /* more than may be in flight */

/* What is wrong behind the sequence; sealed again, but for the checksum. */
static void spoil_body(struct batch_build *build, enum script_fault fault)
{
    struct xd_batch_header *header = &build->header;
    uint8_t *body = build->bytes + XD_BATCH_HEADER_BYTES;
    struct xd_record_core *core = (struct xd_record_core *)(void *)body;
    switch ((unsigned)fault) { /* the others are built wrongly */
    case FAULT_CHECKSUM:
        body[9] ^= 1;
        return;
    case FAULT_RECORD:
        core->present = UINT8_MAX;
        break;
    case FAULT_RECORD_SIZE:
        core->record_bytes = XD_RECORD_BYTES_MAX + 1;
        break;
    case FAULT_CODEC:
        header->codec = 9;
        break;
    case FAULT_LZ4:
        header->codec = XD_CODEC_LZ4;
        break;
    case FAULT_FORMAT:
        header->format = XD_FORMAT_COUNT;
        break;
    case FAULT_HEADER:
        header->previous_sequence = header->first_sequence;
        break;
    case FAULT_RAW_BYTES:
        header->raw_bytes = XD_BATCH_RAW_BYTES_MAX + 1;
        break;
    default:
        return;
    }
    xd_batch_seal(header, build->used);
}

/* Whom the batch says that it is from, and where to. */
static struct batch_target target_of(const struct script_channel *channel, uint32_t bucket,
                                     enum script_fault fault)
{
    struct batch_target target = channel->target;
    target.partition += bucket;
    if (fault == FAULT_PRODUCER_EPOCH)
        target.producer_epoch--;
    else if (fault == FAULT_CHANNEL_EPOCH_OLD)
        target.channel_epoch--;
    else if (fault == FAULT_CHANNEL_EPOCH_NEW)
        target.channel_epoch++;
    else if (fault == FAULT_PRODUCER)
        target.producer_id = 99;
    else if (fault == FAULT_FACILITY)
        target.partition = bucket + (target.facility == 0 ? WORLD_WIDTH + 1 : 0);
    else if (fault == FAULT_PARTITION)
        target.partition = PARTITION_UNKNOWN;
    return target;
}

/* Builds into script->build. The client counts on it when nothing is wrong with it. */
static void build_batch(struct script *script, struct script_channel *channel, uint8_t a,
                        enum script_fault fault)
{
    static uint8_t payload[LARGE_PAYLOAD_BYTES];
    uint32_t bucket = a >> 2 & 1u;
    uint64_t previous = channel->previous[bucket], first = channel->sequence + 1;
    struct batch_target target = target_of(channel, bucket, fault);
    if (fault == FAULT_GAP) {
        previous = first + 2;
        first = first + 4;
    } else if (fault == FAULT_OVERLAP && previous > 0) {
        first = previous;
        previous--;
    } else if (fault == FAULT_REUSED && previous > 0) {
        first = previous--;
    }
    uint32_t records = fault == FAULT_REUSED ? 1 : 1 + (a >> 3 & 1u) + (fault == FAULT_OVERLAP);
    const char *sku = script->sku[fault == FAULT_ROUTE ? 1 - bucket : bucket];
    memcpy(payload, &script->sent_count, sizeof script->sent_count);
    batch_begin(&script->build, &target, previous);
    for (uint32_t i = 0; i < records; i++)
        batch_add(&script->build, first + i, sku, payload,
                  fault == FAULT_LARGE ? LARGE_PAYLOAD_BYTES : 8);
    batch_end(&script->build);
    if (fault > FAULT_NONE)
        spoil_body(&script->build, fault);
    if (fault > FAULT_NONE && fault < FAULT_COUNT_HIGH)
        return;
    channel->previous[bucket] = channel->sequence = script->build.header.last_sequence;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static uint16_t remember(struct script *script, const struct xd_batch_header *header)
{
    XD_ASSERT(script->sent_count < SCRIPT_SENT_MAX);
    script->sent[script->sent_count] = (struct script_sent){.header = *header};
    return (uint16_t)script->sent_count++;
}

/* One outcome of that batch is expected. */
static void expect(struct script *script, struct script_connection *connection, uint16_t sent)
{
    script->sent[sent].sends++;
    connection->produced_bytes += xd_batch_stride(&script->sent[sent].header);
    if (connection->unanswered_count == SCRIPT_PENDING_MAX)
        connection->orderly = false; /* not followed any further */
    else
        connection->unanswered[connection->unanswered_count++] = sent;
}

static void put_batch(struct wire_client *wire, const struct xd_batch_header *batch)
{
    static const uint8_t zeros[8];
    wire_client_send_raw(wire, batch, batch->batch_bytes);
    wire_client_send_raw(wire, zeros, (uint32_t)xd_pad8(batch->batch_bytes));
}

/* Head of the frame; the batches follow it. */
static void put_head(struct script_connection *connection, uint32_t body_bytes, uint32_t count,
                     uint8_t durability, uint64_t low)
{
    uint8_t bytes[XD_FRAME_HEADER_BYTES];
    struct xd_produce_head head = {.batch_count = count, .durability = durability, .low = low};
    struct xd_frame frame = {.length = (uint32_t)sizeof head + body_bytes,
                             .op = XD_OP_PRODUCE,
                             .version = 1,
                             .correlation = ++connection->wire.correlation};
    xd_frame_encode(&frame, bytes);
    wire_client_send_raw(&connection->wire, bytes, sizeof bytes);
    wire_client_send_raw(&connection->wire, &head, sizeof head);
    totals_sent(XD_OP_PRODUCE);
    connection->fatal = connection->fatal || !connection->hello;
}

/* Frames whose structure is wrong end the connection. What lies whole in front of the wrong place
 * has been taken by then, and its outcome may or may not leave. */
static void put_broken(struct script *script, struct script_connection *connection,
                       enum script_fault fault)
{
    const struct xd_batch_header *batch = &script->build.header;
    uint32_t stride = xd_batch_stride(batch);
    uint64_t zero = 0;
    uint16_t sent = remember(script, batch);
    if (fault == FAULT_CUT_HEADER) {
        put_head(connection, 24, 1, 0, 0);
        wire_client_send_raw(&connection->wire, batch, 24);
    } else {
        put_head(connection, stride + (fault == FAULT_TRAILING ? 8u : 0u),
                 fault == FAULT_COUNT_HIGH ? 2 : 1,
                 fault == FAULT_DURABILITY ? XD_DURABILITY_COUNT : 0, 0);
        put_batch(&connection->wire, batch);
        if (fault == FAULT_TRAILING)
            wire_client_send_raw(&connection->wire, &zero, sizeof zero);
        expect(script, connection, sent);
    }
    connection->fatal = true;
}

static void put_train(struct script *script, struct script_connection *connection,
                      struct script_channel *channel, uint8_t a)
{
    if (script->sent_count + TRAIN_BATCHES > SCRIPT_SENT_MAX)
        return;
    build_batch(script, channel, a, FAULT_NONE);
    uint32_t stride = xd_batch_stride(&script->build.header);
    put_head(connection, stride * TRAIN_BATCHES, TRAIN_BATCHES, a >> 6 & 1u, channel->sequence);
    for (uint32_t i = 0; i < TRAIN_BATCHES; i++) {
        if (i > 0)
            build_batch(script, channel, a, FAULT_NONE);
        XD_ASSERT(xd_batch_stride(&script->build.header) == stride);
        put_batch(&connection->wire, &script->build.header);
        expect(script, connection, remember(script, &script->build.header));
    }
}

void script_produce(struct script *script, struct script_connection *connection, uint8_t a,
                    uint8_t b)
{
    uint32_t number = a % SCRIPT_CHANNELS;
    struct script_channel *channel = &script->channels[number];
    enum script_fault fault = b % FAULT_COUNT;
    uint8_t durability = (a >> 4) % 4u < XD_DURABILITY_COUNT ? (uint8_t)((a >> 4) % 4u) : 0;
    if (script->sent_count == SCRIPT_SENT_MAX)
        return;
    if (fault == FAULT_TRAIN) {
        put_train(script, connection, channel, a);
        return;
    }
    if (fault == FAULT_AGAIN && channel->newest > 0) {
        const struct xd_batch_header *batch = &script->newest[number].header;
        put_head(connection, xd_batch_stride(batch), 1, durability, channel->sequence);
        put_batch(&connection->wire, batch);
        expect(script, connection, (uint16_t)(channel->newest - 1u));
        return;
    }
    build_batch(script, channel, a, fault);
    if (fault >= FAULT_COUNT_HIGH && fault <= FAULT_CUT_HEADER) {
        put_broken(script, connection, fault);
        return;
    }
    put_head(connection, xd_batch_stride(&script->build.header), 1, durability, channel->sequence);
    put_batch(&connection->wire, &script->build.header);
    uint16_t sent = remember(script, &script->build.header);
    expect(script, connection, sent);
    if (fault <= FAULT_NONE || fault == FAULT_LARGE) {
        channel->newest = (uint16_t)(sent + 1u);
        memcpy(script->newest[number].bytes, script->build.bytes, script->build.used);
    }
}
