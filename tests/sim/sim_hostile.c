/* SPDX-License-Identifier: Apache-2.0
 *
 * What sources send that they need not or should not: batches again that are settled, or that still
 * wait for their answer; other records under a used number; batches under an epoch that is over;
 * and a former holder of the channel that goes on as if nothing had happened.
 *
 * A copy is answered like its original. A forgery must be refused; its records have a generation of
 * their own, so the history knows them wherever they turn up. One is under way per lane and per
 * zombie, so that its answer is told by its sequences.
 */
#include "tests/sim/sim_run.h"

#include "wire/xassert.h"

#define BACK_MAX 12u    /* settled batches that a lane goes back, less than the broker remembers */
#define ZOMBIE_TRIES 4u /* draws per turn: a former holder does not live long */
#define AHEAD 1000000u  /* sequences that no batch of a run comes to */
#define REPLACED_MANY 24000u /* of 65,536 resends: other records under the same number */

static uint32_t forged_generation(struct run *run)
{
    return RUN_GENERATION_FORGED | ++run->forgeries |
           (plan_has(&run->plan, FAULT_LARGE) ? RUN_GENERATION_LARGE : 0);
}

static void send_one(struct wire_client *wire, const struct batch_build *build)
{
    const struct xd_batch_header *batch = &build->header;
    wire_client_produce(wire, &batch, 1, XD_DURABILITY_FSYNC);
}

/* Sends a batch that must be refused. */
static void forge(struct run *run, struct source *source, struct lane *lane,
                  struct wire_client *wire, const struct sent *sent, struct forgery *forgery)
{
    static struct batch_build build;
    struct history_record records[RUN_BATCH_RECORDS];
    XD_ASSERT(forgery->op == RUN_OP_NONE);
    batch_make(source, lane, sent, &build, records);
    *forgery = (struct forgery){.first = sent->first,
                                .last = sent->last,
                                .partition = lane->partition,
                                .op = note_send(run, source, lane, sent, records, true)};
    send_one(wire, &build);
}

/* Sends a batch of this connection's epoch once more. */
static void copy(struct run *run, struct source *source, struct lane *lane, struct sent *sent)
{
    static struct batch_build build;
    batch_make(source, lane, sent, &build, NULL);
    send_one(&source->wire, &build);
    lane->outstanding++;
    sent->copies++;
    if (sent->state == SENT_OPEN) {
        sent->again = true;
        run_count(run, TOTAL_RESENT_PENDING, 1);
    }
}

/* Something settled: the same bytes, or other records under its number. */
static void resend_settled(struct run *run, struct source *source, struct lane *lane)
{
    uint32_t back = 1 + run_below(run, BACK_MAX);
    bool replaced = run_chance(run, REPLACED_MANY);
    if (lane->settled < back)
        return;
    struct sent *sent = &lane->sent[lane->settled - back];
    const struct forgery *forgery = &lane->forgery;
    bool forged = forgery->op != RUN_OP_NONE;
    if (sent->state != SENT_ACKED || sent->generation != source->generation ||
        sent->epoch != source->producer_epoch || (forged && forgery->first == sent->first))
        return;
    if (!replaced) {
        copy(run, source, lane, sent);
    } else if (!forged && sent->copies == 0) {
        struct sent other = *sent;
        other.generation = forged_generation(run);
        other.holder = source->holder;
        forge(run, source, lane, &source->wire, &other, &lane->forgery);
        lane->outstanding++;
    }
}

/* Something that waits for its answer. */
static void resend_pending(struct run *run, struct source *source, struct lane *lane)
{
    uint32_t count = lane->next - lane->settled;
    if (count == 0)
        return;
    struct sent *sent = &lane->sent[lane->settled + run_below(run, count)];
    if (sent->copies > 0 && sent->state == SENT_OPEN)
        copy(run, source, lane, sent);
}

