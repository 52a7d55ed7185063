/* SPDX-License-Identifier: Apache-2.0
 *
 * Fetching: replies to READ in, batches to views. What is asked and when is in reader_ask.c.
 *
 * Normal path: a reply with batches is queued; batch after batch is checked, decoded and becomes
 * available.
 * Failure paths: OFFSET_GONE and what stops a partition are noted there and reported by the next
 * poll, once. A damaged batch is reported too, and the partition is asked again from where the
 * program stands.
 */
#include "client/reader.h"

#include "wire/batch.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_MS 1000000ull
#define RETRY_NS 100000000ull /* where the broker names no delay */

/* ---- replies --------------------------------------------------------------------------------- */

static const char *take_gone(struct xd_reader_partition *partition, const uint8_t *body,
                             size_t body_bytes)
{
    struct xd_read_reply reply;
    const uint8_t *batches;
    const char *field = "";
    if (xd_read_reply_decode(body, body_bytes, &reply, &batches, &field) < 0)
        return field;
    partition->missing =
        reply.first_offset > reply.start_offset ? reply.first_offset - reply.start_offset : 0;
    partition->report = XD_OFFSET_GONE;
    partition->seek = XD_SEEK_OFFSET;
    partition->position = reply.first_offset;
    partition->offset = reply.first_offset;
    partition->end = reply.end_offset;
    partition->resolved = true;
    partition->at_end = false;
    return NULL;
}

static const char *take_refusal(struct xdock_reader *reader, struct xd_reader_partition *partition,
                                const struct xd_reply_head *head, struct xd_text detail,
                                const uint8_t *body, size_t body_bytes)
{
    if (head->status == XD_OFFSET_GONE && body_bytes > 0)
        return take_gone(partition, body, body_bytes);
    enum xd_class class = xd_status_class(head->status);
    if (class == XD_CLASS_RETRY || class == XD_CLASS_BACKOFF || class == XD_CLASS_UNKNOWN) {
        uint64_t pause = head->retry_after_ms > 0 ? head->retry_after_ms * NS_PER_MS : RETRY_NS;
        partition->retry_ns = xd_client_now_ns(reader->client) + pause;
        return NULL;
    }
    char text[XD_DETAIL_BYTES_MAX + 1];
    snprintf(text, sizeof(text), "%.*s", (int)detail.bytes, detail.data != NULL ? detail.data : "");
    (void)xd_client_fail(reader->client, head->status, "READ", text); /* the next poll reports it */
    partition->report = head->status;
    partition->stopped = true;
    return NULL;
}

/* Takes a reply with status 0 or more; a buffer with batches becomes ready. */
static const char *take_batches(struct xdock_reader *reader, struct xd_reader_buffer *buffer,
                                const uint8_t *body, size_t body_bytes)
{
    XD_ASSERT(buffer->partition < reader->partition_count);
    struct xd_reader_partition *partition = &reader->partitions[buffer->partition];
    struct xd_read_reply reply;
    const char *field = "";
    if (xd_read_reply_decode(body, body_bytes, &reply, &buffer->batches, &field) < 0)
        return field;
    if (reply.partition != partition->partition)
        return "partition";
    if (reply.batches_bytes > 0 && reply.next_offset <= reply.start_offset)
        return "next_offset";
    partition->end = reply.end_offset;
    partition->seek = XD_SEEK_OFFSET;
    partition->position = reply.next_offset;
    partition->at_end = reply.batches_bytes == 0 || reply.next_offset >= reply.end_offset;
    if (partition->at_end)
        partition->at_end_ns = xd_client_now_ns(reader->client);
    if (!partition->resolved)
        partition->offset = reply.start_offset;
    partition->resolved = true;
    if (reply.batches_bytes == 0)
        return NULL;
    buffer->bytes = reply.batches_bytes;
    buffer->at = 0;
    xd_reader_buffer_ready(reader, buffer);
    return NULL;
}

const char *xd_reader_reply(struct xdock_reader *reader, uint64_t tag,
                            const struct xd_reply_head *head, struct xd_text detail,
                            const uint8_t *body, size_t body_bytes)
{
    uint32_t number = (uint32_t)(tag & UINT32_MAX);
    XD_ASSERT(number < reader->buffer_count);
    struct xd_reader_buffer *buffer = &reader->buffers[number];
    struct xd_reader_partition *partition = &reader->partitions[buffer->partition];
    XD_ASSERT(partition->asked && !xd_link_used(&partition->link));
    XD_ASSERT(buffer->asked && buffer->generation == partition->generation);
    partition->asked = false;
    partition->retry_ns = 0;
    xd_reader_buffer_free(reader, buffer);
    const char *field = head->status < 0
                            ? take_refusal(reader, partition, head, detail, body, body_bytes)
                            : take_batches(reader, buffer, body, body_bytes);
    xd_reader_queue(reader, partition);
    return field;
}

/* ---- batches to views ------------------------------------------------------------------------ */

static bool is_suppressed(const struct xd_batch_header *batch, uint32_t index)
{
    if (batch->suppressed_count == 0)
        return false;
    const uint8_t *bitmap = (const uint8_t *)batch + batch->batch_bytes;
    return (bitmap[index / 8] >> (index % 8)) & 1;
}

