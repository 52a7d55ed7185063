/* SPDX-License-Identifier: Apache-2.0
 *
 * Enumerates the disk states that crashes leave and recovers each:
 *
 *   crash_images [--seed N] [--images N] [--per-trace N] [--workload NAME] [--ring]
 *   crash_images --image workload:seed:point:choice [--trace]
 *
 * Traces of all workloads are made from seeds N, N + 1, ... until so many distinct images have been
 * judged (a trace's own seed, in the name of an image, is 8 N + 0..7); --per-trace 0 makes every
 * state of each trace. The first bad image ends the run and is named; --image judges it alone,
 * --trace tells how it came about. A run of TAME_IMAGES or more in which something never came up
 * fails too.
 *
 * --ring traces the logs on io_uring and a folder of the real disk instead of the simulator. What
 * the kernel did once cannot be made again, so a bad image of the ring is told at once, and left in
 * RING_LEFT. Exit: 0 nothing found, 1 found something, 2 wrong usage, 77 no ring here.
 */
#include "tests/crash/crash_court.h"
#include "tests/crash/crash_kernel.h"
#include "tests/crash/crash_ring.h"
#include "tests/crash/crash_shard.h"
#include "tests/crash/crash_walk.h"
#include "tests/crash/crash_work.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TAME_IMAGES 2000u
#define KINDS_MAX 32u
#define EXIT_SKIPPED 77
#define RING_LEFT "crash-ring-left"
#define SHARD_SHARE 3u /* a shard's image costs about so many of a log's */

struct arguments {
    uint64_t seed;
    uint64_t images;
    uint64_t per_trace;
    const char *workload; /* NULL = all */
    const char *image;    /* NULL = many */
    bool trace;
    bool ring; /* trace on io_uring */
};

struct program {
    struct crash_court court;
    struct crash_work work;
    struct crash_shard shard;
    struct crash_walk walk;
    struct crash_ring ring;
    struct crash_kernel kernel;    /* over all traces of the ring */
    bool on_ring;                  /* traces are made there */
    uint64_t images_of[KINDS_MAX]; /* distinct ones by workload */
    uint64_t traces;               /* made */
};

/* What is being judged, for the last words of an abort. */
static const struct program *aborted;

/* An assertion of the code under test calls this, so it may do more than other handlers. */
static void on_abort(int number)
{
    static const char text[] = "crash_images: aborted in --image ";

    (void)number;
    (void)signal(SIGABRT, SIG_DFL);
    if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
        (void)!write(STDERR_FILENO, aborted->walk.id, strlen(aborted->walk.id));
    (void)!write(STDERR_FILENO, "\n", 1);
    if (aborted->on_ring && aborted->walk.image.pages != NULL)
        (void)crash_ring_leave(&aborted->walk.image, RING_LEFT); /* as far as it comes */
    abort();
}

static bool parse(int argc, char **argv, struct arguments *ret)
{
    *ret = (struct arguments){.seed = 1, .images = 3000, .per_trace = 330};
    for (int i = 1; i < argc; i++) {
        bool value = i + 1 < argc;

        if (strcmp(argv[i], "--seed") == 0 && value)
            ret->seed = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--images") == 0 && value)
            ret->images = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--per-trace") == 0 && value)
            ret->per_trace = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--workload") == 0 && value)
            ret->workload = argv[++i];
        else if (strcmp(argv[i], "--image") == 0 && value)
            ret->image = argv[++i];
        else if (strcmp(argv[i], "--trace") == 0)
            ret->trace = true;
        else if (strcmp(argv[i], "--ring") == 0)
            ret->ring = true;
        else
            return false;
    }
    if (ret->per_trace == 0)
        ret->per_trace = UINT64_MAX;
    return !ret->ring || ret->image == NULL;
}

/* ---- workloads: those of the log, and one of the whole shard --------------------------------- */

static uint32_t kind_count(const struct program *program)
{
    return crash_work_count() + (program->on_ring ? 0 : 1);
}

