/* SPDX-License-Identifier: Apache-2.0
 *
 * What the thread of one shard goes through; see life.h.
 *
 * How it ends: whatever a shard has lent to others lies in its memory, and a kernel may still be
 * reading it for a send of theirs. So a worker that has ended its turns waits, with all it has,
 * until every other one has too and has nothing in flight; only then is memory given back.
 */
#include "broker/life.h"

#include "broker/clock.h"
#include "broker/io/engine.h"
#include "broker/io/listen.h"
#include "broker/shard/shard.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <inttypes.h>
#include <sanitizer/asan_interface.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define MS_NS UINT64_C(1000000)
/* An idle shard turns this often, so that the supervisor sees it alive. */
#define TURN_WAIT_NS (1000 * MS_NS)
/* An address in use is waited for this long. */
#define ADDRESS_WAIT_NS (3000 * MS_NS)
#define LINE_BYTES 1200u

/* What only the thread sees. */
struct life {
    struct worker *worker;
    const struct worker_common *common;
    struct shard_options options; /* the setup's, for this shard */
    struct engine engine;         /* zeroed = not open */
    void *memory;                 /* of the shard, the env's */
    uint64_t memory_bytes;        /* */
    struct shard *shard;          /* NULL = not open */
    const char *step;             /* what is being done, for a failure; NULL = serving */
    char addresses[SETUP_ADDRESSES_MAX][ENV_ADDRESS_BYTES_MAX]; /* told before it listens */
    const char *address_list[SETUP_ADDRESSES_MAX];              /* the same, for the shard */
    char why[CONFIG_WHY_BYTES];
    char json[XD_ADMIN_REPLY_BYTES_MAX];
};

static uint32_t supervisor(const struct worker_common *common)
{
    return common->shard_count;
}

static void alive(struct life *life)
{
    atomic_store_explicit(&life->worker->turned_ns, clock_mono_ns(), memory_order_relaxed);
}

static void enter_stage(struct life *life, enum worker_stage stage)
{
    alive(life);
    atomic_store(&life->worker->stage, stage);
    bells_ring(life->common->bells, supervisor(life->common));
}

static bool wished(const struct life *life, uint32_t wishes)
{
    return (atomic_load(&life->worker->wishes) & wishes) != 0;
}

/* Whether it was asked for, which is forgotten then. */
static bool take_wish(struct life *life, enum worker_wish wish)
{
    return wished(life, wish) && (atomic_fetch_and(&life->worker->wishes, ~(uint32_t)wish) & wish);
}

/* ---- reports --------------------------------------------------------------------------------- */

/* With several shards every line of one says which. */
static void say(struct life *life, enum lines_level level, const char *event, const char *text)
{
    char numbered[LINE_BYTES + 32];
    if (life->common->shard_count > 1) {
        snprintf(numbered, sizeof numbered, "shard=%u%s%.*s", life->worker->shard,
                 text[0] != '\0' ? " " : "", (int)LINE_BYTES, text);
        text = numbered;
    }
    lines_write(life->common->lines, level, event, text);
}

static void say_shard_lines(struct life *life)
{
    struct shard_line line;
    while (shard_line_next(life->shard, &line))
        say(life, line.warning ? LINES_WARNING : LINES_INFO, line.event, line.text);
}

/* ---- open ------------------------------------------------------------------------------------ */

/* Shards run on CPUs process.cpu, process.cpu + 1, ... */
static int bind_cpu(struct life *life)
{
    cpu_set_t cpus;
    int32_t first = life->common->setup->cpu;
    if (first < 0)
        return 0;
    uint32_t cpu = (uint32_t)first + life->worker->shard;
    CPU_ZERO(&cpus);
    if (cpu < CPU_SETSIZE)
        CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) == 0)
        return 0;
    int error = errno;
    snprintf(life->why, sizeof life->why,
             "process.cpu = %d: shard %u may not run on CPU %u: %s; see AllowedCPUs and taskset",
             first, life->worker->shard, cpu, xd_status_text(-error));
    return -error;
}

static int lock_memory(struct life *life)
{
    if (!life->common->setup->memory_lock || mlockall(MCL_CURRENT) == 0)
        return 0;
    int error = errno;
    snprintf(life->why, sizeof life->why, "process.mlock = yes: %s; raise LimitMEMLOCK",
             xd_status_text(-error));
    return -error;
}

