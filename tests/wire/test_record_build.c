/* SPDX-License-Identifier: Apache-2.0
 *
 * Encoding of records: the golden bytes, what is encoded decodes equal, what cannot be held is
 * refused before the first byte.
 */
#include "wire/record.h"

#include "tests/support/fenced.h"
#include "tests/support/prng.h"
#include "tests/support/record_random.h"
#include "wire/checksum.h"
#include "wire/key64.h"
#include "wire/route.h"
#include "wire/status.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

#define TEXT(literal) ((struct xd_text){literal, sizeof(literal) - 1})

/* Event id of both golden records. */
#define GOLDEN_EVENT_ID                                                                            \
    {                                                                                              \
        0x01, 0x90, 0xc5, 0xa1, 0x7b, 0x2e, 0x7c, 0x3d, 0x8e, 0x4f, 0x5a, 0x6b, 0x7c, 0x8d, 0x9e,  \
            0x0f                                                                                   \
    }

static void expect_golden(const char *word, const struct xd_record_build *build)
{
    uint8_t expected[512];
    _Alignas(8) uint8_t buffer[512];
    const char *field = "none";
    size_t bytes = fenced_dump(PROTOCOL_MD, word, expected, sizeof(expected));
    cr_assert_gt(bytes, 0u, "no vector %s in the document", word);
    int stride = xd_record_encode(build, buffer, sizeof(buffer), &field);
    cr_assert_eq(stride, (int)bytes, "%s: stride %d, field %s", word, stride, field);
    for (size_t i = 0; i < bytes; i++)
        cr_expect_eq(buffer[i], expected[i], "%s: byte %zu is %02x, not %02x", word, i, buffer[i],
                     expected[i]);
}

/* A pick confirmation takes the 160 bytes of the document. */
Test(record_build, encodes_the_golden_pick)
{
    struct xd_record_build build = {
        .core = {.event_id = GOLDEN_EVENT_ID,
                 .source_sequence = 88123,
                 .event_time_us = 1731398400123456,
                 .business_key = xd_xxh3("88123/1", 7),
                 .channel = 3,
                 .facility = 7,
                 .route_key = 0xf99729e7,
                 .type = 0x0107,
                 .channel_epoch = 1,
                 .present = XD_GROUP_STOCK | XD_GROUP_QUANTITY | XD_GROUP_DOCUMENT | XD_GROUP_HU},
        .stock = {.status_from = 1, .status_to = 1},
        .quantity = {.base_quantity = 30000, .quantity = 3},
        .document = {.line = 10, .step = 1, .type = 2, .priority = 5},
        .sku = TEXT("399573"),
        .lot = TEXT("L2418"),
        .location_from = TEXT("A1119504"),
        .document_text = TEXT("3780678"),
        .reference_text = TEXT("TASK-88123"),
        .hu_to = TEXT("340123450000000017"),
    };
    expect_golden("pick", &build);
}

/* A receipt with hashed identifiers, a business key, extra TLVs and a payload. */
Test(record_build, encodes_the_golden_receipt)
{
    static const uint8_t extra[] = "\x0a\x06SN0001\x12\x08\x00\x60\x0c\xba\x99\x2a\x06\x00";
    static const char payload[] = "{\"temp\":-18}\n";
    struct xd_record_build build = {
        .core = {.event_id = GOLDEN_EVENT_ID,
                 .source_sequence = 4711,
                 .event_time_us = 1731398400000001,
                 .channel = 4,
                 .facility = 7,
                 .route_key = 0xe0012afa,
                 .type = 0x0204,
                 .flags = XD_RECORD_LAST_IN_DOC,
                 .channel_epoch = 2,
                 .present =
                     XD_GROUP_STOCK | XD_GROUP_QUANTITY | XD_GROUP_DOCUMENT | XD_GROUP_REVISION},
        .stock = {.owner = 9, .reason = 301, .status_to = 2},
        .quantity = {.base_quantity = 125000,
                     .quantity = 125,
                     .scale = -1,
                     .uom = (uint16_t)xd_uom_encode("KGM", 3)},
        .document = {.line = 20, .step = 1, .type = 1},
        .revision = {.document_revision = 3, .posting_date = 20241112},
        .sku = TEXT("sku-4711"),
        .lot = TEXT("Lot 7/b"),
        .location_to = TEXT("DOCK-04"),
        .document_text = TEXT("4500001234567"),
        .business_key_text = TEXT("RCV 4500001234567/20/1"),
        .extra_tlvs = extra,
        .extra_tlv_bytes = sizeof(extra) - 1,
        .payload = (const uint8_t *)payload,
        .payload_bytes = sizeof(payload) - 1,
    };
    expect_golden("receipt", &build);
}