static bool is_shard(uint32_t kind)
{
    return kind == crash_work_count();
}

static const char *kind_name(uint32_t kind)
{
    return is_shard(kind) ? "shard" : crash_work_name(kind);
}

static uint64_t image_count(const struct program *program)
{
    return program->court.images + program->shard.images;
}

/* ---- the judge of logs ----------------------------------------------------------------------- */

static void log_mark(void *context, const struct env_trace_row *row)
{
    struct crash_court *court = context;

    if (row->file == CRASH_MARK_APPEND)
        crash_line_push(&court->line, (uint32_t)row->value);
    else if (row->file == CRASH_MARK_CUT)
        court->line.count = row->value;
}

static bool log_image(void *context, const struct sim_snapshot *image, uint64_t hash,
                      uint64_t acknowledged)
{
    return crash_court_judge(context, image, hash, acknowledged);
}

static uint64_t log_count(const void *context)
{
    return ((const struct crash_court *)context)->images;
}

/* Makes a trace of a log. */
static bool trace_log(struct program *program, uint32_t kind, uint64_t seed,
                      struct crash_path *ret_path)
{
    struct crash_work *work = &program->work;
    struct crash_line whole;

    if (!crash_work_run(work, kind, seed)) {
        fprintf(stderr, "crash_images: workload %s, seed %" PRIu64 " does not run: %s\n",
                kind_name(kind), seed, work->failure);
        return false;
    }
    if (program->on_ring) {
        crash_kernel_count(&program->kernel, &work->trace);
        if (!crash_kernel_check(&program->kernel, &program->ring, &work->trace, &work->start,
                                &program->walk.image)) {
            fprintf(stderr, "crash_images: workload %s, seed %" PRIu64 ": %s\n", kind_name(kind),
                    seed, program->ring.why);
            return false;
        }
    }
    whole = work->line;
    whole.ids = work->begin.ids;
    whole.count = work->begin.count;
    whole.room = work->begin.room;
    crash_court_begin(&program->court, &whole, &work->log.options);
    *ret_path = (struct crash_path){.name = kind_name(kind),
                                    .seed = seed,
                                    .trace = &work->trace,
                                    .start = &work->start,
                                    .acknowledged = work->begin.count};
    return true;
}

/* Makes a trace of a shard. */
static bool trace_shard(struct program *program, uint32_t kind, uint64_t seed,
                        struct crash_path *ret_path)
{
    struct crash_shard *shard = &program->shard;

    if (!crash_shard_run(shard, seed)) {
        fprintf(stderr, "crash_images: workload %s, seed %" PRIu64 " does not run: %s\n",
                kind_name(kind), seed, shard->failure);
        return false;
    }
    *ret_path = (struct crash_path){
        .name = kind_name(kind), .seed = seed, .trace = &shard->trace, .start = &shard->start};
    return true;
}

/* Makes a trace and says who judges it. False when the workload itself has failed. */
static bool trace_make(struct program *program, uint32_t kind, uint64_t seed,
                       struct crash_path *ret_path, struct crash_judge *ret_judge)
{
    (void)snprintf(program->walk.id, sizeof(program->walk.id), "%s:%" PRIu64 ":(being traced)",
                   kind_name(kind), seed);
    program->traces++;
    if (is_shard(kind)) {
        *ret_judge = crash_shard_judge(&program->shard);
        return trace_shard(program, kind, seed, ret_path);
    }
    *ret_judge = (struct crash_judge){
        .context = &program->court, .mark = log_mark, .image = log_image, .count = log_count};
    return trace_log(program, kind, seed, ret_path);
}

static bool report(const struct program *program, uint32_t kind, bool good)
{
    const char *rule = is_shard(kind) ? program->shard.rule : program->court.rule;
    const char *failure = is_shard(kind) ? program->shard.failure : program->court.failure;

    if (!good)
        fprintf(stderr, "crash_images: %s %s: %s: %s (image %" PRIu64 ")\n",
                program->on_ring ? "ring" : "--image", program->walk.id, rule, failure,
                image_count(program));
    return good;
}

