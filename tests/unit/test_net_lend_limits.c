/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/lend.h: how much may be lent, of one connection and in all, and that what is refused
 * goes on when something has come back.
 */
#include "broker/net/lend.h"

#include "tests/support/net_bench.h"

#include <errno.h>

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

/* The frame that is next is refused and stalled. */
static void expect_refusal(struct bench *bench)
{
    struct conn *conn = conn_next(&bench->conns);
    uint64_t refused = bench->counters.v[COUNTER_frames_lend_refused];

    cr_assert_not_null(conn);
    cr_assert_null(conn_lend(&bench->conns, conn));
    cr_assert_eq(bench->counters.v[COUNTER_frames_lend_refused], refused + 1);
    conn_stall(&bench->conns, conn);
    conns_check(&bench->conns);
}

/* Of one connection 256 KiB may be lent; the frame above that waits until some is back. Another
 * connection is not concerned. */
Test(net_lend, limits_the_bytes_of_a_connection)
{
    struct bench *bench = bench_lending();
    struct net_lent *lents[3];

    accept_admitted(bench, 0);
    accept_admitted(bench, 1);
    for (uint32_t i = 0; i < 3; i++) {
        bench_receive_frame(bench, 0, 64 * 1024);
        lents[i] = bench_lend(bench);
    }
    bench_receive_frame(bench, 0, 64 * 1024);
    expect_refusal(bench); /* four payloads fit, but not four headers */
    bench_receive_frame(bench, 1, 64 * 1024);
    bench_lent_return(bench, bench_lend(bench));
    bench_lent_return(bench, lents[1]);
    conns_unstall(&bench->conns);
    lents[1] = bench_lend(bench);
    for (uint32_t i = 0; i < 3; i++)
        bench_lent_return(bench, lents[i]);
    bench_close(bench);
}

/* Many small receives: a connection may keep only so many buffers, however few bytes are in them,
 * and then receives no further. */
Test(net_lend, limits_the_buffers_of_a_connection)
{
    struct bench *bench = bench_lending();
    struct net_lent *lents[LENTS];
    uint32_t count = 0;

    accept_admitted(bench, 0);
    for (; count < bench->conns.held_buffers_max; count++) {
        bench_receive_frame(bench, 0, 8);
        lents[count] = bench_lend(bench);
    }
    cr_assert_eq(bench->fake.conns[0].stop_count, 0);
    bench_receive_frame(bench, 0, 8);
    expect_refusal(bench);
    cr_assert_eq(bench->fake.conns[0].stop_count, 1);
    bench_lent_return(bench, lents[--count]);
    conns_unstall(&bench->conns);
    lents[count++] = bench_lend(bench);
    while (count > 0)
        bench_lent_return(bench, lents[--count]);
    bench_close(bench);
}

/* Of all connections half of the receive buffers may be lent, and a buffer counts once however many
 * frames lie in it. */
Test(net_lend, limits_the_buffers_in_all)
{
    struct bench *bench = bench_lending_with(LENTS, 8);
    struct net_lent *lents[LENTS];
    uint32_t count = 0;
    uint8_t data[256];
    uint32_t bytes = 0;

    for (uint32_t i = 0; i < 5; i++)
        bytes += fake_frame(data + bytes, 8, i);
    for (env_conn handle = 0; handle < 4; handle++) {
        accept_admitted(bench, handle);
        bench_receive(bench, handle, data, bytes);
        while (count < 5u * ((uint32_t)handle + 1))
            lents[count++] = bench_lend(bench);
    }
    cr_assert_eq(bench->conns.lend.buffer_count, 4);
    accept_admitted(bench, 4);
    bench_receive_frame(bench, 4, 8);
    expect_refusal(bench);
    for (uint32_t i = 0; i < 5; i++) {
        conns_unstall(&bench->conns);
        expect_refusal(bench);
        bench_lent_return(bench, lents[--count]);
    }
    conns_unstall(&bench->conns);
    lents[count++] = bench_lend(bench);
    while (count > 0)
        bench_lent_return(bench, lents[--count]);
    bench_close(bench);
}

/* Half of the spill memory may be lent; one frame alone may lie in more than any limit allows, else
 * it would wait for ever. */
