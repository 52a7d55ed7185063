/* SPDX-License-Identifier: Apache-2.0
 *
 * Checkpoint headers and bodies.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "broker/io/env.h"
#include "broker/log/checkpoint_format.h"
#include "broker/log/page.h"
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

/* Every flipped bit of header, state and local part is found; padding holds nothing. */
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
    for (uint32_t byte = 0; byte < sizeof(body); byte++) {
        bool used = byte < STATE_BYTES || (byte >= 8192 && byte < 8192 + LOCAL_BYTES);
        body[byte] ^= 0x20;
        cr_assert_eq(checkpoint_check_body(&header, body, &why), used ? XD_CHECKPOINT_CORRUPT : 0,
                     "byte %u", byte);
        body[byte] ^= 0x20;
    }
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

/* Sizes from the file are bounded before anything is computed from them. */
Test(log_checkpoint_format, bounds_sizes)
{
    const char *why;
    make();
    header.state_bytes = UINT64_MAX - 100;
    page_seal(&header, CHECKPOINT_MAGIC, CHECKPOINT_VERSION);
    cr_assert_eq(checkpoint_check_header(&header, uuid, 2, &why), XD_CHECKPOINT_CORRUPT);
    make();
    header.position = 4096;
    page_seal(&header, CHECKPOINT_MAGIC, CHECKPOINT_VERSION);
    cr_assert_eq(checkpoint_check_header(&header, uuid, 2, &why), XD_CHECKPOINT_CORRUPT);
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
