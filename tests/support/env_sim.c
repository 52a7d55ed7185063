/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated world: its life, the process in it, the turn, clock, memory and faults.
 *
 * Normal path of env_wait: add the cost of a turn to the virtual time, carry out tasks that are
 * due, hand out the events they make; without any, move the time to the next task or the deadline.
 * Tasks are carried out only while there is room for their events, so an operation acts at the
 * moment its event is handed out.
 */
#include "tests/support/env_sim.h"

#include "tests/support/sim_world.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define READY_CAPACITY_FIRST 256u
#define WALL_US_DEFAULT 1767225600000000 /* 2026-01-01 00:00 UTC */

/* ---- small things that all sources use ------------------------------------------------------- */

uint64_t sim_draw(struct prng *prng, const struct sim_range *range)
{
    XD_ASSERT(range->min_ns <= range->max_ns);
    return range->min_ns + prng_below(prng, range->max_ns - range->min_ns + 1);
}

void sim_trace(struct sim *sim, enum sim_trace_kind kind, uint64_t a, uint64_t b, uint64_t c,
               uint64_t data_hash)
{
    trace_add(&sim->trace, sim->clock.now_ns, kind, a, b, c, data_hash);
}

static uint64_t ready_count(const struct sim_ready *ready)
{
    return ready->tail - ready->head;
}

void sim_event(struct sim *sim, const struct env_event *event)
{
    struct sim_ready *ready = &sim->ready;

    if (ready_count(ready) == ready->capacity) {
        uint32_t capacity = ready->capacity == 0 ? READY_CAPACITY_FIRST : ready->capacity * 2;
        struct env_event *events = malloc(capacity * sizeof(struct env_event));

        XD_ASSERT(events != NULL);
        for (uint64_t i = ready->head; i < ready->tail; i++)
            events[i & (capacity - 1)] = ready->events[i & (ready->capacity - 1)];
        free(ready->events);
        ready->events = events;
        ready->capacity = capacity;
    }
    ready->events[ready->tail++ & (ready->capacity - 1)] = *event;
}

/* What killed the process, for the trace. */
enum dead_cause {
    DEAD_KILLED,
    DEAD_CRASH_POINT,
    DEAD_OPERATION,
};

static void process_die(struct sim *sim, enum dead_cause cause, uint64_t which, uint64_t hits)
{
    sim->process.dead = true;
    sim_trace(sim, SIM_TRACE_DEAD, cause, which, hits, 0);
}

bool sim_op_begin(struct sim *sim, enum sim_op op)
{
    if (sim->process.dead)
        return false;
    if (faults_crash_op(&sim->faults, op)) {
        process_die(sim, DEAD_OPERATION, op, sim->faults.op_counts[op]);
        return false;
    }
    return true;
}

/* ---- clock, memory, faults ------------------------------------------------------------------- */

static uint64_t env_sim_now_mono_ns(struct env *env)
{
    return sim_of(env)->clock.now_ns;
}

static int64_t env_sim_now_wall_us(struct env *env)
{
    const struct sim_clock *clock = &sim_of(env)->clock;

    return clock->wall_offset_us + (int64_t)(clock->now_ns / 1000);
}

static uint64_t env_sim_rand64(struct env *env)
{
    struct sim *sim = sim_of(env);
    uint64_t value = prng_next(&sim->process.prng);

    sim_trace(sim, SIM_TRACE_RANDOM, value, 0, 0, 0);
    return value;
}

void *sim_process_memory(struct sim *sim, size_t bytes)
{
    return memory_take(&sim->process.memory, bytes);
}

static void *env_sim_mem_alloc(struct env *env, size_t bytes)
{
    struct sim *sim = sim_of(env);
    int32_t injected;

    XD_ASSERT(!sim->process.sealed);
    if (!sim_op_begin(sim, SIM_OP_MEM_ALLOC) ||
        faults_inject(&sim->faults, SIM_OP_MEM_ALLOC, NULL, &injected))
        return NULL;
    return sim_process_memory(sim, bytes);
}

static void env_sim_mem_seal(struct env *env)
{
    sim_of(env)->process.sealed = true;
}

static void env_sim_crash_point(struct env *env, enum env_crash_point point)
{
    struct sim *sim = sim_of(env);
    bool dies;

    if (sim->process.dead)
        return;
    dies = faults_crash_point(&sim->faults, point);
    sim_trace(sim, SIM_TRACE_CRASH_POINT, point, sim->faults.point_hits[point], 0, 0);
    if (dies)
        process_die(sim, DEAD_CRASH_POINT, point, sim->faults.point_hits[point]);
}

static bool env_sim_buggify(struct env *env, enum env_buggify site)
{
    struct sim *sim = sim_of(env);
    bool fires = !sim->process.dead && faults_buggify(&sim->faults, site);

    sim_trace(sim, SIM_TRACE_BUGGIFY, site, fires, 0, 0);
    return fires;
}

/* ---- the turn -------------------------------------------------------------------------------- */