static void expect_text(const struct xd_record *record, uint64_t key, uint8_t tag,
                        struct xd_text wanted)
{
    char scratch[XD_KEY_TEXT_BYTES_MAX];
    struct xd_text text;
    cr_assert_eq(xd_record_key_text(record, key, tag, scratch, &text), 0, "tag %u", tag);
    cr_assert_eq(text.bytes, wanted.bytes, "tag %u", tag);
    cr_assert(text.bytes == 0 || memcmp(text.data, wanted.data, text.bytes) == 0, "tag %u", tag);
    cr_assert_eq(key, xd_key64(wanted.data, wanted.bytes), "tag %u", tag);
}

static void expect_groups(const struct xd_record *record, const struct xd_record_build *build)
{
    uint8_t present = build->core.present;
    cr_assert_eq(record->stock != NULL, (present & XD_GROUP_STOCK) != 0);
    cr_assert_eq(record->quantity != NULL, (present & XD_GROUP_QUANTITY) != 0);
    cr_assert_eq(record->document != NULL, (present & XD_GROUP_DOCUMENT) != 0);
    cr_assert_eq(record->hu != NULL, (present & XD_GROUP_HU) != 0);
    cr_assert_eq(record->lineage != NULL, (present & XD_GROUP_LINEAGE) != 0);
    cr_assert_eq(record->batch_ref != NULL, (present & XD_GROUP_BATCH) != 0);
    cr_assert_eq(record->revision != NULL, (present & XD_GROUP_REVISION) != 0);
    if (record->stock) {
        expect_text(record, record->stock->sku, XD_TAG_SKU, build->sku);
        expect_text(record, record->stock->lot, XD_TAG_LOT, build->lot);
        expect_text(record, record->stock->location_from, XD_TAG_LOCATION_FROM,
                    build->location_from);
        expect_text(record, record->stock->location_to, XD_TAG_LOCATION_TO, build->location_to);
        size_t keys = offsetof(struct xd_stock, owner);
        cr_assert_arr_eq((const char *)record->stock + keys, (const char *)&build->stock + keys,
                         sizeof(build->stock) - keys);
    }
    if (record->document) {
        expect_text(record, record->document->document, XD_TAG_DOCUMENT, build->document_text);
        expect_text(record, record->document->reference, XD_TAG_REFERENCE, build->reference_text);
        size_t keys = offsetof(struct xd_document, line);
        cr_assert_arr_eq((const char *)record->document + keys,
                         (const char *)&build->document + keys, sizeof(build->document) - keys);
    }
    if (record->hu) {
        expect_text(record, record->hu->hu_from, XD_TAG_HU_FROM, build->hu_from);
        expect_text(record, record->hu->hu_to, XD_TAG_HU_TO, build->hu_to);
    }
    if (record->quantity)
        cr_assert_arr_eq(record->quantity, &build->quantity, sizeof(build->quantity));
    if (record->lineage)
        cr_assert_arr_eq(record->lineage, &build->lineage, sizeof(build->lineage));
    if (record->batch_ref)
        cr_assert_arr_eq(record->batch_ref, &build->batch_ref, sizeof(build->batch_ref));
    if (record->revision)
        cr_assert_arr_eq(record->revision, &build->revision, sizeof(build->revision));
}

