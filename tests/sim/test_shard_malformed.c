/* SPDX-License-Identifier: Apache-2.0
 *
 * PRODUCE frames and batches that break a rule, against a whole shard: a batch is refused with the
 * field that is wrong, a frame whose structure is broken ends the connection; nothing of either is
 * appended, and what follows finds the chain where it stood.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/bytes.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <string.h>

#define SKU "SKU-4711"

static struct batch_build build;

/* Sends what is in `build`; the outcome. */
static struct xd_ack outcome(struct shard_kit *kit, struct kit_client *client)
{
    uint32_t before = client->ack_count;
    shard_kit_send(client, &build, XD_DURABILITY_FSYNC);
    shard_kit_await_acks(kit, client, before + 1);
    return *shard_kit_last_ack(client);
}

/* Builds a batch of one record with any numbers. */
static void build_as(const struct kit_channel *channel, uint64_t previous, uint64_t first,
                     uint64_t last)
{
    batch_begin(&build, &channel->target, previous);
    for (uint64_t i = first; i <= last; i++)
        batch_add(&build, i, SKU, "payload", 7);
    batch_end(&build);
}

/* Header fields that break a rule are named; nothing is appended. */
Test(shard_malformed, names_the_wrong_field_of_a_batch)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    uint64_t hash;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint32_t row = 0; row < 12; row++) {
        build_as(&channel, 0, 1, 3);
        struct xd_batch_header *h = &build.header;
        int want = XD_BATCH_MALFORMED;
        bool reseal = true;
        switch (row) {
        case 0:
            h->record_count = 0;
            break;
        case 1:
            h->last_sequence = 0;
            break;
        case 2:
            h->flags = XD_BATCH_CONTROL;
            break;
        case 3:
            h->partition = XD_PARTITION_NONE;
            break;
        case 4:
            h->format = 9;
            want = XD_FORMAT_UNKNOWN;
            break;
        case 5:
            h->codec = 9;
            want = XD_CODEC_UNKNOWN;
            break;
        case 6:
            h->partition = 60;
            want = XD_PARTITION_UNKNOWN;
            break;
        case 7: /* stock of the global facility has 3 partitions */
            h->partition = h->partition == 0 ? 1 : 0;
            want = XD_PARTITION_WRONG;
            break;
        case 8:
            h->producer_id = 77;
            want = XD_PRODUCER_UNKNOWN;
            break;
        case 9:
            h->channel_epoch++;
            want = XD_FIELD_INVALID;
            break;
        case 10: /* broker's field, outside the checksum */
            reseal = false;
            h->base_offset = 5;
            break;
        default:
            h->record_count = 2;
            want = XD_RECORD_MALFORMED;
            break;
        }
        if (reseal)
            xd_batch_seal(h, build.used);
        struct xd_ack ack = outcome(kit, client);
        cr_assert_eq(ack.status, want, "row %u: %s", row, xd_status_name(ack.status));
        cr_assert(ack.detail_bytes > 0, "row %u", row);
    }
    cr_assert_eq(shard_kit_produce(kit, client, &channel, SKU, 1).base_offset, 0);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 1);
    shard_kit_close(kit);
}

/* Frames whose structure is broken end the connection; nothing of the broken part is appended. */
Test(shard_malformed, closes_on_a_broken_frame)
{
    struct shard_kit *kit = shard_kit_open(1);
    for (uint32_t row = 0; row < 7; row++) {
        struct kit_client *client = shard_kit_connect(kit, 0);
        struct kit_channel channel;
        uint8_t payload[1024] = {0};
        shard_kit_channel(kit, client, "a", SKU, &channel);
        build_as(&channel, channel.previous, channel.sequence + 1, channel.sequence + 1);
        struct xd_produce_head head = {.batch_count = 1};
        uint32_t bytes = (uint32_t)sizeof head + build.used + (uint32_t)xd_pad8(build.used);
        switch (row) {
        case 0:
            head.batch_count = 0;
            break;
        case 1:
            head.batch_count = 2; /* one is there */
            break;
        case 2:
            bytes -= 8; /* cut */
            break;
        case 3:
            bytes += 8; /* trailing */
            break;
        case 4:
            build.header.magic ^= 1;
            break;
        case 5:
            head.durability = XD_DURABILITY_COUNT;
            break;
        default:
            build.header.batch_bytes = 100; /* smaller than its header */
            break;
        }
        cr_assert(build.used + sizeof head < sizeof payload - 16);
        memcpy(payload, &head, sizeof head);
        memcpy(payload + sizeof head, build.bytes, build.used);
        wire_client_send(&client->wire, XD_OP_PRODUCE, payload, bytes);
        cr_assert(shard_kit_await_end(kit, client), "row %u", row);
    }
    shard_kit_close(kit);
}

/* The padding behind a batch is part of the frame: one that ends before it is broken. */
Test(shard_malformed, closes_on_a_batch_without_its_padding)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    uint8_t payload[4096];
    uint64_t hash;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    for (uint64_t records = 20; records == 20 || build.used % 8 == 0; records++) {
        batch_begin(&build, &channel.target, 0);
        for (uint64_t i = 1; i <= records; i++)
            batch_add(&build, i, SKU, "the same payload in every record", 32);
        batch_end_compressed(&build);
    }
    struct xd_produce_head head = {.batch_count = 1};
    cr_assert(sizeof head + build.used <= sizeof payload);
    memcpy(payload, &head, sizeof head);
    memcpy(payload + sizeof head, build.bytes, build.used);
    wire_client_send(&client->wire, XD_OP_PRODUCE, payload, (uint32_t)sizeof head + build.used);
    cr_assert(shard_kit_await_end(kit, client));
    client = shard_kit_connect(kit, 1);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 0);
    shard_kit_channel(kit, client, "a", SKU, &channel);
    cr_assert_eq(outcome(kit, client).status, XD_FENCED); /* whole, but of the former epoch */
    shard_kit_close(kit);
}

/* Compressed batches are stored as they came; damaged and bombing ones are refused. */
Test(shard_malformed, takes_compressed_batches_and_no_bombs)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    struct kit_channel channel;
    uint64_t hash;
    shard_kit_channel(kit, client, "a", SKU, &channel);
    batch_begin(&build, &channel.target, 0);
    for (uint64_t i = 1; i <= 50; i++)
        batch_add(&build, i, SKU, "the same payload in every record", 32);
    batch_end_compressed(&build);
    cr_assert_eq(outcome(kit, client).status, 0);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 50);

    channel.sequence = channel.previous = 50;
    shard_kit_batch(&channel, SKU, 5, &build); /* not compressed, but says so */
    build.header.codec = XD_CODEC_LZ4;
    build.header.raw_bytes = XD_BATCH_RAW_BYTES_MAX;
    xd_batch_seal(&build.header, build.used);
    int status = outcome(kit, client).status;
    cr_assert(status == XD_BATCH_MALFORMED || status == XD_DECOMPRESS_FAILED, "%d", status);
    build.header.raw_bytes = (build.used - XD_BATCH_HEADER_BYTES) * 200;
    xd_batch_seal(&build.header, build.used);
    cr_assert_eq(outcome(kit, client).status, XD_DECOMPRESS_FAILED);
    build.header.raw_bytes = XD_BATCH_RAW_BYTES_MAX + 1;
    xd_batch_seal(&build.header, build.used);
    cr_assert_eq(outcome(kit, client).status, XD_BATCH_TOO_LARGE);
    cr_assert_eq(shard_kit_read_all(kit, client, channel.target.partition, &hash), 50);
    shard_kit_close(kit);
}
