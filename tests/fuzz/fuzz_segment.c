/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a segment's content: no check of the disk format reads outside the input, asserts,
 * or accepts what it would not have written.
 *
 * The input is taken as a header page of each kind, and as a block at the place and identity that
 * its own header claims, once as it is and once with its hashes made right, so that the checks
 * behind the hashes are reached as well.
 */
#include "tests/fuzz/target.h"

#include "broker/log/block.h"
#include "broker/log/checkpoint_format.h"
#include "broker/log/meta.h"
#include "broker/log/page.h"
#include "broker/log/segment.h"
#include "tests/fuzz/block_repair.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT_BYTES ((uint64_t)SEGMENT_BYTES_MIN)
#define SEGMENT_NO 3u
/* A block of more is not walked: its parts would be the same, only more of them. */
#define MEMORY_BYTES_MAX (64u * 1024u)

static void check_block(const struct block_header *block, const struct block_identity *identity,
                        uint64_t room)
{
    const char *why = NULL;
    if (block_check_header(block, identity, SEGMENT_NO * SEGMENT_BYTES + XD_BLOCK_ALIGN, &why) <
        0) {
        XD_ASSERT(why != NULL);
        return;
    }
    if (block->block_bytes > room)
        return;
    uint32_t at = UINT32_MAX;
    if (block_check_payload(block, 1, &at, &why) < 0) {
        XD_ASSERT(at < block->block_bytes);
        return;
    }
    uint32_t cursor = 0, batches = 0;
    while (block_next_batch(block, &cursor) != NULL)
        batches++;
    XD_ASSERT(batches == block->batch_count);
    XD_ASSERT(block_chain(block) == block->chain);
}

static void check_segment(const void *page)
{
    static const uint8_t uuid[16];
    const char *why = NULL;
    if (segment_header_check(page, uuid, 1, &why) < 0)
        XD_ASSERT(why != NULL);
}

static void check_meta(const void *page)
{
    const char *why = NULL;
    if (meta_check(page, &why) < 0)
        XD_ASSERT(why != NULL);
}

static void check_checkpoint(const void *page)
{
    static const uint8_t uuid[16];
    const char *why = NULL;
    if (checkpoint_check_header(page, uuid, 1, &why) < 0)
        XD_ASSERT(why != NULL);
}

/* The page as it is, which is of one kind at most, and as each kind under a valid hash. */
static void check_pages(uint8_t *page)
{
    check_segment(page);
    check_meta(page);
    check_checkpoint(page);
    page_seal(page, SEGMENT_MAGIC, SEGMENT_VERSION);
    check_segment(page);
    page_seal(page, META_MAGIC, META_VERSION);
    check_meta(page);
    page_seal(page, CHECKPOINT_MAGIC, CHECKPOINT_VERSION);
    check_checkpoint(page);
}

/* The block as it is, and with hashes made right. */
static void check_blocks(struct block_header *block, uint64_t room)
{
    const struct block_identity identity = {.segment_no = SEGMENT_NO,
                                            .segment_bytes = SEGMENT_BYTES,
                                            .epoch = block->epoch,
                                            .shard = 1};
    check_block(block, &identity, room);
    (void)block_repair(block, &identity, SEGMENT_NO * SEGMENT_BYTES + XD_BLOCK_ALIGN, room);
    check_block(block, &identity, room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < BLOCK_HEADER_BYTES || bytes > MEMORY_BYTES_MAX)
        return 0;
    /* What the header claims must be in memory, as the scan makes sure; more is not. */
    struct block_header claimed;
    memcpy(&claimed, data, sizeof(claimed));
    uint64_t room = page_round(bytes);
    if (claimed.block_bytes > room && claimed.block_bytes <= MEMORY_BYTES_MAX)
        room = page_round(claimed.block_bytes);
    uint8_t *memory = aligned_alloc(PAGE_BYTES, room);
    XD_ASSERT(memory != NULL);
    memcpy(memory, data, bytes);
    memset(memory + bytes, 0, room - bytes);
    check_blocks((struct block_header *)(void *)memory, room);
    check_pages(memory);
    free(memory);
    return 0;
}
