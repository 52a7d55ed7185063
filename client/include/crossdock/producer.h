/* SPDX-License-Identifier: Apache-2.0
 *
 * Producer: one open channel of a source. A source (a WMS, an ERP, a file import) numbers its
 * records per channel; the broker keeps, per channel and partition, the chain of these numbers.
 * That makes every resend recognisable: after a lost acknowledgement, a reconnect, a broker crash
 * or a restart of the program, each record is in the log once.
 *
 * Sequences. Leave record.sequence 0 and the library continues behind what the broker knows of the
 * channel. A program with its own contiguous numbers sets them; they must rise within the channel.
 * A restarted program asks xdock_producer_resume() what is already durable and goes on behind it.
 */
#ifndef CROSSDOCK_PRODUCER_H
#define CROSSDOCK_PRODUCER_H

#include <crossdock/base.h>
#include <crossdock/client.h>
#include <crossdock/record.h>

XDOCK_BEGIN_DECLS

/* Durability reached by an acknowledgement, and wanted by option "producer.durability". */
enum xdock_durability {
    XDOCK_FSYNC = 0,   /* on stable storage (default) */
    XDOCK_WRITTEN = 1, /* handed to the device, not flushed */
    XDOCK_MEMORY = 2   /* in the broker's memory */
};

/* Opens a channel and fences its former holder.
 * source    who produces: 1..64 of [A-Za-z0-9._-], required.
 * channel   NULL = named after the facility.
 * facility  NULL = the global facility (master data). A channel feeds one facility: the same name
 *           at another one is another channel, with a numbering of its own.
 * The caller owns *ret_producer; the client closes it too. Failures: XDOCK_FACILITY_UNKNOWN,
 * XDOCK_NAME_INVALID, XDOCK_DEADLINE_EXCEEDED, -ENOMEM, ... */
XDOCK_EXPORT int xdock_producer_open(xdock_client_t *client, const char *source,
                                     const char *channel, const char *facility, uint32_t timeout_ms,
                                     xdock_producer_t **ret_producer);

/* The same for a program that remembers: `acked` is the highest sequence it saw acknowledged as
 * XDOCK_FSYNC, `assigned` the highest it ever gave out (0 = none). The broker answers
 * XDOCK_ACKED_MISSING when it knows less than acked, XDOCK_SEQUENCE_REGRESSED when it knows more
 * than assigned: then the source was restored from a backup and must pass new_epoch = 1 to number
 * anew. */
XDOCK_EXPORT int xdock_producer_open_at(xdock_client_t *client, const char *source,
                                        const char *channel, const char *facility, uint64_t acked,
                                        uint64_t assigned, int new_epoch, uint32_t timeout_ms,
                                        xdock_producer_t **ret_producer);

/* Highest sequence of the channel that is durable, and that of one partition's chain (its number:
 * xdock_producer_route of a record that goes there). 0 = nothing yet. */
XDOCK_EXPORT uint64_t xdock_producer_resume(const xdock_producer_t *producer);
XDOCK_EXPORT uint64_t xdock_producer_resume_partition(const xdock_producer_t *producer,
                                                      uint32_t partition);
/* Partition that the record would go to, or a negative status (XDOCK_TOPIC_UNKNOWN, ...). */
XDOCK_EXPORT int64_t xdock_producer_route(xdock_producer_t *producer, const xdock_record_t *record);

/* Outcome of one record. */
typedef struct xdock_ack {
    uint64_t user;       /* the caller's word */
    uint64_t sequence;   /* of the record in its channel */
    uint64_t offset;     /* in its partition; valid when status >= 0 */
    uint64_t log_index;  /* log entry that the answer rests on */
    int32_t status;      /* 0 appended, XDOCK_DUPLICATE, or negative */
    uint32_t partition;  /* */
    uint8_t durability;  /* enum xdock_durability reached */
    uint8_t reserved[7]; /* zero */
} xdock_ack_t;

/* Sends one record and waits for its outcome. Returns ack.status (0, or XDOCK_DUPLICATE = it was in
 * the log already), or a failure. After XDOCK_DEADLINE_EXCEEDED ret_ack is untouched, the record
 * stays queued, and its outcome comes out of xdock_acks() with user 0. XDOCK_BUFFER_FULL: it was
 * not queued. ret_ack may be NULL. */
XDOCK_EXPORT int xdock_send(xdock_producer_t *producer, const xdock_record_t *record,
                            xdock_ack_t *ret_ack, uint32_t timeout_ms);

/* Queues one record; it leaves when its batch is full, the linger ends, or at the next flush or
 * blocking call. The record is copied. Waits up to timeout_ms for room. 0, XDOCK_BUFFER_FULL, a
 * status that names a wrong field, or FENCED / FATAL. `user` comes back in the ack. */
XDOCK_EXPORT int xdock_post(xdock_producer_t *producer, const xdock_record_t *record, uint64_t user,
                            uint32_t timeout_ms);

/* Records that were encoded before, as one call: `body` holds whole records as xdock_encode() makes
 * them, `count` of them, that all route to the same partition; channel, epoch and sequence are
 * filled in. `body` lies on an 8-byte boundary. All of them are queued or none. For mirrors,
 * importers and load generators. `user` is the first record's word, the others count on from it.
 * Statuses as xdock_post; XDOCK_RECORD_MALFORMED, XDOCK_PARTITION_WRONG, XDOCK_BATCH_TOO_LARGE
 * (more than the buffer holds). */
XDOCK_EXPORT int xdock_post_encoded(xdock_producer_t *producer, const char *topic, const void *body,
                                    size_t bytes, uint32_t count, uint64_t user,
                                    uint32_t timeout_ms);
/* Encodes a record for xdock_post_encoded into a buffer on an 8-byte boundary. Returns bytes used
 * (multiple of 8) or a status; -ENOBUFS when `bytes` are too few. */
XDOCK_EXPORT int xdock_encode(xdock_producer_t *producer, const xdock_record_t *record,
                              void *buffer, size_t bytes);

/* Takes up to acks_max outcomes, waiting up to timeout_ms for the first. Returns their count, 0
 * when none came in time or nothing is pending. In sequence within a partition. Outcomes that are
 * not taken fill the buffer in the end, and posts then get XDOCK_BUFFER_FULL; with option
 * producer.acks = failures only those that are not plain successes are kept. */
XDOCK_EXPORT int xdock_acks(xdock_producer_t *producer, xdock_ack_t *ret_acks, size_t acks_max,
                            uint32_t timeout_ms);

/* Sends what is queued and waits until every record has an outcome. 0, or XDOCK_DEADLINE_EXCEEDED
 * (nothing is lost: call again), or a FENCED / FATAL status. */
XDOCK_EXPORT int xdock_flush(xdock_producer_t *producer, uint32_t timeout_ms);

/* Records without an outcome yet. */
XDOCK_EXPORT uint64_t xdock_producer_pending(const xdock_producer_t *producer);

/* Flushes for at most timeout_ms, closes the channel, frees, clears the pointer. Returns the number
 * of records whose outcome is not known, or 0. Accepts a pointer to NULL. */
XDOCK_EXPORT int xdock_producer_close(xdock_producer_t **producer, uint32_t timeout_ms);

XDOCK_END_DECLS

#endif
