/* SPDX-License-Identifier: Apache-2.0
 *
 * The smallest run that still fails.
 *
 * Normal path: fewer shards are tried, faults are left out one by one, steps are halved, until
 * nothing can be left out any more. Each attempt runs in a child process, because a failure may be
 * an assertion; it counts only when the child says the same as before, numbers aside. Without a
 * child (no memory, no process) the attempt counts as one that does not fail, so the plan stays as
 * large as it was.
 */
#include "tests/sim/sim_run.h"

#include "wire/xassert.h"

#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX 4u

/* Runs the plan here and says what failed, on `out`. Does not return. */
static void attempt_run(struct run *run, const struct plan *plan, int out)
{
    signal(SIGABRT, SIG_DFL);
    dup2(out, STDERR_FILENO);
    bool good = run_plan(run, plan, NULL);
    if (!good)
        dprintf(out, "%s\n", run->failure);
    _exit(good ? 0 : 1);
}

/* Drops the numbers: what is left is the same when the same fails elsewhere. */
static void text_reduce(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++)
        if (!isdigit((unsigned char)*from))
            *to++ = *from;
    *to = '\0';
}

bool shrink_fails(struct run *run, const struct plan *plan, char *ret_text)
{
    int ends[2], status;
    size_t used = 0;
    char rest[256];
    ret_text[0] = '\0';
    if (pipe(ends) < 0)
        return false;
    pid_t child = fork();
    if (child == 0)
        attempt_run(run, plan, ends[1]);
    close(ends[1]);
    for (;;) {
        bool full = used == SHRINK_TEXT_BYTES - 1;
        ssize_t got = full ? read(ends[0], rest, sizeof rest)
                           : read(ends[0], ret_text + used, SHRINK_TEXT_BYTES - 1 - used);
        if (got <= 0)
            break;
        used += full ? 0 : (size_t)got;
    }
    close(ends[0]);
    ret_text[used] = '\0';
    bool failed = child > 0 && waitpid(child, &status, 0) == child && status != 0;
    ret_text[strcspn(ret_text, "\n")] = '\0';
    return failed;
}

/* Whether the run fails in the same way with these faults, steps and shards; then they are taken
 * over. */
static bool try(struct run *run, struct plan *plan, uint64_t faults, uint32_t steps,
                uint32_t shards, const char *expected)
{
    char text[SHRINK_TEXT_BYTES];
    struct plan smaller;
    struct plan_limits limits = {
        .profile = plan->profile, .faults = faults, .steps = steps, .shards = shards};
    plan_draw(&smaller, &limits, plan->seed);
    bool failed = shrink_fails(run, &smaller, text);
    text_reduce(text);
    if (!failed || strcmp(text, expected) != 0)
        return false;
    *plan = smaller;
    return true;
}

static uint32_t shrink_faults(struct run *run, struct plan *plan, const char *expected)
{
    uint32_t attempts = 0;
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        if ((plan->faults & FAULT_BIT(i)) == 0)
            continue;
        attempts++;
        try(run, plan, plan->faults & ~FAULT_BIT(i), plan->steps, plan->shards, expected);
    }
    return attempts;
}

static uint32_t shrink_steps(struct run *run, struct plan *plan, const char *expected)
{
    uint32_t attempts = 0;
    uint32_t low = 1; /* below it every attempt was good */
    while (low < plan->steps) {
        uint32_t middle = low + (plan->steps - low) / 2;
        attempts++;
        if (!try(run, plan, plan->faults, middle, plan->shards, expected))
            low = middle + 1;
    }
    return attempts;
}

static uint32_t shrink_shards(struct run *run, struct plan *plan, const char *expected)
{
    uint32_t attempts = 0;
    for (uint32_t shards = 1; shards < plan->shards; shards *= 2) {
        attempts++;
        try(run, plan, plan->faults, plan->steps, shards, expected);
    }
    return attempts;
}

uint32_t shrink(struct run *run, struct plan *plan)
{
    char expected[SHRINK_TEXT_BYTES];
    uint32_t attempts = 1;
    bool failed = shrink_fails(run, plan, expected);
    text_reduce(expected);
    for (uint32_t round = 0; failed && round < ROUNDS_MAX; round++) {
        struct plan before = *plan;
        attempts += shrink_shards(run, plan, expected);
        attempts += shrink_faults(run, plan, expected);
        attempts += shrink_steps(run, plan, expected);
        if (before.faults == plan->faults && before.steps == plan->steps &&
            before.shards == plan->shards)
            break;
    }
    return attempts;
}
