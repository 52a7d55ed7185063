/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/net/net.h, "other shards", on many seeds: frames cut anywhere, buffers of any number and
 * size, little that may be lent, stalls and messages that wait, resets on the way. Each client
 * hears exactly what it said.
 */
#include "broker/net/net.h"

#include "tests/support/net_pair.h"

#include <criterion/criterion.h>

#define STORM_CLIENTS 12u
#define STORM_BYTES (64u * 1024u)

/* One client of the storm: what it will say, and how far it has come. */
struct storm_client {
    uint8_t said[STORM_BYTES]; /* whole frames, as their echo */
    uint32_t bytes;            /* of them */
    uint32_t at;               /* sent so far */
    uint32_t heard;            /* of the echo */
    int id;                    /* the simulator's */
    bool quits;                /* resets on the way */
    bool gone;                 /* has done so */
};

static void storm_prepare(struct prng *prng, struct storm_client *client, uint32_t number)
{
    for (uint32_t i = 0; client->bytes < STORM_BYTES - 21000; i++) {
        bool big = i > 0 && prng_chance(prng, 5000); /* the first comes before admission */
        uint8_t *frame = client->said + client->bytes;
        uint32_t length = (uint32_t)prng_below(prng, big ? 20000 : 400);
        client->bytes += fake_frame(frame, length, number * 1000 + i);
        frame[7] = XD_FRAME_REPLY;
    }
    client->quits = number % 4 == 3;
}

/* Says a random part, hears a random part. True while there is something to say or hear. */
static bool storm_step(struct pair *pair, struct storm_client *client)
{
    static uint8_t heard[16 * 1024];
    struct sim *sim = pair->kit->sim;
    uint32_t bytes = 1 + (uint32_t)prng_below(&pair->prng, 3000);

    if (client->gone || client->heard == client->bytes)
        return false;
    if (client->quits && client->at > client->bytes / 2) {
        sim_client_reset(sim, client->id);
        client->gone = true;
        return false;
    }
    bytes = bytes < client->bytes - client->at ? bytes : client->bytes - client->at;
    int64_t sent = sim_client_send(sim, client->id, client->said + client->at, bytes);
    cr_assert(sent >= 0 || sent == -EAGAIN);
    client->at += sent > 0 ? (uint32_t)sent : 0;
    if (prng_chance(&pair->prng, 30000))
        return true;
    int64_t got =
        sim_client_recv(sim, client->id, heard, 1 + prng_below(&pair->prng, sizeof(heard)));
    cr_assert(got > 0 || got == -EAGAIN, "%lld", (long long)got);
    for (int64_t i = 0; i < got; i++) {
        cr_assert_lt(client->heard, client->bytes);
        cr_assert_eq(heard[i], client->said[client->heard], "client %d at %u", client->id,
                     client->heard);
        client->heard++;
    }
    return true;
}

static void storm(uint64_t seed)
{
    struct storm_client *clients = calloc(STORM_CLIENTS, sizeof(*clients));
    struct kit_setup setup;
    struct prng prng;
    bool busy = true;

    prng_seed(&prng, seed);
    pair_setup_init(&setup, seed);
    setup.sim.window_bytes = 32 * 1024;
    setup.sim.rates.net_fragment = (uint32_t)prng_below(&prng, 65536);
    setup.process.buffer_count = 8u << prng_below(&prng, 4);
    setup.process.buffer_bytes = 1024u << prng_below(&prng, 5);
    setup.net.frame_bytes_max = 32 * 1024;
    setup.net.lents_max = 1u << prng_below(&prng, 8);
    setup.net.spill_count = 40; /* enough for all, so that nobody is shed */
    setup.net.out_chunk_bytes = 2048;
    setup.net.out_chunk_count = 40;
    setup.net.out_chunks_per_conn = 3;
    struct pair *pair = pair_open(&setup);
    pair->chance = (uint32_t)prng_below(&prng, 30000);
    for (uint32_t i = 0; i < STORM_CLIENTS; i++) {
        storm_prepare(&prng, &clients[i], i);
        clients[i].id = sim_client_connect(pair->kit->sim, pair->kit->address);
    }
    for (uint32_t turn = 0; turn < 200000 && busy; turn++) {
        busy = false;
        for (uint32_t i = 0; i < STORM_CLIENTS; i++)
            busy |= storm_step(pair, &clients[i]);
        kit_turn(pair->kit, KIT_TURN_NS / 20);
    }
    cr_assert_not(busy, "seed %llu stands still", (unsigned long long)seed);
    pair->chance = 0;
    kit_turns(pair->kit, 50);
    cr_assert_eq(pair->kit->closed[NET_CLOSE_ERROR], STORM_CLIENTS / 4);
    cr_assert_eq(env_buffers_free(pair->kit->env), setup.process.buffer_count);
    pair_close(pair);
    free(clients);
}

/* Twelve clients, of which every fourth resets on the way, frames cut anywhere, few buffers, stalls
 * and messages that wait: each of the others hears its own bytes and all of them. */
Test(net_shards, keeps_any_stream_of_any_client, .timeout = 300)
{
    for (uint64_t seed = 1; seed <= 30; seed++)
        storm(seed);
}
