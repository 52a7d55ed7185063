/* SPDX-License-Identifier: Apache-2.0
 *
 * Every answer against the log: an ok record stands where it was said to, or there is an excuse.
 *
 * Excuses, in this sequence: it is older than the oldest record kept; it lies in a range that was
 * reported as damaged; it was acknowledged below fsync and a crash came after it began
 * (history_past.c decides). Where no offset was told, the records of an operation must still stand
 * together; then any damage in the partition is an excuse, because nothing says where it was, and
 * retention unless an earlier record of its chain is kept.
 */
#include "tests/support/history_judge.h"

#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>

/* Where an operation says that it stands, or seems to stand. */
struct claim {
    uint64_t start_ns;    /* when the operation began */
    uint64_t time_ns;     /* when the answer was known */
    uint64_t base_offset; /* HISTORY_NONE = nobody knows */
    uint32_t partition;   /* index, JUDGE_NONE = nobody knows */
    uint8_t level;        /* */
};

/* Time of the first crash then or later; UINT64_MAX = none. */
static uint64_t crash_after(const struct history *history, uint64_t time_ns)
{
    uint64_t low = 0, high = history->moment_count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (history->moments[middle].time_ns < time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < history->moment_count; low++)
        if (history->moments[low].mark == HISTORY_CRASH)
            return history->moments[low].time_ns;
    return UINT64_MAX;
}

static int ask_weak(struct judge *judge, const struct claim *claim, uint32_t record,
                    uint64_t offset, uint64_t crash_ns)
{
    int status = judge_reserve(&judge->questions, &judge->question_max, judge->question_count,
                               sizeof *judge->questions);
    if (status == 0)
        judge->questions[judge->question_count++] =
            (struct judge_question){.offset = offset,
                                    .time_ns = crash_ns,
                                    .partition = claim->partition,
                                    .subject = record,
                                    .kind = QUESTION_WEAK};
    return status;
}

/* A record is not there and nothing has removed it. */
static int judge_lost(struct judge *judge, const struct claim *claim, uint32_t record,
                      uint64_t offset)
{
    static const char *const levels[] = {"fsync", "written", "memory"};
    XD_ASSERT(claim->level < HISTORY_LEVEL_COUNT);
    /* The answer may have been on its way when the broker died. */
    uint64_t crash_ns = crash_after(judge->history, claim->start_ns);
    if (claim->level != HISTORY_FSYNC && crash_ns != UINT64_MAX) {
        if (claim->partition != JUDGE_NONE && offset != HISTORY_NONE)
            return ask_weak(judge, claim, record, offset, crash_ns);
        judge->report->weak_lost++;
        return 0;
    }
    const enum history_property broken[] = {
        HISTORY_P1, claim->level == HISTORY_FSYNC ? HISTORY_DURABLE : HISTORY_WEAK};
    for (unsigned i = 0; i < 2; i++)
        JUDGE_VIOLATE(judge, broken[i],
                      "%s is missing: acknowledged at %s at %" PRIu64 " ns, offset %" PRId64
                      " of partition %" PRId64 ", %s crash since it began",
                      judge_describe(judge, record).text, levels[claim->level], claim->time_ns,
                      (int64_t)offset,
                      claim->partition != JUDGE_NONE
                          ? (int64_t)judge->partitions[claim->partition].number
                          : -1,
                      crash_ns != UINT64_MAX ? "a" : "no");
    return 0;
}

/* Two that were acknowledged at one offset are wrong, even when neither can be read. */
static int excuse(struct judge *judge, const struct claim *claim, uint32_t record, uint64_t offset,
                  uint64_t *count)
{
    ++*count;
    if (claim->level != HISTORY_FSYNC)
        return 0;
    int status = judge_reserve(&judge->excuses, &judge->excuse_max, judge->excuse_count,
                               sizeof *judge->excuses);
    if (status == 0)
        judge->excuses[judge->excuse_count++] = (struct judge_excuse){
            .offset = offset, .partition = claim->partition, .record = record};
    return status;
}

