/* SPDX-License-Identifier: Apache-2.0
 *
 * What the judge looks up: records by id, operations by record, partitions by number, runs and
 * damaged ranges by partition.
 */
#include "tests/support/history_judge.h"

#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLOTS_MIN 64u
#define LOOK_AHEAD 12u /* places: about as long as memory takes (measured: a fifth less time) */
#define RESERVE_MIN 64u

int judge_reserve(void *array, uint64_t *max, uint64_t count, size_t bytes)
{
    XD_ASSERT(count <= *max);
    if (count < *max)
        return 0;
    uint64_t wanted = *max == 0 ? RESERVE_MIN : *max * 2;
    void *grown;
    memcpy(&grown, array, sizeof grown);
    grown = realloc(grown, wanted * bytes);
    if (grown == NULL)
        return -ENOMEM;
    memcpy(array, &grown, sizeof grown);
    *max = wanted;
    return 0;
}

struct judge_text judge_describe(const struct judge *judge, uint32_t record)
{
    struct judge_text text;
    XD_ASSERT(record < judge->history->record_count);
    const struct history_op *op = &judge->history->ops[judge->record_ops[record]];
    snprintf(text.text, sizeof text.text, "channel %u/%u sequence %" PRIu64 " of client %u",
             op->channel, op->channel_epoch, judge->history->records[record].sequence, op->client);
    return text;
}

/* ---- records --------------------------------------------------------------------------------- */

/* The finalizer of splitmix64: ids may be small numbers. */
static uint64_t mix(uint64_t id)
{
    id = (id ^ (id >> 30)) * 0xbf58476d1ce4e5b9u;
    id = (id ^ (id >> 27)) * 0x94d049bb133111ebu;
    return id ^ (id >> 31);
}

uint32_t judge_find_record(const struct judge *judge, uint64_t id)
{
    uint64_t slot = mix(id) & judge->id_mask;
    uint32_t record;
    while ((record = judge->id_slots[slot]) != JUDGE_NONE &&
           judge->history->records[record].id != id)
        slot = (slot + 1) & judge->id_mask;
    return record;
}

/* Where judge_find_record looks first: nearly always the record, else JUDGE_NONE or another. */
static uint32_t guess(const struct judge *judge, uint32_t place)
{
    uint64_t id = judge->history->entries[judge->places[place]].id;
    return judge->id_slots[mix(id) & judge->id_mask];
}

void judge_expect(const struct judge *judge, uint32_t place)
{
    const struct history *history = judge->history;
    if (place + 3 * LOOK_AHEAD >= judge->place_count)
        return;
    uint64_t id = history->entries[judge->places[place + 3 * LOOK_AHEAD]].id;
    __builtin_prefetch(&judge->id_slots[mix(id) & judge->id_mask]);
    uint32_t later = guess(judge, place + 2 * LOOK_AHEAD);
    if (later != JUDGE_NONE) {
        __builtin_prefetch(&history->records[later]);
        __builtin_prefetch(&judge->record_ops[later]);
        __builtin_prefetch(&judge->record_places[later]);
    }
    uint32_t soon = guess(judge, place + LOOK_AHEAD);
    if (soon != JUDGE_NONE)
        __builtin_prefetch(&history->ops[judge->record_ops[soon]]);
}

