/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/conn.h: a connection's frames come in sequence and in fair turns, it receives no more
 * than it may hold, and each way to its end releases everything exactly once.
 */
#include "broker/net/conn.h"

#include "tests/support/net_bench.h"
#include "wire/limits.h"
#include "wire/status.h"

#include <errno.h>
#include <signal.h>

#include <criterion/criterion.h>

/* Steps over the frame that is next; its handle, or -1. */
static env_conn next_done(struct bench *bench)
{
    struct conn *conn = conn_next(&bench->conns);

    if (conn == NULL)
        return -1;
    env_conn handle = conn->handle;
    conn_frame_done(&bench->conns, conn);
    conns_check(&bench->conns);
    return handle;
}

/* 100 frames of one connection and one of another: the other's comes after 32. */
Test(net_conn, gives_turns_of_32_frames)
{
    struct bench *bench = bench_open();
    uint8_t data[100 * 24];
    uint32_t bytes = 0;

    for (uint32_t i = 0; i < 100; i++)
        bytes += fake_frame(data + bytes, 8, i);
    bench_accept(bench, 0);
    bench_accept(bench, 1);
    bench_receive(bench, 0, data, bytes);
    bench_receive_frame(bench, 1, 8);
    for (uint32_t i = 0; i < 101; i++)
        cr_assert_eq(next_done(bench), i == CONN_TURN_FRAMES ? 1 : 0, "frame %u", i);
    cr_assert_eq(next_done(bench), -1);
    bench_close(bench);
}

/* Receives `count` frames of so many bytes each, header included. */
static void receive_frames(struct bench *bench, env_conn handle, uint32_t count, uint32_t bytes)
{
    uint8_t *data = malloc(bytes);

    cr_assert_not_null(data);
    for (uint32_t i = 0; i < count; i++)
        bench_receive(bench, handle, data, fake_frame(data, bytes - XD_FRAME_HEADER_BYTES, i));
    free(data);
}

static struct bench *bench_of_large_frames(void)
{
    struct net_options options = bench_options();

    options.frame_bytes_max = 1024 * 1024;
    struct bench *bench = bench_open_with(&options, 128);
    for (env_conn handle = 0; handle < 2; handle++)
        conn_admit(&bench->conns, bench_accept(bench, handle));
    return bench;
}

static void expect_turn(struct bench *bench, uint32_t count, env_conn handle)
{
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(next_done(bench), handle, "%u of %u", i, count);
}

/* A turn is bounded by bytes as well: two frames of 64 KiB stand against 32 small ones. */
Test(net_conn, gives_turns_of_128_kib)
{
    struct bench *bench = bench_of_large_frames();

    receive_frames(bench, 0, 6, CONN_TURN_BYTES / 2);
    receive_frames(bench, 1, 70, 100);
    expect_turn(bench, 2, 0);
    expect_turn(bench, 32, 1);
    expect_turn(bench, 2, 0);
    expect_turn(bench, 32, 1);
    expect_turn(bench, 2, 0);
    expect_turn(bench, 6, 1);
    cr_assert_eq(next_done(bench), -1);
    bench_close(bench);
}

/* A frame longer than a turn is given whole, and its connection is passed over as often as the
 * frame had turns; one that has nothing left owes nothing. */
Test(net_conn, passes_over_who_had_more_than_a_turn)
{
    struct bench *bench = bench_of_large_frames();

    receive_frames(bench, 0, 2, 4 * CONN_TURN_BYTES);
    receive_frames(bench, 1, 120, 100);
    expect_turn(bench, 1, 0);
    expect_turn(bench, 3 * 32, 1);
    cr_assert_eq(bench_conn(bench, 0)->turn_bytes, CONN_TURN_BYTES);
    expect_turn(bench, 24, 1);
    expect_turn(bench, 1, 0);
    cr_assert_eq(bench_conn(bench, 0)->place, CONN_PLACE_NONE);
    cr_assert_eq(bench_conn(bench, 0)->turn_bytes, 0);
    cr_assert_eq(next_done(bench), -1);
    bench_close(bench);
}

/* A stalled frame is not given again before it is unstalled, others are, and then it is the same
 * frame. */
Test(net_conn, gives_a_stalled_frame_again)
{
    struct bench *bench = bench_open();

    bench_accept(bench, 0);
    bench_accept(bench, 1);
    bench_receive_frame(bench, 0, 100);
    bench_receive_frame(bench, 0, 200);
    bench_receive_frame(bench, 1, 8);
    struct conn *stalled = conn_next(&bench->conns);
    cr_assert_eq(stalled->inbox.head.length, 100);
    conn_stall(&bench->conns, stalled);
    cr_assert_eq(next_done(bench), 1);
    cr_assert_eq(next_done(bench), -1);
    conns_unstall(&bench->conns);
    cr_assert_eq(conn_next(&bench->conns), stalled);
    cr_assert_eq(stalled->inbox.head.length, 100);
    conn_frame_done(&bench->conns, stalled);
    cr_assert_eq(stalled->inbox.head.length, 200);
    bench_close(bench);
}