static void expect_core(const struct xd_record *record, const struct xd_record_build *build)
{
    struct xd_record_core core = build->core;
    struct xd_text text = build->business_key_text;
    core.record_bytes = record->core->record_bytes;
    core.tlv_words = record->core->tlv_words;
    if (text.bytes)
        core.business_key = xd_xxh3(text.data, text.bytes);
    cr_assert_arr_eq(record->core, &core, sizeof(core));

    struct xd_text value;
    uint32_t cursor = 0;
    int status = xd_record_tlv(record, XD_TAG_BUSINESS_KEY, &cursor, &value);
    cr_assert_eq(status, text.bytes ? 0 : -ENOENT);
    if (text.bytes) {
        cr_assert_eq(value.bytes, text.bytes);
        cr_assert_arr_eq(value.data, text.data, text.bytes);
    }
}

/* The caller's own TLVs stand as they were behind those of the texts, then the fill. */
static void expect_extra(const struct xd_record *record, const struct xd_record_build *build)
{
    uint32_t at = 0;
    while (at < record->tlv_bytes && record->tlvs[at] != XD_TAG_FILL &&
           record->tlvs[at] <= XD_TAG_BUSINESS_KEY)
        at += 2u + record->tlvs[at + 1];
    uint32_t end = at + build->extra_tlv_bytes;
    cr_assert_eq(record->tlv_bytes, (end + 7) / 8 * 8);
    cr_assert(end == at || memcmp(record->tlvs + at, build->extra_tlvs, end - at) == 0);
    for (; end < record->tlv_bytes; end++)
        cr_assert_eq(record->tlvs[end], XD_TAG_FILL);
}

/* Who only checks a record and takes single groups of it sees what who decodes it sees. */
static void expect_same_when_checked(const struct xd_record *record, int stride)
{
    const struct xd_record_core *core = record->core;
    const char *field = "none";
    cr_assert_eq(xd_record_check((const uint8_t *)core, (size_t)stride, &field), stride);
    cr_assert_eq(xd_record_group(core, XD_GROUP_STOCK), record->stock);
    cr_assert_eq(xd_record_group(core, XD_GROUP_QUANTITY), record->quantity);
    cr_assert_eq(xd_record_group(core, XD_GROUP_DOCUMENT), record->document);
    cr_assert_eq(xd_record_group(core, XD_GROUP_HU), record->hu);
    cr_assert_eq(xd_record_group(core, XD_GROUP_LINEAGE), record->lineage);
    cr_assert_eq(xd_record_group(core, XD_GROUP_BATCH), record->batch_ref);
    cr_assert_eq(xd_record_group(core, XD_GROUP_REVISION), record->revision);
    struct xd_route_fields fields = xd_route_fields_of(record);
    for (int strategy = 0; strategy < XD_STRATEGY_COUNT; strategy++)
        cr_assert_eq(xd_route_key_of((enum xd_strategy)strategy, core),
                     xd_route_key((enum xd_strategy)strategy, &fields), "strategy %d", strategy);
}

/* 3,000 random records decode to what they were built from. */
Test(record_build, round_trips_random_records)
{
    struct prng prng = prng_seeded(4);
    static struct record_random random;
    _Alignas(8) uint8_t buffer[2048];
    for (int round = 0; round < 3000; round++) {
        const char *field = "none";
        struct xd_record record;
        record_random_make(&prng, &random);
        int stride = xd_record_encode(&random.build, buffer, sizeof(buffer), &field);
        cr_assert_gt(stride, 0, "round %d: %s %s", round, xd_status_name(stride), field);
        int decoded = xd_record_decode(buffer, (size_t)stride, &record, &field);
        cr_assert_eq(decoded, stride, "round %d: %s %s", round, xd_status_name(decoded), field);
        expect_core(&record, &random.build);
        expect_groups(&record, &random.build);
        expect_extra(&record, &random.build);
        expect_same_when_checked(&record, stride);
        cr_assert_eq(record.payload_bytes, random.build.payload_bytes);
        cr_assert(record.payload_bytes == 0 ||
                  memcmp(record.payload, random.build.payload, record.payload_bytes) == 0);
    }
}

