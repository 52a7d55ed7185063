/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/api.h"

#include "client/catalog.h"

/* Names and numbers lead to rows; what is not there leads nowhere. */
Test(catalog, finds_names_and_numbers, .init = start_client, .fini = finish)
{
    cr_assert_eq(xd_client_catalog(client, XD_WAIT_FOREVER), 0);
    const struct xd_catalog *catalog = &client->catalog;
    cr_assert_eq(xd_catalog_topic(catalog, "order")->topic, 2);
    cr_assert_null(xd_catalog_topic(catalog, "orde"));
    cr_assert_null(xd_catalog_topic(catalog, "orders"));
    cr_assert_eq(xd_catalog_topic_at(catalog, 1)->name_bytes, 5);
    cr_assert_null(xd_catalog_topic_at(catalog, 3));
    cr_assert_eq(xd_catalog_facility(catalog, "DC08"), 2);
    cr_assert_eq(xd_catalog_facility(catalog, ""), 0, "the global facility");
    cr_assert_eq(xd_catalog_facility(catalog, "DC09"), XD_FACILITY_UNKNOWN);
    cr_assert_null(xd_catalog_facility_at(catalog, 0));
    cr_assert_eq(xd_catalog_placement(catalog, 2, 1)->partition_base, fake_partition_base(2, 1));
    cr_assert_null(xd_catalog_placement(catalog, 2, 3));
}

/* An answer that names a newer epoch makes the copy be fetched again, once. */
Test(catalog, is_fetched_again_when_an_answer_names_a_newer_epoch, .init = start_producer,
     .fini = finish)
{
    cr_assert_eq(broker->catalogs, 1);
    xdock_record_t record = make_record("SKU-1");
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_eq(broker->catalogs, 1);
    broker->catalog_epoch = 5;
    for (int i = 0; i < 4; i++)
        cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_eq(broker->catalogs, 2);
    cr_assert_eq(client->catalog.view.fixed.epoch, 5);
}

/* A reply that does not decode leaves the former copy as it was. */
Test(catalog, keeps_its_copy_when_a_reply_is_broken, .init = start_client, .fini = finish)
{
    cr_assert_eq(xd_client_catalog(client, XD_WAIT_FOREVER), 0);
    _Alignas(8) const uint8_t broken[32] = {9, 0, 0, 0, 0, 0, 0, 0, 200};
    const char *field = "";
    cr_assert_eq(xd_catalog_take(&client->catalog, broken, sizeof(broken), &field),
                 XD_FRAME_MALFORMED);
    cr_assert_eq(xd_catalog_topic(&client->catalog, "stock")->topic, 1);
}

/* A shard may name an epoch before the one that gives the catalog has it: the copy that is still
 * the old one is asked for again when the epoch is named once more, but not with every answer. */
