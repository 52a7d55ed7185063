/* SPDX-License-Identifier: Apache-2.0
 *
 * The turn of the io_uring env: submission, cancellation, waiting, completions into events.
 *
 * Normal path: show returned buffers to the kernel, enter the ring once (submit what was started,
 * wait for a completion or the deadline), turn completions into events.
 *
 * Failure paths: an operation that found no room in the ring is in the ready list and answered
 * here; a ring that cannot be entered at all is reported as the return value of wait.
 *
 * Must not decide anything about files or connections: uring_file.c and uring_net.c do.
 */
#include "broker/io/uring_env.h"

#include <errno.h>
#include <poll.h>

#define NS_PER_SECOND 1000000000ull

/* Longest stay in the kernel in seconds; a wait without deadline goes round again. */
#define STAY_SECONDS_MAX 3600u

/* --- bell ------------------------------------------------------------------------------------- */

/* Watches the bell once; one that has been rung already completes at once, so watching again after
 * each ring misses none. */
static void bell_watch(struct env_uring *uring, struct op *op)
{
    struct io_uring_sqe *sqe = uring_sqe_for(uring, op);
    if (!sqe)
        return;
    io_uring_prep_poll_add(sqe, bells_fd(uring->host.bells, uring->host.bell), POLLIN);
    io_uring_sqe_set_data64(sqe, op_user_data(&uring->ops, op));
}

/* A watch ended, or found no room: takes the rings, watches on. False when there were none. */
static bool bell_done(struct env_uring *uring, struct op *op, struct env_event *ret_event)
{
    bool taken = host_bell_take(&uring->host, ret_event);
    bell_watch(uring, op);
    return taken;
}

void uring_bell_start(struct env_uring *uring)
{
    XD_ASSERT(uring->host.bells);
    uint32_t index = uring->ops.pool_count + URING_FIXED_BELL;
    bell_watch(uring, op_start(&uring->ops, index, ENV_OP_BELL, 0, 0));
}

/* --- submission ------------------------------------------------------------------------------- */

struct io_uring_sqe *uring_sqe_for(struct env_uring *uring, struct op *op)
{
    struct io_uring_sqe *sqe = uring_ring_sqe(&uring->ring);
    /* No test reaches the next line: the kernel would have to be out of memory for requests. */
    if (!sqe)
        op_ready(&uring->ops, op, -EAGAIN);
    return sqe;
}

void uring_cancel(struct env_uring *uring, struct op *op)
{
    if (op->state != OP_STARTED)
        return;
    struct io_uring_sqe *sqe = uring_ring_sqe(&uring->ring);
    if (!sqe) {
        /* As above. The next turn tries again. */
        uring->ops.cancels_owed += op->cancel_owed ? 0 : 1;
        op->cancel_owed = 1;
        return;
    }
    /* By generation: if the operation has ended meanwhile, nothing else can be hit. */
    io_uring_prep_cancel64(sqe, op_user_data(&uring->ops, op), 0);
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(sqe, URING_USER_DATA_IGNORED);
}

static void cancels_retry(struct env_uring *uring)
{
    for (uint32_t i = 0; i < uring->ops.count && uring->ops.cancels_owed > 0; i++) {
        struct op *op = &uring->ops.table[i];
        if (!op->cancel_owed)
            continue;
        op->cancel_owed = 0;
        uring->ops.cancels_owed--;
        uring_cancel(uring, op);
        if (op->cancel_owed)
            return;
    }
}

/* --- the turn --------------------------------------------------------------------------------- */

/* A completion that belongs to no operation any more: only its buffer matters. */
static void completion_drop(struct env_uring *uring, const struct io_uring_cqe *cqe)
{
    if (cqe->user_data != URING_USER_DATA_IGNORED && (cqe->flags & IORING_CQE_F_BUFFER))
        uring_buffers_skip(&uring->buffers, cqe->flags >> IORING_CQE_BUFFER_SHIFT);
}

/* True when the completion became an event. */
static bool completion_take(struct env_uring *uring, const struct io_uring_cqe *cqe,
                            struct env_event *ret_event)
{
    struct op *op = op_find(&uring->ops, cqe->user_data);
    if (!op) {
        completion_drop(uring, cqe);
        return false;
    }
    switch ((enum env_op)op->op) {
    case ENV_OP_WRITE:
    case ENV_OP_READ:
    case ENV_OP_SYNC:
        host_file_done(&uring->host, op->handle);
        op_finish(&uring->ops, op, cqe->res, false, ret_event);
        return true;
    case ENV_OP_ACCEPT:
        return uring_accept_done(uring, op, cqe->res, cqe->flags & IORING_CQE_F_MORE, ret_event);
    case ENV_OP_RECV:
        return uring_recv_done(uring, op, cqe->res, cqe->flags, ret_event);
    case ENV_OP_SEND:
        return uring_send_done(uring, op, cqe->res, ret_event);
    case ENV_OP_BELL:
        return bell_done(uring, op, ret_event);
    case ENV_OP_CLOSE:
    case ENV_OP_COUNT:
        break;
    }
    /* CLOSE never goes through the ring. */
    XD_ASSERT(op->op == ENV_OP_CLOSE && false);
    return false;
}

