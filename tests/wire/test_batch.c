/* SPDX-License-Identifier: Apache-2.0
 *
 * Batches: golden bytes, each rule of the two checks, damage of every kind, bodies.
 */
#include "wire/batch.h"

#include <signal.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/wire/golden.h"
#include "tests/wire/vectors.h"
#include "wire/checksum.h"
#include "wire/frame.h"
#include "wire/limits.h"
#include "wire/status.h"

typedef int (*check_batch)(const struct xd_batch_header *h, size_t bytes, const char **ret_field);

static struct xd_batch_header *header_of(const struct vector *v)
{
    return (void *)v->data;
}

/* A change to one field of a good batch, and how it must be refused. */
struct rule {
    size_t at;         /* offset of the field */
    size_t width;      /* its size in bytes */
    uint64_t value;    /* what to put there */
    int status;        /* expected answer */
    const char *field; /* expected name, NULL when the batch stays good */
};

#define RULE(field, value, status, name)                                                           \
    {                                                                                              \
        offsetof(struct xd_batch_header, field), sizeof(((struct xd_batch_header *)0)->field),     \
            value, status, name                                                                    \
    }

static void expect_rules(const char *hex, check_batch check, const struct rule *rules, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct vector v = vector_hex(hex);
        const char *field = NULL;
        cr_assert_eq(check(header_of(&v), v.bytes, &field), 0, "good before rule %zu: %s", i,
                     field);
        memcpy(v.data + rules[i].at, &rules[i].value, rules[i].width);
        int status = check(header_of(&v), v.bytes, &field);
        cr_assert_eq(status, rules[i].status, "rule %zu: %s, field %s", i, xd_status_name(status),
                     field);
        if (rules[i].field != NULL)
            cr_assert_str_eq(field, rules[i].field, "rule %zu", i);
        else
            cr_assert_null(field, "rule %zu: %s", i, field);
        vector_free(&v);
    }
}

/* The released layout: every field at its place, the checksum over bytes 40 to the end. */
Test(batch, reads_golden_batch)
{
    struct vector v = vector_hex(GOLDEN_BATCH);
    const struct xd_batch_header *h = header_of(&v);
    const char *field = NULL;
    cr_assert_eq(xd_batch_peek(v.data, v.bytes), 141);
    cr_assert_eq(xd_batch_check_header(h, v.bytes, &field), 0, "%s", field);
    cr_assert_eq(xd_batch_check_hash(h), 0);
    cr_assert_eq(xd_batch_hash(h), xd_xxh3(v.data + 40, v.bytes - 40));

    cr_assert_eq(h->batch_bytes, 141u);
    cr_assert_eq(h->format, XD_FORMAT_RECORDS);
    cr_assert_eq(h->codec, XD_CODEC_NONE);
    cr_assert_eq(h->partition, 7u);
    cr_assert_eq(h->producer_id, 0x1122u);
    cr_assert_eq(h->producer_epoch, 3u);
    cr_assert_eq(h->record_count, 2);
    cr_assert_eq(h->channel_epoch, 1);
    cr_assert_eq(h->first_sequence, 41u);
    cr_assert_eq(h->last_sequence, 44u);
    cr_assert_eq(h->previous_sequence, 40u);
    cr_assert_eq(h->first_event_time_us, 1700000000000000);
    cr_assert_eq(h->last_event_time_us, 1700000000250000);
    cr_assert_eq(h->raw_bytes, 21u);

    const uint8_t *body = NULL;
    cr_assert_eq(xd_batch_body(h, NULL, 0, &body), 0);
    cr_assert_eq(body, v.data + XD_BATCH_HEADER_BYTES);
    vector_free(&v);
}

/* A compressed body decodes into scratch, to what was compressed. */
Test(batch, reads_golden_compressed_batch)
{
    struct vector v = vector_hex(GOLDEN_BATCH_LZ4);
    const struct xd_batch_header *h = header_of(&v);
    const char *field = NULL;
    uint8_t scratch[180];
    const uint8_t *body = NULL;
    cr_assert_eq(xd_batch_check_header(h, v.bytes, &field), 0, "%s", field);
    cr_assert_eq(xd_batch_check_hash(h), 0);
    cr_assert_eq(xd_batch_body(h, scratch, sizeof(scratch), &body), 0);
    cr_assert_eq(body, scratch);
    for (size_t i = 0; i < sizeof(scratch); i++)
        cr_assert_eq(scratch[i], "sku 4711 from A-12-03 to DOCK-2;"[i % 32]);
    vector_free(&v);
}

