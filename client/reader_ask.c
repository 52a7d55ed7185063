/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking: which partition gets the next free buffer, and how long its READ may wait.
 *
 * Normal path: a partition that has no READ out and nothing ready stands in one of three queues.
 * Those with data, or not asked yet, are served first and without a wait at the end, so that the
 * end is heard of. Buffers that are left over then hold long polls of the partitions that are at
 * their ends. As many buffers stay free as partitions with data can use: a long poll that brings
 * data keeps its own buffer, and one more is kept for what the program goes through.
 * With fewer buffers than partitions the long polls are short enough for every idle partition to
 * have its turn within IDLE_TURN_MS. Where no buffer is left over for long, one idle partition at a
 * time is asked without a wait, the one first that was not heard of for longest, at most every
 * IDLE_TURN_MS: a backlog does not hide what is new elsewhere.
 * Failure paths: what was asked on a lost connection is asked again. A refused partition pauses.
 */
#include "client/reader.h"

#include "wire/status.h"
#include "wire/xassert.h"

#define NS_PER_MS 1000000ull
#define IDLE_TURN_MS 200u
#define IDLE_WAIT_MS_MIN 5u
#define IDLE_WAIT_MS_MAX 100u
/* Requests of the connection that long polls leave to others. */
#define PENDING_LEFT 64u
/* Batches asked for: a whole reply fits a buffer. */
#define READ_BYTES                                                                                 \
    (XD_FRAME_BYTES_DEFAULT_MAX - (uint32_t)sizeof(struct xd_reply_head) -                         \
     (uint32_t)sizeof(struct xd_read_reply) - XD_DETAIL_BYTES_MAX)

/* ---- buffers --------------------------------------------------------------------------------- */

static struct xd_reader_buffer *buffer_of(struct xd_link *link)
{
    return XD_LINK_ELEMENT(link, struct xd_reader_buffer, link);
}

void xd_reader_buffer_free(struct xdock_reader *reader, struct xd_reader_buffer *buffer)
{
    XD_ASSERT(reader->free_count < reader->buffer_count);
    XD_ASSERT(buffer->partition < reader->partition_count);
    XD_ASSERT(!buffer->asked || buffer->poll != XD_POLL_LONG || reader->long_count > 0);
    if (buffer->asked && buffer->poll == XD_POLL_LONG)
        reader->long_count--;
    if (buffer->asked && buffer->poll == XD_POLL_PROBE)
        reader->probing = false;
    buffer->asked = false;
    xd_link_remove(&buffer->link);
    xd_link_push_back(&reader->free, &buffer->link);
    reader->free_count++;
    reader->wants_turn = true;
}

/* Out of the free list. */
static void buffer_take(struct xdock_reader *reader, struct xd_reader_buffer *buffer)
{
    XD_ASSERT(reader->free_count > 0 && !buffer->asked);
    xd_link_remove(&buffer->link);
    reader->free_count--;
}

void xd_reader_buffer_ready(struct xdock_reader *reader, struct xd_reader_buffer *buffer)
{
    XD_ASSERT(buffer->partition < reader->partition_count);
    XD_ASSERT(buffer->bytes > 0 && buffer->at == 0);
    buffer_take(reader, buffer);
    xd_link_push_back(&reader->ready, &buffer->link);
    reader->partitions[buffer->partition].ready_count++;
}

/* Out of the ready list: its partition may be asked for more. */
static void buffer_unready(struct xdock_reader *reader, struct xd_reader_buffer *buffer)
{
    struct xd_reader_partition *partition = &reader->partitions[buffer->partition];
    XD_ASSERT(partition->ready_count > 0);
    xd_link_remove(&buffer->link);
    partition->ready_count--;
    xd_reader_queue(reader, partition);
}

struct xd_reader_buffer *xd_reader_take_ready(struct xdock_reader *reader)
{
    struct xd_link *link = xd_link_first(&reader->ready);
    if (link == NULL)
        return NULL;
    buffer_unready(reader, buffer_of(link));
    return buffer_of(link);
}

static uint64_t tag_of(const struct xdock_reader *reader, const struct xd_reader_buffer *buffer)
{
    return (uint64_t)buffer->generation << 32 | (uint64_t)(buffer - reader->buffers);
}

