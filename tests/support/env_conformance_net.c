/* SPDX-License-Identifier: Apache-2.0
 *
 * Conformance cases of the network: listen, accept, receive, send, close.
 */
#include "tests/support/env_conformance_run.h"

#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

/* Token kinds. */
enum { RECV = 1, SEND, CLOSE };

/* More than a connection takes when the peer does not read: kernels buffer up to 10 MiB. */
#define LARGE_BYTES (32u * 1024 * 1024)

static struct run_pair pair_receiving(struct run *run, uint64_t value)
{
    struct run_pair pair = run_connect(run);
    env_net_recv(run->env, pair.conn, run_token(RECV, value));
    return pair;
}

/* Addresses that are none of the three forms are -EINVAL. */
void conformance_listener_refuses_malformed_addresses(const struct conformance_kit *kit)
{
    static const char *const wrong[] = {
        "",          "127.0.0.1",   "127.0.0.1:",      ":7700",   "localhost:1", "127.0.0.1:65536",
        "[::1]7700", "127.0.0.1:x", "127.0.0.1:1:2:3", "unix:",   "unix:name",   "256.0.0.1:1",
        "[::1:7700", "::1:7700",    "127.0.0.1:-1",    "tcp:x:1",
    };
    struct run run;
    run_open(&run, kit);
    env_listener listener = 4711;
    char bound[ENV_ADDRESS_BYTES_MAX];
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_eq(env_net_listen(run.env, wrong[i], &listener, bound), -EINVAL, "'%s'",
                     wrong[i]);
    cr_assert_eq(listener, 4711);
    run_close(&run);
}

/* Bytes arrive whole and in sequence in both directions, and the peer has a name. */
void conformance_bytes_travel_both_ways(const struct conformance_kit *kit)
{
    enum { BYTES = 100000 };
    static uint8_t out[BYTES];
    static uint8_t in[BYTES];
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pair = pair_receiving(&run, 0);
    char name[ENV_ADDRESS_BYTES_MAX] = "";
    env_net_peer(run.env, pair.conn, name);
    cr_assert_gt(strnlen(name, sizeof(name)), 0);
    cr_assert_lt(strnlen(name, sizeof(name)), sizeof(name));

    run_fill(out, BYTES, 1);
    for (size_t at = 0; at < BYTES; at += 10000) {
        run_peer_send(&run, pair.peer, out + at, 10000);
        run_recv(&run, run_token(RECV, 0), in + at, 10000);
    }
    cr_assert_arr_eq(in, out, BYTES);

    memset(in, 0, BYTES);
    struct iovec piece = {.iov_base = out, .iov_len = BYTES};
    env_net_send(run.env, pair.conn, &piece, 1, run_token(SEND, 0));
    run_peer_recv(&run, pair.peer, in, BYTES);
    struct env_event event = run_expect(&run, run_token(SEND, 0));
    cr_assert_eq(event.op, ENV_OP_SEND);
    cr_assert_eq(event.result, BYTES);
    cr_assert_eq(event.more, 0);
    cr_assert_arr_eq(in, out, BYTES);
    cr_assert_eq(env_buffers_free(run.env), 16, "all buffers have come back");
    run_disconnect(&run, pair, run_token(RECV, 0));
    run_close(&run);
}

/* The origin of a connection is the peer's address, equal for two of one host; a handle that is not
 * open has none. */
void conformance_origin_is_the_address_without_port(const struct conformance_kit *kit)
{
    static const struct env_origin loopback = {.family = ENV_FAMILY_IPV4,
                                               .address = {127, 0, 0, 1}};
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pairs[2] = {run_connect(&run), run_connect(&run)};
    for (int i = 0; i < 2; i++) {
        struct env_origin origin;
        memset(&origin, 0xa5, sizeof(origin));
        env_net_origin(run.env, pairs[i].conn, &origin);
        cr_assert_eq(memcmp(&origin, &loopback, sizeof(origin)), 0, "family %u", origin.family);
        run_disconnect(&run, pairs[i], 0);
        env_net_origin(run.env, pairs[i].conn, &origin);
        cr_assert_eq(origin.family, ENV_FAMILY_NONE);
    }
    run_close(&run);
}

