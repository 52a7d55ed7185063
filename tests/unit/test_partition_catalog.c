/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/partition/catalog.c: numbers follow from the sequence of entries alone, an entry counts
 * once however often it is taken in, offsets stay dense, and a saved table is the table.
 */
#include "broker/partition/catalog.h"

#include "broker/base/prng.h"
#include "tests/support/catalog_kit.h"

#include <errno.h>
#include <stdio.h>

/* A topic gets its width in every facility, a facility every topic's; numbers never move. */
Test(partition_catalog, numbers_partitions_in_the_sequence_of_entries)
{
    struct catalog_kit kit;
    kit_begin(&kit, 8, 64);
    cr_assert_eq(kit_topic(&kit, "stock", XD_STRATEGY_SKU, 4), 1);   /* global: 0..3 */
    cr_assert_eq(kit_facility(&kit, "DC07"), 1);                     /* stock: 4..7 */
    cr_assert_eq(kit_topic(&kit, "order", XD_STRATEGY_ORDER, 2), 1); /* 8..9, DC07 10..11 */
    cr_assert_eq(kit_facility(&kit, "DC08"), 1); /* stock 12..15, order 16..17 */
    cr_assert_eq(catalog_placement(&kit.catalog, 1, 0), 0);
    cr_assert_eq(catalog_placement(&kit.catalog, 1, 1), 4);
    cr_assert_eq(catalog_placement(&kit.catalog, 2, 0), 8);
    cr_assert_eq(catalog_placement(&kit.catalog, 2, 1), 10);
    cr_assert_eq(catalog_placement(&kit.catalog, 1, 2), 12);
    cr_assert_eq(catalog_placement(&kit.catalog, 2, 2), 16);
    cr_assert_eq(kit.catalog.partition_count, 18);
    cr_assert_eq(kit.catalog.epoch, 4);
    cr_assert_eq(kit.catalog.pending_index, 4);
    const struct partition *partition = catalog_partition(&kit.catalog, 17);
    cr_assert(partition->topic == 2 && partition->facility == 2 && partition->base == 16 &&
              partition->width == 2);
    cr_assert_null(catalog_partition(&kit.catalog, 18));
    cr_assert_null(catalog_partition(&kit.catalog, XD_PARTITION_NONE));
    kit_end(&kit);
}

/* Look-ups by number and name. */
Test(partition_catalog, finds_objects_by_number_and_name)
{
    struct catalog_kit kit;
    kit_begin(&kit, 8, 64);
    kit_topic(&kit, "stock", XD_STRATEGY_SKU, 4);
    kit_facility(&kit, "DC07");
    cr_assert_eq(catalog_topic_find(&kit.catalog, text_of("stock")),
                 catalog_topic(&kit.catalog, 1));
    cr_assert_null(catalog_topic_find(&kit.catalog, text_of("stoc")));
    cr_assert_null(catalog_topic_find(&kit.catalog, text_of("")));
    cr_assert_null(catalog_topic(&kit.catalog, 0));
    cr_assert_null(catalog_topic(&kit.catalog, 2));
    cr_assert_eq(catalog_facility_find(&kit.catalog, text_of("")), 0);
    cr_assert_eq(catalog_facility_find(&kit.catalog, text_of("DC07")), 1);
    cr_assert_eq(catalog_facility_find(&kit.catalog, text_of("DC0")), XD_FACILITY_UNKNOWN);
    cr_assert_null(catalog_facility(&kit.catalog, 0));
    cr_assert_not_null(catalog_facility(&kit.catalog, 1));
    kit_end(&kit);
}

/* A wish that is fulfilled already needs no entry; the same name with other properties is EXISTS.
 */
Test(partition_catalog, a_second_wish_for_the_same_needs_no_entry)
{
    struct catalog_kit kit;
    kit_begin(&kit, 8, 64);
    kit_topic(&kit, "stock", XD_STRATEGY_SKU, 4);
    kit_facility(&kit, "DC07");
    cr_assert_eq(kit_topic(&kit, "stock", XD_STRATEGY_SKU, 4), 0);
    cr_assert_eq(kit_topic(&kit, "stock", XD_STRATEGY_SKU, 5), XD_EXISTS);
    cr_assert_eq(kit_topic(&kit, "stock", XD_STRATEGY_HU, 4), XD_EXISTS);
    cr_assert_eq(kit_facility(&kit, "DC07"), 0);
    cr_assert_eq(kit.catalog.epoch, 2);
    kit_end(&kit);
}