void xd_reader_drop(struct xdock_reader *reader, uint32_t index)
{
    XD_ASSERT(index < reader->partition_count);
    struct xd_reader_partition *partition = &reader->partitions[index];
    partition->generation++;
    for (uint32_t i = 0; i < reader->buffer_count; i++) {
        struct xd_reader_buffer *buffer = &reader->buffers[i];
        if (!buffer->asked || buffer->partition != index)
            continue;
        xd_connection_forget_tag(&reader->client->connection, reader, tag_of(reader, buffer));
        xd_reader_buffer_free(reader, buffer);
    }
    partition->asked = false;
    struct xd_link *link = xd_link_first(&reader->ready);
    while (link != NULL) {
        struct xd_reader_buffer *buffer = buffer_of(link);
        link = xd_link_next(&reader->ready, link);
        if (buffer->partition != index)
            continue;
        buffer_unready(reader, buffer);
        xd_reader_buffer_free(reader, buffer);
    }
    xd_reader_queue(reader, partition);
}

void xd_reader_lost(struct xdock_reader *reader)
{
    for (uint32_t i = 0; i < reader->buffer_count; i++) {
        struct xd_reader_buffer *buffer = &reader->buffers[i];
        if (!buffer->asked)
            continue;
        struct xd_reader_partition *partition = &reader->partitions[buffer->partition];
        partition->asked = false;
        xd_reader_buffer_free(reader, buffer);
        xd_reader_queue(reader, partition);
    }
    XD_ASSERT(reader->long_count == 0 && !reader->probing);
}

/* ---- queues ---------------------------------------------------------------------------------- */

static struct xd_reader_partition *first_of(const struct xdock_reader *reader,
                                            enum xd_reader_queue queue)
{
    struct xd_link *link = xd_link_first(&reader->queues[queue]);
    return link != NULL ? XD_LINK_ELEMENT(link, struct xd_reader_partition, link) : NULL;
}

static void leave_queue(struct xdock_reader *reader, struct xd_reader_partition *partition)
{
    if (!xd_link_used(&partition->link))
        return;
    XD_ASSERT(partition->queue < XD_QUEUE_COUNT);
    XD_ASSERT(reader->queue_counts[partition->queue] > 0);
    reader->queue_counts[partition->queue]--;
    xd_link_remove(&partition->link);
}

void xd_reader_queue(struct xdock_reader *reader, struct xd_reader_partition *partition)
{
    leave_queue(reader, partition);
    if (partition->asked || partition->stopped || partition->ready_count > 0 ||
        partition->report != 0)
        return;
    partition->queue = partition->retry_ns > 0 ? XD_QUEUE_PAUSED
                       : partition->at_end     ? XD_QUEUE_IDLE
                                               : XD_QUEUE_DATA;
    xd_link_push_back(&reader->queues[partition->queue], &partition->link);
    reader->queue_counts[partition->queue]++;
    XD_ASSERT(reader->queue_counts[partition->queue] <= reader->partition_count);
    reader->wants_turn = true;
}

