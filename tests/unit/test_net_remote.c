/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/remote.h: a connection of another shard has the same turns, stalls and limits as one
 * with a socket, every lent frame comes out again once, and memory that its home sends from stays
 * until the home is done with it.
 */
#include "broker/net/remote.h"

#include "broker/net/timeout.h"
#include "tests/support/net_bench.h"

#include <signal.h>

#include <criterion/criterion.h>

#define REMOTES 2u
#define FRAMES 100u

struct far {
    struct bench *bench;
    struct net_lent lents[FRAMES]; /* as another shard would lend them; by number */
    uint8_t payload[FRAMES][8];
    uint32_t count; /* lent so far */
};

static struct far *far_open(void)
{
    struct far *far = calloc(1, sizeof(*far));
    struct net_options options = bench_options();

    options.remote_max = REMOTES;
    far->bench = bench_open_with(&options, 64);
    return far;
}

static void far_close(struct far *far)
{
    bench_close(far->bench);
    free(far);
}

static struct conn *open_remote(struct far *far)
{
    struct conn *conn = remote_open(&far->bench->conns);

    cr_assert_not_null(conn);
    conns_check(&far->bench->conns);
    return conn;
}

/* Another shard lends the next frame, whose payload is its number, in two pieces. */
static uint32_t lend(struct far *far, struct conn *conn)
{
    static struct net_lent_piece seconds[FRAMES];
    uint32_t number = far->count++;
    struct net_lent *lent = &far->lents[number];

    cr_assert_lt(number, FRAMES);
    memset(far->payload[number], (int)number, 8);
    seconds[number] = (struct net_lent_piece){.data = far->payload[number] + 3, .bytes = 5};
    *lent = (struct net_lent){
        .head = {.length = 8, .op = 1, .version = 1, .correlation = number},
        .first = {.data = far->payload[number], .bytes = 3, .next = &seconds[number]},
        .piece_count = 2};
    remote_frame(&far->bench->conns, conn, lent);
    conns_check(&far->bench->conns);
    return number;
}

/* The next frame is that of the remote connection with this number. */
static struct conn *expect_next(struct far *far, uint32_t number)
{
    struct conns *conns = &far->bench->conns;
    struct conn *conn = conn_next(conns);

    cr_assert_not_null(conn);
    cr_assert(conn->remote);
    cr_assert_eq(conn->inbox.head.correlation, number);
    cr_assert_eq(remote_pieces(conns, conn), 2);
    cr_assert_eq(conns->assemble.iovecs[0].iov_base, (void *)far->payload[number]);
    cr_assert_eq(conns->assemble.iovecs[0].iov_len, 3);
    cr_assert_eq(conns->assemble.iovecs[1].iov_base, (void *)(far->payload[number] + 3));
    cr_assert_eq(conns->assemble.iovecs[1].iov_len, 5);
    return conn;
}

/* The frames given back since the last call are these, in this sequence. */
static void expect_returned(struct far *far, uint32_t first, uint32_t count)
{
    struct list *returned = &far->bench->conns.remotes.returned;

    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(list_pop_front(returned), &far->lents[first + i].node, "at %u", i);
    cr_assert(list_empty(returned));
}

/* The send given away next is this connection's, with these bytes in all; 0 = there is none. */
static void expect_output(struct far *far, struct conn *conn, size_t bytes)
{
    struct conn *next = remote_output_next(&far->bench->conns);
    size_t got = 0;

    cr_assert_eq(next, bytes > 0 ? conn : NULL);
    for (uint32_t i = 0; next != NULL && i < next->outbox.piece_count; i++)
        got += next->outbox.pieces[i].iov_len;
    cr_assert_eq(got, bytes);
    conns_check(&far->bench->conns);
}

static uint32_t chunks_out(struct far *far)
{
    const struct pool *chunks = &far->bench->conns.output.chunks;

    return chunks->element_count - pool_free_count(chunks);
}

/* Frames come out in the sequence in which they were lent, where they lie, and go back when done
 * with; no socket, no time-out, no frame counted twice. */
Test(net_remote, hands_lent_frames_out_and_back)
{
    struct far *far = far_open();
    struct conns *conns = &far->bench->conns;
    struct conn *conn = open_remote(far);

    cr_assert_null(conn_next(conns));
    lend(far, conn);
    lend(far, conn);
    for (uint32_t i = 0; i < 2; i++) {
        conn_frame_done(conns, expect_next(far, i));
        expect_returned(far, i, 1);
    }
    cr_assert_null(conn_next(conns));
    conn_frame_done(conns, expect_next(far, lend(far, conn)));
    expect_returned(far, 2, 1);
    cr_assert_eq(timeout_next_ns(conns), UINT64_MAX);
    cr_assert_eq(conns->count, 0);
    cr_assert_eq(far->bench->counters.v[COUNTER_frames_received], 0);
    cr_assert_eq(far->bench->counters.v[COUNTER_connections_open], 0);
    cr_assert_eq(far->bench->counters.v[COUNTER_connections_remote], 1);
    far_close(far);
}

/* A remote connection with 60 frames and a local one with 60: 32 of the one, 32 of the other, and
 * so on. */
