/* SPDX-License-Identifier: Apache-2.0
 *
 * Decoding of records: the golden bytes, every kind of damage by the name of its field, TLVs, unit
 * codes. What survives cutting and flipping is in test_record_damage.c.
 */
#include "wire/record.h"

#include "tests/support/fenced.h"
#include "tests/support/prng.h"
#include "tests/support/record_random.h"
#include "wire/key64.h"
#include "wire/route.h"
#include "wire/status.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

/* A record under construction, aligned as a batch body is. */
struct sample {
    _Alignas(8) uint8_t bytes[4096];
    int stride; /* of the record in it */
};

static struct xd_record_core *core_of(struct sample *sample)
{
    return (void *)sample->bytes;
}

static void sample_golden(struct sample *sample, const char *word)
{
    size_t bytes = fenced_dump(PROTOCOL_MD, word, sample->bytes, sizeof(sample->bytes));
    cr_assert_gt(bytes, 0u, "no vector %s in the document", word);
    sample->stride = (int)bytes;
}

static void sample_encode(struct sample *sample, const struct xd_record_build *build)
{
    const char *field = "none";
    sample->stride = xd_record_encode(build, sample->bytes, sizeof(sample->bytes), &field);
    cr_assert_gt(sample->stride, 0, "%s %s", xd_status_name(sample->stride), field);
}

/* A record whose TLV area is exactly `tlvs`, a multiple of 8 bytes. */
static void sample_tlvs(struct sample *sample, const void *tlvs, size_t bytes)
{
    *sample = (struct sample){.stride = (int)(64 + bytes)};
    cr_assert_eq(bytes % 8, 0u);
    core_of(sample)->record_bytes = (uint32_t)(64 + bytes);
    core_of(sample)->tlv_words = (uint8_t)(bytes / 8);
    memcpy(sample->bytes + 64, tlvs, bytes);
}

static void expect_decodes(const struct sample *sample, struct xd_record *ret)
{
    const char *field = "none";
    int stride = xd_record_decode(sample->bytes, (size_t)sample->stride, ret, &field);
    cr_assert_eq(stride, sample->stride, "%s %s", xd_status_name(stride), field);
}

static void expect_malformed(const struct sample *sample, const char *wanted_field)
{
    struct xd_record record = {.tlv_bytes = 4711};
    const char *field = "none";
    int status = xd_record_decode(sample->bytes, (size_t)sample->stride, &record, &field);
    cr_expect_eq(status, XD_RECORD_MALFORMED, "%s: %s", wanted_field, xd_status_name(status));
    cr_expect_str_eq(field, wanted_field);
    cr_expect_eq(record.tlv_bytes, 4711u, "%s: the output was touched", wanted_field);
}

static void expect_text(const struct xd_record *record, uint64_t key, uint8_t tag,
                        const char *wanted)
{
    char scratch[XD_KEY_TEXT_BYTES_MAX];
    struct xd_text text;
    cr_assert_eq(xd_record_key_text(record, key, tag, scratch, &text), 0, "%s", wanted);
    cr_expect_eq(text.bytes, strlen(wanted), "%s", wanted);
    cr_expect(text.bytes == 0 || memcmp(text.data, wanted, text.bytes) == 0, "%s", wanted);
}

/* The 160 bytes of the document are the pick that the document describes. */
Test(record, decodes_the_golden_pick)
{
    struct sample sample;
    struct xd_record record;
    sample_golden(&sample, "pick");
    cr_assert_eq(sample.stride, 160);
    expect_decodes(&sample, &record);
    cr_expect_eq(record.core->event_id[0], 0x01);
    cr_expect_eq(record.core->event_id[15], 0x0f);
    cr_expect_eq(record.core->source_sequence, 88123u);
    cr_expect_eq(record.core->event_time_us, 1731398400123456);
    cr_expect_eq(record.core->channel, 3u);
    cr_expect_eq(record.core->facility, 7u);
    cr_expect_eq(record.core->type, 0x0107u);
    cr_expect_eq(record.core->flags, XD_RECORD_FACT);
    cr_expect_eq(record.core->channel_epoch, 1u);
    cr_expect_eq(record.stock->status_from, 1);
    cr_expect_eq(record.quantity->base_quantity, 30000);
    cr_expect_eq(record.quantity->quantity, 3);
    cr_expect_eq(record.document->line, 10u);
    cr_expect_eq(record.document->step, 1u);
    cr_expect_eq(record.document->type, 2);
    cr_expect_eq(record.document->priority, 5);
    expect_text(&record, record.stock->sku, XD_TAG_SKU, "399573");
    expect_text(&record, record.stock->lot, XD_TAG_LOT, "L2418");
    expect_text(&record, record.stock->location_from, XD_TAG_LOCATION_FROM, "A1119504");
    expect_text(&record, record.stock->location_to, XD_TAG_LOCATION_TO, "");
    expect_text(&record, record.document->document, XD_TAG_DOCUMENT, "3780678");
    expect_text(&record, record.document->reference, XD_TAG_REFERENCE, "TASK-88123");
    expect_text(&record, record.hu->hu_to, XD_TAG_HU_TO, "340123450000000017");
    cr_expect(!record.lineage && !record.batch_ref && !record.revision);
    cr_expect_eq(record.tlv_bytes, 0u);
    cr_expect_eq(record.payload_bytes, 0u);
    struct xd_route_fields fields = xd_route_fields_of(&record);
    cr_expect_eq(xd_route_key(XD_STRATEGY_SKU, &fields), record.core->route_key);
}

