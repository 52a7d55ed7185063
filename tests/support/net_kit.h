/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker that only answers frames, over the simulator of env_sim.h, and the clients that talk to
 * it: what the tests of broker/net run end to end.
 *
 * Normal path: kit_open, kit_connect, kit_say, kit_turns; each turn does what the shard does, in
 * the same sequence. kit_close shuts down in order and proves that nothing is left.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_NET_KIT_H
#define CROSSDOCK_TESTS_SUPPORT_NET_KIT_H

#include <criterion/criterion.h>

#include "broker/net/net.h"
#include "tests/support/env_sim.h"
#include "tests/support/net_answer.h"
#include "tests/support/net_fake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KIT_EVENTS 64
#define KIT_TURN_NS 1000000ull

struct kit {
    struct sim *sim;
    struct env *env;
    struct net *net;
    struct arena arena;
    struct counters counters;
    struct net_options options;
    void *memory;
    void (*serve)(struct kit *kit); /* what is done with frames in a turn, NULL = nothing */
    void (*closed_hook)(struct kit *kit, net_id conn); /* told of each end, NULL = nobody */
    void *context;                                     /* the test's own */
    char address[ENV_ADDRESS_BYTES_MAX];
    net_id last;                             /* accepted last */
    uint32_t accepted;                       /* news so far */
    uint32_t refused;                        /* news so far */
    uint32_t closed[NET_CLOSE_REASON_COUNT]; /* news so far, by reason */
    uint64_t last_cause;                     /* of the last CLOSED */
    uint32_t frames;                         /* served by kit_echo */
};

struct kit_setup {
    struct net_options net;
    struct sim_options sim;
    struct env_sim_options process;
};

static inline void kit_setup_init(struct kit_setup *setup, uint64_t seed)
{
    net_options_init(&setup->net);
    setup->net.spill_count = 2;
    setup->net.large_count = 2;
    setup->net.out_chunk_count = 256;
    sim_options_init(&setup->sim, seed);
    setup->sim.window_bytes = 64 * 1024;
    env_sim_options_init(&setup->process);
    setup->process.buffer_bytes = 16 * 1024;
}

/* Answers one frame with its own payload; false when there is no room for the answer. */
static inline bool kit_answer(struct kit *kit, const struct net_frame *frame)
{
    return net_answer(kit->net, kit->options.out_chunk_bytes, frame);
}

/* Admits everybody and answers everything. */
static inline void kit_echo(struct kit *kit)
{
    struct net_frame frame;

    net_unstall(kit->net);
    while (net_frame_next(kit->net, &frame)) {
        net_admit(kit->net, frame.conn);
        if (kit_answer(kit, &frame)) {
            kit->frames++;
            net_frame_done(kit->net);
        } else {
            net_frame_stall(kit->net);
        }
    }
}

static inline void kit_news(struct kit *kit)
{
    struct net_news news;

    while (net_news_next(kit->net, &news)) {
        if (news.kind == NET_NEWS_ACCEPTED) {
            kit->accepted++;
            kit->last = (net_id)news.a;
        } else if (news.kind == NET_NEWS_CLOSED) {
            cr_assert_lt(news.b, NET_CLOSE_REASON_COUNT);
            kit->closed[news.b]++;
            kit->last_cause = news.c;
            cr_assert_not(net_alive(kit->net, (net_id)news.a));
            if (kit->closed_hook != NULL)
                kit->closed_hook(kit, (net_id)news.a);
        } else {
            kit->refused += (uint32_t)news.b;
        }
    }
}

/* One turn of at most `ns`; returns the events in it. */
static inline int kit_turn(struct kit *kit, uint64_t ns)
{
    struct env_event events[KIT_EVENTS];
    uint64_t deadline_ns = env_now_mono_ns(kit->env) + ns;
    int count =
        env_wait(kit->env, events, KIT_EVENTS,
                 deadline_ns < net_deadline_ns(kit->net) ? deadline_ns : net_deadline_ns(kit->net));

    cr_assert_geq(count, 0);
    for (int i = 0; i < count; i++)
        net_done(kit->net, &events[i]);
    net_tick(kit->net);
    kit_news(kit);
    if (kit->serve != NULL)
        kit->serve(kit);
    net_flush(kit->net);
    return count;
}

static inline void kit_turns(struct kit *kit, uint32_t count)
{
    while (count-- > 0)
        kit_turn(kit, KIT_TURN_NS);
}

