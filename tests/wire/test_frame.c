/* SPDX-License-Identifier: Apache-2.0
 *
 * Frame headers: golden bytes, partial input, refusals, and what an encoder asserts.
 */
#include "wire/frame.h"

#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/wire/golden.h"
#include "tests/wire/vectors.h"
#include "wire/limits.h"
#include "wire/request.h"
#include "wire/status.h"

#define HEADER ((int)XD_FRAME_HEADER_BYTES)

/* A frame that no decode can give, to see that a failure leaves it alone. */
static const struct xd_frame untouched = {.length = 0xdeadbeefu, .op = 0xbeef, .correlation = 77};

static int decode(const struct vector *v, uint32_t length_max, struct xd_frame *ret_frame)
{
    return xd_frame_decode(v->data, v->bytes, length_max, ret_frame);
}

/* The released layout: every field at its place. */
Test(frame, decodes_golden_header)
{
    struct vector v = vector_hex(GOLDEN_FRAME);
    struct xd_frame frame;
    cr_assert_eq(decode(&v, XD_FRAME_BYTES_DEFAULT_MAX, &frame), HEADER);
    cr_assert_eq(frame.length, 112u);
    cr_assert_eq(frame.op, XD_OP_PRODUCER_OPEN);
    cr_assert_eq(frame.version, 1);
    cr_assert_eq(frame.flags, XD_FRAME_REPLY);
    cr_assert_eq(frame.correlation, 0x0102030405060708u);
    vector_free(&v);
}

/* The same the other way round. */
Test(frame, encodes_golden_header)
{
    struct vector v = vector_hex(GOLDEN_FRAME);
    const struct xd_frame frame = {.length = 112,
                                   .op = XD_OP_PRODUCER_OPEN,
                                   .version = 1,
                                   .flags = XD_FRAME_REPLY,
                                   .correlation = 0x0102030405060708u};
    uint8_t data[XD_FRAME_HEADER_BYTES];
    xd_frame_encode(&frame, data);
    cr_assert_eq(memcmp(data, v.data, sizeof(data)), 0);
    vector_free(&v);
}

/* Fewer than 16 bytes decide nothing, whatever they are. */
Test(frame, asks_for_more_until_the_header_is_there)
{
    struct vector v = vector_hex(GOLDEN_FRAME);
    for (size_t bytes = 0; bytes < v.bytes; bytes++) {
        struct vector cut = vector_copy(v.data, bytes);
        struct xd_frame frame = untouched;
        cr_assert_eq(decode(&cut, XD_FRAME_BYTES_DEFAULT_MAX, &frame), XD_PARTIAL);
        cr_assert_eq(memcmp(&frame, &untouched, sizeof(frame)), 0);
        vector_free(&cut);
    }
    vector_free(&v);
}

/* Bytes behind the header are the payload's and not looked at. */
Test(frame, consumes_the_header_only)
{
    uint8_t data[XD_FRAME_HEADER_BYTES + 8];
    const struct xd_frame frame = {.length = 8, .op = XD_OP_PING, .version = 1};
    xd_frame_encode(&frame, data);
    memset(data + XD_FRAME_HEADER_BYTES, 0xff, 8);
    struct xd_frame decoded;
    cr_assert_eq(xd_frame_decode(data, sizeof(data), XD_FRAME_BYTES_DEFAULT_MAX, &decoded), HEADER);
    cr_assert_eq(decoded.length, 8u);
}

/* The connection's limit is inclusive. */
Test(frame, refuses_length_above_the_limit)
{
    uint8_t data[XD_FRAME_HEADER_BYTES];
    struct xd_frame frame = {.length = XD_FRAME_BYTES_PREAUTH_MAX, .op = XD_OP_HELLO, .version = 1};
    xd_frame_encode(&frame, data);
    struct xd_frame decoded = untouched;
    cr_assert_eq(xd_frame_decode(data, sizeof(data), XD_FRAME_BYTES_PREAUTH_MAX - 1, &decoded),
                 XD_FRAME_TOO_LARGE);
    cr_assert_eq(memcmp(&decoded, &untouched, sizeof(decoded)), 0);
    cr_assert_eq(xd_frame_decode(data, sizeof(data), XD_FRAME_BYTES_PREAUTH_MAX, &decoded), HEADER);
}

/* Op 0, version 0, unknown flags and a frame that is both reply and push are no frames. */
Test(frame, refuses_what_cannot_be_a_frame)
{
    static const struct {
        size_t at;     /* byte of the golden header to change */
        uint8_t value; /* what to put there */
    } changes[] = {{4, 0}, {6, 0}, {7, 0x03}, {7, 0x04}, {7, 0x80}, {7, 0xff}};
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct vector v = vector_hex(GOLDEN_FRAME);
        v.data[changes[i].at] = changes[i].value;
        struct xd_frame frame = untouched;
        cr_assert_eq(decode(&v, XD_FRAME_BYTES_DEFAULT_MAX, &frame), XD_FRAME_MALFORMED, "%zu", i);
        cr_assert_eq(memcmp(&frame, &untouched, sizeof(frame)), 0);
        vector_free(&v);
    }
}

/* A peer that speaks HTTP or TLS is told "malformed", not "too large". */
Test(frame, calls_other_protocols_malformed)
{
    static const char http[] = "GET / HTTP/1.1\r\n";
    static const uint8_t tls[16] = {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03};
    struct xd_frame frame;
    cr_assert_eq(xd_frame_decode((const uint8_t *)http, 16, XD_FRAME_BYTES_HARD_MAX, &frame),
                 XD_FRAME_MALFORMED);
    cr_assert_eq(xd_frame_decode(tls, 16, XD_FRAME_BYTES_HARD_MAX, &frame), XD_FRAME_MALFORMED);
}

/* Any flipped bit is refused or decodes to what encodes to the same bytes. */
Test(frame, survives_every_flipped_bit)
{
    struct vector v = vector_hex(GOLDEN_FRAME);
    for (size_t bit = 0; bit < v.bytes * 8; bit++) {
        vector_flip_bit(&v, bit);
        struct xd_frame frame;
        int status = decode(&v, XD_FRAME_BYTES_HARD_MAX, &frame);
        if (status > 0) {
            uint8_t data[XD_FRAME_HEADER_BYTES];
            xd_frame_encode(&frame, data);
            cr_assert_eq(memcmp(data, v.data, sizeof(data)), 0, "bit %zu", bit);
        } else {
            cr_assert(status == XD_FRAME_MALFORMED || status == XD_FRAME_TOO_LARGE, "bit %zu", bit);
        }
        vector_flip_bit(&v, bit);
    }
    vector_free(&v);
}

/* What the caller controls is asserted: a length above the hard limit. */
Test(frame, encode_asserts_length, .signal = SIGABRT)
{
    uint8_t data[XD_FRAME_HEADER_BYTES];
    const struct xd_frame frame = {
        .length = XD_FRAME_BYTES_HARD_MAX + 1, .op = XD_OP_PING, .version = 1};
    xd_frame_encode(&frame, data);
}

/* And flags that exclude each other. */
Test(frame, encode_asserts_flags, .signal = SIGABRT)
{
    uint8_t data[XD_FRAME_HEADER_BYTES];
    const struct xd_frame frame = {
        .op = XD_OP_PING, .version = 1, .flags = XD_FRAME_REPLY | XD_FRAME_PUSH};
    xd_frame_encode(&frame, data);
}
