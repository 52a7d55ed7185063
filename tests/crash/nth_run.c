/* SPDX-License-Identifier: Apache-2.0
 *
 * The scenario of the N-th failures; see nth_run.h.
 */
#include "tests/crash/nth_run.h"

#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PHASES 4u
#define PHASE_RECORDS (10u * NTH_RECORDS)
#define ATTEMPTS 2u /* of one phase, beside one for each failure */
#define PAUSE_TURNS 100u
#define AHEAD_BATCHES 20u
#define RETENTION_SEGMENTS 4u
#define CHANCE(percent) ((percent)*65536u / 100u)

static const char *const end_names[] = {
    [NTH_DONE] = "done",       [NTH_LOST] = "connection lost", [NTH_DOWN] = "broker failed",
    [NTH_REFUSED] = "refused", [NTH_SLOW] = "no answer",       [NTH_WRONG] = "wrong",
};

void nth_run_open(struct nth_run *run)
{
    struct sim_options world;
    memset(run, 0, sizeof *run);
    sim_options_init(&world, 1);
    sim_broker_open(&run->broker, &world);
    nth_client_init(&run->client, &run->broker);
}

void nth_run_close(struct nth_run *run)
{
    if (run->broker.env != NULL)
        (void)sim_broker_crash(&run->broker, SIM_CRASH_KEEP_NONE); /* Nobody looks at the disk. */
    nth_client_deinit(&run->client);
    sim_broker_close(&run->broker);
}

static void begin(struct nth_run *run, const struct nth_fault *fault)
{
    struct sim_options world;
    if (run->broker.env != NULL)
        (void)sim_broker_crash(&run->broker, SIM_CRASH_KEEP_NONE); /* It will be empty. */
    sim_options_init(&world, fault->seed);
    world.rates.buggify_enabled = CHANCE(100);
    world.rates.buggify_fires = CHANCE(40);
    sim_broker_reset(&run->broker, &world);
    run->broker.options.log.retention_bytes =
        RETENTION_SEGMENTS * run->broker.options.log.segment_bytes;
    run->broker.options.log.sync = fault->dsync ? LOG_SYNC_DSYNC : LOG_SYNC_FDATASYNC;
    nth_client_begin(&run->client);
    run->why[0] = '\0';
    nth_fault_inject(fault, run->broker.sim);
}

/* The process is gone, the disk keeps what the menu says, the clients have noticed. */
static void put_down(struct nth_run *run, enum sim_crash_menu menu)
{
    if (run->broker.env != NULL)
        (void)sim_broker_crash(&run->broker, menu); /* The menu is known. */
    nth_leave(&run->client);
}

/* Starts, connects, reads, waits, sends, gets what it waited for, and reads again. */
static enum nth_end attempt(struct nth_run *run, uint64_t to)
{
    struct nth_client *client = &run->client;
    if (run->broker.env == NULL) {
        client->status = sim_broker_start(&run->broker);
        if (client->status < 0)
            return NTH_DOWN;
    }
    enum nth_end end = nth_attach(client);
    if (end == NTH_DONE)
        end = nth_read_all(client);
    if (end == NTH_DONE) {
        nth_poll_start(client);
        end = nth_produce(client, to);
    }
    if (end == NTH_DONE)
        end = nth_poll_end(client);
    return end == NTH_DONE ? nth_read_all(client) : end;
}

static void note(struct nth_run *run, enum nth_end end, const char *when)
{
    if (end == NTH_WRONG)
        snprintf(run->why, sizeof run->why, "%s: %.200s", when, run->client.why);
    else
        snprintf(run->why, sizeof run->why, "%s: %s (%s %.100s)", when, end_names[end],
                 xd_status_name(run->client.status), run->broker.why);
}

/* The broker has failed. The next life takes over what is on the device, flushed or not; what it
 * serves must be safe from then on, so the power is cut right behind the first reading. */
static enum nth_end fail_over(struct nth_run *run)
{
    struct nth_client *client = &run->client;
    run->downs++;
    put_down(run, SIM_CRASH_KEEP_ALL);
    enum nth_end end = NTH_DOWN;
    if (sim_broker_start(&run->broker) == 0)
        end = nth_attach(client);
    if (end == NTH_DONE)
        end = nth_read_all(client);
    put_down(run, end == NTH_DONE ? SIM_CRASH_KEEP_NONE : SIM_CRASH_KEEP_ALL);
    return end == NTH_WRONG ? NTH_WRONG : NTH_DOWN;
}