/* One accept gives many connections with different handles. */
void conformance_accept_stays_armed(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pairs[10];
    for (int i = 0; i < 10; i++) {
        pairs[i] = run_connect(&run);
        for (int k = 0; k < i; k++)
            cr_assert_neq(pairs[i].conn, pairs[k].conn);
    }
    for (int i = 0; i < 10; i++)
        run_disconnect(&run, pairs[i], 0);
    run_expect_silence(&run);
    run_close(&run);
}

/* A stopped accept ends with -ECANCELED and can be started again. */
void conformance_accept_stop_ends_it(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    run_disconnect(&run, run_connect(&run), 0);
    env_net_accept_stop(run.env, run.listener);
    struct env_event event = run_expect(&run, run_token(RUN_ACCEPT, 0));
    cr_assert_eq(event.result, -ECANCELED);
    cr_assert_eq(event.more, 0);
    env_net_accept_stop(run.env, run.listener);
    run_expect_silence(&run);
    env_net_accept(run.env, run.listener, run_token(RUN_ACCEPT, 0));
    run_disconnect(&run, run_connect(&run), 0);
    run_close(&run);
}

/* A connection for which the table has no room is closed and reported as -EMFILE; the accept goes
 * on, and a slot that becomes free is used. */
void conformance_full_table_refuses_a_connection(const struct conformance_kit *kit)
{
    struct conformance_need need = {.buffer_count = 4, .buffer_bytes = 4096, .connections_max = 2};
    struct run run;
    run_open_with(&run, kit, &need);
    run_listen(&run);
    struct run_pair first = run_connect(&run);
    struct run_pair second = run_connect(&run);
    int peer = kit->peer_connect(kit->context, run.address);
    cr_assert_geq(peer, 0);
    struct env_event event = run_expect(&run, run_token(RUN_ACCEPT, 0));
    cr_assert_eq(event.result, -EMFILE);
    cr_assert_eq(event.more, 1);
    uint8_t byte;
    int64_t got;
    do {
        (void)run_turn(&run, 1000 * 1000); /* The end has to travel. */
        got = kit->peer_recv(kit->context, peer, &byte, 1);
    } while (got == -EAGAIN);
    cr_assert(got == 0 || got == -ECONNRESET, "%lld", (long long)got);
    kit->peer_free(kit->context, peer);
    run_disconnect(&run, first, 0);
    struct run_pair third = run_connect(&run);
    run_disconnect(&run, second, 0);
    run_disconnect(&run, third, 0);
    run_close(&run);
}

/* A peer that ends its direction is seen as result 0 behind all its bytes; sending to it goes on.
 */
void conformance_peer_that_finishes_is_received_as_zero(const struct conformance_kit *kit)
{
    uint8_t out[3000];
    uint8_t in[3000];
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pair = pair_receiving(&run, 0);
    run_fill(out, sizeof(out), 2);
    run_peer_send(&run, pair.peer, out, sizeof(out));
    kit->peer_finish(kit->context, pair.peer);
    run_recv(&run, run_token(RECV, 0), in, sizeof(in));
    cr_assert_arr_eq(in, out, sizeof(out));
    struct env_event event = run_expect(&run, run_token(RECV, 0));
    cr_assert_eq(event.result, 0);
    cr_assert_eq(event.more, 0);
    cr_assert_eq(event.buffer, ENV_BUFFER_NONE);
    cr_assert_eq(env_buffers_free(run.env), 16);

    struct iovec piece = {.iov_base = out, .iov_len = sizeof(out)};
    env_net_send(run.env, pair.conn, &piece, 1, run_token(SEND, 0));
    run_peer_recv(&run, pair.peer, in, sizeof(in));
    cr_assert_arr_eq(in, out, sizeof(out));
    cr_assert_eq(run_expect(&run, run_token(SEND, 0)).result, (int32_t)sizeof(out));
    run_disconnect(&run, pair, 0);
    run_close(&run);
}

/* Starts a send that cannot complete, because the peer does not read. */
static void send_blocked(struct run *run, struct run_pair pair, struct iovec *piece)
{
    piece->iov_base = env_mem_alloc(run->env, LARGE_BYTES);
    piece->iov_len = LARGE_BYTES;
    cr_assert_not_null(piece->iov_base);
    env_net_send(run->env, pair.conn, piece, 1, run_token(SEND, 0));
    for (int i = 0; i < 20; i++)
        (void)run_turn(run, 1000 * 1000); /* The send fills what there is to fill. */
    cr_assert(!run_has(run, run_token(SEND, 0)), "the peer took everything without reading");
}

