/* SPDX-License-Identifier: Apache-2.0
 *
 * The log against what was sent. Run when every batch has its outcome: each acknowledged batch is
 * there once at its offset, each batch there was sent, offsets are dense, chains hold, and what was
 * served before is unchanged.
 */
#include "tests/sim/sim_run.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

#define CHECK_TURNS 200000u

/* Sends a request and turns until its reply is there. False after a failure. */
static bool await(struct run *run, struct wire_client *wire, uint64_t correlation,
                  struct xd_reply_head *ret_head, const uint8_t **ret_body, size_t *ret_bytes)
{
    for (uint32_t i = 0; i < CHECK_TURNS; i++) {
        struct wire_frame frame;
        struct xd_text detail;
        wire_client_pump(wire);
        while (wire_client_next(wire, &frame)) {
            if (frame.head.op == XD_OP_GOAWAY || frame.head.correlation != correlation)
                continue;
            if (xd_reply_decode(frame.payload, frame.head.length, ret_head, &detail, ret_body,
                                ret_bytes) == 0 &&
                ret_head->status >= 0)
                return true;
            RUN_FAIL(run, "check: op %u: %s", frame.head.op, xd_status_name(ret_head->status));
            return false;
        }
        int status = sim_broker_turn(&run->broker, 1000000);
        if (status < 0) {
            RUN_FAIL(run, "check: turn: %s", xd_status_name(status));
            return false;
        }
    }
    RUN_FAIL(run, "check: no reply");
    return false;
}

/* Finds the batch among what was sent, and that it may be there. */
static struct sent *find_sent(struct run *run, const struct xd_batch_header *batch,
                              uint32_t generation)
{
    for (uint32_t s = 0; s < RUN_SOURCES; s++) {
        struct source *source = &run->sources[s];
        if (source->producer_id != batch->producer_id)
            continue;
        for (uint32_t l = 0; l < RUN_LANES; l++) {
            struct lane *lane = &source->lanes[l];
            for (uint32_t i = 0; lane->partition == batch->partition && i < lane->sent_count; i++) {
                struct sent *sent = &lane->sent[i];
                if (sent->first == batch->first_sequence && sent->last == batch->last_sequence &&
                    sent->generation == generation && sent->channel_epoch == batch->channel_epoch &&
                    sent->previous == batch->previous_sequence)
                    return sent;
            }
        }
    }
    return NULL;
}

/* Every record of the batch is the one that was made for its sequence. */
static bool records_ok(const struct xd_batch_header *batch, uint32_t *ret_generation)
{
    static uint8_t scratch[XD_BATCH_RAW_BYTES_MAX];
    const uint8_t *body;
    const char *field = "";
    uint64_t sequence = batch->first_sequence;
    if (xd_batch_body(batch, scratch, sizeof scratch, &body) < 0)
        return false;
    for (uint32_t at = 0; at < batch->raw_bytes; sequence++) {
        struct xd_record record;
        int stride = xd_record_decode(body + at, batch->raw_bytes - at, &record, &field);
        if (stride < 0 || record.core->source_sequence != sequence ||
            !source_payload_ok(sequence, record.payload, record.payload_bytes, ret_generation))
            return false;
        at += (uint32_t)stride;
    }
    return sequence == batch->last_sequence + 1;
}

static void check_batch(struct run *run, const struct xd_batch_header *batch, uint64_t offset)
{
    const struct seen *seen = &run->reader.seen[batch->partition];
    uint32_t generation = 0;
    if (batch->base_offset != offset)
        return RUN_FAIL(run, "partition %u: offset %llu where %llu is due", batch->partition,
                        (unsigned long long)batch->base_offset, (unsigned long long)offset);
    if (offset < seen->max && seen->hash[offset] != 0 && seen->hash[offset] != batch->batch_xxh3)
        return RUN_FAIL(run, "partition %u offset %llu is not what was served before",
                        batch->partition, (unsigned long long)offset);
    for (uint64_t i = offset + 1; i < offset + batch->record_count && i < seen->max; i++)
        if (seen->hash[i] != 0)
            return RUN_FAIL(run, "partition %u offset %llu began a batch when it was served",
                            batch->partition, (unsigned long long)i);
    if (!records_ok(batch, &generation))
        return RUN_FAIL(run, "partition %u offset %llu: records that nobody made", batch->partition,
                        (unsigned long long)offset);
    struct sent *sent = find_sent(run, batch, generation);
    if (sent == NULL)
        return RUN_FAIL(run, "partition %u offset %llu: a batch that nobody sent", batch->partition,
                        (unsigned long long)offset);
    if (sent->found)
        return RUN_FAIL(run, "partition %u: %llu..%llu is there twice", batch->partition,
                        (unsigned long long)sent->first, (unsigned long long)sent->last);
    if (sent->state == SENT_NEVER || (sent->state == SENT_ACKED && sent->offset != offset))
        return RUN_FAIL(run, "partition %u: %llu..%llu at %llu, state %u offset %llu",
                        batch->partition, (unsigned long long)sent->first,
                        (unsigned long long)sent->last, (unsigned long long)offset, sent->state,
                        (unsigned long long)sent->offset);
    sent->found = true;
}

