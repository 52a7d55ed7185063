/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks, large buffers, relays and the pieces of a send; see output.h.
 *
 * Layout of a chunk, from `taken` to `used`: segments at multiples of OUT_ALIGN, each a u32 length,
 * 4 unused bytes, and the bytes. A commit lengthens the last segment when that ends aligned and no
 * send has taken it; so frames of whole words become one piece however many they are.
 */
#include "broker/net/output.h"

#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

/* In front of each segment of a chunk; keeps the bytes behind it aligned. */
#define SEGMENT_HEAD_BYTES OUT_ALIGN

/* `segment` of a chunk whose last segment may not be lengthened any more. */
#define SEGMENT_CLOSED UINT32_MAX

static uint32_t align_up(uint32_t value, uint32_t align)
{
    return (value + align - 1) & ~(align - 1);
}

/* A chunk of the pool: the block, then its bytes. One segment of chunk_bytes fits. */
static size_t chunk_element_bytes(const struct output_sizes *sizes)
{
    return sizeof(struct out_block) + SEGMENT_HEAD_BYTES + sizes->chunk_bytes;
}

static uint32_t large_element_bytes(const struct output_sizes *sizes)
{
    return align_up(sizes->large_bytes, LARGE_ALIGN);
}

static size_t relay_pool_bytes(const struct output_sizes *sizes)
{
    return sizes->relay_count > 0 ? pool_bytes(sizeof(struct relay), sizes->relay_count) : 0;
}

uint64_t output_bytes_needed(const struct output_sizes *sizes)
{
    return pool_bytes(chunk_element_bytes(sizes), sizes->chunk_count) +
           pool_bytes(large_element_bytes(sizes), sizes->large_count) + relay_pool_bytes(sizes) +
           POOL_ALIGN + sizes->large_count * sizeof(struct out_block) + 2 * (uint64_t)POOL_ALIGN +
           LARGE_ALIGN;
}

int output_init(struct output *output, struct arena *arena, const struct output_sizes *sizes)
{
    size_t chunk_bytes = pool_bytes(chunk_element_bytes(sizes), sizes->chunk_count);
    size_t large_bytes = pool_bytes(large_element_bytes(sizes), sizes->large_count);

    XD_ASSERT(sizes->chunk_bytes > 0 && sizes->chunk_bytes % OUT_ALIGN == 0);
    XD_ASSERT(sizes->chunks_per_conn > 0);
    void *chunk_memory = arena_alloc(arena, chunk_bytes, POOL_ALIGN);
    void *large_memory = arena_alloc(arena, large_bytes, LARGE_ALIGN);
    struct out_block *large_of =
        arena_alloc(arena, sizes->large_count * sizeof(*large_of), POOL_ALIGN);
    if (chunk_memory == NULL || large_memory == NULL || large_of == NULL)
        return -ENOMEM;

    *output = (struct output){.sizes = *sizes, .large_of = large_of};
    memset(large_of, 0, sizes->large_count * sizeof(*large_of));
    list_init(&output->relayed);
    pool_init(&output->chunks, chunk_memory, chunk_bytes, chunk_element_bytes(sizes),
              sizes->chunk_count);
    pool_init(&output->larges, large_memory, large_bytes, large_element_bytes(sizes),
              sizes->large_count);
    if (sizes->relay_count > 0) {
        void *relay_memory = arena_alloc(arena, relay_pool_bytes(sizes), POOL_ALIGN);
        if (relay_memory == NULL)
            return -ENOMEM;
        pool_init(&output->relays, relay_memory, relay_pool_bytes(sizes), sizeof(struct relay),
                  sizes->relay_count);
    }
    return 0;
}

uint8_t *output_large_acquire(struct output *output)
{
    return pool_acquire(&output->larges);
}

void output_large_release(struct output *output, uint8_t *large)
{
    const struct out_block *block = &output->large_of[pool_index(&output->larges, large)];

    XD_ASSERT(!list_linked(&block->node)); /* a failure here is a release of a queued buffer */
    pool_release(&output->larges, large);
}

void outbox_init(struct outbox *outbox)
{
    *outbox = (struct outbox){0};
    list_init(&outbox->blocks);
}

static struct out_block *block_of(struct list_node *node)
{
    return LIST_ELEMENT(node, struct out_block, node);
}

static struct out_block *block_first(const struct outbox *outbox)
{
    struct list_node *node = list_first(&outbox->blocks);
    return node != NULL ? block_of(node) : NULL;
}

/* The last block when it is a chunk, else NULL. */
static struct out_block *chunk_last(const struct outbox *outbox)
{
    if (list_empty(&outbox->blocks))
        return NULL;
    struct out_block *block = block_of(outbox->blocks.root.prev);
    return block->kind == OUT_CHUNK ? block : NULL;
}

static struct relay *relay_of(struct out_block *block)
{
    XD_ASSERT(block->kind == OUT_RELAY);
    return (struct relay *)(void *)block;
}

