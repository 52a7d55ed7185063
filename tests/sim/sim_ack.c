/* SPDX-License-Identifier: Apache-2.0
 *
 * What acknowledgements mean to a source: which batch has which outcome, and what to do then.
 *
 * Every answer must be one that somebody waits for, which no history can tell; what it says goes
 * into the history. A batch is settled by the first success of its copies; a refusal that may be
 * tried again sends the lane back to its first batch without an outcome, once all answers that are
 * owed have come; a fenced session is opened anew.
 */
#include "tests/sim/sim_run.h"

#include "wire/status.h"

static struct lane *lane_find(struct source *source, uint32_t partition)
{
    for (uint32_t i = 0; i < RUN_LANES; i++)
        if (source->lanes[i].partition == partition)
            return &source->lanes[i];
    return NULL;
}

/* Index of the batch that begins with the sequence and of which an answer is owed; sent_count =
 * none is. */
static uint32_t lane_find_sent(const struct source *source, const struct lane *lane,
                               uint64_t first_sequence)
{
    for (uint32_t i = lane->next; i-- > 0 && i + RUN_COPIES_REACH >= lane->next;) {
        const struct sent *sent = &lane->sent[i];
        if (sent->first == first_sequence && sent->generation == source->generation &&
            sent->copies > 0)
            return i;
    }
    return lane->sent_count;
}

static void nobody_waits(struct run *run, const struct source *source, const struct lane *lane,
                         const struct xd_ack *ack)
{
    RUN_FAIL(run, "%s partition %u: %s for %llu..%llu at %llu that nobody waits for", source->name,
             lane->partition, xd_status_name(ack->status), (unsigned long long)ack->first_sequence,
             (unsigned long long)ack->last_sequence, (unsigned long long)ack->base_offset);
}

/* One batch of a success, durable at `offset`. */
static void sent_take_success(struct run *run, struct source *source, struct lane *lane,
                              struct sent *sent, const struct xd_ack *ack, uint64_t offset)
{
    note_success(run, sent->op, ack, offset);
    sent->copies--;
    lane->outstanding--;
    run_count(run, TOTAL_KNOWN_PENDING, sent->again && ack->status == XD_DUPLICATE);
    if (sent->state != SENT_OPEN)
        return;
    sent->state = SENT_ACKED;
    lane->careful = false;
    run_count(run, TOTAL_ACKED, 1);
    run_count(run, TOTAL_READ_ONLY_ENDS, run->read_only && ack->status == 0);
    run->read_only = run->read_only && ack->status != 0;
    if (sent->last > source->acked)
        source->acked = sent->last;
}

/* A success covers batches that follow each other in the lane. */
static void lane_take_success(struct run *run, struct source *source, struct lane *lane,
                              const struct xd_ack *ack)
{
    uint32_t at = lane_find_sent(source, lane, ack->first_sequence);
    uint64_t offset = ack->base_offset, end = ack->base_offset + ack->record_count;
    for (; at < lane->next && offset < end; at++) {
        struct sent *sent = &lane->sent[at];
        if (sent->copies == 0 || sent->last > ack->last_sequence)
            break;
        uint64_t count = sent->last - sent->first + 1;
        if (ack->durability == XD_DURABILITY_FSYNC) {
            sent_take_success(run, source, lane, sent, ack, offset);
        } else {
            sent->weak = true;
            note_success(run, sent->op, ack, offset);
        }
        offset += count;
        if (sent->last == ack->last_sequence)
            break;
    }
    if (at == lane->sent_count || offset != end)
        nobody_waits(run, source, lane, ack);
    while (lane->settled < lane->sent_count && lane->sent[lane->settled].state != SENT_OPEN)
        lane->settled++;
    if (lane->next < lane->settled)
        lane->next = lane->settled;
}

/* The disk is nearly full, they say: only when it is, or was a moment ago. */
static void lane_read_only(struct run *run, const struct lane *lane)
{
    if (!plan_has(&run->plan, FAULT_DISK_FULL) && !plan_has(&run->plan, FAULT_DISK_DRY))
        RUN_FAIL(run, "partition %u: READ_ONLY with space left", lane->partition);
    run->read_only = true;
    run_count(run, TOTAL_READ_ONLY, 1);
}

