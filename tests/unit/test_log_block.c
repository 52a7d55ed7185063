/* SPDX-License-Identifier: Apache-2.0
 *
 * Commit blocks: sealing, and what each check refuses. The golden block stands in
 * docs/DISK_FORMAT.md.
 */
#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

#include "broker/log/block.h"
#include "tests/support/fenced.h"
#include "tests/support/log_image.h"
#include "wire/status.h"

static const struct block_identity identity = {
    .log_uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
    .segment_no = 3,
    .segment_bytes = 4u << 20,
    .epoch = 9,
    .shard = 2};
#define POSITION ((3ull * (4u << 20)) + 8192u)

static _Alignas(4096) uint8_t memory[XD_BLOCK_BYTES_MAX];
static struct block_header *const block = (struct block_header *)(void *)memory;

/* A block of three batches, the second with a suppression bitmap. */
static void make_block(void)
{
    memset(memory, 0xa5, sizeof(memory));
    struct block_header head = {.type = BLOCK_DATA,
                                .epoch = identity.epoch,
                                .block_sequence = 41,
                                .durable_index = 38,
                                .term = 1,
                                .index = 40,
                                .prev_chain = 0x1122334455667788u,
                                .write_time_us = 1700000000000000};
    *block = head;
    image_add_batch(block, 7, 100, 5, 300, 0);
    image_add_batch(block, 8, 200, 20, 129, 3);
    image_add_batch(block, 7, 105, 1, 121, 0);
    block_seal(block, &identity, POSITION);
}

static int check(uint64_t position)
{
    struct block_identity own = identity;
    own.epoch = block->epoch;
    const char *why;
    uint32_t at;
    int status = block_check_header(block, &own, position, &why);
    return status < 0 ? status : block_check_payload(block, 1, &at, &why);
}

/* What was sealed passes every check and gives its batches back in sequence. */
Test(log_block, gives_back_what_was_sealed)
{
    make_block();
    cr_assert_eq(check(POSITION), 0);
    cr_assert_eq(block->batch_count, 3);
    cr_assert_eq(block->record_count, 26);
    cr_assert_eq(block->block_bytes, 4096);
    uint32_t cursor = 0;
    const struct xd_batch_header *batch = block_next_batch(block, &cursor);
    cr_assert_eq(batch->base_offset, 100);
    batch = block_next_batch(block, &cursor);
    cr_assert_eq(batch->suppressed_count, 3);
    batch = block_next_batch(block, &cursor);
    cr_assert_eq(batch->base_offset, 105);
    cr_assert_null(block_next_batch(block, &cursor));
}

/* Sealing leaves no byte of older content between the payload and the block's end. */
Test(log_block, pads_with_zeros)
{
    make_block();
    for (uint32_t i = BLOCK_HEADER_BYTES + block->payload_bytes; i < block->block_bytes; i++)
        cr_assert_eq(memory[i], 0, "byte %u", i);
    cr_assert_eq(memory[block->block_bytes], 0xa5);
}

/* Every single flipped bit of the block is found: header, batch headers, bodies, bitmap, padding.
 */
