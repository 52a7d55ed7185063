/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a run: what is damaged is reported, and repaired; the process ends by a crash or a
 * stop, and the next one has the same fold state, also from the older checkpoint; then everything
 * is read and the history judged without any excuse.
 */
#include "tests/sim/sim_run.h"

#include "broker/log/segment.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

/* Long enough for the log to mark itself at rest, and for opens that are staged. */
#define REST_MS 400u
#define RELEASE_MS 100u

static void compare_hash(struct run *run, uint64_t hash, const char *when)
{
    if (run_failed(run))
        return;
    if (sim_broker_state_hash(&run->broker) != hash)
        RUN_FAIL(run, "the fold state differs after %s", when);
}

/* The fold from an older checkpoint: the disk is copied, one checkpoint file damaged. When the
 * other one is not whole (a crash while it was written) the start must say so. */
static void judge_fallback(struct run *run, uint64_t hash, const char *name)
{
    struct sim_options world;
    sim_options_init(&world, run->plan.seed);
    world.wall_us = run_wall_us(run);
    sim_broker_reset(&run->copy, &world);
    run->copy.options = run->broker.options;
    sim_disk_copy(run->copy.sim, run->broker.sim);
    XD_ASSERT(sim_disk_flip(run->copy.sim, name, 100, 3) == 0);
    int status = sim_broker_start(&run->copy);
    if (status == 0) {
        if (sim_broker_state_hash(&run->copy) != hash)
            RUN_FAIL(run, "the fold state differs without %s", name);
        run_count(run, TOTAL_FALLBACKS, run->copy.fallbacks);
    } else if (status != XD_CHECKPOINT_CORRUPT) {
        RUN_FAIL(run, "start without %s: %s: %s", name, xd_status_name(status), run->copy.why);
    }
    sim_broker_crash(&run->copy, SIM_CRASH_KEEP_NONE);
}

/* Files of a shard hold segments whose numbers are higher than there are files: some were used
 * again. */
static void count_recycled(struct run *run, uint32_t shard)
{
    char name[ENV_NAME_BYTES_MAX];
    struct segment_header header;
    uint64_t files = 0, newest = 0;
    uint32_t owner;
    for (uint32_t i = 0; sim_disk_name(run->broker.sim, i, name) == 0; i++) {
        if (strncmp(sim_broker_file(&run->broker, name, &owner), "wal.", 4) != 0 || owner != shard)
            continue;
        files++;
        if (sim_disk_peek(run->broker.sim, name, 0, &header, sizeof header) ==
                (int64_t)sizeof header &&
            header.magic == SEGMENT_MAGIC && header.segment_no > newest)
            newest = header.segment_no;
    }
    run_count(run, TOTAL_RECYCLED, newest > files ? newest - files : 0);
}

/* What is damaged may be missing, and nothing else; the bytes are put back that were damaged. */
static void judge_damaged(struct run *run)
{
    uint32_t gaps = check_log(run, true);
    if (!run_failed(run))
        note_judge(run, true);
    if (run_failed(run) || (gaps == 0 && rot_count(run) == 0))
        return;
    run_crash(run);
    rot_repair(run);
    run_start(run);
    run_rest(run, REST_MS);
}

/* Without connections nothing is held for any, and a stop ends clean. */
static void judge_released(struct run *run)
{
    run_cut(run);
    run_rest(run, RELEASE_MS);
    if (run_failed(run))
        return;
    const char *held = sim_broker_held(&run->broker);
    if (held != NULL)
        RUN_FAIL(run, "without connections %s", held);
    int status = run_failed(run) ? 0 : sim_broker_stop(&run->broker);
    if (status < 0)
        RUN_FAIL(run, "the last stop: %s", xd_status_name(status));
}

/* Everything is there, without any excuse. */
static void judge_whole(struct run *run)
{
    if (!run_failed(run))
        (void)check_log(run, false);
    if (!run_failed(run))
        note_judge(run, false);
    history_totals(&run->history, &run->told);
    if (!run_failed(run))
        judge_released(run);
}

static void judge_crash(struct run *run, uint64_t hash)
{
    run_crash(run);
    run_start(run);
    compare_hash(run, hash, "a crash");
}

static void judge_stop(struct run *run, uint64_t hash)
{
    int status = sim_broker_stop(&run->broker);
    if (status < 0)
        return RUN_FAIL(run, "stop: %s", xd_status_name(status));
    note_mark(run, HISTORY_STOP);
    run_count(run, TOTAL_STOPS, 1);
    char name[ENV_NAME_BYTES_MAX];
    uint32_t shard = run->plan.shards > 1 ? run_below(run, run->plan.shards) : 0;
    sim_broker_name(&run->broker, shard, run_chance(run, 32768) ? "checkpoint.0" : "checkpoint.1",
                    name);
    if (sim_disk_durable_bytes(run->broker.sim, name) >= 4096) /* not only made, but written */
        judge_fallback(run, hash, name);
    run_start(run);
    compare_hash(run, hash, "a stop");
}

void judge(struct run *run, bool settled)
{
    bool damaged = run->damaged || rot_count(run) > 0;
    run_rest(run, REST_MS);
    if (damaged && !run_failed(run))
        judge_damaged(run);
    if (!settled) { /* the history says who does not settle, unless it is the sources' own fault */
        judge_whole(run);
        return RUN_FAIL(run, "the sources do not come to rest");
    }
    if (run_failed(run))
        return;
    for (uint32_t i = 0; i < run->plan.shards; i++)
        count_recycled(run, i);
    run_rest(run, REST_MS);
    uint64_t hash = sim_broker_state_hash(&run->broker);
    if (run_chance(run, 32768))
        judge_crash(run, hash);
    else
        judge_stop(run, hash);
    judge_whole(run);
}
