/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/net.h, "other shards": clients notice nothing of it that another shard answers them,
 * whatever ends when, and nothing is left behind on either side.
 */
#include "broker/net/net.h"

#include "tests/support/net_pair.h"

#include <criterion/criterion.h>

/* A client hears its own frames, short and long, and does not notice that another shard answers. */
Test(net_shards, answers_through_another_shard)
{
    struct pair *pair = pair_plain(1);
    char peer[ENV_ADDRESS_BYTES_MAX];
    int client = kit_connect(pair->kit);

    for (uint32_t i = 0; i < 20; i++) {
        uint32_t length = i == 0 ? 0 : i * 3000;
        kit_say_frame(pair->kit, client, length, i);
        kit_hear(pair->kit, client, length, i);
    }
    cr_assert_eq(pair->answered, 20);
    cr_assert_eq(pair->kit->counters.v[COUNTER_frames_lent], 20);
    cr_assert_eq(pair->kit->counters.v[COUNTER_frames_received], 20);
    cr_assert_geq(pair->kit->counters.v[COUNTER_outputs_relayed], 20);
    cr_assert_eq(pair->kit->counters.v[COUNTER_bytes_received],
                 pair->kit->counters.v[COUNTER_bytes_sent]);
    cr_assert_eq(pair->counters.v[COUNTER_frames_received], 0, "each counts once, at its home");
    cr_assert_eq(net_connections(pair->kit->net), 1);
    cr_assert_eq(net_connections(pair->owner), 0);
    net_id remote = pair->owner_side.remotes[net_slot(pair->kit->last)];
    cr_assert(net_alive(pair->owner, remote));
    cr_assert_gt(net_slot(remote), pair->kit->options.connections_max);
    net_peer(pair->owner, remote, peer);
    cr_assert_str_eq(peer, "(another shard)");
    cr_assert_eq(net_deadline_ns(pair->owner), UINT64_MAX);
    sim_client_close(pair->kit->sim, client);
    kit_turns(pair->kit, 5);
    net_peer(pair->owner, remote, peer);
    cr_assert_str_eq(peer, "(gone)");
    sim_client_free(pair->kit->sim, client);
    pair_close(pair);
}

/* Takes lent frames apart in both ways that net.h offers, checks them and answers nothing. */
static void owner_linear(struct pair *pair, uint32_t length, uint32_t seed)
{
    static uint8_t expected[128 * 1024];
    static uint8_t copy[128 * 1024];
    struct net_frame frame;

    fake_frame(expected, length, seed);
    cr_assert(net_frame_next(pair->owner, &frame));
    cr_assert_gt(frame.piece_count, 1);
    cr_assert_eq(frame.head.length, length);
    const uint8_t *linear = net_frame_linear(pair->owner, &frame);
    cr_assert_eq((uintptr_t)linear % 8, 0);
    cr_assert_eq(memcmp(linear, expected + XD_FRAME_HEADER_BYTES, length), 0);
    net_frame_copy(&frame, 5, copy, length - 7);
    cr_assert_eq(memcmp(copy, linear + 5, length - 7), 0);
    net_frame_done(pair->owner);
}

/* A lent frame that lies in several buffers is read like any other frame. */
Test(net_shards, reads_lent_frames_like_others)
{
    struct pair *pair = pair_plain(2);
    int client = kit_connect(pair->kit);

    kit_say_frame(pair->kit, client, 8, 0);
    kit_hear(pair->kit, client, 8, 0);
    pair->dry = true;
    kit_say_frame(pair->kit, client, 50000, 3);
    kit_turns(pair->kit, 5);
    net_unstall(pair->owner);
    owner_linear(pair, 50000, 3);
    pair_close(pair);
}

/* A lent frame says where it came from, so that its owner knows where to return it. */
Test(net_shards, names_the_home_of_a_lent_frame)
{
    struct kit_setup setup;
    struct net_frame frame;

    pair_setup_init(&setup, 8);
    setup.net.shard = 3;
    struct pair *pair = pair_open(&setup);
    struct kit *kit = pair->kit;
    int client = kit_connect(kit);
    kit->serve = NULL;
    kit_say_frame(kit, client, 8, 1);
    kit_turns(kit, 5);
    cr_assert(net_frame_next(kit->net, &frame));
    struct net_lent *lent = net_frame_lend(kit->net);
    cr_assert_not_null(lent);
    cr_assert_eq(lent->home, 3);
    cr_assert_eq(lent->conn, kit->last);
    cr_assert_not(net_frame_next(kit->net, &frame), "it was stepped over");
    net_lent_return(kit->net, lent);
    kit->serve = home_serve;
    pair_close(pair);
}

