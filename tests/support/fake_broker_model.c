/* SPDX-License-Identifier: Apache-2.0
 *
 * What the fake broker knows: channels, chains, the log. The rules are those of wire.md's table,
 * written a second time and as plainly as possible.
 */
#include "tests/support/fake_broker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/record.h"
#include "wire/status.h"
#include "wire/xassert.h"

uint32_t fake_partition_base(uint32_t topic, uint32_t facility)
{
    return 12u * topic + FAKE_WIDTH * facility;
}

static struct fake_chain *chain_get(struct fake_broker *broker, uint64_t producer_id,
                                    uint32_t partition)
{
    for (uint32_t i = 0; i < FAKE_CHAINS_MAX; i++) {
        struct fake_chain *chain = &broker->chains[i];
        if (chain->producer_id == 0) {
            chain->producer_id = producer_id;
            chain->partition = partition;
            return chain;
        }
        if (chain->producer_id == producer_id && chain->partition == partition)
            return chain;
    }
    XD_ASSERT(!"more chains than the fake broker keeps");
    return NULL;
}

void fake_model_store(struct fake_broker *broker, const struct xd_batch_header *batch)
{
    XD_ASSERT(broker->batch_count < FAKE_BATCHES_MAX && batch->partition < FAKE_PARTITIONS);
    uint32_t stride = xd_batch_stride(batch);
    struct xd_batch_header *copy = calloc(1, stride);
    XD_ASSERT(copy != NULL);
    memcpy(copy, batch, batch->batch_bytes);
    copy->base_offset = broker->ends[batch->partition];
    copy->append_time_us = broker->wall_us;
    broker->ends[batch->partition] += batch->record_count;
    broker->log[broker->batch_count++] =
        (struct fake_batch){.header = copy, .index = ++broker->log_index};
}

/* The batch in the log that has the same sequences and bytes, or NULL. */
static const struct fake_batch *proof_find(const struct fake_broker *broker,
                                           const struct xd_batch_header *batch)
{
    for (uint32_t i = 0; i < broker->batch_count; i++) {
        const struct xd_batch_header *stored = broker->log[i].header;
        if (stored->producer_id == batch->producer_id && stored->partition == batch->partition &&
            stored->first_sequence == batch->first_sequence &&
            stored->batch_xxh3 == batch->batch_xxh3)
            return &broker->log[i];
    }
    return NULL;
}

/* Every record is whole, of this channel, and in sequence. */
static void check_records(struct fake_broker *broker, const struct xd_batch_header *batch)
{
    const uint8_t *body;
    const char *field = "";
    XD_ASSERT(xd_batch_body(batch, broker->raw, XD_BATCH_RAW_BYTES_MAX, &body) == 0);
    uint64_t last = batch->first_sequence - 1;
    uint32_t at = 0;
    for (uint32_t i = 0; i < batch->record_count; i++) {
        struct xd_record record;
        int stride = xd_record_decode(body + at, batch->raw_bytes - at, &record, &field);
        XD_ASSERT(stride > 0);
        XD_ASSERT(record.core->channel == batch->producer_id);
        XD_ASSERT(record.core->channel_epoch == batch->channel_epoch);
        XD_ASSERT(record.core->source_sequence > last);
        last = record.core->source_sequence;
        at += (uint32_t)stride;
    }
    XD_ASSERT(at == batch->raw_bytes && last == batch->last_sequence);
}

static void judge(struct fake_broker *broker, const struct xd_batch_header *batch,
                  struct xd_ack *ack)
{
    struct fake_channel *channel = &broker->channels[batch->producer_id - 1];
    struct fake_chain *chain = chain_get(broker, batch->producer_id, batch->partition);
    if (!channel->held || batch->producer_epoch != channel->producer_epoch) {
        ack->status =
            batch->producer_epoch < channel->producer_epoch ? XD_FENCED : XD_PRODUCER_UNKNOWN;
        return;
    }
    uint64_t last = chain->channel_epoch == batch->channel_epoch ? chain->last : 0;
    ack->resume_sequence = last;
    if (broker->refuse_count > 0 && broker->refuse_skip-- == 0) {
        broker->refuse_skip = 0;
        broker->refuse_count--;
        ack->status = broker->refuse_status;
        ack->retry_after_ms = broker->refuse_retry_ms;
        if (broker->refuse_resume != FAKE_NEVER)
            ack->resume_sequence = broker->refuse_resume;
        return;
    }
    if (batch->previous_sequence == last) {
        ack->base_offset = broker->ends[batch->partition];
        fake_model_store(broker, batch);
        ack->log_index = broker->log_index;
        chain->channel_epoch = batch->channel_epoch;
        chain->last = batch->last_sequence;
        chain->last_offset = broker->ends[batch->partition] - 1;
        if (batch->last_sequence > channel->last_sequence)
            channel->last_sequence = batch->last_sequence;
        return;
    }
    if (batch->last_sequence <= last) {
        const struct fake_batch *proof = proof_find(broker, batch);
        ack->status = proof != NULL ? XD_DUPLICATE : XD_SEQUENCE_REUSED;
        ack->base_offset = proof != NULL ? proof->header->base_offset : 0;
        ack->log_index = proof != NULL ? proof->index : 0;
        return;
    }
    ack->status = batch->first_sequence <= last ? XD_OVERLAP : XD_OUT_OF_SEQUENCE;
}

