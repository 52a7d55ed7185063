/* SPDX-License-Identifier: Apache-2.0
 *
 * What a block must continue.
 */
#include <criterion/criterion.h>

#include "broker/log/point.h"
#include "broker/log/segment.h"

#define SEGMENT_BYTES (4ull << 20)

static const struct meta meta = {
    .segment_bytes = SEGMENT_BYTES, .epoch = 9, .epoch_first_index = 20, .epoch_sequence = 25};
static const struct recover_point point = {.position = SEGMENT_BYTES + 8192,
                                           .sequence = 30,
                                           .index = 24,
                                           .chain = 77,
                                           .epoch = 9,
                                           .term = 3};

static struct block_header next(void)
{
    return (struct block_header){.type = BLOCK_DATA,
                                 .epoch = 9,
                                 .block_sequence = 30,
                                 .term = 3,
                                 .index = 24,
                                 .prev_chain = 77,
                                 .chain = 78,
                                 .block_bytes = 8192};
}

/* Sequence, index, chain, epoch and term each refuse alone. */
Test(log_point, each_field_must_continue)
{
    struct block_header block = next();
    cr_assert_null(point_check(&point, &meta, &block, 30));
    block.block_sequence = 31;
    cr_assert_not_null(point_check(&point, &meta, &block, 30));
    cr_assert_null(point_check(&point, &meta, &block, 31), "behind a lost local block");
    block = next();
    block.index = 25;
    cr_assert_not_null(point_check(&point, &meta, &block, 30));
    block = next();
    block.prev_chain = 76;
    cr_assert_not_null(point_check(&point, &meta, &block, 30));
    block = next();
    block.term = 2;
    cr_assert_not_null(point_check(&point, &meta, &block, 30));
    block.term = 4;
    cr_assert_null(point_check(&point, &meta, &block, 30));
    block.durable_index = 23;
    cr_assert_null(point_check(&point, &meta, &block, 30));
    block.durable_index = 24;
    cr_assert_not_null(point_check(&point, &meta, &block, 30), "durable before it was written");
}

/* From the epoch's first block on only meta's epoch counts, before it only older ones. */
Test(log_point, epoch_follows_meta)
{
    struct block_header block = next();
    block.epoch = 8;
    cr_assert_not_null(point_check(&point, &meta, &block, 30), "cut off by an earlier recovery");
    block.epoch = 10;
    cr_assert_not_null(point_check(&point, &meta, &block, 30));
    struct recover_point before = point;
    before.sequence = 24;
    before.epoch = 7;
    block = next();
    block.block_sequence = 24;
    cr_assert_not_null(point_check(&before, &meta, &block, 24), "the epoch started later");
    block.epoch = 8;
    cr_assert_null(point_check(&before, &meta, &block, 24));
    block.epoch = 6;
    cr_assert_not_null(point_check(&before, &meta, &block, 24), "epochs do not fall");
}

/* Local blocks repeat the last index. */
Test(log_point, local_blocks_repeat_the_index)
{
    struct block_header block = next();
    block.type = BLOCK_MARK;
    cr_assert_not_null(point_check(&point, &meta, &block, 30));
    block.index = 23;
    cr_assert_null(point_check(&point, &meta, &block, 30));
    block.chain = block.prev_chain;
    struct recover_point moved = point;
    point_advance(&moved, &block, point.position, SEGMENT_BYTES);
    cr_assert_eq(moved.index, 24);
    cr_assert_eq(moved.sequence, 31);
    cr_assert_eq(moved.chain, 77);
}

/* The next block lies behind this one; behind a SEAL or a full segment in the next segment. */
Test(log_point, advances_over_segment_ends)
{
    struct block_header block = next();
    struct recover_point moved = point;
    point_advance(&moved, &block, point.position, SEGMENT_BYTES);
    cr_assert_eq(moved.position, SEGMENT_BYTES + 16384);
    cr_assert_eq(moved.index, 25);
    cr_assert_eq(moved.chain, 78);
    moved = point;
    point_advance(&moved, &block, 2 * SEGMENT_BYTES - 8192, SEGMENT_BYTES);
    cr_assert_eq(moved.position, 2 * SEGMENT_BYTES + RECOVER_FIRST_AT);
    block.type = BLOCK_SEAL;
    block.chain = 77;
    block.block_bytes = 4096;
    moved = point;
    point_advance(&moved, &block, point.position, SEGMENT_BYTES);
    cr_assert_eq(moved.position, 2 * SEGMENT_BYTES + RECOVER_FIRST_AT);
}

/* A checkpoint taken right at a segment's start goes on with its first block. */
Test(log_point, starts_behind_a_checkpoint)
{
    struct checkpoint_header checkpoint = {.generation = 1,
                                           .position = 3 * SEGMENT_BYTES,
                                           .index = 24,
                                           .block_sequence = 30,
                                           .chain = 77,
                                           .term = 3,
                                           .segment_bytes = SEGMENT_BYTES};
    struct recover_point start = point_of_checkpoint(&checkpoint);
    cr_assert_eq(start.position, 3 * SEGMENT_BYTES + RECOVER_FIRST_AT);
    cr_assert_eq(start.index, 25);
    cr_assert_eq(start.sequence, 31);
    start = point_first(SEGMENT_BYTES);
    cr_assert_eq(start.position, SEGMENT_BYTES + RECOVER_FIRST_AT);
    cr_assert_eq(start.index, 1);
}