/* The other shard's pieces are done with; it has to be told. */
static void relay_finish(struct output *output, struct outbox *outbox, struct relay *relay)
{
    XD_ASSERT(outbox->relay_chunk_count >= relay->chunk_count);
    XD_ASSERT(outbox->relay_large_count >= relay->large_count);
    outbox->relay_chunk_count = (uint16_t)(outbox->relay_chunk_count - relay->chunk_count);
    outbox->relay_large_count = (uint16_t)(outbox->relay_large_count - relay->large_count);
    list_push_back(&output->relayed, &relay->block.node);
}

static void block_release(struct output *output, struct outbox *outbox, struct out_block *block)
{
    list_remove(&block->node);
    switch (block->kind) {
    case OUT_CHUNK:
        XD_ASSERT(outbox->chunk_count > 0);
        outbox->chunk_count--;
        pool_release(&output->chunks, block);
        break;
    case OUT_LARGE:
        XD_ASSERT(outbox->large_count > 0);
        outbox->large_count--;
        output_large_release(output, block->data);
        break;
    case OUT_RELAY:
        relay_finish(output, outbox, relay_of(block));
        break;
    }
}

/* ---- in -------------------------------------------------------------------------------------- */

/* Where `bytes` would start in the chunk, or 0 when they do not fit. */
static uint32_t chunk_room(const struct output *output, const struct out_block *chunk,
                           uint32_t bytes)
{
    uint32_t end = SEGMENT_HEAD_BYTES + output->sizes.chunk_bytes;
    bool lengthen = chunk->segment != SEGMENT_CLOSED && chunk->used % OUT_ALIGN == 0;
    uint32_t at = lengthen ? chunk->used : align_up(chunk->used, OUT_ALIGN) + SEGMENT_HEAD_BYTES;

    XD_ASSERT(at > 0 && at % OUT_ALIGN == 0);
    return at <= end && bytes <= end - at ? at : 0;
}

static struct out_block *chunk_add(struct output *output, struct outbox *outbox)
{
    /* Replies to what was already under way may still go out when the outbox is full. */
    XD_ASSERT(outbox->chunk_count <= 2 * output->sizes.chunks_per_conn);
    if (outbox->chunk_count >= 2 * output->sizes.chunks_per_conn)
        return NULL;
    struct out_block *chunk = pool_acquire(&output->chunks);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct out_block){.data = (uint8_t *)(chunk + 1), .segment = SEGMENT_CLOSED};
    list_push_back(&outbox->blocks, &chunk->node);
    outbox->chunk_count++;
    return chunk;
}

uint8_t *outbox_reserve(struct output *output, struct outbox *outbox, uint32_t bytes)
{
    struct out_block *chunk = chunk_last(outbox);
    uint32_t at = chunk != NULL ? chunk_room(output, chunk, bytes) : 0;

    XD_ASSERT(bytes > 0);
    XD_ASSERT(bytes <= output->sizes.chunk_bytes);
    outbox->room_bytes = 0;
    if (at == 0) {
        chunk = chunk_add(output, outbox);
        if (chunk == NULL)
            return NULL;
        at = chunk_room(output, chunk, bytes);
        XD_ASSERT(at > 0);
    }
    outbox->room_at = at;
    outbox->room_bytes = bytes;
    return chunk->data + at;
}

void outbox_commit(struct outbox *outbox, uint32_t bytes)
{
    struct out_block *chunk = chunk_last(outbox);
    uint32_t length = bytes;

    XD_ASSERT(chunk != NULL && outbox->room_bytes > 0);
    XD_ASSERT(bytes <= outbox->room_bytes);
    outbox->room_bytes = 0;
    if (bytes == 0)
        return;
    if (outbox->room_at == chunk->used) {
        XD_ASSERT(chunk->segment != SEGMENT_CLOSED);
        memcpy(&length, chunk->data + chunk->segment, sizeof(length));
        length += bytes;
    } else {
        chunk->segment = outbox->room_at - SEGMENT_HEAD_BYTES;
    }
    memcpy(chunk->data + chunk->segment, &length, sizeof(length));
    chunk->used = outbox->room_at + bytes;
    XD_ASSERT(chunk->taken <= chunk->used && chunk->segment < chunk->used);
}

void outbox_large_queue(struct output *output, struct outbox *outbox, uint8_t *large,
                        uint32_t bytes)
{
    struct out_block *block = &output->large_of[pool_index(&output->larges, large)];

    XD_ASSERT(bytes > 0 && bytes <= output->sizes.large_bytes);
    XD_ASSERT(!list_linked(&block->node));
    outbox->room_bytes = 0;
    *block = (struct out_block){.data = large, .used = bytes, .kind = OUT_LARGE};
    list_push_back(&outbox->blocks, &block->node);
    outbox->large_count++;
    XD_ASSERT(outbox->large_count <= output->sizes.large_count);
}

