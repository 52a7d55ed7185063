/* SPDX-License-Identifier: Apache-2.0
 *
 * READ: batches of one partition, as stored.
 *
 * Normal path: the seek becomes an offset, log_read copies whole batches behind the reply's head
 * into a large buffer, which is sent. Other paths of a request, all kept as a waiter:
 *   at the end    parked at its partition until data is durable there or the long poll ends
 *   on disk       with the log, which gives it back when its block has come
 *   no buffer     tried again next turn
 *   its connection has its share of buffers queued   until that has taken one
 * A slow reader holds large buffers only while its own sends last; it never holds the memory tail,
 * and what was read from disk for it no longer than until there is a buffer for somebody.
 */
#include "broker/shard/state.h"

#include "broker/base/probes.h"
#include "wire/batch.h"
#include "wire/frame.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* READ requests served per turn, so that readers do not delay acknowledgements. */
#define SERVED_PER_TURN 64u
/* READ requests that one connection may have waiting. */
#define WAITERS_PER_CONNECTION 256u

/* Where the batches begin in a large buffer, in bytes. */
#define BATCHES_AT (ANSWERS_BODY_AT + (uint32_t)sizeof(struct xd_read_reply))

static_assert(BATCHES_AT % 8 == 0, "batches start aligned");

uint64_t readers_bytes_needed(const struct shard_options *options)
{
    return pool_bytes(sizeof(struct waiter), options->waiters_max) +
           options->partitions_max * sizeof(struct list) +
           options->waiters_max * sizeof(struct timers_entry) + 3 * 64;
}

int readers_init(struct shard *shard)
{
    const struct shard_options *options = &shard->options;
    size_t bytes = pool_bytes(sizeof(struct waiter), options->waiters_max);
    arena_budget(&shard->arena, "readers");
    void *memory = arena_alloc(&shard->arena, bytes, 64);
    shard->parked = arena_alloc(&shard->arena, options->partitions_max * sizeof(struct list), 64);
    struct timers_entry *heap =
        arena_alloc(&shard->arena, options->waiters_max * sizeof(struct timers_entry), 64);
    if (memory == NULL || shard->parked == NULL || heap == NULL)
        return -ENOMEM;
    pool_init(&shard->waiters, memory, bytes, sizeof(struct waiter), options->waiters_max);
    for (uint32_t i = 0; i < options->partitions_max; i++)
        list_init(&shard->parked[i]);
    list_init(&shard->runnable);
    list_init(&shard->held);
    timers_init(&shard->timers, heap, options->waiters_max);
    return 0;
}

/* After a waiter has left connection->held. */
static void held_settle(struct connection *connection)
{
    if (list_linked(&connection->held_link) && list_empty(&connection->held))
        list_remove(&connection->held_link);
}

/* The connection gets no further large buffer now. */
static void hold(struct shard *shard, struct connection *connection, struct waiter *waiter)
{
    list_push_back(&connection->held, &waiter->link);
    if (!list_linked(&connection->held_link))
        list_push_back(&shard->held, &connection->held_link);
}

/* The waiter of the connection that is held for longest may run, if there is room for it. */
static void held_release(struct shard *shard, struct connection *connection)
{
    struct list_node *node = list_first(&connection->held);
    if (node == NULL || !net_large_room(shard->net, connection->id))
        return;
    list_remove(node);
    list_push_back(&shard->runnable, node);
    held_settle(connection);
}

static void waiter_free(struct shard *shard, struct waiter *waiter)
{
    struct connection *connection = shard_connection(shard, waiter->conn);
    XD_ASSERT(connection != NULL && connection->waiters > 0);
    if (list_linked(&waiter->link))
        list_remove(&waiter->link);
    held_settle(connection);
    log_wait_cancel(shard->log, &waiter->disk);
    timers_cancel(&shard->timers, &waiter->timer);
    connection->waiters--;
    pool_release(&shard->waiters, waiter);
    shard->waiters_count--;
}

/* ---- replies ------------------------------------------------------------------------------- */

static void fill_reply(struct shard *shard, const struct waiter *waiter,
                       struct xd_read_reply *ret_reply)
{
    struct xd_read_reply reply = {.start_offset = waiter->offset,
                                  .next_offset = waiter->offset,
                                  .partition = waiter->partition};
    log_bounds(shard->log, waiter->partition, &reply.first_offset, &reply.end_offset);
    *ret_reply = reply;
}

/* End, or a refusal. False: the connection has no room now. */
static bool reply_empty(struct shard *shard, const struct waiter *waiter, int status)
{
    struct xd_read_reply reply;
    char detail[XD_DETAIL_BYTES_MAX] = "";
    fill_reply(shard, waiter, &reply);
    if (status < 0)
        snprintf(detail, sizeof detail, "partition %u offset %llu: %s (kept: %llu to %llu)",
                 waiter->partition, (unsigned long long)waiter->offset, xd_status_text(status),
                 (unsigned long long)reply.first_offset, (unsigned long long)reply.end_offset);
    bool bounds = status >= 0 || status == XD_OFFSET_GONE || status == XD_OFFSET_FUTURE;
    return answers_reply(shard, waiter->conn, XD_OP_READ, waiter->correlation, status, 0, detail,
                         &reply, bounds ? (uint32_t)sizeof reply : 0);
}

