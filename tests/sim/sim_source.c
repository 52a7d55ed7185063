/* SPDX-License-Identifier: Apache-2.0
 *
 * A source: makes batches, keeps them until they are durable, and comes back after every loss.
 *
 * Normal path: connect, HELLO, PRODUCER_OPEN, then batches in the sequence of each lane, in flight
 * up to the announced limit. After a lost connection it attaches under its epoch and sends again
 * what has no outcome, byte for byte; or it opens a new producer epoch, and the reply settles what
 * was unknown; or it has lost its memory; or it starts a new channel epoch. When all faults are
 * over each lane makes one more batch. Mischief: damaged bytes, stale connections, and what
 * sim_hostile.c sends.
 */
#include "tests/sim/sim_run.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_BATCHES_MAX 4u
#define OUT_BYTES_MAX (1024u * 1024u) /* waiting for the window; beyond it the source pauses */

/* ---- life ------------------------------------------------------------------------------------ */

static void lane_make(struct run *run, struct source *source, struct lane *lane)
{
    if (lane->sent_count == lane->sent_max) {
        lane->sent_max = lane->sent_max ? 2 * lane->sent_max : 256;
        lane->sent = realloc(lane->sent, lane->sent_max * sizeof *lane->sent);
        XD_ASSERT(lane->sent != NULL);
    }
    struct sent *sent = &lane->sent[lane->sent_count++];
    *sent = (struct sent){.previous = lane->chain_last,
                          .first = source->assigned + 1,
                          .last = source->assigned + 1 + run_below(run, RUN_BATCH_RECORDS),
                          .generation = source->generation,
                          .op = RUN_OP_NONE,
                          .holder = source->holder,
                          .channel_epoch = source->channel_epoch};
    source->assigned = lane->chain_last = sent->last;
    lane->fresh |= run->healing;
}

void source_reset(struct run *run, struct source *source, uint32_t number)
{
    struct wire_client wire = source->wire, stale = source->stale;
    struct lane lanes[RUN_LANES];
    memcpy(lanes, source->lanes, sizeof lanes);
    memset(source, 0, sizeof *source);
    source->wire = wire;
    source->stale = stale;
    source->number = number;
    source->generation =
        number << 16 | 1 | (plan_has(&run->plan, FAULT_LARGE) ? RUN_GENERATION_LARGE : 0);
    snprintf(source->name, sizeof source->name, "channel-%u", number);
    uint32_t facility = run->facility_count > 0 ? number % run->facility_count : 0;
    memcpy(source->facility, run->facilities[facility], sizeof source->facility);
    for (uint32_t i = 0; i < RUN_LANES; i++) {
        struct lane *lane = &source->lanes[i];
        lane->sent = lanes[i].sent;
        lane->sent_max = lanes[i].sent_max;
        lane->forgery.op = RUN_OP_NONE;
        lane->partition = facility * (RUN_LANES + 1) + i;
        uint32_t found = 0;
        for (uint32_t n = 0; found < RUN_SKUS; n++) {
            char sku[16];
            snprintf(sku, sizeof sku, "SKU-%u", n);
            if (xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, sku), RUN_LANES) == i)
                memcpy(lane->skus[found++], sku, sizeof sku);
        }
    }
    source->wire.correlation = source->stale.correlation = 0;
    source->open_op = source->zombie.forgery.op = RUN_OP_NONE;
}

/* The connection is lost: nothing that it owes will come. */
static void lanes_rewind(struct run *run, struct source *source)
{
    for (uint32_t i = 0; i < RUN_LANES; i++) {
        struct lane *lane = &source->lanes[i];
        uint32_t from = lane->next > RUN_COPIES_REACH ? lane->next - RUN_COPIES_REACH : 0;
        for (; from < lane->sent_count; from++)
            lane->sent[from].copies = 0;
        if (lane->forgery.op != RUN_OP_NONE)
            note_forgery(run, &lane->forgery, NULL);
        lane->next = lane->settled;
        lane->outstanding = 0;
        lane->refused = false;
    }
}

void source_cut(struct run *run, struct source *source)
{
    hostile_cut(run, source);
    wire_client_leave(&source->wire, true);
    wire_client_leave(&source->stale, true);
    source->open_left = false;
    source->state = SOURCE_DOWN;
    lanes_rewind(run, source);
}

