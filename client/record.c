/* SPDX-License-Identifier: Apache-2.0
 *
 * Public records: initialising, quantities, and the way to the wire's encoder.
 *
 * Normal path: each group is present when one of its fields says something; the event's row decides
 * the kind bits and which groups must be there; texts are measured and borrowed.
 * Failure paths: the first field that does not fit is named and nothing is filled in. What this
 * file lets through the encoder may still refuse (ranges of the format).
 */
#include "client/record.h"

#include "wire/checksum.h"
#include "wire/event.h"
#include "wire/key64.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static_assert(XDOCK_REVERSAL == XD_RECORD_REVERSAL, "the flags are the wire's");
static_assert(XDOCK_CORRECTION == XD_RECORD_CORRECTION, "the flags are the wire's");
static_assert(XDOCK_BACKDATED == XD_RECORD_BACKDATED, "the flags are the wire's");
static_assert(XDOCK_SYNTHETIC == XD_RECORD_SYNTHETIC, "the flags are the wire's");
static_assert(XDOCK_LAST_IN_DOC == XD_RECORD_LAST_IN_DOC, "the flags are the wire's");
static_assert(XDOCK_OPPOSITE == XD_RECORD_OPPOSITE, "the flags are the wire's");

/* What a program may set; the kind bits are allowed and replaced, so that a flag word that was read
 * can be sent again. */
#define FLAGS_PUBLIC                                                                               \
    (XD_RECORD_KIND_MASK | XDOCK_REVERSAL | XDOCK_CORRECTION | XDOCK_BACKDATED | XDOCK_SYNTHETIC | \
     XDOCK_LAST_IN_DOC | XDOCK_OPPOSITE)
#define BASE_SCALE 4 /* base_quantity counts 10^-4 */

void xdock_record_init(xdock_record_t *record)
{
    XD_ASSERT(record != NULL);
    memset(record, 0, sizeof(*record));
    record->struct_bytes = sizeof(*record);
}

/* ---- quantities ------------------------------------------------------------------------------ */

xdock_quantity_t xdock_quantity(int32_t mantissa, int scale, const char *uom)
{
    xdock_quantity_t quantity = {.mantissa = mantissa, .present = 1};
    /* An unfit scale or unit keeps a value that sending refuses by name. */
    quantity.scale = (int8_t)(scale < XD_SCALE_MIN || scale > 0 ? 1 : scale);
    size_t bytes = uom != NULL ? strnlen(uom, sizeof(quantity.uom)) : 0;
    if (bytes < sizeof(quantity.uom))
        memcpy(quantity.uom, uom != NULL ? uom : "", bytes);
    else
        quantity.uom[0] = '?';
    return quantity;
}

int xdock_quantity_parse(const char *text, const char *uom, xdock_quantity_t *ret_quantity)
{
    XD_ASSERT(text != NULL && ret_quantity != NULL);
    const char *at = text;
    bool negative = *at == '-';
    at += negative || *at == '+' ? 1 : 0;
    int64_t mantissa = 0;
    int scale = 0;
    bool digits = false;
    bool point = false;
    for (; *at != '\0'; at++) {
        if (*at == '.' && !point) {
            point = true;
            continue;
        }
        if (*at < '0' || *at > '9')
            return XD_FIELD_INVALID;
        digits = true;
        mantissa = mantissa * 10 + (*at - '0');
        scale -= point ? 1 : 0;
        if (mantissa > INT32_MAX || scale < XD_SCALE_MIN)
            return XD_FIELD_INVALID;
    }
    if (!digits || (point && scale == 0))
        return XD_FIELD_INVALID;
    xdock_quantity_t quantity =
        xdock_quantity((int32_t)(negative ? -mantissa : mantissa), scale, uom);
    if (quantity.uom[0] == '?' || xd_uom_encode(quantity.uom, strlen(quantity.uom)) < 0)
        return XD_FIELD_INVALID;
    *ret_quantity = quantity;
    return 0;
}

int xdock_quantity_format(xdock_quantity_t quantity, char *buffer, size_t bytes)
{
    XD_ASSERT(buffer != NULL || bytes == 0);
    int places = quantity.scale < 0 ? -quantity.scale : 0;
    int64_t divisor = 1;
    for (int i = 0; i < places; i++)
        divisor *= 10;
    int64_t value = quantity.mantissa;
    const char *sign = value < 0 ? "-" : "";
    value = value < 0 ? -value : value;
    if (places == 0)
        return snprintf(buffer, bytes, "%s%lld", sign, (long long)value);
    return snprintf(buffer, bytes, "%s%lld.%0*lld", sign, (long long)(value / divisor), places,
                    (long long)(value % divisor));
}

