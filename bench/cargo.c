/* SPDX-License-Identifier: Apache-2.0
 *
 * Records and bodies to send; see cargo.h.
 */
#include "bench/cargo.h"

#include "bench/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library wants every record to be a multiple of this (docs/PROTOCOL.md). */
#define RECORD_ALIGN 8u

/* A pick as adapters send it, without its payload. */
static void fill_record(struct cargo *cargo, const struct cargo_options *options)
{
    xdock_record_init(&cargo->record);
    cargo->record.type = XDOCK_PICK_CONFIRMED;
    cargo->record.flags = XDOCK_SYNTHETIC;
    cargo->record.topic = options->topic;
    cargo->record.location = "A-12-03";
    cargo->record.document = options->document;
    cargo->record.document_type = XDOCK_DOC_DELIVERY;
    cargo->record.document_line = 10;
    cargo->record.handling_unit = "HU000815";
    cargo->record.quantity = xdock_quantity(3, 0, XDOCK_UOM_PIECE);
}

/* Bytes that do not compress to nothing. */
static void fill_payload(uint8_t *payload, size_t bytes)
{
    uint32_t word = 2463534242u;
    for (size_t i = 0; i < bytes; i++) {
        word ^= word << 13;
        word ^= word >> 17;
        word ^= word << 5;
        payload[i] = (uint8_t)(word >> 8);
    }
}

/* Finds the payload that makes an encoded record exactly as large as wanted. */
static int fit_payload(xdock_producer_t *producer, struct cargo *cargo, uint8_t *scratch, char *why)
{
    cargo->record.payload = xdock_bytes(NULL, 0);
    int bare = xdock_encode(producer, cargo_next_record(cargo), scratch, cargo->record_bytes);
    if (bare == -ENOBUFS) {
        snprintf(why, CARGO_WHY_BYTES, "a pick does not fit %u bytes: take a larger --record-bytes",
                 cargo->record_bytes);
        return bare;
    }
    if (bare < 0)
        return bare;
    for (uint32_t spare = 0; spare < 2 * RECORD_ALIGN; spare++) {
        uint32_t bytes = cargo->record_bytes - (uint32_t)bare;
        if (bytes < spare)
            break;
        cargo->record.payload = xdock_bytes(cargo->payload, bytes - spare);
        int got = xdock_encode(producer, cargo_next_record(cargo), scratch, cargo->record_bytes);
        if (got == (int)cargo->record_bytes)
            return 0;
        if (got < 0 && got != -ENOBUFS)
            return got;
    }
    snprintf(why, CARGO_WHY_BYTES, "no pick has exactly %u bytes: take a multiple of 8",
             cargo->record_bytes);
    return -EINVAL;
}

static int fill_bodies(xdock_producer_t *producer, struct cargo *cargo)
{
    for (uint32_t i = 0; i < cargo->key_count; i++) {
        cargo->keys[i].body = malloc(cargo->body_bytes);
        if (cargo->keys[i].body == NULL)
            return -ENOMEM;
        cargo->record.sku = cargo->keys[i].sku;
        for (uint32_t row = 0; row < cargo->batch_records; row++) {
            size_t at = (size_t)row * cargo->record_bytes;
            int got = xdock_encode(producer, &cargo->record, cargo->keys[i].body + at,
                                   cargo->record_bytes);
            if (got < 0)
                return got;
            BENCH_ASSERT(got == (int)cargo->record_bytes);
        }
    }
    return 0;
}

int cargo_make(xdock_producer_t *producer, const struct cargo_options *options,
               struct cargo *ret_cargo, char *ret_why)
{
    struct cargo *cargo = ret_cargo;
    BENCH_ASSERT(options->key_count >= 1 && options->key_count <= CARGO_KEYS_MAX);
    BENCH_ASSERT(options->batch_bytes > CARGO_BATCH_HEADER_BYTES);
    *cargo = (struct cargo){.key_count = options->key_count, .record_bytes = options->record_bytes};
    snprintf(ret_why, CARGO_WHY_BYTES, "no memory");
    cargo->batch_records = (options->batch_bytes - CARGO_BATCH_HEADER_BYTES) / cargo->record_bytes;
    if (cargo->batch_records == 0) {
        snprintf(ret_why, CARGO_WHY_BYTES, "a batch of %u bytes holds no record of %u",
                 options->batch_bytes, cargo->record_bytes);
        return -EINVAL;
    }
    cargo->body_bytes = (size_t)cargo->batch_records * cargo->record_bytes;
    cargo->keys = calloc(cargo->key_count, sizeof *cargo->keys);
    cargo->payload = malloc(cargo->record_bytes);
    uint8_t *scratch = malloc(cargo->record_bytes);
    int status = -ENOMEM;
    if (cargo->keys == NULL || cargo->payload == NULL || scratch == NULL)
        goto out;
    for (uint32_t i = 0; i < cargo->key_count; i++)
        snprintf(cargo->keys[i].sku, sizeof cargo->keys[i].sku, "B%07u",
                 (options->first_key + i) % 10000000u);
    fill_payload(cargo->payload, cargo->record_bytes);
    fill_record(cargo, options);
    ret_why[0] = '\0';
    status = fit_payload(producer, cargo, scratch, ret_why);
    if (status == 0 && options->encoded)
        status = fill_bodies(producer, cargo);
    cargo->next = 0;
out:
    free(scratch);
    return status;
}

void cargo_free(struct cargo *cargo)
{
    for (uint32_t i = 0; cargo->keys != NULL && i < cargo->key_count; i++)
        free(cargo->keys[i].body);
    free(cargo->keys);
    free(cargo->payload);
    *cargo = (struct cargo){0};
}
