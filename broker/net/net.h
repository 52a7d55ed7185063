/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections: sockets, buffers, frames. Knows frames, not their meaning.
 *
 * Normal path, per turn of the shard:
 *   net_done        for each event of ENV_OWNER_NET: bytes join their connection
 *   net_frame_next  gives one whole frame at a time, round-robin over connections that have one
 *   net_frame_done  the frame's bytes are finished with; or net_frame_stall: not now, ask again
 * after net_unstall net_out_*       replies and pushes are written straight into output chunks
 *   net_flush       starts one send per connection that has output and none in flight
 * Failure paths: a malformed header, a frame over the limit, a frame that takes longer than
 *   frame_timeout, a peer that stops reading: the connection is closed, the reason comes out of
 *   net_news_next. When lent receive buffers run low, partial frames move into spill memory; when
 * that is exhausted too, the connection whose partial frame is oldest is closed. Shutdown:
 * net_close_begin stops accepting and closes what is idle; net_closed.
 *
 * Where several shards run, a frame whose facility lives on another one is lent to it and its
 * output comes back the same way; see "other shards" below.
 *
 * All memory comes from the arena at start and is bounded by net_options. Must not look into
 * payloads and must not answer anything by itself.
 */
#ifndef CROSSDOCK_NET_NET_H
#define CROSSDOCK_NET_NET_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/counters.h"
#include "broker/base/list.h"
#include "broker/io/env.h"
#include "wire/frame.h"
#include "wire/limits.h"

struct net_options {
    uint32_t connections_max; /* 1..65535, default 1024 */
    uint32_t unix_reserve;    /* of these only for unix sockets, less than all; default 0 */
    uint32_t address_max;     /* of these from one address, 0 = no limit; default 4096 */
    uint32_t strangers_max;   /* ... that have not said HELLO, 0 = no limit; default 64 */
    uint32_t frame_bytes_max; /* payload after HELLO, default XD_FRAME_BYTES_DEFAULT_MAX */
    uint32_t out_chunk_bytes; /* 16 KiB */
    uint32_t out_chunk_count; /* shared by all connections, default 1024 */
    uint32_t
        out_chunks_per_conn; /* more than this queued: the connection's frames wait, default 16 */
    uint32_t large_count;    /* buffers of net_large_bytes() for READ, CATALOG, ADMIN; default 16 */
    uint32_t spill_count;    /* spill memory in frames of frame_bytes_max, default 16 */
    uint32_t recv_buffers_max; /* receive buffers of the env at most, 1..65535, default 4096 */
    uint32_t frame_timeout_ms; /* a begun frame must be whole within this, default 10,000 */
    uint32_t hello_timeout_ms; /* first frame must be there within this, default 5,000 */
    uint32_t send_timeout_ms;  /* a send must finish within this, default 30,000 */

    /* For several shards; all 0 by default, and then cost nothing. */
    uint32_t shard;      /* number of this one: where lent frames go back to */
    uint32_t remote_max; /* connections of other shards, connections_max + remote_max <= 65535 */
    uint32_t lents_max;  /* frames lent to other shards at a time, 0..1048576; of one connection
                            a sixteenth, at least 4 */
    uint32_t relays_max; /* outputs of other shards taken at a time, 0..1048576: one for each
                            connection and other shard is enough */
};
void net_options_init(struct net_options *options);

/* A connection as its user names it: slot and generation, so that a late answer to a closed one is
 * recognised. 0 is never used. */
typedef uint32_t net_id;

/* A whole frame. Its payload lies in one or more pieces of lent memory. */
struct net_frame {
    struct xd_frame head;       /* decoded header */
    net_id conn;                /* where it came from; a socket's or a remote connection's */
    uint32_t piece_count;       /* of the payload, 0 for an empty one */
    const struct iovec *pieces; /* borrowed until net_frame_done / net_frame_stall */
};