/* Sends what begins at large + BATCHES_AT. */
static void reply_batches(struct shard *shard, const struct waiter *waiter, uint8_t *large,
                          uint32_t batches_bytes, uint64_t next_offset)
{
    struct xd_read_reply reply;
    fill_reply(shard, waiter, &reply);
    reply.next_offset = next_offset;
    reply.batches_bytes = batches_bytes;
    memcpy(large + ANSWERS_BODY_AT, &reply, sizeof reply);
    PROBE_READ_SERVED(waiter->conn, waiter->partition, waiter->offset, next_offset, batches_bytes);
    answers_send_large(shard, waiter->conn, XD_OP_READ, waiter->correlation,
                       log_durable_index(shard->log), large,
                       (uint32_t)sizeof reply + batches_bytes);
}

/* ---- serving ------------------------------------------------------------------------------- */

/* Bytes of leading batches that a seek by time skips. Append times never fall in a partition. */
static uint32_t skip_before(const uint8_t *batches, uint32_t bytes, int64_t time_us,
                            uint64_t *ret_offset)
{
    uint32_t at = 0;
    while (at < bytes) {
        const struct xd_batch_header *batch =
            (const struct xd_batch_header *)(const void *)(batches + at);
        if (batch->append_time_us >= time_us)
            break;
        *ret_offset = batch->base_offset + batch->record_count;
        at += xd_batch_stride(batch);
    }
    XD_ASSERT(at <= bytes);
    return at;
}

/* Whole leading batches within bytes_max, at least one; their end offset in *ret_next. */
static uint32_t cut_to(const uint8_t *batches, uint32_t bytes, uint32_t bytes_max,
                       uint64_t *ret_next)
{
    uint32_t at = 0;
    while (at < bytes) {
        const struct xd_batch_header *batch =
            (const struct xd_batch_header *)(const void *)(batches + at);
        uint32_t stride = xd_batch_stride(batch);
        if (at > 0 && at + stride > bytes_max)
            break;
        *ret_next = batch->base_offset + batch->record_count;
        at += stride;
    }
    XD_ASSERT(at <= bytes);
    return at;
}

static void park(struct shard *shard, struct waiter *waiter)
{
    list_push_back(&shard->parked[waiter->partition], &waiter->link);
    if (!timer_armed(&waiter->timer)) {
        int status = timers_arm(&shard->timers, &waiter->timer, waiter->deadline_ns,
                                pool_index(&shard->waiters, waiter));
        XD_ASSERT(status == 0);
    }
}

/* One attempt for a waiter that is in no list, with a large buffer. It is freed or waits again
 * afterwards. True: the buffer was sent. */
static bool serve(struct shard *shard, struct waiter *waiter, uint8_t *large)
{
    uint8_t *batches = large + BATCHES_AT;
    uint32_t room = net_large_bytes(shard->net) - BATCHES_AT;
    uint64_t next = waiter->offset;
    int bytes = log_read(shard->log, waiter->partition, waiter->offset, batches, room, &next);
    if (bytes > 0) {
        uint32_t skipped = skip_before(batches, (uint32_t)bytes, waiter->time_us, &waiter->offset);
        if (skipped == (uint32_t)bytes) {
            list_push_front(&shard->runnable, &waiter->link);
            return false;
        }
        memmove(batches, batches + skipped, skipped > 0 ? (uint32_t)bytes - skipped : 0);
        uint32_t given = cut_to(batches, (uint32_t)bytes - skipped, waiter->bytes_max, &next);
        reply_batches(shard, waiter, large, given, next);
        waiter_free(shard, waiter);
        return true;
    }
    if (bytes == -EAGAIN) {
        log_wait(shard->log, &waiter->disk, waiter->partition, waiter->offset);
    } else if (bytes == 0 && waiter->deadline_ns > shard->now_ns) {
        park(shard, waiter);
    } else if (reply_empty(shard, waiter, bytes == 0 ? XD_END : bytes)) {
        waiter_free(shard, waiter);
    } else {
        list_push_back(&shard->runnable, &waiter->link);
    }
    return false;
}

/* The next waiter to serve, in no list; NULL when there is none. Those whose block has come from
 * disk and the others take turns. */
static struct waiter *take_next(struct shard *shard, uint32_t turn)
{
    struct log_wait *disk = NULL;
    if (turn % 2 == 0 || list_empty(&shard->runnable))
        disk = log_wait_next(shard->log);
    if (disk != NULL)
        return LIST_ELEMENT(&disk->link, struct waiter, disk.link);
    struct list_node *node = list_pop_front(&shard->runnable);
    return node != NULL ? LIST_ELEMENT(node, struct waiter, link) : NULL;
}

