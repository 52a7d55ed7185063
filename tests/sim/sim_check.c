/* SPDX-License-Identifier: Apache-2.0
 *
 * The log against what was sent. Run when every batch has its outcome: each acknowledged batch is
 * there once at its offset, each batch there was sent, offsets are dense, append times do not fall,
 * chains hold, and what was served before is unchanged.
 *
 * What may be missing: offsets below the first one kept, when there is retention; they are refused
 * as gone, with the oldest one named. Ranges that are refused as quarantined, when something was
 * damaged and the broker has said so; they are kept in run->gaps.
 */
#include "tests/sim/sim_run.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

#define CHECK_TURNS 200000u

/* Refusals that are no failure, a set. */
enum allowed { ALLOW_NONE = 0, ALLOW_GONE = 1, ALLOW_QUARANTINED = 2 };

static bool is_allowed(int status, uint32_t allowed)
{
    return status >= 0 || (status == XD_OFFSET_GONE && (allowed & ALLOW_GONE) != 0) ||
           (status == XD_RANGE_QUARANTINED && (allowed & ALLOW_QUARANTINED) != 0);
}

/* Sends a request and turns until its reply is there. False after a failure, which every refusal is
 * that is not allowed. */
static bool await(struct run *run, struct wire_client *wire, uint64_t correlation, uint32_t allowed,
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
                                ret_bytes) < 0)
                RUN_FAIL(run, "check: op %u: the reply does not decode", frame.head.op);
            else if (!is_allowed(ret_head->status, allowed))
                RUN_FAIL(run, "check: op %u: %s: %.*s", frame.head.op,
                         xd_status_name(ret_head->status), (int)detail.bytes, detail.data);
            return !run_failed(run);
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
    bool unknown[RUN_SOURCES + 1]; /* what came before was not read */
    int64_t append_time_us;        /* of the batch before */
};

static void check_chain(struct run *run, const struct xd_batch_header *batch,
                        struct chain_ends *ends)
{
    uint64_t channel = batch->producer_id;
    if (channel > RUN_SOURCES)
        return RUN_FAIL(run, "a batch of channel %llu", (unsigned long long)channel);
    if (batch->append_time_us < ends->append_time_us)
        return RUN_FAIL(run, "an append time falls in partition %u", batch->partition);
    if (batch->channel_epoch < ends->epoch[channel])
        return RUN_FAIL(run, "a channel epoch falls in partition %u", batch->partition);
    if (batch->channel_epoch > ends->epoch[channel] && !ends->unknown[channel])
        ends->last[channel] = 0;
    bool skipped = ends->unknown[channel] && (batch->channel_epoch > ends->epoch[channel] ||
                                              batch->previous_sequence >= ends->last[channel]);
    if ((batch->previous_sequence != ends->last[channel] && !skipped) ||
        batch->first_sequence <= batch->previous_sequence)
        return RUN_FAIL(run, "partition %u: %llu..%llu follows %llu", batch->partition,
                        (unsigned long long)batch->first_sequence,
                        (unsigned long long)batch->last_sequence,
                        (unsigned long long)ends->last[channel]);
    ends->append_time_us = batch->append_time_us;
    ends->unknown[channel] = false;
    ends->epoch[channel] = batch->channel_epoch;
    ends->last[channel] = batch->last_sequence;
}

static void ends_forget(struct chain_ends *ends)
{
    for (uint32_t i = 0; i <= RUN_SOURCES; i++)
        ends->unknown[i] = true;
}

/* One READ in the check. *ret_batches is valid until the next one. False after a failure. */
static bool read_at(struct run *run, struct wire_client *wire, uint32_t partition,
                    enum xd_seek seek, uint64_t offset, uint32_t allowed, int *ret_status,
                    struct xd_read_reply *ret_reply, const uint8_t **ret_batches)
{
    struct xd_reply_head head;
    const uint8_t *body;
    const char *field = "";
    size_t body_bytes;
    uint64_t correlation = wire_client_read(wire, partition, seek, offset, 1u << 20, 0);
    if (!await(run, wire, correlation, allowed, &head, &body, &body_bytes))
        return false;
    *ret_status = head.status;
    if (head.status == XD_RANGE_QUARANTINED)
        return true;
    if (xd_read_reply_decode(body, body_bytes, ret_reply, ret_batches, &field) < 0)
        RUN_FAIL(run, "check: READ: %s", field);
    return !run_failed(run);
}

