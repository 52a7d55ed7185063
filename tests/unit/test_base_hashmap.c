/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/hashmap.h: the map holds what a plain array of (key, value) holds, at any load.
 */
#include <criterion/criterion.h>

#include "broker/base/hashmap.h"
#include "broker/base/prng.h"

#include <errno.h>
#include <signal.h>

#define SLOTS_MAX 1024u
#define KEYS_MAX (2 * SLOTS_MAX)

static struct hashmap_slot slots[SLOTS_MAX];

/* The model: values by number of the key. */
struct model {
    uint64_t keys[KEYS_MAX];
    uint32_t values[KEYS_MAX];
    bool present[KEYS_MAX];
    uint32_t key_count;
    uint32_t count;
};

/* Both hold the same entries, by lookup and by walk. */
static void compare(const struct hashmap *map, const struct model *model)
{
    uint32_t walked = 0;

    hashmap_check(map);
    for (uint32_t i = 0; i < model->key_count; i++) {
        uint32_t value = 0;
        int status = hashmap_find(map, model->keys[i], &value);

        cr_assert_eq(status, model->present[i] ? 0 : -ENOENT);
        cr_assert_eq(value, model->present[i] ? model->values[i] : 0);
    }
    for (const struct hashmap_slot *slot = NULL; (slot = hashmap_next(map, slot)) != NULL;) {
        cr_assert(slot->used);
        walked++;
    }
    cr_assert_eq(walked, model->count);
    cr_assert_eq(hashmap_count(map), model->count);
}

/* One insertion of a key, with the status that the model demands. */
static void insert(struct hashmap *map, struct model *model, uint32_t i, uint32_t value)
{
    int status = hashmap_insert(map, model->keys[i], value);

    if (model->present[i]) {
        cr_assert_eq(status, -EEXIST);
    } else if (model->count == map->count_max) {
        cr_assert_eq(status, -ENOSPC);
    } else {
        cr_assert_eq(status, 0);
        model->present[i] = true;
        model->values[i] = value;
        model->count++;
    }
}

static void take_out(struct hashmap *map, struct model *model, uint32_t i)
{
    uint32_t value = 77;
    int status = hashmap_remove(map, model->keys[i], &value);

    cr_assert_eq(status, model->present[i] ? 0 : -ENOENT);
    cr_assert_eq(value, model->present[i] ? model->values[i] : 77);
    model->count -= model->present[i];
    model->present[i] = false;
}

/* 100,000 operations on the model's keys, `inserts` of 65536 of them insertions, so that the load
 * settles at its own level; everything is compared every `every` operations. */
static void churn(struct model *model, uint32_t slot_count, uint32_t inserts, uint32_t every)
{
    struct hashmap map;
    struct prng prng;

    prng_seed(&prng, slot_count + inserts);
    hashmap_init(&map, slots, slot_count, 0);
    for (uint32_t op = 0; op < 100000; op++) {
        uint32_t i = (uint32_t)prng_below(&prng, model->key_count);

        if (prng_chance(&prng, inserts))
            insert(&map, model, i, op);
        else
            take_out(&map, model, i);
        if (op % every == 0)
            compare(&map, model);
    }
    compare(&map, model);
}

/* Fills the model with keys: consecutive numbers, or numbers whose home slots lie in the last two
 * of `slot_count` (the map's seed is 0), so that runs are long and go around the end. */
static void make_keys(struct model *model, uint32_t key_count, uint32_t slot_count, bool colliding)
{
    *model = (struct model){.key_count = key_count};
    for (uint64_t key = 0, i = 0; i < key_count; key++)
        if (!colliding || (prng_mix(key) & (slot_count - 1)) >= slot_count - 2)
            model->keys[i++] = key;
}

/* Nearly empty, half full and at the load limit; smallest, small and larger maps. */
Test(base_hashmap, agrees_with_an_array_at_every_load)
{
    static const uint32_t inserts[] = {8000, 32768, 60000};
    static struct model model;

    for (uint32_t slot_count = HASHMAP_SLOTS_MIN; slot_count <= SLOTS_MAX; slot_count *= 16)
        for (uint32_t i = 0; i < 3; i++) {
            make_keys(&model, slot_count * 2, slot_count, false);
            churn(&model, slot_count, inserts[i], slot_count * 4 + 1);
        }
}

/* All keys share two home slots at the end of the array. */
Test(base_hashmap, agrees_with_an_array_when_all_keys_collide)
{
    static const uint32_t inserts[] = {20000, 32768, 60000};
    static struct model model;

    for (uint32_t slot_count = HASHMAP_SLOTS_MIN; slot_count <= 64; slot_count *= 8)
        for (uint32_t i = 0; i < 3; i++) {
            make_keys(&model, slot_count * 2, slot_count, true);
            churn(&model, slot_count, inserts[i], slot_count * 4 + 1);
        }
}

