/* SPDX-License-Identifier: Apache-2.0
 *
 * Verbs on topics and facilities. A verb that adds one plans its entry; the shard appends it and
 * renders the reply when it is durable.
 *
 * Objects are rendered from the entry that they stand for, so a dry run, which has only the entry,
 * gives what "show" gives later.
 */
#include "broker/admin/verbs.h"
#include "wire/route.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define WIDTH_DEFAULT 8u

/* ---- objects --------------------------------------------------------------------------------- */

static struct control_config topic_entry(const struct topic *topic)
{
    struct control_config entry = {.object = CONTROL_TOPIC,
                                   .strategy = topic->strategy,
                                   .width = topic->width,
                                   .number = topic->number,
                                   .name_bytes = topic->name_bytes};
    memcpy(entry.name, topic->name, sizeof entry.name);
    return entry;
}

static struct control_config facility_entry(const struct facility *facility)
{
    struct control_config entry = {
        .object = CONTROL_FACILITY, .number = facility->number, .name_bytes = facility->name_bytes};
    memcpy(entry.name, facility->name, sizeof entry.name);
    return entry;
}

/* Sums over the partitions that one object owns. */
struct totals {
    uint64_t partitions;
    uint64_t records; /* durable */
    uint64_t bytes;   /* of their batches */
};

static void totals_add(struct totals *totals, const struct catalog *catalog, uint32_t topic,
                       uint32_t facility)
{
    uint32_t base = catalog_placement(catalog, topic, facility);
    uint32_t width = catalog_topic(catalog, topic)->width;
    for (uint32_t i = base; i < base + width; i++) {
        totals->records += catalog->partitions[i].durable;
        totals->bytes += catalog->partitions[i].record_bytes;
    }
    totals->partitions += width;
}

static struct totals topic_totals(const struct catalog *catalog, const struct control_config *entry)
{
    struct totals totals = {0};
    if (catalog_topic(catalog, entry->number) == NULL) { /* dry run */
        totals.partitions = (uint64_t)entry->width * (catalog->facility_count + 1u);
        return totals;
    }
    for (uint32_t facility = 0; facility <= catalog->facility_count; facility++)
        totals_add(&totals, catalog, entry->number, facility);
    return totals;
}

static struct totals facility_totals(const struct catalog *catalog,
                                     const struct control_config *entry)
{
    struct totals totals = {0};
    bool exists = catalog_facility(catalog, entry->number) != NULL;
    for (uint32_t topic = 1; topic <= catalog->topic_count; topic++) {
        if (exists)
            totals_add(&totals, catalog, topic, entry->number);
        else
            totals.partitions += catalog_topic(catalog, topic)->width;
    }
    return totals;
}

void catalog_object(struct writer *out, const struct catalog *catalog,
                    const struct control_config *entry, bool dry_run)
{
    XD_ASSERT(entry->object == CONTROL_TOPIC || entry->object == CONTROL_FACILITY);
    bool topic = entry->object == CONTROL_TOPIC;
    struct totals totals = topic ? topic_totals(catalog, entry) : facility_totals(catalog, entry);
    writer_object(out, NULL);
    writer_text(out, "name", text_span(entry->name, entry->name_bytes));
    writer_number(out, "number", entry->number);
    if (topic) {
        writer_string(out, "strategy", xd_strategy_name((enum xd_strategy)entry->strategy));
        writer_number(out, "width", entry->width);
    }
    writer_number(out, "partitions", totals.partitions);
    writer_number(out, "records", totals.records);
    writer_number(out, "records_bytes", totals.bytes);
    if (dry_run)
        writer_bool(out, "dry_run", true);
    writer_object_end(out);
}

/* ---- change ---------------------------------------------------------------------------------- */

/* Ends a verb that adds: `planned` is what the catalog said, 0 or 1. An object that exists but
 * whose entry is not durable yet is appended again, which changes nothing, so that the answer
 * waits. */
static int add(struct call *call, int planned, const struct control_config *entry)
{
    const struct admin_view *view = call->view;
    bool pending = view->catalog->pending_index > log_durable_index(view->log);
    bool dry_run = arguments_flag(call->arguments, "dry_run");
    if (!dry_run && (planned == 1 || pending)) {
        call->result->append = true;
        call->result->entry = *entry;
        return 0;
    }
    catalog_object(call->out, view->catalog, entry, dry_run);
    return 0;
}

static int refuse_name(struct call *call, struct xd_text name)
{
    snprintf(call->detail, XD_DETAIL_BYTES_MAX,
             "name: '%s' is not 1 to 64 characters of [A-Za-z0-9._-] that begin with a letter or "
             "digit",
             quote(name).text);
    return XD_NAME_INVALID;
}

static int refuse_full(struct call *call, const char *kind, uint64_t partitions)
{
    const struct catalog *catalog = call->view->catalog;
    snprintf(call->detail, XD_DETAIL_BYTES_MAX,
             "another %s needs %" PRIu64 " partitions: %u of %u are in use, topics %u of %u, "
             "facilities %u of %u; raise catalog.partitions_max or catalog.facilities_max",
             kind, partitions, catalog->partition_count, catalog->partition_max,
             catalog->topic_count, XD_TOPICS_MAX, catalog->facility_count, catalog->facility_max);
    return XD_CATALOG_FULL;
}

