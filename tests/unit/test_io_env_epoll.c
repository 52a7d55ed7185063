/* SPDX-License-Identifier: Apache-2.0
 *
 * The epoll env: the conformance suite on the real kernel, file system and loopback, with two
 * threads for files, with one on a kernel that knows neither epoll_pwait2 nor RWF_DSYNC, and with
 * eight; its options; and what edge-triggered news must not lose or repeat. What it has in common
 * with the io_uring env is in test_io_engine.c.
 */
#include "broker/io/env_epoll.h"

#include "tests/support/conformance_sockets.h"
#include "tests/support/data_folder.h"
#include "tests/support/env_conformance_run.h"
#include "tests/support/forbid.h"
#include "wire/status.h"

#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

/* --- the kit ---------------------------------------------------------------------------------- */

/* A kernel to run on. */
struct place {
    uint32_t file_threads;
    bool old; /* knows neither epoll_pwait2 nor flags of a write */
};

/* The env's own bell is number 0. */
static struct bells bells;
/* None of them is. */
static const struct bells no_bells;

static struct env_epoll_options options_make(void)
{
    struct env_epoll_options options;
    env_epoll_options_init(&options);
    options.folder = folder;
    return options;
}

static struct env *open_it(const struct env_epoll_options *options)
{
    struct env *env = NULL;
    char why[ENV_EPOLL_WHY_BYTES] = "";
    int status = env_epoll_open(options, &env, why);
    cr_assert_eq(status, 0, "%d: %s", status, why);
    return env;
}

static struct env *env_open(void *context, const struct conformance_need *need)
{
    const struct place *place = context;
    struct env_epoll_options options = options_make();
    options.buffer_count = need->buffer_count;
    options.buffer_bytes = need->buffer_bytes;
    options.connections_max = need->connections_max;
    options.file_threads = place->file_threads;
    cr_assert_eq(bells_open(&bells, 1), 0);
    options.bells = &bells;
    struct env *env = open_it(&options);
    cr_assert_eq(strstr(env->engine_reason, "epoll_pwait2") != NULL, place->old, "%s",
                 env->engine_reason);
    return env;
}

static void env_shut(void *context, struct env *env)
{
    (void)context;
    env_epoll_close(env);
    bells_close(&bells);
    folder_remove();
}

static const struct conformance_kit *kit_of(uint32_t file_threads, bool old)
{
    static struct place place;
    static const struct conformance_kit kit = {
        .context = &place,
        .address = "127.0.0.1:0",
        .bells = true,
        .env_open = env_open,
        .env_close = env_shut,
        .peer_connect = tcp_connect,
        .peer_send = peer_send,
        .peer_recv = peer_recv,
        .peer_finish = peer_finish,
        .peer_reset = peer_reset,
        .peer_free = peer_free,
    };
    const struct forbid_call calls[] = {{SYS_epoll_pwait2, ENOSYS}, {SYS_pwritev2, EOPNOTSUPP}};
    if (old && forbid_calls(calls, 2) != 0)
        cr_skip_test("seccomp: %s", strerror(errno));
    place = (struct place){.file_threads = file_threads, .old = old};
    folder_setup();
    return &kit;
}

#define CASE(name)                                                                                 \
    Test(io_env_epoll, name)                                                                       \
    {                                                                                              \
        conformance_##name(kit_of(2, false));                                                      \
    }
#define OLD_CASE(name)                                                                             \
    Test(io_env_epoll_old, name)                                                                   \
    {                                                                                              \
        conformance_##name(kit_of(1, true));                                                       \
    }
#define CROWD_CASE(name)                                                                           \
    Test(io_env_epoll_crowd, name)                                                                 \
    {                                                                                              \
        conformance_##name(kit_of(8, false));                                                      \
    }

ENV_CONFORMANCE_CASES(CASE)
ENV_CONFORMANCE_CASES(OLD_CASE)
ENV_CONFORMANCE_CASES(CROWD_CASE)

/* --- options ---------------------------------------------------------------------------------- */

/* Every option outside its range is refused by name, before anything is touched. */
Test(io_env_epoll, refuses_options_outside_their_ranges, .init = folder_setup)
{
    enum { CASES = 11 };
    struct env_epoll_options good = options_make();
    struct {
        const char *name;
        struct env_epoll_options options;
    } cases[CASES];
    for (size_t i = 0; i < CASES; i++)
        cases[i].options = good;
    cases[0].name = "folder", cases[0].options.folder = NULL;
    cases[1].name = "file_threads", cases[1].options.file_threads = 0;
    cases[2].name = "file_threads", cases[2].options.file_threads = 9;
    cases[3].name = "buffer_count", cases[3].options.buffer_count = 3;
    cases[4].name = "buffer_bytes", cases[4].options.buffer_bytes = 5000;
    cases[5].name = "connections_max", cases[5].options.connections_max = 0;
    cases[6].name = "files_max", cases[6].options.files_max = 5000;
    cases[7].name = "file_ops_max", cases[7].options.file_ops_max = 0;
    cases[8].name = "reason", cases[8].options.reason = NULL;
    cases[9].name = "bell", cases[9].options.bells = &no_bells;
    cases[10].name = "buffer_bytes", cases[10].options.buffer_bytes = 2 << 20;
    for (size_t i = 0; i < CASES; i++) {
        struct env *env = NULL;
        char why[ENV_EPOLL_WHY_BYTES] = "";
        cr_assert_eq(env_epoll_open(&cases[i].options, &env, why), XD_OPTION_INVALID);
        cr_assert_eq(strncmp(why, cases[i].name, strlen(cases[i].name)), 0, "%s", why);
        cr_assert_null(env);
    }
    cr_assert_neq(access(folder, F_OK), 0, "the folder was made all the same");
}

