/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: one logistics event each. `core 64 B | groups by presence bit | TLVs | payload`.
 *
 * A record starts on an 8-byte boundary of its batch body; the 0..7 bytes up to the next are zero.
 * Offset, append time and checksum are in the batch header. Byte table: docs/PROTOCOL.md.
 * The payload is opaque. Pure: no I/O, no allocation, no clock.
 */
#ifndef CROSSDOCK_WIRE_RECORD_H
#define CROSSDOCK_WIRE_RECORD_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/limits.h"
#include "wire/request.h"

struct xd_record_core {
    uint8_t event_id[16];     /*  0 UUIDv7, or an EPCIS event hash cut to 16 B */
    uint64_t source_sequence; /* 16 the channel's number of this record */
    int64_t event_time_us;    /* 24 us since 1970 UTC, when it physically happened */
    uint64_t business_key;    /* 32 XXH3-64 of the business-key tuple, 0 = none */
    uint32_t channel;         /* 40 registry number of the channel (= producer_id of its batch) */
    uint32_t facility;        /* 44 registry number, 0 = global */
    uint32_t route_key;       /* 48 high half of XXH3-64 over the topic's key fields */
    uint32_t record_bytes;    /* 52 core + groups + TLVs + payload */
    uint16_t type;            /* 56 event code, 0x0107; 0xf000 and up are private */
    uint16_t flags;           /* 58 XD_RECORD_* */
    uint16_t channel_epoch;   /* 60 numbering epoch of the channel */
    uint8_t present;          /* 62 enum xd_group bits */
    uint8_t tlv_words;        /* 63 TLV area in units of 8 B */
};
static_assert(sizeof(struct xd_record_core) == 64, "record core size");

/* flags, bits 0-1: kind of event */
#define XD_RECORD_KIND_MASK 0x0003u
#define XD_RECORD_FACT 0x0000u
#define XD_RECORD_COMMAND 0x0001u
#define XD_RECORD_CONTROL 0x0002u
#define XD_RECORD_DERIVED 0x0003u
#define XD_RECORD_REVERSAL 0x0004u
#define XD_RECORD_CORRECTION 0x0008u
#define XD_RECORD_BACKDATED 0x0010u
#define XD_RECORD_SYNTHETIC 0x0020u
#define XD_RECORD_LAST_IN_DOC 0x0040u
#define XD_RECORD_OPPOSITE 0x0080u
#define XD_RECORD_CONDITIONAL 0x0100u
#define XD_RECORD_KEY_WARNED 0x0200u
#define XD_RECORD_FLAGS_ALL 0x03ffu