/* Attempts until everything up to `to` is durable and read. */
static enum nth_end persevere(struct nth_run *run, uint64_t to, uint32_t attempts, const char *when)
{
    enum nth_end end = NTH_SLOW;
    for (uint32_t i = 0; i < attempts; i++) {
        end = attempt(run, to);
        if (end == NTH_DONE || end == NTH_WRONG)
            break;
        run->retries++;
        note(run, end, when);
        if (end == NTH_DOWN) {
            end = fail_over(run);
            if (end == NTH_WRONG)
                break;
            continue;
        }
        nth_leave(&run->client);
        for (uint32_t turn = 0; turn < PAUSE_TURNS && end != NTH_DOWN; turn++)
            end = nth_turn(&run->client);
        if (end == NTH_DOWN)
            put_down(run, SIM_CRASH_KEEP_ALL);
    }
    if (end == NTH_WRONG)
        note(run, end, when);
    return end;
}

/* What lies between two phases. */
static void interrupt(struct nth_run *run, uint32_t phase)
{
    if (phase == 0) {
        nth_leave(&run->client);
    } else if (phase == 1) {
        nth_send_ahead(&run->client, AHEAD_BATCHES);
        put_down(run, SIM_CRASH_GARBAGE);
    } else if (phase == 2 && run->broker.env != NULL) {
        nth_leave(&run->client);
        (void)sim_broker_stop(&run->broker); /* A stop that fails is a death like others. */
        put_down(run, SIM_CRASH_KEEP_ALL);
    }
}

static void count(struct nth_run *run, const struct nth_fault *fault)
{
    run->op_counts[SIM_OP_COUNT] = 0;
    for (unsigned op = 0; op < SIM_OP_COUNT; op++) {
        run->op_counts[op] = sim_op_count(run->broker.sim, (enum sim_op)op);
        run->op_counts[SIM_OP_COUNT] += run->op_counts[op];
    }
    run->rolls = run->broker.rolls;
    run->checkpoints = run->broker.checkpoints;
    run->drops = run->broker.drops_by_size;
    run->tail_cuts = run->broker.tail_cuts;
    run->pending = sim_inject_pending(run->broker.sim);
    for (uint32_t i = 0; i < fault->site_count; i++)
        run->pending += nth_row(fault->sites[i].row)->op == SIM_OP_COUNT &&
                        fault->sites[i].n > run->op_counts[SIM_OP_COUNT];
}

/* Failures of the network alone never end a broker. */
static bool may_fail(const struct nth_fault *fault)
{
    for (uint32_t i = 0; i < fault->site_count; i++)
        if (!nth_is_net(nth_row(fault->sites[i].row)->op))
            return true;
    return false;
}

int nth_run(struct nth_run *run, const struct nth_fault *fault)
{
    enum nth_end end = NTH_DONE;
    uint64_t downs = run->downs;
    begin(run, fault);
    for (uint32_t phase = 0; phase < PHASES; phase++) {
        uint64_t before = run->downs;
        uint32_t pending = sim_inject_pending(run->broker.sim);
        end = persevere(run, (phase + 1) * PHASE_RECORDS, ATTEMPTS + fault->site_count,
                        "with the fault");
        if (end != NTH_DONE && end != NTH_WRONG && !fault->lasts)
            return -EBADMSG; /* The fault was over. */
        if (end == NTH_WRONG)
            break;
        /* What was promised behind a failure must be safe, too. */
        if (run->downs > before || sim_inject_pending(run->broker.sim) < pending)
            put_down(run, SIM_CRASH_KEEP_NONE);
        else
            interrupt(run, phase);
    }
    if (end == NTH_WRONG)
        return -EBADMSG;
    if (run->downs > downs && !may_fail(fault)) {
        snprintf(run->why, sizeof run->why, "a failure of the network ended the broker");
        return -EBADMSG;
    }
    count(run, fault);
    sim_plan_crash_op(run->broker.sim, 0);
    sim_inject_clear(run->broker.sim);
    put_down(run, SIM_CRASH_KEEP_NONE);
    end = persevere(run, (PHASES + 1) * PHASE_RECORDS, 1, "behind the fault");
    return end == NTH_DONE ? 0 : -EBADMSG;
}
