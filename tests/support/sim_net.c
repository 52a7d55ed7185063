/* SPDX-License-Identifier: Apache-2.0
 *
 * The process's end of the simulated network: listeners, accept, close; and what is due when.
 *
 * Events of one connection keep their sequence because each is made at the moment something
 * happens and put behind the others; CLOSE comes last and frees the handle.
 */
#include "broker/io/address.h"
#include "tests/support/sim_world.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORT_FIRST 40000u /* given to listeners that ask for port 0 */

/* ---- life ------------------------------------------------------------------------------------ */

void sim_net_init(struct sim_net *net)
{
    *net = (struct sim_net){0};
    list_init(&net->free);
    for (uint32_t i = 0; i < SIM_LISTENERS_MAX; i++)
        list_init(&net->listeners[i].backlog);
}

void net_reset(struct sim_net *net, uint64_t seed)
{
    prng_seed(&net->prng, seed);
    net->port_next = PORT_FIRST;
}

void net_deinit(struct sim_net *net)
{
    struct list_node *node;

    while ((node = list_pop_front(&net->free)) != NULL) {
        struct sim_conn *conn = LIST_ELEMENT(node, struct sim_conn, node);

        free(conn->pipes[SIM_TO_BROKER].ring);
        free(conn->pipes[SIM_TO_CLIENT].ring);
        free(conn);
    }
    free(net->conns);
    free(net->handles);
}

void net_process_begin(struct sim *sim)
{
    struct sim_net *net = &sim->net;
    const struct env_sim_options *options = &sim->process.options;

    XD_ASSERT(options->buffer_count <= SIM_BUFFERS_MAX && options->conns_max > 0);
    net->handles = realloc(net->handles, options->conns_max * sizeof(struct sim_conn *));
    XD_ASSERT(net->handles != NULL);
    memset(net->handles, 0, options->conns_max * sizeof(struct sim_conn *));
    net->handle_max = options->conns_max;
    net->handle_hint = 0;
    net->buffer_bytes = options->buffer_bytes;
    net->buffer_count = options->buffer_count;
    net->buffer_free = options->buffer_count;
    net->buffers = sim_process_memory(sim, (size_t)options->buffer_count * options->buffer_bytes);
    XD_ASSERT(net->buffers != NULL);
    for (uint32_t i = 0; i < options->buffer_count; i++) {
        net->buffer_ids[i] = (uint16_t)(options->buffer_count - 1 - i);
        net->buffer_lent[i] = false;
    }
    buffer_poison(net->buffers, (size_t)net->buffer_count * net->buffer_bytes);
}

/* The process has no end of the connection any more. */
static void conn_detach(struct sim_net *net, struct sim_conn *conn)
{
    if (conn->handle >= 0) {
        net->handles[conn->handle] = NULL;
        if ((uint32_t)conn->handle < net->handle_hint)
            net->handle_hint = (uint32_t)conn->handle;
    }
    conn->handle = -1;
    conn->broker_gone = true;
}

/* The process's end of a connection is gone; the client will hear a reset. */
static void conn_abandon(struct sim *sim, struct sim_conn *conn, bool drop)
{
    conn_detach(&sim->net, conn);
    conn->recv_armed = false;
    conn->send_armed = false;
    pipe_reset(sim, conn, SIM_TO_CLIENT, drop);
    conn_drop(sim, conn);
}

void net_process_end(struct sim *sim)
{
    struct sim_net *net = &sim->net;
    struct list_node *node;

    for (uint32_t i = 0; i < SIM_LISTENERS_MAX; i++) {
        struct sim_listener *listener = &net->listeners[i];

        while ((node = list_pop_front(&listener->backlog)) != NULL)
            conn_abandon(sim, LIST_ELEMENT(node, struct sim_conn, node), true);
        listener->open = false;
        listener->armed = false;
    }
    for (uint32_t i = 0; i < net->handle_max; i++) {
        if (net->handles[i] != NULL)
            conn_abandon(sim, net->handles[i], prng_below(&net->prng, 2) == 0);
    }
    buffer_unpoison(net->buffers, (size_t)net->buffer_count * net->buffer_bytes);
}

void net_drop_all(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->net.conn_count; i++) {
        struct sim_conn *conn = sim->net.conns[i];

        if (conn == NULL)
            continue;
        sim->net.conns[i] = NULL;
        conn_drop(sim, conn);
    }
    sim->net.conn_count = 0;
    sim->net.conn_hint = 0;
}

struct sim_conn *net_conn(struct sim *sim, env_conn handle)
{
    if (handle < 0 || (uint32_t)handle >= sim->net.handle_max)
        return NULL;
    return sim->net.handles[handle];
}

