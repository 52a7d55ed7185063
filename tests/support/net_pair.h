/* SPDX-License-Identifier: Apache-2.0
 *
 * A home with clients over the simulator and an owner that answers what the home lends it: two
 * modules of broker/net in one thread, over net_kit.h and net_cross.h.
 *
 * Normal path: pair_open, clients as in net_kit.h; each turn of the home is followed by one of the
 * owner. pair_close shuts both down in order and proves that nothing is left on either side.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_NET_PAIR_H
#define CROSSDOCK_TESTS_SUPPORT_NET_PAIR_H

#include <criterion/criterion.h>

#include "broker/base/prng.h"
#include "broker/net/net_state.h"
#include "tests/support/net_answer.h"
#include "tests/support/net_cross.h"
#include "tests/support/net_kit.h"

struct pair {
    struct kit *kit; /* the home */
    struct net *owner;
    struct cross home_side;
    struct cross owner_side;
    struct cross_ring to_owner;
    struct cross_ring to_home;
    struct prng prng;
    struct fake fake; /* the owner's env: it has no sockets */
    struct arena arena;
    struct counters counters; /* the owner's */
    void *memory;
    uint32_t chance;   /* of 65536: a stall of a frame, a turn without messages */
    uint32_t answered; /* frames, by the owner */
    bool deaf;         /* the owner takes no messages */
    bool dry;          /* the owner stalls every frame */
};

static inline void owner_news(struct pair *pair)
{
    struct net_news news;

    while (net_news_next(pair->owner, &news)) {
        cr_assert_eq(news.kind, NET_NEWS_CLOSED);
        cross_closed(&pair->owner_side, (net_id)news.a, pair->kit->options.connections_max);
    }
}

static inline void owner_turn(struct pair *pair)
{
    struct net *net = pair->owner;
    struct net_frame frame;
    uint32_t chunk_bytes = pair->kit->options.out_chunk_bytes;

    if (!pair->deaf && !prng_chance(&pair->prng, pair->chance))
        cross_take(&pair->owner_side, UINT32_MAX);
    net_tick(net);
    owner_news(pair);
    net_unstall(net);
    while (net_frame_next(net, &frame)) {
        if (pair->dry || prng_chance(&pair->prng, pair->chance) ||
            !net_answer(net, chunk_bytes, &frame)) {
            net_frame_stall(net);
            continue;
        }
        pair->answered++;
        net_frame_done(net);
    }
    net_flush(net);
    cross_give(&pair->owner_side);
    conns_check(&net->conns);
}

/* The home lends every frame. */
static inline void home_serve(struct kit *kit)
{
    struct pair *pair = kit->context;
    struct net_frame frame;

    cross_give(&pair->home_side); /* of the last turn */
    if (!prng_chance(&pair->prng, pair->chance))
        cross_take(&pair->home_side, UINT32_MAX);
    net_unstall(kit->net);
    while (net_frame_next(kit->net, &frame)) {
        net_admit(kit->net, frame.conn);
        cross_lend(&pair->home_side, frame.conn);
    }
    conns_check(&kit->net->conns);
    owner_turn(pair);
}

static inline void home_closed(struct kit *kit, net_id conn)
{
    struct pair *pair = kit->context;

    cross_closed(&pair->home_side, conn, kit->options.connections_max);
}

static inline void pair_setup_init(struct kit_setup *setup, uint64_t seed)
{
    kit_setup_init(setup, seed);
    setup->net.connections_max = 16;
    setup->net.frame_bytes_max = 64 * 1024;
    setup->net.remote_max = 16;
    setup->net.lents_max = 200;
    setup->net.relays_max = 16;
}

static inline struct pair *pair_open(const struct kit_setup *setup)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    size_t bytes = net_bytes_needed(&setup->net);

    cr_assert_not_null(pair);
    prng_seed(&pair->prng, setup->sim.seed);
    pair->kit = kit_open(setup);
    pair->kit->serve = home_serve;
    pair->kit->closed_hook = home_closed;
    pair->kit->context = pair;
    fake_open(&pair->fake, 4);
    pair->memory = malloc(bytes);
    cr_assert_not_null(pair->memory);
    arena_init(&pair->arena, pair->memory, bytes);
    cr_assert_eq(
        net_init(&pair->fake.env, &pair->arena, &pair->counters, &setup->net, &pair->owner), 0);
    pair->home_side =
        (struct cross){.net = pair->kit->net, .in = &pair->to_home, .out = &pair->to_owner};
    pair->owner_side =
        (struct cross){.net = pair->owner, .in = &pair->to_owner, .out = &pair->to_home};
    return pair;
}

/* Both close in order; nothing is left on either side. */
static inline void pair_close(struct pair *pair)
{
    struct conns *owner = &pair->owner->conns;
    struct pool *pools[] = {&owner->output.chunks, &owner->output.larges};

    pair->deaf = false;
    pair->dry = false;
    pair->chance = 0;
    net_close_begin(pair->kit->net);
    kit_turns(pair->kit, 100);
    cr_assert(net_closed(pair->kit->net));
    cr_assert_eq(env_buffers_free(pair->kit->env), pair->kit->net->conns.buffer_count);
    cr_assert_eq(pair->kit->net->conns.lend.buffer_count, 0);
    owner_turn(pair);
    cr_assert_eq(pair->counters.v[COUNTER_connections_remote], 0);
    for (uint32_t i = 0; i < 2; i++)
        cr_assert_eq(pool_free_count(pools[i]), pools[i]->element_count);
    net_close_begin(pair->owner);
    cr_assert(net_closed(pair->owner));
    kit_close(pair->kit);
    free(pair->memory);
    free(pair);
}

static inline struct pair *pair_plain(uint64_t seed)
{
    struct kit_setup setup;

    pair_setup_init(&setup, seed);
    return pair_open(&setup);
}

#endif
