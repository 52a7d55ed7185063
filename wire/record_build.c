/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: encoding.
 *
 * Normal path: a plan first (keys of the texts, sizes, limits), then core, groups, TLVs, payload
 * and padding in one pass.
 *
 * Failure paths: what a caller asks for and the format cannot hold ends in XD_FIELD_INVALID or
 * XD_RECORD_TOO_LARGE with the name of the field, a short buffer in -ENOBUFS; all of them before
 * the first byte, so the buffer stays as it was. The value rules are those of decoding, so what is
 * encoded decodes.
 */
#include "wire/record.h"

#include "wire/checksum.h"
#include "wire/key64.h"
#include "wire/record_rules.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

/* What encoding will write, decided before the first byte. */
struct plan {
    const struct xd_text *texts[XD_KEY_FIELDS]; /* borrowed from the build, in tag sequence */
    uint64_t keys[XD_KEY_FIELDS];               /* their key64 */
    uint32_t tlv_bytes;                         /* TLVs with fill */
    uint32_t record_bytes;                      /* without the padding behind the record */
};

static int invalid(const char *field, const char **ret_field)
{
    XD_ASSERT(field);
    *ret_field = field;
    return XD_FIELD_INVALID;
}

/* Whole TLVs with tags behind the business key, and nothing else. */
static int extra_tlvs_check(const struct xd_record_build *build, const char **ret_field)
{
    const uint8_t *tlvs = build->extra_tlvs;
    uint32_t bytes = build->extra_tlv_bytes;
    XD_ASSERT(tlvs || bytes == 0);
    if (bytes > XD_RECORD_TLV_BYTES_MAX)
        return invalid("extra_tlvs", ret_field);
    for (uint32_t at = 0; at < bytes; at += XD_TLV_HEAD_BYTES + tlvs[at + 1]) {
        if (tlvs[at] <= XD_TAG_BUSINESS_KEY || bytes - at < XD_TLV_HEAD_BYTES ||
            bytes - at - XD_TLV_HEAD_BYTES < tlvs[at + 1])
            return invalid("extra_tlvs", ret_field);
        const char *wrong = xd_record_tlv_wrong(tlvs[at], tlvs[at + 1]);
        if (wrong)
            return invalid(wrong, ret_field);
    }
    return 0;
}

/* Packs the texts and adds up the TLVs of those that have no exact key. */
static int plan_keys(const struct xd_record_build *build, struct plan *plan, const char **ret_field)
{
    const struct xd_text *texts[XD_KEY_FIELDS] = {
        &build->sku,         &build->lot,           &build->location_from,
        &build->location_to, &build->document_text, &build->reference_text,
        &build->hu_from,     &build->hu_to,
    };
    memcpy(plan->texts, texts, sizeof(texts));
    for (unsigned i = 0; i < XD_KEY_FIELDS; i++) {
        uint32_t bytes = texts[i]->bytes;
        if (bytes > XD_TEXT_BYTES_MAX || (bytes && !(build->core.present & xd_key_rows[i].group)))
            return invalid(xd_key_rows[i].name, ret_field);
        if (bytes == 0) /* of eight fields most are empty */
            continue;
        plan->keys[i] = xd_key64(texts[i]->data, bytes);
        if (xd_key_kind(plan->keys[i]) == XD_KEY_HASHED)
            plan->tlv_bytes += XD_TLV_HEAD_BYTES + bytes;
    }
    if (build->business_key_text.bytes > XD_TEXT_BYTES_MAX)
        return invalid("business_key", ret_field);
    if (build->business_key_text.bytes)
        plan->tlv_bytes += XD_TLV_HEAD_BYTES + build->business_key_text.bytes;
    return 0;
}

/* `plan` is all zeros, and worth nothing after a failure. */
static int plan_make(const struct xd_record_build *build, struct plan *plan, const char **ret_field)
{
    const struct xd_record_core *core = &build->core;
    if (core->present & ~XD_GROUPS_ALL)
        return invalid("present", ret_field);
    if (core->flags & ~XD_RECORD_FLAGS_ALL)
        return invalid("flags", ret_field);
    const char *wrong =
        xd_record_values_wrong(core->present & XD_GROUP_QUANTITY ? &build->quantity : NULL,
                               core->present & XD_GROUP_BATCH ? &build->batch_ref : NULL);
    if (wrong)
        return invalid(wrong, ret_field);

    int status = extra_tlvs_check(build, ret_field);
    plan->tlv_bytes = build->extra_tlv_bytes;
    if (status == 0)
        status = plan_keys(build, plan, ret_field);
    if (status < 0)
        return status;
    if (plan->tlv_bytes > XD_RECORD_TLV_BYTES_MAX)
        return invalid("tlvs", ret_field);
    plan->tlv_bytes = xd_record_padded(plan->tlv_bytes);

    uint32_t head = XD_CORE_BYTES + xd_groups_bytes(core->present) + plan->tlv_bytes;
    if (build->payload_bytes > XD_RECORD_BYTES_MAX - head) {
        *ret_field = "payload";
        return XD_RECORD_TOO_LARGE;
    }
    plan->record_bytes = head + build->payload_bytes;
    XD_ASSERT(plan->record_bytes <= XD_RECORD_BYTES_MAX);
    return 0;
}

