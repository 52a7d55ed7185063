/* SPDX-License-Identifier: Apache-2.0
 *
 * XXH3-64 through the dispatch: known values, seeds, pieces.
 *
 * The values were taken with the scalar code of xxHash 0.8.1, so they also show that the vector
 * units that the dispatch chooses agree with it.
 */
#include "wire/checksum.h"

#include <string.h>

#include <criterion/criterion.h>

#include "tests/wire/vectors.h"

#define SAMPLE_BYTES 4096u

/* The sample is a sawtooth that does not repeat within a stripe. */
static void fill_sample(uint8_t *sample)
{
    for (uint32_t i = 0; i < SAMPLE_BYTES; i++)
        sample[i] = (uint8_t)(i * 131u + (i >> 8));
}

/* What a hash of the first bytes of the sample is. */
struct known {
    size_t bytes;   /* length of the prefix */
    uint64_t seed;  /* 0 or another */
    uint64_t value; /* XXH3-64 */
};

/* One length on each side of every branch of the algorithm: 16, 128, 240, a block, several. */
static const struct known knowns[] = {
    {1, 0, 0xc44bdff4074eecdbu},    {1, 0x9e3779b97f4a7c15u, 0x062b185e4e01441au},
    {3, 0, 0x6811538b444fc6dcu},    {3, 0x9e3779b97f4a7c15u, 0xf4a795d2019d121au},
    {4, 0, 0xed503340c589a28bu},    {4, 0x9e3779b97f4a7c15u, 0xf5aee1c988bf33e7u},
    {8, 0, 0xe5b43ab074c9c13bu},    {8, 0x9e3779b97f4a7c15u, 0xa1c0d07ae3b3cad9u},
    {9, 0, 0x089b8d25b20fb877u},    {9, 0x9e3779b97f4a7c15u, 0x474718b6a471d8b0u},
    {16, 0, 0x0a0ec5ae8679cb7fu},   {16, 0x9e3779b97f4a7c15u, 0x95d332b0c4696f0cu},
    {17, 0, 0x57c52d21ce492c1eu},   {17, 0x9e3779b97f4a7c15u, 0x7f95c4dd352ada88u},
    {128, 0, 0x696069c4f1e6a91au},  {128, 0x9e3779b97f4a7c15u, 0x4ecdfd294e836728u},
    {129, 0, 0xb1ada52285757bebu},  {129, 0x9e3779b97f4a7c15u, 0x0a55a85c72305e9eu},
    {240, 0, 0xb80284837259eee4u},  {240, 0x9e3779b97f4a7c15u, 0x26b5e6752d334ea4u},
    {241, 0, 0x44dbd3180a664e27u},  {241, 0x9e3779b97f4a7c15u, 0x4057dee0902b483bu},
    {512, 0, 0xa101ec38f0b35779u},  {512, 0x9e3779b97f4a7c15u, 0xfcc146f229c678c9u},
    {1024, 0, 0xc6c700c409d40c4bu}, {1024, 0x9e3779b97f4a7c15u, 0x933498136f990ce8u},
    {1025, 0, 0x3ef78c3256f23450u}, {1025, 0x9e3779b97f4a7c15u, 0xddd7a4f1c18490c4u},
    {4096, 0, 0x1e0a232f4ec7fa9eu}, {4096, 0x9e3779b97f4a7c15u, 0x343aec18c54644c8u},
};

/* The published values for the empty and the shortest inputs. */
Test(checksum, gives_published_values)
{
    cr_assert_eq(xd_xxh3(NULL, 0), 0x2d06800538d394c2u);
    cr_assert_eq(xd_xxh3("", 0), 0x2d06800538d394c2u);
    cr_assert_eq(xd_xxh3("a", 1), 0xe6c632b61e964e1fu);
    cr_assert_eq(xd_xxh3("abc", 3), 0x78af5f94892f3950u);
}

/* Every branch of the algorithm gives the reference value, with and without a seed. */
Test(checksum, gives_reference_values_for_all_length_classes)
{
    uint8_t sample[SAMPLE_BYTES];
    fill_sample(sample);
    for (size_t i = 0; i < sizeof(knowns) / sizeof(knowns[0]); i++) {
        uint64_t value = xd_xxh3_seeded(sample, knowns[i].bytes, knowns[i].seed);
        cr_assert_eq(value, knowns[i].value, "%zu bytes", knowns[i].bytes);
        if (knowns[i].seed == 0)
            cr_assert_eq(xd_xxh3(sample, knowns[i].bytes), value, "%zu bytes", knowns[i].bytes);
    }
}

