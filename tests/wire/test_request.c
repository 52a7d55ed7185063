/* SPDX-License-Identifier: Apache-2.0
 *
 * The request table and the bodies a client sends: golden bytes both ways, each refusal, damage.
 */
#include "wire/request.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/wire/golden.h"
#include "tests/wire/vectors.h"
#include "wire/batch.h"
#include "wire/status.h"

#define OUT_BYTES 1024u

static struct xd_text text_of(const char *text)
{
    return (struct xd_text){.data = *text != 0 ? text : NULL, .bytes = (uint32_t)strlen(text)};
}

static void expect_text(struct xd_text text, const char *expected)
{
    cr_assert_eq(text.bytes, strlen(expected), "%s", expected);
    cr_assert_eq(text.data == NULL, text.bytes == 0);
    cr_assert(text.bytes == 0 || memcmp(text.data, expected, text.bytes) == 0, "%s", expected);
}

/* ---- decode and encode again, op by op: bytes written, or the refusal -------------------------
 */

typedef int (*recode)(const uint8_t *p, size_t bytes, uint8_t *out, const char **ret_field);

static int recode_hello(const uint8_t *p, size_t bytes, uint8_t *out, const char **ret_field)
{
    struct xd_hello_request hello;
    int status = xd_hello_decode(p, bytes, &hello, ret_field);
    return status < 0 ? status : xd_hello_encode(&hello, out, OUT_BYTES);
}

static int recode_open(const uint8_t *p, size_t bytes, uint8_t *out, const char **ret_field)
{
    struct xd_open_request open;
    int status = xd_open_decode(p, bytes, &open, ret_field);
    return status < 0 ? status : xd_open_encode(&open, out, OUT_BYTES);
}

static int recode_admin(const uint8_t *p, size_t bytes, uint8_t *out, const char **ret_field)
{
    struct xd_admin_request admin;
    int status = xd_admin_decode(p, bytes, &admin, ret_field);
    return status < 0 ? status : xd_admin_encode(&admin, out, OUT_BYTES);
}

static int recode_catalog(const uint8_t *p, size_t bytes, uint8_t *out, const char **ret_field)
{
    struct xd_catalog_request request;
    int status = xd_catalog_decode(p, bytes, &request, ret_field);
    if (status < 0)
        return status;
    memcpy(out, &request, sizeof(request));
    return (int)sizeof(request);
}

static int recode_close(const uint8_t *p, size_t bytes, uint8_t *out, const char **ret_field)
{
    struct xd_close close;
    int status = xd_close_decode(p, bytes, &close, ret_field);
    if (status == 0)
        memcpy(out, &close, sizeof(close));
    return status < 0 ? status : (int)sizeof(close);
}

static int recode_read(const uint8_t *p, size_t bytes, uint8_t *out, const char **ret_field)
{
    struct xd_read read;
    int status = xd_read_decode(p, bytes, &read, ret_field);
    if (status == 0)
        memcpy(out, &read, sizeof(read));
    return status < 0 ? status : (int)sizeof(read);
}

/* Behind the head lie batches; they are gathered the way a broker walks them. */
static int recode_produce(const uint8_t *p, size_t bytes, uint8_t *out, const char **ret_field)
{
    struct xd_produce_head head;
    int status = xd_produce_decode(p, bytes, &head, ret_field);
    if (status < 0)
        return status;
    memcpy(out, &head, sizeof(head));
    size_t at = sizeof(head);
    for (uint32_t i = 0; i < head.batch_count; i++) {
        int batch_bytes = xd_batch_peek(p + at, bytes - at);
        cr_assert_gt(batch_bytes, 0);
        size_t padded = ((size_t)batch_bytes + 7u) & ~(size_t)7u;
        memset(out + at, 0, padded);
        memcpy(out + at, p + at, (size_t)batch_bytes);
        at += padded;
    }
    return (int)at;
}