static int prepare_quantity(const xdock_quantity_t *from, struct xd_quantity *to,
                            const char **ret_field)
{
    int uom = xd_uom_encode(from->uom, strnlen(from->uom, sizeof(from->uom)));
    if (uom < 0) {
        *ret_field = "quantity.uom";
        return XD_FIELD_INVALID;
    }
    if (from->scale > 0 || from->scale < XD_SCALE_MIN) {
        *ret_field = "quantity.scale";
        return XD_FIELD_INVALID;
    }
    XD_ASSERT(uom <= UINT16_MAX);
    to->quantity = from->mantissa;
    to->uom = (uint16_t)uom;
    to->scale = from->scale;
    if (uom != 0) { /* the item master knows the conversion, the client does not */
        to->flags = XD_QUANTITY_UNCONVERTED;
        return 0;
    }
    int64_t base = from->mantissa;
    int shift = BASE_SCALE + from->scale;
    for (; shift > 0; shift--)
        base *= 10;
    for (; shift < 0; shift++) {
        if (base % 10 != 0)
            to->flags = XD_QUANTITY_UOM_INEXACT;
        base /= 10;
    }
    to->base_quantity = base;
    return 0;
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* Borrows a text. False: it is too long. */
static bool take_text(const char *text, struct xd_text *ret_text)
{
    if (text == NULL || *text == '\0') {
        *ret_text = (struct xd_text){NULL, 0};
        return true;
    }
    size_t bytes = strnlen(text, XD_TEXT_BYTES_MAX + 1);
    *ret_text = (struct xd_text){text, (uint32_t)bytes};
    return bytes <= XD_TEXT_BYTES_MAX;
}

static const char *prepare_texts(const xdock_record_t *record, struct xd_record_build *build)
{
    if (!take_text(record->sku, &build->sku))
        return "sku";
    if (!take_text(record->lot, &build->lot))
        return "lot";
    if (!take_text(record->location, &build->location_from))
        return "location";
    if (!take_text(record->location_to, &build->location_to))
        return "location_to";
    if (!take_text(record->document, &build->document_text))
        return "document";
    if (!take_text(record->reference, &build->reference_text))
        return "reference";
    if (!take_text(record->handling_unit, &build->hu_from))
        return "handling_unit";
    if (!take_text(record->handling_unit_to, &build->hu_to))
        return "handling_unit_to";
    if (!take_text(record->business_key, &build->business_key_text))
        return "business_key";
    return NULL;
}

static bool any_byte(const uint8_t id[16])
{
    uint64_t words[2];
    memcpy(words, id, sizeof(words));
    return (words[0] | words[1]) != 0;
}

static uint8_t present_groups(const xdock_record_t *record, const struct xd_record_build *build)
{
    unsigned present = 0;
    if (build->sku.bytes || build->lot.bytes || build->location_from.bytes ||
        build->location_to.bytes || record->owner || record->reason || record->status_from ||
        record->status_to)
        present |= XD_GROUP_STOCK;
    if (record->quantity.present)
        present |= XD_GROUP_QUANTITY;
    if (build->document_text.bytes || build->reference_text.bytes || record->document_line ||
        record->document_step || record->document_type || record->priority)
        present |= XD_GROUP_DOCUMENT;
    if (build->hu_from.bytes || build->hu_to.bytes)
        present |= XD_GROUP_HU;
    if (any_byte(record->correlation_id) || any_byte(record->causation_id))
        present |= XD_GROUP_LINEAGE;
    if (record->document_revision || record->posting_date)
        present |= XD_GROUP_REVISION;
    return (uint8_t)present;
}

/* What to fill in for a group that the event needs. */
static const char *group_hint(const char *group)
{
    static const char *const hints[][2] = {
        {"stock", "sku: this event needs a stock group"},
        {"quantity", "quantity: this event needs one"},
        {"document", "document: this event needs one"},
        {"hu", "handling_unit: this event needs one"},
        {"lineage", "causation_id: this event needs the id of what it undoes"},
        {"revision", "document_revision: this event needs one"},
    };
    for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++) {
        if (strcmp(hints[i][0], group) == 0)
            return hints[i][1];
    }
    return group;
}

/* Kind and required groups of the event. */
static int prepare_event(const xdock_record_t *record, struct xd_record_core *core,
                         const char **ret_field)
{
    if (record->flags & ~FLAGS_PUBLIC) {
        *ret_field = "flags";
        return XD_FIELD_INVALID;
    }
    const struct xd_event_row *row = xd_event_find(record->type);
    unsigned kind = row != NULL ? row->kind : XD_RECORD_FACT;
    core->flags = (uint16_t)((record->flags & ~XD_RECORD_KIND_MASK) | kind);
    core->type = record->type;
    int status = xd_event_check(record->type, core->flags, core->present, ret_field);
    if (status == XD_RECORD_MALFORMED)
        *ret_field = group_hint(*ret_field);
    return status;
}

