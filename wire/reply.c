/* SPDX-License-Identifier: Apache-2.0
 *
 * The bodies that a broker sends: head of every reply, bodies of replies, the ACK push.
 *
 * Normal path in the client: xd_reply_decode splits a reply into head, detail and body, then the
 * op's decoder takes the body. Bodies with arrays are not copied: the view points into the payload,
 * which therefore starts on an 8-byte boundary (field "alignment" otherwise). Counts are compared
 * with limits.h before they are multiplied, and the arrays must fill the body exactly.
 *
 * A broker that breaks a rule cannot be answered, so every refusal is XD_FRAME_MALFORMED with the
 * name of the field; results are untouched then. Must not look into the batches of a READ: the
 * reader checks each as it comes to it.
 */
#include "wire/request.h"

#include "wire/bytes.h"
#include "wire/route.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>

static int refuse(const char *field, const char **ret_field)
{
    return xd_refuse(XD_FRAME_MALFORMED, field, ret_field);
}

static int check_alignment(const uint8_t *p, const char **ret_field)
{
    return ((uintptr_t)p & 7u) == 0 ? 0 : refuse("alignment", ret_field);
}

/* ---- every reply ----------------------------------------------------------------------------- */

int xd_reply_decode(const uint8_t *payload, size_t bytes, struct xd_reply_head *ret_head,
                    struct xd_text *ret_detail, const uint8_t **ret_body, size_t *ret_body_bytes)
{
    XD_ASSERT(ret_head != NULL);
    XD_ASSERT(ret_detail != NULL);
    XD_ASSERT(ret_body != NULL);
    XD_ASSERT(ret_body_bytes != NULL);
    struct xd_reply_head head;
    struct xd_reader reader = xd_reader_init(payload, bytes);

    int status = xd_reader_copy(&reader, &head, sizeof(head));
    if (status < 0)
        return status;
    if (head.reserved != 0 || head.detail_bytes > XD_DETAIL_BYTES_MAX)
        return XD_FRAME_MALFORMED;
    const uint8_t *detail;
    status = xd_reader_view(&reader, head.detail_bytes, &detail);
    if (status < 0)
        return status;
    status = xd_reader_pad(&reader);
    if (status < 0)
        return status;

    *ret_head = head;
    ret_detail->data = head.detail_bytes != 0 ? (const char *)detail : NULL;
    ret_detail->bytes = head.detail_bytes;
    *ret_body = reader.data + reader.at;
    *ret_body_bytes = xd_reader_left(&reader);
    return 0;
}

int xd_reply_encode(const struct xd_reply_head *head, const char *detail, uint8_t *buffer,
                    size_t buffer_bytes)
{
    XD_ASSERT(head->reserved == 0);
    size_t detail_bytes = detail != NULL ? strnlen(detail, XD_DETAIL_BYTES_MAX) : 0;
    size_t bytes = sizeof(*head) + detail_bytes + xd_pad8(detail_bytes);
    if (bytes > buffer_bytes)
        return -ENOBUFS;

    struct xd_reply_head out = *head;
    out.detail_bytes = (uint32_t)detail_bytes;
    struct xd_writer writer = xd_writer_init(buffer, bytes);
    xd_writer_put(&writer, &out, sizeof(out));
    xd_writer_put(&writer, detail, detail_bytes);
    xd_writer_pad(&writer);
    XD_ASSERT(writer.at == bytes);
    return (int)bytes;
}

/* ---- HELLO ----------------------------------------------------------------------------------- */

int xd_hello_reply_decode(const uint8_t *p, size_t bytes, struct xd_hello_reply *ret,
                          const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_hello_reply hello;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = xd_reader_fixed(&reader, &hello, sizeof(hello), ret_field);
    if (status < 0)
        return status;
    status = xd_reader_end(&reader, ret_field);
    if (status < 0)
        return status;
    if (hello.reserved0 != 0 || hello.reserved1 != 0)
        return refuse("reserved", ret_field);
    if (hello.version_min == 0 || hello.version_min > hello.version_max)
        return refuse("version_min", ret_field);
    /* 0: no version in common, the range says what would have been. */
    if (hello.version != 0 &&
        (hello.version < hello.version_min || hello.version > hello.version_max))
        return refuse("version", ret_field);
    if (hello.version > XD_PROTOCOL_VERSION_MAX)
        return refuse("version", ret_field);
    if (hello.default_durability >= XD_DURABILITY_COUNT)
        return refuse("default_durability", ret_field);
    if (hello.frame_bytes_max < XD_FRAME_BYTES_PREAUTH_MAX ||
        hello.frame_bytes_max > XD_FRAME_BYTES_HARD_MAX)
        return refuse("frame_bytes_max", ret_field);
    if (hello.batch_bytes_max > XD_BATCH_BYTES_MAX)
        return refuse("batch_bytes_max", ret_field);
    if (hello.inflight_batches == 0 || hello.inflight_batches > XD_INFLIGHT_BATCHES_MAX)
        return refuse("inflight_batches", ret_field);
    if (hello.features != 0)
        return refuse("features", ret_field);
    *ret = hello;
    return 0;
}

