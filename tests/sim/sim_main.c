/* SPDX-License-Identifier: Apache-2.0
 *
 * sim_broker: whole-broker simulation over a range of seeds.
 *
 *   sim_broker [--profile NAME] [--seed N] [--seeds K] [--shards N] [--steps S] [--faults LIST]
 *              [--fail-on TOTAL] [--twice] [--trace] [--shrink]
 *
 * Runs seeds N..N+K-1. Exit status 1 when one fails, when the same seed gives another trace the
 * second time (--twice), or when 100 seeds and more have been too tame. A failing seed is named on
 * standard error with its profile, the commit, and the command that runs it again.
 *
 *   --profile   faults that seeds draw from; `swarm` (default) draws a profile for each seed
 *   --shards    of the broker: 1, 2 or 4; else each seed draws them
 *   --steps     turns before healing; else each seed draws them
 *   --faults    only these of the faults that the seed draws: names with commas, all, none
 *   --fail-on   a seed fails when this total comes up: finds a run in which something happens
 *   --trace     prints every operation
 *   --shrink    looks for the smallest command that fails in the same way
 */
#include "tests/sim/sim_run.h"

#include "broker/version.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAME_SEEDS 100u /* from so many on, each total must have come up */
#define COMMAND_BYTES (FAULTS_TEXT_BYTES + 512u)

/* What to say when an assertion aborts the process: about the seed that runs. */
static char abort_text[COMMAND_BYTES + 256];

static void on_abort(int number)
{
    (void)number;
    /* Nothing can be done when even this fails. */
    (void)!write(STDERR_FILENO, abort_text, strlen(abort_text));
    signal(SIGABRT, SIG_DFL);
}

struct arguments {
    const char *program;
    uint64_t seed;
    uint64_t seeds;
    uint64_t fail_on; /* set of 1 << enum run_total */
    struct plan_limits limits;
    bool twice;
    bool trace;
    bool shrink;
};

static bool parse_number(const char *text, uint64_t max, uint64_t *ret)
{
    char *end;
    unsigned long long number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || number > max)
        return false;
    *ret = number;
    return true;
}

/* An option with a value. */
static bool parse_value(const char *name, const char *value, struct arguments *arguments)
{
    uint64_t number;
    enum run_total total;
    if (strcmp(name, "--seed") == 0)
        return parse_number(value, UINT64_MAX, &arguments->seed);
    if (strcmp(name, "--seeds") == 0)
        return parse_number(value, UINT64_MAX, &arguments->seeds);
    if (strcmp(name, "--profile") == 0)
        return profile_find(value, &arguments->limits.profile);
    if (strcmp(name, "--faults") == 0)
        return faults_read(value, &arguments->limits.faults);
    if (strcmp(name, "--steps") == 0) {
        if (!parse_number(value, UINT32_MAX, &number))
            return false;
        arguments->limits.steps = (uint32_t)number;
        return true;
    }
    if (strcmp(name, "--shards") == 0) {
        if (!parse_number(value, 4, &number) || number == 0 || number == 3)
            return false;
        arguments->limits.shards = (uint32_t)number;
        return true;
    }
    if (strcmp(name, "--fail-on") != 0 || !total_find(value, &total))
        return false;
    arguments->fail_on |= 1ull << total;
    return true;
}

static bool parse(int argc, char **argv, struct arguments *ret)
{
    *ret = (struct arguments){.program = argv[0],
                              .seed = 1,
                              .seeds = 1,
                              .limits = {.faults = FAULTS_ALL, .profile = PROFILE_SWARM}};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--twice") == 0)
            ret->twice = true;
        else if (strcmp(argv[i], "--trace") == 0)
            ret->trace = true;
        else if (strcmp(argv[i], "--shrink") == 0)
            ret->shrink = true;
        else if (i + 1 == argc || !parse_value(argv[i], argv[i + 1], ret))
            return false;
        else
            i++;
    }
    return true;
}

