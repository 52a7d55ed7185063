/* SPDX-License-Identifier: Apache-2.0
 *
 * The bodies a broker sends, as a client reads them: golden bytes, each refusal, damage.
 */
#include <string.h>

#include <criterion/criterion.h>

#include "tests/wire/golden.h"
#include "tests/wire/vectors.h"
#include "wire/batch.h"
#include "wire/request.h"
#include "wire/route.h"
#include "wire/status.h"

#define HEAD_BYTES sizeof(struct xd_reply_head)

/* ---- body decoders under one signature --------------------------------------------------------
 */

typedef int (*decode)(const uint8_t *p, size_t bytes, const char **ret_field);

static int decode_hello(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_hello_reply hello;
    return xd_hello_reply_decode(p, bytes, &hello, ret_field);
}

static int decode_catalog(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_catalog_view view;
    int status = xd_catalog_reply_decode(p, bytes, &view, ret_field);
    if (status == 0) {
        vector_touch(view.topics, view.fixed.topic_count * sizeof(*view.topics));
        vector_touch(view.facilities, view.fixed.facility_count * sizeof(*view.facilities));
        vector_touch(view.placements, view.fixed.placement_count * sizeof(*view.placements));
    }
    return status;
}

static int decode_open(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_open_view view;
    int status = xd_open_reply_decode(p, bytes, &view, ret_field);
    if (status == 0)
        vector_touch(view.chains, view.fixed.chain_count * sizeof(*view.chains));
    return status;
}

static int decode_read(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_read_reply reply;
    const uint8_t *batches;
    int status = xd_read_reply_decode(p, bytes, &reply, &batches, ret_field);
    if (status == 0)
        vector_touch(batches, reply.batches_bytes);
    return status;
}

static int decode_ack(const uint8_t *p, size_t bytes, const char **ret_field)
{
    struct xd_ack_view view;
    int status = xd_ack_decode(p, bytes, &view, ret_field);
    if (status == 0) {
        vector_touch(view.acks, view.fixed.ack_count * sizeof(*view.acks));
        vector_touch(view.details, view.details_bytes);
    }
    return status;
}

static const struct {
    const char *name; /* op */
    const char *hex;  /* golden payload */
    size_t body_at;   /* where the body starts: behind the head, but for ACK */
    decode decode;    /* its decoder */
    int borrows;      /* whether the view points into the payload */
} bodies[] = {
    {"HELLO", GOLDEN_HELLO_REPLY, HEAD_BYTES, decode_hello, 0},
    {"CATALOG", GOLDEN_CATALOG_REPLY, HEAD_BYTES, decode_catalog, 1},
    {"PRODUCER_OPEN", GOLDEN_OPEN_REPLY, HEAD_BYTES, decode_open, 1},
    {"READ", GOLDEN_READ_REPLY, HEAD_BYTES, decode_read, 1},
    {"ACK", GOLDEN_ACK, 0, decode_ack, 1},
};
#define BODY_COUNT (sizeof(bodies) / sizeof(bodies[0]))

static struct vector golden_body(size_t i)
{
    struct vector whole = vector_hex(bodies[i].hex);
    struct vector body =
        vector_copy(whole.data + bodies[i].body_at, whole.bytes - bodies[i].body_at);
    vector_free(&whole);
    return body;
}

/* A change to one field of a golden body, and the field that must be named; NULL = still good. */
struct rule {
    size_t at;         /* offset in the body */
    size_t width;      /* bytes to replace */
    uint64_t value;    /* what to put there */
    const char *field; /* expected name */
};

