/* SPDX-License-Identifier: Apache-2.0
 *
 * The frames of a crowd, made with wire/: a client library of each connection would cost a hundred
 * times the memory of what is measured. Requests are written into the caller's memory; a connection
 * keeps its PRODUCE frame, and each further record is the same one under the next number.
 *
 * Failure path: what a broker sends is checked by the decoders of wire/. Must not do I/O.
 */
#ifndef CROSSDOCK_BENCH_CROWD_TALK_H
#define CROSSDOCK_BENCH_CROWD_TALK_H

#include <stdint.h>

#include "wire/frame.h"
#include "wire/request.h"
#include "wire/route.h"

#define TALK_REQUEST_BYTES_MAX 256u /* of HELLO, PRODUCER_OPEN, CATALOG, READ, PING */
#define TALK_NAME_BYTES 12u         /* of a channel, which is its SKU too: "C0001234" */

/* Correlations, so that an answer tells what it answers. */
enum talk_correlation { TALK_HELLO = 1, TALK_CATALOG, TALK_OPEN, TALK_READ, TALK_PING };

/* Where the topic's records of the facility go. */
struct talk_place {
    uint32_t base;  /* first partition */
    uint32_t width; /* partitions */
    enum xd_strategy strategy;
};

/* An open channel. */
struct talk_channel {
    uint64_t producer_id;
    uint32_t producer_epoch;
    uint32_t facility;
    uint64_t last_sequence; /* highest durable one, 0 = none */
    uint16_t channel_epoch;
};

/* Bytes of a PRODUCE frame with one record. */
uint32_t talk_produce_bytes(uint32_t record_bytes);

/* Each writes one request and returns its bytes; TALK_REQUEST_BYTES_MAX are there. */
uint32_t talk_hello(uint8_t *buffer);
uint32_t talk_catalog(uint8_t *buffer);
uint32_t talk_ping(uint8_t *buffer);
uint32_t talk_open(const char *source, const char *channel, const char *facility, uint8_t *buffer);
/* Everything that one partition has, as much as fits an answer. */
uint32_t talk_read(uint32_t partition, uint8_t *buffer);

/* Writes the PRODUCE frame of a channel, 8-byte aligned, talk_produce_bytes long. 0, or -EINVAL
 * when no record has exactly that size. */
int talk_produce_make(const struct talk_channel *channel, const struct talk_place *place,
                      const char *name, uint32_t record_bytes, uint8_t *frame);
/* Its next record. */
void talk_produce_number(uint8_t *frame, uint64_t sequence, uint64_t previous);

/* Bodies of answers: 0 or a status. The payload is 8-byte aligned. */
int talk_place_of(const uint8_t *payload, uint32_t bytes, const char *topic, const char *facility,
                  struct talk_place *ret_place);
int talk_channel_of(const uint8_t *payload, uint32_t bytes, struct talk_channel *ret_channel);
/* Status of a reply. */
int talk_status_of(const uint8_t *payload, uint32_t bytes);

#endif
