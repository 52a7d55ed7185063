/* SPDX-License-Identifier: Apache-2.0
 *
 * What came up in all scripts of a process: steps, ops and answers. Scripts that never get anywhere
 * would pass whatever the broker does, so the program that draws them fails when something is
 * missing.
 */
#include "tests/sim/sim_connection.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>

#define XD_OK 0
#define OPS_MAX 32u

/* A row of sim_connection_answer.def. */
struct answer_row {
    const char *name; /* "ACK OVERLAP" */
    uint16_t op;      /* enum xd_op */
    int status;       /* as in the frame */
};

static const struct answer_row answers[] = {
#define ANSWER(op, status) {#op " " #status, XD_OP_##op, XD_##status},
#define NEVER(status, reason)
#include "tests/sim/sim_connection_answer.def"
#undef ANSWER
#undef NEVER
};

static const int statuses_never[] = {
#define ANSWER(op, status)
#define NEVER(status, reason) XD_##status,
#include "tests/sim/sim_connection_answer.def"
#undef ANSWER
#undef NEVER
};

static const char *const step_names[STEP_COUNT] = {
    "hello",   "ping", "catalog", "open",  "produce", "close", "read", "admin",
    "strange", "raw",  "connect", "leave", "deaf",    "time",  "space"};

#define ANSWERS (sizeof answers / sizeof answers[0])

/* Counted over all scripts. */
static struct totals {
    uint64_t answers[ANSWERS];
    uint64_t steps[STEP_COUNT];
    uint64_t sent[OPS_MAX]; /* by row of the request table */
} totals;

void totals_sent(uint16_t op)
{
    const struct xd_op_row *row;
    for (unsigned i = 0; (row = xd_op_at(i)) != NULL; i++) {
        XD_ASSERT(i < OPS_MAX);
        totals.sent[i] += row->op == op;
    }
}

void totals_step(enum script_step step)
{
    XD_ASSERT(step < STEP_COUNT);
    totals.steps[step]++;
}

void totals_answer(uint16_t op, int status)
{
    /* What is refused before it is known what the frame wants. */
    bool known = status == XD_HELLO_REQUIRED || status == XD_FORMAT_UNKNOWN ||
                 (status == XD_OP_UNKNOWN && xd_op_find(op) == NULL);
    for (size_t i = 0; i < ANSWERS; i++) {
        if (answers[i].op != op || answers[i].status != status)
            continue;
        totals.answers[i]++;
        known = true;
    }
    if (!known)
        fprintf(stderr, "op %u answered with %s\n", op, xd_status_name(status));
    XD_ASSERT(known);
}

/* Whether the status has a row of its own, or needs none. */
static bool status_listed(int status)
{
    bool listed = status == XD_OP_UNKNOWN; /* its op has no name */
    for (size_t i = 0; i < ANSWERS; i++)
        listed = listed || answers[i].status == status;
    for (size_t i = 0; i < sizeof statuses_never / sizeof statuses_never[0]; i++)
        listed = listed || statuses_never[i] == status;
    return listed;
}

/* One line; false when the number is 0. */
static bool report(const char *kind, const char *name, uint64_t count)
{
    printf("%-6s %-32s %llu\n", kind, name, (unsigned long long)count);
    if (count == 0)
        fprintf(stderr, "too tame: %s %s never came up\n", kind, name);
    return count > 0;
}

/* How the broker has ended connections. Those that a peer ends are not reported; and frames that
 * four clients leave unfinished do not use up the memory for them, so none is shed. */
static bool report_closes(const struct connection_world *world)
{
    bool good = report("close", "no place", world->refused);
    for (unsigned i = 0; i < NET_CLOSE_REASON_COUNT; i++)
        if (i != NET_CLOSE_PEER && i != NET_CLOSE_ERROR && i != NET_CLOSE_SHED)
            good = report("close", net_close_reason_name((enum net_close_reason)i),
                          world->closes[i]) &&
                   good;
    return good;
}

bool totals_report(const struct connection_world *world)
{
    static const struct {
        const char *name;
        int status;
    } statuses[] = {
#define X(name, code, class, text) {#name, code},
#include "wire/status.def"
#undef X
    };
    const struct xd_op_row *row;
    bool good = report_closes(world);
    for (unsigned i = 0; i < STEP_COUNT; i++)
        good = report("step", step_names[i], totals.steps[i]) && good;
    for (unsigned i = 0; (row = xd_op_at(i)) != NULL; i++)
        good = report("op", row->name, totals.sent[i]) && good;
    for (size_t i = 0; i < ANSWERS; i++)
        good = report("answer", answers[i].name, totals.answers[i]) && good;
    for (size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) {
        if (status_listed(statuses[i].status))
            continue;
        fprintf(stderr, "sim_connection_answer.def does not know %s\n", statuses[i].name);
        good = false;
    }
    return good;
}
