/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes blocks in memory and whole data folders through the seam, so that tests of the log can
 * start from any state that a crash or a bad disk leaves.
 *
 * Normal path: image_begin, image_segment, image_data / image_local in log sequence, image_meta,
 * image_end. Everything is durable when a call returns. Damage is then done with sim_disk_patch.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_LOG_IMAGE_H
#define CROSSDOCK_TESTS_SUPPORT_LOG_IMAGE_H

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "broker/log/blocking.h"
#include "broker/log/block.h"
#include "broker/log/checkpoint_format.h"
#include "broker/log/meta.h"
#include "broker/log/point.h"
#include "broker/log/segment.h"
#include "wire/checksum.h"

#define IMAGE_SEGMENT_BYTES SEGMENT_BYTES_MIN
#define IMAGE_EPOCH 5u
#define IMAGE_SHARD 1u
#define IMAGE_SHARD_COUNT 2u
#define IMAGE_SLOTS 8u

/* Appends a batch of made-up records behind the payload of an open block. */
static inline void image_add_batch(struct block_header *block, uint32_t partition,
                                   uint64_t base_offset, uint16_t records, uint32_t batch_bytes,
                                   uint32_t suppressed)
{
    uint8_t *at = (uint8_t *)(block + 1) + block->payload_bytes;
    struct xd_batch_header *batch = (struct xd_batch_header *)(void *)at;
    memset(batch, 0, sizeof(*batch));
    for (uint32_t i = XD_BATCH_HEADER_BYTES; i < batch_bytes; i++)
        at[i] = (uint8_t)(i * 7 + base_offset);
    batch->partition = partition;
    batch->producer_id = 12;
    batch->producer_epoch = 1;
    batch->record_count = records;
    batch->first_sequence = base_offset + 1;
    batch->last_sequence = base_offset + records;
    batch->previous_sequence = base_offset;
    batch->first_event_time_us = 1000;
    batch->last_event_time_us = 2000;
    batch->raw_bytes = batch_bytes - XD_BATCH_HEADER_BYTES;
    xd_batch_seal(batch, batch_bytes);
    batch->base_offset = base_offset;
    batch->append_time_us = 5000 + (int64_t)base_offset;
    batch->suppressed_count = suppressed;
    uint32_t stride = xd_batch_stride(batch);
    memset(at + batch_bytes, 0, stride - batch_bytes);
    for (uint32_t i = 0; i < suppressed; i++)
        at[batch_bytes + i / 8] |= (uint8_t)(1u << i % 8);
    block->payload_bytes += stride;
    block->batch_count++;
    block->record_count += records;
}

/* Makes the header's hash right again after a test has bent a field. */
static inline void image_rehash(struct block_header *block, const struct block_identity *identity)
{
    block->header_xxh3 =
        xd_xxh3_seeded((const uint8_t *)block + 8, BLOCK_HEADER_BYTES - 8, block_seed(identity));
}

/* A folder being made. */
struct image {
    struct env *env;               /* */
    struct meta meta;              /* as image_meta will write it */
    struct recover_point point;    /* next block */
    uint64_t durable;              /* durable_index of the next blocks */
    uint64_t next_offset;          /* of partition 7 */
    env_file files[IMAGE_SLOTS];   /* -1 = none */
    uint64_t numbers[IMAGE_SLOTS]; /* segment in each slot */
    uint8_t *memory;               /* a block, then pages */
};

static inline void image_begin(struct image *image, struct env *env)
{
    memset(image, 0, sizeof(*image));
    image->env = env;
    for (uint32_t i = 0; i < IMAGE_SLOTS; i++)
        image->files[i] = -1;
    image->memory = env_mem_alloc(env, XD_BLOCK_BYTES_MAX);
    cr_assert_not_null(image->memory);
    image->point = point_first(IMAGE_SEGMENT_BYTES);
    image->point.epoch = IMAGE_EPOCH;
    image->point.term = 1;
    struct meta *meta = &image->meta;
    memset(meta->log_uuid, 0x5a, sizeof(meta->log_uuid));
    meta->generation = 20;
    meta->shard = IMAGE_SHARD;
    meta->shard_count = IMAGE_SHARD_COUNT;
    meta->segment_bytes = IMAGE_SEGMENT_BYTES;
    meta->epoch = IMAGE_EPOCH;
    meta->epoch_first_index = 1;
    meta->epoch_position = image->point.position;
    meta->epoch_sequence = 1;
    meta->term = 1;
}

/* Puts the header of segment `segment_no` into a slot, with a new file if there is none. */
static inline void image_segment_in(struct image *image, uint32_t slot, uint64_t segment_no,
                                    uint64_t epoch)
{
    char name[ENV_NAME_BYTES_MAX];
    segment_name(slot, name);
    if (image->files[slot] < 0) {
        cr_assert_eq(env_file_open(image->env, name, ENV_OPEN_CREATE, &image->files[slot]), 0);
        cr_assert_eq(env_file_reserve(image->env, image->files[slot], IMAGE_SEGMENT_BYTES), 0);
        cr_assert_eq(blocking_sync(image->env, image->files[slot]), 0);
        cr_assert_eq(env_dir_sync(image->env, ""), 0);
    }
    struct segment_header *header = (struct segment_header *)(void *)image->memory;
    memset(header, 0, sizeof(*header));
    header->shard = IMAGE_SHARD;
    header->segment_no = segment_no;
    header->segment_bytes = IMAGE_SEGMENT_BYTES;
    header->epoch = epoch;
    memcpy(header->log_uuid, image->meta.log_uuid, sizeof(header->log_uuid));
    segment_header_seal(header);
    cr_assert_eq(blocking_write(image->env, image->files[slot], header, sizeof(*header), 0), 0);
    image->numbers[slot] = segment_no;
}

