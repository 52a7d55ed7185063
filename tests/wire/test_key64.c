/* SPDX-License-Identifier: Apache-2.0
 *
 * key64: equal texts give equal keys, exact keys give their text back, other bits are refused.
 */
#include "wire/key64.h"

#include "tests/support/fenced.h"
#include "tests/support/prng.h"
#include "wire/limits.h"
#include "wire/status.h"

#include <criterion/criterion.h>

#include <errno.h>
#include <string.h>

static uint64_t key_of(const char *text)
{
    return xd_key64(text, strlen(text));
}

/* A text that has an exact key must come back byte for byte; hence no two texts share a key. */
static void expect_round_trip(const char *text, size_t bytes)
{
    char back[XD_KEY_TEXT_BYTES_MAX];
    uint64_t key = xd_key64(text, bytes);
    cr_assert_eq(xd_key64_check(key), 0, "%.*s", (int)bytes, text);
    cr_assert_eq(xd_key64_text(key, back), (int)bytes, "%.*s", (int)bytes, text);
    cr_assert_eq(memcmp(back, text, bytes), 0, "%.*s", (int)bytes, text);
}

/* The keys of the document are the keys of the code. */
Test(key64, equals_the_golden_vectors)
{
    struct fenced fenced;
    unsigned count = 0;
    cr_assert(fenced_open(&fenced, PROTOCOL_MD));
    for (const char *line = fenced_next(&fenced, "key64"); line;
         line = fenced_next(&fenced, "key64")) {
        const char *first = strchr(line, '"');
        const char *last = strrchr(line, '"');
        unsigned long long expected;
        cr_assert(first && last && last > first, "%s", line);
        cr_assert_eq(sscanf(last, "\" = %llx", &expected), 1, "%s", line);
        cr_expect_eq(xd_key64(first + 1, (size_t)(last - first - 1)), expected, "%s", line);
        count++;
    }
    cr_assert_geq(count, 30u, "only %u vectors found", count);
}

/* The length and the characters decide the kind; digits of up to ten are characters. */
Test(key64, chooses_the_kind_by_length_and_characters)
{
    cr_expect_eq(key_of(""), 0u);
    cr_expect_eq(xd_key_kind(key_of("A-12-03")), XD_KEY_CHARS);
    cr_expect_eq(xd_key_kind(key_of("1234567890")), XD_KEY_CHARS);
    cr_expect_eq(xd_key_kind(key_of("ABCDEFGHIJ")), XD_KEY_CHARS);
    cr_expect_eq(xd_key_kind(key_of("ABCDEFGHIJK")), XD_KEY_HASHED);
    cr_expect_eq(xd_key_kind(key_of("12345678901")), XD_KEY_DIGITS);
    cr_expect_eq(xd_key_kind(key_of("12345678901234567")), XD_KEY_DIGITS);
    cr_expect_eq(xd_key_kind(key_of("1234567890123456A")), XD_KEY_HASHED);
    cr_expect_eq(xd_key_kind(key_of("123456789012345678")), XD_KEY_SSCC);
    cr_expect_eq(xd_key_kind(key_of("12345678901234567 ")), XD_KEY_HASHED);
    cr_expect_eq(xd_key_kind(key_of("1234567890123456789")), XD_KEY_HASHED);
}

/* Bin prefixes are key prefixes, so a zone filter is one mask and one compare. */
Test(key64, left_justifies_characters)
{
    uint64_t zone = key_of("A-12");
    uint64_t mask = ~0ull << (60 - 4 * 6);
    cr_expect_eq(key_of("A-12-03") & mask, zone);
    cr_expect_eq(key_of("A-12999999") & mask, zone);
    cr_expect_neq(key_of("A-13-03") & mask, zone);
}

/* Every text of one to three characters of the set comes back: no two of 254,079 share a key. */
Test(key64, gives_every_short_text_back)
{
    char text[3];
    for (int a = 0x21; a <= 0x5f; a++) {
        text[0] = (char)a;
        expect_round_trip(text, 1);
        for (int b = 0x21; b <= 0x5f; b++) {
            text[1] = (char)b;
            expect_round_trip(text, 2);
            for (int c = 0x21; c <= 0x5f; c++) {
                text[2] = (char)c;
                expect_round_trip(text, 3);
            }
        }
    }
}

/* Random texts of every exact length come back, leading zeros included. */
Test(key64, gives_random_exact_texts_back)
{
    struct prng prng = prng_seeded(1);
    char text[XD_KEY_TEXT_BYTES_MAX];
    for (int round = 0; round < 20000; round++) {
        size_t bytes = 1 + prng_below32(&prng, XD_KEY_TEXT_BYTES_MAX);
        for (size_t i = 0; i < bytes; i++)
            text[i] = (char)(bytes <= 10 ? 0x21 + prng_below32(&prng, 63)
                                         : '0' + prng_below32(&prng, 1 + prng_below32(&prng, 10)));
        expect_round_trip(text, bytes);
    }
}

/* One character outside 0x21..0x5f, at any place, makes a text hashed; nothing is repaired. */
Test(key64, hashes_texts_with_other_characters)
{
    for (int c = 0; c <= 0xff; c++) {
        bool in_set = c >= 0x21 && c <= 0x5f;
        for (size_t at = 0; at < 10; at++) {
            char text[] = "ABCDEFGHIJ";
            text[at] = (char)c;
            enum xd_key_kind kind = xd_key_kind(xd_key64(text, 10));
            cr_assert_eq(kind, in_set ? XD_KEY_CHARS : XD_KEY_HASHED, "0x%02x at %zu", c, at);
        }
    }
    for (size_t bytes = 11; bytes <= 18; bytes++) {
        for (size_t at = 0; at < bytes; at++) {
            char text[] = "012345678901234567";
            text[at] = '/';
            cr_assert_eq(xd_key_kind(xd_key64(text, bytes)), XD_KEY_HASHED, "%s", text);
            text[at] = ':';
            cr_assert_eq(xd_key_kind(xd_key64(text, bytes)), XD_KEY_HASHED, "%s", text);
        }
    }
    cr_expect_neq(key_of("sku-4711"), key_of("SKU-4711"));
    cr_expect_neq(key_of("A12"), key_of("A12 "));
    cr_expect_neq(key_of("A12"), key_of("A 12"));
}