/* Copies and returns the place behind. */
static uint8_t *put(uint8_t *at, const void *data, size_t bytes)
{
    XD_ASSERT(at && (data || bytes == 0));
    if (bytes)
        memcpy(at, data, bytes);
    return at + bytes;
}

static uint8_t *put_tlv(uint8_t *at, uint8_t tag, const struct xd_text *text)
{
    XD_ASSERT(text->bytes <= XD_TEXT_BYTES_MAX);
    XD_ASSERT(tag != XD_TAG_FILL && tag <= XD_TAG_BUSINESS_KEY);
    at[0] = tag;
    at[1] = (uint8_t)text->bytes;
    return put(at + XD_TLV_HEAD_BYTES, text->data, text->bytes);
}

static uint8_t *put_groups(uint8_t *at, const struct xd_record_build *build,
                           const struct plan *plan)
{
    uint8_t present = build->core.present;
    const uint8_t *start = at;
    if (present & XD_GROUP_STOCK) {
        struct xd_stock stock = build->stock;
        stock.sku = plan->keys[0];
        stock.lot = plan->keys[1];
        stock.location_from = plan->keys[2];
        stock.location_to = plan->keys[3];
        at = put(at, &stock, sizeof(stock));
    }
    if (present & XD_GROUP_QUANTITY)
        at = put(at, &build->quantity, sizeof(build->quantity));
    if (present & XD_GROUP_DOCUMENT) {
        struct xd_document document = build->document;
        document.document = plan->keys[4];
        document.reference = plan->keys[5];
        at = put(at, &document, sizeof(document));
    }
    if (present & XD_GROUP_HU)
        at = put(at, &plan->keys[6], sizeof(struct xd_hu));
    if (present & XD_GROUP_LINEAGE)
        at = put(at, &build->lineage, sizeof(build->lineage));
    if (present & XD_GROUP_BATCH)
        at = put(at, &build->batch_ref, sizeof(build->batch_ref));
    if (present & XD_GROUP_REVISION)
        at = put(at, &build->revision, sizeof(build->revision));
    XD_ASSERT(at == start + xd_groups_bytes(present));
    return at;
}

static uint8_t *put_tlvs(uint8_t *at, const struct xd_record_build *build, const struct plan *plan)
{
    uint8_t *end = at + plan->tlv_bytes;
    for (unsigned i = 0; i < XD_KEY_FIELDS; i++) {
        if (xd_key_kind(plan->keys[i]) == XD_KEY_HASHED)
            at = put_tlv(at, (uint8_t)(i + 1), plan->texts[i]);
    }
    if (build->business_key_text.bytes)
        at = put_tlv(at, XD_TAG_BUSINESS_KEY, &build->business_key_text);
    at = put(at, build->extra_tlvs, build->extra_tlv_bytes);
    XD_ASSERT(at <= end && end - at < (ptrdiff_t)XD_RECORD_ALIGN);
    memset(at, XD_TAG_FILL, (size_t)(end - at));
    return end;
}

int xd_record_encode(const struct xd_record_build *build, uint8_t *buffer, size_t buffer_bytes,
                     const char **ret_field)
{
    XD_ASSERT(ret_field);
    XD_ASSERT(build->payload || build->payload_bytes == 0);
    struct plan plan = {0};
    int status = plan_make(build, &plan, ret_field);
    if (status < 0)
        return status;
    uint32_t stride = xd_record_padded(plan.record_bytes);
    if (stride > buffer_bytes)
        return -ENOBUFS;

    struct xd_record_core core = build->core;
    core.record_bytes = plan.record_bytes;
    core.tlv_words = (uint8_t)(plan.tlv_bytes / XD_RECORD_ALIGN);
    if (build->business_key_text.bytes)
        core.business_key = xd_xxh3(build->business_key_text.data, build->business_key_text.bytes);

    uint8_t *at = put(buffer, &core, sizeof(core));
    at = put_groups(at, build, &plan);
    at = put_tlvs(at, build, &plan);
    at = put(at, build->payload, build->payload_bytes);
    XD_ASSERT(at == buffer + plan.record_bytes);
    memset(at, 0, stride - plan.record_bytes);
    XD_ASSERT(stride <= buffer_bytes);
    return (int)stride;
}
