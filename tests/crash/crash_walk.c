/* SPDX-License-Identifier: Apache-2.0
 *
 * Walking through a trace. Which points are visited under a budget follows from the seed; what a
 * state is depends on its name alone.
 */
#include "tests/crash/crash_walk.h"

#include "broker/base/prng.h"
#include "tests/crash/crash_ring.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define RANDOM_MIN 6u       /* random states of a point ... */
#define RANDOM_MORE 18u     /* ... and at most so many more, one per write at stake */
#define WHOLE_SAMPLE 12u    /* of the enumerated ones when not all are made */
#define IMAGES_PER_POINT 9u /* new ones that a visited point brings on average: measured */
#define RANDOM_ALL 200u     /* random states of a point when everything is made */
#define ROWS_TOLD 60u       /* before the point */

/* Whether a crash behind this row can differ from one before it, or must be judged harder. */
static bool is_point(const struct env_trace_row *row)
{
    switch ((enum env_trace_kind)row->kind) {
    case ENV_TRACE_OPEN:
        return row->value == 1;
    case ENV_TRACE_RESERVE:
    case ENV_TRACE_RENAME:
    case ENV_TRACE_UNLINK:
    case ENV_TRACE_DIR_MAKE:
    case ENV_TRACE_DIR_SYNC:
    case ENV_TRACE_WRITE:
    case ENV_TRACE_WRITE_DONE:
    case ENV_TRACE_SYNC_DONE:
        return true;
    case ENV_TRACE_MARK:
        return row->file != CRASH_MARK_APPEND;
    case ENV_TRACE_PROCESS:
    case ENV_TRACE_SYNC:
    case ENV_TRACE_READ_DONE:
    case ENV_TRACE_KIND_COUNT:
    default:
        return false;
    }
}

static void walk_begin(struct crash_walk *walk, const struct crash_path *path,
                       const struct crash_judge *judge)
{
    walk->path = *path;
    walk->judge = *judge;
    walk->acknowledged = path->acknowledged;
    walk->image.pages = path->start->pages;
    crash_disk_init(&walk->disk, path->trace, path->start);
}

static void walk_end(struct crash_walk *walk)
{
    sim_snapshot_clear(&walk->image);
    crash_disk_deinit(&walk->disk);
}

/* The next row. */
static void walk_step(struct crash_walk *walk)
{
    const struct env_trace_row *row = &walk->path.trace->rows[walk->disk.next_row];

    crash_disk_step(&walk->disk);
    if (row->kind != ENV_TRACE_MARK)
        return;
    if (row->file == CRASH_MARK_ACK || row->file == CRASH_MARK_CUT)
        walk->acknowledged = row->value;
    walk->judge.mark(walk->judge.context, row);
}

/* Makes one state and has it judged. */
static bool walk_state(struct crash_walk *walk, uint32_t choice)
{
    uint32_t classes = crash_choice_make(&walk->disk, walk->path.seed, choice, &walk->plan);
    uint64_t hash;

    walk->point = walk->disk.next_row;
    walk->choice = choice;
    (void)snprintf(walk->id, sizeof(walk->id), "%s:%" PRIu64 ":%u:%u", walk->path.name,
                   walk->path.seed, walk->point, choice);
    hash = crash_disk_image(&walk->disk, &walk->plan, &walk->image);
    walk->states++;
    for (uint32_t i = 0; i < CRASH_CLASS_COUNT; i++)
        walk->classes[i] += classes >> i & 1;
    return walk->judge.image(walk->judge.context, &walk->image, hash, walk->acknowledged);
}

/* States of one point: the plain ones, subsets, random ones. */
static bool walk_point(struct crash_walk *walk, struct prng *prng, bool all)
{
    uint32_t wholes = crash_choice_whole(&walk->disk);
    uint32_t randoms = walk->disk.write_count > RANDOM_MORE ? RANDOM_MORE : walk->disk.write_count;
    bool good = walk_state(walk, 0) && walk_state(walk, 1);

    walk->points++;
    if (all || wholes - 2 <= WHOLE_SAMPLE) {
        for (uint32_t choice = 2; choice < wholes && good; choice++)
            good = walk_state(walk, choice);
    } else {
        for (uint32_t i = 0; i < WHOLE_SAMPLE && good; i++)
            good = walk_state(walk, 2 + (uint32_t)prng_below(prng, wholes - 2));
    }
    if (walk->disk.write_count + walk->disk.change_count == 0)
        return good;
    randoms = all ? RANDOM_ALL : RANDOM_MIN + randoms;
    for (uint32_t i = 0; i < randoms && good; i++)
        good = walk_state(walk, CRASH_RANDOM_FIRST + i);
    return good;
}