/* A stored batch is the client's bytes with the broker's fields set, a bitmap and padding. */
Test(batch, reads_golden_stored_batch)
{
    struct vector v = vector_hex(GOLDEN_STORED_SUPPRESSED);
    struct vector sent = vector_hex(GOLDEN_BATCH);
    const struct xd_batch_header *h = header_of(&v);
    const char *field = NULL;
    cr_assert_eq(xd_batch_check_stored(h, v.bytes, &field), 0, "%s", field);
    cr_assert_eq(xd_batch_check_hash(h), 0);
    cr_assert_eq(h->base_offset, 1000u);
    cr_assert_eq(h->append_time_us, 1700000001000000);
    cr_assert_eq(h->suppressed_count, 1u);
    cr_assert_eq(xd_batch_bitmap_bytes(h), 1u);
    cr_assert_eq(xd_batch_stride(h), v.bytes);
    cr_assert_eq(memcmp(v.data + 40, sent.data + 40, sent.bytes - 40), 0);
    cr_assert_eq(xd_batch_check_header(h, v.bytes, &field), XD_BATCH_MALFORMED);
    cr_assert_str_eq(field, "base_offset");
    vector_free(&sent);
    vector_free(&v);
}

/* Control entries are read from the log and never taken from a client. */
Test(batch, reads_golden_control_batch)
{
    struct vector v = vector_hex(GOLDEN_STORED_CONTROL);
    const struct xd_batch_header *h = header_of(&v);
    const char *field = NULL;
    cr_assert_eq(xd_batch_check_stored(h, v.bytes, &field), 0, "%s", field);
    cr_assert_eq(xd_batch_check_hash(h), 0);
    cr_assert_eq(h->control_kind, 4);
    cr_assert_eq(h->record_count, 0);
    cr_assert_eq(xd_batch_stride(h), v.bytes);
    cr_assert_eq(xd_batch_check_header(h, v.bytes, &field), XD_BATCH_MALFORMED);
    cr_assert_str_eq(field, "flags");
    vector_free(&v);
}

/* Sealing a filled batch gives the golden bytes, whatever the broker's fields held before. */
Test(batch, seal_gives_golden_bytes)
{
    struct vector golden = vector_hex(GOLDEN_BATCH);
    struct vector v = vector_copy(golden.data, golden.bytes);
    memset(v.data, 0xee, XD_BATCH_HASHED_FROM);
    xd_batch_seal(header_of(&v), (uint32_t)v.bytes);
    cr_assert_eq(memcmp(v.data, golden.data, v.bytes), 0);
    vector_free(&v);
    vector_free(&golden);
}

/* Peek needs eight bytes and believes no size outside the limits. */
Test(batch, peek_judges_magic_and_size)
{
    struct vector v = vector_hex(GOLDEN_BATCH);
    for (size_t bytes = 0; bytes < 8; bytes++) {
        struct vector cut = vector_copy(v.data, bytes);
        cr_assert_eq(xd_batch_peek(cut.data, cut.bytes), XD_PARTIAL);
        vector_free(&cut);
    }
    static const struct {
        uint32_t batch_bytes; /* stated size */
        int expected;         /* answer of peek */
    } sizes[] = {{0, XD_BATCH_MALFORMED},
                 {XD_BATCH_HEADER_BYTES - 1, XD_BATCH_MALFORMED},
                 {XD_BATCH_HEADER_BYTES, (int)XD_BATCH_HEADER_BYTES},
                 {XD_BATCH_BYTES_MAX, (int)XD_BATCH_BYTES_MAX},
                 {XD_BATCH_BYTES_MAX + 1, XD_BATCH_TOO_LARGE},
                 {0xffffffffu, XD_BATCH_TOO_LARGE}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memcpy(v.data + 4, &sizes[i].batch_bytes, 4);
        cr_assert_eq(xd_batch_peek(v.data, 8), sizes[i].expected, "%u", sizes[i].batch_bytes);
    }
    v.data[0] ^= 1;
    cr_assert_eq(xd_batch_peek(v.data, 8), XD_BATCH_MALFORMED);
    vector_free(&v);
}