/* What would come next in the lane, if it were still who it was. */
static struct sent next_of(struct run *run, const struct source *source, const struct lane *lane,
                           const struct zombie *zombie)
{
    uint64_t first = source->assigned + AHEAD;
    return (struct sent){.previous = lane->chain_last,
                         .first = first,
                         .last = first + run_below(run, RUN_BATCH_RECORDS),
                         .generation = forged_generation(run),
                         .epoch = zombie->producer_epoch,
                         .holder = zombie->holder,
                         .channel_epoch = zombie->channel_epoch};
}

/* The source has opened its channel anew, and one of its threads has not heard of it. */
static void send_former_epoch(struct run *run, struct source *source, struct lane *lane)
{
    if (source->producer_epoch < 2 || source->holder < 2 || lane->forgery.op != RUN_OP_NONE)
        return;
    const struct zombie former = {.producer_epoch = source->producer_epoch - 1,
                                  .channel_epoch = source->channel_epoch,
                                  .holder = source->holder - 1};
    struct sent sent = next_of(run, source, lane, &former);
    forge(run, source, lane, &source->wire, &sent, &lane->forgery);
    lane->outstanding++;
    run_count(run, TOTAL_FORMER_EPOCHS, 1);
}

void hostile_lane(struct run *run, struct source *source, struct lane *lane)
{
    uint32_t resends = run_fault(run, FAULT_RESEND);
    if (run_fault(run, FAULT_STORM))
        resends += 1 + run_below(run, BACK_MAX);
    while (resends-- > 0 && lane->outstanding < XD_INFLIGHT_BATCHES_MAX)
        resend_settled(run, source, lane);
    uint32_t again = run_fault(run, FAULT_RESEND_PENDING) ? 1 + run_below(run, 4) : 0;
    while (again-- > 0 && lane->outstanding < XD_INFLIGHT_BATCHES_MAX)
        resend_pending(run, source, lane);
    if (run_fault(run, FAULT_ZOMBIE) && lane->outstanding < XD_INFLIGHT_BATCHES_MAX)
        send_former_epoch(run, source, lane);
}

/* ---- the former holder ----------------------------------------------------------------------- */

/* Only answers to forgeries count; the others are told on the new connection too. */
static void zombie_take(struct run *run, struct source *source)
{
    struct forgery *forgery = &source->zombie.forgery;
    struct wire_frame frame;
    struct xd_ack_view view;
    const char *field = "";
    wire_client_pump(&source->stale);
    while (wire_client_next(&source->stale, &frame)) {
        if (frame.head.op != XD_OP_ACK ||
            xd_ack_decode(frame.payload, frame.head.length, &view, &field) < 0)
            continue;
        for (uint32_t i = 0; i < view.fixed.ack_count; i++) {
            const struct xd_ack *ack = &view.acks[i];
            if (forgery->op != RUN_OP_NONE && ack->partition == forgery->partition &&
                ack->first_sequence == forgery->first && ack->last_sequence == forgery->last)
                note_forgery(run, forgery, ack);
        }
    }
    if (source->stale.ended)
        hostile_cut(run, source);
}

void hostile_zombie(struct run *run, struct source *source)
{
    struct zombie *zombie = &source->zombie;
    if (source->stale.id < 0)
        return;
    zombie_take(run, source);
    if (zombie->producer_epoch == 0 || zombie->forgery.op != RUN_OP_NONE ||
        source->state != SOURCE_READY)
        return;
    bool sends = false;
    for (uint32_t i = 0; i < ZOMBIE_TRIES; i++)
        sends |= run_fault(run, FAULT_ZOMBIE);
    if (!sends)
        return;
    struct lane *lane = &source->lanes[run_below(run, RUN_LANES)];
    struct sent sent = next_of(run, source, lane, zombie);
    forge(run, source, lane, &source->stale, &sent, &zombie->forgery);
    wire_client_pump(&source->stale);
    run_count(run, TOTAL_ZOMBIES, 1);
}

void hostile_cut(struct run *run, struct source *source)
{
    if (source->zombie.forgery.op != RUN_OP_NONE)
        note_forgery(run, &source->zombie.forgery, NULL);
    source->zombie.producer_epoch = 0;
}
