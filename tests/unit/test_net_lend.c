/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/lend.h: a lent frame keeps its bytes, and exactly the buffers they lie in, until it is
 * back, whatever its neighbours and its connection do meanwhile.
 */
#include "broker/net/lend.h"

#include "broker/net/timeout.h"
#include "tests/support/net_bench.h"

#include <errno.h>
#include <signal.h>

#include <criterion/criterion.h>

#define LENTS 160u /* 10 of one connection */
#define BUFFERS 64u

static struct bench *bench_lending_with(uint32_t lents_max, uint32_t buffers)
{
    struct net_options options = bench_options();

    options.lents_max = lents_max;
    options.spill_count = 2;
    return bench_open_with(&options, buffers);
}

static struct bench *bench_lending(void)
{
    return bench_lending_with(LENTS, BUFFERS);
}

static struct conn *accept_admitted(struct bench *bench, env_conn handle)
{
    struct conn *conn = bench_accept(bench, handle);

    conn_admit(&bench->conns, conn);
    return conn;
}

/* A frame is stepped over like any other, is read where it was received, and its buffer goes back
 * with it and not before. */
Test(net_lend, keeps_a_buffer_until_the_frame_is_back)
{
    struct bench *bench = bench_lending();
    struct conn *conn = accept_admitted(bench, 0);
    uint8_t data[256];
    uint32_t first = fake_frame(data, 100, 7);

    fake_frame(data + first, 60, 8);
    bench_receive(bench, 0, data, first + XD_FRAME_HEADER_BYTES + 60);
    struct net_lent *lent = bench_lend(bench);
    cr_assert_eq(lent->conn, conn->id);
    cr_assert_eq(conn->inbox.head.length, 60, "the next frame is first");
    cr_assert_eq(conn_next(&bench->conns), conn);
    conn_frame_done(&bench->conns, conn);
    cr_assert_eq(conn->inbox.bytes, 0);
    cr_assert_eq(bench->fake.lent_count, 1);
    bench_expect_lent(lent, 100, 7);
    bench_lent_return(bench, lent);
    cr_assert_eq(bench->fake.lent_count, 0);
    cr_assert_eq(bench->counters.v[COUNTER_frames_lent], 1);
    cr_assert_eq(bench->counters.v[COUNTER_frames_received], 2);
    bench_close(bench);
}

/* Three frames over three buffers, the middle one in all of them: each of the buffers is back as
 * soon as the last frame in it is, for every sequence of returns, and for every choice of which
 * frames are lent and which are read at home. */
Test(net_lend, gives_each_buffer_back_with_its_last_frame)
{
    static const uint8_t orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const uint8_t frames_of[3] = {0x3, 0x2, 0x6}; /* bits: frames in the buffer */
    static const uint32_t lengths[3] = {50, 300, 70};
    uint8_t data[512];
    uint32_t bytes = 0;

    for (uint32_t i = 0; i < 3; i++)
        bytes += fake_frame(data + bytes, lengths[i], i);
    for (uint32_t choice = 0; choice < 8; choice++) {
        for (uint32_t order = 0; order < 6; order++) {
            struct bench *bench = bench_lending();
            struct net_lent *lents[3] = {NULL};
            accept_admitted(bench, 0);
            bench_receive(bench, 0, data, 150);
            bench_receive(bench, 0, data + 150, 100);
            bench_receive(bench, 0, data + 250, bytes - 250);
            for (uint32_t i = 0; i < 3; i++) {
                if (choice & 1u << i)
                    lents[i] = bench_lend(bench);
                else
                    conn_frame_done(&bench->conns, conn_next(&bench->conns));
            }
            uint32_t out = choice;
            for (uint32_t i = 0; i <= 3; i++) {
                uint32_t expected = 0;
                for (uint32_t b = 0; b < 3; b++)
                    expected += (frames_of[b] & out) != 0;
                cr_assert_eq(bench->fake.lent_count, expected, "choice %u order %u at %u", choice,
                             order, i);
                if (i == 3)
                    break;
                uint32_t next = orders[order][i];
                if (lents[next] == NULL)
                    continue;
                bench_expect_lent(lents[next], lengths[next], next);
                bench_lent_return(bench, lents[next]);
                out &= ~(1u << next);
            }
            bench_close(bench);
        }
    }
}

