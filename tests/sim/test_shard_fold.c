/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/shard/fold.c: the state is a function of the log alone.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"

#include <criterion/criterion.h>
#include <string.h>

#define SKU "SKU-4711"

/* The state folded live, after a restart from the log, and after one from a checkpoint. */
Test(shard_fold, the_fold_state_is_the_same_after_a_restart)
{
    struct sim_options world;
    sim_options_init(&world, 3);
    world.rates.buggify_enabled = 65536;
    struct shard_kit *kit = shard_kit_open_in(&world);
    uint64_t previous = 0;
    shard_kit_start(kit);
    for (uint32_t round = 0; round < 6; round++) {
        struct kit_client *client = shard_kit_connect(kit, 0);
        struct kit_channel channel;
        sim_rates(kit->broker.sim)->buggify_fires = round % 2 == 0 ? 0 : 3000;
        shard_kit_channel(kit, client, round % 3 == 0 ? "a" : "b", SKU, &channel);
        for (uint32_t i = 0; i < 40; i++)
            cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1 + i % 3).status, 0);
        sim_rates(kit->broker.sim)->buggify_fires = 0;
        shard_kit_pass(kit, 300);
        uint64_t hash = sim_broker_state_hash(&kit->broker);
        cr_assert_neq(hash, previous);
        shard_kit_restart(kit, (enum sim_crash_menu)(round % SIM_CRASH_MENU_COUNT));
        cr_assert_eq(sim_broker_state_hash(&kit->broker), hash, "round %u", round);
        previous = hash;
    }
    cr_assert_gt(kit->broker.checkpoints, 0);
    shard_kit_close(kit);
}