/* Without threads for files there is no env, the reason names the limit, and the lock is free. */
Test(io_env_epoll, tells_that_there_are_no_threads, .init = folder_setup, .fini = folder_remove)
{
    const struct forbid_call call = {SYS_clone3, EAGAIN};
    struct env_epoll_options options = options_make();
    struct env *env = NULL;
    char why[ENV_EPOLL_WHY_BYTES] = "";
    if (forbid_calls(&call, 1) != 0)
        cr_skip_test("seccomp: %s", strerror(errno));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(env_epoll_open(&options, &env, why), -EAGAIN);
        cr_assert_not_null(strstr(why, "TasksMax"), "%s", why);
    }
}

/* --- files ------------------------------------------------------------------------------------ */

/* A write that must be durable asks the kernel for it, others do not: here that question fails. */
Test(io_env_epoll, only_a_durable_write_asks_for_durability)
{
    const struct forbid_call call = {SYS_pwritev2, EIO};
    struct run run;
    env_file file;
    if (forbid_calls(&call, 1) != 0)
        cr_skip_test("seccomp: %s", strerror(errno));
    run_open(&run, kit_of(2, false));
    uint8_t *page = env_mem_alloc(run.env, 4096);
    cr_assert_eq(env_file_open(run.env, "data", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(run_write(&run, file, page, 4096, 0, 0), 4096);
    cr_assert_eq(run_write(&run, file, page, 4096, 0, ENV_WRITE_DSYNC), -EIO);
    run_close(&run);
}

/* --- edges ------------------------------------------------------------------------------------ */

#define RECV 1
#define SEND 2

static uint64_t cpu_ns(void)
{
    struct timespec time;
    cr_assert_eq(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time), 0);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Bytes that nobody wants to receive, an end that was received and a listener that is not accepted
 * from do not keep the env awake. */
Test(io_env_epoll, what_nobody_wants_costs_no_time)
{
    struct run run;
    uint8_t byte;
    run_open(&run, kit_of(2, false));
    run_listen(&run);
    struct run_pair waiting = run_connect(&run), ended = run_connect(&run);
    run_peer_send(&run, waiting.peer, "x", 1);
    env_net_recv(run.env, ended.conn, run_token(RECV, 1));
    peer_finish(NULL, ended.peer);
    cr_assert_eq(run_expect(&run, run_token(RECV, 1)).result, 0);
    env_net_accept_stop(run.env, run.listener);
    cr_assert_eq(run_expect(&run, run_token(RUN_ACCEPT, 0)).result, -ECANCELED);
    int late = tcp_connect(NULL, run.address);
    cr_assert_geq(late, 0);

    uint64_t before = cpu_ns();
    cr_assert_eq(run_turn(&run, 200ull * 1000 * 1000), 0);
    cr_assert_lt(cpu_ns() - before, 50ull * 1000 * 1000, "the env is busy with nothing");

    env_net_recv(run.env, waiting.conn, run_token(RECV, 0));
    run_recv(&run, run_token(RECV, 0), &byte, 1);
    env_net_recv(run.env, ended.conn, run_token(RECV, 2));
    cr_assert_eq(run_expect(&run, run_token(RECV, 2)).result, 0, "the end is there to stay");
    env_net_accept(run.env, run.listener, run_token(RUN_ACCEPT, 0));
    cr_assert_geq(run_expect(&run, run_token(RUN_ACCEPT, 0)).result, 0);
    close(late);
    run_disconnect(&run, waiting, run_token(RECV, 0));
    run_disconnect(&run, ended, 0);
    run_close(&run);
}

/* Bytes and the end that come together are both received, although one piece of news told both. */
Test(io_env_epoll, an_end_behind_bytes_is_not_lost)
{
    struct run run;
    uint8_t in[3];
    run_open(&run, kit_of(2, false));
    run_listen(&run);
    struct run_pair pair = run_connect(&run);
    run_peer_send(&run, pair.peer, "abc", 3);
    peer_finish(NULL, pair.peer);
    run_expect_silence(&run);
    env_net_recv(run.env, pair.conn, run_token(RECV, 0));
    run_recv(&run, run_token(RECV, 0), in, 3);
    struct env_event event = run_expect(&run, run_token(RECV, 0));
    cr_assert_eq(event.result, 0);
    cr_assert_eq(event.more, 0);
    run_disconnect(&run, pair, 0);
    run_close(&run);
}

/* All buffers lent and nothing more to receive is no reason to end the receive: a full buffer may
 * have been the last one. */
Test(io_env_epoll, no_buffer_is_missed_when_there_are_no_bytes)
{
    struct conformance_need need = {.buffer_count = 1, .buffer_bytes = 4096, .connections_max = 4};
    static uint8_t bytes[4096];
    struct run run;
    run_open_with(&run, kit_of(2, false), &need);
    run_listen(&run);
    struct run_pair pair = run_connect(&run);
    run_peer_send(&run, pair.peer, bytes, sizeof bytes);
    run_expect_silence(&run); /* All of it is there before the receive begins. */
    env_net_recv(run.env, pair.conn, run_token(RECV, 0));
    struct env_event event = run_expect(&run, run_token(RECV, 0));
    cr_assert_eq(event.result, 4096);
    run_expect_silence(&run);
    run_peer_send(&run, pair.peer, bytes, 1);
    struct env_event full = run_expect(&run, run_token(RECV, 0));
    cr_assert_eq(full.result, -ENOBUFS);
    cr_assert_eq(full.more, 0);
    env_buffer_release(run.env, event.buffer);
    env_net_recv(run.env, pair.conn, run_token(RECV, 1));
    event = run_expect(&run, run_token(RECV, 1));
    cr_assert_eq(event.result, 1);
    peer_finish(NULL, pair.peer);
    struct env_event end = run_expect(&run, run_token(RECV, 1));
    cr_assert_eq(end.result, 0, "the end needs no buffer");
    env_buffer_release(run.env, event.buffer);
    run_disconnect(&run, pair, 0);
    run_close(&run);
}

/* A connection whose send waits for room receives all the same, and both go on afterwards. */
Test(io_env_epoll, a_send_without_room_keeps_no_receive)
{
    enum { BYTES = 32 << 20 }; /* Larger than any window. */
    static uint8_t out[BYTES], in[BYTES];
    struct run run;
    uint8_t byte;
    run_fill(out, BYTES, 7);
    run_open(&run, kit_of(2, false));
    run_listen(&run);
    struct run_pair pair = run_connect(&run);
    env_net_recv(run.env, pair.conn, run_token(RECV, 0));
    for (uint64_t round = 0; round < 3; round++) {
        struct iovec pieces[] = {{out, 1000}, {out + 1000, BYTES - 1000}};
        env_net_send(run.env, pair.conn, pieces, 2, run_token(SEND, round));
        run_peer_send(&run, pair.peer, "y", 1);
        run_recv(&run, run_token(RECV, 0), &byte, 1);
        cr_assert_not(run_has(&run, run_token(SEND, round)), "there is room for all of it");
        run_peer_recv(&run, pair.peer, in, BYTES);
        cr_assert_eq(run_expect(&run, run_token(SEND, round)).result, BYTES);
        cr_assert_arr_eq(in, out, BYTES);
    }
    run_disconnect(&run, pair, run_token(RECV, 0));
    run_close(&run);
}

/* Of many connections that all have bytes none waits until the others are empty. */
Test(io_env_epoll, connections_take_turns)
{
    enum { PAIRS = 4, ROUNDS = 3 };
    struct conformance_need need = {
        .buffer_count = PAIRS, .buffer_bytes = 4096, .connections_max = PAIRS};
    static uint8_t bytes[4096 * ROUNDS];
    struct run_pair pairs[PAIRS];
    struct run run;
    run_open_with(&run, kit_of(2, false), &need);
    run_listen(&run);
    for (int i = 0; i < PAIRS; i++) {
        pairs[i] = run_connect(&run);
        run_peer_send(&run, pairs[i].peer, bytes, sizeof bytes);
    }
    run_expect_silence(&run);
    for (int i = 0; i < PAIRS; i++)
        env_net_recv(run.env, pairs[i].conn, run_token(RECV, (uint64_t)i));
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t seen = 0;
        for (int i = 0; i < PAIRS; i++) {
            struct env_event event;
            cr_assert_eq(env_wait(run.env, &event, 1, UINT64_MAX), 1);
            cr_assert_eq(event.result, 4096);
            seen |= 1u << env_token_value(event.token);
            env_buffer_release(run.env, event.buffer);
        }
        cr_assert_eq(seen, (1u << PAIRS) - 1, "round %d", round);
    }
    for (int i = 0; i < PAIRS; i++)
        run_disconnect(&run, pairs[i], run_token(RECV, (uint64_t)i));
    run_close(&run);
}