bool crash_walk_all(struct crash_walk *walk, const struct crash_path *path,
                    const struct crash_judge *judge, uint64_t budget)
{
    bool all = budget == UINT64_MAX;
    uint64_t before = judge->count(judge->context);
    uint32_t points = 0;
    uint64_t per_65536;
    struct prng prng;
    bool good = true;

    for (uint32_t i = 0; i < path->trace->row_count; i++)
        points += is_point(&path->trace->rows[i]);
    per_65536 = all || points == 0 ? 65536 : budget * 65536 / ((uint64_t)points * IMAGES_PER_POINT);
    per_65536 = per_65536 > 65536 ? 65536 : per_65536;
    prng_seed(&prng, prng_mix(path->seed ^ 0x77616c6b));
    walk_begin(walk, path, judge);
    while (good && walk->disk.next_row < path->trace->row_count) {
        const struct env_trace_row *row = &path->trace->rows[walk->disk.next_row];

        walk_step(walk);
        if (!is_point(row) || !prng_chance(&prng, (uint32_t)per_65536))
            continue;
        good = walk_point(walk, &prng, all);
        if (judge->count(judge->context) - before >= budget)
            break;
    }
    walk_end(walk);
    return good;
}

/* ---- one state, told ------------------------------------------------------------------------- */

static void tell_row(const struct crash_walk *walk, uint32_t number)
{
    const struct env_trace *trace = walk->path.trace;
    const struct env_trace_row *row = &trace->rows[number];
    bool has_text = row->kind == ENV_TRACE_OPEN || row->kind == ENV_TRACE_RENAME ||
                    row->kind == ENV_TRACE_UNLINK || row->kind == ENV_TRACE_DIR_MAKE ||
                    row->kind == ENV_TRACE_DIR_SYNC;

    fprintf(walk->out, "%6u %-11s file %-3u at %-9" PRIu64 " bytes %-8u value %-6" PRIu64, number,
            env_trace_kind_name((enum env_trace_kind)row->kind), row->file, row->position,
            row->bytes, row->value);
    if (row->kind == ENV_TRACE_WRITE_DONE || row->kind == ENV_TRACE_SYNC_DONE)
        fprintf(walk->out, " of %u result %d", row->of, row->result);
    fprintf(walk->out, " %s\n", has_text ? env_trace_text(trace, row) : "");
}

/* The name of the inode that a write goes to. */
static const char *inode_name(const struct crash_disk *disk, uint32_t inode)
{
    for (uint32_t i = 0; i < disk->newest.count; i++)
        if (disk->newest.rows[i].inode == inode)
            return disk->newest.rows[i].text;
    return "(no name)";
}

static void tell_plan(const struct crash_walk *walk)
{
    static const char *const kinds[CRASH_FATE_COUNT] = {"lost", "whole",  "prefix", "suffix",
                                                        "hole", "island", "some"};
    const struct crash_disk *disk = &walk->disk;
    uint32_t writes[CRASH_WRITES_MAX];
    uint32_t count = crash_disk_window(disk, writes);

    fprintf(walk->out, "%s: %u writes at stake, %u of %u changes of names and sizes kept\n",
            walk->id, count, walk->plan.changes_kept, crash_disk_changes(disk));
    for (uint32_t i = 0; i < count; i++) {
        const struct crash_write *write = &disk->writes[writes[i]];
        const struct crash_fate *fate = &walk->plan.fates[writes[i]];

        fprintf(walk->out, "  row %u %s at %" PRIu64 " + %u: %s", write->row,
                inode_name(disk, write->inode), write->position, write->bytes, kinds[fate->kind]);
        if (fate->kind > CRASH_FATE_WHOLE)
            fprintf(walk->out, " first %u count %u of %u grains of %u%s", fate->first, fate->count,
                    crash_disk_grains(write, fate->grain), fate->grain,
                    fate->garbage ? ", garbage" : "");
        fprintf(walk->out, "\n");
    }
    for (uint32_t i = 0; i < disk->change_count; i++)
        if (!disk->changes[i].safe)
            fprintf(walk->out, "  change: '%s' -> '%s' %s size %" PRIu64 "\n",
                    disk->changes[i].from, disk->changes[i].to,
                    inode_name(disk, disk->changes[i].inode), disk->changes[i].bytes);
    fprintf(walk->out, "%" PRIu64 " batches had been acknowledged\n", walk->acknowledged);
}

bool crash_walk_one(struct crash_walk *walk, const struct crash_path *path,
                    const struct crash_judge *judge, uint32_t point, uint32_t choice)
{
    bool good;

    XD_ASSERT(point <= path->trace->row_count);
    walk_begin(walk, path, judge);
    while (walk->disk.next_row < point)
        walk_step(walk);
    if (walk->out != NULL) {
        for (uint32_t i = point > ROWS_TOLD ? point - ROWS_TOLD : 0; i < point; i++)
            tell_row(walk, i);
        (void)crash_choice_make(&walk->disk, path->seed, choice, &walk->plan);
        (void)snprintf(walk->id, sizeof(walk->id), "%s:%" PRIu64 ":%u:%u", path->name, path->seed,
                       point, choice);
        tell_plan(walk);
    }
    good = walk_state(walk, choice);
    if (walk->left != NULL && crash_ring_leave(&walk->image, walk->left) == 0)
        fprintf(walk->out, "the image lies in %s\n", walk->left);
    walk_end(walk);
    return good;
}

void crash_walk_deinit(struct crash_walk *walk)
{
    if (walk->image.pages != NULL)
        sim_snapshot_deinit(&walk->image);
}