/* Wishes outside the rules. */
Test(partition_catalog, refuses_wishes_outside_the_rules)
{
    struct catalog_kit kit;
    kit_begin(&kit, 1, 16);
    cr_assert_eq(kit_topic(&kit, "a b", XD_STRATEGY_SKU, 4), XD_NAME_INVALID);
    cr_assert_eq(kit_topic(&kit, "", XD_STRATEGY_SKU, 4), XD_NAME_INVALID);
    cr_assert_eq(kit_topic(&kit, "t", XD_STRATEGY_COUNT, 4), XD_FIELD_INVALID);
    cr_assert_eq(kit_topic(&kit, "t", XD_STRATEGY_SKU, 0), XD_FIELD_INVALID);
    cr_assert_eq(kit_topic(&kit, "t", XD_STRATEGY_SKU, XD_PARTITION_WIDTH_MAX + 1),
                 XD_FIELD_INVALID);
    cr_assert_eq(kit_topic(&kit, "t", XD_STRATEGY_SKU, 17), XD_CATALOG_FULL);
    cr_assert_eq(kit_topic(&kit, "t", XD_STRATEGY_SKU, 6), 1);
    cr_assert_eq(kit_facility(&kit, "no name"), XD_NAME_INVALID);
    cr_assert_eq(kit_facility(&kit, "DC1"), 1);                              /* 12 partitions */
    cr_assert_eq(kit_facility(&kit, "DC2"), XD_CATALOG_FULL);                /* facilities */
    cr_assert_eq(kit_topic(&kit, "u", XD_STRATEGY_SKU, 3), XD_CATALOG_FULL); /* 6 > 4 left */
    cr_assert_eq(kit_topic(&kit, "u", XD_STRATEGY_SKU, 2), 1);
    cr_assert_eq(kit.catalog.partition_count, 16);
    kit_end(&kit);
}

/* There can be XD_TOPICS_MAX topics and no more, whatever room is left for partitions. */
Test(partition_catalog, refuses_a_topic_over_their_number)
{
    struct catalog_kit kit;
    kit_begin(&kit, 1, XD_TOPICS_MAX + 8);
    for (uint32_t i = 0; i < XD_TOPICS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof name, "t%u", i);
        cr_assert_eq(kit_topic(&kit, name, XD_STRATEGY_SKU, 1), 1);
    }
    cr_assert_eq(kit_topic(&kit, "late", XD_STRATEGY_SKU, 1), XD_CATALOG_FULL);
    cr_assert_eq(kit_topic(&kit, "t255", XD_STRATEGY_SKU, 1), 0);
    cr_assert_eq(kit.catalog.partition_count, XD_TOPICS_MAX);
    kit_end(&kit);
}

/* An entry is taken in when it is appended and again when it is applied: once. */
Test(partition_catalog, taking_an_entry_twice_changes_nothing)
{
    struct catalog_kit kit;
    const char *why = NULL;
    kit_begin(&kit, 8, 64);
    kit_topic(&kit, "stock", XD_STRATEGY_SKU, 4);
    struct control_config topic = kit.entry;
    kit_facility(&kit, "DC07");
    struct control_config facility = kit.entry;
    cr_assert_eq(catalog_take(&kit.catalog, &topic, 1, &why), 0);
    cr_assert_eq(catalog_take(&kit.catalog, &facility, 2, &why), 0);
    cr_assert_eq(kit.catalog.epoch, 2);
    cr_assert_eq(kit.catalog.pending_index, 2);
    cr_assert_eq(kit.catalog.partition_count, 8);
    kit_end(&kit);
}

