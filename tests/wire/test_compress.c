/* SPDX-License-Identifier: Apache-2.0
 *
 * LZ4 with bounded output: gives up when it does not pay, decodes exactly or not at all.
 */
#include "wire/compress.h"

#include <string.h>

#include <criterion/criterion.h>

#include "tests/wire/vectors.h"
#include "wire/limits.h"
#include "wire/status.h"

#define GUARD_BYTES 64u
#define GUARD_BYTE 0xa5u

/* Text that compresses about four times. */
static void fill_text(uint8_t *out, size_t bytes)
{
    static const char phrase[] = "{\"sku\":\"4711\",\"from\":\"A-12-03\",\"to\":\"DOCK-2\",\"n\":";
    for (size_t i = 0; i < bytes; i++) {
        int c = phrase[i % (sizeof(phrase) - 1)];
        if (i % 61 == 0)
            c = 'a' + (int)(i / 61 % 26);
        out[i] = (uint8_t)c;
    }
}

/* Bytes that do not compress. */
static void fill_noise(uint8_t *out, size_t bytes)
{
    uint64_t x = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < bytes; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        out[i] = (uint8_t)(x >> 32);
    }
}

/* Decodes into memory with a guard behind it; the guard must survive whatever the input was. LZ4 is
 * not built with the sanitizer, so the guard is what shows a write beyond the end. */
static int decode_guarded(const uint8_t *data, uint32_t bytes, uint8_t *out, uint32_t raw_bytes)
{
    memset(out + raw_bytes, GUARD_BYTE, GUARD_BYTES);
    int status = xd_decompress(data, bytes, out, raw_bytes);
    for (uint32_t i = 0; i < GUARD_BYTES; i++)
        cr_assert_eq(out[raw_bytes + i], GUARD_BYTE, "wrote beyond the end");
    return status;
}

/* What was compressed decodes to the same bytes, at all sizes up to the limit. */
Test(compress, round_trips)
{
    static const uint32_t sizes[] = {1, 12, 13, 100, 4096, 65536, XD_BATCH_RAW_BYTES_MAX};
    uint8_t *raw = malloc(XD_BATCH_RAW_BYTES_MAX);
    uint8_t *out = malloc(XD_BATCH_RAW_BYTES_MAX + GUARD_BYTES);
    uint8_t *packed = malloc(XD_BATCH_RAW_BYTES_MAX);
    cr_assert(raw != NULL && out != NULL && packed != NULL);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        fill_text(raw, sizes[i]);
        int bytes = xd_compress(raw, sizes[i], packed, sizes[i] + 16);
        cr_assert_gt(bytes, 0, "%u bytes", sizes[i]);
        cr_assert_eq(decode_guarded(packed, (uint32_t)bytes, out, sizes[i]), 0);
        cr_assert_eq(memcmp(raw, out, sizes[i]), 0, "%u bytes", sizes[i]);
        if (sizes[i] >= 4096)
            cr_assert_lt((uint32_t)bytes, sizes[i] / 2, "%u bytes gave %d", sizes[i], bytes);
    }
    free(packed);
    free(out);
    free(raw);
}

/* Noise does not get smaller; the caller is told to send it raw. */
Test(compress, gives_up_on_noise)
{
    uint8_t raw[4096], packed[4096];
    fill_noise(raw, sizeof(raw));
    cr_assert_eq(xd_compress(raw, sizeof(raw), packed, sizeof(raw)), 0);
}

/* The limit is exclusive: exactly bytes_max is not fewer than bytes_max. */
Test(compress, limit_is_exclusive)
{
    uint8_t raw[2048], packed[2048 + GUARD_BYTES];
    fill_text(raw, sizeof(raw));
    int bytes = xd_compress(raw, sizeof(raw), packed, sizeof(raw));
    cr_assert_gt(bytes, 0);
    cr_assert_eq(xd_compress(raw, sizeof(raw), packed, (uint32_t)bytes + 1), bytes);
    memset(packed + bytes - 1, GUARD_BYTE, GUARD_BYTES);
    cr_assert_eq(xd_compress(raw, sizeof(raw), packed, (uint32_t)bytes), 0);
    for (uint32_t i = 0; i < GUARD_BYTES; i++)
        cr_assert_eq(packed[(uint32_t)bytes - 1 + i], GUARD_BYTE, "wrote beyond the limit");
    cr_assert_eq(xd_compress(raw, 0, packed, 2), 1);
    cr_assert_eq(xd_compress(raw, sizeof(raw), packed, 1), 0);
    cr_assert_eq(xd_compress(raw, sizeof(raw), packed, 0), 0);
}