void fake_model_batch(struct fake_broker *broker, const struct xd_batch_header *batch,
                      struct xd_ack *ret_ack)
{
    const char *field = "";
    XD_ASSERT(xd_batch_check_header(batch, batch->batch_bytes, &field) == 0);
    XD_ASSERT(xd_batch_check_hash(batch) == 0);
    XD_ASSERT(batch->producer_id >= 1 && batch->producer_id <= FAKE_CHANNELS_MAX);
    check_records(broker, batch);
    *ret_ack = (struct xd_ack){.producer_id = batch->producer_id,
                               .partition = batch->partition,
                               .first_sequence = batch->first_sequence,
                               .last_sequence = batch->last_sequence,
                               .record_count = batch->record_count};
    judge(broker, batch, ret_ack);
    broker->refusals += ret_ack->status < 0 ? 1 : 0;
    broker->duplicates += ret_ack->status == XD_DUPLICATE ? 1 : 0;
}

/* ---- channels -------------------------------------------------------------------------------- */

static struct fake_channel *channel_get(struct fake_broker *broker, const char *name)
{
    for (uint32_t i = 0; i < FAKE_CHANNELS_MAX; i++) {
        struct fake_channel *channel = &broker->channels[i];
        if (channel->name[0] == '\0' || strcmp(channel->name, name) == 0)
            return channel;
    }
    XD_ASSERT(!"more channels than the fake broker keeps");
    return NULL;
}

static int open_channel(struct fake_channel *channel, const struct xd_open *open)
{
    bool fresh = channel->name[0] == '\0';
    if (open->producer_epoch != 0) {
        if (fresh)
            return XD_ACKED_MISSING;
        if (open->producer_epoch != channel->producer_epoch)
            return XD_FENCED;
        return open->acked_sequence > channel->last_sequence ? XD_ACKED_MISSING : 0;
    }
    uint16_t epoch = fresh ? 1 : channel->channel_epoch;
    bool next = !fresh && open->channel_epoch == epoch + 1u;
    if (open->channel_epoch != 0 && open->channel_epoch != epoch && !next)
        return XD_FIELD_INVALID;
    if (!next && !(open->flags & XD_OPEN_NO_MEMORY)) {
        if (open->acked_sequence > channel->last_sequence)
            return XD_ACKED_MISSING;
        if (channel->last_sequence > open->assigned_sequence)
            return XD_SEQUENCE_REGRESSED;
    }
    channel->producer_epoch++;
    channel->channel_epoch = (uint16_t)(next ? epoch + 1u : epoch);
    channel->last_sequence = next ? 0 : channel->last_sequence;
    return 0;
}

int fake_model_open(struct fake_broker *broker, const struct xd_open_request *request,
                    struct xd_open_reply *ret_reply, struct xd_open_chain *ret_chains)
{
    char name[140];
    snprintf(name, sizeof(name), "%.*s/%.*s", (int)request->source.bytes, request->source.data,
             (int)request->channel.bytes,
             request->channel.data != NULL ? request->channel.data : "");
    uint32_t facility = 0;
    if (request->facility.bytes == 4 && memcmp(request->facility.data, "DC07", 4) == 0)
        facility = 1;
    else if (request->facility.bytes == 4 && memcmp(request->facility.data, "DC08", 4) == 0)
        facility = 2;
    else if (request->facility.bytes > 0)
        return XD_FACILITY_UNKNOWN;
    struct fake_channel *channel = channel_get(broker, name);
    int status = open_channel(channel, &request->fixed);
    if (status < 0)
        return status;
    memcpy(channel->name, name, sizeof(name));
    channel->facility = facility;
    channel->held = true;
    uint64_t number = (uint64_t)(channel - broker->channels) + 1;
    uint32_t count = 0;
    for (uint32_t partition = 0; partition < FAKE_PARTITIONS; partition++) {
        for (uint32_t i = 0; i < FAKE_CHAINS_MAX && count < broker->open_chains_max; i++) {
            const struct fake_chain *chain = &broker->chains[i];
            if (chain->producer_id != number || chain->partition != partition || chain->last == 0 ||
                chain->channel_epoch != channel->channel_epoch)
                continue;
            ret_chains[count++] = (struct xd_open_chain){.partition = partition,
                                                         .last_sequence = chain->last,
                                                         .last_offset = chain->last_offset};
        }
    }
    *ret_reply = (struct xd_open_reply){.producer_id = number,
                                        .producer_epoch = channel->producer_epoch,
                                        .channel_epoch = channel->channel_epoch,
                                        .facility = facility,
                                        .chain_count = count,
                                        .last_sequence = channel->last_sequence};
    return 0;
}

