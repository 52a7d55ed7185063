/* SPDX-License-Identifier: Apache-2.0
 *
 * Set-up of the ring.
 *
 * Normal path: setup with SINGLE_ISSUER|DEFER_TASKRUN|R_DISABLED, check features and opcodes,
 * register the ring's descriptor; later restrict, enable and enter it once: a profile may allow all
 * calls but that one, and whoever serves has no other engine any more. Failure path: EINVAL leads
 * to the next mode, every other error is final and explained with one hint. Shutdown: the
 * registered descriptor is given back (the one registration that the allow-list keeps), then the
 * ring ends.
 *
 * Why an allow-list: seccomp sees io_uring_enter, not what is submitted, so a broken-into broker
 * could open files or sockets through its ring. The kernel checks restrictions per entry.
 */
#include "broker/io/uring_ring.h"

#include "broker/io/probe.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

/* A burst of multishot receives must not overflow the queue: overflow ends every multishot. */
#define CQ_ENTRIES_PER_SQ_ENTRY 4u

/* Workers for operations that cannot run inline (fdatasync): the broker keeps few in flight. */
#define IOWQ_BOUNDED_MAX 4u
#define IOWQ_UNBOUNDED_MAX 4u

/* What the engine submits; anything else is answered with -EACCES by the kernel. */
static const uint8_t ALLOWED_OPCODES[] = {
    IORING_OP_WRITE, IORING_OP_READ,    IORING_OP_FSYNC,        IORING_OP_ACCEPT,
    IORING_OP_RECV,  IORING_OP_SENDMSG, IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD,
};
#define ALLOWED_OPCODE_COUNT (sizeof(ALLOWED_OPCODES) / sizeof(ALLOWED_OPCODES[0]))

#define ALLOWED_SQE_FLAGS (IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS)

/* Without these the engine would lose completions or need other code paths. */
#define NEEDED_FEATURES                                                                            \
    (IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL |                      \
     IORING_FEAT_EXT_ARG | IORING_FEAT_CQE_SKIP)

static const uint32_t MODE_FLAGS[URING_MODE_COUNT] = {
    [URING_MODE_DEFER] = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
    [URING_MODE_COOP] = IORING_SETUP_COOP_TASKRUN,
    [URING_MODE_PLAIN] = 0,
};

const char *uring_mode_name(enum uring_mode mode)
{
    static const char *const names[URING_MODE_COUNT] = {
        [URING_MODE_DEFER] = "deferred task work",
        [URING_MODE_COOP] = "cooperative task work",
        [URING_MODE_PLAIN] = "plain",
    };
    XD_ASSERT(mode < URING_MODE_COUNT);
    return names[mode];
}

/* Fails a step: closes the ring, words the hint, hands the status on. */
static int step_fail(struct uring_ring *ring, const char *step, int status, char *ret_why)
{
    struct probe_facts facts;
    probe_facts(&facts);
    probe_explain(step, status, &facts, ret_why);
    uring_ring_close(ring);
    return status;
}

static int setup(struct uring_ring *ring, uint32_t entries, enum uring_mode best)
{
    int status = -EINVAL;
    for (enum uring_mode mode = best; mode < URING_MODE_COUNT; mode++) {
        struct io_uring_params params = {
            .flags = MODE_FLAGS[mode] | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
                     IORING_SETUP_R_DISABLED,
            .cq_entries = entries * CQ_ENTRIES_PER_SQ_ENTRY,
        };
        status = io_uring_queue_init_params(entries, &ring->ring, &params);
        if (status == 0) {
            ring->mode = mode;
            ring->is_open = true;
            return 0;
        }
        if (status != -EINVAL)
            return status;
    }
    return status;
}

/* -ENOSYS when the kernel lacks an opcode. SEND_ZC is not used: it came with Linux 6.0, as did
 * multishot receive, which has no opcode of its own to ask for. */
static int opcodes_check(struct uring_ring *ring)
{
    union {
        struct io_uring_probe probe; /* header, followed by one entry per opcode */
        uint8_t room[sizeof(struct io_uring_probe) + 256 * sizeof(struct io_uring_probe_op)];
    } answer;
    memset(&answer, 0, sizeof(answer));
    int status = io_uring_register_probe(&ring->ring, &answer.probe, 256);
    if (status < 0)
        return status;
    for (uint32_t i = 0; i < ALLOWED_OPCODE_COUNT; i++) {
        if (!io_uring_opcode_supported(&answer.probe, ALLOWED_OPCODES[i]))
            return -ENOSYS;
    }
    return io_uring_opcode_supported(&answer.probe, IORING_OP_SEND_ZC) ? 0 : -ENOSYS;
}

int uring_ring_open(struct uring_ring *ring, uint32_t entries, enum uring_mode best, char *ret_why)
{
    XD_ASSERT(entries >= 8 && entries <= 32768 && (entries & (entries - 1)) == 0);
    XD_ASSERT(best < URING_MODE_COUNT && ret_why);
    memset(ring, 0, sizeof(*ring));

    int status = setup(ring, entries, best);
    if (status < 0)
        return step_fail(ring, "ring set-up", status, ret_why);
    if ((ring->ring.features & NEEDED_FEATURES) != NEEDED_FEATURES)
        return step_fail(ring, "ring features", -ENOSYS, ret_why);
    status = opcodes_check(ring);
    if (status < 0)
        return step_fail(ring, "ring opcodes", status, ret_why);

    /* Both are optimisations: a kernel that refuses them still serves. */
    unsigned workers[2] = {IOWQ_BOUNDED_MAX, IOWQ_UNBOUNDED_MAX};
    (void)io_uring_register_iowq_max_workers(&ring->ring, workers);
    (void)io_uring_register_ring_fd(&ring->ring);
    return 0;
}

int uring_ring_enable(struct uring_ring *ring, char *ret_why)
{
    XD_ASSERT(ring->is_open);
    struct io_uring_restriction rules[ALLOWED_OPCODE_COUNT + 2];
    memset(rules, 0, sizeof(rules));
    uint32_t count = 0;
    for (; count < ALLOWED_OPCODE_COUNT; count++) {
        rules[count].opcode = IORING_RESTRICTION_SQE_OP;
        rules[count].sqe_op = ALLOWED_OPCODES[count];
    }
    rules[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    rules[count++].sqe_flags = ALLOWED_SQE_FLAGS;
    rules[count].opcode = IORING_RESTRICTION_REGISTER_OP;
    rules[count++].register_op = IORING_UNREGISTER_RING_FDS;

    /* By hand, because the shared library of liburing 2.3 does not export its two functions. */
    int fd = ring->ring.ring_fd;
    int status = io_uring_register((unsigned)fd, IORING_REGISTER_RESTRICTIONS, rules, count);
    if (status < 0)
        return step_fail(ring, "ring restrictions", status, ret_why);
    status = io_uring_register((unsigned)fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
    if (status < 0)
        return step_fail(ring, "ring start", status, ret_why);
    status = io_uring_submit_and_get_events(&ring->ring);
    if (status < 0)
        return step_fail(ring, "ring entry", status, ret_why);
    return 0;
}

void uring_ring_close(struct uring_ring *ring)
{
    if (!ring->is_open)
        return;
    io_uring_queue_exit(&ring->ring);
    ring->is_open = false;
}

struct io_uring_sqe *uring_ring_sqe(struct uring_ring *ring)
{
    XD_ASSERT(ring->is_open);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);
    if (sqe)
        return sqe;
    /* The result is seen in whether there is room now. */
    (void)io_uring_submit(&ring->ring);
    return io_uring_get_sqe(&ring->ring);
}
