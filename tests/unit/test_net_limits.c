/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/net.h, limits of connections over the simulator: each refusal is counted by its reason
 * and told once, others are served meanwhile, a unix socket has places of its own, and a bulk
 * sender does not keep small ones waiting.
 */
#include "broker/net/net.h"

#include "broker/net/conn.h"
#include "tests/support/net_kit.h"

struct crowd {
    struct kit *kit;
    uint64_t refused[NET_REFUSAL_COUNT]; /* told so far */
    char unix_address[ENV_ADDRESS_BYTES_MAX];
};

static void crowd_open(struct crowd *crowd, const struct kit_setup *setup)
{
    *crowd = (struct crowd){.kit = kit_open(setup)};
    cr_assert_eq(net_listen(crowd->kit->net, "unix:/run/x", crowd->unix_address), 0);
    kit_turns(crowd->kit, 1);
}

/* Turns for so many ms. Takes the news itself; the kit's are those of connections. */
static void crowd_pass(struct crowd *crowd, uint64_t ms)
{
    struct kit *kit = crowd->kit;
    struct net_news news;
    uint64_t end_ns = env_now_mono_ns(kit->env) + ms * 1000000;

    while (env_now_mono_ns(kit->env) < end_ns) {
        struct env_event events[KIT_EVENTS];
        int got = env_wait(kit->env, events, KIT_EVENTS, env_now_mono_ns(kit->env) + KIT_TURN_NS);
        for (int i = 0; i < got; i++)
            net_done(kit->net, &events[i]);
        net_tick(kit->net);
        uint32_t kinds = 0;
        while (net_news_next(kit->net, &news)) {
            if (news.kind == NET_NEWS_REFUSED) {
                cr_assert_eq(kinds & 1u << news.a, 0, "one piece of news for each reason");
                kinds |= 1u << news.a;
                crowd->refused[news.a] += news.b;
            } else if (news.kind == NET_NEWS_ACCEPTED) {
                kit->accepted++;
                kit->last = (net_id)news.a;
            } else {
                kit->closed[news.b]++;
            }
        }
        if (kit->serve != NULL)
            kit->serve(kit);
        net_flush(kit->net);
    }
}

static int connect_from(struct crowd *crowd, uint8_t host)
{
    const struct env_origin origin = {.family = ENV_FAMILY_IPV4, .address = {10, 0, 0, host}};
    int client = sim_client_connect_from(crowd->kit->sim, crowd->kit->address, &origin);

    cr_assert_geq(client, 0);
    return client;
}

/* As many as `count` from one host; turns until all have arrived. */
static void connect_all(struct crowd *crowd, uint8_t host, int count, int *ret_clients)
{
    for (int i = 0; i < count; i++)
        ret_clients[i] = connect_from(crowd, host);
    crowd_pass(crowd, 20);
}

static uint32_t open_of(struct crowd *crowd, const int *clients, int count)
{
    uint32_t open = 0;
    for (int i = 0; i < count; i++)
        open += !sim_client_ended(crowd->kit->sim, clients[i]);
    return open;
}

/* Of one address no more than address_max are taken, the others are closed and counted; another
 * address is served, and a place that becomes free is used. */
Test(net_limits, refuses_more_than_one_address_may_have)
{
    struct kit_setup setup;
    struct crowd crowd;
    int clients[6], others[2];

    kit_setup_init(&setup, 1);
    setup.net.address_max = 4;
    crowd_open(&crowd, &setup);
    connect_all(&crowd, 1, 6, clients);
    cr_assert_eq(open_of(&crowd, clients, 6), 4);
    cr_assert_eq(crowd.refused[NET_REFUSED_ADDRESS], 2);
    cr_assert_eq(crowd.kit->counters.v[COUNTER_connections_refused_address], 2);
    cr_assert_eq(crowd.kit->counters.v[COUNTER_connections_shed], 0);
    connect_all(&crowd, 2, 2, others);
    cr_assert_eq(open_of(&crowd, others, 2), 2);
    kit_say_frame(crowd.kit, others[0], 100, 1);
    kit_hear(crowd.kit, others[0], 100, 1);
    for (int i = 0; i < 6; i++)
        sim_client_free(crowd.kit->sim, clients[i]);
    crowd_pass(&crowd, 20);
    connect_all(&crowd, 1, 6, clients);
    cr_assert_eq(open_of(&crowd, clients, 6), 4);
    kit_close(crowd.kit);
}

