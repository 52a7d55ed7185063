/* SPDX-License-Identifier: Apache-2.0
 *
 * A worker: the thread of one shard, from opening its env to closing it.
 *
 * Normal path: the supervisor starts the workers of a life and watches their stages; a worker opens
 * env, memory and shard, recovers, comes to hold the same catalog as the others, and waits. Told to
 * listen it serves; told to stop it drains and ends. Failure path: a worker that fails keeps step,
 * status and reason, closes what it has and ends; the supervisor tells the others to drop what they
 * have, joins all, and decides what follows. Every change of stage and every answer rings the
 * supervisor's bell.
 *
 * Between threads go: wishes (bits), the stage, and under the lock what a stage or a wish brings.
 * All else of a worker belongs to its thread. Must not decide about other shards.
 */
#ifndef CROSSDOCK_BROKER_WORKER_H
#define CROSSDOCK_BROKER_WORKER_H

#include "broker/admin/metrics.h"
#include "broker/io/bells.h"
#include "broker/lines.h"
#include "broker/link/link.h"
#include "broker/pages.h"
#include "broker/setup.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* In their sequence; FAILED may follow any but ENDED. */
enum worker_stage {
    WORKER_IDLE,       /* not started */
    WORKER_OPENING,    /* env, memory, folder */
    WORKER_RECOVERING, /* worker_percent() */
    WORKER_JOINING,    /* the catalog of shard 0 */
    WORKER_READY,      /* waits to be told to listen */
    WORKER_SERVING,    /* */
    WORKER_DRAINING,   /* */
    WORKER_ENDED,      /* stopped as asked: thread about to end */
    WORKER_FAILED,     /* thread about to end, see worker.step */
    WORKER_STAGE_COUNT
};

/* What the supervisor asks for. */
enum worker_wish {
    WORKER_WISH_LISTEN = 1,  /* on worker.addresses */
    WORKER_WISH_STOP = 2,    /* drain, as soon as it serves */
    WORKER_WISH_DROP = 4,    /* end at once, as a crash would, from any stage */
    WORKER_WISH_SAMPLE = 8,  /* a new worker.sample */
    WORKER_WISH_STATUS = 16, /* print the status as JSON */
    WORKER_WISH_FREE = 32    /* give the memory back; after ENDED or FAILED of all */
};

/* What all workers of a life share. */
struct worker_common {
    const struct setup *setup; /* */
    struct links *links;       /* NULL with one shard */
    struct bells *bells;       /* one for each shard, and the supervisor's behind them */
    struct lines *lines;       /* */
    uint32_t shard_count;      /* */
};

struct worker {
    const struct worker_common *common; /* borrowed */
    uint32_t shard;                     /* */
    pthread_t thread;                   /* */
    _Atomic uint32_t stage;             /* enum worker_stage; written by the thread */
    _Atomic uint32_t percent;           /* of recovery */
    _Atomic uint32_t wishes;            /* enum worker_wish */
    _Atomic uint64_t turned_ns;         /* monotonic time of its last sign of life */

    pthread_mutex_t lock;                                       /* of what follows */
    pthread_cond_t sampled;                                     /* sample_count has risen */
    char addresses[SETUP_ADDRESSES_MAX][ENV_ADDRESS_BYTES_MAX]; /* asked for; when SERVING bound */
    struct metrics_sample sample;                               /* newest one */
    uint64_t sample_count;                                      /* samples taken */
    enum admin_state state;                                     /* with the sample */
    const char *engine;                                         /* static, "" = not open yet */
    const char *step;           /* FAILED: static name of the step, NULL = it was serving */
    int status;                 /* FAILED: why */
    char why[CONFIG_WHY_BYTES]; /* FAILED: text, "" = none */
};

/* Zeroed workers of all shards, NULL when there is no memory; for any number of lives. */
struct worker *workers_make(uint32_t count);
void workers_free(struct worker *workers, uint32_t count); /* accepts NULL */

/* Makes the worker's thread, in stage OPENING. 0, or -errno and it stays IDLE. */
int worker_start(struct worker *worker, const struct worker_common *common, uint32_t shard);
/* Waits for the end of the thread, which must have been told to free. Nothing to do for an IDLE
 * one. */
void worker_join(struct worker *worker);
/* Asks for something and wakes the worker. */
void worker_wish(struct worker *worker, enum worker_wish wish);
enum worker_stage worker_stage(struct worker *worker);
/* Whether it takes no turns any more, or never did. */
bool worker_is_over(struct worker *worker);
const char *worker_stage_name(enum worker_stage stage); /* "recovering" */
uint32_t worker_percent(struct worker *worker);         /* of recovery */
/* Since its last sign of life; 0 while none is due, because it has not begun or is over. */
uint64_t worker_silent_ns(struct worker *worker, uint64_t now_ns);

/* Tells a READY worker to listen there; it skips empty addresses. */
void worker_listen(struct worker *worker, char (*addresses)[ENV_ADDRESS_BYTES_MAX]);
/* The addresses that a SERVING worker has bound, SETUP_ADDRESSES_MAX of them, "" where none. */
void worker_addresses(struct worker *worker, char (*ret_addresses)[ENV_ADDRESS_BYTES_MAX]);
/* Of a FAILED worker: status, name of the step (WORKER_STEP_BYTES), "" when it was serving, and
 * text (CONFIG_WHY_BYTES). */
#define WORKER_STEP_BYTES 32u
int worker_failure(struct worker *worker, char *ret_step, char *ret_why);
/* Name of its engine, "" while none is open. Static text. */
const char *worker_engine(struct worker *worker);

/* Asks for a sample; what worker_await_sample wants to be given. */
uint64_t worker_ask_sample(struct worker *worker);
/* Waits for a sample newer than `asked`, at most until that monotonic time. False: none came. Does
 * not wait for a worker that takes no turns now. */
bool worker_await_sample(struct worker *worker, uint64_t asked, const struct timespec *until,
                         struct metrics_sample *ret_sample);
/* What pages say of it. */
void worker_page(struct worker *worker, struct pages_shard *ret_page);

#endif
