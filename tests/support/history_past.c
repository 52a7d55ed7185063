/* SPDX-License-Identifier: Apache-2.0
 *
 * The log of each partition from its end: whether something that stands at an offset or behind it
 * had been acknowledged, or served, before a given time.
 *
 * Normal path: questions by falling offset against places by falling offset, with the earliest
 * acknowledgement met so far. A reply that ends before what was durable when it was asked for, a
 * weak record that went alone, an operation that stands before what it came after: each is one such
 * question. The same comparison, on the oldest offsets told, shows floors that fall.
 */
#include "tests/support/history_judge.h"

#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>

/* Something was told at a time, and holds for later. */
struct fact {
    uint64_t value;   /* an end, or an oldest offset */
    uint64_t time_ns; /* */
    uint64_t process; /* the broker's at that time, by number; 0 where it does not matter */
};

struct facts {
    struct fact *facts;
    uint64_t count;
    uint64_t max;
};

static int add_fact(struct facts *facts, uint64_t value, uint64_t time_ns)
{
    int status = judge_reserve(&facts->facts, &facts->max, facts->count, sizeof *facts->facts);
    if (status == 0)
        facts->facts[facts->count++] = (struct fact){.value = value, .time_ns = time_ns};
    return status;
}

/* By process, then highest first. */
static int compare_facts(const void *left, const void *right)
{
    const struct fact *a = left, *b = right;
    if (a->process != b->process)
        return a->process < b->process ? -1 : 1;
    return a->value > b->value ? -1 : a->value < b->value;
}

static void sort_facts(struct facts *facts)
{
    if (facts->count > 0)
        qsort(facts->facts, facts->count, sizeof *facts->facts, compare_facts);
}

/* ---- oldest offsets -------------------------------------------------------------------------- */

/* The processes that began by the time. */
static uint64_t process_at(const struct judge *judge, uint64_t time_ns)
{
    const struct history *history = judge->history;
    uint64_t process = 0;
    for (uint64_t i = 0; i < history->moment_count; i++) {
        if (history->moments[i].time_ns > time_ns)
            break;
        process += history->moments[i].mark == HISTORY_RESTART;
    }
    return process;
}

static void number_processes(const struct judge *judge, struct facts *facts)
{
    for (uint64_t i = 0; judge->options->floor_per_process && i < facts->count; i++)
        facts->facts[i].process = process_at(judge, facts->facts[i].time_ns);
}

/* Every oldest offset told, and every offset served, against what was told before. Both come by
 * process and falling value. */
static void compare_floors(struct judge *judge, const struct judge_partition *partition,
                           const struct facts *told, const struct facts *seen)
{
    uint64_t earliest_ns = UINT64_MAX, next = 0, highest = 0;
    for (uint64_t i = 0; i < seen->count; i++) {
        const struct fact *now = &seen->facts[i];
        if (i > 0 && now->process != now[-1].process)
            earliest_ns = UINT64_MAX;
        while (next < told->count && told->facts[next].process < now->process)
            next++;
        for (; next < told->count && told->facts[next].process == now->process &&
               told->facts[next].value > now->value;
             next++) {
            if (told->facts[next].time_ns >= earliest_ns)
                continue;
            earliest_ns = told->facts[next].time_ns;
            highest = told->facts[next].value;
        }
        if (earliest_ns < now->time_ns)
            JUDGE_VIOLATE(judge, HISTORY_FLOOR,
                          "partition %u: offset %" PRIu64
                          " was told as kept, or served, at %" PRIu64 " ns; at %" PRIu64
                          " ns the oldest was %" PRIu64,
                          partition->number, now->value, now->time_ns, earliest_ns, highest);
    }
}

static int collect_floors(const struct judge *judge, uint32_t index, struct facts *told,
                          struct facts *seen)
{
    const struct judge_partition *partition = &judge->partitions[index];
    int status = 0;
    for (uint32_t i = 0; i < partition->run_count && status == 0; i++) {
        const struct history_run *run =
            &judge->history->runs[judge->runs[partition->first_run + i].run];
        uint64_t floor = run->reply.first_offset;
        if (floor != HISTORY_NONE)
            status = add_fact(told, floor, run->reply.end_ns);
        if (run->entry_count > 0 && run->base_offset < floor)
            floor = run->base_offset;
        if (status == 0 && floor != HISTORY_NONE)
            status = add_fact(seen, floor, run->reply.start_ns);
    }
    return status;
}

