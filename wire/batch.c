/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks, seals and opens batches.
 *
 * Normal path in the client: fill header and body, xd_batch_seal. In the broker: xd_batch_peek to
 * cut the frame, copy the batch to aligned memory, xd_batch_check_header, xd_batch_check_hash, then
 * set the broker's fields. Reading back, on either side: xd_batch_check_stored,
 * xd_batch_check_hash, xd_batch_body.
 *
 * The two checks share their rules; what differs is who may have touched the broker's fields. Each
 * compares a length with limits.h and with the bytes that are there before it is used. A refusal
 * names the field as the struct does. Must not trust a field of a header that it has not checked:
 * the functions that need a checked header assert what they rely on.
 */
#include "wire/batch.h"

#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/compress.h"
#include "wire/frame.h"
#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

static_assert(XD_BATCH_RECORDS_MAX == UINT16_MAX, "the record count's type carries its limit");
static_assert(XD_BATCH_BYTES_MAX <= INT32_MAX, "a batch size fits the status word");
static_assert((XD_BATCH_FLAGS_CLIENT & ~XD_BATCH_FLAGS_ALL) == 0, "client flags are known flags");

static int is_aligned(const struct xd_batch_header *h)
{
    return ((uintptr_t)h & (XD_BATCH_ALIGN - 1u)) == 0;
}

static uint32_t body_bytes(const struct xd_batch_header *h)
{
    return h->batch_bytes - XD_BATCH_HEADER_BYTES;
}

/* 0 when `batch_bytes` can be the size of a batch, before anything else is known about it. */
static int check_size(uint32_t batch_bytes)
{
    if (batch_bytes < XD_BATCH_HEADER_BYTES)
        return XD_BATCH_MALFORMED;
    return batch_bytes > XD_BATCH_BYTES_MAX ? XD_BATCH_TOO_LARGE : 0;
}

int xd_batch_peek(const uint8_t *data, size_t bytes)
{
    XD_ASSERT(data != NULL || bytes == 0);
    uint32_t first[2]; /* magic, batch_bytes */
    if (bytes < sizeof(first))
        return XD_PARTIAL;
    memcpy(first, data, sizeof(first));
    if (first[0] != XD_BATCH_MAGIC)
        return XD_BATCH_MALFORMED;
    int status = check_size(first[1]);
    return status < 0 ? status : (int)first[1];
}

/* Magic, size, and what this program cannot read at all. */
static int check_frame(const struct xd_batch_header *h, size_t bytes, const char **ret_field)
{
    if (bytes < XD_BATCH_HEADER_BYTES)
        return xd_refuse(XD_BATCH_MALFORMED, "batch_bytes", ret_field);
    if (h->magic != XD_BATCH_MAGIC)
        return xd_refuse(XD_BATCH_MALFORMED, "magic", ret_field);
    int status = check_size(h->batch_bytes);
    if (status < 0)
        return xd_refuse(status, "batch_bytes", ret_field);
    if (h->batch_bytes > bytes)
        return xd_refuse(XD_BATCH_MALFORMED, "batch_bytes", ret_field);
    if (h->reserved != 0)
        return xd_refuse(XD_BATCH_MALFORMED, "reserved", ret_field);
    if (h->format >= XD_FORMAT_COUNT)
        return xd_refuse(XD_FORMAT_UNKNOWN, "format", ret_field);
    if (h->codec >= XD_CODEC_COUNT)
        return xd_refuse(XD_CODEC_UNKNOWN, "codec", ret_field);
    return 0;
}

