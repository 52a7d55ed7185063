/* SPDX-License-Identifier: Apache-2.0
 *
 * What a feed sends: picks of a warehouse, each of exactly the wanted size, for a number of SKUs;
 * and on request whole bodies of encoded records. Made once, so that producing costs nothing here.
 *
 * Failure path: cargo_make explains which size would do. Must not send anything.
 */
#ifndef CROSSDOCK_BENCH_CARGO_H
#define CROSSDOCK_BENCH_CARGO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <crossdock/crossdock.h>

#define CARGO_WHY_BYTES 256u
#define CARGO_KEYS_MAX 4096u
/* Header of a batch, which counts against the batch size (docs/PROTOCOL.md). */
#define CARGO_BATCH_HEADER_BYTES 120u

struct cargo_key {
    char sku[12];  /* "B0001234" */
    uint8_t *body; /* `batch_records` encoded records, or NULL */
};

struct cargo {
    xdock_record_t record;  /* all but its SKU */
    struct cargo_key *keys; /* */
    uint8_t *payload;       /* of every record */
    uint32_t key_count;     /* */
    uint32_t record_bytes;  /* encoded */
    uint32_t batch_records; /* records of one batch */
    size_t body_bytes;      /* of one body */
    uint32_t next;          /* key of the next record or body */
};

struct cargo_options {
    const char *topic;     /* */
    const char *document;  /* of every record; borrowed as long as the cargo */
    uint32_t first_key;    /* number of the first SKU */
    uint32_t key_count;    /* 1..CARGO_KEYS_MAX */
    uint32_t record_bytes; /* encoded size, multiple of 8 */
    uint32_t batch_bytes;  /* with its header */
    bool encoded;          /* make the bodies too */
};

/* 0, a status of the library, or -ENOMEM; `ret_why` (CARGO_WHY_BYTES) explains, or is
 * empty where the library has the detail. Whatever comes back, cargo_free may be called. */
int cargo_make(xdock_producer_t *producer, const struct cargo_options *options,
               struct cargo *ret_cargo, char *ret_why);
void cargo_free(struct cargo *cargo);

/* The next record; borrowed until the next call. */
static inline const xdock_record_t *cargo_next_record(struct cargo *cargo)
{
    cargo->record.sku = cargo->keys[cargo->next].sku;
    cargo->next = cargo->next + 1 == cargo->key_count ? 0 : cargo->next + 1;
    return &cargo->record;
}

/* The next body of batch_records records. */
static inline const uint8_t *cargo_next_body(struct cargo *cargo)
{
    const uint8_t *body = cargo->keys[cargo->next].body;
    cargo->next = cargo->next + 1 == cargo->key_count ? 0 : cargo->next + 1;
    return body;
}

#endif
