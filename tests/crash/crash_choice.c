/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawing crash states. The random ones first draw a shape (a prefix, all but one, a few, each by
 * itself), then how writes at its edge are torn.
 */
#include "tests/crash/crash_choice.h"

#include "broker/base/prng.h"
#include "wire/xassert.h"

#include <string.h>

/* One point with what is at stake there. */
struct stake {
    const struct crash_disk *disk;
    uint32_t writes[CRASH_WRITES_MAX]; /* of the window */
    uint32_t count;
    uint32_t changes;
};

static void stake_find(const struct crash_disk *disk, struct stake *ret)
{
    ret->disk = disk;
    ret->count = crash_disk_window(disk, ret->writes);
    ret->changes = crash_disk_changes(disk);
}

/* Subsets times prefixes; 0 when they are too many. */
static uint32_t whole_count(const struct stake *stake)
{
    uint64_t count;

    if (stake->count > 16)
        return 0;
    count = (1ull << stake->count) * (stake->changes + 1ull);
    return count <= CRASH_WHOLE_MAX ? (uint32_t)count : 0;
}

uint32_t crash_choice_whole(const struct crash_disk *disk)
{
    struct stake stake;

    stake_find(disk, &stake);
    return 2 + whole_count(&stake);
}

/* ---- random ---------------------------------------------------------------------------------- */

/* A part of the write. */
static void tear(const struct stake *stake, struct prng *prng, uint32_t i, struct crash_plan *plan)
{
    const struct crash_write *write = &stake->disk->writes[stake->writes[i]];
    struct crash_fate *fate = &plan->fates[stake->writes[i]];
    uint32_t grain = prng_below(prng, 2) == 0 ? SIM_SECTOR_BYTES : SIM_PAGE_BYTES;
    uint32_t grains = crash_disk_grains(write, grain);
    static const uint8_t kinds[] = {CRASH_FATE_PREFIX, CRASH_FATE_PREFIX, CRASH_FATE_SUFFIX,
                                    CRASH_FATE_HOLE,   CRASH_FATE_ISLAND, CRASH_FATE_SOME};

    *fate = (struct crash_fate){.seed = prng_next(prng), .grain = grain};
    fate->kind = kinds[prng_below(prng, sizeof(kinds))];
    fate->first = (uint32_t)prng_below(prng, grains);
    fate->count = 1 + (uint32_t)prng_below(prng, prng_below(prng, 2) == 0 ? 2 : grains);
    fate->garbage = prng_below(prng, 4) == 0;
    if (fate->kind == CRASH_FATE_PREFIX && fate->first == 0 && grains > 1)
        fate->first = 1;
}

static void whole(const struct stake *stake, uint32_t i, struct crash_plan *plan)
{
    plan->fates[stake->writes[i]].kind = CRASH_FATE_WHOLE;
}

/* Everything before one, that one torn perhaps, little behind it. */
static void shape_prefix(const struct stake *stake, struct prng *prng, struct crash_plan *plan)
{
    uint32_t edge = (uint32_t)prng_below(prng, stake->count);

    for (uint32_t i = 0; i < edge; i++)
        whole(stake, i, plan);
    if (prng_below(prng, 4) != 0)
        tear(stake, prng, edge, plan);
    for (uint32_t i = edge + 1; i < stake->count; i++)
        if (prng_below(prng, 8) == 0)
            whole(stake, i, plan);
}

/* One is missing or torn, the others are whole. */
static void shape_all_but_one(const struct stake *stake, struct prng *prng, struct crash_plan *plan)
{
    uint32_t out = (uint32_t)prng_below(prng, stake->count);

    for (uint32_t i = 0; i < stake->count; i++)
        if (i != out)
            whole(stake, i, plan);
    if (prng_below(prng, 2) == 0)
        tear(stake, prng, out, plan);
}

/* Each by itself. */
static void shape_each(const struct stake *stake, struct prng *prng, struct crash_plan *plan,
                       uint32_t torn_in_8)
{
    for (uint32_t i = 0; i < stake->count; i++) {
        if (prng_below(prng, 8) < torn_in_8)
            tear(stake, prng, i, plan);
        else if (prng_below(prng, 2) == 0)
            whole(stake, i, plan);
    }
}

