/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net against peers that misbehave and more of them than there is room for: each is closed
 * for the right reason, the others are served, nothing is left behind.
 */
#include "broker/net/net.h"

#include "tests/support/net_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>

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

/* A frame over the limit before admission, one after it, and what is no frame: each is closed with
 * its reason and status, and the client learns of it. */
Test(net_peers, closes_for_bad_frames)
{
    struct kit *kit = kit_plain(3);
    uint8_t head[XD_FRAME_HEADER_BYTES];
    int early = kit_connect(kit);
    int late = kit_connect(kit);
    int other = kit_connect(kit);

    xd_frame_encode(&(struct xd_frame){.length = 4097, .op = 1, .version = 1}, head);
    kit_say(kit, early, head, sizeof(head));
    kit_turns(kit, 5);
    cr_assert_eq(kit->closed[NET_CLOSE_TOO_LARGE], 1);
    cr_assert_eq(kit->last_cause, (uint64_t)-XD_FRAME_TOO_LARGE);

    kit_say_frame(kit, late, 4096, 1);
    kit_hear(kit, late, 4096, 1);
    kit_say_frame(kit, late, 100000, 2);
    kit_hear(kit, late, 100000, 2);
    xd_frame_encode(
        &(struct xd_frame){.length = kit->options.frame_bytes_max + 1, .op = 1, .version = 1},
        head);
    kit_say(kit, late, head, sizeof(head));
    kit_turns(kit, 5);
    cr_assert_eq(kit->closed[NET_CLOSE_TOO_LARGE], 2);

    kit_say(kit, other, (const uint8_t *)"SSH-2.0-OpenSSH_9.2\r\n", 21);
    kit_turns(kit, 5);
    cr_assert_eq(kit->closed[NET_CLOSE_MALFORMED], 1);
    cr_assert_eq(kit->last_cause, (uint64_t)-XD_FRAME_MALFORMED);
    cr_assert(sim_client_ended(kit->sim, early));
    cr_assert(sim_client_ended(kit->sim, late));
    cr_assert(sim_client_ended(kit->sim, other));
    cr_assert_eq(buffers_free(kit), 128);
    kit_close(kit);
}

/* A silent peer and one that trickles its frame are gone at their time, woken by net_deadline_ns
 * alone; one that has introduced itself may be silent. */
Test(net_peers, closes_who_is_slow)
{
    struct kit *kit = kit_plain(4);
    uint8_t frame[XD_FRAME_HEADER_BYTES + 100];
    int good = kit_connect(kit);

    kit_say_frame(kit, good, 8, 1);
    kit_hear(kit, good, 8, 1);
    (void)kit_connect(kit); /* silent */
    int trickler = kit_connect(kit);
    kit_say_frame(kit, trickler, 8, 1);
    kit_hear(kit, trickler, 8, 1);
    fake_frame(frame, 100, 2);
    for (uint32_t i = 0; i < 9; i++) {
        kit_say(kit, trickler, frame + i, 1);
        kit_pass(kit, 1000);
        cr_assert_eq(kit->closed[NET_CLOSE_HELLO_SLOW], i >= 4 ? 1 : 0, "second %u", i);
    }
    cr_assert_eq(kit->closed[NET_CLOSE_FRAME_SLOW], 0);
    kit_pass(kit, 1100);
    cr_assert_eq(kit->closed[NET_CLOSE_FRAME_SLOW], 1);
    cr_assert_eq(kit->last_cause, ETIMEDOUT);
    cr_assert_eq(net_connections(kit->net), 1);
    kit_say_frame(kit, good, 8, 2);
    kit_hear(kit, good, 8, 2);
    kit_close(kit);
}

/* A peer that asks and does not read fills its output, then its frames wait, then its window, and
 * at last it is closed; meanwhile another one is served. */