/* ---- CATALOG --------------------------------------------------------------------------------- */

static int check_row_name(const char *name, size_t name_max, uint32_t name_bytes)
{
    if (name_bytes > name_max || !xd_bytes_zero(name + name_bytes, name_max - name_bytes))
        return XD_NAME_INVALID;
    return xd_name_check((struct xd_text){.data = name, .bytes = name_bytes});
}

static int check_topic(const struct xd_catalog_topic *topic, const char **ret_field)
{
    if (topic->topic == 0)
        return refuse("topic", ret_field);
    if (topic->strategy >= XD_STRATEGY_COUNT)
        return refuse("strategy", ret_field);
    if (topic->width == 0 || topic->width > XD_PARTITION_WIDTH_MAX)
        return refuse("width", ret_field);
    if (topic->reserved != 0)
        return refuse("reserved", ret_field);
    if (check_row_name(topic->name, sizeof(topic->name), topic->name_bytes) < 0)
        return refuse("name", ret_field);
    return 0;
}

static int check_facility(const struct xd_catalog_facility *facility, const char **ret_field)
{
    if (facility->facility == 0)
        return refuse("facility", ret_field);
    if (!xd_bytes_zero(facility->reserved, sizeof(facility->reserved)))
        return refuse("reserved", ret_field);
    if (check_row_name(facility->name, sizeof(facility->name), facility->name_bytes) < 0)
        return refuse("name", ret_field);
    return 0;
}

/* Placements rise by partition, without overlap, inside what the catalog has. */
static int check_placement(const struct xd_catalog_placement *placement, uint32_t behind,
                           uint32_t partition_total, const char **ret_field)
{
    XD_ASSERT(partition_total <= XD_PARTITIONS_MAX);
    if (placement->topic == 0)
        return refuse("topic", ret_field);
    if (placement->width == 0 || placement->width > XD_PARTITION_WIDTH_MAX)
        return refuse("width", ret_field);
    if (placement->partition_base < behind || placement->partition_base > partition_total ||
        placement->width > partition_total - placement->partition_base)
        return refuse("partition_base", ret_field);
    return 0;
}

/* Every row; the loops are bounded by the counts, which have passed. */
static int check_catalog_rows(const struct xd_catalog_view *view, const char **ret_field)
{
    int status = 0;
    uint32_t behind = 0;
    for (uint32_t i = 0; i < view->fixed.topic_count && status == 0; i++)
        status = check_topic(&view->topics[i], ret_field);
    for (uint32_t i = 0; i < view->fixed.facility_count && status == 0; i++)
        status = check_facility(&view->facilities[i], ret_field);
    for (uint32_t i = 0; i < view->fixed.placement_count && status == 0; i++) {
        status =
            check_placement(&view->placements[i], behind, view->fixed.partition_total, ret_field);
        behind = view->placements[i].partition_base + view->placements[i].width;
    }
    return status;
}

static int check_catalog_counts(const struct xd_catalog_reply *fixed, size_t rows_bytes,
                                const char **ret_field)
{
    if (fixed->topic_total > XD_TOPICS_MAX)
        return refuse("topic_total", ret_field);
    if (fixed->facility_total > XD_FACILITIES_MAX)
        return refuse("facility_total", ret_field);
    if (fixed->partition_total > XD_PARTITIONS_MAX)
        return refuse("partition_total", ret_field);
    if (fixed->topic_count > fixed->topic_total)
        return refuse("topic_count", ret_field);
    if (fixed->facility_count > fixed->facility_total)
        return refuse("facility_count", ret_field);
    /* A placement has at least one partition. */
    if (fixed->placement_count > fixed->partition_total)
        return refuse("placement_count", ret_field);
    size_t stated = fixed->topic_count * sizeof(struct xd_catalog_topic) +
                    fixed->facility_count * sizeof(struct xd_catalog_facility) +
                    fixed->placement_count * sizeof(struct xd_catalog_placement);
    return stated == rows_bytes ? 0 : refuse("length", ret_field);
}

int xd_catalog_reply_decode(const uint8_t *p, size_t bytes, struct xd_catalog_view *ret,
                            const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_catalog_view view;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = check_alignment(p, ret_field);
    if (status < 0)
        return status;
    status = xd_reader_fixed(&reader, &view.fixed, sizeof(view.fixed), ret_field);
    if (status < 0)
        return status;
    status = check_catalog_counts(&view.fixed, xd_reader_left(&reader), ret_field);
    if (status < 0)
        return status;

    const uint8_t *at = p + reader.at;
    view.topics = (const void *)at;
    at += view.fixed.topic_count * sizeof(struct xd_catalog_topic);
    view.facilities = (const void *)at;
    at += view.fixed.facility_count * sizeof(struct xd_catalog_facility);
    view.placements = (const void *)at;
    status = check_catalog_rows(&view, ret_field);
    if (status < 0)
        return status;
    *ret = view;
    return 0;
}

