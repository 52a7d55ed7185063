/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated network beyond what the conformance suite asks: backpressure, fragments, resets,
 * partitions, and what a crash of the process does to its clients.
 */
#include "tests/support/env_sim.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>

#define SEEDS 50u
#define TURN_NS 5000000u
#define ACCEPT 1u
#define RECV 2u
#define SEND 3u
#define CLOSE 4u

/* A world with a listening process, one client and its accepted connection. */
struct bench {
    struct sim *sim;
    struct env *env;
    env_listener listener;
    env_conn conn;
    int client;
    bool armed; /* a receive is */
    char address[ENV_ADDRESS_BYTES_MAX];
};

static void bench_listen(struct bench *bench)
{
    bench->env = env_sim_process(bench->sim, NULL);
    cr_assert_eq(env_net_listen(bench->env, "10.0.0.1:7700", &bench->listener, bench->address), 0);
    env_net_accept(bench->env, bench->listener, ACCEPT);
}

/* The next event, whatever clients get meanwhile. */
static struct env_event next_event(struct bench *bench)
{
    struct env_event event;
    int count = 0;

    for (int i = 0; count == 0; i++) {
        cr_assert_lt(i, 10000, "no event");
        count = env_wait(bench->env, &event, 1, env_now_mono_ns(bench->env) + TURN_NS);
        cr_assert_geq(count, 0);
    }
    return event;
}

static void bench_connect(struct bench *bench)
{
    struct env_event event;

    bench->client = sim_client_connect(bench->sim, bench->address);
    cr_assert_geq(bench->client, 0);
    event = next_event(bench);
    cr_assert_eq(event.token, ACCEPT);
    bench->conn = event.result;
    if (!event.more)
        env_net_accept(bench->env, bench->listener, ACCEPT);
    bench->armed = false;
}

static void bench_open(struct bench *bench, uint64_t seed, uint32_t window_bytes)
{
    struct sim_options options;

    sim_options_init(&options, seed);
    options.window_bytes = window_bytes;
    bench->sim = sim_open(&options);
    bench_listen(bench);
    bench_connect(bench);
}

static void bench_close(struct bench *bench)
{
    sim_close(bench->sim);
}

/* Lets time pass in which no event may come. */
static void silence(struct bench *bench, uint64_t ns)
{
    uint64_t until = env_now_mono_ns(bench->env) + ns;
    struct env_event event;

    while (env_now_mono_ns(bench->env) < until)
        cr_assert_eq(env_wait(bench->env, &event, 1, until), 0);
}

/* One receive event with a good result; arms when needed, releases the buffer. */
static size_t recv_some(struct bench *bench, uint8_t *data, size_t room)
{
    struct env_event event;

    if (!bench->armed)
        env_net_recv(bench->env, bench->conn, RECV);
    event = next_event(bench);
    cr_assert_eq(event.op, ENV_OP_RECV);
    cr_assert_gt(event.result, 0, "%d", event.result);
    cr_assert_leq((size_t)event.result, room);
    memcpy(data, event.data, (size_t)event.result);
    env_buffer_release(bench->env, event.buffer);
    bench->armed = event.more != 0;
    return (size_t)event.result;
}

static void fill(uint8_t *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
}

/* ---- backpressure ---------------------------------------------------------------------------- */

/* A client can have a window of bytes on the way; receiving makes room for more. */
Test(support_sim_net, client_is_stopped_by_a_broker_that_does_not_receive)
{
    static uint8_t out[10000];
    static uint8_t in[10000];
    struct bench bench;

    bench_open(&bench, 1, 4096);
    fill(out, sizeof(out));
    cr_assert_eq(sim_client_writable(bench.sim, bench.client), 4096);
    cr_assert_eq(sim_client_send(bench.sim, bench.client, out, sizeof(out)), 4096);
    cr_assert_eq(sim_client_send(bench.sim, bench.client, out, 1), -EAGAIN);
    silence(&bench, TURN_NS);
    cr_assert_eq(sim_client_send(bench.sim, bench.client, out, 1), -EAGAIN, "arrived, not taken");
    cr_assert_eq(recv_some(&bench, in, sizeof(in)), 4096);
    cr_assert_eq(sim_client_send(bench.sim, bench.client, out + 4096, 5904), 4096);
    cr_assert_eq(recv_some(&bench, in + 4096, 5904), 4096);
    cr_assert_arr_eq(in, out, 8192);
    bench_close(&bench);
}

