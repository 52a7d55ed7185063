/* SPDX-License-Identifier: Apache-2.0
 *
 * One source that produces into a simulated shard: a channel, numbered batches of stock events over
 * a few partitions, and the memory that a real client would keep: what was sent, byte for byte, and
 * where it was acknowledged.
 *
 * Normal path: crash_client_connect, crash_client_open, then crash_client_send and
 * crash_client_take between turns. Failure path: an answer that a correct broker cannot give is
 * told in `failure`.
 */
#ifndef CROSSDOCK_TESTS_CRASH_CRASH_CLIENT_H
#define CROSSDOCK_TESTS_CRASH_CRASH_CLIENT_H

#include "tests/crash/crash_log.h"
#include "tests/sim/sim_broker.h"
#include "tests/support/batch_kit.h"
#include "tests/support/wire_client.h"

#include <stdbool.h>
#include <stdint.h>

#define CRASH_LANES 3u     /* partitions of topic "stock" */
#define CRASH_SENT_MAX 96u /* batches of one trace */

/* A batch that was sent; nobody else writes into the partitions, so its offset is known. */
struct crash_sent {
    uint32_t lane;     /* partition, counted from the topic's first */
    uint32_t bytes_at; /* place of the batch in crash_client.bytes */
    uint64_t first;    /* sequence */
    uint64_t last;     /* sequence */
    uint64_t offset;   /* that it must get */
    bool acked;        /* */
    bool duplicate;    /* the newest ack called it one */
};

struct crash_client {
    struct wire_client wire;
    struct sim_broker *broker;
    uint64_t producer_id;           /* after the first open */
    uint32_t producer_epoch;        /* likewise; 0 = not opened yet */
    uint32_t facility;              /* registry number */
    uint16_t channel_epoch;         /* */
    uint32_t partition;             /* first one of the topic */
    uint64_t sequence;              /* newest one used */
    uint64_t previous[CRASH_LANES]; /* newest one of each chain */
    uint64_t records[CRASH_LANES];  /* sent into each partition */
    uint64_t durable[CRASH_LANES];  /* last sequence that the newest open told of each chain */
    struct crash_sent sent[CRASH_SENT_MAX];
    uint32_t sent_count;               /* */
    uint32_t outstanding;              /* sent on this connection and not answered */
    uint8_t *bytes;                    /* of all batches */
    uint32_t bytes_used;               /* */
    uint32_t reply;                    /* replies taken on this connection */
    int32_t reply_status;              /* of the newest one */
    uint32_t read_lane;                /* partition being read */
    uint64_t read_offset;              /* behind what was read of it */
    char failure[CRASH_FAILURE_BYTES]; /* "" = none */
};

void crash_client_init(struct crash_client *client, struct sim_broker *broker);
void crash_client_deinit(struct crash_client *client);
/* Another source: nothing was sent. */
void crash_client_reset(struct crash_client *client);
/* The same memory at another broker, so far as `sent_count` batches go; none is acknowledged. */
void crash_client_copy(struct crash_client *to, const struct crash_client *from,
                       uint32_t sent_count);

/* Connects, says HELLO, learns the partitions and opens the channel: anew the first time, later
 * under its epoch. `acked` is the highest sequence that the client claims to be safe. */
bool crash_client_open(struct crash_client *client, uint64_t acked);
/* The next batch: into `lane`, with so many records. */
void crash_client_produce(struct crash_client *client, uint32_t lane, uint32_t records);
/* A batch that was sent before, once more. */
void crash_client_resend(struct crash_client *client, uint32_t i);
/* One turn of the broker; takes what arrives. False when the broker or an answer has failed. */
bool crash_client_turn(struct crash_client *client);
/* Turns until everything is answered. */
bool crash_client_settle(struct crash_client *client);
/* Reads every partition from its beginning: exactly the batches sent, as they were sent. */
bool crash_client_read_all(struct crash_client *client);

#endif
