/* SPDX-License-Identifier: Apache-2.0
 *
 * Every bound of the wire and disk formats, by name.
 *
 * A length that comes from outside is compared with one of these before any arithmetic is done on
 * it. The static assertions at the end state how the limits hang together. This file must not
 * hold tunables: an operator's settings live in the broker's option table and can only be tighter.
 */
#ifndef CROSSDOCK_WIRE_LIMITS_H
#define CROSSDOCK_WIRE_LIMITS_H

#include <assert.h>

/* Alignment of a commit block on disk, of its start in memory and of its length, in bytes. */
#define XD_BLOCK_ALIGN 4096u

/* Largest commit block: header, payload and zero padding, in bytes. */
#define XD_BLOCK_BYTES_MAX (1024u * 1024u)

/* Room that a block keeps beside its largest batch: block header, suppression bitmap, padding. */
#define XD_BLOCK_RESERVE_BYTES (16u * 1024u)

/* Largest batch: header and body as sent, in bytes. */
#define XD_BATCH_BYTES_MAX (XD_BLOCK_BYTES_MAX - XD_BLOCK_RESERVE_BYTES)

/* Records in one batch. The count travels as u16, so the type carries the limit. */
#define XD_BATCH_RECORDS_MAX 65535u

/* A batch starts on this boundary inside a frame and inside a block, in bytes. */
#define XD_BATCH_ALIGN 8u

/* Body of a compressed batch after decoding, in bytes. Checked before decoding. */
#define XD_BATCH_RAW_BYTES_MAX (1024u * 1024u)

/* A compressed body may not claim to grow by more than this factor (LZ4's own bound is 255). */
#define XD_BATCH_RAW_RATIO_MAX 255u

/* Frame payload (what follows the 16-byte header), in bytes. */
#define XD_FRAME_BYTES_HARD_MAX (16u * 1024u * 1024u)
#define XD_FRAME_BYTES_DEFAULT_MAX (1024u * 1024u)
#define XD_FRAME_BYTES_PREAUTH_MAX 4096u

/* Batches in one PRODUCE frame; acknowledgements in one ACK frame. */
#define XD_PRODUCE_BATCHES_MAX 1024u
#define XD_ACKS_MAX 1024u

/* Batches that a channel may have unacknowledged in one partition. The broker keeps proof of at
 * least as many, so any of them can be resent and recognised. */
#define XD_INFLIGHT_BATCHES_MAX 16u

/* Record parts, in bytes. */
#define XD_RECORD_ALIGN 8u
#define XD_RECORD_TLV_BYTES_MAX 2040u
#define XD_RECORD_BYTES_MAX (XD_BATCH_BYTES_MAX - 256u)
#define XD_TEXT_BYTES_MAX 255u

/* Names: topic, facility, source, channel, client name. 1 to 64 characters of [A-Za-z0-9._-]. */
#define XD_NAME_BYTES_MAX 64u

/* Catalog sizes. A partition id is dense and 32 bits wide; the table is allocated at start. */
#define XD_TOPICS_MAX 256u
#define XD_FACILITIES_MAX 4096u
#define XD_SHARDS_MAX 64u /* of a broker */
#define XD_PARTITION_WIDTH_MAX 64u
#define XD_PARTITIONS_MAX 131072u

/* Partitions of one facility: every topic in its full width. A channel has no more chains. */
#define XD_CHAINS_MAX (XD_TOPICS_MAX * XD_PARTITION_WIDTH_MAX)

/* Partition number of batches that belong to none (control batches). */
#define XD_PARTITION_NONE 0xffffffffu

/* Text that a reply carries to explain a failure, in bytes. */
#define XD_DETAIL_BYTES_MAX 512u

/* Admin request and reply bodies (JSON), in bytes. */
#define XD_ADMIN_REQUEST_BYTES_MAX (64u * 1024u)
#define XD_ADMIN_REPLY_BYTES_MAX (768u * 1024u)

/* Long poll of a READ, in milliseconds. */
#define XD_READ_WAIT_MS_MAX 30000u

static_assert(XD_BLOCK_BYTES_MAX % XD_BLOCK_ALIGN == 0, "blocks are whole pages");
static_assert(XD_BATCH_BYTES_MAX + 128u + XD_BATCH_RECORDS_MAX / 8u + 1u <= XD_BLOCK_BYTES_MAX,
              "the largest batch, its suppression bitmap and a block header fit one block");
static_assert(XD_BATCH_BYTES_MAX + 1024u <= XD_FRAME_BYTES_DEFAULT_MAX,
              "the largest batch fits a frame of the default limit");
static_assert(XD_BATCH_BYTES_MAX % XD_BATCH_ALIGN == 0, "the largest batch is aligned");
static_assert(XD_ADMIN_REPLY_BYTES_MAX < XD_FRAME_BYTES_DEFAULT_MAX, "an admin reply fits");
static_assert(XD_FRAME_BYTES_DEFAULT_MAX <= XD_FRAME_BYTES_HARD_MAX, "default within hard cap");
static_assert(XD_CHAINS_MAX * 24u + 1024u <= XD_FRAME_BYTES_DEFAULT_MAX,
              "an open's reply with a chain in every partition of a facility fits one frame");
static_assert(XD_BATCH_RAW_BYTES_MAX <= 0xffffffffu / 2u, "raw size fits signed arithmetic");

#endif