/* A send of more than the window ends only when the client has read. */
Test(support_sim_net, send_waits_for_a_client_that_does_not_read)
{
    static uint8_t out[10000];
    static uint8_t in[10000];
    struct bench bench;
    struct iovec piece = {.iov_base = out, .iov_len = sizeof(out)};
    size_t have = 0;

    bench_open(&bench, 2, 4096);
    fill(out, sizeof(out));
    env_net_send(bench.env, bench.conn, &piece, 1, SEND);
    silence(&bench, 10 * TURN_NS);
    cr_assert_eq(sim_client_readable(bench.sim, bench.client), 4096);
    while (have < sizeof(out) - 4096) {
        int64_t part = sim_client_recv(bench.sim, bench.client, in + have, 1000);

        if (part == -EAGAIN)
            silence(&bench, 1000);
        else
            have += (size_t)part;
    }
    cr_assert_eq(next_event(&bench).result, (int32_t)sizeof(out));
    while (have < sizeof(out)) {
        int64_t part = sim_client_recv(bench.sim, bench.client, in + have, sizeof(in) - have);

        if (part == -EAGAIN)
            silence(&bench, 1000);
        else
            have += (size_t)part;
    }
    cr_assert_arr_eq(in, out, sizeof(out));
    bench_close(&bench);
}

/* ---- fragments, stalls, partitions ----------------------------------------------------------- */

/* Fragmentation splits bytes anywhere, may end a receive or an accept, and loses nothing. */
Test(support_sim_net, fragments_carry_the_same_bytes)
{
    static uint8_t out[5000];
    static uint8_t in[5000];
    uint32_t events = 0;
    uint32_t ended = 0;

    fill(out, sizeof(out));
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bench bench;
        size_t have = 0;

        bench_open(&bench, seed, 65536);
        sim_rates(bench.sim)->net_fragment = 40000;
        cr_assert_eq(sim_client_send(bench.sim, bench.client, out, sizeof(out)), sizeof(out));
        while (have < sizeof(out)) {
            have += recv_some(&bench, in + have, sizeof(in) - have);
            events++;
            ended += !bench.armed;
        }
        cr_assert_arr_eq(in, out, sizeof(out));
        bench_close(&bench);
    }
    cr_assert_gt(events, 3 * SEEDS);
    cr_assert(ended > 0 && ended < events);
}

/* An end comes behind all bytes that were sent before it, however long each of them took. */
Test(support_sim_net, end_does_not_overtake_bytes)
{
    static uint8_t out[300];
    static uint8_t in[300];

    fill(out, sizeof(out));
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bench bench;
        size_t have = 0;

        bench_open(&bench, seed, 4096);
        for (size_t at = 0; at < sizeof(out); at += 100)
            cr_assert_eq(sim_client_send(bench.sim, bench.client, out + at, 100), 100);
        sim_client_close(bench.sim, bench.client);
        while (have < sizeof(out))
            have += recv_some(&bench, in + have, sizeof(in) - have);
        cr_assert_eq(next_event(&bench).result, 0);
        cr_assert_arr_eq(in, out, sizeof(out));
        bench_close(&bench);
    }
}

/* Bytes behind a partition wait and arrive when it heals; the other direction is not touched. */
Test(support_sim_net, partition_holds_one_direction_until_it_heals)
{
    uint8_t byte = 5;
    uint8_t in[8];
    struct bench bench;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};

    bench_open(&bench, 4, 4096);
    env_net_recv(bench.env, bench.conn, RECV);
    bench.armed = true;
    sim_client_partition(bench.sim, bench.client, true, false);
    cr_assert_eq(sim_client_send(bench.sim, bench.client, &byte, 1), 1);
    sim_client_close(bench.sim, bench.client);
    env_net_send(bench.env, bench.conn, &piece, 1, SEND);
    cr_assert_eq(next_event(&bench).token, SEND);
    silence(&bench, 100 * TURN_NS);
    cr_assert_eq(sim_client_recv(bench.sim, bench.client, in, 1), 1, "the way back is open");
    sim_client_partition(bench.sim, bench.client, false, false);
    cr_assert_eq(recv_some(&bench, in, sizeof(in)), 1);
    cr_assert_eq(next_event(&bench).result, 0, "the end waited as well");
    bench_close(&bench);
}

/* ---- resets ---------------------------------------------------------------------------------- */

/* A reset cuts a frame at a random byte: a prefix of it arrives, then the error, at both ends. */
Test(support_sim_net, reset_fault_cuts_inside_a_frame)
{
    static uint8_t out[1000];
    static uint8_t in[1000];
    bool lengths[1001] = {false};
    uint32_t different = 0;

    fill(out, sizeof(out));
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct bench bench;
        struct env_event event;
        size_t have = 0;

        bench_open(&bench, seed, 65536);
        sim_rates(bench.sim)->net_reset = 65536;
        env_net_recv(bench.env, bench.conn, RECV);
        cr_assert_eq(sim_client_send(bench.sim, bench.client, out, sizeof(out)), sizeof(out));
        while ((event = next_event(&bench)).result > 0) {
            memcpy(in + have, event.data, (size_t)event.result);
            have += (size_t)event.result;
            env_buffer_release(bench.env, event.buffer);
        }
        cr_assert_eq(event.result, -ECONNRESET);
        cr_assert_eq(event.more, 0);
        cr_assert_arr_eq(in, out, have);
        lengths[have] = true;
        silence(&bench, TURN_NS);
        cr_assert_eq(sim_client_recv(bench.sim, bench.client, in, 1), -ECONNRESET);
        cr_assert_eq(sim_client_send(bench.sim, bench.client, out, 1), -ECONNRESET);
        cr_assert(sim_client_ended(bench.sim, bench.client));
        bench_close(&bench);
    }
    for (size_t i = 0; i <= 1000; i++)
        different += lengths[i];
    cr_assert_gt(different, SEEDS / 2, "cut at %u different bytes", different);
}