/* True when the oldest answer of the ready list became an event. */
static bool ready_take(struct env_uring *uring, struct op *op, struct env_event *ret_event)
{
    enum env_op kind = (enum env_op)op->op;
    int32_t handle = op->handle;
    if (kind == ENV_OP_BELL)
        return bell_done(uring, op, ret_event);
    bool is_conn = kind == ENV_OP_RECV || kind == ENV_OP_SEND || kind == ENV_OP_CLOSE;
    if (kind == ENV_OP_WRITE || kind == ENV_OP_READ || kind == ENV_OP_SYNC)
        host_file_done(&uring->host, op->handle);
    op_finish(&uring->ops, op, op->result, false, ret_event);
    if (is_conn && handle >= 0)
        uring_conn_settle(uring, handle, kind);
    return true;
}

static uint32_t drain_ready(struct env_uring *uring, struct env_event *events, uint32_t room)
{
    uint32_t count = 0;
    while (count < room) {
        struct op *op = op_next(&uring->ops);
        if (!op)
            break;
        if (ready_take(uring, op, &events[count]))
            count++;
        else
            break; /* A watch that found no room again: not twice in one turn. */
    }
    return count;
}

static uint32_t drain_completions(struct env_uring *uring, struct env_event *events, uint32_t room)
{
    uint32_t count = 0;
    uint32_t seen = 0;
    uint32_t head;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe(&uring->ring.ring, head, cqe)
    {
        if (count == room)
            break;
        seen++;
        if (completion_take(uring, cqe, &events[count]))
            count++;
    }
    io_uring_cq_advance(&uring->ring.ring, seen);
    return count;
}

static uint32_t drain(struct env_uring *uring, struct env_event *events, uint32_t events_max)
{
    uint32_t count = drain_ready(uring, events, events_max);
    count += drain_completions(uring, events + count, events_max - count);
    /* Again: completions may have made CLOSE events. */
    return count + drain_ready(uring, events + count, events_max - count);
}

/* Enters the kernel once; wait_ns 0 = only submit and run what is due. 0; 1 when the kernel could
 * not take everything and this turn should end; -errno when the ring is broken. */
static int enter(struct env_uring *uring, uint64_t wait_ns)
{
    struct io_uring *ring = &uring->ring.ring;
    int status;
    if (wait_ns == 0) {
        status = io_uring_submit_and_get_events(ring);
    } else {
        uint64_t seconds = wait_ns / NS_PER_SECOND;
        struct __kernel_timespec limit = {
            .tv_sec = (int64_t)(seconds < STAY_SECONDS_MAX ? seconds : STAY_SECONDS_MAX),
            .tv_nsec = (int64_t)(wait_ns % NS_PER_SECOND),
        };
        struct io_uring_cqe *first = NULL;
        status = io_uring_submit_and_wait_timeout(ring, &first, 1, &limit, NULL);
    }
    switch (-status) {
    case ETIME: /* the deadline */
    case EINTR: /* a signal that is not ours */
        return 0;
    case EAGAIN: /* no memory for requests, or completions must be drained first: what is queued
                    stays queued for the next turn. No test reaches this. */
    case EBUSY:
        return 1;
    default:
        return status < 0 ? status : 0;
    }
}

int uring_wait(struct env *env, struct env_event *events, uint32_t events_max, uint64_t deadline_ns)
{
    struct env_uring *uring = uring_of(env);
    XD_ASSERT(events && events_max > 0);
    for (;;) {
        uring_buffers_publish(&uring->buffers);
        cancels_retry(uring);
        bool waiting = uring->ops.ready_head != OP_NONE || io_uring_cq_ready(&uring->ring.ring) > 0;
        uint64_t now = waiting || deadline_ns == 0 ? 0 : env_now_mono_ns(env);
        uint64_t wait_ns = waiting || now >= deadline_ns ? 0 : deadline_ns - now;
        int status = enter(uring, wait_ns);
        if (status < 0)
            return status;
        uint32_t count = drain(uring, events, events_max);
        if (count > 0 || status > 0)
            return (int)count;
        /* Nothing for the caller: cancellations, sends that go on. Their new entries must reach the
         * kernel even when the deadline has passed, so the end of the wait is not the end here. */
        bool queued = io_uring_sq_ready(&uring->ring.ring) > 0;
        if (!queued && (deadline_ns == 0 || env_now_mono_ns(env) >= deadline_ns))
            return 0;
    }
}
