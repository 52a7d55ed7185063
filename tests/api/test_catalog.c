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
    _Alignas(8) const uint8_t broken[24] = {9, 0, 0, 0, 0, 0, 0, 0, 200};
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
