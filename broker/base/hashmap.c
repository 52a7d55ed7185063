/* SPDX-License-Identifier: Apache-2.0
 *
 * Open addressing with backward-shift deletion; see hashmap.h. Every probe loop ends because the
 * load limit leaves at least one slot in eight empty.
 */
#include "broker/base/hashmap.h"

#include "broker/base/prng.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static uint32_t home_of(const struct hashmap *map, uint64_t key)
{
    return (uint32_t)prng_mix(key ^ map->seed) & map->mask;
}

/* Steps from slot `from` forward to slot `to`, around the end. */
static uint32_t distance(const struct hashmap *map, uint32_t from, uint32_t to)
{
    return (to - from) & map->mask;
}

/* The slot that holds the key, or the empty one where the search for it ends. */
static uint32_t probe(const struct hashmap *map, uint64_t key)
{
    uint32_t i = home_of(map, key);

    XD_ASSERT(map->count <= map->count_max);
    while (map->slots[i].used && map->slots[i].key != key)
        i = (i + 1) & map->mask;
    return i;
}

uint32_t hashmap_slot_count(uint32_t entry_count)
{
    uint32_t slot_count = HASHMAP_SLOTS_MIN;

    XD_ASSERT(entry_count <= HASHMAP_SLOTS_MAX / 8 * 7);
    while (slot_count / 8 * 7 < entry_count)
        slot_count *= 2;
    return slot_count;
}

void hashmap_init(struct hashmap *map, struct hashmap_slot *slots, uint32_t slot_count,
                  uint64_t seed)
{
    XD_ASSERT(slots != NULL);
    XD_ASSERT(slot_count >= HASHMAP_SLOTS_MIN && slot_count <= HASHMAP_SLOTS_MAX);
    XD_ASSERT((slot_count & (slot_count - 1)) == 0);
    *map = (struct hashmap){
        .slots = slots,
        .seed = seed,
        .mask = slot_count - 1,
        .count_max = slot_count / 8 * 7,
    };
    memset(slots, 0, sizeof(*slots) * slot_count);
}

int hashmap_insert(struct hashmap *map, uint64_t key, uint32_t value)
{
    uint32_t i = probe(map, key);

    if (map->slots[i].used)
        return -EEXIST;
    if (map->count == map->count_max)
        return -ENOSPC;
    map->slots[i] = (struct hashmap_slot){.key = key, .value = value, .used = 1};
    map->count++;
    return 0;
}

int hashmap_find(const struct hashmap *map, uint64_t key, uint32_t *ret_value)
{
    uint32_t i = probe(map, key);

    if (!map->slots[i].used)
        return -ENOENT;
    *ret_value = map->slots[i].value;
    return 0;
}

int hashmap_remove(struct hashmap *map, uint64_t key, uint32_t *ret_value)
{
    uint32_t hole = probe(map, key);
    uint32_t i = hole;
    uint32_t removed = map->slots[hole].value;

    if (!map->slots[hole].used)
        return -ENOENT;
    XD_ASSERT(map->count > 0);
    /* Close the hole: an entry further on in the run moves into it unless that would put it before
     * its home; the place it leaves is the new hole. The run ends at the first empty slot. */
    for (i = (i + 1) & map->mask; map->slots[i].used; i = (i + 1) & map->mask) {
        uint32_t home = home_of(map, map->slots[i].key);

        if (distance(map, home, i) >= distance(map, hole, i)) {
            map->slots[hole] = map->slots[i];
            hole = i;
        }
    }
    map->slots[hole] = (struct hashmap_slot){0};
    map->count--;
    *ret_value = removed;
    return 0;
}

const struct hashmap_slot *hashmap_next(const struct hashmap *map, const struct hashmap_slot *slot)
{
    size_t i = slot == NULL ? 0 : (size_t)(slot - map->slots) + 1;

    XD_ASSERT(i <= (size_t)map->mask + 1);
    while (i <= map->mask && !map->slots[i].used)
        i++;
    return i <= map->mask ? &map->slots[i] : NULL;
}

void hashmap_check(const struct hashmap *map)
{
    uint32_t count = 0;

    XD_ASSERT(map->count_max < map->mask + 1);
    for (uint32_t i = 0; i <= map->mask; i++) {
        const struct hashmap_slot *slot = &map->slots[i];

        XD_ASSERT(slot->used <= 1);
        count += slot->used;
        if (slot->used)
            XD_ASSERT(probe(map, slot->key) == i); /* reachable, and nowhere else */
    }
    XD_ASSERT(count == map->count);
    XD_ASSERT(count <= map->count_max);
}
