/* SPDX-License-Identifier: Apache-2.0
 *
 * ADMIN: reading verbs at once, changes when they are durable.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* Changes by verb are answered when they are durable: they survive a power cut right after. */
Test(shard_on_admin, an_answered_verb_survives_a_power_cut)
{
    struct shard_kit *kit = shard_kit_open(1);
    for (uint32_t i = 0; i < 6; i++) {
        char json[64];
        struct kit_client *client = shard_kit_connect(kit, 0);
        snprintf(json, sizeof json, "{\"name\":\"DC%u\"}", i);
        uint64_t correlation = wire_client_admin(&client->wire, "facility add", json);
        cr_assert_eq(shard_kit_await(kit, client, correlation), 0, "%s", kit->reply.detail);
        shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
        client = shard_kit_connect(kit, 0);
        correlation = wire_client_admin(&client->wire, "facility show", json);
        cr_assert_eq(shard_kit_await(kit, client, correlation), 0, "%s", kit->reply.detail);
    }
    struct kit_client *client = shard_kit_connect(kit, 0);
    uint64_t correlation = wire_client_admin(&client->wire, "facility ad", "{\"name\":\"X\"}");
    cr_assert_eq(shard_kit_await(kit, client, correlation), XD_NOT_FOUND);
    correlation = wire_client_admin(&client->wire, "facility add", "{\"name\":");
    cr_assert_eq(shard_kit_await(kit, client, correlation), XD_FIELD_INVALID);
    correlation = wire_client_admin(&client->wire, "status", "");
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    cr_assert(kit->reply.body_bytes > 100 && kit->reply.body[0] == '{');
    shard_kit_close(kit);
}

/* Answers wait for clients that do not read, those of changes as well: a change is made all the
 * same, others see it as soon as there is a buffer to tell them, and every verb is answered once.
 */
Test(shard_on_admin, answers_wait_for_clients_that_do_not_read)
{
    enum { ASKED = 60 };
    struct sim_options world;
    uint32_t replies[2];
    sim_options_init(&world, 1);
    world.window_bytes = 4096;
    world.spike_ns = 200000000;
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.net.large_count = 3; /* one more than a connection may have */
    shard_kit_start(kit);
    struct kit_client *other = shard_kit_connect(kit, 2);
    sim_rates(kit->broker.sim)->spike = 65536;
    for (uint32_t i = 0; i < 2; i++) {
        struct kit_client *deaf = shard_kit_connect(kit, i);
        sim_client_partition(kit->broker.sim, deaf->wire.id, false, true);
        replies[i] = deaf->reply_count;
        wire_client_admin(&deaf->wire, "facility add",
                          i == 0 ? "{\"name\":\"DC07\"}" : "{\"name\":\"DC08\"}");
        for (uint32_t k = 1; k < ASKED; k++)
            wire_client_admin(&deaf->wire, "status", "");
    }
    shard_kit_pass(kit, 1000);
    sim_rates(kit->broker.sim)->spike = 0;
    uint32_t before = other->reply_count;
    uint64_t correlation = wire_client_admin(&other->wire, "facility show", "{\"name\":\"DC08\"}");
    shard_kit_pass(kit, 500);
    shard_kit_drain(kit, other);
    cr_assert_eq(other->reply_count, before);
    sim_client_partition(kit->broker.sim, kit->clients[0].wire.id, false, false);
    cr_assert_eq(shard_kit_await(kit, other, correlation), 0, "%s", kit->reply.detail);
    sim_client_partition(kit->broker.sim, kit->clients[1].wire.id, false, false);
    for (uint32_t i = 0; i < 2; i++) {
        shard_kit_await_replies(kit, &kit->clients[i], replies[i] + ASKED);
        cr_assert_eq(kit->reply.head.status, 0);
        shard_kit_pass(kit, 50);
        shard_kit_drain(kit, &kit->clients[i]);
        cr_assert_eq(kit->clients[i].reply_count, replies[i] + ASKED);
    }
    shard_kit_close(kit);
}

/* An object whose entry is on its way to the disk is added again: that changes nothing, and is
 * answered when the object is durable, not before. */
Test(shard_on_admin, a_wish_for_what_is_on_its_way_waits_for_it)
{
    struct sim_options world;
    uint64_t correlations[3];
    uint32_t replies[3];
    sim_options_init(&world, 1);
    world.spike_ns = 1000000000;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    for (uint32_t i = 0; i < 3; i++)
        replies[i] = shard_kit_connect(kit, i)->reply_count;
    sim_rates(kit->broker.sim)->spike = 65536;
    for (uint32_t i = 0; i < 3; i++) { /* each in a block of its own */
        correlations[i] =
            wire_client_admin(&kit->clients[i].wire, "facility add", "{\"name\":\"DC07\"}");
        shard_kit_pass(kit, 100);
    }
    for (uint32_t i = 0; i < 3; i++) {
        shard_kit_drain(kit, &kit->clients[i]);
        cr_assert_eq(kit->clients[i].reply_count, replies[i]);
    }
    sim_rates(kit->broker.sim)->spike = 0;
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(shard_kit_await(kit, &kit->clients[i], correlations[i]), 0);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    struct kit_client *client = shard_kit_connect(kit, 0);
    uint64_t correlation = wire_client_admin(&client->wire, "facility add", "{\"name\":\"DC08\"}");
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    cr_assert_not_null(memmem(kit->reply.body, kit->reply.body_bytes, "\"number\":2", 10), "%.*s",
                       (int)kit->reply.body_bytes, (const char *)kit->reply.body);
    shard_kit_close(kit);
}
