/* SPDX-License-Identifier: Apache-2.0
 *
 * Pieces and frames; see assemble.h.
 *
 * A frame that lies in one buffer costs: one piece for the whole receive, one header decoded, one
 * iovec. Nothing is copied but a header that two receives share, and what is spilled.
 */
#include "broker/net/assemble.h"

#include "wire/limits.h"
#include "wire/xassert.h"

#include <errno.h>
#include <string.h>

uint64_t assemble_bytes_needed(uint32_t buffers_max, uint32_t chunk_count)
{
    uint32_t pieces = buffers_max + chunk_count;
    return pool_bytes(sizeof(struct piece), pieces) + pool_bytes(SPILL_CHUNK_BYTES, chunk_count) +
           (uint64_t)pieces * sizeof(struct iovec) + 3 * (uint64_t)POOL_ALIGN;
}

int assemble_init(struct assemble *assemble, struct env *env, struct arena *arena,
                  uint32_t buffers_max, uint32_t chunk_count)
{
    uint32_t pieces = buffers_max + chunk_count;
    size_t piece_bytes = pool_bytes(sizeof(struct piece), pieces);
    size_t chunk_bytes = pool_bytes(SPILL_CHUNK_BYTES, chunk_count);

    XD_ASSERT(buffers_max > 0);
    XD_ASSERT(chunk_count > 0);
    void *piece_memory = arena_alloc(arena, piece_bytes, POOL_ALIGN);
    void *chunk_memory = arena_alloc(arena, chunk_bytes, POOL_ALIGN);
    struct iovec *iovecs = arena_alloc(arena, pieces * sizeof(*iovecs), POOL_ALIGN);
    if (piece_memory == NULL || chunk_memory == NULL || iovecs == NULL)
        return -ENOMEM;

    *assemble = (struct assemble){.env = env, .iovecs = iovecs, .iovec_count = pieces};
    pool_init(&assemble->pieces, piece_memory, piece_bytes, sizeof(struct piece), pieces);
    pool_init(&assemble->chunks, chunk_memory, chunk_bytes, SPILL_CHUNK_BYTES, chunk_count);
    return 0;
}

void piece_free(struct assemble *assemble, struct piece *piece)
{
    XD_ASSERT(piece->users == 0);
    if (piece->chunk != NULL) {
        pool_release(&assemble->chunks, piece->chunk);
    } else {
        XD_ASSERT(assemble->lent_count > 0);
        assemble->lent_count--;
        env_buffer_release(assemble->env, piece->buffer);
    }
    pool_release(&assemble->pieces, piece);
}

/* A piece leaves the inbox. Its memory goes back, unless lent frames keep it. */
static void piece_release(struct assemble *assemble, struct inbox *inbox, struct piece *piece)
{
    bool lent = piece->chunk == NULL;

    XD_ASSERT(!lent || inbox->lent_count > 0);
    if (lent)
        inbox->lent_count--;
    if (piece->users == 0) {
        piece_free(assemble, piece);
        return;
    }
    piece->bytes = 0;
    piece->next = NULL;
    if (lent)
        inbox->kept_count++;
}

void inbox_append(struct assemble *assemble, struct inbox *inbox, const uint8_t *data,
                  uint32_t bytes, uint16_t buffer)
{
    struct piece *piece = pool_acquire(&assemble->pieces);

    /* One piece for each buffer there is, so an unused one is there for this buffer. */
    XD_ASSERT(piece != NULL);
    XD_ASSERT(bytes > 0 && buffer != ENV_BUFFER_NONE);
    XD_ASSERT(inbox->lent_count < UINT16_MAX); /* ENV_BUFFER_NONE is no buffer */
    *piece = (struct piece){.data = data, .bytes = bytes, .buffer = buffer};
    if (inbox->last != NULL)
        inbox->last->next = piece;
    else
        inbox->first = piece;
    inbox->last = piece;
    inbox->lent_count++;
    assemble->lent_count++;
    inbox->bytes += bytes;
    XD_ASSERT(inbox->lent_count <= assemble->lent_count);
    XD_DEBUG_ASSERT((inbox_check(inbox), true));
}

/* Copies the first 16 bytes together when they lie in several pieces. */
static const uint8_t *header_at(const struct inbox *inbox, uint8_t *scratch)
{
    uint32_t have = 0;

    XD_ASSERT(inbox->bytes >= XD_FRAME_HEADER_BYTES);
    if (inbox->first->bytes >= XD_FRAME_HEADER_BYTES)
        return inbox->first->data;
    for (const struct piece *piece = inbox->first; have < XD_FRAME_HEADER_BYTES;
         piece = piece->next) {
        uint32_t left = XD_FRAME_HEADER_BYTES - have;
        uint32_t take = piece->bytes < left ? piece->bytes : left;
        memcpy(scratch + have, piece->data, take);
        have += take;
    }
    return scratch;
}

int inbox_head(struct inbox *inbox, uint32_t length_max)
{
    if (!inbox->head_known) {
        uint8_t scratch[XD_FRAME_HEADER_BYTES];
        if (inbox->bytes < XD_FRAME_HEADER_BYTES)
            return XD_PARTIAL;
        int status = xd_frame_decode(header_at(inbox, scratch), XD_FRAME_HEADER_BYTES, length_max,
                                     &inbox->head);
        if (status < 0)
            return status;
        XD_ASSERT(status == (int)XD_FRAME_HEADER_BYTES);
        inbox->head_known = true;
    }
    return inbox->bytes >= (uint64_t)XD_FRAME_HEADER_BYTES + inbox->head.length ? INBOX_WHOLE
                                                                                : XD_PARTIAL;
}

