/* SPDX-License-Identifier: Apache-2.0
 *
 * Bodies of requests, replies and pushes. Fixed parts are little-endian structs without hidden
 * padding, laid over 8-byte aligned memory or copied out of it; variable parts follow in the
 * sequence that each struct states. Every decoder takes a frame's payload and its length and
 * returns 0 or a status with the name of the wrong field; it trusts no length before comparing it
 * with limits.h and the bytes that are there, and rejects trailing bytes. request.c holds what a
 * client sends, reply.c what a broker sends.
 *
 * Pure: no I/O, no allocation, no clock. Must not know what a broker does with a request.
 */
#ifndef CROSSDOCK_WIRE_REQUEST_H
#define CROSSDOCK_WIRE_REQUEST_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/limits.h"

#define XD_PROTOCOL_VERSION_MIN 1u
#define XD_PROTOCOL_VERSION_MAX 1u

enum xd_op {
#define X(name, op, version, direction, permission, before_hello, text) XD_OP_##name = (op),
#include "wire/request.def"
#undef X
};

enum xd_direction { XD_DIRECTION_REQUEST, XD_DIRECTION_PUSH, XD_DIRECTION_ONEWAY };
enum xd_permission {
    XD_PERMISSION_NONE,
    XD_PERMISSION_DESCRIBE,
    XD_PERMISSION_PRODUCE,
    XD_PERMISSION_READ,
    XD_PERMISSION_ADMIN
};

/* One row of the request table. */
struct xd_op_row {
    const char *name;   /* "HELLO" */
    const char *text;   /* one line for docs */
    uint16_t op;        /* enum xd_op */
    uint8_t version;    /* highest layout version known */
    uint8_t direction;  /* enum xd_direction */
    uint8_t permission; /* enum xd_permission needed */
    uint8_t before_hello; /* 1: allowed as the first frame */
};

/* The row of an op, or NULL. Static memory. */
const struct xd_op_row *xd_op_find(uint16_t op);
/* Row number `row` from 0, or NULL behind the last. */
const struct xd_op_row *xd_op_at(unsigned row);

/* Durability that a PRODUCE asks for and an ACK names. The bytes on disk never differ. */
enum xd_durability {
    XD_DURABILITY_FSYNC = 0,   /* on stable storage: flush confirmed by the device (default) */
    XD_DURABILITY_WRITTEN = 1, /* handed to the device, not flushed */
    XD_DURABILITY_MEMORY = 2,  /* in the broker's memory */
    XD_DURABILITY_COUNT
};

/* Text borrowed from a frame. Not zero-terminated. */
struct xd_text {
    const char *data; /* first byte, NULL when bytes is 0 */
    uint32_t bytes;   /* length */
};

/* ---- every reply starts with this ------------------------------------------------------------ */
struct xd_reply_head {
    int32_t status;          /*  0 0 or positive: the op's body follows; negative: no body, but for
                              *    HELLO (VERSION_UNSUPPORTED) and READ (OFFSET_GONE and
                              *    OFFSET_FUTURE), which may send theirs to say what there is */
    uint32_t retry_after_ms; /*  4 class BACKOFF: wait that long */
    uint64_t log_index;      /*  8 index of the log entry that the answer rests on, 0 = none */
    uint64_t catalog_epoch;  /* 16 rises with every catalog change; older cached copies are stale */
    uint32_t detail_bytes;   /* 24 text between this head and the body, <= XD_DETAIL_BYTES_MAX */
    uint32_t reserved;       /* 28 zero */
};
static_assert(sizeof(struct xd_reply_head) == 32, "reply head size");

/* Decodes head and detail: 0 or XD_FRAME_MALFORMED. *ret_body and *ret_body_bytes are what follows,
 * at the next 8-byte boundary behind the detail; the padding is there even when no body is, and
 * zero. Detail and body are borrowed from the payload. The op's decoder judges the body. */
int xd_reply_decode(const uint8_t *payload, size_t bytes, struct xd_reply_head *ret_head,
                    struct xd_text *ret_detail, const uint8_t **ret_body, size_t *ret_body_bytes);