/* Hashed identifiers come with their texts, the TLVs and the payload at their places. */
Test(record, decodes_the_golden_receipt)
{
    struct sample sample;
    struct xd_record record;
    struct xd_text value;
    uint32_t cursor = 0;
    int64_t due;
    sample_golden(&sample, "receipt");
    cr_assert_eq(sample.stride, 232);
    expect_decodes(&sample, &record);
    cr_expect_eq(record.core->record_bytes, 229u);
    cr_expect_eq(record.core->flags, XD_RECORD_LAST_IN_DOC);
    expect_text(&record, record.stock->sku, XD_TAG_SKU, "sku-4711");
    expect_text(&record, record.stock->lot, XD_TAG_LOT, "Lot 7/b");
    expect_text(&record, record.document->document, XD_TAG_DOCUMENT, "4500001234567");
    cr_expect_eq(record.quantity->scale, -1);
    cr_expect_eq(record.quantity->uom, xd_uom_encode("KGM", 3));
    cr_expect_eq(record.revision->document_revision, 3u);
    cr_expect_eq(record.revision->posting_date, 20241112u);
    cr_assert_eq(xd_record_tlv(&record, XD_TAG_BUSINESS_KEY, &cursor, &value), 0);
    cr_expect_arr_eq(value.data, "RCV 4500001234567/20/1", value.bytes);
    cr_assert_eq(xd_record_tlv(&record, XD_TAG_DUE, &cursor, &value), 0);
    memcpy(&due, value.data, sizeof(due));
    cr_expect_eq(due, 1735689600000000);
    cr_assert_eq(record.payload_bytes, 13u);
    cr_expect_arr_eq(record.payload, "{\"temp\":-18}\n", 13);
}

/* Each damage of the core ends under the name of its field. */
Test(record, names_the_wrong_field_of_the_core)
{
    struct sample golden;
    struct sample sample;
    sample_golden(&golden, "receipt");
    struct xd_record_core *core = core_of(&sample);

    sample = golden;
    core->present |= 0x80;
    expect_malformed(&sample, "present");
    for (unsigned bit = 10; bit < 16; bit++) {
        sample = golden;
        core->flags |= (uint16_t)(1u << bit);
        expect_malformed(&sample, "flags");
    }
    sample = golden;
    core->record_bytes = 64 + 40 + 16 + 24 + 8 + 64 - 1; /* core, groups, TLVs, less one */
    expect_malformed(&sample, "record_bytes");
    core->record_bytes = 0;
    expect_malformed(&sample, "record_bytes");
    core->record_bytes = (uint32_t)golden.stride + 1;
    expect_malformed(&sample, "record_bytes");

    struct xd_record record;
    const char *field = "none";
    core->record_bytes = XD_RECORD_BYTES_MAX + 1;
    cr_expect_eq(xd_record_decode(sample.bytes, SIZE_MAX / 2, &record, &field),
                 XD_RECORD_TOO_LARGE);
    cr_expect_str_eq(field, "record_bytes");
}

