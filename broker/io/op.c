/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations in flight: pool, ready list, generations.
 *
 * Normal path: start, then finish when the completion arrives. Failure path: an operation that
 * cannot be queued goes through the ready list and is answered by the next wait. There is nothing
 * to shut down. Must not allocate: the table comes from the owner.
 */
#include "broker/io/op.h"

#include <string.h>

void ops_init(struct ops *ops, struct op *table, uint32_t pool_count, uint32_t fixed_count)
{
    XD_ASSERT(table && pool_count > 0);
    XD_ASSERT(fixed_count < OP_NONE - pool_count);
    *ops = (struct ops){
        .table = table,
        .pool_count = pool_count,
        .count = pool_count + fixed_count,
        .free_head = 0,
        .ready_head = OP_NONE,
        .ready_tail = OP_NONE,
    };
    memset(table, 0, sizeof(*table) * ops->count);
    for (uint32_t i = 0; i < pool_count; i++) {
        table[i].pooled = 1;
        table[i].next = i + 1 < pool_count ? i + 1 : OP_NONE;
    }
}

static void op_begin(struct op *op, enum env_op kind, int32_t handle, uint64_t token)
{
    XD_ASSERT(op->state == OP_FREE);
    op->token = token;
    op->generation++;
    op->next = OP_NONE;
    op->handle = handle;
    op->result = 0;
    op->op = (uint8_t)kind;
    op->state = OP_STARTED;
    op->cancel_owed = 0;
}

struct op *op_take(struct ops *ops, enum env_op op, int32_t handle, uint64_t token)
{
    XD_ASSERT(ops->free_head != OP_NONE);
    struct op *taken = &ops->table[ops->free_head];
    ops->free_head = taken->next;
    ops->pool_used++;
    op_begin(taken, op, handle, token);
    return taken;
}

struct op *op_start(struct ops *ops, uint32_t index, enum env_op op, int32_t handle, uint64_t token)
{
    XD_ASSERT(index >= ops->pool_count && index < ops->count);
    op_begin(&ops->table[index], op, handle, token);
    return &ops->table[index];
}

void op_ready(struct ops *ops, struct op *op, int32_t result)
{
    XD_ASSERT(op->state == OP_STARTED);
    uint32_t index = (uint32_t)(op - ops->table);
    op->result = result;
    op->state = OP_READY;
    op->next = OP_NONE;
    if (ops->ready_head == OP_NONE)
        ops->ready_head = index;
    else
        ops->table[ops->ready_tail].next = index;
    ops->ready_tail = index;
}

struct op *op_next(struct ops *ops)
{
    if (ops->ready_head == OP_NONE)
        return NULL;
    struct op *op = &ops->table[ops->ready_head];
    XD_ASSERT(op->state == OP_READY);
    ops->ready_head = op->next;
    op->state = OP_STARTED;
    return op;
}

void op_finish(struct ops *ops, struct op *op, int32_t result, bool more,
               struct env_event *ret_event)
{
    XD_ASSERT(op->state == OP_STARTED);
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
    op->state = OP_FREE;
    if (op->pooled) {
        op->next = ops->free_head;
        ops->free_head = (uint32_t)(op - ops->table);
        ops->pool_used--;
    }
}
