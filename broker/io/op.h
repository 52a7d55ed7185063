/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations in flight: who started what, and the list of those that are answered without the ring.
 *
 * Every operation has an object. Connections, listeners and the watch of the bell own theirs for
 * life; file operations and calls on invalid handles take one from a pool. The ring's user_data
 * holds the object's index and its generation, never a pointer, so a completion that comes late
 * finds an object of another generation and is dropped instead of answering for someone else.
 *
 *   FREE -> op_start -> STARTED -> op_finish -> FREE            through the ring
 *   FREE -> op_start -> STARTED -> op_ready -> READY -> finish  without it
 *
 * Must not touch the ring or descriptors.
 */
#ifndef CROSSDOCK_BROKER_IO_OP_H
#define CROSSDOCK_BROKER_IO_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/env.h"

#define OP_NONE UINT32_MAX

/* user_data of cancellations: nobody waits for their completion. No object has index UINT32_MAX. */
#define URING_USER_DATA_IGNORED UINT64_MAX

enum op_state {
    OP_FREE = 0,
    OP_STARTED, /* given to the ring, or about to be */
    OP_READY,   /* in the ready list with its result */
};

struct op {
    uint64_t token;      /* the caller's, copied into each event */
    uint32_t generation; /* raised by every start */
    uint32_t next;       /* next free or ready object, OP_NONE at the end */
    int32_t handle;      /* file, listener or connection; -1 = an invalid one was given */
    int32_t result;      /* READY: what the event will say */
    uint8_t op;          /* enum env_op */
    uint8_t state;       /* enum op_state */
    uint8_t pooled;      /* 1 = goes back to the pool when finished */
    uint8_t cancel_owed; /* 1 = its cancellation found no room in the ring, see uring_cancel() */
};

struct ops {
    struct op *table;      /* pooled objects first, then the fixed ones */
    uint32_t pool_count;   /* pooled objects, also index of the first fixed one */
    uint32_t count;        /* all objects */
    uint32_t free_head;    /* first free pooled object or OP_NONE */
    uint32_t ready_head;   /* oldest READY object or OP_NONE */
    uint32_t ready_tail;   /* newest READY object, meaningful while ready_head is set */
    uint32_t pool_used;    /* pooled objects in flight */
    uint32_t cancels_owed; /* objects with cancel_owed */
};

/* `table` has pool_count + fixed_count objects and stays with the caller. */
void ops_init(struct ops *ops, struct op *table, uint32_t pool_count, uint32_t fixed_count);

/* Takes an object from the pool and starts it. More operations at once than the pool was sized for
 * are a mistake in the caller's own bound, and asserted. */
struct op *op_take(struct ops *ops, enum env_op op, int32_t handle, uint64_t token);

/* Starts a fixed object; it must be FREE: one receive, send, accept at a time per handle. */
struct op *op_start(struct ops *ops, uint32_t index, enum env_op op, int32_t handle,
                    uint64_t token);

/* Appends a STARTED object to the ready list. */
void op_ready(struct ops *ops, struct op *op, int32_t result);

/* Oldest object of the ready list, STARTED again, or NULL. */
struct op *op_next(struct ops *ops);

/* Writes the event; with more = false the object becomes FREE. */
void op_finish(struct ops *ops, struct op *op, int32_t result, bool more,
               struct env_event *ret_event);

/* user_data: generation in the upper half, index in the lower half. */
static inline uint64_t op_user_data(const struct ops *ops, const struct op *op)
{
    return (uint64_t)op->generation << 32 | (uint64_t)(op - ops->table);
}

/* The object that user_data means, or NULL when it belongs to the past. */
static inline struct op *op_find(const struct ops *ops, uint64_t user_data)
{
    uint32_t index = (uint32_t)user_data;
    if (index >= ops->count)
        return NULL;
    struct op *op = &ops->table[index];
    bool current = op->state == OP_STARTED && op->generation == user_data >> 32;
    return current ? op : NULL;
}

#endif