/* ---- listen and accept ----------------------------------------------------------------------- */

int env_sim_net_listen(struct env *env, const char *address, env_listener *ret_listener,
                       char *ret_address)
{
    struct sim *sim = sim_of(env);
    struct address parsed;
    struct sim_listener *listener;
    char text[ENV_ADDRESS_BYTES_MAX];
    int32_t result = 0;
    uint32_t free_slot = SIM_LISTENERS_MAX;

    if (!sim_op_begin(sim, SIM_OP_LISTEN))
        return -ESHUTDOWN;
    if (faults_inject(&sim->faults, SIM_OP_LISTEN, NULL, &result))
        return result;
    result = address_parse(address, &parsed);
    if (result < 0)
        return result;
    if (parsed.socket.any.sa_family == AF_INET && parsed.socket.in.sin_port == 0)
        parsed.socket.in.sin_port = htons((uint16_t)sim->net.port_next++);
    if (parsed.socket.any.sa_family == AF_INET6 && parsed.socket.in6.sin6_port == 0)
        parsed.socket.in6.sin6_port = htons((uint16_t)sim->net.port_next++);
    address_text(&parsed, text);
    for (uint32_t i = SIM_LISTENERS_MAX; i-- > 0;) {
        if (!sim->net.listeners[i].open)
            free_slot = i;
        else if (strcmp(sim->net.listeners[i].address, text) == 0)
            return -EADDRINUSE;
    }
    if (free_slot == SIM_LISTENERS_MAX)
        return -EMFILE;
    listener = &sim->net.listeners[free_slot];
    listener->open = true;
    text_copy(listener->address, sizeof(listener->address), text);
    text_copy(ret_address, ENV_ADDRESS_BYTES_MAX, text);
    *ret_listener = (env_listener)free_slot;
    return 0;
}

void net_event(struct sim *sim, enum env_op op, uint64_t token, int32_t result, bool more)
{
    struct env_event event = {.token = token,
                              .result = result,
                              .buffer = ENV_BUFFER_NONE,
                              .op = (uint8_t)op,
                              .more = more ? 1 : 0};

    sim_trace(sim, SIM_TRACE_EVENT, op, token, (uint64_t)result, 0);
    sim_event(sim, &event);
}

bool multishot_ends(struct sim *sim)
{
    uint32_t rate = sim->faults.rates.net_fragment;

    return rate > 0 && prng_chance(&sim->net.prng, rate) && prng_below(&sim->net.prng, 2) == 0;
}

static void accept_one(struct sim *sim, struct sim_listener *listener, struct sim_conn *conn)
{
    struct sim_net *net = &sim->net;
    uint32_t handle = net->handle_hint;
    int32_t injected;

    if (faults_inject(&sim->faults, SIM_OP_ACCEPT, NULL, &injected)) {
        /* An error ends a multishot accept, but for the one that the env itself makes. */
        listener->armed = injected == -EMFILE;
        conn_abandon(sim, conn, true);
        net_event(sim, ENV_OP_ACCEPT, listener->token, injected, listener->armed);
        return;
    }
    while (handle < net->handle_max && net->handles[handle] != NULL)
        handle++;
    net->handle_hint = handle;
    if (handle == net->handle_max) {
        conn_abandon(sim, conn, true);
        net_event(sim, ENV_OP_ACCEPT, listener->token, -EMFILE, true);
        return;
    }
    net->handles[handle] = conn;
    conn->handle = (int32_t)handle;
    listener->armed = !multishot_ends(sim);
    net_event(sim, ENV_OP_ACCEPT, listener->token, conn->handle, listener->armed);
}

static void accept_pump(struct sim *sim, struct sim_listener *listener)
{
    struct list_node *node;

    while (listener->armed && (node = list_pop_front(&listener->backlog)) != NULL)
        accept_one(sim, listener, LIST_ELEMENT(node, struct sim_conn, node));
}

void env_sim_net_accept(struct env *env, env_listener listener, uint64_t token)
{
    struct sim *sim = sim_of(env);
    struct sim_task *task;

    if (!sim_op_begin(sim, SIM_OP_ACCEPT))
        return;
    if (listener < 0 || (uint32_t)listener >= SIM_LISTENERS_MAX ||
        !sim->net.listeners[listener].open) {
        net_event(sim, ENV_OP_ACCEPT, token, -EBADF, false);
        return;
    }
    XD_ASSERT(!sim->net.listeners[listener].armed);
    sim->net.listeners[listener].armed = true;
    sim->net.listeners[listener].token = token;
    task = clock_task(&sim->clock, SIM_TASK_ACCEPT, true);
    task->net.listener = (uint32_t)listener;
    clock_start(&sim->clock, task, sim_draw(&sim->net.prng, &sim->options.turn));
}