/* Values outside their stated range end under the name of their field. */
Test(record, names_the_wrong_field_of_a_group)
{
    struct xd_record_build build = {
        .core = {.present = XD_GROUP_QUANTITY | XD_GROUP_BATCH},
        .batch_ref = {.part = 1, .parts = 1},
    };
    struct sample sample;
    sample_encode(&sample, &build);
    struct xd_quantity *quantity = (void *)(sample.bytes + 64);
    struct xd_batch_ref *batch_ref = (void *)(sample.bytes + 80);
    quantity->scale = 1;
    expect_malformed(&sample, "scale");
    quantity->scale = -7;
    expect_malformed(&sample, "scale");
    quantity->scale = -6;
    quantity->flags = 0x10;
    expect_malformed(&sample, "quantity.flags");
    quantity->flags = 0x0f;
    quantity->uom = 37; /* a blank, then "0" */
    expect_malformed(&sample, "uom");
    quantity->uom = UINT16_MAX;
    expect_malformed(&sample, "uom");
    quantity->uom = (uint16_t)xd_uom_encode("C62", 3);
    batch_ref->part = 2;
    expect_malformed(&sample, "part");
    batch_ref->parts = 2;
    struct xd_record record;
    expect_decodes(&sample, &record);
    batch_ref->part = 0;
    expect_malformed(&sample, "part");
}

/* The bytes up to the next multiple of 8 are zero, each of them. */
Test(record, refuses_padding_that_is_not_zero)
{
    static const uint8_t payload[8] = "payload";
    for (uint32_t bytes = 1; bytes <= 8; bytes++) {
        struct xd_record_build build = {.payload = payload, .payload_bytes = bytes};
        struct sample sample;
        struct xd_record record;
        sample_encode(&sample, &build);
        expect_decodes(&sample, &record);
        for (uint32_t at = 64 + bytes; at < 72; at++) {
            sample.bytes[at] = 1;
            expect_malformed(&sample, "padding");
            sample.bytes[at] = 0x80;
            expect_malformed(&sample, "padding");
            sample.bytes[at] = 0;
        }
    }
}

/* Keys whose bits xd_key64 never makes are refused in each of the eight fields. */
Test(record, refuses_impossible_key_bits)
{
    static const char *const names[] = {"sku",      "lot",       "location_from", "location_to",
                                        "document", "reference", "hu_from",       "hu_to"};
    static const size_t offsets[] = {64, 72, 80, 88, 104, 112, 128, 136};
    struct xd_record_build build = {
        .core = {.present = XD_GROUP_STOCK | XD_GROUP_DOCUMENT | XD_GROUP_HU}};
    const uint64_t impossible[] = {1, 1ull << 60, 4ull << 60, 14ull << 60 | 1, ~0ull >> 4};
    struct sample sample;
    sample_encode(&sample, &build);
    for (size_t i = 0; i < 8; i++) {
        for (size_t k = 0; k < sizeof(impossible) / sizeof(impossible[0]); k++) {
            memcpy(sample.bytes + offsets[i], &impossible[k], 8);
            expect_malformed(&sample, names[i]);
        }
        memset(sample.bytes + offsets[i], 0, 8);
    }
}

/* A hashed key and its text belong together: one text, and the one that hashes to the key. */
Test(record, ties_hashed_keys_to_their_texts)
{
    struct xd_record_build build = {
        .core = {.present = XD_GROUP_HU}, .hu_from = {"crate 7", 7}, .hu_to = {"CRATE-8", 7}};
    struct sample golden;
    struct xd_record record;
    sample_encode(&golden, &build);
    expect_decodes(&golden, &record);
    cr_assert_eq(record.tlv_bytes, 16u);
    uint64_t *hu = (void *)(golden.bytes + 64);
    uint8_t *tlvs = golden.bytes + 80;

    struct sample sample = golden;
    sample.bytes[80] = XD_TAG_ACTOR_TEXT; /* the text is gone */
    expect_malformed(&sample, "hu_from");
    tlvs[2] = 'C'; /* another text */
    expect_malformed(&golden, "hu_from");
    tlvs[2] = 'c';
    hu[0]++; /* another key */
    expect_malformed(&golden, "hu_from");
    hu[0]--;
    tlvs[0] = XD_TAG_HU_TO; /* the text of the exact key */
    expect_malformed(&golden, "hu_to");
    tlvs[0] = XD_TAG_SKU; /* the text of a group that is not there */
    expect_malformed(&golden, "sku");
    tlvs[0] = XD_TAG_HU_FROM;
    hu[0] = 0; /* the text of no key */
    expect_malformed(&golden, "hu_from");
    hu[0] = xd_key64("CRATE-7", 7); /* the text of an exact key */
    expect_malformed(&golden, "hu_from");
}

/* A text that has an exact key must use it: two keys of one text would be two goods. */
Test(record, refuses_a_hash_in_place_of_an_exact_key)
{
    struct xd_record_build build = {.core = {.present = XD_GROUP_HU}, .hu_from = {"crate", 5}};
    struct sample sample;
    struct xd_record record;
    sample_encode(&sample, &build);
    expect_decodes(&sample, &record);
    memcpy(sample.bytes + 82, "CRATE", 5);
    expect_malformed(&sample, "hu_from");
}

