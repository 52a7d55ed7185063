/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/net.h, end to end over the simulator: frames of many clients come out identical and in
 * sequence, peers that misbehave are closed for the right reason and cost nobody else anything, and
 * nothing is left behind.
 */
#include "broker/net/net.h"

#include "tests/support/net_kit.h"

#include <signal.h>

static struct kit *kit_plain(uint64_t seed)
{
    struct kit_setup setup;

    kit_setup_init(&setup, seed);
    return kit_open(&setup);
}

static uint32_t buffers_free(const struct kit *kit)
{
    return env_buffers_free(kit->env);
}

/* A client is accepted, heard and answered; its connection has a name and a slot, and is closed
 * when it goes. */
Test(net_net, answers_a_client)
{
    struct kit *kit = kit_plain(1);
    char peer[ENV_ADDRESS_BYTES_MAX];
    int client = kit_connect(kit);

    cr_assert(net_alive(kit->net, kit->last));
    cr_assert_eq(net_slot(kit->last), 1);
    net_peer(kit->net, kit->last, peer);
    cr_assert_str_eq(peer, "client:0");
    for (uint32_t i = 0; i < 20; i++) {
        kit_say_frame(kit, client, i * 50, i);
        kit_hear(kit, client, i * 50, i);
    }
    cr_assert_eq(kit->counters.v[COUNTER_frames_received], 20);
    cr_assert_eq(kit->counters.v[COUNTER_bytes_received], kit->counters.v[COUNTER_bytes_sent]);
    sim_client_close(kit->sim, client);
    kit_turns(kit, 5);
    cr_assert_eq(kit->closed[NET_CLOSE_PEER], 1);
    cr_assert_not(net_alive(kit->net, kit->last));
    cr_assert(sim_client_ended(kit->sim, client));
    net_peer(kit->net, kit->last, peer);
    cr_assert_str_eq(peer, "(gone)");
    sim_client_free(kit->sim, client);
    kit_close(kit);
}

/* Takes frames apart in both ways that net.h offers. */
static void serve_linear(struct kit *kit)
{
    static uint8_t copy[256 * 1024];
    struct net_frame frame;

    while (net_frame_next(kit->net, &frame)) {
        net_admit(kit->net, frame.conn);
        const uint8_t *linear = net_frame_linear(kit->net, &frame);
        size_t total = 0;
        cr_assert_eq((uintptr_t)linear % 8, 0);
        net_frame_copy(&frame, 0, copy, frame.head.length);
        cr_assert_eq(memcmp(copy, linear, frame.head.length), 0);
        for (uint32_t i = 0; i < frame.piece_count; i++) {
            cr_assert_eq(memcmp(linear + total, frame.pieces[i].iov_base, frame.pieces[i].iov_len),
                         0);
            total += frame.pieces[i].iov_len;
        }
        cr_assert_eq(total, frame.head.length);
        for (uint32_t at = 0; at < frame.head.length; at += 1 + frame.head.length / 13) {
            uint32_t bytes = (frame.head.length - at + 1) / 2;
            net_frame_copy(&frame, at, copy, bytes);
            cr_assert_eq(memcmp(copy, linear + at, bytes), 0);
        }
        /* One that lies aligned in one buffer is not moved. */
        if (frame.piece_count == 1 && (uintptr_t)frame.pieces[0].iov_base % 8 == 0)
            cr_assert_eq((const void *)linear, frame.pieces[0].iov_base);
        kit->frames++;
        net_frame_done(kit->net);
    }
}

/* Payloads can be had in pieces, as parts and in one piece, whatever buffers they lie in. */
Test(net_net, shows_payloads_in_pieces_and_in_one)
{
    struct kit *kit = kit_plain(2);
    static uint8_t frames[64 * 1024];
    int client = kit_connect(kit);

    kit->serve = serve_linear;
    kit_say_frame(kit, client, 8, 1);
    kit_turns(kit, 3);
    for (uint32_t i = 1; i < 40; i++) {
        uint32_t bytes = fake_frame(frames, i * 3, i);
        bytes += fake_frame(frames + bytes, i * i * 37, i);
        kit_say(kit, client, frames, bytes);
    }
    kit_turns(kit, 20);
    cr_assert_eq(kit->frames, 79);
    sim_client_free(kit->sim, client);
    kit_close(kit);
}

/* Stalls everything until told otherwise by `context`, an uint32_t of frames that may pass. */
static void serve_some(struct kit *kit)
{
    uint32_t *pass = kit->context;
    struct net_frame frame;

    net_unstall(kit->net);
    while (net_frame_next(kit->net, &frame)) {
        net_admit(kit->net, frame.conn);
        if (*pass == 0 || !kit_answer(kit, &frame)) {
            net_frame_stall(kit->net);
            continue;
        }
        (*pass)--;
        kit->frames++;
        net_frame_done(kit->net);
    }
}