/* Writes head and detail, pads to 8. `detail` is zero-terminated or NULL and cut to
 * XD_DETAIL_BYTES_MAX; its length goes out in place of head->detail_bytes. Returns bytes written,
 * or -ENOBUFS and nothing written. */
int xd_reply_encode(const struct xd_reply_head *head, const char *detail, uint8_t *buffer,
                    size_t buffer_bytes);

/* ---- HELLO ----------------------------------------------------------------------------------- */
/* followed by: client name, client version (u8 length + bytes each) */
struct xd_hello {
    uint16_t version_min; /* 0 lowest protocol version spoken */
    uint16_t version_max; /* 2 highest */
    uint32_t features;    /* 4 zero in version 1 */
};
struct xd_hello_request {
    struct xd_hello fixed;
    struct xd_text client_name;    /* 0..64 bytes, printable ASCII */
    struct xd_text client_version; /* 0..64 bytes, printable ASCII */
};
struct xd_hello_reply {
    uint16_t version;          /*  0 version both speak from now on, 0 = none in common */
    uint16_t version_min;      /*  2 supported range, also sent when there is none in common */
    uint16_t version_max;      /*  4 */
    uint8_t default_durability; /* 6 enum xd_durability used when a client does not ask */
    uint8_t reserved0;         /*  7 zero */
    uint32_t frame_bytes_max;  /*  8 largest frame payload either side may send */
    uint32_t batch_bytes_max;  /* 12 */
    uint32_t inflight_batches; /* 16 unacknowledged batches per (channel, partition) */
    uint32_t connection_bytes; /* 20 produce bytes a connection may have unacknowledged (credit) */
    uint64_t cluster_id[2];    /* 24 uuid of this data folder */
    int64_t server_time_us;    /* 40 us since 1970 UTC */
    uint32_t features;         /* 48 zero in version 1 */
    uint32_t reserved1;        /* 52 zero */
};
static_assert(sizeof(struct xd_hello) == 8, "hello size");
static_assert(sizeof(struct xd_hello_reply) == 56, "hello reply size");

/* ---- CATALOG --------------------------------------------------------------------------------- */
/* A catalog only grows at its ends: topics and facilities in rising number, placements in rising
 * partition. So a client that says how far its copy reaches gets what lies behind, as much as fits
 * one page, and asks again until it has as much as the reply says there is. */
struct xd_catalog_request {
    uint32_t topics;     /*  0 topics that the client has, */
    uint32_t facilities; /*  4 facilities, */
    uint32_t partitions; /*  8 and partitions: the end of its last placement */
    uint32_t reserved;   /* 12 zero */
};
static_assert(sizeof(struct xd_catalog_request) == 16, "catalog request size");
/* reply: this, then topics, then facilities, then placements, each array 8-byte aligned. A shard
 * that has less than the client gives totals below the client's and no rows. */
struct xd_catalog_reply {
    uint64_t epoch;           /*  0 */
    uint32_t topic_count;     /*  8 rows of this page */
    uint32_t facility_count;  /* 12 */
    uint32_t placement_count; /* 16 (topic, facility) pairs */
    uint32_t topic_total;     /* 20 rows of the whole catalog */
    uint32_t facility_total;  /* 24 */
    uint32_t partition_total; /* 28 partitions of all placements */
};
struct xd_catalog_topic { /* 80 bytes */
    uint32_t topic;       /* 0 registry number, from 1 */
    uint8_t strategy;     /* 4 enum xd_strategy (route.h) */
    uint8_t width;        /* 5 default width of new placements */
    uint8_t name_bytes;   /* 6 */
    uint8_t reserved;     /* 7 zero */
    char name[72];        /* 8 not zero-terminated, rest zero */
};
struct xd_catalog_facility { /* 80 bytes */
    uint32_t facility;       /* 0 registry number, from 1; 0 is the global facility */
    uint8_t name_bytes;      /* 4 */
    uint8_t reserved[3];     /* 5 zero */
    char name[72];           /* 8 */
};
struct xd_catalog_placement {
    uint32_t topic;          /* 0 */
    uint32_t facility;       /* 4 */
    uint32_t partition_base; /* 8 partitions base .. base + width - 1 */
    uint32_t width;          /* 12 */
};
static_assert(sizeof(struct xd_catalog_reply) == 32, "catalog reply size");
static_assert(sizeof(struct xd_catalog_topic) == 80, "catalog topic size");
static_assert(sizeof(struct xd_catalog_facility) == 80, "catalog facility size");
static_assert(sizeof(struct xd_catalog_placement) == 16, "catalog placement size");
static_assert(XD_NAME_BYTES_MAX <= 72, "names fit their catalog rows");