/* Each rule for a client's batch refuses with its status and the name of its field. */
Test(batch, client_check_names_the_wrong_field)
{
    static const struct rule rules[] = {
        RULE(magic, 0x31424459u, XD_BATCH_MALFORMED, "magic"),
        RULE(batch_bytes, XD_BATCH_HEADER_BYTES - 1, XD_BATCH_MALFORMED, "batch_bytes"),
        RULE(batch_bytes, 142, XD_BATCH_MALFORMED, "batch_bytes"),
        RULE(batch_bytes, XD_BATCH_BYTES_MAX + 1, XD_BATCH_TOO_LARGE, "batch_bytes"),
        RULE(batch_bytes, 140, XD_BATCH_MALFORMED, "raw_bytes"),
        RULE(base_offset, 1, XD_BATCH_MALFORMED, "base_offset"),
        RULE(append_time_us, 1, XD_BATCH_MALFORMED, "append_time_us"),
        RULE(suppressed_count, 1, XD_BATCH_MALFORMED, "suppressed_count"),
        RULE(control_kind, 1, XD_BATCH_MALFORMED, "control_kind"),
        RULE(reserved, 1, XD_BATCH_MALFORMED, "reserved"),
        RULE(format, XD_FORMAT_COUNT, XD_FORMAT_UNKNOWN, "format"),
        RULE(codec, XD_CODEC_COUNT, XD_CODEC_UNKNOWN, "codec"),
        RULE(flags, XD_BATCH_CONTROL, XD_BATCH_MALFORMED, "flags"),
        RULE(flags, XD_BATCH_ATOMIC_PART, XD_BATCH_MALFORMED, "flags"),
        RULE(flags, XD_BATCH_TOMBSTONE, XD_BATCH_MALFORMED, "flags"),
        RULE(flags, XD_BATCH_BROKER_HASHED, XD_BATCH_MALFORMED, "flags"),
        RULE(flags, 0x8000, XD_BATCH_MALFORMED, "flags"),
        RULE(partition, XD_PARTITION_NONE, XD_BATCH_MALFORMED, "partition"),
        RULE(record_count, 0, XD_BATCH_MALFORMED, "record_count"),
        RULE(record_count, 4, 0, NULL),
        RULE(record_count, 5, XD_BATCH_MALFORMED, "record_count"),
        RULE(first_sequence, 40, XD_BATCH_MALFORMED, "previous_sequence"),
        RULE(first_sequence, 0, XD_BATCH_MALFORMED, "previous_sequence"),
        RULE(first_sequence, 45, XD_BATCH_MALFORMED, "last_sequence"),
        RULE(last_sequence, UINT64_MAX, 0, NULL),
        RULE(last_sequence, 40, XD_BATCH_MALFORMED, "last_sequence"),
        RULE(last_sequence, 41, XD_BATCH_MALFORMED, "record_count"),
        RULE(previous_sequence, 0, 0, NULL),
        RULE(previous_sequence, 41, XD_BATCH_MALFORMED, "previous_sequence"),
        RULE(last_event_time_us, 1699999999999999, XD_BATCH_MALFORMED, "last_event_time_us"),
        RULE(first_event_time_us, (uint64_t)INT64_MIN, 0, NULL),
        RULE(raw_bytes, 0, XD_BATCH_MALFORMED, "raw_bytes"),
        RULE(raw_bytes, 22, XD_BATCH_MALFORMED, "raw_bytes"),
        RULE(raw_bytes, 0xffffffffu, XD_BATCH_TOO_LARGE, "raw_bytes"),
        RULE(atomic_part, 1, XD_BATCH_MALFORMED, "atomic_part"),
        RULE(atomic_parts, 1, XD_BATCH_MALFORMED, "atomic_parts"),
        RULE(atomic_id, 1, XD_BATCH_MALFORMED, "atomic_id"),
    };
    expect_rules(GOLDEN_BATCH, xd_batch_check_header, rules, sizeof(rules) / sizeof(rules[0]));
}