/* Entries out of a log that contradict the table or its limits. */
Test(partition_catalog, take_refuses_entries_that_contradict_the_table)
{
    struct catalog_kit kit;
    const char *why = NULL;
    kit_begin(&kit, 8, 16);
    kit_facility(&kit, "DC07");
    struct control_config facility = kit.entry;
    kit_topic(&kit, "stock", XD_STRATEGY_SKU, 2);
    struct control_config bad[8];
    for (size_t i = 0; i < 8; i++)
        bad[i] = i < 6 ? kit.entry : facility;
    bad[0].width = 5;                      /* known name, other properties */
    bad[1].strategy = XD_STRATEGY_HU;      /* */
    bad[2].number = 2;                     /* known name, another number */
    bad[3].name[0] = bad[6].name[0] = 'z'; /* known number, another name */
    bad[4].name[0] = 'z';
    bad[4].number = 3; /* a number is left out */
    bad[5].name[0] = 'z';
    bad[5].number = 2;
    bad[5].width = 13; /* over the limit */
    bad[7].number = 2; /* known name, another number */
    for (size_t i = 0; i < 8; i++) {
        why = NULL;
        cr_assert_eq(catalog_take(&kit.catalog, &bad[i], 9, &why), XD_LOG_CORRUPT, "row %zu", i);
        cr_assert_not_null(why);
    }
    cr_assert_eq(kit.catalog.epoch, 2);
    cr_assert_eq(kit.catalog.partition_count, 4);
    kit_end(&kit);
}

/* Offsets are dense and append times never fall; a log that says otherwise is corrupt. */
Test(partition_catalog, apply_keeps_offsets_dense)
{
    struct catalog_kit kit;
    const char *why = NULL;
    kit_begin(&kit, 8, 64);
    kit_topic(&kit, "stock", XD_STRATEGY_SKU, 4);
    struct xd_batch_header batch = {
        .partition = 2, .record_count = 10, .append_time_us = 100, .batch_bytes = 500};
    cr_assert_eq(catalog_apply(&kit.catalog, &batch, &why), 0);
    cr_assert_eq(catalog_apply(&kit.catalog, &batch, &why), XD_LOG_CORRUPT);
    batch.base_offset = 11;
    cr_assert_eq(catalog_apply(&kit.catalog, &batch, &why), XD_LOG_CORRUPT);
    batch.base_offset = 10;
    batch.append_time_us = 99;
    cr_assert_eq(catalog_apply(&kit.catalog, &batch, &why), XD_LOG_CORRUPT);
    batch.append_time_us = 100;
    cr_assert_eq(catalog_apply(&kit.catalog, &batch, &why), 0);
    batch.partition = 4;
    cr_assert_eq(catalog_apply(&kit.catalog, &batch, &why), XD_LOG_CORRUPT);
    const struct partition *partition = catalog_partition(&kit.catalog, 2);
    cr_assert_eq(partition->durable, 20);
    cr_assert_eq(partition->appended, 20);
    cr_assert_eq(partition->append_time_us, 100);
    cr_assert_eq(partition->record_bytes, 1000);
    kit_end(&kit);
}

/* What is staged runs ahead of what is applied and is not pulled back by it. */
Test(partition_catalog, apply_leaves_the_staged_offset_alone)
{
    struct catalog_kit kit;
    const char *why = NULL;
    kit_begin(&kit, 8, 64);
    kit_topic(&kit, "stock", XD_STRATEGY_SKU, 4);
    struct partition *partition = catalog_partition(&kit.catalog, 0);
    partition->appended = 30;
    partition->append_time_us = 300;
    struct xd_batch_header batch = {.record_count = 10, .append_time_us = 100, .batch_bytes = 500};
    cr_assert_eq(catalog_apply(&kit.catalog, &batch, &why), 0);
    cr_assert_eq(partition->durable, 10);
    cr_assert_eq(partition->appended, 30);
    cr_assert_eq(partition->append_time_us, 300);
    kit_end(&kit);
}

/* ---- checkpoint ------------------------------------------------------------------------------ */

static uint8_t saved[32768];
static uint8_t again[32768];