static int open_env(struct life *life)
{
    struct engine_options options = life->common->setup->engine;
    char folder[SETUP_FOLDER_BYTES_MAX], quoted[LINE_BYTES], text[LINE_BYTES + 64];
    setup_folder(life->common->setup, life->worker->shard, folder);
    options.env.folder = folder;
    options.env.bells = life->common->bells;
    options.env.bell = life->worker->shard;
    options.env.shared = life->common->shard_count > 1;
    static_assert(ENGINE_WHY_BYTES <= CONFIG_WHY_BYTES, "its explanation fits");
    int status = engine_open(&options, &life->engine, life->why);
    if (status < 0)
        return status;
    struct env *env = life->engine.env;
    pthread_mutex_lock(&life->worker->lock);
    life->worker->engine = env->engine;
    pthread_mutex_unlock(&life->worker->lock);
    snprintf(text, sizeof text, "name=%s why=%s", env->engine,
             lines_quote(env->engine_reason, quoted, sizeof quoted));
    say(life, LINES_INFO, "engine", text);
    return 0;
}

static int take_memory(struct life *life)
{
    char text[64];
    uint64_t bytes = shard_bytes_needed(&life->options);
    life->memory = env_mem_alloc(life->engine.env, bytes);
    if (life->memory == NULL) {
        snprintf(life->why, sizeof life->why,
                 "%" PRIu64 " bytes cannot be had; lower log.tail_bytes, log.index_bytes or "
                 "net.out_chunk_count, or raise the memory limit",
                 bytes);
        return -ENOMEM;
    }
    life->memory_bytes = bytes;
    env_mem_seal(life->engine.env);
    snprintf(text, sizeof text, "bytes=%" PRIu64, bytes);
    say(life, LINES_INFO, "memory", text);
    return lock_memory(life);
}

static int recover(struct life *life)
{
    char text[64];
    uint64_t begun = clock_mono_ns();
    int status;
    enter_stage(life, WORKER_RECOVERING);
    while ((status = shard_recover_step(life->shard, life->why)) > 0) {
        atomic_store_explicit(&life->worker->percent, shard_recover_percent(life->shard),
                              memory_order_relaxed);
        alive(life);
        if (wished(life, WORKER_WISH_DROP))
            return 0;
    }
    if (status < 0)
        return status;
    say_shard_lines(life);
    snprintf(text, sizeof text, "ms=%" PRIu64, (clock_mono_ns() - begun) / MS_NS);
    say(life, LINES_INFO, "recovered", text);
    return 0;
}

