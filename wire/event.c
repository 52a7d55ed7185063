/* SPDX-License-Identifier: Apache-2.0
 *
 * Event codes: look-up by code, by name and by row, and the check of a record against its row.
 *
 * Normal path: a table indexed by family and number gives the row of a code in one load; names are
 * found by binary search. All tables are made by the compiler from event.def.
 * Failure paths: an unknown code or name has no row; a record that lacks a group of its row, or has
 * another kind, is named malformed with that field. Must not look at values inside the groups.
 */
#include "wire/event.h"

#include "wire/record.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

/* Row numbers in the sequence of event.def. */
enum row {
#define X(name, code, kind, topic, groups, text) ROW_##name,
#include "wire/event.def"
#undef X
    ROW_COUNT
};
static_assert(ROW_COUNT == 77, "62 business, 4 master, 7 control and 4 derived events");

/* The letters of event.def. */
#define S XD_GROUP_STOCK
#define Q XD_GROUP_QUANTITY
#define D XD_GROUP_DOCUMENT
#define H XD_GROUP_HU
#define L XD_GROUP_LINEAGE
#define R XD_GROUP_REVISION
static const struct xd_event_row rows[ROW_COUNT] = {
#define X(name, code, kind, topic, groups, text)                                                   \
    {#name, #topic, text, (code), XD_RECORD_##kind, (groups)},
#include "wire/event.def"
#undef X
};
#undef S
#undef Q
#undef D
#undef H
#undef L
#undef R

/* A code is a family in the high byte (1..9) and a number from 1 in the low byte. */
#define FAMILIES 9u
#define NUMBERS 0x18u

/* Row number + 1 of each code, 0 = no such code. A code outside the table does not compile. */
static const uint8_t row_of_code[FAMILIES + 1][NUMBERS] = {
#define X(name, code, kind, topic, groups, text) [(code) >> 8][(code)&0xff] = ROW_##name + 1,
#include "wire/event.def"
#undef X
};

/* Rows in rising sequence of their names, as strcmp sees them. The test of this file fails when a
 * row is missing or out of sequence. */
static const uint8_t row_by_name[] = {
    ROW_ASN_RECEIVED,
    ROW_CARTONIZED,
    ROW_COMMAND_ACCEPTED,
    ROW_COMMAND_REFUSED,
    ROW_COUNT_REQUESTED,
    ROW_COUNT_RESULT,
    ROW_CROSSDOCK_ASSIGNED,
    ROW_DEGRADED_ENTER,
    ROW_DISPATCH_MILESTONE,
    ROW_DOCK_ARRIVED,
    ROW_DOC_LINKED,
    ROW_EVENT_VOIDED,
    ROW_EXCEPTION,
    ROW_GAP_OPEN,
    ROW_HU_BROKEN,
    ROW_HU_BUILT,
    ROW_HU_CLOSED,
    ROW_HU_CONTENT_CHANGED,
    ROW_HU_LABELLED,
    ROW_HU_LOST,
    ROW_HU_NESTED,
    ROW_ITEM_UPSERT,
    ROW_LOADED,
    ROW_LOCATION_UPSERT,
    ROW_LOT_CHANGED,
    ROW_ORDER_ALLOCATED,
    ROW_ORDER_BACKORDERED,
    ROW_ORDER_CANCELLED,
    ROW_ORDER_CHANGED,
    ROW_ORDER_CLOSED,
    ROW_ORDER_INVOICED,
    ROW_ORDER_RELEASED,
    ROW_OWNER_CHANGED,
    ROW_PACK_CONFIRMED,
    ROW_PARTNER_UPSERT,
    ROW_PICK_CONFIRMED,
    ROW_PICK_REVERSED,
    ROW_PICK_SHORT,
    ROW_POSTED,
    ROW_PUTAWAY_CONFIRMED,
    ROW_REASON_UPSERT,
    ROW_RECALL_ISSUED,
    ROW_RECEIPT_CLOSED,
    ROW_RECEIPT_CONFIRMED,
    ROW_RECEIPT_DISCREPANCY,
    ROW_RECEIPT_EXPECTED,
    ROW_RECEIPT_REVERSED,
    ROW_RECON_RESULT,
    ROW_REJECTED,
    ROW_REPLEN_CONFIRMED,
    ROW_REPLEN_REQUESTED,
    ROW_RESERVED,
    ROW_RETURN_DISPOSITIONED,
    ROW_RETURN_INSPECTED,
    ROW_RETURN_RECEIVED,
    ROW_RMA_AUTHORIZED,
    ROW_SCRAPPED,
    ROW_SHIPMENT_CONFIRMED,
    ROW_SHIPMENT_REVERSED,
    ROW_SLA_BREACH,
    ROW_SNAPSHOT_BEGIN,
    ROW_SNAPSHOT_END,
    ROW_SNAPSHOT_LINE,
    ROW_SOURCE_EPOCH,
    ROW_SOURCE_HEARTBEAT,
    ROW_STAGED,
    ROW_STATUS_CHANGED,
    ROW_STOCK_ADJUSTED,
    ROW_STOCK_MOVED,
    ROW_TRANSFER_DISCREPANCY,
    ROW_TRANSFER_ORDERED,
    ROW_TRANSFER_RECEIVED,
    ROW_TRANSFER_SHIPPED,
    ROW_TRANSFORMED,
    ROW_UNLOADED,
    ROW_UNRESERVED,
    ROW_WAVE_RELEASED,
};
static_assert(sizeof(row_by_name) == ROW_COUNT, "every row is in the name index");

const struct xd_event_row *xd_event_find(uint16_t code)
{
    unsigned family = code >> 8;
    unsigned number = code & 0xffu;
    if (family > FAMILIES || number >= NUMBERS || row_of_code[family][number] == 0)
        return NULL;
    XD_ASSERT(row_of_code[family][number] <= ROW_COUNT);
    const struct xd_event_row *row = &rows[row_of_code[family][number] - 1];
    XD_ASSERT(row->code == code);
    return row;
}

/* Below, equal or above 0, as `name` stands before, at or behind the zero-terminated `other`. */
static int name_compare(const char *name, size_t bytes, const char *other)
{
    XD_ASSERT(name && other);
    size_t other_bytes = strlen(other);
    int diff = memcmp(name, other, bytes < other_bytes ? bytes : other_bytes);
    if (diff)
        return diff;
    return bytes == other_bytes ? 0 : bytes < other_bytes ? -1 : 1;
}

const struct xd_event_row *xd_event_find_name(const char *name, uint32_t bytes)
{
    XD_ASSERT(name || bytes == 0);
    if (bytes == 0)
        return NULL;
    unsigned low = 0;
    unsigned high = ROW_COUNT; /* the row is in [low, high), if anywhere */
    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        const struct xd_event_row *row = &rows[row_by_name[middle]];
        int diff = name_compare(name, bytes, row->name);
        if (diff == 0)
            return row;
        if (diff < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const struct xd_event_row *xd_event_at(unsigned row)
{
    return row < ROW_COUNT ? &rows[row] : NULL;
}

/* The name of the lowest group in `missing`. */
static const char *group_name(uint8_t missing)
{
    static const char *const names[] = {"stock",   "quantity",  "document", "hu",
                                        "lineage", "batch_ref", "revision"};
    XD_ASSERT(missing != 0 && (missing & ~XD_GROUPS_ALL) == 0);
    return names[__builtin_ctz(missing)];
}

int xd_event_check(uint16_t code, uint16_t flags, uint8_t present, const char **ret_field)
{
    XD_ASSERT(ret_field);
    if (code >= XD_EVENT_PRIVATE_FIRST)
        return 0;
    const struct xd_event_row *row = xd_event_find(code);
    if (!row) {
        *ret_field = "type";
        return XD_FIELD_INVALID;
    }
    if ((flags & XD_RECORD_KIND_MASK) != row->kind) {
        *ret_field = "flags";
        return XD_RECORD_MALFORMED;
    }
    uint8_t missing = (uint8_t)(row->groups & ~present);
    if (missing) {
        *ret_field = group_name(missing);
        return XD_RECORD_MALFORMED;
    }
    return 0;
}