/* A stalled connection goes on receiving up to its limit, stops there, keeps what arrives until the
 * stop has taken effect, and receives again when half of it is read. */
Test(net_conn, stops_receiving_while_much_is_unread)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);
    struct fake_conn *fake = &bench->fake.conns[0];

    conn_admit(&bench->conns, conn);
    bench_receive_frame(bench, 0, 64 * 1024);
    cr_assert_eq(conn_next(&bench->conns), conn);
    conn_stall(&bench->conns, conn);
    for (uint32_t i = 0; i < 2; i++)
        bench_receive_frame(bench, 0, 64 * 1024);
    cr_assert_eq(fake->stop_count, 0);
    bench_receive_frame(bench, 0, 64 * 1024);
    cr_assert_eq(fake->stop_count, 1, "%u bytes", (unsigned)conn->inbox.bytes);
    bench_receive_frame(bench, 0, 8);
    bench_recv_end(bench, 0, -ECANCELED);
    cr_assert_eq(fake->stop_count, 1);
    cr_assert_eq(fake->arm_count, 1);

    conns_unstall(&bench->conns);
    cr_assert_eq(next_done(bench), 0);
    cr_assert_eq(next_done(bench), 0);
    cr_assert_not(fake->armed, "half is not reached yet");
    cr_assert_eq(next_done(bench), 0);
    cr_assert(fake->armed);
    cr_assert_eq(fake->arm_count, 2);
    cr_assert_eq(next_done(bench), 0);
    cr_assert_eq(next_done(bench), 0);
    cr_assert_eq(conn->inbox.bytes, 0);
    bench_close(bench);
}

/* Small receives count by the buffers they hold, not by their bytes. */
Test(net_conn, stops_receiving_while_many_buffers_are_held)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);

    bench_receive_frame(bench, 0, 8);
    cr_assert_eq(conn_next(&bench->conns), conn);
    conn_stall(&bench->conns, conn);
    for (uint32_t i = 1; i < bench->conns.held_buffers_max; i++)
        bench_receive_frame(bench, 0, 8);
    cr_assert_eq(bench->fake.conns[0].stop_count, 0);
    bench_receive_frame(bench, 0, 8);
    cr_assert_eq(bench->fake.conns[0].stop_count, 1);
    bench_close(bench);
}

/* A receive that was stopped and is wanted again meanwhile is started when its end has come. */
Test(net_conn, takes_a_stop_back)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);

    for (uint32_t i = 0; i <= bench->conns.held_buffers_max; i++)
        bench_receive_frame(bench, 0, 8);
    conn_stall(&bench->conns, conn_next(&bench->conns));
    cr_assert_eq(bench->fake.conns[0].stop_count, 1);
    conns_unstall(&bench->conns);
    while (next_done(bench) == 0)
        ;
    cr_assert_eq(conn->recv, CONN_RECV_STOPPING);
    bench_recv_end(bench, 0, -ECANCELED);
    cr_assert(bench->fake.conns[0].armed);
    bench_close(bench);
}

/* Queued output beyond the limit makes frames wait until it has been sent. */
Test(net_conn, makes_frames_wait_while_output_is_queued)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);

    for (uint32_t i = 0; i < bench->conns.options.out_chunks_per_conn + 1; i++)
        bench_put(bench, conn, 1024);
    bench_receive_frame(bench, 0, 8);
    cr_assert_null(conn_next(&bench->conns));
    cr_assert_eq(conn->place, CONN_PLACE_BLOCKED);
    bench_turn_end(bench);
    cr_assert_null(conn_next(&bench->conns));
    bench_sent(bench, 0, INT32_MIN);
    cr_assert_eq(conn_next(&bench->conns), conn);
    bench_close(bench);
}

/* Ids of a slot's former users find nothing, for events as for users. */
Test(net_conn, knows_a_connection_by_its_generation)
{
    struct bench *bench = bench_open();
    net_id seen[40];

    for (uint32_t i = 0; i < 40; i++) {
        struct conn *conn = bench_accept(bench, 3);
        seen[i] = conn->id;
        for (uint32_t old = 0; old < i; old++) {
            cr_assert_neq(seen[old], seen[i]);
            cr_assert_null(conn_find(&bench->conns, seen[old]));
        }
        cr_assert_eq(conn_find(&bench->conns, seen[i]), conn);
        conn_abort(&bench->conns, conn, NET_CLOSE_ERROR, -EIO);
        bench_finish(bench, 3);
        cr_assert(bench_told(bench, conn));
    }
    cr_assert_null(conn_find(&bench->conns, 0));
    cr_assert_null(conn_find(&bench->conns, 1u << 16 | (BENCH_CONNS + 1)));
    cr_assert_null(conn_find(&bench->conns, (uint64_t)1 << 40 | seen[39]));
    bench_close(bench);
}