/* A buffer with unread bytes stays when its lent frames are back, and goes when it is read. */
Test(net_lend, leaves_unread_bytes_in_their_buffer)
{
    struct bench *bench = bench_lending();
    uint8_t data[256];
    uint32_t first = fake_frame(data, 100, 1);
    uint32_t second = fake_frame(data + first, 50, 2);

    accept_admitted(bench, 0);
    bench_receive(bench, 0, data, first + second - 1);
    bench_lent_return(bench, bench_lend(bench));
    cr_assert_eq(bench->fake.lent_count, 1);
    bench_receive(bench, 0, data + first + second - 1, 1);
    struct net_lent *lent = bench_lend(bench);
    cr_assert_eq(lent->piece_count, 2);
    bench_expect_lent(lent, 50, 2);
    bench_lent_return(bench, lent);
    cr_assert_eq(bench->fake.lent_count, 0);
    bench_close(bench);
}

/* What has no payload keeps no buffer, and neither does a header that lies in one of its own. */
Test(net_lend, keeps_nothing_for_headers)
{
    struct bench *bench = bench_lending();
    uint8_t data[128];

    accept_admitted(bench, 0);
    bench_receive(bench, 0, data, fake_frame(data, 0, 3));
    struct net_lent *empty = bench_lend(bench);
    cr_assert_eq(empty->piece_count, 0);
    cr_assert_eq(bench->fake.lent_count, 0);
    fake_frame(data, 40, 4);
    bench_receive(bench, 0, data, XD_FRAME_HEADER_BYTES);
    bench_receive(bench, 0, data + XD_FRAME_HEADER_BYTES, 40);
    struct net_lent *lent = bench_lend(bench);
    cr_assert_eq(bench->fake.lent_count, 1);
    bench_expect_lent(empty, 0, 3);
    bench_expect_lent(lent, 40, 4);
    bench_lent_return(bench, lent);
    bench_lent_return(bench, empty);
    bench_close(bench);
}

/* A frame whose front was spilled keeps the chunk; bytes spilled behind it into the same chunk do
 * not disturb it, and the chunk is back when both are done with. */
Test(net_lend, keeps_spill_chunks_too)
{
    struct bench *bench = bench_lending();
    struct conn *conn = accept_admitted(bench, 0);
    uint32_t chunks = pool_free_count(&bench->conns.assemble.chunks);
    uint8_t data[512];
    uint32_t first = fake_frame(data, 200, 5);

    fake_frame(data + first, 100, 6);
    bench_receive(bench, 0, data, first - 20);
    cr_assert(inbox_spill(&bench->conns.assemble, &conn->inbox, 0));
    bench_receive(bench, 0, data + first - 20, 20 + 40);
    cr_assert(inbox_spill(&bench->conns.assemble, &conn->inbox, 0));
    cr_assert_eq(bench->fake.lent_count, 0);
    struct net_lent *lent = bench_lend(bench);
    cr_assert_eq(bench->conns.lend.chunk_count, 1);
    bench_receive(bench, 0, data + first + 40, XD_FRAME_HEADER_BYTES + 60 - 1);
    cr_assert(inbox_spill(&bench->conns.assemble, &conn->inbox, 0));
    bench_expect_lent(lent, 200, 5);
    bench_receive(bench, 0, data + first + XD_FRAME_HEADER_BYTES + 99, 1);
    struct net_lent *behind = bench_lend(bench);
    bench_expect_lent(behind, 100, 6);
    bench_lent_return(bench, lent);
    cr_assert_eq(pool_free_count(&bench->conns.assemble.chunks), chunks - 1);
    bench_lent_return(bench, behind);
    cr_assert_eq(pool_free_count(&bench->conns.assemble.chunks), chunks);
    cr_assert_eq(bench->fake.lent_count, 0);
    bench_close(bench);
}

/* A connection ends while frames of it are lent: their buffers stay, its slot is used again, and
 * the return of the old frames changes nothing for the new one. */