void fake_broker_steal(struct fake_broker *broker, const char *name)
{
    struct fake_channel *channel = channel_get(broker, name);
    XD_ASSERT(channel->name[0] != '\0');
    channel->producer_epoch++;
    channel->held = false;
}

/* ---- log ------------------------------------------------------------------------------------- */

uint32_t fake_model_read(struct fake_broker *broker, uint32_t partition, uint64_t offset,
                         uint32_t bytes_max, uint8_t *out, uint64_t *ret_next)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < broker->batch_count; i++) {
        const struct xd_batch_header *batch = broker->log[i].header;
        if (batch->partition != partition || batch->base_offset + batch->record_count <= offset)
            continue;
        uint32_t stride = xd_batch_stride(batch);
        if (bytes > 0 && bytes + stride > bytes_max)
            break;
        memcpy(out + bytes, batch, stride);
        if (broker->damage_reads)
            out[bytes + XD_BATCH_HEADER_BYTES] ^= 1;
        broker->damage_reads = false;
        bytes += stride;
        *ret_next = batch->base_offset + batch->record_count;
    }
    return bytes;
}

void fake_broker_append(struct fake_broker *broker, uint32_t partition, const char *sku,
                        uint64_t sequence)
{
    _Alignas(8) uint8_t memory[XD_BATCH_HEADER_BYTES + 512] = {0};
    struct xd_batch_header *batch = (struct xd_batch_header *)(void *)memory;
    struct xd_record_build build = {.core = {.type = 0x0301,
                                             .present = XD_GROUP_STOCK,
                                             .channel = 99,
                                             .channel_epoch = 1,
                                             .source_sequence = sequence,
                                             .event_time_us = broker->wall_us},
                                    .sku = {sku, (uint32_t)strlen(sku)}};
    const char *field = "";
    int bytes = xd_record_encode(&build, memory + XD_BATCH_HEADER_BYTES, 512, &field);
    XD_ASSERT(bytes > 0);
    batch->partition = partition;
    batch->producer_id = 99;
    batch->producer_epoch = 1;
    batch->channel_epoch = 1;
    batch->record_count = 1;
    batch->first_sequence = batch->last_sequence = sequence;
    batch->previous_sequence = sequence - 1;
    batch->raw_bytes = (uint32_t)bytes;
    xd_batch_seal(batch, XD_BATCH_HEADER_BYTES + (uint32_t)bytes);
    fake_model_store(broker, batch);
}

uint32_t fake_broker_sequences(const struct fake_broker *broker, uint64_t producer_id,
                               uint32_t partition, uint64_t *ret_sequences, uint32_t max)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < broker->batch_count; i++) {
        const struct xd_batch_header *batch = broker->log[i].header;
        if (batch->producer_id != producer_id || batch->partition != partition)
            continue;
        const uint8_t *body;
        XD_ASSERT(xd_batch_body(batch, broker->raw, XD_BATCH_RAW_BYTES_MAX, &body) == 0);
        for (uint32_t r = 0, at = 0; r < batch->record_count && count < max; r++) {
            struct xd_record record;
            const char *field = "";
            int stride = xd_record_decode(body + at, batch->raw_bytes - at, &record, &field);
            XD_ASSERT(stride > 0);
            ret_sequences[count++] = record.core->source_sequence;
            at += (uint32_t)stride;
        }
    }
    return count;
}

uint64_t fake_broker_records(const struct fake_broker *broker)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < FAKE_PARTITIONS; i++)
        count += broker->ends[i];
    return count;
}
