/* SPDX-License-Identifier: Apache-2.0
 *
 * tests/support/history_check.h against histories of a model broker: thousands of legal ones are
 * accepted, and one thing changed in such a history breaks the property that it must break.
 */
#include <criterion/criterion.h>

#include "tests/support/history_check.h"
#include "tests/support/history_model.h"
#include "tests/support/history_spoil.h"

#include <stdio.h>
#include <string.h>

#define SEEDS 6000u
#define CHANGES_MAX 64u
#define SPOILED_MIN 40u /* times that each change must have been possible */

static struct history_options lenient(void)
{
    struct history_options options;
    history_options_init(&options);
    options.retention = true;
    options.quarantine_record_max = UINT64_MAX;
    return options;
}

/* Whatever the model broker does is accepted, and it does everything often. */
Test(history_random, accepts_what_the_model_does, .timeout = 300)
{
    static const uint64_t often[HISTORY_TOTAL_COUNT] = {
        [HISTORY_TOTAL_OK] = 100000,       [HISTORY_TOTAL_FAIL] = 1000,
        [HISTORY_TOTAL_UNKNOWN] = 1000,    [HISTORY_TOTAL_RESOLVED] = 1000,
        [HISTORY_TOTAL_DUPLICATES] = 1000, [HISTORY_TOTAL_WRITTEN] = 1000,
        [HISTORY_TOTAL_MEMORY] = 1000,     [HISTORY_TOTAL_REPLACED] = 1000,
        [HISTORY_TOTAL_CRASHES] = 5000,    [HISTORY_TOTAL_HEALED] = 5000,
        [HISTORY_TOTAL_OVER_CRASH] = 5000, [HISTORY_TOTAL_REPLIES] = 50000,
        [HISTORY_TOTAL_FLOORS] = 1000,     [HISTORY_TOTAL_QUARANTINES] = 500,
    };
    struct history history;
    struct history_totals totals = {0}, minimum;
    struct history_options options = lenient();
    uint64_t below_floor = 0, quarantined = 0, weak_lost = 0;
    history_init(&history);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct history_report report;
        cr_assert(model_run(&history, seed, (uint32_t)(50 + seed % 500)));
        if (history_check(&history, &options, &report) != 0) {
            history_report_print(&report, stderr);
            cr_assert_fail("seed %lu", seed);
        }
        history_totals(&history, &totals);
        below_floor += report.below_floor;
        quarantined += report.quarantined;
        weak_lost += report.weak_lost;
    }
    memcpy(minimum.counts, often, sizeof often);
    enum history_total tame = history_require(&totals, &minimum);
    cr_assert_eq(tame, HISTORY_TOTAL_COUNT, "%s: %lu", history_total_name(tame),
                 totals.counts[tame]);
    cr_assert(below_floor > 1000 && quarantined > 500 && weak_lost > 1000, "%lu %lu %lu",
              below_floor, quarantined, weak_lost);
    history_deinit(&history);
}

/* Every change breaks its property, in every history that lends itself to it. */
Test(history_random, rejects_what_was_changed, .timeout = 300)
{
    static struct spoil spoil;
    struct history history;
    struct history_options options = lenient();
    uint32_t spoiled[CHANGES_MAX] = {0};
    cr_assert_leq(spoil_count(), CHANGES_MAX);
    history_init(&history);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct history_report report;
        uint32_t change = (uint32_t)(seed % spoil_count());
        cr_assert(model_run(&history, seed, (uint32_t)(50 + seed % 300)));
        spoil_look(&spoil, &history, seed);
        if (!spoil_change(&spoil, change))
            continue;
        spoiled[change]++;
        cr_assert_geq(history_check(&history, &options, &report), 0, "seed %lu", seed);
        if (report.properties[spoil_breaks(change)].count == 0) {
            history_report_print(&report, stderr);
            cr_assert_fail("seed %lu: %s is not found", seed, spoil_name(change));
        }
    }
    for (uint32_t i = 0; i < spoil_count(); i++)
        cr_expect_geq(spoiled[i], SPOILED_MIN, "%s: %u times", spoil_name(i), spoiled[i]);
    history_deinit(&history);
}