/* An exact key carries its text itself, so a TLV with that text is one too many; and so is an empty
 * one for a key that is absent. */
Test(record, refuses_texts_of_exact_and_absent_keys)
{
    struct xd_record_build build = {.core = {.present = XD_GROUP_HU}, .hu_to = {"CRATE-8", 7}};
    uint8_t own[] = "\x80\x07"
                    "CRATE-8\x80\x00";
    build.extra_tlvs = own;
    build.extra_tlv_bytes = sizeof(own) - 1;
    struct sample sample;
    struct xd_record record;
    sample_encode(&sample, &build);
    expect_decodes(&sample, &record);
    sample.bytes[80] = XD_TAG_HU_TO;
    expect_malformed(&sample, "hu_to");
    sample.bytes[80] = XD_TAG_OWN_FIRST;
    sample.bytes[89] = XD_TAG_HU_FROM;
    expect_malformed(&sample, "hu_from");
    sample.bytes[89] = XD_TAG_LOT;
    expect_malformed(&sample, "lot");
}

/* Tags 1 to 9 come once; serials and own tags repeat, and a cursor walks through them. */
Test(record, walks_repeated_tags)
{
    struct sample sample;
    struct xd_record record;
    struct xd_text value;
    uint32_t cursor = 0;
    sample_tlvs(&sample, "\x0a\x02S1\x63\x00\x0a\x00\x0a\x02S3\x00\x00\x00\x00", 16);
    expect_decodes(&sample, &record);
    cr_assert_eq(xd_record_tlv(&record, XD_TAG_SERIAL, &cursor, &value), 0);
    cr_expect_arr_eq(value.data, "S1", 2);
    cr_assert_eq(xd_record_tlv(&record, XD_TAG_SERIAL, &cursor, &value), 0);
    cr_expect_eq(value.bytes, 0u);
    cr_expect_null(value.data);
    cr_assert_eq(xd_record_tlv(&record, XD_TAG_SERIAL, &cursor, &value), 0);
    cr_expect_arr_eq(value.data, "S3", 2);
    value.bytes = 4711;
    cr_assert_eq(xd_record_tlv(&record, XD_TAG_SERIAL, &cursor, &value), -ENOENT);
    cr_expect_eq(value.bytes, 4711u);
    cursor = 0;
    cr_expect_eq(xd_record_tlv(&record, XD_TAG_LOT, &cursor, &value), -ENOENT);

    sample_tlvs(&sample,
                "\x09\x01"
                "a\x09\x01"
                "b\x00\x00",
                8);
    expect_malformed(&sample, "business_key");
}

/* No text is the absence of its TLV: an empty business key could not be built again as it came. */
Test(record, refuses_an_empty_business_key)
{
    struct sample sample;
    sample_tlvs(&sample, "\x09\x00\x00\x00\x00\x00\x00\x00", 8);
    expect_malformed(&sample, "business_key");
}