/* A reset ends the armed receive and the send in flight with events; later sends fail as well. */
void conformance_peer_that_resets_ends_receive_and_send(const struct conformance_kit *kit)
{
    struct run run;
    struct iovec piece;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pair = pair_receiving(&run, 0);
    send_blocked(&run, pair, &piece);
    kit->peer_reset(kit->context, pair.peer);
    /* The kernel tells the error to the first that asks: the other one sees an end. */
    struct env_event event = run_expect(&run, run_token(RECV, 0));
    cr_assert_leq(event.result, 0);
    cr_assert_eq(event.more, 0);
    event = run_expect(&run, run_token(SEND, 0));
    cr_assert_lt(event.result, (int32_t)LARGE_BYTES);
    env_net_send(run.env, pair.conn, &piece, 1, run_token(SEND, 1));
    cr_assert_lt(run_expect(&run, run_token(SEND, 1)).result, 0);
    run_disconnect(&run, pair, 0);
    run_expect_silence(&run);
    run_close(&run);
}

/* When all buffers are lent out the receive ends with -ENOBUFS; after buffers have come back it can
 * be armed again, and not a byte is missing. */
void conformance_lent_buffers_end_the_receive(const struct conformance_kit *kit)
{
    enum { BYTES = 65536, BUFFERS = 4 };
    static uint8_t out[BYTES];
    static uint8_t in[BYTES];
    struct conformance_need need = {
        .buffer_count = BUFFERS, .buffer_bytes = 4096, .connections_max = 4};
    struct run run;
    run_open_with(&run, kit, &need);
    run_listen(&run);
    struct run_pair pair = pair_receiving(&run, 0);
    run_fill(out, BYTES, 3);
    run_peer_send(&run, pair.peer, out, BYTES);

    size_t have = 0;
    uint32_t ended = 0;
    while (have < BYTES) {
        uint16_t lent[BUFFERS];
        uint32_t count = 0;
        struct env_event event = {.more = 1};
        while (event.more && have < BYTES) {
            event = run_expect(&run, run_token(RECV, 0));
            if (event.result <= 0)
                break;
            cr_assert_lt(count, BUFFERS, "more buffers lent than there are");
            lent[count++] = event.buffer;
            memcpy(in + have, event.data, (size_t)event.result);
            have += (size_t)event.result;
        }
        if (have < BYTES) {
            cr_assert_eq(event.more, 0);
            cr_assert_eq(event.result, -ENOBUFS);
            cr_assert_eq(count, BUFFERS, "ended although there were buffers");
            cr_assert_eq(env_buffers_free(run.env), 0);
            ended++;
        }
        for (uint32_t i = 0; i < count; i++)
            env_buffer_release(run.env, lent[i]);
        cr_assert_geq(env_buffers_free(run.env), count);
        if (have < BYTES)
            env_net_recv(run.env, pair.conn, run_token(RECV, 0));
    }
    cr_assert_gt(ended, 0);
    cr_assert_arr_eq(in, out, BYTES);
    /* The last round may have used all buffers and ended the receive once more. */
    kit->peer_free(kit->context, pair.peer);
    cr_assert_leq(run_expect(&run, run_token(RECV, 0)).result, 0);
    env_net_close(run.env, pair.conn, run_token(CLOSE, 0));
    cr_assert_eq(run_expect(&run, run_token(CLOSE, 0)).op, ENV_OP_CLOSE);
    run_close(&run);
}

/* Lent bytes do not change while other bytes arrive, and outlive their connection. */
void conformance_lent_bytes_stay_until_released(const struct conformance_kit *kit)
{
    enum { BYTES = 60000 };
    static uint8_t out[BYTES];
    static uint8_t in[BYTES];
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pair = pair_receiving(&run, 0);
    run_fill(out, BYTES, 4);
    run_peer_send(&run, pair.peer, out, 1000);
    struct env_event kept = run_expect(&run, run_token(RECV, 0));
    cr_assert_gt(kept.result, 0);
    size_t kept_bytes = (size_t)kept.result;
    /* The rest of the first bytes, should they have come in parts. */
    run_recv(&run, run_token(RECV, 0), in + kept_bytes, 1000 - kept_bytes);
    for (size_t at = 1000; at + 1000 <= BYTES; at += 1000) {
        run_peer_send(&run, pair.peer, out + at, 1000);
        run_recv(&run, run_token(RECV, 0), in + at, 1000);
    }
    run_disconnect(&run, pair, run_token(RECV, 0));
    cr_assert_arr_eq(kept.data, out, kept_bytes);
    cr_assert_eq(env_buffers_free(run.env), 15);
    env_buffer_release(run.env, kept.buffer);
    cr_assert_eq(env_buffers_free(run.env), 16);
    run_close(&run);
}