/* Turns until the simulated time has moved on by `ms`. */
static inline void kit_pass(struct kit *kit, uint64_t ms)
{
    uint64_t end_ns = env_now_mono_ns(kit->env) + ms * 1000000;

    while (env_now_mono_ns(kit->env) < end_ns)
        kit_turn(kit, end_ns - env_now_mono_ns(kit->env));
}

static inline struct kit *kit_open(const struct kit_setup *setup)
{
    struct kit *kit = calloc(1, sizeof(*kit));
    size_t bytes = net_bytes_needed(&setup->net);

    cr_assert_not_null(kit);
    kit->sim = sim_open(&setup->sim);
    kit->env = env_sim_process(kit->sim, &setup->process);
    kit->options = setup->net;
    kit->memory = malloc(bytes);
    cr_assert_not_null(kit->memory);
    arena_init(&kit->arena, kit->memory, bytes);
    cr_assert_eq(net_init(kit->env, &kit->arena, &kit->counters, &setup->net, &kit->net), 0);
    cr_assert_eq(net_listen(kit->net, "127.0.0.1:0", kit->address), 0);
    kit->serve = kit_echo;
    return kit;
}

/* A client whose connection has been accepted. */
static inline int kit_connect(struct kit *kit)
{
    uint32_t before = kit->accepted;
    int client = sim_client_connect(kit->sim, kit->address);

    cr_assert_geq(client, 0);
    for (uint32_t turn = 0; turn < 100 && kit->accepted == before; turn++)
        kit_turn(kit, KIT_TURN_NS);
    cr_assert_eq(kit->accepted, before + 1);
    return client;
}

/* Sends all bytes, turning while the window is full. */
static inline void kit_say(struct kit *kit, int client, const uint8_t *data, size_t bytes)
{
    while (bytes > 0) {
        int64_t sent = sim_client_send(kit->sim, client, data, bytes);
        if (sent == -EAGAIN)
            kit_turn(kit, KIT_TURN_NS);
        else
            cr_assert_gt(sent, 0);
        data += sent > 0 ? sent : 0;
        bytes -= sent > 0 ? (size_t)sent : 0;
    }
}

static inline void kit_say_frame(struct kit *kit, int client, uint32_t length, uint32_t seed)
{
    static uint8_t frame[256 * 1024];

    kit_say(kit, client, frame, fake_frame(frame, length, seed));
}

/* Receives exactly the echo of fake_frame(length, seed). */
static inline void kit_hear(struct kit *kit, int client, uint32_t length, uint32_t seed)
{
    static uint8_t expected[256 * 1024];
    static uint8_t heard[256 * 1024];
    uint32_t bytes = fake_frame(expected, length, seed);
    uint32_t have = 0;

    expected[7] = XD_FRAME_REPLY;
    for (uint32_t turn = 0; turn < 1000 && have < bytes; turn++) {
        int64_t got = sim_client_recv(kit->sim, client, heard + have, bytes - have);
        if (got == -EAGAIN)
            kit_turn(kit, KIT_TURN_NS);
        else
            cr_assert_gt(got, 0, "%lld after %u bytes", (long long)got, have);
        have += got > 0 ? (uint32_t)got : 0;
    }
    cr_assert_eq(have, bytes);
    cr_assert_eq(memcmp(heard, expected, bytes), 0);
}

/* Shuts down in order; all sockets, buffers, chunks and large buffers are back. */
static inline void kit_close(struct kit *kit)
{
    uint32_t ends = 0;

    net_close_begin(kit->net);
    for (uint32_t turn = 0; turn < 100000 && !net_closed(kit->net); turn++)
        kit_turn(kit, KIT_TURN_NS);
    cr_assert(net_closed(kit->net));
    kit_news(kit);
    cr_assert_eq(net_connections(kit->net), 0);
    cr_assert_eq(net_deadline_ns(kit->net), UINT64_MAX);
    for (int reason = 0; reason < NET_CLOSE_REASON_COUNT; reason++)
        ends += kit->closed[reason];
    cr_assert_eq(ends, kit->accepted);
    cr_assert_eq(kit->counters.v[COUNTER_connections_open], 0);
    cr_assert_eq(kit->counters.v[COUNTER_connections_accepted], kit->accepted);
    uint8_t *large[64];
    for (uint32_t i = 0; i < kit->options.large_count; i++) {
        large[i] = net_large_acquire(kit->net);
        cr_assert_not_null(large[i]);
    }
    for (uint32_t i = 0; i < kit->options.large_count; i++)
        net_large_release(kit->net, large[i]);
    sim_close(kit->sim);
    free(kit->memory);
    free(kit);
}

#endif