/* No key and no value is set apart. */
Test(base_hashmap, holds_every_kind_of_key_and_value)
{
    static const uint64_t keys[] = {0, 1, UINT32_MAX, UINT64_MAX};
    static const uint32_t values[] = {UINT32_MAX, 0, 1, 2};
    struct hashmap map;
    uint32_t value = 5;

    hashmap_init(&map, slots, 8, 9);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(hashmap_find(&map, keys[i], &value), -ENOENT);
    for (uint32_t i = 0; i < 4; i++)
        cr_assert_eq(hashmap_insert(&map, keys[i], values[i]), 0);
    for (uint32_t i = 0; i < 4; i++) {
        cr_assert_eq(hashmap_find(&map, keys[i], &value), 0);
        cr_assert_eq(value, values[i]);
    }
}

/* At 7/8 of the slots a new key is refused, a known one is still told apart, and a removal makes
 * room for one. */
Test(base_hashmap, refuses_entries_beyond_its_load_limit)
{
    struct hashmap map;
    uint32_t value;

    hashmap_init(&map, slots, 64, 1);
    for (uint64_t key = 0; key < 56; key++)
        cr_assert_eq(hashmap_insert(&map, key, 0), 0);
    cr_assert_eq(hashmap_insert(&map, 56, 0), -ENOSPC);
    cr_assert_eq(hashmap_insert(&map, 55, 0), -EEXIST);
    cr_assert_eq(hashmap_find(&map, 56, &value), -ENOENT);
    cr_assert_eq(hashmap_remove(&map, 20, &value), 0);
    cr_assert_eq(hashmap_insert(&map, 56, 0), 0);
    cr_assert_eq(hashmap_insert(&map, 20, 0), -ENOSPC);
    hashmap_check(&map);
}

/* The walk gives each entry once, whatever the seed. */
Test(base_hashmap, walks_over_each_entry_once)
{
    for (uint64_t seed = 0; seed < 20; seed++) {
        const struct hashmap_slot *slot = NULL;
        uint32_t times[40] = {0};
        struct hashmap map;

        hashmap_init(&map, slots, 64, seed);
        cr_assert_null(hashmap_next(&map, NULL));
        for (uint32_t key = 0; key < 40; key++)
            cr_assert_eq(hashmap_insert(&map, key, key + 100), 0);
        while ((slot = hashmap_next(&map, slot)) != NULL) {
            cr_assert_eq(slot->value, slot->key + 100);
            times[slot->key]++;
        }
        for (uint32_t key = 0; key < 40; key++)
            cr_assert_eq(times[key], 1);
    }
}

/* A seed moves keys to other slots: keys that collide under one do not under another. */
Test(base_hashmap, spreads_keys_by_its_seed)
{
    uint64_t keys[7];
    uint32_t found = 0, apart = 0;
    struct hashmap map;

    for (uint64_t key = 0; found < 7; key++)
        if ((prng_mix(key) & 1023) == 500)
            keys[found++] = key;
    hashmap_init(&map, slots, 1024, 1);
    for (uint32_t i = 0; i < 7; i++)
        cr_assert_eq(hashmap_insert(&map, keys[i], i), 0);
    for (const struct hashmap_slot *slot = NULL; (slot = hashmap_next(&map, slot)) != NULL;)
        apart += slot == slots || !slot[-1].used;
    cr_assert_geq(apart, 6);
}

/* The number of slots is the least power of two whose 7/8 hold the entries. */
Test(base_hashmap, sizes_itself_for_a_number_of_entries)
{
    cr_assert_eq(hashmap_slot_count(0), 8);
    cr_assert_eq(hashmap_slot_count(7), 8);
    cr_assert_eq(hashmap_slot_count(8), 16);
    cr_assert_eq(hashmap_slot_count(14), 16);
    cr_assert_eq(hashmap_slot_count(15), 32);
    cr_assert_eq(hashmap_slot_count(896), 1024);
    cr_assert_eq(hashmap_slot_count(897), 2048);
    cr_assert_eq(hashmap_slot_count(HASHMAP_SLOTS_MAX / 8 * 7), HASHMAP_SLOTS_MAX);
}

/* Masking needs a power of two. */
Test(base_hashmap, aborts_on_a_slot_count_that_is_no_power_of_two, .signal = SIGABRT)
{
    struct hashmap map;

    hashmap_init(&map, slots, 24, 0);
}

/* The check finds an entry that a search cannot reach. */
Test(base_hashmap, check_aborts_on_an_unreachable_entry, .signal = SIGABRT)
{
    struct hashmap map;
    uint32_t home = (uint32_t)prng_mix(5) & 63;

    hashmap_init(&map, slots, 64, 0);
    slots[(home + 2) & 63] = (struct hashmap_slot){.key = 5, .used = 1};
    map.count = 1;
    hashmap_check(&map);
}