enum net_news_kind {
    NET_NEWS_ACCEPTED, /* a: net_id */
    NET_NEWS_CLOSED,   /* a: net_id, b: enum net_close_reason, c: -(errno or status), else 0 */
    NET_NEWS_REFUSED,  /* connections were closed at once; a: enum net_refusal, b: how many */
    NET_NEWS_COUNT
};
/* Why a connection that arrives is closed at once. What one address is, stands in origins.h. */
enum net_refusal {
    NET_TAKEN,           /* it is not */
    NET_REFUSED_FULL,    /* connections_max, or what unix_reserve leaves of it */
    NET_REFUSED_ADDRESS, /* address_max */
    NET_REFUSED_HELLO,   /* strangers_max */
    NET_REFUSED_MEMORY,  /* NET_MEMORY_REFUSING */
    NET_REFUSAL_COUNT
};
/* How much memory for received bytes is left; see budget.h. */
enum net_memory {
    NET_MEMORY_NORMAL,
    NET_MEMORY_THROTTLED, /* who sends large frames is not read from */
    NET_MEMORY_REFUSING,  /* also, connections are refused, but for unix sockets */
    NET_MEMORY_COUNT
};
enum net_close_reason {
    NET_CLOSE_PEER,       /* orderly end by the peer */
    NET_CLOSE_ERROR,      /* socket error */
    NET_CLOSE_MALFORMED,  /* frame header */
    NET_CLOSE_TOO_LARGE,  /* frame over the limit */
    NET_CLOSE_FRAME_SLOW, /* partial frame timed out */
    NET_CLOSE_HELLO_SLOW, /* no frame after accept */
    NET_CLOSE_SEND_SLOW,  /* peer does not read */
    NET_CLOSE_SHED,       /* out of receive memory */
    NET_CLOSE_BROKER,     /* net_close() by the user */
    NET_CLOSE_REASON_COUNT
};
struct net_news {
    uint64_t a, b, c;
    enum net_news_kind kind;
};

struct net; /* lives in the arena */

uint64_t net_bytes_needed(const struct net_options *options);
/* Creates the module; no listener yet. All receive buffers of the env must be free. -EINVAL for an
 * option out of range, or when the env has more receive buffers than recv_buffers_max; -ENOMEM when
 * the arena is too small. `counters` and `env` are borrowed for good. */
int net_init(struct env *env, struct arena *arena, struct counters *counters,
             const struct net_options *options, struct net **ret_net);
/* Binds one address and accepts on it. Up to 8. -errno of the env; ret_address is the bound one
 * (ENV_ADDRESS_BYTES_MAX). */
int net_listen(struct net *net, const char *address, char *ret_address);

/* Takes an event of ENV_OWNER_NET. No frame may be out. */
void net_done(struct net *net, const struct env_event *event);
/* Time-outs; call once per turn, after its events: bytes that have arrived are in time. */
void net_tick(struct net *net);
uint64_t net_deadline_ns(const struct net *net);

/* ---- frames in ------------------------------------------------------------------------------- */
/* 1 and a frame, or 0. At most one frame is out at a time. */
int net_frame_next(struct net *net, struct net_frame *ret_frame);
void net_frame_done(struct net *net);
/* The frame stays first of its connection, which reads no further until net_unstall. */
void net_frame_stall(struct net *net);
/* All stalled connections may be tried again. */
void net_unstall(struct net *net);
/* Copies payload bytes at .. at+bytes out of the pieces. The range must lie inside the payload. */
void net_frame_copy(const struct net_frame *frame, uint32_t at, void *destination, uint32_t bytes);
/* The whole payload as one piece, 8-byte aligned: in place when it is so, else copied into the
 * module's scratch (frame_bytes_max). Borrowed until net_frame_done / stall. */
const uint8_t *net_frame_linear(struct net *net, const struct net_frame *frame);
/* Raises the connection's frame limit from the pre-HELLO one to frame_bytes_max and ends its HELLO
 * time-out. To be called before net_frame_done of the HELLO, since the next frame may be there. */
void net_admit(struct net *net, net_id conn);