/* A stopped receive ends with -ECANCELED; bytes that come meanwhile wait for the next one. */
void conformance_receive_stop_ends_it_and_loses_nothing(const struct conformance_kit *kit)
{
    uint8_t out[2000];
    uint8_t in[2000];
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pair = pair_receiving(&run, 0);
    run_fill(out, sizeof(out), 5);
    run_peer_send(&run, pair.peer, out, 1000);
    run_recv(&run, run_token(RECV, 0), in, 1000);
    env_net_recv_stop(run.env, pair.conn);
    struct env_event event = run_expect(&run, run_token(RECV, 0));
    cr_assert_eq(event.result, -ECANCELED);
    cr_assert_eq(event.more, 0);
    env_net_recv_stop(run.env, pair.conn);
    run_peer_send(&run, pair.peer, out + 1000, 1000);
    run_expect_silence(&run);
    env_net_recv(run.env, pair.conn, run_token(RECV, 1));
    run_recv(&run, run_token(RECV, 1), in + 1000, 1000);
    cr_assert_arr_eq(in, out, sizeof(out));
    run_disconnect(&run, pair, run_token(RECV, 1));
    run_close(&run);
}

/* More pieces than one system call takes, empty ones among them, arrive in sequence. */
void conformance_many_pieces_arrive_in_sequence(const struct conformance_kit *kit)
{
    enum { PIECES = 3000 };
    static struct iovec pieces[PIECES];
    static uint8_t out[PIECES * 64];
    static uint8_t in[PIECES * 64];
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pair = run_connect(&run);
    run_fill(out, sizeof(out), 6);
    size_t bytes = 0;
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = (struct iovec){.iov_base = out + bytes, .iov_len = i % 64};
        bytes += i % 64;
    }
    env_net_send(run.env, pair.conn, pieces, PIECES, run_token(SEND, 0));
    run_peer_recv(&run, pair.peer, in, bytes);
    cr_assert_eq(run_expect(&run, run_token(SEND, 0)).result, (int32_t)bytes);
    cr_assert_arr_eq(in, out, bytes);
    run_disconnect(&run, pair, 0);
    run_close(&run);
}

/* A send larger than every buffer on the way completes as the peer reads, with one event. */
void conformance_send_larger_than_any_window_completes(const struct conformance_kit *kit)
{
    static uint8_t in[256 * 1024];
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pair = run_connect(&run);
    uint8_t *out = env_mem_alloc(run.env, LARGE_BYTES);
    run_fill(out, LARGE_BYTES, 7);
    /* Three unequal pieces, so that a short send can end inside any of them. */
    struct iovec pieces[3] = {
        {.iov_base = out, .iov_len = 1000},
        {.iov_base = out + 1000, .iov_len = LARGE_BYTES / 2},
        {.iov_base = out + 1000 + LARGE_BYTES / 2, .iov_len = LARGE_BYTES / 2 - 1000},
    };
    env_net_send(run.env, pair.conn, pieces, 3, run_token(SEND, 0));
    for (size_t have = 0; have < LARGE_BYTES; have += sizeof(in)) {
        run_peer_recv(&run, pair.peer, in, sizeof(in));
        cr_assert_arr_eq(in, out + have, sizeof(in));
    }
    cr_assert_eq(run_expect(&run, run_token(SEND, 0)).result, (int32_t)LARGE_BYTES);
    run_expect_silence(&run);
    run_disconnect(&run, pair, 0);
    run_close(&run);
}

