/* SPDX-License-Identifier: Apache-2.0
 *
 * The log of each partition from its beginning: every record was sent, stands there once and
 * unchanged, in the sequence of its channel, and in the partition of its key.
 *
 * Normal path: one walk over all places, with a track per channel and partition (its chain) and one
 * per channel, topic and key. Behind a gap a chain is not compared with what stood before it.
 */
#include "tests/support/history_judge.h"

#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>

#define TRACKS_MIN 64u

/* What was met last of a chain, and where a key is at home. */
struct track {
    uint64_t sequence;       /* chain: met last */
    uint64_t holder_end_ns;  /* chain: first ack of an operation under producer_epoch */
    uint32_t channel;        /* with scope and key: whose track it is */
    uint32_t scope;          /* chain: partition index; key: topic */
    uint32_t key;            /* chain: 0 */
    uint32_t place;          /* chain: stretch; key: partition index */
    uint32_t producer_epoch; /* chain: highest one met, 0 = none */
    uint16_t channel_epoch;  /* chain: of the record met last */
    bool used;               /* the slot holds a track */
    bool met;                /* something of it was met: the rest is valid */
};
_Static_assert(sizeof(struct track) <= 48, "the memory that history_check.h states");

/* Open addressing, at most two thirds used. */
struct tracks {
    struct track *slots;
    uint64_t slot_count; /* a power of two */
    uint64_t count;      /* used ones */
};

static uint64_t track_slot(const struct tracks *tracks, uint32_t channel, uint32_t scope,
                           uint32_t key)
{
    uint64_t mixed = ((uint64_t)channel << 32 | scope) * 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ (mixed >> 29) ^ key) * 0xbf58476d1ce4e5b9u;
    uint64_t slot = (mixed ^ (mixed >> 32)) & (tracks->slot_count - 1);
    for (;;) {
        const struct track *track = &tracks->slots[slot];
        if (!track->used ||
            (track->channel == channel && track->scope == scope && track->key == key))
            return slot;
        slot = (slot + 1) & (tracks->slot_count - 1);
    }
}

static int tracks_grow(struct tracks *tracks)
{
    struct tracks grown = {.slot_count =
                               tracks->slot_count == 0 ? TRACKS_MIN : tracks->slot_count * 2};
    grown.slots = calloc(grown.slot_count, sizeof *grown.slots);
    if (grown.slots == NULL)
        return -ENOMEM;
    for (uint64_t i = 0; i < tracks->slot_count; i++) {
        const struct track *track = &tracks->slots[i];
        if (track->used)
            grown.slots[track_slot(&grown, track->channel, track->scope, track->key)] = *track;
    }
    grown.count = tracks->count;
    free(tracks->slots);
    *tracks = grown;
    return 0;
}

/* The track, made when it is new; valid until the next call. NULL: no memory. */
static struct track *track_find(struct tracks *tracks, uint32_t channel, uint32_t scope,
                                uint32_t key)
{
    if ((tracks->count + 1) * 3 > tracks->slot_count * 2 && tracks_grow(tracks) < 0)
        return NULL;
    struct track *track = &tracks->slots[track_slot(tracks, channel, scope, key)];
    if (!track->used) {
        *track = (struct track){.channel = channel, .scope = scope, .key = key, .used = true};
        tracks->count++;
    }
    return track;
}

static bool track_rises(const struct track *track, const struct history_op *op, uint64_t sequence)
{
    return !track->met || op->channel_epoch > track->channel_epoch ||
           (op->channel_epoch == track->channel_epoch && sequence > track->sequence);
}

