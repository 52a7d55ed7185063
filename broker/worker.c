/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor's side of a worker; what its thread does is in life.c.
 */
#include "broker/worker.h"

#include "broker/clock.h"
#include "broker/life.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct worker *workers_make(uint32_t count)
{
    pthread_condattr_t monotonic;
    struct worker *workers = calloc(count, sizeof *workers);
    if (workers == NULL || pthread_condattr_init(&monotonic) != 0) {
        free(workers);
        return NULL;
    }
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC); /* a clock that exists */
    for (uint32_t i = 0; i < count; i++) {
        (void)pthread_mutex_init(&workers[i].lock, NULL); /* cannot fail here */
        (void)pthread_cond_init(&workers[i].sampled, &monotonic);
        workers[i].engine = "";
        workers[i].shard = i;
    }
    pthread_condattr_destroy(&monotonic);
    return workers;
}

void workers_free(struct worker *workers, uint32_t count)
{
    for (uint32_t i = 0; workers != NULL && i < count; i++) {
        pthread_mutex_destroy(&workers[i].lock);
        pthread_cond_destroy(&workers[i].sampled);
    }
    free(workers);
}

int worker_start(struct worker *worker, const struct worker_common *common, uint32_t shard)
{
    XD_ASSERT(shard == worker->shard && shard < common->shard_count);
    XD_ASSERT(worker_stage(worker) == WORKER_IDLE);
    struct life *life = life_make(worker, common); /* the thread's, which frees it */
    if (life == NULL)
        return -ENOMEM;
    worker->common = common;
    worker->engine = "";
    atomic_store(&worker->wishes, 0);
    atomic_store(&worker->percent, 0);
    atomic_store(&worker->stage, WORKER_OPENING);
    int error = pthread_create(&worker->thread, NULL, life_run, life);
    if (error == 0)
        return 0;
    free(life);
    atomic_store(&worker->stage, WORKER_IDLE);
    return -error;
}

void worker_join(struct worker *worker)
{
    if (atomic_load(&worker->stage) == WORKER_IDLE)
        return;
    int error = pthread_join(worker->thread, NULL);
    XD_ASSERT(error == 0);
    atomic_store(&worker->stage, WORKER_IDLE);
}

void worker_wish(struct worker *worker, enum worker_wish wish)
{
    if (atomic_load(&worker->stage) == WORKER_IDLE)
        return;
    atomic_fetch_or(&worker->wishes, wish);
    bells_ring(worker->common->bells, worker->shard);
}

enum worker_stage worker_stage(struct worker *worker)
{
    return (enum worker_stage)atomic_load(&worker->stage);
}

bool worker_is_over(struct worker *worker)
{
    enum worker_stage stage = worker_stage(worker);
    return stage == WORKER_IDLE || stage >= WORKER_ENDED;
}

const char *worker_stage_name(enum worker_stage stage)
{
    static const char *const names[] = {"idle",    "opening",  "recovering", "joining", "ready",
                                        "serving", "draining", "ended",      "failed"};
    static_assert(sizeof names / sizeof names[0] == WORKER_STAGE_COUNT, "one name per stage");
    XD_ASSERT(stage < WORKER_STAGE_COUNT);
    return names[stage];
}

uint32_t worker_percent(struct worker *worker)
{
    return worker_stage(worker) > WORKER_RECOVERING
               ? 100
               : atomic_load_explicit(&worker->percent, memory_order_relaxed);
}

uint64_t worker_silent_ns(struct worker *worker, uint64_t now)
{
    uint64_t turned = atomic_load_explicit(&worker->turned_ns, memory_order_relaxed);
    return !worker_is_over(worker) && turned < now ? now - turned : 0;
}

void worker_listen(struct worker *worker, char (*addresses)[ENV_ADDRESS_BYTES_MAX])
{
    pthread_mutex_lock(&worker->lock);
    memcpy(worker->addresses, addresses, sizeof worker->addresses);
    pthread_mutex_unlock(&worker->lock);
    worker_wish(worker, WORKER_WISH_LISTEN);
}

void worker_addresses(struct worker *worker, char (*ret_addresses)[ENV_ADDRESS_BYTES_MAX])
{
    pthread_mutex_lock(&worker->lock);
    memcpy(ret_addresses, worker->addresses, sizeof worker->addresses);
    pthread_mutex_unlock(&worker->lock);
}

int worker_failure(struct worker *worker, char *ret_step, char *ret_why)
{
    pthread_mutex_lock(&worker->lock);
    int status = worker->status;
    snprintf(ret_step, WORKER_STEP_BYTES, "%s", worker->step != NULL ? worker->step : "");
    memcpy(ret_why, worker->why, sizeof worker->why);
    pthread_mutex_unlock(&worker->lock);
    XD_ASSERT(status < 0);
    return status;
}

const char *worker_engine(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    const char *engine = worker->engine;
    pthread_mutex_unlock(&worker->lock);
    return engine;
}

uint64_t worker_ask_sample(struct worker *worker)
{
    pthread_mutex_lock(&worker->lock);
    uint64_t asked = worker->sample_count;
    pthread_mutex_unlock(&worker->lock);
    worker_wish(worker, WORKER_WISH_SAMPLE);
    return asked;
}

bool worker_await_sample(struct worker *worker, uint64_t asked, const struct timespec *until,
                         struct metrics_sample *ret_sample)
{
    bool turns = worker_stage(worker) >= WORKER_JOINING && !worker_is_over(worker);
    int error = turns ? 0 : ETIMEDOUT;
    pthread_mutex_lock(&worker->lock);
    while (worker->sample_count == asked && error == 0)
        error = pthread_cond_timedwait(&worker->sampled, &worker->lock, until);
    bool given = worker->sample_count != asked;
    if (given)
        *ret_sample = worker->sample;
    pthread_mutex_unlock(&worker->lock);
    return given;
}

void worker_page(struct worker *worker, struct pages_shard *ret_page)
{
    enum worker_stage stage = worker_stage(worker);
    pthread_mutex_lock(&worker->lock);
    enum admin_state state = worker->state;
    pthread_mutex_unlock(&worker->lock);
    *ret_page = (struct pages_shard){.shard = worker->shard,
                                     .stage = worker_stage_name(stage),
                                     .serving = stage == WORKER_SERVING,
                                     .alive = !worker_is_over(worker),
                                     .percent = worker_percent(worker),
                                     .silent_ns = worker_silent_ns(worker, clock_mono_ns()),
                                     .state = state};
}
