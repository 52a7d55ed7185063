/* SPDX-License-Identifier: Apache-2.0
 *
 * Helpers of the conformance suite.
 *
 * Normal path: run turns until what is expected has come. Failure path: patience, measured on the
 * env's own clock, ends and the case fails. Closing frees the env; peers belong to the cases.
 */
#include "tests/support/env_conformance_run.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#define TURN_NS (2ull * 1000 * 1000)
#define SILENCE_NS (30ull * 1000 * 1000)

/* Token kinds of the helpers; cases use kinds below 200. */
enum { KIND_WRITE = 201, KIND_READ, KIND_SYNC, KIND_CLOSE };

void run_open_with(struct run *run, const struct conformance_kit *kit,
                   const struct conformance_need *need)
{
    memset(run, 0, sizeof(*run));
    run->kit = kit;
    run->env = kit->env_open(kit->context, need);
    cr_assert_not_null(run->env);
    cr_assert_not_null(run->env->engine);
    cr_assert_not_null(run->env->engine_reason);
}

void run_open(struct run *run, const struct conformance_kit *kit)
{
    struct conformance_need need = {
        .buffer_count = 16, .buffer_bytes = 4096, .connections_max = 16};
    run_open_with(run, kit, &need);
}

void run_close(struct run *run)
{
    run->kit->env_close(run->kit->context, run->env);
    run->env = NULL;
}

uint64_t run_token(uint8_t kind, uint64_t value)
{
    return env_token(ENV_OWNER_TEST, kind, value);
}

uint32_t run_turn(struct run *run, uint64_t ns)
{
    uint32_t room = RUN_EVENTS_MAX - run->count;
    cr_assert_gt(room, 0, "the case leaves too many events behind");
    int count = env_wait(run->env, run->events + run->count, room, env_now_mono_ns(run->env) + ns);
    cr_assert_geq(count, 0, "wait: %d", count);
    cr_assert_leq((uint32_t)count, room);
    run->count += (uint32_t)count;
    return (uint32_t)count;
}

/* Index of the oldest event with the token, or `count`. */
static uint32_t find(const struct run *run, uint64_t token)
{
    uint32_t i = 0;
    while (i < run->count && run->events[i].token != token)
        i++;
    return i;
}

bool run_has(const struct run *run, uint64_t token)
{
    return find(run, token) < run->count;
}

struct env_event run_expect(struct run *run, uint64_t token)
{
    uint64_t deadline = env_now_mono_ns(run->env) + RUN_PATIENCE_NS;
    while (!run_has(run, token)) {
        cr_assert_lt(env_now_mono_ns(run->env), deadline, "no event of kind %u value %llu",
                     env_token_kind(token), (unsigned long long)env_token_value(token));
        (void)run_turn(run, TURN_NS); /* How many came does not matter. */
    }
    uint32_t index = find(run, token);
    struct env_event event = run->events[index];
    run->count--;
    memmove(run->events + index, run->events + index + 1,
            sizeof(run->events[0]) * (run->count - index));
    return event;
}

void run_expect_silence(struct run *run)
{
    uint64_t until = env_now_mono_ns(run->env) + SILENCE_NS;
    while (env_now_mono_ns(run->env) < until)
        (void)run_turn(run, TURN_NS); /* Looked at below. */
    cr_assert_eq(run->count, 0, "%u events, the first of kind %u op %u result %d", run->count,
                 env_token_kind(run->events[0].token), run->events[0].op, run->events[0].result);
}

int32_t run_write(struct run *run, env_file file, const void *data, uint32_t bytes,
                  uint64_t position, uint32_t flags)
{
    env_file_write(run->env, file, data, bytes, position, flags, run_token(KIND_WRITE, 0));
    struct env_event event = run_expect(run, run_token(KIND_WRITE, 0));
    cr_assert_eq(event.op, ENV_OP_WRITE);
    cr_assert_eq(event.more, 0);
    cr_assert_eq(event.buffer, ENV_BUFFER_NONE);
    return event.result;
}

int32_t run_read(struct run *run, env_file file, void *data, uint32_t bytes, uint64_t position)
{
    env_file_read(run->env, file, data, bytes, position, run_token(KIND_READ, 0));
    struct env_event event = run_expect(run, run_token(KIND_READ, 0));
    cr_assert_eq(event.op, ENV_OP_READ);
    return event.result;
}