static void track_move(struct track *track, const struct history_op *op, uint64_t sequence,
                       uint32_t place)
{
    track->met = true;
    track->sequence = sequence;
    track->channel_epoch = op->channel_epoch;
    track->place = place;
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* Where the walk is. */
struct walk {
    struct judge *judge;
    struct tracks chains;
    struct tracks keys;
    uint32_t partition; /* index */
    uint32_t stretch;   /* index */
    uint64_t offset;    /* */
    uint64_t log_index; /* highest one of this partition so far */
    int64_t time_us;    /* append time of the record before, INT64_MIN = none */
};

static uint32_t walk_number(const struct walk *walk)
{
    return walk->judge->partitions[walk->partition].number;
}

/* A holder that was replaced, and whose successor had been acknowledged, appends no more. */
static void judge_holder(const struct walk *walk, struct track *chain, uint32_t record)
{
    const struct history_op *op = &walk->judge->history->ops[walk->judge->record_ops[record]];
    uint64_t end_ns = op->outcome == HISTORY_OK ? op->end_ns : UINT64_MAX;
    if (op->producer_epoch == 0)
        return;
    if (op->producer_epoch < chain->producer_epoch && op->start_ns > chain->holder_end_ns)
        JUDGE_VIOLATE(walk->judge, HISTORY_P5,
                      "partition %u offset %" PRIu64 ": %s was appended under producer epoch %u, "
                      "which %u had fenced",
                      walk_number(walk), walk->offset, judge_describe(walk->judge, record).text,
                      op->producer_epoch, chain->producer_epoch);
    if (op->producer_epoch > chain->producer_epoch) {
        chain->producer_epoch = op->producer_epoch;
        chain->holder_end_ns = end_ns;
    } else if (op->producer_epoch == chain->producer_epoch && end_ns < chain->holder_end_ns) {
        chain->holder_end_ns = end_ns;
    }
}

static int judge_chain(struct walk *walk, uint32_t record)
{
    struct judge *judge = walk->judge;
    const struct history_op *op = &judge->history->ops[judge->record_ops[record]];
    uint64_t sequence = judge->history->records[record].sequence;
    struct track *chain = track_find(&walk->chains, op->channel, walk->partition, 0);
    if (chain == NULL)
        return -ENOMEM;
    if (!track_rises(chain, op, sequence))
        JUDGE_VIOLATE(judge, HISTORY_P5,
                      "partition %u offset %" PRIu64 ": %s stands behind %u/%" PRIu64,
                      walk_number(walk), walk->offset, judge_describe(judge, record).text,
                      chain->channel_epoch, chain->sequence);
    /* All that stands before it is known: from offset 0, or from the last one of the chain. */
    const struct judge_partition *partition = &judge->partitions[walk->partition];
    bool from_begin = walk->stretch == partition->first_stretch &&
                      judge->stretches[walk->stretch].first_offset == 0;
    bool known = chain->met ? chain->place == walk->stretch : from_begin;
    bool same_epoch = chain->met && chain->channel_epoch == op->channel_epoch;
    uint64_t before = same_epoch ? chain->sequence : 0;
    if (known && record == op->first_record && op->previous != HISTORY_NONE &&
        op->previous != before)
        JUDGE_VIOLATE(judge, HISTORY_P5,
                      "partition %u offset %" PRIu64 ": %s was sent behind %" PRIu64
                      " and stands behind %" PRIu64,
                      walk_number(walk), walk->offset, judge_describe(judge, record).text,
                      op->previous, before);
    judge_holder(walk, chain, record);
    track_move(chain, op, sequence, walk->stretch);
    return 0;
}

/* A key stays in its partition; there the sequence of its channel is its own. */
static int judge_key(struct walk *walk, uint32_t record)
{
    struct judge *judge = walk->judge;
    const struct history_op *op = &judge->history->ops[judge->record_ops[record]];
    const struct history_record *sent = &judge->history->records[record];
    struct track *key = track_find(&walk->keys, op->channel, op->topic, sent->key);
    if (key == NULL)
        return -ENOMEM;
    if (key->met && key->place != walk->partition)
        JUDGE_VIOLATE(judge, HISTORY_P5,
                      "partition %u offset %" PRIu64 ": %s has key %08x, which is at home in %u",
                      walk_number(walk), walk->offset, judge_describe(judge, record).text,
                      sent->key, judge->partitions[key->place].number);
    key->met = true;
    key->place = walk->partition;
    return 0;
}

/* A record that stands somewhere already. */
static void judge_double(const struct walk *walk, uint32_t record)
{
    struct judge *judge = walk->judge;
    uint32_t place = judge->record_places[record];
    const struct judge_stretch *other = judge_stretch_of(judge, place);
    bool ok = judge->history->ops[judge->record_ops[record]].outcome == HISTORY_OK;
    const enum history_property broken[] = {HISTORY_P4, ok ? HISTORY_P1 : HISTORY_P2};
    for (unsigned i = 0; i < 2; i++)
        JUDGE_VIOLATE(
            judge, broken[i],
            "%s is there twice: partition %u offset %" PRIu64 " and partition %u offset %" PRIu64,
            judge_describe(judge, record).text, judge->partitions[other->partition].number,
            judge_offset(other, place), walk_number(walk), walk->offset);
}

/* Entry against what was sent. */
static void judge_content(const struct walk *walk, const struct history_entry *entry,
                          uint32_t record)
{
    struct judge *judge = walk->judge;
    const struct history_record *sent = &judge->history->records[record];
    const char *what = entry->sequence != sent->sequence ? "sequence"
                       : entry->key != sent->key         ? "key"
                       : entry->content != sent->content ? "content"
                                                         : NULL;
    if (what != NULL)
        JUDGE_VIOLATE(judge, HISTORY_CONTENT,
                      "partition %u offset %" PRIu64 ": %s has come back with another %s",
                      walk_number(walk), walk->offset, judge_describe(judge, record).text, what);
}

static void judge_stamps(struct walk *walk, const struct history_entry *entry)
{
    if (entry->append_time_us < walk->time_us)
        JUDGE_VIOLATE(walk->judge, HISTORY_APPEND_TIME,
                      "partition %u offset %" PRIu64 ": appended at %" PRId64
                      " us, the record before at %" PRId64,
                      walk_number(walk), walk->offset, entry->append_time_us, walk->time_us);
    walk->time_us = entry->append_time_us;
}

/* A first answer rests on the entry that holds it, or on a later one that went out with it. */
static void judge_log_index(struct walk *walk, uint32_t record)
{
    struct judge *judge = walk->judge;
    const struct history_op *op = &judge->history->ops[judge->record_ops[record]];
    if (op->outcome != HISTORY_OK || op->log_index == 0 || (op->flags & HISTORY_OP_DUPLICATE) != 0)
        return;
    if (op->log_index < walk->log_index)
        JUDGE_VIOLATE(judge, HISTORY_LOG_ORDER,
                      "partition %u offset %" PRIu64 ": %s rests on log index %" PRIu64
                      ", one before it on %" PRIu64,
                      walk_number(walk), walk->offset, judge_describe(judge, record).text,
                      op->log_index, walk->log_index);
    else
        walk->log_index = op->log_index;
}

static int judge_place(struct walk *walk, uint32_t place)
{
    struct judge *judge = walk->judge;
    const struct history_entry *entry = &judge->history->entries[judge->places[place]];
    uint32_t record = judge_find_record(judge, entry->id);
    judge_stamps(walk, entry);
    judge->places[place] = record;
    if (record == JUDGE_NONE) {
        JUDGE_VIOLATE(judge, HISTORY_P2,
                      "partition %u offset %" PRIu64 ": nobody has sent id %" PRIu64
                      " (sequence %" PRIu64 ")",
                      walk_number(walk), walk->offset, entry->id, entry->sequence);
        return 0;
    }
    if (judge->record_places[record] != JUDGE_NONE) {
        judge_double(walk, record);
        return 0;
    }
    judge->record_places[record] = place;
    if (judge->history->ops[judge->record_ops[record]].outcome == HISTORY_FAIL)
        JUDGE_VIOLATE(judge, HISTORY_P2, "partition %u offset %" PRIu64 ": %s had failed",
                      walk_number(walk), walk->offset, judge_describe(judge, record).text);
    judge_content(walk, entry, record);
    judge_log_index(walk, record);
    int status = judge_chain(walk, record);
    return status == 0 ? judge_key(walk, record) : status;
}

int judge_order(struct judge *judge)
{
    struct walk walk = {.judge = judge, .partition = JUDGE_NONE};
    int status = 0;
    for (uint32_t i = 0; i < judge->stretch_count && status == 0; i++) {
        const struct judge_stretch *stretch = &judge->stretches[i];
        if (stretch->partition != walk.partition) {
            walk.partition = stretch->partition;
            walk.log_index = 0;
            walk.time_us = INT64_MIN;
        }
        walk.stretch = i;
        for (uint32_t at = 0; at < stretch->count && status == 0; at++) {
            judge_expect(judge, stretch->first_place + at);
            walk.offset = stretch->first_offset + at;
            status = judge_place(&walk, stretch->first_place + at);
        }
    }
    free(walk.chains.slots);
    free(walk.keys.slots);
    return status;
}
