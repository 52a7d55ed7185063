/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/timeout.h: a peer that is late is closed at its time and not before, one that waits
 * for the broker is not.
 */
#include "broker/net/timeout.h"

#include "tests/support/net_bench.h"

#include <errno.h>

#include <criterion/criterion.h>

#define MS 1000000ull

/* Moves the clock and closes what is late. */
static void pass(struct bench *bench, uint64_t ms)
{
    bench->fake.now_ns += ms * MS;
    timeout_expire(&bench->conns, bench->fake.now_ns);
    conns_check(&bench->conns);
}

/* What the table says is when the connection is closed, to the nanosecond. */
static void expect_end(struct bench *bench, struct conn *conn, uint64_t in_ms,
                       enum net_close_reason reason)
{
    cr_assert_eq(timeout_next_ns(&bench->conns), bench->fake.now_ns + in_ms * MS);
    timeout_expire(&bench->conns, bench->fake.now_ns + in_ms * MS - 1);
    cr_assert_neq(conn->state, CONN_CLOSING);
    pass(bench, in_ms);
    cr_assert_eq(conn->state, CONN_CLOSING);
    cr_assert_eq(conn->reason, reason);
    cr_assert_eq(conn->cause, -ETIMEDOUT);
}

/* Without connections nothing is due. */
Test(net_timeout, sleeps_without_connections)
{
    struct bench *bench = bench_open();

    cr_assert_eq(timeout_next_ns(&bench->conns), UINT64_MAX);
    bench_close(bench);
}

/* Who says nothing is closed after the HELLO time-out; who was admitted may be silent for ever. */
Test(net_timeout, closes_who_does_not_introduce_itself)
{
    struct bench *bench = bench_open();
    struct conn *silent = bench_accept(bench, 0);
    struct conn *admitted = bench_accept(bench, 1);

    conn_admit(&bench->conns, admitted);
    expect_end(bench, silent, 5000, NET_CLOSE_HELLO_SLOW);
    cr_assert_eq(timeout_next_ns(&bench->conns), UINT64_MAX);
    pass(bench, 3600u * 1000u);
    cr_assert_eq(admitted->state, CONN_OPEN);
    bench_close(bench);
}

/* A HELLO that has arrived and is not read yet is the broker's delay, not the peer's. */
Test(net_timeout, waits_for_itself_to_read_a_hello)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);

    bench_receive_frame(bench, 0, 8);
    pass(bench, 6000);
    cr_assert_eq(conn->state, CONN_OPEN);
    conn_frame_done(&bench->conns, conn_next(&bench->conns));
    expect_end(bench, conn, 5000, NET_CLOSE_HELLO_SLOW);
    bench_close(bench);
}

/* A frame sent byte by byte is cut off at its time-out: progress does not prolong it. */
Test(net_timeout, closes_a_peer_that_trickles_a_frame)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);
    uint8_t data[128];

    fake_frame(data, 100, 1);
    conn_admit(&bench->conns, conn);
    pass(bench, 60000);
    for (uint32_t i = 0; i < 9; i++) {
        bench_receive(bench, 0, data + i, 1);
        pass(bench, 1000);
    }
    expect_end(bench, conn, 1000, NET_CLOSE_FRAME_SLOW);
    bench_close(bench);
}

/* Each frame has its own time; that of the next one begins when it is first, not before. */
Test(net_timeout, gives_each_frame_its_own_time)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);
    uint8_t data[128];
    uint32_t first = fake_frame(data, 20, 1);

    fake_frame(data + first, 20, 2);
    conn_admit(&bench->conns, conn);
    bench_receive(bench, 0, data, first + 4);
    conn_stall(&bench->conns, conn_next(&bench->conns));
    pass(bench, 60000);
    cr_assert_eq(conn->state, CONN_OPEN, "a stalled frame has no time-out");
    conns_unstall(&bench->conns);
    conn_frame_done(&bench->conns, conn_next(&bench->conns));
    pass(bench, 9000);
    bench_receive(bench, 0, data + first + 4, 32);
    cr_assert_eq(timeout_next_ns(&bench->conns), UINT64_MAX);
    bench_close(bench);
}

/* Of several the one that is late goes, in the sequence in which they began. */
Test(net_timeout, closes_only_who_is_late)
{
    struct bench *bench = bench_open();
    struct conn *conns[3];
    uint8_t data[64];

    fake_frame(data, 20, 1);
    for (env_conn i = 0; i < 3; i++) {
        conns[i] = bench_accept(bench, i);
        conn_admit(&bench->conns, conns[i]);
        bench_receive(bench, i, data, 10);
        pass(bench, 2000);
    }
    expect_end(bench, conns[0], 4000, NET_CLOSE_FRAME_SLOW);
    bench_receive(bench, 1, data + 10, 26);
    expect_end(bench, conns[2], 4000, NET_CLOSE_FRAME_SLOW);
    cr_assert_eq(conns[1]->state, CONN_OPEN);
    bench_close(bench);
}

/* A peer that does not take its answers is closed when its send is late, also while draining; the
 * chunk stays with the env until the send has ended. */
Test(net_timeout, closes_a_peer_that_does_not_read)
{
    struct bench *bench = bench_open();
    struct conn *open = bench_accept(bench, 0);
    struct conn *draining = bench_accept(bench, 1);

    conn_admit(&bench->conns, open);
    bench_put(bench, open, 100);
    bench_put(bench, draining, 100);
    bench_turn_end(bench);
    conn_drain(&bench->conns, draining, NET_CLOSE_BROKER, false);
    expect_end(bench, open, 30000, NET_CLOSE_SEND_SLOW);
    cr_assert_eq(draining->state, CONN_CLOSING);
    cr_assert_eq(draining->reason, NET_CLOSE_BROKER);
    cr_assert_eq(pool_free_count(&bench->conns.output.chunks),
                 bench->conns.output.chunks.element_count - 2);
    bench_close(bench);
}

/* A connection without a receive buffer cannot be on time; it begins anew. */
Test(net_timeout, spares_who_waits_for_a_buffer)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);
    uint8_t data[64];

    fake_frame(data, 20, 1);
    bench_receive(bench, 0, data, 10);
    bench_recv_end(bench, 0, -ENOBUFS);
    pass(bench, 60000);
    cr_assert_eq(conn->state, CONN_OPEN);
    bench_turn_end(bench);
    cr_assert(bench->fake.conns[0].armed);
    pass(bench, 4999);
    cr_assert_eq(conn->state, CONN_OPEN);
    bench_receive(bench, 0, data + 10, 26);
    conn_admit(&bench->conns, conn);
    cr_assert_eq(timeout_next_ns(&bench->conns), UINT64_MAX);
    bench_close(bench);
}
