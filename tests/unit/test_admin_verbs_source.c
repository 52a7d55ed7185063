/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/verbs_source.c: what of a source's numbers arrived, and what is missing.
 */
#include "tests/support/admin_world.h"

/* Topics with four partitions, and channels "a" and "b" of source "wms". */
static struct admin_world *opened(void)
{
    struct admin_world *world = world_begin();
    world_topic(world, "stock", XD_STRATEGY_SKU, 4);
    kit_open_durable(&world->kit, "a");
    kit_open_durable(&world->kit, "b");
    return world;
}

static void append(struct admin_world *world, uint32_t channel, uint32_t partition,
                   uint64_t previous, uint64_t first, uint64_t last, uint64_t offset)
{
    struct xd_batch_header batch = batch_of(&world->kit, channel, partition, previous, first, last);
    batch.append_time_us = 1795505935123456;
    kit_append_durable(&world->kit, &batch, offset, 1);
}

/* Missing is what lies between the first and the last number and has not arrived. */
Test(admin_verbs_source, counts_what_is_missing)
{
    struct admin_world *world = opened();
    append(world, 1, 0, 0, 11, 20, 0);
    append(world, 1, 1, 0, 31, 35, 0);
    cr_assert_eq(world_run(world, "source list", NULL), 0);
    world_is(world, "channels.#", "2");
    world_is(world, "channels.0",
             "{\"source\":\"wms\",\"channel\":\"a\",\"number\":1,\"facility\":\"\","
             "\"channel_epoch\":1,\"producer_epoch\":1,\"first_sequence\":11,"
             "\"last_sequence\":35,\"records\":15,\"missing\":10,\"low_sequence\":0,"
             "\"last_append_time\":\"2026-11-24T07:38:55.123456Z\"}");
    world_is(world, "channels.1.missing", "0");
    world_is(world, "channels.1.last_append_time", "null");
    append(world, 1, 0, 20, 21, 30, 10);
    cr_assert_eq(world_run(world, "source show", "{\"source\":\"wms\",\"channel\":\"a\"}"), 0);
    world_is(world, "missing", "0");
    world_is(world, "records", "25");
    world_end(world);
}

/* A source that gives the same numbers to two partitions is reported, not fallen over. */
Test(admin_verbs_source, survives_numbers_that_are_used_twice)
{
    struct admin_world *world = opened();
    append(world, 1, 0, 0, 1, 10, 0);
    append(world, 1, 1, 0, 1, 10, 0);
    cr_assert_eq(world_run(world, "source list", NULL), 0);
    world_is(world, "channels.0.records", "20");
    world_is(world, "channels.0.missing", "0");
    world_end(world);
}

/* What is staged but not durable is not told. */
Test(admin_verbs_source, tells_only_what_is_durable)
{
    struct admin_world *world = opened();
    struct xd_open_request request = open_of("c");
    cr_assert_eq(kit_open(&world->kit, &request, 0), 1);
    struct xd_batch_header batch = batch_of(&world->kit, 1, 0, 0, 1, 10);
    session_append(&world->kit.sessions, &batch, 5);
    cr_assert_eq(world_run(world, "source list", NULL), 0);
    world_is(world, "channels.#", "2");
    world_is(world, "channels.0.last_sequence", "0");
    cr_assert_eq(world_run(world, "source show", "{\"source\":\"wms\",\"channel\":\"c\"}"),
                 XD_NOT_FOUND);
    cr_assert_eq(world_run(world, "source show", "{\"source\":\"wms\",\"channel\":\"a\"}"), 0);
    world_is(world, "chains.#", "0");
    world_end(world);
}

/* Chains come in rising partition number, whatever the sequence of their first batches, in pages.
 */
Test(admin_verbs_source, shows_chains_in_pages)
{
    struct admin_world *world = opened();
    append(world, 1, 2, 0, 1, 5, 100);
    append(world, 1, 0, 0, 6, 8, 0);
    append(world, 1, 3, 0, 9, 9, 7);
    append(world, 2, 1, 0, 1, 1, 0);
    append(world, 1, 2, 5, 10, 12, 105);
    cr_assert_eq(world_run(world, "source show", "{\"source\":\"wms\",\"channel\":\"a\"}"), 0);
    world_is(world, "chains.#", "3");
    world_is(world, "chains.0.partition", "0");
    world_is(world, "chains.1",
             "{\"partition\":2,\"topic\":\"stock\",\"bucket\":2,"
             "\"last_sequence\":12,\"last_offset\":107}");
    world_is(world, "chains.2.partition", "3");
    world_is(world, "next", "null");
    cr_assert_eq(
        world_run(world, "source show", "{\"source\":\"wms\",\"channel\":\"a\",\"limit\":1}"), 0);
    world_is(world, "chains.#", "1");
    world_is(world, "chains.0.partition", "0");
    world_is(world, "next", "2");
    cr_assert_eq(world_run(world, "source show",
                           "{\"source\":\"wms\",\"channel\":\"a\",\"limit\":2,\"from\":2}"),
                 0);
    world_is(world, "chains.#", "2");
    world_is(world, "next", "null");
    world_end(world);
}