/* Checks counts and padding; the arrays are then at the pointers. */
struct xd_catalog_view {
    struct xd_catalog_reply fixed;
    const struct xd_catalog_topic *topics;         /* borrowed from the payload */
    const struct xd_catalog_facility *facilities;  /* borrowed */
    const struct xd_catalog_placement *placements; /* borrowed */
};

/* ---- PRODUCER_OPEN --------------------------------------------------------------------------- */
/* The client remembers nothing: continue behind what you know. Both sequences are 0 then. */
#define XD_OPEN_NO_MEMORY 0x01u
#define XD_OPEN_FLAGS_ALL 0x01u
/* followed by: source name, channel name, facility name (u8 length + bytes each) */
struct xd_open {
    uint64_t acked_sequence;    /*  0 highest sequence acknowledged at level fsync, 0 = none;
                                 *    <= assigned_sequence */
    uint64_t assigned_sequence; /*  8 highest sequence ever assigned, 0 = none */
    uint16_t channel_epoch;     /* 16 0 = the current one; current + 1 opens a new numbering */
    uint8_t flags;              /* 18 XD_OPEN_* */
    uint8_t reserved;           /* 19 zero */
    uint32_t producer_epoch;    /* 20 0 = a new open, which raises the epoch and fences; else attach
                                 *    again after a lost connection: FENCED unless still current */
};
struct xd_open_request {
    struct xd_open fixed;
    struct xd_text source;   /* 1..64 name characters */
    struct xd_text channel;  /* 0..64; empty = named after the facility */
    struct xd_text facility; /* 0..64; empty = the global facility */
};
/* reply: this, then `chain_count` xd_open_chain in rising partition sequence */
struct xd_open_reply {
    uint64_t producer_id;    /*  0 registry number of the channel, goes into batches */
    uint32_t producer_epoch; /*  8 goes into batches */
    uint16_t channel_epoch;  /* 12 goes into batches and records */
    uint16_t reserved;       /* 14 zero */
    uint32_t facility;       /* 16 registry number */
    uint32_t chain_count;    /* 20 */
    uint64_t last_sequence;  /* 24 highest durable sequence of this channel epoch, 0 = none */
};
struct xd_open_chain {
    uint32_t partition;     /*  0 */
    uint32_t reserved;      /*  4 zero */
    uint64_t last_sequence; /*  8 last durable sequence of this channel in this partition */
    uint64_t last_offset;   /* 16 offset of that record */
};
static_assert(sizeof(struct xd_open) == 24, "open size");
static_assert(sizeof(struct xd_open_reply) == 32, "open reply size");
static_assert(sizeof(struct xd_open_chain) == 24, "open chain size");
struct xd_open_view {
    struct xd_open_reply fixed;
    const struct xd_open_chain *chains; /* borrowed from the payload */
};

/* ---- PRODUCE: this, then `batch_count` batches, each padded with zeros to 8 ------------------ */
/* xd_produce_decode walks the batches by xd_batch_peek: on success each lies whole in the payload,
 * the next one at its batch_bytes rounded up to 8. Nothing else in a batch has been looked at. */