static void expect_rules(const char *name, const struct rule *rules, size_t count)
{
    size_t i = 0;
    while (strcmp(bodies[i].name, name) != 0)
        i++;
    for (size_t r = 0; r < count; r++) {
        struct vector v = golden_body(i);
        const char *field = NULL;
        memcpy(v.data + rules[r].at, &rules[r].value, rules[r].width);
        int status = bodies[i].decode(v.data, v.bytes, &field);
        cr_assert_eq(status, rules[r].field != NULL ? XD_FRAME_MALFORMED : 0, "%s rule %zu: %s",
                     name, r, field);
        if (rules[r].field != NULL)
            cr_assert_str_eq(field, rules[r].field, "%s rule %zu", name, r);
        vector_free(&v);
    }
}

#define EXPECT_RULES(name, rules) expect_rules(name, rules, sizeof(rules) / sizeof(rules[0]))
#define RULE(type, field, value, name)                                                             \
    {                                                                                              \
        offsetof(struct type, field), sizeof(((struct type *)0)->field), value, name               \
    }
#define RULE_AT(base, type, field, value, name)                                                    \
    {                                                                                              \
        (base) + offsetof(struct type, field), sizeof(((struct type *)0)->field), value, name      \
    }

/* ---- golden bodies --------------------------------------------------------------------------- */

/* Every golden reply decodes, and its head says success. */
Test(reply, golden_bodies_decode)
{
    for (size_t i = 0; i < BODY_COUNT; i++) {
        struct vector v = vector_hex(bodies[i].hex);
        if (bodies[i].body_at != 0) {
            struct xd_reply_head head;
            struct xd_text detail;
            const uint8_t *body = NULL;
            size_t body_bytes = 0;
            cr_assert_eq(xd_reply_decode(v.data, v.bytes, &head, &detail, &body, &body_bytes), 0);
            cr_assert_eq(head.status, 0, "%s", bodies[i].name);
            cr_assert_eq(head.catalog_epoch, 9u, "%s", bodies[i].name);
            cr_assert_eq(body, v.data + bodies[i].body_at, "%s", bodies[i].name);
        }
        const char *field = NULL;
        cr_assert_eq(
            bodies[i].decode(v.data + bodies[i].body_at, v.bytes - bodies[i].body_at, &field), 0,
            "%s: %s", bodies[i].name, field);
        vector_free(&v);
    }
}

/* Every field of the released HELLO reply at its place. */
Test(reply, reads_golden_hello)
{
    struct vector v = golden_body(0);
    struct xd_hello_reply hello;
    const char *field = NULL;
    cr_assert_eq(xd_hello_reply_decode(v.data, v.bytes, &hello, &field), 0, "%s", field);
    const struct xd_hello_reply expected = {
        .version = 1,
        .version_min = 1,
        .version_max = 1,
        .default_durability = XD_DURABILITY_FSYNC,
        .frame_bytes_max = XD_FRAME_BYTES_DEFAULT_MAX,
        .batch_bytes_max = XD_BATCH_BYTES_MAX,
        .inflight_batches = XD_INFLIGHT_BATCHES_MAX,
        .connection_bytes = 8u << 20,
        .cluster_id = {0x1716151413121110u, 0x1f1e1d1c1b1a1918u},
        .server_time_us = 1700000000000000};
    cr_assert_eq(memcmp(&hello, &expected, sizeof(hello)), 0);
    vector_free(&v);
}

/* Every field of the released CATALOG rows. */
Test(reply, reads_golden_catalog)
{
    struct vector v = golden_body(1);
    struct xd_catalog_view view;
    const char *field = NULL;
    cr_assert_eq(xd_catalog_reply_decode(v.data, v.bytes, &view, &field), 0, "%s", field);
    cr_assert_eq(view.fixed.epoch, 9u);
    const struct xd_catalog_topic topic = {
        .topic = 3, .strategy = XD_STRATEGY_SKU, .width = 8, .name_bytes = 5, .name = "stock"};
    const struct xd_catalog_facility facility = {.facility = 2, .name_bytes = 4, .name = "DC07"};
    const struct xd_catalog_placement placement = {
        .topic = 3, .facility = 2, .partition_base = 16, .width = 8};
    cr_assert_eq(memcmp(view.topics, &topic, sizeof(topic)), 0);
    cr_assert_eq(memcmp(view.facilities, &facility, sizeof(facility)), 0);
    cr_assert_eq(memcmp(view.placements, &placement, sizeof(placement)), 0);
    vector_free(&v);
}

