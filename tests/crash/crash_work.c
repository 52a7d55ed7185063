/* SPDX-License-Identifier: Apache-2.0
 *
 * The scripts, and what they are made of.
 */
#include "tests/crash/crash_work.h"

#include "broker/log/log_state.h"
#include "tests/crash/crash_choice.h"
#include "tests/crash/crash_disk.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_BYTES_MAX (256ull << 20)
#define MIB (1u << 20)

/* ---- draws ----------------------------------------------------------------------------------- */

static uint64_t draw(struct crash_work *work, uint64_t from, uint64_t to)
{
    return from + prng_below(&work->prng, to - from + 1);
}

static bool chance(struct crash_work *work, uint32_t in_100)
{
    return prng_below(&work->prng, 100) < in_100;
}

/* Says why the script cannot go on. */
static bool stuck(struct crash_work *work, const char *where)
{
    if (work->failure[0] == '\0')
        (void)snprintf(work->failure, sizeof(work->failure), "%.200s: %.400s %.400s", where,
                       work->log.failure, work->log.why);
    return false;
}

/* ---- processes and their disk ---------------------------------------------------------------- */

static struct env *sim_start(struct crash_work *work)
{
    struct env_sim_options options;

    env_sim_options_init(&options);
    options.mem_bytes_max = 1u << 20;
    options.buffer_count = 1;
    options.buffer_bytes = 4096;
    options.conns_max = 1;
    return env_sim_process(work->sim, &options);
}

/* NULL when the ring gives none. */
static struct env *process_start(struct crash_work *work)
{
    if (work->ring == NULL)
        return sim_start(work);
    if (crash_ring_start(work->ring) < 0)
        (void)stuck(work, work->ring->why);
    return work->ring->env;
}

/* The process is gone. What it has started reaches the device, or, if so said and where the disk
 * can be told to, only what was flushed does. */
static void process_end(struct crash_work *work, enum sim_crash_menu menu)
{
    crash_log_forget(&work->log);
    if (work->ring != NULL)
        crash_ring_stop(work->ring);
    else
        (void)sim_crash(work->sim, menu);
}

/* The disk without a process. */
static bool disk_take(struct crash_work *work)
{
    if (work->ring == NULL)
        sim_snapshot_take(&work->start, work->sim);
    else if (crash_ring_take(work->ring, &work->start) < 0)
        return stuck(work, work->ring->why);
    return true;
}

static bool disk_put(struct crash_work *work, const struct sim_snapshot *image)
{
    if (work->ring == NULL)
        sim_snapshot_put(image, work->sim);
    else if (crash_ring_put(work->ring, image) < 0)
        return stuck(work, work->ring->why);
    return true;
}

/* ---- parts of scripts ------------------------------------------------------------------------ */

/* A log whose every operation is traced. */
static bool traced_start(struct crash_work *work)
{
    struct env *env = process_start(work);

    if (env == NULL)
        return false;
    env = env_trace_process(&work->trace, env);
    work->log.trace = &work->trace;
    work->starts++;
    if (crash_log_open(&work->log, env) < 0)
        return stuck(work, "traced start");
    work->cuts += work->log.news[LOG_NEWS_TAIL_CUT];
    work->log.news[LOG_NEWS_TAIL_CUT] = 0;
    return true;
}

/* Adds up what the process has done. */
static void note_news(struct crash_work *work)
{
    work->rolls += work->log.news[LOG_NEWS_SEGMENT_ROLLED];
    work->drops += work->log.news[LOG_NEWS_SEGMENT_DROPPED];
    work->checkpoints += work->log.news[LOG_NEWS_CHECKPOINT];
    work->fences += work->log.news[LOG_NEWS_FENCED];
    memset(work->log.news, 0, sizeof(work->log.news));
}

/* The process is killed: the machine goes on, and what was started reaches the device. */
static void kill_process(struct crash_work *work)
{
    note_news(work);
    process_end(work, SIM_CRASH_KEEP_ALL);
}