/* A random history: topics, facilities, batches. */
static void random_history(struct catalog_kit *kit, uint64_t seed)
{
    struct prng prng;
    prng_seed(&prng, seed);
    for (uint32_t i = 0; i < 200; i++) {
        char name[16];
        const char *why = NULL;
        uint64_t draw = prng_below(&prng, 100);
        snprintf(name, sizeof name, "n%llu", (unsigned long long)prng_below(&prng, 12));
        if (draw < 5) {
            (void)kit_topic(kit, name, (uint32_t)prng_below(&prng, XD_STRATEGY_COUNT),
                            1 + (uint32_t)prng_below(&prng, 5)); /* it may exist, or be full */
        } else if (draw < 10) {
            (void)kit_facility(kit, name);
        } else if (kit->catalog.partition_count > 0) {
            uint32_t number = (uint32_t)prng_below(&prng, kit->catalog.partition_count);
            const struct partition *partition = catalog_partition(&kit->catalog, number);
            struct xd_batch_header batch = {.partition = number,
                                            .base_offset = partition->durable,
                                            .record_count = (uint16_t)(1 + prng_below(&prng, 9)),
                                            .append_time_us = partition->durable_time_us +
                                                              (int64_t)prng_below(&prng, 3),
                                            .batch_bytes = 200};
            cr_assert_eq(catalog_apply(&kit->catalog, &batch, &why), 0);
        }
    }
}

/* A saved table, loaded, saves to the same bytes and has the same placements and offsets. */
Test(partition_catalog, a_loaded_table_is_the_saved_one)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct catalog_kit kit, loaded;
        kit_begin(&kit, 8, 200);
        kit_begin(&loaded, 8, 200);
        random_history(&kit, seed);
        uint64_t bytes = catalog_save(&kit.catalog, saved, sizeof saved);
        cr_assert_eq(bytes, catalog_save_bytes(&kit.catalog));
        cr_assert_eq(bytes % 8, 0);
        cr_assert_eq(catalog_load(&loaded.catalog, saved, bytes), (int64_t)bytes);
        cr_assert_eq(catalog_save(&loaded.catalog, again, sizeof again), bytes);
        cr_assert_eq(memcmp(saved, again, bytes), 0, "seed %llu", (unsigned long long)seed);
        for (uint32_t topic = 1; topic <= kit.catalog.topic_count; topic++)
            for (uint32_t facility = 0; facility <= kit.catalog.facility_count; facility++)
                cr_assert_eq(catalog_placement(&kit.catalog, topic, facility),
                             catalog_placement(&loaded.catalog, topic, facility));
        for (uint32_t i = 0; i < kit.catalog.partition_count; i++)
            cr_assert_eq(memcmp(catalog_partition(&kit.catalog, i),
                                catalog_partition(&loaded.catalog, i), sizeof(struct partition)),
                         0);
        cr_assert(kit.catalog.partition_count > 0);
        kit_end(&loaded);
        kit_end(&kit);
    }
}

/* Cut or damaged bytes never crash the load; limits that are too low are told apart. */
Test(partition_catalog, refuses_damaged_and_cut_bytes)
{
    struct catalog_kit kit;
    kit_begin(&kit, 8, 64);
    kit_topic(&kit, "stock", XD_STRATEGY_SKU, 4);
    kit_facility(&kit, "DC07");
    uint64_t bytes = catalog_save(&kit.catalog, saved, sizeof saved);
    kit_end(&kit);
    for (uint64_t cut = 0; cut < bytes; cut += 8) {
        kit_begin(&kit, 8, 64);
        cr_assert_eq(catalog_load(&kit.catalog, saved, cut), XD_CHECKPOINT_CORRUPT);
        kit_end(&kit);
    }
    for (uint64_t i = 0; i < bytes; i++) {
        saved[i] ^= 0xff;
        kit_begin(&kit, 8, 64);
        int64_t status = catalog_load(&kit.catalog, saved, bytes);
        cr_assert(status == (int64_t)bytes || status == XD_CHECKPOINT_CORRUPT ||
                  status == XD_CATALOG_FULL);
        kit_end(&kit);
        saved[i] ^= 0xff;
    }
    kit_begin(&kit, 8, 7);
    cr_assert_eq(catalog_load(&kit.catalog, saved, bytes), XD_CATALOG_FULL);
    kit_end(&kit);
}