/* Removed by retention: old enough for that. */
static void judge_young(struct judge *judge, const struct claim *claim, uint32_t record)
{
    uint64_t kept_ns = judge->options->retention_ns;
    if (kept_ns > 0 && claim->start_ns + kept_ns > judge->last_ns)
        JUDGE_VIOLATE(judge, HISTORY_FLOOR,
                      "%s began at %" PRIu64 " ns and is gone at %" PRIu64
                      " ns; retention keeps %" PRIu64 " ns",
                      judge_describe(judge, record).text, claim->start_ns, judge->last_ns, kept_ns);
}

/* Retention has removed something of the partition: whether it may have removed this record. What
 * stands behind a kept record of its chain is kept. */
static bool may_be_below(const struct judge *judge, uint32_t partition, uint32_t record)
{
    const struct history_op *op = &judge->history->ops[judge->record_ops[record]];
    const struct judge_begin *begin = judge_find_begin(judge, op->channel, partition);
    if (judge->partitions[partition].floor == 0)
        return false;
    return begin == NULL || op->channel_epoch < begin->epoch ||
           (op->channel_epoch == begin->epoch &&
            judge->history->records[record].sequence < begin->sequence);
}

static void judge_unread(struct judge *judge, uint32_t record)
{
    JUDGE_VIOLATE(judge, HISTORY_UNREAD, "%s: nobody has read where it should stand",
                  judge_describe(judge, record).text);
}

/* An ok record that stands nowhere, and whose offset was not told. */
static int judge_missing_anywhere(struct judge *judge, const struct claim *claim, uint32_t record)
{
    bool known = claim->partition != JUDGE_NONE, read = false;
    uint32_t first = known ? claim->partition : 0;
    uint32_t end = known ? first + 1 : judge->partition_count;
    for (uint32_t i = first; i < end; i++) {
        const struct judge_partition *partition = &judge->partitions[i];
        bool below = may_be_below(judge, i, record);
        if (below || judge_quarantined(judge, i, 0, UINT64_MAX, UINT64_MAX)) {
            ++*(below ? &judge->report->below_floor : &judge->report->quarantined);
            if (below)
                judge_young(judge, claim, record);
            return 0;
        }
        read |= partition->last_end != HISTORY_NONE && partition->last_start_ns > claim->time_ns;
    }
    if (read)
        return judge_lost(judge, claim, record, HISTORY_NONE);
    judge_unread(judge, record);
    return 0;
}

/* Whether somebody would have seen a record at the offset: read it, or come to an end before it
 * since the claim. */
static bool was_read(const struct judge *judge, const struct claim *claim, uint64_t offset)
{
    const struct judge_partition *partition = &judge->partitions[claim->partition];
    bool behind_end = partition->last_end != HISTORY_NONE && offset >= partition->last_end &&
                      partition->last_start_ns > claim->time_ns;
    return behind_end || judge_find_stretch(judge, claim->partition, offset) != NULL;
}

/* An ok record that stands nowhere. */
static int judge_missing(struct judge *judge, const struct claim *claim, uint32_t record,
                         uint64_t offset)
{
    if (claim->partition == JUDGE_NONE || claim->base_offset == HISTORY_NONE)
        return judge_missing_anywhere(judge, claim, record);
    const struct judge_partition *partition = &judge->partitions[claim->partition];
    if (offset < partition->floor) {
        judge_young(judge, claim, record);
        return excuse(judge, claim, record, offset, &judge->report->below_floor);
    }
    if (judge_quarantined(judge, claim->partition, offset, offset, UINT64_MAX))
        return excuse(judge, claim, record, offset, &judge->report->quarantined);
    if (was_read(judge, claim, offset))
        return judge_lost(judge, claim, record, offset);
    judge_unread(judge, record);
    return 0;
}