/* A slot is not used again before its end was told, even when the env is done with it. */
Test(net_conn, keeps_a_slot_until_its_end_is_told)
{
    struct bench *bench = bench_open();

    for (env_conn handle = 0; handle < (env_conn)BENCH_CONNS; handle++)
        bench_accept(bench, handle);
    cr_assert_eq(conn_open(&bench->conns, 20), NET_REFUSED_FULL);
    struct conn *conn = bench_conn(bench, 2);
    conn_abort(&bench->conns, conn, NET_CLOSE_ERROR, -EIO);
    cr_assert_eq(conn_open(&bench->conns, 20), NET_REFUSED_FULL);
    bench_finish(bench, 2);
    cr_assert_eq(bench->conns.count, BENCH_CONNS - 1);
    cr_assert_eq(conn_open(&bench->conns, 20), NET_REFUSED_FULL);
    cr_assert(bench_told(bench, conn));
    cr_assert_eq(conn_open(&bench->conns, 20), NET_TAKEN);
    bench_close(bench);
}

/* An end by the peer lets whole frames be read and answers leave, drops a partial one, and is
 * reported as the peer's. */
Test(net_conn, serves_whole_frames_before_the_end_of_the_peer)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);
    uint8_t data[64];

    bench_receive_frame(bench, 0, 8);
    bench_receive(bench, 0, data, fake_frame(data, 20, 1) - 1);
    bench_recv_end(bench, 0, 0);
    cr_assert_eq(conn->state, CONN_OPEN);
    cr_assert_eq(conn_next(&bench->conns), conn);
    bench_put(bench, conn, 16);
    conn_frame_done(&bench->conns, conn);
    cr_assert_eq(conn->state, CONN_DRAINING);
    bench_turn_end(bench);
    cr_assert_eq(fake_send_bytes(&bench->fake, 0), 16);
    cr_assert_not(bench->fake.conns[0].closing);
    bench_sent(bench, 0, INT32_MIN);
    bench_turn_end(bench);
    cr_assert(bench->fake.conns[0].closing);
    cr_assert_eq(conn->reason, NET_CLOSE_PEER);
    cr_assert_eq(conn->cause, 0);
    bench_close(bench);
}

/* The end of the peer does not hurry a stalled frame. */
Test(net_conn, keeps_a_stalled_frame_over_the_end_of_the_peer)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);

    bench_receive_frame(bench, 0, 8);
    conn_stall(&bench->conns, conn_next(&bench->conns));
    bench_recv_end(bench, 0, 0);
    cr_assert_null(conn_next(&bench->conns));
    cr_assert_eq(conn->state, CONN_OPEN);
    conns_unstall(&bench->conns);
    cr_assert_eq(next_done(bench), 0);
    bench_turn_end(bench);
    cr_assert(bench->fake.conns[0].closing);
    bench_close(bench);
}

/* An orderly close sends what is queued, drops what arrives meanwhile, and goes on receiving so
 * that a peer that writes first comes to read. */
Test(net_conn, drains_output_and_drops_input)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);

    bench_put(bench, conn, 40);
    bench_receive_frame(bench, 0, 8);
    conn_drain(&bench->conns, conn, NET_CLOSE_BROKER, false);
    cr_assert_eq(bench->fake.lent_count, 0);
    bench_turn_end(bench);
    bench_receive_frame(bench, 0, 8);
    cr_assert_eq(bench->fake.lent_count, 0);
    cr_assert(bench->fake.conns[0].armed);
    cr_assert_null(conn_next(&bench->conns));
    bench_sent(bench, 0, INT32_MIN);
    bench_turn_end(bench);
    cr_assert(bench->fake.conns[0].closing);
    cr_assert_eq(conn->reason, NET_CLOSE_BROKER);
    bench_close(bench);
}

/* A reset while draining ends at once and keeps the reason why it was draining. */
Test(net_conn, keeps_the_first_reason)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);

    bench_put(bench, conn, 40);
    conn_drain(&bench->conns, conn, NET_CLOSE_BROKER, false);
    bench_recv_end(bench, 0, -ECONNRESET);
    cr_assert_eq(conn->state, CONN_CLOSING);
    cr_assert_eq(conn->reason, NET_CLOSE_BROKER);
    bench_close(bench);
}

