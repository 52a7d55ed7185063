/* SPDX-License-Identifier: Apache-2.0
 *
 * Recording of a history; see history.h.
 */
#include "tests/support/history.h"

#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENTS_MIN 64u
#define ELEMENTS_MAX (UINT32_MAX - 1) /* an index fits 32 bits and is not the last value */

_Static_assert(sizeof(struct history_op) == 72, "the memory that history.h states");
_Static_assert(sizeof(struct history_record) == 24, "the memory that history.h states");
_Static_assert(sizeof(struct history_entry) == 32, "the memory that history.h states");
_Static_assert(sizeof(struct history_run) == 72, "the memory that history.h states");

void history_init(struct history *history)
{
    *history = (struct history){0};
}

void history_deinit(struct history *history)
{
    free(history->ops);
    free(history->records);
    free(history->claims);
    free(history->runs);
    free(history->entries);
    free(history->floors);
    free(history->quarantines);
    free(history->moments);
    history_init(history);
}

void history_reset(struct history *history)
{
    history->op_count = history->record_count = history->claim_count = 0;
    history->run_count = history->entry_count = history->moment_count = 0;
    history->floor_count = history->quarantine_count = history->resolved = 0;
    history->status = 0;
}

/* Makes room for `more` elements; `array` points to the pointer, which may move. */
static int reserve(struct history *history, void *array, uint64_t *max, uint64_t count,
                   uint64_t more, size_t bytes)
{
    XD_ASSERT(count <= *max);
    int status = 0;
    if (more > ELEMENTS_MAX - count) {
        status = -EOVERFLOW;
    } else if (count + more > *max) {
        void *grown;
        uint64_t wanted = *max < ELEMENTS_MIN ? ELEMENTS_MIN : *max;
        while (wanted < count + more)
            wanted *= 2;
        memcpy(&grown, array, sizeof grown);
        grown = realloc(grown, wanted * bytes);
        if (grown == NULL) {
            status = -ENOMEM;
        } else {
            memcpy(array, &grown, sizeof grown);
            *max = wanted;
        }
    }
    if (status < 0 && history->status == 0)
        history->status = status;
    return status;
}

/* Room for `more` elements of an array, whose count and room are named after one of them. */
#define RESERVE(history, array, one, more)                                                         \
    reserve((history), &(history)->array, &(history)->one##_max, (history)->one##_count, (more),   \
            sizeof *(history)->array)

int64_t history_start(struct history *history, const struct history_start *start,
                      const struct history_record *records, uint32_t record_count)
{
    XD_ASSERT(start->kind < HISTORY_KIND_COUNT);
    XD_ASSERT((start->kind == HISTORY_PRODUCE) == (record_count > 0));
    int status = RESERVE(history, ops, op, 1);
    if (status == 0)
        status = RESERVE(history, records, record, record_count);
    if (status < 0)
        return status;
    history->ops[history->op_count] = (struct history_op){
        .start_ns = start->time_ns,
        .previous = start->previous,
        .base_offset = HISTORY_NONE,
        .first_record = (uint32_t)history->record_count,
        .record_count = record_count,
        .partition = start->partition,
        .channel = start->channel,
        .client = start->client,
        .producer_epoch = start->producer_epoch,
        .channel_epoch = start->channel_epoch,
        .topic = start->topic,
        .kind = start->kind,
        .flags = start->hostile ? HISTORY_OP_HOSTILE : 0,
    };
    for (uint32_t i = 0; i < record_count; i++) {
        XD_ASSERT(i == 0 || records[i].sequence > records[i - 1].sequence);
        history->records[history->record_count++] = records[i];
    }
    return (int64_t)history->op_count++;
}

/* Keeps an answer beside the one that the operation holds. */
static int keep_claim(struct history *history, uint64_t op, const struct history_claim *claim)
{
    int status = RESERVE(history, claims, claim, 1);
    if (status < 0)
        return status;
    history->claims[history->claim_count] = *claim;
    history->claims[history->claim_count++].op = (uint32_t)op;
    return 0;
}

/* The operation takes the answer for its own. */
static void take_end(struct history_op *op, const struct history_end *end, uint32_t partition)
{
    op->end_ns = end->time_ns;
    op->outcome = end->outcome;
    op->level = end->level;
    op->partition = partition;
    op->base_offset = end->outcome == HISTORY_OK ? end->base_offset : HISTORY_NONE;
    op->log_index = end->outcome == HISTORY_OK ? end->log_index : 0;
    if (end->outcome == HISTORY_OK && end->duplicate)
        op->flags |= HISTORY_OP_DUPLICATE;
}

/* The answer that the operation holds, as a claim. */
static struct history_claim claim_of(const struct history_op *op)
{
    return (struct history_claim){.time_ns = op->end_ns,
                                  .base_offset = op->base_offset,
                                  .partition = op->partition,
                                  .outcome = op->outcome,
                                  .level = op->level};
}

