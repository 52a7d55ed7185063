/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes a batch body: records one behind the other.
 *
 * Promises: a record that decodes lies whole in the input and can be read to its last byte; the
 * text of each key packs to that key; and building the record anew from what was decoded gives the
 * same core, groups and payload. Event check and routing take whatever decodes.
 */
#include "tests/fuzz/target.h"

#include "tests/wire/vectors.h"
#include "wire/checksum.h"
#include "wire/event.h"
#include "wire/key64.h"
#include "wire/limits.h"
#include "wire/record.h"
#include "wire/route.h"
#include "wire/xassert.h"

#include <string.h>

/* Records of an input that are looked at: more of them are more of the same. */
#define RECORDS_MAX 8u
#define CORE_BYTES sizeof(struct xd_record_core)

/* A build and the memory that it borrows from. */
struct rebuild {
    struct xd_record_build build;
    char scratch[8][XD_KEY_TEXT_BYTES_MAX];      /* texts of exact keys */
    uint8_t extra_tlvs[XD_RECORD_TLV_BYTES_MAX]; /* TLVs behind the business key */
};

static void take_text(const struct xd_record *record, uint64_t key, uint8_t tag, char *scratch,
                      struct xd_text *ret_text)
{
    int status = xd_record_key_text(record, key, tag, scratch, ret_text);
    XD_ASSERT(status == 0);
    XD_ASSERT(xd_key64(ret_text->data, ret_text->bytes) == key);
}

static void take_texts(const struct xd_record *record, struct rebuild *rebuild)
{
    struct xd_record_build *build = &rebuild->build;
    char(*scratch)[XD_KEY_TEXT_BYTES_MAX] = rebuild->scratch;
    if (record->stock) {
        const struct xd_stock *stock = record->stock;
        take_text(record, stock->sku, XD_TAG_SKU, scratch[0], &build->sku);
        take_text(record, stock->lot, XD_TAG_LOT, scratch[1], &build->lot);
        take_text(record, stock->location_from, XD_TAG_LOCATION_FROM, scratch[2],
                  &build->location_from);
        take_text(record, stock->location_to, XD_TAG_LOCATION_TO, scratch[3], &build->location_to);
    }
    if (record->document) {
        const struct xd_document *document = record->document;
        take_text(record, document->document, XD_TAG_DOCUMENT, scratch[4], &build->document_text);
        take_text(record, document->reference, XD_TAG_REFERENCE, scratch[5],
                  &build->reference_text);
    }
    if (record->hu) {
        take_text(record, record->hu->hu_from, XD_TAG_HU_FROM, scratch[6], &build->hu_from);
        take_text(record, record->hu->hu_to, XD_TAG_HU_TO, scratch[7], &build->hu_to);
    }
    uint32_t cursor = 0;
    (void)xd_record_tlv(record, XD_TAG_BUSINESS_KEY, &cursor, &build->business_key_text);
}

/* Marks the tags of the TLV area, which has been checked; the number of its TLVs. */
static uint32_t mark_tags(const struct xd_record *record, uint64_t ret_tags[4])
{
    uint32_t count = 0;
    uint32_t at = 0;
    while (at < record->tlv_bytes && record->tlvs[at] != XD_TAG_FILL) {
        ret_tags[record->tlvs[at] / 64u] |= 1ull << record->tlvs[at] % 64u;
        at += 2u + record->tlvs[at + 1];
        count++;
    }
    return count;
}

/* Takes all TLVs of one tag as a consumer would look for them; their number. Those from tag 10 on
 * are gathered: the builder makes the others itself. */
static uint32_t take_tag(const struct xd_record *record, uint8_t tag, struct rebuild *rebuild)
{
    uint32_t used = rebuild->build.extra_tlv_bytes;
    uint32_t count = 0;
    uint32_t cursor = 0;
    struct xd_text value;
    while (xd_record_tlv(record, tag, &cursor, &value) == 0) {
        count++;
        if (tag < XD_TAG_SERIAL)
            continue;
        XD_ASSERT(used + 2u + value.bytes <= sizeof(rebuild->extra_tlvs));
        rebuild->extra_tlvs[used] = tag;
        rebuild->extra_tlvs[used + 1] = (uint8_t)value.bytes;
        if (value.bytes != 0)
            memcpy(rebuild->extra_tlvs + used + 2, value.data, value.bytes);
        used += 2u + value.bytes;
    }
    rebuild->build.extra_tlv_bytes = used;
    return count;
}