/* Closing while a receive is armed and a send is stuck ends both with events, CLOSE last. */
void conformance_close_with_operations_outstanding(const struct conformance_kit *kit)
{
    struct run run;
    struct iovec piece;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pair = pair_receiving(&run, 0);
    send_blocked(&run, pair, &piece);
    env_net_close(run.env, pair.conn, run_token(CLOSE, 0));
    bool received = false;
    bool sent = false;
    while (!run_has(&run, run_token(CLOSE, 0))) {
        /* One event per turn, so that the sequence shows. */
        struct env_event event;
        int count = env_wait(run.env, &event, 1, env_now_mono_ns(run.env) + RUN_PATIENCE_NS);
        cr_assert_eq(count, 1, "nothing comes any more");
        if (event.token == run_token(CLOSE, 0))
            break;
        cr_assert_eq(event.more, 0);
        cr_assert_lt(event.result, (int32_t)LARGE_BYTES);
        received = received || event.token == run_token(RECV, 0);
        sent = sent || event.token == run_token(SEND, 0);
    }
    cr_assert(received);
    cr_assert(sent);
    run_expect_silence(&run);
    kit->peer_free(kit->context, pair.peer);
    run_close(&run);
}

/* An idle connection with an armed receive: its receive ends, then CLOSE, then nothing, and the
 * peer sees the end. */
void conformance_close_comes_last_and_once(const struct conformance_kit *kit)
{
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pair = pair_receiving(&run, 0);
    (void)run_turn(&run, 1000 * 1000); /* The receive is armed now. */
    env_net_close(run.env, pair.conn, run_token(CLOSE, 0));
    struct env_event event = run_expect(&run, run_token(RECV, 0));
    cr_assert_leq(event.result, 0);
    cr_assert_eq(event.more, 0);
    event = run_expect(&run, run_token(CLOSE, 0));
    cr_assert_eq(event.op, ENV_OP_CLOSE);
    cr_assert_eq(event.result, 0);
    run_expect_silence(&run);
    uint8_t byte;
    int64_t got = kit->peer_recv(kit->context, pair.peer, &byte, 1);
    cr_assert(got == 0 || got == -ECONNRESET, "%lld", (long long)got);
    kit->peer_free(kit->context, pair.peer);
    run_close(&run);
}

/* Handles come round again; no event of an earlier connection reaches a later one. */
void conformance_handles_are_used_again_without_confusion(const struct conformance_kit *kit)
{
    struct conformance_need need = {.buffer_count = 4, .buffer_bytes = 4096, .connections_max = 2};
    uint8_t out[200];
    uint8_t in[200];
    struct run run;
    run_open_with(&run, kit, &need);
    run_listen(&run);
    for (uint64_t round = 0; round < 200; round++) {
        struct run_pair pair = pair_receiving(&run, round);
        cr_assert_lt(pair.conn, 2);
        run_fill(out, sizeof(out), round);
        run_peer_send(&run, pair.peer, out, sizeof(out));
        if (round % 2 == 0) {
            run_recv(&run, run_token(RECV, round), in, sizeof(in));
            cr_assert_arr_eq(in, out, sizeof(out));
        } else if (round % 4 == 1) {
            kit->peer_reset(kit->context, pair.peer);
        }
        run_disconnect(&run, pair, run_token(RECV, round));
        cr_assert_eq(run.count, 0, "an event of nobody");
        cr_assert_eq(env_buffers_free(run.env), 4);
    }
    run_close(&run);
}

/* Calls on connections that are not open are answered with -EBADF events. */
void conformance_invalid_connection_answers_with_an_event(const struct conformance_kit *kit)
{
    uint8_t byte = 0;
    struct iovec piece = {.iov_base = &byte, .iov_len = 1};
    struct run run;
    run_open(&run, kit);
    run_listen(&run);
    struct run_pair pair = run_connect(&run);
    run_disconnect(&run, pair, 0);
    env_conn wrong[] = {pair.conn, -1, 100000};
    for (size_t i = 0; i < 3; i++) {
        env_net_recv(run.env, wrong[i], run_token(RECV, i));
        env_net_send(run.env, wrong[i], &piece, 1, run_token(SEND, i));
        env_net_close(run.env, wrong[i], run_token(CLOSE, i));
        env_net_recv_stop(run.env, wrong[i]);
        struct env_event event = run_expect(&run, run_token(RECV, i));
        cr_assert_eq(event.result, -EBADF);
        cr_assert_eq(event.more, 0);
        cr_assert_eq(event.buffer, ENV_BUFFER_NONE);
        cr_assert_eq(run_expect(&run, run_token(SEND, i)).result, -EBADF);
        cr_assert_eq(run_expect(&run, run_token(CLOSE, i)).result, -EBADF);
    }
    run_expect_silence(&run);
    run_close(&run);
}