/* Every field of the released PRODUCER_OPEN reply and its chains. */
Test(reply, reads_golden_open)
{
    struct vector v = golden_body(2);
    struct xd_open_view view;
    const char *field = NULL;
    cr_assert_eq(xd_open_reply_decode(v.data, v.bytes, &view, &field), 0, "%s", field);
    const struct xd_open_reply fixed = {.producer_id = 0x1122,
                                        .producer_epoch = 3,
                                        .channel_epoch = 1,
                                        .facility = 2,
                                        .chain_count = 2,
                                        .last_sequence = 44};
    const struct xd_open_chain chains[] = {
        {.partition = 7, .last_sequence = 44, .last_offset = 1003},
        {.partition = 9, .last_sequence = 12, .last_offset = 500}};
    cr_assert_eq(memcmp(&view.fixed, &fixed, sizeof(fixed)), 0);
    cr_assert_eq(memcmp(view.chains, chains, sizeof(chains)), 0);
    vector_free(&v);
}

/* Every field of the released READ reply; the batches are as stored. */
Test(reply, reads_golden_read)
{
    struct vector v = golden_body(3);
    struct xd_read_reply reply;
    const uint8_t *batches = NULL;
    const char *field = NULL;
    cr_assert_eq(xd_read_reply_decode(v.data, v.bytes, &reply, &batches, &field), 0, "%s", field);
    const struct xd_read_reply expected = {.start_offset = 1000,
                                           .next_offset = 1002,
                                           .end_offset = 1002,
                                           .batches_bytes = 144,
                                           .partition = 7};
    cr_assert_eq(memcmp(&reply, &expected, sizeof(reply)), 0);
    cr_assert_eq(xd_batch_check_stored((const void *)batches, 144, &field), 0, "%s", field);
    vector_free(&v);
}

/* Every field of the released ACK; details follow in the same sequence. */
Test(reply, reads_golden_ack)
{
    struct vector v = golden_body(4);
    struct xd_ack_view view;
    const char *field = NULL;
    cr_assert_eq(xd_ack_decode(v.data, v.bytes, &view, &field), 0, "%s", field);
    const struct xd_ack_head fixed = {.ack_count = 2, .catalog_epoch = 9, .acked_bytes = 304};
    const struct xd_ack acks[] = {{.producer_id = 0x1122,
                                   .partition = 7,
                                   .first_sequence = 41,
                                   .last_sequence = 44,
                                   .base_offset = 1000,
                                   .log_index = 78,
                                   .record_count = 2,
                                   .durability = XD_DURABILITY_FSYNC},
                                  {.producer_id = 0x1122,
                                   .partition = 9,
                                   .status = XD_OUT_OF_SEQUENCE,
                                   .first_sequence = 15,
                                   .last_sequence = 16,
                                   .resume_sequence = 12,
                                   .record_count = 2,
                                   .retry_after_ms = 250,
                                   .detail_bytes = 10}};
    cr_assert_eq(memcmp(&view.fixed, &fixed, sizeof(fixed)), 0);
    cr_assert_eq(memcmp(view.acks, acks, sizeof(acks)), 0);
    cr_assert_eq(view.details_bytes, 10u);
    cr_assert_eq(memcmp(view.details, "wants 13..", 10), 0);
    vector_free(&v);
}

/* ---- refusals -------------------------------------------------------------------------------- */