/* The command that runs the plan again. ret_text of COMMAND_BYTES. */
static void command_write(const struct arguments *arguments, const struct plan *plan,
                          char *ret_text)
{
    char faults[FAULTS_TEXT_BYTES];
    faults_write(plan->faults, faults);
    int used = snprintf(ret_text, COMMAND_BYTES,
                        "%s --profile %s --seed %" PRIu64 " --shards %u --steps %u --faults %s",
                        arguments->program, profile_name(plan->profile), plan->seed, plan->shards,
                        plan->steps, faults);
    for (uint32_t i = 0; i < TOTAL_COUNT && used > 0 && (size_t)used < COMMAND_BYTES; i++)
        if ((arguments->fail_on >> i & 1) != 0)
            used += snprintf(ret_text + used, COMMAND_BYTES - (size_t)used, " --fail-on %s",
                             total_name((enum run_total)i));
}

static void say_failure(const struct arguments *arguments, const struct plan *plan,
                        const char *failure)
{
    char command[COMMAND_BYTES];
    command_write(arguments, plan, command);
    fprintf(stderr, "sim_broker: seed=%" PRIu64 " profile=%s commit=%s: %s\n", plan->seed,
            profile_name(plan->profile), version_commit(), failure);
    fprintf(stderr, "sim_broker: again: %s\n", command);
}

/* The seed runs in a child, which an assertion may abort. */
static bool run_and_shrink(struct run *run, struct plan *plan, const struct arguments *arguments)
{
    char text[SHRINK_TEXT_BYTES], command[COMMAND_BYTES];
    if (!shrink_fails(run, plan, text))
        return true;
    say_failure(arguments, plan, text);
    uint32_t attempts = shrink(run, plan);
    command_write(arguments, plan, command);
    fprintf(stderr, "sim_broker: smallest of %u: %s\n", attempts, command);
    return false;
}

static bool run_one(struct run *run, uint64_t seed, const struct arguments *arguments)
{
    struct plan plan;
    char command[COMMAND_BYTES];
    plan_draw(&plan, &arguments->limits, seed);
    if (arguments->shrink)
        return run_and_shrink(run, &plan, arguments);
    command_write(arguments, &plan, command);
    snprintf(abort_text, sizeof abort_text,
             "sim_broker: seed=%" PRIu64 " profile=%s commit=%s: aborted\nsim_broker: again: %s\n",
             plan.seed, profile_name(plan.profile), version_commit(), command);
    if (!run_plan(run, &plan, arguments->trace ? stdout : NULL)) {
        say_failure(arguments, &plan, run->failure);
        return false;
    }
    if (!arguments->twice)
        return true;
    uint64_t trace = sim_trace_hash(run->broker.sim);
    if (run_plan(run, &plan, NULL) && sim_trace_hash(run->broker.sim) == trace)
        return true;
    fprintf(stderr, "sim_broker: the second run differs: %s\n", command);
    return false;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    if (!parse(argc, argv, &arguments)) {
        fprintf(stderr, "usage: sim_broker [--profile NAME] [--seed N] [--seeds K] [--shards N]\n"
                        "                  [--steps S] [--faults LIST] [--fail-on TOTAL] [--twice] "
                        "[--trace] [--shrink]\n");
        return 2;
    }
    struct run *run = malloc(sizeof *run);
    if (run == NULL)
        return 1;
    signal(SIGABRT, on_abort);
    run_init(run);
    run->fail_on = arguments.fail_on;
    bool good = true;
    for (uint64_t i = 0; i < arguments.seeds && good; i++)
        good = run_one(run, arguments.seed + i, &arguments);
    if (!arguments.shrink) /* its seeds were counted in their own processes */
        totals_print(run, stdout);
    if (good && !arguments.shrink && arguments.seeds >= TAME_SEEDS)
        good = !totals_tame(run, &arguments.limits, arguments.seeds);
    run_deinit(run);
    free(run);
    return good ? 0 : 1;
}