/* Leaves the connection: in order, by a reset, or open behind its back. */
void source_leave(struct run *run, struct source *source)
{
    source->open_left |= source->state == SOURCE_OPENING;
    if (run_chance(run, plan_has(&run->plan, FAULT_ZOMBIE) ? 32768 : 16384)) {
        struct wire_client old = source->stale;
        wire_client_leave(&old, false);
        source->stale = source->wire;
        source->wire = old;
        hostile_cut(run, source);
        if (source->state == SOURCE_READY) {
            source->zombie.producer_epoch = source->producer_epoch;
            source->zombie.channel_epoch = source->channel_epoch;
            source->zombie.holder = source->holder;
        }
    } else {
        wire_client_leave(&source->wire, run_chance(run, 32768));
    }
    source->state = SOURCE_DOWN;
    lanes_rewind(run, source);
}

bool source_settled(const struct source *source)
{
    for (uint32_t i = 0; i < RUN_LANES; i++)
        if (source->lanes[i].settled < source->lanes[i].sent_count || !source->lanes[i].fresh)
            return false;
    return source->state == SOURCE_READY;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void sent_settle(struct run *run, struct sent *sent, enum sent_state state)
{
    sent->state = (uint8_t)state;
    note_settled(run, sent);
}

/* The source gives up everything without an outcome. */
static void lanes_abandon(struct run *run, struct source *source)
{
    for (uint32_t i = 0; i < RUN_LANES; i++) {
        struct lane *lane = &source->lanes[i];
        for (; lane->settled < lane->sent_count; lane->settled++)
            if (lane->sent[lane->settled].state == SENT_OPEN)
                sent_settle(run, &lane->sent[lane->settled], SENT_MAYBE);
    }
}

/* A new numbering: what has no outcome is given up without learning it. From here on every open
 * names the new epoch, so that a lost reply changes nothing. */
static void source_renumber(struct run *run, struct source *source)
{
    lanes_abandon(run, source);
    for (uint32_t i = 0; i < RUN_LANES; i++)
        source->lanes[i].chain_last = 0;
    source->channel_epoch++;
    source->generation++;
    source->producer_epoch = 0;
    source->assigned = source->acked = 0;
    run_count(run, TOTAL_EPOCHS, 1);
}

static void source_open(struct run *run, struct source *source)
{
    bool mischief = !run->healing && source->producer_id != 0;
    if (mischief && source->channel_epoch_durable && run_chance(run, 4000)) {
        source_renumber(run, source);
        source->channel_epoch_durable = false;
    }
    struct xd_open open = {.acked_sequence = source->acked,
                           .assigned_sequence = source->assigned,
                           .channel_epoch = source->channel_epoch};
    source->opening_attach = source->producer_epoch != 0 && run_chance(run, 50000);
    source->opening_blank =
        source->producer_id == 0 || (mischief && !source->opening_attach &&
                                     source->channel_epoch_durable && run_chance(run, 10000));
    if (source->opening_attach)
        open.producer_epoch = source->producer_epoch;
    if (source->opening_blank)
        open = (struct xd_open){.flags = XD_OPEN_NO_MEMORY};
    source->correlation =
        wire_client_open(&source->wire, &open, "wms", source->name, source->facility);
    source->state = SOURCE_OPENING;
}

/* What the reply says of one lane: everything up to `last` is durable, everything behind is not.
 * That it does not contradict what was acknowledged is checked here, because no history knows what
 * an open said. */
static void lane_learn(struct run *run, struct source *source, struct lane *lane, uint64_t last)
{
    uint32_t newest = lane->settled;
    while (newest > 0 && lane->sent[newest - 1].state != SENT_ACKED &&
           lane->sent[newest - 1].state != SENT_KNOWN)
        newest--;
    const struct sent *durable = newest > 0 ? &lane->sent[newest - 1] : NULL;
    if (durable != NULL && durable->channel_epoch == source->channel_epoch && last < durable->last)
        RUN_FAIL(run, "%s partition %u: acknowledged up to %llu, an open says %llu", source->name,
                 lane->partition, (unsigned long long)durable->last, (unsigned long long)last);
    if (source->opening_attach)
        return; /* resends make it definite, with offsets */
    for (; lane->settled < lane->sent_count; lane->settled++) {
        struct sent *sent = &lane->sent[lane->settled];
        if (sent->last > last) {
            if (sent->first <= last)
                RUN_FAIL(run, "%s partition %u: a chain ends inside a batch", source->name,
                         lane->partition);
            if (!source->opening_blank)
                break;
            sent_settle(run, sent, SENT_NEVER);
            continue;
        }
        sent_settle(run, sent, SENT_KNOWN);
        run_count(run, TOTAL_CHAIN_KNOWN, 1);
    }
    lane->next = lane->settled;
}

/* A source without memory goes on behind what the broker knows. */
static void source_forget(struct source *source, const struct xd_open_view *view)
{
    source->generation++;
    source->assigned = source->acked = view->fixed.last_sequence;
}

static uint64_t chain_last(const struct xd_open_view *view, uint32_t partition)
{
    for (uint32_t i = 0; i < view->fixed.chain_count; i++)
        if (view->chains[i].partition == partition)
            return view->chains[i].last_sequence;
    return 0;
}

static void source_opened(struct run *run, struct source *source, const struct xd_open_view *view)
{
    if (source->producer_id != 0 && view->fixed.channel_epoch != source->channel_epoch)
        RUN_FAIL(run, "%s: channel epoch %u, expected %u", source->name, view->fixed.channel_epoch,
                 source->channel_epoch);
    if (source->opening_attach && view->fixed.producer_epoch != source->producer_epoch)
        RUN_FAIL(run, "%s: attached to another epoch", source->name);
    source->producer_id = view->fixed.producer_id;
    source->producer_epoch = view->fixed.producer_epoch;
    source->facility_number = view->fixed.facility;
    source->channel_epoch = view->fixed.channel_epoch;
    source->channel_epoch_durable = true;
    for (uint32_t i = 0; i < RUN_LANES; i++) {
        struct lane *lane = &source->lanes[i];
        uint64_t last = chain_last(view, lane->partition);
        lane_learn(run, source, lane, last);
        if (source->opening_blank)
            lane->chain_last = last;
    }
    if (source->opening_blank)
        source_forget(source, view);
    run_count(run, source->opening_attach ? TOTAL_ATTACHES : TOTAL_OPENS, 1);
    lanes_rewind(run, source);
    source->state = SOURCE_READY;
    note_opened(run, source);
}

/* The reply to an open. */
static void source_take_open(struct run *run, struct source *source, const struct wire_frame *frame)
{
    struct xd_reply_head head;
    struct xd_text detail;
    struct xd_open_view view;
    const uint8_t *body;
    const char *field = "";
    size_t body_bytes;
    if (xd_reply_decode(frame->payload, frame->head.length, &head, &detail, &body, &body_bytes) < 0)
        return RUN_FAIL(run, "%s: a reply does not decode", source->name);
    if (head.status == XD_FENCED) { /* a later open of ours was written, its reply was lost */
        if (!source->opening_attach && !source->open_left)
            RUN_FAIL(run, "%s: a new open is fenced", source->name);
        run_count(run, TOTAL_FENCED, 1);
        source->producer_epoch = 0;
        source_open(run, source);
        return;
    }
    if (head.status < 0) {
        if (xd_status_class(head.status) != XD_CLASS_BACKOFF &&
            xd_status_class(head.status) != XD_CLASS_UNKNOWN)
            RUN_FAIL(run, "%s: open: %s: %.*s", source->name, xd_status_name(head.status),
                     (int)detail.bytes, detail.data);
        source->not_before_ns = run_retry_ns(run);
        source_leave(run, source);
        return;
    }
    if (xd_open_reply_decode(body, body_bytes, &view, &field) < 0)
        return RUN_FAIL(run, "%s: an open's reply does not decode: %s", source->name, field);
    source_opened(run, source, &view);
}

/* ---- sending --------------------------------------------------------------------------------- */

/* Batches of one frame. */
struct outgoing {
    struct batch_build builds[FRAME_BATCHES_MAX];
    uint32_t count;
    enum xd_durability durability;
};

static void outgoing_flush(struct source *source, struct outgoing *outgoing)
{
    const struct xd_batch_header *batches[FRAME_BATCHES_MAX];
    for (uint32_t i = 0; i < outgoing->count; i++)
        batches[i] = &outgoing->builds[i].header;
    if (outgoing->count > 0)
        wire_client_produce(&source->wire, batches, outgoing->count, outgoing->durability);
    outgoing->count = 0;
}

static void lane_send(struct run *run, struct source *source, struct lane *lane, struct sent *sent,
                      struct outgoing *outgoing)
{
    struct batch_build *build = &outgoing->builds[outgoing->count++];
    struct history_record records[RUN_BATCH_RECORDS];
    bool first = sent->op == RUN_OP_NONE;
    sent->epoch = source->producer_epoch;
    batch_make(source, lane, sent, build, first ? records : NULL);
    if (first)
        sent->op = note_send(run, source, lane, sent, records, false);
    if (!run->healing && run_chance(run, 1000)) /* damaged on the way */
        build->bytes[XD_BATCH_HEADER_BYTES + run_below(run, build->used - XD_BATCH_HEADER_BYTES)] ^=
            8;
    lane->outstanding++;
    sent->copies++;
    if (outgoing->count == FRAME_BATCHES_MAX)
        outgoing_flush(source, outgoing);
}

static void lane_act(struct run *run, struct source *source, struct lane *lane)
{
    static struct outgoing outgoing;
    if (lane->refused && lane->outstanding == 0) {
        lane->next = lane->settled;
        lane->refused = false;
    }
    if (sim_now_ns(run->broker.sim) < lane->not_before_ns)
        return;
    outgoing.durability = run_chance(run, 50000)
                              ? XD_DURABILITY_FSYNC
                              : (enum xd_durability)run_below(run, XD_DURABILITY_COUNT);
    uint32_t burst = run_below(run, 6);
    uint32_t inflight_max = lane->careful ? 1 : XD_INFLIGHT_BATCHES_MAX;
    while (burst-- > 0 && !lane->refused && lane->outstanding < inflight_max &&
           source->wire.out_bytes < OUT_BYTES_MAX) {
        if (lane->next == lane->sent_count) {
            if (run->healing && lane->fresh)
                break;
            lane_make(run, source, lane);
        }
        lane_send(run, source, lane, &lane->sent[lane->next++], &outgoing);
        if (run_chance(run, 16384))
            outgoing_flush(source, &outgoing);
    }
    outgoing_flush(source, &outgoing);
    hostile_lane(run, source, lane);
}

static void source_take(struct run *run, struct source *source)
{
    struct wire_frame frame;
    wire_client_pump(&source->wire);
    while (!run_failed(run) && wire_client_next(&source->wire, &frame)) {
        if (frame.head.op == XD_OP_ACK && source->state == SOURCE_READY)
            source_take_acks(run, source, &frame);
        else if (frame.head.op == XD_OP_PRODUCER_OPEN && source->state == SOURCE_OPENING)
            source_take_open(run, source, &frame);
        else if (frame.head.op == XD_OP_HELLO && source->state == SOURCE_HELLO)
            source_open(run, source);
        else if (frame.head.op != XD_OP_GOAWAY)
            RUN_FAIL(run, "%s: op %u in state %u", source->name, frame.head.op, source->state);
        if (source->state == SOURCE_DOWN)
            return;
    }
    if (source->wire.ended && source->state != SOURCE_DOWN) {
        wire_client_leave(&source->wire, false);
        source->state = SOURCE_DOWN;
        lanes_rewind(run, source);
    }
}

void source_act(struct run *run, struct source *source)
{
    uint32_t shard;
    hostile_zombie(run, source);
    if (source->state == SOURCE_DOWN) {
        if (!run->serving || !run_chance(run, 32768) ||
            sim_now_ns(run->broker.sim) < source->not_before_ns ||
            wire_client_connect(&source->wire, run_address(run, &shard)) < 0)
            return;
        wire_client_hello(&source->wire);
        note_opening(run, source);
        source->state = SOURCE_HELLO;
    }
    source_take(run, source);
    bool gives_up = source->state == SOURCE_OPENING && !run->healing && run_chance(run, 1500);
    if (gives_up && !run_failed(run)) /* the open may be written, its reply is lost */
        source_leave(run, source);
    if (source->state != SOURCE_READY || run_failed(run))
        return;
    bool restless = plan_has(&run->plan, FAULT_STORM) || plan_has(&run->plan, FAULT_ZOMBIE);
    if (!run->healing && run_chance(run, restless ? 3000 : 300)) {
        source_leave(run, source);
        return;
    }
    if (run_chance(run, 24000) || run->healing)
        for (uint32_t i = 0; i < RUN_LANES; i++)
            lane_act(run, source, &source->lanes[i]);
    wire_client_pump(&source->wire);
}
