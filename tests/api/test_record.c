/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <string.h>

#include <crossdock/crossdock.h>

#include "client/record.h"
#include "wire/status.h"

/* Decimals keep their digits; what a record cannot hold exactly is refused. */
Test(record, quantities_are_exact_decimals)
{
    const struct {
        const char *text;
        int status;
        int32_t mantissa;
        int8_t scale;
        const char *back;
    } rows[] = {
        {"12", 0, 12, 0, "12"},
        {"-0.5", 0, -5, -1, "-0.5"},
        {"1250.125", 0, 1250125, -3, "1250.125"},
        {"0.000001", 0, 1, -6, "0.000001"},
        {"+7", 0, 7, 0, "7"},
        {"2147483647", 0, 2147483647, 0, "2147483647"},
        {"-2147483647", 0, -2147483647, 0, "-2147483647"},
        {"1.50", 0, 150, -2, "1.50"},
        {"2147483648", XD_FIELD_INVALID, 0, 0, NULL},
        {"0.0000001", XD_FIELD_INVALID, 0, 0, NULL},
        {"1.", XD_FIELD_INVALID, 0, 0, NULL},
        {"1.2.3", XD_FIELD_INVALID, 0, 0, NULL},
        {"", XD_FIELD_INVALID, 0, 0, NULL},
        {"-", XD_FIELD_INVALID, 0, 0, NULL},
        {"1e3", XD_FIELD_INVALID, 0, 0, NULL},
        {"99999999999999999999999", XD_FIELD_INVALID, 0, 0, NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        xdock_quantity_t quantity;
        char text[32];
        cr_assert_eq(xdock_quantity_parse(rows[i].text, "KGM", &quantity), rows[i].status, "%s",
                     rows[i].text);
        if (rows[i].status < 0)
            continue;
        cr_assert_eq(quantity.mantissa, rows[i].mantissa);
        cr_assert_eq(quantity.scale, rows[i].scale);
        cr_assert_str_eq(quantity.uom, "KGM");
        cr_assert_eq(xdock_quantity_format(quantity, text, sizeof(text)),
                     (int)strlen(rows[i].back));
        cr_assert_str_eq(text, rows[i].back);
    }
    xdock_quantity_t quantity = {.mantissa = 9};
    cr_assert_eq(xdock_quantity_parse("1", "kilo", &quantity), XD_FIELD_INVALID);
    cr_assert_eq(quantity.mantissa, 9, "outputs are untouched on failure");
    char cut[3];
    cr_assert_eq(xdock_quantity_format(xdock_quantity(12345, 0, ""), cut, sizeof(cut)), 5);
    cr_assert_str_eq(cut, "12");
}

static xdock_record_t make_move(void)
{
    xdock_record_t record = XDOCK_RECORD_INIT;
    record.type = XDOCK_STOCK_MOVED;
    record.sku = "SKU-1";
    record.document = "D";
    record.quantity = xdock_quantity(3, 0, XDOCK_UOM_PIECE);
    return record;
}

/* Pieces are converted to base units; other units are left to who knows the item. */
Test(record, converts_pieces_only)
{
    struct xd_record_build build;
    const char *field = "";
    xdock_record_t record = make_move();
    cr_assert_eq(xd_record_prepare(&record, &build, &field), 0, "%s", field);
    cr_assert_eq(build.quantity.base_quantity, 30000);
    cr_assert_eq(build.quantity.flags, 0);
    record.quantity = xdock_quantity(123456, -6, "");
    cr_assert_eq(xd_record_prepare(&record, &build, &field), 0);
    cr_assert_eq(build.quantity.base_quantity, 1234);
    cr_assert_eq(build.quantity.flags, XD_QUANTITY_UOM_INEXACT);
    record.quantity = xdock_quantity(5, -1, "KGM");
    cr_assert_eq(xd_record_prepare(&record, &build, &field), 0);
    cr_assert_eq(build.quantity.base_quantity, 0);
    cr_assert_eq(build.quantity.flags, XD_QUANTITY_UNCONVERTED);
    record.quantity = xdock_quantity(5, 2, "");
    cr_assert_eq(xd_record_prepare(&record, &build, &field), XD_FIELD_INVALID);
    cr_assert_str_eq(field, "quantity.scale");
    record.quantity = xdock_quantity(5, 0, "kilo");
    cr_assert_eq(xd_record_prepare(&record, &build, &field), XD_FIELD_INVALID);
    cr_assert_str_eq(field, "quantity.uom");
}

/* A group is there when one of its fields says something, and only then. */
Test(record, groups_follow_their_fields)
{
    struct xd_record_build build;
    const char *field = "";
    xdock_record_t record = make_move();
    cr_assert_eq(xd_record_prepare(&record, &build, &field), 0);
    cr_assert_eq(build.core.present, XD_GROUP_STOCK | XD_GROUP_QUANTITY | XD_GROUP_DOCUMENT);
    record.handling_unit_to = "HU-1";
    record.posting_date = 20260131;
    record.causation_id[3] = 1;
    record.lot = "";
    cr_assert_eq(xd_record_prepare(&record, &build, &field), 0);
    cr_assert_eq(build.core.present, XD_GROUP_STOCK | XD_GROUP_QUANTITY | XD_GROUP_DOCUMENT |
                                         XD_GROUP_HU | XD_GROUP_LINEAGE | XD_GROUP_REVISION);
}

/* The kind of an event comes from its row; unknown flags, unknown types and texts that are too long
 * are named. */
Test(record, refuses_wrong_fields_by_name)
{
    struct xd_record_build build;
    const char *field = "";
    char text[300];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    xdock_record_t record = make_move();
    record.flags = XDOCK_REVERSAL | 0x0003u;
    cr_assert_eq(xd_record_prepare(&record, &build, &field), 0);
    cr_assert_eq(build.core.flags, XDOCK_REVERSAL, "a move is a fact");
    record.flags = 0x0100;
    cr_assert_eq(xd_record_prepare(&record, &build, &field), XD_FIELD_INVALID);
    cr_assert_str_eq(field, "flags");
    record = make_move();
    record.type = 0x0fff;
    cr_assert_eq(xd_record_prepare(&record, &build, &field), XD_FIELD_INVALID);
    cr_assert_str_eq(field, "type");
    record.type = 0xf001;
    cr_assert_eq(xd_record_prepare(&record, &build, &field), 0, "private codes need no groups");
    record.location_to = text;
    cr_assert_eq(xd_record_prepare(&record, &build, &field), XD_FIELD_INVALID);
    cr_assert_str_eq(field, "location_to");
    record = make_move();
    record.struct_bytes = 0;
    cr_assert_eq(xd_record_prepare(&record, &build, &field), XD_FIELD_INVALID);
    record = make_move();
    record.payload.bytes = 5;
    cr_assert_eq(xd_record_prepare(&record, &build, &field), XD_FIELD_INVALID);
    cr_assert_str_eq(field, "payload");
}

/* The route key is that of the encoded record, for every strategy and every field missing. */
Test(record, routes_like_its_encoding)
{
    const char *const texts[] = {NULL, "A1", "a hashed text that is rather long"};
    _Alignas(8) uint8_t buffer[2048];
    for (unsigned mask = 0; mask < 64; mask++) {
        for (int strategy = 0; strategy < XD_STRATEGY_COUNT; strategy++) {
            xdock_record_t record = XDOCK_RECORD_INIT;
            record.type = 0xf001;
            record.sku = texts[mask & 1 ? 1 : 0];
            record.location = texts[mask & 2 ? 2 : 0];
            record.location_to = texts[mask & 4 ? 1 : 0];
            record.document = texts[mask & 8 ? 2 : 0];
            record.handling_unit = texts[mask & 16 ? 1 : 0];
            record.business_key = texts[mask & 32 ? 2 : 0];
            struct xd_record_build build;
            struct xd_record decoded;
            const char *field = "";
            cr_assert_eq(xd_record_prepare(&record, &build, &field), 0);
            build.core.source_sequence = 1;
            cr_assert_gt(xd_record_encode(&build, buffer, sizeof(buffer), &field), 0, "%s", field);
            cr_assert_gt(xd_record_decode(buffer, sizeof(buffer), &decoded, &field), 0);
            cr_assert_eq(xd_record_route_key((enum xd_strategy)strategy, &build),
                         xd_route_key_of((enum xd_strategy)strategy, decoded.core),
                         "mask %u strategy %d", mask, strategy);
        }
    }
}

/* Event ids are UUIDs of version 7 that carry the time, and differ. */
Test(record, event_ids_are_version_7)
{
    uint64_t state = 1;
    uint8_t ids[2][16];
    for (int i = 0; i < 2; i++)
        xd_event_id(ids[i], 1790000000123456, &state);
    const uint64_t ms = 1790000000123u;
    for (int i = 0; i < 6; i++)
        cr_assert_eq(ids[0][i], (uint8_t)(ms >> (40 - 8 * i)));
    cr_assert_eq(ids[0][6] >> 4, 7);
    cr_assert_eq(ids[0][8] >> 6, 2);
    cr_assert_neq(memcmp(ids[0], ids[1], 16), 0);
}

/* Event names lead to codes and back. */
Test(record, event_names_and_codes)
{
    cr_assert_str_eq(xdock_event_name(XDOCK_PICK_CONFIRMED), "PICK_CONFIRMED");
    cr_assert_eq(xdock_event_find("PICK_CONFIRMED"), XDOCK_PICK_CONFIRMED);
    cr_assert_str_eq(xdock_event_topic(XDOCK_PICK_CONFIRMED), "stock");
    cr_assert_null(xdock_event_name(0xf001));
    cr_assert_null(xdock_event_topic(0xf001));
    cr_assert_eq(xdock_event_find("pick_confirmed"), 0);
}

/* A record can be checked before there is a connection, by the rules of sending it. */
Test(record, check_names_the_field_that_sending_would_refuse)
{
    const char *field = "untouched";
    xdock_record_t record = XDOCK_RECORD_INIT;
    record.type = XDOCK_PICK_CONFIRMED;
    record.sku = "SKU-1";
    record.document = "SO1";
    record.handling_unit = "HU1";
    cr_assert_eq(xdock_record_check(&record, &field), XD_RECORD_MALFORMED);
    cr_assert_eq(strncmp(field, "quantity", 8), 0);
    record.quantity = xdock_quantity(1, 0, XDOCK_UOM_PIECE);
    field = "untouched";
    cr_assert_eq(xdock_record_check(&record, &field), 0);
    cr_assert_str_eq(field, "untouched");
    char lot[257];
    memset(lot, 'x', 256);
    lot[256] = '\0';
    record.lot = lot;
    cr_assert_eq(xdock_record_check(&record, &field), XD_FIELD_INVALID);
    cr_assert_str_eq(field, "lot");
}
