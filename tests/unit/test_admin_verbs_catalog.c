/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/verbs_catalog.c: topics and facilities, shown, added, tried dry, refused.
 */
#include "tests/support/admin_world.h"

/* A dry run, the reply of the change, and "show" are the same object but for the mark. */
Test(admin_verbs_catalog, tells_a_dry_run_what_the_change_tells)
{
    struct admin_world *world = world_begin();
    char dry[512], real[512];
    world_facility(world, "DC07");
    cr_assert_eq(world_run(world, "topic create",
                           "{\"name\":\"stock\",\"strategy\":\"sku+location\",\"width\":3,"
                           "\"dry_run\":true}"),
                 0);
    cr_assert_not(world->result.append);
    snprintf(dry, sizeof dry, "%.*s", (int)world->result.json_bytes, world->out);
    cr_assert_str_eq(dry, "{\"name\":\"stock\",\"number\":1,\"strategy\":\"sku+location\","
                          "\"width\":3,\"partitions\":6,\"records\":0,\"records_bytes\":0,"
                          "\"dry_run\":true}");
    cr_assert_eq(world->catalog.topic_count, 0);

    cr_assert_eq(world_run(world, "topic create",
                           "{\"name\":\"stock\",\"strategy\":\"sku+location\",\"width\":3}"),
                 0);
    world_take(world);
    snprintf(real, sizeof real, "%.*s", (int)world->result.json_bytes, world->out);
    dry[strlen(dry) - strlen(",\"dry_run\":true}")] = '\0';
    strncat(dry, "}", 2);
    cr_assert_str_eq(real, dry);

    cr_assert_eq(world_run(world, "topic show", "{\"name\":\"stock\"}"), 0);
    cr_assert_eq(world->result.json_bytes, strlen(real));
    cr_assert_arr_eq(world->out, real, strlen(real));
    world_end(world);
}

/* Without more the strategy is sku and the width 8. */
Test(admin_verbs_catalog, creates_a_topic_with_defaults)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"t\"}"), 0);
    cr_assert_eq(world->result.entry.strategy, XD_STRATEGY_SKU);
    cr_assert_eq(world->result.entry.width, 8);
    cr_assert_eq(world->result.json_bytes, 0);
    world_end(world);
}

/* The same wish again is fulfilled without a change; while the entry is not durable it is appended
 * once more, so that the answer waits for it. */
Test(admin_verbs_catalog, answers_a_repeated_wish_when_it_is_durable)
{
    struct admin_world *world = world_begin();
    const char *why;
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"t\"}"), 0);
    struct control_config entry = world->result.entry;
    cr_assert_eq(catalog_take(&world->catalog, &entry, log_durable_index(world->run.log) + 1, &why),
                 0);
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"t\"}"), 0);
    cr_assert(world->result.append);
    cr_assert_arr_eq(&world->result.entry, &entry, sizeof entry);
    cr_assert_eq(catalog_take(&world->catalog, &world->result.entry,
                              log_durable_index(world->run.log) + 2, &why),
                 0);
    cr_assert_eq(world->catalog.topic_count, 1);

    cr_assert_eq(run_append(&world->run, 0, 200), 0);
    run_settle(&world->run);
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"t\"}"), 0);
    cr_assert_not(world->result.append);
    world_is(world, "name", "\"t\"");
    world_end(world);
}

/* Other properties under the same name are refused with those that it has. */
Test(admin_verbs_catalog, refuses_a_topic_that_exists_otherwise)
{
    struct admin_world *world = world_begin();
    world_topic(world, "t", XD_STRATEGY_HU, 4);
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"t\",\"width\":4}"), XD_EXISTS);
    cr_assert_not_null(strstr(world->detail, "strategy hu and width 4"), "%s", world->detail);
    cr_assert_eq(world_run(world, "topic create",
                           "{\"name\":\"t\",\"width\":4,\"strategy\":\"hu\",\"dry_run\":true}"),
                 0);
    world_is(world, "dry_run", "true");
    world_end(world);
}

/* Fields outside their range are named. */
Test(admin_verbs_catalog, refuses_wrong_fields_by_name)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"t\",\"width\":0}"),
                 XD_FIELD_INVALID);
    cr_assert_str_eq(world->detail, "width: 0 is not in 1..64");
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"t\",\"width\":65}"),
                 XD_FIELD_INVALID);
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"t\",\"width\":4294967297}"),
                 XD_FIELD_INVALID);
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"t\",\"strategy\":\"SKU\"}"),
                 XD_FIELD_INVALID);
    cr_assert_not_null(strstr(world->detail, "strategy: 'SKU'"), "%s", world->detail);
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"a b\"}"), XD_NAME_INVALID);
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"\"}"), XD_NAME_INVALID);
    cr_assert_eq(world_run(world, "facility add", "{\"name\":\"\"}"), XD_NAME_INVALID);
    cr_assert_eq(world_run(world, "facility show", "{\"name\":\"\"}"), XD_NAME_INVALID);
    world_end(world);
}

