/* SPDX-License-Identifier: Apache-2.0
 *
 * From received bytes to frames, without copying: each receive is a piece of lent memory, a
 * connection's pieces stand in its inbox in the sequence of the stream.
 *
 * Normal path: inbox_append takes a piece; inbox_head says whether the first frame is whole;
 * inbox_pieces shows its payload where it lies; inbox_consume steps over it and gives lent buffers
 * back as soon as nothing unread lies in them. A buffer may hold many frames and a frame may lie in
 * many buffers.
 *
 * Failure paths: a malformed or oversized header is a status. When lent buffers run low,
 * inbox_spill copies what an inbox holds into spill chunks and gives the buffers back; when chunks
 * run out it says so, and whoever called decides who has to go. Shutdown: inbox_drop.
 *
 * A frame that is lent to another shard (lend.h) keeps the pieces its payload lies in: a piece that
 * leaves the inbox then stays until its last lent frame is back, and its buffer or chunk with it.
 * Only the oldest unread piece in a buffer, and the oldest in a chunk, can be such a one.
 *
 * Memory is bounded: one piece per lent buffer and one per spill chunk, both counted at start. Must
 * not read a clock, close a connection or look into payloads.
 */
#ifndef CROSSDOCK_BROKER_NET_ASSEMBLE_H
#define CROSSDOCK_BROKER_NET_ASSEMBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/pool.h"
#include "broker/io/env.h"
#include "wire/frame.h"

/* Spill memory is handed out in chunks of this size, in bytes: a partial frame is small far more
 * often than not, and a connection then takes what it needs instead of a whole frame's room. */
#define SPILL_CHUNK_BYTES 4096u

/* Unread bytes of one receive, or of one spill chunk; what lent frames lie in. */
struct piece {
    struct piece *next;  /* following bytes of the stream, NULL = none yet */
    const uint8_t *data; /* first unread byte */
    uint8_t *chunk;      /* the spill chunk it lies in; NULL = in a lent buffer */
    uint32_t bytes;      /* unread bytes, at least 1 while in an inbox, 0 when only lent */
    uint32_t room;       /* spill chunk: free bytes behind the data; lent buffer: 0 */
    uint16_t buffer;     /* id of the lent buffer, or ENV_BUFFER_NONE */
    uint32_t users;      /* lent frames whose payload lies in it */
};

/* What all inboxes share. */
struct assemble {
    struct env *env;        /* borrowed; lent buffers go back to it */
    struct pool pieces;     /* struct piece */
    struct pool chunks;     /* SPILL_CHUNK_BYTES each */
    struct iovec *iovecs;   /* pieces of the one frame that is out; as many as there are pieces */
    uint32_t iovec_count;   /* entries of iovecs */
    uint32_t lent_count;    /* lent buffers in all inboxes, and those kept by lent frames alone */
    uint64_t spilled_bytes; /* copied into spill chunks since start */
};

/* Unread bytes of one connection. Zeroed memory is an empty inbox. */
struct inbox {
    struct piece *first;      /* oldest bytes; spilled pieces stand before lent ones */
    struct piece *last;       /* newest bytes */
    struct piece *spill_last; /* last piece in a spill chunk, NULL = none */
    uint64_t bytes;           /* unread bytes in all pieces */
    uint16_t lent_count;      /* pieces that lie in lent buffers */
    uint16_t kept_count;      /* lent buffers that left it, kept by frames of it that are lent */
    bool head_known;          /* `head` is decoded */
    struct xd_frame head;     /* header of the first frame */
};

/* What inbox_head answers besides XD_PARTIAL and statuses. */
#define INBOX_WHOLE 1

/* Bytes of arena for `buffers_max` receive buffers and `chunk_count` spill chunks. */
uint64_t assemble_bytes_needed(uint32_t buffers_max, uint32_t chunk_count);
/* -ENOMEM when the arena is too small. */
int assemble_init(struct assemble *assemble, struct env *env, struct arena *arena,
                  uint32_t buffers_max, uint32_t chunk_count);

/* Takes `bytes` > 0 at `data` in the lent buffer `buffer`, which the inbox gives back. */
void inbox_append(struct assemble *assemble, struct inbox *inbox, const uint8_t *data,
                  uint32_t bytes, uint16_t buffer);

/* INBOX_WHOLE when the first frame is whole (`head` is valid then), XD_PARTIAL when bytes are
 * missing, else the status of a header that cannot be accepted. */
int inbox_head(struct inbox *inbox, uint32_t length_max);

/* The payload of the first frame, which must be whole, as assemble->iovecs; returns their count. */
uint32_t inbox_pieces(struct assemble *assemble, const struct inbox *inbox);

/* Steps over the first frame, which must be whole. */
void inbox_consume(struct assemble *assemble, struct inbox *inbox);

/* Copies lent pieces into spill chunks, oldest first, and gives their buffers back, as long as more
 * than `keep` chunks are free. False when that ended it; else what is left could not give its
 * buffer back, because a lent frame keeps it. */
bool inbox_spill(struct assemble *assemble, struct inbox *inbox, uint32_t keep);

/* Gives everything back but what lent frames keep, which stays counted. */
void inbox_drop(struct assemble *assemble, struct inbox *inbox);

/* Gives the memory of a piece back that is in no inbox and in no lent frame. */
void piece_free(struct assemble *assemble, struct piece *piece);

/* The oldest piece that lies in a lent buffer, NULL = none. */
static inline const struct piece *inbox_lent_first(const struct inbox *inbox)
{
    return inbox->spill_last != NULL ? inbox->spill_last->next : inbox->first;
}

/* Lent buffers that would go back to the env if everything were read. */
static inline uint32_t inbox_buffers(const struct inbox *inbox)
{
    if (inbox->lent_count == 0)
        return 0;
    return inbox->lent_count - (inbox_lent_first(inbox)->users > 0 ? 1u : 0u);
}

/* Asserts all invariants, O(pieces). */
void inbox_check(const struct inbox *inbox);

#endif