/* The same for a stored batch, whose broker fields may be set within bounds. */
Test(batch, stored_check_names_the_wrong_field)
{
    static const struct rule rules[] = {
        RULE(batch_bytes, 145, XD_BATCH_MALFORMED, "batch_bytes"),
        RULE(base_offset, UINT64_MAX - 2, 0, NULL),
        RULE(base_offset, UINT64_MAX - 1, XD_BATCH_MALFORMED, "base_offset"),
        RULE(suppressed_count, 2, 0, NULL),
        RULE(suppressed_count, 3, XD_BATCH_MALFORMED, "suppressed_count"),
        RULE(control_kind, 1, XD_BATCH_MALFORMED, "control_kind"),
        RULE(reserved, 1, XD_BATCH_MALFORMED, "reserved"),
        RULE(flags, XD_BATCH_TOMBSTONE | XD_BATCH_BROKER_HASHED, 0, NULL),
        RULE(flags, XD_BATCH_CONTROL, XD_BATCH_MALFORMED, "control_kind"),
        RULE(flags, 0x0010, XD_BATCH_MALFORMED, "flags"),
        RULE(flags, XD_BATCH_ATOMIC_PART, XD_BATCH_MALFORMED, "atomic_part"),
        RULE(partition, XD_PARTITION_NONE, XD_BATCH_MALFORMED, "partition"),
        RULE(record_count, 0, XD_BATCH_MALFORMED, "record_count"),
        RULE(raw_bytes, 20, XD_BATCH_MALFORMED, "raw_bytes"),
    };
    expect_rules(GOLDEN_STORED_SUPPRESSED, xd_batch_check_stored, rules,
                 sizeof(rules) / sizeof(rules[0]));
}

/* A control entry needs a kind, no partition, and nothing suppressed. */
Test(batch, control_check_names_the_wrong_field)
{
    static const struct rule rules[] = {
        RULE(control_kind, 0, XD_BATCH_MALFORMED, "control_kind"),
        RULE(partition, 7, XD_BATCH_MALFORMED, "partition"),
        RULE(first_sequence, 1, XD_BATCH_MALFORMED, "last_sequence"),
        RULE(suppressed_count, 1, XD_BATCH_MALFORMED, "suppressed_count"),
        RULE(raw_bytes, 1, XD_BATCH_MALFORMED, "raw_bytes"),
        RULE(flags, XD_BATCH_BROKER_HASHED, XD_BATCH_MALFORMED, "control_kind"),
    };
    expect_rules(GOLDEN_STORED_CONTROL, xd_batch_check_stored, rules,
                 sizeof(rules) / sizeof(rules[0]));
}

/* The atomic fields belong together. */
Test(batch, stored_check_takes_atomic_parts)
{
    struct vector v = vector_hex(GOLDEN_STORED_SUPPRESSED);
    struct xd_batch_header *h = header_of(&v);
    const char *field = NULL;
    h->flags = XD_BATCH_ATOMIC_PART;
    h->atomic_part = 2;
    h->atomic_parts = 2;
    h->atomic_id = 99;
    cr_assert_eq(xd_batch_check_stored(h, v.bytes, &field), 0, "%s", field);
    h->atomic_part = 3;
    cr_assert_eq(xd_batch_check_stored(h, v.bytes, &field), XD_BATCH_MALFORMED);
    cr_assert_str_eq(field, "atomic_part");
    vector_free(&v);
}

/* Cut anywhere, a batch is refused without a read behind the cut. */
Test(batch, refuses_truncation_at_every_byte)
{
    static const struct {
        const char *hex;   /* whole batch */
        check_batch check; /* how it is read */
    } inputs[] = {{GOLDEN_BATCH, xd_batch_check_header},
                  {GOLDEN_BATCH_LZ4, xd_batch_check_header},
                  {GOLDEN_STORED_SUPPRESSED, xd_batch_check_stored},
                  {GOLDEN_STORED_CONTROL, xd_batch_check_stored}};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct vector v = vector_hex(inputs[i].hex);
        for (size_t bytes = 0; bytes < v.bytes; bytes++) {
            struct vector cut = vector_copy(v.data, bytes);
            const char *field = NULL;
            cr_assert_eq(inputs[i].check(header_of(&cut), cut.bytes, &field), XD_BATCH_MALFORMED,
                         "input %zu cut at %zu", i, bytes);
            cr_assert_str_eq(field, "batch_bytes");
            vector_free(&cut);
        }
        vector_free(&v);
    }
}

