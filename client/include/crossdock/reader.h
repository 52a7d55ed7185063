/* SPDX-License-Identifier: Apache-2.0
 *
 * Reader: reads partitions by offset, without leases and without changing anything in the broker.
 * As fast as the log; a program keeps its own positions.
 */
#ifndef CROSSDOCK_READER_H
#define CROSSDOCK_READER_H

#include <crossdock/base.h>
#include <crossdock/client.h>
#include <crossdock/record.h>

XDOCK_BEGIN_DECLS

enum xdock_from {
    XDOCK_FROM_OFFSET = 0, /* position = offset */
    XDOCK_FROM_BEGIN = 1,  /* first record kept */
    XDOCK_FROM_END = 2,    /* only what comes from now on */
    XDOCK_FROM_TIME = 3    /* position = append time, us since 1970 UTC */
};

/* What to read. Zeroed fields mean: no restriction; partition 0 is one, -1 means all. */
typedef struct xdock_selection {
    uint32_t struct_bytes; /* sizeof(xdock_selection_t) */
    uint32_t from;         /* enum xdock_from */
    int64_t position;      /* offset or time, see `from` */
    const char *topic;     /* required */
    const char *facility;  /* NULL = all */
    const char *sku;       /* NULL = all; exact match */
    const char *location;  /* NULL = all; exact match with either location */
    uint16_t type;         /* 0 = all */
    uint16_t reserved;     /* zero */
    int32_t partition;     /* -1 = all of topic and facility */
} xdock_selection_t;

/* The caller owns *ret_reader; the client closes it too. XDOCK_TOPIC_UNKNOWN,
 * XDOCK_FACILITY_UNKNOWN, XDOCK_PARTITION_UNKNOWN, -ENOMEM, ... */
XDOCK_EXPORT int xdock_reader_open(xdock_client_t *client, const xdock_selection_t *selection,
                                   uint32_t timeout_ms, xdock_reader_t **ret_reader);

/* Makes records available, waiting up to timeout_ms for the first. Returns how many (at least those
 * of one batch), 0 when none came in time, or a status: XDOCK_OFFSET_GONE (the reader goes on at
 * the first record kept, the error text counts what is missing), XDOCK_RANGE_QUARANTINED (that
 * partition stops until a seek; the others go on), XDOCK_BATCH_CHECKSUM (a batch was damaged on the
 * way and is read again). What the former poll handed out is gone. */
XDOCK_EXPORT int xdock_reader_poll(xdock_reader_t *reader, uint32_t timeout_ms);

/* The next available record, or NULL. In offset sequence within a partition. */
XDOCK_EXPORT const xdock_view_t *xdock_reader_next(xdock_reader_t *reader);

/* Moves one partition (-1 = all) of the reader. Drops what is available of it. XDOCK_FROM_END is
 * the end at the next poll. */
XDOCK_EXPORT int xdock_reader_seek(xdock_reader_t *reader, int32_t partition, uint32_t from,
                                   int64_t position);

/* Position in a partition: the offset that xdock_reader_next gives next or later; its end (behind
 * the last durable record) as last heard. XDOCK_PARTITION_UNKNOWN. Outputs may be NULL. */
XDOCK_EXPORT int xdock_reader_position(const xdock_reader_t *reader, uint32_t partition,
                                       uint64_t *ret_offset, uint64_t *ret_end);

/* Partition number `index` from 0 of this reader, or -ENOENT. */
XDOCK_EXPORT int64_t xdock_reader_partition(const xdock_reader_t *reader, unsigned index);
/* True (1) when every partition has been read up to the end last heard of. */
XDOCK_EXPORT int xdock_reader_at_end(const xdock_reader_t *reader);
/* Name of a facility number in a view; borrowed until the next call. "" for the global facility. */
XDOCK_EXPORT const char *xdock_reader_facility_name(xdock_reader_t *reader, uint32_t facility);

/* Frees and clears the pointer. Accepts a pointer to NULL. */
XDOCK_EXPORT void xdock_reader_close(xdock_reader_t **reader);

XDOCK_END_DECLS

#endif