/* The first offset kept: 0 without retention; else what is below is gone, and said to be. */
static uint64_t check_floor(struct run *run, struct wire_client *wire, uint32_t partition,
                            uint32_t allowed)
{
    struct xd_read_reply reply = {0};
    const uint8_t *batches;
    int status;
    if ((allowed & ALLOW_GONE) == 0 ||
        !read_at(run, wire, partition, XD_SEEK_OFFSET, 0, allowed, &status, &reply, &batches))
        return 0;
    uint64_t floor = reply.first_offset;
    if (status != XD_RANGE_QUARANTINED && (status == XD_OFFSET_GONE) != (floor > 0))
        RUN_FAIL(run, "partition %u: %s where %llu is the first offset", partition,
                 xd_status_name(status), (unsigned long long)floor);
    if (status != XD_OFFSET_GONE || run_failed(run))
        return 0;
    run_count(run, TOTAL_GONE, 1);
    if (read_at(run, wire, partition, XD_SEEK_OFFSET, floor - 1, allowed, &status, &reply,
                &batches) &&
        (status != XD_OFFSET_GONE || reply.first_offset < floor))
        RUN_FAIL(run, "partition %u: offset %llu is not gone", partition,
                 (unsigned long long)floor - 1);
    if (!run_failed(run) &&
        read_at(run, wire, partition, XD_SEEK_BEGIN, 0, allowed, &status, &reply, &batches) &&
        status >= 0 && reply.start_offset != reply.first_offset)
        RUN_FAIL(run, "partition %u begins at %llu, not at %llu", partition,
                 (unsigned long long)reply.start_offset, (unsigned long long)reply.first_offset);
    return floor;
}

/* The offset is refused as quarantined: the range it is in grows by it. */
static void gap_take(struct run *run, uint32_t partition, uint64_t offset)
{
    struct gap *gap = run->gap_count > 0 ? &run->gaps[run->gap_count - 1] : NULL;
    if (run->broker.corrupt == 0)
        RUN_FAIL(run, "partition %u offset %llu is quarantined and nothing was reported", partition,
                 (unsigned long long)offset);
    if (gap != NULL && gap->partition == partition && gap->to == offset) {
        gap->to++;
        return;
    }
    run_count(run, TOTAL_QUARANTINED, 1);
    XD_ASSERT(run->gap_count < RUN_GAPS);
    run->gaps[run->gap_count++] =
        (struct gap){.from = offset, .to = offset + 1, .partition = partition};
}

/* Returns the first offset kept. */
static uint64_t check_partition(struct run *run, struct wire_client *wire, uint32_t partition,
                                uint32_t allowed)
{
    struct xd_read_reply reply;
    struct chain_ends ends = {0};
    const uint8_t *batches;
    int status;
    uint64_t floor = check_floor(run, wire, partition, allowed);
    uint64_t offset = floor;
    if (floor > 0)
        ends_forget(&ends);
    while (!run_failed(run) && read_at(run, wire, partition, XD_SEEK_OFFSET, offset, allowed,
                                       &status, &reply, &batches)) {
        if (status == XD_END)
            break;
        if (status == XD_OFFSET_GONE) { /* meanwhile */
            XD_ASSERT(reply.first_offset > offset);
            floor = offset = reply.first_offset;
            ends_forget(&ends);
            continue;
        }
        if (status == XD_RANGE_QUARANTINED) {
            gap_take(run, partition, offset++);
            ends_forget(&ends);
            continue;
        }
        for (uint32_t at = 0; at < reply.batches_bytes && !run_failed(run);) {
            const struct xd_batch_header *batch = (const void *)(batches + at);
            check_batch(run, batch, offset);
            check_chain(run, batch, &ends);
            offset += batch->record_count;
            at += xd_batch_stride(batch);
        }
    }
    const struct seen *seen = &run->reader.seen[partition];
    for (uint64_t i = offset; i < seen->max && !run_failed(run); i++)
        if (seen->hash[i] != 0)
            RUN_FAIL(run, "partition %u: offset %llu was served and is gone", partition,
                     (unsigned long long)i);
    return floor;
}

