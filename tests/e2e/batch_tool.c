/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of batches and pages that a script cannot make by itself, for the tests of bad input.
 *
 *   batch_tool hash [SEED]                      XXH3-64 of standard input, 16 hex digits
 *   batch_tool pack                             standard input as one LZ4 block
 *   batch_tool records CHANNEL CHANNEL_EPOCH FACILITY STRATEGY SKU FIRST COUNT PAYLOAD_BYTES
 *                                               body of a batch: COUNT records of one SKU
 *
 * Results go to standard output. Exit status: 0, 1 when the input cannot be handled, 2 usage. What
 * the script does with the bytes, rightly or wrongly, is its affair: nothing is checked here.
 */
#include "wire/checksum.h"
#include "wire/compress.h"
#include "wire/limits.h"
#include "wire/record.h"
#include "wire/route.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_MAX (4u * XD_BLOCK_BYTES_MAX)

/* 2023-11-14T22:13:20Z in us: records of these tests happened then. */
#define EVENT_TIME_US INT64_C(1700000000000000)

struct memory {
    _Alignas(8) uint8_t input[BYTES_MAX];  /* standard input, or a record's payload */
    _Alignas(8) uint8_t output[BYTES_MAX]; /* what is written */
};

/* What "records" makes. */
struct order {
    const char *sku;           /* of every record */
    uint64_t first;            /* sequence of the first record */
    uint64_t count;            /* records */
    uint32_t channel;          /* registry number */
    uint32_t facility;         /* registry number */
    uint32_t payload_bytes;    /* of every record */
    uint16_t channel_epoch;    /* */
    enum xd_strategy strategy; /* of the topic */
};

static int usage(void)
{
    fprintf(stderr, "usage: batch_tool hash [SEED] | pack | records CHANNEL CHANNEL_EPOCH FACILITY "
                    "STRATEGY SKU FIRST COUNT PAYLOAD_BYTES\n");
    return 2;
}

static int put(const void *data, size_t bytes)
{
    return fwrite(data, 1, bytes, stdout) == bytes && fflush(stdout) == 0 ? 0 : 1;
}

static int hash(struct memory *memory, const char *seed)
{
    size_t bytes = fread(memory->input, 1, BYTES_MAX, stdin);
    uint64_t value = xd_xxh3_seeded(memory->input, bytes, strtoull(seed, NULL, 16));
    return printf("%016" PRIx64 "\n", value) > 0 && fflush(stdout) == 0 ? 0 : 1;
}

static int pack(struct memory *memory)
{
    size_t bytes = fread(memory->input, 1, BYTES_MAX, stdin);
    int packed = xd_compress(memory->input, (uint32_t)bytes, memory->output, (uint32_t)bytes);
    return packed > 0 ? put(memory->output, (size_t)packed) : 1;
}

/* Encodes record number `sequence`; its stride, or 0 when there is no room. */
static uint32_t encode(struct memory *memory, const struct order *order, uint64_t sequence,
                       uint32_t route_key, uint32_t at)
{
    const char *field = "";
    struct xd_record_build build = {.core = {.source_sequence = sequence,
                                             .event_time_us = EVENT_TIME_US + (int64_t)sequence,
                                             .channel = order->channel,
                                             .facility = order->facility,
                                             .route_key = route_key,
                                             .type = 0x0107,
                                             .channel_epoch = order->channel_epoch,
                                             .present = XD_GROUP_STOCK},
                                    .sku = {order->sku, (uint32_t)strlen(order->sku)},
                                    .payload = order->payload_bytes > 0 ? memory->input : NULL,
                                    .payload_bytes = order->payload_bytes};
    memcpy(build.core.event_id, &sequence, sizeof sequence);
    int stride = xd_record_encode(&build, memory->output + at, BYTES_MAX - at, &field);
    return stride > 0 ? (uint32_t)stride : 0;
}

/* The route key that the topic's strategy gives the SKU: taken from a first try at a record. */
static bool find_route_key(struct memory *memory, const struct order *order, uint32_t *ret_key)
{
    struct xd_record record;
    const char *field = "";
    uint32_t stride = encode(memory, order, order->first, 0, 0);
    if (stride == 0 || xd_record_decode(memory->output, stride, &record, &field) < 0)
        return false;
    struct xd_route_fields fields = xd_route_fields_of(&record);
    *ret_key = xd_route_key(order->strategy, &fields);
    return true;
}

static int records(struct memory *memory, const struct order *order)
{
    uint32_t route_key, used = 0;
    if (order->payload_bytes > BYTES_MAX || !find_route_key(memory, order, &route_key))
        return 1;
    memset(memory->input, 'p', order->payload_bytes);
    for (uint64_t i = 0; i < order->count; i++) {
        uint32_t stride = encode(memory, order, order->first + i, route_key, used);
        if (stride == 0)
            return 1;
        used += stride;
    }
    return put(memory->output, used);
}

static int run(struct memory *memory, int argc, char **argv)
{
    if ((argc == 2 || argc == 3) && strcmp(argv[1], "hash") == 0)
        return hash(memory, argc == 3 ? argv[2] : "0");
    if (argc == 2 && strcmp(argv[1], "pack") == 0)
        return pack(memory);
    if (argc != 10 || strcmp(argv[1], "records") != 0)
        return usage();
    int strategy = xd_strategy_find(argv[5], (uint32_t)strlen(argv[5]));
    if (strategy < 0)
        return usage();
    const struct order order = {.channel = (uint32_t)strtoul(argv[2], NULL, 10),
                                .channel_epoch = (uint16_t)strtoul(argv[3], NULL, 10),
                                .facility = (uint32_t)strtoul(argv[4], NULL, 10),
                                .strategy = (enum xd_strategy)strategy,
                                .sku = argv[6],
                                .first = strtoull(argv[7], NULL, 10),
                                .count = strtoull(argv[8], NULL, 10),
                                .payload_bytes = (uint32_t)strtoul(argv[9], NULL, 10)};
    return records(memory, &order);
}

int main(int argc, char **argv)
{
    struct memory *memory = calloc(1, sizeof *memory);
    if (memory == NULL)
        return 1;
    int status = run(memory, argc, argv);
    free(memory);
    return status;
}