void readers_wake(struct shard *shard, uint32_t partition)
{
    struct list_node *node;
    while ((node = list_pop_front(&shard->parked[partition])) != NULL)
        list_push_back(&shard->runnable, node);
}

void readers_turn(struct shard *shard)
{
    struct timer *timer;
    while ((timer = timers_pop(&shard->timers, shard->now_ns)) != NULL) {
        struct waiter *waiter = pool_at(&shard->waiters, (uint32_t)timer->token);
        XD_ASSERT(waiter != NULL);
        if (!list_linked(&waiter->link))
            continue; /* its data is there: it comes from disk */
        list_remove(&waiter->link);
        list_push_back(&shard->runnable, &waiter->link);
    }
    struct list_node *next;
    for (struct list_node *node = list_first(&shard->held); node != NULL; node = next) {
        next = list_next(&shard->held, node);
        held_release(shard, LIST_ELEMENT(node, struct connection, held_link));
    }
    uint8_t *large = NULL;
    for (uint32_t i = 0; i < SERVED_PER_TURN; i++) {
        if (large == NULL)
            large = net_large_acquire(shard->net);
        struct waiter *waiter = large != NULL ? take_next(shard, i) : NULL;
        if (waiter == NULL)
            break;
        struct connection *connection = shard_connection(shard, waiter->conn);
        XD_ASSERT(connection != NULL);
        if (!net_large_room(shard->net, waiter->conn)) {
            hold(shard, connection, waiter);
        } else if (serve(shard, waiter, large)) {
            large = NULL;
            held_release(shard, connection);
        }
    }
    if (large != NULL)
        net_large_release(shard->net, large);
}

void readers_forget(struct shard *shard, net_id conn)
{
    for (uint32_t i = 0; i < shard->options.waiters_max; i++) {
        struct waiter *waiter = pool_at(&shard->waiters, i);
        if (waiter != NULL && waiter->conn == conn)
            waiter_free(shard, waiter);
    }
}

uint64_t readers_deadline_ns(const struct shard *shard)
{
    uint64_t deadline = timers_next_ns(&shard->timers);
    if (!list_empty(&shard->runnable) || log_wait_over(shard->log)) {
        uint64_t soon = shard->now_ns + 1000000; /* buffers come back with sends, in about this */
        deadline = soon < deadline ? soon : deadline;
    }
    return deadline;
}

/* ---- the request --------------------------------------------------------------------------- */

static uint64_t resolve(const struct shard *shard, const struct xd_read *read)
{
    uint64_t first, end;
    log_bounds(shard->log, read->partition, &first, &end);
    switch ((enum xd_seek)read->seek) { /* GCOVR_EXCL_BR_LINE others do not decode */
    case XD_SEEK_BEGIN:
        return first;
    case XD_SEEK_END:
        return end;
    case XD_SEEK_TIME:
        return log_seek_time(shard->log, read->partition, (int64_t)read->position);
    case XD_SEEK_OFFSET:
    case XD_SEEK_COUNT:
        break;
    }
    return read->position;
}

int on_read(struct shard *shard, const struct net_frame *frame)
{
    const uint8_t *payload = net_frame_linear(shard->net, frame);
    struct xd_read read;
    const char *field = "";
    char detail[XD_DETAIL_BYTES_MAX];
    int status = xd_read_decode(payload, frame->head.length, &read, &field);
    if (status < 0) {
        snprintf(detail, sizeof detail, "READ: field %s is wrong", field);
        return answers_refuse(shard, frame, status, detail);
    }
    if (catalog_partition(&shard->catalog, read.partition) == NULL) {
        snprintf(detail, sizeof detail, "partition: %u does not exist; fetch the catalog again",
                 read.partition);
        return answers_refuse(shard, frame, XD_PARTITION_UNKNOWN, detail);
    }
    struct connection *connection = shard_connection(shard, frame->conn);
    if (connection->waiters == WAITERS_PER_CONNECTION || pool_free_count(&shard->waiters) == 0)
        return answers_refuse(shard, frame, XD_THROTTLED,
                              "too many READ requests wait; ask with fewer at a time");

    struct waiter *waiter = pool_acquire(&shard->waiters);
    *waiter = (struct waiter){
        .conn = frame->conn,
        .partition = read.partition,
        .correlation = frame->head.correlation,
        .offset = resolve(shard, &read),
        .deadline_ns = read.wait_ms > 0 ? shard->now_ns + read.wait_ms * 1000000ull : 0,
        .time_us = read.seek == XD_SEEK_TIME ? (int64_t)read.position : INT64_MIN,
        .bytes_max = read.bytes_max};
    connection->waiters++;
    shard->waiters_count++;
    list_push_back(&shard->runnable, &waiter->link);
    return 0;
}
