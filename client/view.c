/* SPDX-License-Identifier: Apache-2.0
 *
 * Views of records that were read, and their accessors.
 *
 * Groups that a record lacks read as zero or empty. A text whose key holds it exactly is unpacked
 * into the caller's scratch; a longer one is borrowed from the record.
 * Nothing fails: the record was decoded before, which proved its keys and texts.
 */
#include "client/view.h"

#include "wire/key64.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <assert.h>
#include <string.h>

static_assert(XD_KEY_TEXT_BYTES_MAX <= 20, "scratch as the public header states it");

static void fill_quantity(xdock_quantity_t *to, const struct xd_quantity *from)
{
    char uom[XD_UOM_TEXT_BYTES_MAX];
    int bytes = xd_uom_decode(from->uom, uom);
    to->mantissa = from->quantity;
    to->scale = from->scale;
    to->present = 1;
    if (bytes > 0)
        memcpy(to->uom, uom, (size_t)bytes);
}

void xd_view_fill(struct xd_view *element, const struct xd_batch_header *batch, uint32_t index)
{
    const struct xd_record *record = &element->record;
    const struct xd_record_core *core = record->core;
    XD_ASSERT(core != NULL && index < batch->record_count);
    xdock_view_t *view = &element->view;
    memset(view, 0, sizeof(*view));
    view->offset = batch->base_offset + index;
    view->sequence = core->source_sequence;
    view->append_time_us = batch->append_time_us;
    view->event_time_us = core->event_time_us;
    view->channel = core->channel;
    view->partition = batch->partition;
    view->facility = core->facility;
    view->type = core->type;
    view->flags = core->flags;
    view->channel_epoch = core->channel_epoch;
    memcpy(view->event_id, core->event_id, sizeof(view->event_id));
    view->payload = xdock_bytes(record->payload, record->payload_bytes);
    view->internal = record;
    if (record->stock != NULL) {
        view->owner = record->stock->owner;
        view->reason = record->stock->reason;
        view->status_from = record->stock->status_from;
        view->status_to = record->stock->status_to;
    }
    if (record->quantity != NULL)
        fill_quantity(&view->quantity, record->quantity);
    if (record->document != NULL) {
        view->document_line = record->document->line;
        view->document_step = record->document->step;
        view->document_type = record->document->type;
        view->priority = record->document->priority;
    }
    if (record->revision != NULL) {
        view->document_revision = record->revision->document_revision;
        view->posting_date = record->revision->posting_date;
    }
}

int xd_view_key_is(const struct xd_record *record, uint64_t field, uint8_t tag, uint64_t key,
                   struct xd_text text)
{
    if (field != key)
        return 0;
    if (xd_key_kind(key) != XD_KEY_HASHED)
        return 1;
    char scratch[XD_KEY_TEXT_BYTES_MAX];
    struct xd_text have;
    if (xd_record_key_text(record, field, tag, scratch, &have) < 0)
        return 0;
    return have.bytes == text.bytes && memcmp(have.data, text.data, text.bytes) == 0;
}

/* ---- accessors ------------------------------------------------------------------------------- */

static const struct xd_record *record_of(const xdock_view_t *view)
{
    XD_ASSERT(view != NULL && view->internal != NULL);
    return view->internal;
}

static xdock_bytes_t text_of(const struct xd_record *record, uint64_t key, uint8_t tag,
                             char *scratch)
{
    XD_ASSERT(scratch != NULL);
    struct xd_text text;
    if (key == 0 || xd_record_key_text(record, key, tag, scratch, &text) < 0)
        return xdock_bytes(NULL, 0);
    return xdock_bytes(text.data, text.bytes);
}

xdock_bytes_t xdock_view_sku(const xdock_view_t *view, char *scratch)
{
    const struct xd_record *record = record_of(view);
    return text_of(record, record->stock != NULL ? record->stock->sku : 0, XD_TAG_SKU, scratch);
}

xdock_bytes_t xdock_view_lot(const xdock_view_t *view, char *scratch)
{
    const struct xd_record *record = record_of(view);
    return text_of(record, record->stock != NULL ? record->stock->lot : 0, XD_TAG_LOT, scratch);
}

xdock_bytes_t xdock_view_location(const xdock_view_t *view, char *scratch)
{
    const struct xd_record *record = record_of(view);
    return text_of(record, record->stock != NULL ? record->stock->location_from : 0,
                   XD_TAG_LOCATION_FROM, scratch);
}

xdock_bytes_t xdock_view_location_to(const xdock_view_t *view, char *scratch)
{
    const struct xd_record *record = record_of(view);
    return text_of(record, record->stock != NULL ? record->stock->location_to : 0,
                   XD_TAG_LOCATION_TO, scratch);
}

xdock_bytes_t xdock_view_document(const xdock_view_t *view, char *scratch)
{
    const struct xd_record *record = record_of(view);
    return text_of(record, record->document != NULL ? record->document->document : 0,
                   XD_TAG_DOCUMENT, scratch);
}

xdock_bytes_t xdock_view_reference(const xdock_view_t *view, char *scratch)
{
    const struct xd_record *record = record_of(view);
    return text_of(record, record->document != NULL ? record->document->reference : 0,
                   XD_TAG_REFERENCE, scratch);
}

xdock_bytes_t xdock_view_handling_unit(const xdock_view_t *view, char *scratch)
{
    const struct xd_record *record = record_of(view);
    return text_of(record, record->hu != NULL ? record->hu->hu_from : 0, XD_TAG_HU_FROM, scratch);
}

xdock_bytes_t xdock_view_handling_unit_to(const xdock_view_t *view, char *scratch)
{
    const struct xd_record *record = record_of(view);
    return text_of(record, record->hu != NULL ? record->hu->hu_to : 0, XD_TAG_HU_TO, scratch);
}

xdock_bytes_t xdock_view_business_key(const xdock_view_t *view)
{
    uint32_t cursor = 0;
    struct xd_text text;
    if (xd_record_tlv(record_of(view), XD_TAG_BUSINESS_KEY, &cursor, &text) < 0)
        return xdock_bytes(NULL, 0);
    return xdock_bytes(text.data, text.bytes);
}

void xdock_view_lineage(const xdock_view_t *view, uint8_t ret_correlation[16],
                        uint8_t ret_causation[16])
{
    const struct xd_record *record = record_of(view);
    if (record->lineage == NULL) {
        memset(ret_correlation, 0, 16);
        memset(ret_causation, 0, 16);
        return;
    }
    memcpy(ret_correlation, record->lineage->correlation_id, 16);
    memcpy(ret_causation, record->lineage->causation_id, 16);
}
