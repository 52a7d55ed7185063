/* SPDX-License-Identifier: Apache-2.0
 *
 * The other shards of the broker, as one of them sees them: frames that go there and come from
 * there, the output that comes back, one catalog for all, and a stop that loses no answer.
 *
 * A connection's home is the shard that accepted it. A frame is for the shard that owns its
 * facility (route.c); when that is another one it is lent to it (peers_forward), where the
 * connection is a remote one: its frames and output are net's business as those of any other.
 * docs/decisions/0009 says why. The catalog is shard 0's; spread.c brings its entries to the
 * others.
 *
 * Normal path, per turn: peers_take after the shard's own events, peers_flush after net_flush, and
 * peers_sleep before it waits. Failure paths: a connection that ends at its home is told to every
 * shard that knows it (GONE), one that the owner ends is told to its home (CLOSE); both may cross
 * what is on its way, which is then given back unread or unsent. Shutdown: a shard that has
 * answered everything says so (DRAINED) and goes on sending for the others until all have.
 *
 * With one shard all of this is off: peers.count is 1 and no memory is taken.
 */
#ifndef CROSSDOCK_SHARD_PEERS_H
#define CROSSDOCK_SHARD_PEERS_H

#include "broker/base/arena.h"
#include "broker/link/link.h"
#include "broker/net/net.h"
#include "broker/partition/catalog.h"

#include <stdbool.h>
#include <stdint.h>

struct shard;
struct shard_options;
struct connection;

/* One other shard. */
struct peer {
    net_id *remotes; /* by slot of its sockets: the connection as it is known here, 0 = it is not */
    uint64_t *acked; /* by slot of own sockets: credit that it has given back to the connection */
    bool drained;    /* it has answered everything and lends nothing more */

    /* Shard 0 about the others. */
    struct catalog_extent extent; /* of its catalog, durable there */
    struct control_config entry;  /* on its way there, lent until it tells its extent again */
    bool told;                    /* it has told its extent */
    bool asked;                   /* `entry` is there or on its way */
};

struct peers {
    struct link_end end;    /* */
    struct peer *table;     /* by shard; the own row is not used */
    uint32_t count;         /* shards of the broker */
    int status;             /* why the shards cannot go on together, 0 = they can */
    bool joined;            /* the catalog is that of shard 0 */
    bool returned;          /* a lent frame has come back in this turn */
    bool drained;           /* the others have been told that everything is answered */
    uint32_t outputs;       /* remote connections whose output is lent to their homes */
    uint64_t config_index;  /* others: log index of shard 0's entry, 0 = none is on its way */
    const struct control_config *config; /* others: shard 0's entry that waits for room, or NULL */
    const char *why;                     /* of `status`; static */
};

/* ---- peers.c --------------------------------------------------------------------------------- */
uint64_t peers_bytes_needed(const struct shard_options *options);
/* -ENOMEM when the arena is too small. */
int peers_init(struct shard *shard);
/* Messages that one shard may have outstanding to one other. */
uint32_t peers_messages_max(const struct shard_options *options);

/* Takes what the others have sent. */
void peers_take(struct shard *shard);
/* What peers_forward answers when the frame has gone. */
#define PEERS_FORWARDED 1
/* Gives the frame that is out to another shard: PEERS_FORWARDED, and it is no longer out; or
 * -EAGAIN when too much is lent. */
int peers_forward(struct shard *shard, uint32_t to);
/* A socket's connection has begun; its slot may have served another one. */
void peers_begin(struct shard *shard, struct connection *connection);
/* A connection has ended here, whichever kind it is. `by_us`: not at the wish of its client. */
void peers_gone(struct shard *shard, const struct connection *connection, bool by_us);
/* Gives back and sends on what this turn has made, and rings the bells of those who sleep. */
void peers_flush(struct shard *shard);
/* False: something has come, do not wait. */
bool peers_sleep(struct shard *shard);
void peers_wake(struct shard *shard);

/* Everything is answered here: tells the others, once. True when all others have told it too and
 * nothing of theirs is left here. */
bool peers_drain(struct shard *shard);

/* ---- route.c --------------------------------------------------------------------------------- */
/* Shard that a well-formed frame of a greeted connection is for; this one when it is nobody's. */
uint32_t route_frame(struct shard *shard, const struct net_frame *frame);

/* ---- spread.c -------------------------------------------------------------------------------- */
/* Starts to bring the catalogs into step: shard 0 waits for the others, they tell what they have.
 */
void spread_join(struct shard *shard);
/* Shard 0: a peer's catalog is durable this far. */
void spread_take_extent(struct shard *shard, uint32_t from, const struct link_message *message);
/* The others: an entry, or that the catalogs are equal. */
void spread_take_entry(struct shard *shard, const struct link_message *message);
void spread_take_joined(struct shard *shard, const struct link_message *message);
/* The others: appends the entry that has come, when there is room; before the log is kicked, since
 * nothing else would have it written. */
void spread_append(struct shard *shard);
/* Goes on, after what is durable has been folded. */
void spread_turn(struct shard *shard);
/* Whether all shards have the first `epoch` entries of the catalog durable. */
bool spread_reached(const struct shard *shard, uint64_t epoch);

/* What is sent. From a connection's home to an owner and back: */
enum peers_message {
    PEERS_FRAME = 1, /* data: struct net_lent */
    PEERS_RETURN,    /* data: the same, done with */
    PEERS_OUTPUT,    /* conn, remote; count pieces at data */
    PEERS_SENT,      /* remote: its output is done with */
    PEERS_GONE,      /* conn has ended */
    PEERS_CLOSE,     /* conn is to be ended */
    /* catalog */
    PEERS_EXTENT, /* conn topics, remote facilities, number partitions */
    PEERS_ENTRY,  /* data: struct control_config */
    PEERS_JOINED, /* data: 16 bytes of cluster id */
    /* stop */
    PEERS_DRAINED
};

#endif
