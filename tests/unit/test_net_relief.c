/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/relief.h: scarce receive buffers come back by copying first and by closing last, and
 * who wanted to receive does so as soon as there is a buffer.
 */
#include "broker/net/relief.h"

#include "tests/support/net_bench.h"

#include <errno.h>

#include <criterion/criterion.h>

#define BUFFERS 16u

static struct bench *bench_tight(void)
{
    struct net_options options = bench_options();

    options.connections_max = 32;
    options.frame_bytes_max = 3 * SPILL_CHUNK_BYTES - XD_FRAME_HEADER_BYTES; /* 4 chunks in all */
    return bench_open_with(&options, BUFFERS);
}

/* The connection holds a buffer with the first `bytes` of a frame. */
static struct conn *partial(struct bench *bench, env_conn handle, uint32_t bytes)
{
    static uint8_t data[4 * SPILL_CHUNK_BYTES];
    struct conn *conn = bench_accept(bench, handle);

    conn_admit(&bench->conns, conn);
    fake_frame(data, 2 * SPILL_CHUNK_BYTES, 1);
    bench_receive(bench, handle, data, bytes);
    return conn;
}

/* With enough buffers free nothing is copied. */
Test(net_relief, copies_nothing_without_need)
{
    struct bench *bench = bench_tight();

    for (env_conn i = 0; i < (env_conn)(BUFFERS * 3 / 4); i++)
        partial(bench, i, 100);
    bench_turn_end(bench);
    cr_assert_eq(bench->fake.lent_count, BUFFERS * 3 / 4);
    cr_assert_eq(bench->conns.assemble.spilled_bytes, 0);
    bench_close(bench);
}

/* Below a quarter the oldest partial frame is copied, and no more than needed. */
Test(net_relief, spills_the_oldest_partial_frame_first)
{
    struct bench *bench = bench_tight();

    for (env_conn i = 0; i < (env_conn)(BUFFERS * 3 / 4 + 1); i++)
        partial(bench, i, 100);
    bench_turn_end(bench);
    cr_assert_eq(bench->fake.lent_count, BUFFERS * 3 / 4);
    cr_assert_eq(bench->conns.assemble.spilled_bytes, 100);
    cr_assert_eq(bench_conn(bench, 0)->inbox.lent_count, 0);
    cr_assert_eq(bench_conn(bench, 1)->inbox.lent_count, 1);
    bench_close(bench);
}

/* With spill memory used up connections live on as long as a buffer is free; with none free the
 * oldest partial frame goes, and only that. */
Test(net_relief, closes_the_oldest_partial_frame_last)
{
    struct bench *bench = bench_tight();
    env_conn handle = 0;

    while (bench->fake.lent_count < BUFFERS - 1) {
        partial(bench, handle++, 100);
        bench_turn_end(bench);
    }
    cr_assert_eq(pool_free_count(&bench->conns.assemble.chunks), 0);
    cr_assert_eq(bench->conns.count, (uint32_t)handle, "nobody had to go");
    partial(bench, handle++, 100);
    bench_turn_end(bench);
    cr_assert(bench->fake.conns[0].closing);
    cr_assert_eq(bench->conns.table[0].reason, NET_CLOSE_SHED);
    cr_assert_eq(bench->conns.table[0].cause, -ENOBUFS);
    for (env_conn i = 1; i < handle; i++)
        cr_assert_not(bench->fake.conns[i].closing);
    cr_assert_eq(bench->fake.lent_count, BUFFERS - 1, "its chunk took the next one's bytes");
    bench_close(bench);
}

/* Frames that only have to be read bring buffers back: nobody goes for want of them. */
Test(net_relief, closes_nobody_while_frames_can_be_read)
{
    struct bench *bench = bench_tight();

    for (env_conn i = 0; i < 8; i++)
        partial(bench, i, SPILL_CHUNK_BYTES);
    for (env_conn i = 8; i < 16; i++) {
        bench_accept(bench, i);
        bench_receive_frame(bench, i, 16);
    }
    bench_turn_end(bench);
    for (struct conn *conn; (conn = conn_next(&bench->conns)) != NULL;)
        conn_stall(&bench->conns, conn);
    while (bench->fake.lent_count < BUFFERS)
        bench_receive(bench, (env_conn)(bench->fake.lent_count % 4), "x", 1);
    bench_turn_end(bench);
    for (env_conn i = 0; i < 16; i++)
        cr_assert_not(bench->fake.conns[i].closing);
    conns_unstall(&bench->conns);
    for (struct conn *conn; (conn = conn_next(&bench->conns)) != NULL;)
        conn_frame_done(&bench->conns, conn);
    cr_assert_gt(env_buffers_free(&bench->fake.env), 4);
    bench_close(bench);
}

