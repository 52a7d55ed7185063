/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: decoding in place, the texts behind key64 fields, unit codes.
 *
 * Normal path: sizes, flags and padding from the core; one pointer per group; key64 bits and group
 * values; the TLV area, one step per TLV. The result points into the body, nothing is copied.
 *
 * Failure paths: every byte comes from outside, so whatever can be wrong ends in
 * XD_RECORD_MALFORMED or XD_RECORD_TOO_LARGE with the name of the field.
 *
 * Must not judge logistics meaning: event.c knows required groups, the broker knows stock.
 */
#include "wire/record.h"

#include "wire/key64.h"
#include "wire/record_rules.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* What a TLV's tag fixes: the exact length of the value, with a name for messages. */
static const struct tag_row {
    const char *name; /* NULL: any length */
    uint8_t bytes;    /* exact length */
} tag_rows[UINT8_MAX + 1] = {
    [XD_TAG_QTY_WIDE] = {"qty_wide", 8},         /* i64 */
    [XD_TAG_QTY2] = {"qty2", 11},                /* i64, i8 scale, u16 uom */
    [XD_TAG_CONTENT_HASH] = {"content_hash", 8}, /* u64 */
    [XD_TAG_REASON] = {"reason", 2},             /* u16 */
    [XD_TAG_FACILITY_TO] = {"facility_to", 4},   /* u32 */
    [XD_TAG_DUE] = {"due", 8},                   /* i64 us since 1970 UTC */
    [XD_TAG_EXPECT] = {"expect", 9},             /* u8 op, i64 */
    [XD_TAG_CUT] = {"cut", 8},                   /* u64 */
    [XD_TAG_WEIGHT] = {"weight", 8},             /* i64 g */
};

const struct xd_key_row xd_key_rows[XD_KEY_FIELDS] = {
    {"sku", XD_GROUP_STOCK},           {"lot", XD_GROUP_STOCK},
    {"location_from", XD_GROUP_STOCK}, {"location_to", XD_GROUP_STOCK},
    {"document", XD_GROUP_DOCUMENT},   {"reference", XD_GROUP_DOCUMENT},
    {"hu_from", XD_GROUP_HU},          {"hu_to", XD_GROUP_HU},
};

/* Bytes of the groups by presence bits: every record needs it. */
#define GROUPS_1(p)                                                                                \
    (((p)&1u) * sizeof(struct xd_stock) + ((p) >> 1 & 1u) * sizeof(struct xd_quantity) +           \
     ((p) >> 2 & 1u) * sizeof(struct xd_document) + ((p) >> 3 & 1u) * sizeof(struct xd_hu) +       \
     ((p) >> 4 & 1u) * sizeof(struct xd_lineage) + ((p) >> 5 & 1u) * sizeof(struct xd_batch_ref) + \
     ((p) >> 6 & 1u) * sizeof(struct xd_revision))
#define GROUPS_4(p) GROUPS_1(p), GROUPS_1((p) + 1u), GROUPS_1((p) + 2u), GROUPS_1((p) + 3u)
#define GROUPS_16(p) GROUPS_4(p), GROUPS_4((p) + 4u), GROUPS_4((p) + 8u), GROUPS_4((p) + 12u)
#define GROUPS_64(p) GROUPS_16(p), GROUPS_16((p) + 16u), GROUPS_16((p) + 32u), GROUPS_16((p) + 48u)
static const uint8_t groups_bytes[XD_GROUPS_ALL + 1] = {GROUPS_64(0u), GROUPS_64(64u)};
static_assert(GROUPS_1(XD_GROUPS_ALL) <= UINT8_MAX, "the bytes of all groups fit the table");

uint32_t xd_groups_bytes(uint8_t present)
{
    XD_ASSERT((present & ~XD_GROUPS_ALL) == 0);
    return groups_bytes[present];
}

const void *xd_record_group(const struct xd_record_core *core, enum xd_group bit)
{
    const uint8_t *groups = (const uint8_t *)core + XD_CORE_BYTES;
    unsigned before = core->present & ((unsigned)bit - 1);
    return core->present & bit ? groups + groups_bytes[before] : NULL;
}

static int malformed(const char *field, const char **ret_field)
{
    XD_ASSERT(field);
    *ret_field = field;
    return XD_RECORD_MALFORMED;
}

/* ---- rules of both directions ---------------------------------------------------------------- */

/* Units: three digits of base 37, the first character in the highest; 0 is "no character". */
#define UOM_BASE 37u

/* There is no character behind a missing one. */
static bool uom_valid(uint16_t uom)
{
    unsigned behind_first = uom % (UOM_BASE * UOM_BASE);
    unsigned first = uom / (UOM_BASE * UOM_BASE);
    return first < UOM_BASE &&
           (first > 0 ? behind_first == 0 || behind_first >= UOM_BASE : behind_first == 0);
}

