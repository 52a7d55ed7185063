/* SPDX-License-Identifier: Apache-2.0
 *
 * Lent frames; see lend.h.
 *
 * The first piece of a payload is part of the frame's own element, since nearly all have one only.
 * Further ones come from a pool with an element for each piece that an assemble has, and that is
 * enough: a frame of n pieces covers the n-1 gaps between them, no gap is covered by two frames,
 * and the piece in front of a gap stays as long as the frame.
 */
#include "broker/net/lend.h"

#include "broker/net/conn.h"
#include "wire/frame.h"
#include "wire/xassert.h"

#include <errno.h>

uint64_t lend_bytes_needed(uint32_t frames_max, uint32_t pieces_max)
{
    if (frames_max == 0)
        return 0;
    return pool_bytes(sizeof(struct net_lent), frames_max) +
           pool_bytes(sizeof(struct net_lent_piece), pieces_max) + 2 * (uint64_t)POOL_ALIGN;
}

int lend_init(struct lend *lend, struct arena *arena, uint32_t pieces_max,
              const struct lend_limits *limits)
{
    *lend = (struct lend){.limits = *limits};
    if (limits->frames_max == 0)
        return 0;
    XD_ASSERT(pieces_max > 0);
    XD_ASSERT(limits->conn_bytes_max > 0 && limits->conn_buffers_max > 0);
    XD_ASSERT(limits->conn_frames_max > 0);
    size_t frame_bytes = pool_bytes(sizeof(struct net_lent), limits->frames_max);
    size_t piece_bytes = pool_bytes(sizeof(struct net_lent_piece), pieces_max);
    void *frame_memory = arena_alloc(arena, frame_bytes, POOL_ALIGN);
    void *piece_memory = arena_alloc(arena, piece_bytes, POOL_ALIGN);
    if (frame_memory == NULL || piece_memory == NULL)
        return -ENOMEM;
    pool_init(&lend->frames, frame_memory, frame_bytes, sizeof(struct net_lent),
              limits->frames_max);
    pool_init(&lend->pieces, piece_memory, piece_bytes, sizeof(struct net_lent_piece), pieces_max);
    return 0;
}

/* The piece in which the payload of the first frame begins, which must not be empty. */
static struct piece *payload_first(const struct inbox *inbox)
{
    struct piece *piece = inbox->first;
    uint32_t skip = XD_FRAME_HEADER_BYTES;

    XD_ASSERT(inbox->head.length > 0);
    for (; piece->bytes <= skip; piece = piece->next) {
        skip -= piece->bytes;
        XD_ASSERT(piece->next != NULL);
    }
    return piece;
}

static bool over(uint32_t count, uint32_t more, uint32_t max)
{
    return count > 0 && more > 0 && (more > max || count > max - more);
}

/* Whether the first frame of the connection, in the `count` pieces from `piece` on, may be lent. */
static bool lend_allowed(const struct lend *lend, const struct conn *conn,
                         const struct piece *piece, uint32_t count)
{
    const struct lend_limits *limits = &lend->limits;
    uint32_t buffers = 0;
    uint32_t chunks = 0;

    for (; count > 0; count--, piece = piece->next) {
        XD_ASSERT(piece->bytes > 0);
        if (piece->users > 0)
            continue;
        buffers += piece->chunk == NULL;
        chunks += piece->chunk != NULL;
    }
    return pool_free_count(&lend->frames) > 0 && conn->away_count < limits->conn_frames_max &&
           !over(conn->away_bytes, XD_FRAME_HEADER_BYTES + conn->inbox.head.length,
                 limits->conn_bytes_max) &&
           !over(conn->inbox.kept_count, 1, limits->conn_buffers_max) &&
           !over(lend->buffer_count, buffers, limits->buffers_max) &&
           !over(lend->chunk_count, chunks, limits->chunks_max);
}

/* One lent frame more lies in the piece. */
static void piece_use(struct lend *lend, struct piece *piece)
{
    XD_ASSERT(piece->bytes > 0);
    if (piece->users++ > 0)
        return;
    if (piece->chunk == NULL)
        lend->buffer_count++;
    else
        lend->chunk_count++;
}

