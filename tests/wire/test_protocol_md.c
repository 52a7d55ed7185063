/* SPDX-License-Identifier: Apache-2.0
 *
 * docs/PROTOCOL.md against the code: every layout table is the struct of its name, field by field
 * without a gap, and the lists of operations and events are the tables of the code.
 *
 * A layout table is a Markdown table whose first heading is the name of a struct:
 *
 *   | xd_close | type | field | meaning |
 *   |---|---|---|---|
 *   | 0 | u64 | producer_id | ... |
 */
#include "tests/support/fenced.h"
#include "wire/batch.h"
#include "wire/event.h"
#include "wire/record.h"
#include "wire/request.h"

#include <criterion/criterion.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every structure that travels. */
static const struct layout {
    const char *name; /* without "struct" */
    size_t bytes;
} layouts[] = {
#define LAYOUT(name)                                                                               \
    {                                                                                              \
#name, sizeof(struct name)                                                                 \
    }
    LAYOUT(xd_reply_head),
    LAYOUT(xd_hello),
    LAYOUT(xd_hello_reply),
    LAYOUT(xd_catalog_request),
    LAYOUT(xd_catalog_reply),
    LAYOUT(xd_catalog_topic),
    LAYOUT(xd_catalog_facility),
    LAYOUT(xd_catalog_placement),
    LAYOUT(xd_open),
    LAYOUT(xd_open_reply),
    LAYOUT(xd_open_chain),
    LAYOUT(xd_produce_head),
    LAYOUT(xd_ack_head),
    LAYOUT(xd_ack),
    LAYOUT(xd_close),
    LAYOUT(xd_read),
    LAYOUT(xd_read_reply),
    LAYOUT(xd_batch_header),
    LAYOUT(xd_record_core),
    LAYOUT(xd_stock),
    LAYOUT(xd_quantity),
    LAYOUT(xd_document),
    LAYOUT(xd_hu),
    LAYOUT(xd_lineage),
    LAYOUT(xd_batch_ref),
    LAYOUT(xd_revision),
#undef LAYOUT
};
#define LAYOUT_COUNT (sizeof(layouts) / sizeof(layouts[0]))

/* Offsets of fields in the code. What is not listed here is held in place by its neighbours: a
 * table has no gap and ends with its struct. */
