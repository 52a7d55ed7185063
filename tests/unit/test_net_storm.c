/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net as a whole, on many seeds: frames cut anywhere, buffers of any number and size,
 * answers that do not fit, stalls at random, resets on the way. Each client hears exactly what it
 * said.
 */
#include "broker/net/net.h"

#include "broker/base/prng.h"
#include "tests/support/net_kit.h"

#include <criterion/criterion.h>

#define STORM_CLIENTS 12u
#define STORM_BYTES (96u * 1024u)

/* One client of the storm: what it will say, and how far it has come. */
struct storm_client {
    uint8_t said[STORM_BYTES]; /* whole frames */
    uint32_t bytes;            /* of them */
    uint32_t at;               /* sent so far */
    uint32_t heard;            /* of the echo */
    uint32_t frames;           /* in it */
    int id;                    /* the simulator's */
    bool quits;                /* resets on the way */
    bool gone;                 /* has done so */
};

struct storm {
    struct prng prng;
    struct storm_client clients[STORM_CLIENTS];
};

static void serve_storm(struct kit *kit)
{
    struct storm *storm = kit->context;
    struct net_frame frame;

    if (prng_chance(&storm->prng, 40000))
        net_unstall(kit->net);
    for (uint32_t budget = (uint32_t)prng_below(&storm->prng, 60); budget > 0; budget--) {
        if (!net_frame_next(kit->net, &frame))
            return;
        net_admit(kit->net, frame.conn);
        if (prng_chance(&storm->prng, 6000) || !kit_answer(kit, &frame)) {
            net_frame_stall(kit->net);
        } else {
            kit->frames++;
            net_frame_done(kit->net);
        }
    }
}

/* Says a random part, hears a random part. True while there is something to say or hear. */
static bool storm_step(struct kit *kit, struct storm *storm, struct storm_client *client)
{
    static uint8_t heard[32 * 1024];
    uint32_t most = prng_chance(&storm->prng, 20000) ? 20000 : 300;

    if (client->gone || client->heard == client->bytes)
        return false;
    if (client->quits && client->at > client->bytes / 2) {
        sim_client_reset(kit->sim, client->id);
        client->gone = true;
        return false;
    }
    uint32_t bytes = 1 + (uint32_t)prng_below(&storm->prng, most);
    bytes = bytes < client->bytes - client->at ? bytes : client->bytes - client->at;
    int64_t sent = sim_client_send(kit->sim, client->id, client->said + client->at, bytes);
    cr_assert(sent >= 0 || sent == -EAGAIN);
    client->at += sent > 0 ? (uint32_t)sent : 0;
    if (prng_chance(&storm->prng, 30000))
        return true;
    int64_t got =
        sim_client_recv(kit->sim, client->id, heard, 1 + prng_below(&storm->prng, sizeof(heard)));
    cr_assert(got > 0 || got == -EAGAIN, "%lld", (long long)got);
    for (int64_t i = 0; i < got; i++) {
        cr_assert_lt(client->heard, client->bytes);
        cr_assert_eq(heard[i], client->said[client->heard], "client %d at %u", client->id,
                     client->heard);
        client->heard++;
    }
    return true;
}

/* Echoes carry the reply flag, so the clients say it in advance. */
static void storm_prepare(struct storm *storm, struct storm_client *client, uint32_t number)
{
    while (client->bytes < STORM_BYTES - 21000) {
        /* The first frame comes before admission. */
        bool big = client->frames > 0 && prng_chance(&storm->prng, 5000);
        uint32_t length = (uint32_t)prng_below(&storm->prng, big ? 20000 : 400);
        uint8_t *frame = client->said + client->bytes;
        client->bytes += fake_frame(frame, length, number * 1000 + client->frames++);
        frame[7] = XD_FRAME_REPLY;
    }
    client->quits = number % 4 == 3;
}

static uint64_t storm(uint64_t seed)
{
    struct storm *storm = calloc(1, sizeof(*storm));
    struct kit_setup setup;
    bool busy = true;

    prng_seed(&storm->prng, seed);
    kit_setup_init(&setup, seed);
    setup.sim.window_bytes = 32 * 1024;
    setup.sim.rates.net_fragment = (uint32_t)prng_below(&storm->prng, 65536);
    setup.process.buffer_count = 8u << prng_below(&storm->prng, 4);
    setup.process.buffer_bytes = 1024u << prng_below(&storm->prng, 5);
    setup.net.frame_bytes_max = 32 * 1024;
    setup.net.spill_count = 40; /* enough for all, so that nobody is shed */
    setup.net.out_chunk_bytes = 2048;
    setup.net.out_chunk_count = 40;
    setup.net.out_chunks_per_conn = 3;
    struct kit *kit = kit_open(&setup);
    kit->serve = serve_storm;
    kit->context = storm;
    for (uint32_t i = 0; i < STORM_CLIENTS; i++) {
        storm_prepare(storm, &storm->clients[i], i);
        storm->clients[i].id = sim_client_connect(kit->sim, kit->address);
    }
    for (uint32_t turn = 0; turn < 200000 && busy; turn++) {
        busy = false;
        for (uint32_t i = 0; i < STORM_CLIENTS; i++)
            busy |= storm_step(kit, storm, &storm->clients[i]);
        kit_turn(kit, KIT_TURN_NS / 20);
    }
    cr_assert_not(busy, "seed %llu stands still", (unsigned long long)seed);
    kit_turns(kit, 50);
    cr_assert_eq(kit->closed[NET_CLOSE_ERROR], STORM_CLIENTS / 4);
    cr_assert_eq(env_buffers_free(kit->env), setup.process.buffer_count);
    uint64_t hash = sim_trace_hash(kit->sim);
    kit_close(kit);
    free(storm);
    return hash;
}

/* Twelve clients, of which every fourth resets on the way: each of the others hears its own bytes
 * and all of them. And a seed names a run: twice the same seed is twice the same run. */
Test(net_storm, keeps_any_stream_of_any_client, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        uint64_t hash = storm(seed);
        if (seed % 10 == 0)
            cr_assert_eq(storm(seed), hash);
    }
}
