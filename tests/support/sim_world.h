/* SPDX-License-Identifier: Apache-2.0
 *
 * The world of a simulation as its sources see it. Tests use env_sim.h and must not include this.
 *
 * env_sim.c makes the world, runs the turn and answers clock, memory and faults; env_sim_file.c
 * answers files; sim_net.c and sim_client.c are both ends of the network.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SIM_WORLD_H
#define CROSSDOCK_TESTS_SUPPORT_SIM_WORLD_H

#include "tests/support/env_sim.h"
#include "tests/support/sim_clock.h"
#include "tests/support/sim_disk.h"
#include "tests/support/sim_faults.h"
#include "tests/support/sim_memory.h"
#include "tests/support/sim_net.h"
#include "tests/support/sim_trace.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_HANDLES_MAX 1024u

/* An open file of the process. */
struct sim_handle {
    struct sim_inode *inode;  /* held; NULL = free */
    uint32_t flags;           /* ENV_OPEN_* */
    char name[SIM_NAME_ROOM]; /* as opened, for injections */
};

/* Events that wait to be handed out: a ring that grows. */
struct sim_ready {
    struct env_event *events;
    uint64_t head;     /* next to hand out */
    uint64_t tail;     /* next to fill */
    uint32_t capacity; /* power of two */
};

/* What dies with the process. */
struct sim_process {
    struct env_sim_options options;
    struct sim_memory memory; /* address space, kept between processes */
    bool sealed;              /* mem_alloc is over */
    bool started;             /* between env_sim_process and sim_crash */
    bool dead;                /* started, but every call fails */
    uint32_t handles_end;     /* handles in use are below */
    struct sim_handle handles[SIM_HANDLES_MAX];
    struct prng prng; /* behind env_rand64 */
};

struct sim {
    struct env env; /* of the process; first, so that an env is its world */
    struct sim_options options;
    struct sim_clock clock;
    struct sim_disk disk;
    struct sim_net net;
    struct sim_faults faults;
    struct sim_trace trace;
    struct sim_ready ready;
    struct sim_process process;
    struct prng disk_prng;  /* latencies and rates of files */
    struct prng turn_prng;  /* cost of turns */
    struct prng crash_prng; /* what crashes leave */
    uint64_t process_count; /* processes so far */
    uint64_t wake_ns;       /* env_wait returns by then */
    uint64_t stuck_count;   /* waits that could never have ended */
    bool client_news;       /* something reached a client in this wait */
};

static inline struct sim *sim_of(struct env *env)
{
    return (struct sim *)(void *)env;
}

/* A number of the range. */
uint64_t sim_draw(struct prng *prng, const struct sim_range *range);
/* Hands an event out in a coming wait. */
void sim_event(struct sim *sim, const struct env_event *event);
/* Adds a row with the present time. */
void sim_trace(struct sim *sim, enum sim_trace_kind kind, uint64_t a, uint64_t b, uint64_t c,
               uint64_t data_hash);
/* Counts an operation; false when the process is dead or dies here: the call does nothing then. */
bool sim_op_begin(struct sim *sim, enum sim_op op);
/* Memory of the process, zeroed; NULL when there is none. */
void *sim_process_memory(struct sim *sim, size_t bytes);

/* ---- files: env_sim_file.c ------------------------------------------------------------------- */
int env_sim_file_open(struct env *env, const char *name, uint32_t flags, env_file *ret_file);
void env_sim_file_close(struct env *env, env_file file);
int env_sim_file_bytes(struct env *env, env_file file, uint64_t *ret_bytes);
int env_sim_file_reserve(struct env *env, env_file file, uint64_t bytes);
int env_sim_file_rename(struct env *env, const char *from, const char *to);
int env_sim_file_unlink(struct env *env, const char *name);
int env_sim_dir_make(struct env *env, const char *name);
int env_sim_dir_entry(struct env *env, const char *name, uint32_t index, char *ret_name);
int env_sim_dir_sync(struct env *env, const char *name);
int env_sim_disk_free(struct env *env, uint64_t *ret_free, uint64_t *ret_total);
void env_sim_file_write(struct env *env, env_file file, const void *data, uint32_t bytes,
                        uint64_t position, uint32_t flags, uint64_t token);
void env_sim_file_read(struct env *env, env_file file, void *data, uint32_t bytes,
                       uint64_t position, uint64_t token);
void env_sim_file_sync(struct env *env, env_file file, uint64_t token);
/* The task is due: the effect and the event. */
void sim_file_done(struct sim *sim, struct sim_task *task);
/* The process ends: its writes stay in flight for disk_crash, its handles are closed. */
void sim_file_forget(struct sim *sim, struct sim_task *task);
void sim_handles_close(struct sim *sim);

/* ---- silent faults: sim_silent.c ------------------------------------------------------------- */
/* May bend the data of a write, where it goes, or whether it is stored. */
void silent_write(struct sim *sim, struct sim_file_task *file);
/* May bend where a read comes from, or decide that a bit turns. */
void silent_read(struct sim *sim, struct sim_file_task *file);
/* Turns the bit that sim_read_flip asked for, when this answer has it. */
void silent_flip(struct sim *sim, struct sim_file_task *file);

#endif