Test(net_remote, takes_turns_with_local_connections)
{
    struct far *far = far_open();
    struct bench *bench = far->bench;
    struct conn *conn = open_remote(far);
    uint8_t data[60 * 24];
    uint32_t bytes = 0;
    uint32_t run = 0;
    uint32_t runs[4] = {0};
    bool remote = true;

    for (uint32_t i = 0; i < 60; i++)
        lend(far, conn);
    for (uint32_t i = 0; i < 60; i++)
        bytes += fake_frame(data + bytes, 8, i);
    bench_accept(bench, 0);
    bench_receive(bench, 0, data, bytes);
    for (struct conn *next; (next = conn_next(&bench->conns)) != NULL;) {
        if (next->remote != remote)
            cr_assert_lt(++run, 4);
        remote = next->remote;
        runs[run]++;
        conn_frame_done(&bench->conns, next);
        conns_check(&bench->conns);
    }
    cr_assert_eq(runs[0], CONN_TURN_FRAMES);
    cr_assert_eq(runs[1], CONN_TURN_FRAMES);
    cr_assert_eq(runs[2], 60 - CONN_TURN_FRAMES);
    cr_assert_eq(runs[3], 60 - CONN_TURN_FRAMES);
    expect_returned(far, 0, 60);
    far_close(far);
}

/* A stalled frame stays first, behind it others are taken meanwhile, other connections go on, and
 * unstalled it is the same frame. */
Test(net_remote, gives_a_stalled_frame_again)
{
    struct far *far = far_open();
    struct conns *conns = &far->bench->conns;
    struct conn *conn = open_remote(far);
    struct conn *other = open_remote(far);

    lend(far, conn);
    conn_stall(conns, expect_next(far, 0));
    lend(far, conn);
    lend(far, other);
    conn_frame_done(conns, expect_next(far, 2));
    cr_assert_null(conn_next(conns));
    expect_returned(far, 2, 1);
    conns_unstall(conns);
    conn_frame_done(conns, expect_next(far, 0));
    conn_frame_done(conns, expect_next(far, 1));
    expect_returned(far, 0, 2);
    far_close(far);
}

/* What is queued is given away once at the end of a turn, what comes meanwhile waits for its end,
 * and memory comes back with it. */
Test(net_remote, gives_one_send_away_at_a_time)
{
    struct far *far = far_open();
    struct bench *bench = far->bench;
    struct conn *conn = open_remote(far);

    bench_put(bench, conn, 24);
    expect_output(far, conn, 0);
    bench_turn_end(bench);
    bench_put(bench, conn, 40);
    bench_turn_end(bench);
    expect_output(far, conn, 24);
    expect_output(far, conn, 0);
    bench_turn_end(bench);
    expect_output(far, conn, 0);
    remote_sent(&bench->conns, conn);
    bench_turn_end(bench);
    expect_output(far, conn, 40);
    remote_sent(&bench->conns, conn);
    bench_turn_end(bench);
    expect_output(far, conn, 0);
    cr_assert_eq(chunks_out(far), 0);
    far_close(far);
}

/* Too much queued makes its frames wait, and the end of a send lets them go on. */
Test(net_remote, makes_frames_wait_while_output_is_queued)
{
    struct far *far = far_open();
    struct bench *bench = far->bench;
    struct conn *conn = open_remote(far);

    for (uint32_t i = 0; i < bench->conns.options.out_chunks_per_conn + 1; i++)
        bench_put(bench, conn, 1024);
    lend(far, conn);
    cr_assert_null(conn_next(&bench->conns));
    cr_assert_eq(conn->place, CONN_PLACE_BLOCKED);
    lend(far, conn);
    bench_turn_end(bench);
    expect_output(far, conn, 1024 * (bench->conns.options.out_chunks_per_conn + 1));
    cr_assert_null(conn_next(&bench->conns));
    remote_sent(&bench->conns, conn);
    conn_frame_done(&bench->conns, expect_next(far, 0));
    conn_frame_done(&bench->conns, expect_next(far, 1));
    expect_returned(far, 0, 2);
    far_close(far);
}

/* In whichever place a connection stands when its home says that it is gone: its frames are given
 * back, its output is dropped, and its slot is free when the news of it has been taken. */
