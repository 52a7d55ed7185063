/* SPDX-License-Identifier: Apache-2.0
 *
 * Catalog tables: look-ups, the fold of CONFIG entries, dense offsets, checkpoint bytes.
 *
 * Names are looked up by walking the table: only opens, admin verbs and start-up do it, never a
 * record.
 */
#include "broker/partition/catalog.h"

#include "wire/checksum.h"
#include "wire/route.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SAVE_MAGIC 0x31434458u /* "XDC1" inside a fold state: catalog section, version 1 */

struct save_head {
    uint32_t magic;           /*  0 SAVE_MAGIC */
    uint32_t topic_count;     /*  4 */
    uint32_t facility_count;  /*  8 */
    uint32_t partition_count; /* 12 */
    uint64_t epoch;           /* 16 */
};
struct save_object {              /* topics, then facilities, in rising number */
    uint8_t strategy;             /*  0 */
    uint8_t width;                /*  1 */
    uint8_t name_bytes;           /*  2 */
    uint8_t reserved0;            /*  3 zero */
    uint16_t shard;               /*  4 facilities; 0 in topics */
    uint8_t reserved1[2];         /*  6 zero */
    char name[XD_NAME_BYTES_MAX]; /*  8 */
};
struct save_partition {
    uint32_t topic;          /*  0 */
    uint32_t facility;       /*  4 */
    uint32_t base;           /*  8 */
    uint32_t width;          /* 12 */
    uint64_t durable;        /* 16 */
    int64_t durable_time_us; /* 24 */
    uint64_t record_bytes;   /* 32 */
};
static_assert(sizeof(struct save_head) == 24, "catalog section head");
static_assert(sizeof(struct save_object) == 72, "catalog section object");
static_assert(sizeof(struct save_partition) == 40, "catalog section partition");

static uint64_t placements_count(uint32_t facility_max)
{
    return (uint64_t)XD_TOPICS_MAX * (facility_max + 1u);
}

uint64_t catalog_bytes_needed(uint32_t facility_max, uint32_t partition_max)
{
    return XD_TOPICS_MAX * sizeof(struct topic) + facility_max * sizeof(struct facility) +
           partition_max * sizeof(struct partition) +
           placements_count(facility_max) * sizeof(uint32_t) + 4 * 64;
}

int catalog_init(struct catalog *catalog, struct arena *arena, uint32_t facility_max,
                 uint32_t partition_max)
{
    XD_ASSERT(facility_max <= XD_FACILITIES_MAX);
    XD_ASSERT(partition_max <= XD_PARTITIONS_MAX);
    memset(catalog, 0, sizeof *catalog);
    arena_budget(arena, "catalog");
    catalog->topics = arena_alloc(arena, XD_TOPICS_MAX * sizeof(struct topic), 64);
    catalog->facilities = arena_alloc(arena, facility_max * sizeof(struct facility), 64);
    catalog->partitions = arena_alloc(arena, partition_max * sizeof(struct partition), 64);
    catalog->placements = arena_alloc(arena, placements_count(facility_max) * sizeof(uint32_t), 64);
    if (catalog->topics == NULL || catalog->facilities == NULL || catalog->partitions == NULL ||
        catalog->placements == NULL)
        return -ENOMEM;
    catalog->facility_max = facility_max;
    catalog->partition_max = partition_max;
    catalog->shard_count = 1;
    return 0;
}

void catalog_set_shards(struct catalog *catalog, uint32_t shard_count)
{
    XD_ASSERT(shard_count >= 1 && shard_count <= XD_SHARDS_MAX);
    XD_ASSERT(catalog->epoch == 0 && catalog->facility_count == 0);
    catalog->shard_count = shard_count;
}

/* ---- look up ------------------------------------------------------------------------------- */

static int name_equal(const char *name, uint8_t name_bytes, struct xd_text text)
{
    return name_bytes == text.bytes && memcmp(name, text.data, name_bytes) == 0;
}

const struct topic *catalog_topic(const struct catalog *catalog, uint32_t number)
{
    return number >= 1 && number <= catalog->topic_count ? &catalog->topics[number - 1] : NULL;
}

const struct topic *catalog_topic_find(const struct catalog *catalog, struct xd_text name)
{
    for (uint32_t i = 0; i < catalog->topic_count && name.bytes > 0; i++) {
        const struct topic *topic = &catalog->topics[i];
        if (name_equal(topic->name, topic->name_bytes, name))
            return topic;
    }
    return NULL;
}