static void task_due(struct sim *sim, struct sim_task *task)
{
    if (task->kind != SIM_TASK_FILE) {
        net_task_due(sim, task);
        return;
    }
    sim_file_done(sim, task);
    clock_release(&sim->clock, task);
}

static void tasks_run(struct sim *sim, uint32_t events_max)
{
    struct sim_task *task;

    while (ready_count(&sim->ready) < events_max && (task = clock_pop(&sim->clock)) != NULL)
        task_due(sim, task);
}

static uint32_t events_take(struct sim *sim, struct env_event *events, uint32_t events_max)
{
    struct sim_ready *ready = &sim->ready;
    uint32_t count = 0;

    while (count < events_max && ready->head < ready->tail)
        events[count++] = ready->events[ready->head++ & (ready->capacity - 1)];
    return count;
}

static int env_sim_wait(struct env *env, struct env_event *events, uint32_t events_max,
                        uint64_t deadline_ns)
{
    struct sim *sim = sim_of(env);
    uint64_t limit_ns = deadline_ns < sim->wake_ns ? deadline_ns : sim->wake_ns;
    uint32_t count;

    XD_ASSERT(events_max > 0 && events_max <= INT32_MAX);
    if (sim->process.dead)
        return -ESHUTDOWN;
    sim->client_news = false;
    sim->clock.now_ns += sim_draw(&sim->turn_prng, &sim->options.turn);
    for (;;) {
        uint64_t next_ns;

        tasks_run(sim, events_max);
        count = events_take(sim, events, events_max);
        if (count > 0 || sim->client_news || sim->clock.now_ns >= limit_ns)
            break;
        next_ns = timers_next_ns(&sim->clock.timers);
        if (next_ns == TIMERS_NONE && limit_ns == UINT64_MAX) {
            sim->stuck_count++;
            break;
        }
        sim->clock.now_ns = next_ns < limit_ns ? next_ns : limit_ns;
    }
    sim_trace(sim, SIM_TRACE_WAIT, count, limit_ns, 0, 0);
    return (int)count;
}

void sim_pause(struct sim *sim, uint64_t ns)
{
    uint64_t until_ns = sim->clock.now_ns + ns;

    /* Without a process the network goes on by itself; with one, nothing happens until its turn. */
    while (!sim->process.started && timers_next_ns(&sim->clock.timers) <= until_ns) {
        uint64_t next_ns = timers_next_ns(&sim->clock.timers);

        sim->clock.now_ns = next_ns > sim->clock.now_ns ? next_ns : sim->clock.now_ns;
        tasks_run(sim, UINT32_MAX);
        XD_ASSERT(ready_count(&sim->ready) == 0);
    }
    sim->clock.now_ns = until_ns;
}

static const struct env_ops env_sim_ops = {
    .now_mono_ns = env_sim_now_mono_ns,
    .now_wall_us = env_sim_now_wall_us,
    .rand64 = env_sim_rand64,
    .mem_alloc = env_sim_mem_alloc,
    .mem_seal = env_sim_mem_seal,
    .file_open = env_sim_file_open,
    .file_close = env_sim_file_close,
    .file_bytes = env_sim_file_bytes,
    .file_reserve = env_sim_file_reserve,
    .file_rename = env_sim_file_rename,
    .file_unlink = env_sim_file_unlink,
    .dir_make = env_sim_dir_make,
    .dir_entry = env_sim_dir_entry,
    .dir_sync = env_sim_dir_sync,
    .disk_free = env_sim_disk_free,
    .file_write = env_sim_file_write,
    .file_read = env_sim_file_read,
    .file_sync = env_sim_file_sync,
    .net_listen = env_sim_net_listen,
    .net_accept = env_sim_net_accept,
    .net_accept_stop = env_sim_net_accept_stop,
    .net_recv = env_sim_net_recv,
    .net_recv_stop = env_sim_net_recv_stop,
    .buffer_release = env_sim_buffer_release,
    .buffers_free = env_sim_buffers_free,
    .net_send = env_sim_net_send,
    .net_close = env_sim_net_close,
    .net_peer = env_sim_net_peer,
    .net_origin = env_sim_net_origin,
    .wait = env_sim_wait,
    .crash_point = env_sim_crash_point,
    .buggify = env_sim_buggify,
};

/* ---- the process ----------------------------------------------------------------------------- */

void env_sim_options_init(struct env_sim_options *options)
{
    *options = (struct env_sim_options){
        .mem_bytes_max = 1ull << 30,
        .buffer_count = 128,
        .buffer_bytes = 64 * 1024,
        .conns_max = 1024,
    };
}

struct env *env_sim_process(struct sim *sim, const struct env_sim_options *options)
{
    struct sim_process *process = &sim->process;
    uint64_t page = SIM_PAGE_BYTES;
    uint64_t bytes;

