/* SPDX-License-Identifier: Apache-2.0
 *
 * The test's ends of connections. Every call acts at once; what it sends arrives later.
 */
#include "tests/support/sim_world.h"
#include "wire/checksum.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

enum client_call {
    CLIENT_CONNECT,
    CLIENT_SEND,
    CLIENT_RECV,
    CLIENT_CLOSE,
    CLIENT_RESET,
    CLIENT_PARTITION,
    CLIENT_FREE,
};

static struct sim_conn *client_conn(const struct sim *sim, int client)
{
    XD_ASSERT(client >= 0 && (uint32_t)client < sim->net.conn_count);
    XD_ASSERT(sim->net.conns[client] != NULL);
    return sim->net.conns[client];
}

static void client_trace(struct sim *sim, enum client_call call, int client, int64_t result,
                         uint64_t data_hash)
{
    sim_trace(sim, SIM_TRACE_CLIENT, call, (uint64_t)client, (uint64_t)result, data_hash);
}

/* This host, in the family of the address. */
static struct env_origin this_host(const char *address)
{
    struct env_origin origin = {.family = ENV_FAMILY_IPV4, .address = {127, 0, 0, 1}};

    if (strncmp(address, "unix:", 5) == 0)
        origin = (struct env_origin){.family = ENV_FAMILY_UNIX};
    else if (address[0] == '[')
        origin = (struct env_origin){.family = ENV_FAMILY_IPV6, .address = {[15] = 1}};
    return origin;
}

int sim_client_connect(struct sim *sim, const char *address)
{
    struct env_origin origin = this_host(address);

    return sim_client_connect_from(sim, address, &origin);
}

int sim_client_connect_from(struct sim *sim, const char *address, const struct env_origin *origin)
{
    uint32_t listener = 0;
    struct sim_conn *conn;
    struct sim_task *task;
    uint64_t delay_ns;

    while (listener < SIM_LISTENERS_MAX &&
           (!sim->net.listeners[listener].open ||
            strcmp(sim->net.listeners[listener].address, address) != 0))
        listener++;
    if (listener == SIM_LISTENERS_MAX || sim->process.dead) {
        client_trace(sim, CLIENT_CONNECT, -1, -ECONNREFUSED, 0);
        return -ECONNREFUSED;
    }
    conn = conn_new(sim);
    conn->origin = *origin;
    delay_ns = net_delay(sim);
    task = conn_task(sim, conn, SIM_TASK_CONNECT, delay_ns);
    task->net.listener = listener;
    /* Nothing may arrive before the connection does. */
    conn->pipes[SIM_TO_BROKER].last_ns = sim->clock.now_ns + delay_ns;
    client_trace(sim, CLIENT_CONNECT, (int)conn->id, 0, 0);
    return (int)conn->id;
}

/* Whether the client knows, or has itself caused, that the connection is reset. */
static bool client_is_reset(const struct sim_conn *conn)
{
    return conn->client_reset || conn->pipes[SIM_TO_CLIENT].reset_arrived;
}

int64_t sim_client_send(struct sim *sim, int client, const void *data, size_t bytes)
{
    struct sim_conn *conn = client_conn(sim, client);
    struct sim_pipe *pipe = &conn->pipes[SIM_TO_BROKER];
    size_t room = pipe_room(pipe);
    size_t part = bytes < room ? bytes : room;
    int64_t result = (int64_t)part;

    if (client_is_reset(conn))
        result = -ECONNRESET;
    else if (conn->client_closed)
        result = -EPIPE;
    else if (part == 0)
        result = bytes == 0 ? 0 : -EAGAIN;
    else if (!pipe->end_put)
        pipe_put(sim, conn, SIM_TO_BROKER, data, part);
    /* else: broken already, and the client does not know it yet: the bytes are lost. */
    client_trace(sim, CLIENT_SEND, client, result, result > 0 ? xd_xxh3(data, part) : 0);
    return result;
}

int64_t sim_client_recv(struct sim *sim, int client, void *data, size_t bytes)
{
    struct sim_conn *conn = client_conn(sim, client);
    struct sim_pipe *pipe = &conn->pipes[SIM_TO_CLIENT];
    size_t readable = pipe_readable(pipe);
    size_t part = bytes < readable ? bytes : readable;

    XD_ASSERT(bytes > 0);
    if (conn->client_reset)
        return -ECONNRESET;
    if (part == 0) {
        if (pipe->reset_arrived)
            return -ECONNRESET;
        return pipe->end_arrived ? 0 : -EAGAIN;
    }
    pipe_take(pipe, data, part);
    conn_send_kick(sim, conn);
    client_trace(sim, CLIENT_RECV, client, (int64_t)part, xd_xxh3(data, part));
    return (int64_t)part;
}

void sim_client_close(struct sim *sim, int client)
{
    struct sim_conn *conn = client_conn(sim, client);

    if (conn->client_closed || client_is_reset(conn))
        return;
    conn->client_closed = true;
    pipe_end(sim, conn, SIM_TO_BROKER);
    client_trace(sim, CLIENT_CLOSE, client, 0, 0);
}

void sim_client_reset(struct sim *sim, int client)
{
    struct sim_conn *conn = client_conn(sim, client);

    if (client_is_reset(conn))
        return;
    conn->client_reset = true;
    pipe_reset(sim, conn, SIM_TO_BROKER, true);
    client_trace(sim, CLIENT_RESET, client, 0, 0);
}

void sim_client_partition(struct sim *sim, int client, bool to_broker, bool to_client)
{
    struct sim_conn *conn = client_conn(sim, client);

    client_trace(sim, CLIENT_PARTITION, client, (to_broker ? 1 : 0) + (to_client ? 2 : 0), 0);
    pipe_hold(sim, conn, SIM_TO_BROKER, to_broker);
    pipe_hold(sim, conn, SIM_TO_CLIENT, to_client);
}

size_t sim_client_readable(const struct sim *sim, int client)
{
    const struct sim_conn *conn = client_conn(sim, client);

    return conn->client_reset ? 0 : pipe_readable(&conn->pipes[SIM_TO_CLIENT]);
}

size_t sim_client_writable(const struct sim *sim, int client)
{
    const struct sim_conn *conn = client_conn(sim, client);

    if (conn->client_closed || client_is_reset(conn))
        return 0;
    return pipe_room(&conn->pipes[SIM_TO_BROKER]);
}

bool sim_client_ended(const struct sim *sim, int client)
{
    const struct sim_conn *conn = client_conn(sim, client);
    const struct sim_pipe *pipe = &conn->pipes[SIM_TO_CLIENT];

    return client_is_reset(conn) ? conn->client_reset || pipe_readable(pipe) == 0
                                 : pipe->end_arrived && pipe_readable(pipe) == 0;
}

void sim_client_free(struct sim *sim, int client)
{
    struct sim_conn *conn = client_conn(sim, client);
    bool unread = pipe_readable(&conn->pipes[SIM_TO_CLIENT]) > 0;

    client_trace(sim, CLIENT_FREE, client, unread ? 1 : 0, 0);
    /* As close(2): bytes that nobody read turn the end into a reset. */
    if (unread)
        sim_client_reset(sim, client);
    else
        sim_client_close(sim, client);
    conn->client_freed = true;
    sim->net.conns[client] = NULL;
    if ((uint32_t)client < sim->net.conn_hint)
        sim->net.conn_hint = (uint32_t)client;
    conn_drop(sim, conn);
}
