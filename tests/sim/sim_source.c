/* SPDX-License-Identifier: Apache-2.0
 *
 * A source: makes batches, keeps them until they are durable, and comes back after every loss.
 *
 * Normal path: connect, HELLO, PRODUCER_OPEN, then batches in the sequence of each lane, in flight
 * up to the announced limit. After a lost connection it attaches under its epoch and sends again
 * what has no outcome, byte for byte; or it opens a new producer epoch, and the reply settles what
 * was unknown; or it has lost its memory; or it starts a new channel epoch.
 * Mischief: resends of what is settled, damaged bytes, forged contents, stale connections.
 */
#include "tests/sim/sim_run.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

#define FRAME_BATCHES_MAX 4u
#define PAYLOAD_BYTES_MAX 8192u
#define GENERATION_LARGE 0x80000000u  /* this run's payloads are large */
#define OUT_BYTES_MAX (1024u * 1024u) /* waiting for the window; beyond it the source pauses */

/* ---- batches --------------------------------------------------------------------------------- */

/* Payload: generation, sequence, then words that follow from the sequence and compress. Up to seven
 * bytes behind it are written too. */
static uint32_t payload_of(uint64_t sequence, uint32_t generation, uint8_t *ret)
{
    uint64_t mixed = prng_mix(sequence);
    bool large = (generation & GENERATION_LARGE) != 0 || mixed % 64 == 0;
    uint32_t bytes = 12 + (uint32_t)(mixed % (large ? 7000 : 60));
    memcpy(ret, &generation, 4);
    memcpy(ret + 4, &sequence, 8);
    for (uint32_t i = 12; i < bytes; i += 8)
        memcpy(ret + i, &mixed, 8);
    return bytes;
}

bool source_payload_ok(uint64_t sequence, const uint8_t *payload, uint32_t bytes,
                       uint32_t *ret_generation)
{
    static uint8_t expected[PAYLOAD_BYTES_MAX]; /* not cleared for each record */
    if (bytes < 12)
        return false;
    memcpy(ret_generation, payload, 4);
    return payload_of(sequence, *ret_generation, expected) == bytes &&
           memcmp(payload, expected, bytes) == 0;
}

void source_build(const struct source *source, const struct lane *lane, const struct sent *sent,
                  struct batch_build *ret_build)
{
    static uint8_t payload[PAYLOAD_BYTES_MAX]; /* not cleared for each record */
    struct batch_target target = {.producer_id = source->producer_id,
                                  .producer_epoch = source->producer_epoch,
                                  .channel_epoch = sent->channel_epoch,
                                  .facility = source->facility_number,
                                  .partition = lane->partition,
                                  .strategy = XD_STRATEGY_SKU};
    batch_begin(ret_build, &target, sent->previous);
    for (uint64_t sequence = sent->first; sequence <= sent->last; sequence++) {
        uint32_t bytes = payload_of(sequence, sent->generation, payload);
        batch_add(ret_build, sequence, lane->skus[sequence % RUN_SKUS], payload, bytes);
    }
    if (sent->first % 5 == 0)
        batch_end_compressed(ret_build);
    else
        batch_end(ret_build);
}

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
                          .last = source->assigned + 1 + run_below(run, 8),
                          .made_us = run_wall_us(run),
                          .generation = source->generation,
                          .channel_epoch = source->channel_epoch};
    source->assigned = lane->chain_last = sent->last;
}

/* ---- life ------------------------------------------------------------------------------------ */

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
        number << 16 | 1 | (plan_has(&run->plan, FAULT_LARGE) ? GENERATION_LARGE : 0);
    snprintf(source->name, sizeof source->name, "channel-%u", number);
    snprintf(source->facility, sizeof source->facility, "%s", number % 2 == 1 ? "DC01" : "");
    for (uint32_t i = 0; i < RUN_LANES; i++) {
        struct lane *lane = &source->lanes[i];
        lane->sent = lanes[i].sent;
        lane->sent_max = lanes[i].sent_max;
        lane->partition = (number % 2 == 1 ? RUN_LANES + 1 : 0) + i;
        uint32_t found = 0;
        for (uint32_t n = 0; found < RUN_SKUS; n++) {
            char sku[16];
            snprintf(sku, sizeof sku, "SKU-%u", n);
            if (xd_route_bucket(batch_route_key(XD_STRATEGY_SKU, sku), RUN_LANES) == i)
                memcpy(lane->skus[found++], sku, sizeof sku);
        }
    }
    source->wire.correlation = source->stale.correlation = 0;
}

static void lanes_rewind(struct source *source)
{
    for (uint32_t i = 0; i < RUN_LANES; i++) {
        struct lane *lane = &source->lanes[i];
        lane->next = lane->settled;
        lane->outstanding = lane->resent = lane->forged = 0;
        lane->refused = false;
    }
}

void source_cut(struct source *source)
{
    wire_client_leave(&source->wire, true);
    wire_client_leave(&source->stale, true);
    source->open_left = false;
    source->state = SOURCE_DOWN;
    lanes_rewind(source);
}