Test(net_lend, keeps_frames_over_the_end_of_their_connection)
{
    struct bench *bench = bench_lending();
    struct conn *conn = accept_admitted(bench, 0);
    net_id id = conn->id;
    struct net_lent *lents[2];

    for (uint32_t i = 0; i < 2; i++) {
        bench_receive_frame(bench, 0, 64 * 1024);
        lents[i] = bench_lend(bench);
    }
    bench_receive_frame(bench, 0, 8);
    conn_abort(&bench->conns, conn, NET_CLOSE_ERROR, -ECONNRESET);
    cr_assert_eq(bench->fake.lent_count, 2, "what is not lent went back");
    bench_lent_return(bench, lents[0]);
    bench_finish(bench, 0);
    cr_assert(bench_told(bench, conn));
    for (env_conn handle = 1; conn->state == CONN_FREE; handle++)
        accept_admitted(bench, handle); /* Freed slots are used last. */
    cr_assert_neq(conn->id, id);
    bench_receive_frame(bench, conn->handle, 64 * 1024);
    struct net_lent *young = bench_lend(bench);
    bench_expect_lent(lents[1], 64 * 1024, 0);
    bench_lent_return(bench, lents[1]);
    cr_assert_eq(conn->away_bytes, XD_FRAME_HEADER_BYTES + 64 * 1024);
    cr_assert_eq(conn->inbox.kept_count, 1);
    bench_lent_return(bench, young);
    cr_assert_eq(bench->fake.lent_count, 0);
    bench_close(bench);
}

/* A peer that has finished sending is served to the end: its connection stays until the last lent
 * frame is back, and what was queued until then still leaves. */
Test(net_lend, waits_for_lent_frames_at_the_end_of_the_peer)
{
    struct bench *bench = bench_lending();
    struct conn *conn = accept_admitted(bench, 0);
    uint8_t data[128];
    struct net_lent *lents[2];

    for (uint32_t i = 0; i < 2; i++) {
        bench_receive_frame(bench, 0, 100);
        lents[i] = bench_lend(bench);
    }
    bench_receive(bench, 0, data, fake_frame(data, 100, 1) - 1);
    bench_recv_end(bench, 0, 0);
    cr_assert_eq(conn->state, CONN_OPEN);
    cr_assert_eq(timeout_next_ns(&bench->conns), UINT64_MAX);
    bench_lent_return(bench, lents[0]);
    cr_assert_eq(conn->state, CONN_OPEN);
    bench_put(bench, conn, 24);
    bench_lent_return(bench, lents[1]);
    cr_assert_eq(conn->state, CONN_DRAINING);
    bench_turn_end(bench);
    cr_assert_eq(fake_send_bytes(&bench->fake, 0), 24);
    bench_sent(bench, 0, INT32_MIN);
    bench_turn_end(bench);
    cr_assert(bench->fake.conns[0].closing);
    cr_assert_eq(conn->reason, NET_CLOSE_PEER);
    bench_close(bench);
}

/* A connection that was closed while its frame was out lends nothing: the frame is dropped. */
Test(net_lend, refuses_a_closed_connection)
{
    struct bench *bench = bench_lending();
    struct conn *conn = accept_admitted(bench, 0);

    bench_receive_frame(bench, 0, 8);
    cr_assert_eq(conn_next(&bench->conns), conn);
    conn_drain(&bench->conns, conn, NET_CLOSE_BROKER, true);
    cr_assert_null(conn_lend(&bench->conns, conn));
    conn_stall(&bench->conns, conn);
    cr_assert_eq(bench->fake.lent_count, 0);
    bench_close(bench);
}

/* An arena that is too small is refused. */
Test(net_lend, says_when_the_arena_is_too_small)
{
    const struct lend_limits limits = {.frames_max = 100,
                                       .buffers_max = 4,
                                       .chunks_max = 4,
                                       .conn_frames_max = 4,
                                       .conn_bytes_max = 4,
                                       .conn_buffers_max = 4};
    uint64_t bytes = lend_bytes_needed(100, 50);
    void *memory = malloc(bytes);
    struct arena arena;
    struct lend lend;

    arena_init(&arena, memory, bytes / 2);
    cr_assert_eq(lend_init(&lend, &arena, 50, &limits), -ENOMEM);
    arena_init(&arena, memory, bytes);
    cr_assert_eq(lend_init(&lend, &arena, 50, &limits), 0);
    cr_assert_eq(lend_bytes_needed(0, 50), 0);
    pool_deinit(&lend.frames);
    pool_deinit(&lend.pieces);
    free(memory);
}

/* A lent frame that stands in a list of another module is not back; returning it is a bug. */
Test(net_lend, aborts_when_a_queued_frame_is_returned, .signal = SIGABRT)
{
    struct bench *bench = bench_lending();
    struct list queue;

    list_init(&queue);
    accept_admitted(bench, 0);
    bench_receive_frame(bench, 0, 8);
    struct net_lent *lent = bench_lend(bench);
    list_push_back(&queue, &lent->node);
    conns_lent_return(&bench->conns, lent);
}
