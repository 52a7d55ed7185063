/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames of a crowd; see talk.h.
 */
#include "bench/crowd/talk.h"

#include "bench/check.h"
#include "wire/batch.h"
#include "wire/record.h"
#include "wire/status.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define CLIENT_NAME "crossdock-bench"
#define BATCH_AT (XD_FRAME_HEADER_BYTES + sizeof(struct xd_produce_head))
#define RECORD_AT (BATCH_AT + XD_BATCH_HEADER_BYTES)
#define EVENT_TYPE 0x0107u /* pick confirmed */
/* 2023-11-14T22:13:20Z in us: when all of it happened. */
#define EVENT_TIME_US INT64_C(1700000000000000)

static struct xd_text text_of(const char *text)
{
    return (struct xd_text){text, (uint32_t)strlen(text)};
}

/* Puts the header before a payload that is there; bytes of the frame. */
static uint32_t finish(uint16_t op, uint64_t correlation, int payload_bytes, uint8_t *buffer)
{
    BENCH_ASSERT(payload_bytes >= 0);
    BENCH_ASSERT(payload_bytes + (int)XD_FRAME_HEADER_BYTES <= (int)TALK_REQUEST_BYTES_MAX);
    const struct xd_frame frame = {
        .length = (uint32_t)payload_bytes, .op = op, .version = 1, .correlation = correlation};
    xd_frame_encode(&frame, buffer);
    return XD_FRAME_HEADER_BYTES + (uint32_t)payload_bytes;
}

uint32_t talk_hello(uint8_t *buffer)
{
    const struct xd_hello_request hello = {
        .fixed = {.version_min = XD_PROTOCOL_VERSION_MIN, .version_max = XD_PROTOCOL_VERSION_MAX},
        .client_name = text_of(CLIENT_NAME),
        .client_version = text_of("1")};
    int bytes = xd_hello_encode(&hello, buffer + XD_FRAME_HEADER_BYTES,
                                TALK_REQUEST_BYTES_MAX - XD_FRAME_HEADER_BYTES);
    return finish(XD_OP_HELLO, TALK_HELLO, bytes, buffer);
}

uint32_t talk_catalog(uint8_t *buffer)
{
    return finish(XD_OP_CATALOG, TALK_CATALOG, 0, buffer);
}

uint32_t talk_ping(uint8_t *buffer)
{
    return finish(XD_OP_PING, TALK_PING, 0, buffer);
}

uint32_t talk_open(const char *source, const char *channel, const char *facility, uint8_t *buffer)
{
    const struct xd_open_request open = {.fixed = {.flags = XD_OPEN_NO_MEMORY},
                                         .source = text_of(source),
                                         .channel = text_of(channel),
                                         .facility = text_of(facility)};
    int bytes = xd_open_encode(&open, buffer + XD_FRAME_HEADER_BYTES,
                               TALK_REQUEST_BYTES_MAX - XD_FRAME_HEADER_BYTES);
    return finish(XD_OP_PRODUCER_OPEN, TALK_OPEN, bytes, buffer);
}

uint32_t talk_read(uint32_t partition, uint8_t *buffer)
{
    const struct xd_read read = {
        .partition = partition, .seek = XD_SEEK_BEGIN, .bytes_max = XD_BATCH_BYTES_MAX};
    memcpy(buffer + XD_FRAME_HEADER_BYTES, &read, sizeof read);
    return finish(XD_OP_READ, TALK_READ, sizeof read, buffer);
}

/* ---- records --------------------------------------------------------------------------------- */

uint32_t talk_produce_bytes(uint32_t record_bytes)
{
    return (uint32_t)RECORD_AT + record_bytes;
}

/* Encodes the record with as much payload as makes it that large. */
static int encode(const struct talk_channel *channel, const char *name, uint32_t route_key,
                  uint32_t record_bytes, uint8_t *ret_record)
{
    static const uint8_t payload[XD_FRAME_BYTES_PREAUTH_MAX] = {0};
    const char *field = "";
    uint32_t bare = sizeof(struct xd_record_core) + sizeof(struct xd_stock);
    struct xd_record_build build = {.core = {.event_time_us = EVENT_TIME_US,
                                             .channel = (uint32_t)channel->producer_id,
                                             .facility = channel->facility,
                                             .route_key = route_key,
                                             .type = EVENT_TYPE,
                                             .flags = XD_RECORD_SYNTHETIC,
                                             .channel_epoch = channel->channel_epoch,
                                             .present = XD_GROUP_STOCK},
                                    .sku = text_of(name),
                                    .payload = payload,
                                    .payload_bytes = record_bytes - bare};
    if (record_bytes <= bare || record_bytes - bare > sizeof payload)
        return -EINVAL;
    int stride = xd_record_encode(&build, ret_record, record_bytes, &field);
    return stride == (int)record_bytes ? 0 : -EINVAL;
}