/* ---- operations ------------------------------------------------------------------------------ */

/* Where the place is, from the stretch that was found last when it is the same. */
static const struct judge_stretch *stretch_of(const struct judge *judge, uint32_t place,
                                              const struct judge_stretch *hint)
{
    if (hint != NULL && place - hint->first_place < hint->count)
        return hint;
    return judge_stretch_of(judge, place);
}

/* What the operation was told; what was not told follows from its first record that stands
 * somewhere. */
static struct claim claim_of(struct judge *judge, const struct history_op *op,
                             const struct judge_stretch **hint)
{
    struct claim claim = {.start_ns = op->start_ns,
                          .time_ns = op->end_ns,
                          .base_offset = op->base_offset,
                          .partition = JUDGE_NONE,
                          .level = op->level};
    if (op->partition != HISTORY_PARTITION_NONE)
        claim.partition = judge_find_partition(judge, op->partition);
    for (uint32_t i = 0; i < op->record_count; i++) {
        uint32_t place = judge->record_places[op->first_record + i];
        if (claim.base_offset != HISTORY_NONE && claim.partition != JUDGE_NONE)
            break;
        if (place == JUDGE_NONE)
            continue;
        *hint = stretch_of(judge, place, *hint);
        uint64_t offset = judge_offset(*hint, place);
        if (claim.partition == JUDGE_NONE)
            claim.partition = (*hint)->partition;
        if (claim.base_offset == HISTORY_NONE)
            claim.base_offset = offset >= i ? offset - i : 0;
    }
    return claim;
}

/* Of an operation some records stand somewhere and others, among them the one at `offset`, do
 * not. */
static void judge_part(struct judge *judge, const struct history_op *op, const struct claim *claim,
                       uint64_t offset)
{
    uint64_t last = claim->base_offset + op->record_count - 1;
    if (claim->base_offset < judge->partitions[claim->partition].floor ||
        judge_quarantined(judge, claim->partition, claim->base_offset, last, UINT64_MAX) ||
        !was_read(judge, claim, offset))
        return;
    JUDGE_VIOLATE(judge, op->outcome == HISTORY_OK ? HISTORY_P1 : HISTORY_P2,
                  "%s: only a part of its operation is there",
                  judge_describe(judge, op->first_record).text);
}

static int judge_op(struct judge *judge, const struct history_op *op,
                    const struct judge_stretch **hint)
{
    struct claim claim = claim_of(judge, op, hint);
    uint32_t missing = 0;
    uint64_t missing_offset = 0;
    int status = 0;
    for (uint32_t i = 0; i < op->record_count && status == 0; i++) {
        uint32_t record = op->first_record + i, place = judge->record_places[record];
        uint64_t offset = claim.base_offset + i;
        if (place == JUDGE_NONE) {
            missing++;
            missing_offset = offset;
            if (op->outcome == HISTORY_OK)
                status = judge_missing(judge, &claim, record, offset);
            continue;
        }
        *hint = stretch_of(judge, place, *hint);
        if ((*hint)->partition != claim.partition || judge_offset(*hint, place) != offset)
            JUDGE_VIOLATE(judge, HISTORY_CLAIM,
                          "%s stands at offset %" PRIu64 " of partition %u, not at %" PRIu64
                          " of %u",
                          judge_describe(judge, record).text, judge_offset(*hint, place),
                          judge->partitions[(*hint)->partition].number, offset,
                          judge->partitions[claim.partition].number);
    }
    if (missing > 0 && missing < op->record_count)
        judge_part(judge, op, &claim, missing_offset);
    return status;
}

/* Whether a record stands where an answer says. */
static bool stands_at(const struct judge *judge, uint32_t record,
                      const struct history_claim *answer)
{
    uint32_t place = judge->record_places[record];
    if (place == JUDGE_NONE)
        return false;
    const struct judge_stretch *stretch = judge_stretch_of(judge, place);
    return judge->partitions[stretch->partition].number == answer->partition &&
           judge_offset(stretch, place) == answer->base_offset;
}