/* The version lies in the stated range, or is 0 with the range as advice; limits within ours. */
Test(reply, hello_refuses_wrong_fields)
{
    static const struct rule rules[] = {
        RULE(xd_hello_reply, version, 0, NULL),
        RULE(xd_hello_reply, version, 2, "version"),
        RULE(xd_hello_reply, version_min, 0, "version_min"),
        RULE(xd_hello_reply, version_min, 2, "version_min"),
        RULE(xd_hello_reply, version_max, 5, NULL),
        RULE(xd_hello_reply, default_durability, XD_DURABILITY_COUNT, "default_durability"),
        RULE(xd_hello_reply, reserved0, 1, "reserved"),
        RULE(xd_hello_reply, reserved1, 1, "reserved"),
        RULE(xd_hello_reply, frame_bytes_max, XD_FRAME_BYTES_HARD_MAX + 1, "frame_bytes_max"),
        RULE(xd_hello_reply, frame_bytes_max, XD_FRAME_BYTES_HARD_MAX, NULL),
        RULE(xd_hello_reply, frame_bytes_max, XD_FRAME_BYTES_PREAUTH_MAX, NULL),
        RULE(xd_hello_reply, frame_bytes_max, XD_FRAME_BYTES_PREAUTH_MAX - 1, "frame_bytes_max"),
        RULE(xd_hello_reply, batch_bytes_max, XD_BATCH_BYTES_MAX + 1, "batch_bytes_max"),
        RULE(xd_hello_reply, inflight_batches, 0, "inflight_batches"),
        RULE(xd_hello_reply, inflight_batches, XD_INFLIGHT_BATCHES_MAX + 1, "inflight_batches"),
        RULE(xd_hello_reply, features, 1, "features"),
    };
    EXPECT_RULES("HELLO", rules);
}

/* The version is one of the broker's and one of ours. */
Test(reply, hello_version_lies_in_both_ranges)
{
    static const struct {
        uint16_t version, min, max; /* as sent */
        const char *field;          /* expected name, NULL = good */
    } cases[] = {{1, 1, 9, NULL}, {2, 1, 9, "version"}, {1, 2, 9, "version"}, {0, 2, 9, NULL}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct vector v = golden_body(0);
        struct xd_hello_reply *sent = (void *)v.data, hello;
        const char *field = NULL;
        sent->version = cases[i].version;
        sent->version_min = cases[i].min;
        sent->version_max = cases[i].max;
        int status = xd_hello_reply_decode(v.data, v.bytes, &hello, &field);
        cr_assert_eq(status, cases[i].field != NULL ? XD_FRAME_MALFORMED : 0, "case %zu", i);
        if (cases[i].field != NULL)
            cr_assert_str_eq(field, cases[i].field, "case %zu", i);
        vector_free(&v);
    }
}

