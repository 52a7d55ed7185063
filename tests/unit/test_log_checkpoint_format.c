/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoint headers and bodies.
 */
#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "broker/io/env.h"
#include "broker/log/checkpoint_format.h"
#include "broker/log/page.h"
#include "broker/log/segment.h"
#include "tests/support/fenced.h"
#include "wire/bytes.h"
#include "wire/status.h"

#define STATE_BYTES 5000u
#define LOCAL_BYTES 300u

static _Alignas(4096) struct checkpoint_header header;
static _Alignas(4096) uint8_t body[3 * 4096];
static const uint8_t uuid[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static void make(void)
{
    memset(body, 0xee, sizeof(body));
    for (uint32_t i = 0; i < STATE_BYTES; i++)
        body[i] = (uint8_t)(i * 3);
    for (uint32_t i = 0; i < LOCAL_BYTES; i++)
        body[8192 + i] = (uint8_t)(i * 5);
    header = (struct checkpoint_header){.shard = 2,
                                        .generation = 6,
                                        .epoch = 9,
                                        .position = 3ull * (4u << 20) + 12288,
                                        .index = 40,
                                        .term = 1,
                                        .chain = 0x1122334455667788u,
                                        .block_sequence = 43,
                                        .state_bytes = STATE_BYTES,
                                        .local_bytes = LOCAL_BYTES,
                                        .segment_bytes = 4u << 20,
                                        .created_time_us = 1700000000000000};
    memcpy(header.log_uuid, uuid, sizeof(uuid));
    checkpoint_seal(&header, body);
}

/* The parts start on pages, and the padding between them is zero. */
Test(log_checkpoint_format, lays_the_body_out_in_pages)
{
    make();
    cr_assert_eq(checkpoint_local_at(STATE_BYTES), 8192);
    cr_assert_eq(checkpoint_body_bytes(STATE_BYTES, LOCAL_BYTES), 3 * 4096);
    cr_assert_eq(checkpoint_body_bytes(0, 0), 0);
    cr_assert(xd_bytes_zero(body + STATE_BYTES, 8192 - STATE_BYTES));
    cr_assert(xd_bytes_zero(body + 8192 + LOCAL_BYTES, 4096 - LOCAL_BYTES));
}

/* Every flipped bit of header, state, local part and of the padding behind each is found. */
Test(log_checkpoint_format, finds_every_flipped_bit)
{
    const char *why;
    make();
    uint8_t *bytes = (uint8_t *)&header;
    for (uint32_t bit = 0; bit < 4096 * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(checkpoint_check_header(&header, uuid, 2, &why), XD_CHECKPOINT_CORRUPT,
                     "bit %u", bit);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(checkpoint_check_body(&header, body, &why), 0);
    for (uint32_t byte = 0; byte < sizeof(body); byte++) {
        body[byte] ^= 0x20;
        cr_assert_eq(checkpoint_check_body(&header, body, &why), XD_CHECKPOINT_CORRUPT, "byte %u",
                     byte);
        body[byte] ^= 0x20;
    }
}

/* Parts that end with a page have no padding; what lies behind the body is not looked at. */
Test(log_checkpoint_format, checks_no_byte_behind_the_body)
{
    const char *why;
    make();
    header.state_bytes = 4096;
    header.local_bytes = 4096;
    checkpoint_seal(&header, body);
    body[2 * 4096] = 1;
    cr_assert_eq(checkpoint_check_body(&header, body, &why), 0);
    body[2 * 4096 - 1] ^= 1;
    cr_assert_eq(checkpoint_check_body(&header, body, &why), XD_CHECKPOINT_CORRUPT);
    cr_assert_str_eq(why, "the checksum of the local part does not match");
}

/* A checkpoint belongs to one log and shard. */
Test(log_checkpoint_format, tells_foreign_from_damaged)
{
    const char *why;
    make();
    cr_assert_eq(checkpoint_check_header(&header, uuid, 2, &why), 0);
    cr_assert_eq(checkpoint_check_header(&header, uuid, 1, &why), XD_LOG_FOREIGN);
    uint8_t other[16] = {0};
    cr_assert_eq(checkpoint_check_header(&header, other, 2, &why), XD_LOG_FOREIGN);
}

/* A newer layout and a newer fold are both left alone. */
Test(log_checkpoint_format, newer_release_stops)
{
    const char *why;
    make();
    page_seal(&header, CHECKPOINT_MAGIC, CHECKPOINT_VERSION + 1);
    cr_assert_eq(checkpoint_check_header(&header, uuid, 2, &why), XD_FORMAT_UNKNOWN);
    make();
    header.fold_version = CHECKPOINT_FOLD_VERSION + 1;
    page_seal(&header, CHECKPOINT_MAGIC, CHECKPOINT_VERSION);
    cr_assert_eq(checkpoint_check_header(&header, uuid, 2, &why), XD_FORMAT_UNKNOWN);
}

/* Fields that no writer leaves are refused although the hash is right, each with its reason; sizes
 * are bounded before anything is computed from them. */
Test(log_checkpoint_format, rules_hold_under_a_valid_hash)
{
#define FIELD(name) offsetof(struct checkpoint_header, name), sizeof(header.name)
    static const struct {
        size_t at;       /* of the field */
        size_t bytes;    /* */
        uint64_t value;  /* that no writer leaves */
        const char *why; /* a part of what is said */
    } rows[] = {
        {FIELD(generation), 0, "generation or epoch 0"},
        {FIELD(epoch), 0, "generation or epoch 0"},
        {FIELD(segment_bytes), SEGMENT_BYTES_MIN - 4096, "segment_bytes"},
        {FIELD(segment_bytes), SEGMENT_BYTES_MAX + 4096, "segment_bytes"},
        {FIELD(position), 4096, "position"},
        {FIELD(position), 3ull * (4u << 20) + 512, "position"},
        {FIELD(state_bytes), UINT64_MAX - 100, "larger than any checkpoint"},
        {FIELD(local_bytes), (1ull << 40) + 1, "larger than any checkpoint"},
        {FIELD(reserved0), 1, "reserved"},
        {offsetof(struct checkpoint_header, reserved1) + 3951, 1, 1, "reserved"},
    };
#undef FIELD
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *why = "";
        make();
        memcpy((uint8_t *)&header + rows[i].at, &rows[i].value, rows[i].bytes);
        page_seal(&header, CHECKPOINT_MAGIC, CHECKPOINT_VERSION);
        cr_assert_eq(checkpoint_check_header(&header, uuid, 2, &why), XD_CHECKPOINT_CORRUPT,
                     "row %zu", i);
        cr_assert_not_null(strstr(why, rows[i].why), "row %zu: %s", i, why);
    }
}

/* Generations alternate between two files. */
Test(log_checkpoint_format, alternates_files)
{
    char name[ENV_NAME_BYTES_MAX];
    checkpoint_name(6, name);
    cr_assert_str_eq(name, "checkpoint.0");
    checkpoint_name(7, name);
    cr_assert_str_eq(name, "checkpoint.1");
}

/* The first 144 bytes are those of docs/DISK_FORMAT.md; the rest is zero. */
Test(log_checkpoint_format, matches_the_golden_vector)
{
    uint8_t golden[256];
    make();
    size_t bytes = fenced_dump(DISK_FORMAT_MD, "checkpoint", golden, sizeof(golden));
    cr_assert_eq(bytes, 144);
    cr_assert_arr_eq((uint8_t *)&header, golden, bytes);
}
