/* SPDX-License-Identifier: Apache-2.0
 *
 * The model of the kill test: what is sent, told by (seed, channel, sequence) alone, and the
 * history of what became of it. tests/support/history_check.h judges the history; what this test
 * demands of the client library besides is counted here.
 *
 * Normal path: model_init, model_send before every record, model_ack for every outcome, model_read
 * for every record read, marks in model->history as the broker dies and comes back, model_judge,
 * then model_faults.
 * Every violation is counted under its name; the first of each is told on stderr with its place.
 * Memory: 96 bytes per record sent and 32 per record read, 24 more while judging.
 * Must not know how records are sent or read.
 */
#ifndef CROSSDOCK_TESTS_E2E_KILL_MODEL_H
#define CROSSDOCK_TESTS_E2E_KILL_MODEL_H

#include "tests/support/history_check.h"
#include "wire/limits.h"

#include <crossdock/crossdock.h>

#include <stdbool.h>
#include <stdint.h>

#define MODEL_CHANNELS 4u
#define MODEL_SKUS 1000u       /* per facility */
#define MODEL_PAYLOAD_MIN 16u  /* with keys and header this gives records of 100 to 400 bytes */
#define MODEL_PAYLOAD_MAX 312u /* */
#define MODEL_PARTITIONS_MAX XD_PARTITIONS_MAX

/* What the history has no name for. */
enum model_fault {
    MODEL_REFUSED,     /* an outcome other than appended or duplicate */
    MODEL_ACKED_TWICE, /* two outcomes */
    MODEL_NOT_ACKED,   /* no outcome */
    MODEL_WEAK,        /* acknowledged below XDOCK_FSYNC */
    MODEL_STRANGE,     /* an outcome of what was not sent so, or a record of nobody's channel */
    MODEL_TAME,        /* nothing was sent again in a run with many kills: it shows nothing */
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

struct model {
    struct history history;        /* */
    struct history_report report;  /* after model_judge */
    uint64_t *next_offsets;        /* per partition: that must be read next */
    uint64_t seed;                 /* */
    uint64_t sent[MODEL_CHANNELS]; /* sequences 1..sent have been given out */
    uint64_t appended;             /* outcomes */
    uint64_t duplicates;           /* outcomes */
    uint64_t read_count;           /* */
    uint64_t payload_bytes;        /* read */
    uint64_t reading_ns;           /* when reading began, 0 = not yet */
    uint64_t faults[MODEL_FAULT_COUNT];
    uint64_t end_offset; /* of its partition, as told with the record read last */
    uint32_t partition;  /* of that record */
};

/* -ENOMEM. */
int model_init(struct model *model, uint64_t seed);
void model_deinit(struct model *model);
/* The next record of a channel, whose sequence is then model->sent[channel]. Returns the word that
 * its outcome must bring back, or -ENOMEM. */
int64_t model_send(struct model *model, uint32_t channel, uint64_t now_ns,
                   struct model_content *ret_content);
void model_ack(struct model *model, uint32_t channel, const xdock_ack_t *ack, uint64_t now_ns);
/* `channel` as named by the record's facility; MODEL_CHANNELS or more when it is none of ours.
 * `end_offset` is the end of its partition as the reader knows it. */
void model_read(struct model *model, uint32_t channel, const xdock_view_t *view,
                uint64_t end_offset, uint64_t now_ns);
/* Judges the history, counts what has no outcome. Returns 0, or what history_check could not do. */
int model_judge(struct model *model, uint32_t kill_count);
/* Violations, of the history's properties too. */
uint64_t model_faults(const struct model *model);
const char *model_fault_name(enum model_fault fault);
/* Pseudo-random numbers from a state that starts as the seed. */
uint64_t model_random(uint64_t *state);

#endif
