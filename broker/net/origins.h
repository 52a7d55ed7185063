/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections by where they come from, so that one address cannot take the places of all.
 *
 * Normal path: origins_take counts an accepted connection, origins_greeted that it has said HELLO,
 * origins_release its end; each is O(1). What is counted together is an IPv4 address, or the first
 * 64 bits of an IPv6 address: one host can have all that lie behind them. Unix sockets, and peers
 * that are gone already, are not counted.
 *
 * Failure path: over a limit the connection is not counted and the caller is told which limit it
 * was. Memory is taken at start for as many addresses as connections can have. Must not close
 * anything.
 */
#ifndef CROSSDOCK_BROKER_NET_ORIGINS_H
#define CROSSDOCK_BROKER_NET_ORIGINS_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/base/arena.h"
#include "broker/base/hashmap.h"
#include "broker/base/pool.h"
#include "broker/io/env.h"
#include "broker/net/net.h"

/* One address with connections. */
struct origin {
    uint64_t key;       /* origins_key() */
    uint32_t conns;     /* its connections, at least 1 */
    uint32_t strangers; /* of these not admitted by HELLO */
};

struct origins {
    struct hashmap map;     /* key -> index in `table` */
    struct pool table;      /* struct origin */
    uint32_t conns_max;     /* of one address, 0 = no limit */
    uint32_t strangers_max; /* of one address, 0 = no limit */
};

/* Bytes of arena for connections from `count` addresses. */
uint64_t origins_bytes_needed(uint32_t count);
/* For connections_max of them. 0, or -ENOMEM when the arena is too small. `seed` makes addresses
 * that collide hard to find. */
int origins_init(struct origins *origins, struct arena *arena, const struct net_options *options,
                 uint64_t seed);

/* Whether connections from there are counted. */
bool origins_counts(const struct env_origin *from);
/* What is counted together. IPv4 addresses lie in a range that no IPv6 network has. */
uint64_t origins_key(const struct env_origin *from);

/* Counts a connection that has not said HELLO: NET_TAKEN and *ret_origin, NULL where nothing is
 * counted; else the limit that it is over, and nothing has changed. */
enum net_refusal origins_take(struct origins *origins, const struct env_origin *from,
                              struct origin **ret_origin);
/* A connection counted there has been admitted; once for each. Accepts NULL. */
void origins_greeted(struct origin *origin);
/* A connection counted there has ended; `stranger`: it was not admitted. Accepts NULL. */
void origins_release(struct origins *origins, struct origin *origin, bool stranger);

#endif
