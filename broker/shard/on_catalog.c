/* SPDX-License-Identifier: Apache-2.0
 *
 * CATALOG: what lies behind the client's copy of the catalog, a page at a time.
 *
 * Normal path: the catalog only grows at its ends, so the rows that a client lacks are the last
 * ones of each table, and are found without a search. A page has a fixed size, however large the
 * catalog is; the client asks again until it has all.
 * Failure paths: a catalog whose newest entry a crash could take away is not told yet; a client
 * that claims to have part of a placement, which no copy of this catalog ends with, is refused.
 */
#include "broker/shard/state.h"

#include "wire/frame.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Rows of one page, in bytes: some 10 us of copying, and 100,000 partitions in at most 7 pages. */
#define PAGE_BYTES (256u * 1024u)

static_assert(ANSWERS_BODY_AT + sizeof(struct xd_catalog_reply) + PAGE_BYTES <=
                  XD_FRAME_BYTES_DEFAULT_MAX,
              "a page fits the smallest large buffer");
static_assert(XD_TOPICS_MAX * sizeof(struct xd_catalog_topic) < PAGE_BYTES,
              "a page makes progress in every table");

/* A page being written. */
struct page {
    uint8_t *at;                   /* where the next row goes, 8-byte aligned */
    const uint8_t *end;            /* behind the last byte of room */
    struct xd_catalog_reply reply; /* counts of the rows written, and totals */
};

/* False: the page is full, also for smaller rows: what comes first is complete first. */
static bool put(struct page *page, const void *row, size_t bytes)
{
    XD_ASSERT(((uintptr_t)page->at & 7u) == 0 && bytes % 8 == 0);
    XD_ASSERT(page->at <= page->end);
    if ((size_t)(page->end - page->at) < bytes) {
        page->end = page->at;
        return false;
    }
    memcpy(page->at, row, bytes);
    page->at += bytes;
    return true;
}

static void put_topics(struct page *page, const struct catalog *catalog, uint32_t from)
{
    for (uint32_t i = from; i < catalog->topic_count; i++) {
        const struct topic *topic = &catalog->topics[i];
        struct xd_catalog_topic row = {.topic = topic->number,
                                       .strategy = topic->strategy,
                                       .width = topic->width,
                                       .name_bytes = topic->name_bytes};
        memcpy(row.name, topic->name, topic->name_bytes);
        if (!put(page, &row, sizeof row))
            return;
        page->reply.topic_count++;
    }
}

static void put_facilities(struct page *page, const struct catalog *catalog, uint32_t from)
{
    for (uint32_t i = from; i < catalog->facility_count; i++) {
        const struct facility *facility = &catalog->facilities[i];
        struct xd_catalog_facility row = {.facility = facility->number,
                                          .name_bytes = facility->name_bytes};
        memcpy(row.name, facility->name, facility->name_bytes);
        if (!put(page, &row, sizeof row))
            return;
        page->reply.facility_count++;
    }
}

static void put_placements(struct page *page, const struct catalog *catalog, uint32_t from)
{
    uint32_t width;
    for (uint32_t base = from; base < catalog->partition_count; base += width) {
        const struct partition *partition = &catalog->partitions[base];
        width = partition->width;
        XD_ASSERT(partition->base == base && width > 0);
        struct xd_catalog_placement row = {.topic = partition->topic,
                                           .facility = partition->facility,
                                           .partition_base = base,
                                           .width = width};
        if (!put(page, &row, sizeof row))
            return;
        page->reply.placement_count++;
    }
}

/* Whether a copy of this catalog may end with that many partitions. */
static bool is_end(const struct catalog *catalog, uint32_t partitions)
{
    return partitions >= catalog->partition_count ||
           catalog->partitions[partitions].base == partitions;
}

static void answer(struct shard *shard, const struct net_frame *frame,
                   const struct xd_catalog_request *request, uint8_t *large)
{
    const struct catalog *catalog = &shard->catalog;
    uint8_t *body = large + ANSWERS_BODY_AT;
    struct page page = {.at = body + sizeof page.reply,
                        .end = body + sizeof page.reply + PAGE_BYTES,
                        .reply = {.epoch = catalog->epoch,
                                  .topic_total = catalog->topic_count,
                                  .facility_total = catalog->facility_count,
                                  .partition_total = catalog->partition_count}};
    XD_ASSERT(net_large_bytes(shard->net) >= ANSWERS_BODY_AT + sizeof page.reply + PAGE_BYTES);
    put_topics(&page, catalog, request->topics);
    put_facilities(&page, catalog, request->facilities);
    put_placements(&page, catalog, request->partitions);
    memcpy(body, &page.reply, sizeof page.reply);
    answers_send_large(shard, frame->conn, XD_OP_CATALOG, frame->head.correlation,
                       catalog->pending_index, large, (uint32_t)(page.at - body));
}

int on_catalog(struct shard *shard, const struct net_frame *frame)
{
    const uint8_t *payload = net_frame_linear(shard->net, frame);
    struct xd_catalog_request request;
    const char *field = "";
    char detail[XD_DETAIL_BYTES_MAX];
    int status = xd_catalog_decode(payload, frame->head.length, &request, &field);
    if (status == XD_FRAME_MALFORMED)
        return -ECONNABORTED;
    if (status < 0) {
        snprintf(detail, sizeof detail, "CATALOG: field %s is wrong", field);
        return answers_refuse(shard, frame, status, detail);
    }
    if (!shard_catalog_settled(shard))
        return -EAGAIN; /* the newest entry is not durable: soon */
    if (!is_end(&shard->catalog, request.partitions)) {
        snprintf(detail, sizeof detail,
                 "partitions: no placement ends before partition %u: the copy is of another "
                 "catalog; fetch it from the beginning",
                 request.partitions);
        return answers_refuse(shard, frame, XD_FIELD_INVALID, detail);
    }
    uint8_t *large = answers_large(shard, frame->conn);
    if (large == NULL)
        return -EAGAIN;
    answer(shard, frame, &request, large);
    return 0;
}
