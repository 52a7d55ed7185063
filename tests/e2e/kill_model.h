/* SPDX-License-Identifier: Apache-2.0
 *
 * The model of the kill test: what was sent, told by (seed, channel, sequence) alone, what was
 * acknowledged, what was read. A bit per record, so ten million of them fit a few megabytes.
 *
 * Normal path: model_init, model_content for every record sent, model_ack for every outcome,
 * model_read for every record read, model_finish, then model_faults.
 * Every violation is counted under its name; the first of each is told on stderr with its place.
 * Must not know how records are sent or read.
 */
#ifndef CROSSDOCK_TESTS_E2E_KILL_MODEL_H
#define CROSSDOCK_TESTS_E2E_KILL_MODEL_H

#include <crossdock/crossdock.h>

#include <stdbool.h>
#include <stdint.h>

#define MODEL_CHANNELS 4u
#define MODEL_SKUS 1000u       /* per facility */
#define MODEL_PAYLOAD_MIN 16u  /* with keys and header this gives records of 100 to 400 bytes */
#define MODEL_PAYLOAD_MAX 312u /* */
#define MODEL_PARTITIONS_MAX 32768u

enum model_fault {
    MODEL_LOST,             /* acknowledged or not, it was flushed and cannot be read */
    MODEL_DOUBLED,          /* read twice */
    MODEL_NEVER_SENT,       /* read, but sent by nobody */
    MODEL_ALTERED,          /* read with other content */
    MODEL_OFFSET_GAP,       /* offsets of its partition are not dense */
    MODEL_CHANNEL_SEQUENCE, /* behind a later record of its channel in its partition */
    MODEL_SKU_SEQUENCE,     /* behind a later record of its SKU */
    MODEL_MISPLACED,        /* a record of a SKU in another partition than the others */
    MODEL_REFUSED,          /* an outcome other than appended or duplicate */
    MODEL_ACKED_TWICE,      /* two outcomes */
    MODEL_NOT_ACKED,        /* no outcome */
    MODEL_WEAK,             /* acknowledged below XDOCK_FSYNC */
    MODEL_FAULT_COUNT
};

/* Content of one record. */
struct model_content {
    uint32_t sku_index;
    char sku[12];
    char location[12];
    char document[24];
    uint32_t payload_bytes;
    uint8_t payload[MODEL_PAYLOAD_MAX + 8]; /* whole words are written */
};

struct model_channel {
    uint64_t sent;                      /* sequences 1..sent have been given out */
    uint8_t *acked;                     /* bit per sequence */
    uint8_t *read;                      /* bit per sequence */
    uint64_t sku_last[MODEL_SKUS];      /* sequence read last, 0 = none */
    uint32_t sku_partition[MODEL_SKUS]; /* partition of the SKU, valid when sku_last is not 0 */
};

struct model {
    struct model_channel channels[MODEL_CHANNELS];
    uint64_t seed;
    uint64_t records_max;    /* per channel */
    uint64_t *next_offset;   /* per partition */
    uint64_t *last_sequence; /* per partition; a partition has one channel here */
    uint64_t appended;       /* outcomes */
    uint64_t duplicates;     /* outcomes */
    uint64_t read_count;     /* */
    uint64_t payload_bytes;  /* read */
    uint64_t faults[MODEL_FAULT_COUNT];
};

/* Room for `records_max` records in each channel. -ENOMEM. */
int model_init(struct model *model, uint64_t seed, uint64_t records_max);
void model_deinit(struct model *model);
void model_content(uint64_t seed, uint32_t channel, uint64_t sequence,
                   struct model_content *ret_content);
void model_ack(struct model *model, uint32_t channel, const xdock_ack_t *ack);
/* `channel` as named by the record's facility; MODEL_CHANNELS or more when it is none of ours. */
void model_read(struct model *model, uint32_t channel, const xdock_view_t *view);
/* Counts what has no outcome and what was not read. */
void model_finish(struct model *model);
uint64_t model_faults(const struct model *model);
const char *model_fault_name(enum model_fault fault);
/* Pseudo-random numbers from a state that starts as the seed. */
uint64_t model_random(uint64_t *state);

#endif
