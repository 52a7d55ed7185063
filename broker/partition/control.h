/* SPDX-License-Identifier: Apache-2.0
 *
 * Control entries: what the broker itself writes into the log. A control batch has the common batch
 * header (flag CONTROL, partition XD_PARTITION_NONE, no records) and one of the bodies below, so
 * that state which is not records is a fold of the same log.
 *
 * Pure: bytes in, bytes out. Must not know the tables that the entries change.
 */
#ifndef CROSSDOCK_PARTITION_CONTROL_H
#define CROSSDOCK_PARTITION_CONTROL_H

#include "wire/batch.h"
#include "wire/limits.h"

#include <assert.h>
#include <stdint.h>

enum control_kind {
#define X(name, kind, text) CONTROL_##name = (kind),
#include "broker/partition/control.def"
#undef X
};

/* Name of a kind ("SESSION"), or NULL for an unknown one. Static memory. */
const char *control_kind_name(uint16_t kind);

/* Body of SESSION: the state of a channel from here on. */
struct control_session {
    uint32_t channel;               /*  0 registry number; also the producer_id */
    uint32_t facility;              /*  4 registry number, 0 = global */
    uint32_t producer_epoch;        /*  8 */
    uint16_t channel_epoch;         /* 12 from 1 */
    uint8_t source_bytes;           /* 14 1..64 */
    uint8_t name_bytes;             /* 15 1..64 */
    char source[XD_NAME_BYTES_MAX]; /* 16 rest zero */
    char name[XD_NAME_BYTES_MAX];   /* 80 rest zero */
};
static_assert(sizeof(struct control_session) == 144, "session entry size");

/* Body of CONFIG: one object. Placements follow from it: a new topic gets `width` partitions in
 * every facility (the global one included), a new facility gets every topic's width, in rising
 * number. */
enum control_object { CONTROL_TOPIC = 1, CONTROL_FACILITY = 2 };
struct control_config {
    uint16_t object;              /*  0 enum control_object */
    uint8_t strategy;             /*  2 topic: enum xd_strategy */
    uint8_t width;                /*  3 topic: partitions per facility, 1..64 */
    uint32_t number;              /*  4 registry number, from 1 */
    uint8_t name_bytes;           /*  8 1..64 */
    uint8_t reserved0;            /*  9 zero */
    uint16_t shard;               /* 10 facility: the shard that owns it; topic: 0 */
    uint8_t reserved1[4];         /* 12 zero */
    char name[XD_NAME_BYTES_MAX]; /* 16 rest zero */
};
static_assert(sizeof(struct control_config) == 80, "config entry size");

/* Bytes that a control batch with a body of `body_bytes` takes. */
static inline uint32_t control_bytes(uint32_t body_bytes)
{
    return XD_BATCH_HEADER_BYTES + body_bytes;
}

/* Writes a control batch into `memory` (8-byte aligned, control_bytes() long). */
void control_encode(enum control_kind kind, const void *body, uint32_t body_bytes,
                    int64_t append_time_us, uint8_t *memory);

/* Bodies out of a batch of the log. 0, or XD_LOG_CORRUPT with *ret_why: wrong length, a name or
 * number outside its range, reserved bytes set. */
int control_session_decode(const struct xd_batch_header *batch, struct control_session *ret,
                           const char **ret_why);
int control_config_decode(const struct xd_batch_header *batch, struct control_config *ret,
                          const char **ret_why);

#endif