int talk_produce_make(const struct talk_channel *channel, const struct talk_place *place,
                      const char *name, uint32_t record_bytes, uint8_t *frame)
{
    struct xd_record record;
    const char *field = "";
    uint8_t *body = frame + RECORD_AT;
    BENCH_ASSERT((uintptr_t)frame % 8 == 0 && place->width > 0);
    int status = encode(channel, name, 0, record_bytes, body);
    if (status < 0 || xd_record_decode(body, record_bytes, &record, &field) < 0)
        return -EINVAL;
    struct xd_route_fields fields = xd_route_fields_of(&record);
    uint32_t route_key = xd_route_key(place->strategy, &fields);
    status = encode(channel, name, route_key, record_bytes, body);
    BENCH_ASSERT(status == 0);
    const struct xd_frame head = {.length =
                                      talk_produce_bytes(record_bytes) - XD_FRAME_HEADER_BYTES,
                                  .op = XD_OP_PRODUCE,
                                  .version = 1};
    const struct xd_produce_head produce = {.batch_count = 1, .durability = XD_DURABILITY_FSYNC};
    const struct xd_batch_header batch = {.partition = place->base +
                                                       xd_route_bucket(route_key, place->width),
                                          .producer_id = channel->producer_id,
                                          .producer_epoch = channel->producer_epoch,
                                          .record_count = 1,
                                          .channel_epoch = channel->channel_epoch,
                                          .first_event_time_us = EVENT_TIME_US,
                                          .last_event_time_us = EVENT_TIME_US,
                                          .raw_bytes = record_bytes};
    xd_frame_encode(&head, frame);
    memcpy(frame + XD_FRAME_HEADER_BYTES, &produce, sizeof produce);
    memcpy(frame + BATCH_AT, &batch, sizeof batch);
    return 0;
}

void talk_produce_number(uint8_t *frame, uint64_t sequence, uint64_t previous)
{
    struct xd_produce_head *produce = (void *)(frame + XD_FRAME_HEADER_BYTES);
    struct xd_batch_header *batch = (void *)(frame + BATCH_AT);
    struct xd_record_core *core = (void *)(frame + RECORD_AT);
    BENCH_ASSERT((uintptr_t)frame % 8 == 0 && sequence > previous && produce->batch_count == 1);
    produce->low = sequence;
    batch->first_sequence = batch->last_sequence = sequence;
    batch->previous_sequence = previous;
    core->source_sequence = sequence;
    memcpy(core->event_id, &sequence, sizeof sequence);
    memcpy(core->event_id + sizeof sequence, &batch->producer_id, sizeof sequence);
    xd_batch_seal(batch, XD_BATCH_HEADER_BYTES + batch->raw_bytes);
}

/* ---- answers --------------------------------------------------------------------------------- */

static int body_of(const uint8_t *payload, uint32_t bytes, const uint8_t **ret_body,
                   size_t *ret_body_bytes)
{
    struct xd_reply_head head;
    struct xd_text detail;
    int status = xd_reply_decode(payload, bytes, &head, &detail, ret_body, ret_body_bytes);
    return status < 0 ? status : head.status;
}

int talk_status_of(const uint8_t *payload, uint32_t bytes)
{
    const uint8_t *body;
    size_t body_bytes;
    return body_of(payload, bytes, &body, &body_bytes);
}

static bool is_name(const char *name, const char *data, uint8_t bytes)
{
    return strlen(name) == bytes && memcmp(name, data, bytes) == 0;
}

int talk_place_of(const uint8_t *payload, uint32_t bytes, const char *topic, const char *facility,
                  struct talk_place *ret_place)
{
    struct xd_catalog_view view;
    const struct xd_catalog_topic *found = NULL;
    const char *field = "";
    const uint8_t *body;
    size_t body_bytes;
    uint32_t number = 0;
    int status = body_of(payload, bytes, &body, &body_bytes);
    if (status >= 0)
        status = xd_catalog_reply_decode(body, body_bytes, &view, &field);
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < view.fixed.topic_count; i++)
        if (is_name(topic, view.topics[i].name, view.topics[i].name_bytes))
            found = &view.topics[i];
    for (uint32_t i = 0; i < view.fixed.facility_count; i++)
        if (is_name(facility, view.facilities[i].name, view.facilities[i].name_bytes))
            number = view.facilities[i].facility;
    for (uint32_t i = 0; found != NULL && i < view.fixed.placement_count; i++) {
        const struct xd_catalog_placement *placement = &view.placements[i];
        if (placement->topic != found->topic || placement->facility != number)
            continue;
        *ret_place = (struct talk_place){placement->partition_base, placement->width,
                                         (enum xd_strategy)found->strategy};
        return 0;
    }
    return -ENOENT;
}

int talk_channel_of(const uint8_t *payload, uint32_t bytes, struct talk_channel *ret_channel)
{
    struct xd_open_view view;
    const char *field = "";
    const uint8_t *body;
    size_t body_bytes;
    int status = body_of(payload, bytes, &body, &body_bytes);
    if (status >= 0)
        status = xd_open_reply_decode(body, body_bytes, &view, &field);
    if (status < 0)
        return status;
    *ret_channel = (struct talk_channel){.producer_id = view.fixed.producer_id,
                                         .producer_epoch = view.fixed.producer_epoch,
                                         .facility = view.fixed.facility,
                                         .last_sequence = view.fixed.last_sequence,
                                         .channel_epoch = view.fixed.channel_epoch};
    return 0;
}
