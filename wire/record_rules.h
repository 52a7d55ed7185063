/* SPDX-License-Identifier: Apache-2.0
 *
 * What record.c and record_build.c share: the table of key64 fields and the rules that both
 * directions obey. Internal to wire: nobody else includes this.
 */
#ifndef CROSSDOCK_WIRE_RECORD_RULES_H
#define CROSSDOCK_WIRE_RECORD_RULES_H

#include "wire/limits.h"
#include "wire/record.h"

#include <assert.h>
#include <stdint.h>

#define XD_CORE_BYTES ((uint32_t)sizeof(struct xd_record_core))
#define XD_TLV_HEAD_BYTES 2u /* tag and length */
#define XD_KEY_FIELDS 8u     /* key64 fields of a record; the text of number i is TLV i + 1 */

static_assert(XD_TAG_SKU == 1 && XD_TAG_HU_TO == XD_KEY_FIELDS, "key texts are TLVs 1..8");
static_assert(XD_TAG_BUSINESS_KEY == XD_KEY_FIELDS + 1, "the business key follows them");
static_assert(UINT8_MAX * XD_RECORD_ALIGN == XD_RECORD_TLV_BYTES_MAX, "tlv_words is the limit");
static_assert(XD_TEXT_BYTES_MAX == UINT8_MAX, "a TLV length is one byte");
static_assert(XD_RECORD_BYTES_MAX % XD_RECORD_ALIGN == 0, "padding stays below the limit");

/* A key64 field: its name for messages and the group that it lives in. */
struct xd_key_row {
    const char *name; /* "sku" */
    uint8_t group;    /* one bit of enum xd_group */
};
extern const struct xd_key_row xd_key_rows[XD_KEY_FIELDS];

/* The next multiple of 8. */
static inline uint32_t xd_record_padded(uint32_t bytes)
{
    return (bytes + XD_RECORD_ALIGN - 1u) & ~(XD_RECORD_ALIGN - 1u);
}

/* The name of the first value outside its stated range, or NULL. Both arguments may be NULL. */
const char *xd_record_values_wrong(const struct xd_quantity *quantity,
                                   const struct xd_batch_ref *batch_ref);

/* The name of a TLV whose tag fixes another length than `bytes`, or NULL. */
const char *xd_record_tlv_wrong(uint8_t tag, uint32_t bytes);

#endif