struct xd_produce_head {
    uint32_t batch_count; /*  0 1..XD_PRODUCE_BATCHES_MAX */
    uint8_t durability;   /*  4 enum xd_durability */
    uint8_t reserved[3];  /*  5 zero */
    uint64_t low;         /*  8 all sequences below it have been sent on this channel */
};
static_assert(sizeof(struct xd_produce_head) == 16, "produce head size");

/* ---- ACK push: this, then `ack_count` xd_ack, then the details in the same sequence ---------- */
struct xd_ack_head {
    uint32_t ack_count;      /*  0 1..XD_ACKS_MAX */
    uint32_t reserved;       /*  4 zero */
    uint64_t catalog_epoch;  /*  8 */
    uint64_t acked_bytes;    /* 16 produce bytes of this connection settled so far (credit): the sum
                              *    of batch strides answered, whatever the answer */
};
/* One outcome. status >= 0 covers all batches of (producer_id, partition) from first_sequence to
 * last_sequence, whose records got consecutive offsets from base_offset on. status < 0 covers
 * exactly one batch. */
struct xd_ack {
    uint64_t producer_id;    /*  0 */
    uint32_t partition;      /*  8 */
    int32_t status;          /* 12 0, XD_DUPLICATE or negative */
    uint64_t first_sequence; /* 16 */
    uint64_t last_sequence;  /* 24 */
    uint64_t base_offset;    /* 32 status >= 0 */
    uint64_t resume_sequence; /* 40 status < 0: last one the chain holds; resend what follows. Class
                               *    BACKOFF: 0, it says nothing of the chain */
    uint64_t log_index;      /* 48 log entry that the answer rests on, 0 = none: class BACKOFF */
    uint32_t record_count;   /* 56 records covered */
    uint32_t retry_after_ms; /* 60 class BACKOFF */
    uint16_t detail_bytes;   /* 64 text of this ack among the details, unpadded */
    uint8_t durability;      /* 66 enum xd_durability reached */
    uint8_t reserved[5];     /* 67 zero */
};
static_assert(sizeof(struct xd_ack_head) == 24, "ack head size");
static_assert(sizeof(struct xd_ack) == 72, "ack size");
struct xd_ack_view {
    struct xd_ack_head fixed;
    const struct xd_ack *acks; /* borrowed; ack_count of them */
    const char *details;       /* borrowed; all texts one behind the other */
    uint32_t details_bytes;
};

/* ---- PRODUCER_CLOSE -------------------------------------------------------------------------- */
struct xd_close {
    uint64_t producer_id;    /* 0 */
    uint32_t producer_epoch; /* 8 */
    uint32_t reserved;       /* 12 zero */
};
static_assert(sizeof(struct xd_close) == 16, "close size");
/* reply: head only */

/* ---- READ ------------------------------------------------------------------------------------ */
enum xd_seek {
    XD_SEEK_OFFSET = 0, /* position = offset of the first record wanted */
    XD_SEEK_BEGIN = 1,  /* first record kept */
    XD_SEEK_END = 2,    /* behind the last durable record */
    XD_SEEK_TIME = 3,   /* first record with append time >= position (us since 1970 UTC) */
    XD_SEEK_COUNT
};
struct xd_read {
    uint32_t partition; /*  0 */
    uint8_t seek;       /*  4 enum xd_seek */
    uint8_t reserved[3]; /* 5 zero */
    uint64_t position;  /*  8 see enum xd_seek */
    uint32_t bytes_max; /* 16 batches wanted at most; one whole batch is given even if larger */
    uint32_t wait_ms;   /* 20 long poll at the end, 0..XD_READ_WAIT_MS_MAX */
};
static_assert(sizeof(struct xd_read) == 24, "read size");
/* reply: this, then batches as stored (header, body, bitmap), each padded to 8. The first batch may
 * begin before start_offset: the client skips. Status XD_END when there is nothing. */
struct xd_read_reply {
    uint64_t start_offset; /*  0 offset that the seek came to */
    uint64_t next_offset;  /*  8 read from here next */
    uint64_t first_offset; /* 16 first record kept in the partition */
    uint64_t end_offset;   /* 24 behind the last durable record */
    uint32_t batches_bytes; /* 32 what follows */
    uint32_t partition;    /* 36 */
};
static_assert(sizeof(struct xd_read_reply) == 40, "read reply size");