/* ---- frames out ------------------------------------------------------------------------------ */
/* False once the connection is gone or going. */
bool net_alive(const struct net *net, net_id conn);
/* Contiguous room for `bytes` <= out_chunk_bytes, 8-byte aligned, or NULL: connection gone, too
 * much queued (twice out_chunks_per_conn), or no chunk free (try again after the next events). A
 * second call replaces the first; net_done, net_tick and net_flush end it. */
uint8_t *net_out_reserve(struct net *net, net_id conn, uint32_t bytes);
/* Queues the first `bytes` of what was reserved last, on that connection. */
void net_out_commit(struct net *net, net_id conn, uint32_t bytes);
/* Frame header and largest payload. */
uint32_t net_large_bytes(const struct net *net);
/* A large buffer of net_large_bytes(), 4 KiB aligned, or NULL when all are in use. */
uint8_t *net_large_acquire(struct net *net);
void net_large_release(struct net *net, uint8_t *large);
/* Whether the connection should get another large buffer: false while as many are queued for it as
 * one may have, so that a peer that does not read cannot take those of all. True when it is gone:
 * net_large_send drops the buffer then. */
bool net_large_room(const struct net *net, net_id conn);
/* Queues the first `bytes` of a large buffer behind what is queued; the module releases it when
 * sent (or the connection is gone). */
void net_large_send(struct net *net, net_id conn, uint8_t *large, uint32_t bytes);
/* Ends the turn, after all output: starts sends, finishes closes whose output has left, and looks
 * after receive memory. No frame may be out. */
void net_flush(struct net *net);

/* ---- the rest -------------------------------------------------------------------------------- */
/* Closes after queued output has been sent; frames not handed out yet are dropped. No effect on a
 * connection that is gone or going. */
void net_close(struct net *net, net_id conn);
/* Peer's address for people: ENV_ADDRESS_BYTES_MAX; "(another shard)" for a remote connection,
 * "(gone)" for one that is no more. */
void net_peer(struct net *net, net_id conn, char *ret_address);
/* True and the next piece of news. None is lost: a slot is not used again before its CLOSED has
 * been taken from here, so a user that does not ask runs out of slots. */
bool net_news_next(struct net *net, struct net_news *ret_news);
const char *net_close_reason_name(enum net_close_reason reason);
const char *net_refusal_name(enum net_refusal refusal); /* "connections_max" */
const char *net_memory_name(enum net_memory memory);    /* "throttled" */
/* At the end of the last turn. */
enum net_memory net_memory(const struct net *net);
/* Slot of an id, for tables beside this one: 1..connections_max for one that holds a socket, behind
 * that for remote_max of other shards. */
uint32_t net_slot(net_id conn);
/* Connections that hold a socket. */
uint32_t net_connections(const struct net *net);

/* Stops accepting and does net_close on every connection that holds a socket; answers must have
 * been queued before. Those of other shards end by their homes. */
void net_close_begin(struct net *net);
/* Whether no socket and no accept is left, every lent frame is back, every relay has been told by
 * net_relay_next, and no connection of another shard is left, whose home may still send. */
bool net_closed(const struct net *net);

/* ---- other shards ----------------------------------------------------------------------------
 * A connection's home is the shard that accepted it. A frame for a facility of another shard, its
 * owner, is lent to that one where it lies; to the owner the connection is a remote one, with the
 * same queue, turns, stalls and outbox as any. What the owner has to send goes back the same way:
 *
 *   home                                     owner
 *   net_frame_lend         -- lent frame -->  net_remote_frame, net_frame_next .. net_frame_done
 *   net_lent_return        <-- its return --  net_remote_done_next
 *   net_relay              <-- pieces ------  net_out_*, net_flush, net_remote_output_next
 *   net_relay_next         -- their end --->  net_remote_sent
 *   NET_NEWS_CLOSED        -- the end ----->  net_remote_gone, NET_NEWS_CLOSED
 *   net_close              <-- a close -----  net_close, NET_NEWS_CLOSED
 *
 * Each module belongs to one thread. What is lent crosses by a queue of the user with release and
 * acquire, and the borrower only reads it. All modules have the same options. */