/* Of these, no more than strangers_max may be without HELLO; one that says it makes room, one that
 * is closed for saying nothing too. */
Test(net_limits, refuses_more_that_say_nothing)
{
    struct kit_setup setup;
    struct crowd crowd;
    int clients[5], later[5];

    kit_setup_init(&setup, 2);
    setup.net.strangers_max = 3;
    setup.net.hello_timeout_ms = 100;
    crowd_open(&crowd, &setup);
    connect_all(&crowd, 1, 5, clients);
    cr_assert_eq(open_of(&crowd, clients, 5), 3);
    cr_assert_eq(crowd.refused[NET_REFUSED_HELLO], 2);
    cr_assert_eq(crowd.kit->counters.v[COUNTER_connections_refused_hello], 2);
    for (int i = 0; i < 5; i++)
        if (!sim_client_ended(crowd.kit->sim, clients[i]))
            kit_say_frame(crowd.kit, clients[i], 10, 1);
    crowd_pass(&crowd, 20);
    connect_all(&crowd, 1, 5, later);
    cr_assert_eq(open_of(&crowd, later, 5), 3, "those that were heard make room");
    kit_pass(crowd.kit, 200);
    cr_assert_eq(crowd.kit->closed[NET_CLOSE_HELLO_SLOW], 3);
    connect_all(&crowd, 1, 5, later);
    cr_assert_eq(open_of(&crowd, later, 5), 3, "as do those that were not");
    kit_close(crowd.kit);
}

/* When the network has taken all its places a unix socket still gets one, as many as are reserved;
 * those of addresses without limit are refused as ever. */
Test(net_limits, keeps_places_for_unix_sockets)
{
    struct kit_setup setup;
    struct crowd crowd;
    int clients[12], people[4];

    kit_setup_init(&setup, 3);
    setup.net.connections_max = 8;
    setup.net.unix_reserve = 3;
    setup.net.address_max = 0;
    setup.net.strangers_max = 0;
    crowd_open(&crowd, &setup);
    connect_all(&crowd, 1, 12, clients);
    cr_assert_eq(open_of(&crowd, clients, 12), 5);
    cr_assert_eq(crowd.refused[NET_REFUSED_FULL], 7);
    for (int i = 0; i < 4; i++) {
        people[i] = sim_client_connect(crowd.kit->sim, crowd.unix_address);
        crowd_pass(&crowd, 10);
    }
    cr_assert_eq(open_of(&crowd, people, 4), 3);
    cr_assert_eq(crowd.refused[NET_REFUSED_FULL], 8);
    cr_assert_eq(crowd.kit->counters.v[COUNTER_connections_shed], 8);
    kit_say_frame(crowd.kit, people[2], 100, 1);
    kit_hear(crowd.kit, people[2], 100, 1);
    kit_close(crowd.kit);
}

/* Whole frames that nobody reads hold most buffers, partial ones all chunks and the rest: who
 * connects is refused, but for a unix socket. When they are read the others are served again. */
Test(net_limits, refuses_connections_when_memory_is_used_up)
{
    enum { WHOLE = 12, PARTIAL = 4, PARTIAL_BYTES = 700 * 1024 };
    static uint8_t frame[XD_FRAME_HEADER_BYTES + 1000 * 1024];
    struct kit_setup setup;
    struct crowd crowd;
    int whole[WHOLE], partial[PARTIAL];

    kit_setup_init(&setup, 5);
    setup.process.buffer_count = 16;
    crowd_open(&crowd, &setup);
    struct kit *kit = crowd.kit;
    connect_all(&crowd, 1, WHOLE, whole);
    connect_all(&crowd, 1, PARTIAL, partial);
    for (int i = 0; i < PARTIAL; i++)
        kit_say_frame(kit, partial[i], 10, 0);
    crowd_pass(&crowd, 20);
    kit->serve = NULL;
    for (int i = 0; i < WHOLE; i++)
        kit_say_frame(kit, whole[i], 100, 1);
    crowd_pass(&crowd, 20);
    (void)fake_frame(frame, 1000 * 1024, 1);
    for (uint32_t at = 0; at < PARTIAL_BYTES && net_memory(kit->net) != NET_MEMORY_REFUSING;
         at += 16 * 1024)
        for (int i = 0; i < PARTIAL; i++) {
            (void)sim_client_send(kit->sim, partial[i], frame + at, 16 * 1024);
            crowd_pass(&crowd, 2);
        }
    cr_assert_eq(net_memory(kit->net), NET_MEMORY_REFUSING);
    cr_assert_eq(kit->counters.v[COUNTER_memory_refusals], 1);
    int late = connect_from(&crowd, 2);
    crowd_pass(&crowd, 20);
    cr_assert(sim_client_ended(kit->sim, late));
    cr_assert_eq(crowd.refused[NET_REFUSED_MEMORY], 1);
    cr_assert_eq(kit->counters.v[COUNTER_connections_refused_memory], 1);
    int local = sim_client_connect(kit->sim, crowd.unix_address);
    kit->serve = kit_echo;
    crowd_pass(&crowd, 20);
    cr_assert_not(sim_client_ended(kit->sim, local));
    kit_say_frame(kit, local, 100, 1);
    kit_hear(kit, local, 100, 1);
    cr_assert_eq(net_memory(kit->net), NET_MEMORY_NORMAL);
    late = connect_from(&crowd, 2);
    crowd_pass(&crowd, 20);
    cr_assert_not(sim_client_ended(kit->sim, late));
    kit_close(kit);
}