/* While the user stalls, the producer's window fills and no more than its share is buffered; then
 * every frame comes once, in sequence. */
Test(net_net, pushes_back_while_stalled_and_loses_nothing)
{
    struct kit *kit = kit_plain(10);
    static uint8_t frame[XD_FRAME_HEADER_BYTES + 9000];
    int client = kit_connect(kit);
    uint32_t pass = 1;
    uint32_t asked = 1;

    kit->serve = serve_some;
    kit->context = &pass;
    kit_say_frame(kit, client, 9000 % 4096, 0);
    kit_turns(kit, 3);
    while (sim_client_writable(kit->sim, client) > sizeof(frame)) {
        kit_say_frame(kit, client, 9000, asked++);
        kit_turn(kit, KIT_TURN_NS / 4);
    }
    kit_turns(kit, 20);
    cr_assert_lt(asked * 9016, 256u * 1024 + 2 * 64 * 1024 + 2 * 16 * 1024);
    cr_assert_gt(asked * 9016, 128u * 1024);
    cr_assert_eq(kit->frames, 1);
    kit_hear(kit, client, 9000 % 4096, 0);
    for (uint32_t i = 1; i < asked; i++) {
        pass = 1;
        kit_hear(kit, client, 9000, i);
    }
    cr_assert_eq(kit->frames, asked);
    kit_close(kit);
}

/* One client with very many frames does not keep another one waiting: at most 32 of its frames come
 * before the other's. */
Test(net_net, serves_clients_in_turn)
{
    struct kit *kit = kit_plain(11);
    static uint8_t frames[400 * 24];
    struct net_frame frame;
    uint32_t run = 0;
    uint32_t bytes = 0;

    kit->serve = NULL;
    int busy = kit_connect(kit);
    int other = kit_connect(kit);
    for (uint32_t i = 0; i < 400; i++)
        bytes += fake_frame(frames + bytes, 8, i);
    kit_say(kit, busy, frames, bytes);
    kit_turns(kit, 2);
    kit_say(kit, other, frames, 24);
    kit_turns(kit, 3);
    while (net_frame_next(kit->net, &frame) && net_slot(frame.conn) == 1) {
        net_frame_done(kit->net);
        run++;
    }
    cr_assert_eq(run, 32);
    cr_assert_eq(net_slot(frame.conn), 2);
    net_frame_done(kit->net);
    kit_close(kit);
}

/* Events with the token of a former connection hit nobody, and their buffer goes back. */
Test(net_net, drops_late_events)
{
    struct kit *kit = kit_plain(14);
    int first = kit_connect(kit);
    net_id old = kit->last;

    net_close(kit->net, old);
    kit_turns(kit, 5);
    cr_assert_eq(kit->closed[NET_CLOSE_BROKER], 1);
    for (uint32_t i = 0; i < kit->options.connections_max; i++)
        cr_assert_neq(kit->last, i + 1, "ids are not slots");
    int second = kit_connect(kit);
    for (uint8_t kind = 2; kind < 8; kind++) {
        struct env_event late = {.token = env_token(ENV_OWNER_NET, kind, old),
                                 .result = -ECONNRESET,
                                 .buffer = ENV_BUFFER_NONE};
        net_done(kit->net, &late);
    }
    kit_say_frame(kit, second, 8, 1);
    kit_hear(kit, second, 8, 1);
    sim_client_free(kit->sim, first);
    kit_close(kit);
}

/* Takes the next event of the kind from the env, without telling the module. */
static struct env_event take_event(struct kit *kit, enum env_op op)
{
    struct env_event event = {.op = ENV_OP_COUNT};

    while (event.op != op)
        cr_assert_eq(env_wait(kit->env, &event, 1, UINT64_MAX), 1);
    return event;
}

/* A receive for a former connection gives its buffer back. */
Test(net_net, releases_the_buffer_of_a_late_receive)
{
    struct kit *kit = kit_plain(19);
    int first = kit_connect(kit);
    net_id old = kit->last;

    net_close(kit->net, old);
    kit_turns(kit, 5);
    int second = kit_connect(kit);
    kit_say_frame(kit, second, 8, 1);
    struct env_event event = take_event(kit, ENV_OP_RECV);
    event.token = env_token(ENV_OWNER_NET, env_token_kind(event.token), old);
    cr_assert_eq(buffers_free(kit), 127);
    net_done(kit->net, &event);
    cr_assert_eq(buffers_free(kit), 128);
    sim_client_free(kit->sim, first);
    kit_close(kit);
}

/* A client that was accepted in the same moment as the shutdown began is refused, and the module is
 * not closed before the env is done with it. */
