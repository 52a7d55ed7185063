/* SPDX-License-Identifier: Apache-2.0
 *
 * key64: packing and unpacking of identifiers.
 *
 * Normal path: the length decides which exact kinds are possible, one pass over the characters
 * decides whether the text is one, and whatever is left is hashed. Two exact kinds never share a
 * length, so no text has two keys:
 *
 *   length 1..10   kind 1 when every character is 0x21..0x5f
 *   length 11..17  kind 2 when every character is a digit
 *   length 18      kind 3 when every character is a digit
 *
 * Failure paths: only keys from outside can be wrong; xd_key64_check and xd_key64_text refuse bits
 * that packing never makes, so a key that passes has exactly one text. Must not repair a text.
 */
#include "wire/key64.h"

#include "wire/checksum.h"
#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <errno.h>
#include <stdbool.h>

#define KIND_SHIFT 60
#define VALUE_MASK ((1ull << KIND_SHIFT) - 1)

/* Kind 1: fields of six bits, the first character in bits 59..54, empty fields zero. */
#define CHARS_MAX 10u
#define CHAR_BITS 6u
#define CHAR_MASK 0x3fu
#define CHAR_BASE 0x20u /* character = field + 0x20; 0x20 itself is "no more" */

/* Kind 2: length - 11 in bits 59..57, the number in bits 56..0. */
#define DIGITS_MIN 11u
#define DIGITS_MAX 17u
#define DIGITS_LENGTH_SHIFT 57
#define DIGITS_VALUE_MASK ((1ull << DIGITS_LENGTH_SHIFT) - 1)

/* Kind 3: the number of a text of this length. */
#define SSCC_BYTES 18u

/* Powers of ten: a number of n digits lies below powers_of_ten[n - DIGITS_MIN]. */
static const uint64_t powers_of_ten[] = {
    100000000000ull,     1000000000000ull,     10000000000000ull,     100000000000000ull,
    1000000000000000ull, 10000000000000000ull, 100000000000000000ull, 1000000000000000000ull,
};
static_assert(sizeof(powers_of_ten) / sizeof(powers_of_ten[0]) == SSCC_BYTES - DIGITS_MIN + 1,
              "11..18 digits");
static_assert(100000000000000000ull <= DIGITS_VALUE_MASK, "17 digits fit 57 bits");
static_assert(1000000000000000000ull <= VALUE_MASK, "18 digits fit 60 bits");
static_assert(DIGITS_MAX - DIGITS_MIN < 7u, "the length fits 3 bits");
static_assert(CHARS_MAX < DIGITS_MIN && DIGITS_MAX < SSCC_BYTES, "kinds do not share a length");

static uint64_t key_make(enum xd_key_kind kind, uint64_t value)
{
    XD_ASSERT(value <= VALUE_MASK);
    return (uint64_t)kind << KIND_SHIFT | value;
}

/* The value of kind 1, or 0 when a character is outside 0x21..0x5f. */
static uint64_t chars_pack(const char *text, size_t bytes)
{
    XD_ASSERT(bytes >= 1 && bytes <= CHARS_MAX);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        unsigned field = (unsigned char)text[i] - CHAR_BASE; /* wraps below 0x20 */
        if (field == 0 || field > CHAR_MASK)
            return 0;
        value = value << CHAR_BITS | field;
    }
    return value << (CHAR_BITS * (CHARS_MAX - bytes));
}

static int chars_unpack(uint64_t value, char *ret_text)
{
    int length = 0;
    for (int shift = KIND_SHIFT - (int)CHAR_BITS; shift >= 0; shift -= (int)CHAR_BITS) {
        unsigned field = (unsigned)(value >> shift) & CHAR_MASK;
        if (field == 0)
            break;
        ret_text[length++] = (char)(field + CHAR_BASE);
    }
    XD_ASSERT(length >= 1 && length <= (int)CHARS_MAX);
    return length;
}