/* Chains of an older numbering are history: they are left out after a new one began. */
Test(admin_verbs_source, leaves_out_chains_of_an_older_numbering)
{
    struct admin_world *world = opened();
    append(world, 1, 0, 0, 1, 10, 0);
    append(world, 1, 1, 0, 11, 12, 0);
    struct xd_open_request request = open_of("a");
    request.fixed.channel_epoch = 2;
    cr_assert_eq(kit_open(&world->kit, &request, 0), 1, "%s", world->kit.detail);
    session_take_durable(&world->kit.sessions, &world->kit.entry);
    append(world, 1, 1, 0, 1, 3, 2);
    cr_assert_eq(world_run(world, "source show", "{\"source\":\"wms\",\"channel\":\"a\"}"), 0);
    world_is(world, "channel_epoch", "2");
    world_is(world, "producer_epoch", "2");
    world_is(world, "records", "3");
    world_is(world, "chains.#", "1");
    world_is(world, "chains.0.last_sequence", "3");
    world_end(world);
}

/* The channel may be left out when the source has one; with several a name is asked for. */
Test(admin_verbs_source, asks_for_a_channel_only_when_there_are_several)
{
    struct admin_world *world = opened();
    cr_assert_eq(world_run(world, "source show", "{\"source\":\"wms\"}"), XD_FIELD_INVALID);
    cr_assert_not_null(strstr(world->detail, "has 2 channels"), "%s", world->detail);
    struct xd_open_request request = open_of("only");
    request.source = text_of("mhe");
    cr_assert_eq(kit_open(&world->kit, &request, 0), 1);
    session_take_durable(&world->kit.sessions, &world->kit.entry);
    cr_assert_eq(world_run(world, "source show", "{\"source\":\"mhe\"}"), 0);
    world_is(world, "channel", "\"only\"");
    cr_assert_eq(world_run(world, "source list", "{\"source\":\"mhe\"}"), 0);
    world_is(world, "channels.#", "1");
    cr_assert_eq(world_run(world, "source list", "{\"limit\":2}"), 0);
    world_is(world, "next", "3");
    cr_assert_eq(world_run(world, "source list", "{\"limit\":2,\"from\":3}"), 0);
    world_is(world, "channels.0.source", "\"mhe\"");
    world_is(world, "next", "null");
    world_end(world);
}

/* One name at two facilities is two channels: the facility tells which one is meant. */
Test(admin_verbs_source, asks_for_a_facility_when_several_have_the_name)
{
    struct admin_world *world = opened();
    world_facility(world, "DC07");
    struct xd_open_request request = open_of("a");
    cr_assert_eq(kit_open(&world->kit, &request, 1), 1);
    session_take_durable(&world->kit.sessions, &world->kit.entry);
    cr_assert_eq(world_run(world, "source show", "{\"source\":\"wms\",\"channel\":\"a\"}"),
                 XD_FIELD_INVALID);
    cr_assert_str_eq(world->detail, "facility: source 'wms' has 2 channels of that name; name one, "
                                    "'source list' shows them");
    cr_assert_eq(world_run(world, "source show",
                           "{\"source\":\"wms\",\"channel\":\"a\",\"facility\":\"DC07\"}"),
                 0);
    world_is(world, "facility", "\"DC07\"");
    cr_assert_eq(
        world_run(world, "source show", "{\"source\":\"wms\",\"channel\":\"a\",\"facility\":\"\"}"),
        0);
    world_is(world, "facility", "\"\"");
    cr_assert_eq(world_run(world, "source show",
                           "{\"source\":\"wms\",\"channel\":\"b\",\"facility\":\"DC7\"}"),
                 XD_NOT_FOUND);
    cr_assert_eq(
        strncmp(world->detail, "facility: no such channel of source 'wms' feeds 'DC7'", 53), 0,
        "%s", world->detail);
    world_end(world);
}

/* Unknown sources and channels get the nearest name. */
Test(admin_verbs_source, names_the_source_that_was_meant)
{
    struct admin_world *world = opened();
    cr_assert_eq(world_run(world, "source show", "{\"source\":\"wsm\"}"), XD_NOT_FOUND);
    cr_assert_str_eq(world->detail, "source 'wsm' is not known; did you mean 'wms'?");
    cr_assert_eq(world_run(world, "source show", "{\"source\":\"wms\",\"channel\":\"bb\"}"),
                 XD_NOT_FOUND);
    cr_assert_str_eq(world->detail, "source 'wms' has no channel 'bb'; did you mean 'b'?");
    world_end(world);
}