/* Floors that were told outside of replies are few; they are looked through per partition once. */
static int judge_floors(struct judge *judge)
{
    const struct history *history = judge->history;
    struct facts *told = calloc(judge->partition_count + 1, sizeof *told);
    struct facts seen = {0};
    int status = told == NULL ? -ENOMEM : 0;
    for (uint64_t i = 0; i < history->floor_count && status == 0; i++) {
        const struct history_floor *floor = &history->floors[i];
        uint32_t index = judge_find_partition(judge, floor->partition);
        status = add_fact(&told[index], floor->offset, floor->time_ns);
    }
    for (uint32_t index = 0; index < judge->partition_count && status == 0; index++) {
        const struct judge_partition *partition = &judge->partitions[index];
        seen.count = 0;
        for (uint64_t i = 0; i < told[index].count && status == 0; i++)
            status = add_fact(&seen, told[index].facts[i].value, told[index].facts[i].time_ns);
        if (status == 0)
            status = collect_floors(judge, index, &told[index], &seen);
        number_processes(judge, &told[index]);
        number_processes(judge, &seen);
        sort_facts(&told[index]);
        sort_facts(&seen);
        compare_floors(judge, partition, &told[index], &seen);
        if (partition->floor > 0 && !judge->options->retention)
            JUDGE_VIOLATE(judge, HISTORY_FLOOR,
                          "partition %u: offset %" PRIu64 " is the oldest kept, without retention",
                          partition->number, partition->floor);
        if (partition->run_count > 0 && partition->floor > partition->end)
            JUDGE_VIOLATE(judge, HISTORY_FLOOR,
                          "partition %u: offset %" PRIu64
                          " is the oldest kept, the end is %" PRIu64,
                          partition->number, partition->floor, partition->end);
    }
    for (uint32_t index = 0; told != NULL && index < judge->partition_count; index++)
        free(told[index].facts);
    free(told);
    free(seen.facts);
    return status;
}

/* ---- acknowledgements ------------------------------------------------------------------------ */

/* Where the walk from the end is, and the earliest time at which something behind it was known. */
struct sweep {
    struct judge *judge;
    const struct judge_partition *partition;
    const struct facts *ends; /* of this partition's replies, highest first */
    uint64_t next_end;        /* index of the next one */
    uint32_t stretch;         /* places of this stretch (index) and of those before it remain; */
    uint32_t left;            /* this many of it */
    uint64_t fsync_ns;        /* earliest ok at fsync */
    uint64_t ok_ns;           /* earliest ok at any level */
    uint64_t end_ns;          /* earliest reply that told an end behind */
};

/* One more place comes to lie behind. */
static void sweep_place(struct sweep *sweep, uint32_t place, uint64_t offset)
{
    struct judge *judge = sweep->judge;
    uint32_t record = judge->places[place];
    if (record == JUDGE_NONE || judge->record_places[record] != place)
        return;
    const struct history_op *op = &judge->history->ops[judge->record_ops[record]];
    if (sweep->ok_ns < op->start_ns)
        JUDGE_VIOLATE(judge, HISTORY_LOG_ORDER,
                      "partition %u offset %" PRIu64 ": %s began at %" PRIu64
                      " ns, what stands behind it was acknowledged at %" PRIu64 " ns",
                      sweep->partition->number, offset, judge_describe(judge, record).text,
                      op->start_ns, sweep->ok_ns);
    if (op->outcome != HISTORY_OK)
        return;
    if (op->end_ns < sweep->ok_ns)
        sweep->ok_ns = op->end_ns;
    if (op->level == HISTORY_FSYNC && op->end_ns < sweep->fsync_ns)
        sweep->fsync_ns = op->end_ns;
}

/* All places from the offset on come to lie behind. */
static void sweep_to(struct sweep *sweep, uint64_t offset)
{
    while (sweep->left > 0) {
        const struct judge_stretch *stretch = &sweep->judge->stretches[sweep->stretch];
        uint64_t at = stretch->first_offset + sweep->left - 1;
        if (at < offset)
            break;
        sweep->left--;
        sweep_place(sweep, stretch->first_place + sweep->left, at);
        if (sweep->left == 0 && sweep->stretch > sweep->partition->first_stretch)
            sweep->left = sweep->judge->stretches[--sweep->stretch].count;
    }
    for (;
         sweep->next_end < sweep->ends->count && sweep->ends->facts[sweep->next_end].value > offset;
         sweep->next_end++)
        if (sweep->ends->facts[sweep->next_end].time_ns < sweep->end_ns)
            sweep->end_ns = sweep->ends->facts[sweep->next_end].time_ns;
}