static const struct {
    const char *name; /* op */
    const char *hex;  /* golden body */
    recode recode;    /* its decoder and encoder */
} bodies[] = {
    {"HELLO", GOLDEN_HELLO_REQUEST, recode_hello},
    {"CATALOG", GOLDEN_CATALOG_REQUEST, recode_catalog},
    {"PRODUCER_OPEN", GOLDEN_OPEN_REQUEST, recode_open},
    {"PRODUCE", GOLDEN_PRODUCE, recode_produce},
    {"PRODUCER_CLOSE", GOLDEN_CLOSE, recode_close},
    {"READ", GOLDEN_READ, recode_read},
    {"ADMIN", GOLDEN_ADMIN_REQUEST, recode_admin},
};
#define BODY_COUNT (sizeof(bodies) / sizeof(bodies[0]))

/* Decodes a golden body with `width` bytes of one field replaced; expects a refusal. */
static void expect_refusal(const char *hex, recode recode_body, size_t at, uint64_t value,
                           size_t width, int status, const char *expected_field)
{
    struct vector v = vector_hex(hex);
    uint8_t out[OUT_BYTES];
    const char *field = NULL;
    memcpy(v.data + at, &value, width);
    int result = recode_body(v.data, v.bytes, out, &field);
    cr_assert_eq(result, status, "at %zu: %s", at, xd_status_name(result));
    cr_assert_str_eq(field, expected_field, "at %zu", at);
    vector_free(&v);
}

/* ---- table ----------------------------------------------------------------------------------- */

