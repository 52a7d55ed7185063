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
