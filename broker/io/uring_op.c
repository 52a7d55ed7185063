/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations in flight: pool, ready list, generations.
 *
 * Normal path: start, then finish when the completion arrives. Failure path: an operation that
 * cannot be queued goes through the ready list and is answered by the next wait. There is nothing
 * to shut down. Must not allocate: the table comes from the owner.
 */
#include "broker/io/uring_op.h"

#include <string.h>

void uring_ops_init(struct uring_ops *ops, struct uring_op *table, uint32_t pool_count,
                    uint32_t fixed_count)
{
    XD_ASSERT(table && pool_count > 0);
    XD_ASSERT(fixed_count < URING_OP_NONE - pool_count);
    *ops = (struct uring_ops){
        .table = table,
        .pool_count = pool_count,
        .count = pool_count + fixed_count,
        .free_head = 0,
        .ready_head = URING_OP_NONE,
        .ready_tail = URING_OP_NONE,
    };
    memset(table, 0, sizeof(*table) * ops->count);
    for (uint32_t i = 0; i < pool_count; i++) {
        table[i].pooled = 1;
        table[i].next = i + 1 < pool_count ? i + 1 : URING_OP_NONE;
    }
}

static void op_begin(struct uring_op *op, enum env_op kind, int32_t handle, uint64_t token)
{
    XD_ASSERT(op->state == URING_OP_FREE);
    op->token = token;
    op->generation++;
    op->next = URING_OP_NONE;
    op->handle = handle;
    op->result = 0;
    op->op = (uint8_t)kind;
    op->state = URING_OP_STARTED;
    op->cancel_owed = 0;
}

struct uring_op *uring_op_take(struct uring_ops *ops, enum env_op op, int32_t handle,
                               uint64_t token)
{
    XD_ASSERT(ops->free_head != URING_OP_NONE);
    struct uring_op *taken = &ops->table[ops->free_head];
    ops->free_head = taken->next;
    ops->pool_used++;
    op_begin(taken, op, handle, token);
    return taken;
}

struct uring_op *uring_op_start(struct uring_ops *ops, uint32_t index, enum env_op op,
                                int32_t handle, uint64_t token)
{
    XD_ASSERT(index >= ops->pool_count && index < ops->count);
    op_begin(&ops->table[index], op, handle, token);
    return &ops->table[index];
}

void uring_op_ready(struct uring_ops *ops, struct uring_op *op, int32_t result)
{
    XD_ASSERT(op->state == URING_OP_STARTED);
    uint32_t index = (uint32_t)(op - ops->table);
    op->result = result;
    op->state = URING_OP_READY;
    op->next = URING_OP_NONE;
    if (ops->ready_head == URING_OP_NONE)
        ops->ready_head = index;
    else
        ops->table[ops->ready_tail].next = index;
    ops->ready_tail = index;
}

struct uring_op *uring_op_next(struct uring_ops *ops)
{
    if (ops->ready_head == URING_OP_NONE)
        return NULL;
    struct uring_op *op = &ops->table[ops->ready_head];
    XD_ASSERT(op->state == URING_OP_READY);
    ops->ready_head = op->next;
    op->state = URING_OP_STARTED;
    return op;
}

void uring_op_finish(struct uring_ops *ops, struct uring_op *op, int32_t result, bool more,
                     struct env_event *ret_event)
{
    XD_ASSERT(op->state == URING_OP_STARTED);
    *ret_event = (struct env_event){
        .token = op->token,
        .result = result,
        .buffer = ENV_BUFFER_NONE,
        .op = op->op,
        .more = more,
    };
    if (more)
        return;
    if (op->cancel_owed) {
        op->cancel_owed = 0;
        ops->cancels_owed--;
    }
    op->state = URING_OP_FREE;
    if (op->pooled) {
        op->next = ops->free_head;
        ops->free_head = (uint32_t)(op - ops->table);
        ops->pool_used--;
    }
}
