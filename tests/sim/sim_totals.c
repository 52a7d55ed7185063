/* SPDX-License-Identifier: Apache-2.0
 *
 * What must come up in a hundred seeds, by profile; crash points and buggify sites with it, so that
 * a name in broker/io/faults.def that no run reaches fails the suite.
 */
#include "tests/sim/sim_run.h"

#include "wire/xassert.h"

#include <inttypes.h>
#include <string.h>

#define F(name) FAULT_BIT(FAULT_##name)

static const char *const total_names[TOTAL_COUNT] = {
#define TOTAL(name, text, faults) [TOTAL_##name] = text,
#include "tests/sim/sim_total.def"
#undef TOTAL
};

/* Faults of which one makes it come up; 0 = it always does. */
static const uint64_t total_faults[TOTAL_COUNT] = {
#define TOTAL(name, text, faults) [TOTAL_##name] = faults,
#include "tests/sim/sim_total.def"
#undef TOTAL
};

/* Comes up with several shards only. */
static const bool total_shards[TOTAL_COUNT] = {
#define TOTAL(name, text, faults)
#define SHARDS_TOTAL(name, text, faults) [TOTAL_##name] = true,
#include "tests/sim/sim_total.def"
#undef TOTAL
};

static const char *const point_names[ENV_CRASH_COUNT] = {
#define CRASH_POINT(name, text) #name,
#define BUGGIFY(name, text)
#include "broker/io/faults.def"
#undef CRASH_POINT
#undef BUGGIFY
};

static const char *const site_names[ENV_BUGGIFY_COUNT] = {
#define CRASH_POINT(name, text)
#define BUGGIFY(name, text) #name,
#include "broker/io/faults.def"
#undef CRASH_POINT
#undef BUGGIFY
};

/* Points that a run without any fault reaches; the others need a log that rolls and checkpoints. */
static const bool point_always[ENV_CRASH_COUNT] = {
    [ENV_CRASH_BLOCK_SUBMITTED] = true,       [ENV_CRASH_BLOCK_WRITTEN] = true,
    [ENV_CRASH_BLOCK_DURABLE] = true,         [ENV_CRASH_SEGMENT_PREPARED] = true,
    [ENV_CRASH_META_FIRST_SLOT] = true,       [ENV_CRASH_META_BOTH_SLOTS] = true,
    [ENV_CRASH_RECOVERY_SCANNED] = true,      [ENV_CRASH_RECOVERY_QUARANTINED] = true,
    [ENV_CRASH_RECOVERY_EPOCH_RAISED] = true,
};

const char *total_name(enum run_total total)
{
    XD_ASSERT(total < TOTAL_COUNT);
    return total_names[total];
}

/* The same for what histories hold; what is not here depends on luck, or never comes up: in the end
 * every batch that was acknowledged is so at fsync, and none waits. */
static const uint64_t told_faults[HISTORY_TOTAL_COUNT] = {
    [HISTORY_TOTAL_FAIL] = F(RESEND) | F(ZOMBIE), [HISTORY_TOTAL_UNKNOWN] = F(CRASH),
    [HISTORY_TOTAL_REPLACED] = F(CRASH),          [HISTORY_TOTAL_OVER_CRASH] = F(CRASH),
    [HISTORY_TOTAL_FLOORS] = F(RETENTION_SIZE),   [HISTORY_TOTAL_QUARANTINES] = F(ROT),
};

static const bool told_always[HISTORY_TOTAL_COUNT] = {
    [HISTORY_TOTAL_OPS] = true,        [HISTORY_TOTAL_RECORDS] = true, [HISTORY_TOTAL_OK] = true,
    [HISTORY_TOTAL_DUPLICATES] = true, [HISTORY_TOTAL_CRASHES] = true, [HISTORY_TOTAL_STOPS] = true,
    [HISTORY_TOTAL_HEALED] = true,     [HISTORY_TOTAL_REPLIES] = true, [HISTORY_TOTAL_READ] = true,
};

bool total_find(const char *name, enum run_total *ret_total)
{
    for (uint32_t i = 0; i < TOTAL_COUNT; i++) {
        if (strcmp(name, total_names[i]) != 0)
            continue;
        *ret_total = (enum run_total)i;
        return true;
    }
    return false;
}

void totals_print(const struct run *run, FILE *file)
{
    for (uint32_t i = 0; i < TOTAL_COUNT; i++)
        fprintf(file, "%s=%" PRIu64 "%s", total_names[i], run->totals[i],
                i + 1 < TOTAL_COUNT ? " " : "\n");
    fprintf(file, "history:");
    for (uint32_t i = 0; i < HISTORY_TOTAL_COUNT; i++)
        fprintf(file, " %s=%" PRIu64, history_total_name((enum history_total)i),
                run->told.counts[i]);
    fprintf(file, "\n");
}

static bool missing(const char *what, const char *name, uint64_t count)
{
    if (count == 0)
        fprintf(stderr, "sim_broker: too tame: %s %s never came up\n", what, name);
    return count == 0;
}

/* Names the first total of the histories that is too low. */
static bool told_tame(const struct run *run, uint64_t often)
{
    struct history_totals minimum = {{0}};
    for (uint32_t i = 0; i < HISTORY_TOTAL_COUNT; i++)
        minimum.counts[i] = told_always[i] || (told_faults[i] & often) != 0;
    enum history_total total = history_require(&run->told, &minimum);
    return total < HISTORY_TOTAL_COUNT && missing("in a history", history_total_name(total), 0);
}

bool totals_tame(const struct run *run, const struct plan_limits *limits, uint64_t seeds)
{
    uint64_t often = plan_often(limits, seeds);
    bool tame = told_tame(run, often);
    for (uint32_t i = 0; i < TOTAL_COUNT; i++)
        if ((total_faults[i] == 0 || (total_faults[i] & often) != 0) &&
            (!total_shards[i] || (often & SHARDS_BIT) != 0))
            tame |= missing("total", total_names[i], run->totals[i]);
    for (uint32_t i = 0; i < ENV_CRASH_COUNT; i++)
        if (point_always[i] || (often & F(ROLL)) != 0)
            tame |= missing("crash point", point_names[i], run->points[i]);
    for (uint32_t i = 0; i < ENV_BUGGIFY_COUNT; i++)
        if ((often & F(ROLL)) != 0)
            tame |= missing("buggify site", site_names[i], run->sites[i]);
    return tame;
}
