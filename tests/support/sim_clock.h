/* SPDX-License-Identifier: Apache-2.0
 *
 * Virtual time of a simulation, and the tasks that wait for it.
 *
 * Normal path: a task is taken, filled in by the disk or network side, put into the future with
 * clock_start, and comes out of clock_pop when the virtual time has reached it, equal times in the
 * sequence of starting. Only env_wait moves the time.
 * A task of the process (a file operation) vanishes with it; the others belong to the world.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SIM_CLOCK_H
#define CROSSDOCK_TESTS_SUPPORT_SIM_CLOCK_H

#include "broker/base/list.h"
#include "broker/base/timer.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_TASKS_MAX 65536u         /* waiting at once; address space until used */
#define SIM_TIME_START 1000000000ull /* ns; not 0, so that "now minus a little" is a time */

enum sim_task_kind {
    SIM_TASK_FILE,      /* a write, read or sync ends */
    SIM_TASK_CONNECT,   /* a client's connection reaches the listener */
    SIM_TASK_ACCEPT,    /* an accept was armed: look at the backlog */
    SIM_TASK_DELIVER,   /* bytes, an end or a reset reach the other side */
    SIM_TASK_RECV,      /* a receive was armed or left bytes: look for bytes */
    SIM_TASK_RECV_STOP, /* a receive is to end */
    SIM_TASK_SEND,      /* a send can move bytes into the window */
    SIM_TASK_CLOSE,     /* a connection is to be closed */
    SIM_TASK_KIND_COUNT
};

struct sim_inode;
struct sim_write;
struct sim_conn;

/* A file operation on its way. */
struct sim_file_task {
    struct sim_inode *inode; /* held; NULL when the handle was bad */
    struct sim_write *write; /* WRITE: on its way, NULL when nothing goes to the disk */
    void *read_data;         /* READ: the caller's buffer */
    const void *write_data;  /* WRITE: the caller's buffer, for the check that it did not change */
    uint64_t data_hash;      /* WRITE: of the caller's buffer at the start; its size for zeros */
    bool zeros;              /* WRITE: the caller's buffer was all zeros */
    uint64_t position;       /* in file; READ: where the bytes really come from */
    uint64_t sync_sequence;  /* SYNC: covers writes finished up to here */
    uint64_t sync_bytes;     /* SYNC: size of the file at the start */
    uint32_t bytes;          /* as asked for */
    uint32_t bytes_stored;   /* WRITE: what reaches the disk */
    int32_t result;          /* of the event; READ: upper bound when not negative */
    uint8_t op;              /* enum env_op */
    bool dsync;              /* WRITE: durable when it ends */
    bool lie;                /* SYNC: success without effect */
    bool shows;              /* SYNC that fails: lost data stays visible */
    bool flip;               /* READ: one bit of the answer is turned */
};

/* Something on its way through the network. */
struct sim_net_task {
    struct sim_conn *conn; /* held; NULL for ACCEPT */
    uint32_t listener;     /* ACCEPT */
    uint32_t bytes;        /* DELIVER */
    uint32_t generation;   /* DELIVER: of the pipe; RECV_STOP: of the receive */
    uint8_t direction;     /* DELIVER: enum sim_direction */
    bool end;              /* DELIVER: the sender has ended, behind the bytes */
    bool reset;            /* DELIVER: the sender has reset */
};

struct sim_task {
    struct timer timer;
    struct list_node node; /* in the clock's process or free list, or in none */
    uint64_t token;        /* of the event, if it leads to one */
    enum sim_task_kind kind;
    union {
        struct sim_file_task file;
        struct sim_net_task net;
    };
};

struct sim_clock {
    uint64_t now_ns;
    int64_t wall_offset_us;        /* wall clock minus now */
    struct timers timers;          /* of all tasks that wait */
    struct timers_entry *entries;  /* memory of timers */
    struct list process;           /* tasks that vanish with the process */
    struct list free;              /* tasks to be used again */
    struct sim_task_chunk *chunks; /* memory of tasks */
};

void clock_init(struct sim_clock *clock);
void clock_deinit(struct sim_clock *clock);
/* A zeroed task; of_process = it vanishes with clock_drop_process. */
struct sim_task *clock_task(struct sim_clock *clock, enum sim_task_kind kind, bool of_process);
/* Lets the task come due `delay_ns` from now. */
void clock_start(struct sim_clock *clock, struct sim_task *task, uint64_t delay_ns);
/* The next task that is due, or NULL. The caller gives it back with clock_release. */
struct sim_task *clock_pop(struct sim_clock *clock);
void clock_release(struct sim_clock *clock, struct sim_task *task);
/* Takes out the oldest started task of the process, due or not, or NULL; for ending it. */
struct sim_task *clock_take_process(struct sim_clock *clock);
/* Takes out the next task, due or not, or NULL; for emptying the world. */
struct sim_task *clock_take(struct sim_clock *clock);

#endif