/* At most two thirds of the slots are used. */
static int index_records(struct judge *judge)
{
    const struct history *history = judge->history;
    uint64_t count = history->record_count, slots = SLOTS_MIN;
    while (slots * 2 < count * 3)
        slots *= 2;
    judge->id_mask = slots - 1;
    judge->id_slots = malloc(slots * sizeof *judge->id_slots);
    judge->record_ops = malloc((count + 1) * sizeof *judge->record_ops);
    judge->record_places = malloc((count + 1) * sizeof *judge->record_places);
    if (judge->id_slots == NULL || judge->record_ops == NULL || judge->record_places == NULL)
        return -ENOMEM;
    memset(judge->id_slots, 0xff, slots * sizeof *judge->id_slots);
    memset(judge->record_places, 0xff, (count + 1) * sizeof *judge->record_places);
    for (uint32_t number = 0; number < history->op_count; number++) {
        const struct history_op *op = &history->ops[number];
        for (uint32_t i = 0; i < op->record_count; i++)
            judge->record_ops[op->first_record + i] = number;
    }
    for (uint32_t record = 0; record < count; record++) {
        uint64_t id = history->records[record].id, slot = mix(id) & judge->id_mask;
        uint32_t other;
        while ((other = judge->id_slots[slot]) != JUDGE_NONE) {
            if (history->records[other].id == id) {
                snprintf(judge->report->malformed, sizeof judge->report->malformed,
                         "id %" PRIu64 " was given to %s and to %s", id,
                         judge_describe(judge, other).text, judge_describe(judge, record).text);
                return -EINVAL;
            }
            slot = (slot + 1) & judge->id_mask;
        }
        judge->id_slots[slot] = record;
    }
    return 0;
}

/* ---- partitions ------------------------------------------------------------------------------ */

/* Numbers of partitions while they are collected, rising. */
struct numbers {
    uint32_t *numbers;
    uint64_t count;
    uint64_t max;
    uint32_t last; /* added last: most calls name it again */
    int status;    /* first failure */
};

static void add_number(struct numbers *set, uint32_t number)
{
    if (number == HISTORY_PARTITION_NONE || (set->count > 0 && number == set->last))
        return;
    uint64_t low = 0, high = set->count;
    set->last = number;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (set->numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < set->count && set->numbers[low] == number)
        return;
    int status = judge_reserve(&set->numbers, &set->max, set->count, sizeof(uint32_t));
    if (status < 0) {
        set->status = status;
        return;
    }
    memmove(set->numbers + low + 1, set->numbers + low, (set->count - low) * sizeof(uint32_t));
    set->numbers[low] = number;
    set->count++;
}

static int index_partitions(struct judge *judge)
{
    const struct history *history = judge->history;
    struct numbers set = {0};
    for (uint64_t i = 0; i < history->op_count; i++)
        add_number(&set, history->ops[i].partition);
    for (uint64_t i = 0; i < history->claim_count; i++)
        add_number(&set, history->claims[i].partition);
    for (uint64_t i = 0; i < history->run_count; i++)
        add_number(&set, history->runs[i].reply.partition);
    for (uint64_t i = 0; i < history->floor_count; i++)
        add_number(&set, history->floors[i].partition);
    for (uint64_t i = 0; i < history->quarantine_count; i++)
        add_number(&set, history->quarantines[i].partition);
    judge->partitions = calloc(set.count + 1, sizeof *judge->partitions);
    if (judge->partitions == NULL)
        set.status = -ENOMEM;
    for (uint64_t i = 0; i < set.count && set.status == 0; i++) {
        judge->partitions[i].number = set.numbers[i];
        judge->partitions[i].last_end = HISTORY_NONE;
    }
    judge->partition_count = (uint32_t)set.count;
    free(set.numbers);
    return set.status;
}

uint32_t judge_find_partition(struct judge *judge, uint32_t number)
{
    uint32_t low = 0, high = judge->partition_count;
    XD_ASSERT(high > 0);
    if (judge->partitions[judge->partition_hint].number == number)
        return judge->partition_hint;
    while (high - low > 1) {
        uint32_t middle = (low + high) / 2;
        if (judge->partitions[middle].number <= number)
            low = middle;
        else
            high = middle;
    }
    XD_ASSERT(judge->partitions[low].number == number);
    judge->partition_hint = low;
    return low;
}

/* ---- runs, floors, damaged ranges ------------------------------------------------------------ */

static int compare_runs(const void *left, const void *right)
{
    const struct judge_run *a = left, *b = right;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    if (a->base_offset != b->base_offset)
        return a->base_offset < b->base_offset ? -1 : 1;
    return a->run < b->run ? -1 : a->run > b->run;
}

