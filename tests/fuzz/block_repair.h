/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes the hashes of a block right, so that a fuzzer gets past them to the checks behind. Only
 * what can be walked safely is repaired: a block whose structure is broken keeps its hashes.
 */
#ifndef CROSSDOCK_TESTS_FUZZ_BLOCK_REPAIR_H
#define CROSSDOCK_TESTS_FUZZ_BLOCK_REPAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "broker/log/block.h"
#include "wire/checksum.h"

static inline void block_rehash(struct block_header *block, const struct block_identity *identity)
{
    block->header_xxh3 =
        xd_xxh3_seeded((const uint8_t *)block + 8, BLOCK_HEADER_BYTES - 8, block_seed(identity));
}

/* Magic, shard, position, hash of the header; then the hashes of the batches and the chain, when
 * the payload can be walked in `room` bytes. Whether it could. */
static inline bool block_repair(struct block_header *block, const struct block_identity *identity,
                                uint64_t position, uint64_t room)
{
    uint32_t at = 0;
    uint32_t cursor = 0;
    const char *why = "";
    block->magic = BLOCK_MAGIC;
    block->shard = identity->shard;
    block->position = position;
    block_rehash(block, identity);
    if (block_check_header(block, identity, position, &why) < 0 || block->block_bytes > room)
        return false;
    int status = block_check_payload(block, 0, &at, &why);
    if (status < 0 && (at != 0 || strstr(why, "chain") == NULL))
        return false;
    for (const struct xd_batch_header *batch; (batch = block_next_batch(block, &cursor)) != NULL;) {
        const uint64_t hash = xd_batch_hash(batch);
        memcpy((uint8_t *)block + ((const uint8_t *)batch - (const uint8_t *)block) +
                   offsetof(struct xd_batch_header, batch_xxh3),
               &hash, sizeof(hash));
    }
    if (block->type == BLOCK_DATA)
        block->chain = block_chain(block);
    block_rehash(block, identity);
    return true;
}

#endif