static const struct field {
    const char *layout;
    const char *name;
    size_t offset;
} fields[] = {
#define FIELD(layout, name)                                                                        \
    {                                                                                              \
#layout, #name, offsetof(struct layout, name)                                              \
    }
    FIELD(xd_reply_head, retry_after_ms),
    FIELD(xd_reply_head, log_index),
    FIELD(xd_reply_head, catalog_epoch),
    FIELD(xd_reply_head, detail_bytes),
    FIELD(xd_hello, version_max),
    FIELD(xd_hello, features),
    FIELD(xd_hello_reply, version_min),
    FIELD(xd_hello_reply, version_max),
    FIELD(xd_hello_reply, default_durability),
    FIELD(xd_hello_reply, frame_bytes_max),
    FIELD(xd_hello_reply, batch_bytes_max),
    FIELD(xd_hello_reply, inflight_batches),
    FIELD(xd_hello_reply, connection_bytes),
    FIELD(xd_hello_reply, cluster_id),
    FIELD(xd_hello_reply, server_time_us),
    FIELD(xd_hello_reply, features),
    FIELD(xd_catalog_reply, topic_count),
    FIELD(xd_catalog_reply, facility_count),
    FIELD(xd_catalog_reply, placement_count),
    FIELD(xd_catalog_topic, strategy),
    FIELD(xd_catalog_topic, width),
    FIELD(xd_catalog_topic, name_bytes),
    FIELD(xd_catalog_topic, name),
    FIELD(xd_catalog_facility, name_bytes),
    FIELD(xd_catalog_facility, name),
    FIELD(xd_catalog_placement, facility),
    FIELD(xd_catalog_placement, partition_base),
    FIELD(xd_catalog_placement, width),
    FIELD(xd_open, assigned_sequence),
    FIELD(xd_open, channel_epoch),
    FIELD(xd_open, flags),
    FIELD(xd_open, producer_epoch),
    FIELD(xd_open_reply, producer_epoch),
    FIELD(xd_open_reply, channel_epoch),
    FIELD(xd_open_reply, facility),
    FIELD(xd_open_reply, chain_count),
    FIELD(xd_open_reply, last_sequence),
    FIELD(xd_open_chain, last_sequence),
    FIELD(xd_open_chain, last_offset),
    FIELD(xd_produce_head, durability),
    FIELD(xd_produce_head, low),
    FIELD(xd_ack_head, catalog_epoch),
    FIELD(xd_ack_head, acked_bytes),
    FIELD(xd_ack, partition),
    FIELD(xd_ack, status),
    FIELD(xd_ack, first_sequence),
    FIELD(xd_ack, last_sequence),
    FIELD(xd_ack, base_offset),
    FIELD(xd_ack, resume_sequence),
    FIELD(xd_ack, log_index),
    FIELD(xd_ack, record_count),
    FIELD(xd_ack, retry_after_ms),
    FIELD(xd_ack, detail_bytes),
    FIELD(xd_ack, durability),
    FIELD(xd_close, producer_epoch),
    FIELD(xd_read, seek),
    FIELD(xd_read, position),
    FIELD(xd_read, bytes_max),
    FIELD(xd_read, wait_ms),
    FIELD(xd_read_reply, next_offset),
    FIELD(xd_read_reply, first_offset),
    FIELD(xd_read_reply, end_offset),
    FIELD(xd_read_reply, batches_bytes),
    FIELD(xd_read_reply, partition),
    FIELD(xd_batch_header, batch_bytes),
    FIELD(xd_batch_header, batch_xxh3),
    FIELD(xd_batch_header, base_offset),
    FIELD(xd_batch_header, append_time_us),
    FIELD(xd_batch_header, suppressed_count),
    FIELD(xd_batch_header, control_kind),
    FIELD(xd_batch_header, format),
    FIELD(xd_batch_header, codec),
    FIELD(xd_batch_header, flags),
    FIELD(xd_batch_header, partition),
    FIELD(xd_batch_header, producer_id),
    FIELD(xd_batch_header, producer_epoch),
    FIELD(xd_batch_header, record_count),
    FIELD(xd_batch_header, channel_epoch),
    FIELD(xd_batch_header, first_sequence),
    FIELD(xd_batch_header, last_sequence),
    FIELD(xd_batch_header, previous_sequence),
    FIELD(xd_batch_header, first_event_time_us),
    FIELD(xd_batch_header, last_event_time_us),
    FIELD(xd_batch_header, raw_bytes),
    FIELD(xd_batch_header, atomic_part),
    FIELD(xd_batch_header, atomic_parts),
    FIELD(xd_batch_header, atomic_id),
    FIELD(xd_record_core, source_sequence),
    FIELD(xd_record_core, event_time_us),
    FIELD(xd_record_core, business_key),
    FIELD(xd_record_core, channel),
    FIELD(xd_record_core, facility),
    FIELD(xd_record_core, route_key),
    FIELD(xd_record_core, record_bytes),
    FIELD(xd_record_core, type),
    FIELD(xd_record_core, flags),
    FIELD(xd_record_core, channel_epoch),
    FIELD(xd_record_core, present),
    FIELD(xd_record_core, tlv_words),
    FIELD(xd_stock, lot),
    FIELD(xd_stock, location_from),
    FIELD(xd_stock, location_to),
    FIELD(xd_stock, owner),
    FIELD(xd_stock, reason),
    FIELD(xd_stock, status_from),
    FIELD(xd_stock, status_to),
    FIELD(xd_quantity, quantity),
    FIELD(xd_quantity, uom),
    FIELD(xd_quantity, scale),
    FIELD(xd_quantity, flags),
    FIELD(xd_document, reference),
    FIELD(xd_document, line),
    FIELD(xd_document, step),
    FIELD(xd_document, type),
    FIELD(xd_document, priority),
    FIELD(xd_hu, hu_to),
    FIELD(xd_lineage, causation_id),
    FIELD(xd_lineage, source_time_us),
    FIELD(xd_lineage, actor),
    FIELD(xd_lineage, device),
    FIELD(xd_lineage, tz_offset_min),
    FIELD(xd_batch_ref, part),
    FIELD(xd_batch_ref, parts),
    FIELD(xd_revision, posting_date),
#undef FIELD
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

/* Bytes of "u16", "i64", "u8[5]", "char[72]"; 0 when it is no type. */
static size_t type_bytes(const char *type)
{
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {{"u8", 1},  {"i8", 1},  {"u16", 2}, {"i16", 2}, {"u32", 4},
                 {"i32", 4}, {"u64", 8}, {"i64", 8}, {"char", 1}};
    size_t name_bytes = strcspn(type, "[");
    size_t count = type[name_bytes] == '[' ? strtoul(type + name_bytes + 1, NULL, 10) : 1;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strlen(types[i].name) == name_bytes && memcmp(types[i].name, type, name_bytes) == 0)
            return types[i].bytes * count;
    }
    return 0;
}

/* What has been read so far. */
struct reading {
    size_t layout;             /* table in work, LAYOUT_COUNT = none */
    size_t at;                 /* bytes described */
    bool seen[FIELD_COUNT];    /* fields found */
    bool tables[LAYOUT_COUNT]; /* tables found */
};