/* Until it is recovered; 0 also when it was told to end before. */
static int life_open(struct life *life)
{
    life->step = "cpu";
    int status = bind_cpu(life);
    if (status == 0) {
        life->step = "engine";
        status = open_env(life);
    }
    if (status == 0) {
        life->step = "memory";
        status = take_memory(life);
    }
    if (status == 0) {
        life->step = "open";
        status = shard_open(life->engine.env, life->memory, life->memory_bytes, &life->options,
                            &life->shard, life->why);
    }
    if (status == 0) {
        life->step = "recover";
        status = recover(life);
    }
    return status;
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void give_sample(struct life *life)
{
    struct worker *worker = life->worker;
    pthread_mutex_lock(&worker->lock);
    worker->state = shard_sample(life->shard, &worker->sample);
    worker->sample_count++;
    pthread_cond_signal(&worker->sampled);
    pthread_mutex_unlock(&worker->lock);
}

static void take_wishes(struct life *life)
{
    if (!wished(life, WORKER_WISH_SAMPLE | WORKER_WISH_STATUS))
        return;
    if (take_wish(life, WORKER_WISH_SAMPLE))
        give_sample(life);
    if (take_wish(life, WORKER_WISH_STATUS)) {
        uint32_t bytes = shard_status_json(life->shard, life->json, sizeof life->json);
        lines_print(life->common->lines, life->json, bytes);
    }
}

static int turn(struct life *life)
{
    int status = shard_turn(life->shard, clock_mono_ns() + TURN_WAIT_NS);
    alive(life);
    say_shard_lines(life);
    take_wishes(life);
    return status < 0 ? status : 0;
}

/* The catalogs of all shards come into step. */
static int join(struct life *life)
{
    life->step = "join";
    enter_stage(life, WORKER_JOINING);
    int status = shard_join(life->shard, life->why);
    while (status == 0 && !shard_joined(life->shard) && !wished(life, WORKER_WISH_DROP))
        status = turn(life);
    if (status < 0)
        snprintf(life->why, sizeof life->why, "%s", shard_trouble(life->shard));
    return status;
}

/* The first address that cannot be had now. 0 or its status, with a text. */
static int probe_addresses(struct life *life)
{
    for (uint32_t i = 0; i < life->options.address_count; i++) {
        int status = listen_probe(life->addresses[i]);
        if (status == 0)
            continue;
        snprintf(life->why, sizeof life->why, "cannot listen on %s: %s", life->addresses[i],
                 xd_status_text(status));
        return status;
    }
    return 0;
}

/* Shards listen on the same ports; shard 0, which is the first, sees that nobody else does. A
 * process that was killed may hold its ports for a moment longer than its life: the kernel takes
 * the ring's requests back behind its end. */
static int await_addresses(struct life *life)
{
    const struct timespec pause = {.tv_nsec = 20 * 1000000l};
    uint64_t until = clock_mono_ns() + ADDRESS_WAIT_NS;
    int status = 0;
    if (life->worker->shard != 0)
        return 0;
    while ((status = probe_addresses(life)) == -EADDRINUSE && clock_mono_ns() < until &&
           !wished(life, WORKER_WISH_DROP)) {
        alive(life);
        (void)nanosleep(&pause, NULL);
    }
    return status;
}

/* The addresses that were bound take the place of those asked for. */
static int listen_on(struct life *life)
{
    struct worker *worker = life->worker;
    char bound[SETUP_ADDRESSES_MAX][ENV_ADDRESS_BYTES_MAX] = {{0}};
    life->step = "listen";
    pthread_mutex_lock(&worker->lock);
    memcpy(life->addresses, worker->addresses, sizeof life->addresses);
    pthread_mutex_unlock(&worker->lock);
    int status = await_addresses(life);
    if (status == 0)
        status = shard_listen(life->shard, bound, life->why);
    if (status < 0)
        return status;
    pthread_mutex_lock(&worker->lock);
    memcpy(worker->addresses, bound, sizeof bound);
    pthread_mutex_unlock(&worker->lock);
    return 0;
}

/* Turns go on while the others come to be ready. */
static int await_listen(struct life *life)
{
    int status = 0;
    enter_stage(life, WORKER_READY);
    while (status == 0 && !wished(life, WORKER_WISH_LISTEN | WORKER_WISH_DROP))
        status = turn(life);
    if (status == 0 && !wished(life, WORKER_WISH_DROP))
        status = listen_on(life);
    return status;
}

static int serve(struct life *life)
{
    int status = 0;
    life->step = NULL;
    enter_stage(life, WORKER_SERVING);
    while (status == 0 && !wished(life, WORKER_WISH_STOP | WORKER_WISH_DROP))
        status = turn(life);
    return status;
}

static int drain(struct life *life)
{
    int status = 0;
    enter_stage(life, WORKER_DRAINING);
    shard_stop(life->shard);
    while (status == 0 && !shard_stopped(life->shard) && !wished(life, WORKER_WISH_DROP))
        status = turn(life);
    return status;
}

/* ---- end ------------------------------------------------------------------------------------- */

/* A shard that did not stop has operations on their way and cannot be closed in peace; the engine
 * waits for them and takes files and connections back by itself. */
static void life_stop(struct life *life)
{
    if (life->shard != NULL && shard_closable(life->shard))
        shard_close(life->shard);
    engine_stop(&life->engine);
}

/* What was lent to other shards has come to rest. */
static void life_free(struct life *life)
{
    /* Pools that are not taken down leave their marks of AddressSanitizer on pages that the next
     * life may be given. Without it this does nothing. */
    if (life->memory != NULL)
        ASAN_UNPOISON_MEMORY_REGION(life->memory, life->memory_bytes);
    engine_close(&life->engine);
}

static void keep_failure(struct life *life, int status)
{
    struct worker *worker = life->worker;
    pthread_mutex_lock(&worker->lock);
    worker->status = status;
    worker->step = life->step;
    memcpy(worker->why, life->why, sizeof worker->why);
    pthread_mutex_unlock(&worker->lock);
}

static int live(struct life *life)
{
    int status = life_open(life);
    if (status == 0 && !wished(life, WORKER_WISH_DROP))
        status = join(life);
    if (status == 0 && !wished(life, WORKER_WISH_DROP))
        status = await_listen(life);
    if (status == 0 && !wished(life, WORKER_WISH_DROP))
        status = serve(life);
    if (status == 0 && !wished(life, WORKER_WISH_DROP))
        status = drain(life);
    return status;
}

struct life *life_make(struct worker *worker, const struct worker_common *common)
{
    struct life *life = calloc(1, sizeof *life);
    if (life == NULL)
        return NULL;
    life->worker = worker;
    life->common = common;
    alive(life);
    return life;
}

void *life_run(void *argument)
{
    struct life *life = argument;
    struct worker *worker = life->worker;
    setup_shard(life->common->setup, worker->shard, life->common->links, &life->options);
    for (uint32_t i = 0; i < SETUP_ADDRESSES_MAX; i++)
        life->address_list[i] = life->addresses[i];
    life->options.addresses = life->address_list;
    int status = live(life);
    if (status < 0)
        keep_failure(life, status);
    life_stop(life);
    enter_stage(life, status < 0 ? WORKER_FAILED : WORKER_ENDED);
    while (!wished(life, WORKER_WISH_FREE))
        bells_wait(life->common->bells, worker->shard);
    life_free(life);
    free(life);
    return NULL;
}
