/* SPDX-License-Identifier: Apache-2.0
 *
 * CATALOG in pages, against a whole shard. What a single page shows is in test_shard_on_session.c.
 */
#include "broker/shard/shard.h"

#include "tests/sim/shard_kit.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { PAGED_FACILITIES = 3400 }; /* 80 bytes each: more than the 256 KiB of a page */

/* What a client has gathered. */
struct gathered {
    struct xd_catalog_request has;
    uint32_t pages;
    uint32_t placements;
    bool seen[PAGED_FACILITIES + 3]; /* by number */
};

/* Asks once; true when there is more to come. */
static bool gather(struct shard_kit *kit, struct kit_client *client, struct gathered *all)
{
    struct xd_catalog_view view;
    const char *field = "";
    uint64_t correlation =
        wire_client_send(&client->wire, XD_OP_CATALOG, &all->has, sizeof all->has);
    cr_assert_eq(shard_kit_await(kit, client, correlation), 0, "%s", kit->reply.detail);
    cr_assert_eq(xd_catalog_reply_decode(kit->reply.body, kit->reply.body_bytes, &view, &field), 0,
                 "%s", field);
    for (uint32_t i = 0; i < view.fixed.topic_count; i++)
        cr_assert_eq(view.topics[i].topic, ++all->has.topics);
    for (uint32_t i = 0; i < view.fixed.facility_count; i++) {
        cr_assert_eq(view.facilities[i].facility, ++all->has.facilities);
        cr_assert_leq(all->has.facilities, PAGED_FACILITIES + 2);
        all->seen[all->has.facilities] = true;
    }
    for (uint32_t i = 0; i < view.fixed.placement_count; i++) {
        cr_assert_eq(view.placements[i].partition_base, all->has.partitions);
        all->has.partitions += view.placements[i].width;
        all->placements++;
    }
    all->pages++;
    return all->has.topics != view.fixed.topic_total ||
           all->has.facilities != view.fixed.facility_total ||
           all->has.partitions != view.fixed.partition_total;
}

static void add_facility(struct shard_kit *kit, struct kit_client *client, uint32_t number,
                         bool wait)
{
    char json[40];
    snprintf(json, sizeof json, "{\"name\":\"DC%04u\"}", number);
    uint64_t correlation = wire_client_admin(&client->wire, "facility add", json);
    if (wait)
        cr_assert_eq(shard_kit_await(kit, client, correlation), 0, "%s", kit->reply.detail);
}

/* A catalog that is larger than a page comes in several, each row once; what is added in between
 * comes behind; a client that has all gets nothing, and one that has more does too. */
Test(shard_on_catalog, comes_in_pages)
{
    static struct gathered all;
    struct sim_options world;
    sim_options_init(&world, 1);
    struct shard_kit *kit = shard_kit_open_in(&world);
    kit->broker.options.facilities_max = PAGED_FACILITIES + 2;
    kit->broker.options.partitions_max = 4 * (PAGED_FACILITIES + 3);
    kit->broker.options.log.index_bytes = 4u << 20;
    shard_kit_start(kit);
    struct kit_client *client = shard_kit_connect(kit, 0);
    memset(&all, 0, sizeof all);
    for (uint32_t i = 1; i <= PAGED_FACILITIES; i++)
        add_facility(kit, client, i, i % 64 == 0 || i == PAGED_FACILITIES);
    cr_assert(gather(kit, client, &all));
    cr_assert_lt(all.has.facilities, PAGED_FACILITIES);
    cr_assert_eq(all.has.partitions, 0, "topics and facilities come first");
    add_facility(kit, client, PAGED_FACILITIES + 1, true);
    while (gather(kit, client, &all))
        cr_assert_lt(all.pages, 10);
    cr_assert_gt(all.pages, 1);
    cr_assert_eq(all.has.facilities, PAGED_FACILITIES + 1);
    cr_assert_eq(all.placements, 2 * (PAGED_FACILITIES + 2));
    for (uint32_t i = 1; i <= PAGED_FACILITIES + 1; i++)
        cr_assert(all.seen[i]);
    struct gathered before = all;
    cr_assert_not(gather(kit, client, &all));
    cr_assert_eq(kit->reply.body_bytes, sizeof(struct xd_catalog_reply));
    add_facility(kit, client, PAGED_FACILITIES + 2, true);
    cr_assert_not(gather(kit, client, &all), "what is new fits a page");
    cr_assert_eq(all.placements, before.placements + 2);
    all.has.facilities++;
    all.has.partitions += 4;
    cr_assert(gather(kit, client, &all), "the copy is of a shard that is ahead");
    cr_assert_eq(kit->reply.body_bytes, sizeof(struct xd_catalog_reply));
    shard_kit_close(kit);
}

/* No copy of this catalog ends within a placement: it is of another one. */
Test(shard_on_catalog, refuses_a_copy_of_another_catalog)
{
    struct shard_kit *kit = shard_kit_open(1);
    struct kit_client *client = shard_kit_connect(kit, 0);
    for (uint32_t partitions = 0; partitions <= 6; partitions++) {
        /* topics of 3 and 1 partitions: copies end before 0, 3 and 4 */
        const struct xd_catalog_request has = {.topics = 1, .partitions = partitions};
        uint64_t correlation = wire_client_send(&client->wire, XD_OP_CATALOG, &has, sizeof has);
        bool within = partitions == 1 || partitions == 2;
        cr_assert_eq(shard_kit_await(kit, client, correlation), within ? XD_FIELD_INVALID : 0);
        cr_assert(!within || strstr(kit->reply.detail, "another catalog") != NULL);
    }
    const struct xd_catalog_request wrong = {.topics = XD_TOPICS_MAX + 1};
    uint64_t correlation = wire_client_send(&client->wire, XD_OP_CATALOG, &wrong, sizeof wrong);
    cr_assert_eq(shard_kit_await(kit, client, correlation), XD_FIELD_INVALID);
    cr_assert_not_null(strstr(kit->reply.detail, "topics"));
    shard_kit_close(kit);
}