void env_sim_net_accept_stop(struct env *env, env_listener listener)
{
    struct sim *sim = sim_of(env);
    struct sim_listener *slot;

    if (sim->process.dead)
        return;
    XD_ASSERT(listener >= 0 && (uint32_t)listener < SIM_LISTENERS_MAX);
    slot = &sim->net.listeners[listener];
    if (!slot->armed)
        return;
    slot->armed = false;
    net_event(sim, ENV_OP_ACCEPT, slot->token, -ECANCELED, false);
}

/* ---- close ----------------------------------------------------------------------------------- */

void env_sim_net_close(struct env *env, env_conn handle, uint64_t token)
{
    struct sim *sim = sim_of(env);
    struct sim_conn *conn = net_conn(sim, handle);

    if (!sim_op_begin(sim, SIM_OP_CLOSE))
        return;
    if (conn == NULL) {
        net_event(sim, ENV_OP_CLOSE, token, -EBADF, false);
        return;
    }
    XD_ASSERT(!conn->closing);
    conn->closing = true;
    conn->close_token = token;
    conn->close_result = 0;
    (void)faults_inject(&sim->faults, SIM_OP_CLOSE, NULL, &conn->close_result); /* 0 else */
    conn_task(sim, conn, SIM_TASK_CLOSE, sim_draw(&sim->net.prng, &sim->options.turn));
}

static void close_due(struct sim *sim, struct sim_conn *conn)
{
    const struct sim_pipe *from = &conn->pipes[SIM_TO_BROKER];

    conn_cancel(sim, conn);
    net_event(sim, ENV_OP_CLOSE, conn->close_token, conn->close_result, false);
    conn_detach(&sim->net, conn);
    /* As close(2): bytes that nobody read turn the end into a reset. */
    if (from->reset_arrived || conn->pipes[SIM_TO_CLIENT].end_put)
        ; /* the client knows or will hear already */
    else if (pipe_readable(from) > 0)
        pipe_reset(sim, conn, SIM_TO_CLIENT, false);
    else
        pipe_end(sim, conn, SIM_TO_CLIENT);
    conn_drop(sim, conn);
}

void env_sim_net_peer(struct env *env, env_conn handle, char *ret_address)
{
    const struct sim_conn *conn = net_conn(sim_of(env), handle);

    if (conn == NULL)
        (void)snprintf(ret_address, ENV_ADDRESS_BYTES_MAX, "(disconnected)");
    else
        (void)snprintf(ret_address, ENV_ADDRESS_BYTES_MAX, "client:%u", conn->id);
}

void env_sim_net_origin(struct env *env, env_conn handle, struct env_origin *ret_origin)
{
    const struct sim_conn *conn = net_conn(sim_of(env), handle);

    *ret_origin = conn != NULL ? conn->origin : (struct env_origin){.family = ENV_FAMILY_NONE};
}

/* ---- tasks ----------------------------------------------------------------------------------- */

static void connect_due(struct sim *sim, struct sim_task *task)
{
    struct sim_listener *listener = &sim->net.listeners[task->net.listener];
    struct sim_conn *conn = conn_hold(task->net.conn); /* for the process */

    if (!listener->open) {
        conn_abandon(sim, conn, true);
        return;
    }
    list_push_back(&listener->backlog, &conn->node);
    accept_pump(sim, listener);
}

void net_task_due(struct sim *sim, struct sim_task *task)
{
    struct sim_conn *conn = task->net.conn;

    switch (task->kind) {
    case SIM_TASK_CONNECT:
        connect_due(sim, task);
        break;
    case SIM_TASK_ACCEPT:
        accept_pump(sim, &sim->net.listeners[task->net.listener]);
        break;
    case SIM_TASK_DELIVER:
        pipe_due(sim, task);
        break;
    case SIM_TASK_RECV:
        conn->recv_task = false;
        conn_recv_pump(sim, conn);
        break;
    case SIM_TASK_RECV_STOP:
        conn_recv_stop(sim, conn, task->net.generation);
        break;
    case SIM_TASK_SEND:
        conn->send_task = false;
        if (conn->send_armed)
            conn_send_pump(sim, conn);
        break;
    case SIM_TASK_CLOSE:
        if (conn->handle >= 0)
            close_due(sim, conn);
        break;
    case SIM_TASK_FILE:
    case SIM_TASK_KIND_COUNT:
    default:
        XD_ASSERT(false);
    }
    net_task_drop(sim, task);
}

void net_task_drop(struct sim *sim, struct sim_task *task)
{
    if (task->net.conn != NULL)
        conn_drop(sim, task->net.conn);
    clock_release(&sim->clock, task);
}