/* Waiting frames are copied too, but leave half of the spill memory to partial ones, and their
 * connections stop receiving. */
Test(net_relief, spills_waiting_frames_into_half_of_the_memory)
{
    struct bench *bench = bench_tight();

    for (env_conn i = 0; i < (env_conn)BUFFERS; i++) {
        bench_accept(bench, i);
        bench_receive_frame(bench, i, 100);
        conn_stall(&bench->conns, conn_next(&bench->conns));
    }
    bench_turn_end(bench);
    cr_assert_eq(pool_free_count(&bench->conns.assemble.chunks), 2);
    cr_assert_eq(bench->fake.lent_count, BUFFERS - 2);
    for (env_conn i = 0; i < (env_conn)BUFFERS; i++)
        cr_assert_eq(bench->fake.conns[i].stop_count, 1);
    bench_close(bench);
}

/* Hands out every frame that can be. */
static void read_all(struct bench *bench)
{
    for (struct conn *conn; (conn = conn_next(&bench->conns)) != NULL;)
        conn_frame_done(&bench->conns, conn);
    conns_check(&bench->conns);
}

/* Memory is so scarce that no chunk is left, and one buffer. Handles from `first` on are used. */
static env_conn make_scarce(struct bench *bench, env_conn first)
{
    env_conn handle = first;

    while (bench->fake.lent_count < BUFFERS - 1) {
        partial(bench, handle++, 100);
        bench_turn_end(bench);
    }
    cr_assert_eq(pool_free_count(&bench->conns.assemble.chunks), 0);
    return handle;
}

/* While memory is scarce a connection that sends long frames is not read from behind the end of
 * one, whether its receive was armed or not; one that sends short ones is. It goes on when memory
 * is back. */
Test(net_relief, holds_senders_of_long_frames_between_two)
{
    struct bench *bench = bench_tight();
    struct conn *bulk = bench_accept(bench, 0), *small = bench_accept(bench, 1);

    conn_admit(&bench->conns, bulk);
    conn_admit(&bench->conns, small);
    env_conn end = make_scarce(bench, 2);
    cr_assert_eq(bench->conns.memory, NET_MEMORY_THROTTLED);
    cr_assert_eq(bench->counters.v[COUNTER_memory_throttles], 1);

    bench_receive_frame(bench, 1, CONN_BULK_BYTES);
    read_all(bench);
    cr_assert_eq(bench->fake.conns[1].stop_count, 0);
    bench_receive_frame(bench, 0, CONN_BULK_BYTES + 1);
    read_all(bench);
    cr_assert_eq(bench->fake.conns[0].stop_count, 1);
    bench_recv_end(bench, 0, -ECANCELED);
    cr_assert_eq(bulk->recv, CONN_RECV_HELD);
    bench_turn_end(bench);
    cr_assert_eq(bulk->recv, CONN_RECV_HELD);
    cr_assert_eq(bench->fake.conns[0].arm_count, 1);

    for (env_conn handle = end - 4; handle < end; handle++)
        conn_abort(&bench->conns, bench_conn(bench, handle), NET_CLOSE_ERROR, -EIO);
    bench_turn_end(bench);
    cr_assert_eq(bench->conns.memory, NET_MEMORY_NORMAL);
    cr_assert_eq(bulk->recv, CONN_RECV_ARMED);
    cr_assert_eq(bench->fake.conns[0].arm_count, 2);
    bench_close(bench);
}

/* A frame that has begun is received to its end, however scarce memory is, and an end of the
 * connection by the broker is heard. */
