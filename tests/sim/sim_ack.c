/* SPDX-License-Identifier: Apache-2.0
 *
 * What acknowledgements mean to a source: which batch has which outcome, and what to do then.
 *
 * Every answer must be one that somebody waits for. Successes settle a lane's batches in sequence;
 * a refusal that may be tried again sends the lane back to its first batch without an outcome, once
 * all answers that are owed have come; a fenced session is opened anew.
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

/* A success: batches without an outcome, in the sequence of the lane, or one resent. */
static void lane_take_success(struct run *run, struct source *source, struct lane *lane,
                              const struct xd_ack *ack)
{
    uint64_t offset = ack->base_offset;
    uint64_t at = ack->first_sequence;
    while (at <= ack->last_sequence && lane->settled < lane->next &&
           lane->sent[lane->settled].first >= at) {
        struct sent *sent = &lane->sent[lane->settled];
        if (sent->last > ack->last_sequence)
            break;
        sent->state = SENT_ACKED;
        sent->offset = offset;
        offset += sent->last - sent->first + 1;
        at = sent->last + 1;
        lane->settled++;
        lane->outstanding--;
        lane->careful = false;
        run_count(run, TOTAL_ACKED, 1);
        run_count(run, TOTAL_READ_ONLY_ENDS, run->read_only && ack->status == 0);
        run->read_only = run->read_only && ack->status != 0;
        if (sent->last > source->acked)
            source->acked = sent->last;
    }
    if (offset == ack->base_offset + ack->record_count)
        return;
    for (uint32_t i = lane->settled; offset == ack->base_offset && i-- > 0;) {
        const struct sent *sent = &lane->sent[i];
        if (sent->first != ack->first_sequence || sent->last != ack->last_sequence ||
            sent->generation != source->generation)
            continue;
        if (ack->status != XD_DUPLICATE || lane->resent == 0 ||
            (sent->state == SENT_ACKED && sent->offset != ack->base_offset))
            break;
        lane->resent--;
        lane->outstanding--;
        return;
    }
    RUN_FAIL(run, "%s partition %u: a success for %llu..%llu at %llu that nobody waits for",
             source->name, lane->partition, (unsigned long long)ack->first_sequence,
             (unsigned long long)ack->last_sequence, (unsigned long long)ack->base_offset);
}

/* The disk is nearly full, they say: only when it is, or was a moment ago. */
static void lane_read_only(struct run *run, const struct lane *lane)
{
    if (!plan_has(&run->plan, FAULT_DISK_FULL) && !plan_has(&run->plan, FAULT_DISK_DRY))
        RUN_FAIL(run, "partition %u: READ_ONLY with space left", lane->partition);
    run->read_only = true;
    run_count(run, TOTAL_READ_ONLY, 1);
}

/* A refusal of one batch. False: the session is over. */
static bool lane_take_refusal(struct run *run, struct source *source, struct lane *lane,
                              const struct xd_ack *ack)
{
    lane->outstanding--;
    switch (ack->status) {
    case XD_SEQUENCE_REUSED:
        if (lane->forged == 0 && lane->resent == 0)
            RUN_FAIL(run, "%s partition %u: %llu..%llu called reused", source->name,
                     lane->partition, (unsigned long long)ack->first_sequence,
                     (unsigned long long)ack->last_sequence);
        if (lane->forged > 0) {
            lane->forged--;
            run_count(run, TOTAL_REUSED, 1);
        }
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
        if (ack->status >= 0 && ack->durability != XD_DURABILITY_FSYNC) {
            run_count(run, TOTAL_EARLY, 1);
            continue;
        }
        if (lane->outstanding == 0)
            return RUN_FAIL(run, "%s: more acks than batches", source->name);
        run_count(run, TOTAL_DUPLICATES, ack->status == XD_DUPLICATE);
        if (ack->status >= 0) {
            lane_take_success(run, source, lane, ack);
        } else if (!lane_take_refusal(run, source, lane, ack)) {
            source_leave(run, source);
            source->producer_epoch = 0;
            return;
        }
    }
}
