/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/shard/fold.c: the state is a function of the log alone. A log or a checkpoint that no
 * broker of this release can have written stops the start and says where; nothing of it is served.
 */
#include "broker/shard/state.h"

#include "broker/partition/control.h"
#include "tests/sim/shard_kit.h"
#include "wire/status.h"

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

/* ---- logs that contradict themselves --------------------------------------------------------- */

/* Turns of the log alone, without the fold, until everything appended is durable. */
static void make_durable(struct shard_kit *kit)
{
    struct shard *shard = kit->broker.shard;
    while (log_durable_index(shard->log) < log_last_index(shard->log)) {
        struct env_event events[16];
        log_kick(shard->log);
        int count = env_wait(kit->broker.env, events, 16, log_deadline_ns(shard->log));
        cr_assert_geq(count, 0);
        for (int i = 0; i < count; i++) {
            cr_assert_eq(env_token_owner(events[i].token), ENV_OWNER_LOG);
            log_done(shard->log, &events[i]);
        }
    }
}

/* Puts a batch into the log as it is. */
static void append_raw(struct shard_kit *kit, const struct xd_batch_header *batch)
{
    uint8_t *memory;
    cr_assert_eq(log_reserve(kit->broker.shard->log, batch->batch_bytes, &memory), 0);
    memcpy(memory, batch, batch->batch_bytes);
    (void)log_append(kit->broker.shard->log);
}

/* Asserts that the folder cannot be started, again and again, for a reason that names the place. */
static void cannot_start(struct shard_kit *kit, int status, const char *place, const char *reason)
{
    for (uint32_t i = 0; i < 2; i++) {
        sim_broker_crash(&kit->broker, SIM_CRASH_KEEP_NONE);
        cr_assert_eq(sim_broker_start(&kit->broker), status, "%s: %s", reason, kit->broker.why);
        cr_assert_not_null(strstr(kit->broker.why, place), "%s", kit->broker.why);
        cr_assert_not_null(strstr(kit->broker.why, reason), "%s", kit->broker.why);
    }
}

union control {
    struct xd_batch_header batch;
    _Alignas(8) uint8_t bytes[512];
};

static void session_entry(uint32_t channel, uint32_t producer_epoch, union control *ret)
{
    struct control_session body = {.channel = channel,
                                   .producer_epoch = producer_epoch,
                                   .channel_epoch = 1,
                                   .source_bytes = 3,
                                   .name_bytes = 1,
                                   .source = "wms",
                                   .name = "a"};
    control_encode(CONTROL_SESSION, &body, sizeof body, 1, ret->bytes);
}

/* An entry of a kind, a body or a number that does not follow from what stands before it. */
Test(shard_fold, stops_at_a_control_entry_that_contradicts_the_log)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {{XD_FORMAT_UNKNOWN, "of a kind that this release does not know"},
                {XD_LOG_CORRUPT, "wrong length"},
                {XD_LOG_CORRUPT, "never zero"},
                {XD_LOG_CORRUPT, "unknown channel"},
                {XD_LOG_CORRUPT, "malformed name or number"},
                {XD_LOG_CORRUPT, "contradicts the catalog"}};
    for (uint32_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        union control entry;
        struct control_config config = {.object = CONTROL_FACILITY,
                                        .number = row == 4 ? 0 : 9,
                                        .name_bytes = 4,
                                        .name = "DC07"};
        struct shard_kit *kit = shard_kit_open(row + 1);
        make_durable(kit);
        session_entry(row == 3 ? 7 : 1, row == 2 ? 0 : 1, &entry);
        if (row == 0)
            entry.batch.control_kind = 99;
        else if (row == 1)
            control_encode(CONTROL_SESSION, &config, sizeof config, 1, entry.bytes);
        else if (row >= 4)
            control_encode(CONTROL_CONFIG, &config, sizeof config, 1, entry.bytes);
        append_raw(kit, &entry.batch);
        make_durable(kit);
        cannot_start(kit, rows[row].status, "log index 2, position ", rows[row].reason);
        shard_kit_close(kit);
    }
}

