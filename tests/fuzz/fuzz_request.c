/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the bodies of requests, replies and pushes. The first byte of the input chooses the
 * decoder (see `bodies`; make_corpus.py knows the same numbers), seven more keep the body aligned,
 * the rest is the body.
 *
 * Promises: a refusal names a field; a body that is accepted encodes to the same bytes, or, where
 * it is borrowed, lies whole inside the input.
 */
#include "tests/fuzz/target.h"

#include <string.h>

#include "tests/wire/vectors.h"
#include "wire/batch.h"
#include "wire/request.h"
#include "wire/status.h"
#include "wire/xassert.h"

#define SELECTOR_BYTES 8u
#define OUT_BYTES (2u + XD_NAME_BYTES_MAX + XD_ADMIN_REQUEST_BYTES_MAX)

/* Decodes a body; returns the status and, on success, checks what it promises. */
typedef int (*run_body)(const uint8_t *p, size_t bytes, const char **ret_field);

static void expect_same(const uint8_t *p, size_t bytes, const uint8_t *out, int out_bytes)
{
    XD_ASSERT(out_bytes >= 0 && (size_t)out_bytes == bytes);
    XD_ASSERT(memcmp(p, out, bytes) == 0);
}

static void expect_inside(const uint8_t *p, size_t bytes, const void *part, size_t part_bytes)
{
    const uint8_t *at = part;
    if (part_bytes == 0)
        return;
    XD_ASSERT(at >= p && at <= p + bytes);
    XD_ASSERT(part_bytes <= (size_t)(p + bytes - at));
    vector_touch(part, part_bytes);
}

static int run_hello(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_hello_request hello;
    uint8_t out[512];
    int status = xd_hello_decode(p, bytes, &hello, ret_field);
    if (status == 0)
        expect_same(p, bytes, out, xd_hello_encode(&hello, out, sizeof(out)));
    return status;
}

static int run_open(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_open_request open;
    uint8_t out[512];
    int status = xd_open_decode(p, bytes, &open, ret_field);
    if (status == 0)
        expect_same(p, bytes, out, xd_open_encode(&open, out, sizeof(out)));
    return status;
}

static int run_produce(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_produce_head head;
    int status = xd_produce_decode(p, bytes, &head, ret_field);
    if (status < 0)
        return status;
    size_t at = sizeof(head);
    for (uint32_t i = 0; i < head.batch_count; i++) {
        int batch_bytes = xd_batch_peek(p + at, bytes - at);
        XD_ASSERT(batch_bytes >= (int)XD_BATCH_HEADER_BYTES);
        expect_inside(p, bytes, p + at, (size_t)batch_bytes);
        at += ((size_t)batch_bytes + 7u) & ~(size_t)7u;
    }
    XD_ASSERT(at == bytes);
    return 0;
}

static int run_catalog(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_catalog_request request;
    int status = xd_catalog_decode(p, bytes, &request, ret_field);
    if (status == 0 && bytes != 0)
        expect_same(p, bytes, (const uint8_t *)&request, (int)sizeof(request));
    return status;
}

static int run_close(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_close close;
    int status = xd_close_decode(p, bytes, &close, ret_field);
    if (status == 0)
        expect_same(p, bytes, (const uint8_t *)&close, (int)sizeof(close));
    return status;
}

static int run_read(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_read read;
    int status = xd_read_decode(p, bytes, &read, ret_field);
    if (status == 0)
        expect_same(p, bytes, (const uint8_t *)&read, (int)sizeof(read));
    return status;
}

static int run_admin(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_admin_request admin;
    int status = xd_admin_decode(p, bytes, &admin, ret_field);
    if (status < 0)
        return status;
    uint8_t *out = malloc(OUT_BYTES);
    XD_ASSERT(out != NULL);
    expect_same(p, bytes, out, xd_admin_encode(&admin, out, OUT_BYTES));
    free(out);
    return 0;
}

static int run_hello_reply(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_hello_reply hello;
    int status = xd_hello_reply_decode(p, bytes, &hello, ret_field);
    if (status == 0)
        expect_same(p, bytes, (const uint8_t *)&hello, (int)sizeof(hello));
    return status;
}

static int run_catalog_reply(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_catalog_view view;
    int status = xd_catalog_reply_decode(p, bytes, &view, ret_field);
    if (status < 0)
        return status;
    expect_inside(p, bytes, view.topics, view.fixed.topic_count * sizeof(*view.topics));
    expect_inside(p, bytes, view.facilities, view.fixed.facility_count * sizeof(*view.facilities));
    expect_inside(p, bytes, view.placements, view.fixed.placement_count * sizeof(*view.placements));
    return 0;
}

static int run_open_reply(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_open_view view;
    int status = xd_open_reply_decode(p, bytes, &view, ret_field);
    if (status == 0)
        expect_inside(p, bytes, view.chains, view.fixed.chain_count * sizeof(*view.chains));
    return status;
}

static int run_read_reply(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_read_reply reply;
    const uint8_t *batches = NULL;
    int status = xd_read_reply_decode(p, bytes, &reply, &batches, ret_field);
    if (status == 0)
        expect_inside(p, bytes, batches, reply.batches_bytes);
    return status;
}

static int run_ack(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_ack_view view;
    int status = xd_ack_decode(p, bytes, &view, ret_field);
    if (status < 0)
        return status;
    expect_inside(p, bytes, view.acks, view.fixed.ack_count * sizeof(*view.acks));
    expect_inside(p, bytes, view.details, view.details_bytes);
    return 0;
}

/* A reply head names no field; what it gives back encodes to the bytes it came from. */
static int run_reply_head(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_reply_head head;
    struct xd_text detail;
    const uint8_t *body = NULL;
    size_t body_bytes = 0;
    int status = xd_reply_decode(p, bytes, &head, &detail, &body, &body_bytes);
    if (status < 0) {
        *ret_field = "head";
        return status;
    }
    expect_inside(p, bytes, detail.data, detail.bytes);
    expect_inside(p, bytes, body, body_bytes);

    char text[XD_DETAIL_BYTES_MAX + 1] = {0};
    uint8_t out[sizeof(head) + XD_DETAIL_BYTES_MAX];
    if (detail.bytes != 0)
        memcpy(text, detail.data, detail.bytes);
    if (strlen(text) == detail.bytes)
        expect_same(p, bytes - body_bytes, out, xd_reply_encode(&head, text, out, sizeof(out)));
    return 0;
}

static const run_body bodies[] = {
    run_hello,       run_open,          run_produce,    run_close,      run_read, run_admin,
    run_hello_reply, run_catalog_reply, run_open_reply, run_read_reply, run_ack,  run_reply_head,
    run_catalog,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < SELECTOR_BYTES)
        return 0;
    run_body run = bodies[data[0] % (sizeof(bodies) / sizeof(bodies[0]))];
    struct vector v = vector_copy(data + SELECTOR_BYTES, bytes - SELECTOR_BYTES);
    const char *field = NULL;
    int status = run(v.data, v.bytes, &field);
    XD_ASSERT(status <= 0);
    XD_ASSERT((status == 0) == (field == NULL));
    vector_free(&v);
    return 0;
}