Test(log_block, finds_every_flipped_bit)
{
    make_block();
    for (uint32_t bit = 0; bit < block->block_bytes * 8u; bit++) {
        uint32_t bytes = block->block_bytes;
        memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(check(POSITION), XD_LOG_CORRUPT, "bit %u of byte %u", bit % 8, bit / 8);
        memory[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_eq(block->block_bytes, bytes);
    }
    cr_assert_eq(check(POSITION), 0);
}

/* The chain covers batch headers even when body hashes are not asked for. */
Test(log_block, finds_a_changed_batch_header_without_hashing_bodies)
{
    make_block();
    uint32_t at;
    const char *why;
    for (uint32_t byte = 0; byte < XD_BATCH_HEADER_BYTES; byte++) {
        memory[BLOCK_HEADER_BYTES + byte] ^= 0x10;
        cr_assert_eq(block_check_payload(block, 0, &at, &why), XD_LOG_CORRUPT, "byte %u", byte);
        memory[BLOCK_HEADER_BYTES + byte] ^= 0x10;
    }
}

/* A wrong body is named by the place of its batch. */
Test(log_block, tells_where_a_body_is_wrong)
{
    make_block();
    uint32_t at;
    const char *why;
    uint32_t second = BLOCK_HEADER_BYTES + 304;
    memory[second + 125] ^= 1;
    cr_assert_eq(block_check_payload(block, 0, &at, &why), 0);
    cr_assert_eq(block_check_payload(block, 1, &at, &why), XD_LOG_CORRUPT);
    cr_assert_eq(at, second);
}

/* Old bytes of a recycled slot, of another log, or of another place are no blocks. */
Test(log_block, belongs_to_one_log_segment_epoch_and_place)
{
    make_block();
    const char *why;
    struct block_identity other = identity;
    cr_assert_eq(block_check_header(block, &other, POSITION, &why), 0);
    other.epoch++;
    cr_assert_eq(block_check_header(block, &other, POSITION, &why), XD_LOG_CORRUPT);
    other = identity;
    other.log_uuid[15] ^= 1;
    cr_assert_eq(block_check_header(block, &other, POSITION, &why), XD_LOG_CORRUPT);
    other = identity;
    other.segment_no = 4;
    cr_assert_eq(block_check_header(block, &other, POSITION + (4u << 20), &why), XD_LOG_CORRUPT);
    other = identity;
    other.shard = 3;
    cr_assert_eq(block_check_header(block, &other, POSITION, &why), XD_LOG_CORRUPT);
    cr_assert_str_eq(why, "the block belongs to another shard");
    cr_assert_eq(block_check_header(block, &identity, POSITION + 4096, &why), XD_LOG_CORRUPT);
    cr_assert_str_eq(why, "the block belongs to another position");
}

/* A newer version or unknown type counts only under a valid hash. */
Test(log_block, tells_newer_releases_from_damage)
{
    const char *why;
    make_block();
    block->version = BLOCK_VERSION + 1;
    cr_assert_eq(block_check_header(block, &identity, POSITION, &why), XD_LOG_CORRUPT);
    image_rehash(block, &identity);
    cr_assert_eq(block_check_header(block, &identity, POSITION, &why), XD_FORMAT_UNKNOWN);
    make_block();
    block->type = BLOCK_BARRIER;
    image_rehash(block, &identity);
    cr_assert_eq(block_check_header(block, &identity, POSITION, &why), XD_FORMAT_UNKNOWN);
    make_block();
    block->type = 77;
    image_rehash(block, &identity);
    cr_assert_eq(block_check_header(block, &identity, POSITION, &why), XD_FORMAT_UNKNOWN);
}

/* The sealed block with one field of its header bent under a valid hash. */
static int check_bent(size_t at, size_t bytes, uint64_t value, const char **ret_why)
{
    memcpy(memory + at, &value, bytes);
    image_rehash(block, &identity);
    return block_check_header(block, &identity, POSITION, ret_why);
}

#define FIELD(name) offsetof(struct block_header, name), sizeof(block->name)

/* A field that no writer leaves. */
struct bent_field {
    size_t at;       /* in the header */
    size_t bytes;    /* of the field */
    uint64_t value;  /* */
    const char *why; /* a part of what is said */
};

/* Fields that do not fit each other are refused although the hash over them is right. */
Test(log_block, refuses_fields_that_do_not_fit)
{
    static const struct bent_field rows[] = {
        {FIELD(version), 0, "version 0"},
        {FIELD(flags), 1, "reserved"},
        {offsetof(struct block_header, reserved) + 15, 1, 1, "reserved"},
        {FIELD(payload_bytes), XD_BLOCK_BYTES_MAX, "larger than a block"},
        {FIELD(payload_bytes), 604, "multiple of 8"},
        {FIELD(block_bytes), 8192, "block size"},
        {FIELD(index), 0, "index 0"},
        {FIELD(batch_count), 0, "batch count"},
        {FIELD(batch_count), 100, "batch count"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *why = "";
        make_block();
        cr_assert_eq(check_bent(rows[i].at, rows[i].bytes, rows[i].value, &why), XD_LOG_CORRUPT,
                     "row %zu", i);
        cr_assert_not_null(strstr(why, rows[i].why), "row %zu: %s", i, why);
    }
}

/* A block may end with its segment, not behind it. */
Test(log_block, does_not_cross_its_segment)
{
    make_block();
    uint64_t last = 4ull * (4u << 20) - 4096;
    block_seal(block, &identity, last);
    cr_assert_eq(check(last), 0);
    block->payload_bytes += 4096 - 128;
    block->block_bytes = 8192;
    image_rehash(block, &identity);
    cr_assert_eq(check(last), XD_LOG_CORRUPT);
}

static void make_mark(void)
{
    memset(memory, 0, 4096);
    block->type = BLOCK_MARK;
    block->epoch = identity.epoch;
    block->block_sequence = 42;
    block->index = 40;
    block->prev_chain = 77;
    block_seal(block, &identity, POSITION);
}

/* SEAL and MARK leave the chain as it is and hold nothing. */
Test(log_block, leaves_the_chain_to_data)
{
    static const struct bent_field rows[] = {
        {FIELD(payload_bytes), 8, "with a payload"},
        {FIELD(batch_count), 1, "with a payload"},
        {FIELD(record_count), 1, "with a payload"},
        {FIELD(chain), 78, "moves the chain"},
    };
    make_mark();
    cr_assert_eq(block->chain, 77);
    cr_assert_eq(check(POSITION), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *why = "";
        make_mark();
        cr_assert_eq(check_bent(rows[i].at, rows[i].bytes, rows[i].value, &why), XD_LOG_CORRUPT,
                     "row %zu", i);
        cr_assert_not_null(strstr(why, rows[i].why), "row %zu: %s", i, why);
    }
}

/* A batch that somebody has written so: its block is whole. What a newer release writes is told
 * from what nobody writes, and the place is that of the batch. */
Test(log_block, judges_batches_under_a_valid_chain)
{
    static const struct {
        size_t at;       /* in the batch header */
        uint8_t value;   /* of that byte */
        int status;      /* */
        const char *why; /* */
    } rows[] = {
        {offsetof(struct xd_batch_header, format), 200, XD_FORMAT_UNKNOWN, "batch format"},
        {offsetof(struct xd_batch_header, codec), 200, XD_FORMAT_UNKNOWN, "batch format"},
        {offsetof(struct xd_batch_header, control_kind), 1, XD_LOG_CORRUPT, "control_kind"},
        {offsetof(struct xd_batch_header, first_sequence) + 7, 0xff, XD_LOG_CORRUPT,
         "last_sequence"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *why = "";
        uint32_t at = 0;
        make_block();
        memory[BLOCK_HEADER_BYTES + 304 + rows[i].at] = rows[i].value;
        block_seal(block, &identity, POSITION);
        cr_assert_eq(block_check_payload(block, 1, &at, &why), rows[i].status, "row %zu", i);
        cr_assert_eq(at, BLOCK_HEADER_BYTES + 304, "row %zu", i);
        cr_assert_not_null(strstr(why, rows[i].why), "row %zu: %s", i, why);
    }
}

/* The chain differs when any of its inputs does. */
Test(log_block, chains_position_in_the_log_not_on_disk)
{
    make_block();
    uint64_t chain = block->chain;
    block->epoch = 100;
    block->durable_index = 1;
    block->position = 4096;
    cr_assert_eq(block_chain(block), chain, "what differs between replicas is not chained");
    block->term = 2;
    cr_assert_neq(block_chain(block), chain);
    block->term = 1;
    block->index++;
    cr_assert_neq(block_chain(block), chain);
    block->index--;
    block->prev_chain ^= 1;
    cr_assert_neq(block_chain(block), chain);
}

/* The bytes are those of docs/DISK_FORMAT.md: another implementation can be written from it. */
Test(log_block, matches_the_golden_vector)
{
    static _Alignas(8) uint8_t golden[4096];
    make_block();
    size_t bytes = fenced_dump(DISK_FORMAT_MD, "block", golden, sizeof(golden));
    cr_assert_eq(bytes, BLOCK_HEADER_BYTES + block->payload_bytes);
    for (size_t i = 0; i < bytes; i++)
        cr_assert_eq(memory[i], golden[i], "byte %zu", i);
}
