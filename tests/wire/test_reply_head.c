/* SPDX-License-Identifier: Apache-2.0
 *
 * The head that every reply starts with: golden bytes both ways, details of any length, refusals.
 */
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/wire/golden.h"
#include "tests/wire/vectors.h"
#include "wire/request.h"
#include "wire/status.h"

/* Head, detail and padding of a refusal; nothing follows. */
Test(reply_head, reads_golden_refusal)
{
    struct vector v = vector_hex(GOLDEN_REPLY_REFUSED);
    struct xd_reply_head head;
    struct xd_text detail;
    const uint8_t *body = NULL;
    size_t body_bytes = 77;
    cr_assert_eq(xd_reply_decode(v.data, v.bytes, &head, &detail, &body, &body_bytes), 0);
    cr_assert_eq(head.status, XD_THROTTLED);
    cr_assert_eq(head.retry_after_ms, 250u);
    cr_assert_eq(head.catalog_epoch, 9u);
    cr_assert_eq(detail.bytes, 17u);
    cr_assert_eq(memcmp(detail.data, "shard over budget", 17), 0);
    cr_assert_eq(body_bytes, 0u);
    vector_free(&v);
}

/* The encoder gives the golden bytes; the detail's length is its own. */
Test(reply_head, encodes_golden_refusal)
{
    struct vector v = vector_hex(GOLDEN_REPLY_REFUSED);
    const struct xd_reply_head head = {
        .status = XD_THROTTLED, .retry_after_ms = 250, .catalog_epoch = 9, .detail_bytes = 5};
    uint8_t out[128];
    for (size_t room = 0; room < v.bytes; room++)
        cr_assert_eq(xd_reply_encode(&head, "shard over budget", out, room), -ENOBUFS);
    cr_assert_eq(xd_reply_encode(&head, "shard over budget", out, v.bytes), (int)v.bytes);
    cr_assert_eq(memcmp(out, v.data, v.bytes), 0);
    vector_free(&v);
}

/* A detail of any length comes back, cut to the limit, and the body starts aligned behind it. */
Test(reply_head, head_round_trips_with_any_detail)
{
    static const uint8_t body[5] = {1, 2, 3, 4, 5};
    char text[XD_DETAIL_BYTES_MAX + 20];
    uint8_t out[2048];
    for (size_t bytes = 0; bytes < sizeof(text); bytes++) {
        memset(text, 'x', sizeof(text));
        text[bytes] = 0;
        const struct xd_reply_head head = {.log_index = bytes};
        int head_bytes = xd_reply_encode(&head, bytes != 0 ? text : NULL, out, sizeof(out));
        cr_assert_gt(head_bytes, 0);
        memcpy(out + head_bytes, body, sizeof(body));
        struct vector v = vector_copy(out, (size_t)head_bytes + sizeof(body));

        struct xd_reply_head decoded;
        struct xd_text detail;
        const uint8_t *ret_body = NULL;
        size_t ret_bytes = 0;
        cr_assert_eq(xd_reply_decode(v.data, v.bytes, &decoded, &detail, &ret_body, &ret_bytes), 0);
        cr_assert_eq(decoded.log_index, bytes);
        cr_assert_eq(detail.bytes, bytes < XD_DETAIL_BYTES_MAX ? bytes : XD_DETAIL_BYTES_MAX);
        cr_assert_eq(detail.data == NULL, bytes == 0);
        cr_assert(bytes == 0 || memcmp(detail.data, text, detail.bytes) == 0);
        cr_assert_eq((uintptr_t)ret_body % 8, 0u);
        cr_assert_eq(ret_bytes, sizeof(body));
        cr_assert_eq(memcmp(ret_body, body, sizeof(body)), 0);
        vector_free(&v);
    }
}

/* Cut short, reserved bits, a detail that is too long or not there, padding that is not zero. */
Test(reply_head, refuses_broken_heads)
{
    struct vector v = vector_hex(GOLDEN_REPLY_REFUSED);
    struct xd_reply_head head;
    struct xd_text detail;
    const uint8_t *body = NULL;
    size_t body_bytes = 77;
    for (size_t bytes = 0; bytes < v.bytes; bytes++) {
        struct vector cut = vector_copy(v.data, bytes);
        cr_assert_eq(xd_reply_decode(cut.data, bytes, &head, &detail, &body, &body_bytes),
                     XD_FRAME_MALFORMED, "cut at %zu", bytes);
        vector_free(&cut);
    }
    static const struct {
        size_t at;      /* offset in the payload */
        uint32_t value; /* four bytes to put there */
    } changes[] = {
        {offsetof(struct xd_reply_head, reserved), 1},
        {offsetof(struct xd_reply_head, detail_bytes), XD_DETAIL_BYTES_MAX + 1},
        {offsetof(struct xd_reply_head, detail_bytes), 0xffffffffu},
        {offsetof(struct xd_reply_head, detail_bytes), 25}, /* not there */
        {offsetof(struct xd_reply_head, detail_bytes), 15}, /* text where padding belongs */
        {sizeof(struct xd_reply_head) + 20, 1u << 24},      /* last byte of the padding */
    };
    for (size_t r = 0; r < sizeof(changes) / sizeof(changes[0]); r++) {
        struct vector bad = vector_copy(v.data, v.bytes);
        memcpy(bad.data + changes[r].at, &changes[r].value, 4);
        int status = xd_reply_decode(bad.data, bad.bytes, &head, &detail, &body, &body_bytes);
        cr_assert_eq(status, XD_FRAME_MALFORMED, "change %zu", r);
        vector_free(&bad);
    }
    vector_free(&v);
}
