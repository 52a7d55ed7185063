/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/conn.h, the table as a whole: what it needs, what it refuses, which slots there are
 * and what an id finds.
 */
#include "broker/net/conn.h"

#include "tests/support/net_bench.h"

#include <errno.h>

#include <criterion/criterion.h>

#define REMOTES 3u

static struct net_options options_remote(void)
{
    struct net_options options = bench_options();

    options.remote_max = REMOTES;
    options.lents_max = 10;
    options.relays_max = 10;
    return options;
}

/* Slots of other shards' connections stand behind those of sockets, each kind is handed out from
 * its own, and one kind running out does not concern the other. */
Test(net_conns, keeps_both_kinds_of_slots_apart)
{
    struct net_options options = options_remote();
    struct bench *bench = bench_open_with(&options, 16);
    bool seen[BENCH_CONNS + REMOTES + 1] = {false};

    for (uint32_t i = 0; i < REMOTES; i++) {
        struct conn *conn = remote_open(&bench->conns);
        cr_assert_gt(net_slot(conn->id), BENCH_CONNS);
        cr_assert_leq(net_slot(conn->id), BENCH_CONNS + REMOTES);
        cr_assert_not(seen[net_slot(conn->id)]);
        seen[net_slot(conn->id)] = true;
        cr_assert_eq(conn_find(&bench->conns, conn->id), conn);
    }
    cr_assert_null(remote_open(&bench->conns));
    for (env_conn handle = 0; handle < (env_conn)BENCH_CONNS; handle++) {
        struct conn *conn = bench_accept(bench, handle);
        cr_assert_leq(net_slot(conn->id), BENCH_CONNS);
        cr_assert_not(seen[net_slot(conn->id)]);
        seen[net_slot(conn->id)] = true;
    }
    cr_assert_eq(conn_open(&bench->conns, 20), NET_REFUSED_FULL);
    cr_assert_eq(bench->conns.count, BENCH_CONNS);
    conns_check(&bench->conns);
    bench_close(bench);
}

/* Ids of no slot, of a free slot, and with bits that no id has, find nothing. */
Test(net_conns, finds_only_what_is_in_use)
{
    struct net_options options = options_remote();
    struct bench *bench = bench_open_with(&options, 16);

    cr_assert_null(conn_find(&bench->conns, 0));
    cr_assert_null(conn_find(&bench->conns, 1u << 16));
    cr_assert_null(conn_find(&bench->conns, 1u << 16 | 1));
    cr_assert_null(conn_find(&bench->conns, 1u << 16 | (BENCH_CONNS + REMOTES)));
    cr_assert_null(conn_find(&bench->conns, 1u << 16 | (BENCH_CONNS + REMOTES + 1)));
    struct conn *conn = bench_accept(bench, 0);
    cr_assert_eq(conn_find(&bench->conns, conn->id), conn);
    cr_assert_null(conn_find(&bench->conns, conn->id + (1u << 16)));
    cr_assert_null(conn_find(&bench->conns, (uint64_t)1 << 32 | conn->id));
    bench_close(bench);
}

/* Without other shards the table takes no memory for them. */
Test(net_conns, needs_nothing_for_other_shards_by_default)
{
    struct net_options plain = bench_options();
    struct net_options remote = options_remote();
    struct net_options sockets = plain;

    cr_assert_eq(plain.remote_max + plain.lents_max + plain.relays_max, 0);
    sockets.connections_max += REMOTES;
    cr_assert_gt(conns_bytes_needed(&remote), conns_bytes_needed(&sockets));
    cr_assert_eq(conns_bytes_needed(&sockets) - conns_bytes_needed(&plain),
                 REMOTES * sizeof(struct conn) + origins_bytes_needed(sockets.connections_max) -
                     origins_bytes_needed(plain.connections_max));
    struct bench *bench = bench_open_with(&plain, 16);
    cr_assert_null(remote_open(&bench->conns));
    cr_assert_eq(bench->counters.v[COUNTER_connections_remote_shed], 1);
    cr_assert_null(bench->conns.remotes.frames);
    bench_close(bench);
}

/* An arena that is too small is refused at whatever it ends, as is an env with more receive buffers
 * than the options allow, or with none. */
Test(net_conns, refuses_what_does_not_fit)
{
    struct net_options options = options_remote();
    struct counters counters = {0};
    uint64_t bytes = conns_bytes_needed(&options);
    uint8_t *memory = malloc(bytes);
    struct arena arena;
    struct fake fake;
    struct conns conns;

    fake_open(&fake, 16);
    for (uint64_t part = 64; part < bytes - 16384; part += 1024) {
        arena_init(&arena, memory, part);
        cr_assert_eq(conns_init(&conns, &fake.env, &arena, &counters, &options), -ENOMEM);
    }
    options.recv_buffers_max = 15;
    arena_init(&arena, memory, bytes);
    cr_assert_eq(conns_init(&conns, &fake.env, &arena, &counters, &options), -EINVAL);
    options.recv_buffers_max = 16;
    fake.lent_count = 16;
    cr_assert_eq(conns_init(&conns, &fake.env, &arena, &counters, &options), -EINVAL);
    free(memory);
}