/* Partitions whose pause is over stand in line again. */
static void end_pauses(struct xdock_reader *reader, uint64_t now_ns)
{
    struct xd_link *head = &reader->queues[XD_QUEUE_PAUSED];
    struct xd_link *link = xd_link_first(head);
    while (link != NULL) {
        struct xd_reader_partition *partition =
            XD_LINK_ELEMENT(link, struct xd_reader_partition, link);
        link = xd_link_next(head, link);
        if (partition->retry_ns > now_ns)
            continue;
        partition->retry_ns = 0;
        xd_reader_queue(reader, partition);
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Sends a READ into a free buffer. False: the connection takes no more. */
static bool ask(struct xdock_reader *reader, struct xd_reader_partition *partition,
                enum xd_poll poll, uint32_t wait_ms)
{
    XD_ASSERT(!partition->asked && reader->free_count > 0);
    XD_ASSERT(!partition->stopped && partition->ready_count == 0);
    struct xd_reader_buffer *buffer = buffer_of(reader->free.next);
    const struct xd_read read = {.partition = partition->partition,
                                 .seek = partition->seek,
                                 .position = partition->position,
                                 .bytes_max = READ_BYTES,
                                 .wait_ms = wait_ms};
    buffer->partition = (uint32_t)(partition - reader->partitions);
    buffer->generation = partition->generation;
    if (xd_connection_request(&reader->client->connection, XD_OP_READ, &read, sizeof(read), reader,
                              tag_of(reader, buffer), buffer->data, XD_FRAME_BYTES_DEFAULT_MAX) < 0)
        return false;
    leave_queue(reader, partition);
    buffer_take(reader, buffer);
    buffer->asked = true;
    buffer->poll = poll;
    partition->asked = true;
    reader->long_count += poll == XD_POLL_LONG ? 1 : 0;
    XD_ASSERT(reader->long_count <= reader->buffer_count - reader->free_count);
    reader->probing |= poll == XD_POLL_PROBE;
    return true;
}

/* Free buffers that stay free: one for the program, unless it has it. */
static uint32_t kept_free(const struct xdock_reader *reader)
{
    return reader->current == NULL ? 1 : 0;
}

/* A buffer is left over for a long poll. */
static bool may_wait(const struct xdock_reader *reader)
{
    return reader->queue_counts[XD_QUEUE_DATA] == 0 && reader->free_count > kept_free(reader) &&
           reader->client->connection.pending_count < XD_PENDING_MAX - PENDING_LEFT;
}

/* How long the next long poll waits. */
static uint32_t long_wait_ms(const struct xdock_reader *reader)
{
    if (reader->buffer_count > reader->partition_count)
        return reader->wait_ms; /* everyone has a buffer: nobody waits for this one */
    uint32_t idle = reader->long_count + reader->queue_counts[XD_QUEUE_IDLE];
    uint32_t slots = reader->long_count + reader->free_count - kept_free(reader);
    XD_ASSERT(slots > 0);
    uint32_t wait_ms = IDLE_TURN_MS / ((idle + slots - 1) / slots);
    wait_ms = wait_ms > IDLE_WAIT_MS_MIN ? wait_ms : IDLE_WAIT_MS_MIN;
    wait_ms = wait_ms < IDLE_WAIT_MS_MAX ? wait_ms : IDLE_WAIT_MS_MAX;
    return wait_ms < reader->wait_ms ? wait_ms : reader->wait_ms;
}

/* Time of the next probe, XD_WAIT_FOREVER: none. */
static uint64_t probe_ns(const struct xdock_reader *reader)
{
    const struct xd_reader_partition *partition = first_of(reader, XD_QUEUE_IDLE);
    if (partition == NULL || reader->probing || reader->free_count == 0)
        return XD_WAIT_FOREVER;
    return partition->at_end_ns + IDLE_TURN_MS * NS_PER_MS;
}

void xd_reader_ask(struct xdock_reader *reader, uint64_t now_ns)
{
    reader->wants_turn = false;
    end_pauses(reader, now_ns);
    struct xd_reader_partition *partition = first_of(reader, XD_QUEUE_IDLE);
    if (partition != NULL && !may_wait(reader) && probe_ns(reader) <= now_ns &&
        !ask(reader, partition, XD_POLL_PROBE, 0))
        return;
    while (reader->free_count > 0 && (partition = first_of(reader, XD_QUEUE_DATA)) != NULL) {
        if (!ask(reader, partition, XD_POLL_NONE, 0))
            return;
    }
    while (may_wait(reader) && (partition = first_of(reader, XD_QUEUE_IDLE)) != NULL) {
        if (!ask(reader, partition, XD_POLL_LONG, long_wait_ms(reader)))
            return;
    }
}

uint64_t xd_reader_deadline(const struct xdock_reader *reader)
{
    uint64_t deadline = probe_ns(reader);
    if (reader->free_count == 0)
        return deadline;
    const struct xd_link *head = &reader->queues[XD_QUEUE_PAUSED];
    for (struct xd_link *link = xd_link_first(head); link != NULL;
         link = xd_link_next(head, link)) {
        const struct xd_reader_partition *partition =
            XD_LINK_ELEMENT(link, struct xd_reader_partition, link);
        deadline = partition->retry_ns < deadline ? partition->retry_ns : deadline;
    }
    return deadline;
}