/* A second ok: a repetition, a stronger level, or another claim. */
static int take_second(struct history *history, uint64_t number, const struct history_end *end,
                       uint32_t partition)
{
    struct history_op *op = &history->ops[number];
    bool told = op->base_offset != HISTORY_NONE;
    bool same = op->partition == partition &&
                (!told || end->base_offset == HISTORY_NONE || op->base_offset == end->base_offset);
    if (!same) {
        const struct history_claim older = claim_of(op);
        take_end(op, end, partition);
        return keep_claim(history, number, &older);
    }
    if (!told)
        op->base_offset = end->base_offset;
    /* After a crash it may have been appended again at the same offset. */
    if (!end->duplicate)
        op->log_index = end->log_index;
    /* A weak answer that is repeated tells that it is there now: it may have been sent again. */
    if (end->level < op->level || (end->level == op->level && end->level != HISTORY_FSYNC)) {
        op->level = end->level;
        op->end_ns = end->time_ns;
    }
    if (end->duplicate)
        op->flags |= HISTORY_OP_DUPLICATE;
    return 0;
}

int history_end(struct history *history, uint64_t number, const struct history_end *end)
{
    XD_ASSERT(number < history->op_count);
    XD_ASSERT(end->outcome > HISTORY_PENDING && end->outcome < HISTORY_OUTCOME_COUNT);
    XD_ASSERT(end->level < HISTORY_LEVEL_COUNT);
    struct history_op *op = &history->ops[number];
    XD_ASSERT(end->time_ns >= op->start_ns);
    uint32_t partition = end->partition != HISTORY_PARTITION_NONE ? end->partition : op->partition;
    struct history_claim older = claim_of(op);
    switch ((enum history_outcome)op->outcome) {
    case HISTORY_OK:
        if (end->outcome == HISTORY_OK)
            return take_second(history, number, end, partition);
        if (end->outcome == HISTORY_FAIL) {
            older.time_ns = end->time_ns;
            older.outcome = HISTORY_FAIL;
        } else if (op->level == HISTORY_FSYNC) {
            return 0;
        } else {
            take_end(op, end, partition);
        }
        return keep_claim(history, number, &older);
    case HISTORY_FAIL:
        if (end->outcome != HISTORY_OK)
            return 0;
        take_end(op, end, partition);
        return keep_claim(history, number, &older);
    case HISTORY_UNKNOWN:
        history->resolved += end->outcome != HISTORY_UNKNOWN;
        break;
    case HISTORY_PENDING:
    case HISTORY_OUTCOME_COUNT:
        break;
    }
    take_end(op, end, partition);
    return 0;
}

int history_read(struct history *history, const struct history_reply *reply)
{
    XD_ASSERT(reply->end_ns >= reply->start_ns);
    XD_ASSERT(reply->partition != HISTORY_PARTITION_NONE);
    int status = RESERVE(history, runs, run, 1);
    if (status < 0)
        return status;
    history->runs[history->run_count++] =
        (struct history_run){.reply = *reply,
                             .base_offset = reply->requested,
                             .first_entry = (uint32_t)history->entry_count};
    return 0;
}

int history_read_record(struct history *history, uint64_t offset, const struct history_entry *entry)
{
    XD_ASSERT(offset != HISTORY_NONE);
    /* The run that it belongs to may be missing. */
    if (history->status < 0)
        return history->status;
    XD_ASSERT(history->run_count > 0);
    int status = RESERVE(history, entries, entry, 1);
    if (status == 0)
        status = RESERVE(history, runs, run, 1);
    if (status < 0)
        return status;
    struct history_run *run = &history->runs[history->run_count - 1];
    if (run->entry_count > 0 && offset != run->base_offset + run->entry_count) {
        run[1] = (struct history_run){
            .reply = run->reply, .first_entry = (uint32_t)history->entry_count, .continues = true};
        run++;
        history->run_count++;
    }
    if (run->entry_count++ == 0)
        run->base_offset = offset;
    history->entries[history->entry_count++] = *entry;
    return 0;
}

int history_mark(struct history *history, enum history_mark mark, uint64_t time_ns)
{
    XD_ASSERT(mark < HISTORY_MARK_COUNT);
    XD_ASSERT(history->moment_count == 0 ||
              history->moments[history->moment_count - 1].time_ns <= time_ns);
    int status = RESERVE(history, moments, moment, 1);
    if (status == 0)
        history->moments[history->moment_count++] =
            (struct history_moment){.time_ns = time_ns, .mark = mark};
    return status;
}

int history_floor(struct history *history, uint32_t partition, uint64_t offset, uint64_t time_ns)
{
    XD_ASSERT(partition != HISTORY_PARTITION_NONE);
    int status = RESERVE(history, floors, floor, 1);
    if (status == 0)
        history->floors[history->floor_count++] =
            (struct history_floor){.time_ns = time_ns, .offset = offset, .partition = partition};
    return status;
}

int history_quarantine(struct history *history, uint32_t partition, uint64_t first, uint64_t last,
                       uint64_t time_ns)
{
    XD_ASSERT(partition != HISTORY_PARTITION_NONE);
    XD_ASSERT(first <= last);
    int status = RESERVE(history, quarantines, quarantine, 1);
    if (status == 0)
        history->quarantines[history->quarantine_count++] =
            (struct history_quarantine){.time_ns = time_ns,
                                        .until_ns = UINT64_MAX,
                                        .first = first,
                                        .last = last,
                                        .partition = partition};
    return status;
}

void history_repaired(struct history *history, uint64_t time_ns)
{
    XD_ASSERT(history->quarantine_count <= history->quarantine_max);
    for (uint64_t i = 0; i < history->quarantine_count; i++) {
        struct history_quarantine *range = &history->quarantines[i];
        XD_ASSERT(range->time_ns <= time_ns);
        if (range->until_ns == UINT64_MAX)
            range->until_ns = time_ns;
    }
}
