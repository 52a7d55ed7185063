/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of batches, and what the history knows a record by.
 *
 * A record's id is the memory of the source that made it (its generation, at the head of the
 * payload) and its sequence. Its content is a hash of all its bytes and of what the header of its
 * batch says that no resend may change, so that any change to either comes up in the history.
 */
#include "tests/sim/sim_run.h"

#include "wire/checksum.h"
#include "wire/xassert.h"

#include <string.h>

#define PAYLOAD_BYTES_MAX 8192u

/* Payload: generation, sequence, then words that follow from the sequence and compress. Up to seven
 * bytes behind it are written too. */
static uint32_t payload_of(uint64_t sequence, uint32_t generation, uint8_t *ret)
{
    uint64_t mixed = prng_mix(sequence);
    bool large = (generation & RUN_GENERATION_LARGE) != 0 || mixed % 64 == 0;
    uint32_t bytes = 12 + (uint32_t)(mixed % (large ? 7000 : 60));
    memcpy(ret, &generation, 4);
    memcpy(ret + 4, &sequence, 8);
    for (uint32_t i = 12; i < bytes; i += 8)
        memcpy(ret + i, &mixed, 8);
    return bytes;
}

static uint64_t id_of(uint32_t generation, uint64_t sequence)
{
    return (uint64_t)generation << 32 | (sequence & UINT32_MAX);
}

/* What every copy of a batch says in its header. */
static uint64_t header_hash(const struct xd_batch_header *header)
{
    uint64_t hash = prng_mix(header->producer_id << 16 | header->channel_epoch);
    hash = prng_mix(hash ^ header->previous_sequence);
    hash = prng_mix(hash ^ header->first_sequence);
    return prng_mix(hash ^ header->last_sequence);
}

static uint32_t content_of(uint64_t header, const uint8_t *record, size_t bytes)
{
    return (uint32_t)prng_mix(header ^ xd_xxh3(record, bytes));
}

void batch_make(const struct source *source, const struct lane *lane, const struct sent *sent,
                struct batch_build *ret_build, struct history_record *ret_records)
{
    static uint8_t payload[PAYLOAD_BYTES_MAX]; /* not cleared for each record */
    uint32_t starts[RUN_BATCH_RECORDS + 1], count = 0;
    struct batch_target target = {.producer_id = source->producer_id,
                                  .producer_epoch = sent->epoch,
                                  .channel_epoch = sent->channel_epoch,
                                  .facility = source->facility_number,
                                  .partition = lane->partition,
                                  .strategy = XD_STRATEGY_SKU};
    XD_ASSERT(sent->last - sent->first < RUN_BATCH_RECORDS);
    batch_begin(ret_build, &target, sent->previous);
    for (uint64_t sequence = sent->first; sequence <= sent->last; sequence++) {
        uint32_t bytes = payload_of(sequence, sent->generation, payload);
        starts[count++] = ret_build->used;
        batch_add(ret_build, sequence, lane->skus[sequence % RUN_SKUS], payload, bytes);
    }
    starts[count] = ret_build->used;
    for (uint32_t i = 0; ret_records != NULL && i < count; i++) {
        const uint8_t *bytes = ret_build->bytes + starts[i];
        const struct xd_record_core *core = (const void *)bytes;
        ret_records[i] =
            (struct history_record){.id = id_of(sent->generation, sent->first + i),
                                    .sequence = sent->first + i,
                                    .key = core->route_key,
                                    .content = content_of(header_hash(&ret_build->header), bytes,
                                                          starts[i + 1] - starts[i])};
    }
    if (sent->first % 5 == 0)
        batch_end_compressed(ret_build);
    else
        batch_end(ret_build);
}

void batch_read(struct run *run, const struct xd_batch_header *batch)
{
    static _Alignas(8) uint8_t scratch[XD_BATCH_RAW_BYTES_MAX];
    const uint8_t *body;
    const char *field = "";
    uint64_t header = header_hash(batch), offset = batch->base_offset;
    if (xd_batch_body(batch, scratch, sizeof scratch, &body) < 0)
        return RUN_FAIL(run, "a batch that was served does not decode");
    for (uint32_t at = 0; at < batch->raw_bytes; offset++) {
        struct xd_record record;
        uint32_t generation = 0;
        int stride = xd_record_decode(body + at, batch->raw_bytes - at, &record, &field);
        if (stride < 0)
            return RUN_FAIL(run, "a record that was served does not decode: %s", field);
        if (record.payload_bytes >= sizeof generation)
            memcpy(&generation, record.payload, sizeof generation);
        const struct history_entry entry = {.id = id_of(generation, record.core->source_sequence),
                                            .sequence = record.core->source_sequence,
                                            .append_time_us = batch->append_time_us,
                                            .key = record.core->route_key,
                                            .content =
                                                content_of(header, body + at, (size_t)stride)};
        (void)history_read_record(&run->history, offset, &entry); /* note_judge tells */
        at += (uint32_t)stride;
    }
    if (offset != batch->base_offset + batch->record_count)
        RUN_FAIL(run, "a batch that was served has another count of records than it says");
}
