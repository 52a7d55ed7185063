/* SPDX-License-Identifier: Apache-2.0
 *
 * The judge from outside; see history_check.h, and history_judge.h for its parts.
 */
#include "tests/support/history_check.h"

#include "tests/support/history_judge.h"
#include "wire/xassert.h"

#include <string.h>

static const char *const property_names[] = {
    "P1",          "P2",        "P4",    "P5",      "P12",   "DURABLE",    "WEAK",   "DENSE",
    "APPEND_TIME", "LOG_ORDER", "CLAIM", "CONTENT", "FLOOR", "QUARANTINE", "UNREAD",
};
_Static_assert(sizeof property_names / sizeof property_names[0] == HISTORY_PROPERTY_COUNT,
               "a name for each");

static const char *const total_names[] = {
    "ops",        "records", "ok",     "fail",     "unknown",     "pending", "resolved",
    "duplicates", "written", "memory", "replaced", "crashes",     "stops",   "healed",
    "over crash", "replies", "read",   "floors",   "quarantines",
};
_Static_assert(sizeof total_names / sizeof total_names[0] == HISTORY_TOTAL_COUNT,
               "a name for each");

void history_options_init(struct history_options *ret_options)
{
    *ret_options = (struct history_options){.heal_ns = 10000000000u};
}

const char *history_property_name(enum history_property property)
{
    XD_ASSERT(property < HISTORY_PROPERTY_COUNT);
    return property_names[property];
}

const char *history_total_name(enum history_total total)
{
    XD_ASSERT(total < HISTORY_TOTAL_COUNT);
    return total_names[total];
}

int history_check(const struct history *history, const struct history_options *options,
                  struct history_report *ret_report)
{
    struct judge judge = {.history = history, .options = options, .report = ret_report};
    memset(ret_report, 0, sizeof *ret_report);
    if (history->status < 0)
        return history->status;
    judge.last_ns = judge_last_time(history);
    int status = judge_index(&judge);
    if (status == 0)
        status = judge_log(&judge);
    if (status == 0)
        status = judge_order(&judge);
    if (status == 0)
        status = judge_claims(&judge);
    if (status == 0)
        status = judge_past(&judge);
    if (status == 0)
        judge_heal(&judge);
    for (unsigned i = 0; i < HISTORY_PROPERTY_COUNT && status >= 0; i++)
        status += ret_report->properties[i].count > 0;
    judge_deinit(&judge);
    return status;
}

void history_report_print(const struct history_report *report, FILE *file)
{
    if (report->malformed[0] != '\0')
        fprintf(file, "the history itself is wrong: %s\n", report->malformed);
    for (unsigned i = 0; i < HISTORY_PROPERTY_COUNT; i++)
        if (report->properties[i].count > 0)
            fprintf(file, "%s: %" PRIu64 " times, first: %s\n", property_names[i],
                    report->properties[i].count, report->properties[i].first);
}

enum history_total history_require(const struct history_totals *totals,
                                   const struct history_totals *minimum)
{
    unsigned total = 0;
    while (total < HISTORY_TOTAL_COUNT && totals->counts[total] >= minimum->counts[total])
        total++;
    return (enum history_total)total;
}