/* Leaves the connection: in order, by a reset, or open behind its back. */
void source_leave(struct run *run, struct source *source)
{
    source->open_left |= source->state == SOURCE_OPENING;
    if (run_chance(run, 16384)) {
        struct wire_client old = source->stale;
        wire_client_leave(&old, false);
        source->stale = source->wire;
        source->wire = old;
    } else {
        wire_client_leave(&source->wire, run_chance(run, 32768));
    }
    source->state = SOURCE_DOWN;
    lanes_rewind(source);
}

bool source_settled(const struct source *source)
{
    for (uint32_t i = 0; i < RUN_LANES; i++)
        if (source->lanes[i].settled < source->lanes[i].sent_count)
            return false;
    return source->state == SOURCE_READY;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* The source gives up everything without an outcome. */
static void lanes_abandon(struct source *source, enum sent_state state)
{
    for (uint32_t i = 0; i < RUN_LANES; i++) {
        struct lane *lane = &source->lanes[i];
        for (; lane->settled < lane->sent_count; lane->settled++)
            lane->sent[lane->settled].state = (uint8_t)state;
    }
}

/* A new numbering: what has no outcome is given up without learning it. From here on every open
 * names the new epoch, so that a lost reply changes nothing. */
static void source_renumber(struct run *run, struct source *source)
{
    lanes_abandon(source, SENT_MAYBE);
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

/* What the reply says of one lane: everything up to `last` is durable, everything behind is not. */
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
            sent->state = SENT_NEVER;
            continue;
        }
        sent->state = SENT_KNOWN;
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
    lanes_rewind(source);
    source->state = SOURCE_READY;
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
    source_build(source, lane, sent, build);
    if (!run->healing && run_chance(run, 1000)) /* damaged on the way */
        build->bytes[XD_BATCH_HEADER_BYTES + run_below(run, build->used - XD_BATCH_HEADER_BYTES)] ^=
            8;
    sent->epoch = source->producer_epoch;
    lane->outstanding++;
    if (outgoing->count == FRAME_BATCHES_MAX)
        outgoing_flush(source, outgoing);
}

/* Sends something settled again: the same bytes, or forged ones. */
static void lane_resend(struct run *run, struct source *source, struct lane *lane)
{
    static struct batch_build build;
    const struct xd_batch_header *batch = &build.header;
    uint32_t back = 1 + run_below(run, 12);
    if (lane->settled < back)
        return;
    const struct sent *sent = &lane->sent[lane->settled - back];
    if (sent->state != SENT_ACKED || sent->generation != source->generation ||
        sent->epoch != source->producer_epoch)
        return;
    source_build(source, lane, sent, &build);
    if (run_chance(run, 24000)) {
        build.header.first_event_time_us--;
        xd_batch_seal(&build.header, build.used);
        lane->forged++;
    } else {
        lane->resent++;
    }
    wire_client_produce(&source->wire, &batch, 1, XD_DURABILITY_FSYNC);
    lane->outstanding++;
}

static void lane_act(struct run *run, struct source *source, struct lane *lane)
{
    static struct outgoing outgoing;
    if (lane->refused && lane->outstanding == 0) {
        lane->next = lane->settled;
        lane->refused = false;
        lane->resent = lane->forged = 0;
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
            if (run->healing)
                break;
            lane_make(run, source, lane);
        }
        lane_send(run, source, lane, &lane->sent[lane->next++], &outgoing);
        if (run_chance(run, 16384))
            outgoing_flush(source, &outgoing);
    }
    outgoing_flush(source, &outgoing);
    uint32_t resends = run_fault(run, FAULT_RESEND);
    if (run_fault(run, FAULT_STORM))
        resends += 1 + run_below(run, 12);
    while (resends-- > 0 && lane->outstanding < XD_INFLIGHT_BATCHES_MAX)
        lane_resend(run, source, lane);
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
        lanes_rewind(source);
    }
}

void source_act(struct run *run, struct source *source)
{
    if (source->stale.id >= 0)
        wire_client_pump(&source->stale);
    if (source->state == SOURCE_DOWN) {
        if (!run->serving || !run_chance(run, 32768) ||
            sim_now_ns(run->broker.sim) < source->not_before_ns ||
            wire_client_connect(&source->wire, run->broker.address) < 0)
            return;
        wire_client_hello(&source->wire);
        source->state = SOURCE_HELLO;
    }
    source_take(run, source);
    bool gives_up = source->state == SOURCE_OPENING && !run->healing && run_chance(run, 1500);
    if (gives_up && !run_failed(run)) /* the open may be written, its reply is lost */
        source_leave(run, source);
    if (source->state != SOURCE_READY || run_failed(run))
        return;
    if (!run->healing && run_chance(run, plan_has(&run->plan, FAULT_STORM) ? 3000 : 300)) {
        source_leave(run, source);
        return;
    }
    if (run_chance(run, 24000) || run->healing)
        for (uint32_t i = 0; i < RUN_LANES; i++)
            lane_act(run, source, &source->lanes[i]);
    wire_client_pump(&source->wire);
}