Test(net_peers, holds_back_a_peer_that_does_not_read)
{
    struct kit *kit = kit_plain(5);
    static uint8_t frame[XD_FRAME_HEADER_BYTES + 4000];
    uint32_t bytes = fake_frame(frame, 4000, 1);
    int client = kit_connect(kit);
    int other = kit_connect(kit);
    uint32_t taken = 0;

    for (uint32_t turn = 0; turn < 400; turn++) {
        int64_t sent =
            sim_client_send(kit->sim, client, frame + taken % bytes, bytes - taken % bytes);
        taken += sent > 0 ? (uint32_t)sent : 0;
        kit_turn(kit, KIT_TURN_NS / 10);
    }
    /* Window each way, 17 chunks of answers, 256 KiB and what was under way of questions. */
    cr_assert_gt(taken, 400u * 1024);
    cr_assert_lt(taken, 1024u * 1024);
    cr_assert_geq(buffers_free(kit), 96);
    kit_say_frame(kit, other, 100, 2);
    kit_hear(kit, other, 100, 2);
    kit_pass(kit, 31000);
    cr_assert_eq(kit->closed[NET_CLOSE_SEND_SLOW], 1);
    kit_say_frame(kit, other, 100, 3);
    kit_hear(kit, other, 100, 3);
    cr_assert_eq(buffers_free(kit), 128);
    kit_close(kit);
}

/* The same peer that comes to read after all gets every answer, in sequence. */
Test(net_peers, goes_on_when_the_peer_reads_again)
{
    struct kit *kit = kit_plain(6);
    int client = kit_connect(kit);
    uint32_t asked = 0;

    while (sim_client_writable(kit->sim, client) >= 4000 + XD_FRAME_HEADER_BYTES) {
        kit_say_frame(kit, client, 4000, asked++);
        kit_turns(kit, 3);
    }
    cr_assert_gt(asked, 100);
    for (uint32_t i = 0; i < asked; i++)
        kit_hear(kit, client, 4000, i);
    kit_close(kit);
}

/* A reset inside a frame ends that connection and gives its buffers back. */
Test(net_peers, survives_a_reset_inside_a_frame)
{
    struct kit *kit = kit_plain(7);
    static uint8_t frame[XD_FRAME_HEADER_BYTES + 60000];
    int client = kit_connect(kit);

    kit_say_frame(kit, client, 8, 1);
    kit_hear(kit, client, 8, 1);
    fake_frame(frame, 60000, 2);
    kit_say(kit, client, frame, 40000);
    kit_turns(kit, 5);
    cr_assert_eq(buffers_free(kit), 128 - 3);
    sim_client_reset(kit->sim, client);
    kit_turns(kit, 5);
    cr_assert_eq(kit->closed[NET_CLOSE_ERROR], 1);
    cr_assert_eq(kit->last_cause, ECONNRESET);
    cr_assert_eq(buffers_free(kit), 128);
    cr_assert_eq(kit->frames, 1);
    kit_close(kit);
}

/* 200 connections hold a partial frame each, more than there are buffers: every one becomes whole,
 * because what they hold is copied away. */
Test(net_peers, completes_more_partial_frames_than_buffers)
{
    struct kit_setup setup;
    kit_setup_init(&setup, 8);
    setup.net.strangers_max = 0;
    struct kit *kit = kit_open(&setup);
    static uint8_t frames[200][XD_FRAME_HEADER_BYTES + 3000];
    int clients[200];

    for (uint32_t i = 0; i < 200; i++)
        clients[i] = kit_connect(kit);
    for (uint32_t part = 0; part < 3; part++) {
        for (uint32_t i = 0; i < 200; i++) {
            fake_frame(frames[i], 3000, i);
            kit_say(kit, clients[i], frames[i] + part * 1000, 1000);
        }
        kit_turns(kit, 30);
        cr_assert_gt(buffers_free(kit), 0);
    }
    for (uint32_t i = 0; i < 200; i++) {
        kit_say(kit, clients[i], frames[i] + 3000, XD_FRAME_HEADER_BYTES);
        kit_hear(kit, clients[i], 3000, i);
    }
    cr_assert_eq(kit->frames, 200);
    cr_assert_eq(kit->closed[NET_CLOSE_SHED], 0);
    kit_close(kit);
}

/* With too little memory for all partial frames some connections are closed, each frame of the
 * others becomes whole, and the module never stands still. */