/* Closing while a frame is out leaves its bytes alone until the frame is done with. */
Test(net_conn, keeps_a_frame_that_is_out_while_closing)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);

    bench_receive_frame(bench, 0, 8);
    cr_assert_eq(conn_next(&bench->conns), conn);
    conn_drain(&bench->conns, conn, NET_CLOSE_BROKER, true);
    cr_assert_eq(bench->fake.lent_count, 1);
    conn_frame_done(&bench->conns, conn);
    cr_assert_eq(bench->fake.lent_count, 0);
    bench_close(bench);
}

/* A reset inside a frame releases its bytes and is reported with its cause. */
Test(net_conn, drops_a_partial_frame_at_a_reset)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);
    uint8_t data[64];

    bench_receive(bench, 0, data, fake_frame(data, 20, 1) - 1);
    bench_recv_end(bench, 0, -ECONNRESET);
    cr_assert_eq(bench->fake.lent_count, 0);
    cr_assert_eq(conn->reason, NET_CLOSE_ERROR);
    cr_assert_eq(conn->cause, -ECONNRESET);
    bench_close(bench);
}

/* Bytes and ends that arrive while the env closes change nothing, and no buffer is lost. */
Test(net_conn, ignores_events_while_closing)
{
    struct bench *bench = bench_open();
    struct conn *conn = bench_accept(bench, 0);

    bench_put(bench, conn, 40);
    bench_turn_end(bench);
    conn_abort(&bench->conns, conn, NET_CLOSE_SHED, 0);
    bench_receive_frame(bench, 0, 8);
    cr_assert_eq(bench->fake.lent_count, 0);
    cr_assert_eq(pool_free_count(&bench->conns.output.chunks),
                 bench->conns.output.chunks.element_count - 1,
                 "the send in flight still reads its chunk");
    bench_sent(bench, 0, 7);
    cr_assert_eq(pool_free_count(&bench->conns.output.chunks),
                 bench->conns.output.chunks.element_count);
    bench_recv_end(bench, 0, 0);
    cr_assert_eq(conn->state, CONN_CLOSING);
    bench_close(bench);
}

/* A failed send, or one that left less than asked, ends the connection. */
Test(net_conn, ends_when_a_send_fails)
{
    const int32_t results[] = {-EPIPE, 0, 39};

    for (unsigned i = 0; i < 3; i++) {
        struct bench *bench = bench_open();
        struct conn *conn = bench_accept(bench, 0);
        bench_put(bench, conn, 40);
        bench_turn_end(bench);
        bench_sent(bench, 0, results[i]);
        cr_assert_eq(conn->state, CONN_CLOSING);
        cr_assert_eq(conn->reason, NET_CLOSE_ERROR);
        cr_assert_eq(conn->cause, -EPIPE);
        bench_close(bench);
    }
}

/* Before admission a frame may have 4 KiB, afterwards frame_bytes_max; what is over is refused by
 * its header, and what is no frame by its first bytes. */
Test(net_conn, judges_headers_by_the_present_limit)
{
    struct bench *bench = bench_open();
    uint8_t data[XD_FRAME_HEADER_BYTES + 65 * 1024];

    for (env_conn handle = 0; handle < 4; handle++)
        bench_accept(bench, handle);
    fake_frame(data, XD_FRAME_BYTES_PREAUTH_MAX + 1, 1);
    bench_receive(bench, 0, data, XD_FRAME_HEADER_BYTES);
    cr_assert_eq(bench_conn(bench, 0)->state, CONN_CLOSING);
    cr_assert_eq(bench_conn(bench, 0)->reason, NET_CLOSE_TOO_LARGE);
    cr_assert_eq(bench_conn(bench, 0)->cause, XD_FRAME_TOO_LARGE);

    conn_admit(&bench->conns, bench_conn(bench, 1));
    bench_receive(bench, 1, data, XD_FRAME_HEADER_BYTES);
    cr_assert_eq(bench_conn(bench, 1)->state, CONN_OPEN);

    conn_admit(&bench->conns, bench_conn(bench, 2));
    fake_frame(data, 64 * 1024 + 1, 1);
    bench_receive(bench, 2, data, XD_FRAME_HEADER_BYTES);
    cr_assert_eq(bench_conn(bench, 2)->reason, NET_CLOSE_TOO_LARGE);

    bench_receive(bench, 3, "GET / HTTP/1.1\r\n\r\n", 18);
    cr_assert_eq(bench_conn(bench, 3)->reason, NET_CLOSE_MALFORMED);
    cr_assert_eq(bench->counters.v[COUNTER_frames_malformed], 3);
    cr_assert_eq(bench->fake.lent_count, 1);
    bench_close(bench);
}

/* A frame handed out and never finished would be lost with its connection: that is a bug. */
Test(net_conn, aborts_when_a_frame_is_done_that_was_not_out, .signal = SIGABRT)
{
    struct bench *bench = bench_open();

    conn_frame_done(&bench->conns, bench_accept(bench, 0));
}
