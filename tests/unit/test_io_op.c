/* SPDX-License-Identifier: Apache-2.0
 *
 * Operation objects: pool, ready list, and that a late completion finds nobody.
 */
#include "broker/io/op.h"

#include <errno.h>
#include <signal.h>

#include <criterion/criterion.h>

#define POOL 3u
#define FIXED 2u

static struct op table[POOL + FIXED];
static struct ops ops;

static void ops_setup(void)
{
    ops_init(&ops, table, POOL, FIXED);
}

/* user_data leads back to its operation while that is in flight. */
Test(io_op, user_data_finds_its_operation, .init = ops_setup)
{
    struct op *read = op_take(&ops, ENV_OP_READ, 7, 70);
    struct op *recv = op_start(&ops, POOL + 1, ENV_OP_RECV, 8, 80);
    cr_assert_eq(op_find(&ops, op_user_data(&ops, read)), read);
    cr_assert_eq(op_find(&ops, op_user_data(&ops, recv)), recv);
    cr_assert_neq(op_user_data(&ops, read), op_user_data(&ops, recv));
    cr_assert_null(op_find(&ops, URING_USER_DATA_IGNORED));
    cr_assert_null(op_find(&ops, POOL + FIXED));
}

/* A completion that comes after its operation has finished finds nothing, also when the object is
 * in use again. */
Test(io_op, late_completion_finds_nobody, .init = ops_setup)
{
    struct env_event event;
    struct op *op = op_start(&ops, POOL, ENV_OP_RECV, 1, 10);
    uint64_t late = op_user_data(&ops, op);
    op_finish(&ops, op, 5, true, &event);
    cr_assert_eq(event.more, 1);
    cr_assert_eq(op_find(&ops, late), op, "it goes on");
    op_finish(&ops, op, 0, false, &event);
    cr_assert_eq(event.more, 0);
    cr_assert_null(op_find(&ops, late));
    op = op_start(&ops, POOL, ENV_OP_RECV, 2, 20);
    cr_assert_null(op_find(&ops, late));
    cr_assert_eq(op_find(&ops, op_user_data(&ops, op)), op);
}

/* Answers without the ring come in the sequence in which they were made, each once. */
Test(io_op, ready_list_keeps_its_sequence, .init = ops_setup)
{
    for (int round = 0; round < 3; round++) {
        for (int32_t i = 0; i < (int32_t)POOL; i++)
            op_ready(&ops, op_take(&ops, ENV_OP_WRITE, i, (uint64_t)i), -i);
        cr_assert_eq(ops.pool_used, POOL);
        for (int32_t i = 0; i < (int32_t)POOL; i++) {
            struct op *op = op_next(&ops);
            struct env_event event;
            cr_assert_not_null(op);
            cr_assert_eq(op->handle, i);
            op_finish(&ops, op, op->result, false, &event);
            cr_assert_eq(event.token, (uint64_t)i);
            cr_assert_eq(event.result, -i);
            cr_assert_eq(event.op, ENV_OP_WRITE);
            cr_assert_eq(event.buffer, ENV_BUFFER_NONE);
        }
        cr_assert_null(op_next(&ops));
        cr_assert_eq(ops.pool_used, 0);
    }
}

/* A READY operation is not the kernel's: its user_data finds nothing. */
Test(io_op, ready_operation_is_not_found, .init = ops_setup)
{
    struct op *op = op_take(&ops, ENV_OP_SYNC, 0, 1);
    uint64_t user_data = op_user_data(&ops, op);
    op_ready(&ops, op, -EAGAIN);
    cr_assert_null(op_find(&ops, user_data));
}

/* More operations than the pool was sized for end the process. */
Test(io_op, empty_pool_aborts, .init = ops_setup, .signal = SIGABRT)
{
    for (uint32_t i = 0; i <= POOL; i++)
        (void)op_take(&ops, ENV_OP_READ, 0, i);
}

/* A second receive on a connection that has one ends the process. */
Test(io_op, second_start_aborts, .init = ops_setup, .signal = SIGABRT)
{
    (void)op_start(&ops, POOL, ENV_OP_RECV, 0, 0);
    (void)op_start(&ops, POOL, ENV_OP_RECV, 0, 0);
}