int xd_record_prepare(const xdock_record_t *record, struct xd_record_build *build,
                      const char **ret_field)
{
    XD_ASSERT(record != NULL && ret_field != NULL);
    XD_ASSERT(build != NULL);
    if (record->struct_bytes != sizeof(*record)) {
        *ret_field = "struct_bytes (start from XDOCK_RECORD_INIT)";
        return XD_FIELD_INVALID;
    }
    memset(build, 0, sizeof(*build));
    const char *wrong = prepare_texts(record, build);
    if (wrong == NULL && record->payload.bytes > XD_RECORD_BYTES_MAX)
        wrong = "payload";
    if (wrong == NULL && record->payload.data == NULL && record->payload.bytes > 0)
        wrong = "payload";
    if (wrong != NULL) {
        *ret_field = wrong;
        return XD_FIELD_INVALID;
    }
    struct xd_record_core *core = &build->core;
    core->present = present_groups(record, build);
    int status = prepare_event(record, core, ret_field);
    if (status == 0 && record->quantity.present)
        status = prepare_quantity(&record->quantity, &build->quantity, ret_field);
    if (status < 0)
        return status;

    memcpy(core->event_id, record->event_id, sizeof(core->event_id));
    core->event_time_us = record->event_time_us;
    build->stock.owner = record->owner;
    build->stock.reason = record->reason;
    build->stock.status_from = record->status_from;
    build->stock.status_to = record->status_to;
    build->document.line = record->document_line;
    build->document.step = record->document_step;
    build->document.type = record->document_type;
    build->document.priority = record->priority;
    memcpy(build->lineage.correlation_id, record->correlation_id, 16);
    memcpy(build->lineage.causation_id, record->causation_id, 16);
    build->revision.document_revision = record->document_revision;
    build->revision.posting_date = record->posting_date;
    build->payload = record->payload.data;
    build->payload_bytes = (uint32_t)record->payload.bytes;
    return 0;
}

int xdock_record_check(const xdock_record_t *record, const char **ret_field)
{
    struct xd_record_build build;
    return xd_record_prepare(record, &build, ret_field);
}

/* ---- routing --------------------------------------------------------------------------------- */

static uint64_t key_of(const struct xd_text *text)
{
    XD_ASSERT(text->bytes <= XD_TEXT_BYTES_MAX);
    return xd_key64(text->data, text->bytes);
}

uint32_t xd_record_route_key(enum xd_strategy strategy, const struct xd_record_build *build)
{
    XD_ASSERT((unsigned)strategy < XD_STRATEGY_COUNT);
    struct xd_route_fields fields = {0};
    if (strategy == XD_STRATEGY_SKU && build->sku.bytes > 0) {
        fields.sku = key_of(&build->sku); /* the most frequent case needs one key only */
        return xd_route_key(strategy, &fields);
    }
    fields.sku = key_of(&build->sku);
    fields.location_from = key_of(&build->location_from);
    fields.location_to = key_of(&build->location_to);
    fields.document = key_of(&build->document_text);
    fields.hu_from = key_of(&build->hu_from);
    fields.hu_to = key_of(&build->hu_to);
    if (build->business_key_text.bytes > 0)
        fields.business_key =
            xd_xxh3(build->business_key_text.data, build->business_key_text.bytes);
    return xd_route_key(strategy, &fields);
}

/* ---- identifiers ----------------------------------------------------------------------------- */

/* SplitMix64: one multiplication chain per number, every state gives another number. */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void xd_event_id(uint8_t ret_id[16], int64_t time_us, uint64_t *random_state)
{
    uint64_t ms = time_us > 0 ? (uint64_t)time_us / 1000u : 0;
    uint64_t high = ms << 16 | 0x7000u | (random_next(random_state) & 0x0fffu);
    uint64_t low = (random_next(random_state) >> 2) | 1ull << 63;
    high = __builtin_bswap64(high);
    low = __builtin_bswap64(low);
    memcpy(ret_id, &high, sizeof(high));
    memcpy(ret_id + sizeof(high), &low, sizeof(low));
}

/* ---- event names ----------------------------------------------------------------------------- */

const char *xdock_event_name(uint16_t type)
{
    const struct xd_event_row *row = xd_event_find(type);
    return row != NULL ? row->name : NULL;
}

uint16_t xdock_event_find(const char *name)
{
    XD_ASSERT(name != NULL);
    const struct xd_event_row *row = xd_event_find_name(name, (uint32_t)strnlen(name, 256));
    return row != NULL ? row->code : 0;
}

const char *xdock_event_topic(uint16_t type)
{
    const struct xd_event_row *row = xd_event_find(type);
    return row != NULL ? row->topic : NULL;
}