const struct facility *catalog_facility(const struct catalog *catalog, uint32_t number)
{
    return number >= 1 && number <= catalog->facility_count ? &catalog->facilities[number - 1]
                                                            : NULL;
}

int64_t catalog_facility_find(const struct catalog *catalog, struct xd_text name)
{
    if (name.bytes == 0)
        return 0;
    for (uint32_t i = 0; i < catalog->facility_count; i++) {
        const struct facility *facility = &catalog->facilities[i];
        if (name_equal(facility->name, facility->name_bytes, name))
            return facility->number;
    }
    return XD_FACILITY_UNKNOWN;
}

uint32_t catalog_shard(const struct catalog *catalog, uint32_t facility)
{
    XD_ASSERT(facility <= catalog->facility_count);
    return facility == 0 ? 0 : catalog->facilities[facility - 1].shard;
}

struct partition *catalog_partition(struct catalog *catalog, uint32_t number)
{
    return number < catalog->partition_count ? &catalog->partitions[number] : NULL;
}

static uint32_t *placement_at(const struct catalog *catalog, uint32_t topic, uint32_t facility)
{
    XD_ASSERT(topic >= 1 && topic <= XD_TOPICS_MAX);
    XD_ASSERT(facility <= catalog->facility_max);
    return &catalog->placements[(uint64_t)(topic - 1) * (catalog->facility_max + 1u) + facility];
}

uint32_t catalog_placement(const struct catalog *catalog, uint32_t topic, uint32_t facility)
{
    XD_ASSERT(topic <= catalog->topic_count);
    XD_ASSERT(facility <= catalog->facility_count);
    return *placement_at(catalog, topic, facility);
}

/* ---- change -------------------------------------------------------------------------------- */

static void entry_name(struct control_config *entry, struct xd_text name)
{
    entry->name_bytes = (uint8_t)name.bytes;
    memcpy(entry->name, name.data, name.bytes);
}

int catalog_plan_topic(const struct catalog *catalog, struct xd_text name, uint32_t strategy,
                       uint32_t width, struct control_config *ret_entry)
{
    if (xd_name_check(name) < 0)
        return XD_NAME_INVALID;
    if (strategy >= XD_STRATEGY_COUNT || width < 1 || width > XD_PARTITION_WIDTH_MAX)
        return XD_FIELD_INVALID;
    const struct topic *topic = catalog_topic_find(catalog, name);
    if (topic != NULL)
        return topic->strategy == strategy && topic->width == width ? 0 : XD_EXISTS;
    uint64_t partitions = (uint64_t)width * (catalog->facility_count + 1u);
    if (catalog->topic_count == XD_TOPICS_MAX ||
        catalog->partition_count + partitions > catalog->partition_max)
        return XD_CATALOG_FULL;

    struct control_config entry = {.object = CONTROL_TOPIC,
                                   .strategy = (uint8_t)strategy,
                                   .width = (uint8_t)width,
                                   .number = catalog->topic_count + 1};
    entry_name(&entry, name);
    *ret_entry = entry;
    return 1;
}

/* The shard with the highest hash of name and shard: when a broker is made with one shard more,
 * only the facilities that go to the new one would be placed differently. */
static uint16_t choose_shard(const struct catalog *catalog, struct xd_text name)
{
    uint64_t highest = 0;
    uint16_t chosen = 0;
    for (uint16_t shard = 0; shard < catalog->shard_count; shard++) {
        uint64_t hash = xd_xxh3_seeded(name.data, name.bytes, shard);
        if (hash > highest) {
            highest = hash;
            chosen = shard;
        }
    }
    return chosen;
}

int catalog_plan_facility(const struct catalog *catalog, struct xd_text name,
                          struct control_config *ret_entry)
{
    if (xd_name_check(name) < 0)
        return XD_NAME_INVALID;
    if (catalog_facility_find(catalog, name) > 0)
        return 0;
    uint64_t partitions = 0;
    for (uint32_t i = 0; i < catalog->topic_count; i++)
        partitions += catalog->topics[i].width;
    if (catalog->facility_count == catalog->facility_max ||
        catalog->partition_count + partitions > catalog->partition_max)
        return XD_CATALOG_FULL;

    struct control_config entry = {.object = CONTROL_FACILITY,
                                   .number = catalog->facility_count + 1,
                                   .shard = choose_shard(catalog, name)};
    entry_name(&entry, name);
    *ret_entry = entry;
    return 1;
}