static inline void image_segment(struct image *image, uint32_t slot, uint64_t segment_no)
{
    image_segment_in(image, slot, segment_no, image->point.epoch);
}

/* Closes the block in memory, writes it at the point and moves on. Returns its log position. */
static inline uint64_t image_write_block(struct image *image, struct block_header *block)
{
    const uint64_t position = image->point.position;
    struct block_identity identity =
        point_identity(&image->meta, position / IMAGE_SEGMENT_BYTES, image->point.epoch);
    block_seal(block, &identity, position);
    uint32_t slot = 0;
    while (slot < IMAGE_SLOTS && image->numbers[slot] != identity.segment_no)
        slot++;
    cr_assert_lt(slot, IMAGE_SLOTS, "segment %lu has no slot", (unsigned long)identity.segment_no);
    cr_assert_eq(blocking_write(image->env, image->files[slot], block, block->block_bytes,
                                position % IMAGE_SEGMENT_BYTES),
                 0);
    point_advance(&image->point, block, position, IMAGE_SEGMENT_BYTES);
    return position;
}

static inline struct block_header *image_open_block(struct image *image, uint16_t type)
{
    struct block_header *block = (struct block_header *)(void *)image->memory;
    *block = (struct block_header){.type = type,
                                   .epoch = image->point.epoch,
                                   .block_sequence = image->point.sequence,
                                   .durable_index = image->durable,
                                   .term = image->point.term,
                                   .index = image->point.index,
                                   .prev_chain = image->point.chain};
    return block;
}

/* A data block with one batch of `batch_bytes` in partition 7. */
static inline uint64_t image_data(struct image *image, uint32_t batch_bytes)
{
    struct block_header *block = image_open_block(image, BLOCK_DATA);
    image_add_batch(block, 7, image->next_offset, 4, batch_bytes, 0);
    image->next_offset += 4;
    return image_write_block(image, block);
}

/* A SEAL or MARK. */
static inline uint64_t image_local(struct image *image, uint16_t type)
{
    struct block_header *block = image_open_block(image, type);
    block->index--;
    return image_write_block(image, block);
}

/* What recovery does at the end: the next blocks belong to a new epoch. */
static inline void image_raise_epoch(struct image *image)
{
    image->point.epoch++;
    image->meta.epoch = image->point.epoch;
    image->meta.epoch_first_index = image->point.index;
    image->meta.epoch_position = image->point.position;
    image->meta.epoch_chain = image->point.chain;
    image->meta.epoch_sequence = image->point.sequence;
    image->meta.durable_index = image->point.index - 1;
}

/* Writes both meta slots. */
static inline void image_meta(struct image *image)
{
    env_file file;
    cr_assert_eq(env_file_open(image->env, "meta", ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(env_file_reserve(image->env, file, META_SLOTS * META_SLOT_BYTES), 0);
    cr_assert_eq(env_dir_sync(image->env, ""), 0);
    for (uint32_t i = 0; i < META_SLOTS; i++) {
        image->meta.generation++;
        meta_seal(&image->meta);
        memcpy(image->memory, &image->meta, sizeof(image->meta));
        cr_assert_eq(blocking_write(image->env, file, image->memory, META_SLOT_BYTES,
                                    image->meta.generation % META_SLOTS * META_SLOT_BYTES),
                     0);
    }
    cr_assert_eq(blocking_sync(image->env, file), 0);
    env_file_close(image->env, file);
}

/* Writes the checkpoint of a generation as of the image's point; state and local part are filled
 * with the generation. Returns the hash that meta must name. */
static inline uint64_t image_checkpoint(struct image *image, uint64_t generation,
                                        uint64_t state_bytes, uint64_t local_bytes)
{
    struct checkpoint_header *header = (struct checkpoint_header *)(void *)image->memory;
    uint8_t *body = image->memory + CHECKPOINT_HEADER_BYTES;
    const uint64_t bytes = checkpoint_body_bytes(state_bytes, local_bytes);
    cr_assert_leq(CHECKPOINT_HEADER_BYTES + bytes, XD_BLOCK_BYTES_MAX);
    memset(body, (int)generation, bytes);
    *header = (struct checkpoint_header){.generation = generation,
                                         .shard = IMAGE_SHARD,
                                         .epoch = IMAGE_EPOCH,
                                         .position = image->point.position,
                                         .index = image->point.index - 1,
                                         .term = 1,
                                         .chain = image->point.chain,
                                         .block_sequence = image->point.sequence - 1,
                                         .state_bytes = state_bytes,
                                         .local_bytes = local_bytes,
                                         .segment_bytes = IMAGE_SEGMENT_BYTES};
    memcpy(header->log_uuid, image->meta.log_uuid, sizeof(header->log_uuid));
    checkpoint_seal(header, body);
    char name[ENV_NAME_BYTES_MAX];
    checkpoint_name(generation, name);
    env_file file;
    cr_assert_eq(env_file_open(image->env, name, ENV_OPEN_CREATE, &file), 0);
    cr_assert_eq(
        blocking_write(image->env, file, header, (uint32_t)(CHECKPOINT_HEADER_BYTES + bytes), 0),
        0);
    cr_assert_eq(env_dir_sync(image->env, ""), 0);
    env_file_close(image->env, file);
    return header->xxh3;
}

static inline void image_end(struct image *image)
{
    for (uint32_t i = 0; i < IMAGE_SLOTS; i++)
        if (image->files[i] >= 0)
            env_file_close(image->env, image->files[i]);
}

#endif