/* ---- PRODUCER_OPEN --------------------------------------------------------------------------- */

static int check_chains(const struct xd_open_chain *chains, uint32_t count, const char **ret_field)
{
    for (uint32_t i = 0; i < count; i++) {
        if (chains[i].reserved != 0)
            return refuse("reserved", ret_field);
        if (i > 0 && chains[i].partition <= chains[i - 1].partition)
            return refuse("partition", ret_field);
    }
    return 0;
}

int xd_open_reply_decode(const uint8_t *p, size_t bytes, struct xd_open_view *ret,
                         const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_open_view view;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = check_alignment(p, ret_field);
    if (status < 0)
        return status;
    status = xd_reader_fixed(&reader, &view.fixed, sizeof(view.fixed), ret_field);
    if (status < 0)
        return status;
    if (view.fixed.reserved != 0)
        return refuse("reserved", ret_field);
    if (view.fixed.chain_count > XD_CHAINS_MAX)
        return refuse("chain_count", ret_field);
    if (xd_reader_left(&reader) != view.fixed.chain_count * sizeof(struct xd_open_chain))
        return refuse("length", ret_field);
    view.chains = (const void *)(p + reader.at);
    status = check_chains(view.chains, view.fixed.chain_count, ret_field);
    if (status < 0)
        return status;
    *ret = view;
    return 0;
}

/* ---- READ ------------------------------------------------------------------------------------ */

int xd_read_reply_decode(const uint8_t *p, size_t bytes, struct xd_read_reply *ret,
                         const uint8_t **ret_batches, const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_batches != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_read_reply reply;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = check_alignment(p, ret_field);
    if (status < 0)
        return status;
    status = xd_reader_fixed(&reader, &reply, sizeof(reply), ret_field);
    if (status < 0)
        return status;
    if (reply.batches_bytes != xd_reader_left(&reader))
        return refuse("batches_bytes", ret_field);
    if (reply.batches_bytes % XD_BATCH_ALIGN != 0)
        return refuse("batches_bytes", ret_field);
    if (reply.next_offset < reply.start_offset)
        return refuse("next_offset", ret_field);
    if (reply.end_offset < reply.first_offset)
        return refuse("end_offset", ret_field);
    *ret_batches = p + reader.at;
    *ret = reply;
    return 0;
}

/* ---- ACK ------------------------------------------------------------------------------------- */

static int check_ack(const struct xd_ack *ack, const char **ret_field)
{
    if (!xd_bytes_zero(ack->reserved, sizeof(ack->reserved)))
        return refuse("reserved", ret_field);
    if (ack->status > XD_DUPLICATE)
        return refuse("status", ret_field);
    if (ack->durability >= XD_DURABILITY_COUNT)
        return refuse("durability", ret_field);
    if (ack->detail_bytes > XD_DETAIL_BYTES_MAX)
        return refuse("detail_bytes", ret_field);
    /* A refusal repeats the numbers of the batch, whatever they were. */
    if (ack->status < 0)
        return 0;
    if (ack->last_sequence < ack->first_sequence)
        return refuse("last_sequence", ret_field);
    if (ack->record_count == 0)
        return refuse("record_count", ret_field);
    if (ack->record_count - 1u > ack->last_sequence - ack->first_sequence)
        return refuse("record_count", ret_field);
    return 0;
}

int xd_ack_decode(const uint8_t *p, size_t bytes, struct xd_ack_view *ret, const char **ret_field)
{
    XD_ASSERT(ret != NULL);
    XD_ASSERT(ret_field != NULL);
    struct xd_ack_view view;
    struct xd_reader reader = xd_reader_init(p, bytes);

    int status = check_alignment(p, ret_field);
    if (status < 0)
        return status;
    status = xd_reader_fixed(&reader, &view.fixed, sizeof(view.fixed), ret_field);
    if (status < 0)
        return status;
    if (view.fixed.reserved != 0)
        return refuse("reserved", ret_field);
    if (view.fixed.ack_count == 0 || view.fixed.ack_count > XD_ACKS_MAX)
        return refuse("ack_count", ret_field);
    const uint8_t *acks;
    status = xd_reader_view(&reader, view.fixed.ack_count * sizeof(struct xd_ack), &acks);
    if (status < 0)
        return refuse("length", ret_field);

    view.acks = (const void *)acks;
    uint32_t details_bytes = 0; /* at most XD_ACKS_MAX * XD_DETAIL_BYTES_MAX */
    for (uint32_t i = 0; i < view.fixed.ack_count; i++) {
        status = check_ack(&view.acks[i], ret_field);
        if (status < 0)
            return status;
        details_bytes += view.acks[i].detail_bytes;
    }
    if (details_bytes != xd_reader_left(&reader))
        return refuse("detail_bytes", ret_field);
    view.details_bytes = details_bytes;
    view.details = details_bytes != 0 ? (const char *)(reader.data + reader.at) : NULL;
    *ret = view;
    return 0;
}