/* Ends and the newest reply of each partition, and its runs in the sequence of the log. */
static int index_runs(struct judge *judge)
{
    const struct history *history = judge->history;
    judge->runs = malloc((history->run_count + 1) * sizeof *judge->runs);
    if (judge->runs == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < history->run_count; i++) {
        const struct history_run *run = &history->runs[i];
        const struct history_reply *reply = &run->reply;
        uint32_t index = judge_find_partition(judge, reply->partition);
        struct judge_partition *partition = &judge->partitions[index];
        uint64_t end = reply->end_offset != HISTORY_NONE ? reply->end_offset : 0;
        if (run->entry_count > 0 && run->base_offset + run->entry_count > end)
            end = run->base_offset + run->entry_count;
        if (end > partition->end)
            partition->end = end;
        if (reply->end_offset != HISTORY_NONE && reply->start_ns >= partition->last_start_ns) {
            partition->last_start_ns = reply->start_ns;
            partition->last_end = reply->end_offset;
        }
        if (reply->first_offset != HISTORY_NONE && reply->first_offset > partition->floor)
            partition->floor = reply->first_offset;
        judge->runs[i] =
            (struct judge_run){.base_offset = run->base_offset, .partition = index, .run = i};
    }
    for (uint64_t i = 0; i < history->floor_count; i++) {
        const struct history_floor *floor = &history->floors[i];
        struct judge_partition *partition =
            &judge->partitions[judge_find_partition(judge, floor->partition)];
        if (floor->offset > partition->floor)
            partition->floor = floor->offset;
    }
    qsort(judge->runs, history->run_count, sizeof *judge->runs, compare_runs);
    for (uint32_t i = 0; i < history->run_count; i++) {
        struct judge_partition *partition = &judge->partitions[judge->runs[i].partition];
        if (partition->run_count++ == 0)
            partition->first_run = i;
    }
    return 0;
}

static int compare_quarantines(const void *left, const void *right)
{
    const struct history_quarantine *a = left, *b = right;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return a->first < b->first ? -1 : a->first > b->first;
}

static int index_quarantines(struct judge *judge)
{
    uint64_t count = judge->history->quarantine_count;
    judge->quarantines = malloc((count + 1) * sizeof *judge->quarantines);
    if (judge->quarantines == NULL)
        return -ENOMEM;
    if (count > 0)
        memcpy(judge->quarantines, judge->history->quarantines, count * sizeof *judge->quarantines);
    qsort(judge->quarantines, count, sizeof *judge->quarantines, compare_quarantines);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = judge_find_partition(judge, judge->quarantines[i].partition);
        if (judge->partitions[index].quarantine_count++ == 0)
            judge->partitions[index].first_quarantine = i;
    }
    return 0;
}

bool judge_quarantined(const struct judge *judge, uint32_t partition, uint64_t first, uint64_t last,
                       uint64_t time_ns)
{
    const struct judge_partition *own = &judge->partitions[partition];
    for (uint32_t i = 0; i < own->quarantine_count; i++) {
        const struct history_quarantine *range = &judge->quarantines[own->first_quarantine + i];
        if (range->first <= last && range->last >= first && range->time_ns < time_ns &&
            range->until_ns >= time_ns)
            return true;
    }
    return false;
}

bool judge_quarantined_whole(const struct judge *judge, uint32_t partition, uint64_t first,
                             uint64_t last, uint64_t time_ns)
{
    const struct judge_partition *own = &judge->partitions[partition];
    for (uint32_t i = 0; i < own->quarantine_count && first <= last; i++) {
        const struct history_quarantine *range = &judge->quarantines[own->first_quarantine + i];
        if (range->first <= first && range->last >= first && range->until_ns >= time_ns)
            first = range->last + 1;
    }
    return first > last;
}

int judge_index(struct judge *judge)
{
    int status = index_records(judge);
    if (status == 0)
        status = index_partitions(judge);
    if (status == 0)
        status = index_runs(judge);
    if (status == 0)
        status = index_quarantines(judge);
    return status;
}

void judge_deinit(struct judge *judge)
{
    free(judge->record_ops);
    free(judge->record_places);
    free(judge->id_slots);
    free(judge->partitions);
    free(judge->runs);
    free(judge->quarantines);
    free(judge->stretches);
    free(judge->places);
    free(judge->begins);
    free(judge->questions);
    free(judge->excuses);
}
