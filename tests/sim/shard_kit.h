/* SPDX-License-Identifier: Apache-2.0
 *
 * One broker and a few scripted clients, for tests of single behaviours. Requests are awaited;
 * acknowledgements that arrive meanwhile are kept per client. Failures are Criterion assertions.
 */
#ifndef CROSSDOCK_TESTS_SIM_SHARD_KIT_H
#define CROSSDOCK_TESTS_SIM_SHARD_KIT_H

#include "tests/sim/sim_broker.h"
#include "tests/support/batch_kit.h"
#include "tests/support/wire_client.h"

#include <stdbool.h>
#include <stdint.h>

#define KIT_CLIENTS 4u
#define KIT_ACKS 4096u
#define KIT_WAIT_NS 60000000000ull /* longest wait for an answer, simulated */

/* The newest reply. */
struct kit_reply {
    struct xd_reply_head head;
    uint16_t op;
    char detail[XD_DETAIL_BYTES_MAX + 1];
    _Alignas(8) uint8_t body[1u << 20]; /* body_bytes of them */
    uint32_t body_bytes;
};

/* An open channel as its client knows it. */
struct kit_channel {
    struct batch_target target; /* partition and facility filled; strategy SKU */
    uint64_t sequence;          /* newest one used */
    uint64_t previous;          /* of the chain in target.partition */
};

struct kit_client {
    struct wire_client wire;
    struct xd_ack acks[KIT_ACKS]; /* in the sequence of their arrival */
    uint32_t ack_count;
    uint32_t reply_count; /* replies that have arrived */
    uint64_t acked_bytes; /* credit in the newest ACK frame */
    bool goaway;          /* a GOAWAY has arrived */
};

struct shard_kit {
    struct sim_broker broker;
    struct kit_client clients[KIT_CLIENTS];
    struct kit_reply reply;
    int status; /* of the newest turn */
};

/* A world without faults, a served broker, no client connected. */
struct shard_kit *shard_kit_open(uint64_t seed);
/* The same without starting the broker, with a world and options that the test may change. */
struct shard_kit *shard_kit_open_in(const struct sim_options *world);
void shard_kit_close(struct shard_kit *kit);
void shard_kit_start(struct shard_kit *kit);
/* Crashes and starts again; all clients have lost their connections. */
void shard_kit_restart(struct shard_kit *kit, enum sim_crash_menu menu);

/* Turns for that long. */
void shard_kit_pass(struct shard_kit *kit, uint64_t ms);
/* One turn, at most 1 ms; then the clients move bytes. False when the broker has failed. */
bool shard_kit_turn(struct shard_kit *kit);

/* Connects client `i`; says HELLO and awaits the reply. */
struct kit_client *shard_kit_connect(struct shard_kit *kit, uint32_t i);
/* Connects without a word. */
struct kit_client *shard_kit_connect_silent(struct shard_kit *kit, uint32_t i);
/* Awaits the reply of a request; it is in kit->reply afterwards. Returns its status. */
int shard_kit_await(struct shard_kit *kit, struct kit_client *client, uint64_t correlation);
/* True when the connection ends within 60 s. */
bool shard_kit_await_end(struct shard_kit *kit, struct kit_client *client);
/* Awaits until `count` acks in all have arrived. */
void shard_kit_await_acks(struct shard_kit *kit, struct kit_client *client, uint32_t count);
/* Awaits until `count` replies in all have arrived; the newest one is in kit->reply. */
void shard_kit_await_replies(struct shard_kit *kit, struct kit_client *client, uint32_t count);
/* Takes what has arrived without waiting. */
void shard_kit_drain(struct shard_kit *kit, struct kit_client *client);

/* Opens a channel of source "wms" for the global facility and the partition that `sku` of topic
 * "stock" goes to. */
void shard_kit_channel(struct shard_kit *kit, struct kit_client *client, const char *name,
                       const char *sku, struct kit_channel *ret_channel);
/* Builds the channel's next batch of `records` records. */
void shard_kit_batch(struct kit_channel *channel, const char *sku, uint32_t records,
                     struct batch_build *ret_build);
/* Sends one batch. */
void shard_kit_send(struct kit_client *client, const struct batch_build *build,
                    enum xd_durability durability);
/* Sends the channel's next batch and awaits its outcome; returns the ack. */
struct xd_ack shard_kit_produce(struct shard_kit *kit, struct kit_client *client,
                                struct kit_channel *channel, const char *sku, uint32_t records);
/* The newest ack. */
const struct xd_ack *shard_kit_last_ack(const struct kit_client *client);

/* Reads the whole partition from the beginning; returns the records, and a hash of the batches as
 * they were given. Offsets must be dense from the first one kept. */
uint64_t shard_kit_read_all(struct shard_kit *kit, struct kit_client *client, uint32_t partition,
                            uint64_t *ret_hash);

#endif