struct net_lent *lend_frame(struct lend *lend, struct assemble *assemble, struct conn *conn)
{
    const struct inbox *inbox = &conn->inbox;
    uint32_t count = inbox_pieces(assemble, inbox);
    struct piece *piece = count > 0 ? payload_first(inbox) : NULL;

    if (!lend_allowed(lend, conn, piece, count))
        return NULL;
    struct net_lent *lent = pool_acquire(&lend->frames);
    XD_ASSERT(lent != NULL);
    *lent = (struct net_lent){.head = inbox->head, .piece_count = count, .conn = conn->id};
    struct net_lent_piece *part = &lent->first;
    for (uint32_t i = 0; i < count; i++, piece = piece->next) {
        if (i > 0) {
            struct net_lent_piece *next = pool_acquire(&lend->pieces);
            XD_ASSERT(next != NULL);
            part->next = next;
            part = next;
        }
        *part = (struct net_lent_piece){.data = assemble->iovecs[i].iov_base,
                                        .bytes = (uint32_t)assemble->iovecs[i].iov_len,
                                        .piece = piece};
        XD_ASSERT(part->data >= piece->data && part->bytes <= piece->bytes);
        piece_use(lend, piece);
    }
    conn->away_count++;
    conn->away_bytes += XD_FRAME_HEADER_BYTES + inbox->head.length;
    return lent;
}

/* One lent frame less lies in the piece; it goes back when it has no unread bytes either. */
static void piece_leave(struct lend *lend, struct assemble *assemble, struct conn *conn,
                        struct piece *piece)
{
    XD_ASSERT(piece->users > 0);
    if (--piece->users > 0)
        return;
    uint32_t *count = piece->chunk == NULL ? &lend->buffer_count : &lend->chunk_count;
    XD_ASSERT(*count > 0);
    (*count)--;
    if (piece->bytes > 0)
        return;
    if (conn != NULL && piece->chunk == NULL) {
        XD_ASSERT(conn->inbox.kept_count > 0);
        conn->inbox.kept_count--;
    }
    piece_free(assemble, piece);
}

void lend_return(struct lend *lend, struct assemble *assemble, struct conn *conn,
                 struct net_lent *lent)
{
    uint32_t bytes = XD_FRAME_HEADER_BYTES + lent->head.length;
    const struct net_lent_piece *part = &lent->first;

    XD_ASSERT(!list_linked(&lent->node)); /* a failure here is a return of a queued frame */
    for (uint32_t i = 0; i < lent->piece_count; i++) {
        const struct net_lent_piece *next = part->next;
        XD_ASSERT((next == NULL) == (i + 1 == lent->piece_count));
        piece_leave(lend, assemble, conn, part->piece);
        if (i > 0)
            pool_release(&lend->pieces, (void *)(uintptr_t)part);
        part = next;
    }
    if (conn != NULL) {
        XD_ASSERT(conn->away_count > 0 && conn->away_bytes >= bytes);
        conn->away_count--;
        conn->away_bytes -= bytes;
    }
    pool_release(&lend->frames, lent);
}

void lend_check(const struct lend *lend, const struct assemble *assemble, uint32_t unread_count)
{
    uint32_t users = 0;
    uint32_t kept = 0;
    uint32_t parts = 0;
    uint32_t buffers = 0;
    uint32_t chunks = 0;

    for (uint32_t i = 0; i < assemble->pieces.element_count; i++) {
        const struct piece *piece = pool_at(&assemble->pieces, i);
        if (piece == NULL)
            continue;
        XD_ASSERT(piece->bytes > 0 || piece->users > 0);
        users += piece->users;
        kept += piece->bytes == 0 && piece->chunk == NULL;
        buffers += piece->users > 0 && piece->chunk == NULL;
        chunks += piece->users > 0 && piece->chunk != NULL;
    }
    for (uint32_t i = 0; i < lend->frames.element_count; i++) {
        const struct net_lent *lent = pool_at(&lend->frames, i);
        parts += lent != NULL ? lent->piece_count : 0;
    }
    XD_ASSERT(users == parts);
    XD_ASSERT(unread_count + kept == assemble->lent_count);
    XD_ASSERT(buffers == lend->buffer_count && chunks == lend->chunk_count);
}
