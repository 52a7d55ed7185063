/* SPDX-License-Identifier: Apache-2.0
 *
 * What the supervisor knows about its workers; see watch.h.
 */
#include "broker/watch.h"

#include "broker/version.h"
#include "broker/worker.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <time.h>

struct watch {
    struct worker *workers;         /* borrowed */
    uint32_t count;                 /* of them */
    struct pages_shard *shards;     /* by shard */
    struct metrics_sample *samples; /* those that were given, in rising shard */
    char *text;                     /* of metrics */
    uint64_t text_bytes;            /* its size */
};

struct watch *watch_open(struct worker *workers, uint32_t count)
{
    struct watch *watch = calloc(1, sizeof *watch);
    if (watch == NULL)
        return NULL;
    watch->workers = workers;
    watch->count = count;
    watch->text_bytes = metrics_text_bytes_max(count);
    watch->shards = calloc(count, sizeof *watch->shards);
    watch->samples = calloc(count, sizeof *watch->samples);
    watch->text = malloc(watch->text_bytes);
    if (watch->shards == NULL || watch->samples == NULL || watch->text == NULL) {
        watch_close(watch);
        return NULL;
    }
    return watch;
}

void watch_close(struct watch *watch)
{
    if (watch == NULL)
        return;
    free(watch->shards);
    free(watch->samples);
    free(watch->text);
    free(watch);
}

/* A moment from now on the clock that conditions wait by. */
static struct timespec after_ms(uint32_t ms)
{
    struct timespec time;
    int status = clock_gettime(CLOCK_MONOTONIC, &time);
    XD_ASSERT(status == 0);
    time.tv_nsec += ms * 1000000l;
    time.tv_sec += time.tv_nsec / 1000000000l;
    time.tv_nsec %= 1000000000l;
    return time;
}

/* Asks all, then waits for each; all have the same time. Returns how many answered. */
static uint32_t take_samples(struct watch *watch)
{
    struct timespec until = after_ms(WATCH_WAIT_MS);
    uint64_t asked[LINK_SHARDS_MAX];
    uint32_t given = 0;
    for (uint32_t i = 0; i < watch->count; i++)
        asked[i] = worker_ask_sample(&watch->workers[i]);
    for (uint32_t i = 0; i < watch->count; i++)
        if (worker_await_sample(&watch->workers[i], asked[i], &until, &watch->samples[given]))
            given++;
    return given;
}

uint32_t watch_shards(struct watch *watch, const struct pages_shard **ret_shards)
{
    (void)take_samples(watch); /* the state comes with them */
    for (uint32_t i = 0; i < watch->count; i++)
        worker_page(&watch->workers[i], &watch->shards[i]);
    *ret_shards = watch->shards;
    return watch->count;
}

uint64_t watch_metrics(struct watch *watch, enum metrics_form form, const char **ret_text)
{
    uint32_t given = take_samples(watch);
    const struct metrics_build build = {.version = version_release(),
                                        .commit = version_commit(),
                                        .engine = worker_engine(&watch->workers[0])};
    *ret_text = watch->text;
    return metrics_text(&build, watch->samples, given, form, watch->text, watch->text_bytes);
}
