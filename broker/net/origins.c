/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections by where they come from; see origins.h.
 */
#include "broker/net/origins.h"

#include "wire/xassert.h"

#include <errno.h>

/* Network part of an IPv6 address, in bytes. */
#define NETWORK_BYTES 8u

/* Where IPv4 addresses lie among the networks: 0:ffff:a.b.c.d::/64, reserved by RFC 4291. */
#define KEY_IPV4 0x0000ffff00000000ull

uint64_t origins_bytes_needed(uint32_t count)
{
    return hashmap_slot_count(count) * sizeof(struct hashmap_slot) +
           pool_bytes(sizeof(struct origin), count) + 2 * (uint64_t)POOL_ALIGN;
}

int origins_init(struct origins *origins, struct arena *arena, const struct net_options *options,
                 uint64_t seed)
{
    uint32_t count = options->connections_max;
    uint32_t slot_count = hashmap_slot_count(count);
    size_t bytes = pool_bytes(sizeof(struct origin), count);
    struct hashmap_slot *slots = arena_alloc(arena, slot_count * sizeof(*slots), POOL_ALIGN);
    void *table = arena_alloc(arena, bytes, POOL_ALIGN);

    XD_ASSERT(count > 0);
    *origins = (struct origins){.conns_max = options->address_max,
                                .strangers_max = options->strangers_max};
    if (slots == NULL || table == NULL)
        return -ENOMEM;
    hashmap_init(&origins->map, slots, slot_count, seed);
    pool_init(&origins->table, table, bytes, sizeof(struct origin), count);
    return 0;
}

bool origins_counts(const struct env_origin *from)
{
    return from->family == ENV_FAMILY_IPV4 || from->family == ENV_FAMILY_IPV6;
}

uint64_t origins_key(const struct env_origin *from)
{
    uint64_t key = 0;
    uint32_t bytes = from->family == ENV_FAMILY_IPV4 ? 4 : NETWORK_BYTES;

    XD_ASSERT(origins_counts(from));
    for (uint32_t i = 0; i < bytes; i++)
        key = key << 8 | from->address[i];
    return from->family == ENV_FAMILY_IPV4 ? KEY_IPV4 | key : key;
}

/* The address's row, new when it has none. There are as many as connections. */
static struct origin *row_of(struct origins *origins, uint64_t key)
{
    uint32_t index;

    if (hashmap_find(&origins->map, key, &index) == 0)
        return pool_at(&origins->table, index);
    struct origin *origin = pool_acquire(&origins->table);
    XD_ASSERT(origin != NULL);
    *origin = (struct origin){.key = key};
    int status = hashmap_insert(&origins->map, key, pool_index(&origins->table, origin));
    XD_ASSERT(status == 0);
    return origin;
}

static bool is_over(uint32_t count, uint32_t max)
{
    return max != 0 && count >= max;
}

enum net_refusal origins_take(struct origins *origins, const struct env_origin *from,
                              struct origin **ret_origin)
{
    struct origin *origin = NULL;

    if (origins_counts(from)) {
        origin = row_of(origins, origins_key(from));
        XD_ASSERT(origin != NULL && origin->strangers <= origin->conns);
        /* A limit is at least 1, so a row that was made here is not left without connections. */
        if (is_over(origin->conns, origins->conns_max))
            return NET_REFUSED_ADDRESS;
        if (is_over(origin->strangers, origins->strangers_max))
            return NET_REFUSED_HELLO;
        origin->conns++;
        origin->strangers++;
    }
    *ret_origin = origin;
    return NET_TAKEN;
}

void origins_greeted(struct origin *origin)
{
    if (origin == NULL)
        return;
    XD_ASSERT(origin->strangers > 0 && origin->strangers <= origin->conns);
    origin->strangers--;
}

void origins_release(struct origins *origins, struct origin *origin, bool stranger)
{
    uint32_t index;

    if (origin == NULL)
        return;
    if (stranger)
        origins_greeted(origin);
    XD_ASSERT(origin->conns > origin->strangers);
    if (--origin->conns > 0)
        return;
    int status = hashmap_remove(&origins->map, origin->key, &index);
    XD_ASSERT(status == 0 && pool_at(&origins->table, index) == origin);
    pool_release(&origins->table, origin);
}