/* The start of the data may have any alignment. */
Test(checksum, does_not_depend_on_alignment)
{
    uint8_t sample[SAMPLE_BYTES];
    fill_sample(sample);
    uint64_t value = xd_xxh3(sample, 1000);
    for (size_t shift = 1; shift < 64; shift++) {
        uint8_t *moved = malloc(shift + 1000);
        cr_assert_not_null(moved);
        memcpy(moved + shift, sample, 1000);
        cr_assert_eq(xd_xxh3(moved + shift, 1000), value, "shift %zu", shift);
        free(moved);
    }
}

/* Pieces of any size, empty ones included, give the hash of the whole. */
Test(checksum, pieces_equal_the_whole)
{
    static const size_t pieces[] = {1, 7, 8, 63, 64, 255, 256, 257, 1024, 4000};
    uint8_t sample[SAMPLE_BYTES];
    fill_sample(sample);
    for (uint64_t seed = 0; seed < 3; seed++) {
        for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
            struct xd_xxh3_state state;
            xd_xxh3_begin(&state, seed);
            for (size_t at = 0; at < SAMPLE_BYTES;) {
                size_t left = SAMPLE_BYTES - at;
                size_t take = left < pieces[i] ? left : pieces[i];
                struct vector piece = vector_copy(sample + at, take);
                xd_xxh3_add(&state, piece.data, piece.bytes);
                xd_xxh3_add(&state, NULL, 0);
                vector_free(&piece);
                at += take;
            }
            cr_assert_eq(xd_xxh3_end(&state), xd_xxh3_seeded(sample, SAMPLE_BYTES, seed),
                         "pieces of %zu, seed %llu", pieces[i], (unsigned long long)seed);
        }
    }
}

/* End may be asked in between; it does not disturb what follows. */
Test(checksum, end_leaves_the_state_usable)
{
    uint8_t sample[SAMPLE_BYTES];
    fill_sample(sample);
    struct xd_xxh3_state state;
    xd_xxh3_begin(&state, 5);
    for (size_t at = 0; at < SAMPLE_BYTES; at += 512) {
        cr_assert_eq(xd_xxh3_end(&state), xd_xxh3_seeded(sample, at, 5), "at %zu", at);
        xd_xxh3_add(&state, sample + at, 512);
    }
    cr_assert_eq(xd_xxh3_end(&state), xd_xxh3_seeded(sample, SAMPLE_BYTES, 5));
}

/* The library keeps a secret derived from the seed and skips deriving it when the memory already
 * holds that seed. Begin must not rely on memory that has been used for something else since: here
 * accumulators and secret (the first 256 bytes) are gone and the seed is still there. */
Test(checksum, begin_does_not_rely_on_old_memory)
{
    const uint64_t seed = 0x5a5a5a5a5a5a5a5au;
    uint8_t sample[SAMPLE_BYTES];
    fill_sample(sample);
    struct xd_xxh3_state state;
    xd_xxh3_begin(&state, seed);
    memset(state.opaque, 0, 256);
    xd_xxh3_begin(&state, seed);
    xd_xxh3_add(&state, sample, SAMPLE_BYTES);
    cr_assert_eq(xd_xxh3_end(&state), xd_xxh3_seeded(sample, SAMPLE_BYTES, seed));
}

/* One flipped bit anywhere changes the hash. */
Test(checksum, notices_every_flipped_bit)
{
    uint8_t sample[SAMPLE_BYTES];
    fill_sample(sample);
    struct vector data = vector_copy(sample, 300);
    uint64_t value = xd_xxh3(data.data, data.bytes);
    for (size_t bit = 0; bit < data.bytes * 8; bit++) {
        vector_flip_bit(&data, bit);
        cr_assert_neq(xd_xxh3(data.data, data.bytes), value, "bit %zu", bit);
        vector_flip_bit(&data, bit);
    }
    vector_free(&data);
}