Test(net_net, refuses_a_client_that_meets_the_shutdown)
{
    struct kit *kit = kit_plain(20);
    int client = sim_client_connect(kit->sim, kit->address);
    struct env_event event = take_event(kit, ENV_OP_ACCEPT);

    net_close_begin(kit->net);
    net_done(kit->net, &event);
    event = take_event(kit, ENV_OP_ACCEPT);
    cr_assert_eq(event.result, -ECANCELED);
    net_done(kit->net, &event);
    cr_assert_eq(net_connections(kit->net), 0);
    cr_assert_not(net_closed(kit->net));
    kit_turns(kit, 3);
    cr_assert(net_closed(kit->net));
    cr_assert_eq(kit->refused, 1);
    cr_assert_eq(kit->accepted, 0);
    cr_assert(sim_client_ended(kit->sim, client));
    kit_close(kit);
}

/* An accept that failed is started again after a pause and not at once, since its cause may last;
 * who came meanwhile is served then. */
Test(net_net, accepts_again_after_a_pause)
{
    struct kit *kit = kit_plain(21);
    uint64_t begin_ns = env_now_mono_ns(kit->env);

    env_net_accept_stop(kit->env, 0); /* The module has not asked for it: a failure to it. */
    kit_turn(kit, KIT_TURN_NS);
    (void)sim_client_connect(kit->sim, kit->address);
    kit_pass(kit, 90);
    cr_assert_eq(kit->accepted, 0);
    cr_assert_leq(net_deadline_ns(kit->net), begin_ns + 102 * 1000000);
    kit_pass(kit, 20);
    cr_assert_eq(kit->accepted, 1);
    kit_close(kit);
}

/* Closes the connection while its frame is out, then reads the frame. */
static void serve_closing(struct kit *kit)
{
    struct net_frame frame;
    uint8_t copy[100];
    uint8_t expected[XD_FRAME_HEADER_BYTES + 100];

    while (net_frame_next(kit->net, &frame)) {
        net_close(kit->net, frame.conn);
        cr_assert_not(net_alive(kit->net, frame.conn));
        net_frame_copy(&frame, 0, copy, 100);
        fake_frame(expected, 100, 7);
        cr_assert_eq(memcmp(copy, expected + XD_FRAME_HEADER_BYTES, 100), 0);
        kit->frames++;
        if (kit->frames == 1)
            net_frame_done(kit->net);
        else
            net_frame_stall(kit->net);
    }
}

/* The user may close a connection whose frame it holds; the bytes stay until it is done with them.
 */
Test(net_net, keeps_a_frame_whose_connection_is_closed)
{
    struct kit *kit = kit_plain(22);

    kit->serve = serve_closing;
    for (uint32_t i = 0; i < 2; i++) {
        int client = kit_connect(kit);
        kit_say_frame(kit, client, 100, 7);
        kit_turns(kit, 10);
        cr_assert_eq(kit->frames, i + 1);
        cr_assert(sim_client_ended(kit->sim, client));
        cr_assert_eq(buffers_free(kit), 128);
    }
    cr_assert_eq(kit->closed[NET_CLOSE_BROKER], 2);
    kit_close(kit);
}

/* A large buffer that is sent comes back when it has left, one for a connection that is gone at
 * once; whoever holds none back can get one again. */
Test(net_net, gives_large_buffers_back)
{
    struct kit *kit = kit_plain(15);
    int client = kit_connect(kit);
    uint32_t bytes = net_large_bytes(kit->net);
    uint8_t *first = net_large_acquire(kit->net);
    uint8_t *second = net_large_acquire(kit->net);

    cr_assert_eq(bytes, kit->options.frame_bytes_max + XD_FRAME_HEADER_BYTES);
    cr_assert_null(net_large_acquire(kit->net));
    memset(first, 7, bytes);
    net_large_send(kit->net, kit->last, first, bytes);
    net_large_send(kit->net, kit->last + 1, second, bytes); /* nobody */
    second = net_large_acquire(kit->net);
    cr_assert_not_null(second);
    net_large_release(kit->net, second);
    for (uint32_t have = 0; have < bytes;) {
        static uint8_t heard[64 * 1024];
        int64_t got = sim_client_recv(kit->sim, client, heard, sizeof(heard));
        kit_turn(kit, KIT_TURN_NS);
        for (int64_t i = 0; i < got; i++)
            cr_assert_eq(heard[i], 7);
        have += got > 0 ? (uint32_t)got : 0;
        cr_assert_leq(have, bytes);
    }
    kit_close(kit);
}

/* A connection has room for two large buffers, again as soon as one has left; one that is gone for
 * any number, since nothing is kept for it. */