static void answer_reply(const struct sweep *sweep, const struct judge_question *question)
{
    const struct history_reply *reply = &sweep->judge->history->runs[question->subject].reply;
    if (sweep->fsync_ns < question->time_ns)
        JUDGE_VIOLATE(
            sweep->judge, HISTORY_DURABLE,
            "partition %u: reader %u asked at %" PRIu64 " ns and was shown the end %" PRIu64
            "; behind it something had been acknowledged at fsync at %" PRIu64 " ns",
            reply->partition, reply->reader, reply->start_ns, reply->end_offset, sweep->fsync_ns);
    if (sweep->end_ns < question->time_ns)
        JUDGE_VIOLATE(
            sweep->judge, HISTORY_P5,
            "partition %u: reader %u asked at %" PRIu64 " ns and was shown the end %" PRIu64
            ", before what was shown at %" PRIu64 " ns",
            reply->partition, reply->reader, reply->start_ns, reply->end_offset, sweep->end_ns);
}

static void answer_weak(const struct sweep *sweep, const struct judge_question *question)
{
    struct judge *judge = sweep->judge;
    const enum history_property broken[] = {HISTORY_P1, HISTORY_WEAK};
    if (sweep->ok_ns >= question->time_ns && sweep->end_ns >= question->time_ns) {
        judge->report->weak_lost++;
        return;
    }
    for (unsigned i = 0; i < 2; i++)
        JUDGE_VIOLATE(judge, broken[i],
                      "%s is missing at offset %" PRIu64
                      " of partition %u since the crash at %" PRIu64
                      " ns, and what stood behind it then is there",
                      judge_describe(judge, question->subject).text, question->offset,
                      sweep->partition->number, question->time_ns);
}

/* By partition, then from the end. */
static int compare_questions(const void *left, const void *right)
{
    const struct judge_question *a = left, *b = right;
    if (a->partition != b->partition)
        return a->partition < b->partition ? -1 : 1;
    return a->offset > b->offset ? -1 : a->offset < b->offset;
}

static int ask_replies(struct judge *judge)
{
    int status = 0;
    for (uint64_t i = 0; i < judge->history->run_count && status == 0; i++) {
        const struct history_run *run = &judge->history->runs[judge->runs[i].run];
        if (run->continues || run->reply.end_offset == HISTORY_NONE)
            continue;
        status = judge_reserve(&judge->questions, &judge->question_max, judge->question_count,
                               sizeof *judge->questions);
        if (status == 0)
            judge->questions[judge->question_count++] =
                (struct judge_question){.offset = run->reply.end_offset,
                                        .time_ns = run->reply.start_ns,
                                        .partition = judge->runs[i].partition,
                                        .subject = judge->runs[i].run,
                                        .kind = QUESTION_REPLY};
    }
    if (judge->question_count > 0)
        qsort(judge->questions, judge->question_count, sizeof *judge->questions, compare_questions);
    return status;
}

/* Ends that the replies of a partition show. */
static int collect_ends(const struct judge *judge, const struct judge_partition *partition,
                        struct facts *ends)
{
    int status = 0;
    for (uint32_t i = 0; i < partition->run_count && status == 0; i++) {
        const struct history_run *run =
            &judge->history->runs[judge->runs[partition->first_run + i].run];
        uint64_t end = run->reply.end_offset != HISTORY_NONE ? run->reply.end_offset : 0;
        if (run->entry_count > 0 && run->base_offset + run->entry_count > end)
            end = run->base_offset + run->entry_count;
        status = add_fact(ends, end, run->reply.end_ns);
    }
    sort_facts(ends);
    return status;
}

int judge_past(struct judge *judge)
{
    struct facts ends = {0};
    uint64_t question = 0;
    int status = judge_floors(judge);
    if (status == 0)
        status = ask_replies(judge);
    for (uint32_t index = 0; index < judge->partition_count && status == 0; index++) {
        struct sweep sweep = {.judge = judge,
                              .partition = &judge->partitions[index],
                              .ends = &ends,
                              .fsync_ns = UINT64_MAX,
                              .ok_ns = UINT64_MAX,
                              .end_ns = UINT64_MAX};
        if (sweep.partition->stretch_count > 0) {
            sweep.stretch = sweep.partition->first_stretch + sweep.partition->stretch_count - 1;
            sweep.left = judge->stretches[sweep.stretch].count;
        }
        ends.count = 0;
        status = collect_ends(judge, sweep.partition, &ends);
        for (; status == 0 && question < judge->question_count &&
               judge->questions[question].partition == index;
             question++) {
            const struct judge_question *asked = &judge->questions[question];
            sweep_to(&sweep, asked->offset);
            if (asked->kind == QUESTION_REPLY)
                answer_reply(&sweep, asked);
            else
                answer_weak(&sweep, asked);
        }
        sweep_to(&sweep, 0);
    }
    XD_ASSERT(status < 0 || question == judge->question_count);
    free(ends.facts);
    return status;
}