/* Size of the body before compression: the bound that stops a decompression bomb. */
static int check_raw_bytes(const struct xd_batch_header *h, const char **ret_field)
{
    uint32_t body = body_bytes(h);
    if (h->raw_bytes > XD_BATCH_RAW_BYTES_MAX)
        return xd_refuse(XD_BATCH_TOO_LARGE, "raw_bytes", ret_field);
    if (h->codec == XD_CODEC_NONE && h->raw_bytes != body)
        return xd_refuse(XD_BATCH_MALFORMED, "raw_bytes", ret_field);
    if (h->raw_bytes > (uint64_t)body * XD_BATCH_RAW_RATIO_MAX)
        return xd_refuse(XD_BATCH_MALFORMED, "raw_bytes", ret_field);
    return 0;
}

/* Records, their partition and their sequences. */
static int check_records(const struct xd_batch_header *h, const char **ret_field)
{
    if (h->control_kind != 0)
        return xd_refuse(XD_BATCH_MALFORMED, "control_kind", ret_field);
    if (h->partition == XD_PARTITION_NONE)
        return xd_refuse(XD_BATCH_MALFORMED, "partition", ret_field);
    if (h->record_count == 0)
        return xd_refuse(XD_BATCH_MALFORMED, "record_count", ret_field);
    if (h->raw_bytes == 0)
        return xd_refuse(XD_BATCH_MALFORMED, "raw_bytes", ret_field);
    if (h->previous_sequence >= h->first_sequence)
        return xd_refuse(XD_BATCH_MALFORMED, "previous_sequence", ret_field);
    if (h->last_sequence < h->first_sequence)
        return xd_refuse(XD_BATCH_MALFORMED, "last_sequence", ret_field);
    /* first_sequence is above previous_sequence, so it is at least 1 and nothing wraps. */
    if (h->last_sequence - h->first_sequence + 1 < h->record_count)
        return xd_refuse(XD_BATCH_MALFORMED, "record_count", ret_field);
    return 0;
}

/* A control entry belongs to no partition; its sequences are free. */
static int check_control(const struct xd_batch_header *h, const char **ret_field)
{
    if (h->control_kind == 0)
        return xd_refuse(XD_BATCH_MALFORMED, "control_kind", ret_field);
    if (h->partition != XD_PARTITION_NONE)
        return xd_refuse(XD_BATCH_MALFORMED, "partition", ret_field);
    if (h->last_sequence < h->first_sequence)
        return xd_refuse(XD_BATCH_MALFORMED, "last_sequence", ret_field);
    return 0;
}

/* The atomic fields say something only under their flag. */
static int check_atomic(const struct xd_batch_header *h, const char **ret_field)
{
    if (h->flags & XD_BATCH_ATOMIC_PART) {
        if (h->atomic_part == 0 || h->atomic_part > h->atomic_parts)
            return xd_refuse(XD_BATCH_MALFORMED, "atomic_part", ret_field);
        return 0;
    }
    if (h->atomic_part != 0)
        return xd_refuse(XD_BATCH_MALFORMED, "atomic_part", ret_field);
    if (h->atomic_parts != 0)
        return xd_refuse(XD_BATCH_MALFORMED, "atomic_parts", ret_field);
    if (h->atomic_id != 0)
        return xd_refuse(XD_BATCH_MALFORMED, "atomic_id", ret_field);
    return 0;
}

/* The rules that hold for every batch; `flags_allowed` says which flags are known here. */
static int check_common(const struct xd_batch_header *h, size_t bytes, uint32_t flags_allowed,
                        const char **ret_field)
{
    int status = check_frame(h, bytes, ret_field);
    if (status < 0)
        return status;
    if (h->flags & ~flags_allowed)
        return xd_refuse(XD_BATCH_MALFORMED, "flags", ret_field);
    status = check_raw_bytes(h, ret_field);
    if (status < 0)
        return status;
    status =
        h->flags & XD_BATCH_CONTROL ? check_control(h, ret_field) : check_records(h, ret_field);
    if (status < 0)
        return status;
    if (h->last_event_time_us < h->first_event_time_us)
        return xd_refuse(XD_BATCH_MALFORMED, "last_event_time_us", ret_field);
    return check_atomic(h, ret_field);
}