/* Whether retention or damage has removed what stood at the offset. */
static bool is_removed(const struct judge *judge, uint32_t partition, uint64_t offset)
{
    return offset < judge->partitions[partition].floor ||
           judge_quarantined(judge, partition, offset, offset, UINT64_MAX);
}

/* An answer that another one has replaced: rightly, when a crash had taken what it promised. */
static int judge_replaced(struct judge *judge, const struct history_claim *replaced)
{
    const struct history_op *op = &judge->history->ops[replaced->op];
    uint64_t crash_ns = crash_after(judge->history, op->start_ns);
    uint64_t until_ns = op->outcome == HISTORY_OK ? op->end_ns : UINT64_MAX - 1;
    bool weak = replaced->outcome == HISTORY_OK && replaced->level != HISTORY_FSYNC;
    bool told =
        replaced->partition != HISTORY_PARTITION_NONE && replaced->base_offset != HISTORY_NONE;
    uint32_t partition = told ? judge_find_partition(judge, replaced->partition) : JUDGE_NONE;
    if (op->record_count == 0)
        return 0;
    if (replaced->outcome == HISTORY_OK && stands_at(judge, op->first_record, replaced))
        return 0;
    if (weak && told && is_removed(judge, partition, replaced->base_offset))
        return 0;
    if (!weak || crash_ns > until_ns || replaced->partition != op->partition) {
        JUDGE_VIOLATE(judge, HISTORY_CLAIM,
                      "%s: %s for offset %" PRId64 " at %" PRIu64 " ns, then %s for %" PRId64
                      " at %" PRIu64 " ns",
                      judge_describe(judge, op->first_record).text,
                      replaced->outcome == HISTORY_OK ? "ok" : "refused",
                      (int64_t)replaced->base_offset, replaced->time_ns,
                      op->outcome == HISTORY_OK ? "ok" : "unknown", (int64_t)op->base_offset,
                      op->end_ns);
        return 0;
    }
    if (!told)
        return 0;
    const struct claim claim = {.partition = partition};
    return ask_weak(judge, &claim, op->first_record, replaced->base_offset, crash_ns);
}

static int compare_excuses(const void *left, const void *right)
{
    const struct judge_excuse *a = left, *b = right;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static void judge_excuses(struct judge *judge)
{
    if (judge->excuse_count > 0)
        qsort(judge->excuses, judge->excuse_count, sizeof *judge->excuses, compare_excuses);
    for (uint64_t i = 1; i < judge->excuse_count; i++) {
        const struct judge_excuse *one = &judge->excuses[i - 1], *two = &judge->excuses[i];
        if (compare_excuses(one, two) == 0)
            JUDGE_VIOLATE(judge, HISTORY_P4,
                          "partition %u offset %" PRIu64 " was acknowledged for %s and for %s",
                          judge->partitions[one->partition].number, one->offset,
                          judge_describe(judge, one->record).text,
                          judge_describe(judge, two->record).text);
    }
    if (judge->report->quarantined > judge->options->quarantine_record_max)
        JUDGE_VIOLATE(judge, HISTORY_QUARANTINE,
                      "%" PRIu64 " acknowledged records are lost to damage, allowed are %" PRIu64,
                      judge->report->quarantined, judge->options->quarantine_record_max);
}

int judge_claims(struct judge *judge)
{
    const struct history *history = judge->history;
    const struct judge_stretch *hint = NULL;
    int status = 0;
    for (uint64_t i = 0; i < history->op_count && status == 0; i++)
        status = judge_op(judge, &history->ops[i], &hint);
    for (uint64_t i = 0; i < history->claim_count && status == 0; i++)
        status = judge_replaced(judge, &history->claims[i]);
    judge_excuses(judge);
    return status;
}