uint32_t inbox_pieces(struct assemble *assemble, const struct inbox *inbox)
{
    const struct piece *piece = inbox->first;
    uint32_t skip = XD_FRAME_HEADER_BYTES;
    uint32_t left = inbox->head.length;
    uint32_t count = 0;

    XD_ASSERT(inbox->head_known);
    XD_ASSERT(inbox->bytes >= (uint64_t)skip + left);
    while (left > 0) {
        if (piece->bytes <= skip) {
            skip -= piece->bytes;
            piece = piece->next;
            continue;
        }
        uint32_t bytes = piece->bytes - skip < left ? piece->bytes - skip : left;
        XD_ASSERT(count < assemble->iovec_count);
        /* iovec has no const; readers get it as const struct iovec and must not write. */
        assemble->iovecs[count++] =
            (struct iovec){.iov_base = (uint8_t *)(uintptr_t)piece->data + skip, .iov_len = bytes};
        left -= bytes;
        skip = 0;
        piece = piece->next;
    }
    return count;
}

void inbox_consume(struct assemble *assemble, struct inbox *inbox)
{
    uint32_t left = XD_FRAME_HEADER_BYTES + inbox->head.length;

    XD_ASSERT(inbox->head_known);
    XD_ASSERT(inbox->bytes >= left);
    inbox->bytes -= left;
    inbox->head_known = false;
    while (left > 0) {
        struct piece *piece = inbox->first;
        if (piece->bytes > left) {
            piece->data += left;
            piece->bytes -= left;
            return;
        }
        XD_ASSERT(piece->bytes > 0);
        left -= piece->bytes;
        inbox->first = piece->next;
        if (inbox->last == piece)
            inbox->last = NULL;
        if (inbox->spill_last == piece)
            inbox->spill_last = NULL;
        piece_release(assemble, inbox, piece);
    }
    XD_ASSERT((inbox->first == NULL) == (inbox->bytes == 0));
}

/* A piece over an empty spill chunk behind the spilled ones, or NULL when no more than `keep`
 * chunks are free. */
static struct piece *spill_extend(struct assemble *assemble, struct inbox *inbox, uint32_t keep)
{
    struct piece *before = inbox->spill_last;

    if (pool_free_count(&assemble->chunks) <= keep)
        return NULL;
    uint8_t *chunk = pool_acquire(&assemble->chunks);
    struct piece *piece = pool_acquire(&assemble->pieces);
    XD_ASSERT(chunk != NULL && piece != NULL);
    *piece = (struct piece){.data = chunk,
                            .chunk = chunk,
                            .room = SPILL_CHUNK_BYTES,
                            .buffer = ENV_BUFFER_NONE,
                            .next = before != NULL ? before->next : inbox->first};
    /* A lent piece follows, so `last` stays. */
    XD_ASSERT(piece->next != NULL);
    if (before != NULL)
        before->next = piece;
    else
        inbox->first = piece;
    inbox->spill_last = piece;
    return piece;
}

/* Copies one lent piece behind the spilled ones; false when chunks ran out on the way, what is left
 * of it stays lent. */
static bool spill_piece(struct assemble *assemble, struct inbox *inbox, struct piece *lent,
                        uint32_t keep)
{
    struct piece *into = inbox->spill_last;

    XD_ASSERT(lent->chunk == NULL);
    while (lent->bytes > 0) {
        if (into == NULL || into->room == 0)
            into = spill_extend(assemble, inbox, keep);
        if (into == NULL)
            return false;
        uint32_t bytes = lent->bytes < into->room ? lent->bytes : into->room;
        memcpy(into->chunk + (SPILL_CHUNK_BYTES - into->room), lent->data, bytes);
        into->bytes += bytes;
        into->room -= bytes;
        lent->data += bytes;
        lent->bytes -= bytes;
        assemble->spilled_bytes += bytes;
    }
    into->next = lent->next;
    if (inbox->last == lent)
        inbox->last = into;
    piece_release(assemble, inbox, lent);
    return true;
}

bool inbox_spill(struct assemble *assemble, struct inbox *inbox, uint32_t keep)
{
    while (inbox->lent_count > 0) {
        struct piece *lent = inbox->spill_last != NULL ? inbox->spill_last->next : inbox->first;
        XD_ASSERT(lent != NULL);
        if (lent->users > 0 && lent->next == NULL)
            return true; /* A copy would cost a chunk and bring no buffer. */
        if (!spill_piece(assemble, inbox, lent, keep))
            return false;
    }
    return true;
}

void inbox_drop(struct assemble *assemble, struct inbox *inbox)
{
    struct piece *piece = inbox->first;

    while (piece != NULL) {
        struct piece *next = piece->next;
        piece_release(assemble, inbox, piece);
        piece = next;
    }
    XD_ASSERT(inbox->lent_count == 0);
    *inbox = (struct inbox){.kept_count = inbox->kept_count};
}

void inbox_check(const struct inbox *inbox)
{
    const struct piece *last = NULL;
    const struct piece *spill_last = NULL;
    uint64_t bytes = 0;
    uint32_t lent = 0;

    for (const struct piece *piece = inbox->first; piece != NULL; piece = piece->next) {
        XD_ASSERT(piece->bytes > 0);
        XD_ASSERT(piece->chunk == NULL || lent == 0);
        XD_ASSERT(piece->users == 0 || piece == inbox->first || piece == inbox_lent_first(inbox));
        bytes += piece->bytes;
        if (piece->chunk == NULL)
            lent++;
        else
            spill_last = piece;
        last = piece;
    }
    XD_ASSERT(bytes == inbox->bytes);
    XD_ASSERT(lent == inbox->lent_count);
    XD_ASSERT(last == inbox->last);
    XD_ASSERT(spill_last == inbox->spill_last);
    XD_ASSERT(!inbox->head_known || bytes >= XD_FRAME_HEADER_BYTES);
}