/* Pieces of one relay: those of one send. */
#define NET_RELAY_PIECES_MAX 16u

struct piece; /* of the lender's received bytes */

/* Payload bytes of a lent frame. */
struct net_lent_piece {
    const uint8_t *data;               /* first byte */
    const struct net_lent_piece *next; /* following bytes of the payload, NULL = none */
    struct piece *piece;               /* the lender's: where they lie */
    uint32_t bytes;                    /* at least 1 */
};

/* A frame that is lent to another shard. It lies in the lender's arena until it is returned there;
 * whoever has it may read all of it and write nothing, but for `node`. */
struct net_lent {
    struct xd_frame head;        /* decoded header */
    struct net_lent_piece first; /* payload; without meaning when piece_count is 0 */
    struct list_node node;       /* a list of the module that has it */
    uint32_t piece_count;        /* of the payload, 0 for an empty one */
    uint32_t home;               /* shard that lends it, net_options.shard there */
    net_id conn;                 /* where it came from, the lender's id */
};

/* Home: the frame that is out goes to another shard. Steps over it as net_frame_done does, its
 * bytes stay until net_lent_return. NULL when too much is lent, of this connection (256 KiB, or its
 * share of lents_max or of the receive buffers) or in all (lents_max, or half of the receive
 * buffers), or when the connection has been closed: the frame is still out, and to be stalled. Not
 * for a frame of a remote connection. */
struct net_lent *net_frame_lend(struct net *net);
/* Home: a frame lent by this module is back; whether its connection is still there does not matter.
 * A frame that was stalled because too much was lent may be tried again: net_unstall. A connection
 * whose peer has finished ends when its last lent frame is back, so what came from the owner before
 * that is to be relayed before. */
void net_lent_return(struct net *net, struct net_lent *lent);
/* Home: queues what another shard has to send, 1..NET_RELAY_PIECES_MAX pieces of at least one byte,
 * behind what is queued for the connection. Pieces and their array are borrowed until
 * net_relay_next gives `cookie` back. False when the connection is gone or going: nothing is
 * borrowed. At most relays_max between net_relay and net_relay_next (asserted). */
bool net_relay(struct net *net, net_id conn, const struct iovec *pieces, uint32_t count,
               uint64_t cookie);
/* Home: true and the cookie of a relay that has been sent or whose connection is gone, each once.
 */
bool net_relay_next(struct net *net, uint64_t *ret_cookie);

/* Owner: a connection of another shard gets a slot. 0, or -EMFILE when none is free. It has said
 * HELLO at its home; no time-outs apply to it, and NET_NEWS_ACCEPTED does not come. */
int net_remote_open(struct net *net, net_id *ret_id);
/* Owner: puts a lent frame behind those that the connection has. When it is gone or going, the
 * frame comes out of net_remote_done_next at once. */
void net_remote_frame(struct net *net, net_id id, struct net_lent *lent);
/* Owner: true and a lent frame that has been read, or was dropped by a close: to be returned to its
 * home, behind the output of the same turn. */
bool net_remote_done_next(struct net *net, struct net_lent **ret_lent);
/* Owner, after net_flush: true and what a remote connection has to send. The pieces are lent to its
 * home until net_remote_sent; no more comes for this connection before that. */
bool net_remote_output_next(struct net *net, net_id *ret_id, const struct iovec **ret_pieces,
                            uint32_t *ret_count);
/* Owner: its home is done with the pieces, be they sent or not. To be called for each that
 * net_remote_output_next gave, also when the connection has ended meanwhile. */
void net_remote_sent(struct net *net, net_id id);
/* Owner: the connection has ended at its home. Frames not read are dropped, as is what is not being
 * sent; NET_NEWS_CLOSED follows. No effect on one that is gone. No frame may be out. */
void net_remote_gone(struct net *net, net_id id);

#endif