Test(net_relief, holds_nobody_within_a_frame)
{
    static uint8_t data[2 * (XD_FRAME_HEADER_BYTES + CONN_BULK_BYTES + 1)];
    struct bench *bench = bench_tight();
    struct conn *bulk = bench_accept(bench, 0);
    uint32_t bytes = fake_frame(data, CONN_BULK_BYTES + 1, 1);

    conn_admit(&bench->conns, bulk);
    (void)fake_frame(data + bytes, CONN_BULK_BYTES + 1, 2);
    make_scarce(bench, 1);
    bench_receive(bench, 0, data, bytes + 10);
    read_all(bench);
    cr_assert_eq(bulk->place, CONN_PLACE_PARTIAL);
    cr_assert_eq(bench->fake.conns[0].stop_count, 0);
    bench_turn_end(bench);
    cr_assert_eq(bench->fake.conns[0].stop_count, 0);
    cr_assert(bench->fake.conns[1].closing, "the oldest went");
    cr_assert_neq(bench->conns.memory, NET_MEMORY_NORMAL);
    bench_receive(bench, 0, data + bytes + 10, bytes - 10);
    read_all(bench);
    cr_assert_eq(bench->fake.conns[0].stop_count, 1);
    bench_recv_end(bench, 0, -ECANCELED);
    cr_assert_eq(bulk->recv, CONN_RECV_HELD);
    conn_drain(&bench->conns, bulk, NET_CLOSE_BROKER, false);
    cr_assert_eq(bulk->recv, CONN_RECV_ARMED);
    bench_close(bench);
}

/* With no buffer left either connections are refused, but for unix sockets, until memory is back.
 */
Test(net_relief, refuses_connections_when_all_is_used)
{
    struct bench *bench = bench_tight();
    env_conn end = make_scarce(bench, 0), next = end + 1;

    bench->fake.conns[next].origin.family = ENV_FAMILY_IPV4;
    bench->fake.conns[next + 1].origin.family = ENV_FAMILY_UNIX;
    bench_accept(bench, end);
    bench_receive_frame(bench, end, 16);
    bench_turn_end(bench);
    cr_assert_eq(bench->conns.memory, NET_MEMORY_REFUSING);
    cr_assert_eq(bench->counters.v[COUNTER_memory_refusals], 1);
    cr_assert_eq(conn_open(&bench->conns, next), NET_REFUSED_MEMORY);
    bench_accept(bench, next + 1);

    read_all(bench);
    bench_turn_end(bench);
    cr_assert_eq(bench->conns.memory, NET_MEMORY_REFUSING, "one buffer is not enough");
    conn_abort(&bench->conns, bench_conn(bench, end - 1), NET_CLOSE_ERROR, -EIO);
    bench_turn_end(bench);
    cr_assert_eq(bench->conns.memory, NET_MEMORY_THROTTLED);
    cr_assert_eq(bench->counters.v[COUNTER_memory_throttles], 1, "on the way down nothing counts");
    cr_assert_eq(conn_open(&bench->conns, next), NET_TAKEN);
    bench_close(bench);
}

/* When nothing else is left, a peer that does not read its answers goes before one that sends. */
Test(net_relief, closes_who_does_not_read_before_who_sends)
{
    struct bench *bench = bench_tight();

    for (env_conn i = 0; i < (env_conn)BUFFERS - 4; i++)
        partial(bench, i, 100);
    for (env_conn i = (env_conn)BUFFERS - 4; i < (env_conn)BUFFERS; i++) {
        struct conn *conn = bench_accept(bench, i);
        for (uint32_t put = 0; put < 5; put++)
            bench_put(bench, conn, 1024);
        bench_receive_frame(bench, i, 100);
        cr_assert_null(conn_next(&bench->conns));
        cr_assert_eq(conn->place, CONN_PLACE_BLOCKED);
    }
    bench_turn_end(bench);
    cr_assert_eq(bench->fake.lent_count, BUFFERS - 4, "four partial frames were copied");
    for (env_conn i = 20; bench->fake.lent_count < BUFFERS; i++)
        partial(bench, i, 100);
    bench_turn_end(bench);
    cr_assert(bench->fake.conns[BUFFERS - 4].closing);
    cr_assert_eq(bench->conns.table[BUFFERS - 4].reason, NET_CLOSE_SHED);
    for (env_conn i = 0; i < (env_conn)BUFFERS - 4; i++)
        cr_assert_not(bench->fake.conns[i].closing);
    bench_close(bench);
}