/* The number of a text of 1..18 digits; false when a character is none. */
static bool digits_parse(const char *text, size_t bytes, uint64_t *ret_value)
{
    XD_ASSERT(bytes <= SSCC_BYTES);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        unsigned digit = (unsigned char)text[i] - (unsigned)'0'; /* wraps below '0' */
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

static void digits_print(uint64_t value, size_t bytes, char *ret_text)
{
    for (size_t i = bytes; i > 0; i--) {
        ret_text[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    XD_ASSERT(value == 0);
}

/* Length of the text behind a key of kind 2. */
static size_t digits_length(uint64_t key)
{
    return (size_t)((key & VALUE_MASK) >> DIGITS_LENGTH_SHIFT) + DIGITS_MIN;
}

uint64_t xd_key64(const char *text, size_t bytes)
{
    XD_ASSERT(bytes <= XD_TEXT_BYTES_MAX);
    XD_ASSERT(text || bytes == 0);
    if (bytes == 0)
        return 0;

    uint64_t value = 0;
    if (bytes <= CHARS_MAX) {
        value = chars_pack(text, bytes);
        if (value)
            return key_make(XD_KEY_CHARS, value);
    } else if (bytes <= SSCC_BYTES && digits_parse(text, bytes, &value)) {
        if (bytes == SSCC_BYTES)
            return key_make(XD_KEY_SSCC, value);
        return key_make(XD_KEY_DIGITS,
                        (uint64_t)(bytes - DIGITS_MIN) << DIGITS_LENGTH_SHIFT | value);
    }
    return key_make(XD_KEY_HASHED, xd_xxh3(text, bytes) & VALUE_MASK);
}

int xd_key64_check(uint64_t key)
{
    uint64_t value = key & VALUE_MASK;
    bool valid = false;
    switch (xd_key_kind(key)) {
    case XD_KEY_NONE:
        valid = value == 0;
        break;
    case XD_KEY_CHARS:
        valid = xd_key64_is_chars(key);
        break;
    case XD_KEY_DIGITS:
        valid = digits_length(key) <= DIGITS_MAX &&
                (value & DIGITS_VALUE_MASK) < powers_of_ten[digits_length(key) - DIGITS_MIN];
        break;
    case XD_KEY_SSCC:
        valid = value < powers_of_ten[SSCC_BYTES - DIGITS_MIN];
        break;
    case XD_KEY_HASHED:
        valid = true;
        break;
    case XD_KEY_LEDGER:
    default: /* kinds 4..13 mean nothing yet */
        break;
    }
    return valid ? 0 : XD_FIELD_INVALID;
}

int xd_key64_text(uint64_t key, char *ret_text)
{
    XD_ASSERT(ret_text);
    enum xd_key_kind kind = xd_key_kind(key);
    if (kind == XD_KEY_HASHED || kind == XD_KEY_LEDGER)
        return -ENOENT;
    int status = xd_key64_check(key);
    if (status < 0)
        return status;
    if (kind == XD_KEY_NONE)
        return 0;
    if (kind == XD_KEY_CHARS)
        return chars_unpack(key & VALUE_MASK, ret_text);

    size_t length = kind == XD_KEY_SSCC ? SSCC_BYTES : digits_length(key);
    digits_print(key & (kind == XD_KEY_SSCC ? VALUE_MASK : DIGITS_VALUE_MASK), length, ret_text);
    return (int)length;
}

int xd_gtin14(const char *text, size_t bytes, char *ret_text)
{
    enum { GTIN_BYTES = 14 };
    XD_ASSERT(text || bytes == 0);
    XD_ASSERT(ret_text);
    if (bytes != 8 && bytes != 12 && bytes != 13)
        return 0;
    uint64_t number;
    if (!digits_parse(text, bytes, &number))
        return 0;

    /* GS1 mod-10: from the right the check digit weighs 1, its neighbour 3, and so on. */
    unsigned sum = 0;
    for (size_t i = 0; i < bytes; i++)
        sum += (unsigned)(text[bytes - 1 - i] - '0') * (i % 2 == 0 ? 1u : 3u);
    if (sum % 10 != 0)
        return 0;
    digits_print(number, GTIN_BYTES, ret_text);
    return GTIN_BYTES;
}
