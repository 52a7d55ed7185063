/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker on some engine, and a few clients that speak frames to it: what the cases of
 * shard_suite.h run in. The engine is the simulator, or a production engine on a real folder with
 * real sockets; everything behind `struct world_engine` is the same for all.
 *
 * Normal path: world_begin_* makes an empty data folder; world_start brings a shard up to serving;
 * requests are sent through a client's `wire` and awaited, acknowledgements that arrive meanwhile
 * are kept; world_stop or world_kill ends the process, world_start begins the next one on the same
 * folder; world_end removes everything. Failures are Criterion assertions.
 *
 * In the simulator the broker may have several shards (world_begin_sim_shards), each with a folder,
 * an env and an address of its own; on the other engines it has one.
 *
 * Time is the engine's: simulated time costs nothing, on the others it passes.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_SHARD_WORLD_H
#define CROSSDOCK_TESTS_SUPPORT_SHARD_WORLD_H

#include "broker/shard/shard.h"
#include "tests/support/batch_kit.h"
#include "tests/support/env_split.h"
#include "tests/support/wire_client.h"

#include <stdbool.h>
#include <stdint.h>

#define WORLD_CLIENTS 3u
#define WORLD_ACKS 1024u
#define WORLD_TURN_NS 1000000ull         /* longest turn */
#define WORLD_PATIENCE_NS 30000000000ull /* longest wait for anything, by the engine's clock */

struct world;

/* What differs between engines. */
struct world_engine {
    const char *name;                          /* as verb "status" gives it */
    const char *address;                       /* to listen on */
    struct env *(*start)(struct world *world); /* a new process on the folder */
    void (*stop)(struct world *world);         /* it is gone, with all its connections */
    int (*connect)(struct world *world, struct wire_client *wire);
    void (*pump)(struct wire_client *wire); /* moves bytes both ways; sets `ended` */
    void (*leave)(struct wire_client *wire, bool reset);
    void (*end)(struct world *world); /* removes the folder */
};

struct world_client {
    struct wire_client wire;        /* requests go in here */
    struct xd_ack acks[WORLD_ACKS]; /* in the sequence of their arrival */
    uint32_t ack_count;
    uint32_t reply_count; /* since it connected */
    uint64_t acked_bytes; /* credit given back, as the newest ACK says */
    bool goaway;          /* a GOAWAY has arrived */
};

/* The newest reply. */
struct world_reply {
    struct xd_reply_head head;
    char detail[XD_DETAIL_BYTES_MAX + 1];
    _Alignas(8) uint8_t body[XD_FRAME_BYTES_DEFAULT_MAX];
    uint32_t body_bytes;
};

struct world {
    const struct world_engine *engine;
    struct sim *sim;                        /* of the simulator, else NULL */
    struct env *env;                        /* of the running process, NULL = none */
    struct shard *shard;                    /* shard 0, NULL = none */
    struct shard *shards[SPLIT_SHARDS_MAX]; /* all, by number */
    void *memories[SPLIT_SHARDS_MAX];       /* theirs */
    uint64_t memory_bytes;                  /* of each */
    struct split split;           /* the env as one for each shard, when there are several */
    void *links;                  /* between them */
    struct shard_options options; /* may be changed before a start */
    char addresses[SPLIT_SHARDS_MAX][ENV_ADDRESS_BYTES_MAX]; /* bound, by shard */
    char address[ENV_ADDRESS_BYTES_MAX];                     /* that the next client connects to */
    uint32_t tail_cuts;                                      /* lines "log_tail_cut" seen */
    struct world_client clients[WORLD_CLIENTS];
    struct world_reply reply;
};

/* Three engines; of the real ones the address is given. NULL never: where io_uring is refused, a
 * test is skipped. The world's memory is static, one at a time. */
struct world *world_begin_sim(void);
struct world *world_begin_sim_shards(uint32_t shard_count);
struct world *world_begin_uring(const char *address);
struct world *world_begin_epoll(const char *address);
/* For the engines: takes the options of the smallest shard. */
struct world *world_begin_on(const struct world_engine *engine);
void world_end(struct world *world);

/* A shard up to serving, on what the folder holds. */
void world_start(struct world *world);
/* One turn of at most `ns`; then bytes of all clients move. */
void world_turn(struct world *world, uint64_t ns);
/* Turns for that long. */
void world_pass(struct world *world, uint32_t ms);
/* Stops in order: everything in flight is answered. Clients keep what they have received. */
void world_stop(struct world *world);
/* Ends the process where it stands. */
void world_kill(struct world *world);

/* Connects client `i`, says HELLO and awaits the reply. */
struct world_client *world_connect(struct world *world, uint32_t i);
/* The same, to that shard. */
struct world_client *world_connect_to(struct world *world, uint32_t i, uint32_t shard);
void world_leave(struct world *world, struct world_client *client, bool reset);
/* Awaits the reply of a request, which is in world->reply afterwards. Returns its status. */
int world_await(struct world *world, struct world_client *client, uint64_t correlation);
/* Awaits until that many acks in all have arrived. */
void world_await_acks(struct world *world, struct world_client *client, uint32_t count);
/* Takes what has arrived. Returns the replies since it connected; acks are kept. */
uint32_t world_take(struct world *world, struct world_client *client);
/* Awaits the end of the connection. */
void world_await_end(struct world *world, struct world_client *client);

/* ---- requests that most cases need ----------------------------------------------------------- */
/* An open channel as its client knows it. */
struct world_channel {
    struct batch_target target; /* partition and facility filled; strategy SKU */
    uint64_t sequence;          /* newest one used */
    uint64_t previous;          /* of the chain in target.partition */
};

/* The first partition of topic "stock" for the global facility is 0, and it is WORLD_WIDTH wide. */
#define WORLD_WIDTH 3u

/* Opens channel `name` of source "wms" anew; its target is the partition of `sku`. Status. */
int world_open(struct world *world, struct world_client *client, const struct xd_open *open,
               const char *name, const char *sku, struct world_channel *ret_channel);
/* Builds the channel's next batch. */
void world_batch(struct world_channel *channel, const char *sku, uint32_t records,
                 uint32_t payload_bytes, struct batch_build *ret_build);
/* Sends one batch, without waiting. */
void world_send(struct world_client *client, const struct batch_build *build,
                enum xd_durability durability);
/* Sends it and awaits one ack, which is returned. */
struct xd_ack world_outcome(struct world *world, struct world_client *client,
                            const struct batch_build *build);
/* Reads a partition from its beginning to its end. Returns the records; *ret_hash covers the bytes
 * of all batches. */
uint64_t world_read_all(struct world *world, struct world_client *client, uint32_t partition,
                        uint64_t *ret_hash);

#endif