Test(catalog, is_fetched_again_when_the_copy_came_too_early, .init = start_producer, .fini = finish)
{
    xdock_record_t record = make_record("SKU-1");
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    uint64_t old = client->catalog.view.fixed.epoch;
    xd_catalog_heard(&client->catalog, old + 1);
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_eq(broker->catalogs, 2);
    cr_assert_eq(client->catalog.view.fixed.epoch, old);

    broker->catalog_epoch = old + 1;
    for (int i = 0; i < 50; i++)
        cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_eq(broker->catalogs, 2, "asked again with every answer");
    broker->now_ns += 200000000;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    cr_assert_eq(broker->catalogs, 3);
    cr_assert_eq(client->catalog.view.fixed.epoch, old + 1);
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* A catalog that comes row by row is whole in the end, and one fetch for whoever waited. */
Test(catalog, comes_page_by_page, .init = start_client, .fini = finish)
{
    broker->catalog_rows_max = 1;
    cr_assert_eq(xd_client_catalog(client, XD_WAIT_FOREVER), 0);
    const struct xd_catalog *catalog = &client->catalog;
    cr_assert_eq(broker->catalogs, 10, "2 topics, 2 facilities, 6 placements");
    cr_assert_eq(catalog->fetches, 1);
    cr_assert_eq(catalog->view.fixed.topic_count, 2);
    cr_assert_eq(catalog->view.fixed.facility_count, 2);
    cr_assert_eq(catalog->view.fixed.placement_count, 6);
    for (uint32_t topic = 1; topic <= 2; topic++) {
        for (uint32_t facility = 0; facility <= 2; facility++)
            cr_assert_eq(xd_catalog_placement(catalog, topic, facility)->partition_base,
                         fake_partition_base(topic, facility));
    }
}

/* What has come is not asked for again: the next fetch names it, and brings what is new. */
Test(catalog, brings_only_what_the_copy_lacks, .init = start_client, .fini = finish)
{
    broker->topic_count = 1;
    cr_assert_eq(xd_client_catalog(client, XD_WAIT_FOREVER), 0);
    cr_assert_eq(broker->catalog_has.topics + broker->catalog_has.partitions, 0);
    cr_assert_null(xd_catalog_topic(&client->catalog, "order"));
    cr_assert_null(xd_catalog_placement(&client->catalog, 2, 1));
    broker->topic_count = 2;
    broker->catalog_epoch++;
    cr_assert_eq(xd_client_catalog(client, XD_WAIT_FOREVER), 0);
    cr_assert_eq(broker->catalogs, 2);
    cr_assert_eq(broker->catalog_has.topics, 1);
    cr_assert_eq(broker->catalog_has.facilities, 2);
    cr_assert_eq(broker->catalog_has.partitions, fake_partition_base(1, 2) + FAKE_WIDTH);
    cr_assert_eq(xd_catalog_topic(&client->catalog, "order")->topic, 2);
    cr_assert_eq(xd_catalog_placement(&client->catalog, 1, 1)->partition_base,
                 fake_partition_base(1, 1));
    cr_assert_eq(xd_catalog_placement(&client->catalog, 2, 2)->partition_base,
                 fake_partition_base(2, 2));
}

/* Rows are seen when all are there: a half catalog would show topics without partitions. */
Test(catalog, shows_no_half_catalog, .init = start_client, .fini = finish)
{
    struct {
        struct xd_catalog_reply fixed;
        struct xd_catalog_topic topic;
    } page = {{.epoch = 3, .topic_count = 1, .topic_total = 1, .partition_total = 4},
              {.topic = 1, .width = 4, .name_bytes = 5, .name = "stock"}};
    struct {
        struct xd_catalog_reply fixed;
        struct xd_catalog_placement placement;
    } rest = {{.epoch = 4, .placement_count = 1, .topic_total = 1, .partition_total = 4},
              {.topic = 1, .width = 4}};
    struct xd_catalog *catalog = &client->catalog;
    const char *field = "";
    cr_assert_eq(xd_catalog_take(catalog, (const uint8_t *)&page, sizeof(page), &field), 1);
    cr_assert_null(xd_catalog_topic(catalog, "stock"));
    cr_assert_null(xd_catalog_topic_at(catalog, 1));
    cr_assert_eq(catalog->view.fixed.epoch, 0);
    catalog->asked = true;
    xd_catalog_lost(catalog);
    cr_assert(catalog->wanted, "the next connection goes on where this one ended");
    cr_assert_eq(catalog->has.topics, 1);
    cr_assert_eq(xd_catalog_take(catalog, (const uint8_t *)&rest, sizeof(rest), &field), 0);
    cr_assert_eq(xd_catalog_topic(catalog, "stock")->topic, 1);
    cr_assert_eq(xd_catalog_placement(catalog, 1, 0)->width, 4);
    cr_assert_eq(catalog->view.fixed.epoch, 4);
}

/* A shard that is behind takes nothing away. */
Test(catalog, keeps_what_a_shard_behind_does_not_have, .init = start_client, .fini = finish)
{
    cr_assert_eq(xd_client_catalog(client, XD_WAIT_FOREVER), 0);
    uint64_t epoch = client->catalog.view.fixed.epoch;
    broker->topic_count = 1;
    broker->catalog_epoch = epoch - 1;
    cr_assert_eq(xd_client_catalog(client, XD_WAIT_FOREVER), 0);
    cr_assert_eq(xd_catalog_topic(&client->catalog, "order")->topic, 2);
    cr_assert_not_null(xd_catalog_placement(&client->catalog, 2, 2));
    cr_assert_eq(client->catalog.view.fixed.epoch, epoch);
}

/* A broker that has another catalog says so; the copy is made anew, once. */
Test(catalog, begins_anew_when_the_broker_does_not_know_the_copy, .init = start_client,
     .fini = finish)
{
    cr_assert_eq(xd_client_catalog(client, XD_WAIT_FOREVER), 0);
    broker->catalog_status = XD_FIELD_INVALID;
    cr_assert_eq(xd_client_catalog(client, XD_WAIT_FOREVER), 0);
    cr_assert_eq(broker->catalogs, 3);
    cr_assert_eq(broker->catalog_has.topics + broker->catalog_has.partitions, 0);
    cr_assert_eq(xd_catalog_topic(&client->catalog, "order")->topic, 2);
    cr_assert_not_null(xd_catalog_placement(&client->catalog, 2, 2));
}

/* A page must continue the copy: rows that were there, a gap in the numbers, more rows than the
 * totals have room for, or none although some are lacking. */
Test(catalog, refuses_pages_that_do_not_continue_it, .init = start_client, .fini = finish)
{
    struct page {
        struct xd_catalog_reply fixed;
        struct xd_catalog_topic topic;
        struct xd_catalog_facility facility;
        struct xd_catalog_placement placement;
    };
    const struct page good = {{.epoch = 9,
                               .topic_count = 1,
                               .facility_count = 1,
                               .placement_count = 1,
                               .topic_total = 3,
                               .facility_total = 3,
                               .partition_total = 64},
                              {.topic = 3, .width = 4, .name_bytes = 3, .name = "new"},
                              {.facility = 3, .name_bytes = 4, .name = "DC09"},
                              {.topic = 3, .partition_base = 60, .width = 4}};
    const struct page nothing = {
        {.epoch = 9, .topic_total = 3, .facility_total = 3, .partition_total = 64}, {0}, {0}, {0}};
    struct page pages[5] = {good, good, good, good, good};
    static const char *const fields[5] = {"topic", "facility", "partition_base", "topic_count",
                                          "facility_count"};
    pages[0].topic.topic = 2;
    pages[1].facility.facility = 4;
    pages[2].placement.partition_base = 16;
    pages[3].fixed.topic_total = 2;
    pages[4].fixed.facility_total = 2;
    const char *field = "";
    cr_assert_eq(xd_client_catalog(client, XD_WAIT_FOREVER), 0);
    struct xd_catalog *catalog = &client->catalog;
    for (uint32_t i = 0; i < 5; i++) {
        cr_assert_eq(xd_catalog_take(catalog, (const uint8_t *)&pages[i], sizeof(pages[i]), &field),
                     XD_FRAME_MALFORMED, "%u", i);
        cr_assert_str_eq(field, fields[i], "%u", i);
        cr_assert_eq(catalog->has.topics, 2);
        cr_assert_eq(catalog->placement_count, 6);
    }
    cr_assert_eq(xd_catalog_take(catalog, (const uint8_t *)&nothing, sizeof(nothing.fixed), &field),
                 XD_FRAME_MALFORMED);
    cr_assert_str_eq(field, "length");
    cr_assert_eq(xd_catalog_take(catalog, (const uint8_t *)&good, sizeof(good), &field), 0);
    cr_assert_eq(xd_catalog_topic(catalog, "new")->topic, 3);
}

/* The largest catalog fits, and every one of its placements is found. */
Test(catalog, holds_the_largest_catalog, .init = start_client, .fini = finish)
{
    enum { ROWS = 16384 };
    static struct {
        struct xd_catalog_reply fixed;
        struct xd_catalog_placement placements[ROWS];
    } page;
    struct xd_catalog *catalog = &client->catalog;
    const char *field = "";
    for (uint32_t base = 0; base < XD_PARTITIONS_MAX; base += ROWS) {
        page.fixed = (struct xd_catalog_reply){
            .epoch = 1, .placement_count = ROWS, .partition_total = XD_PARTITIONS_MAX};
        for (uint32_t i = 0; i < ROWS; i++)
            page.placements[i] = (struct xd_catalog_placement){.topic = 1 + (base + i) % 32,
                                                               .facility = (base + i) / 32,
                                                               .partition_base = base + i,
                                                               .width = 1};
        cr_assert_eq(xd_catalog_take(catalog, (const uint8_t *)&page, sizeof(page), &field),
                     base + ROWS < XD_PARTITIONS_MAX, "%s", field);
    }
    for (uint32_t i = 0; i < XD_PARTITIONS_MAX; i++) {
        const struct xd_catalog_placement *row = xd_catalog_placement(catalog, 1 + i % 32, i / 32);
        cr_assert_not_null(row);
        cr_assert_eq(row->partition_base, i);
    }
    cr_assert_null(xd_catalog_placement(catalog, 33, 0));
    cr_assert_null(xd_catalog_placement(catalog, 1, XD_FACILITIES_MAX));
}
