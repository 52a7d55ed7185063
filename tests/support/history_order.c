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
    uint64_t first_sequence; /* chain: of the first record that is kept */
    uint64_t holder_end_ns;  /* chain: first ack of an operation under producer_epoch */
    uint32_t channel;        /* with scope and key: whose track it is */
    uint32_t scope;          /* chain: partition index; key: topic */
    uint32_t key;            /* chain: 0 */
    uint32_t place;          /* chain: stretch; key: partition index */
    uint32_t producer_epoch; /* chain: highest one met, 0 = none */
    uint16_t channel_epoch;  /* chain: of the record met last */
    uint16_t first_epoch;    /* chain: of that record */
    bool used;               /* the slot holds a track */
    bool met;                /* something of it was met: the rest is valid */
    bool kept;               /* chain: something of it is kept: first_* are valid */
};
_Static_assert(sizeof(struct track) <= 56, "the memory that history_check.h states");

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

/* ---- opens ----------------------------------------------------------------------------------- */

/* From `time_ns` on, what begins under an earlier epoch of the channel is fenced. */
struct open {
    uint64_t time_ns; /* when this open, or a later one of the channel, was known to be ok */
    uint32_t channel; /* */
    uint32_t epoch;   /* of the producer */
};

/* By channel and epoch. */
struct opens {
    struct open *opens;
    uint64_t count;
    uint64_t max;
};

static int compare_opens(const void *left, const void *right)
{
    const struct open *a = left, *b = right;
    if (a->channel != b->channel)
        return a->channel < b->channel ? -1 : 1;
    return a->epoch < b->epoch ? -1 : a->epoch > b->epoch;
}

static int collect_opens(const struct history *history, struct opens *opens)
{
    for (uint64_t i = 0; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (op->kind != HISTORY_CALL || op->outcome != HISTORY_OK || op->producer_epoch == 0)
            continue;
        int status = judge_reserve(&opens->opens, &opens->max, opens->count, sizeof *opens->opens);
        if (status < 0)
            return status;
        opens->opens[opens->count++] = (struct open){
            .time_ns = op->end_ns, .channel = op->channel, .epoch = op->producer_epoch};
    }
    if (opens->count > 0)
        qsort(opens->opens, opens->count, sizeof *opens->opens, compare_opens);
    for (uint64_t i = opens->count; i-- > 1;) {
        struct open *earlier = &opens->opens[i - 1];
        const struct open *later = &opens->opens[i];
        if (earlier->channel == later->channel && later->time_ns < earlier->time_ns)
            earlier->time_ns = later->time_ns;
    }
    return 0;
}

/* When the epoch was replaced; UINT64_MAX = nobody was told so. */
static uint64_t fenced_at(const struct opens *opens, uint32_t channel, uint32_t epoch)
{
    const struct open wanted = {.channel = channel, .epoch = epoch};
    uint64_t low = 0, high = opens->count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (compare_opens(&opens->opens[middle], &wanted) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < opens->count && opens->opens[low].channel == channel;
    return found ? opens->opens[low].time_ns : UINT64_MAX;
}

/* ---- the walk -------------------------------------------------------------------------------- */

/* Where the walk is. */
struct walk {
    struct judge *judge;
    struct tracks chains;
    struct tracks keys;
    struct opens opens;
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
    uint64_t fenced_ns = fenced_at(&walk->opens, op->channel, op->producer_epoch);
    if (op->start_ns > fenced_ns)
        JUDGE_VIOLATE(walk->judge, HISTORY_P5,
                      "partition %u offset %" PRIu64
                      ": %s was appended under producer epoch %u; it "
                      "began at %" PRIu64 " ns, a later open was answered at %" PRIu64 " ns",
                      walk_number(walk), walk->offset, judge_describe(walk->judge, record).text,
                      op->producer_epoch, op->start_ns, fenced_ns);
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
    if (!chain->kept && walk->offset >= partition->floor) {
        chain->kept = true;
        chain->first_sequence = sequence;
        chain->first_epoch = op->channel_epoch;
    }
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

static int compare_begins(const void *left, const void *right)
{
    const struct judge_begin *a = left, *b = right;
    if (a->channel != b->channel)
        return a->channel < b->channel ? -1 : 1;
    return a->partition < b->partition ? -1 : a->partition > b->partition;
}

/* Remembers where each chain begins. */
static int keep_begins(struct judge *judge, const struct tracks *chains)
{
    judge->begins = malloc((chains->count + 1) * sizeof *judge->begins);
    if (judge->begins == NULL)
        return -ENOMEM;
    for (uint64_t i = 0; i < chains->slot_count; i++) {
        const struct track *track = &chains->slots[i];
        if (track->kept)
            judge->begins[judge->begin_count++] =
                (struct judge_begin){.sequence = track->first_sequence,
                                     .channel = track->channel,
                                     .partition = track->scope,
                                     .epoch = track->first_epoch};
    }
    XD_ASSERT(judge->begin_count <= chains->count);
    qsort(judge->begins, judge->begin_count, sizeof *judge->begins, compare_begins);
    return 0;
}

const struct judge_begin *judge_find_begin(const struct judge *judge, uint32_t channel,
                                           uint32_t partition)
{
    const struct judge_begin wanted = {.channel = channel, .partition = partition};
    return bsearch(&wanted, judge->begins, judge->begin_count, sizeof wanted, compare_begins);
}

int judge_order(struct judge *judge)
{
    struct walk walk = {.judge = judge, .partition = JUDGE_NONE};
    int status = collect_opens(judge->history, &walk.opens);
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
    if (status == 0)
        status = keep_begins(judge, &walk.chains);
    free(walk.opens.opens);
    free(walk.chains.slots);
    free(walk.keys.slots);
    return status;
}
