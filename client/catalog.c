/* SPDX-License-Identifier: Apache-2.0
 *
 * The copy of the catalog, how pages are added to it, and its look-ups.
 *
 * Names are looked for in sequence: producers and readers keep what they found, so that happens
 * once per handle and topic, and again after a change of the catalog. Placements, of which there
 * may be a hundred thousand, are found through a hash map.
 * Failure path: a page that does not decode, or does not continue the copy, leaves it as it was.
 */
#include "client/catalog.h"

#include "client/memory.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

/* Slots of the placement map: at most half of them are in use. */
#define MAP_BITS 18u
#define MAP_SLOTS (1u << MAP_BITS)
static_assert(MAP_SLOTS >= 2 * XD_PARTITIONS_MAX, "a search in the placement map ends");

int xd_catalog_init(struct xd_catalog *catalog)
{
    memset(catalog, 0, sizeof(*catalog));
    catalog->topics = xd_memory_acquire_array(XD_TOPICS_MAX, sizeof(*catalog->topics));
    catalog->facilities = xd_memory_acquire_array(XD_FACILITIES_MAX, sizeof(*catalog->facilities));
    catalog->placements = xd_memory_acquire_array(XD_PARTITIONS_MAX, sizeof(*catalog->placements));
    catalog->placement_map = xd_memory_acquire_array(MAP_SLOTS, sizeof(*catalog->placement_map));
    if (catalog->topics == NULL || catalog->facilities == NULL || catalog->placements == NULL ||
        catalog->placement_map == NULL)
        return -ENOMEM;
    catalog->view.topics = catalog->topics;
    catalog->view.facilities = catalog->facilities;
    catalog->view.placements = catalog->placements;
    return 0;
}

void xd_catalog_deinit(struct xd_catalog *catalog)
{
    xd_memory_release(catalog->topics);
    xd_memory_release(catalog->facilities);
    xd_memory_release(catalog->placements);
    xd_memory_release(catalog->placement_map);
    memset(catalog, 0, sizeof(*catalog));
}

void xd_catalog_heard(struct xd_catalog *catalog, uint64_t epoch)
{
    XD_ASSERT(catalog->topics != NULL);
    if (epoch > catalog->epoch_heard)
        catalog->epoch_heard = epoch;
    if (catalog->fetches > 0 && epoch > catalog->view.fixed.epoch && !catalog->asked)
        catalog->wanted = true;
}

/* ---- the placement map ----------------------------------------------------------------------- */

/* The slot of a placement, or the free one where it would be entered. */
static uint32_t *map_slot(const struct xd_catalog *catalog, uint32_t topic, uint32_t facility)
{
    uint64_t key = ((uint64_t)topic << 32 | facility) * 0x9e3779b97f4a7c15u;
    uint32_t at = (uint32_t)(key >> (64 - MAP_BITS));
    for (;; at = (at + 1) & (MAP_SLOTS - 1)) {
        uint32_t *slot = &catalog->placement_map[at];
        if (*slot == 0)
            return slot;
        const struct xd_catalog_placement *placement = &catalog->placements[*slot - 1];
        if (placement->topic == topic && placement->facility == facility)
            return slot;
    }
}

/* ---- pages ----------------------------------------------------------------------------------- */

static int refuse(const char *field, const char **ret_field)
{
    *ret_field = field;
    return XD_FRAME_MALFORMED;
}

/* Whether the page continues what is here: rows behind it, not more than there are. */
static int check_page(const struct xd_catalog *catalog, const struct xd_catalog_view *page,
                      const char **ret_field)
{
    const struct xd_catalog_reply *fixed = &page->fixed;
    const struct xd_catalog_request *has = &catalog->has;
    if (fixed->topic_count > 0 &&
        (has->topics > fixed->topic_total || fixed->topic_count > fixed->topic_total - has->topics))
        return refuse("topic_count", ret_field);
    if (fixed->facility_count > 0 &&
        (has->facilities > fixed->facility_total ||
         fixed->facility_count > fixed->facility_total - has->facilities))
        return refuse("facility_count", ret_field);
    for (uint32_t i = 0; i < fixed->topic_count; i++) {
        if (page->topics[i].topic != has->topics + i + 1)
            return refuse("topic", ret_field);
    }
    for (uint32_t i = 0; i < fixed->facility_count; i++) {
        if (page->facilities[i].facility != has->facilities + i + 1)
            return refuse("facility", ret_field);
    }
    if (fixed->placement_count > 0 && page->placements[0].partition_base < has->partitions)
        return refuse("partition_base", ret_field);
    return 0;
}

static void add_page(struct xd_catalog *catalog, const struct xd_catalog_view *page)
{
    const struct xd_catalog_reply *fixed = &page->fixed;
    struct xd_catalog_request *has = &catalog->has;
    XD_ASSERT(has->topics + fixed->topic_count <= XD_TOPICS_MAX);
    XD_ASSERT(has->facilities + fixed->facility_count <= XD_FACILITIES_MAX);
    /* Placements rise without overlap below XD_PARTITIONS_MAX, so there are not more of them. */
    XD_ASSERT(catalog->placement_count + fixed->placement_count <= XD_PARTITIONS_MAX);
    memcpy(catalog->topics + has->topics, page->topics, fixed->topic_count * sizeof(*page->topics));
    memcpy(catalog->facilities + has->facilities, page->facilities,
           fixed->facility_count * sizeof(*page->facilities));
    memcpy(catalog->placements + catalog->placement_count, page->placements,
           fixed->placement_count * sizeof(*page->placements));
    has->topics += fixed->topic_count;
    has->facilities += fixed->facility_count;
    catalog->placement_count += fixed->placement_count;
    if (fixed->placement_count > 0) {
        const struct xd_catalog_placement *last = &page->placements[fixed->placement_count - 1];
        has->partitions = last->partition_base + last->width;
    }
}