/* Released ops keep number, direction, permission and whether they may come first. */
Test(request, table_keeps_released_rows)
{
    static const struct xd_op_row rows[] = {
        {"HELLO", NULL, 0x0001, 1, XD_DIRECTION_REQUEST, XD_PERMISSION_NONE, 1},
        {"PING", NULL, 0x0003, 1, XD_DIRECTION_REQUEST, XD_PERMISSION_NONE, 0},
        {"GOAWAY", NULL, 0x0004, 1, XD_DIRECTION_PUSH, XD_PERMISSION_NONE, 0},
        {"CATALOG", NULL, 0x0010, 1, XD_DIRECTION_REQUEST, XD_PERMISSION_DESCRIBE, 0},
        {"PRODUCER_OPEN", NULL, 0x0020, 1, XD_DIRECTION_REQUEST, XD_PERMISSION_PRODUCE, 0},
        {"PRODUCE", NULL, 0x0021, 1, XD_DIRECTION_ONEWAY, XD_PERMISSION_PRODUCE, 0},
        {"ACK", NULL, 0x0022, 1, XD_DIRECTION_PUSH, XD_PERMISSION_NONE, 0},
        {"PRODUCER_CLOSE", NULL, 0x0023, 1, XD_DIRECTION_REQUEST, XD_PERMISSION_PRODUCE, 0},
        {"READ", NULL, 0x0040, 1, XD_DIRECTION_REQUEST, XD_PERMISSION_READ, 0},
        {"ADMIN", NULL, 0x0050, 1, XD_DIRECTION_REQUEST, XD_PERMISSION_ADMIN, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct xd_op_row *row = xd_op_find(rows[i].op);
        cr_assert_not_null(row, "%s", rows[i].name);
        cr_assert_str_eq(row->name, rows[i].name);
        cr_assert_geq(row->version, rows[i].version, "%s", row->name);
        cr_assert_eq(row->direction, rows[i].direction, "%s", row->name);
        cr_assert_eq(row->permission, rows[i].permission, "%s", row->name);
        cr_assert_eq(row->before_hello, rows[i].before_hello, "%s", row->name);
    }
}

/* Rows stand in rising op sequence, so no op is there twice; each is found and has a text. */
Test(request, table_is_sorted_and_complete)
{
    uint16_t last = 0;
    unsigned row_count = 0;
    for (const struct xd_op_row *row; (row = xd_op_at(row_count)) != NULL; row_count++) {
        cr_assert_gt(row->op, last, "%s", row->name);
        cr_assert_geq(row->version, 1, "%s", row->name);
        cr_assert_gt(strlen(row->text), 0u, "%s", row->name);
        cr_assert_eq(xd_op_find(row->op), row);
        last = row->op;
    }
    cr_assert_geq(row_count, BODY_COUNT);
    cr_assert_null(xd_op_find(0));
    cr_assert_null(xd_op_find(0xffff));
    cr_assert_null(xd_op_at(0xffffffffu));
}

/* ---- golden bytes ---------------------------------------------------------------------------- */

/* Every field of the released HELLO at its place. */
Test(request, reads_golden_hello)
{
    struct vector v = vector_hex(GOLDEN_HELLO_REQUEST);
    struct xd_hello_request hello;
    const char *field = NULL;
    cr_assert_eq(xd_hello_decode(v.data, v.bytes, &hello, &field), 0, "%s", field);
    cr_assert_eq(hello.fixed.version_min, 1);
    cr_assert_eq(hello.fixed.version_max, 1);
    cr_assert_eq(hello.fixed.features, 0u);
    expect_text(hello.client_name, "wms-dc07");
    expect_text(hello.client_version, "0.1.0");
    vector_free(&v);
}

/* Every field of the released PRODUCER_OPEN; an empty channel is named after the facility. */
Test(request, reads_golden_open)
{
    struct vector v = vector_hex(GOLDEN_OPEN_REQUEST);
    struct xd_open_request open;
    const char *field = NULL;
    cr_assert_eq(xd_open_decode(v.data, v.bytes, &open, &field), 0, "%s", field);
    cr_assert_eq(open.fixed.acked_sequence, 40u);
    cr_assert_eq(open.fixed.assigned_sequence, 44u);
    cr_assert_eq(open.fixed.channel_epoch, 1);
    cr_assert_eq(open.fixed.flags, 0);
    cr_assert_eq(open.fixed.producer_epoch, 3u);
    expect_text(open.source, "wms");
    expect_text(open.channel, "");
    expect_text(open.facility, "DC07");
    vector_free(&v);
}

/* Every field of the released PRODUCE head, READ, PRODUCER_CLOSE and ADMIN. */
Test(request, reads_golden_produce_read_close_and_admin)
{
    const char *field = NULL;
    struct vector v = vector_hex(GOLDEN_PRODUCE);
    struct xd_produce_head head;
    cr_assert_eq(xd_produce_decode(v.data, v.bytes, &head, &field), 0, "%s", field);
    cr_assert_eq(head.batch_count, 1u);
    cr_assert_eq(head.durability, XD_DURABILITY_FSYNC);
    cr_assert_eq(head.low, 41u);
    vector_free(&v);

    v = vector_hex(GOLDEN_READ);
    struct xd_read read;
    cr_assert_eq(xd_read_decode(v.data, v.bytes, &read, &field), 0, "%s", field);
    cr_assert_eq(read.partition, 7u);
    cr_assert_eq(read.seek, XD_SEEK_OFFSET);
    cr_assert_eq(read.position, 1000u);
    cr_assert_eq(read.bytes_max, 262144u);
    cr_assert_eq(read.wait_ms, 5000u);
    vector_free(&v);

    v = vector_hex(GOLDEN_CLOSE);
    struct xd_close close;
    cr_assert_eq(xd_close_decode(v.data, v.bytes, &close, &field), 0, "%s", field);
    cr_assert_eq(close.producer_id, 0x1122u);
    cr_assert_eq(close.producer_epoch, 3u);
    vector_free(&v);

    v = vector_hex(GOLDEN_ADMIN_REQUEST);
    struct xd_admin_request admin;
    cr_assert_eq(xd_admin_decode(v.data, v.bytes, &admin, &field), 0, "%s", field);
    expect_text(admin.verb, "topic list");
    expect_text(admin.json, "{}");
    vector_free(&v);
}

/* What was decoded encodes to the same bytes, from payloads of any alignment. */
Test(request, golden_bodies_round_trip_at_any_alignment)
{
    for (size_t i = 0; i < BODY_COUNT; i++) {
        struct vector v = vector_hex(bodies[i].hex);
        for (size_t shift = 0; shift < 8; shift++) {
            uint8_t *moved = malloc(shift + v.bytes);
            uint8_t out[OUT_BYTES];
            const char *field = NULL;
            cr_assert_not_null(moved);
            memcpy(moved + shift, v.data, v.bytes);
            int bytes = bodies[i].recode(moved + shift, v.bytes, out, &field);
            cr_assert_eq(bytes, (int)v.bytes, "%s: %s", bodies[i].name, field);
            cr_assert_eq(memcmp(out, v.data, v.bytes), 0, "%s", bodies[i].name);
            free(moved);
        }
        vector_free(&v);
    }
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* A body cut anywhere is refused. ADMIN is text to its end: only a cut in the verb can be seen; a
 * CATALOG of no bytes is one. */
Test(request, refuses_truncation_at_every_byte)
{
    for (size_t i = 0; i < BODY_COUNT; i++) {
        struct vector v = vector_hex(bodies[i].hex);
        int is_admin = strcmp(bodies[i].name, "ADMIN") == 0;
        size_t cut_max = is_admin ? sizeof("topic list") : v.bytes;
        size_t cut_min = strcmp(bodies[i].name, "CATALOG") == 0;
        for (size_t bytes = cut_min; bytes < cut_max; bytes++) {
            struct vector cut = vector_copy(v.data, bytes);
            uint8_t out[OUT_BYTES];
            const char *field = NULL;
            cr_assert_eq(bodies[i].recode(cut.data, bytes, out, &field), XD_FRAME_MALFORMED,
                         "%s cut at %zu", bodies[i].name, bytes);
            cr_assert_not_null(field);
            if (bytes == 0)
                cr_assert_str_eq(field, is_admin ? "verb" : "length", "%s", bodies[i].name);
            vector_free(&cut);
        }
        vector_free(&v);
    }
}

/* One byte too many is refused. */
Test(request, refuses_trailing_bytes)
{
    for (size_t i = 0; i < BODY_COUNT; i++) {
        if (strcmp(bodies[i].name, "ADMIN") == 0)
            continue;
        struct vector v = vector_hex(bodies[i].hex);
        struct vector longer = {.data = malloc(v.bytes + 1), .bytes = v.bytes + 1};
        cr_assert_not_null(longer.data);
        memcpy(longer.data, v.data, v.bytes);
        longer.data[v.bytes] = 0;
        uint8_t out[OUT_BYTES];
        const char *field = NULL;
        cr_assert_eq(bodies[i].recode(longer.data, longer.bytes, out, &field), XD_FRAME_MALFORMED,
                     "%s", bodies[i].name);
        cr_assert_str_eq(field, "length", "%s", bodies[i].name);
        vector_free(&longer);
        vector_free(&v);
    }
}

/* Any flipped bit is refused with a field, or decodes to what encodes to the same bytes. */
Test(request, survives_every_flipped_bit)
{
    for (size_t i = 0; i < BODY_COUNT; i++) {
        struct vector v = vector_hex(bodies[i].hex);
        for (size_t bit = 0; bit < v.bytes * 8; bit++) {
            uint8_t out[OUT_BYTES];
            const char *field = NULL;
            vector_flip_bit(&v, bit);
            int bytes = bodies[i].recode(v.data, v.bytes, out, &field);
            if (bytes < 0) {
                cr_assert_not_null(field, "%s bit %zu", bodies[i].name, bit);
            } else {
                cr_assert_eq(bytes, (int)v.bytes, "%s bit %zu", bodies[i].name, bit);
                cr_assert_eq(memcmp(out, v.data, v.bytes), 0, "%s bit %zu", bodies[i].name, bit);
            }
            vector_flip_bit(&v, bit);
        }
        vector_free(&v);
    }
}

/* A failed decode leaves the result as it was. */
Test(request, failed_decode_leaves_result_untouched)
{
    struct vector v = vector_hex(GOLDEN_OPEN_REQUEST);
    struct xd_open_request open, before;
    const char *field = NULL;
    memset(&open, 0x5a, sizeof(open));
    memcpy(&before, &open, sizeof(open));
    cr_assert_lt(xd_open_decode(v.data, v.bytes - 1, &open, &field), 0);
    cr_assert_eq(memcmp(&open, &before, sizeof(open)), 0);
    vector_free(&v);
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* Versions from 1, not reversed; no features in version 1; labels of printable ASCII. */
Test(request, hello_refuses_wrong_fields)
{
    const char *hex = GOLDEN_HELLO_REQUEST;
    expect_refusal(hex, recode_hello, 0, 0, 2, XD_FIELD_INVALID, "version_min");
    expect_refusal(hex, recode_hello, 0, 2, 2, XD_FIELD_INVALID, "version_min");
    expect_refusal(hex, recode_hello, 4, 1, 4, XD_FIELD_INVALID, "features");
    expect_refusal(hex, recode_hello, 9, 0x0a, 1, XD_FIELD_INVALID, "client_name");
    expect_refusal(hex, recode_hello, 18, 0x80, 1, XD_FIELD_INVALID, "client_version");
    expect_refusal(hex, recode_hello, 8, 200, 1, XD_FRAME_MALFORMED, "client_name");
    expect_refusal(hex, recode_hello, 17, 6, 1, XD_FRAME_MALFORMED, "client_version");
    expect_refusal(hex, recode_hello, 17, 4, 1, XD_FRAME_MALFORMED, "length");
}

/* A client that also speaks a later version may offer its features; it is answered, not cut off. */
Test(request, hello_of_a_later_client_is_read)
{
    struct vector v = vector_hex(GOLDEN_HELLO_REQUEST);
    struct xd_hello_request hello;
    const char *field = NULL;
    v.data[2] = XD_PROTOCOL_VERSION_MAX + 1;
    v.data[4] = 1;
    cr_assert_eq(xd_hello_decode(v.data, v.bytes, &hello, &field), 0, "%s", field);
    cr_assert_eq(hello.fixed.features, 1u);
    vector_free(&v);
}

/* Names follow the one rule; sequences hang together; unknown flags are not guessed at. */
Test(request, open_refuses_wrong_fields)
{
    const char *hex = GOLDEN_OPEN_REQUEST;
    expect_refusal(hex, recode_open, 0, 45, 8, XD_FIELD_INVALID, "acked_sequence");
    expect_refusal(hex, recode_open, 18, XD_OPEN_NO_MEMORY, 1, XD_FIELD_INVALID,
                   "assigned_sequence");
    expect_refusal(hex, recode_open, 18, 2, 1, XD_FRAME_MALFORMED, "flags");
    expect_refusal(hex, recode_open, 19, 1, 1, XD_FRAME_MALFORMED, "reserved");
    expect_refusal(hex, recode_open, 25, ' ', 1, XD_NAME_INVALID, "source");
    expect_refusal(hex, recode_open, 25, '-', 1, XD_NAME_INVALID, "source");
    expect_refusal(hex, recode_open, 24, 0, 1, XD_NAME_INVALID, "source");
    expect_refusal(hex, recode_open, 28, 3, 1, XD_NAME_INVALID, "channel");
    expect_refusal(hex, recode_open, 30, '/', 1, XD_NAME_INVALID, "facility");
    expect_refusal(hex, recode_open, 29, 5, 1, XD_FRAME_MALFORMED, "facility");
    expect_refusal(hex, recode_open, 29, 255, 1, XD_FRAME_MALFORMED, "facility");
}

/* The count is the number of batches that are there, each whole and padded with zeros. */
Test(request, produce_refuses_wrong_fields)
{
    const char *hex = GOLDEN_PRODUCE;
    expect_refusal(hex, recode_produce, 0, 0, 4, XD_FIELD_INVALID, "batch_count");
    expect_refusal(hex, recode_produce, 0, 2, 4, XD_FRAME_MALFORMED, "batches");
    expect_refusal(hex, recode_produce, 0, XD_PRODUCE_BATCHES_MAX, 4, XD_FRAME_MALFORMED,
                   "batches");
    expect_refusal(hex, recode_produce, 0, 0xffffffffu, 4, XD_FIELD_INVALID, "batch_count");
    expect_refusal(hex, recode_produce, 4, XD_DURABILITY_COUNT, 1, XD_FIELD_INVALID, "durability");
    expect_refusal(hex, recode_produce, 7, 1, 1, XD_FRAME_MALFORMED, "reserved");
    expect_refusal(hex, recode_produce, 16, 0, 1, XD_BATCH_MALFORMED, "batches");
    expect_refusal(hex, recode_produce, 20, 0xffffffffu, 4, XD_BATCH_TOO_LARGE, "batches");
    expect_refusal(hex, recode_produce, 20, 145, 4, XD_FRAME_MALFORMED, "batches");
    expect_refusal(hex, recode_produce, 20, 136, 4, XD_FRAME_MALFORMED, "length");
    expect_refusal(hex, recode_produce, 159, 1, 1, XD_FRAME_MALFORMED, "batches");
}

/* A copy is never larger than the largest catalog. */
Test(request, catalog_refuses_wrong_fields)
{
    expect_refusal(GOLDEN_CATALOG_REQUEST, recode_catalog, 0, XD_TOPICS_MAX + 1, 4,
                   XD_FIELD_INVALID, "topics");
    expect_refusal(GOLDEN_CATALOG_REQUEST, recode_catalog, 4, XD_FACILITIES_MAX + 1, 4,
                   XD_FIELD_INVALID, "facilities");
    expect_refusal(GOLDEN_CATALOG_REQUEST, recode_catalog, 8, XD_PARTITIONS_MAX + 1, 4,
                   XD_FIELD_INVALID, "partitions");
    expect_refusal(GOLDEN_CATALOG_REQUEST, recode_catalog, 12, 1, 4, XD_FRAME_MALFORMED,
                   "reserved");
}

/* A client that has nothing may say so without a body; the limits themselves are taken. */
Test(request, catalog_takes_an_empty_body_and_the_limits)
{
    const struct xd_catalog_request all = {XD_TOPICS_MAX, XD_FACILITIES_MAX, XD_PARTITIONS_MAX, 0};
    struct xd_catalog_request request = all;
    const char *field = NULL;
    cr_assert_eq(xd_catalog_decode((const uint8_t *)"", 0, &request, &field), 0);
    cr_assert_eq(request.topics + request.facilities + request.partitions, 0);
    cr_assert_eq(xd_catalog_decode((const uint8_t *)&all, sizeof(all), &request, &field), 0);
    cr_assert_eq(memcmp(&request, &all, sizeof(all)), 0);
}

/* The remaining ranges. */
Test(request, read_close_and_admin_refuse_wrong_fields)
{
    expect_refusal(GOLDEN_READ, recode_read, 4, XD_SEEK_COUNT, 1, XD_FIELD_INVALID, "seek");
    expect_refusal(GOLDEN_READ, recode_read, 5, 1, 1, XD_FRAME_MALFORMED, "reserved");
    expect_refusal(GOLDEN_READ, recode_read, 20, XD_READ_WAIT_MS_MAX + 1, 4, XD_FIELD_INVALID,
                   "wait_ms");
    expect_refusal(GOLDEN_CLOSE, recode_close, 12, 1, 4, XD_FRAME_MALFORMED, "reserved");
    expect_refusal(GOLDEN_ADMIN_REQUEST, recode_admin, 0, 0, 1, XD_FIELD_INVALID, "verb");
    expect_refusal(GOLDEN_ADMIN_REQUEST, recode_admin, 0, 13, 1, XD_FRAME_MALFORMED, "verb");
    expect_refusal(GOLDEN_ADMIN_REQUEST, recode_admin, 1, '\n', 1, XD_FIELD_INVALID, "verb");
}

/* ---- names and encoders ---------------------------------------------------------------------- */

/* Too little room is said and nothing is written. */
Test(request, encoders_write_nothing_when_room_is_short)
{
    const struct xd_hello_request hello = {.fixed = {.version_min = 1, .version_max = 1},
                                           .client_name = text_of("wms")};
    const struct xd_open_request open = {.source = text_of("wms"), .facility = text_of("DC07")};
    const struct xd_admin_request admin = {.verb = text_of("topic list"), .json = text_of("{}")};
    uint8_t out[OUT_BYTES], before[OUT_BYTES];
    memset(before, 0x5a, sizeof(before));
    memset(out, 0x5a, sizeof(out));
    for (size_t room = 0; room < 13; room++) {
        cr_assert_eq(xd_hello_encode(&hello, out, room), -ENOBUFS);
        cr_assert_eq(xd_admin_encode(&admin, out, room), -ENOBUFS);
        cr_assert_eq(xd_open_encode(&open, out, room + 21), -ENOBUFS);
    }
    cr_assert_eq(memcmp(out, before, sizeof(out)), 0);
    cr_assert_eq(xd_hello_encode(&hello, out, 13), 13);
    cr_assert_eq(xd_admin_encode(&admin, out, 13), 13);
    cr_assert_eq(xd_open_encode(&open, out, 34), 34);
}

/* A text that no decoder would take is the caller's mistake. */
Test(request, encode_asserts_text_length, .signal = SIGABRT)
{
    uint8_t out[OUT_BYTES];
    struct xd_open_request open = {.source = text_of("wms")};
    open.source.bytes = XD_NAME_BYTES_MAX + 1;
    (void)xd_open_encode(&open, out, sizeof(out));
}