Test(net_lend, limits_the_chunks_in_all)
{
    struct net_options options = bench_options();
    static uint8_t data[64 * 1024];
    struct net_lent *lent;

    options.lents_max = LENTS;
    options.spill_count = 1;
    struct bench *bench = bench_open_with(&options, BUFFERS);
    struct conn *big = accept_admitted(bench, 0);
    struct conn *small = accept_admitted(bench, 1);
    uint32_t bytes = fake_frame(data, 12 * SPILL_CHUNK_BYTES, 0);

    bench_receive(bench, 0, data, bytes - 1);
    cr_assert(inbox_spill(&bench->conns.assemble, &big->inbox, 0));
    bench_receive(bench, 0, data + bytes - 1, 1);
    lent = bench_lend(bench);
    cr_assert_gt(bench->conns.lend.chunk_count, bench->conns.lend.limits.chunks_max);
    bytes = fake_frame(data, 100, 0);
    bench_receive(bench, 1, data, bytes - 1);
    cr_assert(inbox_spill(&bench->conns.assemble, &small->inbox, 0));
    bench_receive(bench, 1, data + bytes - 1, 1);
    expect_refusal(bench);
    bench_lent_return(bench, lent);
    conns_unstall(&bench->conns);
    bench_lent_return(bench, bench_lend(bench));
    bench_close(bench);
}

/* Of one connection a sixteenth of the frames may be lent, however small they are. */
Test(net_lend, limits_the_frames_of_a_connection)
{
    struct bench *bench = bench_lending();
    struct net_lent *lents[LENTS / 16 + 1];
    uint8_t data[1024];
    uint32_t bytes = 0;

    for (uint32_t i = 0; i <= LENTS / 16; i++)
        bytes += fake_frame(data + bytes, 8, i);
    accept_admitted(bench, 0);
    accept_admitted(bench, 1);
    bench_receive(bench, 0, data, bytes);
    for (uint32_t i = 0; i < LENTS / 16; i++)
        lents[i] = bench_lend(bench);
    expect_refusal(bench);
    bench_receive_frame(bench, 1, 8);
    bench_lent_return(bench, bench_lend(bench));
    bench_lent_return(bench, lents[0]);
    conns_unstall(&bench->conns);
    lents[0] = bench_lend(bench);
    for (uint32_t i = 0; i < LENTS / 16; i++)
        bench_lent_return(bench, lents[i]);
    bench_close(bench);
}

/* As many frames as there are elements, and none when there are no elements. */
Test(net_lend, limits_the_frames)
{
    struct net_lent *lents[3];

    for (uint32_t max = 0; max <= 3; max += 3) {
        struct bench *bench = bench_lending_with(max, BUFFERS);
        uint8_t data[256];
        uint32_t bytes = 0;
        for (uint32_t i = 0; i <= max; i++)
            bytes += fake_frame(data + bytes, 8, i);
        accept_admitted(bench, 0);
        bench_receive(bench, 0, data, bytes);
        for (uint32_t i = 0; i < max; i++)
            lents[i] = bench_lend(bench);
        expect_refusal(bench);
        for (uint32_t i = 0; i < max; i++)
            bench_lent_return(bench, lents[i]);
        bench_close(bench);
    }
}

/* Lent bytes count like unread ones: a connection that has both stops receiving at 256 KiB together
 * and receives again when enough is back. */
Test(net_lend, counts_lent_bytes_before_receiving_more)
{
    struct bench *bench = bench_lending();
    struct fake_conn *fake = &bench->fake.conns[0];
    struct net_lent *lents[3];

    accept_admitted(bench, 0);
    for (uint32_t i = 0; i < 3; i++) {
        bench_receive_frame(bench, 0, 64 * 1024);
        lents[i] = bench_lend(bench);
    }
    cr_assert_eq(fake->stop_count, 0);
    bench_receive_frame(bench, 0, 64 * 1024);
    expect_refusal(bench);
    cr_assert_eq(fake->stop_count, 1);
    bench_recv_end(bench, 0, -ECANCELED);
    bench_lent_return(bench, lents[0]);
    bench_lent_return(bench, lents[1]);
    cr_assert_not(fake->armed, "half is not reached yet");
    bench_lent_return(bench, lents[2]);
    cr_assert(fake->armed);
    bench_close(bench);
}