/* Appends and turns for a while. */
static bool produce(struct crash_work *work, uint32_t rounds, uint32_t bytes_max)
{
    for (uint32_t round = 0; round < rounds; round++) {
        uint64_t batches = draw(work, 0, 6);

        for (uint64_t i = 0; i < batches; i++) {
            uint64_t most = chance(work, 15) ? bytes_max : 2000;

            if (!crash_log_feed(&work->log, &work->prng, 160 + (uint32_t)draw(work, 0, most)))
                return stuck(work, "append");
        }
        if (!crash_log_turn(&work->log, draw(work, 0, 400000)))
            return stuck(work, "turn");
    }
    return true;
}

/* Lets time pass. */
static bool rest(struct crash_work *work, uint64_t ns)
{
    uint64_t until_ns = env_now_mono_ns(work->log.env) + ns;

    while (env_now_mono_ns(work->log.env) < until_ns)
        if (!crash_log_turn(&work->log, until_ns - env_now_mono_ns(work->log.env)))
            return stuck(work, "rest");
    return true;
}

/* An untraced life: about `bytes` of log, all durable, a checkpoint near its end, a clean stop. */
static bool earlier_life(struct crash_work *work, uint64_t bytes, uint32_t batch_bytes)
{
    uint64_t every = work->log.options.checkpoint_every_bytes;
    struct env *env;

    work->log.trace = NULL;
    work->log.options.checkpoint_every_bytes = 256u << 10;
    env = process_start(work);
    if (env == NULL || crash_log_open(&work->log, env) < 0)
        return stuck(work, "earlier life");
    for (uint64_t done = 0; done < bytes; done += batch_bytes)
        if (!crash_log_feed(&work->log, &work->prng, batch_bytes))
            return stuck(work, "earlier life: append");
    if (!crash_log_settle(&work->log) || !rest(work, 50000000) || !crash_log_stop(&work->log))
        return stuck(work, "earlier life: end");
    process_end(work, SIM_CRASH_KEEP_NONE);
    work->log.options.checkpoint_every_bytes = every;
    return true;
}

/* The trace starts from the disk as it is. */
static bool trace_begin(struct crash_work *work)
{
    sim_rates(work->sim)->write_short = work->write_short;
    crash_line_deinit(&work->begin);
    crash_line_copy(&work->begin, &work->line);
    env_trace_deinit(&work->trace);
    env_trace_init(&work->trace, TRACE_BYTES_MAX);
    return disk_take(work);
}

/* ---- scripts --------------------------------------------------------------------------------- */

static bool run_append(struct crash_work *work)
{
    if (!earlier_life(work, draw(work, 0, 2 * MIB), 150000))
        return false;
    return trace_begin(work) && traced_start(work) && produce(work, 60, 40000);
}

static bool run_create(struct crash_work *work)
{
    return trace_begin(work) && traced_start(work) && produce(work, 8, 10000);
}

static bool run_roll(struct crash_work *work)
{
    if (!earlier_life(work, 3 * MIB + draw(work, 0, MIB / 2), 200000))
        return false;
    return trace_begin(work) && traced_start(work) && produce(work, 50, 300000);
}

static bool run_checkpoint(struct crash_work *work)
{
    work->log.options.checkpoint_every_bytes = draw(work, 20000, 120000);
    if (!earlier_life(work, draw(work, 0, 3 * MIB), 200000))
        return false;
    return trace_begin(work) && traced_start(work) && produce(work, 60, 30000);
}

/* Rolls that drop the oldest segment, whose file is used again. */
static bool run_retain(struct crash_work *work)
{
    work->log.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
    work->log.options.checkpoint_every_bytes = draw(work, 200000, MIB);
    if (!earlier_life(work, 21ull * MIB + draw(work, 0, 3 * MIB), 500000))
        return false;
    return trace_begin(work) && traced_start(work) && produce(work, 60, 900000);
}

static bool run_stop(struct crash_work *work)
{
    if (!earlier_life(work, draw(work, 0, 3 * MIB), 200000) || !trace_begin(work))
        return false;
    for (uint32_t i = 0; i < 3; i++) {
        if (!traced_start(work) || !produce(work, (uint32_t)draw(work, 1, 6), 20000))
            return false;
        if (chance(work, 50) && !rest(work, 150000000))
            return false;
        if (!crash_log_stop(&work->log))
            return stuck(work, "stop");
        kill_process(work);
    }
    return true;
}