Test(net_peers, sheds_and_goes_on_when_memory_is_short)
{
    struct kit_setup setup;
    static uint8_t frame[XD_FRAME_HEADER_BYTES + 20000];
    int clients[60];
    uint32_t answered = 0;

    kit_setup_init(&setup, 9);
    setup.process.buffer_count = 16;
    setup.process.buffer_bytes = 4096;
    setup.net.frame_bytes_max = 64 * 1024;
    setup.net.spill_count = 4;
    struct kit *kit = kit_open(&setup);
    for (uint32_t i = 0; i < 60; i++) {
        clients[i] = kit_connect(kit);
        kit_say_frame(kit, clients[i], 8, 1);
        kit_hear(kit, clients[i], 8, 1);
    }
    fake_frame(frame, 20000, 2);
    for (uint32_t i = 0; i < 60; i++)
        kit_say(kit, clients[i], frame, 12000);
    kit_turns(kit, 200);
    cr_assert_gt(kit->closed[NET_CLOSE_SHED], 0);
    for (uint32_t i = 0; i < 60; i++) {
        if (sim_client_ended(kit->sim, clients[i]))
            continue;
        if (sim_client_send(kit->sim, clients[i], frame + 12000, 8016) != 8016)
            continue; /* Closed, and not known there yet. */
        answered++;
    }
    kit_turns(kit, 300);
    uint32_t alive = net_connections(kit->net);
    cr_assert_gt(alive, 8);
    cr_assert_geq(answered, alive);
    cr_assert_eq(kit->frames, 60 + alive);
    cr_assert_eq(alive + kit->closed[NET_CLOSE_SHED], 60);
    cr_assert_eq(buffers_free(kit), 16);
    kit_close(kit);
}

/* Every slot taken: the next client is refused at once and told by its end; a freed slot serves
 * again. The same where the env has fewer places than the module. */
Test(net_peers, refuses_connections_over_the_limit)
{
    struct kit_setup setup;

    for (uint32_t conns_max = 3; conns_max <= 8; conns_max += 5) {
        kit_setup_init(&setup, 12);
        setup.net.connections_max = conns_max == 3 ? 8 : 3;
        setup.process.conns_max = conns_max;
        struct kit *kit = kit_open(&setup);
        int clients[3];
        for (uint32_t i = 0; i < 3; i++)
            clients[i] = kit_connect(kit);
        int fourth = sim_client_connect(kit->sim, kit->address);
        kit_turns(kit, 5);
        cr_assert_eq(kit->refused, 1);
        cr_assert_eq(kit->counters.v[COUNTER_connections_shed], 1);
        cr_assert(sim_client_ended(kit->sim, fourth));
        sim_client_free(kit->sim, clients[1]);
        kit_turns(kit, 5);
        int fifth = kit_connect(kit);
        kit_say_frame(kit, fifth, 8, 1);
        kit_hear(kit, fifth, 8, 1);
        kit_close(kit);
    }
}

/* 10,000 connections come and go, in every way there is: counts return to zero, ids do not repeat
 * while anybody could still use them, and old ids reach nobody. */
Test(net_peers, leaks_nothing_over_10000_connections, .timeout = 300)
{
    struct kit_setup setup;
    struct net_frame frame;
    net_id old = 0;

    kit_setup_init(&setup, 13);
    setup.net.connections_max = 16;
    struct kit *kit = kit_open(&setup);
    for (uint32_t i = 0; i < 10000; i++) {
        int client = sim_client_connect(kit->sim, kit->address);
        if (i % 3 == 0)
            kit_say_frame(kit, client, 40, i);
        if (i % 5 == 0)
            kit_say(kit, client, (const uint8_t *)"abc", 3);
        kit_turns(kit, 1 + i % 3);
        if (i % 7 == 0)
            net_close(kit->net, kit->last);
        if (i % 2 == 0)
            sim_client_reset(kit->sim, client);
        sim_client_free(kit->sim, client);
        if (i % 11 == 0) {
            /* Late answers to somebody who has gone. */
            uint8_t *large = net_large_acquire(kit->net);
            cr_assert_not(net_alive(kit->net, old));
            cr_assert_null(net_out_reserve(kit->net, old, 8));
            if (large != NULL)
                net_large_send(kit->net, old, large, 8);
            net_close(kit->net, old);
        }
        if (i % 64 == 0) {
            kit_pass(kit, 5);
            cr_assert_eq(net_connections(kit->net), 0);
            cr_assert_eq(buffers_free(kit), 128);
            old = kit->last;
        }
    }
    kit_turns(kit, 20);
    cr_assert_eq(kit->accepted + kit->refused, 10000);
    cr_assert_gt(kit->accepted, 9000);
    cr_assert_eq(net_connections(kit->net), 0);
    cr_assert_eq(buffers_free(kit), 128);
    cr_assert_eq(net_frame_next(kit->net, &frame), 0);
    kit_close(kit);
}