/* A client that does not read is asked for no more, costs a bounded amount of memory on both sides
 * and nobody else anything; when it reads it hears everything. */
Test(net_shards, waits_for_a_slow_reader)
{
    struct kit_setup setup;

    pair_setup_init(&setup, 3);
    setup.net.out_chunk_bytes = 4096;
    setup.net.out_chunks_per_conn = 4;
    struct pair *pair = pair_open(&setup);
    struct kit *kit = pair->kit;
    int slow = kit_connect(kit);
    net_id slow_id = kit->last;
    int other = kit_connect(kit);
    uint32_t said = 0; /* whole frames */
    uint32_t at = 0;   /* of the next one */
    uint32_t bytes = 0;
    static uint8_t frame[8 * 1024];

    kit_say_frame(kit, slow, 8, 0);
    kit_hear(kit, slow, 8, 0);
    for (uint32_t idle = 0; idle < 50;) {
        bytes = fake_frame(frame, 1000, said);
        int64_t sent = sim_client_send(kit->sim, slow, frame + at, bytes - at);
        at += sent > 0 ? (uint32_t)sent : 0;
        said += at == bytes;
        at = at == bytes ? 0 : at;
        idle = sent > 0 ? 0 : idle + 1;
        kit_turn(kit, KIT_TURN_NS / 10);
        cr_assert_lt(said, 2000, "it never stops");
    }
    const struct conn *home = conn_find(&kit->net->conns, slow_id);
    const struct conn *remote =
        conn_find(&pair->owner->conns, pair->owner_side.remotes[net_slot(slow_id)]);
    cr_assert(home->place == CONN_PLACE_BLOCKED || home->place == CONN_PLACE_STALLED);
    cr_assert_leq(home->away_count, setup.net.lents_max / 16);
    cr_assert_leq(remote->outbox.chunk_count, 2 * setup.net.out_chunks_per_conn);
    for (uint32_t i = 0; i < 10; i++) {
        kit_say_frame(kit, other, 3000, i);
        kit_hear(kit, other, 3000, i);
    }
    for (uint32_t i = 0; i < said; i++)
        kit_hear(kit, slow, 1000, i);
    kit_say(kit, slow, frame + at, bytes - at);
    kit_hear(kit, slow, 1000, said);
    pair_close(pair);
}

/* The owner closes: what it has queued is heard, then the connection ends, and both sides call it
 * the broker's doing. */
Test(net_shards, closes_for_the_owner)
{
    struct pair *pair = pair_plain(4);
    struct kit *kit = pair->kit;
    int client = kit_connect(kit);
    int other = kit_connect(kit);

    kit_say_frame(kit, client, 100, 1);
    kit_hear(kit, client, 100, 1);
    kit_say_frame(kit, other, 100, 1);
    kit_hear(kit, other, 100, 1);
    net_id remote = pair->owner_side.remotes[1];
    uint8_t *room = net_out_reserve(pair->owner, remote, XD_FRAME_HEADER_BYTES + 40);
    fake_frame(room, 40, 9);
    room[7] = XD_FRAME_REPLY;
    net_out_commit(pair->owner, remote, XD_FRAME_HEADER_BYTES + 40);
    net_close(pair->owner, remote);
    cr_assert_not(net_alive(pair->owner, remote));
    kit_hear(kit, client, 40, 9);
    kit_turns(kit, 20);
    cr_assert(sim_client_ended(kit->sim, client));
    cr_assert_eq(kit->closed[NET_CLOSE_BROKER], 1);
    cr_assert_eq(pair->counters.v[COUNTER_connections_remote], 1);
    kit_say_frame(kit, other, 200, 2);
    kit_hear(kit, other, 200, 2);
    pair_close(pair);
}

/* A connection that finds no slot at the owner is closed, and its frames come back. */
Test(net_shards, closes_who_finds_no_slot)
{
    struct kit_setup setup;

    pair_setup_init(&setup, 5);
    setup.net.remote_max = 1;
    struct pair *pair = pair_open(&setup);
    struct kit *kit = pair->kit;
    int first = kit_connect(kit);
    int second = kit_connect(kit);

    kit_say_frame(kit, first, 100, 1);
    kit_hear(kit, first, 100, 1);
    kit_say_frame(kit, second, 100, 1);
    kit_turns(kit, 20);
    cr_assert_eq(kit->closed[NET_CLOSE_BROKER], 1);
    cr_assert_eq(pair->owner_side.refused, 1);
    cr_assert_eq(pair->counters.v[COUNTER_connections_remote_shed], 1);
    cr_assert_eq(lend_count(&kit->net->conns.lend), 0);
    kit_say_frame(kit, first, 100, 2);
    kit_hear(kit, first, 100, 2);
    pair_close(pair);
}