/* Gives a topic its partitions in one facility. The caller has checked the limit. */
static void place(struct catalog *catalog, const struct topic *topic, uint32_t facility)
{
    uint32_t base = catalog->partition_count;
    *placement_at(catalog, topic->number, facility) = base;
    for (uint32_t bucket = 0; bucket < topic->width; bucket++) {
        catalog->partitions[base + bucket] = (struct partition){
            .topic = topic->number, .facility = facility, .base = base, .width = topic->width};
    }
    catalog->partition_count += topic->width;
    XD_ASSERT(catalog->partition_count <= catalog->partition_max);
}

static void take_topic(struct catalog *catalog, const struct control_config *entry)
{
    struct topic *topic = &catalog->topics[catalog->topic_count++];
    *topic = (struct topic){.number = entry->number,
                            .strategy = entry->strategy,
                            .width = entry->width,
                            .name_bytes = entry->name_bytes};
    memcpy(topic->name, entry->name, entry->name_bytes);
    for (uint32_t facility = 0; facility <= catalog->facility_count; facility++)
        place(catalog, topic, facility);
}

static void take_facility(struct catalog *catalog, const struct control_config *entry)
{
    struct facility *facility = &catalog->facilities[catalog->facility_count++];
    *facility = (struct facility){
        .number = entry->number, .shard = entry->shard, .name_bytes = entry->name_bytes};
    memcpy(facility->name, entry->name, entry->name_bytes);
    for (uint32_t i = 0; i < catalog->topic_count; i++)
        place(catalog, &catalog->topics[i], entry->number);
}

/* An entry that is in the table already: true when it says the same. */
static int known(const struct catalog *catalog, const struct control_config *entry)
{
    struct xd_text name = {entry->name, entry->name_bytes};
    if (entry->object == CONTROL_TOPIC) {
        const struct topic *topic = catalog_topic(catalog, entry->number);
        return topic != NULL && name_equal(topic->name, topic->name_bytes, name) &&
               topic->strategy == entry->strategy && topic->width == entry->width;
    }
    const struct facility *facility = catalog_facility(catalog, entry->number);
    return facility != NULL && facility->shard == entry->shard &&
           name_equal(facility->name, facility->name_bytes, name);
}

int catalog_take(struct catalog *catalog, const struct control_config *entry, uint64_t log_index,
                 const char **ret_why)
{
    XD_ASSERT(entry->object == CONTROL_TOPIC || entry->object == CONTROL_FACILITY);
    if (known(catalog, entry))
        return 0;

    struct xd_text name = {entry->name, entry->name_bytes};
    struct control_config planned;
    int status = entry->object == CONTROL_TOPIC
                     ? catalog_plan_topic(catalog, name, entry->strategy, entry->width, &planned)
                     : catalog_plan_facility(catalog, name, &planned);
    if (status == XD_CATALOG_FULL) {
        *ret_why = "the log holds more topics, facilities or partitions than the limits allow";
        return XD_LOG_CORRUPT;
    }
    if (status != 1 || planned.number != entry->number || entry->shard >= catalog->shard_count) {
        *ret_why = "config entry contradicts the catalog";
        return XD_LOG_CORRUPT;
    }
    if (entry->object == CONTROL_TOPIC)
        take_topic(catalog, entry);
    else
        take_facility(catalog, entry);
    catalog->epoch++;
    XD_ASSERT(log_index >= catalog->pending_index);
    catalog->pending_index = log_index;
    return 0;
}

/* ---- the sequence of entries ----------------------------------------------------------------- */

struct catalog_extent catalog_extent(const struct catalog *catalog)
{
    return (struct catalog_extent){.topic_count = catalog->topic_count,
                                   .facility_count = catalog->facility_count,
                                   .partition_count = catalog->partition_count};
}

static void entry_of_topic(const struct topic *topic, struct control_config *ret_entry)
{
    struct xd_text name = {topic->name, topic->name_bytes};
    *ret_entry = (struct control_config){.object = CONTROL_TOPIC,
                                         .strategy = topic->strategy,
                                         .width = topic->width,
                                         .number = topic->number};
    entry_name(ret_entry, name);
}

static void entry_of_facility(const struct facility *facility, struct control_config *ret_entry)
{
    struct xd_text name = {facility->name, facility->name_bytes};
    *ret_entry = (struct control_config){
        .object = CONTROL_FACILITY, .number = facility->number, .shard = facility->shard};
    entry_name(ret_entry, name);
}

