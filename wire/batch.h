/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches: records of one partition and one producer, the same bytes on the wire and on disk.
 *
 * The header is 120 bytes; byte table in docs/DISK_FORMAT.md. The client fills and checksums bytes
 * 40 to the end; bytes 16..39 belong to the broker, are zero on the wire and lie outside the
 * client's checksum, so a batch is stored and served as it was received.
 *
 * Validity rule of a batch from outside: magic, batch_bytes within limits and not more than what
 * is there, broker fields zero, format and codec known, flags known, reserved zero, 1..65535
 * records in a body that is not empty (0 only for a control batch), room for them between
 * first_sequence and last_sequence, previous_sequence below, event times not reversed, raw_bytes
 * within bounds, atomic fields zero without their flag, checksum equal.
 *
 * Pure: no I/O, no allocation, no clock. Must not look into records (record.h does).
 */
#ifndef CROSSDOCK_WIRE_BATCH_H
#define CROSSDOCK_WIRE_BATCH_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define XD_BATCH_MAGIC 0x31424458u /* "XDB1" */
#define XD_BATCH_HEADER_BYTES 120u
#define XD_BATCH_HASHED_FROM 40u /* first byte under batch_xxh3 */

enum xd_batch_format { XD_FORMAT_RECORDS = 0, XD_FORMAT_COUNT };
enum xd_batch_codec { XD_CODEC_NONE = 0, XD_CODEC_LZ4 = 1, XD_CODEC_COUNT };

#define XD_BATCH_CONTROL 0x0001u       /* body is a control entry, see control_kind */
#define XD_BATCH_ATOMIC_PART 0x0002u   /* part of an atomic batch */
#define XD_BATCH_TOMBSTONE 0x0004u     /* deletes the key in a compacted topic */
#define XD_BATCH_BROKER_HASHED 0x0008u /* the broker, not a client, took the checksum */
#define XD_BATCH_FLAGS_ALL 0x000fu
#define XD_BATCH_FLAGS_CLIENT 0x0000u /* what a client may set in this release */

/* Overlay of the header bytes: little-endian, 8-byte aligned, no hidden padding. */
struct xd_batch_header {
    uint32_t magic;       /*   0 XD_BATCH_MAGIC */
    uint32_t batch_bytes; /*   4 header + body; not the padding to the next 8 bytes */
    uint64_t batch_xxh3;  /*   8 XXH3-64 of bytes 40..batch_bytes, seed 0 */
    /* the broker's, 0 on the wire */
    uint64_t base_offset;      /*  16 offset of the first record in its partition */
    int64_t append_time_us;    /*  24 us since 1970 UTC, monotonic per partition */
    uint32_t suppressed_count; /*  32 if > 0, a bitmap of record_count bits follows the body */
    uint16_t control_kind;     /*  36 0 = records, else a kind of control.def */
    uint16_t reserved;         /*  38 zero */
    /* the client's, under the checksum */
    uint8_t format;               /*  40 enum xd_batch_format */
    uint8_t codec;                /*  41 enum xd_batch_codec */
    uint16_t flags;               /*  42 XD_BATCH_* */
    uint32_t partition;           /*  44 dense partition id; topic and facility follow from it */
    uint64_t producer_id;         /*  48 an open channel */
    uint32_t producer_epoch;      /*  56 rises at every open of the channel, fences */
    uint16_t record_count;        /*  60 */
    uint16_t channel_epoch;       /*  62 rises when the source restarts its numbers */
    uint64_t first_sequence;      /*  64 channel sequence of the first record */
    uint64_t last_sequence;       /*  72 of the last record; records in between rise strictly */
    uint64_t previous_sequence;   /*  80 last one this channel sent to this partition, 0 = none */
    int64_t first_event_time_us;  /*  88 earliest event time of the records, us since 1970 UTC */
    int64_t last_event_time_us;   /*  96 latest event time */
    uint32_t raw_bytes;           /* 104 body before compression */
    uint16_t atomic_part;         /* 108 1..atomic_parts, 0 = not atomic */
    uint16_t atomic_parts;        /* 110 */
    uint64_t atomic_id;           /* 112 */
};