static bool passes(const struct xd_reader_filter *filter, const struct xd_record *record)
{
    if (!filter->active)
        return true;
    const struct xd_stock *stock = record->stock;
    if (filter->type != 0 && record->core->type != filter->type)
        return false;
    if (filter->sku_text.bytes > 0 &&
        (stock == NULL ||
         !xd_view_key_is(record, stock->sku, XD_TAG_SKU, filter->sku_key, filter->sku_text)))
        return false;
    if (filter->location_text.bytes == 0)
        return true;
    return stock != NULL && (xd_view_key_is(record, stock->location_from, XD_TAG_LOCATION_FROM,
                                            filter->location_key, filter->location_text) ||
                             xd_view_key_is(record, stock->location_to, XD_TAG_LOCATION_TO,
                                            filter->location_key, filter->location_text));
}

/* Decodes a checked batch; its fitting records become available. Their count, or a status. */
static int decode_batch(struct xdock_reader *reader, const struct xd_batch_header *batch,
                        uint64_t first_offset, const char **ret_field)
{
    const uint8_t *body;
    XD_ASSERT(reader->view_count == 0);
    *ret_field = "body";
    int status = xd_batch_body(batch, reader->scratch, XD_BATCH_RAW_BYTES_MAX, &body);
    if (status < 0)
        return status;
    uint32_t at = 0;
    for (uint32_t i = 0; i < batch->record_count; i++) {
        struct xd_view *element = &reader->views[reader->view_count];
        int stride =
            xd_record_decode(body + at, batch->raw_bytes - at, &element->record, ret_field);
        if (stride < 0)
            return stride;
        at += (uint32_t)stride;
        if (batch->base_offset + i < first_offset || is_suppressed(batch, i) ||
            !passes(&reader->filter, &element->record))
            continue;
        xd_view_fill(element, batch, i);
        reader->view_count++;
        XD_ASSERT(reader->view_count <= XD_VIEWS_MAX);
    }
    return (int)reader->view_count;
}

/* The batch at the buffer's position: its records, 0 = none of them fits, or a status. */
static int take_batch(struct xdock_reader *reader, struct xd_reader_buffer *buffer)
{
    struct xd_reader_partition *partition = &reader->partitions[buffer->partition];
    XD_ASSERT(buffer->at < buffer->bytes && buffer->at % 8 == 0);
    const struct xd_batch_header *batch =
        (const struct xd_batch_header *)(const void *)(buffer->batches + buffer->at);
    const char *field = "batch_xxh3";
    int status = xd_batch_check_stored(batch, buffer->bytes - buffer->at, &field);
    if (status == 0)
        status = xd_batch_check_hash(batch);
    if (status == 0 && batch->partition != partition->partition) {
        field = "partition";
        status = XD_BATCH_MALFORMED;
    }
    reader->view_count = reader->view_at = 0;
    if (status == 0)
        status = decode_batch(reader, batch, partition->offset, &field);
    if (status < 0) {
        char text[160];
        snprintf(text, sizeof(text), "partition %u, behind offset %llu: field %s is wrong",
                 partition->partition, (unsigned long long)partition->offset, field);
        return xd_client_fail(reader->client, status, "a batch that was read", text);
    }
    buffer->at += xd_batch_stride(batch);
    XD_ASSERT(buffer->at <= buffer->bytes);
    reader->batch_end = batch->base_offset + batch->record_count;
    return status;
}

void xd_reader_release_batch(struct xdock_reader *reader)
{
    if (reader->current != NULL) {
        struct xd_reader_partition *partition = &reader->partitions[reader->current->partition];
        if (reader->batch_end > partition->offset)
            partition->offset = reader->batch_end;
    }
    reader->view_count = reader->view_at = 0;
    reader->batch_end = 0;
}

/* A status that a partition waits to report, or 0. */
static int take_report(struct xdock_reader *reader)
{
    for (uint32_t i = 0; i < reader->partition_count; i++) {
        struct xd_reader_partition *partition = &reader->partitions[i];
        int status = partition->report;
        if (status == 0)
            continue;
        partition->report = 0;
        xd_reader_queue(reader, partition);
        if (status == XD_OFFSET_GONE) {
            char text[160];
            snprintf(text, sizeof(text),
                     "partition %u: %llu records are not kept any more; reading goes on at %llu",
                     partition->partition, (unsigned long long)partition->missing,
                     (unsigned long long)partition->position);
            return xd_client_fail(reader->client, status, "READ", text);
        }
        return status;
    }
    return 0;
}

int xd_reader_next_batch(struct xdock_reader *reader)
{
    for (;;) {
        struct xd_reader_buffer *buffer = reader->current;
        if (buffer != NULL && buffer->at >= buffer->bytes) {
            reader->current = NULL;
            xd_reader_buffer_free(reader, buffer);
        }
        if (reader->current == NULL) {
            int status = take_report(reader);
            if (status < 0)
                return status;
            reader->current = xd_reader_take_ready(reader);
        }
        buffer = reader->current;
        if (buffer == NULL)
            return 0;
        int count = take_batch(reader, buffer);
        if (count > 0)
            return count;
        if (count == 0) {
            xd_reader_release_batch(reader);
            continue;
        }
        uint32_t index = buffer->partition;
        reader->current = NULL;
        reader->view_count = reader->view_at = 0;
        xd_reader_buffer_free(reader, buffer);
        xd_reader_drop(reader, index);
        reader->partitions[index].position = reader->partitions[index].offset;
        reader->partitions[index].at_end = false;
        xd_reader_queue(reader, &reader->partitions[index]);
        return count;
    }
}