/* Whether a facility may be older than the first topic. */
static bool before_topics(const struct catalog *catalog, uint32_t facility)
{
    return catalog->topic_count == 0 ||
           *placement_at(catalog, 1, facility) == facility * catalog->topics[0].width;
}

/* Partitions are given in the sequence of the entries, so the next one's owner tells which entry
 * was next: a topic brings a partition in the global facility first, a facility one of topic 1. A
 * facility from before the first topic left no trace, and takes its place in any sequence. */
int catalog_entry_after(const struct catalog *catalog, const struct catalog_extent *extent,
                        struct control_config *ret_entry)
{
    uint32_t topic = extent->topic_count + 1, facility = extent->facility_count + 1;
    if (topic > catalog->topic_count + 1 || facility > catalog->facility_count + 1)
        return XD_LOG_CORRUPT;
    if (facility <= catalog->facility_count &&
        (extent->topic_count == 0
             ? extent->partition_count == 0 && before_topics(catalog, facility)
             : *placement_at(catalog, 1, facility) == extent->partition_count)) {
        entry_of_facility(&catalog->facilities[facility - 1], ret_entry);
        return 1;
    }
    if (topic <= catalog->topic_count &&
        *placement_at(catalog, topic, 0) == extent->partition_count) {
        entry_of_topic(&catalog->topics[topic - 1], ret_entry);
        return 1;
    }
    bool whole = topic > catalog->topic_count && facility > catalog->facility_count &&
                 extent->partition_count == catalog->partition_count;
    return whole ? 0 : XD_LOG_CORRUPT;
}

/* ---- apply ----------------------------------------------------------------------------------- */

int catalog_apply(struct catalog *catalog, const struct xd_batch_header *batch,
                  const char **ret_why)
{
    struct partition *partition = catalog_partition(catalog, batch->partition);
    if (partition == NULL) {
        *ret_why = "batch of a partition that the catalog does not have";
        return XD_LOG_CORRUPT;
    }
    if (batch->base_offset != partition->durable) {
        *ret_why = "offsets of the partition are not dense";
        return XD_LOG_CORRUPT;
    }
    if (batch->append_time_us < partition->durable_time_us) {
        *ret_why = "append times of the partition fall";
        return XD_LOG_CORRUPT;
    }
    partition->durable = batch->base_offset + batch->record_count;
    partition->durable_time_us = batch->append_time_us;
    partition->record_bytes += batch->batch_bytes;
    if (partition->appended < partition->durable) { /* recovery: nothing is staged */
        partition->appended = partition->durable;
        partition->append_time_us = partition->durable_time_us;
    }
    return 0;
}

/* ---- checkpoint ---------------------------------------------------------------------------- */

uint64_t catalog_save_bytes(const struct catalog *catalog)
{
    return sizeof(struct save_head) +
           (uint64_t)(catalog->topic_count + catalog->facility_count) * sizeof(struct save_object) +
           (uint64_t)catalog->partition_count * sizeof(struct save_partition);
}

static uint8_t *save_object(uint8_t *out, struct save_object object, const char *name)
{
    memcpy(object.name, name, object.name_bytes);
    memcpy(out, &object, sizeof object);
    return out + sizeof object;
}

uint64_t catalog_save(const struct catalog *catalog, uint8_t *out, uint64_t out_bytes)
{
    uint64_t bytes = catalog_save_bytes(catalog);
    XD_ASSERT(bytes <= out_bytes);
    struct save_head head = {.magic = SAVE_MAGIC,
                             .topic_count = catalog->topic_count,
                             .facility_count = catalog->facility_count,
                             .partition_count = catalog->partition_count,
                             .epoch = catalog->epoch};
    uint8_t *at = out;
    memcpy(at, &head, sizeof head);
    at += sizeof head;
    for (uint32_t i = 0; i < catalog->topic_count; i++) {
        const struct topic *topic = &catalog->topics[i];
        at = save_object(at,
                         (struct save_object){.strategy = topic->strategy,
                                              .width = topic->width,
                                              .name_bytes = topic->name_bytes},
                         topic->name);
    }
    for (uint32_t i = 0; i < catalog->facility_count; i++) {
        const struct facility *facility = &catalog->facilities[i];
        at = save_object(
            at, (struct save_object){.name_bytes = facility->name_bytes, .shard = facility->shard},
            facility->name);
    }
    for (uint32_t i = 0; i < catalog->partition_count; i++) {
        const struct partition *partition = &catalog->partitions[i];
        struct save_partition saved = {.topic = partition->topic,
                                       .facility = partition->facility,
                                       .base = partition->base,
                                       .width = partition->width,
                                       .durable = partition->durable,
                                       .durable_time_us = partition->durable_time_us,
                                       .record_bytes = partition->record_bytes};
        memcpy(at, &saved, sizeof saved);
        at += sizeof saved;
    }
    XD_ASSERT((uint64_t)(at - out) == bytes);
    return bytes;
}

