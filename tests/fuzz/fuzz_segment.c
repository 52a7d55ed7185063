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
#include "wire/checksum.h"
#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

#define SEGMENT_BYTES ((uint64_t)SEGMENT_BYTES_MIN)
#define SEGMENT_NO 3u

/* Makes header hash and chain right as far as the payload can be walked. */
static void rehash(struct block_header *block, const struct block_identity *identity)
{
    uint32_t at;
    const char *why;
    block->magic = BLOCK_MAGIC;
    block->shard = identity->shard;
    block->position = SEGMENT_NO * SEGMENT_BYTES + XD_BLOCK_ALIGN;
    block->header_xxh3 =
        xd_xxh3_seeded((const uint8_t *)block + 8, BLOCK_HEADER_BYTES - 8, block_seed(identity));
    if (block_check_header(block, identity, block->position, &why) < 0)
        return;
    if (block_check_payload(block, 0, &at, &why) == 0 || at != 0)
        return;
    if (block->type == BLOCK_DATA && strstr(why, "chain") != NULL)
        block->chain = block_chain(block);
    block->header_xxh3 =
        xd_xxh3_seeded((const uint8_t *)block + 8, BLOCK_HEADER_BYTES - 8, block_seed(identity));
}

static void check_block(const struct block_header *block)
{
    struct block_identity identity = {.segment_no = SEGMENT_NO,
                                      .segment_bytes = SEGMENT_BYTES,
                                      .epoch = block->epoch,
                                      .shard = 1};
    const char *why = NULL;
    if (block_check_header(block, &identity, SEGMENT_NO * SEGMENT_BYTES + XD_BLOCK_ALIGN, &why) <
        0) {
        XD_ASSERT(why != NULL);
        return;
    }
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

static void check_pages(const uint8_t *page)
{
    static const uint8_t uuid[16];
    const char *why;
    (void)segment_header_check((const struct segment_header *)(const void *)page, uuid, 1, &why);
    (void)meta_check((const struct meta *)(const void *)page, &why);
    (void)checkpoint_check_header((const struct checkpoint_header *)(const void *)page, uuid, 1,
                                  &why);
}

/* The same pages under valid hashes. */
static void check_sealed_pages(uint8_t *page)
{
    page_seal(page, SEGMENT_MAGIC, SEGMENT_VERSION);
    check_pages(page);
    page_seal(page, META_MAGIC, META_VERSION);
    check_pages(page);
    page_seal(page, CHECKPOINT_MAGIC, CHECKPOINT_VERSION);
    check_pages(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes < BLOCK_HEADER_BYTES || bytes > XD_BLOCK_BYTES_MAX)
        return 0;
    /* What the header claims must be in memory, as the scan makes sure; more is not. */
    struct block_header claimed;
    memcpy(&claimed, data, sizeof(claimed));
    uint64_t room = page_round(bytes);
    if (claimed.block_bytes > room && claimed.block_bytes <= XD_BLOCK_BYTES_MAX)
        room = page_round(claimed.block_bytes);
    uint8_t *memory = aligned_alloc(PAGE_BYTES, room);
    XD_ASSERT(memory != NULL);
    memset(memory, 0, room);
    memcpy(memory, data, bytes);
    struct block_header *block = (struct block_header *)(void *)memory;
    struct block_identity identity = {.segment_no = SEGMENT_NO,
                                      .segment_bytes = SEGMENT_BYTES,
                                      .epoch = block->epoch,
                                      .shard = 1};
    check_block(block);
    rehash(block, &identity);
    check_block(block);
    check_pages(memory);
    check_sealed_pages(memory);
    free(memory);
    return 0;
}