Test(net_net, tells_when_a_connection_has_its_share_of_large_buffers)
{
    struct kit *kit = kit_plain(18);
    int client = kit_connect(kit);
    uint8_t heard[256];

    for (int i = 0; i < 2; i++) {
        cr_assert(net_large_room(kit->net, kit->last));
        uint8_t *large = net_large_acquire(kit->net);
        memset(large, i, 128);
        net_large_send(kit->net, kit->last, large, 128);
    }
    cr_assert_not(net_large_room(kit->net, kit->last));
    cr_assert(net_large_room(kit->net, kit->last + 1)); /* nobody */
    for (int64_t have = 0; have < 256;) {
        int64_t got = sim_client_recv(kit->sim, client, heard, sizeof(heard));
        have += got > 0 ? got : 0;
        kit_turn(kit, KIT_TURN_NS);
    }
    cr_assert(net_large_room(kit->net, kit->last));
    kit_close(kit);
}

/* Shutdown lets queued answers leave, refuses who comes meanwhile, and ends. */
Test(net_net, sends_what_is_queued_before_it_closes)
{
    struct kit *kit = kit_plain(16);
    int client = kit_connect(kit);

    kit_say_frame(kit, client, 4000, 1);
    while (kit->frames == 0)
        kit_turn(kit, KIT_TURN_NS);
    uint8_t *room = net_out_reserve(kit->net, kit->last, 8);
    memset(room, 9, 8);
    net_out_commit(kit->net, kit->last, 8);
    net_close_begin(kit->net);
    net_close_begin(kit->net);
    cr_assert_not(net_closed(kit->net));
    cr_assert_null(net_out_reserve(kit->net, kit->last, 8));
    kit_hear(kit, client, 4000, 1);
    kit_turns(kit, 10);
    uint8_t tail[16];
    cr_assert_eq(sim_client_recv(kit->sim, client, tail, sizeof(tail)), 8);
    cr_assert_eq(tail[7], 9);
    cr_assert_eq(sim_client_recv(kit->sim, client, tail, sizeof(tail)), 0);
    cr_assert(net_closed(kit->net));
    kit_close(kit);
}

/* Options out of range, an arena that is too small and a ninth listener are refused with a status;
 * the needed size is enough and not much more than that. */
Test(net_net, refuses_what_it_cannot_hold)
{
    struct kit_setup setup;
    struct net *net = NULL;
    struct arena arena;
    char address[ENV_ADDRESS_BYTES_MAX];

    kit_setup_init(&setup, 17);
    setup.net.frame_bytes_max = 8192;
    struct kit *kit = kit_open(&setup);
    size_t bytes = net_bytes_needed(&setup.net);
    cr_assert_gt(arena_used(&kit->arena) + 16384, bytes);
    for (uint32_t i = 1; i < 8; i++)
        cr_assert_eq(net_listen(kit->net, "127.0.0.1:0", address), 0);
    cr_assert_eq(net_listen(kit->net, "127.0.0.1:0", address), -ENOSPC);

    void *memory = malloc(bytes);
    for (size_t part = 64; part < bytes - 16384; part += bytes / 23) {
        arena_init(&arena, memory, part);
        cr_assert_eq(net_init(kit->env, &arena, &kit->counters, &setup.net, &net), -ENOMEM);
    }
    arena_init(&arena, memory, bytes);
    struct net_options bad = setup.net;
    bad.connections_max = 65536;
    cr_assert_eq(net_init(kit->env, &arena, &kit->counters, &bad, &net), -EINVAL);
    bad = setup.net;
    bad.out_chunk_bytes = 1001;
    cr_assert_eq(net_init(kit->env, &arena, &kit->counters, &bad, &net), -EINVAL);
    bad = setup.net;
    bad.recv_buffers_max = 127;
    cr_assert_eq(net_init(kit->env, &arena, &kit->counters, &bad, &net), -EINVAL);
    cr_assert_null(net);
    free(memory);
    kit_close(kit);
}

/* Each reason has a name of its own. */
Test(net_net, names_every_reason)
{
    for (int a = 0; a < NET_CLOSE_REASON_COUNT; a++) {
        for (int b = 0; b < a; b++)
            cr_assert_str_neq(net_close_reason_name((enum net_close_reason)a),
                              net_close_reason_name((enum net_close_reason)b));
    }
}

/* A second frame while one is out is a bug of the caller and aborts. */
Test(net_net, aborts_when_two_frames_are_out, .signal = SIGABRT)
{
    struct kit *kit = kit_plain(18);
    struct net_frame frame;
    int client = kit_connect(kit);

    kit->serve = NULL;
    kit_say_frame(kit, client, 8, 1);
    kit_say_frame(kit, client, 8, 2);
    kit_turns(kit, 5);
    (void)net_frame_next(kit->net, &frame);
    (void)net_frame_next(kit->net, &frame);
}