/* When the process crashes its clients are reset, and nobody listens until the next one does. */
Test(support_sim_net, crash_resets_clients_and_ends_listening)
{
    uint8_t byte = 1;
    struct bench bench;
    int old;

    bench_open(&bench, 6, 4096);
    old = bench.client;
    cr_assert_eq(sim_client_send(bench.sim, old, &byte, 1), 1);
    sim_crash(bench.sim, SIM_CRASH_KEEP_ALL);
    cr_assert_eq(sim_client_connect(bench.sim, bench.address), -ECONNREFUSED);
    bench_listen(&bench);
    bench_connect(&bench);
    cr_assert_neq(bench.client, old, "the old end is still held");
    silence(&bench, TURN_NS);
    cr_assert_eq(sim_client_recv(bench.sim, old, &byte, 1), -ECONNRESET);
    sim_client_free(bench.sim, old);
    cr_assert_eq(sim_client_send(bench.sim, bench.client, &byte, 1), 1);
    cr_assert_eq(recv_some(&bench, &byte, 1), 1, "the new connection works");
    bench_close(&bench);
}

/* While no process is started, what is on its way to clients arrives as time passes. */
Test(support_sim_net, clients_hear_of_a_crash_while_nothing_runs)
{
    uint8_t byte;
    struct bench bench;

    bench_open(&bench, 11, 4096);
    sim_crash(bench.sim, SIM_CRASH_KEEP_ALL);
    cr_assert_eq(sim_client_recv(bench.sim, bench.client, &byte, 1), -EAGAIN);
    sim_pause(bench.sim, TURN_NS);
    cr_assert_eq(sim_client_recv(bench.sim, bench.client, &byte, 1), -ECONNRESET);
    bench_close(&bench);
}

/* A connection that was on its way when the process died is reset, not left waiting. */
Test(support_sim_net, connection_on_its_way_to_a_dead_process_is_reset)
{
    uint8_t byte;
    struct bench bench;
    int late;

    bench_open(&bench, 7, 4096);
    late = sim_client_connect(bench.sim, bench.address);
    cr_assert_geq(late, 0);
    sim_crash(bench.sim, SIM_CRASH_KEEP_ALL);
    bench.env = env_sim_process(bench.sim, NULL);
    silence(&bench, TURN_NS);
    cr_assert_eq(sim_client_recv(bench.sim, late, &byte, 1), -ECONNRESET);
    bench_close(&bench);
}

/* A wait ends early, without events, when something has reached a client. */
Test(support_sim_net, wait_returns_when_a_client_has_something_to_read)
{
    uint8_t byte = 9;
    struct bench bench;
    struct env_event event;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    uint64_t start;
    int waits = 0;

    bench_open(&bench, 8, 4096);
    start = env_now_mono_ns(bench.env);
    env_net_send(bench.env, bench.conn, &piece, 1, SEND);
    while (sim_client_readable(bench.sim, bench.client) == 0) {
        cr_assert_lt(waits++, 3);
        cr_assert_geq(env_wait(bench.env, &event, 1, UINT64_MAX), 0);
    }
    cr_assert_lt(env_now_mono_ns(bench.env) - start, 1000000);
    cr_assert_eq(sim_stuck_count(bench.sim), 0);
    bench_close(&bench);
}

/* A buffer is given back once; the second time is a bug and aborts. */
Test(support_sim_net, buffer_released_twice_is_caught, .signal = SIGABRT)
{
    uint8_t byte = 9;
    struct bench bench;
    struct env_event event;

    bench_open(&bench, 9, 4096);
    env_net_recv(bench.env, bench.conn, RECV);
    cr_assert_eq(sim_client_send(bench.sim, bench.client, &byte, 1), 1);
    event = next_event(&bench);
    env_buffer_release(bench.env, event.buffer);
    env_buffer_release(bench.env, event.buffer);
}

/* The bytes of a send belong to the env until its event; changing them is a bug and aborts. */
Test(support_sim_net, send_buffer_changed_in_flight_is_caught, .signal = SIGABRT)
{
    uint8_t byte = 9;
    struct bench bench;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};

    bench_open(&bench, 10, 4096);
    env_net_send(bench.env, bench.conn, &piece, 1, SEND);
    byte = 10;
    (void)next_event(&bench);
}