static void draw(const struct stake *stake, struct prng *prng, struct crash_plan *plan)
{
    uint32_t shape = (uint32_t)prng_below(prng, 8);

    plan->changes_kept = stake->changes;
    if (prng_below(prng, 4) == 0)
        plan->changes_kept = (uint32_t)prng_below(prng, stake->changes + 1ull);
    if (stake->count == 0)
        return;
    if (shape < 3)
        shape_prefix(stake, prng, plan);
    else if (shape < 5)
        shape_all_but_one(stake, prng, plan);
    else if (shape < 6)
        shape_each(stake, prng, plan, 0);
    else
        shape_each(stake, prng, plan, shape == 6 ? 2 : 6);
}

/* ---- numbers --------------------------------------------------------------------------------- */

/* The classes that a plan turned out to be of. */
static uint32_t classify(const struct stake *stake, const struct crash_plan *plan)
{
    uint32_t lost = 0, kept = 0, torn = 0, classes = 0;
    bool gap = false;

    for (uint32_t i = 0; i < stake->count; i++) {
        const struct crash_fate *fate = &plan->fates[stake->writes[i]];

        if (fate->kind == CRASH_FATE_LOST) {
            lost++;
        } else if (fate->kind == CRASH_FATE_WHOLE) {
            kept++;
            gap = gap || lost + torn > 0;
        } else {
            torn++;
            gap = gap || lost > 0;
            classes |= 1u << (fate->grain == SIM_SECTOR_BYTES ? CRASH_CLASS_TORN_512
                                                              : CRASH_CLASS_TORN_4K);
            if (fate->garbage)
                classes |= 1u << CRASH_CLASS_GARBAGE;
        }
    }
    if (plan->changes_kept < stake->changes)
        classes |= 1u << CRASH_CLASS_CHANGES;
    if (gap)
        return classes | 1u << CRASH_CLASS_SUBSET;
    if (kept + torn == 0)
        return classes | 1u << CRASH_CLASS_NOTHING;
    return classes | 1u << (lost + torn == 0 ? CRASH_CLASS_ALL : CRASH_CLASS_PREFIX);
}

uint32_t crash_choice_make(const struct crash_disk *disk, uint64_t seed, uint32_t choice,
                           struct crash_plan *ret_plan)
{
    struct stake stake;
    struct prng prng;
    uint32_t wholes;

    stake_find(disk, &stake);
    wholes = whole_count(&stake);
    for (uint32_t i = 0; i < disk->write_count; i++)
        ret_plan->fates[i] = (struct crash_fate){.kind = CRASH_FATE_LOST};
    ret_plan->changes_kept = 0;
    if (choice == 1) {
        ret_plan->changes_kept = stake.changes;
        for (uint32_t i = 0; i < stake.count; i++)
            whole(&stake, i, ret_plan);
    } else if (choice >= 2 && choice - 2 < wholes) {
        uint32_t subset = (choice - 2) / (stake.changes + 1);

        ret_plan->changes_kept = (choice - 2) % (stake.changes + 1);
        for (uint32_t i = 0; i < stake.count; i++)
            if ((subset >> i & 1) != 0)
                whole(&stake, i, ret_plan);
    } else if (choice >= 2) {
        prng_seed(&prng, prng_mix(seed) ^ prng_mix((uint64_t)disk->next_row << 32 | choice));
        draw(&stake, &prng, ret_plan);
    }
    return classify(&stake, ret_plan);
}

const char *crash_class_name(enum crash_class class)
{
    static const char *const names[CRASH_CLASS_COUNT] = {
        [CRASH_CLASS_NOTHING] = "nothing",   [CRASH_CLASS_ALL] = "all",
        [CRASH_CLASS_PREFIX] = "prefix",     [CRASH_CLASS_SUBSET] = "subset",
        [CRASH_CLASS_TORN_512] = "torn_512", [CRASH_CLASS_TORN_4K] = "torn_4k",
        [CRASH_CLASS_GARBAGE] = "garbage",   [CRASH_CLASS_CHANGES] = "names_or_sizes_lost",
    };

    XD_ASSERT(class < CRASH_CLASS_COUNT);
    return names[class];
}
