/* SPDX-License-Identifier: Apache-2.0
 *
 * Probes along a record's life, for tracers of the running broker (docs/PROBES.md).
 *
 * Normal path: nobody traces, and a probe is one nop in the code and a note beside it that says
 * where its arguments are. A tracer puts a breakpoint there while it looks. Without <sys/sdt.h> at
 * build time (option `probes`) a probe is nothing.
 *
 * Arguments are values at hand: they must have no effect and cost nothing to come by, because they
 * are not evaluated where there are no probes. All are integers; bytes and ns where the name says
 * so. Names and arguments are an interface to scripts: add, neither rename nor reorder.
 *
 * A connection is the shard's id of it. A log index is a block's, a position a byte of the log.
 */
#ifndef CROSSDOCK_BROKER_BASE_PROBES_H
#define CROSSDOCK_BROKER_BASE_PROBES_H

#ifdef CROSSDOCK_PROBES
#include <sys/sdt.h>
#define PROBE1(name, a) DTRACE_PROBE1(crossdock, name, a)
#define PROBE2(name, a, b) DTRACE_PROBE2(crossdock, name, a, b)
#define PROBE3(name, a, b, c) DTRACE_PROBE3(crossdock, name, a, b, c)
#define PROBE4(name, a, b, c, d) DTRACE_PROBE4(crossdock, name, a, b, c, d)
#define PROBE5(name, a, b, c, d, e) DTRACE_PROBE5(crossdock, name, a, b, c, d, e)
#else
#define PROBE1(name, a) ((void)sizeof(a))
#define PROBE2(name, a, b) (PROBE1(name, a), (void)sizeof(b))
#define PROBE3(name, a, b, c) (PROBE2(name, a, b), (void)sizeof(c))
#define PROBE4(name, a, b, c, d) (PROBE3(name, a, b, c), (void)sizeof(d))
#define PROBE5(name, a, b, c, d, e) (PROBE4(name, a, b, c, d), (void)sizeof(e))
#endif

/* ---- connections ----------------------------------------------------------------------------- */

/* A connection has a place. */
#define PROBE_CONNECTION_OPENED(connection) PROBE1(connection_opened, connection)
/* It is gone; why: enum net_close_reason. */
#define PROBE_CONNECTION_CLOSED(connection, reason) PROBE2(connection_closed, connection, reason)

/* ---- the way in ------------------------------------------------------------------------------ */

/* A whole frame is taken up; once more each time that it finds no room and is tried again.
 * op: enum xd_op. */
#define PROBE_FRAME_RECEIVED(connection, op, payload_bytes, correlation)                           \
    PROBE4(frame_received, connection, op, payload_bytes, correlation)
/* What becomes of a batch is decided. status: 0 appended, 1 duplicate, negative refused. */
#define PROBE_BATCH_VERDICT(connection, producer_id, first_sequence, record_count, status)         \
    PROBE5(batch_verdict, connection, producer_id, first_sequence, record_count, status)
/* A batch lies in the open block, which will have that index. */
#define PROBE_BATCH_STAGED(log_index, partition, base_offset, record_count, batch_bytes)           \
    PROBE5(batch_staged, log_index, partition, base_offset, record_count, batch_bytes)

/* ---- the log --------------------------------------------------------------------------------- */

/* The write of a block has completed. */
#define PROBE_BLOCK_WRITTEN(log_index, position, block_bytes, write_ns)                            \
    PROBE4(block_written, log_index, position, block_bytes, write_ns)
/* A block is on stable storage; sync_ns counts from the start of its write. */
#define PROBE_BLOCK_DURABLE(log_index, position, block_bytes, sync_ns)                             \
    PROBE4(block_durable, log_index, position, block_bytes, sync_ns)
/* The log goes on in this segment. */
#define PROBE_SEGMENT_ROLLED(segment_no, position) PROBE2(segment_rolled, segment_no, position)
/* A checkpoint is durable; it covers the log up to that index. */
#define PROBE_CHECKPOINT_DONE(generation, log_index, checkpoint_bytes)                             \
    PROBE3(checkpoint_done, generation, log_index, checkpoint_bytes)

/* ---- the way out ----------------------------------------------------------------------------- */

/* An ACK frame is queued for its connection; log_index is the newest that an ack of it rests on. */
#define PROBE_ACK_SENT(connection, ack_count, frame_bytes, log_index)                              \
    PROBE4(ack_sent, connection, ack_count, frame_bytes, log_index)
/* Batches of a partition are queued for a reader. */
#define PROBE_READ_SERVED(connection, partition, offset, next_offset, batches_bytes)               \
    PROBE5(read_served, connection, partition, offset, next_offset, batches_bytes)

#endif