/* Groups, in the sequence of their presence bits. */
enum xd_group {
    XD_GROUP_STOCK = 0x01,    /* S 40 B */
    XD_GROUP_QUANTITY = 0x02, /* Q 16 B */
    XD_GROUP_DOCUMENT = 0x04, /* D 24 B */
    XD_GROUP_HU = 0x08,       /* H 16 B */
    XD_GROUP_LINEAGE = 0x10,  /* L 48 B */
    XD_GROUP_BATCH = 0x20,    /* B 16 B */
    XD_GROUP_REVISION = 0x40, /* R 8 B */
    XD_GROUPS_ALL = 0x7f
};
struct xd_stock {
    uint64_t sku;           /*  0 key64, 0 = none; as the three below */
    uint64_t lot;           /*  8 */
    uint64_t location_from; /* 16 where the goods were */
    uint64_t location_to;   /* 24 where they are now */
    uint32_t owner;         /* 32 registry number, 0 = the site's own */
    uint16_t reason;        /* 36 the site's reason code, 0 = none */
    uint8_t status_from;    /* 38 1 AVAILABLE .. 8 CUSTOMS, 16-255 per site, 0 = none */
    uint8_t status_to;      /* 39 as status_from */
};
struct xd_quantity {
    int64_t base_quantity; /* 0 10^-4 base units */
    int32_t quantity;      /* 8 source mantissa */
    uint16_t uom;          /* 12 UN/ECE Rec 20 code, up to 3 characters in base 37, 0 = pieces */
    int8_t scale;          /* 14 0..-6: quantity x 10^scale */
    uint8_t flags;         /* 15 XD_QUANTITY_* */
};
#define XD_SCALE_MIN (-6)
#define XD_QUANTITY_UOM_INEXACT 0x01u  /* conversion to base units left a remainder */
#define XD_QUANTITY_WIDE 0x02u         /* the source quantity is in TLV QTY_WIDE */
#define XD_QUANTITY_CATCH_WEIGHT 0x04u /* a second quantity is in a TLV */
#define XD_QUANTITY_UNCONVERTED 0x08u  /* base_quantity is not known */
#define XD_QUANTITY_FLAGS_ALL 0x0fu
struct xd_document {
    uint64_t document;  /*  0 key64 */
    uint64_t reference; /*  8 key64: task, load, wave, invoice */
    uint32_t line;      /* 16 0 = header */
    uint16_t step;      /* 20 nth confirmation */
    uint8_t type;       /* 22 1 PO .. 13 SNAPSHOT */
    uint8_t priority;   /* 23 */
};
struct xd_hu {
    uint64_t hu_from; /* 0 key64 */
    uint64_t hu_to;   /* 8 key64 */
};
struct xd_lineage {
    uint8_t correlation_id[16]; /*  0 order-to-cash case */
    uint8_t causation_id[16];   /* 16 */
    int64_t source_time_us;     /* 32 */
    uint32_t actor;             /* 40 */
    uint16_t device;            /* 44 */
    int16_t tz_offset_min;      /* 46 */
};
struct xd_batch_ref {
    uint64_t batch_id; /* 0 */
    uint32_t part;     /* 8 1..parts */
    uint32_t parts;    /* 12 */
};
struct xd_revision {
    uint32_t document_revision; /* 0 */
    uint32_t posting_date;      /* 4 yyyymmdd, 0 = none */
};
static_assert(sizeof(struct xd_stock) == 40 && sizeof(struct xd_quantity) == 16 &&
                  sizeof(struct xd_document) == 24 && sizeof(struct xd_hu) == 16 &&
                  sizeof(struct xd_lineage) == 48 && sizeof(struct xd_batch_ref) == 16 &&
                  sizeof(struct xd_revision) == 8,
              "group sizes");

/* TLVs: u8 tag, u8 length, bytes, unaligned; then 0..7 zero bytes up to the next multiple of 8.
 * Tags 1..8 are the texts of hashed key64 fields and come once, as does 9. Lengths of typed values:
 * QTY_WIDE, CONTENT_HASH, DUE, CUT, WEIGHT 8; EXPECT 9; QTY2 11; FACILITY_TO 4; REASON 2. Unknown
 * tags pass through. */
/* clang-format off */
enum xd_tag {
    XD_TAG_FILL = 0,
    XD_TAG_SKU = 1, XD_TAG_LOT = 2, XD_TAG_LOCATION_FROM = 3, XD_TAG_LOCATION_TO = 4,
    XD_TAG_DOCUMENT = 5, XD_TAG_REFERENCE = 6, XD_TAG_HU_FROM = 7, XD_TAG_HU_TO = 8,
    XD_TAG_BUSINESS_KEY = 9, XD_TAG_SERIAL = 10, XD_TAG_QTY_WIDE = 11, XD_TAG_QTY2 = 12,
    XD_TAG_CONTENT_HASH = 13, XD_TAG_SCHEMA = 14, XD_TAG_CONTENT_TYPE = 15, XD_TAG_REASON = 16,
    XD_TAG_FACILITY_TO = 17, XD_TAG_DUE = 18, XD_TAG_EXPECT = 19, XD_TAG_CARRIER = 20,
    XD_TAG_TRACKING = 21, XD_TAG_MILESTONE = 22, XD_TAG_SINK_DOC = 23, XD_TAG_FAIL = 24,
    XD_TAG_EVENT_URI = 25, XD_TAG_DECLARATION_TIME = 26, XD_TAG_TRACEPARENT = 27, XD_TAG_CUT = 28,
    XD_TAG_WEIGHT = 29, XD_TAG_ACTOR_TEXT = 30,
    XD_TAG_OWN_FIRST = 128, XD_TAG_OWN_LAST = 254 /* the source's own */
};
/* clang-format on */

/* A decoded record: pointers into the batch body, NULL for absent groups. Valid as long as the
 * body. */
struct xd_record {
    const struct xd_record_core *core;
    const struct xd_stock *stock;
    const struct xd_quantity *quantity;
    const struct xd_document *document;
    const struct xd_hu *hu;
    const struct xd_lineage *lineage;
    const struct xd_batch_ref *batch_ref;
    const struct xd_revision *revision;
    const uint8_t *tlvs;    /* tlv_bytes of them */
    uint32_t tlv_bytes;     /* multiple of 8 */
    const uint8_t *payload; /* payload_bytes of them */
    uint32_t payload_bytes;
};