/* Chains: per channel epoch the previous sequence is the last one of the lane. */
struct chain_ends {
    uint16_t epoch[RUN_SOURCES + 1];
    uint64_t last[RUN_SOURCES + 1];
};

static void check_chain(struct run *run, const struct xd_batch_header *batch,
                        struct chain_ends *ends)
{
    uint64_t channel = batch->producer_id;
    if (channel > RUN_SOURCES)
        return RUN_FAIL(run, "a batch of channel %llu", (unsigned long long)channel);
    if (batch->channel_epoch < ends->epoch[channel])
        return RUN_FAIL(run, "a channel epoch falls in partition %u", batch->partition);
    if (batch->channel_epoch > ends->epoch[channel])
        ends->last[channel] = 0;
    if (batch->previous_sequence != ends->last[channel] ||
        batch->first_sequence <= ends->last[channel])
        return RUN_FAIL(run, "partition %u: %llu..%llu follows %llu", batch->partition,
                        (unsigned long long)batch->first_sequence,
                        (unsigned long long)batch->last_sequence,
                        (unsigned long long)ends->last[channel]);
    ends->epoch[channel] = batch->channel_epoch;
    ends->last[channel] = batch->last_sequence;
}

static void check_partition(struct run *run, struct wire_client *wire, uint32_t partition)
{
    struct xd_reply_head head;
    struct xd_read_reply reply;
    struct chain_ends ends = {0};
    const uint8_t *body, *batches;
    const char *field = "";
    size_t body_bytes;
    uint64_t offset = 0;
    for (;;) {
        uint64_t correlation =
            wire_client_read(wire, partition, XD_SEEK_OFFSET, offset, 1u << 20, 0);
        if (!await(run, wire, correlation, &head, &body, &body_bytes))
            return;
        if (xd_read_reply_decode(body, body_bytes, &reply, &batches, &field) < 0)
            return RUN_FAIL(run, "check: READ: %s", field);
        if (head.status == XD_END)
            break;
        for (uint32_t at = 0; at < reply.batches_bytes && !run_failed(run);) {
            const struct xd_batch_header *batch = (const void *)(batches + at);
            check_batch(run, batch, offset);
            check_chain(run, batch, &ends);
            offset += batch->record_count;
            at += xd_batch_stride(batch);
        }
        if (run_failed(run))
            return;
    }
    const struct seen *seen = &run->reader.seen[partition];
    for (uint64_t i = offset; i < seen->max; i++)
        if (seen->hash[i] != 0)
            RUN_FAIL(run, "partition %u: offset %llu was served and is gone", partition,
                     (unsigned long long)i);
}

static void check_all_found(struct run *run)
{
    for (uint32_t s = 0; s < RUN_SOURCES; s++) {
        for (uint32_t l = 0; l < RUN_LANES; l++) {
            const struct lane *lane = &run->sources[s].lanes[l];
            for (uint32_t i = 0; i < lane->sent_count; i++) {
                const struct sent *sent = &lane->sent[i];
                bool due = sent->state == SENT_ACKED || sent->state == SENT_KNOWN;
                if (due && !sent->found)
                    RUN_FAIL(run, "partition %u: %llu..%llu was acknowledged and is missing",
                             lane->partition, (unsigned long long)sent->first,
                             (unsigned long long)sent->last);
            }
        }
    }
}

/* Topics whose creation was acknowledged are there. Returns the count of partitions. */
static uint32_t check_catalog(struct run *run, struct wire_client *wire)
{
    struct xd_reply_head head;
    struct xd_catalog_view view;
    const uint8_t *body;
    const char *field = "";
    size_t body_bytes;
    uint32_t partitions = 0;
    uint64_t correlation = wire_client_send(wire, XD_OP_CATALOG, NULL, 0);
    if (!await(run, wire, correlation, &head, &body, &body_bytes))
        return 0;
    if (xd_catalog_reply_decode(body, body_bytes, &view, &field) < 0) {
        RUN_FAIL(run, "check: CATALOG: %s", field);
        return 0;
    }
    for (uint32_t n = 0; n < RUN_TOPICS; n++) {
        char name[32];
        bool found = false;
        snprintf(name, sizeof name, "topic-%u", n);
        for (uint32_t i = 0; i < view.fixed.topic_count; i++)
            found |= view.topics[i].name_bytes == strlen(name) &&
                     memcmp(view.topics[i].name, name, strlen(name)) == 0;
        if (run->reader.topics[n] && !found)
            RUN_FAIL(run, "%s was created and is missing", name);
    }
    for (uint32_t i = 0; i < view.fixed.placement_count; i++)
        partitions += view.placements[i].width;
    return partitions;
}

void run_check_log(struct run *run)
{
    struct wire_client wire;
    struct xd_reply_head head;
    const uint8_t *body;
    size_t body_bytes;
    wire_client_init(&wire, run->broker.sim);
    if (wire_client_connect(&wire, run->broker.address) < 0) {
        RUN_FAIL(run, "check: nobody listens");
    } else if (await(run, &wire, wire_client_hello(&wire), &head, &body, &body_bytes)) {
        uint32_t partitions = check_catalog(run, &wire);
        for (uint32_t i = 0; i < partitions && !run_failed(run); i++)
            check_partition(run, &wire, i);
        if (!run_failed(run))
            check_all_found(run);
    }
    wire_client_deinit(&wire);
}
