/* SPDX-License-Identifier: Apache-2.0
 *
 * Segment headers and the table of slots.
 */
#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "broker/log/page.h"
#include "broker/log/segment.h"
#include "tests/support/fenced.h"
#include "wire/status.h"

static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static _Alignas(4096) struct segment_header header;

static void make(void)
{
    memset(&header, 0, sizeof(header));
    memcpy(header.log_uuid, uuid, sizeof(uuid));
    header.shard = 2;
    header.segment_no = 3;
    header.segment_bytes = 4u << 20;
    header.epoch = 9;
    header.created_time_us = 1700000000000000;
    segment_header_seal(&header);
}

/* A sealed header is accepted by its log and shard and refused by others, with another status. */
Test(log_segment, header_belongs_to_one_log_and_shard)
{
    const char *why;
    make();
    cr_assert_eq(segment_header_check(&header, uuid, 2, &why), 0);
    cr_assert_eq(segment_header_check(&header, uuid, 3, &why), XD_LOG_FOREIGN);
    uint8_t other[16] = {0};
    cr_assert_eq(segment_header_check(&header, other, 2, &why), XD_LOG_FOREIGN);
}

/* Every flipped bit of the header is damage. */
Test(log_segment, header_shows_every_flipped_bit)
{
    const char *why;
    make();
    uint8_t *bytes = (uint8_t *)&header;
    for (uint32_t bit = 0; bit < SEGMENT_HEADER_BYTES * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(segment_header_check(&header, uuid, 2, &why), XD_LOG_CORRUPT, "bit %u", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

/* What only a newer release writes is told apart; what nobody writes is damage, each with its
 * reason. */
Test(log_segment, header_rules_hold_under_a_valid_hash)
{
#define FIELD(name) offsetof(struct segment_header, name), sizeof(header.name)
    static const struct {
        size_t at;       /* of the field */
        size_t bytes;    /* */
        uint64_t value;  /* that no writer leaves */
        int status;      /* */
        const char *why; /* a part of what is said */
    } rows[] = {
        {FIELD(kind), 2, XD_FORMAT_UNKNOWN, "not a log segment"},
        {FIELD(segment_no), 0, XD_LOG_CORRUPT, "number 0"},
        {FIELD(segment_no), UINT64_MAX / SEGMENT_BYTES_MAX, XD_LOG_CORRUPT, "every log position"},
        {FIELD(segment_bytes), 4096, XD_LOG_CORRUPT, "segment_bytes"},
        {FIELD(segment_bytes), SEGMENT_BYTES_MAX + 4096, XD_LOG_CORRUPT, "segment_bytes"},
        {FIELD(segment_bytes), SEGMENT_BYTES_MIN + 512, XD_LOG_CORRUPT, "segment_bytes"},
        {FIELD(align_bytes), 512, XD_LOG_CORRUPT, "alignment"},
        {offsetof(struct segment_header, reserved) + 4023, 1, 1, XD_LOG_CORRUPT, "reserved"},
    };
#undef FIELD
    const char *why;
    make();
    page_seal(&header, SEGMENT_MAGIC, SEGMENT_VERSION + 1);
    cr_assert_eq(segment_header_check(&header, uuid, 2, &why), XD_FORMAT_UNKNOWN);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        make();
        memcpy((uint8_t *)&header + rows[i].at, &rows[i].value, rows[i].bytes);
        page_seal(&header, SEGMENT_MAGIC, SEGMENT_VERSION);
        cr_assert_eq(segment_header_check(&header, uuid, 2, &why), rows[i].status, "row %zu", i);
        cr_assert_not_null(strstr(why, rows[i].why), "row %zu: %s", i, why);
    }
}

/* The first 72 bytes are those of docs/DISK_FORMAT.md; the rest is zero. */
Test(log_segment, header_matches_the_golden_vector)
{
    uint8_t golden[128];
    make();
    size_t bytes = fenced_dump(DISK_FORMAT_MD, "segment", golden, sizeof(golden));
    cr_assert_eq(bytes, 72);
    cr_assert_arr_eq((uint8_t *)&header, golden, bytes);
}

/* Slots are numbered with two digits at least. */
Test(log_segment, names_slots)
{
    char name[ENV_NAME_BYTES_MAX];
    segment_name(7, name);
    cr_assert_str_eq(name, "wal.07");
    segment_name(123, name);
    cr_assert_str_eq(name, "wal.123");
}

static struct segment slots[6] = {
    {.segment_no = 9, .state = SEGMENT_READY}, {.segment_no = 5, .state = SEGMENT_FULL},
    {.segment_no = 0, .state = SEGMENT_FREE},  {.segment_no = 7, .state = SEGMENT_ACTIVE},
    {.segment_no = 8, .state = SEGMENT_READY}, {.segment_no = 6, .state = SEGMENT_FULL}};

/* The table finds by number, and the lowest number of a kind, wherever it lies. */
Test(log_segment, table_finds_the_lowest_of_a_state)
{
    struct segment_table table = {
        .slots = slots, .slot_count = 6, .slot_max = 6, .segment_bytes = 4u << 20};
    cr_assert_eq(segment_find(&table, 7), &slots[3]);
    cr_assert_null(segment_find(&table, 10));
    cr_assert_eq(segment_oldest(&table), &slots[1]);
    cr_assert_eq(segment_ready(&table), &slots[4]);
    cr_assert_eq(segment_count(&table, SEGMENT_READY), 2);
    cr_assert_eq(segment_count(&table, SEGMENT_PREPARING), 0);
    table.slot_count = 1;
    cr_assert_null(segment_oldest(&table), "READY segments hold nothing to read");
    cr_assert_eq(segment_no_of(&table, 3ull * (4u << 20) + 17), 3);
    cr_assert_eq(segment_at_of(&table, 3ull * (4u << 20) + 17), 17);
}
