/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations in flight: who started what, and the list of those that are answered without the ring.
 *
 * Every operation has an object. Connections, listeners and the signal watch own theirs for life;
 * file operations and calls on invalid handles take one from a pool. The ring's user_data holds the
 * object's index and its generation, never a pointer, so a completion that comes late finds an
 * object of another generation and is dropped instead of answering for someone else.
 *
 *   FREE -> uring_op_start -> STARTED -> uring_op_finish -> FREE            through the ring
 *   FREE -> uring_op_start -> STARTED -> uring_op_ready -> READY -> finish  without it
 *
 * Must not touch the ring or descriptors.
 */
#ifndef CROSSDOCK_BROKER_IO_URING_OP_H
#define CROSSDOCK_BROKER_IO_URING_OP_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/io/env.h"

#define URING_OP_NONE UINT32_MAX

/* user_data of cancellations: nobody waits for their completion. No object has index UINT32_MAX. */
#define URING_USER_DATA_IGNORED UINT64_MAX

enum uring_op_state {
    URING_OP_FREE = 0,
    URING_OP_STARTED, /* given to the ring, or about to be */
    URING_OP_READY,   /* in the ready list with its result */
};

struct uring_op {
    uint64_t token;      /* the caller's, copied into each event */
    uint32_t generation; /* raised by every start */
    uint32_t next;       /* next free or ready object, URING_OP_NONE at the end */
    int32_t handle;      /* file, listener or connection; -1 = an invalid one was given */
    int32_t result;      /* READY: what the event will say */
    uint8_t op;          /* enum env_op */
    uint8_t state;       /* enum uring_op_state */
    uint8_t pooled;      /* 1 = goes back to the pool when finished */
    uint8_t cancel_owed; /* 1 = its cancellation found no room in the ring, see uring_cancel() */
};

struct uring_ops {
    struct uring_op *table; /* pooled objects first, then the fixed ones */
    uint32_t pool_count;    /* pooled objects, also index of the first fixed one */
    uint32_t count;         /* all objects */
    uint32_t free_head;     /* first free pooled object or URING_OP_NONE */
    uint32_t ready_head;    /* oldest READY object or URING_OP_NONE */
    uint32_t ready_tail;    /* newest READY object, meaningful while ready_head is set */
    uint32_t pool_used;     /* pooled objects in flight */
    uint32_t cancels_owed;  /* objects with cancel_owed */
};

/* `table` has pool_count + fixed_count objects and stays with the caller. */
void uring_ops_init(struct uring_ops *ops, struct uring_op *table, uint32_t pool_count,
                    uint32_t fixed_count);

/* Takes an object from the pool and starts it. More operations at once than the pool was sized for
 * are a mistake in the caller's own bound, and asserted. */
struct uring_op *uring_op_take(struct uring_ops *ops, enum env_op op, int32_t handle,
                               uint64_t token);

/* Starts a fixed object; it must be FREE: one receive, send, accept at a time per handle. */
struct uring_op *uring_op_start(struct uring_ops *ops, uint32_t index, enum env_op op,
                                int32_t handle, uint64_t token);

/* Appends a STARTED object to the ready list. */
void uring_op_ready(struct uring_ops *ops, struct uring_op *op, int32_t result);

/* Oldest object of the ready list, STARTED again, or NULL. */
struct uring_op *uring_op_next(struct uring_ops *ops);

/* Writes the event; with more = false the object becomes FREE. */
void uring_op_finish(struct uring_ops *ops, struct uring_op *op, int32_t result, bool more,
                     struct env_event *ret_event);

/* user_data: generation in the upper half, index in the lower half. */
static inline uint64_t uring_op_user_data(const struct uring_ops *ops, const struct uring_op *op)
{
    return (uint64_t)op->generation << 32 | (uint64_t)(op - ops->table);
}

/* The object that user_data means, or NULL when it belongs to the past. */
static inline struct uring_op *uring_op_find(const struct uring_ops *ops, uint64_t user_data)
{
    uint32_t index = (uint32_t)user_data;
    if (index >= ops->count)
        return NULL;
    struct uring_op *op = &ops->table[index];
    bool current = op->state == URING_OP_STARTED && op->generation == user_data >> 32;
    return current ? op : NULL;
}

#endif