/* A number is said to be used. Of what was sent so long ago that newer batches have taken its place
 * in the broker's memory that may be; else the history is told that it was refused for ever, which
 * contradicts the success that it had. */
static void sent_take_reused(struct run *run, const struct lane *lane, uint32_t at,
                             const struct xd_ack *ack)
{
    const struct sent *sent = &lane->sent[at];
    struct forgery refused = {.op = sent->op};
    if (sent->state == SENT_OPEN || lane->sent_count - at <= XD_INFLIGHT_BATCHES_MAX)
        note_forgery(run, &refused, ack);
}

/* A refusal of one batch. False: the session is over. */
static bool lane_take_refusal(struct run *run, struct source *source, struct lane *lane,
                              const struct xd_ack *ack)
{
    uint32_t at = lane_find_sent(source, lane, ack->first_sequence);
    if (at == lane->sent_count || lane->sent[at].last != ack->last_sequence) {
        nobody_waits(run, source, lane, ack);
        return true;
    }
    lane->outstanding--;
    lane->sent[at].copies--;
    switch (ack->status) {
    case XD_SEQUENCE_REUSED:
        sent_take_reused(run, lane, at, ack);
        return true;
    case XD_OUT_OF_SEQUENCE:
        run_count(run, TOTAL_OUT_OF_SEQUENCE, 1);
        lane->refused = true;
        return true;
    case XD_BATCH_CHECKSUM:
        run_count(run, TOTAL_CHECKSUMS, 1);
        lane->refused = true;
        return true;
    case XD_FENCED:
    case XD_PRODUCER_UNKNOWN:
        run_count(run, TOTAL_FENCED, 1);
        return false;
    case XD_STORAGE_FENCED:
        return false;
    default:
        break;
    }
    if (xd_status_class(ack->status) != XD_CLASS_BACKOFF)
        RUN_FAIL(run, "%s partition %u: %llu..%llu: %s", source->name, lane->partition,
                 (unsigned long long)ack->first_sequence, (unsigned long long)ack->last_sequence,
                 xd_status_name(ack->status));
    run_count(run, TOTAL_BACKOFF, xd_status_class(ack->status) == XD_CLASS_BACKOFF);
    if (ack->status == XD_READ_ONLY)
        lane_read_only(run, lane);
    lane->careful = true;
    lane->not_before_ns = run_retry_ns(run);
    lane->refused = true;
    return true;
}

void source_take_acks(struct run *run, struct source *source, const struct wire_frame *frame)
{
    struct xd_ack_view view;
    const char *field = "";
    if (xd_ack_decode(frame->payload, frame->head.length, &view, &field) < 0)
        return RUN_FAIL(run, "%s: acks do not decode: %s", source->name, field);
    for (uint32_t i = 0; i < view.fixed.ack_count; i++) {
        const struct xd_ack *ack = &view.acks[i];
        struct lane *lane = lane_find(source, ack->partition);
        if (lane == NULL || ack->producer_id != source->producer_id)
            return RUN_FAIL(run, "%s: an ack of another source", source->name);
        struct forgery *forgery = &lane->forgery;
        run_count(run, TOTAL_EARLY, ack->status >= 0 && ack->durability != XD_DURABILITY_FSYNC);
        run_count(run, TOTAL_DUPLICATES, ack->status == XD_DUPLICATE);
        if (forgery->op != RUN_OP_NONE && ack->first_sequence == forgery->first &&
            ack->last_sequence == forgery->last) {
            run_count(run, TOTAL_REUSED, ack->status == XD_SEQUENCE_REUSED);
            note_forgery(run, forgery, ack);
            lane->outstanding -= forgery->op == RUN_OP_NONE;
        } else if (ack->status >= 0) {
            lane_take_success(run, source, lane, ack);
        } else if (!lane_take_refusal(run, source, lane, ack)) {
            source_leave(run, source);
            source->producer_epoch = 0;
            return;
        }
    }
}
