/* SPDX-License-Identifier: Apache-2.0
 *
 * What a run of log_run.h knows, and the engine that it runs on: a table of four calls. The
 * simulator's stands here, those of production in log_run_disk.h.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_LOG_RUN_ENGINE_H
#define CROSSDOCK_TESTS_SUPPORT_LOG_RUN_ENGINE_H

#include "broker/log/log.h"
#include "broker/log/log_state.h"
#include "tests/support/env_sim.h"
#include "wire/limits.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Partitions of the log; a test that needs others defines it before. */
#ifndef RUN_PARTITIONS
#define RUN_PARTITIONS 8u
#endif
#define RUN_OUT_BYTES (XD_BATCH_BYTES_MAX + 8192u)

/* What the log's user knows of the log; also the state of its checkpoints. */
struct run_fold {
    uint64_t hash;                 /* over partition, offset and hash of every batch, in sequence */
    uint64_t batches;              /* folded */
    uint64_t index;                /* of the last block with a batch */
    uint64_t ends[RUN_PARTITIONS]; /* behind the last record folded, per partition */
};

/* A batch as it was appended. */
struct run_batch {
    uint64_t base_offset;   /* */
    uint64_t xxh3;          /* of its content */
    uint64_t index;         /* of its block, as log_append said */
    uint32_t records;       /* */
    uint32_t partition;     /* */
    uint32_t suppressed;    /* records marked in its bitmap */
    int64_t append_time_us; /* */
};

struct run;

/* An engine: a disk that outlives the processes which work on it. */
struct run_engine {
    const char *name;                      /* as env.engine says */
    uint64_t idle_ns_max;                  /* longest rest that a random test may take */
    struct env *(*start)(struct run *run); /* a new process; never NULL */
    /* Ends the process without closing the log. What was written and not flushed is treated as the
     * menu says where the engine can choose, else it stays, as after kill -9. */
    void (*stop)(struct run *run, enum sim_crash_menu menu);
    bool (*dead)(const struct run *run); /* the process has died by itself */
    void (*end)(struct run *run);        /* the process, if one runs, and the disk are gone */
};

struct run {
    const struct run_engine *engine; /* */
    struct sim *sim;                 /* the world, NULL on another engine */
    const char *folder;              /* the data folder, NULL in the simulator */
    struct env *env;
    struct arena arena;
    struct counters counters;
    struct log_options options;
    struct log *log;
    struct run_fold fold;          /* of what was given */
    struct run_batch *batches;     /* all appended, in log sequence; cut back at a restart */
    uint64_t batch_count;          /* */
    uint64_t batch_max;            /* room there */
    uint64_t next[RUN_PARTITIONS]; /* offset of the next batch */
    uint64_t durable_promised;     /* batches below were durable once: they must never go */
    uint64_t news[LOG_NEWS_COUNT]; /* by kind, of this process */
    struct log_news last_news[LOG_NEWS_COUNT]; /* newest of each kind */
    uint8_t *out;                              /* RUN_OUT_BYTES for reads */
    int64_t time_us;                           /* append time of the next batch */
    bool checkpoints;                          /* take those that are due */
    char why[XD_DETAIL_BYTES_MAX];             /* of the last open */
};

/* The smallest log there can be, without self-test. */
static inline void run_options(struct log_options *options)
{
    log_options_init(options);
    options->clock_steady_ns = 500000000;
    options->segment_bytes = SEGMENT_BYTES_MIN;
    options->tail_bytes = 16u << 20;
    options->index_bytes = 256u << 10;
    options->checkpoint_bytes_max = 64u << 10;
    options->checkpoint_every_bytes = 8u << 20;
    options->disk_low_bytes = 16u << 20;
    options->partitions_max = RUN_PARTITIONS;
    options->segments_ready_min = 1;
    options->read_cache_extents = 4;
    options->sync = LOG_SYNC_FDATASYNC;
}

static inline struct env *run_sim_start(struct run *run)
{
    return env_sim_process(run->sim, NULL);
}

static inline void run_sim_stop(struct run *run, enum sim_crash_menu menu)
{
    (void)sim_crash(run->sim, menu);
}

static inline bool run_sim_dead(const struct run *run)
{
    return sim_dead(run->sim);
}

static inline void run_sim_end(struct run *run)
{
    sim_close(run->sim);
}

static const struct run_engine run_engine_sim = {.name = "simulator",
                                                 .idle_ns_max = 400000000,
                                                 .start = run_sim_start,
                                                 .stop = run_sim_stop,
                                                 .dead = run_sim_dead,
                                                 .end = run_sim_end};

static inline bool run_dead(const struct run *run)
{
    return run->engine->dead(run);
}

/* An empty disk. Batches carry the engine's wall clock from the first start on. */
static inline void run_begin_on(struct run *run, const struct run_engine *engine)
{
    memset(run, 0, sizeof(*run));
    run->engine = engine;
    run_options(&run->options);
    run->out = malloc(RUN_OUT_BYTES);
    cr_assert_not_null(run->out);
    run->checkpoints = true;
}

static inline void run_begin_in(struct run *run, const struct sim_options *world)
{
    run_begin_on(run, &run_engine_sim);
    run->sim = sim_open(world);
    run->time_us = world->wall_us;
}

/* A world without faults. */
static inline void run_begin(struct run *run, uint64_t seed)
{
    struct sim_options world;

    sim_options_init(&world, seed);
    run_begin_in(run, &world);
}

static inline void run_end(struct run *run)
{
    run->engine->end(run);
    free(run->batches);
    free(run->out);
}

#endif
