/* SPDX-License-Identifier: Apache-2.0
 *
 * Map from 64-bit keys to 32-bit values over the caller's slots: the index behind pools and
 * tables ("which session has this id").
 *
 * Normal path: open addressing with linear probing. A key's home slot is
 * prng_mix(key ^ seed) & (slot_count - 1); it lies there or behind it, with no empty slot between.
 * Removal shifts the run back over the hole, so there are no tombstones and a map that lives for
 * years stays as fast as a fresh one. At the load limit of 7/8 a hit looks at 4.5 slots on
 * average, a miss at 32; at a load of 1/2 it is 1.5 and 2.5.
 *
 * Failure paths: -ENOSPC at the load limit, -EEXIST and -ENOENT; the map is unchanged then. The
 * seed makes runs of colliding keys hard to provoke from outside; it is no cryptographic promise.
 * Must not allocate, grow or interpret keys: every key and value is allowed. Used by one thread.
 */
#ifndef CROSSDOCK_BROKER_BASE_HASHMAP_H
#define CROSSDOCK_BROKER_BASE_HASHMAP_H

#include <stdint.h>

/* A map has at least this many slots; the load limit is then 7. */
#define HASHMAP_SLOTS_MIN 8u
#define HASHMAP_SLOTS_MAX 0x80000000u

struct hashmap_slot {
    uint64_t key;   /* meaningful when used */
    uint32_t value; /* meaningful when used */
    uint32_t used;  /* 1 = holds an entry, 0 = empty */
};

struct hashmap {
    struct hashmap_slot *slots; /* the caller's */
    uint64_t seed;              /* moves the home slots */
    uint32_t mask;              /* slot_count - 1 */
    uint32_t count;             /* entries held */
    uint32_t count_max;         /* load limit: 7/8 of the slots */
};

/* Slots that a map of `entry_count` entries needs: the least allowed number whose load limit holds
 * them. `entry_count` is at most 7/8 of HASHMAP_SLOTS_MAX. */
uint32_t hashmap_slot_count(uint32_t entry_count);

/* Takes `slots` of `slot_count`, a power of two within the bounds above, and empties them. They are
 * the map's until its end, which needs no call. */
void hashmap_init(struct hashmap *map, struct hashmap_slot *slots, uint32_t slot_count,
                  uint64_t seed);

/* Adds an entry. 0, -EEXIST when the key is there (its value stays), -ENOSPC at the load limit. */
int hashmap_insert(struct hashmap *map, uint64_t key, uint32_t value);

/* Looks a key up. 0 and *ret_value, or -ENOENT. */
int hashmap_find(const struct hashmap *map, uint64_t key, uint32_t *ret_value);

/* Takes an entry out. 0 and *ret_value, the value it had, or -ENOENT. */
int hashmap_remove(struct hashmap *map, uint64_t key, uint32_t *ret_value);

/* Entries held. */
static inline uint32_t hashmap_count(const struct hashmap *map)
{
    return map->count;
}

/* Walks the entries in slot sequence: NULL gives the first, an entry the one behind it; NULL behind
 * the last. For teardown only: never in a fold, the sequence depends on seed and history. The map
 * must not change during the walk. */
const struct hashmap_slot *hashmap_next(const struct hashmap *map, const struct hashmap_slot *slot);

/* Asserts all invariants, O(slots x run length). */
void hashmap_check(const struct hashmap *map);

#endif