/* A batch in a partition that does not exist, of a channel that was not opened, or behind a gap of
 * sequences. (A gap of offsets is seen by the log itself.) */
Test(shard_fold, stops_at_a_batch_that_contradicts_the_log)
{
    static const char *const reasons[] = {"that the catalog does not have", "has not opened",
                                          "does not continue"};
    static struct batch_build build;
    for (uint32_t row = 0; row < sizeof reasons / sizeof reasons[0]; row++) {
        union control entry;
        struct kit_channel channel = {.target = {.producer_id = row == 1 ? 2 : 1,
                                                 .producer_epoch = 1,
                                                 .channel_epoch = 1,
                                                 .partition = row == 0 ? 60 : 0,
                                                 .strategy = XD_STRATEGY_SKU},
                                      .previous = row == 2 ? 5 : 0,
                                      .sequence = 9};
        struct shard_kit *kit = shard_kit_open(row + 1);
        make_durable(kit);
        session_entry(1, 1, &entry);
        append_raw(kit, &entry.batch);
        shard_kit_batch(&channel, SKU, 3, &build);
        append_raw(kit, &build.header);
        make_durable(kit);
        cannot_start(kit, XD_LOG_CORRUPT, "batch 1: ", reasons[row]);
        shard_kit_close(kit);
    }
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

/* A state that is whole by its hash and is no state: in either of its sections, or with bytes
 * behind them. It is refused, not repaired and not passed over. */
Test(shard_fold, refuses_a_checkpoint_whose_state_does_not_decode)
{
    for (uint32_t row = 0; row < 3; row++) {
        struct shard_kit *kit = shard_kit_open(row + 1);
        struct kit_client *client = shard_kit_connect(kit, 0);
        struct kit_channel channel;
        uint64_t bytes_max, generation = kit->broker.checkpoints;
        shard_kit_channel(kit, client, "a", SKU, &channel);
        cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 3).status, 0);
        struct shard *shard = kit->broker.shard;
        uint8_t *out = log_checkpoint_begin(shard->log, &bytes_max);
        uint64_t bytes = fold_save(shard, out, bytes_max);
        if (row == 0)
            out[0] ^= 1;
        else if (row == 1)
            out[catalog_save_bytes(&shard->catalog)] ^= 1;
        else
            memset(out + bytes, 0, 8);
        log_checkpoint_commit(shard->log, row < 2 ? bytes : bytes + 8);
        while (kit->broker.checkpoints == generation)
            shard_kit_pass(kit, 1);
        cannot_start(kit, XD_CHECKPOINT_CORRUPT, "checkpoint", "does not decode");
        shard_kit_close(kit);
    }
}

/* Limits below what the newest checkpoint holds stop the start and are named; raised again, all of
 * it is there. */
Test(shard_fold, names_the_limits_that_a_checkpoint_exceeds)
{
    struct sim_options world;
    sim_options_init(&world, 3);
    world.rates.buggify_enabled = 65536;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    shard_kit_channel(kit, client, "b", SKU, &channel);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t correlation = wire_client_admin(
            &client->wire, "facility add", i == 0 ? "{\"name\":\"DC1\"}" : "{\"name\":\"DC2\"}");
        cr_assert_eq(shard_kit_await(kit, client, correlation), 0);
    }
    sim_rates(kit->broker.sim)->buggify_fires = 3000;
    uint64_t before = kit->broker.checkpoints;
    while (kit->broker.checkpoints < before + 2)
        cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1).status, 0);
    sim_rates(kit->broker.sim)->buggify_fires = 0;
    shard_kit_pass(kit, 300);
    uint64_t hash = sim_broker_state_hash(&kit->broker);
    kit->broker.options.facilities_max = 1;
    cannot_start(kit, XD_CATALOG_FULL, "raise", "catalog.facilities_max");
    kit->broker.options.facilities_max = 8;
    kit->broker.options.sessions.channels_max = 1;
    cannot_start(kit, XD_CATALOG_FULL, "raise", "produce.channels_max");
    kit->broker.options.sessions.channels_max = 32;
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(sim_broker_state_hash(&kit->broker), hash);
    shard_kit_close(kit);
}