/* A reserve as large as all places would leave none. */
Test(net_limits, refuses_a_reserve_of_everything)
{
    struct net_options options;

    net_options_init(&options);
    cr_assert_gt(net_bytes_needed(&options), 0);
    options.unix_reserve = options.connections_max;
    cr_assert_eq(net_bytes_needed(&options), 0);
}

/* ---- turns ----------------------------------------------------------------------------------- */

#define BULK_BYTES (32u * 1024)

/* Bytes of long frames that were handed out before the last short one of the same turn. */
struct waiting {
    uint64_t bulk_bytes;
    uint64_t before_last;
    uint32_t small;
};

static void serve_and_count(struct kit *kit)
{
    struct waiting *waiting = kit->context;
    struct net_frame frame;

    while (net_frame_next(kit->net, &frame)) {
        net_admit(kit->net, frame.conn);
        if (frame.head.length == BULK_BYTES) {
            waiting->bulk_bytes += BULK_BYTES;
        } else {
            waiting->small++;
            waiting->before_last = waiting->bulk_bytes;
        }
        net_frame_done(kit->net);
    }
}

/* One connection has sent half a MiB in frames of 32 KiB before thirty small ones come: when all
 * are looked at, the small ones wait for one turn of it and one frame at most. */
Test(net_limits, lets_small_senders_wait_for_one_turn)
{
    enum { SMALL = 30 };
    static uint8_t frames[16 * (XD_FRAME_HEADER_BYTES + BULK_BYTES)];
    struct kit_setup setup;
    struct waiting waiting = {0};
    int small[SMALL];
    uint32_t bytes = 0;

    kit_setup_init(&setup, 4);
    setup.sim.window_bytes = 1024 * 1024;
    setup.process.buffer_count = 256;
    struct kit *kit = kit_open(&setup);
    kit->context = &waiting;
    kit->serve = serve_and_count;
    int bulk = kit_connect(kit);
    kit_say_frame(kit, bulk, 10, 0);
    kit_pass(kit, 10);
    for (int i = 0; i < SMALL; i++)
        small[i] = kit_connect(kit);
    kit->serve = NULL;
    for (uint32_t i = 0; i < 16; i++)
        bytes += fake_frame(frames + bytes, BULK_BYTES, i);
    kit_say(kit, bulk, frames, bytes);
    kit_pass(kit, 20);
    for (int i = 0; i < SMALL; i++)
        kit_say_frame(kit, small[i], 300, (uint32_t)i);
    kit_pass(kit, 20);
    waiting = (struct waiting){0};
    kit->serve = serve_and_count;
    kit_turn(kit, KIT_TURN_NS);
    cr_assert_eq(waiting.small, SMALL, "all in one turn");
    cr_assert_gt(waiting.bulk_bytes, CONN_TURN_BYTES + BULK_BYTES, "there was more of the other");
    cr_assert_leq(waiting.before_last, CONN_TURN_BYTES + BULK_BYTES);
    kit_pass(kit, 100);
    cr_assert_eq(waiting.bulk_bytes, 16 * BULK_BYTES);
    kit_close(kit);
}
