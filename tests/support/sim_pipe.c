/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections and their pipes: bytes, ends and resets on their way.
 */
#include "tests/support/sim_net.h"
#include "tests/support/sim_world.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

/* ---- connections ----------------------------------------------------------------------------- */

static void pipe_start(struct sim_pipe *pipe, uint32_t window_bytes)
{
    uint8_t *ring = pipe->ring;

    if (pipe->window_bytes != window_bytes) {
        ring = realloc(ring, window_bytes);
        XD_ASSERT(ring != NULL);
    }
    *pipe = (struct sim_pipe){.ring = ring, .window_bytes = window_bytes};
}

/* The lowest client id that is free. */
static uint32_t conn_id(struct sim_net *net)
{
    uint32_t id = net->conn_hint;

    while (id < net->conn_count && net->conns[id] != NULL)
        id++;
    if (id == net->conn_capacity) {
        net->conn_capacity = net->conn_capacity == 0 ? 64 : net->conn_capacity * 2;
        net->conns = realloc(net->conns, net->conn_capacity * sizeof(struct sim_conn *));
        XD_ASSERT(net->conns != NULL);
    }
    if (id == net->conn_count)
        net->conn_count++;
    net->conn_hint = id + 1;
    return id;
}

struct sim_conn *conn_new(struct sim *sim)
{
    struct list_node *node = list_pop_front(&sim->net.free);
    struct sim_conn *conn;
    struct sim_pipe pipes[SIM_DIRECTION_COUNT];

    conn = node == NULL ? calloc(1, sizeof(*conn)) : LIST_ELEMENT(node, struct sim_conn, node);
    XD_ASSERT(conn != NULL);
    XD_ASSERT(conn->holders == 0);
    memcpy(pipes, conn->pipes, sizeof(pipes));
    for (int i = 0; i < SIM_DIRECTION_COUNT; i++)
        pipe_start(&pipes[i], sim->options.window_bytes);
    *conn = (struct sim_conn){.id = conn_id(&sim->net), .holders = 1, .handle = -1};
    memcpy(conn->pipes, pipes, sizeof(pipes));
    sim->net.conns[conn->id] = conn;
    return conn;
}

struct sim_conn *conn_hold(struct sim_conn *conn)
{
    XD_ASSERT(conn->holders > 0);
    conn->holders++;
    return conn;
}

void conn_drop(struct sim *sim, struct sim_conn *conn)
{
    XD_ASSERT(conn->holders > 0);
    if (--conn->holders > 0)
        return;
    XD_ASSERT(conn->handle < 0 && !list_linked(&conn->node));
    list_push_front(&sim->net.free, &conn->node);
}

struct sim_task *conn_task(struct sim *sim, struct sim_conn *conn, int kind, uint64_t delay_ns)
{
    struct sim_task *task = clock_task(&sim->clock, (enum sim_task_kind)kind, false);

    task->net.conn = conn_hold(conn);
    clock_start(&sim->clock, task, delay_ns);
    return task;
}

uint64_t net_delay(struct sim *sim)
{
    uint64_t delay_ns = sim_draw(&sim->net.prng, &sim->options.net);
    uint32_t rate = sim->faults.rates.net_stall;

    if (rate > 0 && prng_chance(&sim->net.prng, rate))
        delay_ns += sim->options.stall_ns;
    return delay_ns;
}

/* ---- pipes ----------------------------------------------------------------------------------- */

size_t pipe_room(const struct sim_pipe *pipe)
{
    XD_ASSERT(pipe->put - pipe->taken <= pipe->window_bytes);
    return pipe->window_bytes - (size_t)(pipe->put - pipe->taken);
}

/* Sends something on its way; it does not overtake what was sent before. */
static void pipe_send(struct sim *sim, struct sim_conn *conn, enum sim_direction direction,
                      uint32_t bytes, bool end, bool reset)
{
    struct sim_pipe *pipe = &conn->pipes[direction];
    uint64_t due_ns = sim->clock.now_ns + net_delay(sim);
    struct sim_task *task;

    if (due_ns < pipe->last_ns)
        due_ns = pipe->last_ns;
    pipe->last_ns = due_ns;
    task = conn_task(sim, conn, SIM_TASK_DELIVER, due_ns - sim->clock.now_ns);
    task->net.direction = (uint8_t)direction;
    task->net.generation = pipe->generation;
    task->net.bytes = bytes;
    task->net.end = end;
    task->net.reset = reset;
}