static void table_begin(struct reading *reading, const char *name)
{
    for (size_t i = 0; i < LAYOUT_COUNT; i++) {
        if (strcmp(layouts[i].name, name) == 0) {
            cr_expect(!reading->tables[i], "%s has two tables", name);
            reading->tables[i] = true;
            reading->layout = i;
            reading->at = 0;
            return;
        }
    }
    cr_assert_fail("no struct %s in the code", name);
}

static void table_row(struct reading *reading, unsigned offset, const char *type, const char *name)
{
    const char *layout = layouts[reading->layout].name;
    cr_expect_eq(offset, reading->at, "%s.%s is at %u, not at %zu", layout, name, offset,
                 reading->at);
    size_t bytes = type_bytes(type);
    cr_expect_gt(bytes, 0u, "%s.%s has no known type: %s", layout, name, type);
    reading->at += bytes;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(fields[i].layout, layout) == 0 && strcmp(fields[i].name, name) == 0) {
            cr_expect_eq(fields[i].offset, offset, "%s.%s", layout, name);
            reading->seen[i] = true;
        }
    }
}

static void table_end(struct reading *reading)
{
    const struct layout *layout = &layouts[reading->layout];
    cr_expect_eq(reading->at, layout->bytes, "%s has %zu bytes, described are %zu", layout->name,
                 layout->bytes, reading->at);
    reading->layout = LAYOUT_COUNT;
}

/* Every layout table of the document is the struct of the code, and every struct has its table. */
Test(protocol_md, layouts_are_those_of_the_code)
{
    struct reading reading = {.layout = LAYOUT_COUNT};
    char line[512];
    FILE *file = fopen(PROTOCOL_MD, "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof(line), file)) {
        char name[64], type[16];
        unsigned offset;
        if (sscanf(line, "| xd_%59s | type | field |", name + 3) == 1) {
            memcpy(name, "xd_", 3);
            table_begin(&reading, name);
        } else if (reading.layout == LAYOUT_COUNT || strncmp(line, "|---", 4) == 0) {
            continue;
        } else if (sscanf(line, "| %u | %15s | %63s |", &offset, type, name) == 3) {
            table_row(&reading, offset, type, name);
        } else {
            table_end(&reading);
        }
    }
    fclose(file);
    cr_expect_eq(reading.layout, LAYOUT_COUNT, "the last table has no end");
    for (size_t i = 0; i < LAYOUT_COUNT; i++)
        cr_expect(reading.tables[i], "%s has no table", layouts[i].name);
    for (size_t i = 0; i < FIELD_COUNT; i++)
        cr_expect(reading.seen[i], "%s.%s is not described", fields[i].layout, fields[i].name);
}

/* The list of operations is the request table, row by row. */
Test(protocol_md, operations_are_those_of_the_request_table)
{
    static const char *const directions[] = {"REQUEST", "PUSH", "ONEWAY"};
    static const char *const permissions[] = {"NONE", "DESCRIBE", "PRODUCE", "READ", "ADMIN"};
    struct fenced fenced;
    cr_assert(fenced_open(&fenced, PROTOCOL_MD));
    unsigned row = 0;
    for (const char *line; (line = fenced_next(&fenced, "op")); row++) {
        const struct xd_op_row *op = xd_op_at(row);
        cr_assert(op, "the code has no row for: %s", line);
        char expected[128];
        snprintf(expected, sizeof(expected), "0x%04x %s %u %s %s", (unsigned)op->op, op->name,
                 (unsigned)op->version, directions[op->direction], permissions[op->permission]);
        cr_expect_str_eq(line, expected);
    }
    cr_expect_null(xd_op_at(row));
}

/* The list of events is the event table, row by row. */
Test(protocol_md, events_are_those_of_the_event_table)
{
    static const char *const kinds[] = {"FACT", "COMMAND", "CONTROL", "DERIVED"};
    static const char letters[] = "SQDHLBR";
    struct fenced fenced;
    cr_assert(fenced_open(&fenced, PROTOCOL_MD));
    unsigned row = 0;
    for (const char *line; (line = fenced_next(&fenced, "event")); row++) {
        const struct xd_event_row *event = xd_event_at(row);
        cr_assert(event, "the code has no row for: %s", line);
        char groups[8] = "-";
        size_t count = 0;
        for (size_t bit = 0; bit < 7; bit++) {
            if (event->groups >> bit & 1)
                groups[count++] = letters[bit];
        }
        groups[count ? count : 1] = 0;
        char expected[128];
        snprintf(expected, sizeof(expected), "0x%04x %s %s %s %s", (unsigned)event->code,
                 event->name, kinds[event->kind], event->topic, groups);
        cr_expect_str_eq(line, expected);
    }
    cr_expect_eq(row, 77u);
    cr_expect_null(xd_event_at(row));
}
