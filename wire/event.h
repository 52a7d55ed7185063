/* SPDX-License-Identifier: Apache-2.0
 *
 * Event codes: what a record says has happened. One row per code in event.def; names, required
 * groups, kind and topic come from there, and docs are generated from it.
 */
#ifndef CROSSDOCK_WIRE_EVENT_H
#define CROSSDOCK_WIRE_EVENT_H

#include <stdint.h>

#define XD_EVENT_PRIVATE_FIRST 0xf000u /* codes from here on are the source's own */

enum xd_event_code {
#define X(name, code, kind, topic, groups, text) XD_EVENT_##name = (code),
#include "wire/event.def"
#undef X
};

struct xd_event_row {
    const char *name;  /* "PICK_CONFIRMED"; of a paired code the sense without OPPOSITE */
    const char *topic; /* home topic: "stock", "order", "hu", "master", "ops" */
    const char *text;  /* one line for docs */
    uint16_t code;     /* 0x0107 */
    uint8_t kind;      /* XD_RECORD_FACT .. XD_RECORD_DERIVED */
    uint8_t groups;    /* enum xd_group bits that must be present */
};

/* The row of a code, or NULL (private codes have none). Static memory. O(1). */
const struct xd_event_row *xd_event_find(uint16_t code);
/* The row of a name (exact, upper case), or NULL. */
const struct xd_event_row *xd_event_find_name(const char *name, uint32_t bytes);
/* Row number `row` from 0 in rising code sequence, or NULL behind the last. */
const struct xd_event_row *xd_event_at(unsigned row);

/* 0 when a record of this code carries the required groups and the kind of its row, or is private;
 * XD_FIELD_INVALID for an unknown code; XD_RECORD_MALFORMED otherwise; *ret_field names it. */
int xd_event_check(uint16_t code, uint16_t flags, uint8_t present, const char **ret_field);

#endif