void outbox_relay_queue(struct output *output, struct outbox *outbox, const struct iovec *pieces,
                        uint32_t count, uint64_t cookie)
{
    struct relay *relay =
        pool_free_count(&output->relays) > 0 ? pool_acquire(&output->relays) : NULL;
    uint64_t bytes = 0;

    XD_ASSERT(relay != NULL); /* a failure here is a second relay of a connection and shard */
    XD_ASSERT(count > 0 && count <= SEND_PIECES_MAX);
    outbox->room_bytes = 0;
    *relay = (struct relay){
        .block = {.used = count, .kind = OUT_RELAY}, .pieces = pieces, .cookie = cookie};
    for (uint32_t i = 0; i < count; i++) {
        XD_ASSERT(pieces[i].iov_len > 0);
        if (pieces[i].iov_len > output->sizes.chunk_bytes)
            relay->large_count++;
        else
            bytes += pieces[i].iov_len;
    }
    relay->chunk_count =
        (uint16_t)((bytes + output->sizes.chunk_bytes - 1) / output->sizes.chunk_bytes);
    XD_ASSERT(relay->chunk_count <= UINT16_MAX - outbox->relay_chunk_count);
    XD_ASSERT(relay->large_count <= UINT16_MAX - outbox->relay_large_count);
    outbox->relay_chunk_count = (uint16_t)(outbox->relay_chunk_count + relay->chunk_count);
    outbox->relay_large_count = (uint16_t)(outbox->relay_large_count + relay->large_count);
    list_push_back(&outbox->blocks, &relay->block.node);
}

bool output_relay_next(struct output *output, uint64_t *ret_cookie)
{
    struct list_node *node = list_pop_front(&output->relayed);

    if (node == NULL)
        return false;
    struct relay *relay = relay_of(block_of(node));
    *ret_cookie = relay->cookie;
    pool_release(&output->relays, relay);
    return true;
}

uint32_t output_relay_count(const struct output *output)
{
    XD_ASSERT(pool_free_count(&output->relays) <= output->relays.element_count);
    return output->relays.element_count - pool_free_count(&output->relays);
}

/* ---- out ------------------------------------------------------------------------------------- */

/* The next piece of a block; false when all of it is taken. */
static bool block_take(struct out_block *block, struct iovec *ret_piece)
{
    uint32_t length;

    if (block->taken >= block->used)
        return false;
    if (block->kind == OUT_LARGE) {
        *ret_piece = (struct iovec){.iov_base = block->data, .iov_len = block->used};
        block->taken = block->used;
        return true;
    }
    if (block->kind == OUT_RELAY) {
        *ret_piece = relay_of(block)->pieces[block->taken++];
        return true;
    }
    memcpy(&length, block->data + block->taken, sizeof(length));
    XD_ASSERT(length > 0);
    XD_ASSERT(length <= block->used - block->taken - SEGMENT_HEAD_BYTES);
    if (block->taken == block->segment)
        block->segment = SEGMENT_CLOSED;
    *ret_piece = (struct iovec){.iov_base = block->data + block->taken + SEGMENT_HEAD_BYTES,
                                .iov_len = length};
    block->taken = align_up(block->taken + SEGMENT_HEAD_BYTES + length, OUT_ALIGN);
    return true;
}

uint32_t outbox_take(struct output *output, struct outbox *outbox)
{
    struct out_block *tail = chunk_last(outbox);
    uint32_t count = 0;
    uint64_t bytes = 0;

    XD_ASSERT(!outbox_flying(outbox));
    outbox->room_bytes = 0;
    if (tail != NULL && tail->used == 0)
        block_release(output, outbox, tail); /* reserved, never committed */
    for (struct list_node *node = list_first(&outbox->blocks);
         node != NULL && count < SEND_PIECES_MAX; node = list_next(&outbox->blocks, node)) {
        while (count < SEND_PIECES_MAX && block_take(block_of(node), &outbox->pieces[count])) {
            bytes += outbox->pieces[count].iov_len;
            count++;
        }
    }
    XD_ASSERT((count == 0) == list_empty(&outbox->blocks));
    XD_ASSERT(bytes <= INT32_MAX);
    outbox->piece_count = (uint16_t)count;
    outbox->flying_bytes = (uint32_t)bytes;
    return count;
}

void outbox_sent(struct output *output, struct outbox *outbox)
{
    struct out_block *block;

    XD_ASSERT(outbox_flying(outbox));
    outbox->piece_count = 0;
    outbox->flying_bytes = 0;
    outbox->room_bytes = 0;
    while ((block = block_first(outbox)) != NULL && block->taken >= block->used)
        block_release(output, outbox, block);
}

void outbox_drop(struct output *output, struct outbox *outbox)
{
    struct out_block *block;

    XD_ASSERT(!outbox_flying(outbox));
    while ((block = block_first(outbox)) != NULL)
        block_release(output, outbox, block);
    XD_ASSERT(outbox->chunk_count == 0);
    XD_ASSERT(outbox->large_count == 0);
    XD_ASSERT(outbox->relay_chunk_count == 0 && outbox->relay_large_count == 0);
    outbox->room_bytes = 0;
}

bool outbox_empty(const struct outbox *outbox)
{
    return list_empty(&outbox->blocks);
}