/* All that is here is seen from now on. */
static void show(struct xd_catalog *catalog, uint64_t epoch)
{
    struct xd_catalog_reply *seen = &catalog->view.fixed;
    for (uint32_t row = seen->placement_count; row < catalog->placement_count; row++) {
        const struct xd_catalog_placement *placement = &catalog->placements[row];
        *map_slot(catalog, placement->topic, placement->facility) = row + 1;
    }
    seen->topic_count = seen->topic_total = catalog->has.topics;
    seen->facility_count = seen->facility_total = catalog->has.facilities;
    seen->placement_count = catalog->placement_count;
    seen->partition_total = catalog->has.partitions;
    if (epoch > seen->epoch)
        seen->epoch = epoch;
    if (epoch > catalog->epoch_heard)
        catalog->epoch_heard = epoch;
}

int xd_catalog_take(struct xd_catalog *catalog, const uint8_t *body, size_t bytes,
                    const char **ret_field)
{
    struct xd_catalog_view page;
    XD_ASSERT(catalog->topics != NULL && body != (const uint8_t *)catalog->topics);
    int status = xd_catalog_reply_decode(body, bytes, &page, ret_field);
    if (status == 0)
        status = check_page(catalog, &page, ret_field);
    if (status < 0)
        return status;
    add_page(catalog, &page);

    const struct xd_catalog_request *has = &catalog->has;
    const struct xd_catalog_reply *fixed = &page.fixed;
    bool behind = fixed->topic_total < has->topics || fixed->facility_total < has->facilities ||
                  fixed->partition_total < has->partitions;
    bool whole = fixed->topic_total == has->topics && fixed->facility_total == has->facilities &&
                 fixed->partition_total == has->partitions;
    if (whole)
        show(catalog, fixed->epoch);
    if (whole || behind)
        return 0;
    if (fixed->topic_count + fixed->facility_count + fixed->placement_count == 0)
        return refuse("length", ret_field); /* it would be asked for for ever */
    return 1;
}

void xd_catalog_forget(struct xd_catalog *catalog)
{
    XD_ASSERT(catalog->placement_map != NULL && !catalog->asked);
    memset(&catalog->has, 0, sizeof(catalog->has));
    memset(&catalog->view.fixed, 0, sizeof(catalog->view.fixed));
    memset(catalog->placement_map, 0, MAP_SLOTS * sizeof(*catalog->placement_map));
    catalog->placement_count = 0;
}

void xd_catalog_lost(struct xd_catalog *catalog)
{
    if (catalog->asked)
        catalog->wanted = true;
    catalog->asked = false;
}

static bool name_is(const char *row_name, uint8_t row_bytes, const char *name, size_t bytes)
{
    return row_bytes == bytes && memcmp(row_name, name, bytes) == 0;
}

const struct xd_catalog_topic *xd_catalog_topic(const struct xd_catalog *catalog, const char *name)
{
    XD_ASSERT(name != NULL);
    size_t bytes = strlen(name);
    for (uint32_t i = 0; i < catalog->view.fixed.topic_count; i++) {
        const struct xd_catalog_topic *topic = &catalog->view.topics[i];
        if (name_is(topic->name, topic->name_bytes, name, bytes))
            return topic;
    }
    return NULL;
}

const struct xd_catalog_topic *xd_catalog_topic_at(const struct xd_catalog *catalog,
                                                   uint32_t number)
{
    if (number == 0 || number > catalog->view.fixed.topic_count)
        return NULL;
    XD_ASSERT(catalog->topics[number - 1].topic == number);
    return &catalog->topics[number - 1];
}

int64_t xd_catalog_facility(const struct xd_catalog *catalog, const char *name)
{
    XD_ASSERT(name != NULL);
    size_t bytes = strlen(name);
    if (bytes == 0)
        return 0;
    for (uint32_t i = 0; i < catalog->view.fixed.facility_count; i++) {
        const struct xd_catalog_facility *facility = &catalog->view.facilities[i];
        if (name_is(facility->name, facility->name_bytes, name, bytes))
            return facility->facility;
    }
    return XD_FACILITY_UNKNOWN;
}

const struct xd_catalog_facility *xd_catalog_facility_at(const struct xd_catalog *catalog,
                                                         uint32_t number)
{
    if (number == 0 || number > catalog->view.fixed.facility_count)
        return NULL;
    XD_ASSERT(catalog->facilities[number - 1].facility == number);
    return &catalog->facilities[number - 1];
}

const struct xd_catalog_placement *xd_catalog_placement(const struct xd_catalog *catalog,
                                                        uint32_t topic, uint32_t facility)
{
    uint32_t row = *map_slot(catalog, topic, facility);
    XD_ASSERT(row <= catalog->view.fixed.placement_count);
    return row != 0 ? &catalog->placements[row - 1] : NULL;
}