/* The longest text a TLV can carry is packed, and a hashed key does not give its text back. */
Test(key64, hashes_the_longest_text)
{
    char text[XD_TEXT_BYTES_MAX];
    char scratch[XD_KEY_TEXT_BYTES_MAX] = "untouched";
    memset(text, '7', sizeof(text));
    uint64_t key = xd_key64(text, sizeof(text));
    cr_expect_eq(xd_key_kind(key), XD_KEY_HASHED);
    cr_expect_eq(xd_key64_check(key), 0);
    cr_expect_eq(xd_key64_text(key, scratch), -ENOENT);
    cr_expect_str_eq(scratch, "untouched");
}

static void expect_refused(uint64_t key, int text_status)
{
    char scratch[XD_KEY_TEXT_BYTES_MAX] = "untouched";
    cr_expect_eq(xd_key64_check(key), XD_FIELD_INVALID, "%016llx", (unsigned long long)key);
    cr_expect_eq(xd_key64_text(key, scratch), text_status, "%016llx", (unsigned long long)key);
    cr_expect_str_eq(scratch, "untouched");
}

/* Bits that packing never makes are refused, so a key has one text. */
Test(key64, refuses_bits_that_packing_never_makes)
{
    const uint64_t top = 1ull << 60;
    expect_refused(1, XD_FIELD_INVALID);                      /* kind 0 with a value */
    expect_refused(XD_KEY_CHARS * top, XD_FIELD_INVALID);     /* no character */
    expect_refused(XD_KEY_CHARS * top | 1, XD_FIELD_INVALID); /* nine empty fields first */
    expect_refused(key_of("AB") & ~(0x3full << 54), XD_FIELD_INVALID);
    expect_refused(key_of("ABC") & ~(0x3full << 48), XD_FIELD_INVALID);
    expect_refused(XD_KEY_DIGITS * top | 7ull << 57, XD_FIELD_INVALID); /* 18 digits have kind 3 */
    expect_refused(XD_KEY_DIGITS * top | 100000000000ull, XD_FIELD_INVALID); /* 12 digits as 11 */
    expect_refused(XD_KEY_DIGITS * top | 6ull << 57 | 100000000000000000ull, XD_FIELD_INVALID);
    expect_refused(XD_KEY_SSCC * top | 1000000000000000000ull, XD_FIELD_INVALID);
    for (uint64_t kind = 4; kind < XD_KEY_LEDGER; kind++)
        expect_refused(kind * top | 1, XD_FIELD_INVALID);
    expect_refused(XD_KEY_LEDGER * top | 1, -ENOENT);
}

/* Any 64 bits are either refused, hashed, or the key of exactly the text that they give. */
Test(key64, any_bits_are_refused_or_pack_again)
{
    struct prng prng = prng_seeded(2);
    unsigned exact = 0;
    for (int round = 0; round < 200000; round++) {
        uint64_t value = prng_next(&prng) & prng_next(&prng) & ((1ull << 60) - 1);
        unsigned cut = prng_below32(&prng, 60); /* many trailing zeros, as short texts have */
        uint64_t key = (uint64_t)prng_below32(&prng, 4) << 60 | value >> cut << cut;
        char text[XD_KEY_TEXT_BYTES_MAX];
        int length = xd_key64_text(key, text);
        cr_assert_eq(length < 0, xd_key64_check(key) < 0);
        if (length < 0)
            continue;
        cr_assert_eq(xd_key64(text, (size_t)length), key, "%016llx", (unsigned long long)key);
        exact++;
    }
    cr_expect_gt(exact, 10000u, "the sample holds only %u exact keys", exact);
}

/* GTIN-8, -12 and -13 with a true check digit are padded to 14 digits. */
Test(key64, pads_trade_item_numbers_to_14_digits)
{
    static const struct {
        const char *text;
        const char *padded;
    } rows[] = {
        {"96385074", "00000096385074"},
        {"036000291452", "00036000291452"},
        {"4006381333931", "04006381333931"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char padded[15] = {0};
        cr_expect_eq(xd_gtin14(rows[i].text, strlen(rows[i].text), padded), 14);
        cr_expect_str_eq(padded, rows[i].padded);
    }
}

/* What is not such a number stays as it is: wrong check digit, other length, other characters. */
Test(key64, leaves_other_numbers_unpadded)
{
    static const char *const texts[] = {
        "9521141123452",  "96385073",      "",         "4711",
        "04006381333931", "400638133393A", "A6385074", "963850745",
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char padded[15] = "untouched";
        cr_expect_eq(xd_gtin14(texts[i], strlen(texts[i]), padded), 0, "%s", texts[i]);
        cr_expect_str_eq(padded, "untouched", "%s", texts[i]);
    }
}

/* A GTIN-13 has one wrong check digit for nine of ten last digits. */
Test(key64, accepts_one_check_digit_of_ten)
{
    char text[] = "4006381333930";
    char padded[14];
    unsigned accepted = 0;
    for (char digit = '0'; digit <= '9'; digit++) {
        text[12] = digit;
        accepted += xd_gtin14(text, 13, padded) == 14;
    }
    cr_expect_eq(accepted, 1u);
}