static_assert(sizeof(struct xd_batch_header) == XD_BATCH_HEADER_BYTES, "batch header size");
static_assert(offsetof(struct xd_batch_header, base_offset) == 16, "batch header layout");
static_assert(offsetof(struct xd_batch_header, format) == XD_BATCH_HASHED_FROM, "hashed range");
static_assert(offsetof(struct xd_batch_header, first_sequence) == 64, "batch header layout");
static_assert(offsetof(struct xd_batch_header, atomic_id) == 112, "batch header layout");

/* Bytes of the suppression bitmap behind the body, 0 when nothing is suppressed. Record i is bit
 * i % 8, counted from the lowest, of byte i / 8. */
static inline uint32_t xd_batch_bitmap_bytes(const struct xd_batch_header *h)
{
    return h->suppressed_count ? ((uint32_t)h->record_count + 7u) / 8u : 0u;
}

/* Bytes from the start of this batch to the start of the next: body, bitmap, padding to 8. */
static inline uint32_t xd_batch_stride(const struct xd_batch_header *h)
{
    return (h->batch_bytes + xd_batch_bitmap_bytes(h) + 7u) & ~7u;
}

/* Decides how many bytes the batch at `data` has, looking at the first 8 bytes only; `data` may lie
 * unaligned. Returns batch_bytes, or XD_PARTIAL (frame.h), or XD_BATCH_MALFORMED /
 * XD_BATCH_TOO_LARGE. */
int xd_batch_peek(const uint8_t *data, size_t bytes);

/* Checks a batch that a client sent, header rules only (no checksum). `bytes` is what is there from
 * h on and must be at least batch_bytes; fewer is a malformed batch_bytes. Returns 0, or
 * XD_BATCH_TOO_LARGE, XD_FORMAT_UNKNOWN, XD_CODEC_UNKNOWN or XD_BATCH_MALFORMED; *ret_field names
 * the first wrong field as the struct does (static text). */
int xd_batch_check_header(const struct xd_batch_header *h, size_t bytes, const char **ret_field);

/* Checks a batch read back from the log: as above, but broker fields may be set and control
 * batches are allowed (flag CONTROL, a control_kind, partition XD_PARTITION_NONE, any number of
 * records and free sequences). `bytes` is what the block or reply has left from h on and must hold
 * the whole stride. */
int xd_batch_check_stored(const struct xd_batch_header *h, size_t bytes, const char **ret_field);

/* XXH3-64 over bytes 40..batch_bytes. The caller has checked batch_bytes against its memory. */
uint64_t xd_batch_hash(const struct xd_batch_header *h);

/* 0 when the checksum holds, else XD_BATCH_CHECKSUM. */
int xd_batch_check_hash(const struct xd_batch_header *h);

/* Sets magic and batch_bytes, zeroes the broker's fields and takes the checksum. Everything else in
 * the header and the whole body must be in place. */
void xd_batch_seal(struct xd_batch_header *h, uint32_t batch_bytes);

/* The raw body of a batch whose header has passed a check: a pointer into the batch when codec is
 * none, else decoded into `scratch` of `scratch_bytes` (>= raw_bytes, at most
 * XD_BATCH_RAW_BYTES_MAX). Returns 0 and *ret_body of raw_bytes, or XD_DECOMPRESS_FAILED,
 * XD_CODEC_UNKNOWN, XD_BATCH_TOO_LARGE (scratch too small). The result is borrowed from the batch
 * or the scratch. */
int xd_batch_body(const struct xd_batch_header *h, uint8_t *scratch, size_t scratch_bytes,
                  const uint8_t **ret_body);

#endif
