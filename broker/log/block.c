/* SPDX-License-Identifier: Apache-2.0
 *
 * Seal and check of commit blocks.
 *
 * Writing: block_seal after the last batch. Its cost is one pass over the batch headers and the
 * padding; bodies are covered by their own hash inside those headers and are not read again.
 * Reading: block_check_header says whether the bytes are a block of this place, segment and epoch
 * at all; block_check_payload then checks everything in it. Both decide in a sequence that lets
 * only bytes under a valid hash say "newer release".
 */
#include "broker/log/block.h"

#include "broker/log/page.h"
#include "broker/log/segment.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <string.h>

#define HASHED_FROM 8u

/* Bytes under the seed. */
struct seed_input {
    uint8_t log_uuid[16]; /*  0 */
    uint64_t segment_no;  /* 16 */
    uint64_t epoch;       /* 24 */
};
static_assert(sizeof(struct seed_input) == 32, "no hidden padding under a hash");

/* Bytes of the block header under the chain, before the batch headers. */
struct chain_input {
    uint64_t prev_chain;    /*  0 */
    uint64_t term;          /*  8 */
    uint64_t index;         /* 16 */
    uint32_t type;          /* 24 */
    uint32_t payload_bytes; /* 28 */
    uint32_t batch_count;   /* 32 */
    uint32_t record_count;  /* 36 */
};
static_assert(sizeof(struct chain_input) == 40, "no hidden padding under a hash");

static int is_local(uint16_t type)
{
    return type == BLOCK_SEAL || type == BLOCK_MARK;
}

static const uint8_t *payload_of(const struct block_header *block)
{
    return (const uint8_t *)(block + 1);
}

uint64_t block_seed(const struct block_identity *identity)
{
    struct seed_input input = {.segment_no = identity->segment_no, .epoch = identity->epoch};
    memcpy(input.log_uuid, identity->log_uuid, sizeof(input.log_uuid));
    return xd_xxh3(&input, sizeof(input));
}

static uint64_t header_hash(const struct block_header *block, const struct block_identity *identity)
{
    return xd_xxh3_seeded((const uint8_t *)block + HASHED_FROM, BLOCK_HEADER_BYTES - HASHED_FROM,
                          block_seed(identity));
}

uint64_t block_chain(const struct block_header *block)
{
    if (is_local(block->type))
        return block->prev_chain;
    struct chain_input input = {.prev_chain = block->prev_chain,
                                .term = block->term,
                                .index = block->index,
                                .type = block->type,
                                .payload_bytes = block->payload_bytes,
                                .batch_count = block->batch_count,
                                .record_count = block->record_count};
    struct xd_xxh3_state state;
    xd_xxh3_begin(&state, 0);
    xd_xxh3_add(&state, &input, sizeof(input));
    const struct xd_batch_header *batch;
    uint32_t cursor = 0;
    while ((batch = block_next_batch(block, &cursor)) != NULL) {
        xd_xxh3_add(&state, batch, XD_BATCH_HEADER_BYTES);
        if (batch->suppressed_count != 0)
            xd_xxh3_add(&state, (const uint8_t *)batch + batch->batch_bytes,
                        xd_batch_bitmap_bytes(batch));
    }
    return xd_xxh3_end(&state);
}

void block_seal(struct block_header *block, const struct block_identity *identity,
                uint64_t position)
{
    XD_ASSERT(((uintptr_t)block & (XD_BATCH_ALIGN - 1u)) == 0);
    XD_ASSERT(position % XD_BLOCK_ALIGN == 0);
    XD_ASSERT(position / identity->segment_bytes == identity->segment_no);
    XD_ASSERT(block->epoch == identity->epoch);
    XD_ASSERT(block->payload_bytes % XD_BATCH_ALIGN == 0);
    XD_ASSERT(block->payload_bytes <= XD_BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES);
    XD_ASSERT((block->payload_bytes == 0) == is_local(block->type));
    uint32_t used = BLOCK_HEADER_BYTES + block->payload_bytes;
    block->magic = BLOCK_MAGIC;
    block->version = BLOCK_VERSION;
    block->block_bytes = (uint32_t)page_round(used);
    block->position = position;
    block->shard = identity->shard;
    block->flags = 0;
    memset(block->reserved, 0, sizeof(block->reserved));
    memset((uint8_t *)block + used, 0, block->block_bytes - used);
    block->chain = block_chain(block);
    block->header_xxh3 = header_hash(block, identity);
}

/* Sizes and counts of a header whose hash is valid. NULL = nothing wrong. */
static const char *check_sizes(const struct block_header *block,
                               const struct block_identity *identity)
{
    if (block->payload_bytes > XD_BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES)
        return "payload larger than a block";
    if (block->payload_bytes % XD_BATCH_ALIGN != 0)
        return "payload is not a multiple of 8";
    if (block->block_bytes != page_round(BLOCK_HEADER_BYTES + block->payload_bytes))
        return "block size does not follow from the payload";
    if (block->position % identity->segment_bytes + block->block_bytes > identity->segment_bytes)
        return "the block crosses its segment's end";
    if (is_local(block->type)) {
        if (block->payload_bytes != 0 || block->batch_count != 0 || block->record_count != 0)
            return "a local block with a payload";
        if (block->chain != block->prev_chain)
            return "a local block that moves the chain";
        return NULL;
    }
    if (block->index == 0)
        return "index 0";
    if (block->batch_count == 0 ||
        block->payload_bytes / XD_BATCH_HEADER_BYTES < block->batch_count)
        return "batch count does not fit the payload";
    return NULL;
}