/* A buffer one byte too short, or any shorter, is left as it was. */
Test(record_build, leaves_a_short_buffer_alone)
{
    struct prng prng = prng_seeded(5);
    static struct record_random random;
    for (int round = 0; round < 50; round++) {
        uint8_t buffer[2048];
        const char *field = "untouched";
        record_random_make(&prng, &random);
        memset(buffer, 0xa5, sizeof(buffer));
        int stride = xd_record_encode(&random.build, buffer, sizeof(buffer), &field);
        cr_assert_gt(stride, 0);
        for (size_t i = (size_t)stride; i < sizeof(buffer); i++)
            cr_assert_eq(buffer[i], 0xa5, "byte %zu behind the stride %d", i, stride);
        memset(buffer, 0xa5, sizeof(buffer));
        for (size_t bytes = 0; bytes < (size_t)stride; bytes++)
            cr_assert_eq(xd_record_encode(&random.build, buffer, bytes, &field), -ENOBUFS);
        for (size_t i = 0; i < sizeof(buffer); i++)
            cr_assert_eq(buffer[i], 0xa5, "byte %zu", i);
        cr_assert_str_eq(field, "untouched");
    }
}

static void expect_refused(const struct xd_record_build *build, int wanted_status,
                           const char *wanted_field)
{
    static uint8_t buffer[4096];
    const char *field = "none";
    memset(buffer, 0xa5, sizeof(buffer));
    cr_expect_eq(xd_record_encode(build, buffer, sizeof(buffer), &field), wanted_status, "%s",
                 wanted_field);
    cr_expect_str_eq(field, wanted_field);
    for (size_t i = 0; i < sizeof(buffer); i++)
        cr_assert_eq(buffer[i], 0xa5, "%s: byte %zu", wanted_field, i);
}

/* Each text has its limit and its group; a text that would get lost is refused by name. */
Test(record_build, refuses_texts_that_have_no_place)
{
    static const char *const names[] = {"sku",      "lot",       "location_from", "location_to",
                                        "document", "reference", "hu_from",       "hu_to"};
    static char long_text[256];
    memset(long_text, 'x', sizeof(long_text));
    for (size_t i = 0; i < 8; i++) {
        struct xd_record_build build = {
            .core = {.present = XD_GROUP_STOCK | XD_GROUP_DOCUMENT | XD_GROUP_HU}};
        struct xd_text *const texts[] = {
            &build.sku,         &build.lot,           &build.location_from,
            &build.location_to, &build.document_text, &build.reference_text,
            &build.hu_from,     &build.hu_to,
        };
        *texts[i] = (struct xd_text){long_text, 256};
        expect_refused(&build, XD_FIELD_INVALID, names[i]);
        *texts[i] = TEXT("A");
        build.core.present = (uint8_t)(i < 4 ? XD_GROUP_DOCUMENT | XD_GROUP_HU : XD_GROUP_STOCK);
        expect_refused(&build, XD_FIELD_INVALID, names[i]);
    }
    struct xd_record_build build = {.business_key_text = {long_text, 256}};
    expect_refused(&build, XD_FIELD_INVALID, "business_key");
}

/* What decoding refuses, encoding refuses under the same name. */
Test(record_build, refuses_values_outside_their_range)
{
    struct xd_record_build build = {.core = {.present = 0x80}};
    expect_refused(&build, XD_FIELD_INVALID, "present");
    build.core = (struct xd_record_core){.flags = XD_RECORD_FLAGS_ALL + 1};
    expect_refused(&build, XD_FIELD_INVALID, "flags");
    build.core = (struct xd_record_core){.present = XD_GROUP_QUANTITY};
    build.quantity.scale = 1;
    expect_refused(&build, XD_FIELD_INVALID, "scale");
    build.quantity.scale = XD_SCALE_MIN - 1;
    expect_refused(&build, XD_FIELD_INVALID, "scale");
    build.quantity = (struct xd_quantity){.uom = 1};
    expect_refused(&build, XD_FIELD_INVALID, "uom");
    build.quantity = (struct xd_quantity){.flags = XD_QUANTITY_FLAGS_ALL + 1};
    expect_refused(&build, XD_FIELD_INVALID, "quantity.flags");
    build.core = (struct xd_record_core){.present = XD_GROUP_BATCH};
    expect_refused(&build, XD_FIELD_INVALID, "part");
    build.batch_ref = (struct xd_batch_ref){.part = 3, .parts = 2};
    expect_refused(&build, XD_FIELD_INVALID, "part");
}