/* A full catalog names the limits that can be raised. */
Test(admin_verbs_catalog, refuses_when_the_catalog_is_full)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"wide\",\"width\":64}"), 0);
    world_take(world);
    cr_assert_eq(world_run(world, "topic create", "{\"name\":\"t\",\"width\":1}"), XD_CATALOG_FULL);
    cr_assert_not_null(strstr(world->detail, "catalog.partitions_max"), "%s", world->detail);
    cr_assert_eq(world_run(world, "facility add", "{\"name\":\"DC07\"}"), XD_CATALOG_FULL);
    cr_assert_not_null(strstr(world->detail, "another facility needs 64 partitions"), "%s",
                       world->detail);
    world_end(world);
}

/* Totals are sums over all facilities of a topic, and over all topics of a facility. */
Test(admin_verbs_catalog, adds_up_records_and_bytes)
{
    struct admin_world *world = world_begin();
    world_topic(world, "a", XD_STRATEGY_SKU, 2);
    world_topic(world, "b", XD_STRATEGY_KEY, 1);
    world_facility(world, "DC07");
    world_records(world, 1, 10, 1);                                       /* a, global */
    world_records(world, catalog_placement(&world->catalog, 1, 1), 5, 1); /* a, DC07 */
    world_records(world, catalog_placement(&world->catalog, 2, 1), 3, 1); /* b, DC07 */
    cr_assert_eq(world_run(world, "topic show", "{\"name\":\"a\"}"), 0);
    world_is(world, "records", "15");
    world_is(world, "records_bytes", "200");
    world_is(world, "partitions", "4");
    cr_assert_eq(world_run(world, "facility show", "{\"name\":\"DC07\"}"), 0);
    world_is(world, "records", "8");
    world_is(world, "partitions", "3");
    cr_assert_eq(world_run(world, "topic list", NULL), 0);
    world_is(world, "topics.#", "2");
    world_is(world, "topics.1.name", "\"b\"");
    world_is(world, "topics.1.strategy", "\"key\"");
    world_end(world);
}

/* A facility is added with a partition of every topic, and its dry run says the same. */
Test(admin_verbs_catalog, adds_a_facility_to_every_topic)
{
    struct admin_world *world = world_begin();
    world_topic(world, "a", XD_STRATEGY_SKU, 2);
    cr_assert_eq(world_run(world, "facility add", "{\"name\":\"DC07\",\"dry_run\":true}"), 0);
    world_is(world, "partitions", "2");
    world_is(world, "dry_run", "true");
    cr_assert_eq(world->catalog.facility_count, 0);
    cr_assert_eq(world_run(world, "facility add", "{\"name\":\"DC07\"}"), 0);
    world_take(world);
    world_is(world, "partitions", "2");
    world_is(world, "dry_run", "");
    cr_assert_eq(world->catalog.partition_count, 4);
    cr_assert_eq(world_run(world, "facility add", "{\"name\":\"DC07\"}"), 0);
    cr_assert_not(world->result.append);
    world_end(world);
}

/* Facilities come in pages; each says where the next begins. */
Test(admin_verbs_catalog, lists_facilities_in_pages)
{
    struct admin_world *world = world_begin();
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    for (unsigned i = 0; i < 5; i++)
        world_facility(world, names[i]);
    cr_assert_eq(world_run(world, "facility list", "{\"limit\":2}"), 0);
    world_is(world, "facilities.#", "2");
    world_is(world, "next", "3");
    cr_assert_eq(world_run(world, "facility list", "{\"limit\":2,\"from\":3}"), 0);
    world_is(world, "facilities.0.name", "\"c\"");
    world_is(world, "next", "5");
    cr_assert_eq(world_run(world, "facility list", "{\"limit\":2,\"from\":5}"), 0);
    world_is(world, "facilities.#", "1");
    world_is(world, "next", "null");
    cr_assert_eq(world_run(world, "facility list", "{\"from\":9223372036854775807}"), 0);
    world_is(world, "facilities.#", "0");
    cr_assert_eq(world_run(world, "facility list", "{\"limit\":501}"), XD_FIELD_INVALID);
    cr_assert_eq(world_run(world, "facility list", "{\"limit\":0}"), XD_FIELD_INVALID);
    world_end(world);
}

/* A name that is not there gets the nearest one. */
Test(admin_verbs_catalog, names_the_object_that_was_meant)
{
    struct admin_world *world = world_begin();
    world_topic(world, "stock", XD_STRATEGY_SKU, 1);
    world_facility(world, "DC07");
    cr_assert_eq(world_run(world, "topic show", "{\"name\":\"stok\"}"), XD_NOT_FOUND);
    cr_assert_str_eq(world->detail, "topic 'stok' is not known; did you mean 'stock'?");
    cr_assert_eq(world_run(world, "facility show", "{\"name\":\"DC70\"}"), XD_NOT_FOUND);
    cr_assert_str_eq(world->detail, "facility 'DC70' is not known; did you mean 'DC07'?");
    world_end(world);
}