int32_t run_sync(struct run *run, env_file file)
{
    env_file_sync(run->env, file, run_token(KIND_SYNC, 0));
    struct env_event event = run_expect(run, run_token(KIND_SYNC, 0));
    cr_assert_eq(event.op, ENV_OP_SYNC);
    return event.result;
}

void run_listen(struct run *run)
{
    int status = env_net_listen(run->env, run->kit->address, &run->listener, run->address);
    cr_assert_eq(status, 0, "listen: %d", status);
    env_net_accept(run->env, run->listener, run_token(RUN_ACCEPT, 0));
    (void)run_turn(run, 0); /* So that the accept is known before a peer comes. */
}

struct run_pair run_connect(struct run *run)
{
    struct run_pair pair = {.peer = run->kit->peer_connect(run->kit->context, run->address)};
    cr_assert_geq(pair.peer, 0, "connect: %d", pair.peer);
    struct env_event event = run_expect(run, run_token(RUN_ACCEPT, 0));
    cr_assert_eq(event.op, ENV_OP_ACCEPT);
    cr_assert_eq(event.more, 1);
    cr_assert_geq(event.result, 0, "accept: %d", event.result);
    pair.conn = event.result;
    return pair;
}

void run_disconnect(struct run *run, struct run_pair pair, uint64_t recv_token)
{
    uint64_t token = run_token(KIND_CLOSE, (uint64_t)pair.conn);
    env_net_close(run->env, pair.conn, token);
    struct env_event event;
    do {
        event = run_expect(run, recv_token != 0 ? recv_token : token);
        if (event.buffer != ENV_BUFFER_NONE)
            env_buffer_release(run->env, event.buffer);
    } while (event.more);
    if (recv_token != 0)
        event = run_expect(run, token);
    cr_assert_eq(event.op, ENV_OP_CLOSE);
    run->kit->peer_free(run->kit->context, pair.peer);
}

void run_peer_send(struct run *run, int peer, const void *data, size_t bytes)
{
    uint64_t deadline = env_now_mono_ns(run->env) + RUN_PATIENCE_NS;
    for (size_t sent = 0; sent < bytes;) {
        cr_assert_lt(env_now_mono_ns(run->env), deadline, "the peer cannot send");
        int64_t step = run->kit->peer_send(run->kit->context, peer, (const uint8_t *)data + sent,
                                           bytes - sent);
        cr_assert(step > 0 || step == -EAGAIN, "peer_send: %lld", (long long)step);
        if (step > 0)
            sent += (size_t)step;
        else
            (void)run_turn(run, TURN_NS); /* Events are kept for the case. */
    }
}

void run_peer_recv(struct run *run, int peer, void *data, size_t bytes)
{
    uint64_t deadline = env_now_mono_ns(run->env) + RUN_PATIENCE_NS;
    for (size_t have = 0; have < bytes;) {
        cr_assert_lt(env_now_mono_ns(run->env), deadline, "the peer receives nothing");
        int64_t step =
            run->kit->peer_recv(run->kit->context, peer, (uint8_t *)data + have, bytes - have);
        cr_assert(step > 0 || step == -EAGAIN, "peer_recv: %lld", (long long)step);
        if (step > 0)
            have += (size_t)step;
        else
            (void)run_turn(run, TURN_NS); /* Events are kept for the case. */
    }
}

void run_recv(struct run *run, uint64_t token, void *data, size_t bytes)
{
    for (size_t have = 0; have < bytes;) {
        struct env_event event = run_expect(run, token);
        cr_assert_eq(event.op, ENV_OP_RECV);
        cr_assert_eq(event.more, 1);
        cr_assert_gt(event.result, 0, "recv: %d", event.result);
        cr_assert_leq((size_t)event.result, bytes - have, "more bytes than were sent");
        memcpy((uint8_t *)data + have, event.data, (size_t)event.result);
        env_buffer_release(run->env, event.buffer);
        have += (size_t)event.result;
    }
}

void run_fill(uint8_t *data, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)((i * 2654435761u + seed * 40503u) >> 13);
}