/* Extra TLVs are whole, start at tag 10, and keep the lengths that their tags fix. */
Test(record_build, refuses_extra_tlvs_that_would_not_decode)
{
    static const struct {
        const char *bytes;
        uint32_t count;
        const char *field;
    } rows[] = {
        {"\x0a", 1, "extra_tlvs"},                 /* no length */
        {"\x0a\x01", 2, "extra_tlvs"},             /* no value */
        {"\x0a\x00\x0a\x05hell", 8, "extra_tlvs"}, /* the second value is cut */
        {"\x00\x00", 2, "extra_tlvs"},             /* fill */
        {"\x0a\x00\x00", 3, "extra_tlvs"},         /* fill behind a TLV */
        {"\x01\x01x", 3, "extra_tlvs"},            /* a key text */
        {"\x09\x01x", 3, "extra_tlvs"},            /* a business key */
        {"\x12\x07"
         "1234567",
         9, "due"}, /* 7 bytes for i64 */
        {"\x10\x04"
         "1234",
         6, "reason"}, /* 4 bytes for u16 */
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct xd_record_build build = {.extra_tlvs = (const uint8_t *)rows[i].bytes,
                                        .extra_tlv_bytes = rows[i].count};
        expect_refused(&build, XD_FIELD_INVALID, rows[i].field);
    }
}

/* The TLV area holds 2,040 bytes and not one more. */
Test(record_build, fills_the_tlv_area_to_its_last_byte)
{
    static uint8_t tlvs[XD_RECORD_TLV_BYTES_MAX + 1];
    _Alignas(8) static uint8_t buffer[4096];
    struct xd_record record;
    const char *field = "none";
    for (size_t at = 0; at < 8 * 255; at += 255) { /* eight TLVs of 253 bytes each */
        tlvs[at] = XD_TAG_SERIAL;
        tlvs[at + 1] = 253;
    }
    struct xd_record_build build = {.extra_tlvs = tlvs, .extra_tlv_bytes = XD_RECORD_TLV_BYTES_MAX};
    int stride = xd_record_encode(&build, buffer, sizeof(buffer), &field);
    cr_assert_eq(stride, 64 + 2040);
    cr_assert_eq(xd_record_decode(buffer, (size_t)stride, &record, &field), stride, "%s", field);
    cr_expect_eq(record.core->tlv_words, 255);

    build.business_key_text = TEXT("x");
    expect_refused(&build, XD_FIELD_INVALID, "tlvs");
    tlvs[7 * 255 + 1] = 250; /* three bytes less make room for it */
    build.extra_tlv_bytes -= 3;
    cr_expect_eq(xd_record_encode(&build, buffer, sizeof(buffer), &field), 64 + 2040);
    build.business_key_text = TEXT("xy");
    expect_refused(&build, XD_FIELD_INVALID, "tlvs");
    build.extra_tlv_bytes = XD_RECORD_TLV_BYTES_MAX + 1;
    expect_refused(&build, XD_FIELD_INVALID, "extra_tlvs");
}

/* The largest record is encoded and decoded; one byte of payload more is refused. */
Test(record_build, encodes_up_to_the_largest_record)
{
    static uint8_t payload[XD_RECORD_BYTES_MAX];
    _Alignas(8) static uint8_t buffer[XD_RECORD_BYTES_MAX];
    struct xd_record record;
    const char *field = "none";
    struct xd_record_build build = {.payload = payload, .payload_bytes = XD_RECORD_BYTES_MAX - 64};
    int stride = xd_record_encode(&build, buffer, sizeof(buffer), &field);
    cr_assert_eq(stride, (int)XD_RECORD_BYTES_MAX);
    cr_expect_eq(xd_record_decode(buffer, sizeof(buffer), &record, &field), stride);
    build.payload_bytes++;
    expect_refused(&build, XD_RECORD_TOO_LARGE, "payload");
    build.payload_bytes = UINT32_MAX;
    expect_refused(&build, XD_RECORD_TOO_LARGE, "payload");
}
