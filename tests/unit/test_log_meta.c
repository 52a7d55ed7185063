/* SPDX-License-Identifier: Apache-2.0
 *
 * Meta slots: the rules of one, and the choice between two.
 */
#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "broker/log/meta.h"
#include "broker/log/page.h"
#include "broker/log/segment.h"
#include "tests/support/fenced.h"
#include "wire/status.h"

static _Alignas(4096) struct meta slots[META_SLOTS];

static void make(struct meta *meta, uint64_t generation)
{
    *meta = (struct meta){.generation = generation,
                          .log_uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
                          .shard = 2,
                          .shard_count = 4,
                          .segment_bytes = 4u << 20,
                          .epoch = 9,
                          .epoch_first_index = 30,
                          .epoch_position = 3ull * (4u << 20) + 4096,
                          .epoch_chain = 0x1122334455667788u,
                          .epoch_sequence = 33,
                          .term = 1,
                          .commit_index = 40,
                          .durable_index = 40,
                          .checkpoint_generation = 6,
                          .checkpoint_xxh3 = 0x99aabbccddeeff00u};
    meta_seal(meta);
}

static void make_both(uint64_t newest)
{
    make(&slots[newest % 2], newest);
    make(&slots[(newest + 1) % 2], newest - 1);
}

/* Of two whole slots the higher generation counts, whichever slot it is in. */
Test(log_meta, higher_generation_wins)
{
    const char *why;
    make_both(12);
    cr_assert_eq(meta_choose(slots, &why), 0);
    make_both(13);
    cr_assert_eq(meta_choose(slots, &why), 1);
}

/* A torn slot leaves the other one; every flipped bit tears it. */
Test(log_meta, damaged_slot_loses)
{
    const char *why;
    make_both(12);
    uint8_t *bytes = (uint8_t *)&slots[0];
    for (uint32_t bit = 0; bit < META_SLOT_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(meta_choose(slots, &why), 1, "bit %u", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(meta_choose(slots, &why), 0);
}

/* Without a whole slot there is nothing to believe. */
Test(log_meta, refuses_two_damaged_slots)
{
    const char *why;
    memset(slots, 0, sizeof(slots));
    cr_assert_eq(meta_choose(slots, &why), XD_LOG_CORRUPT);
    cr_assert_str_eq(why, "the page is empty");
}

/* The slot that is not believed is told apart: whole, damaged, or not written yet. */
Test(log_meta, tells_of_the_damaged_slot)
{
    make_both(12);
    cr_assert_null(meta_damaged(slots, 0));
    ((uint8_t *)&slots[1])[77] ^= 4;
    cr_assert_str_eq(meta_damaged(slots, 0), "the page's checksum does not match");
    memset(&slots[1], 0, sizeof(slots[1]));
    cr_assert_str_eq(meta_damaged(slots, 0), "the page is empty");
    make(&slots[1], 10);
    cr_assert_str_eq(meta_damaged(slots, 0), "the page belongs into the other slot");
    page_seal(&slots[1], META_MAGIC, META_VERSION + 1);
    cr_assert_null(meta_damaged(slots, 0), "a newer release's slot is no damage");
    memset(slots, 0, sizeof(slots));
    make(&slots[1], 1);
    cr_assert_null(meta_damaged(slots, 1), "the first write of all leaves slot 0 empty");
}

/* A page that belongs into the other slot was written to the wrong place. */
Test(log_meta, refuses_a_misdirected_page)
{
    const char *why;
    make(&slots[0], 13);
    make(&slots[1], 11);
    cr_assert_eq(meta_choose(slots, &why), 1);
}

/* The newest slot decides about releases: an older release must not go on below it. */
Test(log_meta, newer_release_stops)
{
    const char *why;
    make_both(12);
    page_seal(&slots[0], META_MAGIC, META_VERSION + 1);
    cr_assert_eq(meta_choose(slots, &why), XD_FORMAT_UNKNOWN);
    make_both(12);
    page_seal(&slots[1], META_MAGIC, META_VERSION + 1);
    cr_assert_eq(meta_choose(slots, &why), 0, "an older slot of a newer release is history");
}

/* Two whole slots of different logs are not one meta. */
Test(log_meta, refuses_slots_of_two_logs)
{
    const char *why;
    make_both(12);
    slots[1].log_uuid[0] ^= 1;
    meta_seal(&slots[1]);
    cr_assert_eq(meta_choose(slots, &why), XD_LOG_CORRUPT);
}

/* Fields that no writer leaves are refused although the hash is right, each with its reason. */
Test(log_meta, rules_hold_under_a_valid_hash)
{
#define FIELD(name) offsetof(struct meta, name), sizeof(slots[0].name)
    static const struct {
        size_t at;       /* of the field */
        size_t bytes;    /* */
        uint64_t value;  /* that no writer leaves */
        const char *why; /* a part of what is said */
    } rows[] = {
        {FIELD(generation), 0, "generation 0"},
        {FIELD(shard), 4, "shard count"},
        {FIELD(segment_bytes), SEGMENT_BYTES_MIN - 4096, "segment_bytes"},
        {FIELD(segment_bytes), SEGMENT_BYTES_MAX + 4096, "segment_bytes"},
        {FIELD(segment_bytes), SEGMENT_BYTES_MIN + 512, "segment_bytes"},
        {FIELD(epoch), 0, "starts nowhere"},
        {FIELD(epoch_first_index), 0, "starts nowhere"},
        {FIELD(epoch_sequence), 0, "starts nowhere"},
        {FIELD(epoch_position), 4096, "not a log position"},
        {FIELD(epoch_position), 3ull * (4u << 20) + 512, "not a log position"},
        {FIELD(reserved0), 1, "reserved"},
        {offsetof(struct meta, reserved1) + 3951, 1, 1, "reserved"},
    };
#undef FIELD
    const char *why;
    make(&slots[0], 12);
    cr_assert_eq(meta_check(&slots[0], &why), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make(&slots[0], 12);
        memcpy((uint8_t *)&slots[0] + rows[i].at, &rows[i].value, rows[i].bytes);
        page_seal(&slots[0], META_MAGIC, META_VERSION);
        cr_assert_eq(meta_check(&slots[0], &why), XD_LOG_CORRUPT, "row %zu", i);
        cr_assert_not_null(strstr(why, rows[i].why), "row %zu: %s", i, why);
    }
}

/* The first 144 bytes are those of docs/DISK_FORMAT.md; the rest is zero. */
Test(log_meta, matches_the_golden_vector)
{
    uint8_t golden[256];
    make(&slots[0], 12);
    size_t bytes = fenced_dump(DISK_FORMAT_MD, "meta", golden, sizeof(golden));
    cr_assert_eq(bytes, 144);
    cr_assert_arr_eq((uint8_t *)&slots[0], golden, bytes);
}