int block_check_header(const struct block_header *block, const struct block_identity *identity,
                       uint64_t position, const char **ret_why)
{
    XD_ASSERT(((uintptr_t)block & (XD_BATCH_ALIGN - 1u)) == 0);
    XD_ASSERT(position / identity->segment_bytes == identity->segment_no);
    XD_ASSERT(ret_why != NULL);
    const char *wrong = NULL;
    if (block->magic != BLOCK_MAGIC)
        wrong = "no block header";
    else if (block->header_xxh3 != header_hash(block, identity))
        wrong = "the header's checksum does not match";
    else if (block->position != position)
        wrong = "the block belongs to another position";
    else if (block->shard != identity->shard)
        wrong = "the block belongs to another shard";
    if (wrong == NULL) {
        if (block->version > BLOCK_VERSION) {
            *ret_why = "written by a newer release";
            return XD_FORMAT_UNKNOWN;
        }
        if (block->type != BLOCK_DATA && !is_local(block->type)) {
            *ret_why = "a block type that this release does not know";
            return XD_FORMAT_UNKNOWN;
        }
        if (block->version == 0)
            wrong = "version 0";
        else if (block->flags != 0 || !xd_bytes_zero(block->reserved, sizeof(block->reserved)))
            wrong = "reserved bytes are not zero";
        else
            wrong = check_sizes(block, identity);
    }
    if (wrong == NULL)
        return 0;
    *ret_why = wrong;
    return XD_LOG_CORRUPT;
}

/* One step of the payload walk: the batch at `at` lies inside the payload, as far as the chain
 * relies on it. Returns its stride, 0 when it does not. */
static uint32_t check_extent(const struct xd_batch_header *batch, uint32_t bytes_left)
{
    if (bytes_left < XD_BATCH_HEADER_BYTES || batch->magic != XD_BATCH_MAGIC)
        return 0;
    if (batch->batch_bytes < XD_BATCH_HEADER_BYTES || batch->batch_bytes > XD_BATCH_BYTES_MAX)
        return 0;
    uint32_t used = batch->batch_bytes + xd_batch_bitmap_bytes(batch);
    uint32_t stride = xd_batch_stride(batch);
    if (stride > bytes_left)
        return 0;
    return xd_bytes_zero((const uint8_t *)batch + used, stride - used) ? stride : 0;
}

/* Batches follow each other without gaps to the end of the payload, and are as many as the header
 * says. */
static int check_structure(const struct block_header *block, uint32_t *ret_at, const char **ret_why)
{
    uint32_t at = 0, batches = 0, records = 0;
    while (at < block->payload_bytes) {
        const struct xd_batch_header *batch =
            (const struct xd_batch_header *)(const void *)(payload_of(block) + at);
        uint32_t stride = check_extent(batch, block->payload_bytes - at);
        if (stride == 0) {
            *ret_at = BLOCK_HEADER_BYTES + at;
            *ret_why = "a batch's extent does not fit the block";
            return XD_LOG_CORRUPT;
        }
        at += stride;
        batches++;
        records += batch->record_count;
    }
    if (batches != block->batch_count || records != block->record_count) {
        *ret_at = 0;
        *ret_why = "batch or record count does not match";
        return XD_LOG_CORRUPT;
    }
    uint32_t used = BLOCK_HEADER_BYTES + block->payload_bytes;
    if (!xd_bytes_zero((const uint8_t *)block + used, block->block_bytes - used)) {
        *ret_at = used;
        *ret_why = "the padding is not zero";
        return XD_LOG_CORRUPT;
    }
    return 0;
}

/* Rules and hash of every batch. The chain is valid, so a refused header is what was written. */
static int check_batches(const struct block_header *block, int hashes, uint32_t *ret_at,
                         const char **ret_why)
{
    const struct xd_batch_header *batch;
    uint32_t cursor = 0;
    while ((batch = block_next_batch(block, &cursor)) != NULL) {
        uint32_t at = (uint32_t)((const uint8_t *)batch - (const uint8_t *)block);
        const char *field;
        int status =
            xd_batch_check_stored(batch, BLOCK_HEADER_BYTES + block->payload_bytes - at, &field);
        if (status == XD_FORMAT_UNKNOWN || status == XD_CODEC_UNKNOWN) {
            *ret_at = at;
            *ret_why = "a batch format that this release does not know";
            return XD_FORMAT_UNKNOWN;
        }
        if (status < 0 || (hashes && xd_batch_check_hash(batch) < 0)) {
            *ret_at = at;
            *ret_why = status < 0 ? field : "a batch's checksum does not match";
            return XD_LOG_CORRUPT;
        }
    }
    return 0;
}

int block_check_payload(const struct block_header *block, int hashes, uint32_t *ret_at,
                        const char **ret_why)
{
    XD_ASSERT(block->block_bytes == page_round(BLOCK_HEADER_BYTES + block->payload_bytes));
    XD_ASSERT(ret_at != NULL && ret_why != NULL);
    int status = check_structure(block, ret_at, ret_why);
    if (status < 0)
        return status;
    if (block_chain(block) != block->chain) {
        *ret_at = 0;
        *ret_why = "the chain over the batch headers does not match";
        return XD_LOG_CORRUPT;
    }
    return check_batches(block, hashes, ret_at, ret_why);
}

const struct xd_batch_header *block_next_batch(const struct block_header *block, uint32_t *cursor)
{
    XD_ASSERT(*cursor <= block->payload_bytes);
    if (*cursor == block->payload_bytes)
        return NULL;
    const struct xd_batch_header *batch =
        (const struct xd_batch_header *)(const void *)(payload_of(block) + *cursor);
    XD_ASSERT(batch->magic == XD_BATCH_MAGIC);
    uint32_t stride = xd_batch_stride(batch);
    XD_ASSERT(stride <= block->payload_bytes - *cursor);
    *cursor += stride;
    return batch;
}