/* Numbers that no table can have are refused wherever they stand, hash or no hash. */
Test(partition_catalog, refuses_rows_that_contradict_each_other)
{
    enum { TOPIC = 24, FACILITY = TOPIC + 72, ROW = FACILITY + 72 };
    const struct {
        uint32_t at, bytes;
        uint64_t value;
    } rows[] = {
        {TOPIC, 1, XD_STRATEGY_COUNT},
        {TOPIC + 1, 1, 0},
        {TOPIC + 1, 1, 65},
        {TOPIC + 1, 1, 3},
        {TOPIC + 2, 1, 0},
        {TOPIC + 2, 1, 65},
        {FACILITY + 2, 1, 0},
        {TOPIC + 8, 1, ' '},
        {ROW, 4, 0},
        {ROW, 4, 2},
        {ROW + 4, 4, 2},
        {ROW + 8, 4, 1},
        {ROW + 12, 4, 3},
        {ROW + 4 * 40 + 8, 4, 0},
    };
    struct catalog_kit kit;
    kit_begin(&kit, 8, 64);
    kit_topic(&kit, "stock", XD_STRATEGY_SKU, 4);
    kit_facility(&kit, "DC07");
    uint64_t bytes = catalog_save(&kit.catalog, saved, sizeof saved);
    kit_end(&kit);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memcpy(again, saved, bytes);
        cr_assert_neq(memcmp(again + rows[i].at, &rows[i].value, rows[i].bytes), 0, "row %zu", i);
        memcpy(again + rows[i].at, &rows[i].value, rows[i].bytes);
        kit_begin(&kit, 8, 64);
        cr_assert_eq(catalog_load(&kit.catalog, again, bytes), XD_CHECKPOINT_CORRUPT, "row %zu", i);
        kit_end(&kit);
    }
}

/* Tables that do not fit the arena are refused at start, whichever of them it is. */
Test(partition_catalog, init_needs_the_memory_it_asks_for)
{
    struct catalog catalog;
    struct arena arena;
    uint64_t bytes = catalog_bytes_needed(8, 64);
    uint8_t *memory = malloc(bytes);
    cr_assert_not_null(memory);
    for (uint64_t part = 64; part < bytes - 4 * 64; part += 64) {
        arena_init(&arena, memory, part);
        cr_assert_eq(catalog_init(&catalog, &arena, 8, 64), -ENOMEM, "%llu bytes",
                     (unsigned long long)part);
    }
    arena_init(&arena, memory, bytes);
    cr_assert_eq(catalog_init(&catalog, &arena, 8, 64), 0);
    free(memory);
}

/* ---- several shards -------------------------------------------------------------------------- */

/* A facility goes to the same shard wherever and whenever it is added, about as many to each, and a
 * further shard takes some and moves none of the others. */
Test(partition_catalog, spreads_facilities_over_shards)
{
    uint32_t of_shard[4] = {0};
    for (uint32_t i = 0; i < 400; i++) {
        uint32_t chosen[5];
        char name[16];
        snprintf(name, sizeof name, "DC%04u", i);
        for (uint32_t shards = 1; shards <= 4; shards++) {
            struct catalog_kit kit;
            kit_begin(&kit, 8, 64);
            catalog_set_shards(&kit.catalog, shards);
            cr_assert_eq(kit_facility(&kit, name), 1);
            chosen[shards] = catalog_shard(&kit.catalog, 1);
            cr_assert_lt(chosen[shards], shards);
            cr_assert_eq(catalog_shard(&kit.catalog, 0), 0);
            kit_end(&kit);
            if (shards > 1)
                cr_assert(chosen[shards] == chosen[shards - 1] || chosen[shards] == shards - 1);
        }
        of_shard[chosen[4]]++;
    }
    for (uint32_t i = 0; i < 4; i++)
        cr_assert(of_shard[i] > 70 && of_shard[i] < 130, "shard %u: %u of 400", i, of_shard[i]);
}

/* The shard is state: an entry or a checkpoint that names another one than this release would
 * choose is believed, one that names a shard which is not there is not. */