/* Counts from outside are bounded before they are multiplied; rows are checked one by one. */
Test(reply, catalog_refuses_wrong_fields)
{
    enum {
        TOPIC = sizeof(struct xd_catalog_reply),
        FACILITY = TOPIC + 80,
        PLACEMENT = FACILITY + 80
    };
    static const struct rule rules[] = {
        RULE(xd_catalog_reply, topic_count, 0, "length"),
        RULE(xd_catalog_reply, topic_count, 2, "length"),
        RULE(xd_catalog_reply, topic_count, 0xffffffffu, "topic_count"),
        RULE(xd_catalog_reply, facility_count, 0xffffffffu, "facility_count"),
        RULE(xd_catalog_reply, placement_count, 0xffffffffu, "placement_count"),
        RULE(xd_catalog_reply, topic_count, 4, "topic_count"),
        RULE(xd_catalog_reply, facility_count, 3, "facility_count"),
        RULE(xd_catalog_reply, placement_count, 24, "length"),
        RULE(xd_catalog_reply, placement_count, 25, "placement_count"),
        RULE(xd_catalog_reply, topic_total, 1, NULL),
        RULE(xd_catalog_reply, topic_total, 0, "topic_count"),
        RULE(xd_catalog_reply, topic_total, XD_TOPICS_MAX, NULL),
        RULE(xd_catalog_reply, topic_total, XD_TOPICS_MAX + 1, "topic_total"),
        RULE(xd_catalog_reply, facility_total, 0, "facility_count"),
        RULE(xd_catalog_reply, facility_total, XD_FACILITIES_MAX, NULL),
        RULE(xd_catalog_reply, facility_total, XD_FACILITIES_MAX + 1, "facility_total"),
        RULE(xd_catalog_reply, partition_total, 0, "placement_count"),
        RULE(xd_catalog_reply, partition_total, 15, "partition_base"),
        RULE(xd_catalog_reply, partition_total, 23, "partition_base"),
        RULE(xd_catalog_reply, partition_total, XD_PARTITIONS_MAX, NULL),
        RULE(xd_catalog_reply, partition_total, XD_PARTITIONS_MAX + 1, "partition_total"),
        RULE_AT(TOPIC, xd_catalog_topic, topic, 0, "topic"),
        RULE_AT(TOPIC, xd_catalog_topic, strategy, XD_STRATEGY_COUNT, "strategy"),
        RULE_AT(TOPIC, xd_catalog_topic, width, 0, "width"),
        RULE_AT(TOPIC, xd_catalog_topic, width, XD_PARTITION_WIDTH_MAX + 1, "width"),
        RULE_AT(TOPIC, xd_catalog_topic, width, XD_PARTITION_WIDTH_MAX, NULL),
        RULE_AT(TOPIC, xd_catalog_topic, reserved, 1, "reserved"),
        RULE_AT(TOPIC, xd_catalog_topic, name_bytes, 0, "name"),
        RULE_AT(TOPIC, xd_catalog_topic, name_bytes, 4, "name"),
        RULE_AT(TOPIC, xd_catalog_topic, name_bytes, 6, "name"),
        RULE_AT(TOPIC, xd_catalog_topic, name_bytes, 255, "name"),
        {TOPIC + 8, 1, '.', "name"},
        {TOPIC + 79, 1, 1, "name"},
        RULE_AT(FACILITY, xd_catalog_facility, facility, 0, "facility"),
        {FACILITY + 7, 1, 1, "reserved"},
        RULE_AT(FACILITY, xd_catalog_facility, name_bytes, 73, "name"),
        RULE_AT(PLACEMENT, xd_catalog_placement, topic, 0, "topic"),
        RULE_AT(PLACEMENT, xd_catalog_placement, width, 0, "width"),
        RULE_AT(PLACEMENT, xd_catalog_placement, width, XD_PARTITION_WIDTH_MAX + 1, "width"),
        RULE_AT(PLACEMENT, xd_catalog_placement, width, 1, NULL),
        RULE_AT(PLACEMENT, xd_catalog_placement, width, 9, "partition_base"),
        RULE_AT(PLACEMENT, xd_catalog_placement, partition_base, 0, NULL),
        RULE_AT(PLACEMENT, xd_catalog_placement, partition_base, 17, "partition_base"),
        RULE_AT(PLACEMENT, xd_catalog_placement, partition_base, 0xffffffffu, "partition_base"),
    };
    EXPECT_RULES("CATALOG", rules);
}

/* The first row that is wrong is named, whatever follows it. */
Test(reply, catalog_names_the_first_wrong_row)
{
    enum { TOPIC = sizeof(struct xd_catalog_reply), ROW = 80 };
    struct vector golden = golden_body(1);
    const size_t bytes = golden.bytes + ROW;
    _Alignas(8) uint8_t body[1024];
    const char *field = NULL;
    cr_assert_leq(bytes, sizeof(body));
    memcpy(body, golden.data, TOPIC + ROW);
    memcpy(body + TOPIC + ROW, golden.data + TOPIC, golden.bytes - TOPIC);
    ((struct xd_catalog_reply *)(void *)body)->topic_count = 2;
    cr_assert_eq(decode_catalog(body, bytes, &field), 0, "%s", field);
    ((struct xd_catalog_topic *)(void *)(body + TOPIC))->width = 0;
    ((struct xd_catalog_topic *)(void *)(body + TOPIC + ROW))->reserved = 1;
    cr_assert_eq(decode_catalog(body, bytes, &field), XD_FRAME_MALFORMED);
    cr_assert_str_eq(field, "width");
    vector_free(&golden);
}

