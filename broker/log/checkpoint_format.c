/* SPDX-License-Identifier: Apache-2.0
 *
 * Seal and check of checkpoint headers and bodies. The header's hash covers the hashes of both body
 * parts, and meta repeats the header's hash, so the chain of trust is meta -> header -> parts.
 */
#include "broker/log/checkpoint_format.h"

#include "broker/io/env.h"
#include "broker/log/page.h"
#include "broker/log/segment.h"
#include "wire/bytes.h"
#include "wire/checksum.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

/* No body part is larger: keeps sums of sizes read from a file from wrapping. */
#define PART_BYTES_MAX (1ull << 40)

void checkpoint_name(uint64_t generation, char *ret_name)
{
    XD_ASSERT(ret_name != NULL);
    (void)snprintf(ret_name, ENV_NAME_BYTES_MAX, "checkpoint.%u",
                   (unsigned)(generation % CHECKPOINT_FILES)); /* always fits */
}

uint64_t checkpoint_local_at(uint64_t state_bytes)
{
    XD_ASSERT(state_bytes <= PART_BYTES_MAX);
    return page_round(state_bytes);
}

uint64_t checkpoint_body_bytes(uint64_t state_bytes, uint64_t local_bytes)
{
    XD_ASSERT(local_bytes <= PART_BYTES_MAX);
    return checkpoint_local_at(state_bytes) + page_round(local_bytes);
}

void checkpoint_seal(struct checkpoint_header *header, uint8_t *body)
{
    XD_ASSERT(header->generation > 0);
    XD_ASSERT(header->position % PAGE_BYTES == 0);
    uint8_t *local = body + checkpoint_local_at(header->state_bytes);
    uint8_t *end = body + checkpoint_body_bytes(header->state_bytes, header->local_bytes);
    memset(body + header->state_bytes, 0, (size_t)(local - body) - header->state_bytes);
    memset(local + header->local_bytes, 0, (size_t)(end - local) - header->local_bytes);
    header->state_xxh3 = xd_xxh3(body, header->state_bytes);
    header->local_xxh3 = xd_xxh3(local, header->local_bytes);
    header->fold_version = CHECKPOINT_FOLD_VERSION;
    header->reserved0 = 0;
    memset(header->reserved1, 0, sizeof(header->reserved1));
    page_seal(header, CHECKPOINT_MAGIC, CHECKPOINT_VERSION);
}

/* What no writer of this release leaves, under a valid hash. NULL = nothing wrong. */
static const char *check_fields(const struct checkpoint_header *header)
{
    if (header->generation == 0 || header->epoch == 0)
        return "generation or epoch 0";
    if (header->segment_bytes < SEGMENT_BYTES_MIN || header->segment_bytes > SEGMENT_BYTES_MAX)
        return "segment_bytes outside its range";
    if (header->position / header->segment_bytes == 0 || header->position % PAGE_BYTES != 0)
        return "the position is not a log position";
    if (header->state_bytes > PART_BYTES_MAX || header->local_bytes > PART_BYTES_MAX)
        return "a part is larger than any checkpoint";
    if (header->reserved0 != 0 || !xd_bytes_zero(header->reserved1, sizeof(header->reserved1)))
        return "reserved bytes are not zero";
    return NULL;
}

int checkpoint_check_header(const struct checkpoint_header *header, const uint8_t log_uuid[16],
                            uint32_t shard, const char **ret_why)
{
    XD_ASSERT(header != NULL);
    XD_ASSERT(ret_why != NULL);
    int status =
        page_check(header, CHECKPOINT_MAGIC, CHECKPOINT_VERSION, XD_CHECKPOINT_CORRUPT, ret_why);
    if (status < 0)
        return status;
    if (header->fold_version > CHECKPOINT_FOLD_VERSION) {
        *ret_why = "the state was folded by a newer release";
        return XD_FORMAT_UNKNOWN;
    }
    if (memcmp(header->log_uuid, log_uuid, sizeof(header->log_uuid)) != 0) {
        *ret_why = "belongs to another log";
        return XD_LOG_FOREIGN;
    }
    if (header->shard != shard) {
        *ret_why = "belongs to another shard";
        return XD_LOG_FOREIGN;
    }
    const char *wrong = check_fields(header);
    if (wrong != NULL) {
        *ret_why = wrong;
        return XD_CHECKPOINT_CORRUPT;
    }
    return 0;
}

int checkpoint_check_body(const struct checkpoint_header *header, const uint8_t *body,
                          const char **ret_why)
{
    XD_ASSERT(header->state_bytes <= PART_BYTES_MAX);
    XD_ASSERT(ret_why != NULL);
    const uint8_t *local = body + checkpoint_local_at(header->state_bytes);
    const uint8_t *end = body + checkpoint_body_bytes(header->state_bytes, header->local_bytes);
    const uint8_t *state_end = body + header->state_bytes, *local_end = local + header->local_bytes;
    if (xd_xxh3(body, header->state_bytes) != header->state_xxh3) {
        *ret_why = "the checksum of the fold state does not match";
        return XD_CHECKPOINT_CORRUPT;
    }
    if (xd_xxh3(local, header->local_bytes) != header->local_xxh3) {
        *ret_why = "the checksum of the local part does not match";
        return XD_CHECKPOINT_CORRUPT;
    }
    if (!xd_bytes_zero(state_end, (size_t)(local - state_end)) ||
        !xd_bytes_zero(local_end, (size_t)(end - local_end))) {
        *ret_why = "the padding behind the fold state or the local part is not zero";
        return XD_CHECKPOINT_CORRUPT;
    }
    return 0;
}
