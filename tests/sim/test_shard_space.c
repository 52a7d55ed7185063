/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk that is nearly full: producers are refused with the reason, consumers are served, and all
 * goes on when there is space again.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <string.h>

#define SKU "SKU-4711"
#define DISK_BYTES (16ull << 30)

static bool status_says(struct shard_kit *kit, const char *text)
{
    static char json[XD_ADMIN_REPLY_BYTES_MAX + 1];
    json[shard_status_json(kit->broker.shard, json, sizeof json - 1)] = '\0';
    return strstr(json, text) != NULL;
}

/* A broker whose segments are full as soon as the next one is ready. */
static struct shard_kit *rolling(void)
{
    struct sim_options world;
    sim_options_init(&world, 11);
    world.rates.buggify_enabled = 65536;
    world.rates.buggify_fires = 65536;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    return kit;
}

/* Produces until READ_ONLY, after `*records` acknowledged ones. */
static struct xd_ack fill(struct shard_kit *kit, struct kit_client *client,
                          struct kit_channel *channel, uint64_t *records)
{
    for (uint32_t i = 0; i < 200; i++) {
        struct kit_channel before = *channel;
        struct xd_ack ack = shard_kit_produce(kit, client, channel, SKU, 3);
        if (ack.status < 0) {
            *channel = before; /* to be sent again */
            return ack;
        }
        *records += 3;
        shard_kit_pass(kit, 20);
    }
    cr_assert_fail("the disk does not fill up");
    return (struct xd_ack){0};
}

/* No space for another segment, then none at all: READ_ONLY with a delay, reads served, also after
 * a restart; then space, and the same batch is appended at the next offset. */
Test(shard_space, refuses_producers_and_serves_readers_until_there_is_space, .timeout = 120)
{
    uint64_t records = 0, hash;
    struct kit_channel channel;
    struct shard_kit *kit = rolling();
    struct sim *sim = kit->broker.sim;
    struct kit_client *client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    uint32_t partition = channel.target.partition;
    struct xd_ack ack = shard_kit_produce(kit, client, &channel, SKU, 3);
    cr_assert_eq(ack.status, 0);
    records += 3;
    for (uint32_t round = 0; round < 3; round++) {
        uint64_t low = kit->broker.options.log.disk_low_bytes;
        sim_disk_capacity(sim, sim_disk_used(sim) + (round == 1 ? 0 : low / 2));
        ack = fill(kit, client, &channel, &records);
        cr_assert_eq(ack.status, XD_READ_ONLY, "%s", xd_status_name(ack.status));
        cr_assert_gt(ack.retry_after_ms, 0);
        cr_assert(status_says(kit, "\"state\":\"read_only\""));
        cr_assert_eq(shard_kit_read_all(kit, client, partition, &hash), records);
        if (round == 2) {
            shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
            client = shard_kit_connect(kit, 0);
            cr_assert_eq(shard_kit_read_all(kit, client, partition, &hash), records);
        }
        sim_disk_capacity(sim, DISK_BYTES);
        shard_kit_pass(kit, 3000);
        cr_assert_not(status_says(kit, "read_only"));
        if (round == 2)
            shard_kit_channel(kit, client, "a", SKU, &channel);
        ack = shard_kit_produce(kit, client, &channel, SKU, 3);
        cr_assert_eq(ack.status, 0, "%s", xd_status_name(ack.status));
        cr_assert_eq(ack.base_offset, records);
        records += 3;
    }
    shard_kit_close(kit);
}