/* Decodes the record at `body` (8-byte aligned, `bytes` left in the body). Returns the stride to
 * the next record (record_bytes padded to 8, >= 64) or XD_RECORD_MALFORMED / XD_RECORD_TOO_LARGE;
 * *ret_field names the wrong field. Checks sizes, flags, presence bits, zero padding, key64 bits,
 * ranges (uom, scale, quantity flags, part of parts), TLV structure, and that every hashed key has
 * the text that hashes to it and no other key has one. Not checked: TLV 9 against business_key
 * (its seed is the channel epoch's), required groups (event.h), route_key (route.h). A body always
 * holds whole records with their padding, so there is no partial answer: a cut record is
 * malformed. */
int xd_record_decode(const uint8_t *body, size_t bytes, struct xd_record *ret,
                     const char **ret_field);

/* The same checks, for who needs no more than the core and one group. */
int xd_record_check(const uint8_t *body, size_t bytes, const char **ret_field);

/* Bytes of all groups that `present` names. */
uint32_t xd_groups_bytes(uint8_t present);

/* The group of that bit in a checked record, NULL when it is absent. */
const void *xd_record_group(const struct xd_record_core *core, enum xd_group bit);

/* The value of the first TLV with `tag`; -ENOENT when there is none. Start with *cursor = 0 and
 * call again with the same cursor for repeated tags. */
int xd_record_tlv(const struct xd_record *record, uint8_t tag, uint32_t *cursor,
                  struct xd_text *ret_value);

/* Text of a key field: exact kinds are unpacked into `scratch` (XD_KEY_TEXT_BYTES_MAX bytes),
 * hashed ones taken from the TLV `tag`. *ret_text is empty for key 0. 0, or XD_RECORD_MALFORMED (a
 * ledger key, a key that is not of this record). */
int xd_record_key_text(const struct xd_record *record, uint64_t key, uint8_t tag, char *scratch,
                       struct xd_text *ret_text);

/* What the encoder takes: a core template, group values for the bits of core.present, texts and
 * payload. record_bytes, tlv_words and the key64 of the texts are computed. All borrowed. */
struct xd_record_build {
    struct xd_record_core core; /* record_bytes, tlv_words ignored; route_key as given */
    struct xd_stock stock;      /* key64 fields ignored: made from the texts */
    struct xd_quantity quantity;
    struct xd_document document; /* key64 fields ignored */
    struct xd_lineage lineage;
    struct xd_batch_ref batch_ref;
    struct xd_revision revision;
    struct xd_text sku, lot, location_from, location_to; /* stock group */
    struct xd_text document_text, reference_text;        /* document group */
    struct xd_text hu_from, hu_to;                       /* handling-unit group */
    struct xd_text business_key_text; /* TLV 9 and core.business_key when not empty */
    const uint8_t *extra_tlvs;        /* ready TLVs of the caller (tags 10 and up), or NULL */
    uint32_t extra_tlv_bytes;
    const uint8_t *payload;
    uint32_t payload_bytes;
};

/* Encodes into `buffer`; returns the stride used (padding included, zeroed) or XD_FIELD_INVALID
 * (text over 255 bytes or of an absent group, TLV area over 2,040 bytes, extra_tlvs that are not
 * whole TLVs of tags from 10, a value that xd_record_decode refuses), XD_RECORD_TOO_LARGE, or
 * -ENOBUFS (does not fit buffer_bytes; *ret_field is left alone). *ret_field names the field of the
 * others. Nothing is written on failure. */
int xd_record_encode(const struct xd_record_build *build, uint8_t *buffer, size_t buffer_bytes,
                     const char **ret_field);

/* Unit-of-measure code: up to 3 characters of [0-9A-Z] in base 37, the first one in the highest
 * digit; 0 for empty; -1 when invalid. */
#define XD_UOM_TEXT_BYTES_MAX 3u
int xd_uom_encode(const char *text, size_t bytes);
/* Writes up to 3 characters, returns the count (0 for pieces), or -1 when xd_uom_encode never makes
 * the code (nothing written). */
int xd_uom_decode(uint16_t uom, char *ret_text);

#endif
