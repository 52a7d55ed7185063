/* SPDX-License-Identifier: Apache-2.0
 *
 * Damage at rest in a durable block: found by a reader or by a start, never served, never cut.
 */
#include "broker/shard/shard.h"

#include "broker/log/block.h"
#include "broker/log/segment.h"
#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SKU "SKU-4711"
#define FILE_NAME "wal.00"
#define BATCHES 9u
#define RECORDS 4u

/* Nine batches in blocks of their own, on disk and not in memory. */
static struct shard_kit *with_blocks(struct kit_client **ret_client, struct kit_channel *channel)
{
    struct shard_kit *kit = shard_kit_open(21);
    struct kit_client *client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, channel);
    for (uint32_t i = 0; i < BATCHES; i++)
        cr_assert_eq(shard_kit_produce(kit, client, channel, SKU, RECORDS).status, 0);
    shard_kit_pass(kit, 300);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    *ret_client = shard_kit_connect(kit, 0);
    return kit;
}

/* Place in the file of the block that holds the record. */
static uint64_t block_of(struct shard_kit *kit, uint32_t partition, uint64_t offset)
{
    _Alignas(8) uint8_t memory[16384];
    struct block_header *block = (struct block_header *)(void *)memory;
    for (uint64_t at = SEGMENT_HEADER_BYTES;; at += block->block_bytes) {
        cr_assert_eq(sim_disk_peek(kit->broker.sim, FILE_NAME, at, memory, sizeof memory),
                     (int64_t)sizeof memory);
        cr_assert(block->magic == BLOCK_MAGIC && block->block_bytes <= sizeof memory);
        const struct xd_batch_header *batch;
        uint32_t cursor = 0;
        while ((batch = block_next_batch(block, &cursor)) != NULL)
            if (batch->partition == partition && batch->record_count > 0 &&
                batch->base_offset <= offset && offset < batch->base_offset + batch->record_count)
                return at;
    }
}

static int read_status(struct shard_kit *kit, struct kit_client *client, uint32_t partition,
                       uint64_t offset)
{
    return shard_kit_await(
        kit, client, wire_client_read(&client->wire, partition, XD_SEEK_OFFSET, offset, 1, 0));
}

static bool file_there(const struct shard_kit *kit, const char *prefix, const char *suffix)
{
    char name[ENV_NAME_BYTES_MAX];
    for (uint32_t i = 0; sim_disk_name(kit->broker.sim, i, name) == 0; i++)
        if (strncmp(name, prefix, strlen(prefix)) == 0 && strstr(name, suffix) != NULL)
            return true;
    return false;
}

/* A reader meets a flipped bit: that range is refused, reported with its position and copied; all
 * other offsets are served, and producing goes on. */
Test(shard_damage, quarantines_a_range_and_serves_the_rest)
{
    struct kit_client *client;
    struct kit_channel channel;
    char text[64];
    struct shard_kit *kit = with_blocks(&client, &channel);
    uint32_t partition = channel.target.partition;
    uint64_t at = block_of(kit, partition, 4 * RECORDS);
    cr_assert_eq(sim_disk_flip(kit->broker.sim, FILE_NAME, at + 300, 5), 0);
    for (uint64_t offset = 0; offset < BATCHES * RECORDS; offset++) {
        bool damaged = offset / RECORDS == 4;
        cr_assert_eq(read_status(kit, client, partition, offset),
                     damaged ? XD_RANGE_QUARANTINED : 0, "offset %" PRIu64, offset);
    }
    const struct shard_line *line = sim_broker_line(&kit->broker, "log_corrupt");
    cr_assert_not_null(line);
    snprintf(text, sizeof text, "position=%" PRIu64 " ",
             kit->broker.options.log.segment_bytes + at);
    cr_assert_not_null(strstr(line->text, text), "%s", line->text);
    cr_assert_eq(kit->broker.corrupt, 1);
    shard_kit_pass(kit, 100);
    snprintf(text, sizeof text, "quarantine/corrupt-1-%" PRIu64 "-", at);
    cr_assert(file_there(kit, text, ".bin") && file_there(kit, text, ".txt"));
    shard_kit_channel(kit, client, "a", SKU, &channel);
    struct xd_ack ack = shard_kit_produce(kit, client, &channel, SKU, RECORDS);
    cr_assert_eq(ack.status, 0);
    cr_assert_eq(ack.base_offset, BATCHES * RECORDS);
    shard_kit_close(kit);
}

