/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/reading.h"

static void assert_text(xdock_bytes_t text, const char *expected)
{
    cr_assert_eq(text.bytes, strlen(expected), "%.*s", (int)text.bytes, (const char *)text.data);
    cr_assert_eq(memcmp(text.data, expected, text.bytes), 0);
}

static const xdock_view_t *read_one(xdock_reader_t **ret_reader)
{
    const xdock_selection_t selection = select_stock();
    *ret_reader = open_reader(&selection);
    cr_assert_eq(xdock_reader_poll(*ret_reader, 1000), 1);
    return xdock_reader_next(*ret_reader);
}

static const char long_lot[] = "a lot whose name needs more than a key can hold";
static const xdock_record_t full = {.struct_bytes = sizeof(xdock_record_t),
                                    .type = XDOCK_PICK_CONFIRMED,
                                    .flags = XDOCK_SYNTHETIC | XDOCK_LAST_IN_DOC,
                                    .topic = "stock",
                                    .sku = "4012345678901",
                                    .lot = long_lot,
                                    .location = "A-12-03",
                                    .location_to = "PACK-1",
                                    .document = "ORDER-1",
                                    .reference = "WAVE-9",
                                    .handling_unit = "340123456789012345",
                                    .handling_unit_to = "TOTE-4",
                                    .business_key = "task 88123/1",
                                    .payload = {"{}", 2},
                                    .quantity = {-1250, -2, 1, "KGM"},
                                    .owner = 7,
                                    .document_line = 10,
                                    .document_revision = 2,
                                    .posting_date = 20260131,
                                    .event_time_us = 1780000000000001,
                                    .reason = 301,
                                    .document_step = 3,
                                    .document_type = XDOCK_DOC_SALES_ORDER,
                                    .priority = 5,
                                    .status_from = XDOCK_STATUS_AVAILABLE,
                                    .status_to = XDOCK_STATUS_QUALITY,
                                    .event_id = {1, 2, 3},
                                    .correlation_id = {4, 5},
                                    .causation_id = {6}};

/* Every field of a record comes back as it was sent. */
Test(view, gives_back_every_field, .init = start_producer, .fini = finish)
{
    const xdock_record_t record = full;
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0, "%s", xdock_client_error(client));
    xdock_reader_t *reader = NULL;
    const xdock_view_t *view = read_one(&reader);
    char scratch[20];
    assert_text(xdock_view_sku(view, scratch), record.sku);
    assert_text(xdock_view_lot(view, scratch), long_lot);
    assert_text(xdock_view_location(view, scratch), record.location);
    assert_text(xdock_view_location_to(view, scratch), record.location_to);
    assert_text(xdock_view_document(view, scratch), record.document);
    assert_text(xdock_view_reference(view, scratch), record.reference);
    assert_text(xdock_view_handling_unit(view, scratch), record.handling_unit);
    assert_text(xdock_view_handling_unit_to(view, scratch), record.handling_unit_to);
    assert_text(xdock_view_business_key(view), record.business_key);
    assert_text(view->payload, "{}");
    cr_assert_eq(view->type, record.type);
    cr_assert_eq(view->flags, record.flags);
    cr_assert_eq(view->quantity.mantissa, -1250);
    cr_assert_eq(view->quantity.scale, -2);
    cr_assert_str_eq(view->quantity.uom, "KGM");
    cr_assert_eq(view->owner, record.owner);
    cr_assert_eq(view->document_line, record.document_line);
    cr_assert_eq(view->document_revision, record.document_revision);
    cr_assert_eq(view->posting_date, record.posting_date);
    cr_assert_eq(view->event_time_us, record.event_time_us);
    cr_assert_eq(view->reason, record.reason);
    cr_assert_eq(view->document_step, record.document_step);
    cr_assert_eq(view->document_type, record.document_type);
    cr_assert_eq(view->priority, record.priority);
    cr_assert_eq(view->status_from, record.status_from);
    cr_assert_eq(view->status_to, record.status_to);
    cr_assert_eq(memcmp(view->event_id, record.event_id, 16), 0);
    uint8_t correlation[16];
    uint8_t causation[16];
    xdock_view_lineage(view, correlation, causation);
    cr_assert_eq(memcmp(correlation, record.correlation_id, 16), 0);
    cr_assert_eq(memcmp(causation, record.causation_id, 16), 0);
    cr_assert_eq(view->sequence, 1);
    cr_assert_eq(view->channel, 1);
    cr_assert_eq(view->channel_epoch, 1);
    cr_assert_str_eq(xdock_reader_facility_name(reader, view->facility), "DC07");
    cr_assert_str_eq(xdock_reader_facility_name(reader, 0), "");
}

/* Groups that a record lacks read as empty and zero. */
Test(view, reads_missing_groups_as_empty, .init = start_producer, .fini = finish)
{
    xdock_record_t record = XDOCK_RECORD_INIT;
    record.topic = "stock";
    record.type = 0xf123;
    cr_assert_eq(xdock_send(producer, &record, NULL, 1000), 0);
    xdock_reader_t *reader = NULL;
    const xdock_view_t *view = read_one(&reader);
    char scratch[20];
    cr_assert_eq(xdock_view_sku(view, scratch).bytes, 0);
    cr_assert_eq(xdock_view_document(view, scratch).bytes, 0);
    cr_assert_eq(xdock_view_handling_unit(view, scratch).bytes, 0);
    cr_assert_eq(xdock_view_business_key(view).bytes, 0);
    cr_assert_eq(view->quantity.present, 0);
    cr_assert_eq(view->payload.bytes, 0);
    uint8_t id[2][16];
    const uint8_t zero[16] = {0};
    memset(id, 7, sizeof(id));
    xdock_view_lineage(view, id[0], id[1]);
    cr_assert_eq(memcmp(id[0], zero, 16), 0);
    cr_assert_eq(view->event_time_us, broker->wall_us, "0 means now");
    cr_assert_neq(memcmp(view->event_id, zero, 16), 0, "an id was made");
}
