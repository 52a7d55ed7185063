/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes on their way out: frames are written straight into chunks shared by all connections, or
 * into large buffers, and leave with one send per connection.
 *
 * Normal path: outbox_reserve gives room in the last chunk of the connection, outbox_commit queues
 * what was written; outbox_large_queue puts a large buffer behind it. outbox_take turns what is
 * queued into the pieces of one send, outbox_sent gives their memory back. Bytes committed while a
 * send is in flight join the next one, in the same chunk when there is room. A relay is a row of
 * pieces that another shard lends: outbox_relay_queue puts it behind what is queued, and
 * output_relay_next tells, once, that its bytes have left or were dropped.
 *
 * Failure paths: no chunk free or too much queued is NULL; outbox_full says when a connection
 * should be asked for no more. Shutdown: outbox_drop, once no send is in flight.
 *
 * A chunk is a row of segments, each with its length in front, because room is handed out 8-byte
 * aligned and a frame may end anywhere. Must not send anything itself.
 */
#ifndef CROSSDOCK_BROKER_NET_OUTPUT_H
#define CROSSDOCK_BROKER_NET_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "broker/base/arena.h"
#include "broker/base/list.h"
#include "broker/base/pool.h"

/* Pieces of one send. With chunks of 16 KiB a full send carries 256 KiB, which is where the
 * measured throughput of sends levels off. */
#define SEND_PIECES_MAX 16u

/* Room, and with it every segment of a chunk, starts at a multiple of this, in bytes. */
#define OUT_ALIGN 8u

/* Large buffers start at a multiple of this, so that direct reads can land in them. */
#define LARGE_ALIGN 4096u

/* A connection with this many large buffers queued is full: one being sent, one to follow. */
#define LARGE_PER_CONN_MAX 2u

struct output_sizes {
    uint32_t chunk_bytes;     /* largest reservation, multiple of 8 */
    uint32_t chunk_count;     /* chunks for all connections */
    uint32_t chunks_per_conn; /* more queued: the outbox is full; twice as many: nothing more */
    uint32_t large_bytes;     /* usable bytes of a large buffer */
    uint32_t large_count;     /* large buffers */
    uint32_t relay_count;     /* relays queued or not told of, 0 = there are none */
};

enum out_kind {
    OUT_CHUNK, /* segments in a chunk of the pool */
    OUT_LARGE, /* one segment without a length in front */
    OUT_RELAY, /* pieces of another shard */
};

/* Queued memory: a chunk's segments, the front part of a large buffer, or the pieces of a relay. */
struct out_block {
    struct list_node node; /* in an outbox; of a relay also in `relayed` */
    uint8_t *data;         /* start of the memory, NULL = relay */
    uint32_t used;         /* end of what is committed; relay: pieces */
    uint32_t taken;        /* end of what has been given to sends, of a chunk rounded up to
                              OUT_ALIGN; relay: pieces */
    uint32_t segment;      /* chunk: start of the last segment */
    enum out_kind kind;
};

/* What another shard has to send. */
struct relay {
    struct out_block block;     /* must be first */
    const struct iovec *pieces; /* the other shard's, as many as block.used */
    uint64_t cookie;            /* its user's */
    uint16_t chunk_count;       /* chunks that it counts as */
    uint16_t large_count;       /* large buffers that it counts as */
};

/* What all outboxes share. */
struct output {
    struct output_sizes sizes;  /* as given at start */
    struct pool chunks;         /* struct out_block, its bytes behind it */
    struct pool larges;         /* large_bytes each, rounded up to LARGE_ALIGN */
    struct out_block *large_of; /* per large buffer: its place in an outbox */
    struct pool relays;         /* struct relay; zeroed when there are none */
    struct list relayed;        /* struct relay that has left or was dropped, not told of */
};

/* Output of one connection. */
struct outbox {
    struct list blocks;                   /* struct out_block, oldest first */
    uint32_t chunk_count;                 /* chunks in blocks */
    uint16_t large_count;                 /* large buffers in blocks */
    uint16_t relay_chunk_count;           /* chunks that relays in blocks count as */
    uint16_t relay_large_count;           /* large buffers that relays in blocks count as */
    uint16_t piece_count;                 /* pieces of the send in flight, 0 = none */
    uint32_t room_at;                     /* last reservation: start in the last chunk */
    uint32_t room_bytes;                  /* its size, 0 = none */
    uint32_t flying_bytes;                /* their bytes */
    struct iovec pieces[SEND_PIECES_MAX]; /* the env's while a send is in flight */
};

uint64_t output_bytes_needed(const struct output_sizes *sizes);
/* -ENOMEM when the arena is too small. */
int output_init(struct output *output, struct arena *arena, const struct output_sizes *sizes);

/* A large buffer, or NULL when all are out; released unless it is queued. */
uint8_t *output_large_acquire(struct output *output);
void output_large_release(struct output *output, uint8_t *large);

void outbox_init(struct outbox *outbox);

/* Room for `bytes` > 0, up to chunk_bytes, or NULL. Valid until the next call on this outbox. */
uint8_t *outbox_reserve(struct output *output, struct outbox *outbox, uint32_t bytes);
/* Queues the first `bytes` of the room reserved last. */
void outbox_commit(struct outbox *outbox, uint32_t bytes);
/* Queues the first `bytes` > 0 of a large buffer; it is the outbox's from here on. */
void outbox_large_queue(struct output *output, struct outbox *outbox, uint8_t *large,
                        uint32_t bytes);

/* Queues 1..SEND_PIECES_MAX pieces of another shard; they and their array stay borrowed until
 * output_relay_next gives `cookie`. */
void outbox_relay_queue(struct output *output, struct outbox *outbox, const struct iovec *pieces,
                        uint32_t count, uint64_t cookie);
/* True and the cookie of a relay whose bytes have left or were dropped. */
bool output_relay_next(struct output *output, uint64_t *ret_cookie);
/* Relays queued or not told of. */
uint32_t output_relay_count(const struct output *output);

/* Fills `pieces` with what is queued, as far as it fits one send; 0 when nothing is queued. No send
 * may be in flight. Ends a reservation. */
uint32_t outbox_take(struct output *output, struct outbox *outbox);
/* The send has ended: its bytes are done with. */
void outbox_sent(struct output *output, struct outbox *outbox);

/* Gives everything back. No send may be in flight. */
void outbox_drop(struct output *output, struct outbox *outbox);

/* Whether so much is queued that nothing should be asked for that leads to more. A relay counts as
 * what it is on the shard it comes from: a piece longer than a chunk as a large buffer, all others
 * together as the chunks that they would fill. */
static inline bool outbox_full(const struct output *output, const struct outbox *outbox)
{
    return outbox->chunk_count + outbox->relay_chunk_count > output->sizes.chunks_per_conn ||
           outbox->large_count + outbox->relay_large_count >= LARGE_PER_CONN_MAX;
}

static inline bool outbox_flying(const struct outbox *outbox)
{
    return outbox->piece_count > 0;
}

/* Whether nothing is queued or in flight. */
bool outbox_empty(const struct outbox *outbox);

#endif