/* A connection that found no buffer receives again at the end of a turn with a free one, the
 * longest waiting first, and never more of them than there are buffers. */
Test(net_relief, starts_as_many_as_there_are_buffers)
{
    struct bench *bench = bench_tight();

    for (env_conn i = 0; i < 20; i++)
        bench_accept(bench, i);
    for (env_conn i = 0; i < 20; i++)
        bench_recv_end(bench, i, -ENOBUFS);
    bench_turn_end(bench);
    for (env_conn i = 0; i < 20; i++)
        cr_assert_eq(bench->fake.conns[i].armed, i < (env_conn)BUFFERS, "connection %d", i);
    bench_turn_end(bench);
    for (env_conn i = 0; i < 20; i++)
        cr_assert(bench->fake.conns[i].armed);
    bench_close(bench);
}

/* Buffers in events that have not been delivered yet are not lost: nobody goes for want of them. */
Test(net_relief, waits_for_events_on_their_way)
{
    struct bench *bench = bench_tight();
    struct env_event events[2];

    for (env_conn i = 0; bench->fake.lent_count < BUFFERS - 2; i++) {
        partial(bench, i, 100);
        bench_turn_end(bench);
    }
    for (env_conn i = 0; i < 2; i++)
        events[i] = fake_received(&bench->fake, 10 + i, "x", 1);
    cr_assert_eq(env_buffers_free(&bench->fake.env), 0);
    bench_turn_end(bench);
    for (env_conn i = 0; i < 18; i++)
        cr_assert_not(bench->fake.conns[i].closing);
    for (env_conn i = 0; i < 2; i++)
        conn_received(&bench->conns, bench_conn(bench, 10 + i), &events[i]);
    bench_turn_end(bench);
    cr_assert(bench->fake.conns[0].closing);
    bench_close(bench);
}

/* A connection whose frames the user leaves unread over the end of a turn stops receiving as well.
 */
Test(net_relief, stops_who_is_left_unread)
{
    struct bench *bench = bench_tight();

    bench_accept(bench, 0);
    for (uint32_t i = 0; i < 5; i++)
        bench_receive_frame(bench, 0, 100);
    cr_assert_eq(bench->fake.conns[0].stop_count, 0);
    bench_turn_end(bench);
    cr_assert_eq(bench->fake.conns[0].stop_count, 1);
    bench_close(bench);
}

static struct bench *bench_tight_lending(void)
{
    struct net_options options = bench_options();

    options.connections_max = 32;
    options.frame_bytes_max = 3 * SPILL_CHUNK_BYTES - XD_FRAME_HEADER_BYTES; /* 4 chunks in all */
    options.lents_max = 32;
    options.remote_max = 2;
    return bench_open_with(&options, BUFFERS);
}

/* Half of the buffers are lent, on handles 0 to 7. */
static void lend_half(struct bench *bench, struct net_lent **ret_lents)
{
    for (env_conn i = 0; i < (env_conn)BUFFERS / 2; i++) {
        bench_accept(bench, i);
        bench_receive_frame(bench, i, 100);
        ret_lents[i] = bench_lend(bench);
    }
}

/* Buffers that only lent frames keep are not counted on: when all others hold partial frames and
 * spill memory is used up, the oldest partial frame goes, as if the lent ones never came back. */
Test(net_relief, does_not_count_on_lent_frames)
{
    struct bench *bench = bench_tight_lending();
    struct net_lent *lents[BUFFERS / 2];
    env_conn handle = 8;

    lend_half(bench, lents);
    while (bench->fake.lent_count < BUFFERS - 1) {
        partial(bench, handle++, 100);
        bench_turn_end(bench);
    }
    cr_assert_eq(bench->conns.count, (uint32_t)handle, "nobody had to go");
    partial(bench, handle++, 100);
    bench_turn_end(bench);
    cr_assert(bench->fake.conns[8].closing);
    cr_assert_eq(bench_conn(bench, 8)->reason, NET_CLOSE_SHED);
    for (env_conn i = 0; i < (env_conn)BUFFERS / 2; i++) {
        cr_assert_not(bench->fake.conns[i].closing);
        bench_expect_lent(lents[i], 100, (uint32_t)i);
        bench_lent_return(bench, lents[i]);
    }
    bench_close(bench);
}