/* One partition row; its placement is entered with the first of each. */
static int load_partition(struct catalog *catalog, const struct save_partition *saved,
                          uint32_t number)
{
    if (saved->topic < 1 || saved->topic > catalog->topic_count ||
        saved->facility > catalog->facility_count || saved->base > number ||
        saved->width != catalog->topics[saved->topic - 1].width ||
        number - saved->base >= saved->width)
        return XD_CHECKPOINT_CORRUPT;
    catalog->partitions[number] = (struct partition){.topic = saved->topic,
                                                     .facility = saved->facility,
                                                     .base = saved->base,
                                                     .width = saved->width,
                                                     .appended = saved->durable,
                                                     .durable = saved->durable,
                                                     .append_time_us = saved->durable_time_us,
                                                     .durable_time_us = saved->durable_time_us,
                                                     .record_bytes = saved->record_bytes};
    *placement_at(catalog, saved->topic, saved->facility) = saved->base;
    return 0;
}

static int load_objects(struct catalog *catalog, const struct save_head *head, const uint8_t *at)
{
    for (uint32_t i = 0; i < head->topic_count + head->facility_count; i++) {
        struct save_object object;
        memcpy(&object, at + (uint64_t)i * sizeof object, sizeof object);
        struct xd_text name = {object.name, object.name_bytes};
        if (object.name_bytes > XD_NAME_BYTES_MAX || xd_name_check(name) < 0)
            return XD_CHECKPOINT_CORRUPT;
        if (i < head->topic_count) {
            if (object.strategy >= XD_STRATEGY_COUNT || object.width < 1 ||
                object.width > XD_PARTITION_WIDTH_MAX)
                return XD_CHECKPOINT_CORRUPT;
            struct topic *topic = &catalog->topics[catalog->topic_count++];
            *topic = (struct topic){.number = catalog->topic_count,
                                    .strategy = object.strategy,
                                    .width = object.width,
                                    .name_bytes = object.name_bytes};
            memcpy(topic->name, object.name, object.name_bytes);
        } else {
            if (object.shard >= catalog->shard_count)
                return XD_CHECKPOINT_CORRUPT;
            struct facility *facility = &catalog->facilities[catalog->facility_count++];
            *facility = (struct facility){.number = catalog->facility_count,
                                          .shard = object.shard,
                                          .name_bytes = object.name_bytes};
            memcpy(facility->name, object.name, object.name_bytes);
        }
    }
    return 0;
}

int64_t catalog_load(struct catalog *catalog, const uint8_t *in, uint64_t in_bytes)
{
    XD_ASSERT(catalog->topic_count == 0 && catalog->partition_count == 0);
    struct save_head head;
    if (in_bytes < sizeof head)
        return XD_CHECKPOINT_CORRUPT;
    memcpy(&head, in, sizeof head);
    if (head.magic != SAVE_MAGIC)
        return XD_CHECKPOINT_CORRUPT;
    if (head.topic_count > XD_TOPICS_MAX || head.facility_count > catalog->facility_max ||
        head.partition_count > catalog->partition_max)
        return XD_CATALOG_FULL;
    uint64_t objects_bytes =
        (uint64_t)(head.topic_count + head.facility_count) * sizeof(struct save_object);
    uint64_t bytes = sizeof head + objects_bytes +
                     (uint64_t)head.partition_count * sizeof(struct save_partition);
    if (bytes > in_bytes)
        return XD_CHECKPOINT_CORRUPT;

    int status = load_objects(catalog, &head, in + sizeof head);
    const uint8_t *at = in + sizeof head + objects_bytes;
    for (uint32_t i = 0; i < head.partition_count && status == 0; i++) {
        struct save_partition saved;
        memcpy(&saved, at + (uint64_t)i * sizeof saved, sizeof saved);
        status = load_partition(catalog, &saved, i);
    }
    if (status < 0)
        return status;
    catalog->partition_count = head.partition_count;
    catalog->epoch = head.epoch;
    return (int64_t)bytes;
}
