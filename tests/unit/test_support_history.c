/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/support/history.h: what is recorded is kept, and answers that follow each other come to
 * what the operation has in the end.
 */
#include <criterion/criterion.h>

#include "tests/support/history.h"
#include "tests/support/history_script.h"

#include <errno.h>

static struct history told(const char *script)
{
    struct history history;
    history_init(&history);
    const char *rest = history_script(&history, script);
    cr_assert_null(rest, "not understood: %s", rest);
    return history;
}

/* Records of all operations lie behind each other, and stay while the arrays grow. */
Test(history, keeps_operations_and_records)
{
    struct history history;
    history_init(&history);
    for (uint64_t i = 0; i < 5000; i++) {
        const struct history_record records[] = {
            {.id = 2 * i, .sequence = 2 * i + 1, .key = 7, .content = 8},
            {.id = 2 * i + 1, .sequence = 2 * i + 2, .key = 7, .content = 8}};
        const struct history_start start = {.time_ns = i, .previous = 2 * i, .partition = 3};
        cr_assert_eq(history_start(&history, &start, records, 2), (int64_t)i);
    }
    for (uint64_t i = 0; i < 5000; i++) {
        const struct history_op *op = &history.ops[i];
        cr_assert_eq(op->record_count, 2);
        cr_assert_eq(op->outcome, HISTORY_PENDING);
        cr_assert_eq(history.records[op->first_record].id, 2 * i);
        cr_assert_eq(history.records[op->first_record + 1].sequence, 2 * i + 2);
    }
    history_deinit(&history);
    cr_assert_null(history.ops);
}

/* Reset empties it. */
Test(history, is_empty_after_a_reset)
{
    struct history history = told("send a1; unknown a1; ok a1 at 0; ok a1 at 1; floor 1; crash;"
                                  "damage 1 1; read end 1 at 0 a1");
    history.status = -1;
    history_reset(&history);
    cr_assert_eq(history.op_count + history.record_count + history.claim_count + history.run_count +
                     history.entry_count + history.floor_count + history.quarantine_count +
                     history.moment_count + history.resolved,
                 0);
    cr_assert_eq(history.status, 0);
    history_deinit(&history);
}

/* A repair ends all damage that was told before it, once. */
Test(history, ends_damage_at_its_repair)
{
    struct history history = told("damage 1 2; repair; damage 4 4 in 1; repair; damage 7 9");
    cr_assert_eq(history.quarantine_count, 3);
    cr_assert_eq(history.quarantines[0].until_ns, 2000000000u);
    cr_assert_eq(history.quarantines[1].until_ns, 4000000000u);
    cr_assert_eq(history.quarantines[2].until_ns, UINT64_MAX);
    history_deinit(&history);
}

/* A level only rises, with the time of the answer that raised it; a repeated answer changes
 * nothing. */
Test(history, raises_the_level_of_an_answer)
{
    struct history history = told("send a1; ok a1 at 4 memory index 7; ok a1 at 4 index 9;"
                                  "ok a1 at 4 written dup");
    const struct history_op *op = &history.ops[0];
    cr_assert_eq(op->level, HISTORY_FSYNC);
    cr_assert_eq(op->end_ns, 3000000000u);
    cr_assert_eq(op->log_index, 9);
    cr_assert_eq(op->flags, HISTORY_OP_DUPLICATE);
    cr_assert_eq(history.claim_count, 0);
    history_deinit(&history);
}

/* An outcome that was unknown is settled once. */
Test(history, settles_an_unknown_outcome)
{
    struct history history = told("send a1; unknown a1; unknown a1; ok a1 in 2; ok a1 at 5 in 2;"
                                  "unknown a1; send b1; unknown b1; fail b1; unknown b1");
    cr_assert_eq(history.resolved, 2);
    cr_assert_eq(history.ops[0].outcome, HISTORY_OK);
    cr_assert_eq(history.ops[0].base_offset, 5);
    cr_assert_eq(history.ops[0].partition, 2);
    cr_assert_eq(history.ops[1].outcome, HISTORY_FAIL);
    cr_assert_eq(history.claim_count, 0);
    history_deinit(&history);
}

/* Answers that differ are both kept, the later ok in the operation. */
Test(history, keeps_answers_that_differ)
{
    struct history history = told("send a1; ok a1 at 5 memory; ok a1 at 4; fail a1;"
                                  "send b1; fail b1; ok b1 at 9");
    cr_assert_eq(history.claim_count, 3);
    cr_assert_eq(history.claims[0].base_offset, 5);
    cr_assert_eq(history.claims[0].level, HISTORY_MEMORY);
    cr_assert_eq(history.claims[1].outcome, HISTORY_FAIL);
    cr_assert_eq(history.claims[1].time_ns, 4000000000u);
    cr_assert_eq(history.claims[2].op, 1);
    cr_assert_eq(history.ops[0].base_offset, 4);
    cr_assert_eq(history.ops[1].outcome, HISTORY_OK);
    history_deinit(&history);
}

/* A reply that skips offsets becomes runs that say so; one without records stays. */
Test(history, cuts_replies_into_runs)
{
    struct history history = told("read from 3 end 9; read by 2 end 9 at 4 a1 a2 +3 a3 -2 a4");
    cr_assert_eq(history.run_count, 4);
    cr_assert_eq(history.entry_count, 4);
    cr_assert_eq(history.runs[0].entry_count, 0);
    const uint64_t bases[] = {4, 9, 8};
    for (uint64_t i = 0; i < 3; i++) {
        cr_assert_eq(history.runs[1 + i].base_offset, bases[i]);
        cr_assert_eq(history.runs[1 + i].entry_count, i == 0 ? 2 : 1);
        cr_assert_eq(history.runs[1 + i].continues, i > 0);
        cr_assert_eq(history.runs[1 + i].reply.reader, 2);
    }
    history_deinit(&history);
}

/* After a recording has failed nothing is added to a reply that is not there. */
Test(history, stays_incomplete_after_a_failure)
{
    struct history history = told("send a1");
    const struct history_entry entry = {.id = 1};
    history.status = -ENOMEM;
    cr_assert_eq(history_read_record(&history, 0, &entry), -ENOMEM);
    cr_assert_eq(history.entry_count, 0);
    history_deinit(&history);
}

/* What the language does not know is pointed at. */
Test(history, points_at_statements_it_does_not_know)
{
    static const char *const scripts[] = {"sent a1",       "send 1a",    "ok a1 at 0",
                                          "read at 0 a",   "wait",       "floor a",
                                          "read ending 3", "send a1 on", "crash now"};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        struct history history;
        history_init(&history);
        cr_assert_eq(history_script(&history, scripts[i]), scripts[i]);
        history_deinit(&history);
    }
}
