/* SPDX-License-Identifier: Apache-2.0
 *
 * The copy of the catalog and its look-ups.
 *
 * Look-ups are linear: producers and readers keep what they found, so these run once per handle and
 * topic, and again after a change of the catalog.
 * Failure path: a reply that does not decode leaves the former copy as it was.
 */
#include "client/catalog.h"

#include "client/memory.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

int xd_catalog_init(struct xd_catalog *catalog)
{
    memset(catalog, 0, sizeof(*catalog));
    catalog->memory = xd_memory_acquire(XD_FRAME_BYTES_DEFAULT_MAX);
    return catalog->memory != NULL ? 0 : -ENOMEM;
}

void xd_catalog_deinit(struct xd_catalog *catalog)
{
    xd_memory_release(catalog->memory);
    memset(catalog, 0, sizeof(*catalog));
}

void xd_catalog_heard(struct xd_catalog *catalog, uint64_t epoch)
{
    XD_ASSERT(catalog->memory != NULL);
    if (epoch > catalog->epoch_heard)
        catalog->epoch_heard = epoch;
    if (catalog->fetches > 0 && epoch > catalog->view.fixed.epoch && !catalog->asked)
        catalog->wanted = true;
}

int xd_catalog_take(struct xd_catalog *catalog, const uint8_t *body, size_t bytes,
                    const char **ret_field)
{
    struct xd_catalog_view view;
    XD_ASSERT(catalog->memory != NULL && body != catalog->memory);
    XD_ASSERT(bytes <= XD_FRAME_BYTES_DEFAULT_MAX);
    int status = xd_catalog_reply_decode(body, bytes, &view, ret_field);
    if (status < 0)
        return status;
    memcpy(catalog->memory, body, bytes);
    status = xd_catalog_reply_decode(catalog->memory, bytes, &catalog->view, ret_field);
    XD_ASSERT(status == 0);
    if (view.fixed.epoch > catalog->epoch_heard)
        catalog->epoch_heard = view.fixed.epoch;
    return 0;
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
    for (uint32_t i = 0; i < catalog->view.fixed.topic_count; i++) {
        if (catalog->view.topics[i].topic == number)
            return &catalog->view.topics[i];
    }
    return NULL;
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
    for (uint32_t i = 0; i < catalog->view.fixed.facility_count; i++) {
        if (catalog->view.facilities[i].facility == number)
            return &catalog->view.facilities[i];
    }
    return NULL;
}

const struct xd_catalog_placement *xd_catalog_placement(const struct xd_catalog *catalog,
                                                        uint32_t topic, uint32_t facility)
{
    for (uint32_t i = 0; i < catalog->view.fixed.placement_count; i++) {
        const struct xd_catalog_placement *placement = &catalog->view.placements[i];
        if (placement->topic == topic && placement->facility == facility)
            return placement;
    }
    return NULL;
}