/* Often with checkpoints, so that the kill meets writes of meta; sometimes where segments are
 * dropped and made again. */
static bool run_kill(struct crash_work *work)
{
    uint64_t bytes = draw(work, 0, 4 * MIB);

    if (chance(work, 60))
        work->log.options.checkpoint_every_bytes = draw(work, 8192, 65536);
    if (chance(work, 30)) {
        work->log.options.retention_bytes = 4ull * SEGMENT_BYTES_MIN;
        bytes += 19ull * MIB;
    }
    if (!earlier_life(work, bytes, bytes > 4 * MIB ? 500000 : 200000) || !trace_begin(work))
        return false;
    for (uint32_t i = 0; i < 3; i++) {
        if (!traced_start(work) || !produce(work, (uint32_t)draw(work, 1, 15),
                                            work->log.options.retention_bytes ? 900000 : 60000))
            return false;
        kill_process(work);
    }
    return traced_start(work) && produce(work, 3, 20000);
}

/* An operation fails, the log is fenced, and its owner starts it again. */
static bool run_fence(struct crash_work *work)
{
    if (!earlier_life(work, draw(work, 0, 4 * MIB), 200000) || !trace_begin(work))
        return false;
    for (uint32_t i = 0; i < 3; i++) {
        if (!traced_start(work))
            return false;
        if (work->log.options.sync == LOG_SYNC_FDATASYNC && chance(work, 60))
            env_trace_fail_sync(&work->trace, (uint32_t)draw(work, 1, 3));
        else
            env_trace_fail_write(&work->trace, (uint32_t)draw(work, 1, 6));
        if (!produce(work, 30, 60000) && log_fenced(work->log.log) == 0)
            return false;
        work->failure[0] = '\0'; /* the fence was wanted */
        env_trace_fail_sync(&work->trace, 0);
        env_trace_fail_write(&work->trace, 0);
        kill_process(work);
    }
    return traced_start(work) && produce(work, 3, 20000);
}

/* Replays the trace up to a random point and makes one crash of it. */
static void crash_somewhere(struct crash_work *work, struct crash_disk *disk,
                            struct crash_plan *plan, struct sim_snapshot *image)
{
    uint32_t point = (uint32_t)draw(work, work->trace.row_count / 3, work->trace.row_count);

    crash_disk_init(disk, &work->trace, &work->start);
    while (disk->next_row < point)
        crash_disk_step(disk);
    (void)crash_choice_make(disk, work->seed, (uint32_t)draw(work, 1000, 1000000), plan);
    (void)crash_disk_image(disk, plan, image);
    crash_disk_deinit(disk);
}

/* Puts crashes of what has been traced on a simulated disk until an untraced recovery cuts a tail
 * there; puts that crash on the disk of the workload. */
static bool crash_with_tail(struct crash_work *work)
{
    struct crash_disk *disk = malloc(sizeof(*disk));
    struct crash_plan *plan = malloc(sizeof(*plan));
    struct sim_snapshot image;
    bool found = false;

    XD_ASSERT(disk != NULL && plan != NULL);
    sim_snapshot_init(&image, work->court->sim);
    for (uint32_t i = 0; i < 200 && !found; i++) {
        uint64_t count = work->line.count;

        crash_somewhere(work, disk, plan, &image);
        sim_snapshot_put(&image, work->sim);
        work->log.trace = NULL;
        work->log.floor = 0;
        if (crash_log_open(&work->log, sim_start(work)) < 0)
            break;
        found = work->log.news[LOG_NEWS_TAIL_CUT] > 0;
        crash_log_forget(&work->log);
        (void)sim_crash(work->sim, SIM_CRASH_KEEP_NONE);
        if (!found)
            work->line.count = count;
    }
    if (!found)
        (void)stuck(work, "no crash leaves a tail to cut");
    found = found && disk_put(work, &image);
    sim_snapshot_clear(&image);
    sim_snapshot_deinit(&image);
    free(disk);
    free(plan);
    return found;
}