Test(partition_catalog, keeps_the_shard_that_was_written_down)
{
    static uint8_t state[4096];
    struct catalog_kit kit;
    const char *why = NULL;
    kit_begin(&kit, 8, 64);
    catalog_set_shards(&kit.catalog, 3);
    struct control_config entry;
    cr_assert_eq(catalog_plan_facility(&kit.catalog, text_of("DC07"), &entry), 1);
    entry.shard = (uint16_t)((entry.shard + 1) % 3);
    cr_assert_eq(catalog_take(&kit.catalog, &entry, 1, &why), 0);
    cr_assert_eq(catalog_shard(&kit.catalog, 1), entry.shard);
    struct control_config other = entry;
    other.shard = (uint16_t)((entry.shard + 1) % 3);
    cr_assert_eq(catalog_take(&kit.catalog, &other, 2, &why), XD_LOG_CORRUPT);
    struct control_config beyond = {
        .object = CONTROL_FACILITY, .number = 2, .name_bytes = 1, .shard = 3, .name = "x"};
    cr_assert_eq(catalog_take(&kit.catalog, &beyond, 2, &why), XD_LOG_CORRUPT);
    uint64_t bytes = catalog_save(&kit.catalog, state, sizeof state);
    kit_end(&kit);
    kit_begin(&kit, 8, 64);
    catalog_set_shards(&kit.catalog, 3);
    cr_assert_eq(catalog_load(&kit.catalog, state, bytes), (int64_t)bytes);
    cr_assert_eq(catalog_shard(&kit.catalog, 1), entry.shard);
    kit_end(&kit);
    kit_begin(&kit, 8, 64);
    catalog_set_shards(&kit.catalog, entry.shard > 0 ? entry.shard : 1);
    cr_assert_eq(catalog_load(&kit.catalog, state, bytes),
                 entry.shard > 0 ? XD_CHECKPOINT_CORRUPT : (int64_t)bytes);
    kit_end(&kit);
}

/* Takes at most `steps` entries that the follower lacks. */
static void follow(const struct catalog *catalog, struct catalog *follower, uint64_t steps)
{
    struct control_config entry;
    const char *why = NULL;
    for (uint64_t i = 0; i < steps; i++) {
        struct catalog_extent extent = catalog_extent(follower);
        int status = catalog_entry_after(catalog, &extent, &entry);
        cr_assert_geq(status, 0);
        if (status == 0)
            return;
        cr_assert_eq(catalog_take(follower, &entry, follower->epoch + 1, &why), 0, "%s", why);
    }
}

/* Whatever the sequence of entries was, a catalog that takes one lacking entry after the other
 * becomes the same, however far behind it was at any time. */
Test(partition_catalog, gives_another_catalog_what_it_lacks)
{
    static uint8_t states[2][65536];
    struct prng prng;
    prng_seed(&prng, 11);
    for (uint32_t round = 0; round < 300; round++) {
        struct catalog_kit kit, follower;
        kit_begin(&kit, 16, 512);
        kit_begin(&follower, 16, 512);
        catalog_set_shards(&kit.catalog, 4);
        catalog_set_shards(&follower.catalog, 4);
        uint64_t entries = prng_below(&prng, 12);
        for (uint64_t i = 0; i < entries; i++) {
            char name[16];
            snprintf(name, sizeof name, "n%u", (unsigned)i);
            if (prng_chance(&prng, 32768))
                kit_topic(&kit, name, XD_STRATEGY_SKU, 1 + (uint32_t)prng_below(&prng, 4));
            else
                kit_facility(&kit, name);
            follow(&kit.catalog, &follower.catalog, prng_below(&prng, 3));
        }
        follow(&kit.catalog, &follower.catalog, UINT64_MAX);
        uint64_t bytes = catalog_save(&kit.catalog, states[0], sizeof states[0]);
        cr_assert_eq(catalog_save(&follower.catalog, states[1], sizeof states[1]), bytes);
        cr_assert_eq(memcmp(states[0], states[1], bytes), 0);
        kit_end(&kit);
        kit_end(&follower);
    }
}

/* A catalog that is further, or has what the other never had, is told so. */
Test(partition_catalog, knows_an_extent_that_it_never_had)
{
    struct catalog_kit kit;
    struct control_config entry;
    kit_begin(&kit, 8, 64);
    kit_topic(&kit, "stock", XD_STRATEGY_SKU, 4);
    kit_facility(&kit, "DC07");
    const struct catalog_extent bad[] = {{2, 1, 8}, {1, 2, 8}, {1, 1, 9}, {1, 0, 5},
                                         {3, 1, 8}, {1, 3, 8}, {1, 1, 4}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_assert_eq(catalog_entry_after(&kit.catalog, &bad[i], &entry), XD_LOG_CORRUPT, "row %zu",
                     i);
    kit_end(&kit);
}