/* Placements follow one another by partition; a gap is nobody's business, an overlap is. */
Test(reply, catalog_refuses_placements_that_overlap)
{
    static const struct {
        uint32_t base;
        const char *field;
    } cases[] = {{24, NULL},
                 {30, NULL},
                 {23, "partition_base"},
                 {16, "partition_base"},
                 {8, "partition_base"}};
    struct vector golden = golden_body(1);
    const size_t bytes = golden.bytes + sizeof(struct xd_catalog_placement);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        _Alignas(8) uint8_t body[1024];
        const char *field = NULL;
        cr_assert_leq(bytes, sizeof(body));
        memcpy(body, golden.data, golden.bytes);
        struct xd_catalog_reply *fixed = (void *)body;
        fixed->placement_count = 2;
        fixed->partition_total = 40;
        struct xd_catalog_placement *second = (void *)(body + golden.bytes);
        *second = (struct xd_catalog_placement){
            .topic = 2, .facility = 2, .partition_base = cases[i].base, .width = 4};
        int status = decode_catalog(body, bytes, &field);
        cr_assert_eq(status, cases[i].field != NULL ? XD_FRAME_MALFORMED : 0, "case %zu", i);
        if (cases[i].field != NULL)
            cr_assert_str_eq(field, cases[i].field, "case %zu", i);
    }
    vector_free(&golden);
}

/* Chains rise by partition and fill the body; offsets do not run backwards. */
Test(reply, open_and_read_refuse_wrong_fields)
{
    static const struct rule open_rules[] = {
        RULE(xd_open_reply, reserved, 1, "reserved"),
        RULE(xd_open_reply, chain_count, 1, "length"),
        RULE(xd_open_reply, chain_count, 3, "length"),
        RULE(xd_open_reply, chain_count, 0xffffffffu, "chain_count"),
        RULE_AT(32, xd_open_chain, reserved, 1, "reserved"),
        RULE_AT(32, xd_open_chain, partition, 9, "partition"),
        RULE_AT(56, xd_open_chain, partition, 6, "partition"),
    };
    static const struct rule read_rules[] = {
        RULE(xd_read_reply, batches_bytes, 136, "batches_bytes"),
        RULE(xd_read_reply, batches_bytes, 0xffffffffu, "batches_bytes"),
        RULE(xd_read_reply, next_offset, 1000, NULL),
        RULE(xd_read_reply, next_offset, 999, "next_offset"),
        RULE(xd_read_reply, first_offset, 1002, NULL),
        RULE(xd_read_reply, first_offset, 1003, "end_offset"),
    };
    EXPECT_RULES("PRODUCER_OPEN", open_rules);
    EXPECT_RULES("READ", read_rules);
}

/* Success covers a range that has room for its records; a refusal may repeat any numbers; the texts
 * add up to what is left. */