/* Check, checksum, body: what a reader does with bytes from outside. Gives 0 or the refusal. */
static int read_batch(const struct vector *v, check_batch check)
{
    const char *field = NULL;
    const struct xd_batch_header *h = header_of(v);
    int status = check(h, v->bytes, &field);
    if (status < 0) {
        cr_assert_not_null(field);
        return status;
    }
    int hash_status = xd_batch_check_hash(h);

    /* The body must be safe to take even where the checksum is wrong. */
    struct vector scratch = {.data = malloc(h->raw_bytes), .bytes = h->raw_bytes};
    const uint8_t *body = NULL;
    status = xd_batch_body(h, scratch.data, scratch.bytes, &body);
    if (status == 0)
        vector_touch(body, h->raw_bytes);
    else
        cr_assert_null(body);
    vector_free(&scratch);
    return hash_status < 0 ? hash_status : status;
}

/* No flipped bit of a client's batch gets through: header rules or checksum find it. */
Test(batch, detects_every_flipped_bit_of_a_sent_batch)
{
    static const char *const inputs[] = {GOLDEN_BATCH, GOLDEN_BATCH_LZ4};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct vector v = vector_hex(inputs[i]);
        cr_assert_eq(read_batch(&v, xd_batch_check_header), 0);
        for (size_t bit = 0; bit < v.bytes * 8; bit++) {
            vector_flip_bit(&v, bit);
            cr_assert_lt(read_batch(&v, xd_batch_check_header), 0, "input %zu bit %zu", i, bit);
            vector_flip_bit(&v, bit);
        }
        vector_free(&v);
    }
}

/* In a stored batch everything that the client sent stays protected; the broker's fields and the
 * bitmap are covered by the block's chain, and here must merely do no harm. */
Test(batch, detects_every_flipped_bit_under_the_checksum_of_a_stored_batch)
{
    static const char *const inputs[] = {GOLDEN_STORED_SUPPRESSED, GOLDEN_STORED_CONTROL};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct vector v = vector_hex(inputs[i]);
        uint32_t batch_bytes = header_of(&v)->batch_bytes;
        cr_assert_eq(read_batch(&v, xd_batch_check_stored), 0);
        for (size_t bit = 0; bit < v.bytes * 8; bit++) {
            vector_flip_bit(&v, bit);
            int status = read_batch(&v, xd_batch_check_stored);
            size_t byte = bit / 8;
            int protected = byte < 16 || (byte >= XD_BATCH_HASHED_FROM && byte < batch_bytes);
            cr_assert(status < 0 || !protected, "input %zu bit %zu", i, bit);
            vector_flip_bit(&v, bit);
        }
        vector_free(&v);
    }
}

/* The claimed growth is bounded before anything is decoded. */
Test(batch, bounds_the_claimed_growth)
{
    struct vector v = vector_hex(GOLDEN_BATCH_LZ4);
    struct xd_batch_header *h = header_of(&v);
    const char *field = NULL;
    h->raw_bytes = 43 * XD_BATCH_RAW_RATIO_MAX;
    cr_assert_eq(xd_batch_check_header(h, v.bytes, &field), 0);
    h->raw_bytes++;
    cr_assert_eq(xd_batch_check_header(h, v.bytes, &field), XD_BATCH_MALFORMED);
    cr_assert_str_eq(field, "raw_bytes");
    h->raw_bytes = 0;
    cr_assert_eq(xd_batch_check_header(h, v.bytes, &field), XD_BATCH_MALFORMED);
    cr_assert_str_eq(field, "raw_bytes");
    vector_free(&v);
}

