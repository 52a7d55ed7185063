/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes on their way out: frames are written straight into chunks shared by all connections, or
 * into large buffers, and leave with one send per connection.
 *
 * Normal path: outbox_reserve gives room in the last chunk of the connection, outbox_commit queues
 * what was written; outbox_large_queue puts a large buffer behind it. outbox_take turns what is
 * queued into the pieces of one send, outbox_sent gives their memory back. Bytes committed while a
 * send is in flight join the next one, in the same chunk when there is room.
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
};

/* Queued memory: a chunk's segments or the front part of a large buffer. */
struct out_block {
    struct list_node node; /* in an outbox */
    uint8_t *data;         /* start of the memory */
    uint32_t used;         /* end of what is committed */
    uint32_t taken;        /* end of what has been given to sends, rounded up to OUT_ALIGN */
    uint32_t segment;      /* chunk: start of the last segment */
    bool large;            /* a large buffer: one segment without a length in front */
};

/* What all outboxes share. */
struct output {
    struct output_sizes sizes;  /* as given at start */
    struct pool chunks;         /* struct out_block, its bytes behind it */
    struct pool larges;         /* large_bytes each, rounded up to LARGE_ALIGN */
    struct out_block *large_of; /* per large buffer: its place in an outbox */
};

/* Output of one connection. */
struct outbox {
    struct list blocks;                   /* struct out_block, oldest first */
    uint32_t chunk_count;                 /* chunks in blocks */
    uint32_t large_count;                 /* large buffers in blocks */
    uint32_t room_at;                     /* last reservation: start in the last chunk */
    uint32_t room_bytes;                  /* its size, 0 = none */
    uint32_t piece_count;                 /* pieces of the send in flight, 0 = none */
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

/* Fills `pieces` with what is queued, as far as it fits one send; 0 when nothing is queued. No send
 * may be in flight. Ends a reservation. */
uint32_t outbox_take(struct output *output, struct outbox *outbox);
/* The send has ended: its bytes are done with. */
void outbox_sent(struct output *output, struct outbox *outbox);

/* Gives everything back. No send may be in flight. */
void outbox_drop(struct output *output, struct outbox *outbox);

/* Whether so much is queued that nothing should be asked for that leads to more. */
static inline bool outbox_full(const struct output *output, const struct outbox *outbox)
{
    return outbox->chunk_count > output->sizes.chunks_per_conn ||
           outbox->large_count >= LARGE_PER_CONN_MAX;
}

static inline bool outbox_flying(const struct outbox *outbox)
{
    return outbox->piece_count > 0;
}

/* Whether nothing is queued or in flight. */
bool outbox_empty(const struct outbox *outbox);

#endif