/* Recovery of a crash image, which cuts a tail, is what is traced. */
static bool run_recovery(struct crash_work *work)
{
    uint64_t bytes = draw(work, 0, 1) == 0 ? 3 * MIB + 700000 : draw(work, 0, 2 * MIB);

    if (!earlier_life(work, bytes, 150000) || !trace_begin(work))
        return false;
    if (!traced_start(work) || !produce(work, 15, 60000))
        return false;
    process_end(work, SIM_CRASH_KEEP_NONE);
    if (!crash_with_tail(work) || !trace_begin(work))
        return false;
    return traced_start(work) && produce(work, 6, 20000);
}

/* ---- the table ------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    bool (*run)(struct crash_work *work);
    uint32_t traces; /* per seed of the program: more where one gives few images */
} works[] = {
    {"append", run_append, 1},     {"create", run_create, 1},
    {"roll", run_roll, 1},         {"checkpoint", run_checkpoint, 1},
    {"retain", run_retain, 1},     {"stop", run_stop, 2},
    {"kill", run_kill, 4},         {"fence", run_fence, 1},
    {"recovery", run_recovery, 6},
};

uint32_t crash_work_count(void)
{
    return sizeof(works) / sizeof(works[0]);
}

const char *crash_work_name(uint32_t kind)
{
    XD_ASSERT(kind < crash_work_count());
    return works[kind].name;
}

uint32_t crash_work_traces(uint32_t kind)
{
    XD_ASSERT(kind < crash_work_count());
    return works[kind].traces;
}

/* Options and faults of the world, drawn from the seed. */
static void world_draw(struct crash_work *work, uint32_t kind, uint64_t seed)
{
    struct sim_options world;
    struct log_options *options = &work->log.options;

    sim_options_init(&world, seed);
    work->write_short = chance(work, 25) ? 1000 : 0;
    world.rates.buggify_enabled = chance(work, 30) ? 30000 : 0;
    world.rates.buggify_fires = 3000;
    sim_reset(work->sim, &world);
    crash_log_options(options);
    options->sync =
        chance(work, work->ring != NULL ? 80 : 50) ? LOG_SYNC_DSYNC : LOG_SYNC_FDATASYNC;
    options->writes_inflight_max = (uint32_t)draw(work, 1, 12);
    options->write_group_bytes = (uint32_t)draw(work, 4096, 200000);
    options->segments_ready_min = (uint32_t)draw(work, 1, kind == 2 ? 2 : 1);
}

void crash_work_init(struct crash_work *work, struct crash_court *court, struct crash_ring *ring)
{
    struct sim_options world;

    memset(work, 0, sizeof(*work));
    sim_options_init(&world, 1);
    work->sim = sim_open(&world);
    work->court = court;
    work->ring = ring;
    crash_log_init(&work->log, &work->line);
    env_trace_init(&work->trace, TRACE_BYTES_MAX);
    sim_snapshot_init(&work->start, court->sim);
}

void crash_work_deinit(struct crash_work *work)
{
    sim_snapshot_clear(&work->start);
    sim_snapshot_deinit(&work->start);
    env_trace_deinit(&work->trace);
    crash_line_deinit(&work->line);
    crash_line_deinit(&work->begin);
    crash_log_deinit(&work->log);
    sim_close(work->sim);
}

bool crash_work_run(struct crash_work *work, uint32_t kind, uint64_t seed)
{
    bool good;

    XD_ASSERT(kind < crash_work_count());
    work->seed = seed;
    work->failure[0] = '\0';
    prng_seed(&work->prng, prng_mix(seed) + kind);
    crash_line_deinit(&work->line);
    work->log.floor = 0;
    world_draw(work, kind, seed);
    if (work->ring != NULL)
        crash_ring_clear(work->ring);
    good = works[kind].run(work);
    if (!good && work->log.log != NULL && work->log.failure[0] == '\0' && work->log.why[0] == '\0')
        good = log_fenced(work->log.log) != 0; /* short writes in a row: the trace ends here */
    note_news(work);
    process_end(work, SIM_CRASH_KEEP_NONE);
    if (good && work->trace.full)
        good = stuck(work, "the trace is full");
    return good;
}
