/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations after faults (P12): a quiet time begins with a HEALED mark and ends with the next
 * crash, stop or fault, or with the history. What begins in it must be ok within the limit; what
 * was under way must have some outcome within the limit. Whatever the quiet time is too short to
 * show is not judged. The totals are counted here too, because they ask for quiet times.
 */
#include "tests/support/history_judge.h"

#include "wire/xassert.h"

uint64_t judge_last_time(const struct history *history)
{
    uint64_t last_ns = 0;
    for (uint64_t i = 0; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        uint64_t time_ns = op->outcome == HISTORY_PENDING ? op->start_ns : op->end_ns;
        last_ns = time_ns > last_ns ? time_ns : last_ns;
    }
    for (uint64_t i = 0; i < history->run_count; i++)
        if (history->runs[i].reply.end_ns > last_ns)
            last_ns = history->runs[i].reply.end_ns;
    if (history->moment_count > 0 && history->moments[history->moment_count - 1].time_ns > last_ns)
        last_ns = history->moments[history->moment_count - 1].time_ns;
    return last_ns;
}

static bool ends_quiet(enum history_mark mark)
{
    return mark == HISTORY_CRASH || mark == HISTORY_FAULTS || mark == HISTORY_STOP;
}

/* First mark behind the time, or at it. */
static uint64_t moment_from(const struct history *history, uint64_t time_ns)
{
    uint64_t low = 0, high = history->moment_count;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (history->moments[middle].time_ns < time_ns)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* When the quiet time of a HEALED mark ends. */
static uint64_t quiet_end(const struct history *history, uint64_t healed, uint64_t last_ns)
{
    for (uint64_t i = healed + 1; i < history->moment_count; i++)
        if (ends_quiet(history->moments[i].mark))
            return history->moments[i].time_ns;
    return last_ns;
}

/* Whether the time lies in a quiet time; *ret_healed is the mark that began it. */
static bool is_quiet(const struct history *history, uint64_t time_ns, uint64_t *ret_healed)
{
    for (uint64_t i = moment_from(history, time_ns); i-- > 0;) {
        if (ends_quiet(history->moments[i].mark))
            return false;
        if (history->moments[i].mark == HISTORY_HEALED) {
            *ret_healed = i;
            return true;
        }
    }
    return false;
}

static void violate(struct judge *judge, const struct history_op *op, const char *what,
                    uint64_t healed_ns)
{
    static const char *const outcomes[] = {"has no outcome", "became ok", "failed",
                                           "stayed unknown"};
    _Static_assert(sizeof outcomes / sizeof outcomes[0] == HISTORY_OUTCOME_COUNT, "one for each");
    JUDGE_VIOLATE(judge, HISTORY_P12,
                  "operation %td of client %u on channel %u %s at %" PRIu64
                  " ns; faults had healed at %" PRIu64 " ns; it %s at %" PRIu64 " ns",
                  op - judge->history->ops, op->client, op->channel, what, op->start_ns, healed_ns,
                  outcomes[op->outcome], op->end_ns);
}

static void judge_op_quiet(struct judge *judge, const struct history_op *op, uint64_t last_ns)
{
    const struct history *history = judge->history;
    bool pending = op->outcome == HISTORY_PENDING;
    uint64_t healed;
    if (is_quiet(history, op->start_ns, &healed)) {
        uint64_t end_ns = quiet_end(history, healed, last_ns);
        uint64_t healed_ns = history->moments[healed].time_ns;
        bool late = (pending || op->end_ns - op->start_ns > judge->options->heal_ns) &&
                    end_ns - op->start_ns > judge->options->heal_ns;
        bool failed = op->outcome != HISTORY_OK && !pending && op->end_ns < end_ns;
        if ((late || failed) && (op->flags & HISTORY_OP_HOSTILE) == 0)
            violate(judge, op, "began", healed_ns);
    }
    for (uint64_t i = moment_from(history, op->start_ns); i < history->moment_count; i++) {
        uint64_t healed_ns = history->moments[i].time_ns;
        if (!pending && healed_ns >= op->end_ns)
            break;
        if (history->moments[i].mark == HISTORY_HEALED &&
            (pending || op->end_ns - healed_ns > judge->options->heal_ns) &&
            quiet_end(history, i, last_ns) - healed_ns > judge->options->heal_ns) {
            violate(judge, op, "was under way since", healed_ns);
            break;
        }
    }
}

void judge_heal(struct judge *judge)
{
    const struct history *history = judge->history;
    for (uint64_t i = 0; history->moment_count > 0 && i < history->op_count; i++)
        judge_op_quiet(judge, &history->ops[i], judge->last_ns);
}

void history_totals(const struct history *history, struct history_totals *totals)
{
    uint64_t *counts = totals->counts;
    counts[HISTORY_TOTAL_OPS] += history->op_count;
    counts[HISTORY_TOTAL_RECORDS] += history->record_count;
    counts[HISTORY_TOTAL_RESOLVED] += history->resolved;
    counts[HISTORY_TOTAL_REPLACED] += history->claim_count;
    counts[HISTORY_TOTAL_READ] += history->entry_count;
    counts[HISTORY_TOTAL_FLOORS] += history->floor_count;
    counts[HISTORY_TOTAL_QUARANTINES] += history->quarantine_count;
    for (uint64_t i = 0; i < history->op_count; i++) {
        const struct history_op *op = &history->ops[i];
        bool ok = op->outcome == HISTORY_OK;
        bool pending = op->outcome == HISTORY_PENDING;
        uint64_t healed, next;
        counts[HISTORY_TOTAL_OK] += ok;
        counts[HISTORY_TOTAL_FAIL] += op->outcome == HISTORY_FAIL;
        counts[HISTORY_TOTAL_UNKNOWN] += op->outcome == HISTORY_UNKNOWN;
        counts[HISTORY_TOTAL_PENDING] += pending;
        counts[HISTORY_TOTAL_DUPLICATES] += ok && (op->flags & HISTORY_OP_DUPLICATE) != 0;
        counts[HISTORY_TOTAL_WRITTEN] += ok && op->level == HISTORY_WRITTEN;
        counts[HISTORY_TOTAL_MEMORY] += ok && op->level == HISTORY_MEMORY;
        counts[HISTORY_TOTAL_HEALED] += is_quiet(history, op->start_ns, &healed);
        next = moment_from(history, op->start_ns);
        while (next < history->moment_count && history->moments[next].mark != HISTORY_CRASH)
            next++;
        counts[HISTORY_TOTAL_OVER_CRASH] +=
            next < history->moment_count &&
            (pending || history->moments[next].time_ns < op->end_ns);
    }
    for (uint64_t i = 0; i < history->run_count; i++)
        counts[HISTORY_TOTAL_REPLIES] += !history->runs[i].continues;
    for (uint64_t i = 0; i < history->moment_count; i++) {
        counts[HISTORY_TOTAL_CRASHES] += history->moments[i].mark == HISTORY_CRASH;
        counts[HISTORY_TOTAL_STOPS] += history->moments[i].mark == HISTORY_STOP;
    }
}