/* A start meets it: it is refused with file and position named, and nothing is changed: with the
 * bit put back the same folder starts and serves everything. */
Test(shard_damage, refuses_a_start_and_changes_nothing)
{
    struct kit_client *client;
    struct kit_channel channel;
    char text[64];
    uint64_t hash;
    struct shard_kit *kit = with_blocks(&client, &channel);
    uint64_t at = block_of(kit, channel.target.partition, 4 * RECORDS);
    for (uint32_t round = 0; round < 3; round++) {
        sim_broker_crash(&kit->broker, SIM_CRASH_KEEP_NONE);
        if (round == 0)
            cr_assert_eq(sim_disk_flip(kit->broker.sim, FILE_NAME, at + 300, 5), 0);
        cr_assert_eq(sim_broker_start(&kit->broker), XD_LOG_CORRUPT);
        snprintf(text, sizeof text, "%s: segment 1, position %" PRIu64, FILE_NAME,
                 kit->broker.options.log.segment_bytes + at);
        cr_assert_not_null(strstr(kit->broker.why, text), "%s", kit->broker.why);
    }
    sim_crash(kit->broker.sim, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(sim_disk_flip(kit->broker.sim, FILE_NAME, at + 300, 5), 0);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    client = shard_kit_connect(kit, 0);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash),
                 BATCHES * RECORDS);
    shard_kit_close(kit);
}

/* One read of a start comes back wrong, once, and the disk is as it should be: a start gets over
 * it, in every block. The newest one, which no other block covers, is not taken for a torn tail. */
Test(shard_damage, a_read_that_is_wrong_once_cuts_nothing_off)
{
    for (uint64_t batch = 0; batch < BATCHES; batch++) {
        for (uint64_t in_block = 20; in_block < 1000; in_block += 301) {
            struct kit_channel channel;
            uint64_t hash;
            struct shard_kit *kit = shard_kit_open(22);
            struct kit_client *client = shard_kit_connect(kit, 0);
            shard_kit_channel(kit, client, "a", SKU, &channel);
            for (uint32_t i = 0; i < BATCHES; i++)
                cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, RECORDS).status, 0);
            uint64_t at = block_of(kit, channel.target.partition, batch * RECORDS);
            sim_read_flip(kit->broker.sim, FILE_NAME, at + in_block);
            shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
            cr_assert_eq(sim_silent_count(kit->broker.sim), 1);
            client = shard_kit_connect(kit, 0);
            uint64_t records = shard_kit_read_all(kit, client, channel.target.partition, &hash);
            cr_assert_eq(records, BATCHES * RECORDS, "batch %" PRIu64 ": %" PRIu64 " records",
                         batch, records);
            shard_kit_close(kit);
        }
    }
}

/* A segment whose first block is damaged has only its header to be known by. The header is read
 * wrongly, once: the segment is still there, and only the damaged block is refused. */
Test(shard_damage, a_header_read_wrongly_once_does_not_free_its_segment)
{
    struct kit_channel channel;
    struct sim_options world;
    sim_options_init(&world, 23);
    world.rates.buggify_enabled = 65536;
    struct shard_kit *kit = shard_kit_open_in(&world);
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t i = 0; i < BATCHES; i++)
        cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, RECORDS).status, 0);
    sim_rates(kit->broker.sim)->buggify_fires = 65536; /* roll, and take checkpoints behind it */
    for (uint32_t i = 0; i < BATCHES; i++) {
        cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, RECORDS).status, 0);
        shard_kit_pass(kit, 20);
    }
    cr_assert(kit->broker.rolls > 1 && kit->broker.checkpoints > 1);
    sim_rates(kit->broker.sim)->buggify_fires = 0;
    cr_assert_eq(sim_disk_flip(kit->broker.sim, FILE_NAME, SEGMENT_HEADER_BYTES + 90, 2), 0);
    sim_read_flip(kit->broker.sim, FILE_NAME, 40);
    shard_kit_restart(kit, SIM_CRASH_KEEP_NONE);
    cr_assert_eq(sim_silent_count(kit->broker.sim), 1);
    cr_assert_null(sim_broker_line(&kit->broker, "log_segment_dropped"));
    client = shard_kit_connect(kit, 0);
    for (uint64_t offset = 0; offset < 2 * BATCHES * RECORDS; offset += RECORDS)
        cr_assert_eq(read_status(kit, client, channel.target.partition, offset), 0,
                     "offset %" PRIu64 ": %s", offset, kit->reply.detail);
    shard_kit_close(kit);
}