/* Of the tags that are not there only the last is asked for: a search for each would be most of a
 * run. */
static void take_tlvs(const struct xd_record *record, struct rebuild *rebuild)
{
    uint64_t tags[4] = {0, 0, 0, 1ull << 63};
    uint32_t left = mark_tags(record, tags);
    for (unsigned i = 0; i < 4; i++) {
        for (; tags[i] != 0; tags[i] &= tags[i] - 1)
            left -=
                take_tag(record, (uint8_t)(64 * i + (unsigned)__builtin_ctzll(tags[i])), rebuild);
    }
    XD_ASSERT(left == 0);
    rebuild->build.extra_tlvs = rebuild->extra_tlvs;
}

static void take_groups(const struct xd_record *record, struct xd_record_build *build)
{
    build->core = *record->core;
    if (record->stock)
        build->stock = *record->stock;
    if (record->quantity)
        build->quantity = *record->quantity;
    if (record->document)
        build->document = *record->document;
    if (record->lineage)
        build->lineage = *record->lineage;
    if (record->batch_ref)
        build->batch_ref = *record->batch_ref;
    if (record->revision)
        build->revision = *record->revision;
    build->payload = record->payload;
    build->payload_bytes = record->payload_bytes;
}

/* Builds the record anew. Only the sequence of TLVs may differ, and a business key whose text is
 * there but was hashed under a seed. */
static void check_rebuilt(const struct xd_record *record, int stride)
{
    static struct rebuild rebuild;
    struct vector copy = {.data = malloc((size_t)stride), .bytes = (size_t)stride};
    XD_ASSERT(copy.data != NULL);
    memset(&rebuild, 0, sizeof(rebuild));
    take_groups(record, &rebuild.build);
    take_texts(record, &rebuild);
    take_tlvs(record, &rebuild);

    struct xd_record again;
    const char *field = NULL;
    XD_ASSERT(xd_record_encode(&rebuild.build, copy.data, copy.bytes, &field) == stride);
    XD_ASSERT(xd_record_decode(copy.data, copy.bytes, &again, &field) == stride);
    struct xd_record_core core = *record->core;
    if (rebuild.build.business_key_text.bytes != 0)
        core.business_key = again.core->business_key;
    XD_ASSERT(memcmp(&core, again.core, CORE_BYTES) == 0);
    XD_ASSERT(again.tlv_bytes == record->tlv_bytes);
    XD_ASSERT(memcmp((const char *)record->core + CORE_BYTES, copy.data + CORE_BYTES,
                     xd_groups_bytes(core.present)) == 0);
    XD_ASSERT(again.payload_bytes == record->payload_bytes);
    XD_ASSERT(memcmp(again.payload, record->payload, record->payload_bytes) == 0);
    vector_free(&copy);
}

static void check_route_and_event(const struct xd_record *record)
{
    struct xd_route_fields fields = xd_route_fields_of(record);
    for (unsigned i = 0; i < XD_STRATEGY_COUNT; i++) {
        uint32_t key = xd_route_key((enum xd_strategy)i, &fields);
        XD_ASSERT(xd_route_key_of((enum xd_strategy)i, record->core) == key);
        XD_ASSERT(xd_route_bucket(key, XD_PARTITION_WIDTH_MAX) < XD_PARTITION_WIDTH_MAX);
    }
    const struct xd_record_core *core = record->core;
    const char *field = NULL;
    int status = xd_event_check(core->type, core->flags, core->present, &field);
    XD_ASSERT((status < 0) == (field != NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    /* A copy of exact size: aligned, and watched by the sanitizer at both ends. */
    struct vector body = vector_copy(data, bytes);
    size_t at = 0;
    for (uint32_t count = 0; at < body.bytes && count < RECORDS_MAX; count++) {
        struct xd_record record;
        const char *field = NULL;
        int stride = xd_record_decode(body.data + at, body.bytes - at, &record, &field);
        if (stride < 0) {
            XD_ASSERT(field != NULL);
            break;
        }
        XD_ASSERT(stride % (int)XD_RECORD_ALIGN == 0 && (size_t)stride <= body.bytes - at);
        vector_touch(record.core, (size_t)stride);
        check_rebuilt(&record, stride);
        check_route_and_event(&record);
        at += (size_t)stride;
    }
    vector_free(&body);
    return 0;
}
