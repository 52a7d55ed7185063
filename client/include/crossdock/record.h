/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: one logistics event each, as a program fills them in and as it reads them back.
 *
 * Texts are zero-terminated, borrowed for the time of the call, at most 255 bytes; NULL or "" means
 * absent. The payload is opaque to Crossdock.
 */
#ifndef CROSSDOCK_RECORD_H
#define CROSSDOCK_RECORD_H

#include <crossdock/base.h>
#include <crossdock/events.h>

XDOCK_BEGIN_DECLS

/* flags; bits 0-1 (fact, command, control, derived) come from the event type */
#define XDOCK_REVERSAL 0x0004u
#define XDOCK_CORRECTION 0x0008u
#define XDOCK_BACKDATED 0x0010u
#define XDOCK_SYNTHETIC 0x0020u /* made for a test or with made-up times */
#define XDOCK_LAST_IN_DOC 0x0040u
#define XDOCK_OPPOSITE 0x0080u /* second sense of a paired event: UNNESTED, FOUND, EXIT, CLOSED */

/* Document types. */
enum xdock_document_type {
    XDOCK_DOC_NONE = 0,
    XDOCK_DOC_PURCHASE_ORDER = 1,
    XDOCK_DOC_SALES_ORDER = 2,
    XDOCK_DOC_DELIVERY = 3,
    XDOCK_DOC_TRANSFER_ORDER = 4,
    XDOCK_DOC_WAVE = 5,
    XDOCK_DOC_RMA = 6,
    XDOCK_DOC_ASN = 7,
    XDOCK_DOC_BILL_OF_LADING = 8,
    XDOCK_DOC_COUNT = 9,
    XDOCK_DOC_WORK = 10,
    XDOCK_DOC_LOAD = 11,
    XDOCK_DOC_ADJUSTMENT = 12,
    XDOCK_DOC_SNAPSHOT = 13
};

/* Stock status. 16..255 belong to the site. */
enum xdock_stock_status {
    XDOCK_STATUS_NONE = 0,
    XDOCK_STATUS_AVAILABLE = 1,
    XDOCK_STATUS_QUALITY = 2,
    XDOCK_STATUS_BLOCKED = 3,
    XDOCK_STATUS_DAMAGED = 4,
    XDOCK_STATUS_RETURNED = 5,
    XDOCK_STATUS_EXPIRED = 6,
    XDOCK_STATUS_RECALLED = 7,
    XDOCK_STATUS_CUSTOMS = 8
};

#define XDOCK_UOM_PIECE "" /* no unit means pieces; else a UN/ECE Rec 20 code ("KGM") */

/* mantissa x 10^scale of a unit. Exact; there are no floats anywhere. */
typedef struct xdock_quantity {
    int32_t mantissa; /* */
    int8_t scale;     /* 0..-6 */
    uint8_t present;  /* 0 = the record has no quantity */
    char uom[4];      /* up to 3 characters, zero-terminated */
} xdock_quantity_t;

/* xdock_quantity(3, 0, XDOCK_UOM_PIECE); an unfit unit is reported when the record is sent. */
XDOCK_EXPORT xdock_quantity_t xdock_quantity(int32_t mantissa, int scale, const char *uom);
/* Parses "12", "-0.5", "1250.125": 0, or XDOCK_FIELD_INVALID (not a decimal, more than 6 places, or
 * outside +-2,147,483,647 units of its last place). */
XDOCK_EXPORT int xdock_quantity_parse(const char *text, const char *uom,
                                      xdock_quantity_t *ret_quantity);
/* Writes the decimal, cut to `bytes` with a terminator; returns its full length. */
XDOCK_EXPORT int xdock_quantity_format(xdock_quantity_t quantity, char *buffer, size_t bytes);

/* A record to be sent. Start from XDOCK_RECORD_INIT or xdock_record_init(). */
typedef struct xdock_record {
    uint32_t struct_bytes;        /* sizeof(xdock_record_t), set by the initialiser */
    uint16_t type;                /* enum xdock_event, or 0xf000 and up */
    uint16_t flags;               /* XDOCK_REVERSAL ... */
    const char *topic;            /* required */
    const char *sku;              /* stock group */
    const char *lot;              /* */
    const char *location;         /* from, or the only one */
    const char *location_to;      /* */
    const char *document;         /* document group: order, delivery, ASN, ... number */
    const char *reference;        /* task, load, wave, invoice */
    const char *handling_unit;    /* from, or the only one */
    const char *handling_unit_to; /* */
    const char *business_key;     /* what makes two records the same business fact */
    xdock_bytes_t payload;        /* opaque */
    xdock_quantity_t quantity;    /* */
    uint32_t owner;               /* 0 = the site's own */
    uint32_t document_line;       /* 0 = header */
    uint32_t document_revision;   /* 0 = none */
    uint32_t posting_date;        /* yyyymmdd, 0 = none */
    int64_t event_time_us;        /* us since 1970 UTC; 0 = now */
    uint64_t sequence;            /* the source's own number; 0 = the library counts */
    uint16_t reason;              /* */
    uint16_t document_step;       /* nth confirmation */
    uint8_t document_type;        /* enum xdock_document_type */
    uint8_t priority;             /* */
    uint8_t status_from;          /* enum xdock_stock_status */
    uint8_t status_to;            /* */
    uint8_t event_id[16];         /* all zero = a new UUIDv7 */
    uint8_t correlation_id[16];   /* all zero = none: lineage group */
    uint8_t causation_id[16];     /* all zero = none */
} xdock_record_t;

