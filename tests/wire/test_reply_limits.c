/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies on the edge of their limits: fullest tables, longest texts, shortest spans.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "tests/wire/golden.h"
#include "tests/wire/vectors.h"
#include "wire/request.h"
#include "wire/status.h"

/* What follows the head of a golden reply. */
static struct vector body_of(const char *hex)
{
    struct vector whole = vector_hex(hex);
    size_t head_bytes = sizeof(struct xd_reply_head);
    struct vector body = vector_copy(whole.data + head_bytes, whole.bytes - head_bytes);
    vector_free(&whole);
    return body;
}

/* A success of one record, and one whose span hides a count of none. */
Test(reply_limits, ack_spans_one_record_at_least)
{
    struct vector v = vector_hex(GOLDEN_ACK);
    struct xd_ack *ack = (void *)(v.data + sizeof(struct xd_ack_head));
    struct xd_ack_view view;
    const char *field = NULL;
    ack->last_sequence = ack->first_sequence;
    ack->record_count = 1;
    cr_assert_eq(xd_ack_decode(v.data, v.bytes, &view, &field), 0, "%s", field);
    ack->last_sequence = UINT64_MAX;
    ack->record_count = 0;
    cr_assert_eq(xd_ack_decode(v.data, v.bytes, &view, &field), XD_FRAME_MALFORMED);
    cr_assert_str_eq(field, "record_count");
    vector_free(&v);
}

/* A text has a largest size even where the bytes are there. */
Test(reply_limits, ack_bounds_its_texts)
{
    struct vector golden = vector_hex(GOLDEN_ACK);
    size_t fixed_bytes = golden.bytes - 10; /* without the golden text */
    struct vector v = {.data = calloc(1, fixed_bytes + XD_DETAIL_BYTES_MAX + 1)};
    cr_assert_not_null(v.data);
    memcpy(v.data, golden.data, fixed_bytes);
    struct xd_ack *second = (void *)(v.data + fixed_bytes - sizeof(*second));
    struct xd_ack_view view;
    const char *field = NULL;
    second->detail_bytes = XD_DETAIL_BYTES_MAX;
    cr_assert_eq(xd_ack_decode(v.data, fixed_bytes + XD_DETAIL_BYTES_MAX, &view, &field), 0, "%s",
                 field);
    second->detail_bytes++;
    cr_assert_eq(xd_ack_decode(v.data, fixed_bytes + XD_DETAIL_BYTES_MAX + 1, &view, &field),
                 XD_FRAME_MALFORMED);
    cr_assert_str_eq(field, "detail_bytes");
    vector_free(&v);
    vector_free(&golden);
}

/* Batches come padded to 8; a length that says otherwise is refused though the bytes are there. */
Test(reply_limits, read_refuses_unpadded_batches)
{
    struct vector v = body_of(GOLDEN_READ_REPLY);
    struct xd_read_reply *reply = (void *)v.data;
    struct xd_read_reply view;
    const uint8_t *batches = NULL;
    const char *field = NULL;
    reply->batches_bytes--;
    cr_assert_eq(xd_read_reply_decode(v.data, v.bytes - 1, &view, &batches, &field),
                 XD_FRAME_MALFORMED);
    cr_assert_str_eq(field, "batches_bytes");
    vector_free(&v);
}

/* A catalog that is full to its limits is read, in one page here; the pointers reach the last rows.
 */
Test(reply_limits, takes_the_largest_catalog)
{
    enum { ROWS = sizeof(struct xd_catalog_reply) };
    size_t bytes = ROWS + XD_TOPICS_MAX * 80 + XD_FACILITIES_MAX * 80 + XD_PARTITIONS_MAX * 16;
    struct vector golden = body_of(GOLDEN_CATALOG_REPLY);
    struct vector v = {.data = calloc(1, bytes), .bytes = bytes};
    cr_assert_not_null(v.data);
    struct xd_catalog_reply *catalog = (void *)v.data;
    catalog->topic_count = catalog->topic_total = XD_TOPICS_MAX;
    catalog->facility_count = catalog->facility_total = XD_FACILITIES_MAX;
    catalog->placement_count = catalog->partition_total = XD_PARTITIONS_MAX;
    uint8_t *at = v.data + ROWS;
    for (uint32_t i = 0; i < XD_TOPICS_MAX; i++, at += 80)
        memcpy(at, golden.data + ROWS, 80);
    for (uint32_t i = 0; i < XD_FACILITIES_MAX; i++, at += 80)
        memcpy(at, golden.data + ROWS + 80, 80);
    for (uint32_t i = 0; i < XD_PARTITIONS_MAX; i++, at += 16) {
        const struct xd_catalog_placement row = {
            .topic = 3, .facility = 2, .partition_base = i, .width = 1};
        memcpy(at, &row, sizeof(row));
    }
    struct xd_catalog_view view;
    const char *field = NULL;
    cr_assert_eq(xd_catalog_reply_decode(v.data, v.bytes, &view, &field), 0, "%s", field);
    cr_assert_eq(memcmp(view.topics + XD_TOPICS_MAX - 1, golden.data + ROWS, 80), 0);
    cr_assert_eq(memcmp(view.facilities + XD_FACILITIES_MAX - 1, golden.data + ROWS + 80, 80), 0);
    cr_assert_eq(view.placements[XD_PARTITIONS_MAX - 1].partition_base, XD_PARTITIONS_MAX - 1);
    vector_free(&v);
    vector_free(&golden);
}

/* As many chains as a facility has partitions at most; one more is refused. */
Test(reply_limits, takes_a_chain_for_every_partition_of_a_facility)
{
    struct vector v;
    v.bytes = sizeof(struct xd_open_reply) + XD_CHAINS_MAX * sizeof(struct xd_open_chain);
    v.data = calloc(1, v.bytes);
    cr_assert_not_null(v.data);
    struct xd_open_reply *open = (void *)v.data;
    struct xd_open_chain *chains = (void *)(v.data + sizeof(*open));
    open->chain_count = XD_CHAINS_MAX;
    for (uint32_t i = 0; i < XD_CHAINS_MAX; i++)
        chains[i].partition = i;
    struct xd_open_view view;
    const char *field = NULL;
    cr_assert_eq(xd_open_reply_decode(v.data, v.bytes, &view, &field), 0, "%s", field);
    vector_free(&v);
}