/* ---- topics ---------------------------------------------------------------------------------- */

int verb_topic_list(struct call *call)
{
    const struct catalog *catalog = call->view->catalog;
    writer_object(call->out, NULL);
    writer_array(call->out, "topics");
    for (uint32_t i = 0; i < catalog->topic_count; i++) {
        struct control_config entry = topic_entry(&catalog->topics[i]);
        catalog_object(call->out, catalog, &entry, false);
    }
    writer_array_end(call->out);
    writer_object_end(call->out);
    return 0;
}

int verb_topic_show(struct call *call)
{
    const struct topic *topic = call_topic(call, arguments_text(call->arguments, "name", ""));
    if (topic == NULL)
        return XD_NOT_FOUND;
    struct control_config entry = topic_entry(topic);
    catalog_object(call->out, call->view->catalog, &entry, false);
    return 0;
}

static int topic_refused(struct call *call, int status, struct xd_text name, uint64_t width)
{
    const struct catalog *catalog = call->view->catalog;
    if (status == XD_NAME_INVALID)
        return refuse_name(call, name);
    if (status == XD_CATALOG_FULL)
        return refuse_full(call, "topic", width * (catalog->facility_count + 1u));
    const struct topic *topic = catalog_topic_find(catalog, name);
    XD_ASSERT(status == XD_EXISTS && topic != NULL);
    snprintf(call->detail, XD_DETAIL_BYTES_MAX,
             "name: topic '%s' exists with strategy %s and width %u, which are fixed for its life; "
             "choose another name",
             quote(name).text, xd_strategy_name((enum xd_strategy)topic->strategy), topic->width);
    return status;
}

int verb_topic_create(struct call *call)
{
    const struct catalog *catalog = call->view->catalog;
    struct xd_text name = arguments_text(call->arguments, "name", "");
    struct xd_text strategy = arguments_text(call->arguments, "strategy", "sku");
    uint64_t width = arguments_number(call->arguments, "width", WIDTH_DEFAULT);
    int number = xd_strategy_find(strategy.data, strategy.bytes);
    if (number < 0) {
        snprintf(call->detail, XD_DETAIL_BYTES_MAX,
                 "strategy: '%s' is none of sku, sku+location, location, order, hu, key",
                 quote(strategy).text);
        return XD_FIELD_INVALID;
    }
    if (width < 1 || width > XD_PARTITION_WIDTH_MAX) {
        snprintf(call->detail, XD_DETAIL_BYTES_MAX, "width: %" PRIu64 " is not in 1..%u", width,
                 XD_PARTITION_WIDTH_MAX);
        return XD_FIELD_INVALID;
    }
    struct control_config entry;
    int status = catalog_plan_topic(catalog, name, (uint32_t)number, (uint32_t)width, &entry);
    if (status < 0)
        return topic_refused(call, status, name, width);
    if (status == 0)
        entry = topic_entry(catalog_topic_find(catalog, name));
    return add(call, status, &entry);
}

/* ---- facilities ------------------------------------------------------------------------------ */

int verb_facility_list(struct call *call)
{
    const struct catalog *catalog = call->view->catalog;
    struct page page;
    int status = call_page(call, 1, &page);
    if (status < 0)
        return status;
    uint64_t number = page.from < 1 ? 1 : page.from;
    writer_object(call->out, NULL);
    writer_array(call->out, "facilities");
    for (uint64_t rows = 0; number <= catalog->facility_count && rows < page.limit; rows++) {
        struct control_config entry = facility_entry(&catalog->facilities[number++ - 1]);
        catalog_object(call->out, catalog, &entry, false);
    }
    writer_array_end(call->out);
    call_next(call, number <= catalog->facility_count, number);
    writer_object_end(call->out);
    return 0;
}

int verb_facility_show(struct call *call)
{
    struct xd_text name = arguments_text(call->arguments, "name", "");
    if (name.bytes == 0)
        return refuse_name(call, name);
    int64_t number = call_facility(call, name);
    if (number < 0)
        return (int)number;
    struct control_config entry =
        facility_entry(catalog_facility(call->view->catalog, (uint32_t)number));
    catalog_object(call->out, call->view->catalog, &entry, false);
    return 0;
}

int verb_facility_add(struct call *call)
{
    const struct catalog *catalog = call->view->catalog;
    struct xd_text name = arguments_text(call->arguments, "name", "");
    struct control_config entry;
    int status = catalog_plan_facility(catalog, name, &entry);
    if (status == XD_NAME_INVALID)
        return refuse_name(call, name);
    if (status == XD_CATALOG_FULL) {
        uint64_t partitions = 0;
        for (uint32_t i = 0; i < catalog->topic_count; i++)
            partitions += catalog->topics[i].width;
        return refuse_full(call, "facility", partitions);
    }
    XD_ASSERT(status == 0 || status == 1);
    if (status == 0)
        entry = facility_entry(
            catalog_facility(catalog, (uint32_t)catalog_facility_find(catalog, name)));
    return add(call, status, &entry);
}
