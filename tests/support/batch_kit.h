/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches as a client makes them: real records, routed, chained and checksummed. Used by tests that
 * need the whole of a batch. Must not check anything: tests also build wrong batches with it.
 *
 *     batch_begin(&build, &target, previous);
 *     batch_add(&build, sequence, sku, payload, payload_bytes);   once or more
 *     bytes = batch_end(&build);                                  build.header is the batch
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_BATCH_KIT_H
#define CROSSDOCK_TESTS_SUPPORT_BATCH_KIT_H

#include "wire/batch.h"
#include "wire/compress.h"
#include "wire/record.h"
#include "wire/route.h"
#include "wire/xassert.h"

#include <stdint.h>
#include <string.h>

#define BATCH_KIT_BYTES (64u * 1024u)

/* Who sends, and where to. */
struct batch_target {
    uint64_t producer_id;    /* channel number */
    uint32_t producer_epoch; /* */
    uint16_t channel_epoch;  /* */
    uint32_t facility;       /* registry number */
    uint32_t partition;      /* */
    enum xd_strategy strategy;
};

/* A batch being built. The header comes first, so its address is that of the batch. */
struct batch_build {
    union {
        struct xd_batch_header header;
        _Alignas(8) uint8_t bytes[BATCH_KIT_BYTES];
    };
    struct batch_target target; /* */
    uint32_t used;              /* bytes so far */
};

static inline void batch_begin(struct batch_build *build, const struct batch_target *target,
                               uint64_t previous)
{
    memset(&build->header, 0, sizeof build->header);
    build->header.partition = target->partition;
    build->header.producer_id = target->producer_id;
    build->header.producer_epoch = target->producer_epoch;
    build->header.channel_epoch = target->channel_epoch;
    build->header.previous_sequence = previous;
    build->target = *target;
    build->used = XD_BATCH_HEADER_BYTES;
}

/* The route key of a record that has nothing but this SKU. */
static inline uint32_t batch_route_key(enum xd_strategy strategy, const char *sku)
{
    struct xd_record_build build = {.core = {.present = XD_GROUP_STOCK},
                                    .sku = {sku, (uint32_t)strlen(sku)}};
    _Alignas(8) uint8_t memory[512];
    struct xd_record record;
    const char *field = "";
    int stride = xd_record_encode(&build, memory, sizeof memory, &field);
    XD_ASSERT(stride > 0);
    XD_ASSERT(xd_record_decode(memory, (size_t)stride, &record, &field) == stride);
    struct xd_route_fields fields = xd_route_fields_of(&record);
    return xd_route_key(strategy, &fields);
}

static inline void batch_add(struct batch_build *build, uint64_t sequence, const char *sku,
                             const void *payload, uint32_t payload_bytes)
{
    struct xd_record_build record = {
        .core = {.source_sequence = sequence,
                 .event_time_us = 1700000000000000 + (int64_t)sequence,
                 .channel = (uint32_t)build->target.producer_id,
                 .facility = build->target.facility,
                 .route_key = batch_route_key(build->target.strategy, sku),
                 .type = 0x0107,
                 .channel_epoch = build->target.channel_epoch,
                 .present = XD_GROUP_STOCK},
        .sku = {sku, (uint32_t)strlen(sku)},
        .payload = payload_bytes ? payload : NULL,
        .payload_bytes = payload_bytes};
    memcpy(record.core.event_id, &sequence, sizeof sequence);
    const char *field = "";
    int stride = xd_record_encode(&record, build->bytes + build->used,
                                  sizeof build->bytes - build->used, &field);
    XD_ASSERT(stride > 0);
    build->used += (uint32_t)stride;
    struct xd_batch_header *header = &build->header;
    if (header->record_count++ == 0) {
        header->first_sequence = sequence;
        header->first_event_time_us = record.core.event_time_us;
    }
    header->last_sequence = sequence;
    header->last_event_time_us = record.core.event_time_us;
}

/* Completes the batch. Returns its bytes, without the padding that a frame adds. */
static inline uint32_t batch_end(struct batch_build *build)
{
    build->header.raw_bytes = build->used - XD_BATCH_HEADER_BYTES;
    xd_batch_seal(&build->header, build->used);
    return build->used;
}

/* The same with LZ4. The records must compress. */
static inline uint32_t batch_end_compressed(struct batch_build *build)
{
    static uint8_t packed[BATCH_KIT_BYTES];
    uint32_t raw = build->used - XD_BATCH_HEADER_BYTES;
    int packed_bytes = (int)xd_compress(build->bytes + XD_BATCH_HEADER_BYTES, raw, packed, raw);
    XD_ASSERT(packed_bytes > 0);
    memcpy(build->bytes + XD_BATCH_HEADER_BYTES, packed, (size_t)packed_bytes);
    build->used = XD_BATCH_HEADER_BYTES + (uint32_t)packed_bytes;
    build->header.codec = XD_CODEC_LZ4;
    build->header.raw_bytes = raw;
    xd_batch_seal(&build->header, build->used);
    return build->used;
}

#endif
