/* SPDX-License-Identifier: Apache-2.0
 *
 * Damaged records: whatever bytes come in, decoding refuses them with a field or gives a record
 * that can be read to its last byte. The sanitizers are the judges of "can be read".
 */
#include "wire/record.h"

#include "tests/support/prng.h"
#include "tests/support/record_random.h"
#include "tests/wire/vectors.h"
#include "wire/key64.h"
#include "wire/status.h"

#include <criterion/criterion.h>

#include <string.h>

/* A random record in an allocation of its own size. */
static struct vector random_vector(struct prng *prng)
{
    static struct record_random random;
    _Alignas(8) static uint8_t buffer[4096];
    const char *field = "none";
    record_random_make(prng, &random);
    int stride = xd_record_encode(&random.build, buffer, sizeof(buffer), &field);
    cr_assert_gt(stride, 0, "%s %s", xd_status_name(stride), field);
    return vector_copy(buffer, (size_t)stride);
}

/* Reads every byte that the record points to, as a consumer could. */
static void look_at_everything(const struct xd_record *record)
{
    const uint64_t keys[] = {
        record->stock ? record->stock->sku : 0,
        record->stock ? record->stock->lot : 0,
        record->stock ? record->stock->location_from : 0,
        record->stock ? record->stock->location_to : 0,
        record->document ? record->document->document : 0,
        record->document ? record->document->reference : 0,
        record->hu ? record->hu->hu_from : 0,
        record->hu ? record->hu->hu_to : 0,
    };
    char scratch[XD_KEY_TEXT_BYTES_MAX];
    struct xd_text text;
    for (uint8_t i = 0; i < 8; i++) {
        cr_assert_eq(xd_record_key_text(record, keys[i], (uint8_t)(i + 1), scratch, &text), 0);
        cr_assert_eq(xd_key64(text.data, text.bytes), keys[i]);
    }
    volatile uint64_t sum = 0;
    for (unsigned tag = 1; tag <= 255; tag++) {
        uint32_t cursor = 0;
        while (xd_record_tlv(record, (uint8_t)tag, &cursor, &text) == 0) {
            for (uint32_t i = 0; i < text.bytes; i++)
                sum += (uint8_t)text.data[i];
        }
    }
    for (uint32_t i = 0; i < record->payload_bytes; i++)
        sum += record->payload[i];
}

/* A record cut anywhere is malformed, and nothing behind the cut is read. */
Test(record_damage, refuses_a_record_cut_anywhere)
{
    struct prng prng = prng_seeded(6);
    for (int round = 0; round < 60; round++) {
        struct vector whole = random_vector(&prng);
        for (size_t bytes = 0; bytes < whole.bytes; bytes++) {
            struct vector cut = vector_copy(whole.data, bytes);
            struct xd_record record;
            const char *field = "none";
            cr_assert_eq(xd_record_decode(cut.data, bytes, &record, &field), XD_RECORD_MALFORMED,
                         "round %d, %zu of %zu bytes", round, bytes, whole.bytes);
            cr_assert_str_eq(field, "record_bytes");
            vector_free(&cut);
        }
        vector_free(&whole);
    }
}

/* Any flipped bit is refused with a field, or gives a record that can be looked at safely. */
Test(record_damage, survives_every_flipped_bit)
{
    struct prng prng = prng_seeded(7);
    unsigned refused = 0;
    for (int round = 0; round < 60; round++) {
        struct vector vector = random_vector(&prng);
        for (size_t bit = 0; bit < vector.bytes * 8; bit++) {
            struct xd_record record;
            const char *field = NULL;
            vector_flip_bit(&vector, bit);
            int status = xd_record_decode(vector.data, vector.bytes, &record, &field);
            if (status < 0) {
                cr_assert(status == XD_RECORD_MALFORMED || status == XD_RECORD_TOO_LARGE);
                cr_assert_not_null(field, "bit %zu", bit);
                refused++;
            } else {
                cr_assert_leq((size_t)status, vector.bytes);
                look_at_everything(&record);
            }
            vector_flip_bit(&vector, bit);
        }
        vector_free(&vector);
    }
    cr_expect_gt(refused, 10000u);
}

/* Random bytes behind a core that is nearly plausible: the later checks have their turn too. */
Test(record_damage, survives_random_bytes)
{
    struct prng prng = prng_seeded(8);
    unsigned decoded = 0;
    for (int round = 0; round < 20000; round++) {
        struct vector vector = {.bytes = 64 + prng_below32(&prng, 400) / 8 * 8};
        vector.data = malloc(vector.bytes);
        cr_assert_not_null(vector.data);
        prng_fill(&prng, vector.data, vector.bytes);
        struct xd_record_core core;
        memcpy(&core, vector.data, sizeof(core));
        core.flags &= XD_RECORD_FLAGS_ALL;
        core.record_bytes = (uint32_t)vector.bytes;
        core.tlv_words = (uint8_t)prng_below32(&prng, 6);
        core.present &= (uint8_t)prng_next(&prng) & XD_GROUPS_ALL;
        memcpy(vector.data, &core, sizeof(core));
        struct xd_record record;
        const char *field = NULL;
        int status = xd_record_decode(vector.data, vector.bytes, &record, &field);
        if (status < 0) {
            cr_assert_not_null(field);
        } else {
            look_at_everything(&record);
            decoded++;
        }
        vector_free(&vector);
    }
    cr_expect_gt(decoded, 100u, "only %u of the records decoded", decoded);
}