/* Frames of another shard's connection bring no buffer back however many of them are ready. */
Test(net_relief, does_not_count_on_remote_connections)
{
    struct bench *bench = bench_tight_lending();
    struct net_lent *lents[BUFFERS / 2];
    env_conn handle = 8;

    lend_half(bench, lents);
    struct conn *remote = remote_open(&bench->conns);
    struct net_lent foreign = {.head = {.op = 1, .version = 1}};
    remote_frame(&bench->conns, remote, &foreign);
    cr_assert_eq(remote->place, CONN_PLACE_READY);
    while (handle < 20 && !bench->fake.conns[8].closing) {
        partial(bench, handle++, 100);
        bench_turn_end(bench);
    }
    cr_assert(bench->fake.conns[8].closing);
    cr_assert_eq(remote->state, CONN_OPEN);
    for (uint32_t i = 0; i < BUFFERS / 2; i++)
        bench_lent_return(bench, lents[i]);
    bench_close(bench);
}

/* The rest of a lent frame's buffer is not copied, for its buffer would not come back by that; and
 * its connection does not go, unless it holds something else. */
Test(net_relief, spares_who_shares_a_buffer_with_a_lent_frame)
{
    struct bench *bench = bench_tight_lending();
    uint8_t data[256];
    uint32_t first = fake_frame(data, 100, 0);
    struct net_lent *lents[BUFFERS / 2];

    fake_frame(data + first, 100, 1);
    for (env_conn i = 0; i < (env_conn)BUFFERS / 2; i++) {
        bench_accept(bench, i);
        bench_receive(bench, i, data, first + 20);
        lents[i] = bench_lend(bench);
    }
    for (env_conn i = 8; i < 20 && !bench->fake.conns[8].closing; i++) {
        partial(bench, i, 100);
        bench_turn_end(bench);
    }
    for (env_conn i = 0; i < (env_conn)BUFFERS / 2; i++) {
        cr_assert_not(bench->fake.conns[i].closing);
        cr_assert_eq(bench_conn(bench, i)->inbox.lent_count, 1, "not copied");
    }
    cr_assert(bench->fake.conns[8].closing);
    for (uint32_t i = 0; i < BUFFERS / 2; i++)
        bench_lent_return(bench, lents[i]);
    bench_close(bench);
}

/* A waiting frame that lies in one buffer with a lent one does not bring that back when it is read:
 * neither is it counted on, nor does its connection go for it. */
Test(net_relief, does_not_count_on_buffers_shared_with_lent_frames)
{
    for (int blocked = 0; blocked < 2; blocked++) {
        struct bench *bench = bench_tight_lending();
        uint8_t data[256];
        uint32_t bytes = fake_frame(data, 100, 0);
        struct net_lent *lents[BUFFERS / 2];

        bytes += fake_frame(data + bytes, 50, 1);
        for (env_conn i = 0; i < (env_conn)BUFFERS / 2; i++) {
            struct conn *conn = bench_accept(bench, i);
            bench_receive(bench, i, data, bytes);
            lents[i] = bench_lend(bench);
            for (uint32_t put = 0; blocked && i == 0 && put < 5; put++)
                bench_put(bench, conn, 1024);
            if (blocked && i == 0)
                cr_assert_null(conn_next(&bench->conns));
            else
                conn_stall(&bench->conns, conn_next(&bench->conns));
        }
        for (env_conn i = 8; i < 20 && !bench->fake.conns[8].closing; i++) {
            partial(bench, i, 100);
            bench_turn_end(bench);
        }
        cr_assert(bench->fake.conns[8].closing);
        for (env_conn i = 0; i < (env_conn)BUFFERS / 2; i++)
            cr_assert_not(bench->fake.conns[i].closing);
        for (uint32_t i = 0; i < BUFFERS / 2; i++)
            bench_lent_return(bench, lents[i]);
        bench_close(bench);
    }
}
