/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection and the table of all: slots and ids, which frames may be handed out in which
 * sequence, when to receive, and how a connection ends.
 *
 * Normal path: conn_open gives an accepted socket a slot and starts to receive; conn_received takes
 * bytes; a connection whose first frame is whole stands in `ready`; conn_frame_done steps over it.
 * conns_flush starts sends, conn_sent takes their end. A slot goes
 *     FREE -> OPEN -> CLOSING -> ENDED -> FREE,  with DRAINING before CLOSING for an orderly end.
 *
 * Failure paths: every one is conn_abort with a reason: what was received is dropped, the env is
 * asked to close, and the slot waits for the env's last event (CLOSE) and for the news of its end
 * to be taken. Nothing can then arrive for it any more, so ids and tokens of its next user are
 * safe.
 *
 * Connections of other shards have slots of their own, and what is different about them stands in
 * remote.h; frames that go to other shards in lend.h. Time-outs are in timeout.h, scarce receive
 * memory in relief.h. The table as a whole is conns.c. Must not decide anything from a frame's
 * contents.
 */
#ifndef CROSSDOCK_BROKER_NET_CONN_H
#define CROSSDOCK_BROKER_NET_CONN_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/counters.h"
#include "broker/base/list.h"
#include "broker/io/env.h"
#include "broker/net/assemble.h"
#include "broker/net/lend.h"
#include "broker/net/net.h"
#include "broker/net/origins.h"
#include "broker/net/output.h"
#include "broker/net/remote.h"

/* Kinds of tokens. The value is a net_id, for ACCEPT the listener, for REFUSE the env's handle. */
enum conn_token {
    CONN_TOKEN_ACCEPT,
    CONN_TOKEN_REFUSE, /* close of a connection that got no slot */
    CONN_TOKEN_RECV,
    CONN_TOKEN_SEND,
    CONN_TOKEN_CLOSE,
};

/* Frames of one connection before the next one has its turn. */
#define CONN_TURN_FRAMES 32u

/* Bytes of one connection before the next one has its turn. A frame is given whole; what goes
 * beyond comes off its next turns, so that over time each gets as much, however large its frames
 * are. Two frames of 64 KiB: what the log takes in a few us, while small frames wait. */
#define CONN_TURN_BYTES (128u * 1024u)

/* A connection whose last frame had a longer payload than this sends in bulk: it is not read from
 * while memory is THROTTLED. Requests of readers and of people are shorter. */
#define CONN_BULK_BYTES 4096u

/* With a whole frame waiting and more than this unread or lent to other shards, a connection
 * receives no further; it starts again at half. As much of it may be lent. In bytes: four receives
 * of 64 KiB, more than one turn of a fast producer. */
#define CONN_HELD_BYTES_MAX (256u * 1024u)

enum conn_state {
    CONN_FREE,     /* in the free list */
    CONN_OPEN,     /* in use */
    CONN_DRAINING, /* output is still sent, input is dropped, then CLOSING */
    CONN_CLOSING,  /* the env has been asked to close; remote: a send is still given away */
    CONN_ENDED,    /* closed; the news of it has not been taken yet */
};

enum conn_recv {
    CONN_RECV_IDLE,     /* not armed */
    CONN_RECV_ARMED,    /* bytes may arrive */
    CONN_RECV_STOPPING, /* asked to stop, last event on its way */
    CONN_RECV_STARVED,  /* ended for want of buffers, in the list `starved` */
    CONN_RECV_HELD,     /* not armed while memory is throttled, in the list `held` */
};

/* Which list `place_node` is in. */
enum conn_place {
    CONN_PLACE_NONE,    /* none: no bytes unread, or not OPEN */
    CONN_PLACE_PARTIAL, /* `partial`: the first frame has begun */
    CONN_PLACE_READY,   /* `ready`: the first frame is whole */
    CONN_PLACE_STALLED, /* `stalled`: whole, the user does not want it yet */
    CONN_PLACE_BLOCKED, /* `blocked`: whole, but too much output is queued */
    CONN_PLACE_COUNT
};

/* Bits of `news`. */
#define CONN_NEWS_ACCEPTED 0x1u
#define CONN_NEWS_CLOSED 0x2u

struct conn {
    struct list_node place_node;   /* list of enum conn_place; the free ones in a FREE slot */
    struct list_node hello_node;   /* `hello`: not admitted yet */
    struct list_node send_node;    /* `sending`: a send is in flight; remote: `outputs` */
    struct list_node flush_node;   /* `flush`: looked at by the next conns_flush */
    struct list_node starved_node; /* `starved` or `held` */
    struct list_node news_node;    /* `news` */
    uint64_t partial_ns;           /* monotonic time when the first frame began */
    uint64_t hello_ns;             /* ... when it was accepted */
    uint64_t send_ns;              /* ... when the send in flight was started */
    net_id id;                     /* slot 15..0 from 1, generation 31..16 */
    env_conn handle;               /* the env's, valid in OPEN to CLOSING */
    struct origin *origin;         /* where it is counted, from OPEN to CLOSING; NULL = nowhere */
    uint32_t turn_bytes;           /* handed out in its present turn, and beyond its last ones */
    uint32_t length_max;           /* largest payload accepted */
    uint32_t away_bytes;           /* of its frames that are lent, headers included */
    int32_t cause;                 /* status that led to the end, 0 = none */
    enum net_close_reason reason;  /* of the end, from DRAINING on */
    enum conn_state state;
    enum conn_place place;
    uint16_t away_count;  /* frames that are lent */
    uint8_t recv;         /* enum conn_recv */
    uint8_t turn_frames;  /* frames handed out in its present turn */
    uint8_t news;         /* CONN_NEWS_* not taken yet */
    bool ended_by_peer;   /* the peer sends nothing further */
    bool stranger;        /* not admitted */
    bool bulk;            /* its last frame was a long one, see CONN_BULK_BYTES */
    bool remote;          /* a connection of another shard: no socket, see remote.h */
    struct inbox inbox;   /* received, unread */
    struct outbox outbox; /* queued and in flight */
};