/* A client goes away with frames lent and output under way: everything comes back, on both sides.
 */
Test(net_shards, survives_the_end_of_a_client)
{
    for (uint32_t seed = 1; seed <= 30; seed++) {
        struct pair *pair = pair_plain(seed);
        struct kit *kit = pair->kit;
        int client = kit_connect(kit);

        pair->chance = 20000;
        for (uint32_t i = 0; i < 30; i++)
            kit_say_frame(kit, client, i * 80, i);
        for (uint32_t turn = seed % 7; turn > 0; turn--)
            kit_turn(kit, KIT_TURN_NS / 20);
        if (seed % 2)
            sim_client_reset(kit->sim, client);
        else
            sim_client_close(kit->sim, client);
        kit_turns(kit, 50);
        cr_assert_eq(net_connections(kit->net), 0, "seed %u", seed);
        cr_assert_eq(pair->counters.v[COUNTER_connections_remote], 0, "seed %u", seed);
        cr_assert_eq(lend_count(&kit->net->conns.lend), 0);
        pair_close(pair);
    }
}

static void return_lent(struct pair *pair)
{
    struct net_lent *lent;

    pair->deaf = false;
    owner_turn(pair);
    cr_assert_not(net_remote_done_next(pair->owner, &lent), "it is on its way");
    cross_take(&pair->home_side, UINT32_MAX);
    cr_assert_eq(lend_count(&pair->kit->net->conns.lend), 0);
}

static void end_relay(struct pair *pair)
{
    uint64_t cookie;

    cr_assert(net_relay_next(pair->kit->net, &cookie));
    cr_assert_eq(cookie, 5);
    cr_assert_not(net_relay_next(pair->kit->net, &cookie));
}

/* The module is not closed while a frame of it is lent or a relay has not been told of, though no
 * socket is left; whichever of both comes last. */
Test(net_shards, is_closed_when_all_is_back)
{
    static const uint8_t bytes[8];
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = sizeof(bytes)};

    for (int relay_last = 0; relay_last < 2; relay_last++) {
        struct pair *pair = pair_plain(6);
        struct kit *kit = pair->kit;
        int client = kit_connect(kit);
        kit_say_frame(kit, client, 8, 1);
        pair->deaf = true;
        kit_turns(kit, 5);
        kit->serve = NULL;
        cr_assert_eq(lend_count(&kit->net->conns.lend), 1);
        cr_assert(net_relay(kit->net, kit->last, &piece, 1, 5));
        net_close_begin(kit->net);
        cr_assert_not(net_relay(kit->net, kit->last, &piece, 1, 6), "it is going");
        kit_turns(kit, 20);
        cr_assert_eq(net_connections(kit->net), 0);
        cr_assert_not(net_closed(kit->net));
        if (relay_last)
            return_lent(pair);
        else
            end_relay(pair);
        cr_assert_not(net_closed(kit->net));
        if (relay_last)
            end_relay(pair);
        else
            return_lent(pair);
        cr_assert(net_closed(kit->net));
        kit->serve = home_serve;
        pair_close(pair);
    }
}

/* Options that go beyond what ids can name, or beyond their bounds, are refused. */
Test(net_shards, refuses_impossible_options)
{
    struct kit_setup setup;
    struct pair *pair = pair_plain(7);
    struct arena arena;
    struct net *net = NULL;
    size_t bytes;

    pair_setup_init(&setup, 7);
    setup.net.connections_max = 16;
    setup.net.remote_max = 65519;
    bytes = net_bytes_needed(&setup.net);
    cr_assert_gt(bytes, 0);
    setup.net.remote_max++;
    cr_assert_eq(net_bytes_needed(&setup.net), 0);
    arena_init(&arena, &bytes, sizeof(bytes));
    cr_assert_eq(net_init(&pair->fake.env, &arena, &pair->counters, &setup.net, &net), -EINVAL);
    pair_setup_init(&setup, 7);
    setup.net.lents_max = 1024 * 1024 + 1;
    cr_assert_eq(net_init(&pair->fake.env, &arena, &pair->counters, &setup.net, &net), -EINVAL);
    pair_setup_init(&setup, 7);
    setup.net.relays_max = 1024 * 1024 + 1;
    cr_assert_eq(net_init(&pair->fake.env, &arena, &pair->counters, &setup.net, &net), -EINVAL);
    pair_close(pair);
}