XDOCK_EXPORT void xdock_record_init(xdock_record_t *record);
/* Checks a record as sending it would, without a connection: 0, or XDOCK_FIELD_INVALID or
 * XDOCK_RECORD_MALFORMED. *ret_field then names the first field that does not fit, in some cases
 * followed by a colon and the reason. Static memory. */
XDOCK_EXPORT int xdock_record_check(const xdock_record_t *record, const char **ret_field);
#ifdef __cplusplus
#define XDOCK_RECORD_INIT                                                                          \
    []() {                                                                                         \
        xdock_record_t record;                                                                     \
        xdock_record_init(&record);                                                                \
        return record;                                                                             \
    }()
#else
#define XDOCK_RECORD_INIT                                                                          \
    {                                                                                              \
        sizeof(xdock_record_t)                                                                     \
    }
#endif

/* A record that was read. Everything it points to is borrowed: valid until the reader's next poll,
 * seek or close. */
typedef struct xdock_view {
    uint64_t offset;            /* in its partition */
    uint64_t sequence;          /* the source's number */
    int64_t append_time_us;     /* when the broker took it, us since 1970 UTC */
    int64_t event_time_us;      /* when it happened */
    uint64_t channel;           /* registry number of the channel */
    uint32_t partition;         /* */
    uint32_t facility;          /* registry number; name: xdock_reader_facility_name() */
    uint16_t type;              /* enum xdock_event */
    uint16_t flags;             /* */
    uint16_t channel_epoch;     /* */
    uint8_t document_type;      /* */
    uint8_t priority;           /* */
    uint32_t document_line;     /* */
    uint32_t owner;             /* */
    uint16_t document_step;     /* */
    uint16_t reason;            /* */
    uint8_t status_from;        /* */
    uint8_t status_to;          /* */
    uint8_t reserved[6];        /* zero */
    xdock_quantity_t quantity;  /* present = 0 when there is none */
    uint32_t document_revision; /* */
    uint32_t posting_date;      /* */
    uint8_t event_id[16];       /* */
    xdock_bytes_t payload;      /* */
    const void *internal;       /* the library's */
} xdock_view_t;

/* Texts of a view; empty when absent. Short keys are unpacked into `scratch` (of the caller, at
 * least 20 bytes), longer ones are borrowed from the view. */
XDOCK_EXPORT xdock_bytes_t xdock_view_sku(const xdock_view_t *view, char *scratch);
XDOCK_EXPORT xdock_bytes_t xdock_view_lot(const xdock_view_t *view, char *scratch);
XDOCK_EXPORT xdock_bytes_t xdock_view_location(const xdock_view_t *view, char *scratch);
XDOCK_EXPORT xdock_bytes_t xdock_view_location_to(const xdock_view_t *view, char *scratch);
XDOCK_EXPORT xdock_bytes_t xdock_view_document(const xdock_view_t *view, char *scratch);
XDOCK_EXPORT xdock_bytes_t xdock_view_reference(const xdock_view_t *view, char *scratch);
XDOCK_EXPORT xdock_bytes_t xdock_view_handling_unit(const xdock_view_t *view, char *scratch);
XDOCK_EXPORT xdock_bytes_t xdock_view_handling_unit_to(const xdock_view_t *view, char *scratch);
XDOCK_EXPORT xdock_bytes_t xdock_view_business_key(const xdock_view_t *view);

/* 16 bytes, all zero when the record has no lineage. */
XDOCK_EXPORT void xdock_view_lineage(const xdock_view_t *view, uint8_t ret_correlation[16],
                                     uint8_t ret_causation[16]);

/* Event names: "PICK_CONFIRMED"; NULL for an unknown code; 0 for an unknown name. */
XDOCK_EXPORT const char *xdock_event_name(uint16_t type);
XDOCK_EXPORT uint16_t xdock_event_find(const char *name);
/* Topic that an event belongs to ("stock"); NULL for an unknown code. */
XDOCK_EXPORT const char *xdock_event_topic(uint16_t type);

XDOCK_END_DECLS

#endif