    XD_ASSERT(!process->started);
    env_sim_options_init(&process->options);
    if (options != NULL)
        process->options = *options;
    bytes = (process->options.mem_bytes_max + page - 1) / page * page +
            (uint64_t)process->options.buffer_count * process->options.buffer_bytes;
    memory_map(&process->memory, bytes);
    process->started = true;
    process->dead = false;
    process->sealed = false;
    sim->process_count++;
    prng_seed(&process->prng, sim->options.seed ^ prng_mix(sim->process_count));
    net_process_begin(sim);
    sim_trace(sim, SIM_TRACE_PROCESS, sim->process_count, process->options.mem_bytes_max,
              process->options.conns_max, 0);
    sim->env = (struct env){
        .ops = &env_sim_ops,
        .engine = "simulator",
        .engine_reason = "chosen by the test",
    };
    return &sim->env;
}

/* Operations of the process vanish; their writes stay where they are on the disk. */
static void process_end(struct sim *sim)
{
    struct sim_task *task;

    if (!sim->process.started)
        return;
    while ((task = clock_take_process(&sim->clock)) != NULL) {
        if (task->kind == SIM_TASK_FILE) {
            sim_file_forget(sim, task);
            clock_release(&sim->clock, task);
        } else {
            net_task_drop(sim, task);
        }
    }
    net_process_end(sim);
    sim_handles_close(sim);
    sim->ready.head = sim->ready.tail;
    memory_clear(&sim->process.memory);
    sim->process.started = false;
    sim->process.dead = false;
    sim->env.ops = NULL;
}

enum sim_crash_menu sim_crash(struct sim *sim, enum sim_crash_menu menu)
{
    if (menu == SIM_CRASH_ANY)
        menu = (enum sim_crash_menu)prng_below(&sim->crash_prng, SIM_CRASH_MENU_COUNT);
    sim_trace(sim, SIM_TRACE_CRASH, menu, sim->disk.unsynced_bytes, sim->disk.newest.count, 0);
    process_end(sim);
    disk_crash(&sim->disk, menu, &sim->crash_prng);
    return menu;
}

bool sim_alive(const struct sim *sim)
{
    return sim->process.started && !sim->process.dead;
}

bool sim_dead(const struct sim *sim)
{
    return sim->process.dead;
}

void sim_kill(struct sim *sim)
{
    XD_ASSERT(sim->process.started);
    if (!sim->process.dead)
        process_die(sim, DEAD_KILLED, 0, 0);
}

/* ---- the world ------------------------------------------------------------------------------- */

void sim_options_init(struct sim_options *options, uint64_t seed)
{
    *options = (struct sim_options){
        .seed = seed,
        .disk_bytes = 16ull << 30,
        .wall_us = WALL_US_DEFAULT,
        .turn = {500, 10000},
        .write = {20000, 400000},
        .read = {20000, 200000},
        .sync = {50000, 1500000},
        .net = {10000, 300000},
        .spike_ns = 500000000,
        .stall_ns = 2000000000,
        .window_bytes = 256 * 1024,
    };
}

/* Each part of the world draws from a stream of its own, so that one does not move another. */
static void world_seed(struct sim *sim)
{
    uint64_t seed = sim->options.seed;

    prng_seed(&sim->disk_prng, prng_mix(seed + 1));
    prng_seed(&sim->turn_prng, prng_mix(seed + 2));
    prng_seed(&sim->crash_prng, prng_mix(seed + 3));
    net_reset(&sim->net, prng_mix(seed + 4));
    faults_reset(&sim->faults, &sim->options.rates, prng_mix(seed + 5));
    trace_reset(&sim->trace, prng_mix(seed + 6));
}

static void world_start(struct sim *sim, const struct sim_options *options)
{
    XD_ASSERT(options->window_bytes > 0);
    sim->options = *options;
    sim->clock.now_ns = SIM_TIME_START;
    sim->clock.wall_offset_us = options->wall_us - (int64_t)(SIM_TIME_START / 1000);
    sim->wake_ns = UINT64_MAX;
    sim->stuck_count = 0;
    sim->process_count = 0;
    sim->client_news = false;
    world_seed(sim);
}

struct sim *sim_open(const struct sim_options *options)
{
    struct sim *sim = calloc(1, sizeof(*sim));

    XD_ASSERT(sim != NULL);
    clock_init(&sim->clock);
    sim_net_init(&sim->net);
    sim_disk_init(&sim->disk, options->disk_bytes);
    world_start(sim, options);
    return sim;
}

/* Ends the process and empties the network and the clock. */
static void world_clear(struct sim *sim)
{
    struct sim_task *task;

    process_end(sim);
    while ((task = clock_take(&sim->clock)) != NULL)
        net_task_drop(sim, task);
    net_drop_all(sim);
}

void sim_reset(struct sim *sim, const struct sim_options *options)
{
    world_clear(sim);
    sim_disk_reset(&sim->disk, options->disk_bytes);
    world_start(sim, options);
}

void sim_close(struct sim *sim)
{
    if (sim == NULL)
        return;
    world_clear(sim);
    sim_disk_deinit(&sim->disk);
    net_deinit(&sim->net);
    clock_deinit(&sim->clock);
    memory_unmap(&sim->process.memory);
    free(sim->ready.events);
    free(sim);
}