/* The largest batch with the largest raw body is good, one raw byte more is not. */
Test(batch, takes_the_largest_sizes)
{
    struct vector golden = vector_hex(GOLDEN_BATCH_LZ4);
    struct vector v = {.data = calloc(1, XD_BATCH_BYTES_MAX), .bytes = XD_BATCH_BYTES_MAX};
    cr_assert_not_null(v.data);
    memcpy(v.data, golden.data, XD_BATCH_HEADER_BYTES);
    struct xd_batch_header *h = header_of(&v);
    const char *field = NULL;
    h->batch_bytes = XD_BATCH_BYTES_MAX;
    h->raw_bytes = XD_BATCH_RAW_BYTES_MAX;
    h->record_count = UINT16_MAX;
    h->last_sequence = h->first_sequence + UINT16_MAX - 1;
    cr_assert_eq(xd_batch_check_header(h, v.bytes, &field), 0, "%s", field);
    xd_batch_seal(h, XD_BATCH_BYTES_MAX);
    cr_assert_eq(xd_batch_check_hash(h), 0);
    h->raw_bytes++;
    cr_assert_eq(xd_batch_check_header(h, v.bytes, &field), XD_BATCH_TOO_LARGE);
    cr_assert_str_eq(field, "raw_bytes");
    vector_free(&v);
    vector_free(&golden);
}

/* The smallest batch is a control entry without a body: a header. */
Test(batch, takes_a_control_entry_without_body)
{
    struct vector golden = vector_hex(GOLDEN_STORED_CONTROL);
    struct vector v = vector_copy(golden.data, XD_BATCH_HEADER_BYTES);
    struct xd_batch_header *h = header_of(&v);
    const char *field = NULL;
    h->batch_bytes = XD_BATCH_HEADER_BYTES;
    h->raw_bytes = 0;
    cr_assert_eq(xd_batch_check_stored(h, v.bytes, &field), 0, "%s", field);
    vector_free(&v);
    vector_free(&golden);
}

/* A body that does not decode to its stated size, a codec from the future and too little scratch
 * are refusals that leave the result alone. */
Test(batch, body_refuses_what_it_cannot_decode)
{
    struct vector v = vector_hex(GOLDEN_BATCH_LZ4);
    struct xd_batch_header *h = header_of(&v);
    uint8_t scratch[256];
    const uint8_t *body = NULL;
    cr_assert_eq(xd_batch_body(h, scratch, 179, &body), XD_BATCH_TOO_LARGE);
    h->raw_bytes = 181;
    cr_assert_eq(xd_batch_body(h, scratch, sizeof(scratch), &body), XD_DECOMPRESS_FAILED);
    h->raw_bytes = 179;
    cr_assert_eq(xd_batch_body(h, scratch, sizeof(scratch), &body), XD_DECOMPRESS_FAILED);
    h->codec = XD_CODEC_COUNT;
    cr_assert_eq(xd_batch_body(h, scratch, sizeof(scratch), &body), XD_CODEC_UNKNOWN);
    cr_assert_null(body);
    vector_free(&v);
}

/* Strides: body, bitmap of one bit a record, padding to 8. */
Test(batch, stride_counts_bitmap_and_padding)
{
    struct xd_batch_header h = {.batch_bytes = 128, .record_count = 9};
    cr_assert_eq(xd_batch_stride(&h), 128u);
    h.suppressed_count = 1;
    cr_assert_eq(xd_batch_bitmap_bytes(&h), 2u);
    cr_assert_eq(xd_batch_stride(&h), 136u);
    h.batch_bytes = 134;
    cr_assert_eq(xd_batch_stride(&h), 136u);
    h.batch_bytes = 135;
    cr_assert_eq(xd_batch_stride(&h), 144u);
    h.record_count = UINT16_MAX;
    cr_assert_eq(xd_batch_bitmap_bytes(&h), 8192u);
}

/* A batch that is smaller than its header cannot be sealed. */
Test(batch, seal_asserts_the_size, .signal = SIGABRT)
{
    struct xd_batch_header h = {0};
    xd_batch_seal(&h, XD_BATCH_HEADER_BYTES - 1);
}

/* The overlay relies on alignment; whoever checks a batch has copied it to aligned memory. */
Test(batch, check_asserts_alignment, .signal = SIGABRT)
{
    uint8_t *memory = malloc(256);
    cr_assert_not_null(memory);
    const char *field;
    (void)xd_batch_check_header((void *)(memory + 1), 200, &field);
}