/* The newest state once more: told, and left on the disk. */
static void leave(struct program *program, const struct crash_path *path,
                  const struct crash_judge *judge, uint32_t point, uint32_t choice)
{
    program->walk.out = stderr;
    program->walk.left = RING_LEFT;
    (void)crash_walk_one(&program->walk, path, judge, point, choice); /* its verdict is known */
    program->walk.left = NULL;
    program->walk.out = NULL;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static bool run_trace(struct program *program, uint32_t kind, uint64_t seed, uint64_t budget)
{
    uint64_t before = image_count(program);
    struct crash_judge judge;
    struct crash_path path;
    bool good;

    if (!trace_make(program, kind, seed, &path, &judge))
        return false;
    good = crash_walk_all(&program->walk, &path, &judge, budget);
    program->images_of[kind] += image_count(program) - before;
    (void)report(program, kind, good);
    if (!good && program->on_ring)
        leave(program, &path, &judge, program->walk.point, program->walk.choice);
    return good;
}

static bool run_one(struct program *program, const struct arguments *arguments)
{
    struct crash_judge judge;
    struct crash_path path;
    char name[32];
    uint64_t seed;
    uint32_t point;
    uint32_t choice;
    uint32_t kind = 0;

    if (sscanf(arguments->image, "%31[^:]:%" SCNu64 ":%u:%u", name, &seed, &point, &choice) != 4) {
        fprintf(stderr, "crash_images: an image is named workload:seed:point:choice\n");
        return false;
    }
    while (kind < kind_count(program) && strcmp(kind_name(kind), name) != 0)
        kind++;
    if (kind == kind_count(program) || !trace_make(program, kind, seed, &path, &judge))
        return false;
    if (point > path.trace->row_count) {
        fprintf(stderr, "crash_images: the trace has %u rows\n", path.trace->row_count);
        return false;
    }
    program->walk.out = arguments->trace ? stdout : NULL;
    program->court.trace = program->walk.out;
    return report(program, kind, crash_walk_one(&program->walk, &path, &judge, point, choice));
}

/* All traces of one workload for one seed of the program. */
static bool run_kind(struct program *program, const struct arguments *arguments, uint32_t kind,
                     uint64_t seed)
{
    uint32_t traces = is_shard(kind) ? 1 : crash_work_traces(kind);

    for (uint32_t i = 0; i < traces; i++) {
        uint64_t left;
        uint64_t budget = arguments->per_trace;

        if (image_count(program) >= arguments->images)
            break;
        left = arguments->images - image_count(program);
        if (is_shard(kind) && budget != UINT64_MAX)
            budget = budget / SHARD_SHARE + 1;
        if (budget != UINT64_MAX && budget > left)
            budget = left;
        if (!run_trace(program, kind, seed * CRASH_TRACES_MAX + i, budget))
            return false;
    }
    return true;
}

static bool run_many(struct program *program, const struct arguments *arguments)
{
    bool known = false;

    for (uint64_t seed = arguments->seed; image_count(program) < arguments->images; seed++) {
        for (uint32_t kind = 0; kind < kind_count(program); kind++) {
            if (arguments->workload != NULL && strcmp(arguments->workload, kind_name(kind)) != 0)
                continue;
            known = true;
            if (!run_kind(program, arguments, kind, seed))
                return false;
        }
        if (!known) {
            fprintf(stderr, "crash_images: no workload is called %s\n", arguments->workload);
            return false;
        }
    }
    return true;
}

/* ---- totals ---------------------------------------------------------------------------------- */

static bool came_up(const char *what, uint64_t count)
{
    printf("%s=%" PRIu64 " ", what, count);
    if (count == 0)
        fprintf(stderr, "crash_images: too tame: no %s\n", what);
    return count > 0;
}

/* Prints the totals; false when something that every run should meet never came up. */
static bool totals(const struct program *program)
{
    const struct crash_court *court = &program->court;
    const struct crash_work *work = &program->work;
    bool good;

    printf("source=%s ", program->on_ring ? "ring" : "simulator");
    good = came_up("images", image_count(program));

    good &= came_up("traces", program->traces);
    good &= came_up("points", program->walk.points);
    good &= came_up("repeats", court->repeats);
    good &= came_up("tails_cut", court->cuts);
    good &= came_up("shorter", court->shorter);
    good &= came_up("restarts_clean", court->restarts_clean);
    good &= came_up("restarts_crashed", court->restarts_crashed);
    good &= came_up("went_on", court->went_on);
    good &= came_up("blocks_damaged", court->blocks_damaged);
    good &= came_up("slots_damaged", court->slots_damaged);
    for (uint32_t i = 0; i < CRASH_CLASS_COUNT; i++)
        good &= came_up(crash_class_name((enum crash_class)i), program->walk.classes[i]);
    if (program->on_ring) {
        good &= came_up("ring_checked", program->kernel.checked);
        good &= came_up("ring_durable_writes", program->kernel.durable_writes);
        good &= came_up("ring_syncs", program->kernel.syncs);
        good &= came_up("ring_overlaps", program->kernel.overlaps);
        printf("ring_overtakings=%" PRIu64 " ", program->kernel.overtakings);
    } else {
        good &= came_up("shard_duplicates", program->shard.duplicates);
        good &= came_up("shard_taken_again", program->shard.taken);
    }
    good &= came_up("traced_starts", work->starts);
    good &= came_up("traced_rolls", work->rolls);
    good &= came_up("traced_drops", work->drops);
    good &= came_up("traced_checkpoints", work->checkpoints);
    good &= came_up("traced_fences", work->fences);
    good &= came_up("traced_cuts", work->cuts);
    for (uint32_t kind = 0; kind < kind_count(program); kind++) {
        printf("%s=%" PRIu64 " ", kind_name(kind), program->images_of[kind]);
        if (program->images_of[kind] * 200 >= image_count(program))
            continue;
        fprintf(stderr, "crash_images: too tame: few images of workload %s\n", kind_name(kind));
        good = false;
    }
    printf("\n");
    return good;
}

/* Everything that the arguments ask for. */
static bool run(struct program *program, const struct arguments *arguments)
{
    if (arguments->image != NULL)
        return run_one(program, arguments);
    if (!run_many(program, arguments))
        return false;
    return arguments->images < TAME_IMAGES || arguments->workload != NULL || totals(program);
}

/* Whether there is a ring to be had where one is asked for. */
static bool ring_ready(struct program *program, const struct arguments *arguments)
{
    crash_ring_init(&program->ring);
    program->on_ring = arguments->ring;
    if (!arguments->ring || crash_ring_check(&program->ring) == 0)
        return true;
    printf("io_uring with O_DIRECT is not available: %s\n", program->ring.why);
    return false;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct program *program;
    int result = EXIT_SKIPPED;

    if (!parse(argc, argv, &arguments)) {
        fprintf(stderr, "usage: crash_images [--seed N] [--images N] [--per-trace N] "
                        "[--workload NAME] [--ring | --image ID [--trace]]\n");
        return 2;
    }
    program = calloc(1, sizeof(*program));
    XD_ASSERT(program != NULL && kind_count(program) <= KINDS_MAX);
    aborted = program;
    (void)signal(SIGABRT, on_abort);
    crash_court_init(&program->court);
    crash_work_init(&program->work, &program->court, arguments.ring ? &program->ring : NULL);
    crash_shard_init(&program->shard);
    if (ring_ready(program, &arguments))
        result = run(program, &arguments) ? 0 : 1;
    crash_ring_deinit(&program->ring);
    crash_walk_deinit(&program->walk);
    crash_shard_deinit(&program->shard);
    crash_work_deinit(&program->work);
    crash_court_deinit(&program->court);
    free(program);
    return result;
}