void pipe_put(struct sim *sim, struct sim_conn *conn, enum sim_direction direction,
              const void *data, size_t bytes)
{
    struct sim_pipe *pipe = &conn->pipes[direction];
    size_t at = (size_t)(pipe->put % pipe->window_bytes);
    size_t first = bytes < pipe->window_bytes - at ? bytes : pipe->window_bytes - at;
    uint32_t rate = sim->faults.rates.net_fragment;

    XD_ASSERT(bytes > 0 && bytes <= pipe_room(pipe) && !pipe->end_put);
    memcpy(pipe->ring + at, data, first);
    memcpy(pipe->ring, (const uint8_t *)data + first, bytes - first);
    pipe->put += bytes;
    if (bytes > 1 && rate > 0 && prng_chance(&sim->net.prng, rate)) {
        uint32_t part = 1 + (uint32_t)prng_below(&sim->net.prng, bytes - 1);

        pipe_send(sim, conn, direction, part, false, false);
        bytes -= part;
    }
    pipe_send(sim, conn, direction, (uint32_t)bytes, false, false);
}

void pipe_take(struct sim_pipe *pipe, void *data, size_t bytes)
{
    size_t at = (size_t)(pipe->taken % pipe->window_bytes);
    size_t first = bytes < pipe->window_bytes - at ? bytes : pipe->window_bytes - at;

    XD_ASSERT(bytes <= pipe_readable(pipe));
    memcpy(data, pipe->ring + at, first);
    memcpy((uint8_t *)data + first, pipe->ring, bytes - first);
    pipe->taken += bytes;
}

void pipe_end(struct sim *sim, struct sim_conn *conn, enum sim_direction direction)
{
    if (conn->pipes[direction].end_put)
        return;
    conn->pipes[direction].end_put = true;
    pipe_send(sim, conn, direction, 0, true, false);
}

void pipe_reset(struct sim *sim, struct sim_conn *conn, enum sim_direction direction, bool drop)
{
    struct sim_pipe *pipe = &conn->pipes[direction];

    if (drop) {
        pipe->generation++;
        pipe->put = pipe->arrived;
        pipe->held_bytes = 0;
        pipe->held_end = false;
        pipe->last_ns = 0;
    }
    pipe->end_put = true;
    pipe_send(sim, conn, direction, 0, false, true);
}

/* The receiver of this direction gets what has come. */
static void pipe_arrive(struct sim *sim, struct sim_conn *conn, enum sim_direction direction,
                        uint64_t bytes, bool end, bool reset)
{
    struct sim_pipe *pipe = &conn->pipes[direction];
    bool gone = direction == SIM_TO_BROKER ? conn->broker_gone : conn->client_freed;

    sim_trace(sim, SIM_TRACE_ARRIVE, conn->id, (uint64_t)direction, reset ? UINT64_MAX : bytes, 0);
    pipe->arrived += bytes;
    XD_ASSERT(pipe->arrived <= pipe->put);
    pipe->end_arrived |= end;
    pipe->reset_arrived |= reset;
    if (gone) {
        pipe->taken = pipe->arrived;
        if (bytes > 0 && !pipe->reset_arrived) {
            /* Bytes for an end that is closed are answered with a reset, once. */
            pipe->reset_arrived = true;
            pipe_reset(sim, conn, direction == SIM_TO_BROKER ? SIM_TO_CLIENT : SIM_TO_BROKER,
                       false);
        }
    } else if (direction == SIM_TO_BROKER) {
        conn_arrived(sim, conn);
    } else {
        sim->client_news = true;
    }
}

void pipe_hold(struct sim *sim, struct sim_conn *conn, enum sim_direction direction, bool held)
{
    struct sim_pipe *pipe = &conn->pipes[direction];
    uint64_t bytes = pipe->held_bytes;
    bool end = pipe->held_end;
    bool reset = pipe->held_reset;

    pipe->held = held;
    if (held || (bytes == 0 && !end && !reset))
        return;
    pipe->held_bytes = 0;
    pipe->held_end = false;
    pipe->held_reset = false;
    pipe_arrive(sim, conn, direction, bytes, end, reset);
}

/* A fault: the connection breaks in the middle of what is about to arrive at the process. */
static void pipe_break(struct sim *sim, struct sim_conn *conn, uint32_t bytes)
{
    uint32_t part = (uint32_t)prng_below(&sim->net.prng, (uint64_t)bytes + 1);

    pipe_arrive(sim, conn, SIM_TO_BROKER, part, false, false);
    pipe_reset(sim, conn, SIM_TO_BROKER, true);
    pipe_reset(sim, conn, SIM_TO_CLIENT, true);
}

void pipe_due(struct sim *sim, struct sim_task *task)
{
    struct sim_conn *conn = task->net.conn;
    struct sim_pipe *pipe = &conn->pipes[task->net.direction];
    uint32_t rate = sim->faults.rates.net_reset;

    if (task->net.generation != pipe->generation)
        return;
    if (pipe->held) {
        pipe->held_bytes += task->net.bytes;
        pipe->held_end |= task->net.end;
        pipe->held_reset |= task->net.reset;
        return;
    }
    if (task->net.direction == SIM_TO_BROKER && task->net.bytes > 0 && rate > 0 &&
        prng_chance(&sim->net.prng, rate)) {
        pipe_break(sim, conn, task->net.bytes);
        return;
    }
    pipe_arrive(sim, conn, (enum sim_direction)task->net.direction, task->net.bytes, task->net.end,
                task->net.reset);
}