const char *xd_record_values_wrong(const struct xd_quantity *quantity,
                                   const struct xd_batch_ref *batch_ref)
{
    if (quantity) {
        if (!uom_valid(quantity->uom))
            return "uom";
        if (quantity->scale > 0 || quantity->scale < XD_SCALE_MIN)
            return "scale";
        if (quantity->flags & ~XD_QUANTITY_FLAGS_ALL)
            return "quantity.flags";
    }
    if (batch_ref && (batch_ref->part == 0 || batch_ref->part > batch_ref->parts))
        return "part";
    return NULL;
}

const char *xd_record_tlv_wrong(uint8_t tag, uint32_t bytes)
{
    XD_ASSERT(bytes <= XD_TEXT_BYTES_MAX);
    const struct tag_row *row = &tag_rows[tag];
    return row->name && row->bytes != bytes ? row->name : NULL;
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* Checks the core against what is there. Returns the stride to the next record, or a status. */
static int core_check(const uint8_t *body, size_t bytes, const struct xd_record_core *core,
                      const char **ret_field)
{
    if (core->present & ~XD_GROUPS_ALL)
        return malformed("present", ret_field);
    if (core->flags & ~XD_RECORD_FLAGS_ALL)
        return malformed("flags", ret_field);
    if (core->record_bytes > XD_RECORD_BYTES_MAX) {
        *ret_field = "record_bytes";
        return XD_RECORD_TOO_LARGE;
    }
    uint32_t head =
        XD_CORE_BYTES + xd_groups_bytes(core->present) + core->tlv_words * XD_RECORD_ALIGN;
    uint32_t stride = xd_record_padded(core->record_bytes);
    if (core->record_bytes < head || stride > bytes)
        return malformed("record_bytes", ret_field);

    /* The padding is the high end of the record's last word: hosts are little-endian. */
    uint64_t last;
    memcpy(&last, body + stride - sizeof(last), sizeof(last));
    uint32_t padding = stride - core->record_bytes;
    if (padding && last >> (64u - 8u * padding))
        return malformed("padding", ret_field);
    XD_ASSERT(stride >= XD_CORE_BYTES);
    return (int)stride;
}

/* The group at *at, which moves behind it; NULL when `bit` is not set. */
static const void *group_take(const uint8_t **at, unsigned bit, size_t bytes)
{
    const uint8_t *group = *at;
    *at += bit ? bytes : 0;
    return bit ? group : NULL;
}

/* Points *ret at the parts of the record. The sizes are checked. */
static void parts_point(const struct xd_record_core *core, struct xd_record *ret)
{
    unsigned present = core->present;
    const uint8_t *body = (const uint8_t *)core;
    const uint8_t *at = body + XD_CORE_BYTES;
    ret->core = core;
    ret->stock = group_take(&at, present & XD_GROUP_STOCK, sizeof(struct xd_stock));
    ret->quantity = group_take(&at, present & XD_GROUP_QUANTITY, sizeof(struct xd_quantity));
    ret->document = group_take(&at, present & XD_GROUP_DOCUMENT, sizeof(struct xd_document));
    ret->hu = group_take(&at, present & XD_GROUP_HU, sizeof(struct xd_hu));
    ret->lineage = group_take(&at, present & XD_GROUP_LINEAGE, sizeof(struct xd_lineage));
    ret->batch_ref = group_take(&at, present & XD_GROUP_BATCH, sizeof(struct xd_batch_ref));
    ret->revision = group_take(&at, present & XD_GROUP_REVISION, sizeof(struct xd_revision));
    XD_ASSERT(at == body + XD_CORE_BYTES + xd_groups_bytes(core->present));
    ret->tlvs = at;
    ret->tlv_bytes = core->tlv_words * XD_RECORD_ALIGN;
    ret->payload = at + ret->tlv_bytes;
    ret->payload_bytes = core->record_bytes - (uint32_t)(ret->payload - body);
}

/* Checks the bits of keys of one group, which belong to the tags from `tag` on. *hashed gets a bit
 * per tag whose text has to be a TLV. */
static int keys_check(const uint64_t *keys, unsigned count, unsigned tag, uint32_t *hashed,
                      const char **ret_field)
{
    XD_ASSERT(tag >= XD_TAG_SKU && tag + count - 1 <= XD_KEY_FIELDS);
    for (unsigned i = 0; i < count; i++) {
        if (keys[i] == 0 || xd_key64_is_chars(keys[i]))
            continue; /* nearly all are */
        if (xd_key64_check(keys[i]) < 0)
            return malformed(xd_key_rows[tag + i - 1].name, ret_field);
        if (xd_key_kind(keys[i]) == XD_KEY_HASHED)
            *hashed |= 1u << (tag + i);
    }
    return 0;
}

/* The same for all groups. */
static int groups_check(const struct xd_record_core *core, uint32_t *ret_hashed,
                        const char **ret_field)
{
    uint32_t hashed = 0;
    int status = 0;
    if (core->present & XD_GROUP_STOCK)
        status =
            keys_check(xd_record_group(core, XD_GROUP_STOCK), 4, XD_TAG_SKU, &hashed, ret_field);
    if (core->present & XD_GROUP_DOCUMENT && status == 0)
        status = keys_check(xd_record_group(core, XD_GROUP_DOCUMENT), 2, XD_TAG_DOCUMENT, &hashed,
                            ret_field);
    if (core->present & XD_GROUP_HU && status == 0)
        status =
            keys_check(xd_record_group(core, XD_GROUP_HU), 2, XD_TAG_HU_FROM, &hashed, ret_field);
    *ret_hashed = hashed;
    return status;
}
static_assert(offsetof(struct xd_stock, location_to) == 24, "four keys lead the stock group");
static_assert(offsetof(struct xd_document, reference) == 8, "two keys lead the document group");
static_assert(offsetof(struct xd_hu, hu_to) == 8, "the handling-unit group is two keys");

/* The key64 fields in the sequence of their tags; 0 where the group is absent. */
static void keys_collect(const struct xd_record *record, uint64_t ret_keys[XD_KEY_FIELDS])
{
    memset(ret_keys, 0, XD_KEY_FIELDS * sizeof(*ret_keys));
    if (record->stock)
        memcpy(&ret_keys[0], record->stock, 4 * sizeof(*ret_keys));
    if (record->document)
        memcpy(&ret_keys[4], record->document, 2 * sizeof(*ret_keys));
    if (record->hu)
        memcpy(&ret_keys[6], record->hu, 2 * sizeof(*ret_keys));
}

/* Checks one TLV whose bytes are there. `*seen` collects the tags that may come once. */
static int tlv_check(uint8_t tag, const uint8_t *value, uint8_t bytes,
                     const uint64_t keys[XD_KEY_FIELDS], uint32_t *seen, const char **ret_field)
{
    XD_ASSERT(tag != XD_TAG_FILL);
    XD_ASSERT(value != NULL);
    if (tag > XD_TAG_BUSINESS_KEY) {
        const char *wrong = xd_record_tlv_wrong(tag, bytes);
        return wrong ? malformed(wrong, ret_field) : 0;
    }
    const char *name = tag <= XD_KEY_FIELDS ? xd_key_rows[tag - 1].name : "business_key";
    if ((*seen & 1u << tag) || bytes == 0)
        return malformed(name, ret_field);
    *seen |= 1u << tag;
    /* Packing the text again also refuses a text that has an exact key, and one of another key. */
    if (tag <= XD_KEY_FIELDS && (xd_key_kind(keys[tag - 1]) != XD_KEY_HASHED ||
                                 xd_key64((const char *)value, bytes) != keys[tag - 1]))
        return malformed(name, ret_field);
    return 0;
}

/* Checks the TLV area: whole TLVs, then 0..7 zero bytes; a text for each tag in `hashed`. */
static int tlvs_check(const struct xd_record_core *core, uint32_t hashed, const char **ret_field)
{
    struct xd_record record;
    uint64_t keys[XD_KEY_FIELDS];
    parts_point(core, &record);
    keys_collect(&record, keys);
    const uint8_t *tlvs = record.tlvs;
    uint32_t bytes = record.tlv_bytes;
    uint32_t at = 0;
    uint32_t seen = 0;
    while (at < bytes && tlvs[at] != XD_TAG_FILL) {
        if (bytes - at < XD_TLV_HEAD_BYTES || bytes - at - XD_TLV_HEAD_BYTES < tlvs[at + 1])
            return malformed("tlvs", ret_field);
        int status = tlv_check(tlvs[at], tlvs + at + XD_TLV_HEAD_BYTES, tlvs[at + 1], keys, &seen,
                               ret_field);
        if (status < 0)
            return status;
        at += XD_TLV_HEAD_BYTES + tlvs[at + 1];
    }
    if (bytes - at >= XD_RECORD_ALIGN)
        return malformed("tlv_words", ret_field);
    for (; at < bytes; at++) {
        if (tlvs[at] != 0)
            return malformed("tlvs", ret_field);
    }
    XD_ASSERT(at == bytes);
    uint32_t lacking = hashed & ~seen;
    if (lacking)
        return malformed(xd_key_rows[__builtin_ctz(lacking) - 1].name, ret_field);
    return 0;
}

int xd_record_check(const uint8_t *body, size_t bytes, const char **ret_field)
{
    XD_ASSERT((uintptr_t)body % XD_RECORD_ALIGN == 0);
    XD_ASSERT(ret_field);
    if (bytes < XD_CORE_BYTES)
        return malformed("record_bytes", ret_field);

    const struct xd_record_core *core = (const void *)body;
    int stride = core_check(body, bytes, core, ret_field);
    if (stride < 0)
        return stride;
    const char *wrong = xd_record_values_wrong(xd_record_group(core, XD_GROUP_QUANTITY),
                                               xd_record_group(core, XD_GROUP_BATCH));
    if (wrong)
        return malformed(wrong, ret_field);

    uint32_t hashed;
    int status = groups_check(core, &hashed, ret_field);
    if (status == 0 && (core->tlv_words || hashed))
        status = tlvs_check(core, hashed, ret_field);
    if (status < 0)
        return status;
    XD_ASSERT((size_t)stride <= bytes && stride % (int)XD_RECORD_ALIGN == 0);
    return stride;
}

int xd_record_decode(const uint8_t *body, size_t bytes, struct xd_record *ret,
                     const char **ret_field)
{
    XD_ASSERT(ret);
    int stride = xd_record_check(body, bytes, ret_field);
    if (stride >= 0)
        parts_point((const void *)body, ret);
    return stride;
}

/* ---- looking into a decoded record ----------------------------------------------------------- */

int xd_record_tlv(const struct xd_record *record, uint8_t tag, uint32_t *cursor,
                  struct xd_text *ret_value)
{
    XD_ASSERT(tag != XD_TAG_FILL);
    XD_ASSERT(*cursor <= record->tlv_bytes);
    uint32_t at = *cursor;
    while (at < record->tlv_bytes && record->tlvs[at] != XD_TAG_FILL) {
        uint8_t found = record->tlvs[at];
        uint32_t value_bytes = record->tlvs[at + 1];
        const char *value = (const char *)record->tlvs + at + XD_TLV_HEAD_BYTES;
        at += XD_TLV_HEAD_BYTES + value_bytes;
        XD_ASSERT(at <= record->tlv_bytes);
        if (found == tag) {
            *cursor = at;
            *ret_value = (struct xd_text){value_bytes ? value : NULL, value_bytes};
            return 0;
        }
    }
    return -ENOENT;
}

int xd_record_key_text(const struct xd_record *record, uint64_t key, uint8_t tag, char *scratch,
                       struct xd_text *ret_text)
{
    XD_ASSERT(tag >= XD_TAG_SKU && tag <= XD_KEY_FIELDS);
    XD_ASSERT(scratch);
    if (xd_key_kind(key) == XD_KEY_HASHED) {
        uint32_t cursor = 0;
        return xd_record_tlv(record, tag, &cursor, ret_text) < 0 ? XD_RECORD_MALFORMED : 0;
    }
    int length = xd_key64_text(key, scratch);
    if (length < 0)
        return XD_RECORD_MALFORMED;
    XD_ASSERT(length <= (int)XD_KEY_TEXT_BYTES_MAX);
    *ret_text = (struct xd_text){length ? scratch : NULL, (uint32_t)length};
    return 0;
}

/* ---- units of measure ------------------------------------------------------------------------ */

/* The digit of a character, 1..36, or 0 when it is not in 0-9A-Z. */
static unsigned uom_digit(char character)
{
    if (character >= '0' && character <= '9')
        return (unsigned)(character - '0') + 1;
    if (character >= 'A' && character <= 'Z')
        return (unsigned)(character - 'A') + 11;
    return 0;
}

int xd_uom_encode(const char *text, size_t bytes)
{
    XD_ASSERT(text || bytes == 0);
    if (bytes > XD_UOM_TEXT_BYTES_MAX)
        return -1;
    unsigned code = 0;
    for (size_t i = 0; i < XD_UOM_TEXT_BYTES_MAX; i++) {
        unsigned digit = i < bytes ? uom_digit(text[i]) : 0;
        if (i < bytes && digit == 0)
            return -1;
        code = code * UOM_BASE + digit;
    }
    XD_ASSERT(code <= UINT16_MAX);
    return (int)code;
}

int xd_uom_decode(uint16_t uom, char *ret_text)
{
    static const char characters[] = " 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static_assert(sizeof(characters) - 1 == UOM_BASE, "one character per digit");
    const unsigned digits[XD_UOM_TEXT_BYTES_MAX] = {
        uom / (UOM_BASE * UOM_BASE),
        uom / UOM_BASE % UOM_BASE,
        uom % UOM_BASE,
    };
    if (!uom_valid(uom))
        return -1;
    int count = 0;
    while (count < (int)XD_UOM_TEXT_BYTES_MAX && digits[count])
        count++;
    XD_ASSERT(ret_text);
    for (int i = 0; i < count; i++)
        ret_text[i] = characters[digits[i]];
    return count;
}
