/* SPDX-License-Identifier: Apache-2.0
 *
 * Load for the power cuts: producers of several channels at every level of durability, and a reader
 * of everything; what they see goes into a history.
 *
 * Normal path: load_open when the broker serves for the first time; load_turn again and again, also
 * while there is no broker: the library keeps what has no outcome and sends it again. load_settle
 * waits until everything has its outcome, load_read reads all that is kept.
 * Failure path: a negative status with a sentence in `why`.
 *
 * Each record is an operation of the history. An answer below fsync is recorded without its offset:
 * the library sends such a record again when a crash took it, and it may come to stand elsewhere.
 * Must not know that anything is cut, and must not judge.
 */
#ifndef CROSSDOCK_TESTS_CRASH_POWER_LOAD_H
#define CROSSDOCK_TESTS_CRASH_POWER_LOAD_H

#include "tests/support/history.h"
#include "tests/support/prng.h"

#include <crossdock/crossdock.h>

#define LOAD_LEVELS 3u   /* a client for each level: the level is an option of the client */
#define LOAD_CHANNELS 6u /* two at fsync in each of two facilities, one at each other level */
#define LOAD_PARTITIONS_MAX 256u
#define LOAD_PAYLOAD_MIN 32u   /* bytes */
#define LOAD_PAYLOAD_MAX 2048u /* */
#define LOAD_SKUS 64u          /* per channel */

/* One record as it is sent. */
struct load_content {
    char sku[16];                      /* one of LOAD_SKUS */
    char location[16];                 /* */
    char document[24];                 /* one for four records */
    uint32_t payload_bytes;            /* */
    uint8_t payload[LOAD_PAYLOAD_MAX]; /* a read_stamp, then bytes */
};

struct load_channel {
    xdock_producer_t *producer;         /* */
    uint64_t sequence;                  /* of the newest record */
    uint64_t op;                        /* of the newest record */
    bool is_waiting;                    /* it is not posted yet */
    struct load_content content;        /* of the newest record */
    uint64_t last[LOAD_PARTITIONS_MAX]; /* newest sequence for each partition */
};

struct load {
    struct history *history;                     /* the caller's */
    xdock_client_t *clients[LOAD_LEVELS];        /* by enum xdock_durability */
    struct load_channel channels[LOAD_CHANNELS]; /* as in the table of power_load.c */
    struct prng prng;                            /* which channel is next */
    uint64_t seed;                               /* of the contents */
    uint64_t posted;                             /* records */
    uint64_t bytes;                              /* payload posted */
    uint64_t acked;                              /* outcomes */
    uint64_t duplicates;                         /* outcomes of records that were there already */
    uint64_t answers_lost;                       /* bytes that load_drain threw away */
    uint64_t read_count;                         /* records */
    char why[512];                               /* about the last failure */
};

int load_open(struct load *load, const char *address, uint64_t seed, struct history *history);
void load_close(struct load *load);
/* Posts up to `records`, steps for at most wait_ms, takes outcomes. */
int load_turn(struct load *load, uint32_t records, uint32_t wait_ms);
/* The broker is dead: takes the answers that have arrived, or throws them away as a network does
 * that has lost its power too. */
int load_drain(struct load *load, bool lose);
/* Records without an outcome. */
uint64_t load_pending(const struct load *load);
int load_settle(struct load *load, uint32_t timeout_ms);
/* Reads everything kept, from the oldest offset of each partition to its end. */
int load_read(struct load *load, uint32_t timeout_ms);

/* Monotonic clock, ns: the history's. */
uint64_t load_now_ns(void);

#endif
