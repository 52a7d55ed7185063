/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/net.h, what its user is told: every connection's coming and going once and in that
 * sequence, refusals as a number, and a different word for each reason.
 */
#include "broker/net/net.h"

#include "tests/support/net_kit.h"

/* Lets the clock go on without anybody taking news. */
static void pass_untold(struct kit *kit, uint32_t turns)
{
    for (uint32_t turn = 0; turn < turns; turn++) {
        struct env_event events[KIT_EVENTS];
        int got = env_wait(kit->env, events, KIT_EVENTS, env_now_mono_ns(kit->env) + KIT_TURN_NS);
        for (int i = 0; i < got; i++)
            net_done(kit->net, &events[i]);
        net_tick(kit->net);
        net_flush(kit->net);
    }
}

/* Two come, a third and a fourth find no place, and all go before anybody asks. */
Test(net_news, tells_refusals_in_one_and_lives_in_sequence)
{
    struct kit_setup setup;
    struct net_news news;
    int clients[4];
    kit_setup_init(&setup, 1);
    setup.net.connections_max = 2;
    struct kit *kit = kit_open(&setup);
    for (int i = 0; i < 4; i++) {
        clients[i] = sim_client_connect(kit->sim, kit->address);
        cr_assert_geq(clients[i], 0);
    }
    pass_untold(kit, 20);
    for (int i = 0; i < 4; i++)
        sim_client_free(kit->sim, clients[i]);
    pass_untold(kit, 20);
    cr_assert(net_news_next(kit->net, &news));
    cr_assert_eq(news.kind, NET_NEWS_REFUSED);
    cr_assert_eq(news.a, NET_REFUSED_FULL);
    cr_assert_eq(news.b, 2);
    for (int i = 0; i < 2; i++) {
        cr_assert(net_news_next(kit->net, &news));
        cr_assert_eq(news.kind, NET_NEWS_ACCEPTED);
        uint64_t id = news.a;
        kit->accepted++;
        cr_assert(net_news_next(kit->net, &news));
        cr_assert_eq(news.kind, NET_NEWS_CLOSED);
        cr_assert_eq(news.a, id);
        kit->closed[news.b]++;
    }
    cr_assert_not(net_news_next(kit->net, &news));
    kit_close(kit);
}

/* Log lines and alerts tell reasons apart by their words. */
Test(net_news, has_a_word_for_each_refusal_and_state)
{
    for (unsigned a = 0; a < NET_REFUSAL_COUNT; a++)
        for (unsigned b = 0; b < a; b++)
            cr_assert_str_neq(net_refusal_name((enum net_refusal)a),
                              net_refusal_name((enum net_refusal)b));
    for (unsigned a = 0; a < NET_MEMORY_COUNT; a++)
        for (unsigned b = 0; b < a; b++)
            cr_assert_str_neq(net_memory_name((enum net_memory)a),
                              net_memory_name((enum net_memory)b));
    cr_assert_str_eq(net_refusal_name(NET_REFUSED_HELLO), "address_strangers_max");
    cr_assert_str_eq(net_memory_name(NET_MEMORY_THROTTLED), "throttled");
}