/* The table. Lists with a time-out are in the sequence of their beginning, so the first is due
 * first. */
struct conns {
    struct env *env;           /* borrowed */
    struct counters *counters; /* borrowed */
    struct conn *table;        /* slot s is table[s - 1] */
    struct assemble assemble;  /* receive pieces and spill chunks */
    struct lend lend;          /* frames lent to other shards */
    struct output output;      /* chunks and large buffers */
    struct remotes remotes;    /* connections of other shards */
    struct net_options options;
    uint32_t slot_count;                  /* entries of table: of sockets, then remote ones */
    struct list places[CONN_PLACE_COUNT]; /* by enum conn_place; NONE: free slots of sockets */
    struct list hello;                    /* not admitted, oldest first */
    struct list sending;                  /* a send is in flight, oldest first */
    struct list flush;                    /* something may have to be sent or closed */
    struct list starved;                  /* want to receive, no buffer was free */
    struct list held;                     /* do not receive before memory is NORMAL */
    struct list news;                     /* news not taken */
    struct origins origins;               /* sockets by address */
    uint32_t count;                       /* slots of sockets from OPEN to CLOSING */
    uint32_t free_count;                  /* FREE slots of sockets */
    uint32_t buffer_count;                /* receive buffers of the env */
    uint32_t buffers_low;                 /* fewer free receive buffers than this: under pressure */
    uint32_t held_buffers_max;            /* as CONN_HELD_BYTES_MAX, in lent buffers */
    bool pressed;                         /* under pressure at the end of the last turn */
    enum net_memory memory;               /* what relief has left */
};

static inline struct conn *conn_of_place(struct list_node *node)
{
    return LIST_ELEMENT(node, struct conn, place_node);
}

/* Whether its first frame is whole. */
static inline bool conn_frame_waits(const struct conn *conn)
{
    return conn->place >= CONN_PLACE_READY;
}

/* Where the free slots stand. */
static inline struct list *conns_free_list(struct conns *conns, bool remote)
{
    return remote ? &conns->remotes.free : &conns->places[CONN_PLACE_NONE];
}

/* Bytes of arena; the options must be valid. */
uint64_t conns_bytes_needed(const struct net_options *options);
/* 0, -EINVAL or -ENOMEM; see net_init. */
int conns_init(struct conns *conns, struct env *env, struct arena *arena, struct counters *counters,
               const struct net_options *options);

/* The connection of that id when its slot is still its own, else NULL. */
struct conn *conn_find(const struct conns *conns, uint64_t id);

/* Takes an accepted socket, or says why not. */
enum net_refusal conn_open(struct conns *conns, env_conn handle);

/* Events. */
void conn_received(struct conns *conns, struct conn *conn, const struct env_event *event);
void conn_sent(struct conns *conns, struct conn *conn, int32_t result);
void conn_ended(struct conns *conns, struct conn *conn);
/* A send of it has left whole: frames that waited for that are ready, and more may be sent. */
void conn_sent_whole(struct conns *conns, struct conn *conn);

/* The next connection whose frame may be handed out, or NULL; it counts one frame of its turn. */
struct conn *conn_next(struct conns *conns);
/* Steps over its first frame. */
void conn_frame_done(struct conns *conns, struct conn *conn);
/* Lends its first frame to another shard and steps over it; NULL and nothing changed when too much
 * is lent or it is not OPEN. Not for a remote one. */
struct net_lent *conn_lend(struct conns *conns, struct conn *conn);
/* A frame that was lent is back; its connection may be no more. */
void conns_lent_return(struct conns *conns, struct net_lent *lent);
/* Its first frame waits until conns_unstall. */
void conn_stall(struct conns *conns, struct conn *conn);
void conns_unstall(struct conns *conns);

/* Full frames, no HELLO time-out. */
void conn_admit(struct conns *conns, struct conn *conn);
/* Output was queued, or something else has to be looked at when the turn ends. */
void conn_touch(struct conns *conns, struct conn *conn);
/* OPEN -> DRAINING: ends when its output has been sent. `keep_input`: a frame of it is out. */
void conn_drain(struct conns *conns, struct conn *conn, enum net_close_reason reason,
                bool keep_input);
/* Puts it at the end of another list, or of the same one. A partial frame's time begins anew. */
void conn_place_set(struct conns *conns, struct conn *conn, enum conn_place place);
/* OPEN or DRAINING -> CLOSING at once; an end that has begun keeps its reason. `cause` is 0 or the
 * status that led to it. No frame of it may be out. */
void conn_abort(struct conns *conns, struct conn *conn, enum net_close_reason reason,
                int32_t cause);
/* Starts or stops receiving, whichever its state asks for. */
void conn_recv_update(struct conns *conns, struct conn *conn);
/* The news of its end has been taken; frees the slot when the env is done with it too. */
void conn_told(struct conns *conns, struct conn *conn);

/* End of a turn: sends and closes. */
void conns_flush(struct conns *conns);
/* Asserts all invariants, O(n). */
void conns_check(const struct conns *conns);

#endif