/* The stated size must be the real one: neither fewer nor more bytes are accepted. */
Test(compress, refuses_wrong_raw_size)
{
    uint8_t raw[1000], packed[1000], out[1100 + GUARD_BYTES];
    fill_text(raw, sizeof(raw));
    int bytes = xd_compress(raw, sizeof(raw), packed, sizeof(raw));
    cr_assert_gt(bytes, 0);
    for (uint32_t raw_bytes = 0; raw_bytes <= 1100; raw_bytes++) {
        int expected = raw_bytes == sizeof(raw) ? 0 : XD_DECOMPRESS_FAILED;
        cr_assert_eq(decode_guarded(packed, (uint32_t)bytes, out, raw_bytes), expected,
                     "claimed %u", raw_bytes);
    }
}

/* Input cut anywhere is refused, and never read beyond its end. */
Test(compress, refuses_truncated_input)
{
    uint8_t raw[1000], packed[1000], out[1000 + GUARD_BYTES];
    fill_text(raw, sizeof(raw));
    int bytes = xd_compress(raw, sizeof(raw), packed, sizeof(raw));
    for (int cut = 0; cut < bytes; cut++)
        cr_assert_eq(decode_guarded(packed, (uint32_t)cut, out, sizeof(raw)), XD_DECOMPRESS_FAILED,
                     "cut at %d", cut);
}

/* Damaged input is refused or gives other bytes, but never writes past raw_bytes. */
Test(compress, survives_every_flipped_bit)
{
    uint8_t raw[1000], packed[1000], out[1000 + GUARD_BYTES];
    fill_text(raw, sizeof(raw));
    int bytes = xd_compress(raw, sizeof(raw), packed, sizeof(raw));
    struct vector damaged = vector_copy(packed, (size_t)bytes);
    unsigned refused = 0;
    for (size_t bit = 0; bit < damaged.bytes * 8; bit++) {
        vector_flip_bit(&damaged, bit);
        int status = decode_guarded(damaged.data, (uint32_t)damaged.bytes, out, sizeof(raw));
        cr_assert(status == 0 || status == XD_DECOMPRESS_FAILED);
        refused += status != 0;
        vector_flip_bit(&damaged, bit);
    }
    cr_assert_gt(refused, 0u);
    vector_free(&damaged);
}

/* A few bytes that claim to be a megabyte and more are refused before or while decoding. */
Test(compress, refuses_bombs)
{
    /* One literal, then a match of offset 1 whose length runs on: 255 bytes of output per byte. */
    uint8_t bomb[5000];
    memset(bomb, 0xff, sizeof(bomb));
    bomb[0] = 0x1f;
    bomb[1] = 'x';
    bomb[2] = 1;
    bomb[3] = 0;
    uint8_t *out = malloc(XD_BATCH_RAW_BYTES_MAX + 1 + GUARD_BYTES);
    cr_assert_not_null(out);
    cr_assert_eq(decode_guarded(bomb, sizeof(bomb), out, XD_BATCH_RAW_BYTES_MAX),
                 XD_DECOMPRESS_FAILED);
    cr_assert_eq(decode_guarded(bomb, sizeof(bomb), out, 100), XD_DECOMPRESS_FAILED);
    cr_assert_eq(decode_guarded(bomb, sizeof(bomb), out, XD_BATCH_RAW_BYTES_MAX + 1),
                 XD_DECOMPRESS_FAILED);
    free(out);
}

/* A size above the limits is refused before LZ4 sees it: its sizes are signed. */
Test(compress, refuses_sizes_above_the_limits)
{
    uint8_t in[16] = {0}, out[16];
    cr_assert_eq(xd_decompress(in, XD_BATCH_BYTES_MAX + 1, out, 16), XD_DECOMPRESS_FAILED);
    cr_assert_eq(xd_decompress(in, 0xffffffffu, out, 16), XD_DECOMPRESS_FAILED);
    cr_assert_eq(xd_decompress(in, 16, out, 0xffffffffu), XD_DECOMPRESS_FAILED);
}

/* Input of exactly the largest size is taken: one run of literals, written by hand. */
Test(compress, takes_input_of_the_largest_size)
{
    /* Token, then 255 for every 255 literals above 15, then the rest, then the literals. */
    uint32_t literals = XD_BATCH_BYTES_MAX - 1;
    while (1 + (literals - 15) / 255 + 1 + literals > XD_BATCH_BYTES_MAX)
        literals--;
    uint32_t length_bytes = (literals - 15) / 255 + 1;
    cr_assert_eq(1 + length_bytes + literals, XD_BATCH_BYTES_MAX);

    uint8_t *in = malloc(XD_BATCH_BYTES_MAX);
    uint8_t *out = malloc(literals + GUARD_BYTES);
    cr_assert(in != NULL && out != NULL);
    in[0] = 0xf0;
    memset(in + 1, 0xff, length_bytes);
    in[length_bytes] = (uint8_t)((literals - 15) % 255);
    fill_noise(in + 1 + length_bytes, literals);
    cr_assert_eq(decode_guarded(in, XD_BATCH_BYTES_MAX, out, literals), 0);
    cr_assert_eq(memcmp(out, in + 1 + length_bytes, literals), 0);
    free(out);
    free(in);
}