/* ---- ADMIN ----------------------------------------------------------------------------------- */
/* request: u8 verb length, verb, then JSON to the end. reply: JSON to the end. */
struct xd_admin_request {
    struct xd_text verb; /* 1..64 characters, "topic create" */
    struct xd_text json; /* 0..XD_ADMIN_REQUEST_BYTES_MAX, empty = no arguments */
};

/* ---- decoders: 0 or a status; *ret_field names the wrong field (static text) ----------------- */
/* Requests: XD_FRAME_MALFORMED for a broken layout (cut short, trailing bytes, reserved bits),
 * XD_FIELD_INVALID for a value outside its range, XD_NAME_INVALID for a name, and for PRODUCE what
 * xd_batch_peek says. Payloads may lie unaligned. *ret is untouched on failure; texts are borrowed
 * from the payload. */
int xd_hello_decode(const uint8_t *p, size_t bytes, struct xd_hello_request *ret,
                    const char **ret_field);
/* No bytes at all stand for a client that has nothing. */
int xd_catalog_decode(const uint8_t *p, size_t bytes, struct xd_catalog_request *ret,
                      const char **ret_field);
int xd_open_decode(const uint8_t *p, size_t bytes, struct xd_open_request *ret,
                   const char **ret_field);
/* The head alone, for a receiver whose batches lie in pieces; `bytes` may end behind the head. */
int xd_produce_head_decode(const uint8_t *p, size_t bytes, struct xd_produce_head *ret,
                           const char **ret_field);
int xd_produce_decode(const uint8_t *p, size_t bytes, struct xd_produce_head *ret,
                      const char **ret_field);
int xd_close_decode(const uint8_t *p, size_t bytes, struct xd_close *ret, const char **ret_field);
int xd_read_decode(const uint8_t *p, size_t bytes, struct xd_read *ret, const char **ret_field);
int xd_admin_decode(const uint8_t *p, size_t bytes, struct xd_admin_request *ret,
                    const char **ret_field);
/* Bodies of replies and pushes, as the client sees them (behind xd_reply_decode, but for ACK).
 * Every refusal is XD_FRAME_MALFORMED. Where arrays are borrowed (all but HELLO) `p` must lie on an
 * 8-byte boundary; otherwise the field is "alignment". */
int xd_hello_reply_decode(const uint8_t *p, size_t bytes, struct xd_hello_reply *ret,
                          const char **ret_field);
int xd_catalog_reply_decode(const uint8_t *p, size_t bytes, struct xd_catalog_view *ret,
                            const char **ret_field);
int xd_open_reply_decode(const uint8_t *p, size_t bytes, struct xd_open_view *ret,
                         const char **ret_field);
int xd_read_reply_decode(const uint8_t *p, size_t bytes, struct xd_read_reply *ret,
                         const uint8_t **ret_batches, const char **ret_field);
int xd_ack_decode(const uint8_t *p, size_t bytes, struct xd_ack_view *ret,
                  const char **ret_field);

/* ---- encoders of bodies with variable parts: bytes written, or -ENOBUFS ---------------------- */
/* The caller has checked its texts; one that is too long is an assertion. Nothing is written on
 * failure. Bodies without variable parts are sent as their structs lie in memory. */
int xd_hello_encode(const struct xd_hello_request *request, uint8_t *buffer, size_t buffer_bytes);
int xd_open_encode(const struct xd_open_request *request, uint8_t *buffer, size_t buffer_bytes);
int xd_admin_encode(const struct xd_admin_request *request, uint8_t *buffer, size_t buffer_bytes);

/* 0 when `text` is 1..XD_NAME_BYTES_MAX characters of [A-Za-z0-9._-] that start with a letter or
 * digit, else XD_NAME_INVALID. */
int xd_name_check(struct xd_text text);

#endif