Test(reply, ack_refuses_wrong_fields)
{
    enum { FIRST = 24, SECOND = FIRST + 72 };
    static const struct rule rules[] = {
        RULE(xd_ack_head, ack_count, 0, "ack_count"),
        RULE(xd_ack_head, ack_count, 1, "detail_bytes"),
        RULE(xd_ack_head, ack_count, 3, "length"),
        RULE(xd_ack_head, ack_count, XD_ACKS_MAX, "length"),
        RULE(xd_ack_head, ack_count, 0xffffffffu, "ack_count"),
        RULE(xd_ack_head, reserved, 1, "reserved"),
        RULE_AT(FIRST, xd_ack, status, XD_DUPLICATE, NULL),
        RULE_AT(FIRST, xd_ack, status, XD_END, "status"),
        RULE_AT(FIRST, xd_ack, last_sequence, 40, "last_sequence"),
        RULE_AT(FIRST, xd_ack, record_count, 0, "record_count"),
        RULE_AT(FIRST, xd_ack, record_count, 4, NULL),
        RULE_AT(FIRST, xd_ack, record_count, 5, "record_count"),
        RULE_AT(FIRST, xd_ack, detail_bytes, 1, "detail_bytes"),
        RULE_AT(FIRST, xd_ack, detail_bytes, XD_DETAIL_BYTES_MAX + 1, "detail_bytes"),
        RULE_AT(FIRST, xd_ack, durability, XD_DURABILITY_COUNT, "durability"),
        {FIRST + 71, 1, 1, "reserved"},
        RULE_AT(SECOND, xd_ack, first_sequence, UINT64_MAX, NULL),
        RULE_AT(SECOND, xd_ack, detail_bytes, 9, "detail_bytes"),
        RULE_AT(SECOND, xd_ack, detail_bytes, 11, "detail_bytes"),
    };
    EXPECT_RULES("ACK", rules);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Cut anywhere or with a byte too many, a body is refused and nothing behind it is read. */
Test(reply, refuses_truncation_and_trailing_bytes)
{
    for (size_t i = 0; i < BODY_COUNT; i++) {
        struct vector v = golden_body(i);
        const char *field = NULL;
        for (size_t bytes = 0; bytes < v.bytes; bytes++) {
            struct vector cut = vector_copy(v.data, bytes);
            cr_assert_eq(bodies[i].decode(cut.data, bytes, &field), XD_FRAME_MALFORMED,
                         "%s cut at %zu", bodies[i].name, bytes);
            if (bytes == 0)
                cr_assert_str_eq(field, "length", "%s", bodies[i].name);
            vector_free(&cut);
        }
        struct vector longer = {.data = calloc(1, v.bytes + 8), .bytes = v.bytes + 8};
        cr_assert_not_null(longer.data);
        memcpy(longer.data, v.data, v.bytes);
        cr_assert_eq(bodies[i].decode(longer.data, v.bytes + 1, &field), XD_FRAME_MALFORMED);
        cr_assert_eq(bodies[i].decode(longer.data, v.bytes + 8, &field), XD_FRAME_MALFORMED);
        vector_free(&longer);
        vector_free(&v);
    }
}

/* Any flipped bit is refused with a field, or gives a view that lies inside the payload. */
Test(reply, survives_every_flipped_bit)
{
    for (size_t i = 0; i < BODY_COUNT; i++) {
        struct vector v = golden_body(i);
        for (size_t bit = 0; bit < v.bytes * 8; bit++) {
            const char *field = NULL;
            vector_flip_bit(&v, bit);
            int status = bodies[i].decode(v.data, v.bytes, &field);
            cr_assert(status == 0 || status == XD_FRAME_MALFORMED, "%s", bodies[i].name);
            cr_assert_eq(status == 0, field == NULL, "%s bit %zu", bodies[i].name, bit);
            vector_flip_bit(&v, bit);
        }
        vector_free(&v);
    }
}

/* Views are laid over the payload, so a payload off the 8-byte boundary is refused by name. */
Test(reply, refuses_unaligned_payload_where_it_borrows)
{
    for (size_t i = 0; i < BODY_COUNT; i++) {
        struct vector v = golden_body(i);
        uint8_t *memory = malloc(v.bytes + 8);
        cr_assert_not_null(memory);
        for (size_t shift = 1; shift < 8; shift++) {
            const char *field = NULL;
            memcpy(memory + shift, v.data, v.bytes);
            int status = bodies[i].decode(memory + shift, v.bytes, &field);
            cr_assert_eq(status, bodies[i].borrows ? XD_FRAME_MALFORMED : 0, "%s", bodies[i].name);
            if (bodies[i].borrows)
                cr_assert_str_eq(field, "alignment");
        }
        free(memory);
        vector_free(&v);
    }
}