/* Whether an acknowledged batch that was not found may be missing. `found_before`: an older one of
 * its lane is there. */
static bool may_miss(const struct run *run, const struct lane *lane, const struct sent *sent,
                     uint64_t floor, bool found_before)
{
    const struct log_options *options = &run->broker.options.log;
    for (uint32_t i = 0; i < run->gap_count; i++) {
        const struct gap *gap = &run->gaps[i];
        if (gap->partition == lane->partition &&
            (sent->state == SENT_KNOWN || (sent->offset >= gap->from && sent->offset < gap->to)))
            return true;
    }
    if (floor == 0 || found_before || (sent->state == SENT_ACKED && sent->offset >= floor))
        return false;
    /* Alone by age, without a clock that jumps: it must have been old. */
    bool age_only = options->retention_bytes == 0 && !plan_has(&run->plan, FAULT_CLOCK);
    return !age_only || sent->made_us < run_wall_us(run) - options->retention_us;
}

static void check_lane_found(struct run *run, const struct lane *lane, uint64_t floor)
{
    bool found_before = false;
    for (uint32_t i = 0; i < lane->sent_count; i++) {
        const struct sent *sent = &lane->sent[i];
        bool due = sent->state == SENT_ACKED || sent->state == SENT_KNOWN;
        if (due && !sent->found && !may_miss(run, lane, sent, floor, found_before))
            RUN_FAIL(run, "partition %u: %llu..%llu was acknowledged and is missing",
                     lane->partition, (unsigned long long)sent->first,
                     (unsigned long long)sent->last);
        found_before |= sent->found;
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
    if (!await(run, wire, correlation, 0, &head, &body, &body_bytes))
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

void check_log(struct run *run, bool damaged)
{
    struct wire_client *wire = &run->reader.wire;
    struct xd_reply_head head;
    const uint8_t *body;
    size_t body_bytes;
    const struct log_options *options = &run->broker.options.log;
    uint64_t floors[RUN_PARTITIONS] = {0};
    uint32_t allowed = damaged ? ALLOW_QUARANTINED : ALLOW_NONE;
    if (options->retention_bytes > 0 || options->retention_us > 0)
        allowed |= ALLOW_GONE;
    run->gap_count = 0;
    for (uint32_t s = 0; s < RUN_SOURCES; s++)
        for (uint32_t l = 0; l < RUN_LANES; l++)
            for (uint32_t i = 0; i < run->sources[s].lanes[l].sent_count; i++)
                run->sources[s].lanes[l].sent[i].found = false;
    if (wire_client_connect(wire, run->broker.address) < 0)
        return RUN_FAIL(run, "check: nobody listens");
    if (await(run, wire, wire_client_hello(wire), 0, &head, &body, &body_bytes)) {
        uint32_t partitions = check_catalog(run, wire);
        XD_ASSERT(partitions <= RUN_PARTITIONS);
        for (uint32_t i = 0; i < partitions && !run_failed(run); i++)
            floors[i] = check_partition(run, wire, i, allowed);
        for (uint32_t s = 0; s < RUN_SOURCES && !run_failed(run); s++)
            for (uint32_t l = 0; l < RUN_LANES && !run_failed(run); l++)
                check_lane_found(run, &run->sources[s].lanes[l],
                                 floors[run->sources[s].lanes[l].partition]);
    }
    reader_cut(run);
}
