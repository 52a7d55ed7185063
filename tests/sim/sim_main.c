/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_broker: whole-broker simulation over a range of seeds.
 *
 *   sim_broker [--seed N] [--seeds K] [--steps S] [--twice] [--trace]
 *
 * Runs seeds N..N+K-1. Exit status 1 and the seed on standard error when one fails, when the same
 * seed gives another trace the second time (--twice), or when 100 seeds and more have been too
 * tame.
 * --trace prints every operation of a single seed.
 */
#include "tests/sim/sim_run.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAME_SEEDS 100u /* from so many on, each total must have come up */

static const char *const total_names[TOTAL_COUNT] = {
    [TOTAL_CRASHES] = "crashes",
    [TOTAL_FENCES] = "fences",
    [TOTAL_STARTS_FAILED] = "starts_failed",
    [TOTAL_TAIL_CUTS] = "tail_cuts",
    [TOTAL_CHECKPOINTS] = "checkpoints",
    [TOTAL_FALLBACKS] = "fallbacks",
    [TOTAL_STOPS] = "stops",
    [TOTAL_ACKED] = "acked",
    [TOTAL_EARLY] = "early",
    [TOTAL_DUPLICATES] = "duplicates",
    [TOTAL_OUT_OF_SEQUENCE] = "out_of_sequence",
    [TOTAL_BACKOFF] = "backoff",
    [TOTAL_CHECKSUMS] = "checksums",
    [TOTAL_REUSED] = "reused",
    [TOTAL_CHAIN_KNOWN] = "known_by_open",
    [TOTAL_ATTACHES] = "attaches",
    [TOTAL_OPENS] = "opens",
    [TOTAL_EPOCHS] = "channel_epochs",
    [TOTAL_FENCED] = "fenced",
    [TOTAL_READS] = "reads",
    [TOTAL_TOPICS] = "topics",
};

/* The seed that runs, for the handler: an assertion aborts the process. */
static char seed_text[64];

static void on_abort(int number)
{
    (void)number;
    /* Nothing can be done when even this fails. */
    (void)!write(STDERR_FILENO, seed_text, strlen(seed_text));
    signal(SIGABRT, SIG_DFL);
}

struct arguments {
    uint64_t seed;
    uint64_t seeds;
    uint32_t steps;
    bool twice;
    bool trace;
};

static bool parse(int argc, char **argv, struct arguments *ret)
{
    *ret = (struct arguments){.seed = 1, .seeds = 1, .steps = 1500};
    for (int i = 1; i < argc; i++) {
        bool value = i + 1 < argc;
        if (strcmp(argv[i], "--seed") == 0 && value)
            ret->seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seeds") == 0 && value)
            ret->seeds = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--steps") == 0 && value)
            ret->steps = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--twice") == 0)
            ret->twice = true;
        else if (strcmp(argv[i], "--trace") == 0)
            ret->trace = true;
        else
            return false;
    }
    return true;
}

static bool run_one(struct run *run, uint64_t seed, const struct arguments *arguments)
{
    snprintf(seed_text, sizeof seed_text, "sim_broker: aborted in --seed %" PRIu64 "\n", seed);
    if (!run_seed(run, seed, arguments->steps, arguments->trace ? stdout : NULL)) {
        fprintf(stderr, "sim_broker: --seed %" PRIu64 " --steps %u: %s\n", seed, arguments->steps,
                run->failure);
        return false;
    }
    if (!arguments->twice)
        return true;
    uint64_t trace = sim_trace_hash(run->broker.sim);
    if (run_seed(run, seed, arguments->steps, NULL) && sim_trace_hash(run->broker.sim) == trace)
        return true;
    fprintf(stderr, "sim_broker: --seed %" PRIu64 ": the second run differs\n", seed);
    return false;
}

/* Named places of io/faults.def, in the sequence of their enums. */
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

/* Names what never came up. */
static bool missing(const char *const *names, const uint64_t *counts, uint32_t count)
{
    bool found = false;
    for (uint32_t i = 0; i < count; i++) {
        if (counts[i] > 0)
            continue;
        fprintf(stderr, "sim_broker: too tame: no %s\n", names[i]);
        found = true;
    }
    return found;
}

static bool tame(const struct run *run)
{
    bool totals = missing(total_names, run->totals, TOTAL_COUNT);
    bool points = missing(point_names, run->points, ENV_CRASH_COUNT);
    bool sites = missing(site_names, run->sites, ENV_BUGGIFY_COUNT);
    return totals || points || sites;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    if (!parse(argc, argv, &arguments)) {
        fprintf(stderr,
                "usage: sim_broker [--seed N] [--seeds K] [--steps S] [--twice] [--trace]\n");
        return 2;
    }
    struct run *run = malloc(sizeof *run);
    if (run == NULL)
        return 1;
    signal(SIGABRT, on_abort);
    run_init(run);
    bool good = true;
    for (uint64_t i = 0; i < arguments.seeds && good; i++)
        good = run_one(run, arguments.seed + i, &arguments);
    for (uint32_t i = 0; i < TOTAL_COUNT; i++)
        printf("%s=%" PRIu64 " ", total_names[i], run->totals[i]);
    printf("\n");
    if (good && arguments.seeds >= TAME_SEEDS)
        good = !tame(run);
    run_deinit(run);
    free(run);
    return good ? 0 : 1;
}