/* The area is whole TLVs and less than 8 bytes of fill. */
Test(record, refuses_a_broken_tlv_area)
{
    static const struct {
        const char *bytes;
        size_t count;
        const char *field;
    } rows[] = {
        {"\x0a\x05"
         "12345\x0a",
         8, "tlvs"}, /* a tag without length */
        {"\x0a\x07"
         "123456",
         8, "tlvs"}, /* one byte beyond the area */
        {"\x0a\xff"
         "123456",
         8, "tlvs"},                                          /* far beyond */
        {"\x0a\x00\x00\x00\x00\x00\x00\x01", 8, "tlvs"},      /* fill is not zero */
        {"\x00\x00\x0a\x00\x00\x00\x00\x00", 8, "tlv_words"}, /* a whole word of fill */
        {"\x00\x00\x00\x00\x00\x00\x00\x00", 8, "tlv_words"},
        {"\x0a\x06"
         "123456\x00\x00\x00\x00\x00\x00\x00\x00",
         16, "tlv_words"},
        {"\x0b\x04"
         "1234\x00\x00",
         8, "qty_wide"},
        {"\x11\x05"
         "12345\x00",
         8, "facility_to"},
        {"\x13\x00\x00\x00\x00\x00\x00\x00", 8, "expect"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sample sample;
        sample_tlvs(&sample, rows[i].bytes, rows[i].count);
        expect_malformed(&sample, rows[i].field);
    }
}

/* Tags nobody knows yet, the source's own, and empty values pass through. */
Test(record, lets_unknown_tags_pass)
{
    struct sample sample;
    struct xd_record record;
    for (unsigned tag = XD_TAG_ACTOR_TEXT; tag <= 255; tag++) {
        uint8_t tlvs[8] = {(uint8_t)tag, 5, 'v', 'a', 'l', 'u', 'e', 0};
        struct xd_text value;
        uint32_t cursor = 0;
        sample_tlvs(&sample, tlvs, sizeof(tlvs));
        expect_decodes(&sample, &record);
        cr_assert_eq(xd_record_tlv(&record, (uint8_t)tag, &cursor, &value), 0);
        cr_expect_arr_eq(value.data, "value", 5);
    }
}

/* Strides lead from record to record through a body. */
Test(record, walks_a_body_of_records)
{
    struct prng prng = prng_seeded(9);
    static struct record_random random;
    _Alignas(8) static uint8_t body[64 * 1024];
    size_t used = 0;
    uint64_t built = 0;
    const char *field = "none";
    for (;;) {
        record_random_make(&prng, &random);
        random.build.core.source_sequence = built;
        int stride = xd_record_encode(&random.build, body + used, sizeof(body) - used, &field);
        if (stride == -ENOBUFS)
            break;
        cr_assert_gt(stride, 0);
        used += (size_t)stride;
        built++;
    }
    uint64_t seen = 0;
    for (size_t at = 0; at < used; seen++) {
        struct xd_record record;
        int stride = xd_record_decode(body + at, used - at, &record, &field);
        cr_assert_gt(stride, 0, "record %llu: %s", (unsigned long long)seen, field);
        cr_assert_eq(record.core->source_sequence, seen);
        at += (size_t)stride;
    }
    cr_expect_eq(seen, built);
}

/* The group sizes follow from the presence bits, for all 128 of them. */
Test(record, adds_up_the_groups)
{
    static const uint32_t sizes[] = {40, 16, 24, 16, 48, 16, 8};
    for (unsigned present = 0; present <= XD_GROUPS_ALL; present++) {
        uint32_t bytes = 0;
        for (unsigned i = 0; i < 7; i++)
            bytes += present >> i & 1u ? sizes[i] : 0;
        cr_expect_eq(xd_groups_bytes((uint8_t)present), bytes, "%02x", present);
    }
}

/* Of all 16-bit values exactly those that a text makes are unit codes, and they give it back. */
Test(record, gives_unit_codes_back)
{
    unsigned valid = 0;
    for (unsigned code = 0; code <= UINT16_MAX; code++) {
        char text[XD_UOM_TEXT_BYTES_MAX] = {'?', '?', '?'};
        int bytes = xd_uom_decode((uint16_t)code, text);
        if (bytes < 0) {
            cr_assert_eq(memcmp(text, "???", 3), 0);
            continue;
        }
        cr_assert_eq(xd_uom_encode(text, (size_t)bytes), (int)code);
        valid++;
    }
    cr_expect_eq(valid, 1u + 36 + 36 * 36 + 36 * 36 * 36);
}

/* Codes are upper-case letters and digits, at most three. */
Test(record, refuses_other_unit_texts)
{
    static const char *const texts[] = {"kgm", "KG ", " KG", "KGMX", "K-G", "\xff"};
    cr_expect_eq(xd_uom_encode("", 0), 0);
    cr_expect_eq(xd_uom_encode("KGM", 3), 21 * 1369 + 17 * 37 + 23);
    cr_expect_eq(xd_uom_encode("E", 1), 15 * 1369);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        cr_expect_eq(xd_uom_encode(texts[i], strlen(texts[i])), -1, "%s", texts[i]);
}

/* A key that is not of this record: hashed without its text, or no key at all. */
Test(record, key_text_refuses_keys_without_a_text)
{
    struct sample sample;
    struct xd_record record;
    char scratch[XD_KEY_TEXT_BYTES_MAX];
    struct xd_text text = {.bytes = 4711};
    sample_golden(&sample, "pick");
    expect_decodes(&sample, &record);
    const uint64_t keys[] = {(uint64_t)XD_KEY_HASHED << 60 | 12345, (uint64_t)XD_KEY_LEDGER << 60,
                             (uint64_t)XD_KEY_CHARS << 60};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        cr_assert_eq(xd_record_key_text(&record, keys[i], XD_TAG_SKU, scratch, &text),
                     XD_RECORD_MALFORMED, "key %zu", i);
        cr_assert_eq(text.bytes, 4711u, "key %zu: the output was touched", i);
    }
}