int xd_batch_check_header(const struct xd_batch_header *h, size_t bytes, const char **ret_field)
{
    XD_ASSERT(is_aligned(h));
    XD_ASSERT(ret_field != NULL);
    int status = check_common(h, bytes, XD_BATCH_FLAGS_CLIENT, ret_field);
    if (status < 0)
        return status;
    if (h->base_offset != 0)
        return xd_refuse(XD_BATCH_MALFORMED, "base_offset", ret_field);
    if (h->append_time_us != 0)
        return xd_refuse(XD_BATCH_MALFORMED, "append_time_us", ret_field);
    if (h->suppressed_count != 0)
        return xd_refuse(XD_BATCH_MALFORMED, "suppressed_count", ret_field);
    return 0;
}

int xd_batch_check_stored(const struct xd_batch_header *h, size_t bytes, const char **ret_field)
{
    XD_ASSERT(is_aligned(h));
    XD_ASSERT(ret_field != NULL);
    int status = check_common(h, bytes, XD_BATCH_FLAGS_ALL, ret_field);
    if (status < 0)
        return status;
    if (h->base_offset > UINT64_MAX - h->record_count)
        return xd_refuse(XD_BATCH_MALFORMED, "base_offset", ret_field);
    if (h->suppressed_count > h->record_count)
        return xd_refuse(XD_BATCH_MALFORMED, "suppressed_count", ret_field);
    /* The batch itself is there; its bitmap and padding must be too. */
    if (xd_batch_stride(h) > bytes)
        return xd_refuse(XD_BATCH_MALFORMED, "batch_bytes", ret_field);
    return 0;
}

uint64_t xd_batch_hash(const struct xd_batch_header *h)
{
    XD_ASSERT(h->batch_bytes >= XD_BATCH_HEADER_BYTES);
    XD_ASSERT(h->batch_bytes <= XD_BATCH_BYTES_MAX);
    return xd_xxh3((const uint8_t *)h + XD_BATCH_HASHED_FROM,
                   h->batch_bytes - XD_BATCH_HASHED_FROM);
}

int xd_batch_check_hash(const struct xd_batch_header *h)
{
    XD_ASSERT(is_aligned(h));
    return xd_batch_hash(h) == h->batch_xxh3 ? 0 : XD_BATCH_CHECKSUM;
}

void xd_batch_seal(struct xd_batch_header *h, uint32_t batch_bytes)
{
    XD_ASSERT(is_aligned(h));
    XD_ASSERT(check_size(batch_bytes) == 0);
    h->magic = XD_BATCH_MAGIC;
    h->batch_bytes = batch_bytes;
    h->base_offset = 0;
    h->append_time_us = 0;
    h->suppressed_count = 0;
    h->control_kind = 0;
    h->reserved = 0;
    h->batch_xxh3 = xd_batch_hash(h);
}

int xd_batch_body(const struct xd_batch_header *h, uint8_t *scratch, size_t scratch_bytes,
                  const uint8_t **ret_body)
{
    XD_ASSERT(is_aligned(h));
    XD_ASSERT(check_size(h->batch_bytes) == 0);
    XD_ASSERT(scratch != NULL || scratch_bytes == 0);
    XD_ASSERT(ret_body != NULL);
    const uint8_t *body = (const uint8_t *)h + XD_BATCH_HEADER_BYTES;
    switch (h->codec) {
    case XD_CODEC_NONE:
        XD_ASSERT(h->raw_bytes == body_bytes(h));
        *ret_body = body;
        return 0;
    case XD_CODEC_LZ4:
        break;
    default:
        return XD_CODEC_UNKNOWN;
    }

    if (h->raw_bytes > scratch_bytes)
        return XD_BATCH_TOO_LARGE;
    int status = xd_decompress(body, body_bytes(h), scratch, h->raw_bytes);
    if (status < 0)
        return status;
    *ret_body = scratch;
    return 0;
}