Test(net_remote, gives_everything_back_when_its_home_is_gone)
{
    for (int place = CONN_PLACE_NONE; place < CONN_PLACE_COUNT; place++) {
        if (place == CONN_PLACE_PARTIAL)
            continue; /* A lent frame is whole. */
        struct far *far = far_open();
        struct bench *bench = far->bench;
        struct conn *conn = open_remote(far);
        net_id id = conn->id;
        uint32_t frames = place == CONN_PLACE_NONE ? 0 : 3;
        for (uint32_t i = 0; i < frames; i++)
            lend(far, conn);
        for (uint32_t i = 0; i < (place == CONN_PLACE_BLOCKED ? 5 : 1); i++)
            bench_put(bench, conn, 1024);
        if (place == CONN_PLACE_STALLED)
            conn_stall(&bench->conns, conn_next(&bench->conns));
        if (place == CONN_PLACE_BLOCKED)
            cr_assert_null(conn_next(&bench->conns));
        cr_assert_eq(conn->place, place);
        if (place == CONN_PLACE_READY)
            bench_turn_end(bench); /* taken for a send, but not given away */
        remote_gone(&bench->conns, conn);
        conns_check(&bench->conns);
        expect_returned(far, 0, frames);
        cr_assert_eq(chunks_out(far), 0);
        expect_output(far, conn, 0);
        cr_assert_eq(conn->state, CONN_ENDED);
        cr_assert_eq(conn->reason, NET_CLOSE_PEER);
        cr_assert(bench_told(bench, conn));
        cr_assert_eq(conn->state, CONN_FREE);
        cr_assert_null(conn_find(&bench->conns, id));
        cr_assert_eq(bench->counters.v[COUNTER_connections_remote], 0);
        far_close(far);
    }
}

/* A send that was given away when the home says gone keeps its memory, and the slot, until the home
 * is done with it; nothing further is given away. */
Test(net_remote, keeps_what_is_being_sent)
{
    struct far *far = far_open();
    struct bench *bench = far->bench;
    struct conn *conn = open_remote(far);

    bench_put(bench, conn, 24);
    bench_turn_end(bench);
    expect_output(far, conn, 24);
    bench_put(bench, conn, 40);
    remote_gone(&bench->conns, conn);
    remote_gone(&bench->conns, conn);
    cr_assert_eq(conn->state, CONN_CLOSING);
    cr_assert(bench_told(bench, conn), "the user learns of it at once");
    cr_assert_eq(chunks_out(far), 1);
    open_remote(far);
    cr_assert_null(remote_open(&bench->conns), "its slot is not free yet");
    cr_assert_eq(bench->counters.v[COUNTER_connections_remote_shed], 1);
    bench_turn_end(bench);
    expect_output(far, conn, 0);
    remote_sent(&bench->conns, conn);
    cr_assert_eq(chunks_out(far), 0);
    cr_assert_eq(conn->state, CONN_FREE);
    cr_assert_eq(open_remote(far), conn);
    far_close(far);
}

/* An orderly close gives frames back at once, lets the output leave, and then ends as the broker's;
 * frames that arrive meanwhile are given back too. */
Test(net_remote, drains_its_output)
{
    struct far *far = far_open();
    struct bench *bench = far->bench;
    struct conn *conn = open_remote(far);

    lend(far, conn);
    bench_put(bench, conn, 24);
    bench_turn_end(bench);
    expect_output(far, conn, 24);
    bench_put(bench, conn, 40);
    conn_drain(&bench->conns, conn, NET_CLOSE_BROKER, false);
    expect_returned(far, 0, 1);
    lend(far, conn);
    expect_returned(far, 1, 1);
    bench_turn_end(bench);
    remote_sent(&bench->conns, conn);
    bench_turn_end(bench);
    expect_output(far, conn, 40);
    cr_assert_eq(conn->state, CONN_DRAINING);
    bench_turn_end(bench);
    cr_assert_eq(conn->state, CONN_DRAINING);
    remote_sent(&bench->conns, conn);
    bench_turn_end(bench);
    cr_assert_eq(conn->state, CONN_ENDED);
    cr_assert_eq(conn->reason, NET_CLOSE_BROKER);
    lend(far, NULL);
    expect_returned(far, 2, 1);
    far_close(far);
}

/* Gone while it drains: it ends at once, with the reason why it was draining. */
Test(net_remote, keeps_the_first_reason)
{
    struct far *far = far_open();
    struct bench *bench = far->bench;
    struct conn *conn = open_remote(far);

    bench_put(bench, conn, 24);
    conn_drain(&bench->conns, conn, NET_CLOSE_BROKER, false);
    remote_gone(&bench->conns, conn);
    cr_assert_eq(conn->state, CONN_ENDED);
    cr_assert_eq(conn->reason, NET_CLOSE_BROKER);
    cr_assert_eq(chunks_out(far), 0);
    far_close(far);
}

/* Closed while its frame is out: all its frames are given back when that one is done with. */
Test(net_remote, keeps_a_frame_that_is_out_while_closing)
{
    struct far *far = far_open();
    struct bench *bench = far->bench;
    struct conn *conn = open_remote(far);

    lend(far, conn);
    lend(far, conn);
    expect_next(far, 0);
    conn_drain(&bench->conns, conn, NET_CLOSE_BROKER, true);
    expect_returned(far, 0, 0);
    conn_frame_done(&bench->conns, conn);
    expect_returned(far, 0, 2);
    bench_turn_end(bench);
    cr_assert_eq(conn->state, CONN_ENDED);
    far_close(far);
}

/* The end of a send that was not given away is a bug of the caller. */
Test(net_remote, aborts_when_a_send_ends_that_was_not_given_away, .signal = SIGABRT)
{
    struct far *far = far_open();
    struct conn *conn = open_remote(far);

    bench_put(far->bench, conn, 24);
    bench_turn_end(far->bench);
    remote_sent(&far->bench->conns, conn);
}
